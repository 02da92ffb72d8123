/*
 * tests/cpu/test_long.c -- 64-bit mode with real page tables, one instruction at a time: four-level
 * paging, NX, SMEP, SMAP, PCID, canonical addresses, SYSCALL, IRETQ, IST, compatibility mode.
 *
 *   linear            physical
 *   0        .. 2 MiB the same, one large supervisor page: tables, kernel code, stacks
 *   2 MiB    .. +2    the tests' own 4 KiB pages, through PT; page 0 is user code
 *   1 GiB    .. 2     0, one supervisor page
 *   HIGH     .. +2    as from 0, on
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/access.h"
#include "cpu/cpuid.h"
#include "cpu/interp.h"
#include "cpu/msr.h"
#include "cpu/physmem.h"
#include "cpu/segment.h"

enum {
    RAM = 8 << 20,
    GDT = 0x1000,
    IDT = 0x2000,
    TSS = 0x3000,
    PML4 = 0x10000,
    PDPT = 0x11000,
    PD = 0x12000,
    PT = 0x13000,
    CODE = 0x100000,
    HANDLERS = 0x180000,  /* 16 bytes a vector */
    STACK_TOP = 0x1f0000, /* of the running code */
    STACK_RSP0 = 0x1e0000,
    STACK_IST = 0x1d0008, /* misaligned: delivery aligns it */
    PAGES = 0x200000,     /* linear, of PT */
    FRAMES = 0x400000,    /* physical, what PT maps in order */
    USER_STACK = PAGES + 0x3000,
    GIANT = 0x40000000,

    K_CODE = 0x08,
    K_DATA = 0x10,
    U_CODE32 = 0x1b, /* STAR's order: 32-bit code, data, 64-bit code */
    U_DATA = 0x23,
    U_CODE = 0x2b,
    K_CODE32 = 0x30,
    TSS_SELECTOR = 0x38,
    GDT_BYTES = 0x48,

    P = 1,
    RW = 2,
    US = 4,
    PS = 0x80,
    G = 0x100,
};
#define HIGH         0xffff800000000000ull
#define NX           (1ull << 63)
#define NO_FLUSH     (1ull << 63)
#define NONCANONICAL 0x0000800000000000ull

struct machine {
    struct physmem *mem;
    struct cpu_model model;
    struct cpu *cpu;
    uint8_t tpr;
};

static uint64_t tsc(void *ctx)
{
    (void)ctx;
    return 0;
}
static uint8_t tpr_read(void *ctx)
{
    return ((struct machine *)ctx)->tpr;
}
static void tpr_write(void *ctx, uint8_t tpr)
{
    ((struct machine *)ctx)->tpr = tpr;
}
static void shut_down(void *ctx)
{
    (void)ctx;
}
static const struct cpu_ops ops = {
    .tsc = tsc, .tpr_read = tpr_read, .tpr_write = tpr_write, .shutdown = shut_down};

static void put(struct machine *m, physaddr_t at, uint64_t value)
{
    physmem_write(m->mem, at, 8, value);
}
static uint64_t get(struct machine *m, physaddr_t at)
{
    return physmem_read(m->mem, at, 8);
}

static void put_gate(struct machine *m, unsigned vector, unsigned ist, unsigned dpl)
{
    const uint64_t offset = HANDLERS + vector * 16;

    put(m, IDT + vector * 16,
        (offset & 0xffff) | K_CODE << 16 | (uint64_t)ist << 32 | (0x8e00ull | dpl << 13) << 32 |
            (offset >> 16 & 0xffff) << 48);
    put(m, IDT + vector * 16 + 8, offset >> 32);
}

/* Page `index` of PAGES to frame `frame`. */
static void map(struct machine *m, unsigned index, unsigned frame, uint64_t flags)
{
    put(m, PT + index * 8, (FRAMES + frame * 0x1000ull) | flags);
}

static void set_segment(struct machine *m, enum seg seg, uint16_t selector)
{
    segment_unpack(get(m, GDT + (selector & ~7u)), selector, &m->cpu->seg[seg]);
}

/* 64-bit mode at a level, about to run what is put at CODE or in user page 0. */
static void enter(struct machine *m, unsigned cpl)
{
    struct cpu *cpu = m->cpu;

    cpu->cr0 = CR0_PE | CR0_PG | CR0_ET | CR0_NE | CR0_WP;
    cpu->cr4 = CR4_PAE | CR4_PGE | CR4_OSFXSR | CR4_FSGSBASE;
    cpu->cr3 = PML4;
    cpu->efer = EFER_LME | EFER_LMA | EFER_SCE | EFER_NXE;
    cpu->rflags = 2;
    cpu->cpl = (uint8_t)cpl;
    set_segment(m, CS, cpl == 0 ? K_CODE : U_CODE);
    set_segment(m, SS, cpl == 0 ? K_DATA : U_DATA);
    set_segment(m, DS, U_DATA);
    set_segment(m, ES, U_DATA);
    cpu->rip = cpl == 0 ? CODE : PAGES;
    cpu->gpr[RSP] = cpl == 0 ? STACK_TOP : USER_STACK;
    mmu_flush_all(cpu);
    cpu_update_mode(cpu);
}

