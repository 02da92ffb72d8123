/*
 * translator/cache_regions.c -- regions, and the policies "fifo" and "flush".
 *
 * fifo: regions are filled one after the other, each from its start; when all are full the oldest
 * is emptied.  flush: one region is all of the cache, so everything goes at once.
 *
 * Both keep the cold parts of blocks apart.  Where a region is cut for that follows from what the
 * blocks made so far have needed.
 */
#include <stdlib.h>

#include "translator/cache_internal.h"
#include "translator/cache_regions.h"

enum { REGION_LEAST = 256 << 10 };

/* Regions, and what of them has been used by parts of either kind. */
struct halves {
    struct regions regions;
    uint64_t hot, cold;
};

void regions_cut(struct regions *regions, uint32_t start, uint64_t bytes, unsigned most,
                 uint32_t least)
{
    uint32_t size;

    regions->count = most;
    while (regions->count > 1 && bytes / regions->count < least)
        regions->count--;
    size = (uint32_t)(bytes / regions->count) & ~(CACHE_GRAIN - 1u);
    for (unsigned i = 0; i < regions->count; i++) {
        struct region *r = &regions->region[i];

        r->start = r->used = start + size * i;
        r->cut = r->end = r->cold_used = r->start + size;
    }
}

void regions_advance(struct cache *cache, struct regions *regions,
                     bool (*keep)(struct cache *cache, struct block *block))
{
    struct region *r = regions_current(regions);

    if (r->used != r->start)
        cache->counters.hole_bytes += region_room(r) + region_cold_room(r);
    regions->current = (regions->current + 1) % regions->count;
    r = regions_current(regions);
    if (r->used == r->start)
        return;
    for (uint32_t at = r->start; at < r->used;) {
        struct block *block = cache_start(cache, at);

        at += block_room(block);
        if (block->dead || keep == NULL || !keep(cache, block))
            cache_evict(cache, block);
    }
    cache->counters.hole_bytes -= region_room(r) + region_cold_room(r);
    cache->counters.evictions++;
    r->used = r->start;
    r->cold_used = r->cut;
}

static bool open_regions(struct cache *cache, unsigned most)
{
    struct halves *halves = calloc(1, sizeof(*halves));

    cache->state = halves;
    if (halves == NULL)
        return false;
    regions_cut(&halves->regions, cache->reserved, cache->bytes - cache->reserved, most,
                REGION_LEAST);
    halves->hot = 2; /* until more is known */
    halves->cold = 3;
    return true;
}

/* Cut an empty region: between a quarter and three quarters of it are for hot parts. */
static void cut(const struct halves *halves, struct region *r)
{
    const uint64_t size = r->end - r->start;
    uint64_t hot = size * halves->hot / (halves->hot + halves->cold);

    if (hot < size / 4)
        hot = size / 4;
    if (hot > size / 4 * 3)
        hot = size / 4 * 3;
    r->cut = r->cold_used = r->start + ((uint32_t)hot & ~(CACHE_GRAIN - 1u));
}

static bool regions_begin(struct cache *cache, struct extent *hot, struct extent *cold)
{
    struct halves *halves = cache->state;
    struct regions *regions = &halves->regions;

    for (unsigned i = 0; i <= regions->count; i++) {
        struct region *r = regions_current(regions);

        if (r->used == r->start)
            cut(halves, r);
        if (region_room(r) >= cache_room(cache) && region_cold_room(r) >= cache_room(cache) &&
            cache_has_block(cache)) {
            *hot = (struct extent){r->used, r->cut};
            *cold = (struct extent){r->cold_used, r->end};
            return true;
        }
        regions_advance(cache, regions, NULL);
    }
    return false;
}

/* In the current region, which is emptied after that of the block.  One without blocks has not been
 * cut yet. */
static bool regions_more(struct cache *cache, uint32_t bytes, struct extent *cold)
{
    struct halves *halves = cache->state;
    struct region *r = regions_current(&halves->regions);

    if (r->used == r->start || region_cold_room(r) < CACHE_TRY_ROOM)
        return false;
    *cold = (struct extent){r->cold_used, r->end};
    r->cold_used += bytes;
    halves->cold += bytes;
    return true;
}

static void regions_commit(struct cache *cache, struct block *block)
{
    struct halves *halves = cache->state;
    struct region *r = regions_current(&halves->regions);

    r->used += block_room(block);
    r->cold_used += block->cold_room;
    halves->hot += block_room(block);
    halves->cold += block->cold_room;
}

static bool fifo_open(struct cache *cache)
{
    return open_regions(cache, REGIONS_MOST);
}

static bool flush_open(struct cache *cache)
{
    return open_regions(cache, 1);
}

const struct cache_policy cache_fifo = {
    .name = "fifo",
    .summary = "up to 16 regions; the oldest goes as a whole",
    .open = fifo_open,
    .begin = regions_begin,
    .more = regions_more,
    .commit = regions_commit,
};

const struct cache_policy cache_flush_all = {
    .name = "flush",
    .summary = "everything goes when the cache is full",
    .open = flush_open,
    .begin = regions_begin,
    .more = regions_more,
    .commit = regions_commit,
};
