/*
 * translator/cache_regions.c -- policies that cut the cache into regions: "fifo", "flush".
 *
 * Regions are filled one after the other, each from its start; when all are full the oldest is
 * emptied.  One region that is all of the cache makes "flush": everything goes at once.
 */
#include <stdlib.h>

#include "translator/cache_internal.h"
#include "translator/cache_regions.h"

enum { REGIONS = 16, REGION_LEAST = 256 << 10 };

struct region {
    uint32_t start, end; /* offsets */
    uint32_t used;       /* next free offset */
};

struct regions {
    unsigned count, current;
    struct region region[REGIONS];
};

static bool regions_open(struct cache *cache, unsigned most)
{
    const uint64_t bytes = cache->bytes - cache->reserved;
    struct regions *regions = calloc(1, sizeof(*regions));
    uint32_t size;

    if (regions == NULL)
        return false;
    cache->state = regions;
    regions->count = most;
    while (regions->count > 1 && cache->bytes / regions->count < REGION_LEAST)
        regions->count /= 2;
    size = (uint32_t)(bytes / regions->count) & ~(CACHE_GRAIN - 1u);
    for (unsigned i = 0; i < regions->count; i++) {
        struct region *r = &regions->region[i];

        r->start = r->used = cache->reserved + size * i;
        r->end = r->start + size;
    }
    return true;
}

static void region_empty(struct cache *cache, struct region *r)
{
    for (uint32_t at = r->start; at < r->used;) {
        struct block *block = cache_start(cache, at);

        at += block->room;
        cache_evict(cache, block);
    }
    if (r->used != r->start) {
        cache->counters.hole_bytes -= r->end - r->used;
        cache->counters.evictions++;
    }
    r->used = r->start;
}

static bool regions_begin(struct cache *cache, uint32_t *start, uint32_t *end)
{
    struct regions *regions = cache->state;
    struct region *r = &regions->region[regions->current];
    /* Near the end of a region a block is tried, and tried again elsewhere if it does not fit. */
    const uint32_t least = cache->retry ? CACHE_BLOCK_ROOM : CACHE_TRY_ROOM;

    for (unsigned i = 0; i < regions->count; i++) {
        if (r->end - r->used >= least && cache_has_block(cache))
            break;
        if (r->used != r->start)
            cache->counters.hole_bytes += r->end - r->used;
        regions->current = (regions->current + 1) % regions->count;
        r = &regions->region[regions->current];
        region_empty(cache, r);
    }
    *start = r->used;
    *end = r->end;
    return cache_has_block(cache);
}

static void regions_commit(struct cache *cache, struct block *block)
{
    struct regions *regions = cache->state;

    regions->region[regions->current].used += block->room;
}

static bool fifo_open(struct cache *cache)
{
    return regions_open(cache, REGIONS);
}

static bool flush_open(struct cache *cache)
{
    return regions_open(cache, 1);
}

const struct cache_policy cache_fifo = {
    .name = "fifo",
    .summary = "16 regions, the oldest goes as a whole",
    .open = fifo_open,
    .begin = regions_begin,
    .commit = regions_commit,
};

const struct cache_policy cache_flush_all = {
    .name = "flush",
    .summary = "everything goes when it is full",
    .open = flush_open,
    .begin = regions_begin,
    .commit = regions_commit,
};
