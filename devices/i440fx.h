/*
 * devices/i440fx.h -- the host bridge: who answers in the first megabyte.
 */
#ifndef RINGER_DEVICES_I440FX_H
#define RINGER_DEVICES_I440FX_H

#include <stdbool.h>
#include <stdint.h>

#include "devices/pci.h"

enum { I440FX_PAM_COUNT = 13 };

/* What the bridge asks of the board's memory map. All owned by the board. */
struct i440fx_memory {
    void *ctx;
    /* Of [base, base + size): do loads, do stores go to RAM?  If not they go to PCI: ROM answers. */
    void (*pam)(void *ctx, uint32_t base, uint32_t size, bool read_ram, bool write_ram);
    /* RAM instead of the VGA window at 0xA0000..0xBFFFF, outside SMM too. */
    void (*smram)(void *ctx, bool open);
};

struct i440fx;

/* PCI 00:00.0.  NULL when out of memory. */
struct i440fx *i440fx_create(struct pci_bus *pci, const struct i440fx_memory *memory);
void i440fx_destroy(struct i440fx *dev);
void i440fx_reset(struct i440fx *dev);
/* As firmware leaves it: all of 0xC0000..0xFFFFF is RAM. */
void i440fx_shadow_all(struct i440fx *dev);

#endif
