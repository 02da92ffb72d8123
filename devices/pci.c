/*
 * devices/pci.c -- one PCI bus behind configuration mechanism 1.
 * Source: PCI Local Bus Specification 2.2, 3.2.2.3.2 "Software Generation of Configuration
 * Transactions", 6.1, 6.2.5 "Base Addresses"; Intel 82371SB (PIIX3) data sheet for the pin swizzle
 * that the board's slots use.
 *
 *   0xCF8 (dword)  31 enable | 23:16 bus | 15:11 slot | 10:8 function | 7:2 register
 *   0xCFC..0xCFF   the register's bytes
 *
 * Invariant: bar->mapped tells what the bus has been asked to map, and only pci_update_mappings()
 * changes it.  Where a guest puts BARs on top of each other or of something else, the board decides
 * who answers; the bus only says what is claimed.
 */
#include "devices/pci.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG_ADDRESS      0xCF8
#define CONFIG_PORTS        8
#define CONFIG_DATA_OFFSET  4
#define CONFIG_ENABLE       0x80000000u
#define CONFIG_ADDRESS_MASK 0x80FFFFFCu

#define BAR_IO_SPACE     1u
#define BAR_PREFETCHABLE 8u
#define BAR_IO_MASK      0xFFFFFFFCu
#define BAR_MEMORY_MASK  0xFFFFFFF0u
#define ROM_ENABLE       1u
#define ROM_MASK         0xFFFFF800u

struct pci_bus {
    struct bus *bus;
    uint32_t address;
    struct pci_function *functions[PCI_FUNCTION_COUNT];
    struct line pirq[PCI_PIRQ_COUNT];
    unsigned asserted[PCI_PIRQ_COUNT]; /* how many functions drive it */
    const struct io_ops *cf9;
    void *cf9_ctx;
};

/* ---- configuration bytes ---- */

void pci_set8(struct pci_function *fn, unsigned offset, uint8_t value)
{
    fn->config[offset] = value;
}

void pci_set16(struct pci_function *fn, unsigned offset, uint16_t value)
{
    fn->config[offset] = (uint8_t)value;
    fn->config[offset + 1] = (uint8_t)(value >> 8);
}

void pci_set32(struct pci_function *fn, unsigned offset, uint32_t value)
{
    pci_set16(fn, offset, (uint16_t)value);
    pci_set16(fn, offset + 2, (uint16_t)(value >> 16));
}

uint16_t pci_get16(const struct pci_function *fn, unsigned offset)
{
    return (uint16_t)(fn->config[offset] | fn->config[offset + 1] << 8);
}

uint32_t pci_get32(const struct pci_function *fn, unsigned offset)
{
    return pci_get16(fn, offset) | (uint32_t)pci_get16(fn, offset + 2) << 16;
}

static void writable16(struct pci_function *fn, unsigned offset, uint16_t mask)
{
    fn->writable[offset] = (uint8_t)mask;
    fn->writable[offset + 1] = (uint8_t)(mask >> 8);
}

static void writable32(struct pci_function *fn, unsigned offset, uint32_t mask)
{
    writable16(fn, offset, (uint16_t)mask);
    writable16(fn, offset + 2, (uint16_t)(mask >> 16));
}

void pci_init(struct pci_function *fn, const char *name, void *ctx, uint16_t vendor,
              uint16_t device, uint8_t revision, uint32_t class_code)
{
    memset(fn, 0, sizeof(*fn));
    fn->name = name;
    fn->ctx = ctx;
    pci_set16(fn, PCI_VENDOR_ID, vendor);
    pci_set16(fn, PCI_DEVICE_ID, device);
    pci_set8(fn, PCI_REVISION_ID, revision);
    pci_set8(fn, PCI_CLASS_PROG, (uint8_t)class_code);
    pci_set16(fn, PCI_CLASS_DEVICE, (uint16_t)(class_code >> 8));
    writable16(fn, PCI_COMMAND,
               PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE);
    fn->writable[PCI_CACHE_LINE_SIZE] = 0xFF;
    fn->writable[PCI_INTERRUPT_LINE] = 0xFF;
}

