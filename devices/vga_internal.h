/*
 * devices/vga_internal.h -- the display adapter's state, shared by the vga*.c files only.
 *
 *   vga.c         ports, registers, PCI function, reset
 *   vga_memory.c  the window at 0xA0000: planes, latches, write modes, banks
 *   vga_text.c    text mode: as firmware sets it, and what is on the screen
 */
#ifndef RINGER_DEVICES_VGA_INTERNAL_H
#define RINGER_DEVICES_VGA_INTERNAL_H

#include <stdbool.h>

#include "devices/vga.h"

enum { VGA_SEQ_COUNT = 8, VGA_GFX_COUNT = 16, VGA_CRTC_COUNT = 25, VGA_ATTR_COUNT = 21 };
enum { VGA_PLANES = 4, VGA_BANK_SIZE = 0x10000, VGA_PLANE_SIZE = 0x10000 };

/* Sequencer */
enum { SEQ_MAP_MASK = 2, SEQ_MEMORY_MODE = 4 };
enum { SEQ_MEMORY_CHAIN4 = 8 };
/* Graphics controller */
enum {
    GFX_SET_RESET = 0,
    GFX_ENABLE_SET_RESET = 1,
    GFX_COLOR_COMPARE = 2,
    GFX_ROTATE = 3,
    GFX_READ_MAP = 4,
    GFX_MODE = 5,
    GFX_MISC = 6,
    GFX_COLOR_DONT_CARE = 7,
    GFX_BIT_MASK = 8,
};
enum { GFX_MODE_READ1 = 8, GFX_MODE_ODD_EVEN = 0x10, GFX_MISC_GRAPHICS = 1 };
/* CRTC */
enum {
    CRTC_H_DISPLAY_END = 0x01,
    CRTC_OVERFLOW = 0x07,
    CRTC_MAX_SCAN_LINE = 0x09,
    CRTC_START_HIGH = 0x0C,
    CRTC_START_LOW = 0x0D,
    CRTC_V_SYNC_END = 0x11,
    CRTC_V_DISPLAY_END = 0x12,
    CRTC_OFFSET = 0x13,
};
/* Bochs display interface */
enum {
    DISPI_ID = 0,
    DISPI_XRES = 1,
    DISPI_YRES = 2,
    DISPI_BPP = 3,
    DISPI_ENABLE = 4,
    DISPI_BANK = 5,
    DISPI_VIRT_WIDTH = 6,
    DISPI_VIRT_HEIGHT = 7,
    DISPI_X_OFFSET = 8,
    DISPI_Y_OFFSET = 9,
    DISPI_MEMORY_64K = 10,
    DISPI_COUNT = 11,
};
enum { DISPI_ENABLED = 1, DISPI_GETCAPS = 2, DISPI_8BIT_DAC = 0x20, DISPI_NOCLEARMEM = 0x80 };

struct vga {
    struct bus *bus;
    struct pci_function pci;
    struct clock *clock;
    uint8_t *memory; /* VGA_MEMORY_SIZE bytes */

    uint8_t misc, feature;
    uint8_t seq_index, seq[VGA_SEQ_COUNT];
    uint8_t gfx_index, gfx[VGA_GFX_COUNT];
    uint8_t crtc_index, crtc[VGA_CRTC_COUNT];
    uint8_t attr_index, attr[VGA_ATTR_COUNT];
    bool attr_data; /* the next write to 0x3C0 is data */
    uint8_t dac_mask, dac_index, dac_sub, dac_state;
    uint8_t dac_latch[3];
    uint8_t dac[256][3];
    uint32_t latch; /* one byte per plane, plane 0 lowest */

    uint16_t dispi_index, dispi[DISPI_COUNT];
};

/* vga_memory.c: the window's registers for bus_memory; context is the adapter. */
extern const struct bus_mmio_ops vga_window_ops;

#endif
