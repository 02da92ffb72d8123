/*
 * devices/i8042.h -- the keyboard controller with its auxiliary (mouse) port.
 */
#ifndef RINGER_DEVICES_I8042_H
#define RINGER_DEVICES_I8042_H

#include "devices/bus.h"
#include "devices/clock.h"
#include "devices/line.h"
#include "devices/ps2.h"

struct i8042;

/* All owned by the board. */
struct i8042_lines {
    struct line *irq1, *irq12;
    struct line *a20;   /* output port P21: high lets address bit 20 through */
    struct line *reset; /* pulsed when the guest pulls output port P20 low */
};

/* Ports 0x60 and 0x64.  keyboard, aux: what is plugged in, NULL for nothing.  The lines are set on
 * reset too (A20 high).  NULL when out of memory or when a port is taken. */
struct i8042 *i8042_create(struct bus *bus, struct clock *clock, struct ps2_port *keyboard,
                           struct ps2_port *aux, const struct i8042_lines *lines);
void i8042_destroy(struct i8042 *dev);
void i8042_reset(struct i8042 *dev);

#endif
