/*
 * tests/devices/test_ide_dma.c -- bus-master DMA: descriptor tables of every shape, status bits,
 * stopping, errors, memory that is no RAM.
 */
#include "ide_rig.h"

enum { READ_DMA = 0xC8, READ_DMA_EXT = 0x25, WRITE_DMA = 0xCA, WRITE_DMA_EXT = 0x35 };
enum { DATA_SET_MANAGEMENT = 0x06 };
enum { ACTIVE = 1, DMA_ERROR = 2, INTERRUPT = 4 };
enum { ABRT = 4, IDNF = 0x10, UNC = 0x40 };
enum { DATA = 0x20000 };

static struct rig rig;

static int setup(void **state)
{
    (void)state;
    rig_open(&rig);
    rig.disk.reads = 0; /* its partition table was looked at */
    dma_prepare(&rig, PRIMARY);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_close(&rig);
    return 0;
}

static void expect_done(uint8_t dma, uint8_t status)
{
    assert_int_equal(dma_status(&rig, PRIMARY), dma);
    dma_stop(&rig, PRIMARY);
    assert_int_equal(get(&rig, PRIMARY, REG_STATUS), status);
    bus_io_write(rig.fake.bus, BUS_MASTER + 2, 1, 0x06);
    assert_int_equal(dma_status(&rig, PRIMARY), 0);
}

static void expect_sectors(uint32_t address, unsigned sector, unsigned count)
{
    assert_memory_equal(rig.fake.memory + address, rig.disk.data + sector * SECTOR, count * SECTOR);
}

static void test_function_is_what_drivers_look_for(void **state)
{
    (void)state;
    assert_int_equal(pci_config_read(rig.pci, PCI_DEVFN(1, 1), 0, 4), 0x70108086);
    assert_int_equal(pci_config_read(rig.pci, PCI_DEVFN(1, 1), 8, 4), 0x01018000);
    assert_int_equal(pci_config_read(rig.pci, PCI_DEVFN(1, 1), PCI_INTERRUPT_PIN, 1), 0);
    rig_config(&rig, 0x40, 2, 0x8000);
    assert_int_equal(pci_config_read(rig.pci, PCI_DEVFN(1, 1), 0x40, 4), 0x8000);
    rig_config(&rig, PCI_BAR0 + 16, 4, 0xFFFFFFFF);
    assert_int_equal(pci_config_read(rig.pci, PCI_DEVFN(1, 1), PCI_BAR0 + 16, 4), 0xFFFFFFF1);
    assert_int_equal(pci_config_read(rig.pci, PCI_DEVFN(1, 1), PCI_BAR0, 4), 0);
    piix3_ide_map(rig.ide);
    assert_int_equal(pci_config_read(rig.pci, PCI_DEVFN(1, 1), 0x40, 4), 0x80008000);
}

static void test_registers(void **state)
{
    (void)state;
    bus_io_write(rig.fake.bus, BUS_MASTER + 4, 4, 0x12345677);
    assert_int_equal(bus_io_read(rig.fake.bus, BUS_MASTER + 4, 4), 0x12345674);
    bus_io_write(rig.fake.bus, BUS_MASTER + 6, 2, 0xABCD);
    assert_int_equal(bus_io_read(rig.fake.bus, BUS_MASTER + 4, 4), 0xABCD5674);
    bus_io_write(rig.fake.bus, BUS_MASTER + 12, 4, 0x1000);
    assert_int_equal(bus_io_read(rig.fake.bus, BUS_MASTER + 4, 4), 0xABCD5674);
    bus_io_write(rig.fake.bus, BUS_MASTER + 2, 1, 0xFF);
    assert_int_equal(dma_status(&rig, PRIMARY), 0x60); /* "drives can DMA" is software's */
    bus_io_write(rig.fake.bus, BUS_MASTER, 1, 0xFE);
    assert_int_equal(bus_io_read(rig.fake.bus, BUS_MASTER, 1), 8);
    assert_int_equal(bus_io_read(rig.fake.bus, BUS_MASTER + 1, 1), 0);
    assert_int_equal(bus_io_read(rig.fake.bus, BUS_MASTER + 3, 1), 0);
}

