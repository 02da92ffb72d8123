/*
 * cpu/segment.c -- segment registers, descriptors, and stacks that are not loaded yet.
 *
 * Source: [SDM 3A 3.4 "Logical and Linear Addresses", 3A 5 "Protection"], and the operation
 * sections of MOV, POP and LDS/LES/LFS/LGS/LSS in [SDM 2].
 *
 * Invariant: read_end and write_end of a segment register always follow its base, limit and attr.
 */
#include "cpu/descriptor.h"

#include "cpu/operand.h"

/* ---- segment registers ---- */

void segment_update_cache(struct segment *seg)
{
    const unsigned attr = seg->attr;
    const bool data = !(attr & SEG_CODE);
    const uint64_t end = (uint64_t)seg->limit + 1;

    seg->read_end = 0;
    seg->write_end = 0;
    if (!(attr & SEG_P) || !(attr & SEG_S) || (data && attr & SEG_EXPAND))
        return;
    if (data || attr & SEG_WRITE)
        seg->read_end = end;
    if (data && attr & SEG_WRITE)
        seg->write_end = end;
}

void segment_unpack(uint64_t descriptor, uint16_t selector, struct segment *out)
{
    const struct descriptor d = {.raw = descriptor};

    out->base = descriptor_base(&d);
    out->limit = descriptor_limit(&d);
    out->selector = selector;
    out->attr = descriptor >> 40 & 0xf0ff;
    segment_update_cache(out);
}

/*
 * A load in real mode changes selector and base only, so that "big real mode" keeps its limits; the
 * segment becomes writable data again whatever protected mode left there.  In v8086 mode every
 * segment has 64 KiB and DPL 3.  [SDM 3A 20.1.1, 20.2.4 and 9.9.2]
 */
void segment_load_real(struct cpu *cpu, enum seg seg, uint16_t selector)
{
    struct segment *s = &cpu->seg[seg];
    const unsigned type = SEG_P | SEG_S | SEG_WRITE | SEG_ACCESSED;

    s->selector = selector;
    s->base = (uint64_t)selector << 4;
    if (cpu->rflags & FLAG_VM && cpu->cr0 & CR0_PE) {
        s->limit = 0xffff;
        s->attr = SEG_DPL | type;
    } else {
        if (!(s->attr & SEG_P))
            s->limit = 0xffff;
        s->attr = (s->attr & (SEG_G | SEG_DB | SEG_AVL)) | type;
    }
    segment_update_cache(s);
}

void segment_set(struct cpu *cpu, enum seg seg, const struct descriptor *d, uint16_t selector)
{
    segment_unpack(d->raw, selector, &cpu->seg[seg]);
}

void segment_set_null(struct cpu *cpu, enum seg seg, uint16_t selector)
{
    cpu->seg[seg] = (struct segment){
        .selector = selector,
        .attr = seg == SS ? (uint16_t)(cpu->cpl << 5) : 0,
    };
}

void segment_set_code(struct cpu *cpu, const struct descriptor *d, unsigned cpl)
{
    segment_set(cpu, CS, d, (uint16_t)((d->selector & ~3u) | cpl));
    cpu->cpl = (uint8_t)cpl;
}

void segment_enter(struct cpu *cpu, const struct descriptor *cs, unsigned cpl, uint64_t rip)
{
    segment_set_code(cpu, cs, cpl);
    cpu->rip = rip;
    cpu_update_mode(cpu);
}

void segment_set_flat(struct cpu *cpu, enum seg seg, uint16_t selector, unsigned dpl, bool code64,
                      bool code32)
{
    struct segment *s = &cpu->seg[seg];

    s->base = 0;
    s->limit = UINT32_MAX;
    s->selector = (uint16_t)((selector & ~3u) | dpl);
    s->attr = (uint16_t)(SEG_G | (code64 ? SEG_L : 0) | (code32 ? SEG_DB : 0) | SEG_P | dpl << 5 |
                         SEG_S | (seg == CS ? SEG_CODE : 0) | SEG_WRITE | SEG_ACCESSED);
    segment_update_cache(s);
}

void segment_drop_inner(struct cpu *cpu)
{
    static const uint8_t data_segments[] = {ES, FS, GS, DS};

    for (unsigned i = 0; i < sizeof(data_segments); i++) {
        const enum seg seg = data_segments[i];
        struct segment *s = &cpu->seg[seg];
        const bool conforming = (s->attr & SEG_CODE) && (s->attr & SEG_EXPAND);

        if (!(s->attr & SEG_P))
            s->selector = 0; /* the base of a null FS or GS stays */
        else if (!conforming && (s->attr >> 5 & 3u) < cpu->cpl)
            segment_set_null(cpu, seg, 0);
    }
}

