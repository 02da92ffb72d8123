/*
 * loader/machine.c -- from options to a running machine, and to the process's exit status.
 *
 * Exit statuses are those of qemu-system: 0 after power-off, after a reset with -no-reboot and
 * after Ctrl-A x; (value << 1) | 1 after a write to isa-debug-exit; 1 for errors.
 */
#define _GNU_SOURCE /* timegm */
#include "loader/machine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "cpu/hosttime.h"
#include "loader/bzimage.h"
#include "loader/elf_image.h"
#include "loader/firmware.h"
#include "loader/gdb.h"
#include "loader/lockstep.h"
#include "loader/monitor.h"
#include "loader/monitor_internal.h"
#include "loader/signals.h"

#define KERNEL_MAX_BYTES (UINT64_C(256) << 20)
#define INITRD_MAX_BYTES (UINT64_C(4095) << 20)

#define RAM_BELOW_4G (UINT64_C(3) << 30)

enum { SCREEN_BYTES = 64 << 10, NS_PER_S = 1000000000, TSC_MEASURE_NS = 5000000 };
enum { COUNTED_TSC_HZ = 1000000000 };

/* The rate of the host's time stamp counter, which the guest's follows: measured over the 5 ms or
 * more since the start, in most of which a kernel was read. */
static uint64_t measure_tsc_hz(const struct machine *m)
{
    uint64_t ns, tsc;

    do {
        ns = hosttime_ns() - m->start_ns;
        tsc = __rdtsc() - m->start_tsc;
    } while (ns < TSC_MEASURE_NS);
    return clock_scale(tsc, NS_PER_S, ns);
}

static uint64_t rtc_epoch_s(const struct options *options)
{
    const time_t now = time(NULL);
    struct tm local;

    if (options->rtc == RTC_DATE)
        return options->rtc_epoch_s;
    if (options->rtc == RTC_LOCALTIME && localtime_r(&now, &local) != NULL)
        return (uint64_t)timegm(&local);
    return (uint64_t)now;
}

/* ---- files ---- */

/* -initrd "FILE ARGS,FILE ARGS": a multiboot module's text is its file name and arguments. */
static bool read_modules(struct machine *m, const char *list, bool is_linux, struct error *error)
{
    char *texts = strdup(list), *text = texts;

    m->module_texts = texts;
    if (texts == NULL)
        return error_set(error, "-initrd: not enough host memory");
    while (text != NULL && *text != '\0') {
        struct boot_module *module = &m->source.modules[m->source.module_count];
        char *next = is_linux ? NULL : strchr(text, ','), *path;
        bool ok;

        if (m->source.module_count == BOOT_MODULES_MAX)
            return error_set(error, "-initrd: more than %d modules", BOOT_MODULES_MAX);
        if (next != NULL)
            *next++ = '\0';
        path = strndup(text, is_linux ? strlen(text) : strcspn(text, " "));
        if (path == NULL)
            return error_set(error, "-initrd: not enough host memory");
        ok = file_read(path, INITRD_MAX_BYTES, &module->file, error);
        free(path);
        if (!ok)
            return false;
        module->file.path = text;
        module->text = text;
        m->source.module_count++;
        text = next;
    }
    return true;
}

static bool read_files(struct machine *m, struct error *error)
{
    const struct options *o = m->options;

    if (o->kernel != NULL) {
        if (!file_read(o->kernel, KERNEL_MAX_BYTES, &m->source.kernel, error))
            return false;
        m->source.cmdline = o->append != NULL ? o->append : "";
        m->source.has_vga = !o->no_vga;
        if (o->initrd != NULL &&
            !read_modules(m, o->initrd, bzimage_probe(&m->source.kernel), error))
            return false;
    }
    return true;
}

