/*
 * tests/fuzz/fuzz_machine.c -- random guest programs, interpreted and translated: registers, flags
 * and memory agree, and nothing that a guest does ends the host process.
 *
 *   fuzz_machine [-t seconds] [-s seed] [-n count] [-e engine] [-g] [-k] [-c case]
 *
 * Program number i has seed s + i; each is interpreted to its end (HLT, shutdown or BUDGET
 * instructions), then run
 *   step        instruction by instruction, without the interpreter's decoded blocks
 *   translated  with the default options; no_chain; no_retcache; with windows; and with the
 * smallest cache, which fills up counted     in stretches, compared with an interpreter after each
 *   interrupted with INTR rising at any time: only has to survive
 * The machines are kept from program to program, as translations are in life.  A program that
 * differs is tried again in fresh ones and, if it differs there too, shrunk: instructions become
 * NOPs as long as it still fails.  -e: this engine only (2 translated ... 7 no_retcache); -g:
 * garbage code and tables only, nothing but survival; -k: go on after a failure; -c: only
 * this program, made by hand, that was once taken for a difference.  FUZZ_LOG=1 in the environment
 * lists the translated blocks.
 */
#define _GNU_SOURCE
#include <capstone/capstone.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "cpu/cpuid.h"
#include "cpu/interp.h"
#include "cpu/mmu.h"
#include "cpu/physmem.h"
#include "loader/compare.h"
#include "tests/fuzz/program.h"
#include "tests/insn_gen.h"
#include "translator/translator.h"

enum { BUDGET = 3000, HANG_MS = 1000, SKIP_MS = 150, HANG_SECONDS = 20 };
/* Nested faults retire nothing: as many as a 64 KiB stack has room for, of 6 bytes in real mode. */
enum { CATCH_UP_STEPS = 0x10000 / 6 + 1 };

enum engine {
    INTERPRETED,
    STEPPED,
    TRANSLATED,
    NO_CHAIN,
    SMALL,
    COUNTED,
    WINDOWED,
    UNGUESSED,
    NO_RETCACHE,
    ENGINES
};
static const char *const engine_names[ENGINES] = {"interpreted", "stepped",     "translated",
                                                  "no_chain",    "small cache", "counted",
                                                  "windows",     "no guess",
                                                  "no_retcache"};

struct machine {
    struct physmem *mem;
    struct cpu_model model;
    struct cpu *cpu;
    struct translator *tr;
    uint64_t tsc, io_sum, mmio_sum;
    bool remapped;
};

/* What the signal handler needs. */
static struct {
    struct machine *volatile running;
    volatile sig_atomic_t alarmed, interrupting;
    uint64_t seed;
    time_t since;
    const char *volatile what;
} now;

/* ---- the machine ---- */

static void remap(struct machine *m, bool other)
{
    if (m->remapped == other)
        return;
    m->remapped = other;
    (void)physmem_map(m->mem, 0x9000, 0x1000, other ? 0x15000 : 0x9000, true);
}

static uint32_t io_read(void *ctx, uint16_t port, unsigned size)
{
    (void)ctx;
    return (uint32_t)(port * 0x01010101u >> (32 - 8 * size));
}
static void io_write(void *ctx, uint16_t port, unsigned size, uint32_t value)
{
    struct machine *m = ctx;

    m->io_sum = m->io_sum * 31 + port + size * 0x10000 + value;
    if (port == PORT_REMAP && size == 1)
        remap(m, value & 1);
}
static uint64_t tsc(void *ctx)
{
    return ((struct machine *)ctx)->tsc += 100;
}
static void shut_down(void *ctx)
{
    (void)ctx;
}
static int acknowledge(void *ctx)
{
    struct machine *m = ctx;

    m->cpu->intr = false;
    return 0x30 + (int)(m->tsc % 8);
}
static uint8_t tpr_read(void *ctx)
{
    (void)ctx;
    return 0;
}
static void tpr_write(void *ctx, uint8_t tpr)
{
    (void)ctx, (void)tpr;
}
static bool msr_read(void *ctx, uint32_t msr, uint64_t *value)
{
    (void)ctx, (void)msr, (void)value;
    return false;
}
static bool msr_write(void *ctx, uint32_t msr, uint64_t value)
{
    (void)ctx, (void)msr, (void)value;
    return false;
}
static void ferr(void *ctx)
{
    (void)ctx;
}
static const struct cpu_ops cpu_ops = {
    .io_read = io_read,
    .io_write = io_write,
    .interrupt_acknowledge = acknowledge,
    .tsc = tsc,
    .msr_read = msr_read,
    .msr_write = msr_write,
    .tpr_read = tpr_read,
    .tpr_write = tpr_write,
    .shutdown = shut_down,
    .ferr = ferr,
};

