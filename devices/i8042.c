/*
 * devices/i8042.c -- the keyboard controller: an 8042 with the PS/2 machines' auxiliary port.
 * Sources: IBM PC AT Technical Reference (1502494), "Keyboard Controller"; IBM PS/2 Hardware
 * Interface Technical Reference, "Keyboard and Auxiliary Device Controller".
 *
 *   port  read                                                   write
 *   60    output buffer                                          data for the keyboard or a command
 *   64    7 parity, 6 time-out, 5 aux byte, 4 not locked,        command
 *         3 last write was a command, 2 SYS, 1 input full, 0 output full
 *
 *   command byte (RAM 0): 6 translate, 5 aux off, 4 keyboard off, 2 SYS, 1 IRQ12, 0 IRQ1
 *   output port:          5 IRQ12, 4 IRQ1, 1 A20, 0 not reset
 *
 * The output buffer is one byte.  A device's byte enters it a while after it is free and its port
 * is on; the controller's own answers enter it at once.  IRQ1 and IRQ12 are high while a byte
 * waits.
 *
 * Deviation: a byte takes 100 us on the cable instead of about 1 ms, and the controller is never
 * busy (input buffer full reads as 0), so that nobody waits for wires that are not there.
 */
#include "devices/i8042.h"

#include <stdlib.h>

#define PS2_BYTE_NS 100000u

enum {
    PORT_DATA = 0x60,
    PORT_COMMAND = 0x64,

    STATUS_OBF = 0x01,
    STATUS_SYS = 0x04,
    STATUS_COMMAND = 0x08,
    STATUS_NOT_LOCKED = 0x10,
    STATUS_AUX_OBF = 0x20,
    STATUS_TIMEOUT = 0x40,

    CB_IRQ1 = 0x01,
    CB_IRQ12 = 0x02,
    CB_SYS = 0x04,
    CB_KEYBOARD_OFF = 0x10,
    CB_AUX_OFF = 0x20,
    CB_TRANSLATE = 0x40,

    OUT_NOT_RESET = 0x01,
    OUT_A20 = 0x02,
    OUT_IRQ1 = 0x10,
    OUT_IRQ12 = 0x20,
    OUT_IDLE_LINES = 0xCC, /* data and clock of both cables */

    IN_IDLE = 0xB0, /* lock open, colour display, no manufacturing jumper, RAM enabled */

    CMD_READ_RAM = 0x20,  /* ..3F */
    CMD_WRITE_RAM = 0x60, /* ..7F */
    CMD_TEST_PASSWORD = 0xA4,
    CMD_AUX_OFF = 0xA7,
    CMD_AUX_ON = 0xA8,
    CMD_AUX_TEST = 0xA9,
    CMD_SELF_TEST = 0xAA,
    CMD_KEYBOARD_TEST = 0xAB,
    CMD_KEYBOARD_OFF = 0xAD,
    CMD_KEYBOARD_ON = 0xAE,
    CMD_READ_INPUT_PORT = 0xC0,
    CMD_READ_OUTPUT_PORT = 0xD0,
    CMD_WRITE_OUTPUT_PORT = 0xD1,
    CMD_WRITE_KEYBOARD_BUFFER = 0xD2,
    CMD_WRITE_AUX_BUFFER = 0xD3,
    CMD_WRITE_AUX = 0xD4,
    CMD_A20_OFF = 0xDD,
    CMD_A20_ON = 0xDF,
    CMD_READ_TEST_INPUTS = 0xE0,
    CMD_PULSE = 0xF0, /* ..FF: the clear bits of 3..0 pulse the output port's */

    SELF_TEST_OK = 0x55,
    LINES_OK = 0x00,
    NO_PASSWORD = 0xF1,
    RESEND = 0xFE,
    SET2_BREAK = 0xF0,

    KEYBOARD = 0,
    AUX = 1,
    RAM_SIZE = 32,
};

