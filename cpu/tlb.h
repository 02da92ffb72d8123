/*
 * cpu/tlb.h -- the software TLB that the interpreter's accessors and generated code share.
 *
 * One table per view of memory.  Direct-mapped; entry = page number modulo TLB_SIZE.  A
 * tag equals the page-aligned linear address when that kind of access may go straight to host
 * memory at linear + addend, and has TLB_INVALID set otherwise (absent, MMIO, no permission,
 * clean page for writes, page with code for writes).  The slow path in cpu/mmu.c decides and fills.
 */
#ifndef RINGER_CPU_TLB_H
#define RINGER_CPU_TLB_H

#include <stdbool.h>
#include <stdint.h>

enum {
    PAGE_SHIFT = 12,
    PAGE_SIZE = 1 << PAGE_SHIFT,
    TLB_BITS = 11, /* an exception touches some twenty pages: rarely do two share an entry */
    TLB_SIZE = 1 << TLB_BITS,
    TLB_ENTRY_SHIFT = 5,
    TLB_LARGE_BITS = 4096,
};
#define PAGE_MASK   (~(uint64_t)(PAGE_SIZE - 1))
#define TLB_INVALID ((uint64_t)1) /* any low bit set never equals a page address */
/* With a page's address: that kind of access is permitted, and the page's physical address is known,
 * but it is no access to host memory (MMIO, a store to code).  Saves access.c the walk. */
#define TLB_INDIRECT ((uint64_t)2)

/*
 * What is being dropped, for caches that follow and that may keep more than this TLB does: it holds
 * entries of the current PCID and global ones only.  `argument` of on_flush() is named behind each.
 * [SDM 3A 4.10.4.1 "Operations that Invalidate TLBs and Paging-Structure Caches"]
 */
enum tlb_flush {
    TLB_FLUSH_PAGE,      /* linear address: current PCID, and global ones of all */
    TLB_FLUSH_NONGLOBAL, /* -: of the current PCID */
    TLB_FLUSH_ALL,       /* -: of all PCIDs, global ones too */
    TLB_FLUSH_PCID,      /* PCID, not the current one: all but global ones */
    TLB_FLUSH_PCIDS,     /* -: of all PCIDs, all but global ones */
    TLB_SWITCH,          /* PCID that becomes the current one; its entries are dropped */
    TLB_SWITCH_KEEP,     /* the same, entries stay: MOV CR3 with bit 63 set */
};

/* Who looks.  Under CR4.SMAP the supervisor does not see user pages in VIEW_SUPERVISOR, which is also
 * the view of the CPU's own accesses to descriptor tables and TSS; with EFLAGS.AC set (MODE_SMAP_AC)
 * its explicit accesses go through VIEW_SUPERVISOR_AC instead, so that STAC and CLAC flush nothing. */
enum tlb_view {
    VIEW_SUPERVISOR,
    VIEW_USER,
    VIEW_SUPERVISOR_AC,
    TLB_VIEWS
};

struct tlb_entry {
    uint64_t tag_read;
    uint64_t tag_write;
    uint64_t tag_exec; /* instruction fetch */
    uint64_t addend;   /* host address - linear address */
};
_Static_assert(sizeof(struct tlb_entry) == 1 << TLB_ENTRY_SHIFT, "generated code scales by it");

struct tlb {
    struct tlb_entry entries[TLB_VIEWS][TLB_SIZE];
    uint64_t phys[TLB_VIEWS][TLB_SIZE];   /* physical page address of each valid entry */
    /* One bit for each entry that may have a valid tag, and for each that came from a global page,
     * so that a flush touches no others. */
    uint64_t used[TLB_VIEWS][TLB_SIZE / 64], global[TLB_VIEWS][TLB_SIZE / 64];
    /* Where large pages were filled since everything was last dropped, by linear address: INVLPG
     * there may mean more than one entry. [SDM 3A 4.10.4.1]  One bit for each 4 MiB (pages of 2 and
     * 4 MiB) and for each GiB (those of 1 GiB), modulo the size of the table. */
    uint64_t large_4m[TLB_LARGE_BITS / 64], large_1g[TLB_LARGE_BITS / 64];
    bool large_used;
    uint64_t flush_count, fill_count, miss_count;
    /* Called when entries are dropped so that caches keyed by linear address follow. */
    void (*on_flush)(void *ctx, uint64_t argument, enum tlb_flush what);
    void *on_flush_ctx;
};

static inline bool tlb_is_global(const struct tlb *tlb, enum tlb_view view, unsigned index)
{
    return tlb->global[view][index / 64] >> index % 64 & 1;
}

#endif
