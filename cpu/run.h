/*
 * cpu/run.h -- every handler of the instruction table, declared by expanding cpu/insn.def, and
 * what several run_*.c files share.  The contract of a handler is in cpu/interp.h.
 */
#ifndef RINGER_CPU_RUN_H
#define RINGER_CPU_RUN_H

#include "cpu/cpu.h"
#include "cpu/debug.h"
#include "cpu/fault.h"
#include "cpu/insn.h"
#include "cpu/operand.h"

#define INSN(map, op, pp, ext, mnem, op0, op1, op2, op3, reads, writes, traits, feature, run,      \
             rewrite)                                                                              \
    bool run_##run(struct cpu *cpu, const struct insn *in);
#include "cpu/insn.def"
#undef INSN

/* A source operand, zero-extended from `size` bytes; immediates are taken at the destination's
 * size, since the form may sign-extend them. */
FAULT_CHECK static inline bool run_source(struct cpu *cpu, const struct insn *in, unsigned i,
                                          unsigned size, uint64_t *value)
{
    if (in->ops[i].kind == OPERAND_IMM) {
        *value = in->imm & width_mask(size);
        return true;
    }
    return operand_read(cpu, in, i, value);
}

static inline uint64_t sign_extend(uint64_t value, unsigned size_bytes)
{
    const unsigned shift = 64 - size_bytes * 8;

    return (uint64_t)((int64_t)(value << shift) >> shift);
}

/* A linear address that paging accepts: bits 63..47 equal, 63..56 with CR4.LA57.
 * [SDM 1 3.3.7.1] */
static inline bool run_is_canonical(const struct cpu *cpu, uint64_t address)
{
    const unsigned shift = cpu->cr4 & CR4_LA57 ? 7 : 16;

    return (uint64_t)((int64_t)(address << shift) >> shift) == address;
}

/* Near transfer to `target`, truncated to `width` bytes: #GP(0) beyond the CS limit or, in 64-bit
 * mode, non-canonical.  run_check_target only checks and truncates. */
FAULT_CHECK static inline bool run_check_target(struct cpu *cpu, unsigned width, uint64_t *target)
{
    *target &= width_mask(width);
    if (cpu_is_code64(cpu)) {
        if (!run_is_canonical(cpu, *target))
            return fault_gp(cpu, 0);
    } else if (*target > cpu->seg[CS].limit) {
        return fault_gp(cpu, 0);
    }
    return true;
}
FAULT_CHECK static inline bool run_branch(struct cpu *cpu, unsigned width, uint64_t target)
{
    if (!run_check_target(cpu, width, &target))
        return false;
    cpu->rip = target;
    return true;
}

/* A REP is not finished: the next instruction is this one again.  It has not retired, and its
 * caller will count it.  With breakpoints on, RF keeps its own from hitting again; the boundary in
 * the middle of a REP has RF set.  [SDM 3B 18.3.1.1] */
static inline void run_resume(struct cpu *cpu, const struct insn *in)
{
    cpu->rip -= in->length;
    if (in->code_size != CODE64)
        cpu->rip = (uint32_t)cpu->rip;
    if (debug_breakpoints(cpu))
        cpu->rflags |= FLAG_RF;
    cpu->icount--;
}

/*
 * How many of *count ascending elements of `width` bytes at seg:offset lie in one page, one segment
 * and without wrap-around in plain RAM: *host is their host address; NULL when the next element has
 * to go through access_read/access_write.  run_string.c
 */
FAULT_CHECK bool run_string_window(struct cpu *cpu, const struct insn *in, enum seg seg,
                                   uint64_t offset, unsigned width, enum access access,
                                   uint64_t *count, uint8_t **host);

#endif
