/*
 * tests/oracle/oracle.c -- the host oracle's driver: every row of cpu/insn.def in every code size
 * that it exists in, some encodings of it, some states for each, the host against an engine.
 *
 *   oracle [--engine interpret|translate|window] [--states N] [--seed N] [--row MNEMONIC]
 *          [--mode 16|32|64] [--list]
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/fpu.h"
#include "cpu/operand.h"
#include "tests/oracle/oracle.h"

enum {
    DEFAULT_STATES = 1000,
    STATES_PER_ENCODING = 25,
    SHOWN_PER_ROW = 1,
    SKIPPED = 77,
    VALIDITY_ENCODINGS = 100000
};

/* RF is the signal frame's, TF is never set. */
#define COMPARED_FLAGS (FLAGS_OSZAPC | FLAG_DF | FLAG_IF | FLAG_IOPL | FLAG_NT | FLAG_AC | FLAG_ID)

struct options {
    unsigned states;
    uint64_t seed;
    const char *row;
    unsigned mode; /* 0: all */
    bool list;
    bool translate; /* the engine */
    bool window;    /* the translator with windows at once, otherwise without */
};

struct totals {
    uint64_t runs, faults;
    unsigned rows, failed_rows;
    bool *reached; /* by row: it exists in some mode */
};

