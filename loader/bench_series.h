/*
 * loader/bench_series.h -- `ringer bench`: the values of all runs, row by row; medians and spreads.
 */
#ifndef RINGER_LOADER_BENCH_SERIES_H
#define RINGER_LOADER_BENCH_SERIES_H

#include "loader/bench_rows.h"

enum { BENCH_RUNS_MAX = 1000 };

/* One row's values, in the order of the runs. */
struct bench_series {
    char name[BENCH_NAME_BYTES];
    enum bench_group group;
    enum bench_unit unit;
    const char *what; /* "" for what a guest of the user's calls its own */
    double *values;
    unsigned count;
};

/* The rows of one way to run. */
struct bench_table {
    struct bench_series series[BENCH_VALUES_MAX];
    unsigned count;
    const char *title, *what; /* a switch of -x, what it does; NULL: as it is */
};

/* Add what a run gave.  built_in: its guest is ours, so that we know what its rows are.  False: not
 * enough host memory. */
bool bench_series_add(struct bench_table *table, const struct bench_values *values, bool built_in);
void bench_series_free(struct bench_table *table);

/* NULL: the table has no such row. */
const struct bench_series *bench_series_find(const struct bench_table *table, const char *name);
double bench_series_median(const struct bench_series *series);
/* From the least to the greatest in percent of the median; 0 for a median of 0. */
double bench_series_spread(const struct bench_series *series);

#endif
