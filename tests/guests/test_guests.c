/*
 * tests/guests/test_guests.c -- runs guest programs (the .asm files here) on a bare CPU: in the
 * interpreter and in the translator with several settings.  Each run must end with a pass, and all
 * must leave the same exception log.
 *
 *   test_guests IMAGE...
 *
 * GUEST_STATS=1 in the environment prints the translator's counters after each run.
 *
 * A program with "_amd" in its name gets a CPU of that vendor (the model qemu64), others Intel's.
 *
 * The surroundings of the program (ports, addresses) are described in tests/guests/common.inc.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "cpu/cpuid.h"
#include "cpu/interp.h"
#include "cpu/physmem.h"
#include "cpu/segment.h"
#include "translator/translator.h"

enum {
    MEMORY = 16 << 20,
    LOAD_AT = 0x8000,
    IMAGE_MAX = 0x28000,
    EX_VECTOR = 0x1004,
    EX_EIP = 0x100c,
    LX_VECTOR = 0x1208, /* long.inc's */
    LX_RIP = 0x1218,
    LOG_WIDE = 0x17f8, /* not 0: records of long mode */
    LOG_AT = 0x70000,
    LOG_BYTES = 0x10000,
    PORT_TEXT = 0xe9,
    PORT_END = 0xf4,
    PORT_EVENT = 0xf5,
    SECONDS = 60, /* a program takes milliseconds */
};

struct guest {
    struct physmem *mem;
    struct cpu *cpu;
    struct cpu_model model;
    struct translator *tr;
    char text[4096];
    size_t text_length;
    bool ended, shutdown_wanted, shut_down;
    uint32_t result;
    uint8_t tpr;
    int vector; /* of the interrupt that is pending, or -1 */
    pthread_t timer;
    bool timer_running;
    uint32_t timer_us;
};

/* ---- the machine around the CPU ---- */

/* An interrupt pin that rises after a while, from another thread. */
static void *timer_run(void *ctx)
{
    struct guest *g = ctx;
    const struct timespec delay = {.tv_nsec = (long)g->timer_us * 1000};

    nanosleep(&delay, NULL);
    cpu_set_intr(g->cpu, true);
    return NULL;
}

static void timer_join(struct guest *g)
{
    if (g->timer_running)
        pthread_join(g->timer, NULL);
    g->timer_running = false;
}

static void event_write(struct guest *g, uint32_t value)
{
    if (value == 0) {
        g->shutdown_wanted = true;
        return;
    }
    timer_join(g);
    g->vector = value & 0xff;
    g->timer_us = value >> 8;
    if (g->timer_us == 0)
        cpu_set_intr(g->cpu, true);
    else
        g->timer_running = pthread_create(&g->timer, NULL, timer_run, g) == 0;
}

static uint32_t io_read(void *ctx, uint16_t port, unsigned size)
{
    (void)ctx;
    /* Something that depends on the port and the size. */
    return (uint32_t)port * 0x01010101u & (size == 4 ? ~0u : (1u << size * 8) - 1);
}

static void io_write(void *ctx, uint16_t port, unsigned size, uint32_t value)
{
    struct guest *g = ctx;

    (void)size;
    switch (port) {
    case PORT_TEXT:
        if (g->text_length + 1 < sizeof(g->text))
            g->text[g->text_length++] = (char)value;
        break;
    case PORT_END:
        g->ended = true;
        g->result = value;
        cpu_kick(g->cpu);
        break;
    case PORT_EVENT:
        event_write(g, value);
        break;
    default:
        break;
    }
}

static int interrupt_acknowledge(void *ctx)
{
    struct guest *g = ctx;
    const int vector = g->vector;

    g->vector = -1;
    cpu_set_intr(g->cpu, false);
    return vector;
}

static uint64_t tsc(void *ctx)
{
    (void)ctx;
    return 0;
}

static bool msr_read(void *ctx, uint32_t msr, uint64_t *value)
{
    (void)ctx;
    (void)msr;
    (void)value;
    return false;
}

static bool msr_write(void *ctx, uint32_t msr, uint64_t value)
{
    (void)ctx;
    (void)msr;
    (void)value;
    return false;
}

static uint8_t tpr_read(void *ctx)
{
    const struct guest *g = ctx;

    return g->tpr;
}

