/*
 * loader/image_nbd.c -- images behind an NBD server, by libnbd: a server that runs somewhere, or
 * qemu-nbd (for what only nbdkit is there: nbdkit) started for a file of a foreign format.
 *
 * A server of our own gets its socket from libnbd by socket activation, in a directory of its own,
 * and a session of its own, so that Ctrl-C on the terminal ends the guest and not the guest's disk.
 * It serves one client: when this process dies, however that happens, it flushes and ends.
 *
 * A connection that is lost is made anew by the request that notices it, or by the next one.  What
 * the old server had acknowledged and not flushed may have died with it, so the next flush fails,
 * once.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cpu/hosttime.h"
#include "loader/image_store.h"
#include "loader/library.h"

bool store_is_nbd(const char *file)
{
    static const char *const prefixes[] = {"nbd://",       "nbds://",      "nbd+unix://",
                                           "nbds+unix://", "nbd+vsock://", "nbd:"};

    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
        if (!strncmp(file, prefixes[i], strlen(prefixes[i])))
            return true;
    return false;
}

#ifndef RINGER_HAVE_LIBNBD

static struct store *not_built(const char *file, struct error *error)
{
    (void)error_set(
        error, "%s: needs libnbd, without which this program was built (package libnbd-dev)", file);
    return NULL;
}

struct store *store_open_nbd(const struct image_spec *spec, bool read_only, struct error *error)
{
    (void)read_only;
    return not_built(spec->file, error);
}

struct store *store_open_foreign(const struct image_spec *spec, const char *format, bool read_only,
                                 struct error *error)
{
    (void)format, (void)read_only;
    return not_built(spec->file, error);
}

#else

#include <libnbd.h>
#include <pthread.h>

enum { CHUNK_BYTES = 1 << 20, PROGRAM_BYTES = 512, ARGUMENT_BYTES = 2 * IMAGE_PATH_BYTES + 128 };
/* How long a new connection may take, and how often it is seen whether it was given up. */
enum { RECONNECT_MS = 2000, RECONNECT_STEP_MS = 50 };

/* libnbd's functions. */
struct libnbd {
#define SYMBOL LIBRARY_POINTER
#include "loader/image_nbd.def"
#undef SYMBOL
};

static const char *const libnbd_names[] = {
#define SYMBOL LIBRARY_NAME
#include "loader/image_nbd.def"
#undef SYMBOL
};

#define LIBNBD_NAMES (sizeof(libnbd_names) / sizeof(libnbd_names[0]))
_Static_assert(sizeof(struct libnbd) == LIBNBD_NAMES * sizeof(void *), "one pointer a name");

struct remote {
    struct store store;
    struct libnbd lib;
    struct nbd_handle *nbd; /* NULL: no connection, and the last attempt failed */
    pthread_mutex_t lock;   /* guards fd, which abort() needs while it is open */
    int fd;                 /* the connection; -1: none */
    bool given_up;          /* atomic: abort() was called */
    uint64_t bytes;         /* as the server counts */
    bool can_flush, can_trim;
    bool unflushed;  /* something was written since the last flush */
    bool lost;       /* and the server that had it is gone: the next flush fails */
    uint8_t *buffer; /* CHUNK_BYTES */
    struct image_spec spec;
    char foreign_format[16]; /* "": a server that runs somewhere */
};

static struct remote *remote_of(struct store *store)
{
    return (struct remote *)store;
}

static int last_error(struct remote *remote)
{
    const int error = remote->lib.nbd_get_errno();

    return error > 0 ? -error : -EIO;
}

/* How much of [offset, offset + size) the server has: the last sector may be cut. */
static uint64_t on_server(const struct remote *remote, uint64_t offset, uint64_t size)
{
    if (offset >= remote->bytes)
        return 0;
    return size < remote->bytes - offset ? size : remote->bytes - offset;
}

static int read_once(struct remote *remote, const struct iovec *iov, unsigned iov_count,
                     uint64_t offset, uint64_t size)
{
    for (uint64_t done = 0; done < size;) {
        const uint64_t part = size - done < CHUNK_BYTES ? size - done : CHUNK_BYTES;
        const uint64_t there = on_server(remote, offset + done, part);

        if (there != 0 &&
            remote->lib.nbd_pread(remote->nbd, remote->buffer, there, offset + done, 0) != 0)
            return last_error(remote);
        memset(remote->buffer + there, 0, part - there);
        iov_scatter(iov, iov_count, done, remote->buffer, part);
        done += part;
    }
    return 0;
}

