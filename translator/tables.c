/*
 * translator/tables.c -- the per-CPU tables that generated code reads: inline TLB, code page ids,
 * jump cache.  They only ever repeat what the guest's page tables and the translation cache say.
 *
 * They may keep more than cpu->tlb, which has entries of the current PCID only: each PCID in use
 * has tables of user memory for itself (translator/spaces.c), and finds them as it left them when
 * MOV CR3 says that they are still good.  What is dropped follows the calls of cpu/mmu.c.
 */
#include <stdlib.h>

#include "cpu/fpu.h"
#include "cpu/mmu.h"
#include "cpu/physmem.h"
#include "translator/runtime.h"
#include "translator/spaces.h"

enum {
    LOG_CODE = 1 << RT_INDEX_BITS, /* a code id, otherwise a data entry */
    LOG_MAX = 2 * RT_ENTRIES,
};

/* Indices of one view that may be in use, so that dropping them touches no others.  An index may be
 * in both logs of its view, or twice in one, when pages of another kind moved in: then a log can
 * fill up, and the view is dropped. */
struct log {
    uint32_t count;
    uint32_t entry[LOG_MAX];
};

struct view {
    struct rt_view *table;
    uint32_t code_mode; /* whose code ids are in it */
    struct log local, global;
};

struct space {
    struct cpu *base;
    unsigned pcid;
    uint64_t used_at;
    struct view views[SPACE_VIEWS];
};

/*
 * For each page of guest RAM, where the inline TLBs may have a write tag for it, so that dropping
 * that need not look through the logs: the number of a view and an index, or MANY.  A hint may be
 * stale, but never forgets an entry.
 */
enum { HINT_NONE = 0, HINT_MANY = 1, HINT_FIRST = 2 };

struct tables {
    struct cpu *cpu;  /* primary mapping; spaces[0].base as well */
    uint8_t *backing; /* guest RAM */
    uint64_t pages;   /* of it */
    uint32_t *hints;  /* HINT_FIRST + view << RT_INDEX_BITS | index */
    struct view supervisor;
    struct space *spaces[SPACES_MAX];
    unsigned count;
    struct space *current;
    uint64_t switches;
};

static struct tables *tables_of(struct cpu *cpu)
{
    return ((struct translator *)cpu->translator_state)->tables;
}

/* ---- creation ---- */

static void view_init(struct view *view, struct cpu *base, unsigned number)
{
    struct rt_view *table = view->table = &rt_of(base)->views[number];

    for (uint32_t i = 0; i < RT_ENTRIES; i++)
        if (rt_no_tag(i) != 0) /* the others are, and untouched memory costs nothing */
            table->neg_read[i] = table->neg_write[i] = rt_no_tag(i);
}

static struct space *space_create(struct cpu *base, unsigned pcid)
{
    struct space *space = calloc(1, sizeof(*space));

    if (space == NULL)
        return NULL;
    space->base = base;
    space->pcid = pcid;
    for (unsigned i = 0; i < SPACE_VIEWS; i++)
        view_init(&space->views[i], base, SPACE_VIEW_FIRST + i);
    return space;
}

struct tables *tables_create(struct cpu *cpu)
{
    struct tables *tables = calloc(1, sizeof(*tables));

    if (tables == NULL)
        return NULL;
    tables->cpu = cpu;
    tables->backing = physmem_backing(cpu->mem, 0);
    tables->pages = physmem_backing_size(cpu->mem) / PAGE_SIZE;
    tables->hints = calloc(tables->pages, sizeof(tables->hints[0]));
    view_init(&tables->supervisor, cpu, VIEW_SUPERVISOR);
    tables->current = tables->spaces[0] = space_create(cpu, mmu_pcid(cpu));
    if (tables->current == NULL || tables->hints == NULL) {
        free(tables->current);
        free(tables->hints);
        free(tables);
        return NULL;
    }
    tables->count = 1;
    rt_of(cpu)->base = cpu;
    return tables;
}

void tables_destroy(struct tables *tables)
{
    if (tables == NULL)
        return;
    for (unsigned i = 0; i < tables->count; i++) {
        if (i != 0)
            spaces_unmap(tables->spaces[i]->base);
        free(tables->spaces[i]);
    }
    free(tables->hints);
    free(tables);
}

/* ---- one view ---- */

static void entry_clear(struct rt_view *table, uint32_t logged)
{
    const uint32_t index = logged & (RT_ENTRIES - 1);

    if (logged & LOG_CODE) {
        table->code_id[index] = 0;
    } else {
        table->neg_read[index] = table->neg_write[index] = rt_no_tag(index);
        table->addend[index] = 0;
    }
}

