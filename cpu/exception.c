/*
 * cpu/exception.c -- delivery of exceptions and interrupts through IVT, IDT and task gates.
 *
 * Source: [SDM 3A 6 "Interrupt and Exception Handling"], the operation section of INT n in
 * [SDM 2A], [SDM 3A 17.3.1.1] for RF, [SDM 3A 20.3] for v8086 mode.
 *
 * Frames, first pushed at the top; words of 2, 4 or 8 bytes as the gate says:
 *
 *   v8086        inner level    same level    64-bit mode
 *   GS FS DS ES
 *   SS ESP       SS ESP                       SS RSP (always, RSP aligned to 16 first)
 *   FLAGS CS IP  FLAGS CS IP    FLAGS CS IP   FLAGS CS IP
 *   [error]      [error]        [error]       [error]
 */
#include "cpu/exception.h"

#include "cpu/descriptor.h"
#include "cpu/fpu.h"
#include "cpu/operand.h"

#define DR6_BD (1u << 13)
#define DR7_GD (1u << 13)

enum { IDT_FLAG = 2 }; /* error code: the index is one of the IDT */

/* One event on its way in. */
struct event {
    uint8_t vector;
    unsigned ext;   /* EXT bit of the error codes of faults during delivery */
    bool check_dpl; /* INT n, INT3, INTO: the gate's DPL decides */
    bool has_error;
    uint32_t error;
    uint64_t flags; /* as they are pushed */
};

/* ---- real mode ---- */

static bool exception_enter_real(struct cpu *cpu, const struct event *ev)
{
    const uint64_t frame[] = {ev->flags, cpu->seg[CS].selector, cpu->rip};
    const uint32_t at = ev->vector * 4u;
    struct stack st;
    uint64_t target;

    if (at + 3 > cpu->idtr.limit)
        return fault_gp(cpu, at * 2 | IDT_FLAG | ev->ext);
    if (!access_linear_read(cpu, linear_wrap(cpu, cpu->idtr.base + at), 4, VIEW_SUPERVISOR,
                            &target))
        return false;
    stack_current(cpu, ev->ext, &st);
    if (!stack_write(cpu, &st, 2, frame, 3))
        return false;
    stack_set_pointer(cpu, &st);
    cpu->rflags &= ~(uint64_t)(FLAG_IF | FLAG_TF | FLAG_AC | FLAG_RF);
    segment_load_real(cpu, CS, (uint16_t)(target >> 16));
    cpu->rip = target & 0xffff;
    cpu_update_mode(cpu);
    return true;
}

/* ---- protected mode ---- */

/* Read the gate and check it. */
static bool exception_read_gate(struct cpu *cpu, const struct event *ev, struct descriptor *gate)
{
    const bool is_long = cpu_is_long(cpu);
    const unsigned size = is_long ? 16 : 8;
    const uint32_t error = ev->vector * 8u | IDT_FLAG | ev->ext;

    *gate = (struct descriptor){.at = linear_wrap(cpu, cpu->idtr.base + ev->vector * size)};
    if (ev->vector * size + size - 1 > cpu->idtr.limit)
        return fault_gp(cpu, error);
    if (!access_linear_read(cpu, gate->at, 8, VIEW_SUPERVISOR, &gate->raw) ||
        (is_long && !access_linear_read(cpu, gate->at + 8, 8, VIEW_SUPERVISOR, &gate->high)))
        return false;
    switch (descriptor_type(gate)) {
    case DESC_INT_GATE32:
    case DESC_TRAP_GATE32:
        break;
    case DESC_INT_GATE16:
    case DESC_TRAP_GATE16:
    case DESC_TASK_GATE:
        if (!is_long)
            break;
        return fault_gp(cpu, error);
    default:
        return fault_gp(cpu, error);
    }
    if (ev->check_dpl && descriptor_dpl(gate) < cpu->cpl)
        return fault_gp(cpu, error);
    if (!descriptor_present(gate))
        return fault_np(cpu, error);
    return true;
}

