/*
 * devices/ata_disk.c -- an ATA disk's commands.
 * Source: ATA-6, 8 "Command descriptions"; ATA-3 for what later standards dropped and old software
 * still uses (RECALIBRATE, SEEK, INITIALIZE DEVICE PARAMETERS, the retries' odd opcodes); ATA8-ACS
 * for DATA SET MANAGEMENT.
 *
 * Deviation: SLEEP is STANDBY: any command wakes the disk, not only a reset.
 */
#include "devices/ata_internal.h"

enum {
    COMMAND_NOP = 0x00,
    COMMAND_DATA_SET_MANAGEMENT = 0x06,
    COMMAND_RECALIBRATE = 0x10, /* 10h..1Fh, likewise SEEK */
    COMMAND_READ_SECTORS = 0x20,
    COMMAND_READ_SECTORS_NO_RETRY = 0x21,
    COMMAND_READ_SECTORS_EXT = 0x24,
    COMMAND_READ_DMA_EXT = 0x25,
    COMMAND_READ_NATIVE_MAX_EXT = 0x27,
    COMMAND_READ_MULTIPLE_EXT = 0x29,
    COMMAND_WRITE_SECTORS = 0x30,
    COMMAND_WRITE_SECTORS_NO_RETRY = 0x31,
    COMMAND_WRITE_SECTORS_EXT = 0x34,
    COMMAND_WRITE_DMA_EXT = 0x35,
    COMMAND_WRITE_MULTIPLE_EXT = 0x39,
    COMMAND_WRITE_VERIFY = 0x3C,
    COMMAND_VERIFY = 0x40,
    COMMAND_VERIFY_NO_RETRY = 0x41,
    COMMAND_VERIFY_EXT = 0x42,
    COMMAND_SEEK = 0x70,
    COMMAND_INITIALIZE_PARAMETERS = 0x91,
    COMMAND_READ_MULTIPLE = 0xC4,
    COMMAND_WRITE_MULTIPLE = 0xC5,
    COMMAND_SET_MULTIPLE = 0xC6,
    COMMAND_READ_DMA = 0xC8,
    COMMAND_READ_DMA_NO_RETRY = 0xC9,
    COMMAND_WRITE_DMA = 0xCA,
    COMMAND_WRITE_DMA_NO_RETRY = 0xCB,
    COMMAND_READ_BUFFER = 0xE4,
    COMMAND_FLUSH_CACHE = 0xE7,
    COMMAND_WRITE_BUFFER = 0xE8,
    COMMAND_FLUSH_CACHE_EXT = 0xEA,
    COMMAND_IDENTIFY = 0xEC,
    COMMAND_SET_FEATURES = 0xEF,
    COMMAND_READ_NATIVE_MAX = 0xF8,
};
/* Power management: E0h..E6h, and the same at 94h..99h in ATA-3. */
enum {
    COMMAND_STANDBY_IMMEDIATE = 0xE0,
    COMMAND_IDLE_IMMEDIATE = 0xE1,
    COMMAND_STANDBY = 0xE2,
    COMMAND_IDLE = 0xE3,
    COMMAND_CHECK_POWER = 0xE5,
    COMMAND_SLEEP = 0xE6,
    COMMAND_OLD_STANDBY_IMMEDIATE = 0x94,
    COMMAND_OLD_IDLE_IMMEDIATE = 0x95,
    COMMAND_OLD_STANDBY = 0x96,
    COMMAND_OLD_IDLE = 0x97,
    COMMAND_OLD_CHECK_POWER = 0x98,
    COMMAND_OLD_SLEEP = 0x99,
};
enum { POWER_STANDBY = 0x00, POWER_IDLE = 0x80, POWER_ACTIVE = 0xFF };
/* SET FEATURES, in the features register. [ATA-6 8.46] */
enum {
    FEATURE_WRITE_CACHE_ON = 0x02,
    FEATURE_TRANSFER_MODE = 0x03,
    FEATURE_LOOK_AHEAD_OFF = 0x55,
    FEATURE_REVERT_OFF = 0x66,
    FEATURE_WRITE_CACHE_OFF = 0x82,
    FEATURE_LOOK_AHEAD_ON = 0xAA,
    FEATURE_REVERT_ON = 0xCC,
};
enum { PIO_MODE_MAX = 4, DMA_MODE_MAX = 2, UDMA_MODE_MAX = 5 };
enum { TRIM = 0x01 };

