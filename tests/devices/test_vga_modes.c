/* tests/devices/test_vga_modes.c -- what each mode makes of display memory, pixel by pixel. */
#include "vga_modes.h"

#define FRAME_NS      14268000u
#define CURSOR_OFF_NS (8 * FRAME_NS)

static void assert_color_at(struct rig *rig, uint32_t x, uint32_t y, unsigned color, int line)
{
    const uint32_t shown = pixel(rig, x, y);

    if (shown != test_color(color))
        print_message("line %d: pixel %u,%u is %06x, not colour %u (%06x)\n", line, x, y, shown,
                      color, test_color(color));
    assert_int_equal(shown, test_color(color));
}

#define assert_color(rig, x, y, color) assert_color_at(rig, x, y, color, __LINE__)

/* Lines of a character in plane 2, as firmware loads them. */
static void font_line(struct rig *rig, unsigned offset, uint8_t character, unsigned row,
                      uint8_t dots)
{
    seq(rig, 2, 4);
    seq(rig, 4, 6);
    gfx(rig, 5, 0);
    gfx(rig, 6, 4);
    poke(rig, offset + character * 32u + row, 1, dots);
    seq(rig, 2, 3);
    seq(rig, 4, 2);
    gfx(rig, 5, 0x10);
    gfx(rig, 6, 0x0E);
}

static void text_open(struct rig *rig, const struct mode *mode)
{
    rig_open(rig);
    mode_set(rig, mode);
    crtc(rig, 0x0A, 0x20); /* no cursor */
}

static void cell(struct rig *rig, unsigned at, uint8_t character, uint8_t attribute)
{
    poke(rig, 0x18000 + 2 * at, 2, (unsigned)(character | attribute << 8));
}

static void test_text_cells(void **state)
{
    struct rig rig;

    (void)state;
    text_open(&rig, &mode_text);
    assert_size(&rig, 720, 400);
    font_line(&rig, 0, 'A', 3, 0x81);
    font_line(&rig, 0, 0xC4, 3, 0x01);
    cell(&rig, 81, 'A', 0x1E); /* row 1, column 1: yellow on blue */
    assert_color(&rig, 9, 16 + 2, 1);
    assert_color(&rig, 9, 16 + 3, 14);
    assert_color(&rig, 10, 16 + 3, 1);
    assert_color(&rig, 16, 16 + 3, 14);
    assert_color(&rig, 17, 16 + 3, 1); /* the ninth dot is background */
    cell(&rig, 81, 0xC4, 0x1E);        /* but of line-drawing characters it repeats the eighth */
    assert_color(&rig, 15, 16 + 3, 1);
    assert_color(&rig, 16, 16 + 3, 14);
    assert_color(&rig, 17, 16 + 3, 14);
    attr(&rig, 0x10, 0x08);
    assert_color(&rig, 17, 16 + 3, 1);
    /* eight dots a character */
    seq(&rig, 1, 1);
    assert_size(&rig, 640, 400);
    assert_color(&rig, 15, 16 + 3, 14);
    assert_color(&rig, 16, 16 + 3, 0);
    /* underline in its line, for attribute 1 on black */
    crtc(&rig, 0x14, 5);
    cell(&rig, 0, 0, 0x01);
    assert_color(&rig, 0, 4, 0);
    assert_color(&rig, 0, 5, 1);
    assert_color(&rig, 7, 5, 1);
    cell(&rig, 0, 0, 0x02);
    assert_color(&rig, 0, 5, 0);
    rig_close(&rig);
}

static void test_text_fonts(void **state)
{
    struct rig rig;

    (void)state;
    text_open(&rig, &mode_text);
    font_line(&rig, 0, 'A', 0, 0x80);
    font_line(&rig, 0x6000, 'A', 0, 0x40); /* map 5: 8 KiB + 16 KiB */
    cell(&rig, 0, 'A', 0x07);
    cell(&rig, 1, 'A', 0x0F);
    assert_color(&rig, 0, 0, 7);
    assert_color(&rig, 9, 0, 15); /* both maps are 0 */
    seq(&rig, 3, 0x24);           /* A, for attributes with bit 3: 5 */
    assert_color(&rig, 0, 0, 7);
    assert_color(&rig, 9, 0, 0);
    assert_color(&rig, 10, 0, 15);
    seq(&rig, 3, 0x11); /* B: 5 */
    assert_color(&rig, 1, 0, 7);
    assert_color(&rig, 9, 0, 15);
    rig_close(&rig);
}

