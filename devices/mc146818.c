/*
 * devices/mc146818.c -- MC146818 real-time clock with 128 bytes of battery-backed RAM.
 * Sources: Motorola MC146818A data sheet, "Address Map", "Registers", "Update Cycle"; Intel 82371SB
 * (PIIX3) data sheet (290550-002), "Real Time Clock I/O Registers" for ports 70..73; the century
 * byte at 0x32 is what the ACPI FADT's CENTURY field of this board points at.
 *
 *   port 70/72  write   7 NMI disable, 6..0 index       port 71/73  the indexed byte
 *
 *   index  0 2 4    seconds, minutes, hours     6 7 8 9  weekday (1 Sunday), day, month, year
 *          1 3 5    the alarm's; C0..FF match anything
 *          A  7 UIP, 6..4 divider, 3..0 periodic rate      C  7 IRQF, 6 PF, 5 AF, 4 UF; read clears
 *          B  7 SET, 6 PIE, 5 AIE, 4 UIE, 3 SQWE, 2 DM (binary), 1 24 hours, 0 DSE   D  7 VRT
 *
 * Interrupts that come while the last one has not been served are one, as on the chip: a guest that
 * counts periodic interrupts loses what it is late for.
 *
 * Nothing ticks while nobody looks.  Seconds are boundaries of the divider chain, a multiple of 1 s
 * after divider_ns; the calendar is computed from their number.  While the guest holds the clock
 * (SET, or the divider in reset) the ten bytes are plain RAM.  The flags of register C are computed
 * from the time since they were last looked at; a host timer runs only for an enabled interrupt
 * whose flag is clear.
 */
#include "devices/mc146818.h"

#include <stdlib.h>
#include <string.h>

#define NS_PER_S        1000000000u
#define CRYSTAL_HZ      32768u
#define SECONDS_PER_DAY 86400u
/* The update cycle at 32768 Hz, and the warning before it. [MC146818A "Update Cycle"] */
#define UPDATE_NS   1984000u
#define UIP_LEAD_NS 244000u
/* A released divider makes its first update half a second later. [MC146818A "Divider Control"] */
#define RELEASE_NS 500000000u

enum {
    PORT_RTC = 0x70,
    PORT_COUNT = 4,
    INDEX_NMI_DISABLE = 0x80,

    SECONDS = 0x00,
    SECONDS_ALARM = 0x01,
    MINUTES = 0x02,
    MINUTES_ALARM = 0x03,
    HOURS = 0x04,
    HOURS_ALARM = 0x05,
    DAY_OF_WEEK = 0x06,
    DAY_OF_MONTH = 0x07,
    MONTH = 0x08,
    YEAR = 0x09,
    REG_A = 0x0A,
    REG_B = 0x0B,
    REG_C = 0x0C,
    REG_D = 0x0D,
    CENTURY = 0x32,
    RAM_SIZE = 128,

    A_UIP = 0x80,
    A_DIVIDER = 0x70,
    A_DIVIDER_32768 = 0x20,
    A_DIVIDER_RESET = 0x60, /* 11x */
    A_RATE = 0x0f,
    B_SET = 0x80,
    B_DM = 0x04,
    B_24 = 0x02,
    C_IRQF = 0x80,
    C_PF = 0x40, /* PF, AF and UF stand where PIE, AIE and UIE stand in B */
    C_AF = 0x20,
    C_UF = 0x10,
    C_FLAGS = C_PF | C_AF | C_UF,
    D_VRT = 0x80,
    ALARM_ANY = 0xC0,
    HOUR_PM = 0x80,
};

struct mc146818 {
    struct bus *bus;
    struct clock *clock;
    struct line *irq8, *nmi_disable; /* owned by the board */
    struct clock_timer timer;        /* the next interrupt */
    uint8_t index;
    uint8_t ram[RAM_SIZE]; /* 0x00..0x09 and CENTURY count only while the clock is held */
    uint64_t divider_ns;   /* a second's boundary, modulo 2^64: may lie before power-on */
    uint64_t set_second;   /* number of the boundary at which the calendar stood at set_s */
    uint64_t set_s;        /* seconds since 1970 */
    uint8_t weekday_shift; /* what the guest's weekday is ahead of the date's */
    uint64_t looked_ns;    /* register C holds what happened up to then */
};

