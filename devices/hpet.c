/*
 * devices/hpet.c -- high precision event timers.
 * Source: IA-PC HPET specification 1.0a, 2.3 "Register Definitions"; Intel Pentium Silver data
 * sheet volume 1, "Periodic Versus Non-Periodic Modes", for a match after the counter wrapped.
 *
 *   +000 capabilities  63:32 period, fs; 31:16 vendor; 15 legacy route; 13 64 bits; 12:8 last timer
 *   +010 configuration 1 LEG_RT, 0 ENABLE         +020 interrupt status, w1c (level timers)
 *   +0F0 main counter, 100 MHz
 *   +100 + 20n  configuration of timer n: 63:32 pins it can be routed to; 13:9 pin; 8 32 bits;
 *               6 VAL_SET; 5 is 64 bits; 4 can be periodic; 3 periodic; 2 interrupt; 1 level
 *   +108 + 20n  comparator
 *
 * Nothing counts while nobody looks: the counter is computed from the time, and a timer remembers
 * up to which count its matches are known.  A host timer runs only for an interrupt that is enabled
 * and not yet pending.
 *
 * An edge interrupt raises its line for good; the next match, or whatever takes the interrupt away,
 * lowers it first: an interrupt controller that has not looked yet loses nothing.
 *
 * Deviation: periodic edge interrupts that the host was too late for are owed, as with the 8254:
 * they come quickly one after the other until the guest has had them, some of them as soon as the
 * one before has been taken. A kernel that waits for ticks would lose them where the process gets
 * too little of the host.
 *
 * Deviation: a comparator that is written with a count that has just gone by matches at once, not
 * after the next wrap: the guest's CPU may be held up between its read of the counter and the
 * write. There are no FSB (MSI) interrupts.
 */
#include "devices/hpet.h"

#include <stdlib.h>

/* The host is not woken more often than this; matches in between are one. */
#define MATCH_SPACING_MIN_NS 50000u
/* No more than this many are owed, and so many to a period until they are not. */
#define OWED_MAX        50
#define OWED_PER_PERIOD 16
/* So many follow at once, each when the one before has been taken. */
#define BURST_MAX 8
/* "Has just gone by": a sixth of a second. */
#define LATE_TICKS UINT64_C(0x1000000)

#define FS_PER_TICK    (UINT64_C(1000000) * HPET_NS_PER_TICK)
#define CAPABILITIES   (FS_PER_TICK << 32 | HPET_BLOCK_ID)
#define CONFIG_ENABLE  0x1u
#define CONFIG_LEG_RT  0x2u
#define REG_CAP        0x000u
#define REG_CONFIG     0x010u
#define REG_STATUS     0x020u
#define REG_COUNTER    0x0F0u
#define REG_TIMERS     0x100u
#define TIMER_STRIDE   0x20u
#define TIMER_CONFIG   0x00u
#define TIMER_COMPARE  0x08u
#define TN_LEVEL       0x0002u
#define TN_INT_ENB     0x0004u
#define TN_PERIODIC    0x0008u
#define TN_PER_CAP     0x0010u
#define TN_SIZE_CAP    0x0020u
#define TN_VAL_SET     0x0040u
#define TN_32MODE      0x0100u
#define TN_ROUTE       0x3E00u
#define TN_ROUTE_SHIFT 9
#define TN_ROUTE_CAP   (((UINT64_C(1) << HPET_PIN_COUNT) - 1) << (32 + HPET_FIRST_PIN))
#define TN_WRITABLE    (TN_LEVEL | TN_INT_ENB | TN_PERIODIC | TN_VAL_SET | TN_32MODE | TN_ROUTE)
#define TN_FIXED       (TN_PER_CAP | TN_SIZE_CAP | TN_ROUTE_CAP)

struct timer {
    struct hpet *hpet;
    unsigned index;
    uint64_t config;
    uint64_t comparator, period;
    uint64_t seen;     /* the count up to which matches are accounted for */
    uint64_t fired_ns; /* when the host timer last did */
    unsigned owed;     /* interrupts for matches that were seen too late */
    unsigned burst;    /* those of them that followed the last match at once */
    struct line *line; /* that is high for this timer, NULL: none */
    struct clock_timer host;
};

struct hpet {
    struct bus *bus;
    struct clock *clock;
    struct hpet_lines lines;
    uint64_t config, status;
    uint64_t offset; /* the counter while halted; counter less the time's ticks while it runs */
    struct timer timers[HPET_TIMER_COUNT];
};

/* ---- counter ---- */

static uint64_t ticks_at(uint64_t now_ns)
{
    return now_ns / HPET_NS_PER_TICK;
}

