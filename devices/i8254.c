/*
 * devices/i8254.c -- 8254 programmable interval timer, and port B (0x61) that gates channel 2.
 * Sources: Intel 8254 data sheet (231164-005), "Programming the 8254", "Mode Definitions";
 * Intel 82371SB (PIIX3) data sheet (290550-002), "NMISC -- NMI Status and Control Register".
 *
 *   port   read                                        write
 *   40-42  latched status, latched count, or count     count, as the control word says
 *   43     -                                           control word, latch, read-back
 *   61     5 OUT2, 4 refresh toggle, 3..0 as written   3, 2 NMI enables, 1 speaker, 0 GATE2
 *
 * Nothing counts while nobody looks.  A channel remembers at which tick of the 1193182 Hz clock its
 * count was loaded, and count, OUT and the next edge are computed from the time.  Only channel 0
 * has a host timer, for the edges of OUT that IRQ0 needs.
 *
 * Written counts take effect at the tick after the write, like the chip's transfer from CR to CE.
 */
#include "devices/i8254.h"

#include <stdlib.h>

#define NS_PER_S 1000000000u

/* The guest may program a microsecond's period; the host is not woken more often than this, and the
 * edges in between are one. */
#define EDGE_SPACING_MIN_NS 50000u
/* Edges that came late because the host was busy are made up for, but not more than these. */
#define OWED_EDGES_MAX 50u
/* So many of them follow at once, each when the one before has been taken; the others are spread,
 * or a guest that is slow for its host would do nothing else any more. */
#define BURST_EDGES_MAX 8u
/* One refresh request every 18 ticks, as the BIOS programs channel 1; not the guest's business. */
#define REFRESH_TICKS 18u

enum {
    PORT_PIT = 0x40,
    PORT_B = 0x61,

    CONTROL_BCD = 0x01,
    CONTROL_READ_BACK = 3, /* in the counter-select field, bits 7..6 */
    READ_BACK_NO_COUNT = 0x20,
    READ_BACK_NO_STATUS = 0x10,
    STATUS_OUT = 0x80,
    STATUS_NULL_COUNT = 0x40,

    RW_LATCH = 0,
    RW_LSB = 1,
    RW_MSB = 2,
    RW_BOTH = 3,

    PORT_B_GATE2 = 0x01,
    PORT_B_SPEAKER = 0x02,
    PORT_B_WRITABLE = 0x0f,
    PORT_B_REFRESH = 0x10,
    PORT_B_OUT2 = 0x20,

    CHANNELS = 3,
};

struct channel {
    uint8_t control; /* bits 5..0 of the control word: RW, mode, BCD */
    uint8_t mode;    /* 0..5 */
    bool gate;
    bool started;   /* CE holds a count: it was written, and modes 1 and 5 were triggered */
    bool written;   /* CR holds a complete count */
    bool stopped;   /* counting is inhibited; `frozen` is what had elapsed by then */
    bool switching; /* modes 2 and 3: CR replaces CE at tick switch_tick */
    bool write_msb, read_msb; /* the next byte in RW_BOTH */
    uint8_t write_lsb;
    uint32_t reload;     /* CR as a number of ticks, 1..65536 */
    uint32_t count;      /* CE's start value, 1..65536 */
    uint64_t start_tick; /* when CE was loaded; modulo 2^64, may lie before power-on */
    uint64_t switch_tick;
    uint64_t frozen;
    uint16_t latched;
    uint8_t latched_bytes; /* of `latched`, still to be read */
    bool status_latched;
    uint8_t status;
};

struct i8254 {
    struct bus *bus;
    struct clock *clock;
    struct line *irq0, *speaker; /* owned by the board */
    struct clock_timer timer;    /* the next edge of channel 0 */
    struct channel channel[CHANNELS];
    uint8_t port_b;       /* writable bits */
    uint64_t edges_seen;  /* rising edges of OUT0 since start_tick that IRQ0 has had or is owed */
    uint64_t fired_ns;    /* when the timer last did */
    unsigned owed, burst; /* edges; those of `burst` have followed the last one that was due */
};

static uint64_t ticks_at(uint64_t now_ns)
{
    return clock_scale(now_ns, I8254_HZ, NS_PER_S);
}

static uint64_t tick_now(const struct i8254 *dev)
{
    return ticks_at(clock_now_ns(dev->clock));
}

/* The first nanosecond at which `tick` has come. */
static uint64_t tick_to_ns(uint64_t tick)
{
    return clock_scale(tick, NS_PER_S, I8254_HZ) + 1;
}

