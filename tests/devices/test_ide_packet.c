/*
 * tests/devices/test_ide_packet.c -- the ATAPI CD-ROM: the packet protocol, every command, sense
 * data, the tray, media that change.
 */
#include "ide_rig.h"

enum { LEAD_OUT_LBA = CD_SECTORS };
enum { DATA = 0x20000 };
enum { NOT_READY = 2, MEDIUM_ERROR = 3, ILLEGAL = 5, ATTENTION = 6 };
enum { ACTIVE = 1, INTERRUPT = 4 };

static struct rig rig;

#define PACKET(...) ((const uint8_t[12]){__VA_ARGS__})

static const uint8_t ready[12] = {0x00};
static const uint8_t eject[12] = {0x1B, 0, 0, 0, 2};
static const uint8_t load[12] = {0x1B, 0, 0, 0, 3};

static int setup(void **state)
{
    (void)state;
    rig_open(&rig);
    assert_int_equal(packet_simple(&rig, ready), ATTENTION); /* power-on */
    assert_int_equal(packet_sense(&rig), ATTENTION << 16 | 0x2900);
    assert_int_equal(packet_simple(&rig, ready), 0);
    rig.irq[1].rises = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_close(&rig);
    return 0;
}

/* A packet command by PIO; bytes of its reply. */
static unsigned run(const uint8_t *bytes, uint8_t *reply, unsigned most)
{
    packet(&rig, bytes, 0xFFFF, false);
    memset(reply, 0xEE, most);
    return packet_data(&rig, reply, most);
}

static void expect_refused(const uint8_t *bytes, uint32_t sense)
{
    assert_int_equal(packet_simple(&rig, bytes), sense >> 16);
    assert_int_equal(packet_sense(&rig), sense);
}

static void expect_cd(const uint8_t *data, unsigned lba, unsigned count)
{
    assert_memory_equal(data, rig.cd.data + lba * CD_SECTOR_SIZE, count * CD_SECTOR_SIZE);
}

/* ---- the ATA side ---- */

static void test_identify(void **state)
{
    uint8_t data[SECTOR], sum = 0;

    (void)state;
    put(&rig, SECONDARY, REG_DEVICE, 0xA0);
    put(&rig, SECONDARY, REG_STATUS, 0xEC); /* for disks: refused, with the signature */
    assert_int_equal(get(&rig, SECONDARY, REG_STATUS), READY | ERR);
    assert_int_equal(get(&rig, SECONDARY, REG_HIGH), 0xEB);
    put(&rig, SECONDARY, REG_STATUS, 0xA1);
    assert_int_equal(get(&rig, SECONDARY, REG_STATUS), READY | DRQ);
    data_in(&rig, SECONDARY, data, SECTOR);
    assert_int_equal(get(&rig, SECONDARY, REG_STATUS), READY);
    assert_int_equal(data[0] | data[1] << 8, 0x85C0);
    assert_memory_equal(data + 54, "IRGNRED DVR-MO", 14);
    for (unsigned i = 0; i < SECTOR; i++)
        sum = (uint8_t)(sum + data[i]);
    assert_int_equal(sum, 0);
}

static void test_device_reset(void **state)
{
    (void)state;
    rig.cd.delayed = true;
    packet(&rig, PACKET(0x28, 0, 0, 0, 0, 1, 0, 0, 1), 2048, false);
    assert_int_equal(alternate(&rig, SECONDARY), BSY);
    put(&rig, SECONDARY, REG_STATUS, 0x08);
    assert_int_equal(rig.cd.cancels, 1);
    assert_int_equal(get(&rig, SECONDARY, REG_STATUS), 0);
    assert_int_equal(get(&rig, SECONDARY, REG_MID), 0x14);
    rig.cd.delayed = false;
    assert_int_equal(packet_simple(&rig, ready), 0);
}

