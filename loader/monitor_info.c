/*
 * loader/monitor_info.c -- info ...
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "loader/monitor_internal.h"

static void info_status(struct monitor_line *line)
{
    static const char *const details[] = {
        [PC_PAUSE_START] = " (prelaunch)",   [PC_PAUSE_USER] = "",
        [PC_PAUSE_STEP] = " (debug)",        [PC_PAUSE_BREAKPOINT] = " (debug)",
        [PC_PAUSE_WATCHPOINT] = " (debug)",  [PC_PAUSE_SHUTDOWN] = " (shutdown)",
        [PC_PAUSE_IO_ERROR] = " (io-error)",
    };
    const struct pc_pause *pause = pc_pause_state(line->m->pc);

    if (pause == NULL)
        fprintf(line->out, "VM status: running\n");
    else
        fprintf(line->out, "VM status: paused%s\n", details[pause->reason]);
}

static void info_version(struct monitor_line *line)
{
    fprintf(line->out, "Ringer " RINGER_VERSION "\n");
}

static void info_cpus(struct monitor_line *line)
{
    const struct cpu *cpu = pc_cpu(line->m->pc);

    fprintf(line->out, "* CPU #0: pc=0x%016" PRIx64 "%s thread_id=%ld model=%s\n", debugger_pc(cpu),
            cpu->halted ? " (halted)" : "", (long)line->m->thread_id, cpu->model->name);
}

static void info_jit(struct monitor_line *line)
{
    const struct translator *tr = pc_translator(line->m->pc);

    if (tr != NULL)
        translator_print_stats(tr, line->out);
    else
        fprintf(line->out, "The machine is interpreted: -accel translate has a translator.\n");
    if (pc_cpu(line->m->pc)->icount != 0)
        fprintf(line->out, "instructions %" PRIu64 "\n", pc_cpu(line->m->pc)->icount);
}

static void info_pci(struct monitor_line *line)
{
    pc_describe_pci(line->m->pc, line->out);
}

static void info_mtree(struct monitor_line *line)
{
    pc_describe_memory(line->m->pc, line->out);
}

static void info_irq(struct monitor_line *line)
{
    pc_describe_irq(line->m->pc, line->out);
}

/* For scripts that wait for a word on the screen. */
static void info_screen(struct monitor_line *line)
{
    enum { TEXT_BYTES = 64 << 10 };
    char *text = malloc(TEXT_BYTES);
    const size_t size = text != NULL ? pc_screen_text(line->m->pc, text, TEXT_BYTES) : 0;

    if (size != 0)
        fwrite(text, 1, size, line->out);
    else
        fprintf(line->out, "the screen is in a graphics mode\n");
    free(text);
}

static void info_lapic(struct monitor_line *line)
{
    pc_describe_lapic(line->m->pc, line->out);
}

/* clang-format off */
static const struct monitor_command subjects[] = {
    {"status",    NULL,  "", "running or stopped, and why",            info_status, false},
    {"registers", NULL,  "", "the CPU's registers",                    monitor_info_registers, false},
    {"cpus",      NULL,  "", "the CPUs",                               info_cpus, false},
    {"mem",       NULL,  "", "what the page tables map, as ranges",    monitor_info_mem, false},
    {"tlb",       NULL,  "", "what the page tables map, page by page", monitor_info_tlb, false},
    {"block",     NULL,  "", "drives and what is in them",             monitor_info_block, false},
    {"mtree",     NULL,  "", "who answers at which physical address",  info_mtree, false},
    {"pci",       NULL,  "", "PCI devices",                            info_pci, false},
    {"irq",       "pic", "", "interrupt controllers",                  info_irq, false},
    {"lapic",     NULL,  "", "the local APIC",                         info_lapic, false},
    {"jit",       NULL,  "", "counters of the translator",             info_jit, false},
    {"screen",    NULL,  "", "the text on the VGA screen",             info_screen, false},
    {"version",   NULL,  "", "the program's version",                  info_version, false},
};
/* clang-format on */

void monitor_info(struct monitor_line *line)
{
    for (size_t i = 0; i < sizeof(subjects) / sizeof(subjects[0]); i++) {
        const struct monitor_command *s = &subjects[i];

        if (line->count < 2) {
            fprintf(line->out, "info %s -- %s\n", s->name, s->help);
        } else if (!strcmp(line->word[1], s->name) ||
                   (s->alias != NULL && !strcmp(line->word[1], s->alias))) {
            s->run(line);
            return;
        }
    }
    if (line->count >= 2)
        fprintf(line->out, "unknown subject: '%s' (info lists them)\n", line->word[1]);
}
