/*
 * loader/bench.h -- the subcommand `ringer bench`: measurements of Ringer alone.
 */
#ifndef RINGER_LOADER_BENCH_H
#define RINGER_LOADER_BENCH_H

#include "loader/error.h"

/* argv[1] is "bench".  The exit status, 1 when a run failed; -1 with the error set. */
int bench_main(int argc, char *const argv[], struct error *error);

#endif
