/*
 * translator/cache_generations.c -- the policy "generational".
 *
 *   young: a quarter of the cache      old: the rest
 *   +-------+-------+-------+-------+  +-------+-------+-- ... --+-------+
 *   | new   |       | watch | next  |  |       |       |         |       |
 *   +-------+-------+-------+-------+  +-------+-------+-- ... --+-------+
 *
 * A block begins its life in a young region.  While the region behind the one that is being filled
 * waits for its turn to be emptied it is watched: the ways to its blocks are cut, so that the next
 * use of each comes through the look-up and is seen.  When it is emptied, blocks that were used
 * move to an old region, the others go.  Old regions are emptied in turn, as by "fifo".
 */
#include <stdlib.h>

#include "translator/cache_internal.h"
#include "translator/cache_regions.h"

enum {
    YOUNG_REGIONS = 4,
    OLD_REGIONS = 12,
    REGION_LEAST = 2 * CACHE_BLOCK_ROOM,
};

struct generations {
    struct regions young, old;
};

static bool generations_open(struct cache *cache)
{
    struct generations *g = calloc(1, sizeof(*g));
    const uint64_t bytes = cache->bytes - cache->reserved;
    uint32_t young = (uint32_t)(bytes / 4) & ~(CACHE_GRAIN - 1u);

    cache->state = g;
    if (g == NULL)
        return false;
    if (young < 2 * REGION_LEAST)
        young = 2 * REGION_LEAST; /* one to fill, one to watch */
    regions_cut(&g->young, cache->reserved, young, YOUNG_REGIONS, REGION_LEAST);
    regions_cut(&g->old, cache->reserved + young, bytes - young, OLD_REGIONS, REGION_LEAST);
    return true;
}

/* A block that was used while it was watched grows old. */
static bool promote(struct cache *cache, struct block *block)
{
    struct generations *g = cache->state;

    if (!block->used)
        return false;
    if (region_room(regions_current(&g->old)) < block_room(block))
        regions_advance(cache, &g->old, NULL);
    cache_move(cache, block, regions_current(&g->old)->used);
    regions_current(&g->old)->used += block_room(block);
    cache->counters.promotions++;
    return true;
}

/* The next young region will be the one after the current: find out what is used there. */
static void watch_next(struct cache *cache, const struct regions *young)
{
    const struct region *r = &young->region[(young->current + 1) % young->count];

    for (uint32_t at = r->start; at < r->used;) {
        struct block *block = cache_start(cache, at);

        at += block_room(block);
        if (!block->dead)
            cache_watch(cache, block);
    }
}

static bool generations_begin(struct cache *cache, struct extent *hot, struct extent *cold)
{
    struct generations *g = cache->state;

    /* Structs run out only when blocks are tiny: then old ones have to go. */
    for (unsigned i = 0; i < g->old.count && !cache_has_block(cache); i++)
        regions_advance(cache, &g->old, NULL);
    for (unsigned i = 0; i <= g->young.count; i++) {
        const struct region *r = regions_current(&g->young);

        if (region_room(r) >= cache_room(cache) && cache_has_block(cache)) {
            *hot = (struct extent){r->used, r->end};
            *cold = (struct extent){0};
            return true;
        }
        regions_advance(cache, &g->young, promote);
        watch_next(cache, &g->young);
    }
    return false;
}

static void generations_commit(struct cache *cache, struct block *block)
{
    struct generations *g = cache->state;

    regions_current(&g->young)->used += block_room(block);
}

const struct cache_policy cache_generational = {
    .name = "generational",
    .summary = "young regions first; what was used lately moves to old ones",
    .moves = true,
    .open = generations_open,
    .begin = generations_begin,
    .commit = generations_commit,
};
