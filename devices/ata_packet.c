/*
 * devices/ata_packet.c -- a CD-ROM drive's ATA side: the PACKET command and its data phases.
 * Source: ATA-6 9.8 "PACKET command protocol", 9.9 "PACKET DMA", 8.23 "PACKET"; INF-8020i 5.1 for
 * the byte count.
 *
 *   guest: A0h, byte count limit in LBA mid/high, DMA in features bit 0
 *   drive: DRQ, interrupt reason "command"; the guest writes 12 bytes
 *   drive: the reply: PIO blocks of at most the limit, each with its size in LBA mid/high and an
 *          interrupt; or DMA
 *   drive: status and interrupt
 *
 * Reads fill the buffer and empty it; with DMA they go straight into the guest's memory.
 */
#include <string.h>

#include "devices/ata_internal.h"

enum {
    COMMAND_READ_SECTORS = 0x20,
    COMMAND_PACKET = 0xA0,
    COMMAND_IDENTIFY_PACKET = 0xA1,
    COMMAND_IDENTIFY = 0xEC,
};
enum { FEATURE_DMA = 1, FEATURE_OVERLAP = 2 };
/* Interrupt reason, in the sector count register. */
enum { REASON_COMMAND = 1, REASON_TO_HOST = 2 };
enum { DMA_MAX = 1 << 24 };
enum { RAW_SECTORS = 16, RAW_DATA_AT = 65536 }; /* what is read, before it is made raw */
/* READ CD, byte 9. [MMC-3 6.1.15] */
enum { RAW_SYNC = 0x80, RAW_HEADER = 0x20, RAW_USER = 0x10, RAW_EDC = 0x08 };
enum { SYNC_SIZE = 12, HEADER_SIZE = 4, EDC_SIZE = 288, LEAD_IN_FRAMES = 150 };

_Static_assert(RAW_SECTORS *CD_RAW_SECTOR <= RAW_DATA_AT &&
                   RAW_DATA_AT + RAW_SECTORS * CD_SECTOR <= ATA_BUFFER_SIZE,
               "raw sectors do not reach what they are made of");

static void data_next(struct ata_drive *drive);

/* ---- the end ---- */

void ata_packet_done(struct ata_drive *drive)
{
    drive->reg[ATA_COUNT] = REASON_COMMAND | REASON_TO_HOST;
    ata_complete(drive);
}

void ata_packet_check(struct ata_drive *drive, uint8_t key, uint8_t asc, uint8_t ascq)
{
    drive->cd.sense_key = key;
    drive->cd.asc = asc;
    drive->cd.ascq = ascq;
    drive->reg[ATA_COUNT] = REASON_COMMAND | REASON_TO_HOST;
    ata_fail(drive, (uint8_t)(key << 4 | (key == SENSE_ILLEGAL_REQUEST ? ERROR_ABRT : 0)));
}

/* ---- data to the guest ---- */

static void pio_block(struct ata_drive *drive)
{
    struct packet_transfer *packet = &drive->packet;
    uint32_t size = packet->end - packet->at;

    if (size > packet->limit)
        size = packet->limit;
    drive->reg[ATA_COUNT] = REASON_TO_HOST;
    drive->reg[ATA_LBA_MID] = (uint8_t)size;
    drive->reg[ATA_LBA_HIGH] = (uint8_t)(size >> 8);
    packet->at += size;
    ata_pio_in(drive, packet->at - size, size, true, data_next);
}

static void dma_from_buffer(struct ata_drive *drive)
{
    struct packet_transfer *packet = &drive->packet;
    const struct iovec *iov;
    unsigned count;

    while (packet->at < packet->end) {
        if (ata_dma_window(drive, true, packet->end - packet->at, 1, &iov, &count) == 0)
            return;
        for (unsigned i = 0; i < count; i++) {
            memcpy(iov[i].iov_base, drive->buffer + packet->at, iov[i].iov_len);
            packet->at += (uint32_t)iov[i].iov_len;
        }
        ata_dma_done(drive, true);
    }
    drive->dma_step = NULL;
    data_next(drive);
}

static void read_failed(struct ata_drive *drive)
{
    ata_packet_check(drive, SENSE_MEDIUM_ERROR, ASC_UNRECOVERED_READ, 0);
}

