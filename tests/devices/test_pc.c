/*
 * tests/devices/test_pc.c -- the board: memory map, run loop, time, resets, power-off, direct boot.
 *
 * Guests are a few bytes of 16-bit code in a 64 KiB ROM; each test says in assembly what they are.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "devices/pc_internal.h"
#include "tests/devices/board.h"

#define MIB (UINT64_C(1) << 20)

enum { TICKS = 0x500 };

static struct pc_config config_for(const struct rom *rom, enum pc_accel accel)
{
    struct pc_config config = board_config(rom, "max", accel);

    config.debug_exit = true;
    return config;
}

static uint64_t mem_read(struct pc *pc, uint64_t address, unsigned size)
{
    return physmem_read(pc->mem, address, size);
}

static void mem_write(struct pc *pc, uint64_t address, unsigned size, uint64_t value)
{
    physmem_write(pc->mem, address, size, value);
}

/* ---- create ---- */

static void test_bad_configurations(void **state)
{
    struct pc_config config;
    char message[200];

    (void)state;
    config = config_for(NULL, ACCEL_INTERPRET);
    config.ram_bytes = 0;
    assert_null(pc_create(&config, message, sizeof(message)));
    assert_non_null(strstr(message, "memory"));
    config.ram_bytes = 16 * MIB + 1;
    assert_null(pc_create(&config, message, sizeof(message)));
    config.ram_bytes = UINT64_MAX & ~UINT64_C(0xFFF);
    assert_null(pc_create(&config, message, sizeof(message)));
    config.ram_bytes = 2 * MIB;
    config.direct_boot = true;
    assert_null(pc_create(&config, message, sizeof(message)));
    config = config_for(NULL, ACCEL_INTERPRET);
    config.debug_exit_port = 0x3F8;
    config.debug_exit_size = 9;
    assert_null(pc_create(&config, message, sizeof(message)));
    assert_non_null(strstr(message, "isa-debug-exit"));
}

/* ---- memory map ---- */

static void config_write(struct pc *pc, uint8_t devfn, unsigned offset, unsigned size,
                         uint32_t value)
{
    pci_config_write(pc->pci, devfn, offset, size, value);
}

static void test_shadow_memory(void **state)
{
    static struct rom rom;
    struct pc_config config;
    struct pc *pc;

    (void)state;
    rom_init(&rom);
    rom.bytes[0x100] = 0x5A;
    config = config_for(&rom, ACCEL_INTERPRET);
    pc = board_create(&config);
    /* at reset ROM answers, at both its places, and does not take stores */
    assert_int_equal(mem_read(pc, 0xFFFF0100, 1), 0x5A);
    assert_int_equal(mem_read(pc, 0xF0100, 1), 0x5A);
    assert_int_equal(mem_read(pc, 0xE0100, 1), 0xFF); /* a 64 KiB ROM does not reach down here */
    mem_write(pc, 0xF0100, 1, 0x11);
    mem_write(pc, 0xFFFF0100, 1, 0x11);
    assert_int_equal(mem_read(pc, 0xF0100, 1), 0x5A);
    /* stores to RAM, loads from ROM */
    config_write(pc, 0, 0x59, 1, 0x20);
    mem_write(pc, 0xF0100, 4, 0x44332211);
    mem_write(pc, 0xF0FFE, 8, 0x8877665544332211); /* across pages */
    assert_int_equal(mem_read(pc, 0xF0100, 1), 0x5A);
    assert_int_equal(mem_read(pc, 0xFFFF0100, 1), 0x5A);
    /* loads from RAM, no stores */
    config_write(pc, 0, 0x59, 1, 0x10);
    assert_int_equal(mem_read(pc, 0xF0100, 4), 0x44332211);
    assert_int_equal(mem_read(pc, 0xF0FFE, 8), 0x8877665544332211);
    mem_write(pc, 0xF0100, 4, 0);
    assert_int_equal(mem_read(pc, 0xF0100, 4), 0x44332211);
    /* both; segments are separate; a reset brings the ROM back and keeps the RAM */
    config_write(pc, 0, 0x59, 1, 0x30);
    config_write(pc, 0, 0x5A, 1, 0x03);
    mem_write(pc, 0xF0100, 4, 0x99);
    mem_write(pc, 0xC3FFC, 8, 0x1122334455667788);
    assert_int_equal(mem_read(pc, 0xC3FFC, 8), 0xFFFFFFFF55667788);
    pc_reset(pc);
    assert_int_equal(mem_read(pc, 0xF0100, 1), 0x5A);
    config_write(pc, 0, 0x59, 1, 0x30);
    assert_int_equal(mem_read(pc, 0xF0100, 4), 0x99);
    /* SMRAM over the VGA window */
    config_write(pc, 0, 0x72, 1, 0x42);
    mem_write(pc, 0xA0000, 4, 0x1234);
    assert_int_equal(mem_read(pc, 0xA0000, 4), 0x1234);
    config_write(pc, 0, 0x72, 1, 0x02);
    assert_int_not_equal(mem_read(pc, 0xA0000, 4), 0x1234);
    pc_destroy(pc);
}

