/* tests/devices/test_lapic.c -- local APIC and I/O APIC, together and apart. */
#include "fake.h"

#include "devices/ioapic.h"
#include "devices/lapic.h"

enum {
    ID = 0x020,
    VERSION = 0x030,
    TPR = 0x080,
    PPR = 0x0A0,
    EOI = 0x0B0,
    LDR = 0x0D0,
    DFR = 0x0E0,
    SVR = 0x0F0,
    ISR = 0x100,
    TMR = 0x180,
    IRR = 0x200,
    ESR = 0x280,
    ICR = 0x300,
    ICR_HIGH = 0x310,
    LVT_TIMER = 0x320,
    LVT_LINT0 = 0x350,
    LVT_LINT1 = 0x360,
    LVT_ERROR = 0x370,
    INITIAL = 0x380,
    CURRENT = 0x390,
    DIVIDE = 0x3E0,
};

#define TSC_HZ 2000000000u /* two ticks a nanosecond */

struct rig {
    struct fake fake;
    struct fake_wire intr;
    struct lapic *lapic;
    struct ioapic *ioapic;
    unsigned nmis, inits, startups, moves;
    uint8_t startup_vector;
    uint64_t base;
};

static void bus_send(void *ctx, const struct apic_message *message, uint32_t sender)
{
    struct rig *rig = ctx;

    (void)sender;
    if (message->shorthand == APIC_ALL_BUT_SELF)
        return;
    if (message->shorthand != APIC_DESTINATION ||
        lapic_matches(rig->lapic, message->destination, message->logical))
        lapic_accept(rig->lapic, message);
}

static void bus_eoi(void *ctx, uint8_t vector)
{
    ioapic_eoi(((struct rig *)ctx)->ioapic, vector);
}

static void nmi(void *ctx)
{
    ((struct rig *)ctx)->nmis++;
}

static void init(void *ctx)
{
    ((struct rig *)ctx)->inits++;
}

static void startup(void *ctx, uint8_t vector)
{
    ((struct rig *)ctx)->startups++;
    ((struct rig *)ctx)->startup_vector = vector;
}

static void base_changed(void *ctx, uint64_t base)
{
    ((struct rig *)ctx)->moves++;
    ((struct rig *)ctx)->base = base;
}

static uint64_t tsc(void *ctx)
{
    return ((struct rig *)ctx)->fake.now_ns * 2;
}

static void rig_open(struct rig *rig, bool x2apic)
{
    const struct apic_bus bus = {.ctx = rig, .send = bus_send, .eoi = bus_eoi};
    const struct lapic_config config = {
        .bsp = true,
        .present = true,
        .x2apic = x2apic,
        .phys_bits = 40,
        .intr = &rig->intr.line,
        .bus = bus,
        .ctx = rig,
        .nmi = nmi,
        .init = init,
        .startup = startup,
        .base_changed = base_changed,
        .tsc = tsc,
        .tsc_hz = TSC_HZ,
    };

    memset(rig, 0, sizeof(*rig));
    fake_open(&rig->fake);
    fake_wire_init(&rig->intr);
    rig->lapic = lapic_create(rig->fake.bus, rig->fake.clock, &config);
    rig->ioapic = ioapic_create(rig->fake.bus, &bus);
    assert_non_null(rig->lapic);
    assert_non_null(rig->ioapic);
    lapic_reset(rig->lapic);
}

static void rig_close(struct rig *rig)
{
    ioapic_destroy(rig->ioapic);
    lapic_destroy(rig->lapic);
    fake_close(&rig->fake);
}

static uint32_t get(struct rig *rig, uint32_t offset)
{
    return (uint32_t)lapic_mmio.read(rig->lapic, offset, 4);
}

static void set(struct rig *rig, uint32_t offset, uint32_t value)
{
    lapic_mmio.write(rig->lapic, offset, 4, value);
}

static void self_ipi(struct rig *rig, uint8_t vector)
{
    set(rig, ICR, 1u << 18 | vector);
}

