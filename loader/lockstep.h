/*
 * loader/lockstep.h -- -accel lockstep: the translator against the reference interpreter.
 */
#ifndef RINGER_LOADER_LOCKSTEP_H
#define RINGER_LOADER_LOCKSTEP_H

#include "loader/machine.h"

/*
 * Run the machine twice, translated and interpreted, on counted time and the same input, comparing
 * as it goes.  Only the translated machine's output is shown.  Returns the guest's exit status, 2
 * after the first difference (a report has been printed), or -1 with the error set.
 */
int lockstep_run(struct machine *m, struct error *error);

#endif
