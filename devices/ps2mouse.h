/*
 * devices/ps2mouse.h -- a PS/2 mouse with a wheel.
 */
#ifndef RINGER_DEVICES_PS2MOUSE_H
#define RINGER_DEVICES_PS2MOUSE_H

#include <stdint.h>

#include "devices/ps2.h"

enum { PS2MOUSE_LEFT = 1, PS2MOUSE_RIGHT = 2, PS2MOUSE_MIDDLE = 4 };

struct ps2mouse;

struct ps2mouse *ps2mouse_create(void); /* NULL when out of memory */
void ps2mouse_destroy(struct ps2mouse *dev);
void ps2mouse_reset(struct ps2mouse *dev);
/* The plug, for i8042_create(); lives as long as the mouse. */
struct ps2_port *ps2mouse_port(struct ps2mouse *dev);
/* Right, up and wheel-towards-the-user are positive; buttons is what is held down now. */
void ps2mouse_move(struct ps2mouse *dev, int dx, int dy, int dz, unsigned buttons);

#endif
