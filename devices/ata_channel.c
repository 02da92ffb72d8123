/*
 * devices/ata_channel.c -- an ATA cable: task file registers, device selection, resets, the data
 * port, INTRQ; and the machinery that drives on it share.
 * Source: ATA-6, 7 "Interface register definitions", 9 "Protocol", 9.16 "Single device
 * configurations", 9.12 "Signature and persistence".
 *
 * Both drives take every register write; the selected one answers reads, executes commands and
 * drives INTRQ.
 *
 * Invariants: a request is at the image exactly while request_busy; status has DRQ exactly while
 * the guest has to move data, through the port (data) or the engine (dma_step and no request).
 *
 * Deviation: on a cable without drives everything reads as 0, as on the board whose firmware and
 * guests this one runs, where real lines float.
 * Deviation: software reset keeps the modes that SET FEATURES, SET MULTIPLE MODE and INITIALIZE
 * DEVICE PARAMETERS made; that a drive goes back to its defaults is optional.
 */
#include <stdlib.h>
#include <string.h>

#include "devices/ata_internal.h"

enum { SIGNATURE_PACKET_MID = 0x14, SIGNATURE_PACKET_HIGH = 0xEB };
enum { COMMAND_DEVICE_RESET = 0x08, COMMAND_DIAGNOSTIC = 0x90 };

/* ---- interrupts ---- */

static void intrq_update(struct ata_channel *channel)
{
    const bool level =
        channel->drives[channel->selected].intrq && !(channel->control & CONTROL_NIEN);

    if (level == channel->intrq)
        return;
    channel->intrq = level;
    channel->host->intrq(channel->host_ctx, level);
}

static void interrupt_clear(struct ata_drive *drive)
{
    drive->intrq = false;
    intrq_update(drive->channel);
}

void ata_interrupt(struct ata_drive *drive)
{
    drive->intrq = true;
    intrq_update(drive->channel);
}

/* ---- what commands are made of ---- */

static void data_end(struct ata_drive *drive)
{
    drive->data = DATA_NONE;
    drive->data_done = NULL;
    drive->dma_step = NULL;
    drive->packet.left = 0;
}

void ata_complete(struct ata_drive *drive)
{
    data_end(drive);
    drive->status = STATUS_READY;
    drive->error = 0;
    ata_interrupt(drive);
}

void ata_fail(struct ata_drive *drive, uint8_t error)
{
    data_end(drive);
    drive->status = STATUS_READY | STATUS_ERR;
    drive->error = error;
    ata_interrupt(drive);
}

static void data_begin(struct ata_drive *drive, enum ata_data direction, uint32_t from,
                       uint32_t size, bool interrupt, void (*done)(struct ata_drive *drive))
{
    drive->data = direction;
    drive->data_at = from;
    drive->data_end = from + size;
    drive->data_done = done;
    drive->status = STATUS_READY | STATUS_DRQ;
    if (interrupt)
        ata_interrupt(drive);
}

void ata_pio_in(struct ata_drive *drive, uint32_t from, uint32_t size, bool interrupt,
                void (*done)(struct ata_drive *drive))
{
    data_begin(drive, DATA_IN, from, size, interrupt, done);
}

void ata_pio_out(struct ata_drive *drive, uint32_t from, uint32_t size, bool interrupt,
                 void (*done)(struct ata_drive *drive))
{
    data_begin(drive, DATA_OUT, from, size, interrupt, done);
}

void ata_dma_wait(struct ata_drive *drive, void (*step)(struct ata_drive *drive))
{
    drive->dma_step = step;
    drive->status = STATUS_READY | STATUS_DRQ;
    step(drive);
}

size_t ata_dma_window(struct ata_drive *drive, bool to_memory, size_t max, size_t unit,
                      const struct iovec **iov, unsigned *count)
{
    struct ata_channel *channel = drive->channel;
    size_t size;

    /* One engine: while the other drive uses it (a guest that gives both commands at once breaks
     * the rules), this one waits for its next start. */
    if (channel->drives[1 - drive->unit].dma_window)
        return 0;
    size = channel->host->dma_window(channel->host_ctx, to_memory, max, unit, iov, count);
    drive->dma_window = size != 0;
    return size;
}

