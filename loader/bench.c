/*
 * loader/bench.c -- the subcommand `ringer bench`: what is run, how often, and with which switches.
 *
 * Ways to run (as it is; with -ablate each switch of -x besides) take turns, because a host's speed
 * drifts.  Each run is a process of its own, see bench_run.h.
 */
#define _GNU_SOURCE
#include "loader/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loader/bench_decoder.h"
#include "loader/bench_guest.h"
#include "loader/bench_options.h"
#include "loader/bench_report.h"
#include "loader/bench_run.h"

enum { ABLATED_ROWS_MAX = 6, APPEND_BYTES = 4096, TAIL_BYTES = 1000 };
#define PROGRAM_ITSELF "/proc/self/exe"

/* A way to run: what the machine is, and what was measured. */
struct way {
    char **words; /* what `options` points into; an array of ours */
    struct options options;
    struct bench_table table;
};

struct bench {
    struct bench_options options;
    struct bench_facts facts;
    struct options machine; /* as the user gave it */
    bool needs_guest, needs_decoder;
    int guest_fd; /* of the guest that is built in; -1: not open */
    char guest_path[BENCH_GUEST_PATH_BYTES], append[APPEND_BYTES];
    struct way *ways;
    unsigned way_count;
    struct bench_counters *counters; /* of each run as it is */
    double *decoded;
    FILE *json;
};

/* ---- what was asked for ---- */

static bool has_own_guest(const struct options *machine)
{
    for (unsigned i = 0; i < machine->drives.count; i++)
        if (machine->drives.drives[i].image.file[0] != '\0')
            return true;
    return machine->kernel != NULL || machine->bios != NULL;
}

static bool check_machine(const struct options *machine, struct error *error)
{
    if (machine->action != ACTION_RUN)
        return error_set(error, "ringer bench runs a guest; such lists come without \"bench\"");
    if (machine->log != 0 || machine->log_file != NULL)
        return error_set(error, "-d, -D: ringer bench needs the log for what it counts");
    if (machine->accel == RUN_LOCKSTEP)
        return error_set(error, "-accel lockstep: compares two machines, there is nothing to time");
    if (display_wants_terminal(&machine->display))
        return error_set(error, "-display curses: ringer bench needs the guest's standard output");
    return true;
}

static bool check_row(const struct bench *b, const char *name, struct error *error)
{
    const struct bench_row *row = bench_rows_find(name);

    if (b->facts.built_in && row == NULL)
        return error_set(
            error, "no row %s; ringer bench -list says which there are (a disk image: -hda %s)",
            name, name);
    if (row != NULL && row->group == BENCH_TRANSLATOR && b->machine.accel == RUN_INTERPRET)
        return error_set(error, "%s: nothing is translated with -accel interpret", name);
    if (row != NULL && row->group == BENCH_DECODER && b->options.action == BENCH_ABLATE)
        return error_set(error, "%s: no switch changes the decoder", name);
    return true;
}

static bool check_ablation(const struct bench *b, struct error *error)
{
    if (b->machine.accel == RUN_INTERPRET)
        return error_set(error, "-ablate: -accel interpret has no switches");
    if (b->options.row_count == 0 || b->options.row_count > ABLATED_ROWS_MAX)
        return error_set(error, "-ablate: name the rows, %d at most (ringer bench -list)",
                         ABLATED_ROWS_MAX);
    return true;
}

static bool choose_rows(struct bench *b, struct error *error)
{
    const struct bench_options *o = &b->options;

    if (o->action == BENCH_ABLATE && !check_ablation(b, error))
        return false;
    for (unsigned i = 0; i < o->row_count; i++) {
        const struct bench_row *row = bench_rows_find(o->rows[i]);

        if (!check_row(b, o->rows[i], error))
            return false;
        b->needs_guest |= row == NULL || row->group != BENCH_DECODER;
    }
    b->needs_guest |= o->row_count == 0;
    b->needs_decoder = o->action == BENCH_MEASURE && bench_options_wants(o, "decoded_insns");
    return true;
}

