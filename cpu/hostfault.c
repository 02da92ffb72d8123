/*
 * cpu/hostfault.c -- see cpu/hostfault.h.
 *
 * The alternate stack matters: translated code may run with the guest's stack pointer or close to
 * the end of the thread's own stack when it faults.
 */
#define _GNU_SOURCE
#include "cpu/hostfault.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "cpu/insn.h"

static const int hostfault_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};

enum {
    SIGNAL_COUNT = sizeof(hostfault_signals) / sizeof(hostfault_signals[0]),
    /* A frame with AVX-512 state is below 4 KiB, AMX below 12 KiB; the rest is for the handler. */
    ALT_STACK_SIZE = 128 * 1024,
};

static struct sigaction previous[SIGNAL_COUNT];

struct thread_hooks {
    hostfault_fn fn;
    void *ctx;
    const struct hostfault_range *range;
    void *stack;
};
static _Thread_local struct thread_hooks hooks;

/*
 * Not ours: do what would have happened without us.  A default or ignored action is put back and
 * the faulting instruction runs again, so that the process dies of the signal it deserves.
 */
static void chain(int sig, siginfo_t *info, void *uc)
{
    for (unsigned i = 0; i < SIGNAL_COUNT; i++) {
        const struct sigaction *old = &previous[i];

        if (hostfault_signals[i] != sig)
            continue;
        if (old->sa_flags & SA_SIGINFO) {
            old->sa_sigaction(sig, info, uc);
            return;
        }
        if (old->sa_handler != SIG_DFL && old->sa_handler != SIG_IGN) {
            old->sa_handler(sig);
            return;
        }
    }
    signal(sig, SIG_DFL);
    if (info->si_code <= 0) /* sent by kill(): there is no instruction to run again */
        raise(sig);
}

static void on_signal(int sig, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    const uintptr_t pc = (uintptr_t)uc->uc_mcontext.gregs[REG_RIP];
    int saved_errno;

    /* The kernel leaves AC as it was, and libc does not care for alignment. */
    __asm__ volatile("pushfq\n\tandl %0, (%%rsp)\n\tpopfq" ::"i"(~FLAG_AC) : "cc", "memory");
    saved_errno = errno;
    if (hooks.fn && hooks.fn(hooks.ctx, sig, info, uc)) {
        errno = saved_errno;
        return;
    }
    if (hooks.range && info->si_code > 0 && pc >= hooks.range->begin && pc < hooks.range->end) {
        uc->uc_mcontext.gregs[REG_RAX] =
            HOSTFAULT_VECTOR | (uc->uc_mcontext.gregs[REG_TRAPNO] & 0xff);
        uc->uc_mcontext.gregs[REG_RIP] = (greg_t)hooks.range->resume;
        errno = saved_errno;
        return;
    }
    chain(sig, info, context);
    errno = saved_errno;
}

static int install_one(unsigned i)
{
    struct sigaction action = {.sa_sigaction = on_signal,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    struct sigaction old;

    sigemptyset(&action.sa_mask);
    if (sigaction(hostfault_signals[i], NULL, &old) < 0)
        return -errno;
    if (old.sa_flags & SA_SIGINFO && old.sa_sigaction == on_signal)
        return 0;
    previous[i] = old; /* before ours is there: it may be needed at once */
    return sigaction(hostfault_signals[i], &action, NULL) < 0 ? -errno : 0;
}

int hostfault_install(void)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    int result = 0;

    pthread_mutex_lock(&mutex);
    for (unsigned i = 0; i < SIGNAL_COUNT && !result; i++)
        result = install_one(i);
    pthread_mutex_unlock(&mutex);
    return result;
}

int hostfault_thread_init(void)
{
    stack_t stack = {.ss_size = ALT_STACK_SIZE};

    if (hooks.stack)
        return 0;
    stack.ss_sp = mmap(NULL, ALT_STACK_SIZE, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack.ss_sp == MAP_FAILED)
        return -ENOMEM;
    if (sigaltstack(&stack, NULL) < 0) {
        munmap(stack.ss_sp, ALT_STACK_SIZE);
        return -ENOMEM;
    }
    hooks.stack = stack.ss_sp;
    return 0;
}

void hostfault_thread_exit(void)
{
    const stack_t none = {.ss_flags = SS_DISABLE};
    void *stack = hooks.stack;

    hooks = (struct thread_hooks){0};
    if (stack && sigaltstack(&none, NULL) == 0)
        munmap(stack, ALT_STACK_SIZE);
}

void hostfault_set_handler(hostfault_fn fn, void *ctx)
{
    /* The signal handler runs on this thread, so only the compiler must keep the order. */
    hooks.fn = NULL;
    atomic_signal_fence(memory_order_seq_cst);
    hooks.ctx = ctx;
    atomic_signal_fence(memory_order_seq_cst);
    hooks.fn = fn;
}

const struct hostfault_range *hostfault_set_range(const struct hostfault_range *range)
{
    const struct hostfault_range *old = hooks.range;

    atomic_signal_fence(memory_order_seq_cst);
    hooks.range = range;
    return old;
}
