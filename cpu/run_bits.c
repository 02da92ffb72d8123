/*
 * cpu/run_bits.c -- bit tests, scans, counts, BMI and CRC32.
 * Source: [SDM 2A, 2B], the instructions' own pages.
 *
 * Forms that the host may lack (POPCNT, BMI, ...) are reached only when the guest's CPUID model,
 * a subset of the host's, has them.
 */
#include "cpu/flags.h"
#include "cpu/run.h"

typedef uint64_t (*binary_fn)(unsigned size, uint64_t dst, uint64_t src, uint32_t *host);

/*
 * BT, BTS, BTR, BTC.  With a register index and a memory operand the index is a signed bit offset
 * from the operand's address, in steps of the operand size; else it is taken modulo the size.
 */
static inline __attribute__((always_inline)) bool bits_test(struct cpu *cpu, const struct insn *in,
                                                            bool writes, binary_fn op)
{
    const unsigned size = in->ops[0].size;
    uint32_t host = flags_to_host(cpu->rflags);
    uint64_t dst, index, offset;

    if (!run_source(cpu, in, 1, size, &index))
        return false;
    if (in->ops[0].kind != OPERAND_MEM) {
        if (!operand_read(cpu, in, 0, &dst))
            return false;
        dst = op(size, dst, index & (size * 8 - 1), &host);
        if (writes && !operand_write(cpu, in, 0, dst))
            return false;
        flags_commit_all(cpu, host);
        return true;
    }
    offset = operand_offset(cpu, in);
    if (in->ops[1].kind != OPERAND_IMM) {
        const int64_t bit = (int64_t)sign_extend(index, size);
        const unsigned log2_bits = size == 2 ? 4 : size == 4 ? 5 : 6;

        offset += (uint64_t)(bit >> log2_bits) * size;
        offset &= width_mask(in->addr_size);
    }
    if (writes && !access_probe_write(cpu, in->seg, offset, size))
        return false;
    if (!access_read(cpu, in->seg, offset, size, &dst))
        return false;
    dst = op(size, dst, index & (size * 8 - 1), &host);
    if (writes && !access_write(cpu, in->seg, offset, size, dst))
        return false;
    flags_commit_all(cpu, host);
    return true;
}
bool run_bt(struct cpu *cpu, const struct insn *in)
{
    return bits_test(cpu, in, false, flags_bt);
}
bool run_bts(struct cpu *cpu, const struct insn *in)
{
    return bits_test(cpu, in, true, flags_bts);
}
bool run_btr(struct cpu *cpu, const struct insn *in)
{
    return bits_test(cpu, in, true, flags_btr);
}
bool run_btc(struct cpu *cpu, const struct insn *in)
{
    return bits_test(cpu, in, true, flags_btc);
}

/*
 * BSF, BSR, POPCNT, LZCNT, TZCNT: op0 = f(op1).  The host gets the whole destination register: BSF
 * and BSR of zero leave it, and whether a 32-bit form then clears the upper half is the host's way.
 */
static inline __attribute__((always_inline)) bool bits_scan(struct cpu *cpu, const struct insn *in,
                                                            binary_fn op)
{
    uint32_t host = flags_to_host(cpu->rflags);
    uint64_t src;

    if (!operand_read(cpu, in, 1, &src))
        return false;
    cpu->gpr[in->ops[0].reg] = op(in->ops[0].size, cpu->gpr[in->ops[0].reg], src, &host);
    flags_commit_all(cpu, host);
    return true;
}
bool run_bsf(struct cpu *cpu, const struct insn *in)
{
    return bits_scan(cpu, in, flags_bsf);
}
bool run_bsr(struct cpu *cpu, const struct insn *in)
{
    return bits_scan(cpu, in, flags_bsr);
}
bool run_popcnt(struct cpu *cpu, const struct insn *in)
{
    return bits_scan(cpu, in, flags_popcnt);
}
bool run_lzcnt(struct cpu *cpu, const struct insn *in)
{
    return bits_scan(cpu, in, flags_lzcnt);
}
bool run_tzcnt(struct cpu *cpu, const struct insn *in)
{
    return bits_scan(cpu, in, flags_tzcnt);
}

