/*
 * tests/cpu/test_string_io.c -- INS and OUTS that move blocks: whatever a device offers at once,
 * the guest sees what it would see element by element.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "cpu/cpu.h"
#include "cpu/cpuid.h"
#include "cpu/interp.h"
#include "cpu/physmem.h"
#include "cpu/segment.h"

enum {
    MEMORY_BYTES = 0x40000,
    CODE = 0x10000,
    PORT = 0x1F0,
    HANDLERS = 0x500, /* one HLT per vector */
    CASES = 3000,
    BUDGET = 20000,
};

/* A port: what is read is a count, what is written is summed up. */
struct device {
    uint64_t taken, given, sum;
    unsigned largest; /* elements of a block; 0: it offers none */
    unsigned blocks;
    struct cpu *kick; /* asked to stop by each access */
};

static uint8_t next_byte(struct device *dev)
{
    dev->taken++;
    return (uint8_t)(dev->taken * 37 >> 3);
}

static void take_byte(struct device *dev, uint8_t byte)
{
    dev->given++;
    dev->sum = dev->sum * 31 + byte;
}

static uint32_t port_read(void *ctx, uint16_t port, unsigned size)
{
    uint32_t value = 0;

    assert_int_equal(port, PORT);
    for (unsigned i = 0; i < size; i++)
        value |= (uint32_t)next_byte(ctx) << (8 * i);
    return value;
}

static void port_write(void *ctx, uint16_t port, unsigned size, uint32_t value)
{
    assert_int_equal(port, PORT);
    for (unsigned i = 0; i < size; i++)
        take_byte(ctx, (uint8_t)(value >> (8 * i)));
}

static unsigned block_begin(struct device *dev, unsigned count)
{
    dev->blocks++;
    if (dev->kick != NULL)
        dev->kick->exit_request = 1;
    return count < dev->largest ? count : dev->largest;
}

static unsigned block_read(void *ctx, uint16_t port, unsigned size, void *buffer, unsigned count)
{
    const unsigned done = block_begin(ctx, count);

    assert_int_equal(port, PORT);
    for (unsigned i = 0; i < done * size; i++)
        ((uint8_t *)buffer)[i] = next_byte(ctx);
    return done;
}

static unsigned block_write(void *ctx, uint16_t port, unsigned size, const void *buffer,
                            unsigned count)
{
    const unsigned done = block_begin(ctx, count);

    assert_int_equal(port, PORT);
    for (unsigned i = 0; i < done * size; i++)
        take_byte(ctx, ((const uint8_t *)buffer)[i]);
    return done;
}

static void nothing(void *ctx)
{
    (void)ctx;
}

static const struct cpu_ops single_ops = {
    .io_read = port_read, .io_write = port_write, .shutdown = nothing, .ferr = nothing};
static const struct cpu_ops block_ops = {.io_read = port_read,
                                         .io_write = port_write,
                                         .io_read_block = block_read,
                                         .io_write_block = block_write,
                                         .shutdown = nothing,
                                         .ferr = nothing};

struct machine {
    struct physmem *memory;
    struct cpu *cpu;
    struct device device;
};

static void machine_create(struct machine *m, const struct cpu_ops *ops)
{
    static struct cpu_model model;
    char message[256];

    memset(m, 0, sizeof(*m));
    assert_true(cpu_model_parse("max", 1000000000, &model, message, sizeof message));
    m->memory = physmem_create(MEMORY_BYTES, 32);
    assert_non_null(m->memory);
    assert_int_equal(physmem_map(m->memory, 0, MEMORY_BYTES, 0, true), 0);
    m->cpu = cpu_create(m->memory, &model, ops, &m->device);
    assert_non_null(m->cpu);
}

static void machine_destroy(struct machine *m)
{
    cpu_destroy(m->cpu);
    physmem_destroy(m->memory);
}

/* The same memory, registers and code for both; then until it halts. */
static void machine_run(struct machine *m, const uint8_t *code, unsigned size, uint64_t rflags,
                        const uint32_t *regs, uint16_t segment, unsigned largest)
{
    uint8_t *ram = physmem_backing(m->memory, 0);
    struct cpu *cpu = m->cpu;

    cpu_reset(cpu);
    m->device = (struct device){.largest = largest};
    for (unsigned i = 0; i < MEMORY_BYTES; i++)
        ram[i] = (uint8_t)(i * 5 >> 2);
    for (unsigned vector = 0; vector < 256; vector++) {
        physmem_write(m->memory, vector * 4, 4, HANDLERS + vector);
        physmem_write(m->memory, HANDLERS + vector, 1, 0xf4);
    }
    physmem_write_bytes(m->memory, CODE, code, size);
    physmem_code_stored(m->memory, 0, MEMORY_BYTES);
    segment_load_real(cpu, CS, CODE >> 4);
    segment_load_real(cpu, SS, 0);
    segment_load_real(cpu, DS, segment);
    segment_load_real(cpu, ES, segment);
    cpu->gpr[RCX] = regs[0];
    cpu->gpr[RSI] = regs[1];
    cpu->gpr[RDI] = regs[1];
    cpu->gpr[RDX] = PORT;
    cpu->gpr[RSP] = 0x9000;
    cpu->rip = 0;
    cpu->rflags = rflags | 2;
    cpu_update_mode(cpu);
    for (unsigned i = 0; i < 4000 && !cpu->halted; i++) {
        cpu->exit_request = 0;
        interp_run(cpu, BUDGET);
    }
    assert_true(cpu->halted);
}

