/* tests/devices/test_bus.c -- port decoding, splitting, open bus, and the log. */
#include "fake.h"

#include <errno.h>
#include <stdio.h>

struct port_chip {
    uint8_t regs[16];
    unsigned accesses;
    unsigned sizes[8];
    uint16_t offsets[8];
};

static void note(struct port_chip *chip, uint16_t offset, unsigned size)
{
    if (chip->accesses < 8) {
        chip->sizes[chip->accesses] = size;
        chip->offsets[chip->accesses] = offset;
    }
    chip->accesses++;
}

static uint32_t chip_read(void *ctx, uint16_t offset, unsigned size)
{
    struct port_chip *chip = ctx;
    uint32_t value = 0xdeadbeef; /* what is above size must not come through */

    note(chip, offset, size);
    memcpy(&value, &chip->regs[offset], size);
    return value;
}

static void chip_write(void *ctx, uint16_t offset, unsigned size, uint32_t value)
{
    struct port_chip *chip = ctx;

    note(chip, offset, size);
    memcpy(&chip->regs[offset], &value, size);
}

static const struct io_ops byte_ops = {"byte", 1, chip_read, chip_write};
static const struct io_ops word_ops = {"word", 2, chip_read, chip_write};
static const struct io_ops long_ops = {"long", 4, chip_read, chip_write};

static void test_claims(void **state)
{
    struct fake fake;
    struct port_chip chip = {0};
    const struct io_ops bad = {"bad", 3, chip_read, chip_write};

    (void)state;
    fake_open(&fake);
    assert_int_equal(bus_map_io(fake.bus, 0x100, 8, &byte_ops, &chip), 0);
    assert_int_equal(bus_map_io(fake.bus, 0x107, 1, &byte_ops, &chip), -EBUSY);
    assert_int_equal(bus_map_io(fake.bus, 0x108, 0, &byte_ops, &chip), -EINVAL);
    assert_int_equal(bus_map_io(fake.bus, 0xffff, 2, &byte_ops, &chip), -EINVAL);
    assert_int_equal(bus_map_io(fake.bus, 0x200, 1, &bad, &chip), -EINVAL);
    assert_int_equal(bus_map_io(fake.bus, 0xffff, 1, &byte_ops, &chip), 0);
    bus_unmap_io(fake.bus, 0x100, 4);
    assert_int_equal(in8(&fake, 0x100), 0xff);
    out8(&fake, 0x105, 0x12);
    assert_int_equal(chip.regs[5], 0x12);
    assert_int_equal(bus_map_io(fake.bus, 0x100, 4, &word_ops, &chip), 0);
    /* Map and unmap more often than there are claims: slots come back. */
    for (unsigned i = 0; i < 5000; i++) {
        assert_int_equal(bus_map_io(fake.bus, 0x1000, 16, &byte_ops, &chip), 0);
        bus_unmap_io(fake.bus, 0x1000, 16);
    }
    fake_close(&fake);
}

static void test_claims_are_bounded(void **state)
{
    struct fake fake;
    struct port_chip chip = {0};
    unsigned made = 0;

    (void)state;
    fake_open(&fake);
    while (made < 65535 && bus_map_io(fake.bus, (uint16_t)made, 1, &byte_ops, &chip) == 0)
        made++;
    assert_in_range(made, 512, 65534);
    fake_close(&fake);
}

static void test_splitting(void **state)
{
    struct fake fake;
    struct port_chip chip = {.regs = {1, 2, 3, 4, 5, 6, 7, 8}};

    (void)state;
    fake_open(&fake);
    bus_map_io(fake.bus, 0x100, 8, &byte_ops, &chip);
    bus_map_io(fake.bus, 0x200, 8, &word_ops, &chip);
    bus_map_io(fake.bus, 0x300, 8, &long_ops, &chip);
    assert_int_equal(bus_io_read(fake.bus, 0x100, 4), 0x04030201);
    assert_int_equal(chip.accesses, 4);
    chip.accesses = 0;
    assert_int_equal(bus_io_read(fake.bus, 0x201, 4), 0x05040302);
    assert_int_equal(chip.accesses, 2);
    assert_int_equal(chip.offsets[1], 3);
    chip.accesses = 0;
    assert_int_equal(bus_io_read(fake.bus, 0x304, 4), 0x08070605);
    assert_int_equal(chip.accesses, 1);
    chip.accesses = 0;
    /* Into the ports behind the chip: a piece of 2 and two bytes of open bus. */
    assert_int_equal(bus_io_read(fake.bus, 0x306, 4), 0xffff0807);
    assert_int_equal(chip.sizes[0], 2);
    /* Out of the ports in front of it. */
    bus_io_write(fake.bus, 0x2fe, 4, 0xaabbccdd);
    assert_int_equal(chip.regs[0], 0xbb);
    assert_int_equal(chip.regs[1], 0xaa);
    /* The last port does not wrap to the first. */
    assert_int_equal(bus_io_read(fake.bus, 0xffff, 4), 0xffffffff);
    bus_io_write(fake.bus, 0xfffe, 4, 0);
    fake_close(&fake);
}

static void count_line(void *ctx, const char *line)
{
    assert_non_null(strchr(line, ':'));
    ++*(unsigned *)ctx;
}

static void test_log_once(void **state)
{
    struct fake fake;
    unsigned lines = 0;
    char name[16];

    (void)state;
    fake_open(&fake);
    in8(&fake, 0x100); /* nobody listens */
    bus_log_set(fake.bus, count_line, &lines);
    for (unsigned i = 0; i < 3; i++) {
        in8(&fake, 0x100);
        out8(&fake, 0x100, 0);
        bus_log_once(fake.bus, "chip", 7, "what");
    }
    assert_int_equal(lines, 3);
    bus_log_once(fake.bus, "chip", 8, "what");
    bus_log_once(fake.bus, "chip2", 7, "what");
    assert_int_equal(lines, 5);
    for (unsigned i = 0; i < 10000; i++) {
        snprintf(name, sizeof(name), "%u", i);
        bus_log_once(fake.bus, name, i, "flood");
    }
    assert_in_range(lines, 100, 5000);
    fake_close(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_claims),
        cmocka_unit_test(test_claims_are_bounded),
        cmocka_unit_test(test_splitting),
        cmocka_unit_test(test_log_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
