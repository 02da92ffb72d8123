/*
 * tests/devices/test_ide.c -- ATA disks by programmed I/O: registers, selection, resets, commands,
 * interrupts, errors.
 */
#include "ide_rig.h"

enum { IDENTIFY = 0xEC, READ = 0x20, READ_EXT = 0x24, READ_MULTIPLE = 0xC4, VERIFY = 0x40 };
enum { WRITE = 0x30, WRITE_EXT = 0x34, WRITE_MULTIPLE = 0xC5, FLUSH = 0xE7, FLUSH_EXT = 0xEA };
enum { SET_MULTIPLE = 0xC6, SET_FEATURES = 0xEF, INITIALIZE = 0x91, DIAGNOSTIC = 0x90 };
enum { ABRT = 4, IDNF = 0x10, UNC = 0x40 };

static struct rig rig;

static void expect_sector(const uint8_t *data, unsigned number)
{
    assert_int_equal(data[0] | data[1] << 8, number & 0xFFFF);
    assert_int_equal(data[2], (uint8_t)(number * 7 + 1));
    assert_int_equal(data[SECTOR - 1], (uint8_t)(number * 7 + 1));
}

static uint16_t word(const uint8_t *data, unsigned index)
{
    return (uint16_t)(data[2 * index] | data[2 * index + 1] << 8);
}

static int setup(void **state)
{
    (void)state;
    rig_open(&rig);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_close(&rig);
    return 0;
}

/* ---- who is there ---- */

static void test_signature_tells_disk_from_cdrom(void **state)
{
    (void)state;
    assert_int_equal(get(&rig, PRIMARY, REG_STATUS), READY);
    assert_int_equal(get(&rig, PRIMARY, REG_ERROR), 1);
    assert_int_equal(get(&rig, PRIMARY, REG_COUNT), 1);
    assert_int_equal(get(&rig, PRIMARY, REG_LOW), 1);
    assert_int_equal(get(&rig, PRIMARY, REG_MID), 0);
    assert_int_equal(get(&rig, PRIMARY, REG_HIGH), 0);
    assert_int_equal(get(&rig, SECONDARY, REG_STATUS), 0);
    assert_int_equal(get(&rig, SECONDARY, REG_MID), 0x14);
    assert_int_equal(get(&rig, SECONDARY, REG_HIGH), 0xEB);
    put(&rig, SECONDARY, REG_DEVICE, 0x10);
    assert_int_equal(get(&rig, SECONDARY, REG_STATUS), READY);
    assert_int_equal(get(&rig, SECONDARY, REG_HIGH), 0);
}

/* The master answers for a missing slave: its registers, but status 0; commands are lost. */
static void test_missing_slave(void **state)
{
    (void)state;
    put(&rig, PRIMARY, REG_DEVICE, 0xB0);
    assert_int_equal(get(&rig, PRIMARY, REG_STATUS), 0);
    assert_int_equal(alternate(&rig, PRIMARY), 0);
    put(&rig, PRIMARY, REG_COUNT, 0x55);
    assert_int_equal(get(&rig, PRIMARY, REG_COUNT), 0x55);
    put(&rig, PRIMARY, REG_STATUS, IDENTIFY);
    assert_int_equal(get(&rig, PRIMARY, REG_STATUS), 0);
    assert_int_equal(rig.irq[0].rises, 0);
    put(&rig, PRIMARY, REG_DEVICE, 0xA0);
    assert_int_equal(get(&rig, PRIMARY, REG_STATUS), READY);
}

static void test_empty_cable(void **state)
{
    const struct ata_drive_config none[2] = {{.backend = NULL}, {.backend = NULL}};
    const struct ata_host_ops host = {.intrq = NULL};
    struct ata_channel *channel = ata_create(0, none, &host, NULL);

    (void)state;
    assert_non_null(channel);
    for (unsigned unit = 0; unit < 2; unit++) {
        ata_write(channel, ATA_DEVICE, (uint8_t)(unit << 4));
        ata_write(channel, ATA_COUNT, 0x55);
        assert_int_equal(ata_read(channel, ATA_COUNT), 0);
        ata_write(channel, ATA_COMMAND, IDENTIFY);
        ata_write(channel, ATA_COMMAND, DIAGNOSTIC);
        assert_int_equal(ata_read(channel, ATA_STATUS), 0);
        assert_int_equal(ata_data_read(channel, 4), 0);
        ata_data_write(channel, 2, 1);
    }
    ata_control_write(channel, 4);
    ata_control_write(channel, 0);
    ata_dma_started(channel);
    ata_dma_stopped(channel);
    ata_destroy(channel);
}