static int setup(void **state)
{
    struct machine *m = calloc(1, sizeof *m);
    char message[2000];

    if (m == NULL || !cpu_model_parse("max", 1000000000, &m->model, message, sizeof message))
        return 1;
    m->mem = physmem_create(RAM, 40);
    m->cpu = cpu_create(m->mem, &m->model, &ops, m);
    if (m->cpu == NULL || physmem_map(m->mem, 0, RAM, 0, true) != 0)
        return 1;
    put(m, PML4, PDPT | P | RW | US);
    put(m, PML4 + 256 * 8, PDPT | P | RW | US);
    put(m, PDPT, PD | P | RW | US);
    put(m, PDPT + 8, 0 | P | RW | PS);
    put(m, PD, 0 | P | RW | PS);
    put(m, PD + 8, PT | P | RW | US);
    for (unsigned i = 0; i < 16; i++)
        map(m, i, i, P | RW | US);
    put(m, GDT + K_CODE, 0x00af9b000000ffff);
    put(m, GDT + K_DATA, 0x00cf93000000ffff);
    put(m, GDT + (U_CODE32 & ~7), 0x00cffb000000ffff);
    put(m, GDT + (U_DATA & ~7), 0x00cff3000000ffff);
    put(m, GDT + (U_CODE & ~7), 0x00affb000000ffff);
    put(m, GDT + K_CODE32, 0x00cf9b000000ffff);
    put(m, TSS + 4, STACK_RSP0);
    put(m, TSS + 36, STACK_IST);
    for (unsigned vector = 0; vector < 32; vector++)
        put_gate(m, vector, 0, 0);
    m->cpu->gdtr = (struct dtable){GDT, GDT_BYTES - 1};
    m->cpu->idtr = (struct dtable){IDT, 0xfff};
    m->cpu->tr = (struct segment){.base = TSS, .limit = 0x67, .attr = SEG_P | 11};
    m->cpu->star = (uint64_t)U_CODE32 << 48 | (uint64_t)K_CODE << 32;
    m->cpu->lstar = HIGH + CODE;
    m->cpu->fmask = FLAG_IF | FLAG_TF | FLAG_AC;
    enter(m, 0);
    *state = m;
    return 0;
}

static int teardown(void **state)
{
    struct machine *m = *state;

    cpu_destroy(m->cpu);
    physmem_destroy(m->mem);
    free(m);
    return 0;
}

/* Run one instruction, wherever rip is. */
static bool step(struct machine *m, const char *bytes, size_t size)
{
    physaddr_t phys;

    assert_true(mmu_peek(m->cpu, m->cpu->rip, &phys));
    for (size_t i = 0; i < size; i++)
        physmem_write(m->mem, phys + i, 1, (uint8_t)bytes[i]);
    return interp_step(m->cpu);
}

#define RUN(m, bytes) assert_true(step(m, bytes, sizeof(bytes) - 1))
#define NO_ERROR_CODE (-1)

/* What a fault changes. */
struct kept {
    uint64_t gpr[16], rip, rflags;
    struct segment seg[SEG_COUNT];
    uint8_t cpl;
};

static struct kept keep(const struct cpu *cpu)
{
    struct kept kept = {.rip = cpu->rip, .rflags = cpu->rflags, .cpl = cpu->cpl};

    memcpy(kept.gpr, cpu->gpr, sizeof kept.gpr);
    memcpy(kept.seg, cpu->seg, sizeof kept.seg);
    return kept;
}

static void restore(struct cpu *cpu, const struct kept *kept)
{
    memcpy(cpu->gpr, kept->gpr, sizeof kept->gpr);
    memcpy(cpu->seg, kept->seg, sizeof kept->seg);
    cpu->rip = kept->rip;
    cpu->rflags = kept->rflags;
    cpu->cpl = kept->cpl;
    cpu_update_mode(cpu);
}

/* The instruction faults: handler entered, error code and the instruction's own address pushed. */
static void check_fault(struct machine *m, const char *bytes, size_t size, unsigned vector,
                        int64_t error)
{
    struct cpu *cpu = m->cpu;
    const uint64_t start = cpu->rip;
    physaddr_t frame;

    assert_false(step(m, bytes, size));
    assert_int_equal(cpu->rip, HANDLERS + vector * 16);
    assert_int_equal(cpu->cpl, 0);
    assert_true(mmu_peek(cpu, cpu->gpr[RSP], &frame));
    if (error != NO_ERROR_CODE) {
        assert_int_equal(get(m, frame), error);
        frame += 8;
    }
    assert_int_equal(get(m, frame), start);
}
/* ... and everything is put back for the next one. */
#define FAULTS(m, bytes, vector, error)                          \
    do {                                                         \
        const struct kept kept_ = keep((m)->cpu);                \
        check_fault(m, bytes, sizeof(bytes) - 1, vector, error); \
        restore((m)->cpu, &kept_);                               \
    } while (0)

