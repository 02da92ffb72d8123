/*
 * tests/fuzz/world.c -- what a random program finds around it: descriptor tables, page tables,
 * exception handlers, registers.
 *
 * An exception's handler leaves the general registers on the stack (so that memory shows them),
 * counts, and goes on at a random instruction of the program with a fresh stack; at the limit it
 * halts.  Interrupts and INT n, #DB and #BP just return.
 */
#include <string.h>

#include "cpu/cpuid.h"
#include "cpu/fpu.h"
#include "cpu/mmu.h"
#include "cpu/segment.h"
#include "tests/fuzz/program.h"
#include "tests/insn_gen.h"

const char *const world_names[WORLD_MODES] = {
    "real",      "v86",       "16-bit", "flat",       "paged cpl 0", "paged cpl 3",
    "pae cpl 0", "pae cpl 3", "compat", "long cpl 0", "long cpl 3"};

enum {
    GDT = 0x1000,
    TSS = 0x1400,
    IDT = 0x2000,
    RETURN = WORLD_HANDLERS + 0x200, /* handlers that just return */
    HALT = WORLD_HANDLERS + 0x210,
    GATE = WORLD_HANDLERS + 0x220, /* what the call gate leads to */
    VARS = 0x3800,
    KERNEL_STACK = 0x7e00,
    USER_STACK = 0xfe00,
    P = 1,
    RW = 2,
    US = 4,
    G = 0x100,
};
#define NX (1ull << 63)

/* Variables of the handlers; also in the code below. */
enum {
    V_COUNT = 0,
    V_LIMIT = 4,
    V_V86 = 8,
    V_USER = 12,
    V_SS = 16,
    V_SP = 20,
    V_CS = 24,
    V_DS = 28,
    V_BX = 32,
    V_SI = 36,
    V_DI = 40,
    V_BP = 44,
    V_RESUME = 0x100,
    V_FLAGS = 0x200
};

#define HANDLER(name, bits, text)                                                                  \
    extern const uint8_t name[], name##_end[];                                                     \
    __asm__(".pushsection .rodata\n.code" bits "\n" #name ":\n" text "\n" #name "_end:\n.code64\n" \
            ".popsection\n")

HANDLER(handler16, "16",
        "pushaw\n xor %ax, %ax\n mov %ax, %ds\n incw 0x3800\n mov 0x3800, %bx\n"
        "cmp 0x3804, %bx\n jae 9f\n mov %ax, %ss\n mov $0x7e00, %sp\n shl $2, %bx\n"
        "pushw 0x3a00(%bx)\n pushw 0x3818\n pushw 0x3900(%bx)\n"
        "mov 0x3820, %bx\n mov 0x3824, %si\n mov 0x3828, %di\n mov 0x382c, %bp\n"
        "mov %ax, %es\n iretw\n 9: cli\n hlt\n jmp 9b\n");
HANDLER(handler32, "32",
        "pushal\n mov $0x10, %eax\n mov %eax, %ds\n incl 0x3800\n mov 0x3800, %ecx\n"
        "cmp 0x3804, %ecx\n jae 9f\n mov %eax, %ss\n mov $0x7e00, %esp\n"
        "cmpl $0, 0x3808\n je 1f\n push $0\n push $0\n push $0\n push $0\n"
        "1: cmpl $0, 0x380c\n je 2f\n pushl 0x3810\n pushl 0x3814\n"
        "2: pushl 0x3a00(,%ecx,4)\n pushl 0x3818\n pushl 0x3900(,%ecx,4)\n"
        "mov 0x3820, %ebx\n mov 0x3824, %esi\n mov 0x3828, %edi\n mov 0x382c, %ebp\n"
        "mov 0x381c, %eax\n mov %eax, %ds\n mov %eax, %es\n iretl\n 9: cli\n hlt\n jmp 9b\n");
HANDLER(handler64, "64",
        "push %rax\n push %rcx\n push %rdx\n push %rbx\n push %rbp\n push %rsi\n push %rdi\n"
        "push %r8\n push %r9\n push %r12\n push %r13\n push %r15\n"
        "incl 0x3800\n mov 0x3800, %ecx\n cmp 0x3804, %ecx\n jae 9f\n"
        "pushq 0x3810\n mov 0x3814, %eax\n push %rax\n mov 0x3a00(,%rcx,4), %eax\n push %rax\n"
        "mov 0x3818, %eax\n push %rax\n mov 0x3900(,%rcx,4), %eax\n push %rax\n"
        "mov 0x3820, %ebx\n mov 0x3824, %esi\n mov 0x3828, %edi\n mov 0x382c, %ebp\n"
        "mov 0x381c, %eax\n mov %eax, %ds\n mov %eax, %es\n iretq\n 9: cli\n hlt\n jmp 9b\n");

