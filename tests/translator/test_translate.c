/*
 * tests/translator/test_translate.c -- small guest programs, interpreted and translated: the same
 * registers, flags and memory at the end.  The programs are 32-bit, flat, CPL 0, and end in HLT.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpu/cpuid.h"
#include "cpu/fpu.h"
#include "cpu/interp.h"
#include "cpu/physmem.h"
#include "cpu/segment.h"
#include "tests/translator/machine.h"
#include "translator/runtime.h"
#include "translator/translator.h"

enum { MEMORY = 16 << 20, CODE_AT = 0x10000, STACK_AT = 0x20000, DATA_AT = 0x30000 };

#define PROGRAM(name, text)                                                    \
    extern const uint8_t name[], name##_end[];                                 \
    __asm__(".pushsection .rodata\n.code32\n" #name ":\n" text "\nhlt\n" #name \
            "_end:\n.code64\n.popsection\n")

PROGRAM(loop_program, "mov $1000, %ecx\n xor %eax, %eax\n"
                      "1: add %ecx, %eax\n adc $3, %edx\n rol $5, %edx\n dec %ecx\n jnz 1b\n");
PROGRAM(memory_program, "mov $0x30000, %esi\n mov $300, %ecx\n xor %eax, %eax\n"
                        "1: mov %eax, (%esi,%eax,4)\n add (%esi), %ebx\n incl 4(%esi)\n"
                        "cmpb $7, 3(%esi)\n sbb %edx, %edx\n xchg %ah, 5(%esi)\n"
                        "movzbl 1(%esi), %edi\n add %ch, 9(%esi)\n inc %eax\n loop 1b\n");
PROGRAM(stack_program,
        "mov $500, %ecx\n"
        "1: push %ecx\n push $-2\n pushl (%esp)\n call 2f\n pop %edx\n pop %edx\n"
        "pop %ecx\n loop 1b\n jmp 3f\n"
        "2: push %ebp\n mov %esp, %ebp\n mov 8(%ebp), %eax\n add %eax, %ebx\n leave\n"
        "ret\n3: call 5f\n5: pop %edi\n"
        "add $(4f-5b), %edi\n jmp *%edi\n ud2\n4: nop\n");
PROGRAM(shift_program, "mov $0x12345678, %eax\n mov $400, %ebp\n"
                       "1: mov %ebp, %ecx\n shl %cl, %eax\n rcr %cl, %ebx\n shld %cl, %eax, %edx\n"
                       "sar %cl, %ch\n ror %cl, %esi\n add %ecx, %eax\n shl %cl, %ecx\n"
                       "setc %ch\n mov %ch, %dh\n dec %ebp\n jne 1b\n");
PROGRAM(flags_program, "mov $100, %ecx\n"
                       "1: cmp %ecx, %eax\n mov 0x30000, %edx\n pushf\n pop %ebx\n lahf\n"
                       "add %ebx, 0x30004\n cmc\n mov %edx, 0x30008\n adc $0x7ffffff0, %eax\n"
                       "seto 0x3000c\n jo 2f\n inc %esi\n2: loop 1b\n");
PROGRAM(divide_program,
        "mov $77, %ecx\n1: mov $0, %edx\n mov $123456789, %eax\n div %ecx\n"
        "add %edx, %ebx\n imul %ecx, %ebx\n mov %ecx, %eax\n mul %ebx\n xor %edx, %esi\n"
        "loop 1b\n");
PROGRAM(vector_program, "fninit\n mov $200, %ecx\n mov $0x30000, %esi\n movl $0x3f800000, (%esi)\n"
                        "1: cvtsi2sd %ecx, %xmm0\n sqrtsd %xmm0, %xmm1\n addsd %xmm1, %xmm2\n"
                        "movups %xmm2, 16(%esi)\n paddd 16(%esi), %xmm3\n movd %xmm3, %eax\n"
                        "pshufd $0x1b, %xmm3, %xmm4\n flds (%esi)\n fadds (%esi)\n fstpl 8(%esi)\n"
                        "ucomisd %xmm0, %xmm2\n setb %bl\n pmovmskb %xmm4, %edx\n add %edx, %edi\n"
                        "loop 1b\n");
/* A block begins with an instruction of which the manual leaves all flags undefined, and the host
 * leaves some as they were: glue in front of it must not change them. */
PROGRAM(undefined_flags_are_the_hosts_program,
        "mov $100, %ecx\n xor %ebx, %ebx\n"
        "1: mov %ecx, %eax\n xor %edx, %edx\n mov %ecx, %ebp\n or $1, %ebp\n cmp $50, %ecx\n"
        "jmp 2f\n2: div %ebp\n jmp 3f\n3: pushf\n pop %esi\n rol $3, %ebx\n xor %esi, %ebx\n"
        "loop 1b\n");
/* The jump of a call's poll must reach over the push, which is long on hosts without BMI2. */
PROGRAM(backward_calls_poll_from_afar_program,
        "mov $100, %ecx\n jmp 2f\n1: add %ecx, %eax\n ret\n2: call 1b\n dec %ecx\n jnz 2b\n");
