/*
 * cpu/far.c -- far JMP, CALL, RET and IRET: every mode, gates and privilege changes.
 *
 * Source: operation sections of JMP, CALL, RET, IRET in [SDM 2]; [SDM 3A 5.8, 6.12.1, 20.2].
 *
 * Invariant: everything that can fault (descriptors, new stack, new instruction pointer, accessed
 * bits) is done before the first architectural register changes.
 */
#include "cpu/descriptor.h"

#include "cpu/operand.h"

/* ---- calls and jumps ---- */

/* CALL: write the return address to the current stack. */
static bool far_push_return(struct cpu *cpu, unsigned width, struct stack *st)
{
    const uint64_t frame[] = {cpu->seg[CS].selector, cpu->rip};

    stack_current(cpu, 0, st);
    return stack_write(cpu, st, width, frame, 2);
}

/* Real and v8086 mode: no descriptors. */
static bool far_transfer_real(struct cpu *cpu, enum far_kind kind, uint16_t selector,
                              uint64_t offset, unsigned width)
{
    struct stack st;

    if (offset > cpu->seg[CS].limit)
        return fault_gp(cpu, 0);
    if (kind == FAR_CALL) {
        if (!far_push_return(cpu, width, &st))
            return false;
        stack_set_pointer(cpu, &st);
    }
    segment_load_real(cpu, CS, selector);
    cpu->rip = offset;
    cpu_update_mode(cpu);
    return true;
}

/* Last step of every transfer that keeps the privilege level. */
static bool far_transfer_same(struct cpu *cpu, enum far_kind kind, struct descriptor *cs,
                              uint64_t offset, unsigned width)
{
    struct stack st;

    if (!segment_check_rip(cpu, cs, offset, 0) || !descriptor_set_accessed(cpu, cs))
        return false;
    if (kind == FAR_CALL) {
        if (!far_push_return(cpu, width, &st))
            return false;
        stack_set_pointer(cpu, &st);
    }
    segment_enter(cpu, cs, cpu->cpl, offset);
    return true;
}

/* Directly to a code segment. */
static bool far_transfer_code(struct cpu *cpu, enum far_kind kind, struct descriptor *cs,
                              uint64_t offset, unsigned width)
{
    const uint32_t error = selector_error(cs->selector, 0);
    const unsigned rpl = cs->selector & 3;

    if (cpu_is_long(cpu) && descriptor_l(cs) && descriptor_db(cs))
        return fault_gp(cpu, error);
    if (descriptor_is_conforming(cs) ? descriptor_dpl(cs) > cpu->cpl
                                     : rpl > cpu->cpl || descriptor_dpl(cs) != cpu->cpl)
        return fault_gp(cpu, error);
    if (!descriptor_present(cs))
        return fault_np(cpu, error);
    return far_transfer_same(cpu, kind, cs, offset, width);
}

/* Read the code segment that a call gate names and check all but its privilege for JMP. */
static bool far_gate_code(struct cpu *cpu, const struct descriptor *gate, struct descriptor *cs)
{
    const uint16_t selector = gate_selector(gate);
    const uint32_t error = selector_error(selector, 0);

    if (selector_is_null(selector))
        return fault_gp(cpu, 0);
    if (!descriptor_read(cpu, selector, VEC_GP, 0, cs))
        return false;
    if (!descriptor_is_code(cs) || descriptor_dpl(cs) > cpu->cpl)
        return fault_gp(cpu, error);
    if (cpu_is_long(cpu) && (!descriptor_l(cs) || descriptor_db(cs)))
        return fault_gp(cpu, error);
    return true;
}