static void test_blocks_and_elements_agree(void **state)
{
    struct machine single, block;
    uint64_t random = 1, blocks = 0;

    (void)state;
    machine_create(&single, &single_ops);
    machine_create(&block, &block_ops);
    for (unsigned i = 0; i < CASES; i++) {
        uint16_t segment;
        uint8_t code[8] = {0xF3};
        unsigned at = 1;
        uint32_t regs[2], bits;
        uint64_t rflags;

        random = random * 6364136223846793005u + 1442695040888963407u;
        bits = (uint32_t)(random >> 32);
        if (bits & 1)
            code[at++] = 0x66;
        if ((bits >> 1 & 7) == 0)
            code[at++] = 0x67;
        code[at++] = (uint8_t)(0x6C | (bits >> 4 & 3));
        code[at++] = 0xF4;
        rflags = (bits >> 6 & 7) == 0 ? FLAG_DF : 0;
        regs[0] = bits >> 9 & ((bits >> 31) ? 0xFFF : 0x3F);
        regs[1] = (uint32_t)(random >> 8) & ((bits >> 30 & 1) ? 0xFFFF : 0xF7FF);
        if ((bits >> 27 & 7) == 0)
            regs[1] = 0xFFFF - (bits & 0xFF);       /* the segment's end */
        segment = bits >> 21 & 1 ? 0x2000 : 0x2FFF; /* away from code and vectors, */
        if ((bits >> 22 & 7) == 0) {                /* or close behind the code, in its page */
            segment = CODE >> 4;
            regs[0] &= 0xFF;
            regs[1] = 0x800 + (bits & 0x1FF);
        }
        machine_run(&single, code, at, rflags, regs, segment, 0);
        machine_run(&block, code, at, rflags, regs, segment,
                    bits >> 18 & 1 ? 4096 : bits >> 19 & 3);
        blocks += block.device.blocks;
        assert_memory_equal(block.cpu->gpr, single.cpu->gpr, sizeof(single.cpu->gpr));
        assert_int_equal(block.cpu->rip, single.cpu->rip);
        assert_int_equal(block.device.taken, single.device.taken);
        assert_int_equal(block.device.given, single.device.given);
        assert_int_equal(block.device.sum, single.device.sum);
        assert_memory_equal(physmem_backing(block.memory, 0), physmem_backing(single.memory, 0),
                            MEMORY_BYTES);
    }
    assert_true(blocks > CASES / 2);
    machine_destroy(&single);
    machine_destroy(&block);
}

/* 32 KiB in 4-byte elements: a block a page, not 8,192 calls. */
static void test_blocks_are_used(void **state)
{
    static const uint8_t code[] = {0xF3, 0x66, 0x6D, 0xF4};
    const uint32_t regs[2] = {0x2000, 0};
    struct machine m;

    (void)state;
    machine_create(&m, &block_ops);
    machine_run(&m, code, sizeof(code), 0, regs, 0x2000, UINT32_MAX);
    assert_int_equal(m.device.taken, 0x8000);
    assert_int_equal(m.device.blocks, 8);
    assert_int_equal(m.cpu->gpr[RCX], 0);
    machine_destroy(&m);
}

/* A request to leave guest code is honoured between two blocks. */
static void test_blocks_leave_when_asked(void **state)
{
    static const uint8_t code[] = {0xF3, 0x66, 0x6D, 0xF4};
    const uint32_t regs[2] = {0, 0};
    struct machine m;

    (void)state;
    machine_create(&m, &block_ops);
    machine_run(&m, code, sizeof(code), 0, regs, 0x2000, UINT32_MAX); /* count 0: nothing */
    assert_int_equal(m.device.blocks, 0);
    m.cpu->halted = false;
    m.cpu->rip = 0;
    m.cpu->gpr[RCX] = 0x2000;
    m.device.kick = m.cpu;
    interp_run(m.cpu, BUDGET);
    assert_int_equal(m.device.blocks, 1);
    assert_int_equal(m.cpu->gpr[RCX], 0x2000 - 0x400);
    assert_int_equal(m.cpu->gpr[RDI], 0x1000);
    assert_int_equal(m.cpu->rip, 0);
    machine_destroy(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_and_elements_agree),
        cmocka_unit_test(test_blocks_are_used),
        cmocka_unit_test(test_blocks_leave_when_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