/* Ticks since CE was loaded; 0 until then. */
static uint64_t elapsed_at(const struct channel *ch, uint64_t tick)
{
    const int64_t elapsed = (int64_t)(tick - ch->start_tick);

    if (ch->stopped)
        return ch->frozen;
    return elapsed > 0 ? (uint64_t)elapsed : 0;
}

static bool periodic(const struct channel *ch)
{
    return ch->mode == 2 || ch->mode == 3;
}

/* Mode 3 is high for the longer half.  [8254 "Mode 3: Square Wave Mode"] */
static uint32_t high_ticks(uint32_t count)
{
    return (count + 1) / 2;
}

/* OUT.  [8254 "Mode Definitions"] */
static bool out_at(const struct channel *ch, uint64_t tick)
{
    const uint64_t elapsed = elapsed_at(ch, tick);

    if (!ch->started)
        return ch->mode != 0;
    switch (ch->mode) {
    case 0:
    case 1:
        return elapsed >= ch->count;
    case 2:
        return !ch->gate || elapsed % ch->count != ch->count - 1;
    case 3:
        return !ch->gate || elapsed % ch->count < high_ticks(ch->count);
    default:
        return elapsed != ch->count;
    }
}

/* Rising edges of OUT from CE's loading up to and including `tick`. */
static uint64_t rising_edges(const struct channel *ch, uint64_t tick)
{
    const uint64_t elapsed = elapsed_at(ch, tick);

    if (!ch->started)
        return 0;
    if (periodic(ch))
        return elapsed / ch->count;
    return elapsed >= (uint64_t)ch->count + (ch->mode >= 4);
}

/* The next tick after `tick` at which IRQ0's level has to be looked at; false: never. */
static bool next_edge(const struct channel *ch, uint64_t tick, uint64_t *edge)
{
    const uint64_t elapsed = elapsed_at(ch, tick);
    uint64_t period_start, target;

    if (!ch->started || ch->stopped)
        return false;
    period_start = elapsed - elapsed % ch->count;
    if (ch->mode == 3 && elapsed - period_start < high_ticks(ch->count))
        target = period_start + high_ticks(ch->count);
    else if (periodic(ch))
        target = period_start + ch->count;
    else
        target = (uint64_t)ch->count + (ch->mode >= 4);
    if (target <= elapsed)
        return false;
    *edge = ch->start_tick + target;
    return true;
}

/* The counting element as the guest reads it, in binary or BCD. */
static uint16_t count_at(const struct channel *ch, uint64_t tick)
{
    const uint64_t elapsed = elapsed_at(ch, tick);
    const uint32_t modulus = ch->control & CONTROL_BCD ? 10000 : 65536;
    uint32_t value;

    if (!ch->started && !ch->written)
        return 0;
    if (ch->mode == 2) {
        value = ch->count - (uint32_t)(elapsed % ch->count);
    } else if (ch->mode == 3) {
        uint32_t phase = (uint32_t)(elapsed % ch->count);

        if (phase >= high_ticks(ch->count))
            phase -= high_ticks(ch->count);
        value = (ch->count & ~1u) - 2 * phase;
    } else {
        value = (uint32_t)((ch->count + modulus - elapsed % modulus) % modulus);
    }
    value %= modulus;
    if (modulus == 65536)
        return (uint16_t)value;
    return (uint16_t)(value / 1000 << 12 | value / 100 % 10 << 8 | value / 10 % 10 << 4 |
                      value % 10);
}

/* CR as a number of ticks: 0 stands for the largest.  Digits above 9 count as what they weigh. */
static uint32_t ticks_of(const struct channel *ch, uint16_t value)
{
    uint32_t ticks = value;

    if (ch->control & CONTROL_BCD) {
        ticks = (value >> 12) * 1000u + (value >> 8 & 15) * 100u + (value >> 4 & 15) * 10u +
                (value & 15);
        return ticks != 0 ? ticks : 10000;
    }
    return ticks != 0 ? ticks : 65536;
}

/* Load CE at `tick`. */
static void channel_load(struct channel *ch, uint64_t tick)
{
    ch->count = ch->reload;
    if (periodic(ch) && ch->count == 1)
        ch->count = 2; /* the data sheet forbids 1, which would be no wave */
    ch->start_tick = tick;
    ch->started = true;
    ch->switching = false;
    ch->frozen = 0;
    ch->stopped = !ch->gate && ch->mode != 1 && ch->mode != 5;
}

