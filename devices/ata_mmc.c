/*
 * devices/ata_mmc.c -- a CD-ROM drive's packet commands: sense data, the tray and its lock,
 * reading. What only tells about drive and disc is in ata_mmc_info.c. Source: MMC-3 6 "Commands for
 * CD/DVD devices", 4.1.6 "Sense data"; SPC-2 for REQUEST SENSE, INQUIRY, TEST UNIT READY, PREVENT
 * ALLOW MEDIUM REMOVAL; INF-8020i.
 *
 * A disc is one data track, a session of its own.
 */
#include <string.h>

#include "devices/ata_internal.h"

enum {
    TEST_UNIT_READY = 0x00,
    REQUEST_SENSE = 0x03,
    INQUIRY = 0x12,
    START_STOP_UNIT = 0x1B,
    PREVENT_ALLOW = 0x1E,
    READ_CAPACITY = 0x25,
    READ_10 = 0x28,
    SEEK_10 = 0x2B,
    READ_TOC = 0x43,
    GET_CONFIGURATION = 0x46,
    GET_EVENT_STATUS = 0x4A,
    READ_DISC_INFORMATION = 0x51,
    READ_TRACK_INFORMATION = 0x52,
    READ_12 = 0xA8,
    READ_DVD_STRUCTURE = 0xAD,
    READ_CD_MSF = 0xB9,
    SET_CD_SPEED = 0xBB,
    MECHANISM_STATUS = 0xBD,
    READ_CD = 0xBE,
};
enum { EVENT_EJECT_REQUEST = 1, EVENT_NEW_MEDIA = 2, EVENT_REMOVAL = 3 };
enum { START = 1, LOAD_EJECT = 2 };
enum { LEAD_IN_FRAMES = 150 };
/* READ CD: expected sector type, and what of a sector is wanted. */
enum { TYPE_ANY = 0, TYPE_MODE1 = 2 };
enum { FIELD_SYNC = 0x80, FIELD_HEADER = 0x20, FIELD_USER = 0x10, FIELD_EDC = 0x08 };

/* ---- the medium ---- */

bool ata_mmc_ready(const struct ata_drive *drive)
{
    return drive->backend->inserted && !drive->cd.tray_open;
}

/* A file that ends inside a CD sector loses that part: there is nothing to fill it with. */
uint32_t ata_mmc_sectors(const struct ata_drive *drive)
{
    const uint64_t sectors = drive->backend->size_bytes / CD_SECTOR;

    return sectors < UINT32_MAX ? (uint32_t)sectors : UINT32_MAX;
}

uint8_t ata_mmc_take_event(struct ata_drive *drive)
{
    const uint8_t event = drive->cd.media_event;

    drive->cd.media_event = 0;
    return event;
}

static void medium_arrived(struct ata_drive *drive)
{
    if (!ata_mmc_ready(drive)) {
        drive->cd.media_event = EVENT_REMOVAL;
        return;
    }
    drive->cd.media_event = EVENT_NEW_MEDIA;
    drive->cd.attention_medium = true;
}

static void tray_move(struct ata_drive *drive, bool open)
{
    const struct block_backend *backend = drive->backend;

    if (drive->cd.tray_open == open)
        return;
    drive->cd.tray_open = open;
    if (backend->ops->tray_moved != NULL)
        backend->ops->tray_moved(backend->ctx, open);
    medium_arrived(drive);
}

static void no_medium(struct ata_drive *drive)
{
    ata_packet_check(drive, SENSE_NOT_READY, ASC_NO_MEDIUM,
                     drive->cd.tray_open ? ASCQ_TRAY_OPEN : ASCQ_TRAY_CLOSED);
}

static void medium_leaving(void *ctx)
{
    struct ata_drive *drive = ctx;

    if (!drive->request_busy && drive->packet.left == 0)
        return;
    ata_abandon(drive);
    no_medium(drive);
}

static void medium_changed(void *ctx)
{
    struct ata_drive *drive = ctx;

    if (drive->backend->inserted)
        drive->cd.tray_open = false;
    medium_arrived(drive);
}

static bool eject_pressed(void *ctx)
{
    struct ata_drive *drive = ctx;

    if (drive->cd.locked)
        drive->cd.media_event = EVENT_EJECT_REQUEST;
    else
        tray_move(drive, true);
    return drive->cd.tray_open;
}