static uint64_t mmio_read(void *ctx, uint64_t offset, unsigned size)
{
    struct machine *m = ctx;

    m->mmio_sum = m->mmio_sum * 33 + offset + size;
    return offset * 0x0101010101010101ull;
}
static void mmio_write(void *ctx, uint64_t offset, unsigned size, uint64_t value)
{
    struct machine *m = ctx;

    m->mmio_sum = m->mmio_sum * 37 + offset + size + value;
}
static const struct mmio_ops mmio = {mmio_read, mmio_write};

/* No random numbers from the host, which are not the same twice: a program comes to RDRAND by a
 * store, or a jump, into another instruction, too. */
static const char model_name[] = "max,-rdrand,-rdseed";

static void machine_open(struct machine *m, enum engine engine)
{
    const struct translator_options options = {
        .no_chain = engine == NO_CHAIN,
        .counted = engine == COUNTED,
        .eager_window = engine == WINDOWED || engine == UNGUESSED,
        .no_guess = engine == UNGUESSED,
        .eager_superblock = engine == COUNTED || engine == NO_RETCACHE,
        .eager_path = engine == SMALL || engine == WINDOWED,
        .eager_smc = engine == NO_CHAIN || engine == WINDOWED,
        .no_retcache = engine == NO_RETCACHE,
        .no_loop = engine == SMALL || engine == WINDOWED,
        .log_in_asm = getenv("FUZZ_LOG") != NULL,
        .log_out_asm = getenv("FUZZ_LOG") != NULL,
        .cache_bytes = engine == SMALL ? 1 : 16 << 20,
    };
    char message[512];

    memset(m, 0, sizeof(*m));
    m->mem = physmem_create(WORLD_RAM, 36);
    if (m->mem == NULL ||
        !cpu_model_parse(model_name, 1000000000, &m->model, message, sizeof(message)))
        abort();
    m->cpu = cpu_create(m->mem, &m->model, &cpu_ops, m);
    if (m->cpu == NULL || physmem_map(m->mem, 0, WORLD_RAM, 0, true) != 0 ||
        physmem_map_mmio(m->mem, WORLD_MMIO, 0x1000, &mmio, m) != 0 ||
        physmem_map(m->mem, WORLD_ROM, 0x1000, WORLD_ROM, false) != 0)
        abort();
    if (engine >= TRANSLATED) {
        m->tr = translator_create(m->mem, &options);
        if (m->tr == NULL || translator_attach(m->tr, m->cpu) != 0)
            abort();
    }
}

static void machine_close(struct machine *m)
{
    if (m->cpu == NULL)
        return;
    translator_destroy(m->tr);
    cpu_destroy(m->cpu);
    physmem_destroy(m->mem);
    memset(m, 0, sizeof(*m));
}

static void machine_load(struct machine *m, const struct program *p)
{
    static uint8_t image[WORLD_RAM];
    struct cpu *cpu = m->cpu;

    remap(m, false);
    cpu_reset(cpu);
    program_image(p, image);
    physmem_write_bytes(m->mem, 0, image, WORLD_RAM);
    memcpy(physmem_backing(m->mem, WORLD_ROM), image + WORLD_ROM, 0x1000);
    memcpy(physmem_backing(m->mem, WORLD_MMIO), image + WORLD_MMIO, 0x1000);
    /* ROM is not expected to change under a translation. */
    (void)physmem_map(m->mem, WORLD_ROM, 0x1000, WORLD_ROM, false);
    program_registers(p, cpu);
    cpu->icount = 0;
    cpu->code_written = false;
    cpu->exit_request = 0;
    m->tsc = m->io_sum = m->mmio_sum = 0;
}

