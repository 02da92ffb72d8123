/*
 * tests/cpu/tables.h -- a CPU on 1 MiB of RAM with hand-made descriptor tables, for the unit tests
 * of segmentation and delivery.  No paging, so linear addresses are physical ones.
 */
#ifndef RINGER_TESTS_CPU_TABLES_H
#define RINGER_TESTS_CPU_TABLES_H

/* Before cmocka.h, which has a macro named run_test. */
#include "cpu/cpu.h"
#include "cpu/cpuid.h"
#include "cpu/descriptor.h"
#include "cpu/exception.h"
#include "cpu/physmem.h"
#include "cpu/run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    AT_GDT = 0x1000,
    AT_IDT = 0x2000,
    AT_LDT = 0x3000,
    AT_TSS_A = 0x4000,
    AT_TSS_B = 0x5000,
    AT_TSS16 = 0x6000,
    AT_TSS64 = 0x7000,
    STACK0 = 0x9000,
    STACK1 = 0xa000,
    STACK3 = 0xb000,
    STACK_B = 0xc000,
    STACK_IST = 0xd008,
    RAM_BYTES = 1 << 20,
};

/* Selectors, by table position. */
enum {
    K_CODE = 0x08,
    K_DATA = 0x10,
    U_CODE = 0x1b,
    U_DATA = 0x23,
    TSS_A = 0x28,
    TSS_B = 0x30,
    CONFORM = 0x38,
    K_CODE16 = 0x40,
    K_DATA16 = 0x48,
    GATE32 = 0x50,
    GATE_TASK = 0x58,
    LDT = 0x60,
    TSS16_SEL = 0x68,
    ABSENT = 0x70,
    K_CODE64 = 0x78,
    U_CODE64 = 0x83,
    TSS64 = 0x88,
    GATE64 = 0x98,
    R1_CODE = 0xa9,
    R1_DATA = 0xb1,
    EXEC_ONLY = 0xbb,
    GATE16 = 0xc0,
    GDT_BYTES = 0xd0,
};
enum { LDT_DATA = 0x07 | 0x08 }; /* second entry of the LDT, RPL 3 */

/* Access bytes and flag nibbles. */
enum {
    DATA_0 = 0x92,
    DATA_1 = 0xb2,
    DATA_3 = 0xf2,
    CODE_0 = 0x9a,
    CODE_1 = 0xba,
    CODE_3 = 0xfa,
    FLAT32 = 0xc,
    FLAT64 = 0xa,
    SMALL16 = 0x0,
};

struct machine {
    struct physmem *mem;
    struct cpu *cpu;
    struct cpu_model model;
    struct cpu_ops ops;
    unsigned shutdowns;
    uint16_t last_port;
    unsigned io_count;
    uint32_t io_value;
};

static inline uint32_t machine_io_read(void *ctx, uint16_t port, unsigned size)
{
    struct machine *m = ctx;

    (void)size;
    m->last_port = port;
    m->io_count++;
    return m->io_value + m->io_count;
}
static inline void machine_io_write(void *ctx, uint16_t port, unsigned size, uint32_t value)
{
    struct machine *m = ctx;

    (void)size;
    m->last_port = port;
    m->io_count++;
    m->io_value = value;
}
static inline void machine_shutdown(void *ctx)
{
    struct machine *m = ctx;

    m->shutdowns++;
}

static inline void put(struct machine *m, uint64_t at, unsigned size, uint64_t value)
{
    physmem_write(m->mem, at, size, value);
}
static inline uint64_t get(struct machine *m, uint64_t at, unsigned size)
{
    return physmem_read(m->mem, at, size);
}

