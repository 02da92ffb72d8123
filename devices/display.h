/*
 * devices/display.h -- what a screen shows, for whoever looks at it.
 *
 * The machine renders into a surface when somebody looks and something changed, at most 30 times a
 * second; a screen that does not change costs nothing.  All calls are made on the machine's thread;
 * a front end with a thread of its own copies what it needs inside the call.  What it gives back
 * (keys, mouse) goes through devices/pc.h, on the machine's thread too.
 */
#ifndef RINGER_DEVICES_DISPLAY_H
#define RINGER_DEVICES_DISPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Pixels are 0x00RRGGBB in host byte order, rows one after the other without gaps. */
struct display_surface {
    uint32_t width, height;
    uint32_t *pixels;
};

struct display_rect {
    uint32_t x, y, width, height;
};

enum { DISPLAY_RECTS_MAX = 32, DISPLAY_COLUMNS_MAX = 256, DISPLAY_ROWS_MAX = 256 };

/* A text mode's screen: code page 437 characters and attributes as in display memory. */
struct display_cell {
    uint8_t character, attribute;
};

struct display_text {
    unsigned columns, rows; /* 0: a graphics mode, or nothing is shown */
    bool cursor;            /* is it on (blinking aside), and where */
    unsigned cursor_column, cursor_row;
    struct display_cell cells[DISPLAY_ROWS_MAX * DISPLAY_COLUMNS_MAX]; /* rows * columns are used */
};

/* The Unicode character that code page 437 has there. */
uint32_t display_unicode(uint8_t character);

/* A front end. */
struct display_client {
    void *ctx;
    /* The surface is another one (size, place) from now on; its contents follow by updated().  Also
     * called once when the client is attached. */
    void (*resized)(void *ctx, const struct display_surface *surface);
    /* These parts differ from what was shown before; count is at least 1. */
    void (*updated)(void *ctx, const struct display_surface *surface,
                    const struct display_rect *rects, size_t count);
};

#endif
