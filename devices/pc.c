/*
 * devices/pc.c -- the board: which chips there are, how they are wired, power-on and reset.
 *
 * The files of the board are listed in devices/pc_internal.h.
 */
#include "devices/pc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/pc_internal.h"

#define DIRECT_BOOT_RAM_MIN (UINT64_C(4) << 20)
#define DEBUGCON_PORT       0x402
#define DEBUG_EXIT_PORT     0x501
#define DEBUG_EXIT_SIZE     2
#define FERR_PORT           0xF0
#define FERR_PORT_COUNT     2
#define FLOPPY_IRQ          6
#define FLOPPY_DMA          2
#define SERIAL_GATHER_NS    UINT64_C(1000000)

static const uint16_t serial_ports[SERIAL_COUNT] = {0x3F8, 0x2F8, 0x3E8, 0x2E8};

static void debug_exit_called(void *ctx, int status)
{
    struct pc *pc = ctx;

    pc->debug_exit_status = status;
    pc_request(pc, PC_DEBUG_EXIT);
}

/* ---- create ---- */

static bool legacy_create(struct pc *pc)
{
    const struct i8042_lines kbc_lines = {
        .irq1 = &pc->isa_irq[1],
        .irq12 = &pc->isa_irq[12],
        .a20 = &pc->a20_kbc,
        .reset = &pc->reset_kbc,
    };
    struct block_backend *const floppies[I82077_DRIVES] = {pc->config.floppy[0].backend,
                                                           pc->config.floppy[1].backend};

    pc->pic = i8259_create(pc->bus, &pc->pic_intr);
    pc->pit = i8254_create(pc->bus, pc->clock, &pc->isa_irq[0], &pc->speaker);
    pc->rtc = mc146818_create(pc->bus, pc->clock, &pc->isa_irq[8], &pc->nmi_disable,
                              pc->config.rtc_epoch_s);
    pc->keyboard = ps2kbd_create(pc->clock);
    pc->mouse = ps2mouse_create();
    if (pc->keyboard == NULL || pc->mouse == NULL)
        return false;
    pc->kbc = i8042_create(pc->bus, pc->clock, ps2kbd_port(pc->keyboard), ps2mouse_port(pc->mouse),
                           &kbc_lines);
    pc->dma = i8237_create(pc->bus);
    pc->port92 = port92_create(pc->bus, &pc->a20_port92, &pc->reset_port92);
    if (pc->dma != NULL)
        pc->floppy = i82077_create(pc->bus, pc->clock, &pc->isa_irq[FLOPPY_IRQ],
                                   i8237_channel(pc->dma, FLOPPY_DMA), floppies);
    return pc->pic != NULL && pc->pit != NULL && pc->rtc != NULL && pc->kbc != NULL &&
           pc->dma != NULL && pc->port92 != NULL && pc->floppy != NULL &&
           bus_map_io(pc->bus, FERR_PORT, FERR_PORT_COUNT, &pc_ferr_ports, pc) == 0;
}

/* The two channels and what the configuration plugs into them. */
static struct piix3_ide *ide_create(struct pc *pc)
{
    struct ata_drive_config drives[PIIX3_IDE_CHANNELS][2];

    for (unsigned i = 0; i < PIIX3_IDE_CHANNELS * 2; i++) {
        const struct pc_drive *drive = &pc->config.ide[i / 2][i % 2];

        drives[i / 2][i % 2] = (struct ata_drive_config){
            .backend = drive->backend,
            .is_cdrom = drive->is_cdrom,
            .serial = drive->serial,
            .model = drive->model,
            .geometry = drive->geometry,
        };
    }
    return piix3_ide_create(pc->bus, pc->pci, &pc->isa_irq[14], &pc->isa_irq[15], drives);
}

static bool chipset_create(struct pc *pc)
{
    const struct lapic_config lapic = pc_irq_lapic(pc);
    const struct apic_bus apics = pc_irq_apic_bus(pc);
    const struct i440fx_memory bridge = pc_memory_bridge(pc);

    pc->lapic = lapic_create(pc->bus, pc->clock, &lapic);
    pc->ioapic = ioapic_create(pc->bus, &apics);
    pc->pci = pci_create(pc->bus);
    if (pc->lapic == NULL || pc->ioapic == NULL || pc->pci == NULL)
        return false;
    pc->host_bridge = i440fx_create(pc->pci, &bridge);
    pc->isa_bridge = piix3_create(pc->pci, pc->pirq_irq, &pc->reset_rc);
    pc->ide = ide_create(pc);
    pc->pm = piix4_pm_create(pc->bus, pc->pci, pc->clock, &pc->sci, &pc->power_off);
    pc->fw_cfg = fw_cfg_create(pc->bus);
    if (!pc->config.no_hpet) {
        const struct hpet_lines lines = {.irq0 = &pc->hpet_irq0,
                                         .irq8 = &pc->hpet_irq8,
                                         .legacy = &pc->hpet_legacy,
                                         .pins = pc->hpet_pins};

        pc->hpet = hpet_create(pc->bus, pc->clock, &lines);
        if (pc->hpet == NULL || pc_memory_map_hpet(pc) != 0)
            return false;
    }
    return pc->host_bridge != NULL && pc->isa_bridge != NULL && pc->ide != NULL && pc->pm != NULL &&
           pc->fw_cfg != NULL && (!pc->config.model.apic || pc_memory_map_ioapic(pc) == 0);
}