#define VGA PCI_DEVFN(2, 0)

static void test_overlapping_regions(void **state)
{
    struct pc_config config = config_for(NULL, ACCEL_INTERPRET);
    struct pc *pc = board_create(&config);
    uint8_t *frame = physmem_backing(pc->mem, pc->vga_offset);

    (void)state;
    mem_write(pc, 0x100000, 4, 0xCAFE);
    mem_write(pc, 0x200030, 4, 0xF00D);
    config_write(pc, VGA, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
    /* the frame buffer over RAM: RAM wins */
    config_write(pc, VGA, PCI_BAR0, 4, 0);
    config_write(pc, VGA, PCI_BAR0, 4, 0x20000000);
    mem_write(pc, 0x20000004, 4, 0xABCD);
    assert_int_equal(frame[4] | frame[5] << 8, 0xABCD);
    /* over both APICs and the end of ROM: they win, it shows between them */
    config_write(pc, VGA, PCI_BAR0, 4, 0xFE000000);
    assert_int_equal(mem_read(pc, 0xFEE00030, 4), 0x00050014);
    assert_int_equal(mem_read(pc, 0xFE000004, 4), 0xABCD);
    mem_write(pc, 0xFEC00000, 4, 1);
    assert_int_equal(mem_read(pc, 0xFEC00010, 4), 0x00170011);
    config_write(pc, VGA, PCI_BAR0, 4, 0xFD000000);
    assert_int_equal(mem_read(pc, 0xFE000004, 4), UINT32_MAX);
    assert_int_equal(mem_read(pc, 0xFD000004, 4), 0xABCD);
    assert_int_equal(mem_read(pc, 0x20000004, 4), UINT32_MAX);
    /* registers in memory, moved onto the text window: the older region keeps it */
    config_write(pc, VGA, PCI_BAR0 + 8, 4, 0xFEBF0000);
    assert_int_equal(mem_read(pc, 0xFEBF0500, 2), 0xB0C5);
    config_write(pc, VGA, PCI_BAR0 + 8, 4, 0xB8000);
    config_write(pc, VGA, PCI_BAR0 + 8, 4, 0xFEBF1000);
    assert_int_equal(mem_read(pc, 0xFEBF1500, 2), 0xB0C5);
    /* the local APIC over RAM, and away again */
    assert_true(pc_cpu_ops.msr_write(pc, 0x1B, 0x200900));
    assert_int_equal(mem_read(pc, 0x200030, 4), 0x00050014);
    assert_int_equal(mem_read(pc, 0xFEE00030, 4), UINT32_MAX);
    assert_true(pc_cpu_ops.msr_write(pc, 0x1B, 0xFEE00900));
    assert_int_equal(mem_read(pc, 0x200030, 4), 0xF00D);
    assert_int_equal(mem_read(pc, 0x100000, 4), 0xCAFE);
    pc_destroy(pc);
}

/* BARs thrown about at random must leave RAM alone and come to rest where they say. */
static void test_random_bars(void **state)
{
    struct pc_config config = config_for(NULL, ACCEL_INTERPRET);
    struct pc *pc = board_create(&config);
    uint32_t seed = 7;

    (void)state;
    mem_write(pc, 0x123456, 4, 0xCAFE);
    for (unsigned i = 0; i < 3000; i++) {
        seed = seed * 1664525 + 1013904223;
        config_write(pc, (uint8_t)(seed >> 20 & 0x1F), 4 + (seed >> 8 & 0x7C), 4, seed << 3);
        if (i % 7 == 0)
            config_write(pc, VGA, PCI_COMMAND, 2, 3);
        (void)mem_read(pc, seed, 4);
        mem_write(pc, seed | 0x80000000, 4, seed);
    }
    config_write(pc, VGA, PCI_COMMAND, 2, 2);
    config_write(pc, VGA, PCI_BAR0, 4, 0xE0000000);
    config_write(pc, VGA, PCI_BAR0 + 8, 4, 0xFEBF0000);
    assert_int_equal(mem_read(pc, 0x123456, 4), 0xCAFE);
    mem_write(pc, 0xE0000000, 4, 0x77);
    assert_int_equal(*physmem_backing(pc->mem, pc->vga_offset), 0x77);
    pc_destroy(pc);
}

/* ---- how a machine ends ---- */

static enum pc_exit run_rom(struct rom *rom, enum pc_accel accel)
{
    const struct pc_config config = config_for(rom, accel);
    struct pc *pc;
    enum pc_exit exit;

    EMIT(rom, 0xEB, 0xFE); /* jmp $ */
    pc = board_create(&config);
    exit = pc_run(pc, UINT64_MAX);
    if (exit == PC_DEBUG_EXIT)
        assert_int_equal(pc_debug_exit_status(pc), 0x2A << 1 | 1);
    pc_destroy(pc);
    return exit;
}

static void check_endings(enum pc_accel accel)
{
    static struct rom rom;

    rom_init(&rom);
    rom_out8(&rom, 0x501, 0x2A);
    assert_int_equal(run_rom(&rom, accel), PC_DEBUG_EXIT);
    rom_init(&rom);
    rom_out8(&rom, 0xCF9, 0x06);
    assert_int_equal(run_rom(&rom, accel), PC_RESET);
    rom_init(&rom);
    rom_out8(&rom, 0x92, 0x01);
    assert_int_equal(run_rom(&rom, accel), PC_RESET);
    rom_init(&rom);
    rom_out8(&rom, 0x64, 0xFE);
    assert_int_equal(run_rom(&rom, accel), PC_RESET);
    rom_init(&rom); /* lidt with limit 0, int3: triple fault */
    EMIT(&rom, 0x2E, 0x0F, 0x01, 0x1E, 0x00, 0x80, 0xCC);
    memset(rom.bytes + 0x8000, 0, 6);
    assert_int_equal(run_rom(&rom, accel), PC_RESET);
    rom_init(&rom); /* map the PM block, then S5 */
    rom_out32(&rom, 0xCF8, 0x80000B40);
    rom_out32(&rom, 0xCFC, 0x601);
    rom_out32(&rom, 0xCF8, 0x80000B80);
    rom_out8(&rom, 0xCFC, 1);
    EMIT(&rom, 0xBA, 0x04, 0x06, 0xB8, 0x00, 0x20, 0xEF); /* out 0x604, ax = 0x2000 */
    assert_int_equal(run_rom(&rom, accel), PC_POWEROFF);
}

static void test_endings(void **state)
{
    (void)state;
    check_endings(ACCEL_INTERPRET);
    check_endings(ACCEL_TRANSLATE);
}

/* ---- time and interrupts ---- */

/*
 * Count timer interrupts at 0:500; after `ticks`, leave with 0x2A.  Between them halt, or, if busy,
 * spin.
 */
static void timer_rom(struct rom *rom, uint16_t period, uint8_t ticks, bool busy)
{
    unsigned loop;

    rom_init(rom);
    EMIT(rom, 0xC7, 0x06, 0x20, 0x00, 0x00, 0x40); /* mov word [20], 4000 */
    EMIT(rom, 0xC7, 0x06, 0x22, 0x00, 0x00, 0xF0); /* mov word [22], F000 */
    EMIT(rom, 0xC6, 0x06, 0x00, 0x05, 0x00);       /* mov byte [500], 0 */
    rom_out8(rom, 0x20, 0x11);
    rom_out8(rom, 0x21, 0x08);
    rom_out8(rom, 0x21, 0x04);
    rom_out8(rom, 0x21, 0x01);
    rom_out8(rom, 0x21, 0xFE);
    rom_out8(rom, 0x43, 0x34);
    rom_out8(rom, 0x40, (uint8_t)period);
    rom_out8(rom, 0x40, (uint8_t)(period >> 8));
    EMIT(rom, 0xFB); /* sti */
    loop = rom->at;
    EMIT(rom, busy ? 0x90 : 0xF4);                    /* nop or hlt */
    EMIT(rom, 0x80, 0x3E, 0x00, 0x05, ticks);         /* cmp byte [500], ticks */
    EMIT(rom, 0x72, (uint8_t)(loop - (rom->at + 2))); /* jb loop */
    rom_out8(rom, 0x501, 0x2A);
    rom->at = 0x4000;
    EMIT(rom, 0x50, 0xFE, 0x06, 0x00, 0x05, 0xB0, 0x20, 0xE6, 0x20, 0x58, 0xCF);
    /* push ax; inc byte [500]; mov al, 20; out 20, al; pop ax; iret */
}

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

static void check_timer(enum pc_accel accel, bool busy, bool counted)
{
    static struct rom rom;
    struct pc_config config;
    struct pc *pc;
    uint64_t start_ns;

    timer_rom(&rom, 11932, 5, busy); /* 100 Hz; the mode itself raises OUT: one at once */
    config = config_for(&rom, accel);
    config.counted_time = counted;
    pc = board_create(&config);
    start_ns = now_ns();
    assert_int_equal(pc_run(pc, UINT64_MAX), PC_DEBUG_EXIT);
    if (!counted)
        assert_true(now_ns() - start_ns >= 38000000);
    assert_in_range(clock_now_ns(pc->clock), 38000000, 5000000000);
    if (counted && busy)
        assert_in_range(pc->cpu->icount, 38000000, 60000000); /* 1 ns each, and it never slept */
    if (counted && !busy)
        assert_true(pc->cpu->icount < 10000);
    pc_destroy(pc);
}

static void test_timer_interrupts(void **state)
{
    (void)state;
    for (unsigned busy = 0; busy < 2; busy++) {
        check_timer(ACCEL_INTERPRET, busy, false);
        check_timer(ACCEL_TRANSLATE, busy, false);
        check_timer(ACCEL_INTERPRET, busy, true);
    }
}

static void assert_same_state(struct pc *a, struct pc *b)
{
    assert_int_equal(a->cpu->icount, b->cpu->icount);
    assert_int_equal(a->cpu->rip, b->cpu->rip);
    assert_int_equal(a->cpu->rflags, b->cpu->rflags);
    assert_memory_equal(a->cpu->gpr, b->cpu->gpr, sizeof(a->cpu->gpr));
    assert_int_equal(clock_now_ns(a->clock), clock_now_ns(b->clock));
    assert_int_equal(mem_read(a, TICKS, 1), mem_read(b, TICKS, 1));
}

/* Counted time: the same machine twice, however the run is cut into pieces. */
static void test_counted_time_is_reproducible(void **state)
{
    static struct rom rom;
    struct pc_config config;
    struct pc *a, *b;

    (void)state;
    timer_rom(&rom, 1193, 200, true);
    config = config_for(&rom, ACCEL_INTERPRET);
    config.counted_time = true;
    config.ns_per_insn_x1000 = 10000;
    a = board_create(&config);
    b = board_create(&config);
    for (unsigned i = 1; i < 60; i++) {
        const uint64_t insns = 977 * i;

        assert_int_equal(pc_run(a, insns), PC_BUDGET);
        assert_int_equal(pc_run(b, insns / 3), PC_BUDGET);
        usleep(i % 10 == 0 ? 1000 : 0); /* the host's time must not matter */
        assert_int_equal(pc_run(b, insns - insns / 3), PC_BUDGET);
        assert_same_state(a, b);
    }
    assert_true(mem_read(a, TICKS, 1) > 5);
    pc_destroy(a);
    pc_destroy(b);
}

/* ---- stopping and host events ---- */

static void *stop_soon(void *arg)
{
    usleep(20000);
    pc_stop(arg);
    return NULL;
}

static void check_stop(enum pc_accel accel, const uint8_t code[2])
{
    static struct rom rom;
    struct pc_config config;
    struct pc *pc;
    pthread_t thread;

    rom_init(&rom);
    rom_emit(&rom, code, 2);
    config = config_for(&rom, accel);
    pc = board_create(&config);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&thread, NULL, stop_soon, pc), 0);
        assert_int_equal(pc_run(pc, UINT64_MAX), PC_STOPPED);
        pthread_join(thread, NULL);
    }
    pc_stop(pc); /* before it runs: not forgotten */
    assert_int_equal(pc_run(pc, UINT64_MAX), PC_STOPPED);
    pc_destroy(pc);
}