static int write_once(struct remote *remote, const struct iovec *iov, unsigned iov_count,
                      uint64_t offset, uint64_t size)
{
    for (uint64_t done = 0; done < size;) {
        const uint64_t part = size - done < CHUNK_BYTES ? size - done : CHUNK_BYTES;
        const uint64_t there = on_server(remote, offset + done, part);

        iov_gather(iov, iov_count, done, remote->buffer, part);
        for (uint64_t i = there; i < part; i++)
            if (remote->buffer[i] != 0)
                return -ENOSPC; /* behind the end there are zeros and nothing else */
        if (there != 0 &&
            remote->lib.nbd_pwrite(remote->nbd, remote->buffer, there, offset + done, 0) != 0)
            return last_error(remote);
        done += part;
    }
    return 0;
}

static int flush_once(struct remote *remote)
{
    if (remote->can_flush && remote->lib.nbd_flush(remote->nbd, 0) != 0)
        return last_error(remote);
    if (remote->lost) {
        remote->lost = remote->unflushed = false;
        return -EIO;
    }
    remote->unflushed = false;
    return 0;
}

static int discard_once(struct remote *remote, uint64_t offset, uint64_t size)
{
    while (remote->can_trim && size > 0) {
        const uint64_t most = UINT64_C(1) << 30; /* the protocol's length has 32 bits */
        const uint64_t part = size < most ? size : most;
        const uint64_t there = on_server(remote, offset, part);

        if (there == 0)
            return 0;
        if (remote->lib.nbd_trim(remote->nbd, there, offset, 0) != 0)
            return last_error(remote);
        offset += part;
        size -= part;
    }
    return 0;
}

/* ---- a connection that may be lost ---- */

static bool reconnect(struct remote *remote);

static bool is_connected(const struct remote *remote)
{
    return remote->nbd != NULL && remote->lib.nbd_aio_is_dead(remote->nbd) <= 0 &&
           remote->lib.nbd_aio_is_closed(remote->nbd) <= 0;
}

/* The request, once more where the connection was lost under it: all of them may be repeated. */
static int perform(struct remote *remote, const struct block_request *r)
{
    int error = -ENOTCONN;

    __atomic_store_n(&remote->given_up, false, __ATOMIC_RELAXED);
    for (unsigned attempt = 0; attempt < 2; attempt++) {
        if (!is_connected(remote) && !reconnect(remote))
            return -ENOTCONN;
        switch (r->op) {
        case BLOCK_READ:
            error = read_once(remote, r->iov, r->iov_count, r->offset, r->size);
            break;
        case BLOCK_WRITE:
            remote->unflushed = true;
            error = write_once(remote, r->iov, r->iov_count, r->offset, r->size);
            break;
        case BLOCK_FLUSH:
            error = flush_once(remote);
            break;
        case BLOCK_DISCARD:
            error = discard_once(remote, r->offset, r->size);
            break;
        }
        if (error == 0 || is_connected(remote) ||
            __atomic_load_n(&remote->given_up, __ATOMIC_RELAXED))
            return error;
    }
    return error;
}

static int remote_read(struct store *store, const struct iovec *iov, unsigned iov_count,
                       uint64_t offset, uint64_t size)
{
    return perform(
        remote_of(store),
        &(struct block_request){
            .op = BLOCK_READ, .iov = iov, .iov_count = iov_count, .offset = offset, .size = size});
}

static int remote_write(struct store *store, const struct iovec *iov, unsigned iov_count,
                        uint64_t offset, uint64_t size)
{
    return perform(
        remote_of(store),
        &(struct block_request){
            .op = BLOCK_WRITE, .iov = iov, .iov_count = iov_count, .offset = offset, .size = size});
}

static int remote_flush(struct store *store)
{
    return perform(remote_of(store), &(struct block_request){.op = BLOCK_FLUSH});
}