static void test_identify(void **state)
{
    uint8_t data[SECTOR], sum = 0;

    (void)state;
    put(&rig, PRIMARY, REG_DEVICE, 0xA0);
    put(&rig, PRIMARY, REG_STATUS, IDENTIFY);
    assert_true(rig.irq[0].line.level);
    assert_int_equal(get(&rig, PRIMARY, REG_STATUS), READY | DRQ);
    assert_false(rig.irq[0].line.level); /* reading status acknowledges */
    data_in(&rig, PRIMARY, data, SECTOR);
    assert_int_equal(get(&rig, PRIMARY, REG_STATUS), READY);
    assert_int_equal(rig.irq[0].rises, 1); /* none at the end */
    assert_int_equal(word(data, 0) & 0x8000, 0);
    assert_int_equal(word(data, 1) * word(data, 3) * word(data, 6), 4 * 16 * 63);
    assert_memory_equal(data + 20, "2143 5", 6); /* characters are swapped in pairs */
    assert_memory_equal(data + 54, "IRGNREH RADDSI K", 16);
    assert_int_equal(word(data, 49) & 0x0300, 0x0300);
    assert_int_equal(word(data, 60) | word(data, 61) << 16, DISK_SECTORS);
    assert_int_equal(word(data, 100), DISK_SECTORS);
    assert_int_equal(word(data, 83) & 0xC000, 0x4000);
    assert_int_equal(word(data, 83) & 0x3400, 0x3400); /* flush, flush ext, 48 bits */
    assert_int_equal(word(data, 169), 1);
    for (unsigned i = 0; i < SECTOR; i++)
        sum = (uint8_t)(sum + data[i]);
    assert_int_equal(sum, 0);
}

static void test_disk_beyond_28_bits(void **state)
{
    uint8_t data[SECTOR];

    (void)state;
    rig.disk.backend.size_bytes = UINT64_C(3) << 40; /* nothing of it is read */
    command(&rig, PRIMARY, IDENTIFY, 0, 0);
    data_in(&rig, PRIMARY, data, SECTOR);
    assert_int_equal(word(data, 60) | (uint32_t)word(data, 61) << 16, 0x0FFFFFFF);
    assert_int_equal(word(data, 100) | (uint64_t)word(data, 101) << 16 |
                         (uint64_t)word(data, 102) << 32,
                     (UINT64_C(3) << 40) / SECTOR);
    command(&rig, PRIMARY, 0xF8, 0, 0);
    assert_int_equal(lba_registers(&rig, PRIMARY), 0x0FFFFFFF);
    put(&rig, PRIMARY, REG_STATUS, 0x27);
    assert_int_equal(get(&rig, PRIMARY, REG_LOW), 0xFF);
    put(&rig, PRIMARY, CONTROL, 0x80);
    assert_int_equal(get(&rig, PRIMARY, REG_LOW), 0x7F); /* 3 TiB is 0x180000000 sectors */
    assert_int_equal(get(&rig, PRIMARY, REG_MID), 0x01);
    rig.disk.backend.size_bytes = (uint64_t)DISK_SECTORS * SECTOR;
}

/* ---- reading ---- */

static void test_read_sectors_interrupts_for_each(void **state)
{
    uint8_t data[SECTOR];

    (void)state;
    command(&rig, PRIMARY, READ, 100, 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(rig.irq[0].rises, i + 1);
        assert_int_equal(alternate(&rig, PRIMARY), READY | DRQ);
        assert_true(rig.irq[0].line.level); /* alternate status does not acknowledge */
        assert_int_equal(get(&rig, PRIMARY, REG_STATUS), READY | DRQ);
        data_in(&rig, PRIMARY, data, SECTOR);
        expect_sector(data, 100 + i);
    }
    assert_int_equal(get(&rig, PRIMARY, REG_STATUS), READY);
    assert_int_equal(rig.irq[0].rises, 3);
    assert_int_equal(get(&rig, PRIMARY, REG_COUNT), 0);
}

static void test_read_256_sectors_for_count_0(void **state)
{
    static uint8_t data[256 * SECTOR];

    (void)state;
    command(&rig, PRIMARY, READ, 7, 0);
    data_in(&rig, PRIMARY, data, sizeof(data));
    assert_int_equal(get(&rig, PRIMARY, REG_STATUS), READY);
    for (unsigned i = 0; i < 256; i++)
        expect_sector(data + i * SECTOR, 7 + i);
}

static void test_read_multiple_in_blocks(void **state)
{
    static uint8_t data[20 * SECTOR];

    (void)state;
    command(&rig, PRIMARY, SET_MULTIPLE, 0, 8);
    assert_int_equal(get(&rig, PRIMARY, REG_STATUS), READY);
    rig.irq[0].rises = 0;
    command(&rig, PRIMARY, READ_MULTIPLE, 40, 20); /* 8 + 8 + 4 */
    data_in(&rig, PRIMARY, data, 8 * SECTOR);
    get(&rig, PRIMARY, REG_STATUS);
    data_in(&rig, PRIMARY, data + 8 * SECTOR, 8 * SECTOR);
    get(&rig, PRIMARY, REG_STATUS);
    data_in(&rig, PRIMARY, data + 16 * SECTOR, 4 * SECTOR);
    assert_int_equal(get(&rig, PRIMARY, REG_STATUS), READY);
    assert_int_equal(rig.irq[0].rises, 2); /* the first was never acknowledged: two edges */
    for (unsigned i = 0; i < 20; i++)
        expect_sector(data + i * SECTOR, 40 + i);
}

