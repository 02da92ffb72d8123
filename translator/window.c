/*
 * translator/window.c -- one address space mirrored in host address space, see window.h.
 */
#define _GNU_SOURCE
#include "translator/window.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "cpu/fpu.h"
#include "cpu/physmem.h"

#define GUARD_BYTES (UINT64_C(1) << WINDOW_GUARD_SHIFT)

enum {
    CHUNK_SHIFT = 21,
    CHUNK_PAGES = 1 << (CHUNK_SHIFT - PAGE_SHIFT),
    CHUNK_WORDS = CHUNK_PAGES / 64,
    AROUND = 16,           /* pages: what else is mapped there comes along */
    AROUND_MORE = 64,      /* where much is in use */
    MAPPINGS_MOST = 56000, /* so many may be left when something is dropped */
};

/* 2 MiB of linear addresses. */
struct window_chunk {
    struct window_chunk *next;
    linaddr_t linear;
    bool local;          /* has pages that are not global */
    uint64_t root_value; /* of the entry in the root table, which lies elsewhere in each */
    unsigned count;      /* of the entries below it and above those that map the pages */
    unsigned entry_bytes;
    unsigned shift; /* of the guest's pages, as a power of two */
    const uint8_t *entry[MMU_TRACE_MAX];
    uint64_t value[MMU_TRACE_MAX];
    const uint8_t
        *table; /* the entries of the pages; NULL: one entry maps them all, or paging is off */
    uint64_t page_value[CHUNK_PAGES]; /* of mapped pages, as they were */
    uint32_t page_frame[CHUNK_PAGES]; /* of mapped pages: number of the page in guest RAM's memfd */
    uint64_t mapped[CHUNK_WORDS], writable[CHUNK_WORDS];
};

/* ---- host address space ---- */

