/*
 * loader/setup_boot.h -- a Linux kernel that is started by its own real-mode code, under firmware.
 *
 * bzimage.h skips that code, which is quicker.  But only the kernel knows which CPU it needs, and it
 * is that code that says so on the screen; and what else uses the format (iPXE, old kernels) may
 * know no other entry.
 */
#ifndef RINGER_LOADER_SETUP_BOOT_H
#define RINGER_LOADER_SETUP_BOOT_H

#include <stddef.h>
#include <stdint.h>

#include "loader/boot_image.h"
#include "loader/bzimage.h"

struct cpu_model;

enum { SETUP_ROM_BYTES = 512, SETUP_ITEMS = 14 };

/* What the firmware is told: to be handed to the board as long as the machine lives. */
struct setup_boot {
    struct pc_fw_item items[SETUP_ITEMS];
    uint8_t rom[SETUP_ROM_BYTES];
    uint8_t *setup; /* the real-mode code, header filled in */
    uint8_t numbers[8][4];
};

/* Must (or should) the kernel be started by its own code on this CPU?  The reason is put into
 * `reason` when it is one that the user ought to know, else "". */
bool setup_boot_wanted(const struct file *kernel, const struct cpu_model *model, char *reason,
                       size_t reason_size);
/* The video mode that "vga=" in the command line asks the real-mode code to set; the last one counts.
 * False: there is none, or the one that is there anyway.
 * [Linux Documentation/admin-guide/svga.rst, "The vga mode parameter"] */
bool setup_boot_video_mode(const char *cmdline, uint16_t *mode);
/* Fill *boot from the source; memory ends at ram_bytes below 4 GiB.  On failure the error names the
 * file. */
bool setup_boot_make(const struct boot_source *source, uint64_t ram_bytes, struct setup_boot *boot,
                     struct error *error);
void setup_boot_free(struct setup_boot *boot);

/* setup_rom.c: the ROM, checksums filled in. */
void setup_rom_make(uint8_t rom[SETUP_ROM_BYTES]);

#endif