static void test_set_multiple_refuses_and_switches_off(void **state)
{
    (void)state;
    command(&rig, PRIMARY, SET_MULTIPLE, 0, 3);
    assert_int_equal(get(&rig, PRIMARY, REG_STATUS), READY | ERR);
    assert_int_equal(get(&rig, PRIMARY, REG_ERROR), ABRT);
    command(&rig, PRIMARY, SET_MULTIPLE, 0, 32);
    assert_int_equal(get(&rig, PRIMARY, REG_STATUS), READY | ERR);
    command(&rig, PRIMARY, SET_MULTIPLE, 0, 0);
    assert_int_equal(get(&rig, PRIMARY, REG_STATUS), READY);
    command(&rig, PRIMARY, READ_MULTIPLE, 0, 1);
    assert_int_equal(get(&rig, PRIMARY, REG_ERROR), ABRT);
}

static void test_read_chs_and_48_bit(void **state)
{
    uint8_t data[SECTOR];

    (void)state;
    /* cylinder 2, head 3, sector 4 of 16 heads and 63 sectors */
    put(&rig, PRIMARY, REG_COUNT, 1);
    put(&rig, PRIMARY, REG_LOW, 4);
    put(&rig, PRIMARY, REG_MID, 2);
    put(&rig, PRIMARY, REG_HIGH, 0);
    put(&rig, PRIMARY, REG_DEVICE, 0xA3);
    put(&rig, PRIMARY, REG_STATUS, READ);
    data_in(&rig, PRIMARY, data, SECTOR);
    expect_sector(data, (2 * 16 + 3) * 63 + 3);
    assert_int_equal(get(&rig, PRIMARY, REG_LOW), 4); /* the last one read */
    /* another geometry: 4 heads, 17 sectors */
    put(&rig, PRIMARY, REG_COUNT, 17);
    put(&rig, PRIMARY, REG_DEVICE, 0xA3);
    put(&rig, PRIMARY, REG_STATUS, INITIALIZE);
    put(&rig, PRIMARY, REG_COUNT, 1);
    put(&rig, PRIMARY, REG_STATUS, READ);
    data_in(&rig, PRIMARY, data, SECTOR);
    expect_sector(data, (2 * 4 + 3) * 17 + 3);
    put(&rig, PRIMARY, REG_LOW, 18); /* no such sector in it */
    put(&rig, PRIMARY, REG_COUNT, 1);
    put(&rig, PRIMARY, REG_STATUS, READ);
    assert_int_equal(get(&rig, PRIMARY, REG_ERROR), IDNF);
    put(&rig, PRIMARY, REG_LOW, 0);
    put(&rig, PRIMARY, REG_STATUS, READ);
    assert_int_equal(get(&rig, PRIMARY, REG_ERROR), IDNF);
    command48(&rig, PRIMARY, READ_EXT, 4000, 2);
    data_in(&rig, PRIMARY, data, SECTOR);
    expect_sector(data, 4000);
    data_in(&rig, PRIMARY, data, SECTOR);
    expect_sector(data, 4001);
}

static void test_read_with_dwords_bytes_and_blocks(void **state)
{
    uint8_t data[SECTOR];

    (void)state;
    command(&rig, PRIMARY, READ, 5, 1);
    for (unsigned i = 0; i < SECTOR; i += 4) {
        const uint32_t value = bus_io_read(rig.fake.bus, PRIMARY, 4);

        memcpy(data + i, &value, 4);
    }
    expect_sector(data, 5);
    command(&rig, PRIMARY, READ, 6, 2);
    assert_int_equal(bus_io_read(rig.fake.bus, PRIMARY, 1), 6); /* takes a word */
    assert_int_equal(bus_io_read_block(rig.fake.bus, PRIMARY, 1, data, 10), 0);
    assert_int_equal(bus_io_read_block(rig.fake.bus, PRIMARY, 4, data, 1000), 127);
    assert_int_equal(data[0], 6 * 7 + 1);
    assert_int_equal(alternate(&rig, PRIMARY), READY | DRQ);
    /* a dword over the last word does not reach into the next sector */
    assert_int_equal(bus_io_read(rig.fake.bus, PRIMARY, 4), 0x2B2B);
    assert_int_equal(bus_io_read_block(rig.fake.bus, PRIMARY, 2, data, 1000), 256);
    expect_sector(data, 7);
    assert_int_equal(get(&rig, PRIMARY, REG_STATUS), READY);
    assert_int_equal(bus_io_read_block(rig.fake.bus, PRIMARY, 2, data, 1000), 0);
    assert_int_equal(bus_io_read_block(rig.fake.bus, PRIMARY + 1, 1, data, 1000), 0);
}

