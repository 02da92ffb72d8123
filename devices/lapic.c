/*
 * devices/lapic.c -- the local APIC (xAPIC, integrated, version 0x14).
 * Source: [SDM 3A 10 "Advanced Programmable Interrupt Controller (APIC)"].
 *
 * Registers are 32 bits wide at 16-byte steps; in x2APIC mode register n is MSR 0x800 + n.
 * Priorities: a vector's class is its bits 7:4; PPR is the higher of TPR and the class in service;
 * a request is passed to the CPU when its class is above PPR's. [10.8.3]
 *
 * Deviation: after RESET LINT0 of the bootstrap processor is already set to ExtINT, as firmware
 * does for virtual wire mode, so that a directly booted kernel finds what it expects.
 * Deviation: a periodic timer fires at most every MIN_PERIOD_NS; a shorter period would leave the
 * machine no time to do anything else.
 */
#include "devices/lapic.h"

#include <stdlib.h>
#include <string.h>

/* Register numbers: MMIO offset / 16. [10.4.1 table 10-1] */
enum {
    REG_ID = 0x02,
    REG_VERSION = 0x03,
    REG_TPR = 0x08,
    REG_APR = 0x09,
    REG_PPR = 0x0A,
    REG_EOI = 0x0B,
    REG_RRD = 0x0C,
    REG_LDR = 0x0D,
    REG_DFR = 0x0E,
    REG_SVR = 0x0F,
    REG_ISR = 0x10,
    REG_TMR = 0x18,
    REG_IRR = 0x20,
    REG_ESR = 0x28,
    REG_ICR_LOW = 0x30,
    REG_ICR_HIGH = 0x31,
    REG_LVT = 0x32, /* timer, thermal, performance, LINT0, LINT1, error */
    REG_LVT_END = 0x38,
    REG_INITIAL_COUNT = 0x38,
    REG_CURRENT_COUNT = 0x39,
    REG_DIVIDE = 0x3E,
    REG_SELF_IPI = 0x3F, /* x2APIC only */
    REG_COUNT = 0x40,
};
enum { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_COUNT };

#define VERSION             (0x14 | (LVT_COUNT - 1) << 16)
#define SVR_ENABLE          0x100u
#define SVR_WRITABLE        0x1FFu
#define LVT_VECTOR          0xFFu
#define LVT_DELIVERY        8
#define LVT_MASKED          (1u << 16)
#define TIMER_MODE          (3u << 17)
#define TIMER_ONESHOT       (0u << 17)
#define TIMER_PERIOD        (1u << 17)
#define TIMER_TSC           (2u << 17)
#define ICR_LOGICAL         (1u << 11)
#define ICR_ASSERT          (1u << 14)
#define ICR_LEVEL           (1u << 15)
#define ICR_WRITABLE        0x000CCFFFu
#define ESR_SEND_ILLEGAL    (1u << 5)
#define ESR_RECEIVE_ILLEGAL (1u << 6)
#define FIRST_VECTOR        16 /* 0..15 are illegal */
#define MIN_PERIOD_NS       10000
#define NS_PER_SECOND       UINT64_C(1000000000)

static const uint32_t lvt_writable[LVT_COUNT] = {
    [LVT_TIMER] = 0x000700FF, [LVT_THERMAL] = 0x000107FF, [LVT_PERF] = 0x000107FF,
    [LVT_LINT0] = 0x0001A7FF, [LVT_LINT1] = 0x0001A7FF,   [LVT_ERROR] = 0x000100FF,
};

struct lapic {
    struct lapic_config config;
    struct bus *bus;
    struct clock *clock;
    uint64_t base; /* IA32_APIC_BASE */
    uint32_t id, ldr, dfr, svr, tpr;
    uint32_t isr[8], tmr[8], irr[8];
    uint32_t esr, esr_pending; /* what a read shows; what the next write will show */
    uint32_t icr[2];
    uint32_t lvt[LVT_COUNT];
    bool lint[2];

