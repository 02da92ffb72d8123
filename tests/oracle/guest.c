/*
 * tests/oracle/guest.c -- a virtual CPU whose user mode looks like this process: the same linear
 * addresses, selectors, descriptors and control bits, so that faults agree to the error code.
 *
 * 16- and 32-bit code runs in legacy protected mode with PAE paging, 64-bit code in long mode.
 *
 *   gpa  0x1000 PML4  0x2000 its PDPT  0x3000 PAE PDPT  0x4000 PD  0x5000, 0x6000 PTs
 *        0x100000 code region  0x200000 data region
 *        0x300000 GDT, LDT, TSS, IDT  0x301000 handlers  0x302000 ring-0 stack
 *
 * Exceptions go to handlers of one HLT each, 16 bytes apart: an engine that cannot
 * stop at a fault (the translator) runs until one of them halts, see guest_halted().
 */
#include <cpuid.h>
#include <stdio.h>
#include <string.h>

#include "cpu/cpuid.h"
#include "cpu/fpu.h"
#include "cpu/interp.h"
#include "cpu/mmu.h"
#include "cpu/physmem.h"
#include "cpu/segment.h"
#include "tests/oracle/oracle.h"

enum {
    MEMORY_SIZE = 4 << 20,
    PML4_AT = 0x1000,
    PDPT_AT = 0x2000,
    PAE_PDPT_AT = 0x3000,
    PD_AT = 0x4000,
    PT_AT = 0x5000,
    PT2_AT = 0x6000,
    CODE_GPA = 0x100000,
    DATA_GPA = 0x200000,
    GDT_GPA = 0x300000,
    LDT_OFFSET = 0x400, /* in the GDT's page */
    TSS_OFFSET = 0x800,
    IDT_OFFSET = 0x900,
    IDT64_OFFSET = 0xa00,
    TSS64_OFFSET = 0xc00,
    HANDLERS_OFFSET = 0x1000,
    STACK_TOP_OFFSET = 0x2f00,
    SEL_KERNEL_CODE = 0x08,
    SEL_KERNEL_DATA = 0x10,
    SEL_KERNEL_CODE64 = 0x18,
    VECTORS = 32,
    HANDLER_SIZE = 16,
    OPCODE_HLT = 0xf4,
    OPCODE_INT3 = 0xcc,
    TSS_ESP0 = 4,
    TSS_SS0 = 8,
    TSS_LIMIT = 0x67,
    TSS_IO_MAP = 0x66,
};
/* Page-table entries. */
enum { PTE_P = 1, PTE_RW = 2, PTE_US = 4, PTE_A = 32, PTE_D = 64 };
#define PTE_NX (1ull << 63)

/* What Linux gives user code. [SDM 3A 3.4.5] */
#define GDT_USER_CODE32 0x00cffb000000ffffull
#define GDT_USER_DATA   0x00cff3000000ffffull
#define GDT_USER_CODE64 0x00affb000000ffffull
#define GDT_KERNEL_CODE 0x00cf9b000000ffffull
#define GDT_KERNEL_DATA 0x00cf93000000ffffull
/* 32-bit interrupt gates that INT3 may use. [SDM 3A figure 6-2] */
#define IDT_GATE          0x0000ee0000000000ull
#define GDT_KERNEL_CODE64 0x00af9b000000ffffull

static struct physmem *mem;
static struct cpu_model model;
static struct cpu *cpu;
static enum code_size current_mode;

struct cpu *guest_cpu(void)
{
    return cpu;
}
bool guest_has_avx512(void)
{
    return model.has[AVX512F];
}
uint64_t guest_xcr0(void)
{
    return guest_has_avx512()              ? XCR0_SUPPORTED
           : __builtin_cpu_supports("avx") ? XCR0_UP_TO_AVX
                                           : XCR0_X87 | XCR0_SSE;
}
uint8_t *guest_data(void)
{
    return physmem_backing(mem, DATA_GPA);
}

static uint64_t guest_tsc(void *ctx)
{
    (void)ctx;
    return 0;
}
static const struct cpu_ops ops = {.tsc = guest_tsc};

static void put64(uint64_t gpa, uint64_t value)
{
    memcpy(physmem_backing(mem, gpa), &value, 8);
}

static void map_region(uint32_t linear, uint64_t gpa, unsigned size, uint64_t bits)
{
    const uint64_t pt = linear >> 21 & 1 ? PT2_AT : PT_AT;

    for (unsigned at = 0; at < size; at += 4096)
        put64(pt + ((linear + at) >> 12 & 511) * 8, (gpa + at) | bits);
}

