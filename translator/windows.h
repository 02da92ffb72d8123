/*
 * translator/windows.h -- user memory of a guest address space, mirrored in host address space.
 *
 * Guest RAM is one memfd, so the pages that a guest's page tables put side by side can be mapped
 * side by side in the host as well.  Then an access needs no probe: the host's own page tables know
 * what is there, and what is not there faults, becomes a side exit and is perhaps mapped then.
 *
 *   32-bit code  GS holds the host address of linear address 0; an access is the guest's own with
 *                the prefixes 65 67 (GS, 32-bit address), so that it cannot leave 4 GiB.
 *   64-bit code  each 512 GiB of the lower half has a host range of its own, a region.  A table
 *                behind struct cpu gives the distance to it by the linear address shifted right by
 *                39; what has no region has the distance to a range in which nothing is mapped.
 *                Superblocks take the region for known, and check it (translator/region.c).
 *                Guards around each region let a displacement be added after the look-up.
 *
 * Only what CPL 3 may do without any further notice is mapped: present, user, accessed; for stores
 * also writable, dirty, and without translated code.  A window is kept over loads of CR3.  Whenever
 * the guest asks for a flush, the entries that the mappings came from are compared with what they
 * were, and what changed is dropped; x86 lets a CPU use stale entries until then.
 * [SDM 3A 4.10.4 "Invalidation of TLBs and Paging-Structure Caches"]
 *
 * A mapping costs a few microseconds, so an address space gets a window only when it has been found
 * running a few times (windows_tick()), and instructions that fault again and again go back to the
 * inline TLB (translator/run.c).
 */
#ifndef RINGER_TRANSLATOR_WINDOWS_H
#define RINGER_TRANSLATOR_WINDOWS_H

#include "cpu/mmu.h"
#include "translator/contract.h"

enum {
    WINDOW_REGION_SHIFT = HOST_CPU_BIAS,
    WINDOW_SLOTS = PAGE_SIZE / 8, /* the slot table's first page: bits 47:39 of the lower half */
};
#define WINDOW_TABLE_BYTES (INT64_C(8) << (64 - WINDOW_REGION_SHIFT))
/* From HOST_CPU to the distance of slot `index` of the user's or the supervisor's table. */
#define AT_SLOT(user, index)                                                     \
    ((int32_t)((int64_t)sizeof(struct cpu) + ((user) ? 0 : WINDOW_TABLE_BYTES) + \
               (int64_t)((index) * sizeof(uint64_t)) - HOST_CPU_BIAS))
/* The table's index for a region number, which is negative in the upper half. */
static inline uint64_t windows_slot_index(int64_t slot)
{
    return (uint64_t)slot & (WINDOW_TABLE_BYTES / 8 - 1);
}
_Static_assert(sizeof(struct cpu) % PAGE_SIZE == 0, "the slot tables are behind it");
_Static_assert(sizeof(struct cpu) + CPU_RESERVED_AREA <= INT32_MAX, "reached by displacements");
_Static_assert(CPU_RESERVED_AREA >= 2 * WINDOW_TABLE_BYTES,
               "every index of a shifted linear address stays in the reserved area");

/*
 * Distances, in the tables, in HOST_STACK and HOST_GROUP, are larger than they are by this.  So
 * they count by 27, as distances are multiples of a page, and a shift by that gives the region's
 * number as the number of a page.  Of those there is one (windows_check()), and its address is GS:0
 * in 64-bit code: the load of GS:[(linear >> 27) - (slot << 12)] faults unless `linear` is in
 * region `slot`.
 */
enum { WINDOW_BIAS = WINDOW_REGION_SHIFT - PAGE_SHIFT };

/* Displacements up to here may be added to an address after the look-up of its region, in sum. */
enum { WINDOW_GUARD_SHIFT = 36 };
#define WINDOW_DRIFT_MAX (1 << 20)

struct windows_counters {
    uint64_t created, fills, pages, drops, revalidations, evictions;
};

struct windows;

/* eager: from the first tick on.  NULL: the host refuses, or has no FSGSBASE. */
struct windows *windows_create(struct cpu *cpu, bool eager);
void windows_destroy(struct windows *windows);
const struct windows_counters *windows_counters(const struct windows *windows);

/* The calling thread is going to run generated code; it has finished.  In between GS is taken. */
void windows_enter(struct windows *windows);
void windows_leave(struct windows *windows);
/* The current address space was found running.  True: cpu->mode has changed. */
bool windows_tick(struct windows *windows);
/* Generated code of a user's or of the supervisor's goes on: GS, and for HOST_STACK the distance of
 * the region of its stack pointer. */
uint64_t windows_select(struct windows *windows, uint32_t mode, linaddr_t stack);

/* Did a check fault at the host address? */
bool windows_check(const struct windows *windows, uint64_t host);
/* Is the host address inside a window? */
bool windows_contains(const struct windows *windows, uint64_t host);
/* An access to this host address faulted and the instruction was interpreted: map what
 * may be mapped there.  False: nothing could be. */
bool windows_fill(struct windows *windows, bool user, uint64_t host);
/* The same some time after the user's fault, which the guest has been told of: if that window is
 * still current. */
bool windows_fill_again(struct windows *windows, uint64_t host);

/* Follow what cpu->tlb drops; after tables_flush(). */
void windows_flush(struct windows *windows, uint64_t argument, enum tlb_flush what);
/* No stores to the page of guest RAM at this host address. */
void windows_drop_writes(struct windows *windows, const uint8_t *page);
/* The guest's physical address space has changed. */
void windows_drop_all(struct windows *windows);

#endif
