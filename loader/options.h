/*
 * loader/options.h -- the command line: qemu-system-x86_64's options, for what is supported.
 */
#ifndef RINGER_LOADER_OPTIONS_H
#define RINGER_LOADER_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "loader/display.h"
#include "loader/drive_options.h"
#include "loader/error.h"

enum { OPTIONS_SERIAL_MAX = 4, OPTIONS_FIRMWARE_DIRS_MAX = 8 };
enum { OPTIONS_BOOT_LETTERS = 17, BOOT_FAIL_STAY = -2 };

enum accel { RUN_TRANSLATE, RUN_INTERPRET, RUN_LOCKSTEP };

enum chardev_kind {
    CHARDEV_NONE, CHARDEV_NULL, CHARDEV_STDIO, CHARDEV_FILE, CHARDEV_PTY, CHARDEV_SOCKET
};

struct chardev_spec {
    enum chardev_kind kind;
    bool mux;         /* mon:stdio: Ctrl-A commands, and Ctrl-C goes to the guest */
    const char *path; /* CHARDEV_FILE; CHARDEV_SOCKET: see loader/chardev_socket.h */
    bool server;      /* CHARDEV_SOCKET: as if ",server,nowait" were there */
};

/* -d items */
enum log_item {
    LOG_IN_ASM = 1 << 0,
    LOG_OUT_ASM = 1 << 1,
    LOG_STATS = 1 << 2,
    LOG_SCREEN = 1 << 3,
    LOG_GUEST_ERRORS = 1 << 4,
    LOG_IO = 1 << 5,
};

/* Strings point into argv. */
struct options {
    enum { ACTION_RUN, ACTION_HELP, ACTION_VERSION, ACTION_CPU_HELP, ACTION_LOG_HELP,
           ACTION_SWITCH_HELP } action;

    uint64_t ram_bytes;
    const char *cpu_model;
    const char *kernel, *initrd, *append; /* NULL: not given */
    const char *bios;
    const char *firmware_dirs[OPTIONS_FIRMWARE_DIRS_MAX]; /* -L, in order */
    unsigned firmware_dir_count;

    enum accel accel;
    bool counted;            /* virtual time from counted instructions */
    unsigned ns_per_insn;    /* with counted; 0: the default */
    uint64_t cache_bytes;    /* translation cache, 0: the default */
    unsigned cache_policy;   /* see translator_cache_policy() */
    uint64_t max_insns;      /* stop after so many, UINT64_MAX: never */
    /* -x */
    bool no_chain, no_bmi2, no_group, no_rename, no_guess, no_extend, no_hosted, no_copy,
        no_adopt, check_copy, no_guard, no_tree, no_loop, eager_path, no_retcache, no_superblock,
        no_window, no_smc;
    bool count_heads, eager_superblock, eager_window, eager_smc;

    struct drive_list drives;
    char boot_order[OPTIONS_BOOT_LETTERS], boot_once[OPTIONS_BOOT_LETTERS]; /* "": not given */
    bool boot_menu, boot_strict;
    int boot_menu_wait_ms, boot_fail_wait_ms; /* -1: the firmware's own; fail: or BOOT_FAIL_STAY */

    struct chardev_spec serial[OPTIONS_SERIAL_MAX];
    unsigned serial_count;
    bool serial_given;
    struct chardev_spec debugcon;
    struct chardev_spec monitor, gdb;
    bool monitor_given;
    bool start_paused; /* -S */
    bool nographic, no_defaults, display_given;
    struct display_spec display;
    bool no_vga;

    bool no_hpet, testdev;
    bool debug_exit;
    uint16_t debug_exit_port, debug_exit_size;

    bool no_reboot, no_shutdown;
    enum { RTC_UTC, RTC_LOCALTIME, RTC_DATE } rtc;
    uint64_t rtc_epoch_s; /* RTC_DATE */

    unsigned log; /* enum log_item */
    const char *log_file;
};

/* Parse; on failure *error names the option. */
bool options_parse(int argc, char *const argv[], struct options *options, struct error *error);
/* "ITEM,ITEM" of -d: adds enum log_item bits to *items. */
bool options_parse_log(const char *text, unsigned *items, struct error *error);
void options_print_help(FILE *out);
void options_print_log_items(FILE *out);
/* Is `word` ("-m", "--m") an option of the machine that has an argument? */
bool options_takes_argument(const char *word);
/* The switches of -x: the name of number `index` and what it does; NULL behind the last one. */
const char *options_switch(size_t index, const char **help);
/* What -x takes, a line each: its name, blanks, what it does. */
void options_print_switches(FILE *out);

#endif
