/*
 * loader/bench_guest.h -- the guest that `ringer bench` runs when none is named: the assembled
 * bench/guest/nano.asm, which the build puts into the program where there is an assembler for it.
 */
#ifndef RINGER_LOADER_BENCH_GUEST_H
#define RINGER_LOADER_BENCH_GUEST_H

#include <stdbool.h>

#include "loader/error.h"

enum { BENCH_GUEST_PATH_BYTES = 32 };

/* Is it there? */
bool bench_guest_is_built_in(void);
/* As a file of this process and of those that it forks.  Returns its descriptor, to be closed by
 * the caller, or -1 with the error set. */
int bench_guest_open(char path[BENCH_GUEST_PATH_BYTES], struct error *error);

#endif
