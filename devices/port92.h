/*
 * devices/port92.h -- system control port A: the fast A20 gate and the fast reset.
 */
#ifndef RINGER_DEVICES_PORT92_H
#define RINGER_DEVICES_PORT92_H

#include "devices/bus.h"
#include "devices/line.h"

struct port92;

/* Port 0x92.  a20 is ORed by the board with the keyboard controller's; init is pulsed when the
 * guest asks for a reset.  NULL when out of memory or when the port is taken. */
struct port92 *port92_create(struct bus *bus, struct line *a20, struct line *init);
void port92_destroy(struct port92 *dev);
void port92_reset(struct port92 *dev);

#endif