static bool enabled(const struct hpet *dev)
{
    return dev->config & CONFIG_ENABLE;
}

static uint64_t counter_at(const struct hpet *dev, uint64_t now_ns)
{
    return enabled(dev) ? ticks_at(now_ns) + dev->offset : dev->offset;
}

static uint64_t timer_mask(const struct timer *t)
{
    return t->config & TN_32MODE ? UINT32_MAX : UINT64_MAX;
}

/* ---- interrupts ---- */

static struct line *timer_line(const struct timer *t)
{
    const struct hpet *dev = t->hpet;
    const unsigned pin = (unsigned)((t->config & TN_ROUTE) >> TN_ROUTE_SHIFT);

    if ((dev->config & CONFIG_LEG_RT) && t->index < 2)
        return t->index == 0 ? dev->lines.irq0 : dev->lines.irq8;
    if (pin < HPET_FIRST_PIN || pin >= HPET_FIRST_PIN + HPET_PIN_COUNT)
        return NULL;
    return &dev->lines.pins[pin - HPET_FIRST_PIN];
}

static void line_drop(struct timer *t)
{
    struct line *line = t->line;

    t->line = NULL;
    if (line == NULL)
        return;
    for (unsigned i = 0; i < HPET_TIMER_COUNT; i++) {
        if (t->hpet->timers[i].line == line)
            return; /* another timer shares it */
    }
    line_set(line, false);
}

static void line_raise(struct timer *t)
{
    line_drop(t);
    t->line = timer_line(t);
    if (t->line != NULL)
        line_set(t->line, true);
}

/* Whatever decides about the interrupt changed: a level is asserted while its status is set. */
static void timer_line_update(struct timer *t)
{
    const bool on = (t->config & TN_INT_ENB) && enabled(t->hpet);

    if (t->config & TN_LEVEL) {
        if (on && (t->hpet->status & 1u << t->index)) {
            if (t->line != timer_line(t))
                line_raise(t);
        } else {
            line_drop(t);
        }
    } else if (!on || t->line != timer_line(t)) {
        line_drop(t);
    }
}

/* Does each match of its own count, however late it is seen? */
static bool owes(const struct timer *t)
{
    return (t->config & TN_PERIODIC) && (t->config & TN_INT_ENB) && !(t->config & TN_LEVEL) &&
           (t->period & timer_mask(t)) * HPET_NS_PER_TICK >= 2 * MATCH_SPACING_MIN_NS;
}

static void timer_match(struct timer *t)
{
    if (t->config & TN_LEVEL) {
        t->hpet->status |= 1u << t->index;
        timer_line_update(t);
    } else if (t->config & TN_INT_ENB) {
        line_raise(t);
    }
}

/* ---- matches ---- */

/* Ticks from t->seen to the next match, 1..2^32 or 1..2^64 - 1. */
static uint64_t match_distance(const struct timer *t)
{
    return ((t->comparator - t->seen - 1) & timer_mask(t)) + 1;
}

/* Move a periodic comparator past `counter`; it is at most that.  Returns how often it matched. */
static uint64_t comparator_accumulate(struct timer *t, uint64_t counter)
{
    const uint64_t mask = timer_mask(t);
    const uint64_t period = t->period & mask;
    const uint64_t behind = (counter - t->comparator) & mask;

    if (period == 0) /* matches once, like a one-shot */
        return 1;
    t->comparator = (t->comparator + (behind / period + 1) * period) & mask;
    return behind / period + 1;
}

/* Account for what matched up to now: one interrupt, the others are owed.  Says whether any did. */
static bool timer_catch_up(struct timer *t, uint64_t now_ns)
{
    const uint64_t counter = counter_at(t->hpet, now_ns);
    const uint64_t distance = match_distance(t);
    uint64_t matches = 1;

    if (!enabled(t->hpet) || counter == t->seen)
        return false;
    /* distance is 0 for 2^64, which no counter reaches */
    if (distance == 0 || counter - t->seen < distance) {
        t->seen = counter;
        return false;
    }
    t->seen = counter;
    t->burst = 0;
    if (t->config & TN_PERIODIC)
        matches = comparator_accumulate(t, counter);
    if (owes(t))
        t->owed = matches - 1 < OWED_MAX - t->owed ? t->owed + (unsigned)(matches - 1) : OWED_MAX;
    timer_match(t);
    return true;
}

