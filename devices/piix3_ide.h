/*
 * devices/piix3_ide.h -- Intel 82371SB (PIIX3), function 1: IDE interface 8086:7010.
 */
#ifndef RINGER_DEVICES_PIIX3_IDE_H
#define RINGER_DEVICES_PIIX3_IDE_H

#include "devices/ata.h"
#include "devices/bus.h"
#include "devices/line.h"
#include "devices/pci.h"

struct piix3_ide;

enum { PIIX3_IDE_CHANNELS = 2 };

/* 00:01.1, its ports, and the drives: [primary, secondary][master, slave].  irqs: ISA interrupts 14
 * and 15, owned by the board.  NULL when out of memory or when a port is taken. */
struct piix3_ide *piix3_ide_create(struct bus *bus, struct pci_bus *pci, struct line *irq14,
                                   struct line *irq15,
                                   const struct ata_drive_config drives[PIIX3_IDE_CHANNELS][2]);
void piix3_ide_destroy(struct piix3_ide *dev); /* after pci_destroy() */
void piix3_ide_reset(struct piix3_ide *dev);
/* What firmware does before a kernel that is entered directly: ports, bus mastering. */
void piix3_ide_map(struct piix3_ide *dev);
struct ata_channel *piix3_ide_channel(struct piix3_ide *dev, unsigned channel);

#endif
