/*
 * cpu/access.c -- the long ways of cpu/access.h: segment limits and types, page crossings, MMIO,
 * stores to code, data breakpoints, alignment checks.
 * Sources: [SDM 3A 5.3 "Limit Checking", 5.4 "Type Checking", 6.15 "Interrupt 17",
 * 18.2 "Debug Registers"].
 *
 * Order of checks: segment, alignment, paging (first page, then second), and only then the bytes
 * are touched and breakpoints noted.
 */
#include "cpu/access.h"

#include "cpu/debugger.h"
#include "cpu/fpu.h"
#include "cpu/physmem.h"

/* ---- segments ---- */

static bool segment_fault(struct cpu *cpu, enum seg seg)
{
    return seg == SS ? fault_ss(cpu, 0) : fault_gp(cpu, 0);
}

/* Is the segment register usable for this kind of access?  Only protected mode looks at types. */
static bool segment_type_allows(const struct cpu *cpu, const struct segment *seg,
                                enum access access)
{
    if (!cpu_is_protected(cpu))
        return true;
    if (!(seg->attr & SEG_P) || !(seg->attr & SEG_S))
        return false;
    switch (access) {
    case ACCESS_WRITE:
        return (seg->attr & (SEG_CODE | SEG_WRITE)) == SEG_WRITE;
    case ACCESS_READ:
        return (seg->attr & (SEG_CODE | SEG_WRITE)) != SEG_CODE;
    default:
        return true;
    }
}

static bool segment_limit_allows(const struct segment *seg, uint64_t offset, unsigned size)
{
    const uint64_t last = offset + size - 1;

    if ((seg->attr & (SEG_CODE | SEG_EXPAND)) == SEG_EXPAND)
        return offset > seg->limit && last <= (seg->attr & SEG_DB ? 0xffffffff : 0xffff);
    return last <= seg->limit;
}

bool access_segment(struct cpu *cpu, enum seg seg, uint64_t offset, unsigned size,
                    enum access access, linaddr_t *linear)
{
    const struct segment *s = &cpu->seg[seg];

    if (cpu_is_code64(cpu)) {
        *linear = offset + (seg >= FS ? s->base : 0);
        if (!linaddr_is_canonical(*linear) || !linaddr_is_canonical(*linear + size - 1))
            return segment_fault(cpu, seg);
        return true;
    }
    *linear = (uint32_t)(s->base + offset);
    if (!segment_type_allows(cpu, s, access) || !segment_limit_allows(s, offset, size))
        return segment_fault(cpu, seg);
    return true;
}

/* ---- linear addresses ---- */

/* The bytes of an access: one piece on each page that it touches. */
struct span {
    unsigned count;
    struct {
        physaddr_t phys;
        uint8_t *host; /* NULL: through physmem */
        unsigned size;
    } piece[2];
};

/* The address of the next page, to which an access goes on. */
static linaddr_t next_page(const struct cpu *cpu, linaddr_t linear, enum tlb_view view)
{
    const linaddr_t next = (linear & PAGE_MASK) + PAGE_SIZE;

    return cpu_is_code64(cpu) || (cpu_is_long(cpu) && view == VIEW_SUPERVISOR) ? next
                                                                               : (uint32_t)next;
}

/* The page is accessed, and would be written: only the store itself makes it dirty, which it does
 * not when another of its pages faults. [SDM 3A 4.8] */
static bool page_allows_store(struct cpu *cpu, linaddr_t linear, enum tlb_view view)
{
    physaddr_t phys;
    const enum access access =
        mmu_permits(cpu, linear, ACCESS_WRITE, view) ? ACCESS_READ : ACCESS_WRITE;

    return mmu_translate(cpu, linear, access, view, &phys);
}

/* Is it known to be an access to one page that is not straight to host memory?  Code that a page
 * had may be gone by now. */
static bool span_indirect(struct cpu *cpu, linaddr_t linear, unsigned size, enum access access,
                          enum tlb_view view, struct span *span)
{
    const struct tlb_entry *entry = access_tlb_entry(cpu, view, linear);
    const uint64_t tag = access == ACCESS_WRITE ? entry->tag_write : entry->tag_read;
    const struct phys_page *page;
    physaddr_t phys;

