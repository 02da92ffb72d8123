/*
 * devices/piix3.h -- the PCI-to-ISA bridge: interrupt steering and the reset control register.
 */
#ifndef RINGER_DEVICES_PIIX3_H
#define RINGER_DEVICES_PIIX3_H

#include <stdint.h>

#include "devices/line.h"
#include "devices/pci.h"

struct piix3;

/*
 * PCI 00:01.0.  Listens to the bus's PIRQA#..PIRQD#.  irqs: 16 lines owned by the board, indexed by
 * ISA IRQ: the OR of the PIRQs steered there.  reset: pulsed by port 0xCF9.  NULL when out of
 * memory.
 */
struct piix3 *piix3_create(struct pci_bus *pci, struct line *irqs, struct line *reset);
void piix3_destroy(struct piix3 *dev);
void piix3_reset(struct piix3 *dev);
/* As firmware leaves it: PIRQ 0..3 steered to ISA IRQ irq. */
void piix3_route(struct piix3 *dev, unsigned pirq, uint8_t irq);

#endif
