/*
 * loader/option_rows.c -- one row an option, and the functions that take options in.
 */
#define _GNU_SOURCE /* timegm, strptime */
#include "loader/option_rows.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "loader/argument.h"
#include "loader/chardev_socket.h"
#include "translator/translator.h"

#define RAM_MINIMUM   (UINT64_C(1) << 20)
#define RAM_MAXIMUM   (UINT64_C(1) << 40)
#define CACHE_MINIMUM (UINT64_C(1) << 20)
#define CACHE_MAXIMUM (UINT64_C(1) << 31) /* reach of a relative jump */

enum { RAM_GRAIN = 4096, ICOUNT_SHIFT_MAX = 10 };

static bool missing(const char *option, const char *argument, struct error *error)
{
    return error_set(error, "-%s %s: not supported yet", option, argument);
}

/* ---- one function an option: (options, its name, its argument, error) ---- */

static bool take_help(struct options *o, const char *name, const char *arg, struct error *e)
{
    (void)name, (void)arg, (void)e;
    o->action = ACTION_HELP;
    return true;
}

static bool take_version(struct options *o, const char *name, const char *arg, struct error *e)
{
    (void)name, (void)arg, (void)e;
    o->action = ACTION_VERSION;
    return true;
}

static bool take_memory(struct options *o, const char *name, const char *arg, struct error *e)
{
    const char *text = !strncmp(arg, "size=", 5) ? arg + 5 : arg;

    if (strchr(text, ',') != NULL)
        return error_set(e, "-%s %s: hot-plugged memory is not supported yet", name, arg);
    if (!argument_size(text, UINT64_C(1) << 20, &o->ram_bytes))
        return argument_refuse(name, arg, "not a size (512, 512M, 1G)", e);
    if (o->ram_bytes < RAM_MINIMUM)
        return argument_refuse(name, arg, "the guest needs at least 1 MiB", e);
    if (o->ram_bytes > RAM_MAXIMUM)
        return argument_refuse(name, arg, "more than the 1024 GiB that are supported", e);
    o->ram_bytes = (o->ram_bytes + RAM_GRAIN - 1) & ~(uint64_t)(RAM_GRAIN - 1);
    return true;
}

static bool take_kernel(struct options *o, const char *name, const char *arg, struct error *e)
{
    (void)name, (void)e;
    o->kernel = arg;
    return true;
}

static bool take_initrd(struct options *o, const char *name, const char *arg, struct error *e)
{
    (void)name, (void)e;
    o->initrd = arg;
    return true;
}

static bool take_append(struct options *o, const char *name, const char *arg, struct error *e)
{
    (void)name, (void)e;
    o->append = arg;
    return true;
}

static bool take_bios(struct options *o, const char *name, const char *arg, struct error *e)
{
    (void)name, (void)e;
    o->bios = arg;
    return true;
}

static bool take_firmware_dir(struct options *o, const char *name, const char *arg, struct error *e)
{
    if (o->firmware_dir_count == OPTIONS_FIRMWARE_DIRS_MAX)
        return error_set(e, "-%s: more than %d directories", name, OPTIONS_FIRMWARE_DIRS_MAX);
    o->firmware_dirs[o->firmware_dir_count++] = arg;
    return true;
}

static bool parse_chardev(const char *name, const char *arg, struct chardev_spec *spec,
                          struct error *e)
{
    *spec = (struct chardev_spec){0};
    if (!strcmp(arg, "stdio") || !strcmp(arg, "mon:stdio")) {
        spec->kind = CHARDEV_STDIO;
        spec->mux = arg[0] == 'm';
    } else if (!strncmp(arg, "file:", 5) && arg[5] != '\0') {
        spec->kind = CHARDEV_FILE;
        spec->path = arg + 5;
    } else if (!strcmp(arg, "null")) {
        spec->kind = CHARDEV_NULL;
    } else if (!strcmp(arg, "none")) {
        spec->kind = CHARDEV_NONE;
    } else if (!strcmp(arg, "pty")) {
        spec->kind = CHARDEV_PTY;
    } else if (chardev_socket_probe(arg)) {
        spec->kind = CHARDEV_SOCKET;
        spec->path = arg;
    } else {
        return argument_refuse(name, arg,
                               "supported are stdio, mon:stdio, file:PATH, pty, unix:PATH, "
                               "tcp:[HOST]:PORT, telnet:[HOST]:PORT, null, none",
                               e);
    }
    return true;
}