/* ---- descriptors in memory ---- */

bool descriptor_locate(const struct cpu *cpu, uint16_t selector, unsigned size, linaddr_t *at)
{
    const uint32_t offset = selector & ~7u;
    uint64_t base = cpu->gdtr.base;
    uint64_t limit = cpu->gdtr.limit;

    if (selector & 4) {
        if (!(cpu->ldtr.attr & SEG_P))
            return false;
        base = cpu->ldtr.base;
        limit = cpu->ldtr.limit;
    }
    *at = linear_wrap(cpu, base + offset);
    return offset + size - 1 <= limit;
}

bool descriptor_read(struct cpu *cpu, uint16_t selector, enum vector vector, unsigned ext,
                     struct descriptor *out)
{
    out->selector = selector;
    out->high = 0;
    if (!descriptor_locate(cpu, selector, 8, &out->at))
        return fault_set(cpu, vector, true, selector_error(selector, ext));
    if (!access_linear_read(cpu, out->at, 8, VIEW_SUPERVISOR, &out->raw))
        return false;
    if (!cpu_is_long(cpu) || descriptor_type(out) & SEG_S)
        return true;
    if (!descriptor_locate(cpu, selector, 16, &out->at))
        return fault_set(cpu, vector, true, selector_error(selector, ext));
    return access_linear_read(cpu, out->at + 8, 8, VIEW_SUPERVISOR, &out->high);
}

/* Change bits of the access byte (byte 5) in memory, as one locked access of the bus. */
static bool descriptor_change_access(struct cpu *cpu, struct descriptor *d, uint8_t set,
                                     uint8_t clear)
{
    const linaddr_t at = linear_wrap(cpu, d->at + 5);
    uint8_t *host = NULL;
    uint64_t byte;

    if (!access_host_pointer(cpu, at, ACCESS_WRITE, VIEW_SUPERVISOR, &host))
        return false;
    if (host != NULL) {
        if (set != 0)
            __atomic_fetch_or(host, set, __ATOMIC_SEQ_CST);
        if (clear != 0)
            __atomic_fetch_and(host, (uint8_t)~clear, __ATOMIC_SEQ_CST);
    } else {
        if (!access_linear_read(cpu, at, 1, VIEW_SUPERVISOR, &byte) ||
            !access_linear_write(cpu, at, 1, VIEW_SUPERVISOR, (byte | set) & (uint8_t)~clear))
            return false;
    }
    d->raw = (d->raw | (uint64_t)set << 40) & ~((uint64_t)clear << 40);
    return true;
}

bool descriptor_set_accessed(struct cpu *cpu, struct descriptor *d)
{
    if (d->raw >> 40 & SEG_ACCESSED)
        return true;
    return descriptor_change_access(cpu, d, SEG_ACCESSED, 0);
}

bool descriptor_set_busy(struct cpu *cpu, struct descriptor *d, bool busy)
{
    return descriptor_change_access(cpu, d, busy ? DESC_BUSY : 0, busy ? 0 : DESC_BUSY);
}

/* ---- loads of data and stack segment registers ---- */

/* MOV to SS and its kin. */
static bool segment_load_stack(struct cpu *cpu, uint16_t selector)
{
    struct descriptor d;

    if (selector_is_null(selector)) {
        if (!cpu_is_code64(cpu) || cpu->cpl == 3 || (selector & 3u) != cpu->cpl)
            return fault_gp(cpu, 0);
        segment_set_null(cpu, SS, selector);
        return true;
    }
    if (!segment_check_stack(cpu, selector, cpu->cpl, VEC_GP, 0, &d) ||
        !descriptor_set_accessed(cpu, &d))
        return false;
    segment_set(cpu, SS, &d, selector);
    return true;
}

void segment_forget(struct cpu *cpu)
{
    for (unsigned i = 0; i < SEG_COUNT; i++)
        cpu->memo[i].minus_selector = 1;
}

static void segment_remember(struct cpu *cpu, enum seg seg, const struct descriptor *d)
{
    struct segment_memo *memo = &cpu->memo[seg];

    memo->minus_selector = 1;
    if (cpu->cpl != 0 || cpu_is_long(cpu) || (d->selector & 4) ||
        (seg < FS && !segment_is_flat_data(&cpu->seg[seg])))
        return;
    memo->minus_selector = -(uint64_t)d->selector;
    memo->minus_raw = -d->raw;
    memo->at = d->at;
    memo->loaded = cpu->seg[seg];
}