/* A kernel that is entered directly needs no firmware; one that was named is there anyway. */
static bool read_firmware(struct machine *m, struct error *error)
{
    const struct options *o = m->options;
    const bool needed = o->kernel == NULL || m->by_setup;
    struct error font_error = {0};

    if ((needed || o->bios != NULL) && !firmware_read_bios(o, &m->bios, error))
        return false;
    if (o->no_vga)
        return true;
    if (needed)
        return firmware_read_vga_bios(o, &m->vga_bios, error);
    /* The characters' shapes are in the VGA BIOS; who looks at no screen does not miss them. */
    if (!firmware_read_vga_bios(o, &m->vga_bios, &font_error) && display_is_open(&o->display))
        fprintf(stderr, "ringer: warning: no characters on the screen: %s\n", font_error.text);
    return true;
}

/* Is the kernel to be started by its own code?  Where that may end with a message on a screen that
 * nobody sees, the user is told. */
static bool choose_entry(struct machine *m, struct error *error)
{
    const uint64_t ram_bytes = m->options->ram_bytes;
    char reason[256] = "";
    uint16_t video_mode;

    if (m->options->kernel == NULL)
        return true;
    /* Only real-mode code can call the video BIOS. */
    if (!(bzimage_probe(&m->source.kernel) && m->source.has_vga &&
          setup_boot_video_mode(m->source.cmdline, &video_mode)) &&
        !setup_boot_wanted(&m->source.kernel, &m->model, reason, sizeof(reason)))
        return true;
    if (reason[0] != '\0')
        fprintf(stderr, "ringer: warning: %s; the kernel's own check decides\n", reason);
    m->by_setup = true;
    return setup_boot_make(&m->source, ram_bytes < RAM_BELOW_4G ? ram_bytes : RAM_BELOW_4G,
                           &m->setup, error);
}

static bool open_log(struct machine *m, struct error *error)
{
    m->log = stderr;
    if (m->options->log_file == NULL)
        return true;
    m->log = fopen(m->options->log_file, "we");
    if (m->log == NULL) {
        m->log = stderr;
        return error_set(error, "%s: %s", m->options->log_file, strerror(errno));
    }
    return true;
}

static void on_quit(void *ctx)
{
    struct machine *m = ctx;

    m->quit = true;
    if (m->pc != NULL)
        pc_stop(m->pc);
}

static void on_log(void *ctx, const char *line)
{
    struct machine *m = ctx;

    if (m->log_items & (LOG_GUEST_ERRORS | LOG_IO))
        fprintf(m->log, "%s\n", line);
}

/* ---- putting it together ---- */

static bool open_chardevs(struct machine *m, struct error *error)
{
    const struct options *o = m->options;

    for (unsigned i = 0; i < o->serial_count; i++) {
        char label[24];

        snprintf(label, sizeof(label), "serial%u", i);
        if (!chardev_open(&o->serial[i], label, &m->serial[i], error))
            return false;
    }
    if (!chardev_open(&o->debugcon, "debugcon", &m->debugcon, error) ||
        !chardev_open(&o->monitor, "-monitor", &m->monitor_dev, error) ||
        !chardev_open(&o->gdb, "-gdb", &m->gdb_dev, error))
        return false;
    for (unsigned i = 0; i < OPTIONS_SERIAL_MAX; i++) {
        if (m->serial[i] != NULL) {
            m->serial[i]->quit = on_quit;
            m->serial[i]->quit_ctx = m;
            m->config.serial[i] = &m->serial[i]->backend;
        }
    }
    if (m->debugcon != NULL) {
        m->debugcon->quit = on_quit;
        m->debugcon->quit_ctx = m;
        m->config.debugcon = &m->debugcon->backend;
    }
    return true;
}

bool machine_set_log(struct machine *m, const char *items, struct error *error)
{
    unsigned bits = 0;

    if (strcmp(items, "none") != 0 && !options_parse_log(items, &bits, error))
        return false;
    m->log_items = bits;
    if (pc_translator(m->pc) != NULL)
        translator_set_log(pc_translator(m->pc), bits & LOG_IN_ASM, bits & LOG_OUT_ASM);
    return true;
}

