/*
 * devices/ata_mmc_info.c -- packet commands that only tell about the drive and the disc.
 * Source: MMC-3, chapter 6 by the commands' names; 5.3 "Features"; 5.5 "Mode parameters";
 * SPC-2 7.3 "INQUIRY", 7.8 "MODE SENSE".
 *
 * Every reply is built at the start of the buffer and cut to what the guest allocated.
 */
#include <string.h>

#include "devices/ata_internal.h"

enum {
    INQUIRY = 0x12,
    MODE_SENSE_6 = 0x1A,
    READ_CAPACITY = 0x25,
    READ_TOC = 0x43,
    GET_CONFIGURATION = 0x46,
    GET_EVENT_STATUS = 0x4A,
    READ_DISC_INFORMATION = 0x51,
    READ_TRACK_INFORMATION = 0x52,
    MODE_SENSE_10 = 0x5A,
    READ_DVD_STRUCTURE = 0xAD,
    MECHANISM_STATUS = 0xBD,
};
enum { LEAD_OUT = 0xAA, CONTROL_DATA = 0x14, LEAD_IN_FRAMES = 150 };
enum { PROFILE_CD_ROM = 0x0008, PROFILE_DVD_ROM = 0x0010 };
enum { CD_SECTORS_MAX = 80 * 60 * 75 }; /* larger images are DVDs */
enum { SPEED_KB_S = 7056, BUFFER_KB = 128 };

static void illegal_field(struct ata_drive *drive)
{
    ata_packet_check(drive, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD, 0);
}

static bool is_dvd(const struct ata_drive *drive)
{
    return ata_mmc_ready(drive) && ata_mmc_sectors(drive) > CD_SECTORS_MAX;
}

/* ---- INQUIRY, capacity, status ---- */

static void inquiry(struct ata_drive *drive, const uint8_t *packet)
{
    uint8_t *reply = drive->buffer;

    if (packet[1] & 1) { /* vital product data */
        illegal_field(drive);
        return;
    }
    memset(reply, ' ', 36);
    memset(reply, 0, 8);
    reply[0] = 0x05; /* CD-ROM */
    reply[1] = 0x80; /* removable */
    reply[3] = 0x21; /* packet interface, response format 1 */
    reply[4] = 36 - 5;
    /* "RINGER DVD-ROM": the first word is the vendor, the rest the product. */
    for (unsigned i = 0, at = 8; i < sizeof(drive->model) && at < 32; i++) {
        if (drive->model[i] == ' ' && at < 16)
            at = 16;
        else
            reply[at++] = (uint8_t)drive->model[i];
    }
    memcpy(reply + 32, drive->firmware, 4);
    ata_packet_reply(drive, 36, ata_get16(packet + 3));
}

static void read_capacity(struct ata_drive *drive, const uint8_t *packet)
{
    const uint32_t sectors = ata_mmc_sectors(drive);

    (void)packet;
    ata_put32(drive->buffer, sectors != 0 ? sectors - 1 : 0);
    ata_put32(drive->buffer + 4, CD_SECTOR);
    ata_packet_reply(drive, 8, 8);
}

static void mechanism_status(struct ata_drive *drive, const uint8_t *packet)
{
    memset(drive->buffer, 0, 8);
    drive->buffer[1] = drive->cd.tray_open ? 0x10 : 0;
    ata_packet_reply(drive, 8, ata_get16(packet + 8));
}

/* [MMC-3 6.1.4]: only asked for, never waited for; only the media class. */
static void get_event_status(struct ata_drive *drive, const uint8_t *packet)
{
    enum { POLLED = 1, CLASS_MEDIA = 4, NO_EVENT_AVAILABLE = 0x80 };
    const bool media = packet[4] & 1 << CLASS_MEDIA;
    uint8_t *reply = drive->buffer;

    if (!(packet[1] & POLLED)) {
        illegal_field(drive);
        return;
    }
    memset(reply, 0, 8);
    ata_put16(reply, media ? 6 : 2);
    reply[2] = media ? CLASS_MEDIA : NO_EVENT_AVAILABLE;
    reply[3] = 1 << CLASS_MEDIA;
    if (media) {
        reply[4] = ata_mmc_take_event(drive);
        reply[5] = (uint8_t)((drive->cd.tray_open ? 1 : 0) | (ata_mmc_ready(drive) ? 2 : 0));
    }
    ata_packet_reply(drive, media ? 8 : 4, ata_get16(packet + 7));
}

