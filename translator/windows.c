/*
 * translator/windows.c -- address spaces mirrored in host address space, see windows.h.
 *
 * A window belongs to a root of page tables (CR3 and PCID).  It has regions (host ranges) and
 * chunks (what is mapped in 2 MiB of linear addresses, and from which entries of the guest's page
 * tables).
 */
#define _GNU_SOURCE
#include "translator/windows.h"

#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include "cpu/fpu.h"
#include "cpu/physmem.h"

#define REGION_BYTES (UINT64_C(1) << WINDOW_REGION_SHIFT)
#define GUARD_BYTES  (UINT64_C(1) << WINDOW_GUARD_SHIFT)

enum {
    CHUNK_SHIFT = 21,
    CHUNK_PAGES = 1 << (CHUNK_SHIFT - PAGE_SHIFT),
    CHUNK_WORDS = CHUNK_PAGES / 64,
    CHUNK_HASH_BITS = 8,
    AROUND = 16,      /* pages: what else is mapped there comes along */
    AROUND_MORE = 64, /* where much is in use */
    REGIONS_MAX = 8,  /* of one window */
    WINDOWS_MAX = 24,
    MATURE_TICKS = 4,    /* found running so often, an address space is worth a window */
    MAPPINGS_MAX = 40000 /* below vm.max_map_count, which is 65530 by default */
};

/* 2 MiB of linear addresses, or less where a page table maps less. */
struct chunk {
    struct chunk *next;
    linaddr_t linear;
    unsigned count; /* of entries above those that map the pages */
    unsigned entry_bytes;
    const uint8_t *entry[MMU_TRACE_MAX];
    uint64_t value[MMU_TRACE_MAX];
    const uint8_t
        *table; /* the entries of the pages; NULL: one entry maps them all, or paging is off */
    uint64_t page_value[CHUNK_PAGES]; /* of mapped pages, as they were */
    uint32_t page_frame[CHUNK_PAGES]; /* of mapped pages: number of the page in guest RAM's memfd */
    uint64_t mapped[CHUNK_WORDS], writable[CHUNK_WORDS];
};

struct region {
    unsigned slot;
    uint8_t *host; /* of the region's first linear address */
};

struct window {
    uint64_t root; /* CR3 without the bits that do not name the address space */
    unsigned pcid;
    uint64_t control; /* the control bits it was made under */
    uint64_t pdpte[4];
    unsigned ticks;
    bool stale;  /* flushed while it was not current */
    bool global; /* has pages that a flush of another address space can drop */
    uint64_t used_at;
    unsigned pages;    /* mapped */
    unsigned mappings; /* of the host, at the most */
    struct region regions[REGIONS_MAX];
    unsigned region_count;
    struct chunk *chunks[1 << CHUNK_HASH_BITS];
};

/* One mapping of struct cpu, with its slot table. */
struct base {
    struct cpu *cpu;
    uint64_t *slots; /* NULL: the host refused */
    struct window *shown;
};

enum { BASES_MAX = 16 };

struct windows {
    struct cpu *cpu;
    bool eager;
    struct window *windows[WINDOWS_MAX];
    unsigned count;
    struct window *current;
    struct base bases[BASES_MAX];
    unsigned base_count;
    uint8_t *nothing; /* a region in which nothing is ever mapped */
    uint64_t gs;      /* what GS holds in the thread that runs */
    uint64_t host_gs; /* and held before */
    bool entered;
    uint64_t switches;
    unsigned mappings; /* of all windows */
    uint8_t *backing;
    uint64_t backing_bytes;
    uint8_t *writers; /* by page of guest RAM: writable mappings, 255 or more */
    struct windows_counters counters;
};

/* ---- host address space ---- */

