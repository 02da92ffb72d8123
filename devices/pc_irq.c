/*
 * devices/pc_irq.c -- interrupt wiring, APIC messages, and what the CPU asks of the board.
 *
 *   chips, PIIX3, SCI --(OR per ISA IRQ)--> 8259 pair --INT--> LINT0 of the local APIC --> INTR
 *                                      \--> I/O APIC pins (IRQ 0 on pin 2) --messages--^
 *   HPET --(legacy route: in the place of 8254 and RTC; else pins 16 to 23)--^
 *
 * A line that several drive carries its driver's bit in the upper half of the pin number.
 */
#include "devices/pc_internal.h"

enum irq_driver {
    DRIVER_ISA,
    DRIVER_PIRQ,
    DRIVER_SCI,
    DRIVER_FERR,
    DRIVER_SERIAL,
    DRIVER_HPET = 30,
    DRIVER_TESTDEV = 31,
};
#define DRIVER_SHIFT     8
#define TIMER_PIN        2 /* the I/O APIC's pin for IRQ 0 */
#define FERR_IRQ         13
#define RTC_IRQ          8
#define IRQ_MASK         0xFFu
#define SERIAL_IRQ(port) ((port) % 2 == 0 ? 4u : 3u)

/* ---- ISA interrupt lines ---- */

/* The interrupt's level, as its drivers have it. */
static void irq_update(struct pc *pc, unsigned irq)
{
    uint32_t sources = pc->irq_sources[irq];

    /* The HPET has taken the place of the 8254 and of the RTC.  [HPET 1.0a 2.3.5] */
    if (pc->hpet_legacy.level && (irq == 0 || irq == RTC_IRQ))
        sources &= ~(1u << DRIVER_ISA);
    if (irq < ISA_IRQ_COUNT)
        i8259_set_irq(pc->pic, irq, sources != 0);
    ioapic_set_pin(pc->ioapic, irq == 0 ? TIMER_PIN : irq, sources != 0);
}

static void irq_changed(void *ctx, unsigned index, bool level)
{
    struct pc *pc = ctx;
    const unsigned irq = index & IRQ_MASK, driver = index >> DRIVER_SHIFT;

    if (level)
        pc->irq_sources[irq] |= 1u << driver;
    else
        pc->irq_sources[irq] &= ~(1u << driver);
    irq_update(pc, irq);
}

static void hpet_legacy_changed(void *ctx, unsigned index, bool level)
{
    (void)index;
    (void)level;
    irq_update(ctx, 0);
    irq_update(ctx, RTC_IRQ);
}

static void irq_connect(struct pc *pc, struct line *line, unsigned irq, enum irq_driver driver)
{
    line_connect(line, irq_changed, pc, irq | (unsigned)driver << DRIVER_SHIFT);
}

/* ---- other wires ---- */

static void cpu_intr_changed(void *ctx, unsigned index, bool level)
{
    struct pc *pc = ctx;

    (void)index;
    cpu_set_intr(pc->cpu, level);
}

static void a20_changed(void *ctx, unsigned index, bool level)
{
    struct pc *pc = ctx;

    (void)index;
    (void)level;
    cpu_set_a20(pc->cpu, pc->a20_kbc.level || pc->a20_port92.level);
}

static void reset_changed(void *ctx, unsigned index, bool level)
{
    (void)index;
    if (level)
        pc_request(ctx, PC_RESET);
}

static void power_off_changed(void *ctx, unsigned index, bool level)
{
    (void)index;
    if (level)
        pc_request(ctx, PC_POWEROFF);
}