static void tpr_write(void *ctx, uint8_t value)
{
    struct guest *g = ctx;

    g->tpr = value;
}

static void on_shutdown(void *ctx)
{
    struct guest *g = ctx;

    g->shut_down = true;
}

static void on_ferr(void *ctx)
{
    (void)ctx;
}

static const struct cpu_ops ops = {
    .io_read = io_read,
    .io_write = io_write,
    .interrupt_acknowledge = interrupt_acknowledge,
    .tsc = tsc,
    .msr_read = msr_read,
    .msr_write = msr_write,
    .tpr_read = tpr_read,
    .tpr_write = tpr_write,
    .shutdown = on_shutdown,
    .ferr = on_ferr,
};

/* ---- a watchdog, so that a hang is a failure that says where ---- */

static struct cpu *volatile watched;
static volatile sig_atomic_t barks;

static void on_alarm(int signal_number)
{
    static const char text[] = "the CPU does not leave its run loop\n";

    (void)signal_number;
    if (barks++ > 0 || watched == NULL) {
        (void)!write(STDERR_FILENO, text, sizeof(text) - 1);
        _exit(1);
    }
    cpu_kick(watched);
    alarm(5);
}

static void watch(struct cpu *cpu)
{
    /* Generated code's stack is not for handlers. */
    const struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_ONSTACK};

    watched = cpu;
    if (cpu != NULL)
        barks = 0;
    sigaction(SIGALRM, &action, NULL);
    alarm(cpu != NULL ? SECONDS : 0);
}

/* ---- engines ---- */

struct engine {
    const char *name;
    bool translate;
    struct translator_options options;
};

static const struct engine engines[] = {
    {"interpret", false, {0}},
    {"translate", true, {0}},
    {"translate, no chains", true, {.no_chain = true}},
    {"translate, no return prediction", true, {.no_retcache = true}},
    {"translate, no BMI2", true, {.no_bmi2 = true}},
    {"translate, no groups", true, {.no_group = true}},
    {"translate, slow at LOOP", true, {.no_loop = true}},
    {"translate, slow at LOOP, no return prediction", true, {.no_loop = true, .no_retcache = true}},
    {"translate, nothing for rewritten code", true, {.no_smc = true}},
    {"translate, cache of 1 MiB", true, {.cache_bytes = 1 << 20}},
    {"translate, cache of 1 MiB, flushed", true, {.cache_bytes = 1 << 20, .cache_policy = 1}},
    {"translate, cache of 1 MiB, generations", true, {.cache_bytes = 1 << 20, .cache_policy = 2}},
    {"translate, cache of 1 MiB, by blocks", true, {.cache_bytes = 1 << 20, .cache_policy = 3}},
    {"translate, no windows", true, {.no_window = true}},
    {"translate, windows", true, {.eager_window = true}},
    {"translate, windows, no guesses", true, {.eager_window = true, .no_guess = true}},
    {"translate, windows, paths, no guesses",
     true,
     {.eager_window = true, .eager_path = true, .no_guess = true}},
    {"translate, all for rewritten code", true, {.eager_smc = true}},
    {"translate, windows, all for rewritten code", true, {.eager_window = true, .eager_smc = true}},
    {"translate, windows, no chains", true, {.eager_window = true, .no_chain = true}},
    {"translate, counted", true, {.counted = true}},
    {"translate, no superblocks", true, {.no_superblock = true}},
    {"translate, superblocks", true, {.eager_superblock = true}},
    {"translate, superblocks along paths", true, {.eager_path = true}},
    {"translate, superblocks along paths, windows",
     true,
     {.eager_path = true, .eager_window = true}},
    {"translate, superblocks of one way, windows",
     true,
     {.eager_path = true, .eager_window = true, .no_tree = true}},
    {"translate, paths, generations", true, {.eager_path = true, .cache_policy = 2}},
    {"translate, paths, by blocks", true, {.eager_path = true, .cache_policy = 3}},
    {"translate, superblocks, windows", true, {.eager_superblock = true, .eager_window = true}},
    {"translate, superblocks, counted", true, {.eager_superblock = true, .counted = true}},
};
enum { ENGINES = sizeof(engines) / sizeof(engines[0]) };

