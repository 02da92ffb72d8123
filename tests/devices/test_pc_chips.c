/*
 * tests/devices/test_pc_chips.c -- how the board wires the HPET, the floppy controller, the test
 * device and the power button, and what a direct boot says of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "devices/pc_internal.h"
#include "tests/devices/board.h"

#define MIB (UINT64_C(1) << 20)

enum { MEMORY_SIZE = 1 << 16 };

static struct pc *pc_start(const struct pc_config *extra)
{
    const struct pc_config plain = board_config(NULL, "max", ACCEL_INTERPRET);
    struct pc_config config = *extra;

    config.ram_bytes = plain.ram_bytes;
    config.accel = plain.accel;
    config.model = plain.model;
    config.no_vga = true;
    config.counted_time = true;
    return board_create(&config);
}

static uint8_t in8(struct pc *pc, uint16_t port)
{
    return (uint8_t)bus_io_read(pc->bus, port, 1);
}

static void out8(struct pc *pc, uint16_t port, uint8_t value)
{
    bus_io_write(pc->bus, port, 1, value);
}

/* Requests of the 8259s: bit n is IRQ n. */
static unsigned requests(struct pc *pc)
{
    out8(pc, 0x20, 0x0A);
    out8(pc, 0xA0, 0x0A);
    return in8(pc, 0x20) | (unsigned)in8(pc, 0xA0) << 8;
}

/* Initialise the 8259s as a PC has them, all masked. */
static void pic_init(struct pc *pc)
{
    for (unsigned i = 0; i < 2; i++) {
        const uint16_t port = i == 0 ? 0x20 : 0xA0;

        out8(pc, port, 0x11);
        out8(pc, port + 1, i == 0 ? 0x20 : 0x28);
        out8(pc, port + 1, i == 0 ? 4 : 2);
        out8(pc, port + 1, 1);
        out8(pc, port + 1, 0xFF);
    }
}

static void ioapic_write(struct pc *pc, unsigned reg, uint32_t value)
{
    physmem_write(pc->mem, IOAPIC_BASE, 4, reg);
    physmem_write(pc->mem, IOAPIC_BASE + 0x10, 4, value);
}

static uint32_t ioapic_read(struct pc *pc, unsigned reg)
{
    physmem_write(pc->mem, IOAPIC_BASE, 4, reg);
    return (uint32_t)physmem_read(pc->mem, IOAPIC_BASE + 0x10, 4);
}

/* A level-triggered pin: remote IRR shows that it was sent. */
static bool pin_sends(struct pc *pc, unsigned pin)
{
    const bool sent = ioapic_read(pc, 0x10 + 2 * pin) & 1u << 14;

    ioapic_write(pc, 0x10 + 2 * pin, 0x30); /* edge: forgets it */
    ioapic_write(pc, 0x10 + 2 * pin, 1u << 15 | (0x30 + pin));
    return sent;
}

static void test_hpet_takes_irq0_and_irq8(void **state)
{
    struct pc *pc = pc_start(&(struct pc_config){.no_hpet = false});

    (void)state;
    pic_init(pc);
    assert_int_equal(physmem_read(pc->mem, HPET_BASE, 4), HPET_BLOCK_ID);
    out8(pc, 0x43, 0x34); /* 8254: rate generator, OUT is high */
    out8(pc, 0x40, 0);
    out8(pc, 0x40, 0);
    assert_int_equal(requests(pc) & 0x0101, 0x0001);
    physmem_write(pc->mem, HPET_BASE + 0x10, 8, 3);
    assert_int_equal(requests(pc) & 0x0101, 0);
    /* timer 1, a match at once */
    physmem_write(pc->mem, HPET_BASE + 0x120, 8, 4);
    physmem_write(pc->mem, HPET_BASE + 0x128, 8, 0);
    assert_int_equal(requests(pc) & 0x0101, 0x0100);
    physmem_write(pc->mem, HPET_BASE + 0x10, 8, 1);
    assert_int_equal(requests(pc) & 0x0101, 0x0001); /* the 8254 has it back */
    /* timer 2 on an I/O APIC pin */
    (void)pin_sends(pc, 21);
    assert_false(pin_sends(pc, 21));
    physmem_write(pc->mem, HPET_BASE + 0x140, 8, 21 << 9 | 4 | 2);
    physmem_write(pc->mem, HPET_BASE + 0x148, 8, 0);
    assert_true(pin_sends(pc, 21));
    pc_destroy(pc);
}

static void test_no_hpet(void **state)
{
    struct pc *pc = pc_start(&(struct pc_config){.no_hpet = true, .direct_boot = true});

    (void)state;
    assert_true(physmem_read(pc->mem, HPET_BASE, 4) != HPET_BLOCK_ID);
    pc_destroy(pc);
}

