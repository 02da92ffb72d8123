/* tests/devices/test_serial16550.c -- registers, FIFOs, interrupt priorities, loopback, break. */
#include "fake.h"

#include "devices/serial16550.h"

#define COM 0x3f8

struct rig {
    struct fake fake;
    struct fake_wire irq;
    struct char_backend backend;
    uint8_t output[256];
    size_t output_count;
    unsigned accepts;
    struct serial16550 *uart;
};

static void backend_write(void *ctx, const uint8_t *data, size_t size)
{
    struct rig *rig = ctx;

    for (size_t i = 0; i < size && rig->output_count < sizeof(rig->output); i++)
        rig->output[rig->output_count++] = data[i];
}

static void backend_accept_input(void *ctx)
{
    ((struct rig *)ctx)->accepts++;
}

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));

    fake_open(&rig->fake);
    fake_wire_init(&rig->irq);
    rig->backend = (struct char_backend){
        .ctx = rig, .write = backend_write, .accept_input = backend_accept_input};
    rig->uart =
        serial16550_create(rig->fake.bus, rig->fake.clock, COM, &rig->irq.line, &rig->backend);
    assert_non_null(rig->uart);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;

    serial16550_destroy(rig->uart);
    fake_close(&rig->fake);
    free(rig);
    return 0;
}

static uint8_t get(struct rig *rig, unsigned reg)
{
    return in8(&rig->fake, (uint16_t)(COM + reg));
}

static void set(struct rig *rig, unsigned reg, uint8_t value)
{
    out8(&rig->fake, (uint16_t)(COM + reg), value);
}

static void receive(struct rig *rig, const char *text)
{
    assert_true(rig->backend.can_receive(rig->backend.chip) >= strlen(text));
    rig->backend.receive(rig->backend.chip, (const uint8_t *)text, strlen(text));
}

static void test_registers(void **state)
{
    struct rig *rig = *state;

    assert_int_equal(get(rig, 1), 0);
    assert_int_equal(get(rig, 2), 0x01);
    assert_int_equal(get(rig, 5), 0x60);
    assert_int_equal(get(rig, 6), 0xb0);
    set(rig, 7, 0x5a);
    assert_int_equal(get(rig, 7), 0x5a);
    set(rig, 1, 0xff);
    assert_int_equal(get(rig, 1), 0x0f);
    set(rig, 1, 0);
    set(rig, 3, 0x83);
    set(rig, 0, 0x34);
    set(rig, 1, 0x12);
    assert_int_equal(get(rig, 0), 0x34);
    assert_int_equal(get(rig, 1), 0x12);
    set(rig, 3, 0x03);
    assert_int_equal(get(rig, 1), 0);
    assert_int_equal(rig->output_count, 0);
    set(rig, 2, 0x01);
    assert_int_equal(get(rig, 2), 0xc1);
    set(rig, 2, 0x00);
    assert_int_equal(get(rig, 2), 0x01);
    set(rig, 5, 0); /* nothing happens */
    assert_int_equal(get(rig, 5), 0x60);
}

static void test_transmit(void **state)
{
    struct rig *rig = *state;

    set(rig, 4, 0x0b);
    set(rig, 1, 0x02);
    assert_true(rig->irq.line.level); /* it is empty, and says so */
    assert_int_equal(get(rig, 2), 0x02);
    assert_false(rig->irq.line.level);
    assert_int_equal(get(rig, 2), 0x01);
    set(rig, 0, 'h');
    assert_true(rig->irq.line.level);
    set(rig, 0, 'i'); /* an edge for each */
    assert_int_equal(rig->irq.rises, 3);
    assert_int_equal(rig->output_count, 2);
    assert_memory_equal(rig->output, "hi", 2);
    set(rig, 1, 0);
    assert_false(rig->irq.line.level);
    set(rig, 1, 2); /* switching it on asks again */
    assert_true(rig->irq.line.level);
    set(rig, 4, 0x03); /* OUT2 is the gate */
    assert_false(rig->irq.line.level);
}

static void test_receive_one(void **state)
{
    struct rig *rig = *state;

    set(rig, 4, 0x0b);
    set(rig, 1, 0x01);
    assert_int_equal(rig->backend.can_receive(rig->backend.chip), 1);
    receive(rig, "a");
    assert_int_equal(rig->backend.can_receive(rig->backend.chip), 0);
    assert_true(rig->irq.line.level);
    assert_int_equal(get(rig, 2), 0x04);
    assert_int_equal(get(rig, 5), 0x61);
    assert_int_equal(get(rig, 0), 'a');
    assert_int_equal(rig->accepts, 1);
    assert_false(rig->irq.line.level);
    assert_int_equal(get(rig, 5), 0x60);
    assert_int_equal(get(rig, 0), 'a'); /* RBR keeps it */
}

