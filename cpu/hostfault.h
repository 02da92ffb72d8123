/*
 * cpu/hostfault.h -- the process's one entry for synchronous host signals.
 *
 * Guest instructions that run natively raise the host CPU's own exceptions, which arrive as
 * SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGTRAP.  Who can tell what one means registers here, per
 * thread; the order is: the thread's handler (translated code), the thread's recovery range
 * (cpu/thunk.c), then whatever action the process had before.
 *
 * This is the only state that is not passed in: a signal handler has no argument of ours.
 */
#ifndef RINGER_CPU_HOSTFAULT_H
#define RINGER_CPU_HOSTFAULT_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <ucontext.h>

/*
 * Asked first.  May change `uc` (where and with which registers the thread goes on) and return
 * true, or return false: not mine.  Runs on the alternate stack with all other signals possible;
 * must only use async-signal-safe means.
 */
typedef bool (*hostfault_fn)(void *ctx, int sig, siginfo_t *info, ucontext_t *uc);

enum { HOSTFAULT_VECTOR = 0x100 };
/* A range of host code whose faults end at `resume` instead.  Registers are as at the fault, but
 * RAX holds HOSTFAULT_VECTOR | the exception's vector. */
struct hostfault_range {
    uintptr_t begin, end; /* PC in [begin, end) */
    uintptr_t resume;
};

/* Take over the signals; idempotent, any thread; takes them again from who took them since (test
 * frameworks do).  Returns 0 or a negative errno. */
int hostfault_install(void);
/* Give the calling thread its alternate signal stack; idempotent.  Returns 0 or -ENOMEM. */
int hostfault_thread_init(void);
/* Free the calling thread's alternate stack and registrations; before a thread ends. */
void hostfault_thread_exit(void);

/* Register the calling thread's handler; NULL removes it. */
void hostfault_set_handler(hostfault_fn fn, void *ctx);
/* Register the calling thread's recovery range, which must stay valid; NULL removes it.  Returns
 * the previous one, for nesting. */
const struct hostfault_range *hostfault_set_range(const struct hostfault_range *range);

#endif
