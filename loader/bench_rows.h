/*
 * loader/bench_rows.h -- `ringer bench`: which rows there are, and how a run's output and counters
 * become their values.
 *
 * The guest is not trusted: what it prints takes a bounded amount of memory, and only names and
 * plain numbers get in.
 */
#ifndef RINGER_LOADER_BENCH_ROWS_H
#define RINGER_LOADER_BENCH_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    BENCH_NAME_BYTES = 32,
    BENCH_GUEST_ROWS_MAX = 64,
    BENCH_VALUES_MAX = 80, /* the guest's rows and ours */
    BENCH_LINE_BYTES = 256,
    BENCH_TAIL_BYTES = 2048,
    BENCH_COUNTERS_MAX = 128,
    BENCH_COUNTER_BYTES = 48,
};

enum bench_unit {
    BENCH_PLAIN, /* unknown, or a ratio */
    BENCH_CYCLES,
    BENCH_NS,
    BENCH_BYTES,
    BENCH_PERCENT,
    BENCH_RATE, /* a second */
    BENCH_UNITS
};

enum bench_group { BENCH_GUEST, BENCH_PROCESS, BENCH_TRANSLATOR, BENCH_DECODER, BENCH_GROUPS };

struct bench_row {
    const char *name;
    enum bench_group group; /* BENCH_GUEST: of the guest that is built in */
    enum bench_unit unit;
    const char *what;
};

extern const struct bench_row bench_rows[];
extern const size_t bench_row_count;

/* NULL: there is no such row. */
const struct bench_row *bench_rows_find(const char *name);
/* Could it be a row's name: [a-z][a-z0-9_]*, of less than BENCH_NAME_BYTES? */
bool bench_rows_is_name(const char *word);

/* What one run gave. */
struct bench_values {
    struct {
        char name[BENCH_NAME_BYTES];
        double value;
    } of[BENCH_VALUES_MAX];
    unsigned count;
};

/* A second value of a name replaces the first.  No room: it is left out. */
void bench_rows_put(struct bench_values *values, const char *name, double value);

/* ---- what the guest prints ---- */

struct bench_lines {
    char line[BENCH_LINE_BYTES];
    size_t length;
    bool too_long;               /* the line that is being read: it is no row's */
    char tail[BENCH_TAIL_BYTES]; /* a ring of what was printed last */
    uint64_t printed;            /* bytes */
    unsigned rows;
};

/* Take in what was printed next.  Lines "NAME NUMBER [more words]" become values; a number is
 * digits, with a point and more digits or without.  The names of our own rows are not the guest's.
 */
void bench_rows_feed(struct bench_lines *lines, const char *bytes, size_t size,
                     struct bench_values *values);
/* At the end of the output: the last line may have no end. */
void bench_rows_end(struct bench_lines *lines, struct bench_values *values);
/* The last lines that were printed, fit for a terminal: at most size - 1 bytes and a 0. */
void bench_rows_tail(const struct bench_lines *lines, char *text, size_t size);

/* ---- what -d stats says ---- */

struct bench_counters {
    struct {
        char name[BENCH_COUNTER_BYTES];
        uint64_t value;
    } of[BENCH_COUNTERS_MAX];
    unsigned count;
};

/* Lines "NAME OF SEVERAL WORDS   NUMBER"; others are passed over. */
void bench_rows_read_counters(const char *text, size_t size, struct bench_counters *counters);
/* False: there is no such counter. */
bool bench_rows_counter(const struct bench_counters *counters, const char *name, uint64_t *value);
/* The translator's rows; those for which a counter is missing or a divisor is 0 are left out. */
void bench_rows_of_counters(const struct bench_counters *counters, uint64_t cpu_ns,
                            struct bench_values *values);

#endif