static void test_stop(void **state)
{
    static const uint8_t busy[2] = {0xEB, 0xFE}, dead[2] = {0xFA, 0xF4};

    (void)state;
    check_stop(ACCEL_INTERPRET, busy);
    check_stop(ACCEL_INTERPRET, dead);
    check_stop(ACCEL_TRANSLATE, busy);
    check_stop(ACCEL_TRANSLATE, dead);
}

struct listener {
    struct pc *pc;
    unsigned calls;
    bool wanted;
};

static void on_ready(void *ctx, int fd)
{
    struct listener *listener = ctx;
    char byte;

    assert_true(listener->wanted);
    assert_int_equal(read(fd, &byte, 1), 1);
    if (++listener->calls == 3)
        pc_stop(listener->pc);
}

static bool on_want(void *ctx)
{
    return ((struct listener *)ctx)->wanted;
}

static void *write_slowly(void *arg)
{
    for (unsigned i = 0; i < 3; i++) {
        usleep(5000);
        assert_int_equal(write(*(int *)arg, "x", 1), 1);
    }
    return NULL;
}

static void check_watch(bool busy, bool counted)
{
    static const uint8_t code[2][2] = {{0xFA, 0xF4}, {0xEB, 0xFE}};
    static struct rom rom;
    struct pc_config config;
    struct listener listener = {.wanted = true};
    pthread_t thread;
    int fds[2];

    rom_init(&rom);
    rom_emit(&rom, code[busy], 2);
    config = config_for(&rom, ACCEL_INTERPRET);
    config.counted_time = counted;
    listener.pc = board_create(&config);
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(pc_watch_fd(listener.pc, fds[0], on_ready, on_want, &listener), 0);
    assert_int_equal(pthread_create(&thread, NULL, write_slowly, &fds[1]), 0);
    assert_int_equal(pc_run(listener.pc, UINT64_MAX), PC_STOPPED);
    pthread_join(thread, NULL);
    assert_int_equal(listener.calls, 3);
    /* not wanted: not called; wanted later: called then */
    listener.calls = 2;
    listener.wanted = false;
    assert_int_equal(write(fds[1], "y", 1), 1);
    if (busy) {
        assert_int_equal(pc_run(listener.pc, 20000000), PC_BUDGET);
        assert_int_equal(listener.calls, 2);
    }
    listener.wanted = true;
    assert_int_equal(pc_run(listener.pc, UINT64_MAX), PC_STOPPED);
    pc_unwatch_fd(listener.pc, fds[0]);
    pc_destroy(listener.pc);
    close(fds[0]);
    close(fds[1]);
}

