/* tests/devices/test_i8042.c -- the controller's commands, with a real keyboard and mouse on it. */
#include "fake.h"

#include "devices/i8042.h"
#include "devices/ps2kbd.h"
#include "devices/ps2mouse.h"

#define A_WHILE 1000000ull /* ns; several bytes' time */

struct rig {
    struct fake fake;
    struct fake_wire irq1, irq12, a20, reset;
    struct ps2kbd *keyboard;
    struct ps2mouse *mouse;
    struct i8042 *kbc;
};

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    struct i8042_lines lines;

    fake_open(&rig->fake);
    fake_wire_init(&rig->irq1);
    fake_wire_init(&rig->irq12);
    fake_wire_init(&rig->a20);
    fake_wire_init(&rig->reset);
    lines = (struct i8042_lines){.irq1 = &rig->irq1.line,
                                 .irq12 = &rig->irq12.line,
                                 .a20 = &rig->a20.line,
                                 .reset = &rig->reset.line};
    rig->keyboard = ps2kbd_create(rig->fake.clock);
    rig->mouse = ps2mouse_create();
    rig->kbc = i8042_create(rig->fake.bus, rig->fake.clock, ps2kbd_port(rig->keyboard),
                            ps2mouse_port(rig->mouse), &lines);
    assert_non_null(rig->kbc);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;

    i8042_destroy(rig->kbc);
    ps2kbd_destroy(rig->keyboard);
    ps2mouse_destroy(rig->mouse);
    fake_close(&rig->fake);
    free(rig);
    return 0;
}

/* The next byte of the output buffer, -1 when none comes; aux: whose it must be. */
static int get(struct rig *rig, bool aux)
{
    uint8_t status;

    fake_run(&rig->fake, A_WHILE);
    status = in8(&rig->fake, 0x64);
    if (!(status & 1))
        return -1;
    assert_int_equal((status & 0x20) != 0, aux);
    return in8(&rig->fake, 0x60);
}

static void command(struct rig *rig, uint8_t value)
{
    out8(&rig->fake, 0x64, value);
}

static void data(struct rig *rig, uint8_t value)
{
    out8(&rig->fake, 0x60, value);
}

static void check_answers(struct rig *rig, bool aux, const uint8_t *expected, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_int_equal(get(rig, aux), expected[i]);
    assert_int_equal(get(rig, aux), -1);
}