/* CALL through a gate to a more privileged level: new stack, parameters copied. */
static bool far_call_inner(struct cpu *cpu, const struct descriptor *gate, struct descriptor *cs,
                           unsigned width)
{
    const unsigned cpl = descriptor_dpl(cs);
    const unsigned params = cpu_is_long(cpu) ? 0 : gate->raw >> 32 & 31;
    const uint64_t rip = gate_offset(gate, width);
    struct descriptor ss;
    struct stack st;
    uint64_t frame[2 + 31 + 2];
    unsigned n = 0;

    if (!stack_from_tss(cpu, cpl, 0, 0, &st, &ss))
        return false;
    frame[n++] = cpu->seg[SS].selector;
    frame[n++] = cpu->gpr[RSP];
    for (unsigned i = params; i-- > 0;)
        if (!stack_peek(cpu, width, i * width, &frame[n++]))
            return false;
    frame[n++] = cpu->seg[CS].selector;
    frame[n++] = cpu->rip;
    if (!segment_check_rip(cpu, cs, rip, 0) || !descriptor_set_accessed(cpu, cs) ||
        (ss.raw != 0 && !descriptor_set_accessed(cpu, &ss)) ||
        !stack_write(cpu, &st, width, frame, n))
        return false;
    stack_commit(cpu, &st, &ss);
    segment_enter(cpu, cs, cpl, rip);
    return true;
}

/* Through a call gate of either size. */
static bool far_transfer_gate(struct cpu *cpu, enum far_kind kind, const struct descriptor *gate)
{
    const uint32_t error = selector_error(gate->selector, 0);
    const unsigned rpl = gate->selector & 3;
    const unsigned width = cpu_is_long(cpu) ? 8 : descriptor_type(gate) == DESC_CALL_GATE32 ? 4 : 2;
    struct descriptor cs;

    if (descriptor_dpl(gate) < cpu->cpl || rpl > descriptor_dpl(gate))
        return fault_gp(cpu, error);
    if (!descriptor_present(gate))
        return fault_np(cpu, error);
    if (!far_gate_code(cpu, gate, &cs))
        return false;
    if (kind == FAR_JMP && !descriptor_is_conforming(&cs) && descriptor_dpl(&cs) != cpu->cpl)
        return fault_gp(cpu, selector_error(cs.selector, 0));
    if (!descriptor_present(&cs))
        return fault_np(cpu, selector_error(cs.selector, 0));
    if (!descriptor_is_conforming(&cs) && descriptor_dpl(&cs) < cpu->cpl)
        return far_call_inner(cpu, gate, &cs, width);
    return far_transfer_same(cpu, kind, &cs, gate_offset(gate, width), width);
}

/* To a TSS, or to a task gate that names one. */
static bool far_transfer_task(struct cpu *cpu, enum far_kind kind, const struct descriptor *d)
{
    const uint32_t error = selector_error(d->selector, 0);
    uint16_t tss = d->selector;

    if (descriptor_dpl(d) < cpu->cpl || descriptor_dpl(d) < (d->selector & 3u))
        return fault_gp(cpu, error);
    if (descriptor_type(d) == DESC_TASK_GATE) {
        if (!descriptor_present(d))
            return fault_np(cpu, error);
        tss = gate_selector(d);
    }
    return task_switch(cpu, tss, kind == FAR_CALL ? TASK_CALL : TASK_JMP, false, 0);
}

/* In IA-32e mode the upper half of a system descriptor has a type field that must be 0. */
static bool far_upper_type_ok(const struct descriptor *d)
{
    return (d->high >> 40 & 0x1f) == 0;
}