static void test_reset(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig, false);
    assert_int_equal(rig.moves, 1);
    assert_int_equal(rig.base, 0xFEE00900);
    assert_int_equal(get(&rig, VERSION), 0x00050014);
    assert_int_equal(get(&rig, SVR), 0xFF);
    assert_int_equal(get(&rig, DFR), UINT32_MAX);
    assert_int_equal(get(&rig, LVT_TIMER), 0x10000);
    /* software disabled: fixed interrupts are not taken, ExtINT through LINT0 is */
    self_ipi(&rig, 0x40);
    assert_false(rig.intr.line.level);
    lapic_set_lint(rig.lapic, 0, true);
    assert_true(rig.intr.line.level);
    assert_int_equal(lapic_acknowledge(rig.lapic), LAPIC_EXTINT);
    lapic_set_lint(rig.lapic, 0, false);
    assert_false(rig.intr.line.level);
    assert_int_equal(lapic_acknowledge(rig.lapic), LAPIC_NONE);
    /* enabling, then disabling: the local vector table gets masked and stays so */
    set(&rig, SVR, 0x1FF);
    set(&rig, SVR, 0x0FF);
    assert_int_equal(get(&rig, LVT_LINT0), 0x10700);
    set(&rig, LVT_LINT0, 0x700);
    assert_int_equal(get(&rig, LVT_LINT0), 0x10700);
    rig_close(&rig);
}

static void test_priorities(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig, false);
    set(&rig, SVR, 0x1FF);
    self_ipi(&rig, 0x41);
    self_ipi(&rig, 0x52);
    assert_int_equal(get(&rig, IRR + 0x20), 1u << 1 | 1u << 18);
    assert_int_equal(lapic_acknowledge(rig.lapic), 0x52);
    assert_int_equal(get(&rig, PPR), 0x50);
    assert_false(rig.intr.line.level); /* 0x41 waits */
    self_ipi(&rig, 0x5F);
    assert_false(rig.intr.line.level); /* same class */
    self_ipi(&rig, 0x60);
    assert_true(rig.intr.line.level);
    assert_int_equal(lapic_acknowledge(rig.lapic), 0x60);
    set(&rig, EOI, 0);
    assert_int_equal(get(&rig, PPR), 0x50);
    set(&rig, EOI, 0);
    assert_int_equal(lapic_acknowledge(rig.lapic), 0x5F);
    set(&rig, EOI, 0);
    /* the task priority holds back its own class and those below */
    lapic_cr8_write(rig.lapic, 4);
    assert_int_equal(get(&rig, TPR), 0x40);
    assert_false(rig.intr.line.level);
    assert_int_equal(lapic_acknowledge(rig.lapic), LAPIC_NONE);
    set(&rig, TPR, 0x3F);
    assert_int_equal(lapic_cr8_read(rig.lapic), 3);
    assert_true(rig.intr.line.level);
    assert_int_equal(lapic_acknowledge(rig.lapic), 0x41);
    set(&rig, EOI, 0);
    set(&rig, EOI, 0); /* one too many */
    assert_int_equal(get(&rig, ISR + 0x20), 0);
    rig_close(&rig);
}

static void test_messages(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig, false);
    set(&rig, SVR, 0x1FF);
    set(&rig, LDR, 0x04000000);
    assert_true(lapic_matches(rig.lapic, 0, false));
    assert_true(lapic_matches(rig.lapic, 0xFF, false));
    assert_false(lapic_matches(rig.lapic, 1, false));
    assert_true(lapic_matches(rig.lapic, 0x0C, true)); /* flat */
    assert_false(lapic_matches(rig.lapic, 0x03, true));
    set(&rig, DFR, 0x0FFFFFFF); /* clusters */
    set(&rig, LDR, 0x21000000);
    assert_true(lapic_matches(rig.lapic, 0x23, true));
    assert_true(lapic_matches(rig.lapic, 0xF1, true));
    assert_false(lapic_matches(rig.lapic, 0x31, true));
    set(&rig, ICR_HIGH, 0);
    set(&rig, ICR, 0x4400); /* NMI to id 0 */
    assert_int_equal(rig.nmis, 1);
    set(&rig, ICR, 0xC500); /* INIT, level assert; then de-assert does nothing */
    set(&rig, ICR, 0x8500);
    assert_int_equal(rig.inits, 1);
    set(&rig, ICR, 0x469A);
    assert_int_equal(rig.startups, 1);
    assert_int_equal(rig.startup_vector, 0x9A);
    set(&rig, ICR, 0xC0040); /* fixed, to all but itself */
    assert_false(rig.intr.line.level);
    set(&rig, ICR_HIGH, 0x01000000);
    set(&rig, ICR, 0x40); /* somebody else */
    assert_false(rig.intr.line.level);
    /* illegal vectors are recorded; a write to ESR shows them */
    set(&rig, LVT_ERROR, 0x33);
    self_ipi(&rig, 0x0F);
    assert_int_equal(get(&rig, ESR), 0);
    set(&rig, ESR, 0);
    assert_int_equal(get(&rig, ESR), 0x20);
    assert_int_equal(lapic_acknowledge(rig.lapic), 0x33);
    set(&rig, EOI, 0);
    set(&rig, LVT_ERROR, 0x05); /* an error entry that is itself illegal */
    self_ipi(&rig, 0x00);
    set(&rig, ESR, 0);
    assert_int_equal(get(&rig, ESR), 0x20);
    /* LINT1 as NMI, LINT0 as a fixed vector: edges */
    set(&rig, LVT_LINT1, 0x400);
    lapic_set_lint(rig.lapic, 1, true);
    lapic_set_lint(rig.lapic, 1, true);
    assert_int_equal(rig.nmis, 2);
    set(&rig, LVT_LINT0, 0x77);
    lapic_set_lint(rig.lapic, 0, true);
    assert_int_equal(lapic_acknowledge(rig.lapic), 0x77);
    rig_close(&rig);
}

