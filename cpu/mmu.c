/*
 * cpu/mmu.c -- linear to physical: the page walk, TLB fill and flush.
 * Source: [SDM 3A 4 "Paging"].
 *
 * One walk serves all paging modes; a mode is a table of levels:
 *
 *            level 0      level 1      level 2      level 3
 *   32-bit   PDE (22)     PTE (12)                            4-byte entries
 *   PAE      PDE (21)     PTE (12)                            8-byte, PDPTEs are registers
 *   4-level  PML4E (39)   PDPTE (30)   PDE (21)     PTE (12)  8-byte
 *
 * The walk reads every level, decides, and only then sets accessed and dirty bits, with a compare
 * and exchange: an entry that changed meanwhile (another CPU, DMA) restarts the walk.
 */
#include "cpu/mmu.h"

#include "cpu/access.h"
#include "cpu/cpuid.h"
#include "cpu/debugger.h"
#include "cpu/fpu.h"
#include "cpu/physmem.h"

/* Page-table entry bits. [SDM 3A 4.3 tables 4-4 ff.] */
#define PTE_P    (1ull << 0)
#define PTE_RW   (1ull << 1)
#define PTE_US   (1ull << 2)
#define PTE_A    (1ull << 5)
#define PTE_D    (1ull << 6)
#define PTE_PS   (1ull << 7)
#define PTE_PAT4 (1ull << 7) /* the PAT bit of an entry that maps a 4 KiB page */
#define PTE_G    (1ull << 8)
#define PTE_PATL (1ull << 12) /* the PAT bit of an entry that maps a large page */
#define PTE_XD   (1ull << 63)

enum { LEVELS_MAX = 4, RETRIES_MAX = 1000 };

struct paging_mode {
    uint8_t levels;
    uint8_t entry_bytes;
    uint8_t index_bits;
    uint8_t shift[LEVELS_MAX]; /* bytes mapped by an entry of the level, as a power of two */
};

static const struct paging_mode mode_32bit = {2, 4, 10, {22, 12}};
static const struct paging_mode mode_pae = {2, 8, 9, {21, 12}};
static const struct paging_mode mode_4level = {4, 8, 9, {39, 30, 21, 12}};

/* One paging-structure entry as the walk saw it. */
struct walk_entry {
    physaddr_t gpa;
    uint8_t *host; /* NULL: not in RAM */
    uint64_t value;
    bool writable; /* RAM, not ROM: accessed and dirty bits can be kept */
};

struct walk {
    physaddr_t phys;
    struct walk_entry entries[LEVELS_MAX];
    unsigned count; /* of entries, the last one maps the page */
    unsigned shift; /* page size as a power of two */
    bool user, writable, no_execute, global;
};

enum walk_result { WALK_OK, WALK_NOT_PRESENT, WALK_RESERVED };

static physaddr_t a20_mask(const struct cpu *cpu, physaddr_t phys)
{
    return cpu->a20 ? phys : phys & ~(1ull << 20);
}

/* Bits lowest..highest set. */
static uint64_t bits(unsigned highest, unsigned lowest)
{
    return highest < lowest ? 0 : (~0ull >> (63 - highest)) & (~0ull << lowest);
}

static const struct paging_mode *mmu_paging_mode(const struct cpu *cpu)
{
    if (!(cpu->cr4 & CR4_PAE))
        return &mode_32bit;
    return cpu->efer & EFER_LMA ? &mode_4level : &mode_pae;
}

/* Read an entry in one piece.  Paging structures in device memory or holes read as ones: no
 * machine has them there, and a walk must not run device code. */
