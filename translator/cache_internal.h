/*
 * translator/cache_internal.h -- what the files of the translation cache share:
 * translator/cache*.c.
 *
 * Memory is one memfd mapped twice (W^X).  It is cut into extents of at least CACHE_GRAIN bytes:
 * blocks, and what a policy makes of the rest.  `starts` says for each grain which block starts
 * in it; as no two can, that finds the block of any address, and a policy may use the values
 * above CACHE_FREE for notes of its own.
 */
#ifndef RINGER_TRANSLATOR_CACHE_INTERNAL_H
#define RINGER_TRANSLATOR_CACHE_INTERNAL_H

#include <stddef.h>

#include "cpu/physmem.h"
#include "translator/block.h"
#include "translator/cache_policy.h"

enum {
    CACHE_GRAIN_SHIFT = 5,
    CACHE_GRAIN = 1 << CACHE_GRAIN_SHIFT,
    CACHE_ALIGN = BLOCK_ROOM_UNIT, /* of extents */
    CACHE_COLD_ALIGN = 8,          /* of cold parts that are elsewhere */
    CACHE_BLOCK_LEAST = 96,        /* bytes of cache for each struct block */
    CACHE_BLOCK_ROOM = 64 << 10,   /* more than any block needs */
    CACHE_TRY_ROOM = 2 << 10,      /* more than most need: a region ends before that */
    CACHE_CHUNK_SHIFT = 16,        /* of memory that the host is asked for at once */
    CACHE_DONOR_BITS = 16,
    CACHE_FIXUPS = 4096,  /* in one block, at the most */
    CACHE_GLUE = 8 << 10, /* more than the glue needs */
    CACHE_LEAST = 1 << 20,
};
#define CACHE_MOST     (UINT64_C(1) << 31) /* rel32 reaches everywhere */
#define CACHE_NO_START 0u /* no block starts in the grain; others: its number + 1 */
#define CACHE_FREE     0x80000000u

/* ---- numbers of blocks by a hash, translator/cache_index.c ---- */

struct cache;

/* Open addressing, linear probing, at most three quarters full. */
struct index {
    uint32_t *slots; /* low bits of the hash << BLOCK_NUMBER_BITS | number + 1; 0: empty */
    unsigned bits;
    uint32_t count;
    uint32_t (*hash_of)(const struct cache *cache, uint32_t number); /* of a block that is in it */
};

bool index_open(struct index *index,
                uint32_t (*hash_of)(const struct cache *cache, uint32_t number));
void index_close(struct index *index);
/* Room for one more?  Calls the C library. */
bool index_grow(const struct cache *cache, struct index *index);
void index_insert(struct index *index, uint32_t hash, uint32_t number);
void index_remove(const struct cache *cache, struct index *index, uint32_t hash, uint32_t number);

static inline uint32_t index_slot(uint32_t hash, uint32_t number)
{
    return hash << BLOCK_NUMBER_BITS | (number + 1);
}

static inline uint32_t index_number(uint32_t slot)
{
    return (slot & ((1u << BLOCK_NUMBER_BITS) - 1)) - 1;
}

/* Nearly always only where that is the block's hash. */
static inline bool index_matches(uint32_t slot, uint32_t hash)
{
    return (slot ^ hash << BLOCK_NUMBER_BITS) >> BLOCK_NUMBER_BITS == 0;
}

static inline uint32_t index_first(const struct index *index, uint32_t hash)
{
    return hash >> (32 - index->bits);
}

static inline uint64_t index_bytes(const struct index *index)
{
    return sizeof(index->slots[0]) << index->bits;
}

static inline uint32_t index_next(const struct index *index, uint32_t at)
{
    return (at + 1) & ((1u << index->bits) - 1);
}

/* ---- ids of code pages, translator/cache_ids.c ---- */

struct page_id {
    uint64_t linear_page, phys_page;
    uint32_t mode, id; /* id 0: empty slot */
};

struct page_ids {
    struct page_id *slots;
    unsigned bits;
    uint32_t next;
    struct page_id last; /* asked for: blocks of a page come one after the other */
    uint64_t *spaces;    /* by id: cache_space() */
};

bool page_ids_open(struct page_ids *ids);
void page_ids_close(struct page_ids *ids);
/* Calls the C library, which asking for an id must not. */
void page_ids_grow(struct page_ids *ids);

/* ---- the cache ---- */

