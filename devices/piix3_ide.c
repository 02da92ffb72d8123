/*
 * devices/piix3_ide.c -- Intel 82371SB (PIIX3), function 1: two IDE channels with bus-master DMA.
 * Sources: Intel 82371FB/82371SB data sheet (290550), 2.3 "PCI configuration registers - IDE
 * interface", 2.6 "PCI bus master IDE registers"; "Programming Interface for Bus Master IDE
 * Controller" 1.0; Intel 82371AB data sheet (290562), 5.2 for the status bits in detail.
 *
 *   0x40, 0x42  IDETIM   15 ports decoded | timings
 *   0x44        SIDETIM  timings of the slaves
 *   BAR4        per channel, 8 bytes apart:
 *               +0 BMIC   3 RWCON: to memory | 0 SSBM: started
 *               +2 BMIS   6:5 drives can DMA (software's) | 2 interrupt | 1 error | 0 active
 *               +4 BMIDTP address of the descriptor table, a dword
 *   descriptor  dword address, bit 0 is 0 | 31 last | 15:1 bytes, 0 means 64 KiB
 *
 * The engine offers the drive windows: a list of host pieces that the next descriptors describe.
 * Where one of them is not plain RAM, or the list would get too long, the window is a buffer of the
 * engine's and the data are copied.
 *
 * Invariants: what a window covers was read from the guest's table once, so a transfer over the
 * table itself does no harm; a walk ends after 64 KiB of table.
 *
 * Deviation: the ports are decoded whatever IDETIM and the command register say, as on the board
 * whose firmware and guests this one runs.
 * Deviation: RWCON does not have to agree with what the drive wants; the drive decides.
 * Deviation: where the table ends inside a sector, that sector is not transferred in part.
 */
#include "devices/piix3_ide.h"

#include <stdlib.h>
#include <string.h>

#define IDE_DEVFN PCI_DEVFN(1, 1)

enum { IDETIM = 0x40, SIDETIM = 0x44, IDETIM_DECODE_HIGH = 0x80 };
enum { BAR_BUS_MASTER = 4, BUS_MASTER_SIZE = 16, BUS_MASTER_CHANNEL = 8 };
enum { BMIC = 0, BMIS = 2, BMIDTP = 4 };
enum { BMIC_SSBM = 0x01, BMIC_RWCON = 0x08 };
enum { BMIS_ACTIVE = 0x01, BMIS_ERROR = 0x02, BMIS_INTERRUPT = 0x04, BMIS_CAPABLE = 0x60 };
enum { COMMAND_PORTS = 8, CONTROL_PORTS = 1 };
enum { TABLE_MAX = 0x10000, DESCRIPTOR_SIZE = 8 };
enum { PIECES_MAX = 1024, BOUNCE_SIZE = 65536 };
#define DESCRIPTOR_LAST  0x80000000u
#define DESCRIPTOR_COUNT 0xFFFEu
#define BMIDTP_MASK      0xFFFFFFFCu
#define DIRECT_BOOT_BASE 0xC040

/* Where in its table the engine is. */
struct cursor {
    uint32_t table_offset;  /* of the next descriptor */
    uint32_t address, left; /* of the current one */
    bool last;
};

struct piece {
    uint32_t address, size;
    struct cursor before;
};

struct channel {
    struct piix3_ide *dev;
    struct ata_channel *ata;
    struct line *irq;
    uint8_t command, status;
    uint32_t table;
    struct cursor cursor;

    /* The window. */
    struct piece pieces[PIECES_MAX];
    struct iovec iov[PIECES_MAX];
    unsigned piece_count;
    bool to_memory, bounced;
    uint8_t *bounce;
};

struct piix3_ide {
    struct pci_function pci;
    struct bus *bus;
    struct channel channels[PIIX3_IDE_CHANNELS];
    unsigned command_mapped, control_mapped; /* channels whose ports are claimed */
};