static void put(uint8_t *image, unsigned at, uint64_t value, unsigned bytes)
{
    memcpy(image + at, &value, bytes);
}

static bool is_user(const struct program *p)
{
    return p->mode == WORLD_PAGED_3 || p->mode == WORLD_PAE_3 || p->mode == WORLD_COMPAT_3 ||
           p->mode == WORLD_LONG_3 || p->mode == WORLD_V86;
}
static bool is_long(const struct program *p)
{
    return p->mode >= WORLD_COMPAT_3;
}

static uint16_t code_selector(const struct program *p)
{
    static const uint16_t cs[] = {0, 0, 0x50, 0x08, 0x08, 0x1b, 0x08, 0x1b, 0x1b, 0x30, 0x2b};

    return cs[p->mode];
}
static uint16_t data_selector(const struct program *p)
{
    if (p->mode == WORLD_REAL || p->mode == WORLD_V86)
        return 0;
    return is_user(p) ? 0x23 : p->mode == WORLD_16 ? 0x58 : p->mode == WORLD_LONG_0 ? 0x38 : 0x10;
}

static void make_gdt(const struct program *p, uint8_t *image)
{
    static const uint64_t table[] = {
        0,
        0x00cf9b000000ffff, /* 08 code 32 */
        0x00cf93000000ffff, /* 10 data */
        0x00cffb000000ffff, /* 18 user code 32 */
        0x00cff3000000ffff, /* 20 user data */
        0x00affb000000ffff, /* 28 user code 64 */
        0x00af9b000000ffff, /* 30 code 64 */
        0x00cf93000000ffff, /* 38 data */
        0,                  /* 40 TSS */
        0,
        0x00009b000000ffff, /* 50 code 16 */
        0x000093000000ffff, /* 58 data 16 */
        0x0000fb000000ffff, /* 60 user code 16 */
        0x0040f20080001fff, /* 68 data, base 8000, two pages, not accessed yet */
        0x00cff1000000ffff, /* 70 read-only */
        0x0040f70000008fff, /* 78 expand-down */
        0x008ff3000000ffff, /* 80 16-bit stack, 4 GiB */
        0x00cf13000000ffff, /* 88 not present */
        0x00cf9f000000ffff, /* 90 conforming */
        0,                  /* 98 call gate */
        0,
        0x0040fb001000ffff, /* a8 code 32, base 1000 */
        0,
    };
    const uint64_t gate_code = is_long(p) ? 0x30 : 0x08;

    memcpy(image + GDT, table, sizeof(table));
    put(image, GDT + 0x40, 0x0000890000000067ull | (uint64_t)TSS << 16 | 0x2000, 8);
    put(image, GDT + 0x40, 0x2067, 2); /* limit: with an I/O bitmap */
    image[GDT + 0x45] = p->mode == WORLD_REAL ? 0x89 : 0x8b;
    image[GDT + 0x46] = 0;
    put(image, GDT + 0x40, 0x2ff, 2);
    put(image, GDT + 0x98, (GATE & 0xffff) | gate_code << 16 | 0xecull << 40, 8);
}

static void make_idt(const struct program *p, uint8_t *image)
{
    for (unsigned v = 0; v < 256; v++) {
        const unsigned handler = v == WORLD_HALT_VECTOR                    ? HALT
                                 : v == 1 || v == 3 || v == 4 || v >= 0x20 ? RETURN
                                                                           : WORLD_HANDLERS;
        const uint64_t type = (v >= 0x20 || v == 3 || v == 4 ? 0x60 : 0) |
                              (v >= 0x34 && v != WORLD_HALT_VECTOR ? 0x8f : 0x8e);

        if (p->mode == WORLD_REAL) {
            put(image, v * 4, handler, 4);
        } else if (is_long(p)) {
            put(image, IDT + v * 16,
                handler | 0x30ull << 16 | type << 40 | (v == 8 ? 1ull << 32 : 0), 8);
            put(image, IDT + v * 16 + 8, 0, 8);
        } else {
            put(image, IDT + v * 8, handler | 0x08ull << 16 | type << 40, 8);
        }
    }
}

