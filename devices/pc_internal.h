/*
 * devices/pc_internal.h -- the board's own state, shared by the pc_*.c files only.
 *
 *   pc.c         create, reset, destroy: which chips there are and how they are wired
 *   pc_memory.c  who answers at which physical address
 *   pc_irq.c     interrupt lines, APIC messages, what the CPU asks of the board
 *   pc_boot.c    what firmware is told, and what it would have done before a direct boot
 *   pc_mptable.c the MP table of a direct boot
 *   pc_run.c     the run loop and time
 *   pc_control.c stop, go on, step, breakpoints
 *   pc_screen.c  who looks at the screen, and stores to the frame buffer
 *   pc_inspect.c the board in words
 *   pc_events.c  host events: watched descriptors, the waker thread
 */
#ifndef RINGER_DEVICES_PC_INTERNAL_H
#define RINGER_DEVICES_PC_INTERNAL_H

#include <pthread.h>

#include "cpu/physmem.h"
#include "devices/bus.h"
#include "devices/debugcon.h"
#include "devices/fw_cfg.h"
#include "devices/hpet.h"
#include "devices/i440fx.h"
#include "devices/i8042.h"
#include "devices/i82077.h"
#include "devices/i8237.h"
#include "devices/i8254.h"
#include "devices/i8259.h"
#include "devices/ioapic.h"
#include "devices/isa_debug_exit.h"
#include "devices/lapic.h"
#include "devices/line.h"
#include "devices/mc146818.h"
#include "devices/pc.h"
#include "devices/pc_testdev.h"
#include "devices/pci.h"
#include "devices/piix3.h"
#include "devices/piix3_ide.h"
#include "devices/piix4_pm.h"
#include "devices/port92.h"
#include "devices/ps2kbd.h"
#include "devices/ps2mouse.h"
#include "devices/serial16550.h"
#include "devices/vga.h"
#include "translator/translator.h"

#define GIB4          UINT64_C(0x100000000)
#define RAM_BELOW_MAX UINT64_C(0xC0000000)
#define PCI_HOLE_END  0xFEC00000u /* BARs end where the I/O APIC begins */
#define RAM_MIN       (UINT64_C(1) << 20)
#define NS_PER_SECOND UINT64_C(1000000000)

enum { ISA_IRQ_COUNT = 16, SERIAL_COUNT = 4 };

/* ---- memory map ---- */

/* Who wins where regions overlap; among equals the older. */
enum pc_priority { PRIORITY_PCI, PRIORITY_RAM, PRIORITY_SHADOW, PRIORITY_ROM, PRIORITY_APIC };
enum { PC_REGION_MAX = 96, PC_SEGMENT_MAX = 2 * PC_REGION_MAX };

struct pc_region {
    uint64_t base, size;
    enum pc_priority priority;
    const struct bus_mmio_ops *ops; /* NULL: backing store */
    void *dev;
    uint64_t offset; /* in the backing store */
    bool writable;
};

/* A stretch of the address space that one region answers, as physmem knows it. */
struct pc_segment {
    uint64_t base, size;
    const struct bus_mmio_ops *ops;
    void *dev;
    uint64_t delta;  /* from the region's start */
    uint64_t offset; /* in the backing store, of the segment's start */
    bool writable;
};

/* Loads from ROM, stores to RAM: a PAM segment with only WE set. */
struct pc_split {
    struct pc *pc;
    uint64_t base; /* physical, also the RAM's offset in the backing store */
};

/* ---- host events ---- */

enum { PC_WATCH_MAX = 16 };

struct pc_watch {
    bool used;
    bool deferred;   /* readable, but the guest's side did not want it when last asked */
    bool pollable;   /* epoll takes it (not a regular file, which is always readable) */
    int fired;       /* atomic: the waker saw it readable and has not been told to look again */
    int fd;
    void (*ready)(void *ctx, int fd);
    bool (*want_input)(void *ctx);
    void *ctx;
};

struct pc {
    struct pc_config config;
    uint64_t ram_below, ram_above;
    uint64_t rom_offset, rom_size; /* system ROM in the backing store */
    uint64_t vga_offset, vga_rom_offset;
    uint32_t vga_rom_size;

    struct physmem *mem;
    struct cpu *cpu;
    struct translator *translator;
    struct bus *bus;
    struct clock *clock;

    struct pci_bus *pci;
    struct i440fx *host_bridge;
    struct piix3 *isa_bridge;
    struct piix3_ide *ide;
    struct piix4_pm *pm;
    struct vga *vga;
    struct pc_screen *screen; /* NULL: no VGA */
    struct fw_cfg *fw_cfg;
    struct lapic *lapic;
    struct ioapic *ioapic;
    struct hpet *hpet; /* NULL: none */
    struct i8259 *pic;
    struct i8254 *pit;
    struct mc146818 *rtc;
    struct i8042 *kbc;
    struct ps2kbd *keyboard;
    struct ps2mouse *mouse;
    struct i8237 *dma;
    struct i82077 *floppy;
    struct port92 *port92;
    struct serial16550 *serial[SERIAL_COUNT];
    struct debugcon *debugcon;
    struct isa_debug_exit *debug_exit;
    struct pc_testdev *testdev;

