/*
 * devices/bus.c -- I/O port decoding, and the log of what no chip implements.
 *
 * Every port holds the number of the claim that owns it (0: none), so a lookup is one load.  An
 * access that a chip cannot take in one piece, because it is wider than the chip or runs into the
 * neighbour's ports, is split into pieces of 4, 2 or 1 bytes, low bytes first.
 */
#include "devices/bus.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PORTS          65536u
#define CLAIMS_MAX     1024u /* far more than a PC has; bounds what a guest can ask for by PCI BARs */
#define LOG_ONCE_SLOTS 2048u /* power of two; half of it is used, then the log falls silent */

struct claim {
    const struct io_ops *ops;         /* NULL: the slot is free */
    const struct io_block_ops *block; /* of its first port; NULL: none */
    void *dev;
    uint32_t base, count;
    uint32_t left; /* ports of it that are still mapped */
};

struct bus {
    struct bus_memory memory;
    uint16_t owner[PORTS]; /* index into claims, 0: nobody */
    struct claim claims[CLAIMS_MAX];
    void (*log)(void *ctx, const char *line);
    void *log_ctx;
    uint8_t port_logged[2][PORTS / 8]; /* unclaimed reads, writes */
    uint64_t logged[LOG_ONCE_SLOTS];   /* hashes of (chip, register); 0: free */
    unsigned logged_count;
};

struct bus *bus_create(const struct bus_memory *memory)
{
    struct bus *bus = calloc(1, sizeof(*bus));

    if (bus != NULL && memory != NULL)
        bus->memory = *memory;
    return bus;
}

void bus_destroy(struct bus *bus)
{
    free(bus);
}

const struct bus_memory *bus_memory(const struct bus *bus)
{
    return &bus->memory;
}

int bus_map_io(struct bus *bus, uint16_t base, unsigned count, const struct io_ops *ops, void *dev)
{
    unsigned slot;

    if (ops == NULL || count == 0 || count > PORTS - base ||
        (ops->max_size != 1 && ops->max_size != 2 && ops->max_size != 4))
        return -EINVAL;
    for (unsigned i = 0; i < count; i++) {
        if (bus->owner[base + i] != 0)
            return -EBUSY;
    }
    for (slot = 1; slot < CLAIMS_MAX && bus->claims[slot].ops != NULL; slot++)
        ;
    if (slot == CLAIMS_MAX)
        return -ENOSPC;
    bus->claims[slot] =
        (struct claim){.ops = ops, .dev = dev, .base = base, .count = count, .left = count};
    for (unsigned i = 0; i < count; i++)
        bus->owner[base + i] = (uint16_t)slot;
    return 0;
}

void bus_unmap_io(struct bus *bus, uint16_t base, unsigned count)
{
    for (uint32_t port = base; port < PORTS && count > 0; port++, count--) {
        struct claim *claim = &bus->claims[bus->owner[port]];

        if (bus->owner[port] == 0)
            continue;
        bus->owner[port] = 0;
        if (--claim->left == 0)
            claim->ops = NULL;
    }
}

/* An access to a port nobody owns: one line for each port and direction. */
static void log_unclaimed(struct bus *bus, uint32_t port, bool write)
{
    uint8_t *const byte = &bus->port_logged[write][port / 8];
    const uint8_t bit = (uint8_t)(1u << (port % 8));
    char line[64];

    if (bus->log == NULL || (*byte & bit) != 0)
        return;
    *byte |= bit;
    snprintf(line, sizeof(line), "io: unclaimed port 0x%04x %s", (unsigned)port,
             write ? "written" : "read");
    bus->log(bus->log_ctx, line);
}

/*
 * How many of the `left` bytes at `port` go to the chip there in one access: the largest of 4, 2, 1
 * that the chip takes and that ends inside its ports.
 */
static unsigned piece_size(const struct claim *claim, uint32_t port, unsigned left)
{
    const uint32_t room = claim->base + claim->count - port;
    unsigned size = claim->ops->max_size;

    while (size > left || size > room)
        size /= 2;
    return size;
}

static uint32_t size_mask(unsigned size)
{
    return size >= 4 ? UINT32_MAX : (1u << (8 * size)) - 1;
}

