/*
 * loader/compare.h -- the state that two CPUs which did the same must share.
 */
#ifndef RINGER_LOADER_COMPARE_H
#define RINGER_LOADER_COMPARE_H

#include <stdbool.h>
#include <stdio.h>

#include "cpu/cpu.h"

/*
 * Is the architectural state of both the same?  Takes the vector state of both out of the host.
 *   counted   both count instructions: the counts have to agree, too
 *   out       NULL, or where a line for each register that differs goes; a_name and b_name say
 *             whose values they are
 */
bool compare_cpus(struct cpu *a, struct cpu *b, bool counted, FILE *out, const char *a_name,
                  const char *b_name);

#endif
