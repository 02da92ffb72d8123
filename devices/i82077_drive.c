/*
 * devices/i82077_drive.c -- floppy drives and what is in them.
 * Sources: ECMA-125, ISO/IEC 9529 (3.5 inch), ECMA-59, ECMA-99 (5.25 inch) for the common formats;
 * the rest are the formats that formatting programs have squeezed onto the same media.
 *
 * A medium is an image; its size says its format.  An image of a size that no format has is taken
 * for the beginning of a 1.44 MB (or, when larger, 2.88 MB) disk: what is missing reads as zeros.
 */
#include "devices/i82077_internal.h"

/* clang-format off */
static const struct format {
    uint8_t cylinders, heads, sectors;
    enum floppy_rate rate;
    enum i82077_drive_type type; /* the drive it is made for */
} formats[] = {
    {80, 2, 18, RATE_500K, FLOPPY_1440K}, /* these two also for sizes that are not here */
    {80, 2, 36, RATE_1M,   FLOPPY_2880K},
    {40, 1,  8, RATE_250K, FLOPPY_360K},
    {40, 1,  9, RATE_250K, FLOPPY_360K},
    {40, 2,  8, RATE_250K, FLOPPY_360K},
    {40, 2,  9, RATE_250K, FLOPPY_360K},
    {41, 2, 10, RATE_250K, FLOPPY_360K},
    {42, 2, 10, RATE_250K, FLOPPY_360K},
    {80, 2, 15, RATE_500K, FLOPPY_1200K},
    {80, 2,  8, RATE_250K, FLOPPY_1440K}, /* double density in a high density drive */
    {80, 2,  9, RATE_250K, FLOPPY_1440K},
    {80, 2, 10, RATE_250K, FLOPPY_1440K},
    {82, 2, 10, RATE_250K, FLOPPY_1440K},
    {83, 2, 10, RATE_250K, FLOPPY_1440K},
    {82, 2, 18, RATE_500K, FLOPPY_1440K},
    {83, 2, 18, RATE_500K, FLOPPY_1440K},
    {80, 2, 20, RATE_500K, FLOPPY_1440K},
    {80, 2, 21, RATE_500K, FLOPPY_1440K},
    {82, 2, 21, RATE_500K, FLOPPY_1440K},
    {83, 2, 21, RATE_500K, FLOPPY_1440K},
    {80, 2, 22, RATE_500K, FLOPPY_1440K},
    {80, 2, 23, RATE_500K, FLOPPY_1440K},
    {80, 2, 24, RATE_500K, FLOPPY_1440K},
    {80, 2, 39, RATE_1M,   FLOPPY_2880K},
    {80, 2, 40, RATE_1M,   FLOPPY_2880K},
    {80, 2, 44, RATE_1M,   FLOPPY_2880K},
    {80, 2, 48, RATE_1M,   FLOPPY_2880K},
};
/* clang-format on */

static uint64_t format_bytes(const struct format *format)
{
    return (uint64_t)format->cylinders * format->heads * format->sectors * BLOCK_SECTOR;
}

static const struct format *format_of(uint64_t size_bytes)
{
    for (unsigned i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        if (format_bytes(&formats[i]) == size_bytes)
            return &formats[i];
    }
    return size_bytes <= format_bytes(&formats[0]) ? &formats[0] : &formats[1];
}

static void medium_load(struct floppy_drive *drive)
{
    const struct format *format;

    drive->medium = (struct floppy_medium){0};
    if (drive->backend == NULL || !drive->backend->inserted)
        return;
    format = format_of(drive->backend->size_bytes);
    drive->medium.cylinders = format->cylinders;
    drive->medium.heads = format->heads;
    drive->medium.sectors = format->sectors;
    drive->medium.rate = format->rate;
    /* A 1.2 MB drive turns faster: what was written at 250 kbit/s comes at 300. */
    if (format->type == FLOPPY_360K && drive->type == FLOPPY_1200K)
        drive->medium.rate = RATE_300K;
}

/* ---- what the image's owner says ---- */

static void medium_leaving(void *ctx)
{
    struct floppy_drive *drive = ctx;

    i82077_transfer_abort(drive->controller, drive);
}

static void medium_changed(void *ctx)
{
    struct floppy_drive *drive = ctx;

    drive->changed = true;
    medium_load(drive);
}

/* The button is a lever: nobody is asked. */
static bool eject_pressed(void *ctx)
{
    (void)ctx;
    return true;
}

static const struct block_drive_ops drive_ops = {.medium_leaving = medium_leaving,
                                                 .medium_changed = medium_changed,
                                                 .eject_pressed = eject_pressed};

/* ---- what the controller does ---- */

void floppy_drive_init(struct floppy_drive *drive, struct i82077 *controller, unsigned index,
                       struct block_backend *backend)
{
    *drive = (struct floppy_drive){
        .controller = controller, .index = index, .backend = backend, .changed = true};
    if (backend == NULL)
        return;
    drive->type = backend->inserted ? format_of(backend->size_bytes)->type : FLOPPY_1440K;
    backend->drive_ops = &drive_ops;
    backend->drive = drive;
    medium_load(drive);
}

void floppy_drive_close(struct floppy_drive *drive)
{
    if (drive->backend == NULL)
        return;
    drive->backend->drive_ops = NULL;
    drive->backend->drive = NULL;
}

void floppy_drive_step(struct floppy_drive *drive, int steps)
{
    int track = drive->track + steps;

    if (steps == 0)
        return;
    if (track < 0)
        track = 0;
    if (track >= FLOPPY_TRACKS_MAX)
        track = FLOPPY_TRACKS_MAX - 1;
    drive->track = (uint8_t)track;
    /* A step pulse resets the disk change line if there is a disk. */
    if (drive->medium.cylinders != 0)
        drive->changed = false;
}

int floppy_drive_cylinder(const struct floppy_drive *drive)
{
    unsigned cylinder = drive->track;

    /* A disk with 48 tracks an inch, in a drive with 96. */
    if (drive->type == FLOPPY_1200K && drive->medium.rate == RATE_300K) {
        if (cylinder % 2 != 0)
            return -1;
        cylinder /= 2;
    }
    return cylinder < drive->medium.cylinders ? (int)cylinder : -1;
}

bool floppy_drive_write_protected(const struct floppy_drive *drive)
{
    return drive->medium.cylinders != 0 && drive->backend->read_only;
}