static void timer_schedule(struct timer *t, uint64_t now_ns)
{
    const struct hpet *dev = t->hpet;
    const bool pending = (t->config & TN_LEVEL) && (dev->status & 1u << t->index);
    const uint64_t distance = match_distance(t);
    uint64_t deadline_ns;

    if (!enabled(dev) || !(t->config & TN_INT_ENB) || pending || distance == 0 ||
        distance > UINT64_MAX / (2 * HPET_NS_PER_TICK) - ticks_at(now_ns)) {
        clock_cancel(dev->clock, &t->host);
        return;
    }
    deadline_ns = (ticks_at(now_ns) + distance) * HPET_NS_PER_TICK;
    if (t->owed != 0) {
        const uint64_t early_ns =
            now_ns + (t->period & timer_mask(t)) * HPET_NS_PER_TICK / OWED_PER_PERIOD;

        if (early_ns < deadline_ns)
            deadline_ns = early_ns;
    }
    if ((t->config & TN_PERIODIC) && deadline_ns < t->fired_ns + MATCH_SPACING_MIN_NS)
        deadline_ns = t->fired_ns + MATCH_SPACING_MIN_NS;
    clock_arm(dev->clock, &t->host, deadline_ns);
}

static void timer_fire(void *ctx, uint64_t now_ns)
{
    struct timer *t = ctx;

    t->fired_ns = now_ns;
    if (!timer_catch_up(t, now_ns) && t->owed != 0) {
        t->owed--;
        timer_match(t);
    }
    timer_schedule(t, now_ns);
}

void hpet_irq0_taken(struct hpet *dev)
{
    struct timer *t = &dev->timers[0];

    if (t->owed == 0 || t->burst >= BURST_MAX || timer_line(t) != dev->lines.irq0)
        return;
    t->owed--;
    t->burst++;
    timer_match(t);
}

static void catch_up(struct hpet *dev, uint64_t now_ns)
{
    for (unsigned i = 0; i < HPET_TIMER_COUNT; i++)
        (void)timer_catch_up(&dev->timers[i], now_ns);
}

static void schedule(struct hpet *dev, uint64_t now_ns)
{
    for (unsigned i = 0; i < HPET_TIMER_COUNT; i++) {
        timer_line_update(&dev->timers[i]);
        timer_schedule(&dev->timers[i], now_ns);
    }
}

/* ---- registers ---- */

static uint64_t register_read(struct hpet *dev, uint64_t reg, uint64_t now_ns)
{
    const uint64_t index = (reg - REG_TIMERS) / TIMER_STRIDE;

    switch (reg) {
    case REG_CAP:
        return CAPABILITIES;
    case REG_CONFIG:
        return dev->config;
    case REG_STATUS:
        return dev->status;
    case REG_COUNTER:
        return counter_at(dev, now_ns);
    }
    if (reg < REG_TIMERS || index >= HPET_TIMER_COUNT) {
        bus_log_once(dev->bus, "hpet", reg, "read of unimplemented register");
        return 0;
    }
    switch (reg % TIMER_STRIDE) {
    case TIMER_CONFIG:
        return dev->timers[index].config;
    case TIMER_COMPARE:
        return dev->timers[index].comparator & timer_mask(&dev->timers[index]);
    default:
        return 0; /* FSB route */
    }
}

/* The counter jumps to `counter`; it need not be halted, although it should. */
static void counter_set(struct hpet *dev, uint64_t counter, uint64_t now_ns)
{
    dev->offset = enabled(dev) ? counter - ticks_at(now_ns) : counter;
    for (unsigned i = 0; i < HPET_TIMER_COUNT; i++) {
        dev->timers[i].seen = counter - 1; /* a comparator that equals it matches */
        dev->timers[i].owed = 0;
    }
}

static void config_write(struct hpet *dev, uint64_t value, uint64_t now_ns)
{
    const uint64_t counter = counter_at(dev, now_ns);
    const bool was_enabled = enabled(dev);

    dev->config = value & (CONFIG_ENABLE | CONFIG_LEG_RT);
    if (enabled(dev) != was_enabled)
        dev->offset = enabled(dev) ? counter - ticks_at(now_ns) : counter;
    /* Lines that lose their timer fall before the 8254 and the RTC get them back. */
    for (unsigned i = 0; i < HPET_TIMER_COUNT; i++) {
        timer_line_update(&dev->timers[i]);
        dev->timers[i].owed = 0;
    }
    line_set(dev->lines.legacy,
             (dev->config & (CONFIG_ENABLE | CONFIG_LEG_RT)) == (CONFIG_ENABLE | CONFIG_LEG_RT));
}

static void comparator_write(struct timer *t, uint64_t value, uint64_t written, uint64_t counter)
{
    const uint64_t mask = timer_mask(t);

    if (t->config & TN_PERIODIC)
        t->period = ((t->period & ~written) | (value & written)) & mask;
    if (!(t->config & TN_PERIODIC) || (t->config & TN_VAL_SET)) {
        t->comparator = ((t->comparator & ~written) | (value & written)) & mask;
        t->seen = counter;
        if (((counter - t->comparator) & mask) < (enabled(t->hpet) ? LATE_TICKS : 1))
            t->seen = t->comparator - 1;
    }
    t->config &= ~(uint64_t)TN_VAL_SET;
}

