/*
 * translator/tables.c -- the per-CPU tables that generated code reads: inline TLB, code page ids,
 * jump cache.  They only ever repeat what cpu->tlb and the translation cache know, and are cleared
 * whenever those drop something.
 */
#include "translator/runtime.h"

#include "cpu/mmu.h"
#include "cpu/physmem.h"

static struct cpu *rt_cpu(struct rt *rt)
{
    return (struct cpu *)((char *)rt - offsetof(struct cpu, translator_area));
}

static void log_entry(struct rt *rt, enum tlb_view view, uint32_t index, uint32_t kind)
{
    /* `addend` tells a data entry that is in the log, but is 0 as well for the one page that the
     * guest has mapped at its host address: that one may come again and again. */
    if (rt->log_count == sizeof(rt->log) / sizeof(rt->log[0]))
        tables_flush(rt_cpu(rt), false);
    rt->log[rt->log_count++] = kind | (uint32_t)view << RT_INDEX_BITS | index;
}

/* Every index is logged once for each table, when it stops being empty: the log cannot overflow. */
_Static_assert(sizeof(((struct rt *)0)->log) / sizeof(uint32_t) >= 2 * TLB_VIEWS * RT_ENTRIES,
               "room for every entry");

/* An index is shared by data entry and code id; when a page of the other kind moves in, both go. */
static void set_global(struct rt *rt, enum tlb_view view, uint32_t index, bool global)
{
    if (rt->global[view][index] == global)
        return;
    rt->global[view][index] = global;
    rt->neg_read[view][index] = 0;
    rt->neg_write[view][index] = 0;
    if (rt->code_id[view][index] != 0)
        rt->code_id[view][index] = RT_NO_CODE;
}

static uint32_t entry_index(linaddr_t linear)
{
    return (uint32_t)(linear >> PAGE_SHIFT) & (RT_ENTRIES - 1);
}

void tables_flush(struct cpu *cpu, bool keep_global)
{
    struct rt *rt = rt_of(cpu);
    uint32_t kept = 0;

    for (uint32_t i = 0; i < rt->log_count; i++) {
        const uint32_t index = rt->log[i] & (RT_ENTRIES - 1);
        const unsigned view = rt->log[i] >> RT_INDEX_BITS & 3;

        if (keep_global && rt->global[view][index]) {
            rt->log[kept++] = rt->log[i];
        } else if (rt->log[i] & RT_LOG_CODE) {
            rt->code_id[view][index] = 0;
        } else {
            rt->neg_read[view][index] = 0;
            rt->neg_write[view][index] = 0;
            rt->addend[view][index] = 0;
        }
    }
    rt->log_count = kept;
}

void tables_flush_page(struct cpu *cpu, linaddr_t linear)
{
    struct rt *rt = rt_of(cpu);
    const uint32_t index = entry_index(linear);

    /* The log keeps the index: what is cleared twice stays clear, and a refill is not logged again
     * because `addend` and the ids below remember that it is in the log. */
    for (unsigned view = 0; view < TLB_VIEWS; view++) {
        rt->neg_read[view][index] = 0;
        rt->neg_write[view][index] = 0;
        if (rt->code_id[view][index] != 0)
            rt->code_id[view][index] = RT_NO_CODE;
    }
}

void tables_fill(struct cpu *cpu, linaddr_t linear)
{
    struct rt *rt = rt_of(cpu);
    const enum tlb_view view = mmu_view(cpu);
    const uint64_t page = linear & PAGE_MASK;
    const unsigned slot = (linear >> PAGE_SHIFT) & (TLB_SIZE - 1);
    const struct tlb_entry *entry = &cpu->tlb.entries[view][slot];
    const bool readable = entry->tag_read == page, writable = entry->tag_write == page;
    const uint32_t index = entry_index(linear);
    const uint64_t negated = -((page >> PAGE_SHIFT) + 1);

    if (!readable && !writable)
        return;
    set_global(rt, view, index, cpu->tlb.global[view][slot]);
    if (rt->addend[view][index] == 0)
        log_entry(rt, view, index, 0);
    rt->neg_read[view][index] = readable ? negated : 0;
    rt->neg_write[view][index] = writable ? negated : 0;
    rt->addend[view][index] = entry->addend;
}

/*
 * The code ids of a view are those of one mode.  A mode that shares the view (another base of DS,
 * CR0.TS set, CPL 1) would otherwise find the id of a page that it has not entered yet, and through
 * the jump cache a block that was made for the mode before.
 */
static void drop_other_modes(struct cpu *cpu, enum tlb_view view)
{
    struct rt *rt = rt_of(cpu);

    if (rt->code_mode[view] == cpu->mode)
        return;
    rt->code_mode[view] = cpu->mode;
    for (uint32_t i = 0; i < rt->log_count; i++) {
        const uint32_t index = rt->log[i] & (RT_ENTRIES - 1);

        if ((rt->log[i] & RT_LOG_CODE) && (rt->log[i] >> RT_INDEX_BITS & 3) == view &&
            rt->code_id[view][index] != 0)
            rt->code_id[view][index] = RT_NO_CODE;
    }
}

void tables_fill_code(struct cpu *cpu, linaddr_t linear, uint32_t id)
{
    struct rt *rt = rt_of(cpu);
    const enum tlb_view view = mmu_view(cpu);
    const uint32_t index = entry_index(linear);
    const unsigned slot = (linear >> PAGE_SHIFT) & (TLB_SIZE - 1);

    drop_other_modes(cpu, view);
    set_global(rt, view, index,
               cpu->tlb.entries[view][slot].tag_exec == (linear & PAGE_MASK) &&
                   cpu->tlb.global[view][slot]);
    if (rt->code_id[view][index] == 0)
        log_entry(rt, view, index, RT_LOG_CODE);
    rt->code_id[view][index] = id;
}

void tables_drop_writes(struct cpu *cpu, const uint8_t *host)
{
    struct rt *rt = rt_of(cpu);

    for (uint32_t i = 0; i < rt->log_count; i++) {
        const uint32_t index = rt->log[i] & (RT_ENTRIES - 1);
        const unsigned view = rt->log[i] >> RT_INDEX_BITS & 3;
        uint64_t page;

        if ((rt->log[i] & RT_LOG_CODE) || rt->neg_write[view][index] == 0)
            continue;
        page = (-rt->neg_write[view][index] - 1) << PAGE_SHIFT;
        if (page + rt->addend[view][index] == (uint64_t)host)
            rt->neg_write[view][index] = 0;
    }
}

/* An address with another index: nothing that is looked up here matches, not even the last one of
 * the address space, which a CALL must not find before its push. */
static struct jump_entry empty_entry(uint32_t index, uint64_t empty)
{
    return (struct jump_entry){-((uint64_t)(index ^ 1) + 1), empty};
}

void tables_drop_block(struct cpu *cpu, const struct block *block, uint64_t empty)
{
    struct rt *rt = rt_of(cpu);

    if (block != NULL) {
        const uint32_t index = rt_jump_index(mmu_mode_view(block->key.mode), block->key.linear);
        struct jump_entry *entry = &rt->jumps[index];

        if (entry->host == block->checked_host)
            *entry = empty_entry(index, empty);
        return;
    }
    for (uint32_t i = 0; i < RT_JUMPS; i++)
        rt->jumps[i] = empty_entry(i, empty);
    tables_flush(cpu, false);
}