uint8_t *window_reserve(void)
{
    uint8_t *at = mmap(NULL, WINDOW_REGION_BYTES + 2 * GUARD_BYTES, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return at == MAP_FAILED ? NULL : at + GUARD_BYTES;
}

void window_release(uint8_t *at)
{
    munmap(at - GUARD_BYTES, WINDOW_REGION_BYTES + 2 * GUARD_BYTES);
}

bool window_reserved(const uint8_t *at, uint64_t host)
{
    return host - ((uint64_t)at - GUARD_BYTES) < WINDOW_REGION_BYTES + 2 * GUARD_BYTES;
}

/* Nothing is mapped there any more.  False: the host would need more mappings than it allows. */
static bool make_inaccessible(uint8_t *at, uint64_t bytes)
{
    return mmap(at, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
                0) != MAP_FAILED;
}

static void count_mappings(struct window_host *host, struct window *w, unsigned more)
{
    w->mappings += more;
    host->mappings += more;
}

uint8_t *window_host_of(const struct window *w, linaddr_t linear)
{
    for (unsigned i = 0; i < w->region_count; i++)
        if (w->regions[i].slot == linear >> WINDOW_REGION_SHIFT)
            return w->regions[i].host + (linear & (WINDOW_REGION_BYTES - 1));
    return NULL;
}

const struct window_region *window_region_at(const struct window *w, uint64_t host)
{
    for (unsigned i = 0; i < w->region_count; i++)
        if (window_reserved(w->regions[i].host, host))
            return &w->regions[i];
    return NULL;
}

/* ---- the root table ---- */

/* The control bits that decide what a paging-structure entry means. */
static uint64_t control_bits(const struct cpu *cpu, enum tlb_view view)
{
    const uint64_t cr4 = CR4_PAE | CR4_PSE | CR4_PGE | CR4_PCIDE;
    const uint64_t cr0 = view == VIEW_USER ? CR0_PG : CR0_PG | CR0_WP;

    return (cpu->cr0 & cr0) ^ (cpu->cr4 & (view == VIEW_USER ? cr4 : cr4 | CR4_SMAP)) << 1 ^
           (cpu->efer & (EFER_LMA | EFER_NXE)) << 32 ^ (uint64_t)cpu->a20 << 63;
}

static uint64_t root_of(const struct cpu *cpu)
{
    if (!(cpu->cr0 & CR0_PG))
        return 0;
    if (cpu->efer & EFER_LMA)
        return cpu->cr3 & ~(uint64_t)(PAGE_SIZE - 1);
    return cpu->cr3 & (cpu->cr4 & CR4_PAE ? 0xffffffe0 : 0xfffff000);
}

/* In PAE paging the root table is registers. */
static bool root_in_memory(const struct cpu *cpu)
{
    return (cpu->cr0 & CR0_PG) && ((cpu->efer & EFER_LMA) || !(cpu->cr4 & CR4_PAE));
}

/* Host memory of the root table; NULL: it has none. */
static const uint8_t *root_host(const struct cpu *cpu)
{
    return root_in_memory(cpu) ? physmem_page(cpu->mem, root_of(cpu))->host : NULL;
}

static uint64_t entry_now(const uint8_t *entry, unsigned bytes)
{
    return bytes == 4 ? __atomic_load_n((const uint32_t *)entry, __ATOMIC_RELAXED)
                      : __atomic_load_n((const uint64_t *)entry, __ATOMIC_RELAXED);
}

/* The entry of the root table for a linear address; root: its host memory. */
static uint64_t root_now(const struct cpu *cpu, const uint8_t *root, linaddr_t linear)
{
    if (!(cpu->cr0 & CR0_PG))
        return 0;
    if (!root_in_memory(cpu))
        return cpu->pdpte[linear >> 30 & 3];
    if (root == NULL)
        return 0;
    return cpu->efer & EFER_LMA ? entry_now(root + (linear >> 39 & 511) * 8, 8)
                                : entry_now(root + (linear >> 22 & 1023) * 4, 4);
}

bool window_is_current(const struct window_host *host, const struct window *w)
{
    return w->root == root_of(host->cpu) && w->pcid == mmu_pcid(host->cpu);
}

static bool region_add(struct window_host *host, struct window *w, uint64_t slot)
{
    uint8_t *at;

    for (unsigned i = 0; i < w->region_count; i++)
        if (w->regions[i].slot == slot)
            return false;
    if (w->region_count == WINDOW_REGIONS_MAX || host->regions == WINDOW_REGIONS_MOST)
        return false;
    at = window_reserve();
    if (at == NULL)
        return false;
    host->regions++;
    w->regions[w->region_count++] = (struct window_region){slot, at};
    return true;
}

/* The user's are those of the lower half, the supervisor's those of the upper one, where it has
 * settled there. */
bool window_add_regions(struct window_host *host, struct window *w)
{
    enum { ROOTS = 512, HALF = ROOTS / 2 };
    const struct cpu *cpu = host->cpu;
    const uint8_t *root = root_host(cpu);
    bool upper = false, added = false;

    if (!(cpu->efer & EFER_LMA))
        return region_add(host, w,
                          0); /* as large as in long mode: what is not used costs nothing */
    if (root == NULL)
        return false;
    for (unsigned i = HALF; i < ROOTS && w->view != VIEW_USER; i++) {
        if (entry_now(root + i * 8, 8) & 1) {
            upper = true;
            added |= region_add(host, w, (~UINT64_C(0) << 48 | (uint64_t)i << 39) >> 39);
        }
    }
    for (unsigned i = 0; i < HALF && !upper; i++)
        if (entry_now(root + i * 8, 8) & 1)
            added |= region_add(host, w, i);
    return added;
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

static struct window_chunk **chunk_slot(struct window *w, linaddr_t linear)
{
    const uint64_t number = linear >> CHUNK_SHIFT;

    return &w->chunks[(number ^ number >> WINDOW_HASH_BITS) & ((1 << WINDOW_HASH_BITS) - 1)];
}

static struct window_chunk *chunk_find(struct window *w, linaddr_t linear)
{
    struct window_chunk *chunk = *chunk_slot(w, linear);

    while (chunk != NULL && chunk->linear >> CHUNK_SHIFT != linear >> CHUNK_SHIFT)
        chunk = chunk->next;
    return chunk;
}

static void writer_count(struct window_host *host, const struct window_chunk *chunk, unsigned i,
                         int step)
{
    uint8_t *writers = &host->writers[chunk->page_frame[i]];

    if (*writers != UINT8_MAX) /* too many to know when the last has gone */
        *writers = (uint8_t)(*writers + step);
}

/* Forget `count` pages from number `first` on; the caller unmaps. */
static void chunk_forget(struct window_host *host, struct window *w, struct window_chunk *chunk,
                         unsigned first, unsigned count)
{
    for (unsigned i = first; i < first + count; i++) {
        if (!bit_of(chunk->mapped, i))
            continue;
        if (bit_of(chunk->writable, i))
            writer_count(host, chunk, i, -1);
        bit_set(chunk->mapped, i, false);
        bit_set(chunk->writable, i, false);
        w->pages--;
        host->counters.drops++;
    }
}

/* Every page of the window goes.  Where the host has too many mappings to replace some by one, they
 * stay, without access. */
static void window_unmap(struct window_host *host, struct window *w)
{
    for (unsigned i = 0; i < 1 << WINDOW_HASH_BITS; i++)
        for (struct window_chunk *chunk = w->chunks[i]; chunk != NULL; chunk = chunk->next)
            chunk_forget(host, w, chunk, 0, CHUNK_PAGES);
    for (unsigned i = 0; i < w->region_count; i++)
        if (!make_inaccessible(w->regions[i].host, WINDOW_REGION_BYTES) &&
            mprotect(w->regions[i].host, WINDOW_REGION_BYTES, PROT_NONE) != 0)
            abort();
    host->mappings -= w->mappings - w->chunk_count;
    w->mappings = w->chunk_count;
}

static void chunk_unmap(struct window_host *host, struct window *w, struct window_chunk *chunk,
                        unsigned first, unsigned count)
{
    uint8_t *at = window_host_of(w, chunk->linear);

    chunk_forget(host, w, chunk, first, count);
    fpu_leave(host->cpu);
    if (host->mappings < MAPPINGS_MOST &&
        make_inaccessible(at + first * (uint64_t)PAGE_SIZE, count * (uint64_t)PAGE_SIZE))
        count_mappings(host, w, 2);
    else
        window_unmap(host, w);
}

static void chunk_unmap_all(struct window_host *host, struct window *w, struct window_chunk *chunk)
{
    for (unsigned i = 0; i < CHUNK_WORDS; i++) {
        if (chunk->mapped[i] != 0) {
            chunk_unmap(host, w, chunk, 0, CHUNK_PAGES);
            break;
        }
    }
    w->local_chunks -= chunk->local;
    chunk->local = false;
}

static unsigned chunk_pages(const struct window_chunk *chunk)
{
    unsigned pages = 0;

    for (unsigned i = 0; i < CHUNK_WORDS; i++)
        pages += (unsigned)__builtin_popcountll(chunk->mapped[i]);
    return pages;
}

/* ---- creation ---- */

struct window *window_create(struct window_host *host, enum tlb_view view)
{
    const struct cpu *cpu = host->cpu;
    struct window *w = calloc(1, sizeof(*w));

    if (w == NULL)
        return NULL;
    w->view = view;
    w->root = root_of(cpu);
    w->pcid = mmu_pcid(cpu);
    w->control = control_bits(cpu, view);
    host->counters.created++;
    return w;
}

void window_empty(struct window_host *host, struct window *w)
{
    fpu_leave(host->cpu);
    if (w->mappings != 0)
        window_unmap(host, w);
    for (unsigned i = 0; i < 1 << WINDOW_HASH_BITS; i++) {
        while (w->chunks[i] != NULL) {
            struct window_chunk *chunk = w->chunks[i];

            w->chunks[i] = chunk->next;
            free(chunk);
        }
    }
    host->mappings -= w->mappings;
    w->mappings = 0;
    w->stale = w->global = false;
    w->root_count = w->local_chunks = w->chunk_count = 0;
    w->largest = 0;
}

void window_destroy(struct window_host *host, struct window *w)
{
    window_empty(host, w);
    for (unsigned i = 0; i < w->region_count; i++)
        window_release(w->regions[i].host);
    host->regions -= w->region_count;
    free(w);
}

/* ---- still true? ---- */

static bool chain_holds(const struct cpu *cpu, const uint8_t *root,
                        const struct window_chunk *chunk)
{
    if (root_now(cpu, root, chunk->linear) != chunk->root_value)
        return false;
    for (unsigned i = 0; i < chunk->count; i++)
        if (entry_now(chunk->entry[i], chunk->entry_bytes) != chunk->value[i])
            return false;
    return true;
}

static bool page_holds(const struct window_chunk *chunk, unsigned i)
{
    return chunk->table == NULL || entry_now(chunk->table + i * chunk->entry_bytes,
                                             chunk->entry_bytes) == chunk->page_value[i];
}

/* Drop the pages whose entries changed, in runs. */
static void chunk_revalidate(struct window_host *host, struct window *w, const uint8_t *root,
                             struct window_chunk *chunk)
{
    unsigned first = 0, count = 0;

    if (!chain_holds(host->cpu, root, chunk)) {
        chunk_unmap_all(host, w, chunk);
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
                chunk_unmap(host, w, chunk, first, count);
                count = 0;
            }
            if (count++ == 0)
                first = i;
        }
    }
    if (count != 0)
        chunk_unmap(host, w, chunk, first, count);
}

