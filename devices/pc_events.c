/*
 * devices/pc_events.c -- host events: watched descriptors, and the waker.
 *
 * All device code runs on the machine's thread.  While that thread runs guest code, a helper, the
 * waker, sleeps in epoll on the timer and on the watched descriptors, and does nothing but kick the
 * CPU out of guest code; the machine's thread then looks itself.  Descriptors are armed for one
 * shot: one that is readable kicks once, until it has been serviced.  While the guest is halted the
 * machine's thread sleeps in ppoll on its own.
 *
 * With counted time there is no waker: deadlines are instruction counts, and descriptors are looked
 * at between runs.
 */
#define _GNU_SOURCE /* ppoll */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "devices/pc_internal.h"

/* epoll data: an index into watches, or one of these. */
enum { EVENT_TIMER = PC_WATCH_MAX, EVENT_QUIT };
#define RECHECK_NS UINT64_C(1000000) /* how soon to ask again whether input is wanted */

/* ---- the waker's thread ---- */

static void *waker_main(void *arg)
{
    struct pc *pc = arg;
    struct epoll_event events[PC_WATCH_MAX];

    for (;;) {
        const int count = epoll_wait(pc->epoll_fd, events, PC_WATCH_MAX, -1);

        for (int i = 0; i < count; i++) {
            const uint32_t what = events[i].data.u32;

            if (what == EVENT_QUIT)
                return NULL;
            if (what < PC_WATCH_MAX) {
                __atomic_store_n(&pc->watches[what].fired, 1, __ATOMIC_RELEASE);
                __atomic_store_n(&pc->fd_fired, 1, __ATOMIC_RELEASE);
            }
        }
        cpu_kick(pc->cpu);
    }
}