#define DEFAULT_UDMA  0 /* none selected until SET FEATURES; multiword DMA mode 2 is */
#define DEFAULT_MWDMA (1u << DMA_MODE_MAX)

void ata_defaults(struct ata_drive *drive, bool power_on)
{
    drive->multiple = ATA_MULTIPLE_MAX;
    drive->transfer_mode[0] = 1u << PIO_MODE_MAX;
    drive->transfer_mode[1] = DEFAULT_MWDMA;
    drive->transfer_mode[2] = DEFAULT_UDMA;
    drive->write_cache = true;
    drive->look_ahead = true;
    drive->power_mode = POWER_ACTIVE;
    drive->current = drive->geometry;
    if (drive->is_cdrom)
        ata_mmc_reset(drive, power_on);
}

/* ---- commands that disks and CD-ROMs share ---- */

/* Sector count: 7:3 kind of mode, 2:0 the mode. [ATA-6 8.46.11] */
static bool transfer_mode_set(struct ata_drive *drive, uint8_t value)
{
    const unsigned mode = value & 7;

    switch (value >> 3) {
    case 0: /* PIO default, with or without IORDY */
        return mode <= 1;
    case 1:
        if (mode > PIO_MODE_MAX)
            return false;
        drive->transfer_mode[0] = (uint8_t)(1u << mode);
        return true;
    case 4:
        if (mode > DMA_MODE_MAX)
            return false;
        drive->transfer_mode[1] = (uint8_t)(1u << mode);
        drive->transfer_mode[2] = 0;
        return true;
    case 8:
        if (mode > UDMA_MODE_MAX)
            return false;
        drive->transfer_mode[1] = 0;
        drive->transfer_mode[2] = (uint8_t)(1u << mode);
        return true;
    default:
        return false;
    }
}

static bool feature_set(struct ata_drive *drive)
{
    switch (drive->reg[ATA_FEATURES]) {
    case FEATURE_TRANSFER_MODE:
        return transfer_mode_set(drive, drive->reg[ATA_COUNT]);
    case FEATURE_REVERT_OFF:
    case FEATURE_REVERT_ON:
        return true;
    case FEATURE_LOOK_AHEAD_OFF:
    case FEATURE_LOOK_AHEAD_ON:
        drive->look_ahead = drive->reg[ATA_FEATURES] == FEATURE_LOOK_AHEAD_ON;
        return !drive->is_cdrom;
    case FEATURE_WRITE_CACHE_ON:
        drive->write_cache = true;
        return !drive->is_cdrom;
    default:
        return false;
    }
}

static void set_features(struct ata_drive *drive)
{
    if (drive->reg[ATA_FEATURES] == FEATURE_WRITE_CACHE_OFF && !drive->is_cdrom) {
        drive->write_cache = false;
        ata_transfer_flush(drive);
    } else if (feature_set(drive)) {
        ata_complete(drive);
    } else {
        ata_fail(drive, ERROR_ABRT);
    }
}

bool ata_common_command(struct ata_drive *drive, uint8_t command)
{
    switch (command) {
    case COMMAND_NOP: /* always ends in an error; subcommand 0 is for drives with overlap too */
        ata_fail(drive, ERROR_ABRT);
        return true;
    case COMMAND_SET_FEATURES:
        set_features(drive);
        return true;
    case COMMAND_STANDBY_IMMEDIATE:
    case COMMAND_OLD_STANDBY_IMMEDIATE:
    case COMMAND_STANDBY:
    case COMMAND_OLD_STANDBY:
    case COMMAND_SLEEP:
    case COMMAND_OLD_SLEEP:
        drive->power_mode = POWER_STANDBY;
        ata_complete(drive);
        return true;
    case COMMAND_IDLE_IMMEDIATE:
    case COMMAND_OLD_IDLE_IMMEDIATE:
    case COMMAND_IDLE:
    case COMMAND_OLD_IDLE:
        drive->power_mode = POWER_IDLE;
        ata_complete(drive);
        return true;
    case COMMAND_CHECK_POWER:
    case COMMAND_OLD_CHECK_POWER:
        drive->reg[ATA_COUNT] = drive->power_mode;
        ata_complete(drive);
        return true;
    default:
        return false;
    }
}

/* ---- addresses ---- */