static void test_shared_ata_commands(void **state)
{
    static const uint8_t fine[] = {0xE0, 0xE1, 0xE5, 0xE6};
    static const uint8_t refused[] = {0x00, 0x20, 0x25, 0xC8, 0xE7, 0x91, 0xC6, 0xA2};

    (void)state;
    put(&rig, SECONDARY, REG_DEVICE, 0xA0);
    for (unsigned i = 0; i < sizeof(fine); i++) {
        put(&rig, SECONDARY, REG_STATUS, fine[i]);
        assert_int_equal(get(&rig, SECONDARY, REG_STATUS), READY);
    }
    for (unsigned i = 0; i < sizeof(refused); i++) {
        put(&rig, SECONDARY, REG_STATUS, refused[i]);
        assert_int_equal(get(&rig, SECONDARY, REG_STATUS), READY | ERR);
        assert_int_equal(get(&rig, SECONDARY, REG_ERROR), 4);
    }
    put(&rig, SECONDARY, REG_ERROR, 2); /* overlap */
    put(&rig, SECONDARY, REG_STATUS, 0xA0);
    assert_int_equal(get(&rig, SECONDARY, REG_ERROR), 4);
    put(&rig, SECONDARY, REG_ERROR, 3);
    put(&rig, SECONDARY, REG_COUNT, 0x22);
    put(&rig, SECONDARY, REG_STATUS, 0xEF);
    assert_int_equal(get(&rig, SECONDARY, REG_STATUS), READY);
    put(&rig, SECONDARY, REG_ERROR, 0x82); /* a write cache it has not */
    put(&rig, SECONDARY, REG_STATUS, 0xEF);
    assert_int_equal(get(&rig, SECONDARY, REG_STATUS), READY | ERR);
}

/* ---- data ---- */

static void test_read_10_in_blocks_of_the_limit(void **state)
{
    static uint8_t data[5 * CD_SECTOR_SIZE];
    static const struct {
        uint16_t limit;
        unsigned interrupts; /* data blocks, and the end */
    } cases[] = {{2048, 6}, {5000, 4}, {0xFFFF, 2}, {512, 21}, {1000, 12}, {1, 0}};

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]) - 1; i++) {
        rig.irq[1].rises = 0;
        packet(&rig, PACKET(0x28, 0, 0, 0, 0, 7, 0, 0, 5), cases[i].limit, false);
        assert_int_equal(packet_data(&rig, data, sizeof(data)), sizeof(data));
        expect_cd(data, 7, 5);
        assert_int_equal(get(&rig, SECONDARY, REG_STATUS), READY);
        assert_int_equal(rig.irq[1].rises, cases[i].interrupts);
    }
    packet(&rig, PACKET(0x28, 0, 0, 0, 0, 7, 0, 0, 5), 1, false); /* nothing even fits */
    assert_int_equal(get(&rig, SECONDARY, REG_STATUS), READY | ERR);
    assert_int_equal(get(&rig, SECONDARY, REG_ERROR), 4);
    packet(&rig, ready, 0, false); /* no data: no limit needed */
    assert_int_equal(get(&rig, SECONDARY, REG_STATUS), READY);
}

static void test_read_12_beyond_the_buffer(void **state)
{
    static uint8_t data[300 * CD_SECTOR_SIZE];

    (void)state;
    packet(&rig, PACKET(0xA8, 0, 0, 0, 0, 100, 0, 0, 1, 44), 0xF800, false);
    assert_int_equal(packet_data(&rig, data, sizeof(data)), sizeof(data));
    expect_cd(data, 100, 300);
}