/* ---- base address registers ---- */

static unsigned bar_offset(unsigned bar)
{
    return bar == PCI_BAR_ROM ? PCI_ROM_ADDRESS : PCI_BAR0 + 4 * bar;
}

static void bar_declare(struct pci_function *fn, unsigned bar, const struct pci_bar *description,
                        uint32_t flags)
{
    const uint32_t address_mask = ~(description->size - 1);

    fn->bars[bar] = *description;
    pci_set32(fn, bar_offset(bar), flags);
    writable32(fn, bar_offset(bar),
               bar == PCI_BAR_ROM ? (address_mask & ROM_MASK) | ROM_ENABLE : address_mask);
}

void pci_bar_io(struct pci_function *fn, unsigned bar, uint32_t size, const struct io_ops *ops)
{
    bar_declare(fn, bar, &(struct pci_bar){.kind = PCI_BAR_IO, .size = size, .io = ops},
                BAR_IO_SPACE);
}

void pci_bar_mmio(struct pci_function *fn, unsigned bar, uint32_t size,
                  const struct bus_mmio_ops *ops)
{
    bar_declare(fn, bar, &(struct pci_bar){.kind = PCI_BAR_MMIO, .size = size, .mmio = ops}, 0);
}

void pci_bar_backing(struct pci_function *fn, unsigned bar, uint32_t size, uint64_t backing)
{
    bar_declare(fn, bar,
                &(struct pci_bar){.kind = PCI_BAR_BACKING, .size = size, .backing = backing},
                bar == PCI_BAR_ROM ? 0 : BAR_PREFETCHABLE);
}

/* Where the registers put the BAR; false when it is switched off. */
static bool bar_wanted(const struct pci_function *fn, unsigned index, uint32_t *address)
{
    const struct pci_bar *bar = &fn->bars[index];
    const uint16_t command = pci_get16(fn, PCI_COMMAND);
    const uint32_t value = pci_get32(fn, bar_offset(index));

    if (bar->kind == PCI_BAR_IO) {
        *address = value & BAR_IO_MASK;
        return (command & PCI_COMMAND_IO) && *address != 0 &&
               (uint64_t)*address + bar->size <= 0x10000;
    }
    *address = value & (index == PCI_BAR_ROM ? ROM_MASK : BAR_MEMORY_MASK);
    if (index == PCI_BAR_ROM && !(value & ROM_ENABLE))
        return false;
    /* The value left by sizing (all ones) is not an address: it would end at 4 GiB. */
    return (command & PCI_COMMAND_MEMORY) && *address != 0 &&
           (uint64_t)*address + bar->size < UINT64_C(0x100000000);
}

static void bar_unmap(struct pci_function *fn, struct pci_bar *bar)
{
    const struct bus_memory *memory = bus_memory(fn->bus->bus);

    if (bar->kind == PCI_BAR_IO)
        bus_unmap_io(fn->bus->bus, (uint16_t)bar->address, bar->size);
    else
        memory->unmap(memory->ctx, bar->address, bar->size);
    bar->mapped = false;
}

static void bar_map(struct pci_function *fn, unsigned index, uint32_t address)
{
    const struct bus_memory *memory = bus_memory(fn->bus->bus);
    struct pci_bar *bar = &fn->bars[index];
    int error = 0;

    if (bar->kind == PCI_BAR_IO)
        error = bus_map_io(fn->bus->bus, (uint16_t)address, bar->size, bar->io, fn->ctx);
    else if (bar->kind == PCI_BAR_MMIO)
        error = memory->map_mmio(memory->ctx, address, bar->size, bar->mmio, fn->ctx);
    else
        error = memory->map_backing(memory->ctx, address, bar->size, bar->backing,
                                    index != PCI_BAR_ROM);
    if (error != 0) {
        bus_log_once(fn->bus->bus, fn->name, address, "BAR cannot be mapped at this address");
        return;
    }
    bar->mapped = true;
    bar->address = address;
}

