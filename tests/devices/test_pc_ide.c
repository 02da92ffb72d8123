/*
 * tests/devices/test_pc_ide.c -- disks on the board: interrupts reach the CPU, DMA over code makes
 * it new code, string I/O moves sectors, CMOS tells of the drives.
 *
 * Guests are 16-bit code in a 64 KiB ROM, interpreted and translated.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "devices/pc_internal.h"
#include "tests/devices/board.h"

enum { SECTORS = 4096, SECTOR = 512 };
enum { RESULT = 0x600, TABLE = 0x700, OVERLAY = 0x8000, BUFFER = 0x20000 };

/* ---- an image ---- */

static uint8_t disk[SECTORS * SECTOR];

static void submit(void *ctx, struct block_request *request)
{
    uint64_t at = request->offset;

    (void)ctx;
    for (unsigned i = 0; i < request->iov_count; i++) {
        if (request->op == BLOCK_READ)
            memcpy(request->iov[i].iov_base, disk + at, request->iov[i].iov_len);
        else
            memcpy(disk + at, request->iov[i].iov_base, request->iov[i].iov_len);
        at += request->iov[i].iov_len;
    }
    request->done(request, 0);
}

static void cancel(void *ctx, struct block_request *request)
{
    (void)ctx;
    (void)request;
}

static void drain(void *ctx)
{
    (void)ctx;
}

static const struct block_ops image_ops = {.submit = submit, .cancel = cancel, .drain = drain};

static struct block_backend image(uint64_t size)
{
    return (struct block_backend){.ops = &image_ops, .inserted = true, .size_bytes = size};
}

/* ---- a guest ---- */

/* mov dword [address], value */
static void store32(struct rom *rom, uint16_t address, uint32_t value)
{
    EMIT(rom, 0x66, 0xC7, 0x06, (uint8_t)address, (uint8_t)(address >> 8), (uint8_t)value,
         (uint8_t)(value >> 8), (uint8_t)(value >> 16), (uint8_t)(value >> 24));
}

static void command(struct rom *rom, uint8_t opcode, uint32_t lba, uint8_t count)
{
    rom_out8(rom, 0x1F2, count);
    rom_out8(rom, 0x1F3, (uint8_t)lba);
    rom_out8(rom, 0x1F4, (uint8_t)(lba >> 8));
    rom_out8(rom, 0x1F5, (uint8_t)(lba >> 16));
    rom_out8(rom, 0x1F6, 0xE0);
    rom_out8(rom, 0x1F7, opcode);
}

static void finish(struct rom *rom)
{
    rom_out8(rom, 0x501, 0);
}

static struct pc *board(const struct rom *rom, enum pc_accel accel, struct block_backend *backend)
{
    struct pc_config config = board_config(rom, "max", accel);

    config.debug_exit = true;
    config.ide[0][0].backend = backend;
    return board_create(&config);
}

static uint32_t result(struct pc *pc, unsigned index)
{
    return (uint32_t)physmem_read(pc_memory(pc), RESULT + 4 * index, 4);
}

/* Code in RAM runs, is read anew from the disk by DMA, and runs again. */
static void dma_over_code(enum pc_accel accel)
{
    /* add word [RESULT], 1 or 16; retf */
    static const uint8_t first[] = {0x83, 0x06, 0x00, 0x06, 0x01, 0xCB};
    static const uint8_t second[] = {0x83, 0x06, 0x00, 0x06, 0x10, 0xCB};
    static const uint8_t call[] = {0x9A, 0x00, 0x80, 0x00, 0x00}; /* call 0000:8000 */
    struct block_backend backend = image(sizeof(disk));
    static struct rom rom;
    struct pc *pc;

    memset(disk, 0, sizeof(disk));
    memcpy(disk + 5 * SECTOR, first, sizeof(first));
    memcpy(disk + 6 * SECTOR, second, sizeof(second));
    rom_init(&rom);
    store32(&rom, RESULT, 0);
    store32(&rom, TABLE, OVERLAY);
    store32(&rom, TABLE + 4, 0x80000000u | SECTOR);
    rom_out32(&rom, 0xCF8, 0x80000920); /* BAR4 at C000h, I/O and bus mastering on */
    rom_out32(&rom, 0xCFC, 0xC001);
    rom_out32(&rom, 0xCF8, 0x80000904);
    rom_out32(&rom, 0xCFC, 5);
    rom_out32(&rom, 0xC004, TABLE);
    for (unsigned lba = 5; lba <= 6; lba++) {
        command(&rom, 0xC8, lba, 1);
        rom_out8(&rom, 0xC000, 9);
        rom_out8(&rom, 0xC000, 0);
        EMIT(&rom, 0xB9, 0x64, 0x00); /* mov cx, 100: often enough to be translated */
        rom_emit(&rom, call, sizeof(call));
        EMIT(&rom, 0xE2, 0xF9); /* loop */
    }
    finish(&rom);
    pc = board(&rom, accel, &backend);
    assert_int_equal(pc_run(pc, 10000000), PC_DEBUG_EXIT);
    assert_int_equal(result(pc, 0), 100 * 1 + 100 * 16);
    pc_destroy(pc);
}