static int remote_discard(struct store *store, uint64_t offset, uint64_t size)
{
    return perform(remote_of(store),
                   &(struct block_request){.op = BLOCK_DISCARD, .offset = offset, .size = size});
}

static void set_fd(struct remote *remote, int fd)
{
    pthread_mutex_lock(&remote->lock);
    remote->fd = fd;
    pthread_mutex_unlock(&remote->lock);
}

static void remote_abort(struct store *store)
{
    struct remote *remote = remote_of(store);

    pthread_mutex_lock(&remote->lock);
    __atomic_store_n(&remote->given_up, true, __ATOMIC_RELAXED);
    if (remote->fd >= 0)
        shutdown(remote->fd, SHUT_RDWR);
    pthread_mutex_unlock(&remote->lock);
}

static void drop_connection(struct remote *remote)
{
    set_fd(remote, -1);
    if (remote->nbd != NULL)
        remote->lib.nbd_close(remote->nbd);
    remote->nbd = NULL;
}

static void remote_close(struct store *store)
{
    struct remote *remote = remote_of(store);

    if (remote->nbd != NULL && remote->lib.nbd_aio_is_ready(remote->nbd) > 0)
        remote->lib.nbd_shutdown(remote->nbd,
                                 0); /* tells the server; what it does then is its matter */
    drop_connection(remote);
    pthread_mutex_destroy(&remote->lock);
    free(remote->buffer);
    free(remote);
}

static const struct store_ops remote_ops = {
    .read = remote_read,
    .write = remote_write,
    .flush = remote_flush,
    .discard = remote_discard,
    .abort = remote_abort,
    .close = remote_close,
};

/* ---- connecting ---- */

static struct remote *remote_create(const struct image_spec *spec, const char *foreign_format,
                                    struct error *error)
{
    struct remote *remote = calloc(1, sizeof(*remote));

    if (remote != NULL) {
        if (!library_load(spec->file, RINGER_LIBNBD_FILE, libnbd_names, &remote->lib, LIBNBD_NAMES,
                          error)) {
            free(remote);
            return NULL;
        }
        remote->buffer = malloc(CHUNK_BYTES);
        remote->nbd = remote->lib.nbd_create();
        remote->fd = -1;
        pthread_mutex_init(&remote->lock, NULL);
        remote->spec = *spec;
        snprintf(remote->foreign_format, sizeof(remote->foreign_format), "%s", foreign_format);
        remote->store.ops = &remote_ops;
        if (remote->buffer != NULL && remote->nbd != NULL)
            return remote;
        remote_close(&remote->store);
    }
    (void)error_set(error, "%s: not enough host memory", spec->file);
    return NULL;
}

static void take_connection(struct remote *remote)
{
    set_fd(remote, remote->lib.nbd_aio_get_fd(remote->nbd));
    remote->can_flush = remote->lib.nbd_can_flush(remote->nbd) > 0;
    remote->can_trim = remote->lib.nbd_can_trim(remote->nbd) > 0;
}

/* Connected: what does the server offer? */
static bool negotiate(struct remote *remote, const struct image_spec *spec, bool read_only,
                      const char *format, struct error *error)
{
    const int64_t bytes = remote->lib.nbd_get_size(remote->nbd);
    const int64_t minimum = remote->lib.nbd_get_block_size(remote->nbd, LIBNBD_SIZE_MINIMUM);

    if (bytes < 0)
        return error_set(error, "%s: %s", spec->file, remote->lib.nbd_get_error());
    if (bytes == 0 || bytes > INT64_MAX - BLOCK_SECTOR)
        return error_set(error, "%s: the image is empty or too large", spec->file);
    if (minimum > BLOCK_SECTOR)
        return error_set(error, "%s: the server wants blocks of at least %lld bytes", spec->file,
                         (long long)minimum);
    if (!read_only && remote->lib.nbd_is_read_only(remote->nbd) > 0)
        return error_set(error, "%s: the server allows no writing (readonly=on, snapshot=on)",
                         spec->file);
    remote->bytes = (uint64_t)bytes;
    take_connection(remote);
    remote->store = (struct store){
        .ops = &remote_ops,
        .size_bytes = (remote->bytes + BLOCK_SECTOR - 1) / BLOCK_SECTOR * BLOCK_SECTOR,
        .read_only = read_only,
        .can_hang = true,
        .can_discard = spec->unmap && remote->can_trim && !read_only,
        .format = format,
    };
    return true;
}

