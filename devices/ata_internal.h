/*
 * devices/ata_internal.h -- a drive on the cable: shared by the ata_*.c files only.
 *
 *   ata_channel.c   the cable: registers, selection, resets, the data port, interrupts
 *   ata_disk.c      a disk's commands
 *   ata_identify.c  what drives say of themselves; geometry
 *   ata_transfer.c  a disk's data: PIO and DMA, between the image and the guest
 *   ata_packet.c    a CD-ROM's ATA side: PACKET and its data phases
 *   ata_mmc.c       a CD-ROM's packet commands: sense data, the tray, reading
 *   ata_mmc_info.c  packet commands that only tell: table of contents, capabilities
 *
 * How a command runs.  Its handler sets up a data phase (ata_pio_in(), ata_pio_out(),
 * ata_dma_wait()), asks the image for something (ata_submit()), or ends it (ata_complete(),
 * ata_fail()).  Each of these is the last thing that a handler does: what it names as continuation
 * may have run when it returns.  Between two of them the drive is BSY.
 */
#ifndef RINGER_DEVICES_ATA_INTERNAL_H
#define RINGER_DEVICES_ATA_INTERNAL_H

#include "devices/ata.h"

/* Status [ATA-6 7.15] */
enum {
    STATUS_ERR = 0x01, /* CHK for packet commands */
    STATUS_DRQ = 0x08,
    STATUS_DSC = 0x10, /* seek complete; later standards: command specific */
    STATUS_DF = 0x20,
    STATUS_DRDY = 0x40,
    STATUS_BSY = 0x80,
    STATUS_READY = STATUS_DRDY | STATUS_DSC,
};
/* Error [ATA-6 7.9] */
enum { ERROR_ABRT = 0x04, ERROR_IDNF = 0x10, ERROR_UNC = 0x40 };
enum { DIAGNOSTIC_PASSED = 0x01 };
/* Device [ATA-6 7.8] */
enum { DEVICE_DEV = 0x10, DEVICE_LBA = 0x40, DEVICE_OBSOLETE = 0xA0 };
/* Device control [ATA-6 7.7] */
enum { CONTROL_NIEN = 0x02, CONTROL_SRST = 0x04, CONTROL_HOB = 0x80 };

enum {
    ATA_SECTOR = 512,
    CD_SECTOR = 2048,
    CD_RAW_SECTOR = 2352,
    ATA_MULTIPLE_MAX = 16,      /* sectors in a READ MULTIPLE block */
    ATA_BUFFER_SIZE = 256 * ATA_SECTOR,
    PACKET_SIZE = 12,
    SENSE_SIZE = 18,
};

struct ata_drive;

enum ata_data { DATA_NONE, DATA_IN, DATA_OUT };

/* A disk's transfer under way. */
struct disk_transfer {
    uint64_t lba;
    uint32_t left;     /* sectors, not counting those that wait in the buffer */
    uint32_t block;    /* sectors a DRQ block */
    uint32_t buffered; /* PIO reads: sectors in the buffer that the guest has not had; DMA: sectors
                        * of the window that are done, after an error; TRIM: bytes */
    uint32_t chunk;    /* sectors of the request under way */
    bool write, dma, verify, extended;
    bool single; /* after an error: sector by sector, so that it is found */
};

/* A packet command's data on its way to the guest. */
struct packet_transfer {
    bool dma;
    uint32_t limit;    /* PIO: bytes a DRQ block */
    uint64_t left;     /* bytes of the command not yet in the buffer */
    uint32_t at, end;  /* what waits in the buffer */
    uint64_t lba;      /* next CD sector to read */
    uint8_t raw_fields; /* READ CD's selection, when not the plain 2048 bytes; else 0 */
    uint32_t chunk;    /* bytes of the request or window under way */
};

/* What a CD-ROM drive remembers between commands. */
struct cdrom {
    uint8_t sense_key, asc, ascq;
    bool tray_open, locked;
    bool attention_reset, attention_medium; /* unit attentions to be reported */
    uint8_t media_event;                    /* for GET EVENT STATUS NOTIFICATION */
};

struct ata_drive {
    struct ata_channel *channel;
    struct block_backend *backend; /* NULL: not there */
    bool is_cdrom;
    unsigned unit;
    char serial[20], model[40], firmware[8]; /* padded with blanks */

    uint8_t reg[ATA_REGISTER_COUNT];      /* as written, then as the drive left them */
    uint8_t previous[ATA_REGISTER_COUNT]; /* the write before: 48-bit commands */
    uint8_t status, error;
    bool intrq; /* drives INTRQ while selected and not nIEN */

    /* The data port moves buffer[data_at, data_end), then data_done() goes on. */
    uint8_t *buffer;
    enum ata_data data;
    uint32_t data_at, data_end;
    void (*data_done)(struct ata_drive *drive);

    void (*dma_step)(struct ata_drive *drive); /* DMARQ: waits for, or uses, the engine */
    bool dma_window;                           /* holds one */
    const struct iovec *window;                /* the disk's */

    struct block_request request;
    struct iovec iov; /* of requests into the buffer */
    bool request_busy, pumping;
    int request_error;
    void (*next)(struct ata_drive *drive, int error);

    struct block_geometry geometry, current; /* at power-on; as INITIALIZE DEVICE PARAMETERS set */
    uint8_t multiple;                        /* sectors, 0: off */
    uint8_t transfer_mode[3];                /* selected: PIO, multiword DMA, Ultra DMA; bit masks */
    bool write_cache, look_ahead;
    uint8_t power_mode; /* as CHECK POWER MODE tells it */
    struct disk_transfer disk;
    struct packet_transfer packet;
    struct cdrom cd;
};

