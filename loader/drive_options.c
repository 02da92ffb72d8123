/*
 * loader/drive_options.c -- the drives on the command line.
 *
 * A drive's place is if=, index= (or bus= and unit=); without a place it takes the next free one.
 * Nothing is silently ignored: a key that is not there is named.
 */
#include "loader/drive_options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_BYTES = 32, IDE_BUSES = 2, IDE_UNITS = 2, FLOPPY_UNITS = 2, UNPLACED = -1 };

/* ---- key=value,key=value ---- */

struct pairs {
    const char *rest;
    char key[KEY_BYTES], value[IMAGE_PATH_BYTES];
    bool has_value;
};

/* Copy up to `stop` or a single comma; ",," is one comma.  Returns what follows, NULL: too long. */
static const char *copy_word(const char *from, char stop, char *to, size_t size)
{
    size_t used = 0;

    while (*from != '\0' && *from != stop) {
        if (*from == ',') {
            if (from[1] != ',')
                break;
            from++;
        }
        if (used + 1 == size)
            return NULL;
        to[used++] = *from++;
    }
    to[used] = '\0';
    return from;
}

/* The next pair; false at the end, or with *error set. */
static bool next_pair(struct pairs *pairs, const char *option, struct error *error)
{
    const char *at;

    if (pairs->rest[0] == '\0' || error->text[0] != '\0')
        return false;
    at = copy_word(pairs->rest, '=', pairs->key, sizeof(pairs->key));
    pairs->has_value = at != NULL && *at == '=';
    pairs->value[0] = '\0';
    if (pairs->has_value)
        at = copy_word(at + 1, '\0', pairs->value, sizeof(pairs->value));
    if (at == NULL)
        return error_set(error, "-%s %.60s...: a part of it is too long", option, pairs->rest);
    pairs->rest = *at == ',' ? at + 1 : at;
    return true;
}

static bool bad(const char *option, const struct pairs *pairs, const char *expected,
                struct error *error)
{
    return error_set(error, "-%s %s=%s: %s", option, pairs->key, pairs->value, expected);
}

static bool take_text(const char *option, const struct pairs *pairs, char *to, size_t size,
                      struct error *error)
{
    if (strlen(pairs->value) >= size)
        return bad(option, pairs, "too long", error);
    memcpy(to, pairs->value, strlen(pairs->value) + 1);
    return true;
}

static bool take_number(const char *option, const struct pairs *pairs, int max, int *value,
                        struct error *error)
{
    char *end;
    long number;

    errno = 0;
    number = strtol(pairs->value, &end, 10);
    if (pairs->value[0] < '0' || pairs->value[0] > '9' || *end != '\0' || errno != 0 ||
        number > max)
        return bad(option, pairs, "not a number that is allowed here", error);
    *value = (int)number;
    return true;
}

static bool take_bool(const char *option, const struct pairs *pairs, bool *value,
                      struct error *error)
{
    const char *text = pairs->has_value ? pairs->value : "on";

    *value = !strcmp(text, "on") || !strcmp(text, "yes") || !strcmp(text, "true");
    return *value || !strcmp(text, "off") || !strcmp(text, "no") || !strcmp(text, "false") ||
           bad(option, pairs, "on or off", error);
}

/* The index of the value among `words`, which ends with NULL; "not there yet" for words after "!".
 */
static bool take_word(const char *option, const struct pairs *pairs, const char *const *words,
                      int *value, struct error *error)
{
    char known[200] = "known are";
    bool is_there = true;

    for (int i = 0; words[i] != NULL; i++) {
        if (!strcmp(words[i], "!")) {
            is_there = false;
            continue;
        }
        if (!strcmp(pairs->value, words[i])) {
            *value = i;
            return is_there || bad(option, pairs, "not supported yet", error);
        }
        if (is_there && strlen(known) + strlen(words[i]) + 2 < sizeof(known)) {
            strcat(known, " ");
            strcat(known, words[i]);
        }
    }
    return bad(option, pairs, known, error);
}

/* ---- places ---- */

static unsigned units_of(enum drive_interface interface)
{
    return interface == DRIVE_IDE ? IDE_UNITS : FLOPPY_UNITS;
}

