/* tests/devices/test_ports.c -- the chips of one port: port 92, debugcon, isa-debug-exit. */
#include "fake.h"

#include "devices/debugcon.h"
#include "devices/isa_debug_exit.h"
#include "devices/port92.h"

static void test_port92(void **state)
{
    struct fake fake;
    struct fake_wire a20, init;
    struct port92 *dev;

    (void)state;
    fake_open(&fake);
    fake_wire_init(&a20);
    fake_wire_init(&init);
    dev = port92_create(fake.bus, &a20.line, &init.line);
    assert_non_null(dev);
    assert_null(port92_create(fake.bus, &a20.line, &init.line));
    assert_int_equal(in8(&fake, 0x92), 0x24);
    out8(&fake, 0x92, 0xfe);
    assert_int_equal(in8(&fake, 0x92), 0x26);
    assert_true(a20.line.level);
    assert_int_equal(init.rises, 0);
    out8(&fake, 0x92, 0x03);
    out8(&fake, 0x92, 0x03); /* held: one pulse */
    assert_int_equal(init.rises, 1);
    assert_false(init.line.level);
    out8(&fake, 0x92, 0x00);
    out8(&fake, 0x92, 0x01);
    assert_int_equal(init.rises, 2);
    assert_false(a20.line.level);
    port92_reset(dev);
    assert_int_equal(in8(&fake, 0x92), 0x24);
    port92_destroy(dev);
    assert_int_equal(in8(&fake, 0x92), 0xff);
    fake_close(&fake);
}

static void collect(void *ctx, const uint8_t *data, size_t size)
{
    strncat(ctx, (const char *)data, size);
}

static void test_debugcon(void **state)
{
    struct fake fake;
    char text[16] = "";
    struct char_backend backend = {.ctx = text, .write = collect};
    struct debugcon *dev;

    (void)state;
    fake_open(&fake);
    dev = debugcon_create(fake.bus, 0x402, &backend);
    assert_int_equal(in8(&fake, 0x402), 0xE9);
    out8(&fake, 0x402, 'o');
    out8(&fake, 0x402, 'k');
    assert_string_equal(text, "ok");
    assert_int_equal(backend.can_receive(backend.chip), 0);
    debugcon_destroy(dev);
    fake_close(&fake);
}

static void keep_status(void *ctx, int status)
{
    *(int *)ctx = status;
}

static void test_isa_debug_exit(void **state)
{
    struct fake fake;
    struct isa_debug_exit *dev;
    int status = -1;

    (void)state;
    fake_open(&fake);
    assert_null(isa_debug_exit_create(fake.bus, 0x501, 5, keep_status, &status));
    dev = isa_debug_exit_create(fake.bus, 0x501, 2, keep_status, &status);
    assert_int_equal(in8(&fake, 0x501), 0);
    assert_int_equal(status, -1);
    out8(&fake, 0x501, 0x10);
    assert_int_equal(status, 0x21);
    bus_io_write(fake.bus, 0x501, 2, 0x1234);
    assert_int_equal(status, 0x2469);
    isa_debug_exit_destroy(dev);
    dev = isa_debug_exit_create(fake.bus, 0xf4, 4, keep_status, &status);
    bus_io_write(fake.bus, 0xf4, 4, 0xffffffff);
    assert_int_equal(status & 0xff, 0xff);
    isa_debug_exit_destroy(dev);
    fake_close(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_port92),
        cmocka_unit_test(test_debugcon),
        cmocka_unit_test(test_isa_debug_exit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