/* ---- comparing ---- */

/* m against the reference; out: describe. */
static bool registers_agree(struct machine *m, struct machine *ref, FILE *out)
{
    return compare_cpus(m->cpu, ref->cpu, false, out, "is", "expected");
}

/* Accessed bits may be set by fetches that come to nothing. [SDM 3A 4.8] */
static bool only_accessed_bits(const uint8_t *x, const uint8_t *y)
{
    enum { TABLES = 0x20000, TABLES_END = 0x34000, ACCESSED = 0x20 };

    for (unsigned at = 0; at < WORLD_RAM; at++) {
        const bool table = at >= TABLES && at < TABLES_END;

        if ((x[at] ^ y[at]) & ~(table ? ACCESSED : 0))
            return false;
    }
    return true;
}

static bool memory_agrees(struct machine *m, struct machine *ref, FILE *out)
{
    const uint8_t *x = physmem_backing(m->mem, 0), *y = physmem_backing(ref->mem, 0);
    bool same = true;
    unsigned shown = 0;

    if (m->io_sum != ref->io_sum || m->mmio_sum != ref->mmio_sum) {
        same = false;
        if (out != NULL)
            fprintf(out, "  device accesses differ: io %d mmio %d\n", m->io_sum != ref->io_sum,
                    m->mmio_sum != ref->mmio_sum);
    }
    if (memcmp(x, y, WORLD_RAM) == 0 || only_accessed_bits(x, y))
        return same;
    for (unsigned at = 0; out != NULL && at < WORLD_RAM && shown < 12; at++) {
        if (x[at] != y[at] && shown++ < 12)
            fprintf(out, "  memory %05x: %02x, expected %02x\n", at, x[at], y[at]);
    }
    return false;
}

/* ---- running ---- */

static void on_alarm(int sig)
{
    struct machine *m = now.running;

    (void)sig;
    if (m == NULL)
        return;
    if (now.interrupting) {
        if (--now.interrupting > 0) {
            cpu_set_intr(m->cpu, true);
            return;
        }
    }
    now.alarmed = 1;
    if (time(NULL) - now.since > HANG_SECONDS) {
        char text[200];
        const int n = snprintf(text, sizeof(text), "fuzz_machine: seed %llu: %s: hangs\n",
                               (unsigned long long)now.seed, now.what);

        (void)!write(2, text, (size_t)n);
        abort();
    }
    cpu_kick(m->cpu);
}

/* By the process's own time, so that a busy machine makes no program look as if it hung; interrupts
 * come by the clock, which is finer. */
static const int timers[] = {ITIMER_PROF, ITIMER_REAL};

static void timer_start(struct machine *m, long first_us, long then_us)
{
    const struct itimerval timer = {
        .it_value = {first_us / 1000000, first_us % 1000000},
        .it_interval = {then_us / 1000000, then_us % 1000000},
    };

    now.alarmed = 0;
    now.since = time(NULL);
    now.running = m;
    setitimer(timers[now.interrupting != 0], &timer, NULL);
}

static void timer_stop(void)
{
    const struct itimerval timer = {{0, 0}, {0, 0}};

    for (unsigned i = 0; i < sizeof(timers) / sizeof(timers[0]); i++)
        setitimer(timers[i], &timer, NULL);
    now.running = NULL;
    now.interrupting = 0;
}

/* Kicks that are not the alarm's (a rising INTR) are only seen and forgotten. */
static enum run_exit run(struct machine *m, uint64_t insns)
{
    const uint64_t end = insns == UINT64_MAX ? insns : m->cpu->icount + insns;
    enum run_exit result;

    for (;;) {
        const uint64_t left = end == UINT64_MAX ? end : end - m->cpu->icount;

        result = m->tr != NULL ? translator_run(m->tr, m->cpu, left) : interp_run(m->cpu, left);
        if (result != RUN_EXIT || now.alarmed)
            return result;
        m->cpu->exit_request = 0;
    }
}

static bool ended(const struct cpu *cpu)
{
    return cpu->halted || cpu->shutdown;
}

static void run_stepped(struct machine *m, uint64_t icount)
{
    struct cpu *cpu = m->cpu;

    while (!ended(cpu) && cpu->icount < icount && !now.alarmed)
        (void)interp_step(cpu);
}