/* The rows that the built-in guest is to run, for its command line; "": all of them. */
static void name_guest_rows(struct bench *b)
{
    for (unsigned i = 0; i < b->options.row_count; i++) {
        const struct bench_row *row = bench_rows_find(b->options.rows[i]);

        if (row == NULL || row->group != BENCH_GUEST)
            continue;
        if (b->append[0] != '\0')
            strcat(b->append, " ");
        strcat(b->append, row->name); /* each once: they fit */
    }
}

/* ---- ways to run ---- */

/* The machine's words: those for the built-in guest, the user's, a switch. */
static bool make_way(struct bench *b, struct way *way, const char *name, const char *what,
                     struct error *error)
{
    char *const built_in[] = {"-m",       "64",          "-nodefaults",
                              "-display", "none",        "-serial",
                              "stdio",    "-device",     "isa-debug-exit,iobase=0xf4,iosize=4",
                              "-kernel",  b->guest_path, "-append",
                              b->append};
    const size_t count = b->facts.built_in ? sizeof(built_in) / sizeof(built_in[0]) : 0;
    const size_t given = (size_t)b->options.machine_count - 1;
    size_t used = 0;

    way->table.title = name;
    way->table.what = what;
    way->words = calloc(1 + count + given + 2, sizeof(*way->words));
    if (way->words == NULL)
        return error_set(error, "not enough host memory");
    way->words[used++] = b->options.machine[0];
    memcpy(way->words + used, built_in, count * sizeof(*built_in));
    used += count;
    memcpy(way->words + used, b->options.machine + 1, given * sizeof(*way->words));
    used += given;
    if (name != NULL) {
        way->words[used++] = "-x";
        way->words[used++] = (char *)name;
    }
    if (!options_parse((int)used, way->words, &way->options, error))
        return false;
    if (!way->options.display_given)
        way->options.display.kind = DISPLAY_NONE;
    return true;
}

static bool make_ways(struct bench *b, struct error *error)
{
    unsigned switches = 0;
    const char *name, *what;

    while (b->options.action == BENCH_ABLATE && options_switch(switches, &what) != NULL)
        switches++;
    b->ways = calloc(1 + switches, sizeof(*b->ways));
    b->counters = calloc(b->options.runs, sizeof(*b->counters));
    if (b->ways == NULL || b->counters == NULL)
        return error_set(error, "not enough host memory");
    if (b->facts.built_in) {
        name_guest_rows(b);
        b->guest_fd = bench_guest_open(b->guest_path, error);
        if (b->guest_fd < 0)
            return false;
    }
    if (!make_way(b, &b->ways[b->way_count++], NULL, NULL, error))
        return false;
    for (unsigned i = 0; i < switches; i++) {
        name = options_switch(i, &what);
        if (!make_way(b, &b->ways[b->way_count++], name, what, error))
            return false;
    }
    return true;
}

/* ---- measuring ---- */

/* On a terminal: where we are.  "": nothing is to be seen any more. */
static void show_progress(const char *text)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K%s", text);
}

static void note_failure(struct bench *b, const char *text)
{
    struct bench_facts *facts = &b->facts;
    char *copy = facts->failure_count < BENCH_FAILURES_MAX ? strdup(text) : NULL;

    if (copy != NULL)
        facts->failures[facts->failure_count++] = copy;
    show_progress("");
    fprintf(stderr, "ringer: %s\n", text);
}

static void note_failed_run(struct bench *b, const char *which, const struct bench_outcome *outcome)
{
    char tail[TAIL_BYTES];
    struct error text;

    (void)error_set(&text, "%s: %s", which, outcome->error.text);
    note_failure(b, text.text);
    bench_rows_tail(&outcome->output, tail, sizeof(tail));
    if (tail[0] != '\0')
        fprintf(stderr, "It printed last:\n%s\n", tail);
}

