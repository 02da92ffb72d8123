/*
 * loader/monitor_internal.h -- what the monitor's files share.
 *
 *   monitor.c          the commands, and those that control the machine
 *   monitor_session.c  line editing
 *   monitor_info.c     info ...
 *   monitor_cpu.c      info registers, info mem, info tlb
 *   monitor_memory.c   x, xp, print, memsave
 *   monitor_expr.c     expressions with registers
 *   monitor_media.c    info block, eject, change, screendump
 *   monitor_keys.c     sendkey, mouse_move, mouse_button
 */
#ifndef RINGER_LOADER_MONITOR_INTERNAL_H
#define RINGER_LOADER_MONITOR_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "cpu/debugger.h"
#include "loader/machine.h"
#include "loader/monitor.h"

enum { MONITOR_LINE_BYTES = 1024, MONITOR_WORDS = 16 };

/* One command line, cut into words at blanks; a word in double quotes may hold blanks. */
struct monitor_line {
    struct machine *m;
    FILE *out;
    char text[MONITOR_LINE_BYTES];
    const char *word[MONITOR_WORDS]; /* word[0] is the command's name */
    unsigned count;
    /* What follows word[0] as it was typed, blanks and all: for expressions. */
    char rest[MONITOR_LINE_BYTES];
    char format[16]; /* the /FMT glued to the command or its first argument, without the slash */
};

struct monitor_command {
    const char *name, *alias; /* alias may be NULL */
    const char *arguments, *help;
    void (*run)(struct monitor_line *line);
    bool takes_format; /* /FMT behind the name; elsewhere a slash begins a path */
};

/* The name of the nth command that begins with `text`, or NULL. */
const char *monitor_complete(const char *text, size_t length, unsigned n);

void monitor_info(struct monitor_line *line);
void monitor_info_registers(struct monitor_line *line);
void monitor_info_mem(struct monitor_line *line);
void monitor_info_tlb(struct monitor_line *line);
void monitor_x(struct monitor_line *line);
void monitor_xp(struct monitor_line *line);
void monitor_print(struct monitor_line *line);
void monitor_memsave(struct monitor_line *line);
void monitor_pmemsave(struct monitor_line *line);
void monitor_sum(struct monitor_line *line);
void monitor_port_in(struct monitor_line *line);
void monitor_port_out(struct monitor_line *line);
void monitor_info_block(struct monitor_line *line);
void monitor_eject(struct monitor_line *line);
void monitor_change(struct monitor_line *line);
void monitor_screendump(struct monitor_line *line);
void monitor_sendkey(struct monitor_line *line);
void monitor_mouse_move(struct monitor_line *line);
void monitor_mouse_button(struct monitor_line *line);

/*
 * Evaluate a C-like expression: numbers, 'c', $registers, + - * / % & | ^ ~ ! << >> and brackets.
 * *text is moved behind it.  On failure false, and *wrong says why.
 */
bool monitor_eval(struct cpu *cpu, const char **text, uint64_t *value, const char **wrong);
/* The whole of the text must be one expression; says on line->out what is wrong with it. */
bool monitor_eval_all(struct monitor_line *line, const char *text, uint64_t *value);
/* A register's value by name (without $). */
bool monitor_register(struct cpu *cpu, const char *name, size_t length, uint64_t *value);

/* Forget keys that are still to be pressed; before the machine goes. */
void monitor_keys_stop(struct machine *m);

#endif