/* clang-format off */
/* op0 = op1 <op> op2, by the host, 32 or 64 bits.  AT&T order: the manual's operands reversed. */
#define BITS_VEX(op, operands32, operands64)                                                       \
    static uint64_t bits_##op(unsigned size, uint64_t first, uint64_t second, uint32_t *host)      \
    {                                                                                              \
        uint64_t result;                                                                           \
                                                                                                   \
        if (size == 8)                                                                             \
            __asm__(FLAGS_LOAD #op "q " operands64 FLAGS_SAVE                                      \
                    : [out] "=&r"(result), "+a"(*host) : [a] "r"(first), [b] "r"(second) : "cc");  \
        else                                                                                       \
            __asm__(FLAGS_LOAD #op "l " operands32 FLAGS_SAVE                                      \
                    : [out] "=&r"(result), "+a"(*host) : [a] "r"(first), [b] "r"(second) : "cc");  \
        return result;                                                                             \
    }
#define BITS_THREE(op) BITS_VEX(op, "%k[b], %k[a], %k[out]", "%q[b], %q[a], %q[out]")
#define BITS_TWO(op) BITS_VEX(op, "%k[a], %k[out]", "%q[a], %q[out]")
BITS_THREE(andn)
BITS_THREE(pdep)
BITS_THREE(pext)
BITS_THREE(bextr)
BITS_THREE(bzhi)
BITS_TWO(blsi)
BITS_TWO(blsmsk)
BITS_TWO(blsr)
#undef BITS_VEX
#undef BITS_THREE
#undef BITS_TWO
/* clang-format on */

/* Sources are op1 and, when there is one, op2.  PDEP and PEXT leave the flags, as the host does. */
static inline __attribute__((always_inline)) bool bits_vex(struct cpu *cpu, const struct insn *in,
                                                           binary_fn op)
{
    uint32_t host = flags_to_host(cpu->rflags);
    uint64_t first, second = 0, result;

    if (!operand_read(cpu, in, 1, &first))
        return false;
    if (in->ops[2].kind != OPERAND_NONE && !operand_read(cpu, in, 2, &second))
        return false;
    result = op(in->ops[0].size, first, second, &host);
    if (!operand_write(cpu, in, 0, result))
        return false;
    flags_commit_all(cpu, host);
    return true;
}
bool run_andn(struct cpu *cpu, const struct insn *in)
{
    return bits_vex(cpu, in, bits_andn);
}
bool run_bextr(struct cpu *cpu, const struct insn *in)
{
    return bits_vex(cpu, in, bits_bextr);
}
bool run_bzhi(struct cpu *cpu, const struct insn *in)
{
    return bits_vex(cpu, in, bits_bzhi);
}
bool run_pdep(struct cpu *cpu, const struct insn *in)
{
    return bits_vex(cpu, in, bits_pdep);
}
bool run_pext(struct cpu *cpu, const struct insn *in)
{
    return bits_vex(cpu, in, bits_pext);
}
bool run_blsi(struct cpu *cpu, const struct insn *in)
{
    return bits_vex(cpu, in, bits_blsi);
}
bool run_blsmsk(struct cpu *cpu, const struct insn *in)
{
    return bits_vex(cpu, in, bits_blsmsk);
}
bool run_blsr(struct cpu *cpu, const struct insn *in)
{
    return bits_vex(cpu, in, bits_blsr);
}

/* CRC32: op0 = crc32c(op0, op1); the source's size may differ from the destination's. No flags. */
bool run_crc32(struct cpu *cpu, const struct insn *in)
{
    uint64_t src, crc = (uint32_t)cpu->gpr[in->ops[0].reg];

    if (!operand_read(cpu, in, 1, &src))
        return false;
    switch (in->ops[1].size) {
    case 1:
        __asm__("crc32b %b1, %k0" : "+r"(crc) : "r"(src));
        break;
    case 2:
        __asm__("crc32w %w1, %k0" : "+r"(crc) : "r"(src));
        break;
    case 4:
        __asm__("crc32l %k1, %k0" : "+r"(crc) : "r"(src));
        break;
    default:
        __asm__("crc32q %q1, %q0" : "+r"(crc) : "r"(src));
        break;
    }
    cpu->gpr[in->ops[0].reg] = (uint32_t)crc;
    return true;
}
