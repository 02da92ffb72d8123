/*
 * devices/ata.h -- an ATA cable with its drives, as the host adapter on it sees it, and the adapter
 * as the drives see it.
 *
 * Sources: AT Attachment with Packet Interface - 6 (T13/1410D), called ATA-6 below; for CD-ROM
 * drives also INF-8020i and Multi-Media Commands - 3 (MMC-3).
 *
 * The adapter hands in what the guest does at the ports of a channel and at the DMA engine, the
 * drives pull data through the engine and drive INTRQ.  Everything happens within the call that
 * caused it, or when a disk image has finished.
 */
#ifndef RINGER_DEVICES_ATA_H
#define RINGER_DEVICES_ATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "devices/block.h"

/* Command block registers: offset from the channel's base.  [ATA-6 7] */
enum ata_register {
    ATA_DATA,
    ATA_FEATURES, /* written; read: error */
    ATA_COUNT,
    ATA_LBA_LOW,
    ATA_LBA_MID,
    ATA_LBA_HIGH,
    ATA_DEVICE,
    ATA_COMMAND, /* written; read: status */
    ATA_REGISTER_COUNT,
    ATA_ERROR = ATA_FEATURES,
    ATA_STATUS = ATA_COMMAND,
};

struct ata_host_ops {
    void (*intrq)(void *ctx, bool level);
    /*
     * The next bytes of guest memory that the engine offers: at most max, and a multiple of unit
     * (at most 2048).  0 when the engine is stopped or its table has ended.  A window stays until
     * dma_done().  iov belongs to the adapter.
     */
    size_t (*dma_window)(void *ctx, bool to_memory, size_t max, size_t unit,
                         const struct iovec **iov, unsigned *iov_count);
    /* The window is finished: completed, or given up with anything in it. */
    void (*dma_done)(void *ctx, bool completed);
};

struct ata_drive_config {
    struct block_backend *backend; /* NULL: nothing plugged in */
    bool is_cdrom;
    const char *serial, *model; /* NULL: our own; cut to 20 and 40 characters */
    struct block_geometry geometry; /* all 0: by partition table and size */
};

struct ata_channel;

/* NULL when out of memory. number: 0 primary, 1 secondary, for the drives' default names. */
struct ata_channel *ata_create(unsigned number, const struct ata_drive_config drives[2],
                               const struct ata_host_ops *host, void *host_ctx);
void ata_destroy(struct ata_channel *channel); /* gives up what is under way */
void ata_reset(struct ata_channel *channel);   /* RESET-: power-on state */

uint8_t ata_read(struct ata_channel *channel, enum ata_register reg); /* not ATA_DATA */
void ata_write(struct ata_channel *channel, enum ata_register reg, uint8_t value);
uint8_t ata_alternate_status(const struct ata_channel *channel);
void ata_control_write(struct ata_channel *channel, uint8_t value);

/* The data port: size 1, 2 or 4 bytes an access.  A byte access moves a word and uses its half. */
uint32_t ata_data_read(struct ata_channel *channel, unsigned size);
void ata_data_write(struct ata_channel *channel, unsigned size, uint32_t value);
/* Many accesses of 2 or 4 bytes at once.  Returns how many were done: 0 where they have to be done
 * one by one. */
unsigned ata_data_read_block(struct ata_channel *channel, unsigned size, void *buffer,
                             unsigned count);
unsigned ata_data_write_block(struct ata_channel *channel, unsigned size, const void *buffer,
                              unsigned count);

/* The engine has started: a drive that waits for it goes on. */
void ata_dma_started(struct ata_channel *channel);
/* The engine was stopped: a transfer under way is given up, the drive waits until it is reset or
 * gets another command. */
void ata_dma_stopped(struct ata_channel *channel);

/* The geometry that a disk reports at power-on; false when there is no disk. */
bool ata_geometry(const struct ata_channel *channel, unsigned unit,
                  struct block_geometry *geometry);
/* What firmware must do so that a disk's old CHS interface reaches it all (0 nothing, 1 "LBA",
 * 2 "large"), as the CMOS byte at 0x39 has it. */
unsigned ata_translation(const struct ata_channel *channel, unsigned unit);

#endif