    struct clock_timer timer;
    uint32_t initial_count, divide;
    uint32_t run_count; /* the count that is running down from run_start_ns */
    uint64_t run_start_ns;
    uint64_t tsc_deadline; /* 0: not armed */
};

/* ---- vector sets ---- */

static bool set_test(const uint32_t set[8], uint8_t vector)
{
    return set[vector / 32] >> (vector % 32) & 1;
}

static void set_add(uint32_t set[8], uint8_t vector)
{
    set[vector / 32] |= 1u << (vector % 32);
}

static void set_remove(uint32_t set[8], uint8_t vector)
{
    set[vector / 32] &= ~(1u << (vector % 32));
}

/* The highest member, -1 of the empty set. */
static int set_highest(const uint32_t set[8])
{
    for (int i = 7; i >= 0; i--) {
        if (set[i] != 0)
            return i * 32 + 31 - __builtin_clz(set[i]);
    }
    return -1;
}

/* ---- the request to the CPU ---- */

static bool is_enabled(const struct lapic *dev)
{
    return dev->base & LAPIC_BASE_ENABLE;
}

static bool is_x2apic(const struct lapic *dev)
{
    return (dev->base & (LAPIC_BASE_ENABLE | LAPIC_BASE_X2APIC)) ==
           (LAPIC_BASE_ENABLE | LAPIC_BASE_X2APIC);
}

static uint32_t processor_priority(const struct lapic *dev)
{
    const int in_service = set_highest(dev->isr);
    const uint32_t service_class = in_service < 0 ? 0 : (uint32_t)in_service & 0xF0;

    return (dev->tpr & 0xF0) >= service_class ? dev->tpr : service_class;
}

/* The vector that would be delivered now, -1 when there is none. */
static int deliverable(const struct lapic *dev)
{
    const int vector = set_highest(dev->irr);

    if (vector < 0 || !(dev->svr & SVR_ENABLE))
        return -1;
    return ((uint32_t)vector & 0xF0) > (processor_priority(dev) & 0xF0) ? vector : -1;
}

static bool extint_requested(const struct lapic *dev)
{
    const uint32_t lvt = dev->lvt[LVT_LINT0];

    if (!dev->lint[0])
        return false;
    if (!is_enabled(dev))
        return true; /* LINT0 is then the INTR pin [10.4.3] */
    return !(lvt & LVT_MASKED) && (lvt >> LVT_DELIVERY & 7) == APIC_EXTINT;
}

static void request_update(struct lapic *dev)
{
    line_set(dev->config.intr, extint_requested(dev) || (is_enabled(dev) && deliverable(dev) >= 0));
}

static void error_record(struct lapic *dev, uint32_t bit);

static void vector_accept(struct lapic *dev, uint8_t vector, bool level)
{
    if (vector < FIRST_VECTOR) {
        error_record(dev, ESR_RECEIVE_ILLEGAL);
        return;
    }
    set_add(dev->irr, vector);
    if (level)
        set_add(dev->tmr, vector);
    else
        set_remove(dev->tmr, vector);
    request_update(dev);
}

static void local_deliver(struct lapic *dev, uint32_t lvt)
{
    if (lvt & LVT_MASKED)
        return;
    switch (lvt >> LVT_DELIVERY & 7) {
    case APIC_FIXED:
        vector_accept(dev, lvt & LVT_VECTOR, false);
        break;
    case APIC_NMI:
        dev->config.nmi(dev->config.ctx);
        break;
    default: /* ExtINT follows the pin; SMI has nowhere to go; the rest is reserved */
        break;
    }
}

static void error_record(struct lapic *dev, uint32_t bit)
{
    const uint32_t lvt = dev->lvt[LVT_ERROR];

    dev->esr_pending |= bit;
    /* An illegal vector in the error entry itself must not come back here. */
    if ((lvt & LVT_VECTOR) >= FIRST_VECTOR)
        local_deliver(dev, lvt & ~(7u << LVT_DELIVERY));
}

