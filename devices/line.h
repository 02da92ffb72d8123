/*
 * devices/line.h -- a wire: one driver, one listener that the driver does not know.
 */
#ifndef RINGER_DEVICES_LINE_H
#define RINGER_DEVICES_LINE_H

#include <stdbool.h>
#include <stddef.h>

struct line {
    void (*changed)(void *ctx, unsigned index, bool level); /* NULL: nothing connected */
    void *ctx;
    unsigned index; /* the listener's pin number */
    bool level;
};

static inline void line_connect(struct line *line, void (*changed)(void *, unsigned, bool),
                                void *ctx, unsigned index)
{
    line->changed = changed;
    line->ctx = ctx;
    line->index = index;
}
static inline void line_set(struct line *line, bool level)
{
    if (line->level == level)
        return;
    line->level = level;
    if (line->changed != NULL)
        line->changed(line->ctx, line->index, level);
}
/* An edge: rises and falls again. */
static inline void line_pulse(struct line *line)
{
    line_set(line, true);
    line_set(line, false);
}

#endif