static bool take_serial(struct options *o, const char *name, const char *arg, struct error *e)
{
    if (o->serial_count == OPTIONS_SERIAL_MAX)
        return error_set(e, "-%s %s: more than %d serial ports", name, arg, OPTIONS_SERIAL_MAX);
    o->serial_given = true;
    return parse_chardev(name, arg, &o->serial[o->serial_count++], e);
}

static bool take_debugcon(struct options *o, const char *name, const char *arg, struct error *e)
{
    return parse_chardev(name, arg, &o->debugcon, e);
}

static bool take_monitor(struct options *o, const char *name, const char *arg, struct error *e)
{
    o->monitor_given = true;
    if (!parse_chardev(name, arg, &o->monitor, e))
        return false;
    if (o->monitor.mux)
        return argument_refuse(name, arg, "a serial port shares the terminal: -serial mon:stdio",
                               e);
    return o->monitor.kind != CHARDEV_FILE ||
           argument_refuse(name, arg, "nobody types into a file", e);
}

static bool take_gdb(struct options *o, const char *name, const char *arg, struct error *e)
{
    if (!parse_chardev(name, arg, &o->gdb, e))
        return false;
    o->gdb.server = true;
    return (!o->gdb.mux && o->gdb.kind != CHARDEV_FILE) ||
           argument_refuse(name, arg, "gdb needs a socket, pty or stdio of its own", e);
}

static bool take_gdb_default(struct options *o, const char *name, const char *arg, struct error *e)
{
    (void)arg;
    return take_gdb(o, name, "tcp::1234", e);
}

static bool take_paused(struct options *o, const char *name, const char *arg, struct error *e)
{
    (void)name, (void)arg, (void)e;
    o->start_paused = true;
    return true;
}

static bool take_nographic(struct options *o, const char *name, const char *arg, struct error *e)
{
    (void)name, (void)arg, (void)e;
    o->nographic = o->display_given = true;
    o->display.kind = DISPLAY_NONE;
    return true;
}

static bool take_nodefaults(struct options *o, const char *name, const char *arg, struct error *e)
{
    (void)name, (void)arg, (void)e;
    o->no_defaults = true;
    return true;
}

/* Options that ask for what is always so here. */
static bool take_nothing(struct options *o, const char *name, const char *arg, struct error *e)
{
    (void)o, (void)name, (void)arg, (void)e;
    return true;
}

static bool take_display(struct options *o, const char *name, const char *arg, struct error *e)
{
    (void)name;
    o->display_given = true;
    return display_parse(arg, &o->display, e);
}

static bool take_vnc(struct options *o, const char *name, const char *arg, struct error *e)
{
    (void)name;
    o->display_given = true;
    return display_parse_vnc(arg, &o->display, e);
}

static bool take_full_screen(struct options *o, const char *name, const char *arg, struct error *e)
{
    (void)name, (void)arg, (void)e;
    o->display.full_screen = true;
    return true;
}

static bool take_vga(struct options *o, const char *name, const char *arg, struct error *e)
{
    o->no_vga = !strcmp(arg, "none");
    return o->no_vga || !strcmp(arg, "std") || missing(name, arg, e);
}

static bool take_no_hpet(struct options *o, const char *name, const char *arg, struct error *e)
{
    (void)name;
    (void)arg;
    (void)e;
    o->no_hpet = true;
    return true;
}

/* -nic, -net, -parallel: only "none" so far. */
static bool take_none(struct options *o, const char *name, const char *arg, struct error *e)
{
    (void)o;
    return !strcmp(arg, "none") || missing(name, arg, e);
}