/* ---- the table of contents ---- */

static void put_msf(uint8_t *at, uint32_t lba)
{
    const uint32_t frame = lba + LEAD_IN_FRAMES;

    at[0] = (uint8_t)(frame / 75 / 60);
    at[1] = (uint8_t)(frame / 75 % 60);
    at[2] = (uint8_t)(frame % 75);
}

static void put_address(uint8_t *at, uint32_t lba, bool msf)
{
    ata_put32(at, lba);
    if (msf) {
        at[0] = 0;
        put_msf(at + 1, lba);
    }
}

static uint8_t *toc_entry(uint8_t *at, uint8_t track, uint32_t lba, bool msf)
{
    at[0] = at[3] = 0;
    at[1] = CONTROL_DATA;
    at[2] = track;
    put_address(at + 4, lba, msf);
    return at + 8;
}

/* A raw entry: session, control, track 0, point, a position, 0, and the point's position. */
static uint8_t *toc_raw(uint8_t *at, uint8_t point, uint8_t minute, uint8_t second, uint8_t frame)
{
    memset(at, 0, 11);
    at[0] = 1;
    at[1] = CONTROL_DATA;
    at[3] = point;
    at[8] = minute;
    at[9] = second;
    at[10] = frame;
    return at + 11;
}

static void read_toc(struct ata_drive *drive, const uint8_t *packet)
{
    const bool msf = packet[1] & 2;
    const uint8_t format = packet[2] & 0x0F ? packet[2] & 0x0F : packet[9] >> 6;
    const uint8_t start = packet[6];
    const uint32_t end = ata_mmc_sectors(drive);
    uint8_t *const reply = drive->buffer, *at = reply + 4, lead_out[3];

    reply[2] = reply[3] = 1; /* first and last track, or session */
    switch (format) {
    case 0:
        if (start > 1 && start != LEAD_OUT) {
            illegal_field(drive);
            return;
        }
        if (start <= 1)
            at = toc_entry(at, 1, 0, msf);
        at = toc_entry(at, LEAD_OUT, end, msf);
        break;
    case 1:
        at = toc_entry(at, 1, 0, msf);
        break;
    case 2:
        put_msf(lead_out, end);
        at = toc_raw(at, 0xA0, 1, 0, 0); /* first track */
        at = toc_raw(at, 0xA1, 1, 0, 0); /* last track */
        at = toc_raw(at, 0xA2, lead_out[0], lead_out[1], lead_out[2]);
        at = toc_raw(at, 1, 0, 2, 0);
        break;
    default:
        illegal_field(drive);
        return;
    }
    ata_put16(reply, (uint32_t)(at - reply) - 2);
    ata_packet_reply(drive, (uint32_t)(at - reply), ata_get16(packet + 7));
}

static void read_disc_information(struct ata_drive *drive, const uint8_t *packet)
{
    uint8_t *reply = drive->buffer;

    if (packet[1] & 7) {
        illegal_field(drive);
        return;
    }
    memset(reply, 0, 34);
    ata_put16(reply, 32);
    reply[2] = 0x0E;                               /* complete disc, complete last session */
    reply[3] = reply[4] = reply[5] = reply[6] = 1; /* first track, sessions, tracks of the last */
    reply[7] = 0x20;                               /* for unrestricted use */
    ata_packet_reply(drive, 34, ata_get16(packet + 7));
}

static void read_track_information(struct ata_drive *drive, const uint8_t *packet)
{
    const uint32_t number = ata_get32(packet + 2), end = ata_mmc_sectors(drive);
    uint8_t *reply = drive->buffer;

    /* Asked by address (0), by track or by session. */
    if ((packet[1] & 3) == 3 || ((packet[1] & 3) == 0 ? number >= end : number != 1)) {
        illegal_field(drive);
        return;
    }
    memset(reply, 0, 36);
    ata_put16(reply, 34);
    reply[2] = reply[3] = 1;
    reply[5] = 4; /* data */
    reply[6] = 1; /* mode 1 */
    ata_put32(reply + 24, end);
    ata_packet_reply(drive, 36, ata_get16(packet + 7));
}

