/*
 * tests/cpu/test_interp.c -- the interpreter's run loop: exact budgets, events, stores to code,
 * single steps and breakpoints, segment and page ends, REP, and the fast handlers against the
 * reference ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "cpu/access.h"
#include "cpu/cpu.h"
#include "cpu/cpuid.h"
#include "cpu/debug.h"
#include "cpu/icache.h"
#include "cpu/interp.h"
#include "cpu/physmem.h"
#include "cpu/run_fast.h"
#include "cpu/segment.h"

enum {
    MEMORY_BYTES = 16 << 20,
    CODE = 0x10000,     /* where programs are put */
    STACK_TOP = 0x9000, /* initial stack pointer */
    HANDLERS = 0x500,   /* one HLT per vector, real mode */
    IRQ_VECTOR = 0x20,
};

/* ---- a machine ---- */

static unsigned shutdowns;

static uint32_t bus_read(void *ctx, uint16_t port, unsigned size)
{
    (void)ctx;
    (void)port;
    (void)size;
    return 0xffffffff;
}
static void bus_write(void *ctx, uint16_t port, unsigned size, uint32_t value)
{
    (void)ctx;
    (void)port;
    (void)size;
    (void)value;
}
static int acknowledge(void *ctx)
{
    struct cpu **const cpu = ctx;

    (*cpu)->intr = false;
    return IRQ_VECTOR;
}
static void on_shutdown(void *ctx)
{
    (void)ctx;
    shutdowns++;
}
static void on_ferr(void *ctx)
{
    (void)ctx;
}
static uint64_t no_time(void *ctx)
{
    (void)ctx;
    return 0;
}
static const struct cpu_ops ops = {
    .io_read = bus_read,
    .io_write = bus_write,
    .interrupt_acknowledge = acknowledge,
    .shutdown = on_shutdown,
    .ferr = on_ferr,
    .tsc = no_time,
};

struct machine {
    struct physmem *memory;
    struct cpu *cpu;
    struct cpu *self; /* what ops_ctx points at */
};

static void machine_create(struct machine *m)
{
    static struct cpu_model model;
    char message[256];

    assert_true(cpu_model_parse("max", 1000000000, &model, message, sizeof message));
    m->memory = physmem_create(MEMORY_BYTES, 32);
    assert_non_null(m->memory);
    assert_int_equal(physmem_map(m->memory, 0, MEMORY_BYTES, 0, true), 0);
    m->cpu = cpu_create(m->memory, &model, &ops, &m->self);
    assert_non_null(m->cpu);
    m->self = m->cpu;
}
static void machine_destroy(struct machine *m)
{
    cpu_destroy(m->cpu);
    physmem_destroy(m->memory);
}

/* Real mode at 1000:0000, every vector going to a HLT at HANDLERS + vector. */
static void enter_real(struct machine *m)
{
    for (unsigned vector = 0; vector < 256; vector++) {
        physmem_write(m->memory, vector * 4, 4, HANDLERS + vector);
        physmem_write(m->memory, HANDLERS + vector, 1, 0xf4);
    }
    segment_load_real(m->cpu, CS, CODE >> 4);
    segment_load_real(m->cpu, SS, 0);
    segment_load_real(m->cpu, DS, 0);
    segment_load_real(m->cpu, ES, 0);
    m->cpu->gpr[RSP] = STACK_TOP;
    m->cpu->rip = 0;
    cpu_update_mode(m->cpu);
}
/* Flat 32-bit protected mode, ring 0, no IDT. */
static void enter_flat(struct machine *m)
{
    m->cpu->cr0 |= CR0_PE;
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        segment_unpack(i == CS ? 0x00cf9b000000ffff : 0x00cf93000000ffff, i == CS ? 8 : 16,
                       &m->cpu->seg[i]);
        segment_update_cache(&m->cpu->seg[i]);
    }
    m->cpu->idtr.limit = 0;
    m->cpu->gpr[RSP] = STACK_TOP;
    m->cpu->rip = CODE;
    cpu_update_mode(m->cpu);
}
static void put(struct machine *m, physaddr_t at, const void *bytes, size_t size)
{
    physmem_write_bytes(m->memory, at, bytes, size);
}
/* In real mode: the vector whose handler has halted, or -1. */
static int halted_vector(const struct machine *m)
{
    const int64_t vector = (int64_t)m->cpu->rip - 1 - HANDLERS;

    if (!m->cpu->halted || m->cpu->seg[CS].selector != 0 || vector < 0 || vector > 255)
        return -1;
    return (int)vector;
}
/* The instruction pointer that the handler was given. */
static uint16_t frame_ip(const struct machine *m)
{
    return (uint16_t)physmem_read(m->memory, (uint16_t)m->cpu->gpr[RSP], 2);
}
static uint16_t frame_flags(const struct machine *m)
{
    return (uint16_t)physmem_read(m->memory, (uint16_t)(m->cpu->gpr[RSP] + 4), 2);
}