void ata_dma_done(struct ata_drive *drive, bool completed)
{
    if (!drive->dma_window)
        return;
    drive->dma_window = false;
    drive->channel->host->dma_done(drive->channel->host_ctx, completed);
}

/* ---- the image ---- */

/* Continue as long as the image has finished: one level of the stack, however many requests. */
static void pump(struct ata_drive *drive)
{
    if (drive->pumping)
        return;
    drive->pumping = true;
    while (!drive->request_busy && drive->next != NULL) {
        void (*const next)(struct ata_drive *, int) = drive->next;

        drive->next = NULL;
        next(drive, drive->request_error);
    }
    drive->pumping = false;
}

static void request_done(struct block_request *request, int error)
{
    struct ata_drive *drive = request->ctx;

    drive->request_busy = false;
    drive->request_error = error;
    pump(drive);
}

void ata_submit(struct ata_drive *drive, enum block_op op, uint64_t offset, uint64_t size,
                const struct iovec *iov, unsigned iov_count,
                void (*next)(struct ata_drive *drive, int error))
{
    if (iov == NULL) {
        drive->iov = (struct iovec){.iov_base = drive->buffer, .iov_len = size};
        iov = &drive->iov;
        iov_count = 1;
    }
    drive->request = (struct block_request){
        .op = op,
        .offset = offset,
        .size = size,
        .iov = op == BLOCK_READ || op == BLOCK_WRITE ? iov : NULL,
        .iov_count = op == BLOCK_READ || op == BLOCK_WRITE ? iov_count : 0,
        .done = request_done,
        .ctx = drive,
    };
    drive->status = STATUS_BSY;
    drive->next = next;
    drive->request_busy = true;
    drive->backend->ops->submit(drive->backend->ctx, &drive->request);
    pump(drive);
}

void ata_abandon(struct ata_drive *drive)
{
    if (drive->request_busy)
        drive->backend->ops->cancel(drive->backend->ctx, &drive->request);
    drive->request_busy = false;
    drive->next = NULL;
    ata_dma_done(drive, false);
    data_end(drive);
}

/* ---- resets ---- */

void ata_signature(struct ata_drive *drive)
{
    memset(drive->previous, 0, sizeof(drive->previous));
    drive->reg[ATA_COUNT] = 1;
    drive->reg[ATA_LBA_LOW] = 1;
    drive->reg[ATA_LBA_MID] = drive->is_cdrom ? SIGNATURE_PACKET_MID : 0;
    drive->reg[ATA_LBA_HIGH] = drive->is_cdrom ? SIGNATURE_PACKET_HIGH : 0;
    drive->reg[ATA_DEVICE] &= DEVICE_DEV;
    drive->error = DIAGNOSTIC_PASSED;
    drive->status = drive->is_cdrom ? 0 : STATUS_READY;
}

static void drive_reset(struct ata_drive *drive)
{
    ata_abandon(drive);
    drive->intrq = false;
    drive->reg[ATA_DEVICE] = 0;
    ata_signature(drive);
}

static void software_reset(struct ata_channel *channel, bool asserted)
{
    for (unsigned unit = 0; unit < 2; unit++) {
        struct ata_drive *drive = &channel->drives[unit];

        if (drive->backend == NULL)
            continue;
        drive_reset(drive);
        if (asserted)
            drive->status = STATUS_BSY;
    }
    channel->selected = 0;
    intrq_update(channel);
}

/* [ATA-6 8.12]: both drives execute it, drive 0 reports for both. */
static void diagnostic(struct ata_channel *channel)
{
    software_reset(channel, false);
    if (channel->drives[0].backend != NULL)
        ata_interrupt(&channel->drives[0]);
}

void ata_reset(struct ata_channel *channel)
{
    channel->control = 0;
    software_reset(channel, false);
    for (unsigned unit = 0; unit < 2; unit++) {
        struct ata_drive *drive = &channel->drives[unit];

        if (drive->backend != NULL)
            ata_defaults(drive, true);
    }
}

/* ---- registers ---- */

/*
 * Who answers a read when the selected drive is not there?  Drive 0 does for a missing drive 1: a
 * disk with its own registers but status 0, a packet device with zeros.  [ATA-6 9.16.1]
 */
