/*
 * tests/devices/test_pc_screen.c -- the board's screen: a guest that stores to the frame buffer,
 * and somebody who looks.
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

#define FRAME_BUFFER 0xE0000000u
#define STOP_FLAG    0x500

enum { WIDTH = 640, HEIGHT = 400, LAST_X = 636, LAST_Y = 399 };

/*
 * In real mode, with ES as large as protected mode made it:
 *   mov edi, 0E0000000h
 *   loop:  inc dword [es:edi]
 *          add dword [es:edi + (399 * 640 + 636) * 4], 3
 *          cmp byte [500h], 0
 *          je loop
 *          hlt                     with interrupts off
 */
static const uint8_t code[] = {
    /* clang-format off */
    0xFA, 0x31, 0xC0, 0x8E, 0xD8, 0x2E, 0x66, 0x0F, 0x01, 0x16, 0x3D, 0x00, 0x0F, 0x20,
    0xC0, 0x0C, 0x01, 0x0F, 0x22, 0xC0, 0xEB, 0x00, 0xBB, 0x08, 0x00, 0x8E, 0xC3, 0x24,
    0xFE, 0x0F, 0x22, 0xC0, 0x66, 0xBF, 0x00, 0x00, 0x00, 0xE0, 0x26, 0x66, 0x67, 0xFF,
    0x07, 0x26, 0x66, 0x67, 0x83, 0x87, 0xF0, 0x9F, 0x0F, 0x00, 0x03, 0x80, 0x3E, 0x00,
    0x05, 0x00, 0x74, 0xEA, 0xF4, 0x0F, 0x00, 0x43, 0x00, 0x0F, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0x00, 0x00, 0x00, 0x92, 0x8F, 0x00,
    /* clang-format on */
};

struct seen {
    struct pc *pc;
    struct clock_timer deadline;
    unsigned resizes, updates;
    uint32_t width, height;
    uint32_t first, last; /* the two pixels that the guest counts in */
    bool elsewhere;       /* something else was said to have changed */
    struct rom rom;
};

static void on_resized(void *ctx, const struct display_surface *surface)
{
    struct seen *seen = ctx;

    seen->resizes++;
    seen->width = surface->width;
    seen->height = surface->height;
}

static void on_updated(void *ctx, const struct display_surface *surface,
                       const struct display_rect *rects, size_t count)
{
    struct seen *seen = ctx;

    seen->updates++;
    if (surface->width != WIDTH)
        return;
    seen->first = surface->pixels[0];
    seen->last = surface->pixels[LAST_Y * WIDTH + LAST_X];
    for (size_t i = 0; i < count; i++)
        seen->elsewhere |= !(rects[i].width == 1 && rects[i].height == 1 &&
                             ((rects[i].x == 0 && rects[i].y == 0) ||
                              (rects[i].x == LAST_X && rects[i].y == LAST_Y)));
}

static void stop_now(void *ctx, uint64_t now_ns)
{
    struct seen *seen = ctx;

    (void)now_ns;
    pc_stop(seen->pc);
}

static void run_for(struct seen *seen, unsigned ms)
{
    seen->deadline = (struct clock_timer){.fire = stop_now, .ctx = seen};
    clock_arm(seen->pc->clock, &seen->deadline,
              clock_now_ns(seen->pc->clock) + ms * UINT64_C(1000000));
    assert_int_equal(pc_run(seen->pc, UINT64_MAX), PC_STOPPED);
}

static void dispi_set(struct pc *pc, uint16_t index, uint16_t value)
{
    bus_io_write(pc->bus, 0x1CE, 2, index);
    bus_io_write(pc->bus, 0x1D0, 2, value);
}

static struct seen *open_board(enum pc_accel accel)
{
    struct seen *seen = calloc(1, sizeof(*seen));
    struct pc_config config;

