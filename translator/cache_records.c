/*
 * translator/cache_records.c -- what C wants to know of a block, packed behind its cold code.
 *
 *     at block->cold + cold_bytes, rounded up to 4:
 *       uint32_t            entry                       if it is late: offset in the cache, or 0
 *       struct block_exit   exits[exit_count]
 *       uint8_t guest, host sites[insn_count + 1]       or struct block_site if the block is wide
 *     if it has_extra, then rounded up to 8:
 *       struct block_extra  extra
 *       uint64_t            far[extra.far_count]        targets more than 2 GiB from the block
 *       struct block_call   calls[extra.call_count]
 *       struct block_hole   holes[extra.hole_count]
 *       int8_t              owed_sp[insn_count]         if extra.owes
 *
 * Offsets are rounded in the cache, and blocks are moved by multiples of CACHE_ALIGN.
 */
#include "translator/cache_internal.h"

enum { EXITS_ALIGN = 4, EXTRA_ALIGN = 8 };
_Static_assert(CACHE_ALIGN % EXTRA_ALIGN == 0, "moving keeps records aligned");

static uint32_t round_up(uint32_t offset, uint32_t align)
{
    return (offset + align - 1) & ~(align - 1);
}

static void emit_align(struct emit *e, unsigned align)
{
    while ((uintptr_t)e->at & (align - 1))
        emit_u8(e, 0xcc);
}

/* ---- where they are: offsets in the cache ---- */

static uint32_t entry_at(const struct block *block)
{
    return round_up(block->cold + block->cold_bytes, EXITS_ALIGN);
}

static uint32_t exits_at(const struct block *block)
{
    return entry_at(block) + (block->late ? sizeof(uint32_t) : 0);
}

static uint32_t sites_at(const struct block *block)
{
    return exits_at(block) + block->exit_count * (uint32_t)sizeof(struct block_exit);
}

static uint32_t extra_at(const struct block *block)
{
    const uint32_t bytes = block->wide ? sizeof(struct block_site) : 2;

    return round_up(sites_at(block) + (block->insn_count + 1u) * bytes, EXTRA_ALIGN);
}

uint32_t *cache_late_entry(const struct cache *cache, const struct block *block)
{
    return (uint32_t *)(cache->rw + entry_at(block));
}

struct block_exit *cache_exit(const struct cache *cache, const struct block *block, unsigned number)
{
    return (struct block_exit *)(cache->rw + exits_at(block)) + number;
}

struct block_site cache_site(const struct cache *cache, const struct block *block, unsigned index)
{
    const uint8_t *at = cache->rw + sites_at(block);

    if (block->wide)
        return ((const struct block_site *)at)[index];
    return (struct block_site){.guest = at[2 * index], .host = at[2 * index + 1]};
}

const struct block_extra *cache_extra(const struct cache *cache, const struct block *block)
{
    return block->has_extra ? (const struct block_extra *)(cache->rw + extra_at(block)) : NULL;
}

static const uint64_t *far_targets(const struct block_extra *extra)
{
    return (const uint64_t *)(extra + 1);
}

static const struct block_call *calls(const struct block_extra *extra)
{
    return (const struct block_call *)(far_targets(extra) + extra->far_count);
}

unsigned cache_bytes(const struct cache *cache, const struct block *block)
{
    return block->guest_bytes + (block->crosses ? cache_extra(cache, block)->next_bytes : 0u);
}

physaddr_t cache_phys(const struct cache *cache, const struct block *block, unsigned offset)
{
    const unsigned room = PAGE_SIZE - (block->key.phys & (PAGE_SIZE - 1));

    return !block->crosses || offset < room ? block->key.phys + offset
                                            : cache_extra(cache, block)->next_phys + offset - room;
}

const struct block_call *cache_call(const struct cache *cache, const struct block *block,
                                    unsigned number)
{
    return calls(cache_extra(cache, block)) + number;
}

const struct block_hole *cache_holes(const struct cache *cache, const struct block *block,
                                     unsigned *count)
{
    const struct block_extra *extra = cache_extra(cache, block);

    *count = extra != NULL ? extra->hole_count : 0;
    return extra != NULL ? (const struct block_hole *)(calls(extra) + extra->call_count) : NULL;
}

int cache_owed_sp(const struct cache *cache, const struct block *block, unsigned index)
{
    const struct block_extra *extra = cache_extra(cache, block);
    const struct block_hole *holes;
    unsigned count;

    if (extra == NULL || !extra->owes || index >= block->insn_count)
        return 0;
    holes = cache_holes(cache, block, &count);
    return ((const int8_t *)(holes + count))[index];
}

/* ---- what follows from them ---- */

/* The block's start as an offset in CS, not yet cut to 32 bits. */
static uint64_t start_of(const struct block *block)
{
    return block->key.linear - block->key.cs_base;
}