static uint64_t host_ms(void)
{
    return hosttime_ns() / 1000000;
}

/* nbd:unix:PATH or nbd:HOST:PORT, then perhaps :exportname=NAME */
static int connect_old_syntax(struct remote *remote, const char *file)
{
    static const char marker[] = ":exportname=";
    char text[IMAGE_PATH_BYTES], *export, *port;

    snprintf(text, sizeof(text), "%s", file + strlen("nbd:"));
    export = strstr(text, marker);
    if (export != NULL) {
        *export = '\0';
        if (remote->lib.nbd_set_export_name(remote->nbd, export + strlen(marker)) != 0)
            return -1;
    }
    if (!strncmp(text, "unix:", 5))
        return remote->lib.nbd_aio_connect_unix(remote->nbd, text + 5);
    port = strrchr(text, ':');
    if (port == NULL)
        return remote->lib.nbd_aio_connect_tcp(remote->nbd, text, "10809");
    *port++ = '\0';
    return remote->lib.nbd_aio_connect_tcp(remote->nbd, text, port);
}

static int connect_start(struct remote *remote, const char *file)
{
    return strstr(file, "://") != NULL ? remote->lib.nbd_aio_connect_uri(remote->nbd, file)
                                       : connect_old_syntax(remote, file);
}

/* 0 when connected, -1 when that failed or was given up.  limit_ms 0: as long as it takes. */
static int connect_finish(struct remote *remote, uint64_t limit_ms)
{
    const uint64_t start_ms = host_ms();

    while (remote->lib.nbd_aio_is_connecting(remote->nbd) > 0) {
        if ((limit_ms != 0 && host_ms() - start_ms >= limit_ms) ||
            __atomic_load_n(&remote->given_up, __ATOMIC_RELAXED))
            return -1;
        if (remote->lib.nbd_poll(remote->nbd, RECONNECT_STEP_MS) < 0)
            return -1;
    }
    return remote->lib.nbd_aio_is_ready(remote->nbd) > 0 ? 0 : -1;
}

struct store *store_open_nbd(const struct image_spec *spec, bool read_only, struct error *error)
{
    struct remote *remote = remote_create(spec, "", error);

    if (remote == NULL)
        return NULL;
    if (connect_start(remote, spec->file) != 0 || connect_finish(remote, 0) != 0)
        (void)error_set(error, "%s: %s", spec->file, remote->lib.nbd_get_error());
    else if (negotiate(remote, spec, read_only, "nbd", error))
        return &remote->store;
    remote_close(&remote->store);
    return NULL;
}

/* ---- a server of our own ---- */

/* Is there such a program on the PATH? */
static bool find_program(const char *name)
{
    const char *path = getenv("PATH");

    while (path != NULL && *path != '\0') {
        const size_t length = strcspn(path, ":");
        char candidate[PROGRAM_BYTES];

        if (snprintf(candidate, sizeof(candidate), "%.*s/%s", (int)length, path, name) <
                (int)sizeof(candidate) &&
            access(candidate, X_OK) == 0)
            return true;
        path += length;
        path += *path == ':';
    }
    return false;
}

/* driver=FORMAT,file.driver=file,file.filename=FILE: a file name cannot then be taken for anything
 * else.  Commas are doubled. */
static void image_options(const struct image_spec *spec, const char *format, char *text,
                          size_t size)
{
    struct stat st;
    const bool is_device = stat(spec->file, &st) == 0 && S_ISBLK(st.st_mode);
    size_t used = (size_t)snprintf(text, size, "driver=%s,file.driver=%s,file.filename=", format,
                                   is_device ? "host_device" : "file");

    for (const char *c = spec->file; *c != '\0' && used + 2 < size; c++) {
        if (*c == ',')
            text[used++] = ',';
        text[used++] = *c;
    }
    text[used] = '\0';
}

