/*
 * loader/machine.h -- from options to a running machine, and to the process's exit status.
 */
#ifndef RINGER_LOADER_MACHINE_H
#define RINGER_LOADER_MACHINE_H

#include <stdio.h>

#include "cpu/cpuid.h"
#include "devices/pc.h"
#include "loader/boot_image.h"
#include "loader/chardev.h"
#include "loader/image_drives.h"
#include "loader/options.h"
#include "loader/setup_boot.h"
#include "translator/translator.h"

#define RINGER_VERSION "0.1"

struct gdb;
struct monitor;
struct monitor_keys;

enum { MACHINE_COPIES_MAX = 32 };

/* Everything that one run of the program holds. */
struct machine {
    const struct options *options;
    FILE *log;
    struct cpu_model model;
    struct file bios, vga_bios;
    struct boot_source source; /* with -kernel */
    struct boot_image image;
    bool by_setup;           /* firmware starts the kernel's own real-mode code */
    struct setup_boot setup; /* with by_setup */
    struct firmware_boot boot;
    struct image_host *images; /* the drives' */
    struct image_host *isolated_images[MACHINE_COPIES_MAX]; /* of lockstep's machines */
    unsigned isolated_count;
    char *module_texts; /* -initrd, cut at its commas */
    struct chardev *serial[OPTIONS_SERIAL_MAX];
    struct chardev *debugcon;
    struct chardev *monitor_dev, *gdb_dev;
    struct monitor *monitor, *mux_monitor; /* -monitor; the one behind Ctrl-A c */
    struct monitor_keys *keys;             /* sendkey's, made when it is first used */
    struct gdb *gdb;
    long thread_id; /* of the machine's thread */
    unsigned log_items; /* enum log_item, as the monitor has changed it */
    struct displays *displays; /* NULL: none is open */
    struct translator_options translator;
    struct pc_config config;
    struct pc *volatile pc; /* volatile: the signal handler stops it */
    uint64_t start_ns;         /* host time, for -d stats and the TSC's rate */
    uint64_t start_tsc;        /* the TSC then */
    volatile bool quit;     /* the user or a signal asked to end */
};

/* Run what the options ask for.  Returns the exit status, or -1 with the error set. */
int machine_run(const struct options *options, struct error *error);

/* For lockstep.c: create another machine of the same configuration, images loaded. */
struct pc *machine_create_pc(struct machine *m, const struct pc_config *config,
                             struct error *error);
/* What -d asks for at the end: the screen, the counters of m->pc.  Restores the terminal first. */
void machine_report(const struct machine *m);
/* Log these -d items from now on ("none": no more).  False with the error set: unknown ones. */
bool machine_set_log(struct machine *m, const char *items, struct error *error);
/* Put the kernel in place again after pc_reset(). */
void machine_load(const struct machine *m, struct pc *pc);

#endif