void lapic_set_lint(void *ctx, unsigned index, bool level)
{
    struct lapic *dev = ctx;
    const bool rising = level && !dev->lint[index];

    dev->lint[index] = level;
    if (rising && is_enabled(dev))
        local_deliver(dev, dev->lvt[LVT_LINT0 + index]);
    else if (rising && index == 1)
        dev->config.nmi(dev->config.ctx);
    request_update(dev);
}

int lapic_acknowledge(struct lapic *dev)
{
    const int vector = is_enabled(dev) ? deliverable(dev) : -1;

    if (vector >= 0) {
        set_remove(dev->irr, (uint8_t)vector);
        set_add(dev->isr, (uint8_t)vector);
        request_update(dev);
        return vector;
    }
    return extint_requested(dev) ? LAPIC_EXTINT : LAPIC_NONE;
}

static void end_of_interrupt(struct lapic *dev)
{
    const int vector = set_highest(dev->isr);

    if (vector < 0)
        return;
    set_remove(dev->isr, (uint8_t)vector);
    if (set_test(dev->tmr, (uint8_t)vector))
        dev->config.bus.eoi(dev->config.bus.ctx, (uint8_t)vector);
    request_update(dev);
}

/* ---- messages ---- */

bool lapic_matches(const struct lapic *dev, uint32_t destination, bool logical)
{
    uint32_t own;

    if (!is_enabled(dev))
        return false;
    if (is_x2apic(dev)) {
        if (destination == UINT32_MAX || destination == APIC_BROADCAST)
            return true;
        if (!logical)
            return destination == dev->id;
        own = (dev->id >> 4) << 16 | 1u << (dev->id & 15);
        return own >> 16 == destination >> 16 && (own & destination & 0xFFFF);
    }
    destination &= 0xFF;
    if (!logical)
        return destination == APIC_BROADCAST || destination == dev->id;
    own = dev->ldr >> 24;
    if (dev->dfr >> 28 == 0xF) /* flat */
        return own & destination;
    if (dev->dfr >> 28 == 0) /* cluster */
        return (destination >> 4 == 0xF || destination >> 4 == own >> 4) &&
               (own & destination & 0xF);
    return false;
}

void lapic_accept(struct lapic *dev, const struct apic_message *message)
{
    switch (message->delivery) {
    case APIC_FIXED:
    case APIC_LOWEST:
        if (dev->svr & SVR_ENABLE)
            vector_accept(dev, message->vector, message->level);
        break;
    case APIC_NMI:
        dev->config.nmi(dev->config.ctx);
        break;
    case APIC_INIT:
        dev->config.init(dev->config.ctx);
        break;
    case APIC_STARTUP:
        dev->config.startup(dev->config.ctx, message->vector);
        break;
    case APIC_SMI:
    case APIC_EXTINT:
        bus_log_once(dev->bus, "lapic", message->delivery, "delivery mode not supported");
        break;
    }
}

static void ipi_send(struct lapic *dev)
{
    const uint32_t low = dev->icr[0];
    const struct apic_message message = {
        .destination = is_x2apic(dev) ? dev->icr[1] : dev->icr[1] >> 24,
        .shorthand = (enum apic_shorthand)(low >> 18 & 3),
        .delivery = (enum apic_delivery)(low >> 8 & 7),
        .vector = (uint8_t)low,
        .logical = low & ICR_LOGICAL,
        .level = low & ICR_LEVEL,
    };

    if (message.delivery == APIC_INIT && (low & ICR_LEVEL) && !(low & ICR_ASSERT))
        return; /* INIT level de-assert: arbitration IDs only */
    if (message.delivery <= APIC_LOWEST && message.vector < FIRST_VECTOR) {
        error_record(dev, ESR_SEND_ILLEGAL);
        return;
    }
    dev->config.bus.send(dev->config.bus.ctx, &message, dev->id);
}

