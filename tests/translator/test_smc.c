/*
 * tests/translator/test_smc.c -- what is taken for data when code is rewritten, and what is not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cpu/segment.h"
#include "tests/translator/machine.h"
#include "translator/runtime.h"

enum { MEMORY = 4 << 20, CODE_AT = 0x6000, STACK_AT = 0xf000, TABLES_AT = 0x1000 };

#define PROGRAM(name, text)                                                              \
    extern const uint8_t name[], name##_end[];                                           \
    __asm__(".pushsection .rodata\n.code64\n" #name ":\n" text "\nhlt\n" #name "_end:\n" \
            ".popsection\n")

/* Each immediate is rewritten in front of its instruction. */
PROGRAM(moves, "mov $99, %ecx\n xor %ebx, %ebx\n"
               "1: mov %ecx, 2f-4(%rip)\n mov $0x11111111, %eax\n 2: add %eax, %ebx\n"
               "dec %ecx\n jnz 1b\n");
PROGRAM(stack, "mov $99, %ecx\n xor %ebx, %ebx\n"
               "1: mov %ecx, 2f-4(%rip)\n add $0x11111111, %rsp\n 2: sub %rcx, %rsp\n"
               "add %ecx, %ebx\n dec %ecx\n jnz 1b\n");
/* Data in the page of the loop. */
PROGRAM(beside, "mov $99, %ecx\n xor %ebx, %ebx\n"
                "1: mov %ecx, 0x800(%rdi,%rcx)\n add 0x800(%rdi,%rcx), %ebx\n dec %ecx\n jnz 1b\n");

/* A function that is all the code of its page. */
PROGRAM(alone,
        "lea 0x1000(%rdi), %rsi\n movb $0xb8, (%rsi)\n movb $0xc3, 5(%rsi)\n mov $20000, %ecx\n"
        "1: mov %ecx, 1(%rsi)\n call *%rsi\n cmp %eax, %ecx\n jne 2f\n dec %ecx\n jnz 1b\n"
        "mov $4950, %ebx\n 2:\n");

static void run(const uint8_t *code, const uint8_t *end, const struct translator_options *options,
                struct smc_counters *counters)
{
    struct machine m;
    struct cpu *cpu;

    machine_open(&m, MEMORY, options);
    cpu = m.cpu;
    physmem_write_bytes(m.mem, CODE_AT, code, (size_t)(end - code));
    physmem_write(m.mem, TABLES_AT, 8, (TABLES_AT + 0x1000) | 0x23);
    physmem_write(m.mem, TABLES_AT + 0x1000, 8, (TABLES_AT + 0x2000) | 0x23);
    for (uint64_t i = 0; i < MEMORY >> 21; i++)
        physmem_write(m.mem, TABLES_AT + 0x2000 + 8 * i, 8, i << 21 | 0xe3);
    cpu->cr0 = CR0_ET | CR0_NE | CR0_PE | CR0_PG;
    cpu->cr4 = CR4_PAE;
    cpu->cr3 = TABLES_AT;
    cpu->efer = EFER_LME | EFER_LMA;
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        cpu->seg[i] = (struct segment){
            .limit = 0xffffffff,
            .selector = i == CS ? 8 : 16,
            .attr = (uint16_t)(SEG_P | SEG_S | SEG_G | (i == CS ? SEG_L | 0xb : SEG_DB | 3)),
        };
        segment_update_cache(&cpu->seg[i]);
    }
    cpu->cpl = 0;
    cpu_update_mode(cpu);
    cpu->rflags = 2;
    cpu->gpr[RSP] = STACK_AT;
    cpu->gpr[RDI] = CODE_AT;
    cpu->rip = CODE_AT;
    for (unsigned i = 0; i < 1000 && !cpu->halted; i++)
        (void)translator_run(m.tr, cpu, UINT64_MAX);
    assert_true(cpu->halted);
    assert_int_equal(cpu->gpr[RBX], 99 * 100 / 2);
    assert_int_equal(cpu->gpr[RSP], STACK_AT);
    *counters = m.tr->smc.counters;
    machine_close(&m);
}

static void an_immediate_that_is_rewritten_becomes_data(void **state)
{
    const struct translator_options options = {0}, off = {.no_smc = true};
    struct smc_counters counters;

    (void)state;
    run(moves, moves_end, &options, &counters);
    assert_true(counters.live_imms > 0);
    run(moves, moves_end, &off, &counters);
    assert_int_equal(counters.live_imms, 0);
}

/* Where the stack pointer may go between two look-ups of its region is known from constants. */
static void what_is_added_to_rsp_is_no_data(void **state)
{
    const struct translator_options options = {.eager_window = true};
    struct smc_counters counters;

    (void)state;
    run(stack, stack_end, &options, &counters);
    assert_int_equal(counters.live_imms, 0);
}

static void stores_beside_code_need_no_side_exit(void **state)
{
    const struct translator_options options = {0}, off = {.no_smc = true};
    struct smc_counters counters;

    (void)state;
    run(beside, beside_end, &options, &counters);
    assert_true(counters.beside > 0);
    run(beside, beside_end, &off, &counters);
    assert_int_equal(counters.beside, 0);
}

/* What was known of the page's bytes went with its only block, so the next store found the new one:
 * each thousandth call was for nothing. */
static void a_superblock_in_place_of_a_pages_only_code_is_not_stored_to(void **state)
{
    const struct translator_options options = {0};
    struct smc_counters counters;

    (void)state;
    run(alone, alone_end, &options, &counters);
    assert_true(counters.live_imms > 0);
    assert_true(counters.live_imms < 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_immediate_that_is_rewritten_becomes_data),
        cmocka_unit_test(what_is_added_to_rsp_is_no_data),
        cmocka_unit_test(stores_beside_code_need_no_side_exit),
        cmocka_unit_test(a_superblock_in_place_of_a_pages_only_code_is_not_stored_to),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