static void test_read_past_the_end(void **state)
{
    uint8_t data[SECTOR];

    (void)state;
    command(&rig, PRIMARY, READ, DISK_SECTORS, 1);
    assert_int_equal(get(&rig, PRIMARY, REG_STATUS), READY | ERR);
    assert_int_equal(get(&rig, PRIMARY, REG_ERROR), IDNF);
    assert_int_equal(lba_registers(&rig, PRIMARY), DISK_SECTORS);
    command(&rig, PRIMARY, READ, DISK_SECTORS - 1, 2); /* as far as there is something */
    data_in(&rig, PRIMARY, data, SECTOR);
    expect_sector(data, DISK_SECTORS - 1);
    assert_int_equal(get(&rig, PRIMARY, REG_STATUS), READY | ERR);
    assert_int_equal(lba_registers(&rig, PRIMARY), DISK_SECTORS);
    assert_int_equal(get(&rig, PRIMARY, REG_COUNT), 1);
    command48(&rig, PRIMARY, READ_EXT, UINT64_C(0xFFFFFFFFFFFF), 0);
    assert_int_equal(get(&rig, PRIMARY, REG_ERROR), IDNF);
}

static void test_bad_sector_is_named(void **state)
{
    uint8_t data[SECTOR];

    (void)state;
    rig.disk.bad_read = 13;
    command(&rig, PRIMARY, READ, 10, 8);
    for (unsigned i = 0; i < 3; i++) {
        data_in(&rig, PRIMARY, data, SECTOR);
        expect_sector(data, 10 + i);
    }
    assert_true(rig.irq[0].line.level);
    assert_int_equal(get(&rig, PRIMARY, REG_STATUS), READY | ERR);
    assert_int_equal(get(&rig, PRIMARY, REG_ERROR), UNC);
    assert_int_equal(lba_registers(&rig, PRIMARY), 13);
    assert_int_equal(get(&rig, PRIMARY, REG_COUNT), 5);
    command(&rig, PRIMARY, VERIFY, 0, 12);
    assert_int_equal(get(&rig, PRIMARY, REG_STATUS), READY);
    command(&rig, PRIMARY, VERIFY, 0, 0);
    assert_int_equal(get(&rig, PRIMARY, REG_ERROR), UNC);
    assert_int_equal(lba_registers(&rig, PRIMARY), 13);
}

/* ---- writing ---- */

static void test_write_and_flush(void **state)
{
    uint8_t data[3 * SECTOR];

    (void)state;
    memset(data, 0xA5, sizeof(data));
    command(&rig, PRIMARY, WRITE, 50, 3);
    assert_int_equal(rig.irq[0].rises, 0); /* the first sector is asked for without interrupt */
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(get(&rig, PRIMARY, REG_STATUS), READY | DRQ);
        data_out(&rig, PRIMARY, data + i * SECTOR, SECTOR);
        assert_int_equal(rig.irq[0].rises, i + 1);
    }
    assert_int_equal(get(&rig, PRIMARY, REG_STATUS), READY);
    assert_memory_equal(rig.disk.data + 50 * SECTOR, data, sizeof(data));
    expect_sector(rig.disk.data + 53 * SECTOR, 53);
    assert_int_equal(rig.disk.flushes, 0);
    command(&rig, PRIMARY, FLUSH, 0, 0);
    assert_int_equal(get(&rig, PRIMARY, REG_STATUS), READY);
    command(&rig, PRIMARY, FLUSH_EXT, 0, 0);
    assert_int_equal(rig.disk.flushes, 2);
    rig.disk.bad_flush = true;
    command(&rig, PRIMARY, FLUSH, 0, 0);
    assert_int_equal(get(&rig, PRIMARY, REG_STATUS), READY | DF | ERR);
}

static void test_write_multiple_ext_with_blocks(void **state)
{
    static uint8_t data[40 * SECTOR];

    (void)state;
    memset(data, 0x3C, sizeof(data));
    command48(&rig, PRIMARY, 0x39, 1000, 40);
    for (unsigned done = 0; done < 40 * SECTOR / 4;) {
        const unsigned count =
            bus_io_write_block(rig.fake.bus, PRIMARY, 4, data + done * 4, 40 * SECTOR / 4 - done);

        assert_in_range(count, 1, 16 * SECTOR / 4);
        done += count;
    }
    assert_int_equal(get(&rig, PRIMARY, REG_STATUS), READY);
    assert_memory_equal(rig.disk.data + 1000 * SECTOR, data, sizeof(data));
    assert_int_equal(rig.disk.writes, 3);
}