static unsigned buses_of(enum drive_interface interface)
{
    return interface == DRIVE_IDE ? IDE_BUSES : 1;
}

static struct drive_spec *find_place(struct drive_list *list, enum drive_interface interface,
                                     unsigned bus, unsigned unit)
{
    for (unsigned i = 0; i < list->count; i++) {
        struct drive_spec *drive = &list->drives[i];

        if (drive->interface == interface && drive->bus == bus && drive->unit == unit)
            return drive;
    }
    return NULL;
}

/* Where a drive goes; UNPLACED where nothing was said. */
struct place {
    int index, bus, unit;
};

static bool settle(struct drive_list *list, struct drive_spec *drive, const struct place *place,
                   const char *option, struct error *error)
{
    const unsigned units = units_of(drive->interface), buses = buses_of(drive->interface);
    const char *interface = drive->interface == DRIVE_IDE ? "IDE" : "floppy";
    unsigned place_index;

    if (place->index != UNPLACED && (place->bus != UNPLACED || place->unit != UNPLACED))
        return error_set(error, "-%s: index= or bus= and unit=, not both", option);
    if (place->index != UNPLACED) {
        place_index = (unsigned)place->index;
    } else if (place->unit != UNPLACED) {
        if ((unsigned)place->unit >= units)
            return error_set(error, "-%s: unit %d: there are %u %s drives on a bus", option,
                             place->unit, units, interface);
        place_index =
            (unsigned)(place->bus == UNPLACED ? 0 : place->bus) * units + (unsigned)place->unit;
    } else { /* the next one that is free */
        place_index = place->bus == UNPLACED ? 0 : (unsigned)place->bus * units;
        while (place_index < units * buses &&
               find_place(list, drive->interface, place_index / units, place_index % units) != NULL)
            place_index++;
    }
    if (place_index >= units * buses)
        return error_set(error, "-%s: there are only %u places for %s drives", option,
                         units * buses, interface);
    drive->bus = place_index / units;
    drive->unit = place_index % units;
    if (find_place(list, drive->interface, drive->bus, drive->unit) != NULL)
        return error_set(error, "-%s: there is a drive already at bus %u, unit %u (%s index %u)",
                         option, drive->bus, drive->unit, interface, place_index);
    return true;
}

/* Names as QEMU gives them. */
static void name_drive(struct drive_spec *drive)
{
    if (drive->has_id)
        return;
    if (drive->interface == DRIVE_FLOPPY)
        snprintf(drive->name, sizeof(drive->name), "floppy%u", drive->unit);
    else
        snprintf(drive->name, sizeof(drive->name), "ide%u-%s%u", drive->bus,
                 drive->is_cdrom ? "cd" : "hd", drive->unit);
}

static bool add(struct drive_list *list, const struct drive_spec *drive, const char *option,
                struct error *error)
{
    if (list->count == DRIVES_MAX)
        return error_set(error, "-%s: more than %d drives", option, DRIVES_MAX);
    for (unsigned i = 0; i < list->count; i++)
        if (!strcmp(list->drives[i].name, drive->name))
            return error_set(error, "-%s: there are two drives called %s", option, drive->name);
    list->drives[list->count++] = *drive;
    return true;
}

/* ---- -hda and its kin ---- */

bool drive_take_file(struct drive_list *list, const char *option, const char *file,
                     struct error *error)
{
    struct drive_spec drive = {.boot_index = -1};
    struct place place = {UNPLACED, UNPLACED, UNPLACED};

    if (!strcmp(option, "cdrom")) {
        drive.is_cdrom = drive.image.read_only = true;
        place.index = 2;
    } else {
        drive.interface = option[0] == 'f' ? DRIVE_FLOPPY : DRIVE_IDE;
        place.index = option[2] - 'a';
    }
    if (strlen(file) >= sizeof(drive.image.file))
        return error_set(error, "-%s: the file name is too long", option);
    memcpy(drive.image.file, file, strlen(file) + 1);
    if (!settle(list, &drive, &place, option, error))
        return false;
    name_drive(&drive);
    return add(list, &drive, option, error);
}

/* ---- -drive ---- */

static const char *const interfaces[] = {"ide", "floppy", "none", "!",   "virtio", "scsi",
                                         "sd",  "pflash", "mtd",  "xen", NULL};
