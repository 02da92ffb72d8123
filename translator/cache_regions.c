/*
 * translator/cache_regions.c -- regions, and the policies "fifo" and "flush".
 *
 * fifo: regions are filled one after the other, each from its start; when all are full the oldest
 * is emptied.  flush: one region is all of the cache, so everything goes at once.
 */
#include <stdlib.h>

#include "translator/cache_internal.h"
#include "translator/cache_regions.h"

enum { REGION_LEAST = 256 << 10 };

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
        r->end = r->start + size;
    }
}

void regions_advance(struct cache *cache, struct regions *regions,
                     bool (*keep)(struct cache *cache, struct block *block))
{
    struct region *r = regions_current(regions);

    if (r->used != r->start)
        cache->counters.hole_bytes += region_room(r);
    regions->current = (regions->current + 1) % regions->count;
    r = regions_current(regions);
    if (r->used == r->start)
        return;
    for (uint32_t at = r->start; at < r->used;) {
        struct block *block = cache_start(cache, at);

        at += block->room;
        if (block->dead || keep == NULL || !keep(cache, block))
            cache_evict(cache, block);
    }
    cache->counters.hole_bytes -= region_room(r);
    cache->counters.evictions++;
    r->used = r->start;
}

static bool open_regions(struct cache *cache, unsigned most)
{
    struct regions *regions = calloc(1, sizeof(*regions));

    cache->state = regions;
    if (regions != NULL)
        regions_cut(regions, cache->reserved, cache->bytes - cache->reserved, most, REGION_LEAST);
    return regions != NULL;
}

static bool regions_begin(struct cache *cache, uint32_t *start, uint32_t *end)
{
    struct regions *regions = cache->state;

    for (unsigned i = 0; i <= regions->count; i++) {
        const struct region *r = regions_current(regions);

        if (region_room(r) >= cache_room(cache) && cache_has_block(cache)) {
            *start = r->used;
            *end = r->end;
            return true;
        }
        regions_advance(cache, regions, NULL);
    }
    return false;
}

static void regions_commit(struct cache *cache, struct block *block)
{
    regions_current(cache->state)->used += block->room;
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
    .commit = regions_commit,
};

const struct cache_policy cache_flush_all = {
    .name = "flush",
    .summary = "everything goes when the cache is full",
    .open = flush_open,
    .begin = regions_begin,
    .commit = regions_commit,
};