/* The rows that are wanted go to the way's table. */
static bool keep(const struct bench *b, struct way *way, const struct bench_values *values)
{
    struct bench_values wanted = {0};

    for (unsigned i = 0; i < values->count; i++)
        if (bench_options_wants(&b->options, values->of[i].name))
            bench_rows_put(&wanted, values->of[i].name, values->of[i].value);
    return bench_series_add(&way->table, &wanted, b->facts.built_in);
}

/* Each way once.  False with the error set: no use to go on. */
static bool take_turns(struct bench *b, unsigned run, struct bench_outcome *outcome,
                       struct error *error)
{
    for (unsigned i = 0; i < b->way_count; i++) {
        struct way *way = &b->ways[i];
        char which[128];

        snprintf(which, sizeof(which), "run %u of %u%s%s", run + 1, b->options.runs,
                 way->table.title != NULL ? ", -x " : "",
                 way->table.title != NULL ? way->table.title : "");
        show_progress(which);
        switch (bench_run(&way->options, b->options.limit_s, outcome)) {
        case BENCH_RUN_ENDED:
            if (!keep(b, way, &outcome->values))
                return error_set(error, "not enough host memory");
            if (i == 0)
                b->counters[b->facts.counter_runs++] = outcome->counters;
            break;
        case BENCH_RUN_FAILED:
            note_failed_run(b, which, outcome);
            break;
        case BENCH_RUN_IMPOSSIBLE:
            show_progress("");
            *error = outcome->error;
            return false;
        case BENCH_RUN_INTERRUPTED:
            show_progress("");
            raise(outcome->signal);
            return error_set(error, "interrupted"); /* if it did not kill us */
        }
    }
    return true;
}

/* Before any guest: a child's memory begins with what its parent has. */
static bool measure_decoder(struct bench *b, struct error *error)
{
    const char *path = b->options.text != NULL ? b->options.text : PROGRAM_ITSELF;

    b->facts.text = b->options.text != NULL ? b->options.text : "ringer";
    b->decoded = calloc(b->options.runs, sizeof(*b->decoded));
    if (b->decoded == NULL)
        return error_set(error, "not enough host memory");
    show_progress("the decoder");
    if (!bench_decoder_measure(path, b->decoded, b->options.runs, error)) {
        show_progress("");
        return false;
    }
    return true;
}

static bool measure(struct bench *b, struct error *error)
{
    struct bench_outcome *outcome;
    bool ok = true;

    if (b->needs_decoder && !measure_decoder(b, error))
        return false;
    outcome = b->needs_guest ? calloc(1, sizeof(*outcome)) : NULL;
    if (b->needs_guest && outcome == NULL)
        return error_set(error, "not enough host memory");
    for (unsigned run = 0; ok && b->needs_guest && run < b->options.runs; run++)
        ok = take_turns(b, run, outcome, error);
    free(outcome);
    for (unsigned run = 0; ok && b->needs_decoder && run < b->options.runs; run++) {
        struct bench_values values = {0};

        bench_rows_put(&values, "decoded_insns", b->decoded[run]);
        ok = keep(b, &b->ways[0], &values) || error_set(error, "not enough host memory");
    }
    show_progress("");
    return ok;
}

/* What was named and is not there, though there was a run. */
static void look_for_rows(struct bench *b)
{
    if (b->needs_guest && b->facts.counter_runs == 0)
        return;
    for (unsigned i = 0; i < b->options.row_count; i++) {
        struct error text;

        if (bench_series_find(&b->ways[0].table, b->options.rows[i]) != NULL)
            continue;
        (void)error_set(&text, "no value of %s: the guest printed none", b->options.rows[i]);
        note_failure(b, text.text);
    }
}

/* ---- the report ---- */