static bool segment_load_data(struct cpu *cpu, enum seg seg, uint16_t selector)
{
    struct descriptor d;
    const unsigned rpl = selector & 3;

    if (selector_is_null(selector)) {
        segment_set_null(cpu, seg, selector);
        return true;
    }
    if (!descriptor_read(cpu, selector, VEC_GP, 0, &d))
        return false;
    if (!descriptor_is_readable(&d))
        return fault_gp(cpu, selector_error(selector, 0));
    if (!(descriptor_is_code(&d) && descriptor_is_conforming(&d)) &&
        (rpl > descriptor_dpl(&d) || cpu->cpl > descriptor_dpl(&d)))
        return fault_gp(cpu, selector_error(selector, 0));
    if (!descriptor_present(&d))
        return fault_np(cpu, selector_error(selector, 0));
    if (!descriptor_set_accessed(cpu, &d))
        return false;
    segment_set(cpu, seg, &d, selector);
    segment_remember(cpu, seg, &d);
    return true;
}

bool segment_load(struct cpu *cpu, enum seg seg, uint16_t selector)
{
    if (!cpu_is_protected(cpu))
        segment_load_real(cpu, seg, selector);
    else if (!(seg == SS ? segment_load_stack(cpu, selector)
                         : segment_load_data(cpu, seg, selector)))
        return false;
    cpu_update_mode(cpu);
    return true;
}

/* ---- checks of segments that a transfer will load ---- */

bool segment_check_code_return(struct cpu *cpu, uint16_t selector, struct descriptor *out)
{
    const unsigned rpl = selector & 3;
    const uint32_t error = selector_error(selector, 0);

    if (selector_is_null(selector))
        return fault_gp(cpu, 0);
    if (!descriptor_read(cpu, selector, VEC_GP, 0, out))
        return false;
    if (!descriptor_is_code(out) || rpl < cpu->cpl)
        return fault_gp(cpu, error);
    if (cpu_is_long(cpu) && descriptor_l(out) && descriptor_db(out))
        return fault_gp(cpu, error);
    if (descriptor_is_conforming(out) ? descriptor_dpl(out) > rpl : descriptor_dpl(out) != rpl)
        return fault_gp(cpu, error);
    if (!descriptor_present(out))
        return fault_np(cpu, error);
    return true;
}

bool segment_check_rip(struct cpu *cpu, const struct descriptor *cs, uint64_t offset, unsigned ext)
{
    const bool code64 = cpu_is_long(cpu) && descriptor_l(cs);

    if (code64 ? linear_is_canonical(cpu, offset) : offset <= descriptor_limit(cs))
        return true;
    return fault_gp(cpu, ext);
}

bool segment_check_stack(struct cpu *cpu, uint16_t selector, unsigned cpl, enum vector vector,
                         unsigned ext, struct descriptor *out)
{
    const uint32_t error = selector_error(selector, ext);

    if (!descriptor_read(cpu, selector, vector, ext, out))
        return false;
    if ((selector & 3u) != cpl || descriptor_dpl(out) != cpl || !descriptor_is_writable_data(out))
        return fault_set(cpu, vector, true, error);
    if (!descriptor_present(out))
        return fault_ss(cpu, error);
    return true;
}

/* ---- stacks ---- */

void stack_current(const struct cpu *cpu, unsigned ext, struct stack *out)
{
    out->ss = cpu->seg[SS];
    out->addr_size = stack_addr_size(cpu);
    out->sp = cpu->gpr[RSP] & width_mask(out->addr_size);
    out->sp_high = 0;
    out->view = mmu_view(cpu);
    out->error = ext;
}

/* Does the segment (expand-up or expand-down, writable) hold offset .. offset + size - 1? */
static bool stack_contains(const struct stack *st, uint64_t offset, unsigned size)
{
    const uint64_t last = offset + size - 1;

    if ((st->ss.attr & (SEG_P | SEG_S | SEG_CODE | SEG_WRITE)) != (SEG_P | SEG_S | SEG_WRITE))
        return false;
    if (st->ss.attr & SEG_EXPAND)
        return offset > st->ss.limit && last <= (st->ss.attr & SEG_DB ? UINT32_MAX : 0xffffu);
    return last <= st->ss.limit;
}

/* Linear address of `size` bytes at an offset of the stack, or #SS. */
static bool stack_linear(struct cpu *cpu, const struct stack *st, uint64_t offset, unsigned size,
                         linaddr_t *linear)
{
    if (st->addr_size == 8) {
        *linear = offset;
        if (linear_is_canonical(cpu, offset) && linear_is_canonical(cpu, offset + size - 1))
            return true;
        return fault_ss(cpu, st->error);
    }
    if (!stack_contains(st, offset, size))
        return fault_ss(cpu, st->error);
    *linear = (uint32_t)(st->ss.base + offset);
    return true;
}

