/*
 * tests/loader/test_bench.c -- `ringer bench` without a machine: rows out of lines and counters,
 * medians, units, JSON, the command line; what a hostile guest prints.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "loader/bench_options.h"
#include "loader/bench_report.h"
#include "tests/loader/words.h"

/* The values of a whole output. */
static struct bench_values values_of(const char *bytes, size_t size)
{
    struct bench_lines lines = {0};
    struct bench_values values = {0};

    bench_rows_feed(&lines, bytes, size, &values);
    bench_rows_end(&lines, &values);
    return values;
}

static void test_lines_are_rows(void **state)
{
    static const struct {
        const char *text;
        const char *name; /* NULL: no row */
        double value;
    } cases[] = {
        {"syscall 146.5 200000\n", "syscall", 146.5},
        {"syscall 146.5 200000\r\n", "syscall", 146.5},
        {"a_1 7", "a_1", 7},
        {"x   12   more words\n", "x", 12},
        {"x 0\n", "x", 0},
        {"twice 1\ntwice 2\n", "twice", 2},
        {"\n\n\nlate 3\n", "late", 3},
        {"x\n", NULL, 0},
        {"x \n", NULL, 0},
        {" x 1\n", NULL, 0},
        {"X 1\n", NULL, 0},
        {"1x 1\n", NULL, 0},
        {"x-y 1\n", NULL, 0},
        {"x\t1\n", NULL, 0},
        {"x 1,5\n", NULL, 0},
        {"x 1.\n", NULL, 0},
        {"x .5\n", NULL, 0},
        {"x -1\n", NULL, 0},
        {"x +1\n", NULL, 0},
        {"x 1e9\n", NULL, 0},
        {"x 0x10\n", NULL, 0},
        {"x nan\n", NULL, 0},
        {"x inf\n", NULL, 0},
        {"x 1.2.3\n", NULL, 0},
        {"x 99999999999999999999999999999999\n", NULL, 0},
        {"a_name_of_thirty_two_characters_ 1\n", NULL, 0},
        {"wall 1\n", NULL, 0}, /* ours */
        {"decoded_insns 1\n", NULL, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct bench_values values = values_of(cases[i].text, strlen(cases[i].text));

        if (values.count != (cases[i].name != NULL))
            fail_msg("\"%s\": %u rows", cases[i].text, values.count);
        if (cases[i].name != NULL) {
            assert_string_equal(values.of[0].name, cases[i].name);
            assert_true(values.of[0].value == cases[i].value);
        }
    }
}

/* Pieces as a pipe gives them. */
static void test_lines_in_pieces(void **state)
{
    static const char text[] = "first 1.5 x\r\nsecond 2\nrest";
    struct bench_lines lines = {0};
    struct bench_values values = {0};

    (void)state;
    for (size_t i = 0; i < strlen(text); i++)
        bench_rows_feed(&lines, text + i, 1, &values);
    bench_rows_end(&lines, &values);
    assert_int_equal(values.count, 2);
    assert_true(values.of[0].value == 1.5);
    assert_string_equal(values.of[1].name, "second");
}

static void test_hostile_output(void **state)
{
    static const char nul_name[] = "a\0b 1\n", nul_number[] = "ab 1\0002\n";
    static char junk[1 << 20];
    struct bench_lines lines = {0};
    struct bench_values values = {0};
    char line[64], tail[100];

    (void)state;
    assert_int_equal(values_of(nul_name, sizeof(nul_name) - 1).count, 0);
    assert_int_equal(values_of(nul_number, sizeof(nul_number) - 1).count, 0);
    for (unsigned byte = 0; byte < 256; byte++) { /* lines without an end, of anything */
        memset(junk, (int)byte, sizeof(junk));
        assert_int_equal(values_of(junk, sizeof(junk)).count, 0);
        bench_rows_feed(&lines, junk, sizeof(junk), &values);
    }
    /* Behind a line that is too long the next one counts again. */
    bench_rows_feed(&lines, "\nnext 5\n", 8, &values);
    assert_int_equal(values.count, 1);
    /* The start of a line that is too long is no row. */
    memset(junk, ' ', sizeof(junk));
    memcpy(junk, "long 1", 6);
    bench_rows_feed(&lines, junk, sizeof(junk), &values);
    bench_rows_feed(&lines, "\n", 1, &values);
    assert_int_equal(values.count, 1);
    /* No more names than there is room for. */
    for (unsigned i = 0; i < 10000; i++) {
        snprintf(line, sizeof(line), "row_%u %u\n", i, i);
        bench_rows_feed(&lines, line, strlen(line), &values);
    }
    assert_int_equal(values.count, BENCH_GUEST_ROWS_MAX);
    bench_rows_put(&values, "wall", 1); /* ours have theirs */
    assert_int_equal(values.count, BENCH_GUEST_ROWS_MAX + 1);
    /* What is left for the terminal. */
    bench_rows_feed(&lines, "\033[31mred\0\n\n", 11, &values);
    bench_rows_tail(&lines, tail, sizeof(tail));
    assert_int_equal(strlen(tail), sizeof(tail) - 1 - 2);
    assert_non_null(strstr(tail, "row_9999 9999\n?[31mred?"));
}

static void test_tail_of_little(void **state)
{
    struct bench_lines lines = {0};
    struct bench_values values = {0};
    char tail[10];

    (void)state;
    bench_rows_tail(&lines, tail, sizeof(tail));
    assert_string_equal(tail, "");
    bench_rows_feed(&lines, "ab\r\n", 4, &values);
    bench_rows_tail(&lines, tail, sizeof(tail));
    assert_string_equal(tail, "ab");
    bench_rows_feed(&lines, "0123456789", 10, &values);
    bench_rows_tail(&lines, tail, sizeof(tail));
    assert_string_equal(tail, "123456789");
}

static const char stats[] = "seconds 0.060\n"
                            "instructions 237520\n"
                            "translations                       200\n"
                            "nanoseconds spent translating      1000\n"
                            "copies of blocks at other addresses 4\n"
                            "guest instructions translated      2000\n"
                            "guest bytes translated             8000\n"
                            "host bytes emitted                 20000\n"
                            "block lookups                      40\n"
                            "block lookup hits                  30\n"
                            "chains made                        100\n"
                            "blocks invalidated                 2\n"
                            "interpreted: ret          rule ret       2888\n";

static double value_of(const struct bench_values *values, const char *name)
{
    for (unsigned i = 0; i < values->count; i++)
        if (!strcmp(values->of[i].name, name))
            return values->of[i].value;
    return -1;
}

static void test_counters_are_rows(void **state)
{
    static const struct {
        const char *name;
        double value;
    } rows[] = {
        {"translated_insns", 2e9}, {"translating", 10},       {"host_bytes_per_guest_byte", 2.5},
        {"insns_per_block", 10},   {"chains_per_block", 0.5}, {"lookup_hits", 75},
        {"invalidated", 1},
    };
    struct bench_counters counters = {0};
    struct bench_values values = {0};
    uint64_t value;

    (void)state;
    bench_rows_read_counters(stats, strlen(stats), &counters);
    assert_int_equal(counters.count, 11);
    assert_true(bench_rows_counter(&counters, "copies of blocks at other addresses", &value));
    assert_int_equal(value, 4);
    bench_rows_of_counters(&counters, 10000, &values);
    assert_int_equal(values.count, sizeof(rows) / sizeof(rows[0]));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_true(value_of(&values, rows[i].name) == rows[i].value);
}

/* Without a translator, or when nothing was translated, there are none, and nothing is divided by
 * 0. */
static void test_counters_missing(void **state)
{
    static const char nothing[] = "translations 0\nguest instructions translated 0\n"
                                  "nanoseconds spent translating 0\n";
    struct bench_counters counters = {0};
    struct bench_values values = {0};

    (void)state;
    bench_rows_of_counters(&counters, 10000, &values);
    assert_int_equal(values.count, 0);
    bench_rows_read_counters(nothing, strlen(nothing), &counters);
    bench_rows_of_counters(&counters, 0, &values);
    assert_int_equal(values.count, 0);
    for (unsigned i = 0; i < 1000; i++) /* more than there is room for */
        bench_rows_read_counters(stats, strlen(stats), &counters);
    assert_int_equal(counters.count, BENCH_COUNTERS_MAX);
}

static void add(struct bench_table *table, const char *name, double value)
{
    struct bench_values values = {0};

    bench_rows_put(&values, name, value);
    assert_true(bench_series_add(table, &values, true));
}

static void test_median_and_spread(void **state)
{
    struct bench_table table = {0};
    const struct bench_series *series;

    (void)state;
    assert_null(bench_series_find(&table, "in"));
    add(&table, "in", 300);
    series = bench_series_find(&table, "in");
    assert_true(bench_series_median(series) == 300 && bench_series_spread(series) == 0);
    add(&table, "in", 100);
    assert_true(bench_series_median(series) == 200 && bench_series_spread(series) == 100);
    add(&table, "in", 110);
    assert_true(bench_series_median(series) == 110);
    assert_true(series->values[0] == 300 &&
                series->values[2] == 110); /* in the order of the runs */
    add(&table, "invalidated", 0);
    series = bench_series_find(&table, "invalidated");
    assert_true(bench_series_median(series) == 0 && bench_series_spread(series) == 0);
    for (unsigned i = 0; i < 2 * BENCH_RUNS_MAX; i++)
        add(&table, "in", 1);
    assert_int_equal(bench_series_find(&table, "in")->count, BENCH_RUNS_MAX);
    bench_series_free(&table);
}

/* The guest's own rows are what it says; the names of ours mean the same everywhere. */
static void test_rows_of_another_guest(void **state)
{
    struct bench_table table = {0};
    struct bench_values values = {0};

    (void)state;
    bench_rows_put(&values, "syscall", 1);
    bench_rows_put(&values, "wall", 1);
    assert_true(bench_series_add(&table, &values, false));
    assert_int_equal(bench_series_find(&table, "syscall")->unit, BENCH_PLAIN);
    assert_string_equal(bench_series_find(&table, "syscall")->what, "");
    assert_int_equal(bench_series_find(&table, "wall")->unit, BENCH_NS);
    bench_series_free(&table);
}

static void test_units(void **state)
{
    static const struct {
        double value;
        enum bench_unit unit;
        const char *text;
    } cases[] = {
        {5.13, BENCH_CYCLES, "5.13 cycles"},
        {1131.8, BENCH_CYCLES, "1132 cycles"},
        {999, BENCH_NS, "999 ns"},
        {1500, BENCH_NS, "1.5 us"},
        {2.5e6, BENCH_NS, "2.5 ms"},
        {1.234e12, BENCH_NS, "1234 s"},
        {3 << 19, BENCH_BYTES, "1.5 MiB"},
        {99.94, BENCH_PERCENT, "99.9 %"},
        {42.64e6, BENCH_RATE, "42.6 million/s"},
        {0.1889, BENCH_PLAIN, "0.189"},
        {0, BENCH_PLAIN, "0"},
        {9999999999999999999.0, BENCH_CYCLES, "10000000000000000000 cycles"},
    };
    char text[BENCH_SHOWN_BYTES];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bench_report_show(cases[i].value, cases[i].unit, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void test_json_strings(void **state)
{
    static const struct {
        const char *text, *json;
    } cases[] = {
        {"", "\"\""},
        {"plain text", "\"plain text\""},
        {"a\"b\\c/", "\"a\\\"b\\\\c/\""},
        {"\n\t\033", "\"\\u000a\\u0009\\u001b\""},
        {"\x7f\xff", "\"\\u007f\\u00ff\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *written = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&written, &size);

        bench_json_string(out, cases[i].text);
        fclose(out);
        assert_string_equal(written, cases[i].json);
        free(written);
    }
}

/* ---- the command line ---- */

static bool parse(const char *line, struct bench_options *options, struct error *error)
{
    char *argv[WORDS_MAX] = {"ringer", "bench"};

    return bench_options_parse(words_split(line, argv, 2), argv, options, error);
}

static void test_options(void **state)
{
    struct bench_options options;
    struct error error;

    (void)state;
    assert_true(parse("", &options, &error));
    assert_int_equal(options.runs, 3);
    assert_true(bench_options_wants(&options, "anything"));
    assert_int_equal(options.machine_count, 1);
    assert_null(options.machine[1]);
    bench_options_free(&options);

    assert_true(
        parse("in --runs 7 wall in -m 64 -append -runs -json - -limit 9 disk -text t -ablate",
              &options, &error));
    assert_int_equal(options.action, BENCH_ABLATE);
    assert_int_equal(options.runs, 7);
    assert_int_equal(options.limit_s, 9);
    assert_string_equal(options.json, "-");
    assert_string_equal(options.text, "t");
    assert_int_equal(options.row_count, 2);
    assert_true(bench_options_wants(&options, "wall") && !bench_options_wants(&options, "cpu"));
    assert_int_equal(options.machine_count, 6);
    assert_string_equal(options.machine[1], "-m");
    assert_string_equal(options.machine[2], "64");
    assert_string_equal(options.machine[4], "-runs"); /* of -append */
    assert_string_equal(options.machine[5], "disk");
    bench_options_free(&options);

    assert_true(parse("-list", &options, &error));
    assert_int_equal(options.action, BENCH_LIST);
    bench_options_free(&options);
    assert_true(parse("--help", &options, &error));
    assert_int_equal(options.action, BENCH_HELP);
    bench_options_free(&options);
}

static void test_option_errors(void **state)
{
    static const struct {
        const char *line, *message; /* the message begins so */
    } cases[] = {
        {"-runs", "-runs: needs an argument"},
        {"--json", "-json: needs an argument"},
        {"-runs 0", "-runs 0: not a number from 1"},
        {"-runs 1001", "-runs 1001: not a number from 1"},
        {"-runs many", "-runs many: not a number from 1"},
        {"-limit 0", "-limit 0: not a number"},
        {"disk.img", "disk.img: not a row's name (a disk image: -hda FILE)"},
        {"in Wall", "Wall: not a row's name"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bench_options options;
        struct error error;

        assert_false(parse(cases[i].line, &options, &error));
        if (strncmp(error.text, cases[i].message, strlen(cases[i].message)) != 0)
            fail_msg("%s: %s", cases[i].line, error.text);
        bench_options_free(&options);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_are_rows),
        cmocka_unit_test(test_lines_in_pieces),
        cmocka_unit_test(test_hostile_output),
        cmocka_unit_test(test_tail_of_little),
        cmocka_unit_test(test_counters_are_rows),
        cmocka_unit_test(test_counters_missing),
        cmocka_unit_test(test_median_and_spread),
        cmocka_unit_test(test_rows_of_another_guest),
        cmocka_unit_test(test_units),
        cmocka_unit_test(test_json_strings),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_option_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