/* ---- timer ---- */

static uint32_t timer_mode(const struct lapic *dev)
{
    return dev->lvt[LVT_TIMER] & TIMER_MODE;
}

/* The divide register: bits 3, 1, 0 are log2 of the divisor less 1; 111 is 1. [10.5.4] */
static unsigned timer_shift(const struct lapic *dev)
{
    return (((dev->divide & 3) | (dev->divide >> 1 & 4)) + 1) & 7;
}

static uint64_t timer_ticks(const struct lapic *dev)
{
    return (clock_now_ns(dev->clock) - dev->run_start_ns) >> timer_shift(dev);
}

static uint32_t timer_current(const struct lapic *dev)
{
    const uint64_t ticks = timer_ticks(dev);

    if (timer_mode(dev) == TIMER_TSC || dev->run_count == 0)
        return 0;
    if (ticks < dev->run_count)
        return dev->run_count - (uint32_t)ticks;
    if (timer_mode(dev) == TIMER_PERIOD && dev->initial_count != 0)
        return dev->initial_count - (uint32_t)((ticks - dev->run_count) % dev->initial_count);
    return 0;
}

/* Periodic: count from the last time it went through zero, so that now is within run_count. */
static void timer_advance(struct lapic *dev)
{
    const uint64_t ticks = timer_ticks(dev);
    uint64_t past;

    if (dev->run_count == 0 || ticks < dev->run_count || dev->initial_count == 0)
        return;
    past = (ticks - dev->run_count) % dev->initial_count;
    dev->run_start_ns += (ticks - past) << timer_shift(dev);
    dev->run_count = dev->initial_count;
}

static uint64_t deadline_from_tsc(const struct lapic *dev)
{
    const uint64_t now_ns = clock_now_ns(dev->clock);
    const uint64_t tsc = dev->config.tsc(dev->config.ctx);
    uint64_t delta_ns;

    if (dev->tsc_deadline <= tsc)
        return now_ns;
    /* Rounded up, so that the TSC has passed the deadline when it fires. */
    delta_ns = clock_scale(dev->tsc_deadline - tsc, NS_PER_SECOND, dev->config.tsc_hz);
    return delta_ns >= UINT64_MAX - now_ns - 1 ? UINT64_MAX : now_ns + delta_ns + 1;
}

/* Ask the clock for the next expiry that anybody would notice. */
static void timer_arm(struct lapic *dev)
{
    uint64_t deadline_ns;

    clock_cancel(dev->clock, &dev->timer);
    if (timer_mode(dev) == TIMER_TSC) {
        if (dev->tsc_deadline != 0)
            clock_arm(dev->clock, &dev->timer, deadline_from_tsc(dev));
        return;
    }
    if (dev->run_count == 0 || (dev->lvt[LVT_TIMER] & LVT_MASKED))
        return;
    if (timer_mode(dev) == TIMER_PERIOD)
        timer_advance(dev);
    else if (timer_ticks(dev) >= dev->run_count)
        return; /* ran out while masked */
    deadline_ns = dev->run_start_ns + ((uint64_t)dev->run_count << timer_shift(dev));
    clock_arm(dev->clock, &dev->timer, deadline_ns);
}

static void timer_fired(void *ctx, uint64_t now_ns)
{
    struct lapic *dev = ctx;

    if (timer_mode(dev) == TIMER_PERIOD) {
        uint64_t deadline_ns;

        timer_advance(dev);
        deadline_ns = dev->run_start_ns + ((uint64_t)dev->run_count << timer_shift(dev));
        if (deadline_ns < now_ns + MIN_PERIOD_NS)
            deadline_ns = now_ns + MIN_PERIOD_NS;
        clock_arm(dev->clock, &dev->timer, deadline_ns);
    } else {
        dev->run_count = 0;
        dev->tsc_deadline = 0;
    }
    if (!(dev->lvt[LVT_TIMER] & LVT_MASKED))
        vector_accept(dev, dev->lvt[LVT_TIMER] & LVT_VECTOR, false);
}

