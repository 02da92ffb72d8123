/*
 * tests/fuzz/program.h -- random guest programs and the world they run in, for fuzz_machine.
 *
 * Linear addresses below 64 KiB, so that 16-bit code reaches them; physical ones are the same where
 * nothing else is said:
 *
 *   page 1   GDT, TSS            page 7   kernel stack         page d   alias of code page 5
 *   page 2   IDT                 page 8,9 data                 page e   data, NX
 *   page 3   handlers, variables page a   data, read-only      page f   user stack
 *   page 4-6 the program         page b   supervisor data      page 10  alias of data page 8
 *                                page c   not present          page 11  a hole, 12 MMIO, 13 ROM
 *   page 14  what the second set of page tables has as page 5
 *   page 15  what a write to PORT_REMAP puts at physical page 9
 *   page 20- page tables: two sets for each paging mode
 */
#ifndef RINGER_TESTS_FUZZ_PROGRAM_H
#define RINGER_TESTS_FUZZ_PROGRAM_H

#include <stdbool.h>
#include <stdint.h>

#include "cpu/cpu.h"
#include "cpu/insn.h"

enum world_mode {
    WORLD_REAL,
    WORLD_V86,
    WORLD_16,      /* 16-bit protected, no paging */
    WORLD_32,      /* flat, no paging */
    WORLD_PAGED_0, /* two-level tables */
    WORLD_PAGED_3,
    WORLD_PAE_0,
    WORLD_PAE_3,
    WORLD_COMPAT_3,
    WORLD_LONG_0,
    WORLD_LONG_3,
    WORLD_MODES
};
extern const char *const world_names[WORLD_MODES];

enum {
    WORLD_RAM = 0x40000,
    WORLD_MMIO = 0x12000,
    WORLD_ROM = 0x13000,
    WORLD_HANDLERS = 0x3000,
    WORLD_HALT_VECTOR = 0x2e,
    PORT_REMAP = 0xe0,
    PROGRAM_ITEMS = 200,
    PROGRAM_RESUMES = 64,
    ITEM_BYTES = 16,
};

struct item {
    uint8_t bytes[ITEM_BYTES];
    uint8_t length;
    uint16_t at; /* linear address */
};

struct program {
    uint64_t seed;
    enum world_mode mode;
    bool garbage; /* random bytes and tables: only to survive */
    unsigned count;
    struct item items[PROGRAM_ITEMS + 8];
    uint64_t random; /* what the world's tables and registers are drawn from */
};

/* The program of a seed. */
void program_make(struct program *p, uint64_t seed, bool garbage);
/* Its stores make RDRAND and RDSEED of multiplications: what program_make() avoids, a program can
 * still come to. */
void program_make_stored_random(struct program *p);
/* Writes a REP STOSD into its data and jumps to it; the REP overwrites itself. */
void program_make_rep_in_data(struct program *p);
/* A handler of #UD that begins with one fills the stack with more than 4096 frames. */
void program_make_stack_of_faults(struct program *p);
/* Guest memory as the program starts. */
void program_image(const struct program *p, uint8_t image[WORLD_RAM]);
/* Registers as the program starts; memory has been written. */
void program_registers(const struct program *p, struct cpu *cpu);
/* Pages are global: the program stays with its first set of tables, as global pages that the two
 * map differently could answer either way. */
static inline bool program_has_globals(const struct program *p)
{
    return p->random >> 28 & 1;
}
enum code_size program_code_size(const struct program *p);

#endif
