/*
 * devices/pc_boot.c -- what firmware is told (fw_cfg, CMOS), and what it would have done before a
 * kernel that is entered directly: tables in memory, BARs and interrupt routes programmed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/acpi.h"
#include "devices/pc_internal.h"

#define ACPI_RESERVE  UINT64_C(0x10000) /* at the top of RAM below 4 GiB */
#define RSDP_ADDRESS  UINT64_C(0xF0000)
#define EBDA_BASE     UINT64_C(0x9FC00)
#define LOW_END       UINT64_C(0xA0000)
#define SYSTEM_BASE   UINT64_C(0xF0000)
#define HIGH_START    UINT64_C(0x100000)
#define VGA_BAR       0xFD000000u
#define VGA_REGISTERS 0xFEBF0000u
#define VGA_DEVFN     PCI_DEVFN(2, 0)
#define ELCR2         0x4D1
#define ELCR2_10_11   0x0C

enum { E820_RAM = 1, E820_RESERVED = 2, E820_ACPI = 3 };

static void put(uint8_t *at, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

static int tables_build(const struct pc *pc, struct acpi_tables *tables)
{
    struct acpi_config config = {
        .cpu_count = 1,
        .apic = pc->config.model.apic,
        .hpet = pc->hpet != NULL,
        .pci_hole = (uint32_t)pc->ram_below,
        .pci_hole_end = PCI_HOLE_END,
    };

    for (unsigned i = 0; i < SERIAL_COUNT; i++)
        config.serial[i] = pc->serial[i] != NULL;
    return acpi_build(&config, tables);
}

/* ---- the table loader's script ---- */

/*
 * Firmware places the files and patches them by a list of 128-byte commands.
 * Source: the interface that QEMU's firmware users implement: ALLOCATE (1) file[56], alignment,
 * zone (1 high, 2 low); ADD_POINTER (2) destination[56], source[56], offset, size; ADD_CHECKSUM (3)
 * file[56], offset, start, length.  All little-endian.
 */
enum { LOADER_ENTRY = 128, LOADER_ALLOCATE = 1, LOADER_POINTER = 2, LOADER_CHECKSUM = 3 };
enum { LOADER_MAX = 4 + ACPI_POINTER_MAX + ACPI_CHECKSUM_MAX };
#define FILE_TABLES "etc/acpi/tables"
#define FILE_RSDP   "etc/acpi/rsdp"
#define FILE_LOADER "etc/table-loader"

struct script {
    uint8_t entries[LOADER_MAX][LOADER_ENTRY];
    unsigned count;
};

static uint8_t *script_entry(struct script *script, uint32_t command, const char *file)
{
    uint8_t *entry = script->entries[script->count++];

    put(entry, command, 4);
    memcpy(entry + 4, file, strlen(file));
    return entry;
}

static void script_allocate(struct script *script, const char *file, uint32_t align, uint8_t zone)
{
    uint8_t *entry = script_entry(script, LOADER_ALLOCATE, file);

    put(entry + 60, align, 4);
    entry[64] = zone;
}

static void script_pointer(struct script *script, const char *file, uint32_t offset)
{
    uint8_t *entry = script_entry(script, LOADER_POINTER, file);

    memcpy(entry + 60, FILE_TABLES, sizeof(FILE_TABLES));
    put(entry + 116, offset, 4);
    entry[120] = 4;
}

static void script_checksum(struct script *script, const char *file, uint32_t at, uint32_t start,
                            uint32_t length)
{
    uint8_t *entry = script_entry(script, LOADER_CHECKSUM, file);

    put(entry + 60, at, 4);
    put(entry + 64, start, 4);
    put(entry + 68, length, 4);
}

static int tables_publish(struct pc *pc)
{
    struct acpi_tables tables;
    struct script script = {.count = 0};
    int error = tables_build(pc, &tables);

    if (error != 0)
        return error;
    script_allocate(&script, FILE_TABLES, ACPI_ALIGN, 1);
    script_allocate(&script, FILE_RSDP, 16, 2);
    for (unsigned i = 0; i < tables.pointer_count; i++)
        script_pointer(&script, FILE_TABLES, tables.pointers[i]);
    script_pointer(&script, FILE_RSDP, ACPI_RSDP_POINTER);
    for (unsigned i = 0; i < tables.checksum_count; i++)
        script_checksum(&script, FILE_TABLES, tables.checksums[i].at, tables.checksums[i].start,
                        tables.checksums[i].length);
    script_checksum(&script, FILE_RSDP, ACPI_RSDP_CHECKSUM, 0, ACPI_RSDP_SIZE);
    error = fw_cfg_add_file(pc->fw_cfg, FILE_TABLES, tables.data, tables.size);
    if (error == 0)
        error = fw_cfg_add_file(pc->fw_cfg, FILE_RSDP, tables.rsdp, sizeof(tables.rsdp));
    if (error == 0)
        error =
            fw_cfg_add_file(pc->fw_cfg, FILE_LOADER, script.entries, script.count * LOADER_ENTRY);
    acpi_free(&tables);
    return error;
}

/* ---- what firmware is told ---- */

static int memory_map_publish(struct pc *pc)
{
    uint8_t map[2 * 20] = {0};

    put(map + 8, pc->ram_below, 8);
    put(map + 16, E820_RAM, 4);
    put(map + 20, GIB4, 8);
    put(map + 28, pc->ram_above, 8);
    put(map + 36, E820_RAM, 4);
    return fw_cfg_add_file(pc->fw_cfg, "etc/e820", map, pc->ram_above != 0 ? 40 : 20);
}

/* The places where a PC's firmware has always kept the memory size and the equipment. */
static void cmos_fill(struct pc *pc)
{
    const uint64_t high_kib = (pc->ram_below - HIGH_START) >> 10;
    const uint64_t high_blocks = pc->ram_below > 16 << 20 ? (pc->ram_below - (16 << 20)) >> 16 : 0;
    const uint64_t extended_kib = high_kib < 0xFFFF ? high_kib : 0xFFFF;
    const enum i82077_drive_type floppy_a = i82077_drive_type(pc->floppy, 0);
    const enum i82077_drive_type floppy_b = i82077_drive_type(pc->floppy, 1);
    const unsigned floppies = (floppy_a != FLOPPY_NONE) + (floppy_b != FLOPPY_NONE);
    const struct {
        uint8_t index;
        uint64_t value;
        unsigned size;
    } fields[] = {
        {0x10, (unsigned)floppy_a << 4 | (unsigned)floppy_b, 1},
        /* equipment: 7..6 floppy drives less one, 2 PS/2 mouse, 1 coprocessor, 0 any floppy */
        {0x14, 0x06 | (floppies != 0 ? (floppies - 1) << 6 | 1 : 0), 1},
        {0x15, 640, 2},          /* base memory, KiB */
        {0x17, extended_kib, 2}, /* from 1 MiB, KiB */
        {0x30, extended_kib, 2},
        {0x34, high_blocks, 2},         /* from 16 MiB, 64 KiB */
        {0x5B, pc->ram_above >> 16, 3}, /* from 4 GiB, 64 KiB */
        {0x5F, 0, 1},                   /* processors besides the first */
    };

    for (unsigned i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        for (unsigned byte = 0; byte < fields[i].size; byte++)
            mc146818_set_ram(pc->rtc, (uint8_t)(fields[i].index + byte),
                             (uint8_t)(fields[i].value >> (8 * byte)));
    }
}

/* A disk as type 47, "by its own parameters": 9 bytes of them. */
static void cmos_fill_disk(struct pc *pc, unsigned unit, const struct block_geometry *chs)
{
    const uint8_t parameters[9] = {
        (uint8_t)chs->cylinders,
        (uint8_t)(chs->cylinders >> 8),
        (uint8_t)chs->heads,
        0xFF, /* no write precompensation */
        0xFF,
        (uint8_t)(0xC0 | (chs->heads > 8) << 3),
        (uint8_t)chs->cylinders, /* landing zone */
        (uint8_t)(chs->cylinders >> 8),
        (uint8_t)chs->sectors,
    };

    mc146818_set_ram(pc->rtc, (uint8_t)(0x19 + unit), 47);
    for (unsigned i = 0; i < sizeof(parameters); i++)
        mc146818_set_ram(pc->rtc, (uint8_t)(0x1B + 9 * unit + i), parameters[i]);
}

/* 0x12: kinds of the two disks that the CMOS knows of; 0x39: how the firmware is to translate each
 * of the four's geometry, two bits a disk. */
static void cmos_fill_disks(struct pc *pc)
{
    uint8_t types = 0, translations = 0;

    for (unsigned i = 0; i < 2 * PIIX3_IDE_CHANNELS; i++) {
        const struct ata_channel *channel = piix3_ide_channel(pc->ide, i / 2);
        struct block_geometry chs;

        if (!ata_geometry(channel, i % 2, &chs))
            continue;
        translations |= (uint8_t)(ata_translation(channel, i % 2) << (2 * i));
        if (i >= 2)
            continue;
        types |= i == 0 ? 0xF0 : 0x0F;
        cmos_fill_disk(pc, i, &chs);
    }
    mc146818_set_ram(pc->rtc, 0x12, types);
    mc146818_set_ram(pc->rtc, 0x39, translations);
}

/* A letter as the CMOS has it. */
static uint8_t boot_device(char letter)
{
    switch (letter) {
    case 'a':
    case 'b':
        return 1;
    case 'c':
        return 2;
    case 'd':
        return 3;
    case 'n':
    case 'o':
    case 'p':
        return 4;
    default:
        return 0;
    }
}

void pc_set_boot_order(struct pc *pc, const char *letters)
{
    uint8_t order[3] = {0};

    for (unsigned i = 0; i < sizeof(order) && letters[i] != '\0'; i++)
        order[i] = boot_device(letters[i]);
    /* Bit 0 of 0x38: floppies need no boot signature. */
    mc146818_set_ram(pc->rtc, 0x38, (uint8_t)(order[2] << 4));
    mc146818_set_ram(pc->rtc, 0x3D, (uint8_t)(order[1] << 4 | order[0]));
}

static int items_publish(struct pc *pc)
{
    int error = 0;

    for (unsigned i = 0; i < pc->config.fw_item_count && error == 0; i++) {
        const struct pc_fw_item *item = &pc->config.fw_items[i];

        error = item->file != NULL ? fw_cfg_add_file(pc->fw_cfg, item->file, item->data, item->size)
                                   : fw_cfg_add(pc->fw_cfg, item->key, item->data, item->size);
    }
    return error;
}

int pc_boot_firmware(struct pc *pc)
{
    /* Which of S0..S5 exist: bit 7; no S3, no S4. */
    static const uint8_t system_states[6] = {0x80, 0, 0, 0, 0, 0x80};
    struct fw_cfg *fw = pc->fw_cfg;
    int error = fw_cfg_add64(fw, FW_CFG_RAM_SIZE, pc->config.ram_bytes);

    cmos_fill(pc);
    cmos_fill_disks(pc);
    pc_set_boot_order(pc, pc->config.boot_order != NULL ? pc->config.boot_order : "cad");
    if (error == 0)
        error = fw_cfg_add16(fw, FW_CFG_NOGRAPHIC, pc->config.no_vga || pc->config.serial_firmware);
    if (error == 0)
        error = fw_cfg_add16(fw, FW_CFG_NB_CPUS, 1);
    if (error == 0)
        error = fw_cfg_add16(fw, FW_CFG_MAX_CPUS, 1);
    if (error == 0)
        error = fw_cfg_add16(fw, FW_CFG_BOOT_MENU, pc->config.boot_menu);
    if (error == 0)
        error = fw_cfg_add32(fw, FW_CFG_IRQ0_OVERRIDE, 1);
    if (error == 0)
        error = fw_cfg_add_file(fw, "etc/system-states", system_states, sizeof(system_states));
    if (error == 0)
        error = fw_cfg_add_file(fw, "bootorder", "", 1);
    if (error == 0)
        error = memory_map_publish(pc);
    if (error == 0)
        error = tables_publish(pc);
    return error != 0 ? error : items_publish(pc);
}

/* ---- direct boot ---- */

/* Interrupt line of a slot's INTA#, as firmware assigns: PIRQA and B get 10, C and D get 11. */
static void interrupts_route(struct pc *pc)
{
    for (unsigned pirq = 0; pirq < PCI_PIRQ_COUNT; pirq++)
        piix3_route(pc->isa_bridge, pirq, pirq < 2 ? 10 : 11);
    bus_io_write(pc->bus, ELCR2, 1, ELCR2_10_11); /* PCI interrupts are level-triggered */
    for (unsigned devfn = 0; devfn < PCI_FUNCTION_COUNT; devfn++) {
        const uint32_t pin = pci_config_read(pc->pci, (uint8_t)devfn, PCI_INTERRUPT_PIN, 1);
        const unsigned pirq = (pin - 1 + (devfn >> 3) - 1) % PCI_PIRQ_COUNT;

        if (pin >= 1 && pin <= PCI_PIRQ_COUNT && devfn != PCI_DEVFN(1, 3))
            pci_config_write(pc->pci, (uint8_t)devfn, PCI_INTERRUPT_LINE, 1, pirq < 2 ? 10 : 11);
    }
}

static void display_map(struct pc *pc)
{
    if (pc->vga == NULL)
        return;
    pci_config_write(pc->pci, VGA_DEVFN, PCI_BAR0, 4, VGA_BAR);
    pci_config_write(pc->pci, VGA_DEVFN, PCI_BAR0 + 8, 4, VGA_REGISTERS);
    pci_config_write(pc->pci, VGA_DEVFN, PCI_COMMAND, 2,
                     PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    vga_set_text_mode(pc->vga);
    if (pc->config.vga_bios != NULL)
        (void)vga_load_font(pc->vga, pc->config.vga_bios, pc->config.vga_bios_bytes);
}

int pc_boot_direct(struct pc *pc)
{
    struct acpi_tables tables;
    int error;

    i440fx_shadow_all(pc->host_bridge);
    interrupts_route(pc);
    piix4_pm_map(pc->pm);
    piix3_ide_map(pc->ide);
    display_map(pc);
    error = tables_build(pc, &tables);
    if (error != 0)
        return error;
    if (tables.size > ACPI_RESERVE) {
        acpi_free(&tables);
        return -ENOSPC;
    }
    pc->acpi_base = (pc->ram_below - ACPI_RESERVE) & ~(ACPI_RESERVE - 1);
    pc->acpi_size = pc->ram_below - pc->acpi_base;
    pc->rsdp = RSDP_ADDRESS;
    acpi_relocate(&tables, (uint32_t)pc->acpi_base);
    physmem_write_bytes(pc->mem, pc->acpi_base, tables.data, tables.size);
    physmem_write_bytes(pc->mem, pc->rsdp, tables.rsdp, sizeof(tables.rsdp));
    acpi_free(&tables);
    if (pc->config.model.apic)
        pc_mptable_write(pc, 1);
    return 0;
}

uint64_t pc_rsdp(const struct pc *pc)
{
    return pc->rsdp;
}

size_t pc_e820(const struct pc *pc, struct pc_e820 *entries, size_t max)
{
    const uint64_t ram_end = pc->acpi_size != 0 ? pc->acpi_base : pc->ram_below;
    const struct pc_e820 map[] = {
        {0, EBDA_BASE, E820_RAM},
        {EBDA_BASE, LOW_END - EBDA_BASE, E820_RESERVED},
        {SYSTEM_BASE, HIGH_START - SYSTEM_BASE, E820_RESERVED},
        {HIGH_START, ram_end - HIGH_START, E820_RAM},
        {pc->acpi_base, pc->acpi_size, E820_ACPI},
        {GIB4 - 0x40000, 0x40000, E820_RESERVED}, /* where a system ROM would be */
        {GIB4, pc->ram_above, E820_RAM},
    };
    size_t count = 0;

    for (size_t i = 0; i < sizeof(map) / sizeof(map[0]) && count < max; i++) {
        if (map[i].size != 0)
            entries[count++] = map[i];
    }
    return count;
}
