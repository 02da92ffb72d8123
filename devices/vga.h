/*
 * devices/vga.h -- standard VGA with the Bochs display interface, as a PCI function.
 */
#ifndef RINGER_DEVICES_VGA_H
#define RINGER_DEVICES_VGA_H

#include <stddef.h>
#include <stdint.h>

#include "devices/bus.h"
#include "devices/clock.h"
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
/* Text of the screen, see pc_screen_text(). */
size_t vga_text(const struct vga *dev, char *buffer, size_t size);

#endif
