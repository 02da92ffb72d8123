/*
 * loader/image_snapshot.c -- -snapshot: what the guest writes goes to an unlinked temporary file,
 * at the same offsets; a bit a sector says which of the two has it.
 *
 * The file is sparse, in $TMPDIR or /var/tmp as QEMU's, and gone with the process however that
 * ends.
 */
#define _GNU_SOURCE /* O_TMPFILE, fallocate, preadv2 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "loader/image_store.h"

enum { BUFFER_BYTES = 256 << 10, BITS = 64 };

struct snapshot {
    struct store store;
    struct store *below;
    int fd;
    uint64_t *written; /* a bit a sector */
    size_t written_bytes;
    uint8_t *buffer;
};

static struct snapshot *snapshot_of(struct store *store)
{
    return (struct snapshot *)store;
}

static bool is_written(const struct snapshot *s, uint64_t sector)
{
    return s->written[sector / BITS] >> (sector % BITS) & 1;
}

static void set_written(struct snapshot *s, uint64_t sector, uint64_t count)
{
    for (uint64_t i = sector; i < sector + count; i++)
        s->written[i / BITS] |= UINT64_C(1) << (i % BITS);
}

/* How many sectors from `sector` on, at most max, are where this one is. */
static uint64_t run_length(const struct snapshot *s, uint64_t sector, uint64_t max)
{
    const bool which = is_written(s, sector);
    uint64_t length = 1;

    while (length < max && is_written(s, sector + length) == which)
        length++;
    return length;
}

static int temporary_read(struct snapshot *s, uint64_t offset, uint64_t size)
{
    uint64_t done = 0;

    while (done < size) {
        const ssize_t got = pread(s->fd, s->buffer + done, size - done, (off_t)(offset + done));

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0) { /* a hole that was discarded at the end of the file */
            memset(s->buffer + done, 0, size - done);
            return 0;
        }
        done += (uint64_t)got;
    }
    return 0;
}

static int snapshot_read(struct store *store, const struct iovec *iov, unsigned iov_count,
                         uint64_t offset, uint64_t size)
{
    struct snapshot *s = snapshot_of(store);
    uint64_t done = 0;

    while (done < size) {
        const uint64_t sector = (offset + done) / BLOCK_SECTOR;
        const uint64_t left = (size - done) / BLOCK_SECTOR;
        const uint64_t most = BUFFER_BYTES / BLOCK_SECTOR;
        const uint64_t part = run_length(s, sector, left < most ? left : most) * BLOCK_SECTOR;
        const struct iovec buffer = {.iov_base = s->buffer, .iov_len = part};
        const int error = is_written(s, sector)
                              ? temporary_read(s, offset + done, part)
                              : s->below->ops->read(s->below, &buffer, 1, offset + done, part);

        if (error != 0)
            return error;
        iov_scatter(iov, iov_count, done, s->buffer, part);
        done += part;
    }
    return 0;
}

/* As above, if all of it is in the host's page cache. */
static bool snapshot_read_now(struct store *store, const struct iovec *iov, unsigned iov_count,
                              uint64_t offset, uint64_t size)
{
    struct snapshot *s = snapshot_of(store);
    uint64_t done = 0;

    if (s->below->ops->read_now == NULL)
        return false;
    while (done < size) {
        const uint64_t sector = (offset + done) / BLOCK_SECTOR;
        const uint64_t left = (size - done) / BLOCK_SECTOR;
        const uint64_t most = BUFFER_BYTES / BLOCK_SECTOR;
        const uint64_t part = run_length(s, sector, left < most ? left : most) * BLOCK_SECTOR;
        const struct iovec buffer = {.iov_base = s->buffer, .iov_len = part};
        const bool there =
            is_written(s, sector)
                ? preadv2(s->fd, &buffer, 1, (off_t)(offset + done), RWF_NOWAIT) == (ssize_t)part
                : s->below->ops->read_now(s->below, &buffer, 1, offset + done, part);

        if (!there)
            return false;
        iov_scatter(iov, iov_count, done, s->buffer, part);
        done += part;
    }
    return true;
}