static void build_memory(void)
{
    const uint64_t table = PTE_P | PTE_RW | PTE_US | PTE_A;
    const uint16_t no_io_map = 0xffff;
    const uint32_t stack = GDT_BASE + STACK_TOP_OFFSET;
    uint8_t *gdt = physmem_backing(mem, GDT_GPA);

    put64(PML4_AT, PDPT_AT | table);
    put64(PDPT_AT, PD_AT | table);
    put64(PAE_PDPT_AT, PD_AT | PTE_P);
    put64(PD_AT + (CODE_BASE >> 21) * 8, PT_AT | table);
    put64(PD_AT + (GDT_BASE >> 21) * 8, PT2_AT | table);
    map_region(CODE_BASE, CODE_GPA, REGION_SIZE, PTE_P | PTE_US | PTE_A);
    map_region(DATA_BASE, DATA_GPA, REGION_SIZE, PTE_P | PTE_RW | PTE_US | PTE_A | PTE_D | PTE_NX);
    map_region(GDT_BASE, GDT_GPA, 3 * 4096, PTE_P | PTE_RW | PTE_A | PTE_D);

    put64(GDT_GPA + SEL_KERNEL_CODE, GDT_KERNEL_CODE);
    put64(GDT_GPA + SEL_KERNEL_DATA, GDT_KERNEL_DATA);
    put64(GDT_GPA + SEL_KERNEL_CODE64, GDT_KERNEL_CODE64);
    put64(GDT_GPA + (SEL_CODE32 & ~7), GDT_USER_CODE32);
    put64(GDT_GPA + (SEL_DATA & ~7), GDT_USER_DATA);
    put64(GDT_GPA + (SEL_CODE64 & ~7), GDT_USER_CODE64);
    put64(GDT_GPA + LDT_OFFSET + (SEL_CODE16 & ~7), host_descriptor(SEL_CODE16));
    put64(GDT_GPA + LDT_OFFSET + (SEL_DATA16 & ~7), host_descriptor(SEL_DATA16));
    put64(GDT_GPA + LDT_OFFSET + (SEL_DATA32_BASED & ~7), host_descriptor(SEL_DATA32_BASED));
    memcpy(gdt + TSS_OFFSET + TSS_IO_MAP, &no_io_map, 2);
    memcpy(gdt + TSS_OFFSET + TSS_ESP0, &stack, 4);
    gdt[TSS_OFFSET + TSS_SS0] = SEL_KERNEL_DATA;
    put64(GDT_GPA + TSS64_OFFSET + TSS_ESP0, stack); /* RSP0 is at the same place */
    memcpy(gdt + TSS64_OFFSET + TSS_IO_MAP, &no_io_map, 2);
    for (unsigned i = 0; i < VECTORS; i++) {
        const uint64_t handler = GDT_BASE + HANDLERS_OFFSET + i * HANDLER_SIZE;

        put64(GDT_GPA + IDT_OFFSET + i * 8,
              IDT_GATE | (handler & 0xffff) | (handler >> 16) << 48 | SEL_KERNEL_CODE << 16);
        put64(GDT_GPA + IDT64_OFFSET + i * 16,
              IDT_GATE | (handler & 0xffff) | (handler >> 16) << 48 | SEL_KERNEL_CODE64 << 16);
        gdt[HANDLERS_OFFSET + i * HANDLER_SIZE] = OPCODE_HLT;
    }
    memset(physmem_backing(mem, CODE_GPA), 0xcc, REGION_SIZE);
}

/* The model is what the host has, advertised by Ringer already or not: a form that the host lacks
 * raises #UD on both sides. */
