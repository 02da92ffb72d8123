/*
 * translator/cache_single.c -- the policy "block": single blocks go, those not used lately first.
 *
 *             hand                 front
 *   | scratch |  free  | B | B | B | B | B | B | ...
 *
 * A block is made in the scratch area, where its size turns out, and moved to where the hand is.
 * The hand goes round and collects free memory, dead blocks, and blocks that have not been used
 * since the front, an eighth of the cache ahead, passed: there the ways to each block are cut, so
 * that its next use comes through the look-up and is seen (a clock with two hands).  Blocks that
 * were used stay where they are; the hand leaves what it collected before them as a free extent,
 * noted in cache->starts.
 */
#include <stdlib.h>

#include "translator/cache_internal.h"
#include "translator/cache_single.h"

struct single {
    uint32_t start, end; /* [start, end) is cut into extents without gaps */
    uint32_t hand, front;
    uint32_t ahead;    /* bytes from hand to front, going round; the whole round at first */
    uint32_t distance; /* that it should be at least when a block is judged */
    bool left_over;    /* what is free at the hand was never passed over */
};

/* ---- extents ---- */

static void note_free(struct cache *cache, uint32_t at, uint32_t bytes)
{
    cache->starts[at >> CACHE_GRAIN_SHIFT] = CACHE_FREE | bytes / CACHE_ALIGN;
}

/* Size of the extent that starts at `at`; *block: what it is, NULL: free. */
static uint32_t extent_at(const struct cache *cache, uint32_t at, struct block **block)
{
    *block = cache_start(cache, at);
    if (*block != NULL)
        return block_room(*block);
    return (cache->starts[at >> CACHE_GRAIN_SHIFT] & ~CACHE_FREE) * CACHE_ALIGN;
}

static bool single_open(struct cache *cache)
{
    struct single *s = calloc(1, sizeof(*s));

    cache->state = s;
    if (s == NULL)
        return false;
    s->start = cache->reserved + CACHE_BLOCK_ROOM;
    s->end = (uint32_t)cache->bytes;
    s->hand = s->front = s->start;
    s->ahead = s->end - s->start;
    s->distance = s->ahead / 8;
    note_free(cache, s->start, s->end - s->start);
    s->left_over = true;
    return true;
}

/* ---- the two hands ---- */

static void front_advance(struct cache *cache, struct single *s, uint32_t ahead)
{
    while (s->ahead < ahead) {
        struct block *block;
        const uint32_t bytes = extent_at(cache, s->front, &block);

        if (block != NULL && !block->dead)
            cache_watch(cache, block);
        s->ahead += bytes;
        s->front += bytes;
        if (s->front == s->end)
            s->front = s->start;
    }
}

/* The hand leaves `bytes` behind it, of which it has collected `got` for nothing. */
static void hand_advance(struct cache *cache, struct single *s, uint32_t bytes, uint32_t got)
{
    if (got != 0) {
        note_free(cache, s->hand, got);
        cache->counters.hole_bytes += got;
    }
    s->ahead -= bytes;
    s->hand += bytes;
    if (s->hand == s->end)
        s->hand = s->start;
}

/*
 * Collect `need` bytes at the hand, or so many more that the rest is an extent of its own, and a
 * struct block.  Returns how many bytes there are, not noted anywhere.
 */
static uint32_t collect(struct cache *cache, struct single *s, uint32_t need)
{
    bool counted = !s->left_over; /* as a hole; so are all but the first */
    bool evicted = false;
    uint32_t got = 0;

    while ((got != need && got < need + CACHE_GRAIN) || !cache_has_block(cache)) {
        struct block *block;
        uint32_t bytes;

        if (s->hand + got == s->end) {
            hand_advance(cache, s, got, got);
            got = 0;
            counted = true;
            continue;
        }
        bytes = extent_at(cache, s->hand + got, &block);
        if (block == NULL) {
            front_advance(cache, s, got + bytes);
            cache->starts[(s->hand + got) >> CACHE_GRAIN_SHIFT] = CACHE_NO_START;
            if (counted)
                cache->counters.hole_bytes -= bytes;
            got += bytes;
        } else {
            front_advance(cache, s, got + bytes + s->distance);
            if (!block->dead && block->used) {
                hand_advance(cache, s, got + bytes, got);
                got = 0;
            } else {
                evicted |= !block->dead;
                cache_evict(cache, block);
                got += bytes;
            }
        }
        counted = true;
    }
    cache->counters.evictions += evicted;
    return got;
}

/* What was collected stays at the hand. */
static void put_back(struct cache *cache, struct single *s, uint32_t got)
{
    s->left_over = got != 0;
    if (got != 0)
        note_free(cache, s->hand, got);
}

/* ---- the policy ---- */

static bool single_begin(struct cache *cache, struct extent *hot, struct extent *cold)
{
    struct single *s = cache->state;

    if (!cache_has_block(cache))
        put_back(cache, s, collect(cache, s, 0));
    *hot = (struct extent){s->start - CACHE_BLOCK_ROOM, s->start};
    *cold = (struct extent){0};
    return true;
}

static void single_commit(struct cache *cache, struct block *block)
{
    struct single *s = cache->state;
    const uint32_t got = collect(cache, s, block_room(block));
    const uint32_t to = s->hand;

    hand_advance(cache, s, block_room(block), 0);
    put_back(cache, s, got - block_room(block));
    cache_move(cache, block, to);
}

const struct cache_policy cache_single = {
    .name = "block",
    .summary = "single blocks, those not used lately first",
    .moves = true,
    .open = single_open,
    .begin = single_begin,
    .commit = single_commit,
};
