/* tests/devices/test_vga.c -- display registers, planes and write modes, Bochs modes, text. */
#include "vga_rig.h"

static void test_registers(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    /* misc output bit 0 moves the CRTC between 0x3Bx and 0x3Dx */
    assert_int_equal(in8(&rig.fake, 0x3D4), 0xFF);
    out8(&rig.fake, 0x3C2, 0x67);
    assert_int_equal(in8(&rig.fake, 0x3CC), 0x67);
    assert_int_equal(in8(&rig.fake, 0x3B4), 0xFF);
    out16(&rig, 0x3D4, 0x550C);
    assert_int_equal(in8(&rig.fake, 0x3D5), 0x55);
    /* registers 0..7 are protected by bit 7 of 0x11, but for the line compare bit */
    out16(&rig, 0x3D4, 0x8011);
    out16(&rig, 0x3D4, 0xAA00);
    assert_int_equal(in8(&rig.fake, 0x3D5), 0);
    out16(&rig, 0x3D4, 0xFF07);
    assert_int_equal(in8(&rig.fake, 0x3D5), 0x10);
    out8(&rig.fake, 0x3D4, 0xFE); /* no such register */
    out8(&rig.fake, 0x3D5, 1);
    assert_int_equal(in8(&rig.fake, 0x3D5), 0);
    /* attribute controller: index and data alternate; reading status 1 starts over */
    in8(&rig.fake, 0x3DA);
    out8(&rig.fake, 0x3C0, 0x31);
    out8(&rig.fake, 0x3C0, 0x3A);
    assert_int_equal(in8(&rig.fake, 0x3C1), 0x3A);
    out8(&rig.fake, 0x3C0, 0x05);
    in8(&rig.fake, 0x3DA);
    out8(&rig.fake, 0x3C0, 0x1F); /* past the last register */
    out8(&rig.fake, 0x3C0, 0xFF);
    assert_int_equal(in8(&rig.fake, 0x3C1), 0);
    /* DAC: three components, the index advances by itself */
    out8(&rig.fake, 0x3C8, 255);
    for (unsigned i = 1; i <= 6; i++)
        out8(&rig.fake, 0x3C9, (uint8_t)(0xC0 | i));
    out8(&rig.fake, 0x3C7, 255);
    for (unsigned i = 1; i <= 6; i++)
        assert_int_equal(in8(&rig.fake, 0x3C9), i); /* six bits each */
    assert_int_equal(in8(&rig.fake, 0x3C7), 3);
    /* unused indices */
    seq(&rig, 0xFF, 0xFF);
    gfx(&rig, 0xFF, 0xFF);
    assert_int_equal(in8(&rig.fake, 0x3CF), 0);
    rig_close(&rig);
}

static void test_retrace(void **state)
{
    struct rig rig;
    unsigned changes = 0;
    uint8_t last = 0;

    (void)state;
    rig_open(&rig);
    out8(&rig.fake, 0x3C2, 1);
    for (unsigned i = 0; i < 10000; i++) { /* 100 ms: seven frames */
        const uint8_t status = in8(&rig.fake, 0x3DA);

        changes += (status ^ last) >> 3 & 1;
        if (status & 8)
            assert_int_equal(status & 1, 1);
        last = status;
        fake_run(&rig.fake, 10000);
    }
    assert_in_range(changes, 13, 15);
    rig_close(&rig);
}

static void planar_mode(struct rig *rig)
{
    seq(rig, SEQ_MAP_MASK, 0x0F);
    seq(rig, SEQ_MEMORY_MODE, 0x06);
    gfx(rig, GFX_SET_RESET, 0);
    gfx(rig, GFX_ENABLE_SET_RESET, 0);
    gfx(rig, GFX_ROTATE, 0);
    gfx(rig, GFX_READ_MAP, 0);
    gfx(rig, GFX_MODE, 0);
    gfx(rig, GFX_MISC, 0x05); /* 64 KiB at 0xA0000, graphics */
    gfx(rig, GFX_COLOR_DONT_CARE, 0x0F);
    gfx(rig, GFX_BIT_MASK, 0xFF);
}

static uint32_t planes(uint32_t address)
{
    uint32_t value;

    memcpy(&value, display + 4 * address, 4);
    return value;
}