/* ---- budgets and exits ---- */

/* inc ax; dec bx; jmp back, with a REP in between: n asked for, n retired, whatever the blocks. */
static void test_budget_is_exact(void **state)
{
    static const uint8_t code[] = {0x40, 0xb9, 5, 0, 0xf3, 0xaa, 0x4b, 0xeb, 0xf7};
    struct machine m;

    (void)state;
    machine_create(&m);
    enter_real(&m);
    m.cpu->gpr[RDI] = 0x4000;
    put(&m, CODE, code, sizeof code);
    for (uint64_t n = 0; n < 100; n++) {
        const uint64_t before = m.cpu->icount;

        assert_int_equal(interp_run(m.cpu, n), RUN_BUDGET);
        assert_int_equal(m.cpu->icount - before, n);
    }
    machine_destroy(&m);
}

static void test_exit_request_is_seen(void **state)
{
    static const uint8_t code[] = {0xeb, 0xfe};
    struct machine m;

    (void)state;
    machine_create(&m);
    enter_real(&m);
    put(&m, CODE, code, sizeof code);
    cpu_kick(m.cpu);
    assert_int_equal(interp_run(m.cpu, UINT64_MAX), RUN_EXIT);
    m.cpu->exit_request = 0;
    assert_int_equal(interp_run(m.cpu, 10), RUN_BUDGET);
    machine_destroy(&m);
}

/* HLT waits; an interrupt wakes it and is delivered behind it. */
static void test_halt_until_interrupt(void **state)
{
    static const uint8_t code[] = {0xfb, 0xf4, 0x90};
    struct machine m;

    (void)state;
    machine_create(&m);
    enter_real(&m);
    put(&m, CODE, code, sizeof code);
    assert_int_equal(interp_run(m.cpu, UINT64_MAX), RUN_HALTED);
    assert_int_equal(interp_run(m.cpu, UINT64_MAX), RUN_HALTED);
    cpu_set_intr(m.cpu, true);
    m.cpu->exit_request = 0;
    assert_int_equal(interp_run(m.cpu, UINT64_MAX), RUN_HALTED);
    assert_int_equal(halted_vector(&m), IRQ_VECTOR);
    assert_int_equal(frame_ip(&m), 2);
    machine_destroy(&m);
}

/* STI takes effect after the next instruction: STI; INC AX; the interrupt sees AX = 1. */
static void test_sti_shadow(void **state)
{
    static const uint8_t code[] = {0xfb, 0x40, 0x40, 0x40};
    struct machine m;

    (void)state;
    machine_create(&m);
    enter_real(&m);
    put(&m, CODE, code, sizeof code);
    m.cpu->gpr[RAX] = 0;
    m.cpu->intr = true;
    assert_int_equal(interp_run(m.cpu, UINT64_MAX), RUN_HALTED);
    assert_int_equal(halted_vector(&m), IRQ_VECTOR);
    assert_int_equal(m.cpu->gpr[RAX], 1);
    assert_int_equal(frame_ip(&m), 2);
    machine_destroy(&m);
}

/* INT with an empty IDT: #GP, double fault, shutdown. */
static void test_triple_fault(void **state)
{
    static const uint8_t code[] = {0xcd, 0x30};
    struct machine m;

    (void)state;
    machine_create(&m);
    enter_flat(&m);
    put(&m, CODE, code, sizeof code);
    shutdowns = 0;
    assert_int_equal(interp_run(m.cpu, UINT64_MAX), RUN_SHUTDOWN);
    assert_int_equal(shutdowns, 1);
    machine_destroy(&m);
}

