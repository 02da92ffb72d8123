/*
 * devices/pc_testdev.h -- the test device of CPU and chipset test suites (-device pc-testdev).
 */
#ifndef RINGER_DEVICES_PC_TESTDEV_H
#define RINGER_DEVICES_PC_TESTDEV_H

#include "devices/bus.h"
#include "devices/line.h"

enum { TESTDEV_IRQ_COUNT = 24 };
#define TESTDEV_MEMORY_BASE 0xFF000000u
enum { TESTDEV_MEMORY_SIZE = 0x10000 };

struct pc_testdev;

/* irq: TESTDEV_IRQ_COUNT lines of the board's.  NULL when out of memory or when a port or the memory
 * is taken. */
struct pc_testdev *pc_testdev_create(struct bus *bus, struct line *irq);
void pc_testdev_destroy(struct pc_testdev *dev);
void pc_testdev_reset(struct pc_testdev *dev);

#endif