static void entry_read(const struct cpu *cpu, physaddr_t gpa, unsigned size, struct walk_entry *out)
{
    const struct phys_page *page;

    gpa = a20_mask(cpu, gpa);
    page = physmem_page(cpu->mem, gpa);
    out->gpa = gpa;
    out->writable = page->flags & PHYS_WRITE;
    out->host = page->host != NULL ? page->host + (gpa & ~PAGE_MASK) : NULL;
    if (out->host == NULL)
        out->value = size == 4 ? 0xffffffff : ~0ull;
    else if (size == 4)
        out->value = __atomic_load_n((const uint32_t *)out->host, __ATOMIC_RELAXED);
    else
        out->value = __atomic_load_n((const uint64_t *)out->host, __ATOMIC_RELAXED);
}

/* Is the entry that maps a page of 1 << shift bytes one, when PS says it could be? */
static bool entry_is_leaf(const struct cpu *cpu, const struct paging_mode *mode, unsigned shift,
                          uint64_t value)
{
    if (shift == PAGE_SHIFT)
        return true;
    if (!(value & PTE_PS) || shift > 30)
        return false;
    if (mode == &mode_32bit)
        return cpu->cr4 & CR4_PSE;
    return shift == 21 || cpu->model->page1gb;
}

/* Bits of the entry that must be zero. [SDM 3A 4.3, 4.4.2, 4.5.4] */
static uint64_t entry_reserved(const struct cpu *cpu, const struct paging_mode *mode,
                               unsigned shift, bool leaf, uint64_t value)
{
    const unsigned phys_bits = cpu->model->phys_bits;
    uint64_t reserved = 0;

    if (mode == &mode_32bit) {
        if (!(cpu->cr4 & CR4_PSE))
            return 0;
        if (leaf && shift == 22) {
            const unsigned width = !cpu->model->pse36 ? 32 : phys_bits < 40 ? phys_bits : 40;

            reserved = bits(21, width - 19);
        }
        if (leaf && !cpu->model->pat)
            reserved |= shift == 22 ? PTE_PATL : PTE_PAT4;
        return reserved;
    }
    reserved = mode == &mode_pae ? bits(62, phys_bits) : bits(51, phys_bits);
    if (!(cpu->efer & EFER_NXE))
        reserved |= PTE_XD;
    if (leaf && shift > PAGE_SHIFT)
        reserved |= bits(shift - 1, 13);
    if (!leaf && shift >= 30 && (value & PTE_PS))
        reserved |= PTE_PS;
    return reserved;
}

/* Physical address of the page that a leaf entry maps. */
static physaddr_t leaf_address(const struct paging_mode *mode, unsigned shift, uint64_t value)
{
    if (mode != &mode_32bit)
        return value & bits(51, shift);
    if (shift == PAGE_SHIFT)
        return value & 0xfffff000;
    /* PSE-36: bits 20:13 are address bits 39:32. */
    return (value & 0xffc00000) | (value >> 13 & 0xff) << 32;
}

/* root: as in CR3 */
static enum walk_result walk_from(const struct cpu *cpu, uint64_t root, linaddr_t linear,
                                  struct walk *out)
{
    const struct paging_mode *mode = mmu_paging_mode(cpu);
    physaddr_t table = root & (mode == &mode_4level ? bits(51, 12) : 0xfffff000);

    out->user = out->writable = true;
    out->no_execute = out->global = false;
    out->count = 0;
    if (mode == &mode_pae) {
        const uint64_t pdpte = cpu->pdpte[linear >> 30 & 3];

        if (!(pdpte & PTE_P))
            return WALK_NOT_PRESENT;
        table = pdpte & bits(51, 12);
    }
    for (unsigned level = 0; level < mode->levels; level++) {
        const unsigned shift = mode->shift[level];
        const uint64_t index = linear >> shift & ((1u << mode->index_bits) - 1);
        struct walk_entry *entry = &out->entries[out->count++];
        bool leaf;

        entry_read(cpu, table + index * mode->entry_bytes, mode->entry_bytes, entry);
        if (!(entry->value & PTE_P))
            return WALK_NOT_PRESENT;
        leaf = entry_is_leaf(cpu, mode, shift, entry->value);
        if (entry->value & entry_reserved(cpu, mode, shift, leaf, entry->value))
            return WALK_RESERVED;
        out->user &= (entry->value & PTE_US) != 0;
        out->writable &= (entry->value & PTE_RW) != 0;
        out->no_execute |= mode != &mode_32bit && (entry->value & PTE_XD) != 0;
        if (leaf) {
            out->shift = shift;
            out->global = (entry->value & PTE_G) && (cpu->cr4 & CR4_PGE);
            out->phys = leaf_address(mode, shift, entry->value) | (linear & bits(shift - 1, 0));
            return WALK_OK;
        }
        table = entry->value & (mode == &mode_32bit ? 0xfffff000 : bits(51, 12));
    }
    return WALK_RESERVED; /* not reached: the last level is always a leaf */
}

