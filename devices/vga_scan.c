/*
 * devices/vga_scan.c -- one scan line of the VGA's own modes, from display memory to pixels.
 * Source: IBM Personal System/2 Hardware Interface Technical Reference, "Video Subsystem": CRT
 * Controller, Sequencer, Graphics Controller (Mode Register), Attribute Controller, Video DAC.
 *
 *   CRTC address -> four planes' bytes -> serializer -> four-bit pixel -> palette -> DAC -> RGB
 *
 * The serializer's three ways to make eight dots of a unit's 32 bits (P0 is plane 0's byte):
 *   planar       dot i is bit 7 - i of each plane, plane 3 highest
 *   interleaved  dots 0..3 are the bit pairs of P0 (low) and P2 (high), dots 4..7 those of P1 and
 * P3 256 colours  dots are the nibbles of P0, P1, P2, P3; the attribute controller joins two of
 * them to one pixel that is two dots wide
 *
 * The CRTC's word and doubleword addressing spread units over the planes just as the CPU's odd/even
 * and chained addressing do; vga_memory.c packs both, so here every unit is one address.
 * Deviations: in graphics modes the blink bit of the attribute controller does nothing; skew and
 * the count-by-2 and count-by-4 clocks do nothing.
 */
#include <string.h>

#include "devices/vga_internal.h"

#define ADDRESS_MASK       0xFFFFu
#define CURSOR_LINE_MASK   0x1F
#define FONT_BYTES         32 /* of a character, whatever its height */
#define BLINK_CURSOR_FRAME 8  /* frames on, and as many off */
#define BLINK_TEXT_FRAME   16

/* ---- colours ---- */

void vga_colors_make(const struct vga *dev, struct vga_colors *colors)
{
    const bool wide = dev->dispi[DISPI_ENABLE] & DISPI_8BIT_DAC;

    for (unsigned i = 0; i < 256; i++) {
        const uint8_t *rgb = dev->dac[i & dev->dac_mask];
        uint32_t value = 0;

        for (unsigned c = 0; c < 3; c++)
            value = value << 8 | (wide ? rgb[c] : (uint8_t)(rgb[c] << 2 | (rgb[c] >> 4 & 3)));
        colors->dac[i] = value;
    }
    for (unsigned i = 0; i < 16; i++) {
        const uint8_t select = dev->attr[ATTR_COLOR_SELECT];
        unsigned index = dev->attr[i & dev->attr[ATTR_PLANES] & 15] & 0x3F;

        if (dev->attr[ATTR_MODE] & ATTR_MODE_SELECT)
            index = (index & 0x0F) | (select & 3u) << 4;
        colors->attr[i] = colors->dac[index | (select & 0x0Cu) << 4];
    }
}

/* ---- addresses ---- */

static uint32_t planes_at(const struct vga *dev, unsigned address)
{
    uint32_t planes;

    memcpy(&planes, dev->memory + VGA_PLANES * (address & ADDRESS_MASK), sizeof(planes));
    return planes;
}

/* Dots that the picture is shifted to the left. */
static unsigned panning(const struct vga *dev, const struct vga_geometry *geometry, bool split)
{
    const unsigned value = dev->attr[ATTR_PANNING] & 15;

    if (split && (dev->attr[ATTR_MODE] & ATTR_MODE_PAN_TOP))
        return 0;
    if (geometry->cell_width == 9)
        return value >= 8 ? 0 : value + 1; /* 8 is the rest position of 9-dot characters */
    return value & 7;
}

unsigned vga_scan_address(const struct vga *dev, const struct vga_line *line)
{
    const uint8_t mode = dev->crtc[CRTC_MODE];
    unsigned address = line->address, shift = 1;

    /* Address bits 13 and 14 can be the row counter's, for memory laid out in banks of lines.  They
     * count bytes: word and doubleword addresses are one and two bits shorter. */
    if (dev->crtc[CRTC_UNDERLINE] & CRTC_UNDERLINE_DWORD)
        shift = 2;
    else if (mode & CRTC_MODE_BYTE)
        shift = 0;
    if (!(mode & CRTC_MODE_ROW0))
        address = (address & ~(1u << (13 - shift))) | (line->row & 1) << (13 - shift);
    if (!(mode & CRTC_MODE_ROW1))
        address = (address & ~(1u << (14 - shift))) | (line->row >> 1 & 1) << (14 - shift);
    return address & ADDRESS_MASK;
}

