/*
 * cpu/fpu.h -- where the guest's x87/MMX/SSE state is: in cpu->fpu or in the host's registers.
 *
 * Translated code keeps it in the host's own registers (cpu->fpu_live).  Code compiled without
 * vector registers may run meanwhile; before anything else is called (device callbacks, libc's
 * string functions, logging) it must be put away with fpu_leave().
 */
#ifndef RINGER_CPU_FPU_H
#define RINGER_CPU_FPU_H

#include "cpu/cpu.h"

/* Save the host's registers to cpu->fpu, load the host's defaults (x87 FNINIT, MXCSR 0x1f80). */
void fpu_save(struct cpu *cpu);
/* Load cpu->fpu into the host's registers and set fpu_live. */
void fpu_load(struct cpu *cpu);
/* Power-on / FNINIT values in cpu->fpu. [SDM 3A table 9-1] */
void fpu_reset(struct cpu *cpu);

static inline void fpu_leave(struct cpu *cpu)
{
    if (cpu->fpu_live)
        fpu_save(cpu);
}

#endif
