/*
 * devices/ata_transfer.c -- a disk's data on its way between the image and the guest.
 * Source: ATA-6 9.5 "PIO data-in", 9.6 "PIO data-out", 9.7 "DMA"; 8.27 "READ SECTOR(S)" for what
 * the registers tell after an error.
 *
 *   PIO in    read up to a buffer full; for each block of it: DRQ and INTRQ, the guest reads
 *   PIO out   for each block: DRQ (and INTRQ, but not for the first), the guest writes, the image
 *             has it; at the end INTRQ
 *   DMA       the image moves data straight between the file and the guest's memory, in windows as
 *             large as the engine's table gives; at the end INTRQ
 *
 * The address registers name the last sector of the block that moves, or has moved; after an error
 * the sector that failed.  The count is what is left then.
 */
#include <errno.h>
#include <string.h>

#include "devices/ata_internal.h"

enum { DMA_MAX = 65536 * ATA_SECTOR };

static void read_next(struct ata_drive *drive);
static void write_next(struct ata_drive *drive, bool interrupt);
static void dma_next(struct ata_drive *drive);

/* ---- registers ---- */

static void address_write(struct ata_drive *drive, uint64_t lba)
{
    const struct block_geometry *chs = &drive->current;
    uint8_t *reg = drive->reg;

    if (drive->disk.extended || reg[ATA_DEVICE] & DEVICE_LBA) {
        for (unsigned i = 0; i < 3; i++) {
            reg[ATA_LBA_LOW + i] = (uint8_t)(lba >> (8 * i));
            if (drive->disk.extended)
                drive->previous[ATA_LBA_LOW + i] = (uint8_t)(lba >> (24 + 8 * i));
        }
        if (!drive->disk.extended)
            reg[ATA_DEVICE] = (uint8_t)((reg[ATA_DEVICE] & 0xF0) | (lba >> 24 & 0x0F));
        return;
    }
    reg[ATA_LBA_LOW] = (uint8_t)(lba % chs->sectors + 1);
    lba /= chs->sectors;
    reg[ATA_DEVICE] = (uint8_t)((reg[ATA_DEVICE] & 0xF0) | (lba % chs->heads & 0x0F));
    lba /= chs->heads;
    reg[ATA_LBA_MID] = (uint8_t)lba;
    reg[ATA_LBA_HIGH] = (uint8_t)(lba >> 8);
}

static void registers_update(struct ata_drive *drive, uint64_t lba)
{
    const struct disk_transfer *disk = &drive->disk;
    const uint32_t left = disk->left + (disk->dma ? 0 : disk->buffered);

    address_write(drive, lba);
    drive->reg[ATA_COUNT] = (uint8_t)left;
    if (disk->extended)
        drive->previous[ATA_COUNT] = (uint8_t)(left >> 8);
}

static void transfer_fail(struct ata_drive *drive, uint8_t error)
{
    registers_update(drive, drive->disk.lba);
    ata_fail(drive, error);
}

/* The image could not: a bad sector when reading, a fault of the drive when writing. */
static void image_failed(struct ata_drive *drive)
{
    if (drive->disk.write) {
        transfer_fail(drive, ERROR_ABRT);
        drive->status |= STATUS_DF;
    } else {
        transfer_fail(drive, ERROR_UNC);
    }
}

/* Sectors of the next request, at most `most`; 0: the end of the disk, the command has failed. */
static uint32_t chunk_size(struct ata_drive *drive, uint32_t most)
{
    const struct disk_transfer *disk = &drive->disk;
    const uint64_t total = ata_sectors(drive);
    uint32_t chunk = disk->left < most ? disk->left : most;

    if (disk->lba >= total) {
        transfer_fail(drive, ERROR_IDNF);
        return 0;
    }
    if (disk->single)
        chunk = 1;
    return chunk < total - disk->lba ? chunk : (uint32_t)(total - disk->lba);
}

static void chunk_submit(struct ata_drive *drive, uint32_t chunk, const struct iovec *iov,
                         unsigned count, void (*next)(struct ata_drive *drive, int error))
{
    struct disk_transfer *disk = &drive->disk;

    disk->chunk = chunk;
    ata_submit(drive, disk->write ? BLOCK_WRITE : BLOCK_READ, disk->lba * ATA_SECTOR,
               (uint64_t)chunk * ATA_SECTOR, iov, count, next);
}

/* After an error in a request of several sectors: again, one at a time, up to the bad one. */
static bool look_closer(struct ata_drive *drive)
{
    const bool closer = !drive->disk.single && drive->disk.chunk > 1;

    drive->disk.single = true;
    return closer;
}

/* ---- the end of a write ---- */

