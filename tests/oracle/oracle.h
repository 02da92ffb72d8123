/*
 * tests/oracle/oracle.h -- the host oracle: user-mode instructions run on the host CPU and by an
 * engine of ours must leave the same registers, flags, x87/SSE/AVX state, memory and faults.
 *
 * Files, in reading order: oracle.h, generate.c (what is run), host.c (the host's answer),
 * guest.c (the interpreter's), translated.c (the translator's), validity.c (which encodings exist
 * at all), known.c (what cannot be compared, and why), oracle.c (the driver).
 *
 * Linear addresses, the same in this process (below 4 GiB, so that 32-bit code reaches them) and in
 * the guest:
 *
 *   CODE_BASE   64 KiB, read and execute: INT3 everywhere but for the instruction under test
 *   DATA_BASE   64 KiB, read and write; what surrounds it is not mapped
 *   WILD_BASE   nothing is mapped there
 */
#ifndef RINGER_TESTS_ORACLE_H
#define RINGER_TESTS_ORACLE_H

#include <stdbool.h>
#include <stdint.h>

#include "cpu/cpu.h"
#include "cpu/fpu.h"
#include "cpu/insn.h"

#define CODE_BASE 0x20000000u
#define DATA_BASE 0x20100000u
#define CTL_BASE  0x20200000u /* host.c's own */
#define GDT_BASE  0x38200000u /* the guest's alone */
#define WILD_BASE 0x30000000u
enum {
    REGION_SIZE = 0x10000,
    CODE_AT = 0x2000,     /* offset of the instruction in the code region */
    CODE_BYTES = 64,      /* what is rewritten there */
    WINDOW_SIZE = 3584,   /* bytes of the data region that a state initialises and compares */
    WINDOW_BEFORE = 768,  /* of which before the address that the instruction aims at */
};

/* Selectors, as Linux has them and as the guest's tables repeat them. */
enum {
    SEL_CODE32 = 0x23,
    SEL_DATA = 0x2b,
    SEL_CODE64 = 0x33,
    SEL_CODE16 = 0x07,       /* LDT: base CODE_BASE, limit 64 KiB */
    SEL_DATA16 = 0x0f,       /* LDT: base DATA_BASE, limit 64 KiB */
    SEL_DATA32_BASED = 0x17, /* the same with a 32-bit stack pointer */
};

struct state {
    uint64_t gpr[16];
    uint64_t rip; /* offset in CS */
    uint64_t rflags;
    uint16_t cs, ds, es, ss;
    _Alignas(64) uint8_t fpu[FPU_SIZE]; /* as cpu->fpu, cpu/fpu.h */
};

enum { NO_VECTOR = -1 };

/* What came of a run. */
struct outcome {
    struct state state;
    int vector; /* the exception, or NO_VECTOR */
    uint32_t error;
    uint64_t cr2; /* #PF only */
};

/* One test: an encoding of a row with a state to run it in. */
struct test_case {
    unsigned row;
    enum code_size mode;
    bool based; /* data segments with a base and a limit */
    bool flow;  /* control transfer: ends in one of the INT3s */
    uint8_t bytes[32];
    struct insn in;
    struct state state;
    uint32_t window; /* offset of the window in the data region */
    uint8_t memory[WINDOW_SIZE];
};

/* An engine of ours: runs t's instruction on the guest that guest_prepare() has set up. */
typedef void (*engine_fn)(struct cpu *cpu, const struct test_case *t, struct outcome *out);

/* ---- generate.c ---- */
void generate_init(uint64_t seed);
/* A new encoding of t->row for t->mode; false: the row does not exist there. */
bool generate_encoding(struct test_case *t);
/* A new state for the encoding. */
void generate_state(struct test_case *t);

/* ---- host.c ---- */
struct host_support {
    bool ldt; /* 16-bit code and based data segments work */
};
/* 0, or -1 with a message printed. */
int host_init(struct host_support *support);
void host_load_code(const struct test_case *t);
void host_run(const struct test_case *t, struct outcome *out);
/* The CODE_BYTES from the instruction on. */
const uint8_t *host_code(void);
/* The host's 64 KiB of data. */
uint8_t *host_data(void);
uint64_t host_descriptor(uint16_t selector);

/* ---- guest.c ---- */
int guest_init(void);
void guest_destroy(void);
struct cpu *guest_cpu(void);
uint8_t *guest_data(void);
struct physmem *guest_memory(void);
/* What follows the instruction: INT3, or what follows it on the host. */
void guest_load_code(const struct test_case *t, bool end_with_int3);
void guest_prepare(const struct test_case *t);
/* The host has AVX-512, and so has the guest. */
bool guest_has_avx512(void);
/* The guest's XCR0. */
uint64_t guest_xcr0(void);
/* The CPU halted in the handler of an exception: what it was. */
void guest_halted(const struct test_case *t, struct outcome *out);
void run_interpreter(struct cpu *cpu, const struct test_case *t, struct outcome *out);

/* ---- translated.c ---- */
int translated_init(bool window);
void translated_destroy(void);
void translated_print_stats(void);
void run_translator(struct cpu *cpu, const struct test_case *t, struct outcome *out);

/* ---- validity.c ---- */
/* `count` EVEX prefixes: #UD on the host and here.  Returns the number of differences. */
unsigned validity_run(uint64_t seed, unsigned count);

/* ---- known.c ---- */
/* Why the row cannot be run on the host or compared; NULL: it can. */
const char *known_skip(unsigned row);
bool known_encoding_skipped(const struct test_case *t);
bool known_state_skipped(const struct test_case *t);
/* Parts of the outcome that differ for a known reason. */
struct known_differences {
    uint64_t flags;   /* these flags */
    bool fpu, memory; /* all of it */
    uint64_t cr2;     /* these bits of CR2 */
    uint32_t error;   /* these bits of the error code */
};
struct known_differences known_differences(const struct test_case *t, const struct outcome *host);
/* Blank what a stored image may differ in; image has `room` bytes of the window left. */
void known_blank(const struct test_case *t, uint8_t *image, unsigned room);

#endif
