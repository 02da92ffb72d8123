/*
 * loader/chardev.h -- the host ends of serial ports, debug console, monitor and gdb: a file, nothing,
 * a pseudo terminal, a socket (chardev_socket.h), or the user's terminal (console.h).
 */
#ifndef RINGER_LOADER_CHARDEV_H
#define RINGER_LOADER_CHARDEV_H

#include <stddef.h>
#include <stdint.h>

#include "devices/backend.h"
#include "devices/pc.h"
#include "loader/error.h"
#include "loader/options.h"

enum { CHARDEV_QUEUE_BYTES = 4096 };

/*
 * Input is read when the board says that in_fd is readable, queued, and handed to the chip as it
 * can take it.
 */
struct chardev {
    struct char_backend backend; /* what the chip sees; ctx is this chardev */
    int in_fd, out_fd;           /* -1: none */
    uint8_t queue[CHARDEV_QUEUE_BYTES];
    size_t head, count;
    bool at_end;      /* no more input will come */
    bool interactive; /* a human types: when the queue is full, drop rather than wait */
    /* Takes what was read; chardev_enqueue() unless something looks at the bytes first. */
    void (*input)(struct chardev *dev, const uint8_t *data, size_t size);
    /* Have pc watch the descriptors; NULL: in_fd is all there is.  False: no room. */
    bool (*attach)(struct chardev *dev, struct pc *pc);
    void (*close)(struct chardev *dev); /* frees it */
    /* Somebody is at the other end now, or has gone; only what can tell calls it. */
    void (*connected)(void *ctx, bool open);
    void *connected_ctx;
    /* The monitor behind Ctrl-A c, on a terminal that has one; NULL: none. */
    void *monitor_ctx;
    void (*monitor_input)(void *ctx, const uint8_t *data, size_t size);
    void (*monitor_focus)(void *ctx, bool on);
    void *quit_ctx;
    void (*quit)(void *ctx); /* the user asked to end the machine */
};

/*
 * Open what `spec` says; `label` names it in messages.  *out is NULL for CHARDEV_NONE.
 * A pty's name is printed on standard error.
 */
bool chardev_open(const struct chardev_spec *spec, const char *label, struct chardev **out,
                  struct error *error);
void chardev_close(struct chardev *dev); /* NULL is allowed */
/* Input comes from now on, while pc runs.  False: pc cannot watch more descriptors. */
bool chardev_attach(struct chardev *dev, struct pc *pc);

/* For implementations: no descriptors, input queued as it is, close() by free(). */
void chardev_init(struct chardev *dev, void (*write_fn)(void *ctx, const uint8_t *, size_t));

/* For pc_watch_fd(): ctx is the chardev. */
void chardev_ready(void *ctx, int fd);
bool chardev_wants_input(void *ctx);

/* Queue bytes for the chip and hand over what it takes. */
void chardev_enqueue(struct chardev *dev, const uint8_t *data, size_t size);
/* Hand over what the chip takes now. */
void chardev_pump(struct chardev *dev);

#endif