static bool take_device(struct options *o, const char *name, const char *arg, struct error *e)
{
    struct argument_pair pair = {.rest = arg};
    uint64_t port = 0x501, size = 2;

    if (drive_is_device(arg))
        return drive_take_device(&o->drives, arg, e);
    if (!strcmp(arg, "pc-testdev")) {
        o->testdev = true;
        return true;
    }
    if (!argument_begins(arg, "isa-debug-exit"))
        return missing(name, arg, e);
    while (argument_next(&pair, name, e)) {
        if (!strcmp(pair.key, "isa-debug-exit") && !pair.has_value)
            continue;
        if (!strcmp(pair.key, "iobase") && argument_number(pair.value, 0xffff, &port))
            continue;
        if (!strcmp(pair.key, "iosize") && argument_number(pair.value, 4, &size) &&
            (size == 1 || size == 2 || size == 4))
            continue;
        return argument_refuse(name, arg, "isa-debug-exit takes iobase=PORT and iosize=1, 2 or 4",
                               e);
    }
    if (e->text[0] != '\0')
        return false;
    if (port + size > 0x10000)
        return argument_refuse(name, arg, "the ports end at 0xffff", e);
    o->debug_exit = true;
    o->debug_exit_port = (uint16_t)port;
    o->debug_exit_size = (uint16_t)size;
    return true;
}

static bool take_no_reboot(struct options *o, const char *name, const char *arg, struct error *e)
{
    (void)name, (void)arg, (void)e;
    o->no_reboot = true;
    return true;
}

static bool take_no_shutdown(struct options *o, const char *name, const char *arg, struct error *e)
{
    (void)name, (void)arg, (void)e;
    o->no_shutdown = true;
    return true;
}

/* "2026-02-28" or "2026-02-28T12:34:56" */
static bool parse_date(const char *text, uint64_t *epoch_s)
{
    struct tm tm = {0};
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    time_t seconds;

    if (end == NULL) {
        tm = (struct tm){0};
        end = strptime(text, "%Y-%m-%d", &tm);
    }
    if (end == NULL || *end != '\0')
        return false;
    seconds = timegm(&tm);
    *epoch_s = (uint64_t)seconds;
    return seconds >= 0;
}

static bool take_rtc(struct options *o, const char *name, const char *arg, struct error *e)
{
    struct argument_pair pair = {.rest = arg};

    while (argument_next(&pair, name, e)) {
        if (!strcmp(pair.key, "base") && !strcmp(pair.value, "utc"))
            o->rtc = RTC_UTC;
        else if (!strcmp(pair.key, "base") && !strcmp(pair.value, "localtime"))
            o->rtc = RTC_LOCALTIME;
        else if (!strcmp(pair.key, "base") && parse_date(pair.value, &o->rtc_epoch_s))
            o->rtc = RTC_DATE;
        else if (!strcmp(pair.key, "base"))
            return argument_refuse(name, arg, "base is utc, localtime or YYYY-MM-DD[THH:MM:SS]", e);
        else if (!strcmp(pair.key, "clock") && !strcmp(pair.value, "vm"))
            continue; /* the RTC follows the machine's clock */
        else
            return missing(name, arg, e);
    }
    return e->text[0] == '\0';
}

static bool take_cpu(struct options *o, const char *name, const char *arg, struct error *e)
{
    (void)name, (void)e;
    o->cpu_model = arg;
    if (!strcmp(arg, "help") || !strcmp(arg, "?"))
        o->action = ACTION_CPU_HELP;
    return true;
}

static bool parse_accel(struct options *o, const char *name, const char *text, struct error *e)
{
    if (!strcmp(text, "translate") || !strcmp(text, "tcg"))
        o->accel = RUN_TRANSLATE;
    else if (!strcmp(text, "interpret"))
        o->accel = RUN_INTERPRET;
    else if (!strcmp(text, "lockstep"))
        o->accel = RUN_LOCKSTEP;
    else if (!strcmp(text, "kvm") || !strcmp(text, "hvf") || !strcmp(text, "xen") ||
             !strcmp(text, "whpx") || !strcmp(text, "nvmm"))
        return argument_refuse(name, text,
                               "Ringer needs no hardware virtualization and uses none "
                               "(translate, interpret, lockstep)",
                               e);
    else
        return argument_refuse(name, text, "known are translate (or tcg), interpret, lockstep", e);
    return true;
}

/* What the translation cache does when it is full; the error says what there is. */
static bool parse_cache_policy(struct options *o, const char *name, const char *text,
                               struct error *e)
{
    char known[512] = "known are";
    const char *policy, *summary;

