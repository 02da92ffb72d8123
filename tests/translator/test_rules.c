/*
 * tests/translator/test_rules.c -- the rules of rules_string.c, rules_kernel.c and rules_div.c: the
 * same small programs interpreted and translated.  There is no IDT, so a fault ends a program in a
 * shutdown: then, too, everything must be as the interpreter left it.
 *
 * 16-bit programs run in real mode, 32-bit ones flat at CPL 0, 64-bit ones on identity-mapped page
 * tables that end with RAM.
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

enum { MEMORY = 4 << 20, CODE_AT = 0x6000, STACK_AT = 0xf000, TABLES_AT = 0x1000, CACHE = 1 << 20 };

#define PROGRAM(bits, name, text)                                                     \
    extern const uint8_t name[], name##_end[];                                        \
    __asm__(".pushsection .rodata\n.code" #bits "\n" #name ":\n" text "\nhlt\n" #name \
            "_end:\n.code64\n.popsection\n")

/* ESI goes down to 0: then `divide`, by what `set` makes of it, is a division by zero. */
#define DIVISION(bits, name, collect, set, divide)                                             \
    PROGRAM(bits, name,                                                                        \
            "mov $60, %esi\n mov $0x20000, %edi\n"                                             \
            "1: mov $60, %eax\n xor %edx, %edx\n" set "\n cmp $30, %esi\n" divide "\n" collect \
            "adc %eax, %ebp\n add %edx, %ebp\n dec %esi\n jmp 1b\n")

/* Two source strings at 0x20000 and the flags after each round added up in EBP. */
#define FILL                                                                                    \
    "mov $0x20000, %edi\n mov $0x3000, %ecx\n mov $0x9e3779b9, %eax\n"                          \
    "7: mov %eax, (%edi)\n add $4, %edi\n imul $0x19660d, %eax, %eax\n add $0x3c6ef35f, %eax\n" \
    "dec %ecx\n jnz 7b\n"
#define COLLECT32 "pushf\n addl (%esp), %ebp\n rol $3, %ebp\n popf\n"
#define COLLECT64 "pushf\n addl (%rsp), %ebp\n rol $3, %ebp\n popf\n"

/* All sizes, up and down, from every alignment over a page boundary. */
#define SINGLES(collect)                                                              \
    "mov $100, %edx\n mov $0x20fc0, %esi\n mov $0x28fb0, %edi\n"                      \
    "1: add %edx, %ebx\n lodsb\n" collect "lodsw\n stosb\n" collect "lodsl\n stosl\n" \
    "scasb\n" collect "cmpsl\n" collect "movsb\n movsw\n" collect "movsl\n stosw\n"   \
    "scasl\n" collect "cmpsb\n" collect "cmpsw\n" collect "scasw\n" collect           \
    "std\n lodsl\n stosb\n cmpsb\n" collect "movsl\n cld\n dec %edx\n jnz 1b\n"

PROGRAM(32, singles32, FILL SINGLES(COLLECT32));
PROGRAM(
    64, singles64,
    FILL SINGLES(
        COLLECT64) "mov $60, %edx\n mov $0x20f80, %esi\n mov $0x28f91, %edi\n"
                   "1: lodsq\n stosq\n scasq\n" COLLECT64 "movsq\n cmpsq\n" COLLECT64
                   "dec %edx\n jnz 1b\n"
                   /* 32-bit addresses clear the upper halves. */
                   "mov $9, %edx\n 2: mov $0xf000000020100, %rsi\n mov $0xe000000030000, %rdi\n"
                   "addr32 movsl\n addr32 lodsb\n addr32 stosb\n add %rsi, %rbp\n add %rdi, %rbp\n"
                   "dec %edx\n jnz 2b\n");