static void timer_start(struct lapic *dev, uint32_t count)
{
    if (timer_mode(dev) == TIMER_TSC)
        return; /* writes are ignored in this mode [10.5.4.1] */
    dev->initial_count = count;
    dev->run_count = count;
    dev->run_start_ns = clock_now_ns(dev->clock);
    timer_arm(dev);
}

static void timer_divide(struct lapic *dev, uint32_t value)
{
    dev->run_count = timer_current(dev);
    dev->run_start_ns = clock_now_ns(dev->clock);
    dev->divide = value & 0xB;
    timer_arm(dev);
}

static void timer_lvt(struct lapic *dev, uint32_t value)
{
    const uint32_t old_mode = timer_mode(dev);

    /* Leaving or entering TSC-deadline mode disarms the timer. [10.5.4.1] */
    if (old_mode != (value & TIMER_MODE) &&
        (old_mode == TIMER_TSC || (value & TIMER_MODE) == TIMER_TSC)) {
        dev->tsc_deadline = 0;
        dev->run_count = 0;
    } else {
        dev->run_count = timer_current(dev);
        dev->run_start_ns = clock_now_ns(dev->clock);
    }
    dev->lvt[LVT_TIMER] = value;
    timer_arm(dev);
}

/* ---- registers ---- */

static uint32_t register_read(struct lapic *dev, unsigned reg)
{
    switch (reg) {
    case REG_ID:
        return is_x2apic(dev) ? dev->id : dev->id << 24;
    case REG_VERSION:
        return VERSION;
    case REG_TPR:
        return dev->tpr;
    case REG_APR:
    case REG_PPR:
        return processor_priority(dev);
    case REG_LDR:
        return is_x2apic(dev) ? (dev->id >> 4) << 16 | 1u << (dev->id & 15) : dev->ldr;
    case REG_DFR:
        return dev->dfr;
    case REG_SVR:
        return dev->svr;
    case REG_ESR:
        return dev->esr;
    case REG_ICR_LOW:
    case REG_ICR_HIGH:
        return dev->icr[reg - REG_ICR_LOW];
    case REG_INITIAL_COUNT:
        return dev->initial_count;
    case REG_CURRENT_COUNT:
        return timer_current(dev);
    case REG_DIVIDE:
        return dev->divide;
    case REG_EOI:
    case REG_RRD:
        return 0;
    default:
        break;
    }
    if (reg >= REG_ISR && reg < REG_ISR + 8)
        return dev->isr[reg - REG_ISR];
    if (reg >= REG_TMR && reg < REG_TMR + 8)
        return dev->tmr[reg - REG_TMR];
    if (reg >= REG_IRR && reg < REG_IRR + 8)
        return dev->irr[reg - REG_IRR];
    if (reg >= REG_LVT && reg < REG_LVT_END)
        return dev->lvt[reg - REG_LVT];
    bus_log_once(dev->bus, "lapic", reg << 4, "read of unimplemented register");
    return 0;
}

static void lvt_write(struct lapic *dev, unsigned index, uint32_t value)
{
    value &= lvt_writable[index];
    if (!(dev->svr & SVR_ENABLE))
        value |= LVT_MASKED;
    if (index == LVT_TIMER) {
        timer_lvt(dev, value);
        return;
    }
    dev->lvt[index] = value;
    request_update(dev);
}

static void svr_write(struct lapic *dev, uint32_t value)
{
    const bool was_enabled = dev->svr & SVR_ENABLE;

    dev->svr = value & SVR_WRITABLE;
    if (was_enabled && !(dev->svr & SVR_ENABLE)) {
        for (unsigned i = 0; i < LVT_COUNT; i++)
            dev->lvt[i] |= LVT_MASKED; /* [10.4.7.2] */
        timer_arm(dev);
    }
    request_update(dev);
}

