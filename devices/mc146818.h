/*
 * devices/mc146818.h -- real-time clock and 128 bytes of battery-backed RAM.
 */
#ifndef RINGER_DEVICES_MC146818_H
#define RINGER_DEVICES_MC146818_H

#include <stdbool.h>
#include <stdint.h>

#include "devices/bus.h"
#include "devices/clock.h"
#include "devices/line.h"

struct mc146818;

/* Ports 0x70..0x73 (72/73 reach the same 128 bytes).  irq8: the chip's IRQ output, high while an
 * enabled interrupt flag is set.  nmi_disable: bit 7 of port 0x70.  epoch_s: seconds since 1970
 * that the clock shows when clock_now_ns() is 0.  NULL when out of memory or a port is taken. */
struct mc146818 *mc146818_create(struct bus *bus, struct clock *clock, struct line *irq8,
                                 struct line *nmi_disable, uint64_t epoch_s);
void mc146818_destroy(struct mc146818 *dev);
/* RESET pin: interrupt enables and flags; time and RAM are kept, as the battery would. */
void mc146818_reset(struct mc146818 *dev);
/* What the board's maker puts into the battery-backed RAM (memory sizes, boot order, drive types):
 * index 0x0E..0x7F; others are ignored, 0x32 (century) included as it belongs to the clock. */
void mc146818_set_ram(struct mc146818 *dev, uint8_t index, uint8_t value);
uint8_t mc146818_get_ram(const struct mc146818 *dev, uint8_t index);

#endif
