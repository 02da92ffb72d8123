/*
 * loader/image_nbd.c -- images behind an NBD server, by libnbd: a server that runs somewhere, or
 * qemu-nbd (for what only nbdkit is there: nbdkit) started for a file of a foreign format.
 *
 * A server of our own gets its socket from libnbd by socket activation, in a directory of its own,
 * and a session of its own, so that Ctrl-C on the terminal ends the guest and not the guest's disk.
 * It serves one client: when this process dies, however that happens, it flushes and ends.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/image_store.h"

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

enum { CHUNK_BYTES = 1 << 20, PROGRAM_BYTES = 512, ARGUMENT_BYTES = 2 * IMAGE_PATH_BYTES + 128 };

struct remote {
    struct store store;
    struct nbd_handle *nbd;
    int fd;         /* the connection, for abort() */
    uint64_t bytes; /* as the server counts */
    bool can_flush, can_trim;
    uint8_t *buffer; /* CHUNK_BYTES */
};

static struct remote *remote_of(struct store *store)
{
    return (struct remote *)store;
}

static int last_error(void)
{
    const int error = nbd_get_errno();

    return error > 0 ? -error : -EIO;
}

/* How much of [offset, offset + size) the server has: the last sector may be cut. */
static uint64_t on_server(const struct remote *remote, uint64_t offset, uint64_t size)
{
    if (offset >= remote->bytes)
        return 0;
    return size < remote->bytes - offset ? size : remote->bytes - offset;
}

static int remote_read(struct store *store, const struct iovec *iov, unsigned iov_count,
                       uint64_t offset, uint64_t size)
{
    struct remote *remote = remote_of(store);

    for (uint64_t done = 0; done < size;) {
        const uint64_t part = size - done < CHUNK_BYTES ? size - done : CHUNK_BYTES;
        const uint64_t there = on_server(remote, offset + done, part);

        if (there != 0 && nbd_pread(remote->nbd, remote->buffer, there, offset + done, 0) != 0)
            return last_error();
        memset(remote->buffer + there, 0, part - there);
        iov_scatter(iov, iov_count, done, remote->buffer, part);
        done += part;
    }
    return 0;
}

static int remote_write(struct store *store, const struct iovec *iov, unsigned iov_count,
                        uint64_t offset, uint64_t size)
{
    struct remote *remote = remote_of(store);

    for (uint64_t done = 0; done < size;) {
        const uint64_t part = size - done < CHUNK_BYTES ? size - done : CHUNK_BYTES;
        const uint64_t there = on_server(remote, offset + done, part);

        iov_gather(iov, iov_count, done, remote->buffer, part);
        for (uint64_t i = there; i < part; i++)
            if (remote->buffer[i] != 0)
                return -ENOSPC; /* behind the end there are zeros and nothing else */
        if (there != 0 && nbd_pwrite(remote->nbd, remote->buffer, there, offset + done, 0) != 0)
            return last_error();
        done += part;
    }
    return 0;
}

static int remote_flush(struct store *store)
{
    struct remote *remote = remote_of(store);

    return !remote->can_flush || nbd_flush(remote->nbd, 0) == 0 ? 0 : last_error();
}

static int remote_discard(struct store *store, uint64_t offset, uint64_t size)
{
    struct remote *remote = remote_of(store);

    while (remote->can_trim && size > 0) {
        const uint64_t most = UINT64_C(1) << 30; /* the protocol's length has 32 bits */
        const uint64_t part = size < most ? size : most;
        const uint64_t there = on_server(remote, offset, part);

        if (there == 0)
            return 0;
        if (nbd_trim(remote->nbd, there, offset, 0) != 0)
            return last_error();
        offset += part;
        size -= part;
    }
    return 0;
}

static void remote_abort(struct store *store)
{
    shutdown(remote_of(store)->fd, SHUT_RDWR);
}