/* The bytes at CS:rip, as far as they are mapped, and where they are in guest-physical memory. */
struct code_bytes {
    uint8_t bytes[INSN_MAX_LENGTH];
    physaddr_t phys[INSN_MAX_LENGTH];
    unsigned count;
};

static void peek_code(struct cpu *cpu, struct code_bytes *code)
{
    const uint64_t linear = cpu->seg[CS].base + cpu->rip;

    for (code->count = 0; code->count < INSN_MAX_LENGTH; code->count++) {
        const unsigned i = code->count;
        const uint64_t at = cpu_is_code64(cpu) ? linear + i : (uint32_t)(linear + i);

        if (!mmu_peek(cpu, at, &code->phys[i]))
            return;
        physmem_read_bytes(cpu->mem, code->phys[i], &code->bytes[i], 1);
    }
}

/* Is it a REP?  Its length, or 0. */
static unsigned rep_length(const struct cpu *cpu, const struct code_bytes *code)
{
    const enum code_size size = cpu_is_code64(cpu)        ? CODE64
                                : cpu->mode & MODE_CODE32 ? CODE32
                                                          : CODE16;
    struct insn in;

    if (decode(code->bytes, code->count, size, &in) != DECODE_OK ||
        !(insn_row(&in)->traits & STRING) || !(in.prefixes & (PREFIX_REP | PREFIX_REPNE)))
        return 0;
    return in.length;
}

/* Is a REP the next instruction? */
static bool at_rep(struct cpu *cpu)
{
    struct code_bytes code;

    peek_code(cpu, &code);
    return rep_length(cpu, &code) > 0;
}

/* The leader may have stopped behind a fault or part of a REP, which retire nothing: the follower
 * goes on while nothing retires. */
static bool follow(struct machine *leader, struct machine *follower)
{
    const uint64_t icount = follower->cpu->icount;

    for (unsigned i = 0; i < CATCH_UP_STEPS && follower->cpu->icount == icount; i++) {
        if (registers_agree(leader, follower, NULL))
            return true;
        if (ended(follower->cpu))
            return false;
        (void)interp_step(follower->cpu);
    }
    return false;
}

/* A REP that has stopped the leader, at a byte with translated code, the follower may do in one
 * step: then the leader has to end it first. */
static bool catch_up(struct machine *leader, struct machine *follower)
{
    enum { REPS = 8 }; /* the leader may come to rest in the next one */
    struct cpu *ahead = leader->cpu, *behind = follower->cpu;

    for (unsigned i = 0; i < REPS; i++) {
        const uint64_t icount = behind->icount;

        if (follow(leader, follower))
            return true;
        if (behind->icount == icount || !at_rep(ahead))
            return false;
        while (ahead->icount < behind->icount && !ended(ahead) && !now.alarmed)
            (void)run(leader, 1);
        if (ahead->icount > behind->icount)
            (void)interp_run(behind, ahead->icount - behind->icount);
    }
    return follow(leader, follower);
}

/* In stretches, compared after each.  The follower is the stepped machine, made new. */
static bool run_counted(struct machine *m, struct machine *follower, const struct program *p,
                        FILE *out)
{
    uint64_t random = p->random | 1;

    machine_load(follower, p);
    timer_start(m, HANG_MS * 1000, 100000);
    while (m->cpu->icount < BUDGET && !ended(m->cpu) && !now.alarmed) {
        const uint64_t before = m->cpu->icount, stretch = 1 + insn_gen_random(&random) % 100;

        (void)run(m, insn_gen_random(&random) % 3 ? stretch : 1);
        if (m->cpu->icount == before && !ended(m->cpu))
            break; /* nothing but faults until the alarm */
        (void)interp_run(follower->cpu, m->cpu->icount - follower->cpu->icount);
        if (catch_up(m, follower) && memory_agrees(m, follower, NULL))
            continue;
        if (now.alarmed)
            break; /* in a REP that would take for ever: they are not at the same place in it */
        timer_stop();
        if (out != NULL) {
            machine_load(follower, p);
            (void)interp_run(follower->cpu, m->cpu->icount);
            for (unsigned i = 0; i < 64 && follower->cpu->rip != m->cpu->rip; i++) {
                if (ended(follower->cpu))
                    break;
                (void)interp_step(follower->cpu);
            }
            fprintf(out, "  between instructions %llu and %llu:\n", (unsigned long long)before,
                    (unsigned long long)m->cpu->icount);
            (void)registers_agree(m, follower, out);
            (void)memory_agrees(m, follower, out);
        }
        return false;
    }
    timer_stop();
    return true;
}