static const char *const gpr_names[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                          "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};

/* A difference goes to `out` when that is not NULL; either way it counts. */
struct report {
    FILE *out;
    unsigned differences;
};

static void differ(struct report *r, const char *what, unsigned index, uint64_t host, uint64_t ours)
{
    r->differences++;
    if (r->out)
        fprintf(r->out, "    %s[%u]: host %" PRIx64 ", ours %" PRIx64 "\n", what, index, host,
                ours);
}

static void differ_bytes(struct report *r, const char *what, unsigned index, const uint8_t *host,
                         const uint8_t *ours, unsigned size)
{
    if (memcmp(host, ours, size) == 0)
        return;
    r->differences++;
    if (!r->out)
        return;
    fprintf(r->out, "    %s[%u]: host ", what, index);
    for (unsigned i = size; i-- > 0;)
        fprintf(r->out, "%02x", host[i]);
    fprintf(r->out, ", ours ");
    for (unsigned i = size; i-- > 0;)
        fprintf(r->out, "%02x", ours[i]);
    fprintf(r->out, "\n");
}

static void compare_fpu(struct report *r, const uint8_t *host, const uint8_t *ours)
{
    differ_bytes(r, "fcw", 0, host + FPU_FCW, ours + FPU_FCW, 2);
    differ_bytes(r, "fsw", 0, host + FPU_FSW, ours + FPU_FSW, 2);
    differ_bytes(r, "ftw", 0, host + FPU_FTW, ours + FPU_FTW, 1);
    differ_bytes(r, "mxcsr", 0, host + FPU_MXCSR, ours + FPU_MXCSR, 4);
    for (unsigned i = 0; i < 8; i++)
        differ_bytes(r, "st", i, host + FPU_ST + 16 * i, ours + FPU_ST + 16 * i, 10);
    for (unsigned i = 0; i < 16; i++)
        differ_bytes(r, "xmm", i, host + FPU_XMM + 16 * i, ours + FPU_XMM + 16 * i, 16);
    for (unsigned i = 0; i < 16; i++)
        differ_bytes(r, "ymm high", i, host + FPU_YMM + 16 * i, ours + FPU_YMM + 16 * i, 16);
    if (!guest_has_avx512())
        return;
    for (unsigned i = 0; i < 8; i++)
        differ_bytes(r, "k", i, host + FPU_OPMASK + 8 * i, ours + FPU_OPMASK + 8 * i, 8);
    for (unsigned i = 0; i < 16; i++)
        differ_bytes(r, "zmm high", i, host + FPU_ZMM_HIGH + 32 * i, ours + FPU_ZMM_HIGH + 32 * i,
                     32);
    for (unsigned i = 0; i < 16; i++)
        differ_bytes(r, "zmm", 16 + i, host + FPU_ZMM16 + 64 * i, ours + FPU_ZMM16 + 64 * i, 64);
}

/* The RPL of a null selector does not survive the host kernel's interrupts. [SDM 2A "IRET"] */
static void compare_selector(struct report *r, const char *what, uint16_t host, uint16_t ours)
{
    if (host != ours && ((host | ours) & ~3))
        differ(r, what, 0, host, ours);
}

static void compare(struct report *r, const struct test_case *t, const struct outcome *host,
                    const struct outcome *ours)
{
    const uint64_t gpr_mask = host->state.cs == SEL_CODE64 ? ~0ull : 0xffffffff;
    const struct known_differences known = known_differences(t, host);
    const uint64_t flags = COMPARED_FLAGS & ~known.flags;

    if (host->vector != ours->vector)
        differ(r, "vector", 0, (uint64_t)host->vector, (uint64_t)ours->vector);
    else if ((host->error ^ ours->error) & ~known.error)
        differ(r, "error code", 0, host->error, ours->error);
    if ((host->cr2 ^ ours->cr2) & ~known.cr2)
        differ(r, "cr2", 0, host->cr2, ours->cr2);
    for (unsigned i = 0; i < (t->mode == CODE64 ? 16 : 8); i++)
        if ((host->state.gpr[i] ^ ours->state.gpr[i]) & gpr_mask)
            differ(r, gpr_names[i], i, host->state.gpr[i], ours->state.gpr[i]);
    if ((host->state.rip ^ ours->state.rip) & gpr_mask)
        differ(r, "rip", 0, host->state.rip, ours->state.rip);
    if ((host->state.rflags ^ ours->state.rflags) & flags)
        differ(r, "flags", 0, host->state.rflags & flags, ours->state.rflags & flags);
    if (host->state.cs != ours->state.cs)
        differ(r, "cs", 0, host->state.cs, ours->state.cs);
    compare_selector(r, "ds", host->state.ds, ours->state.ds);
    compare_selector(r, "es", host->state.es, ours->state.es);
    compare_selector(r, "ss", host->state.ss, ours->state.ss);
    if (!known.fpu)
        compare_fpu(r, host->state.fpu, ours->state.fpu);
}

static void compare_memory(struct report *r, const struct test_case *t, const struct outcome *out)
{
    uint8_t *host = host_data() + t->window, *ours = guest_data() + t->window;
    struct cpu *cpu = guest_cpu();
    uint32_t at;

    if (t->in.has_mem && !t->in.vsib) {
        /* The operand's place in the window, from the registers before the run. */
        memcpy(cpu->gpr, t->state.gpr, sizeof cpu->gpr);
        cpu->rip = t->state.rip + t->in.length;
        at = (uint32_t)(operand_offset(cpu, &t->in) - (t->based ? 0 : DATA_BASE)) - t->window;
        if (at < WINDOW_SIZE) {
            known_blank(t, host + at, WINDOW_SIZE - at);
            known_blank(t, ours + at, WINDOW_SIZE - at);
        }
    }
    if (known_differences(t, out).memory)
        memcpy(ours, host, WINDOW_SIZE);
    if (memcmp(host, ours, WINDOW_SIZE) == 0)
        return;
    for (unsigned i = 0, shown = 0; i < WINDOW_SIZE; i++) {
        if (host[i] == ours[i])
            continue;
        if (shown++ < 8)
            differ(r, "memory", t->window + i, host[i], ours[i]);
        ours[i] = host[i]; /* start the next test from equal memories */
    }
}

static void show_case(const struct test_case *t, const struct outcome *host)
{
    printf("FAIL %s (%u-bit%s):", insn_row(&t->in)->mnemonic, t->mode * 8,
           t->based ? ", based segments" : "");
    for (unsigned i = 0; i < t->in.length; i++)
        printf(" %02x", t->bytes[i]);
    printf("  host: vector %d\n   ", host->vector);
    for (unsigned i = 0; i < (t->mode == CODE64 ? 16 : 8); i++)
        printf(" %s=%" PRIx64, gpr_names[i], t->state.gpr[i]);
    printf(" flags=%" PRIx64 "\n", t->state.rflags);
}

static bool run_one(struct test_case *t, engine_fn engine, bool show, struct totals *totals)
{
    struct outcome host, ours;
    struct report quiet = {0}, loud = {.out = stdout};

    memcpy(host_data() + t->window, t->memory, WINDOW_SIZE);
    memcpy(guest_data() + t->window, t->memory, WINDOW_SIZE);
    host_run(t, &host);
    guest_prepare(t);
    engine(guest_cpu(), t, &ours);
    totals->runs++;
    totals->faults += host.vector != NO_VECTOR;
    compare(&quiet, t, &host, &ours);
    if (quiet.differences && show) {
        show_case(t, &host);
        compare(&loud, t, &host, &ours);
        compare_memory(&loud, t, &host);
        return false;
    }
    loud.out = show ? stdout : NULL;
    loud.differences = 0;
    compare_memory(&loud, t, &host);
    if (loud.differences && show)
        show_case(t, &host);
    return !quiet.differences && !loud.differences;
}

/* A CS override sees what follows the instruction, which is not the same in translated tests. */
static bool reads_code(const struct test_case *t)
{
    return t->in.has_mem && t->in.seg == CS && t->mode != CODE64;
}

/* Returns the number of failures. */
static unsigned run_row(const struct options *options, unsigned row, enum code_size mode,
                        engine_fn engine, struct totals *totals)
{
    struct test_case t = {.row = row, .mode = mode};
    unsigned failures = 0, runs = 0;

    while (runs < options->states) {
        if (!generate_encoding(&t))
            return failures;
        if (known_encoding_skipped(&t) || (options->translate && reads_code(&t))) {
            runs += STATES_PER_ENCODING;
            continue;
        }
        host_load_code(&t);
        guest_load_code(&t, options->translate);
        for (unsigned i = 0; i < STATES_PER_ENCODING; i++, runs++) {
            generate_state(&t);
            if (known_state_skipped(&t))
                continue;
            if (!run_one(&t, engine, failures < SHOWN_PER_ROW, totals))
                failures++;
        }
    }
    totals->rows++;
    totals->reached[row] = true;
    return failures;
}

static bool parse(int argc, char **argv, struct options *options)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;

        if (!strcmp(argv[i], "--list")) {
            options->list = true;
            continue;
        }
        if (!value)
            return false;
        if (!strcmp(argv[i], "--states"))
            options->states = (unsigned)strtoul(value, NULL, 0);
        else if (!strcmp(argv[i], "--seed"))
            options->seed = strtoull(value, NULL, 0);
        else if (!strcmp(argv[i], "--row"))
            options->row = value;
        else if (!strcmp(argv[i], "--engine") &&
                 (!strcmp(value, "interpret") || !strcmp(value, "translate") ||
                  !strcmp(value, "window"))) {
            options->translate = value[0] != 'i';
            options->window = value[0] == 'w';
        }
        else if (!strcmp(argv[i], "--mode"))
            options->mode = (unsigned)strtoul(value, NULL, 0) / 8;
        else
            return false;
        i++;
    }
    return true;
}