/* Segments with a base, indexes that wrap at 64 KiB. */
PROGRAM(16, singles16,
        "mov $0x2000, %ax\n mov %ax, %ds\n mov $0x2fff, %ax\n mov %ax, %es\n"
        "mov $0x1357, %bp\n mov $300, %dx\n mov $0x180, %si\n mov $0x13f, %di\n"
        "1: lodsb\n lodsw\n stosb\n stosw\n movsb\n cmpsb\n pushf\n pop %cx\n add %cx, %bp\n"
        "scasb\n pushf\n pop %cx\n add %cx, %bp\n lodsl\n es movsb\n cs lodsb\n add %si, %bp\n"
        "mov %dx, (%si)\n dec %dx\n jnz 1b\n"
        "mov $0xff80, %si\n mov $0xff3f, %di\n mov $300, %cx\n"
        "2: lodsb\n add %al, %dl\n stosb\n movsb\n cmpsb\n adc %si, %dx\n scasb\n"
        "adc %di, %dx\n loop 2b\n");
/* Beyond 64 KiB is beyond the limit: #GP at the word that does not fit. */
PROGRAM(16, limit16,
        "mov $0x2000, %ax\n mov %ax, %ds\n mov $0xff01, %si\n 1: lodsw\n"
        "add %ax, %bx\n jmp 1b\n");

/* Runs inside a page, up to its last byte, across, overlapping, empty; MOVS and STOS. */
#define REPEATS                                                                                 \
    "mov $70, %edx\n 1: mov $0x20000, %esi\n mov $0x29f80, %edi\n mov %edx, %ecx\n rep movsb\n" \
    "mov %edx, %ecx\n rep movsl\n xor %ecx, %ecx\n rep movsb\n add %edi, %ebp\n"                \
    "mov $0x21000, %esi\n lea 3(%esi), %edi\n mov %edx, %ecx\n rep movsb\n add %esi, %ebp\n"    \
    "mov $0x23fc0, %edi\n mov %edx, %ecx\n mov %edx, %eax\n rep stosb\n add %edi, %ebp\n"       \
    "mov %edx, %ecx\n repne stosw\n xor %ecx, %ecx\n cmp %edx, %ebp\n rep stosl\n"              \
    "adc %edi, %ebp\n mov $0x24000, %edi\n mov $1024, %ecx\n rep stosl\n mov $0x25000, %esi\n"  \
    "mov $0x26000, %edi\n mov $1024, %ecx\n rep movsl\n add %esi, %ebp\n add %edi, %ebp\n"      \
    "mov $0x25001, %esi\n mov $0x2a001, %edi\n mov $5000, %ecx\n rep movsb\n add %ecx, %ebp\n"  \
    "std\n mov $20, %ecx\n rep movsb\n cld\n mov $0x20000, %esi\n mov $0x29f80, %edi\n"         \
    "mov $300, %ecx\n repe cmpsb\n adc %ecx, %ebp\n mov $300, %ecx\n repne scasb\n"             \
    "adc %ecx, %ebp\n dec %edx\n jnz 1b\n"
PROGRAM(32, repeats32, FILL REPEATS);
PROGRAM(64, repeats64,
        FILL REPEATS
        "mov $50, %edx\n 2: mov $0x20000, %esi\n mov $0x28ff0, %edi\n mov %edx, %ecx\n"
        "rep movsq\n mov $0x22000, %edi\n mov $512, %ecx\n rep stosq\n add %rdi, %rbp\n"
        "add %rcx, %rbp\n mov $0x500000003, %rcx\n mov $0x700020000, %rsi\n addr32 rep stosb\n"
        "add %rcx, %rbp\n add %rdi, %rbp\n dec %edx\n jnz 2b\n");

/* A run that ends beyond RAM: the count, the indexes and memory at the fault. */
PROGRAM(64, fault_rep64,
        "mov $40, %edx\n 1: mov $0x20000, %esi\n mov $0x3fff00, %edi\n"
        "mov $257, %ecx\n sub %edx, %ecx\n rep movsb\n inc %edx\n dec %edx\n"
        "dec %edx\n jns 1b\n");
