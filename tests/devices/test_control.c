/*
 * tests/devices/test_control.c -- the run state: what other threads ask for, breakpoints that the
 * monitor goes on over, steps that take no interrupt and wake from HLT.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "devices/pc_internal.h"
#include "tests/devices/board.h"

/* F000:0000 holds the code. */
static struct pc *machine(const uint8_t *code, size_t size, enum pc_accel accel)
{
    static struct rom rom;
    struct pc_config config;

    rom_clear(&rom);
    rom_emit(&rom, code, size);
    config = board_config(&rom, "max", accel);
    return board_create(&config);
}

static void stop_run(void *ctx, const struct pc_pause *pause)
{
    (void)pause;
    pc_stop(ctx);
}

/* Until the machine has come to rest. */
static void run_to_pause(struct pc *pc)
{
    pc_on_pause(pc, stop_run, pc);
    assert_int_equal(pc_run(pc, UINT64_MAX), PC_STOPPED);
    assert_true(pc_is_paused(pc));
}

/* ---- other threads ---- */

struct asker {
    struct pc *pc;
    int paused; /* atomic */
    uint64_t seen_at_pause;
};

static void note_pause(void *ctx, const struct pc_pause *pause)
{
    struct asker *asker = ctx;

    assert_int_equal(pause->reason, PC_PAUSE_USER);
    asker->seen_at_pause = physmem_read(asker->pc->mem, 0x500, 2);
    __atomic_store_n(&asker->paused, 1, __ATOMIC_RELEASE);
}

static void *ask(void *arg)
{
    struct asker *asker = arg;

    usleep(5000);
    pc_ask(asker->pc, PC_ASK_PAUSE);
    while (!__atomic_load_n(&asker->paused, __ATOMIC_ACQUIRE))
        usleep(100);
    usleep(5000);
    pc_ask(asker->pc, PC_ASK_CONT);
    usleep(5000);
    pc_ask(asker->pc, PC_ASK_RESET);
    return NULL;
}

static void check_asking(enum pc_accel accel)
{
    /* xor ax, ax; mov ds, ax; 1: inc word [500h]; jmp 1b */
    static const uint8_t code[] = {0x31, 0xC0, 0x8E, 0xD8, 0xFF, 0x06, 0x00, 0x05, 0xEB, 0xFA};
    struct asker asker = {.pc = machine(code, sizeof(code), accel)};
    pthread_t thread;

    pc_on_pause(asker.pc, note_pause, &asker);
    assert_int_equal(pthread_create(&thread, NULL, ask, &asker), 0);
    assert_int_equal(pc_run(asker.pc, UINT64_MAX), PC_RESET);
    pthread_join(thread, NULL);
    assert_int_equal(asker.paused, 1);
    assert_false(pc_is_paused(asker.pc));
    assert_true(physmem_read(asker.pc->mem, 0x500, 2) != asker.seen_at_pause);

    pc_destroy(asker.pc);
}

static void test_other_threads(void **state)
{
    (void)state;
    check_asking(ACCEL_INTERPRET);
    check_asking(ACCEL_TRANSLATE);
}

static void test_a_sleeping_guest(void **state)
{
    static const uint8_t code[] = {0xFA, 0xF4}; /* cli; hlt */
    struct asker asker = {.pc = machine(code, sizeof(code), ACCEL_TRANSLATE)};
    pthread_t thread;

    (void)state;
    pc_on_pause(asker.pc, note_pause, &asker);
    assert_int_equal(pthread_create(&thread, NULL, ask, &asker), 0);
    assert_int_equal(pc_run(asker.pc, UINT64_MAX), PC_RESET);
    pthread_join(thread, NULL);
    assert_int_equal(asker.paused, 1);
    pc_destroy(asker.pc);
}

/* ---- going on ---- */