uint32_t bus_io_read(struct bus *bus, uint16_t port, unsigned size)
{
    uint32_t value = 0;

    for (unsigned done = 0; done < size && done < 4;) {
        const uint32_t at = (uint32_t)port + done;
        const struct claim *claim = at < PORTS ? &bus->claims[bus->owner[at]] : &bus->claims[0];
        unsigned piece = 1;
        uint32_t part = 0xff;

        if (claim->ops == NULL) {
            log_unclaimed(bus, at & (PORTS - 1), false);
        } else {
            piece = piece_size(claim, at, size - done);
            part = size_mask(piece);
            if (claim->ops->read != NULL)
                part &= claim->ops->read(claim->dev, (uint16_t)(at - claim->base), piece);
        }
        value |= part << (8 * done);
        done += piece;
    }
    return value;
}

void bus_io_write(struct bus *bus, uint16_t port, unsigned size, uint32_t value)
{
    for (unsigned done = 0; done < size && done < 4;) {
        const uint32_t at = (uint32_t)port + done;
        const struct claim *claim = at < PORTS ? &bus->claims[bus->owner[at]] : &bus->claims[0];
        unsigned piece = 1;

        if (claim->ops == NULL) {
            log_unclaimed(bus, at & (PORTS - 1), true);
        } else {
            piece = piece_size(claim, at, size - done);
            if (claim->ops->write != NULL)
                claim->ops->write(claim->dev, (uint16_t)(at - claim->base), piece,
                                  (value >> (8 * done)) & size_mask(piece));
        }
        done += piece;
    }
}

void bus_set_block(struct bus *bus, uint16_t base, const struct io_block_ops *ops)
{
    if (bus->owner[base] != 0)
        bus->claims[bus->owner[base]].block = ops;
}

/* The claim that takes blocks of accesses of `size` bytes at `port`, NULL when there is none. */
static const struct claim *block_claim(const struct bus *bus, uint16_t port, unsigned size)
{
    const struct claim *claim = &bus->claims[bus->owner[port]];

    return claim->ops != NULL && claim->block != NULL && port == claim->base &&
                   piece_size(claim, port, size) == size
               ? claim
               : NULL;
}

unsigned bus_io_read_block(struct bus *bus, uint16_t port, unsigned size, void *buffer,
                           unsigned count)
{
    const struct claim *claim = block_claim(bus, port, size);

    return claim != NULL ? claim->block->read(claim->dev, size, buffer, count) : 0;
}

unsigned bus_io_write_block(struct bus *bus, uint16_t port, unsigned size, const void *buffer,
                            unsigned count)
{
    const struct claim *claim = block_claim(bus, port, size);

    return claim != NULL ? claim->block->write(claim->dev, size, buffer, count) : 0;
}

void bus_log_set(struct bus *bus, void (*log)(void *ctx, const char *line), void *ctx)
{
    bus->log = log;
    bus->log_ctx = ctx;
}

/* FNV-1a over the chip's name, what happened and the register; never 0. */
static uint64_t log_hash(const char *chip, uint64_t reg, const char *what)
{
    const uint64_t prime = 0x100000001b3;
    uint64_t hash = 0xcbf29ce484222325;

    for (; *chip != '\0'; chip++)
        hash = (hash ^ (uint8_t)*chip) * prime;
    for (; *what != '\0'; what++)
        hash = (hash ^ (uint8_t)*what) * prime;
    for (unsigned i = 0; i < 8; i++)
        hash = (hash ^ ((reg >> (8 * i)) & 0xff)) * prime;
    return hash | 1;
}

void bus_log_once(struct bus *bus, const char *chip, uint64_t reg, const char *what)
{
    uint64_t hash;
    unsigned slot;
    char line[128];

    if (bus->log == NULL)
        return;
    hash = log_hash(chip, reg, what);
    slot = (hash >> 32) & (LOG_ONCE_SLOTS - 1);
    for (; bus->logged[slot] != 0; slot = (slot + 1) & (LOG_ONCE_SLOTS - 1)) {
        if (bus->logged[slot] == hash)
            return;
    }
    if (bus->logged_count >= LOG_ONCE_SLOTS / 2)
        return; /* a guest that touches everything must not fill the log */
    bus->logged[slot] = hash;
    bus->logged_count++;
    snprintf(line, sizeof(line), "%s: register 0x%llx: %s", chip, (unsigned long long)reg, what);
    bus->log(bus->log_ctx, line);
}
