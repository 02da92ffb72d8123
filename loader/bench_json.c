/*
 * loader/bench_json.c -- `ringer bench -json`: every single value [RFC 8259].
 *
 * Numbers are finite: rows are read so, and divisors are not 0.
 */
#include <inttypes.h>

#include "loader/bench_report.h"
#include "loader/machine.h"

static const char *const unit_names[BENCH_UNITS] = {
    [BENCH_PLAIN] = "", /* unknown, or a ratio */
    [BENCH_CYCLES] = "cycles",   [BENCH_NS] = "ns",           [BENCH_BYTES] = "bytes",
    [BENCH_PERCENT] = "percent", [BENCH_RATE] = "per second",
};
static const char *const group_names[BENCH_GROUPS] = {
    [BENCH_GUEST] = "guest",
    [BENCH_PROCESS] = "process",
    [BENCH_TRANSLATOR] = "translator",
    [BENCH_DECODER] = "decoder",
};

void bench_json_string(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text != '\0'; text++) {
        const unsigned char c = (unsigned char)*text;

        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c >= ' ' && c < 0x7f)
            fputc(c, out);
        else
            fprintf(out, "\\u%04x",
                    c); /* a byte that is not ASCII as the character of its number */
    }
    fputc('"', out);
}

static void write_series(FILE *out, const struct bench_series *series)
{
    fprintf(out, "{\"row\": ");
    bench_json_string(out, series->name);
    fprintf(out,
            ", \"group\": \"%s\", \"unit\": \"%s\", \"median\": %.17g, \"spread_percent\": %.17g",
            group_names[series->group], unit_names[series->unit], bench_series_median(series),
            bench_series_spread(series));
    fprintf(out, ",\n   \"values\": [");
    for (unsigned i = 0; i < series->count; i++)
        fprintf(out, "%s%.17g", i == 0 ? "" : ", ", series->values[i]);
    fprintf(out, "]}");
}

static void write_rows(FILE *out, const struct bench_table *table)
{
    fprintf(out, "[");
    for (unsigned i = 0; i < table->count; i++) {
        fprintf(out, "%s\n  ", i == 0 ? "" : ",");
        write_series(out, &table->series[i]);
    }
    fprintf(out, "]");
}

static void write_counters(FILE *out, const struct bench_counters *counters)
{
    fprintf(out, "{");
    for (unsigned i = 0; i < counters->count; i++) {
        fprintf(out, "%s\n   ", i == 0 ? "" : ",");
        bench_json_string(out, counters->of[i].name);
        fprintf(out, ": %" PRIu64, counters->of[i].value);
    }
    fprintf(out, "}");
}

static void write_strings(FILE *out, char *const *strings, unsigned count)
{
    fprintf(out, "[");
    for (unsigned i = 0; i < count; i++) {
        fprintf(out, "%s", i == 0 ? "" : ", ");
        bench_json_string(out, strings[i]);
    }
    fprintf(out, "]");
}

static void write_facts(FILE *out, const struct bench_facts *facts)
{
    unsigned options = 0;

    while (facts->options[options] != NULL)
        options++;
    fprintf(out, " \"version\": \"" RINGER_VERSION "\",\n \"host\": ");
    bench_json_string(out, facts->host_cpu);
    fprintf(out, ",\n \"accel\": \"%s\",\n \"cpu\": ", facts->accel);
    bench_json_string(out, facts->cpu_model);
    fprintf(out, ",\n \"runs\": %u,\n \"built_in_guest\": %s,\n \"text\": ", facts->runs,
            facts->built_in ? "true" : "false");
    if (facts->text != NULL)
        bench_json_string(out, facts->text);
    else
        fprintf(out, "null");
    fprintf(out, ",\n \"options\": ");
    write_strings(out, facts->options, options);
    fprintf(out, ",\n \"failures\": ");
    write_strings(out, facts->failures, facts->failure_count);
}

void bench_json_write(FILE *out, const struct bench_facts *facts, const struct bench_table *tables,
                      unsigned count)
{
    fprintf(out, "{\n");
    write_facts(out, facts);
    fprintf(out, ",\n \"rows\": ");
    write_rows(out, &tables[0]);
    fprintf(out, ",\n \"switches\": [");
    for (unsigned i = 1; i < count; i++) {
        fprintf(out, "%s\n  {\"switch\": ", i == 1 ? "" : ",");
        bench_json_string(out, tables[i].title);
        fprintf(out, ", \"rows\": ");
        write_rows(out, &tables[i]);
        fprintf(out, "}");
    }
    fprintf(out, "],\n \"counters\": [");
    for (unsigned i = 0; i < facts->counter_runs; i++) {
        fprintf(out, "%s\n  ", i == 0 ? "" : ",");
        write_counters(out, &facts->counters[i]);
    }
    fprintf(out, "]\n}\n");
}
