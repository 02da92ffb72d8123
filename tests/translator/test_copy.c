/*
 * tests/translator/test_copy.c -- the same code at two linear addresses: what is copied is what
 * would have been translated, and does the same (translator/cache_copy.c, translator/copy.c).  And
 * so is what a process has left to another one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/translator/long_mode.h"
#include "translator/build.h"
#include "translator/copy.h"
#include "translator/runtime.h"
#include "translator/windows.h"

enum {
    MEMORY = 4 << 20,
    CODE_AT = 0x6000,
    STACK_AT = 0x10000,
    TABLES = 1 << 20,
    RANDOM_PAGES = 60,
};
/* Both in a region of its own, as a library may be in two processes. */
#define HERE  UINT64_C(0x7f1234560000)
#define THERE UINT64_C(0x7e9876540000)
#define STACK UINT64_C(0x7ffff0000000)
#define LOW   UINT64_C(0x400000)

/* 64-bit code, up to a HLT; it may read what is behind that. */
#define PROGRAM(name, text)                                                        \
    extern const uint8_t name[], name##_end[];                                     \
    __asm__(".pushsection .rodata\n" #name ":\n" text "\nhlt\n .quad 5, 7\n" #name \
            "_end:\n.popsection\n")

/* In a window, and regions are looked up. */
#define IN_WINDOW .eager_window = true, .no_guess = true
static const struct translator_options usual = {IN_WINDOW};
static const struct translator_options checked = {IN_WINDOW, .check_copy = true};
static const struct translator_options by_probes = {.no_window = true, .check_copy = true};
static const struct translator_options without = {IN_WINDOW, .no_copy = true};

/* Code at HERE and THERE, and at two addresses that are low. */
static void open_code(struct machine *m, const uint8_t *code, size_t bytes,
                      const struct translator_options *options)
{
    long_mode_open(m, MEMORY, options, CODE_AT, code, bytes, STACK_AT, TABLES);
    map_page(m, HERE, CODE_AT);
    map_page(m, THERE, CODE_AT);
    map_page(m, LOW, CODE_AT);
    map_page(m, LOW + PAGE_SIZE, CODE_AT);
    map_page(m, STACK, STACK_AT);
    long_mode_enter(m);
}

static const struct block *build_entered_at(struct machine *m, linaddr_t linear, unsigned flags)
{
    const struct block_key key = {
        .phys = CODE_AT + (linear & (PAGE_SIZE - 1)), .linear = linear, .mode = m->cpu->mode};
    const struct block *block = cache_find(m->tr->cache, &key);

    return block != NULL ? block : build_block(m->tr, m->cpu, &key, flags);
}

static const struct block *build_at(struct machine *m, linaddr_t linear)
{
    return build_entered_at(m, linear, 0);
}

PROGRAM(data, "mov 1f(%rip), %rax\n lea 1f(%rip), %r9\n add %rax, 2f(%rip)\n mov %r9, %rdx\n"
              " movups 1f(%rip), %xmm0\n divq 1f(%rip)\n vpaddd 1f(%rip), %ymm1, %ymm2\n"
              " hlt\n 1:\n .quad 3\n 2:\n .quad 4\n");
PROGRAM(calls, "call 1f\n 1: pop %rax\n call *(%rbx)\n jmp *2f(%rip)\n 2: .quad 0");
PROGRAM(call_ends, "push %rbx\n mov %rax, %rdi\n call 1f\n nop\n 1: ret");
PROGRAM(call_memory, "call *1f(%rip)\n 1: .quad 0");
PROGRAM(call_backward, "nop\n 1: inc %rax\n call 1b\n");
PROGRAM(jumps, "test %eax, %eax\n jz 1f\n inc %ebx\n js 2f\n dec %ecx\n jc 1f\n jmp 2f\n"
               " 1: nop\n 2: nop\n");
PROGRAM(handlers, "cpuid\n xgetbv\n mov %fs:8, %rax\n rep movsb\n cmpxchg16b (%rsi)\n syscall\n");
PROGRAM(memory, "mov (%rsi), %rax\n mov 8(%rsi,%rcx,8), %r9\n push %r9\n pop %r10\n"
                " lock add %rax, (%rdi)\n vmovdqu (%r11), %ymm3\n fldl (%rdx)\n ret $16\n");
PROGRAM(absolute, "movabs 0x7f1234560123, %eax\n movabs %rax, 0x7e9876540123\n mov 0x123, %ecx\n"
                  " add %ecx, 0x456\n");
