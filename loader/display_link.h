/*
 * loader/display_link.h -- between the machine's thread and a front end with a thread of its own.
 *
 * The machine's thread copies what changed into the link's picture, under a lock; the front end's
 * thread takes it from there when it has time.  Keys and mouse go the other way through a queue
 * that the machine's thread empties when a descriptor becomes readable.
 */
#ifndef RINGER_LOADER_DISPLAY_LINK_H
#define RINGER_LOADER_DISPLAY_LINK_H

#include "loader/display.h"
#include "loader/keys.h"

struct display_link;

/* What has changed since the front end took the picture last. */
struct display_frame {
    struct display_surface surface;
    bool resized;
    struct display_rect rects[DISPLAY_RECTS_MAX];
    size_t rect_count;
};

/* wake: called on the machine's thread, once, when there is something to take; the link is not
 * locked.  NULL with the error set on failure. */
struct display_link *display_link_open(struct pc *pc, const struct display_user *user,
                                       void (*wake)(void *ctx), void *ctx, struct error *error);
/* When the front end's thread has ended. */
void display_link_close(struct display_link *link);

/* ---- for the front end's thread ---- */

/* Take the picture: locked until it is given back, so be quick. */
const struct display_frame *display_link_take(struct display_link *link);
void display_link_give_back(struct display_link *link);
void display_link_key(struct display_link *link, const struct key *key, bool down);
/* A character's keysym; shift is pressed around it where a US keyboard needs it and nobody holds
 * it. */
void display_link_keysym(struct display_link *link, uint32_t keysym, bool down);
/* Right, down and wheel-towards-the-user are positive, as screens count. */
void display_link_motion(struct display_link *link, int dx, int dy, int dz, unsigned buttons);
/* Where the pointer is on the picture; becomes motion from where it was last. */
void display_link_pointer(struct display_link *link, int x, int y, int dz, unsigned buttons);
/* Does anybody look?  While not, nothing is drawn; at first somebody does. */
void display_link_look(struct display_link *link, bool on);
/* The user wants to end. */
void display_link_quit(struct display_link *link);

#endif
