/*
 * cpu/descriptor.h -- what segment.c, far.c, task.c and exception.c share: descriptors as they lie
 * in memory, code and stack segments that are checked but not yet loaded, frames on such stacks.
 *
 * Error codes are built by the callers' context: `ext` is 1 while an exception or an external
 * interrupt is being delivered, 0 for an instruction's own faults.  [SDM 3A 6.13 "Error Code"]
 */
#ifndef RINGER_CPU_DESCRIPTOR_H
#define RINGER_CPU_DESCRIPTOR_H

#include "cpu/access.h"
#include "cpu/segment.h"

/* The five type bits of a descriptor, S included. [SDM 3A table 3-2] */
enum descriptor_type {
    DESC_TSS16 = 1,
    DESC_LDT = 2,
    DESC_TSS16_BUSY = 3,
    DESC_CALL_GATE16 = 4,
    DESC_TASK_GATE = 5,
    DESC_INT_GATE16 = 6,
    DESC_TRAP_GATE16 = 7,
    DESC_TSS32 = 9,
    DESC_TSS32_BUSY = 11,
    DESC_CALL_GATE32 = 12,
    DESC_INT_GATE32 = 14,
    DESC_TRAP_GATE32 = 15,
};
enum { DESC_BUSY = 2 };

/* A descriptor read from the GDT, LDT or IDT. */
struct descriptor {
    uint64_t raw;
    uint64_t high; /* second half of a 16-byte system descriptor, else 0 */
    linaddr_t at;  /* linear address of its first byte */
    uint16_t selector;
};

static inline unsigned descriptor_type(const struct descriptor *d)
{
    return d->raw >> 40 & 0x1f;
}
static inline unsigned descriptor_dpl(const struct descriptor *d)
{
    return d->raw >> 45 & 3;
}
static inline bool descriptor_present(const struct descriptor *d)
{
    return d->raw >> 47 & 1;
}
static inline bool descriptor_is_code(const struct descriptor *d)
{
    return (descriptor_type(d) & (SEG_S | SEG_CODE)) == (SEG_S | SEG_CODE);
}
static inline bool descriptor_is_conforming(const struct descriptor *d)
{
    return d->raw >> 42 & 1;
}
static inline bool descriptor_is_writable_data(const struct descriptor *d)
{
    return (descriptor_type(d) & (SEG_S | SEG_CODE | SEG_WRITE)) == (SEG_S | SEG_WRITE);
}
/* Data, or code that may be read. */
static inline bool descriptor_is_readable(const struct descriptor *d)
{
    const unsigned type = descriptor_type(d);

    return type & SEG_S && (type & (SEG_CODE | SEG_WRITE)) != SEG_CODE;
}
static inline bool descriptor_l(const struct descriptor *d)
{
    return d->raw >> 53 & 1;
}
static inline bool descriptor_db(const struct descriptor *d)
{
    return d->raw >> 54 & 1;
}

/* The fields of a gate. */
static inline uint16_t gate_selector(const struct descriptor *d)
{
    return (uint16_t)(d->raw >> 16);
}
/* Offset in the target; the upper halves exist only in 32-bit and 64-bit gates. */
static inline uint64_t gate_offset(const struct descriptor *d, unsigned width)
{
    const uint64_t low = d->raw & 0xffff;

    return width == 2 ? low : low | (d->raw >> 32 & 0xffff0000) | (uint64_t)(uint32_t)d->high << 32;
}

static inline bool selector_is_null(uint16_t selector)
{
    return (selector & ~3u) == 0;
}
/* Error code that names a selector. */
static inline uint32_t selector_error(uint16_t selector, unsigned ext)
{
    return (selector & 0xfffcu) | ext;
}

static inline bool linear_is_canonical(const struct cpu *cpu, uint64_t address)
{
    const unsigned unused = cpu->cr4 & CR4_LA57 ? 7 : 16;

    return (uint64_t)((int64_t)(address << unused) >> unused) == address;
}
/* Linear addresses outside IA-32e mode wrap at 4 GiB. */
static inline linaddr_t linear_wrap(const struct cpu *cpu, linaddr_t linear)
{
    return cpu_is_long(cpu) ? linear : (uint32_t)linear;
}

static inline uint32_t descriptor_limit(const struct descriptor *d)
{
    const uint32_t limit = (d->raw & 0xffff) | (d->raw >> 32 & 0xf0000);

    return d->raw >> 55 & 1 ? limit << 12 | 0xfff : limit;
}
static inline uint64_t descriptor_base(const struct descriptor *d)
{
    return (d->raw >> 16 & 0xffffff) | (d->raw >> 32 & 0xff000000) |
           (uint64_t)(uint32_t)d->high << 32;
}

/* Where the descriptor that a non-null selector names lies; false: not within its table. */
bool descriptor_locate(const struct cpu *cpu, uint16_t selector, unsigned size, linaddr_t *at);
/*
 * Read the descriptor that a non-null selector names.  Outside its table: the fault `vector`
 * (#GP, #TS) with the selector as error code.  Page faults of the read are recorded as they are.
 * In IA-32e mode the second half of a system descriptor is read (and must lie in the table) too.
 */
