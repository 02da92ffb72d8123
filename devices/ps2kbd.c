/*
 * devices/ps2kbd.c -- the 101/102-key PS/2 keyboard.
 * Source: IBM PS/2 Hardware Interface Technical Reference, "Keyboards (101- and 102-Key)":
 * "Commands from the System", "Commands to the System", "Scan Code Tables".
 *
 * Keys come in as set-1 bytes, the form that the rest of the world uses, and go out in the set that
 * the guest chose (2 after reset; the controller usually turns it back into set 1).  Answers to
 * commands go before keys that wait.
 *
 * Deviations: in set 3 every key makes, repeats and breaks; the power-on test is done at once; the
 * buffer holds more than a real keyboard's 16 bytes, so that pasted keys are not lost.
 */
#include "devices/ps2kbd.h"

#include <stdbool.h>
#include <stdlib.h>

enum {
    KEYS_SIZE = 256, /* powers of two */
    REPLIES_SIZE = 16,
    REPEATS_WAITING = 16, /* bytes: no repeats while the guest leaves so many unread */

    TYPEMATIC_DEFAULT = 0x2B, /* 10.9 a second after half a second */
    SET1_LEFT_SHIFT = 0x2A,   /* with E0: no key, but part of one */
    SET1_RIGHT_SHIFT = 0x36,

    CMD_SET_LEDS = 0xED,
    CMD_ECHO = 0xEE,
    CMD_SCAN_SET = 0xF0,
    CMD_READ_ID = 0xF2,
    CMD_SET_TYPEMATIC = 0xF3,
    CMD_ENABLE = 0xF4,
    CMD_DISABLE = 0xF5,
    CMD_DEFAULT = 0xF6,
    CMD_ALL_TYPEMATIC = 0xF7, /* ..FA: all keys' type in set 3 */
    CMD_ALL_BOTH = 0xFA,
    CMD_KEY_TYPEMATIC = 0xFB, /* ..FD: one key's, whose code follows */
    CMD_KEY_MAKE = 0xFD,
    CMD_RESEND = 0xFE,
    CMD_RESET = 0xFF,

    ACK = 0xFA,
    TEST_PASSED = 0xAA,
    ECHO = 0xEE,
    RESEND = 0xFE,
    ID_1 = 0xAB,
    ID_2 = 0x83,
    OVERRUN_SET1 = 0xFF,
    OVERRUN_SET23 = 0x00,

    BREAK_SET23 = 0xF0,
    BREAK_BIT = 0x80,
    EXTENDED = 0xE0,
    PAUSE = 0xE1,
};

struct ps2kbd {
    struct ps2_port port;
    uint8_t keys[KEYS_SIZE], replies[REPLIES_SIZE];
    unsigned keys_read, keys_write; /* free running */
    unsigned replies_read, replies_write;
    uint8_t last_sent; /* for Resend */
    uint8_t expecting; /* the command whose parameter comes next, 0: none */
    uint8_t scan_set;  /* 1..3 */
    uint8_t leds;
    bool scanning;
    uint8_t typematic; /* bits 6:5 delay, 4:0 period */
    uint8_t held;      /* set-1 make code that is repeated, while the timer is armed */
    bool held_extended;
    struct clock *clock;
    struct clock_timer repeat;
    bool extended;    /* E0 came in */
    uint8_t in_pause; /* bytes of an E1 sequence still to come in */
};