struct i8042 {
    struct bus *bus;
    struct clock *clock;
    struct ps2_port *port[2]; /* NULL: nothing plugged in */
    struct i8042_lines lines;
    struct clock_timer timer; /* the byte that is on a cable */
    uint8_t ram[RAM_SIZE];    /* 0 is the command byte */
    uint8_t output;           /* what the output buffer holds, or held last */
    uint8_t output_status;    /* OBF, AUX_OBF, TIMEOUT of that byte */
    bool last_was_command;
    uint8_t expecting; /* the command that the next data byte belongs to, 0: none */
    bool a20;
    uint8_t break_bit; /* 0x80 after F0 */
};

/* Set 2 to set 1, as the controller's program does it.  [PS/2 HITR, "Keyboard and
 * Auxiliary Device Controller"] */
/* clang-format off */
static const uint8_t set2_to_set1[0x85] = {
    0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59,
    0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b,
    0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d,
    0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f,
    0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61,
    0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76,
    0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f,
    0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
    0x80, 0x81, 0x82, 0x41, 0x54,
};
/* clang-format on */

static bool port_on(const struct i8042 *dev, unsigned which)
{
    return !(dev->ram[0] & (which == AUX ? CB_AUX_OFF : CB_KEYBOARD_OFF));
}

static bool port_pending(const struct i8042 *dev, unsigned which)
{
    struct ps2_port *port = dev->port[which];

    return port != NULL && port_on(dev, which) && port->pending(port->device);
}

static void irq_update(struct i8042 *dev)
{
    const bool full = dev->output_status & STATUS_OBF;
    const bool aux = dev->output_status & STATUS_AUX_OBF;

    line_set(dev->lines.irq1, full && !aux && (dev->ram[0] & CB_IRQ1));
    line_set(dev->lines.irq12, full && aux && (dev->ram[0] & CB_IRQ12));
}

/* Start the next byte's way to the output buffer, if one may come. */
static void cable_start(struct i8042 *dev)
{
    if ((dev->output_status & STATUS_OBF) || dev->timer.armed)
        return;
    if (port_pending(dev, KEYBOARD) || port_pending(dev, AUX))
        clock_arm(dev->clock, &dev->timer, clock_now_ns(dev->clock) + PS2_BYTE_NS);
}

/* The output buffer takes a byte, and loses what nobody fetched. */
static void output_put(struct i8042 *dev, uint8_t value, uint8_t status)
{
    dev->output = value;
    if (dev->output_status & STATUS_OBF) { /* an interrupt is an edge: let it be seen */
        line_set(dev->lines.irq1, false);
        line_set(dev->lines.irq12, false);
    }
    dev->output_status = STATUS_OBF | status;
    irq_update(dev);
}

/* A byte from the keyboard; false when it only announces the next. */
static bool translate(struct i8042 *dev, uint8_t *value)
{
    if (!(dev->ram[0] & CB_TRANSLATE))
        return true;
    if (*value == SET2_BREAK) {
        dev->break_bit = 0x80;
        return false;
    }
    if (*value < sizeof(set2_to_set1))
        *value = set2_to_set1[*value];
    *value |= dev->break_bit;
    dev->break_bit = 0;
    return true;
}

static void cable_fire(void *ctx, uint64_t now_ns)
{
    struct i8042 *dev = ctx;
    uint8_t value;

    (void)now_ns;
    if (dev->output_status & STATUS_OBF)
        return; /* the controller's own answer was faster; reading it starts the cable again */
    if (port_pending(dev, KEYBOARD)) {
        value = dev->port[KEYBOARD]->take(dev->port[KEYBOARD]->device);
        if (translate(dev, &value))
            output_put(dev, value, 0);
    } else if (port_pending(dev, AUX)) {
        output_put(dev, dev->port[AUX]->take(dev->port[AUX]->device), STATUS_AUX_OBF);
    }
    cable_start(dev);
}

static void i8042_ready(void *controller)
{
    cable_start(controller);
}

