/*
 * loader/boot_image.c -- memory contents and CPU state of a directly entered kernel.
 */
#include "loader/boot_image.h"

#include <stdlib.h>
#include <string.h>

enum { E820_RAM = 1, GDT_ENTRIES = 4, PLACE_ALIGN = 4096 };

bool boot_image_is_ram(const struct boot_source *source, uint64_t address, uint64_t size)
{
    uint64_t end;

    if (__builtin_add_overflow(address, size, &end))
        return false;
    /* Adjacent entries may together cover the range: walk up from its start. */
    while (address < end) {
        size_t i;

        for (i = 0; i < source->e820_count; i++) {
            const struct pc_e820 *entry = &source->e820[i];

            if (entry->type == E820_RAM && address >= entry->base &&
                address - entry->base < entry->size)
                break;
        }
        if (i == source->e820_count)
            return false;
        address = source->e820[i].base + source->e820[i].size;
    }
    return true;
}

uint64_t boot_image_place(const struct boot_source *source, uint64_t floor, uint64_t ceiling,
                          uint64_t size)
{
    uint64_t best = 0;

    for (size_t i = 0; i < source->e820_count; i++) {
        const struct pc_e820 *entry = &source->e820[i];
        const uint64_t low = entry->base > floor ? entry->base : floor;
        uint64_t high = entry->base + entry->size, at;

        if (high > ceiling)
            high = ceiling;
        if (entry->type != E820_RAM || high <= low || high - low < size)
            continue;
        at = (high - size) & ~(uint64_t)(PLACE_ALIGN - 1);
        if (at >= low && at > best)
            best = at;
    }
    return best;
}

bool boot_image_add(struct boot_image *image, const struct boot_source *source, const char *what,
                    uint64_t address, const uint8_t *data, uint64_t size, uint64_t zero_bytes,
                    uint8_t *owned, struct error *error)
{
    struct boot_piece *grown;
    uint64_t total;

    if (__builtin_add_overflow(size, zero_bytes, &total) ||
        !boot_image_is_ram(source, address, total)) {
        free(owned);
        return error_set(error, "%s: %s at 0x%llx (%llu KiB) does not fit into the guest's RAM",
                         source->kernel.path, what, (unsigned long long)address,
                         (unsigned long long)(total >> 10));
    }
    grown = realloc(image->pieces, (image->count + 1) * sizeof(*grown));
    if (grown == NULL) {
        free(owned);
        return error_set(error, "%s: not enough host memory", source->kernel.path);
    }
    image->pieces = grown;
    image->pieces[image->count++] = (struct boot_piece){
        .address = address,
        .data = data,
        .size = size,
        .zero_bytes = zero_bytes,
        .owned = owned,
    };
    return true;
}

bool boot_image_add_gdt(struct boot_image *image, const struct boot_source *source,
                        uint64_t address, struct error *error)
{
    uint8_t *gdt = calloc(GDT_ENTRIES, 8);

    if (gdt == NULL)
        return error_set(error, "%s: not enough host memory", source->kernel.path);
    /* Base 0, limit 4 GiB, present, DPL 0: code execute/read, data read/write, both accessed. */
    boot_put(gdt + BOOT_CS, 8, 0x00cf9b000000ffff);
    boot_put(gdt + BOOT_DS, 8, 0x00cf93000000ffff);
    if (!boot_image_add(image, source, "the GDT", address, gdt, GDT_ENTRIES * 8, 0, gdt, error))
        return false;
    image->gdt = (uint32_t)address;
    return true;
}

void boot_image_free(struct boot_image *image)
{
    for (size_t i = 0; i < image->count; i++)
        free(image->pieces[i].owned);
    free(image->pieces);
    *image = (struct boot_image){0};
}
