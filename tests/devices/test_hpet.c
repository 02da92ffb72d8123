/*
 * tests/devices/test_hpet.c -- the high precision event timers.
 */
#include "fake.h"

#include "devices/hpet.h"

enum { CAP = 0x000, CONFIG = 0x010, STATUS = 0x020, COUNTER = 0x0F0 };
#define TIMER(n)   (0x100u + 0x20u * (n))
#define COMPARE(n) (0x108u + 0x20u * (n))
enum { LEVEL = 2, ENABLE = 4, PERIODIC = 8, VAL_SET = 0x40, MODE32 = 0x100 };
#define ROUTE(pin) ((uint64_t)(pin) << 9)
enum { ON = 1, ON_LEGACY = 3 };

struct rig {
    struct fake fake;
    struct fake_wire irq0, irq8, legacy;
    struct line pins[HPET_PIN_COUNT];
    unsigned rises[HPET_PIN_COUNT];
    struct hpet *hpet;
};

static void pin_changed(void *ctx, unsigned index, bool level)
{
    struct rig *rig = ctx;

    rig->rises[index] += level;
}

static void rig_open(struct rig *rig)
{
    struct hpet_lines lines;

    memset(rig, 0, sizeof(*rig));
    fake_open(&rig->fake);
    fake_wire_init(&rig->irq0);
    fake_wire_init(&rig->irq8);
    fake_wire_init(&rig->legacy);
    for (unsigned i = 0; i < HPET_PIN_COUNT; i++)
        line_connect(&rig->pins[i], pin_changed, rig, i);
    lines = (struct hpet_lines){
        .irq0 = &rig->irq0.line,
        .irq8 = &rig->irq8.line,
        .legacy = &rig->legacy.line,
        .pins = rig->pins,
    };
    rig->hpet = hpet_create(rig->fake.bus, rig->fake.clock, &lines);
    assert_non_null(rig->hpet);
    fake_run(&rig->fake, 12345); /* the counter does not start with the machine */
}

static void rig_close(struct rig *rig)
{
    hpet_destroy(rig->hpet);
    fake_close(&rig->fake);
}

static uint64_t rd(struct rig *rig, uint64_t reg)
{
    return hpet_mmio.read(rig->hpet, reg, 8);
}

static void wr(struct rig *rig, uint64_t reg, uint64_t value)
{
    hpet_mmio.write(rig->hpet, reg, 8, value);
}

static void ticks(struct rig *rig, uint64_t count)
{
    fake_run(&rig->fake, count * HPET_NS_PER_TICK);
}

static void test_registers(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    assert_true(rd(&rig, CAP) == UINT64_C(0x009896808086A201));
    assert_true(hpet_mmio.read(rig.hpet, CAP + 4, 4) == 10000000);
    assert_true(rd(&rig, CONFIG) == 0);
    wr(&rig, CAP, 0);
    wr(&rig, CONFIG, UINT64_MAX);
    assert_true(rd(&rig, CONFIG) == 3);
    for (unsigned i = 0; i < HPET_TIMER_COUNT; i++) {
        assert_true(rd(&rig, TIMER(i)) == UINT64_C(0x00FF000000000030));
        assert_true(rd(&rig, COMPARE(i)) == UINT64_MAX);
        wr(&rig, TIMER(i), UINT64_MAX);
        assert_true(rd(&rig, TIMER(i)) == UINT64_C(0x00FF000000003F7E));
    }
    assert_true(rd(&rig, 0x160) == 0); /* there is no fourth timer */
    hpet_reset(rig.hpet);
    assert_true(rd(&rig, TIMER(0)) == UINT64_C(0x00FF000000000030));
    assert_false(rig.legacy.line.level);
    rig_close(&rig);
}

