/*
 * devices/pc_run.c -- the run loop, and where time comes from.
 *
 * Host time: nanoseconds of CLOCK_MONOTONIC since pc_create(); the TSC is the host's own when the
 * CPU model's rate is the host's.  Counted time: retired instructions times a constant, plus what
 * was skipped while the guest was halted; then nothing depends on the host, and two machines that
 * are fed the same do the same.
 */
#include <x86intrin.h>

#include "cpu/hosttime.h"
#include "devices/pc_internal.h"

#define DEFAULT_NS_X1000    1000
#define COUNTED_SLICE_INSNS UINT64_C(10000000) /* how often descriptors are looked at */
#define TSC_MEASURE_NS      UINT64_C(500000)
#define TSC_TOLERANCE_DIV   100 /* 1 %: the loader measured the same counter, as roughly */
#define TSC_DUE_MAX_NS      UINT64_C(100000000000000) /* a day: no counter overflows */

/* ---- time ---- */

static uint64_t ns_per_insn_x1000(const struct pc *pc)
{
    return pc->config.ns_per_insn_x1000 != 0 ? pc->config.ns_per_insn_x1000 : DEFAULT_NS_X1000;
}

uint64_t pc_now_ns(void *ctx)
{
    const struct pc *pc = ctx;

    if (!pc->config.counted_time)
        return pc->paused ? pc->paused_ns : hosttime_ns() - pc->start_ns;
    return clock_scale(pc->cpu->icount, ns_per_insn_x1000(pc), 1000) + pc->skipped_ns;
}

/*
 * The host may be late with a timer, as it has to run the waker first or has stopped the process. A
 * guest that reads the time and finds the timer's time past must have the interrupt before it goes
 * on: many a kernel gives a timer up that did not tick as long as another clock says.
 */
uint64_t pc_shown_ns(void *ctx)
{
    const struct pc *pc = ctx;
    const uint64_t now_ns = pc_now_ns(ctx);

    if (pc->in_cpu && !pc->config.counted_time && now_ns >= clock_next_ns(pc->clock))
        cpu_kick(pc->cpu);
    return now_ns;
}

int64_t pc_tsc_at(struct pc *pc, uint64_t deadline_ns)
{
    const uint64_t tsc = __rdtsc(); /* first: too early does no harm */
    const uint64_t now_ns = pc_now_ns(pc);
    const uint64_t left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;

    if (left_ns > TSC_DUE_MAX_NS)
        return CPU_TSC_NEVER;
    return (int64_t)(tsc + clock_scale(left_ns, pc->config.model.tsc_hz, NS_PER_SECOND));
}

uint64_t pc_tsc(struct pc *pc)
{
    if (pc->host_tsc)
        return (pc->paused ? pc->paused_tsc : __rdtsc()) - pc->start_tsc;
    return clock_scale(pc_shown_ns(pc), pc->config.model.tsc_hz, NS_PER_SECOND);
}

/* Does the host's TSC tick at the rate that the CPU model promises? */
static bool tsc_rate_is_hosts(uint64_t tsc_hz)
{
    const uint64_t ns = hosttime_ns(), tsc = __rdtsc();
    uint64_t elapsed_ns, measured_hz, difference;

    do
        elapsed_ns = hosttime_ns() - ns;
    while (elapsed_ns < TSC_MEASURE_NS);
    measured_hz = clock_scale(__rdtsc() - tsc, NS_PER_SECOND, elapsed_ns);
    difference = measured_hz > tsc_hz ? measured_hz - tsc_hz : tsc_hz - measured_hz;
    return difference < measured_hz / TSC_TOLERANCE_DIV;
}

void pc_time_start(struct pc *pc)
{
    pc->host_tsc = !pc->config.counted_time && tsc_rate_is_hosts(pc->config.model.tsc_hz);
    pc->start_ns = hosttime_ns();
    pc->start_tsc = __rdtsc();
}

void pc_deadline_changed(void *ctx)
{
    struct pc *pc = ctx;

    if (!pc->in_cpu)
        return; /* the loop looks before it runs or sleeps */
    if (!pc->config.counted_time)
        pc_events_arm_timer(pc);
    else if (!pc->config.follower)
        cpu_kick(pc->cpu); /* the budget it runs on has become too long */
}