/* Lockstep's machines get drives of their own, see machine_create_pc(). */
static bool open_drives(struct machine *m, struct error *error)
{
    const struct options *o = m->options;

    if (o->accel == RUN_LOCKSTEP)
        return true;
    m->images = image_drives_open(&o->drives, o->counted, false, &m->config, error);
    return m->images != NULL;
}

static bool prepare(struct machine *m, struct error *error)
{
    const struct options *o = m->options;
    char message[1536], model[512];
    uint64_t tsc_hz;

    if (!open_log(m, error) || !read_files(m, error))
        return false;
    tsc_hz = o->counted ? COUNTED_TSC_HZ : measure_tsc_hz(m);
    /* Counted time promises that a run can be repeated: no random numbers from the host. */
    if (snprintf(model, sizeof(model), "%s%s", o->cpu_model,
                 o->counted ? ",-rdrand,-rdseed" : "") >= (int)sizeof(model))
        return error_set(error, "-cpu: the argument is too long");
    if (!cpu_model_parse(model, tsc_hz, &m->model, message, sizeof(message)))
        return error_set(error, "-cpu %s: %s", o->cpu_model, message);
    if (!choose_entry(m, error) || !read_firmware(m, error))
        return false;
    m->translator = (struct translator_options){
        .cache_bytes = o->cache_bytes,
        .cache_policy = o->cache_policy,
        .no_chain = o->no_chain,
        .no_bmi2 = o->no_bmi2,
        .no_retcache = o->no_retcache,
        .no_superblock = o->no_superblock,
        .no_rename = o->no_rename,
        .no_guess = o->no_guess,
        .no_extend = o->no_extend,
        .no_hosted = o->no_hosted,
        .no_guard = o->no_guard,
        .no_copy = o->no_copy,
        .no_adopt = o->no_adopt,
        .check_copy = o->check_copy,
        .no_tree = o->no_tree,
        .no_loop = o->no_loop,
        .eager_path = o->eager_path,
        .eager_superblock = o->eager_superblock,
        .count_heads = o->count_heads,
        .no_group = o->no_group,
        .no_window = o->no_window,
        .no_smc = o->no_smc,
        .eager_smc = o->eager_smc,
        .eager_window = o->eager_window,
        .counted = o->counted || o->max_insns != UINT64_MAX,
        .log = m->log,
        .log_in_asm = o->log & LOG_IN_ASM,
        .log_out_asm = o->log & LOG_OUT_ASM,
    };
    m->config = (struct pc_config){
        .ram_bytes = o->ram_bytes,
        .model = m->model,
        .accel = o->accel == RUN_INTERPRET ? ACCEL_INTERPRET : ACCEL_TRANSLATE,
        .translator = &m->translator,
        .counted_time = o->counted,
        .ns_per_insn_x1000 = o->ns_per_insn * 1000,
        .rtc_epoch_s = rtc_epoch_s(o),
        .no_vga = o->no_vga,
        .no_hpet = o->no_hpet,
        .testdev = o->testdev,
        .debug_exit = o->debug_exit,
        .debug_exit_port = o->debug_exit_port,
        .debug_exit_size = o->debug_exit_size,
        .bios = m->bios.bytes,
        .bios_bytes = m->bios.size,
        .vga_bios = m->vga_bios.bytes,
        .vga_bios_bytes = m->vga_bios.size,
        .direct_boot = o->kernel != NULL && !m->by_setup,
        .serial_firmware = o->nographic,
        .log = on_log,
        .log_ctx = m,
    };
    image_drives_boot(o, &m->boot, &m->config);
    m->config.fw_items = m->by_setup ? m->setup.items : m->boot.items;
    m->config.fw_item_count = m->by_setup ? SETUP_ITEMS : m->boot.count;
    return open_drives(m, error) && open_chardevs(m, error);
}

void machine_load(const struct machine *m, struct pc *pc)
{
    if (m->options->kernel != NULL && !m->by_setup)
        boot_image_apply(&m->image, pc);
}

