/* tests/devices/test_i8254.c -- counts, OUT and IRQ0 in all six modes, latches, port B. */
#include "fake.h"

#include "devices/i8254.h"

struct rig {
    struct fake fake;
    struct fake_wire irq0, speaker;
    struct i8254 *pit;
};

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));

    fake_open(&rig->fake);
    fake_wire_init(&rig->irq0);
    fake_wire_init(&rig->speaker);
    rig->pit = i8254_create(rig->fake.bus, rig->fake.clock, &rig->irq0.line, &rig->speaker.line);
    assert_non_null(rig->pit);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;

    i8254_destroy(rig->pit);
    fake_close(&rig->fake);
    free(rig);
    return 0;
}

/* The middle of tick `tick`. */
static uint64_t tick_ns(uint64_t tick)
{
    return clock_scale(2 * tick + 1, 1000000000, 2 * I8254_HZ);
}

static void to_tick(struct rig *rig, uint64_t tick)
{
    fake_run_until(&rig->fake, tick_ns(tick));
}

static void control(struct rig *rig, uint8_t value)
{
    out8(&rig->fake, 0x43, value);
}

static void count(struct rig *rig, unsigned channel, unsigned value)
{
    out8(&rig->fake, (uint16_t)(0x40 + channel), (uint8_t)value);
    out8(&rig->fake, (uint16_t)(0x40 + channel), (uint8_t)(value >> 8));
}

static unsigned latch(struct rig *rig, unsigned channel)
{
    unsigned low;

    control(rig, (uint8_t)(channel << 6));
    low = in8(&rig->fake, (uint16_t)(0x40 + channel));
    return low | (unsigned)in8(&rig->fake, (uint16_t)(0x40 + channel)) << 8;
}

static bool out2(struct rig *rig)
{
    return in8(&rig->fake, 0x61) & 0x20;
}

static uint8_t status(struct rig *rig, unsigned channel)
{
    control(rig, (uint8_t)(0xe0 | 2u << channel));
    return in8(&rig->fake, (uint16_t)(0x40 + channel));
}

static void test_mode0(void **state)
{
    struct rig *rig = *state;

    to_tick(rig, 1000);
    out8(&rig->fake, 0x61, 1);
    control(rig, 0xb0);
    assert_false(out2(rig));
    assert_int_equal(status(rig, 2), 0x70); /* null count */
    count(rig, 2, 100);
    to_tick(rig, 1001); /* loaded */
    assert_int_equal(latch(rig, 2), 100);
    assert_int_equal(status(rig, 2), 0x30);
    to_tick(rig, 1051);
    assert_int_equal(latch(rig, 2), 50);
    /* GATE low holds the count. */
    out8(&rig->fake, 0x61, 0);
    to_tick(rig, 1100);
    assert_int_equal(latch(rig, 2), 50);
    out8(&rig->fake, 0x61, 1);
    to_tick(rig, 1149);
    assert_int_equal(latch(rig, 2), 1);
    assert_false(out2(rig));
    to_tick(rig, 1150);
    assert_true(out2(rig));
    to_tick(rig, 1160);
    assert_int_equal(latch(rig, 2), 65536 - 10); /* it counts on */
    /* The first byte of a new count lowers OUT and stops. */
    out8(&rig->fake, 0x42, 5);
    assert_false(out2(rig));
    to_tick(rig, 2000);
    assert_false(out2(rig));
    out8(&rig->fake, 0x42, 0);
    to_tick(rig, 2005);
    assert_false(out2(rig));
    to_tick(rig, 2006); /* N + 1 after the write */
    assert_true(out2(rig));
}

static void test_mode1(void **state)
{
    struct rig *rig = *state;

    control(rig, 0xb2);
    count(rig, 2, 10);
    to_tick(rig, 100);
    assert_true(out2(rig)); /* not triggered */
    out8(&rig->fake, 0x61, 1);
    to_tick(rig, 101);
    assert_false(out2(rig));
    to_tick(rig, 105);
    assert_int_equal(latch(rig, 2), 6);
    out8(&rig->fake, 0x61, 0);
    out8(&rig->fake, 0x61, 1); /* again, from the top */
    to_tick(rig, 115);
    assert_false(out2(rig));
    to_tick(rig, 116);
    assert_true(out2(rig));
}

static void test_mode2(void **state)
{
    struct rig *rig = *state;
    unsigned low = 0;

    control(rig, 0x34);
    count(rig, 0, 1000);
    for (unsigned tick = 1; tick <= 3000; tick++) {
        to_tick(rig, tick);
        assert_int_equal(latch(rig, 0), 1000 - (tick - 1) % 1000);
        low += !(status(rig, 0) & 0x80);
    }
    assert_int_equal(low, 3);
    to_tick(rig, 3001);
    assert_int_equal(rig->irq0.rises, 1 + 3); /* the control word's, and three periods */
    assert_true(rig->irq0.line.level);
    assert_int_equal(rig->fake.fires, 3); /* one look at the host's clock for each */
}

