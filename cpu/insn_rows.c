/*
 * cpu/insn_rows.c -- the columns of cpu/insn.def that everybody reads at run time.
 */
#include "cpu/insn.h"

/* The short names of the flag columns. */
enum {
    CF = FLAG_CF,
    PF = FLAG_PF,
    AF = FLAG_AF,
    ZF = FLAG_ZF,
    SF = FLAG_SF,
    OF = FLAG_OF,
    OSZAP = FLAGS_OSZAPC & ~FLAG_CF,
    OSZAPC = FLAGS_OSZAPC,
};

const struct insn_row insn_rows[] = {
#define INSN(map_, op, pp, ext, mnem, op0, op1, op2, op3, reads, writes, traits_, feature_, run, \
             rewrite)                                                                            \
    {                                                                                            \
        .mnemonic = #mnem,                                                                       \
        .traits = (traits_),                                                                     \
        .flags_read = (reads),                                                                   \
        .flags_written = (writes),                                                               \
        .feature = feature_,                                                                     \
        .map = map_,                                                                             \
        .opcode = op,                                                                            \
    },
#include "cpu/insn.def"
#undef INSN
};

const size_t insn_row_count = sizeof insn_rows / sizeof insn_rows[0];
