/*
 * loader/display_front.h -- the front ends, for display.c only.  Each is there when its library was
 * found at build time: RINGER_HAVE_SDL, RINGER_HAVE_VNC, RINGER_HAVE_CURSES.
 */
#ifndef RINGER_LOADER_DISPLAY_FRONT_H
#define RINGER_LOADER_DISPLAY_FRONT_H

#include "loader/display.h"

struct display_sdl;
struct display_vnc;
struct display_curses;

/* NULL with the error set on failure. */
struct display_sdl *display_sdl_open(const struct display_spec *spec, struct pc *pc,
                                     const struct display_user *user, struct error *error);
void display_sdl_close(struct display_sdl *sdl);

struct display_vnc *display_vnc_open(const struct display_spec *spec, struct pc *pc,
                                     const struct display_user *user, struct error *error);
void display_vnc_close(struct display_vnc *vnc);
void display_vnc_set_password(struct display_vnc *vnc, const char *password);

struct display_curses *display_curses_open(const struct display_spec *spec, struct pc *pc,
                                           const struct display_user *user, struct error *error);
void display_curses_close(struct display_curses *curses);

#endif