static void remote_close(struct store *store)
{
    struct remote *remote = remote_of(store);

    if (remote->nbd != NULL) {
        if (nbd_aio_is_ready(remote->nbd) > 0)
            nbd_shutdown(remote->nbd, 0); /* tells the server; what it does then is its matter */
        nbd_close(remote->nbd);
    }
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

static struct remote *remote_create(const char *file, struct error *error)
{
    struct remote *remote = calloc(1, sizeof(*remote));

    if (remote != NULL) {
        remote->buffer = malloc(CHUNK_BYTES);
        remote->nbd = nbd_create();
        remote->store.ops = &remote_ops;
        if (remote->buffer != NULL && remote->nbd != NULL)
            return remote;
        remote_close(&remote->store);
    }
    (void)error_set(error, "%s: not enough host memory", file);
    return NULL;
}

/* Connected: what does the server offer? */
static bool negotiate(struct remote *remote, const struct image_spec *spec, bool read_only,
                      const char *format, struct error *error)
{
    const int64_t bytes = nbd_get_size(remote->nbd);
    const int64_t minimum = nbd_get_block_size(remote->nbd, LIBNBD_SIZE_MINIMUM);

    if (bytes < 0)
        return error_set(error, "%s: %s", spec->file, nbd_get_error());
    if (bytes == 0 || bytes > INT64_MAX - BLOCK_SECTOR)
        return error_set(error, "%s: the image is empty or too large", spec->file);
    if (minimum > BLOCK_SECTOR)
        return error_set(error, "%s: the server wants blocks of at least %lld bytes", spec->file,
                         (long long)minimum);
    if (!read_only && nbd_is_read_only(remote->nbd) > 0)
        return error_set(error, "%s: the server allows no writing (readonly=on, snapshot=on)",
                         spec->file);
    remote->bytes = (uint64_t)bytes;
    remote->fd = nbd_aio_get_fd(remote->nbd);
    remote->can_flush = nbd_can_flush(remote->nbd) > 0;
    remote->can_trim = nbd_can_trim(remote->nbd) > 0;
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

/* nbd:unix:PATH or nbd:HOST:PORT, then perhaps :exportname=NAME */
static int connect_old_syntax(struct nbd_handle *nbd, const char *file)
{
    static const char marker[] = ":exportname=";
    char text[IMAGE_PATH_BYTES], *export, *port;

    snprintf(text, sizeof(text), "%s", file + strlen("nbd:"));
    export = strstr(text, marker);
    if (export != NULL) {
        *export = '\0';
        if (nbd_set_export_name(nbd, export + strlen(marker)) != 0)
            return -1;
    }
    if (!strncmp(text, "unix:", 5))
        return nbd_connect_unix(nbd, text + 5);
    port = strrchr(text, ':');
    if (port == NULL)
        return nbd_connect_tcp(nbd, text, "10809");
    *port++ = '\0';
    return nbd_connect_tcp(nbd, text, port);
}

struct store *store_open_nbd(const struct image_spec *spec, bool read_only, struct error *error)
{
    struct remote *remote = remote_create(spec->file, error);
    int status;

    if (remote == NULL)
        return NULL;
    if (strstr(spec->file, "://") != NULL)
        status = nbd_connect_uri(remote->nbd, spec->file);
    else
        status = connect_old_syntax(remote->nbd, spec->file);
    if (status != 0)
        (void)error_set(error, "%s: %s", spec->file, nbd_get_error());
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

static int start_qemu_nbd(struct nbd_handle *nbd, const struct image_spec *spec, const char *format,
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
    return nbd_connect_systemd_socket_activation(nbd, argv);
}

/* Newer nbdkits read qcow2, and nothing more than that. */
static int start_nbdkit(struct nbd_handle *nbd, const struct image_spec *spec)
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
    return nbd_connect_systemd_socket_activation(nbd, argv);
}

struct store *store_open_foreign(const struct image_spec *spec, const char *format, bool read_only,
                                 struct error *error)
{
    const bool nbdkit_will_do = read_only && !strcmp(format, "qcow2");
    struct remote *remote;
    const char *program;
    int status;

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
    remote = remote_create(spec->file, error);
    if (remote == NULL)
        return NULL;
    status = !strcmp(program, "qemu-nbd") ? start_qemu_nbd(remote->nbd, spec, format, read_only)
                                          : start_nbdkit(remote->nbd, spec);
    if (status != 0)
        (void)error_set(error, "%s: %s cannot serve it as %s", spec->file, program, format);
    else if (negotiate(remote, spec, read_only, format, error))
        return &remote->store;
    remote_close(&remote->store);
    return NULL;
}

#endif