static void test_read_command_first(void **state)
{
    (void)state;
    descriptor(&rig, 0, DATA, 4 * SECTOR, LAST);
    command(&rig, PRIMARY, READ_DMA, 77, 4);
    assert_int_equal(get(&rig, PRIMARY, REG_STATUS), READY | DRQ);
    assert_int_equal(rig.irq[0].rises, 0);
    dma_start(&rig, PRIMARY, true);
    assert_int_equal(rig.irq[0].rises, 1);
    expect_sectors(DATA, 77, 4);
    assert_int_equal(rig.disk.reads, 1); /* straight into memory, in one piece */
    assert_int_equal(rig.maps, 1);
    assert_int_equal(rig.reports, 1);
    expect_done(INTERRUPT, READY);
}

static void test_read_engine_first(void **state)
{
    (void)state;
    descriptor(&rig, 0, DATA, 4 * SECTOR, LAST);
    dma_start(&rig, PRIMARY, true);
    assert_int_equal(dma_status(&rig, PRIMARY), ACTIVE);
    command48(&rig, PRIMARY, READ_DMA_EXT, 77, 4);
    expect_sectors(DATA, 77, 4);
    expect_done(INTERRUPT, READY);
}

static void test_scattered_unaligned_tiny_pieces(void **state)
{
    uint8_t expected[4 * SECTOR];
    unsigned at = 0, index = 0, size = 2;

    (void)state;
    while (at < sizeof(expected)) {
        const unsigned piece =
            size < sizeof(expected) - at ? size : (unsigned)sizeof(expected) - at;

        descriptor(&rig, index, DATA + 3000 * index + 2 * index, piece,
                   at + piece == sizeof(expected) ? LAST : 0);
        at += piece;
        size = size * 3 / 2 / 2 * 2 + 2;
        index++;
    }
    command(&rig, PRIMARY, READ_DMA, 300, 4);
    dma_start(&rig, PRIMARY, true);
    expect_done(INTERRUPT, READY);
    for (at = 0, index = 0, size = 2; at < sizeof(expected); index++) {
        const unsigned piece =
            size < sizeof(expected) - at ? size : (unsigned)sizeof(expected) - at;

        memcpy(expected + at, rig.fake.memory + DATA + 3000 * index + 2 * index, piece);
        at += piece;
        size = size * 3 / 2 / 2 * 2 + 2;
    }
    assert_memory_equal(expected, rig.disk.data + 300 * SECTOR, sizeof(expected));
}

/* 2-byte pieces: a window of the engine's never holds all of them. */
static void test_many_tiny_pieces(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 8 * SECTOR / 2; i++)
        descriptor(&rig, i, DATA + 2 * i, 2, i == 8 * SECTOR / 2 - 1 ? LAST : 0);
    command(&rig, PRIMARY, READ_DMA, 10, 8);
    dma_start(&rig, PRIMARY, true);
    expect_sectors(DATA, 10, 8);
    expect_done(INTERRUPT, READY);
}

static void test_64_kib_for_count_0(void **state)
{
    (void)state;
    descriptor(&rig, 0, DATA, 0, 0);
    descriptor(&rig, 1, DATA + 0x10000, 0, LAST);
    command(&rig, PRIMARY, READ_DMA, 1, 0);
    dma_start(&rig, PRIMARY, true);
    expect_sectors(DATA, 1, 256);
    expect_done(INTERRUPT, READY);
}

static void test_table_longer_than_transfer(void **state)
{
    (void)state;
    descriptor(&rig, 0, DATA, 4 * SECTOR, 0);
    descriptor(&rig, 1, DATA + 0x1000, 4 * SECTOR, LAST);
    memset(rig.fake.memory + DATA, 0xEE, 0x2000);
    command(&rig, PRIMARY, READ_DMA, 5, 5);
    dma_start(&rig, PRIMARY, true);
    expect_sectors(DATA, 5, 4);
    expect_sectors(DATA + 0x1000, 9, 1);
    assert_int_equal(rig.fake.memory[DATA + 0x1000 + SECTOR], 0xEE);
    expect_done(INTERRUPT | ACTIVE, READY);
}

