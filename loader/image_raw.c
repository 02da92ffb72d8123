/*
 * loader/image_raw.c -- a raw image: a file or a block device, byte for byte.
 *
 * What was written is in the host's page cache when the guest is told so: it survives this process.
 * With O_DIRECT (cache=none, directsync) everything goes through an aligned buffer, since guest
 * memory is aligned as the guest likes.
 *
 * A file that ends inside a sector counts with that sector; what lies past the end of the file
 * reads as zeros, also when somebody has cut the file meanwhile.
 *
 * Locks are those of QEMU (since 2.10), so that the two notice each other: open file description
 * locks on single bytes, all of them shared; byte 100 + n says "I use permission n", byte 200 + n
 * "I do not let others have permission n"; whoever wants to use n tests that nobody holds 200 + n.
 */
#define _GNU_SOURCE /* F_OFD_SETLK, O_DIRECT, preadv2, fallocate */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/image_store.h"

enum { BATCH_PIECES = 256, BOUNCE_BYTES = 1 << 20, DIRECT_ALIGN_MAX = 4096 };
enum { LOCK_USES = 100, LOCK_UNSHARES = 200 };
enum { PERMISSION_READ = 0, PERMISSION_WRITE = 1, PERMISSION_RESIZE = 3 };

struct raw {
    struct store store;
    int fd;
    uint64_t file_bytes; /* where the file ended when it was opened; devices: their size */
    bool flush_failed;   /* what could not be written is gone: every later flush fails as well */
    unsigned align;      /* of O_DIRECT; 0: buffered */
    uint8_t *bounce;     /* with align: BOUNCE_BYTES, aligned */
};

static struct raw *raw_of(struct store *store)
{
    return (struct raw *)store;
}

/* ---- buffered ---- */

static int transfer_buffered(struct raw *raw, const struct iovec *iov, unsigned iov_count,
                             uint64_t offset, uint64_t size, bool is_write)
{
    uint64_t done = 0;

    while (done < size) {
        struct iovec batch[BATCH_PIECES];
        uint64_t covered;
        const unsigned count =
            iov_slice(iov, iov_count, done, size - done, batch, BATCH_PIECES, &covered);
        const off_t at = (off_t)(offset + done);
        ssize_t moved;

        if (count == 0)
            return -EINVAL;
        moved = is_write ? pwritev(raw->fd, batch, (int)count, at)
                         : preadv(raw->fd, batch, (int)count, at);
        if (moved < 0 && errno == EINTR)
            continue;
        if (moved < 0)
            return -errno;
        if (moved == 0 && is_write)
            return -EIO;
        if (moved == 0) { /* past the end of the file */
            for (unsigned i = 0; i < count; i++)
                memset(batch[i].iov_base, 0, batch[i].iov_len);
            moved = (ssize_t)covered;
        }
        done += (uint64_t)moved;
    }
    return 0;
}

static bool raw_read_now(struct store *store, const struct iovec *iov, unsigned iov_count,
                         uint64_t offset, uint64_t size)
{
    struct raw *raw = raw_of(store);
    struct iovec batch[BATCH_PIECES];
    uint64_t covered;
    const unsigned count = iov_slice(iov, iov_count, 0, size, batch, BATCH_PIECES, &covered);

    /* All or nothing: a part that is there is read again by the worker. */
    return raw->align == 0 && covered == size &&
           preadv2(raw->fd, batch, (int)count, (off_t)offset, RWF_NOWAIT) == (ssize_t)size;
}

/* ---- O_DIRECT ---- */

/* [offset, offset + size), both multiples of align, into the bounce buffer; zeros past the end. */
static int bounce_read(struct raw *raw, uint64_t offset, uint64_t size)
{
    uint64_t done = 0;

    while (done < size) {
        const ssize_t got = pread(raw->fd, raw->bounce + done, size - done, (off_t)(offset + done));

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        /* A transfer that ends off the grid has met the end of the file. */
        if (got == 0 || (uint64_t)got % raw->align != 0) {
            memset(raw->bounce + done + got, 0, size - done - (uint64_t)got);
            return 0;
        }
        done += (uint64_t)got;
    }
    return 0;
}