#define CHECK(rig, aux, ...) \
    check_answers(rig, aux, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void test_controller_commands(void **state)
{
    struct rig *rig = *state;

    command(rig, 0xAA);
    assert_int_equal(in8(&rig->fake, 0x64) & 0x0d, 0x0d);
    CHECK(rig, false, 0x55);
    command(rig, 0xAB);
    CHECK(rig, false, 0x00);
    command(rig, 0xA9);
    CHECK(rig, false, 0x00);
    command(rig, 0x60);
    data(rig, 0x47);
    assert_int_equal(in8(&rig->fake, 0x64) & 0x08, 0);
    command(rig, 0x20);
    CHECK(rig, false, 0x47);
    command(rig, 0xA7);
    command(rig, 0xAD);
    command(rig, 0x20);
    CHECK(rig, false, 0x77);
    command(rig, 0xA8);
    command(rig, 0xAE);
    command(rig, 0x20);
    CHECK(rig, false, 0x47);
    command(rig, 0x7f);
    data(rig, 0x99);
    command(rig, 0x3f);
    CHECK(rig, false, 0x99);
    command(rig, 0xA4);
    CHECK(rig, false, 0xF1);
    command(rig, 0x00); /* no such command */
    assert_int_equal(get(rig, false), -1);
}

static void test_loop_commands(void **state)
{
    struct rig *rig = *state;

    command(rig, 0x60);
    data(rig, 0x03);
    command(rig, 0xD2);
    data(rig, 0x5A);
    assert_true(rig->irq1.line.level);
    CHECK(rig, false, 0x5A);
    assert_false(rig->irq1.line.level);
    command(rig, 0xD3); /* a kernel's check for an aux port that works */
    data(rig, 0xA5);
    assert_true(rig->irq12.line.level);
    CHECK(rig, true, 0xA5);
    assert_false(rig->irq12.line.level);
}

static void test_a20_and_reset(void **state)
{
    struct rig *rig = *state;

    assert_true(rig->a20.line.level);
    command(rig, 0xD1);
    data(rig, 0xDD);
    assert_false(rig->a20.line.level);
    command(rig, 0xD0);
    assert_int_equal(get(rig, false) & 3, 1);
    command(rig, 0xD1);
    data(rig, 0xDF);
    assert_true(rig->a20.line.level);
    command(rig, 0xDD);
    assert_false(rig->a20.line.level);
    command(rig, 0xFF); /* pulses nothing */
    assert_int_equal(rig->reset.rises, 0);
    command(rig, 0xFE);
    assert_int_equal(rig->reset.rises, 1);
    command(rig, 0xD1);
    data(rig, 0x02);
    assert_int_equal(rig->reset.rises, 2);
    i8042_reset(rig->kbc);
    assert_true(rig->a20.line.level);
}

static void test_keyboard_commands(void **state)
{
    struct rig *rig = *state;

    command(rig, 0x60);
    data(rig, 0x01); /* no translation */
    data(rig, 0xFF);
    CHECK(rig, false, 0xFA, 0xAA);
    data(rig, 0xF2);
    CHECK(rig, false, 0xFA, 0xAB, 0x83);
    data(rig, 0xED);
    CHECK(rig, false, 0xFA);
    data(rig, 0x05);
    CHECK(rig, false, 0xFA);
    assert_int_equal(ps2kbd_leds(rig->keyboard), 5);
    data(rig, 0xEE);
    CHECK(rig, false, 0xEE);
    data(rig, 0xF3);
    CHECK(rig, false, 0xFA);
    data(rig, 0x2b);
    CHECK(rig, false, 0xFA);
    data(rig, 0xF0);
    CHECK(rig, false, 0xFA);
    data(rig, 0x00);
    CHECK(rig, false, 0xFA, 0x02);
    data(rig, 0x11); /* no such command */
    CHECK(rig, false, 0xFE);
    data(rig, 0xED);
    CHECK(rig, false, 0xFA);
    data(rig, 0xF4); /* a command instead of the parameter */
    CHECK(rig, false, 0xFA);
    data(rig, 0xFE);
    CHECK(rig, false, 0xFA);
}

/* Set 1 in, set 2 on the cable, set 1 out again: for every key there is. */
static void test_translation(void **state)
{
    struct rig *rig = *state;

    for (unsigned make = 1; make < 0x80; make++) {
        const uint8_t keys[] = {(uint8_t)make, (uint8_t)(make | 0x80), 0xE0, (uint8_t)make,
                                0xE0,          (uint8_t)(make | 0x80)};

        if (make == 0x60 || make == 0x61)
            continue; /* their break codes would be the prefixes E0 and E1: there are no such keys
                       */
        ps2kbd_key(rig->keyboard, keys, sizeof(keys));
        check_answers(rig, false, keys, sizeof(keys));
    }
}

static void test_scan_sets(void **state)
{
    struct rig *rig = *state;
    const uint8_t enter[] = {0xE0, 0x1C, 0xE0, 0x9C}; /* the number pad's */
    const uint8_t pause[] = {0xE1, 0x1D, 0x45, 0xE1, 0x9D, 0xC5};

    command(rig, 0x60);
    data(rig, 0x01);
    ps2kbd_key(rig->keyboard, enter, sizeof(enter));
    CHECK(rig, false, 0xE0, 0x5A, 0xE0, 0xF0, 0x5A);
    ps2kbd_key(rig->keyboard, pause, sizeof(pause));
    CHECK(rig, false, 0xE1, 0x14, 0x77, 0xE1, 0xF0, 0x14, 0xF0, 0x77);
    data(rig, 0xF0);
    CHECK(rig, false, 0xFA);
    data(rig, 0x01);
    CHECK(rig, false, 0xFA);
    ps2kbd_key(rig->keyboard, enter, sizeof(enter));
    check_answers(rig, false, enter, sizeof(enter));
    ps2kbd_key(rig->keyboard, pause, sizeof(pause));
    check_answers(rig, false, pause, sizeof(pause));
    data(rig, 0xF0);
    CHECK(rig, false, 0xFA);
    data(rig, 0x03);
    CHECK(rig, false, 0xFA);
    ps2kbd_key(rig->keyboard, enter, sizeof(enter));
    CHECK(rig, false, 0x79, 0xF0, 0x79);
    ps2kbd_key(rig->keyboard, pause, sizeof(pause));
    CHECK(rig, false, 0x62, 0xF0, 0x62);
}

static void test_keyboard_interrupts(void **state)
{
    struct rig *rig = *state;
    const uint8_t keys[] = {0x1E, 0x9E};

    ps2kbd_key(rig->keyboard, keys, sizeof(keys));
    assert_false(rig->irq1.line.level); /* the cable takes its time */
    fake_run(&rig->fake, A_WHILE);
    assert_true(rig->irq1.line.level);
    assert_int_equal(rig->irq1.rises, 1);
    assert_int_equal(in8(&rig->fake, 0x60), 0x1E);
    assert_int_equal(in8(&rig->fake, 0x60), 0x1E); /* read twice in a row: the same */
    assert_false(rig->irq1.line.level);
    fake_run(&rig->fake, A_WHILE);
    assert_int_equal(rig->irq1.rises, 2);
    assert_int_equal(in8(&rig->fake, 0x60), 0x9E);
}

static void test_port_off_holds_keys(void **state)
{
    struct rig *rig = *state;
    const uint8_t key = 0x1E;

    command(rig, 0xAD);
    ps2kbd_key(rig->keyboard, &key, 1);
    assert_int_equal(get(rig, false), -1);
    command(rig, 0xAE);
    assert_int_equal(get(rig, false), 0x1E);
    data(rig, 0xF5);
    CHECK(rig, false, 0xFA);
    ps2kbd_key(rig->keyboard, &key, 1);
    assert_int_equal(get(rig, false), -1); /* scanning is off: the key is lost */
}

static void test_keyboard_overrun(void **state)
{
    struct rig *rig = *state;
    const uint8_t keys[] = {0x1E, 0x9E};
    unsigned received = 0;
    int value, last = -1;

    for (unsigned i = 0; i < 1000; i++)
        ps2kbd_key(rig->keyboard, keys, 2);
    while ((value = get(rig, false)) >= 0) {
        last = value;
        received++;
    }
    assert_in_range(received, 16, 256);
    assert_int_equal(last, 0xFF); /* set 2's 00, translated */
    ps2kbd_key(rig->keyboard, keys, 2);
    check_answers(rig, false, keys, 2);
}

static void mouse_command(struct rig *rig, uint8_t value)
{
    command(rig, 0xD4);
    data(rig, value);
}

static void test_mouse(void **state)
{
    struct rig *rig = *state;

    command(rig, 0x60);
    data(rig, 0x43);
    mouse_command(rig, 0xFF);
    fake_run(&rig->fake, A_WHILE);
    assert_true(rig->irq12.line.level);
    CHECK(rig, true, 0xFA, 0xAA, 0x00);
    mouse_command(rig, 0xF2);
    CHECK(rig, true, 0xFA, 0x00);
    mouse_command(rig, 0xE8);
    CHECK(rig, true, 0xFA);
    mouse_command(rig, 0x03);
    CHECK(rig, true, 0xFA);
    ps2mouse_move(rig->mouse, 5, 5, 0, 0);
    assert_int_equal(get(rig, true), -1); /* not enabled */
    mouse_command(rig, 0xF4);
    CHECK(rig, true, 0xFA);
    mouse_command(rig, 0xE9);
    CHECK(rig, true, 0xFA, 0x20, 0x03, 100);
    ps2mouse_move(rig->mouse, 3, -2, 1, PS2MOUSE_LEFT);
    CHECK(rig, true, 0x29, 0x03, 0xFE);
    ps2mouse_move(rig->mouse, 1000, 0, 0, 0); /* more than a report holds */
    CHECK(rig, true, 0x08, 0xFF, 0x00, 0x08, 0xFF, 0x00, 0x08, 0xFF, 0x00, 0x08, 1000 - 3 * 255, 0);
    mouse_command(rig, 0xEB);
    CHECK(rig, true, 0xFA, 0x08, 0x00, 0x00);
    mouse_command(rig, 0x01);
    CHECK(rig, true, 0xFE);
    mouse_command(rig, 0xEE);
    CHECK(rig, true, 0xFA);
    mouse_command(rig, 0xF2);
    CHECK(rig, true, 0xF2); /* wrapped */
    mouse_command(rig, 0xEC);
    CHECK(rig, true, 0xFA);
}

static void test_mouse_scaling(void **state)
{
    struct rig *rig = *state;

    mouse_command(rig, 0xF4);
    CHECK(rig, true, 0xFA);
    mouse_command(rig, 0xE7);
    CHECK(rig, true, 0xFA);
    ps2mouse_move(rig->mouse, 4, -3, 0, 0);
    CHECK(rig, true, 0x28, 0x06, 0xFD);
    ps2mouse_move(rig->mouse, -200, 0, 0, 0); /* doubled, it takes two reports */
    CHECK(rig, true, 0x18, 0x00, 0x00, 0x18, (uint8_t)-144, 0x00);
    mouse_command(rig, 0xF0); /* remote: reports only when asked for, and as they are */
    CHECK(rig, true, 0xFA);
    ps2mouse_move(rig->mouse, 4, 0, 0, PS2MOUSE_RIGHT);
    assert_int_equal(get(rig, true), -1);
    mouse_command(rig, 0xEB);
    CHECK(rig, true, 0xFA, 0x0A, 0x04, 0x00);
    mouse_command(rig, 0xE8);
    CHECK(rig, true, 0xFA);
    mouse_command(rig, 0x07); /* no such resolution */
    CHECK(rig, true, 0xFC);
    mouse_command(rig, 0xF6);
    CHECK(rig, true, 0xFA);
    mouse_command(rig, 0xE9);
    CHECK(rig, true, 0xFA, 0x01, 0x02, 100);
    mouse_command(rig, 0xFE);
    CHECK(rig, true, 100);
}

static void test_wheel(void **state)
{
    struct rig *rig = *state;
    static const uint8_t knock[] = {200, 100, 80};

    for (unsigned i = 0; i < 3; i++) {
        mouse_command(rig, 0xF3);
        CHECK(rig, true, 0xFA);
        mouse_command(rig, knock[i]);
        CHECK(rig, true, 0xFA);
    }
    mouse_command(rig, 0xF2);
    CHECK(rig, true, 0xFA, 0x03);
    mouse_command(rig, 0xF4);
    CHECK(rig, true, 0xFA);
    ps2mouse_move(rig->mouse, -1, 0, -1, PS2MOUSE_MIDDLE);
    CHECK(rig, true, 0x1C, 0xFF, 0x00, 0xFF);
}

static void test_nothing_plugged_in(void **state)
{
    struct rig *rig = *state;
    struct i8042_lines lines = {&rig->irq1.line, &rig->irq12.line, &rig->a20.line,
                                &rig->reset.line};

    i8042_destroy(rig->kbc);
    rig->kbc = i8042_create(rig->fake.bus, rig->fake.clock, NULL, NULL, &lines);
    data(rig, 0xFF);
    assert_int_equal(in8(&rig->fake, 0x64) & 0x61, 0x41);
    CHECK(rig, false, 0xFE);
    mouse_command(rig, 0xFF);
    assert_int_equal(in8(&rig->fake, 0x64) & 0x61, 0x61);
    CHECK(rig, true, 0xFE);
}

/* Bytes that come within `ms` milliseconds, each of which must be `code`. */
static unsigned repeats(struct rig *rig, unsigned ms, int code)
{
    const uint64_t end_ns = rig->fake.now_ns + ms * 1000000ull;
    unsigned count = 0;

    while (rig->fake.now_ns < end_ns) {
        const int byte = get(rig, false);

        if (byte >= 0) {
            assert_int_equal(byte, code);
            count++;
        }
    }
    return count;
}

/* [PS/2 HITR "Set Typematic Rate/Delay"]: the default is 10.9 a second after 500 ms. */
static void a_held_key_is_repeated(void **state)
{
    static const uint8_t down[] = {0x1e}, up[] = {0x9e}, shift[] = {0x2a};
    struct rig *rig = *state;

    ps2kbd_key(rig->keyboard, down, 1);
    assert_int_equal(get(rig, false), 0x1e);
    assert_int_equal(repeats(rig, 490, 0), 0);
    assert_int_equal(repeats(rig, 1000, 0x1e), 11);
    ps2kbd_key(rig->keyboard, down, 1); /* the host repeats it as well */
    assert_int_equal(repeats(rig, 1000, 0x1e), 11);
    ps2kbd_key(rig->keyboard, up, 1);
    assert_int_equal(get(rig, false), 0x9e);
    assert_int_equal(repeats(rig, 2000, 0), 0);

    data(rig, 0xf3); /* the fastest: 30 a second after 250 ms */
    assert_int_equal(get(rig, false), 0xfa);
    data(rig, 0x00);
    assert_int_equal(get(rig, false), 0xfa);
    ps2kbd_key(rig->keyboard, down, 1);
    assert_int_equal(get(rig, false), 0x1e);
    assert_int_equal(repeats(rig, 240, 0), 0);
    assert_int_equal(repeats(rig, 1000, 0x1e), 30);
    ps2kbd_key(rig->keyboard, shift, 1); /* another key is the last one now */
    assert_int_equal(get(rig, false), 0x2a);
    assert_int_equal(repeats(rig, 240, 0), 0);
    assert_int_equal(repeats(rig, 1000, 0x2a), 30);
    ps2kbd_key(rig->keyboard, up, 1); /* the first one goes up: no matter */
    assert_int_equal(get(rig, false), 0x9e);
    assert_int_equal(repeats(rig, 500, 0x2a), 15);
    data(rig, 0xf5); /* scanning ends, and with it repeating */
    assert_int_equal(get(rig, false), 0xfa);
    assert_int_equal(repeats(rig, 1000, 0), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_controller_commands), T(test_loop_commands),
        T(test_a20_and_reset),       T(test_keyboard_commands),
        T(test_translation),         T(test_scan_sets),
        T(test_keyboard_interrupts), T(test_port_off_holds_keys),
        T(test_keyboard_overrun),    T(test_mouse),
        T(test_mouse_scaling),       T(test_wheel),
        T(test_nothing_plugged_in),  T(a_held_key_is_repeated),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
