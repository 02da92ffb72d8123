/*
 * cpu/access.h -- guest memory as instructions see it: segment checks, then paging, then RAM/MMIO.
 *
 * All return false with the fault recorded.  An access that crosses a page checks both pages
 * before it touches either.  `size` is 1, 2, 4 or 8 unless said otherwise.
 *
 * What an access nearly always is (inside an expand-up segment, on one page, in the TLB) is inline
 * here; everything else is the out-of-line functions of access.c.  What must not take the short
 * way has no valid TLB tag: MMIO, stores to code, pages with a data breakpoint, and all user
 * pages while alignment checks are on.
 */
#ifndef RINGER_CPU_ACCESS_H
#define RINGER_CPU_ACCESS_H

#include "cpu/cpu.h"
#include "cpu/fault.h"
#include "cpu/mmu.h"

/* seg:offset -> linear with limit, type and (64-bit) canonical checks; #SS for SS, else #GP. */
FAULT_CHECK bool access_segment(struct cpu *cpu, enum seg seg, uint64_t offset, unsigned size,
                                enum access access, linaddr_t *linear);

/* ---- the long ways, access.c ---- */
FAULT_CHECK bool access_read_slow(struct cpu *cpu, enum seg seg, uint64_t offset, unsigned size,
                                  uint64_t *value);
FAULT_CHECK bool access_write_slow(struct cpu *cpu, enum seg seg, uint64_t offset, unsigned size,
                                   uint64_t value);
FAULT_CHECK bool access_probe_write_slow(struct cpu *cpu, enum seg seg, uint64_t offset,
                                         unsigned size);
/* Everything that a probe of a store checks, but no page gets dirty. */
FAULT_CHECK bool access_check_write(struct cpu *cpu, enum seg seg, uint64_t offset, unsigned size);
FAULT_CHECK bool access_linear_read_slow(struct cpu *cpu, linaddr_t linear, unsigned size,
                                         enum tlb_view view, uint64_t *value);
FAULT_CHECK bool access_linear_write_slow(struct cpu *cpu, linaddr_t linear, unsigned size,
                                          enum tlb_view view, uint64_t value);

/* ---- the short ways ---- */
static inline struct tlb_entry *access_tlb_entry(struct cpu *cpu, enum tlb_view view,
                                                 linaddr_t linear)
{
    return &cpu->tlb.entries[view][linear >> PAGE_SHIFT & (TLB_SIZE - 1)];
}
/* What the tag must equal: the page of the last byte, so that a page crossing never matches. */
static inline uint64_t access_tlb_tag(linaddr_t linear, unsigned size)
{
    return (linear + size - 1) & PAGE_MASK;
}

static inline uint64_t access_host_load(const uint8_t *host, unsigned size)
{
    uint16_t v16;
    uint32_t v32;
    uint64_t v64;

    switch (size) {
    case 1:
        return *host;
    case 2:
        __builtin_memcpy(&v16, host, 2);
        return v16;
    case 4:
        __builtin_memcpy(&v32, host, 4);
        return v32;
    default:
        __builtin_memcpy(&v64, host, 8);
        return v64;
    }
}
static inline void access_host_store(uint8_t *host, unsigned size, uint64_t value)
{
    switch (size) {
    case 1:
        *host = (uint8_t)value;
        break;
    case 2:
        __builtin_memcpy(host, &value, 2);
        break;
    case 4:
        __builtin_memcpy(host, &value, 4);
        break;
    default:
        __builtin_memcpy(host, &value, 8);
        break;
    }
}

/* True with the linear address when one compare against `end` (segment.read_end or write_end)
 * settles the segment checks.  In 64-bit mode only FS and GS have a base and there are no limits;
 * non-canonical addresses never match a TLB tag. [SDM 3A 3.2.4] */
static inline bool access_segment_quick(const struct cpu *cpu, enum seg seg, uint64_t offset,
                                        unsigned size, uint64_t end, linaddr_t *linear)
{
    if (cpu_is_code64(cpu)) {
        *linear = offset + (seg >= FS ? cpu->seg[seg].base : 0);
        return true;
    }
    *linear = (uint32_t)(cpu->seg[seg].base + offset);
    return offset + size <= end;
}

