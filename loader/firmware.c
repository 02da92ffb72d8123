/*
 * loader/firmware.c -- finding the system BIOS and the VGA BIOS.
 */
#include "loader/firmware.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    BIOS_MAX_BYTES = 16 << 20, /* what the chip set decodes below 4 GiB */
    BIOS_GRAIN = 64 << 10,
    OPTION_ROM_MAX_BYTES = 128 << 10,
    OPTION_ROM_GRAIN = 512,
    FIRMWARE_PATH_BYTES = 4096,
};

static const char *const usual_places[] = {"/usr/share/seabios", "/usr/share/qemu"};

/* The first directory that has `name`; false when none does. */
static bool find(const struct options *options, const char *name, char path[FIRMWARE_PATH_BYTES])
{
    const unsigned usual = sizeof(usual_places) / sizeof(usual_places[0]);

    for (unsigned i = 0; i < options->firmware_dir_count + usual; i++) {
        const char *dir = i < options->firmware_dir_count
                              ? options->firmware_dirs[i]
                              : usual_places[i - options->firmware_dir_count];

        if (snprintf(path, FIRMWARE_PATH_BYTES, "%s/%s", dir, name) < FIRMWARE_PATH_BYTES &&
            access(path, F_OK) == 0)
            return true;
    }
    return false;
}

/* Read a ROM; messages and out->path use `name`, which outlives the search path. */
static bool read_rom(const char *path, const char *name, size_t max_bytes, struct file *out,
                     struct error *error)
{
    if (!file_read(path, max_bytes, out, error))
        return false;
    out->path = name;
    return true;
}

static bool not_found(const char *name, struct error *error)
{
    return error_set(error, "%s: not found (the package seabios has it; -L names a directory)",
                     name);
}

bool firmware_read_bios(const struct options *options, struct file *out, struct error *error)
{
    const char *name = options->bios != NULL ? options->bios : "bios-256k.bin";
    char path[FIRMWARE_PATH_BYTES];
    bool ok;

    if (options->bios != NULL && access(options->bios, F_OK) == 0)
        ok = read_rom(options->bios, name, BIOS_MAX_BYTES, out, error);
    else if (strchr(name, '/') == NULL && find(options, name, path))
        ok = read_rom(path, name, BIOS_MAX_BYTES, out, error);
    else if (options->bios != NULL)
        ok = error_set(error, "%s: %s", name, strerror(ENOENT));
    else
        ok = not_found(name, error);
    if (ok && out->size % BIOS_GRAIN != 0) {
        ok = error_set(error, "%s: not a system BIOS: %zu bytes are no multiple of 64 KiB", name,
                       out->size);
        file_free(out);
    }
    return ok;
}

bool firmware_read_vga_bios(const struct options *options, struct file *out, struct error *error)
{
    static const char name[] = "vgabios-stdvga.bin";
    char path[FIRMWARE_PATH_BYTES];

    if (!find(options, name, path))
        return not_found(name, error);
    if (!read_rom(path, name, OPTION_ROM_MAX_BYTES, out, error))
        return false;
    /* An option ROM begins 55 AA and its length in units of 512 bytes. */
    if (out->size % OPTION_ROM_GRAIN != 0 || out->bytes[0] != 0x55 || out->bytes[1] != 0xaa) {
        file_free(out);
        return error_set(error, "%s: not an option ROM", path);
    }
    return true;
}