static const char *const media[] = {"disk", "cdrom", NULL};
static const char *const caches[] = {"writeback",  "none",   "writethrough",
                                     "directsync", "unsafe", NULL};
static const char *const discards[] = {"ignore", "off", "unmap", "on", NULL};
static const char *const aios[] = {"threads", "native", "io_uring", NULL};
/* As enum image_on_error; "enospc" is for writes only. */
static const char *const write_policies[] = {"report", "ignore", "stop", "enospc", NULL};
static const char *const read_policies[] = {"report", "ignore", "stop", NULL};
static const char *const offs[] = {"off", "!", "on", "unmap", NULL};

/* cache.direct and its kin; GIVEN ones come after cache=, wherever they stand. */
struct cache_parts {
    bool writeback_given, direct_given, no_flush_given;
    bool writeback, direct, no_flush;
};

struct drive_parse {
    struct drive_spec *drive;
    struct place place;
    struct cache_parts cache;
    bool media_given;
};

static bool settle_cache(enum image_cache *cache, const struct cache_parts *given,
                         struct error *error)
{
    const bool writeback = given->writeback_given
                               ? given->writeback
                               : *cache != CACHE_WRITETHROUGH && *cache != CACHE_DIRECTSYNC;
    const bool direct =
        given->direct_given ? given->direct : *cache == CACHE_NONE || *cache == CACHE_DIRECTSYNC;
    const bool no_flush = given->no_flush_given ? given->no_flush : *cache == CACHE_UNSAFE;

    if (no_flush && (direct || !writeback))
        return error_set(error, "-drive cache.no-flush=on: only with cache.writeback=on and "
                                "cache.direct=off");
    if (no_flush)
        *cache = CACHE_UNSAFE;
    else if (writeback)
        *cache = direct ? CACHE_NONE : CACHE_WRITEBACK;
    else
        *cache = direct ? CACHE_DIRECTSYNC : CACHE_WRITETHROUGH;
    return true;
}

/* "cache.direct" and its kin; *known: it is one. */
static bool take_cache_part(struct cache_parts *cache, const struct pairs *pairs, bool *known,
                            struct error *error)
{
    const struct {
        const char *key;
        bool *given, *value;
    } parts[] = {{"cache.writeback", &cache->writeback_given, &cache->writeback},
                 {"cache.direct", &cache->direct_given, &cache->direct},
                 {"cache.no-flush", &cache->no_flush_given, &cache->no_flush}};

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (strcmp(pairs->key, parts[i].key) != 0)
            continue;
        *known = *parts[i].given = true;
        return take_bool("drive", pairs, parts[i].value, error);
    }
    *known = false;
    return true;
}

/* werror=, rerror= */
static bool take_policy(const char *option, const struct pairs *pairs, struct drive_spec *drive,
                        struct error *error)
{
    const bool is_write = pairs->key[0] == 'w';
    int word = 0;

    if (!take_word(option, pairs, is_write ? write_policies : read_policies, &word, error))
        return false;
    if (is_write) {
        drive->image.on_write_error = (enum image_on_error)word;
        drive->werror_given = true;
    } else {
        drive->image.on_read_error = (enum image_on_error)word;
        drive->rerror_given = true;
    }
    return true;
}

static bool take_drive_key(struct drive_parse *parse, const struct pairs *pairs,
                           struct error *error)
{
    static const char option[] = "drive";
    struct drive_spec *drive = parse->drive;
    struct image_spec *image = &drive->image;
    bool is_cache_part;
    int word = 0;

