/*
 * loader/display.c -- -display and -vnc: what was asked for, what was built, what is open.
 */
#include "loader/display.h"

#include <stdlib.h>
#include <string.h>

#include "loader/display_front.h"
#include "loader/png.h"
#include "loader/signals.h"

enum { VNC_NUMBER_MAX = 59635 }; /* port 65535 */

struct displays {
    struct display_sdl *sdl;
    struct display_vnc *vnc;
    struct display_curses *curses;
};

/* ---- what was not built ---- */

#ifndef RINGER_HAVE_SDL
struct display_sdl *display_sdl_open(const struct display_spec *spec, struct pc *pc,
                                     const struct display_user *user, struct error *error)
{
    (void)spec, (void)pc, (void)user;
    (void)error_set(error, "-display sdl: built without SDL2 (Debian: libsdl2-dev)");
    return NULL;
}

void display_sdl_close(struct display_sdl *sdl)
{
    (void)sdl;
}
#endif

#ifndef RINGER_HAVE_VNC
struct display_vnc *display_vnc_open(const struct display_spec *spec, struct pc *pc,
                                     const struct display_user *user, struct error *error)
{
    (void)spec, (void)pc, (void)user;
    (void)error_set(error, "-vnc: built without libvncserver (Debian: libvncserver-dev)");
    return NULL;
}

void display_vnc_close(struct display_vnc *vnc)
{
    (void)vnc;
}

void display_vnc_set_password(struct display_vnc *vnc, const char *password)
{
    (void)vnc, (void)password;
}
#endif

#ifndef RINGER_HAVE_CURSES
struct display_curses *display_curses_open(const struct display_spec *spec, struct pc *pc,
                                           const struct display_user *user, struct error *error)
{
    (void)spec, (void)pc, (void)user;
    (void)error_set(error, "-display curses: built without ncursesw (Debian: libncurses-dev)");
    return NULL;
}

void display_curses_close(struct display_curses *curses)
{
    (void)curses;
}
#endif

/* ---- options ---- */

/* The next part of key=value,key=value; *text moves behind it.  False at the end. */
static bool next_part(const char **text, char part[VNC_TEXT_BYTES], const char **value,
                      const char *option, struct error *error)
{
    const size_t length = strcspn(*text, ",");
    char *equals;

    if (**text == '\0' || error->text[0] != '\0')
        return false;
    if (length >= VNC_TEXT_BYTES)
        return error_set(error, "%s: the argument is too long", option);
    memcpy(part, *text, length);
    part[length] = '\0';
    *text += length;
    if (**text == ',')
        (*text)++;
    equals = strchr(part, '=');
    *value = NULL;
    if (equals != NULL) {
        *equals = '\0';
        *value = equals + 1;
    }
    return true;
}

/* key or key=on|off */
static bool is_switch(const char *value, bool *on)
{
    *on = value == NULL || !strcmp(value, "on") || !strcmp(value, "yes");
    return *on || !strcmp(value, "off") || !strcmp(value, "no");
}

/* :N, HOST:N or [IPV6]:N */
static bool parse_address(const char *text, struct display_spec *spec, struct error *error)
{
    const char *colon = strrchr(text, ':');
    const char *host = text, *end = colon;
    char *number_end;

    if (!strncmp(text, "unix:", 5))
        return error_set(error, "-vnc %s: supported are :N and HOST:N", text);
    if (colon == NULL || colon[1] < '0' || colon[1] > '9')
        return error_set(error, "-vnc %s: not an address (:N, HOST:N or none)", text);
    spec->vnc_number = (unsigned)strtoul(colon + 1, &number_end, 10);
    if (*number_end != '\0' || spec->vnc_number > VNC_NUMBER_MAX || strlen(colon + 1) > 5)
        return error_set(error, "-vnc %s: the number is 0 to %d", text, VNC_NUMBER_MAX);
    if (*host == '[' && end > host && end[-1] == ']') {
        host++;
        end--;
    }
    memcpy(spec->vnc_host, host, (size_t)(end - host));
    spec->vnc_host[end - host] = '\0';
    if (host == end)
        strcpy(spec->vnc_host, "127.0.0.1"); /* whoever wants the world to see says so */
    return true;
}