#define LOAD_RAX_RBX  "\x48\x8b\x03" /* mov rax, [rbx] */
#define STORE_RBX_RAX "\x48\x89\x03"

/* ---- paging ---- */

static void page_sizes(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;

    put(m, FRAMES + 0x5008, 0x1122334455667788);
    cpu->gpr[RBX] = PAGES + 0x5008;
    RUN(m, LOAD_RAX_RBX);
    assert_int_equal(cpu->gpr[RAX], 0x1122334455667788);
    cpu->gpr[RBX] = HIGH + PAGES + 0x5008;
    cpu->gpr[RAX] = 0;
    RUN(m, LOAD_RAX_RBX);
    assert_int_equal(cpu->gpr[RAX], 0x1122334455667788);
    cpu->gpr[RBX] = GIANT + FRAMES + 0x5008;
    cpu->gpr[RAX] = 0;
    RUN(m, LOAD_RAX_RBX);
    assert_int_equal(cpu->gpr[RAX], 0x1122334455667788);
    /* Across two pages whose frames are not neighbours. */
    map(m, 6, 9, P | RW);
    cpu->gpr[RBX] = PAGES + 0x5ffb;
    cpu->gpr[RAX] = 0xa0a1a2a3a4a5a6a7;
    RUN(m, STORE_RBX_RAX);
    assert_int_equal(physmem_read(m->mem, FRAMES + 0x5ffb, 4), 0xa4a5a6a7);
    assert_int_equal(physmem_read(m->mem, FRAMES + 0x9000, 2), 0xa1a2);
    map(m, 6, 6, P);        /* read-only */
    RUN(m, "\x0f\x01\x3b"); /* invlpg [rbx]: page 5 only */
    cpu->gpr[RBX] = PAGES + 0x6000;
    RUN(m, "\x0f\x01\x3b");
    cpu->gpr[RBX] = PAGES + 0x5ffb;
    FAULTS(m, STORE_RBX_RAX, VEC_PF, PF_P | PF_W);
    assert_int_equal(cpu->cr2, PAGES + 0x6000);
    /* An absent 1 GiB page, and one that this model does not have. */
    cpu->gpr[RBX] = 3ull << 30;
    FAULTS(m, LOAD_RAX_RBX, VEC_PF, 0);
    m->model.page1gb = false;
    mmu_flush_all(cpu);
    cpu->gpr[RBX] = GIANT;
    FAULTS(m, LOAD_RAX_RBX, VEC_PF, PF_P | PF_RSVD);
}

static void no_execute(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;

    map(m, 1, 1, P | RW | US | NX);
    enter(m, 3);
    cpu->gpr[RAX] = PAGES + 0x1000;
    RUN(m, "\xff\xe0"); /* jmp rax: the fault is the next instruction's */
    FAULTS(m, "\x90", VEC_PF, PF_P | PF_U | PF_I);
    assert_int_equal(cpu->cr2, PAGES + 0x1000);
    cpu->rip = PAGES;
    cpu->gpr[RBX] = PAGES + 0x1000;
    RUN(m, LOAD_RAX_RBX);
    /* Without EFER.NXE the bit is reserved. */
    cpu->efer &= ~(uint64_t)EFER_NXE;
    mmu_flush_all(cpu);
    FAULTS(m, LOAD_RAX_RBX, VEC_PF, PF_P | PF_U | PF_RSVD);
}

static void supervisor_keeps_out_of_user_pages(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;

    cpu->gpr[RBX] = PAGES + 0x4000;
    RUN(m, LOAD_RAX_RBX);
    cpu->gpr[RAX] = cpu->cr4 | CR4_SMEP | CR4_SMAP;
    RUN(m, "\x0f\x22\xe0"); /* mov cr4, rax */
    FAULTS(m, LOAD_RAX_RBX, VEC_PF, PF_P);
    RUN(m, "\x0f\x01\xcb"); /* stac */
    RUN(m, LOAD_RAX_RBX);
    RUN(m, STORE_RBX_RAX);
    RUN(m, "\x0f\x01\xca"); /* clac */
    FAULTS(m, STORE_RBX_RAX, VEC_PF, PF_P | PF_W);
    /* POPF sets AC, too. */
    cpu->gpr[RCX] = FLAG_AC | 2;
    RUN(m, "\x51");
    RUN(m, "\x9d");
    RUN(m, LOAD_RAX_RBX);
    /* A descriptor table in a user page: the CPU's own access. */
    put(m, FRAMES + 0x4000 + K_DATA, get(m, GDT + K_DATA));
    cpu->gdtr.base = PAGES + 0x4000;
    cpu->gpr[RCX] = K_DATA;
    assert_false(segment_load(cpu, ES, K_DATA));
    assert_int_equal(cpu->fault.vector, VEC_PF);
    assert_int_equal(cpu->fault.error, PF_P);
    cpu->gdtr.base = GDT;
    /* Execution. */
    cpu->gpr[RAX] = PAGES;
    RUN(m, "\xff\xe0");
    FAULTS(m, "\x90", VEC_PF, PF_P | PF_I);
    /* At level 3 none of it matters, and STAC does not exist. */
    enter(m, 3);
    cpu->cr4 |= CR4_SMEP | CR4_SMAP;
    cpu_update_mode(cpu);
    RUN(m, LOAD_RAX_RBX);
    FAULTS(m, "\x0f\x01\xcb", VEC_UD, NO_ERROR_CODE);
}

