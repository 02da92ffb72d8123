/*
 * devices/vga.h -- standard VGA with the Bochs display interface, as a PCI function.
 */
#ifndef RINGER_DEVICES_VGA_H
#define RINGER_DEVICES_VGA_H

#include <stddef.h>
#include <stdint.h>

#include "devices/bus.h"
#include "devices/clock.h"
#include "devices/display.h"
#include "devices/pci.h"

enum {
    VGA_MEMORY_SIZE = 16 << 20,
    VGA_WINDOW_BASE = 0xA0000,
    VGA_WINDOW_SIZE = 0x20000,
    VGA_ROM_SIZE_MAX = 1 << 20,
};

struct vga;

/*
 * PCI 00:02.0; ports 0x3B0..0x3DF (less the parallel port's), 0x1CE..0x1D0; maps the window at
 * 0xA0000.  memory: offset of VGA_MEMORY_SIZE bytes of the board's backing store; rom, rom_size: of
 * the option ROM's (a power of two, 0: none).  NULL when out of memory or when a port is taken.
 */
struct vga *vga_create(struct bus *bus, struct pci_bus *pci, struct clock *clock, uint64_t memory,
                       uint64_t rom, uint32_t rom_size);
void vga_destroy(struct vga *dev);
void vga_reset(struct vga *dev);
/* As firmware leaves it: 80x25 text in colour. */
void vga_set_text_mode(struct vga *dev);
/* Load the 8x16 font that an option ROM holds, as the ROM's code would; false: there is none in it. */
bool vga_load_font(struct vga *dev, const uint8_t *rom, size_t size);
/* Text of the screen, see pc_screen_text(). */
size_t vga_text(const struct vga *dev, char *buffer, size_t size);
/* The cells of a text mode; text->columns and text->rows are 0 in any other. */
void vga_text_cells(const struct vga *dev, struct display_text *text);

/* ---- the picture ---- */

/* What the adapter asks of the board. */
struct vga_board {
    void *ctx;
    /* vga_refresh() has something to do; not called again until it was called. */
    void (*changed)(void *ctx);
    /* From now on report the CPU's next store to this 4 KiB page of display memory through BAR 0 by
     * vga_stored(), once. */
    void (*watch)(void *ctx, uint32_t page);
};

struct vga_picture {
    const struct display_surface *surface; /* NULL: not enough host memory */
    bool resized;                          /* since the last refresh; then rects cover all of it */
    struct display_rect rects[DISPLAY_RECTS_MAX];
    size_t rect_count;
    uint64_t again_ns; /* clock time at which something blinks, UINT64_MAX: never */
};

void vga_set_board(struct vga *dev, const struct vga_board *board);
/* A page of display memory was stored to, or may have been. */
void vga_stored(struct vga *dev, uint32_t page);
void vga_stored_all(struct vga *dev);
/* Bring the picture up to date and say what changed. */
void vga_refresh(struct vga *dev, struct vga_picture *picture);
/* BAR 0: where display memory is mapped; false when it is not. */
bool vga_frame_buffer(const struct vga *dev, uint64_t *base);

#endif
