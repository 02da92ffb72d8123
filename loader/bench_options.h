/*
 * loader/bench_options.h -- the command line of `ringer bench`.
 */
#ifndef RINGER_LOADER_BENCH_OPTIONS_H
#define RINGER_LOADER_BENCH_OPTIONS_H

#include <stdio.h>

#include "loader/bench_rows.h"
#include "loader/error.h"

/* Strings point into argv. */
struct bench_options {
    enum { BENCH_MEASURE, BENCH_ABLATE, BENCH_LIST, BENCH_HELP } action;
    const char *rows[BENCH_VALUES_MAX]; /* each once; none: all */
    unsigned row_count;
    unsigned runs;
    unsigned limit_s;  /* for one run; 0: none */
    const char *json;  /* NULL: none; "-": instead of the table */
    const char *text;  /* NULL: the program itself */
    char **machine;    /* argv of the machine: the program's name, then what is not ours; NULL at
                        * the end */
    int machine_count; /* words, the program's name included */
};

/* argv[1] is "bench".  False with the error set, which names the option.  To be freed in any case.
 */
bool bench_options_parse(int argc, char *const argv[], struct bench_options *options,
                         struct error *error);
void bench_options_free(struct bench_options *options);
/* Is the row to be shown? */
bool bench_options_wants(const struct bench_options *options, const char *row);
void bench_options_print_help(FILE *out);

#endif
