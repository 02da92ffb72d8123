/*
 * cpu/run_mul.c -- multiplication and division.
 * Source: [SDM 2A, 2B "MUL", "IMUL", "DIV", "IDIV"], [SDM 2B "MULX"].
 *
 * A division that the host would refuse (#DE) is found by comparing magnitudes first.
 */
#include "cpu/flags.h"
#include "cpu/run.h"

typedef uint64_t (*wide_fn)(unsigned size, uint64_t low, uint64_t src, uint64_t *high,
                            uint32_t *host);

/* The pair rDX:rAX (AX for bytes) as two values of `size` bytes. */
static void wide_write(struct cpu *cpu, unsigned size, uint64_t low, uint64_t high)
{
    if (size == 1) {
        gpr_write(cpu, RAX, 2, low);
        return;
    }
    gpr_write(cpu, RAX, size, low);
    gpr_write(cpu, RDX, size, high);
}

static inline __attribute__((always_inline)) bool mul_wide(struct cpu *cpu, const struct insn *in,
                                                           wide_fn op)
{
    const unsigned size = in->ops[0].size;
    uint32_t host = flags_to_host(cpu->rflags);
    uint64_t src, low, high = 0;

    if (!operand_read(cpu, in, 0, &src))
        return false;
    low = op(size, cpu->gpr[RAX] & width_mask(size), src, &high, &host);
    wide_write(cpu, size, low, high);
    flags_commit_all(cpu, host);
    return true;
}
bool run_mul(struct cpu *cpu, const struct insn *in)
{
    return mul_wide(cpu, in, flags_mul_wide);
}
bool run_imul1(struct cpu *cpu, const struct insn *in)
{
    return mul_wide(cpu, in, flags_imul_wide);
}

/* IMUL r, r/m and IMUL r, r/m, imm. */
bool run_imul(struct cpu *cpu, const struct insn *in)
{
    const unsigned size = in->ops[0].size;
    const unsigned first = in->ops[2].kind == OPERAND_NONE ? 0 : 1;
    uint32_t host = flags_to_host(cpu->rflags);
    uint64_t dst, src;

    if (!operand_read(cpu, in, first, &dst) || !run_source(cpu, in, first + 1, size, &src))
        return false;
    dst = flags_imul(size, dst, src, &host);
    if (!operand_write(cpu, in, 0, dst))
        return false;
    flags_commit_all(cpu, host);
    return true;
}

/* MULX: op0:op1 = RDX * op2; with the same register twice it holds the high half. */
bool run_mulx(struct cpu *cpu, const struct insn *in)
{
    const unsigned size = in->ops[0].size;
    uint64_t src, low, high = 0;
    uint32_t host = flags_to_host(cpu->rflags);

    if (!operand_read(cpu, in, 2, &src))
        return false;
    low = flags_mul_wide(size, cpu->gpr[RDX] & width_mask(size), src, &high, &host);
    return operand_write(cpu, in, 1, low) && operand_write(cpu, in, 0, high);
}

/* The dividend's two halves, each zero-extended from `size` bytes. */
static void dividend_read(const struct cpu *cpu, unsigned size, uint64_t *low, uint64_t *high)
{
    if (size == 1) {
        *low = cpu->gpr[RAX] & 0xff;
        *high = cpu->gpr[RAX] >> 8 & 0xff;
        return;
    }
    *low = cpu->gpr[RAX] & width_mask(size);
    *high = cpu->gpr[RDX] & width_mask(size);
}

/* Run the host's division and store quotient and remainder. */
static inline __attribute__((always_inline)) void
divide(struct cpu *cpu, unsigned size, uint64_t low, uint64_t high, uint64_t src, wide_fn op)
{
    uint32_t host = flags_to_host(cpu->rflags);

    if (size == 1)
        low |= high << 8;
    low = op(size, low, src, &high, &host);
    wide_write(cpu, size, low, high);
    flags_commit_all(cpu, host);
}

bool run_div(struct cpu *cpu, const struct insn *in)
{
    const unsigned size = in->ops[0].size;
    uint64_t src, low, high;

    if (!operand_read(cpu, in, 0, &src))
        return false;
    dividend_read(cpu, size, &low, &high);
    if (high >= src) /* the quotient needs more than `size` bytes; src = 0 included */
        return fault_de(cpu);
    divide(cpu, size, low, high, src, flags_div_wide);
    return true;
}

/* Does the signed division of high:low by src overflow `size` bytes? */
static bool idiv_overflows(unsigned size, uint64_t low, uint64_t high, uint64_t src)
{
    const unsigned bits = size * 8;
    const uint64_t sign_bit = 1ull << (bits - 1), mask = width_mask(size);
    const bool negative = ((high ^ src) & sign_bit) != 0;
    uint64_t quotient;

    if (high & sign_bit) { /* magnitude of the dividend */
        low = -low & mask;
        high = (~high + (low == 0)) & mask;
    }
    if (src & sign_bit)
        src = -src & mask;
    if (high >= src)
        return true;
    if (size == 8)
        __asm__("divq %[src]" : "=a"(quotient), "+d"(high) : "a"(low), [src] "r"(src) : "cc");
    else
        quotient = (high << bits | low) / src;
    return negative ? quotient > sign_bit : quotient >= sign_bit;
}

bool run_idiv(struct cpu *cpu, const struct insn *in)
{
    const unsigned size = in->ops[0].size;
    uint64_t src, low, high;

    if (!operand_read(cpu, in, 0, &src))
        return false;
    dividend_read(cpu, size, &low, &high);
    if (idiv_overflows(size, low, high, src))
        return fault_de(cpu);
    divide(cpu, size, low, high, src, flags_idiv_wide);
    return true;
}