/* local: only the chunks with pages that are not global. */
static void revalidate_chunks(struct window_host *host, struct window *w, bool local)
{
    const uint8_t *root = root_host(host->cpu);

    for (unsigned i = 0; i < 1 << WINDOW_HASH_BITS; i++)
        for (struct window_chunk *chunk = w->chunks[i]; chunk != NULL; chunk = chunk->next)
            if (chunk->local || !local)
                chunk_revalidate(host, w, root, chunk);
}

/* Whatever is mapped through entries of the root table that are no longer the same. */
static void revalidate_roots(struct window_host *host, struct window *w)
{
    const uint8_t *root = root_host(host->cpu);
    bool same = true;

    for (unsigned i = 0; i < w->root_count && same; i++)
        same = root_now(host->cpu, root, w->roots[i].linear) == w->roots[i].value;
    if (same)
        return;
    revalidate_chunks(host, w, false);
    for (unsigned i = 0; i < w->root_count; i++)
        w->roots[i].value = root_now(host->cpu, root, w->roots[i].linear);
}

/* Under other control bits than it was made?  Then it starts afresh. */
static bool starts_afresh(struct window_host *host, struct window *w)
{
    const uint64_t control = control_bits(host->cpu, w->view);

    host->counters.revalidations++;
    w->stale = false;
    if (w->control == control)
        return false;
    window_empty(host, w);
    w->control = control;
    return true;
}

