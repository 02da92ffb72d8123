/*
 * devices/pc_mptable.c -- the MP table that a kernel without ACPI finds after a direct boot.
 * Source: Intel MultiProcessor Specification 1.4, 4 "MP Configuration Table".  (Firmware makes its
 * own.)
 *
 *   F0040  floating pointer structure -> F0050  header, processors, buses PCI and ISA, I/O APIC,
 *   interrupt sources: PCI pins, then the ISA interrupts that PCI left, ExtINT and NMI
 */
#include <string.h>

#include "devices/pc_internal.h"

#define FLOATING_AT   UINT64_C(0xF0040)
#define TABLE_AT      UINT64_C(0xF0050)
#define FLOATING_SIZE 16
#define HEADER_SIZE   44
#define TABLE_MAX     4096

enum { ENTRY_CPU, ENTRY_BUS, ENTRY_IOAPIC, ENTRY_IRQ, ENTRY_LINT };
enum { BUS_PCI, BUS_ISA };
enum { IRQ_INT = 0, IRQ_NMI = 1, IRQ_EXTINT = 3 };
enum { SPEC_1_4 = 4, CPU_ENABLED = 1, CPU_BOOTSTRAP = 2, IOAPIC_ENABLED = 1, ALL_LAPICS = 0xFF };
enum { LAPIC_VERSION = 0x14, IOAPIC_VERSION = 0x11, TIMER_PIN = 2 };

struct table {
    uint8_t bytes[TABLE_MAX];
    unsigned size, entries;
};

static void put(uint8_t *at, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

static uint8_t checksum(const uint8_t *data, size_t size)
{
    uint8_t sum = 0;

    for (size_t i = 0; i < size; i++)
        sum += data[i];
    return (uint8_t)-sum;
}

/* The next entry of `size` bytes; NULL when the table is full. */
static uint8_t *entry_add(struct table *table, uint8_t type, unsigned size)
{
    uint8_t *entry = table->bytes + table->size;

    if (table->size + size > TABLE_MAX)
        return NULL;
    table->size += size;
    table->entries++;
    entry[0] = type;
    return entry;
}

static void processor_add(struct table *table, const struct pc *pc, uint8_t apic_id)
{
    const struct cpuid_leaf leaf = cpuid_query(pc->cpu, 1, 0);
    uint8_t *entry = entry_add(table, ENTRY_CPU, 20);

    if (entry == NULL)
        return;
    entry[1] = apic_id;
    entry[2] = LAPIC_VERSION;
    entry[3] = CPU_ENABLED | (apic_id == 0 ? CPU_BOOTSTRAP : 0);
    put(entry + 4, leaf.eax, 4);
    put(entry + 8, leaf.edx, 4);
}

static void bus_add(struct table *table, uint8_t id, const char *name)
{
    uint8_t *entry = entry_add(table, ENTRY_BUS, 8);

    if (entry == NULL)
        return;
    entry[1] = id;
    memcpy(entry + 2, name, 6);
}

/* An interrupt source; flags 0: trigger and polarity as the bus has them. */
static void source_add(struct table *table, uint8_t type, uint8_t kind, uint8_t bus, uint8_t irq,
                       uint8_t apic, uint8_t pin)
{
    uint8_t *entry = entry_add(table, type, 8);

    if (entry == NULL)
        return;
    entry[1] = kind;
    entry[4] = bus;
    entry[5] = irq;
    entry[6] = apic;
    entry[7] = pin;
}

/* Each function that has an interrupt pin; returns the ISA interrupts they use. */
static unsigned pci_sources_add(struct table *table, const struct pc *pc, uint8_t ioapic)
{
    unsigned used = 0, previous = UINT32_MAX;

    for (unsigned devfn = 0; devfn < PCI_FUNCTION_COUNT; devfn++) {
        const unsigned pin = pci_config_read(pc->pci, (uint8_t)devfn, PCI_INTERRUPT_PIN, 1);
        const unsigned irq = pci_config_read(pc->pci, (uint8_t)devfn, PCI_INTERRUPT_LINE, 1);
        const unsigned source = (devfn >> 3) << 2 | (pin - 1);

        if (pin == 0 || pin > PCI_PIRQ_COUNT || irq == 0 || irq >= ISA_IRQ_COUNT ||
            source == previous) /* absent functions read as ones */
            continue;
        previous = source;
        used |= 1u << irq;
        source_add(table, ENTRY_IRQ, IRQ_INT, BUS_PCI, (uint8_t)source, ioapic, (uint8_t)irq);
    }
    return used;
}

static void entries_add(struct table *table, const struct pc *pc, unsigned cpu_count)
{
    const uint8_t ioapic = (uint8_t)(cpu_count & 15); /* behind the processors' */
    unsigned pci_irqs;
    uint8_t *entry;

    for (unsigned i = 0; i < cpu_count; i++)
        processor_add(table, pc, (uint8_t)i);
    bus_add(table, BUS_PCI, "PCI   ");
    bus_add(table, BUS_ISA, "ISA   ");
    entry = entry_add(table, ENTRY_IOAPIC, 8);
    if (entry != NULL) {
        entry[1] = ioapic;
        entry[2] = IOAPIC_VERSION;
        entry[3] = IOAPIC_ENABLED;
        put(entry + 4, IOAPIC_BASE, 4);
    }
    pci_irqs = pci_sources_add(table, pc, ioapic);
    for (unsigned irq = 0; irq < ISA_IRQ_COUNT; irq++) {
        if (irq == TIMER_PIN || (pci_irqs & 1u << irq))
            continue;
        source_add(table, ENTRY_IRQ, IRQ_INT, BUS_ISA, (uint8_t)irq, ioapic,
                   (uint8_t)(irq == 0 ? TIMER_PIN : irq));
    }
    source_add(table, ENTRY_LINT, IRQ_EXTINT, BUS_ISA, 0, 0, 0);
    source_add(table, ENTRY_LINT, IRQ_NMI, BUS_ISA, 0, ALL_LAPICS, 1);
}

void pc_mptable_write(struct pc *pc, unsigned cpu_count)
{
    struct table table = {.size = HEADER_SIZE};
    uint8_t floating[FLOATING_SIZE] = {0};
    uint8_t *header = table.bytes;

    entries_add(&table, pc, cpu_count);
    memcpy(header, "PCMP", 4);
    put(header + 4, table.size, 2);
    header[6] = SPEC_1_4;
    memcpy(header + 8, "RINGER  RINGERPC    ", 20);
    put(header + 34, table.entries, 2);
    put(header + 36, LAPIC_BASE, 4);
    header[7] = checksum(header, table.size);

    memcpy(floating, "_MP_", 4);
    put(floating + 4, TABLE_AT, 4);
    floating[8] = FLOATING_SIZE / 16;
    floating[9] = SPEC_1_4;
    floating[10] = checksum(floating, sizeof(floating));
    physmem_write_bytes(pc->mem, FLOATING_AT, floating, sizeof(floating));
    physmem_write_bytes(pc->mem, TABLE_AT, table.bytes, table.size);
}
