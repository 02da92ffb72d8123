/* tests/devices/test_i8237.c -- register read-back, pages, and transfers. */
#include "fake.h"

#include "devices/i8237.h"

struct rig {
    struct fake fake;
    struct i8237 *dma;
};

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));

    fake_open(&rig->fake);
    rig->dma = i8237_create(rig->fake.bus);
    assert_non_null(rig->dma);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;

    i8237_destroy(rig->dma);
    fake_close(&rig->fake);
    free(rig);
    return 0;
}

static void test_registers(void **state)
{
    struct rig *rig = *state;

    for (unsigned i = 0; i < 16; i++)
        out8(&rig->fake, (uint16_t)(0x80 + i), (uint8_t)(0x30 + i));
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(in8(&rig->fake, (uint16_t)(0x80 + i)), 0x30 + i);
    for (unsigned controller = 0; controller < 2; controller++) {
        const uint16_t base = controller ? 0xC0 : 0x00, step = controller ? 2 : 1;

        out8(&rig->fake, base + 0xD * step, 0);
        for (uint16_t i = 0; i < 8; i++) {
            out8(&rig->fake, base + i * step, (uint8_t)(0x10 + i));
            out8(&rig->fake, base + i * step, (uint8_t)(0xA0 + i));
        }
        out8(&rig->fake, base + 0xC * step, 0);
        for (uint16_t i = 0; i < 8; i++) {
            assert_int_equal(in8(&rig->fake, base + i * step), 0x10 + i);
            assert_int_equal(in8(&rig->fake, base + i * step), 0xA0 + i);
        }
        assert_int_equal(in8(&rig->fake, base + 0xF * step), 0xFF);
        out8(&rig->fake, base + 0xA * step, 2);
        assert_int_equal(in8(&rig->fake, base + 0xF * step), 0xFB);
        out8(&rig->fake, base + 0xE * step, 0);
        assert_int_equal(in8(&rig->fake, base + 0xF * step), 0xF0);
        out8(&rig->fake, base + 0xF * step, 0x05);
        assert_int_equal(in8(&rig->fake, base + 0xF * step), 0xF5);
        out8(&rig->fake, base + 0xA * step, 0x07);
        assert_int_equal(in8(&rig->fake, base + 0xF * step), 0xFD);
        assert_int_equal(in8(&rig->fake, base + 0xB * step), 0xFF);
    }
}

/* Program a channel of the first controller. */
static void program(struct rig *rig, unsigned channel, uint8_t mode, uint32_t address,
                    uint16_t count)
{
    static const uint8_t pages[4] = {0x87, 0x83, 0x81, 0x82};

    out8(&rig->fake, 0x0A, (uint8_t)(4 | channel));
    out8(&rig->fake, 0x0C, 0);
    out8(&rig->fake, 0x0B, (uint8_t)(mode | channel));
    out8(&rig->fake, (uint16_t)(2 * channel), (uint8_t)address);
    out8(&rig->fake, (uint16_t)(2 * channel), (uint8_t)(address >> 8));
    out8(&rig->fake, (uint16_t)(2 * channel + 1), (uint8_t)count);
    out8(&rig->fake, (uint16_t)(2 * channel + 1), (uint8_t)(count >> 8));
    out8(&rig->fake, pages[channel], (uint8_t)(address >> 16));
    out8(&rig->fake, 0x0A, (uint8_t)channel);
}

