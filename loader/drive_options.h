/*
 * loader/drive_options.h -- which drives the command line asks for: -hda FILE, -cdrom FILE, -drive
 * KEY=VALUE,..., -device ide-hd,drive=ID, and so on.
 */
#ifndef RINGER_LOADER_DRIVE_OPTIONS_H
#define RINGER_LOADER_DRIVE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "loader/error.h"
#include "loader/image.h"

enum { DRIVES_MAX = 16, DRIVE_SERIAL_BYTES = 21, DRIVE_MODEL_BYTES = 41 };

enum drive_interface { DRIVE_IDE, DRIVE_FLOPPY, DRIVE_NONE };

struct drive_spec {
    enum drive_interface interface;
    unsigned bus, unit; /* IDE channel and device; floppy: unit only */
    bool is_cdrom;
    char name[IMAGE_NAME_BYTES]; /* for messages and the monitor: the id, or as QEMU names it */
    char serial[DRIVE_SERIAL_BYTES], model[DRIVE_MODEL_BYTES]; /* "": the board's own */
    struct block_geometry geometry; /* all 0: the drive decides */
    int boot_index;                 /* -1: none */
    struct image_spec image;
    bool snapshot_given, has_id;
    bool werror_given, rerror_given;
};

struct drive_list {
    struct drive_spec drives[DRIVES_MAX];
    unsigned count;
    bool snapshot; /* -snapshot */
};

/* "hda".."hdd", "cdrom", "fda", "fdb": the file name as it is. */
bool drive_take_file(struct drive_list *list, const char *option, const char *file,
                     struct error *error);
/* -drive's argument.  ",," is a comma in a value. */
bool drive_take_spec(struct drive_list *list, const char *text, struct error *error);
/* Is -device's argument a drive (ide-hd, ide-cd, floppy)?  Its image comes from -drive if=none, which
 * must stand before it. */
bool drive_is_device(const char *text);
bool drive_take_device(struct drive_list *list, const char *text, struct error *error);
/* When all options are read: -snapshot is applied, nothing is left over, and with `defaults` an empty
 * CD-ROM drive and an empty floppy drive are there where nothing else is. */
bool drive_complete(struct drive_list *list, bool defaults, struct error *error);
/* What `bootindex` asks for, as firmware's "bootorder" file has it: lines without an end; "" when
 * nothing was asked for. */
void drive_boot_order(const struct drive_list *list, char *text, size_t size);

#endif
