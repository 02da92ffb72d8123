/*
 * loader/image_format.c -- what is in an image file, and which store serves it.
 *
 * A format that was not named is guessed by the first bytes.  What looks like nothing else is raw;
 * then the guest must not be able to turn it into something else, since the next start would take,
 * say, a forged backing file's name from it: writes that make the first sector look like a format
 * are refused.  [as QEMU does since CVE-2008-2004]
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loader/image_store.h"

enum { PROBE_BYTES = BLOCK_SECTOR };

/* Bytes that tell a format; every row of a name counts. */
static const struct {
    const char *name;
    unsigned offset, size;
    const char *bytes;
} magics[] = {
    {"qcow2", 0, 8, "QFI\xfb\0\0\0\2"},
    {"qcow2", 0, 8, "QFI\xfb\0\0\0\3"},
    {"qcow", 0, 8, "QFI\xfb\0\0\0\1"},
    {"vmdk", 0, 4, "KDMV"},
    {"vmdk", 0, 4, "COWD"},
    {"vmdk", 0, 21, "# Disk DescriptorFile"},
    {"vdi", 64, 4, "\x7f\x10\xda\xbe"},
    {"vpc", 0, 8, "conectix"},
    {"vhdx", 0, 8, "vhdxfile"},
    {"qed", 0, 4, "QED\0"},
    {"parallels", 0, 16, "WithoutFreeSpace"},
    {"parallels", 0, 16, "WithouFreSpacExt"},
    {"bochs", 0, 23, "Bochs Virtual HD Image"},
    {"luks", 0, 6, "LUKS\xba\xbe"},
};

/* Formats that can be named.  What has a server is served by qemu-nbd. */
static const char *const foreign_formats[] = {"qcow2", "qcow", "vmdk",      "vdi",  "vpc",
                                              "vhdx",  "qed",  "parallels", "bochs"};

static const char *guess(const uint8_t *sector, size_t size)
{
    for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++) {
        if (magics[i].offset + magics[i].size <= size &&
            memcmp(sector + magics[i].offset, magics[i].bytes, magics[i].size) == 0)
            return magics[i].name;
    }
    return "raw";
}

/* ---- the guard of guessed raw images ---- */

struct guarded {
    struct store store;
    struct store *below;
};

static struct store *below_of(struct store *store)
{
    return ((struct guarded *)store)->below;
}

static int guarded_read(struct store *store, const struct iovec *iov, unsigned iov_count,
                        uint64_t offset, uint64_t size)
{
    return below_of(store)->ops->read(below_of(store), iov, iov_count, offset, size);
}

static int guarded_write(struct store *store, const struct iovec *iov, unsigned iov_count,
                         uint64_t offset, uint64_t size)
{
    struct store *below = below_of(store);
    uint8_t sector[PROBE_BYTES];
    struct iovec rest[2] = {{.iov_base = sector, .iov_len = PROBE_BYTES}};
    int error;

    if (offset >= PROBE_BYTES || size < PROBE_BYTES)
        return below->ops->write(below, iov, iov_count, offset, size);
    /* The guest may change its memory meanwhile: what was looked at is what is written. */
    iov_gather(iov, iov_count, 0, sector, PROBE_BYTES);
    if (strcmp(guess(sector, PROBE_BYTES), "raw") != 0)
        return -EPERM;
    error = below->ops->write(below, rest, 1, offset, PROBE_BYTES);
    for (uint64_t done = PROBE_BYTES; done < size && error == 0;) {
        uint64_t covered;

        if (iov_slice(iov, iov_count, done, size - done, &rest[1], 1, &covered) == 0)
            return -EINVAL;
        /* Pieces are whatever the guest has made them; stores take whole sectors. */
        if (covered % BLOCK_SECTOR != 0) {
            covered = BLOCK_SECTOR;
            iov_gather(iov, iov_count, done, sector, covered);
            rest[1] = rest[0];
        }
        error = below->ops->write(below, &rest[1], 1, offset + done, covered);
        done += covered;
    }
    return error;
}

static int guarded_flush(struct store *store)
{
    return below_of(store)->ops->flush(below_of(store));
}

static int guarded_discard(struct store *store, uint64_t offset, uint64_t size)
{
    return below_of(store)->ops->discard(below_of(store), offset, size);
}