/* The code segment that the gate names; *cpl is the level that the handler runs at. */
static bool exception_read_code(struct cpu *cpu, const struct event *ev,
                                const struct descriptor *gate, struct descriptor *cs, unsigned *cpl)
{
    const uint16_t selector = gate_selector(gate);
    const uint32_t error = selector_error(selector, ev->ext);

    if (selector_is_null(selector))
        return fault_gp(cpu, ev->ext);
    if (!descriptor_read(cpu, selector, VEC_GP, ev->ext, cs))
        return false;
    if (!descriptor_is_code(cs) || descriptor_dpl(cs) > cpu->cpl)
        return fault_gp(cpu, error);
    if (cpu_is_long(cpu) && (!descriptor_l(cs) || descriptor_db(cs)))
        return fault_gp(cpu, error);
    if (!descriptor_present(cs))
        return fault_np(cpu, error);
    *cpl = descriptor_is_conforming(cs) ? cpu->cpl : descriptor_dpl(cs);
    if (cpu_is_v86(cpu) && *cpl != 0)
        return fault_gp(cpu, error);
    return true;
}

/* The stack that the frame goes to. */
static bool exception_find_stack(struct cpu *cpu, const struct event *ev,
                                 const struct descriptor *gate, unsigned cpl, struct stack *st,
                                 struct descriptor *ss)
{
    const unsigned ist = cpu_is_long(cpu) ? gate->raw >> 32 & 7 : 0;

    ss->raw = 0;
    if (cpl < cpu->cpl || ist != 0) {
        if (!stack_from_tss(cpu, cpl, ist, ev->ext, st, ss))
            return false;
    } else {
        stack_current(cpu, ev->ext, st);
        if (cpu_is_long(cpu)) {
            st->addr_size = 8;
            st->sp = cpu->gpr[RSP];
        }
    }
    if (cpu_is_long(cpu))
        st->sp &= ~(uint64_t)15;
    return true;
}

/* Collect what is pushed; returns the number of values. */
static unsigned exception_frame(const struct cpu *cpu, const struct event *ev, bool with_stack,
                                uint64_t *frame)
{
    static const uint8_t v86_order[] = {GS, FS, DS, ES};
    unsigned n = 0;

    if (cpu_is_v86(cpu))
        for (unsigned i = 0; i < sizeof(v86_order); i++)
            frame[n++] = cpu->seg[v86_order[i]].selector;
    if (with_stack) {
        frame[n++] = cpu->seg[SS].selector;
        frame[n++] = cpu->gpr[RSP];
    }
    frame[n++] = ev->flags;
    frame[n++] = cpu->seg[CS].selector;
    frame[n++] = cpu->rip;
    if (ev->has_error)
        frame[n++] = ev->error;
    return n;
}

/* Through an interrupt or trap gate. */
static bool exception_enter_gate(struct cpu *cpu, const struct event *ev,
                                 const struct descriptor *gate)
{
    const unsigned type = descriptor_type(gate);
    const unsigned width = cpu_is_long(cpu) ? 8 : type & 8 ? 4 : 2;
    const uint64_t rip = gate_offset(gate, width);
    struct descriptor cs, ss;
    struct stack st;
    uint64_t frame[10];
    unsigned cpl, count;
    bool inner;

    if (!exception_read_code(cpu, ev, gate, &cs, &cpl))
        return false;
    inner = cpl < cpu->cpl;
    count = exception_frame(cpu, ev, inner || cpu_is_long(cpu), frame);
    if (!exception_find_stack(cpu, ev, gate, cpl, &st, &ss) ||
        !segment_check_rip(cpu, &cs, rip, ev->ext) || !descriptor_set_accessed(cpu, &cs) ||
        (ss.raw != 0 && !descriptor_set_accessed(cpu, &ss)) ||
        !stack_write(cpu, &st, width, frame, count))
        return false;

    if (cpu_is_v86(cpu)) {
        segment_set_null(cpu, ES, 0);
        segment_set_null(cpu, DS, 0);
        segment_set_null(cpu, FS, 0);
        segment_set_null(cpu, GS, 0);
    }
    cpu->rflags &= ~(uint64_t)(FLAG_TF | FLAG_VM | FLAG_RF | FLAG_NT);
    if (!(type & 1))
        cpu->rflags &= ~(uint64_t)FLAG_IF;
    if (inner)
        stack_commit(cpu, &st, &ss);
    else
        stack_set_pointer(cpu, &st);
    segment_enter(cpu, &cs, cpl, rip);
    return true;
}

/* ---- any mode ---- */

/* Enter the handler.  Faults on the way are recorded. */
static enum task_result exception_enter(struct cpu *cpu, const struct event *ev)
{
    struct descriptor gate;
    bool entered;