    assert_non_null(seen);
    rom_clear(&seen->rom);
    rom_emit(&seen->rom, code, sizeof(code));
    config = board_config(&seen->rom, "qemu32", accel);
    config.ram_bytes = 4 << 20;
    seen->pc = board_create(&config);
    pci_config_write(seen->pc->pci, PCI_DEVFN(2, 0), PCI_BAR0, 4, FRAME_BUFFER);
    pci_config_write(seen->pc->pci, PCI_DEVFN(2, 0), PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
    dispi_set(seen->pc, 1, WIDTH);
    dispi_set(seen->pc, 2, HEIGHT);
    dispi_set(seen->pc, 3, 32);
    dispi_set(seen->pc, 4, 0x41);
    (void)bus_io_read(seen->pc->bus, 0x3DA, 1);
    bus_io_write(seen->pc->bus, 0x3C2, 1, 1);
    (void)bus_io_read(seen->pc->bus, 0x3DA, 1);
    bus_io_write(seen->pc->bus, 0x3C0, 1, 0x20); /* unblank */
    return seen;
}

static void close_board(struct seen *seen)
{
    pc_destroy(seen->pc);
    free(seen);
}

static void attach(struct seen *seen)
{
    const struct display_client client = {seen, on_resized, on_updated};

    assert_int_equal(pc_screen_attach(seen->pc, &client), 0);
    assert_int_equal(seen->resizes, 1);
    assert_int_equal(seen->updates, 1);
    seen->updates = 0;
    seen->elsewhere = false;
}

/* Stores by the CPU are noticed again and again, at the pace of a screen; when they end, so does
 * the work. */
static void check_stores(enum pc_accel accel)
{
    struct seen *seen = open_board(accel);
    uint32_t before;

    attach(seen);
    assert_int_equal(seen->width, WIDTH);
    assert_int_equal(seen->height, HEIGHT);
    for (unsigned i = 0; i < 50 && seen->updates < 4; i++)
        run_for(seen, 100);
    assert_true(seen->updates >= 4);
    assert_true(seen->first != 0 && seen->last != 0);
    assert_false(seen->elsewhere);
    before = seen->first;
    seen->updates = 0;
    run_for(seen, 200);
    assert_in_range(seen->updates, 0, 8);
    physmem_write(seen->pc->mem, STOP_FLAG, 1, 1);
    run_for(seen, 200);
    assert_true(seen->pc->cpu->halted);
    assert_true(seen->first > before);
    /* the last store was seen */
    assert_int_equal(seen->first, physmem_read(seen->pc->mem, FRAME_BUFFER, 4) & 0xFFFFFF);
    assert_int_equal(seen->last,
                     physmem_read(seen->pc->mem, FRAME_BUFFER + 4 * (LAST_Y * WIDTH + LAST_X), 4) &
                         0xFFFFFF);
    seen->updates = 0;
    run_for(seen, 200);
    assert_int_equal(seen->updates, 0);
    assert_true(clock_next_ns(seen->pc->clock) == UINT64_MAX); /* not even a timer */
    close_board(seen);
}

static void test_stores_interpreted(void **state)
{
    (void)state;
    check_stores(ACCEL_INTERPRET);
}

static void test_stores_translated(void **state)
{
    (void)state;
    check_stores(ACCEL_TRANSLATE);
}

/* A BAR that moves takes the watch along; DMA is noticed like the CPU's stores. */
static void test_frame_buffer_moves(void **state)
{
    struct seen *seen = open_board(ACCEL_INTERPRET);
    const uint32_t value = 0x00C0FFEE;

    (void)state;
    physmem_write(seen->pc->mem, STOP_FLAG, 1, 1);
    attach(seen);
    run_for(seen, 100);
    pci_config_write(seen->pc->pci, PCI_DEVFN(2, 0), PCI_BAR0, 4, 0xC4000000);
    run_for(seen, 100);
    seen->updates = 0;
    physmem_write_bytes(seen->pc->mem, 0xC4000000, &value, sizeof(value));
    run_for(seen, 100);
    assert_int_equal(seen->first, value);
    assert_in_range(seen->updates, 1, 2);
    /* while it is not mapped, stores go nowhere */
    pci_config_write(seen->pc->pci, PCI_DEVFN(2, 0), PCI_COMMAND, 2, 0);
    physmem_write(seen->pc->mem, 0xC4000000, 4, 5);
    run_for(seen, 100);
    assert_int_equal(seen->first, value);
    close_board(seen);
}

/* Nobody looks: nothing is watched, nothing drawn; a picture is made when one is asked for. */
static void test_nobody_looks(void **state)
{
    struct seen *seen = open_board(ACCEL_INTERPRET);
    const struct display_surface *surface;

    (void)state;
    run_for(seen, 50);
    assert_true(seen->pc->cpu->icount > 100);
    assert_int_equal(physmem_page(seen->pc->mem, FRAME_BUFFER)->flags & PHYS_CODE, 0);
    surface = pc_screen_surface(seen->pc);
    assert_int_equal(surface->pixels[0], physmem_read(seen->pc->mem, FRAME_BUFFER, 4) & 0xFFFFFF);
    assert_int_equal(physmem_page(seen->pc->mem, FRAME_BUFFER)->flags & PHYS_CODE, 0);
    attach(seen);
    run_for(seen, 100);
    assert_true(seen->updates != 0);
    pc_screen_detach(seen->pc, seen);
    seen->updates = 0;
    run_for(seen, 100);
    assert_int_equal(seen->updates, 0);
    assert_int_equal(physmem_page(seen->pc->mem, FRAME_BUFFER)->flags & PHYS_CODE, 0);
    close_board(seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stores_interpreted),
        cmocka_unit_test(test_stores_translated),
        cmocka_unit_test(test_frame_buffer_moves),
        cmocka_unit_test(test_nobody_looks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