/* Send a byte to a device, which switches its port on; with nobody there it times out. */
static void port_write(struct i8042 *dev, unsigned which, uint8_t value)
{
    struct ps2_port *port = dev->port[which];

    dev->ram[0] &= ~(which == AUX ? CB_AUX_OFF : CB_KEYBOARD_OFF);
    if (port == NULL) {
        output_put(dev, RESEND, STATUS_TIMEOUT | (which == AUX ? STATUS_AUX_OBF : 0));
        return;
    }
    port->write(port->device, value);
    cable_start(dev);
}

static void a20_set(struct i8042 *dev, bool level)
{
    dev->a20 = level;
    line_set(dev->lines.a20, level);
}

/* Writes to RAM 0 steer ports and interrupts at once. */
static void ram_write(struct i8042 *dev, unsigned index, uint8_t value)
{
    dev->ram[index] = value;
    irq_update(dev);
    cable_start(dev);
}

static uint8_t output_port(const struct i8042 *dev)
{
    uint8_t value = OUT_IDLE_LINES | OUT_NOT_RESET | (dev->a20 ? OUT_A20 : 0);

    if (dev->output_status & STATUS_OBF)
        value |= dev->output_status & STATUS_AUX_OBF ? OUT_IRQ12 : OUT_IRQ1;
    return value;
}

static void command_write(struct i8042 *dev, uint8_t command)
{
    dev->last_was_command = true;
    dev->expecting = 0;
    if (command >= CMD_READ_RAM && command < CMD_READ_RAM + RAM_SIZE) {
        output_put(dev, dev->ram[command - CMD_READ_RAM], 0);
        return;
    }
    if (command >= CMD_WRITE_RAM && command < CMD_WRITE_RAM + RAM_SIZE) {
        dev->expecting = command;
        return;
    }
    if (command >= CMD_PULSE) {
        if (!(command & OUT_NOT_RESET))
            line_pulse(dev->lines.reset); /* last: the board may reset this chip in it */
        return;
    }
    switch (command) {
    case CMD_TEST_PASSWORD:
        output_put(dev, NO_PASSWORD, 0);
        break;
    case CMD_AUX_OFF:
        ram_write(dev, 0, dev->ram[0] | CB_AUX_OFF);
        break;
    case CMD_AUX_ON:
        ram_write(dev, 0, dev->ram[0] & ~CB_AUX_OFF);
        break;
    case CMD_SELF_TEST:
        dev->ram[0] |= CB_SYS;
        output_put(dev, SELF_TEST_OK, 0);
        break;
    case CMD_AUX_TEST:
    case CMD_KEYBOARD_TEST:
        output_put(dev, LINES_OK, 0);
        break;
    case CMD_KEYBOARD_OFF:
        ram_write(dev, 0, dev->ram[0] | CB_KEYBOARD_OFF);
        break;
    case CMD_KEYBOARD_ON:
        ram_write(dev, 0, dev->ram[0] & ~CB_KEYBOARD_OFF);
        break;
    case CMD_READ_INPUT_PORT:
        output_put(dev, IN_IDLE, 0);
        break;
    case CMD_READ_OUTPUT_PORT:
        output_put(dev, output_port(dev), 0);
        break;
    case CMD_WRITE_OUTPUT_PORT:
    case CMD_WRITE_KEYBOARD_BUFFER:
    case CMD_WRITE_AUX_BUFFER:
    case CMD_WRITE_AUX:
        dev->expecting = command;
        break;
    case CMD_A20_OFF:
        a20_set(dev, false);
        break;
    case CMD_A20_ON:
        a20_set(dev, true);
        break;
    case CMD_READ_TEST_INPUTS: /* clock and data of the keyboard; a port that is off holds clock low
                                */
        output_put(dev, port_on(dev, KEYBOARD) ? 3 : 2, 0);
        break;
    default:
        bus_log_once(dev->bus, "i8042", command, "unknown command");
        break;
    }
}