static void test_text_cursor_and_blink(void **state)
{
    struct rig rig;

    (void)state;
    text_open(&rig, &mode_text);
    assert_true(refresh(&rig)->again_ns == UINT64_MAX);
    cell(&rig, 2, ' ', 0x07);
    crtc(&rig, 0x0F, 2);
    crtc(&rig, 0x0A, 13);
    crtc(&rig, 0x0B, 14);
    assert_color(&rig, 18, 12, 0);
    assert_color(&rig, 18, 13, 7);
    assert_color(&rig, 26, 14, 7);
    assert_color(&rig, 27, 14, 0);
    assert_color(&rig, 18, 15, 0);
    assert_int_equal(refresh(&rig)->again_ns, CURSOR_OFF_NS);
    fake_run(&rig.fake, CURSOR_OFF_NS);
    assert_color(&rig, 18, 13, 0);
    fake_run(&rig.fake, CURSOR_OFF_NS);
    assert_color(&rig, 18, 13, 7);
    crtc(&rig, 0x0A, 15); /* ends before it starts */
    assert_color(&rig, 18, 15, 0);
    crtc(&rig, 0x0A, 0x20);
    /* blinking characters: 16 frames on, 16 off; else bit 7 is the background's */
    font_line(&rig, 0, 'A', 0, 0xFF);
    cell(&rig, 0, 'A', 0x97);
    assert_color(&rig, 0, 0, 1);
    assert_color(&rig, 0, 1, 1);
    fake_run(&rig.fake, 16 * FRAME_NS);
    assert_color(&rig, 0, 0, 7);
    attr(&rig, 0x10, 0x04);
    assert_color(&rig, 0, 1, 9);
    rig_close(&rig);
}

static void test_text_scrolling(void **state)
{
    struct rig rig;

    (void)state;
    text_open(&rig, &mode_text);
    for (unsigned i = 0; i < 0x4000; i++)
        cell(&rig, i, ' ', (uint8_t)(i / 80 % 8 << 4)); /* row r has background r */
    assert_color(&rig, 0, 0, 0);
    assert_color(&rig, 0, 16, 1);
    crtc(&rig, 0x0D, 80 * 2);
    assert_color(&rig, 0, 0, 2);
    crtc(&rig, 0x08, 5); /* smooth scrolling by lines */
    assert_color(&rig, 0, 10, 2);
    assert_color(&rig, 0, 11, 3);
    /* line compare: below it the memory's beginning */
    crtc(&rig, 0x07, 0x0F);
    crtc(&rig, 0x09, 0x0F);
    crtc(&rig, 0x18, 99);
    assert_color(&rig, 0, 99, (2 + (99 + 5) / 16) % 8);
    assert_color(&rig, 0, 100, 0);
    assert_color(&rig, 0, 115, 0);
    assert_color(&rig, 0, 116, 1);
    /* panning: 8 is none, 0 is one dot */
    crtc(&rig, 0x08, 0);
    cell(&rig, 160, ' ', 0x70);
    cell(&rig, 161, ' ', 0x20);
    assert_color(&rig, 8, 0, 7);
    assert_color(&rig, 9, 0, 2);
    attr(&rig, 0x13, 0);
    assert_color(&rig, 7, 0, 7);
    assert_color(&rig, 8, 0, 2);
    attr(&rig, 0x13, 7);
    assert_color(&rig, 0, 0, 7);
    assert_color(&rig, 1, 0, 2);
    crtc(&rig, 0x08, 0x20); /* byte panning */
    attr(&rig, 0x13, 8);
    assert_color(&rig, 0, 0, 2);
    rig_close(&rig);
}