static void test_watched_descriptors(void **state)
{
    (void)state;
    check_watch(false, false);
    check_watch(true, false);
    check_watch(false, true);
    check_watch(true, true);
}

/* A regular file is readable at any time; its end is the reader's business. */
static void test_watched_file(void **state)
{
    static struct rom rom;
    struct pc_config config;
    struct listener listener = {.wanted = true};
    FILE *file = tmpfile();

    (void)state;
    assert_non_null(file);
    fputs("abc", file);
    fflush(file);
    assert_int_equal(lseek(fileno(file), 0, SEEK_SET), 0);
    rom_init(&rom);
    EMIT(&rom, 0xEB, 0xFE);
    config = config_for(&rom, ACCEL_INTERPRET);
    listener.pc = board_create(&config);
    assert_int_equal(pc_watch_fd(listener.pc, fileno(file), on_ready, on_want, &listener), 0);
    assert_int_equal(pc_run(listener.pc, UINT64_MAX), PC_STOPPED);
    assert_int_equal(listener.calls, 3);
    pc_destroy(listener.pc);
    fclose(file);
}

/* ---- a hostile guest at the board's ports and registers ---- */

static uint32_t random_next(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 7;
}

static void test_hostile_accesses(void **state)
{
    static const uint16_t ports[] = {0x3B0, 0x3C0, 0x3D0,  0x1CE,  0x510, 0x514,
                                     0x518, 0x600, 0x700,  0xAFE0, 0xB0,  0xCF8,
                                     0xCFC, 0xCFC, 0xC000, 0xF0,   0x60,  0x40};
    static const uint32_t places[] = {0xA0000,    0xB8000,    0xC0000,    0xF0000,   0xFEC00000,
                                      0xFEE00000, 0xFD000000, 0xFEBF0000, 0xFFFF0000};
    static struct rom rom;
    struct pc_config config;
    struct pc *pc;
    uint32_t seed = 3, i;

    (void)state;
    rom_init(&rom);
    config = config_for(&rom, ACCEL_INTERPRET);
    config.counted_time = true;
    pc = board_create(&config);
    for (i = 0; i < 200000; i++) {
        const uint16_t port =
            (uint16_t)(ports[random_next(&seed) % 18] + (random_next(&seed) & 0xF));
        const uint64_t place = places[random_next(&seed) % 9] + (random_next(&seed) & 0xFFF);
        const unsigned size = 1u << random_next(&seed) % 3;
        /* A configuration address that means something, every other time. */
        const uint32_t value = random_next(&seed) % 2 ? random_next(&seed) << 7
                                                      : 0x80000000 | (random_next(&seed) & 0x1BFC);

        switch (random_next(&seed) % 4) {
        case 0:
            bus_io_write(pc->bus, port, size, value);
            break;
        case 1:
            (void)bus_io_read(pc->bus, port, size);
            break;
        case 2:
            mem_write(pc, place, size, value);
            break;
        default:
            (void)mem_read(pc, place, size);
            break;
        }
        if (i % 64 == 0) {
            pc->skipped_ns += random_next(&seed);
            clock_run(pc->clock);
            (void)pc_cpu_ops.interrupt_acknowledge(pc);
        }
        if (i % 20000 == 0)
            pc_reset(pc);
    }
    pc_reset(pc);
    assert_int_equal(mem_read(pc, 0xFFFFFFF0, 1), 0xEA);
    pc_destroy(pc);
}