static int bounce_write(struct raw *raw, uint64_t offset, uint64_t size)
{
    uint64_t done = 0;

    while (done < size) {
        const ssize_t put =
            pwrite(raw->fd, raw->bounce + done, size - done, (off_t)(offset + done));

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return -errno;
        if (put == 0 || (uint64_t)put % raw->align != 0)
            return -EIO;
        done += (uint64_t)put;
    }
    return 0;
}

/* One bounce buffer after the other; where the ends are off the grid, what is around is kept. */
static int transfer_direct(struct raw *raw, const struct iovec *iov, unsigned iov_count,
                           uint64_t offset, uint64_t size, bool is_write)
{
    const uint64_t mask = raw->align - 1;
    uint64_t done = 0;

    while (done < size) {
        const uint64_t at = offset + done, start = at & ~mask, lead = at - start;
        const uint64_t part = size - done < BOUNCE_BYTES - lead ? size - done : BOUNCE_BYTES - lead;
        const uint64_t span = (lead + part + mask) & ~mask;
        const bool whole = lead == 0 && part == span;
        int error = 0;

        if (!is_write || !whole)
            error = bounce_read(raw, start, span);
        if (error == 0 && !is_write)
            iov_scatter(iov, iov_count, done, raw->bounce + lead, part);
        if (error == 0 && is_write) {
            iov_gather(iov, iov_count, done, raw->bounce + lead, part);
            error = bounce_write(raw, start, span);
        }
        if (error != 0)
            return error;
        done += part;
    }
    return 0;
}

/* ---- the store ---- */

static int transfer(struct store *store, const struct iovec *iov, unsigned iov_count,
                    uint64_t offset, uint64_t size, bool is_write)
{
    struct raw *raw = raw_of(store);

    return raw->align != 0 ? transfer_direct(raw, iov, iov_count, offset, size, is_write)
                           : transfer_buffered(raw, iov, iov_count, offset, size, is_write);
}

static int raw_read(struct store *store, const struct iovec *iov, unsigned iov_count,
                    uint64_t offset, uint64_t size)
{
    return transfer(store, iov, iov_count, offset, size, false);
}

static int raw_write(struct store *store, const struct iovec *iov, unsigned iov_count,
                     uint64_t offset, uint64_t size)
{
    return transfer(store, iov, iov_count, offset, size, true);
}

static int raw_flush(struct store *store)
{
    struct raw *raw = raw_of(store);

    if (raw->flush_failed)
        return -EIO;
    if (fdatasync(raw->fd) == 0 || errno == EROFS || errno == EINVAL)
        return 0; /* EINVAL: something that cannot be synchronised, and need not be */
    raw->flush_failed = true;
    return -errno;
}

static int raw_discard(struct store *store, uint64_t offset, uint64_t size)
{
    struct raw *raw = raw_of(store);

    /* A hole.  Where the host cannot make one the contents stay, which is as good. */
    if (fallocate(raw->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
                  (off_t)size) == 0 ||
        errno == EOPNOTSUPP || errno == ENODEV || errno == EINVAL || errno == ENOSYS)
        return 0;
    return -errno;
}

static void raw_close(struct store *store)
{
    struct raw *raw = raw_of(store);

    if (raw->fd >= 0)
        close(raw->fd);
    free(raw->bounce);
    free(raw);
}

static const struct store_ops raw_ops = {
    .read = raw_read,
    .write = raw_write,
    .flush = raw_flush,
    .discard = raw_discard,
    .read_now = raw_read_now,
    .close = raw_close,
};

/* ---- opening ---- */

static int lock_byte(int fd, off_t byte)
{
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

    return fcntl(fd, F_OFD_SETLK, &lock);
}

static bool others_hold(int fd, off_t byte)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

    return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/* Say what we do with the file and see whether that goes with what others do. */
