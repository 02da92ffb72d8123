/*
 * loader/bench_options.c -- the command line of `ringer bench`.
 *
 *   ringer bench ROW... -runs 5 -ablate -cpu qemu64 -kernel FILE disk.img
 *                `------- ours ------'  `----- the machine's ------------'
 *
 * Our options may stand anywhere; words without a dash are rows in front of the first of the
 * machine's options, and the machine's (a disk image) behind it.
 */
#include "loader/bench_options.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "loader/argument.h"
#include "loader/bench_series.h"
#include "loader/options.h"

enum { RUNS_DEFAULT = 3, LIMIT_MAX_S = 1000000 };

static bool take_runs(struct bench_options *o, const char *argument, struct error *error)
{
    uint64_t value;

    if (!argument_number(argument, BENCH_RUNS_MAX, &value) || value == 0)
        return error_set(error, "-runs %s: not a number from 1 to %d", argument, BENCH_RUNS_MAX);
    o->runs = (unsigned)value;
    return true;
}

static bool take_limit(struct bench_options *o, const char *argument, struct error *error)
{
    uint64_t value;

    if (!argument_number(argument, LIMIT_MAX_S, &value) || value == 0)
        return error_set(error, "-limit %s: not a number of seconds", argument);
    o->limit_s = (unsigned)value;
    return true;
}

/* Of the three, an option has the one that is not 0. */
static const struct {
    const char *name, *argument; /* NULL: takes none */
    bool (*take)(struct bench_options *o, const char *argument, struct error *error);
    size_t text;      /* offset of the string that its argument is kept in */
    int action;       /* what is to be done */
    const char *help; /* NULL: another spelling */
} own_rows[] = {
    {"runs", "N", take_runs, 0, 0, "how often each (3); the table has the median"},
    {"ablate", NULL, NULL, 0, BENCH_ABLATE,
     "the rows named, with each switch of `ringer -x help` by itself"},
    {"json", "FILE", NULL, offsetof(struct bench_options, json), 0,
     "every single value; -: on standard output, in place of the table"},
    {"text", "FILE", NULL, offsetof(struct bench_options, text), 0,
     "an x86 program for the decoder (ringer itself)"},
    {"limit", "SECONDS", take_limit, 0, 0,
     "a run that takes longer is ended, and has failed (none)"},
    {"list", NULL, NULL, 0, BENCH_LIST, "the rows and what they mean"},
    {"help", NULL, NULL, 0, BENCH_HELP, "this text"},
    {"h", NULL, NULL, 0, BENCH_HELP, NULL},
};
_Static_assert(BENCH_MEASURE == 0 && offsetof(struct bench_options, action) == 0,
               "neither is an option's");
enum { OWN_ROWS = sizeof(own_rows) / sizeof(own_rows[0]) };

static bool take_row(struct bench_options *o, const char *word, struct error *error)
{
    if (!bench_rows_is_name(word))
        return error_set(error, "%s: not a row's name (a disk image: -hda FILE)", word);
    if (o->row_count != 0 && bench_options_wants(o, word))
        return true;
    if (o->row_count == BENCH_VALUES_MAX)
        return error_set(error, "%s: too many rows", word);
    o->rows[o->row_count++] = word;
    return true;
}

/* Takes in the option at argv[*at], if it is ours, and its argument: *at is then the last word. */
static bool take_own(struct bench_options *o, char *const argv[], int argc, int *at, bool *is_ours,
                     struct error *error)
{
    const char *word = argv[*at], *name = word + (word[1] == '-' ? 2 : 1), *argument = "";

    for (unsigned i = 0; i < OWN_ROWS; i++) {
        if (strcmp(own_rows[i].name, name) != 0)
            continue;
        *is_ours = true;
        if (own_rows[i].argument != NULL) {
            if (*at + 1 == argc)
                return error_set(error, "-%s: needs an argument", name);
            argument = argv[++*at];
        }
        if (own_rows[i].take != NULL)
            return own_rows[i].take(o, argument, error);
        if (own_rows[i].text != 0)
            *(const char **)((char *)o + own_rows[i].text) = argument;
        else
            o->action = own_rows[i].action;
        return true;
    }
    return true;
}

bool bench_options_parse(int argc, char *const argv[], struct bench_options *o, struct error *error)
{
    *o = (struct bench_options){.runs = RUNS_DEFAULT};
    *error = (struct error){0};
    o->machine = calloc((size_t)argc + 1, sizeof(*o->machine));
    if (o->machine == NULL)
        return error_set(error, "not enough host memory");
    o->machine[o->machine_count++] = argv[0];
    for (int i = 2; i < argc; i++) {
        const bool is_option = argv[i][0] == '-' && argv[i][1] != '\0';
        bool is_ours = false;

        if (is_option && !take_own(o, argv, argc, &i, &is_ours, error))
            return false;
        if (is_ours)
            continue;
        if (!is_option && o->machine_count == 1) {
            if (!take_row(o, argv[i], error))
                return false;
            continue;
        }
        o->machine[o->machine_count++] = argv[i];
        if (is_option && options_takes_argument(argv[i]) && i + 1 < argc)
            o->machine[o->machine_count++] = argv[++i];
    }
    return true;
}

void bench_options_free(struct bench_options *o)
{
    free(o->machine);
    o->machine = NULL;
}

bool bench_options_wants(const struct bench_options *o, const char *row)
{
    for (unsigned i = 0; i < o->row_count; i++)
        if (!strcmp(o->rows[i], row))
            return true;
    return o->row_count == 0;
}

void bench_options_print_help(FILE *out)
{
    fprintf(out,
            "Measures Ringer by itself: no guest system, no other emulator is needed.\n"
            "usage: ringer bench [ROW...] [options, also the machine's: see ringer -help]\n\n");
    for (unsigned i = 0; i < OWN_ROWS; i++) {
        char left[32];

        if (own_rows[i].help == NULL)
            continue;
        snprintf(left, sizeof(left), "-%s %s", own_rows[i].name,
                 own_rows[i].argument != NULL ? own_rows[i].argument : "");
        fprintf(out, "  %-16s %s\n", left, own_rows[i].help);
    }
    fprintf(out,
            "\nThe guest is a small one that is built in, or with -kernel, -bios or a drive one of "
            "your own:\nit runs until it ends by itself, and lines \"NAME NUMBER\" on its standard "
            "output are rows.\n\n"
            "  ringer bench                                     everything\n"
            "  ringer bench callret pgfault -runs 10            two rows\n"
            "  ringer bench code_second -ablate                 what does which optimisation do?\n"
            "  ringer bench -accel translate,cache-size=2M      with another cache\n"
            "  ringer bench wall -kernel VMLINUZ -initrd INITRD -append \"console=ttyS0 panic=-1\" "
            "\\\n      -serial stdio -no-reboot                   how long a boot takes\n");
}
