/* tests/devices/test_i8259.c -- priorities, end of interrupt, edges and levels, spurious vectors.
 */
#include "fake.h"

#include "devices/i8259.h"

struct rig {
    struct fake fake;
    struct line intr;
    struct i8259 *pic;
};

static void irq(struct rig *rig, unsigned index, bool level)
{
    i8259_set_irq(rig->pic, index, level);
}

static void init_pair(struct rig *rig, uint8_t master_icw4, uint8_t slave_icw4)
{
    const uint8_t master[] = {0x20, 0x04, master_icw4}, slave[] = {0x28, 0x02, slave_icw4};

    out8(&rig->fake, 0x20, 0x11);
    out8(&rig->fake, 0xA0, 0x11);
    for (unsigned i = 0; i < 3; i++) {
        out8(&rig->fake, 0x21, master[i]);
        out8(&rig->fake, 0xA1, slave[i]);
    }
}

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));

    fake_open(&rig->fake);
    rig->pic = i8259_create(rig->fake.bus, &rig->intr);
    assert_non_null(rig->pic);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;

    i8259_destroy(rig->pic);
    fake_close(&rig->fake);
    free(rig);
    return 0;
}

/* A guest without a BIOS looks for the chip by its mask register before any ICW. */
static void test_mask_before_init(void **state)
{
    struct rig *rig = *state;

    irq(rig, 0, true);
    assert_false(rig->intr.level);
    out8(&rig->fake, 0x21, 0xfb);
    assert_int_equal(in8(&rig->fake, 0x21), 0xfb);
}

static void test_priority_and_eoi(void **state)
{
    struct rig *rig = *state;

    init_pair(rig, 1, 1);
    irq(rig, 4, true);
    assert_true(rig->intr.level);
    irq(rig, 1, true);
    assert_int_equal(i8259_acknowledge(rig->pic), 0x21);
    assert_false(rig->intr.level); /* 4 waits for 1 */
    irq(rig, 0, true);
    assert_true(rig->intr.level); /* 0 does not */
    assert_int_equal(i8259_acknowledge(rig->pic), 0x20);
    out8(&rig->fake, 0x20, 0x0b);
    assert_int_equal(in8(&rig->fake, 0x20), 0x03);
    out8(&rig->fake, 0x20, 0x0a);
    assert_int_equal(in8(&rig->fake, 0x20), 0x10);
    out8(&rig->fake, 0x20, 0x20); /* ends 0 */
    assert_false(rig->intr.level);
    out8(&rig->fake, 0x20, 0x61); /* ends 1 by name */
    assert_true(rig->intr.level);
    assert_int_equal(i8259_acknowledge(rig->pic), 0x24);
    /* The line is still high: no new edge, no new interrupt. */
    out8(&rig->fake, 0x20, 0x20);
    assert_false(rig->intr.level);
    irq(rig, 4, false);
    irq(rig, 4, true);
    assert_true(rig->intr.level);
}

static void test_mask(void **state)
{
    struct rig *rig = *state;

    init_pair(rig, 1, 1);
    out8(&rig->fake, 0x21, 0x10);
    irq(rig, 4, true);
    assert_false(rig->intr.level);
    assert_int_equal(in8(&rig->fake, 0x20), 0x10); /* requested all the same */
    out8(&rig->fake, 0x21, 0);
    assert_true(rig->intr.level);
}

static void test_slave(void **state)
{
    struct rig *rig = *state;

    init_pair(rig, 1, 1);
    irq(rig, 14, true);
    irq(rig, 8, true);
    assert_int_equal(i8259_acknowledge(rig->pic), 0x28);
    assert_false(rig->intr.level);
    out8(&rig->fake, 0xA0, 0x20);
    assert_false(rig->intr.level); /* the master still serves the cascade */
    out8(&rig->fake, 0x20, 0x20);
    assert_true(rig->intr.level);
    assert_int_equal(i8259_acknowledge(rig->pic), 0x2e);
    irq(rig, 3, true);
    assert_false(rig->intr.level); /* the slave's are above IRQ 3 */
    irq(rig, 1, true);
    assert_int_equal(i8259_acknowledge(rig->pic), 0x21);
}

static void test_special_fully_nested(void **state)
{
    struct rig *rig = *state;

    init_pair(rig, 0x11, 1);
    irq(rig, 14, true);
    assert_int_equal(i8259_acknowledge(rig->pic), 0x2e);
    irq(rig, 9, true); /* of higher priority within the slave */
    assert_true(rig->intr.level);
    assert_int_equal(i8259_acknowledge(rig->pic), 0x29);
}

static void test_spurious(void **state)
{
    struct rig *rig = *state;

    init_pair(rig, 1, 1);
    irq(rig, 3, true);
    irq(rig, 3, false);
    assert_false(rig->intr.level);
    assert_int_equal(i8259_acknowledge(rig->pic), 0x27);
    out8(&rig->fake, 0x20, 0x0b);
    assert_int_equal(in8(&rig->fake, 0x20), 0); /* no bit in service */
    /* The slave's request takes the master's with it: the spurious vector is the master's. */
    irq(rig, 12, true);
    assert_true(rig->intr.level);
    irq(rig, 12, false);
    assert_false(rig->intr.level);
    assert_int_equal(i8259_acknowledge(rig->pic), 0x27);
}