/* ---- a program ---- */

static uint64_t runs, skipped, budgets, insns_run;

/* Bit set of the engines to compare. */
static unsigned wanted = ~0u;

enum verdict { SAME, DIFFERENT, SKIPPED };

static void survive(struct machine *m, const struct program *p, unsigned interrupts)
{
    machine_load(m, p);
    now.interrupting = (sig_atomic_t)interrupts;
    timer_start(m, 40 + (long)(p->random % 100), 40);
    (void)run(m, UINT64_MAX);
    timer_stop();
    m->cpu->exit_request = 0;
}

static bool differs(struct machine ms[ENGINES], const struct program *p, enum engine engine,
                    bool at_budget, FILE *out)
{
    struct machine *m = &ms[engine], *ref = &ms[INTERPRETED];
    bool same;

    now.what = engine_names[engine];
    machine_load(m, p);
    if (engine == COUNTED)
        return !run_counted(m, &ms[STEPPED], p, out);
    if (at_budget && engine != STEPPED)
        return false;
    timer_start(m, HANG_MS * 1000, 100000);
    if (engine == STEPPED)
        run_stepped(m, at_budget ? ref->cpu->icount : UINT64_MAX);
    else
        (void)run(m, UINT64_MAX);
    if (now.alarmed) {
        timer_stop();
        if (out != NULL)
            fprintf(out, "  does not end\n");
        (void)registers_agree(m, ref, out);
        return true;
    }
    timer_stop();
    same = registers_agree(m, ref, out);
    return !memory_agrees(m, ref, out) || !same;
}

static bool has_tables(const struct program *p)
{
    return p->mode >= WORLD_PAGED_0 || p->mode == WORLD_V86;
}

/* Does CR3 name what no program has made tables of?  With global pages a program may go on. */
static bool cr3_is_strange(const struct cpu *cpu, const struct program *p)
{
    enum { TABLES = 0x20000, TABLES_END = 0x34000 };

    if (!has_tables(p))
        return cpu->cr3 != 0;
    return cpu->cr3 < TABLES || cpu->cr3 >= TABLES_END || cpu->cr3 & 0xfff;
}

/* Page tables that change without an invalidation, or that were never meant as such, may answer
 * either way: the program shows nothing.  Accessed and dirty bits aside. */
static bool tables_are_stale(const struct machine *ref, const struct program *p)
{
    enum { TABLES = 0x20000, TABLES_END = 0x34000, AD = 0x60 };
    static uint8_t image[WORLD_RAM];
    const uint8_t *now_at = physmem_backing(ref->mem, 0);

    if (cr3_is_strange(ref->cpu, p))
        return true;
    if (!has_tables(p))
        return false;
    program_image(p, image);
    for (unsigned at = TABLES; at < TABLES_END; at++)
        if ((now_at[at] ^ image[at]) & ~AD)
            return true;
    return false;
}

/* A REP that overwrites its own bytes goes on with the old ones for as long as it is not
 * interrupted, which is not the same in all engines.  It may be anywhere: a program that has lost
 * its way runs in its data.  Or CR3 is strange for a while. */
static bool goes_either_way(struct machine *m, const struct program *p)
{
    struct cpu *cpu = m->cpu;
    bool found = false;

    machine_load(m, p);
    timer_start(m, HANG_MS * 1000, 100000);
    while (!found && !ended(cpu) && cpu->icount < BUDGET && !now.alarmed) {
        struct code_bytes code;
        unsigned length;

        peek_code(cpu, &code);
        length = rep_length(cpu, &code);
        (void)interp_step(cpu);
        for (unsigned i = 0; i < length; i++) {
            uint8_t byte;

            physmem_read_bytes(m->mem, code.phys[i], &byte, 1);
            found |= byte != code.bytes[i];
        }
        found |= cr3_is_strange(cpu, p);
    }
    timer_stop();
    return found;
}