    if (!take_cache_part(&parse->cache, pairs, &is_cache_part, error) || is_cache_part)
        return error->text[0] == '\0';
    if (!strcmp(pairs->key, "file"))
        return take_text(option, pairs, image->file, sizeof(image->file), error);
    if (!strcmp(pairs->key, "format") || !strcmp(pairs->key, "driver"))
        return take_text(option, pairs, image->format, sizeof(image->format), error);
    if (!strcmp(pairs->key, "if")) {
        if (!take_word(option, pairs, interfaces, &word, error))
            return false;
        drive->interface = (enum drive_interface)word;
        return true;
    }
    if (!strcmp(pairs->key, "media")) {
        parse->media_given = true;
        return take_word(option, pairs, media, &word, error) &&
               ((drive->is_cdrom = word == 1), true);
    }
    if (!strcmp(pairs->key, "index"))
        return take_number(option, pairs, 255, &parse->place.index, error);
    if (!strcmp(pairs->key, "bus"))
        return take_number(option, pairs, 255, &parse->place.bus, error);
    if (!strcmp(pairs->key, "unit"))
        return take_number(option, pairs, 255, &parse->place.unit, error);
    if (!strcmp(pairs->key, "readonly") || !strcmp(pairs->key, "read-only"))
        return take_bool(option, pairs, &image->read_only, error);
    if (!strcmp(pairs->key, "snapshot")) {
        drive->snapshot_given = true;
        return take_bool(option, pairs, &image->snapshot, error);
    }
    if (!strcmp(pairs->key, "cache"))
        return take_word(option, pairs, caches, &word, error) &&
               ((image->cache = (enum image_cache)word), true);
    if (!strcmp(pairs->key, "discard"))
        return take_word(option, pairs, discards, &word, error) &&
               ((image->unmap = word >= 2), true);
    if (!strcmp(pairs->key, "werror") || !strcmp(pairs->key, "rerror"))
        return take_policy(option, pairs, drive, error);
    if (!strcmp(pairs->key, "aio")) /* how the host's disk is reached is our own matter */
        return take_word(option, pairs, aios, &word, error);
    if (!strcmp(pairs->key, "detect-zeroes") || !strcmp(pairs->key, "copy-on-read"))
        return take_word(option, pairs, offs, &word, error);
    if (!strcmp(pairs->key, "id")) {
        drive->has_id = pairs->value[0] != '\0';
        return take_text(option, pairs, drive->name, sizeof(drive->name), error);
    }
    return error_set(error,
                     "-drive %s: not supported; known are file, if, index, bus, unit, media, "
                     "format, driver, readonly, snapshot, cache, cache.writeback, cache.direct, "
                     "cache.no-flush, discard, werror, rerror, aio, detect-zeroes, "
                     "copy-on-read, id",
                     pairs->key);
}

bool drive_take_spec(struct drive_list *list, const char *text, struct error *error)
{
    struct drive_spec drive = {.boot_index = -1};
    struct drive_parse parse = {.drive = &drive, .place = {UNPLACED, UNPLACED, UNPLACED}};
    struct pairs pairs = {.rest = text};

    while (next_pair(&pairs, "drive", error))
        if (!take_drive_key(&parse, &pairs, error))
            return false;
    if (error->text[0] != '\0' || !settle_cache(&drive.image.cache, &parse.cache, error))
        return false;
    if (drive.interface == DRIVE_FLOPPY && drive.is_cdrom)
        return error_set(error, "-drive if=floppy,media=cdrom: one or the other");
    if (drive.interface == DRIVE_NONE && !drive.has_id)
        return error_set(error, "-drive if=none: needs an id= for a -device to name it");
    if (drive.interface != DRIVE_NONE && !settle(list, &drive, &parse.place, "drive", error))
        return false;
    drive.image.read_only |= drive.is_cdrom;
    name_drive(&drive);
    return add(list, &drive, "drive", error);
}

/* ---- -device ---- */

static const char *const devices[] = {"ide-hd", "ide-cd", "floppy"};

static int device_index(const char *text)
{
    const size_t length = strcspn(text, ",");

    for (int i = 0; i < (int)(sizeof(devices) / sizeof(devices[0])); i++)
        if (strlen(devices[i]) == length && !strncmp(devices[i], text, length))
            return i;
    return -1;
}

bool drive_is_device(const char *text)
{
    return device_index(text) >= 0;
}

/* "ide.1", "floppy-bus.0" */
static bool take_bus_name(const struct pairs *pairs, const char *prefix, unsigned buses, int *bus,
                          struct error *error)
{
    const size_t length = strlen(prefix);
    const char *digit = pairs->value + length;

    if (strncmp(pairs->value, prefix, length) != 0 || digit[0] < '0' || digit[1] != '\0' ||
        (unsigned)(digit[0] - '0') >= buses)
        return bad("device", pairs, "no such bus", error);
    *bus = digit[0] - '0';
    return true;
}