bool far_transfer(struct cpu *cpu, enum far_kind kind, uint16_t selector, uint64_t offset,
                  unsigned width)
{
    struct descriptor d;

    offset &= width_mask(width);
    if (!cpu_is_protected(cpu))
        return far_transfer_real(cpu, kind, selector, offset, width);
    if (selector_is_null(selector))
        return fault_gp(cpu, 0);
    if (!descriptor_read(cpu, selector, VEC_GP, 0, &d))
        return false;
    if (descriptor_is_code(&d))
        return far_transfer_code(cpu, kind, &d, offset, width);
    switch (descriptor_type(&d)) {
    case DESC_CALL_GATE32:
        if (!cpu_is_long(cpu) || far_upper_type_ok(&d))
            return far_transfer_gate(cpu, kind, &d);
        break;
    case DESC_CALL_GATE16:
        if (!cpu_is_long(cpu))
            return far_transfer_gate(cpu, kind, &d);
        break;
    case DESC_TASK_GATE:
    case DESC_TSS16:
    case DESC_TSS16_BUSY:
    case DESC_TSS32:
    case DESC_TSS32_BUSY:
        if (!cpu_is_long(cpu))
            return far_transfer_task(cpu, kind, &d);
        break;
    default:
        break;
    }
    return fault_gp(cpu, selector_error(selector, 0));
}

/* ---- returns ---- */

/* SS:RSP of the outer level, checked but not loaded. */
struct outer_stack {
    struct descriptor ss;
    uint16_t selector;
    bool null;
    uint64_t sp;
};

/* Pop SS:RSP that lie `depth_bytes` above the stack pointer and check SS for privilege level rpl.
 */
static bool far_pop_outer(struct cpu *cpu, unsigned width, uint64_t depth_bytes,
                          const struct descriptor *cs, struct outer_stack *out)
{
    const unsigned rpl = cs->selector & 3;
    uint64_t ss;

    if (!stack_peek(cpu, width, depth_bytes, &out->sp) ||
        !stack_peek(cpu, width, depth_bytes + width, &ss))
        return false;
    out->selector = (uint16_t)ss;
    out->null = selector_is_null(out->selector);
    if (out->null) {
        /* 64-bit kernels run with a null SS; 64-bit code below level 3 may be returned to. */
        if (cpu_is_long(cpu) && descriptor_l(cs) && rpl != 3)
            return true;
        return fault_gp(cpu, 0);
    }
    return segment_check_stack(cpu, out->selector, rpl, VEC_GP, 0, &out->ss);
}

/* The last checks, which write to the descriptor tables. */
static bool far_mark_outer(struct cpu *cpu, struct descriptor *cs, struct outer_stack *outer)
{
    return descriptor_set_accessed(cpu, cs) &&
           (outer->null || descriptor_set_accessed(cpu, &outer->ss));
}

/* Load CS:rip and SS:RSP of the outer (or, for IRETQ, any) level. */
static void far_enter_outer(struct cpu *cpu, const struct descriptor *cs, uint64_t rip,
                            const struct outer_stack *outer, uint16_t pop_bytes)
{
    const bool lower = (cs->selector & 3u) > cpu->cpl;

    segment_set_code(cpu, cs, cs->selector & 3u);
    if (outer->null)
        segment_set_null(cpu, SS, outer->selector);
    else
        segment_set(cpu, SS, &outer->ss, outer->selector);
    cpu->rip = rip;
    if (lower)
        segment_drop_inner(cpu);
    cpu_update_mode(cpu);
    /* A 16-bit stack gets SP only: the rest of ESP keeps the inner level's value. */
    gpr_write(cpu, RSP, stack_addr_size(cpu), outer->sp + pop_bytes);
}

static bool far_return_real(struct cpu *cpu, unsigned width, uint16_t pop_bytes)
{
    uint64_t rip, selector;

    if (!stack_peek(cpu, width, 0, &rip) || !stack_peek(cpu, width, width, &selector))
        return false;
    if (rip > cpu->seg[CS].limit)
        return fault_gp(cpu, 0);
    stack_drop(cpu, 2 * width + pop_bytes);
    segment_load_real(cpu, CS, (uint16_t)selector);
    cpu->rip = rip;
    cpu_update_mode(cpu);
    return true;
}