/* What has become global since it was logged is in the other log as well. */
static void view_flush_local(struct view *view)
{
    for (uint32_t i = 0; i < view->local.count; i++)
        if (!view->table->global[view->local.entry[i] & (RT_ENTRIES - 1)])
            entry_clear(view->table, view->local.entry[i]);
    view->local.count = 0;
}

static void view_flush(struct view *view)
{
    for (uint32_t i = 0; i < view->local.count; i++)
        entry_clear(view->table, view->local.entry[i]);
    for (uint32_t i = 0; i < view->global.count; i++)
        entry_clear(view->table, view->global.entry[i]);
    view->local.count = view->global.count = 0;
}

/* The index stays in its log: `addend` and RT_NO_CODE remember that. */
static void view_flush_index(struct view *view, uint32_t index)
{
    struct rt_view *table = view->table;

    table->neg_read[index] = table->neg_write[index] = rt_no_tag(index);
    if (table->code_id[index] != 0)
        table->code_id[index] = RT_NO_CODE;
}

static void view_log(struct view *view, uint32_t index, uint32_t kind)
{
    struct log *log = view->table->global[index] ? &view->global : &view->local;

    if (log->count == LOG_MAX)
        view_flush(view);
    log->entry[log->count++] = kind | index;
}

/* An index is shared by data entry and code id; when a page of the other kind moves in, both go. */
static void view_set_global(struct view *view, uint32_t index, bool global)
{
    struct rt_view *table = view->table;

    if (table->global[index] == global)
        return;
    view_flush_index(view, index);
    table->global[index] = global;
    if (table->addend[index] != 0)
        view_log(view, index, 0);
    if (table->code_id[index] != 0)
        view_log(view, index, LOG_CODE);
}

/* Does the entry let stores go to that page of host memory? */
static bool writes_to(const struct rt_view *table, uint32_t index, const uint8_t *host)
{
    return table->neg_write[index] != rt_no_tag(index) &&
           table->addend[index] - table->neg_write[index] == (uint64_t)host;
}

static void drop_write(struct rt_view *table, uint32_t index, const uint8_t *host)
{
    if (writes_to(table, index, host))
        table->neg_write[index] = rt_no_tag(index);
}

static void view_drop_writes(struct view *view, const uint8_t *host)
{
    const struct log *logs[] = {&view->local, &view->global};

    for (unsigned l = 0; l < sizeof(logs) / sizeof(logs[0]); l++)
        for (uint32_t i = 0; i < logs[l]->count; i++)
            if (!(logs[l]->entry[i] & LOG_CODE))
                drop_write(view->table, logs[l]->entry[i], host);
}

/* ---- what is dropped ---- */

static void space_flush(struct space *space, bool keep_global)
{
    for (unsigned i = 0; i < SPACE_VIEWS; i++)
        if (keep_global)
            view_flush_local(&space->views[i]);
        else
            view_flush(&space->views[i]);
}

static void flush_all(struct tables *tables)
{
    view_flush(&tables->supervisor);
    for (unsigned i = 0; i < tables->count; i++)
        space_flush(tables->spaces[i], false);
}

static void flush_page(struct tables *tables, linaddr_t linear)
{
    const uint32_t index = (uint32_t)(linear >> PAGE_SHIFT) & (RT_ENTRIES - 1);

    view_flush_index(&tables->supervisor, index);
    for (unsigned i = 0; i < tables->count; i++) {
        struct space *space = tables->spaces[i];

        for (unsigned v = 0; v < SPACE_VIEWS; v++)
            if (space == tables->current || space->views[v].table->global[index])
                view_flush_index(&space->views[v], index);
    }
}

/* The space of a PCID; NULL: it has none. */
static struct space *space_find(struct tables *tables, unsigned pcid)
{
    for (unsigned i = 0; i < tables->count; i++)
        if (tables->spaces[i]->pcid == pcid)
            return tables->spaces[i];
    return NULL;
}

/* One more, or the one that was not current for longest, emptied. */
static struct space *space_claim(struct tables *tables, unsigned pcid)
{
    struct space *oldest = tables->spaces[0];