    /* wires */
    struct line isa_irq[ISA_IRQ_COUNT];  /* timer, keyboard, RTC, mouse... */
    struct line pirq_irq[ISA_IRQ_COUNT]; /* as PIIX3 steers PCI interrupts */
    struct line serial_irq[SERIAL_COUNT];
    struct line hpet_irq0, hpet_irq8, hpet_legacy, hpet_pins[HPET_PIN_COUNT];
    struct line testdev_irq[TESTDEV_IRQ_COUNT];
    struct line sci, ferr;
    struct line pic_intr, cpu_intr;
    struct line a20_kbc, a20_port92;
    struct line reset_kbc, reset_port92, reset_rc;
    struct line power_off, speaker, nmi_disable;
    uint32_t irq_sources[IOAPIC_PIN_COUNT]; /* bit per driver of a shared line; 16..: pins */

    /* memory map */
    struct pc_region regions[PC_REGION_MAX];
    unsigned region_count;
    struct pc_segment segment_pool[2 * PC_SEGMENT_MAX]; /* size 0: free */
    struct pc_segment *segments[PC_SEGMENT_MAX];
    unsigned segment_count;
    struct pc_split splits[I440FX_PAM_COUNT];
    uint64_t lapic_mapped; /* base of the local APIC's page, 0: none */
    bool map_held;         /* regions change, physmem follows later */

    /* direct boot */
    uint64_t acpi_base, acpi_size, rsdp;

    /* time */
    uint64_t start_ns, start_tsc;
    bool host_tsc;        /* the guest's TSC ticks at the host's rate */
    uint64_t skipped_ns;  /* counted time: slept away while halted */

    /* run loop */
    bool exit_pending;
    enum pc_exit exit_reason;
    int debug_exit_status;
    bool in_cpu;          /* device code runs below interp_run or translator_run */
    int stop;             /* atomic: pc_stop() was called */

    /* run state */
    bool paused, step;
    bool pause_told;      /* the listener knows of the pause */
    struct pc_pause pause;
    uint64_t paused_ns, paused_tsc; /* virtual time; the host's counter */
    unsigned asked;       /* atomic: enum pc_ask */
    struct debugger debugger;
    void (*on_pause)(void *ctx, const struct pc_pause *pause);
    void *on_pause_ctx;
    void (*on_cont)(void *ctx);
    void *on_cont_ctx;

    /* host events */
    struct pc_watch watches[PC_WATCH_MAX];
    int wake_fd;          /* eventfd: ends a sleep */
    int epoll_fd, timer_fd, quit_fd;
    uint64_t timer_armed_ns; /* deadline set in timer_fd, UINT64_MAX: none */
    int fd_fired;         /* atomic: the waker saw a watched descriptor readable */
    bool waker_running;
    pthread_t waker;
};

/* pc_memory.c */
int pc_memory_create(struct pc *pc, char *message, size_t message_size);
void pc_memory_destroy(struct pc *pc);
struct bus_memory pc_memory_bus(struct pc *pc);
struct i440fx_memory pc_memory_bridge(struct pc *pc);
void pc_memory_move_lapic(struct pc *pc, uint64_t base_msr);
int pc_memory_map_ioapic(struct pc *pc);
int pc_memory_map_hpet(struct pc *pc);
void pc_memory_hold(struct pc *pc); /* between hold and release the map may be inconsistent */
void pc_memory_release(struct pc *pc);

/* pc_irq.c */
extern const struct cpu_ops pc_cpu_ops;
extern const struct io_ops pc_ferr_ports;
void pc_irq_connect(struct pc *pc);
struct lapic_config pc_irq_lapic(struct pc *pc);
struct apic_bus pc_irq_apic_bus(struct pc *pc);

/* pc_boot.c */
int pc_boot_firmware(struct pc *pc);     /* fw_cfg and CMOS contents; 0 or -ENOMEM */
int pc_boot_direct(struct pc *pc);       /* what firmware leaves behind; 0 or -ENOMEM */

/* pc_screen.c */
int pc_screen_create(struct pc *pc); /* 0 or -ENOMEM */
void pc_screen_destroy(struct pc *pc);

/* pc_mptable.c */
void pc_mptable_write(struct pc *pc, unsigned cpu_count);

/* pc_run.c */
uint64_t pc_now_ns(void *ctx);
uint64_t pc_shown_ns(void *ctx); /* the same, for the guest to see */
uint64_t pc_tsc(struct pc *pc);
/* What the host's counter will say at that time; CPU_TSC_NEVER if that is days off. */
int64_t pc_tsc_at(struct pc *pc, uint64_t deadline_ns);
void pc_time_start(struct pc *pc);
void pc_deadline_changed(void *ctx);
void pc_request(struct pc *pc, enum pc_exit reason);

/* pc_control.c: called by pc_run() */
void pc_control_asked(struct pc *pc); /* do what pc_ask() has noted */
void pc_control_step(struct pc *pc);  /* one instruction or event, then pause */
void pc_control_look(struct pc *pc);  /* pause if a breakpoint or watchpoint was hit */
void pc_control_tell(struct pc *pc);  /* tell the listener of a pause, once */

/* pc_events.c */
int pc_events_create(struct pc *pc);
void pc_events_destroy(struct pc *pc);
void pc_events_arm_timer(struct pc *pc);   /* the waker kicks the CPU at the next deadline */
void pc_events_disarm_timer(struct pc *pc);
void pc_events_service(struct pc *pc);     /* call what is readable and wanted */
void pc_flush_output(struct pc *pc);       /* what serial ports have gathered goes to the host */
/* Sleep until the deadline (UINT64_MAX: none), a wanted descriptor, or pc_stop(). */
void pc_events_sleep(struct pc *pc, uint64_t deadline_ns);

#endif