    if (tag != (access_tlb_tag(linear, size) | TLB_INDIRECT))
        return false;
    phys = cpu->tlb.phys[view][linear >> PAGE_SHIFT & (TLB_SIZE - 1)] | (linear & ~PAGE_MASK);
    page = physmem_page(cpu->mem, phys);
    if (access == ACCESS_WRITE ? mmu_stores_directly(page) : page->host != NULL)
        return false;
    span->count = 1;
    span->piece[0].phys = phys;
    span->piece[0].host = NULL;
    span->piece[0].size = size;
    return true;
}

static bool span_fill(struct cpu *cpu, linaddr_t linear, unsigned size, enum access access,
                      enum tlb_view view, struct span *span)
{
    const unsigned room = PAGE_SIZE - (unsigned)(linear & ~PAGE_MASK);
    const linaddr_t next = next_page(cpu, linear, view);

    if (span_indirect(cpu, linear, size, access, view, span))
        return true;
    span->count = 1;
    span->piece[0].size = size < room ? size : room;
    if (size <= room)
        return mmu_fill(cpu, linear, access, view, &span->piece[0].host, &span->piece[0].phys);
    if (access == ACCESS_WRITE &&
        (!page_allows_store(cpu, linear, view) || !page_allows_store(cpu, next, view)))
        return false;
    span->count = 2;
    span->piece[1].size = size - room;
    return mmu_fill(cpu, linear, access, view, &span->piece[0].host, &span->piece[0].phys) &&
           mmu_fill(cpu, next, access, view, &span->piece[1].host, &span->piece[1].phys);
}

/* Copy without libc: its copies use vector registers, which may hold the guest's values. */
static void copy_bytes(void *to, const void *from, size_t size)
{
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
}

static void piece_read(struct cpu *cpu, physaddr_t phys, const uint8_t *host, uint8_t *to,
                       unsigned size)
{
    if (host != NULL) {
        copy_bytes(to, host, size);
        return;
    }
    fpu_leave(cpu);
    while (size > 0) {
        const unsigned part = size < 8 ? size : 8;
        const uint64_t value = physmem_read(cpu->mem, phys, part);

        copy_bytes(to, &value, part);
        phys += part;
        to += part;
        size -= part;
    }
}

static void piece_write(struct cpu *cpu, physaddr_t phys, uint8_t *host, const uint8_t *from,
                        unsigned size)
{
    if (host != NULL) {
        copy_bytes(host, from, size);
        return;
    }
    fpu_leave(cpu);
    if (physmem_code_overlaps(cpu->mem, phys, size))
        cpu->code_written = true;
    while (size > 0) {
        const unsigned part = size < 8 ? size : 8;
        uint64_t value = 0;

        copy_bytes(&value, from, part);
        physmem_write(cpu->mem, phys, part, value);
        phys += part;
        from += part;
        size -= part;
    }
}

/* Alignment that #AC asks for; 80-bit reals want 8, blocks of other sizes none. */
static bool is_misaligned(linaddr_t linear, unsigned size)
{
    if (size == 10)
        size = 8;
    if (size > 16 || (size & (size - 1)) != 0)
        return false;
    return linear & (size - 1);
}

static bool alignment_allows(struct cpu *cpu, linaddr_t linear, unsigned size, enum tlb_view view)
{
    if (cpu->align_check && view == VIEW_USER && is_misaligned(linear, size))
        return fault_ac(cpu);
    return true;
}

/* Note in dr6_pending which data breakpoints the access hit. [SDM 3B 18.2.5] */
static void breakpoints_match(struct cpu *cpu, linaddr_t linear, unsigned size, enum access access)
{
    static const uint8_t length[4] = {1, 2, 8, 4};

    if (cpu->data_breakpoints & DEBUGGER_WATCHES)
        debugger_note_access(cpu, linear, size, access);
    for (unsigned i = 0; i < 4; i++) {
        const unsigned control = cpu->dr[7] >> (16 + 4 * i) & 15;
        const uint64_t bytes = length[control >> 2];
        const linaddr_t start = cpu->dr[i] & ~(bytes - 1);

        /* DR7 too: a task switch clears its local enables. */
        if (!(cpu->data_breakpoints >> i & 1) || !(cpu->dr[7] >> (2 * i) & 3))
            continue;
        if ((control & 3) == 1 && access != ACCESS_WRITE)
            continue;
        if (linear < start + bytes && start < linear + size)
            cpu->dr6_pending |= 1u << i;
    }
}