static void test_counter(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    assert_true(rd(&rig, COUNTER) == 0);
    wr(&rig, CONFIG, ON);
    ticks(&rig, 1000);
    assert_true(rd(&rig, COUNTER) == 1000);
    wr(&rig, CONFIG, 0);
    ticks(&rig, 1000);
    assert_true(rd(&rig, COUNTER) == 1000);
    wr(&rig, COUNTER, UINT64_C(0x1FFFFFFFF));
    wr(&rig, CONFIG, ON);
    ticks(&rig, 2);
    assert_true(rd(&rig, COUNTER) == UINT64_C(0x200000001));
    assert_true(hpet_mmio.read(rig.hpet, COUNTER, 4) == 1);
    assert_true(hpet_mmio.read(rig.hpet, COUNTER + 4, 4) == 2);
    /* in halves */
    wr(&rig, CONFIG, 0);
    hpet_mmio.write(rig.hpet, COUNTER, 4, 0x11223344);
    hpet_mmio.write(rig.hpet, COUNTER + 4, 4, 0x55667788);
    assert_true(rd(&rig, COUNTER) == UINT64_C(0x5566778811223344));
    rig_close(&rig);
}

static void test_one_shot_edge(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    wr(&rig, CONFIG, ON);
    wr(&rig, TIMER(2), ENABLE | ROUTE(20));
    wr(&rig, COMPARE(2), 5000);
    ticks(&rig, 4999);
    assert_int_equal(rig.rises[4], 0);
    ticks(&rig, 1);
    assert_int_equal(rig.rises[4], 1);
    assert_true(rd(&rig, STATUS) == 0);
    ticks(&rig, 1000000);
    assert_int_equal(rig.rises[4], 1);
    wr(&rig, COMPARE(2), rd(&rig, COUNTER) + 10);
    ticks(&rig, 10);
    assert_int_equal(rig.rises[4], 2); /* another edge, whether or not somebody looked */
    wr(&rig, TIMER(2), ROUTE(20));
    assert_false(rig.pins[4].level);
    rig_close(&rig);
}

static void test_comparator_just_missed(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    wr(&rig, CONFIG, ON);
    ticks(&rig, 100000);
    wr(&rig, TIMER(2), ENABLE | ROUTE(16));
    wr(&rig, COMPARE(2), 99000);
    assert_int_equal(rig.rises[0], 1);
    /* Enabling an interrupt whose match is past does not repeat it. */
    wr(&rig, TIMER(2), ROUTE(16));
    wr(&rig, TIMER(2), ENABLE | ROUTE(16));
    ticks(&rig, 1000000);
    assert_int_equal(rig.rises[0], 1);
    rig_close(&rig);
}

static void test_level(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    wr(&rig, CONFIG, ON);
    wr(&rig, TIMER(1), LEVEL | ENABLE | PERIODIC | VAL_SET | ROUTE(23));
    wr(&rig, COMPARE(1), 100000);
    ticks(&rig, 100000);
    assert_true(rig.pins[7].level);
    assert_true(rd(&rig, STATUS) == 2);
    wr(&rig, STATUS, 1);
    assert_true(rig.pins[7].level);
    ticks(&rig, 350000);
    assert_int_equal(rig.rises[7], 1);
    wr(&rig, STATUS, 2);
    assert_false(rig.pins[7].level);
    ticks(&rig, 50000);
    assert_true(rig.pins[7].level);
    wr(&rig, TIMER(1), LEVEL | PERIODIC | ROUTE(23)); /* the status stays, the interrupt does not */
    assert_false(rig.pins[7].level);
    assert_true(rd(&rig, STATUS) == 2);
    wr(&rig, TIMER(1), LEVEL | PERIODIC | ENABLE | ROUTE(22));
    assert_true(rig.pins[6].level);
    wr(&rig, CONFIG, 0);
    assert_false(rig.pins[6].level);
    rig_close(&rig);
}

