/*
 * devices/port92.c -- system control port A (I/O port 0x92).
 * Source: SMSC FDC37B78x data sheet, "Port 92 Register".
 *
 *   bit  name       access
 *   0    ALT_RESET  rw     0 -> 1 pulses the CPU's INIT line
 *   1    ALT_A20    rw     drives A20; the board ORs it with the i8042's gate
 *   5,2  -          r      read as 1
 *   7,6,4,3         r      read as 0
 */
#include "devices/port92.h"

#include <stdlib.h>

#define PORT92_BASE 0x92

enum { ALT_RESET = 0x01, ALT_A20 = 0x02, READ_AS_ONE = 0x24 };

struct port92 {
    struct bus *bus;
    struct line *a20, *init; /* owned by the board */
    uint8_t value;           /* writable bits only */
};

static uint32_t port92_read(void *ctx, uint16_t offset, unsigned size)
{
    const struct port92 *dev = ctx;

    (void)offset;
    (void)size;
    return dev->value | READ_AS_ONE;
}

static void port92_write(void *ctx, uint16_t offset, unsigned size, uint32_t value)
{
    struct port92 *dev = ctx;
    const bool rising = (value & ~dev->value & ALT_RESET) != 0;

    (void)offset;
    (void)size;
    dev->value = value & (ALT_RESET | ALT_A20);
    line_set(dev->a20, (value & ALT_A20) != 0);
    if (rising)
        line_pulse(dev->init);
}

static const struct io_ops port92_ops = {
    .name = "port92", .max_size = 1, .read = port92_read, .write = port92_write};

struct port92 *port92_create(struct bus *bus, struct line *a20, struct line *init)
{
    struct port92 *dev = calloc(1, sizeof(*dev));

    if (dev == NULL)
        return NULL;
    dev->bus = bus;
    dev->a20 = a20;
    dev->init = init;
    if (bus_map_io(bus, PORT92_BASE, 1, &port92_ops, dev) != 0) {
        free(dev);
        return NULL;
    }
    return dev;
}

void port92_destroy(struct port92 *dev)
{
    if (dev == NULL)
        return;
    bus_unmap_io(dev->bus, PORT92_BASE, 1);
    free(dev);
}

void port92_reset(struct port92 *dev)
{
    dev->value = 0;
    line_set(dev->a20, false);
}