static bool answers(const struct ata_channel *channel, enum ata_register reg)
{
    if (channel->drives[channel->selected].backend != NULL)
        return true;
    return channel->selected == 1 && channel->drives[0].backend != NULL &&
           !channel->drives[0].is_cdrom && reg != ATA_STATUS;
}

static const struct ata_drive *answering(const struct ata_channel *channel)
{
    const struct ata_drive *selected = &channel->drives[channel->selected];

    return selected->backend != NULL ? selected : &channel->drives[0];
}

uint8_t ata_alternate_status(const struct ata_channel *channel)
{
    return answers(channel, ATA_STATUS) ? answering(channel)->status : 0;
}

uint8_t ata_read(struct ata_channel *channel, enum ata_register reg)
{
    const struct ata_drive *drive = answering(channel);
    uint8_t value;

    if (!answers(channel, reg))
        return 0;
    switch (reg) {
    case ATA_STATUS:
        value = drive->status;
        interrupt_clear(&channel->drives[channel->selected]);
        return value;
    case ATA_ERROR:
        return drive->error;
    case ATA_DEVICE:
        return (uint8_t)((drive->reg[reg] & ~DEVICE_DEV) | DEVICE_OBSOLETE |
                         (channel->selected != 0 ? DEVICE_DEV : 0));
    default:
        return channel->control & CONTROL_HOB ? drive->previous[reg] : drive->reg[reg];
    }
}

static void command_write(struct ata_channel *channel, uint8_t command)
{
    struct ata_drive *drive = &channel->drives[channel->selected];

    if (channel->control & CONTROL_SRST)
        return;
    if (command == COMMAND_DIAGNOSTIC) {
        diagnostic(channel);
        return;
    }
    if (drive->backend == NULL)
        return;
    if (command == COMMAND_DEVICE_RESET && drive->is_cdrom) {
        ata_abandon(drive);
        interrupt_clear(drive);
        ata_signature(drive);
        return;
    }
    if (drive->status & STATUS_BSY)
        return;
    ata_abandon(drive); /* a command while DRQ ends what was going on */
    interrupt_clear(drive);
    drive->status = STATUS_BSY;
    drive->error = 0;
    if (drive->is_cdrom)
        ata_packet_command(drive, command);
    else
        ata_disk_command(drive, command);
}

void ata_write(struct ata_channel *channel, enum ata_register reg, uint8_t value)
{
    channel->control &= (uint8_t)~CONTROL_HOB;
    if (reg == ATA_COMMAND) {
        command_write(channel, value);
        return;
    }
    for (unsigned unit = 0; unit < 2; unit++) {
        struct ata_drive *drive = &channel->drives[unit];

        if (drive->status & STATUS_BSY)
            continue;
        drive->previous[reg] = drive->reg[reg];
        drive->reg[reg] = value;
    }
    if (reg == ATA_DEVICE && !(channel->drives[channel->selected].status & STATUS_BSY)) {
        channel->selected = (value & DEVICE_DEV) != 0;
        intrq_update(channel);
    }
}

void ata_control_write(struct ata_channel *channel, uint8_t value)
{
    const uint8_t changed = channel->control ^ value;

    channel->control = value & (CONTROL_NIEN | CONTROL_SRST | CONTROL_HOB);
    if (changed & CONTROL_SRST)
        software_reset(channel, (value & CONTROL_SRST) != 0);
    intrq_update(channel);
}

/* ---- the data port ---- */

static struct ata_drive *data_drive(struct ata_channel *channel, enum ata_data direction)
{
    struct ata_drive *drive = &channel->drives[channel->selected];

    return drive->data == direction ? drive : NULL;
}

/* `size` bytes of the window have been moved. */
static void data_advance(struct ata_drive *drive, uint32_t size)
{
    drive->data_at += size;
    if (drive->data_at < drive->data_end)
        return;
    drive->data = DATA_NONE;
    drive->status = STATUS_BSY;
    drive->data_done(drive);
}

/* How many of an access's bytes the window still has; the last word may be half of one. */
static uint32_t data_room(const struct ata_drive *drive, unsigned size)
{
    const uint32_t left = drive->data_end - drive->data_at;

    return left < size ? left : size;
}