FAULT_CHECK static inline bool access_read(struct cpu *cpu, enum seg seg, uint64_t offset,
                                           unsigned size, uint64_t *value)
{
    linaddr_t linear;

    if (access_segment_quick(cpu, seg, offset, size, cpu->seg[seg].read_end, &linear)) {
        const struct tlb_entry *entry = access_tlb_entry(cpu, mmu_view(cpu), linear);

        if (__builtin_expect(entry->tag_read == access_tlb_tag(linear, size), 1)) {
            *value = access_host_load((const uint8_t *)(linear + entry->addend), size);
            return true;
        }
    }
    return access_read_slow(cpu, seg, offset, size, value);
}
FAULT_CHECK static inline bool access_write(struct cpu *cpu, enum seg seg, uint64_t offset,
                                            unsigned size, uint64_t value)
{
    linaddr_t linear;

    if (access_segment_quick(cpu, seg, offset, size, cpu->seg[seg].write_end, &linear)) {
        const struct tlb_entry *entry = access_tlb_entry(cpu, mmu_view(cpu), linear);

        if (__builtin_expect(entry->tag_write == access_tlb_tag(linear, size), 1)) {
            access_host_store((uint8_t *)(linear + entry->addend), size, value);
            return true;
        }
    }
    return access_write_slow(cpu, seg, offset, size, value);
}
/* Check that a later access_write of the same bytes will not fault (read-modify-write: the read
 * half faults as a write does). */
FAULT_CHECK static inline bool access_probe_write(struct cpu *cpu, enum seg seg, uint64_t offset,
                                                  unsigned size)
{
    linaddr_t linear;

    if (access_segment_quick(cpu, seg, offset, size, cpu->seg[seg].write_end, &linear) &&
        access_tlb_entry(cpu, mmu_view(cpu), linear)->tag_write == access_tlb_tag(linear, size))
        return true;
    return access_probe_write_slow(cpu, seg, offset, size);
}

/* Blocks of any size up to 4096 bytes (FXSAVE images, MMX/SSE operands, x87 environments). */
FAULT_CHECK bool access_read_block(struct cpu *cpu, enum seg seg, uint64_t offset, unsigned size,
                                   void *buffer);
FAULT_CHECK bool access_write_block(struct cpu *cpu, enum seg seg, uint64_t offset, unsigned size,
                                    const void *buffer);

/* Linear addresses with an explicit view (descriptor tables, TSS, page-crossing helpers). */
FAULT_CHECK static inline bool access_linear_read(struct cpu *cpu, linaddr_t linear, unsigned size,
                                                  enum tlb_view view, uint64_t *value)
{
    const struct tlb_entry *entry = access_tlb_entry(cpu, view, linear);

    if (__builtin_expect(entry->tag_read == access_tlb_tag(linear, size), 1)) {
        *value = access_host_load((const uint8_t *)(linear + entry->addend), size);
        return true;
    }
    return access_linear_read_slow(cpu, linear, size, view, value);
}
FAULT_CHECK static inline bool access_linear_write(struct cpu *cpu, linaddr_t linear,
                                                   unsigned size, enum tlb_view view,
                                                   uint64_t value)
{
    const struct tlb_entry *entry = access_tlb_entry(cpu, view, linear);

    if (__builtin_expect(entry->tag_write == access_tlb_tag(linear, size), 1)) {
        access_host_store((uint8_t *)(linear + entry->addend), size, value);
        return true;
    }
    return access_linear_write_slow(cpu, linear, size, view, value);
}
FAULT_CHECK bool access_linear_probe(struct cpu *cpu, linaddr_t linear, unsigned size,
                                     enum access access, enum tlb_view view);

/* Host pointer to guest RAM for bulk work (REP MOVS...): at least 1 byte at linear, up to the page
 * end, for the access; NULL in *host when the bytes are not plain RAM (use access_linear_*). */
FAULT_CHECK bool access_host_pointer(struct cpu *cpu, linaddr_t linear, enum access access,
                                     enum tlb_view view, uint8_t **host);

#endif