bool far_return(struct cpu *cpu, unsigned width, uint16_t pop_bytes)
{
    struct descriptor cs;
    struct outer_stack outer;
    uint64_t rip, selector;

    if (!cpu_is_protected(cpu))
        return far_return_real(cpu, width, pop_bytes);
    if (!stack_peek(cpu, width, 0, &rip) || !stack_peek(cpu, width, width, &selector))
        return false;
    if (!segment_check_code_return(cpu, (uint16_t)selector, &cs))
        return false;
    if ((selector & 3) == cpu->cpl) {
        if (!segment_check_rip(cpu, &cs, rip, 0) || !descriptor_set_accessed(cpu, &cs))
            return false;
        stack_drop(cpu, 2 * width + pop_bytes);
        segment_enter(cpu, &cs, cpu->cpl, rip);
        return true;
    }
    if (!far_pop_outer(cpu, width, 2 * width + pop_bytes, &cs, &outer) ||
        !segment_check_rip(cpu, &cs, rip, 0) || !far_mark_outer(cpu, &cs, &outer))
        return false;
    far_enter_outer(cpu, &cs, rip, &outer, pop_bytes);
    return true;
}

/* ---- IRET ---- */

/* Flags that IRET may change whatever the level is. */
#define IRET_FLAGS     (FLAGS_OSZAPC | FLAG_TF | FLAG_DF | FLAG_NT)
#define IRET_FLAGS_32  (FLAG_RF | FLAG_AC | FLAG_ID)
#define REAL_IRET_MASK (IRET_FLAGS | IRET_FLAGS_32 | FLAG_IF | FLAG_IOPL)

static void flags_merge(struct cpu *cpu, uint64_t flags, uint64_t mask)
{
    cpu->rflags = (cpu->rflags & ~mask) | (flags & mask) | 2;
}

/* Flags that IRET to protected mode changes at the level that executes it. */
static uint64_t iret_mask(const struct cpu *cpu, unsigned width)
{
    uint64_t mask = IRET_FLAGS;

    if (width > 2)
        mask |= IRET_FLAGS_32;
    if (cpu->cpl <= cpu_iopl(cpu))
        mask |= FLAG_IF;
    if (cpu->cpl == 0) {
        mask |= FLAG_IOPL;
        if (width > 2)
            mask |= FLAG_VIF | FLAG_VIP;
    }
    return mask;
}

static bool iret_pop(struct cpu *cpu, unsigned width, uint64_t *rip, uint64_t *selector,
                     uint64_t *flags)
{
    return stack_peek(cpu, width, 0, rip) && stack_peek(cpu, width, width, selector) &&
           stack_peek(cpu, width, 2 * width, flags);
}

/*
 * IRET in real mode and in v8086 mode, where IOPL < 3 faults unless the mode extensions let a
 * 16-bit IRET work on the virtual interrupt flag. [SDM 3A 20.3.1]
 */
static bool iret_real(struct cpu *cpu, unsigned width)
{
    const bool v86 = cpu_is_v86(cpu);
    const bool virtual_if = v86 && cpu_iopl(cpu) < 3;
    uint64_t rip, selector, flags;
    uint64_t mask = REAL_IRET_MASK;

    if (virtual_if && (width != 2 || !(cpu->cr4 & CR4_VME)))
        return fault_gp(cpu, 0);
    if (!iret_pop(cpu, width, &rip, &selector, &flags))
        return false;
    if (rip > cpu->seg[CS].limit)
        return fault_gp(cpu, 0);
    if (virtual_if) {
        if (flags & FLAG_TF || (flags & FLAG_IF && cpu->rflags & FLAG_VIP))
            return fault_gp(cpu, 0);
        flags = (flags & ~(uint64_t)FLAG_VIF) | (flags & FLAG_IF ? FLAG_VIF : 0);
        mask = (mask & ~(uint64_t)FLAG_IF) | FLAG_VIF;
    }
    if (width == 2)
        mask &= 0xffff | (virtual_if ? FLAG_VIF : 0);
    if (v86)
        mask &= ~(uint64_t)FLAG_IOPL;
    stack_drop(cpu, 3 * width);
    segment_load_real(cpu, CS, (uint16_t)selector);
    cpu->rip = rip;
    flags_merge(cpu, flags, mask);
    cpu_update_mode(cpu);
    return true;
}