    for (unsigned i = 0; (policy = translator_cache_policy(i, &summary)) != NULL; i++) {
        const size_t at = strlen(known);

        if (!strcmp(policy, text)) {
            o->cache_policy = i;
            return true;
        }
        (void)snprintf(known + at, sizeof(known) - at, "%s %s (%s)", i == 0 ? "" : ",", policy,
                       summary);
    }
    return argument_refuse(name, text, known, e);
}

static bool take_accel(struct options *o, const char *name, const char *arg, struct error *e)
{
    struct argument_pair pair = {.rest = arg};
    bool first = true;
    uint64_t mib;

    while (argument_next(&pair, name, e)) {
        if ((first && !pair.has_value) || (!strcmp(pair.key, "accel") && pair.has_value)) {
            if (!parse_accel(o, name, pair.has_value ? pair.value : pair.key, e))
                return false;
        } else if (!strcmp(pair.key, "counted") && argument_switch(pair.value, &o->counted)) {
            ;
        } else if (!strcmp(pair.key, "insns") && argument_size(pair.value, 1, &o->max_insns)) {
            ;
        } else if (!strcmp(pair.key, "tb-size") && argument_number(pair.value, 1 << 20, &mib)) {
            o->cache_bytes = mib << 20;
            if (o->cache_bytes < CACHE_MINIMUM || o->cache_bytes > CACHE_MAXIMUM)
                return argument_refuse(name, arg, "tb-size is 1 to 2048 MiB", e);
        } else if (!strcmp(pair.key, "cache-size") &&
                   argument_size(pair.value, 1, &o->cache_bytes)) {
            if (o->cache_bytes < CACHE_MINIMUM || o->cache_bytes > CACHE_MAXIMUM)
                return argument_refuse(name, arg, "cache-size is 1M to 2G", e);
        } else if (!strcmp(pair.key, "cache-policy")) {
            if (!parse_cache_policy(o, name, pair.value, e))
                return false;
        } else if (!strcmp(pair.key, "thread") &&
                   (!strcmp(pair.value, "single") || !strcmp(pair.value, "multi"))) {
            ; /* one CPU has one thread either way */
        } else {
            return argument_refuse(name, arg,
                                   "it takes counted=on|off, insns=N, cache-size=SIZE, "
                                   "tb-size=MIB, cache-policy=NAME",
                                   e);
        }
        first = false;
    }
    return e->text[0] == '\0';
}

/* -icount shift=N: virtual time advances 2^N ns an instruction. */
static bool take_icount(struct options *o, const char *name, const char *arg, struct error *e)
{
    const char *text = !strncmp(arg, "shift=", 6) ? arg + 6 : arg;
    uint64_t shift;

    if (!argument_number(text, ICOUNT_SHIFT_MAX, &shift))
        return argument_refuse(name, arg, "supported is shift=0 to shift=10", e);
    o->counted = true;
    o->ns_per_insn = 1u << shift;
    return true;
}

static bool take_machine(struct options *o, const char *name, const char *arg, struct error *e)
{
    struct argument_pair pair = {.rest = arg};
    bool first = true;

    while (argument_next(&pair, name, e)) {
        const char *type = NULL;

        if (first && !pair.has_value)
            type = pair.key;
        else if (!strcmp(pair.key, "type") && pair.has_value)
            type = pair.value;
        else if (!strcmp(pair.key, "accel") && pair.has_value) {
            if (!parse_accel(o, name, pair.value, e))
                return false;
        } else if (!strcmp(pair.key, "hpet") && pair.has_value) {
            if (strcmp(pair.value, "on") != 0 && strcmp(pair.value, "off") != 0)
                return argument_refuse(name, arg, "hpet is on or off", e);
            o->no_hpet = !strcmp(pair.value, "off");
        } else
            return error_set(e, "-%s %s: %s is not supported yet", name, arg, pair.key);
        if (type != NULL && strcmp(type, "pc") != 0)
            return argument_refuse(name, arg, "only the machine pc is supported", e);
        first = false;
    }
    return e->text[0] == '\0';
}