/* written: the bits of the register that the access carries. */
static void register_write(struct hpet *dev, uint64_t reg, uint64_t value, uint64_t written,
                           uint64_t now_ns)
{
    const uint64_t index = (reg - REG_TIMERS) / TIMER_STRIDE;
    struct timer *t;

    switch (reg) {
    case REG_CAP:
        return;
    case REG_CONFIG:
        config_write(dev, (dev->config & ~written) | (value & written), now_ns);
        return;
    case REG_STATUS:
        dev->status &= ~(value & written);
        return;
    case REG_COUNTER:
        counter_set(dev, (counter_at(dev, now_ns) & ~written) | (value & written), now_ns);
        return;
    }
    if (reg < REG_TIMERS || index >= HPET_TIMER_COUNT) {
        bus_log_once(dev->bus, "hpet", reg, "write to unimplemented register");
        return;
    }
    t = &dev->timers[index];
    t->owed = 0; /* of what it was until now */
    if (reg % TIMER_STRIDE == TIMER_CONFIG) {
        written &= TN_WRITABLE;
        t->config = (t->config & ~written) | (value & written);
        t->comparator &= timer_mask(t);
        if (!(t->config & TN_LEVEL))
            dev->status &= ~(uint64_t)(1u << index);
    } else if (reg % TIMER_STRIDE == TIMER_COMPARE) {
        comparator_write(t, value, written, counter_at(dev, now_ns));
    }
}

/* Only accesses of 4 or 8 bytes, aligned, are defined: others carry the bytes they have. */
static uint64_t mmio_read(void *ctx, uint64_t offset, unsigned size)
{
    struct hpet *dev = ctx;
    const uint64_t now_ns = clock_now_ns(dev->clock);
    uint64_t value;

    /* Guests read the counter often, and it depends on no match. */
    if ((offset & ~UINT64_C(7)) != REG_COUNTER) {
        catch_up(dev, now_ns);
        schedule(dev, now_ns);
    }
    value = register_read(dev, offset & ~UINT64_C(7), now_ns) >> (offset & 7) * 8;
    return size < 8 ? value & ((UINT64_C(1) << 8 * size) - 1) : value;
}

static void mmio_write(void *ctx, uint64_t offset, unsigned size, uint64_t value)
{
    struct hpet *dev = ctx;
    const uint64_t now_ns = clock_now_ns(dev->clock);
    const unsigned shift = (unsigned)(offset & 7) * 8;
    const uint64_t bytes = size < 8 ? (UINT64_C(1) << 8 * size) - 1 : UINT64_MAX;

    catch_up(dev, now_ns);
    register_write(dev, offset & ~UINT64_C(7), value << shift, bytes << shift, now_ns);
    catch_up(dev, now_ns);
    schedule(dev, now_ns);
}

const struct bus_mmio_ops hpet_mmio = {.name = "hpet", .read = mmio_read, .write = mmio_write};

/* ---- life ---- */

void hpet_reset(struct hpet *dev)
{
    dev->config = dev->status = 0;
    dev->offset = 0;
    for (unsigned i = 0; i < HPET_TIMER_COUNT; i++) {
        struct timer *t = &dev->timers[i];

        clock_cancel(dev->clock, &t->host);
        line_drop(t);
        t->config = TN_FIXED;
        t->comparator = UINT64_MAX;
        t->period = t->seen = t->fired_ns = 0;
        t->owed = 0;
    }
    line_set(dev->lines.legacy, false);
}

struct hpet *hpet_create(struct bus *bus, struct clock *clock, const struct hpet_lines *lines)
{
    struct hpet *dev = calloc(1, sizeof(*dev));

    if (dev == NULL)
        return NULL;
    dev->bus = bus;
    dev->clock = clock;
    dev->lines = *lines;
    for (unsigned i = 0; i < HPET_TIMER_COUNT; i++) {
        dev->timers[i].hpet = dev;
        dev->timers[i].index = i;
        dev->timers[i].host.fire = timer_fire;
        dev->timers[i].host.ctx = &dev->timers[i];
    }
    hpet_reset(dev);
    return dev;
}

void hpet_destroy(struct hpet *dev)
{
    if (dev == NULL)
        return;
    for (unsigned i = 0; i < HPET_TIMER_COUNT; i++)
        clock_cancel(dev->clock, &dev->timers[i].host);
    free(dev);
}