/* Now, so that a wrong name is known before hours of runs; what is there stays until then. */
static bool open_json(struct bench *b, struct error *error)
{
    const char *path = b->options.json;
    int fd;

    if (path == NULL || !strcmp(path, "-"))
        return true;
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    b->json = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (b->json == NULL) {
        (void)error_set(error, "-json %s: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return false;
    }
    return true;
}

static bool close_json(struct bench *b, bool ok, struct error *error)
{
    FILE *json = b->json;

    b->json = NULL;
    if (json == NULL)
        return ok;
    ok = !ferror(json) && ok;
    if (fclose(json) != 0 || !ok)
        return error_set(error, "-json %s: %s", b->options.json, strerror(errno));
    return true;
}

static bool report(struct bench *b, struct error *error)
{
    struct bench_table *tables = calloc(b->way_count, sizeof(*tables));

    if (tables == NULL)
        return error_set(error, "not enough host memory");
    for (unsigned i = 0; i < b->way_count; i++)
        tables[i] = b->ways[i].table;
    if (b->options.json == NULL || strcmp(b->options.json, "-") != 0) {
        if (tables[0].count == 0)
            ; /* what went wrong has been said */
        else if (b->options.action == BENCH_ABLATE)
            bench_report_ablation(stdout, &b->facts, tables, b->way_count);
        else
            bench_report_table(stdout, &b->facts, &tables[0]);
    } else {
        bench_json_write(stdout, &b->facts, tables, b->way_count);
    }
    if (b->json != NULL) {
        (void)!ftruncate(fileno(b->json), 0); /* what is no regular file has no size */
        bench_json_write(b->json, &b->facts, tables, b->way_count);
    }
    free(tables);
    if (fflush(stdout) != 0 || ferror(stdout))
        return error_set(error, "standard output: %s", strerror(errno));
    return close_json(b, true, error);
}

static bool prepare(struct bench *b, struct error *error)
{
    static const char *const accels[] = {
        [RUN_TRANSLATE] = "translate", [RUN_INTERPRET] = "interpret", [RUN_LOCKSTEP] = "lockstep"};

    if (!options_parse(b->options.machine_count, b->options.machine, &b->machine, error) ||
        !check_machine(&b->machine, error))
        return false;
    bench_report_host(b->facts.host_cpu);
    b->facts.accel = accels[b->machine.accel];
    b->facts.cpu_model = b->machine.cpu_model;
    b->facts.runs = b->options.runs;
    b->facts.options = b->options.machine + 1;
    b->facts.built_in = !has_own_guest(&b->machine);
    if (!choose_rows(b, error))
        return false;
    b->facts.built_in = b->facts.built_in && b->needs_guest;
    if (!make_ways(b, error) || !open_json(b, error))
        return false;
    b->facts.counters = b->counters;
    return true;
}

static void release(struct bench *b)
{
    for (unsigned i = 0; i < b->way_count; i++) {
        bench_series_free(&b->ways[i].table);
        free(b->ways[i].words);
    }
    free(b->ways);
    free(b->counters);
    free(b->decoded);
    for (unsigned i = 0; i < b->facts.failure_count; i++)
        free(b->facts.failures[i]);
    if (b->json != NULL)
        fclose(b->json);
    if (b->guest_fd >= 0)
        close(b->guest_fd);
    bench_options_free(&b->options);
}

/* The exit status, or -1 with the error set. */
static int measure_and_report(struct bench *b, struct error *error)
{
    if (!prepare(b, error) || !measure(b, error))
        return -1;
    look_for_rows(b);
    if (!report(b, error))
        return -1;
    return b->facts.failure_count != 0;
}

int bench_main(int argc, char *const argv[], struct error *error)
{
    static const struct bench nothing = {.guest_fd = -1};
    struct bench *b = malloc(sizeof(*b));
    int status = 0;

    if (b == NULL) {
        (void)error_set(error, "not enough host memory");
        return -1;
    }
    *b = nothing;
    if (!bench_options_parse(argc, argv, &b->options, error))
        status = -1;
    else if (b->options.action == BENCH_HELP)
        bench_options_print_help(stdout);
    else if (b->options.action == BENCH_LIST)
        bench_report_list(stdout, bench_guest_is_built_in());
    else
        status = measure_and_report(b, error);
    release(b);
    free(b);
    return status;
}