static void test_testdev(void **state)
{
    struct pc *pc = pc_start(&(struct pc_config){.testdev = true});

    (void)state;
    pic_init(pc);
    /* the ports keep what is written, in any size */
    bus_io_write(pc->bus, 0xE0, 4, 0x11223344);
    assert_int_equal(bus_io_read(pc->bus, 0xE0, 4), 0x11223344);
    assert_int_equal(bus_io_read(pc->bus, 0xE1, 1), 0x33);
    assert_int_equal(bus_io_read(pc->bus, 0xE2, 2), 0x1122);
    bus_io_write(pc->bus, 0xE8, 4, 0xAABBCCDD);
    assert_int_equal(bus_io_read(pc->bus, 0xE0, 4), 0xAABBCCDD);
    bus_io_write(pc->bus, 0xE4, 4, 0x1000);
    /* memory */
    physmem_write(pc->mem, TESTDEV_MEMORY_BASE + 0x1234, 4, 0xCAFEF00D);
    assert_int_equal(physmem_read(pc->mem, TESTDEV_MEMORY_BASE + 0x1234, 4), 0xCAFEF00D);
    assert_int_equal(physmem_read(pc->mem, TESTDEV_MEMORY_BASE + 0x1236, 1), 0xFE);
    assert_int_equal(physmem_read(pc->mem, TESTDEV_MEMORY_BASE + MEMORY_SIZE - 8, 8), 0);
    /* interrupt lines */
    for (unsigned irq = 0; irq < ISA_IRQ_COUNT; irq++) {
        const unsigned before = requests(pc);

        if (irq == 2 || (before & 1u << irq))
            continue;
        out8(pc, (uint16_t)(0x2000 + irq), 1);
        assert_int_equal(requests(pc) & ~4u, (before | 1u << irq) & ~4u);
        out8(pc, (uint16_t)(0x2000 + irq), 0);
        assert_int_equal(requests(pc) & ~4u, before & ~4u);
    }
    (void)pin_sends(pc, 23);
    assert_false(pin_sends(pc, 23));
    out8(pc, 0x2017, 1);
    assert_true(pin_sends(pc, 23));
    out8(pc, 0x2017, 0);
    (void)pin_sends(pc, 23);
    assert_false(pin_sends(pc, 23));
    pc_reset(pc);
    assert_int_equal(bus_io_read(pc->bus, 0xE0, 4), 0);
    assert_int_equal(physmem_read(pc->mem, TESTDEV_MEMORY_BASE + 0x1234, 4), 0);
    pc_destroy(pc);
}

static void test_power_button(void **state)
{
    struct pc *pc = pc_start(&(struct pc_config){.direct_boot = true});

    (void)state;
    pic_init(pc);
    out8(pc, 0x4D1, 0x0E);                   /* level */
    bus_io_write(pc->bus, 0x602, 2, 0x0100); /* PWRBTN_EN */
    piix4_pm_power_button(pc->pm);
    assert_int_equal(requests(pc) & 0x200, 0); /* ACPI is not enabled yet */
    out8(pc, PIIX4_SMI_CMD, PIIX4_ACPI_ENABLE);
    assert_int_equal(requests(pc) & 0x200, 0x200);
    assert_int_equal(bus_io_read(pc->bus, 0x600, 2) & 0x0100, 0x0100);
    bus_io_write(pc->bus, 0x600, 2, 0x0100);
    assert_int_equal(requests(pc) & 0x200, 0);
    piix4_pm_power_button(pc->pm);
    assert_int_equal(requests(pc) & 0x200, 0x200);
    pc_destroy(pc);
}

/* ---- floppy: IRQ 6, DMA channel 2, what CMOS says ---- */

struct image {
    struct block_backend backend;
    uint8_t fill;
};

static void image_submit(void *ctx, struct block_request *request)
{
    struct image *image = ctx;

    for (unsigned i = 0; i < request->iov_count; i++)
        memset(request->iov[i].iov_base, image->fill, request->iov[i].iov_len);
    request->done(request, 0);
}

static void image_cancel(void *ctx, struct block_request *request)
{
    (void)ctx;
    (void)request;
}

static void image_drain(void *ctx)
{
    (void)ctx;
}

static const struct block_ops image_ops = {
    .submit = image_submit, .cancel = image_cancel, .drain = image_drain};

static void image_init(struct image *image, uint64_t size_bytes)
{
    *image = (struct image){
        .backend = {.ops = &image_ops, .ctx = image, .inserted = true, .size_bytes = size_bytes},
        .fill = 0x5A};
}

static uint8_t cmos(struct pc *pc, uint8_t index)
{
    out8(pc, 0x70, index);
    return in8(pc, 0x71);
}

static void advance(struct pc *pc, uint64_t ns)
{
    pc->skipped_ns += ns;
    clock_run(pc->clock);
}

