/*
 * tests/devices/ide_rig.h -- the IDE interface on a fake bus, with fake images in memory that can
 * be slow and can fail, and the moves of a driver that knows nothing of the implementation.
 */
#ifndef RINGER_TESTS_DEVICES_IDE_RIG_H
#define RINGER_TESTS_DEVICES_IDE_RIG_H

#include "fake.h"

#include <errno.h>
#include <stdio.h>

#include "devices/block.h"
#include "devices/pci.h"
#include "devices/piix3_ide.h"

enum { SECTOR = 512, DISK_SECTORS = 4096, CD_SECTORS = 700, CD_SECTOR_SIZE = 2048 };
enum { NO_SECTOR = -1 };
/* Guest memory in which a device finds no RAM. */
enum { HOLE_BASE = 0xA0000, HOLE_END = 0xC0000 };

/* ---- an image ---- */

struct image {
    struct block_backend backend;
    uint8_t *data;
    bool delayed;                  /* requests wait for image_finish() */
    struct block_request *waiting; /* at most one: drives have one under way */
    long bad_read, bad_write;      /* sectors that fail, NO_SECTOR */
    bool bad_flush;
    unsigned reads, writes, flushes, discards, cancels, trays;
    bool tray_open;
};

static inline bool image_touches(const struct block_request *request, long sector)
{
    return sector != NO_SECTOR && request->offset <= (uint64_t)sector * SECTOR &&
           (uint64_t)sector * SECTOR < request->offset + request->size;
}

static inline int image_perform(struct image *image, struct block_request *request)
{
    uint64_t at = request->offset, total = 0;

    assert_int_equal(request->offset % SECTOR, 0);
    assert_int_equal(request->size % SECTOR, 0);
    if (request->op == BLOCK_FLUSH) {
        image->flushes++;
        return image->bad_flush ? -EIO : 0;
    }
    assert_true(image->backend.inserted);
    assert_true(request->size != 0);
    assert_true(request->offset + request->size <= image->backend.size_bytes);
    if (request->op == BLOCK_DISCARD) {
        assert_true(image->backend.can_discard);
        image->discards++;
        memset(image->data + at, 0, request->size);
        return 0;
    }
    for (unsigned i = 0; i < request->iov_count; i++)
        total += request->iov[i].iov_len;
    assert_int_equal(total, request->size);
    if (request->op == BLOCK_READ) {
        image->reads++;
        if (image_touches(request, image->bad_read))
            return -EIO;
    } else {
        assert_false(image->backend.read_only);
        image->writes++;
        if (image_touches(request, image->bad_write))
            return -ENOSPC;
    }
    for (unsigned i = 0; i < request->iov_count; i++) {
        if (request->op == BLOCK_READ)
            memcpy(request->iov[i].iov_base, image->data + at, request->iov[i].iov_len);
        else
            memcpy(image->data + at, request->iov[i].iov_base, request->iov[i].iov_len);
        at += request->iov[i].iov_len;
    }
    return 0;
}

static inline void image_submit(void *ctx, struct block_request *request)
{
    struct image *image = ctx;

    if (image->delayed) {
        assert_null(image->waiting);
        image->waiting = request;
        return;
    }
    request->done(request, image_perform(image, request));
}

/* The one that waits is done now. */
static inline void image_finish(struct image *image)
{
    struct block_request *request = image->waiting;

    assert_non_null(request);
    image->waiting = NULL;
    request->done(request, image_perform(image, request));
}

static inline void image_cancel(void *ctx, struct block_request *request)
{
    struct image *image = ctx;

    assert_ptr_equal(image->waiting, request);
    image->waiting = NULL;
    image->cancels++;
}

static inline void image_drain(void *ctx)
{
    struct image *image = ctx;

    while (image->waiting != NULL)
        image_finish(image);
}

static inline void image_tray(void *ctx, bool open)
{
    struct image *image = ctx;

    image->trays++;
    image->tray_open = open;
}

