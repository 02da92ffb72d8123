/*
 * tests/translator/machine.h -- a bare CPU with RAM, interpreted or translated; for test files that
 * include cmocka.h first.
 */
#ifndef RINGER_TESTS_TRANSLATOR_MACHINE_H
#define RINGER_TESTS_TRANSLATOR_MACHINE_H

#include <stdint.h>
#include <string.h>

#include "cpu/cpuid.h"
#include "cpu/interp.h"
#include "cpu/physmem.h"
#include "cpu/segment.h"
#include "translator/translator.h"

struct machine {
    struct physmem *mem;
    struct cpu *cpu;
    struct cpu_model model;
    struct translator *tr;
};

static uint32_t io_read(void *ctx, uint16_t port, unsigned size)
{
    (void)ctx;
    (void)port;
    (void)size;
    return ~0u;
}
static void io_write(void *ctx, uint16_t port, unsigned size, uint32_t value)
{
    (void)ctx;
    (void)port;
    (void)size;
    (void)value;
}
static uint64_t tsc(void *ctx)
{
    (void)ctx;
    return 0;
}
static void machine_shutdown(void *ctx)
{
    (void)ctx;
}
static const struct cpu_ops ops = {
    .io_read = io_read, .io_write = io_write, .tsc = tsc, .shutdown = machine_shutdown};

/* options: how to translate; NULL: interpret. */
static void machine_open(struct machine *m, uint64_t memory_bytes,
                         const struct translator_options *options)
{
    char message[256];

    memset(m, 0, sizeof(*m));
    m->mem = physmem_create(memory_bytes, 36);
    assert_non_null(m->mem);
    assert_int_equal(physmem_map(m->mem, 0, memory_bytes, 0, true), 0);
    assert_true(cpu_model_parse("max", 1000000000, &m->model, message, sizeof(message)));
    m->cpu = cpu_create(m->mem, &m->model, &ops, NULL);
    assert_non_null(m->cpu);
    if (options != NULL) {
        m->tr = translator_create(m->mem, options);
        assert_non_null(m->tr);
        assert_int_equal(translator_attach(m->tr, m->cpu), 0);
    }
}

/* The code at `at`, about to run at CPL 0 in flat 32-bit segments. */
static inline void machine_start_flat(struct machine *m, physaddr_t at, const uint8_t *code,
                                      size_t bytes, uint32_t stack)
{
    struct cpu *cpu = m->cpu;

    physmem_write_bytes(m->mem, at, code, bytes);
    cpu->cr0 = CR0_PE | CR0_ET | CR0_NE;
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        cpu->seg[i] = (struct segment){
            .limit = 0xffffffff,
            .selector = i == CS ? 8 : 16,
            .attr = (uint16_t)(SEG_P | SEG_S | SEG_G | SEG_DB | (i == CS ? 0xb : 3)),
        };
        segment_update_cache(&cpu->seg[i]);
    }
    cpu->cpl = 0;
    cpu_update_mode(cpu);
    memset(cpu->gpr, 0, sizeof(cpu->gpr));
    cpu->gpr[RSP] = stack;
    cpu->rip = at;
    cpu->rflags = 2;
}

static void machine_close(struct machine *m)
{
    if (m->tr != NULL) {
        translator_detach(m->tr, m->cpu);
        translator_destroy(m->tr);
    }
    cpu_destroy(m->cpu);
    physmem_destroy(m->mem);
}

#endif
