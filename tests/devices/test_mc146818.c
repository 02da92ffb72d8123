/* tests/devices/test_mc146818.c -- calendar, formats, holding the clock, UIP, interrupts, RAM. */
#include "fake.h"

#include <stdio.h>
#include <time.h>

#include "devices/mc146818.h"

#define SECOND 1000000000ull

struct rig {
    struct fake fake;
    struct fake_wire irq8, nmi;
    struct mc146818 *rtc;
};

/* 2024-02-28 23:59:50 UTC, a Wednesday. */
#define EPOCH 1709164790ull

static struct mc146818 *make(struct rig *rig, uint64_t epoch_s)
{
    return mc146818_create(rig->fake.bus, rig->fake.clock, &rig->irq8.line, &rig->nmi.line,
                           epoch_s);
}

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));

    fake_open(&rig->fake);
    fake_wire_init(&rig->irq8);
    fake_wire_init(&rig->nmi);
    rig->rtc = make(rig, EPOCH);
    assert_non_null(rig->rtc);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;

    mc146818_destroy(rig->rtc);
    fake_close(&rig->fake);
    free(rig);
    return 0;
}

static uint8_t get(struct rig *rig, uint8_t index)
{
    out8(&rig->fake, 0x70, index);
    return in8(&rig->fake, 0x71);
}

static void set(struct rig *rig, uint8_t index, uint8_t value)
{
    out8(&rig->fake, 0x70, index);
    out8(&rig->fake, 0x71, value);
}

/* Century, year, month, day, weekday, hours, minutes, seconds as they stand in the registers. */
static void check_time(struct rig *rig, const char *expected)
{
    char text[40];

    snprintf(text, sizeof(text), "%02x%02x-%02x-%02x %x %02x:%02x:%02x", get(rig, 0x32),
             get(rig, 9), get(rig, 8), get(rig, 7), get(rig, 6), get(rig, 4), get(rig, 2),
             get(rig, 0));
    assert_string_equal(text, expected);
}

static void test_calendar(void **state)
{
    struct rig *rig = *state;

    check_time(rig, "2024-02-28 4 23:59:50");
    fake_run(&rig->fake, 9 * SECOND + 999999999);
    check_time(rig, "2024-02-28 4 23:59:59");
    fake_run(&rig->fake, 1);
    check_time(rig, "2024-02-29 5 00:00:00");
    fake_run(&rig->fake, 86400 * SECOND);
    check_time(rig, "2024-03-01 6 00:00:00");
    assert_int_equal(rig->fake.fires, 0);
}

/* Every day of eight centuries against the host's calendar. */
static void test_calendar_against_libc(void **state)
{
    struct rig *rig = *state;

    mc146818_destroy(rig->rtc);
    for (uint64_t day = 0; day < 292000; day += 73) {
        const time_t seconds = (time_t)(day * 86400 + 12345);
        struct tm tm;

        rig->rtc = make(rig, (uint64_t)seconds);
        gmtime_r(&seconds, &tm);
        set(rig, 0x0B, 0x06); /* binary */
        assert_int_equal(get(rig, 0x32) * 100 + get(rig, 9), tm.tm_year + 1900);
        assert_int_equal(get(rig, 8), tm.tm_mon + 1);
        assert_int_equal(get(rig, 7), tm.tm_mday);
        assert_int_equal(get(rig, 6), tm.tm_wday + 1);
        assert_int_equal(get(rig, 4), tm.tm_hour);
        /* Written back while it runs, it is the same. */
        set(rig, 7, (uint8_t)tm.tm_mday);
        assert_int_equal(get(rig, 8), tm.tm_mon + 1);
        assert_int_equal(get(rig, 6), tm.tm_wday + 1);
        mc146818_destroy(rig->rtc);
    }
    rig->rtc = make(rig, EPOCH);
}

