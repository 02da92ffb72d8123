/*
 * loader/image_store.h -- where the bytes of a disk image are: inside of image.c.
 *
 * A store is used by one thread at a time (an image's worker, or the machine's thread while the
 * worker has nothing to do), except where said otherwise.  Calls may block.  Errors are
 * negative errnos.
 */
#ifndef RINGER_LOADER_IMAGE_STORE_H
#define RINGER_LOADER_IMAGE_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "loader/error.h"
#include "loader/image.h"

struct store;

struct store_ops {
    /* `size` bytes between the pieces of iov and `offset`; all of them, or an error. */
    int (*read)(struct store *store, const struct iovec *iov, unsigned iov_count, uint64_t offset,
                uint64_t size);
    int (*write)(struct store *store, const struct iovec *iov, unsigned iov_count, uint64_t offset,
                 uint64_t size);
    int (*flush)(struct store *store);
    int (*discard)(struct store *store, uint64_t offset, uint64_t size);
    /* Read if that needs no waiting; false when it did not happen, whatever the pieces then hold.
     * May be NULL. */
    bool (*read_now)(struct store *store, const struct iovec *iov, unsigned iov_count,
                     uint64_t offset, uint64_t size);
    /* Any thread: make a call that is under way fail soon.  May be NULL unless can_hang. */
    void (*abort)(struct store *store);
    /* Frees it, whatever was not flushed is as with a power cut. */
    void (*close)(struct store *store);
};

struct store {
    const struct store_ops *ops;
    uint64_t size_bytes; /* a multiple of BLOCK_SECTOR, not 0 */
    bool read_only, can_discard;
    bool can_hang;      /* it is a server's: abort() helps */
    bool quick_writes;  /* a write ends in the host's page cache and hardly ever waits */
    const char *format; /* how `info block` names it; a constant */
};

/* image_raw.c: a file or block device.  spec->format is not looked at; `read_only` decides. */
struct store *store_open_raw(const struct image_spec *spec, bool read_only, struct error *error);
/* image_nbd.c: an NBD server that runs already: nbd://, nbd+unix:///, nbd:HOST:PORT, nbd:unix:PATH.
 */
bool store_is_nbd(const char *file);
struct store *store_open_nbd(const struct image_spec *spec, bool read_only, struct error *error);
/* image_nbd.c: a file of a foreign format, behind an NBD server that is started for it. */
struct store *store_open_foreign(const struct image_spec *spec, const char *format, bool read_only,
                                 struct error *error);
/* image_snapshot.c: writes go to an unlinked temporary file.  Owns `below`, also on failure. */
struct store *store_open_snapshot(struct store *below, const char *name, struct error *error);
/* image_format.c: a raw image whose format was guessed: writes that would make its first sector
 * look like another format fail with -EPERM.  Owns `below`, also on failure. */
struct store *store_open_guarded(struct store *below, const char *name, struct error *error);

/* image_format.c: all of the above as spec asks. */
struct store *store_open(const struct image_spec *spec, struct error *error);

/* ---- iovec helpers: image_iov.c ---- */

/* Up to max pieces of `iov` that cover bytes [skip, skip + size); returns how many, and the bytes
 * that they cover in *covered. */
unsigned iov_slice(const struct iovec *iov, unsigned iov_count, uint64_t skip, uint64_t size,
                   struct iovec *out, unsigned max, uint64_t *covered);
/* Copy between a buffer and bytes [skip, skip + size) of the pieces. */
void iov_gather(const struct iovec *iov, unsigned iov_count, uint64_t skip, void *to,
                uint64_t size);
void iov_scatter(const struct iovec *iov, unsigned iov_count, uint64_t skip, const void *from,
                 uint64_t size);

#endif