/* The drive that drive=ID names, or without that an empty one. */
static struct drive_spec *device_drive(struct drive_list *list, const char *id, const char *name,
                                       struct error *error)
{
    struct drive_spec empty = {.interface = DRIVE_NONE, .boot_index = -1, .has_id = true};

    for (unsigned i = 0; i < list->count; i++) {
        struct drive_spec *drive = &list->drives[i];

        if (id[0] == '\0' || strcmp(drive->name, id) != 0)
            continue;
        if (drive->interface == DRIVE_NONE)
            return drive;
        (void)error_set(error, "-device %s: drive %s has its place already", name, id);
        return NULL;
    }
    if (id[0] != '\0') {
        (void)error_set(error, "-device %s: no -drive id=%s before it", name, id);
        return NULL;
    }
    snprintf(empty.name, sizeof(empty.name), "%s-%u", name, list->count);
    return add(list, &empty, "device", error) ? &list->drives[list->count - 1] : NULL;
}

/* cyls=, heads=, secs=: *known: it is one. */
static bool take_geometry(struct block_geometry *geometry, const struct pairs *pairs, bool *known,
                          struct error *error)
{
    const struct {
        const char *key;
        int max;
        uint32_t *value;
    } parts[] = {{"cyls", 65535, &geometry->cylinders},
                 {"heads", 16, &geometry->heads},
                 {"secs", 255, &geometry->sectors}};
    int number = 0;

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (strcmp(pairs->key, parts[i].key) != 0)
            continue;
        *known = true;
        if (!take_number("device", pairs, parts[i].max, &number, error))
            return false;
        *parts[i].value = (uint32_t)number;
        return number != 0 || bad("device", pairs, "must not be 0", error);
    }
    *known = false;
    return true;
}

static bool has_part_of_geometry(const struct block_geometry *g)
{
    const unsigned given = (g->cylinders != 0) + (g->heads != 0) + (g->sectors != 0);

    return given == 1 || given == 2;
}

bool drive_take_device(struct drive_list *list, const char *text, struct error *error)
{
    static const char option[] = "device";
    const int device = device_index(text);
    const char *name = devices[device];
    const bool is_floppy = device == 2;
    struct drive_spec wanted = {.boot_index = -1}, *drive;
    struct place place = {UNPLACED, UNPLACED, UNPLACED};
    struct pairs pairs = {.rest = text};
    char id[IMAGE_NAME_BYTES] = "", ignored[IMAGE_NAME_BYTES];

    while (next_pair(&pairs, option, error)) {
        bool ok, is_geometry;

        if (!pairs.has_value && !strcmp(pairs.key, name))
            continue;
        if (device == 0) {
            ok = take_geometry(&wanted.geometry, &pairs, &is_geometry, error);
            if (!ok || is_geometry)
                continue; /* the loop ends where there is an error */
        }
        if (!strcmp(pairs.key, "drive"))
            ok = take_text(option, &pairs, id, sizeof(id), error);
        else if (!strcmp(pairs.key, "bus"))
            ok = is_floppy ? take_bus_name(&pairs, "floppy-bus.", 1, &place.bus, error)
                           : take_bus_name(&pairs, "ide.", IDE_BUSES, &place.bus, error);
        else if (!strcmp(pairs.key, "unit"))
            ok = take_number(option, &pairs, 255, &place.unit, error);
        else if (!strcmp(pairs.key, "bootindex"))
            ok = take_number(option, &pairs, 1 << 20, &wanted.boot_index, error);
        else if (!is_floppy && (!strcmp(pairs.key, "werror") || !strcmp(pairs.key, "rerror")))
            ok = !strcmp(pairs.value, "auto") || take_policy(option, &pairs, &wanted, error);
        else if (!strcmp(pairs.key, "serial"))
            ok = take_text(option, &pairs, wanted.serial, sizeof(wanted.serial), error);
        else if (!strcmp(pairs.key, "model"))
            ok = take_text(option, &pairs, wanted.model, sizeof(wanted.model), error);
        else if (!strcmp(pairs.key, "id"))
            ok = take_text(option, &pairs, ignored, sizeof(ignored), error);
        else
            ok = error_set(error,
                           "-device %s: %s is not supported; known are drive, bus, unit, "
                           "bootindex, serial, model, id%s%s",
                           name, pairs.key, is_floppy ? "" : ", werror, rerror",
                           device == 0 ? ", cyls, heads, secs" : "");
        if (!ok)
            return false;
    }
    if (error->text[0] != '\0')
        return false;
    if (has_part_of_geometry(&wanted.geometry))
        return error_set(error, "-device %s: cyls, heads and secs: all of them or none", name);
    drive = device_drive(list, id, name, error);
    if (drive == NULL)
        return false;
    wanted.interface = is_floppy ? DRIVE_FLOPPY : DRIVE_IDE;
    if (!settle(list, &wanted, &place, option, error))
        return false;
    drive->interface = wanted.interface;
    drive->bus = wanted.bus;
    drive->unit = wanted.unit;
    drive->boot_index = wanted.boot_index;
    drive->geometry = wanted.geometry;
    drive->is_cdrom = device == 1;
    drive->image.read_only |= drive->is_cdrom;
    if (wanted.werror_given)
        drive->image.on_write_error = wanted.image.on_write_error;
    if (wanted.rerror_given)
        drive->image.on_read_error = wanted.image.on_read_error;
    drive->werror_given |= wanted.werror_given;
    drive->rerror_given |= wanted.rerror_given;
    memcpy(drive->serial, wanted.serial, sizeof(wanted.serial));
    memcpy(drive->model, wanted.model, sizeof(wanted.model));
    return true;
}