static void test_write_cache_off_flushes_each_write(void **state)
{
    uint8_t data[SECTOR] = {1};

    (void)state;
    put(&rig, PRIMARY, REG_ERROR, 0x82);
    command(&rig, PRIMARY, SET_FEATURES, 0, 0);
    assert_int_equal(rig.disk.flushes, 1); /* what is in the cache goes first */
    command(&rig, PRIMARY, WRITE, 1, 1);
    data_out(&rig, PRIMARY, data, SECTOR);
    assert_int_equal(rig.disk.flushes, 2);
    command(&rig, PRIMARY, IDENTIFY, 0, 0);
    data_in(&rig, PRIMARY, data, SECTOR);
    assert_int_equal(word(data, 85) & 0x20, 0);
    put(&rig, PRIMARY, REG_ERROR, 0x02);
    command(&rig, PRIMARY, SET_FEATURES, 0, 0);
    command(&rig, PRIMARY, WRITE, 1, 1);
    data_out(&rig, PRIMARY, data, SECTOR);
    assert_int_equal(rig.disk.flushes, 2);
}

static void test_write_errors(void **state)
{
    uint8_t data[SECTOR] = {0};

    (void)state;
    rig.disk.bad_write = 21;
    command(&rig, PRIMARY, WRITE, 20, 4);
    data_out(&rig, PRIMARY, data, SECTOR);
    assert_int_equal(get(&rig, PRIMARY, REG_STATUS), READY | DRQ);
    data_out(&rig, PRIMARY, data, SECTOR);
    assert_int_equal(get(&rig, PRIMARY, REG_STATUS), READY | DF | ERR);
    assert_int_equal(lba_registers(&rig, PRIMARY), 21);
    assert_int_equal(get(&rig, PRIMARY, REG_COUNT), 3);
    put(&rig, PRIMARY, REG_ERROR, 0x82);
    command(&rig, PRIMARY, SET_FEATURES, 0, 0);
    rig.disk.bad_flush = true; /* a write without cache that does not reach the platter */
    command(&rig, PRIMARY, WRITE, 30, 1);
    data_out(&rig, PRIMARY, data, SECTOR);
    assert_int_equal(get(&rig, PRIMARY, REG_STATUS), READY | DF | ERR);
    rig.disk.backend.read_only = true;
    command(&rig, PRIMARY, WRITE, 20, 1);
    assert_int_equal(get(&rig, PRIMARY, REG_STATUS), READY | ERR);
    assert_int_equal(get(&rig, PRIMARY, REG_ERROR), ABRT);
}

/* ---- slow images ---- */

static void test_busy_while_the_image_works(void **state)
{
    uint8_t data[SECTOR];

    (void)state;
    rig.disk.delayed = true;
    command(&rig, PRIMARY, READ, 9, 1);
    assert_int_equal(alternate(&rig, PRIMARY), BSY);
    put(&rig, PRIMARY, REG_COUNT, 0x77); /* lost */
    put(&rig, PRIMARY, REG_STATUS, IDENTIFY);
    assert_int_equal(alternate(&rig, PRIMARY), BSY);
    assert_int_equal(bus_io_read(rig.fake.bus, PRIMARY, 2), 0);
    assert_int_equal(rig.irq[0].rises, 0);
    image_finish(&rig.disk);
    assert_int_equal(rig.irq[0].rises, 1);
    data_in(&rig, PRIMARY, data, SECTOR);
    expect_sector(data, 9);
    assert_int_equal(get(&rig, PRIMARY, REG_COUNT), 0);
}

static void test_reset_in_the_middle(void **state)
{
    uint8_t data[SECTOR] = {0};

    (void)state;
    rig.disk.delayed = true;
    command(&rig, PRIMARY, WRITE, 9, 2);
    data_out(&rig, PRIMARY, data, SECTOR);
    assert_non_null(rig.disk.waiting);
    put(&rig, PRIMARY, CONTROL, 4);
    assert_int_equal(rig.disk.cancels, 1);
    assert_int_equal(alternate(&rig, PRIMARY), BSY);
    put(&rig, PRIMARY, REG_STATUS, READ); /* not while in reset */
    put(&rig, PRIMARY, CONTROL, 0);
    assert_int_equal(get(&rig, PRIMARY, REG_STATUS), READY);
    assert_int_equal(get(&rig, PRIMARY, REG_LOW), 1);
    command(&rig, PRIMARY, READ, 9, 2); /* and in the middle of a data phase */
    image_finish(&rig.disk);
    data_in(&rig, PRIMARY, data, 100);
    assert_true(rig.irq[0].line.level);
    put(&rig, PRIMARY, CONTROL, 4);
    put(&rig, PRIMARY, CONTROL, 0);
    assert_false(rig.irq[0].line.level);
    assert_int_equal(get(&rig, PRIMARY, REG_STATUS), READY);
    assert_int_equal(bus_io_read(rig.fake.bus, PRIMARY, 2), 0);
    command(&rig, PRIMARY, READ, 9, 1);
    piix3_ide_reset(rig.ide); /* the board's */
    assert_int_equal(rig.disk.cancels, 2);
    assert_int_equal(get(&rig, PRIMARY, REG_STATUS), READY);
    command(&rig, PRIMARY, READ, 9, 1);
    assert_non_null(rig.disk.waiting); /* rig_close() takes it away */
}

