/*
 * devices/acpi.c -- ACPI tables of the board: RSDP, RSDT, FADT, FACS, MADT, HPET and a generated
 * DSDT. Source: ACPI specification 6.3, 5.2 "ACPI System Description Tables", 6 "Device
 * Configuration"; IA-PC HPET specification 1.0a, 3.2.4 "The ACPI 2.0 HPET Description Table".
 *
 * The DSDT in outline:
 *   \_SB  CP00.. (processors)
 *         LNKA..LNKD, LNKS (interrupt links: PIIX3's four PIRQ routers, and the fixed SCI)
 *         PCI0  _CRS, _PRT
 *               ISA  PRQ0..PRQ3 over PIRQRC, and the devices that cannot be discovered
 *         HPET, FWCF
 *   \_S5
 */
#include "devices/acpi.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/aml.h"
#include "devices/hpet.h"
#include "devices/ioapic.h"
#include "devices/lapic.h"
#include "devices/pci.h"
#include "devices/piix4_pm.h"

#define HEADER_SIZE     36
#define HEADER_LENGTH   4
#define HEADER_CHECKSUM 9
#define FACS_SIZE       64
#define FADT_SIZE       244
#define HPET_TABLE_SIZE 56
#define TABLE_SPACE     4096 /* all tables but the DSDT */

/* ---- tables as bytes ---- */