/* ---- everything has been read ---- */

static bool add_empty(struct drive_list *list, enum drive_interface interface, unsigned bus,
                      bool is_cdrom, struct error *error)
{
    struct drive_spec drive = {
        .interface = interface, .bus = bus, .is_cdrom = is_cdrom, .boot_index = -1};

    if (find_place(list, interface, bus, 0) != NULL || list->count == DRIVES_MAX)
        return true;
    drive.image.read_only = is_cdrom;
    name_drive(&drive);
    return add(list, &drive, "drive", error);
}

bool drive_complete(struct drive_list *list, bool defaults, struct error *error)
{
    for (unsigned i = 0; i < list->count; i++) {
        struct drive_spec *drive = &list->drives[i];

        if (drive->interface == DRIVE_NONE)
            return error_set(error, "-drive if=none,id=%s: no -device uses it", drive->name);
        if (list->snapshot && !drive->snapshot_given)
            drive->image.snapshot = true;
        if (drive->interface == DRIVE_FLOPPY && (drive->werror_given || drive->rerror_given))
            return error_set(error,
                             "-drive: %s: floppy drives have no werror= and rerror=", drive->name);
        if (drive->interface == DRIVE_IDE && !drive->werror_given)
            drive->image.on_write_error = ON_ERROR_ENOSPC;
        if (drive->interface == DRIVE_IDE && !drive->is_cdrom && drive->image.file[0] == '\0')
            return error_set(error, "-drive: %s: a hard disk needs an image (file=...)",
                             drive->name);
    }
    return !defaults || (add_empty(list, DRIVE_IDE, 1, true, error) &&
                         add_empty(list, DRIVE_FLOPPY, 0, false, error));
}

void drive_boot_order(const struct drive_list *list, char *text, size_t size)
{
    size_t used = 0;
    int after = -1;

    text[0] = '\0';
    for (;;) {
        const struct drive_spec *next = NULL;

        for (unsigned i = 0; i < list->count; i++) {
            const struct drive_spec *drive = &list->drives[i];

            if (drive->boot_index > after && (next == NULL || drive->boot_index < next->boot_index))
                next = drive;
        }
        if (next == NULL || used + 1 >= size)
            return;
        after = next->boot_index;
        if (next->interface == DRIVE_FLOPPY)
            used +=
                (size_t)snprintf(text + used, size - used, "%s/pci@i0cf8/isa@1/fdc@03f0/floppy@%u",
                                 used ? "\n" : "", next->unit);
        else
            used +=
                (size_t)snprintf(text + used, size - used, "%s/pci@i0cf8/ide@1,1/drive@%u/disk@%u",
                                 used ? "\n" : "", next->bus, next->unit);
    }
}
