/*
 * devices/pc_control.c -- stop, go on, step; breakpoints and watchpoints; requests of other
 * threads.
 *
 * A paused machine's virtual time stands still, the guest's time-stamp counter with it; watched
 * descriptors are served all the same, so that a monitor or a debugger can let it go on.
 */
#include <errno.h>
#include <unistd.h>
#include <x86intrin.h>

#include "devices/pc_internal.h"

/* ---- run state ---- */

void pc_pause(struct pc *pc, enum pc_pause_reason reason)
{
    pc->step = false;
    if (pc->paused) {
        if (reason == PC_PAUSE_IO_ERROR && pc->pause.reason == PC_PAUSE_USER)
            pc->pause.reason = reason; /* it was under way when the user stopped the machine */
        return;
    }
    pc->paused_ns = pc_now_ns(pc);
    pc->paused_tsc = __rdtsc();
    pc->paused = true;
    pc->pause = (struct pc_pause){.reason = reason};
    pc->pause_told = false;
    cpu_kick(pc->cpu);
}

static void restart_time(struct pc *pc)
{
    if (pc->config.counted_time)
        return;
    pc_events_disarm_timer(pc); /* it was armed in terms of the old start */
    pc->start_ns += pc_now_ns(pc) - pc->paused_ns;
    if (pc->host_tsc) {
        pc->start_tsc += __rdtsc() - pc->paused_tsc;
        pc->cpu->tsc_host_start = pc->start_tsc;
    }
}

static void go_on(struct pc *pc)
{
    pc->debugger.hit.what = DEBUGGER_NO_HIT;
    if (!pc->paused)
        return;
    pc->paused = false;
    restart_time(pc);
    if (pc->on_cont != NULL)
        pc->on_cont(pc->on_cont_ctx);
}

int pc_cont(struct pc *pc)
{
    if (pc->paused && pc->pause.reason == PC_PAUSE_SHUTDOWN)
        return -EPERM;
    if (pc->paused)
        pc->debugger.pass = pc->pause.reason == PC_PAUSE_BREAKPOINT;
    go_on(pc);
    return 0;
}

int pc_debug_cont(struct pc *pc, bool step)
{
    if (pc->paused && pc->pause.reason == PC_PAUSE_SHUTDOWN)
        return -EPERM;
    pc->debugger.pass = false;
    pc->step = step;
    go_on(pc);
    return 0;
}

bool pc_is_paused(const struct pc *pc)
{
    return pc->paused;
}

const struct pc_pause *pc_pause_state(const struct pc *pc)
{
    return pc->paused ? &pc->pause : NULL;
}

void pc_on_pause(struct pc *pc, void (*fn)(void *ctx, const struct pc_pause *pause), void *ctx)
{
    pc->on_pause = fn;
    pc->on_pause_ctx = ctx;
}

void pc_on_cont(struct pc *pc, void (*fn)(void *ctx), void *ctx)
{
    pc->on_cont = fn;
    pc->on_cont_ctx = ctx;
}

/* ---- for pc_run() ---- */

void pc_control_tell(struct pc *pc)
{
    if (pc->pause_told)
        return;
    pc->pause_told = true;
    if (pc->on_pause != NULL)
        pc->on_pause(pc->on_pause_ctx, &pc->pause);
}

void pc_control_look(struct pc *pc)
{
    const struct debugger_hit hit = pc->debugger.hit;

    if (hit.what == DEBUGGER_NO_HIT)
        return;
    pc->debugger.hit.what = DEBUGGER_NO_HIT;
    if (pc->paused)
        return;
    pc_pause(pc, hit.what == DEBUGGER_HIT_BREAKPOINT ? PC_PAUSE_BREAKPOINT : PC_PAUSE_WATCHPOINT);
    pc->pause.address = hit.address;
    pc->pause.kind = hit.kind;
}

void pc_control_step(struct pc *pc)
{
    struct cpu *cpu = pc->cpu;

    pc->step = false;
    pc->in_cpu = true;
    /* Interrupts wait, or every step would lead into the timer's handler; one that ends HLT does
     * not. */
    if (cpu->halted || cpu->waiting_sipi)
        cpu_service_event(cpu);
    else
        debugger_step(cpu);
    pc->in_cpu = false;
    pc_control_look(pc);
    pc_pause(pc, PC_PAUSE_STEP);
}

void pc_control_asked(struct pc *pc)
{
    const unsigned asked = __atomic_exchange_n(&pc->asked, 0, __ATOMIC_ACQ_REL);

    if (asked == 0)
        return;
    if (asked & PC_ASK_POWERDOWN)
        piix4_pm_power_button(pc->pm);
    if (asked & PC_ASK_NMI)
        cpu_set_nmi(pc->cpu);
    if (asked & PC_ASK_RESET)
        pc_request(pc, PC_RESET);
    if (asked & PC_ASK_PAUSE)
        pc_pause(pc, PC_PAUSE_USER);
    else if (asked & PC_ASK_CONT)
        pc_cont(pc);
}

void pc_ask(struct pc *pc, unsigned what)
{
    const uint64_t one = 1;
    const int saved = errno;
    ssize_t written;

    __atomic_fetch_or(&pc->asked, what, __ATOMIC_ACQ_REL);
    cpu_kick(pc->cpu);
    written = write(pc->wake_fd, &one, sizeof(one)); /* fails only when it is set already */
    (void)written;
    errno = saved;
}

/* ---- breakpoints and watchpoints ---- */

int pc_add_breakpoint(struct pc *pc, linaddr_t linear)
{
    const int error = debugger_add_breakpoint(pc->cpu, &pc->debugger, linear);

    if (error == 0 && pc->translator != NULL)
        translator_add_breakpoint(pc->translator, linear);
    return error;
}

int pc_remove_breakpoint(struct pc *pc, linaddr_t linear)
{
    return debugger_remove_breakpoint(pc->cpu, &pc->debugger, linear);
}

int pc_add_watchpoint(struct pc *pc, linaddr_t linear, uint64_t size, enum debugger_watch_kind kind)
{
    return debugger_add_watch(pc->cpu, &pc->debugger, linear, size, kind);
}

int pc_remove_watchpoint(struct pc *pc, linaddr_t linear, uint64_t size,
                         enum debugger_watch_kind kind)
{
    return debugger_remove_watch(pc->cpu, &pc->debugger, linear, size, kind);
}

void pc_clear_breakpoints(struct pc *pc)
{
    debugger_clear(pc->cpu, &pc->debugger);
}