static void test_timer(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig, false);
    set(&rig, SVR, 0x1FF);
    set(&rig, DIVIDE, 0x3); /* by 16 */
    set(&rig, LVT_TIMER, 0x30);
    set(&rig, INITIAL, 1000);
    fake_run(&rig.fake, 4000);
    assert_int_equal(get(&rig, CURRENT), 750);
    fake_run(&rig.fake, 11999);
    assert_false(rig.intr.line.level);
    fake_run(&rig.fake, 1);
    assert_int_equal(lapic_acknowledge(rig.lapic), 0x30);
    set(&rig, EOI, 0);
    assert_int_equal(get(&rig, CURRENT), 0);
    fake_run(&rig.fake, 100000); /* one shot */
    assert_false(rig.intr.line.level);
    /* masked: it counts, but nobody is told, nor later */
    set(&rig, LVT_TIMER, 0x10030);
    set(&rig, INITIAL, 1000);
    assert_true(clock_next_ns(rig.fake.clock) == UINT64_MAX);
    fake_run(&rig.fake, 8000);
    assert_int_equal(get(&rig, CURRENT), 500);
    fake_run(&rig.fake, 9000);
    set(&rig, LVT_TIMER, 0x30);
    fake_run(&rig.fake, 100000);
    assert_false(rig.intr.line.level);
    /* periodic, by 1 */
    set(&rig, DIVIDE, 0xB);
    set(&rig, LVT_TIMER, 0x20031);
    set(&rig, INITIAL, 50000);
    for (unsigned i = 0; i < 5; i++) {
        fake_run(&rig.fake, 50000);
        assert_int_equal(lapic_acknowledge(rig.lapic), 0x31);
        set(&rig, EOI, 0);
    }
    fake_run(&rig.fake, 20000);
    assert_int_equal(get(&rig, CURRENT), 30000);
    set(&rig, INITIAL, 0);
    assert_true(clock_next_ns(rig.fake.clock) == UINT64_MAX);
    /* a period of 1 ns must not eat the machine */
    set(&rig, INITIAL, 1);
    rig.fake.fires = 0;
    fake_run(&rig.fake, 1000000);
    assert_in_range(rig.fake.fires, 1, 200);
    set(&rig, INITIAL, 0);
    rig_close(&rig);
}

static void test_tsc_deadline(void **state)
{
    struct rig rig;
    uint64_t value;

    (void)state;
    rig_open(&rig, false);
    set(&rig, SVR, 0x1FF);
    assert_true(lapic_msr_write(rig.lapic, LAPIC_MSR_DEADLINE, 12345)); /* ignored in other modes */
    assert_true(lapic_msr_read(rig.lapic, LAPIC_MSR_DEADLINE, &value));
    assert_int_equal(value, 0);
    set(&rig, LVT_TIMER, 0x40032);
    set(&rig, INITIAL, 100); /* ignored in this mode */
    assert_int_equal(get(&rig, CURRENT), 0);
    fake_run(&rig.fake, 1000);
    assert_true(lapic_msr_write(rig.lapic, LAPIC_MSR_DEADLINE, 2 * 5000));
    assert_true(lapic_msr_read(rig.lapic, LAPIC_MSR_DEADLINE, &value));
    assert_int_equal(value, 10000);
    fake_run(&rig.fake, 3900);
    assert_false(rig.intr.line.level);
    fake_run(&rig.fake, 200);
    assert_int_equal(lapic_acknowledge(rig.lapic), 0x32);
    set(&rig, EOI, 0);
    assert_true(lapic_msr_read(rig.lapic, LAPIC_MSR_DEADLINE, &value));
    assert_int_equal(value, 0);
    assert_true(lapic_msr_write(rig.lapic, LAPIC_MSR_DEADLINE, 1)); /* long past: now */
    fake_run(&rig.fake, 1);
    assert_int_equal(lapic_acknowledge(rig.lapic), 0x32);
    set(&rig, EOI, 0);
    assert_true(lapic_msr_write(rig.lapic, LAPIC_MSR_DEADLINE, UINT64_MAX));
    set(&rig, LVT_TIMER, 0x32); /* leaving the mode disarms */
    assert_true(clock_next_ns(rig.fake.clock) == UINT64_MAX);
    rig_close(&rig);
}