/* The engine stops, no interrupt comes; the drive waits until it is reset, or gets another table.
 */
static void test_table_shorter_than_transfer(void **state)
{
    (void)state;
    descriptor(&rig, 0, DATA, 2 * SECTOR, LAST);
    command(&rig, PRIMARY, READ_DMA, 5, 5);
    dma_start(&rig, PRIMARY, true);
    assert_int_equal(dma_status(&rig, PRIMARY), 0);
    assert_int_equal(rig.irq[0].rises, 0);
    assert_int_equal(alternate(&rig, PRIMARY), READY | DRQ);
    expect_sectors(DATA, 5, 2);
    dma_stop(&rig, PRIMARY);
    descriptor(&rig, 0, DATA, 3 * SECTOR, LAST);
    dma_start(&rig, PRIMARY, true);
    expect_sectors(DATA, 7, 3);
    expect_done(INTERRUPT, READY);
}

static void test_table_that_ends_inside_a_sector(void **state)
{
    (void)state;
    descriptor(&rig, 0, DATA, SECTOR + 100, LAST);
    memset(rig.fake.memory + DATA, 0xEE, 0x1000);
    command(&rig, PRIMARY, READ_DMA, 5, 2);
    dma_start(&rig, PRIMARY, true);
    assert_int_equal(dma_status(&rig, PRIMARY), 0);
    expect_sectors(DATA, 5, 1);
    assert_int_equal(rig.fake.memory[DATA + SECTOR], 0xEE);
    put(&rig, PRIMARY, CONTROL, 4);
    put(&rig, PRIMARY, CONTROL, 0);
    assert_int_equal(get(&rig, PRIMARY, REG_STATUS), READY);
}

/* No entry is the last: the walk ends with 64 KiB of table. */
static void test_endless_table_ends(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 0x10000 / 8; i++)
        descriptor(&rig, i, DATA, 2, 0);
    command(&rig, PRIMARY, READ_DMA, 0, 0);
    dma_start(&rig, PRIMARY, true);
    assert_int_equal(dma_status(&rig, PRIMARY), 0);
    assert_int_equal(rig.irq[0].rises, 0);
    assert_int_equal(rig.disk.reads, 0x10000 / 8 * 2 / 2048);
}

/* The data overwrite the table that says where they go: what was read of it counts. */
static void test_transfer_over_its_own_table(void **state)
{
    (void)state;
    descriptor(&rig, 0, TABLE, 4 * SECTOR, 0);
    descriptor(&rig, 1, DATA, 4 * SECTOR, LAST);
    command(&rig, PRIMARY, READ_DMA, 16, 8);
    dma_start(&rig, PRIMARY, true);
    expect_sectors(TABLE, 16, 4);
    expect_sectors(DATA, 20, 4);
    expect_done(INTERRUPT, READY);
}

static void test_memory_that_is_no_ram(void **state)
{
    (void)state;
    descriptor(&rig, 0, DATA, SECTOR, 0);
    descriptor(&rig, 1, HOLE_BASE + 0x1001, 2 * SECTOR, 0);
    descriptor(&rig, 2, HOLE_BASE - SECTOR, 2 * SECTOR, LAST); /* runs into it */
    command(&rig, PRIMARY, READ_DMA, 40, 5);
    dma_start(&rig, PRIMARY, true);
    expect_sectors(DATA, 40, 1);
    expect_sectors(HOLE_BASE + 0x1000, 41, 2); /* addresses are even */
    expect_sectors(HOLE_BASE - SECTOR, 43, 2);
    expect_done(INTERRUPT, READY);
    memset(rig.fake.memory + HOLE_BASE, 0x99, 128 * SECTOR);
    descriptor(&rig, 0, HOLE_BASE, 0, 0);
    descriptor(&rig, 1, HOLE_BASE, 72 * SECTOR, LAST);
    command(&rig, PRIMARY, WRITE_DMA, 1000, 200); /* more than the engine's buffer */
    dma_start(&rig, PRIMARY, false);
    expect_done(INTERRUPT, READY);
    expect_sectors(HOLE_BASE, 1000, 128);
    expect_sectors(HOLE_BASE, 1128, 72);
}