static void test_formats(void **state)
{
    struct rig *rig = *state;

    set(rig, 0x0B, 0x04); /* binary, 12 hours */
    assert_int_equal(get(rig, 4), 0x80 | 11);
    assert_int_equal(get(rig, 2), 59);
    set(rig, 0x0B, 0x00); /* BCD, 12 hours */
    assert_int_equal(get(rig, 4), 0x80 | 0x11);
    set(rig, 4, 0x12); /* 12 AM is midnight */
    set(rig, 0x0B, 0x02);
    assert_int_equal(get(rig, 4), 0x00);
    set(rig, 0x0B, 0x00);
    set(rig, 4, 0x92); /* 12 PM is noon */
    set(rig, 0x0B, 0x02);
    assert_int_equal(get(rig, 4), 0x12);
}

static void test_set_time(void **state)
{
    struct rig *rig = *state;

    fake_run(&rig->fake, SECOND / 4);
    set(rig, 0x0B, 0x82);
    set(rig, 0x32, 0x19);
    set(rig, 9, 0x99);
    set(rig, 8, 0x12);
    set(rig, 7, 0x31);
    set(rig, 6, 0x02); /* the wrong weekday is the guest's right */
    set(rig, 4, 0x23);
    set(rig, 2, 0x59);
    set(rig, 0, 0x58);
    fake_run(&rig->fake, 10 * SECOND);
    check_time(rig, "1999-12-31 2 23:59:58"); /* held */
    set(rig, 0x0B, 0x02);
    fake_run(&rig->fake, SECOND / 2);
    check_time(rig, "1999-12-31 2 23:59:58"); /* the divider kept its phase */
    fake_run(&rig->fake, SECOND / 2);
    check_time(rig, "1999-12-31 2 23:59:59");
    fake_run(&rig->fake, SECOND);
    check_time(rig, "2000-01-01 3 00:00:00");
}

static void test_nonsense_time(void **state)
{
    struct rig *rig = *state;

    for (unsigned format = 0; format < 8; format += 2) {
        for (unsigned i = 0; i < 10; i++) {
            set(rig, 0x0B, (uint8_t)(0x80 | format));
            for (uint8_t index = 0; index < 10; index++)
                set(rig, index, (uint8_t)(0xff - i * 27));
            set(rig, 0x32, (uint8_t)(0xff - i * 27));
            set(rig, 0x0B, (uint8_t)format);
            get(rig, 9);
        }
    }
}

static void test_divider_reset(void **state)
{
    struct rig *rig = *state;

    fake_run(&rig->fake, SECOND / 10);
    set(rig, 0x0A, 0x66);
    fake_run(&rig->fake, 5 * SECOND);
    check_time(rig, "2024-02-28 4 23:59:50");
    set(rig, 0x0A, 0x26);
    fake_run(&rig->fake, SECOND / 2 - 1);
    check_time(rig, "2024-02-28 4 23:59:50");
    fake_run(&rig->fake, 1);
    check_time(rig, "2024-02-28 4 23:59:51");
}

static void test_update_in_progress(void **state)
{
    struct rig *rig = *state;
    unsigned busy = 0;

    for (unsigned i = 0; i < 10000; i++) {
        busy += get(rig, 0x0A) >> 7;
        fake_run(&rig->fake, SECOND / 10000);
    }
    assert_in_range(busy, 21, 23); /* 2.228 ms of a second */
    set(rig, 0x0B, 0x82);
    fake_run(&rig->fake, SECOND - 1000000);
    assert_int_equal(get(rig, 0x0A), 0x26);
}

static void test_periodic_interrupt(void **state)
{
    struct rig *rig = *state;

    set(rig, 0x0A, 0x26); /* 1024 Hz */
    get(rig, 0x0C);
    set(rig, 0x0B, 0x42);
    for (unsigned i = 0; i < 1024; i++) {
        fake_run(&rig->fake, SECOND / 1024 + 1);
        assert_true(rig->irq8.line.level);
        assert_int_equal(get(rig, 0x0C) & 0xc0, 0xc0);
        assert_false(rig->irq8.line.level);
    }
    assert_in_range(rig->irq8.rises, 1023, 1025);
    /* Unserved it stays high, and nobody wakes the host. */
    rig->fake.fires = 0;
    fake_run(&rig->fake, SECOND);
    assert_int_equal(rig->fake.fires, 1);
    set(rig, 0x0B, 0x02);
    assert_false(rig->irq8.line.level);
    /* Polled, without the interrupt. */
    get(rig, 0x0C);
    fake_run(&rig->fake, SECOND / 500);
    assert_int_equal(get(rig, 0x0C) & 0xc0, 0x40);
    assert_int_equal(get(rig, 0x0C), 0);
}