/* Instructions until counted time reaches the deadline, at least 1. */
static uint64_t insns_until(const struct pc *pc, uint64_t deadline_ns)
{
    const uint64_t now_ns = clock_now_ns(pc->clock), unit = ns_per_insn_x1000(pc);
    uint64_t left_ns, insns;

    if (deadline_ns <= now_ns)
        return 1;
    left_ns = deadline_ns - now_ns;
    if (left_ns > UINT64_MAX / 1000)
        return UINT64_MAX;
    insns = (left_ns * 1000 + unit - 1) / unit;
    return insns != 0 ? insns : 1;
}

/* ---- the loop ---- */

void pc_request(struct pc *pc, enum pc_exit reason)
{
    /* The first request counts: what the guest does before it is noticed does not change it. */
    if (!pc->exit_pending) {
        pc->exit_pending = true;
        pc->exit_reason = reason;
    }
    cpu_kick(pc->cpu);
}

static bool cpu_is_idle(const struct cpu *cpu)
{
    return (cpu->halted || cpu->waiting_sipi) && !cpu_has_event(cpu);
}

/* Can nothing but the outside world go on?  Halted with interrupts off: timers are in vain. */
static bool cpu_is_stuck(const struct cpu *cpu)
{
    return cpu->halted && !(cpu->rflags & FLAG_IF);
}

static void idle(struct pc *pc)
{
    const uint64_t next_ns = clock_next_ns(pc->clock);

    if (!pc->config.counted_time) {
        pc_events_sleep(pc, next_ns);
        return;
    }
    if (next_ns == UINT64_MAX || cpu_is_stuck(pc->cpu)) {
        pc_events_sleep(pc, UINT64_MAX);
        return;
    }
    if (next_ns > clock_now_ns(pc->clock))
        pc->skipped_ns += next_ns - clock_now_ns(pc->clock);
}

static enum run_exit cpu_run(struct pc *pc, uint64_t max_insns)
{
    enum run_exit exit;

    pc->in_cpu = true;
    if (!pc->config.counted_time) {
        pc_events_arm_timer(pc);
    } else if (!pc->config.follower) {
        const uint64_t next = insns_until(pc, clock_next_ns(pc->clock));

        max_insns = next < max_insns ? next : max_insns;
        max_insns = COUNTED_SLICE_INSNS < max_insns ? COUNTED_SLICE_INSNS : max_insns;
    }
    if (pc->translator != NULL)
        exit = translator_run(pc->translator, pc->cpu, max_insns);
    else
        exit = interp_run(pc->cpu, max_insns);
    pc->in_cpu = false;
    return exit;
}

void pc_flush_output(struct pc *pc)
{
    for (unsigned i = 0; i < SERIAL_COUNT; i++) {
        if (pc->serial[i] != NULL)
            serial16550_flush(pc->serial[i]);
    }
}

static enum pc_exit run(struct pc *pc, uint64_t max_insns)
{
    struct cpu *cpu = pc->cpu;
    const uint64_t start = cpu->icount;
    bool look = true; /* at timers and descriptors */

    for (;;) {
        __atomic_exchange_n(&cpu->exit_request, 0, __ATOMIC_ACQ_REL);
        if (look || !pc->config.follower) {
            if (!pc->paused)
                clock_run(pc->clock);
            pc_events_service(pc);
            pc_control_asked(pc);
        }
        look = false;
        if (pc->exit_pending) {
            pc->exit_pending = false;
            return pc->exit_reason;
        }
        if (__atomic_exchange_n(&pc->stop, 0, __ATOMIC_ACQ_REL) != 0)
            return PC_STOPPED;
        if (pc->paused) {
            pc_control_tell(pc);
            pc_flush_output(pc);
            if (pc->paused)
                pc_events_sleep(pc, UINT64_MAX);
            look = true;
            continue;
        }
        if (cpu_is_idle(cpu)) {
            pc_flush_output(pc);
            idle(pc);
            look = true;
            continue;
        }
        if (pc->step) {
            pc_control_step(pc);
            continue;
        }
        if (cpu_run(pc, max_insns == UINT64_MAX ? max_insns : max_insns - (cpu->icount - start)) ==
                RUN_SHUTDOWN &&
            !pc->exit_pending)
            pc_request(pc, PC_RESET);
        pc_control_look(pc);
        /* Timers that are due by now belong to the next call: a follower sees them there too. */
        if (max_insns != UINT64_MAX && cpu->icount - start >= max_insns && !pc->exit_pending)
            return PC_BUDGET;
    }
}

enum pc_exit pc_run(struct pc *pc, uint64_t max_insns)
{
    const enum pc_exit reason = run(pc, max_insns);

    pc_flush_output(pc);
    return reason;
}
