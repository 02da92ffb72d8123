/*
 * devices/ata_identify.c -- what drives say of themselves: IDENTIFY DEVICE, IDENTIFY PACKET DEVICE,
 * names, and a disk's geometry.
 * Source: ATA-6 8.15 "IDENTIFY DEVICE", 8.16 "IDENTIFY PACKET DEVICE"; ATA8-ACS for words 69, 105
 * and 169 (TRIM).
 */
#include <stdio.h>
#include <string.h>

#include "devices/ata_internal.h"

enum {
    LBA28_SECTORS_MAX = 0x0FFFFFFF,
    CYLINDERS_MAX = 16383,
    HEADS = 16,
    SECTORS_PER_TRACK = 63,
    CYCLE_TIME_NS = 120,
    TRIM_BLOCKS_MAX = 8, /* sectors of ranges in one DATA SET MANAGEMENT */
};

struct word {
    uint8_t index;
    uint16_t value;
};

static void put_word(uint8_t *data, unsigned word, uint32_t value)
{
    data[2 * word] = (uint8_t)value;
    data[2 * word + 1] = (uint8_t)(value >> 8);
}

/* Strings have the first character of each pair in the high byte. */
static void put_string(uint8_t *data, unsigned word, const char *text, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        data[2 * word + (i ^ 1)] = (uint8_t)text[i];
}

static void put_words(uint8_t *data, const struct word *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        put_word(data, words[i].index, words[i].value);
}

static void put_names(const struct ata_drive *drive, uint8_t *data)
{
    put_string(data, 10, drive->serial, sizeof(drive->serial));
    put_string(data, 23, drive->firmware, sizeof(drive->firmware));
    put_string(data, 27, drive->model, sizeof(drive->model));
}

/* Words 63 and 88: what is supported, and what is selected. */
static void put_modes(const struct ata_drive *drive, uint8_t *data)
{
    put_word(data, 63, 0x07 | (uint32_t)drive->transfer_mode[1] << 8);
    put_word(data, 88, 0x3F | (uint32_t)drive->transfer_mode[2] << 8);
}

/* Word 255: signature, and what makes the sum of all bytes 0. */
static void put_integrity(uint8_t *data)
{
    uint8_t sum = 0;

    data[510] = 0xA5;
    for (unsigned i = 0; i < 511; i++)
        sum = (uint8_t)(sum + data[i]);
    data[511] = (uint8_t)-sum;
}

uint64_t ata_sectors(const struct ata_drive *drive)
{
    return drive->backend->size_bytes / ATA_SECTOR;
}

void ata_identify_disk(const struct ata_drive *drive, uint8_t *data)
{
    static const struct word words[] = {
        {0, 0x0040}, /* fixed disk */
        {20, 3},     /* buffer: dual ported, with look-ahead (obsolete, but looked at) */
        {21, 512},   /* buffer size in sectors (obsolete) */
        {22, 4},     /* ECC bytes (obsolete) */
        {47, 0x8000 | ATA_MULTIPLE_MAX},
        {48, 1},      /* 32-bit data port accesses (obsolete) */
        {49, 0x2F00}, /* standby timer, IORDY, LBA, DMA */
        {50, 0x4000},
        {51, 0x0200}, /* PIO mode 2 without IORDY (obsolete) */
        {52, 0x0200}, /* (obsolete) */
        {53, 7},      /* words 54-58, 64-70 and 88 are valid */
        {64, 3},      /* PIO modes 3 and 4 */
        {65, CYCLE_TIME_NS},
        {66, CYCLE_TIME_NS},
        {67, CYCLE_TIME_NS},
        {68, CYCLE_TIME_NS},
        {80, 0x00F0}, /* ATA-4 to ATA-7 */
        {81, 0x0016},
        {82,
         0x7068}, /* NOP, READ BUFFER, WRITE BUFFER, look-ahead, write cache, power management */
        {83, 0x7400}, /* FLUSH CACHE (EXT), 48-bit addresses */
        {84, 0x4000},
        {86, 0x3400},
        {87, 0x4000},
        {93, 0x6001}, /* 80-conductor cable, self-test passed */
    };
    const uint64_t sectors = ata_sectors(drive);
    const struct block_geometry *chs = &drive->current;
    const uint32_t chs_sectors = chs->cylinders * chs->heads * chs->sectors;

    memset(data, 0, ATA_SECTOR);
    put_words(data, words, sizeof(words) / sizeof(words[0]));
    put_names(drive, data);
    put_modes(drive, data);
    put_word(data, 1, drive->geometry.cylinders);
    put_word(data, 3, drive->geometry.heads);
    put_word(data, 6, drive->geometry.sectors);
    put_word(data, 54, chs->cylinders);
    put_word(data, 55, chs->heads);
    put_word(data, 56, chs->sectors);
    put_word(data, 57, chs_sectors);
    put_word(data, 58, chs_sectors >> 16);
    put_word(data, 59, drive->multiple != 0 ? 0x0100u | drive->multiple : 0);
    put_word(data, 60, sectors < LBA28_SECTORS_MAX ? (uint32_t)sectors : LBA28_SECTORS_MAX);
    put_word(data, 61, (sectors < LBA28_SECTORS_MAX ? (uint32_t)sectors : LBA28_SECTORS_MAX) >> 16);
    put_word(data, 85, 0x7008 | (drive->write_cache ? 0x20 : 0) | (drive->look_ahead ? 0x40 : 0));
    for (unsigned i = 0; i < 4; i++)
        put_word(data, 100 + i, (uint32_t)(sectors >> (16 * i)));
    if (drive->backend->can_discard) {
        put_word(data, 105, TRIM_BLOCKS_MAX);
        put_word(data, 169, 1);
    }
    put_integrity(data);
}