/* As kernels do it: the first write after VAL_SET is the first match, the second is the period. */
static void test_periodic(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    wr(&rig, CONFIG, ON_LEGACY);
    assert_true(rig.legacy.line.level);
    ticks(&rig, 777);
    wr(&rig, TIMER(0), ENABLE | PERIODIC | VAL_SET | MODE32);
    wr(&rig, COMPARE(0), 777 + 400000);
    assert_true((rd(&rig, TIMER(0)) & VAL_SET) == 0);
    wr(&rig, COMPARE(0), 100000);
    ticks(&rig, 399999);
    assert_int_equal(rig.irq0.rises, 0);
    ticks(&rig, 1);
    assert_int_equal(rig.irq0.rises, 1);
    assert_true(rd(&rig, COMPARE(0)) == 777 + 500000);
    ticks(&rig, 1000000);
    assert_int_equal(rig.irq0.rises, 11);
    assert_int_equal(rig.irq8.rises, 0);
    rig_close(&rig);
}

/* A host that was away for ten periods: their interrupts come, quickly but one by one, so that a
 * kernel that waits for some ticks (Linux, whether its timer works at all) does not wait in vain.
 */
static void test_late_host_loses_no_ticks(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    wr(&rig, CONFIG, ON_LEGACY);
    wr(&rig, TIMER(0), ENABLE | PERIODIC | VAL_SET | MODE32);
    wr(&rig, COMPARE(0), 100000); /* 1 ms */
    wr(&rig, COMPARE(0), 100000);
    rig.fake.now_ns += 10 * UINT64_C(1000000);
    clock_run(rig.fake.clock);
    assert_int_equal(rig.irq0.rises, 1);
    fake_run(&rig.fake, 500000);
    assert_in_range(rig.irq0.rises, 7, 9);
    fake_run(&rig.fake, 499900);
    assert_int_equal(rig.irq0.rises, 10);
    fake_run(&rig.fake, 5000000);
    assert_int_equal(rig.irq0.rises, 15);
    /* Ten seconds away: not ten thousand. */
    rig.fake.now_ns += 10 * UINT64_C(1000000000);
    fake_run(&rig.fake, 9999900);
    assert_in_range(rig.irq0.rises, 15 + 50, 15 + 65);
    /* A new period owes nothing of the old one. */
    rig.fake.now_ns += 20 * UINT64_C(1000000);
    wr(&rig, TIMER(0), ENABLE | PERIODIC | VAL_SET | MODE32);
    rig.irq0.rises = 0;
    fake_run(&rig.fake, 900000);
    assert_in_range(rig.irq0.rises, 0, 1);
    /* A level interrupt stands for any number. */
    hpet_reset(rig.hpet);
    wr(&rig, CONFIG, ON_LEGACY);
    wr(&rig, TIMER(0), ENABLE | PERIODIC | VAL_SET | LEVEL);
    wr(&rig, COMPARE(0), 100000);
    wr(&rig, COMPARE(0), 100000);
    rig.irq0.rises = 0;
    rig.fake.now_ns += 10 * UINT64_C(1000000);
    fake_run(&rig.fake, 500000);
    assert_int_equal(rig.irq0.rises, 1);
    wr(&rig, STATUS, 1);
    fake_run(&rig.fake, 400000);
    assert_int_equal(rig.irq0.rises, 1);
    rig_close(&rig);
}

static void test_wrap_of_32_bits(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    wr(&rig, COUNTER, UINT64_C(0x7FFFFFF00));
    wr(&rig, CONFIG, ON_LEGACY);
    wr(&rig, TIMER(1), ENABLE | MODE32);
    wr(&rig, COMPARE(1), 0x100);
    ticks(&rig, 0x1FF);
    assert_int_equal(rig.irq8.rises, 0);
    ticks(&rig, 1);
    assert_int_equal(rig.irq8.rises, 1);
    ticks(&rig, UINT64_C(0xFFFFFFFF));
    assert_int_equal(rig.irq8.rises, 1);
    ticks(&rig, 1); /* and once more when it comes round */
    assert_int_equal(rig.irq8.rises, 2);
    rig_close(&rig);
}