/* ---- A20, interrupts, FERR, through the whole board ---- */

static void test_wires(void **state)
{
    static struct rom rom;
    struct pc_config config;
    struct pc *pc;

    (void)state;
    rom_init(&rom);
    config = config_for(&rom, ACCEL_INTERPRET);
    pc = board_create(&config);
    /* A20: either source keeps it open */
    assert_true(pc->cpu->a20);
    line_set(&pc->a20_kbc, false);
    assert_false(pc->cpu->a20);
    line_set(&pc->a20_port92, true);
    assert_true(pc->cpu->a20);
    line_set(&pc->a20_kbc, true);
    line_set(&pc->a20_port92, false);
    assert_true(pc->cpu->a20);
    /* 8259 -> LINT0 -> INTR, acknowledged through the local APIC */
    bus_io_write(pc->bus, 0x20, 1, 0x11);
    bus_io_write(pc->bus, 0x21, 1, 0x20);
    bus_io_write(pc->bus, 0x21, 1, 0x04);
    bus_io_write(pc->bus, 0x21, 1, 0x01);
    bus_io_write(pc->bus, 0x21, 1, 0x00);
    bus_io_write(pc->bus, 0xA0, 1, 0x11);
    bus_io_write(pc->bus, 0xA1, 1, 0x28);
    bus_io_write(pc->bus, 0xA1, 1, 0x02);
    bus_io_write(pc->bus, 0xA1, 1, 0x01);
    bus_io_write(pc->bus, 0xA1, 1, 0x00);
    assert_false(pc->cpu->intr);
    pc_cpu_ops.ferr(pc);
    assert_true(pc->cpu->intr);
    assert_int_equal(pc_cpu_ops.interrupt_acknowledge(pc), 0x2D);
    assert_false(pc->cpu->intr);
    bus_io_write(pc->bus, 0xA0, 1, 0x20);
    bus_io_write(pc->bus, 0x20, 1, 0x20);
    bus_io_write(pc->bus, 0xF0, 1, 0);
    assert_false(pc->ferr.level);
    assert_int_equal(pc_cpu_ops.interrupt_acknowledge(pc), -1);
    /* a shared line stays up until its last driver lets go */
    line_set(&pc->isa_irq[5], true);
    line_set(&pc->pirq_irq[5], true);
    line_set(&pc->isa_irq[5], false);
    assert_int_equal(pc->irq_sources[5], 1u << 1);
    line_set(&pc->pirq_irq[5], false);
    pc_destroy(pc);
}

