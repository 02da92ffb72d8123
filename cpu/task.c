/*
 * cpu/task.c -- the hardware task switch through a TSS.
 *
 * Source: [SDM 3A 7.3 "Task Switching", table 7-1, figures 7-2 and 7-10]. The order is the
 * manual's: check the new TSS, make sure that everything to be written is writable, save the old
 * task, load the new one.  From the moment TR holds the new selector, faults belong to the new
 * task: its registers are loaded, segments that were not reached are unusable.
 *
 *   32-bit TSS                16-bit TSS
 *   00 link                   00 link
 *   04 ESP0 SS0 .. ESP2 SS2   02 SP0 SS0 .. SP2 SS2
 *   1c CR3                    -
 *   20 EIP  24 EFLAGS         0e IP  10 FLAGS
 *   28 EAX .. 44 EDI          12 AX .. 20 DI
 *   48 ES CS SS DS FS 5c GS   22 ES CS SS 28 DS
 *   60 LDT  64 T, I/O base    2a LDT
 */
#include "cpu/descriptor.h"
#include "cpu/exception.h"

#include "cpu/operand.h"

enum {
    /* offsets, and the smallest limits */
    TSS32_CR3 = 0x1c,
    TSS32_EIP = 0x20,
    TSS32_EAX = 0x28,
    TSS32_ES = 0x48,
    TSS32_LDT = 0x60,
    TSS32_TRAP = 0x64,
    TSS32_LIMIT = 0x67,
    TSS16_IP = 0x0e,
    TSS16_AX = 0x12,
    TSS16_ES = 0x22,
    TSS16_LDT = 0x2a,
    TSS16_LIMIT = 0x2b,
};
#define DR6_BT (1u << 15)

/* The dynamic part of a TSS as it was read, before anything is loaded. */
struct task_image {
    bool wide;
    bool trap;
    uint64_t cr3, rip, flags;
    uint64_t gpr[8];
    uint16_t seg[SEG_COUNT];
    uint16_t ldt;
};

static bool tss_read(struct cpu *cpu, uint64_t base, unsigned at, unsigned size, uint64_t *value)
{
    return access_linear_read(cpu, linear_wrap(cpu, base + at), size, VIEW_SUPERVISOR, value);
}

static bool tss_write(struct cpu *cpu, uint64_t base, unsigned at, unsigned size, uint64_t value)
{
    return access_linear_write(cpu, linear_wrap(cpu, base + at), size, VIEW_SUPERVISOR, value);
}

/* Will writes of bytes first..last of a TSS succeed? */
static bool tss_probe_write(struct cpu *cpu, uint64_t base, unsigned first, unsigned last)
{
    return access_linear_probe(cpu, linear_wrap(cpu, base + first), 1, ACCESS_WRITE,
                               VIEW_SUPERVISOR) &&
           access_linear_probe(cpu, linear_wrap(cpu, base + last), 1, ACCESS_WRITE,
                               VIEW_SUPERVISOR);
}

static bool task_read_image(struct cpu *cpu, uint64_t base, bool wide, struct task_image *image)
{
    const unsigned width = wide ? 4 : 2;
    const unsigned ip = wide ? TSS32_EIP : TSS16_IP;
    const unsigned regs = wide ? TSS32_EAX : TSS16_AX;
    const unsigned segs = wide ? TSS32_ES : TSS16_ES;
    uint64_t value;

    *image = (struct task_image){.wide = wide};
    if (!tss_read(cpu, base, ip, width, &image->rip) ||
        !tss_read(cpu, base, ip + width, width, &image->flags))
        return false;
    for (unsigned i = 0; i < 8; i++)
        if (!tss_read(cpu, base, regs + i * width, width, &image->gpr[i]))
            return false;
    for (unsigned i = 0; i < (wide ? 6u : 4u); i++) {
        if (!tss_read(cpu, base, segs + i * width, 2, &value))
            return false;
        image->seg[i] = (uint16_t)value;
    }
    if (!tss_read(cpu, base, wide ? TSS32_LDT : TSS16_LDT, 2, &value))
        return false;
    image->ldt = (uint16_t)value;
    if (!wide)
        return true;
    if (!tss_read(cpu, base, TSS32_CR3, 4, &image->cr3) ||
        !tss_read(cpu, base, TSS32_TRAP, 2, &value))
        return false;
    image->trap = value & 1;
    return true;
}