bool display_parse_vnc(const char *arg, struct display_spec *spec, struct error *error)
{
    char part[VNC_TEXT_BYTES];
    const char *value;
    bool first = true;

    spec->vnc = strcmp(arg, "none") != 0;
    if (!spec->vnc)
        return true;
    while (next_part(&arg, part, &value, "-vnc", error)) {
        if (first) {
            if (value != NULL)
                break;
            if (!parse_address(part, spec, error))
                return false;
        } else if (!strcmp(part, "password") && is_switch(value, &spec->vnc_password)) {
            ;
        } else if (!strcmp(part, "password-file") && value != NULL && value[0] != '\0') {
            spec->vnc_password = true;
            strcpy(spec->vnc_password_file, value);
        } else {
            return error_set(error,
                             "-vnc: after the address come password=on|off and "
                             "password-file=FILE, not \"%s\"",
                             part);
        }
        first = false;
    }
    if (error->text[0] == '\0' && first)
        return error_set(error, "-vnc: needs an address (:N, HOST:N or none)");
    return error->text[0] == '\0';
}

bool display_parse(const char *arg, struct display_spec *spec, struct error *error)
{
    char part[VNC_TEXT_BYTES];
    const char *value, *all = arg;

    if (!strncmp(arg, "vnc=", 4)) {
        spec->kind = DISPLAY_NONE;
        return display_parse_vnc(arg + 4, spec, error);
    }
    if (!next_part(&arg, part, &value, "-display", error))
        return error->text[0] == '\0' ? error_set(error, "-display: needs a kind") : false;
    if (!strcmp(part, "none") && value == NULL && *arg == '\0')
        spec->kind = DISPLAY_NONE;
    else if (!strcmp(part, "default") && value == NULL && *arg == '\0')
        spec->kind = DISPLAY_DEFAULT;
    else if (!strcmp(part, "curses") && value == NULL && *arg == '\0')
        spec->kind = DISPLAY_CURSES;
    else if (!strcmp(part, "sdl") && value == NULL)
        spec->kind = DISPLAY_SDL;
    else
        return error_set(error, "-display %s: supported are sdl, vnc=:N, curses, none, default",
                         all);
    while (next_part(&arg, part, &value, "-display", error)) {
        bool on;

        if (!strcmp(part, "full-screen") && is_switch(value, &spec->full_screen))
            continue;
        if (!strcmp(part, "show-cursor") && is_switch(value, &spec->show_cursor))
            continue;
        if (!strcmp(part, "gl") && is_switch(value, &on) && !on)
            continue;
        return error_set(error, "-display %s: sdl takes full-screen=on|off, show-cursor=on|off",
                         all);
    }
    return error->text[0] == '\0';
}

bool display_has_window(void)
{
#ifdef RINGER_HAVE_SDL
    return getenv("DISPLAY") != NULL || getenv("WAYLAND_DISPLAY") != NULL;
#else
    return false;
#endif
}

bool display_wants_terminal(const struct display_spec *spec)
{
    return spec->kind == DISPLAY_CURSES;
}

/* ---- open, close ---- */

static bool wants_window(const struct display_spec *spec)
{
    return spec->kind == DISPLAY_SDL ||
           (spec->kind == DISPLAY_DEFAULT && !spec->vnc && display_has_window());
}

bool display_is_open(const struct display_spec *spec)
{
    return spec->vnc || wants_window(spec);
}

bool displays_open(const struct display_spec *spec, struct pc *pc, const struct display_user *user,
                   struct displays **out, struct error *error)
{
    const bool window = wants_window(spec);
    struct displays *displays;

    *out = NULL;
    if (!window && spec->kind != DISPLAY_CURSES && !spec->vnc)
        return true;
    displays = calloc(1, sizeof(*displays));
    if (displays == NULL)
        return error_set(error, "-display: not enough host memory");
    if (spec->vnc)
        displays->vnc = display_vnc_open(spec, pc, user, error);
    if (window && (!spec->vnc || displays->vnc != NULL))
        displays->sdl = display_sdl_open(spec, pc, user, error);
    if (spec->kind == DISPLAY_CURSES && (!spec->vnc || displays->vnc != NULL))
        displays->curses = display_curses_open(spec, pc, user, error);
    if ((spec->vnc && displays->vnc == NULL) || (window && displays->sdl == NULL) ||
        (spec->kind == DISPLAY_CURSES && displays->curses == NULL)) {
        displays_close(displays);
        return false;
    }
    signals_use_alternate_stack();
    *out = displays;
    return true;
}

void displays_close(struct displays *displays)
{
    if (displays == NULL)
        return;
    display_sdl_close(displays->sdl);
    display_vnc_close(displays->vnc);
    display_curses_close(displays->curses);
    free(displays);
}

bool displays_set_vnc_password(struct displays *displays, const char *password)
{
    if (displays == NULL || displays->vnc == NULL)
        return false;
    display_vnc_set_password(displays->vnc, password);
    return true;
}

bool display_screendump(struct pc *pc, const char *path, struct error *error)
{
    const struct display_surface *surface = pc_screen_surface(pc);

    if (surface == NULL)
        return error_set(error, "%s: there is no screen to write", path);
    return picture_write(path, surface, error);
}
