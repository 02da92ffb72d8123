/*
 * loader/argument.h -- what the arguments of options are made of: numbers, switches, key=value pairs.
 */
#ifndef RINGER_LOADER_ARGUMENT_H
#define RINGER_LOADER_ARGUMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "loader/error.h"

enum { ARGUMENT_PAIR_BYTES = 256 };

/* A number with an optional K, M, G, T; without one it is multiplied by `unit`. */
bool argument_size(const char *text, uint64_t unit, uint64_t *bytes);
/* A number up to `max`, as C writes them. */
bool argument_number(const char *text, uint64_t max, uint64_t *value);
/* on, off, yes, no, true, false; an absent value is on. */
bool argument_switch(const char *text, bool *value);

/* One pair of key=value,key=value. */
struct argument_pair {
    const char *rest; /* what is still to be read */
    char key[ARGUMENT_PAIR_BYTES], value[ARGUMENT_PAIR_BYTES];
    bool has_value;
};

/* The next pair; false at the end, and with *error set when one is too long. */
bool argument_next(struct argument_pair *pair, const char *option, struct error *error);
/* Does `text` begin with the word `word`, ended by a comma or the end? */
bool argument_begins(const char *text, const char *word);
/* "-OPTION ARGUMENT: what is wrong with it"; false. */
bool argument_refuse(const char *option, const char *argument, const char *what,
                     struct error *error);

#endif