FAULT_CHECK bool descriptor_read(struct cpu *cpu, uint16_t selector, enum vector vector,
                                 unsigned ext, struct descriptor *out);
/* Set the accessed bit in memory, when it is not set yet. */
FAULT_CHECK bool descriptor_set_accessed(struct cpu *cpu, struct descriptor *d);
/* Set or clear the busy bit of a TSS descriptor in memory. */
FAULT_CHECK bool descriptor_set_busy(struct cpu *cpu, struct descriptor *d, bool busy);

/* Checks of a code segment on a transfer that does not lower the privilege: [SDM 3A 5.8.1]. */
FAULT_CHECK bool segment_check_code_return(struct cpu *cpu, uint16_t selector,
                                           struct descriptor *out);
/*
 * Is `offset` a place to jump to in this code segment?  Limit, or canonical form in 64-bit code;
 * else #GP(ext).
 */
FAULT_CHECK bool segment_check_rip(struct cpu *cpu, const struct descriptor *cs, uint64_t offset,
                                   unsigned ext);
/*
 * Checks of a stack segment for privilege level `cpl`: limits, RPL, DPL, writable: `vector` with
 * the selector; not present: #SS.  Not for null selectors.
 */
FAULT_CHECK bool segment_check_stack(struct cpu *cpu, uint16_t selector, unsigned cpl,
                                     enum vector vector, unsigned ext, struct descriptor *out);

/* Fill a segment register.  Callers follow with cpu_update_mode(). */
void segment_set(struct cpu *cpu, enum seg seg, const struct descriptor *d, uint16_t selector);
/* Null selector: unusable.  SS keeps its DPL = cpl. */
void segment_set_null(struct cpu *cpu, enum seg seg, uint16_t selector);
/* CS with RPL = cpl, and CPL itself. */
void segment_set_code(struct cpu *cpu, const struct descriptor *d, unsigned cpl);
/* Load CS:rip at level cpl, cpu_update_mode() included: what every transfer ends with. */
void segment_enter(struct cpu *cpu, const struct descriptor *cs, unsigned cpl, uint64_t rip);
/* What SYSENTER, SYSCALL and their returns load: flat segments that no table is read for. */
void segment_set_flat(struct cpu *cpu, enum seg seg, uint16_t selector, unsigned dpl, bool code64,
                      bool code32);
/* On a return to an outer level, data segments that it may not use become null. */
void segment_drop_inner(struct cpu *cpu);

/* A stack that frames are written to before SS:RSP is changed. */
struct stack {
    struct segment ss; /* what SS will hold */
    uint64_t sp;
    uint64_t sp_high;   /* ESP above SP when a 16-bit stack comes from a TSS */
    unsigned addr_size; /* 2, 4, 8: bytes of the stack pointer */
    enum tlb_view view; /* of the privilege level that will use it */
    uint32_t error;     /* error code of #SS */
};

/* The current stack. */
void stack_current(const struct cpu *cpu, unsigned ext, struct stack *out);
/* Push values[0], values[1]... of `width` bytes each and lower st->sp; all of the frame's place is
 * checked before the first byte is written. */
FAULT_CHECK bool stack_write(struct cpu *cpu, struct stack *st, unsigned width,
                             const uint64_t *values, unsigned count);
/* Load the stack pointer. */
void stack_set_pointer(struct cpu *cpu, const struct stack *st);
/*
 * The stack of privilege level `cpl` from the TSS, checked: SS and stack pointer, faults as #TS and
 * #SS.  ist: 0, or the IST slot of a 64-bit gate.  For IA-32e mode SS becomes null.
 * *ss_desc receives the descriptor (raw 0 for the null SS of IA-32e mode).
 */
FAULT_CHECK bool stack_from_tss(struct cpu *cpu, unsigned cpl, unsigned ist, unsigned ext,
                                struct stack *out, struct descriptor *ss_desc);
/* Load SS:RSP from what stack_from_tss() found. */
void stack_commit(struct cpu *cpu, const struct stack *st, const struct descriptor *ss_desc);

/* ---- cpu/task.c ---- */
/* An event that enters a task through a task gate. */
struct task_event {
    unsigned ext;
    uint64_t saved_flags; /* EFLAGS to store in the old TSS */
    bool has_error;       /* push `error` on the new task's stack */
    uint32_t error;
};
enum task_result {
    TASK_DONE,
    TASK_TRAP,         /* done, and the new TSS asks for a debug trap: the #DB is recorded */
    TASK_FAULT,        /* fault before anything was changed */
    TASK_FAULT_INSIDE, /* fault in the context of the new task, which has been entered */
};
/* As task_switch(), for callers that deliver faults themselves. */
enum task_result task_switch_event(struct cpu *cpu, uint16_t tss_selector, enum task_kind kind,
                                   const struct task_event *event);
/* The #DB or fault of a finished task switch belongs to the new task: deliver it there. */
FAULT_CHECK bool task_finish(struct cpu *cpu, enum task_result result);

#endif