PROGRAM(returns, "leave\n ret\n");

static const struct {
    const uint8_t *code, *end;
} programs[] = {
    {data, data_end},           {calls, calls_end},
    {call_ends, call_ends_end}, {call_memory, call_memory_end},
    {jumps, jumps_end},         {call_backward, call_backward_end},
    {handlers, handlers_end},   {memory, memory_end},
    {returns, returns_end},
};

static void check_copies(const struct translator_options *options)
{
    struct machine m;

    for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
        open_code(&m, programs[i].code, (size_t)(programs[i].end - programs[i].code), options);
        assert_non_null(build_at(&m, HERE));
        assert_int_equal(m.tr->counters.copies, 0);
        assert_non_null(build_at(&m, THERE));
        assert_int_equal(m.tr->counters.copies, 1);
        assert_int_equal(m.tr->counters.bad_copies, 0);
        machine_close(&m);
    }
    /* Its slots and entries are not near it: it may be no copy, but no wrong one. */
    open_code(&m, absolute, (size_t)(absolute_end - absolute), options);
    assert_non_null(build_at(&m, HERE));
    assert_non_null(build_at(&m, THERE));
    assert_int_equal(m.tr->counters.bad_copies, 0);
    machine_close(&m);
}

static void a_copy_is_what_would_be_translated(void **state)
{
    (void)state;
    check_copies(&checked);
}

/* Numbers of pages are in the code then, and begin again at 0 behind 0xffff. */
static void so_it_is_without_windows(void **state)
{
    (void)state;
    check_copies(&by_probes);
}

/* Its page is compared in front of the code; and it has been numbered late, as most pages are. */
static void so_it_is_where_a_block_is_entered_from_other_pages(void **state)
{
    const struct block *block;
    struct machine m;

    (void)state;
    open_code(&m, jumps, (size_t)(jumps_end - jumps), &checked);
    for (unsigned i = 0; i < 300; i++)
        (void)cache_page_id(m.tr->cache, LOW, (physaddr_t)i * PAGE_SIZE, m.cpu->mode);
    assert_non_null(build_entered_at(&m, HERE, BUILD_ENTRY));
    block = build_entered_at(&m, THERE, BUILD_ENTRY);
    assert_true(block->entry_is_hot);
    assert_int_equal(m.tr->counters.copies, 1);
    assert_int_equal(m.tr->counters.bad_copies, 0);
    machine_close(&m);
}

static uint32_t next_random(uint32_t *random)
{
    *random = *random * 1103515245u + 12345u;
    return *random >> 16;
}

/* Bytes of which every other one is an opcode that many instructions have. */
static uint8_t random_byte(uint32_t *random)
{
    static const uint8_t usual_bytes[] = {0x48, 0x4c, 0x41, 0x8b, 0x89, 0x8d, 0x05,
                                          0x0f, 0xe8, 0x75, 0xff, 0x15, 0x50, 0x5b,
                                          0xc3, 0x01, 0x83, 0xc5, 0xf3, 0x66};
    const uint32_t number = next_random(random);

    return number & 1 ? usual_bytes[(number >> 1) % sizeof(usual_bytes)] : (uint8_t)(number >> 1);
}

static void check_random_code(const struct translator_options *options)
{
    uint8_t code[PAGE_SIZE];
    uint32_t random = 1;
    uint64_t copies = 0;
    struct machine m;

    for (unsigned page = 0; page < RANDOM_PAGES; page++) {
        for (unsigned i = 0; i < PAGE_SIZE; i++)
            code[i] = random_byte(&random);
        open_code(&m, code, sizeof(code), options);
        for (unsigned i = 0; i < PAGE_SIZE; i += 8)
            (void)build_at(&m, HERE + i);
        for (unsigned i = 0; i < PAGE_SIZE; i += 8)
            (void)build_at(&m, THERE + i);
        assert_int_equal(m.tr->counters.bad_copies, 0);
        copies += m.tr->counters.copies;
        machine_close(&m);
    }
    assert_true(copies > RANDOM_PAGES * PAGE_SIZE / 8 / 4);
}

static void so_it_is_of_whatever_may_be_code(void **state)
{
    (void)state;
    check_random_code(&checked);
    check_random_code(&by_probes);
}

