/*
 * devices/isa_debug_exit.h -- a port that lets a test guest end the machine with a status.
 */
#ifndef RINGER_DEVICES_ISA_DEBUG_EXIT_H
#define RINGER_DEVICES_ISA_DEBUG_EXIT_H

#include <stdint.h>

#include "devices/bus.h"

struct isa_debug_exit;

/* Ports [port, port + size), size 1..4; by convention 0x501, 2.  exit is called with the exit
 * status that the written value means, (value << 1) | 1.  NULL when out of memory, when size is
 * out of range, or when a port is taken. */
struct isa_debug_exit *isa_debug_exit_create(struct bus *bus, uint16_t port, unsigned size,
                                             void (*exit)(void *ctx, int status), void *ctx);
void isa_debug_exit_destroy(struct isa_debug_exit *dev);

#endif
