/*
 * devices/piix3.c -- Intel 82371SB (PIIX3), function 0: PCI-to-ISA bridge 8086:7000.
 * Source: Intel 82371FB/82371SB data sheet (290550), 2.2.10 "PIRQRC[A:D]", 2.5.4.1 "RC - Reset
 * Control Register".
 *
 *   0x60..0x63  PIRQRC  7 not routed | 3:0 ISA IRQ (0, 1, 2, 8, 13 are reserved)
 *   port 0xCF9  RC      2 RCPU: 0 -> 1 resets | 1 SRST: hard (1) or soft (0)
 *
 * The edge/level registers at 0x4D0/0x4D1 are part of this chip on the real board; here they live
 * with the interrupt controllers that they modify.
 * Deviation: a soft reset through 0xCF9 is carried out as a hard one.
 */
#include "devices/piix3.h"

#include <stdlib.h>
#include <string.h>

#define PIRQRC         0x60
#define PIRQRC_OFF     0x80
#define PIRQRC_IRQ     0x0F
#define PIRQ_VALID_IRQ 0xDEF8u /* 3-7, 9-12, 14, 15 */
#define RC_RCPU        0x04
#define RC_SRST        0x02
#define ISA_IRQ_COUNT  16

struct piix3 {
    struct pci_function pci;
    struct line *irqs, *reset; /* owned by the board */
    bool pirq[PCI_PIRQ_COUNT];
    uint8_t reset_control;
};

static void steer(struct piix3 *dev)
{
    uint32_t asserted = 0;

    for (unsigned i = 0; i < PCI_PIRQ_COUNT; i++) {
        const uint8_t route = dev->pci.config[PIRQRC + i];

        if (dev->pirq[i] && !(route & PIRQRC_OFF))
            asserted |= 1u << (route & PIRQRC_IRQ);
    }
    asserted &= PIRQ_VALID_IRQ;
    for (unsigned irq = 0; irq < ISA_IRQ_COUNT; irq++)
        line_set(&dev->irqs[irq], asserted >> irq & 1);
}

static void pirq_changed(void *ctx, unsigned index, bool level)
{
    struct piix3 *dev = ctx;

    dev->pirq[index] = level;
    steer(dev);
}

static void config_written(void *ctx, unsigned offset, unsigned size)
{
    if (offset < PIRQRC + PCI_PIRQ_COUNT && offset + size > PIRQRC)
        steer(ctx);
}

static uint32_t reset_control_read(void *ctx, uint16_t offset, unsigned size)
{
    const struct piix3 *dev = ctx;

    (void)offset;
    (void)size;
    return dev->reset_control;
}

static void reset_control_write(void *ctx, uint16_t offset, unsigned size, uint32_t value)
{
    struct piix3 *dev = ctx;
    const bool rising = value & ~dev->reset_control & RC_RCPU;

    (void)offset;
    (void)size;
    dev->reset_control = value & (RC_RCPU | RC_SRST);
    if (rising)
        line_pulse(dev->reset);
}

static const struct io_ops reset_control = {
    .name = "piix3-rc", .max_size = 1, .read = reset_control_read, .write = reset_control_write};

void piix3_reset(struct piix3 *dev)
{
    static const struct {
        uint8_t offset, value;
    } defaults[] = {
        {0x4C, 0x4D}, {0x4E, 0x03}, {0x4F, 0x00}, {0x60, 0x80}, {0x61, 0x80}, {0x62, 0x80},
        {0x63, 0x80}, {0x69, 0x02}, {0x70, 0x80}, {0x76, 0x0C}, {0x77, 0x0C}, {0x78, 0x02},
        {0x79, 0x00}, {0x80, 0x00}, {0x82, 0x00}, {0xA0, 0x08}, {0xA2, 0x00}, {0xA3, 0x00},
        {0xA4, 0x00}, {0xA5, 0x00}, {0xA6, 0x00}, {0xA7, 0x00}, {0xA8, 0x0F}, {0xAA, 0x00},
        {0xAB, 0x00}, {0xAC, 0x00}, {0xAE, 0x00},
    };

    pci_function_reset(&dev->pci);
    pci_set16(&dev->pci, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    pci_set16(&dev->pci, PCI_STATUS, 0x0200);
    for (unsigned i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++)
        pci_set8(&dev->pci, defaults[i].offset, defaults[i].value);
    dev->reset_control = 0;
    steer(dev);
}

void piix3_route(struct piix3 *dev, unsigned pirq, uint8_t irq)
{
    pci_set8(&dev->pci, PIRQRC + pirq, irq);
    steer(dev);
}

struct piix3 *piix3_create(struct pci_bus *pci, struct line *irqs, struct line *reset)
{
    struct piix3 *dev = calloc(1, sizeof(*dev));

    if (dev == NULL)
        return NULL;
    dev->irqs = irqs;
    dev->reset = reset;
    pci_init(&dev->pci, "piix3", dev, 0x8086, 0x7000, 0, 0x060100);
    pci_set8(&dev->pci, PCI_HEADER_TYPE, PCI_HEADER_MULTIFUNCTION);
    pci_set16(&dev->pci, PCI_SUBSYSTEM_VENDOR_ID, 0x1AF4);
    pci_set16(&dev->pci, PCI_SUBSYSTEM_ID, 0x1100);
    dev->pci.config_written = config_written;
    dev->pci.writable[PCI_COMMAND] = 0;
    for (unsigned i = 0x4C; i <= 0x4F; i++)
        dev->pci.writable[i] = 0xFF;
    for (unsigned i = 0; i < PCI_PIRQ_COUNT; i++)
        dev->pci.writable[PIRQRC + i] = PIRQRC_OFF | PIRQRC_IRQ;
    for (unsigned i = 0x69; i <= 0xAF; i++)
        dev->pci.writable[i] = 0xFF;
    if (pci_add(pci, &dev->pci, PCI_DEVFN(1, 0)) != 0) {
        free(dev);
        return NULL;
    }
    for (unsigned i = 0; i < PCI_PIRQ_COUNT; i++)
        line_connect(pci_pirq(pci, i), pirq_changed, dev, i);
    pci_set_cf9(pci, &reset_control, dev);
    return dev;
}

void piix3_destroy(struct piix3 *dev)
{
    free(dev);
}