/* -- Calendar ---------------------------------------------------------------------------------- */

struct calendar {
    unsigned second, minute, hour, day, month, year, weekday; /* day, month, weekday from 1 */
};

/* Days since 1970-01-01 of a date of the Gregorian calendar; the year starts in March so that the
 * leap day is its last. */
static int64_t days_from_date(int64_t year, unsigned month, unsigned day)
{
    const unsigned from_march = (month + 9) % 12;
    const int64_t y = month <= 2 ? year - 1 : year;

    return y * 365 + y / 4 - y / 100 + y / 400 + (from_march * 153 + 2) / 5 + day - 1 - 719468;
}

static void calendar_from_seconds(struct calendar *cal, uint64_t seconds)
{
    const uint64_t days = seconds / SECONDS_PER_DAY;
    const unsigned rest = (unsigned)(seconds % SECONDS_PER_DAY);
    const uint64_t era_days = days + 719468; /* since 0000-03-01 */
    const uint64_t era = era_days / 146097;  /* 400 years each */
    const unsigned in_era = (unsigned)(era_days % 146097);
    const unsigned year_of_era = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    const unsigned day_of_year = in_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const unsigned from_march = (5 * day_of_year + 2) / 153;

    cal->second = rest % 60;
    cal->minute = rest / 60 % 60;
    cal->hour = rest / 3600;
    cal->day = day_of_year - (153 * from_march + 2) / 5 + 1;
    cal->month = from_march < 10 ? from_march + 3 : from_march - 9;
    cal->year = (unsigned)(era * 400) + year_of_era + (cal->month <= 2);
    cal->weekday = (unsigned)((days + 4) % 7) + 1;
}

static uint8_t encode(const struct mc146818 *dev, unsigned value)
{
    return (uint8_t)(dev->ram[REG_B] & B_DM ? value : value / 10 << 4 | value % 10);
}

static unsigned decode(const struct mc146818 *dev, uint8_t value)
{
    return dev->ram[REG_B] & B_DM ? value : (value >> 4) * 10u + (value & 15);
}

static uint8_t encode_hour(const struct mc146818 *dev, unsigned hour)
{
    if (dev->ram[REG_B] & B_24)
        return encode(dev, hour);
    return encode(dev, (hour + 11) % 12 + 1) | (hour >= 12 ? HOUR_PM : 0);
}

static unsigned decode_hour(const struct mc146818 *dev, uint8_t value)
{
    if (dev->ram[REG_B] & B_24)
        return decode(dev, value);
    return decode(dev, value & ~HOUR_PM) % 12 + (value & HOUR_PM ? 12 : 0);
}

static bool is_time_index(uint8_t index)
{
    return index == CENTURY || (index <= YEAR && index != SECONDS_ALARM && index != MINUTES_ALARM &&
                                index != HOURS_ALARM);
}

/* -- Time -------------------------------------------------------------------------------------- */

/* Deviation: divider settings for other crystals (000, 001) stop the clock like an unconnected one.
 */
static bool divider_runs(const struct mc146818 *dev)
{
    return (dev->ram[REG_A] & A_DIVIDER) == A_DIVIDER_32768;
}

static bool clock_held(const struct mc146818 *dev)
{
    return !divider_runs(dev) || (dev->ram[REG_B] & B_SET);
}

/* Number of the second's boundary that was last at now_ns. */
static uint64_t second_at(const struct mc146818 *dev, uint64_t now_ns)
{
    return (now_ns - dev->divider_ns) / NS_PER_S;
}

static uint64_t second_to_ns(const struct mc146818 *dev, uint64_t second)
{
    return dev->divider_ns + second * NS_PER_S;
}

static uint64_t time_at(const struct mc146818 *dev, uint64_t now_ns)
{
    return dev->set_s + (second_at(dev, now_ns) - dev->set_second);
}

/* The ten bytes as the running clock shows them. */
static void time_to_ram(struct mc146818 *dev, uint64_t now_ns)
{
    struct calendar cal;

    calendar_from_seconds(&cal, time_at(dev, now_ns));
    dev->ram[SECONDS] = encode(dev, cal.second);
    dev->ram[MINUTES] = encode(dev, cal.minute);
    dev->ram[HOURS] = encode_hour(dev, cal.hour);
    dev->ram[DAY_OF_WEEK] = encode(dev, (cal.weekday - 1 + dev->weekday_shift) % 7 + 1);
    dev->ram[DAY_OF_MONTH] = encode(dev, cal.day);
    dev->ram[MONTH] = encode(dev, cal.month);
    dev->ram[YEAR] = encode(dev, cal.year % 100);
    dev->ram[CENTURY] = encode(dev, cal.year / 100 % 100);
}

