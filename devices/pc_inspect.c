/*
 * devices/pc_inspect.c -- the board described in words, and its ports touched, for a monitor.
 */
#include <inttypes.h>

#include "devices/pc_internal.h"

/* ---- PCI ---- */

/* [PCI Local Bus Specification 2.2, appendix D] */
static const char *class_name(uint16_t class_code)
{
    static const struct {
        uint16_t code;
        const char *name;
    } names[] = {
        {0x0100, "SCSI controller"},     {0x0101, "IDE controller"}, {0x0106, "SATA controller"},
        {0x0200, "Ethernet controller"}, {0x0300, "VGA controller"}, {0x0600, "Host bridge"},
        {0x0601, "ISA bridge"},          {0x0604, "PCI bridge"},     {0x0680, "Bridge"},
        {0x0C03, "USB controller"},      {0x0C05, "SMBus"},
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (names[i].code == class_code)
            return names[i].name;
    return NULL;
}

static void describe_bar(const struct pci_function *fn, unsigned index, FILE *out)
{
    const struct pci_bar *bar = &fn->bars[index];

    if (bar->kind == PCI_BAR_NONE)
        return;
    fprintf(out, "      BAR%u: %s of %" PRIu32 " bytes ", index,
            bar->kind == PCI_BAR_IO        ? "I/O ports"
            : bar->kind == PCI_BAR_BACKING ? "32 bit prefetchable memory"
                                           : "32 bit memory",
            bar->size);
    if (bar->mapped)
        fprintf(out, "at 0x%08" PRIx32 " [0x%08" PRIx32 "].\n", bar->address,
                bar->address + bar->size - 1);
    else
        fprintf(out, "is not mapped.\n");
}

void pc_describe_pci(const struct pc *pc, FILE *out)
{
    for (unsigned devfn = 0; devfn < PCI_FUNCTION_COUNT; devfn++) {
        const struct pci_function *fn = pci_function_at(pc->pci, (uint8_t)devfn);
        uint16_t class_code;

        if (fn == NULL)
            continue;
        class_code = pci_get16(fn, PCI_CLASS_DEVICE);
        fprintf(out, "  Bus  0, device %3u, function %u:\n    ", devfn >> 3, devfn & 7);
        if (class_name(class_code) != NULL)
            fprintf(out, "%s", class_name(class_code));
        else
            fprintf(out, "Class %04x", class_code);
        fprintf(out, ": PCI device %04x:%04x\n", pci_get16(fn, PCI_VENDOR_ID),
                pci_get16(fn, PCI_DEVICE_ID));
        if (pci_get16(fn, PCI_SUBSYSTEM_VENDOR_ID) != 0)
            fprintf(out, "      PCI subsystem %04x:%04x\n", pci_get16(fn, PCI_SUBSYSTEM_VENDOR_ID),
                    pci_get16(fn, PCI_SUBSYSTEM_ID));
        if (fn->config[PCI_INTERRUPT_PIN] != 0)
            fprintf(out, "      IRQ %u, pin %c\n", fn->config[PCI_INTERRUPT_LINE],
                    fn->config[PCI_INTERRUPT_PIN] + 'A' - 1);
        for (unsigned i = 0; i < PCI_BAR_COUNT; i++)
            describe_bar(fn, i, out);
        fprintf(out, "      id \"%s\"\n", fn->name);
    }
}

/* ---- memory ---- */

static const char *owner(const struct pc *pc, uint64_t address, bool *is_ram)
{
    for (unsigned devfn = 0; devfn < PCI_FUNCTION_COUNT; devfn++) {
        const struct pci_function *fn = pci_function_at(pc->pci, (uint8_t)devfn);

        for (unsigned i = 0; fn != NULL && i < PCI_BAR_COUNT; i++) {
            const struct pci_bar *bar = &fn->bars[i];

            if (bar->mapped && bar->kind != PCI_BAR_IO && address - bar->address < bar->size)
                return fn->name;
        }
    }
    *is_ram = true;
    return address >= 0xA0000 && address < 0xC0000 ? "vga-lowmem" : "ram";
}

static const char *region_name(const struct pc *pc, const struct pc_region *region)
{
    bool is_ram = false;
    const char *name;

    if (region->dev != NULL && region->dev == (void *)pc->lapic)
        return "apic";
    if (region->dev != NULL && region->dev == (void *)pc->ioapic)
        return "ioapic";
    if (region->priority == PRIORITY_ROM)
        return "rom";
    name = owner(pc, region->base, &is_ram);
    if (is_ram && region->ops == NULL && !region->writable)
        return "rom";
    return name;
}

void pc_describe_memory(const struct pc *pc, FILE *out)
{
    static const char *const kinds[] = {
        [PRIORITY_PCI] = "pci", [PRIORITY_RAM] = "ram",   [PRIORITY_SHADOW] = "shadow",
        [PRIORITY_ROM] = "rom", [PRIORITY_APIC] = "apic",
    };

    fprintf(out, "memory regions (where they overlap the higher prio answers):\n");
    for (unsigned i = 0; i < pc->region_count; i++) {
        const struct pc_region *region = &pc->regions[i];

        fprintf(out, "  %016" PRIx64 "-%016" PRIx64 " (prio %d %s, %s): %s\n", region->base,
                region->base + region->size - 1, (int)region->priority, kinds[region->priority],
                region->ops != NULL ? "i/o"
                : region->writable  ? "ram"
                                    : "rom",
                region_name(pc, region));
    }
    fprintf(out, "flat view:\n");
    for (unsigned i = 0; i < pc->segment_count; i++) {
        const struct pc_segment *segment = pc->segments[i];

        fprintf(out, "  %016" PRIx64 "-%016" PRIx64 " (%s)\n", segment->base,
                segment->base + segment->size - 1,
                segment->ops != NULL ? "i/o"
                : segment->writable  ? "ram"
                                     : "rom");
    }
}

/* ---- interrupts ---- */

void pc_describe_irq(const struct pc *pc, FILE *out)
{
    i8259_describe(pc->pic, out);
    ioapic_describe(pc->ioapic, out);
    fprintf(out, "CPU: INTR %d, NMI pending %d, blocked %d, IF %d\n", pc->cpu->intr,
            pc->cpu->nmi_pending, pc->cpu->nmi_blocked, (int)(pc->cpu->rflags >> 9 & 1));
}

void pc_describe_lapic(const struct pc *pc, FILE *out)
{
    lapic_describe(pc->lapic, out);
}

/* ---- ports ---- */

uint32_t pc_port_read(struct pc *pc, uint16_t port, unsigned size)
{
    return bus_io_read(pc->bus, port, size);
}

void pc_port_write(struct pc *pc, uint16_t port, unsigned size, uint32_t value)
{
    bus_io_write(pc->bus, port, size, value);
}