/* What the command line asks for. */
static bool options_create(struct pc *pc)
{
    const struct pc_config *config = &pc->config;

    if (!config->no_vga) {
        pc->vga = vga_create(pc->bus, pc->pci, pc->clock, pc->vga_offset, pc->vga_rom_offset,
                             pc->vga_rom_size);
        if (pc->vga == NULL || pc_screen_create(pc) != 0)
            return false;
    }
    for (unsigned i = 0; i < SERIAL_COUNT; i++) {
        if (config->serial[i] == NULL)
            continue;
        pc->serial[i] = serial16550_create(pc->bus, pc->clock, serial_ports[i], &pc->serial_irq[i],
                                           config->serial[i]);
        if (pc->serial[i] == NULL)
            return false;
        if (!config->counted_time)
            serial16550_gather(pc->serial[i], SERIAL_GATHER_NS);
    }
    return true;
}

/* Ports that the user chose may be taken: say so. */
static bool debug_ports_create(struct pc *pc, char *message, size_t message_size)
{
    const struct pc_config *config = &pc->config;

    if (config->debugcon != NULL) {
        const uint16_t port = config->debugcon_port != 0 ? config->debugcon_port : DEBUGCON_PORT;

        pc->debugcon = debugcon_create(pc->bus, port, config->debugcon);
        if (pc->debugcon == NULL) {
            snprintf(message, message_size, "debugcon: I/O port 0x%x is taken", port);
            return false;
        }
    }
    if (config->testdev) {
        pc->testdev = pc_testdev_create(pc->bus, pc->testdev_irq);
        if (pc->testdev == NULL) {
            snprintf(message, message_size, "pc-testdev: its I/O ports are taken");
            return false;
        }
    }
    if (config->debug_exit) {
        const uint16_t port =
            config->debug_exit_port != 0 ? config->debug_exit_port : DEBUG_EXIT_PORT;
        const unsigned size =
            config->debug_exit_size != 0 ? config->debug_exit_size : DEBUG_EXIT_SIZE;

        pc->debug_exit = isa_debug_exit_create(pc->bus, port, size, debug_exit_called, pc);
        if (pc->debug_exit == NULL) {
            snprintf(message, message_size,
                     "isa-debug-exit: I/O ports 0x%x..0x%x are taken or their number is not 1..4",
                     port, port + size - 1);
            return false;
        }
    }
    return true;
}

static bool processor_create(struct pc *pc, char *message, size_t message_size)
{
    pc->cpu = cpu_create(pc->mem, &pc->config.model, &pc_cpu_ops, pc);
    if (pc->cpu == NULL) {
        snprintf(message, message_size, "not enough host memory for the CPU");
        return false;
    }
    pc->cpu->tsc_is_host = pc->host_tsc;
    pc->cpu->tsc_host_start = pc->start_tsc;
    if (pc->config.accel != ACCEL_TRANSLATE)
        return true;
    pc->translator = translator_create(pc->mem, pc->config.translator);
    if (pc->translator == NULL || translator_attach(pc->translator, pc->cpu) != 0) {
        snprintf(message, message_size, "the host refuses the memory of the translation cache");
        return false;
    }
    return true;
}

static bool board_create(struct pc *pc, char *message, size_t message_size)
{
    const struct bus_memory memory = pc_memory_bus(pc);

    if (pc->config.direct_boot && pc->config.ram_bytes < DIRECT_BOOT_RAM_MIN) {
        snprintf(message, message_size, "a kernel needs at least 4 MiB of guest memory");
        return false;
    }
    if (pc_memory_create(pc, message, message_size) != 0 ||
        !processor_create(pc, message, message_size))
        return false;
    snprintf(message, message_size, "not enough host memory for the devices");
    pc->bus = bus_create(&memory);
    pc->clock = clock_create(pc_shown_ns, pc, pc_deadline_changed);
    if (pc->bus == NULL || pc->clock == NULL)
        return false;
    bus_log_set(pc->bus, pc->config.log, pc->config.log_ctx);
    if (!chipset_create(pc) || !legacy_create(pc))
        return false;
    pc_irq_connect(pc);
    if (!options_create(pc) || pc_boot_firmware(pc) != 0)
        return false;
    if (pc_events_create(pc) != 0) {
        snprintf(message, message_size, "the host refuses another thread or descriptor");
        return false;
    }
    return debug_ports_create(pc, message, message_size);
}

struct pc *pc_create(const struct pc_config *config, char *message, size_t message_size)
{
    struct pc *pc = calloc(1, sizeof(*pc));