/* A new command ends a data phase that nobody finished. */
static void test_command_during_data_phase(void **state)
{
    uint8_t data[SECTOR];

    (void)state;
    command(&rig, PRIMARY, READ, 9, 2);
    data_in(&rig, PRIMARY, data, 100);
    command(&rig, PRIMARY, READ, 30, 1);
    data_in(&rig, PRIMARY, data, SECTOR);
    expect_sector(data, 30);
    assert_int_equal(get(&rig, PRIMARY, REG_STATUS), READY);
}

/* ---- interrupts and selection ---- */

static void test_nien_and_selection_gate_intrq(void **state)
{
    (void)state;
    put(&rig, PRIMARY, CONTROL, 2);
    command(&rig, PRIMARY, IDENTIFY, 0, 0);
    assert_int_equal(rig.irq[0].rises, 0);
    put(&rig, PRIMARY, CONTROL, 0); /* it was only held back */
    assert_int_equal(rig.irq[0].rises, 1);
    put(&rig, PRIMARY, REG_DEVICE, 0xB0);
    assert_false(rig.irq[0].line.level);
    put(&rig, PRIMARY, REG_DEVICE, 0xA0);
    assert_true(rig.irq[0].line.level);
    put(&rig, PRIMARY, REG_STATUS, 0xE5); /* a command acknowledges, and earns another */
    assert_int_equal(rig.irq[0].rises, 3);
    assert_int_equal(get(&rig, PRIMARY, REG_COUNT), 0xFF);
    assert_int_equal(rig.irq[1].rises, 0);
}

static void test_two_drives_of_a_cable(void **state)
{
    uint8_t data[SECTOR];

    (void)state;
    put(&rig, SECONDARY, REG_COUNT, 1);
    put(&rig, SECONDARY, REG_LOW, 8);
    put(&rig, SECONDARY, REG_MID, 0);
    put(&rig, SECONDARY, REG_HIGH, 0);
    put(&rig, SECONDARY, REG_DEVICE, 0xF0);
    put(&rig, SECONDARY, REG_STATUS, READ);
    assert_int_equal(rig.irq[1].rises, 1);
    data_in(&rig, SECONDARY, data, SECTOR);
    expect_sector(data, 8);
    put(&rig, SECONDARY, REG_STATUS, DIAGNOSTIC); /* both, and drive 0 reports */
    assert_int_equal(get(&rig, SECONDARY, REG_DEVICE) & 0x10, 0);
    assert_int_equal(get(&rig, SECONDARY, REG_ERROR), 1);
    assert_int_equal(get(&rig, SECONDARY, REG_HIGH), 0xEB);
    assert_true(rig.irq[1].line.level);
    put(&rig, SECONDARY, REG_DEVICE, 0xB0);
    assert_int_equal(get(&rig, SECONDARY, REG_HIGH), 0);
    assert_int_equal(get(&rig, SECONDARY, REG_STATUS), READY);
}

/* ---- the rest of the commands ---- */

static void test_power_modes(void **state)
{
    static const uint8_t modes[][2] = {{0xE0, 0x00}, {0xE1, 0x80}, {0xE2, 0x00}, {0xE3, 0x80},
                                       {0xE6, 0x00}, {0x94, 0x00}, {0x95, 0x80}, {0x99, 0x00}};
    uint8_t data[SECTOR];

    (void)state;
    for (unsigned i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        command(&rig, PRIMARY, modes[i][0], 0, 0);
        assert_int_equal(get(&rig, PRIMARY, REG_STATUS), READY);
        command(&rig, PRIMARY, 0xE5, 0, 0);
        assert_int_equal(get(&rig, PRIMARY, REG_COUNT), modes[i][1]);
    }
    command(&rig, PRIMARY, READ, 0, 1);
    data_in(&rig, PRIMARY, data, SECTOR);
    command(&rig, PRIMARY, 0x98, 0, 0);
    assert_int_equal(get(&rig, PRIMARY, REG_COUNT), 0xFF);
}

static void set_mode(uint8_t mode, uint8_t status)
{
    put(&rig, PRIMARY, REG_ERROR, 0x03);
    command(&rig, PRIMARY, SET_FEATURES, 0, mode);
    assert_int_equal(get(&rig, PRIMARY, REG_STATUS), status);
}

