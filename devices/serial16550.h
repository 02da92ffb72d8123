/*
 * devices/serial16550.h -- a serial port with FIFOs (16550A).
 */
#ifndef RINGER_DEVICES_SERIAL16550_H
#define RINGER_DEVICES_SERIAL16550_H

#include <stdint.h>

#include "devices/backend.h"
#include "devices/bus.h"
#include "devices/clock.h"
#include "devices/line.h"

struct serial16550;

/* Eight ports from base.  irq: the interrupt output, gated by MCR OUT2 as on every PC.  backend may
 * be NULL: output is dropped, nothing is ever received.  NULL when out of memory or when a port is
 * taken. */
struct serial16550 *serial16550_create(struct bus *bus, struct clock *clock, uint16_t base,
                                       struct line *irq, struct char_backend *backend);
void serial16550_destroy(struct serial16550 *dev);
void serial16550_reset(struct serial16550 *dev);

/* What the guest sends goes to the backend in one piece, at most delay_ns after its first byte (0,
 * as after creation: each byte at once); or when serial16550_flush() is called. */
void serial16550_gather(struct serial16550 *dev, uint64_t delay_ns);
void serial16550_flush(struct serial16550 *dev);

#endif
