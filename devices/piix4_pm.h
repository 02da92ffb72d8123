/*
 * devices/piix4_pm.h -- ACPI power management: PM1a, PM timer, SCI, power-off, SMI command port.
 */
#ifndef RINGER_DEVICES_PIIX4_PM_H
#define RINGER_DEVICES_PIIX4_PM_H

#include "devices/bus.h"
#include "devices/clock.h"
#include "devices/line.h"
#include "devices/pci.h"

/* Where firmware puts the blocks, and what the ACPI tables say. */
enum {
    PIIX4_PM_BASE = 0x600,
    PIIX4_SMB_BASE = 0x700,
    PIIX4_GPE0_BASE = 0xAFE0,
    PIIX4_GPE0_SIZE = 4,
    PIIX4_SMI_CMD = 0xB2,
    PIIX4_ACPI_ENABLE = 0xF1,
    PIIX4_ACPI_DISABLE = 0xF0,
    PIIX4_SCI_IRQ = 9,
    PIIX4_SLP_TYP_S5 = 0,
};

struct piix4_pm;

/*
 * PCI 00:01.3 and ports 0xB2, 0xB3, 0xAFE0..0xAFE3; the PM and SMBus blocks go where the guest maps
 * them.  sci: level, to ISA IRQ 9.  power_off: pulsed when the guest enters S5.  NULL when out of
 * memory or when a port is taken.
 */
struct piix4_pm *piix4_pm_create(struct bus *bus, struct pci_bus *pci, struct clock *clock,
                                 struct line *sci, struct line *power_off);
void piix4_pm_destroy(struct piix4_pm *dev);
void piix4_pm_reset(struct piix4_pm *dev);
/* As firmware leaves it: the blocks mapped at PIIX4_PM_BASE and PIIX4_SMB_BASE. */
void piix4_pm_map(struct piix4_pm *dev);
/* Someone presses the power button. */
void piix4_pm_power_button(struct piix4_pm *dev);

#endif
