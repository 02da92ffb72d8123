/*
 * devices/block.h -- a disk image as its drive sees it, and the drive as the image sees it.
 *
 * The loader implements images (raw file, snapshot, network), a chip implements drives (ATA disk,
 * CD-ROM, floppy).  All calls, in both directions, are made on the machine's thread.  An image may
 * work on other threads inside, but it calls back on the machine's thread only.
 *
 *   drive                                        image
 *   fills a struct block_request
 *   backend->ops->submit(ctx, request)   ---->   starts it
 *   request->done(request, error)        <----   before submit() returns, or later
 *
 * An error is a negative errno: -EIO and whatever else the host said.  The image reports it to the
 * user, once; the drive turns it into what its hardware would tell the guest.
 *
 * Offsets and sizes are bytes, multiples of BLOCK_SECTOR, and the drive has checked them against
 * size_bytes and read_only: an image may answer -EINVAL to what is outside, and must not crash.
 */
#ifndef RINGER_DEVICES_BLOCK_H
#define RINGER_DEVICES_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum { BLOCK_SECTOR = 512 };

enum block_op {
    BLOCK_READ,
    BLOCK_WRITE,
    BLOCK_FLUSH,   /* all that was acknowledged before is on stable storage when it is done */
    BLOCK_DISCARD, /* the contents of the range no longer matter; afterwards they read as
                    * anything, but never as what did not belong to this image */
};

/*
 * The drive owns the request and everything it points to, and leaves it alone until done() is
 * called or cancel() returns.  Any number may be under way; they may finish in any order, and
 * overlapping ones have no order.
 */
struct block_request {
    enum block_op op;
    uint64_t offset, size;   /* FLUSH: both 0 */
    const struct iovec *iov; /* READ, WRITE: size bytes in total; pieces of any length and address
                              * (often guest memory itself, so the guest may change them) */
    unsigned iov_count;      /* may exceed the host's IOV_MAX */
    /* error: 0 or negative errno.  After an error in READ the buffers hold anything; after an error
     * in WRITE the range holds old or new data.  It may submit again, this request included. */
    void (*done)(struct block_request *request, int error);
    void *ctx; /* the drive's */

    /* The image's, while it has the request. */
    void *image_data;
    struct block_request *next;
};

struct block_ops {
    void (*submit)(void *ctx, struct block_request *request);
    /* On return nothing touches the request or its buffers any more, and done() will not be called.
     * It may wait for the request to finish; a WRITE may have happened, wholly, in part, not. */
    void (*cancel)(void *ctx, struct block_request *request);
    /* Wait until every request has called done(). */
    void (*drain)(void *ctx);
    /* Removable media: the drive opened its tray (or ejected the floppy), or closed it again.  The
     * medium stays the image's; the user may change it meanwhile.  May be NULL. */
    void (*tray_moved)(void *ctx, bool open);
};

/* What the image's owner asks of a removable drive, which fills it in when it is created. */
struct block_drive_ops {
    /* inserted, size_bytes, read_only, can_discard are about to change: the drive finishes or
     * cancels what it has under way. */
    void (*medium_leaving)(void *drive);
    /* They have changed: another medium, or none.  A medium that is put in closes the tray; that it
     * was open meanwhile, locked or not, goes without saying. */
    void (*medium_changed)(void *drive);
    /* The operator presses the button: the drive opens its tray unless the guest locked it; then
     * the guest is asked.  True when the tray is open on return. */
    bool (*eject_pressed)(void *drive);
};

/*
 * One drive's image.  For a removable drive it lives as long as the machine, whatever is in it.
 */
struct block_backend {
    const struct block_ops *ops;
    void *ctx;

    /* The medium, kept by the image's owner. */
    bool inserted;       /* always true for hard disks */
    uint64_t size_bytes; /* a multiple of BLOCK_SECTOR; a file that ends inside a sector counts with
                          * that sector, whose rest reads as 0 */
    bool read_only;
    bool can_discard;

    /* The drive's side; NULL where the medium is fixed. */
    const struct block_drive_ops *drive_ops;
    void *drive;
};

/* Geometry as old software sees it; all 0: the drive decides by size and partition table. */
struct block_geometry {
    uint32_t cylinders, heads, sectors;
};

/* ---- a synchronous read for whoever has to look before the machine runs ---- */

static inline void block_sync_done(struct block_request *request, int error)
{
    *(int *)request->ctx = error;
}

/* offset and size in bytes, multiples of BLOCK_SECTOR.  0 or a negative errno. */
static inline int block_read_sync(struct block_backend *backend, uint64_t offset, void *buffer,
                                  size_t size)
{
    int error = 1;
    const struct iovec iov = {.iov_base = buffer, .iov_len = size};
    struct block_request request = {.op = BLOCK_READ,
                                    .offset = offset,
                                    .size = size,
                                    .iov = &iov,
                                    .iov_count = 1,
                                    .done = block_sync_done,
                                    .ctx = &error};

    backend->ops->submit(backend->ctx, &request);
    if (error == 1)
        backend->ops->drain(backend->ctx);
    return error;
}

#endif