static void test_read_by_dma(void **state)
{
    (void)state;
    dma_prepare(&rig, SECONDARY);
    descriptor(&rig, 0, DATA, 3 * CD_SECTOR_SIZE + 10, 0);
    descriptor(&rig, 1, DATA + 3 * CD_SECTOR_SIZE + 10, 7 * CD_SECTOR_SIZE - 10, LAST);
    packet(&rig, PACKET(0x28, 0, 0, 0, 0, 9, 0, 0, 10), 0, true);
    dma_start(&rig, SECONDARY, true);
    expect_cd(rig.fake.memory + DATA, 9, 10);
    assert_int_equal(rig.cd.reads, 1);
    assert_int_equal(dma_status(&rig, SECONDARY), INTERRUPT);
    dma_stop(&rig, SECONDARY);
    assert_int_equal(get(&rig, SECONDARY, REG_COUNT), 3);
    assert_int_equal(get(&rig, SECONDARY, REG_STATUS), READY);
    /* a small reply, into a larger table */
    dma_prepare(&rig, SECONDARY);
    descriptor(&rig, 0, DATA, 100, 0);
    descriptor(&rig, 1, DATA + 100, 100, LAST);
    packet(&rig, PACKET(0x12, 0, 0, 0, 36), 0, true);
    dma_start(&rig, SECONDARY, true);
    assert_memory_equal(rig.fake.memory + DATA + 8, "RINGER  DVD-ROM ", 16);
    assert_int_equal(dma_status(&rig, SECONDARY), INTERRUPT | ACTIVE);
    dma_stop(&rig, SECONDARY);
    /* raw sectors come by way of the buffer */
    dma_prepare(&rig, SECONDARY);
    descriptor(&rig, 0, DATA, 20 * 2352, LAST);
    packet(&rig, PACKET(0xBE, 0, 0, 0, 0, 3, 0, 0, 20, 0xF8), 0, true);
    dma_start(&rig, SECONDARY, true);
    expect_cd(rig.fake.memory + DATA + 19 * 2352 + 16, 22, 1);
    assert_int_equal(dma_status(&rig, SECONDARY), INTERRUPT);
    dma_stop(&rig, SECONDARY);
}

static void test_dma_of_a_slow_disc_stopped(void **state)
{
    (void)state;
    rig.cd.delayed = true;
    dma_prepare(&rig, SECONDARY);
    descriptor(&rig, 0, DATA, CD_SECTOR_SIZE, LAST);
    packet(&rig, PACKET(0x28, 0, 0, 0, 0, 9, 0, 0, 1), 0, true);
    dma_start(&rig, SECONDARY, true);
    assert_non_null(rig.cd.waiting);
    dma_stop(&rig, SECONDARY);
    assert_int_equal(rig.cd.cancels, 1);
    put(&rig, SECONDARY, REG_STATUS, 0x08);
    assert_int_equal(get(&rig, SECONDARY, REG_STATUS), 0);
}

static void test_read_errors(void **state)
{
    (void)state;
    expect_refused(PACKET(0x28, 0, 0, 0, 2, 0xBC, 0, 0, 1), ILLEGAL << 16 | 0x2100);
    expect_refused(PACKET(0x28, 0, 0, 0, 2, 0xBB, 0, 0, 2), ILLEGAL << 16 | 0x2100);
    expect_refused(PACKET(0xA8, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF),
                   ILLEGAL << 16 | 0x2100);
    expect_refused(PACKET(0x2B, 0, 0, 0, 2, 0xBC), ILLEGAL << 16 | 0x2100);
    assert_int_equal(packet_simple(&rig, PACKET(0x2B, 0, 0, 0, 2, 0xBB)), 0);
    assert_int_equal(packet_simple(&rig, PACKET(0x28, 0, 0, 0, 2, 0xBC, 0, 0, 0)), 0);
    rig.cd.bad_read = 10 * 4;
    expect_refused(PACKET(0x28, 0, 0, 0, 0, 10, 0, 0, 1), MEDIUM_ERROR << 16 | 0x1100);
    dma_prepare(&rig, SECONDARY);
    descriptor(&rig, 0, DATA, 4 * CD_SECTOR_SIZE, LAST);
    packet(&rig, PACKET(0x28, 0, 0, 0, 0, 9, 0, 0, 4), 0, true);
    dma_start(&rig, SECONDARY, true);
    assert_int_equal(get(&rig, SECONDARY, REG_STATUS), READY | ERR);
    assert_int_equal(get(&rig, SECONDARY, REG_ERROR), MEDIUM_ERROR << 4);
    dma_stop(&rig, SECONDARY);
}