/* *engine: which one differs; out: say how. */
static enum verdict try(struct machine ms[ENGINES], const struct program *p, enum engine *engine,
                        FILE *out)
{
    struct machine *ref = &ms[INTERPRETED];
    bool at_budget;

    now.seed = p->seed;
    now.what = "interpreted";
    machine_load(ref, p);
    timer_start(ref, SKIP_MS * 1000, 100000);
    (void)run(ref, BUDGET);
    timer_stop();
    insns_run += ref->cpu->icount;
    runs++;
    /* ... or faults without end */
    if (now.alarmed || tables_are_stale(ref, p)) {
        skipped++;
        return SKIPPED;
    }
    at_budget = !ended(ref->cpu);
    budgets += at_budget;
    for (unsigned i = STEPPED; i < ENGINES; i++) {
        if (!(wanted >> i & 1) || !differs(ms, p, (enum engine)i, at_budget, out))
            continue;
        if (goes_either_way(&ms[STEPPED], p)) {
            skipped++;
            return SKIPPED;
        }
        *engine = (enum engine)i;
        return DIFFERENT;
    }
    return SAME;
}

static bool fails_fresh(const struct program *p, FILE *out)
{
    static struct machine ms[ENGINES];
    enum engine engine = INTERPRETED;
    bool fails;

    for (unsigned i = 0; i < ENGINES; i++)
        if (i <= STEPPED || (wanted >> i & 1))
            machine_open(&ms[i], (enum engine)i);
    fails = try(ms, p, &engine, NULL) == DIFFERENT;
    if (!fails && out == NULL) /* what is hot now was cold then */
        fails = try(ms, p, &engine, NULL) == DIFFERENT;
    if (out != NULL) {
        if (!fails)
            fails = try(ms, p, &engine, NULL) == DIFFERENT;
        if (fails) {
            fprintf(out, "%s differs:\n", engine_names[engine]);
            for (unsigned i = 0; i < ENGINES; i++) {
                machine_close(&ms[i]);
                if (i <= STEPPED || (wanted >> i & 1))
                    machine_open(&ms[i], (enum engine)i);
            }
            if (try(ms, p, &engine, out) != DIFFERENT)
                (void)try(ms, p, &engine, out);
        }
    }
    for (unsigned i = 0; i < ENGINES; i++)
        machine_close(&ms[i]);
    return fails;
}

static void make_nop(struct item *item)
{
    memset(item->bytes, 0x90, item->length);
}

static void shrink(struct program *p)
{
    for (unsigned chunk = p->count / 2; chunk > 0; chunk /= 2) {
        for (unsigned from = 0; from < p->count; from += chunk) {
            const struct program before = *p;

            for (unsigned i = from; i < from + chunk && i < p->count; i++)
                make_nop(&p->items[i]);
            if (memcmp(&before, p, sizeof(before)) != 0 && !fails_fresh(p, NULL))
                *p = before;
        }
    }
}

static void list(const struct program *p)
{
    const enum code_size size = program_code_size(p);
    const cs_mode mode = size == CODE64 ? CS_MODE_64 : size == CODE32 ? CS_MODE_32 : CS_MODE_16;
    csh handle;

    if (cs_open(CS_ARCH_X86, mode, &handle) != CS_ERR_OK)
        return;
    for (unsigned i = 0; i < p->count; i++) {
        const struct item *item = &p->items[i];
        unsigned nops = 0;
        cs_insn *insn;

        while (nops < item->length && item->bytes[nops] == 0x90)
            nops++;
        if (nops == item->length)
            continue;
        fprintf(stderr, "  %04x ", item->at);
        for (unsigned k = 0; k < item->length; k++)
            fprintf(stderr, "%02x", item->bytes[k]);
        if (cs_disasm(handle, item->bytes, item->length, item->at, 1, &insn) == 1) {
            fprintf(stderr, "  %s %s", insn->mnemonic, insn->op_str);
            cs_free(insn, 1);
        }
        fprintf(stderr, "\n");
    }
    cs_close(&handle);
}