    if (!(cpu->cr0 & CR0_PE)) {
        entered = exception_enter_real(cpu, ev);
    } else if (!exception_read_gate(cpu, ev, &gate)) {
        entered = false;
    } else if (descriptor_type(&gate) == DESC_TASK_GATE) {
        const struct task_event task = {.ext = ev->ext,
                                        .saved_flags = ev->flags,
                                        .has_error = ev->has_error,
                                        .error = ev->error};

        return task_switch_event(cpu, gate_selector(&gate), TASK_GATE, &task);
    } else {
        entered = exception_enter_gate(cpu, ev, &gate);
    }
    if (!entered)
        return TASK_FAULT;
    cpu->shadow = 0;
    return TASK_DONE;
}

/* ---- exceptions ---- */

/* The classes that make a double fault. [SDM 3A table 6-4] */
enum fault_class { CLASS_BENIGN, CLASS_CONTRIBUTORY, CLASS_PAGE_FAULT, CLASS_DOUBLE_FAULT };

static enum fault_class exception_class(uint8_t vector)
{
    switch (vector) {
    case VEC_DE:
    case VEC_TS:
    case VEC_NP:
    case VEC_SS:
    case VEC_GP:
        return CLASS_CONTRIBUTORY;
    case VEC_PF:
        return CLASS_PAGE_FAULT;
    case VEC_DF:
        return CLASS_DOUBLE_FAULT;
    default:
        return CLASS_BENIGN;
    }
}

/* Does `second`, raised while `first` was being delivered, make a double fault of a first fault, a
 * triple fault of a double fault? [SDM 3A table 6-5] */
static bool exception_escalates(enum fault_class first, enum fault_class second)
{
    switch (first) {
    case CLASS_CONTRIBUTORY:
        return second == CLASS_CONTRIBUTORY;
    case CLASS_PAGE_FAULT:
    case CLASS_DOUBLE_FAULT:
        return second != CLASS_BENIGN;
    default:
        return false;
    }
}

/* RF in the pushed flags: set by faults, so that an instruction breakpoint on the instruction does
 * not hit again after the return; kept by traps, aborts and those breakpoints themselves. */
static bool exception_sets_rf(const struct cpu_fault *fault)
{
    switch (fault->vector) {
    case VEC_DB:
        return fault->dr6 & DR6_BD;
    case VEC_NMI:
    case VEC_BP:
    case VEC_OF:
    case VEC_DF:
    case VEC_MC:
        return false;
    default:
        return true;
    }
}

/* What an exception does to CR2 and the debug registers before its handler runs. */
static void exception_note(struct cpu *cpu, const struct cpu_fault *fault)
{
    if (fault->vector == VEC_PF) {
        cpu->cr2 = fault->address;
    } else if (fault->vector == VEC_DB) {
        cpu->dr[6] |= fault->dr6;
        cpu->dr[7] &= ~(uint64_t)DR7_GD;
    }
}

static void exception_shutdown(struct cpu *cpu)
{
    cpu->shutdown = true;
    fpu_leave(cpu);
    cpu->ops->shutdown(cpu->ops_ctx);
}

void exception_deliver(struct cpu *cpu)
{
    for (;;) {
        const struct cpu_fault fault = cpu->fault;
        const struct event ev = {
            .vector = fault.vector,
            .ext = 1,
            .has_error = fault.has_error,
            .error = fault.error,
            .flags = cpu->rflags | (exception_sets_rf(&fault) ? FLAG_RF : 0),
        };
        const enum fault_class class = exception_class(fault.vector);
        enum task_result result;

        exception_note(cpu, &fault);
        result = exception_enter(cpu, &ev);
        if (result == TASK_DONE)
            return;
        /* A debug trap on entry to a task is an event of its own. */
        if (result == TASK_TRAP || !exception_escalates(class, exception_class(cpu->fault.vector)))
            continue;
        if (class == CLASS_DOUBLE_FAULT) {
            exception_shutdown(cpu);
            return;
        }
        exception_note(cpu, &cpu->fault);
        (void)!fault_set(cpu, VEC_DF, true, 0);
    }
}

/* ---- interrupts ---- */

bool exception_interrupt(struct cpu *cpu, uint8_t vector, enum event_kind kind)
{
    const bool software = kind == EVENT_SOFTWARE;
    const struct event ev = {
        .vector = vector,
        .ext = !software,
        .check_dpl = software,
        .flags = cpu->rflags,
    };
    const enum task_result result = exception_enter(cpu, &ev);

    if (result == TASK_DONE)
        return true;
    if (result == TASK_FAULT && (software || kind == EVENT_ICEBP))
        return false;
    exception_deliver(cpu);
    return true;
}
