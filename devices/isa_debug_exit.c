/*
 * devices/isa_debug_exit.c -- a port that ends the machine.
 * Source: QEMU's documented behaviour of `-device isa-debug-exit`: a write of v ends the process
 * with status (v << 1) | 1, so that a guest cannot claim the host's success by accident.
 */
#include "devices/isa_debug_exit.h"

#include <limits.h>
#include <stdlib.h>

struct isa_debug_exit {
    struct bus *bus;
    uint16_t port;
    unsigned size;
    struct io_ops ops; /* per device: the widest access depends on size */
    void (*exit)(void *ctx, int status);
    void *ctx;
};

static uint32_t isa_debug_exit_read(void *ctx, uint16_t offset, unsigned size)
{
    (void)ctx;
    (void)offset;
    (void)size;
    return 0;
}

static void isa_debug_exit_write(void *ctx, uint16_t offset, unsigned size, uint32_t value)
{
    const struct isa_debug_exit *dev = ctx;

    (void)offset;
    (void)size;
    if (dev->exit != NULL)
        dev->exit(dev->ctx, (int)((value << 1 | 1) & INT_MAX));
}

struct isa_debug_exit *isa_debug_exit_create(struct bus *bus, uint16_t port, unsigned size,
                                             void (*exit)(void *ctx, int status), void *ctx)
{
    struct isa_debug_exit *dev;

    if (size < 1 || size > 4)
        return NULL;
    dev = calloc(1, sizeof(*dev));
    if (dev == NULL)
        return NULL;
    dev->bus = bus;
    dev->port = port;
    dev->size = size;
    dev->exit = exit;
    dev->ctx = ctx;
    dev->ops = (struct io_ops){.name = "isa-debug-exit",
                               .max_size = size == 3 ? 2 : size,
                               .read = isa_debug_exit_read,
                               .write = isa_debug_exit_write};
    if (bus_map_io(bus, port, size, &dev->ops, dev) != 0) {
        free(dev);
        return NULL;
    }
    return dev;
}

void isa_debug_exit_destroy(struct isa_debug_exit *dev)
{
    if (dev == NULL)
        return;
    bus_unmap_io(dev->bus, dev->port, dev->size);
    free(dev);
}