static void test_level(void **state)
{
    struct rig *rig = *state;

    init_pair(rig, 1, 1);
    out8(&rig->fake, 0x4D0, 0xff);
    out8(&rig->fake, 0x4D1, 0xff);
    assert_int_equal(in8(&rig->fake, 0x4D0), 0xf8);
    assert_int_equal(in8(&rig->fake, 0x4D1), 0xde);
    irq(rig, 5, true);
    assert_int_equal(i8259_acknowledge(rig->pic), 0x25);
    out8(&rig->fake, 0x20, 0x20);
    assert_true(rig->intr.level); /* it is still asking */
    irq(rig, 5, false);
    assert_false(rig->intr.level);
    irq(rig, 11, true);
    assert_int_equal(i8259_acknowledge(rig->pic), 0x2b);
    out8(&rig->fake, 0xA0, 0x20);
    out8(&rig->fake, 0x20, 0x20);
    assert_true(rig->intr.level);
}

static void test_auto_eoi(void **state)
{
    struct rig *rig = *state;

    init_pair(rig, 3, 3);
    irq(rig, 8, true);
    irq(rig, 9, true);
    assert_int_equal(i8259_acknowledge(rig->pic), 0x28);
    assert_true(rig->intr.level);
    assert_int_equal(i8259_acknowledge(rig->pic), 0x29);
    assert_false(rig->intr.level);
    /* Rotating: who was served goes last. */
    out8(&rig->fake, 0x20, 0x80);
    irq(rig, 3, true);
    assert_int_equal(i8259_acknowledge(rig->pic), 0x23);
    irq(rig, 3, false);
    irq(rig, 3, true);
    irq(rig, 4, true);
    assert_int_equal(i8259_acknowledge(rig->pic), 0x24);
    assert_int_equal(i8259_acknowledge(rig->pic), 0x23);
}

static void test_rotation(void **state)
{
    struct rig *rig = *state;

    init_pair(rig, 1, 1);
    out8(&rig->fake, 0x20, 0xc4); /* 4 lowest: 5 is first */
    irq(rig, 0, true);
    irq(rig, 5, true);
    assert_int_equal(i8259_acknowledge(rig->pic), 0x25);
    out8(&rig->fake, 0x20, 0xa0); /* rotate on EOI: 5 lowest */
    assert_int_equal(i8259_acknowledge(rig->pic), 0x20);
    out8(&rig->fake, 0x20, 0xe6); /* by name; 6 was not in service, it only goes last */
    irq(rig, 7, true);
    assert_true(rig->intr.level);
    assert_int_equal(i8259_acknowledge(rig->pic), 0x27);
}

static void test_special_mask(void **state)
{
    struct rig *rig = *state;

    init_pair(rig, 1, 1);
    irq(rig, 1, true);
    assert_int_equal(i8259_acknowledge(rig->pic), 0x21);
    irq(rig, 6, true);
    assert_false(rig->intr.level);
    out8(&rig->fake, 0x21, 0x02);
    out8(&rig->fake, 0x20, 0x68);
    assert_true(rig->intr.level);
    assert_int_equal(i8259_acknowledge(rig->pic), 0x26);
    out8(&rig->fake, 0x20, 0x20); /* cannot see the masked 1: ends 6 */
    out8(&rig->fake, 0x20, 0x0b);
    assert_int_equal(in8(&rig->fake, 0x20), 0x02);
    out8(&rig->fake, 0x20, 0x48);
    out8(&rig->fake, 0x20, 0x20);
    assert_int_equal(in8(&rig->fake, 0x20), 0x00);
}

static void test_poll(void **state)
{
    struct rig *rig = *state;

    init_pair(rig, 1, 1);
    out8(&rig->fake, 0x20, 0x0c);
    assert_int_equal(in8(&rig->fake, 0x20) & 0x80, 0);
    irq(rig, 6, true);
    out8(&rig->fake, 0x20, 0x0c);
    assert_int_equal(in8(&rig->fake, 0x20), 0x86);
    assert_false(rig->intr.level);
    out8(&rig->fake, 0x20, 0x0b);
    assert_int_equal(in8(&rig->fake, 0x20), 0x40);
}

static void test_icw1_forgets(void **state)
{
    struct rig *rig = *state;

    init_pair(rig, 1, 1);
    irq(rig, 5, true);
    assert_int_equal(i8259_acknowledge(rig->pic), 0x25);
    irq(rig, 6, true);
    out8(&rig->fake, 0x20, 0x12); /* single, no ICW4 */
    irq(rig, 7, true);
    assert_false(rig->intr.level); /* not before ICW2 */
    out8(&rig->fake, 0x21, 0x47);
    assert_true(rig->intr.level);
    assert_int_equal(i8259_acknowledge(rig->pic), 0x47);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_mask_before_init),
        T(test_priority_and_eoi),
        T(test_mask),
        T(test_slave),
        T(test_special_fully_nested),
        T(test_spurious),
        T(test_level),
        T(test_auto_eoi),
        T(test_rotation),
        T(test_special_mask),
        T(test_poll),
        T(test_icw1_forgets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