/* ---- direct boot ---- */

static uint8_t sum(struct pc *pc, uint64_t address, uint32_t size)
{
    uint8_t total = 0;

    for (uint32_t i = 0; i < size; i++)
        total += (uint8_t)mem_read(pc, address + i, 1);
    return total;
}

static void check_e820(struct pc *pc, uint64_t ram)
{
    struct pc_e820 map[16];
    const size_t count = pc_e820(pc, map, 16);
    uint64_t end = 0, usable = 0;

    for (size_t i = 0; i < count; i++) {
        assert_true(map[i].base >= end);
        end = map[i].base + map[i].size;
        if (map[i].type == 1)
            usable += map[i].size;
    }
    assert_in_range(usable, ram - 0x100000, ram - 0x10000);
    assert_int_equal(pc_e820(pc, map, 2), 2);
}

static void test_direct_boot(void **state)
{
    struct pc_config config = config_for(NULL, ACCEL_INTERPRET);
    uint32_t rsdt, fadt, dsdt;
    struct pc *pc;
    char text[4096];

    (void)state;
    config.direct_boot = true;
    pc = board_create(&config);
    for (unsigned i = 0; i < 2; i++) { /* after power-on and after a reset */
        assert_int_equal(mem_read(pc, pc_rsdp(pc), 8), 0x2052545020445352); /* "RSD PTR " */
        assert_int_equal(sum(pc, pc_rsdp(pc), 20), 0);
        rsdt = (uint32_t)mem_read(pc, pc_rsdp(pc) + 16, 4);
        assert_int_equal(sum(pc, rsdt, (uint32_t)mem_read(pc, rsdt + 4, 4)), 0);
        fadt = (uint32_t)mem_read(pc, rsdt + 36, 4);
        dsdt = (uint32_t)mem_read(pc, fadt + 40, 4);
        assert_int_equal(mem_read(pc, dsdt, 4), 0x54445344); /* "DSDT" */
        assert_int_equal(sum(pc, dsdt, (uint32_t)mem_read(pc, dsdt + 4, 4)), 0);
        mem_write(pc, dsdt + 36, 8, 0);
        mem_write(pc, pc_rsdp(pc), 8, 0);
        pc_reset(pc);
    }
    check_e820(pc, config.ram_bytes);
    /* what firmware would have programmed */
    assert_int_equal(bus_io_read(pc->bus, 0x604, 2), 0);
    assert_int_equal(bus_io_read(pc->bus, 0x4D1, 1), 0x0C);
    assert_int_equal(pci_config_read(pc->pci, PCI_DEVFN(1, 0), 0x60, 4), 0x0B0B0A0A);
    mem_write(pc, 0xFD000000, 4, 0x55);
    assert_int_equal(*physmem_backing(pc->mem, pc->vga_offset), 0x55);
    mem_write(pc, 0xB8000, 4, 0x0721074F);
    assert_true(pc_screen_text(pc, text, sizeof(text)) >= 25);
    assert_memory_equal(text, "O!\n", 3);
    pc_destroy(pc);
}

