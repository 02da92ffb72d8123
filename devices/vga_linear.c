/*
 * devices/vga_linear.c -- lines of a Bochs mode: pixels of 4, 8, 15, 16, 24 or 32 bits.
 * Source: Bochs "VBE Display API"; VESA BIOS Extension 3.0, "Direct color fields".
 *
 *   8   an index into the DAC     15  x RRRRR GGGGG BBBBB    16  RRRRR GGGGGG BBBBB
 *   24  bytes B G R               32  bytes B G R x          4   four planes, as mode 12h has them
 *
 * DISPI_VIRT_WIDTH is the length of a line in memory; the offsets choose what of it is shown.
 */
#include <string.h>

#include "devices/vga_internal.h"

uint32_t vga_linear_pitch(const struct vga *dev, uint32_t width)
{
    switch (dev->dispi[DISPI_BPP]) {
    case 4:
        return width / 2; /* four planes of width / 8 */
    case 15:
        return width * 2;
    default:
        return width * (dev->dispi[DISPI_BPP] / 8u);
    }
}

uint32_t vga_linear_offset(const struct vga *dev, uint32_t y)
{
    const uint16_t *regs = dev->dispi;
    uint32_t column = regs[DISPI_X_OFFSET];

    if (regs[DISPI_BPP] == 4)
        column &= ~7u; /* whole bytes of the planes */
    return (regs[DISPI_Y_OFFSET] + y) * vga_linear_pitch(dev, regs[DISPI_VIRT_WIDTH]) +
           vga_linear_pitch(dev, column);
}

uint32_t vga_linear_bytes(const struct vga *dev)
{
    return vga_linear_pitch(dev, dev->dispi[DISPI_XRES]);
}

/* n bits to eight, so that all ones stay all ones. */
static uint32_t expand5(uint32_t value)
{
    return value << 3 | value >> 2;
}

static uint32_t expand6(uint32_t value)
{
    return value << 2 | value >> 4;
}

static void line_planar(const struct vga_colors *colors, const uint8_t *from, uint32_t width,
                        uint32_t *out)
{
    for (uint32_t x = 0; x < width; x++) {
        const uint8_t *planes = from + x / 8 * VGA_PLANES;
        const unsigned bit = 7 - x % 8;
        unsigned value = 0;

        for (unsigned p = 0; p < VGA_PLANES; p++)
            value |= (planes[p] >> bit & 1u) << p;
        out[x] = colors->attr[value];
    }
}

void vga_linear_line(const struct vga *dev, const struct vga_colors *colors, uint32_t y,
                     uint32_t *out)
{
    const uint32_t width = dev->dispi[DISPI_XRES], offset = vga_linear_offset(dev, y);
    const uint8_t *from = dev->memory + offset;

    if (offset > VGA_MEMORY_SIZE - vga_linear_bytes(dev)) {
        memset(out, 0, width * sizeof(*out)); /* the registers were made to fit: cannot be */
        return;
    }
    switch (dev->dispi[DISPI_BPP]) {
    case 4:
        line_planar(colors, from, width, out);
        break;
    case 8:
        for (uint32_t x = 0; x < width; x++)
            out[x] = colors->dac[from[x]];
        break;
    case 15:
        for (uint32_t x = 0; x < width; x++) {
            const uint32_t pixel = from[2 * x] | (uint32_t)from[2 * x + 1] << 8;

            out[x] = expand5(pixel >> 10 & 31) << 16 | expand5(pixel >> 5 & 31) << 8 |
                     expand5(pixel & 31);
        }
        break;
    case 16:
        for (uint32_t x = 0; x < width; x++) {
            const uint32_t pixel = from[2 * x] | (uint32_t)from[2 * x + 1] << 8;

            out[x] =
                expand5(pixel >> 11) << 16 | expand6(pixel >> 5 & 63) << 8 | expand5(pixel & 31);
        }
        break;
    case 24:
        for (uint32_t x = 0; x < width; x++)
            out[x] = from[3 * x] | (uint32_t)from[3 * x + 1] << 8 | (uint32_t)from[3 * x + 2] << 16;
        break;
    default:
        for (uint32_t x = 0; x < width; x++) {
            uint32_t pixel;

            memcpy(&pixel, from + 4 * (size_t)x, sizeof(pixel));
            out[x] = pixel & 0xFFFFFF;
        }
        break;
    }
}
