/*
 * loader/bench_series.c -- `ringer bench`: the values of all runs; medians and spreads.
 */
#include "loader/bench_series.h"

#include <stdlib.h>
#include <string.h>

const struct bench_series *bench_series_find(const struct bench_table *table, const char *name)
{
    for (unsigned i = 0; i < table->count; i++)
        if (!strcmp(table->series[i].name, name))
            return &table->series[i];
    return NULL;
}

static struct bench_series *make_series(struct bench_table *table, const char *name, bool built_in)
{
    const struct bench_row *row = bench_rows_find(name);
    struct bench_series *series = &table->series[table->count];

    *series = (struct bench_series){.group = BENCH_GUEST, .what = ""};
    strcpy(series->name, name);
    if (row != NULL && (built_in || row->group != BENCH_GUEST)) {
        series->group = row->group;
        series->unit = row->unit;
        series->what = row->what;
    }
    series->values = calloc(BENCH_RUNS_MAX, sizeof(*series->values));
    if (series->values == NULL)
        return NULL;
    table->count++;
    return series;
}

bool bench_series_add(struct bench_table *table, const struct bench_values *values, bool built_in)
{
    for (unsigned i = 0; i < values->count; i++) {
        const char *name = values->of[i].name;
        struct bench_series *series = (struct bench_series *)bench_series_find(table, name);

        if (series == NULL && table->count == BENCH_VALUES_MAX)
            continue;
        if (series == NULL)
            series = make_series(table, name, built_in);
        if (series == NULL)
            return false;
        if (series->count < BENCH_RUNS_MAX)
            series->values[series->count++] = values->of[i].value;
    }
    return true;
}

void bench_series_free(struct bench_table *table)
{
    for (unsigned i = 0; i < table->count; i++)
        free(table->series[i].values);
    table->count = 0;
}

static int compare(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* The values in ascending order. */
static void sort(const struct bench_series *series, double sorted[BENCH_RUNS_MAX])
{
    memcpy(sorted, series->values, series->count * sizeof(*sorted));
    qsort(sorted, series->count, sizeof(*sorted), compare);
}

double bench_series_median(const struct bench_series *series)
{
    double sorted[BENCH_RUNS_MAX];
    const unsigned n = series->count;

    if (n == 0)
        return 0;
    sort(series, sorted);
    return n % 2 != 0 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

double bench_series_spread(const struct bench_series *series)
{
    const double median = bench_series_median(series);
    double sorted[BENCH_RUNS_MAX];

    if (series->count == 0 || median == 0)
        return 0;
    sort(series, sorted);
    return 100 * (sorted[series->count - 1] - sorted[0]) / median;
}
