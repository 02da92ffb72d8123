/*
 * devices/fw_cfg.c -- the firmware configuration device (ports 0x510..0x51B).
 * Source: QEMU documentation, "QEMU Firmware Configuration (fw_cfg) Device".
 *
 *   0x510  word, wo   selector: the item whose bytes follow; the position goes back to 0
 *   0x511  byte, ro   the item's next byte, 0 past its end
 *   0x514  dword, big-endian  DMA address 63:32; reads "QEMU"
 *   0x518  dword, big-endian  DMA address 31:0, starts the transfer; reads " CFG"
 *
 *   DMA descriptor, big-endian: control (31:16 key, 4 write, 3 select, 2 skip, 1 read, 0 error),
 *   length, address.  When done control is 0, or has only the error bit.
 *
 * Items are read-only to the guest: writes are refused with the error bit.
 */
#include "devices/fw_cfg.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PORT_BASE   0x510
#define PORT_COUNT  2
#define DMA_BASE    0x514
#define DMA_COUNT   8
#define KEY_MASK    0x3FFF /* without the arch-local and the (historical) write bit */
#define FILE_COUNT  32
#define ITEM_COUNT  (FW_CFG_FILE_FIRST + FILE_COUNT)
#define LOCAL_COUNT 0x20
#define ID_DMA      2
#define ID_PORTS    1

#define DMA_ERROR  0x01u
#define DMA_READ   0x02u
#define DMA_SKIP   0x04u
#define DMA_SELECT 0x08u
#define DMA_WRITE  0x10u
#define DMA_HIGH   0x51454D55u /* "QEMU" */
#define DMA_LOW    0x20434647u /* " CFG" */

/* Directory entry: size (be32), select (be16), reserved (be16), name[56]; before all: count (be32).
 */
#define DIR_ENTRY_SIZE 64

struct item {
    uint8_t *data;
    size_t size;
};

struct fw_cfg {
    struct bus *bus;
    struct item items[ITEM_COUNT];
    struct item local[LOCAL_COUNT];
    unsigned file_count;
    char file_names[FILE_COUNT][FW_CFG_FILE_NAME_SIZE];
    uint16_t selected;
    size_t position;
    uint32_t dma_high;
};

static struct item *item_find(struct fw_cfg *dev, uint16_t key)
{
    const uint16_t index = key & KEY_MASK;

    if (key & FW_CFG_ARCH_LOCAL)
        return index < LOCAL_COUNT ? &dev->local[index] : NULL;
    return index < ITEM_COUNT ? &dev->items[index] : NULL;
}

static size_t item_left(const struct fw_cfg *dev, const struct item *item)
{
    return item != NULL && dev->position < item->size ? item->size - dev->position : 0;
}

static void put_be32(uint8_t *to, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        to[i] = (uint8_t)(value >> (24 - 8 * i));
}

static uint32_t get_be32(const uint8_t *from)
{
    return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 | from[3];
}

/* ---- data port ---- */

static void item_select(struct fw_cfg *dev, uint16_t key)
{
    dev->selected = key;
    dev->position = 0;
}

static uint8_t item_next(struct fw_cfg *dev)
{
    const struct item *item = item_find(dev, dev->selected);

    if (item_left(dev, item) == 0)
        return 0;
    return item->data[dev->position++];
}

static uint32_t port_read(void *ctx, uint16_t offset, unsigned size)
{
    if (offset == 1 && size == 1)
        return item_next(ctx);
    return 0; /* the selector cannot be read */
}

static void port_write(void *ctx, uint16_t offset, unsigned size, uint32_t value)
{
    if (offset == 0 && size == 2)
        item_select(ctx, (uint16_t)value);
}

static const struct io_ops ports = {
    .name = "fw_cfg", .max_size = 2, .read = port_read, .write = port_write};

/* ---- DMA ---- */

/* Copy up to length bytes of the item to memory; past its end zeros.  Returns nothing: there is no
 * way to fail that the guest is told of. */
static void dma_copy(struct fw_cfg *dev, uint64_t address, uint32_t length)
{
    static const uint8_t zeros[4096];
    const struct bus_memory *memory = bus_memory(dev->bus);
    const struct item *item = item_find(dev, dev->selected);
    const size_t left = item_left(dev, item);
    const uint32_t from_item = length < left ? length : (uint32_t)left;

    if (from_item > 0) {
        memory->dma_write(memory->ctx, address, item->data + dev->position, from_item);
        dev->position += from_item;
    }
    for (uint32_t done = from_item; done < length;) {
        const uint32_t chunk = length - done < sizeof(zeros) ? length - done : sizeof(zeros);

        memory->dma_write(memory->ctx, address + done, zeros, chunk);
        done += chunk;
    }
}

static void dma_run(struct fw_cfg *dev, uint64_t descriptor)
{
    const struct bus_memory *memory = bus_memory(dev->bus);
    uint8_t raw[16], answer[4];
    uint32_t control, length, result = 0;
    uint64_t address;

    memory->dma_read(memory->ctx, descriptor, raw, sizeof(raw));
    control = get_be32(raw);
    length = get_be32(raw + 4);
    address = (uint64_t)get_be32(raw + 8) << 32 | get_be32(raw + 12);
    if (control & DMA_SELECT)
        item_select(dev, (uint16_t)(control >> 16));
    if (control & DMA_READ) {
        dma_copy(dev, address, length);
    } else if (control & DMA_WRITE) {
        result = DMA_ERROR;
    } else if (control & DMA_SKIP) {
        const struct item *item = item_find(dev, dev->selected);
        const size_t left = item_left(dev, item);

        dev->position += length < left ? length : left;
    }
    put_be32(answer, result);
    memory->dma_write(memory->ctx, descriptor, answer, sizeof(answer));
}