    if (tables->count < SPACES_MAX) {
        struct cpu *base;
        struct space *space;

        fpu_leave(tables->cpu); /* the C library comes */
        base = spaces_map(tables->cpu, tables->count);
        space = base != NULL ? space_create(base, pcid) : NULL;
        if (space != NULL) {
            tables->spaces[tables->count++] = space;
            return space;
        }
        if (base != NULL)
            spaces_unmap(base);
    }
    for (unsigned i = 1; i < tables->count; i++)
        if (tables->spaces[i]->used_at < oldest->used_at)
            oldest = tables->spaces[i];
    space_flush(oldest, false);
    oldest->pcid = pcid;
    return oldest;
}

static void switch_to(struct tables *tables, unsigned pcid, bool keep)
{
    struct space *space = space_find(tables, pcid);

    view_flush_local(&tables->supervisor); /* of all PCIDs together */
    if (space == NULL)
        space = space_claim(tables, pcid);
    else if (!keep)
        space_flush(space, true);
    space->used_at = ++tables->switches;
    tables->current = space;
    rt_of(tables->cpu)->base = space->base;
}

static void flush_pcid(struct tables *tables, unsigned pcid)
{
    struct space *space = space_find(tables, pcid);

    if (space != NULL)
        space_flush(space, true);
}

void tables_flush(struct cpu *cpu, uint64_t argument, enum tlb_flush what)
{
    struct tables *tables = tables_of(cpu);

    switch (what) {
    case TLB_FLUSH_PAGE:
        flush_page(tables, argument);
        break;
    case TLB_FLUSH_NONGLOBAL:
        view_flush_local(&tables->supervisor);
        space_flush(tables->current, true);
        break;
    case TLB_FLUSH_ALL:
        flush_all(tables);
        /* CR4.PCIDE may have changed, and with it the number of the current PCID. */
        for (unsigned i = 0; i < tables->count; i++)
            tables->spaces[i]->pcid = ~0u;
        tables->current->pcid = mmu_pcid(cpu);
        break;
    case TLB_FLUSH_PCID:
        flush_pcid(tables, (unsigned)argument);
        break;
    case TLB_FLUSH_PCIDS:
        view_flush_local(&tables->supervisor);
        for (unsigned i = 0; i < tables->count; i++)
            space_flush(tables->spaces[i], true);
        break;
    case TLB_SWITCH:
    case TLB_SWITCH_KEEP:
        switch_to(tables, (unsigned)argument, what == TLB_SWITCH_KEEP);
        break;
    }
}

/* ---- write tags by host page ---- */

/* Views by number: the supervisor's, then those of each space. */
static struct view *view_by_number(struct tables *tables, unsigned number)
{
    return number == 0
               ? &tables->supervisor
               : &tables->spaces[(number - 1) / SPACE_VIEWS]->views[(number - 1) % SPACE_VIEWS];
}

static unsigned number_of_view(const struct tables *tables, const struct view *view)
{
    if (view == &tables->supervisor)
        return 0;
    for (unsigned i = 0;; i++)
        if (tables->spaces[i] == tables->current)
            return 1 + i * SPACE_VIEWS + (unsigned)(view - tables->current->views);
}

/* Where the page's hint is; NULL: it is no page of guest RAM. */
static uint32_t *hint_of(const struct tables *tables, const uint8_t *host)
{
    const uint64_t page = (uint64_t)(host - tables->backing) / PAGE_SIZE;

    return host >= tables->backing && page < tables->pages ? &tables->hints[page] : NULL;
}

/* The view, current, has a write tag at `index` for the page at `host`. */
static void hint_note(struct tables *tables, const struct view *view, uint32_t index,
                      const uint8_t *host)
{
    const uint32_t place = HINT_FIRST + (number_of_view(tables, view) << RT_INDEX_BITS | index);
    uint32_t *hint = hint_of(tables, host);

    if (hint == NULL || *hint == place || *hint == HINT_MANY)
        return;
    if (*hint != HINT_NONE) {
        const uint32_t other = *hint - HINT_FIRST;
        const struct view *at = view_by_number(tables, other >> RT_INDEX_BITS);

        if (writes_to(at->table, other & (RT_ENTRIES - 1), host)) {
            *hint = HINT_MANY;
            return;
        }
    }
    *hint = place;
}

void tables_drop_writes(struct cpu *cpu, const uint8_t *host)
{
    struct tables *tables = tables_of(cpu);
    uint32_t *hint = host != NULL ? hint_of(tables, host) : NULL;

    if (hint == NULL)
        return; /* ROM and the like has no write tags */
    if (*hint == HINT_MANY) {
        for (unsigned i = 0; i < 1 + tables->count * SPACE_VIEWS; i++)
            view_drop_writes(view_by_number(tables, i), host);
    } else if (*hint != HINT_NONE) {
        const uint32_t place = *hint - HINT_FIRST;

        drop_write(view_by_number(tables, place >> RT_INDEX_BITS)->table, place & (RT_ENTRIES - 1),
                   host);
    }
    *hint = HINT_NONE;
}

