/*
 * tests/translator/test_trace.c -- which instructions a superblock is made of, and what happens to
 * it.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "cpu/segment.h"
#include "tests/translator/machine.h"
#include "translator/build.h"
#include "translator/runtime.h"

enum { MEMORY = 4 << 20, CODE_AT = 0x6000, STACK_AT = 0xf000 };

/* 32-bit code; it begins to run at its first byte, and `head` is where the superblock begins. */
#define PROGRAM(name, text)                                                                       \
    extern const uint8_t name[], name##_end[], name##_head[];                                     \
    __asm__(".pushsection .rodata\n.code32\n" #name ":\n" text "\nhlt\n" #name "_end:\n.code64\n" \
            ".popsection\n")
#define HEAD(name) #name "_head: "
#define LOOP(name, text) \
    PROGRAM(name, "mov $5000, %ecx\n" HEAD(name) text "\ndec %ecx\n jnz " #name "_head")
#define OPEN(m, name, options) open_program(m, name, (size_t)(name##_end - name), options)
#define FIND(m, name)          find(m, (unsigned)(name##_head - name))
#define RUN(m, name, options) \
    run_program(m, name, (size_t)(name##_end - name), (unsigned)(name##_head - name), options)

static void open_program(struct machine *m, const uint8_t *code, size_t bytes,
                         const struct translator_options *options)
{
    machine_open(m, MEMORY, options);
    machine_start_flat(m, CODE_AT, code, bytes, STACK_AT);
}

static void run(struct machine *m)
{
    for (unsigned i = 0; i < 100000 && !m->cpu->halted && !m->cpu->shutdown; i++)
        (void)translator_run(m->tr, m->cpu, UINT64_MAX);
    assert_true(m->cpu->halted);
}

/* The block at this offset of the program. */
static const struct block *find(const struct machine *m, unsigned offset)
{
    const struct block_key key = {
        .phys = CODE_AT + offset, .linear = CODE_AT + offset, .mode = m->cpu->mode};

    return cache_find(m->tr->cache, &key);
}

/* All of the program; then the block at its head. */
static const struct block *run_program(struct machine *m, const uint8_t *code, size_t bytes,
                                       unsigned head, const struct translator_options *options)
{
    const struct block *block;

    open_program(m, code, bytes, options);
    run(m);
    block = find(m, head);
    assert_non_null(block);
    return block;
}

static const struct translator_options usual = {.count_heads = true}, off = {.no_superblock = true};

LOOP(seldom, "test %ecx, %ecx\n js 1f\n inc %eax\n 1: inc %edx\n");

static void a_loop_goes_on_behind_a_jump_that_is_not_taken(void **state)
{
    const struct block *block;
    struct machine m;

    (void)state;
    block = RUN(&m, seldom, &usual);
    assert_true(block->super);
    assert_int_equal(block->insn_count, 6);
    assert_int_equal(m.cpu->gpr[RAX], 5000);
    machine_close(&m);
    block = RUN(&m, seldom, &off);
    assert_false(block->super);
    assert_int_equal(block->insn_count, 2);
    machine_close(&m);
}

/* ECX counts; every second time the jump is taken. */
LOOP(both, "test $1, %cl\n jz 1f\n inc %eax\n nop\n 1: inc %edx\n");

static void where_both_ways_were_taken_it_goes_on_behind(void **state)
{
    const struct block *block;
    struct machine m;

    (void)state;
    block = RUN(&m, both, &usual);
    assert_true(block->super);
    assert_int_equal(block->insn_count, 7);
    assert_int_equal(block->exit_count, 2); /* jz, and behind the jnz, which stays inside */
    assert_int_equal(m.cpu->gpr[RAX], 2500);
    assert_int_equal(m.cpu->gpr[RDX], 5000);
    machine_close(&m);
}

LOOP(over, "test %ecx, %ecx\n jns 1f\n ud2\n .skip 20, 0x0f\n 1: inc %edx\n");

static void where_a_jump_was_always_taken_it_goes_on_at_the_target(void **state)
{
    const struct block *block;
    struct machine m;

    (void)state;
    block = RUN(&m, over, &usual);
    assert_true(block->super);
    assert_int_equal(block->insn_count, 5); /* test jns | inc dec jnz */
    assert_int_equal(cache_site(m.tr->cache, block, 2).guest, 2 + 2 + 22);
    assert_int_equal(block->guest_bytes, 2 + 2 + 22 + 4);
    machine_close(&m);
}

/* The target is in front of the loop: what runs there is no part of it. */
PROGRAM(away, "mov $5000, %ecx\n jmp away_head\n 2: inc %edx\n jmp 3f\n" HEAD(
                  away) "test %ecx, %ecx\n jns 2b\n 3: dec %ecx\n jnz away_head\n");

static void a_jump_backward_ends_it(void **state)
{
    const struct block *block;
    struct machine m;

    (void)state;
    block = RUN(&m, away, &usual);
    assert_int_equal(block->insn_count, 2);
    assert_int_equal(m.cpu->gpr[RDX], 5000);
    machine_close(&m);
}

LOOP(calls, "call 1f\n jmp 2f\n 1: inc %edx\n ret\n 2: inc %eax\n");

static void a_call_that_returned_is_passed(void **state)
{
    const struct translator_options no_returns = {.count_heads = true, .no_retcache = true};
    const struct block *block;
    struct machine m;

    (void)state;
    block = RUN(&m, calls, &usual);
    assert_true(block->super);
    assert_int_equal(block->insn_count, 5); /* call jmp | inc dec jnz */
    assert_int_equal(m.cpu->gpr[RAX], 5000);
    assert_int_equal(m.cpu->gpr[RDX], 5000);
    assert_int_equal(m.cpu->gpr[RSP], STACK_AT);
    machine_close(&m);
    block = RUN(&m, calls, &no_returns);
    assert_int_equal(block->insn_count, 1);
    machine_close(&m);
}

/* The callee throws its return address away. */
LOOP(never, "call 1f\n ud2\n 1: pop %eax\n");

static void a_call_that_never_returned_ends_it(void **state)
{
    const struct block *block;
    struct machine m;

    (void)state;
    block = RUN(&m, never, &usual);
    assert_int_equal(block->insn_count, 1);
    assert_int_equal(m.cpu->gpr[RSP], STACK_AT);
    machine_close(&m);
}

LOOP(where, "call 1f\n 1: pop %eax\n");

static void a_call_of_the_next_instruction_ends_it(void **state)
{
    const struct translator_options eager = {.eager_superblock = true};
    const struct translator_options *options[] = {&usual, &eager};
    const struct block *block;
    struct machine m;

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        block = RUN(&m, where, options[i]);
        assert_int_equal(block->insn_count, 1);
        assert_int_equal(m.cpu->gpr[RAX], CODE_AT + 10);
        assert_int_equal(m.cpu->gpr[RSP], STACK_AT);
        machine_close(&m);
    }
}

/* The same function, called at its start by a loop elsewhere: found by chance before it was hot. */
PROGRAM(function, "mov $5000, %ecx\n 1: call 2f\n dec %ecx\n jnz 1b\n jmp 4f\n" HEAD(
                      function) "2: test %ecx, %ecx\n js 3f\n inc %eax\n 3: ret\n 4: nop\n");

static void a_function_is_the_start_of_one(void **state)
{
    const struct block *block;
    struct machine m;

    (void)state;
    block = RUN(&m, function, &usual);
    assert_true(block->super);
    assert_int_equal(block->insn_count, 4);
    machine_close(&m);
}

/* The loop is short, and is come to from above more often than from its end is needed for a block:
 * that block counted nothing, and no superblock ever took its place. */
PROGRAM(entered, "mov $5000, %ebx\n 1: mov $2, %ecx\n cmp %ebx, %ebx\n jnz 2f\n" HEAD(
                     entered) "test %ecx, %ecx\n js 2f\n inc %eax\n dec %ecx\n jnz entered_head\n"
                              "2: dec %ebx\n jnz 1b\n");

static void a_loop_first_come_to_from_above_becomes_one_too(void **state)
{
    const struct block *block;
    struct machine m;

    (void)state;
    block = RUN(&m, entered, &usual);
    assert_true(block->super);
    assert_int_equal(m.cpu->gpr[RAX], 10000);
    machine_close(&m);
}

/* BLOCK_EXITS at the most: a loop of conditional jumps, none taken. */
LOOP(many, "test %ecx, %ecx\n .rept 80\n js 1f\n .endr\n 1: inc %eax\n");
/* The second block is as long as one can be, and nothing goes on behind it. */
LOOP(wide, "test %ecx, %ecx\n js 1f\n .rept 200\n inc %edx\n .endr\n 1: inc %eax\n");

static void it_ends_when_it_is_full(void **state)
{
    const struct block *block;
    struct machine m;

    (void)state;
    block = RUN(&m, many, &usual);
    assert_true(block->super);
    assert_int_equal(block->exit_count, BLOCK_EXITS);
    assert_int_equal(m.cpu->gpr[RAX], 5000);
    machine_close(&m);
    block = RUN(&m, wide, &usual);
    assert_true(block->super);
    assert_int_equal(block->insn_count, 2 + BLOCK_MAX_INSNS);
    assert_int_equal(m.cpu->gpr[RDX], 1000000);
    machine_close(&m);
}

/* ECX counts; the way through the loop is always the same but once in 256 times. */
LOOP(long_loop, "mov $600, %ebx\n 2: test %bl, %bl\n jz 1f\n inc %eax\n 1: inc %edx\n"
                " dec %ebx\n jnz 2b\n");

static void the_way_that_a_loop_takes_is_there_twice(void **state)
{
    const struct translator_options eager = {.eager_path = true};
    const struct block *block;
    struct machine m;

    (void)state;
    (void)RUN(&m, long_loop, &eager);
    block = find(&m, (unsigned)(long_loop_head - long_loop) + 5);
    assert_true(block->super);
    assert_int_equal(block->insn_count, 2 * 6);
    assert_int_equal(cache_site(m.tr->cache, block, 6).guest, 0);
    assert_int_equal(m.cpu->gpr[RAX], 5000 * 598);
    assert_int_equal(m.cpu->gpr[RDX], 5000 * 600);
    machine_close(&m);
}

/* Which way it goes follows from bits of EDX that nobody could foresee. */
#define RANDOM "imul $1103515245, %edx, %edx\n add $12345, %edx\n"
LOOP(tree, RANDOM "test $0x10000, %edx\n jz 1f\n inc %eax\n 1: inc %ebp\n");

static uint32_t next_random(uint32_t *value)
{
    *value = *value * 1103515245u + 12345u;
    return *value;
}

static void a_loop_that_goes_now_here_now_there_is_a_tree(void **state)
{
    const struct translator_options eager = {.eager_path = true};
    const struct translator_options one_way = {.eager_path = true, .no_tree = true};
    const struct block *block;
    uint32_t value = 0, odd = 0;
    struct machine m;

    (void)state;
    for (unsigned i = 0; i < 5000; i++)
        odd += (next_random(&value) & 0x10000) != 0;
    block = RUN(&m, tree, &eager);
    assert_true(block->super);
    assert_int_equal(block->insn_count, 4 + 1 + 3 + 3); /* what is behind the INC twice */
    assert_int_equal(block->exit_count, 2);             /* behind either JNZ */
    assert_int_equal(m.cpu->gpr[RAX], odd);
    assert_int_equal(m.cpu->gpr[RBP], 5000);
    machine_close(&m);
    block = RUN(&m, tree, &one_way);
    assert_true(block->super);
    assert_true(block->insn_count == 2 * 7 || block->insn_count == 2 * 8);
    assert_int_equal(m.cpu->gpr[RAX], odd);
    machine_close(&m);
}

/* Places where jumps backward lead to, and are stopped: loads of what polls look at. */
static unsigned count_landings(const struct machine *m, const struct block *block)
{
    const uint8_t load[] = {0x41, 0x8b, 0x4f, (uint8_t)AT_CPU(poll_go)}; /* mov ecx, [r15 + ...] */
    const uint8_t *host = (const uint8_t *)cache_hot_host(m->tr->cache, block);
    unsigned count = 0;

    for (unsigned i = 0; i + sizeof(load) <= block->host_bytes; i++)
        count += memcmp(host + i, load, sizeof(load)) == 0;
    return count;
}

LOOP(nest, RANDOM "mov %edx, %ebx\n shr $28, %ebx\n inc %ebx\n"
                  "2: inc %eax\n dec %ebx\n jnz 2b\n");

static void a_loop_inside_goes_round_inside(void **state)
{
    const struct translator_options eager = {.eager_path = true};
    const struct block *block;
    uint32_t value = 0, rounds = 0;
    struct machine m;

    (void)state;
    for (unsigned i = 0; i < 5000; i++)
        rounds += (next_random(&value) >> 28) + 1;
    block = RUN(&m, nest, &eager);
    assert_true(block->super);
    assert_int_equal(block->insn_count, 10);
    assert_int_equal(block->exit_count, 1);
    assert_int_equal(m.cpu->gpr[RAX], rounds);
    assert_int_equal(count_landings(&m, block), 2);
    machine_close(&m);
}

/* One time in four. */
LOOP(again, RANDOM "mov %edx, %ebx\n 2: inc %eax\n rol $2, %ebx\n cmp $0x40000000, %ebx\n jb 2b\n");

static uint32_t rounds_of_again(void)
{
    uint32_t value = 0, rounds = 0;

    for (unsigned i = 0; i < 5000; i++) {
        uint32_t bits = next_random(&value);

        do {
            bits = bits << 2 | bits >> 30;
            rounds++;
        } while (bits < 0x40000000);
    }
    return rounds;
}

static void a_loop_inside_that_seldom_goes_round_is_stopped_where_it_does(void **state)
{
    const struct translator_options eager = {.eager_path = true};
    const struct block *block;
    struct machine m;

    (void)state;
    block = RUN(&m, again, &eager);
    assert_true(block->super);
    assert_int_equal(count_landings(&m, block), 1);
    assert_int_equal(m.cpu->gpr[RAX], rounds_of_again());
    machine_close(&m);
}

/* Four times round, and the function returns: one of the two ways is seldom taken before. */
PROGRAM(called, "mov $2000, %ecx\n 1: call 2f\n dec %ecx\n jnz 1b\n hlt\n"
                "2: mov $4, %ebx\n" HEAD(called) RANDOM
        "cmp $0x40000000, %edx\n jae 3f\n inc %eax\n 3: dec %ebx\n jnz called_head\n ret\n");

static void a_loop_whose_function_returns_is_a_tree_of_what_later_calls_do(void **state)
{
    const struct translator_options eager = {.eager_path = true};
    const struct block *block;
    uint32_t value = 0, seldom = 0;
    struct machine m;

    (void)state;
    for (unsigned i = 0; i < 8000; i++)
        seldom += next_random(&value) < 0x40000000;
    block = RUN(&m, called, &eager);
    assert_true(block->super);
    assert_int_equal(block->insn_count, 2 + 2 + 2 + 3);
    assert_int_equal(m.cpu->gpr[RAX], seldom);
    machine_close(&m);
}

/* The seldom way's INC becomes a DEC; nothing else of the block is touched. */
LOOP(pruned, RANDOM "mov %edx, %ebx\n shr $28, %ebx\n jnz 1f\n .globl pruned_inc\n"
                    "pruned_inc: inc %eax\n nop\n 1: inc %ebp\n");
extern const uint8_t pruned_inc[];

static void a_store_into_a_seldom_way_drops_the_tree(void **state)
{
    const struct translator_options eager = {.eager_path = true};
    const struct block *block;
    uint32_t value = 0, seldom = 0;
    struct machine m;

    (void)state;
    for (unsigned i = 0; i < 5000; i++)
        seldom += next_random(&value) >> 28 == 0;
    block = RUN(&m, pruned, &eager);
    assert_true(block->super);
    assert_int_equal(m.cpu->gpr[RAX], seldom);
    physmem_write(m.mem, CODE_AT + (physaddr_t)(pruned_inc - pruned), 1, 0x48); /* dec %eax */
    assert_true(block->dead);
    machine_close(&m);
}

/* No kick comes, and nobody counts: the sampler finds it. */
PROGRAM(sampled, "mov $400000000, %ecx\n" HEAD(sampled) "dec %ecx\n jnz sampled_head\n");

static void a_loop_that_runs_long_is_found(void **state)
{
    const struct translator_options none = {0};
    const struct block *block;
    struct machine m;

    (void)state;
    block = RUN(&m, sampled, &none);
    assert_true(block->super);
    assert_int_equal(m.cpu->gpr[RCX], 0);
    machine_close(&m);
}

/* The time that it reads is past the one at which the board wants the CPU. */
LOOP(late, "rdtsc\n inc %ebp\n");

static void a_kick_does_not_wait_for_a_path(void **state)
{
    const struct translator_options eager = {.eager_path = true};
    unsigned exits = 0;
    struct machine m;

    (void)state;
    OPEN(&m, late, &eager);
    m.cpu->gpr[RBP] = 0;
    m.cpu->tsc_is_host = true;
    m.cpu->tsc_due = 0;
    while (translator_run(m.tr, m.cpu, UINT64_MAX) == RUN_EXIT) {
        assert_int_equal(m.cpu->gpr[RBP], exits);
        m.cpu->exit_request = 0;
        exits++;
    }
    assert_int_equal(exits, 5000);
    machine_close(&m);
}

static void kick(int sig, siginfo_t *info, void *context)
{
    (void)sig;
    (void)context;
    cpu_kick(info->si_value.sival_ptr);
}

/* A loop over the end of the address space has no jump backward but that of EIP itself, and once it
 * was never polled. */
static void a_loop_over_the_end_of_memory_is_kicked(void **state)
{
    static const uint8_t back[] = {0xe9, 0xf3, 0xff, 0xff, 0xff}; /* at 0: jmp 0xfffffff8 */
    static const uint8_t nops[] = {0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90};
    const struct itimerspec soon = {.it_value.tv_nsec = 50000000};
    const struct sigaction action = {.sa_sigaction = kick, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    const struct translator_options none = {0};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    struct machine m;
    timer_t timer;

    (void)state;
    machine_open(&m, MEMORY, &none);
    assert_int_equal(physmem_map(m.mem, 0xfffff000, 4096, 0x100000, true), 0);
    machine_start_flat(&m, 0, back, sizeof(back), STACK_AT);
    physmem_write_bytes(m.mem, 0xfffffff8, nops, sizeof(nops));
    event.sigev_value.sival_ptr = m.cpu;
    assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
    assert_int_equal(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
    assert_int_equal(timer_settime(timer, 0, &soon, NULL), 0);
    assert_int_equal(translator_run(m.tr, m.cpu, UINT64_MAX), RUN_EXIT);
    assert_int_equal(timer_delete(timer), 0);
    machine_close(&m);
}

/* A jump with a 16-bit operand cuts EIP. */
LOOP(small, "test %ecx, %ecx\n .byte 0x66, 0x0f, 0x88, 1, 0\n nop\n inc %eax\n");

static void a_jump_with_16_bit_operands_ends_it(void **state)
{
    const struct translator_options eager = {.eager_superblock = true};
    const struct translator_options *options[] = {&usual, &eager};
    const struct block *block;
    struct machine m;

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        block = RUN(&m, small, options[i]);
        assert_int_equal(block->insn_count, 2);
        assert_int_equal(m.cpu->gpr[RAX], 5000);
        machine_close(&m);
    }
}

/* In 1 MiB regions end all the time: where there was too little room for a superblock, it was lost.
 */
static void there_is_room_for_it_at_the_end_of_a_region(void **state)
{
    const struct translator_options little = {.count_heads = true, .cache_bytes = 1};
    uint64_t made = 0;
    struct machine m;

    (void)state;
    OPEN(&m, many, &little);
    run(&m);
    for (unsigned i = 0; i < 300; i++) {
        const struct block *block;

        physmem_write(m.mem, CODE_AT + (unsigned)(many_head - many), 1, 0x85); /* dropped */
        m.cpu->halted = false;
        m.cpu->rip = CODE_AT;
        physmem_write(m.mem, CODE_AT + 1, 4, 5000);
        run(&m);
        block = FIND(&m, many);
        made += block != NULL && block->super;
    }
    assert_int_equal(made, 300);
    machine_close(&m);
}

/* CS ends behind the loop: a jump to there from within a superblock faults at the jump, not behind.
 */
PROGRAM(limit, "mov $50, %ecx\n" HEAD(limit) "dec %ecx\n jz 1f\n nop\n jmp limit_head\n 1:\n");

static void a_jump_to_the_end_of_cs_faults_at_the_jump(void **state)
{
    const struct translator_options eager = {.eager_superblock = true};
    const unsigned at = (unsigned)(limit_head - limit);
    struct machine m;

    (void)state;
    OPEN(&m, limit, &eager);
    m.cpu->seg[CS].limit = (uint32_t)(CODE_AT + (limit_end - limit) - 2);
    m.cpu->seg[CS].attr &= (uint16_t)~SEG_G;
    segment_update_cache(&m.cpu->seg[CS]);
    cpu_update_mode(m.cpu);
    for (unsigned i = 0; i < 1000 && !m.cpu->shutdown; i++)
        (void)translator_run(m.tr, m.cpu, UINT64_MAX);
    assert_true(m.cpu->shutdown);
    assert_int_equal(m.cpu->gpr[RCX], 0);
    assert_int_equal(m.cpu->rip, CODE_AT + at + 1);
    machine_close(&m);
}

/* Stores to any part of it, also to what it jumps over, drop it. */
static void stores_into_its_parts_and_gaps_drop_it(void **state)
{
    struct machine m;

    (void)state;
    for (unsigned at = 0; at < 2 + 2 + 22 + 4; at++) {
        const unsigned head = (unsigned)(over_head - over);
        uint64_t byte;

        OPEN(&m, over, &usual);
        run(&m);
        assert_non_null(FIND(&m, over));
        byte = physmem_read(m.mem, CODE_AT + head + at, 1);
        physmem_write(m.mem, CODE_AT + head + at, 1, byte ^ 1);
        assert_null(FIND(&m, over));
        machine_close(&m);
    }
}

static void a_breakpoint_inside_drops_it(void **state)
{
    const struct translator_options eager = {.eager_superblock = true};
    const unsigned head = (unsigned)(seldom_head - seldom);
    struct machine m;

    (void)state;
    OPEN(&m, seldom, &eager);
    run(&m);
    assert_non_null(FIND(&m, seldom));
    translator_add_breakpoint(m.tr, CODE_AT + head + 5);
    assert_null(FIND(&m, seldom));
    machine_close(&m);
}

/* ---- along paths ---- */

static const struct translator_options along = {.eager_path = true};

/* The program at another place, and the block at this address. */
static void open_at(struct machine *m, uint32_t at, const uint8_t *code, size_t bytes)
{
    machine_open(m, MEMORY, &along);
    machine_start_flat(m, at, code, bytes, STACK_AT);
}
#define OPEN_AT(m, at, name) open_at(m, at, name, (size_t)(name##_end - name))

static const struct block *find_at(const struct machine *m, uint32_t at)
{
    const struct block_key key = {.phys = at, .linear = at, .mode = m->cpu->mode};

    return cache_find(m->tr->cache, &key);
}

static void a_way_by_turns_is_taken_until_it_is_the_same_again(void **state)
{
    const struct block *block;
    struct machine m;

    (void)state;
    block = RUN(&m, both, &along);
    assert_true(block->super);
    assert_false(block->cut);
    assert_int_equal(block->insn_count, 2 * (7 + 5));
    assert_int_equal(m.cpu->gpr[RAX], 2500);
    assert_int_equal(m.cpu->gpr[RDX], 5000);
    machine_close(&m);
}

/* Three by turns. */
LOOP(thirds, "dec %ebx\n jz 1f\n js 2f\n inc %eax\n 1: inc %edx\n jmp 3f\n"
             " 2: mov $2, %ebx\n 3:\n");

static void three_ways_by_turns_are_one(void **state)
{
    const struct block *block;
    struct machine m;

    (void)state;
    block = RUN(&m, thirds, &along);
    assert_true(block->super);
    assert_int_equal(block->insn_count, 2 * (8 + 6 + 6));
    assert_int_equal(m.cpu->gpr[RAX], 1667);
    assert_int_equal(m.cpu->gpr[RDX], 3333);
    machine_close(&m);
}

/* jmp 2, back to 1, on to 3 */
LOOP(winds, "jmp 2f\n 1: inc %eax\n jmp 3f\n 2: inc %edx\n jmp 1b\n 3:\n");
enum { WINDS_1 = 2, WINDS_2 = 2 + 1 + 2, WINDS_3 = 2 + 1 + 2 + 1 + 2 };

static void a_way_may_go_backward_inside(void **state)
{
    static const uint8_t way[] = {0,           WINDS_2, WINDS_2 + 1, WINDS_1,
                                  WINDS_1 + 1, WINDS_3, WINDS_3 + 1};
    const struct block *block;
    struct machine m;

    (void)state;
    block = RUN(&m, winds, &along);
    assert_true(block->super);
    assert_int_equal(block->insn_count, 2 * sizeof(way));
    for (unsigned i = 0; i < 2 * sizeof(way); i++)
        assert_int_equal(cache_site(m.tr->cache, block, i).guest, way[i % sizeof(way)]);
    assert_int_equal(block->guest_bytes, WINDS_3 + 3);
    assert_int_equal(m.cpu->gpr[RAX], 5000);
    assert_int_equal(m.cpu->gpr[RDX], 5000);
    machine_close(&m);
}

/* But not to what is in front of the head: all of the loop is behind its lowest instruction. */
static void a_loop_begins_at_its_lowest_instruction(void **state)
{
    enum { LOWEST = 5 + 2 };
    const struct block *block;
    struct machine m;

    (void)state;
    block = RUN(&m, away, &along);
    assert_true(!block->super || block->insn_count == 2);
    block = find(&m, LOWEST);
    assert_non_null(block);
    assert_true(block->super);
    assert_int_equal(block->insn_count, 2 * 6); /* inc jmp dec jnz test jns */
    assert_int_equal(m.cpu->gpr[RDX], 5000);
    machine_close(&m);
}

/* Two handlers by turns, or as EBX says. */
enum { TABLE_AT = 0x8000 };
#define DISPATCH(name, turn)                                                           \
    extern const uint8_t name##_even[], name##_odd[];                                  \
    LOOP(name, turn " jmp *0x8000(,%eax,4)\n" #name "_even: inc %edx\n jmp 1f\n" #name \
                    "_odd: inc %ebp\n 1:\n")
DISPATCH(dispatch, "mov %ecx, %eax\n and $1, %eax\n");
DISPATCH(one_way, "mov %ebx, %eax\n");

static void write_table(struct machine *m, const uint8_t *code, const uint8_t *even,
                        const uint8_t *odd)
{
    physmem_write(m->mem, TABLE_AT, 4, (uint32_t)(CODE_AT + (even - code)));
    physmem_write(m->mem, TABLE_AT + 4, 4, (uint32_t)(CODE_AT + (odd - code)));
}
#define RUN_DISPATCH(m, name, options)                 \
    do {                                               \
        OPEN(m, name, options);                        \
        write_table(m, name, name##_even, name##_odd); \
        run(m);                                        \
    } while (0)

static void a_computed_jump_is_gone_on_at_with_a_guard(void **state)
{
    const unsigned even = (unsigned)(dispatch_even - dispatch_head);
    const unsigned odd = (unsigned)(dispatch_odd - dispatch_head);
    const struct block *block;
    struct machine m;

    (void)state;
    RUN_DISPATCH(&m, dispatch, &along);
    block = FIND(&m, dispatch);
    assert_non_null(block);
    assert_true(block->super);
    assert_false(block->cut);
    assert_int_equal(block->insn_count, 2 * (3 + 2 + 2 + 3 + 1 + 2));
    assert_true(cache_site(m.tr->cache, block, 3).guest == even ||
                cache_site(m.tr->cache, block, 3).guest == odd);
    assert_int_equal(m.cpu->gpr[RDX], 2500);
    assert_int_equal(m.cpu->gpr[RBP], 2500);
    assert_int_equal(m.tr->counters.stale, 0);
    machine_close(&m);
}

static void without_guards_it_ends_there(void **state)
{
    const struct translator_options without[] = {
        {.eager_path = true, .no_guard = true},
        {.eager_path = true, .no_chain = true},
    };
    const struct block *block;
    struct machine m;

    (void)state;
    for (unsigned i = 0; i < sizeof(without) / sizeof(without[0]); i++) {
        RUN_DISPATCH(&m, dispatch, &without[i]);
        block = FIND(&m, dispatch);
        assert_non_null(block);
        assert_int_equal(block->insn_count, 3);
        assert_true(!block->super || block->cut);
        assert_int_equal(m.cpu->gpr[RDX], 2500);
        assert_int_equal(m.cpu->gpr[RBP], 2500);
        machine_close(&m);
    }
}

/* Run again, to the head by way of its first instruction. */
static void run_again(struct machine *m, uint32_t rounds)
{
    m->cpu->halted = false;
    m->cpu->rip = CODE_AT;
    physmem_write(m->mem, CODE_AT + 1, 4, rounds);
    run(m);
}

static void where_guards_fail_often_it_is_made_anew(void **state)
{
    const unsigned even = (unsigned)(one_way_even - one_way_head);
    const unsigned odd = (unsigned)(one_way_odd - one_way_head);
    const struct block *block;
    struct machine m;

    (void)state;
    RUN_DISPATCH(&m, one_way, &along);
    block = FIND(&m, one_way);
    assert_non_null(block);
    assert_int_equal(block->insn_count, 2 * (2 + 2 + 2));
    assert_int_equal(cache_site(m.tr->cache, block, 2).guest, even);
    assert_int_equal(m.cpu->gpr[RDX], 5000);
    m.cpu->gpr[RBX] = 1;
    run_again(&m, RT_GUARD_MISSES / 2);
    assert_int_equal(m.tr->counters.stale, 0);
    assert_true(FIND(&m, one_way) == block);
    run_again(&m, RT_GUARD_MISSES);
    assert_int_equal(m.tr->counters.stale, 1);
    block = FIND(&m, one_way);
    assert_non_null(block);
    assert_int_equal(block->insn_count, 2 * (2 + 1 + 2));
    assert_int_equal(cache_site(m.tr->cache, block, 2).guest, odd);
    assert_int_equal(m.cpu->gpr[RDX], 5000);
    assert_int_equal(m.cpu->gpr[RBP], RT_GUARD_MISSES / 2 + RT_GUARD_MISSES);
    machine_close(&m);
}

/* A jump with a 16-bit operand cuts EIP, also where it is computed. */
LOOP(small_computed, "mov $0x6000 + small_target - small_computed, %eax\n"
                     " .byte 0x66, 0xff, 0xe0\n ud2\n small_target: inc %edx\n");

static void a_computed_jump_with_16_bit_operands_ends_it(void **state)
{
    const struct block *block;
    struct machine m;

    (void)state;
    block = RUN(&m, small_computed, &along);
    assert_int_equal(block->insn_count, 2);
    assert_int_equal(m.cpu->gpr[RDX], 5000);
    machine_close(&m);
}

/* The page ends in the gap of `over`. */
enum {
    OVER_ROOM = 16,
    OVER_BYTES = 2 + 2 + 22 + 4,
    OVER_HEAD_AT = CODE_AT + PAGE_SIZE - OVER_ROOM
};

static uint32_t over_start(void)
{
    return (uint32_t)(OVER_HEAD_AT - (over_head - over));
}

static void a_way_may_go_on_in_the_next_page(void **state)
{
    const struct block *block;
    struct machine m;

    (void)state;
    OPEN_AT(&m, over_start(), over);
    run(&m);
    block = find_at(&m, OVER_HEAD_AT);
    assert_non_null(block);
    assert_true(block->super);
    assert_true(block->crosses);
    assert_int_equal(block->insn_count, 2 * 5);
    assert_int_equal(block->guest_bytes, OVER_ROOM);
    assert_int_equal(cache_bytes(m.tr->cache, block), OVER_BYTES);
    assert_int_equal(cache_phys(m.tr->cache, block, OVER_BYTES - 1), OVER_HEAD_AT + OVER_BYTES - 1);
    assert_int_equal(m.cpu->gpr[RDX], 5000);
    machine_close(&m);
}

static void stores_into_both_pages_drop_it(void **state)
{
    struct machine m;

    (void)state;
    for (unsigned at = 0; at < OVER_BYTES; at++) {
        uint64_t byte;

        OPEN_AT(&m, over_start(), over);
        run(&m);
        byte = physmem_read(m.mem, OVER_HEAD_AT + OVER_BYTES + 70, 1);
        physmem_write(m.mem, OVER_HEAD_AT + OVER_BYTES + 70, 1, byte ^ 1);
        assert_non_null(find_at(&m, OVER_HEAD_AT));
        byte = physmem_read(m.mem, OVER_HEAD_AT + at, 1);
        physmem_write(m.mem, OVER_HEAD_AT + at, 1, byte ^ 1);
        assert_null(find_at(&m, OVER_HEAD_AT));
        machine_close(&m);
    }
}

/* The second page's part, rewritten between two runs: INC EDX becomes DEC EDX. */
static void what_is_stored_in_the_next_page_is_run(void **state)
{
    struct machine m;

    (void)state;
    OPEN_AT(&m, over_start(), over);
    run(&m);
    assert_int_equal(m.cpu->gpr[RDX], 5000);
    physmem_write(m.mem, OVER_HEAD_AT + OVER_BYTES - 4, 1, 0x4a);
    m.cpu->halted = false;
    m.cpu->rip = over_start();
    run(&m);
    assert_int_equal(m.cpu->gpr[RDX], 0);
    machine_close(&m);
}

static void a_breakpoint_anywhere_on_the_way_drops_it(void **state)
{
    static const uint8_t in_winds[] = {WINDS_2, WINDS_1, WINDS_1 + 1, WINDS_3};
    static const uint8_t in_over[] = {2, OVER_BYTES - 4, OVER_BYTES - 2};
    struct machine m;

    (void)state;
    for (unsigned i = 0; i < sizeof(in_winds); i++) {
        const unsigned head = (unsigned)(winds_head - winds);

        OPEN(&m, winds, &along);
        run(&m);
        assert_non_null(FIND(&m, winds));
        translator_add_breakpoint(m.tr, CODE_AT + head + in_winds[i]);
        assert_null(FIND(&m, winds));
        machine_close(&m);
    }
    for (unsigned i = 0; i < sizeof(in_over); i++) {
        OPEN_AT(&m, over_start(), over);
        run(&m);
        assert_non_null(find_at(&m, OVER_HEAD_AT));
        translator_add_breakpoint(m.tr, OVER_HEAD_AT + in_over[i]);
        assert_null(find_at(&m, OVER_HEAD_AT));
        machine_close(&m);
    }
    RUN_DISPATCH(&m, dispatch, &along);
    assert_non_null(FIND(&m, dispatch));
    translator_add_breakpoint(m.tr, (linaddr_t)(CODE_AT + (dispatch_odd - dispatch)));
    assert_null(FIND(&m, dispatch));
    machine_close(&m);
}

LOOP(rounds, "inc %eax\n lea 5(%eax,%edx), %edx\n xor %eax, %edx\n rol $5, %edx\n add %edx, %ebx\n"
             " imul $77, %ebx, %ebx\n lea 1000000(%ebx,%edx,2), %ebx\n bswap %ebx\n");

/* The first conditional jump backward inside the block: where it leads to, and where it ends. */
static bool find_round(const struct machine *m, const struct block *block, uint64_t *begin,
                       uint64_t *end)
{
    const uint64_t host = cache_hot_host(m->tr->cache, block);

    for (uint64_t at = host; at + 6 <= host + block->host_bytes; at++) {
        const uint8_t *code = (const uint8_t *)at;
        int32_t rel;

        memcpy(&rel, code + 2, sizeof(rel));
        *end = at + 6;
        *begin = *end + (uint64_t)(int64_t)rel;
        if (code[0] == 0x0f && (code[1] & 0xf0) == 0x80 && rel < 0 && *begin >= host)
            return true;
    }
    return false;
}

/* With all that may be in front of it in the cache. */
static void no_loop_has_just_its_end_in_another_line(void **state)
{
    enum { LINE = 64, SHORT = 16, NOPS_AT = 0x9000, NOPS = 128 };
    const struct translator_options eager = {.eager_path = true};
    uint8_t nops[NOPS + 1];

    (void)state;
    memset(nops, 0x90, NOPS);
    for (unsigned i = 0; i < NOPS; i += 8) {
        struct block_key first = {.phys = NOPS_AT, .linear = NOPS_AT};
        uint64_t begin = 0, end = 0;
        struct machine m;

        OPEN(&m, rounds, &eager);
        nops[i] = 0xf4;
        physmem_write_bytes(m.mem, NOPS_AT, nops, sizeof(nops));
        nops[i] = 0x90;
        first.mode = m.cpu->mode;
        assert_non_null(build_block(m.tr, m.cpu, &first, 0));
        run(&m);
        assert_non_null(FIND(&m, rounds));
        assert_true(find_round(&m, FIND(&m, rounds), &begin, &end));
        assert_true(begin / LINE == (end - 1) / LINE || end % LINE == 0 || end % LINE >= SHORT);
        machine_close(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loop_goes_on_behind_a_jump_that_is_not_taken),
        cmocka_unit_test(where_both_ways_were_taken_it_goes_on_behind),
        cmocka_unit_test(where_a_jump_was_always_taken_it_goes_on_at_the_target),
        cmocka_unit_test(a_jump_backward_ends_it),
        cmocka_unit_test(a_call_that_returned_is_passed),
        cmocka_unit_test(a_call_that_never_returned_ends_it),
        cmocka_unit_test(a_call_of_the_next_instruction_ends_it),
        cmocka_unit_test(a_function_is_the_start_of_one),
        cmocka_unit_test(a_loop_first_come_to_from_above_becomes_one_too),
        cmocka_unit_test(it_ends_when_it_is_full),
        cmocka_unit_test(the_way_that_a_loop_takes_is_there_twice),
        cmocka_unit_test(a_loop_that_goes_now_here_now_there_is_a_tree),
        cmocka_unit_test(a_loop_inside_goes_round_inside),
        cmocka_unit_test(a_loop_inside_that_seldom_goes_round_is_stopped_where_it_does),
        cmocka_unit_test(a_loop_whose_function_returns_is_a_tree_of_what_later_calls_do),
        cmocka_unit_test(a_store_into_a_seldom_way_drops_the_tree),
        cmocka_unit_test(a_loop_that_runs_long_is_found),
        cmocka_unit_test(a_kick_does_not_wait_for_a_path),
        cmocka_unit_test(a_loop_over_the_end_of_memory_is_kicked),
        cmocka_unit_test(a_jump_with_16_bit_operands_ends_it),
        cmocka_unit_test(there_is_room_for_it_at_the_end_of_a_region),
        cmocka_unit_test(a_jump_to_the_end_of_cs_faults_at_the_jump),
        cmocka_unit_test(stores_into_its_parts_and_gaps_drop_it),
        cmocka_unit_test(a_breakpoint_inside_drops_it),
        cmocka_unit_test(a_way_by_turns_is_taken_until_it_is_the_same_again),
        cmocka_unit_test(three_ways_by_turns_are_one),
        cmocka_unit_test(a_way_may_go_backward_inside),
        cmocka_unit_test(a_loop_begins_at_its_lowest_instruction),
        cmocka_unit_test(a_computed_jump_is_gone_on_at_with_a_guard),
        cmocka_unit_test(without_guards_it_ends_there),
        cmocka_unit_test(where_guards_fail_often_it_is_made_anew),
        cmocka_unit_test(a_computed_jump_with_16_bit_operands_ends_it),
        cmocka_unit_test(a_way_may_go_on_in_the_next_page),
        cmocka_unit_test(stores_into_both_pages_drop_it),
        cmocka_unit_test(what_is_stored_in_the_next_page_is_run),
        cmocka_unit_test(a_breakpoint_anywhere_on_the_way_drops_it),
        cmocka_unit_test(no_loop_has_just_its_end_in_another_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