static void test_text_40_columns(void **state)
{
    struct rig rig;

    (void)state;
    text_open(&rig, &mode_text40);
    assert_size(&rig, 720, 400);
    font_line(&rig, 0, 'A', 0, 0x40);
    cell(&rig, 41, 'A', 0x07);
    assert_color(&rig, 19, 16, 0);
    assert_color(&rig, 20, 16, 7);
    assert_color(&rig, 21, 16, 7);
    assert_color(&rig, 22, 16, 0);
    rig_close(&rig);
}

static void test_planar(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    mode_set(&rig, &mode_12);
    assert_size(&rig, 640, 480);
    for (uint8_t plane = 0; plane < 4; plane++) { /* dot i of byte 80 * 3 + 1 is colour i */
        static const uint8_t bits[4] = {0x55, 0x33, 0x0F, 0xFF};

        seq(&rig, 2, (uint8_t)(1 << plane));
        poke(&rig, 80 * 3 + 1, 1, bits[plane]);
    }
    for (unsigned i = 0; i < 8; i++)
        assert_color(&rig, 8 + i, 3, 8 + i);
    assert_color(&rig, 7, 3, 0);
    assert_color(&rig, 16, 3, 0);
    attr(&rig, 0x12, 0x07); /* plane 3 is not looked at */
    assert_color(&rig, 15, 3, 7);
    attr(&rig, 0x07, 0x2A);
    assert_color(&rig, 15, 3, 0x2A);
    attr(&rig, 0x14, 0x0C); /* bits 7:6 of the DAC's index */
    assert_color(&rig, 15, 3, 0xEA);
    attr(&rig, 0x10, 0x81);
    attr(&rig, 0x14, 0x0D); /* and 5:4 */
    assert_color(&rig, 15, 3, 0xDA);
    out8(&rig.fake, 0x3C6, 0x0F);
    assert_color(&rig, 15, 3, 0x0A);
    /* panning by a dot; the address wraps at 64 KiB */
    mode_set(&rig, &mode_12);
    attr(&rig, 0x13, 1);
    assert_color(&rig, 14, 3, 15);
    attr(&rig, 0x13, 0);
    crtc(&rig, 0x0C, 0xFF);
    crtc(&rig, 0x0D, 0xFF);
    assert_color(&rig, 8 + 15, 3, 15);
    rig_close(&rig);
}

static void test_cga(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    mode_set(&rig, &mode_4);
    assert_size(&rig, 640, 400);
    poke(&rig, 0x18000, 1, 0x1B);          /* 0 1 2 3 */
    poke(&rig, 0x18000 + 0x2000, 1, 0xE4); /* odd lines: 3 2 1 0 */
    poke(&rig, 0x18000 + 80 + 1, 1, 0xE4); /* line 2, second byte */
    for (unsigned i = 0; i < 4; i++) {
        assert_color(&rig, 2 * i, 0, i);
        assert_color(&rig, 2 * i + 1, 1, i); /* every pixel is two dots and two lines */
        assert_color(&rig, 2 * i, 2, 3 - i);
        assert_color(&rig, 2 * i + 1, 3, 3 - i);
        assert_color(&rig, 8 + 2 * i, 4, 3 - i);
    }
    mode_set(&rig, &mode_6);
    memset(display, 0, 0x40000);
    vga_stored_all(rig.vga);
    assert_size(&rig, 640, 400);
    poke(&rig, 0x18000 + 79, 1, 0x01);
    poke(&rig, 0x18000 + 0x2000 + 79, 1, 0x02);
    assert_color(&rig, 639, 0, 1);
    assert_color(&rig, 638, 0, 0);
    assert_color(&rig, 639, 2, 0);
    assert_color(&rig, 638, 3, 1);
    rig_close(&rig);
}

