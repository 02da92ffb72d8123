/*
 * tests/translator/test_hosted.c -- what code looks up and checks of where its operands are: loops
 * whose bases have host addresses (translator/hosted.c), and their ways out; what is still known of
 * the last look-up (translator/recent.c), and tables at fixed addresses (translator/narrow.c).
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/translator/long_mode.h"
#include "translator/build.h"
#include "translator/runtime.h"
#include "translator/window.h"
#include "translator/windows.h"

enum {
    MEMORY = 4 << 20,
    CODE_AT = 0x6000,
    TABLES = 1 << 20, /* page tables */
    DATA_AT = 2 << 20,
    PAGES = 4, /* of data in each region */
    ELEMENTS = 300,
};
/* Each in a region of its own. */
#define DATA  UINT64_C(0x8000000000)
#define OTHER UINT64_C(0x10000000000)

/* 64-bit code, up to a HLT; a loop begins at its first byte. */
#define PROGRAM(name, text)                    \
    extern const uint8_t name[], name##_end[]; \
    __asm__(".pushsection .rodata\n" #name ":\n" text "\nhlt\n" #name "_end:\n.popsection\n")
#define LOOP(name, text)       PROGRAM(name, text "\n jnz " #name)
#define OPEN(m, name, options) open_program(m, name, (size_t)(name##_end - name), options)

static const struct translator_options usual = {.eager_path = true, .eager_window = true};
static const struct translator_options without = {
    .eager_path = true, .eager_window = true, .no_hosted = true};
/* Regions are looked up, and there are no superblocks. */
static const struct translator_options straight = {
    .eager_window = true, .no_guess = true, .no_superblock = true};

static physaddr_t data_at(unsigned number, unsigned page)
{
    return DATA_AT + (physaddr_t)(number * PAGES + page) * PAGE_SIZE;
}

/* About to run at CPL 3 in 64-bit mode, with the data's pages at DATA and OTHER. */
static void open_program(struct machine *m, const uint8_t *code, size_t bytes,
                         const struct translator_options *options)
{
    long_mode_open(m, MEMORY, options, CODE_AT, code, bytes, CODE_AT + 0x800, TABLES);
    map_page(m, CODE_AT, CODE_AT);
    for (unsigned page = 0; page < PAGES; page++) {
        map_page(m, DATA + page * PAGE_SIZE, data_at(0, page));
        map_page(m, OTHER + page * PAGE_SIZE, data_at(1, page));
    }
    long_mode_enter(m);
    for (unsigned number = 0; number < 2; number++)
        for (unsigned i = 0; i < PAGES * PAGE_SIZE / 4; i++)
            physmem_write(m->mem, data_at(number, 0) + i * 4, 4, i * (number + 3));
}

/* From the start to HLT, which is a #GP that nobody takes at CPL 3. */
static void run(struct machine *m)
{
    m->cpu->rip = CODE_AT;
    m->cpu->shutdown = false;
    for (unsigned i = 0; i < 100000 && !m->cpu->shutdown; i++)
        (void)translator_run(m->tr, m->cpu, UINT64_MAX);
    assert_true(m->cpu->shutdown);
}

static const struct block *find(const struct machine *m)
{
    const struct block_key key = {.phys = CODE_AT, .linear = CODE_AT, .mode = m->cpu->mode};

    return cache_find(m->tr->cache, &key);
}

/* The superblock that a loop has become: its instructions twice. */
static const struct block *find_loop(const struct machine *m, unsigned insns)
{
    const struct block *block = find(m);

    assert_non_null(block);
    assert_true(block->super);
    assert_int_equal(block->insn_count, 2 * insns);
    return block;
}

/* The block at the program's start, which is not run. */
static const struct block *build_only(struct machine *m, const uint8_t *code, size_t bytes)
{
    struct block_key key = {.phys = CODE_AT, .linear = CODE_AT};
    const struct block *block;

    open_program(m, code, bytes, &straight);
    key.mode = m->cpu->mode;
    block = build_block(m->tr, m->cpu, &key, BUILD_ENTRY);
    assert_non_null(block);
    return block;
}
#define BUILD(m, name) build_only(m, name, (size_t)(name##_end - name))

/* ---- what is in the code of a block, from this instruction on ---- */

static unsigned count(const struct machine *m, const struct block *block, unsigned from,
                      const uint8_t *wanted, size_t bytes)
{
    const uint8_t *start = (const uint8_t *)cache_host(m->tr->cache, block);
    const uint8_t *end = start + cache_site(m->tr->cache, block, block->insn_count).host;
    const uint8_t *at = start + cache_site(m->tr->cache, block, from).host;
    unsigned found = 0;

    while ((at = memmem(at, (size_t)(end - at), wanted, bytes)) != NULL) {
        found++;
        at++;
    }
    return found;
}

static unsigned index_checks(const struct machine *m, const struct block *block, unsigned from)
{
    uint8_t wanted[16];
    struct emit e = {.at = wanted, .end = wanted + sizeof(wanted)};

    emit_check_index(&e);
    return count(m, block, from, wanted, (size_t)(e.at - wanted));
}

/* Of sums and of registers: whatever the region. */
static unsigned region_checks(const struct machine *m, const struct block *block, unsigned from)
{
    uint8_t wanted[16];
    struct emit e = {.at = wanted, .end = wanted + sizeof(wanted)};

    emit_check(&e, 0);
    return count(m, block, from, wanted, (size_t)(e.at - wanted) - 4);
}

/* By this host register. */
static unsigned look_ups(const struct machine *m, const struct block *block, uint8_t host)
{
    uint8_t wanted[16];
    struct emit e = {.at = wanted, .end = wanted + sizeof(wanted)};

    emit_shrx(&e, W64, T1, host, HOST_CPU);
    return count(m, block, 0, wanted, (size_t)(e.at - wanted));
}

/* Loads of a region's distance into T1. */
static unsigned distances(const struct machine *m, const struct block *block, int64_t slot)
{
    uint8_t wanted[16];
    struct emit e = {.at = wanted, .end = wanted + sizeof(wanted)};

    emit_mov_rm(&e, W64, T1, BASE(HOST_CPU, AT_SLOT(true, windows_slot_index(slot))));
    return count(m, block, 0, wanted, (size_t)(e.at - wanted));
}

/* ---- loops ---- */

LOOP(arrays, "mov (%rsi,%rax,4), %edx\n add (%rdi,%rax,4), %edx\n mov %edx, (%rbx,%rax,4)\n"
             " inc %rax\n cmp $300, %rax\n");
enum { ARRAYS_INSNS = 6 };

static void start_arrays(struct machine *m)
{
    m->cpu->gpr[RAX] = 0;
    m->cpu->gpr[RSI] = DATA;
    m->cpu->gpr[RDI] = DATA + 2 * PAGE_SIZE;
    m->cpu->gpr[RBX] = DATA + PAGE_SIZE;
}

static void assert_sums(struct machine *m)
{
    for (unsigned i = 0; i < ELEMENTS; i++)
        assert_int_equal(physmem_read(m->mem, data_at(0, 1) + i * 4, 4),
                         2 * PAGE_SIZE / 4 * 3 + i * 2 * 3);
}

static void an_index_is_checked_once_for_all_arrays(void **state)
{
    const struct block *block;
    struct machine m;

    (void)state;
    OPEN(&m, arrays, &usual);
    start_arrays(&m);
    run(&m);
    block = find_loop(&m, ARRAYS_INSNS);
    assert_int_equal(index_checks(&m, block, ARRAYS_INSNS), 1);
    assert_int_equal(region_checks(&m, block, ARRAYS_INSNS), 0);
    assert_sums(&m);
    machine_close(&m);
}

static void without_host_addresses_sums_are_checked(void **state)
{
    const struct block *block;
    struct machine m;

    (void)state;
    OPEN(&m, arrays, &without);
    start_arrays(&m);
    run(&m);
    block = find_loop(&m, ARRAYS_INSNS);
    assert_int_equal(index_checks(&m, block, 0), 0);
    assert_int_equal(region_checks(&m, block, ARRAYS_INSNS), 3);
    assert_sums(&m);
    machine_close(&m);
}

/* Both jumps, of both copies, and the end of the loop lead to one place; R8 is where they leave. */
PROGRAM(ways_out, "mov (%rsi,%rax), %edx\n cmp %r8, %rdx\n je 1f\n add $4, %rax\n test %edx, %edx\n"
                  " js 1f\n dec %ecx\n jnz ways_out\n 1:");
enum { WAYS_OUT_INSNS = 8 };

static void ways_out_to_one_place_share_an_exit(void **state)
{
    const struct block *block;
    struct machine m;

    (void)state;
    OPEN(&m, ways_out, &usual);
    m.cpu->gpr[RSI] = DATA;
    m.cpu->gpr[RAX] = 0;
    m.cpu->gpr[RCX] = 2 * ELEMENTS;
    m.cpu->gpr[R8] = 3 * ELEMENTS; /* what element number ELEMENTS has */
    run(&m);
    block = find_loop(&m, WAYS_OUT_INSNS);
    assert_int_equal(block->exit_count, 1);
    assert_int_equal(m.cpu->gpr[RAX], 4 * ELEMENTS);
    assert_int_equal(m.cpu->gpr[RCX], ELEMENTS);
    m.cpu->gpr[RCX] = ELEMENTS / 2;
    m.cpu->gpr[RAX] = 0;
    run(&m);
    assert_int_equal(m.cpu->gpr[RAX], 4 * (ELEMENTS / 2));
    machine_close(&m);
}

/* R8 is added to the index, so it is not known from one round to the next. */
LOOP(sudden, "add (%rsi,%rax), %edx\n add %r8, %rax\n dec %ecx\n");
enum { SUDDEN_INSNS = 4 };

static void run_sudden(struct machine *m, uint64_t from)
{
    m->cpu->gpr[RAX] = from;
    m->cpu->gpr[RCX] = ELEMENTS;
    m->cpu->gpr[RDX] = 0;
    m->cpu->gpr[RSI] = DATA;
    m->cpu->gpr[R8] = 4;
    run(m);
}

static void after_a_huge_index_sums_are_checked(void **state)
{
    const uint64_t sum = (uint64_t)ELEMENTS * (ELEMENTS - 1) / 2;
    const struct block *block;
    struct machine m;

    (void)state;
    OPEN(&m, sudden, &usual);
    run_sudden(&m, 0);
    assert_int_equal(m.cpu->gpr[RDX], sum * 3);
    block = find_loop(&m, SUDDEN_INSNS);
    assert_int_equal(index_checks(&m, block, SUDDEN_INSNS), 1);
    assert_int_equal(region_checks(&m, block, SUDDEN_INSNS), 0);
    assert_false(runtime_region(m.tr, CODE_AT, CODE_AT)->no_index);
    run_sudden(&m, OTHER - DATA);
    assert_int_equal(m.cpu->gpr[RDX], sum * 4);
    assert_true(runtime_region(m.tr, CODE_AT, CODE_AT)->no_index);
    run_sudden(&m, 0);
    assert_int_equal(m.cpu->gpr[RDX], sum * 3);
    block = find_loop(&m, SUDDEN_INSNS);
    assert_int_equal(index_checks(&m, block, 0), 0);
    assert_int_equal(region_checks(&m, block, SUDDEN_INSNS), 1);
    machine_close(&m);
}

/* 8 times the index is 8 times a small one, modulo 2^64. */
LOOP(product, "add (%rsi,%rax,8), %rdx\n add %r8, %rax\n dec %ecx\n");

static void the_product_is_what_is_checked(void **state)
{
    const struct block *block;
    uint64_t sum = 0;
    struct machine m;

    (void)state;
    OPEN(&m, product, &usual);
    m.cpu->gpr[RAX] = 0;
    m.cpu->gpr[RCX] = ELEMENTS;
    m.cpu->gpr[RDX] = 0;
    m.cpu->gpr[RSI] = DATA;
    m.cpu->gpr[R8] = (UINT64_C(1) << 61) + 1;
    for (unsigned i = 0; i < ELEMENTS; i++)
        sum += physmem_read(m.mem, data_at(0, 0) + i * 8, 8);
    run(&m);
    assert_true(m.cpu->gpr[RDX] == sum);
    block = find_loop(&m, SUDDEN_INSNS);
    assert_int_equal(index_checks(&m, block, SUDDEN_INSNS), 1);
    assert_false(runtime_region(m.tr, CODE_AT, CODE_AT)->no_index);
    machine_close(&m);
}

LOOP(moved, "mov (%rdi,%rax,4), %edx\n mov %edx, (%rbx,%rax,4)\n add $4, %rdi\n inc %rax\n"
            " cmp $300, %rax\n");
enum { MOVED_INSNS = 6 };

/* RBX is, RDI is not. */
static void a_base_that_is_written_has_no_host_address(void **state)
{
    const struct block *block;
    struct machine m;

    (void)state;
    OPEN(&m, moved, &usual);
    start_arrays(&m);
    run(&m);
    block = find_loop(&m, MOVED_INSNS);
    assert_int_equal(index_checks(&m, block, MOVED_INSNS), 1);
    assert_int_equal(region_checks(&m, block, MOVED_INSNS), 1);
    for (unsigned i = 0; i < ELEMENTS; i++)
        assert_int_equal(physmem_read(m.mem, data_at(0, 1) + i * 4, 4),
                         (2 * PAGE_SIZE / 4 + i * 2) * 3);
    machine_close(&m);
}

/* Small steps in between leave an index small, others do not. */
LOOP(stepped, "mov (%rsi,%rax), %edx\n add $4, %rax\n add (%rsi,%rax), %edx\n"
              " mov %edx, (%rsi,%rax)\n dec %ecx\n");
LOOP(replaced, "mov (%rsi,%rax), %edx\n mov %r8, %rax\n add (%rsi,%rax), %edx\n"
               " mov %edx, (%rsi,%rax)\n dec %ecx\n");
enum { STEPPED_INSNS = 6 };

static void an_index_is_checked_again_once_it_was_written(void **state)
{
    const struct block *block;
    struct machine m;

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        if (i == 0)
            OPEN(&m, stepped, &usual);
        else
            OPEN(&m, replaced, &usual);
        start_arrays(&m);
        m.cpu->gpr[RCX] = ELEMENTS;
        m.cpu->gpr[R8] = 8;
        run(&m);
        block = find_loop(&m, STEPPED_INSNS);
        assert_int_equal(index_checks(&m, block, STEPPED_INSNS), 1 + i);
        assert_int_equal(region_checks(&m, block, STEPPED_INSNS), 0);
        machine_close(&m);
    }
}