static void write_flushed(struct ata_drive *drive, int error)
{
    if (error != 0)
        image_failed(drive);
    else
        ata_complete(drive);
}

static void transfer_end(struct ata_drive *drive)
{
    registers_update(drive, drive->disk.lba - 1);
    if (drive->disk.write && !drive->write_cache)
        ata_submit(drive, BLOCK_FLUSH, 0, 0, NULL, 0, write_flushed);
    else
        ata_complete(drive);
}

/* ---- PIO in ---- */

/* One block of the buffer to the guest; at its end the next block, request, or nothing. */
static void read_block_out(struct ata_drive *drive);

static void read_block_done(struct ata_drive *drive)
{
    if (drive->disk.buffered != 0)
        read_block_out(drive);
    else if (drive->disk.left != 0)
        read_next(drive);
    else
        drive->status = STATUS_READY; /* the last block ends without an interrupt */
}

static void read_block_out(struct ata_drive *drive)
{
    struct disk_transfer *disk = &drive->disk;
    const uint32_t from = disk->chunk - disk->buffered;
    const uint32_t size = disk->buffered < disk->block ? disk->buffered : disk->block;

    disk->buffered -= size;
    disk->lba += size;
    registers_update(drive, disk->lba - 1);
    ata_pio_in(drive, from * ATA_SECTOR, size * ATA_SECTOR, true, read_block_done);
}

static void read_done(struct ata_drive *drive, int error)
{
    struct disk_transfer *disk = &drive->disk;

    if (error != 0) {
        if (look_closer(drive))
            read_next(drive);
        else
            image_failed(drive);
        return;
    }
    disk->left -= disk->chunk;
    if (disk->verify) {
        disk->lba += disk->chunk;
        if (disk->left != 0)
            read_next(drive);
        else
            transfer_end(drive);
        return;
    }
    disk->buffered = disk->chunk;
    read_block_out(drive);
}

static void read_next(struct ata_drive *drive)
{
    const uint32_t whole = ATA_BUFFER_SIZE / ATA_SECTOR;
    const uint32_t chunk = chunk_size(drive, whole - whole % drive->disk.block);

    if (chunk != 0)
        chunk_submit(drive, chunk, NULL, 0, read_done);
}

/* ---- PIO out ---- */

static void write_done(struct ata_drive *drive, int error)
{
    struct disk_transfer *disk = &drive->disk;

    if (error != 0) {
        image_failed(drive);
        return;
    }
    disk->lba += disk->chunk;
    disk->left -= disk->chunk;
    if (disk->left != 0)
        write_next(drive, true);
    else
        transfer_end(drive);
}

static void write_block_in(struct ata_drive *drive)
{
    chunk_submit(drive, drive->disk.chunk, NULL, 0, write_done);
}

/* interrupt: the first block is asked for without one. */
static void write_next(struct ata_drive *drive, bool interrupt)
{
    struct disk_transfer *disk = &drive->disk;
    const uint32_t chunk = chunk_size(drive, disk->block);

    if (chunk == 0)
        return;
    disk->chunk = chunk;
    registers_update(drive, disk->lba);
    ata_pio_out(drive, 0, chunk * ATA_SECTOR, interrupt, write_block_in);
}

/* ---- DMA ---- */

/* Copy a sector from the buffer to where it belongs in the window, `at` bytes from its start. */
static void window_fill(struct ata_drive *drive, size_t at)
{
    const struct iovec *iov = drive->window;
    size_t done = 0;

    for (; at >= iov->iov_len; iov++)
        at -= iov->iov_len;
    for (; done < ATA_SECTOR; iov++, at = 0) {
        const size_t room = iov->iov_len - at, left = ATA_SECTOR - done;
        const size_t size = room < left ? room : left;

        memcpy((uint8_t *)iov->iov_base + at, drive->buffer + done, size);
        done += size;
    }
}

/* A read of several sectors into the window failed: again, one at a time, up to the bad one. */
static void dma_single(struct ata_drive *drive, int error);

static void dma_single_next(struct ata_drive *drive)
{
    ata_submit(drive, BLOCK_READ, drive->disk.lba * ATA_SECTOR, ATA_SECTOR, NULL, 0, dma_single);
}

static void dma_single(struct ata_drive *drive, int error)
{
    struct disk_transfer *disk = &drive->disk;

    if (error != 0) {
        ata_dma_done(drive, true);
        image_failed(drive);
        return;
    }
    window_fill(drive, (size_t)disk->buffered * ATA_SECTOR);
    disk->buffered++;
    disk->lba++;
    disk->left--;
    if (disk->buffered < disk->chunk) {
        dma_single_next(drive);
        return;
    }
    disk->buffered = 0;
    ata_dma_done(drive, true);
    if (disk->left != 0)
        dma_next(drive);
    else
        transfer_end(drive);
}

