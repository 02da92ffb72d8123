/*
 * tests/devices/test_late_timer.c -- the board where the host was late: a CPU that takes IRQ 0 gets
 * what the timer owes at once, by whichever way interrupts are routed.  Linux panicked with
 * "IO-APIC + timer doesn't work" when the ticks it waited for came after its time was up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "devices/pc_internal.h"
#include "tests/devices/board.h"

enum { VECTOR_PIC = 0x30, VECTOR_APIC = 0x51, PERIODS_LATE = 20, BURST = 9 };
enum { LAPIC_EOI = 0xB0, LAPIC_SVR = 0xF0 };
#define PERIOD_NS UINT64_C(4000000)

static struct pc *board(void)
{
    static struct rom rom;
    struct pc_config config;

    rom_clear(&rom);
    config = board_config(&rom, "max", ACCEL_INTERPRET);
    config.counted_time = true; /* which a test can set */
    return board_create(&config);
}

static void out8(struct pc *pc, uint16_t port, uint8_t value)
{
    pc_cpu_ops.io_write(pc, port, 1, value);
}

static void start_8254(struct pc *pc)
{
    out8(pc, 0x43, 0x34);
    out8(pc, 0x40, 4773 & 0xFF); /* 4 ms */
    out8(pc, 0x40, 4773 >> 8);
}

static void start_hpet(struct pc *pc)
{
    hpet_mmio.write(pc->hpet, 0x010, 8, 3);
    hpet_mmio.write(pc->hpet, 0x100, 8, 0x14C); /* on, periodic, value set, 32 bits */
    hpet_mmio.write(pc->hpet, 0x108, 8, PERIOD_NS / HPET_NS_PER_TICK);
    hpet_mmio.write(pc->hpet, 0x108, 8, PERIOD_NS / HPET_NS_PER_TICK);
}

static void route_to_pic(struct pc *pc)
{
    static const uint8_t icw[] = {VECTOR_PIC, 0x04, 0x01};

    out8(pc, 0x20, 0x11);
    for (unsigned i = 0; i < sizeof(icw); i++)
        out8(pc, 0x21, icw[i]);
    out8(pc, 0x21, 0xFE);
}

static void route_to_apic(struct pc *pc)
{
    lapic_mmio.write(pc->lapic, LAPIC_SVR, 4, 0x1FF);
    ioapic_mmio.write(pc->ioapic, 0x00, 4, 0x10 + 2 * 2); /* pin 2 */
    ioapic_mmio.write(pc->ioapic, 0x10, 4, VECTOR_APIC);
}

/* Interrupts that the CPU can take now, one after the other. */
static unsigned take_all(struct pc *pc, int vector)
{
    unsigned taken = 0;

    while (pc->cpu_intr.level && taken < 2 * PERIODS_LATE) {
        assert_int_equal(pc_cpu_ops.interrupt_acknowledge(pc), vector);
        taken++;
        if (vector == VECTOR_PIC)
            out8(pc, 0x20, 0x20);
        else
            lapic_mmio.write(pc->lapic, LAPIC_EOI, 4, 0);
    }
    return taken;
}

static void check(void (*start)(struct pc *), void (*route)(struct pc *), int vector)
{
    struct pc *pc = board();

    route(pc);
    start(pc);
    (void)take_all(pc, vector);
    pc->skipped_ns += PERIOD_NS + PERIOD_NS / 2;
    clock_run(pc->clock);
    assert_int_equal(take_all(pc, vector), 1); /* on time: no more than there are */
    pc->skipped_ns += PERIODS_LATE * PERIOD_NS;
    clock_run(pc->clock);
    assert_int_equal(take_all(pc, vector), BURST);
    pc_destroy(pc);
}

static void test_late_8254(void **state)
{
    (void)state;
    check(start_8254, route_to_pic, VECTOR_PIC);
    check(start_8254, route_to_apic, VECTOR_APIC);
}

static void test_late_hpet(void **state)
{
    (void)state;
    check(start_hpet, route_to_pic, VECTOR_PIC);
    check(start_hpet, route_to_apic, VECTOR_APIC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_late_8254),
        cmocka_unit_test(test_late_hpet),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
