/*
 * loader/boot_image.h -- what a kernel needs in memory and in the CPU to start: the common result
 * of the bzImage, multiboot and PVH loaders.
 *
 * A loader is a pure function from the files' bytes and the machine's memory map to a list of
 * pieces and a few registers.  It can therefore be tested and fuzzed without a machine, and a reset
 * of the machine applies the same list again.
 */
#ifndef RINGER_LOADER_BOOT_IMAGE_H
#define RINGER_LOADER_BOOT_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "devices/pc.h"
#include "loader/error.h"
#include "loader/file.h"

enum { BOOT_MODULES_MAX = 64, BOOT_E820_MAX = 32 };

/* [address, address + size) := data, then zero_bytes of zeros. */
struct boot_piece {
    uint64_t address;
    const uint8_t *data; /* into a file, or into an allocation that `owned` frees */
    uint64_t size, zero_bytes;
    uint8_t *owned;
};

struct boot_image {
    struct boot_piece *pieces;
    size_t count;
    /* Entry in flat 32-bit protected mode without paging, interrupts off. */
    uint32_t eip, eax, ebx, esi;
    uint32_t gdt; /* physical address of the flat GDT, see boot_image_add_gdt() */
};

struct boot_module {
    struct file file;
    const char *text; /* the module's command line: file name and arguments */
};

/* What the user gave and what the machine has. */
struct boot_source {
    struct file kernel;
    const char *cmdline;                          /* "" without -append */
    struct boot_module modules[BOOT_MODULES_MAX]; /* -initrd: one for Linux, a list for multiboot */
    size_t module_count;
    struct pc_e820 e820[BOOT_E820_MAX];
    size_t e820_count;
    uint64_t rsdp;
    bool has_vga;
};

enum { BOOT_CS = 0x10, BOOT_DS = 0x18 };

/* Put `size` bytes at `address`; all of [address, address + size + zero_bytes) must be usable RAM.
 * `what` names it in the error.  owned: to be freed with the image (also on failure), or NULL. */
bool boot_image_add(struct boot_image *image, const struct boot_source *source, const char *what,
                    uint64_t address, const uint8_t *data, uint64_t size, uint64_t zero_bytes,
                    uint8_t *owned, struct error *error);
/* The GDT that the Linux boot protocol asks for: flat code at BOOT_CS, flat data at BOOT_DS. */
bool boot_image_add_gdt(struct boot_image *image, const struct boot_source *source,
                        uint64_t address, struct error *error);
void boot_image_free(struct boot_image *image);

/* Is [address, address + size) entirely usable RAM? */
bool boot_image_is_ram(const struct boot_source *source, uint64_t address, uint64_t size);
/* The highest page-aligned address in [floor, ceiling) with `size` bytes of RAM behind it that end
 * at or below ceiling; 0 when there is none. */
uint64_t boot_image_place(const struct boot_source *source, uint64_t floor, uint64_t ceiling,
                          uint64_t size);

/* Copy the pieces into guest memory and put the CPU at the entry. */
void boot_image_apply(const struct boot_image *image, struct pc *pc);

/* Little-endian fields of on-disk structures. */
static inline uint32_t boot_get(const uint8_t *p, unsigned size)
{
    uint32_t value = 0;

    for (unsigned i = 0; i < size; i++)
        value |= (uint32_t)p[i] << (8 * i);
    return value;
}
static inline void boot_put(uint8_t *p, unsigned size, uint64_t value)
{
    for (unsigned i = 0; i < size; i++)
        p[i] = (uint8_t)(value >> (8 * i));
}

#endif