static const struct block_ops image_ops = {
    .submit = image_submit, .cancel = image_cancel, .drain = image_drain, .tray_moved = image_tray};

/* Every sector begins with its number, so that a test sees which one it got. */
static inline void image_open(struct image *image, unsigned sectors, unsigned sector_size)
{
    memset(image, 0, sizeof(*image));
    image->data = malloc((size_t)sectors * sector_size);
    assert_non_null(image->data);
    for (unsigned i = 0; i < sectors; i++) {
        uint8_t *at = image->data + (size_t)i * sector_size;

        memset(at, (int)(i * 7 + 1), sector_size);
        at[0] = (uint8_t)i;
        at[1] = (uint8_t)(i >> 8);
    }
    image->bad_read = image->bad_write = NO_SECTOR;
    image->backend = (struct block_backend){
        .ops = &image_ops,
        .ctx = image,
        .inserted = true,
        .size_bytes = (uint64_t)sectors * sector_size,
        .read_only = sector_size == CD_SECTOR_SIZE,
        .can_discard = sector_size == SECTOR,
    };
}

/* ---- the rig ---- */

enum { PRIMARY = 0x1F0, SECONDARY = 0x170, CONTROL = 0x206, BUS_MASTER = 0xC000 };
enum { REG_ERROR = 1, REG_COUNT, REG_LOW, REG_MID, REG_HIGH, REG_DEVICE, REG_STATUS };
enum { BSY = 0x80, DRDY = 0x40, DF = 0x20, DSC = 0x10, DRQ = 0x08, ERR = 0x01 };
enum { READY = DRDY | DSC };

/* Primary: a disk, nothing.  Secondary: a CD-ROM, a disk. */
struct rig {
    struct fake fake;
    struct pci_bus *pci;
    struct piix3_ide *ide;
    struct fake_wire irq[2];
    struct image disk, cd, second;
    bool no_map; /* the board has no direct access to offer */
    unsigned maps, reports;
};

static inline uint8_t *rig_dma_map(void *ctx, uint64_t base, size_t *size, bool write)
{
    struct fake *fake = ctx;
    struct rig *rig = ctx; /* its first member */
    const uint64_t end = base < HOLE_BASE ? HOLE_BASE : FAKE_MEMORY;

    (void)write;
    if (rig->no_map || base >= FAKE_MEMORY || (base >= HOLE_BASE && base < HOLE_END))
        return NULL;
    rig->maps++;
    if (*size > end - base)
        *size = end - base;
    return fake->memory + base;
}

static inline void rig_dma_written(void *ctx, uint64_t base, size_t size)
{
    struct rig *rig = ctx;

    assert_true(base + size <= FAKE_MEMORY);
    rig->reports++;
}

static inline void rig_config(struct rig *rig, unsigned offset, unsigned size, uint32_t value)
{
    pci_config_write(rig->pci, PCI_DEVFN(1, 1), offset, size, value);
}

/* The images are set up by image_open() before, or by rig_open(). */
static inline void rig_plug(struct rig *rig)
{
    const struct bus_memory memory = {.ctx = rig,
                                      .dma_read = fake_dma_read,
                                      .dma_write = fake_dma_write,
                                      .dma_map = rig_dma_map,
                                      .dma_written = rig_dma_written};
    const struct ata_drive_config drives[2][2] = {
        {{.backend = &rig->disk.backend, .serial = "12345"}, {.backend = NULL}},
        {{.backend = &rig->cd.backend, .is_cdrom = true}, {.backend = &rig->second.backend}},
    };

    fake_open(&rig->fake);
    bus_destroy(rig->fake.bus);
    rig->fake.bus = bus_create(&memory);
    rig->pci = pci_create(rig->fake.bus);
    fake_wire_init(&rig->irq[0]);
    fake_wire_init(&rig->irq[1]);
    rig->ide =
        piix3_ide_create(rig->fake.bus, rig->pci, &rig->irq[0].line, &rig->irq[1].line, drives);
    assert_non_null(rig->ide);
    piix3_ide_reset(rig->ide);
    rig_config(rig, PCI_BAR0 + 16, 4, BUS_MASTER);
    rig_config(rig, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MASTER);
}