static uint8_t *reserve(uint64_t bytes)
{
    uint8_t *at = mmap(NULL, bytes + 2 * GUARD_BYTES, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return at == MAP_FAILED ? NULL : at + GUARD_BYTES;
}

static void release(uint8_t *at, uint64_t bytes)
{
    munmap(at - GUARD_BYTES, bytes + 2 * GUARD_BYTES);
}

/* Nothing is mapped there any more.  False: the host would need more mappings than it allows. */
static bool make_inaccessible(uint8_t *at, uint64_t bytes)
{
    return mmap(at, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
                0) != MAP_FAILED;
}

static uint64_t nothing_distance(const struct windows *windows, linaddr_t linear)
{
    return (uint64_t)windows->nothing - (linear & ~(REGION_BYTES - 1));
}

/* ---- chunks ---- */

static bool bit_of(const uint64_t *bits, unsigned i)
{
    return bits[i / 64] >> i % 64 & 1;
}

static void bit_set(uint64_t *bits, unsigned i, bool value)
{
    bits[i / 64] = (bits[i / 64] & ~(1ull << i % 64)) | (uint64_t)value << i % 64;
}

static struct chunk **chunk_slot(struct window *w, linaddr_t linear)
{
    const uint64_t number = linear >> CHUNK_SHIFT;

    return &w->chunks[(number ^ number >> CHUNK_HASH_BITS) & ((1 << CHUNK_HASH_BITS) - 1)];
}

static struct chunk *chunk_find(struct window *w, linaddr_t linear)
{
    struct chunk *chunk = *chunk_slot(w, linear);

    while (chunk != NULL && chunk->linear >> CHUNK_SHIFT != linear >> CHUNK_SHIFT)
        chunk = chunk->next;
    return chunk;
}

static uint8_t *host_of(const struct window *w, linaddr_t linear)
{
    for (unsigned i = 0; i < w->region_count; i++)
        if (w->regions[i].slot == linear >> WINDOW_REGION_SHIFT)
            return w->regions[i].host + (linear & (REGION_BYTES - 1));
    return NULL;
}

static void writer_count(struct windows *windows, const struct chunk *chunk, unsigned i, int step)
{
    uint8_t *writers = &windows->writers[chunk->page_frame[i]];

    if (*writers != UINT8_MAX) /* too many to know when the last has gone */
        *writers = (uint8_t)(*writers + step);
}

/* Forget `count` pages from number `first` on; the caller unmaps. */
static void chunk_forget(struct windows *windows, struct window *w, struct chunk *chunk,
                         unsigned first, unsigned count)
{
    for (unsigned i = first; i < first + count; i++) {
        if (!bit_of(chunk->mapped, i))
            continue;
        if (bit_of(chunk->writable, i))
            writer_count(windows, chunk, i, -1);
        bit_set(chunk->mapped, i, false);
        bit_set(chunk->writable, i, false);
        w->pages--;
        windows->counters.drops++;
    }
}

static void count_mappings(struct windows *windows, struct window *w, unsigned more)
{
    w->mappings += more;
    windows->mappings += more;
}

/* Every page of the window goes; this takes no further mappings, so the host cannot refuse. */
static void window_unmap(struct windows *windows, struct window *w)
{
    for (unsigned i = 0; i < 1 << CHUNK_HASH_BITS; i++)
        for (struct chunk *chunk = w->chunks[i]; chunk != NULL; chunk = chunk->next)
            chunk_forget(windows, w, chunk, 0, CHUNK_PAGES);
    for (unsigned i = 0; i < w->region_count; i++)
        if (!make_inaccessible(w->regions[i].host, REGION_BYTES))
            abort();
    windows->mappings -= w->mappings;
    w->mappings = 0;
}

static void chunk_unmap(struct windows *windows, struct window *w, struct chunk *chunk,
                        unsigned first, unsigned count)
{
    uint8_t *host = host_of(w, chunk->linear);

    chunk_forget(windows, w, chunk, first, count);
    fpu_leave(windows->cpu);
    if (make_inaccessible(host + first * (uint64_t)PAGE_SIZE, count * (uint64_t)PAGE_SIZE))
        count_mappings(windows, w, 2);
    else
        window_unmap(windows, w);
}

static void chunk_unmap_all(struct windows *windows, struct window *w, struct chunk *chunk)
{
    for (unsigned i = 0; i < CHUNK_WORDS; i++) {
        if (chunk->mapped[i] != 0) {
            chunk_unmap(windows, w, chunk, 0, CHUNK_PAGES);
            return;
        }
    }
}

/* ---- windows ---- */

static void window_empty(struct windows *windows, struct window *w)
{
    fpu_leave(windows->cpu);
    if (w->mappings != 0)
        window_unmap(windows, w);
    for (unsigned i = 0; i < 1 << CHUNK_HASH_BITS; i++) {
        while (w->chunks[i] != NULL) {
            struct chunk *chunk = w->chunks[i];

            w->chunks[i] = chunk->next;
            free(chunk);
        }
    }
    w->stale = w->global = false;
}

static void base_show(const struct windows *windows, struct base *base, struct window *w)
{
    if (base->slots == NULL)
        return;
    for (unsigned i = 0; base->shown != NULL && i < base->shown->region_count; i++) {
        const unsigned slot = base->shown->regions[i].slot;

        base->slots[slot] = nothing_distance(windows, (uint64_t)slot << WINDOW_REGION_SHIFT);
    }
    for (unsigned i = 0; w != NULL && i < w->region_count; i++)
        base->slots[w->regions[i].slot] =
            (uint64_t)w->regions[i].host - ((uint64_t)w->regions[i].slot << WINDOW_REGION_SHIFT);
    base->shown = w;
}

static void window_destroy(struct windows *windows, struct window *w)
{
    fpu_leave(windows->cpu);
    for (unsigned i = 0; i < windows->base_count; i++)
        if (windows->bases[i].shown == w)
            base_show(windows, &windows->bases[i], NULL);
    window_empty(windows, w);
    for (unsigned i = 0; i < w->region_count; i++)
        release(w->regions[i].host, REGION_BYTES);
    for (unsigned i = 0; i < windows->count; i++) {
        if (windows->windows[i] == w) {
            windows->windows[i] = windows->windows[--windows->count];
            break;
        }
    }
    if (windows->current == w)
        windows->current = NULL;
    free(w);
}

/* The control bits that decide what a paging-structure entry means. */
static uint64_t control_bits(const struct cpu *cpu)
{
    return (cpu->cr0 & CR0_PG) | (cpu->cr4 & (CR4_PAE | CR4_PSE | CR4_PGE | CR4_PCIDE)) |
           (cpu->efer & (EFER_LMA | EFER_NXE)) << 32 | (uint64_t)cpu->a20 << 63;
}

static uint64_t root_of(const struct cpu *cpu)
{
    if (!(cpu->cr0 & CR0_PG))
        return 0;
    if (cpu->efer & EFER_LMA)
        return cpu->cr3 & ~(uint64_t)(PAGE_SIZE - 1);
    return cpu->cr3 & (cpu->cr4 & CR4_PAE ? 0xffffffe0 : 0xfffff000);
}

static struct window *window_find(const struct windows *windows)
{
    const struct cpu *cpu = windows->cpu;
    const uint64_t root = root_of(cpu);
    const unsigned pcid = mmu_pcid(cpu);

    for (unsigned i = 0; i < windows->count; i++)
        if (windows->windows[i]->root == root && windows->windows[i]->pcid == pcid)
            return windows->windows[i];
    return NULL;
}

/* ---- still true? ---- */

static uint64_t entry_now(const uint8_t *entry, unsigned bytes)
{
    return bytes == 4 ? __atomic_load_n((const uint32_t *)entry, __ATOMIC_RELAXED)
                      : __atomic_load_n((const uint64_t *)entry, __ATOMIC_RELAXED);
}

static bool chain_holds(const struct chunk *chunk)
{
    for (unsigned i = 0; i < chunk->count; i++)
        if (entry_now(chunk->entry[i], chunk->entry_bytes) != chunk->value[i])
            return false;
    return true;
}

static bool page_holds(const struct chunk *chunk, unsigned i)
{
    return chunk->table == NULL || entry_now(chunk->table + i * chunk->entry_bytes,
                                             chunk->entry_bytes) == chunk->page_value[i];
}

/* Drop the pages whose entries changed, in runs. */
static void chunk_revalidate(struct windows *windows, struct window *w, struct chunk *chunk)
{
    unsigned first = 0, count = 0;

    if (!chain_holds(chunk)) {
        chunk_unmap_all(windows, w, chunk);
        return;
    }
    if (chunk->table == NULL)
        return;
    for (unsigned word = 0; word < CHUNK_WORDS; word++) {
        for (uint64_t left = chunk->mapped[word]; left != 0; left &= left - 1) {
            const unsigned i = word * 64 + (unsigned)__builtin_ctzll(left);

            if (page_holds(chunk, i))
                continue;
            if (count != 0 && first + count != i) {
                chunk_unmap(windows, w, chunk, first, count);
                count = 0;
            }
            if (count++ == 0)
                first = i;
        }
    }
    if (count != 0)
        chunk_unmap(windows, w, chunk, first, count);
}

static void window_revalidate(struct windows *windows, struct window *w)
{
    const struct cpu *cpu = windows->cpu;
    const unsigned pages = w->pages;
    bool same = w->control == control_bits(cpu);

    windows->counters.revalidations++;
    w->stale = false;
    for (unsigned i = 0; i < 4; i++)
        same &= w->pdpte[i] == cpu->pdpte[i];
    if (!same) {
        window_empty(windows, w);
        w->control = control_bits(cpu);
        for (unsigned i = 0; i < 4; i++)
            w->pdpte[i] = cpu->pdpte[i];
    } else if (pages != 0) {
        for (unsigned i = 0; i < 1 << CHUNK_HASH_BITS; i++)
            for (struct chunk *chunk = w->chunks[i]; chunk != NULL; chunk = chunk->next)
                chunk_revalidate(windows, w, chunk);
    }
    /* Hardly anything is left: the root is another process's now. */
    if (pages > 16 && w->pages < pages / 8)
        w->ticks = 0;
}

/* ---- the current one ---- */

static struct base *base_find(struct windows *windows)
{
    struct cpu *cpu = rt_of(windows->cpu)->base;
    struct base *base;

    for (unsigned i = 0; i < windows->base_count; i++)
        if (windows->bases[i].cpu == cpu)
            return &windows->bases[i];
    if (windows->base_count == BASES_MAX)
        return NULL;
    fpu_leave(windows->cpu);
    base = &windows->bases[windows->base_count++];
    base->cpu = cpu;
    base->shown = NULL;
    base->slots = mmap((char *)cpu + sizeof(*cpu), PAGE_SIZE, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (base->slots == MAP_FAILED) {
        base->slots = NULL;
        return base;
    }
    for (uint64_t slot = 0; slot < WINDOW_SLOTS; slot++)
        base->slots[slot] = nothing_distance(windows, slot << WINDOW_REGION_SHIFT);
    return base;
}

static bool is_mature(const struct windows *windows, const struct window *w)
{
    return w != NULL && w->region_count != 0 && w->ticks >= (windows->eager ? 1 : MATURE_TICKS) &&
           windows->cpu->data_breakpoints == 0;
}

static void set_gs(struct windows *windows, uint64_t value)
{
    if (!windows->entered)
        return;
    if (windows->gs != value)
        __asm__ volatile("wrgsbase %0" : : "r"(value));
    windows->gs = value;
}

/* Let generated code see window `w`, or none. */
static void show(struct windows *windows, struct window *w)
{
    struct base *base;
    const uint8_t *low;

    windows->current = w;
    windows->cpu->windowed = false;
    if (w == NULL || !is_mature(windows, w)) {
        set_gs(windows, (uint64_t)windows->nothing);
        return;
    }
    base = base_find(windows);
    if (base == NULL || base->slots == NULL)
        return;
    w->used_at = ++windows->switches;
    if (base->shown != w)
        base_show(windows, base, w);
    low = host_of(w, 0);
    set_gs(windows, (uint64_t)(low != NULL ? low : windows->nothing));
    windows->cpu->windowed = true;
}

void windows_enter(struct windows *windows)
{
    __asm__ volatile("rdgsbase %0" : "=r"(windows->host_gs));
    windows->gs = windows->host_gs;
    windows->entered = true;
    show(windows, windows->current);
}

void windows_leave(struct windows *windows)
{
    set_gs(windows, windows->host_gs);
    windows->entered = false;
}

/* ---- growing up ---- */

/* The range is as large outside long mode: what is not used costs nothing. */
static bool region_add(struct window *w, unsigned slot)
{
    uint8_t *host;

    for (unsigned i = 0; i < w->region_count; i++)
        if (w->regions[i].slot == slot)
            return false;
    if (w->region_count == REGIONS_MAX)
        return false;
    host = reserve(REGION_BYTES);
    if (host == NULL)
        return false;
    w->regions[w->region_count++] = (struct region){slot, host};
    return true;
}

/* A region for each entry in the lower half of the root table.  True: there is a new one. */
static bool regions_find(struct windows *windows, struct window *w)
{
    const struct cpu *cpu = windows->cpu;
    const struct phys_page *root;
    bool added = false;

    if (!(cpu->efer & EFER_LMA))
        return region_add(w, 0);
    root = physmem_page(cpu->mem, w->root);
    if (root->host == NULL)
        return false;
    for (unsigned slot = 0; slot < WINDOW_SLOTS / 2; slot++)
        if (entry_now(root->host + slot * 8, 8) & 1)
            added |= region_add(w, slot);
    return added;
}

/* Make room: the one that was not current for longest goes. */
static void window_evict(struct windows *windows)
{
    struct window *oldest = NULL;

    for (unsigned i = 0; i < windows->count; i++) {
        struct window *w = windows->windows[i];

        if (w != windows->current && (oldest == NULL || w->used_at < oldest->used_at))
            oldest = w;
    }
    if (oldest == NULL)
        return;
    window_destroy(windows, oldest);
    windows->counters.evictions++;
}

static struct window *window_create(struct windows *windows)
{
    const struct cpu *cpu = windows->cpu;
    struct window *w;

    if (windows->count == WINDOWS_MAX)
        window_evict(windows);
    w = windows->count == WINDOWS_MAX ? NULL : calloc(1, sizeof(*w));
    if (w == NULL)
        return NULL;
    w->root = root_of(cpu);
    w->pcid = mmu_pcid(cpu);
    w->control = control_bits(cpu);
    for (unsigned i = 0; i < 4; i++)
        w->pdpte[i] = cpu->pdpte[i];
    w->used_at = ++windows->switches;
    windows->windows[windows->count++] = w;
    windows->counters.created++;
    return w;
}

bool windows_tick(struct windows *windows)
{
    struct cpu *cpu = windows->cpu;
    struct window *w = windows->current;

    if (!(cpu->mode & MODE_USER) || (cpu->mode & MODE_V86) || cpu->windowed)
        return false;
    fpu_leave(cpu);
    if (w == NULL)
        w = window_create(windows);
    if (w == NULL)
        return false;
    windows->current = w;
    w->ticks++;
    if (w->ticks < (windows->eager ? 1 : MATURE_TICKS))
        return false;
    (void)regions_find(windows, w);
    show(windows, w);
    cpu_update_mode(cpu);
    return cpu->windowed;
}

uint64_t windows_distance(const struct windows *windows, linaddr_t linear)
{
    const struct window *w = windows->current;

    for (unsigned i = 0; w != NULL && windows->cpu->windowed && i < w->region_count; i++)
        if (w->regions[i].slot == linear >> WINDOW_REGION_SHIFT)
            return (uint64_t)w->regions[i].host - (linear & ~(REGION_BYTES - 1));
    return nothing_distance(windows, linear);
}

/* ---- filling ---- */

/* The region of the current window around a host address, guards included. */
static const struct region *region_at(const struct windows *windows, uint64_t host)
{
    const struct window *w = windows->current;

    for (unsigned i = 0; w != NULL && i < w->region_count; i++)
        if (host - ((uint64_t)w->regions[i].host - GUARD_BYTES) < REGION_BYTES + 2 * GUARD_BYTES)
            return &w->regions[i];
    return NULL;
}

bool windows_contains(const struct windows *windows, uint64_t host)
{
    return host - ((uint64_t)windows->nothing - GUARD_BYTES) < REGION_BYTES + 2 * GUARD_BYTES ||
           region_at(windows, host) != NULL;
}

/* The chunk of a page, its chain as the trace has it. */
static struct chunk *chunk_claim(struct windows *windows, struct window *w, linaddr_t linear,
                                 const struct mmu_trace *trace)
{
    /* A page table of 4-byte entries maps 4 MiB: the chunk is one half of it. */
    const bool large = trace->count == 0 || trace->shift > PAGE_SHIFT;
    const unsigned above = trace->count - (large ? 0 : 1);
    const unsigned index = linear >> PAGE_SHIFT & (CHUNK_PAGES - 1);
    const uint8_t *table =
        large ? NULL : trace->entry[above] - (uint64_t)index * trace->entry_bytes;
    struct chunk *chunk = chunk_find(w, linear), **slot = chunk_slot(w, linear);
    bool same = chunk != NULL && chunk->count == above && chunk->table == table;

    for (unsigned i = 0; same && i < above; i++)
        same = chunk->entry[i] == trace->entry[i] && chunk->value[i] == trace->value[i];
    if (same)
        return chunk;
    if (chunk != NULL) {
        chunk_unmap_all(windows, w, chunk);
    } else {
        chunk = calloc(1, sizeof(*chunk));
        if (chunk == NULL)
            return NULL;
        chunk->linear = linear >> CHUNK_SHIFT << CHUNK_SHIFT;
        chunk->next = *slot;
        *slot = chunk;
    }
    chunk->count = above;
    chunk->entry_bytes = trace->entry_bytes;
    chunk->table = table;
    for (unsigned i = 0; i < above; i++) {
        chunk->entry[i] = trace->entry[i];
        chunk->value[i] = trace->value[i];
    }
    return chunk;
}

/* Host memory of the page, and whether stores may go there unseen; NULL: not in guest RAM. */
static const uint8_t *page_memory(const struct windows *windows, const struct mmu_trace *trace,
                                  bool *writable)
{
    const struct phys_page *page = physmem_page(windows->cpu->mem, trace->phys);

    if (page->host == NULL || !(page->flags & PHYS_RAM) ||
        (uint64_t)(page->host - windows->backing) >= windows->backing_bytes)
        return NULL;
    *writable = trace->user_write && (page->flags & (PHYS_WRITE | PHYS_CODE)) == PHYS_WRITE;
    return page->host;
}

static bool map_run(struct windows *windows, uint8_t *at, const uint8_t *memory, uint64_t bytes,
                    bool writable)
{
    const int prot = writable ? PROT_READ | PROT_WRITE : PROT_READ;

    return mmap(at, bytes, prot, MAP_SHARED | MAP_FIXED | MAP_POPULATE,
                physmem_fd(windows->cpu->mem), memory - windows->backing) != MAP_FAILED;
}

/* A run of pages that are neighbours in the host's memory, too. */
struct run {
    unsigned first, count;
    const uint8_t *memory;
    bool writable;
};

static void run_end(struct windows *windows, struct window *w, struct chunk *chunk, struct run *run)
{
    uint8_t *host = host_of(w, chunk->linear) + run->first * (uint64_t)PAGE_SIZE;

    if (run->count != 0 &&
        map_run(windows, host, run->memory, run->count * (uint64_t)PAGE_SIZE, run->writable)) {
        for (unsigned i = run->first; i < run->first + run->count; i++) {
            chunk->page_frame[i] =
                (uint32_t)((uint64_t)(run->memory - windows->backing) / PAGE_SIZE) + i - run->first;
            bit_set(chunk->mapped, i, true);
            bit_set(chunk->writable, i, run->writable);
            if (run->writable)
                writer_count(windows, chunk, i, 1);
        }
        count_mappings(windows, w, 2);
        w->pages += run->count;
        windows->counters.pages += run->count;
    }
    run->count = 0;
}

/* Map what may be mapped of pages first .. first + count - 1 of the chunk. */
static void chunk_fill(struct windows *windows, struct window *w, struct chunk *chunk,
                       unsigned first, unsigned count)
{
    struct run run = {0};

    for (unsigned i = first; i < first + count; i++) {
        const linaddr_t linear = chunk->linear + i * (uint64_t)PAGE_SIZE;
        const uint8_t *memory = NULL;
        bool writable = false;
        struct mmu_trace trace;

        if (mmu_trace(windows->cpu, linear, &trace) && trace.user_read &&
            (chunk->table == NULL) == (trace.count == 0 || trace.shift > PAGE_SHIFT))
            memory = page_memory(windows, &trace, &writable);
        if (memory == NULL || (bit_of(chunk->mapped, i) && page_holds(chunk, i) &&
                               bit_of(chunk->writable, i) == writable)) {
            run_end(windows, w, chunk, &run);
            continue;
        }
        chunk_forget(windows, w, chunk, i, 1); /* mapped anew */
        w->global |= trace.global;
        chunk->page_value[i] = trace.count != 0 ? trace.value[trace.count - 1] : 0;
        if (run.count != 0 &&
            (run.memory + run.count * (uint64_t)PAGE_SIZE != memory || run.writable != writable))
            run_end(windows, w, chunk, &run);
        if (run.count++ == 0)
            run = (struct run){i, 1, memory, writable};
    }
    run_end(windows, w, chunk, &run);
}

static unsigned chunk_pages(const struct chunk *chunk)
{
    unsigned pages = 0;

    for (unsigned i = 0; i < CHUNK_WORDS; i++)
        pages += (unsigned)__builtin_popcountll(chunk->mapped[i]);
    return pages;
}

bool windows_fill(struct windows *windows, uint64_t host)
{
    struct window *w = windows->current;
    const struct region *region = region_at(windows, host);
    const struct tlb_entry *entry;
    struct mmu_trace trace;
    struct chunk *chunk;
    linaddr_t linear;
    unsigned index, around;

    if (w == NULL || !windows->cpu->windowed)
        return false;
    fpu_leave(windows->cpu);
    if (region == NULL) { /* in a region that there is not yet? */
        if (!regions_find(windows, w))
            return false;
        for (unsigned i = 0; i < windows->base_count; i++)
            if (windows->bases[i].shown == w)
                base_show(windows, &windows->bases[i], w);
        show(windows, w);
        return true;
    }
    if (host - (uint64_t)region->host >= REGION_BYTES)
        return false; /* in a guard: across the region's end */
    linear = (host - (uint64_t)region->host + ((uint64_t)region->slot << WINDOW_REGION_SHIFT)) &
             PAGE_MASK;
    /* Only what the interpreter has just used: it has set the accessed and the dirty bit. */
    entry = &windows->cpu->tlb.entries[VIEW_USER][linear >> PAGE_SHIFT & (TLB_SIZE - 1)];
    if (entry->tag_read != linear && entry->tag_write != linear)
        return false;
    if (!mmu_trace(windows->cpu, linear, &trace) || !trace.user_read)
        return false;
    while (windows->mappings > MAPPINGS_MAX && windows->count > 1)
        window_evict(windows);
    if (windows->mappings > MAPPINGS_MAX)
        window_empty(windows, w);
    chunk = chunk_claim(windows, w, linear, &trace);
    if (chunk == NULL)
        return false;
    index = linear >> PAGE_SHIFT & (CHUNK_PAGES - 1);
    windows->counters.fills++;
    around = chunk_pages(chunk) < AROUND ? AROUND : AROUND_MORE;
    if (chunk->table == NULL && trace.shift >= CHUNK_SHIFT)
        chunk_fill(windows, w, chunk, 0, CHUNK_PAGES);
    else
        chunk_fill(windows, w, chunk, index & ~(around - 1), around);
    return bit_of(chunk->mapped, index);
}

/* ---- dropping ---- */

static void drop_page(struct windows *windows, linaddr_t linear)
{
    struct window *w = windows->current;
    const unsigned index = linear >> PAGE_SHIFT & (CHUNK_PAGES - 1);
    struct chunk *chunk;

    for (unsigned i = 0; i < windows->count; i++)
        windows->windows[i]->stale |= windows->windows[i] != w && windows->windows[i]->global;
    if (w == NULL)
        return;
    chunk = chunk_find(w, linear);
    if (chunk == NULL || !bit_of(chunk->mapped, index))
        return;
    if (!chain_holds(chunk) || !page_holds(chunk, index))
        chunk_revalidate(windows, w, chunk);
}

static void mark_stale(struct windows *windows, bool all, unsigned pcid)
{
    for (unsigned i = 0; i < windows->count; i++)
        windows->windows[i]->stale |= all || windows->windows[i]->pcid == pcid;
}

void windows_flush(struct windows *windows, uint64_t argument, enum tlb_flush what)
{
    struct window *w;

    switch (what) {
    case TLB_FLUSH_PAGE:
        drop_page(windows, argument);
        return;
    case TLB_FLUSH_PCID:
        mark_stale(windows, false, (unsigned)argument);
        return;
    case TLB_SWITCH_KEEP:
        break;
    case TLB_FLUSH_NONGLOBAL:
        /* Without PCIDs a load of CR3 comes here: what was current is flushed as well. */
        mark_stale(windows, !(windows->cpu->cr4 & CR4_PCIDE), mmu_pcid(windows->cpu));
        break;
    case TLB_SWITCH:
        mark_stale(windows, false, (unsigned)argument);
        break;
    case TLB_FLUSH_ALL:
    case TLB_FLUSH_PCIDS:
        mark_stale(windows, true, 0);
        break;
    }
    if (windows->count == 0)
        return;
    if (windows->cpu->data_breakpoints != 0)
        windows_drop_all(windows); /* every access must be seen */
    w = window_find(windows);
    if (w != NULL && (w->stale || w->control != control_bits(windows->cpu)))
        window_revalidate(windows, w);
    show(windows, w);
}

void windows_drop_writes(struct windows *windows, const uint8_t *page)
{
    const uint64_t frame = (uint64_t)(page - windows->backing) / PAGE_SIZE;

    if (page == NULL || frame >= windows->backing_bytes / PAGE_SIZE || windows->writers[frame] == 0)
        return;
    for (unsigned n = 0; n < windows->count; n++) {
        struct window *w = windows->windows[n];

        for (unsigned c = 0; c < 1 << CHUNK_HASH_BITS; c++)
            for (struct chunk *chunk = w->chunks[c]; chunk != NULL; chunk = chunk->next)
                for (unsigned i = 0; i < CHUNK_PAGES; i++)
                    if (bit_of(chunk->writable, i) && chunk->page_frame[i] == frame)
                        chunk_unmap(windows, w, chunk, i, 1);
    }
}

void windows_drop_all(struct windows *windows)
{
    for (unsigned i = 0; i < windows->count; i++)
        window_empty(windows, windows->windows[i]);
}

/* ---- creation ---- */

static bool has_fsgsbase(void)
{
    enum { HWCAP2_FSGSBASE_BIT = 2 };

    return getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE_BIT;
}

struct windows *windows_create(struct cpu *cpu, bool eager)
{
    struct windows *windows = has_fsgsbase() ? calloc(1, sizeof(*windows)) : NULL;

    if (windows == NULL)
        return NULL;
    windows->cpu = cpu;
    windows->eager = eager;
    windows->backing = physmem_backing(cpu->mem, 0);
    windows->backing_bytes = physmem_backing_size(cpu->mem);
    windows->writers = calloc(windows->backing_bytes / PAGE_SIZE + 1, 1);
    windows->nothing = reserve(REGION_BYTES);
    if (windows->writers == NULL || windows->nothing == NULL) {
        if (windows->nothing != NULL)
            release(windows->nothing, REGION_BYTES);
        free(windows->writers);
        free(windows);
        return NULL;
    }
    return windows;
}

void windows_destroy(struct windows *windows)
{
    if (windows == NULL)
        return;
    while (windows->count != 0)
        window_destroy(windows, windows->windows[0]);
    windows->cpu->windowed = false;
    release(windows->nothing, REGION_BYTES);
    free(windows->writers);
    free(windows);
}

const struct windows_counters *windows_counters(const struct windows *windows)
{
    return &windows->counters;
}