static void test_floppy(void **state)
{
    static const uint8_t read[] = {0x46, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF};
    static struct image image[2];
    struct pc *pc;

    (void)state;
    pc = pc_start(&(struct pc_config){.no_hpet = false});
    assert_int_equal(cmos(pc, 0x10), 0);
    assert_int_equal(cmos(pc, 0x14), 0x06);
    pc_destroy(pc);

    image_init(&image[0], 1474560);
    image_init(&image[1], 2949120);
    pc = pc_start(&(struct pc_config){
        .floppy = {{.backend = &image[0].backend}, {.backend = &image[1].backend}}});
    assert_int_equal(cmos(pc, 0x10), 0x45);
    assert_int_equal(cmos(pc, 0x14), 0x47);
    pic_init(pc);
    out8(pc, 0x3F2, 0x1C);
    assert_int_equal(requests(pc) & 0x40, 0x40);
    out8(pc, 0x3F7, 0);
    out8(pc, 0x0B, 0x46); /* channel 2 to 0x8000, 512 bytes */
    out8(pc, 0x0C, 0);
    out8(pc, 0x04, 0x00);
    out8(pc, 0x04, 0x80);
    out8(pc, 0x81, 0);
    out8(pc, 0x05, 0xFF);
    out8(pc, 0x05, 0x01);
    out8(pc, 0x0A, 2);
    for (unsigned i = 0; i < sizeof(read); i++)
        out8(pc, 0x3F5, read[i]);
    assert_int_equal(requests(pc) & 0x40, 0);
    advance(pc, 1000000);
    assert_int_equal(requests(pc) & 0x40, 0x40);
    assert_int_equal(in8(pc, 0x3F5), 0);
    assert_int_equal(physmem_read(pc->mem, 0x8000, 1), 0x5A);
    assert_int_equal(physmem_read(pc->mem, 0x81FF, 1), 0x5A);
    assert_int_equal(physmem_read(pc->mem, 0x8200, 1), 0);
    pc_destroy(pc);
    assert_null(image[0].backend.drive);
}

/* ---- direct boot ---- */

static uint8_t sum(struct pc *pc, uint64_t at, size_t size)
{
    uint8_t total = 0;

    for (size_t i = 0; i < size; i++)
        total += (uint8_t)physmem_read(pc->mem, at + i, 1);
    return total;
}

static void test_mp_table(void **state)
{
    static const unsigned sizes[] = {20, 8, 8, 8, 8};
    struct pc *pc = pc_start(&(struct pc_config){.direct_boot = true});
    uint64_t floating = 0xF0000, table, at;
    unsigned entries, counts[5] = {0}, timer_pin = 0;

    (void)state;
    while (physmem_read(pc->mem, floating, 4) != 0x5F504D5F) /* _MP_ */
        assert_true((floating += 16) < 0x100000);
    assert_int_equal(sum(pc, floating, 16), 0);
    table = physmem_read(pc->mem, floating + 4, 4);
    assert_int_equal(physmem_read(pc->mem, table, 4), 0x504D4350); /* PCMP */
    assert_int_equal(sum(pc, table, physmem_read(pc->mem, table + 4, 2)), 0);
    entries = (unsigned)physmem_read(pc->mem, table + 34, 2);
    at = table + 44;
    for (unsigned i = 0; i < entries; i++) {
        const unsigned type = (unsigned)physmem_read(pc->mem, at, 1);

        assert_in_range(type, 0, 4);
        counts[type]++;
        if (type == 3 && physmem_read(pc->mem, at + 4, 1) == 1 &&
            physmem_read(pc->mem, at + 5, 1) == 0)
            timer_pin = (unsigned)physmem_read(pc->mem, at + 7, 1);
        at += sizes[type];
    }
    assert_int_equal(at - table, physmem_read(pc->mem, table + 4, 2));
    assert_int_equal(counts[0], 1);
    assert_int_equal(counts[1], 2);
    assert_int_equal(counts[2], 1);
    assert_int_equal(counts[4], 2);
    assert_int_equal(timer_pin, 2);
    pc_destroy(pc);
}

/* The RSDT leads to an HPET table that says where the registers are. */
static void test_hpet_table(void **state)
{
    struct pc *pc = pc_start(&(struct pc_config){.direct_boot = true});
    const uint64_t rsdt = physmem_read(pc->mem, pc_rsdp(pc) + 16, 4);
    const unsigned count = (unsigned)(physmem_read(pc->mem, rsdt + 4, 4) - 36) / 4;
    bool found = false;

    (void)state;
    for (unsigned i = 0; i < count; i++) {
        const uint64_t table = physmem_read(pc->mem, rsdt + 36 + 4 * i, 4);

        assert_int_equal(sum(pc, table, physmem_read(pc->mem, table + 4, 4)), 0);
        if (physmem_read(pc->mem, table, 4) != 0x54455048)
            continue;
        found = true;
        assert_int_equal(physmem_read(pc->mem, table + 36, 4), HPET_BLOCK_ID);
        assert_int_equal(physmem_read(pc->mem, table + 44, 4), HPET_BASE);
    }
    assert_true(found);
    pc_destroy(pc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hpet_takes_irq0_and_irq8),
        cmocka_unit_test(test_no_hpet),
        cmocka_unit_test(test_testdev),
        cmocka_unit_test(test_power_button),
        cmocka_unit_test(test_floppy),
        cmocka_unit_test(test_mp_table),
        cmocka_unit_test(test_hpet_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