static void report(struct program *p, enum engine engine)
{
    const unsigned all = wanted;

    fprintf(stderr, "fuzz_machine: seed %llu (%s): %s and interpreted differ\n",
            (unsigned long long)p->seed, world_names[p->mode], engine_names[engine]);
    wanted = 1u << engine;
    if (!fails_fresh(p, NULL)) {
        wanted = all;
        fprintf(stderr, "not in fresh machines: needs the programs before it\n");
        return;
    }
    shrink(p);
    (void)fails_fresh(p, stderr);
    list(p);
    wanted = all;
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static const struct made_case {
    const char *name;
    void (*make)(struct program *p);
    unsigned skipped; /* programs: 0 if it has to be compared, 1 if it cannot be */
} made_cases[] = {
    {"stored_rdrand", program_make_stored_random, 0},
    {"rep_over_itself_in_data", program_make_rep_in_data, 1},
    {"stack_of_faults", program_make_stack_of_faults, 0},
};

static const struct made_case *find_case(const char *name)
{
    for (unsigned i = 0; i < sizeof(made_cases) / sizeof(made_cases[0]); i++)
        if (strcmp(made_cases[i].name, name) == 0)
            return &made_cases[i];
    return NULL;
}

int main(int argc, char **argv)
{
    static struct machine ms[ENGINES];
    static struct program p;
    const struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART | SA_ONSTACK};
    double limit = 6, start;
    uint64_t first = 1, count = UINT64_MAX, failures = 0, i;
    bool garbage_only = false, keep_going = false;
    const struct made_case *made = NULL;
    int option;

    while ((option = getopt(argc, argv, "t:s:n:e:gkc:")) != -1) {
        switch (option) {
        case 't':
            limit = atof(optarg);
            break;
        case 's':
            first = strtoull(optarg, NULL, 0);
            break;
        case 'n':
            count = strtoull(optarg, NULL, 0);
            break;
        case 'e':
            wanted = 1u << atoi(optarg);
            break;
        case 'g':
            garbage_only = true;
            break;
        case 'k':
            keep_going = true;
            break;
        case 'c':
            made = find_case(optarg);
            if (made == NULL) {
                fprintf(stderr, "fuzz_machine: no such case: %s\n", optarg);
                return 2;
            }
            count = 1;
            break;
        default:
            fprintf(
                stderr,
                "fuzz_machine [-t seconds] [-s seed] [-n count] [-e engine] [-g] [-k] [-c case]\n");
            return 2;
        }
    }
    sigaction(SIGALRM, &action, NULL);
    sigaction(SIGPROF, &action, NULL);
    for (i = 0; i < ENGINES; i++)
        machine_open(&ms[i], (enum engine)i);
    start = seconds();
    for (i = 0; i < count && (seconds() - start < limit || count != UINT64_MAX); i++) {
        const bool garbage = garbage_only || i % 8 == 7;
        enum engine engine;

        if (made != NULL)
            made->make(&p);
        else
            program_make(&p, first + i, garbage);
        if (!garbage && try(ms, &p, &engine, NULL) == DIFFERENT) {
            fprintf(stderr, "in the machines as they are:\n");
            if (try(ms, &p, &engine, stderr) != DIFFERENT)
                fprintf(stderr, "not again\n");
            report(&p, engine);
            failures++;
            for (unsigned k = 0; k < ENGINES; k++) {
                machine_close(&ms[k]);
                machine_open(&ms[k], (enum engine)k);
            }
            if (!keep_going)
                break;
        }
        if (garbage || i % 4 == 0) {
            now.seed = p.seed;
            now.what = "survival";
            survive(&ms[i % 3 == 0 ? SMALL : TRANSLATED], &p, garbage ? 5 : 20);
            if (i % 16 == 7)
                survive(&ms[INTERPRETED], &p, 5);
        }
    }
    printf(
        "%llu programs, %llu compared, %llu skipped, %llu at the budget, %.0f instructions each, "
        "%llu failures\n",
        (unsigned long long)i, (unsigned long long)runs, (unsigned long long)skipped,
        (unsigned long long)budgets, runs ? (double)insns_run / (double)runs : 0.0,
        (unsigned long long)failures);
    for (i = 0; i < ENGINES; i++)
        machine_close(&ms[i]);
    return failures != 0 || (made != NULL && skipped != made->skipped);
}