/* ---- straight code; RDI keeps HOST_GROUP busy ---- */

#define BESIDE(text) "mov (%rdi), %rdx\n" text "\n mov 8(%rdi), %rbp"

PROGRAM(twice, BESIDE("mov (%rsi), %rax\n mov %rax, 8(%rsi)"));
PROGRAM(stepped_base, BESIDE("mov (%rsi), %rax\n add $8, %rsi\n mov %rax, 8(%rsi)"));
PROGRAM(written_base, BESIDE("mov (%rsi), %rax\n mov %rbx, %rsi\n mov %rax, 8(%rsi)"));
PROGRAM(far_base, BESIDE("mov (%rsi), %rax\n add $0x200000, %rsi\n mov %rax, 8(%rsi)"));
PROGRAM(popped_base, BESIDE("mov (%rsi), %rax\n pop %rsi\n mov %rax, 8(%rsi)"));
PROGRAM(another, BESIDE("mov (%rsi), %rax\n mov (%rbx), %rdx\n mov %rax, 8(%rsi)"));

static void accesses_by_one_register_take_one_look_up(void **state)
{
    static const struct {
        const uint8_t *code, *end;
        unsigned look_ups;
    } cases[] = {
        {twice, twice_end, 1},
        {stepped_base, stepped_base_end, 1},
        {written_base, written_base_end, 2},
        {far_base, far_base_end, 2},
        {popped_base, popped_base_end, 2},
        {another, another_end, 2},
    };
    struct machine m;

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct block *block =
            build_only(&m, cases[i].code, (size_t)(cases[i].end - cases[i].code));

        assert_int_equal(look_ups(&m, block, contract64.host[RSI]), cases[i].look_ups);
        machine_close(&m);
    }
}