static inline void rig_open(struct rig *rig)
{
    memset(rig, 0, sizeof(*rig));
    image_open(&rig->disk, DISK_SECTORS, SECTOR);
    image_open(&rig->cd, CD_SECTORS, CD_SECTOR_SIZE);
    image_open(&rig->second, 100, SECTOR);
    rig_plug(rig);
}

static inline void rig_close(struct rig *rig)
{
    pci_destroy(rig->pci);
    piix3_ide_destroy(rig->ide);
    fake_close(&rig->fake);
    assert_null(rig->disk.waiting);
    assert_null(rig->cd.waiting);
    free(rig->disk.data);
    free(rig->cd.data);
    free(rig->second.data);
}

/* ---- a driver's moves ---- */

static inline void put(struct rig *rig, uint16_t base, unsigned reg, uint8_t value)
{
    bus_io_write(rig->fake.bus, (uint16_t)(base + reg), 1, value);
}

static inline uint8_t get(struct rig *rig, uint16_t base, unsigned reg)
{
    return (uint8_t)bus_io_read(rig->fake.bus, (uint16_t)(base + reg), 1);
}

static inline uint8_t alternate(struct rig *rig, uint16_t base)
{
    return get(rig, base, CONTROL);
}

/* LBA28 and the command. */
static inline void command(struct rig *rig, uint16_t base, uint8_t opcode, uint32_t lba,
                           uint8_t count)
{
    put(rig, base, REG_COUNT, count);
    put(rig, base, REG_LOW, (uint8_t)lba);
    put(rig, base, REG_MID, (uint8_t)(lba >> 8));
    put(rig, base, REG_HIGH, (uint8_t)(lba >> 16));
    put(rig, base, REG_DEVICE, (uint8_t)(0xE0 | (lba >> 24 & 0x0F)));
    put(rig, base, REG_STATUS, opcode);
}

/* LBA48: each register twice. */
static inline void command48(struct rig *rig, uint16_t base, uint8_t opcode, uint64_t lba,
                             uint16_t count)
{
    const uint8_t bytes[2][4] = {
        {(uint8_t)(count >> 8), (uint8_t)(lba >> 24), (uint8_t)(lba >> 32), (uint8_t)(lba >> 40)},
        {(uint8_t)count, (uint8_t)lba, (uint8_t)(lba >> 8), (uint8_t)(lba >> 16)}};

    put(rig, base, REG_DEVICE, 0xE0);
    for (unsigned i = 0; i < 2; i++) {
        for (unsigned reg = REG_COUNT; reg <= REG_HIGH; reg++)
            put(rig, base, reg, bytes[i][reg - REG_COUNT]);
    }
    put(rig, base, REG_STATUS, opcode);
}

static inline void data_in(struct rig *rig, uint16_t base, uint8_t *to, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i += 2) {
        const uint32_t word = bus_io_read(rig->fake.bus, base, 2);

        to[i] = (uint8_t)word;
        if (i + 1 < bytes)
            to[i + 1] = (uint8_t)(word >> 8);
    }
}

static inline void data_out(struct rig *rig, uint16_t base, const uint8_t *from, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i += 2)
        bus_io_write(rig->fake.bus, base, 2, from[i] | (uint32_t)from[i + 1] << 8);
}

static inline uint32_t lba_registers(struct rig *rig, uint16_t base)
{
    return get(rig, base, REG_LOW) | (uint32_t)get(rig, base, REG_MID) << 8 |
           (uint32_t)get(rig, base, REG_HIGH) << 16 |
           (uint32_t)(get(rig, base, REG_DEVICE) & 0x0F) << 24;
}

/* ---- the engine ---- */

enum { TABLE = 0x1000, TO_MEMORY = 8, START = 1, LAST = 0x80000000u };

static inline uint16_t engine(uint16_t base)
{
    return base == PRIMARY ? BUS_MASTER : BUS_MASTER + 8;
}