static void make_handlers(const struct program *p, uint8_t *image)
{
    const uint8_t *code = handler32, *end = handler32_end;
    const uint8_t halt[] = {0xfa, 0xf4, 0xeb, 0xfc};

    if (p->mode == WORLD_REAL)
        code = handler16, end = handler16_end;
    if (is_long(p))
        code = handler64, end = handler64_end;
    memcpy(image + WORLD_HANDLERS, code, (size_t)(end - code));
    if (is_long(p))
        put(image, RETURN, 0xcf48, 2), put(image, GATE, 0xcb48, 2);
    else
        put(image, RETURN, 0xcf, 1), put(image, GATE, 0xcb, 1);
    memcpy(image + HALT, halt, sizeof(halt));
}

static void make_variables(const struct program *p, uint8_t *image, uint64_t *random)
{
    put(image, VARS + V_COUNT, 0, 4);
    put(image, VARS + V_LIMIT, 4 + insn_gen_random(random) % 56, 4);
    put(image, VARS + V_V86, p->mode == WORLD_V86, 4);
    put(image, VARS + V_USER, is_user(p), 4);
    put(image, VARS + V_SS, data_selector(p), 8);
    put(image, VARS + V_SP, is_user(p) ? USER_STACK : KERNEL_STACK - 0x200, 4);
    put(image, VARS + V_CS, code_selector(p), 4);
    put(image, VARS + V_DS, data_selector(p), 4);
    put(image, VARS + V_BX, 0x8100, 4);
    put(image, VARS + V_SI, 0x9010, 4);
    put(image, VARS + V_DI, 0x8f08, 4);
    put(image, VARS + V_BP, 0x8800, 4);
    for (unsigned i = 0; i < PROGRAM_RESUMES; i++) {
        const unsigned near = i * p->count / (PROGRAM_RESUMES / 3);
        const uint64_t r = insn_gen_random(random);
        const unsigned to = r % 4 == 0 ? (r >> 8) % p->count : (near + (r >> 8) % 4) % p->count;
        uint32_t flags = 2 | (r >> 20 & FLAG_IF);

        if (p->mode == WORLD_V86)
            flags |= FLAG_VM | (r >> 32 & FLAG_IOPL);
        else if (r >> 40 & 1)
            flags |= r >> 32 & FLAG_IOPL;
        if ((r >> 44 & 31) == 0)
            flags |= FLAG_TF;
        if ((r >> 50 & 15) == 0)
            flags |= FLAG_AC;
        put(image, VARS + V_RESUME + i * 4, p->items[to].at, 4);
        put(image, VARS + V_FLAGS + i * 4, flags, 4);
    }
}

/* Physical page and rights of a linear page, in the first or second set of tables. */
static uint64_t page_entry(const struct program *p, unsigned page, unsigned set, uint64_t *random)
{
    const uint64_t r = insn_gen_random(random);
    uint64_t entry = P | RW | (r % 8 == 0 ? G : 0) | (r >> 8 & 0x60);
    unsigned frame = page;
    const bool smep = p->mode != WORLD_PAGED_3 && p->mode != WORLD_PAE_3 && !is_user(p);

    if (page >= 4 && page <= 6)
        entry |= smep && r >> 16 & 1 ? 0 : US;
    if (page >= 8 && page != 0xb && page < 0x20)
        entry |= US;
    switch (page) {
    case 0xa:
        entry &= set ? ~0ull : ~(uint64_t)RW;
        break;
    case 0xc:
        entry = 0;
        break;
    case 0xd:
        frame = 5;
        break;
    case 0xe:
        if (p->mode >= WORLD_PAE_0)
            entry |= NX;
        break;
    case 0x10:
        frame = 8;
        break;
    case 0x11:
        frame = 0x100;
        break;
    default:
        break;
    }
    if (set && (page == 8 || page == 9))
        frame = page ^ 1;
    if (set && page == 5)
        frame = 0x14;
    if (!program_has_globals(p))
        entry &= ~(uint64_t)G;
    return entry | (uint64_t)frame << 12;
}