/* Start the clock from the ten bytes; what is out of range carries over or is cut off. */
static void time_from_ram(struct mc146818 *dev, uint64_t now_ns)
{
    struct calendar cal;
    const unsigned month = decode(dev, dev->ram[MONTH]);
    const unsigned year = decode(dev, dev->ram[CENTURY]) * 100 + decode(dev, dev->ram[YEAR]) % 100;
    int64_t seconds = days_from_date(year,
                                     month < 1    ? 1
                                     : month > 12 ? 12
                                                  : month,
                                     decode(dev, dev->ram[DAY_OF_MONTH]));

    seconds = seconds * SECONDS_PER_DAY + decode_hour(dev, dev->ram[HOURS]) * 3600 +
              decode(dev, dev->ram[MINUTES]) * 60 + decode(dev, dev->ram[SECONDS]);
    dev->set_s = seconds > 0 ? (uint64_t)seconds : 0;
    dev->set_second = second_at(dev, now_ns);
    calendar_from_seconds(&cal, dev->set_s);
    dev->weekday_shift = (uint8_t)((decode(dev, dev->ram[DAY_OF_WEEK]) % 7 + 7 - cal.weekday) % 7);
}

/* -- Interrupts -------------------------------------------------------------------------------- */

/* Crystal cycles between periodic interrupts, 0: none.  [MC146818A "Register A", rate selection] */
static unsigned periodic_cycles(const struct mc146818 *dev)
{
    const unsigned rate = dev->ram[REG_A] & A_RATE;

    if (rate == 0 || !divider_runs(dev))
        return 0;
    return rate <= 2 ? 64u << rate : 1u << (rate - 1);
}

static uint64_t periodic_number(const struct mc146818 *dev, uint64_t now_ns, unsigned cycles)
{
    return clock_scale(now_ns - dev->divider_ns, CRYSTAL_HZ, NS_PER_S) / cycles;
}

static bool alarm_matches(uint8_t alarm, uint8_t shown)
{
    return (alarm & ALARM_ANY) == ALARM_ANY || alarm == shown;
}

/*
 * Seconds from `time` to the next one that the alarm matches, at least 1; 0 for never.  A day is
 * walked field by field: at most 24 + 60 + 60 comparisons for each field that matters.
 */
static uint64_t alarm_distance(const struct mc146818 *dev, uint64_t time)
{
    const unsigned from = (unsigned)(time % SECONDS_PER_DAY);
    bool hours[24], minutes[60], seconds[60];
    bool any[3] = {false, false, false};
    unsigned second;

    for (unsigned i = 0; i < 24; i++)
        any[0] |= hours[i] = alarm_matches(dev->ram[HOURS_ALARM], encode_hour(dev, i));
    for (unsigned i = 0; i < 60; i++) {
        any[1] |= minutes[i] = alarm_matches(dev->ram[MINUTES_ALARM], encode(dev, i));
        any[2] |= seconds[i] = alarm_matches(dev->ram[SECONDS_ALARM], encode(dev, i));
    }
    if (!any[0] || !any[1] || !any[2])
        return 0;
    second = from + 1;
    while (second <= from + SECONDS_PER_DAY) {
        if (!hours[second / 3600 % 24])
            second += 3600 - second % 3600;
        else if (!minutes[second / 60 % 60])
            second += 60 - second % 60;
        else if (!seconds[second % 60])
            second++;
        else
            return second - from;
    }
    return 0;
}