static bool linear_read(struct cpu *cpu, linaddr_t linear, unsigned size, enum tlb_view view,
                        void *buffer)
{
    struct span span;
    uint8_t *to = buffer;

    if (!alignment_allows(cpu, linear, size, view) ||
        !span_fill(cpu, linear, size, ACCESS_READ, view, &span))
        return false;
    for (unsigned i = 0; i < span.count; i++) {
        piece_read(cpu, span.piece[i].phys, span.piece[i].host, to, span.piece[i].size);
        to += span.piece[i].size;
    }
    if (cpu->data_breakpoints)
        breakpoints_match(cpu, linear, size, ACCESS_READ);
    return true;
}

static bool linear_write(struct cpu *cpu, linaddr_t linear, unsigned size, enum tlb_view view,
                         const void *buffer)
{
    struct span span;
    const uint8_t *from = buffer;

    if (!alignment_allows(cpu, linear, size, view) ||
        !span_fill(cpu, linear, size, ACCESS_WRITE, view, &span))
        return false;
    for (unsigned i = 0; i < span.count; i++) {
        piece_write(cpu, span.piece[i].phys, span.piece[i].host, from, span.piece[i].size);
        from += span.piece[i].size;
    }
    if (cpu->data_breakpoints)
        breakpoints_match(cpu, linear, size, ACCESS_WRITE);
    return true;
}

bool access_linear_read_slow(struct cpu *cpu, linaddr_t linear, unsigned size, enum tlb_view view,
                             uint64_t *value)
{
    struct span span;

    if (!alignment_allows(cpu, linear, size, view) ||
        !span_fill(cpu, linear, size, ACCESS_READ, view, &span))
        return false;
    if (span.count == 1 && span.piece[0].host != NULL) {
        *value = access_host_load(span.piece[0].host, size);
    } else {
        uint64_t bytes = 0;
        uint8_t *to = (uint8_t *)&bytes;

        for (unsigned i = 0; i < span.count; i++) {
            piece_read(cpu, span.piece[i].phys, span.piece[i].host, to, span.piece[i].size);
            to += span.piece[i].size;
        }
        *value = bytes;
    }
    if (cpu->data_breakpoints)
        breakpoints_match(cpu, linear, size, ACCESS_READ);
    return true;
}

bool access_linear_write_slow(struct cpu *cpu, linaddr_t linear, unsigned size, enum tlb_view view,
                              uint64_t value)
{
    struct span span;
    const uint8_t *from = (const uint8_t *)&value;

    if (!alignment_allows(cpu, linear, size, view) ||
        !span_fill(cpu, linear, size, ACCESS_WRITE, view, &span))
        return false;
    if (span.count == 1 && span.piece[0].host != NULL) {
        access_host_store(span.piece[0].host, size, value);
    } else {
        for (unsigned i = 0; i < span.count; i++) {
            piece_write(cpu, span.piece[i].phys, span.piece[i].host, from, span.piece[i].size);
            from += span.piece[i].size;
        }
    }
    if (cpu->data_breakpoints)
        breakpoints_match(cpu, linear, size, ACCESS_WRITE);
    return true;
}

bool access_linear_probe(struct cpu *cpu, linaddr_t linear, unsigned size, enum access access,
                         enum tlb_view view)
{
    const struct tlb_entry *entry = access_tlb_entry(cpu, view, linear);
    struct span span;

    /* What the TLB has would pass all checks: the tags of what needs a look are not there. */
    if ((access == ACCESS_WRITE ? entry->tag_write : entry->tag_read) ==
        access_tlb_tag(linear, size))
        return true;
    return alignment_allows(cpu, linear, size, view) &&
           span_fill(cpu, linear, size, access, view, &span);
}