static void test_the_monitor_goes_on_over_a_breakpoint(void **state)
{
    static const uint8_t code[] = {0x40, 0x40, 0xEB, 0xFC}; /* 1: inc ax; inc ax; jmp 1b */
    struct pc *pc = machine(code, sizeof(code), ACCEL_TRANSLATE);
    struct cpu *cpu = pc_cpu(pc);

    (void)state;
    assert_int_equal(pc_add_breakpoint(pc, 0xF0001), 0);
    run_to_pause(pc);
    assert_int_equal(pc_pause_state(pc)->reason, PC_PAUSE_BREAKPOINT);
    assert_int_equal(pc_pause_state(pc)->address, 0xF0001);
    assert_int_equal(cpu->gpr[RAX], 1);
    assert_int_equal(pc_cont(pc), 0);
    run_to_pause(pc);
    assert_int_equal(cpu->gpr[RAX], 3); /* once round */
    assert_int_equal(pc_debug_cont(pc, false), 0);
    run_to_pause(pc);
    assert_int_equal(cpu->gpr[RAX], 3); /* a debugger steps over it itself */
    assert_int_equal(pc_debug_cont(pc, true), 0);
    run_to_pause(pc);
    assert_int_equal(pc_pause_state(pc)->reason, PC_PAUSE_STEP);
    assert_int_equal(cpu->gpr[RAX], 4);
    assert_int_equal(pc_remove_breakpoint(pc, 0xF0002), -2); /* ENOENT */
    assert_int_equal(pc_remove_breakpoint(pc, 0xF0001), 0);
    pc_pause(pc, PC_PAUSE_SHUTDOWN);
    pc_destroy(pc);
}

/* A step takes no interrupt that waits; one that ends HLT leads into the handler. */
static void test_steps_and_interrupts(void **state)
{
    /* sti; nop; nop; hlt; nop */
    static const uint8_t code[] = {0xFB, 0x90, 0x90, 0xF4, 0x90};
    struct pc *pc = machine(code, sizeof(code), ACCEL_TRANSLATE);
    struct cpu *cpu = pc_cpu(pc);

    (void)state;
    pc_pause(pc, PC_PAUSE_USER);
    physmem_write(pc->mem, 4 * 2, 4, 0x20001000); /* NMI: 2000:1000 */
    physmem_write(pc->mem, 0x21000, 1, 0x90);
    for (unsigned i = 0; i < 4; i++) { /* the far jump, sti, nop, nop */
        cpu_set_nmi(cpu);
        assert_int_equal(pc_debug_cont(pc, true), 0);
        run_to_pause(pc);
        assert_int_equal(cpu->rip, i);
        assert_int_equal(cpu->seg[CS].selector, 0xF000);
    }
    cpu->nmi_pending = false;
    assert_int_equal(pc_debug_cont(pc, true), 0);
    run_to_pause(pc);
    assert_true(cpu->halted);
    assert_int_equal(cpu->rip, 4);
    cpu_set_nmi(cpu);
    assert_int_equal(pc_debug_cont(pc, true), 0);
    run_to_pause(pc);
    assert_false(cpu->halted);
    assert_int_equal(cpu->seg[CS].selector, 0x2000);
    assert_int_equal(cpu->rip, 0x1000);
    pc_destroy(pc);
}

/* A triple fault under a step ends as always. */
static void test_a_step_into_shutdown(void **state)
{
    static const uint8_t code[] = {0x0F, 0x01, 0x1E, 0x00, 0x00, 0x0F, 0x0B}; /* lidt [0]; ud2 */
    struct pc *pc = machine(code, sizeof(code), ACCEL_TRANSLATE);

    (void)state;
    pc_pause(pc, PC_PAUSE_USER);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(pc_debug_cont(pc, true), 0);
        run_to_pause(pc);
    }
    assert_int_equal(pc_debug_cont(pc, true), 0);
    pc_on_pause(pc, NULL, NULL);
    assert_int_equal(pc_run(pc, UINT64_MAX), PC_RESET);
    pc_reset(pc);
    assert_true(pc_is_paused(pc));
    assert_int_equal(pc_cpu(pc)->rip, 0xFFF0);
    pc_destroy(pc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_other_threads),
        cmocka_unit_test(test_a_sleeping_guest),
        cmocka_unit_test(test_the_monitor_goes_on_over_a_breakpoint),
        cmocka_unit_test(test_steps_and_interrupts),
        cmocka_unit_test(test_a_step_into_shutdown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
