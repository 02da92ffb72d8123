/*
 * cpu/native.h -- guest memory around a natively run instruction; shared by run_simd.c, run_x87.c
 * and run_xsave.c.
 */
#ifndef RINGER_CPU_NATIVE_H
#define RINGER_CPU_NATIVE_H

#include "cpu/access.h"
#include "cpu/cpu.h"
#include "cpu/insn.h"

/* memcpy and memset that leave vector registers alone. */
static inline void native_copy(void *to, const void *from, size_t size)
{
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
}
static inline void native_zero(void *to, size_t size)
{
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(0) : "memory");
}

/* The linear address of the memory operand at `offset`, before any check. */
linaddr_t native_linear(const struct cpu *cpu, const struct insn *in, uint64_t offset);
/* Check that a later access_write_block of the same bytes will not fault. */
FAULT_CHECK bool native_probe_write(struct cpu *cpu, enum seg seg, uint64_t offset,
                                    unsigned size_bytes);
/*
 * Run `in` natively with its memory operand, if it has one: alignment check (trait ALIGNED), read,
 * thunk, write, as the row says.  Everything that can fault is checked before anything changes.
 */
FAULT_CHECK bool native_run(struct cpu *cpu, const struct insn *in);

/* The same when the mask of an EVEX instruction decides which parts of memory operand `i` are
 * accessed (insn.lane_bytes); store: it is written, else read. (run_evex.c) */
FAULT_CHECK bool native_run_masked(struct cpu *cpu, const struct insn *in, unsigned i, bool store);

#endif