static uint64_t load(struct machine *m, uint64_t linear)
{
    m->cpu->rip = CODE;
    m->cpu->gpr[RBX] = linear;
    RUN(m, LOAD_RAX_RBX);
    return m->cpu->gpr[RAX];
}
static void write_cr3(struct machine *m, uint64_t value)
{
    m->cpu->rip = CODE;
    m->cpu->gpr[RAX] = value;
    RUN(m, "\x0f\x22\xd8"); /* mov cr3, rax */
}
#define INVPCID "\x66\x0f\x38\x82\x0e" /* invpcid rcx, [rsi] */

static void pcid(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;

    put(m, FRAMES + 0x4000, 4);
    put(m, FRAMES + 0x5000, 5);
    cpu->cr3 = PML4 | 8; /* PWT without PCIDE: but not when it is turned on */
    cpu->gpr[RAX] = cpu->cr4 | CR4_PCIDE;
    FAULTS(m, "\x0f\x22\xe0", VEC_GP, 0);
    cpu->gpr[RCX] = PML4 | NO_FLUSH; /* reserved without PCIDE */
    FAULTS(m, "\x0f\x22\xd9", VEC_GP, 0);
    cpu->cr3 = PML4;
    RUN(m, "\x0f\x22\xe0");

    write_cr3(m, PML4 | 1);
    assert_int_equal(load(m, PAGES + 0x4000), 4);
    /* A load without bit 63 drops what was cached for that PCID. */
    map(m, 4, 5, P | RW | US);
    write_cr3(m, PML4 | 1);
    assert_int_equal(load(m, PAGES + 0x4000), 5);
    /* With it, CR3 reads back without it; another space is not seen through old entries. */
    put(m, 0x20000 + 0 * 8, get(m, PML4));
    put(m, 0x20000 + 256 * 8, 0);
    (void)load(m, HIGH + PAGES + 0x4000);
    write_cr3(m, (0x20000 | 2) | NO_FLUSH);
    assert_int_equal(cpu->cr3, 0x20000 | 2);
    cpu->gpr[RBX] = HIGH + PAGES + 0x4000;
    FAULTS(m, LOAD_RAX_RBX, VEC_PF, 0);
    write_cr3(m, (PML4 | 1) | NO_FLUSH);
    assert_int_equal(load(m, HIGH + PAGES + 0x4000), 5);
    write_cr3(m, PML4 | 0xfff);
    assert_int_equal(cpu->cr3, PML4 | 0xfff);

    /* INVPCID: what each type must forget. */
    cpu->gpr[RSI] = 0x30000;
    for (unsigned type = 0; type < 4; type++) {
        map(m, 4, 4, P | RW | US);
        put(m, 0x30000, 0xfff);
        put(m, 0x30008, PAGES + 0x4000);
        cpu->gpr[RCX] = type;
        RUN(m, INVPCID);
        assert_int_equal(load(m, PAGES + 0x4000), 4);
        map(m, 4, 5, P | RW | US);
        RUN(m, INVPCID);
        assert_int_equal(load(m, PAGES + 0x4000), 5);
    }
    cpu->gpr[RCX] = 4;
    FAULTS(m, INVPCID, VEC_GP, 0);
    cpu->gpr[RCX] = 0;
    put(m, 0x30008, NONCANONICAL);
    FAULTS(m, INVPCID, VEC_GP, 0);
    cpu->gpr[RCX] = 2; /* looks at neither */
    RUN(m, INVPCID);
    put(m, 0x30000, 0x1000);
    FAULTS(m, INVPCID, VEC_GP, 0);
    enter(m, 3);
    FAULTS(m, INVPCID, VEC_GP, 0);
}

/* Global pages outlive a CR3 load; CR4.PGE, INVLPG and INVPCID type 2 do away with them. */
static void global_pages(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;

    put(m, FRAMES + 0x4000, 4);
    put(m, FRAMES + 0x5000, 5);
    map(m, 4, 4, P | RW | G);
    assert_int_equal(load(m, PAGES + 0x4000), 4);
    map(m, 4, 5, P | RW | G);
    write_cr3(m, PML4);
    assert_int_equal(load(m, PAGES + 0x4000), 4); /* allowed to be stale; here it is */
    RUN(m, "\x0f\x01\x3b");                       /* invlpg [rbx] */
    assert_int_equal(load(m, PAGES + 0x4000), 5);
    map(m, 4, 4, P | RW | G);
    cpu->gpr[RSI] = 0x30000;
    put(m, 0x30000, 0);
    put(m, 0x30008, 0);
    cpu->gpr[RCX] = 2;
    RUN(m, INVPCID);
    assert_int_equal(load(m, PAGES + 0x4000), 4);
    map(m, 4, 5, P | RW | G);
    cpu->gpr[RAX] = cpu->cr4 & ~(uint64_t)CR4_PGE;
    RUN(m, "\x0f\x22\xe0");
    assert_int_equal(load(m, PAGES + 0x4000), 5);
}

