/*
 * devices/vga_memory.c -- how the CPU sees display memory through the window at 0xA0000.
 * Source: IBM Personal System/2 Hardware Interface Technical Reference, "Video Subsystem", Graphics
 * Controller and Sequencer registers.
 *
 * The four planes are interleaved: byte `a` of plane p is memory[4 * a + p], so the latches are one
 * 32-bit word.  Three ways to address them:
 *   chained   byte n is memory[n] (256-colour and Bochs banked modes)
 *   odd/even  bytes 2n and 2n + 1 are byte n of the even and of the odd planes (text)
 *   planar    byte n of all planes at once, through latches and the write modes
 * Deviation: on the chip chained and odd/even addresses leave gaps in the planes (address bits 1:0
 * are replaced, not removed); it shows only to a program that mixes the ways over the same bytes.
 */
#include <string.h>

#include "devices/vga_internal.h"

#define WINDOW_MISS UINT32_MAX

/* Byte offset in display memory's address space that the window offset selects. */
static uint32_t window_address(const struct vga *dev, uint64_t offset)
{
    if ((dev->dispi[DISPI_ENABLE] & DISPI_ENABLED) && offset < VGA_BANK_SIZE)
        return (uint32_t)dev->dispi[DISPI_BANK] * VGA_BANK_SIZE + (uint32_t)offset;
    switch (dev->gfx[GFX_MISC] >> 2 & 3) {
    case 0:
        return (uint32_t)offset;
    case 1:
        return offset < 0x10000 ? (uint32_t)offset : WINDOW_MISS;
    case 2:
        return offset >= 0x10000 && offset < 0x18000 ? (uint32_t)offset - 0x10000 : WINDOW_MISS;
    default:
        return offset >= 0x18000 ? (uint32_t)offset - 0x18000 : WINDOW_MISS;
    }
}

/* Bit p of a four-bit register to byte p, all ones. */
static uint32_t planes_of(uint8_t bits)
{
    uint32_t planes = 0;

    for (unsigned p = 0; p < VGA_PLANES; p++) {
        if (bits >> p & 1)
            planes |= 0xFFu << (8 * p);
    }
    return planes;
}

static bool is_chained(const struct vga *dev)
{
    return dev->seq[SEQ_MEMORY_MODE] & SEQ_MEMORY_CHAIN4;
}

/* In a Bochs mode other than the planar one the window shows memory as it is. */
static bool is_linear(const struct vga *dev)
{
    return (dev->dispi[DISPI_ENABLE] & DISPI_ENABLED) && dev->dispi[DISPI_BPP] != 4;
}

static uint8_t *planar(const struct vga *dev, uint32_t address)
{
    return dev->memory + 4 * (address & (VGA_MEMORY_SIZE / 4 - 1));
}

/* A read fills the latches, whatever it returns. */
static uint8_t byte_read(struct vga *dev, uint64_t offset)
{
    const uint32_t address = window_address(dev, offset);
    uint32_t differs;

    if (address == WINDOW_MISS)
        return 0xFF;
    if (is_linear(dev) || is_chained(dev)) {
        memcpy(&dev->latch, planar(dev, address >> 2), sizeof(dev->latch));
        return (uint8_t)(dev->latch >> (8 * (address & 3)));
    }
    if (dev->gfx[GFX_MODE] & GFX_MODE_ODD_EVEN) {
        memcpy(&dev->latch, planar(dev, address >> 1), sizeof(dev->latch));
        return (uint8_t)(dev->latch >> (8 * ((dev->gfx[GFX_READ_MAP] & 2u) | (address & 1))));
    }
    memcpy(&dev->latch, planar(dev, address), sizeof(dev->latch));
    if (!(dev->gfx[GFX_MODE] & GFX_MODE_READ1))
        return (uint8_t)(dev->latch >> (8 * (dev->gfx[GFX_READ_MAP] & 3)));
    differs = (dev->latch ^ planes_of(dev->gfx[GFX_COLOR_COMPARE])) &
              planes_of(dev->gfx[GFX_COLOR_DONT_CARE]);
    differs |= differs >> 16;
    differs |= differs >> 8;
    return (uint8_t)~differs;
}

static uint32_t combine(uint32_t value, uint32_t latch, uint8_t function)
{
    switch (function) {
    case 1:
        return value & latch;
    case 2:
        return value | latch;
    case 3:
        return value ^ latch;
    default:
        return value;
    }
}

/* The write modes: what goes to the four planes, before the map mask. */
static uint32_t planar_value(const struct vga *dev, uint8_t byte)
{
    const unsigned rotate = dev->gfx[GFX_ROTATE] & 7;
    const uint8_t function = dev->gfx[GFX_ROTATE] >> 3 & 3;
    const uint8_t rotated = (uint8_t)(byte >> rotate | byte << (8 - rotate));
    const uint32_t set_reset = planes_of(dev->gfx[GFX_SET_RESET]);
    const uint32_t enable = planes_of(dev->gfx[GFX_ENABLE_SET_RESET]);
    uint32_t bit_mask = dev->gfx[GFX_BIT_MASK] * 0x01010101u, value;

    switch (dev->gfx[GFX_MODE] & 3) {
    case 0:
        value = rotated * 0x01010101u;
        value = combine((value & ~enable) | (set_reset & enable), dev->latch, function);
        break;
    case 1:
        return dev->latch;
    case 2:
        value = combine(planes_of(byte & 15), dev->latch, function);
        break;
    default:
        bit_mask &= rotated * 0x01010101u;
        value = set_reset;
        break;
    }
    return (value & bit_mask) | (dev->latch & ~bit_mask);
}

/* Every way of writing goes through the write modes; the addressing chooses among the planes. */
static void byte_write(struct vga *dev, uint64_t offset, uint8_t byte)
{
    uint32_t address = window_address(dev, offset);
    uint8_t map_mask = dev->seq[SEQ_MAP_MASK] & 15;
    uint32_t old, mask, value;

    if (address == WINDOW_MISS)
        return;
    if (is_linear(dev)) {
        dev->memory[address & (VGA_MEMORY_SIZE - 1)] = byte;
        vga_mark_dirty(dev, address & (VGA_MEMORY_SIZE - 1));
        vga_touch(dev);
        return;
    }
    if (is_chained(dev)) {
        map_mask &= (uint8_t)(1u << (address & 3));
        address >>= 2;
    } else if (!(dev->seq[SEQ_MEMORY_MODE] & SEQ_MEMORY_SEQUENTIAL)) {
        map_mask &= address & 1 ? 0x0A : 0x05;
        address >>= 1;
    }
    mask = planes_of(map_mask);
    value = planar_value(dev, byte);
    memcpy(&old, planar(dev, address), sizeof(old));
    value = (value & mask) | (old & ~mask);
    if (value == old)
        return;
    memcpy(planar(dev, address), &value, sizeof(value));
    dev->font_stored |= (map_mask & 4) != 0;
    vga_mark_dirty(dev, 4 * (address & (VGA_MEMORY_SIZE / 4 - 1)));
    vga_touch(dev);
}

static uint64_t window_read(void *ctx, uint64_t offset, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)byte_read(ctx, offset + i) << (8 * i);
    return value;
}

static void window_write(void *ctx, uint64_t offset, unsigned size, uint64_t value)
{
    for (unsigned i = 0; i < size; i++)
        byte_write(ctx, offset + i, (uint8_t)(value >> (8 * i)));
}

const struct bus_mmio_ops vga_window_ops = {
    .name = "vga-window", .read = window_read, .write = window_write};