/* model: of the CPU. */
static void guest_open(struct guest *g, const char *model, const struct engine *engine)
{
    char message[256];

    memset(g, 0, sizeof(*g));
    g->vector = -1;
    g->mem = physmem_create(MEMORY, 36);
    assert_non_null(g->mem);
    assert_int_equal(physmem_map(g->mem, 0, MEMORY, 0, true), 0);
    assert_true(cpu_model_parse(model, 1000000000, &g->model, message, sizeof(message)));
    g->cpu = cpu_create(g->mem, &g->model, &ops, g);
    assert_non_null(g->cpu);
    if (engine->translate) {
        g->tr = translator_create(g->mem, &engine->options);
        assert_non_null(g->tr);
        assert_int_equal(translator_attach(g->tr, g->cpu), 0);
    }
}

static void guest_close(struct guest *g)
{
    timer_join(g);
    if (g->tr != NULL) {
        translator_detach(g->tr, g->cpu);
        translator_destroy(g->tr);
    }
    cpu_destroy(g->cpu);
    physmem_destroy(g->mem);
}

/* Run until the program says that it has ended, or cannot go on. */
static void guest_run(struct guest *g)
{
    watch(g->cpu);
    while (!g->ended && !g->shut_down && barks == 0) {
        const enum run_exit end =
            g->tr ? translator_run(g->tr, g->cpu, UINT64_MAX) : interp_run(g->cpu, UINT64_MAX);

        __atomic_store_n(&g->cpu->exit_request, 0, __ATOMIC_SEQ_CST);
        if (end == RUN_HALTED && !cpu_has_event(g->cpu)) {
            if (!g->timer_running)
                break;
            timer_join(g);
        }
    }
    watch(NULL);
}

/*
 * The source line of a check at `address`, from the listing beside the image ("IMAGE.lst" for
 * "IMAGE.bin"): the last line outside macro expansions that begins at or before the address.
 */
static void find_line(const char *image, uint32_t address, char *line, size_t size)
{
    char path[512], text[512] = {0}, outer[512] = "?";
    FILE *file;

    snprintf(path, sizeof(path), "%.*s.lst", (int)(strlen(image) - 4), image);
    snprintf(line, size, "address %#x", address);
    file = fopen(path, "r");
    if (file == NULL)
        return;
    while (fgets(text, sizeof(text), file) != NULL) {
        unsigned at;

        /* columns: source line, offset, bytes, <depth of macros>, source */
        if (strlen(text) > 40 && text[36] != '<')
            memcpy(outer, text, sizeof(outer));
        if (sscanf(text + 6, "%8x", &at) == 1 && at == address - LOAD_AT)
            break;
    }
    fclose(file);
    outer[strcspn(outer, "\n")] = '\0';
    snprintf(line, size, "%#x, line %d: %s", address, atoi(outer),
             strlen(outer) > 40 ? outer + 40 : outer);
}

/* Compares what engines log about one program. */
struct program {
    const char *path;
    uint8_t image[IMAGE_MAX];
    size_t size;
    bool have_log;
    uint8_t log[LOG_BYTES];
};

struct test {
    struct program *program;
    const struct engine *engine;
    char name[256];
};

/* The first record in which two logs differ. */
static void fail_log(const uint32_t *a, const uint32_t *b)
{
    static const char *const names[16] = {"vector", "error", "eip", "cs",  "eflags", "cr2",
                                          "frame",  "esp",   "ss",  "edi", "esi",    "ebp",
                                          "-",      "ebx",   "edx", "ecx"};
    unsigned i = 0;

    while (a[i] == b[i])
        i++;
    fail_msg("exception %u (vector %u, eip %#x): %s was %#x in the interpreter, is %#x here",
             i / 16, a[i & ~15u], a[(i & ~15u) + 2], names[i % 16], a[i], b[i]);
}

/* The same of long mode's records. */
static void fail_wide_log(const uint64_t *a, const uint64_t *b)
{
    enum { FIELDS = 25 };
    static const char *const names[FIELDS] = {
        "vector", "error", "rip", "cs",  "rflags", "cr2", "frame", "rsp", "ss",
        "rax",    "rcx",   "rdx", "rbx", "-",      "rbp", "rsi",   "rdi", "r8",
        "r9",     "r10",   "r11", "r12", "r13",    "r14", "r15"};
    unsigned i = 0, record;

    while (a[i] == b[i])
        i++;
    record = i / FIELDS * FIELDS;
    fail_msg("exception %u (vector %u, rip %#llx): %s was %#llx in the interpreter, is %#llx here",
             i / FIELDS, (unsigned)a[record], (unsigned long long)a[record + 2], names[i % FIELDS],
             (unsigned long long)a[i], (unsigned long long)b[i]);
}