void window_revalidate(struct window_host *host, struct window *w)
{
    const unsigned pages = w->pages;

    if (starts_afresh(host, w) || pages == 0)
        return;
    if (w->view != VIEW_USER)
        revalidate_roots(host, w);
    revalidate_chunks(host, w, false);
    /* Hardly anything is left: the root is another process's now. */
    if (w->view == VIEW_USER && pages > 16 && w->pages < pages / 8)
        w->ticks = 0;
}

void window_revalidate_local(struct window_host *host, struct window *w)
{
    if (starts_afresh(host, w) || w->pages == 0)
        return;
    revalidate_roots(host, w);
    if (w->local_chunks != 0)
        revalidate_chunks(host, w, true);
}

/* The page of the guest's at the address goes as a whole, of which other chunks may have parts. */
static void drop_large_page(struct window_host *host, struct window *w, linaddr_t linear)
{
    const uint8_t *root = root_host(host->cpu);

    for (unsigned i = 0; i < 1 << WINDOW_HASH_BITS; i++)
        for (struct window_chunk *chunk = w->chunks[i]; chunk != NULL; chunk = chunk->next)
            if (chunk->table == NULL && (chunk->linear ^ linear) >> chunk->shift == 0)
                chunk_revalidate(host, w, root, chunk);
}