static void dma_moved(struct ata_drive *drive, int error)
{
    struct disk_transfer *disk = &drive->disk;

    if (error != 0 && !disk->write) {
        dma_single_next(drive);
        return;
    }
    ata_dma_done(drive, error == 0);
    if (error != 0) {
        image_failed(drive);
        return;
    }
    disk->lba += disk->chunk;
    disk->left -= disk->chunk;
    if (disk->left != 0)
        dma_next(drive);
    else
        transfer_end(drive);
}

static void dma_step(struct ata_drive *drive)
{
    const uint32_t chunk = chunk_size(drive, DMA_MAX / ATA_SECTOR);
    const struct iovec *iov;
    unsigned count;
    size_t size;

    if (chunk == 0)
        return;
    size = ata_dma_window(drive, !drive->disk.write, (size_t)chunk * ATA_SECTOR, ATA_SECTOR, &iov,
                          &count);
    drive->window = iov;
    if (size != 0)
        chunk_submit(drive, (uint32_t)(size / ATA_SECTOR), iov, count, dma_moved);
}

static void dma_next(struct ata_drive *drive)
{
    ata_dma_wait(drive, dma_step);
}

/* ---- start ---- */

void ata_transfer_start(struct ata_drive *drive)
{
    if (drive->disk.dma)
        dma_next(drive);
    else if (drive->disk.write)
        write_next(drive, false);
    else
        read_next(drive);
}

/* ---- FLUSH CACHE ---- */

static void flush_done(struct ata_drive *drive, int error)
{
    if (error == 0) {
        ata_complete(drive);
        return;
    }
    ata_fail(drive, ERROR_ABRT);
    drive->status |= STATUS_DF;
}

void ata_transfer_flush(struct ata_drive *drive)
{
    ata_submit(drive, BLOCK_FLUSH, 0, 0, NULL, 0, flush_done);
}

/* ---- DATA SET MANAGEMENT, TRIM ---- */

/*
 * The guest sends `count` sectors of ranges: 8 bytes each, 47:0 first sector, 63:48 sectors, 0 for
 * an unused entry.  They are discarded one after the other.  [ATA8-ACS 7.10.3]
 */
static void trim_next(struct ata_drive *drive);

static void trim_done(struct ata_drive *drive, int error)
{
    if (error != 0)
        ata_fail(drive, ERROR_ABRT);
    else
        trim_next(drive);
}

static void trim_next(struct ata_drive *drive)
{
    struct disk_transfer *disk = &drive->disk;

    while (disk->left != 0) {
        const uint8_t *entry = drive->buffer + disk->lba;
        uint64_t first = 0, sectors;

        for (unsigned i = 0; i < 6; i++)
            first |= (uint64_t)entry[i] << (8 * i);
        sectors = entry[6] | (uint64_t)entry[7] << 8;
        disk->lba += 8;
        disk->left--;
        if (sectors == 0)
            continue;
        if (first >= ata_sectors(drive) || sectors > ata_sectors(drive) - first) {
            ata_fail(drive, ERROR_IDNF);
            return;
        }
        ata_submit(drive, BLOCK_DISCARD, first * ATA_SECTOR, sectors * ATA_SECTOR, NULL, 0,
                   trim_done);
        return;
    }
    ata_complete(drive);
}

static void trim_step(struct ata_drive *drive)
{
    struct disk_transfer *disk = &drive->disk;
    const struct iovec *iov;
    unsigned count;
    size_t size;

    while (disk->buffered < disk->chunk) {
        size = ata_dma_window(drive, false, disk->chunk - disk->buffered, 1, &iov, &count);
        if (size == 0)
            return;
        for (unsigned i = 0; i < count; i++) {
            memcpy(drive->buffer + disk->buffered, iov[i].iov_base, iov[i].iov_len);
            disk->buffered += (uint32_t)iov[i].iov_len;
        }
        ata_dma_done(drive, true);
    }
    drive->dma_step = NULL;
    drive->status = STATUS_BSY;
    disk->lba = 0;
    disk->left = disk->chunk / 8;
    trim_next(drive);
}

void ata_transfer_trim(struct ata_drive *drive)
{
    const uint32_t sectors = drive->reg[ATA_COUNT] | (uint32_t)drive->previous[ATA_COUNT] << 8;

    if (sectors == 0 || sectors > ATA_BUFFER_SIZE / ATA_SECTOR) {
        ata_fail(drive, ERROR_ABRT);
        return;
    }
    drive->disk = (struct disk_transfer){.chunk = sectors * ATA_SECTOR};
    ata_dma_wait(drive, trim_step);
}