static void test_update_interrupt(void **state)
{
    struct rig *rig = *state;

    set(rig, 0x0A, 0x20);
    set(rig, 0x0B, 0x12);
    fake_run(&rig->fake, SECOND - 1);
    assert_false(rig->irq8.line.level);
    fake_run(&rig->fake, 1);
    assert_true(rig->irq8.line.level);
    assert_int_equal(get(rig, 0), 0x51); /* the registers are the new second's */
    assert_int_equal(get(rig, 0x0C), 0x90);
    set(rig, 0x0B, 0x92); /* SET clears UIE */
    assert_int_equal(get(rig, 0x0B), 0x82);
}

static void test_alarm(void **state)
{
    struct rig *rig = *state;

    set(rig, 0x0A, 0x20);
    set(rig, 1, 0x05);
    set(rig, 3, 0x00);
    set(rig, 5, 0x00); /* 00:00:05: in 15 seconds, tomorrow */
    get(rig, 0x0C);
    set(rig, 0x0B, 0x22);
    fake_run(&rig->fake, 15 * SECOND - 1);
    assert_false(rig->irq8.line.level);
    fake_run(&rig->fake, 1);
    assert_true(rig->irq8.line.level);
    assert_int_equal(get(rig, 0x0C), 0xb0);
    /* Any hour, any minute. */
    set(rig, 3, 0xc0);
    set(rig, 5, 0xff);
    fake_run(&rig->fake, 60 * SECOND);
    assert_int_equal(get(rig, 0x0C), 0xb0);
    /* One that no clock ever shows. */
    set(rig, 1, 0x99);
    rig->fake.fires = 0;
    fake_run(&rig->fake, 86400 * SECOND);
    assert_int_equal(rig->fake.fires, 0);
    assert_int_equal(get(rig, 0x0C), 0x10);
}

static void test_ram_and_nmi(void **state)
{
    struct rig *rig = *state;

    mc146818_set_ram(rig->rtc, 0x15, 0x80);
    mc146818_set_ram(rig->rtc, 0x7f, 0x55);
    mc146818_set_ram(rig->rtc, 0x0B, 0xff); /* not RAM */
    mc146818_set_ram(rig->rtc, 0x32, 0xff);
    mc146818_set_ram(rig->rtc, 0xff, 0xff);
    assert_int_equal(get(rig, 0x15), 0x80);
    assert_int_equal(get(rig, 0xff), 0x55); /* bit 7 is the NMI's */
    assert_true(rig->nmi.line.level);
    assert_int_equal(get(rig, 0x0B), 0x02);
    assert_int_equal(get(rig, 0x32), 0x20);
    assert_false(rig->nmi.line.level);
    assert_int_equal(get(rig, 0x0D), 0x80);
    set(rig, 0x40, 0x77);
    assert_int_equal(mc146818_get_ram(rig->rtc, 0x40), 0x77);
    set(rig, 0x0B, 0x72);
    mc146818_reset(rig->rtc);
    assert_int_equal(get(rig, 0x0B), 0x02);
    assert_int_equal(get(rig, 0x40), 0x77);
    assert_int_equal(in8(&rig->fake, 0x70), 0xff);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_calendar),
        T(test_calendar_against_libc),
        T(test_formats),
        T(test_set_time),
        T(test_nonsense_time),
        T(test_divider_reset),
        T(test_update_in_progress),
        T(test_periodic_interrupt),
        T(test_update_interrupt),
        T(test_alarm),
        T(test_ram_and_nmi),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