/* clang-format off */
/* Make codes by set-1 make code; 0: no such key.  [PS/2 HITR "Scan Code Tables"] */
static const uint8_t set2_codes[128] = {
    0x00, 0x76, 0x16, 0x1e, 0x26, 0x25, 0x2e, 0x36, 0x3d, 0x3e, 0x46, 0x45, 0x4e, 0x55, 0x66, 0x0d,
    0x15, 0x1d, 0x24, 0x2d, 0x2c, 0x35, 0x3c, 0x43, 0x44, 0x4d, 0x54, 0x5b, 0x5a, 0x14, 0x1c, 0x1b,
    0x23, 0x2b, 0x34, 0x33, 0x3b, 0x42, 0x4b, 0x4c, 0x52, 0x0e, 0x12, 0x5d, 0x1a, 0x22, 0x21, 0x2a,
    0x32, 0x31, 0x3a, 0x41, 0x49, 0x4a, 0x59, 0x7c, 0x11, 0x29, 0x58, 0x05, 0x06, 0x04, 0x0c, 0x03,
    0x0b, 0x83, 0x0a, 0x01, 0x09, 0x77, 0x7e, 0x6c, 0x75, 0x7d, 0x7b, 0x6b, 0x73, 0x74, 0x79, 0x69,
    0x72, 0x7a, 0x70, 0x71, 0x84, 0x60, 0x61, 0x78, 0x07, 0x0f, 0x17, 0x1f, 0x27, 0x2f, 0x37, 0x3f,
    0x47, 0x4f, 0x56, 0x5e, 0x08, 0x10, 0x18, 0x20, 0x28, 0x30, 0x38, 0x40, 0x48, 0x50, 0x57, 0x6f,
    0x13, 0x19, 0x39, 0x51, 0x53, 0x5c, 0x5f, 0x62, 0x63, 0x64, 0x65, 0x67, 0x68, 0x6a, 0x6d, 0x6e,
};
static const uint8_t set3_codes[128] = {
    0x00, 0x08, 0x16, 0x1e, 0x26, 0x25, 0x2e, 0x36, 0x3d, 0x3e, 0x46, 0x45, 0x4e, 0x55, 0x66, 0x0d,
    0x15, 0x1d, 0x24, 0x2d, 0x2c, 0x35, 0x3c, 0x43, 0x44, 0x4d, 0x54, 0x5b, 0x5a, 0x11, 0x1c, 0x1b,
    0x23, 0x2b, 0x34, 0x33, 0x3b, 0x42, 0x4b, 0x4c, 0x52, 0x0e, 0x12, 0x5c, 0x1a, 0x22, 0x21, 0x2a,
    0x32, 0x31, 0x3a, 0x41, 0x49, 0x4a, 0x59, 0x7e, 0x19, 0x29, 0x14, 0x07, 0x0f, 0x17, 0x1f, 0x27,
    0x2f, 0x37, 0x3f, 0x47, 0x4f, 0x76, 0x5f, 0x6c, 0x75, 0x7d, 0x84, 0x6b, 0x73, 0x74, 0x7c, 0x69,
    0x72, 0x7a, 0x70, 0x71, 0x57, 0x00, 0x13, 0x56, 0x5e, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
};
/* clang-format on */

/* The keys that E0 tells from those on the number pad, in set 3. */
static const struct {
    uint8_t set1, set3;
} set3_extended[] = {
    {0x1c, 0x79}, {0x1d, 0x58}, {0x35, 0x77}, {0x37, 0x57}, {0x38, 0x39},
    {0x46, 0x62}, {0x47, 0x6e}, {0x48, 0x63}, {0x49, 0x6f}, {0x4b, 0x61},
    {0x4d, 0x6a}, {0x4f, 0x65}, {0x50, 0x60}, {0x51, 0x6d}, {0x52, 0x67},
    {0x53, 0x64}, {0x5b, 0x8b}, {0x5c, 0x8c}, {0x5d, 0x8d},
};

static bool kbd_pending(void *device)
{
    const struct ps2kbd *dev = device;

    return dev->replies_read != dev->replies_write || dev->keys_read != dev->keys_write;
}

static uint8_t kbd_take(void *device)
{
    struct ps2kbd *dev = device;

    if (dev->replies_read != dev->replies_write)
        dev->last_sent = dev->replies[dev->replies_read++ % REPLIES_SIZE];
    else if (dev->keys_read != dev->keys_write)
        dev->last_sent = dev->keys[dev->keys_read++ % KEYS_SIZE];
    else
        return 0;
    return dev->last_sent;
}

static void kbd_announce(struct ps2kbd *dev)
{
    if (dev->port.ready != NULL && kbd_pending(dev))
        dev->port.ready(dev->port.controller);
}

static void reply(struct ps2kbd *dev, uint8_t value)
{
    if (dev->replies_write - dev->replies_read < REPLIES_SIZE)
        dev->replies[dev->replies_write++ % REPLIES_SIZE] = value;
}

/* One key's code, all bytes or none; the last free byte says that keys were lost. */
static void send_key(struct ps2kbd *dev, const uint8_t *bytes, unsigned count)
{
    const unsigned room = KEYS_SIZE - (dev->keys_write - dev->keys_read);

    if (room > count) {
        for (unsigned i = 0; i < count; i++)
            dev->keys[dev->keys_write++ % KEYS_SIZE] = bytes[i];
    } else if (room != 0) {
        const uint8_t overrun = dev->scan_set == 1 ? OVERRUN_SET1 : OVERRUN_SET23;

        if (dev->keys[(dev->keys_write - 1) % KEYS_SIZE] != overrun)
            dev->keys[dev->keys_write++ % KEYS_SIZE] = overrun;
    }
}

