/*
 * translator/windows.c -- which windows there are, and which of them generated code sees; see
 * windows.h.
 */
#define _GNU_SOURCE
#include "translator/windows.h"

#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include "cpu/fpu.h"
#include "cpu/physmem.h"
#include "translator/window.h"

enum {
    WINDOWS_MAX = 24,     /* of users */
    MATURE_TICKS = 2,     /* found running so often, an address space is worth a window */
    MAPPINGS_MAX = 40000, /* below vm.max_map_count, which is 65530 by default */
    BASES_MAX = 16,
};

/* One mapping of struct cpu, with its slot tables: those of the user's lower half, of the
 * supervisor's lower and upper half.  NULL: the host refused. */
enum table { TABLE_USER, TABLE_LOWER, TABLE_UPPER, TABLES };
struct base {
    struct cpu *cpu;
    uint64_t *tables[TABLES];
    struct window *shown; /* of a user */
};

struct windows {
    struct window_host host;
    bool eager;
    struct window *windows[WINDOWS_MAX];
    unsigned count;
    struct window *current;
    struct window *supervisor;
    struct base bases[BASES_MAX];
    unsigned base_count;
    uint8_t *nothing;  /* a region in which nothing is ever mapped */
    uint8_t *check;    /* the one page of the checks, or MAP_FAILED */
    uint64_t low_user; /* host address of linear address 0 */
    uint64_t low_supervisor;
    uint64_t gs;      /* what GS holds in the thread that runs */
    uint64_t host_gs; /* and held before */
    bool entered;
    uint64_t switches;
};

static uint64_t distance_of(const uint8_t *host, uint64_t slot)
{
    return (uint64_t)host - (slot << WINDOW_REGION_SHIFT) + WINDOW_BIAS;
}

/* ---- what generated code looks things up in ---- */

/* The first linear address of a table, as a slot number. */
static uint64_t table_slot(enum table table)
{
    return table == TABLE_UPPER ? (~UINT64_C(0) >> WINDOW_REGION_SHIFT) + 1 - WINDOW_SLOTS : 0;
}