int main(int argc, char **argv)
{
    static const enum code_size modes[] = {CODE64, CODE32, CODE16};
    struct options options = {.states = DEFAULT_STATES, .seed = 1};
    struct host_support support = {0};
    struct totals totals = {0};

    if (!parse(argc, argv, &options)) {
        fprintf(stderr, "usage: oracle [--engine interpret|translate|window] "
                        "[--states N] [--seed N] "
                        "[--row MNEMONIC] [--mode 16|32|64] "
                        "[--list]\n");
        return 1;
    }
    if (host_init(&support) < 0 || guest_init() < 0 || 
        (options.translate && translated_init(options.window) < 0))
        return SKIPPED;
    totals.reached = calloc(insn_row_count, sizeof *totals.reached);
    if (!totals.reached)
        return 1;
    setvbuf(stdout, NULL, _IOLBF, 0);
    generate_init(options.seed);
    for (unsigned m = 0; m < 3; m++) {
        if (options.mode && options.mode != modes[m])
            continue;
        if (modes[m] == CODE16 && !support.ldt) {
            printf("SKIP 16-bit code: this host has no modify_ldt()\n");
            continue;
        }
        for (unsigned row = 0; row < insn_row_count; row++) {
            unsigned failures;

            if (options.row && strcmp(insn_rows[row].mnemonic, options.row))
                continue;
            if (known_skip(row)) {
                if (options.list && !m)
                    printf("not compared: %s (%s)\n", insn_rows[row].mnemonic, known_skip(row));
                continue;
            }
            failures = run_row(&options, row, modes[m],
                               options.translate ? run_translator : run_interpreter, &totals);
            if (failures) {
                printf("     %s, row %u, %u-bit: %u failures\n", insn_rows[row].mnemonic, row,
                       modes[m] * 8, failures);
                totals.failed_rows++;
            }
        }
    }
    const bool all = !options.row && !options.mode && !options.translate;

    /* Every row must have been generated somewhere, or nothing is said about it. */
    for (unsigned row = 0; row < insn_row_count && all; row++) {
        if (totals.reached[row] || known_skip(row))
            continue;
        printf("FAIL row %u (%s) was never generated\n", row, insn_rows[row].mnemonic);
        totals.failed_rows++;
    }
    if (all)
        totals.failed_rows += validity_run(options.seed, VALIDITY_ENCODINGS) != 0;
    printf("oracle: seed %" PRIu64 ": %u row/mode pairs, %" PRIu64 " states (%" PRIu64
           " faulted), %u pairs failed\n",
           options.seed, totals.rows, totals.runs, totals.faults, totals.failed_rows);
    if (options.translate && options.list)
        translated_print_stats();
    if (options.translate)
        translated_destroy();
    guest_destroy();
    free(totals.reached);
    return totals.failed_rows ? 1 : 0;
}