static void test_256_colors(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    mode_set(&rig, &mode_13);
    assert_size(&rig, 640, 400);
    for (unsigned i = 0; i < 320; i++)
        poke(&rig, 320 * 7 + i, 1, i & 0xFF);
    for (unsigned i = 0; i < 320; i += 13) {
        assert_color(&rig, 2 * i, 14, i & 0xFF);
        assert_color(&rig, 2 * i + 1, 15, i & 0xFF);
    }
    attr(&rig, 0x13, 2); /* one pixel */
    assert_color(&rig, 0, 14, 1);
    attr(&rig, 0x13, 0);
    crtc(&rig, 0x0D, 80); /* four pixels a unit: one line */
    assert_color(&rig, 20, 12, 10);
    /* unchained: pixel x is in plane x % 4 */
    mode_set(&rig, &mode_x);
    assert_size(&rig, 640, 480);
    memset(display, 0, 0x40000);
    vga_stored_all(rig.vga);
    for (uint8_t plane = 0; plane < 4; plane++) {
        seq(&rig, 2, (uint8_t)(1 << plane));
        poke(&rig, 80 * 239 + 79, 1, 100u + plane);
        poke(&rig, 0x4B00, 1, 200u + plane); /* the second page's first pixels */
    }
    for (unsigned i = 0; i < 4; i++)
        assert_color(&rig, 632 + 2 * i, 479, 100 + i);
    crtc(&rig, 0x0C, 0x4B);
    crtc(&rig, 0x0D, 0x00);
    for (unsigned i = 0; i < 4; i++)
        assert_color(&rig, 2 * i, 1, 200 + i);
    rig_close(&rig);
}

static void linear_mode(struct rig *rig, uint16_t bpp)
{
    dispi_set(rig, DISPI_ENABLE, 0);
    dispi_set(rig, DISPI_XRES, 64);
    dispi_set(rig, DISPI_YRES, 48);
    dispi_set(rig, DISPI_BPP, bpp);
    dispi_set(rig, DISPI_ENABLE, DISPI_ENABLED | 0x40);
    dispi_set(rig, DISPI_VIRT_WIDTH, 128);
    dispi_set(rig, DISPI_X_OFFSET, 8);
    dispi_set(rig, DISPI_Y_OFFSET, 3);
    attr(rig, 0x14, 0);
}

/* Write the pixel that is shown at 5, 7. */
static uint32_t linear_pixel(struct rig *rig, uint16_t bpp, uint32_t value)
{
    const unsigned bytes = (bpp + 7u) / 8;

    linear_mode(rig, bpp);
    assert_size(rig, 64, 48);
    memcpy(display + ((3 + 7) * 128 + 8 + 5) * bytes, &value, bytes);
    vga_stored(rig->vga, 0);
    vga_stored(rig->vga, 1);
    assert_int_equal(pixel(rig, 4, 7), bpp == 8 ? test_color(0) : 0);
    assert_int_equal(pixel(rig, 6, 7), bpp == 8 ? test_color(0) : 0);
    return pixel(rig, 5, 7);
}

static void test_linear(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    mode_set(&rig, &mode_12); /* for the DAC */
    assert_int_equal(linear_pixel(&rig, 8, 0xC8), test_color(0xC8));
    assert_int_equal(linear_pixel(&rig, 15, 0x7C00), 0xFF0000);
    assert_int_equal(linear_pixel(&rig, 15, 0x0200), 0x008400);
    assert_int_equal(linear_pixel(&rig, 16, 0xF800), 0xFF0000);
    assert_int_equal(linear_pixel(&rig, 16, 0x07E0), 0x00FF00);
    assert_int_equal(linear_pixel(&rig, 16, 0x0010), 0x000084);
    assert_int_equal(linear_pixel(&rig, 24, 0x123456), 0x123456);
    assert_int_equal(linear_pixel(&rig, 32, 0xFF123456), 0x123456);
    /* four planes */
    linear_mode(&rig, 4);
    display[((3 + 7) * 16 + 1) * 4 + 1] = 0x04; /* plane 1 of the byte with pixel 5 */
    vga_stored_all(rig.vga);
    assert_int_equal(pixel(&rig, 5, 7), test_color(2));
    /* an eight-bit DAC is not scaled */
    linear_mode(&rig, 8);
    dispi_set(&rig, DISPI_ENABLE, DISPI_ENABLED | DISPI_8BIT_DAC | DISPI_NOCLEARMEM);
    out8(&rig.fake, 0x3C8, 0);
    out8(&rig.fake, 0x3C9, 0x81);
    out8(&rig.fake, 0x3C9, 0x42);
    out8(&rig.fake, 0x3C9, 0x24);
    assert_int_equal(pixel(&rig, 0, 0), 0x814224);
    /* the largest that is promised */
    dispi_set(&rig, DISPI_ENABLE, 0);
    dispi_set(&rig, DISPI_XRES, 1920);
    dispi_set(&rig, DISPI_YRES, 1200);
    dispi_set(&rig, DISPI_BPP, 32);
    dispi_set(&rig, DISPI_ENABLE, DISPI_ENABLED | 0x40);
    assert_size(&rig, 1920, 1200);
    memset(display + 1920 * 1200 * 4 - 4, 0x77, 4);
    vga_stored(rig.vga, (1920 * 1200 * 4 - 1) >> 12);
    assert_int_equal(pixel(&rig, 1919, 1199), 0x777777);
    rig_close(&rig);
}