static void test_legacy_route_ends(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    wr(&rig, CONFIG, ON_LEGACY);
    wr(&rig, TIMER(0), ENABLE);
    wr(&rig, COMPARE(0), 10);
    ticks(&rig, 10);
    assert_true(rig.irq0.line.level);
    wr(&rig, CONFIG, ON);
    assert_false(rig.legacy.line.level);
    assert_false(rig.irq0.line.level);
    wr(&rig, CONFIG, 2); /* halted: the route needs both bits */
    assert_false(rig.legacy.line.level);
    rig_close(&rig);
}

/* Whatever the period, a second costs a bounded number of host timers. */
static void test_period_of_nothing(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    wr(&rig, CONFIG, ON_LEGACY);
    for (uint64_t period = 0; period < 3; period++) {
        wr(&rig, TIMER(0), ENABLE | PERIODIC | VAL_SET);
        wr(&rig, COMPARE(0), rd(&rig, COUNTER) + 1);
        wr(&rig, COMPARE(0), period);
        rig.fake.fires = 0;
        fake_run(&rig.fake, 1000000000);
        assert_in_range(rig.fake.fires, 0, 21000);
    }
    rig_close(&rig);
}

/* As with the 8254: what is owed does not wait while the guest takes it. */
static void test_owed_interrupts_follow_when_taken(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    wr(&rig, CONFIG, ON_LEGACY);
    wr(&rig, TIMER(0), ENABLE | PERIODIC | VAL_SET | MODE32);
    wr(&rig, COMPARE(0), 400000); /* 4 ms */
    wr(&rig, COMPARE(0), 400000);
    hpet_irq0_taken(rig.hpet);
    assert_int_equal(rig.irq0.rises, 0);
    rig.fake.now_ns += 16 * UINT64_C(4000000);
    clock_run(rig.fake.clock);
    for (unsigned i = 1; i <= 9; i++) {
        assert_int_equal(rig.irq0.rises, i);
        hpet_irq0_taken(rig.hpet);
    }
    assert_int_equal(rig.irq0.rises, 9); /* the guest must get on, too */
    fake_run(&rig.fake, 3 * UINT64_C(1000000));
    assert_in_range(rig.irq0.rises, 16, 17);
    /* Without the legacy route IRQ 0 is somebody else's. */
    rig.fake.now_ns += 16 * UINT64_C(4000000);
    clock_run(rig.fake.clock);
    wr(&rig, TIMER(0), rd(&rig, TIMER(0)) | ROUTE(20));
    wr(&rig, CONFIG, ON);
    rig.fake.now_ns += 16 * UINT64_C(4000000);
    clock_run(rig.fake.clock);
    rig.irq0.rises = rig.rises[20 - HPET_FIRST_PIN] = 0;
    hpet_irq0_taken(rig.hpet);
    assert_int_equal(rig.irq0.rises + rig.rises[20 - HPET_FIRST_PIN], 0);
    rig_close(&rig);
}

/* A host that comes late, by days even. */
static void test_late_host(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    wr(&rig, CONFIG, ON_LEGACY);
    wr(&rig, TIMER(0), ENABLE | PERIODIC | VAL_SET);
    wr(&rig, COMPARE(0), 1000000);
    rig.fake.now_ns += UINT64_C(1000000000000000);
    clock_run(rig.fake.clock);
    assert_int_equal(rig.irq0.rises, 1);
    assert_in_range(rd(&rig, COMPARE(0)) - rd(&rig, COUNTER), 1, 1000000);
    assert_true(rd(&rig, COMPARE(0)) % 1000000 == 0);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_registers),
        cmocka_unit_test(test_counter),
        cmocka_unit_test(test_one_shot_edge),
        cmocka_unit_test(test_comparator_just_missed),
        cmocka_unit_test(test_level),
        cmocka_unit_test(test_periodic),
        cmocka_unit_test(test_late_host_loses_no_ticks),
        cmocka_unit_test(test_owed_interrupts_follow_when_taken),
        cmocka_unit_test(test_wrap_of_32_bits),
        cmocka_unit_test(test_legacy_route_ends),
        cmocka_unit_test(test_period_of_nothing),
        cmocka_unit_test(test_late_host),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