/* A new count waits for the end of the period. */
static void test_mode2_new_count(void **state)
{
    struct rig *rig = *state;
    unsigned rises;

    control(rig, 0x34);
    count(rig, 0, 1000);
    to_tick(rig, 501);
    rises = rig->irq0.rises;
    count(rig, 0, 200);
    assert_int_equal(status(rig, 0) & 0x40, 0x40);
    assert_int_equal(latch(rig, 0), 500);
    to_tick(rig, 1001);
    assert_int_equal(rig->irq0.rises, rises + 1);
    assert_int_equal(latch(rig, 0), 200);
    assert_int_equal(status(rig, 0) & 0x40, 0);
    to_tick(rig, 1201);
    assert_int_equal(rig->irq0.rises, rises + 2);
    assert_int_equal(latch(rig, 0), 200);
}

static void test_mode3(void **state)
{
    struct rig *rig = *state;

    control(rig, 0x36);
    count(rig, 0, 1000);
    to_tick(rig, 1);
    assert_int_equal(latch(rig, 0), 1000);
    to_tick(rig, 500);
    assert_int_equal(latch(rig, 0), 2);
    assert_true(rig->irq0.line.level);
    to_tick(rig, 501);
    assert_int_equal(latch(rig, 0), 1000);
    assert_false(rig->irq0.line.level);
    assert_int_equal(status(rig, 0) & 0x80, 0);
    to_tick(rig, 1001);
    assert_true(rig->irq0.line.level);
    to_tick(rig, 10001);
    assert_int_equal(rig->irq0.rises, 1 + 10);
    /* Odd: high for (N + 1) / 2. */
    out8(&rig->fake, 0x61, 1);
    control(rig, 0xb6);
    count(rig, 2, 5);
    for (unsigned i = 0; i < 20; i++) {
        static const unsigned counts[5] = {4, 2, 0, 4, 2};

        to_tick(rig, 10002 + i);
        assert_int_equal(out2(rig), i % 5 < 3);
        assert_int_equal(latch(rig, 2), counts[i % 5]);
    }
}

/* A new count in the middle of a square wave starts with the next half. */
static void test_mode3_new_count(void **state)
{
    struct rig *rig = *state;

    out8(&rig->fake, 0x61, 1);
    control(rig, 0xb6);
    count(rig, 2, 100);
    to_tick(rig, 11);
    count(rig, 2, 20);
    to_tick(rig, 50);
    assert_true(out2(rig));
    to_tick(rig, 51);
    assert_false(out2(rig));
    to_tick(rig, 60);
    assert_false(out2(rig));
    to_tick(rig, 61);
    assert_true(out2(rig));
    to_tick(rig, 71);
    assert_false(out2(rig));
}

static void test_mode4(void **state)
{
    struct rig *rig = *state;

    control(rig, 0x38);
    assert_true(rig->irq0.line.level);
    count(rig, 0, 100);
    to_tick(rig, 50);
    count(rig, 0, 100); /* software triggers again */
    to_tick(rig, 150);
    assert_int_equal(status(rig, 0) & 0x80, 0x80);
    to_tick(rig, 151); /* one tick low */
    assert_int_equal(status(rig, 0) & 0x80, 0);
    assert_int_equal(rig->irq0.rises, 1);
    to_tick(rig, 152);
    assert_int_equal(status(rig, 0) & 0x80, 0x80);
    assert_int_equal(rig->irq0.rises, 2);
    to_tick(rig, 1000000);
    assert_int_equal(rig->irq0.rises, 2);
    assert_in_range(rig->fake.fires, 1, 2);
}

static void test_mode5(void **state)
{
    struct rig *rig = *state;

    control(rig, 0xba);
    count(rig, 2, 10);
    to_tick(rig, 100);
    assert_true(out2(rig));
    out8(&rig->fake, 0x61, 1);
    to_tick(rig, 110);
    assert_true(out2(rig));
    to_tick(rig, 111);
    assert_false(out2(rig));
    to_tick(rig, 112);
    assert_true(out2(rig));
}

static void test_gate_in_mode2(void **state)
{
    struct rig *rig = *state;

    out8(&rig->fake, 0x61, 1);
    control(rig, 0xb4);
    count(rig, 2, 100);
    to_tick(rig, 100);
    assert_false(out2(rig));
    out8(&rig->fake, 0x61, 0);
    assert_true(out2(rig));
    to_tick(rig, 150);
    out8(&rig->fake, 0x61, 1);
    to_tick(rig, 151);
    assert_int_equal(latch(rig, 2), 100); /* the edge reloads */
}