static unsigned changes, watched_first, watched_last, watched;

static void on_changed(void *ctx)
{
    (void)ctx;
    changes++;
}

static void on_watch(void *ctx, uint32_t page)
{
    (void)ctx;
    watched++;
    watched_first = page < watched_first ? page : watched_first;
    watched_last = page > watched_last ? page : watched_last;
}

static void test_unchanged_costs_nothing(void **state)
{
    const struct vga_board board = {.changed = on_changed, .watch = on_watch};
    struct rig rig;
    const struct vga_picture *picture;

    (void)state;
    text_open(&rig, &mode_text);
    vga_set_board(rig.vga, &board);
    font_line(&rig, 0, 'A', 0, 0xFF);
    picture = refresh(&rig);
    changes = 0;
    picture = refresh(&rig);
    assert_int_equal(picture->rect_count, 0);
    cell(&rig, 80 * 2 + 3, 'A', 7);
    cell(&rig, 80 * 2 + 4, 'A', 7);
    assert_int_equal(changes, 1);
    picture = refresh(&rig);
    assert_false(picture->resized);
    assert_int_equal(picture->rect_count, 1); /* the bar of both: no ninth dot */
    assert_int_equal(picture->rects[0].x, 27);
    assert_int_equal(picture->rects[0].y, 32);
    assert_int_equal(picture->rects[0].width, 17);
    assert_int_equal(picture->rects[0].height, 1);
    /* the same again is no change */
    cell(&rig, 80 * 2 + 3, 'A', 7);
    assert_int_equal(changes, 1);
    /* a Bochs mode: only pages that are shown are watched, again after each store */
    linear_mode(&rig, 32);
    watched = 0;
    watched_first = UINT32_MAX;
    watched_last = 0;
    picture = refresh(&rig);
    assert_true(picture->resized);
    assert_int_equal(watched_first, (3 * 128 + 8) * 4 / 4096);
    assert_int_equal(watched_last, ((3 + 47) * 128 + 8 + 64) * 4 / 4096);
    watched = 0;
    picture = refresh(&rig);
    assert_int_equal(picture->rect_count + watched, 0);
    memset(display + (10 * 128 + 20) * 4, 0x55, 8);
    assert_int_equal(refresh(&rig)->rect_count, 0); /* nobody said so */
    changes = 0;
    vga_stored(rig.vga, (10 * 128 + 20) * 4 / 4096);
    assert_int_equal(changes, 1);
    picture = refresh(&rig);
    assert_int_equal(picture->rect_count, 1);
    assert_int_equal(picture->rects[0].x, 12);
    assert_int_equal(picture->rects[0].y, 7);
    assert_int_equal(picture->rects[0].width, 2);
    assert_int_equal(picture->rects[0].height, 1);
    assert_int_equal(watched, 1);
    rig_close(&rig);
}