/* Addresses end at 4 GiB and go on at 0; here both are the same megabyte. */
static void test_piece_over_the_end_of_the_address_space(void **state)
{
    (void)state;
    rig.no_map = true;
    descriptor(&rig, 0, 0xFFFFFF00, SECTOR, LAST);
    command(&rig, PRIMARY, READ_DMA, 3, 1);
    dma_start(&rig, PRIMARY, true);
    assert_memory_equal(rig.fake.memory + FAKE_MEMORY - 256, rig.disk.data + 3 * SECTOR, 256);
    assert_memory_equal(rig.fake.memory, rig.disk.data + 3 * SECTOR + 256, 256);
    expect_done(INTERRUPT, READY);
}

static void test_write(void **state)
{
    (void)state;
    memset(rig.fake.memory + DATA, 0x42, 40 * SECTOR);
    descriptor(&rig, 0, DATA, 40 * SECTOR, LAST);
    command48(&rig, PRIMARY, WRITE_DMA_EXT, 500, 40);
    dma_start(&rig, PRIMARY, false);
    expect_sectors(DATA, 500, 40);
    assert_int_equal(rig.disk.writes, 1);
    assert_int_equal(rig.reports, 0);
    expect_done(INTERRUPT, READY);
}

static void test_bad_sector_is_named(void **state)
{
    (void)state;
    rig.disk.bad_read = 123;
    descriptor(&rig, 0, DATA, 700, 0);
    descriptor(&rig, 1, DATA + 700, 63 * SECTOR - 700, LAST);
    command(&rig, PRIMARY, READ_DMA, 100, 63);
    dma_start(&rig, PRIMARY, true);
    assert_int_equal(lba_registers(&rig, PRIMARY), 123);
    assert_int_equal(get(&rig, PRIMARY, REG_COUNT), 40);
    assert_int_equal(get(&rig, PRIMARY, REG_ERROR), UNC);
    expect_sectors(DATA, 100, 23);
    expect_done(INTERRUPT, READY | ERR);
}

/* A fault of a whole request that no single sector repeats: the transfer goes through. */
static void once_bad(void *ctx, struct block_request *request)
{
    struct image *image = ctx;

    if (request->op == BLOCK_READ && image->reads++ == 0)
        request->done(request, -EIO);
    else
        request->done(request, image_perform(image, request));
}

static void test_passing_error(void **state)
{
    struct block_ops ops = image_ops;

    (void)state;
    ops.submit = once_bad;
    rig.disk.backend.ops = &ops;
    descriptor(&rig, 0, DATA, 8 * SECTOR, LAST);
    command(&rig, PRIMARY, READ_DMA, 100, 8);
    dma_start(&rig, PRIMARY, true);
    expect_sectors(DATA, 100, 8);
    expect_done(INTERRUPT, READY);
    rig.disk.backend.ops = &image_ops;
}

static void test_errors_of_writes_and_addresses(void **state)
{
    (void)state;
    rig.disk.bad_write = 9;
    descriptor(&rig, 0, DATA, 16 * SECTOR, LAST);
    command(&rig, PRIMARY, WRITE_DMA, 4, 16);
    dma_start(&rig, PRIMARY, false);
    expect_done(INTERRUPT, READY | DF | ERR);
    command(&rig, PRIMARY, READ_DMA, DISK_SECTORS - 2, 16);
    dma_start(&rig, PRIMARY, true);
    expect_sectors(DATA, DISK_SECTORS - 2, 2);
    assert_int_equal(get(&rig, PRIMARY, REG_ERROR), IDNF);
    assert_int_equal(lba_registers(&rig, PRIMARY), DISK_SECTORS);
    expect_done(INTERRUPT | ACTIVE, READY | ERR);
}

/* ---- slow images ---- */

