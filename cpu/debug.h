/*
 * cpu/debug.h -- single steps and breakpoints: what raises #DB around an instruction.
 * Source: [SDM 3B 18.2 "Debug Registers", 18.3 "Debug Exceptions"].
 *
 * Data breakpoints are noticed by cpu/access.c, which notes them in cpu->dr6_pending; so are I/O
 * breakpoints here.
 */
#ifndef RINGER_CPU_DEBUG_H
#define RINGER_CPU_DEBUG_H

#include "cpu/cpu.h"
#include "cpu/fault.h"

/* DR6. [SDM 3B 18.2.3] */
#define DR6_BD (1u << 13) /* access to a debug register with DR7.GD */
#define DR6_BS (1u << 14) /* single step */
#define DR6_BT (1u << 15) /* task switch to a TSS with T = 1 */

/* Any breakpoint enabled, locally or globally? */
static inline bool debug_breakpoints(const struct cpu *cpu)
{
    return cpu->dr[7] & 0xff;
}

/* Instruction breakpoints at the CS:rip that is about to run, unless RF holds them off: #DB is
 * recorded, a fault. */
FAULT_CHECK bool debug_check_fetch(struct cpu *cpu);

/* A port is being accessed: note the I/O breakpoints that it hits, with CR4.DE, for after the
 * instruction. */
void debug_note_io(struct cpu *cpu, uint16_t port, unsigned size);

/*
 * An instruction has retired: raise the traps that it earned.
 *   stepped: EFLAGS.TF was set before it and it was not an INT that cleared it
 * After MOV SS or POP SS single steps are lost and data breakpoints wait for the next boundary.
 * Returns false when #DB was recorded, a trap (rip is that of the next instruction).
 */
FAULT_CHECK bool debug_check_retired(struct cpu *cpu, bool stepped);

#endif