static void data_write(struct i8042 *dev, uint8_t value)
{
    const uint8_t command = dev->expecting;

    dev->last_was_command = false;
    dev->expecting = 0;
    switch (command) {
    case 0:
        port_write(dev, KEYBOARD, value);
        break;
    case CMD_WRITE_AUX:
        port_write(dev, AUX, value);
        break;
    case CMD_WRITE_KEYBOARD_BUFFER:
        output_put(dev, value, 0);
        break;
    case CMD_WRITE_AUX_BUFFER:
        output_put(dev, value, STATUS_AUX_OBF);
        break;
    case CMD_WRITE_OUTPUT_PORT:
        a20_set(dev, (value & OUT_A20) != 0);
        if (!(value & OUT_NOT_RESET))
            line_pulse(dev->lines.reset); /* last: the board may reset this chip in it */
        break;
    default:
        ram_write(dev, command - CMD_WRITE_RAM, value);
        break;
    }
}

static uint32_t data_read(void *ctx, uint16_t offset, unsigned size)
{
    struct i8042 *dev = ctx;

    (void)offset;
    (void)size;
    dev->output_status = 0;
    irq_update(dev);
    cable_start(dev);
    return dev->output;
}

static void data_port_write(void *ctx, uint16_t offset, unsigned size, uint32_t value)
{
    (void)offset;
    (void)size;
    data_write(ctx, (uint8_t)value);
}

static uint32_t status_read(void *ctx, uint16_t offset, unsigned size)
{
    const struct i8042 *dev = ctx;

    (void)offset;
    (void)size;
    return dev->output_status | STATUS_NOT_LOCKED | (dev->ram[0] & CB_SYS ? STATUS_SYS : 0) |
           (dev->last_was_command ? STATUS_COMMAND : 0);
}

static void command_port_write(void *ctx, uint16_t offset, unsigned size, uint32_t value)
{
    (void)offset;
    (void)size;
    command_write(ctx, (uint8_t)value);
}

static const struct io_ops data_ops = {"i8042 data", 1, data_read, data_port_write};
static const struct io_ops command_ops = {"i8042 command", 1, status_read, command_port_write};

static void port_attach(struct i8042 *dev, unsigned which, struct ps2_port *port)
{
    dev->port[which] = port;
    if (port == NULL)
        return;
    port->controller = dev;
    port->ready = i8042_ready;
}

struct i8042 *i8042_create(struct bus *bus, struct clock *clock, struct ps2_port *keyboard,
                           struct ps2_port *aux, const struct i8042_lines *lines)
{
    struct i8042 *dev = calloc(1, sizeof(*dev));

    if (dev == NULL)
        return NULL;
    dev->bus = bus;
    dev->clock = clock;
    dev->lines = *lines;
    dev->timer.fire = cable_fire;
    dev->timer.ctx = dev;
    if (bus_map_io(bus, PORT_DATA, 1, &data_ops, dev) != 0) {
        free(dev);
        return NULL;
    }
    if (bus_map_io(bus, PORT_COMMAND, 1, &command_ops, dev) != 0) {
        bus_unmap_io(bus, PORT_DATA, 1);
        free(dev);
        return NULL;
    }
    port_attach(dev, KEYBOARD, keyboard);
    port_attach(dev, AUX, aux);
    i8042_reset(dev);
    return dev;
}

void i8042_destroy(struct i8042 *dev)
{
    if (dev == NULL)
        return;
    for (unsigned i = 0; i < 2; i++) {
        if (dev->port[i] != NULL)
            dev->port[i]->ready = NULL;
    }
    clock_cancel(dev->clock, &dev->timer);
    bus_unmap_io(dev->bus, PORT_DATA, 1);
    bus_unmap_io(dev->bus, PORT_COMMAND, 1);
    free(dev);
}

/* The command byte is what a BIOS leaves, so that a guest entered without one finds a keyboard. */
void i8042_reset(struct i8042 *dev)
{
    clock_cancel(dev->clock, &dev->timer);
    for (unsigned i = 0; i < RAM_SIZE; i++)
        dev->ram[i] = 0;
    dev->ram[0] = CB_TRANSLATE | CB_AUX_OFF | CB_IRQ1;
    dev->output = 0;
    dev->output_status = 0;
    dev->last_was_command = false;
    dev->expecting = 0;
    dev->break_bit = 0;
    irq_update(dev);
    a20_set(dev, true);
}