static bool take_smp(struct options *o, const char *name, const char *arg, struct error *e)
{
    struct argument_pair pair = {.rest = arg};
    uint64_t count;

    (void)o;
    while (argument_next(&pair, name, e)) {
        static const char *const keys[] = {"cpus",    "cores", "threads",
                                           "sockets", "dies",  "maxcpus"};
        bool known = !pair.has_value;

        for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
            known = known || !strcmp(pair.key, keys[i]);
        if (!known || !argument_number(pair.has_value ? pair.value : pair.key, 4096, &count) ||
            count == 0)
            return argument_refuse(name, arg, "not a number of CPUs", e);
        if (count != 1)
            return error_set(e, "-%s %s: more than one CPU is not supported yet", name, arg);
    }
    return e->text[0] == '\0';
}

static bool check_boot_order(const char *name, const char *arg, const char *letters,
                             struct error *e)
{
    for (const char *c = letters; *c != '\0'; c++) {
        if (*c < 'a' || *c > 'p')
            return argument_refuse(name, arg, "an order is made of the letters a, c, d, n", e);
        if (strchr(letters, *c) != c)
            return error_set(e, "-%s %s: '%c' is given twice", name, arg, *c);
    }
    return letters[0] != '\0' || argument_refuse(name, arg, "the order is empty", e);
}

/* "cd", "order=cd,once=d,menu=on" */
static bool take_boot(struct options *o, const char *name, const char *arg, struct error *e)
{
    struct argument_pair pair = {.rest = arg};
    uint64_t ms;

    while (argument_next(&pair, name, e)) {
        const char *value = pair.has_value ? pair.value : pair.key;
        bool ok = true;

        if (!pair.has_value || !strcmp(pair.key, "order")) {
            ok = check_boot_order(name, arg, value, e);
            memcpy(o->boot_order, value, ok ? strlen(value) + 1 : 0);
        } else if (!strcmp(pair.key, "once")) {
            ok = check_boot_order(name, arg, value, e);
            memcpy(o->boot_once, value, ok ? strlen(value) + 1 : 0);
        } else if (!strcmp(pair.key, "menu")) {
            ok = argument_switch(value, &o->boot_menu) ||
                 argument_refuse(name, arg, "menu is on or off", e);
        } else if (!strcmp(pair.key, "strict")) {
            ok = argument_switch(value, &o->boot_strict) ||
                 argument_refuse(name, arg, "strict is on or off", e);
        } else if (!strcmp(pair.key, "splash-time") && argument_number(value, 0xffff, &ms)) {
            o->boot_menu_wait_ms = (int)ms;
        } else if (!strcmp(pair.key, "reboot-timeout") && !strcmp(value, "-1")) {
            o->boot_fail_wait_ms = BOOT_FAIL_STAY;
        } else if (!strcmp(pair.key, "reboot-timeout") && argument_number(value, 0xffff, &ms)) {
            o->boot_fail_wait_ms = (int)ms;
        } else {
            ok =
                argument_refuse(name, arg,
                                "it takes order, once, menu, strict, splash-time and reboot-timeout"
                                " (milliseconds)",
                                e);
        }
        if (!ok)
            return false;
    }
    return e->text[0] == '\0';
}

static bool take_drive_file(struct options *o, const char *name, const char *arg, struct error *e)
{
    return drive_take_file(&o->drives, name, arg, e);
}

static bool take_drive(struct options *o, const char *name, const char *arg, struct error *e)
{
    (void)name;
    return drive_take_spec(&o->drives, arg, e);
}

static bool take_snapshot(struct options *o, const char *name, const char *arg, struct error *e)
{
    (void)name, (void)arg, (void)e;
    o->drives.snapshot = true;
    return true;
}

/* -d items: QEMU's names and our own. */
static const struct {
    const char *name;
    unsigned bits;
    const char *help;
} log_items[] = {
    {"in_asm", LOG_IN_ASM, "guest code of each translated block"},
    {"out_asm", LOG_OUT_ASM, "host code of each translated block"},
    {"stats", LOG_STATS, "counters, when the machine ends"},
    {"screen", LOG_SCREEN, "text of the screen, when the machine ends"},
    {"guest_errors", LOG_GUEST_ERRORS, "what a device was asked for and cannot do"},
    {"unimp", LOG_GUEST_ERRORS, "the same"},
    {"io", LOG_IO, "accesses to I/O ports that nothing claims, once each"},
};