static void register_write(struct lapic *dev, unsigned reg, uint32_t value)
{
    switch (reg) {
    case REG_ID:
        dev->id = value >> 24;
        break;
    case REG_TPR:
        dev->tpr = value & 0xFF;
        request_update(dev);
        break;
    case REG_EOI:
        end_of_interrupt(dev);
        break;
    case REG_LDR:
        dev->ldr = value & 0xFF000000;
        break;
    case REG_DFR:
        dev->dfr = value | 0x0FFFFFFF;
        break;
    case REG_SVR:
        svr_write(dev, value);
        break;
    case REG_ESR:
        dev->esr = dev->esr_pending;
        dev->esr_pending = 0;
        break;
    case REG_ICR_LOW:
        dev->icr[0] = value & ICR_WRITABLE;
        ipi_send(dev);
        break;
    case REG_ICR_HIGH:
        dev->icr[1] = value & 0xFF000000;
        break;
    case REG_INITIAL_COUNT:
        timer_start(dev, value);
        break;
    case REG_DIVIDE:
        timer_divide(dev, value);
        break;
    case REG_VERSION:
    case REG_PPR:
    case REG_CURRENT_COUNT:
        break; /* read-only */
    default:
        if (reg >= REG_LVT && reg < REG_LVT_END)
            lvt_write(dev, reg - REG_LVT, value);
        else if (reg < REG_ISR || reg >= REG_IRR + 8)
            bus_log_once(dev->bus, "lapic", reg << 4, "write to unimplemented register");
        break;
    }
}

static uint64_t mmio_read(void *ctx, uint64_t offset, unsigned size)
{
    struct lapic *dev = ctx;
    uint32_t value;

    /* Registers are the first dword of each 16 bytes; narrow loads see its bytes. */
    if ((offset & 0xC) != 0 || is_x2apic(dev) || offset >> 4 >= REG_COUNT)
        return 0;
    value = register_read(dev, (unsigned)(offset >> 4)) >> ((offset & 3) * 8);
    return size < 4 ? value & ((1u << (8 * size)) - 1) : value;
}

static void mmio_write(void *ctx, uint64_t offset, unsigned size, uint64_t value)
{
    struct lapic *dev = ctx;

    /* Only aligned dwords are architectural [10.4.1]; byte stores to the low byte are let through,
     * like the hardware does for TPR and EOI. */
    if ((offset & 0xF) != 0 || is_x2apic(dev) || offset >> 4 >= REG_COUNT)
        return;
    (void)size;
    register_write(dev, (unsigned)(offset >> 4), (uint32_t)value);
}

const struct bus_mmio_ops lapic_mmio = {.name = "lapic", .read = mmio_read, .write = mmio_write};

/* ---- MSRs ---- */

static bool x2apic_readable(unsigned reg)
{
    return reg == REG_ID || reg == REG_VERSION || reg == REG_TPR || reg == REG_PPR ||
           reg == REG_LDR || reg == REG_SVR || (reg >= REG_ISR && reg <= REG_ESR) ||
           reg == REG_ICR_LOW || (reg >= REG_LVT && reg <= REG_CURRENT_COUNT) || reg == REG_DIVIDE;
}

static bool x2apic_writable(unsigned reg, uint64_t value)
{
    switch (reg) {
    case REG_EOI:
    case REG_ESR:
        return value == 0;
    case REG_TPR:
    case REG_SELF_IPI:
        return value <= 0xFF;
    case REG_SVR:
        return (value & ~(uint64_t)SVR_WRITABLE) == 0;
    case REG_ICR_LOW:
        return (value & 0xFFFFFFFF & ~(uint64_t)ICR_WRITABLE) == 0;
    case REG_INITIAL_COUNT:
        return value <= UINT32_MAX;
    case REG_DIVIDE:
        return (value & ~UINT64_C(0xB)) == 0;
    default:
        return reg >= REG_LVT && reg < REG_LVT_END &&
               (value & ~(uint64_t)lvt_writable[reg - REG_LVT]) == 0;
    }
}

