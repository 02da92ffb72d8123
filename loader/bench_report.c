/*
 * loader/bench_report.c -- `ringer bench`: the tables that are read.
 */
#include "loader/bench_report.h"

#include <cpuid.h>
#include <string.h>

#include "loader/machine.h"

enum { VALUE_WIDTH = 14, COLUMN_LEAST = 10, TITLE_WIDTH = 18 }; /* of the tables */
enum { BRAND_LEAF = 0x80000002, BRAND_LEAVES = 3, BRAND_BYTES = 16 * BRAND_LEAVES };

/* [SDM 2A "CPUID", "Processor Brand String"] */
void bench_report_host(char name[BENCH_HOST_BYTES])
{
    unsigned words[4 * BRAND_LEAVES] = {0};
    char brand[BRAND_BYTES + 1] = "";
    size_t used = 0;

    for (unsigned i = 0; i < BRAND_LEAVES; i++)
        if (!__get_cpuid(BRAND_LEAF + i, &words[4 * i], &words[4 * i + 1], &words[4 * i + 2],
                         &words[4 * i + 3]))
            break;
    memcpy(brand, words, BRAND_BYTES);
    for (const char *c = brand; *c != '\0'; c++) {
        const bool needless = *c == ' ' && (used == 0 || name[used - 1] == ' ');

        if (*c >= ' ' && *c <= '~' && !needless)
            name[used++] = *c;
    }
    while (used > 0 && name[used - 1] == ' ')
        used--;
    name[used] = '\0';
    if (used == 0)
        strcpy(name, "x86");
}

/* Three digits or more. */
static void show_number(double value, const char *unit, char text[BENCH_SHOWN_BYTES])
{
    snprintf(text, BENCH_SHOWN_BYTES, value >= 1000 ? "%.0f%s" : "%.3g%s", value, unit);
}

void bench_report_show(double value, enum bench_unit unit, char text[BENCH_SHOWN_BYTES])
{
    switch (unit) {
    case BENCH_CYCLES:
        show_number(value, " cycles", text);
        return;
    case BENCH_NS:
        if (value >= 1e9)
            show_number(value / 1e9, " s", text);
        else if (value >= 1e6)
            show_number(value / 1e6, " ms", text);
        else if (value >= 1e3)
            show_number(value / 1e3, " us", text);
        else
            show_number(value, " ns", text);
        return;
    case BENCH_BYTES:
        show_number(value / (1 << 20), " MiB", text);
        return;
    case BENCH_PERCENT:
        show_number(value, " %", text);
        return;
    case BENCH_RATE:
        show_number(value / 1e6, " million/s", text);
        return;
    default:
        show_number(value, "", text);
    }
}

static const char *group_title(enum bench_group group, bool built_in)
{
    switch (group) {
    case BENCH_GUEST:
        return built_in ? "The guest that is built in: single operations, on the bare machine"
                        : "What the guest printed";
    case BENCH_PROCESS:
        return "The process";
    case BENCH_TRANSLATOR:
        return "The translator, over the whole run";
    default:
        return "The decoder by itself";
    }
}

static void print_heading(FILE *out, const struct bench_facts *facts)
{
    fprintf(out, "Ringer %s (%s, -cpu %s), %u run%s each, on %s\n", RINGER_VERSION, facts->accel,
            facts->cpu_model, facts->runs, facts->runs == 1 ? "" : "s", facts->host_cpu);
    if (facts->options[0] != NULL) {
        fprintf(out, "with");
        for (unsigned i = 0; facts->options[i] != NULL; i++)
            fprintf(out, strchr(facts->options[i], ' ') != NULL ? " '%s'" : " %s",
                    facts->options[i]);
        fprintf(out, "\n");
    }
}

static int name_width(const struct bench_table *table)
{
    size_t width = 0;

    for (unsigned i = 0; i < table->count; i++)
        if (strlen(table->series[i].name) > width)
            width = strlen(table->series[i].name);
    return (int)width;
}

static void print_group(FILE *out, const struct bench_facts *facts, const struct bench_table *table,
                        enum bench_group group)
{
    bool is_first = true;