/* ---- stores to code ---- */

/* A store to the immediate of the next instruction, in the same block, is seen by it. */
static void test_store_to_next_instruction(void **state)
{
    static const uint8_t code[] = {
        0xc6, 0x05, 0x08, 0x00, 0x01, 0x00, 0x77, /* mov byte [0x10008], 0x77 */
        0xb8, 0x11, 0x00, 0x00, 0x00,             /* mov eax, 0x11 */
        0xf4,
    };
    struct machine m;

    (void)state;
    machine_create(&m);
    enter_flat(&m);
    put(&m, CODE, code, sizeof code);
    assert_int_equal(interp_run(m.cpu, UINT64_MAX), RUN_HALTED);
    assert_int_equal(m.cpu->gpr[RAX], 0x77);
    machine_destroy(&m);
}

/* A loop that increments the immediate of one of its own instructions. */
static void test_loop_that_patches_itself(void **state)
{
    static const uint8_t code[] = {
        0xb9, 0x64, 0x00, 0x00, 0x00,       /* mov ecx, 100 */
        0x05, 0x00, 0x00, 0x00, 0x00,       /* add eax, 0       <- patched */
        0xff, 0x05, 0x06, 0x00, 0x01, 0x00, /* inc dword [0x10006] */
        0x49, 0x75, 0xf2,                   /* dec ecx; jnz */
        0xf4,
    };
    struct machine m;

    (void)state;
    machine_create(&m);
    enter_flat(&m);
    put(&m, CODE, code, sizeof code);
    m.cpu->gpr[RAX] = 0;
    assert_int_equal(interp_run(m.cpu, UINT64_MAX), RUN_HALTED);
    assert_int_equal(m.cpu->gpr[RAX], 99 * 100 / 2);
    machine_destroy(&m);
}

/* REP STOSB over its own following code, and over itself, in RAM that was executed before. */
static void test_rep_stos_over_code(void **state)
{
    static const uint8_t code[] = {
        0xf3, 0xaa,             /* rep stosb: INC EAX over the next four bytes */
        0x90, 0x90, 0x90, 0x90, /* nops */
        0xf4,
    };
    struct machine m;

    (void)state;
    machine_create(&m);
    enter_flat(&m);
    put(&m, CODE, code, sizeof code);
    m.cpu->gpr[RCX] = 0; /* first round: everything is cached */
    assert_int_equal(interp_run(m.cpu, UINT64_MAX), RUN_HALTED);
    m.cpu->halted = false;
    m.cpu->rip = CODE;
    m.cpu->gpr[RAX] = 0x40;
    m.cpu->gpr[RCX] = 4;
    m.cpu->gpr[RDI] = CODE + 2;
    assert_int_equal(interp_run(m.cpu, UINT64_MAX), RUN_HALTED);
    assert_int_equal(m.cpu->gpr[RAX], 0x44);
    machine_destroy(&m);
}

/* Code written by a device is seen too. */
static void test_dma_to_code(void **state)
{
    static const uint8_t before[] = {0x40, 0xf4}, after[] = {0x48, 0xf4};
    struct machine m;

    (void)state;
    machine_create(&m);
    enter_flat(&m);
    put(&m, CODE, before, sizeof before);
    m.cpu->gpr[RAX] = 5;
    assert_int_equal(interp_run(m.cpu, UINT64_MAX), RUN_HALTED);
    assert_int_equal(m.cpu->gpr[RAX], 6);
    put(&m, CODE, after, sizeof after);
    m.cpu->halted = false;
    m.cpu->rip = CODE;
    assert_int_equal(interp_run(m.cpu, UINT64_MAX), RUN_HALTED);
    assert_int_equal(m.cpu->gpr[RAX], 5);
    machine_destroy(&m);
}