static void test_transfer(void **state)
{
    struct rig *rig = *state;
    const struct dma_channel floppy = i8237_channel(rig->dma, 2);
    uint8_t sector[512], back[512];
    bool tc;

    for (unsigned i = 0; i < 512; i++)
        sector[i] = (uint8_t)(i * 7 + 1);
    assert_int_equal(floppy.transfer(floppy.ctx, floppy.index, sector, 512, &tc), 0); /* masked */
    program(rig, 2, 0x44, 0x12340, 511);
    assert_int_equal(floppy.transfer(floppy.ctx, floppy.index, sector, 500, &tc), 500);
    assert_false(tc);
    assert_int_equal(floppy.transfer(floppy.ctx, floppy.index, sector + 500, 500, &tc), 12);
    assert_true(tc);
    assert_memory_equal(rig->fake.memory + 0x12340, sector, 512);
    assert_int_equal(rig->fake.memory[0x12340 + 512], 0);
    assert_int_equal(in8(&rig->fake, 0x08), 0x04);
    assert_int_equal(in8(&rig->fake, 0x08), 0x00);
    assert_int_equal(in8(&rig->fake, 0x0F) & 4, 4); /* it masked itself */
    assert_int_equal(floppy.transfer(floppy.ctx, floppy.index, sector, 1, &tc), 0);
    program(rig, 2, 0x48, 0x12340, 511);
    assert_int_equal(floppy.transfer(floppy.ctx, floppy.index, back, 512, &tc), 512);
    assert_memory_equal(back, sector, 512);
    floppy.request(floppy.ctx, floppy.index, true);
    assert_int_equal(in8(&rig->fake, 0x08), 0x44);
}

/* The address counter has 16 bits: the page register stays. */
static void test_page_wrap(void **state)
{
    struct rig *rig = *state;
    const struct dma_channel channel = i8237_channel(rig->dma, 1);
    uint8_t data[32];
    bool tc;

    memset(data, 0x5a, sizeof(data));
    program(rig, 1, 0x44, 0x2fff0, 31);
    assert_int_equal(channel.transfer(channel.ctx, channel.index, data, 32, &tc), 32);
    assert_int_equal(rig->fake.memory[0x2ffff], 0x5a);
    assert_int_equal(rig->fake.memory[0x30000], 0);
    assert_int_equal(rig->fake.memory[0x20000], 0x5a);
    assert_int_equal(rig->fake.memory[0x2000f], 0x5a);
    assert_int_equal(rig->fake.memory[0x20010], 0);
}

static void test_down_and_auto(void **state)
{
    struct rig *rig = *state;
    const struct dma_channel channel = i8237_channel(rig->dma, 3);
    const uint8_t data[3] = {1, 2, 3};
    bool tc;

    program(rig, 3, 0x74, 0x00101, 2); /* down, automatic: wraps below 0 on the next round */
    for (unsigned round = 0; round < 2; round++) {
        assert_int_equal(channel.transfer(channel.ctx, channel.index, (uint8_t *)data, 3, &tc), 3);
        assert_true(tc);
    }
    assert_int_equal(rig->fake.memory[0x101], 1);
    assert_int_equal(rig->fake.memory[0x100], 2);
    assert_int_equal(rig->fake.memory[0x0ff], 3);
}

static void test_words(void **state)
{
    struct rig *rig = *state;
    const struct dma_channel channel = i8237_channel(rig->dma, 5);
    uint8_t data[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    bool tc;

    out8(&rig->fake, 0xD8, 0);
    out8(&rig->fake, 0xD6, 0x45);
    out8(&rig->fake, 0xC4, 0x00);
    out8(&rig->fake, 0xC4, 0x80); /* word address 8000h: byte 10000h of the page */
    out8(&rig->fake, 0xC6, 2);
    out8(&rig->fake, 0xC6, 0);
    out8(&rig->fake, 0x8B, 0x05); /* bit 0 does not count */
    out8(&rig->fake, 0xD4, 1);
    assert_int_equal(channel.transfer(channel.ctx, channel.index, data, 8, &tc), 6);
    assert_true(tc);
    assert_memory_equal(rig->fake.memory + 0x50000, data, 6);
    assert_int_equal(channel.transfer(channel.ctx, channel.index, data, 1, &tc), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_registers),     T(test_transfer), T(test_page_wrap),
        T(test_down_and_auto), T(test_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