static void test_memory_above_4g(void **state)
{
    struct pc_config config = config_for(NULL, ACCEL_INTERPRET);
    struct pc *pc;

    (void)state;
    config.ram_bytes = 3 * 1024 * MIB + 512 * MIB; /* not touched, so not taken from the host */
    config.direct_boot = true;
    pc = board_create(&config);
    assert_int_equal(pc_ram_below_4g(pc), UINT64_C(0xC0000000));
    mem_write(pc, 0xBFFF0000 - 8, 4, 0x1111);
    mem_write(pc, UINT64_C(0x100000000), 4, 0x2222);
    mem_write(pc, UINT64_C(0x11FFFFFFC), 4, 0x3333);
    mem_write(pc, UINT64_C(0x120000000), 4, 0x4444);
    assert_int_equal(mem_read(pc, 0xC0000000, 4), UINT32_MAX);
    assert_int_equal(mem_read(pc, UINT64_C(0x100000000), 4), 0x2222);
    assert_int_equal(mem_read(pc, UINT64_C(0x11FFFFFFC), 4), 0x3333);
    assert_int_equal(mem_read(pc, UINT64_C(0x120000000), 4), UINT32_MAX);
    check_e820(pc, config.ram_bytes);
    pc_destroy(pc);
}

/* ---- the distribution's firmware ---- */