static void compare_logs(struct physmem *mem, const uint8_t *expected)
{
    const uint8_t *log = physmem_backing(mem, LOG_AT);

    if (memcmp(expected, log, LOG_BYTES) == 0)
        return;
    if (physmem_read(mem, LOG_WIDE, 4) != 0)
        fail_wide_log((const uint64_t *)(const void *)expected,
                      (const uint64_t *)(const void *)log);
    fail_log((const uint32_t *)(const void *)expected, (const uint32_t *)(const void *)log);
}

static void run_program(void **state)
{
    const struct test *test = *state;
    struct program *program = test->program;
    struct guest g;
    bool wide;
    char line[600];

    guest_open(&g, strstr(program->path, "_amd") != NULL ? "qemu64" : "max", test->engine);
    physmem_write_bytes(g.mem, LOAD_AT, program->image, program->size);
    segment_load_real(g.cpu, CS, 0);
    g.cpu->rip = LOAD_AT;
    cpu_update_mode(g.cpu);
    guest_run(&g);

    if (g.tr != NULL && getenv("GUEST_STATS") != NULL)
        translator_print_stats(g.tr, stdout);
    if (g.text_length != 0)
        print_message("%s\n", g.text);
    wide = physmem_read(g.mem, LOG_WIDE, 4) != 0;
    if (barks != 0)
        fail_msg("does not end: at %#x:%#x; last exception: vector %u at %#x",
                 g.cpu->seg[CS].selector, (unsigned)g.cpu->rip,
                 (unsigned)physmem_read(g.mem, wide ? LX_VECTOR : EX_VECTOR, 4),
                 (unsigned)physmem_read(g.mem, wide ? LX_RIP : EX_EIP, 4));
    if (!(g.shut_down && g.shutdown_wanted)) {
        if (!g.ended)
            fail_msg("%s at %#x:%#x", g.shut_down ? "shutdown" : "halted", g.cpu->seg[CS].selector,
                     (unsigned)g.cpu->rip);
        if (g.result != 0) {
            find_line(program->path, g.result, line, sizeof(line));
            fail_msg("failed: %s", line);
        }
    }
    if (!test->engine->translate) {
        memcpy(program->log, physmem_backing(g.mem, LOG_AT), LOG_BYTES);
        program->have_log = true;
    } else if (program->have_log) {
        compare_logs(g.mem, program->log);
    }
    guest_close(&g);
}

static void program_load(struct program *program, const char *path)
{
    FILE *file = fopen(path, "rb");

    if (file == NULL) {
        perror(path);
        exit(1);
    }
    program->path = path;
    program->size = fread(program->image, 1, IMAGE_MAX, file);
    fclose(file);
    if (program->size == 0 || program->size == IMAGE_MAX) {
        fprintf(stderr, "%s: empty or too big\n", path);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    const unsigned count = (unsigned)(argc - 1) * ENGINES;
    struct program *programs = calloc((size_t)argc, sizeof(*programs));
    struct test *tests = calloc(count + 1u, sizeof(*tests));
    struct CMUnitTest *units = calloc(count + 1u, sizeof(*units));
    int result;

    if (argc < 2 || programs == NULL || tests == NULL || units == NULL) {
        fprintf(stderr, "usage: test_guests IMAGE...\n");
        return 1;
    }
    for (unsigned i = 0; i < count; i++) {
        struct program *program = &programs[i / ENGINES];
        const char *base;

        if (i % ENGINES == 0)
            program_load(program, argv[1 + i / ENGINES]);
        base = strrchr(program->path, '/');
        tests[i].program = program;
        tests[i].engine = &engines[i % ENGINES];
        snprintf(tests[i].name, sizeof(tests[i].name), "%s: %s",
                 base != NULL ? base + 1 : program->path, tests[i].engine->name);
        units[i] = (struct CMUnitTest){
            .name = tests[i].name, .test_func = run_program, .initial_state = &tests[i]};
    }
    result = _cmocka_run_group_tests("guests", units, count, NULL, NULL);
    free(units);
    free(tests);
    free(programs);
    return result;
}