    for (unsigned i = 0; i < table->count; i++) {
        const struct bench_series *series = &table->series[i];
        char value[BENCH_SHOWN_BYTES];

        if (series->group != group)
            continue;
        if (is_first)
            fprintf(out, "\n%s\n", group_title(group, facts->built_in));
        is_first = false;
        bench_report_show(bench_series_median(series), series->unit, value);
        fprintf(out, "  %-*s  %*s  %5.0f%%%s%s\n", name_width(table), series->name, VALUE_WIDTH,
                value, bench_series_spread(series), series->what[0] != '\0' ? "  " : "",
                series->what);
    }
}

void bench_report_table(FILE *out, const struct bench_facts *facts, const struct bench_table *table)
{
    print_heading(out, facts);
    fprintf(out, "  %-*s  %*s  spread\n", name_width(table), "row", VALUE_WIDTH, "median");
    for (unsigned group = 0; group < BENCH_GROUPS; group++)
        print_group(out, facts, table, group);
}

/* ---- switch by switch ---- */

static int column_width(const struct bench_series *series)
{
    char value[BENCH_SHOWN_BYTES];
    size_t width = strlen(series->name);

    bench_report_show(bench_series_median(series), series->unit, value);
    if (width < strlen(value))
        width = strlen(value);
    return width > COLUMN_LEAST ? (int)width : COLUMN_LEAST;
}

static void print_ratios(FILE *out, const struct bench_table *base, const struct bench_table *table)
{
    fprintf(out, "%-*s", TITLE_WIDTH, table->title);
    for (unsigned i = 0; i < base->count; i++) {
        const struct bench_series *as_is = &base->series[i];
        const struct bench_series *series = bench_series_find(table, as_is->name);
        const double median = bench_series_median(as_is);

        if (series != NULL && median != 0)
            fprintf(out, "  %*.2f", column_width(as_is), bench_series_median(series) / median);
        else
            fprintf(out, "  %*s", column_width(as_is), "-");
    }
    fprintf(out, "  %s\n", table->what);
}

void bench_report_ablation(FILE *out, const struct bench_facts *facts,
                           const struct bench_table *tables, unsigned count)
{
    const struct bench_table *base = &tables[0];

    print_heading(out, facts);
    fprintf(out,
            "Each switch of -x by itself: 1.30 says that with it a value is 1.3 times what it is"
            " as is.\n\n%-*s",
            TITLE_WIDTH, "");
    for (unsigned i = 0; i < base->count; i++)
        fprintf(out, "  %*s", column_width(&base->series[i]), base->series[i].name);
    fprintf(out, "\n%-*s", TITLE_WIDTH, "as is");
    for (unsigned i = 0; i < base->count; i++) {
        const struct bench_series *series = &base->series[i];
        char value[BENCH_SHOWN_BYTES];

        bench_report_show(bench_series_median(series), series->unit, value);
        fprintf(out, "  %*s", column_width(series), value);
    }
    fprintf(out, "\n%-*s", TITLE_WIDTH, "spread of that");
    for (unsigned i = 0; i < base->count; i++)
        fprintf(out, "  %*.0f%%", column_width(&base->series[i]) - 1,
                bench_series_spread(&base->series[i]));
    fprintf(out, "\n");
    for (unsigned i = 1; i < count; i++)
        print_ratios(out, base, &tables[i]);
}

void bench_report_list(FILE *out, bool built_in)
{
    for (unsigned group = built_in ? BENCH_GUEST : BENCH_PROCESS; group < BENCH_GROUPS; group++) {
        fprintf(out, "%s%s\n", group == BENCH_GUEST || !built_in ? "" : "\n",
                group_title(group, built_in));
        for (size_t i = 0; i < bench_row_count; i++)
            if (bench_rows[i].group == group)
                fprintf(out, "  %-26s %s\n", bench_rows[i].name, bench_rows[i].what);
    }
    fprintf(out,
            "\nA guest of your own has rows of its own: lines \"NAME NUMBER\" that it prints.\n");
}
