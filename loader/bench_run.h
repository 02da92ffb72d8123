/*
 * loader/bench_run.h -- `ringer bench`: one run of a guest, in a process of its own.
 */
#ifndef RINGER_LOADER_BENCH_RUN_H
#define RINGER_LOADER_BENCH_RUN_H

#include "loader/bench_rows.h"
#include "loader/error.h"
#include "loader/options.h"

enum bench_end {
    BENCH_RUN_ENDED,
    BENCH_RUN_FAILED,      /* the guest did not end as it should; `error` says how */
    BENCH_RUN_IMPOSSIBLE,  /* there was no run, and will be none: `error` */
    BENCH_RUN_INTERRUPTED, /* by a signal to this process: `signal` */
};

struct bench_outcome {
    struct bench_values values; /* the guest's, the process's, the translator's rows */
    struct bench_counters counters;
    struct bench_lines output;
    struct error error;
    int signal;
};

/*
 * Run what the options ask for until it ends by itself: with exit status 0, or with 1 after a write
 * of 0 to isa-debug-exit.  The guest's standard output is read for rows, its standard input is
 * empty.  limit_s: seconds after which it is ended, as a failure; 0: none.
 * While it runs SIGINT, SIGTERM, SIGHUP and SIGQUIT end the guest's process, too.  This process
 * must have one thread.
 */
enum bench_end bench_run(const struct options *options, unsigned limit_s,
                         struct bench_outcome *outcome);

#endif