static uint64_t *table_map(struct cpu *cpu, enum table table)
{
    char *at = (char *)(cpu + 1) + (table == TABLE_USER ? 0 : WINDOW_TABLE_BYTES) +
               table_slot(table) * sizeof(uint64_t);
    void *mapped =
        mmap(at, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

    return mapped == MAP_FAILED ? NULL : mapped;
}

static void show_region(struct base *base, bool user, const struct window_region *region,
                        const uint8_t *host)
{
    const enum table table = user                                      ? TABLE_USER
                             : region->slot >= table_slot(TABLE_UPPER) ? TABLE_UPPER
                                                                       : TABLE_LOWER;

    if (base->tables[table] != NULL)
        base->tables[table][region->slot - table_slot(table)] = distance_of(host, region->slot);
}

/* Let the tables of one mapping of struct cpu show a user's window, or none. */
static void base_show(const struct windows *windows, struct base *base, struct window *w)
{
    for (unsigned i = 0; base->shown != NULL && i < base->shown->region_count; i++)
        show_region(base, true, &base->shown->regions[i], windows->nothing);
    for (unsigned i = 0; w != NULL && i < w->region_count; i++)
        show_region(base, true, &w->regions[i], w->regions[i].host);
    base->shown = w;
}

static void base_show_supervisor(const struct windows *windows, struct base *base)
{
    const struct window *w = windows->supervisor;

    for (unsigned i = 0; w != NULL && i < w->region_count; i++)
        show_region(base, false, &w->regions[i], w->regions[i].host);
}

/* That of the current address space; NULL: it cannot be had. */
static struct base *base_find(struct windows *windows)
{
    struct cpu *cpu = rt_of(windows->host.cpu)->base;
    struct base *base;

    for (unsigned i = 0; i < windows->base_count; i++)
        if (windows->bases[i].cpu == cpu)
            return &windows->bases[i];
    if (windows->base_count == BASES_MAX)
        return NULL;
    fpu_leave(windows->host.cpu);
    base = &windows->bases[windows->base_count++];
    base->cpu = cpu;
    base->shown = NULL;
    for (unsigned t = 0; t < TABLES; t++) {
        base->tables[t] = table_map(cpu, t);
        for (unsigned i = 0; base->tables[t] != NULL && i < WINDOW_SLOTS; i++)
            base->tables[t][i] = distance_of(windows->nothing, table_slot(t) + i);
    }
    base_show_supervisor(windows, base);
    return base;
}

static bool base_is_complete(const struct base *base)
{
    return base != NULL && base->tables[TABLE_USER] != NULL && base->tables[TABLE_LOWER] != NULL &&
           base->tables[TABLE_UPPER] != NULL;
}

static bool is_mature(const struct windows *windows, const struct window *w)
{
    return w != NULL && w->region_count != 0 && w->ticks >= (windows->eager ? 1 : MATURE_TICKS) &&
           windows->host.cpu->data_breakpoints == 0;
}

static uint64_t low_of(const struct windows *windows, const struct window *w)
{
    const uint8_t *low = w != NULL ? window_host_of(w, 0) : NULL;

    return (uint64_t)(low != NULL ? low : windows->nothing);
}

/* Let generated code see user `w`, or none, and the supervisor's window if it has one. */
static void show(struct windows *windows, struct window *w)
{
    struct base *base;
    uint8_t windowed = 0;

    windows->current = w;
    windows->low_user = windows->low_supervisor = (uint64_t)windows->nothing;
    if (is_mature(windows, w) || is_mature(windows, windows->supervisor)) {
        base = base_find(windows);
        if (base_is_complete(base)) {
            if (is_mature(windows, w)) {
                w->used_at = ++windows->switches;
                if (base->shown != w)
                    base_show(windows, base, w);
                windows->low_user = low_of(windows, w);
                windowed |= WINDOWED_USER;
            }
            if (is_mature(windows, windows->supervisor)) {
                windows->low_supervisor = low_of(windows, windows->supervisor);
                windowed |= WINDOWED_SUPERVISOR;
            }
        }
    }
    windows->host.cpu->windowed = windowed;
}

static void set_gs(struct windows *windows, uint64_t value)
{
    if (windows->entered && windows->gs != value) {
        __asm__ volatile("wrgsbase %0" : : "r"(value));
        windows->gs = value;
    }
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

uint64_t windows_select(struct windows *windows, uint32_t mode, linaddr_t stack)
{
    const bool user = mode & MODE_USER;
    const struct window *w = user ? windows->current : windows->supervisor;

    if (mode_is_code64(mode))
        set_gs(windows, (uint64_t)windows->check);
    else
        set_gs(windows, user ? windows->low_user : windows->low_supervisor);
    for (unsigned i = 0; w != NULL && i < w->region_count; i++)
        if (w->regions[i].slot == stack >> WINDOW_REGION_SHIFT)
            return distance_of(w->regions[i].host, w->regions[i].slot);
    return distance_of(windows->nothing, stack >> WINDOW_REGION_SHIFT);
}

/* ---- growing up ---- */

static void user_destroy(struct windows *windows, struct window *w)
{
    fpu_leave(windows->host.cpu);
    for (unsigned i = 0; i < windows->base_count; i++)
        if (windows->bases[i].shown == w)
            base_show(windows, &windows->bases[i], NULL);
    for (unsigned i = 0; i < windows->count; i++) {
        if (windows->windows[i] == w) {
            windows->windows[i] = windows->windows[--windows->count];
            break;
        }
    }
    if (windows->current == w)
        windows->current = NULL;
    window_destroy(&windows->host, w);
}

/* Make room: the user that was not current for longest goes.  False: there is none. */
static bool user_evict(struct windows *windows)
{
    struct window *oldest = NULL;

    for (unsigned i = 0; i < windows->count; i++) {
        struct window *w = windows->windows[i];

        if (w != windows->current && (oldest == NULL || w->used_at < oldest->used_at))
            oldest = w;
    }
    if (oldest == NULL)
        return false;
    user_destroy(windows, oldest);
    windows->host.counters.evictions++;
    return true;
}

static struct window *user_create(struct windows *windows)
{
    struct window *w;

    if (windows->count == WINDOWS_MAX && !user_evict(windows))
        return NULL;
    while (windows->host.regions > WINDOW_REGIONS_MOST - WINDOW_REGIONS_MAX && user_evict(windows))
        ;
    w = window_create(&windows->host, VIEW_USER);
    if (w == NULL)
        return NULL;
    w->used_at = ++windows->switches;
    windows->windows[windows->count++] = w;
    return w;
}

/* The window has got new regions: in the tables as well. */
static void show_regions(struct windows *windows, const struct window *w)
{
    for (unsigned i = 0; i < windows->base_count; i++) {
        if (w == windows->supervisor)
            base_show_supervisor(windows, &windows->bases[i]);
        else if (windows->bases[i].shown == w)
            base_show(windows, &windows->bases[i], windows->bases[i].shown);
    }
}

bool windows_tick(struct windows *windows)
{
    struct cpu *cpu = windows->host.cpu;
    const bool user = cpu->mode & MODE_USER;
    struct window **place = user ? &windows->current : &windows->supervisor;

    if ((cpu->mode & (MODE_V86 | MODE_WINDOW)) || !(cpu->mode & MODE_PROTECTED) ||
        is_mature(windows, *place))
        return false;
    fpu_leave(cpu);
    if (*place == NULL)
        *place = user ? user_create(windows) : window_create(&windows->host, VIEW_SUPERVISOR);
    if (*place == NULL || ++(*place)->ticks < (windows->eager ? 1 : MATURE_TICKS))
        return false;
    (void)window_add_regions(&windows->host, *place);
    show_regions(windows, *place);
    show(windows, windows->current);
    cpu_update_mode(cpu);
    return cpu->mode & MODE_WINDOW;
}

/* ---- checks ---- */

/*
 * What a check may reach: any 64-bit address shifted right by 27 as a signed one, less the number
 * of a page that is one of 512; or such an index, times eight.  All of that is reserved, and one
 * page of it can be read.
 */
enum { CHECK_SHIFT = 64 - 1 - WINDOW_BIAS };
#define CHECK_REACH ((UINT64_C(8) << CHECK_SHIFT) + WINDOW_SLOTS * PAGE_SIZE)

static uint8_t *check_reserve(void)
{
    uint8_t *at =
        mmap(NULL, 2 * CHECK_REACH, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (at == MAP_FAILED)
        return at;
    if (mprotect(at + CHECK_REACH, PAGE_SIZE, PROT_READ) == 0)
        return at + CHECK_REACH;
    munmap(at, 2 * CHECK_REACH);
    return MAP_FAILED;
}

static void check_release(uint8_t *check)
{
    if (check != MAP_FAILED)
        munmap(check - CHECK_REACH, 2 * CHECK_REACH);
}

bool windows_check(const struct windows *windows, uint64_t host)
{
    return host - ((uint64_t)windows->check - CHECK_REACH) < 2 * CHECK_REACH;
}

/* ---- filling ---- */

bool windows_contains(const struct windows *windows, uint64_t host)
{
    return window_reserved(windows->nothing, host) ||
           (windows->current != NULL && window_region_at(windows->current, host) != NULL) ||
           (windows->supervisor != NULL && window_region_at(windows->supervisor, host) != NULL);
}

/* The host allows only so many mappings. */
static void keep_budget(struct windows *windows, struct window *w)
{
    while (windows->host.mappings > MAPPINGS_MAX && user_evict(windows))
        ;
    if (windows->host.mappings > MAPPINGS_MAX)
        window_empty(&windows->host, w);
    if (windows->host.mappings > MAPPINGS_MAX && windows->supervisor != NULL)
        window_empty(&windows->host, windows->supervisor);
}

bool windows_fill(struct windows *windows, bool user, uint64_t host)
{
    struct window *w = user ? windows->current : windows->supervisor;

    if (w == NULL || !is_mature(windows, w))
        return false;
    fpu_leave(windows->host.cpu);
    if (window_region_at(w, host) == NULL) { /* in a region that there is not yet? */
        if (!window_add_regions(&windows->host, w))
            return false;
        show_regions(windows, w);
        show(windows, windows->current);
        return true;
    }
    keep_budget(windows, w);
    return window_fill(&windows->host, w, host);
}

bool windows_fill_again(struct windows *windows, uint64_t host)
{
    const struct window *w = windows->current;

    return w != NULL && window_region_at(w, host) != NULL && windows_fill(windows, true, host);
}

/* ---- dropping ---- */

static void mark_stale(struct windows *windows, bool all, unsigned pcid)
{
    for (unsigned i = 0; i < windows->count; i++)
        windows->windows[i]->stale |= all || windows->windows[i]->pcid == pcid;
}

static void drop_page(struct windows *windows, linaddr_t linear)
{
    const unsigned pcid = mmu_pcid(windows->host.cpu);
    struct window *w = windows->current;

    /* What is cached belongs to a PCID, whatever root it came from. */
    for (unsigned i = 0; i < windows->count; i++)
        windows->windows[i]->stale |=
            windows->windows[i] != w &&
            (windows->windows[i]->global || windows->windows[i]->pcid == pcid);
    if (w != NULL)
        window_drop_page(&windows->host, w, linear);
    if (windows->supervisor != NULL)
        window_drop_page(&windows->host, windows->supervisor, linear);
}

void windows_flush(struct windows *windows, uint64_t argument, enum tlb_flush what)
{
    struct cpu *cpu = windows->host.cpu;
    struct window *w = NULL;

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
        mark_stale(windows, !(cpu->cr4 & CR4_PCIDE), mmu_pcid(cpu));
        break;
    case TLB_SWITCH:
        mark_stale(windows, false, (unsigned)argument);
        break;
    case TLB_FLUSH_ALL:
    case TLB_FLUSH_PCIDS:
        mark_stale(windows, true, 0);
        break;
    }
    if (cpu->data_breakpoints != 0)
        windows_drop_all(windows); /* every access must be seen */
    if (windows->supervisor != NULL) {
        if (what == TLB_FLUSH_ALL)
            window_revalidate(&windows->host, windows->supervisor);
        else
            window_revalidate_local(&windows->host, windows->supervisor);
    }
    for (unsigned i = 0; i < windows->count && w == NULL; i++)
        if (window_is_current(&windows->host, windows->windows[i]))
            w = windows->windows[i];
    if (w != NULL && w->stale)
        window_revalidate(&windows->host, w);
    show(windows, w);
}

void windows_drop_writes(struct windows *windows, const uint8_t *page)
{
    const uint64_t frame = (uint64_t)(page - windows->host.backing) / PAGE_SIZE;

    if (page == NULL || frame >= windows->host.backing_bytes / PAGE_SIZE ||
        windows->host.writers[frame] == 0)
        return;
    for (unsigned n = 0; n < windows->count; n++)
        window_drop_writes(&windows->host, windows->windows[n], frame);
    if (windows->supervisor != NULL)
        window_drop_writes(&windows->host, windows->supervisor, frame);
}

void windows_drop_all(struct windows *windows)
{
    for (unsigned i = 0; i < windows->count; i++)
        window_empty(&windows->host, windows->windows[i]);
    if (windows->supervisor != NULL)
        window_empty(&windows->host, windows->supervisor);
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
    struct window_host *host;

    if (windows == NULL)
        return NULL;
    windows->eager = eager;
    host = &windows->host;
    host->cpu = cpu;
    host->backing = physmem_backing(cpu->mem, 0);
    host->backing_bytes = physmem_backing_size(cpu->mem);
    host->writers = calloc(host->backing_bytes / PAGE_SIZE + 1, 1);
    windows->nothing = window_reserve();
    windows->check = check_reserve();
    if (host->writers == NULL || windows->nothing == NULL || windows->check == MAP_FAILED) {
        check_release(windows->check);
        if (windows->nothing != NULL)
            window_release(windows->nothing);
        free(host->writers);
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
        user_destroy(windows, windows->windows[0]);
    if (windows->supervisor != NULL)
        window_destroy(&windows->host, windows->supervisor);
    windows->host.cpu->windowed = 0;
    cpu_update_mode(windows->host.cpu);
    window_release(windows->nothing);
    check_release(windows->check);
    free(windows->host.writers);
    free(windows);
}

const struct windows_counters *windows_counters(const struct windows *windows)
{
    return &windows->host.counters;
}
