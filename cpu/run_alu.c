/*
 * cpu/run_alu.c -- two-operand and one-operand integer arithmetic and logic.
 * Source: [SDM 2A, 2B], the instructions' own pages.  Flags come from the host, see cpu/flags.h.
 */
#include "cpu/flags.h"
#include "cpu/run.h"

typedef uint64_t (*binary_fn)(unsigned size, uint64_t dst, uint64_t src, uint32_t *host);
typedef uint64_t (*unary_fn)(unsigned size, uint64_t dst, uint32_t *host);

/* op0 = op0 <op> op1.  Inlined into each handler, so that `op` is no indirect call. */
static inline __attribute__((always_inline)) bool alu_binary(struct cpu *cpu, const struct insn *in,
                                                             binary_fn op)
{
    const unsigned size = in->ops[0].size;
    uint32_t host = flags_to_host(cpu->rflags);
    uint64_t dst, src;

    if (!operand_read_rmw(cpu, in, 0, &dst) || !run_source(cpu, in, 1, size, &src))
        return false;
    dst = op(size, dst, src, &host);
    if (!operand_write(cpu, in, 0, dst))
        return false;
    flags_commit_all(cpu, host);
    return true;
}

static inline __attribute__((always_inline)) bool alu_unary(struct cpu *cpu, const struct insn *in,
                                                            unary_fn op)
{
    uint32_t host = flags_to_host(cpu->rflags);
    uint64_t dst;

    if (!operand_read_rmw(cpu, in, 0, &dst))
        return false;
    dst = op(in->ops[0].size, dst, &host);
    if (!operand_write(cpu, in, 0, dst))
        return false;
    flags_commit_all(cpu, host);
    return true;
}

bool run_add(struct cpu *cpu, const struct insn *in)
{
    return alu_binary(cpu, in, flags_add);
}
bool run_or(struct cpu *cpu, const struct insn *in)
{
    return alu_binary(cpu, in, flags_or);
}
bool run_adc(struct cpu *cpu, const struct insn *in)
{
    return alu_binary(cpu, in, flags_adc);
}
bool run_sbb(struct cpu *cpu, const struct insn *in)
{
    return alu_binary(cpu, in, flags_sbb);
}
bool run_and(struct cpu *cpu, const struct insn *in)
{
    return alu_binary(cpu, in, flags_and);
}
bool run_sub(struct cpu *cpu, const struct insn *in)
{
    return alu_binary(cpu, in, flags_sub);
}
bool run_xor(struct cpu *cpu, const struct insn *in)
{
    return alu_binary(cpu, in, flags_xor);
}
bool run_inc(struct cpu *cpu, const struct insn *in)
{
    return alu_unary(cpu, in, flags_inc);
}
bool run_dec(struct cpu *cpu, const struct insn *in)
{
    return alu_unary(cpu, in, flags_dec);
}
bool run_neg(struct cpu *cpu, const struct insn *in)
{
    return alu_unary(cpu, in, flags_neg);
}

/* NOT: no flags. */
bool run_not(struct cpu *cpu, const struct insn *in)
{
    uint64_t dst;

    if (!operand_read_rmw(cpu, in, 0, &dst))
        return false;
    return operand_write(cpu, in, 0, ~dst & width_mask(in->ops[0].size));
}

/* CMP, TEST: the flags of SUB and AND, nothing else. */
bool run_cmp(struct cpu *cpu, const struct insn *in)
{
    uint64_t dst, src;
    uint32_t host;

    if (!operand_read(cpu, in, 0, &dst) || !run_source(cpu, in, 1, in->ops[0].size, &src))
        return false;
    flags_sub(in->ops[0].size, dst, src, &host);
    flags_commit_all(cpu, host);
    return true;
}
bool run_test(struct cpu *cpu, const struct insn *in)
{
    uint64_t dst, src;
    uint32_t host;

    if (!operand_read(cpu, in, 0, &dst) || !run_source(cpu, in, 1, in->ops[0].size, &src))
        return false;
    flags_and(in->ops[0].size, dst, src, &host);
    flags_commit_all(cpu, host);
    return true;
}

/* XADD: op1 = op0, op0 = op0 + op1. The register is written last: a fault must leave it, and with
 * the same register twice the sum wins. */
bool run_xadd(struct cpu *cpu, const struct insn *in)
{
    const unsigned size = in->ops[0].size;
    uint64_t dst, src, sum;
    uint32_t host;

    if (!operand_read_rmw(cpu, in, 0, &dst) || !operand_read(cpu, in, 1, &src))
        return false;
    sum = flags_add(size, dst, src, &host);
    if (in->ops[0].kind == OPERAND_MEM) {
        if (!operand_write(cpu, in, 0, sum) || !operand_write(cpu, in, 1, dst))
            return false;
    } else if (!operand_write(cpu, in, 1, dst) || !operand_write(cpu, in, 0, sum)) {
        return false;
    }
    flags_commit_all(cpu, host);
    return true;
}