static void test_stop_gives_up_the_transfer(void **state)
{
    (void)state;
    rig.disk.delayed = true;
    descriptor(&rig, 0, DATA, 4 * SECTOR, LAST);
    command(&rig, PRIMARY, READ_DMA, 9, 4);
    dma_start(&rig, PRIMARY, true);
    assert_int_equal(alternate(&rig, PRIMARY), BSY);
    assert_int_equal(dma_status(&rig, PRIMARY), ACTIVE);
    dma_stop(&rig, PRIMARY);
    assert_int_equal(rig.disk.cancels, 1);
    assert_int_equal(rig.reports, 1); /* something may be in memory already */
    assert_int_equal(alternate(&rig, PRIMARY), READY | DRQ);
    dma_start(&rig, PRIMARY, true); /* nothing to go on with */
    assert_null(rig.disk.waiting);
    dma_stop(&rig, PRIMARY);
    command(&rig, PRIMARY, READ_DMA, 9, 4);
    dma_start(&rig, PRIMARY, true);
    image_finish(&rig.disk);
    expect_sectors(DATA, 9, 4);
    expect_done(INTERRUPT, READY);
}

static void test_reset_gives_up_the_transfer(void **state)
{
    (void)state;
    rig.disk.delayed = true;
    descriptor(&rig, 0, HOLE_BASE, 4 * SECTOR, LAST); /* through the engine's buffer */
    memset(rig.fake.memory + HOLE_BASE, 0xEE, 4 * SECTOR);
    command(&rig, PRIMARY, READ_DMA, 9, 4);
    dma_start(&rig, PRIMARY, true);
    put(&rig, PRIMARY, CONTROL, 4);
    put(&rig, PRIMARY, CONTROL, 0);
    assert_int_equal(rig.disk.cancels, 1);
    assert_int_equal(rig.fake.memory[HOLE_BASE], 0xEE);
    assert_int_equal(get(&rig, PRIMARY, REG_STATUS), READY);
    command(&rig, PRIMARY, READ_DMA, 9, 4);
    dma_stop(&rig, PRIMARY);
    dma_start(&rig, PRIMARY, true);
    image_finish(&rig.disk);
    expect_sectors(HOLE_BASE, 9, 4);
    expect_done(INTERRUPT, READY);
}

/* A window of the master's was overwritten by one for the slave, while the image still used it. */
static void test_commands_to_both_drives_at_once(void **state)
{
    (void)state;
    rig.second.delayed = rig.cd.delayed = true;
    packet_sense(&rig); /* power-on attention */
    dma_prepare(&rig, SECONDARY);
    descriptor(&rig, 0, DATA, CD_SECTOR_SIZE, 0);
    descriptor(&rig, 1, DATA + CD_SECTOR_SIZE, 2 * SECTOR, LAST);
    packet(&rig, (const uint8_t[12]){0x28, 0, 0, 0, 0, 9, 0, 0, 1}, 0, true);
    put(&rig, SECONDARY, REG_DEVICE, 0xF0);
    put(&rig, SECONDARY, REG_COUNT, 2);
    put(&rig, SECONDARY, REG_LOW, 9);
    put(&rig, SECONDARY, REG_MID, 0);
    put(&rig, SECONDARY, REG_HIGH, 0);
    put(&rig, SECONDARY, REG_STATUS, READ_DMA);
    dma_start(&rig, SECONDARY, true);
    assert_null(rig.second.waiting);
    image_finish(&rig.cd);
    assert_memory_equal(rig.fake.memory + DATA, rig.cd.data + 9 * CD_SECTOR_SIZE, CD_SECTOR_SIZE);
    dma_stop(&rig, SECONDARY);
    descriptor(&rig, 0, DATA, 2 * SECTOR, LAST);
    dma_start(&rig, SECONDARY, true);
    image_finish(&rig.second);
    assert_memory_equal(rig.fake.memory + DATA, rig.second.data + 9 * SECTOR, 2 * SECTOR);
    assert_int_equal(get(&rig, SECONDARY, REG_STATUS), READY);
}

static void test_bus_mastering_off(void **state)
{
    (void)state;
    rig_config(&rig, PCI_COMMAND, 2, PCI_COMMAND_IO);
    descriptor(&rig, 0, DATA, SECTOR, LAST);
    command(&rig, PRIMARY, READ_DMA, 9, 1);
    dma_start(&rig, PRIMARY, true);
    assert_int_equal(rig.disk.reads, 0);
    assert_int_equal(rig.irq[0].rises, 0);
}

