/*
 * devices/pc.h -- the board: QEMU's `pc` (i440FX + PIIX3 + PIIX4 ACPI), one value, no globals.
 *
 * A process may hold several.  The board owns the CPU, guest memory, the bus, the clock, the chips
 * and the run loop; the loader fills memory and decides what happens at the end.
 */
#ifndef RINGER_DEVICES_PC_H
#define RINGER_DEVICES_PC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "cpu/cpu.h"
#include "cpu/cpuid.h"
#include "cpu/debugger.h"
#include "devices/backend.h"
#include "devices/block.h"
#include "devices/clock.h"
#include "devices/display.h"

struct pc;
struct translator_options; /* translator/translator.h */

enum pc_accel { ACCEL_TRANSLATE, ACCEL_INTERPRET };

/* A drive that is plugged in.  Its backend outlives the machine. */
struct pc_drive {
    struct block_backend *backend; /* NULL: no drive.  A drive without a medium has a backend */
    bool is_cdrom;                 /* IDE only: an ATAPI CD-ROM, else an ATA disk */
    const char *serial;            /* at most 20 characters; NULL: one made from the place */
    const char *model;             /* at most 40; NULL: a name of our own */
    struct block_geometry geometry; /* disks; all 0: by partition table and size */
};

/* Something for the firmware to read: a file of fw_cfg, or the item of a key below 0x20.  The board
 * copies the bytes; what it has under the same name or key is replaced. */
struct pc_fw_item {
    const char *file; /* at most 55 characters; NULL: `key` names the item */
    uint16_t key;
    const void *data;
    size_t size;
};

struct pc_config {
    uint64_t ram_bytes;
    struct cpu_model model;
    enum pc_accel accel;
    const struct translator_options *translator; /* NULL: defaults */
    bool counted_time;      /* virtual time = icount * ns_per_insn, reproducible */
    unsigned ns_per_insn_x1000; /* with counted_time; 0: 1000 (1 ns an instruction) */
    /* With counted_time, for lockstep: timers and descriptors are looked at when pc_run() is entered
     * and while halted, never in between; a leader that runs block by block is then followed
     * exactly by calling pc_run() with as many instructions as it retired. */
    bool follower;
    uint64_t rtc_epoch_s;   /* seconds since 1970 that the RTC shows at power-on */
    bool no_vga;
    bool no_hpet;           /* neither the timers nor their ACPI table */
    bool testdev;           /* pc-testdev */
    struct char_backend *serial[4]; /* COM1..COM4 or NULL */
    struct pc_drive ide[2][2];      /* primary, secondary; master, slave */
    struct pc_drive floppy[2];      /* A, B */
    struct char_backend *debugcon;  /* port debugcon_port (0: 0x402), or NULL */
    uint16_t debugcon_port;
    bool debug_exit;        /* isa-debug-exit */
    uint16_t debug_exit_port, debug_exit_size;
    const uint8_t *bios;    /* system ROM, mapped to end at 4 GiB and (128 KiB) at 1 MiB, or NULL */
    size_t bios_bytes;
    const uint8_t *vga_bios; /* option ROM, or NULL */
    size_t vga_bios_bytes;
    const char *boot_order; /* letters, see pc_set_boot_order(); NULL: "cad" */
    bool boot_menu;         /* the firmware offers its boot menu */
    bool serial_firmware;   /* the firmware's screen shows on COM1, too */
    const struct pc_fw_item *fw_items;
    unsigned fw_item_count;
    bool direct_boot;       /* a kernel is entered directly: the board puts ACPI tables into memory */
    void (*log)(void *ctx, const char *line); /* -d guest_errors, unimp; may be NULL */
    void *log_ctx;
};

enum pc_exit {
    PC_POWEROFF,     /* ACPI S5, or the guest wrote the power-off register */
    PC_RESET,        /* reset asked for: i8042, port 92, 0xCF9, triple fault.  pc_reset() to go on */
    PC_DEBUG_EXIT,   /* isa-debug-exit; status in pc_debug_exit_status() */
    PC_STOPPED,      /* pc_stop() */
    PC_BUDGET,       /* the requested instructions were retired */
};

struct pc *pc_create(const struct pc_config *config, char *message, size_t message_size);
void pc_destroy(struct pc *pc);
/* Power-on reset of everything but RAM's contents and images loaded as ROM. */
void pc_reset(struct pc *pc);
/* Where firmware looks for something to boot, from its next start on: at most three of a, b (floppy),
 * c (hard disk), d (CD-ROM), n to p (network); other letters are nothing. */
void pc_set_boot_order(struct pc *pc, const char *letters);
/* Run until something ends it. max_insns: UINT64_MAX for no limit. */
enum pc_exit pc_run(struct pc *pc, uint64_t max_insns);
/* Any thread, async-signal-safe. */
void pc_stop(struct pc *pc);
int pc_debug_exit_status(const struct pc *pc);

/*
 * ---- run state ----
 *
 * A paused machine executes nothing and its time stands still; pc_run() stays in its loop and serves
 * watched descriptors, whose callbacks may call what follows.  All of it on the machine's thread, but
 * for pc_ask().
 */