/* Save the running task's dynamic state; tss_probe_write() has been asked before. */
static bool task_save(struct cpu *cpu, uint64_t flags)
{
    const bool wide = cpu->tr.attr & 8;
    const uint64_t base = cpu->tr.base;
    const unsigned width = wide ? 4 : 2;
    const unsigned ip = wide ? TSS32_EIP : TSS16_IP;
    const unsigned regs = wide ? TSS32_EAX : TSS16_AX;
    const unsigned segs = wide ? TSS32_ES : TSS16_ES;

    if (!tss_write(cpu, base, ip, width, cpu->rip) ||
        !tss_write(cpu, base, ip + width, width, flags))
        return false;
    for (unsigned i = 0; i < 8; i++)
        if (!tss_write(cpu, base, regs + i * width, width, cpu->gpr[i]))
            return false;
    for (unsigned i = 0; i < (wide ? 6u : 4u); i++)
        if (!tss_write(cpu, base, segs + i * width, 2, cpu->seg[i].selector))
            return false;
    return true;
}

/* ---- loading the new task: faults from here on are its own ---- */

static bool task_load_ldt(struct cpu *cpu, uint16_t selector, unsigned ext)
{
    const uint32_t error = selector_error(selector, ext);
    struct descriptor d;

    if (selector_is_null(selector))
        return true;
    if (selector & 4)
        return fault_ts(cpu, error);
    if (!descriptor_read(cpu, selector, VEC_TS, ext, &d))
        return false;
    if (descriptor_type(&d) != DESC_LDT || !descriptor_present(&d))
        return fault_ts(cpu, error);
    segment_unpack(d.raw, selector, &cpu->ldtr);
    return true;
}

static bool task_load_code(struct cpu *cpu, uint16_t selector, unsigned ext)
{
    const uint32_t error = selector_error(selector, ext);
    const unsigned cpl = selector & 3;
    struct descriptor d;

    if (selector_is_null(selector))
        return fault_ts(cpu, error);
    if (!descriptor_read(cpu, selector, VEC_TS, ext, &d))
        return false;
    if (!descriptor_is_code(&d) ||
        (descriptor_is_conforming(&d) ? descriptor_dpl(&d) > cpl : descriptor_dpl(&d) != cpl))
        return fault_ts(cpu, error);
    if (!descriptor_present(&d))
        return fault_np(cpu, error);
    if (!descriptor_set_accessed(cpu, &d))
        return false;
    segment_set_code(cpu, &d, cpl);
    return true;
}

static bool task_load_stack(struct cpu *cpu, uint16_t selector, unsigned ext)
{
    struct descriptor d;

    if (selector_is_null(selector))
        return fault_ts(cpu, selector_error(selector, ext));
    if (!segment_check_stack(cpu, selector, cpu->cpl, VEC_TS, ext, &d) ||
        !descriptor_set_accessed(cpu, &d))
        return false;
    segment_set(cpu, SS, &d, selector);
    return true;
}

static bool task_load_data(struct cpu *cpu, enum seg seg, uint16_t selector, unsigned ext)
{
    const uint32_t error = selector_error(selector, ext);
    struct descriptor d;

    if (selector_is_null(selector))
        return true;
    if (!descriptor_read(cpu, selector, VEC_TS, ext, &d))
        return false;
    if (!descriptor_is_readable(&d))
        return fault_ts(cpu, error);
    if (!(descriptor_is_code(&d) && descriptor_is_conforming(&d)) &&
        (descriptor_dpl(&d) < cpu->cpl || descriptor_dpl(&d) < (selector & 3u)))
        return fault_ts(cpu, error);
    if (!descriptor_present(&d))
        return fault_np(cpu, error);
    if (!descriptor_set_accessed(cpu, &d))
        return false;
    segment_set(cpu, seg, &d, selector);
    return true;
}