static void test_read_cd(void **state)
{
    static uint8_t data[20 * 2352];

    (void)state;
    assert_int_equal(run(PACKET(0xBE, 0, 0, 0, 0, 3, 0, 0, 2, 0x10), data, sizeof(data)), 4096);
    expect_cd(data, 3, 2);
    assert_int_equal(run(PACKET(0xBE, 8, 0, 0, 0, 3, 0, 0, 20, 0xF8), data, sizeof(data)),
                     sizeof(data));
    for (unsigned i = 0; i < 20; i++) {
        const uint8_t *sector = data + i * 2352;

        assert_memory_equal(sector, "\0\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\0", 12);
        assert_int_equal(sector[12], 0);
        assert_int_equal(sector[13], 2);
        assert_int_equal(sector[14], (3 + i) / 10 << 4 | (3 + i) % 10);
        assert_int_equal(sector[15], 1);
        expect_cd(sector + 16, 3 + i, 1);
    }
    assert_int_equal(run(PACKET(0xBE, 0, 0, 0, 0, 3, 0, 0, 2, 0x20), data, sizeof(data)), 8);
    assert_int_equal(run(PACKET(0xBE, 0, 0, 0, 0, 3, 0, 0, 2, 0), data, sizeof(data)), 0);
    assert_int_equal(run(PACKET(0xB9, 0, 0, 0, 2, 5, 0, 2, 7, 0x10), data, sizeof(data)), 4096);
    expect_cd(data, 5, 2);
    expect_refused(PACKET(0xBE, 4, 0, 0, 0, 3, 0, 0, 2, 0x10), ILLEGAL << 16 | 0x6400);
    expect_refused(PACKET(0xBE, 0, 0, 0, 0, 3, 0, 0, 2, 0x12), ILLEGAL << 16 | 0x2400);
    expect_refused(PACKET(0xBE, 0, 0, 0, 0, 3, 0, 0, 2, 0x10, 1), ILLEGAL << 16 | 0x2400);
    expect_refused(PACKET(0xB9, 0, 0, 0, 1, 5, 0, 2, 7, 0x10), ILLEGAL << 16 | 0x2400);
    expect_refused(PACKET(0xB9, 0, 0, 0, 2, 5, 99, 2, 7, 0x10), ILLEGAL << 16 | 0x2100);
}

/* ---- commands that tell ---- */

static void test_inquiry_and_capacity(void **state)
{
    uint8_t reply[64];

    (void)state;
    assert_int_equal(run(PACKET(0x12, 0, 0, 0, 36), reply, sizeof(reply)), 36);
    assert_memory_equal(reply, "\x05\x80\x00\x21\x1F\0\0\0RINGER  DVD-ROM         1.0 ", 36);
    assert_int_equal(run(PACKET(0x12, 0, 0, 0, 5), reply, sizeof(reply)), 5);
    expect_refused(PACKET(0x12, 1, 0, 0, 36), ILLEGAL << 16 | 0x2400);
    assert_int_equal(run(PACKET(0x25), reply, sizeof(reply)), 8);
    assert_memory_equal(reply, "\0\0\x02\xBB\0\0\x08\0", 8);
}

static void test_table_of_contents(void **state)
{
    uint8_t reply[64];

    (void)state;
    assert_int_equal(run(PACKET(0x43, 0, 0, 0, 0, 0, 0, 0, 64), reply, sizeof(reply)), 20);
    assert_memory_equal(reply, "\0\x12\x01\x01\0\x14\x01\0\0\0\0\0\0\x14\xAA\0\0\0\x02\xBC", 20);
    assert_int_equal(run(PACKET(0x43, 2, 0, 0, 0, 0, 0xAA, 0, 64), reply, sizeof(reply)), 12);
    assert_memory_equal(reply, "\0\x0A\x01\x01\0\x14\xAA\0\0\0\x0B\x19", 12); /* 850 frames */
    assert_int_equal(run(PACKET(0x43, 2, 0, 0, 0, 0, 1, 0, 12), reply, sizeof(reply)), 12);
    assert_memory_equal(reply, "\0\x12\x01\x01\0\x14\x01\0\0\0\x02\0", 12);
    assert_int_equal(run(PACKET(0x43, 0, 1, 0, 0, 0, 0, 0, 64), reply, sizeof(reply)), 12);
    assert_int_equal(run(PACKET(0x43, 0, 0, 0, 0, 0, 0, 0, 64, 0x40), reply, sizeof(reply)), 12);
    assert_int_equal(run(PACKET(0x43, 0, 2, 0, 0, 0, 0, 0, 64), reply, sizeof(reply)), 48);
    assert_memory_equal(reply + 4 + 22, "\x01\x14\0\xA2\0\0\0\0\0\x0B\x19", 11);
    expect_refused(PACKET(0x43, 0, 0, 0, 0, 0, 2, 0, 64), ILLEGAL << 16 | 0x2400);
    expect_refused(PACKET(0x43, 0, 5, 0, 0, 0, 0, 0, 64), ILLEGAL << 16 | 0x2400);
}