static bool x2apic_write(struct lapic *dev, unsigned reg, uint64_t value)
{
    if (!x2apic_writable(reg, value))
        return false;
    if (reg == REG_SELF_IPI) {
        vector_accept(dev, (uint8_t)value, false);
        return true;
    }
    if (reg == REG_ICR_LOW)
        dev->icr[1] = (uint32_t)(value >> 32);
    register_write(dev, reg, (uint32_t)value);
    return true;
}

static bool base_write(struct lapic *dev, uint64_t value)
{
    const uint64_t address_mask = (UINT64_C(1) << dev->config.phys_bits) - 0x1000;
    uint64_t allowed = address_mask | LAPIC_BASE_BSP | LAPIC_BASE_ENABLE;

    if (dev->config.x2apic)
        allowed |= LAPIC_BASE_X2APIC;
    if (value & ~allowed)
        return false;
    /* x2APIC mode is entered from xAPIC mode only and left only by disabling. [10.12.5] */
    if ((value & LAPIC_BASE_X2APIC) && (!(value & LAPIC_BASE_ENABLE) || !is_enabled(dev)))
        return false;
    if (is_x2apic(dev) && (value & LAPIC_BASE_ENABLE) && !(value & LAPIC_BASE_X2APIC))
        return false;
    if ((value & LAPIC_BASE_X2APIC) && !is_x2apic(dev))
        dev->id = dev->config.id;
    dev->base = (value & ~(uint64_t)LAPIC_BASE_BSP) | (dev->config.bsp ? LAPIC_BASE_BSP : 0);
    dev->config.base_changed(dev->config.ctx, dev->base);
    request_update(dev);
    return true;
}

bool lapic_msr_read(struct lapic *dev, uint32_t msr, uint64_t *value)
{
    const unsigned reg = msr - LAPIC_MSR_X2APIC;

    if (!dev->config.present)
        return false;
    if (msr == LAPIC_MSR_BASE) {
        *value = dev->base;
        return true;
    }
    if (msr == LAPIC_MSR_DEADLINE) {
        *value = timer_mode(dev) == TIMER_TSC ? dev->tsc_deadline : 0;
        return true;
    }
    if (msr < LAPIC_MSR_X2APIC || msr >= LAPIC_MSR_X2APIC_END || !is_x2apic(dev) ||
        !x2apic_readable(reg))
        return false;
    *value = register_read(dev, reg);
    if (reg == REG_ICR_LOW)
        *value |= (uint64_t)dev->icr[1] << 32;
    return true;
}

bool lapic_msr_write(struct lapic *dev, uint32_t msr, uint64_t value)
{
    if (!dev->config.present)
        return false;
    if (msr == LAPIC_MSR_BASE)
        return base_write(dev, value);
    if (msr == LAPIC_MSR_DEADLINE) {
        if (timer_mode(dev) == TIMER_TSC) {
            dev->tsc_deadline = value;
            timer_arm(dev);
        }
        return true;
    }
    if (msr < LAPIC_MSR_X2APIC || msr >= LAPIC_MSR_X2APIC_END || !is_x2apic(dev))
        return false;
    return x2apic_write(dev, msr - LAPIC_MSR_X2APIC, value);
}

uint64_t lapic_base(const struct lapic *dev)
{
    return dev->base;
}

uint8_t lapic_cr8_read(const struct lapic *dev)
{
    return (uint8_t)(dev->tpr >> 4);
}

void lapic_cr8_write(struct lapic *dev, uint8_t value)
{
    dev->tpr = (uint32_t)(value & 15) << 4;
    request_update(dev);
}

/* ---- life ---- */

