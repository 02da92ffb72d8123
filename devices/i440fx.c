/*
 * devices/i440fx.c -- Intel 82441FX (PMC): host bridge 8086:1237 with the PAM and SMRAM registers.
 * Source: Intel 440FX PCIset data sheet (290549), 3.2.18 "PAM - Programmable Attribute Map
 * Registers", 3.2.23 "SMRAM - System Management RAM Control Register".
 *
 *   0x59        7:4 0xF0000..0xFFFFF     3:0 -
 *   0x5A..0x5F  each nibble 16 KiB from 0xC0000 up, the low nibble first
 *   nibble      0 RE: loads from RAM     1 WE: stores to RAM
 *   0x72 SMRAM  6 D_OPEN  5 D_CLS  4 D_LCK  3 G_SMRAME  2:0 = 010: 0xA0000..0xBFFFF
 *
 * Deviation: timing, ECC and DRAM row registers keep what is written and do nothing.
 */
#include "devices/i440fx.h"

#include <stdlib.h>

#define PAM0           0x59
#define PAM_LAST       0x5F
#define PAM_READ       1u
#define PAM_WRITE      2u
#define PAM_ALL_RAM    0x33
#define SMRAM          0x72
#define SMRAM_D_OPEN   0x40
#define SMRAM_D_LCK    0x10
#define SMRAM_C_BASE   0x02
#define SMRAM_WRITABLE 0x78

struct i440fx {
    struct pci_function pci;
    struct i440fx_memory memory;
    uint8_t pam[I440FX_PAM_COUNT]; /* as last told to the board */
    bool smram_open;
};

/* Segment 0..11: 16 KiB each from 0xC0000; 12: 64 KiB at 0xF0000. */
static uint8_t pam_nibble(const struct i440fx *dev, unsigned segment)
{
    if (segment == 12)
        return dev->pci.config[PAM0] >> 4 & 3;
    return dev->pci.config[PAM0 + 1 + segment / 2] >> (segment % 2 * 4) & 3;
}

static void pam_update(struct i440fx *dev, bool force)
{
    for (unsigned i = 0; i < I440FX_PAM_COUNT; i++) {
        const uint8_t nibble = pam_nibble(dev, i);

        if (nibble == dev->pam[i] && !force)
            continue;
        dev->pam[i] = nibble;
        dev->memory.pam(dev->memory.ctx, 0xC0000 + i * 0x4000, i == 12 ? 0x10000 : 0x4000,
                        nibble & PAM_READ, nibble & PAM_WRITE);
    }
}

static void smram_update(struct i440fx *dev, bool force)
{
    uint8_t *value = &dev->pci.config[SMRAM];
    bool open;

    /* The lock freezes the register, itself included, until the next reset. */
    if (*value & SMRAM_D_LCK) {
        *value &= (uint8_t)~SMRAM_D_OPEN;
        dev->pci.writable[SMRAM] = 0;
    }
    open = *value & SMRAM_D_OPEN;
    if (open == dev->smram_open && !force)
        return;
    dev->smram_open = open;
    dev->memory.smram(dev->memory.ctx, open);
}

static void config_written(void *ctx, unsigned offset, unsigned size)
{
    struct i440fx *dev = ctx;

    if (offset <= PAM_LAST && offset + size > PAM0)
        pam_update(dev, false);
    if (offset <= SMRAM && offset + size > SMRAM)
        smram_update(dev, false);
}

void i440fx_reset(struct i440fx *dev)
{
    pci_function_reset(&dev->pci);
    pci_set16(&dev->pci, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    pci_set16(&dev->pci, PCI_STATUS, 0x0280); /* fast back-to-back, medium DEVSEL# */
    for (unsigned i = PAM0; i <= PAM_LAST; i++)
        pci_set8(&dev->pci, i, 0);
    pci_set8(&dev->pci, SMRAM, SMRAM_C_BASE);
    dev->pci.writable[SMRAM] = SMRAM_WRITABLE;
    pam_update(dev, true);
    smram_update(dev, true);
}

void i440fx_shadow_all(struct i440fx *dev)
{
    pci_set8(&dev->pci, PAM0, PAM_ALL_RAM & 0xF0);
    for (unsigned i = PAM0 + 1; i <= PAM_LAST; i++)
        pci_set8(&dev->pci, i, PAM_ALL_RAM);
    pam_update(dev, false);
}

struct i440fx *i440fx_create(struct pci_bus *pci, const struct i440fx_memory *memory)
{
    struct i440fx *dev = calloc(1, sizeof(*dev));

    if (dev == NULL)
        return NULL;
    dev->memory = *memory;
    pci_init(&dev->pci, "i440fx", dev, 0x8086, 0x1237, 2, 0x060000);
    pci_set16(&dev->pci, PCI_SUBSYSTEM_VENDOR_ID, 0x1AF4);
    pci_set16(&dev->pci, PCI_SUBSYSTEM_ID, 0x1100);
    dev->pci.config_written = config_written;
    dev->pci.writable[PCI_COMMAND] = 0; /* always bus master and memory target */
    dev->pci.writable[PCI_LATENCY_TIMER] = 0xF8;
    for (unsigned i = 0x50; i <= 0x58; i++)
        dev->pci.writable[i] = 0xFF;
    dev->pci.writable[PAM0] = 0x30;
    for (unsigned i = PAM0 + 1; i <= PAM_LAST; i++)
        dev->pci.writable[i] = PAM_ALL_RAM;
    for (unsigned i = 0x60; i <= 0x67; i++) /* DRAM row boundaries */
        dev->pci.writable[i] = 0xFF;
    if (pci_add(pci, &dev->pci, PCI_DEVFN(0, 0)) != 0) {
        free(dev);
        return NULL;
    }
    return dev;
}

void i440fx_destroy(struct i440fx *dev)
{
    free(dev);
}