void pc_irq_connect(struct pc *pc)
{
    for (unsigned irq = 0; irq < ISA_IRQ_COUNT; irq++) {
        if (irq == 2)
            continue; /* the cascade has no pin */
        irq_connect(pc, &pc->isa_irq[irq], irq, DRIVER_ISA);
        irq_connect(pc, &pc->pirq_irq[irq], irq, DRIVER_PIRQ);
    }
    for (unsigned i = 0; i < SERIAL_COUNT; i++)
        irq_connect(pc, &pc->serial_irq[i], SERIAL_IRQ(i), DRIVER_SERIAL + i);
    irq_connect(pc, &pc->hpet_irq0, 0, DRIVER_HPET);
    irq_connect(pc, &pc->hpet_irq8, RTC_IRQ, DRIVER_HPET);
    line_connect(&pc->hpet_legacy, hpet_legacy_changed, pc, 0);
    for (unsigned i = 0; i < HPET_PIN_COUNT; i++)
        irq_connect(pc, &pc->hpet_pins[i], HPET_FIRST_PIN + i, DRIVER_HPET);
    for (unsigned i = 0; i < TESTDEV_IRQ_COUNT; i++) {
        if (i != TIMER_PIN)
            irq_connect(pc, &pc->testdev_irq[i], i, DRIVER_TESTDEV);
    }
    irq_connect(pc, &pc->sci, PIIX4_SCI_IRQ, DRIVER_SCI);
    irq_connect(pc, &pc->ferr, FERR_IRQ, DRIVER_FERR);
    line_connect(&pc->pic_intr, lapic_set_lint, pc->lapic, 0);
    line_connect(&pc->cpu_intr, cpu_intr_changed, pc, 0);
    line_connect(&pc->a20_kbc, a20_changed, pc, 0);
    line_connect(&pc->a20_port92, a20_changed, pc, 0);
    line_connect(&pc->reset_kbc, reset_changed, pc, 0);
    line_connect(&pc->reset_port92, reset_changed, pc, 0);
    line_connect(&pc->reset_rc, reset_changed, pc, 0);
    line_connect(&pc->power_off, power_off_changed, pc, 0);
}

/* ---- ports 0xF0, 0xF1: clear the coprocessor's error latch (IRQ 13) ---- */

static uint32_t ferr_port_read(void *ctx, uint16_t offset, unsigned size)
{
    (void)ctx;
    (void)offset;
    (void)size;
    return 0xFF;
}

static void ferr_port_write(void *ctx, uint16_t offset, unsigned size, uint32_t value)
{
    struct pc *pc = ctx;

    (void)offset;
    (void)size;
    (void)value;
    line_set(&pc->ferr, false);
}

const struct io_ops pc_ferr_ports = {
    .name = "ferr", .max_size = 1, .read = ferr_port_read, .write = ferr_port_write};

/* ---- APIC messages ---- */

static void apic_send(void *ctx, const struct apic_message *message, uint32_t sender)
{
    struct pc *pc = ctx;
    bool accepted;

    (void)sender; /* there is one local APIC: the sender is "self" or the I/O APIC */
    switch (message->shorthand) {
    case APIC_SELF:
    case APIC_ALL:
        accepted = true;
        break;
    case APIC_ALL_BUT_SELF:
        accepted = false;
        break;
    default:
        accepted = lapic_matches(pc->lapic, message->destination, message->logical);
        break;
    }
    if (accepted)
        lapic_accept(pc->lapic, message);
}

static void apic_eoi(void *ctx, uint8_t vector)
{
    struct pc *pc = ctx;

    ioapic_eoi(pc->ioapic, vector);
}

struct apic_bus pc_irq_apic_bus(struct pc *pc)
{
    return (struct apic_bus){.ctx = pc, .send = apic_send, .eoi = apic_eoi};
}

/* ---- what the local APIC does to its CPU ---- */

static void lapic_nmi(void *ctx)
{
    struct pc *pc = ctx;

    cpu_set_nmi(pc->cpu);
}

static void lapic_init_cpu(void *ctx)
{
    struct pc *pc = ctx;

    pc->cpu->init_pending = true;
    lapic_init(pc->lapic);
    cpu_kick(pc->cpu);
}

static void lapic_startup(void *ctx, uint8_t vector)
{
    struct pc *pc = ctx;

    /* The bootstrap processor never waits for SIPI, and others do not exist yet. */
    bus_log_once(pc->bus, "pc", vector, "SIPI to a processor that is not waiting for one");
}

static void lapic_base_changed(void *ctx, uint64_t base_msr)
{
    struct pc *pc = ctx;

    pc->cpu->apic_base = base_msr;
    pc_memory_move_lapic(pc, base_msr);
}