/* Bring the channel up to `tick`: a count that waited for the end of the period takes over. */
static void channel_sync(struct channel *ch, uint64_t tick)
{
    uint32_t old_phase;

    if (!ch->switching || ch->stopped || (int64_t)(tick - ch->switch_tick) < 0)
        return;
    old_phase = (uint32_t)((ch->switch_tick - ch->start_tick) % ch->count);
    channel_load(ch, ch->switch_tick);
    if (old_phase != 0) /* mode 3, and the low half comes next */
        ch->start_tick -= high_ticks(ch->count);
}

/*
 * CR is complete.  [8254 "Mode Definitions": where each mode says what a new count does]
 */
static void channel_count_written(struct channel *ch, uint16_t value, uint64_t tick)
{
    ch->reload = ticks_of(ch, value);
    ch->written = true;
    if (ch->mode == 1 || ch->mode == 5) {
        if (!ch->started)
            ch->count = ch->reload; /* what a read shows before the first trigger */
        return;
    }
    if (periodic(ch) && ch->started && !ch->stopped) {
        ch->switching = next_edge(ch, tick, &ch->switch_tick);
        return;
    }
    channel_load(ch, tick + 1);
}

static void channel_set_gate(struct channel *ch, bool gate, uint64_t tick)
{
    const bool rising = gate && !ch->gate;

    if (gate == ch->gate)
        return;
    if (!gate && ch->started && ch->mode != 1 && ch->mode != 5) {
        ch->frozen = elapsed_at(ch, tick);
        ch->stopped = true;
    }
    ch->gate = gate;
    if (!rising || !ch->written)
        return;
    if (ch->mode == 0 || ch->mode == 4) { /* goes on where it was */
        if (ch->stopped && ch->started) {
            ch->start_tick = tick - ch->frozen;
            ch->stopped = false;
        }
    } else {
        channel_load(ch, tick + 1);
    }
}

static void channel_write_control(struct channel *ch, uint8_t value)
{
    const bool gate = ch->gate;
    const uint8_t mode = value >> 1 & 7;

    *ch = (struct channel){.control = value & 0x3f, .gate = gate};
    ch->mode = mode >= 6 ? mode - 4 : mode; /* bit 2 is "don't care" in modes 2 and 3 */
    ch->count = ch->reload = 65536;
}

static void channel_write_count(struct channel *ch, uint8_t value, uint64_t tick)
{
    switch (ch->control >> 4) {
    case RW_LSB:
        channel_count_written(ch, value, tick);
        return;
    case RW_MSB:
        channel_count_written(ch, (uint16_t)(value << 8), tick);
        return;
    case RW_BOTH:
        ch->write_msb = !ch->write_msb;
        if (!ch->write_msb) {
            channel_count_written(ch, (uint16_t)(value << 8 | ch->write_lsb), tick);
            return;
        }
        ch->write_lsb = value;
        if (ch->mode == 0 && ch->started) { /* the first byte stops counting, OUT goes low */
            ch->frozen = elapsed_at(ch, tick);
            ch->stopped = true;
            ch->started = false;
        }
        return;
    default: /* no control word yet: there is no format to write in */
        return;
    }
}

static uint8_t channel_read(struct channel *ch, uint64_t tick)
{
    const unsigned rw = ch->control >> 4;
    uint16_t value;
    bool msb;

    if (ch->status_latched) {
        ch->status_latched = false;
        return ch->status;
    }
    value = ch->latched_bytes != 0 ? ch->latched : count_at(ch, tick);
    msb = rw == RW_MSB || (rw == RW_BOTH && ch->read_msb);
    if (rw == RW_BOTH)
        ch->read_msb = !ch->read_msb;
    if (ch->latched_bytes != 0)
        ch->latched_bytes--;
    return (uint8_t)(msb ? value >> 8 : value);
}

static void channel_latch_count(struct channel *ch, uint64_t tick)
{
    if (ch->latched_bytes != 0)
        return; /* the first latch holds until it is read */
    ch->latched = count_at(ch, tick);
    ch->latched_bytes = ch->control >> 4 == RW_BOTH ? 2 : 1;
}

static void channel_latch_status(struct channel *ch, uint64_t tick)
{
    const bool null_count =
        !ch->started || ch->switching || (!ch->stopped && (int64_t)(tick - ch->start_tick) < 0);

    if (ch->status_latched)
        return;
    ch->status =
        ch->control | (out_at(ch, tick) ? STATUS_OUT : 0) | (null_count ? STATUS_NULL_COUNT : 0);
    ch->status_latched = true;
}

/*
 * IRQ0.  The line follows OUT0, but a high level is never shorter than it takes the guest to see
 * it:
 *  - the one tick for which modes 2, 4 and 5 pull OUT low is shown as a pulse when it is over;
 *  - an edge that the host is late with keeps the line high until the next one.
 */
