/*
 * devices/vga_text.c -- text mode: the register values of mode 3, and the screen as text.
 * Source: IBM Personal System/2 Hardware Interface Technical Reference, "Video Subsystem"; the
 * mode's values are those that every VGA BIOS programs.
 */
#include <string.h>

#include "devices/vga_internal.h"

#define ATTRIBUTE_NORMAL 0x07
#define TEXT_COLUMNS_MAX 256

/* Code page 437, 0x80..0xFF. */
static const uint16_t cp437_high[128] = {
    0x00C7, 0x00FC, 0x00E9, 0x00E2, 0x00E4, 0x00E0, 0x00E5, 0x00E7, 0x00EA, 0x00EB, 0x00E8, 0x00EF,
    0x00EE, 0x00EC, 0x00C4, 0x00C5, 0x00C9, 0x00E6, 0x00C6, 0x00F4, 0x00F6, 0x00F2, 0x00FB, 0x00F9,
    0x00FF, 0x00D6, 0x00DC, 0x00A2, 0x00A3, 0x00A5, 0x20A7, 0x0192, 0x00E1, 0x00ED, 0x00F3, 0x00FA,
    0x00F1, 0x00D1, 0x00AA, 0x00BA, 0x00BF, 0x2310, 0x00AC, 0x00BD, 0x00BC, 0x00A1, 0x00AB, 0x00BB,
    0x2591, 0x2592, 0x2593, 0x2502, 0x2524, 0x2561, 0x2562, 0x2556, 0x2555, 0x2563, 0x2551, 0x2557,
    0x255D, 0x255C, 0x255B, 0x2510, 0x2514, 0x2534, 0x252C, 0x251C, 0x2500, 0x253C, 0x255E, 0x255F,
    0x255A, 0x2554, 0x2569, 0x2566, 0x2560, 0x2550, 0x256C, 0x2567, 0x2568, 0x2564, 0x2565, 0x2559,
    0x2558, 0x2552, 0x2553, 0x256B, 0x256A, 0x2518, 0x250C, 0x2588, 0x2584, 0x258C, 0x2590, 0x2580,
    0x03B1, 0x00DF, 0x0393, 0x03C0, 0x03A3, 0x03C3, 0x00B5, 0x03C4, 0x03A6, 0x0398, 0x03A9, 0x03B4,
    0x221E, 0x03C6, 0x03B5, 0x2229, 0x2261, 0x00B1, 0x2265, 0x2264, 0x2320, 0x2321, 0x00F7, 0x2248,
    0x00B0, 0x2219, 0x00B7, 0x221A, 0x207F, 0x00B2, 0x25A0, 0x00A0,
};

static size_t utf8_put(char out[3], uint8_t character)
{
    const uint16_t code = character >= 0x80 ? cp437_high[character - 0x80] : character;

    if (code == 0 || code == 0x00A0) {
        out[0] = ' ';
        return 1;
    }
    if (code < 0x80) {
        out[0] = code < 0x20 || code == 0x7F ? '.' : (char)code;
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