static const uint16_t command_ports[PIIX3_IDE_CHANNELS] = {0x1F0, 0x170};
static const uint16_t control_ports[PIIX3_IDE_CHANNELS] = {0x3F6, 0x376};

/* ---- descriptors ---- */

static uint32_t get32(const uint8_t *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* Make the cursor's current descriptor one with bytes left.  False: the table has ended. */
static bool cursor_fill(const struct channel *channel, struct cursor *cursor)
{
    const struct bus_memory *memory = bus_memory(channel->dev->bus);
    uint8_t descriptor[DESCRIPTOR_SIZE];

    if (cursor->left != 0)
        return true;
    if (cursor->last || cursor->table_offset == TABLE_MAX)
        return false;
    memory->dma_read(memory->ctx, channel->table + cursor->table_offset, descriptor,
                     sizeof(descriptor));
    cursor->table_offset += DESCRIPTOR_SIZE;
    cursor->address = get32(descriptor) & ~1u;
    cursor->left = get32(descriptor + 4) & DESCRIPTOR_COUNT;
    if (cursor->left == 0)
        cursor->left = 0x10000;
    cursor->last = get32(descriptor + 4) & DESCRIPTOR_LAST;
    return true;
}

static void cursor_advance(struct cursor *cursor, uint32_t size)
{
    cursor->address += size;
    cursor->left -= size;
}

/* Drop `excess` bytes from the end of the window. */
static void window_trim(struct channel *channel, size_t excess)
{
    while (excess != 0) {
        struct piece *piece = &channel->pieces[channel->piece_count - 1];

        channel->cursor = piece->before;
        if (piece->size <= excess) {
            excess -= piece->size;
            channel->piece_count--;
            continue;
        }
        piece->size -= (uint32_t)excess;
        cursor_advance(&channel->cursor, piece->size);
        excess = 0;
    }
}

/* Descriptors into pieces: at most max bytes, a multiple of unit.  Returns the bytes. */
static size_t window_walk(struct channel *channel, size_t max, size_t unit)
{
    size_t total = 0;

    channel->piece_count = 0;
    while (total < max && channel->piece_count < PIECES_MAX &&
           cursor_fill(channel, &channel->cursor)) {
        struct piece *piece = &channel->pieces[channel->piece_count++];
        const uint64_t to_wrap = UINT64_C(0x100000000) - channel->cursor.address;
        size_t size = max - total;

        size = channel->cursor.left < size ? channel->cursor.left : size;
        size = to_wrap < size ? to_wrap : size;
        *piece = (struct piece){
            .address = channel->cursor.address,
            .size = (uint32_t)size,
            .before = channel->cursor,
        };
        cursor_advance(&channel->cursor, piece->size);
        total += piece->size;
    }
    window_trim(channel, total % unit);
    return total - total % unit;
}

/* Host addresses for all pieces; false where one is not plain RAM in one piece. */
static bool window_map(struct channel *channel)
{
    const struct bus_memory *memory = bus_memory(channel->dev->bus);

    if (memory->dma_map == NULL)
        return false;
    for (unsigned i = 0; i < channel->piece_count; i++) {
        const struct piece *piece = &channel->pieces[i];
        size_t size = piece->size;
        uint8_t *host = memory->dma_map(memory->ctx, piece->address, &size, channel->to_memory);

        if (host == NULL || size < piece->size)
            return false;
        channel->iov[i] = (struct iovec){.iov_base = host, .iov_len = piece->size};
    }
    return true;
}

/* Copy between the pieces and the bounce buffer. */
static void window_copy(struct channel *channel, bool to_memory)
{
    const struct bus_memory *memory = bus_memory(channel->dev->bus);
    uint8_t *at = channel->bounce;

    for (unsigned i = 0; i < channel->piece_count; i++) {
        const struct piece *piece = &channel->pieces[i];

        if (to_memory)
            memory->dma_write(memory->ctx, piece->address, at, piece->size);
        else
            memory->dma_read(memory->ctx, piece->address, at, piece->size);
        at += piece->size;
    }
}

static size_t window_bounce(struct channel *channel, size_t size, size_t unit)
{
    if (size > BOUNCE_SIZE) {
        window_trim(channel, size - (BOUNCE_SIZE - BOUNCE_SIZE % unit));
        size = BOUNCE_SIZE - BOUNCE_SIZE % unit;
    }
    if (!channel->to_memory)
        window_copy(channel, false);
    else
        memset(channel->bounce, 0, size); /* a drive that gives less gives no old data */
    channel->iov[0] = (struct iovec){.iov_base = channel->bounce, .iov_len = size};
    channel->bounced = true;
    return size;
}

/* ---- what the drives ask ---- */

/* The last descriptor has been used up: the engine is done, whatever the drive still wants. */
static void table_check(struct channel *channel)
{
    const struct cursor *cursor = &channel->cursor;

    if (cursor->left == 0 && (cursor->last || cursor->table_offset == TABLE_MAX))
        channel->status &= (uint8_t)~BMIS_ACTIVE;
}

static size_t host_dma_window(void *ctx, bool to_memory, size_t max, size_t unit,
                              const struct iovec **iov, unsigned *iov_count)
{
    struct channel *channel = ctx;
    size_t size;

    if (!(channel->status & BMIS_ACTIVE) ||
        !(pci_get16(&channel->dev->pci, PCI_COMMAND) & PCI_COMMAND_MASTER))
        return 0;
    size = window_walk(channel, max, unit);
    if (size == 0) {
        channel->status &= (uint8_t)~BMIS_ACTIVE;
        return 0;
    }
    channel->to_memory = to_memory;
    channel->bounced = false;
    if (!window_map(channel))
        size = window_bounce(channel, size, unit);
    *iov = channel->iov;
    *iov_count = channel->bounced ? 1 : channel->piece_count;
    return size;
}

static void host_dma_done(void *ctx, bool completed)
{
    struct channel *channel = ctx;
    const struct bus_memory *memory = bus_memory(channel->dev->bus);

    if (channel->to_memory && channel->bounced && completed)
        window_copy(channel, true);
    for (unsigned i = 0; channel->to_memory && !channel->bounced && i < channel->piece_count; i++)
        memory->dma_written(memory->ctx, channel->pieces[i].address, channel->pieces[i].size);
    channel->piece_count = 0;
    table_check(channel);
}

static void host_intrq(void *ctx, bool level)
{
    struct channel *channel = ctx;

    if (level)
        channel->status |= BMIS_INTERRUPT; /* an edge: cleared, it stays so while INTRQ is high */
    line_set(channel->irq, level);
}

static const struct ata_host_ops host_ops = {
    .intrq = host_intrq, .dma_window = host_dma_window, .dma_done = host_dma_done};

/* ---- bus master registers ---- */

static void command_write(struct channel *channel, uint8_t value)
{
    const uint8_t changed = channel->command ^ value;

    channel->command = value & (BMIC_SSBM | BMIC_RWCON);
    if (!(changed & BMIC_SSBM))
        return;
    if (value & BMIC_SSBM) {
        channel->status |= BMIS_ACTIVE;
        channel->cursor = (struct cursor){.table_offset = 0};
        ata_dma_started(channel->ata);
    } else {
        channel->status &= (uint8_t)~BMIS_ACTIVE;
        ata_dma_stopped(channel->ata);
    }
}

static void status_write(struct channel *channel, uint8_t value)
{
    channel->status &= (uint8_t) ~(value & (BMIS_ERROR | BMIS_INTERRUPT));
    channel->status = (uint8_t)((channel->status & ~BMIS_CAPABLE) | (value & BMIS_CAPABLE));
}

static uint8_t bus_master_read8(const struct channel *channel, unsigned offset)
{
    switch (offset) {
    case BMIC:
        return channel->command;
    case BMIS:
        return channel->status;
    case BMIDTP:
    case BMIDTP + 1:
    case BMIDTP + 2:
    case BMIDTP + 3:
        return (uint8_t)(channel->table >> (8 * (offset - BMIDTP)));
    default:
        return 0;
    }
}

static void bus_master_write8(struct channel *channel, unsigned offset, uint8_t value)
{
    if (offset == BMIC) {
        command_write(channel, value);
    } else if (offset == BMIS) {
        status_write(channel, value);
    } else if (offset >= BMIDTP) {
        const unsigned shift = 8 * (offset - BMIDTP);

        channel->table =
            ((channel->table & ~(0xFFu << shift)) | (uint32_t)value << shift) & BMIDTP_MASK;
    }
}

static uint32_t bus_master_read(void *ctx, uint16_t offset, unsigned size)
{
    const struct piix3_ide *dev = ctx;
    uint32_t value = 0;

    for (unsigned i = 0; i < size; i++) {
        const unsigned at = offset + i;

        value |= (uint32_t)bus_master_read8(&dev->channels[at / BUS_MASTER_CHANNEL],
                                            at % BUS_MASTER_CHANNEL)
                 << (8 * i);
    }
    return value;
}

static void bus_master_write(void *ctx, uint16_t offset, unsigned size, uint32_t value)
{
    struct piix3_ide *dev = ctx;

    for (unsigned i = 0; i < size; i++) {
        const unsigned at = offset + i;

        bus_master_write8(&dev->channels[at / BUS_MASTER_CHANNEL], at % BUS_MASTER_CHANNEL,
                          (uint8_t)(value >> (8 * i)));
    }
}

static const struct io_ops bus_master_ports = {
    .name = "ide-dma", .max_size = 4, .read = bus_master_read, .write = bus_master_write};

/* ---- command block and control ports ---- */

static uint32_t command_read(void *ctx, uint16_t offset, unsigned size)
{
    struct channel *channel = ctx;
    uint32_t value = 0;

    if (offset == ATA_DATA)
        return ata_data_read(channel->ata, size);
    for (unsigned i = 0; i < size; i++)
        value |= (uint32_t)ata_read(channel->ata, (enum ata_register)(offset + i)) << (8 * i);
    return value;
}

static void command_block_write(void *ctx, uint16_t offset, unsigned size, uint32_t value)
{
    struct channel *channel = ctx;

    if (offset == ATA_DATA) {
        ata_data_write(channel->ata, size, value);
        return;
    }
    for (unsigned i = 0; i < size; i++)
        ata_write(channel->ata, (enum ata_register)(offset + i), (uint8_t)(value >> (8 * i)));
}

static unsigned data_read_block(void *ctx, unsigned size, void *buffer, unsigned count)
{
    struct channel *channel = ctx;

    return ata_data_read_block(channel->ata, size, buffer, count);
}

static unsigned data_write_block(void *ctx, unsigned size, const void *buffer, unsigned count)
{
    struct channel *channel = ctx;

    return ata_data_write_block(channel->ata, size, buffer, count);
}

static const struct io_ops command_ops = {
    .name = "ide", .max_size = 4, .read = command_read, .write = command_block_write};
static const struct io_block_ops data_ops = {.read = data_read_block, .write = data_write_block};

static uint32_t control_read(void *ctx, uint16_t offset, unsigned size)
{
    const struct channel *channel = ctx;

    (void)offset;
    (void)size;
    return ata_alternate_status(channel->ata);
}

static void control_write(void *ctx, uint16_t offset, unsigned size, uint32_t value)
{
    struct channel *channel = ctx;

    (void)offset;
    (void)size;
    ata_control_write(channel->ata, (uint8_t)value);
}

static const struct io_ops control_ops = {
    .name = "ide-control", .max_size = 1, .read = control_read, .write = control_write};

/* ---- life ---- */

static void config_init(struct piix3_ide *dev)
{
    pci_init(&dev->pci, "piix3-ide", dev, 0x8086, 0x7010, 0, 0x010180);
    pci_set16(&dev->pci, PCI_STATUS, 0x0280); /* fast back-to-back, medium DEVSEL# */
    pci_bar_io(&dev->pci, BAR_BUS_MASTER, BUS_MASTER_SIZE, &bus_master_ports);
    for (unsigned i = IDETIM; i <= SIDETIM; i++)
        dev->pci.writable[i] = 0xFF;
}

static bool channel_create(struct piix3_ide *dev, unsigned index, struct line *irq,
                           const struct ata_drive_config drives[2])
{
    struct channel *channel = &dev->channels[index];

    channel->dev = dev;
    channel->irq = irq;
    channel->bounce = malloc(BOUNCE_SIZE);
    if (channel->bounce == NULL)
        return false;
    channel->ata = ata_create(index, drives, &host_ops, channel);
    if (channel->ata == NULL ||
        bus_map_io(dev->bus, command_ports[index], COMMAND_PORTS, &command_ops, channel) != 0)
        return false;
    bus_set_block(dev->bus, command_ports[index], &data_ops);
    dev->command_mapped++;
    if (bus_map_io(dev->bus, control_ports[index], CONTROL_PORTS, &control_ops, channel) != 0)
        return false;
    dev->control_mapped++;
    return true;
}

struct piix3_ide *piix3_ide_create(struct bus *bus, struct pci_bus *pci, struct line *irq14,
                                   struct line *irq15,
                                   const struct ata_drive_config drives[PIIX3_IDE_CHANNELS][2])
{
    struct piix3_ide *dev = calloc(1, sizeof(*dev));
    bool ok = dev != NULL;

    if (!ok)
        return NULL;
    dev->bus = bus;
    config_init(dev);
    for (unsigned i = 0; i < PIIX3_IDE_CHANNELS && ok; i++)
        ok = channel_create(dev, i, i == 0 ? irq14 : irq15, drives[i]);
    if (!ok || pci_add(pci, &dev->pci, IDE_DEVFN) != 0) {
        piix3_ide_destroy(dev);
        return NULL;
    }
    return dev;
}

void piix3_ide_destroy(struct piix3_ide *dev)
{
    if (dev == NULL)
        return;
    for (unsigned i = 0; i < dev->command_mapped; i++)
        bus_unmap_io(dev->bus, command_ports[i], COMMAND_PORTS);
    for (unsigned i = 0; i < dev->control_mapped; i++)
        bus_unmap_io(dev->bus, control_ports[i], CONTROL_PORTS);
    for (unsigned i = 0; i < PIIX3_IDE_CHANNELS; i++) {
        ata_destroy(dev->channels[i].ata);
        free(dev->channels[i].bounce);
    }
    free(dev);
}

void piix3_ide_reset(struct piix3_ide *dev)
{
    pci_function_reset(&dev->pci);
    memset(&dev->pci.config[IDETIM], 0, SIDETIM + 1 - IDETIM);
    for (unsigned i = 0; i < PIIX3_IDE_CHANNELS; i++) {
        struct channel *channel = &dev->channels[i];

        ata_reset(channel->ata);
        channel->command = 0;
        channel->status = 0;
        channel->table = 0;
        channel->cursor = (struct cursor){.table_offset = 0};
    }
}

void piix3_ide_map(struct piix3_ide *dev)
{
    for (unsigned i = 0; i < PIIX3_IDE_CHANNELS; i++)
        dev->pci.config[IDETIM + 2 * i + 1] |= IDETIM_DECODE_HIGH;
    pci_set32(&dev->pci, PCI_BAR0 + 4 * BAR_BUS_MASTER, DIRECT_BOOT_BASE | 1);
    pci_set16(&dev->pci, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MASTER);
    pci_update_mappings(&dev->pci);
}

struct ata_channel *piix3_ide_channel(struct piix3_ide *dev, unsigned channel)
{
    return dev->channels[channel].ata;
}
