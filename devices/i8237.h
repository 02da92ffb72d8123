/*
 * devices/i8237.h -- both DMA controllers and the page registers.
 */
#ifndef RINGER_DEVICES_I8237_H
#define RINGER_DEVICES_I8237_H

#include "devices/bus.h"
#include "devices/dma.h"

struct i8237;

/* Ports 0x00..0x0F, 0xC0..0xDF, 0x80..0x8F.  (0x80 is also the POST code port: like on the
 * PIIX3, it is a spare page register.)  NULL when out of memory or when a port is taken. */
struct i8237 *i8237_create(struct bus *bus);
void i8237_destroy(struct i8237 *dev);
void i8237_reset(struct i8237 *dev);
/* What a device on channel 0..3 or 5..7 is given. */
struct dma_channel i8237_channel(struct i8237 *dev, unsigned channel);

#endif
