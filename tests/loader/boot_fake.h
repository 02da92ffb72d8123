/*
 * tests/loader/boot_fake.h -- a machine's memory map without a machine, for the kernel loaders.
 */
#ifndef RINGER_TESTS_LOADER_BOOT_FAKE_H
#define RINGER_TESTS_LOADER_BOOT_FAKE_H

#include <string.h>

#include "loader/boot_image.h"

enum { FAKE_RAM_MIB = 64, FAKE_RSDP = 0xf0000 };

/* 64 MiB with the usual hole, the top 128 KiB taken by ACPI tables. */
static inline void boot_fake_init(struct boot_source *source, uint8_t *bytes, size_t size)
{
    static const struct pc_e820 map[] = {
        {0, 0x9fc00, 1},
        {0x9fc00, 0x400, 2},
        {0xf0000, 0x10000, 2},
        {0x100000, (FAKE_RAM_MIB << 20) - 0x100000 - 0x20000, 1},
        {(FAKE_RAM_MIB << 20) - 0x20000, 0x20000, 3},
    };

    *source = (struct boot_source){
        .kernel = {.path = "kernel", .bytes = bytes, .size = size},
        .cmdline = "",
        .e820_count = sizeof(map) / sizeof(map[0]),
        .rsdp = FAKE_RSDP,
        .has_vga = true,
    };
    memcpy(source->e820, map, sizeof(map));
}

/* The piece that covers the address, or NULL. */
static inline const struct boot_piece *boot_fake_piece(const struct boot_image *image,
                                                       uint64_t address)
{
    for (size_t i = 0; i < image->count; i++)
        if (address >= image->pieces[i].address &&
            address - image->pieces[i].address < image->pieces[i].size)
            return &image->pieces[i];
    return NULL;
}

/* Bytes of the image at a guest address; NULL when nothing is there. */
static inline const uint8_t *boot_fake_at(const struct boot_image *image, uint64_t address)
{
    const struct boot_piece *piece = boot_fake_piece(image, address);

    return piece == NULL ? NULL : piece->data + (address - piece->address);
}

#endif