static int epoll_add(struct pc *pc, int fd, uint32_t events, uint32_t what)
{
    struct epoll_event event = {.events = events, .data.u32 = what};

    return epoll_ctl(pc->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

static int waker_start(struct pc *pc)
{
    sigset_t all, old;
    int error;

    /* Signals are for the process's other threads. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    error = pthread_create(&pc->waker, NULL, waker_main, pc);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pc->waker_running = error == 0;
    return -error;
}

int pc_events_create(struct pc *pc)
{
    int error = 0;

    pc->timer_armed_ns = UINT64_MAX;
    pc->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    pc->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    pc->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    pc->quit_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (pc->wake_fd < 0 || pc->epoll_fd < 0 || pc->timer_fd < 0 || pc->quit_fd < 0)
        return -errno;
    if (pc->config.counted_time)
        return 0;
    /* Edge-triggered: an expiry is reported once, without anybody reading the timer. */
    error = epoll_add(pc, pc->timer_fd, EPOLLIN | EPOLLET, EVENT_TIMER);
    if (error == 0)
        error = epoll_add(pc, pc->quit_fd, EPOLLIN, EVENT_QUIT);
    return error != 0 ? error : waker_start(pc);
}

static void close_if_open(int fd)
{
    if (fd >= 0)
        close(fd);
}

void pc_events_destroy(struct pc *pc)
{
    if (pc->waker_running) {
        const uint64_t one = 1;

        while (write(pc->quit_fd, &one, sizeof(one)) < 0 && errno == EINTR)
            ;
        pthread_join(pc->waker, NULL);
    }
    close_if_open(pc->wake_fd);
    close_if_open(pc->epoll_fd);
    close_if_open(pc->timer_fd);
    close_if_open(pc->quit_fd);
}

/* ---- the timer ---- */

static void timer_set(struct pc *pc, uint64_t deadline_ns)
{
    struct itimerspec when = {0};

    if (deadline_ns == pc->timer_armed_ns)
        return;
    pc->timer_armed_ns = deadline_ns;
    pc->cpu->tsc_due = pc_tsc_at(pc, deadline_ns);
    if (deadline_ns != UINT64_MAX) {
        const uint64_t host_ns = pc->start_ns + deadline_ns;

        when.it_value.tv_sec = (time_t)(host_ns / NS_PER_SECOND);
        when.it_value.tv_nsec = (long)(host_ns % NS_PER_SECOND);
    }
    timerfd_settime(pc->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

void pc_events_arm_timer(struct pc *pc)
{
    uint64_t deadline_ns = clock_next_ns(pc->clock);

    for (unsigned i = 0; i < PC_WATCH_MAX; i++) {
        /* Whether deferred input is wanted changes with what the guest does: ask again soon. */
        if (pc->watches[i].used && pc->watches[i].deferred) {
            const uint64_t recheck_ns = pc_now_ns(pc) + RECHECK_NS;

            deadline_ns = deadline_ns < recheck_ns ? deadline_ns : recheck_ns;
            break;
        }
    }
    /* An absurdly late deadline must not overflow the host's time. */
    if (deadline_ns > (uint64_t)INT64_MAX - pc->start_ns)
        deadline_ns = UINT64_MAX;
    /* One that fires too early does no harm: then the loop looks, and comes here again.  Guests
     * move their next deadline more often than they let one pass. */
    if (pc->timer_armed_ns <= deadline_ns && pc->timer_armed_ns != UINT64_MAX &&
        pc->timer_armed_ns > pc_now_ns(pc))
        return;
    timer_set(pc, deadline_ns);
}

void pc_events_disarm_timer(struct pc *pc)
{
    timer_set(pc, UINT64_MAX);
}

/* ---- watched descriptors ---- */

static bool watch_wanted(const struct pc_watch *watch)
{
    return watch->want_input == NULL || watch->want_input(watch->ctx);
}

int pc_watch_fd(struct pc *pc, int fd, void (*ready)(void *ctx, int fd),
                bool (*want_input)(void *ctx), void *ctx)
{
    for (unsigned i = 0; i < PC_WATCH_MAX; i++) {
        struct pc_watch *watch = &pc->watches[i];
        int error;

        if (watch->used)
            continue;
        /* Before the waker can see the descriptor: it may be readable already, and fires once. */
        *watch = (struct pc_watch){
            .used = true, .fd = fd, .ready = ready, .want_input = want_input, .ctx = ctx};
        error = epoll_add(pc, fd, EPOLLIN | EPOLLONESHOT, i);
        if (error != 0 && error != -EPERM) {
            watch->used = false;
            return error;
        }
        /* EPERM: a regular file, which is readable at any time. */
        watch->pollable = error == 0;
        watch->deferred = error != 0;
        return 0;
    }
    return -ENOSPC;
}

void pc_unwatch_fd(struct pc *pc, int fd)
{
    for (unsigned i = 0; i < PC_WATCH_MAX; i++) {
        struct pc_watch *watch = &pc->watches[i];

        if (!watch->used || watch->fd != fd)
            continue;
        if (watch->pollable)
            epoll_ctl(pc->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        watch->used = false;
    }
}

/* The waker may look at it again. */
static void watch_rearm(struct pc *pc, unsigned index)
{
    struct pc_watch *watch = &pc->watches[index];
    struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.u32 = index};

    if (watch->used && watch->pollable &&
        __atomic_exchange_n(&watch->fired, 0, __ATOMIC_ACQ_REL) != 0)
        epoll_ctl(pc->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event);
}

static bool is_readable(int fd)
{
    struct pollfd entry = {.fd = fd, .events = POLLIN};

    return poll(&entry, 1, 0) == 1 && entry.revents != 0;
}

static void watch_service(struct pc *pc, unsigned index)
{
    struct pc_watch *watch = &pc->watches[index];

    if (!watch->used)
        return; /* one that was served before it has ended it */
    if (!is_readable(watch->fd)) {
        watch->deferred = false;
        watch_rearm(pc, index);
        return;
    }
    watch->deferred = !watch_wanted(watch);
    if (watch->deferred)
        return;
    pc_flush_output(pc);                 /* before what the input is answered with */
    watch->ready(watch->ctx, watch->fd); /* may unwatch */
    watch->deferred = !watch->pollable;
    watch_rearm(pc, index);
}

void pc_events_service(struct pc *pc)
{
    const bool all = pc->config.counted_time;
    const bool fired = __atomic_exchange_n(&pc->fd_fired, 0, __ATOMIC_ACQ_REL) != 0;

    for (unsigned i = 0; i < PC_WATCH_MAX; i++) {
        struct pc_watch *watch = &pc->watches[i];

        if (!watch->used)
            continue;
        if (all || (fired && __atomic_load_n(&watch->fired, __ATOMIC_ACQUIRE)) ||
            (watch->deferred && watch_wanted(watch)))
            watch_service(pc, i);
    }
}

void pc_events_sleep(struct pc *pc, uint64_t deadline_ns)
{
    struct pollfd entries[1 + PC_WATCH_MAX] = {{.fd = pc->wake_fd, .events = POLLIN}};
    unsigned index[1 + PC_WATCH_MAX];
    nfds_t count = 1;
    struct timespec timeout;
    uint64_t left_ns = UINT64_MAX, counter;

    for (unsigned i = 0; i < PC_WATCH_MAX; i++) {
        if (!pc->watches[i].used || !watch_wanted(&pc->watches[i]))
            continue;
        entries[count] = (struct pollfd){.fd = pc->watches[i].fd, .events = POLLIN};
        index[count++] = i;
    }
    if (deadline_ns != UINT64_MAX) {
        const uint64_t now_ns = pc_now_ns(pc);

        left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
        timeout.tv_sec = (time_t)(left_ns / NS_PER_SECOND);
        timeout.tv_nsec = (long)(left_ns % NS_PER_SECOND);
    }
    timer_set(pc, UINT64_MAX); /* one sleeper is enough */
    if (ppoll(entries, count, left_ns != UINT64_MAX ? &timeout : NULL, NULL) <= 0)
        return;
    if (entries[0].revents != 0 && read(pc->wake_fd, &counter, sizeof(counter)) < 0)
        return; /* somebody else emptied it: nothing is lost, the flags tell */
    for (nfds_t i = 1; i < count; i++) {
        if (entries[i].revents != 0)
            watch_service(pc, index[i]);
    }
}

void pc_stop(struct pc *pc)
{
    const uint64_t one = 1;
    const int saved = errno;
    ssize_t written;

    __atomic_store_n(&pc->stop, 1, __ATOMIC_RELEASE);
    cpu_kick(pc->cpu);
    written = write(pc->wake_fd, &one, sizeof(one)); /* fails only when it is set already */
    (void)written;
    errno = saved;
}
