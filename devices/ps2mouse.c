/*
 * devices/ps2mouse.c -- a PS/2 mouse, with the wheel that IntelliMouse-aware drivers switch on.
 * Sources: IBM PS/2 Hardware Interface Technical Reference, "Auxiliary Device: Mouse", commands and
 * data report; Microsoft, "Plug and Play support for the IntelliMouse" for the rate sequence 200,
 * 100, 80 that changes the ID to 3 and the report to four bytes.
 *
 *   report   byte 0  7 Y overflow, 6 X overflow, 5 Y sign, 4 X sign, 3 always 1, 2..0 M R L
 *            byte 1  X, right is positive      byte 2  Y, up is positive      byte 3  wheel
 *
 * Motion adds up until the last report is out, so a slow guest gets fewer reports, not late ones.
 * Deviation: the sample rate does not delay reports; the cable's speed does.
 */
#include "devices/ps2mouse.h"

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>

enum {
    QUEUE_SIZE = 16, /* a power of two: the longest answer and a report */

    CMD_SCALING_1 = 0xE6,
    CMD_SCALING_2 = 0xE7,
    CMD_SET_RESOLUTION = 0xE8,
    CMD_STATUS = 0xE9,
    CMD_STREAM_MODE = 0xEA,
    CMD_READ_DATA = 0xEB,
    CMD_RESET_WRAP = 0xEC,
    CMD_WRAP_MODE = 0xEE,
    CMD_REMOTE_MODE = 0xF0,
    CMD_READ_ID = 0xF2,
    CMD_SET_RATE = 0xF3,
    CMD_ENABLE = 0xF4,
    CMD_DISABLE = 0xF5,
    CMD_DEFAULT = 0xF6,
    CMD_RESEND = 0xFE,
    CMD_RESET = 0xFF,

    ACK = 0xFA,
    TEST_PASSED = 0xAA,
    RESEND = 0xFE,
    ERROR = 0xFC,

    ID_PLAIN = 0,
    ID_WHEEL = 3,

    STATUS_REMOTE = 0x40,
    STATUS_ENABLED = 0x20,
    STATUS_SCALING_2 = 0x10,

    REPORT_ONE = 0x08,
    REPORT_X_SIGN = 0x10,
    REPORT_Y_SIGN = 0x20,
};

struct ps2mouse {
    struct ps2_port port;
    uint8_t queue[QUEUE_SIZE];
    unsigned read, write; /* free running */
    uint8_t last_sent;
    uint8_t expecting; /* the command whose parameter comes next, 0: none */
    bool enabled, remote, wrap, scaling_2;
    uint8_t resolution, rate;
    uint8_t rates[2]; /* the two rates set before, for the wheel's knock */
    uint8_t id;
    int dx, dy, dz; /* not reported yet */
    uint8_t buttons, reported_buttons;
};

static bool mouse_pending(void *device)
{
    const struct ps2mouse *dev = device;

    return dev->read != dev->write;
}

static void mouse_announce(struct ps2mouse *dev)
{
    if (dev->port.ready != NULL && dev->read != dev->write)
        dev->port.ready(dev->port.controller);
}

static void put(struct ps2mouse *dev, uint8_t value)
{
    if (dev->write - dev->read < QUEUE_SIZE)
        dev->queue[dev->write++ % QUEUE_SIZE] = value;
}

/* What of `delta` fits into limit; the rest stays for the next report. */
static int take_delta(int *delta, int limit)
{
    int part = *delta;

    if (part > limit)
        part = limit;
    if (part < -limit - 1)
        part = -limit - 1;
    *delta -= part;
    return part;
}

/* [PS/2 HITR, "Set Scaling 2:1"] */
static int scale(int delta)
{
    static const uint8_t table[6] = {0, 1, 1, 3, 6, 9};
    const int size = delta < 0 ? -delta : delta;
    const int scaled = size < 6 ? table[size] : 2 * size;

    return delta < 0 ? -scaled : scaled;
}

/* A report; what does not fit into it stays for the next.  The overflow bits are never needed. */
static void put_report(struct ps2mouse *dev, bool scaling)
{
    const int limit = scaling ? 127 : 255;
    int x = take_delta(&dev->dx, limit);
    int y = take_delta(&dev->dy, limit);

    if (scaling) {
        x = scale(x);
        y = scale(y);
    }
    put(dev, REPORT_ONE | dev->buttons | (x < 0 ? REPORT_X_SIGN : 0) | (y < 0 ? REPORT_Y_SIGN : 0));
    put(dev, (uint8_t)x);
    put(dev, (uint8_t)y);
    if (dev->id == ID_WHEEL)
        put(dev, (uint8_t)take_delta(&dev->dz, 7));
    else
        dev->dz = 0;
    dev->reported_buttons = dev->buttons;
}

/* Stream mode: report what has changed once the last report is out. */
static void stream(struct ps2mouse *dev)
{
    if (!dev->enabled || dev->remote || dev->wrap || dev->read != dev->write)
        return;
    if (dev->dx != 0 || dev->dy != 0 || dev->dz != 0 || dev->buttons != dev->reported_buttons)
        put_report(dev, dev->scaling_2);
}

static uint8_t mouse_take(void *device)
{
    struct ps2mouse *dev = device;

    if (dev->read == dev->write)
        return 0;
    dev->last_sent = dev->queue[dev->read++ % QUEUE_SIZE];
    stream(dev);
    return dev->last_sent;
}

/* Sums stay far from overflow however long the guest does not fetch them. */
static int add_clamped(int sum, int delta)
{
    const int64_t total = (int64_t)sum + delta;
    const int limit = SHRT_MAX;

    return total > limit ? limit : total < -limit ? -limit : (int)total;
}