static void complete_model(void)
{
    static const struct {
        uint8_t feature;
        uint32_t leaf, subleaf;
        uint8_t word; /* 0 EAX .. 3 EDX */
        uint8_t bit;
    } later[] = {
        {FMA, 1, 0, 2, 12},        {CX16, 1, 0, 2, 13},         {XSAVE_, 1, 0, 2, 27},
        {AVX_, 1, 0, 2, 28},       {F16C, 1, 0, 2, 29},         {AVX2_, 7, 0, 1, 5},
        {MOVDIRI, 7, 0, 2, 27},    {SERIALIZE, 7, 0, 3, 14},    {XSAVEOPT_, 13, 1, 0, 0},
        {XSAVEC_, 13, 1, 0, 1},    {XSAVES_, 13, 1, 0, 3},      {LAHF64, 0x80000001, 0, 2, 0},
        {CLFLUSHOPT, 7, 0, 1, 23}, {CLWB, 7, 0, 1, 24},         {PREFETCHW, 0x80000001, 0, 2, 8},
        {INVPCID, 7, 0, 1, 10},    {GFNI, 7, 0, 2, 8},          {VAES, 7, 0, 2, 9},
        {VPCLMUL, 7, 0, 2, 10},    {AVX512F, 7, 0, 1, 16},      {AVX512DQ, 7, 0, 1, 17},
        {AVX512IFMA, 7, 0, 1, 21}, {AVX512CD, 7, 0, 1, 28},     {AVX512BW, 7, 0, 1, 30},
        {AVX512VL, 7, 0, 1, 31},   {AVX512VBMI, 7, 0, 2, 1},    {AVX512VBMI2, 7, 0, 2, 6},
        {AVX512VNNI, 7, 0, 2, 11}, {AVX512BITALG, 7, 0, 2, 12}, {AVX512POPCNT, 7, 0, 2, 14},
        {AVX512BF16, 7, 1, 0, 5},
    };

    for (unsigned i = 0; i < sizeof later / sizeof later[0]; i++) {
        uint32_t words[4] = {0};

        __get_cpuid_count(later[i].leaf, later[i].subleaf, &words[0], &words[1], &words[2],
                          &words[3]);
        model.has[later[i].feature] = words[later[i].word] >> later[i].bit & 1;
    }
    for (unsigned i = 0; i < 3 && model.has[AVX512F]; i++) {
        uint32_t words[4] = {0};

        __get_cpuid_count(13, 5 + i, &words[0], &words[1], &words[2], &words[3]);
        model.xsave_at[i] = (uint16_t)words[1];
    }
    model.has[SYSCALL_] = model.has[LM] = true;
    model.long_mode = true;
}

int guest_init(void)
{
    char message[256];

    mem = physmem_create(MEMORY_SIZE, 40);
    if (!mem || physmem_map(mem, 0, MEMORY_SIZE, 0, true) < 0)
        return -1;
    if (!cpu_model_parse("max", 1000000000, &model, message, sizeof message))
        return -1;
    complete_model();
    build_memory();
    cpu = cpu_create(mem, &model, &ops, NULL);
    return cpu ? 0 : -1;
}

void guest_destroy(void)
{
    cpu_destroy(cpu);
    physmem_destroy(mem);
}

struct physmem *guest_memory(void)
{
    return mem;
}

void guest_load_code(const struct test_case *t, bool end_with_int3)
{
    uint8_t bytes[CODE_BYTES];

    memcpy(bytes, host_code(), CODE_BYTES);
    if (end_with_int3)
        memset(bytes + t->in.length, OPCODE_INT3, CODE_BYTES - t->in.length);
    /* Like DMA, so that decoded code is dropped. */
    physmem_write_bytes(mem, CODE_GPA + CODE_AT, bytes, CODE_BYTES);
}

static void load_segment(enum seg which, uint16_t selector)
{
    struct segment *seg = &cpu->seg[which];
    uint64_t descriptor;

    if (!(selector & ~3)) {
        *seg = (struct segment){.selector = selector};
        segment_update_cache(seg);
        return;
    }
    memcpy(&descriptor,
           physmem_backing(mem, GDT_GPA + (selector & 4 ? LDT_OFFSET : 0) + (selector & ~7u)), 8);
    segment_unpack(descriptor, selector, seg);
    segment_update_cache(seg);
}

static void set_mode(enum code_size mode)
{
    cpu->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
    cpu->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE | CR4_UMIP | CR4_FSGSBASE;
    cpu->xcr0 = guest_xcr0();
    cpu->efer = EFER_NXE | EFER_SCE;
    if (mode == CODE64)
        cpu->efer |= EFER_LME | EFER_LMA;
    cpu->cr3 = mode == CODE64 ? PML4_AT : PAE_PDPT_AT;
    if (mode != CODE64 && !mmu_load_pdptes(cpu, cpu->cr3))
        fprintf(stderr, "oracle: the PDPTEs do not load\n");
    cpu->gdtr = (struct dtable){.base = GDT_BASE, .limit = SEL_CODE64 | 7};
    cpu->idtr = (struct dtable){.base = GDT_BASE + IDT_OFFSET, .limit = VECTORS * 8 - 1};
    cpu->ldtr = (struct segment){
        .base = GDT_BASE + LDT_OFFSET, .limit = 23, .selector = 0x40, .attr = SEG_P | 2};
    cpu->tr = (struct segment){
        .base = GDT_BASE + TSS_OFFSET, .limit = TSS_LIMIT, .selector = 0x48, .attr = SEG_P | 11};
    if (mode == CODE64) {
        cpu->idtr = (struct dtable){.base = GDT_BASE + IDT64_OFFSET, .limit = VECTORS * 16 - 1};
        cpu->tr.base = GDT_BASE + TSS64_OFFSET;
    }
    cpu->cpl = 3;
    load_segment(FS, 0);
    load_segment(GS, 0);
    current_mode = mode;
}

