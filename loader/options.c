/*
 * loader/options.c -- the command line.
 *
 * Each option has its row in option_rows.c.  Nothing is silently ignored: what has no row is
 * unknown, what has no function is named as missing.
 */
#include "loader/options.h"

#include <string.h>

#include "loader/option_rows.h"

#define RAM_DEFAULT (UINT64_C(128) << 20)

/* "-name" or "--name". */
static const struct option_row *find_row(const char *word)
{
    const char *name = word[1] == '-' ? word + 2 : word + 1;

    for (size_t i = 0; i < option_row_count; i++)
        if (!strcmp(option_rows[i].name, name))
            return &option_rows[i];
    return NULL;
}

/* What only shows when everything has been read. */
static bool check_together(struct options *o, struct error *error)
{
    unsigned stdio_users = (o->debugcon.kind == CHARDEV_STDIO) +
                           (o->monitor.kind == CHARDEV_STDIO) + (o->gdb.kind == CHARDEV_STDIO);

    if (o->append != NULL && o->kernel == NULL)
        return error_set(error, "-append: only with -kernel");
    if (o->initrd != NULL && o->kernel == NULL)
        return error_set(error, "-initrd: only with -kernel");
    /* The terminal goes to the debug console when that asked for it by name. */
    if (o->nographic && !o->serial_given && !o->no_defaults && stdio_users == 0) {
        o->serial[0] = (struct chardev_spec){.kind = CHARDEV_STDIO, .mux = !o->monitor_given};
        o->serial_count = 1;
    }
    for (unsigned i = 0; i < o->serial_count; i++) {
        stdio_users += o->serial[i].kind == CHARDEV_STDIO;
        if (o->serial[i].kind == CHARDEV_SOCKET && o->accel == RUN_LOCKSTEP)
            return error_set(error, "-serial: no socket with -accel lockstep");
    }
    if (o->nographic && !o->monitor_given && !o->no_defaults && stdio_users == 0 &&
        o->accel != RUN_LOCKSTEP)
        o->monitor.kind = CHARDEV_STDIO;
    if (stdio_users > 1)
        return error_set(error, "-serial, -debugcon, -monitor, -gdb: only one can have stdio");
    if (o->accel == RUN_LOCKSTEP &&
        (o->gdb.kind != CHARDEV_NONE || o->monitor.kind != CHARDEV_NONE || o->start_paused))
        return error_set(error, "-gdb, -monitor, -S: not with -accel lockstep");
    if (o->accel == RUN_LOCKSTEP &&
        (o->display.vnc || (o->display.kind != DISPLAY_NONE && o->display.kind != DISPLAY_DEFAULT)))
        return error_set(error, "-display, -vnc: not with -accel lockstep");
    if (display_wants_terminal(&o->display) && stdio_users != 0)
        return error_set(error,
                         "-display curses: the terminal is taken by a serial port, the debug "
                         "console or the monitor");
    if (o->accel == RUN_LOCKSTEP)
        o->counted = true;
    return drive_complete(&o->drives, !o->no_defaults, error);
}

bool options_parse(int argc, char *const argv[], struct options *o, struct error *error)
{
    *o = (struct options){
        .ram_bytes = RAM_DEFAULT,
        .cpu_model = "max",
        .max_insns = UINT64_MAX,
        .boot_menu_wait_ms = -1,
        .boot_fail_wait_ms = -1,
    };
    *error = (struct error){0};
    for (int i = 1; i < argc; i++) {
        const char *text = argv[i], *argument = "";
        const struct option_row *row;

        if (text[0] != '-' || text[1] == '\0') {
            if (!drive_take_file(&o->drives, "hda", text, error))
                return false;
            continue;
        }
        row = find_row(text);
        if (row == NULL)
            return error_set(error, "unknown option %s (see ringer -help)", text);
        if (row->take == NULL)
            return error_set(error, "-%s: not supported yet", row->name);
        if (row->argument != NULL) {
            if (i + 1 == argc)
                return error_set(error, "-%s: needs an argument", row->name);
            argument = argv[++i];
        }
        if (!row->take(o, row->name, argument, error))
            return false;
        if (o->action != ACTION_RUN)
            return true;
    }
    return check_together(o, error);
}

bool options_takes_argument(const char *word)
{
    const struct option_row *row = word[0] == '-' ? find_row(word) : NULL;

    return row != NULL && row->argument != NULL;
}

void options_print_help(FILE *out)
{
    fprintf(out, "Ringer runs a PC in an ordinary process, without hardware virtualization.\n"
                 "usage: ringer [options], as for qemu-system-x86_64\n"
                 "       ringer bench -help: to measure Ringer itself\n\n");
    for (size_t i = 0; i < option_row_count; i++) {
        const struct option_row *row = &option_rows[i];
        char left[32];

        if (row->help == NULL)
            continue;
        snprintf(left, sizeof(left), "-%s %s", row->name, row->argument ? row->argument : "");
        fprintf(out, "  %-18s %s\n", left, row->help);
    }
    fprintf(out, "\nKnown, but not there yet:");
    for (size_t i = 0, column = 80; i < option_row_count; i++) {
        if (option_rows[i].take != NULL)
            continue;
        if (column + strlen(option_rows[i].name) + 2 > 78) {
            fprintf(out, "\n ");
            column = 1;
        }
        column += (size_t)fprintf(out, " -%s", option_rows[i].name);
    }
    fprintf(out, "\n\nOn the terminal (-nographic, -serial mon:stdio): Ctrl-A h for help, "
                 "Ctrl-A x quits.\n");
}