static void read_dvd_structure(struct ata_drive *drive, const uint8_t *packet)
{
    enum { ASC_INCOMPATIBLE_MEDIUM = 0x30, LAYER_START = 0x30000 };
    uint8_t *reply = drive->buffer;
    uint32_t size;

    if (!is_dvd(drive)) {
        ata_packet_check(drive, SENSE_ILLEGAL_REQUEST, ASC_INCOMPATIBLE_MEDIUM, 2);
        return;
    }
    memset(reply, 0, 4 + CD_SECTOR);
    switch (packet[7]) {
    case 0:              /* physical: one embossed layer */
        reply[4] = 0x01; /* DVD-ROM, version 1 */
        reply[5] = 0x0F; /* 12 cm, no maximum rate */
        reply[6] = 0x01;
        ata_put32(reply + 8, LAYER_START);
        ata_put32(reply + 12, LAYER_START + ata_mmc_sectors(drive) - 1);
        size = 4 + CD_SECTOR;
        break;
    case 1: /* copyright: none, all regions */
        size = 8;
        break;
    case 4: /* manufacturing information: empty */
        size = 4 + CD_SECTOR;
        break;
    default:
        illegal_field(drive);
        return;
    }
    ata_put16(reply, size - 2);
    ata_packet_reply(drive, size, ata_get16(packet + 8));
}

/* ---- features ---- */

static uint8_t *put_feature(uint8_t *at, uint16_t code, uint8_t flags, const uint8_t *data,
                            uint8_t size)
{
    ata_put16(at, code);
    at[2] = flags; /* version << 2 | persistent << 1 | current */
    at[3] = size;
    if (size != 0)
        memcpy(at + 4, data, size);
    return at + 4 + size;
}

/* [MMC-3 5.3, 6.1.5]: what the drive can do, now or with another disc. */
static void get_configuration(struct ata_drive *drive, const uint8_t *packet)
{
    enum { PERSISTENT = 2, CURRENT = 1, ONLY_CURRENT = 1, ONLY_ONE = 2 };
    const bool dvd = is_dvd(drive), cd = ata_mmc_ready(drive) && !dvd;
    const uint8_t profiles[] = {0, PROFILE_DVD_ROM, dvd, 0, 0, PROFILE_CD_ROM, cd, 0};
    static const uint8_t core[] = {0, 0, 0, 2, 0, 0, 0, 0};      /* on an ATAPI cable */
    static const uint8_t removable[] = {0x29, 0, 0, 0};          /* tray, eject, lock */
    static const uint8_t readable[] = {0, 0, 8, 0, 0, 16, 0, 0}; /* 2048-byte blocks */
    static const uint8_t cd_read[] = {0, 0, 0, 0};
    const struct {
        uint16_t code;
        uint8_t flags, size;
        const uint8_t *data;
    } features[] = {
        {0x0000, PERSISTENT | CURRENT, sizeof(profiles), profiles},
        {0x0001, 1 << 2 | PERSISTENT | CURRENT, sizeof(core), core},
        {0x0003, PERSISTENT | CURRENT, sizeof(removable), removable},
        {0x0010, cd || dvd, sizeof(readable), readable},
        {0x001D, cd, 0, NULL}, /* reads CDs of every kind */
        {0x001E, cd, sizeof(cd_read), cd_read},
        {0x001F, dvd, 0, NULL},                  /* reads DVDs */
        {0x0100, PERSISTENT | CURRENT, 0, NULL}, /* power management */
        {0x0105, PERSISTENT | CURRENT, 0, NULL}, /* timeouts */
    };
    const uint8_t which = packet[1] & 3;
    const uint32_t first = ata_get16(packet + 2);
    uint8_t *const reply = drive->buffer, *at = reply + 8;

    if (which == 3) {
        illegal_field(drive);
        return;
    }
    memset(reply, 0, 8);
    ata_put16(reply + 6, dvd ? PROFILE_DVD_ROM : cd ? PROFILE_CD_ROM : 0);
    for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
        if (features[i].code < first || (which == ONLY_ONE && features[i].code != first) ||
            (which == ONLY_CURRENT && !(features[i].flags & CURRENT)))
            continue;
        at = put_feature(at, features[i].code, features[i].flags, features[i].data,
                         features[i].size);
    }
    ata_put32(reply, (uint32_t)(at - reply) - 4);
    ata_packet_reply(drive, (uint32_t)(at - reply), ata_get16(packet + 7));
}