/* flags: G, D/B, L, AVL from bit 3 down. */
static inline uint64_t make_descriptor(uint32_t base, uint32_t limit, uint8_t access, uint8_t flags)
{
    return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)access << 40 |
           (uint64_t)(limit >> 16 & 15) << 48 | (uint64_t)flags << 52 |
           (uint64_t)(base >> 24) << 56;
}
/* Call, interrupt, trap and task gates; access is the P/DPL/type byte. */
static inline uint64_t make_gate(uint16_t selector, uint32_t offset, uint8_t access, uint8_t param)
{
    return (offset & 0xffff) | (uint64_t)selector << 16 | (uint64_t)param << 32 |
           (uint64_t)access << 40 | (uint64_t)(offset >> 16) << 48;
}
static inline void put_descriptor(struct machine *m, uint16_t selector, uint64_t raw)
{
    put(m, AT_GDT + (selector & ~7u), 8, raw);
}
static inline uint64_t get_descriptor(struct machine *m, uint16_t selector)
{
    return get(m, AT_GDT + (selector & ~7u), 8);
}
static inline void put_idt(struct machine *m, uint8_t vector, uint64_t gate)
{
    put(m, AT_IDT + vector * 8u, 8, gate);
}

static inline void machine_tables(struct machine *m)
{
    struct cpu *cpu = m->cpu;

    put_descriptor(m, K_CODE, make_descriptor(0, 0xfffff, CODE_0, FLAT32));
    put_descriptor(m, K_DATA, make_descriptor(0, 0xfffff, DATA_0, FLAT32));
    put_descriptor(m, U_CODE, make_descriptor(0, 0xfffff, CODE_3, FLAT32));
    put_descriptor(m, U_DATA, make_descriptor(0, 0xfffff, DATA_3, FLAT32));
    put_descriptor(m, TSS_A, make_descriptor(AT_TSS_A, 0x1ff, 0x8b, 0));
    put_descriptor(m, TSS_B, make_descriptor(AT_TSS_B, 0x67, 0x89, 0));
    put_descriptor(m, CONFORM, make_descriptor(0, 0xfffff, CODE_0 | 4, FLAT32));
    put_descriptor(m, K_CODE16, make_descriptor(0, 0xffff, CODE_0, SMALL16));
    put_descriptor(m, K_DATA16, make_descriptor(0, 0xffff, DATA_0, SMALL16));
    put_descriptor(m, GATE32, make_gate(K_CODE, 0x12345, 0xec, 2));
    put_descriptor(m, GATE_TASK, make_gate(TSS_B, 0, 0xe5, 0));
    put_descriptor(m, LDT, make_descriptor(AT_LDT, 0x0f, 0x82, 0));
    put_descriptor(m, TSS16_SEL, make_descriptor(AT_TSS16, 0x2b, 0x81, 0));
    put_descriptor(m, ABSENT, make_descriptor(0, 0xfffff, DATA_0 & 0x7f, FLAT32));
    put_descriptor(m, K_CODE64, make_descriptor(0, 0xfffff, CODE_0, FLAT64));
    put_descriptor(m, U_CODE64, make_descriptor(0, 0xfffff, CODE_3, FLAT64));
    put_descriptor(m, TSS64, make_descriptor(AT_TSS64, 0x67, 0x89, 0));
    put_descriptor(m, GATE64, make_gate(K_CODE64, 0x4000, 0xec, 0));
    put_descriptor(m, R1_CODE, make_descriptor(0, 0xfffff, CODE_1, FLAT32));
    put_descriptor(m, R1_DATA, make_descriptor(0, 0xfffff, DATA_1, FLAT32));
    put_descriptor(m, EXEC_ONLY, make_descriptor(0, 0xfffff, CODE_3 & ~2, FLAT32));
    put_descriptor(m, GATE16, make_gate(K_CODE16, 0x4321, 0xe4, 1));
    put(m, AT_LDT + 8, 8, make_descriptor(0x100, 0xff, DATA_3, 4));

    put(m, AT_TSS_A + 4, 4, STACK0);
    put(m, AT_TSS_A + 8, 4, K_DATA);
    put(m, AT_TSS_A + 12, 4, STACK1);
    put(m, AT_TSS_A + 16, 4, R1_DATA);
    put(m, AT_TSS_A + 0x66, 2, 0x100); /* I/O bitmap; redirection bitmap at 0xe0 */
    put(m, AT_TSS64 + 4, 8, STACK0 + 8);
    put(m, AT_TSS64 + 36, 8, STACK_IST);

    cpu->gdtr = (struct dtable){.base = AT_GDT, .limit = GDT_BYTES - 1};
    cpu->idtr = (struct dtable){.base = AT_IDT, .limit = 0x7ff};
    segment_unpack(get_descriptor(m, TSS_A), TSS_A, &cpu->tr);
    cpu->ldtr = (struct segment){0};
}