static inline void put32(struct rig *rig, uint32_t at, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        rig->fake.memory[(at + i) % FAKE_MEMORY] = (uint8_t)(value >> (8 * i));
}

/* Entry `index` of the table at TABLE; flags: LAST or 0. */
static inline void descriptor(struct rig *rig, unsigned index, uint32_t address, uint32_t bytes,
                              uint32_t flags)
{
    put32(rig, TABLE + 8 * index, address);
    put32(rig, TABLE + 8 * index + 4, (bytes & 0xFFFF) | flags);
}

static inline void dma_prepare(struct rig *rig, uint16_t base)
{
    bus_io_write(rig->fake.bus, engine(base) + 4, 4, TABLE);
    bus_io_write(rig->fake.bus, engine(base) + 2, 1, 0x06);
}

static inline void dma_start(struct rig *rig, uint16_t base, bool to_memory)
{
    bus_io_write(rig->fake.bus, engine(base), 1, (to_memory ? TO_MEMORY : 0) | START);
}

static inline void dma_stop(struct rig *rig, uint16_t base)
{
    bus_io_write(rig->fake.bus, engine(base), 1, 0);
}

static inline uint8_t dma_status(struct rig *rig, uint16_t base)
{
    return (uint8_t)bus_io_read(rig->fake.bus, engine(base) + 2, 1);
}

/* ---- packets ---- */

/* PACKET with a byte count limit; 12 bytes of command. */
static inline void packet(struct rig *rig, const uint8_t *bytes, uint16_t limit, bool dma)
{
    uint8_t whole[12] = {0};

    memcpy(whole, bytes, 12);
    put(rig, SECONDARY, REG_DEVICE, 0xA0);
    put(rig, SECONDARY, REG_ERROR, dma);
    put(rig, SECONDARY, REG_MID, (uint8_t)limit);
    put(rig, SECONDARY, REG_HIGH, (uint8_t)(limit >> 8));
    put(rig, SECONDARY, REG_STATUS, 0xA0);
    assert_int_equal(alternate(rig, SECONDARY), READY | DRQ);
    assert_int_equal(get(rig, SECONDARY, REG_COUNT), 1); /* command, to the drive */
    data_out(rig, SECONDARY, whole, 12);
}

/* Take what a packet command gives by PIO, however it is cut.  Returns bytes. */
static inline unsigned packet_data(struct rig *rig, uint8_t *to, unsigned most)
{
    unsigned total = 0;

    while (get(rig, SECONDARY, REG_STATUS) & DRQ) {
        const unsigned bytes =
            get(rig, SECONDARY, REG_MID) | (unsigned)get(rig, SECONDARY, REG_HIGH) << 8;

        assert_int_equal(get(rig, SECONDARY, REG_COUNT), 2); /* data, to the host */
        assert_in_range(bytes, 1, most - total);
        data_in(rig, SECONDARY, to + total, bytes);
        total += bytes;
    }
    assert_int_equal(get(rig, SECONDARY, REG_COUNT), 3); /* status */
    return total;
}

/* A packet command without data, or whose data nobody wants: sense key, 0 when it went well. */
static inline unsigned packet_simple(struct rig *rig, const uint8_t *bytes)
{
    uint8_t dump[4096];

    packet(rig, bytes, 2048, false);
    packet_data(rig, dump, sizeof(dump));
    return get(rig, SECONDARY, REG_STATUS) & ERR ? get(rig, SECONDARY, REG_ERROR) >> 4 : 0;
}

/* REQUEST SENSE: key << 16 | asc << 8 | ascq. */
static inline uint32_t packet_sense(struct rig *rig)
{
    const uint8_t request[12] = {0x03, 0, 0, 0, 18};
    uint8_t sense[18];

    packet(rig, request, 18, false);
    assert_int_equal(packet_data(rig, sense, sizeof(sense)), 18);
    return (uint32_t)sense[2] << 16 | (uint32_t)sense[12] << 8 | sense[13];
}

#endif
