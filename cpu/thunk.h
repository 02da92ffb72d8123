/*
 * cpu/thunk.h -- run one guest x87/MMX/SSE/AVX instruction natively, from the interpreter.
 *
 * A thunk is a host function of one recoded instruction and a RET.  Its memory operand is a scratch
 * buffer, its general registers are passed in RAX, RCX, RDX, RBX; flags go in and come out.
 * Thunks are made on first use and kept by their bytes.  Worked example, 32-bit guest:
 *
 *   guest   pinsrw xmm1, word [esi+6], 3     66 0F C4 4E 06 03
 *   thunk   pinsrw xmm1, word [rdi], 3       66 0F C4 0F 03       ret
 */
#ifndef RINGER_CPU_THUNK_H
#define RINGER_CPU_THUNK_H

#include "cpu/cpu.h"
#include "cpu/fault.h"

enum { THUNK_SCRATCH_SIZE = 512, THUNK_ALIGNMENT = 64 };

struct fpu_thunks;

/* NULL when the host refuses the memory or the signal handler. */
struct fpu_thunks *thunk_create(void);
void thunk_destroy(struct fpu_thunks *thunks);

/* The buffer of THUNK_SCRATCH_SIZE bytes that stands for the memory operand at `linear` in the next
 * thunk_run(), aligned as that is: what an instruction says to a misaligned operand is the host's
 * decision.  Makes cpu->thunks if there are none yet; NULL when that fails (host out of memory). */
uint8_t *thunk_scratch(struct cpu *cpu, linaddr_t linear);

/*
 * Run `in` on the guest's state: x87/SSE in cpu->fpu or, if cpu->fpu_live, in the host's registers
 * (where it stays in any case if cpu->fpu_stays);
 * general registers and arithmetic flags in cpu; the memory operand in the scratch buffer.
 * Does not look at guest memory, at pending x87 errors or at alignment.
 * False with the fault recorded: #XM (or #UD without CR4.OSXMMEXCPT) for an unmasked SSE
 * exception, #MF, #UD when the host has no such instruction, #GP(0) for reserved bits.
 */
FAULT_CHECK bool thunk_run(struct cpu *cpu, const struct insn *in);

#endif
