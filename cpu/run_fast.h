/*
 * cpu/run_fast.h -- specialised handlers for the most frequent instruction forms.
 */
#ifndef RINGER_CPU_RUN_FAST_H
#define RINGER_CPU_RUN_FAST_H

#include "cpu/insn.h"

/*
 * The fastest handler that does exactly what `run`, interp_handler()'s answer, does for `in` in
 * every state whose cpu->mode is `mode`; `run` itself when there is none.
 */
insn_run_fn run_fast_pick(uint32_t mode, const struct insn *in, insn_run_fn run);

#endif