static void dma_direct_done(struct ata_drive *drive, int error)
{
    struct packet_transfer *packet = &drive->packet;

    ata_dma_done(drive, error == 0);
    if (error != 0) {
        read_failed(drive);
        return;
    }
    packet->lba += packet->chunk / CD_SECTOR;
    packet->left -= packet->chunk;
    data_next(drive);
}

static void dma_direct(struct ata_drive *drive)
{
    struct packet_transfer *packet = &drive->packet;
    const struct iovec *iov;
    unsigned count;
    const size_t most = packet->left < DMA_MAX ? packet->left : DMA_MAX;
    const size_t size = ata_dma_window(drive, true, most, CD_SECTOR, &iov, &count);

    if (size == 0)
        return;
    packet->chunk = (uint32_t)size;
    ata_submit(drive, BLOCK_READ, packet->lba * CD_SECTOR, size, iov, count, dma_direct_done);
}

/* ---- reading into the buffer ---- */

static uint8_t bcd(uint64_t value)
{
    return (uint8_t)(value / 10 % 10 << 4 | value % 10);
}

static uint32_t raw_size(uint8_t fields)
{
    return (fields & RAW_SYNC ? SYNC_SIZE : 0u) + (fields & RAW_HEADER ? HEADER_SIZE : 0u) +
           (fields & RAW_USER ? CD_SECTOR : 0u) + (fields & RAW_EDC ? EDC_SIZE : 0u);
}

/*
 * A mode 1 sector: sync pattern, address in minutes, seconds and frames, data, EDC and ECC.
 * Deviation: EDC and ECC are 0; nobody who asks an emulated drive for them checks them.
 */
static uint8_t *raw_make(uint8_t *to, const uint8_t *data, uint64_t lba, uint8_t fields)
{
    const uint64_t frame = lba + LEAD_IN_FRAMES;

    if (fields & RAW_SYNC) {
        memset(to, 0xFF, SYNC_SIZE);
        to[0] = to[SYNC_SIZE - 1] = 0;
        to += SYNC_SIZE;
    }
    if (fields & RAW_HEADER) {
        to[0] = bcd(frame / 75 / 60);
        to[1] = bcd(frame / 75 % 60);
        to[2] = bcd(frame % 75);
        to[3] = 1;
        to += HEADER_SIZE;
    }
    if (fields & RAW_USER) {
        memcpy(to, data, CD_SECTOR);
        to += CD_SECTOR;
    }
    if (fields & RAW_EDC) {
        memset(to, 0, EDC_SIZE);
        to += EDC_SIZE;
    }
    return to;
}

static void buffer_filled(struct ata_drive *drive, int error)
{
    struct packet_transfer *packet = &drive->packet;
    const uint32_t sectors = packet->chunk / CD_SECTOR;
    uint8_t *to = drive->buffer;

    if (error != 0) {
        read_failed(drive);
        return;
    }
    packet->end = packet->chunk;
    if (packet->raw_fields != 0) {
        for (uint32_t i = 0; i < sectors; i++)
            to = raw_make(to, drive->buffer + RAW_DATA_AT + i * CD_SECTOR, packet->lba + i,
                          packet->raw_fields);
        packet->end = (uint32_t)(to - drive->buffer);
    }
    packet->at = 0;
    packet->lba += sectors;
    packet->left -= packet->end;
    data_next(drive);
}

static void buffer_fill(struct ata_drive *drive)
{
    struct packet_transfer *packet = &drive->packet;
    const bool raw = packet->raw_fields != 0;
    const uint32_t size = raw ? raw_size(packet->raw_fields) : CD_SECTOR;
    const uint32_t most = raw ? RAW_SECTORS : ATA_BUFFER_SIZE / CD_SECTOR;
    const uint64_t wanted = packet->left / size;
    const uint32_t sectors = wanted < most ? (uint32_t)wanted : most;

    packet->chunk = sectors * CD_SECTOR;
    drive->iov = (struct iovec){.iov_base = drive->buffer + (raw ? RAW_DATA_AT : 0),
                                .iov_len = packet->chunk};
    ata_submit(drive, BLOCK_READ, packet->lba * CD_SECTOR, packet->chunk, &drive->iov, 1,
               buffer_filled);
}