/* ---- mode pages ---- */

enum { PAGE_ERROR_RECOVERY = 0x01, PAGE_CAPABILITIES = 0x2A, PAGE_ALL = 0x3F };

static uint8_t *page_error_recovery(uint8_t *at)
{
    memset(at, 0, 8);
    at[0] = PAGE_ERROR_RECOVERY;
    at[1] = 6;
    at[3] = 5; /* retries */
    return at + 8;
}

static uint8_t *page_capabilities(const struct ata_drive *drive, uint8_t *at)
{
    memset(at, 0, 20);
    at[0] = PAGE_CAPABILITIES;
    at[1] = 18;
    at[2] = 0x0B;                              /* reads CD-R, CD-RW, DVD-ROM */
    at[4] = 0x70;                              /* multi-session, mode 2 form 1 and 2 */
    at[6] = 0x29 | (drive->cd.locked ? 2 : 0); /* tray, eject, lock */
    ata_put16(at + 8, SPEED_KB_S);
    ata_put16(at + 12, BUFFER_KB);
    ata_put16(at + 14, SPEED_KB_S);
    return at + 20;
}

static uint8_t medium_type(const struct ata_drive *drive)
{
    if (ata_mmc_ready(drive))
        return 0x01; /* a 120 mm data disc */
    return drive->cd.tray_open ? 0x71 : 0x70;
}

static void mode_sense(struct ata_drive *drive, const uint8_t *packet)
{
    const bool six = packet[0] == MODE_SENSE_6;
    const uint8_t control = packet[2] >> 6, page = packet[2] & 0x3F;
    uint8_t *const reply = drive->buffer, *const pages = reply + (six ? 4 : 8), *at = pages;

    if (control == 3) { /* saved values */
        ata_packet_check(drive, SENSE_ILLEGAL_REQUEST, ASC_SAVING_PARAMETERS, 0);
        return;
    }
    memset(reply, 0, 8);
    if (page == PAGE_ERROR_RECOVERY || page == PAGE_ALL)
        at = page_error_recovery(at);
    if (page == PAGE_CAPABILITIES || page == PAGE_ALL)
        at = page_capabilities(drive, at);
    if (at == pages) {
        illegal_field(drive);
        return;
    }
    if (control == 1) { /* which bits may be changed: none */
        for (uint8_t *p = pages; p < at; p += 2 + p[1])
            memset(p + 2, 0, p[1]);
    }
    if (six) {
        reply[0] = (uint8_t)(at - reply - 1);
        reply[1] = medium_type(drive);
    } else {
        ata_put16(reply, (uint32_t)(at - reply) - 2);
        reply[2] = medium_type(drive);
    }
    ata_packet_reply(drive, (uint32_t)(at - reply), six ? packet[4] : ata_get16(packet + 7));
}

/* ---- dispatch ---- */

bool ata_mmc_info(struct ata_drive *drive, const uint8_t *packet)
{
    static const struct {
        uint8_t opcode;
        void (*handler)(struct ata_drive *drive, const uint8_t *packet);
    } commands[] = {
        {INQUIRY, inquiry},
        {MODE_SENSE_6, mode_sense},
        {READ_CAPACITY, read_capacity},
        {READ_TOC, read_toc},
        {GET_CONFIGURATION, get_configuration},
        {GET_EVENT_STATUS, get_event_status},
        {READ_DISC_INFORMATION, read_disc_information},
        {READ_TRACK_INFORMATION, read_track_information},
        {MODE_SENSE_10, mode_sense},
        {READ_DVD_STRUCTURE, read_dvd_structure},
        {MECHANISM_STATUS, mechanism_status},
    };

    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (commands[i].opcode == packet[0]) {
            commands[i].handler(drive, packet);
            return true;
        }
    }
    return false;
}