/* Two machines must not write to one image: each sees it as it is on the disk. */
static bool isolate_drives(struct machine *m, struct pc_config *config, struct error *error)
{
    struct image_host *host;

    if (m->isolated_count == MACHINE_COPIES_MAX)
        return error_set(error, "too many machines");
    host = image_drives_open(&m->options->drives, true, true, config, error);
    if (host != NULL)
        m->isolated_images[m->isolated_count++] = host;
    return host != NULL;
}

struct pc *machine_create_pc(struct machine *m, const struct pc_config *given, struct error *error)
{
    char message[256] = "unknown reason";
    struct pc_config config = *given;
    struct pc *pc;
    bool ok = true;

    if (m->options->accel == RUN_LOCKSTEP && !isolate_drives(m, &config, error))
        return NULL;
    pc = pc_create(&config, message, sizeof(message));
    if (pc == NULL) {
        (void)error_set(error, "cannot make the machine: %s", message);
        return NULL;
    }
    if (m->options->kernel != NULL && !m->by_setup && m->image.count == 0) {
        m->source.e820_count = pc_e820(pc, m->source.e820, BOOT_E820_MAX);
        m->source.rsdp = pc_rsdp(pc);
        ok = bzimage_probe(&m->source.kernel) ? bzimage_load(&m->source, &m->image, error)
                                              : elf_image_load(&m->source, &m->image, error);
    }
    if (!ok) {
        pc_destroy(pc);
        return NULL;
    }
    machine_load(m, pc);
    return pc;
}

static bool attach(struct chardev *dev, struct pc *pc, const char *label, struct error *error)
{
    return dev == NULL || chardev_attach(dev, pc) ||
           error_set(error, "%s: the host has no descriptor left to watch", label);
}

static void on_io_error(void *ctx)
{
    pc_pause(ctx, PC_PAUSE_IO_ERROR);
}

/* The drives' completions, the monitor, gdb, and input of the serial ports. */
static bool open_control(struct machine *m, struct error *error)
{
    const int status = m->images == NULL ? 0
                                         : pc_watch_fd(m->pc, image_host_fd(m->images),
                                                       image_host_ready, NULL, m->images);
    bool ok = true;

    if (status != 0)
        return error_set(error, "drives: %s", strerror(-status));
    if (m->images != NULL) {
        image_host_on_stop(m->images, on_io_error, m->pc);
        pc_on_cont(m->pc, image_host_retry, m->images);
    }
    for (unsigned i = 0; i < OPTIONS_SERIAL_MAX; i++) {
        if (m->options->serial[i].mux && m->serial[i] != NULL)
            ok = ok && (m->mux_monitor = monitor_open(m, m->serial[i], true)) != NULL;
    }
    if (m->monitor_dev != NULL)
        ok = ok && (m->monitor = monitor_open(m, m->monitor_dev, false)) != NULL;
    if (m->gdb_dev != NULL)
        ok = ok && (m->gdb = gdb_open(m, m->gdb_dev)) != NULL;
    if (!ok)
        return error_set(error, "not enough host memory for the monitor");
    for (unsigned i = 0; i < OPTIONS_SERIAL_MAX; i++) {
        char label[24];

        snprintf(label, sizeof(label), "serial%u", i);
        if (!attach(m->serial[i], m->pc, label, error))
            return false;
    }
    return attach(m->debugcon, m->pc, "debugcon", error) &&
           attach(m->monitor_dev, m->pc, "-monitor", error) &&
           attach(m->gdb_dev, m->pc, "-gdb", error);
}

static void close_control(struct machine *m)
{
    if (m->pc == NULL)
        return;
    monitor_keys_stop(m);
    gdb_close(m->gdb);
    monitor_close(m->monitor);
    monitor_close(m->mux_monitor);
}