/* Set 3 has one code for each key and no prefixes. */
static uint8_t set3_code(uint8_t make, bool extended)
{
    if (!extended)
        return set3_codes[make];
    for (unsigned i = 0; i < sizeof(set3_extended) / sizeof(set3_extended[0]); i++) {
        if (set3_extended[i].set1 == make)
            return set3_extended[i].set3;
    }
    return 0; /* the shifts that sets 1 and 2 wrap around the navigation keys are none here */
}

/* A byte that is a whole key: with what precedes it, in the guest's set. */
static void translate_key(struct ps2kbd *dev, uint8_t set1, bool extended)
{
    const uint8_t make = set1 & ~BREAK_BIT;
    uint8_t bytes[3], code;
    unsigned count = 0;

    code = dev->scan_set == 3 ? set3_code(make, extended) : set2_codes[make];
    if (dev->scan_set == 1)
        code = set1;
    if (code == 0)
        return;
    if (extended && dev->scan_set != 3)
        bytes[count++] = EXTENDED;
    if ((set1 & BREAK_BIT) && dev->scan_set != 1)
        bytes[count++] = BREAK_SET23;
    bytes[count++] = code;
    send_key(dev, bytes, count);
}

/* The Pause key has no break code: E1 1D 45 E1 9D C5 comes in as a whole. */
static void translate_pause(struct ps2kbd *dev)
{
    static const uint8_t set1[] = {0xE1, 0x1D, 0x45, 0xE1, 0x9D, 0xC5};
    static const uint8_t set2[] = {0xE1, 0x14, 0x77, 0xE1, 0xF0, 0x14, 0xF0, 0x77};
    static const uint8_t set3[] = {0x62, 0xF0, 0x62};

    if (dev->scan_set == 1)
        send_key(dev, set1, sizeof(set1));
    else if (dev->scan_set == 2)
        send_key(dev, set2, sizeof(set2));
    else
        send_key(dev, set3, sizeof(set3));
}

/* [PS/2 HITR "Set Typematic Rate/Delay"]: (1 + D) * 250 ms, then every (8 + A) * 2^B * 1/240 s. */
static uint64_t repeat_delay_ns(const struct ps2kbd *dev)
{
    return (1 + (dev->typematic >> 5 & 3)) * UINT64_C(250000000);
}

static uint64_t repeat_period_ns(const struct ps2kbd *dev)
{
    return ((8 + (dev->typematic & 7)) << (dev->typematic >> 3 & 3)) * UINT64_C(1000000000) / 240;
}

static void repeat_fire(void *ctx, uint64_t now_ns)
{
    struct ps2kbd *dev = ctx;

    if (dev->keys_write - dev->keys_read < REPEATS_WAITING) {
        translate_key(dev, dev->held, dev->held_extended);
        kbd_announce(dev);
    }
    clock_arm(dev->clock, &dev->repeat, now_ns + repeat_period_ns(dev));
}

static void repeat_stop(struct ps2kbd *dev)
{
    clock_cancel(dev->clock, &dev->repeat);
}

/* The last key that went down is repeated until it goes up.  False: it is down already, and this is
 * the host's repeating. */
static bool repeat_follow(struct ps2kbd *dev, uint8_t set1, bool extended)
{
    const uint8_t make = set1 & ~BREAK_BIT;
    const bool same = dev->repeat.armed && dev->held == make && dev->held_extended == extended;

    if (extended && (make == SET1_LEFT_SHIFT || make == SET1_RIGHT_SHIFT))
        return true;
    if (set1 & BREAK_BIT) {
        if (same)
            repeat_stop(dev);
        return true;
    }
    if (same)
        return false;
    dev->held = make;
    dev->held_extended = extended;
    clock_arm(dev->clock, &dev->repeat, clock_now_ns(dev->clock) + repeat_delay_ns(dev));
    return true;
}

void ps2kbd_key(struct ps2kbd *dev, const uint8_t *set1, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (dev->in_pause != 0) {
            if (--dev->in_pause == 0 && dev->scanning)
                translate_pause(dev);
        } else if (set1[i] == PAUSE) {
            dev->in_pause = 5;
        } else if (set1[i] == EXTENDED) {
            dev->extended = true;
        } else {
            if (dev->scanning && repeat_follow(dev, set1[i], dev->extended))
                translate_key(dev, set1[i], dev->extended);
            dev->extended = false;
        }
    }
    kbd_announce(dev);
}

