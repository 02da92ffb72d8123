/*
 * translator/returns.h -- return prediction: a guest's CALL is the host's, and so is its RET.
 *
 * RSP of generated code is a *return stack* of host addresses, one for each view of memory.  A CALL
 * pushes the guest's return address where the guest has its stack, and calls; behind the host's
 * CALL is a *landing*:
 *
 *     call  target                    guest   call target
 *     mov   rcx, [cpu.poll_stop]
 *     lea   rcx, [rcx + r13 - next]   did the guest return to where it was called from?
 *     jrcxz back
 *     jmp   glue.return_miss          look R13 up as any other indirect jump
 *   back:
 *     jmp   the block at `next`
 *
 * A RET loads the guest's return address into R13 (T0), changes RSP, and returns.  So the host's
 * own return predictor does the guest's work, and a guest that does not pair its calls and returns
 * (longjmp(), another thread's stack, a retpoline) goes by the jump cache, as without.
 *
 * A landing checks one thing: the address.  That the block it is in is alive, that it was made for
 * the current mode, and that its page is still mapped there, is not checked, because it cannot have
 * changed: a return stack is emptied when it has.
 *
 *   a block dies or moves           returns_forget()
 *   the guest flushes a TLB         returns_forget()
 *   another mode in the same view   returns_select(), which all ways from C to generated code pass
 *   another view                    another return stack; STAC and CLAC switch in generated code
 *
 * At its bottom is the address of glue.return_empty, which is never popped for good.  At its other
 * end is a guard page; who runs into it goes on with an empty stack (returns_overflow()).
 */
#ifndef RINGER_TRANSLATOR_RETURNS_H
#define RINGER_TRANSLATOR_RETURNS_H

#include <stdbool.h>
#include <stdint.h>

#include "cpu/cpu.h"

struct returns;
struct glue;

/* glue: by contract, as in struct translator; it has to stay.  NULL: no memory. */
struct returns *returns_create(struct cpu *cpu, const struct glue *glue);
void returns_destroy(struct returns *returns);

/* Nothing that was pushed may be returned to any more. */
void returns_forget(struct returns *returns);
/* Before generated code is entered: the return stack of the current mode. */
void returns_select(struct returns *returns, struct cpu *cpu);
/* Is the faulting address in a guard page?  Then *sp becomes the empty stack's, and the instruction
 * can be tried again.  Async-signal-safe. */
bool returns_overflow(const struct returns *returns, uint64_t address, uint64_t *sp);

#endif