static void make_tables(const struct program *p, uint8_t *image, uint64_t *random)
{
    for (unsigned set = 0; set < 2; set++) {
        const unsigned pml4 = 0x20000 + set * 0x4000, pd32 = 0x28000 + set * 0x2000,
                       pae = 0x2c000 + set * 0x4000;

        put(image, pml4, (pml4 + 0x1000) | P | RW | US, 8);
        put(image, pml4 + 0x800, (pml4 + 0x1000) | P | RW | US, 8);
        put(image, pml4 + 0x1000, (pml4 + 0x2000) | P | RW | US, 8);
        put(image, pml4 + 0x2000, (pml4 + 0x3000) | P | RW | US, 8);
        put(image, pd32, (pd32 + 0x1000) | P | RW | US, 4);
        put(image, pd32 + 4, 0x87, 4); /* PSE: 4 MiB from 0 */
        put(image, pae, (pae + 0x1000) | P, 8);
        put(image, pae + 0x1000, (pae + 0x2000) | P | RW | US, 8);
        for (unsigned page = 0; page < 0x40; page++) {
            const uint64_t entry = page_entry(p, page, set, random);

            put(image, pml4 + 0x3000 + page * 8, entry, 8);
            put(image, pae + 0x2000 + page * 8, entry, 8);
            put(image, pd32 + 0x1000 + page * 4, entry & ~NX, 4);
        }
    }
}

void program_image(const struct program *p, uint8_t image[WORLD_RAM])
{
    uint64_t random = p->random;

    memset(image, 0, WORLD_RAM);
    for (unsigned at = 0x7000; at < 0x16000; at += 8)
        put(image, at, insn_gen_random(&random), 8);
    image[0x8ff0] = (uint8_t)(3 + p->random % 6); /* LOOPS */
    make_gdt(p, image);
    make_idt(p, image);
    make_handlers(p, image);
    make_variables(p, image, &random);
    make_tables(p, image, &random);
    put(image, TSS + 2 * 2, KERNEL_STACK, 8); /* ESP0 / RSP0 */
    if (!is_long(p))
        put(image, TSS + 8, 0x10, 4);
    put(image, TSS + 36, 0x7400, is_long(p) ? 8 : 0); /* IST1 */
    put(image, TSS + 102, 0x68 + 32, 2);
    memset(image + TSS + 0x68, 0, 32 + 0x40);
    image[TSS + 0x68 + 32 + 10] = 0xff;
    for (unsigned i = 0; i < p->count; i++)
        memcpy(image + p->items[i].at, p->items[i].bytes, p->items[i].length);
    memcpy(image + 0x14000, image + 0x5000, 0x1000);
    if (p->garbage) {
        for (unsigned i = 0; i < 200; i++) {
            const uint64_t r = insn_gen_random(&random);
            static const uint16_t where[] = {0x1000, 0x1400, 0x2000, 0x3800, 0x2900, 0x2c00,
                                             0x2e00, 0x2300, 0x2200, 0x2000, 0x2800, 0x2000};
            const unsigned pick = where[(r >> 8) % 12];
            const unsigned at = pick < 0x2000 || pick == 0x3800 || (r & 1) ? pick : pick << 4;

            image[(at + (r >> 20) % 0x180) % WORLD_RAM] = (uint8_t)(r >> 50);
        }
    }
}

static void set_segment(struct cpu *cpu, const uint8_t *gdt, enum seg seg, uint16_t selector)
{
    uint64_t raw;

    memcpy(&raw, gdt + (selector & ~7u), 8);
    segment_unpack(raw, selector, &cpu->seg[seg]);
}

static void set_control(const struct program *p, struct cpu *cpu)
{
    const enum world_mode mode = p->mode;

    cpu->cr0 = CR0_ET | CR0_NE | (p->random >> 8 & 3 ? CR0_WP : 0) | CR0_MP;
    if (mode != WORLD_REAL)
        cpu->cr0 |= CR0_PE;
    if (mode >= WORLD_PAGED_0 || mode == WORLD_V86)
        cpu->cr0 |= CR0_PG;
    if ((p->random >> 12 & 7) == 0)
        cpu->cr0 |= CR0_AM;
    cpu->cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_PGE;
    if (p->random >> 16 & 1)
        cpu->cr4 |= CR4_OSXSAVE;
    cpu->xcr0 = p->random >> 17 & 1 ? XCR0_UP_TO_AVX : XCR0_X87;
    if (cpu->xcr0 != XCR0_X87 && cpu->model->has[AVX512F] && (p->random >> 20 & 3))
        cpu->xcr0 = XCR0_SUPPORTED;
    if (mode >= WORLD_PAE_0)
        cpu->cr4 |= CR4_PAE;
    if (is_long(p)) {
        cpu->efer = EFER_LME | EFER_LMA | EFER_SCE | EFER_NXE;
        cpu->cr3 = 0x20000;
        if (p->random >> 18 & 1)
            cpu->cr4 |= CR4_FSGSBASE;
    } else if (mode >= WORLD_PAE_0) {
        cpu->efer = EFER_NXE;
        cpu->cr3 = 0x2c000;
        cpu->pdpte[0] = 0x2d001;
    } else if (cpu->cr0 & CR0_PG) {
        cpu->cr3 = 0x28000;
        cpu->cr4 |= CR4_PSE;
    }
    if (mode == WORLD_V86 && (p->random >> 19 & 1))
        cpu->cr4 |= CR4_VME;
}

