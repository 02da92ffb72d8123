/*
 * tests/devices/vga_rig.h -- a display adapter on a bus of its own, its memory in `display`.
 */
#ifndef RINGER_TESTS_DEVICES_VGA_RIG_H
#define RINGER_TESTS_DEVICES_VGA_RIG_H

#include "fake.h"

#include "devices/vga_internal.h"

static uint8_t *display; /* VGA_MEMORY_SIZE bytes */

static inline int map_mmio(void *ctx, uint64_t base, uint64_t size, const struct bus_mmio_ops *ops,
                           void *dev)
{
    (void)ctx;
    (void)dev;
    assert_int_equal(base, VGA_WINDOW_BASE);
    assert_int_equal(size, VGA_WINDOW_SIZE);
    assert_ptr_equal(ops, &vga_window_ops);
    return 0;
}

static inline int unmap(void *ctx, uint64_t base, uint64_t size)
{
    (void)ctx;
    (void)base;
    (void)size;
    return 0;
}

static inline uint8_t *backing(void *ctx, uint64_t offset)
{
    (void)ctx;
    assert_int_equal(offset, 0x100000);
    return display;
}

struct rig {
    struct fake fake;
    struct pci_bus *pci;
    struct vga *vga;
};

static inline void rig_open(struct rig *rig)
{
    const struct bus_memory memory = {.map_mmio = map_mmio, .unmap = unmap, .backing = backing};

    display = calloc(1, VGA_MEMORY_SIZE);
    fake_open(&rig->fake);
    bus_destroy(rig->fake.bus);
    rig->fake.bus = bus_create(&memory);
    rig->pci = pci_create(rig->fake.bus);
    rig->vga = vga_create(rig->fake.bus, rig->pci, rig->fake.clock, 0x100000, 0, 0);
    assert_non_null(rig->vga);
    assert_null(vga_create(rig->fake.bus, rig->pci, rig->fake.clock, 0x100000, 0, 0));
    vga_reset(rig->vga);
}

static inline void rig_close(struct rig *rig)
{
    pci_destroy(rig->pci);
    vga_destroy(rig->vga);
    fake_close(&rig->fake);
    free(display);
}

static inline uint16_t dispi(struct rig *rig, uint16_t index)
{
    bus_io_write(rig->fake.bus, 0x1CE, 2, index);
    return (uint16_t)bus_io_read(rig->fake.bus, 0x1CF, 2);
}

static inline void dispi_set(struct rig *rig, uint16_t index, uint16_t value)
{
    bus_io_write(rig->fake.bus, 0x1CE, 2, index);
    bus_io_write(rig->fake.bus, 0x1CF, 2, value);
}

static inline void out16(struct rig *rig, uint16_t port, unsigned value)
{
    bus_io_write(rig->fake.bus, port, 2, value);
}

/* Index and data in one word, as programs do. */
static inline void seq(struct rig *rig, uint8_t index, uint8_t value)
{
    out16(rig, 0x3C4, (unsigned)(index | value << 8));
}

static inline void gfx(struct rig *rig, uint8_t index, uint8_t value)
{
    out16(rig, 0x3CE, (unsigned)(index | value << 8));
}

static inline void poke(struct rig *rig, uint32_t offset, unsigned size, uint64_t value)
{
    vga_window_ops.write(rig->vga, offset, size, value);
}

static inline uint64_t peek(struct rig *rig, uint32_t offset, unsigned size)
{
    return vga_window_ops.read(rig->vga, offset, size);
}

#endif