/* ---- text ---- */

bool vga_scan_cells(const struct vga *dev, const struct vga_geometry *geometry, unsigned address,
                    uint64_t now_ns, uint32_t *out)
{
    const uint64_t frame = now_ns / VGA_FRAME_NS;
    const bool blinking = dev->attr[ATTR_MODE] & ATTR_MODE_BLINK;
    const bool hidden = blinking && (frame / BLINK_TEXT_FRAME & 1);
    const bool cursor_on =
        !(frame / BLINK_CURSOR_FRAME & 1) && !(dev->crtc[CRTC_CURSOR_START] & CRTC_CURSOR_OFF);
    const unsigned cursor =
        ((unsigned)dev->crtc[CRTC_CURSOR_HIGH] << 8 | dev->crtc[CRTC_CURSOR_LOW]) & ADDRESS_MASK;
    bool blinks = false;

    for (unsigned i = 0; i <= geometry->columns; i++) {
        const unsigned at = (address + i) & ADDRESS_MASK;
        const uint8_t *bytes = dev->memory + VGA_PLANES * at;
        uint32_t cell = bytes[0] | (uint32_t)bytes[1] << 8;

        if (blinking && (bytes[1] & 0x80)) {
            blinks = true;
            cell |= hidden ? VGA_CELL_HIDDEN : 0;
        }
        if (at == cursor) {
            blinks |= !(dev->crtc[CRTC_CURSOR_START] & CRTC_CURSOR_OFF);
            cell |= cursor_on ? VGA_CELL_CURSOR : 0;
        }
        out[i] = cell;
    }
    return blinks;
}

/* Where in plane 2 a character map begins: bits 1:0 count 16 KiB, bit 2 is 8 KiB. */
static unsigned font_offset(unsigned select)
{
    return (select & 3) * 0x4000 + (select >> 2) * 0x2000;
}

/* The dots of a cell's line, leftmost highest of cell_width bits. */
static unsigned cell_dots(const struct vga *dev, const struct vga_geometry *geometry, uint32_t cell,
                          unsigned font, unsigned row)
{
    const unsigned character = cell & 0xFF, attribute = cell >> 8 & 0xFF;
    const unsigned all = (1u << geometry->cell_width) - 1;
    unsigned dots =
        dev->memory[VGA_PLANES * ((font + character * FONT_BYTES + row) & ADDRESS_MASK) + 2];

    if (geometry->cell_width == 9) {
        dots <<= 1;
        if ((dev->attr[ATTR_MODE] & ATTR_MODE_LINE_GRAPHICS) && (character & 0xE0) == 0xC0)
            dots |= dots >> 1 & 1;
    }
    if ((attribute & 0x77) == 0x01 && row == (dev->crtc[CRTC_UNDERLINE] & CURSOR_LINE_MASK))
        dots = all;
    if (cell & VGA_CELL_HIDDEN)
        dots = 0;
    if ((cell & VGA_CELL_CURSOR) && row >= (dev->crtc[CRTC_CURSOR_START] & CURSOR_LINE_MASK) &&
        row <= (dev->crtc[CRTC_CURSOR_END] & CURSOR_LINE_MASK))
        dots = all;
    return dots;
}

/* From dots, one more unit than is shown, to the line: panned, and doubled if the dot clock is. */
static void line_finish(const struct vga *dev, const struct vga_geometry *geometry,
                        const struct vga_line *line, const uint32_t *dots, uint32_t *out)
{
    const uint32_t *from = dots + panning(dev, geometry, line->split);

    if (!geometry->double_dots) {
        memcpy(out, from, geometry->width * sizeof(*out));
        return;
    }
    for (uint32_t x = 0; x < geometry->width; x++)
        out[x] = from[x / 2];
}