/* Registers to LBA; false when the CHS address names no sector. */
static bool address_read(const struct ata_drive *drive, bool extended, uint64_t *lba)
{
    const uint8_t *reg = drive->reg, *previous = drive->previous;
    const uint32_t low =
        reg[ATA_LBA_LOW] | (uint32_t)reg[ATA_LBA_MID] << 8 | (uint32_t)reg[ATA_LBA_HIGH] << 16;
    const struct block_geometry *chs = &drive->current;
    const uint32_t head = reg[ATA_DEVICE] & 0x0F, sector = reg[ATA_LBA_LOW];

    if (extended) {
        *lba = low | (uint64_t)previous[ATA_LBA_LOW] << 24 | (uint64_t)previous[ATA_LBA_MID] << 32 |
               (uint64_t)previous[ATA_LBA_HIGH] << 40;
        return true;
    }
    if (reg[ATA_DEVICE] & DEVICE_LBA) {
        *lba = low | (uint32_t)(reg[ATA_DEVICE] & 0x0F) << 24;
        return true;
    }
    *lba = ((uint64_t)(low >> 8) * chs->heads + head) * chs->sectors + sector - 1;
    return head < chs->heads && sector >= 1 && sector <= chs->sectors;
}

/* Sectors of the command: 0 means as many as the register can count, and one more. */
static uint32_t count_read(const struct ata_drive *drive, bool extended)
{
    uint32_t count = drive->reg[ATA_COUNT];

    if (!extended)
        return count != 0 ? count : 256;
    count |= (uint32_t)drive->previous[ATA_COUNT] << 8;
    return count != 0 ? count : 65536;
}

/* ---- data commands ---- */

enum { WRITE = 1, DMA = 2, MULTIPLE = 4, EXTENDED = 8, VERIFY = 16 };

static void transfer(struct ata_drive *drive, unsigned flags)
{
    struct disk_transfer *disk = &drive->disk;

    drive->power_mode = POWER_ACTIVE;
    *disk = (struct disk_transfer){
        .block = flags & MULTIPLE ? drive->multiple : 1,
        .write = (flags & WRITE) != 0,
        .dma = (flags & DMA) != 0,
        .verify = (flags & VERIFY) != 0,
        .extended = (flags & EXTENDED) != 0,
    };
    disk->left = count_read(drive, disk->extended);
    if (disk->block == 0 || (disk->write && drive->backend->read_only))
        ata_fail(drive, ERROR_ABRT);
    else if (!address_read(drive, disk->extended, &disk->lba))
        ata_fail(drive, ERROR_IDNF);
    else
        ata_transfer_start(drive);
}

static void seek(struct ata_drive *drive)
{
    uint64_t lba;

    if (address_read(drive, false, &lba) && lba < ata_sectors(drive))
        ata_complete(drive);
    else
        ata_fail(drive, ERROR_IDNF);
}

static void data_set_management(struct ata_drive *drive)
{
    drive->power_mode = POWER_ACTIVE;
    if (!(drive->reg[ATA_FEATURES] & TRIM) || !drive->backend->can_discard ||
        drive->backend->read_only)
        ata_fail(drive, ERROR_ABRT);
    else
        ata_transfer_trim(drive);
}

/* ---- commands about the drive ---- */

static void phase_end(struct ata_drive *drive)
{
    drive->status = STATUS_READY;
}

static void identify(struct ata_drive *drive)
{
    ata_identify_disk(drive, drive->buffer);
    ata_pio_in(drive, 0, ATA_SECTOR, true, phase_end);
}

static void set_multiple(struct ata_drive *drive)
{
    const uint8_t count = drive->reg[ATA_COUNT];

    if (count > ATA_MULTIPLE_MAX || (count & (count - 1)) != 0) {
        ata_fail(drive, ERROR_ABRT);
        return;
    }
    drive->multiple = count;
    ata_complete(drive);
}

static void initialize_parameters(struct ata_drive *drive)
{
    const uint32_t heads = (drive->reg[ATA_DEVICE] & 0x0Fu) + 1, sectors = drive->reg[ATA_COUNT];
    uint64_t cylinders;

    if (sectors == 0) {
        ata_fail(drive, ERROR_ABRT);
        return;
    }
    cylinders = ata_sectors(drive) / (heads * sectors);
    drive->current = (struct block_geometry){
        .cylinders = cylinders < 65535 ? (uint32_t)cylinders : 65535,
        .heads = heads,
        .sectors = sectors,
    };
    ata_complete(drive);
}