enum pc_pause_reason {
    PC_PAUSE_START,      /* not started yet (-S) */
    PC_PAUSE_USER,
    PC_PAUSE_STEP,       /* the instruction of pc_debug_cont(pc, true) has run */
    PC_PAUSE_BREAKPOINT, /* address: the instruction that would run next */
    PC_PAUSE_WATCHPOINT, /* address: the byte; kind: the watchpoint's.  The access has happened */
    PC_PAUSE_IO_ERROR,   /* a drive's image failed, and its request waits for pc_cont() */
    PC_PAUSE_SHUTDOWN,   /* powered off, with -no-shutdown: only a reset leads on */
};
struct pc_pause {
    enum pc_pause_reason reason;
    linaddr_t address;
    enum debugger_watch_kind kind;
};
/* Nothing when it is paused already.  Also before pc_run(). */
void pc_pause(struct pc *pc, enum pc_pause_reason reason);
/* Go on, over a breakpoint that it stopped at.  -EPERM after PC_PAUSE_SHUTDOWN. */
int pc_cont(struct pc *pc);
/* Go on as a debugger says: a breakpoint at the next instruction stops again at once.  step: one
 * instruction, no interrupts, then pause.  A halted CPU waits for its interrupt, and the step is
 * the way into the handler. */
int pc_debug_cont(struct pc *pc, bool step);
bool pc_is_paused(const struct pc *pc);
const struct pc_pause *pc_pause_state(const struct pc *pc); /* NULL: it runs */
/* fn is called once the machine has come to rest. One listener; NULL removes it. */
void pc_on_pause(struct pc *pc, void (*fn)(void *ctx, const struct pc_pause *pause), void *ctx);
/* fn is called when a paused machine goes on, before it runs; it may pause it again.  One listener; NULL
 * removes it. */
void pc_on_cont(struct pc *pc, void (*fn)(void *ctx), void *ctx);
/* Any thread, async-signal-safe: done by the machine's thread soon. */
enum pc_ask {
    PC_ASK_PAUSE = 1,
    PC_ASK_CONT = 2,
    PC_ASK_RESET = 4,     /* pc_run() returns PC_RESET */
    PC_ASK_POWERDOWN = 8, /* the power button */
    PC_ASK_NMI = 16,
};
void pc_ask(struct pc *pc, unsigned what);

/* Breakpoints and watchpoints (cpu/debugger.h): 0, -ENOSPC, -ENOENT.  While the machine is paused. */
int pc_add_breakpoint(struct pc *pc, linaddr_t linear);
int pc_remove_breakpoint(struct pc *pc, linaddr_t linear);
int pc_add_watchpoint(struct pc *pc, linaddr_t linear, uint64_t size_bytes,
                      enum debugger_watch_kind kind);
int pc_remove_watchpoint(struct pc *pc, linaddr_t linear, uint64_t size_bytes,
                         enum debugger_watch_kind kind);
void pc_clear_breakpoints(struct pc *pc);

/* Host events: while the machine runs, `ready` is called on the machine's thread when fd is
 * readable.  Input is looked at only while want_input(ctx) says so (NULL: always). */
int pc_watch_fd(struct pc *pc, int fd, void (*ready)(void *ctx, int fd),
                bool (*want_input)(void *ctx), void *ctx);
void pc_unwatch_fd(struct pc *pc, int fd);

/* The board in words, for a monitor. */
void pc_describe_pci(const struct pc *pc, FILE *out);
void pc_describe_memory(const struct pc *pc, FILE *out);
void pc_describe_irq(const struct pc *pc, FILE *out);
void pc_describe_lapic(const struct pc *pc, FILE *out);

/* An access to an I/O port as the CPU would make it, size 1, 2 or 4 bytes; on the machine's thread. */
uint32_t pc_port_read(struct pc *pc, uint16_t port, unsigned size);
void pc_port_write(struct pc *pc, uint16_t port, unsigned size, uint32_t value);

struct cpu *pc_cpu(struct pc *pc);
struct physmem *pc_memory(struct pc *pc);
struct clock *pc_clock(struct pc *pc);
struct translator *pc_translator(struct pc *pc); /* NULL when interpreting */
uint64_t pc_ram_below_4g(const struct pc *pc);

/* The e820 map for a directly booted kernel: entries of base, size, type (1 RAM, 2 reserved, 3 ACPI);
 * returns their number. */
struct pc_e820 {
    uint64_t base, size;
    uint32_t type;
};
size_t pc_e820(const struct pc *pc, struct pc_e820 *entries, size_t max);
/* Physical address of the ACPI RSDP that direct_boot placed, 0 without. */
uint64_t pc_rsdp(const struct pc *pc);

/* ---- the screen, keyboard and mouse: on the machine's thread, or while it does not run ---- */

/* Text of the VGA screen: 80x25 (or what the mode says) characters, rows ended by newline. Returns
 * the number of bytes, 0 when the screen is in a graphics mode. */
size_t pc_screen_text(const struct pc *pc, char *buffer, size_t size);
/* The cells of a text mode; false (and no columns) when the screen is in another. */
bool pc_screen_cells(const struct pc *pc, struct display_text *text);
/* The picture as it is now; NULL without a VGA or host memory.  Valid until the machine runs. */
const struct display_surface *pc_screen_surface(struct pc *pc);
/* From now on tell *client (copied) what the screen shows: at once and after every change.
 * -ENODEV without a VGA, -ENOSPC when too many look, -ENOMEM. */
int pc_screen_attach(struct pc *pc, const struct display_client *client);
void pc_screen_detach(struct pc *pc, const void *ctx); /* the client's */
/* Set-1 make/break bytes as the keyboard would send them; for tests, sendkey, displays. */
void pc_key(struct pc *pc, const uint8_t *scancodes, size_t count);
size_t pc_keyboard_room(const struct pc *pc); /* bytes that it still takes, see ps2kbd_room() */
unsigned pc_keyboard_leds(const struct pc *pc); /* bit 0 scroll, 1 num, 2 caps lock */
/* Right, up and wheel-towards-the-user are positive; buttons are what is held: PS2MOUSE_LEFT... */
void pc_mouse(struct pc *pc, int dx, int dy, int dz, unsigned buttons);

#endif