/* Run to the end; the exit status. */
static int run(struct machine *m)
{
    const struct options *o = m->options;

    while (!m->quit) {
        switch (pc_run(m->pc, o->max_insns)) {
        case PC_POWEROFF:
            if (!o->no_shutdown)
                return 0;
            pc_pause(m->pc, PC_PAUSE_SHUTDOWN); /* the user may look, reset, quit */
            break;
        case PC_RESET:
            if (o->no_reboot)
                return 0;
            pc_reset(m->pc);
            if (image_drives_next_order(o) != NULL)
                pc_set_boot_order(m->pc, image_drives_next_order(o));
            machine_load(m, m->pc);
            break;
        case PC_DEBUG_EXIT:
            return pc_debug_exit_status(m->pc);
        case PC_BUDGET:
            return 0;
        case PC_STOPPED:
            break;
        }
    }
    return 0;
}

static void print_screen(const struct machine *m)
{
    char *text = malloc(SCREEN_BYTES);
    const size_t size = text != NULL ? pc_screen_text(m->pc, text, SCREEN_BYTES) : 0;

    if (size != 0)
        fwrite(text, 1, size, m->log);
    else
        fprintf(m->log, "ringer: the screen is in a graphics mode\n");
    free(text);
}

static void print_stats(const struct machine *m)
{
    const uint64_t insns = pc_cpu(m->pc)->icount;

    fprintf(m->log, "seconds %.3f\n", (double)(hosttime_ns() - m->start_ns) / NS_PER_S);
    if (insns != 0)
        fprintf(m->log, "instructions %llu\n", (unsigned long long)insns);
    if (pc_translator(m->pc) != NULL)
        translator_print_stats(pc_translator(m->pc), m->log);
}

void machine_report(const struct machine *m)
{
    signals_restore_terminal();
    if (m->pc == NULL)
        return;
    if (m->log_items & LOG_SCREEN)
        print_screen(m);
    if (m->log_items & LOG_STATS)
        print_stats(m);
}

static int run_one(struct machine *m, struct error *error)
{
    const struct display_user user = {.ctx = m, .quit = on_quit};
    int status;

    m->pc = machine_create_pc(m, &m->config, error);
    if (m->pc == NULL || !open_control(m, error))
        return -1;
    if (!displays_open(&m->options->display, m->pc, &user, &m->displays, error))
        return -1;
    if (m->options->start_paused)
        pc_pause(m->pc, PC_PAUSE_START);
    status = run(m);
    gdb_exited(m->gdb, status);
    displays_close(m->displays);
    m->displays = NULL;
    machine_report(m);
    return status;
}

static void destroy(struct machine *m)
{
    struct pc *pc = m->pc;

    displays_close(m->displays);
    close_control(m);
    m->pc = NULL;
    if (pc != NULL)
        pc_destroy(pc);
    image_host_destroy(m->images);
    for (unsigned i = 0; i < m->isolated_count; i++)
        image_host_destroy(m->isolated_images[i]);
    for (unsigned i = 0; i < OPTIONS_SERIAL_MAX; i++)
        chardev_close(m->serial[i]);
    chardev_close(m->debugcon);
    chardev_close(m->monitor_dev);
    chardev_close(m->gdb_dev);
    boot_image_free(&m->image);
    setup_boot_free(&m->setup);
    for (size_t i = 0; i < m->source.module_count; i++)
        file_free(&m->source.modules[i].file);
    free(m->module_texts);
    file_free(&m->source.kernel);
    file_free(&m->bios);
    file_free(&m->vga_bios);
    if (m->log != NULL && m->log != stderr)
        fclose(m->log);
}

int machine_run(const struct options *options, struct error *error)
{
    struct machine m = {.options = options, .log_items = options->log, .thread_id = (long)gettid()};
    int status = -1;

    signals_install(on_quit, &m);
    m.start_ns = hosttime_ns();
    m.start_tsc = __rdtsc();
    if (prepare(&m, error))
        status = options->accel == RUN_LOCKSTEP ? lockstep_run(&m, error) : run_one(&m, error);
    signals_restore_terminal();
    destroy(&m);
    return status;
}