void program_registers(const struct program *p, struct cpu *cpu)
{
    static uint8_t image[WORLD_RAM];
    uint64_t random = p->random ^ 0x5555;
    const uint16_t data = data_selector(p);

    program_image(p, image);
    set_control(p, cpu);
    cpu->gdtr = (struct dtable){GDT, 0xb7};
    cpu->idtr = (struct dtable){p->mode == WORLD_REAL ? 0 : IDT, 0xfff};
    cpu->tr = (struct segment){.base = TSS, .limit = 0x2ff, .attr = SEG_P | 11, .selector = 0x40};
    cpu->ldtr = (struct segment){0};
    cpu->rflags = 2 | (random >> 3 & FLAGS_OSZAPC) | (random >> 20 & FLAG_IF);
    cpu->cpl = is_user(p) ? 3 : 0;
    if (p->mode == WORLD_V86)
        cpu->rflags |= FLAG_VM | (random >> 30 & FLAG_IOPL);
    if (p->mode == WORLD_REAL || p->mode == WORLD_V86) {
        for (unsigned i = 0; i < SEG_COUNT; i++)
            segment_load_real(cpu, (enum seg)i, 0);
    } else {
        for (unsigned i = 0; i < SEG_COUNT; i++)
            set_segment(cpu, image + GDT, (enum seg)i, data);
        set_segment(cpu, image + GDT, CS, code_selector(p));
    }
    for (unsigned i = 0; i < 16; i++) {
        const uint64_t r = insn_gen_random(&random);

        cpu->gpr[i] = r >> 60 < 4 ? 0x8000 + (r & 0x1fff) : r >> 60 < 9 ? r & 0xff : r;
        if (i < 8 && p->mode < WORLD_LONG_0)
            cpu->gpr[i] = (uint32_t)cpu->gpr[i];
        else if (p->mode < WORLD_LONG_0)
            cpu->gpr[i] = 0;
    }
    cpu->gpr[RBX] = 0x8100;
    cpu->gpr[RSI] = 0x9010;
    cpu->gpr[RDI] = 0x8f08;
    cpu->gpr[RBP] = 0x8800;
    cpu->gpr[RSP] = is_user(p) ? USER_STACK : KERNEL_STACK - 0x200;
    if (p->mode >= WORLD_LONG_0) {
        cpu->gpr[R11] = 0x8200;
        cpu->gpr[R13] = 0x9100;
        cpu->gpr[R14] = 0x8ff8;
    }
    cpu->rip = p->items[0].at;
    cpu->star = 0x0018ull << 48 | 0x0030ull << 32;
    cpu->lstar = cpu->cstar = WORLD_HANDLERS;
    cpu->fmask = FLAG_IF | FLAG_TF;
    cpu->sysenter_cs = 0x08;
    cpu->sysenter_esp = KERNEL_STACK;
    cpu->sysenter_eip = WORLD_HANDLERS;
    for (unsigned i = 0; i < 16 * 16; i++)
        cpu->fpu[FPU_XMM + i] = (uint8_t)(insn_gen_random(&random) >> 30);
    if (!is_long(p))
        memset(cpu->fpu + FPU_XMM + 128, 0, 128);
    put(cpu->fpu, FPU_FCW, p->random >> 24 & 3 ? 0x37f : 0x340 | (random & 0xc3f), 2);
    put(cpu->fpu, FPU_MXCSR, p->random >> 26 & 3 ? 0x1f80 : random >> 8 & 0xffc0, 4);
    mmu_flush_all(cpu);
    cpu_update_breakpoints(cpu);
    cpu_update_mode(cpu);
}