static void put(uint8_t *at, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

static uint32_t get32(const uint8_t *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static void header_put(uint8_t *table, const char *signature, uint8_t revision)
{
    memcpy(table, signature, 4);
    table[8] = revision;
    memcpy(table + 10, "RINGER", 6);
    memcpy(table + 16, "RINGERPC", 8);
    put(table + 24, 1, 4);
    memcpy(table + 28, "RNGR", 4);
    put(table + 32, 1, 4);
}

static void pointer_put(struct acpi_tables *t, uint32_t at, uint32_t target)
{
    put(t->data + at, target, 4);
    t->pointers[t->pointer_count++] = at;
}

/* The table's length is known: write it, and ask for its checksum. */
static void table_close(struct acpi_tables *t, uint32_t start, uint32_t length)
{
    put(t->data + start + HEADER_LENGTH, length, 4);
    t->checksums[t->checksum_count].start = start;
    t->checksums[t->checksum_count].length = length;
    t->checksums[t->checksum_count++].at = start + HEADER_CHECKSUM;
}

static void generic_address_put(uint8_t *at, uint16_t port, uint8_t bytes)
{
    at[0] = 1; /* system I/O */
    at[1] = (uint8_t)(8 * bytes);
    at[3] = bytes == 4 ? 3 : bytes; /* access size: 1 byte, 2 word, 3 dword */
    put(at + 4, port, 8);
}

/* ---- FADT [5.2.9] ---- */

#define FADT_WBINVD     (1u << 0)
#define FADT_PROC_C1    (1u << 2)
#define FADT_SLP_BUTTON (1u << 5) /* there is no fixed sleep button */
#define FADT_FIX_RTC    (1u << 6) /* RTC wake is not a fixed event */
#define FADT_RESET_REG  (1u << 10)

static void fadt_put(struct acpi_tables *t, uint32_t at, uint32_t facs, uint32_t dsdt)
{
    uint8_t *fadt = t->data + at;

    header_put(fadt, "FACP", 3);
    pointer_put(t, at + 36, facs);
    pointer_put(t, at + 40, dsdt);
    put(fadt + 46, PIIX4_SCI_IRQ, 2);
    put(fadt + 48, PIIX4_SMI_CMD, 4);
    fadt[52] = PIIX4_ACPI_ENABLE;
    fadt[53] = PIIX4_ACPI_DISABLE;
    put(fadt + 56, PIIX4_PM_BASE, 4);     /* PM1a event block */
    put(fadt + 64, PIIX4_PM_BASE + 4, 4); /* PM1a control block */
    put(fadt + 76, PIIX4_PM_BASE + 8, 4); /* PM timer */
    put(fadt + 80, PIIX4_GPE0_BASE, 4);
    fadt[88] = 4; /* lengths of the same */
    fadt[89] = 2;
    fadt[91] = 4;
    fadt[92] = PIIX4_GPE0_SIZE;
    put(fadt + 96, 0xFFF, 2); /* no C2 */
    put(fadt + 98, 0xFFF, 2); /* no C3 */
    fadt[108] = 0x32;         /* CMOS index of the century */
    put(fadt + 109, 3, 2);    /* ISA devices, 8042 */
    put(fadt + 112, FADT_WBINVD | FADT_PROC_C1 | FADT_SLP_BUTTON | FADT_FIX_RTC | FADT_RESET_REG,
        4);
    generic_address_put(fadt + 116, 0xCF9, 1);
    fadt[128] = 0x06; /* a hard reset, now */
    generic_address_put(fadt + 148, PIIX4_PM_BASE, 4);
    generic_address_put(fadt + 172, PIIX4_PM_BASE + 4, 2);
    generic_address_put(fadt + 208, PIIX4_PM_BASE + 8, 4);
    generic_address_put(fadt + 220, PIIX4_GPE0_BASE, PIIX4_GPE0_SIZE);
    fadt[151] = 2; /* status and enable are words */
    fadt[223] = 1; /* GPE0 is bytes */
    table_close(t, at, FADT_SIZE);
}

/* ---- MADT [5.2.12] ---- */

#define MADT_ACTIVE_HIGH_LEVEL 0x0D

static uint8_t *madt_override_put(uint8_t *p, uint8_t irq, uint8_t gsi, uint16_t flags)
{
    p[0] = 2;
    p[1] = 10;
    p[3] = irq;
    put(p + 4, gsi, 4);
    put(p + 8, flags, 2);
    return p + 10;
}

static uint32_t madt_put(struct acpi_tables *t, uint32_t at, const struct acpi_config *config)
{
    static const uint8_t level_irqs[] = {5, 9, 10, 11}; /* what PIRQs and the SCI may use */
    uint8_t *madt = t->data + at, *p = madt + 44;

    header_put(madt, "APIC", 1);
    put(madt + 36, LAPIC_BASE, 4);
    put(madt + 40, 1, 4); /* there are 8259s too */
    for (unsigned i = 0; i < config->cpu_count; i++, p += 8) {
        p[1] = 8;
        p[2] = p[3] = (uint8_t)i;
        put(p + 4, 1, 4); /* enabled */
    }
    p[0] = 1;
    p[1] = 12;
    put(p + 4, IOAPIC_BASE, 4);
    p += 12;
    p = madt_override_put(p, 0, 2, 0);
    for (unsigned i = 0; i < sizeof(level_irqs); i++)
        p = madt_override_put(p, level_irqs[i], level_irqs[i], MADT_ACTIVE_HIGH_LEVEL);
    p[0] = 4; /* NMI on every processor's LINT1 */
    p[1] = 6;
    p[2] = 0xFF;
    p[5] = 1;
    p += 6;
    table_close(t, at, (uint32_t)(p - madt));
    return (uint32_t)(p - madt);
}

/* ---- HPET ---- */

#define HPET_MINIMUM_TICKS 5000 /* shorter periods lose interrupts */

static void hpet_put(struct acpi_tables *t, uint32_t at)
{
    uint8_t *hpet = t->data + at;

    header_put(hpet, "HPET", 1);
    put(hpet + 36, HPET_BLOCK_ID, 4);
    hpet[41] = 64; /* a generic address: memory, 64 bits wide */
    put(hpet + 44, HPET_BASE, 8);
    put(hpet + 53, HPET_MINIMUM_TICKS, 2);
    table_close(t, at, HPET_TABLE_SIZE);
}

/* ---- DSDT ---- */

enum { LINK_COUNT = 4, PRT_FIRST_SLOT = 1, PRT_SLOT_COUNT = 31 };

static void dsdt_processors(struct aml *aml, const struct acpi_config *config)
{
    for (unsigned i = 0; i < config->cpu_count; i++) {
        char name[5];

        snprintf(name, sizeof(name), "CP%02X", i & 0xFF);
        aml_device_begin(aml, name);
        aml_name_string_value(aml, "_HID", "ACPI0007");
        aml_name_integer(aml, "_UID", i);
        aml_end(aml);
    }
}

/*
 * Interrupt routing: slot s, pin p (0 = INTA) goes to link (p + s - 1) mod 4, except for the power
 * management function, whose INTA is the SCI.
 */
static void dsdt_prt(struct aml *aml)
{
    static const char *const links[LINK_COUNT] = {"\\_SB.LNKA", "\\_SB.LNKB", "\\_SB.LNKC",
                                                  "\\_SB.LNKD"};

    aml_name(aml, "_PRT");
    aml_package_begin(aml, PRT_SLOT_COUNT * LINK_COUNT);
    for (unsigned slot = PRT_FIRST_SLOT; slot < PRT_FIRST_SLOT + PRT_SLOT_COUNT; slot++) {
        for (unsigned pin = 0; pin < LINK_COUNT; pin++) {
            aml_package_begin(aml, 4);
            aml_integer(aml, slot << 16 | 0xFFFF);
            aml_integer(aml, pin);
            aml_name_string(aml, slot == 1 && pin == 0 ? "\\_SB.LNKS"
                                                       : links[(pin + slot - 1) % LINK_COUNT]);
            aml_integer(aml, 0);
            aml_end(aml);
        }
    }
    aml_end(aml);
}

static void device_begin(struct aml *aml, const char *name, const char *id)
{
    aml_device_begin(aml, name);
    aml_name_eisa_id(aml, "_HID", id);
}

/* One router of PIIX3: a link device over one PIRQRC register. */
static void dsdt_link(struct aml *aml, unsigned index)
{
    static const uint32_t possible[] = {5, 10, 11}, none = 0;
    char name[5] = "LNKA", reg[] = "\\_SB.PCI0.ISA_.PRQ0";

    name[3] = (char)('A' + index);
    reg[sizeof(reg) - 2] = (char)('0' + index);
    device_begin(aml, name, "PNP0C0F");
    aml_name_integer(aml, "_UID", index + 1);
    aml_resources_begin(aml, "_PRS");
    aml_interrupt(aml, possible, 3);
    aml_resources_end(aml);

    /* _STA: present, shown; decoding unless switched off */
    aml_method_begin(aml, "_STA", 0, false);
    aml_if_begin(aml);
    aml_op(aml, AML_AND);
    aml_name_string(aml, reg);
    aml_integer(aml, 0x80);
    aml_op(aml, AML_NO_TARGET);
    aml_op(aml, AML_RETURN);
    aml_integer(aml, 0x09);
    aml_end(aml);
    aml_op(aml, AML_RETURN);
    aml_integer(aml, 0x0B);
    aml_end(aml);

    aml_method_begin(aml, "_DIS", 0, false);
    aml_op(aml, AML_OR);
    aml_name_string(aml, reg);
    aml_integer(aml, 0x80);
    aml_name_string(aml, reg);
    aml_end(aml);

    /* _CRS: the template's interrupt number is at byte 5 */
    aml_method_begin(aml, "_CRS", 0, true);
    aml_resources_begin(aml, "BUF0");
    aml_interrupt(aml, &none, 1);
    aml_resources_end(aml);
    aml_op(aml, AML_CREATE_DWORD_FIELD);
    aml_name_string(aml, "BUF0");
    aml_integer(aml, 5);
    aml_name_string(aml, "IRQN");
    aml_if_begin(aml);
    aml_op(aml, AML_NOT);
    aml_op(aml, AML_AND);
    aml_name_string(aml, reg);
    aml_integer(aml, 0x80);
    aml_op(aml, AML_NO_TARGET);
    aml_op(aml, AML_STORE);
    aml_name_string(aml, reg);
    aml_name_string(aml, "IRQN");
    aml_end(aml);
    aml_op(aml, AML_RETURN);
    aml_name_string(aml, "BUF0");
    aml_end(aml);

    aml_method_begin(aml, "_SRS", 1, true);
    aml_op(aml, AML_CREATE_DWORD_FIELD);
    aml_op(aml, AML_ARG0);
    aml_integer(aml, 5);
    aml_name_string(aml, "IRQN");
    aml_op(aml, AML_STORE);
    aml_name_string(aml, "IRQN");
    aml_name_string(aml, reg);
    aml_end(aml);
    aml_end(aml);
}

/* The SCI: a link that has one choice. */
static void dsdt_link_sci(struct aml *aml)
{
    static const uint32_t sci = PIIX4_SCI_IRQ;

    device_begin(aml, "LNKS", "PNP0C0F");
    aml_name_integer(aml, "_UID", LINK_COUNT + 1);
    aml_resources_begin(aml, "_PRS");
    aml_interrupt(aml, &sci, 1);
    aml_resources_end(aml);
    aml_resources_begin(aml, "_CRS");
    aml_interrupt(aml, &sci, 1);
    aml_resources_end(aml);
    aml_name_integer(aml, "_STA", 0x0B);
    aml_method_begin(aml, "_DIS", 0, false);
    aml_end(aml);
    aml_method_begin(aml, "_SRS", 1, false);
    aml_end(aml);
    aml_end(aml);
}

/* Fixed ISA devices; ports of length 0 and interrupts of -1 are absent. */
static const struct isa_device {
    char name[5], id[8];
    struct {
        uint16_t base;
        uint8_t length;
    } io[8];
    int irq, dma;
} isa_devices[] = {
    {"FDC0", "PNP0700", {{0x3F2, 4}, {0x3F7, 1}}, 6, 2},
    {"RTC_", "PNP0B00", {{0x70, 4}}, 8, -1},
    {"KBD_", "PNP0303", {{0x60, 1}, {0x64, 1}}, 1, -1},
    {"MOU_", "PNP0F13", {{0, 0}}, 12, -1},
    {"PIC_", "PNP0000", {{0x20, 2}, {0xA0, 2}, {0x4D0, 2}}, 2, -1},
    {"TMR_", "PNP0100", {{0x40, 4}}, 0, -1},
    {"DMA_", "PNP0200", {{0x00, 0x10}, {0x80, 0x10}, {0xC0, 0x20}}, -1, 4},
    {"SPK_", "PNP0800", {{0x61, 1}}, -1, -1},
    {"FPU_", "PNP0C04", {{0xF0, 1}}, 13, -1},
    {"MBRD",
     "PNP0C02",
     {{0x92, 1},
      {PIIX4_SMI_CMD, 2},
      {PIIX4_PM_BASE, 64},
      {PIIX4_SMB_BASE, 16},
      {PIIX4_GPE0_BASE, PIIX4_GPE0_SIZE}},
     -1,
     -1},
};

static void dsdt_isa_device(struct aml *aml, const struct isa_device *device)
{
    device_begin(aml, device->name, device->id);
    aml_resources_begin(aml, "_CRS");
    for (unsigned i = 0; i < 8 && device->io[i].length != 0; i++)
        aml_io(aml, device->io[i].base, 1, device->io[i].length);
    if (device->irq >= 0)
        aml_irq_no_flags(aml, (uint8_t)device->irq);
    if (device->dma >= 0)
        aml_dma(aml, (uint8_t)device->dma);
    aml_resources_end(aml);
    aml_end(aml);
}

static void dsdt_serial(struct aml *aml, unsigned index)
{
    static const uint16_t ports[4] = {0x3F8, 0x2F8, 0x3E8, 0x2E8};
    char name[5] = "COM1";

    name[3] = (char)('1' + index);
    device_begin(aml, name, "PNP0501");
    aml_name_integer(aml, "_UID", index + 1);
    aml_resources_begin(aml, "_CRS");
    aml_io(aml, ports[index], 1, 8);
    aml_irq_no_flags(aml, index % 2 == 0 ? 4 : 3);
    aml_resources_end(aml);
    aml_end(aml);
}

static void dsdt_isa(struct aml *aml, const struct acpi_config *config)
{
    aml_device_begin(aml, "ISA_");
    aml_name_integer(aml, "_ADR", 1 << 16);
    aml_operation_region(aml, "PIRQ", AML_PCI_CONFIG, 0x60, LINK_COUNT);
    aml_field_begin(aml, "PIRQ");
    aml_field(aml, "PRQ0", 8);
    aml_field(aml, "PRQ1", 8);
    aml_field(aml, "PRQ2", 8);
    aml_field(aml, "PRQ3", 8);
    aml_end(aml);
    for (unsigned i = 0; i < sizeof(isa_devices) / sizeof(isa_devices[0]); i++)
        dsdt_isa_device(aml, &isa_devices[i]);
    for (unsigned i = 0; i < 4; i++) {
        if (config->serial[i])
            dsdt_serial(aml, i);
    }
    aml_end(aml);
}

static void dsdt_pci(struct aml *aml, const struct acpi_config *config)
{
    device_begin(aml, "PCI0", "PNP0A03");
    aml_name_integer(aml, "_UID", 0);
    aml_resources_begin(aml, "_CRS");
    aml_word_bus(aml, 0, 0xFF);
    aml_io(aml, 0xCF8, 1, 8); /* the bridge's own */
    aml_word_io(aml, 0, 0xCF7);
    aml_word_io(aml, 0xD00, 0xFFFF);
    aml_dword_memory(aml, true, 0xA0000, 0xBFFFF);
    aml_dword_memory(aml, false, config->pci_hole, config->pci_hole_end - 1);
    aml_resources_end(aml);
    dsdt_prt(aml);
    dsdt_isa(aml, config);
    aml_end(aml);
}

static void dsdt_fw_cfg(struct aml *aml)
{
    aml_device_begin(aml, "FWCF");
    aml_name_string_value(aml, "_HID", "QEMU0002");
    aml_name_integer(aml, "_STA", 0x0B);
    aml_resources_begin(aml, "_CRS");
    aml_io(aml, 0x510, 1, 12);
    aml_resources_end(aml);
    aml_end(aml);
}

static void dsdt_hpet(struct aml *aml)
{
    device_begin(aml, "HPET", "PNP0103");
    aml_name_integer(aml, "_UID", 0);
    aml_resources_begin(aml, "_CRS");
    aml_memory32(aml, HPET_BASE, HPET_SIZE);
    aml_resources_end(aml);
    aml_end(aml);
}

static bool dsdt_build(struct aml *aml, const struct acpi_config *config)
{
    uint8_t header[HEADER_SIZE] = {0};

    aml_init(aml);
    header_put(header, "DSDT", 1); /* revision 1: integers are 32 bits */
    aml_bytes(aml, header, sizeof(header));
    aml_scope_begin(aml, "\\_SB");
    dsdt_processors(aml, config);
    dsdt_pci(aml, config);
    for (unsigned i = 0; i < LINK_COUNT; i++)
        dsdt_link(aml, i);
    dsdt_link_sci(aml);
    if (config->hpet)
        dsdt_hpet(aml);
    dsdt_fw_cfg(aml);
    aml_end(aml);
    aml_name(aml, "\\_S5");
    aml_package_begin(aml, 4);
    for (unsigned i = 0; i < 4; i++)
        aml_integer(aml, PIIX4_SLP_TYP_S5);
    aml_end(aml);
    return aml_finish(aml);
}

/* ---- all together ---- */

static uint32_t align(uint32_t offset, uint32_t to)
{
    return (offset + to - 1) & ~(to - 1);
}

int acpi_build(const struct acpi_config *config, struct acpi_tables *t)
{
    struct aml dsdt;
    uint32_t dsdt_at, fadt_at, madt_at, hpet_at, madt_size = 0, hpet_size = 0;
    unsigned table_count = 0;

    memset(t, 0, sizeof(*t));
    if (!dsdt_build(&dsdt, config))
        return -ENOMEM;
    t->data = calloc(1, TABLE_SPACE + dsdt.size + 8 * config->cpu_count);
    if (t->data == NULL) {
        free(dsdt.data);
        return -ENOMEM;
    }
    memcpy(t->data, "FACS", 4); /* first: it must be aligned to 64 bytes */
    put(t->data + 4, FACS_SIZE, 4);
    t->data[32] = 1;
    dsdt_at = FACS_SIZE;
    memcpy(t->data + dsdt_at, dsdt.data, dsdt.size);
    table_close(t, dsdt_at, (uint32_t)dsdt.size);
    fadt_at = align(dsdt_at + (uint32_t)dsdt.size, 16);
    free(dsdt.data);
    fadt_put(t, fadt_at, 0, dsdt_at);
    madt_at = align(fadt_at + FADT_SIZE, 16);
    if (config->apic)
        madt_size = madt_put(t, madt_at, config);
    hpet_at = align(madt_at + madt_size, 16);
    if (config->hpet) {
        hpet_size = HPET_TABLE_SIZE;
        hpet_put(t, hpet_at);
    }
    t->rsdt = align(hpet_at + hpet_size, 16);
    header_put(t->data + t->rsdt, "RSDT", 1);
    pointer_put(t, t->rsdt + HEADER_SIZE + 4 * table_count++, fadt_at);
    if (config->apic)
        pointer_put(t, t->rsdt + HEADER_SIZE + 4 * table_count++, madt_at);
    if (config->hpet)
        pointer_put(t, t->rsdt + HEADER_SIZE + 4 * table_count++, hpet_at);
    table_close(t, t->rsdt, HEADER_SIZE + 4 * table_count);
    t->size = t->rsdt + HEADER_SIZE + 4 * table_count;
    memcpy(t->rsdp, "RSD PTR ", 8);
    memcpy(t->rsdp + 9, "RINGER", 6);
    put(t->rsdp + ACPI_RSDP_POINTER, t->rsdt, 4);
    return 0;
}

void acpi_free(struct acpi_tables *tables)
{
    free(tables->data);
    memset(tables, 0, sizeof(*tables));
}

static uint8_t checksum(const uint8_t *data, size_t size)
{
    uint8_t sum = 0;

    for (size_t i = 0; i < size; i++)
        sum += data[i];
    return (uint8_t)-sum;
}

void acpi_relocate(struct acpi_tables *t, uint32_t base)
{
    for (unsigned i = 0; i < t->pointer_count; i++)
        put(t->data + t->pointers[i], get32(t->data + t->pointers[i]) + base, 4);
    put(t->rsdp + ACPI_RSDP_POINTER, get32(t->rsdp + ACPI_RSDP_POINTER) + base, 4);
    for (unsigned i = 0; i < t->checksum_count; i++)
        t->data[t->checksums[i].at] =
            checksum(t->data + t->checksums[i].start, t->checksums[i].length);
    t->rsdp[ACPI_RSDP_CHECKSUM] = checksum(t->rsdp, ACPI_RSDP_SIZE);
}
