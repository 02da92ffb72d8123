/*
 * loader/monitor.c -- the monitor's commands, and those that control the machine.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "loader/monitor_internal.h"

/* ---- control ---- */

static void run_stop(struct monitor_line *line)
{
    pc_pause(line->m->pc, PC_PAUSE_USER);
}

static void run_cont(struct monitor_line *line)
{
    if (pc_cont(line->m->pc) != 0)
        fprintf(line->out, "The machine is off: system_reset first\n");
}

static void run_quit(struct monitor_line *line)
{
    line->m->quit = true;
    pc_stop(line->m->pc);
}

static void run_reset(struct monitor_line *line)
{
    pc_ask(line->m->pc, PC_ASK_RESET);
}

static void run_powerdown(struct monitor_line *line)
{
    pc_ask(line->m->pc, PC_ASK_POWERDOWN);
}

static void run_nmi(struct monitor_line *line)
{
    pc_ask(line->m->pc, PC_ASK_NMI);
}

static void run_boot_set(struct monitor_line *line)
{
    if (line->count != 2 || line->word[1][strspn(line->word[1], "acdn")] != '\0' ||
        strlen(line->word[1]) > 3)
        fprintf(line->out, "boot_set ORDER: up to three of a (floppy), c (disk), d (CD-ROM), n\n");
    else
        pc_set_boot_order(line->m->pc, line->word[1]);
}

/* ---- logging ---- */

static void run_log(struct monitor_line *line)
{
    struct error error = {0};

    if (line->count < 2) {
        fprintf(line->out, "log: the items, or none:\n");
        options_print_log_items(line->out);
    } else if (!machine_set_log(line->m, line->word[1], &error)) {
        fprintf(line->out, "%s\n", error.text);
    }
}

/* ---- help ---- */

static void run_help(struct monitor_line *line);

/* clang-format off */
static const struct monitor_command commands[] = {
    {"help",             "?",  "[COMMAND]",         "this list",                               run_help, false},
    {"info",             NULL, "[SUBJECT]",         "show something of the machine",           monitor_info, false},
    {"stop",             "s",  "",                  "stop the machine",                        run_stop, false},
    {"cont",             "c",  "",                  "let it go on",                            run_cont, false},
    {"quit",             "q",  "",                  "end the program",                         run_quit, false},
    {"system_reset",     NULL, "",                  "press the reset button",                  run_reset, false},
    {"system_powerdown", NULL, "",                  "press the power button",                  run_powerdown, false},
    {"nmi",              NULL, "",                  "raise a non-maskable interrupt",          run_nmi, false},
    {"sendkey",          NULL, "KEY[-KEY...] [MS]", "press keys together, for 100 ms or MS",   monitor_sendkey, false},
    {"mouse_move",       NULL, "DX DY [DZ]",        "move the mouse: right, down, wheel",      monitor_mouse_move, false},
    {"mouse_button",     NULL, "STATE",             "mouse buttons: 1 left, 2 right, 4 middle", monitor_mouse_button, false},
    {"screendump",       NULL, "FILE.png|FILE.ppm", "save a picture of the screen",            monitor_screendump, false},
    {"eject",            NULL, "[-f] DRIVE",        "take the medium out (-f: locked or not)", monitor_eject, false},
    {"change",           NULL, "[-f] DRIVE FILE [FORMAT [MODE]]", "put another medium in; change vnc password WORD", monitor_change, false},
    {"x",                NULL, "/FMT ADDRESS",      "dump memory at a linear address",         monitor_x, true},
    {"xp",               NULL, "/FMT ADDRESS",      "dump memory at a physical address",       monitor_xp, true},
    {"print",            "p",  "[/FMT] EXPRESSION", "value of an expression ($eax, 2*$esp)",   monitor_print, true},
    {"sum",              NULL, "ADDRESS SIZE",      "checksum of physical memory",             monitor_sum, false},
    {"i",                NULL, "/FMT PORT",         "read an I/O port (/b, /h, /w)",           monitor_port_in, true},
    {"o",                NULL, "/FMT PORT VALUE",   "write an I/O port",                       monitor_port_out, true},
    {"boot_set",         NULL, "ORDER",             "boot order of the next start (a, c, d)",  run_boot_set, false},
    {"memsave",          NULL, "ADDRESS SIZE FILE", "save linear memory to a file",            monitor_memsave, false},
    {"pmemsave",         NULL, "ADDRESS SIZE FILE", "save physical memory to a file",          monitor_pmemsave, false},
    {"log",              NULL, "ITEM[,ITEM...]",    "log these, or none (as -d)",              run_log, false},
};
/* clang-format on */
enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static bool is_name(const char *name, const char *text, size_t length)
{
    return name != NULL && strlen(name) == length && !strncmp(name, text, length);
}