PROGRAM(sum, "mov (%rsi,%rax), %rdx\n mov %rdx, 8(%rsi,%rax)\n");
PROGRAM(sum_written, "mov (%rsi,%rax), %rdx\n inc %rax\n mov %rdx, 8(%rsi,%rax)\n");
PROGRAM(sum_elsewhere, "mov (%rsi,%rax), %rdx\n mov %rdx, 0x200000(%rsi,%rax)\n");
PROGRAM(sum_scaled, "mov (%rsi,%rax), %rdx\n mov %rdx, (%rsi,%rax,2)\n");

static void accesses_by_one_sum_take_one_look_up(void **state)
{
    struct machine m;

    (void)state;
    assert_int_equal(look_ups(&m, BUILD(&m, sum), T0), 1);
    machine_close(&m);
    assert_int_equal(look_ups(&m, BUILD(&m, sum_written), T0), 2);
    machine_close(&m);
    assert_int_equal(look_ups(&m, BUILD(&m, sum_elsewhere), T0), 2);
    machine_close(&m);
    assert_int_equal(look_ups(&m, BUILD(&m, sum_scaled), T0), 2);
    machine_close(&m);
}

PROGRAM(table, "movzbl %al, %eax\n mov 0x8000(,%rax,8), %rdx\n");
PROGRAM(tables, "movzbl %al, %eax\n mov 0x8000(,%rax,8), %rdx\n mov 0x9000(,%rax,4), %ebx\n");
PROGRAM(table_wide, "movzbq %al, %rax\n shl %rax\n mov 0x8000(,%rax,8), %rdx\n");
PROGRAM(table_under, "movzbl %al, %eax\n mov -0x8000(,%rax,8), %rdx\n");