static void test_dma_over_code(void **state)
{
    (void)state;
    dma_over_code(ACCEL_INTERPRET);
    dma_over_code(ACCEL_TRANSLATE);
}

/* READ SECTORS and WRITE SECTORS by REP INSD and REP OUTSW, an interrupt for each sector. */
static void pio_with_interrupts(enum pc_accel accel)
{
    struct block_backend backend = image(sizeof(disk));
    static struct rom rom;
    struct pc *pc;

    for (unsigned i = 0; i < sizeof(disk); i++)
        disk[i] = (uint8_t)(i * 3 >> 4);
    rom_init(&rom);
    store32(&rom, RESULT, 0);
    store32(&rom, 0x76 * 4, 0xF0008000); /* IRQ 14: F000:8000 */
    rom_out8(&rom, 0x20, 0x11);          /* 8259s: vectors 08h and 70h */
    rom_out8(&rom, 0x21, 0x08);
    rom_out8(&rom, 0x21, 0x04);
    rom_out8(&rom, 0x21, 0x01);
    rom_out8(&rom, 0xA0, 0x11);
    rom_out8(&rom, 0xA1, 0x70);
    rom_out8(&rom, 0xA1, 0x02);
    rom_out8(&rom, 0xA1, 0x01);
    rom_out8(&rom, 0x21, 0xFB);
    rom_out8(&rom, 0xA1, 0xBF);
    EMIT(&rom, 0xB8, BUFFER >> 4 & 0xFF, BUFFER >> 12, 0x8E, 0xC0, 0x31, 0xFF); /* es:di */
    command(&rom, 0x20, 100, 4);
    /* until di = 2048: sti; hlt; the handler moves a sector */
    EMIT(&rom, 0xFB, 0xF4, 0x81, 0xFF, 0x00, 0x08, 0x75, 0xF8, 0xFA);
    command(&rom, 0x30, 200, 1);
    EMIT(&rom, 0x06, 0x1F, 0x31, 0xF6, 0xB9, 0x00, 0x01, 0xBA, 0xF0, 0x01); /* ds = es; dx = 1F0 */
    EMIT(&rom, 0xF3, 0x6F);                                                 /* rep outsw */
    finish(&rom);
    rom.at = 0x8000; /* the handler: status, 128 dwords, count, end of interrupt */
    EMIT(&rom, 0xBA, 0xF7, 0x01, 0xEC, 0xBA, 0xF0, 0x01, 0xB9, 0x80, 0x00, 0xF3, 0x66, 0x6D);
    EMIT(&rom, 0xFF, 0x06, 0x00, 0x06, 0xB0, 0x20, 0xE6, 0xA0, 0xE6, 0x20, 0xCF);
    pc = board(&rom, accel, &backend);
    assert_int_equal(pc_run(pc, 10000000), PC_DEBUG_EXIT);
    assert_int_equal(result(pc, 0), 4);
    assert_memory_equal(physmem_backing(pc_memory(pc), BUFFER), disk + 100 * SECTOR, 4 * SECTOR);
    assert_memory_equal(disk + 200 * SECTOR, disk + 100 * SECTOR, SECTOR);
    pc_destroy(pc);
}

static void test_pio_with_interrupts(void **state)
{
    (void)state;
    pio_with_interrupts(ACCEL_INTERPRET);
    pio_with_interrupts(ACCEL_TRANSLATE);
}

static uint8_t cmos(struct pc *pc, uint8_t index)
{
    bus_io_write(pc->bus, 0x70, 1, index);
    return (uint8_t)bus_io_read(pc->bus, 0x71, 1);
}

static void test_cmos_tells_of_drives(void **state)
{
    struct block_backend backend = image(UINT64_C(20) << 30);
    static struct rom rom;
    struct pc *pc;

    (void)state;
    memset(disk, 0, SECTOR);
    rom_init(&rom);
    pc = board(&rom, ACCEL_INTERPRET, NULL);
    assert_int_equal(cmos(pc, 0x12), 0);
    assert_int_equal(cmos(pc, 0x39), 0);
    pc_destroy(pc);
    pc = board(&rom, ACCEL_INTERPRET, &backend);
    assert_int_equal(cmos(pc, 0x12), 0xF0);
    assert_int_equal(cmos(pc, 0x19), 47);
    assert_int_equal(cmos(pc, 0x1B) | cmos(pc, 0x1C) << 8, 16383);
    assert_int_equal(cmos(pc, 0x1D), 16);
    assert_int_equal(cmos(pc, 0x23), 63);
    assert_int_equal(cmos(pc, 0x39), 1);
    pc_destroy(pc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dma_over_code),
        cmocka_unit_test(test_pio_with_interrupts),
        cmocka_unit_test(test_cmos_tells_of_drives),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