static void test_fifo_trigger_and_timeout(void **state)
{
    struct rig *rig = *state;

    set(rig, 3, 0x83);
    set(rig, 0, 1); /* 115200 baud, 8N1: a character in 86.8 us */
    set(rig, 1, 0);
    set(rig, 3, 0x03);
    set(rig, 4, 0x0b);
    set(rig, 2, 0x81); /* trigger at 8 */
    set(rig, 1, 0x01);
    assert_int_equal(rig->backend.can_receive(rig->backend.chip), 16);
    receive(rig, "1234567");
    assert_false(rig->irq.line.level);
    fake_run(&rig->fake, 340000);
    assert_false(rig->irq.line.level);
    set(rig, 1, 0x03); /* transmitter's traffic does not delay it */
    get(rig, 2);
    fake_run(&rig->fake, 10000);
    assert_true(rig->irq.line.level);
    assert_int_equal(get(rig, 2), 0xcc);
    assert_int_equal(get(rig, 0), '1');
    assert_false(rig->irq.line.level);
    receive(rig, "89");
    assert_true(rig->irq.line.level);
    assert_int_equal(get(rig, 2), 0xc4);
    assert_int_equal(get(rig, 0), '2');
    assert_false(rig->irq.line.level); /* 7 left: below the trigger */
    for (unsigned i = 0; i < 7; i++)
        assert_int_equal(get(rig, 0), '3' + i);
    assert_int_equal(rig->accepts, 1 + 1); /* the FIFO was switched on; it ran empty */
    fake_run(&rig->fake, 1000000000);
    assert_false(rig->irq.line.level);
}

static void test_overrun(void **state)
{
    struct rig *rig = *state;

    set(rig, 2, 0x01);
    rig->backend.receive(rig->backend.chip, (const uint8_t *)"0123456789abcdefXYZ", 19);
    assert_int_equal(get(rig, 5), 0x63);
    assert_int_equal(get(rig, 5), 0x61);
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(get(rig, 0), "0123456789abcdef"[i]);
    assert_int_equal(get(rig, 5), 0x60);
    set(rig, 2, 0x00);
    rig->backend.receive(rig->backend.chip, (const uint8_t *)"xy", 2);
    assert_int_equal(get(rig, 5), 0x63);
    assert_int_equal(get(rig, 0), 'y'); /* overwritten */
}

static void test_break(void **state)
{
    struct rig *rig = *state;

    set(rig, 4, 0x0b);
    set(rig, 2, 0x01);
    set(rig, 1, 0x05);
    receive(rig, "a");
    rig->backend.send_break(rig->backend.chip);
    assert_int_equal(get(rig, 5), 0xe1); /* it is in the FIFO, but not at its top */
    assert_int_equal(get(rig, 2), 0xc4);
    assert_int_equal(get(rig, 0), 'a');
    assert_int_equal(get(rig, 2), 0xc6);
    assert_int_equal(get(rig, 5), 0xf9);
    assert_int_equal(get(rig, 5), 0x61);
    assert_int_equal(get(rig, 0), 0);
    assert_false(rig->irq.line.level);
}

/* Line status, then data, then transmitter, then modem. */
static void test_priorities(void **state)
{
    struct rig *rig = *state;

    set(rig, 4, 0x14); /* into loopback and out: RI falls, the others rise */
    set(rig, 4, 0x0b);
    set(rig, 1, 0x0f);
    rig->backend.send_break(rig->backend.chip);
    assert_int_equal(get(rig, 2), 0x06);
    get(rig, 5);
    assert_int_equal(get(rig, 2), 0x04);
    get(rig, 0);
    assert_int_equal(get(rig, 2), 0x02);
    assert_int_equal(get(rig, 2), 0x00);
    assert_true(get(rig, 6) & 0x0f);
    assert_int_equal(get(rig, 2), 0x01);
    assert_int_equal(get(rig, 6), 0xb0);
    assert_false(rig->irq.line.level);
}

static void test_loopback(void **state)
{
    struct rig *rig = *state;

    set(rig, 4, 0x1a); /* the check that drivers make */
    assert_int_equal(get(rig, 6) & 0xf0, 0x90);
    set(rig, 4, 0x15);
    assert_int_equal(get(rig, 6) & 0xf0, 0x60);
    set(rig, 3, 0x03);
    set(rig, 0, 0xa5);
    assert_int_equal(rig->output_count, 0);
    assert_int_equal(get(rig, 5), 0x61);
    assert_int_equal(get(rig, 0), 0xa5);
    set(rig, 3, 0x00); /* five bits */
    set(rig, 0, 0xff);
    assert_int_equal(get(rig, 0), 0x1f);
    set(rig, 3, 0x43);
    assert_int_equal(get(rig, 5), 0x79);
    assert_int_equal(rig->backend.can_receive(rig->backend.chip), 0);
    rig->backend.receive(rig->backend.chip, (const uint8_t *)"x", 1);
    assert_int_equal(get(rig, 0), 0);
    set(rig, 4, 0x00);
    assert_int_equal(get(rig, 6) & 0xf4, 0xb4); /* RI fell */
    assert_int_equal(rig->backend.can_receive(rig->backend.chip), 1);
}

/* The host has `text`, and gives what the port takes; returns what the guest then finds. */
static size_t give(struct rig *rig, const char **text)
{
    size_t part = rig->backend.can_receive(rig->backend.chip);

    part = part < strlen(*text) ? part : strlen(*text);
    if (part != 0)
        rig->backend.receive(rig->backend.chip, (const uint8_t *)*text, part);
    *text += part;
    return part;
}