void ps2mouse_move(struct ps2mouse *dev, int dx, int dy, int dz, unsigned buttons)
{
    dev->buttons = buttons & (PS2MOUSE_LEFT | PS2MOUSE_RIGHT | PS2MOUSE_MIDDLE);
    if (!dev->enabled && !dev->remote) {
        dev->reported_buttons = dev->buttons;
        return;
    }
    dev->dx = add_clamped(dev->dx, dx);
    dev->dy = add_clamped(dev->dy, dy);
    dev->dz = add_clamped(dev->dz, dz);
    stream(dev);
    mouse_announce(dev);
}

static void clear_motion(struct ps2mouse *dev)
{
    dev->dx = dev->dy = dev->dz = 0;
    dev->reported_buttons = dev->buttons;
}

/* 100 reports a second, 4 counts a millimetre, 1:1, disabled, stream mode. */
static void set_defaults(struct ps2mouse *dev)
{
    dev->expecting = 0;
    dev->enabled = dev->remote = dev->wrap = dev->scaling_2 = false;
    dev->resolution = 2;
    dev->rate = 100;
    clear_motion(dev);
}

static void set_rate(struct ps2mouse *dev, uint8_t rate)
{
    if (dev->rates[0] == 200 && dev->rates[1] == 100 && rate == 80)
        dev->id = ID_WHEEL;
    dev->rates[0] = dev->rates[1];
    dev->rates[1] = rate;
    dev->rate = rate;
}

static void put_status(struct ps2mouse *dev)
{
    const uint8_t buttons = dev->buttons;

    put(dev, (dev->remote ? STATUS_REMOTE : 0) | (dev->enabled ? STATUS_ENABLED : 0) |
                 (dev->scaling_2 ? STATUS_SCALING_2 : 0) | (buttons & PS2MOUSE_LEFT ? 4 : 0) |
                 (buttons & PS2MOUSE_MIDDLE ? 2 : 0) | (buttons & PS2MOUSE_RIGHT ? 1 : 0));
    put(dev, dev->resolution);
    put(dev, dev->rate);
}

static void parameter_write(struct ps2mouse *dev, uint8_t command, uint8_t value)
{
    if (command == CMD_SET_RESOLUTION && value > 3) {
        put(dev, ERROR);
        return;
    }
    if (command == CMD_SET_RATE)
        set_rate(dev, value);
    else
        dev->resolution = value;
    put(dev, ACK);
}

static void command_write(struct ps2mouse *dev, uint8_t command)
{
    if (dev->wrap && command != CMD_RESET && command != CMD_RESET_WRAP) {
        put(dev, command); /* echoed unseen */
        return;
    }
    if (command == CMD_RESEND) {
        put(dev, dev->last_sent);
        return;
    }
    put(dev, ACK);
    switch (command) {
    case CMD_SCALING_1:
    case CMD_SCALING_2:
        dev->scaling_2 = command == CMD_SCALING_2;
        break;
    case CMD_SET_RESOLUTION:
    case CMD_SET_RATE:
        dev->expecting = command;
        break;
    case CMD_STATUS:
        put_status(dev);
        break;
    case CMD_STREAM_MODE:
        dev->remote = false;
        clear_motion(dev);
        break;
    case CMD_REMOTE_MODE:
        dev->remote = true;
        clear_motion(dev);
        break;
    case CMD_READ_DATA:
        put_report(dev, false); /* scaling is for stream mode */
        break;
    case CMD_RESET_WRAP:
        dev->wrap = false;
        break;
    case CMD_WRAP_MODE:
        dev->wrap = true;
        break;
    case CMD_READ_ID:
        put(dev, dev->id);
        break;
    case CMD_ENABLE:
        clear_motion(dev);
        dev->enabled = true;
        break;
    case CMD_DISABLE:
        dev->enabled = false;
        break;
    case CMD_DEFAULT:
        set_defaults(dev);
        break;
    case CMD_RESET:
        set_defaults(dev);
        dev->id = ID_PLAIN;
        put(dev, TEST_PASSED);
        put(dev, ID_PLAIN);
        break;
    default:
        dev->write--; /* not acknowledged after all */
        put(dev, RESEND);
        break;
    }
}

/* A byte from the controller.  It ends what was being said, a report included. */
static void mouse_write(void *device, uint8_t value)
{
    struct ps2mouse *dev = device;
    const uint8_t command = dev->expecting;

    dev->expecting = 0;
    dev->read = dev->write;
    if (command != 0)
        parameter_write(dev, command, value);
    else
        command_write(dev, value);
    mouse_announce(dev);
}

struct ps2mouse *ps2mouse_create(void)
{
    struct ps2mouse *dev = calloc(1, sizeof(*dev));

    if (dev == NULL)
        return NULL;
    dev->port.device = dev;
    dev->port.write = mouse_write;
    dev->port.pending = mouse_pending;
    dev->port.take = mouse_take;
    ps2mouse_reset(dev);
    return dev;
}

void ps2mouse_destroy(struct ps2mouse *dev)
{
    free(dev);
}

void ps2mouse_reset(struct ps2mouse *dev)
{
    dev->read = dev->write;
    dev->last_sent = 0;
    dev->buttons = 0;
    dev->rates[0] = dev->rates[1] = 0;
    dev->id = ID_PLAIN;
    set_defaults(dev);
}

struct ps2_port *ps2mouse_port(struct ps2mouse *dev)
{
    return &dev->port;
}