/* A loop that rewrites the immediate of an instruction in its own block, and one behind it. */
PROGRAM(patch_program, "mov $50, %ecx\n call 1f\n1: pop %esi\n"
                       "2: mov %cl, (3f-1b+1)(%esi)\n3: mov $0, %al\n add %eax, %ebx\n"
                       "mov %cl, (4f-1b+2)(%esi)\n nop\n4: add $1, %edx\n loop 2b\n");
PROGRAM(string_program, "mov $0x30000, %edi\n mov $5000, %ecx\n mov $0xab, %al\n cld\n rep stosb\n"
                        "mov $0x30000, %esi\n mov $0x32000, %edi\n mov $1000, %ecx\n rep movsl\n"
                        "mov $0x30000, %esi\n mov $0x32000, %edi\n mov $4097, %ecx\n repe cmpsb\n"
                        "mov %ecx, %ebx\n lodsl\n std\n movsb\n cld\n");

/* Vector and x87 operands that cross pages take the interpreter's way with live registers. */
PROGRAM(crossing_program,
        "fninit\n mov $40, %ecx\n mov $0x30fe0, %esi\n mov $0x40ff0, %edi\n"
        "xor %eax, %eax\n"
        "0: mov %ecx, (%esi,%eax,4)\n inc %eax\n cmp $64, %eax\n jb 0b\n"
        "1: movdqu (%esi,%ecx), %xmm0\n movdqu 16(%esi,%ecx), %xmm1\n"
        "movdqa %xmm0, %xmm2\n palignr $3, %xmm1, %xmm2\n pcmpeqb %xmm0, %xmm1\n"
        "movdqu %xmm2, (%edi,%ecx)\n movlps %xmm1, 3(%edi,%ecx)\n"
        "movhps 1(%esi,%ecx), %xmm3\n movq 5(%esi,%ecx), %mm0\n"
        "paddb (%esi,%ecx), %mm0\n movq %mm0, 9(%edi,%ecx)\n emms\n"
        "fldl 1(%esi,%ecx)\n fstpt 7(%edi,%ecx)\n mov 3(%esi,%ecx), %edx\n"
        "mov %edx, (%edi,%ecx)\n add %edx, 1(%edi,%ecx)\n movw %dx, 2(%edi,%ecx)\n"
        "cmpxchg %edx, 5(%edi,%ecx)\n xadd %edx, 6(%edi,%ecx)\n"
        "btsl $3, 7(%edi,%ecx)\n sete 8(%edi,%ecx)\n cmovc 2(%edi,%ecx), %ebx\n"
        "push %ecx\n add $24, %ecx\n push 3(%esi,%ecx)\n popl (%edi,%ecx)\n"
        "pop %ecx\n dec %ecx\n jnz 1b\n");

/* PCMPxSTRI's result goes to ECX, which no operand names. */
PROGRAM(implicit_program, "mov $0x30000, %esi\n mov $0x62636400, %eax\n mov %eax, 5(%esi)\n"
                          "mov $30, %edi\n1: movdqu (%esi), %xmm0\n pcmpistri $8, 4(%esi), %xmm0\n"
                          "add %ecx, %ebx\n mov $7, %eax\n mov $9, %edx\n"
                          "mov %edi, %ecx\n pcmpestri $0, %xmm0, %xmm0\n adc %ecx, %ebx\n"
                          "mov %ebx, %eax\n mov %edi, %ecx\n"
                          "mul %ecx\n add %edx, %ebx\n dec %edi\n jnz 1b\n");

/* The stack crosses a page, so that RET is interpreted; it leads to the next instruction. */
PROGRAM(ret_to_next_program, "mov $0x21002, %esp\n call 1f\n1: pop %esi\n add $(3f-1b), %esi\n"
                             "mov $200, %ecx\n2: inc %edx\n push %esi\n inc %ebx\n ret\n"
                             "3: add %edx, %eax\n dec %ecx\n jnz 2b\n");

/* Hot code in another page, reached through the jump cache, after DS has got another base. */
PROGRAM(mode_change_program,
        "movl $0x0000ffff, 0x31008\n movl $0x00cf9b00, 0x3100c\n movl $0x0000ffff, 0x31010\n"
        "movl $0x00cf9300, 0x31014\n movl $0x0000ffff, 0x31018\n movl $0x00cf9304, 0x3101c\n"
        "movw $0x1f, 0x31030\n movl $0x31000, 0x31032\n lgdt 0x31030\n"
        "movl $0x000100a1, 0x50000\n movw $0xc300, 0x50004\n" /* mov 0x100, %eax; ret */
        "movl $0x1111, 0x100\n movl $0x2222, 0x40100\n mov $0x50000, %edi\n mov $20, %ebp\n"
        "1: mov $0x10, %ecx\n mov %ecx, %ds\n mov $4, %esi\n"
        "2: call *%edi\n add %eax, %ebx\n dec %esi\n jnz 2b\n"
        "mov $0x18, %ecx\n mov %ecx, %ds\n mov $4, %esi\n"
        "3: call *%edi\n add %eax, %edx\n dec %esi\n jnz 3b\n"
        "dec %ebp\n jnz 1b\n");

