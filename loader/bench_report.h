/*
 * loader/bench_report.h -- `ringer bench`: what is shown, and the JSON that is kept.
 */
#ifndef RINGER_LOADER_BENCH_REPORT_H
#define RINGER_LOADER_BENCH_REPORT_H

#include <stdio.h>

#include "loader/bench_series.h"

enum { BENCH_SHOWN_BYTES = 32, BENCH_HOST_BYTES = 64, BENCH_FAILURES_MAX = 64 };

/* What a measurement was. */
struct bench_facts {
    char host_cpu[BENCH_HOST_BYTES];
    const char *accel, *cpu_model;
    unsigned runs;
    bool built_in;                         /* the guest is ours */
    char *const *options;                  /* the user's, for the machine; NULL at the end */
    const char *text;                      /* what decoded_insns is of; NULL: not measured */
    const struct bench_counters *counters; /* of each run as it is */
    unsigned counter_runs;
    char *failures[BENCH_FAILURES_MAX];
    unsigned failure_count;
};

/* The host CPU's name for itself; "x86" if it has none. */
void bench_report_host(char name[BENCH_HOST_BYTES]);
/* A value with its unit: "1.23 ms", "45.6 M/s". */
void bench_report_show(double value, enum bench_unit unit, char text[BENCH_SHOWN_BYTES]);

/* One group below the other: row, median, spread, what the row is. */
void bench_report_table(FILE *out, const struct bench_facts *facts,
                        const struct bench_table *table);
/* A line for each table but the first, which is what they are compared with: a column a row. */
void bench_report_ablation(FILE *out, const struct bench_facts *facts,
                           const struct bench_table *tables, unsigned count);
/* The rows and what they mean. */
void bench_report_list(FILE *out, bool built_in);

/* Everything: tables[0] as it is, the others with a switch each. */
void bench_json_write(FILE *out, const struct bench_facts *facts, const struct bench_table *tables,
                      unsigned count);
/* A string with its quotes; what is not ASCII or cannot stand there is escaped. */
void bench_json_string(FILE *out, const char *text);

#endif
