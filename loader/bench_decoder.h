/*
 * loader/bench_decoder.h -- `ringer bench`: the decoder by itself.
 */
#ifndef RINGER_LOADER_BENCH_DECODER_H
#define RINGER_LOADER_BENCH_DECODER_H

#include "loader/error.h"

/*
 * How many instructions a second cpu/decode.c takes apart: the .text section of an x86 ELF file of
 * either class, from end to end, several times; the fastest counts.  Bytes that are no instruction
 * (data between functions) are skipped one at a time.  Values of `count` measurements go to
 * per_second[].
 */
bool bench_decoder_measure(const char *path, double per_second[], unsigned count,
                           struct error *error);

#endif
