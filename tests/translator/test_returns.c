/*
 * tests/translator/test_returns.c -- return prediction as seen from the host: kicks, signals, two
 * machines, and that it predicts.  What guests see of it is in tests/guests/returns.asm and
 * long_returns.asm.  The programs are 32-bit, flat, CPL 0, and end in HLT.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <time.h>

#include <cmocka.h>

#include "cpu/segment.h"
#include "tests/translator/machine.h"
#include "translator/runtime.h"
#include "translator/translator.h"

enum { MEMORY = 16 << 20, CODE_AT = 0x10000, STACK_AT = 0xf00000 };

#define PROGRAM(name, text)                                                    \
    extern const uint8_t name[], name##_end[];                                 \
    __asm__(".pushsection .rodata\n.code32\n" #name ":\n" text "\nhlt\n" #name \
            "_end:\n.code64\n.popsection\n")

/* EAX: sum over EBX rounds of recursions EDX deep, whose levels read and write the stack. */
PROGRAM(recursion, "1: mov %edx, %ecx\n call 2f\n dec %ebx\n jnz 1b\n jmp 9f\n"
                   "2: dec %ecx\n jz 3f\n push %ecx\n call 2b\n pop %ecx\n"
                   "3: inc %eax\n ret\n9: nop\n");
/* The same with a call that only asks where it is, in each level. */
PROGRAM(asking, "1: mov %edx, %ecx\n call 2f\n dec %ebx\n jnz 1b\n jmp 9f\n"
                "2: call 4f\n4: pop %esi\n dec %ecx\n jz 3f\n push %ecx\n call 2b\n pop %ecx\n"
                "3: inc %eax\n ret\n9: nop\n");
/* A callee returns to the byte before its call's end.  From there the bytes are ADD AL, AL; JMP
 * over the next instruction; from behind the call SHR BL, 2 and INC EDI. */
PROGRAM(one_before, "xor %edi, %edi\n mov $200, %edx\n"
                    "1: mov $0x100000, %ecx\n"
                    "2: call 3f\n .byte 0xc0, 0xeb, 0x02, 0xff, 0xc7\n dec %ecx\n jnz 2b\n"
                    "dec %edx\n jnz 1b\n jmp 4f\n"
                    "3: decl (%esp)\n ret\n4: nop\n");
/* Forward calls and returns only, 2^60 of them; before, all of it is run often enough to be
 * translated, and linked: nothing new is met after that. */
PROGRAM(endless, "movb $1, 0x30000\n mov $10, %ecx\n1: call 3f\n dec %ecx\n jnz 1b\n"
                 "movb $2, 0x30000\n mov $10, %ecx\n2: call 3f\n dec %ecx\n jnz 2b\n"
                 "movb $3, 0x30000\n call 3f\n jmp 4f\n"
                 "3:\n .rept 60\n testb $1, 0x30000\n jz 1f\n call 3f\n"
                 "1: testb $2, 0x30000\n jz 2f\n call 3f\n2: ret\n3:\n .endr\n ret\n4: nop\n");

static void start(struct machine *m, const uint8_t *code, const uint8_t *end)
{
    machine_start_flat(m, CODE_AT, code, (size_t)(end - code), STACK_AT);
}

/* Kicks only interrupt. */
static void run_to_end(struct machine *m)
{
    enum run_exit end;

    do {
        end = translator_run(m->tr, m->cpu, UINT64_MAX);
        __atomic_store_n(&m->cpu->exit_request, 0, __ATOMIC_SEQ_CST);
    } while (end == RUN_EXIT);
    assert_int_equal(end, RUN_HALTED);
}

static void recurse(struct machine *m, uint32_t depth, uint32_t rounds)
{
    start(m, recursion, recursion_end);
    m->cpu->gpr[RDX] = depth;
    m->cpu->gpr[RBX] = rounds;
    m->cpu->halted = false;
    run_to_end(m);
    assert_int_equal(m->cpu->gpr[RAX], depth * rounds);
    assert_int_equal(m->cpu->gpr[RSP], STACK_AT);
}

static const struct translator_options variants[] = {
    {0}, {.eager_window = true}, {.no_bmi2 = true}, {.no_retcache = true}, {.cache_bytes = 1 << 20},
};
enum { VARIANTS = sizeof(variants) / sizeof(variants[0]) };

/* ---- it predicts ---- */

static void test_returns_are_predicted(void **state)
{
    const struct translator_options options = {0};
    struct machine m;

    (void)state;
    machine_open(&m, MEMORY, &options);
    recurse(&m, 1000, 100);
    assert_in_range(m.tr->counters.return_misses, 0, 100);
    machine_close(&m);
}

static void test_calls_for_an_address_leave_returns_in_step(void **state)
{
    const struct translator_options options = {0};
    struct machine m;

    (void)state;
    machine_open(&m, MEMORY, &options);
    start(&m, asking, asking_end);
    m.cpu->gpr[RDX] = 1000;
    m.cpu->gpr[RBX] = 100;
    run_to_end(&m);
    assert_int_equal(m.cpu->gpr[RAX], 100 * 1000);
    /* Misses that the jump cache answers are not counted: look at what is left on the stack. */
    assert_int_equal(rt_of(m.cpu)->return_sp & 0xfff, 0xff8);
    machine_close(&m);
}