/* ---- what is filled ---- */

static struct view *current_view(struct cpu *cpu)
{
    struct tables *tables = tables_of(cpu);
    const enum tlb_view view = mmu_view(cpu);

    return view == VIEW_SUPERVISOR ? &tables->supervisor
                                   : &tables->current->views[view - SPACE_VIEW_FIRST];
}

static uint32_t entry_index(linaddr_t linear)
{
    return (uint32_t)(linear >> PAGE_SHIFT) & (RT_ENTRIES - 1);
}

void tables_fill(struct cpu *cpu, linaddr_t linear)
{
    struct view *view = current_view(cpu);
    struct rt_view *table = view->table;
    const enum tlb_view number = mmu_view(cpu);
    const uint64_t page = linear & PAGE_MASK;
    const unsigned slot = (linear >> PAGE_SHIFT) & (TLB_SIZE - 1);
    const struct tlb_entry *entry = &cpu->tlb.entries[number][slot];
    const bool readable = entry->tag_read == page, writable = entry->tag_write == page;
    const uint32_t index = entry_index(linear);

    if (!readable && !writable)
        return;
    view_set_global(view, index, tlb_is_global(&cpu->tlb, number, slot));
    if (table->addend[index] == 0)
        view_log(view, index, 0);
    table->neg_read[index] = readable ? -page : rt_no_tag(index);
    table->neg_write[index] = writable ? -page : rt_no_tag(index);
    table->addend[index] = entry->addend;
    if (writable)
        hint_note(tables_of(cpu), view, index, (const uint8_t *)(page + entry->addend));
}

/*
 * The code ids of a view are those of one mode.  A mode that shares the view (another base of DS,
 * CR0.TS set, CPL 1) would otherwise find the id of a page that it has not entered yet, and through
 * the jump cache a block that was made for the mode before.
 */
static void drop_other_modes(struct view *view, uint32_t mode)
{
    const struct log *logs[] = {&view->local, &view->global};

    if (view->code_mode == mode)
        return;
    view->code_mode = mode;
    for (unsigned l = 0; l < sizeof(logs) / sizeof(logs[0]); l++) {
        for (uint32_t i = 0; i < logs[l]->count; i++) {
            const uint32_t index = logs[l]->entry[i] & (RT_ENTRIES - 1);

            if ((logs[l]->entry[i] & LOG_CODE) && view->table->code_id[index] != 0)
                view->table->code_id[index] = RT_NO_CODE;
        }
    }
}

bool tables_know_mode(struct cpu *cpu)
{
    return current_view(cpu)->code_mode == cpu->mode;
}

void tables_fill_code(struct cpu *cpu, linaddr_t linear, uint32_t id)
{
    struct view *view = current_view(cpu);
    const enum tlb_view number = mmu_view(cpu);
    const uint32_t index = entry_index(linear);
    const unsigned slot = (linear >> PAGE_SHIFT) & (TLB_SIZE - 1);

    drop_other_modes(view, cpu->mode);
    view_set_global(view, index,
                    cpu->tlb.entries[number][slot].tag_exec == (linear & PAGE_MASK) &&
                        tlb_is_global(&cpu->tlb, number, slot));
    if (view->table->code_id[index] == 0)
        view_log(view, index, LOG_CODE);
    view->table->code_id[index] = id;
}

/* ---- jump cache ---- */

/* An address with another index, in whatever view and contract: nothing that is looked up here
 * matches, not even the last one of the address space, which a CALL must not find before its
 * push. */
static struct jump_entry empty_entry(uint32_t index, uint64_t empty)
{
    return (struct jump_entry){-((uint64_t)(index ^ 2) + 1), empty};
}

void tables_drop_block(struct cpu *cpu, const struct block_key *key, uint64_t checked,
                       uint64_t empty)
{
    struct rt *rt = rt_of(cpu);

    if (key != NULL) {
        const uint32_t index = rt_jump_index(mmu_mode_view(key->mode), key->linear);
        struct jump_entry *entry = &rt->jumps[index];

        if (entry->host == checked)
            *entry = empty_entry(index, empty);
        return;
    }
    for (uint32_t i = 0; i < RT_JUMPS; i++)
        rt->jumps[i] = empty_entry(i, empty);
    flush_all(tables_of(cpu));
}
