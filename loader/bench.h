/*
 * loader/bench.h -- the subcommand `ringer bench`: measurements of Ringer alone.
 */
#ifndef RINGER_LOADER_BENCH_H
#define RINGER_LOADER_BENCH_H

/* argv[1] is "bench".  The exit status: 1 when a run failed, or something was wrong. */
int bench_main(int argc, char *const argv[]);

#endif