size_t ps2kbd_room(const struct ps2kbd *dev)
{
    return KEYS_SIZE - (dev->keys_write - dev->keys_read);
}

static void set_defaults(struct ps2kbd *dev)
{
    dev->scan_set = 2;
    dev->typematic = TYPEMATIC_DEFAULT;
    repeat_stop(dev);
    dev->expecting = 0;
    dev->keys_read = dev->keys_write;
}

/* The parameter of a command that was acknowledged before. */
static void parameter_write(struct ps2kbd *dev, uint8_t command, uint8_t value)
{
    switch (command) {
    case CMD_SET_LEDS:
        dev->leds = value & 7;
        reply(dev, ACK);
        break;
    case CMD_SCAN_SET:
        if (value > 3) {
            reply(dev, RESEND);
            dev->expecting = command;
            break;
        }
        reply(dev, ACK);
        if (value == 0)
            reply(dev, dev->scan_set);
        else
            dev->scan_set = value;
        break;
    case CMD_SET_TYPEMATIC:
        dev->typematic = value & 0x7f;
        reply(dev, ACK);
        break;
    default: /* a key's type in set 3 */
        reply(dev, ACK);
        break;
    }
}

static void command_write(struct ps2kbd *dev, uint8_t command)
{
    switch (command) {
    case CMD_SET_LEDS:
    case CMD_SCAN_SET:
    case CMD_SET_TYPEMATIC:
        dev->expecting = command;
        reply(dev, ACK);
        break;
    case CMD_ECHO:
        reply(dev, ECHO);
        break;
    case CMD_READ_ID:
        reply(dev, ACK);
        reply(dev, ID_1);
        reply(dev, ID_2);
        break;
    case CMD_ENABLE:
        dev->keys_read = dev->keys_write;
        dev->scanning = true;
        reply(dev, ACK);
        break;
    case CMD_DISABLE:
    case CMD_DEFAULT:
        set_defaults(dev);
        dev->scanning = command == CMD_DEFAULT;
        reply(dev, ACK);
        break;
    case CMD_RESEND:
        reply(dev, dev->last_sent);
        break;
    case CMD_RESET:
        set_defaults(dev);
        dev->leds = 0;
        dev->scanning = true;
        reply(dev, ACK);
        reply(dev, TEST_PASSED);
        break;
    default:
        if (command >= CMD_ALL_TYPEMATIC && command <= CMD_ALL_BOTH) {
            reply(dev, ACK);
        } else if (command >= CMD_KEY_TYPEMATIC && command <= CMD_KEY_MAKE) {
            dev->expecting = command;
            reply(dev, ACK);
        } else {
            reply(dev, RESEND);
        }
        break;
    }
}

/* A byte from the controller.  A new one ends what was being said. */
static void kbd_write(void *device, uint8_t value)
{
    struct ps2kbd *dev = device;
    const uint8_t command = dev->expecting;

    dev->expecting = 0;
    dev->replies_read = dev->replies_write;
    if (command != 0 && value < CMD_SET_LEDS)
        parameter_write(dev, command, value);
    else
        command_write(dev, value);
    kbd_announce(dev);
}

struct ps2kbd *ps2kbd_create(struct clock *clock)
{
    struct ps2kbd *dev = calloc(1, sizeof(*dev));

    if (dev == NULL)
        return NULL;
    dev->clock = clock;
    dev->repeat = (struct clock_timer){.fire = repeat_fire, .ctx = dev};
    dev->port.device = dev;
    dev->port.write = kbd_write;
    dev->port.pending = kbd_pending;
    dev->port.take = kbd_take;
    ps2kbd_reset(dev);
    return dev;
}

void ps2kbd_destroy(struct ps2kbd *dev)
{
    if (dev == NULL)
        return;
    repeat_stop(dev);
    free(dev);
}

void ps2kbd_reset(struct ps2kbd *dev)
{
    set_defaults(dev);
    dev->replies_read = dev->replies_write;
    dev->last_sent = 0;
    dev->leds = 0;
    dev->scanning = true;
    dev->extended = false;
    dev->in_pause = 0;
}

struct ps2_port *ps2kbd_port(struct ps2kbd *dev)
{
    return &dev->port;
}

uint8_t ps2kbd_leds(const struct ps2kbd *dev)
{
    return dev->leds;
}