/* The first operand of MOVS is fine, the second is not, and the other way round. */
PROGRAM(64, fault_movs64, "mov $0x20000, %esi\n mov $0x3fff00, %edi\n 1: movsl\n jmp 1b\n");
PROGRAM(64, fault_cmps64, "mov $0x3fff00, %esi\n mov $0x20000, %edi\n 1: cmpsq\n jmp 1b\n");
PROGRAM(64, fault_scas64, "mov $0x3fff01, %edi\n 1: cmp %esi, %edi\n scasl\n jmp 1b\n");
PROGRAM(64, fault_noncanonical64,
        "mov $0x7fffffffff80, %rdi\n mov $60, %ecx\n"
        "1: lea 0x20000(%rcx), %rsi\n cmp $9, %ecx\n cmovz %rdi, %rsi\n"
        "lodsq\n loop 1b\n");

/* A string store into its own block, ahead of itself. */
PROGRAM(32, patch32,
        "mov $50, %edx\n call 1f\n 1: pop %ebx\n"
        "2: lea 3f-1b+1(%ebx), %edi\n mov %dl, %al\n stosb\n 3: mov $0, %cl\n"
        "add %ecx, %ebp\n lea 4f-1b+1(%ebx), %edi\n mov $1, %ecx\n rep stosb\n nop\n"
        "4: mov $0, %ch\n add %ecx, %ebp\n dec %edx\n jnz 2b\n");

#define STATE(collect)                                                                          \
    "mov $50, %ecx\n 1: mov %ds, %eax\n add %eax, %ebp\n mov %cr0, %" #collect "ax\n"           \
    "add %eax, %ebp\n mov %cr4, %" #collect "ax\n add %eax, %ebp\n mov %cr3, %" #collect "ax\n" \
    "add %eax, %ebp\n mov %ss, %dx\n adc %edx, %ebp\n mov %es, 0x20001(%ecx,%ecx)\n"            \
    "mov %ebx, 0x20ff0(,%ecx,4)\n push %fs\n pop %" #collect "ax\n add %eax, %ebp\n"            \
    "dec %ecx\n jnz 1b\n"
PROGRAM(32, state32,
        STATE(e) "mov $9, %ecx\n 1: push %ds\n pushw %es\n pop %ax\n add %eax, %ebp\n"
                 "pop %eax\n add %eax, %ebp\n loop 1b\n");
PROGRAM(
    64, state64,
    STATE(r) "mov $0x20000, %eax\n mov $0x21000, %edx\n mov $0xc0000101, %ecx\n mov %eax, %ebx\n"
             "push %rdx\n xor %edx, %edx\n wrmsr\n inc %ecx\n pop %rax\n wrmsr\n mov $40, %ecx\n"
             "mov %cr0, %r9\n mov %cr3, %r13\n mov %ds, %r10d\n mov %gs, %r12w\n"
             "1: swapgs\n add %gs:8, %rbp\n mov %rcx, %gs:8\n dec %ecx\n jnz 1b\n");

/* AC comes and goes, and so does what the supervisor may touch; the last access is forbidden. */
#define ACCESS_CONTROL                                                                    \
    "mov %cr4, %rax\n or $0x200000, %eax\n mov $70, %ecx\n"                               \
    "1: stac\n add %ecx, 0x300000\n adc %ecx, %ebp\n pushf\n pop %rdx\n add %rdx, %rbp\n" \
    "stac\n clac\n pushf\n pop %rdx\n add %rdx, %rbp\n clac\n cmp $35, %ecx\n jne 2f\n"   \
    "mov %rax, %cr4\n 2: dec %ecx\n jnz 1b\n"
PROGRAM(64, smap64, ACCESS_CONTROL);
PROGRAM(64, smap_fault64,
        ACCESS_CONTROL "mov $7, %ecx\n 3: dec %ecx\n cmp $2, %ecx\n je 4f\n"
                       "stac\n 4: add %ecx, 0x300000\n clac\n jmp 3b\n");