/* ---- canonical addresses ---- */

static void canonical_faults(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;

    cpu->gpr[RBX] = cpu->gpr[RBP] = NONCANONICAL;
    FAULTS(m, LOAD_RAX_RBX, VEC_GP, 0);
    FAULTS(m, "\x48\x8b\x45\x00", VEC_SS, 0);     /* mov rax, [rbp] */
    FAULTS(m, "\x3e\x48\x8b\x45\x00", VEC_SS, 0); /* DS prefix: none in 64-bit mode */
    FAULTS(m, "\xff\xe3", VEC_GP, 0);             /* jmp rbx: of the jump itself */
    FAULTS(m, "\x0f\x01\x13", VEC_GP, 0);         /* lgdt [rbx] */
    cpu->gpr[RBX] = NONCANONICAL - 4;             /* the second half is beyond the hole's edge */
    FAULTS(m, LOAD_RAX_RBX, VEC_GP, 0);
    FAULTS(m, "\xf3\x48\x0f\xae\xd5", VEC_GP, 0); /* wrfsbase rbp */
    RUN(m, "\xf3\x48\x0f\xae\xd3");               /* wrfsbase rbx */
    cpu->gpr[RBX] = 8;
    FAULTS(m, "\x64\x48\x8b\x03", VEC_GP, 0); /* mov rax, fs:[rbx]: the sum counts */
    cpu->gpr[RBX] = -(uint64_t)NONCANONICAL + 4 + PAGES;
    RUN(m, "\x64\x48\x8b\x03");
    put_gate(m, VEC_DF, 1, 0);
    cpu->gpr[RSP] = NONCANONICAL - 0x1000;
    cpu->gpr[RBX] = 0;
    FAULTS(m, "\xff\x33", VEC_DF, 0); /* push [rbx]: #PF, and no stack for it */
}

/* A table that reaches into the hole between the halves: its entries there are not the low ones. */
static void tables_end_at_the_hole(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;

    cpu->gdtr = (struct dtable){NONCANONICAL - 8, GDT_BYTES - 1};
    assert_false(segment_load(cpu, ES, K_DATA));
    assert_int_equal(cpu->fault.vector, VEC_GP);
    assert_int_equal(cpu->fault.error, 0);
}

static void no_stack_without_canonical_rsp(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;

    /* With interrupt stacks the handlers can run. */
    put_gate(m, VEC_SS, 1, 0);
    put_gate(m, VEC_GP, 1, 0);
    cpu->gpr[RSP] = NONCANONICAL;
    FAULTS(m, "\x58", VEC_SS, 0); /* pop rax */
    cpu->gpr[RSP] = NONCANONICAL + 8;
    FAULTS(m, "\x50", VEC_SS, 0); /* push rax */
    cpu->gpr[RSP] = STACK_TOP;
    put(m, STACK_TOP, NONCANONICAL);
    FAULTS(m, "\xc3", VEC_GP, 0); /* ret: nothing popped */
    assert_int_equal(cpu->gpr[RSP], STACK_TOP);
}

/* ---- fast system calls ---- */

static void syscall_and_sysret(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;

    enter(m, 3);
    cpu->rflags |= FLAG_IF | FLAG_CF | FLAG_DF;
    RUN(m, "\x0f\x05"); /* syscall */
    assert_int_equal(cpu->rip, HIGH + CODE);
    assert_int_equal(cpu->gpr[RCX], PAGES + 2);
    assert_int_equal(cpu->gpr[R11], 2 | FLAG_IF | FLAG_CF | FLAG_DF);
    assert_int_equal(cpu->rflags, 2 | FLAG_CF | FLAG_DF);
    assert_int_equal(cpu->cpl, 0);
    assert_int_equal(cpu->seg[CS].selector, K_CODE);
    assert_int_equal(cpu->seg[SS].selector, K_DATA);
    assert_int_equal(cpu->gpr[RSP], USER_STACK);
    assert_true(cpu_is_code64(cpu));

    cpu->gpr[R11] |= FLAG_RF | FLAG_VM;
    RUN(m, "\x48\x0f\x07"); /* sysretq */
    assert_int_equal(cpu->rip, PAGES + 2);
    assert_int_equal(cpu->rflags, 2 | FLAG_IF | FLAG_CF | FLAG_DF);
    assert_int_equal(cpu->seg[CS].selector, U_CODE);
    assert_int_equal(cpu->seg[SS].selector, U_DATA);
    assert_int_equal(cpu->cpl, 3);
    assert_true(cpu_is_code64(cpu));
    FAULTS(m, "\x48\x0f\x07", VEC_GP, 0);

    enter(m, 0);
    cpu->gpr[RCX] = NONCANONICAL;
    FAULTS(m, "\x48\x0f\x07", VEC_GP, 0); /* still at level 0: check_fault() looked */
    cpu->gpr[RCX] = 0xffffffff00000000 | PAGES;
    RUN(m, "\x0f\x07"); /* sysretl: to compatibility mode */
    assert_int_equal(cpu->rip, PAGES);
    assert_int_equal(cpu->seg[CS].selector, U_CODE32);
    assert_false(cpu_is_code64(cpu));
    FAULTS(m, "\x0f\x05", VEC_UD, NO_ERROR_CODE); /* Intel: 64-bit mode only */

    enter(m, 3);
    cpu->efer &= ~(uint64_t)EFER_SCE;
    FAULTS(m, "\x0f\x05", VEC_UD, NO_ERROR_CODE);
}