void window_drop_page(struct window_host *host, struct window *w, linaddr_t linear)
{
    const unsigned index = linear >> PAGE_SHIFT & (CHUNK_PAGES - 1);
    struct window_chunk *chunk = chunk_find(w, linear);
    const uint8_t *root;

    if (w->largest > CHUNK_SHIFT)
        drop_large_page(host, w, linear);
    /* The page in the window may be one of many that one of the guest's stands for. */
    if (chunk == NULL || (chunk->table != NULL && !bit_of(chunk->mapped, index)))
        return;
    root = root_host(host->cpu);
    if (!chain_holds(host->cpu, root, chunk) || !page_holds(chunk, index))
        chunk_revalidate(host, w, root, chunk);
}

void window_drop_writes(struct window_host *host, struct window *w, uint64_t frame)
{
    for (unsigned c = 0; c < 1 << WINDOW_HASH_BITS; c++) {
        for (struct window_chunk *chunk = w->chunks[c]; chunk != NULL; chunk = chunk->next) {
            for (unsigned word = 0; word < CHUNK_WORDS; word++) {
                for (uint64_t left = chunk->writable[word]; left != 0; left &= left - 1) {
                    const unsigned i = word * 64 + (unsigned)__builtin_ctzll(left);

                    if (chunk->page_frame[i] == frame)
                        chunk_unmap(host, w, chunk, i, 1);
                }
            }
        }
    }
}

/* ---- filling ---- */

/* Remember which entry of the root table leads to the page. */
static bool root_note(struct window *w, linaddr_t linear, uint64_t value, unsigned shift)
{
    if (w->view == VIEW_USER)
        return true;
    for (unsigned i = 0; i < w->root_count; i++) {
        if (w->roots[i].linear >> shift == linear >> shift) {
            w->roots[i].value = value;
            return true;
        }
    }
    if (w->root_count == WINDOW_ROOTS_MAX)
        return false;
    w->roots[w->root_count++] = (struct window_root){linear, value};
    return true;
}

/* Bytes that an entry of the root table stands for, as a power of two. */
static unsigned root_shift(const struct cpu *cpu)
{
    return cpu->efer & EFER_LMA ? 39 : cpu->cr4 & CR4_PAE ? 30 : 22;
}