#define EXCHANGE                                                                            \
    "mov $70, %esi\n xor %ecx, %ecx\n mov $0x20fe0, %edi\n 1: mov (%edi,%esi), %eax\n"      \
    "mov 4(%edi,%esi), %edx\n test $1, %esi\n jz 2f\n inc %edx\n 2: add %esi, %ebx\n"       \
    "adc %ebx, %ecx\n cmpxchg8b (%edi,%esi)\n adc %eax, %ebp\n sete %al\n add %edx, %ebp\n" \
    "lock cmpxchg8b 0x20000\n setne %dl\n add %eax, %ebp\n dec %esi\n jnz 1b\n"
PROGRAM(32, exchange32, FILL EXCHANGE);
PROGRAM(64, exchange64,
        FILL EXCHANGE
        "mov $70, %esi\n 1: mov (%rdi,%rsi,8), %rax\n test $2, %esi\n jz 2f\n inc %eax\n"
        "2: and $-2, %esi\n mov 8(%rdi,%rsi,8), %rdx\n add %rsi, %rbx\n adc %rbx, %rcx\n"
        "lock cmpxchg16b (%rdi,%rsi,8)\n adc %rax, %rbp\n sete %al\n lea 0x20000(%esi), %r9\n"
        "and $-16, %r9d\n cmpxchg16b (%r9)\n add %rdx, %rbp\n dec %esi\n jnz 1b\n"
        /* not aligned */
        "3: cmpxchg16b (%rdi)\n inc %edi\n jmp 3b\n");

#define BITS                                                                                  \
    "mov $200, %ecx\n mov $0x28000, %esi\n 1: imul $0x19660d, %edx, %edx\n add $77, %edx\n"   \
    "mov %edx, %eax\n sar $14, %eax\n bt %eax, (%esi)\n adc %ebp, %ebp\n bts %eax, 4(%esi)\n" \
    "adc %eax, %ebp\n btr %ecx, (%esi,%ecx)\n adc %ecx, %ebp\n lock btc %eax, (%esi)\n"       \
    "adc %edx, %ebp\n lock bts %edx, 0x28ffe-0x28000(%esi)\n"
PROGRAM(32, bits32,
        FILL BITS "adc %edx, %ebp\n btsw %ax, (%esi)\n adc %edx, %ebp\n dec %ecx\n"
                  "jnz 1b\n");
PROGRAM(64, bits64,
        FILL
        "mov $200, %ecx\n mov $0x128000, %esi\n 1: imul $0x19660d, %edx, %edx\n"
        "add $77, %edx\n movslq %edx, %rax\n sar $10, %rax\n bt %eax, (%rsi)\n adc %ebp, %ebp\n"
        "bts %rax, 4(%rsi)\n adc %eax, %ebp\n btr %rcx, (%rsi,%rcx)\n mov %rax, %r9\n"
        "lock btc %r9, (%rsi)\n adc %edx, %ebp\n mov %edx, %r13d\n sar $13, %r13d\n"
        "lock btr %r13d, (%rsi)\n adc %edx, %ebp\n mov $0, %r8d\n"
        "bts %r13d, %gs:(%rsi,%r8)\n adc %rdx, %rbp\n dec %ecx\n jnz 1b\n"
        "2: add $0x1000000, %rax\n btc %rax, (%rsi)\n jmp 2b\n");

PROGRAM(32, tables32,
        FILL "mov $99, %ecx\n mov $0x20fc0, %ebx\n 1: cmp %ecx, %eax\n xlat\n"
             "adc %eax, %ebp\n pusha\n add %ecx, 12(%esp)\n inc %eax\n popa\n"
             "add %eax, %ebp\n pushaw\n popaw\n sub $3, %esp\n loop 1b\n");
PROGRAM(64, tables64,
        FILL "mov $99, %ecx\n mov $0x20fc0, %ebx\n 1: cmp %ecx, %eax\n xlat\n"
             "adc %eax, %ebp\n cs xlat\n add %eax, %ebp\n loop 1b\n");