bool access_host_pointer(struct cpu *cpu, linaddr_t linear, enum access access, enum tlb_view view,
                         uint8_t **host)
{
    const struct tlb_entry *entry = access_tlb_entry(cpu, view, linear);
    const uint64_t tag = access == ACCESS_WRITE  ? entry->tag_write
                         : access == ACCESS_READ ? entry->tag_read
                                                 : entry->tag_exec;
    physaddr_t phys;

    if (tag == (linear & PAGE_MASK)) {
        *host = (uint8_t *)(linear + entry->addend);
        return true;
    }
    if (!mmu_fill(cpu, linear, access, view, host, &phys))
        return false;
    if (cpu->align_check && view == VIEW_USER && access != ACCESS_EXEC)
        *host = NULL; /* each element is to be checked by itself */
    return true;
}

/* ---- segment and offset ---- */

bool access_read_slow(struct cpu *cpu, enum seg seg, uint64_t offset, unsigned size,
                      uint64_t *value)
{
    linaddr_t linear;

    return access_segment(cpu, seg, offset, size, ACCESS_READ, &linear) &&
           access_linear_read(cpu, linear, size, mmu_view(cpu), value);
}

bool access_write_slow(struct cpu *cpu, enum seg seg, uint64_t offset, unsigned size,
                       uint64_t value)
{
    linaddr_t linear;

    return access_segment(cpu, seg, offset, size, ACCESS_WRITE, &linear) &&
           access_linear_write(cpu, linear, size, mmu_view(cpu), value);
}

bool access_probe_write_slow(struct cpu *cpu, enum seg seg, uint64_t offset, unsigned size)
{
    linaddr_t linear;

    return access_segment(cpu, seg, offset, size, ACCESS_WRITE, &linear) &&
           access_linear_probe(cpu, linear, size, ACCESS_WRITE, mmu_view(cpu));
}

bool access_check_write(struct cpu *cpu, enum seg seg, uint64_t offset, unsigned size)
{
    const enum tlb_view view = mmu_view(cpu);
    linaddr_t linear;

    return access_segment(cpu, seg, offset, size, ACCESS_WRITE, &linear) &&
           alignment_allows(cpu, linear, size, view) && page_allows_store(cpu, linear, view) &&
           (size <= PAGE_SIZE - (unsigned)(linear & ~PAGE_MASK) ||
            page_allows_store(cpu, next_page(cpu, linear, view), view));
}

/* A whole block on one page with a valid tag: its host address, else NULL. */
static uint8_t *block_host(struct cpu *cpu, linaddr_t linear, unsigned size, enum access access)
{
    const struct tlb_entry *entry = access_tlb_entry(cpu, mmu_view(cpu), linear);
    const uint64_t tag = access == ACCESS_WRITE ? entry->tag_write : entry->tag_read;

    return tag == access_tlb_tag(linear, size) ? (uint8_t *)(linear + entry->addend) : NULL;
}

/* Operand sizes by plain moves, other blocks by REP MOVSB, whose start-up costs more. */
static void copy_block(uint8_t *to, const uint8_t *from, unsigned size)
{
    if (size > 32 || size % 8 != 0) {
        copy_bytes(to, from, size);
        return;
    }
    for (unsigned i = 0; i < size; i += 8)
        access_host_store(to + i, 8, access_host_load(from + i, 8));
}

bool access_read_block(struct cpu *cpu, enum seg seg, uint64_t offset, unsigned size, void *buffer)
{
    linaddr_t linear;
    const uint8_t *host;

    if (!access_segment(cpu, seg, offset, size, ACCESS_READ, &linear))
        return false;
    host = block_host(cpu, linear, size, ACCESS_READ);
    if (host == NULL)
        return linear_read(cpu, linear, size, mmu_view(cpu), buffer);
    copy_block(buffer, host, size);
    return true;
}

bool access_write_block(struct cpu *cpu, enum seg seg, uint64_t offset, unsigned size,
                        const void *buffer)
{
    linaddr_t linear;
    uint8_t *host;

    if (!access_segment(cpu, seg, offset, size, ACCESS_WRITE, &linear))
        return false;
    host = block_host(cpu, linear, size, ACCESS_WRITE);
    if (host == NULL)
        return linear_write(cpu, linear, size, mmu_view(cpu), buffer);
    copy_block(host, buffer, size);
    return true;
}
