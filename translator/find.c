/*
 * translator/find.c -- the block at CS:rip: looked up, translated if it is hot, or none yet.
 */
#include "translator/find.h"

#include "cpu/debugger.h"
#include "cpu/fpu.h"
#include "cpu/mmu.h"
#include "translator/build.h"
#include "translator/copy.h"
#include "translator/runtime.h"

enum {
    BUILDING_MOST = 1 << 20, /* TSC ticks for a block that evicts nothing: some 0.4 ms */
    HOT = 2,         /* an address is translated at its HOT-th visit; before, it is interpreted */
    HEAD_VISITS = 8, /* as the start of a loop or function, before a block's are counted */
};

bool find_fetch(struct cpu *cpu, linaddr_t linear, physaddr_t *phys)
{
    const enum tlb_view view = mmu_view(cpu);
    const unsigned index = (linear >> PAGE_SHIFT) & (TLB_SIZE - 1);

    if (cpu->tlb.entries[view][index].tag_exec == (linear & PAGE_MASK)) {
        *phys = cpu->tlb.phys[view][index] | (linear & ~PAGE_MASK);
        return true;
    } else {
        uint8_t *host;

        return mmu_fill(cpu, linear, ACCESS_EXEC, view, &host, phys);
    }
}

/* A visit to what can be copied to where it is next time counts wherever it is. */
static uint64_t heat_mixed(const struct translator *tr, const struct block_key *key)
{
    const bool moves = !tr->options.no_copy && cache_is_portable(key);

    return (key->phys ^ (moves ? key->mode : key->linear << 24)) * 0x9e3779b97f4a7c15ull;
}

/*
 * Worth translating yet?  What has run twice will mostly run again.  An entry counts for the last
 * address that came to it, so that code which ran once leaves no trace.
 */
static bool is_hot(struct translator *tr, uint64_t mixed)
{
    struct heat *heat = &tr->heat[mixed >> (64 - HEAT_BITS)];
    const uint8_t tag = (uint8_t)mixed;

    if (heat->tag != tag)
        *heat = (struct heat){.tag = tag};
    if (heat->visits + 1 >= HOT)
        return true;
    heat->visits++;
    return false;
}

/*
 * Does the block stay inside a CS that has a limit?  Blocks are not keyed by the limit, so one that
 * runs or jumps over it now is left to the interpreter, which faults where the manual says: a jump
 * beyond the limit at the jump, straight code at the first byte outside.
 */
static bool inside_limit(const struct translator *tr, const struct cpu *cpu,
                         const struct block *block)
{
    const uint64_t limit = cpu->seg[CS].limit;
    const uint64_t next = (uint32_t)cpu->rip + (uint64_t)block->guest_bytes;

    if (next - 1 > limit)
        return false;
    /* The last exit may be the one behind the block's end. */
    for (unsigned i = 0; i < block->exit_count; i++) {
        const uint64_t target = cache_exit_target(tr->cache, block, i);

        if (target > limit && (target != next || i + 1 < block->exit_count))
            return false;
    }
    return true;
}

/*
 * build_block(), timed: page faults and evictions included.  By the TSC, as asking for CPU time is
 * a system call that takes as long as a block and leaves the next one with cold caches.  What takes
 * so long that the host must have run something else counts as BUILDING_MOST.
 */
static struct block *build_timed(struct translator *tr, struct cpu *cpu,
                                 const struct block_key *key, unsigned flags)
{
    const uint64_t evictions = cache_counters(tr->cache)->evictions;
    struct block *block;
    uint64_t began, ticks;

    fpu_leave(cpu);
    began = __builtin_ia32_rdtsc();
    block = build_block(tr, cpu, key, flags);
    ticks = __builtin_ia32_rdtsc() - began;
    if (ticks > BUILDING_MOST && cache_counters(tr->cache)->evictions == evictions)
        ticks = BUILDING_MOST;
    tr->counters.building_ticks += ticks;
    return block;
}

unsigned find_heat_flag(const struct translator *tr)
{
    return !tr->options.count_heads || tr->options.no_superblock || tr->options.eager_superblock ||
                   tr->options.no_chain || tr->options.counted
               ? 0
               : BUILD_HEAT;
}

/* Key of the block at CS:rip; false: there is none. */
static bool find_key(struct cpu *cpu, struct block_key *key)
{
    *key = (struct block_key){.mode = cpu->mode};
    if (!(cpu->mode & MODE_CS_FLAT)) {
        if ((uint32_t)cpu->rip > cpu->seg[CS].limit)
            return false;
        key->cs_base = (uint32_t)cpu->seg[CS].base;
    }
    key->linear = key->cs_base + cpu->rip;
    if (!cpu_is_code64(cpu))
        key->linear = (uint32_t)key->linear;
    else if (!linaddr_is_canonical(key->linear))
        return false;
    if (cpu->debugger != NULL && debugger_breaks_in(cpu->debugger, key->linear, 1))
        return false; /* the run loop stops there */
    return find_fetch(cpu, key->linear, &key->phys);
}

struct block *find_block(struct translator *tr, struct cpu *cpu, unsigned flags)
{
    struct block_key key;
    struct block *block;
    uint64_t mixed;

    if (!find_key(cpu, &key))
        return NULL;
    mixed = heat_mixed(tr, &key);
    __builtin_prefetch(&tr->heat[mixed >> (64 - HEAT_BITS)]); /* two cache misses at once */
    block = cache_find(tr->cache, &key);
    if (block == NULL) {
        if (!is_hot(tr, mixed) && !copy_exists(tr, cpu, &key)) {
            tr->counters.cold++;
            tr->cold = true;
            return NULL;
        }
        block = build_timed(tr, cpu, &key, flags);
        if (block == NULL) {
            tr->counters.untranslatable++;
            return NULL;
        }
    }
    if (!(cpu->mode & MODE_CS_FLAT) && !inside_limit(tr, cpu, block))
        return NULL;
    tables_fill_code(cpu, key.linear, block->page_id);
    if (block->portable)
        cache_note_space(tr->cache, block->page_id, cpu->cr3);
    return block;
}

struct block *find_head(struct translator *tr, struct cpu *cpu, unsigned flags, bool *settled)
{
    struct block *block = find_block(tr, cpu, flags);

    *settled = true;
    if (block == NULL) {
        tr->arrived = flags;
        return NULL;
    }
    if (!(flags & BUILD_HEAT) || block->counts || block->super || !(cpu->mode & MODE_CS_FLAT))
        return block;
    *settled = ++block->head_visits >= HEAD_VISITS;
    if (*settled) {
        const struct block_key key = block->key;
        struct block *counting;

        if (block->entry_is_hot)
            flags |= BUILD_ENTRY;
        block->head_visits = 0;
        counting = build_timed(tr, cpu, &key, flags);
        if (counting == NULL)
            return block->dead ? NULL : block;
        if (counting != block)
            cache_invalidate(tr->cache, block);
        tables_fill_code(cpu, key.linear, counting->page_id);
        return counting;
    }
    return block;
}