/* More code than the cache holds: it starts anew, and the result is right. */
static void test_cache_is_bounded(void **state)
{
    enum { BLOCKS = 90000 };
    struct machine m;

    (void)state;
    machine_create(&m);
    enter_flat(&m);
    for (unsigned i = 0; i < BLOCKS; i++) { /* inc eax; jmp +1, three bytes and a gap */
        static const uint8_t block[4] = {0x40, 0xeb, 0x01, 0xcc};

        put(&m, CODE + 4 * i, block, sizeof block);
    }
    physmem_write(m.memory, CODE + 4 * BLOCKS, 1, 0xf4);
    for (unsigned round = 0; round < 2; round++) {
        m.cpu->gpr[RAX] = 0;
        m.cpu->rip = CODE;
        m.cpu->halted = false;
        assert_int_equal(interp_run(m.cpu, UINT64_MAX), RUN_HALTED);
        assert_int_equal(m.cpu->gpr[RAX], BLOCKS);
    }
    assert_true(m.cpu->icache->flushed > 0);
    machine_destroy(&m);
}

/* ---- ends of pages and segments ---- */

static void test_instruction_across_pages(void **state)
{
    static const uint8_t code[] = {0xb8, 0x44, 0x33, 0x22, 0x11, 0xf4};
    struct machine m;

    (void)state;
    machine_create(&m);
    for (unsigned before = 1; before <= 5; before++) {
        enter_flat(&m);
        put(&m, CODE + PAGE_SIZE - before, code, sizeof code);
        m.cpu->rip = CODE + PAGE_SIZE - before;
        m.cpu->gpr[RAX] = 0;
        m.cpu->halted = false;
        assert_int_equal(interp_run(m.cpu, UINT64_MAX), RUN_HALTED);
        assert_int_equal(m.cpu->gpr[RAX], 0x11223344);
        physmem_write(m.memory, CODE + PAGE_SIZE, 1, 0x55); /* the second page's part */
        m.cpu->rip = CODE + PAGE_SIZE - before;
        m.cpu->halted = false;
        if (before < 5)
            assert_int_equal(interp_run(m.cpu, 1), RUN_BUDGET);
        assert_int_equal(m.cpu->gpr[RAX], before == 5   ? 0x11223344
                                          : before == 4 ? 0x55223344
                                          : before == 3 ? 0x11553344
                                          : before == 2 ? 0x11225544
                                                        : 0x11223355);
    }
    machine_destroy(&m);
}

/* 16-bit code that runs on past FFFF meets the limit: #GP with IP = 0 (the low 16 bits). */
static void test_running_off_the_segment(void **state)
{
    struct machine m;

    (void)state;
    machine_create(&m);
    enter_real(&m);
    physmem_write(m.memory, CODE + 0xffff, 1, 0x40); /* inc ax */
    m.cpu->gpr[RAX] = 0;
    m.cpu->rip = 0xffff;
    assert_int_equal(interp_run(m.cpu, UINT64_MAX), RUN_HALTED);
    assert_int_equal(halted_vector(&m), VEC_GP);
    assert_int_equal(m.cpu->gpr[RAX], 1);
    assert_int_equal(frame_ip(&m), 0);

    physmem_write(m.memory, CODE + 0xffff, 1, 0xb8); /* mov ax, imm16 does not fit */
    m.cpu->halted = false;
    segment_load_real(m.cpu, CS, CODE >> 4);
    m.cpu->rip = 0xffff;
    assert_int_equal(interp_run(m.cpu, UINT64_MAX), RUN_HALTED);
    assert_int_equal(halted_vector(&m), VEC_GP);
    assert_int_equal(frame_ip(&m), 0xffff);
    machine_destroy(&m);
}

/* A 32-bit jump beyond the limit faults as the jump; nothing is pushed by a CALL that does. */
static void test_jump_beyond_limit(void **state)
{
    static const uint8_t code[] = {0x66, 0xe8, 0x00, 0x00, 0x01, 0x00}; /* call +0x10000 */
    struct machine m;

    (void)state;
    machine_create(&m);
    enter_real(&m);
    put(&m, CODE + 0x10, code, sizeof code);
    m.cpu->rip = 0x10;
    assert_int_equal(interp_run(m.cpu, UINT64_MAX), RUN_HALTED);
    assert_int_equal(halted_vector(&m), VEC_GP);
    assert_int_equal(frame_ip(&m), 0x10);
    assert_int_equal(m.cpu->gpr[RSP], STACK_TOP - 6);
    machine_destroy(&m);
}

