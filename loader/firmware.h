/*
 * loader/firmware.h -- finding the system BIOS and the VGA BIOS (Debian's package seabios).
 */
#ifndef RINGER_LOADER_FIRMWARE_H
#define RINGER_LOADER_FIRMWARE_H

#include "loader/file.h"
#include "loader/options.h"

/* The system ROM: -bios, or bios-256k.bin from the -L directories and the usual places. */
bool firmware_read_bios(const struct options *options, struct file *out, struct error *error);
/* The VGA option ROM. */
bool firmware_read_vga_bios(const struct options *options, struct file *out, struct error *error);

#endif
