/*
 * devices/pc_testdev.c -- the device that test suites for CPUs and chipsets expect beside
 * isa-debug-exit, at the places where QEMU's pc-testdev is.
 * Source: what kvm-unit-tests' x86 programs access, and QEMU's description of the device.
 *
 *   ports  E0-E3      4 bytes that keep what is written, in accesses of any size
 *          E4         a guest-physical address: forget what is cached about its page
 *          E8-EB      the bytes of E0 again; wider accesses are made byte by byte
 *          2000-2017  interrupt line n: any value but 0 raises it; reads 0
 *   memory FF000000   64 KiB that keep what is written, behind MMIO accesses
 *
 * Lines 0 to 15 are the ISA interrupts, 16 to 23 pins of the I/O APIC alone.  Translations of guest
 * memory are always coherent here, so the write to E4 has nothing to do.
 */
#include "devices/pc_testdev.h"

#include <stdlib.h>
#include <string.h>

enum {
    PORT_DATA = 0xE0,
    PORT_FLUSH = 0xE4,
    PORT_BYTES = 0xE8,
    PORT_IRQ = 0x2000,
    DATA_BYTES = 4,
};

struct pc_testdev {
    struct bus *bus;
    struct line *irq; /* owned by the board */
    uint8_t data[DATA_BYTES];
    uint8_t memory[TESTDEV_MEMORY_SIZE];
};

static uint32_t data_read(void *ctx, uint16_t offset, unsigned size)
{
    const struct pc_testdev *dev = ctx;
    uint32_t value = 0;

    for (unsigned i = 0; i < size; i++)
        value |= (uint32_t)dev->data[(offset + i) % DATA_BYTES] << 8 * i;
    return value;
}

static void data_write(void *ctx, uint16_t offset, unsigned size, uint32_t value)
{
    struct pc_testdev *dev = ctx;

    for (unsigned i = 0; i < size; i++)
        dev->data[(offset + i) % DATA_BYTES] = (uint8_t)(value >> 8 * i);
}

static uint32_t zero_read(void *ctx, uint16_t offset, unsigned size)
{
    (void)ctx;
    (void)offset;
    (void)size;
    return 0;
}

static void flush_write(void *ctx, uint16_t offset, unsigned size, uint32_t value)
{
    (void)ctx;
    (void)offset;
    (void)size;
    (void)value;
}

static void irq_write(void *ctx, uint16_t offset, unsigned size, uint32_t value)
{
    struct pc_testdev *dev = ctx;

    (void)size;
    line_set(&dev->irq[offset], value != 0);
}

static uint64_t memory_read(void *ctx, uint64_t offset, unsigned size)
{
    const struct pc_testdev *dev = ctx;
    uint64_t value = 0;

    if (offset + size <= TESTDEV_MEMORY_SIZE)
        memcpy(&value, dev->memory + offset, size);
    return value;
}

static void memory_write(void *ctx, uint64_t offset, unsigned size, uint64_t value)
{
    struct pc_testdev *dev = ctx;

    if (offset + size <= TESTDEV_MEMORY_SIZE)
        memcpy(dev->memory + offset, &value, size);
}

static const struct bus_mmio_ops memory_ops = {
    .name = "pc-testdev", .read = memory_read, .write = memory_write};

static const struct {
    uint16_t base, count;
    struct io_ops ops;
} ports[] = {
    {PORT_DATA, 4, {.name = "testdev", .max_size = 4, .read = data_read, .write = data_write}},
    {PORT_FLUSH,
     4,
     {.name = "testdev flush", .max_size = 4, .read = zero_read, .write = flush_write}},
    {PORT_BYTES,
     4,
     {.name = "testdev bytes", .max_size = 1, .read = data_read, .write = data_write}},
    {PORT_IRQ,
     TESTDEV_IRQ_COUNT,
     {.name = "testdev irq", .max_size = 1, .read = zero_read, .write = irq_write}},
};

static void unmap_ports(struct pc_testdev *dev, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        bus_unmap_io(dev->bus, ports[i].base, ports[i].count);
}

struct pc_testdev *pc_testdev_create(struct bus *bus, struct line *irq)
{
    const struct bus_memory *memory = bus_memory(bus);
    const unsigned port_count = sizeof(ports) / sizeof(ports[0]);
    struct pc_testdev *dev = calloc(1, sizeof(*dev));
    unsigned mapped = 0;

    if (dev == NULL)
        return NULL;
    dev->bus = bus;
    dev->irq = irq;
    while (mapped < port_count &&
           bus_map_io(bus, ports[mapped].base, ports[mapped].count, &ports[mapped].ops, dev) == 0)
        mapped++;
    if (mapped < port_count || (memory->map_mmio != NULL &&
                                memory->map_mmio(memory->ctx, TESTDEV_MEMORY_BASE,
                                                 TESTDEV_MEMORY_SIZE, &memory_ops, dev) != 0)) {
        unmap_ports(dev, mapped);
        free(dev);
        return NULL;
    }
    return dev;
}

void pc_testdev_destroy(struct pc_testdev *dev)
{
    const struct bus_memory *memory;

    if (dev == NULL)
        return;
    memory = bus_memory(dev->bus);
    if (memory->unmap != NULL)
        (void)memory->unmap(memory->ctx, TESTDEV_MEMORY_BASE, TESTDEV_MEMORY_SIZE);
    unmap_ports(dev, sizeof(ports) / sizeof(ports[0]));
    free(dev);
}

void pc_testdev_reset(struct pc_testdev *dev)
{
    memset(dev->data, 0, sizeof(dev->data));
    memset(dev->memory, 0, sizeof(dev->memory));
    for (unsigned i = 0; i < TESTDEV_IRQ_COUNT; i++)
        line_set(&dev->irq[i], false);
}
