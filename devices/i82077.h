/*
 * devices/i82077.h -- 82077AA floppy disk controller with up to two drives.
 */
#ifndef RINGER_DEVICES_I82077_H
#define RINGER_DEVICES_I82077_H

#include <stdbool.h>
#include <stdint.h>

#include "devices/block.h"
#include "devices/bus.h"
#include "devices/clock.h"
#include "devices/dma.h"
#include "devices/line.h"

enum { I82077_DRIVES = 2 };

/* The drive's type as CMOS byte 0x10 has it. */
enum i82077_drive_type {
    FLOPPY_NONE = 0,
    FLOPPY_360K = 1,
    FLOPPY_1200K = 2,
    FLOPPY_720K = 3,
    FLOPPY_1440K = 4,
    FLOPPY_2880K = 5,
};

struct i82077;

/*
 * Ports 3F0..3F5 and 3F7 (3F6 is the disk controller's).  irq: to ISA IRQ 6, high until served.
 * drives: the images, NULL where no drive is plugged in; they outlive the controller.  NULL when
 * out of memory or when a port is taken.
 */
struct i82077 *i82077_create(struct bus *bus, struct clock *clock, struct line *irq,
                             struct dma_channel dma,
                             struct block_backend *const drives[I82077_DRIVES]);
void i82077_destroy(struct i82077 *dev);
void i82077_reset(struct i82077 *dev);
/* What is plugged in: the type that the medium present at creation needs, 1.44 MB when empty. */
enum i82077_drive_type i82077_drive_type(const struct i82077 *dev, unsigned drive);

#endif