static enum walk_result walk(const struct cpu *cpu, linaddr_t linear, struct walk *out)
{
    return walk_from(cpu, cpu->cr3, linear, out);
}

/* Does SMAP keep this view from the data of user pages?  VIEW_SUPERVISOR_AC is that of explicit
 * accesses with EFLAGS.AC set. [SDM 3A 4.6.1] */
static bool smap_forbids(const struct cpu *cpu, enum tlb_view view)
{
    return (cpu->cr4 & CR4_SMAP) && view == VIEW_SUPERVISOR;
}

/* [SDM 3A 4.6.1 "Determination of Access Rights"] */
static bool walk_allows(const struct cpu *cpu, const struct walk *w, enum access access,
                        enum tlb_view view)
{
    if (view == VIEW_USER) {
        if (!w->user)
            return false;
        if (access == ACCESS_WRITE)
            return w->writable;
    } else {
        if (w->user &&
            (access == ACCESS_EXEC ? (cpu->cr4 & CR4_SMEP) != 0 : smap_forbids(cpu, view)))
            return false;
        if (access == ACCESS_WRITE)
            return w->writable || !(cpu->cr0 & CR0_WP);
    }
    /* With EFER.NXE clear the XD bit is reserved, and the walk has already failed. */
    return access != ACCESS_EXEC || !w->no_execute;
}

static void tlb_tell(struct tlb *tlb, uint64_t argument, enum tlb_flush what)
{
    tlb->flush_count++;
    if (tlb->on_flush != NULL)
        tlb->on_flush(tlb->on_flush_ctx, argument, what);
}

static bool tag_names(uint64_t tag, linaddr_t page)
{
    return (tag & ~TLB_INDIRECT) == page;
}

static bool entry_names(const struct tlb_entry *entry, linaddr_t page)
{
    return tag_names(entry->tag_read, page) || tag_names(entry->tag_write, page) ||
           tag_names(entry->tag_exec, page);
}

/* Drop what is cached of one 4 KiB page, in all views. */
static void tlb_forget_page(struct cpu *cpu, linaddr_t linear)
{
    struct tlb *tlb = &cpu->tlb;
    const linaddr_t tag = linear & PAGE_MASK;

    for (unsigned view = 0; view < TLB_VIEWS; view++) {
        struct tlb_entry *entry = access_tlb_entry(cpu, view, linear);

        if (entry_names(entry, tag))
            entry->tag_read = entry->tag_write = entry->tag_exec = TLB_INVALID;
    }
    tlb_tell(tlb, linear, TLB_FLUSH_PAGE);
}

/* [SDM 3A 4.7 "Page-Fault Exceptions"].  A page fault drops what is cached of the page, for other
 * kinds of access, too. [SDM 3A 4.10.4.1] */
static bool walk_fault(struct cpu *cpu, linaddr_t linear, enum access access, enum tlb_view view,
                       enum walk_result result)
{
    uint32_t error = 0;

