/*
 * tests/devices/vga_modes.h -- register values of the standard modes, and programming them through
 * the ports.
 * Source: IBM Personal System/2 Hardware Interface Technical Reference, "Video Subsystem", register
 * values of the BIOS modes; mode X is M. Abrash's 320x240.
 */
#ifndef RINGER_TESTS_DEVICES_VGA_MODES_H
#define RINGER_TESTS_DEVICES_VGA_MODES_H

#include "vga_rig.h"

struct mode {
    uint8_t misc;
    uint8_t seq[5];
    uint8_t gfx[9];
    uint8_t crtc[25];
    uint8_t attr[21];
};

/* clang-format off */
#define ATTR_IDENTITY 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15

static const struct mode mode_text = { /* 80x25, 9x16 dots */
    0x67, {3, 0x00, 0x03, 0x00, 0x02}, {0, 0, 0, 0, 0, 0x10, 0x0E, 0x0F, 0xFF},
    {0x5F, 0x4F, 0x50, 0x82, 0x55, 0x81, 0xBF, 0x1F, 0x00, 0x4F, 0x0D, 0x0E, 0, 0, 0, 0,
     0x9C, 0x8E, 0x8F, 0x28, 0x1F, 0x96, 0xB9, 0xA3, 0xFF},
    {ATTR_IDENTITY, 0x0C, 0, 0x0F, 0x08, 0}};
static const struct mode mode_text40 = { /* 40x25, 9x16 dots twice as wide */
    0x67, {3, 0x08, 0x03, 0x00, 0x02}, {0, 0, 0, 0, 0, 0x10, 0x0E, 0x0F, 0xFF},
    {0x2D, 0x27, 0x28, 0x90, 0x2B, 0xA0, 0xBF, 0x1F, 0x00, 0x4F, 0x2D, 0x0E, 0, 0, 0, 0,
     0x9C, 0x8E, 0x8F, 0x14, 0x1F, 0x96, 0xB9, 0xA3, 0xFF},
    {ATTR_IDENTITY, 0x0C, 0, 0x0F, 0x08, 0}};
static const struct mode mode_4 = { /* 320x200, four colours */
    0x63, {3, 0x09, 0x03, 0x00, 0x02}, {0, 0, 0, 0, 0, 0x30, 0x0F, 0x0F, 0xFF},
    {0x2D, 0x27, 0x28, 0x90, 0x2B, 0x80, 0xBF, 0x1F, 0x00, 0xC1, 0, 0, 0, 0, 0, 0,
     0x9C, 0x8E, 0x8F, 0x14, 0x00, 0x96, 0xB9, 0xA2, 0xFF},
    {ATTR_IDENTITY, 0x01, 0, 0x03, 0x00, 0}};
static const struct mode mode_6 = { /* 640x200, two colours */
    0x63, {3, 0x01, 0x01, 0x00, 0x06}, {0, 0, 0, 0, 0, 0x00, 0x0D, 0x0F, 0xFF},
    {0x5F, 0x4F, 0x50, 0x82, 0x54, 0x80, 0xBF, 0x1F, 0x00, 0xC1, 0, 0, 0, 0, 0, 0,
     0x9C, 0x8E, 0x8F, 0x28, 0x00, 0x96, 0xB9, 0xC2, 0xFF},
    {ATTR_IDENTITY, 0x01, 0, 0x01, 0x00, 0}};
static const struct mode mode_12 = { /* 640x480, 16 colours */
    0xE3, {3, 0x01, 0x0F, 0x00, 0x06}, {0, 0, 0, 0, 0, 0x00, 0x05, 0x0F, 0xFF},
    {0x5F, 0x4F, 0x50, 0x82, 0x54, 0x80, 0x0B, 0x3E, 0x00, 0x40, 0, 0, 0, 0, 0, 0,
     0xEA, 0x8C, 0xDF, 0x28, 0x00, 0xE7, 0x04, 0xE3, 0xFF},
    {ATTR_IDENTITY, 0x01, 0, 0x0F, 0x00, 0}};
