/*
 * cpu/mmu.h -- linear to physical: the page walk in one place, TLB fill and flush.
 * Source: [SDM 3A 4 "Paging"].
 */
#ifndef RINGER_CPU_MMU_H
#define RINGER_CPU_MMU_H

#include "cpu/cpu.h"
#include "cpu/fault.h"
#include "cpu/physmem.h"

enum access {
    ACCESS_READ = 0,
    ACCESS_WRITE = 1,
    ACCESS_EXEC = 2,
};

/* #PF error code bits. [SDM 3A 4.7] */
enum { PF_P = 1, PF_W = 2, PF_U = 4, PF_RSVD = 8, PF_I = 16 };

/* The view for ordinary accesses in a mode: MODE_USER and MODE_SMAP_AC are never both set. */
_Static_assert(VIEW_USER == 1 && VIEW_SUPERVISOR_AC == 2, "computed below");
static inline enum tlb_view mmu_mode_view(uint32_t mode)
{
    return (enum tlb_view)((mode / MODE_USER & 1) | (mode / MODE_SMAP_AC & 1) << 1);
}
static inline enum tlb_view mmu_view(const struct cpu *cpu)
{
    return mmu_mode_view(cpu->mode);
}

/* [SDM 3A 4.10.1 "Process-Context Identifiers"] */
static inline unsigned mmu_pcid(const struct cpu *cpu)
{
    return cpu->cr4 & CR4_PCIDE ? cpu->cr3 & CR3_PCID : 0;
}

/*
 * Translate one linear address, set A/D bits, check permissions (WP, NX, SMEP, SMAP).
 * On success *phys is the physical address (A20 applied).  On failure #PF is recorded.
 * Implicit supervisor accesses (descriptor tables, TSS) pass VIEW_SUPERVISOR at any CPL.
 */
FAULT_CHECK bool mmu_translate(struct cpu *cpu, linaddr_t linear, enum access access,
                               enum tlb_view view, physaddr_t *phys);
/* Would mmu_translate() succeed now?  Without side effects. */
bool mmu_permits(const struct cpu *cpu, linaddr_t linear, enum access access, enum tlb_view view);
/* As mmu_translate, without side effects on the guest: debuggers, dumps. False when unmapped. */
bool mmu_peek(struct cpu *cpu, linaddr_t linear, physaddr_t *phys);
/* Do the page tables below `root`, a value of CR3, lead from here to there, in the current paging
 * mode?  They may be those of a process that is gone, and so be anything. */
bool mmu_root_maps(const struct cpu *cpu, uint64_t root, linaddr_t linear, physaddr_t phys);
/*
 * How a page is mapped, without side effects on the guest: for who keeps mappings of guest memory
 * and wants to know later whether they are still true.
 */
enum { MMU_TRACE_MAX = 4 };
struct mmu_trace {
    const uint8_t *entry[MMU_TRACE_MAX]; /* host addresses of the paging-structure entries */
    uint64_t value[MMU_TRACE_MAX];       /* and what they were; the last one maps the page */
    unsigned count;                      /* 0: paging is off */
    unsigned entry_bytes;                /* 4 or 8 */
    unsigned shift;                      /* page size as a power of two */
    physaddr_t phys;                     /* of `linear` */
    bool user;                           /* CPL 3 may read */
    /* What the view may do without an update of accessed and dirty bits. */
    bool read, write;
    bool global;
};
/* False: not mapped, or by entries that are not in RAM. */
bool mmu_trace(const struct cpu *cpu, linaddr_t linear, enum tlb_view view,
               struct mmu_trace *trace);
/* May a store that is permitted go straight to the page's host memory? */
static inline bool mmu_stores_directly(const struct phys_page *page)
{
    return page->host != NULL && (page->flags & (PHYS_WRITE | PHYS_CODE)) == PHYS_WRITE;
}
/* Translate and fill the TLB entry; *host is the host address of `linear`, or NULL for MMIO, holes
 * and stores that must be reported. */
FAULT_CHECK bool mmu_fill(struct cpu *cpu, linaddr_t linear, enum access access,
                          enum tlb_view view, uint8_t **host, physaddr_t *phys);
void mmu_flush_all(struct cpu *cpu);          /* global pages too: CR0.PG, CR4.PGE, ... */
void mmu_flush_nonglobal(struct cpu *cpu);    /* MOV CR3 without CR4.PCIDE */
/* MOV CR3 with CR4.PCIDE: `pcid` is current from now on; keep: what is cached of it stays valid. */
void mmu_switch_pcid(struct cpu *cpu, unsigned pcid, bool keep);
void mmu_flush_pcid(struct cpu *cpu, unsigned pcid); /* all but global entries of one PCID */
void mmu_flush_pcids(struct cpu *cpu);               /* all but global entries of all PCIDs */
void mmu_flush_page(struct cpu *cpu, linaddr_t linear); /* INVLPG */
/* Forget what loads and stores of the user view may do without a check. */
void mmu_drop_user_view(struct cpu *cpu);
/* Stores to a physical page must be seen from now on: code was made from it. */
void mmu_drop_write_tags(struct cpu *cpu, physaddr_t page);
/* MOV CR3 in PAE mode loads the PDPTEs; false with #GP(0) recorded on reserved bits. */
FAULT_CHECK bool mmu_load_pdptes(struct cpu *cpu, uint64_t cr3);

#endif