static uint8_t *file_read(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data;

    if (file == NULL)
        return NULL;
    data = malloc(1 << 20);
    *size = fread(data, 1, 1 << 20, file);
    fclose(file);
    return data;
}

struct log {
    char text[16384];
    size_t size;
    struct pc *pc;
};

static void log_write(void *ctx, const uint8_t *data, size_t size)
{
    struct log *log = ctx;

    for (size_t i = 0; i < size && log->size < sizeof(log->text) - 1; i++)
        log->text[log->size++] = (char)data[i];
    if (strstr(log->text, "Retrying in") != NULL)
        pc_stop(log->pc);
}

static void check_firmware(enum pc_accel accel)
{
    static struct log log;
    struct char_backend backend = {.ctx = &log, .write = log_write};
    struct pc_config config = config_for(NULL, accel);
    uint8_t *bios = file_read("/usr/share/seabios/bios-256k.bin", &config.bios_bytes);
    uint8_t *vga = file_read("/usr/share/seabios/vgabios-stdvga.bin", &config.vga_bios_bytes);
    char screen[8192] = "";

    if (bios == NULL || vga == NULL)
        skip();
    memset(&log, 0, sizeof(log));
    config.bios = bios;
    config.vga_bios = vga;
    config.debugcon = &backend;
    config.counted_time = accel == ACCEL_INTERPRET; /* waits of the firmware pass at once */
    log.pc = board_create(&config);
    assert_int_equal(pc_run(log.pc, UINT64_C(4000000000)), PC_STOPPED);
    assert_non_null(strstr(log.text, "QEMU fw_cfg DMA interface supported"));
    assert_non_null(strstr(log.text, "Found 1 cpu(s)"));
    assert_non_null(strstr(log.text, "Running option rom at c000"));
    assert_non_null(strstr(log.text, "PS2 keyboard initialized"));
    screen[pc_screen_text(log.pc, screen, sizeof(screen) - 1)] = '\0';
    assert_non_null(strstr(screen, "SeaBIOS (version"));
    assert_non_null(strstr(screen, "No bootable device."));
    pc_destroy(log.pc);
    free(bios);
    free(vga);
}

static void test_firmware(void **state)
{
    (void)state;
    check_firmware(ACCEL_INTERPRET);
    check_firmware(ACCEL_TRANSLATE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_configurations),
        cmocka_unit_test(test_shadow_memory),
        cmocka_unit_test(test_overlapping_regions),
        cmocka_unit_test(test_random_bars),
        cmocka_unit_test(test_endings),
        cmocka_unit_test(test_timer_interrupts),
        cmocka_unit_test(test_counted_time_is_reproducible),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_watched_descriptors),
        cmocka_unit_test(test_watched_file),
        cmocka_unit_test(test_hostile_accesses),
        cmocka_unit_test(test_wires),
        cmocka_unit_test(test_direct_boot),
        cmocka_unit_test(test_memory_above_4g),
        cmocka_unit_test(test_firmware),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
