/*
 * cpu/debugger.c -- breakpoints and watchpoints from outside.  See cpu/debugger.h.
 */
#include "cpu/debugger.h"

#include <errno.h>

#include "cpu/fpu.h"
#include "cpu/interp.h"
#include "cpu/physmem.h"

static uint64_t page_bit(linaddr_t linear)
{
    return UINT64_C(1) << (linear >> PAGE_SHIFT & 63);
}

/* Position of the first breakpoint at or above `linear`. */
static unsigned lower_bound(const struct debugger *d, linaddr_t linear)
{
    unsigned low = 0, high = d->breakpoint_count;

    while (low < high) {
        const unsigned middle = low + (high - low) / 2;

        if (d->breakpoints[middle] < linear)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Something was set or taken away. */
static void update(struct cpu *cpu, struct debugger *d)
{
    d->breakpoint_pages = 0;
    for (unsigned i = 0; i < d->breakpoint_count; i++)
        d->breakpoint_pages |= page_bit(d->breakpoints[i]);
    cpu->debugger = d->breakpoint_count + d->watch_count != 0 ? d : NULL;
    cpu_update_breakpoints(cpu);
}

/* ---- the lists ---- */

int debugger_add_breakpoint(struct cpu *cpu, struct debugger *d, linaddr_t linear)
{
    const unsigned at = lower_bound(d, linear);

    if (at < d->breakpoint_count && d->breakpoints[at] == linear)
        return 0;
    if (d->breakpoint_count == DEBUGGER_BREAKPOINTS_MAX)
        return -ENOSPC;
    for (unsigned i = d->breakpoint_count++; i > at; i--)
        d->breakpoints[i] = d->breakpoints[i - 1];
    d->breakpoints[at] = linear;
    update(cpu, d);
    return 0;
}

int debugger_remove_breakpoint(struct cpu *cpu, struct debugger *d, linaddr_t linear)
{
    const unsigned at = lower_bound(d, linear);

    if (at == d->breakpoint_count || d->breakpoints[at] != linear)
        return -ENOENT;
    d->breakpoint_count--;
    for (unsigned i = at; i < d->breakpoint_count; i++)
        d->breakpoints[i] = d->breakpoints[i + 1];
    update(cpu, d);
    return 0;
}

int debugger_add_watch(struct cpu *cpu, struct debugger *d, linaddr_t linear, uint64_t size,
                       enum debugger_watch_kind kind)
{
    const linaddr_t last = size - 1 > UINT64_MAX - linear ? UINT64_MAX : linear + size - 1;

    if (d->watch_count == DEBUGGER_WATCHPOINTS_MAX || size == 0)
        return -ENOSPC;
    d->watches[d->watch_count++] = (struct debugger_watch){linear, last, kind};
    update(cpu, d);
    return 0;
}

int debugger_remove_watch(struct cpu *cpu, struct debugger *d, linaddr_t linear, uint64_t size,
                          enum debugger_watch_kind kind)
{
    for (unsigned i = 0; i < d->watch_count; i++) {
        const struct debugger_watch *watch = &d->watches[i];

        if (watch->start == linear && watch->last - watch->start == size - 1 &&
            watch->kind == kind) {
            d->watches[i] = d->watches[--d->watch_count];
            update(cpu, d);
            return 0;
        }
    }
    return -ENOENT;
}

void debugger_clear(struct cpu *cpu, struct debugger *d)
{
    d->breakpoint_count = d->watch_count = 0;
    d->pass = false;
    d->hit.what = DEBUGGER_NO_HIT;
    update(cpu, d);
}

/* ---- while the CPU runs ---- */

linaddr_t debugger_pc(const struct cpu *cpu)
{
    return cpu_is_code64(cpu) ? cpu->rip : (uint32_t)(cpu->seg[CS].base + cpu->rip);
}

bool debugger_breaks_in(const struct debugger *d, linaddr_t linear, unsigned size)
{
    unsigned at;

    if (!(d->breakpoint_pages & (page_bit(linear) | page_bit(linear + size - 1))))
        return false;
    at = lower_bound(d, linear);
    return at < d->breakpoint_count && d->breakpoints[at] - linear < size;
}

bool debugger_stops(struct cpu *cpu)
{
    struct debugger *const d = cpu->debugger;
    const linaddr_t linear = debugger_pc(cpu);
    const bool pass = d->pass;

    d->pass = false;
    if (pass || !debugger_breaks_in(d, linear, 1))
        return false;
    d->hit = (struct debugger_hit){.what = DEBUGGER_HIT_BREAKPOINT, .address = linear};
    cpu_kick(cpu);
    return true;
}

bool debugger_watches_page(const struct debugger *d, linaddr_t linear)
{
    const linaddr_t page = linear & PAGE_MASK;

    for (unsigned i = 0; i < d->watch_count; i++)
        if (d->watches[i].start <= page + (PAGE_SIZE - 1) && d->watches[i].last >= page)
            return true;
    return false;
}

void debugger_note_access(struct cpu *cpu, linaddr_t linear, unsigned size, enum access access)
{
    struct debugger *const d = cpu->debugger;
    const unsigned kind = access == ACCESS_WRITE ? DEBUGGER_WRITE : DEBUGGER_READ;

    /* The first hit of an instruction counts, but a write hides a read: one that does both (INC)
     * reads first, and a debugger that watches for writes wants to see the new value. */
    for (unsigned i = 0; i < d->watch_count; i++) {
        const struct debugger_watch *const watch = &d->watches[i];

        if (!(watch->kind & kind) || watch->start > linear + (size - 1) || watch->last < linear)
            continue;
        if (d->hit.what == DEBUGGER_HIT_WATCHPOINT && d->hit.kind == DEBUGGER_WRITE)
            return;
        d->hit = (struct debugger_hit){
            .what = DEBUGGER_HIT_WATCHPOINT,
            .address = linear > watch->start ? linear : watch->start,
            .kind = watch->kind,
        };
        cpu_kick(cpu);
        return;
    }
}

void debugger_step(struct cpu *cpu)
{
    (void)interp_step(cpu);
    cpu->code_written = false;
    fpu_leave(cpu);
}

/* ---- memory ---- */

/* Bytes of [linear, linear + size) in its first page, and where they are; 0: not mapped. */
static size_t peek_piece(struct cpu *cpu, linaddr_t *linear, size_t size, physaddr_t *phys)
{
    size_t room;

    if (!cpu_is_long(cpu))
        *linear = (uint32_t)*linear;
    room = PAGE_SIZE - (size_t)(*linear & ~PAGE_MASK);
    if (!mmu_peek(cpu, *linear, phys))
        return 0;
    return size < room ? size : room;
}

size_t debugger_read(struct cpu *cpu, linaddr_t linear, void *buffer, size_t size)
{
    uint8_t *to = buffer;
    size_t done = 0, part;
    physaddr_t phys;

    fpu_leave(cpu);
    for (; done < size; done += part, linear += part) {
        part = peek_piece(cpu, &linear, size - done, &phys);
        if (part == 0)
            break;
        physmem_read_bytes(cpu->mem, phys, to + done, part);
    }
    return done;
}

size_t debugger_write(struct cpu *cpu, linaddr_t linear, const void *buffer, size_t size)
{
    const uint8_t *from = buffer;
    size_t done = 0, part;
    physaddr_t phys;

    fpu_leave(cpu);
    for (; done < size; done += part, linear += part) {
        part = peek_piece(cpu, &linear, size - done, &phys);
        if (part == 0)
            break;
        physmem_write_bytes(cpu->mem, phys, from + done, part);
    }
    return done;
}