/* ---- REP ---- */

static void test_rep_movs(void **state)
{
    static const uint8_t code[] = {0xf3, 0xa4, 0xf4};
    enum { FROM = 0x200000, COUNT = 10000 };
    static uint8_t bytes[COUNT + 64], got[COUNT];
    struct machine m;

    (void)state;
    machine_create(&m);
    enter_flat(&m);
    put(&m, CODE, code, sizeof code);
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 256);
    /* apart, overlapping upward by 1 and by 3 (a pattern is repeated), downward */
    for (unsigned k = 0; k < 4; k++) {
        static const int offset[] = {0x10000, 1, 3, -5};
        const uint32_t to = (uint32_t)(FROM + offset[k]);

        put(&m, FROM - 64, bytes, sizeof bytes);
        m.cpu->halted = false;
        m.cpu->rip = CODE;
        m.cpu->gpr[RSI] = FROM;
        m.cpu->gpr[RDI] = to;
        m.cpu->gpr[RCX] = COUNT;
        m.cpu->icount = 0;
        assert_int_equal(interp_run(m.cpu, UINT64_MAX), RUN_HALTED);
        assert_int_equal(m.cpu->icount, 2); /* once, however many calls it took */
        assert_int_equal(m.cpu->gpr[RCX], 0);
        assert_int_equal(m.cpu->gpr[RSI], FROM + COUNT);
        assert_int_equal(m.cpu->gpr[RDI], to + COUNT);
        physmem_read_bytes(m.memory, to, got, COUNT);
        for (unsigned i = 0; i < COUNT; i++) {
            const unsigned source = k == 1 ? 64 : k == 2 ? 64 + i % 3 : 64 + i;

            assert_int_equal(got[i], bytes[source]);
        }
    }
    machine_destroy(&m);
}

/* A REP that runs into the end of the segment: what was done before is done, the rest restarts. */
static void test_rep_faults_in_the_middle(void **state)
{
    static const uint8_t code[] = {0xf3, 0xab}; /* rep stosw */
    struct machine m;

    (void)state;
    machine_create(&m);
    enter_real(&m);
    put(&m, CODE, code, sizeof code);
    segment_load_real(m.cpu, ES, 0x2000);
    m.cpu->gpr[RAX] = 0xbeef;
    m.cpu->gpr[RDI] = 0xfff1; /* the word at FFFF does not fit */
    m.cpu->gpr[RCX] = 20;
    assert_int_equal(interp_run(m.cpu, UINT64_MAX), RUN_HALTED);
    assert_int_equal(halted_vector(&m), VEC_GP);
    assert_int_equal(frame_ip(&m), 0);
    assert_int_equal(m.cpu->gpr[RDI], 0xffff);
    assert_int_equal(m.cpu->gpr[RCX], 13);
    assert_int_equal(physmem_read(m.memory, 0x2fffd, 2), 0xbeef);
    machine_destroy(&m);
}

/* 16-bit index registers wrap within their 64 KiB; the upper halves stay. */
static void test_rep_wraps_index(void **state)
{
    static const uint8_t code[] = {0xf3, 0xaa, 0xf4};
    struct machine m;

    (void)state;
    machine_create(&m);
    enter_real(&m);
    put(&m, CODE, code, sizeof code);
    segment_load_real(m.cpu, ES, 0x2000);
    m.cpu->gpr[RAX] = 0x5a;
    m.cpu->gpr[RDI] = 0xabcdfff0;
    m.cpu->gpr[RCX] = 0x12340020;
    assert_int_equal(interp_run(m.cpu, UINT64_MAX), RUN_HALTED);
    assert_int_equal(m.cpu->gpr[RDI], 0xabcd0010);
    assert_int_equal(m.cpu->gpr[RCX], 0x12340000);
    assert_int_equal(physmem_read(m.memory, 0x2fff0, 1), 0x5a);
    assert_int_equal(physmem_read(m.memory, 0x2000f, 1), 0x5a);
    assert_int_equal(physmem_read(m.memory, 0x20010, 1), 0);
    assert_int_equal(physmem_read(m.memory, 0x30000, 1), 0);
    machine_destroy(&m);
}

