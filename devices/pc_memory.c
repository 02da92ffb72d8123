/*
 * devices/pc_memory.c -- the board's memory map.
 *
 * Chips and bridges claim regions, which may overlap: a guest can put a BAR anywhere.  The map is
 * the list of regions; what physmem is told is the list of segments: disjoint, each answered by the
 * region of highest priority there.  After every change the segments are computed anew, and only
 * those that differ are unmapped and mapped.
 *
 *   0xFEE00000  local APIC (moves with IA32_APIC_BASE)         PRIORITY_APIC
 *   0xFED00000  HPET                                           PRIORITY_APIC
 *   0xFEC00000  I/O APIC                                       PRIORITY_APIC
 *   .. 4 GiB    system ROM                                     PRIORITY_ROM
 *   0xC0000..   RAM or ROM as PAM says; 0xA0000 if SMRAM opens PRIORITY_SHADOW
 *   RAM         0..0x9FFFF, 1 MiB..ram_below, 4 GiB..          PRIORITY_RAM
 *   elsewhere   VGA window, BARs                               PRIORITY_PCI
 *
 * Backing store: RAM (below, then above 4 GiB; its first 4 GiB at its own address), system ROM, VGA
 * memory, VGA option ROM.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/pc_internal.h"

#define LOW_END       UINT64_C(0xA0000)
#define SHADOW_BASE   UINT64_C(0xC0000)
#define HIGH_START    UINT64_C(0x100000)
#define BIOS_LOW_MAX  UINT64_C(0x20000) /* how much of the system ROM is seen below 1 MiB */
#define ROM_MAX       UINT64_C(0x1000000)
#define PAGE_BYTES    4096u
#define PAGE_ALIGN(n) (((n) + 0xFFF) & ~UINT64_C(0xFFF))

/* ---- segments ---- */

static uint64_t segment_read(void *ctx, uint64_t offset, unsigned size)
{
    const struct pc_segment *segment = ctx;

    return segment->ops->read(segment->dev, segment->delta + offset, size);
}

static void segment_write(void *ctx, uint64_t offset, unsigned size, uint64_t value)
{
    const struct pc_segment *segment = ctx;

    segment->ops->write(segment->dev, segment->delta + offset, size, value);
}

static const struct mmio_ops segment_ops = {.read = segment_read, .write = segment_write};

