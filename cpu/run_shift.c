/*
 * cpu/run_shift.c -- shifts and rotates.  Source: [SDM 2B "SAL/SAR/SHL/SHR", "RCL/RCR/ROL/ROR",
 * "SHLD", "SHRD"], [SDM 2B "SARX/SHLX/SHRX", "RORX"].
 *
 * The host masks the count (and takes it modulo 9 or 17 for RCL/RCR) as the guest would, and leaves
 * the flags for a count of 0: the guest's flags are loaded before and stored after.
 */
#include "cpu/flags.h"
#include "cpu/run.h"

typedef uint64_t (*shift_fn)(unsigned size, uint64_t dst, unsigned count, uint32_t *host);
typedef uint64_t (*double_shift_fn)(unsigned size, uint64_t dst, uint64_t src, unsigned count,
                                    uint32_t *host);

static inline __attribute__((always_inline)) bool shift_single(struct cpu *cpu,
                                                               const struct insn *in, shift_fn op)
{
    uint32_t host = flags_to_host(cpu->rflags);
    uint64_t dst, count;

    if (!operand_read_rmw(cpu, in, 0, &dst) || !run_source(cpu, in, 1, 1, &count))
        return false;
    dst = op(in->ops[0].size, dst, (unsigned)count, &host);
    if (!operand_write(cpu, in, 0, dst))
        return false;
    flags_commit_all(cpu, host);
    return true;
}

static inline __attribute__((always_inline)) bool
shift_double(struct cpu *cpu, const struct insn *in, double_shift_fn op)
{
    uint32_t host = flags_to_host(cpu->rflags);
    uint64_t dst, src, count;

    if (!operand_read_rmw(cpu, in, 0, &dst) || !operand_read(cpu, in, 1, &src) ||
        !run_source(cpu, in, 2, 1, &count))
        return false;
    dst = op(in->ops[0].size, dst, src, (unsigned)count, &host);
    if (!operand_write(cpu, in, 0, dst))
        return false;
    flags_commit_all(cpu, host);
    return true;
}

bool run_rol(struct cpu *cpu, const struct insn *in)
{
    return shift_single(cpu, in, flags_rol);
}
bool run_ror(struct cpu *cpu, const struct insn *in)
{
    return shift_single(cpu, in, flags_ror);
}
bool run_rcl(struct cpu *cpu, const struct insn *in)
{
    return shift_single(cpu, in, flags_rcl);
}
bool run_rcr(struct cpu *cpu, const struct insn *in)
{
    return shift_single(cpu, in, flags_rcr);
}
bool run_shl(struct cpu *cpu, const struct insn *in)
{
    return shift_single(cpu, in, flags_shl);
}
bool run_shr(struct cpu *cpu, const struct insn *in)
{
    return shift_single(cpu, in, flags_shr);
}
bool run_sar(struct cpu *cpu, const struct insn *in)
{
    return shift_single(cpu, in, flags_sar);
}
bool run_shld(struct cpu *cpu, const struct insn *in)
{
    return shift_double(cpu, in, flags_shld);
}
bool run_shrd(struct cpu *cpu, const struct insn *in)
{
    return shift_double(cpu, in, flags_shrd);
}

/* SARX, SHLX, SHRX: op0 = op1 shifted by op2; RORX: op0 = op1 rotated right by imm. No flags. */
enum flagless { FLAGLESS_SAR, FLAGLESS_SHL, FLAGLESS_SHR, FLAGLESS_ROR };

static bool shift_flagless(struct cpu *cpu, const struct insn *in, enum flagless kind)
{
    const unsigned size = in->ops[0].size, bits = size * 8;
    uint64_t src, count;

    if (!operand_read(cpu, in, 1, &src) || !run_source(cpu, in, 2, size, &count))
        return false;
    count &= bits - 1;
    switch (kind) {
    case FLAGLESS_SAR:
        src = (uint64_t)((int64_t)sign_extend(src, size) >> count);
        break;
    case FLAGLESS_SHL:
        src <<= count;
        break;
    case FLAGLESS_SHR:
        src >>= count;
        break;
    case FLAGLESS_ROR:
        if (count)
            src = src >> count | src << (bits - count);
        break;
    }
    return operand_write(cpu, in, 0, src);
}
bool run_sarx(struct cpu *cpu, const struct insn *in)
{
    return shift_flagless(cpu, in, FLAGLESS_SAR);
}
bool run_shlx(struct cpu *cpu, const struct insn *in)
{
    return shift_flagless(cpu, in, FLAGLESS_SHL);
}
bool run_shrx(struct cpu *cpu, const struct insn *in)
{
    return shift_flagless(cpu, in, FLAGLESS_SHR);
}
bool run_rorx(struct cpu *cpu, const struct insn *in)
{
    return shift_flagless(cpu, in, FLAGLESS_ROR);
}