/* Set the flags of everything that happened since the last look. */
static void flags_catch_up(struct mc146818 *dev, uint64_t now_ns)
{
    const uint64_t then_ns = dev->looked_ns;
    const unsigned cycles = periodic_cycles(dev);

    dev->looked_ns = now_ns;
    if (cycles != 0 &&
        periodic_number(dev, now_ns, cycles) != periodic_number(dev, then_ns, cycles))
        dev->ram[REG_C] |= C_PF;
    if (clock_held(dev) || second_at(dev, now_ns) == second_at(dev, then_ns))
        return;
    dev->ram[REG_C] |= C_UF;
    if (!(dev->ram[REG_C] & C_AF)) {
        const uint64_t distance = alarm_distance(dev, time_at(dev, then_ns));

        if (distance != 0 && distance <= second_at(dev, now_ns) - second_at(dev, then_ns))
            dev->ram[REG_C] |= C_AF;
    }
}

/* When an enabled interrupt comes next; UINT64_MAX when none can.  Flags are caught up to now. */
static uint64_t next_interrupt_ns(const struct mc146818 *dev, uint64_t now_ns)
{
    const uint8_t wanted = dev->ram[REG_B] & ~dev->ram[REG_C] & C_FLAGS;
    const unsigned cycles = periodic_cycles(dev);
    uint64_t next_ns = UINT64_MAX;

    if ((wanted & C_PF) && cycles != 0) {
        const uint64_t cycle = (periodic_number(dev, now_ns, cycles) + 1) * cycles;

        next_ns = dev->divider_ns + clock_scale(cycle, NS_PER_S, CRYSTAL_HZ) + 1;
    }
    if ((wanted & (C_UF | C_AF)) && !clock_held(dev)) {
        uint64_t distance = wanted & C_UF ? 1 : alarm_distance(dev, time_at(dev, now_ns));
        const uint64_t at_ns = second_to_ns(dev, second_at(dev, now_ns) + distance);

        if (distance != 0 && at_ns < next_ns)
            next_ns = at_ns;
    }
    return next_ns;
}

/* IRQ = (PF & PIE) | (AF & AIE) | (UF & UIE).  [MC146818A "Register C"] */
static void irq_update(struct mc146818 *dev, uint64_t now_ns)
{
    const bool irq = (dev->ram[REG_B] & dev->ram[REG_C] & C_FLAGS) != 0;
    uint64_t next_ns;

    dev->ram[REG_C] = (dev->ram[REG_C] & C_FLAGS) | (irq ? C_IRQF : 0);
    line_set(dev->irq8, irq);
    /* While IRQ is high no further edge can come: the read of C that ends it arms the timer. */
    next_ns = irq ? UINT64_MAX : next_interrupt_ns(dev, now_ns);
    if (next_ns == UINT64_MAX)
        clock_cancel(dev->clock, &dev->timer);
    else
        clock_arm(dev->clock, &dev->timer, next_ns);
}

static void mc146818_fire(void *ctx, uint64_t now_ns)
{
    struct mc146818 *dev = ctx;

    flags_catch_up(dev, now_ns);
    irq_update(dev, now_ns);
}

/* -- Registers --------------------------------------------------------------------------------- */

static bool update_in_progress(const struct mc146818 *dev, uint64_t now_ns)
{
    return !clock_held(dev) &&
           (now_ns - dev->divider_ns) % NS_PER_S >= NS_PER_S - UPDATE_NS - UIP_LEAD_NS;
}

static uint8_t register_read(struct mc146818 *dev, uint8_t index, uint64_t now_ns)
{
    uint8_t value;

    if (is_time_index(index)) {
        if (!clock_held(dev))
            time_to_ram(dev, now_ns);
        return dev->ram[index];
    }
    switch (index) {
    case REG_A:
        return dev->ram[REG_A] | (update_in_progress(dev, now_ns) ? A_UIP : 0);
    case REG_C:
        flags_catch_up(dev, now_ns);
        irq_update(dev, now_ns);
        value = dev->ram[REG_C];
        dev->ram[REG_C] = 0;
        irq_update(dev, now_ns);
        return value;
    case REG_D:
        return D_VRT;
    default:
        return dev->ram[index];
    }
}

/* A and B: what holds or releases the clock. */
static void control_write(struct mc146818 *dev, uint8_t index, uint8_t value, uint64_t now_ns)
{
    const bool held = clock_held(dev);
    const bool was_reset = (dev->ram[REG_A] & A_DIVIDER_RESET) == A_DIVIDER_RESET;

    if (!held)
        time_to_ram(dev, now_ns); /* in the old format, which is how it stays if it stops now */
    if (index == REG_A) {
        dev->ram[REG_A] = value & ~A_UIP;
        if (was_reset && divider_runs(dev))
            dev->divider_ns = now_ns + RELEASE_NS - NS_PER_S;
    } else {
        if (value & B_SET)
            value &= ~C_UF; /* SET clears UIE */
        dev->ram[REG_B] = value;
    }
    if (held && !clock_held(dev))
        time_from_ram(dev, now_ns);
}

