/*
 * devices/clock.h -- the machine's one virtual clock and its timers.
 *
 * Time is nanoseconds since power-on.  It comes either from the host's monotonic clock or from
 * counted instructions (reproducible runs); chips cannot tell.
 */
#ifndef RINGER_DEVICES_CLOCK_H
#define RINGER_DEVICES_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct clock;

struct clock_timer {
    void (*fire)(void *ctx, uint64_t now_ns);
    void *ctx;
    uint64_t deadline_ns;
    bool armed;
    struct clock_timer *next; /* the clock's list, by deadline */
};

/* now: reads the time source. deadline_changed (may be NULL): the earliest deadline moved forward,
 * whoever sleeps or runs must look again.  Not called for what timers arm inside clock_run(): its
 * caller looks at clock_next_ns() afterwards anyway. */
struct clock *clock_create(uint64_t (*now)(void *ctx), void *ctx,
                           void (*deadline_changed)(void *ctx));
void clock_destroy(struct clock *clock);
uint64_t clock_now_ns(const struct clock *clock);
void clock_arm(struct clock *clock, struct clock_timer *timer, uint64_t deadline_ns);
void clock_cancel(struct clock *clock, struct clock_timer *timer);
/* Earliest deadline, UINT64_MAX when none is armed. */
uint64_t clock_next_ns(const struct clock *clock);
/* Fire everything that is due. A timer may arm itself again; one call fires a bounded number, so
 * clock_next_ns() may still be in the past afterwards. */
void clock_run(struct clock *clock);

/* value * mul / div without overflow of the product. */
static inline uint64_t clock_scale(uint64_t value, uint64_t mul, uint64_t div)
{
    return (uint64_t)((unsigned __int128)value * mul / div);
}

#endif
