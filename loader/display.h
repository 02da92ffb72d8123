/*
 * loader/display.h -- what the user sees the screen with and types on: a window, a VNC server, the
 * terminal.
 */
#ifndef RINGER_LOADER_DISPLAY_H
#define RINGER_LOADER_DISPLAY_H

#include <stdbool.h>
#include <stddef.h>

#include "devices/pc.h"
#include "loader/error.h"

enum display_kind { DISPLAY_DEFAULT, DISPLAY_NONE, DISPLAY_SDL, DISPLAY_CURSES };

enum { VNC_TEXT_BYTES = 256 };

/* What the options say.  Strings point into argv. */
struct display_spec {
    enum display_kind kind;
    bool full_screen;
    bool show_cursor; /* the host's mouse pointer, over the window */
    bool vnc;         /* -vnc, besides or instead of the above */
    char vnc_host[VNC_TEXT_BYTES]; /* an address or name to listen at */
    unsigned vnc_number;           /* TCP port 5900 + this */
    bool vnc_password;
    char vnc_password_file[VNC_TEXT_BYTES]; /* "": none */
};

/* -display ARG and -vnc ARG into *spec.  False with the error set: not understood, or not built. */
bool display_parse(const char *arg, struct display_spec *spec, struct error *error);
bool display_parse_vnc(const char *arg, struct display_spec *spec, struct error *error);
/* Can a window be opened here, were none asked for by name? */
bool display_has_window(void);
/* Will there be a front end that shows pixels? */
bool display_is_open(const struct display_spec *spec);
/* Takes the terminal for itself? */
bool display_wants_terminal(const struct display_spec *spec);

/* What a front end can do to the machine as a whole; called on the machine's thread. */
struct display_user {
    void *ctx;
    void (*quit)(void *ctx); /* the window was closed */
};

struct displays; /* all that are open */

/* Open what the spec asks for.  *out is NULL when that is nothing.  Before pc_run(). */
bool displays_open(const struct display_spec *spec, struct pc *pc, const struct display_user *user,
                   struct displays **out, struct error *error);
void displays_close(struct displays *displays); /* before pc_destroy(); NULL is allowed */
/* The password of the VNC server, from now on; false: there is no VNC server. */
bool displays_set_vnc_password(struct displays *displays, const char *password);

/* The screen as it is now to a file, see picture_write(); on the machine's thread or while it does
 * not run. */
bool display_screendump(struct pc *pc, const char *path, struct error *error);

#endif