/* One load; a shift and a load where the index may be anything. */
static void the_region_of_a_table_is_known_if_its_index_is_narrow(void **state)
{
    const struct block *block;
    struct machine m;

    (void)state;
    block = BUILD(&m, table);
    assert_int_equal(distances(&m, block, 0), 1);
    assert_int_equal(look_ups(&m, block, T0), 0);
    machine_close(&m);
    block = BUILD(&m, tables);
    assert_int_equal(distances(&m, block, 0), 1);
    assert_int_equal(look_ups(&m, block, T0), 0);
    machine_close(&m);
    block = BUILD(&m, table_wide);
    assert_int_equal(distances(&m, block, 0), 0);
    assert_int_equal(look_ups(&m, block, T0), 1);
    machine_close(&m);
    block = BUILD(&m, table_under);
    assert_int_equal(distances(&m, block, -1), 1);
    assert_int_equal(look_ups(&m, block, T0), 0);
    machine_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_index_is_checked_once_for_all_arrays),
        cmocka_unit_test(without_host_addresses_sums_are_checked),
        cmocka_unit_test(ways_out_to_one_place_share_an_exit),
        cmocka_unit_test(after_a_huge_index_sums_are_checked),
        cmocka_unit_test(the_product_is_what_is_checked),
        cmocka_unit_test(a_base_that_is_written_has_no_host_address),
        cmocka_unit_test(an_index_is_checked_again_once_it_was_written),
        cmocka_unit_test(accesses_by_one_register_take_one_look_up),
        cmocka_unit_test(accesses_by_one_sum_take_one_look_up),
        cmocka_unit_test(the_region_of_a_table_is_known_if_its_index_is_narrow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
