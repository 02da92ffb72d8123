/*
 * devices/debugcon.c -- the debug console: a port whose bytes go to the host.
 * Source: Bochs user manual, "port_e9_hack"; the same port answers 0xE9 on every emulator that has
 * it, which is how firmware finds out.
 *
 *   write  one character of output
 *   read   0xE9: somebody listens
 */
#include "devices/debugcon.h"

#include <stdlib.h>

enum { DEBUGCON_PRESENT = 0xE9 };

struct debugcon {
    struct bus *bus;
    uint16_t port;
    struct char_backend *backend; /* may be NULL */
};

static uint32_t debugcon_read(void *ctx, uint16_t offset, unsigned size)
{
    (void)ctx;
    (void)offset;
    (void)size;
    return DEBUGCON_PRESENT;
}

static void debugcon_write(void *ctx, uint16_t offset, unsigned size, uint32_t value)
{
    const struct debugcon *dev = ctx;
    const uint8_t byte = (uint8_t)value;

    (void)offset;
    (void)size;
    if (dev->backend != NULL && dev->backend->write != NULL)
        dev->backend->write(dev->backend->ctx, &byte, 1);
}

static const struct io_ops debugcon_ops = {
    .name = "debugcon", .max_size = 1, .read = debugcon_read, .write = debugcon_write};

/* The console has no input: what the host offers is not taken. */
static size_t debugcon_can_receive(void *chip)
{
    (void)chip;
    return 0;
}

static void debugcon_receive(void *chip, const uint8_t *data, size_t size)
{
    (void)chip;
    (void)data;
    (void)size;
}

static void debugcon_send_break(void *chip)
{
    (void)chip;
}

struct debugcon *debugcon_create(struct bus *bus, uint16_t port, struct char_backend *backend)
{
    struct debugcon *dev = calloc(1, sizeof(*dev));

    if (dev == NULL)
        return NULL;
    dev->bus = bus;
    dev->port = port;
    dev->backend = backend;
    if (bus_map_io(bus, port, 1, &debugcon_ops, dev) != 0) {
        free(dev);
        return NULL;
    }
    if (backend != NULL) {
        backend->chip = dev;
        backend->can_receive = debugcon_can_receive;
        backend->receive = debugcon_receive;
        backend->send_break = debugcon_send_break;
    }
    return dev;
}

void debugcon_destroy(struct debugcon *dev)
{
    if (dev == NULL)
        return;
    bus_unmap_io(dev->bus, dev->port, 1);
    free(dev);
}