static void sysenter_from_both_modes(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;

    cpu->sysenter_cs = K_CODE;
    cpu->sysenter_esp = HIGH + STACK_TOP;
    cpu->sysenter_eip = HIGH + CODE;
    enter(m, 3);
    set_segment(m, CS, U_CODE32);
    cpu_update_mode(cpu);
    RUN(m, "\x0f\x34"); /* sysenter */
    assert_int_equal(cpu->rip, HIGH + CODE);
    assert_int_equal(cpu->gpr[RSP], HIGH + STACK_TOP);
    assert_true(cpu_is_code64(cpu));
    cpu->gpr[RCX] = NONCANONICAL;
    cpu->gpr[RDX] = PAGES;
    FAULTS(m, "\x48\x0f\x35", VEC_GP, 0); /* sysexitq */
    cpu->gpr[RCX] = USER_STACK;
    RUN(m, "\x0f\x35"); /* sysexit: CS + 16, SS + 24 */
    assert_int_equal(cpu->seg[CS].selector, 0x1b);
    assert_false(cpu_is_code64(cpu));
    assert_int_equal(cpu->cpl, 3);
}

/* ---- interrupts ---- */

static void push_frame(struct machine *m, uint64_t rip, uint16_t cs, uint64_t flags, uint64_t rsp,
                       uint16_t ss)
{
    const uint64_t frame[5] = {rip, cs, flags, rsp, ss};

    m->cpu->gpr[RSP] = STACK_TOP - 40;
    for (unsigned i = 0; i < 5; i++)
        put(m, STACK_TOP - 40 + i * 8, frame[i]);
}
#define IRETQ "\x48\xcf"

static void iretq(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;

    /* Same level: SS:RSP are popped all the same, and a null SS is fine. */
    push_frame(m, HIGH + CODE, K_CODE, 2 | FLAG_IF, STACK_TOP - 0x100, 0);
    RUN(m, IRETQ);
    assert_int_equal(cpu->rip, HIGH + CODE);
    assert_int_equal(cpu->gpr[RSP], STACK_TOP - 0x100);
    assert_int_equal(cpu->seg[SS].selector, 0);
    assert_int_equal(cpu->rflags, 2 | FLAG_IF);
    RUN(m, "\x50"); /* push rax with the null SS */

    push_frame(m, PAGES, U_CODE, 2, USER_STACK, 3);
    FAULTS(m, IRETQ, VEC_GP, 0); /* null SS at level 3 */
    push_frame(m, NONCANONICAL, U_CODE, 2, USER_STACK, U_DATA);
    FAULTS(m, IRETQ, VEC_GP, 0);
    push_frame(m, PAGES, U_CODE, 2, USER_STACK, U_DATA);
    cpu->rflags |= FLAG_NT;
    FAULTS(m, IRETQ, VEC_GP, 0);
    cpu->rflags = 2;
    RUN(m, IRETQ);
    assert_int_equal(cpu->cpl, 3);
    assert_int_equal(cpu->gpr[RSP], USER_STACK);

    /* To compatibility mode. */
    enter(m, 0);
    push_frame(m, PAGES, U_CODE32, 2 | FLAG_VM, USER_STACK, U_DATA);
    RUN(m, IRETQ);
    assert_false(cpu_is_code64(cpu));
    assert_int_equal(cpu->rflags & FLAG_VM, 0);
    assert_int_equal(cpu->gpr[RSP], USER_STACK);
}

