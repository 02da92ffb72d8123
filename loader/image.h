/*
 * loader/image.h -- disk images: the block_backend that a drive sees, and what the user can do with
 * it meanwhile.
 *
 *   drive --- struct block_backend --- image.c --- worker thread --- a store (image_store.h)
 *                  (machine's thread)   queue                          image_raw.c       file
 *                                                                      image_snapshot.c  overlay
 *                                                                      image_nbd.c       server
 *
 * Every image has one worker, so that a slow flush or a remote image does not freeze the guest.
 * Completions come back to the machine's thread through one eventfd for all images.
 */
#ifndef RINGER_LOADER_IMAGE_H
#define RINGER_LOADER_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "devices/block.h"
#include "loader/error.h"

enum { IMAGE_PATH_BYTES = 4096, IMAGE_NAME_BYTES = 64 };

/* QEMU's cache modes: does the host's page cache hold data (not with none, directsync); does a write
 * wait for stable storage (writethrough, directsync); does a flush do anything (not with unsafe). */
enum image_cache {
    CACHE_WRITEBACK,
    CACHE_NONE,
    CACHE_WRITETHROUGH,
    CACHE_DIRECTSYNC,
    CACHE_UNSAFE
};

/* What a drive does when the host fails. */
enum image_on_error {
    ON_ERROR_REPORT, /* the guest sees a device error */
    ON_ERROR_IGNORE, /* the guest sees success */
    ON_ERROR_STOP,   /* the machine stops; the request is tried again when it goes on */
    ON_ERROR_ENOSPC, /* stop when the host has no space left, else report */
};

struct image_spec {
    char file[IMAGE_PATH_BYTES]; /* "": no medium */
    char format[16];             /* "": look at the file */
    bool read_only, snapshot, unmap;
    enum image_cache cache;
    enum image_on_error on_read_error, on_write_error; /* the drive's: a change of the medium leaves
                                                        * them */
};

struct image_host;
struct image;

/* The images of one machine.  synchronous: every request is done when submit() returns, so that a
 * run can be repeated; there are no threads then.  NULL when out of memory or descriptors. */
struct image_host *image_host_create(bool synchronous);
/* Closes what is left. */
void image_host_destroy(struct image_host *host);
/* How long a server that does not answer may keep the machine, or its end, waiting; then the
 * connection is given up.  Default 5 s. */
void image_host_set_patience(struct image_host *host, unsigned ms);
/* For pc_watch_fd(): the descriptor, and what to call (ctx is the host). */
int image_host_fd(const struct image_host *host);
void image_host_ready(void *ctx, int fd);

/* `stop` is to stop the machine: a request has failed and is kept, as the drive's policy says.  Called
 * on the machine's thread, from within submit() too.  Without it such errors are reported. */
void image_host_on_stop(struct image_host *host, void (*stop)(void *ctx), void *ctx);
/* The machine goes on: what was kept is tried again, and may stop it once more.  ctx is the host. */
void image_host_retry(void *ctx);

/* Open an image; name is the drive's ("ide0-hd0").  removable: a medium may be absent, and change.
 * On failure NULL, and the error names the file. */
struct image *image_open(struct image_host *host, const char *name, const struct image_spec *spec,
                         bool removable, struct error *error);
/* Flush, unless the cache mode is unsafe, and close.  The drive must be gone. */
void image_close(struct image *image);
struct block_backend *image_backend(struct image *image);

/* ---- for the monitor; on the machine's thread ---- */

struct image *image_find(struct image_host *host, const char *name);
struct image *image_next(struct image_host *host, const struct image *after); /* NULL: the first */
const char *image_name(const struct image *image);
/* Take the medium out.  A drive whose tray the guest has locked is asked, and the error says so,
 * unless `force`. */
bool image_eject(struct image *image, bool force, struct error *error);
/* Put another medium in.  When it cannot be opened nothing changes. */
bool image_change(struct image *image, const struct image_spec *spec, bool force,
                  struct error *error);
/* One line: "ide1-cd0: disc.iso (raw, read-only)" */
void image_describe(const struct image *image, char *text, size_t size);
/* Wait for everything under way, then flush.  0 or a negative errno. */
int image_flush(struct image *image);

#endif
