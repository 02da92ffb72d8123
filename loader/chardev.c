/*
 * loader/chardev.c -- file, null and pty ends of a byte stream, and the input queue of all.
 */
#define _GNU_SOURCE
#include "loader/chardev.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "loader/chardev_socket.h"
#include "loader/console.h"

enum { READ_BYTES = 1024 };

/* ---- input ---- */

void chardev_pump(struct chardev *dev)
{
    const struct char_backend *backend = &dev->backend;

    while (dev->count > 0 && backend->receive != NULL && backend->can_receive != NULL) {
        const size_t straight = CHARDEV_QUEUE_BYTES - dev->head;
        size_t part = backend->can_receive(backend->chip);

        if (part > dev->count)
            part = dev->count;
        if (part > straight)
            part = straight;
        if (part == 0)
            return;
        /* Taken out first: the chip may ask for more while it receives. */
        dev->count -= part;
        backend->receive(backend->chip, dev->queue + dev->head, part);
        dev->head = (dev->head + part) % CHARDEV_QUEUE_BYTES;
    }
}

void chardev_enqueue(struct chardev *dev, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size && dev->count < CHARDEV_QUEUE_BYTES; i++)
        dev->queue[(dev->head + dev->count++) % CHARDEV_QUEUE_BYTES] = data[i];
    chardev_pump(dev);
}

static void on_accept_input(void *ctx)
{
    chardev_pump(ctx);
}

bool chardev_wants_input(void *ctx)
{
    const struct chardev *dev = ctx;

    return !dev->at_end && (dev->interactive || dev->count < CHARDEV_QUEUE_BYTES);
}

void chardev_ready(void *ctx, int fd)
{
    struct chardev *dev = ctx;
    uint8_t buffer[READ_BYTES];
    size_t room = CHARDEV_QUEUE_BYTES - dev->count;
    ssize_t got;

    if (dev->interactive || room > sizeof(buffer))
        room = sizeof(buffer);
    got = read(fd, buffer, room);
    if (got > 0)
        dev->input(dev, buffer, (size_t)got);
    else if (got == 0 || (errno != EAGAIN && errno != EINTR))
        dev->at_end = true;
}

/* ---- output ---- */

static void write_nothing(void *ctx, const uint8_t *data, size_t size)
{
    (void)ctx, (void)data, (void)size;
}

/* A file takes everything, or we say once that it does not. */
static void write_file(void *ctx, const uint8_t *data, size_t size)
{
    struct chardev *dev = ctx;

    while (size > 0 && dev->out_fd >= 0) {
        const ssize_t put = write(dev->out_fd, data, size);

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0) {
            fprintf(stderr, "ringer: writing a serial port's file: %s\n", strerror(errno));
            close(dev->out_fd);
            dev->out_fd = -1;
            return;
        }
        data += put;
        size -= (size_t)put;
    }
}

/* Nobody may be at the other end of a pty: what does not fit its buffer is lost, as on a wire. */
static void write_pty(void *ctx, const uint8_t *data, size_t size)
{
    struct chardev *dev = ctx;

    while (size > 0) {
        const ssize_t put = write(dev->out_fd, data, size);

        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return;
        data += put;
        size -= (size_t)put;
    }
}

/* ---- opening ---- */

struct pty {
    struct chardev dev;
    int slave_fd; /* kept open, or the master reports a hang-up whenever nobody listens */
};

static void close_plain(struct chardev *dev)
{
    if (dev->out_fd >= 0)
        close(dev->out_fd);
    free(dev);
}

static void close_pty(struct chardev *dev)
{
    struct pty *pty = (struct pty *)dev;

    close(pty->slave_fd);
    close_plain(dev);
}

void chardev_init(struct chardev *dev, void (*write_fn)(void *, const uint8_t *, size_t))
{
    dev->backend.ctx = dev;
    dev->backend.write = write_fn;
    dev->backend.accept_input = on_accept_input;
    dev->in_fd = dev->out_fd = -1;
    dev->input = chardev_enqueue;
    dev->close = close_plain;
}

static bool open_file(const char *path, const char *label, struct chardev *dev, struct error *error)
{
    chardev_init(dev, write_file);
    dev->out_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    return dev->out_fd >= 0 || error_set(error, "%s: %s: %s", label, path, strerror(errno));
}

static bool open_pty(const char *label, struct pty *pty, struct error *error)
{
    const int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    struct termios raw;
    char name[64];

    chardev_init(&pty->dev, write_pty);
    pty->dev.close = close_pty;
    pty->slave_fd = -1;
    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0 ||
        ptsname_r(master, name, sizeof(name)) != 0 ||
        (pty->slave_fd = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC)) < 0) {
        const int why = errno;

        if (master >= 0)
            close(master);
        return error_set(error, "%s: no pseudo terminal: %s", label, strerror(why));
    }
    if (tcgetattr(pty->slave_fd, &raw) == 0) {
        cfmakeraw(&raw);
        tcsetattr(pty->slave_fd, TCSANOW, &raw);
    }
    pty->dev.in_fd = pty->dev.out_fd = master;
    fprintf(stderr, "ringer: %s is on %s\n", label, name);
    return true;
}

bool chardev_open(const struct chardev_spec *spec, const char *label, struct chardev **out,
                  struct error *error)
{
    struct chardev *dev;
    bool ok = true;

    *out = NULL;
    if (spec->kind == CHARDEV_NONE)
        return true;
    if (spec->kind == CHARDEV_STDIO)
        return console_open(spec->mux, out, error);
    if (spec->kind == CHARDEV_SOCKET)
        return chardev_socket_open(spec->path, spec->server, label, out, error);
    dev = calloc(1, spec->kind == CHARDEV_PTY ? sizeof(struct pty) : sizeof(*dev));
    if (dev == NULL)
        return error_set(error, "%s: not enough host memory", label);
    if (spec->kind == CHARDEV_FILE)
        ok = open_file(spec->path, label, dev, error);
    else if (spec->kind == CHARDEV_PTY)
        ok = open_pty(label, (struct pty *)dev, error);
    else
        chardev_init(dev, write_nothing);
    if (!ok) {
        free(dev);
        return false;
    }
    *out = dev;
    return true;
}

bool chardev_attach(struct chardev *dev, struct pc *pc)
{
    if (dev->attach != NULL)
        return dev->attach(dev, pc);
    return dev->in_fd < 0 ||
           pc_watch_fd(pc, dev->in_fd, chardev_ready, chardev_wants_input, dev) == 0;
}

void chardev_close(struct chardev *dev)
{
    if (dev != NULL)
        dev->close(dev);
}