static void test_repe_cmps_and_repne_scas(void **state)
{
    static const uint8_t code[] = {0xf3, 0xa6, 0xf4, 0xf2, 0xae, 0xf4};
    struct machine m;

    (void)state;
    machine_create(&m);
    enter_flat(&m);
    put(&m, CODE, code, sizeof code);
    put(&m, 0x20000, "the same until here: A", 23);
    put(&m, 0x30000, "the same until here: B", 23);
    m.cpu->gpr[RSI] = 0x20000;
    m.cpu->gpr[RDI] = 0x30000;
    m.cpu->gpr[RCX] = 100;
    assert_int_equal(interp_run(m.cpu, UINT64_MAX), RUN_HALTED);
    assert_int_equal(m.cpu->gpr[RSI], 0x20000 + 22);
    assert_int_equal(m.cpu->gpr[RCX], 100 - 22);
    assert_int_equal(m.cpu->rflags & (FLAG_CF | FLAG_ZF), FLAG_CF);
    m.cpu->halted = false;
    m.cpu->gpr[RDI] = 0x30000;
    m.cpu->gpr[RAX] = ':';
    assert_int_equal(interp_run(m.cpu, UINT64_MAX), RUN_HALTED);
    assert_int_equal(m.cpu->gpr[RDI], 0x30000 + 20);
    assert_true(m.cpu->rflags & FLAG_ZF);
    machine_destroy(&m);
}

/* ---- single steps and breakpoints ---- */

/* TF: the trap comes after the instruction, with DR6.BS, and TF is off in the handler. */
static void test_single_step(void **state)
{
    static const uint8_t code[] = {0x40, 0x40, 0x40};
    struct machine m;

    (void)state;
    machine_create(&m);
    enter_real(&m);
    put(&m, CODE, code, sizeof code);
    m.cpu->gpr[RAX] = 0;
    m.cpu->rflags |= FLAG_TF;
    assert_int_equal(interp_run(m.cpu, UINT64_MAX), RUN_HALTED);
    assert_int_equal(halted_vector(&m), VEC_DB);
    assert_int_equal(frame_ip(&m), 1);
    assert_int_equal(m.cpu->gpr[RAX], 1);
    assert_true(frame_flags(&m) & FLAG_TF);
    assert_false(m.cpu->rflags & FLAG_TF);
    assert_int_equal(m.cpu->dr[6] & (DR6_BS | 15), DR6_BS);
    machine_destroy(&m);
}

/* TF: one trap for each element of a REP, rip staying on it until the last. */
static void test_single_step_of_rep(void **state)
{
    static const uint8_t code[] = {0xf3, 0xaa, 0x90};
    struct machine m;

    (void)state;
    machine_create(&m);
    enter_real(&m);
    put(&m, CODE, code, sizeof code);
    m.cpu->gpr[RDI] = 0x4000;
    m.cpu->gpr[RCX] = 3;
    for (unsigned left = 3; left-- > 0;) {
        m.cpu->rflags |= FLAG_TF;
        assert_int_equal(interp_run(m.cpu, UINT64_MAX), RUN_HALTED);
        assert_int_equal(halted_vector(&m), VEC_DB);
        assert_int_equal(m.cpu->gpr[RCX], left);
        assert_int_equal(frame_ip(&m), left ? 0 : 2);
        m.cpu->halted = false;
        m.cpu->rip = frame_ip(&m);
        segment_load_real(m.cpu, CS, CODE >> 4);
        m.cpu->gpr[RSP] = STACK_TOP;
    }
    machine_destroy(&m);
}

/* MOV SS holds the trap off until after the next instruction. */
static void test_single_step_after_mov_ss(void **state)
{
    static const uint8_t code[] = {0x8e, 0xd0, 0x43, 0x43}; /* mov ss, ax; inc bx; inc bx */
    struct machine m;

    (void)state;
    machine_create(&m);
    enter_real(&m);
    put(&m, CODE, code, sizeof code);
    m.cpu->gpr[RAX] = 0;
    m.cpu->gpr[RBX] = 0;
    m.cpu->rflags |= FLAG_TF;
    assert_int_equal(interp_run(m.cpu, UINT64_MAX), RUN_HALTED);
    assert_int_equal(halted_vector(&m), VEC_DB);
    assert_int_equal(frame_ip(&m), 3);
    assert_int_equal(m.cpu->gpr[RBX], 1);
    machine_destroy(&m);
}