static void test_bcd(void **state)
{
    struct rig *rig = *state;

    out8(&rig->fake, 0x61, 1);
    control(rig, 0xb1);
    count(rig, 2, 0x1000);
    to_tick(rig, 2);
    assert_int_equal(latch(rig, 2), 0x0999);
    to_tick(rig, 1002);
    assert_int_equal(latch(rig, 2), 0x9999);
    control(rig, 0xb1);
    count(rig, 2, 0); /* 10000 */
    to_tick(rig, 1004);
    assert_int_equal(latch(rig, 2), 0x9999);
    control(rig, 0xb1);
    count(rig, 2, 0xffff); /* not BCD: any value, no harm */
    to_tick(rig, 20000);
    latch(rig, 2);
}

static void test_byte_formats(void **state)
{
    struct rig *rig = *state;

    control(rig, 0x54); /* channel 1, low byte only */
    out8(&rig->fake, 0x41, 18);
    to_tick(rig, 1);
    assert_int_equal(in8(&rig->fake, 0x41), 18);
    to_tick(rig, 2);
    assert_int_equal(in8(&rig->fake, 0x41), 17);
    control(rig, 0x64); /* high byte only */
    out8(&rig->fake, 0x41, 2);
    to_tick(rig, 3);
    assert_int_equal(in8(&rig->fake, 0x41), 2);
    to_tick(rig, 4);
    assert_int_equal(in8(&rig->fake, 0x41), 1);
}

static void test_latches(void **state)
{
    struct rig *rig = *state;

    control(rig, 0x34);
    count(rig, 0, 0x1234);
    to_tick(rig, 1);
    control(rig, 0x00);
    to_tick(rig, 300);
    control(rig, 0x00); /* the first one holds */
    assert_int_equal(in8(&rig->fake, 0x40), 0x34);
    assert_int_equal(in8(&rig->fake, 0x40), 0x12);
    /* Read-back of both: status comes first. */
    control(rig, 0xc2);
    assert_int_equal(in8(&rig->fake, 0x40), 0xb4);
    assert_int_equal(in8(&rig->fake, 0x40), (0x1234 - 299) & 0xff);
    assert_int_equal(in8(&rig->fake, 0x40), (0x1234 - 299) >> 8);
    assert_int_equal(in8(&rig->fake, 0x40), (0x1234 - 299) & 0xff); /* live again */
    assert_int_equal(in8(&rig->fake, 0x43), 0xff);
}

/* How a kernel measures its time stamp counter: OUT2 rises after exactly the programmed time. */
static void test_calibration_by_gate(void **state)
{
    struct rig *rig = *state;
    const unsigned ticks = I8254_HZ / 20; /* 50 ms */
    uint64_t start;

    rig->fake.now_ns = 123456789;
    out8(&rig->fake, 0x61, (in8(&rig->fake, 0x61) & ~2) | 1);
    control(rig, 0xb0);
    count(rig, 2, ticks);
    start = rig->fake.now_ns;
    while (!out2(rig))
        fake_run(&rig->fake, 500);
    assert_in_range(rig->fake.now_ns - start, 49999000, 50003000);
    assert_int_equal(rig->fake.fires, 0); /* and the host was not woken once */
}

static void test_port_b(void **state)
{
    struct rig *rig = *state;
    unsigned toggles = 0;
    uint8_t last = in8(&rig->fake, 0x61) & 0x10;

    out8(&rig->fake, 0x61, 0xff);
    assert_int_equal(in8(&rig->fake, 0x61) & 0xcf, 0x0f);
    for (unsigned i = 0; i < 15000; i++) { /* 15 ms: some 994 refreshes */
        const uint8_t now = in8(&rig->fake, 0x61) & 0x10;

        toggles += now != last;
        last = now;
        fake_run(&rig->fake, 1000);
    }
    assert_in_range(toggles, 985, 1003);
}

static void test_speaker(void **state)
{
    struct rig *rig = *state;

    control(rig, 0xb6);
    count(rig, 2, 1193);
    assert_int_equal(i8254_speaker_hz(rig->pit), 0);
    out8(&rig->fake, 0x61, 3);
    assert_int_equal(i8254_speaker_hz(rig->pit), 1000);
    assert_true(rig->speaker.line.level);
    out8(&rig->fake, 0x61, 0);
    assert_int_equal(i8254_speaker_hz(rig->pit), 0);
    assert_false(rig->speaker.line.level);
}