bool options_parse_log(const char *text, unsigned *items, struct error *e)
{
    struct argument_pair pair = {.rest = text};

    while (argument_next(&pair, "d", e)) {
        size_t i;

        for (i = 0; i < sizeof(log_items) / sizeof(log_items[0]); i++)
            if (!pair.has_value && !strcmp(pair.key, log_items[i].name))
                break;
        if (i == sizeof(log_items) / sizeof(log_items[0]))
            return error_set(e, "-d %s: not supported (see -d help)", pair.key);
        *items |= log_items[i].bits;
    }
    return e->text[0] == '\0';
}

static bool take_log(struct options *o, const char *name, const char *arg, struct error *e)
{
    (void)name;
    if (!strcmp(arg, "help")) {
        o->action = ACTION_LOG_HELP;
        return true;
    }
    return options_parse_log(arg, &o->log, e);
}

static bool take_log_file(struct options *o, const char *name, const char *arg, struct error *e)
{
    (void)name, (void)e;
    o->log_file = arg;
    return true;
}

/* -x items: what the translator does unless it is told not to. */
static const struct {
    const char *name;
    size_t offset; /* of its flag in struct options */
    const char *help;
} switches[] = {
    {"no-chain", offsetof(struct options, no_chain), "every block returns to the dispatcher"},
    {"no-bmi2", offsetof(struct options, no_bmi2), "code as for a host without SHRX and RORX"},
    {"no-group", offsetof(struct options, no_group), "every access is probed by itself"},
    {"no-extend", offsetof(struct options, no_extend), "blocks end at their first jump"},
    {"no-tree", offsetof(struct options, no_tree), "superblocks go one way"},
    {"no-guard", offsetof(struct options, no_guard),
     "superblocks end at jumps whose target is computed"},
    {"no-hosted", offsetof(struct options, no_hosted),
     "superblocks keep no host addresses of arrays"},
    {"no-copy", offsetof(struct options, no_copy),
     "a library's code is translated anew in each process"},
    {"no-adopt", offsetof(struct options, no_adopt),
     "what is left of processes that are gone is copied, too"},
    {"check-copy", offsetof(struct options, check_copy), "the same, compared with the copy"},
    {"no-guess", offsetof(struct options, no_guess),
     "superblocks look up where operands are, as other blocks do"},
    {"no-loop", offsetof(struct options, no_loop), "code as for a host that is slow at LOOP"},
    {"no-rename", offsetof(struct options, no_rename),
     "superblocks keep the registers of all blocks"},
    {"no-retcache", offsetof(struct options, no_retcache), "returns go by the jump cache"},
    {"no-superblock", offsetof(struct options, no_superblock),
     "every block ends at its first jump"},
    {"count-heads", offsetof(struct options, count_heads),
     "superblocks by counting visits, not by samples"},
    {"eager-superblock", offsetof(struct options, eager_superblock),
     "every block goes on behind jumps"},
    {"eager-path", offsetof(struct options, eager_path),
     "loops become superblocks the first time they are seen"},
    {"no-window", offsetof(struct options, no_window), "every access is probed, none goes through a window"},
    {"no-smc", offsetof(struct options, no_smc), "nothing special for code that is rewritten"},
    {"eager-smc", offsetof(struct options, eager_smc), "immediates are data, stores look beside code, from the start"},
    {"eager-window", offsetof(struct options, eager_window), "every address space gets a window at once"},
};

static bool take_switch(struct options *o, const char *name, const char *arg, struct error *e)
{
    struct argument_pair pair = {.rest = arg};

    if (!strcmp(arg, "help")) {
        o->action = ACTION_SWITCH_HELP;
        return true;
    }
    while (argument_next(&pair, name, e)) {
        size_t i;

        for (i = 0; i < sizeof(switches) / sizeof(switches[0]); i++)
            if (!pair.has_value && !strcmp(pair.key, switches[i].name))
                break;
        if (i == sizeof(switches) / sizeof(switches[0]))
            return error_set(e, "-%s %s: no such switch (see -%s help)", name, pair.key, name);
        *(bool *)((char *)o + switches[i].offset) = true;
    }
    return e->text[0] == '\0';
}