static void interrupt_stacks(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;
    const uint64_t top = STACK_IST & ~15ull;

    put_gate(m, VEC_BP, 0, 3);
    put_gate(m, VEC_PF, 1, 0);
    /* No IST, same level: the stack goes on, aligned. */
    cpu->gpr[RSP] = STACK_TOP - 4;
    RUN(m, "\xcc");
    assert_int_equal(cpu->rip, HANDLERS + VEC_BP * 16);
    assert_int_equal(cpu->gpr[RSP], STACK_TOP - 16 - 40);
    assert_int_equal(get(m, STACK_TOP - 16 - 8), K_DATA);
    assert_int_equal(get(m, STACK_TOP - 16 - 16), STACK_TOP - 4);
    assert_int_equal(get(m, STACK_TOP - 16 - 32), K_CODE);
    assert_int_equal(get(m, STACK_TOP - 16 - 40), CODE + 1);
    assert_int_equal(cpu->seg[SS].selector, K_DATA);
    RUN(m, IRETQ);
    assert_int_equal(cpu->rip, CODE + 1);
    assert_int_equal(cpu->gpr[RSP], STACK_TOP - 4);
    /* IST at the same level. */
    cpu->gpr[RBX] = PAGES + 0x100000; /* not mapped */
    assert_false(step(m, LOAD_RAX_RBX, 3));
    assert_int_equal(cpu->gpr[RSP], top - 48);
    assert_int_equal(get(m, top - 48), 0);
    assert_int_equal(get(m, top - 16), STACK_TOP - 4);
    assert_int_equal(cpu->seg[SS].selector, K_DATA);

    /* From level 3: RSP0 and a null SS; and from compatibility mode. */
    enter(m, 3);
    RUN(m, "\xcc");
    assert_int_equal(cpu->gpr[RSP], STACK_RSP0 - 40);
    assert_int_equal(cpu->seg[SS].selector, 0);
    assert_int_equal(get(m, STACK_RSP0 - 8), U_DATA);
    RUN(m, IRETQ);
    assert_int_equal(cpu->rip, PAGES + 1);
    set_segment(m, CS, U_CODE32);
    cpu_update_mode(cpu);
    RUN(m, "\xcc");
    assert_true(cpu_is_code64(cpu));
    assert_int_equal(get(m, STACK_RSP0 - 32), U_CODE32);

    /* An IST entry that is not canonical: #SS, which makes a double fault of a page fault. */
    put(m, TSS + 36, NONCANONICAL);
    put_gate(m, VEC_PF, 1, 0);
    enter(m, 0);
    assert_false(step(m, LOAD_RAX_RBX, 3));
    assert_int_equal(cpu->rip, HANDLERS + VEC_DF * 16);
    /* A 16-bit gate does not exist here. */
    put(m, IDT + VEC_BP * 16, (get(m, IDT + VEC_BP * 16) & ~(0xfull << 40)) | 6ull << 40);
    enter(m, 3);
    FAULTS(m, "\xcc", VEC_GP, VEC_BP * 8 + 2);
}

/* ---- switching modes ---- */

static void compatibility_mode(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;

    put(m, STACK_TOP, CODE + 0x10);
    put(m, STACK_TOP + 8, K_CODE32);
    RUN(m, "\x48\xcb"); /* retfq */
    assert_int_equal(cpu->rip, CODE + 0x10);
    assert_false(cpu_is_code64(cpu));
    assert_true(cpu_is_long(cpu));
    assert_true(cpu->mode & MODE_CODE32);
    RUN(m, "\x40"); /* inc eax here, a prefix there */
    cpu->gpr[RBX] = 0xffffffff00000000 | PAGES | 0x5000;
    put(m, FRAMES + 0x5000, 0x1234);
    RUN(m, "\x8b\x03"); /* mov eax, [ebx] */
    assert_int_equal(cpu->gpr[RAX], 0x1234);
    FAULTS(m, "\x0f\x01\xf8", VEC_UD, NO_ERROR_CODE); /* swapgs */
    RUN(m, "\xea\x00\x00\x10\x00\x08\x00");           /* ljmp K_CODE:CODE */
    assert_true(cpu_is_code64(cpu));
    assert_int_equal(cpu->rip, CODE);
    /* What 64-bit mode does not have. */
    FAULTS(m, "\x06", VEC_UD, NO_ERROR_CODE);
    FAULTS(m, "\x27", VEC_UD, NO_ERROR_CODE);
    FAULTS(m, "\x60", VEC_UD, NO_ERROR_CODE);
    FAULTS(m, "\xea\x00\x00\x10\x00\x08\x00", VEC_UD, NO_ERROR_CODE);
    FAULTS(m, "\xce", VEC_UD, NO_ERROR_CODE);
}

static void entering_long_mode(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;

    cpu->cr0 = CR0_PE | CR0_ET;
    cpu->cr4 = 0;
    cpu->efer = EFER_LME;
    set_segment(m, CS, K_CODE32);
    set_segment(m, SS, K_DATA);
    set_segment(m, DS, K_DATA);
    cpu->idtr = (struct dtable){0};
    cpu_update_mode(cpu);
    cpu->gpr[RAX] = CR0_PE | CR0_PG;
    assert_false(step(m, "\x0f\x22\xc0", 3)); /* mov cr0, eax without PAE: nobody to handle it */
    assert_true(cpu->shutdown);
    cpu->shutdown = false;
    cpu->cr4 = CR4_PAE;
    RUN(m, "\x0f\x22\xc0");
    assert_int_equal(cpu->efer, EFER_LME | EFER_LMA);
    assert_false(cpu_is_code64(cpu));
    cpu->idtr = (struct dtable){IDT, 0xfff};
    RUN(m, "\xea\x00\x00\x10\x00\x08\x00");
    assert_true(cpu_is_code64(cpu));
    /* PAE and PG cannot go while 64-bit code runs. */
    cpu->gpr[RAX] = 0;
    FAULTS(m, "\x0f\x22\xe0", VEC_GP, 0);
    cpu->gpr[RAX] = CR0_PE;
    FAULTS(m, "\x0f\x22\xc0", VEC_GP, 0);
    cpu->gpr[RCX] = IA32_EFER;
    cpu->gpr[RAX] = cpu->gpr[RDX] = 0;
    FAULTS(m, "\x0f\x30", VEC_GP, 0); /* nor LME while paging is on */
}

