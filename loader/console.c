/*
 * loader/console.c -- the user's terminal as a serial port.
 *
 * Ctrl-A commands are those that QEMU's users know.  Output is never lost and never blocks the
 * user out: while the terminal (or the reader of a pipe) is slow, typed commands still work.
 */
#include "loader/console.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loader/signals.h"

enum { ESCAPE = 'A' - '@', WRITE_BYTES = 512, PENDING_BYTES = 256 };

struct console {
    struct chardev dev;
    bool mux;
    bool escaped; /* the last byte was Ctrl-A */
    bool monitor; /* typed bytes go to the monitor */
    /* Typed for the monitor while output waits for the terminal: a command's output may be what
     * waits, so it comes when that is out. */
    uint8_t pending[PENDING_BYTES];
    unsigned pending_count;
    unsigned writing; /* depth of console_write() */
    bool quitting;    /* Ctrl-A x */
    bool gone;        /* nobody reads our output any more */
};

/* ---- output ---- */

/* Until out_fd takes more.  False: give up (quit, signal). */
static bool wait_for_output(struct console *console)
{
    struct pollfd fds[2] = {
        {.fd = console->dev.out_fd, .events = POLLOUT},
        {.fd = -1, .events = POLLIN},
    };

    while (!console->quitting && signals_pending() == 0) {
        if (console->dev.interactive && !console->dev.at_end)
            fds[1].fd = console->dev.in_fd;
        else
            fds[1].fd = -1;
        if (poll(fds, 2, -1) < 0) {
            if (errno == EINTR)
                continue;
            return false;
        }
        if (fds[0].revents != 0)
            return true;
        if (fds[1].revents != 0)
            chardev_ready(&console->dev, console->dev.in_fd);
    }
    return false;
}

static void write_out(struct console *console, const uint8_t *data, size_t size)
{
    while (size > 0 && !console->gone) {
        /* A blocking descriptor that polls writable takes this much at once. */
        const size_t part = size < WRITE_BYTES ? size : WRITE_BYTES;
        ssize_t put;

        if (!wait_for_output(console))
            return;
        put = write(console->dev.out_fd, data, part);
        if (put < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (put < 0) {
            console->gone = true;
            return;
        }
        data += put;
        size -= (size_t)put;
    }
}

static void console_write(void *ctx, const uint8_t *data, size_t size)
{
    struct console *console = ctx;

    console->writing++;
    write_out(console, data, size);
    if (console->writing == 1) {
        while (console->pending_count != 0 && console->dev.monitor_input != NULL) {
            const uint8_t byte = console->pending[0];

            memmove(console->pending, console->pending + 1, --console->pending_count);
            console->dev.monitor_input(console->dev.monitor_ctx, &byte, 1);
        }
    }
    console->writing--;
}

static void say(struct console *console, const char *text)
{
    console_write(console, (const uint8_t *)text, strlen(text));
}

/* ---- input ---- */

/* To the serial port, or to the monitor if that has the terminal. */
static void pass_on(struct console *console, uint8_t byte)
{
    struct chardev *dev = &console->dev;

    if (!console->monitor || dev->monitor_input == NULL)
        chardev_enqueue(dev, &byte, 1);
    else if (console->writing == 0)
        dev->monitor_input(dev->monitor_ctx, &byte, 1);
    else if (console->pending_count < PENDING_BYTES)
        console->pending[console->pending_count++] = byte;
}

static void command(struct console *console, uint8_t key)
{
    struct chardev *dev = &console->dev;
    const uint8_t escape = ESCAPE;

    switch (key) {
    case 'x':
    case 'X':
        say(console, "\r\nringer: quit\r\n");
        console->quitting = true;
        if (dev->quit != NULL)
            dev->quit(dev->quit_ctx);
        break;
    case 'h':
    case 'H':
    case '?':
        say(console, "\r\n"
                     "Ctrl-A h    this help\r\n"
                     "Ctrl-A x    quit Ringer\r\n"
                     "Ctrl-A b    send a break\r\n"
                     "Ctrl-A c    to the monitor and back\r\n"
                     "Ctrl-A Ctrl-A    send Ctrl-A\r\n");
        break;
    case 'c':
        if (dev->monitor_input == NULL) {
            say(console, "\r\nringer: there is no monitor on this terminal\r\n");
            break;
        }
        console->monitor = !console->monitor;
        dev->monitor_focus(dev->monitor_ctx, console->monitor);
        break;
    case 'b':
        if (dev->backend.send_break != NULL)
            dev->backend.send_break(dev->backend.chip);
        break;
    case ESCAPE:
        pass_on(console, escape);
        break;
    default:
        break;
    }
}

static void console_input(struct chardev *dev, const uint8_t *data, size_t size)
{
    struct console *console = (struct console *)dev;

    for (size_t i = 0; i < size && !console->quitting; i++) {
        if (console->escaped) {
            console->escaped = false;
            command(console, data[i]);
        } else if (console->mux && data[i] == ESCAPE) {
            console->escaped = true;
        } else {
            pass_on(console, data[i]);
        }
    }
}

static void console_close(struct chardev *dev)
{
    signals_restore_terminal();
    free(dev);
}

bool console_open(bool mux, struct chardev **out, struct error *error)
{
    struct console *console = calloc(1, sizeof(*console));

    if (console == NULL)
        return error_set(error, "-serial stdio: not enough host memory");
    chardev_init(&console->dev, console_write);
    console->dev.in_fd = STDIN_FILENO;
    console->dev.out_fd = STDOUT_FILENO;
    console->dev.input = console_input;
    console->dev.close = console_close;
    console->mux = mux;
    console->dev.interactive = signals_raw_terminal(STDIN_FILENO, !mux);
    *out = &console->dev;
    return true;
}