    if (pc == NULL) {
        snprintf(message, message_size, "not enough host memory");
        return NULL;
    }
    pc->config = *config;
    pc->wake_fd = pc->epoll_fd = pc->timer_fd = pc->quit_fd = -1;
    pc_time_start(pc);
    if (!board_create(pc, message, message_size)) {
        pc_destroy(pc);
        return NULL;
    }
    if (message_size != 0)
        message[0] = '\0';
    pc_reset(pc);
    return pc;
}

/* ---- reset, destroy ---- */

void pc_reset(struct pc *pc)
{
    const uint64_t before_ns = pc_now_ns(pc);

    pc_memory_hold(pc);
    pc->exit_pending = false;
    if (pc->paused &&
        (pc->pause.reason == PC_PAUSE_SHUTDOWN || pc->pause.reason == PC_PAUSE_IO_ERROR))
        pc->pause.reason = PC_PAUSE_USER; /* it may go on, and nothing waits for that */
    cpu_reset(pc->cpu);
    if (pc->config.counted_time)
        pc->skipped_ns += before_ns - pc_now_ns(pc); /* time does not go back with icount */
    lapic_reset(pc->lapic);
    ioapic_reset(pc->ioapic);
    i8259_reset(pc->pic);
    i8254_reset(pc->pit);
    mc146818_reset(pc->rtc);
    ps2kbd_reset(pc->keyboard);
    ps2mouse_reset(pc->mouse);
    i8042_reset(pc->kbc);
    i8237_reset(pc->dma);
    i82077_reset(pc->floppy);
    if (pc->hpet != NULL)
        hpet_reset(pc->hpet);
    if (pc->testdev != NULL)
        pc_testdev_reset(pc->testdev);
    port92_reset(pc->port92);
    for (unsigned i = 0; i < SERIAL_COUNT; i++) {
        if (pc->serial[i] != NULL)
            serial16550_reset(pc->serial[i]);
    }
    line_set(&pc->ferr, false);
    fw_cfg_reset(pc->fw_cfg);
    pci_reset(pc->pci);
    i440fx_reset(pc->host_bridge);
    piix3_reset(pc->isa_bridge);
    piix3_ide_reset(pc->ide);
    piix4_pm_reset(pc->pm);
    if (pc->vga != NULL)
        vga_reset(pc->vga);
    if (pc->config.bios == NULL)
        i440fx_shadow_all(pc->host_bridge);
    pc_memory_release(pc);
    if (pc->config.direct_boot && pc_boot_direct(pc) != 0 && pc->config.log != NULL)
        pc->config.log(pc->config.log_ctx, "not enough host memory for the ACPI tables");
}

void pc_destroy(struct pc *pc)
{
    if (pc == NULL)
        return;
    pc_events_destroy(pc);
    pc_memory_hold(pc); /* nobody will look at the map again */
    pci_destroy(pc->pci);
    pc_screen_destroy(pc);
    vga_destroy(pc->vga);
    for (unsigned i = 0; i < SERIAL_COUNT; i++)
        serial16550_destroy(pc->serial[i]);
    isa_debug_exit_destroy(pc->debug_exit);
    pc_testdev_destroy(pc->testdev);
    debugcon_destroy(pc->debugcon);
    fw_cfg_destroy(pc->fw_cfg);
    piix4_pm_destroy(pc->pm);
    piix3_ide_destroy(pc->ide);
    piix3_destroy(pc->isa_bridge);
    i440fx_destroy(pc->host_bridge);
    port92_destroy(pc->port92);
    i82077_destroy(pc->floppy);
    i8237_destroy(pc->dma);
    i8042_destroy(pc->kbc);
    ps2mouse_destroy(pc->mouse);
    ps2kbd_destroy(pc->keyboard);
    mc146818_destroy(pc->rtc);
    i8254_destroy(pc->pit);
    i8259_destroy(pc->pic);
    hpet_destroy(pc->hpet);
    ioapic_destroy(pc->ioapic);
    lapic_destroy(pc->lapic);
    clock_destroy(pc->clock);
    bus_destroy(pc->bus);
    if (pc->translator != NULL) {
        translator_detach(pc->translator, pc->cpu);
        translator_destroy(pc->translator);
    }
    cpu_destroy(pc->cpu);
    pc_memory_destroy(pc);
    free(pc);
}

/* ---- what callers ask for ---- */

struct cpu *pc_cpu(struct pc *pc)
{
    return pc->cpu;
}

struct physmem *pc_memory(struct pc *pc)
{
    return pc->mem;
}

struct clock *pc_clock(struct pc *pc)
{
    return pc->clock;
}

struct translator *pc_translator(struct pc *pc)
{
    return pc->translator;
}

uint64_t pc_ram_below_4g(const struct pc *pc)
{
    return pc->ram_below;
}

int pc_debug_exit_status(const struct pc *pc)
{
    return pc->debug_exit_status;
}