static void test_write_modes(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    planar_mode(&rig);
    /* mode 0: the byte to every plane of the map mask */
    seq(&rig, SEQ_MAP_MASK, 0x05);
    poke(&rig, 0x10, 1, 0xA5);
    assert_int_equal(planes(0x10), 0x00A500A5);
    seq(&rig, SEQ_MAP_MASK, 0x0F);
    /* rotate, then set/reset in planes 0 and 3 */
    gfx(&rig, GFX_ROTATE, 4);
    gfx(&rig, GFX_SET_RESET, 0x01);
    gfx(&rig, GFX_ENABLE_SET_RESET, 0x09);
    poke(&rig, 0x11, 1, 0x5A);
    assert_int_equal(planes(0x11), 0x00A5A5FF);
    planar_mode(&rig);
    /* bit mask: other bits come from the latches, which a read fills */
    gfx(&rig, GFX_BIT_MASK, 0x0F);
    assert_int_equal(peek(&rig, 0x11, 1), 0xFF);
    poke(&rig, 0x12, 1, 0x00);
    assert_int_equal(planes(0x12), 0x00A0A0F0);
    /* functions: and, or, xor with the latches */
    gfx(&rig, GFX_BIT_MASK, 0xFF);
    gfx(&rig, GFX_ROTATE, 1 << 3);
    poke(&rig, 0x13, 1, 0x0F);
    assert_int_equal(planes(0x13), 0x0005050F);
    gfx(&rig, GFX_ROTATE, 2 << 3);
    poke(&rig, 0x13, 1, 0x0F);
    assert_int_equal(planes(0x13), 0x0FAFAFFF);
    gfx(&rig, GFX_ROTATE, 3 << 3);
    poke(&rig, 0x13, 1, 0x0F);
    assert_int_equal(planes(0x13), 0x0FAAAAF0);
    /* mode 1: latches; mode 2: the byte's bits are the colour; mode 3: set/reset under a mask */
    planar_mode(&rig);
    gfx(&rig, GFX_MODE, 1);
    poke(&rig, 0x14, 1, 0);
    assert_int_equal(planes(0x14), 0x00A5A5FF);
    gfx(&rig, GFX_MODE, 2);
    poke(&rig, 0x15, 1, 0x0A);
    assert_int_equal(planes(0x15), 0xFF00FF00);
    gfx(&rig, GFX_MODE, 3);
    gfx(&rig, GFX_SET_RESET, 0x08);
    gfx(&rig, GFX_BIT_MASK, 0x3C);
    poke(&rig, 0x16, 1, 0xF0);
    assert_int_equal(planes(0x16), 0x308585CF); /* bits 5 and 4 are written */
    /* read mode 1: where all planes match the colour */
    planar_mode(&rig);
    gfx(&rig, GFX_MODE, 8);
    gfx(&rig, GFX_COLOR_COMPARE, 0x0A);
    assert_int_equal(peek(&rig, 0x15, 1), 0xFF);
    gfx(&rig, GFX_COLOR_COMPARE, 0x0B);
    assert_int_equal(peek(&rig, 0x15, 1), 0x00);
    gfx(&rig, GFX_COLOR_DONT_CARE, 0x0E);
    assert_int_equal(peek(&rig, 0x15, 1), 0xFF);
    rig_close(&rig);
}

static void test_windows(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    planar_mode(&rig);
    poke(&rig, 0xFFFF, 1, 0x11);
    assert_int_equal(planes(0xFFFF), 0x11111111);
    poke(&rig, 0x10000, 1, 0x22); /* outside the 64 KiB at 0xA0000 */
    assert_int_equal(planes(0x10000), 0);
    assert_int_equal(peek(&rig, 0x18000, 4), 0xFFFFFFFF);
    gfx(&rig, GFX_MISC, 0x09); /* 0xB0000 */
    poke(&rig, 0x10000, 1, 0x33);
    assert_int_equal(planes(0), 0x33333333);
    assert_int_equal(peek(&rig, 0x18000, 1), 0xFF);
    gfx(&rig, GFX_MISC, 0x01); /* all 128 KiB */
    poke(&rig, 0x1FFFF, 1, 0x44);
    assert_int_equal(planes(0x1FFFF), 0x44444444);
    /* chained: linear */
    gfx(&rig, GFX_MISC, 0x05);
    seq(&rig, SEQ_MEMORY_MODE, 0x0E);
    poke(&rig, 0x100, 8, 0x0807060504030201);
    assert_memory_equal(display + 0x100, "\1\2\3\4\5\6\7\10", 8);
    assert_int_equal(peek(&rig, 0x102, 2), 0x0403);
    rig_close(&rig);
}