enum { CACHE_PAGE_HASH_BITS = 14, CACHE_GHOST_BITS = 18 };

struct cache {
    struct physmem *mem;
    const struct cache_policy *policy;
    void *state; /* the policy's */
    uint8_t *rw, *rx;
    uint64_t bytes;
    uint32_t reserved; /* glue, before the first block */
    uint32_t *starts;
    struct block *blocks;
    uint32_t block_limit, block_high; /* numbers that exist, that have been in use */
    uint32_t free_blocks;             /* linked by page_next */
    struct block *pending;            /* begun, not committed */
    bool retry;                       /* what was begun before the current one was not committed */
    uint64_t epoch;
    struct index by_key, by_next_page;
    uint32_t pages[1 << CACHE_PAGE_HASH_BITS]; /* lists of blocks, by page_next: number + 1 */
    struct page_ids ids;
    bool touched[CACHE_MOST >> CACHE_CHUNK_SHIFT]; /* chunks that the host has been asked for */
    struct emit_fixup fixups[CACHE_FIXUPS];        /* of the block that is being made */
    uint32_t *donors; /* by hash of place: the last block there that can be copied, number + 1 */
    uint32_t *ghosts; /* tags of keys that were evicted, by hash */
    struct cache_counters counters;
    void (*drop)(void *ctx, const struct block *block);
    void *drop_ctx;
    bool (*spares)(void *ctx, const struct block *block, physaddr_t from, physaddr_t to);
    void *spares_ctx;
};

static inline uint32_t cache_mix(uint64_t value)
{
    value *= 0x9e3779b97f4a7c15ull;
    return (uint32_t)(((value ^ value >> 32) * 0xd6e8feb86659fd93ull) >> 32);
}

/* Where a block that can be copied is noted for its place in the guest's memory. */
static inline uint32_t *cache_donor_place(const struct cache *cache, const struct block_key *key)
{
    return &cache->donors[cache_mix(key->phys ^ (uint64_t)key->mode << 40) >>
                          (32 - CACHE_DONOR_BITS)];
}

/* The blocks that start in the page, and some that do not. */
struct block *cache_page_first(const struct cache *cache, physaddr_t gpa);
struct block *cache_page_next(const struct cache *cache, const struct block *block);
/* The exit is not linked any more. */
void cache_unlink_exit(struct cache *cache, struct block *from, unsigned number);
/* The block is to be found at another linear address; what led to it by the old one does not. */
void cache_rekey(struct cache *cache, struct block *block, linaddr_t linear);

/* The exit's jump leads to its stub. */
void cache_aim_at_stub(const struct cache *cache, const struct block *block, unsigned number);

/* Of a block that has a late entry: where that is, an offset; 0: nowhere yet. */
uint32_t *cache_late_entry(const struct cache *cache, const struct block *block);

/* What a reference names: enum BLOCK_REF_SHIFT. */
static inline struct block *cache_ref_block(const struct cache *cache, uint32_t ref)
{
    return &cache->blocks[(ref >> BLOCK_REF_SHIFT) - 1];
}

static inline struct block_exit *cache_ref_exit(const struct cache *cache, uint32_t ref)
{
    return cache_exit(cache, cache_ref_block(cache, ref), ref & BLOCK_REF_INCOMING);
}

/* ---- for policies ---- */

/* Is there a struct block to be had? */
static inline bool cache_has_block(const struct cache *cache)
{
    return cache->pending != NULL || cache->free_blocks != 0 ||
           cache->block_high < cache->block_limit;
}

/* Bytes that should be free where a block is begun.  Near the end of a region it is tried with
 * little room, and once more with enough for any if that was not enough. */
static inline uint32_t cache_room(const struct cache *cache)
{
    return cache->retry ? CACHE_BLOCK_ROOM : CACHE_TRY_ROOM;
}

/* The block that starts at exactly this offset, or NULL. */
struct block *cache_start(const struct cache *cache, uint32_t offset);
/* Room is made: the block, dead or alive, is gone, its memory the policy's. */
void cache_evict(struct cache *cache, struct block *block);
/* Its memory is to be elsewhere, where there is room: [to, to + block_room(block)).  What it had
 * there is the policy's.  Nothing leads to it any more but cache_find(). */
void cache_move(struct cache *cache, struct block *block, uint32_t to);
/* From now on the block's `used` says whether it is used: nothing leads to it but cache_find(). */
void cache_watch(struct cache *cache, struct block *block);

#endif