static int compare_addresses(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static const struct pc_region *region_at(const struct pc *pc, uint64_t address)
{
    const struct pc_region *best = NULL;

    for (unsigned i = 0; i < pc->region_count; i++) {
        const struct pc_region *region = &pc->regions[i];

        if (address - region->base < region->size &&
            (best == NULL || region->priority > best->priority))
            best = region;
    }
    return best;
}

static bool segment_same(const struct pc_segment *a, const struct pc_segment *b)
{
    return a->base == b->base && a->size == b->size && a->ops == b->ops && a->dev == b->dev &&
           a->delta == b->delta && a->offset == b->offset && a->writable == b->writable;
}

static struct pc_segment segment_of(const struct pc_region *region, uint64_t base, uint64_t end)
{
    return (struct pc_segment){
        .base = base,
        .size = end - base,
        .ops = region->ops,
        .dev = region->dev,
        .delta = region->ops != NULL ? base - region->base : 0,
        .offset = region->ops == NULL ? region->offset + (base - region->base) : 0,
        .writable = region->writable,
    };
}

/* Cut the address space at every region's ends and ask who answers each piece; neighbours that are
 * answered by one region are one segment.  out has room for PC_SEGMENT_MAX. */
static unsigned segments_compute(const struct pc *pc, struct pc_segment *out)
{
    uint64_t cuts[PC_SEGMENT_MAX];
    const struct pc_region *previous = NULL;
    unsigned cut_count = 0, count = 0;

    for (unsigned i = 0; i < pc->region_count; i++) {
        cuts[cut_count++] = pc->regions[i].base;
        cuts[cut_count++] = pc->regions[i].base + pc->regions[i].size;
    }
    qsort(cuts, cut_count, sizeof(cuts[0]), compare_addresses);
    for (unsigned i = 0; i + 1 < cut_count; i++) {
        const struct pc_region *region;

        if (cuts[i] == cuts[i + 1])
            continue;
        region = region_at(pc, cuts[i]);
        if (region != NULL && region == previous)
            out[count - 1].size = cuts[i + 1] - out[count - 1].base;
        else if (region != NULL)
            out[count++] = segment_of(region, cuts[i], cuts[i + 1]);
        previous = region;
    }
    return count;
}

/* Take the old segment that equals *wanted out of the old list, NULL when there is none. */
static struct pc_segment *segment_take(struct pc *pc, const struct pc_segment *wanted)
{
    for (unsigned i = 0; i < pc->segment_count; i++) {
        struct pc_segment *old = pc->segments[i];

        if (old != NULL && segment_same(old, wanted)) {
            pc->segments[i] = NULL;
            return old;
        }
    }
    return NULL;
}

static void segment_map(struct pc *pc, struct pc_segment *segment)
{
    int error;

    if (segment->ops != NULL)
        error = physmem_map_mmio(pc->mem, segment->base, segment->size, &segment_ops, segment);
    else
        error =
            physmem_map(pc->mem, segment->base, segment->size, segment->offset, segment->writable);
    if (error != 0)
        bus_log_once(pc->bus, "pc", segment->base, "region beyond the physical address space");
}

/* A segment that is in use by nobody: the pool holds the old map and the new one. */
static struct pc_segment *segment_new(struct pc *pc, const struct pc_segment *wanted)
{
    struct pc_segment *segment = pc->segment_pool;

    while (segment->size != 0)
        segment++;
    *segment = *wanted;
    return segment;
}

/* Bring physmem in step with the regions. */
static void map_update(struct pc *pc)
{
    struct pc_segment wanted[PC_SEGMENT_MAX], *segments[PC_SEGMENT_MAX];
    bool fresh[PC_SEGMENT_MAX];
    unsigned count;

    if (pc->map_held)
        return;
    count = segments_compute(pc, wanted);
    for (unsigned i = 0; i < count; i++) {
        segments[i] = segment_take(pc, &wanted[i]);
        fresh[i] = segments[i] == NULL;
        if (fresh[i])
            segments[i] = segment_new(pc, &wanted[i]);
    }
    for (unsigned i = 0; i < pc->segment_count; i++) {
        struct pc_segment *old = pc->segments[i];

        if (old == NULL)
            continue;
        physmem_unmap(pc->mem, old->base, old->size);
        old->size = 0;
    }
    memcpy(pc->segments, segments, count * sizeof(segments[0]));
    pc->segment_count = count;
    for (unsigned i = 0; i < count; i++) {
        if (fresh[i])
            segment_map(pc, segments[i]);
    }
}

void pc_memory_hold(struct pc *pc)
{
    pc->map_held = true;
}

void pc_memory_release(struct pc *pc)
{
    pc->map_held = false;
    map_update(pc);
}

/* ---- regions ---- */

static int region_add(struct pc *pc, const struct pc_region *region)
{
    if (region->size == 0 || region->base + region->size < region->base)
        return -EINVAL;
    if (pc->region_count == PC_REGION_MAX)
        return -ENOSPC;
    pc->regions[pc->region_count++] = *region;
    map_update(pc);
    return 0;
}

static int region_remove(struct pc *pc, uint64_t base, uint64_t size, enum pc_priority priority)
{
    for (unsigned i = 0; i < pc->region_count; i++) {
        const struct pc_region *region = &pc->regions[i];

        if (region->base != base || region->size != size || region->priority != priority)
            continue;
        memmove(&pc->regions[i], &pc->regions[i + 1],
                (pc->region_count - i - 1) * sizeof(pc->regions[0]));
        pc->region_count--;
        map_update(pc);
        return 0;
    }
    return -ENOENT;
}

static int backing_add(struct pc *pc, enum pc_priority priority, uint64_t base, uint64_t size,
                       uint64_t offset, bool writable)
{
    return region_add(pc, &(struct pc_region){.base = base,
                                              .size = size,
                                              .priority = priority,
                                              .offset = offset,
                                              .writable = writable});
}

/* ---- what the bus gives to chips ---- */

static int bus_map_mmio(void *ctx, uint64_t base, uint64_t size, const struct bus_mmio_ops *ops,
                        void *dev)
{
    return region_add(
        ctx, &(struct pc_region){
                 .base = base, .size = size, .priority = PRIORITY_PCI, .ops = ops, .dev = dev});
}

static int bus_map_backing(void *ctx, uint64_t base, uint64_t size, uint64_t offset, bool writable)
{
    return backing_add(ctx, PRIORITY_PCI, base, size, offset, writable);
}

static int bus_unmap(void *ctx, uint64_t base, uint64_t size)
{
    return region_remove(ctx, base, size, PRIORITY_PCI);
}

static void bus_dma_read(void *ctx, uint64_t base, void *buffer, size_t size)
{
    struct pc *pc = ctx;

    physmem_read_bytes(pc->mem, base, buffer, size);
}

static void bus_dma_write(void *ctx, uint64_t base, const void *buffer, size_t size)
{
    struct pc *pc = ctx;

    physmem_write_bytes(pc->mem, base, buffer, size);
}

static uint8_t *bus_dma_map(void *ctx, uint64_t base, size_t *size, bool write)
{
    struct pc *pc = ctx;
    const uint8_t wanted = write ? PHYS_RAM | PHYS_WRITE : PHYS_RAM;
    const uint64_t first = base & ~(uint64_t)(PAGE_BYTES - 1);
    uint8_t *host = NULL;
    uint64_t length = 0;

    do {
        const struct phys_page *page = physmem_page(pc->mem, first + length);

        if (page->host == NULL || (page->flags & wanted) != wanted ||
            (host != NULL && page->host != host + length))
            break;
        if (host == NULL)
            host = page->host;
        length += PAGE_BYTES;
    } while (length < base - first + *size);
    if (host == NULL)
        return NULL;
    length -= base - first;
    *size = length < *size ? length : *size;
    return host + (base - first);
}

static void bus_dma_written(void *ctx, uint64_t base, size_t size)
{
    struct pc *pc = ctx;

    while (size != 0) {
        const size_t room = PAGE_BYTES - base % PAGE_BYTES, piece = size < room ? size : room;

        if (physmem_page(pc->mem, base)->flags & PHYS_CODE)
            physmem_code_stored(pc->mem, base, piece);
        base += piece;
        size -= piece;
    }
}

static uint8_t *bus_backing(void *ctx, uint64_t offset)
{
    struct pc *pc = ctx;

    return physmem_backing(pc->mem, offset);
}

struct bus_memory pc_memory_bus(struct pc *pc)
{
    return (struct bus_memory){
        .ctx = pc,
        .map_mmio = bus_map_mmio,
        .map_backing = bus_map_backing,
        .unmap = bus_unmap,
        .dma_read = bus_dma_read,
        .dma_write = bus_dma_write,
        .dma_map = bus_dma_map,
        .dma_written = bus_dma_written,
        .backing = bus_backing,
    };
}

/* ---- shadow RAM and SMRAM ---- */

/* Of the system ROM, what is seen at [0xE0000, 1 MiB): its end, at most 128 KiB. */
static uint64_t rom_low_size(const struct pc *pc)
{
    return pc->rom_size < BIOS_LOW_MAX ? pc->rom_size : BIOS_LOW_MAX;
}

/* Offset in the backing store of the ROM byte seen at a physical address below 1 MiB. */
static bool rom_low_offset(const struct pc *pc, uint64_t address, uint64_t *offset)
{
    if (address < HIGH_START - rom_low_size(pc))
        return false;
    *offset = pc->rom_offset + pc->rom_size - (HIGH_START - address);
    return true;
}

static uint64_t split_read(void *ctx, uint64_t offset, unsigned size)
{
    const struct pc_split *split = ctx;
    uint64_t from, value = 0;

    if (!rom_low_offset(split->pc, split->base + offset, &from))
        return UINT64_MAX;
    memcpy(&value, physmem_backing(split->pc->mem, from), size);
    return value;
}

static void split_write(void *ctx, uint64_t offset, unsigned size, uint64_t value)
{
    const struct pc_split *split = ctx;

    memcpy(physmem_backing(split->pc->mem, split->base + offset), &value, size);
}

static const struct bus_mmio_ops split_ops = {
    .name = "pam", .read = split_read, .write = split_write};

static void bridge_pam(void *ctx, uint32_t base, uint32_t size, bool read_ram, bool write_ram)
{
    struct pc *pc = ctx;
    struct pc_split *split = &pc->splits[(base - SHADOW_BASE) / 0x4000];
    uint64_t rom;

    region_remove(pc, base, size, PRIORITY_SHADOW);
    if (read_ram) {
        backing_add(pc, PRIORITY_SHADOW, base, size, base, write_ram);
    } else if (write_ram) {
        split->pc = pc;
        split->base = base;
        region_add(pc, &(struct pc_region){.base = base,
                                           .size = size,
                                           .priority = PRIORITY_SHADOW,
                                           .ops = &split_ops,
                                           .dev = split});
    } else if (rom_low_offset(pc, base, &rom)) {
        backing_add(pc, PRIORITY_SHADOW, base, size, rom, false);
    }
}

static void bridge_smram(void *ctx, bool open)
{
    struct pc *pc = ctx;

    region_remove(pc, VGA_WINDOW_BASE, VGA_WINDOW_SIZE, PRIORITY_SHADOW);
    if (open)
        backing_add(pc, PRIORITY_SHADOW, VGA_WINDOW_BASE, VGA_WINDOW_SIZE, VGA_WINDOW_BASE, true);
}

struct i440fx_memory pc_memory_bridge(struct pc *pc)
{
    return (struct i440fx_memory){.ctx = pc, .pam = bridge_pam, .smram = bridge_smram};
}

/* ---- APICs ---- */

void pc_memory_move_lapic(struct pc *pc, uint64_t base_msr)
{
    const uint64_t address = base_msr & ~UINT64_C(0xFFF);
    const bool shown = (base_msr & (LAPIC_BASE_ENABLE | LAPIC_BASE_X2APIC)) == LAPIC_BASE_ENABLE;

    if (pc->lapic_mapped != 0)
        region_remove(pc, pc->lapic_mapped, LAPIC_SIZE, PRIORITY_APIC);
    pc->lapic_mapped = shown ? address : 0;
    if (pc->lapic_mapped != 0)
        region_add(pc, &(struct pc_region){.base = address,
                                           .size = LAPIC_SIZE,
                                           .priority = PRIORITY_APIC,
                                           .ops = &lapic_mmio,
                                           .dev = pc->lapic});
}

int pc_memory_map_ioapic(struct pc *pc)
{
    return region_add(pc, &(struct pc_region){.base = IOAPIC_BASE,
                                              .size = IOAPIC_SIZE,
                                              .priority = PRIORITY_APIC,
                                              .ops = &ioapic_mmio,
                                              .dev = pc->ioapic});
}

int pc_memory_map_hpet(struct pc *pc)
{
    return region_add(pc, &(struct pc_region){.base = HPET_BASE,
                                              .size = HPET_SIZE,
                                              .priority = PRIORITY_APIC,
                                              .ops = &hpet_mmio,
                                              .dev = pc->hpet});
}

/* ---- life ---- */

static uint32_t option_rom_size(size_t bytes)
{
    uint32_t size = 4096;

    if (bytes == 0)
        return 0;
    while (size < bytes)
        size *= 2;
    return size;
}

static bool sizes_are_good(const struct pc_config *config, char *message, size_t message_size)
{
    const uint64_t space = UINT64_C(1)
                           << (config->model.phys_bits < 52 ? config->model.phys_bits : 52);

    if (config->ram_bytes < RAM_MIN || config->ram_bytes % 4096 != 0) {
        snprintf(message, message_size,
                 "guest memory must be at least 1 MiB and a multiple of 4 KiB");
        return false;
    }
    if (config->ram_bytes > RAM_BELOW_MAX && config->ram_bytes - RAM_BELOW_MAX > space - GIB4) {
        snprintf(message, message_size,
                 "guest memory does not fit the CPU model's %u-bit physical addresses",
                 config->model.phys_bits);
        return false;
    }
    if (config->bios_bytes > ROM_MAX || config->vga_bios_bytes > VGA_ROM_SIZE_MAX) {
        snprintf(message, message_size, "firmware image is too large");
        return false;
    }
    return true;
}

static void roms_load(struct pc *pc)
{
    const struct pc_config *config = &pc->config;
    uint8_t *rom = physmem_backing(pc->mem, pc->rom_offset);

    if (pc->rom_size != 0) {
        memset(rom, 0xFF, pc->rom_size - config->bios_bytes);
        memcpy(rom + (pc->rom_size - config->bios_bytes), config->bios, config->bios_bytes);
    }
    if (pc->vga_rom_size != 0) {
        rom = physmem_backing(pc->mem, pc->vga_rom_offset);
        memcpy(rom, config->vga_bios, config->vga_bios_bytes);
        memset(rom + config->vga_bios_bytes, 0xFF, pc->vga_rom_size - config->vga_bios_bytes);
    }
}

int pc_memory_create(struct pc *pc, char *message, size_t message_size)
{
    const struct pc_config *config = &pc->config;
    uint64_t backing_size;

    if (!sizes_are_good(config, message, message_size))
        return -EINVAL;
    pc->ram_below = config->ram_bytes < RAM_BELOW_MAX ? config->ram_bytes : RAM_BELOW_MAX;
    pc->ram_above = config->ram_bytes - pc->ram_below;
    pc->rom_offset = config->ram_bytes;
    pc->rom_size = config->bios != NULL ? PAGE_ALIGN(config->bios_bytes) : 0;
    pc->vga_offset = pc->rom_offset + pc->rom_size;
    pc->vga_rom_offset = pc->vga_offset + (config->no_vga ? 0 : VGA_MEMORY_SIZE);
    pc->vga_rom_size = config->vga_bios != NULL ? option_rom_size(config->vga_bios_bytes) : 0;
    backing_size = pc->vga_rom_offset + pc->vga_rom_size;
    pc->mem = physmem_create(backing_size, config->model.phys_bits);
    if (pc->mem == NULL) {
        snprintf(message, message_size, "the host has not enough memory for a guest of %llu MiB",
                 (unsigned long long)(config->ram_bytes >> 20));
        return -ENOMEM;
    }
    roms_load(pc);
    pc->map_held = true;
    backing_add(pc, PRIORITY_RAM, 0, LOW_END, 0, true);
    if (pc->ram_below > HIGH_START)
        backing_add(pc, PRIORITY_RAM, HIGH_START, pc->ram_below - HIGH_START, HIGH_START, true);
    if (pc->ram_above != 0)
        backing_add(pc, PRIORITY_RAM, GIB4, pc->ram_above, pc->ram_below, true);
    if (pc->rom_size != 0)
        backing_add(pc, PRIORITY_ROM, GIB4 - pc->rom_size, pc->rom_size, pc->rom_offset, false);
    return 0;
}

void pc_memory_destroy(struct pc *pc)
{
    if (pc->mem != NULL)
        physmem_destroy(pc->mem);
}