uint32_t ata_data_read(struct ata_channel *channel, unsigned size)
{
    struct ata_drive *drive = data_drive(channel, DATA_IN);
    uint32_t value = 0, room;

    if (drive == NULL)
        return 0;
    room = data_room(drive, size == 4 ? 4 : 2);
    for (uint32_t i = 0; i < room; i++)
        value |= (uint32_t)drive->buffer[drive->data_at + i] << (8 * i);
    data_advance(drive, room);
    return size == 1 ? value & 0xFF : value;
}

void ata_data_write(struct ata_channel *channel, unsigned size, uint32_t value)
{
    struct ata_drive *drive = data_drive(channel, DATA_OUT);
    uint32_t room;

    if (drive == NULL)
        return;
    room = data_room(drive, size == 4 ? 4 : 2);
    for (uint32_t i = 0; i < room; i++)
        drive->buffer[drive->data_at + i] = (uint8_t)(value >> (8 * i));
    data_advance(drive, room);
}

static unsigned block_bytes(const struct ata_drive *drive, unsigned size, unsigned count)
{
    const uint32_t left = drive->data_end - drive->data_at;

    if (size < 2)
        return 0;
    return count < left / size ? count * size : left / size * size;
}

unsigned ata_data_read_block(struct ata_channel *channel, unsigned size, void *buffer,
                             unsigned count)
{
    struct ata_drive *drive = data_drive(channel, DATA_IN);
    const unsigned bytes = drive != NULL ? block_bytes(drive, size, count) : 0;

    if (bytes == 0)
        return 0;
    memcpy(buffer, drive->buffer + drive->data_at, bytes);
    data_advance(drive, bytes);
    return bytes / size;
}

unsigned ata_data_write_block(struct ata_channel *channel, unsigned size, const void *buffer,
                              unsigned count)
{
    struct ata_drive *drive = data_drive(channel, DATA_OUT);
    const unsigned bytes = drive != NULL ? block_bytes(drive, size, count) : 0;

    if (bytes == 0)
        return 0;
    memcpy(drive->buffer + drive->data_at, buffer, bytes);
    data_advance(drive, bytes);
    return bytes / size;
}

/* ---- the engine ---- */

void ata_dma_started(struct ata_channel *channel)
{
    for (unsigned unit = 0; unit < 2; unit++) {
        struct ata_drive *drive = &channel->drives[unit];

        if (drive->dma_step != NULL && !drive->request_busy)
            drive->dma_step(drive);
    }
}

void ata_dma_stopped(struct ata_channel *channel)
{
    for (unsigned unit = 0; unit < 2; unit++) {
        struct ata_drive *drive = &channel->drives[unit];

        if (!drive->dma_window)
            continue;
        ata_abandon(drive); /* it would wait for the rest of its data for ever */
        drive->status = STATUS_READY | STATUS_DRQ;
    }
}

/* ---- life ---- */

struct ata_channel *ata_create(unsigned number, const struct ata_drive_config drives[2],
                               const struct ata_host_ops *host, void *host_ctx)
{
    struct ata_channel *channel = calloc(1, sizeof(*channel));

    if (channel == NULL)
        return NULL;
    channel->host = host;
    channel->host_ctx = host_ctx;
    for (unsigned unit = 0; unit < 2; unit++) {
        struct ata_drive *drive = &channel->drives[unit];

        drive->channel = channel;
        drive->unit = unit;
        drive->is_cdrom = drives[unit].is_cdrom;
        if (drives[unit].backend == NULL)
            continue;
        drive->buffer = calloc(1, ATA_BUFFER_SIZE);
        if (drive->buffer == NULL) {
            ata_destroy(channel);
            return NULL;
        }
        drive->backend = drives[unit].backend;
        ata_identify_names(drive, &drives[unit], number);
        if (drive->is_cdrom) {
            drive->backend->drive = drive;
            drive->backend->drive_ops = &ata_mmc_drive_ops;
        } else {
            ata_identify_geometry(drive, &drives[unit].geometry);
        }
    }
    ata_reset(channel);
    return channel;
}

void ata_destroy(struct ata_channel *channel)
{
    if (channel == NULL)
        return;
    for (unsigned unit = 0; unit < 2; unit++) {
        struct ata_drive *drive = &channel->drives[unit];

        if (drive->backend != NULL) {
            ata_abandon(drive);
            drive->backend->drive = NULL;
            drive->backend->drive_ops = NULL;
        }
        free(drive->buffer);
    }
    free(channel);
}
