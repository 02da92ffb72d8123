/*
 * devices/pci.h -- the PCI bus as a function on it sees it: configuration space, base address
 * registers, interrupt pins; and configuration mechanism 1 for the CPU's side.
 *
 * A chip that is a PCI function embeds a struct pci_function, fills its constant registers with
 * pci_init(), says which bits the guest may change, and gives its BARs.  The bus keeps the mappings
 * in step with the BARs and the command register.
 */
#ifndef RINGER_DEVICES_PCI_H
#define RINGER_DEVICES_PCI_H

#include <stdbool.h>
#include <stdint.h>

#include "devices/bus.h"
#include "devices/line.h"

/* Type 0 header. [PCI Local Bus Specification 2.2, 6.1 and 6.2] */
enum {
    PCI_VENDOR_ID = 0x00,
    PCI_DEVICE_ID = 0x02,
    PCI_COMMAND = 0x04,
    PCI_STATUS = 0x06,
    PCI_REVISION_ID = 0x08,
    PCI_CLASS_PROG = 0x09,
    PCI_CLASS_DEVICE = 0x0A, /* subclass, then base class */
    PCI_CACHE_LINE_SIZE = 0x0C,
    PCI_LATENCY_TIMER = 0x0D,
    PCI_HEADER_TYPE = 0x0E,
    PCI_BAR0 = 0x10,
    PCI_SUBSYSTEM_VENDOR_ID = 0x2C,
    PCI_SUBSYSTEM_ID = 0x2E,
    PCI_ROM_ADDRESS = 0x30,
    PCI_CAPABILITY_LIST = 0x34,
    PCI_INTERRUPT_LINE = 0x3C,
    PCI_INTERRUPT_PIN = 0x3D,
    PCI_CONFIG_SIZE = 256,
};
enum { PCI_COMMAND_IO = 1, PCI_COMMAND_MEMORY = 2, PCI_COMMAND_MASTER = 4 };
enum { PCI_COMMAND_INTX_DISABLE = 0x400, PCI_STATUS_INTX = 8 };
enum { PCI_HEADER_MULTIFUNCTION = 0x80 };
enum { PCI_BAR_COUNT = 7, PCI_BAR_ROM = 6, PCI_PIRQ_COUNT = 4, PCI_FUNCTION_COUNT = 256 };

#define PCI_DEVFN(slot, function) ((uint8_t)((slot) << 3 | (function)))

struct pci_bus;

enum pci_bar_kind { PCI_BAR_NONE, PCI_BAR_IO, PCI_BAR_MMIO, PCI_BAR_BACKING };

struct pci_bar {
    enum pci_bar_kind kind;
    uint32_t size;             /* bytes, a power of two; memory: at least 4096 */
    const struct io_ops *io;
    const struct bus_mmio_ops *mmio;
    uint64_t backing;          /* offset in the board's backing store */
    bool mapped;
    uint32_t address;          /* where, while mapped */
};

struct pci_function {
    const char *name;
    void *ctx;                        /* given to the callbacks and the BARs' ops */
    uint8_t config[PCI_CONFIG_SIZE];
    uint8_t writable[PCI_CONFIG_SIZE]; /* bits that a write changes */
    uint8_t clears[PCI_CONFIG_SIZE];   /* bits that writing 1 clears */
    /* After the guest wrote [offset, offset + size); NULL when nothing follows from it. */
    void (*config_written)(void *ctx, unsigned offset, unsigned size);
    struct pci_bar bars[PCI_BAR_COUNT];
    struct pci_bus *bus; /* set by pci_add() */
    uint8_t devfn;
    bool intx; /* what the function drives on its interrupt pin */
};

/* ---- for functions ---- */
/* Clear *fn and fill in identification; class_code is base class, subclass, interface: 0xBBSSPP. */
void pci_init(struct pci_function *fn, const char *name, void *ctx, uint16_t vendor,
              uint16_t device, uint8_t revision, uint32_t class_code);
void pci_set8(struct pci_function *fn, unsigned offset, uint8_t value);
void pci_set16(struct pci_function *fn, unsigned offset, uint16_t value);
void pci_set32(struct pci_function *fn, unsigned offset, uint32_t value);
uint16_t pci_get16(const struct pci_function *fn, unsigned offset);
uint32_t pci_get32(const struct pci_function *fn, unsigned offset);
/* Declare BAR 0..5; before pci_add().  ops get fn->ctx. */
void pci_bar_io(struct pci_function *fn, unsigned bar, uint32_t size, const struct io_ops *ops);
void pci_bar_mmio(struct pci_function *fn, unsigned bar, uint32_t size,
                  const struct bus_mmio_ops *ops);
/* Memory (prefetchable) or, with bar = PCI_BAR_ROM, an expansion ROM. */
void pci_bar_backing(struct pci_function *fn, unsigned bar, uint32_t size, uint64_t backing);
/* Drive the interrupt pin that PCI_INTERRUPT_PIN names. */
void pci_set_intx(struct pci_function *fn, bool level);
/* The part of RESET# that is the same for all: command, BARs and interrupt line go back to 0. */
void pci_function_reset(struct pci_function *fn);
/* Call after the chip itself changed command or BAR bytes of its config space. */
void pci_update_mappings(struct pci_function *fn);

/* ---- for the board ---- */
/* Claims ports 0xCF8..0xCFF.  NULL when out of memory or when a port is taken. */
struct pci_bus *pci_create(struct bus *bus);
void pci_destroy(struct pci_bus *pci); /* unmaps every function; the chips free themselves */
void pci_reset(struct pci_bus *pci);   /* the address latch only */
/* Who answers byte accesses to 0xCF9, inside the address register's dword. */
void pci_set_cf9(struct pci_bus *pci, const struct io_ops *ops, void *ctx);
/* Wires PIRQA#..PIRQD#, the OR of all pins that are swizzled to them: level true is asserted. */
struct line *pci_pirq(struct pci_bus *pci, unsigned index);
/* -EBUSY when devfn is taken. */
int pci_add(struct pci_bus *pci, struct pci_function *fn, uint8_t devfn);
/* NULL: there is none. */
const struct pci_function *pci_function_at(const struct pci_bus *pci, uint8_t devfn);
/* As the guest would through mechanism 1; size 1, 2 or 4, naturally aligned. */
uint32_t pci_config_read(struct pci_bus *pci, uint8_t devfn, unsigned offset, unsigned size);
void pci_config_write(struct pci_bus *pci, uint8_t devfn, unsigned offset, unsigned size,
                      uint32_t value);

#endif