/* Sums and products by functions, some of them recursive, with numbers at fixed places. */
PROGRAM(work, "mov $200, %ecx\n 1: push %rcx\n call 3f\n pop %rcx\n mov 9f(%rip), %rdx\n"
              " add %rdx, %rax\n lea 1b(%rip), %r8\n dec %ecx\n jnz 1b\n hlt\n"
              "3: cmp $100, %ecx\n jb 4f\n lea 5f(%rip), %r9\n call *%r9\n ret\n"
              "4: push %rcx\n dec %ecx\n jz 6f\n call 4b\n 6: pop %rcx\n inc %rax\n ret\n"
              "5: lea (%rax,%rcx,2), %rax\n xor 10f(%rip), %rax\n ret\n"
              " hlt\n 9: .quad 0x123456789\n 10: .quad 0x5a5a5a5a5a5a\n");

static void run_at(struct machine *m, linaddr_t linear)
{
    for (unsigned i = 0; i < 16; i++)
        m->cpu->gpr[i] = 0;
    m->cpu->gpr[RSP] = STACK + PAGE_SIZE;
    m->cpu->rip = linear;
    m->cpu->shutdown = false;
    for (unsigned i = 0; i < 100000 && !m->cpu->shutdown; i++)
        (void)translator_run(m->tr, m->cpu, UINT64_MAX);
    assert_true(m->cpu->shutdown); /* HLT is a #GP that nobody takes */
}

static void ends_like(const struct machine *m, const struct machine *other)
{
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(m->cpu->gpr[i], other->cpu->gpr[i]);
    assert_int_equal(m->cpu->rip, other->cpu->rip);
}

static void a_copy_does_the_same(void **state)
{
    struct machine m, other;
    uint64_t sum;

    (void)state;
    open_code(&other, work, (size_t)(work_end - work), &without);
    run_at(&other, THERE);
    assert_int_equal(other.tr->counters.copies, 0);
    open_code(&m, work, (size_t)(work_end - work), &usual);
    run_at(&m, HERE);
    sum = m.cpu->gpr[RAX];
    assert_int_equal(m.tr->counters.copies, 0);
    run_at(&m, THERE);
    assert_true(m.tr->counters.copies >= 4);
    assert_int_equal(m.cpu->gpr[RAX], sum);
    ends_like(&m, &other);
    run_at(&m, HERE);
    assert_int_equal(m.cpu->gpr[RAX], sum);
    assert_int_equal(m.cpu->gpr[8] & ~(uint64_t)(PAGE_SIZE - 1), HERE);
    machine_close(&other);
    machine_close(&m);
}

static void code_that_was_written_to_is_not_copied(void **state)
{
    struct machine m;

    (void)state;
    open_code(&m, jumps, (size_t)(jumps_end - jumps), &usual);
    assert_non_null(build_at(&m, HERE));
    physmem_write(m.mem, CODE_AT, 1, 0x84); /* test %al, %al */
    assert_non_null(build_at(&m, THERE));
    assert_int_equal(m.tr->counters.copies, 0);
    assert_non_null(build_at(&m, HERE)); /* of that it is one */
    assert_int_equal(m.tr->counters.copies, 1);
    machine_close(&m);
}

/* There addresses have shorter forms. */
static void code_at_low_addresses_is_not_copied(void **state)
{
    struct machine m;

    (void)state;
    open_code(&m, data, (size_t)(data_end - data), &usual);
    assert_non_null(build_at(&m, LOW));
    assert_non_null(build_at(&m, LOW + PAGE_SIZE));
    assert_non_null(build_at(&m, HERE));
    assert_int_equal(m.tr->counters.copies, 0);
    machine_close(&m);
}

/* ---- what a process leaves ---- */

/* HERE is a page of nobody any more. */
static void leave_here(struct machine *m)
{
    physmem_write(m->mem, page_entry(m, HERE), 8, 0);
    mmu_flush_nonglobal(m->cpu);
}

/* As find_block() does, who knows where each process is. */
static void note_here(struct machine *m, const struct block *block)
{
    cache_note_space(m->tr->cache, block->page_id, m->cpu->cr3);
}