static void test_blank(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    assert_size(&rig, 720, 400); /* no mode */
    assert_int_equal(pixel(&rig, 0, 0), 0);
    mode_set(&rig, &mode_13);
    poke(&rig, 0, 1, 9);
    assert_color(&rig, 0, 0, 9);
    in8(&rig.fake, 0x3DA);
    out8(&rig.fake, 0x3C0, 0); /* the palette is the CPU's */
    assert_int_equal(pixel(&rig, 0, 0), 0);
    assert_size(&rig, 640, 400);
    attr(&rig, 0, 0);
    assert_color(&rig, 0, 0, 9);
    seq(&rig, 1, 0x21);
    assert_int_equal(pixel(&rig, 0, 0), 0);
    seq(&rig, 1, 0x01);
    crtc(&rig, 0x17, 0x23);
    assert_int_equal(pixel(&rig, 0, 0), 0);
    vga_reset(rig.vga);
    assert_size(&rig, 720, 400);
    rig_close(&rig);
}

static void test_text_for_terminals(void **state)
{
    static struct display_text text;
    struct rig rig;

    (void)state;
    text_open(&rig, &mode_text);
    crtc(&rig, 0x0A, 0x0D);
    crtc(&rig, 0x0F, 83);
    cell(&rig, 83, 0x03, 0x4E);
    vga_text_cells(rig.vga, &text);
    assert_int_equal(text.columns, 80);
    assert_int_equal(text.rows, 25);
    assert_true(text.cursor);
    assert_int_equal(text.cursor_column, 3);
    assert_int_equal(text.cursor_row, 1);
    assert_int_equal(text.cells[83].character, 0x03);
    assert_int_equal(text.cells[83].attribute, 0x4E);
    assert_int_equal(display_unicode(0x03), 0x2665);
    assert_int_equal(display_unicode(0xB3), 0x2502);
    assert_int_equal(display_unicode('x'), 'x');
    mode_set(&rig, &mode_12);
    vga_text_cells(rig.vga, &text);
    assert_int_equal(text.columns, 0);
    rig_close(&rig);
}

/* A kernel that is entered directly has a text screen that somebody can read. */
static void test_font_of_an_option_rom(void **state)
{
    static uint8_t rom[8192];
    static const uint8_t face[16] = {0,    0,    0x7E, 0x81, 0xA5, 0x81, 0x81, 0xBD,
                                     0x99, 0x81, 0x81, 0x7E, 0,    0,    0,    0};
    struct rig rig;

    (void)state;
    text_open(&rig, &mode_text);
    assert_false(vga_load_font(rig.vga, rom, sizeof(rom)));
    memcpy(rom + 3000 + 16, face, sizeof(face));
    rom[3000 + 'A' * 16 + 2] = 0x80;
    assert_true(vga_load_font(rig.vga, rom, sizeof(rom)));
    assert_false(vga_load_font(rig.vga, rom, 3000 + 4095)); /* cut off */
    assert_false(vga_load_font(rig.vga, rom, 10));
    cell(&rig, 0, 'A', 0x07);
    assert_color(&rig, 0, 2, 7);
    assert_color(&rig, 1, 2, 0);
    cell(&rig, 0, 1, 0x07);
    assert_color(&rig, 7, 3, 7);
    rig_close(&rig);
}

static void test_edid(void **state)
{
    struct rig rig;
    uint8_t sum = 0;

    (void)state;
    rig_open(&rig);
    for (unsigned i = 0; i < VGA_EDID_SIZE; i++)
        sum = (uint8_t)(sum + rig.vga->edid[i]);
    assert_int_equal(sum, 0);
    assert_memory_equal(rig.vga->edid, "\0\377\377\377\377\377\377\0", 8);
    assert_int_equal(rig.vga->edid[54] | rig.vga->edid[55] << 8, 8350); /* 83.5 MHz */
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_cells),
        cmocka_unit_test(test_text_fonts),
        cmocka_unit_test(test_text_cursor_and_blink),
        cmocka_unit_test(test_text_scrolling),
        cmocka_unit_test(test_text_40_columns),
        cmocka_unit_test(test_planar),
        cmocka_unit_test(test_cga),
        cmocka_unit_test(test_256_colors),
        cmocka_unit_test(test_linear),
        cmocka_unit_test(test_unchanged_costs_nothing),
        cmocka_unit_test(test_blank),
        cmocka_unit_test(test_text_for_terminals),
        cmocka_unit_test(test_font_of_an_option_rom),
        cmocka_unit_test(test_edid),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