void guest_prepare(const struct test_case *t)
{
    const bool change = t->mode != current_mode;
    const uint64_t high_format = XCOMP_COMPACTED | XCR0_AVX512;

    if (change)
        set_mode(t->mode);
    memcpy(cpu->gpr, t->state.gpr, sizeof cpu->gpr);
    cpu->rip = t->state.rip;
    cpu->rflags = t->state.rflags;
    load_segment(CS, t->state.cs);
    load_segment(DS, t->state.ds);
    load_segment(ES, t->state.es);
    load_segment(SS, t->state.ss);
    memcpy(cpu->fpu, t->state.fpu, FPU_SIZE);
    memcpy(cpu->fpu + FPU_HIGH + FPU_XCOMP_BV, &high_format, 8);
    fpu_settle_high(cpu);
    cpu->fpu_live = false;
    cpu->cpl = 3;
    cpu->shadow = 0;
    cpu->halted = cpu->shutdown = false;
    cpu->dr6_pending = 0;
    cpu->cr2 = 0;
    cpu->fault = (struct cpu_fault){0};
    cpu_update_mode(cpu);
    if (change)
        mmu_flush_all(cpu);
}

/* [SDM 3A figures 6-4, 6-8]: ESP points at the error code if there is one, then EIP CS EFLAGS ESP
 * SS, of 32 or 64 bits each. */
void guest_halted(const struct test_case *t, struct outcome *out)
{
    static const uint32_t with_error = 1u << VEC_DF | 1u << VEC_TS | 1u << VEC_NP | 1u << VEC_SS |
                                       1u << VEC_GP | 1u << VEC_PF | 1u << VEC_AC;
    const uint32_t at = (uint32_t)cpu->gpr[RSP] - GDT_BASE;
    uint64_t frame[6] = {0}, *p = frame;
    const unsigned width = t->mode == CODE64 ? 8 : 4;

    memset(out, 0, sizeof *out);
    out->vector = (int)((uint32_t)cpu->rip - 1 - (GDT_BASE + HANDLERS_OFFSET)) / HANDLER_SIZE;
    if (out->vector < 0 || out->vector >= VECTORS || at > STACK_TOP_OFFSET)
        return;
    for (unsigned i = 0; i < 6; i++)
        memcpy(&frame[i], (const uint8_t *)physmem_backing(mem, GDT_GPA + at) + i * width, width);
    if (with_error >> out->vector & 1)
        out->error = (uint32_t)*p++;
    memcpy(out->state.gpr, cpu->gpr, sizeof cpu->gpr);
    out->state.rip = p[0];
    out->state.cs = (uint16_t)p[1];
    out->state.rflags = p[2];
    out->state.gpr[RSP] = p[3];
    out->state.ss = (uint16_t)p[4];
    out->state.ds = cpu->seg[DS].selector;
    out->state.es = cpu->seg[ES].selector;
    memcpy(out->state.fpu, cpu->fpu, FPU_SIZE);
    if (out->vector == VEC_PF)
        out->cr2 = cpu->cr2;
    if (out->vector == VEC_BP) { /* the end mark */
        out->vector = NO_VECTOR;
        out->state.rip--;
    } else if (t->flow && out->state.rip != t->state.rip) { /* went where nothing is */
        out->vector = NO_VECTOR;
        out->error = 0;
        out->cr2 = 0;
    }
}

static void take_state(struct outcome *out)
{
    memcpy(out->state.gpr, cpu->gpr, sizeof cpu->gpr);
    out->state.rip = cpu->rip;
    out->state.rflags = cpu->rflags;
    out->state.cs = cpu->seg[CS].selector;
    out->state.ds = cpu->seg[DS].selector;
    out->state.es = cpu->seg[ES].selector;
    out->state.ss = cpu->seg[SS].selector;
    memcpy(out->state.fpu, cpu->fpu, FPU_SIZE);
}

void run_interpreter(struct cpu *target, const struct test_case *t, struct outcome *out)
{
    const uint64_t start = target->rip;
    struct insn in;
    bool ok = interp_fetch(target, &in);

    (void)t;
    out->vector = NO_VECTOR;
    out->error = 0;
    out->cr2 = 0;
    if (ok) {
        const insn_run_fn run = interp_handler(target, &in);

        do { /* again while a repeated string instruction says so */
            target->rip = start + in.length;
            ok = run(target, &in);
        } while (ok && target->rip == start && insn_row(&in)->traits & STRING);
    }
    if (!ok) {
        target->rip = start;
        out->vector = target->fault.vector;
        out->error = target->fault.has_error ? target->fault.error : 0;
        if (target->fault.vector == VEC_PF)
            out->cr2 = target->fault.address;
    }
    take_state(out);
}