void vga_scan_text(const struct vga *dev, const struct vga_geometry *geometry,
                   const struct vga_colors *colors, const struct vga_line *line,
                   const uint32_t *cells, uint32_t *out)
{
    const uint8_t map = dev->seq[SEQ_CHARACTER_MAP];
    /* Map A is for characters whose attribute has bit 3. */
    const unsigned font_a = font_offset((map >> 2 & 3u) | (map >> 3 & 4u));
    const unsigned font_b = font_offset((map & 3u) | (map >> 2 & 4u));
    const unsigned background_mask = dev->attr[ATTR_MODE] & ATTR_MODE_BLINK ? 7 : 15;
    uint32_t buffer[VGA_DOTS_MAX], *dot = buffer;

    for (unsigned i = 0; i <= geometry->columns; i++) {
        const unsigned attribute = cells[i] >> 8 & 0xFF;
        const unsigned dots = cell_dots(dev, geometry, cells[i], attribute & 8 ? font_a : font_b,
                                        line->row & CURSOR_LINE_MASK);
        const uint32_t ink[2] = {colors->attr[attribute >> 4 & background_mask],
                                 colors->attr[attribute & 15]};

        for (unsigned bit = geometry->cell_width; bit-- > 0;)
            *dot++ = ink[dots >> bit & 1];
    }
    line_finish(dev, geometry, line, buffer, out);
}

/* ---- graphics ---- */

static void unit_planar(const struct vga_colors *colors, uint32_t planes, uint32_t *dot)
{
    for (unsigned bit = 8; bit-- > 0;) {
        const uint32_t spread = planes >> bit & 0x01010101;

        *dot++ = colors->attr[(spread | spread >> 7 | spread >> 14 | spread >> 21) & 15];
    }
}

static void unit_interleaved(const struct vga_colors *colors, uint32_t planes, uint32_t *dot)
{
    for (unsigned half = 0; half < 2; half++) {
        const unsigned low = planes >> (8 * half), high = planes >> (8 * half + 16);

        for (unsigned shift = 8; shift > 0;) {
            shift -= 2;
            *dot++ = colors->attr[(low >> shift & 3) | (high >> shift & 3) << 2];
        }
    }
}

static void unit_nibbles(const struct vga_colors *colors, uint32_t planes, uint32_t *dot)
{
    for (unsigned p = 0; p < VGA_PLANES; p++, planes >>= 8) {
        *dot++ = colors->attr[planes >> 4 & 15];
        *dot++ = colors->attr[planes & 15];
    }
}

static void unit_bytes(const struct vga_colors *colors, uint32_t planes, uint32_t *dot)
{
    for (unsigned p = 0; p < VGA_PLANES; p++, planes >>= 8) {
        dot[0] = dot[1] = colors->dac[planes & 0xFF];
        dot += 2;
    }
}

void vga_scan_graphics(const struct vga *dev, const struct vga_geometry *geometry,
                       const struct vga_colors *colors, const struct vga_line *line, uint32_t *out)
{
    const unsigned address = vga_scan_address(dev, line);
    const uint8_t mode = dev->gfx[GFX_MODE];
    uint32_t buffer[VGA_DOTS_MAX], *dot = buffer;

    for (unsigned i = 0; i <= geometry->columns; i++, dot += 8) {
        const uint32_t planes = planes_at(dev, address + i);

        if (mode & GFX_MODE_256) {
            if (dev->attr[ATTR_MODE] & ATTR_MODE_256)
                unit_bytes(colors, planes, dot);
            else
                unit_nibbles(colors, planes, dot);
        } else if (mode & GFX_MODE_INTERLEAVE) {
            unit_interleaved(colors, planes, dot);
        } else {
            unit_planar(colors, planes, dot);
        }
    }
    line_finish(dev, geometry, line, buffer, out);
}
