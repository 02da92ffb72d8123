/*
 * translator/sampler.c -- see translator/sampler.h.
 *
 * A timer of the thread's CPU time, so that a guest that idles wakes nobody.  Its signal does what
 * a kick does to generated code, but nobody wants anything: the run loop goes on.
 */
#define _GNU_SOURCE
#include "translator/sampler.h"

#include <signal.h>
#include <unistd.h>

enum { SAMPLE_NS = 1000000 };
#define SAMPLE_SIGNAL (SIGRTMIN + 7) /* SIGPROF is what profilers use */

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static void on_sample(int sig, siginfo_t *info, void *context)
{
    struct cpu *cpu = info->si_value.sival_ptr;

    (void)sig;
    (void)context;
    if (info->si_code == SI_TIMER && cpu->kick != NULL)
        cpu->kick(cpu);
}

/* False: somebody else has the signal. */
static bool install(void)
{
    struct sigaction old;
    struct sigaction action = {.sa_sigaction = on_sample,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};

    sigemptyset(&action.sa_mask);
    if (sigaction(SAMPLE_SIGNAL, NULL, &old) != 0)
        return false;
    if (old.sa_flags & SA_SIGINFO)
        return old.sa_sigaction == on_sample;
    return old.sa_handler == SIG_DFL && sigaction(SAMPLE_SIGNAL, &action, NULL) == 0;
}

void sampler_start(struct sampler *sampler, struct cpu *cpu)
{
    struct sigevent event = {
        .sigev_notify = SIGEV_THREAD_ID,
        .sigev_signo = SAMPLE_SIGNAL,
        .sigev_value.sival_ptr = cpu,
    };
    const struct itimerspec each = {.it_interval.tv_nsec = SAMPLE_NS,
                                    .it_value.tv_nsec = SAMPLE_NS};

    if (sampler->runs && pthread_equal(sampler->thread, pthread_self()))
        return;
    sampler_stop(sampler);
    event.sigev_notify_thread_id = gettid();
    if (!install() || timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &sampler->timer) != 0)
        return;
    sampler->runs = timer_settime(sampler->timer, 0, &each, NULL) == 0;
    sampler->thread = pthread_self();
    if (!sampler->runs)
        (void)timer_delete(sampler->timer);
}

void sampler_stop(struct sampler *sampler)
{
    if (sampler->runs)
        (void)timer_delete(sampler->timer);
    sampler->runs = false;
}
