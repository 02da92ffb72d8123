/*
 * devices/i8254.h -- the interval timer's three channels, and port 0x61 that gates channel 2.
 */
#ifndef RINGER_DEVICES_I8254_H
#define RINGER_DEVICES_I8254_H

#include <stdbool.h>
#include <stdint.h>

#include "devices/bus.h"
#include "devices/clock.h"
#include "devices/line.h"

#define I8254_HZ 1193182

struct i8254;

/* Ports 0x40..0x43 and 0x61.  irq0: OUT of channel 0.  speaker: OUT of channel 2 ANDed with port
 * 0x61's speaker bit; it changes only on register writes and does not follow a running square wave
 * (ask i8254_speaker_hz()).  NULL when out of memory or when a port is taken. */
struct i8254 *i8254_create(struct bus *bus, struct clock *clock, struct line *irq0,
                           struct line *speaker);
void i8254_destroy(struct i8254 *dev);
void i8254_reset(struct i8254 *dev);
/* Whoever listens to irq0 has taken the interrupt of its last edge: an edge that the host was too late
 * for may follow. */
void i8254_irq0_taken(struct i8254 *dev);
/* The tone that channel 2 plays, 0 when silent. */
uint32_t i8254_speaker_hz(const struct i8254 *dev);

#endif