const struct block_drive_ops ata_mmc_drive_ops = {
    .medium_leaving = medium_leaving,
    .medium_changed = medium_changed,
    .eject_pressed = eject_pressed,
};

void ata_mmc_reset(struct ata_drive *drive, bool power_on)
{
    drive->cd.sense_key = drive->cd.asc = drive->cd.ascq = 0;
    drive->cd.locked = false;
    if (power_on)
        drive->cd.attention_reset = true;
}

/* ---- commands ---- */

static void illegal(struct ata_drive *drive, uint8_t asc)
{
    ata_packet_check(drive, SENSE_ILLEGAL_REQUEST, asc, 0);
}

static void request_sense(struct ata_drive *drive, const uint8_t *packet)
{
    struct cdrom *cd = &drive->cd;
    uint8_t *reply = drive->buffer;

    if (cd->sense_key == SENSE_NONE && (cd->attention_reset || cd->attention_medium)) {
        cd->sense_key = SENSE_UNIT_ATTENTION;
        cd->asc = cd->attention_reset ? ASC_RESET : ASC_MEDIUM_CHANGED;
        cd->ascq = 0;
        if (cd->attention_reset)
            cd->attention_reset = false;
        else
            cd->attention_medium = false;
    }
    memset(reply, 0, SENSE_SIZE);
    reply[0] = 0x70;
    reply[2] = cd->sense_key;
    reply[7] = SENSE_SIZE - 8;
    reply[12] = cd->asc;
    reply[13] = cd->ascq;
    cd->sense_key = cd->asc = cd->ascq = 0;
    ata_packet_reply(drive, SENSE_SIZE, packet[4]);
}

static void test_unit_ready(struct ata_drive *drive, const uint8_t *packet)
{
    (void)packet;
    ata_packet_done(drive);
}

static void start_stop(struct ata_drive *drive, const uint8_t *packet)
{
    const uint8_t what = packet[4] & (START | LOAD_EJECT);

    if (packet[4] >> 4 != 0 || !(what & LOAD_EJECT)) {
        ata_packet_done(drive); /* a power condition, or the motor */
        return;
    }
    if (what == LOAD_EJECT && drive->cd.locked) {
        ata_packet_check(drive, SENSE_ILLEGAL_REQUEST, ASC_REMOVAL_PREVENTED, 2);
        return;
    }
    tray_move(drive, !(what & START));
    ata_packet_done(drive);
}

static void prevent_allow(struct ata_drive *drive, const uint8_t *packet)
{
    drive->cd.locked = packet[4] & 1;
    ata_packet_done(drive);
}

static bool range_is_good(const struct ata_drive *drive, uint32_t lba, uint32_t sectors)
{
    const uint32_t total = ata_mmc_sectors(drive);

    return lba <= total && sectors <= total - lba;
}

static void read_sectors(struct ata_drive *drive, uint32_t lba, uint32_t sectors)
{
    if (!range_is_good(drive, lba, sectors))
        illegal(drive, ASC_LBA_RANGE);
    else if (sectors == 0)
        ata_packet_done(drive);
    else
        ata_packet_read(drive, lba, sectors);
}

static void read_10(struct ata_drive *drive, const uint8_t *packet)
{
    read_sectors(drive, ata_get32(packet + 2), ata_get16(packet + 7));
}

static void read_12(struct ata_drive *drive, const uint8_t *packet)
{
    read_sectors(drive, ata_get32(packet + 2), ata_get32(packet + 6));
}

/* [MMC-3 6.1.15]; sub-channels and C2 error bits are not to be had. */
static void read_cd_range(struct ata_drive *drive, const uint8_t *packet, uint32_t lba,
                          uint32_t sectors)
{
    const uint8_t type = packet[1] >> 2 & 7;
    const uint8_t fields = packet[9] & (FIELD_SYNC | FIELD_HEADER | FIELD_USER | FIELD_EDC);

    if (packet[9] & 0x06 || packet[10] & 7)
        illegal(drive, ASC_INVALID_FIELD);
    else if (type != TYPE_ANY && type != TYPE_MODE1)
        illegal(drive, ASC_ILLEGAL_MODE);
    else if (!range_is_good(drive, lba, sectors))
        illegal(drive, ASC_LBA_RANGE);
    else if (sectors == 0 || fields == 0)
        ata_packet_done(drive);
    else if (fields == FIELD_USER)
        ata_packet_read(drive, lba, sectors);
    else
        ata_packet_read_raw(drive, lba, sectors, fields);
}