static void test_text(void **state)
{
    struct rig rig;
    char text[8192], tiny[100];
    size_t length;

    (void)state;
    rig_open(&rig);
    assert_int_equal(vga_text(rig.vga, text, sizeof(text)), 0); /* no mode set */
    vga_set_text_mode(rig.vga);
    length = vga_text(rig.vga, text, sizeof(text));
    assert_int_equal(length, 25);
    for (unsigned i = 0; i < 5; i++) /* characters and attributes alternate at 0xB8000 */
        poke(&rig, 0x18000 + 2 * i, 2, 0x0700u | (uint8_t) "Hi \xC4!"[i]);
    poke(&rig, 0x18000 + 2 * (80 * 24 + 79), 1, 'z');
    length = vga_text(rig.vga, text, sizeof(text));
    assert_memory_equal(text, "Hi \xE2\x94\x80!\n\n", 9);
    assert_int_equal(text[length - 2], 'z');
    assert_int_equal(peek(&rig, 0x18000, 4), 0x07690748);
    /* scrolled by one line; the end wraps */
    out16(&rig, 0x3D4, 0x000C);
    out16(&rig, 0x3D4, 0x500D);
    vga_text(rig.vga, text, sizeof(text));
    assert_int_equal(text[0], '\n');
    out16(&rig, 0x3D4, 0xFF0C);
    out16(&rig, 0x3D4, 0xFF0D);
    vga_text(rig.vga, text, sizeof(text));
    /* a small buffer gets whole lines; absurd geometry stays in bounds */
    assert_true(vga_text(rig.vga, tiny, 3) <= 3);
    out16(&rig, 0x3D4, 0x0011);
    for (unsigned i = 0; i < VGA_CRTC_COUNT; i++)
        out16(&rig, 0x3D4, 0xFF00 | i);
    assert_true(vga_text(rig.vga, text, sizeof(text)) <= sizeof(text));
    assert_true(vga_text(rig.vga, tiny, sizeof(tiny)) <= sizeof(tiny));
    gfx(&rig, GFX_MISC, 0x05);
    assert_int_equal(vga_text(rig.vga, text, sizeof(text)), 0);
    rig_close(&rig);
}

static void test_bochs_modes(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    assert_int_equal(dispi(&rig, DISPI_ID), 0xB0C5);
    dispi_set(&rig, DISPI_ID, 0xB0C2);
    assert_int_equal(dispi(&rig, DISPI_ID), 0xB0C2);
    dispi_set(&rig, DISPI_ID, 0x1234);
    assert_int_equal(dispi(&rig, DISPI_ID), 0xB0C2);
    assert_int_equal(dispi(&rig, DISPI_MEMORY_64K), 256);
    dispi_set(&rig, DISPI_ENABLE, DISPI_GETCAPS);
    assert_int_equal(dispi(&rig, DISPI_BPP), 32);
    dispi_set(&rig, DISPI_ENABLE, 0);
    dispi_set(&rig, DISPI_XRES, 1024);
    dispi_set(&rig, DISPI_YRES, 768);
    dispi_set(&rig, DISPI_BPP, 32);
    memset(display, 0xEE, VGA_MEMORY_SIZE);
    dispi_set(&rig, DISPI_ENABLE, DISPI_ENABLED | 0x40);
    assert_int_equal(display[1024 * 768 * 4 - 1], 0);
    assert_int_equal(display[1024 * 768 * 4], 0xEE);
    assert_int_equal(dispi(&rig, DISPI_VIRT_WIDTH), 1024);
    assert_int_equal(dispi(&rig, DISPI_VIRT_HEIGHT), 4096);
    dispi_set(&rig, DISPI_Y_OFFSET, 0xFFFF);
    assert_int_equal(dispi(&rig, DISPI_Y_OFFSET), 4096 - 768);
    /* banks */
    seq(&rig, SEQ_MEMORY_MODE, SEQ_MEMORY_CHAIN4);
    seq(&rig, SEQ_MAP_MASK, 15);
    dispi_set(&rig, DISPI_BANK, 0xFFFF);
    poke(&rig, 0xFFFF, 1, 0x99);
    assert_int_equal(display[VGA_MEMORY_SIZE - 1], 0x99);
    /* absurd modes are made to fit */
    for (uint32_t value = 0; value <= 0xFFFF; value += 0xFFF) {
        for (uint16_t index = 0; index < 16; index++)
            dispi_set(&rig, index, (uint16_t)value);
        dispi_set(&rig, DISPI_ENABLE, 0);
        dispi_set(&rig, DISPI_ENABLE, DISPI_ENABLED);
        assert_true(dispi(&rig, DISPI_XRES) <= dispi(&rig, DISPI_VIRT_WIDTH));
        assert_true(dispi(&rig, DISPI_YRES) >= 1);
    }
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_registers),   cmocka_unit_test(test_retrace),
        cmocka_unit_test(test_write_modes), cmocka_unit_test(test_windows),
        cmocka_unit_test(test_text),        cmocka_unit_test(test_bochs_modes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