static int snapshot_write(struct store *store, const struct iovec *iov, unsigned iov_count,
                          uint64_t offset, uint64_t size)
{
    struct snapshot *s = snapshot_of(store);
    uint64_t done = 0;

    while (done < size) {
        const uint64_t part = size - done < BUFFER_BYTES ? size - done : BUFFER_BYTES;

        iov_gather(iov, iov_count, done, s->buffer, part);
        for (uint64_t put = 0; put < part;) {
            const ssize_t got =
                pwrite(s->fd, s->buffer + put, part - put, (off_t)(offset + done + put));

            if (got < 0 && errno == EINTR)
                continue;
            if (got <= 0)
                return got < 0 ? -errno : -EIO;
            put += (uint64_t)got;
        }
        set_written(s, (offset + done) / BLOCK_SECTOR, part / BLOCK_SECTOR);
        done += part;
    }
    return 0;
}

static int snapshot_flush(struct store *store)
{
    (void)store; /* nothing of it is to last */
    return 0;
}

static int snapshot_discard(struct store *store, uint64_t offset, uint64_t size)
{
    struct snapshot *s = snapshot_of(store);

    if (fallocate(s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)size) !=
        0)
        return 0; /* the contents stay */
    set_written(s, offset / BLOCK_SECTOR, size / BLOCK_SECTOR);
    return 0;
}

static void snapshot_abort(struct store *store)
{
    struct store *below = snapshot_of(store)->below;

    if (below->ops->abort != NULL)
        below->ops->abort(below);
}

static void snapshot_close(struct store *store)
{
    struct snapshot *s = snapshot_of(store);

    s->below->ops->close(s->below);
    if (s->fd >= 0)
        close(s->fd);
    if (s->written != NULL)
        munmap(s->written, s->written_bytes);
    free(s->buffer);
    free(s);
}

static const struct store_ops snapshot_ops = {
    .read = snapshot_read,
    .read_now = snapshot_read_now,
    .write = snapshot_write,
    .flush = snapshot_flush,
    .discard = snapshot_discard,
    .abort = snapshot_abort,
    .close = snapshot_close,
};

/* A file without a name. */
static int open_temporary(char *directory, size_t size)
{
    const char *wanted = getenv("TMPDIR");
    char path[512];
    int fd;

    snprintf(directory, size, "%s", wanted != NULL && wanted[0] != '\0' ? wanted : "/var/tmp");
    fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
        return fd;
    /* A file system without O_TMPFILE. */
    if (snprintf(path, sizeof(path), "%s/ringer-XXXXXX", directory) >= (int)sizeof(path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        unlink(path);
    return fd;
}

struct store *store_open_snapshot(struct store *below, const char *name, struct error *error)
{
    struct snapshot *s = calloc(1, sizeof(*s));
    const uint64_t sectors = below->size_bytes / BLOCK_SECTOR;
    char directory[256];

    if (s == NULL) {
        below->ops->close(below);
        (void)error_set(error, "%s: not enough host memory", name);
        return NULL;
    }
    s->below = below;
    s->written_bytes = (sectors / BITS + 1) * sizeof(uint64_t);
    s->buffer = malloc(BUFFER_BYTES);
    s->written = mmap(NULL, s->written_bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (s->written == MAP_FAILED)
        s->written = NULL;
    s->fd = open_temporary(directory, sizeof(directory));
    s->store = (struct store){
        .ops = &snapshot_ops,
        .size_bytes = below->size_bytes,
        .can_discard = true,
        .can_hang = below->can_hang,
        .quick_writes = true,
        .format = below->format,
    };
    if (s->fd >= 0 && s->buffer != NULL && s->written != NULL)
        return &s->store;
    if (s->fd < 0)
        (void)error_set(error, "%s: snapshot: cannot make a temporary file in %s: %s", name,
                        directory, strerror(errno));
    else
        (void)error_set(error, "%s: snapshot: not enough host memory for %llu sectors", name,
                        (unsigned long long)sectors);
    snapshot_close(&s->store);
    return NULL;
}