/* CMPXCHG: compare the accumulator with op0; equal: op0 = op1, else accumulator = op0. Memory is
 * written in either case (with the old value when they differ).  [SDM 2A "CMPXCHG"] */
bool run_cmpxchg(struct cpu *cpu, const struct insn *in)
{
    const unsigned size = in->ops[0].size;
    const uint64_t accumulator = cpu->gpr[RAX] & width_mask(size);
    uint64_t dst, src;
    uint32_t host;

    if (!operand_read_rmw(cpu, in, 0, &dst) || !operand_read(cpu, in, 1, &src))
        return false;
    flags_sub(size, accumulator, dst, &host);
    if (accumulator == dst) {
        if (!operand_write(cpu, in, 0, src))
            return false;
    } else {
        if (in->ops[0].kind == OPERAND_MEM && !operand_write(cpu, in, 0, dst))
            return false;
        gpr_write(cpu, RAX, size, dst);
    }
    flags_commit_all(cpu, host);
    return true;
}

/* CMPXCHG8B: as CMPXCHG with EDX:EAX and ECX:EBX on 8 bytes; only ZF changes. */
bool run_cmpxchg8b(struct cpu *cpu, const struct insn *in)
{
    const uint64_t offset = operand_offset(cpu, in);
    const uint64_t expected = cpu->gpr[RDX] << 32 | (uint32_t)cpu->gpr[RAX];
    const uint64_t replacement = cpu->gpr[RCX] << 32 | (uint32_t)cpu->gpr[RBX];
    uint64_t memory;

    if (!access_probe_write(cpu, in->seg, offset, 8) ||
        !access_read(cpu, in->seg, offset, 8, &memory))
        return false;
    if (!access_write(cpu, in->seg, offset, 8, memory == expected ? replacement : memory))
        return false;
    if (memory != expected) {
        gpr_write(cpu, RAX, 4, memory);
        gpr_write(cpu, RDX, 4, memory >> 32);
    }
    flags_assign(cpu, FLAG_ZF, memory == expected);
    return true;
}

/* CMPXCHG16B: RDX:RAX and RCX:RBX on 16 bytes, which must be aligned. */
bool run_cmpxchg16b(struct cpu *cpu, const struct insn *in)
{
    const uint64_t offset = operand_offset(cpu, in);
    uint64_t memory[2];
    bool equal;

    if ((cpu->seg[in->seg].base + offset) % 16)
        return fault_gp(cpu, 0);
    if (!access_probe_write(cpu, in->seg, offset, 8) ||
        !access_probe_write(cpu, in->seg, offset + 8, 8) ||
        !access_read_block(cpu, in->seg, offset, 16, memory))
        return false;
    equal = memory[0] == cpu->gpr[RAX] && memory[1] == cpu->gpr[RDX];
    if (equal) {
        const uint64_t replacement[2] = {cpu->gpr[RBX], cpu->gpr[RCX]};

        if (!access_write_block(cpu, in->seg, offset, 16, replacement))
            return false;
    } else {
        if (!access_write_block(cpu, in->seg, offset, 16, memory))
            return false;
        cpu->gpr[RAX] = memory[0];
        cpu->gpr[RDX] = memory[1];
    }
    flags_assign(cpu, FLAG_ZF, equal);
    return true;
}

/* ADCX, ADOX: add with one flag as carry in and out, no other flag. */
static bool alu_add_single(struct cpu *cpu, const struct insn *in, uint64_t flag)
{
    const unsigned size = in->ops[0].size;
    uint64_t dst, src, sum;
    bool carry = cpu->rflags & flag;

    if (!operand_read(cpu, in, 0, &dst) || !operand_read(cpu, in, 1, &src))
        return false;
    sum = (dst + src + carry) & width_mask(size);
    carry = carry ? sum <= dst : sum < dst;
    if (!operand_write(cpu, in, 0, sum))
        return false;
    flags_assign(cpu, flag, carry);
    return true;
}
bool run_adcx(struct cpu *cpu, const struct insn *in)
{
    return alu_add_single(cpu, in, FLAG_CF);
}
bool run_adox(struct cpu *cpu, const struct insn *in)
{
    return alu_add_single(cpu, in, FLAG_OF);
}

/* CBW/CWDE/CDQE: sign-extend the lower half of the accumulator. */
bool run_cbw(struct cpu *cpu, const struct insn *in)
{
    gpr_write(cpu, RAX, in->width, sign_extend(cpu->gpr[RAX], in->width / 2));
    return true;
}

/* CWD/CDQ/CQO: fill DX with the accumulator's sign. */
bool run_cwd(struct cpu *cpu, const struct insn *in)
{
    const uint64_t sign = cpu->gpr[RAX] >> (in->width * 8 - 1) & 1;

    gpr_write(cpu, RDX, in->width, sign ? ~0ull : 0);
    return true;
}