/* A firmware that turned characters into keys at its timer's ticks kept 16 of a pasted line: each
 * one that it read made room for the next. */
static void test_polling_gets_no_more_than_the_line_carries(void **state)
{
    struct rig *rig = *state;
    const char *text = "0123456789abcdefghijklmnopqrstuvwxyz";
    const uint64_t character_ns = 10 * UINT64_C(1000000000) / 115200;
    char got[64] = {0};
    size_t count = 0;
    unsigned accepts;

    set(rig, 3, 0x83);
    set(rig, 0, 1); /* 115200 baud */
    set(rig, 1, 0);
    set(rig, 3, 0x03);
    set(rig, 2, 0x01);
    assert_int_equal(give(rig, &text), 1);
    assert_int_equal(give(rig, &text), 0);
    for (unsigned tick = 0; tick < 40; tick++) {
        const size_t before = count;

        while (get(rig, 5) & 1) {
            got[count++] = (char)get(rig, 0);
            give(rig, &text); /* the host is quick */
        }
        assert_true(count - before <= 1);
        accepts = rig->accepts;
        fake_run_until(&rig->fake, rig->fake.now_ns + 55000000);
        if (count != before)
            assert_int_equal(rig->accepts, accepts + 1); /* it was told when */
        give(rig, &text);
    }
    assert_string_equal(got, "0123456789abcdefghijklmnopqrstuvwxyz");

    /* Without FIFOs a character at a time, at the line's rate. */
    text = "xyz";
    set(rig, 2, 0x00);
    assert_int_equal(give(rig, &text), 1);
    assert_int_equal(get(rig, 0), 'x');
    assert_int_equal(give(rig, &text), 0);
    fake_run_until(&rig->fake, rig->fake.now_ns + character_ns + 1);
    assert_int_equal(give(rig, &text), 1);
    assert_int_equal(get(rig, 0), 'y');
    /* Who is interrupted takes all there is. */
    assert_int_equal(give(rig, &text), 0);
    accepts = rig->accepts;
    set(rig, 1, 0x01);
    assert_int_equal(rig->accepts, accepts + 1);
    assert_int_equal(give(rig, &text), 1);
    assert_int_equal(get(rig, 0), 'z');
    text = "0123456789abcdefghijklmnopqrstuvwxyz";
    set(rig, 2, 0x01);
    assert_int_equal(give(rig, &text), 16);
    assert_int_equal(get(rig, 0), '0');
    assert_int_equal(give(rig, &text), 1);
    set(rig, 1, 0);
    set(rig, 2, 0x03);
}

static void test_output_is_gathered_for_the_host(void **state)
{
    struct rig *rig = *state;

    serial16550_gather(rig->uart, 1000000);
    set(rig, 0, 'a');
    fake_run(&rig->fake, 900000);
    set(rig, 0, 'b');
    assert_int_equal(rig->output_count, 0);
    assert_int_equal(get(rig, 5), 0x60); /* the guest sees nothing of it */
    fake_run(&rig->fake, 100000);        /* from the first byte on */
    assert_int_equal(rig->output_count, 2);
    fake_run(&rig->fake, 5000000);
    assert_int_equal(rig->output_count, 2);
    set(rig, 0, 'c');
    serial16550_flush(rig->uart);
    assert_int_equal(rig->output_count, 3);
    set(rig, 0, 'd');
    serial16550_reset(rig->uart);
    assert_int_equal(rig->output_count, 4);
    assert_memory_equal(rig->output, "abcd", 4);
    rig->output_count = 0;
    for (unsigned i = 0; i < 512; i++)
        set(rig, 0, (uint8_t)i);
    assert_int_equal(rig->output_count, sizeof(rig->output)); /* as much as the rig keeps */
    assert_int_equal(rig->output[255], 255);
    set(rig, 0, 'e');
    rig->output_count = 0;
    serial16550_gather(rig->uart, 0); /* nothing waits for ever */
    assert_int_equal(rig->output_count, 1);
    set(rig, 0, 'f');
    assert_int_equal(rig->output_count, 2);
}

static void test_nobody_there(void **state)
{
    struct rig *rig = *state;
    struct serial16550 *uart =
        serial16550_create(rig->fake.bus, rig->fake.clock, 0x2f8, &rig->irq.line, NULL);

    out8(&rig->fake, 0x2f8, 'x');
    assert_int_equal(in8(&rig->fake, 0x2fd), 0x60);
    assert_null(serial16550_create(rig->fake.bus, rig->fake.clock, 0x2ff, &rig->irq.line, NULL));
    serial16550_destroy(uart);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_registers),
        T(test_transmit),
        T(test_receive_one),
        T(test_fifo_trigger_and_timeout),
        T(test_overrun),
        T(test_break),
        T(test_priorities),
        T(test_loopback),
        T(test_nobody_there),
        T(test_output_is_gathered_for_the_host),
        T(test_polling_gets_no_more_than_the_line_carries),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