/* The chunk of a page, its chain as the trace has it. */
static struct window_chunk *chunk_claim(struct window_host *host, struct window *w,
                                        linaddr_t linear, const struct mmu_trace *trace)
{
    const struct cpu *cpu = host->cpu;
    /* A page table of 4-byte entries maps 4 MiB: the chunk is one half of it. */
    const bool large = trace->count == 0 || trace->shift > PAGE_SHIFT;
    const unsigned from = trace->count != 0 && root_in_memory(cpu) ? 1 : 0;
    const unsigned leaf = large ? 0 : 1,
                   count = trace->count < from + leaf ? 0 : trace->count - from - leaf;
    const unsigned index = linear >> PAGE_SHIFT & (CHUNK_PAGES - 1);
    const uint8_t *table =
        large ? NULL : trace->entry[trace->count - 1] - (uint64_t)index * trace->entry_bytes;
    const uint64_t root_value = root_now(cpu, root_host(cpu), linear);
    struct window_chunk *chunk = chunk_find(w, linear), **slot = chunk_slot(w, linear);
    bool same = chunk != NULL && chunk->count == count && chunk->table == table &&
                chunk->root_value == root_value;

    for (unsigned i = 0; same && i < count; i++)
        same =
            chunk->entry[i] == trace->entry[from + i] && chunk->value[i] == trace->value[from + i];
    if (same)
        return chunk;
    if (!root_note(w, linear, root_value, root_shift(cpu)))
        return NULL;
    if (chunk != NULL) {
        chunk_unmap_all(host, w, chunk);
    } else {
        chunk = calloc(1, sizeof(*chunk));
        if (chunk == NULL)
            return NULL;
        chunk->linear = linear >> CHUNK_SHIFT << CHUNK_SHIFT;
        chunk->next = *slot;
        *slot = chunk;
        w->chunk_count++;
        count_mappings(host, w, 1); /* what a guest makes of them is memory of the host, too */
    }
    chunk->shift = trace->shift;
    if (w->largest < trace->shift)
        w->largest = trace->shift;
    chunk->root_value = root_value;
    chunk->count = count;
    chunk->entry_bytes = trace->entry_bytes;
    chunk->table = table;
    for (unsigned i = 0; i < count; i++) {
        chunk->entry[i] = trace->entry[from + i];
        chunk->value[i] = trace->value[from + i];
    }
    return chunk;
}

/* May the page be in the window?  The supervisor's is used under all roots, so it has none of the
 * user's pages.  None has the one behind the first 4 GiB: an access of 32-bit code that begins in
 * front of it goes on at address 0. */
static bool may_hold(const struct window *w, linaddr_t linear, const struct mmu_trace *trace)
{
    return trace->read && linear != UINT64_C(1) << 32 &&
           (w->view == VIEW_USER || !trace->user || trace->count == 0);
}

/* Host memory of the page, and whether stores may go there unseen; NULL: not in guest RAM. */
static const uint8_t *page_memory(const struct window_host *host, const struct mmu_trace *trace,
                                  bool *writable)
{
    const struct phys_page *page = physmem_page(host->cpu->mem, trace->phys);

    if (page->host == NULL || !(page->flags & PHYS_RAM) ||
        (uint64_t)(page->host - host->backing) >= host->backing_bytes)
        return NULL;
    *writable = trace->write && (page->flags & (PHYS_WRITE | PHYS_CODE)) == PHYS_WRITE;
    return page->host;
}

/* A run of pages that are neighbours in the host's memory, too. */
struct run {
    unsigned first, count;
    const uint8_t *memory;
    bool writable;
};

static bool map_run(const struct window_host *host, uint8_t *at, const struct run *run)
{
    const int prot = run->writable ? PROT_READ | PROT_WRITE : PROT_READ;
    /* A large page has parts that nobody has used: the host need not make memory of them. */
    const int populate = run->count <= AROUND_MORE ? MAP_POPULATE : 0;

    return mmap(at, run->count * (uint64_t)PAGE_SIZE, prot, MAP_SHARED | MAP_FIXED | populate,
                physmem_fd(host->cpu->mem), run->memory - host->backing) != MAP_FAILED;
}

static void run_end(struct window_host *host, struct window *w, struct window_chunk *chunk,
                    struct run *run)
{
    const uint64_t frame = (uint64_t)(run->memory - host->backing) / PAGE_SIZE;
    uint8_t *at = window_host_of(w, chunk->linear) + run->first * (uint64_t)PAGE_SIZE;

    if (run->count != 0 && !map_run(host, at, run)) {
        chunk_unmap(host, w, chunk, run->first, run->count); /* what was there before */
    } else if (run->count != 0) {
        for (unsigned i = 0; i < run->count; i++) {
            chunk->page_frame[run->first + i] = (uint32_t)frame + i;
            bit_set(chunk->mapped, run->first + i, true);
            bit_set(chunk->writable, run->first + i, run->writable);
            if (run->writable)
                writer_count(host, chunk, run->first + i, 1);
        }
        count_mappings(host, w, 2);
        w->pages += run->count;
        host->counters.pages += run->count;
    }
    run->count = 0;
}