static void test_configuration(void **state)
{
    uint8_t reply[256];
    unsigned size, at, features = 0;

    (void)state;
    size = run(PACKET(0x46, 0, 0, 0, 0, 0, 0, 1, 0), reply, sizeof(reply));
    assert_int_equal(reply[3] + 4u, size);
    assert_int_equal(reply[7], 0x08); /* a CD */
    for (at = 8; at < size; at += 4 + reply[at + 3])
        features++;
    assert_int_equal(at, size);
    assert_int_equal(features, 9);
    assert_int_equal(run(PACKET(0x46, 2, 0, 0x1E, 0, 0, 0, 1, 0), reply, sizeof(reply)), 16);
    assert_int_equal(run(PACKET(0x46, 1, 1, 0, 0, 0, 0, 1, 0), reply, sizeof(reply)), 16);
    assert_int_equal(run(PACKET(0x46, 0, 0, 0, 0, 0, 0, 0, 4), reply, sizeof(reply)), 4);
    expect_refused(PACKET(0x46, 3, 0, 0, 0, 0, 0, 1, 0), ILLEGAL << 16 | 0x2400);
    rig.cd.backend.size_bytes = UINT64_C(4) << 30;
    run(PACKET(0x46, 0, 0, 0, 0, 0, 0, 0, 8), reply, sizeof(reply));
    assert_int_equal(reply[7], 0x10); /* a DVD */
    assert_int_equal(run(PACKET(0xAD, 0, 0, 0, 0, 0, 0, 0, 0, 20), reply, sizeof(reply)), 20);
    assert_memory_equal(reply, "\x08\x02\0\0\x01\x0F\x01\0\0\x03\0\0\0\x22\xFF\xFF", 16);
    assert_int_equal(run(PACKET(0xAD, 0, 0, 0, 0, 0, 0, 4, 0, 6), reply, sizeof(reply)), 6);
    assert_int_equal(run(PACKET(0xAD, 0, 0, 0, 0, 0, 0, 1, 0, 20), reply, sizeof(reply)), 8);
    expect_refused(PACKET(0xAD, 0, 0, 0, 0, 0, 0, 9, 0, 20), ILLEGAL << 16 | 0x2400);
    rig.cd.backend.size_bytes = CD_SECTORS * CD_SECTOR_SIZE;
    expect_refused(PACKET(0xAD, 0, 0, 0, 0, 0, 0, 0, 0, 20), ILLEGAL << 16 | 0x3002);
}

static void test_mode_sense(void **state)
{
    uint8_t reply[64];

    (void)state;
    assert_int_equal(run(PACKET(0x5A, 0, 0x2A, 0, 0, 0, 0, 0, 64), reply, sizeof(reply)), 28);
    assert_int_equal(reply[1], 26);
    assert_int_equal(reply[2], 1);
    assert_int_equal(reply[8], 0x2A);
    assert_int_equal(reply[14] & 2, 0);
    assert_int_equal(packet_simple(&rig, PACKET(0x1E, 0, 0, 0, 1)), 0);
    run(PACKET(0x5A, 0, 0x2A, 0, 0, 0, 0, 0, 64), reply, sizeof(reply));
    assert_int_equal(reply[14] & 2, 2); /* locked */
    assert_int_equal(run(PACKET(0x1A, 0, 0x3F, 0, 64), reply, sizeof(reply)), 32);
    assert_int_equal(reply[0], 31);
    assert_int_equal(run(PACKET(0x5A, 0, 0x6A, 0, 0, 0, 0, 0, 64), reply, sizeof(reply)), 28);
    assert_int_equal(reply[10], 0); /* nothing can be changed */
    expect_refused(PACKET(0x5A, 0, 0x05, 0, 0, 0, 0, 0, 64), ILLEGAL << 16 | 0x2400);
    expect_refused(PACKET(0x5A, 0, 0xEA, 0, 0, 0, 0, 0, 64), ILLEGAL << 16 | 0x3900);
}