static void read_cd(struct ata_drive *drive, const uint8_t *packet)
{
    read_cd_range(drive, packet, ata_get32(packet + 2), ata_get24(packet + 6));
}

static uint32_t frames(const uint8_t *msf)
{
    return (msf[0] * 60u + msf[1]) * 75u + msf[2];
}

static void read_cd_msf(struct ata_drive *drive, const uint8_t *packet)
{
    const uint32_t start = frames(packet + 3), end = frames(packet + 6);

    if (start < LEAD_IN_FRAMES || end < start)
        illegal(drive, ASC_INVALID_FIELD);
    else
        read_cd_range(drive, packet, start - LEAD_IN_FRAMES, end - start);
}

static void seek(struct ata_drive *drive, const uint8_t *packet)
{
    if (range_is_good(drive, ata_get32(packet + 2), 1))
        ata_packet_done(drive);
    else
        illegal(drive, ASC_LBA_RANGE);
}

enum { NEEDS_MEDIUM = 1, PASSES_ATTENTION = 2 };

/* handler NULL: it is in ata_mmc_info.c. */
static const struct command {
    uint8_t opcode, flags;
    void (*handler)(struct ata_drive *drive, const uint8_t *packet);
} commands[] = {
    {TEST_UNIT_READY, NEEDS_MEDIUM, test_unit_ready},
    {REQUEST_SENSE, PASSES_ATTENTION, request_sense},
    {INQUIRY, PASSES_ATTENTION, NULL},
    {START_STOP_UNIT, 0, start_stop},
    {PREVENT_ALLOW, 0, prevent_allow},
    {READ_CAPACITY, NEEDS_MEDIUM, NULL},
    {READ_10, NEEDS_MEDIUM, read_10},
    {SEEK_10, NEEDS_MEDIUM, seek},
    {READ_TOC, NEEDS_MEDIUM, NULL},
    {GET_CONFIGURATION, PASSES_ATTENTION, NULL},
    {GET_EVENT_STATUS, PASSES_ATTENTION, NULL},
    {READ_DISC_INFORMATION, NEEDS_MEDIUM, NULL},
    {READ_TRACK_INFORMATION, NEEDS_MEDIUM, NULL},
    {READ_12, NEEDS_MEDIUM, read_12},
    {READ_DVD_STRUCTURE, NEEDS_MEDIUM, NULL},
    {READ_CD_MSF, NEEDS_MEDIUM, read_cd_msf},
    {SET_CD_SPEED, 0, test_unit_ready}, /* there is only one */
    {MECHANISM_STATUS, 0, NULL},
    {READ_CD, NEEDS_MEDIUM, read_cd},
};

/* A unit attention goes before the command, once. [SPC-2 5.7] */
static bool attention_reported(struct ata_drive *drive, uint8_t flags)
{
    struct cdrom *cd = &drive->cd;

    if (flags & PASSES_ATTENTION)
        return false;
    if (cd->attention_reset) {
        cd->attention_reset = false;
        ata_packet_check(drive, SENSE_UNIT_ATTENTION, ASC_RESET, 0);
        return true;
    }
    if (cd->attention_medium) {
        cd->attention_medium = false;
        ata_packet_check(drive, SENSE_UNIT_ATTENTION, ASC_MEDIUM_CHANGED, 0);
        return true;
    }
    return false;
}

void ata_mmc_execute(struct ata_drive *drive, const uint8_t *packet)
{
    static const struct command other = {.flags = 0}; /* MODE SENSE, or unknown */
    const struct command *command = &other;

    drive->status = STATUS_BSY;
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (commands[i].opcode == packet[0])
            command = &commands[i];
    }
    if (packet[0] != REQUEST_SENSE)
        drive->cd.sense_key = drive->cd.asc = drive->cd.ascq = 0;
    if (attention_reported(drive, command->flags))
        return;
    if (command->flags & NEEDS_MEDIUM && !ata_mmc_ready(drive))
        no_medium(drive);
    else if (command->handler != NULL)
        command->handler(drive, packet);
    else if (!ata_mmc_info(drive, packet))
        illegal(drive, ASC_INVALID_COMMAND);
}
