/*
 * loader/option_rows.h -- the table of options.
 */
#ifndef RINGER_LOADER_OPTION_ROWS_H
#define RINGER_LOADER_OPTION_ROWS_H

#include <stddef.h>

#include "loader/options.h"

/* take: takes the option `name` with its argument ("" without) into *o, or sets *e and returns
 * false; NULL: known, but not there yet. */
struct option_row {
    const char *name;
    const char *argument; /* how the help shows it; NULL: takes none */
    bool (*take)(struct options *o, const char *name, const char *arg, struct error *e);
    const char *help; /* NULL: an alias or a compatibility spelling */
};

extern const struct option_row option_rows[];
extern const size_t option_row_count;

#endif