void lapic_init(struct lapic *dev)
{
    clock_cancel(dev->clock, &dev->timer);
    dev->ldr = 0;
    dev->dfr = UINT32_MAX;
    dev->svr = 0xFF;
    dev->tpr = 0;
    memset(dev->isr, 0, sizeof(dev->isr));
    memset(dev->tmr, 0, sizeof(dev->tmr));
    memset(dev->irr, 0, sizeof(dev->irr));
    dev->esr = dev->esr_pending = 0;
    dev->icr[0] = dev->icr[1] = 0;
    for (unsigned i = 0; i < LVT_COUNT; i++)
        dev->lvt[i] = LVT_MASKED;
    if (dev->config.bsp)
        dev->lvt[LVT_LINT0] = APIC_EXTINT << LVT_DELIVERY;
    dev->initial_count = dev->divide = dev->run_count = 0;
    dev->tsc_deadline = 0;
    request_update(dev);
}

void lapic_reset(struct lapic *dev)
{
    dev->id = dev->config.id;
    dev->base = LAPIC_BASE | (dev->config.bsp ? LAPIC_BASE_BSP : 0) |
                (dev->config.present ? LAPIC_BASE_ENABLE : 0);
    lapic_init(dev);
    dev->config.base_changed(dev->config.ctx, dev->base);
}

struct lapic *lapic_create(struct bus *bus, struct clock *clock, const struct lapic_config *config)
{
    struct lapic *dev = calloc(1, sizeof(*dev));

    if (dev == NULL)
        return NULL;
    dev->config = *config;
    dev->bus = bus;
    dev->clock = clock;
    dev->timer.fire = timer_fired;
    dev->timer.ctx = dev;
    return dev;
}

void lapic_destroy(struct lapic *dev)
{
    if (dev == NULL)
        return;
    clock_cancel(dev->clock, &dev->timer);
    free(dev);
}

static void set_describe(const char *name, const uint32_t set[8], FILE *out)
{
    fprintf(out, "%s\t", name);
    for (unsigned vector = 0; vector < 256; vector++)
        if (set_test(set, (uint8_t)vector))
            fprintf(out, " %u", vector);
    fprintf(out, "\n");
}

void lapic_describe(const struct lapic *dev, FILE *out)
{
    static const char *const names[LVT_COUNT] = {
        [LVT_TIMER] = "LVTT", [LVT_THERMAL] = "LVTTHMR", [LVT_PERF] = "LVTPC",
        [LVT_LINT0] = "LVT0", [LVT_LINT1] = "LVT1",      [LVT_ERROR] = "LVTERR",
    };

    fprintf(out, "local APIC %u: base 0x%llx%s%s\n", (unsigned)dev->id,
            (unsigned long long)(dev->base & ~0xfffull),
            dev->base & LAPIC_BASE_ENABLE ? "" : " off",
            dev->base & LAPIC_BASE_X2APIC ? " x2APIC" : "");
    for (unsigned i = 0; i < LVT_COUNT; i++)
        fprintf(out, "%s\t 0x%08x vec=%u%s\n", names[i], (unsigned)dev->lvt[i],
                (unsigned)(dev->lvt[i] & LVT_VECTOR), dev->lvt[i] & LVT_MASKED ? " masked" : "");
    fprintf(out, "TPR\t 0x%02x  SVR 0x%x  LDR 0x%x  DFR 0x%x  ICR 0x%x%08x  ESR 0x%x\n",
            (unsigned)dev->tpr, (unsigned)dev->svr, (unsigned)dev->ldr, (unsigned)dev->dfr,
            (unsigned)dev->icr[1], (unsigned)dev->icr[0], (unsigned)dev->esr);
    fprintf(out, "timer\t initial %u, divide 0x%x, TSC deadline %llu\n",
            (unsigned)dev->initial_count, (unsigned)dev->divide,
            (unsigned long long)dev->tsc_deadline);
    set_describe("ISR", dev->isr, out);
    set_describe("IRR", dev->irr, out);
}