/* Whatever comes next: what is in the buffer, what is on the disc, the end. */
static void data_next(struct ata_drive *drive)
{
    struct packet_transfer *packet = &drive->packet;

    if (packet->at < packet->end) {
        if (packet->dma)
            ata_dma_wait(drive, dma_from_buffer);
        else
            pio_block(drive);
    } else if (packet->left != 0) {
        if (packet->dma && packet->raw_fields == 0)
            ata_dma_wait(drive, dma_direct);
        else
            buffer_fill(drive);
    } else {
        ata_packet_done(drive);
    }
}

/* PIO: the guest must have said how much it takes at a time. [ATA-6 8.23.5] */
static bool data_begin(struct ata_drive *drive, uint64_t left)
{
    struct packet_transfer *packet = &drive->packet;
    const uint32_t whole = packet->limit / CD_SECTOR * CD_SECTOR;

    if (!packet->dma && packet->limit == 0) {
        drive->reg[ATA_COUNT] = REASON_COMMAND | REASON_TO_HOST;
        ata_fail(drive, ERROR_ABRT);
        return false;
    }
    if (packet->raw_fields == 0 && left != 0 && whole != 0)
        packet->limit = whole; /* whole sectors, where they fit */
    packet->left = left;
    packet->at = packet->end = 0;
    return true;
}

void ata_packet_reply(struct ata_drive *drive, uint32_t size, uint32_t allocated)
{
    if (size > allocated)
        size = allocated;
    if (size == 0) {
        ata_packet_done(drive);
    } else if (data_begin(drive, 0)) {
        drive->packet.end = size;
        data_next(drive);
    }
}

void ata_packet_read(struct ata_drive *drive, uint64_t lba, uint32_t sectors)
{
    drive->packet.lba = lba;
    drive->packet.raw_fields = 0;
    if (data_begin(drive, (uint64_t)sectors * CD_SECTOR))
        data_next(drive);
}

void ata_packet_read_raw(struct ata_drive *drive, uint64_t lba, uint32_t sectors, uint8_t fields)
{
    drive->packet.lba = lba;
    drive->packet.raw_fields = fields;
    if (data_begin(drive, (uint64_t)sectors * raw_size(fields)))
        data_next(drive);
}

/* ---- commands ---- */

static void packet_received(struct ata_drive *drive)
{
    uint8_t packet[PACKET_SIZE];

    memcpy(packet, drive->buffer, sizeof(packet));
    ata_mmc_execute(drive, packet);
}

static void packet_begin(struct ata_drive *drive)
{
    uint32_t limit = drive->reg[ATA_LBA_MID] | (uint32_t)drive->reg[ATA_LBA_HIGH] << 8;

    if (drive->reg[ATA_FEATURES] & FEATURE_OVERLAP) {
        ata_fail(drive, ERROR_ABRT);
        return;
    }
    limit &= ~1u; /* only the last block may be odd */
    drive->packet = (struct packet_transfer){.dma = (drive->reg[ATA_FEATURES] & FEATURE_DMA) != 0,
                                             .limit = limit};
    drive->reg[ATA_COUNT] = REASON_COMMAND;
    ata_pio_out(drive, 0, PACKET_SIZE, false, packet_received);
}

static void phase_end(struct ata_drive *drive)
{
    drive->status = STATUS_READY;
}

void ata_packet_command(struct ata_drive *drive, uint8_t command)
{
    switch (command) {
    case COMMAND_PACKET:
        packet_begin(drive);
        return;
    case COMMAND_IDENTIFY_PACKET:
        ata_identify_packet(drive, drive->buffer);
        ata_pio_in(drive, 0, ATA_SECTOR, true, phase_end);
        return;
    case COMMAND_IDENTIFY:
    case COMMAND_READ_SECTORS:
        ata_signature(drive); /* "I am a packet device" */
        ata_fail(drive, ERROR_ABRT);
        return;
    default:
        if (!ata_common_command(drive, command))
            ata_fail(drive, ERROR_ABRT);
        return;
    }
}
