/*
 * translator/cache_policy.h -- what a policy of the translation cache decides: where a block goes,
 * and which ones go when there is no room.
 *
 * Everything else is the cache's: look-up, links, invalidation, counting.  A policy is called while
 * no block runs, so it may evict any; a block that died (a store hit its code) keeps its memory
 * until the policy takes it, which it does here and nowhere else.
 */
#ifndef RINGER_TRANSLATOR_CACHE_POLICY_H
#define RINGER_TRANSLATOR_CACHE_POLICY_H

#include <stdbool.h>
#include <stdint.h>

struct block;
struct cache;

/* Part of the cache's memory; offsets. */
struct extent {
    uint32_t start, end;
};

struct cache_policy {
    const char *name;
    const char *summary; /* for people who choose one */
    bool moves;          /* calls cache_move() */
    /* Lay out [cache->reserved, cache->bytes) and set cache->state, for which one free() is enough.
     * False: no memory. */
    bool (*open)(struct cache *cache);
    /* Make room for a block of unknown size, and for its struct: *hot is free, and so is *cold,
     * which is empty if both parts are to be together.  False: there is none. */
    bool (*begin)(struct cache *cache, struct extent *hot, struct extent *cold);
    /* `bytes` of memory for a block that is there: it goes when the block does, or later.  *cold
     * goes on behind them, as an emitter needs room to spare.  False: there is none.  NULL: there
     * never is. */
    bool (*more)(struct cache *cache, uint32_t bytes, struct extent *cold);
    /* block_room() bytes at its offset are the block, and block->cold_room bytes at block->cold; it
     * may be moved.  Afterwards it is alive. */
    void (*commit)(struct cache *cache, struct block *block);
};

/* NULL: there is no policy of that name. */
const struct cache_policy *cache_policy_find(const char *name);
/* All of them, the default first, ended by NULL. */
extern const struct cache_policy *const cache_policies[];

#endif
