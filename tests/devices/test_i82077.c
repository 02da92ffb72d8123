/*
 * tests/devices/test_i82077.c -- the floppy controller, driven at its ports with the 8237 beside
 * it.  Expected values are those of the 82077AA data sheet's tables.
 */
#include "fake_floppy.h"

enum {
    DOR = 0x3F2,
    MSR = 0x3F4,
    DSR = 0x3F4,
    FIFO = 0x3F5,
    DIR = 0x3F7,
    CCR = 0x3F7,
    IRQ_WAIT_NS = 10000000,
    BUFFER = 0x2000,
};

struct rig {
    struct fake fake;
    struct fake_wire irq;
    struct i8237 *dma;
    struct fake_image image[2];
    struct i82077 *fdc;
    uint8_t result[10];
    unsigned result_count;
};

/* ---- a guest's driver ---- */

static void send(struct rig *rig, uint8_t value)
{
    assert_int_equal(in8(&rig->fake, MSR) & 0xC0, 0x80);
    out8(&rig->fake, FIFO, value);
}

static void send_all(struct rig *rig, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        send(rig, bytes[i]);
}

#define SEND(rig, ...) \
    send_all(rig, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void read_result(struct rig *rig)
{
    rig->result_count = 0;
    while ((in8(&rig->fake, MSR) & 0xD0) == 0xD0) {
        assert_true(rig->result_count < sizeof(rig->result));
        rig->result[rig->result_count++] = in8(&rig->fake, FIFO);
    }
    assert_int_equal(in8(&rig->fake, MSR) & 0xD0, 0x80);
}

/* A command with results at once. */
#define ASK(rig, ...)           \
    do {                        \
        SEND(rig, __VA_ARGS__); \
        read_result(rig);       \
    } while (0)

static void expect_result(struct rig *rig, const uint8_t *bytes, unsigned count)
{
    assert_int_equal(rig->result_count, count);
    assert_memory_equal(rig->result, bytes, count);
}

#define RESULT(rig, ...) \
    expect_result(rig, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void wait_irq(struct rig *rig)
{
    assert_false(rig->irq.line.level);
    fake_run(&rig->fake, IRQ_WAIT_NS);
    assert_true(rig->irq.line.level);
}

/* A command that ends in an interrupt, then its results. */
#define RUN(rig, ...)                        \
    do {                                     \
        SEND(rig, __VA_ARGS__);              \
        wait_irq(rig);                       \
        read_result(rig);                    \
        assert_false((rig)->irq.line.level); \
    } while (0)

static void seek(struct rig *rig, uint8_t drive, uint8_t cylinder)
{
    SEND(rig, 0x0F, drive, cylinder);
    wait_irq(rig);
    ASK(rig, 0x08);
    RESULT(rig, 0x20 | drive, cylinder);
}

/* Channel 2: `count` bytes at BUFFER; write: device to memory. */
static void dma(struct rig *rig, bool write, unsigned count)
{
    out8(&rig->fake, 0x0A, 0x06);
    out8(&rig->fake, 0x0C, 0);
    out8(&rig->fake, 0x0B, write ? 0x46 : 0x4A);
    out8(&rig->fake, 0x04, BUFFER & 0xFF);
    out8(&rig->fake, 0x04, BUFFER >> 8);
    out8(&rig->fake, 0x81, 0);
    out8(&rig->fake, 0x05, (uint8_t)(count - 1));
    out8(&rig->fake, 0x05, (uint8_t)((count - 1) >> 8));
    out8(&rig->fake, 0x0A, 0x02);
}

static void expect_sectors(struct rig *rig, unsigned first, unsigned count)
{
    for (unsigned i = 0; i < count * 512; i++)
        assert_int_equal(rig->fake.memory[BUFFER + i],
                         (uint8_t)(i % 2 == 0 ? first + i / 512 : (first + i / 512) >> 8));
}

static void leave_reset(struct rig *rig)
{
    out8(&rig->fake, DOR, 0x1C); /* motor A, DMA gate, no reset, drive A */
    assert_true(rig->irq.line.level);
    for (unsigned i = 0; i < 4; i++) {
        ASK(rig, 0x08);
        RESULT(rig, 0xC0 | i, 0);
        assert_false(rig->irq.line.level);
    }
}

static void rig_open_sizes(struct rig *rig, uint64_t size_a, uint64_t size_b)
{
    struct block_backend *drives[2] = {&rig->image[0].backend, &rig->image[1].backend};

    memset(rig, 0, sizeof(*rig));
    fake_open(&rig->fake);
    fake_wire_init(&rig->irq);
    rig->dma = i8237_create(rig->fake.bus);
    fake_image_open(&rig->image[0], size_a);
    fake_image_open(&rig->image[1], size_b);
    rig->fdc = i82077_create(rig->fake.bus, rig->fake.clock, &rig->irq.line,
                             i8237_channel(rig->dma, 2), drives);
    assert_non_null(rig->fdc);
    leave_reset(rig);
    out8(&rig->fake, CCR, 0);
    SEND(rig, 0x03, 0xAF, 0x02); /* SPECIFY: DMA */
}

static void rig_open(struct rig *rig)
{
    rig_open_sizes(rig, FLOPPY_144, FLOPPY_72);
}

static void rig_close(struct rig *rig)
{
    i82077_destroy(rig->fdc);
    i8237_destroy(rig->dma);
    fake_image_close(&rig->image[0]);
    fake_image_close(&rig->image[1]);
    fake_close(&rig->fake);
}

/* ---- registers and control commands ---- */

static void test_in_reset_nothing_answers(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    out8(&rig.fake, DOR, 0x08);
    assert_int_equal(in8(&rig.fake, MSR), 0);
    out8(&rig.fake, FIFO, 0x10);
    out8(&rig.fake, DOR, 0x0C);
    assert_int_equal(in8(&rig.fake, MSR), 0x80);
    assert_int_equal(in8(&rig.fake, DOR), 0x0C);
    assert_int_equal(in8(&rig.fake, 0x3F0), 0xFF);
    rig_close(&rig);
}

static void test_reset_interrupts_with_polling_off(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    out8(&rig.fake, DSR, 0x80);
    assert_true(rig.irq.line.level);
    ASK(&rig, 0x08);
    RESULT(&rig, 0xC0, 0);
    SEND(&rig, 0x13, 0, 0x1A, 0);
    out8(&rig.fake, DSR, 0x80);
    assert_true(rig.irq.line.level);
    for (unsigned i = 0; i < 4; i++) {
        ASK(&rig, 0x08);
        RESULT(&rig, 0xC0 | i, 0);
    }
    ASK(&rig, 0x08);
    RESULT(&rig, 0x80);
    rig_close(&rig);
}

static void test_interrupt_gate(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    out8(&rig.fake, DOR, 0x14);
    SEND(&rig, 0x07, 0);
    fake_run(&rig.fake, IRQ_WAIT_NS);
    assert_false(rig.irq.line.level);
    out8(&rig.fake, DOR, 0x1C);
    assert_true(rig.irq.line.level);
    rig_close(&rig);
}

static void test_control_commands(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    ASK(&rig, 0x10);
    RESULT(&rig, 0x90);
    ASK(&rig, 0x18); /* PART ID is a later chip's */
    RESULT(&rig, 0x80);
    ASK(&rig, 0x08);
    RESULT(&rig, 0x80);
    SEND(&rig, 0x13, 0, 0x5A, 7);
    SEND(&rig, 0x12, 0x80 | 0x08 | 2);
    ASK(&rig, 0x94);
    RESULT(&rig, 0x10);
    ASK(&rig, 0x0E);
    RESULT(&rig, 0, 0, 0, 0, 0xAF, 0x02, 0, 0x80 | 0x08 | 2, 0x5A, 7);
    SEND(&rig, 0x12, 0x01); /* without OW the drives stay */
    out8(&rig.fake, DSR, 0x80);
    ASK(&rig, 0x08);
    ASK(&rig, 0x0E); /* locked: the reset leaves CONFIGURE alone, not GAP and WGATE */
    RESULT(&rig, 0, 0, 0, 0, 0xAF, 0x02, 0, 0x80 | 0x08, 0x5A, 7);
    ASK(&rig, 0x14);
    RESULT(&rig, 0x00);
    out8(&rig.fake, DSR, 0x80);
    ASK(&rig, 0x08);
    ASK(&rig, 0x0E);
    RESULT(&rig, 0, 0, 0, 0, 0xAF, 0x02, 0, 0x08, 0x70, 0);
    rig_close(&rig);
}

static void test_seek_and_status(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    ASK(&rig, 0x04, 0x00);
    RESULT(&rig, 0x38); /* track 0 */
    SEND(&rig, 0x0F, 0x01, 5);
    assert_int_equal(in8(&rig.fake, MSR), 0x82); /* drive B seeks, a command may come */
    ASK(&rig, 0x08);
    RESULT(&rig, 0x80); /* not yet */
    SEND(&rig, 0x0F, 0x00, 40);
    wait_irq(&rig);
    assert_int_equal(in8(&rig.fake, MSR), 0x80);
    ASK(&rig, 0x08);
    RESULT(&rig, 0x20, 40);
    assert_true(rig.irq.line.level); /* the other one */
    ASK(&rig, 0x08);
    RESULT(&rig, 0x21, 5);
    assert_false(rig.irq.line.level);
    ASK(&rig, 0x04, 0x05);
    RESULT(&rig, 0x2D);
    SEND(&rig, 0xCF, 0x00, 3); /* 3 further in */
    wait_irq(&rig);
    ASK(&rig, 0x08);
    RESULT(&rig, 0x20, 43);
    SEND(&rig, 0x8F, 0x00, 2);
    wait_irq(&rig);
    ASK(&rig, 0x08);
    RESULT(&rig, 0x20, 41);
    SEND(&rig, 0x07, 0x00);
    wait_irq(&rig);
    ASK(&rig, 0x08);
    RESULT(&rig, 0x20, 0);
    SEND(&rig, 0x07, 0x02); /* no such drive: no track 0 */
    wait_irq(&rig);
    ASK(&rig, 0x08);
    RESULT(&rig, 0x72, 0);
    rig_close(&rig);
}

/* ---- data ---- */

static void test_read_sectors(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    seek(&rig, 0, 3);
    dma(&rig, true, 3 * 512);
    RUN(&rig, 0xE6, 0x04, 3, 1, 5, 2, 18, 0x1B, 0xFF);
    RESULT(&rig, 0x04, 0, 0, 3, 1, 8, 2);
    expect_sectors(&rig, (3 * 2 + 1) * 18 + 4, 3);
    rig_close(&rig);
}

static void test_read_across_sides(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    dma(&rig, true, 4 * 512);
    RUN(&rig, 0xC6, 0x00, 0, 0, 17, 2, 18, 0x1B, 0xFF);
    RESULT(&rig, 0x04, 0, 0, 0, 1, 3, 2);
    expect_sectors(&rig, 16, 4);
    /* Ended on the last sector of side 0: the next one is the first of side 1. */
    dma(&rig, true, 512);
    RUN(&rig, 0xC6, 0x00, 0, 0, 18, 2, 18, 0x1B, 0xFF);
    RESULT(&rig, 0x04, 0, 0, 0, 1, 1, 2);
    /* ... of side 1: the next cylinder. */
    dma(&rig, true, 512);
    RUN(&rig, 0xC6, 0x04, 0, 1, 18, 2, 18, 0x1B, 0xFF);
    RESULT(&rig, 0x04, 0, 0, 1, 0, 1, 2);
    /* Without MT the cylinder ends on either side. */
    dma(&rig, true, 512);
    RUN(&rig, 0x46, 0x00, 0, 0, 18, 2, 18, 0x1B, 0xFF);
    RESULT(&rig, 0x00, 0, 0, 1, 0, 1, 2);
    rig_close(&rig);
}

static void test_end_of_cylinder(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    dma(&rig, true, 8 * 512);
    RUN(&rig, 0x46, 0x00, 0, 0, 17, 2, 18, 0x1B, 0xFF);
    RESULT(&rig, 0x40, 0x80, 0, 1, 0, 1, 2);
    expect_sectors(&rig, 16, 2);
    rig_close(&rig);
}

static void test_transfer_shorter_than_a_sector(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    memset(rig.fake.memory + BUFFER, 0xEE, 1024);
    dma(&rig, true, 100);
    RUN(&rig, 0x46, 0x00, 0, 0, 2, 2, 18, 0x1B, 0xFF);
    RESULT(&rig, 0x00, 0, 0, 0, 0, 3, 2);
    assert_int_equal(rig.fake.memory[BUFFER + 98], 1);
    assert_int_equal(rig.fake.memory[BUFFER + 100], 0xEE);
    /* A write is filled up with zeros. */
    dma(&rig, false, 100);
    RUN(&rig, 0x45, 0x00, 0, 0, 4, 2, 18, 0x1B, 0xFF);
    RESULT(&rig, 0x00, 0, 0, 0, 0, 5, 2);
    assert_int_equal(rig.image[0].bytes[3 * 512 + 98], 1);
    assert_int_equal(rig.image[0].bytes[3 * 512 + 100], 0);
    assert_int_equal(rig.image[0].bytes[3 * 512 + 511], 0);
    assert_int_equal(rig.image[0].bytes[4 * 512], 4);
    rig_close(&rig);
}

static void test_write_sectors(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    for (unsigned i = 0; i < 36 * 512; i++)
        rig.fake.memory[BUFFER + i] = (uint8_t)(i / 512 + 100);
    seek(&rig, 0, 79);
    dma(&rig, false, 36 * 512);
    RUN(&rig, 0xC5, 0x00, 79, 0, 1, 2, 18, 0x1B, 0xFF);
    RESULT(&rig, 0x04, 0, 0, 80, 0, 1, 2);
    for (unsigned i = 0; i < 36 * 512; i++)
        assert_int_equal(rig.image[0].bytes[79 * 36 * 512 + i], (uint8_t)(i / 512 + 100));
    assert_int_equal(rig.image[0].bytes[79 * 36 * 512 - 2], (uint8_t)(79 * 36 - 1));
    rig_close(&rig);
}

static void test_sector_not_found(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    dma(&rig, true, 512);
    RUN(&rig, 0x46, 0x00, 7, 0, 1, 2, 18, 0x1B, 0xFF);
    RESULT(&rig, 0x40, 0x04, 0x10, 7, 0, 1, 2); /* the heads are on cylinder 0 */
    RUN(&rig, 0x46, 0x00, 0, 1, 1, 2, 18, 0x1B, 0xFF);
    RESULT(&rig, 0x40, 0x04, 0x00, 0, 1, 1, 2); /* the ID says head 0 */
    RUN(&rig, 0x46, 0x00, 0, 0, 19, 2, 36, 0x1B, 0xFF);
    RESULT(&rig, 0x40, 0x04, 0x00, 0, 0, 19, 2);
    RUN(&rig, 0x46, 0x00, 0, 0, 0, 2, 18, 0x1B, 0xFF);
    RESULT(&rig, 0x40, 0x04, 0x00, 0, 0, 0, 2);
    RUN(&rig, 0x46, 0x00, 0, 0, 1, 3, 18, 0x1B, 0xFF);
    RESULT(&rig, 0x40, 0x04, 0x00, 0, 0, 1, 3);
    dma(&rig, true, 4 * 512);
    RUN(&rig, 0x46, 0x00, 0, 0, 17, 2, 36, 0x1B, 0xFF); /* two are there, the third is not */
    RESULT(&rig, 0x40, 0x04, 0x00, 0, 0, 19, 2);
    expect_sectors(&rig, 16, 2);
    rig_close(&rig);
}

static void test_data_rate_must_fit(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    out8(&rig.fake, CCR, 2);
    RUN(&rig, 0x4A, 0x00);
    RESULT(&rig, 0x40, 0x01, 0, 0, 0, 0, 0);
    RUN(&rig, 0x4A, 0x05); /* the 720 KB disk in B */
    RESULT(&rig, 0x05, 0, 0, 0, 1, 1, 2);
    out8(&rig.fake, CCR, 0);
    RUN(&rig, 0x4A, 0x00);
    RESULT(&rig, 0x00, 0, 0, 0, 0, 1, 2);
    RUN(&rig, 0x0A, 0x00); /* FM */
    RESULT(&rig, 0x40, 0x01, 0, 0, 0, 0, 0);
    rig_close(&rig);
}

static void test_double_density(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    out8(&rig.fake, CCR, 2);
    seek(&rig, 1, 79);
    dma(&rig, true, 512);
    RUN(&rig, 0xC6, 0x05, 79, 1, 9, 2, 9, 0x2A, 0xFF);
    RESULT(&rig, 0x05, 0, 0, 80, 0, 1, 2);
    expect_sectors(&rig, 1439, 1);
    rig_close(&rig);
}

static void test_implied_seek(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    SEND(&rig, 0x13, 0, 0x60, 0);
    dma(&rig, true, 512);
    RUN(&rig, 0x46, 0x00, 33, 0, 1, 2, 18, 0x1B, 0xFF);
    RESULT(&rig, 0x00, 0, 0, 33, 0, 2, 2);
    expect_sectors(&rig, 33 * 36, 1);
    ASK(&rig, 0x0E);
    assert_int_equal(rig.result[0], 33);
    rig_close(&rig);
}

static void test_write_protect(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    fake_image_insert(&rig.image[0], FLOPPY_144, true);
    ASK(&rig, 0x04, 0x00);
    RESULT(&rig, 0x78);
    dma(&rig, false, 512);
    RUN(&rig, 0x45, 0x00, 0, 0, 1, 2, 18, 0x1B, 0xFF);
    RESULT(&rig, 0x40, 0x02, 0, 0, 0, 1, 2);
    RUN(&rig, 0x4D, 0x00, 2, 18, 0x54, 0xF6);
    assert_int_equal(rig.result[1], 0x02);
    assert_int_equal(rig.image[0].writes, 0);
    rig_close(&rig);
}

static void test_verify(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    RUN(&rig, 0x56, 0x00, 0, 0, 1, 2, 18, 0x1B, 0xFF);
    RESULT(&rig, 0x00, 0, 0, 1, 0, 1, 2);
    RUN(&rig, 0xD6, 0x80, 0, 0, 17, 2, 18, 0x1B, 4); /* EC: four sectors, two on each side */
    RESULT(&rig, 0x04, 0, 0, 0, 1, 3, 2);
    RUN(&rig, 0x56, 0x00, 0, 0, 1, 2, 19, 0x1B, 0xFF);
    RESULT(&rig, 0x40, 0x04, 0, 0, 0, 19, 2);
    rig_close(&rig);
}

static void test_read_track(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    dma(&rig, true, 18 * 512);
    RUN(&rig, 0x42, 0x00, 0, 0, 1, 2, 18, 0x1B, 0xFF);
    RESULT(&rig, 0x00, 0, 0, 1, 0, 1, 2);
    expect_sectors(&rig, 0, 18);
    dma(&rig, true, 3 * 512);
    RUN(&rig, 0x42, 0x00, 0, 0, 5, 2, 3, 0x1B, 0xFF); /* starts at the index hole all the same */
    RESULT(&rig, 0x00, 0x04, 0, 1, 0, 1, 2);
    expect_sectors(&rig, 0, 3);
    rig_close(&rig);
}

static void test_deleted_data(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    dma(&rig, true, 4 * 512);
    RUN(&rig, 0x4C, 0x00, 0, 0, 2, 2, 18, 0x1B, 0xFF);
    RESULT(&rig, 0x00, 0, 0x40, 0, 0, 2, 2); /* one sector, with the wrong mark */
    expect_sectors(&rig, 1, 1);
    dma(&rig, true, 4 * 512);
    RUN(&rig, 0xEC, 0x00, 0, 0, 2, 2, 18, 0x1B, 0xFF);
    RESULT(&rig, 0x44, 0x80, 0x40, 1, 0, 1, 2); /* all skipped */
    dma(&rig, false, 512);
    RUN(&rig, 0x49, 0x00, 0, 0, 3, 2, 18, 0x1B, 0xFF);
    RESULT(&rig, 0x00, 0, 0, 0, 0, 4, 2);
    assert_int_equal(rig.image[0].writes, 1);
    rig_close(&rig);
}

static void put_ids(struct rig *rig, unsigned sectors, uint8_t c, uint8_t h, unsigned interleave)
{
    for (unsigned i = 0; i < sectors; i++) {
        uint8_t *id = rig->fake.memory + BUFFER + (size_t)i * 4;

        id[0] = c;
        id[1] = h;
        id[2] = (uint8_t)(i * interleave % sectors + 1);
        id[3] = 2;
    }
}

static void test_format_track(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    seek(&rig, 0, 2);
    put_ids(&rig, 18, 2, 1, 5); /* interleaved */
    dma(&rig, false, 18 * 4);
    RUN(&rig, 0x4D, 0x04, 2, 18, 0x54, 0xF6);
    assert_int_equal(rig.result[0], 0x04);
    assert_int_equal(rig.result[1], 0);
    for (unsigned i = 0; i < 18 * 512; i++)
        assert_int_equal(rig.image[0].bytes[(2 * 36 + 18) * 512 + i], 0xF6);
    assert_int_equal(rig.image[0].bytes[(2 * 36 + 17) * 512], 2 * 36 + 17);
    assert_int_equal(rig.image[0].bytes[(3 * 36) * 512], 3 * 36);
    /* Nine sectors do not fit this image, nor twice the same, nor another cylinder's. */
    put_ids(&rig, 9, 2, 1, 1);
    dma(&rig, false, 9 * 4);
    RUN(&rig, 0x4D, 0x04, 2, 9, 0x54, 0xF6);
    assert_int_equal(rig.result[0], 0x54);
    put_ids(&rig, 18, 2, 1, 2);
    dma(&rig, false, 18 * 4);
    RUN(&rig, 0x4D, 0x04, 2, 18, 0x54, 0xF6);
    assert_int_equal(rig.result[0], 0x54);
    put_ids(&rig, 18, 3, 1, 1);
    dma(&rig, false, 18 * 4);
    RUN(&rig, 0x4D, 0x04, 2, 18, 0x54, 0xF6);
    assert_int_equal(rig.result[0], 0x54);
    assert_int_equal(rig.image[0].writes, 1);
    rig_close(&rig);
}

/* ---- DMA and PIO ---- */

/* The channel may be programmed after the command was given. */
static void test_dma_programmed_late(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    SEND(&rig, 0x46, 0x00, 0, 0, 1, 2, 18, 0x1B, 0xFF);
    fake_run(&rig.fake, 20000000);
    assert_int_equal(in8(&rig.fake, MSR), 0x10);
    assert_int_equal(in8(&rig.fake, 0x08) & 0x40, 0x40); /* DREQ2 */
    dma(&rig, true, 512);
    fake_run(&rig.fake, 20000000);
    assert_true(rig.irq.line.level);
    read_result(&rig);
    RESULT(&rig, 0x00, 0, 0, 0, 0, 2, 2);
    assert_int_equal(in8(&rig.fake, 0x08) & 0x40, 0);
    rig_close(&rig);
}

static void test_dma_never_programmed(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    SEND(&rig, 0x45, 0x00, 0, 0, 1, 2, 18, 0x1B, 0xFF);
    fake_run(&rig.fake, 900000000);
    assert_false(rig.irq.line.level);
    fake_run(&rig.fake, 200000000);
    assert_true(rig.irq.line.level);
    read_result(&rig);
    RESULT(&rig, 0x40, 0x10, 0, 0, 0, 1, 2);
    assert_int_equal(rig.image[0].writes, 0);
    rig_close(&rig);
}

static void test_pio(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    SEND(&rig, 0x03, 0xAF, 0x03); /* SPECIFY: non-DMA */
    SEND(&rig, 0x13, 0, 0x48, 0); /* implied seek, FIFO with threshold 9 */
    SEND(&rig, 0x46, 0x00, 1, 0, 17, 2, 18, 0x1B, 0xFF);
    assert_int_equal(in8(&rig.fake, MSR), 0x30);
    wait_irq(&rig);
    for (unsigned i = 0; i < 1024; i++) {
        const unsigned rises = rig.irq.rises;

        assert_int_equal(in8(&rig.fake, MSR), 0xF0);
        assert_true(rig.irq.line.level);
        rig.fake.memory[BUFFER + i] = in8(&rig.fake, FIFO);
        assert_int_equal(rig.irq.rises != rises, i % 8 == 7);
    }
    expect_sectors(&rig, 36 + 16, 2);
    read_result(&rig); /* there is no TC: PIO always runs into the end of the cylinder */
    RESULT(&rig, 0x40, 0x80, 0, 2, 0, 1, 2);

    SEND(&rig, 0x45, 0x00, 1, 0, 18, 2, 18, 0x1B, 0xFF);
    wait_irq(&rig);
    for (unsigned i = 0; i < 512; i++) {
        assert_int_equal(in8(&rig.fake, MSR), 0xB0);
        out8(&rig.fake, FIFO, (uint8_t)(i * 7));
    }
    read_result(&rig);
    RESULT(&rig, 0x40, 0x80, 0, 2, 0, 1, 2);
    for (unsigned i = 0; i < 512; i++)
        assert_int_equal(rig.image[0].bytes[(36 + 17) * 512 + i], (uint8_t)(i * 7));
    rig_close(&rig);
}

/* ---- media ---- */

static void test_disk_change(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    assert_int_equal(in8(&rig.fake, DIR), 0x80); /* nobody has looked at the disk yet */
    SEND(&rig, 0x07, 0x00);
    wait_irq(&rig);
    ASK(&rig, 0x08);
    assert_int_equal(in8(&rig.fake, DIR), 0x80); /* no step, no change */
    seek(&rig, 0, 1);
    assert_int_equal(in8(&rig.fake, DIR), 0);
    fake_image_insert(&rig.image[0], 0, false);
    assert_int_equal(in8(&rig.fake, DIR), 0x80);
    seek(&rig, 0, 2);
    assert_int_equal(in8(&rig.fake, DIR), 0x80);
    RUN(&rig, 0x46, 0x00, 0, 0, 1, 2, 18, 0x1B, 0xFF);
    RESULT(&rig, 0x40, 0x05, 0, 0, 0, 1, 2);
    fake_image_insert(&rig.image[0], FLOPPY_72, false);
    assert_int_equal(in8(&rig.fake, DIR), 0x80);
    seek(&rig, 0, 1);
    assert_int_equal(in8(&rig.fake, DIR), 0);
    out8(&rig.fake, CCR, 2);
    RUN(&rig, 0x4A, 0x00);
    RESULT(&rig, 0x00, 0, 0, 1, 0, 1, 2);
    rig_close(&rig);
}

static void test_slow_image(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    rig.image[0].later = true;
    dma(&rig, true, 512);
    SEND(&rig, 0x46, 0x00, 0, 0, 1, 2, 18, 0x1B, 0xFF);
    fake_run(&rig.fake, IRQ_WAIT_NS);
    assert_false(rig.irq.line.level);
    fake_image_finish(&rig.image[0]);
    assert_true(rig.irq.line.level);
    read_result(&rig);
    RESULT(&rig, 0x00, 0, 0, 0, 0, 2, 2);
    /* A reset, and an ejected disk, in the middle of a transfer. */
    SEND(&rig, 0x46, 0x00, 0, 0, 1, 2, 18, 0x1B, 0xFF);
    fake_run(&rig.fake, IRQ_WAIT_NS);
    out8(&rig.fake, DSR, 0x80);
    assert_int_equal(rig.image[0].cancelled, 1);
    ASK(&rig, 0x08);
    RESULT(&rig, 0xC0, 0);
    SEND(&rig, 0x46, 0x00, 0, 0, 1, 2, 18, 0x1B, 0xFF);
    fake_run(&rig.fake, IRQ_WAIT_NS);
    fake_image_insert(&rig.image[0], 0, false);
    assert_int_equal(rig.image[0].cancelled, 2);
    assert_true(rig.irq.line.level);
    read_result(&rig);
    assert_int_equal(rig.result[0], 0x40);
    rig_close(&rig);
}

static void test_host_errors(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    rig.image[0].error = -5;
    dma(&rig, true, 512);
    RUN(&rig, 0x46, 0x00, 0, 0, 1, 2, 18, 0x1B, 0xFF);
    RESULT(&rig, 0x40, 0x20, 0x20, 0, 0, 1, 2);
    dma(&rig, false, 512);
    RUN(&rig, 0x45, 0x00, 0, 0, 1, 2, 18, 0x1B, 0xFF);
    RESULT(&rig, 0x50, 0x00, 0x00, 0, 0, 1, 2);
    rig_close(&rig);
}

static void test_short_image(void **state)
{
    struct rig rig;

    (void)state;
    rig_open_sizes(&rig, 17 * 512, 0);
    assert_int_equal(i82077_drive_type(rig.fdc, 0), FLOPPY_1440K);
    assert_int_equal(i82077_drive_type(rig.fdc, 1), FLOPPY_1440K);
    assert_int_equal(i82077_drive_type(rig.fdc, 2), FLOPPY_NONE);
    memset(rig.fake.memory + BUFFER, 0xEE, 4 * 512);
    dma(&rig, true, 4 * 512);
    RUN(&rig, 0xC6, 0x00, 0, 0, 17, 2, 18, 0x1B, 0xFF);
    RESULT(&rig, 0x04, 0, 0, 0, 1, 3, 2);
    expect_sectors(&rig, 16, 1);
    for (unsigned i = 512; i < 4 * 512; i++)
        assert_int_equal(rig.fake.memory[BUFFER + i], 0);
    dma(&rig, false, 512);
    RUN(&rig, 0x45, 0x00, 0, 0, 18, 2, 18, 0x1B, 0xFF);
    assert_int_equal(rig.result[0], 0x50);
    rig_close(&rig);
}

/* Every common size is read at its last sector. */
static void test_formats(void **state)
{
    static const struct {
        uint8_t cylinders, heads, sectors, rate;
        enum i82077_drive_type type;
    } formats[] = {{80, 2, 36, 3, FLOPPY_2880K}, {80, 2, 18, 0, FLOPPY_1440K},
                   {80, 2, 9, 2, FLOPPY_1440K},  {80, 2, 15, 0, FLOPPY_1200K},
                   {40, 2, 9, 2, FLOPPY_360K},   {40, 1, 8, 2, FLOPPY_360K},
                   {80, 2, 21, 0, FLOPPY_1440K}};

    (void)state;
    for (unsigned i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        const uint8_t c = formats[i].cylinders, h = formats[i].heads, s = formats[i].sectors;
        const uint8_t head = h - 1;
        struct rig rig;

        rig_open_sizes(&rig, (uint64_t)c * h * s * 512, 0);
        assert_int_equal(i82077_drive_type(rig.fdc, 0), formats[i].type);
        out8(&rig.fake, CCR, formats[i].rate);
        seek(&rig, 0, c - 1);
        dma(&rig, true, 512);
        RUN(&rig, 0x46, (uint8_t)(head << 2), (uint8_t)(c - 1), head, s, 2, s, 0x1B, 0xFF);
        RESULT(&rig, (uint8_t)(head << 2), 0, 0, c, head, 1, 2);
        expect_sectors(&rig, (unsigned)c * h * s - 1, 1);
        rig_close(&rig);
    }
}

/* A 360 KB disk in a 1.2 MB drive: every other track, and 300 kbit/s. */
static void test_double_step(void **state)
{
    struct rig rig;

    (void)state;
    rig_open_sizes(&rig, 80 * 2 * 15 * 512, 0);
    fake_image_insert(&rig.image[0], 40 * 2 * 9 * 512, false);
    out8(&rig.fake, CCR, 1);
    seek(&rig, 0, 6);
    RUN(&rig, 0x4A, 0x00);
    RESULT(&rig, 0x00, 0, 0, 3, 0, 1, 2);
    seek(&rig, 0, 7);
    RUN(&rig, 0x4A, 0x00);
    RESULT(&rig, 0x40, 0x01, 0, 0, 0, 0, 0);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_reset_nothing_answers),
        cmocka_unit_test(test_reset_interrupts_with_polling_off),
        cmocka_unit_test(test_interrupt_gate),
        cmocka_unit_test(test_control_commands),
        cmocka_unit_test(test_seek_and_status),
        cmocka_unit_test(test_read_sectors),
        cmocka_unit_test(test_read_across_sides),
        cmocka_unit_test(test_end_of_cylinder),
        cmocka_unit_test(test_transfer_shorter_than_a_sector),
        cmocka_unit_test(test_write_sectors),
        cmocka_unit_test(test_sector_not_found),
        cmocka_unit_test(test_data_rate_must_fit),
        cmocka_unit_test(test_double_density),
        cmocka_unit_test(test_implied_seek),
        cmocka_unit_test(test_write_protect),
        cmocka_unit_test(test_verify),
        cmocka_unit_test(test_read_track),
        cmocka_unit_test(test_deleted_data),
        cmocka_unit_test(test_format_track),
        cmocka_unit_test(test_dma_programmed_late),
        cmocka_unit_test(test_dma_never_programmed),
        cmocka_unit_test(test_pio),
        cmocka_unit_test(test_disk_change),
        cmocka_unit_test(test_slow_image),
        cmocka_unit_test(test_host_errors),
        cmocka_unit_test(test_short_image),
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_double_step),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