/* The last sector's address, as the addressing of the command has it. */
static void read_native_max(struct ata_drive *drive, bool extended)
{
    const uint64_t last = ata_sectors(drive) - 1,
                   most = extended ? UINT64_C(0xFFFFFFFFFFFF) : 0x0FFFFFFF;
    const uint64_t shown = last < most ? last : most;

    if (!(drive->reg[ATA_DEVICE] & DEVICE_LBA)) {
        ata_fail(drive, ERROR_ABRT);
        return;
    }
    for (unsigned i = 0; i < 3; i++) {
        drive->reg[ATA_LBA_LOW + i] = (uint8_t)(shown >> (8 * i));
        if (extended)
            drive->previous[ATA_LBA_LOW + i] = (uint8_t)(shown >> (24 + 8 * i));
    }
    if (!extended)
        drive->reg[ATA_DEVICE] = (uint8_t)((drive->reg[ATA_DEVICE] & 0xF0) | (shown >> 24 & 0x0F));
    ata_complete(drive);
}

static bool about_drive(struct ata_drive *drive, uint8_t command)
{
    switch (command) {
    case COMMAND_IDENTIFY:
        identify(drive);
        return true;
    case COMMAND_SET_MULTIPLE:
        set_multiple(drive);
        return true;
    case COMMAND_INITIALIZE_PARAMETERS:
        initialize_parameters(drive);
        return true;
    case COMMAND_READ_NATIVE_MAX:
    case COMMAND_READ_NATIVE_MAX_EXT:
        read_native_max(drive, command == COMMAND_READ_NATIVE_MAX_EXT);
        return true;
    case COMMAND_READ_BUFFER:
        ata_pio_in(drive, 0, ATA_SECTOR, true, phase_end);
        return true;
    case COMMAND_WRITE_BUFFER:
        ata_pio_out(drive, 0, ATA_SECTOR, false, ata_complete);
        return true;
    default:
        return false;
    }
}

static bool about_data(struct ata_drive *drive, uint8_t command)
{
    static const struct {
        uint8_t command, flags;
    } transfers[] = {
        {COMMAND_READ_SECTORS, 0},
        {COMMAND_READ_SECTORS_NO_RETRY, 0},
        {COMMAND_READ_SECTORS_EXT, EXTENDED},
        {COMMAND_READ_DMA_EXT, DMA | EXTENDED},
        {COMMAND_READ_MULTIPLE_EXT, MULTIPLE | EXTENDED},
        {COMMAND_WRITE_SECTORS, WRITE},
        {COMMAND_WRITE_SECTORS_NO_RETRY, WRITE},
        {COMMAND_WRITE_SECTORS_EXT, WRITE | EXTENDED},
        {COMMAND_WRITE_DMA_EXT, WRITE | DMA | EXTENDED},
        {COMMAND_WRITE_MULTIPLE_EXT, WRITE | MULTIPLE | EXTENDED},
        {COMMAND_WRITE_VERIFY, WRITE},
        {COMMAND_VERIFY, VERIFY},
        {COMMAND_VERIFY_NO_RETRY, VERIFY},
        {COMMAND_VERIFY_EXT, VERIFY | EXTENDED},
        {COMMAND_READ_MULTIPLE, MULTIPLE},
        {COMMAND_WRITE_MULTIPLE, WRITE | MULTIPLE},
        {COMMAND_READ_DMA, DMA},
        {COMMAND_READ_DMA_NO_RETRY, DMA},
        {COMMAND_WRITE_DMA, WRITE | DMA},
        {COMMAND_WRITE_DMA_NO_RETRY, WRITE | DMA},
    };

    for (unsigned i = 0; i < sizeof(transfers) / sizeof(transfers[0]); i++) {
        if (transfers[i].command == command) {
            transfer(drive, transfers[i].flags);
            return true;
        }
    }
    switch (command) {
    case COMMAND_FLUSH_CACHE:
    case COMMAND_FLUSH_CACHE_EXT:
        ata_transfer_flush(drive);
        return true;
    case COMMAND_DATA_SET_MANAGEMENT:
        data_set_management(drive);
        return true;
    default:
        return false;
    }
}

void ata_disk_command(struct ata_drive *drive, uint8_t command)
{
    if (about_data(drive, command) || about_drive(drive, command) ||
        ata_common_command(drive, command))
        return;
    if ((command & 0xF0) == COMMAND_RECALIBRATE)
        ata_complete(drive);
    else if ((command & 0xF0) == COMMAND_SEEK)
        seek(drive);
    else
        ata_fail(drive, ERROR_ABRT);
}
