/*
 * devices/acpi.h -- the machine's ACPI tables, and the AML that describes its devices.
 */
#ifndef RINGER_DEVICES_ACPI_H
#define RINGER_DEVICES_ACPI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct acpi_config {
    unsigned cpu_count;
    bool apic;             /* the CPU has a local APIC and there is an I/O APIC: make a MADT */
    bool hpet;             /* there are high precision event timers */
    bool serial[4];        /* which serial ports there are */
    uint32_t pci_hole;     /* first address below 4 GiB that is not RAM */
    uint32_t pci_hole_end; /* first address that is no longer for BARs */
};

enum {
    ACPI_RSDP_SIZE = 20,
    ACPI_POINTER_MAX = 16,
    ACPI_CHECKSUM_MAX = 8,
    ACPI_ALIGN = 64,
};

/*
 * The tables as one block that can be placed anywhere below 4 GiB (ACPI_ALIGN-aligned).  Pointers
 * (32 bits, little-endian) hold offsets within the block until acpi_relocate() or firmware adds
 * the block's address; checksum bytes are 0 until then.
 */
struct acpi_tables {
    uint8_t *data;
    size_t size;
    uint32_t pointers[ACPI_POINTER_MAX]; /* where in data */
    unsigned pointer_count;
    struct {
        uint32_t start, length, at; /* sum of [start, start + length) is made 0 by byte `at` */
    } checksums[ACPI_CHECKSUM_MAX];
    unsigned checksum_count;
    uint32_t rsdt;                /* offset of the RSDT */
    uint8_t rsdp[ACPI_RSDP_SIZE]; /* revision 0; its pointer is at ACPI_RSDP_POINTER */
};
enum { ACPI_RSDP_POINTER = 16, ACPI_RSDP_CHECKSUM = 8 };

/* 0 or -ENOMEM. */
int acpi_build(const struct acpi_config *config, struct acpi_tables *tables);
void acpi_free(struct acpi_tables *tables);
/* Fix pointers and checksums, the RSDP's too, for a block at `base`. */
void acpi_relocate(struct acpi_tables *tables, uint32_t base);

#endif