/* PUSHA across 0 of a 16-bit stack. */
PROGRAM(16, stack16,
        "mov $100, %cx\n mov $0x1000, %ax\n mov %ax, %ss\n mov $0x40, %sp\n"
        "1: pusha\n push %ds\n pop %ax\n add %ax, %bp\n sub $4, %sp\n pusha\n popa\n"
        "popal\n pushal\n loop 1b\n");

/* Indirect transfers to the next instruction: once in their own way, before in the handler's. */
PROGRAM(64, next64,
        "mov $40, %ecx\n 1: lea 2f(%rip), %rax\n jmp *%rax\n 2: inc %ebp\n"
        "lea 3f(%rip), %rax\n push %rax\n ret\n 3: add %ecx, %ebp\n"
        "lea 4f(%rip), %rax\n call *%rax\n 4: pop %rbx\n add %ebx, %ebp\n"
        "dec %ecx\n jnz 1b\n");

/* Time goes on, and is about what the CPU says; no flag changes. */
PROGRAM(32, time32,
        "mov $100, %ecx\n xor %edi, %edi\n xor %ebp, %ebp\n"
        "1: mov %ecx, %ebx\n cmp $50, %ecx\n rdtsc\n adc $0, %ebp\n mov %eax, %esi\n"
        "cmp $30, %ecx\n mov %edx, 0x20000\n rdtscp\n adc $0, %ebp\n xchg %ecx, %edi\n"
        "sub %esi, %eax\n sbb 0x20000, %edx\n jc 2f\n or %edx, 0x20004\n mov %ebx, %ecx\n"
        "loop 1b\n rdtsc\n hlt\n 2: ud2\n");

/* Reads the time for ever; instruction by instruction a byte, two, two. */
PROGRAM(32, clock32, "1: inc %ebp\n rdtsc\n jmp 1b\n");

/* RAM at its own addresses in 4 KiB pages; the last MiB belongs to the user. */
static void make_page_tables(struct machine *m)
{
    enum { ENTRY = 0x3 /* P, RW */, USER = 4, USER_FROM = 0x300 };

    physmem_write(m->mem, TABLES_AT, 8, (TABLES_AT + 0x1000) | ENTRY | USER);
    physmem_write(m->mem, TABLES_AT + 0x1000, 8, (TABLES_AT + 0x2000) | ENTRY | USER);
    for (unsigned i = 0; i < 2; i++)
        physmem_write(m->mem, TABLES_AT + 0x2000 + 8 * i, 8,
                      (TABLES_AT + 0x3000 + 0x1000 * i) | ENTRY | USER);
    for (unsigned i = 0; i < 1024; i++)
        physmem_write(m->mem, TABLES_AT + 0x3000 + 8 * i, 8,
                      i << 12 | ENTRY | (i >= USER_FROM ? USER : 0));
}

static void machine_start(struct machine *m, unsigned bits, const uint8_t *code, size_t size)
{
    struct cpu *cpu = m->cpu;

    physmem_write_bytes(m->mem, CODE_AT, code, size);
    cpu->cr0 = CR0_ET | CR0_NE | (bits == 16 ? 0 : CR0_PE);
    if (bits == 64) {
        make_page_tables(m);
        cpu->cr0 |= CR0_PG;
        cpu->cr3 = TABLES_AT;
        cpu->cr4 = CR4_PAE;
        cpu->efer = EFER_LME | EFER_LMA;
    }
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        const unsigned size_bit = bits == 16 ? 0 : bits == 64 && i == CS ? SEG_L : SEG_DB;

        cpu->seg[i] = (struct segment){
            .limit = bits == 16 ? 0xffff : 0xffffffff,
            .selector = bits == 16 ? 0
                        : i == CS  ? 8
                                   : 16,
            .attr = (uint16_t)(SEG_P | SEG_S | (bits == 16 ? 0 : SEG_G) | size_bit |
                               (i == CS ? 0xb : 3)),
        };
        segment_update_cache(&cpu->seg[i]);
    }
    cpu->idtr = (struct dtable){0};
    cpu->cpl = 0;
    cpu_update_mode(cpu);
    for (unsigned i = 0; i < 16; i++)
        cpu->gpr[i] = 0x01010101u * i;
    cpu->gpr[RSP] = STACK_AT;
    cpu->rip = CODE_AT;
    cpu->rflags = 2;
}