bool stack_write(struct cpu *cpu, struct stack *st, unsigned width, const uint64_t *values,
                 unsigned count)
{
    const uint64_t mask = width_mask(st->addr_size);
    uint64_t sp = st->sp;
    linaddr_t probed = 1; /* no page address */
    linaddr_t linear;

    for (unsigned i = 0; i < count; i++) {
        sp = (sp - width) & mask;
        if (!stack_linear(cpu, st, sp, width, &linear))
            return false;
        /* One probe a page will do, unless this element straddles two. */
        if ((linear & PAGE_MASK) == probed && (linear & ~PAGE_MASK) + width <= PAGE_SIZE)
            continue;
        if (!access_linear_probe(cpu, linear, width, ACCESS_WRITE, st->view))
            return false;
        probed = linear & PAGE_MASK;
    }
    sp = st->sp;
    for (unsigned i = 0; i < count; i++) {
        sp = (sp - width) & mask;
        if (!stack_linear(cpu, st, sp, width, &linear) ||
            !access_linear_write(cpu, linear, width, st->view, values[i] & width_mask(width)))
            return false;
    }
    st->sp = sp;
    return true;
}

void stack_set_pointer(struct cpu *cpu, const struct stack *st)
{
    gpr_write(cpu, RSP, st->addr_size, st->sp);
}

/* Read SS:ESP of a privilege level from a 16- or 32-bit TSS. */
static bool stack_pointer_from_tss(struct cpu *cpu, unsigned cpl, unsigned ext, uint16_t *selector,
                                   uint64_t *sp)
{
    const bool wide = cpu->tr.attr & 8;
    const unsigned at = wide ? cpl * 8 + 4 : cpl * 4 + 2;
    const unsigned width = wide ? 4 : 2;
    uint64_t ss;

    if (!(cpu->tr.attr & SEG_P) || at + width + 1 > cpu->tr.limit)
        return fault_ts(cpu, selector_error(cpu->tr.selector, ext));
    if (!access_linear_read(cpu, linear_wrap(cpu, cpu->tr.base + at), width, VIEW_SUPERVISOR, sp) ||
        !access_linear_read(cpu, linear_wrap(cpu, cpu->tr.base + at + width), 2, VIEW_SUPERVISOR,
                            &ss))
        return false;
    *selector = (uint16_t)ss;
    return true;
}

/* IA-32e mode: RSPn, or one of the interrupt stacks; SS becomes null. [SDM 3A 6.14.4, 7.7] */
static bool stack64_from_tss(struct cpu *cpu, unsigned cpl, unsigned ist, unsigned ext,
                             struct stack *out)
{
    const unsigned at = ist != 0 ? ist * 8 + 28 : cpl * 8 + 4;

    if (!(cpu->tr.attr & SEG_P) || at + 7 > cpu->tr.limit)
        return fault_ts(cpu, selector_error(cpu->tr.selector, ext));
    if (!access_linear_read(cpu, cpu->tr.base + at, 8, VIEW_SUPERVISOR, &out->sp))
        return false;
    out->ss = (struct segment){.selector = (uint16_t)cpl, .attr = (uint16_t)(cpl << 5)};
    out->sp_high = 0;
    out->addr_size = 8;
    out->error = ext;
    return true;
}

bool stack_from_tss(struct cpu *cpu, unsigned cpl, unsigned ist, unsigned ext, struct stack *out,
                    struct descriptor *ss_desc)
{
    uint16_t selector;

    out->view = cpl == 3 ? VIEW_USER : VIEW_SUPERVISOR;
    if (cpu_is_long(cpu)) {
        *ss_desc = (struct descriptor){.selector = (uint16_t)cpl};
        return stack64_from_tss(cpu, cpl, ist, ext, out);
    }
    if (!stack_pointer_from_tss(cpu, cpl, ext, &selector, &out->sp))
        return false;
    if (selector_is_null(selector))
        return fault_ts(cpu, selector_error(selector, ext));
    if (!segment_check_stack(cpu, selector, cpl, VEC_TS, ext, ss_desc))
        return false;
    segment_unpack(ss_desc->raw, selector, &out->ss);
    out->addr_size = out->ss.attr & SEG_DB ? 4 : 2;
    out->sp_high = out->sp & ~width_mask(out->addr_size);
    out->sp &= width_mask(out->addr_size);
    out->error = selector_error(selector, ext);
    return true;
}

void stack_commit(struct cpu *cpu, const struct stack *st, const struct descriptor *ss_desc)
{
    cpu->seg[SS] = st->ss;
    if (ss_desc->raw != 0)
        cpu->seg[SS].attr |= SEG_ACCESSED;
    segment_update_cache(&cpu->seg[SS]);
    cpu->gpr[RSP] = st->sp_high | st->sp;
}