/* A host that was away for ten periods: the edges come, but spread. */
static void test_late_host(void **state)
{
    struct rig *rig = *state;

    control(rig, 0x34);
    count(rig, 0, 1193); /* 1 ms */
    to_tick(rig, 10);
    rig->fake.now_ns += 10000000;
    clock_run(rig->fake.clock);
    assert_int_equal(rig->irq0.rises, 1 + 1);
    fake_run(&rig->fake, 1000000);
    assert_in_range(rig->irq0.rises, 1 + 3, 1 + 6);
    fake_run(&rig->fake, 9000000);
    assert_in_range(rig->irq0.rises, 1 + 19, 1 + 21);
    /* Ten seconds away: not ten thousand. */
    rig->fake.now_ns += 10000000000;
    fake_run(&rig->fake, 100000000);
    assert_in_range(rig->irq0.rises, 1 + 20 + 100, 1 + 20 + 100 + 60);
}

/* A kernel that waits for five edges, and gives up when another clock says that they are overdue,
 * panicked on a host that was away meanwhile: the owed edges came a quarter period apart. */
static void test_owed_edges_follow_when_taken(void **state)
{
    struct rig *rig = *state;

    for (unsigned mode = 2; mode <= 3; mode++) {
        unsigned before;

        control(rig, (uint8_t)(0x30 | mode << 1));
        count(rig, 0, 4773); /* 4 ms */
        fake_run(&rig->fake, 100000);
        i8254_irq0_taken(rig->pit); /* nothing is owed */
        before = rig->irq0.rises;
        rig->fake.now_ns += 16 * UINT64_C(4000000);
        clock_run(rig->fake.clock);
        assert_int_equal(rig->irq0.rises, before + 1);
        for (unsigned i = 1; i <= 8; i++) {
            i8254_irq0_taken(rig->pit);
            assert_int_equal(rig->irq0.rises, before + 1 + i);
            assert_true(rig->irq0.line.level);
        }
        i8254_irq0_taken(rig->pit); /* the guest must get on, too */
        assert_int_equal(rig->irq0.rises, before + 9);
        fake_run(&rig->fake, 9 * UINT64_C(1000000)); /* the others a quarter period apart */
        assert_in_range(rig->irq0.rises, before + 16, before + 19);
        /* Programmed anew: nothing is owed. */
        rig->fake.now_ns += 16 * UINT64_C(4000000);
        clock_run(rig->fake.clock);
        control(rig, (uint8_t)(0x30 | mode << 1));
        before = rig->irq0.rises;
        i8254_irq0_taken(rig->pit);
        assert_int_equal(rig->irq0.rises, before);
    }
}

/* In mode 3 a late edge must stay up until the next, or an edge-triggered controller forgets it. */
static void test_late_square_wave(void **state)
{
    struct rig *rig = *state;

    control(rig, 0x36);
    count(rig, 0, 0);
    fake_run(&rig->fake, 1000000);
    rig->fake.now_ns += 55000000 + 40000000; /* into the low half of the second period */
    clock_run(rig->fake.clock);
    assert_int_equal(rig->irq0.rises, 2);
    assert_true(rig->irq0.line.level);
}

/* The shortest period must not keep the host busy. */
static void test_shortest_period(void **state)
{
    struct rig *rig = *state;

    for (unsigned mode = 2; mode <= 3; mode++) {
        rig->fake.fires = 0;
        control(rig, (uint8_t)(0x10 | mode << 1));
        out8(&rig->fake, 0x40, 1);
        fake_run(&rig->fake, 10000000);
        assert_in_range(rig->fake.fires, 1, 250);
    }
}

static void test_one_shot_is_prompt(void **state)
{
    struct rig *rig = *state;

    to_tick(rig, 1000);
    control(rig, 0x30);
    count(rig, 0, 12); /* 10 us */
    to_tick(rig, 1012);
    assert_false(rig->irq0.line.level);
    to_tick(rig, 1013);
    assert_true(rig->irq0.line.level);
}

static void test_reset_stops(void **state)
{
    struct rig *rig = *state;

    control(rig, 0x34);
    count(rig, 0, 1000);
    i8254_reset(rig->pit);
    assert_false(rig->irq0.line.level);
    assert_true(clock_next_ns(rig->fake.clock) == UINT64_MAX);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_mode0),
        T(test_mode1),
        T(test_mode2),
        T(test_mode2_new_count),
        T(test_mode3),
        T(test_mode3_new_count),
        T(test_mode4),
        T(test_mode5),
        T(test_gate_in_mode2),
        T(test_bcd),
        T(test_byte_formats),
        T(test_latches),
        T(test_calibration_by_gate),
        T(test_port_b),
        T(test_speaker),
        T(test_late_host),
        T(test_owed_edges_follow_when_taken),
        T(test_late_square_wave),
        T(test_shortest_period),
        T(test_one_shot_is_prompt),
        T(test_reset_stops),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