static enum run_exit machine_run(struct machine *m)
{
    return m->tr ? translator_run(m->tr, m->cpu, UINT64_MAX) : interp_run(m->cpu, UINT64_MAX);
}

/* Returns how many instructions of the program the host CPU had to refuse. */
static uint64_t compare(unsigned bits, const uint8_t *code, const uint8_t *end,
                        enum run_exit expected)
{
    struct machine a, b;
    uint64_t host_faults = 0;

    for (unsigned no_chain = 0; no_chain < 2; no_chain++) {
        const struct translator_options options = {.cache_bytes = CACHE, .no_chain = no_chain};

        machine_open(&a, MEMORY, NULL);
        machine_open(&b, MEMORY, &options);
        machine_start(&a, bits, code, (size_t)(end - code));
        machine_start(&b, bits, code, (size_t)(end - code));
        assert_int_equal(machine_run(&a), expected);
        assert_int_equal(machine_run(&b), expected);
        for (unsigned i = 0; i < 16; i++)
            assert_int_equal(a.cpu->gpr[i], b.cpu->gpr[i]);
        assert_int_equal(a.cpu->rip, b.cpu->rip);
        assert_int_equal(a.cpu->rflags, b.cpu->rflags);
        assert_int_equal(a.cpu->cr2, b.cpu->cr2);
        assert_int_equal(a.cpu->mode, b.cpu->mode);
        assert_memory_equal(physmem_backing(a.mem, 0), physmem_backing(b.mem, 0), MEMORY);
        host_faults += b.tr->counters.host_faults;
        machine_close(&a);
        machine_close(&b);
    }
    return host_faults;
}