static int start_qemu_nbd(struct remote *remote, const struct image_spec *spec, const char *format,
                          bool read_only)
{
    static char *const caches[] = {"--cache=writeback", "--cache=none", "--cache=writethrough",
                                   "--cache=directsync", "--cache=unsafe"};
    char options[ARGUMENT_BYTES];
    char *argv[10];
    unsigned count = 0;

    image_options(spec, format, options, sizeof(options));
    if (find_program("setsid"))
        argv[count++] = "setsid";
    argv[count++] = "qemu-nbd";
    argv[count++] = caches[spec->cache];
    argv[count++] = spec->unmap ? "--discard=unmap" : "--discard=ignore";
    if (read_only)
        argv[count++] = "--read-only";
    argv[count++] = "--image-opts";
    argv[count++] = options;
    argv[count] = NULL;
    return remote->lib.nbd_connect_systemd_socket_activation(remote->nbd, argv);
}

/* Newer nbdkits read qcow2, and nothing more than that. */
static int start_nbdkit(struct remote *remote, const struct image_spec *spec)
{
    char file[IMAGE_PATH_BYTES + 8];
    char *argv[8];
    unsigned count = 0;

    snprintf(file, sizeof(file), "file=%s", spec->file);
    if (find_program("setsid"))
        argv[count++] = "setsid";
    argv[count++] = "nbdkit";
    argv[count++] = "--exit-with-parent";
    argv[count++] = "--readonly";
    argv[count++] = "--filter=qcow2dec";
    argv[count++] = "file";
    argv[count++] = file;
    argv[count] = NULL;
    return remote->lib.nbd_connect_systemd_socket_activation(remote->nbd, argv);
}

static int start_server(struct remote *remote, const struct image_spec *spec, const char *format,
                        bool read_only)
{
    return find_program("qemu-nbd") ? start_qemu_nbd(remote, spec, format, read_only)
                                    : start_nbdkit(remote, spec);
}

/* Worker's thread: the server again, and the same image. */
static bool reconnect(struct remote *remote)
{
    const struct image_spec *spec = &remote->spec;
    bool ok;

    drop_connection(remote);
    remote->nbd = remote->lib.nbd_create();
    if (remote->nbd == NULL)
        return false;
    if (remote->foreign_format[0] != '\0')
        ok = start_server(remote, spec, remote->foreign_format, remote->store.read_only) == 0;
    else
        ok = connect_start(remote, spec->file) == 0 && connect_finish(remote, RECONNECT_MS) == 0;
    if (!ok || remote->lib.nbd_get_size(remote->nbd) != (int64_t)remote->bytes ||
        remote->lib.nbd_get_block_size(remote->nbd, LIBNBD_SIZE_MINIMUM) > BLOCK_SECTOR ||
        (!remote->store.read_only && remote->lib.nbd_is_read_only(remote->nbd) > 0)) {
        drop_connection(remote);
        return false;
    }
    take_connection(remote);
    remote->lost |= remote->unflushed;
    fprintf(stderr, "ringer: %s: connected again\n", spec->file);
    return true;
}

struct store *store_open_foreign(const struct image_spec *spec, const char *format, bool read_only,
                                 struct error *error)
{
    const bool nbdkit_will_do = read_only && !strcmp(format, "qcow2");
    struct remote *remote;
    const char *program;

    if (access(spec->file, read_only ? R_OK : R_OK | W_OK) != 0) {
        (void)error_set(error, "%s: %s", spec->file, strerror(errno));
        return NULL;
    }
    program = find_program("qemu-nbd")                   ? "qemu-nbd"
              : nbdkit_will_do && find_program("nbdkit") ? "nbdkit"
                                                         : NULL;
    if (program == NULL) {
        (void)error_set(
            error,
            "%s: a %s image needs an NBD server: qemu-nbd (package qemu-utils)%s is not "
            "installed",
            spec->file, format, nbdkit_will_do ? " or nbdkit" : "");
        return NULL;
    }
    remote = remote_create(spec, format, error);
    if (remote == NULL)
        return NULL;
    if (start_server(remote, spec, format, read_only) != 0)
        (void)error_set(error, "%s: %s cannot serve it as %s", spec->file, program, format);
    else if (negotiate(remote, spec, read_only, format, error))
        return &remote->store;
    remote_close(&remote->store);
    return NULL;
}

#endif
