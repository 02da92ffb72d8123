/*
 * loader/main.c -- the program: options in, exit status out.
 */
#include <stdio.h>
#include <string.h>

#include "cpu/cpuid.h"
#include "loader/bench.h"
#include "loader/machine.h"
#include "loader/options.h"
#include "loader/signals.h"

static int complain(const struct error *error)
{
    fprintf(stderr, "ringer: %s\n", error->text);
    return 1;
}

static int print_cpu_models(void)
{
    printf("Models (-cpu MODEL,+FEATURE,-FEATURE):\n");
    for (unsigned i = 0; cpu_model_name(i) != NULL; i++)
        printf("  %s\n", cpu_model_name(i));
    printf("\nFeatures:\n");
    for (unsigned i = 0; cpu_feature_name(i) != NULL; i++)
        printf("  %s\n", cpu_feature_name(i));
    return 0;
}

int main(int argc, char *argv[])
{
    struct options options;
    struct error error;
    int status;

    /* An image of that name: ./bench */
    if (argc > 1 && !strcmp(argv[1], "bench")) {
        status = bench_main(argc, argv, &error);
        return status < 0 ? complain(&error) : status;
    }
    if (!options_parse(argc, argv, &options, &error))
        return complain(&error);
    switch (options.action) {
    case ACTION_HELP:
        options_print_help(stdout);
        return 0;
    case ACTION_VERSION:
        printf("Ringer version " RINGER_VERSION "\n");
        return 0;
    case ACTION_CPU_HELP:
        return print_cpu_models();
    case ACTION_LOG_HELP:
        options_print_log_items(stdout);
        return 0;
    case ACTION_SWITCH_HELP:
        options_print_switches(stdout);
        return 0;
    case ACTION_RUN:
        break;
    }
    if (!options.display_given && !display_has_window())
        fprintf(stderr,
                "ringer: no window can be opened here; -nographic and -display none say so, "
                "-vnc :0 serves viewers\n");
    status = machine_run(&options, &error);
    if (status < 0)
        return complain(&error);
    signals_die();
    return status;
}