static uint64_t guest_tsc(void *ctx)
{
    struct pc *pc = ctx;

    return pc_tsc(pc) + pc->cpu->tsc_offset;
}

struct lapic_config pc_irq_lapic(struct pc *pc)
{
    return (struct lapic_config){
        .id = 0,
        .bsp = true,
        .present = pc->config.model.apic,
        .x2apic = pc->config.model.x2apic,
        .phys_bits = pc->config.model.phys_bits,
        .intr = &pc->cpu_intr,
        .bus = pc_irq_apic_bus(pc),
        .ctx = pc,
        .nmi = lapic_nmi,
        .init = lapic_init_cpu,
        .startup = lapic_startup,
        .base_changed = lapic_base_changed,
        .tsc = guest_tsc,
        .tsc_hz = pc->config.model.tsc_hz,
    };
}

/* ---- what the CPU asks ---- */

static uint32_t cpu_io_read(void *ctx, uint16_t port, unsigned size)
{
    struct pc *pc = ctx;

    return bus_io_read(pc->bus, port, size);
}

static void cpu_io_write(void *ctx, uint16_t port, unsigned size, uint32_t value)
{
    struct pc *pc = ctx;

    bus_io_write(pc->bus, port, size, value);
}

static unsigned cpu_io_read_block(void *ctx, uint16_t port, unsigned size, void *buffer,
                                  unsigned count)
{
    struct pc *pc = ctx;

    return bus_io_read_block(pc->bus, port, size, buffer, count);
}

static unsigned cpu_io_write_block(void *ctx, uint16_t port, unsigned size, const void *buffer,
                                   unsigned count)
{
    struct pc *pc = ctx;

    return bus_io_write_block(pc->bus, port, size, buffer, count);
}

/* The CPU has IRQ 0: its timer may have more. */
static void timer_taken(struct pc *pc)
{
    if (pc->hpet_legacy.level)
        hpet_irq0_taken(pc->hpet);
    else
        i8254_irq0_taken(pc->pit);
}

static int cpu_interrupt_acknowledge(void *ctx)
{
    struct pc *pc = ctx;
    int vector = lapic_acknowledge(pc->lapic); /* LAPIC_NONE is -1 */

    if (vector == LAPIC_EXTINT) {
        vector = i8259_acknowledge(pc->pic);
        if (i8259_sends(pc->pic, 0, (uint8_t)vector))
            timer_taken(pc);
    } else if (vector >= 0 && ioapic_sends(pc->ioapic, TIMER_PIN, (uint8_t)vector)) {
        timer_taken(pc);
    }
    return vector;
}

static uint64_t cpu_tsc_read(void *ctx)
{
    return pc_tsc(ctx);
}

static bool cpu_msr_read(void *ctx, uint32_t msr, uint64_t *value)
{
    struct pc *pc = ctx;

    return lapic_msr_read(pc->lapic, msr, value);
}

static bool cpu_msr_write(void *ctx, uint32_t msr, uint64_t value)
{
    struct pc *pc = ctx;

    return lapic_msr_write(pc->lapic, msr, value);
}

static uint8_t cpu_tpr_read(void *ctx)
{
    const struct pc *pc = ctx;

    return lapic_cr8_read(pc->lapic);
}

static void cpu_tpr_write(void *ctx, uint8_t tpr)
{
    struct pc *pc = ctx;

    lapic_cr8_write(pc->lapic, tpr);
}

static void cpu_shutdown(void *ctx)
{
    pc_request(ctx, PC_RESET);
}

static void cpu_ferr(void *ctx)
{
    struct pc *pc = ctx;

    line_set(&pc->ferr, true);
}

const struct cpu_ops pc_cpu_ops = {
    .io_read = cpu_io_read,
    .io_write = cpu_io_write,
    .io_read_block = cpu_io_read_block,
    .io_write_block = cpu_io_write_block,
    .interrupt_acknowledge = cpu_interrupt_acknowledge,
    .tsc = cpu_tsc_read,
    .msr_read = cpu_msr_read,
    .msr_write = cpu_msr_write,
    .tpr_read = cpu_tpr_read,
    .tpr_write = cpu_tpr_write,
    .shutdown = cpu_shutdown,
    .ferr = cpu_ferr,
};