static void test_base_and_x2apic(void **state)
{
    struct rig rig;
    uint64_t value;

    (void)state;
    rig_open(&rig, false);
    assert_false(lapic_msr_write(rig.lapic, LAPIC_MSR_BASE, 0xFEE00D00)); /* no x2APIC */
    assert_false(lapic_msr_write(rig.lapic, LAPIC_MSR_BASE, UINT64_C(1) << 40 | 0x900));
    assert_false(lapic_msr_write(rig.lapic, LAPIC_MSR_BASE, 0xFEE00901));
    assert_true(lapic_msr_write(rig.lapic, LAPIC_MSR_BASE, 0xD0000800));
    assert_int_equal(rig.base, 0xD0000900); /* the BSP flag stays */
    assert_false(lapic_msr_read(rig.lapic, 0x802, &value));
    /* switched off: LINT0 is INTR */
    assert_true(lapic_msr_write(rig.lapic, LAPIC_MSR_BASE, 0xFEE00100));
    lapic_set_lint(rig.lapic, 0, true);
    assert_int_equal(lapic_acknowledge(rig.lapic), LAPIC_EXTINT);
    lapic_set_lint(rig.lapic, 0, false);
    rig_close(&rig);

    rig_open(&rig, true);
    assert_true(lapic_msr_write(rig.lapic, LAPIC_MSR_BASE, 0xFEE00D00));
    assert_int_equal(get(&rig, VERSION), 0); /* no page in this mode */
    assert_true(lapic_msr_write(rig.lapic, 0x80F, 0x1FF));
    assert_false(lapic_msr_write(rig.lapic, 0x80F, 0x21FF));
    assert_false(lapic_msr_write(rig.lapic, 0x80B, 1)); /* EOI takes only 0 */
    assert_false(lapic_msr_write(rig.lapic, 0x803, 0));
    assert_false(lapic_msr_read(rig.lapic, 0x80B, &value));
    assert_true(lapic_msr_read(rig.lapic, 0x80D, &value));
    assert_int_equal(value, 1);
    assert_true(lapic_msr_write(rig.lapic, 0x83F, 0x66)); /* self IPI */
    assert_int_equal(lapic_acknowledge(rig.lapic), 0x66);
    assert_true(lapic_msr_write(rig.lapic, 0x80B, 0));
    assert_true(lapic_msr_write(rig.lapic, 0x830, 0x00000000000040F1));
    assert_int_equal(lapic_acknowledge(rig.lapic), 0xF1);
    assert_false(lapic_msr_write(rig.lapic, LAPIC_MSR_BASE, 0xFEE00900)); /* not straight back */
    assert_true(lapic_msr_write(rig.lapic, LAPIC_MSR_BASE, 0xFEE00100));
    assert_false(lapic_msr_write(rig.lapic, LAPIC_MSR_BASE, 0xFEE00D00)); /* nor straight in */
    rig_close(&rig);
}

/* ---- I/O APIC ---- */

static uint32_t io_get(struct rig *rig, uint8_t reg)
{
    ioapic_mmio.write(rig->ioapic, 0x00, 4, reg);
    return (uint32_t)ioapic_mmio.read(rig->ioapic, 0x10, 4);
}

static void io_set(struct rig *rig, uint8_t reg, uint32_t value)
{
    ioapic_mmio.write(rig->ioapic, 0x00, 4, reg);
    ioapic_mmio.write(rig->ioapic, 0x10, 4, value);
}

