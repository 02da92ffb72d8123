/*
 * cpu/interp.h -- the reference interpreter: run, step, and the contract of its handlers.
 *
 * Handlers (`bool run_<name>(struct cpu *, const struct insn *)`, files cpu/run_*.c):
 *   - on entry cpu->rip already points past the instruction; calls push it, jumps replace it
 *   - on a fault: record it (cpu/fault.h), commit nothing, return false; the caller sets rip back
 *   - a REP that must be resumed sets rip back to its own start and returns true; it has not
 *     retired yet: it takes the icount that its caller adds back (cpu->icount--)
 *   - commit order: operands, memory, registers, flags
 *   - static legality (feature, CPL0, PROTECTED, NO64, #NM/#UD by CR0/CR4, IOPL where it only
 *     faults) has been checked by interp_handler(), under cpu->mode; handlers do not repeat it
 */
#ifndef RINGER_CPU_INTERP_H
#define RINGER_CPU_INTERP_H

#include "cpu/cpu.h"
#include "cpu/fault.h"
#include "cpu/insn.h"

enum run_exit {
    RUN_BUDGET,   /* the requested number of instructions was retired */
    RUN_EXIT,     /* cpu->exit_request was seen */
    RUN_HALTED,   /* HLT (or waiting for SIPI): nothing to do until an event */
    RUN_SHUTDOWN, /* triple fault; ops->shutdown was called */
};

/* The handler to call for `in` in the CPU's current mode: the row's own, or one that raises the
 * #UD/#GP/#NM that the mode demands.  The answer is a function of (insn, cpu->mode, model). */
insn_run_fn interp_handler(const struct cpu *cpu, const struct insn *in);

/*
 * Execute one decoded instruction whose first byte is at CS:rip, handler as from interp_handler().
 * Advances rip (wrapped to 32 bits outside 64-bit mode; 16-bit code that runs on past FFFF meets
 * the CS limit, [SDM 3B 22.33.1]), retires it (icount), clears the interrupt shadow, and delivers
 * a fault through the IDT.  Faults do not retire.  Handles TF and data breakpoints after it.
 * False: a fault or trap was delivered (the next instruction is the handler's first).
 */
bool interp_execute(struct cpu *cpu, const struct insn *in, insn_run_fn run);

/* Fetch, decode and execute one instruction, events aside. Same result as interp_execute. */
bool interp_step(struct cpu *cpu);

/* Run up to max_insns instructions (UINT64_MAX: no limit), servicing events between instructions.
 * Exact: with max_insns = n and no exit_request or halt, exactly n are retired.  A guest that only
 * faults retires nothing: exit_request is the bound on time. */
enum run_exit interp_run(struct cpu *cpu, uint64_t max_insns);

/* Fetch and decode at CS:rip through the page tables; a fetch fault or #UD/#GP is recorded. */
FAULT_CHECK bool interp_fetch(struct cpu *cpu, struct insn *in);

#endif
