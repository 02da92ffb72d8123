/*
 * loader/bench_rows.c -- `ringer bench`: its rows, and their values out of lines and counters.
 */
#include "loader/bench_rows.h"

#include <stdlib.h>
#include <string.h>

enum { NUMBER_BYTES = 20 }; /* of a guest's number: exact enough, and finite */

/* clang-format off */
const struct bench_row bench_rows[] = {
    /* As bench/guest/nano.asm has them. */
    {"syscall",      BENCH_GUEST,      BENCH_CYCLES,  "SYSCALL from level 3, SYSRET at once"},
    {"in",           BENCH_GUEST,      BENCH_CYCLES,  "a byte from port 0x80"},
    {"cr8wr",        BENCH_GUEST,      BENCH_CYCLES,  "the task priority is raised or lowered"},
    {"callret",      BENCH_GUEST,      BENCH_CYCLES,  "a call of a function that returns"},
    {"pgfault",      BENCH_GUEST,      BENCH_CYCLES,  "a read of an absent page, its handler, IRET"},
    {"divzero",      BENCH_GUEST,      BENCH_CYCLES,  "a division by zero, its handler, IRET"},
    {"ptemod",       BENCH_GUEST,      BENCH_CYCLES,  "a write to a page-table entry in use"},
    {"ptemod_use",   BENCH_GUEST,      BENCH_CYCLES,  "the same, INVLPG, a read by the new entry"},
    {"code_first",   BENCH_GUEST,      BENCH_CYCLES,  "an instruction of code that runs for the first time"},
    {"code_second",  BENCH_GUEST,      BENCH_CYCLES,  "the second time"},
    {"code_third",   BENCH_GUEST,      BENCH_CYCLES,  "the third time"},

    {"wall",         BENCH_PROCESS,    BENCH_NS,      "from the start of the process to its end"},
    {"cpu",          BENCH_PROCESS,    BENCH_NS,      "processor time, user and system, of all its threads"},
    {"peak_rss",     BENCH_PROCESS,    BENCH_BYTES,   "most memory resident at a time (mapped twice counts twice)"},

    {"translated_insns", BENCH_TRANSLATOR, BENCH_RATE, "guest instructions translated per second spent translating"},
    {"translating",  BENCH_TRANSLATOR, BENCH_PERCENT, "share of the processor time that was spent translating"},
    {"host_bytes_per_guest_byte", BENCH_TRANSLATOR, BENCH_PLAIN, "how much larger than the guest's code the host's is"},
    {"insns_per_block", BENCH_TRANSLATOR, BENCH_PLAIN, "guest instructions in a block"},
    {"chains_per_block", BENCH_TRANSLATOR, BENCH_PLAIN, "jumps patched to go straight to another block"},
    {"lookup_hits",  BENCH_TRANSLATOR, BENCH_PERCENT, "share of look-ups in the cache of blocks that found one"},
    {"invalidated",  BENCH_TRANSLATOR, BENCH_PERCENT, "share of blocks that were dropped: their code was written to"},

    {"decoded_insns", BENCH_DECODER,   BENCH_RATE,    "instructions that the decoder alone takes apart, of -text"},
};
/* clang-format on */
const size_t bench_row_count = sizeof(bench_rows) / sizeof(bench_rows[0]);