/* ---- registers that 64-bit mode adds ---- */

static void bases_and_cr8(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;

    cpu->seg[GS].base = 0x1111;
    cpu->kernel_gs_base = HIGH;
    RUN(m, "\x0f\x01\xf8"); /* swapgs */
    assert_int_equal(cpu->seg[GS].base, HIGH);
    assert_int_equal(cpu->kernel_gs_base, 0x1111);
    cpu->gpr[RAX] = 9;
    RUN(m, "\x44\x0f\x22\xc0"); /* mov cr8, rax */
    assert_int_equal(m->tpr, 9);
    RUN(m, "\x44\x0f\x20\xc3"); /* mov rbx, cr8 */
    assert_int_equal(cpu->gpr[RBX], 9);
    cpu->gpr[RAX] = 16;
    FAULTS(m, "\x44\x0f\x22\xc0", VEC_GP, 0);
    enter(m, 3);
    FAULTS(m, "\x0f\x01\xf8", VEC_GP, 0);
    RUN(m, "\xf3\x48\x0f\xae\xd8"); /* wrgsbase rax: level 3 may */
    assert_int_equal(cpu->seg[GS].base, 16);
    cpu->cr4 &= ~(uint64_t)CR4_FSGSBASE;
    FAULTS(m, "\xf3\x48\x0f\xae\xd8", VEC_UD, NO_ERROR_CODE);
    /* Loading a null selector keeps neither base nor limit that could be used. */
    cpu->gpr[RAX] = 0;
    RUN(m, "\x8e\xe8"); /* mov gs, eax */
    assert_int_equal(cpu->seg[GS].selector, 0);
}

static void cmpxchg16b(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;

    cpu->gpr[RSI] = PAGES + 0x4008;
    FAULTS(m, "\x48\x0f\xc7\x0e", VEC_GP, 0); /* cmpxchg16b [rsi] */
    cpu->gpr[RSI] = PAGES + 0x4010;
    put(m, FRAMES + 0x4010, 1);
    put(m, FRAMES + 0x4018, 2);
    cpu->gpr[RAX] = 1;
    cpu->gpr[RDX] = 2;
    cpu->gpr[RBX] = 3;
    cpu->gpr[RCX] = 4;
    RUN(m, "\xf0\x48\x0f\xc7\x0e");
    assert_true(cpu->rflags & FLAG_ZF);
    assert_int_equal(get(m, FRAMES + 0x4010), 3);
    assert_int_equal(get(m, FRAMES + 0x4018), 4);
    RUN(m, "\xf0\x48\x0f\xc7\x0e");
    assert_false(cpu->rflags & FLAG_ZF);
    assert_int_equal(cpu->gpr[RAX], 3);
    assert_int_equal(cpu->gpr[RDX], 4);
}

/* TZCNT and LZCNT are BSF and BSR to processors that do not know them, and kernels write REP BSF.
 */
static void instructions_from_before_their_features(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;

    cpu->gpr[RAX] = 0x50;
    if (m->model.has[LZCNT]) {
        RUN(m, "\xf3\x48\x0f\xbd\xd8"); /* lzcnt rbx, rax */
        assert_int_equal(cpu->gpr[RBX], 57);
    }
    m->model.has[BMI1] = m->model.has[LZCNT] = false;
    RUN(m, "\xf3\x48\x0f\xbd\xd8");
    assert_int_equal(cpu->gpr[RBX], 6);
    RUN(m, "\xf3\x48\x0f\xbc\xd8");
    assert_int_equal(cpu->gpr[RBX], 4);
    cpu->gpr[RAX] = 0;
    RUN(m, "\xf3\x48\x0f\xbc\xd8");
    assert_int_equal(cpu->gpr[RBX], 4);
    assert_true(cpu->rflags & FLAG_ZF);
    /* So is PREFETCHW a no-operation wherever there is a 64-bit mode. */
    m->model.has[PREFETCHW] = false;
    RUN(m, "\x0f\x0d\x08"); /* prefetchw [rax] */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(page_sizes),
        TEST(no_execute),
        TEST(supervisor_keeps_out_of_user_pages),
        TEST(pcid),
        TEST(global_pages),
        TEST(canonical_faults),
        TEST(tables_end_at_the_hole),
        TEST(no_stack_without_canonical_rsp),
        TEST(syscall_and_sysret),
        TEST(sysenter_from_both_modes),
        TEST(iretq),
        TEST(interrupt_stacks),
        TEST(compatibility_mode),
        TEST(entering_long_mode),
        TEST(bases_and_cr8),
        TEST(cmpxchg16b),
        TEST(instructions_from_before_their_features),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