static void test_transfer_modes(void **state)
{
    uint8_t data[SECTOR];

    (void)state;
    set_mode(0x0C, READY);
    set_mode(0x0D, READY | ERR);
    set_mode(0x22, READY);
    command(&rig, PRIMARY, IDENTIFY, 0, 0);
    data_in(&rig, PRIMARY, data, SECTOR);
    assert_int_equal(word(data, 63), 0x0407);
    assert_int_equal(word(data, 88), 0x003F);
    set_mode(0x45, READY);
    command(&rig, PRIMARY, IDENTIFY, 0, 0);
    data_in(&rig, PRIMARY, data, SECTOR);
    assert_int_equal(word(data, 63), 0x0007);
    assert_int_equal(word(data, 88), 0x203F);
    set_mode(0x46, READY | ERR);
    set_mode(0x23, READY | ERR);
    set_mode(0xFF, READY | ERR);
}

static void test_small_commands(void **state)
{
    static const uint8_t fine[] = {0x10, 0x1F, 0x70, 0x7F, 0x41};
    static const uint8_t refused[] = {0x00, 0xA0, 0xA1, 0xF1, 0xB0, 0x08, 0x80, 0xFF};
    uint8_t data[SECTOR] = {0x5A}, back[SECTOR];

    (void)state;
    for (unsigned i = 0; i < sizeof(fine); i++) {
        command(&rig, PRIMARY, fine[i], 5, 1);
        assert_int_equal(get(&rig, PRIMARY, REG_STATUS), READY);
    }
    for (unsigned i = 0; i < sizeof(refused); i++) {
        command(&rig, PRIMARY, refused[i], 5, 1);
        assert_int_equal(get(&rig, PRIMARY, REG_STATUS), READY | ERR);
        assert_int_equal(get(&rig, PRIMARY, REG_ERROR), ABRT);
    }
    command(&rig, PRIMARY, 0x70, DISK_SECTORS, 1);
    assert_int_equal(get(&rig, PRIMARY, REG_ERROR), IDNF);
    command(&rig, PRIMARY, 0xE8, 0, 0);
    data_out(&rig, PRIMARY, data, SECTOR);
    command(&rig, PRIMARY, 0xE4, 0, 0);
    data_in(&rig, PRIMARY, back, SECTOR);
    assert_memory_equal(data, back, SECTOR);
}

static void test_registers_as_wide_accesses(void **state)
{
    (void)state;
    bus_io_write(rig.fake.bus, PRIMARY + 2, 4, 0x04030201);
    assert_int_equal(get(&rig, PRIMARY, REG_COUNT), 1);
    assert_int_equal(get(&rig, PRIMARY, REG_HIGH), 4);
    assert_int_equal(bus_io_read(rig.fake.bus, PRIMARY + 3, 2), 0x0302);
    put(&rig, PRIMARY, REG_COUNT, 9);
    put(&rig, PRIMARY, CONTROL, 0x80); /* the value before */
    assert_int_equal(get(&rig, PRIMARY, REG_COUNT), 1);
    put(&rig, PRIMARY, REG_LOW, 0); /* any write switches back */
    assert_int_equal(get(&rig, PRIMARY, REG_COUNT), 9);
}

static void test_look_ahead_and_reverting(void **state)
{
    static const uint8_t features[] = {0x55, 0x66, 0xCC};
    uint8_t data[SECTOR];

    (void)state;
    for (unsigned i = 0; i < sizeof(features); i++) {
        put(&rig, PRIMARY, REG_ERROR, features[i]);
        command(&rig, PRIMARY, SET_FEATURES, 0, 0);
        assert_int_equal(get(&rig, PRIMARY, REG_STATUS), READY);
    }
    command(&rig, PRIMARY, IDENTIFY, 0, 0);
    data_in(&rig, PRIMARY, data, SECTOR);
    assert_int_equal(word(data, 85) & 0x40, 0);
    put(&rig, PRIMARY, REG_ERROR, 0xAA);
    command(&rig, PRIMARY, SET_FEATURES, 0, 0);
    command(&rig, PRIMARY, IDENTIFY, 0, 0);
    data_in(&rig, PRIMARY, data, SECTOR);
    assert_int_equal(word(data, 85) & 0x40, 0x40);
    put(&rig, PRIMARY, REG_COUNT, 0); /* no sectors a track */
    put(&rig, PRIMARY, REG_STATUS, INITIALIZE);
    assert_int_equal(get(&rig, PRIMARY, REG_ERROR), ABRT);
    put(&rig, PRIMARY, REG_DEVICE, 0xA0); /* by CHS there is no such address */
    put(&rig, PRIMARY, REG_STATUS, 0xF8);
    assert_int_equal(get(&rig, PRIMARY, REG_ERROR), ABRT);
}