const struct bench_row *bench_rows_find(const char *name)
{
    for (size_t i = 0; i < bench_row_count; i++)
        if (!strcmp(bench_rows[i].name, name))
            return &bench_rows[i];
    return NULL;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool bench_rows_is_name(const char *word)
{
    size_t length = 0;

    if (word[0] < 'a' || word[0] > 'z')
        return false;
    while ((word[length] >= 'a' && word[length] <= 'z') || is_digit(word[length]) ||
           word[length] == '_')
        length++;
    return word[length] == '\0' && length < BENCH_NAME_BYTES;
}

void bench_rows_put(struct bench_values *values, const char *name, double value)
{
    unsigned i;

    for (i = 0; i < values->count; i++)
        if (!strcmp(values->of[i].name, name))
            break;
    if (i == BENCH_VALUES_MAX || strlen(name) >= BENCH_NAME_BYTES)
        return;
    strcpy(values->of[i].name, name);
    values->of[i].value = value;
    if (i == values->count)
        values->count++;
}

/* ---- what the guest prints ---- */

/* Digits, with a point and more digits or without: no sign, exponent, "nan". */
static bool read_number(const char *text, size_t length, double *value)
{
    char copy[NUMBER_BYTES];
    size_t at = 0;

    if (length >= sizeof(copy))
        return false;
    while (at < length && is_digit(text[at]))
        at++;
    if (at == 0)
        return false;
    if (at < length && text[at] == '.' && at + 1 < length)
        for (at++; at < length && is_digit(text[at]); at++)
            ;
    if (at != length)
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    *value = strtod(copy, NULL);
    return true;
}

/* A whole line, without its end; it may hold any bytes. */
static void take_line(struct bench_lines *lines, struct bench_values *values)
{
    const char *line = lines->line, *number, *end = line + lines->length;
    const char *blank = memchr(line, ' ', lines->length);
    const struct bench_row *row;
    char name[BENCH_NAME_BYTES];
    unsigned before = values->count;
    double value;

    if (lines->too_long || blank == NULL || blank - line >= BENCH_NAME_BYTES)
        return;
    memcpy(name, line, (size_t)(blank - line));
    name[blank - line] = '\0';
    if (!bench_rows_is_name(name) || strlen(name) != (size_t)(blank - line))
        return;
    number = blank;
    while (number < end && *number == ' ')
        number++;
    blank = memchr(number, ' ', (size_t)(end - number));
    if (!read_number(number, (size_t)((blank != NULL ? blank : end) - number), &value))
        return;
    row = bench_rows_find(name);
    if ((row != NULL && row->group != BENCH_GUEST) || lines->rows == BENCH_GUEST_ROWS_MAX)
        return;
    bench_rows_put(values, name, value);
    lines->rows += values->count - before;
}

void bench_rows_end(struct bench_lines *lines, struct bench_values *values)
{
    take_line(lines, values);
    lines->length = 0;
    lines->too_long = false;
}

void bench_rows_feed(struct bench_lines *lines, const char *bytes, size_t size,
                     struct bench_values *values)
{
    for (size_t i = 0; i < size; i++) {
        lines->tail[lines->printed++ % BENCH_TAIL_BYTES] = bytes[i];
        if (bytes[i] == '\n' || bytes[i] == '\r')
            bench_rows_end(lines, values);
        else if (lines->length < BENCH_LINE_BYTES)
            lines->line[lines->length++] = bytes[i];
        else
            lines->too_long = true;
    }
}

void bench_rows_tail(const struct bench_lines *lines, char *text, size_t size)
{
    uint64_t kept = lines->printed < BENCH_TAIL_BYTES ? lines->printed : BENCH_TAIL_BYTES;
    size_t used = 0;

    if (kept > size - 1)
        kept = size - 1;
    for (uint64_t at = lines->printed - kept; at < lines->printed; at++) {
        const char c = lines->tail[at % BENCH_TAIL_BYTES];

        if (c == '\r')
            continue;
        text[used++] = (char)(c == '\n' || (c >= ' ' && c <= '~') ? c : '?');
    }
    while (used > 0 && text[used - 1] == '\n')
        used--;
    text[used] = '\0';
}

/* ---- what -d stats says ---- */

static void read_counter(const char *line, size_t length, struct bench_counters *counters)
{
    static const char list[] = "interpreted:"; /* of forms of instructions, no counters of ours */
    char number[NUMBER_BYTES + 1];
    size_t name, at = length;

    while (at > 0 && is_digit(line[at - 1]))
        at--;
    name = at;
    while (name > 0 && line[name - 1] == ' ')
        name--;
    if (at == length || length - at >= sizeof(number) || name == at || name == 0 ||
        name >= BENCH_COUNTER_BYTES || counters->count == BENCH_COUNTERS_MAX ||
        (name >= strlen(list) && !memcmp(line, list, strlen(list))))
        return;
    memcpy(number, line + at, length - at);
    number[length - at] = '\0';
    memcpy(counters->of[counters->count].name, line, name);
    counters->of[counters->count].name[name] = '\0';
    counters->of[counters->count++].value = strtoull(number, NULL, 10);
}

void bench_rows_read_counters(const char *text, size_t size, struct bench_counters *counters)
{
    const char *end = text + size;

    while (text < end) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        const size_t length = (size_t)((stop != NULL ? stop : end) - text);

        read_counter(text, length, counters);
        text += length + 1;
    }
}

bool bench_rows_counter(const struct bench_counters *counters, const char *name, uint64_t *value)
{
    for (unsigned i = 0; i < counters->count; i++) {
        if (!strcmp(counters->of[i].name, name)) {
            *value = counters->of[i].value;
            return true;
        }
    }
    return false;
}

void bench_rows_of_counters(const struct bench_counters *counters, uint64_t cpu_ns,
                            struct bench_values *values)
{
    static const char insns[] = "guest instructions translated", blocks[] = "translations",
                      time[] = "nanoseconds spent translating";
    static const struct {
        const char *row, *dividend, *divisor; /* NULL: the processor time */
        double scale;
    } quotients[] = {
        {"translated_insns", insns, time, 1e9},
        {"translating", time, NULL, 100},
        {"host_bytes_per_guest_byte", "host bytes emitted", "guest bytes translated", 1},
        {"insns_per_block", insns, blocks, 1},
        {"chains_per_block", "chains made", blocks, 1},
        {"lookup_hits", "block lookup hits", "block lookups", 100},
        {"invalidated", "blocks invalidated", blocks, 100},
    };

    for (size_t i = 0; i < sizeof(quotients) / sizeof(quotients[0]); i++) {
        uint64_t a, b = cpu_ns;

        if (!bench_rows_counter(counters, quotients[i].dividend, &a) ||
            (quotients[i].divisor != NULL &&
             !bench_rows_counter(counters, quotients[i].divisor, &b)) ||
            b == 0)
            continue;
        bench_rows_put(values, quotients[i].row, (double)a * quotients[i].scale / (double)b);
    }
}