static void irq0_edge(struct i8254 *dev)
{
    line_set(dev->irq0, false);
    line_set(dev->irq0, true);
}

/* Deliver the edges that came up to now; says whether there were any. */
static bool irq0_advance(struct i8254 *dev, uint64_t now_ns)
{
    struct channel *ch = &dev->channel[0];
    const uint64_t tick = ticks_at(now_ns);
    uint64_t fresh = 0, edges, late;

    if (ch->switching && !ch->stopped && (int64_t)(tick - ch->switch_tick) >= 0) {
        fresh = rising_edges(ch, ch->switch_tick) - dev->edges_seen;
        channel_sync(ch, tick);
        dev->edges_seen = 0;
    }
    edges = rising_edges(ch, tick);
    fresh += edges - dev->edges_seen;
    dev->edges_seen = edges;
    if (fresh == 0)
        return false;
    dev->burst = 0;
    /* Edges closer together than the host is woken were never meant to be told apart. */
    late = tick_to_ns(ch->count) >= 2 * EDGE_SPACING_MIN_NS ? dev->owed + (fresh - 1) : 0;
    dev->owed = late < OWED_EDGES_MAX ? (unsigned)late : OWED_EDGES_MAX;
    irq0_edge(dev);
    return true;
}

static void irq0_schedule(struct i8254 *dev, uint64_t now_ns)
{
    const struct channel *ch = &dev->channel[0];
    uint64_t edge, deadline_ns;

    if (!next_edge(ch, ticks_at(now_ns), &edge)) {
        clock_cancel(dev->clock, &dev->timer);
        return;
    }
    deadline_ns = tick_to_ns(edge);
    if (dev->owed != 0) { /* squeeze what is owed in between, four to a period */
        const uint64_t early_ns = now_ns + tick_to_ns(ch->count) / 4;

        if (early_ns < deadline_ns)
            deadline_ns = early_ns;
    }
    if (deadline_ns < dev->fired_ns + EDGE_SPACING_MIN_NS)
        deadline_ns = dev->fired_ns + EDGE_SPACING_MIN_NS;
    clock_arm(dev->clock, &dev->timer, deadline_ns);
}

static void irq0_fire(void *ctx, uint64_t now_ns)
{
    struct i8254 *dev = ctx;

    dev->fired_ns = now_ns;
    if (!irq0_advance(dev, now_ns)) {
        if (dev->owed != 0) {
            dev->owed--;
            irq0_edge(dev);
        } else if (dev->channel[0].mode == 3) {
            line_set(dev->irq0, out_at(&dev->channel[0], ticks_at(now_ns)));
        }
    }
    irq0_schedule(dev, now_ns);
}

/*
 * A kernel that sees time pass on another clock may give the 8254 up when it has counted fewer
 * edges than it waited for, so that what is owed must not come later than it can help: the next
 * edge follows at once.
 */
void i8254_irq0_taken(struct i8254 *dev)
{
    if (dev->owed == 0 || dev->burst >= BURST_EDGES_MAX)
        return;
    dev->owed--;
    dev->burst++;
    irq0_edge(dev);
}

/* A register write changed channel 0: what is owed of the old wave is void. */
static void irq0_restart(struct i8254 *dev, uint64_t now_ns)
{
    const struct channel *ch = &dev->channel[0];
    const uint64_t tick = ticks_at(now_ns);

    dev->owed = 0;
    dev->edges_seen = rising_edges(ch, tick);
    line_set(dev->irq0, out_at(ch, tick));
    irq0_schedule(dev, now_ns);
}

/* Bring channel `which` to now. */
static void sync(struct i8254 *dev, unsigned which, uint64_t now_ns)
{
    if (which == 0)
        (void)irq0_advance(dev, now_ns);
    else
        channel_sync(&dev->channel[which], ticks_at(now_ns));
}

static void speaker_update(struct i8254 *dev, uint64_t tick)
{
    line_set(dev->speaker, (dev->port_b & PORT_B_SPEAKER) && out_at(&dev->channel[2], tick));
}

uint32_t i8254_speaker_hz(const struct i8254 *dev)
{
    const struct channel *ch = &dev->channel[2];

    if (!(dev->port_b & PORT_B_SPEAKER) || !ch->gate || !ch->started || ch->mode != 3)
        return 0;
    return I8254_HZ / ch->count;
}

/* [8254 "Read-Back Command"] */
static void write_read_back(struct i8254 *dev, uint8_t value, uint64_t tick)
{
    for (unsigned i = 0; i < CHANNELS; i++) {
        if (!(value & 2u << i))
            continue;
        if (!(value & READ_BACK_NO_COUNT))
            channel_latch_count(&dev->channel[i], tick);
        if (!(value & READ_BACK_NO_STATUS))
            channel_latch_status(&dev->channel[i], tick);
    }
}

