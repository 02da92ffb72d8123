/*
 * devices/bus.h -- what a chip sees of the machine: I/O ports, memory-mapped registers, DMA.
 *
 * A chip includes only the bus-side headers (bus.h, line.h, clock.h, backend.h).  The board
 * (pc.c) connects the bus to the CPU and to guest memory.
 */
#ifndef RINGER_DEVICES_BUS_H
#define RINGER_DEVICES_BUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bus;

/* Accesses wider than max_size are split by the bus, low bytes first. offset is from the base. */
struct io_ops {
    const char *name;
    unsigned max_size; /* 1, 2 or 4 bytes */
    uint32_t (*read)(void *ctx, uint16_t offset, unsigned size);
    void (*write)(void *ctx, uint16_t offset, unsigned size, uint32_t value);
};
/* For a port that is a queue of data: `count` accesses at once, of `size` bytes (at most the chip's
 * max_size) each.  Return how many were done; 0 where they have to come one by one. */
struct io_block_ops {
    unsigned (*read)(void *ctx, unsigned size, void *buffer, unsigned count);
    unsigned (*write)(void *ctx, unsigned size, const void *buffer, unsigned count);
};
struct bus_mmio_ops {
    const char *name;
    uint64_t (*read)(void *ctx, uint64_t offset, unsigned size);
    void (*write)(void *ctx, uint64_t offset, unsigned size, uint64_t value);
};

/* What the board gives the bus: the memory side. */
struct bus_memory {
    void *ctx;
    int (*map_mmio)(void *ctx, uint64_t base, uint64_t size, const struct bus_mmio_ops *ops,
                    void *dev);
    /* Map `size` bytes of the board's backing store (VGA memory, shadow RAM, ROM). */
    int (*map_backing)(void *ctx, uint64_t base, uint64_t size, uint64_t offset, bool writable);
    int (*unmap)(void *ctx, uint64_t base, uint64_t size);
    void (*dma_read)(void *ctx, uint64_t base, void *buffer, size_t size);
    void (*dma_write)(void *ctx, uint64_t base, const void *buffer, size_t size);
    /* Host address of guest RAM at base, for a device that moves much; *size becomes how much of it
     * lies there in one piece.  NULL where there is no RAM (or, to write, only ROM).  What was
     * written through it is reported with dma_written() before the guest hears of it. */
    uint8_t *(*dma_map)(void *ctx, uint64_t base, size_t *size, bool write);
    void (*dma_written)(void *ctx, uint64_t base, size_t size);
    uint8_t *(*backing)(void *ctx, uint64_t offset); /* host address of the backing store */
};

struct bus *bus_create(const struct bus_memory *memory);
void bus_destroy(struct bus *bus);
/* Claim ports [base, base + count).  -EBUSY when another chip has one of them, -EINVAL. */
int bus_map_io(struct bus *bus, uint16_t base, unsigned count, const struct io_ops *ops, void *dev);
void bus_unmap_io(struct bus *bus, uint16_t base, unsigned count);
/* The first port of a claim takes blocks, too. */
void bus_set_block(struct bus *bus, uint16_t base, const struct io_block_ops *ops);
const struct bus_memory *bus_memory(const struct bus *bus);

/* CPU side, called by the board.  Unclaimed ports read as ones; each is logged once under -d io. */
uint32_t bus_io_read(struct bus *bus, uint16_t port, unsigned size);
void bus_io_write(struct bus *bus, uint16_t port, unsigned size, uint32_t value);

/* Block forms for string instructions: accesses done, 0 where the port has to be accessed singly. */
unsigned bus_io_read_block(struct bus *bus, uint16_t port, unsigned size, void *buffer,
                           unsigned count);
unsigned bus_io_write_block(struct bus *bus, uint16_t port, unsigned size, const void *buffer,
                            unsigned count);

/* One line per unimplemented register access, once per (chip, register): "guest_errors" log. */
void bus_log_set(struct bus *bus, void (*log)(void *ctx, const char *line), void *ctx);
void bus_log_once(struct bus *bus, const char *chip, uint64_t reg, const char *what);

#endif