    tlb_forget_page(cpu, linear);
    if (result != WALK_NOT_PRESENT)
        error |= PF_P;
    if (result == WALK_RESERVED)
        error |= PF_RSVD;
    if (access == ACCESS_WRITE)
        error |= PF_W;
    if (view == VIEW_USER)
        error |= PF_U;
    if (access == ACCESS_EXEC &&
        ((cpu->cr4 & CR4_SMEP) || ((cpu->cr4 & CR4_PAE) && (cpu->efer & EFER_NXE))))
        error |= PF_I;
    return fault_pf(cpu, linear, error);
}

/* Set bits of an entry unless it changed since the walk read it.  False: it did. */
static bool entry_set(struct cpu *cpu, struct walk_entry *entry, unsigned size, uint64_t set)
{
    uint64_t expected = entry->value;
    uint32_t expected32 = (uint32_t)entry->value;

    if ((entry->value & set) == set || !entry->writable)
        return true;
    if (size == 4
            ? !__atomic_compare_exchange_n((uint32_t *)entry->host, &expected32,
                                           (uint32_t)(entry->value | set), false, __ATOMIC_SEQ_CST,
                                           __ATOMIC_RELAXED)
            : !__atomic_compare_exchange_n((uint64_t *)entry->host, &expected, entry->value | set,
                                           false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
        return false;
    entry->value |= set;
    if (physmem_page(cpu->mem, entry->gpa)->flags & PHYS_CODE) {
        fpu_leave(cpu);
        physmem_code_stored(cpu->mem, entry->gpa, size);
    }
    return true;
}

/* Bits 63:47 equal.  The accesses of instructions are checked with their segment; this is for the
 * CPU's own, whose tables may reach past the last canonical address. */
static bool is_canonical(const struct cpu *cpu, linaddr_t linear)
{
    return !cpu_is_long(cpu) || linaddr_is_canonical(linear);
}

/* Walk, check, set A and D.  On failure #PF is recorded, or #GP(0) for an address that is not
 * canonical. */
static bool walk_checked(struct cpu *cpu, linaddr_t linear, enum access access, enum tlb_view view,
                         struct walk *w)
{
    const unsigned size = mmu_paging_mode(cpu)->entry_bytes;

    if (!is_canonical(cpu, linear))
        return fault_gp(cpu, 0);
    for (unsigned attempt = 0;; attempt++) {
        const enum walk_result result = walk(cpu, linear, w);
        bool kept = true;

        if (result != WALK_OK || !walk_allows(cpu, w, access, view))
            return walk_fault(cpu, linear, access, view, result);
        for (unsigned i = 0; i < w->count && kept; i++) {
            const bool dirty = access == ACCESS_WRITE && i + 1 == w->count;

            kept = entry_set(cpu, &w->entries[i], size, dirty ? PTE_A | PTE_D : PTE_A);
        }
        /* The bound only matters against a guest that rewrites the entry without pause. */
        if (kept || attempt == RETRIES_MAX)
            return true;
    }
}

bool mmu_translate(struct cpu *cpu, linaddr_t linear, enum access access, enum tlb_view view,
                   physaddr_t *phys)
{
    struct walk w;

    if (!(cpu->cr0 & CR0_PG)) {
        *phys = a20_mask(cpu, linear);
        return true;
    }
    if (!walk_checked(cpu, linear, access, view, &w))
        return false;
    *phys = a20_mask(cpu, w.phys);
    return true;
}

bool mmu_permits(const struct cpu *cpu, linaddr_t linear, enum access access, enum tlb_view view)
{
    struct walk w;

    return !(cpu->cr0 & CR0_PG) || (is_canonical(cpu, linear) && walk(cpu, linear, &w) == WALK_OK &&
                                    walk_allows(cpu, &w, access, view));
}

bool mmu_peek(struct cpu *cpu, linaddr_t linear, physaddr_t *phys)
{
    struct walk w;

    if (!(cpu->cr0 & CR0_PG)) {
        *phys = a20_mask(cpu, linear);
        return true;
    }
    if (!is_canonical(cpu, linear) || walk(cpu, linear, &w) != WALK_OK)
        return false;
    *phys = a20_mask(cpu, w.phys);
    return true;
}

bool mmu_root_maps(const struct cpu *cpu, uint64_t root, linaddr_t linear, physaddr_t phys)
{
    struct walk w;

    return walk_from(cpu, root, linear, &w) == WALK_OK && a20_mask(cpu, w.phys) == phys;
}

bool mmu_trace(const struct cpu *cpu, linaddr_t linear, enum tlb_view view, struct mmu_trace *trace)
{
    bool accessed = true;
    struct walk w;

    *trace = (struct mmu_trace){.user = true, .read = true, .write = true, .shift = PAGE_SHIFT};
    if (!(cpu->cr0 & CR0_PG)) {
        trace->phys = a20_mask(cpu, linear);
        return true;
    }
    if (!is_canonical(cpu, linear) || walk(cpu, linear, &w) != WALK_OK)
        return false;
    trace->count = w.count;
    trace->entry_bytes = mmu_paging_mode(cpu)->entry_bytes;
    trace->shift = w.shift;
    trace->phys = a20_mask(cpu, w.phys);
    trace->global = w.global;
    for (unsigned i = 0; i < w.count; i++) {
        if (w.entries[i].host == NULL)
            return false;
        trace->entry[i] = w.entries[i].host;
        trace->value[i] = w.entries[i].value;
        accessed &= (w.entries[i].value & PTE_A) != 0;
    }
    trace->user = w.user;
    trace->read = accessed && walk_allows(cpu, &w, ACCESS_READ, view);
    trace->write = trace->read && (w.entries[w.count - 1].value & PTE_D) &&
                   walk_allows(cpu, &w, ACCESS_WRITE, view);
    return true;
}

/* Does an enabled data breakpoint touch the page?  Its accesses must all be seen. */
static bool breakpoint_on_page(const struct cpu *cpu, linaddr_t linear)
{
    for (unsigned i = 0; i < 4; i++)
        if ((cpu->data_breakpoints >> i & 1) && ((cpu->dr[i] ^ linear) & PAGE_MASK) == 0)
            return true;
    return (cpu->data_breakpoints & DEBUGGER_WATCHES) &&
           debugger_watches_page(cpu->debugger, linear);
}

/* The entry for a page: as it is when it already maps the page there, else emptied. */
static struct tlb_entry *tlb_claim(struct cpu *cpu, enum tlb_view view, linaddr_t page,
                                   physaddr_t phys)
{
    const unsigned index = page >> PAGE_SHIFT & (TLB_SIZE - 1);
    struct tlb_entry *entry = &cpu->tlb.entries[view][index];

    if (!entry_names(entry, page) || cpu->tlb.phys[view][index] != phys)
        entry->tag_read = entry->tag_write = entry->tag_exec = TLB_INVALID;
    cpu->tlb.used[view][index / 64] |= 1ull << index % 64;
    cpu->tlb.phys[view][index] = phys;
    return entry;
}

/* What mmu_fill knows of a page besides its address. */
struct page_rights {
    bool global;
    bool data;  /* loads and stores may be cached at all */
    bool store; /* so may stores: permitted and already dirty */
};

static void tlb_fill(struct cpu *cpu, linaddr_t linear, enum access access, enum tlb_view view,
                     physaddr_t phys, const struct phys_page *page, struct page_rights rights)
{
    const linaddr_t tag = linear & PAGE_MASK;
    const unsigned index = linear >> PAGE_SHIFT & (TLB_SIZE - 1);
    struct tlb_entry *entry = tlb_claim(cpu, view, tag, phys & PAGE_MASK);

    entry->addend = (uint64_t)page->host - tag;
    if (rights.global)
        cpu->tlb.global[view][index / 64] |= 1ull << index % 64;
    else
        cpu->tlb.global[view][index / 64] &= ~(1ull << index % 64);
    if (access == ACCESS_EXEC && page->host != NULL)
        entry->tag_exec = tag;
    if (!rights.data || breakpoint_on_page(cpu, linear)) {
        entry->tag_read = entry->tag_write = TLB_INVALID;
        return;
    }
    /* After a fetch, too: with a tag for stores alone, the two halves of a read-modify-write could
     * disagree once the guest has changed its tables. */
    entry->tag_read = page->host != NULL ? tag : tag | TLB_INDIRECT;
    if (rights.store)
        entry->tag_write = mmu_stores_directly(page) ? tag : tag | TLB_INDIRECT;
    cpu->tlb.fill_count++;
}

/* ---- where large pages are ---- */

static bool large_bit(const uint64_t *map, uint64_t number)
{
    return map[number % TLB_LARGE_BITS / 64] >> number % 64 & 1;
}

static void large_note(struct tlb *tlb, linaddr_t linear, unsigned shift)
{
    const uint64_t number = linear >> (shift > 22 ? 30 : 22);
    uint64_t *map = shift > 22 ? tlb->large_1g : tlb->large_4m;

    map[number % TLB_LARGE_BITS / 64] |= 1ull << number % 64;
    tlb->large_used = true;
}

static bool large_near(const struct tlb *tlb, linaddr_t linear)
{
    return tlb->large_used &&
           (large_bit(tlb->large_1g, linear >> 30) || large_bit(tlb->large_4m, linear >> 22));
}

static void large_forget(struct tlb *tlb)
{
    if (!tlb->large_used)
        return;
    for (unsigned i = 0; i < TLB_LARGE_BITS / 64; i++)
        tlb->large_4m[i] = tlb->large_1g[i] = 0;
    tlb->large_used = false;
}

bool mmu_fill(struct cpu *cpu, linaddr_t linear, enum access access, enum tlb_view view,
              uint8_t **host, physaddr_t *phys)
{
    struct page_rights rights = {.data = true, .store = true};
    const struct phys_page *page;

    cpu->tlb.miss_count++;
    if (cpu->cr0 & CR0_PG) {
        struct walk w;

        if (!walk_checked(cpu, linear, access, view, &w))
            return false;
        *phys = a20_mask(cpu, w.phys);
        rights.global = w.global;
        rights.store =
            (w.entries[w.count - 1].value & PTE_D) && walk_allows(cpu, &w, ACCESS_WRITE, view);
        /* An instruction fetch may fill a page whose data SMAP forbids. */
        rights.data = walk_allows(cpu, &w, ACCESS_READ, view);
        if (w.shift > PAGE_SHIFT)
            large_note(&cpu->tlb, linear, w.shift);
    } else {
        *phys = a20_mask(cpu, linear);
    }
    if (view == VIEW_USER && cpu->align_check)
        rights.data = false;

    page = physmem_page(cpu->mem, *phys);
    *host = NULL;
    tlb_fill(cpu, linear, access, view, *phys, page, rights);
    if (page->host == NULL)
        return true;
    if (access == ACCESS_EXEC ||
        (!breakpoint_on_page(cpu, linear) && (access == ACCESS_READ || mmu_stores_directly(page))))
        *host = page->host + (*phys & ~PAGE_MASK);
    return true;
}

/* ---- flushes ---- */

static unsigned ctz64(uint64_t bits)
{
    return (unsigned)__builtin_ctzll(bits);
}

static void tlb_drop(struct cpu *cpu, bool keep_global)
{
    struct tlb *tlb = &cpu->tlb;

    for (unsigned view = 0; view < TLB_VIEWS; view++) {
        for (unsigned word = 0; word < TLB_SIZE / 64; word++) {
            uint64_t left = tlb->used[view][word];

            if (keep_global)
                left &= ~tlb->global[view][word];
            tlb->used[view][word] &= ~left;
            for (; left != 0; left &= left - 1) {
                struct tlb_entry *entry = &tlb->entries[view][word * 64 + ctz64(left)];

                entry->tag_read = entry->tag_write = entry->tag_exec = TLB_INVALID;
            }
        }
    }
}

void mmu_flush_all(struct cpu *cpu)
{
    tlb_drop(cpu, false);
    large_forget(&cpu->tlb);
    tlb_tell(&cpu->tlb, 0, TLB_FLUSH_ALL);
}

void mmu_flush_nonglobal(struct cpu *cpu)
{
    if (!(cpu->cr4 & CR4_PGE)) {
        mmu_flush_all(cpu);
        return;
    }
    tlb_drop(cpu, true);
    tlb_tell(&cpu->tlb, 0, TLB_FLUSH_NONGLOBAL);
}

void mmu_switch_pcid(struct cpu *cpu, unsigned pcid, bool keep)
{
    tlb_drop(cpu, true);
    tlb_tell(&cpu->tlb, pcid, keep ? TLB_SWITCH_KEEP : TLB_SWITCH);
}

void mmu_flush_pcid(struct cpu *cpu, unsigned pcid)
{
    if (pcid == mmu_pcid(cpu))
        mmu_flush_nonglobal(cpu);
    else
        tlb_tell(&cpu->tlb, pcid, TLB_FLUSH_PCID);
}

void mmu_flush_pcids(struct cpu *cpu)
{
    tlb_drop(cpu, true);
    tlb_tell(&cpu->tlb, 0, TLB_FLUSH_PCIDS);
}

void mmu_flush_page(struct cpu *cpu, linaddr_t linear)
{
    /* Of a large page more than one entry may be here, and caches that follow on_flush may know
     * parts that are not. */
    if (large_near(&cpu->tlb, linear)) {
        mmu_flush_all(cpu);
        return;
    }
    tlb_forget_page(cpu, linear);
}

void mmu_drop_user_view(struct cpu *cpu)
{
    struct tlb *tlb = &cpu->tlb;

    for (unsigned word = 0; word < TLB_SIZE / 64; word++) {
        for (uint64_t left = tlb->used[VIEW_USER][word]; left != 0; left &= left - 1) {
            struct tlb_entry *entry = &tlb->entries[VIEW_USER][word * 64 + ctz64(left)];

            entry->tag_read = entry->tag_write = TLB_INVALID;
        }
    }
    tlb_tell(tlb, 0, TLB_FLUSH_ALL);
}

void mmu_drop_write_tags(struct cpu *cpu, physaddr_t page)
{
    struct tlb *tlb = &cpu->tlb;

    for (unsigned view = 0; view < TLB_VIEWS; view++) {
        for (unsigned word = 0; word < TLB_SIZE / 64; word++) {
            for (uint64_t left = tlb->used[view][word]; left != 0; left &= left - 1) {
                const unsigned index = word * 64 + ctz64(left);

                if (tlb->phys[view][index] == page)
                    tlb->entries[view][index].tag_write = TLB_INVALID;
            }
        }
    }
}

/* ---- PDPTEs ---- */

bool mmu_load_pdptes(struct cpu *cpu, uint64_t cr3)
{
    const uint64_t reserved = bits(63, cpu->model->phys_bits) | bits(8, 5) | bits(2, 1);
    uint64_t loaded[4];

    for (unsigned i = 0; i < 4; i++) {
        struct walk_entry entry;

        entry_read(cpu, (cr3 & 0xffffffe0) + i * 8, 8, &entry);
        if ((entry.value & PTE_P) && (entry.value & reserved))
            return fault_gp(cpu, 0);
        loaded[i] = entry.value;
    }
    for (unsigned i = 0; i < 4; i++)
        cpu->pdpte[i] = loaded[i];
    return true;
}