/* Can a walk find that there is something to map?  Most neighbours of a page that is used for the
 * first time are mapped already, or nobody has used them yet. */
static bool is_new(const struct window_chunk *chunk, unsigned i)
{
    enum { P_AND_A = 0x21 };

    if (chunk->table == NULL)
        return true;
    if (bit_of(chunk->mapped, i) && page_holds(chunk, i))
        return false;
    return (entry_now(chunk->table + i * (uint64_t)chunk->entry_bytes, chunk->entry_bytes) &
            P_AND_A) == P_AND_A;
}

/* Map what may be mapped of the `count` pages around page `wanted` of the chunk. */
static void chunk_fill(struct window_host *host, struct window *w, struct window_chunk *chunk,
                       unsigned wanted, unsigned count)
{
    const unsigned first = wanted & ~(count - 1);
    struct run run = {0};

    for (unsigned i = first; i < first + count; i++) {
        const linaddr_t linear = chunk->linear + i * (uint64_t)PAGE_SIZE;
        const uint8_t *memory = NULL;
        bool writable = false;
        struct mmu_trace trace;

        if ((i == wanted || is_new(chunk, i)) && mmu_trace(host->cpu, linear, w->view, &trace) &&
            may_hold(w, linear, &trace) &&
            (chunk->table == NULL) == (trace.count == 0 || trace.shift > PAGE_SHIFT))
            memory = page_memory(host, &trace, &writable);
        if (memory == NULL || (bit_of(chunk->mapped, i) && page_holds(chunk, i) &&
                               bit_of(chunk->writable, i) == writable)) {
            run_end(host, w, chunk, &run);
            continue;
        }
        chunk_forget(host, w, chunk, i, 1); /* mapped anew */
        w->global |= trace.global;
        if (!trace.global && !chunk->local) {
            chunk->local = true;
            w->local_chunks++;
        }
        chunk->page_value[i] = trace.count != 0 ? trace.value[trace.count - 1] : 0;
        if (run.count != 0 &&
            (run.memory + run.count * (uint64_t)PAGE_SIZE != memory || run.writable != writable))
            run_end(host, w, chunk, &run);
        if (run.count++ == 0)
            run = (struct run){i, 1, memory, writable};
    }
    run_end(host, w, chunk, &run);
}

bool window_fill(struct window_host *host, struct window *w, uint64_t address)
{
    const struct window_region *region = window_region_at(w, address);
    const uint64_t offset = address - (uint64_t)region->host;
    const linaddr_t linear = (offset + (region->slot << WINDOW_REGION_SHIFT)) & PAGE_MASK;
    const unsigned index = linear >> PAGE_SHIFT & (CHUNK_PAGES - 1);
    struct mmu_trace trace;
    struct window_chunk *chunk;
    unsigned pages, around;
    uint64_t mapped;

    if (offset >= WINDOW_REGION_BYTES || /* in a guard: across the region's end */
        !mmu_trace(host->cpu, linear, w->view, &trace) || !may_hold(w, linear, &trace))
        return false;
    chunk = chunk_claim(host, w, linear, &trace);
    if (chunk == NULL)
        return false;
    pages = chunk_pages(chunk);
    if (pages == 0 && chunk->table == NULL)
        around = CHUNK_PAGES;
    else
        around = pages < AROUND ? AROUND : AROUND_MORE;
    mapped = host->counters.pages;
    chunk_fill(host, w, chunk, index, around);
    /* Otherwise it is there as it may be: read-only, for it has code. */
    if (host->counters.pages == mapped)
        return false;
    host->counters.fills++;
    return bit_of(chunk->mapped, index);
}