static bool lock_image(int fd, const char *path, bool read_only, struct error *error)
{
    static const int used_by_writer[] = {PERMISSION_READ, PERMISSION_WRITE};
    static const int unshared[] = {PERMISSION_WRITE, PERMISSION_RESIZE};
    const unsigned used = read_only ? 1 : 2;

    for (unsigned i = 0; i < used; i++)
        if (lock_byte(fd, LOCK_USES + used_by_writer[i]) != 0)
            return true; /* a file system without locks */
    for (unsigned i = 0; i < 2; i++)
        if (lock_byte(fd, LOCK_UNSHARES + unshared[i]) != 0)
            return true;
    for (unsigned i = 0; i < used; i++)
        if (others_hold(fd, LOCK_UNSHARES + used_by_writer[i]))
            return error_set(error, "%s: in use by another process (its lock forbids to %s)", path,
                             used_by_writer[i] == PERMISSION_WRITE ? "write" : "read");
    for (unsigned i = 0; i < 2; i++)
        if (others_hold(fd, LOCK_USES + unshared[i]))
            return error_set(error, "%s: another process is writing to it", path);
    return true;
}

static bool find_size(int fd, const char *path, uint64_t *size, struct error *error)
{
    struct stat st;
    off_t end;

    if (fstat(fd, &st) != 0)
        return error_set(error, "%s: %s", path, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return error_set(error, "%s: is a directory", path);
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
        return error_set(error, "%s: neither a file nor a block device", path);
    end = lseek(fd, 0, SEEK_END);
    if (end < 0)
        return error_set(error, "%s: %s", path, strerror(errno));
    if (end == 0)
        return error_set(error, "%s: the image is empty", path);
    if (end > INT64_MAX - BLOCK_SECTOR)
        return error_set(error, "%s: too large", path);
    *size = (uint64_t)end;
    return true;
}

/* The grid that O_DIRECT asks for: the smallest that a read is accepted on. */
static bool find_alignment(struct raw *raw, const char *path, struct error *error)
{
    if (posix_memalign((void **)&raw->bounce, DIRECT_ALIGN_MAX, BOUNCE_BYTES) != 0)
        return error_set(error, "%s: not enough host memory", path);
    for (unsigned align = BLOCK_SECTOR; align <= DIRECT_ALIGN_MAX; align *= 2) {
        if (pread(raw->fd, raw->bounce, align, 0) >= 0) {
            raw->align = align;
            return true;
        }
        if (errno != EINVAL)
            return error_set(error, "%s: %s", path, strerror(errno));
    }
    return error_set(error, "%s: no alignment of O_DIRECT found (cache=writeback needs none)",
                     path);
}

static bool open_file(struct raw *raw, const struct image_spec *spec, bool read_only,
                      struct error *error)
{
    const bool direct = spec->cache == CACHE_NONE || spec->cache == CACHE_DIRECTSYNC;
    const char *path = spec->file;

    /* O_NONBLOCK: a FIFO must not hang us before we see that it is one. */
    raw->fd = open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK);
    if (raw->fd < 0 && errno == EISDIR)
        return error_set(error, "%s: is a directory", path);
    if (raw->fd < 0)
        return error_set(error, "%s: %s%s", path, strerror(errno),
                         !read_only && (errno == EACCES || errno == EROFS)
                             ? " (readonly=on or snapshot=on would do without writing)"
                             : "");
    if (!find_size(raw->fd, path, &raw->file_bytes, error) ||
        !lock_image(raw->fd, path, read_only, error))
        return false;
    if (!direct)
        return true;
    if (fcntl(raw->fd, F_SETFL, O_DIRECT) != 0)
        return error_set(error, "%s: its file system does not support O_DIRECT (cache=%s)", path,
                         spec->cache == CACHE_NONE ? "none" : "directsync");
    return find_alignment(raw, path, error);
}

struct store *store_open_raw(const struct image_spec *spec, bool read_only, struct error *error)
{
    struct raw *raw = calloc(1, sizeof(*raw));

    if (raw == NULL) {
        (void)error_set(error, "%s: not enough host memory", spec->file);
        return NULL;
    }
    raw->fd = -1;
    if (!open_file(raw, spec, read_only, error)) {
        raw_close(&raw->store);
        return NULL;
    }
    raw->store = (struct store){
        .ops = &raw_ops,
        .size_bytes = (raw->file_bytes + BLOCK_SECTOR - 1) / BLOCK_SECTOR * BLOCK_SECTOR,
        .read_only = read_only,
        .can_discard = spec->unmap && !read_only,
        .quick_writes = raw->align == 0,
        .format = "raw",
    };
    return &raw->store;
}