static uint32_t i8254_read(void *ctx, uint16_t offset, unsigned size)
{
    struct i8254 *dev = ctx;
    const uint64_t now_ns = clock_now_ns(dev->clock);

    (void)size;
    if (offset == CHANNELS) {
        bus_log_once(dev->bus, "i8254", PORT_PIT + offset, "the control word cannot be read");
        return 0xff;
    }
    sync(dev, offset, now_ns);
    return channel_read(&dev->channel[offset], ticks_at(now_ns));
}

static void i8254_write(void *ctx, uint16_t offset, unsigned size, uint32_t value)
{
    struct i8254 *dev = ctx;
    const uint64_t now_ns = clock_now_ns(dev->clock);
    const uint64_t tick = ticks_at(now_ns);
    unsigned which = offset;

    (void)size;
    for (unsigned i = 0; i < CHANNELS; i++)
        sync(dev, i, now_ns);
    if (offset < CHANNELS) {
        channel_write_count(&dev->channel[offset], (uint8_t)value, tick);
    } else {
        which = value >> 6 & 3;
        if (which == CONTROL_READ_BACK) {
            write_read_back(dev, (uint8_t)value, tick);
            return;
        }
        if ((value >> 4 & 3) == RW_LATCH) {
            channel_latch_count(&dev->channel[which], tick);
            return;
        }
        channel_write_control(&dev->channel[which], (uint8_t)value);
    }
    if (which == 0)
        irq0_restart(dev, now_ns);
    if (which == 2)
        speaker_update(dev, tick);
}

static uint32_t port_b_read(void *ctx, uint16_t offset, unsigned size)
{
    struct i8254 *dev = ctx;
    const uint64_t tick = tick_now(dev);

    (void)offset;
    (void)size;
    channel_sync(&dev->channel[2], tick);
    return dev->port_b | (tick / REFRESH_TICKS & 1 ? PORT_B_REFRESH : 0) |
           (out_at(&dev->channel[2], tick) ? PORT_B_OUT2 : 0);
}

static void port_b_write(void *ctx, uint16_t offset, unsigned size, uint32_t value)
{
    struct i8254 *dev = ctx;
    const uint64_t tick = tick_now(dev);

    (void)offset;
    (void)size;
    dev->port_b = value & PORT_B_WRITABLE;
    channel_sync(&dev->channel[2], tick);
    channel_set_gate(&dev->channel[2], (value & PORT_B_GATE2) != 0, tick);
    speaker_update(dev, tick);
}

static const struct io_ops i8254_ops = {"i8254", 1, i8254_read, i8254_write};
static const struct io_ops port_b_ops = {"port B", 1, port_b_read, port_b_write};

struct i8254 *i8254_create(struct bus *bus, struct clock *clock, struct line *irq0,
                           struct line *speaker)
{
    struct i8254 *dev = calloc(1, sizeof(*dev));

    if (dev == NULL)
        return NULL;
    dev->bus = bus;
    dev->clock = clock;
    dev->irq0 = irq0;
    dev->speaker = speaker;
    dev->timer.fire = irq0_fire;
    dev->timer.ctx = dev;
    if (bus_map_io(bus, PORT_PIT, 4, &i8254_ops, dev) != 0) {
        free(dev);
        return NULL;
    }
    if (bus_map_io(bus, PORT_B, 1, &port_b_ops, dev) != 0) {
        bus_unmap_io(bus, PORT_PIT, 4);
        free(dev);
        return NULL;
    }
    i8254_reset(dev);
    return dev;
}

void i8254_destroy(struct i8254 *dev)
{
    if (dev == NULL)
        return;
    clock_cancel(dev->clock, &dev->timer);
    bus_unmap_io(dev->bus, PORT_PIT, 4);
    bus_unmap_io(dev->bus, PORT_B, 1);
    free(dev);
}

/* The chip has no reset pin and wakes up undefined; here no channel counts, all in mode 0 with OUT
 * low, until it is programmed. */
void i8254_reset(struct i8254 *dev)
{
    clock_cancel(dev->clock, &dev->timer);
    for (unsigned i = 0; i < CHANNELS; i++)
        dev->channel[i] = (struct channel){.gate = i != 2, .count = 65536, .reload = 65536};
    dev->port_b = 0;
    dev->edges_seen = 0;
    dev->fired_ns = 0;
    dev->owed = dev->burst = 0;
    line_set(dev->irq0, false);
    line_set(dev->speaker, false);
}