static void register_write(struct mc146818 *dev, uint8_t index, uint8_t value, uint64_t now_ns)
{
    flags_catch_up(dev, now_ns);
    switch (index) {
    case REG_A:
    case REG_B:
        control_write(dev, index, value, now_ns);
        break;
    case REG_C:
    case REG_D:
        bus_log_once(dev->bus, "mc146818", index, "write to a read-only register");
        break;
    default:
        if (is_time_index(index) && !clock_held(dev)) {
            time_to_ram(dev, now_ns);
            dev->ram[index] = value;
            time_from_ram(dev, now_ns);
        } else {
            dev->ram[index] = value;
        }
        break;
    }
    irq_update(dev, now_ns);
}

static uint32_t mc146818_read(void *ctx, uint16_t offset, unsigned size)
{
    struct mc146818 *dev = ctx;

    (void)size;
    if (!(offset & 1)) {
        bus_log_once(dev->bus, "mc146818", PORT_RTC + offset, "the index cannot be read");
        return 0xff;
    }
    return register_read(dev, dev->index, clock_now_ns(dev->clock));
}

static void mc146818_write(void *ctx, uint16_t offset, unsigned size, uint32_t value)
{
    struct mc146818 *dev = ctx;

    (void)size;
    if (offset & 1) {
        register_write(dev, dev->index, (uint8_t)value, clock_now_ns(dev->clock));
        return;
    }
    dev->index = value & (RAM_SIZE - 1);
    line_set(dev->nmi_disable, (value & INDEX_NMI_DISABLE) != 0);
}

static const struct io_ops mc146818_ops = {"mc146818", 1, mc146818_read, mc146818_write};

struct mc146818 *mc146818_create(struct bus *bus, struct clock *clock, struct line *irq8,
                                 struct line *nmi_disable, uint64_t epoch_s)
{
    struct mc146818 *dev = calloc(1, sizeof(*dev));

    if (dev == NULL)
        return NULL;
    dev->bus = bus;
    dev->clock = clock;
    dev->irq8 = irq8;
    dev->nmi_disable = nmi_disable;
    dev->set_s = epoch_s % (8000ull * 366 * SECONDS_PER_DAY); /* the century has two digits */
    dev->looked_ns = clock_now_ns(clock);
    dev->timer.fire = mc146818_fire;
    dev->timer.ctx = dev;
    dev->ram[REG_A] = A_DIVIDER_32768 | 6; /* 1024 Hz, as every BIOS sets it */
    dev->ram[REG_B] = B_24;
    if (bus_map_io(bus, PORT_RTC, PORT_COUNT, &mc146818_ops, dev) != 0) {
        free(dev);
        return NULL;
    }
    return dev;
}

void mc146818_destroy(struct mc146818 *dev)
{
    if (dev == NULL)
        return;
    clock_cancel(dev->clock, &dev->timer);
    bus_unmap_io(dev->bus, PORT_RTC, PORT_COUNT);
    free(dev);
}

/* [MC146818A "RESET"]: clears PIE, AIE, UIE, SQWE and register C, not the rest. */
void mc146818_reset(struct mc146818 *dev)
{
    const uint64_t now_ns = clock_now_ns(dev->clock);

    flags_catch_up(dev, now_ns);
    dev->index = 0;
    dev->ram[REG_B] &= B_SET | B_DM | B_24 | 0x01;
    dev->ram[REG_C] = 0;
    irq_update(dev, now_ns);
    line_set(dev->nmi_disable, false);
}

void mc146818_set_ram(struct mc146818 *dev, uint8_t index, uint8_t value)
{
    if (index > REG_D && index < RAM_SIZE && index != CENTURY)
        dev->ram[index] = value;
}

uint8_t mc146818_get_ram(const struct mc146818 *dev, uint8_t index)
{
    return index > REG_D && index < RAM_SIZE ? dev->ram[index] : 0xff;
}