struct ata_channel {
    struct ata_drive drives[2];
    unsigned selected;
    uint8_t control;
    bool intrq;
    const struct ata_host_ops *host;
    void *host_ctx;
};

/* ata_channel.c */
void ata_interrupt(struct ata_drive *drive);
/* End of a command, with interrupt. */
void ata_complete(struct ata_drive *drive);
void ata_fail(struct ata_drive *drive, uint8_t error);
/* Let the guest move buffer[from, from + size) through the data port. */
void ata_pio_in(struct ata_drive *drive, uint32_t from, uint32_t size, bool interrupt,
                void (*done)(struct ata_drive *drive));
void ata_pio_out(struct ata_drive *drive, uint32_t from, uint32_t size, bool interrupt,
                 void (*done)(struct ata_drive *drive));
/* Raise DMARQ.  step() asks for a window, now and whenever the engine starts, until it ends the
 * command or submits a request. */
void ata_dma_wait(struct ata_drive *drive, void (*step)(struct ata_drive *drive));
size_t ata_dma_window(struct ata_drive *drive, bool to_memory, size_t max, size_t unit,
                      const struct iovec **iov, unsigned *count);
void ata_dma_done(struct ata_drive *drive, bool completed);
/* Ask the image; next() gets 0 or a negative errno.  iov NULL: into or out of the buffer. */
void ata_submit(struct ata_drive *drive, enum block_op op, uint64_t offset, uint64_t size,
                const struct iovec *iov, unsigned iov_count,
                void (*next)(struct ata_drive *drive, int error));
/* Give up whatever is under way; status and registers stay. */
void ata_abandon(struct ata_drive *drive);
/* The registers after a reset tell what kind of drive it is. */
void ata_signature(struct ata_drive *drive);

/* ata_disk.c, ata_packet.c: a command was written */
void ata_disk_command(struct ata_drive *drive, uint8_t command);
void ata_packet_command(struct ata_drive *drive, uint8_t command);
/* Commands that both have: SET FEATURES, power management. False: none of them. */
bool ata_common_command(struct ata_drive *drive, uint8_t command);
void ata_defaults(struct ata_drive *drive, bool power_on);

/* ata_identify.c */
void ata_identify_disk(const struct ata_drive *drive, uint8_t *data);
void ata_identify_packet(const struct ata_drive *drive, uint8_t *data);
void ata_identify_names(struct ata_drive *drive, const struct ata_drive_config *config,
                        unsigned number);
void ata_identify_geometry(struct ata_drive *drive, const struct block_geometry *wanted);
uint64_t ata_sectors(const struct ata_drive *drive);

/* ata_transfer.c */
void ata_transfer_start(struct ata_drive *drive);
void ata_transfer_trim(struct ata_drive *drive);
void ata_transfer_flush(struct ata_drive *drive);

/* ata_packet.c: the end of a packet command */
void ata_packet_reply(struct ata_drive *drive, uint32_t size, uint32_t allocated);
void ata_packet_read(struct ata_drive *drive, uint64_t lba, uint32_t sectors);
void ata_packet_read_raw(struct ata_drive *drive, uint64_t lba, uint32_t sectors, uint8_t fields);
void ata_packet_done(struct ata_drive *drive);
void ata_packet_check(struct ata_drive *drive, uint8_t key, uint8_t asc, uint8_t ascq);

/* ata_mmc.c, ata_mmc_info.c: packets are in the first 12 bytes of the buffer */
void ata_mmc_reset(struct ata_drive *drive, bool power_on);
void ata_mmc_execute(struct ata_drive *drive, const uint8_t *packet);
/* False: not a command of that file. */
bool ata_mmc_info(struct ata_drive *drive, const uint8_t *packet);
bool ata_mmc_ready(const struct ata_drive *drive); /* a medium, and the tray closed */
uint32_t ata_mmc_sectors(const struct ata_drive *drive);
/* The next "media event" code, which is then forgotten. */
uint8_t ata_mmc_take_event(struct ata_drive *drive);
extern const struct block_drive_ops ata_mmc_drive_ops;

/* Sense keys and additional codes. [MMC-3 annex F] */
enum {
    SENSE_NONE = 0,
    SENSE_NOT_READY = 2,
    SENSE_MEDIUM_ERROR = 3,
    SENSE_ILLEGAL_REQUEST = 5,
    SENSE_UNIT_ATTENTION = 6,
};
enum {
    ASC_UNRECOVERED_READ = 0x11,
    ASC_INVALID_COMMAND = 0x20,
    ASC_LBA_RANGE = 0x21,
    ASC_INVALID_FIELD = 0x24,
    ASC_MEDIUM_CHANGED = 0x28,
    ASC_RESET = 0x29,
    ASC_SAVING_PARAMETERS = 0x39,
    ASC_NO_MEDIUM = 0x3A,
    ASC_REMOVAL_PREVENTED = 0x53,
    ASC_ILLEGAL_MODE = 0x64,
};
enum { ASCQ_TRAY_CLOSED = 1, ASCQ_TRAY_OPEN = 2 };

/* Big-endian fields of packets and replies. */
static inline void ata_put16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}
static inline void ata_put32(uint8_t *at, uint32_t value)
{
    ata_put16(at, value >> 16);
    ata_put16(at + 2, value);
}
static inline uint32_t ata_get16(const uint8_t *at)
{
    return (uint32_t)at[0] << 8 | at[1];
}
static inline uint32_t ata_get24(const uint8_t *at)
{
    return (uint32_t)at[0] << 16 | ata_get16(at + 1);
}
static inline uint32_t ata_get32(const uint8_t *at)
{
    return ata_get16(at) << 16 | ata_get16(at + 2);
}

#endif