void ata_identify_packet(const struct ata_drive *drive, uint8_t *data)
{
    static const struct word words[] = {
        {0, 0x85C0},  /* packet device, CD-ROM, removable, DRQ within 50 us, 12-byte packets */
        {49, 0x0F00}, /* IORDY, LBA, DMA */
        {50, 0x4000},
        {51, 0x0200},
        {53, 7},
        {64, 3},
        {65, CYCLE_TIME_NS},
        {66, CYCLE_TIME_NS},
        {67, CYCLE_TIME_NS},
        {68, CYCLE_TIME_NS},
        {71, 30}, /* us from PACKET to bus release (not used) and from SERVICE to BSY clear */
        {72, 30},
        {80, 0x00F0},
        {81, 0x0016},
        {82, 0x4218}, /* NOP, DEVICE RESET, PACKET, power management */
        {83, 0x4000},
        {84, 0x4000},
        {85, 0x4218},
        {87, 0x4000},
        {93, 0x6001},
    };

    memset(data, 0, ATA_SECTOR);
    put_words(data, words, sizeof(words) / sizeof(words[0]));
    put_names(drive, data);
    put_modes(drive, data);
    put_integrity(data);
}

/* ---- names ---- */

static void blank_padded(char *to, size_t size, const char *text)
{
    memset(to, ' ', size);
    for (size_t i = 0; i < size && text[i] != '\0'; i++)
        to[i] = text[i];
}

void ata_identify_names(struct ata_drive *drive, const struct ata_drive_config *config,
                        unsigned number)
{
    char serial[32];

    snprintf(serial, sizeof(serial), "RG%05u", 1 + 2 * number + drive->unit);
    blank_padded(drive->serial, sizeof(drive->serial),
                 config->serial != NULL ? config->serial : serial);
    if (config->model != NULL)
        blank_padded(drive->model, sizeof(drive->model), config->model);
    else
        blank_padded(drive->model, sizeof(drive->model),
                     drive->is_cdrom ? "RINGER DVD-ROM" : "RINGER HARDDISK");
    blank_padded(drive->firmware, sizeof(drive->firmware), "1.0");
}

/* ---- geometry ---- */

/*
 * The heads and sectors that whoever partitioned the disk had in mind: a partition's last sector
 * usually ends a cylinder.  [The partition table at 0x1BE: 16 bytes each, the end's head at 5, its
 * sector in bits 5:0 of 6]
 */
static bool geometry_from_table(struct block_backend *backend, struct block_geometry *geometry)
{
    uint8_t sector[ATA_SECTOR];
    const uint64_t total = backend->size_bytes / ATA_SECTOR;

    if (total == 0 || block_read_sync(backend, 0, sector, sizeof(sector)) != 0 ||
        sector[510] != 0x55 || sector[511] != 0xAA)
        return false;
    for (unsigned i = 0; i < 4; i++) {
        const uint8_t *entry = sector + 0x1BE + 16 * i;
        const uint32_t heads = entry[5] + 1u, sectors = entry[6] & 0x3Fu;
        const bool used = (entry[12] | entry[13] | entry[14] | entry[15]) != 0;

        if (!used || heads < 2 || sectors == 0)
            continue;
        if (total / (heads * sectors) == 0 || total / (heads * sectors) > CYLINDERS_MAX)
            continue;
        *geometry = (struct block_geometry){
            .cylinders = (uint32_t)(total / (heads * sectors)),
            .heads = heads,
            .sectors = sectors,
        };
        return true;
    }
    return false;
}

static void geometry_from_size(uint64_t sectors, struct block_geometry *geometry)
{
    uint64_t cylinders = sectors / (HEADS * SECTORS_PER_TRACK);

    if (cylinders > CYLINDERS_MAX)
        cylinders = CYLINDERS_MAX;
    *geometry = (struct block_geometry){
        .cylinders = cylinders < 2 ? 2 : (uint32_t)cylinders,
        .heads = HEADS,
        .sectors = SECTORS_PER_TRACK,
    };
}

void ata_identify_geometry(struct ata_drive *drive, const struct block_geometry *wanted)
{
    struct block_geometry found;

    if (wanted->cylinders != 0 && wanted->heads != 0 && wanted->sectors != 0 &&
        wanted->cylinders <= 65535 && wanted->heads <= HEADS && wanted->sectors <= 255)
        drive->geometry = *wanted;
    else if (geometry_from_table(drive->backend, &found) && found.heads <= HEADS)
        drive->geometry = found; /* else the table counts translated heads */
    else
        geometry_from_size(ata_sectors(drive), &drive->geometry);
    drive->current = drive->geometry;
}

bool ata_geometry(const struct ata_channel *channel, unsigned unit, struct block_geometry *geometry)
{
    const struct ata_drive *drive = &channel->drives[unit];

    if (drive->backend == NULL || drive->is_cdrom)
        return false;
    *geometry = drive->geometry;
    return true;
}

unsigned ata_translation(const struct ata_channel *channel, unsigned unit)
{
    const struct ata_drive *drive = &channel->drives[unit];

    if (drive->backend == NULL || drive->is_cdrom || drive->geometry.cylinders <= 1024)
        return 0;
    return 1;
}
