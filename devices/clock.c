/*
 * devices/clock.c -- the timers of the machine, a list sorted by deadline.
 *
 * A machine has some twenty timers and arms them some thousand times a second: a list is enough.
 * Invariants: the list is sorted; timers of the same deadline fire in the order they were armed; a
 * timer is in the list exactly while it is armed.
 */
#include "devices/clock.h"

#include <stddef.h>
#include <stdlib.h>

/* One clock_run() fires at most this many: the CPU gets its turn whatever the guest programs. */
#define FIRES_MAX 256

struct clock {
    uint64_t (*now)(void *ctx);
    void *ctx;
    void (*deadline_changed)(void *ctx);
    struct clock_timer *first;
    bool running;
    uint64_t run_now_ns; /* while running: the time clock_run() looked at */
};

struct clock *clock_create(uint64_t (*now)(void *ctx), void *ctx,
                           void (*deadline_changed)(void *ctx))
{
    struct clock *clock = calloc(1, sizeof(*clock));

    if (clock == NULL)
        return NULL;
    clock->now = now;
    clock->ctx = ctx;
    clock->deadline_changed = deadline_changed;
    return clock;
}

void clock_destroy(struct clock *clock)
{
    free(clock);
}

uint64_t clock_now_ns(const struct clock *clock)
{
    return clock->now(clock->ctx);
}

static void list_remove(struct clock *clock, struct clock_timer *timer)
{
    struct clock_timer **at = &clock->first;

    while (*at != NULL && *at != timer)
        at = &(*at)->next;
    if (*at != NULL)
        *at = timer->next;
    timer->next = NULL;
    timer->armed = false;
}

void clock_arm(struct clock *clock, struct clock_timer *timer, uint64_t deadline_ns)
{
    struct clock_timer **at = &clock->first;

    if (timer->armed)
        list_remove(clock, timer);
    /* A timer that arms itself in the past goes behind the others that are due: all get their turn
     * before it has its second. */
    if (clock->running && deadline_ns < clock->run_now_ns)
        deadline_ns = clock->run_now_ns;
    while (*at != NULL && (*at)->deadline_ns <= deadline_ns)
        at = &(*at)->next;
    timer->deadline_ns = deadline_ns;
    timer->armed = true;
    timer->next = *at;
    *at = timer;
    if (clock->first == timer && !clock->running && clock->deadline_changed != NULL)
        clock->deadline_changed(clock->ctx);
}

void clock_cancel(struct clock *clock, struct clock_timer *timer)
{
    if (timer->armed)
        list_remove(clock, timer);
}

uint64_t clock_next_ns(const struct clock *clock)
{
    return clock->first != NULL ? clock->first->deadline_ns : UINT64_MAX;
}

void clock_run(struct clock *clock)
{
    struct clock_timer *timer = clock->first;
    const uint64_t now_ns = timer != NULL ? clock_now_ns(clock) : 0;

    if (timer == NULL || clock->running)
        return;
    clock->running = true;
    clock->run_now_ns = now_ns;
    for (unsigned fired = 0; fired < FIRES_MAX; fired++) {
        timer = clock->first;
        if (timer == NULL || timer->deadline_ns > now_ns)
            break;
        list_remove(clock, timer);
        timer->fire(timer->ctx, now_ns);
    }
    clock->running = false;
}