static bool take_kvm(struct options *o, const char *name, const char *arg, struct error *e)
{
    (void)o, (void)arg;
    return error_set(e, "-%s: Ringer needs no hardware virtualization and uses none", name);
}

/* ---- the table ---- */

/* clang-format off */
const struct option_row option_rows[] = {
    {"h",            NULL,     take_help,         NULL},
    {"help",         NULL,     take_help,         "this list"},
    {"version",      NULL,     take_version,      "the version"},
    {"m",            "SIZE",   take_memory,       "guest memory in MiB, or with M or G (128)"},
    {"cpu",          "MODEL",  take_cpu,          "CPU model and ,+feature,-feature (max)"},
    {"smp",          "1",      take_smp,          "number of CPUs"},
    {"machine",      "pc",     take_machine,      "the machine; also accel=..."},
    {"M",            "pc",     take_machine,      NULL},
    {"accel",        "NAME",   take_accel,        "translate (or tcg), interpret, lockstep; then"
                                                  " ,counted=on ,insns=N"
                                                  " ,cache-size=SIZE or tb-size=MIB"
                                                  " ,cache-policy=NAME"},
    {"kernel",       "FILE",   take_kernel,       "Linux bzImage, multiboot or PVH kernel"},
    {"initrd",       "FILE",   take_initrd,       "initial RAM disk, or multiboot modules"
                                                  " \"FILE ARGS,FILE ARGS\""},
    {"append",       "TEXT",   take_append,       "the kernel's command line"},
    {"bios",         "FILE",   take_bios,         "system firmware (bios-256k.bin)"},
    {"L",            "DIR",    take_firmware_dir, "where firmware is looked for first"},
    {"boot",         "ORDER",  take_boot,         "order of boot drives (a, c, d, n); also once=, menu=on"},
    {"hda",          "FILE",   take_drive_file,   "hard disk image; -hdb, -hdc, -hdd for the others"},
    {"hdb",          "FILE",   take_drive_file,   NULL},
    {"hdc",          "FILE",   take_drive_file,   NULL},
    {"hdd",          "FILE",   take_drive_file,   NULL},
    {"cdrom",        "FILE",   take_drive_file,   "CD-ROM image"},
    {"fda",          "FILE",   take_drive_file,   "floppy image; -fdb for the second drive"},
    {"fdb",          "FILE",   take_drive_file,   NULL},
    {"drive",        "SPEC",   take_drive,        "file=,if=ide|floppy|none,index=,media=disk|cdrom,"
                                                  "format=,readonly=,snapshot=,cache=,id=,..."},
    {"snapshot",     NULL,     take_snapshot,     "write to temporary files, not to images"},
    {"serial",       "WHERE",  take_serial,       "stdio, mon:stdio, file:PATH, pty, unix:PATH,"
                                                  " tcp:[HOST]:PORT, telnet:..., null, none"},
    {"debugcon",     "WHERE",  take_debugcon,     "the firmware's log (port 0x402), as -serial"},
    {"nographic",    NULL,     take_nographic,    "no window; first serial port on the terminal"},
    {"display",      "KIND",   take_display,      "sdl[,full-screen=on], curses, vnc=:N or none"},
    {"vnc",          ":N",     take_vnc,          "serve viewers at [HOST]:N (port 5900 + N), then"
                                                  " ,password=on ,password-file=FILE"},
    {"full-screen",  NULL,     take_full_screen,  "the window fills the screen"},
    {"vga",          "std",    take_vga,          "std or none"},
    {"device",       "NAME",   take_device,       "pc-testdev; isa-debug-exit[,iobase=PORT][,iosize=N]"},
    {"nic",          "none",   take_none,         "no network card"},
    {"net",          "none",   take_none,         NULL},
    {"monitor",      "WHERE",  take_monitor,      "the monitor: as -serial, or unix:PATH,server,nowait"},
    {"gdb",          "WHERE",  take_gdb,          "wait for gdb: tcp::PORT, unix:PATH, none"},
    {"s",            NULL,     take_gdb_default,  "the same as -gdb tcp::1234"},
    {"S",            NULL,     take_paused,       "do not start before the monitor or gdb says so"},
    {"parallel",     "none",   take_none,         NULL},
    {"rtc",          "base=T", take_rtc,          "utc, localtime or 2026-01-31T12:00:00"},
    {"icount",       "shift=N", take_icount,      "count instructions as time, 2^N ns each"},
    {"no-reboot",    NULL,     take_no_reboot,    "a reset ends the process"},
    {"no-shutdown",  NULL,     take_no_shutdown,  "power-off does not end the process"},
    {"d",            "ITEMS",  take_log,          "what to log (-d help lists it)"},
    {"D",            "FILE",   take_log_file,     "where to log (standard error)"},
    {"x",            "SWITCH", take_switch,       "turn off a translator feature (-x help lists them)"},
    {"nodefaults",   NULL,     take_nodefaults,   "no serial port unless asked for"},
    {"no-user-config", NULL,   take_nothing,      NULL},
    {"no-hpet",      NULL,     take_no_hpet,      NULL},
    {"enable-kvm",   NULL,     take_kvm,          NULL},

    {"blockdev",     "SPEC",   NULL,              NULL},
    {"netdev",       "SPEC",   NULL,              NULL},
    {"chardev",      "SPEC",   NULL,              NULL},
    {"mon",          "SPEC",   NULL,              NULL},
    {"qmp",          "SPEC",   NULL,              NULL},
    {"global",       "SPEC",   NULL,              NULL},
    {"object",       "SPEC",   NULL,              NULL},
    {"fw_cfg",       "SPEC",   NULL,              NULL},
    {"option-rom",   "FILE",   NULL,              NULL},
    {"acpitable",    "SPEC",   NULL,              NULL},
    {"smbios",       "SPEC",   NULL,              NULL},
    {"no-acpi",      NULL,     NULL,              NULL},
    {"numa",         "SPEC",   NULL,              NULL},
    {"mem-path",     "PATH",   NULL,              NULL},
    {"mem-prealloc", NULL,     NULL,              NULL},
    {"overcommit",   "SPEC",   NULL,              NULL},
    {"k",            "LANG",   NULL,              NULL},
    {"audio",        "SPEC",   NULL,              NULL},
    {"audiodev",     "SPEC",   NULL,              NULL},
    {"usb",          NULL,     NULL,              NULL},
    {"usbdevice",    "SPEC",   NULL,              NULL},
    {"spice",        "SPEC",   NULL,              NULL},
    {"virtfs",       "SPEC",   NULL,              NULL},
    {"fsdev",        "SPEC",   NULL,              NULL},
    {"dtb",          "FILE",   NULL,              NULL},
    {"loadvm",       "TAG",    NULL,              NULL},
    {"incoming",     "SPEC",   NULL,              NULL},
    {"daemonize",    NULL,     NULL,              NULL},
    {"pidfile",      "FILE",   NULL,              NULL},
    {"runas",        "USER",   NULL,              NULL},
    {"chroot",       "DIR",    NULL,              NULL},
    {"sandbox",      "SPEC",   NULL,              NULL},
    {"name",         "TEXT",   NULL,              NULL},
    {"uuid",         "UUID",   NULL,              NULL},
    {"watchdog-action", "A",   NULL,              NULL},
    {"action",       "SPEC",   NULL,              NULL},
    {"trace",        "SPEC",   NULL,              NULL},
    {"dfilter",      "SPEC",   NULL,              NULL},
    {"singlestep",   NULL,     NULL,              NULL},
    {"plugin",       "FILE",   NULL,              NULL},
    {"readconfig",   "FILE",   NULL,              NULL},
};
/* clang-format on */
const size_t option_row_count = sizeof(option_rows) / sizeof(option_rows[0]);

void options_print_log_items(FILE *out)
{
    for (size_t i = 0; i < sizeof(log_items) / sizeof(log_items[0]); i++)
        fprintf(out, "  %-14s %s\n", log_items[i].name, log_items[i].help);
}

const char *options_switch(size_t index, const char **help)
{
    if (index >= sizeof(switches) / sizeof(switches[0]))
        return NULL;
    *help = switches[index].help;
    return switches[index].name;
}

void options_print_switches(FILE *out)
{
    const char *name, *help;

    for (size_t i = 0; (name = options_switch(i, &help)) != NULL; i++)
        fprintf(out, "  %-14s %s\n", name, help);
}