static uint32_t dma_port_read(void *ctx, uint16_t offset, unsigned size)
{
    const uint64_t signature = (uint64_t)DMA_HIGH << 32 | DMA_LOW;
    uint32_t value = 0;

    (void)ctx;
    for (unsigned i = 0; i < size && offset + i < DMA_COUNT; i++)
        value |= (uint32_t)(signature >> (56 - 8 * (offset + i)) & 0xFF) << (8 * i);
    return value;
}

static void dma_port_write(void *ctx, uint16_t offset, unsigned size, uint32_t value)
{
    struct fw_cfg *dev = ctx;

    if (size != 4)
        return;
    if (offset == 0) {
        dev->dma_high = __builtin_bswap32(value);
    } else if (offset == 4) {
        const uint64_t descriptor = (uint64_t)dev->dma_high << 32 | __builtin_bswap32(value);

        dev->dma_high = 0;
        dma_run(dev, descriptor);
    }
}

static const struct io_ops dma_ports = {
    .name = "fw_cfg-dma", .max_size = 4, .read = dma_port_read, .write = dma_port_write};

/* ---- the board's side ---- */

int fw_cfg_add(struct fw_cfg *dev, uint16_t key, const void *data, size_t size)
{
    struct item *item = item_find(dev, key);
    uint8_t *copy;

    if (item == NULL)
        return -EINVAL;
    copy = malloc(size > 0 ? size : 1);
    if (copy == NULL)
        return -ENOMEM;
    if (size > 0)
        memcpy(copy, data, size);
    free(item->data);
    item->data = copy;
    item->size = size;
    return 0;
}

static int add_little_endian(struct fw_cfg *dev, uint16_t key, uint64_t value, size_t size)
{
    uint8_t bytes[8];

    for (unsigned i = 0; i < size; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    return fw_cfg_add(dev, key, bytes, size);
}

int fw_cfg_add16(struct fw_cfg *dev, uint16_t key, uint16_t value)
{
    return add_little_endian(dev, key, value, 2);
}

int fw_cfg_add32(struct fw_cfg *dev, uint16_t key, uint32_t value)
{
    return add_little_endian(dev, key, value, 4);
}

int fw_cfg_add64(struct fw_cfg *dev, uint16_t key, uint64_t value)
{
    return add_little_endian(dev, key, value, 8);
}

static int directory_rebuild(struct fw_cfg *dev)
{
    uint8_t directory[4 + FILE_COUNT * DIR_ENTRY_SIZE] = {0};

    put_be32(directory, dev->file_count);
    for (unsigned i = 0; i < dev->file_count; i++) {
        uint8_t *entry = directory + 4 + i * DIR_ENTRY_SIZE;

        put_be32(entry, (uint32_t)dev->items[FW_CFG_FILE_FIRST + i].size);
        put_be32(entry + 4, (FW_CFG_FILE_FIRST + i) << 16);
        memcpy(entry + 8, dev->file_names[i], FW_CFG_FILE_NAME_SIZE);
    }
    return fw_cfg_add(dev, FW_CFG_FILE_DIR, directory, 4 + dev->file_count * DIR_ENTRY_SIZE);
}

int fw_cfg_add_file(struct fw_cfg *dev, const char *name, const void *data, size_t size)
{
    unsigned index = 0;
    int error;

    if (strlen(name) >= FW_CFG_FILE_NAME_SIZE || size > UINT32_MAX)
        return -EINVAL;
    while (index < dev->file_count && strcmp(dev->file_names[index], name) != 0)
        index++;
    if (index == FILE_COUNT)
        return -ENOSPC;
    error = fw_cfg_add(dev, (uint16_t)(FW_CFG_FILE_FIRST + index), data, size);
    if (error != 0)
        return error;
    if (index == dev->file_count) {
        strcpy(dev->file_names[index], name);
        dev->file_count++;
    }
    return directory_rebuild(dev);
}

void fw_cfg_reset(struct fw_cfg *dev)
{
    item_select(dev, FW_CFG_SIGNATURE);
    dev->dma_high = 0;
}

struct fw_cfg *fw_cfg_create(struct bus *bus)
{
    struct fw_cfg *dev = calloc(1, sizeof(*dev));

    if (dev == NULL)
        return NULL;
    dev->bus = bus;
    if (bus_map_io(bus, PORT_BASE, PORT_COUNT, &ports, dev) != 0)
        goto fail;
    if (bus_map_io(bus, DMA_BASE, DMA_COUNT, &dma_ports, dev) != 0)
        goto fail_ports;
    if (fw_cfg_add(dev, FW_CFG_SIGNATURE, "QEMU", 4) != 0 ||
        fw_cfg_add32(dev, FW_CFG_ID, ID_PORTS | ID_DMA) != 0 || directory_rebuild(dev) != 0) {
        fw_cfg_destroy(dev);
        return NULL;
    }
    return dev;
fail_ports:
    bus_unmap_io(bus, PORT_BASE, PORT_COUNT);
fail:
    free(dev);
    return NULL;
}

void fw_cfg_destroy(struct fw_cfg *dev)
{
    if (dev == NULL)
        return;
    for (unsigned i = 0; i < ITEM_COUNT; i++)
        free(dev->items[i].data);
    for (unsigned i = 0; i < LOCAL_COUNT; i++)
        free(dev->local[i].data);
    bus_unmap_io(dev->bus, PORT_BASE, PORT_COUNT);
    bus_unmap_io(dev->bus, DMA_BASE, DMA_COUNT);
    free(dev);
}