/* DR0 on an instruction: a fault before it; RF lets it pass once and is cleared by it. */
static void test_instruction_breakpoint(void **state)
{
    static const uint8_t code[] = {0x40, 0x40, 0xeb, 0xfc}; /* inc ax; inc ax; jmp back */
    struct machine m;

    (void)state;
    machine_create(&m);
    enter_real(&m);
    put(&m, CODE, code, sizeof code);
    m.cpu->gpr[RAX] = 0;
    m.cpu->dr[0] = CODE + 1;
    m.cpu->dr[7] |= 1;
    cpu_update_breakpoints(m.cpu);
    assert_int_equal(interp_run(m.cpu, UINT64_MAX), RUN_HALTED);
    assert_int_equal(halted_vector(&m), VEC_DB);
    assert_int_equal(frame_ip(&m), 1);
    assert_int_equal(m.cpu->gpr[RAX], 1);
    assert_int_equal(m.cpu->dr[6] & 15, 1);

    m.cpu->halted = false;
    segment_load_real(m.cpu, CS, CODE >> 4);
    m.cpu->gpr[RSP] = STACK_TOP;
    m.cpu->rip = 1;
    m.cpu->rflags |= FLAG_RF;
    assert_int_equal(interp_run(m.cpu, UINT64_MAX), RUN_HALTED);
    assert_int_equal(halted_vector(&m), VEC_DB);
    assert_int_equal(m.cpu->gpr[RAX], 3); /* once round */
    machine_destroy(&m);
}

/* DR1 on a store: a trap after the instruction. */
static void test_data_breakpoint(void **state)
{
    static const uint8_t code[] = {0xa0, 0x02, 0x40, 0xa2, 0x02, 0x40, 0x43};
    struct machine m;

    (void)state;
    machine_create(&m);
    enter_real(&m);
    put(&m, CODE, code, sizeof code);
    m.cpu->dr[1] = 0x4002;
    m.cpu->dr[7] |= 1 << 2 | 1 << 20; /* L1, writes, one byte */
    cpu_update_breakpoints(m.cpu);
    assert_int_equal(interp_run(m.cpu, UINT64_MAX), RUN_HALTED);
    assert_int_equal(halted_vector(&m), VEC_DB);
    assert_int_equal(frame_ip(&m), 6);
    assert_int_equal(m.cpu->dr[6] & 15, 2);
    machine_destroy(&m);
}

/* DR2 on a port, with CR4.DE: a trap after the OUT. */
static void test_io_breakpoint(void **state)
{
    static const uint8_t code[] = {0xe6, 0x7f, 0xe6, 0x80, 0x43}; /* out 7f; out 80; inc bx */
    struct machine m;

    (void)state;
    machine_create(&m);
    enter_real(&m);
    put(&m, CODE, code, sizeof code);
    m.cpu->cr4 |= CR4_DE;
    m.cpu->dr[2] = 0x80;
    m.cpu->dr[7] |= 1 << 4 | 2 << 24; /* L2, I/O, one byte */
    cpu_update_breakpoints(m.cpu);
    assert_int_equal(interp_run(m.cpu, UINT64_MAX), RUN_HALTED);
    assert_int_equal(halted_vector(&m), VEC_DB);
    assert_int_equal(frame_ip(&m), 4);
    assert_int_equal(m.cpu->dr[6] & 15, 4);
    machine_destroy(&m);
}

/* ---- the fast handlers against the reference ones ---- */

static uint64_t random_state = 0x2545f4914f6cdd1d;
static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

enum { DATA = 0x100000, DATA_BYTES = 3 * PAGE_SIZE };

static void fill_random(struct machine *m, const uint64_t *regs, uint64_t flags,
                        const uint8_t *data)
{
    for (unsigned i = 0; i < 16; i++)
        m->cpu->gpr[i] = regs[i];
    m->cpu->rflags = flags;
    m->cpu->rip = CODE;
    put(m, DATA, data, DATA_BYTES);
}