void pci_update_mappings(struct pci_function *fn)
{
    for (unsigned i = 0; i < PCI_BAR_COUNT; i++) {
        struct pci_bar *bar = &fn->bars[i];
        uint32_t address;
        bool wanted;

        if (bar->kind == PCI_BAR_NONE || fn->bus == NULL)
            continue;
        wanted = bar_wanted(fn, i, &address);
        if (bar->mapped && (!wanted || bar->address != address))
            bar_unmap(fn, bar);
        if (wanted && !bar->mapped)
            bar_map(fn, i, address);
    }
}

/* ---- interrupt pins ---- */

static void intx_drive(struct pci_function *fn, bool level)
{
    struct pci_bus *pci = fn->bus;
    const unsigned pin = fn->config[PCI_INTERRUPT_PIN];
    unsigned pirq;

    if (pci == NULL || pin == 0)
        return;
    /* Each slot's pins are wired one further round than those of the slot before: slot 1's INTA#
     * is PIRQA#. */
    pirq = (pin - 1 + (fn->devfn >> 3) - 1u) % PCI_PIRQ_COUNT;
    pci->asserted[pirq] += level ? 1u : -1u;
    line_set(&pci->pirq[pirq], pci->asserted[pirq] != 0);
}

static bool intx_enabled(const struct pci_function *fn)
{
    return !(pci_get16(fn, PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE);
}

void pci_set_intx(struct pci_function *fn, bool level)
{
    if (fn->intx == level)
        return;
    fn->intx = level;
    if (level)
        fn->config[PCI_STATUS] |= PCI_STATUS_INTX;
    else
        fn->config[PCI_STATUS] &= (uint8_t)~PCI_STATUS_INTX;
    if (intx_enabled(fn))
        intx_drive(fn, level);
}

void pci_function_reset(struct pci_function *fn)
{
    if (fn->intx)
        pci_set_intx(fn, false);
    pci_set16(fn, PCI_COMMAND,
              pci_get16(fn, PCI_COMMAND) &
                  (uint16_t) ~(PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
                               PCI_COMMAND_INTX_DISABLE));
    for (unsigned i = 0; i < PCI_BAR_COUNT; i++) {
        const unsigned offset = bar_offset(i);

        for (unsigned byte = 0; byte < 4 && fn->bars[i].kind != PCI_BAR_NONE; byte++)
            fn->config[offset + byte] &= (uint8_t)~fn->writable[offset + byte];
    }
    fn->config[PCI_CACHE_LINE_SIZE] = 0;
    fn->config[PCI_INTERRUPT_LINE] = 0;
    pci_update_mappings(fn);
}

/* ---- configuration accesses ---- */

uint32_t pci_config_read(struct pci_bus *pci, uint8_t devfn, unsigned offset, unsigned size)
{
    const struct pci_function *fn = pci->functions[devfn];
    uint32_t value = 0;

    if (fn == NULL || offset + size > PCI_CONFIG_SIZE)
        return UINT32_MAX >> (32 - 8 * size); /* master abort */
    for (unsigned i = 0; i < size; i++)
        value |= (uint32_t)fn->config[offset + i] << (8 * i);
    return value;
}

void pci_config_write(struct pci_bus *pci, uint8_t devfn, unsigned offset, unsigned size,
                      uint32_t value)
{
    struct pci_function *fn = pci->functions[devfn];
    bool intx_was_enabled;

    if (fn == NULL || offset + size > PCI_CONFIG_SIZE)
        return;
    intx_was_enabled = intx_enabled(fn);
    for (unsigned i = 0; i < size; i++) {
        const unsigned at = offset + i;
        const uint8_t byte = (uint8_t)(value >> (8 * i));

        fn->config[at] = (fn->config[at] & ~fn->writable[at]) | (byte & fn->writable[at]);
        fn->config[at] &= (uint8_t) ~(byte & fn->clears[at]);
    }
    if (fn->intx && intx_was_enabled != intx_enabled(fn))
        intx_drive(fn, intx_enabled(fn));
    if (offset < PCI_CAPABILITY_LIST)
        pci_update_mappings(fn);
    if (fn->config_written != NULL)
        fn->config_written(fn->ctx, offset, size);
}

/*
 * Ports 0xCF8..0xCFF.  Only a dword access reaches the address register; smaller ones pass through
 * to the bus, where nothing but the reset control register at 0xCF9 listens.
 */
static uint32_t config_port_read(void *ctx, uint16_t offset, unsigned size)
{
    struct pci_bus *pci = ctx;

    if (offset >= CONFIG_DATA_OFFSET) {
        if (!(pci->address & CONFIG_ENABLE) || (pci->address >> 16 & 0xFF) != 0)
            return UINT32_MAX;
        return pci_config_read(pci, (uint8_t)(pci->address >> 8),
                               (pci->address & 0xFC) + offset - CONFIG_DATA_OFFSET, size);
    }
    if (offset == 0 && size == 4)
        return pci->address;
    if (offset == 1 && size == 1 && pci->cf9 != NULL)
        return pci->cf9->read(pci->cf9_ctx, 0, 1);
    return UINT32_MAX;
}

static void config_port_write(void *ctx, uint16_t offset, unsigned size, uint32_t value)
{
    struct pci_bus *pci = ctx;

    if (offset >= CONFIG_DATA_OFFSET) {
        if ((pci->address & CONFIG_ENABLE) && (pci->address >> 16 & 0xFF) == 0)
            pci_config_write(pci, (uint8_t)(pci->address >> 8),
                             (pci->address & 0xFC) + offset - CONFIG_DATA_OFFSET, size, value);
        return;
    }
    if (offset == 0 && size == 4)
        pci->address = value & CONFIG_ADDRESS_MASK;
    else if (offset == 1 && size == 1 && pci->cf9 != NULL)
        pci->cf9->write(pci->cf9_ctx, 0, 1, value);
}

static const struct io_ops config_ports = {
    .name = "pci-config", .max_size = 4, .read = config_port_read, .write = config_port_write};

/* ---- the board's side ---- */

struct pci_bus *pci_create(struct bus *bus)
{
    struct pci_bus *pci = calloc(1, sizeof(*pci));

    if (pci == NULL)
        return NULL;
    pci->bus = bus;
    if (bus_map_io(bus, CONFIG_ADDRESS, CONFIG_PORTS, &config_ports, pci) != 0) {
        free(pci);
        return NULL;
    }
    return pci;
}

void pci_destroy(struct pci_bus *pci)
{
    if (pci == NULL)
        return;
    for (unsigned devfn = 0; devfn < PCI_FUNCTION_COUNT; devfn++) {
        struct pci_function *fn = pci->functions[devfn];

        for (unsigned i = 0; fn != NULL && i < PCI_BAR_COUNT; i++) {
            if (fn->bars[i].mapped)
                bar_unmap(fn, &fn->bars[i]);
        }
    }
    bus_unmap_io(pci->bus, CONFIG_ADDRESS, CONFIG_PORTS);
    free(pci);
}

void pci_reset(struct pci_bus *pci)
{
    pci->address = 0;
}

void pci_set_cf9(struct pci_bus *pci, const struct io_ops *ops, void *ctx)
{
    pci->cf9 = ops;
    pci->cf9_ctx = ctx;
}

struct line *pci_pirq(struct pci_bus *pci, unsigned index)
{
    return &pci->pirq[index];
}

int pci_add(struct pci_bus *pci, struct pci_function *fn, uint8_t devfn)
{
    if (pci->functions[devfn] != NULL)
        return -EBUSY;
    pci->functions[devfn] = fn;
    fn->bus = pci;
    fn->devfn = devfn;
    return 0;
}

const struct pci_function *pci_function_at(const struct pci_bus *pci, uint8_t devfn)
{
    return pci->functions[devfn];
}