#define COMPARE(bits, name, end)                    \
    static void test_##name(void **state)           \
    {                                               \
        (void)state;                                \
        (void)compare(bits, name, name##_end, end); \
    }
COMPARE(32, singles32, RUN_HALTED)
COMPARE(64, singles64, RUN_HALTED)
COMPARE(16, singles16, RUN_HALTED)
COMPARE(16, limit16, RUN_SHUTDOWN)
COMPARE(32, repeats32, RUN_HALTED)
COMPARE(64, repeats64, RUN_HALTED)
COMPARE(64, fault_rep64, RUN_SHUTDOWN)
COMPARE(64, fault_movs64, RUN_SHUTDOWN)
COMPARE(64, fault_cmps64, RUN_SHUTDOWN)
COMPARE(64, fault_scas64, RUN_SHUTDOWN)
COMPARE(64, fault_noncanonical64, RUN_SHUTDOWN)
COMPARE(32, patch32, RUN_HALTED)
COMPARE(32, state32, RUN_HALTED)
COMPARE(64, state64, RUN_HALTED)
COMPARE(64, smap64, RUN_HALTED)
COMPARE(64, smap_fault64, RUN_SHUTDOWN)
COMPARE(32, exchange32, RUN_HALTED)
COMPARE(64, exchange64, RUN_SHUTDOWN)
COMPARE(32, bits32, RUN_HALTED)
COMPARE(64, bits64, RUN_SHUTDOWN)
COMPARE(32, tables32, RUN_HALTED)
COMPARE(64, tables64, RUN_HALTED)
COMPARE(16, stack16, RUN_HALTED)
COMPARE(64, next64, RUN_HALTED)

/* clang-format off */
DIVISION(16, div_bx16,   "", "mov %si, %bx", "div %bx");
DIVISION(16, div_cx16,   "", "mov %si, %cx", "div %cx");
DIVISION(16, div_mem16,  "", "mov %si, 2(%di)", "idivw 2(%di)");
DIVISION(32, div_bl32,   COLLECT32, "mov %esi, %ebx", "div %bl");
DIVISION(32, div_cl32,   COLLECT32, "mov %esi, %ecx", "idiv %cl");
DIVISION(32, div_bh32,   COLLECT32, "mov %esi, %ebx\n shl $8, %ebx\n mov $7, %bl", "div %bh");
DIVISION(32, div_ch32,   COLLECT32, "mov %esi, %ecx\n shl $8, %ecx\n mov $7, %cl", "div %ch");
DIVISION(32, div_dh32,   COLLECT32, "mov %esi, %edx\n shl $8, %edx\n mov $7, %dl", "idiv %dh");
DIVISION(32, div_ah32,   COLLECT32, "mov $0xffe0, %eax\n test %esi, %esi\n jnz 2f\n mov $7, %eax\n 2:",
                                    "idiv %ah");
DIVISION(32, div_cx32,   COLLECT32, "mov %esi, %ecx\n or $0x70000, %ecx", "idiv %cx");
DIVISION(32, div_ecx32,  COLLECT32, "mov %esi, %ecx", "div %ecx");
DIVISION(32, div_ebp32,  "",        "mov %esi, %ebp", "idiv %ebp");
DIVISION(32, div_byte32, COLLECT32, "movl $-1, (%edi)\n mov %si, %bx\n mov %bl, (%edi)", "divb (%edi)");
DIVISION(32, div_word32, COLLECT32, "movl $-1, (%edi)\n mov %si, (%edi)", "idivw (%edi)");
DIVISION(32, div_long32, COLLECT32, "movl $-1, 4(%edi)\n mov %esi, (%edi)", "divl (%edi)");
DIVISION(64, div_sil64,  COLLECT64, "", "div %sil");
DIVISION(64, div_ecx64,  COLLECT64, "mov %rsi, %rcx\n bts $40, %rcx", "idiv %ecx");
DIVISION(64, div_rcx64,  COLLECT64, "mov %rsi, %rcx", "div %rcx");
DIVISION(64, div_r10b64, COLLECT64, "mov %rsi, %r10\n or $0x700, %r10", "div %r10b");
DIVISION(64, div_r10w64, COLLECT64, "mov %rsi, %r10\n or $0x70000, %r10", "div %r10w");
DIVISION(64, div_r10d64, COLLECT64, "mov %rsi, %r10\n bts $40, %r10", "idiv %r10d");
DIVISION(64, div_r10_64, COLLECT64, "mov %rsi, %r10", "idiv %r10");
DIVISION(64, div_r12_64, COLLECT64, "mov %rsi, %r12", "div %r12");
DIVISION(64, div_quad64, COLLECT64, "mov %rsi, 8(%rdi)", "divq 8(%rdi)");
DIVISION(64, div_next64, COLLECT64, "mov %esi, 0x20008", "idivl 0x20008");
/* clang-format on */

static void test_division_by_zero_is_no_host_fault(void **state)
{
#define DIVIDED(bits, name)    \
    {                          \
        bits, name, name##_end \
    }
    static const struct {
        unsigned bits;
        const uint8_t *code, *end;
    } programs[] = {
        DIVIDED(16, div_bx16),   DIVIDED(16, div_cx16),   DIVIDED(16, div_mem16),
        DIVIDED(32, div_bl32),   DIVIDED(32, div_cl32),   DIVIDED(32, div_bh32),
        DIVIDED(32, div_ch32),   DIVIDED(32, div_dh32),   DIVIDED(32, div_ah32),
        DIVIDED(32, div_cx32),   DIVIDED(32, div_ecx32),  DIVIDED(32, div_ebp32),
        DIVIDED(32, div_byte32), DIVIDED(32, div_word32), DIVIDED(32, div_long32),
        DIVIDED(64, div_sil64),  DIVIDED(64, div_ecx64),  DIVIDED(64, div_rcx64),
        DIVIDED(64, div_r10b64), DIVIDED(64, div_r10w64), DIVIDED(64, div_r10d64),
        DIVIDED(64, div_r10_64), DIVIDED(64, div_r12_64), DIVIDED(64, div_quad64),
        DIVIDED(64, div_next64),
    };

    (void)state;
    for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
        assert_int_equal(compare(programs[i].bits, programs[i].code, programs[i].end, RUN_SHUTDOWN),
                         0);
}

/* A quotient that does not fit is the host's to find. */
DIVISION(32, div_overflow32, COLLECT32, "mov $60, %edx\n sub %esi, %edx\n mov $30, %ebx",
         "div %ebx");

static void test_division_overflow_is_the_hosts(void **state)
{
    (void)state;
    assert_int_not_equal(compare(32, div_overflow32, div_overflow32_end, RUN_SHUTDOWN), 0);
}

static void test_time32(void **state)
{
    const struct translator_options options = {.cache_bytes = CACHE};
    struct machine m;
    uint64_t now, shown;

    (void)state;
    machine_open(&m, MEMORY, &options);
    machine_start(&m, 32, time32, (size_t)(time32_end - time32));
    m.cpu->tsc_is_host = true;
    m.cpu->tsc_host_start = 1ull << 40;
    m.cpu->tsc_offset = 12345;
    m.cpu->tsc_aux = 77;
    assert_int_equal(machine_run(&m), RUN_HALTED);
    now = cpu_tsc(m.cpu);
    shown = m.cpu->gpr[RDX] << 32 | m.cpu->gpr[RAX];
    assert_true(shown < now && now - shown < 1ull << 36);
    assert_int_equal(m.cpu->gpr[RDI], 77);
    assert_int_equal(m.cpu->gpr[RBP], 49 + 29);
    machine_close(&m);
}

/* Whoever has seen the time at which the board wants the CPU goes no further. */
static void test_time_due32(void **state)
{
    const struct translator_options options = {.cache_bytes = CACHE};

    (void)state;
    for (unsigned translated = 0; translated < 2; translated++) {
        const uint64_t due = __builtin_ia32_rdtsc() + 20000000;
        struct machine m;
        uint64_t at, shown;

        machine_open(&m, MEMORY, translated ? &options : NULL);
        machine_start(&m, 32, clock32, (size_t)(clock32_end - clock32));
        at = m.cpu->rip;
        m.cpu->tsc_is_host = true;
        m.cpu->tsc_due = (int64_t)due;
        assert_int_equal(machine_run(&m), RUN_EXIT);
        shown = m.cpu->gpr[RDX] << 32 | m.cpu->gpr[RAX];
        assert_true(shown >= due);
        assert_int_equal(m.cpu->rip, at + 3);
        assert_true(m.cpu->gpr[RBP] > 100);
        machine_close(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_singles32),
        cmocka_unit_test(test_singles64),
        cmocka_unit_test(test_singles16),
        cmocka_unit_test(test_limit16),
        cmocka_unit_test(test_repeats32),
        cmocka_unit_test(test_repeats64),
        cmocka_unit_test(test_fault_rep64),
        cmocka_unit_test(test_fault_movs64),
        cmocka_unit_test(test_fault_cmps64),
        cmocka_unit_test(test_fault_scas64),
        cmocka_unit_test(test_fault_noncanonical64),
        cmocka_unit_test(test_patch32),
        cmocka_unit_test(test_state32),
        cmocka_unit_test(test_state64),
        cmocka_unit_test(test_smap64),
        cmocka_unit_test(test_smap_fault64),
        cmocka_unit_test(test_exchange32),
        cmocka_unit_test(test_exchange64),
        cmocka_unit_test(test_bits32),
        cmocka_unit_test(test_bits64),
        cmocka_unit_test(test_tables32),
        cmocka_unit_test(test_tables64),
        cmocka_unit_test(test_stack16),
        cmocka_unit_test(test_time32),
        cmocka_unit_test(test_time_due32),
        cmocka_unit_test(test_next64),
        cmocka_unit_test(test_division_by_zero_is_no_host_fault),
        cmocka_unit_test(test_division_overflow_is_the_hosts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