static bool task_load_segments(struct cpu *cpu, const struct task_image *image, unsigned ext)
{
    static const uint8_t data_segments[] = {DS, ES, FS, GS};

    if (!task_load_ldt(cpu, image->ldt, ext))
        return false;
    if (cpu->rflags & FLAG_VM) {
        for (unsigned i = 0; i < SEG_COUNT; i++)
            segment_load_real(cpu, i, image->seg[i]);
    } else {
        if (!task_load_code(cpu, image->seg[CS], ext) || !task_load_stack(cpu, image->seg[SS], ext))
            return false;
        for (unsigned i = 0; i < sizeof(data_segments); i++)
            if (!task_load_data(cpu, data_segments[i], image->seg[data_segments[i]], ext))
                return false;
    }
    if (cpu->rip > cpu->seg[CS].limit)
        return fault_gp(cpu, ext);
    return true;
}

/* Registers that cannot fault: everything but the hidden parts of the segment registers. */
static void task_load_registers(struct cpu *cpu, const struct task_image *image)
{
    const uint64_t writable = FLAGS_OSZAPC | FLAG_TF | FLAG_IF | FLAG_DF | FLAG_IOPL | FLAG_NT |
                              FLAG_RF | FLAG_VM | FLAG_AC | FLAG_VIF | FLAG_VIP | FLAG_ID;

    cpu->rip = image->rip;
    cpu->rflags = (image->flags & writable) | 2;
    for (unsigned i = 0; i < 8; i++)
        cpu->gpr[i] = image->gpr[i];
    for (unsigned i = 0; i < SEG_COUNT; i++)
        cpu->seg[i] = (struct segment){.selector = image->seg[i]};
    cpu->cpl = cpu->rflags & FLAG_VM ? 3 : image->seg[CS] & 3;
    cpu->seg[SS].attr = (uint16_t)(cpu->cpl << 5);
    cpu->ldtr = (struct segment){.selector = image->ldt};
    cpu->cr0 |= CR0_TS;
    cpu->dr[7] &= ~(uint64_t)0x155; /* L0..L3, LE: breakpoints of one task */
    cpu->shadow = 0;
}

static bool task_load_cr3(struct cpu *cpu, const struct task_image *image)
{
    if (!image->wide || !(cpu->cr0 & CR0_PG))
        return true;
    if (cpu->cr4 & CR4_PAE && !mmu_load_pdptes(cpu, image->cr3))
        return false;
    cpu->cr3 = image->cr3;
    mmu_flush_nonglobal(cpu);
    return true;
}

/* Push the error code of an exception that came through a task gate. */
static bool task_push_error(struct cpu *cpu, bool wide, const struct task_event *event)
{
    const uint64_t error = event->error;
    struct stack st;

    stack_current(cpu, event->ext, &st);
    if (!stack_write(cpu, &st, wide ? 4 : 2, &error, 1))
        return false;
    stack_set_pointer(cpu, &st);
    return true;
}

/* ---- the switch ---- */

/* Find the new TSS and check what table 7-1 says about its descriptor. */
static bool task_check_tss(struct cpu *cpu, uint16_t selector, enum task_kind kind, unsigned ext,
                           struct descriptor *tss)
{
    const uint32_t error = selector_error(selector, ext);
    const enum vector vector = kind == TASK_IRET ? VEC_TS : VEC_GP;
    unsigned type;

    if (selector & 4 || selector_is_null(selector))
        return fault_set(cpu, vector, true, error);
    if (!descriptor_read(cpu, selector, vector, ext, tss))
        return false;
    type = descriptor_type(tss);
    if (kind == TASK_IRET ? type != DESC_TSS16_BUSY && type != DESC_TSS32_BUSY
                          : type != DESC_TSS16 && type != DESC_TSS32)
        return fault_set(cpu, vector, true, error);
    if (!descriptor_present(tss))
        return fault_np(cpu, error);
    if (descriptor_limit(tss) < (type & 8 ? TSS32_LIMIT : TSS16_LIMIT))
        return fault_ts(cpu, error);
    return true;
}