static void machine_start(struct machine *m, const uint8_t *code, size_t size)
{
    m->cpu->cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT;
    machine_start_flat(m, CODE_AT, code, size, STACK_AT);
    for (unsigned i = 0; i < 8; i++)
        m->cpu->gpr[i] = i == RSP ? STACK_AT : 0x01010101u * i;
}

static void machine_run(struct machine *m)
{
    const enum run_exit end =
        m->tr ? translator_run(m->tr, m->cpu, UINT64_MAX) : interp_run(m->cpu, UINT64_MAX);

    assert_int_equal(end, RUN_HALTED);
}

static void compare(const uint8_t *code, const uint8_t *end)
{
    struct machine a, b;

    static const struct translator_options variants[] = {{0},
                                                         {.no_chain = true},
                                                         {.no_bmi2 = true},
                                                         {.no_bmi2 = true, .no_chain = true},
                                                         {.counted = true}};

    for (unsigned i = 0; i < sizeof(variants) / sizeof(variants[0]); i++) {
        machine_open(&a, MEMORY, NULL);
        machine_open(&b, MEMORY, &variants[i]);
        machine_start(&a, code, (size_t)(end - code));
        machine_start(&b, code, (size_t)(end - code));
        machine_run(&a);
        machine_run(&b);
        assert_int_equal(b.tr->counters.untranslatable, 0);
        for (unsigned r = 0; r < 8; r++)
            assert_int_equal(a.cpu->gpr[r], b.cpu->gpr[r]);
        assert_int_equal(a.cpu->rip, b.cpu->rip);
        assert_int_equal(a.cpu->rflags, b.cpu->rflags);
        assert_memory_equal(physmem_backing(a.mem, 0), physmem_backing(b.mem, 0), MEMORY);
        assert_memory_equal(a.cpu->fpu, b.cpu->fpu, 416);
        machine_close(&a);
        machine_close(&b);
    }
}

#define COMPARE(name)                                \
    static void test_##name(void **state)            \
    {                                                \
        (void)state;                                 \
        compare(name##_program, name##_program_end); \
    }
COMPARE(loop)
COMPARE(memory)
COMPARE(stack)
COMPARE(shift)
COMPARE(flags)
COMPARE(divide)
COMPARE(vector)
COMPARE(patch)
COMPARE(string)
COMPARE(crossing)
COMPARE(implicit)
COMPARE(ret_to_next)
COMPARE(mode_change)
COMPARE(backward_calls_poll_from_afar)
COMPARE(undefined_flags_are_the_hosts)

/* Looking for the size of a BAR changes the map: code elsewhere stays translated, code there goes.
 */
static void test_map_change_drops_what_it_concerns(void **state)
{
    enum { ELSEWHERE = 8 << 20, OTHER_AT = 1 << 20 };
    const struct translator_options options = {.no_superblock =
                                                   true}; /* which takes a block's place */
    struct machine m;
    uint64_t sum;

    (void)state;
    machine_open(&m, MEMORY, &options);
    machine_start(&m, loop_program, (size_t)(loop_program_end - loop_program));
    machine_run(&m);
    sum = m.cpu->gpr[RAX];
    assert_true(cache_counters(m.tr->cache)->translations > 0);
    assert_int_equal(physmem_map(m.mem, ELSEWHERE, 1 << 20, 0, false), 0);
    assert_int_equal(cache_counters(m.tr->cache)->invalidated, 0);
    m.cpu->halted = false;
    machine_start(&m, loop_program, 0);
    machine_run(&m);
    assert_int_equal(m.cpu->gpr[RAX], sum);
    assert_int_equal(cache_counters(m.tr->cache)->invalidated, 0);

    physmem_write_bytes(m.mem, OTHER_AT, memory_program,
                        (size_t)(memory_program_end - memory_program));
    assert_int_equal(physmem_map(m.mem, CODE_AT, PAGE_SIZE, OTHER_AT, true), 0);
    assert_int_equal(cache_counters(m.tr->cache)->live_bytes, 0);
    m.cpu->halted = false;
    machine_start(&m, memory_program, 0);
    machine_run(&m);
    assert_int_equal(m.cpu->gpr[RSI], DATA_AT); /* as only the other program has it */
    machine_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loop),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_stack),
        cmocka_unit_test(test_shift),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_divide),
        cmocka_unit_test(test_vector),
        cmocka_unit_test(test_patch),
        cmocka_unit_test(test_string),
        cmocka_unit_test(test_crossing),
        cmocka_unit_test(test_implicit),
        cmocka_unit_test(test_ret_to_next),
        cmocka_unit_test(test_mode_change),
        cmocka_unit_test(test_backward_calls_poll_from_afar),
        cmocka_unit_test(test_undefined_flags_are_the_hosts),
        cmocka_unit_test(test_map_change_drops_what_it_concerns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