static bool guarded_read_now(struct store *store, const struct iovec *iov, unsigned iov_count,
                             uint64_t offset, uint64_t size)
{
    struct store *below = below_of(store);

    return below->ops->read_now != NULL &&
           below->ops->read_now(below, iov, iov_count, offset, size);
}

static void guarded_abort(struct store *store)
{
    if (below_of(store)->ops->abort != NULL)
        below_of(store)->ops->abort(below_of(store));
}

static void guarded_close(struct store *store)
{
    below_of(store)->ops->close(below_of(store));
    free(store);
}

static const struct store_ops guarded_ops = {
    .read = guarded_read,
    .write = guarded_write,
    .flush = guarded_flush,
    .discard = guarded_discard,
    .read_now = guarded_read_now,
    .abort = guarded_abort,
    .close = guarded_close,
};

struct store *store_open_guarded(struct store *below, const char *name, struct error *error)
{
    struct guarded *guarded = calloc(1, sizeof(*guarded));

    if (guarded == NULL) {
        below->ops->close(below);
        (void)error_set(error, "%s: not enough host memory", name);
        return NULL;
    }
    guarded->store = *below;
    guarded->store.ops = &guarded_ops;
    guarded->below = below;
    return &guarded->store;
}

/* ---- which store ---- */

static bool is_foreign(const char *format)
{
    for (size_t i = 0; i < sizeof(foreign_formats) / sizeof(foreign_formats[0]); i++)
        if (!strcmp(format, foreign_formats[i]))
            return true;
    return false;
}

static void list_formats(char *list, size_t size)
{
    size_t used = (size_t)snprintf(list, size, "raw");

    for (size_t i = 0; i < sizeof(foreign_formats) / sizeof(foreign_formats[0]); i++)
        used += (size_t)snprintf(list + used, size - used, " %s", foreign_formats[i]);
}

/* The format of a file by its first bytes; NULL with an error when it cannot be read. */
static const char *probe(const char *path, struct error *error)
{
    uint8_t sector[PROBE_BYTES];
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t got;

    if (fd < 0) {
        (void)error_set(error, "%s: %s", path, strerror(errno));
        return NULL;
    }
    got = pread(fd, sector, sizeof(sector), 0);
    close(fd);
    return got > 0 ? guess(sector, (size_t)got) : "raw"; /* whoever opens it says what is wrong */
}

static struct store *open_lowest(const struct image_spec *spec, bool read_only, bool *guessed_raw,
                                 struct error *error)
{
    const char *format = spec->format;
    char list[128];

    *guessed_raw = false;
    if (format[0] != '\0' && strcmp(format, "raw") != 0 && !is_foreign(format)) {
        list_formats(list, sizeof(list));
        (void)error_set(error, "%s: unknown image format '%s'; known: %s", spec->file, format,
                        list);
        return NULL;
    }
    if (store_is_nbd(spec->file)) {
        if (format[0] == '\0' || !strcmp(format, "raw"))
            return store_open_nbd(spec, read_only, error);
        (void)error_set(error, "%s: %s inside of a remote image is not supported", spec->file,
                        format);
        return NULL;
    }
    if (format[0] == '\0') {
        format = probe(spec->file, error);
        if (format == NULL)
            return NULL;
        if (!strcmp(format, "luks")) {
            (void)error_set(error, "%s: encrypted images (LUKS) are not supported", spec->file);
            return NULL;
        }
        *guessed_raw = !strcmp(format, "raw");
    }
    return !strcmp(format, "raw") ? store_open_raw(spec, read_only, error)
                                  : store_open_foreign(spec, format, read_only, error);
}

struct store *store_open(const struct image_spec *spec, struct error *error)
{
    bool guessed_raw;
    struct store *store = open_lowest(spec, spec->read_only || spec->snapshot, &guessed_raw, error);

    if (store != NULL && spec->snapshot && !spec->read_only)
        store = store_open_snapshot(store, spec->file, error);
    else if (store != NULL && guessed_raw && !spec->read_only)
        store = store_open_guarded(store, spec->file, error);
    if (store != NULL && guessed_raw && !spec->read_only && !spec->snapshot)
        fprintf(stderr,
                "ringer: warning: %s: no format given, taken as raw; a first sector that looks "
                "like another format will not be written (-drive format=raw allows it)\n",
                spec->file);
    return store;
}