static inline int machine_setup(void **state)
{
    struct machine *m = calloc(1, sizeof(*m));

    assert_non_null(m);
    m->ops = (struct cpu_ops){
        .io_read = machine_io_read, .io_write = machine_io_write, .shutdown = machine_shutdown};
    for (unsigned i = 0; i < INSN_FEATURE_COUNT; i++)
        m->model.has[i] = true;
    m->model.phys_bits = 36;
    m->mem = physmem_create(RAM_BYTES, 36);
    assert_non_null(m->mem);
    assert_int_equal(physmem_map(m->mem, 0, RAM_BYTES, 0, true), 0);
    m->cpu = cpu_create(m->mem, &m->model, &m->ops, m);
    assert_non_null(m->cpu);
    machine_tables(m);
    *state = m;
    return 0;
}

static inline int machine_teardown(void **state)
{
    struct machine *m = *state;

    cpu_destroy(m->cpu);
    physmem_destroy(m->mem);
    free(m);
    return 0;
}

static inline void set_segment(struct machine *m, enum seg seg, uint16_t selector)
{
    segment_unpack(get_descriptor(m, selector), selector, &m->cpu->seg[seg]);
}

static inline void enter_real(struct machine *m)
{
    struct cpu *cpu = m->cpu;

    cpu->cr0 &= ~CR0_PE;
    cpu->rflags = 2;
    cpu->cpl = 0;
    for (unsigned i = 0; i < SEG_COUNT; i++)
        segment_load_real(cpu, i, 0);
    cpu->idtr = (struct dtable){.base = 0, .limit = 0x3ff};
    cpu->rip = 0x100;
    cpu->gpr[RSP] = 0x8000;
    cpu_update_mode(cpu);
}

/* Flat 32-bit protected mode at level 0 or 3, EIP 0x100. */
static inline void enter_protected(struct machine *m, unsigned cpl)
{
    struct cpu *cpu = m->cpu;

    cpu->cr0 |= CR0_PE;
    cpu->rflags = 2;
    cpu->cpl = (uint8_t)cpl;
    set_segment(m, CS, cpl == 0 ? K_CODE : U_CODE);
    set_segment(m, SS, cpl == 0 ? K_DATA : U_DATA);
    set_segment(m, DS, cpl == 0 ? K_DATA : U_DATA);
    set_segment(m, ES, U_DATA);
    cpu->seg[FS] = cpu->seg[GS] = (struct segment){0};
    cpu->rip = 0x100;
    cpu->gpr[RSP] = cpl == 0 ? STACK0 : STACK3;
    cpu_update_mode(cpu);
}

static inline void enter_v86(struct machine *m, unsigned iopl)
{
    struct cpu *cpu = m->cpu;

    cpu->cr0 |= CR0_PE;
    cpu->rflags = 2 | FLAG_VM | FLAG_IF | iopl << 12;
    cpu->cpl = 3;
    for (unsigned i = 0; i < SEG_COUNT; i++)
        segment_load_real(cpu, i, (uint16_t)(0x100 * (i + 1)));
    segment_load_real(cpu, SS, 0);
    cpu->rip = 0x100;
    cpu->gpr[RSP] = 0xb000;
    cpu_update_mode(cpu);
}

/* IA-32e mode without paging, which no processor allows but these checks do not look at. */
static inline void enter_long(struct machine *m, unsigned cpl)
{
    struct cpu *cpu = m->cpu;

    enter_protected(m, cpl);
    cpu->efer = EFER_LME | EFER_LMA | EFER_SCE;
    set_segment(m, CS, cpl == 0 ? K_CODE64 : U_CODE64);
    segment_unpack(get_descriptor(m, TSS64), TSS64, &cpu->tr);
    cpu_update_mode(cpu);
}

/* The recorded fault is `vector` with this error code. */
#define assert_fault(cpu, expected_vector, expected_error)      \
    do {                                                        \
        assert_int_equal((cpu)->fault.vector, expected_vector); \
        assert_true((cpu)->fault.has_error);                    \
        assert_int_equal((cpu)->fault.error, expected_error);   \
    } while (0)

#endif