/* The old TSS must take the state: big enough and writable, its descriptor too. */
static bool task_check_old(struct cpu *cpu, unsigned ext)
{
    const bool wide = cpu->tr.attr & 8;
    const unsigned last = wide ? TSS32_LDT - 1 : TSS16_LDT - 1;

    if (!(cpu->tr.attr & SEG_P) || cpu->tr.limit < last)
        return fault_ts(cpu, selector_error(cpu->tr.selector, ext));
    return tss_probe_write(cpu, cpu->tr.base, wide ? TSS32_EIP : TSS16_IP, last);
}

/*
 * The old TSS's own descriptor, whose busy bit JMP and IRET clear.  *found is false when the GDT
 * does not reach it any more.
 */
static bool task_find_old(struct cpu *cpu, struct descriptor *old, bool *found)
{
    *found = !selector_is_null(cpu->tr.selector) &&
             descriptor_locate(cpu, cpu->tr.selector, 8, &old->at);
    if (!*found)
        return true;
    return descriptor_read(cpu, cpu->tr.selector, VEC_TS, 0, old) &&
           access_linear_probe(cpu, old->at, 8, ACCESS_WRITE, VIEW_SUPERVISOR);
}

/* Checks and writes to memory, up to the point of no return. */
static bool task_leave(struct cpu *cpu, uint16_t selector, enum task_kind kind,
                       const struct task_event *event, struct descriptor *tss,
                       struct task_image *image)
{
    const bool nests = kind == TASK_CALL || kind == TASK_GATE;
    uint64_t flags = event->saved_flags;
    struct descriptor old;
    uint64_t base;
    bool release = false;

    /* Everything that can fault ... */
    if (!task_check_tss(cpu, selector, kind, event->ext, tss) || !task_check_old(cpu, event->ext))
        return false;
    base = descriptor_base(tss);
    if (!task_read_image(cpu, base, descriptor_type(tss) & 8, image))
        return false;
    if (nests ? !tss_probe_write(cpu, base, 0, 1) : !task_find_old(cpu, &old, &release))
        return false;
    if (kind != TASK_IRET && !descriptor_set_busy(cpu, tss, true))
        return false;
    /* ... and what cannot any more. */
    if (release && !descriptor_set_busy(cpu, &old, false))
        return false;
    if (kind == TASK_IRET)
        flags &= ~(uint64_t)FLAG_NT;
    if (!task_save(cpu, flags) || (nests && !tss_write(cpu, base, 0, 2, cpu->tr.selector)))
        return false;
    if (nests)
        image->flags |= FLAG_NT;
    return true;
}

enum task_result task_switch_event(struct cpu *cpu, uint16_t tss_selector, enum task_kind kind,
                                   const struct task_event *event)
{
    struct task_image image;
    struct descriptor tss;
    bool loaded;

    if (!task_leave(cpu, tss_selector, kind, event, &tss, &image))
        return TASK_FAULT;
    segment_unpack(tss.raw, tss_selector, &cpu->tr);
    task_load_registers(cpu, &image);
    loaded = task_load_cr3(cpu, &image) && task_load_segments(cpu, &image, event->ext);
    cpu_update_mode(cpu);
    if (!loaded)
        return TASK_FAULT_INSIDE;
    if (event->has_error && !task_push_error(cpu, image.wide, event))
        return TASK_FAULT_INSIDE;
    if (image.trap) {
        (void)!fault_db(cpu, DR6_BT);
        return TASK_TRAP;
    }
    return TASK_DONE;
}

bool task_finish(struct cpu *cpu, enum task_result result)
{
    if (result == TASK_FAULT)
        return false;
    if (result != TASK_DONE)
        exception_deliver(cpu);
    return true;
}

bool task_switch(struct cpu *cpu, uint16_t tss_selector, enum task_kind kind, bool has_error,
                 uint32_t error)
{
    const struct task_event event = {
        .saved_flags = cpu->rflags, .has_error = has_error, .error = error};

    return task_finish(cpu, task_switch_event(cpu, tss_selector, kind, &event));
}