/* From level 0 of protected mode into v8086 mode: nine doublewords. */
static bool iret_to_v86(struct cpu *cpu, uint64_t rip, uint64_t selector, uint64_t flags)
{
    static const uint8_t order[] = {ES, DS, FS, GS};
    uint64_t esp, ss, data[4];

    if (!stack_peek(cpu, 4, 12, &esp) || !stack_peek(cpu, 4, 16, &ss))
        return false;
    for (unsigned i = 0; i < 4; i++)
        if (!stack_peek(cpu, 4, 20 + 4 * i, &data[i]))
            return false;
    if (rip > 0xffff)
        return fault_gp(cpu, 0);
    flags_merge(cpu, flags, REAL_IRET_MASK | FLAG_VM | FLAG_VIF | FLAG_VIP);
    cpu->cpl = 3;
    segment_load_real(cpu, CS, (uint16_t)selector);
    segment_load_real(cpu, SS, (uint16_t)ss);
    for (unsigned i = 0; i < 4; i++)
        segment_load_real(cpu, order[i], (uint16_t)data[i]);
    cpu->rip = rip;
    cpu->gpr[RSP] = esp;
    cpu_update_mode(cpu);
    return true;
}

/* NT set: back to the task that the current TSS links to. */
static bool iret_task(struct cpu *cpu)
{
    uint64_t link;

    if (cpu_is_long(cpu))
        return fault_gp(cpu, 0);
    if (!access_linear_read(cpu, linear_wrap(cpu, cpu->tr.base), 2, VIEW_SUPERVISOR, &link))
        return false;
    return task_switch(cpu, (uint16_t)link, TASK_IRET, false, 0);
}

/* Same level outside 64-bit mode: the common case of kernels and of this file. */
static bool iret_same(struct cpu *cpu, unsigned width, struct descriptor *cs, uint64_t rip,
                      uint64_t flags)
{
    if (!segment_check_rip(cpu, cs, rip, 0) || !descriptor_set_accessed(cpu, cs))
        return false;
    stack_drop(cpu, 3 * width);
    flags_merge(cpu, flags, iret_mask(cpu, width));
    segment_enter(cpu, cs, cpu->cpl, rip);
    return true;
}

/* To an outer level, or any return from 64-bit mode, which always pops SS:RSP. */
static bool iret_outer(struct cpu *cpu, unsigned width, struct descriptor *cs, uint64_t rip,
                       uint64_t flags)
{
    struct outer_stack outer;

    if (!far_pop_outer(cpu, width, 3 * width, cs, &outer) || !segment_check_rip(cpu, cs, rip, 0) ||
        !far_mark_outer(cpu, cs, &outer))
        return false;
    flags_merge(cpu, flags, iret_mask(cpu, width));
    far_enter_outer(cpu, cs, rip, &outer, 0);
    return true;
}

bool far_iret(struct cpu *cpu, unsigned width)
{
    struct descriptor cs;
    uint64_t rip, selector, flags;

    cpu->nmi_blocked = false; /* even when this IRET faults */
    if (!cpu_is_protected(cpu))
        return iret_real(cpu, width);
    if (cpu->rflags & FLAG_NT)
        return iret_task(cpu);
    if (!iret_pop(cpu, width, &rip, &selector, &flags))
        return false;
    if (width == 4 && flags & FLAG_VM && cpu->cpl == 0 && !cpu_is_long(cpu))
        return iret_to_v86(cpu, rip, selector, flags);
    if (!segment_check_code_return(cpu, (uint16_t)selector, &cs))
        return false;
    if ((selector & 3) == cpu->cpl && !cpu_is_code64(cpu))
        return iret_same(cpu, width, &cs, rip, flags);
    return iret_outer(cpu, width, &cs, rip, flags);
}