/* ---- geometry ---- */

static void test_names_and_geometry_as_asked_for(void **state)
{
    const struct ata_drive_config drives[2] = {
        {.backend = &rig.second.backend,
         .serial = "a serial number of more than 20",
         .model = "MODEL",
         .geometry = {.cylinders = 5, .heads = 4, .sectors = 3}},
        {.backend = NULL}};
    const struct ata_host_ops host = {.intrq = NULL};
    struct ata_channel *channel;
    struct block_geometry chs;
    uint8_t data[SECTOR];

    (void)state;
    pci_destroy(rig.pci);
    piix3_ide_destroy(rig.ide);
    fake_close(&rig.fake);
    channel = ata_create(1, drives, &host, NULL);
    assert_non_null(channel);
    assert_true(ata_geometry(channel, 0, &chs));
    ata_control_write(channel, 2);
    ata_write(channel, ATA_COMMAND, IDENTIFY);
    assert_int_equal(ata_data_read_block(channel, 2, data, 256), 256);
    ata_destroy(channel);
    rig_plug(&rig);
    assert_int_equal(chs.cylinders * 100 + chs.heads * 10 + chs.sectors, 543);
    assert_memory_equal(data + 20, " aesirlan mueb rfom ", 20);
    assert_memory_equal(data + 54, "OMED L  ", 8);
}

static void expect_geometry(uint32_t cylinders, uint32_t heads, uint32_t sectors, unsigned how)
{
    struct block_geometry chs;

    pci_destroy(rig.pci);
    piix3_ide_destroy(rig.ide);
    fake_close(&rig.fake);
    rig_plug(&rig);
    assert_true(ata_geometry(piix3_ide_channel(rig.ide, 0), 0, &chs));
    assert_int_equal(chs.cylinders, cylinders);
    assert_int_equal(chs.heads, heads);
    assert_int_equal(chs.sectors, sectors);
    assert_int_equal(ata_translation(piix3_ide_channel(rig.ide, 0), 0), how);
    assert_false(ata_geometry(piix3_ide_channel(rig.ide, 0), 1, &chs));
    assert_false(ata_geometry(piix3_ide_channel(rig.ide, 1), 0, &chs));
}

static void test_geometry_by_size_and_partition_table(void **state)
{
    uint8_t *mbr = rig.disk.data;

    (void)state;
    expect_geometry(4, 16, 63, 0);
    rig.disk.delayed = true; /* a slow image is waited for */
    memset(mbr + 0x1BE, 0, 64);
    mbr[510] = 0x55;
    mbr[511] = 0xAA;
    mbr[0x1BE + 5] = 7;         /* the last head */
    mbr[0x1BE + 6] = 0xC0 | 17; /* the last sector, and two bits of the cylinder */
    mbr[0x1BE + 12] = 100;
    expect_geometry(DISK_SECTORS / (8 * 17), 8, 17, 0);
    mbr[0x1BE + 5] = 254;
    mbr[0x1BE + 6] = 63;
    expect_geometry(4, 16, 63, 0);
    rig.disk.delayed = false;
    rig.disk.bad_read = 0;
    expect_geometry(4, 16, 63, 0);
    rig.disk.bad_read = NO_SECTOR;
    mbr[510] = 0;
    rig.disk.backend.size_bytes = UINT64_C(8) << 30;
    expect_geometry(16383, 16, 63, 1);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_signature_tells_disk_from_cdrom),
        TEST(test_missing_slave),
        TEST(test_empty_cable),
        TEST(test_identify),
        TEST(test_disk_beyond_28_bits),
        TEST(test_read_sectors_interrupts_for_each),
        TEST(test_read_256_sectors_for_count_0),
        TEST(test_read_multiple_in_blocks),
        TEST(test_set_multiple_refuses_and_switches_off),
        TEST(test_read_chs_and_48_bit),
        TEST(test_read_with_dwords_bytes_and_blocks),
        TEST(test_read_past_the_end),
        TEST(test_bad_sector_is_named),
        TEST(test_write_and_flush),
        TEST(test_write_multiple_ext_with_blocks),
        TEST(test_write_cache_off_flushes_each_write),
        TEST(test_write_errors),
        TEST(test_busy_while_the_image_works),
        TEST(test_reset_in_the_middle),
        TEST(test_command_during_data_phase),
        TEST(test_nien_and_selection_gate_intrq),
        TEST(test_two_drives_of_a_cable),
        TEST(test_power_modes),
        TEST(test_transfer_modes),
        TEST(test_small_commands),
        TEST(test_registers_as_wide_accesses),
        TEST(test_look_ahead_and_reverting),
        TEST(test_names_and_geometry_as_asked_for),
        TEST(test_geometry_by_size_and_partition_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