static const struct mode mode_13 = { /* 320x200, 256 colours */
    0x63, {3, 0x01, 0x0F, 0x00, 0x0E}, {0, 0, 0, 0, 0, 0x40, 0x05, 0x0F, 0xFF},
    {0x5F, 0x4F, 0x50, 0x82, 0x54, 0x80, 0xBF, 0x1F, 0x00, 0x41, 0, 0, 0, 0, 0, 0,
     0x9C, 0x8E, 0x8F, 0x28, 0x40, 0x96, 0xB9, 0xA3, 0xFF},
    {ATTR_IDENTITY, 0x41, 0, 0x0F, 0x00, 0}};
static const struct mode mode_x = { /* 320x240, 256 colours, planes apart */
    0xE3, {3, 0x01, 0x0F, 0x00, 0x06}, {0, 0, 0, 0, 0, 0x40, 0x05, 0x0F, 0xFF},
    {0x5F, 0x4F, 0x50, 0x82, 0x54, 0x80, 0x0D, 0x3E, 0x00, 0x41, 0, 0, 0, 0, 0, 0,
     0xEA, 0xAC, 0xDF, 0x28, 0x00, 0xE7, 0x06, 0xE3, 0xFF},
    {ATTR_IDENTITY, 0x41, 0, 0x0F, 0x00, 0}};
/* clang-format on */

static inline void crtc(struct rig *rig, uint8_t index, uint8_t value)
{
    out16(rig, 0x3D4, (unsigned)(index | value << 8));
}

static inline void attr(struct rig *rig, uint8_t index, uint8_t value)
{
    in8(&rig->fake, 0x3DA);
    out8(&rig->fake, 0x3C0, index);
    out8(&rig->fake, 0x3C0, value);
    out8(&rig->fake, 0x3C0, 0x20); /* the palette belongs to the screen again */
}

/* Colour i is (i, i / 4, 63 - i / 4) in six bits each. */
static inline uint32_t test_color(unsigned i)
{
    const uint32_t r = i & 63, g = i / 4, b = 63 - i / 4;

    return (r << 2 | r >> 4) << 16 | (g << 2 | g >> 4) << 8 | (b << 2 | b >> 4);
}

static inline void mode_set(struct rig *rig, const struct mode *mode)
{
    out8(&rig->fake, 0x3C2, mode->misc);
    for (uint8_t i = 0; i < 5; i++)
        seq(rig, i, mode->seq[i]);
    for (uint8_t i = 0; i < 9; i++)
        gfx(rig, i, mode->gfx[i]);
    crtc(rig, 0x11, 0);
    for (uint8_t i = 0; i < 25; i++)
        crtc(rig, i, mode->crtc[i]);
    for (uint8_t i = 0; i < 21; i++)
        attr(rig, i, mode->attr[i]);
    out8(&rig->fake, 0x3C6, 0xFF);
    out8(&rig->fake, 0x3C8, 0);
    for (unsigned i = 0; i < 256; i++) {
        out8(&rig->fake, 0x3C9, i & 63);
        out8(&rig->fake, 0x3C9, (uint8_t)(i / 4));
        out8(&rig->fake, 0x3C9, (uint8_t)(63 - i / 4));
    }
}

static inline const struct vga_picture *refresh(struct rig *rig)
{
    static struct vga_picture picture;

    vga_refresh(rig->vga, &picture);
    assert_non_null(picture.surface);
    for (size_t i = 0; i < picture.rect_count; i++) {
        const struct display_rect *rect = &picture.rects[i];

        assert_true(rect->width != 0 && rect->height != 0);
        assert_true(rect->x + rect->width <= picture.surface->width);
        assert_true(rect->y + rect->height <= picture.surface->height);
    }
    return &picture;
}

static inline uint32_t pixel(struct rig *rig, uint32_t x, uint32_t y)
{
    const struct display_surface *surface = refresh(rig)->surface;

    assert_in_range(x, 0, surface->width - 1);
    assert_in_range(y, 0, surface->height - 1);
    return surface->pixels[y * surface->width + x];
}

static inline void assert_size(struct rig *rig, uint32_t width, uint32_t height)
{
    const struct display_surface *surface = refresh(rig)->surface;

    assert_int_equal(surface->width, width);
    assert_int_equal(surface->height, height);
}

#endif