static void test_disc_track_mechanism(void **state)
{
    uint8_t reply[64];

    (void)state;
    assert_int_equal(run(PACKET(0x51, 0, 0, 0, 0, 0, 0, 0, 64), reply, sizeof(reply)), 34);
    assert_int_equal(reply[2], 0x0E);
    expect_refused(PACKET(0x51, 1, 0, 0, 0, 0, 0, 0, 64), ILLEGAL << 16 | 0x2400);
    assert_int_equal(run(PACKET(0x52, 1, 0, 0, 0, 1, 0, 0, 64), reply, sizeof(reply)), 36);
    assert_memory_equal(reply + 24, "\0\0\x02\xBC", 4);
    expect_refused(PACKET(0x52, 1, 0, 0, 0, 2, 0, 0, 64), ILLEGAL << 16 | 0x2400);
    expect_refused(PACKET(0x52, 0, 0, 0, 2, 0xBC, 0, 0, 64), ILLEGAL << 16 | 0x2400);
    assert_int_equal(run(PACKET(0xBD, 0, 0, 0, 0, 0, 0, 0, 0, 64), reply, sizeof(reply)), 8);
    assert_int_equal(reply[1], 0);
    assert_int_equal(packet_simple(&rig, PACKET(0xBB, 0, 0xFF, 0xFF)), 0);
    expect_refused(PACKET(0xFF), ILLEGAL << 16 | 0x2000);
    expect_refused(PACKET(0x2A), ILLEGAL << 16 | 0x2000); /* it writes nothing */
}

/* ---- the tray ---- */

static uint8_t media_event(uint8_t *status)
{
    uint8_t reply[8];

    assert_int_equal(run(PACKET(0x4A, 1, 0, 0, 0x10, 0, 0, 0, 8), reply, sizeof(reply)), 8);
    assert_int_equal(reply[2], 4);
    *status = reply[5];
    return reply[4];
}

static void test_events(void **state)
{
    uint8_t reply[8], status;

    (void)state;
    assert_int_equal(run(PACKET(0x4A, 1, 0, 0, 0x02, 0, 0, 0, 8), reply, sizeof(reply)), 4);
    assert_int_equal(reply[2], 0x80);
    expect_refused(PACKET(0x4A, 0, 0, 0, 0x10, 0, 0, 0, 8), ILLEGAL << 16 | 0x2400);
    assert_int_equal(media_event(&status), 0);
    assert_int_equal(status, 2);
}

static void test_eject_and_load(void **state)
{
    uint8_t reply[8], status;

    (void)state;
    assert_int_equal(packet_simple(&rig, eject), 0);
    assert_true(rig.cd.tray_open);
    assert_int_equal(media_event(&status), 3);
    assert_int_equal(status, 1);
    expect_refused(ready, NOT_READY << 16 | 0x3A02);
    expect_refused(PACKET(0x28, 0, 0, 0, 0, 7, 0, 0, 5), NOT_READY << 16 | 0x3A02);
    expect_refused(PACKET(0x43, 0, 0, 0, 0, 0, 0, 0, 64), NOT_READY << 16 | 0x3A02);
    run(PACKET(0x5A, 0, 0x2A, 0, 0, 0, 0, 0, 3), reply, sizeof(reply));
    assert_int_equal(reply[2], 0x71); /* door open */
    assert_int_equal(packet_simple(&rig, eject), 0);
    assert_int_equal(packet_simple(&rig, PACKET(0x1B, 0, 0, 0, 1)), 0);    /* only the motor */
    assert_int_equal(packet_simple(&rig, PACKET(0x1B, 0, 0, 0, 0x23)), 0); /* only power */
    assert_int_equal(rig.cd.trays, 1);
    assert_int_equal(packet_simple(&rig, load), 0);
    assert_false(rig.cd.tray_open);
    assert_int_equal(media_event(&status), 2);
    expect_refused(ready, ATTENTION << 16 | 0x2800);
    assert_int_equal(packet_simple(&rig, ready), 0);
}

static void test_lock(void **state)
{
    const struct block_drive_ops *ops = rig.cd.backend.drive_ops;
    uint8_t status;

    (void)state;
    assert_int_equal(packet_simple(&rig, PACKET(0x1E, 0, 0, 0, 1)), 0);
    expect_refused(eject, ILLEGAL << 16 | 0x5302);
    assert_false(ops->eject_pressed(rig.cd.backend.drive)); /* the guest is asked */
    assert_int_equal(media_event(&status), 1);
    assert_int_equal(media_event(&status), 0);
    assert_int_equal(packet_simple(&rig, PACKET(0x1E, 0, 0, 0, 0)), 0);
    assert_true(ops->eject_pressed(rig.cd.backend.drive));
    assert_true(rig.cd.tray_open);
}