/* ---- kicks ---- */

static struct cpu *volatile target;
static volatile sig_atomic_t signals;

static void on_signal_kick(int number)
{
    (void)number;
    signals++;
    if (target != NULL)
        cpu_kick(target);
}

/* As a handler that has a stack of its own may. */
static void on_signal_use_stack(int number)
{
    volatile uint8_t room[32 << 10];

    (void)number;
    signals++;
    for (size_t i = 0; i < sizeof(room); i += 64)
        room[i] = (uint8_t)i;
}

static void timer_start(void (*handler)(int), long us)
{
    const struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK | SA_RESTART};
    const struct itimerval timer = {{0, us}, {0, us}};

    signals = 0;
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &timer, NULL), 0);
}

static void timer_stop(void)
{
    const struct itimerval timer = {{0, 0}, {0, 0}};

    assert_int_equal(setitimer(ITIMER_REAL, &timer, NULL), 0);
    target = NULL;
}

static void test_a_kick_takes_no_return_for_the_next_byte(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct machine m;
        struct timespec began, now;

        machine_open(&m, MEMORY, &variants[i]);
        clock_gettime(CLOCK_MONOTONIC, &began);
        target = m.cpu;
        timer_start(on_signal_kick, 100);
        do {
            start(&m, one_before, one_before_end);
            m.cpu->halted = false;
            /* Not to its end: for long enough. */
            while (translator_run(m.tr, m.cpu, UINT64_MAX) == RUN_EXIT) {
                __atomic_store_n(&m.cpu->exit_request, 0, __ATOMIC_SEQ_CST);
                clock_gettime(CLOCK_MONOTONIC, &now);
                if (now.tv_sec - began.tv_sec > 1 || signals > 1000 || m.cpu->gpr[RDI] != 0)
                    break;
            }
            clock_gettime(CLOCK_MONOTONIC, &now);
        } while (now.tv_sec - began.tv_sec <= 1 && signals <= 1000 && m.cpu->gpr[RDI] == 0);
        timer_stop();
        assert_true(signals > 10);
        assert_int_equal(m.cpu->gpr[RDI], 0);
        machine_close(&m);
    }
}

static void *kick_later(void *cpu)
{
    const struct timespec delay = {.tv_nsec = 20 * 1000 * 1000};

    nanosleep(&delay, NULL);
    cpu_kick(cpu);
    return NULL;
}

static void test_calls_and_returns_alone_can_be_stopped(void **state)
{
    (void)state;
    for (unsigned i = 0; i < VARIANTS; i++) {
        struct machine m;
        pthread_t thread;

        machine_open(&m, MEMORY, &variants[i]);
        start(&m, endless, endless_end);
        alarm(20); /* the way that it fails */
        signal(SIGALRM, SIG_DFL);
        for (unsigned k = 0; k < 3; k++) {
            assert_int_equal(pthread_create(&thread, NULL, kick_later, m.cpu), 0);
            assert_int_equal(translator_run(m.tr, m.cpu, UINT64_MAX), RUN_EXIT);
            pthread_join(thread, NULL);
            __atomic_store_n(&m.cpu->exit_request, 0, __ATOMIC_SEQ_CST);
        }
        alarm(0);
        machine_close(&m);
    }
}

/* ---- signals, however little of the return stack is left ---- */

static void test_signals_find_their_stack_at_any_depth(void **state)
{
    (void)state;
    for (unsigned i = 0; i < VARIANTS; i++) {
        struct machine m;

        machine_open(&m, MEMORY, &variants[i]);
        timer_start(on_signal_use_stack, 50);
        for (uint32_t depth = 8180; depth < 8200; depth++)
            recurse(&m, depth, 20);
        recurse(&m, 100000, 5);
        timer_stop();
        assert_true(signals > 0);
        machine_close(&m);
    }
}

/* ---- two machines ---- */

static void *run_other(void *ctx)
{
    for (uint32_t i = 0; i < 10; i++)
        recurse(ctx, 9000 + i, 20);
    return NULL;
}

static void test_two_machines_have_stacks_of_their_own(void **state)
{
    struct machine a, b;
    pthread_t thread;

    (void)state;
    machine_open(&a, MEMORY, &variants[0]);
    machine_open(&b, MEMORY, &variants[1]);
    /* In one thread, one after the other ... */
    for (uint32_t i = 0; i < 10; i++) {
        recurse(&a, 9000 + i, 3);
        recurse(&b, 8000 + i, 3);
    }
    /* ... and at the same time. */
    assert_int_equal(pthread_create(&thread, NULL, run_other, &b), 0);
    for (uint32_t i = 0; i < 10; i++)
        recurse(&a, 12000 + i, 20);
    pthread_join(thread, NULL);
    machine_close(&a);
    machine_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_returns_are_predicted),
        cmocka_unit_test(test_calls_for_an_address_leave_returns_in_step),
        cmocka_unit_test(test_a_kick_takes_no_return_for_the_next_byte),
        cmocka_unit_test(test_calls_and_returns_alone_can_be_stopped),
        cmocka_unit_test(test_signals_find_their_stack_at_any_depth),
        cmocka_unit_test(test_two_machines_have_stacks_of_their_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