/* Any one-byte opcode or 0F opcode for which there is a fast handler, with random operands that
 * mostly point into DATA, across its pages now and then. */
static void test_fast_handlers_agree(void **state)
{
    static uint8_t data[DATA_BYTES], got[2][DATA_BYTES];
    struct machine m[2];
    unsigned compared = 0;

    (void)state;
    for (unsigned k = 0; k < 2; k++) {
        machine_create(&m[k]);
        enter_flat(&m[k]);
    }
    for (unsigned i = 0; i < DATA_BYTES; i++)
        data[i] = (uint8_t)next_random();
    for (unsigned round = 0; round < 400000; round++) {
        const uint64_t flags = (next_random() & FLAGS_OSZAPC) | 2;
        uint8_t bytes[16];
        uint64_t regs[16];
        insn_run_fn reference, fast;
        struct insn in;

        for (unsigned i = 0; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)next_random();
        if (round & 1)
            bytes[0] = 0x0f;
        if (decode(bytes, sizeof bytes, CODE32, &in) != DECODE_OK)
            continue;
        reference = interp_handler(m[0].cpu, &in);
        fast = run_fast_pick(m[0].cpu->mode, &in, reference);
        if (fast == reference)
            continue;
        for (unsigned i = 0; i < 16; i++)
            regs[i] = i < 8 ? (uint32_t)next_random() : 0;
        regs[RSP] = DATA + PAGE_SIZE + next_random() % 64;
        if (in.has_mem && in.ops[0].kind != OPERAND_NONE) { /* aim at the data */
            const uint32_t target = DATA + (uint32_t)(next_random() % (DATA_BYTES - 8));

            if (in.base != NO_REG && in.base != in.index && in.base != RSP)
                regs[in.base] = (uint32_t)(target - in.disp -
                                           (in.index != NO_REG ? regs[in.index] * in.scale : 0));
            else
                continue;
        }
        for (unsigned k = 0; k < 2; k++) {
            fill_random(&m[k], regs, flags, data);
            assert_true(interp_execute(m[k].cpu, &in, k ? fast : reference));
        }
        for (unsigned i = 0; i < 16; i++)
            assert_int_equal(m[0].cpu->gpr[i], m[1].cpu->gpr[i]);
        assert_int_equal(m[0].cpu->rip, m[1].cpu->rip);
        assert_int_equal(m[0].cpu->rflags, m[1].cpu->rflags);
        if ((compared++ & 7) == 0) { /* memory is most of the time */
            for (unsigned k = 0; k < 2; k++)
                physmem_read_bytes(m[k].memory, DATA, got[k], DATA_BYTES);
            assert_memory_equal(got[0], got[1], DATA_BYTES);
        }
    }
    assert_true(compared > 20000);
    for (unsigned k = 0; k < 2; k++)
        machine_destroy(&m[k]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_budget_is_exact),
        cmocka_unit_test(test_exit_request_is_seen),
        cmocka_unit_test(test_halt_until_interrupt),
        cmocka_unit_test(test_sti_shadow),
        cmocka_unit_test(test_triple_fault),
        cmocka_unit_test(test_store_to_next_instruction),
        cmocka_unit_test(test_loop_that_patches_itself),
        cmocka_unit_test(test_rep_stos_over_code),
        cmocka_unit_test(test_dma_to_code),
        cmocka_unit_test(test_cache_is_bounded),
        cmocka_unit_test(test_instruction_across_pages),
        cmocka_unit_test(test_running_off_the_segment),
        cmocka_unit_test(test_jump_beyond_limit),
        cmocka_unit_test(test_rep_movs),
        cmocka_unit_test(test_rep_faults_in_the_middle),
        cmocka_unit_test(test_rep_wraps_index),
        cmocka_unit_test(test_repe_cmps_and_repne_scas),
        cmocka_unit_test(test_single_step),
        cmocka_unit_test(test_single_step_of_rep),
        cmocka_unit_test(test_single_step_after_mov_ss),
        cmocka_unit_test(test_instruction_breakpoint),
        cmocka_unit_test(test_data_breakpoint),
        cmocka_unit_test(test_io_breakpoint),
        cmocka_unit_test(test_fast_handlers_agree),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