/* Byte for byte, as long as its exits are not linked. */
static void what_is_adopted_is_what_would_be_translated(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
        const size_t bytes = (size_t)(programs[i].end - programs[i].code);
        const struct block *block, *expected;
        struct machine m, other;

        open_code(&m, programs[i].code, bytes, &usual);
        block = build_at(&m, HERE);
        note_here(&m, block);
        leave_here(&m);
        assert_ptr_equal(build_at(&m, THERE), block);
        assert_int_equal(m.tr->counters.adopted, 1);
        assert_int_equal(m.tr->counters.copies, 0);

        open_code(&other, programs[i].code, bytes, &without);
        (void)cache_page_id(other.tr->cache, HERE, CODE_AT, other.cpu->mode);
        expected = build_at(&other, THERE);
        assert_int_equal(block->page_id, expected->page_id);
        assert_int_equal(block->host_bytes, expected->host_bytes);
        assert_memory_equal((const void *)cache_hot_host(m.tr->cache, block),
                            (const void *)cache_hot_host(other.tr->cache, expected),
                            block->host_bytes);
        machine_close(&other);
        machine_close(&m);
    }
}

/* All blocks of the page, with the links between them; and what is not there yet is made. */
static void what_is_adopted_does_the_same(void **state)
{
    struct machine m, other;
    uint64_t chains;

    (void)state;
    open_code(&other, work, (size_t)(work_end - work), &without);
    run_at(&other, THERE);
    open_code(&m, work, (size_t)(work_end - work), &usual);
    run_at(&m, HERE);
    leave_here(&m);
    chains = cache_counters(m.tr->cache)->chains;
    run_at(&m, THERE);
    assert_true(m.tr->counters.adopted >= 4);
    assert_int_equal(m.tr->counters.copies, 0);
    assert_true(cache_counters(m.tr->cache)->chains < 2 * chains);
    ends_like(&m, &other);

    /* Back again: who is at THERE lives, and keeps what is there. */
    map_page(&m, HERE, CODE_AT);
    run_at(&m, HERE);
    assert_true(m.tr->counters.copies >= 4);
    assert_int_equal(m.cpu->gpr[RAX], other.cpu->gpr[RAX]);
    assert_int_equal(m.cpu->gpr[8] & ~(uint64_t)(PAGE_SIZE - 1), HERE);
    chains = m.tr->counters.copies;
    run_at(&m, THERE);
    assert_int_equal(m.tr->counters.copies, chains);
    assert_int_equal(m.cpu->rip, other.cpu->rip);
    machine_close(&other);
    machine_close(&m);
}

/* What has been copied to THERE meanwhile is there once. */
static void nothing_is_there_twice(void **state)
{
    static const unsigned at = 6; /* of `jumps` */
    const struct block *copy, *block;
    struct machine m;

    (void)state;
    open_code(&m, jumps, (size_t)(jumps_end - jumps), &usual);
    block = build_at(&m, HERE);
    note_here(&m, block);
    copy = build_at(&m, THERE);
    assert_int_equal(m.tr->counters.copies, 1);
    assert_non_null(build_at(&m, HERE + at));
    leave_here(&m);
    assert_non_null(build_at(&m, THERE + at));
    assert_int_equal(m.tr->counters.adopted, 1);
    assert_true(block->dead);
    assert_ptr_equal(build_at(&m, THERE), copy);
    machine_close(&m);
}

static void what_somebody_runs_stays_his(void **state)
{
    static const struct translator_options no_adopt = {IN_WINDOW, .no_adopt = true};
    struct machine m;

    (void)state;
    open_code(&m, jumps, (size_t)(jumps_end - jumps), &usual);
    note_here(&m, build_at(&m, HERE));
    assert_non_null(build_at(&m, THERE));
    assert_int_equal(m.tr->counters.adopted, 0);
    machine_close(&m);
    open_code(&m, jumps, (size_t)(jumps_end - jumps), &no_adopt);
    note_here(&m, build_at(&m, HERE));
    leave_here(&m);
    assert_non_null(build_at(&m, THERE));
    assert_int_equal(m.tr->counters.adopted, 0);
    assert_int_equal(m.tr->counters.copies, 1);
    machine_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_is_what_would_be_translated),
        cmocka_unit_test(so_it_is_without_windows),
        cmocka_unit_test(so_it_is_where_a_block_is_entered_from_other_pages),
        cmocka_unit_test(so_it_is_of_whatever_may_be_code),
        cmocka_unit_test(a_copy_does_the_same),
        cmocka_unit_test(code_that_was_written_to_is_not_copied),
        cmocka_unit_test(code_at_low_addresses_is_not_copied),
        cmocka_unit_test(what_is_adopted_is_what_would_be_translated),
        cmocka_unit_test(what_is_adopted_does_the_same),
        cmocka_unit_test(nothing_is_there_twice),
        cmocka_unit_test(what_somebody_runs_stays_his),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
