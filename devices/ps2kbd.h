/*
 * devices/ps2kbd.h -- a PS/2 keyboard: scan code sets 1, 2 and 3.
 */
#ifndef RINGER_DEVICES_PS2KBD_H
#define RINGER_DEVICES_PS2KBD_H

#include <stddef.h>
#include <stdint.h>

#include "devices/clock.h"
#include "devices/ps2.h"

struct ps2kbd;

/* clock: what a held key is repeated by. NULL when out of memory. */
struct ps2kbd *ps2kbd_create(struct clock *clock);
void ps2kbd_destroy(struct ps2kbd *dev);
void ps2kbd_reset(struct ps2kbd *dev);
/* The plug, for i8042_create(); lives as long as the keyboard. */
struct ps2_port *ps2kbd_port(struct ps2kbd *dev);
/* Keys as set-1 make and break bytes (E0 and E1 prefixes included); the keyboard sends them in the
 * set that the guest chose, and repeats the last one that is held.  Repeated make codes of a host that
 * does the same are ignored.  Dropped while scanning is disabled or the buffer is full. */
void ps2kbd_key(struct ps2kbd *dev, const uint8_t *set1, size_t count);
/* Bytes of keys that it still takes; a key may need three for each of its set-1 bytes. */
size_t ps2kbd_room(const struct ps2kbd *dev);
/* Bit 0 scroll lock, 1 num lock, 2 caps lock. */
uint8_t ps2kbd_leds(const struct ps2kbd *dev);

#endif