static void test_medium_changes(void **state)
{
    const struct block_drive_ops *ops = rig.cd.backend.drive_ops;
    uint8_t reply[8], status;

    (void)state;
    ops->medium_leaving(rig.cd.backend.drive);
    rig.cd.backend.inserted = false;
    ops->medium_changed(rig.cd.backend.drive);
    assert_int_equal(media_event(&status), 3);
    assert_int_equal(status, 0);
    expect_refused(ready, NOT_READY << 16 | 0x3A01);
    ops->medium_leaving(rig.cd.backend.drive);
    rig.cd.backend.inserted = true;
    rig.cd.backend.size_bytes = 3 * CD_SECTOR_SIZE + SECTOR;
    ops->medium_changed(rig.cd.backend.drive);
    assert_int_equal(packet_simple(&rig, ready), ATTENTION);
    assert_int_equal(packet_simple(&rig, ready), 0);
    run(PACKET(0x25), reply, sizeof(reply));
    assert_int_equal(reply[3], 2);
}

/* A disc that is taken out while it is read: the command fails, nobody touches the old image. */
static void test_medium_leaves_during_a_read(void **state)
{
    const struct block_drive_ops *ops = rig.cd.backend.drive_ops;
    uint8_t data[2 * CD_SECTOR_SIZE];

    (void)state;
    rig.cd.delayed = true;
    packet(&rig, PACKET(0x28, 0, 0, 0, 0, 7, 0, 0, 5), 2048, false);
    ops->medium_leaving(rig.cd.backend.drive);
    assert_int_equal(rig.cd.cancels, 1);
    assert_int_equal(get(&rig, SECONDARY, REG_STATUS), READY | ERR);
    assert_int_equal(packet_sense(&rig), NOT_READY << 16 | 0x3A01);
    /* what is in the drive's buffer already may still be had */
    packet(&rig, PACKET(0x28, 0, 0, 0, 0, 7, 0, 0, 2), 2048, false);
    image_finish(&rig.cd);
    ops->medium_leaving(rig.cd.backend.drive);
    assert_int_equal(packet_data(&rig, data, sizeof(data)), sizeof(data));
    expect_cd(data, 7, 2);
}

static void test_request_sense_tells_of_attention(void **state)
{
    (void)state;
    rig.cd.backend.drive_ops->medium_changed(rig.cd.backend.drive);
    assert_int_equal(packet_sense(&rig), ATTENTION << 16 | 0x2800);
    assert_int_equal(packet_simple(&rig, PACKET(0x12, 0, 0, 0, 0)), 0); /* nothing allocated */
    piix3_ide_reset(rig.ide);
    assert_int_equal(packet_sense(&rig), ATTENTION << 16 | 0x2900);
    assert_int_equal(packet_simple(&rig, ready), 0);
    assert_int_equal(packet_sense(&rig), 0);
    put(&rig, SECONDARY, CONTROL, 4); /* a software reset is none of its business */
    put(&rig, SECONDARY, CONTROL, 0);
    assert_int_equal(packet_simple(&rig, ready), 0);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_identify),
        TEST(test_device_reset),
        TEST(test_shared_ata_commands),
        TEST(test_read_10_in_blocks_of_the_limit),
        TEST(test_read_12_beyond_the_buffer),
        TEST(test_read_by_dma),
        TEST(test_dma_of_a_slow_disc_stopped),
        TEST(test_read_errors),
        TEST(test_read_cd),
        TEST(test_inquiry_and_capacity),
        TEST(test_table_of_contents),
        TEST(test_configuration),
        TEST(test_mode_sense),
        TEST(test_disc_track_mechanism),
        TEST(test_events),
        TEST(test_eject_and_load),
        TEST(test_lock),
        TEST(test_medium_changes),
        TEST(test_medium_leaves_during_a_read),
        TEST(test_request_sense_tells_of_attention),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
