/*
 * devices/vga_text.c -- text mode: the register values of mode 3, and the screen as text.
 * Source: IBM Personal System/2 Hardware Interface Technical Reference, "Video Subsystem"; the
 * mode's values are those that every VGA BIOS programs.
 */
#define _GNU_SOURCE /* memmem */
#include <string.h>

#include "devices/vga_internal.h"

#define ATTRIBUTE_NORMAL 0x07
#define TEXT_COLUMNS_MAX 256

enum { FONT_CHARACTERS = 256, FONT_HEIGHT = 16, FONT_STRIDE = 32 };

static size_t utf8_put(char out[3], uint8_t character)
{
    /* What would move a terminal's cursor is a dot. */
    const uint32_t code = character < 0x20 || character == 0x7F ? (character == 0 ? 0 : '.')
                                                                : display_unicode(character);

    if (code == 0 || code == 0x00A0) {
        out[0] = ' ';
        return 1;
    }
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xC0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3F));
        return 2;
    }
    out[0] = (char)(0xE0 | code >> 12);
    out[1] = (char)(0x80 | (code >> 6 & 0x3F));
    out[2] = (char)(0x80 | (code & 0x3F));
    return 3;
}

size_t vga_text(const struct vga *dev, char *buffer, size_t size)
{
    const uint8_t *crtc = dev->crtc;
    const unsigned columns = crtc[CRTC_H_DISPLAY_END] + 1u;
    const unsigned height = (crtc[CRTC_MAX_SCAN_LINE] & 0x1Fu) + 1;
    const unsigned lines = (crtc[CRTC_V_DISPLAY_END] | (crtc[CRTC_OVERFLOW] & 2u) << 7 |
                            (crtc[CRTC_OVERFLOW] & 0x40u) << 3) +
                           1;
    const unsigned pitch = crtc[CRTC_OFFSET] * 2u;
    const unsigned start = (unsigned)crtc[CRTC_START_HIGH] << 8 | crtc[CRTC_START_LOW];
    size_t used = 0;

    if ((dev->gfx[GFX_MISC] & GFX_MISC_GRAPHICS) || (dev->dispi[DISPI_ENABLE] & DISPI_ENABLED) ||
        crtc[CRTC_H_DISPLAY_END] == 0)
        return 0;
    for (unsigned row = 0; row < lines / height; row++) {
        char line[3 * TEXT_COLUMNS_MAX];
        size_t length = 0, shown = 0;

        for (unsigned column = 0; column < columns; column++) {
            const unsigned cell = (start + row * pitch + column) % VGA_PLANE_SIZE;

            length += utf8_put(line + length, dev->memory[VGA_PLANES * cell]);
            if (line[length - 1] != ' ')
                shown = length;
        }
        if (used + shown + 1 > size)
            break;
        memcpy(buffer + used, line, shown); /* without blanks at the end */
        used += shown;
        buffer[used++] = '\n';
    }
    return used;
}

void vga_text_cells(const struct vga *dev, struct display_text *text)
{
    const struct vga_geometry geometry = vga_geometry(dev);
    const uint8_t *crtc = dev->crtc;
    const unsigned start = (unsigned)crtc[CRTC_START_HIGH] << 8 | crtc[CRTC_START_LOW];
    const unsigned cursor = (unsigned)crtc[CRTC_CURSOR_HIGH] << 8 | crtc[CRTC_CURSOR_LOW];
    struct display_cell *cell = text->cells;

    text->columns = text->rows = 0;
    text->cursor = false;
    if (geometry.kind != VGA_TEXT)
        return;
    text->columns = geometry.columns;
    text->rows = geometry.height / (geometry.cell_height * geometry.repeat);
    if (text->rows > DISPLAY_ROWS_MAX)
        text->rows = DISPLAY_ROWS_MAX;
    for (unsigned row = 0; row < text->rows; row++) {
        for (unsigned column = 0; column < text->columns; column++, cell++) {
            const unsigned at = (start + row * geometry.pitch + column) % VGA_PLANE_SIZE;

            cell->character = dev->memory[VGA_PLANES * at];
            cell->attribute = dev->memory[VGA_PLANES * at + 1];
            if (at == cursor && !(crtc[CRTC_CURSOR_START] & CRTC_CURSOR_OFF)) {
                text->cursor = true;
                text->cursor_column = column;
                text->cursor_row = row;
            }
        }
    }
}

bool vga_load_font(struct vga *dev, const uint8_t *rom, size_t size)
{
    /* Characters 0 and 1, a blank and a face, begin the font of every VGA BIOS. */
    static const uint8_t signature[2 * FONT_HEIGHT] = {
        0, 0, 0, 0, 0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
        0, 0, 0, 0, 0x7E, 0x81, 0xA5, 0x81, 0x81, 0xBD, 0x99, 0x81, 0x81, 0x7E};
    const uint8_t *font = memmem(rom, size, signature, sizeof(signature));

    if (font == NULL || (size_t)(rom + size - font) < FONT_CHARACTERS * FONT_HEIGHT)
        return false;
    for (unsigned i = 0; i < FONT_CHARACTERS * FONT_HEIGHT; i++) {
        const unsigned at = i / FONT_HEIGHT * FONT_STRIDE + i % FONT_HEIGHT;

        dev->memory[VGA_PLANES * at + 2] = font[i];
    }
    vga_stored_all(dev);
    return true;
}

void vga_set_text_mode(struct vga *dev)
{
    static const uint8_t seq[] = {0x03, 0x00, 0x03, 0x00, 0x02};
    static const uint8_t gfx[] = {0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0E, 0x00, 0xFF};
    static const uint8_t crtc[VGA_CRTC_COUNT] = {
        0x5F, 0x4F, 0x50, 0x82, 0x55, 0x81, 0xBF, 0x1F, 0x00, 0x4F, 0x0D, 0x0E, 0x00,
        0x00, 0x00, 0x00, 0x9C, 0x8E, 0x8F, 0x28, 0x1F, 0x96, 0xB9, 0xA3, 0xFF,
    };
    static const uint8_t attr[VGA_ATTR_COUNT] = {
        0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3A,
        0x3B, 0x3C, 0x3D, 0x3E, 0x3F, 0x0C, 0x00, 0x0F, 0x08, 0x00,
    };

    dev->misc = 0x67;
    memcpy(dev->seq, seq, sizeof(seq));
    memcpy(dev->gfx, gfx, sizeof(gfx));
    memcpy(dev->crtc, crtc, sizeof(crtc));
    memcpy(dev->attr, attr, sizeof(attr));
    dev->attr_index = 0x20; /* the palette is connected to the screen */
    dev->dac_mask = 0xFF;
    /* The 64 colours of the EGA: two bits per gun, as the attribute controller numbers them. */
    for (unsigned i = 0; i < 64; i++) {
        dev->dac[i][0] = (uint8_t)((i >> 2 & 1) * 0x2A + (i >> 5 & 1) * 0x15);
        dev->dac[i][1] = (uint8_t)((i >> 1 & 1) * 0x2A + (i >> 4 & 1) * 0x15);
        dev->dac[i][2] = (uint8_t)((i & 1) * 0x2A + (i >> 3 & 1) * 0x15);
    }
    for (unsigned cell = 0; cell < 0x4000; cell++) {
        dev->memory[VGA_PLANES * cell] = ' ';
        dev->memory[VGA_PLANES * cell + 1] = ATTRIBUTE_NORMAL;
    }
    vga_stored_all(dev);
}