static void test_ioapic(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig, false);
    set(&rig, SVR, 0x1FF);
    assert_int_equal(io_get(&rig, 1), 0x00170011);
    assert_int_equal(io_get(&rig, 0x10 + 2 * 23), 0x10000);
    assert_int_equal(io_get(&rig, 0x10 + 2 * 24), UINT32_MAX); /* there is no pin 24 */
    io_set(&rig, 0xFF, UINT32_MAX);
    io_set(&rig, 0, UINT32_MAX);
    assert_int_equal(io_get(&rig, 0), 0x0F000000);
    /* edge: one message each rise; an edge on a masked pin is lost */
    ioapic_set_pin(rig.ioapic, 4, true);
    io_set(&rig, 0x10 + 2 * 4, 0x41);
    assert_false(rig.intr.line.level);
    ioapic_set_pin(rig.ioapic, 4, false);
    ioapic_set_pin(rig.ioapic, 4, true);
    ioapic_set_pin(rig.ioapic, 4, true);
    assert_int_equal(lapic_acknowledge(rig.lapic), 0x41);
    assert_false(rig.intr.line.level);
    set(&rig, EOI, 0);
    /* level: sent once until its EOI, then again while it is asserted */
    io_set(&rig, 0x10 + 2 * 10, 0x18051);
    ioapic_set_pin(rig.ioapic, 10, true);
    assert_false(rig.intr.line.level);
    io_set(&rig, 0x10 + 2 * 10, 0x08051); /* unmasked while asserted */
    assert_int_equal(io_get(&rig, 0x10 + 2 * 10), 0x0C051);
    assert_int_equal(lapic_acknowledge(rig.lapic), 0x51);
    assert_int_equal(get(&rig, TMR + 0x20), 1u << 17);
    ioapic_set_pin(rig.ioapic, 10, false);
    ioapic_set_pin(rig.ioapic, 10, true);
    assert_int_equal(get(&rig, IRR + 0x20), 0);
    set(&rig, EOI, 0);
    assert_int_equal(lapic_acknowledge(rig.lapic), 0x51);
    ioapic_set_pin(rig.ioapic, 10, false);
    set(&rig, EOI, 0);
    assert_false(rig.intr.line.level);
    assert_int_equal(io_get(&rig, 0x10 + 2 * 10), 0x08051);
    /* remote IRR cannot be written, but switching to edge clears it */
    ioapic_set_pin(rig.ioapic, 10, true);
    io_set(&rig, 0x10 + 2 * 10, 0x18051);
    assert_int_equal(io_get(&rig, 0x10 + 2 * 10), 0x1C051);
    io_set(&rig, 0x10 + 2 * 10, 0x10051);
    assert_int_equal(io_get(&rig, 0x10 + 2 * 10), 0x10051);
    /* a message to nobody */
    io_set(&rig, 0x10 + 2 * 5 + 1, 0x07000000);
    io_set(&rig, 0x10 + 2 * 5, 0x61);
    lapic_acknowledge(rig.lapic);
    set(&rig, EOI, 0);
    ioapic_set_pin(rig.ioapic, 5, true);
    assert_false(rig.intr.line.level);
    assert_int_equal(io_get(&rig, 0x10 + 2 * 5 + 1), 0x07000000);
    rig_close(&rig);
}

/* Every register with every width and wild values: nothing may go out of bounds or hang. */
static void test_hostile(void **state)
{
    struct rig rig;
    uint32_t seed = 1;

    (void)state;
    rig_open(&rig, true);
    for (unsigned i = 0; i < 200000; i++) {
        const uint32_t offset = (seed >> 8) % LAPIC_SIZE;
        const unsigned size = 1u << (seed & 3);

        seed = seed * 1664525 + 1013904223;
        if (i % 3 == 0) {
            lapic_mmio.write(rig.lapic, offset & ~(size - 1), size, seed ^ seed << 7);
        } else if (i % 3 == 1) {
            (void)lapic_mmio.read(rig.lapic, offset & ~(size - 1), size);
            ioapic_mmio.write(rig.ioapic, offset & 0x1F & ~(size - 1), size, seed >> 3);
        } else {
            uint64_t value;

            (void)lapic_msr_write(rig.lapic, 0x800 + (seed >> 5 & 0xFF), seed >> 9);
            (void)lapic_msr_read(rig.lapic, 0x800 + (seed >> 5 & 0xFF), &value);
            ioapic_set_pin(rig.ioapic, seed % IOAPIC_PIN_COUNT, seed & 0x100);
        }
        if (i % 16 == 0)
            (void)lapic_acknowledge(rig.lapic);
        if (i % 100 == 0) {
            rig.fake.now_ns += 5000;
            clock_run(rig.fake.clock);
        }
    }
    lapic_reset(rig.lapic);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reset),        cmocka_unit_test(test_priorities),
        cmocka_unit_test(test_messages),     cmocka_unit_test(test_timer),
        cmocka_unit_test(test_tsc_deadline), cmocka_unit_test(test_base_and_x2apic),
        cmocka_unit_test(test_ioapic),       cmocka_unit_test(test_hostile),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
