/*
 * devices/debugcon.h -- the one-port debug console that firmware writes its log to.
 */
#ifndef RINGER_DEVICES_DEBUGCON_H
#define RINGER_DEVICES_DEBUGCON_H

#include <stdint.h>

#include "devices/backend.h"
#include "devices/bus.h"

struct debugcon;

/* One port (0x402 by convention).  NULL when out of memory or when the port is taken. */
struct debugcon *debugcon_create(struct bus *bus, uint16_t port, struct char_backend *backend);
void debugcon_destroy(struct debugcon *dev);

#endif