/* Cleared while INTRQ is high, the status bit stays clear until the next edge. */
static void test_interrupt_bit_is_an_edge(void **state)
{
    (void)state;
    command(&rig, PRIMARY, 0xEC, 0, 0);
    assert_int_equal(dma_status(&rig, PRIMARY), INTERRUPT);
    bus_io_write(rig.fake.bus, BUS_MASTER + 2, 1, INTERRUPT);
    assert_true(rig.irq[0].line.level);
    assert_int_equal(dma_status(&rig, PRIMARY), 0);
}

/* ---- TRIM ---- */

static void range(unsigned index, uint64_t first, uint16_t sectors)
{
    put32(&rig, DATA + 8 * index, (uint32_t)first);
    put32(&rig, DATA + 8 * index + 4, (uint32_t)(first >> 32) | (uint32_t)sectors << 16);
}

static void trim(void)
{
    descriptor(&rig, 0, DATA, 300, 0);
    descriptor(&rig, 1, DATA + 300, SECTOR - 300, LAST);
    put(&rig, PRIMARY, REG_ERROR, 1);
    command48(&rig, PRIMARY, DATA_SET_MANAGEMENT, 0, 1);
    dma_start(&rig, PRIMARY, false);
}

static void test_trim(void **state)
{
    (void)state;
    range(0, 100, 10);
    range(5, 2000, 1);
    trim();
    expect_done(INTERRUPT, READY);
    assert_int_equal(rig.disk.discards, 2);
    assert_int_equal(rig.disk.data[99 * SECTOR], 99);
    assert_int_equal(rig.disk.data[100 * SECTOR], 0);
    assert_int_equal(rig.disk.data[109 * SECTOR + 511], 0);
    assert_int_equal(rig.disk.data[110 * SECTOR], 110);
    range(1, DISK_SECTORS - 1, 2);
    trim();
    assert_int_equal(get(&rig, PRIMARY, REG_ERROR), IDNF);
    expect_done(INTERRUPT, READY | ERR);
    range(1, UINT64_C(0xFFFFFFFFFFFF), 0xFFFF);
    trim();
    expect_done(INTERRUPT, READY | ERR);
    put(&rig, PRIMARY, REG_ERROR, 1);
    command48(&rig, PRIMARY, DATA_SET_MANAGEMENT, 0, 0); /* no ranges */
    assert_int_equal(get(&rig, PRIMARY, REG_ERROR), ABRT);
    put(&rig, PRIMARY, REG_ERROR, 0);
    command48(&rig, PRIMARY, DATA_SET_MANAGEMENT, 0, 1);
    assert_int_equal(get(&rig, PRIMARY, REG_ERROR), ABRT);
    rig.disk.backend.can_discard = false;
    put(&rig, PRIMARY, REG_ERROR, 1);
    command48(&rig, PRIMARY, DATA_SET_MANAGEMENT, 0, 1);
    assert_int_equal(get(&rig, PRIMARY, REG_ERROR), ABRT);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_function_is_what_drivers_look_for),
        TEST(test_registers),
        TEST(test_read_command_first),
        TEST(test_read_engine_first),
        TEST(test_scattered_unaligned_tiny_pieces),
        TEST(test_many_tiny_pieces),
        TEST(test_64_kib_for_count_0),
        TEST(test_table_longer_than_transfer),
        TEST(test_table_shorter_than_transfer),
        TEST(test_table_that_ends_inside_a_sector),
        TEST(test_endless_table_ends),
        TEST(test_transfer_over_its_own_table),
        TEST(test_memory_that_is_no_ram),
        TEST(test_piece_over_the_end_of_the_address_space),
        TEST(test_write),
        TEST(test_bad_sector_is_named),
        TEST(test_passing_error),
        TEST(test_errors_of_writes_and_addresses),
        TEST(test_stop_gives_up_the_transfer),
        TEST(test_reset_gives_up_the_transfer),
        TEST(test_commands_to_both_drives_at_once),
        TEST(test_bus_mastering_off),
        TEST(test_interrupt_bit_is_an_edge),
        TEST(test_trim),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