uint64_t cache_exit_target(const struct cache *cache, const struct block *block, unsigned number)
{
    const struct block_exit *exit = cache_exit(cache, block, number);
    uint64_t target;

    if (exit->is_far)
        return far_targets(cache_extra(cache, block))[exit->target];
    target = start_of(block) + (uint64_t)(int64_t)exit->target;
    return mode_is_code64(block->key.mode) ? target : (uint32_t)target;
}

struct block *cache_exit_to(const struct cache *cache, const struct block *block, unsigned number)
{
    uint32_t link = cache_exit(cache, block, number)->link;

    if (link == 0)
        return NULL;
    while ((link & BLOCK_REF_INCOMING) != BLOCK_REF_INCOMING)
        link = cache_ref_exit(cache, link)->link;
    return cache_ref_block(cache, link);
}

bool cache_resumes(const struct cache *cache, const struct block *block, unsigned index)
{
    const struct block_extra *extra = cache_extra(cache, block);

    if (index == block->insn_count)
        return !block->no_end;
    return index < BLOCK_RESUMES && (extra == NULL || !(extra->no_resume >> index & 1));
}

/* ---- making them ---- */

static bool is_wide(const struct block_records *records, unsigned insn_count)
{
    for (unsigned i = 0; i <= insn_count; i++)
        if (records->sites[i].guest > UINT8_MAX || records->sites[i].host > UINT8_MAX)
            return true;
    return false;
}

static void emit_narrow_sites(struct emit *e, const struct block_site *sites, unsigned count)
{
    uint8_t narrow[2 * (SUPERBLOCK_MAX_INSNS + 1)];

    for (unsigned i = 0; i < count; i++) {
        narrow[2 * i] = (uint8_t)sites[i].guest;
        narrow[2 * i + 1] = (uint8_t)sites[i].host;
    }
    emit_bytes(e, narrow, 2 * count);
}

/* The target as it is kept; false: it is too far away. */
static bool near_target(const struct block *block, uint64_t target, int32_t *near)
{
    const uint64_t distance = target - start_of(block);

    *near = (int32_t)distance;
    return !mode_is_code64(block->key.mode) || (int64_t)distance == *near;
}

static void emit_exit(const struct cache *cache, const struct block *block, struct emit *e,
                      const struct block_records *records, unsigned number, uint8_t *far_count)
{
    struct block_exit exit = {
        .jump = (uint16_t)(records->exits[number].jump - cache->rw -
                           (records->exits[number].is_cold ? block->cold : block->hot)),
        .is_cold = records->exits[number].is_cold,
        .checked = records->exits[number].checked,
        .head = records->exits[number].head,
    };

    if (!near_target(block, records->exits[number].target, &exit.target)) {
        exit.is_far = true;
        exit.target = (*far_count)++;
    }
    emit_bytes(e, &exit, sizeof(exit));
}

static void emit_extra(const struct block *block, struct emit *e,
                       const struct block_records *records, const struct block_extra *extra)
{
    int32_t near;

    emit_align(e, EXTRA_ALIGN);
    emit_bytes(e, extra, sizeof(*extra));
    for (unsigned i = 0; i < records->exit_count; i++)
        if (!near_target(block, records->exits[i].target, &near))
            emit_u64(e, records->exits[i].target);
    emit_bytes(e, records->calls, records->call_count * sizeof(records->calls[0]));
    emit_bytes(e, records->holes, records->hole_count * sizeof(records->holes[0]));
    if (extra->owes)
        emit_bytes(e, records->owed_sp, block->insn_count);
}

void cache_emit_records(const struct cache *cache, struct block *block, struct emit *e,
                        const struct block_records *records)
{
    const unsigned sites = block->insn_count + 1u;
    struct block_extra extra = {
        .no_resume = records->no_resume,
        .next_phys = records->next_phys,
        .next_bytes = (uint16_t)records->next_bytes,
        .call_count = (uint8_t)records->call_count,
        .hole_count = (uint8_t)records->hole_count,
        .owes = records->owes,
    };

    emit_align(e, EXITS_ALIGN);
    if (block->late)
        emit_u32(e, 0);
    block->exit_count = records->exit_count & BLOCK_REF_INCOMING;
    for (unsigned i = 0; i < records->exit_count; i++)
        emit_exit(cache, block, e, records, i, &extra.far_count);
    block->crosses = records->next_bytes != 0;
    block->wide = is_wide(records, block->insn_count);
    if (block->wide)
        emit_bytes(e, records->sites, sites * sizeof(records->sites[0]));
    else
        emit_narrow_sites(e, records->sites, sites);
    block->has_extra = extra.no_resume != 0 || block->crosses || extra.far_count != 0 ||
                       extra.call_count != 0 || extra.hole_count != 0 || extra.owes;
    if (block->has_extra)
        emit_extra(block, e, records, &extra);
}