static const struct monitor_command *find_command(const char *text, size_t length)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (is_name(commands[i].name, text, length) || is_name(commands[i].alias, text, length))
            return &commands[i];
    return NULL;
}

static void run_help(struct monitor_line *line)
{
    const struct monitor_command *one =
        line->count > 1 ? find_command(line->word[1], strlen(line->word[1])) : NULL;

    for (size_t i = 0; i < COMMANDS; i++) {
        const struct monitor_command *c = &commands[i];

        if (one == NULL || one == c)
            fprintf(line->out, "%s%s%s%s%s -- %s\n", c->name, c->alias != NULL ? "|" : "",
                    c->alias != NULL ? c->alias : "", *c->arguments != '\0' ? " " : "",
                    c->arguments, c->help);
    }
    if (one == NULL)
        fprintf(line->out, "FMT is [COUNT][x|d|u|o|c|i|s][b|h|w|g]: how many, as what (i: "
                           "instructions, s: strings), how large\n");
}

const char *monitor_complete(const char *text, size_t length, unsigned n)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (length != 0 && !strncmp(commands[i].name, text, length) && n-- == 0)
            return commands[i].name;
    return NULL;
}

/* ---- one line ---- */

/* The next word, moved along *at; false: a quote is not closed or there are too many words. */
static bool take_words(struct monitor_line *line)
{
    char *at = line->text;

    for (;;) {
        char *to;

        while (isspace((unsigned char)*at))
            *at++ = '\0';
        if (*at == '\0')
            return true;
        if (line->count == MONITOR_WORDS)
            return false;
        if (*at != '"') {
            line->word[line->count++] = at;
            while (*at != '\0' && !isspace((unsigned char)*at))
                at++;
            continue;
        }
        line->word[line->count++] = to = ++at;
        while (*at != '"') {
            if (*at == '\\' && at[1] != '\0')
                at++;
            if (*at == '\0')
                return false;
            *to++ = *at++;
        }
        *at++ = '\0';
        *to = '\0';
    }
}

/* "x/4xw ADDRESS", "x /4xw ADDRESS": cut the format out, into line->format. */
static bool take_format(struct monitor_line *line)
{
    char *slash = strchr(line->text, '/');
    const size_t name = strcspn(line->text, " \t/");
    const struct monitor_command *command;
    size_t length;

    if (slash == NULL || slash != line->text + name + strspn(line->text + name, " \t"))
        return true;
    command = find_command(line->text, name);
    if (command == NULL || !command->takes_format)
        return true;
    length = strcspn(slash + 1, " \t");
    if (length >= sizeof(line->format))
        return false;
    memcpy(line->format, slash + 1, length);
    memset(slash, ' ', length + 1);
    return true;
}

void monitor_command(struct machine *m, const char *text, FILE *out)
{
    struct monitor_line line = {.m = m, .out = out};
    const struct monitor_command *command;
    const char *rest;

    while (isspace((unsigned char)*text))
        text++;
    if (*text == '\0')
        return;
    if (strlen(text) >= sizeof(line.text)) {
        fprintf(out, "the line is too long\n");
        return;
    }
    strcpy(line.text, text);
    if (!take_format(&line)) {
        fprintf(out, "the format is too long\n");
        return;
    }
    rest = line.text + strcspn(line.text, " \t");
    strcpy(line.rest, rest + strspn(rest, " \t"));
    if (!take_words(&line)) {
        fprintf(out, "too many words, or a quote that does not end\n");
        return;
    }
    command = line.count != 0 ? find_command(line.word[0], strlen(line.word[0])) : NULL;
    if (command == NULL)
        fprintf(out, "unknown command: '%s'\n", line.count != 0 ? line.word[0] : "");
    else
        command->run(&line);
}
