/*
 * translator/cache.c -- the translation cache: memory, look-up, links, invalidation, eviction.
 *
 * Memory is one memfd mapped twice: a writable view that is never executable and an executable view
 * that is never writable (W^X).  It is cut into regions that are filled one after the other; when
 * the last is full the oldest is evicted as a whole (first in, first out).  Each region also owns
 * the structs of its blocks, so a block's address stays good until its region goes.
 *
 * A block killed by a store is only unlinked: its code may be running and its memory is not used
 * again before the region is evicted, which never happens while generated code runs in it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cpu/physmem.h"
#include "translator/block.h"

enum {
    REGIONS = 16,
    HASH_BITS = 19, /* some bytes of index for each 300 of code: chains stay short */
    PAGE_HASH_BITS = 14,
    ID_HASH_BITS = 16,
    FIRST_ID = 2,                       /* after 0 and RT_NO_CODE */
    ID_LIMIT = 1 << (ID_HASH_BITS - 1), /* half full at the most */
    BYTES_PER_BLOCK = 192,              /* assumed least average, bounds the number of structs */
    BLOCK_ROOM = 32 << 10,              /* more than any block needs; a region ends before that */
    REGION_LEAST = 256 << 10,
};

struct region {
    uint32_t start, end; /* offsets in the mapping */
    uint32_t used;       /* next free offset */
    struct block *blocks;
    uint32_t block_count, block_limit;
};

struct page_id {
    uint64_t linear_page, phys_page;
    uint32_t mode, id; /* id 0: empty slot */
};

struct cache {
    struct physmem *mem;
    uint8_t *rw, *rx;
    uint64_t bytes;
    uint32_t reserved; /* glue, before the first region */
    struct region regions[REGIONS];
    unsigned region_count, current;
    struct block_node *hash[1 << HASH_BITS];
    struct block_node *pages[1 << PAGE_HASH_BITS];
    struct block_node *next_pages[1 << PAGE_HASH_BITS]; /* blocks that end in the page */
    struct page_id ids[1 << ID_HASH_BITS];
    uint32_t next_id;
    struct cache_counters counters;
    void (*drop)(void *ctx, const struct block *block);
    void *drop_ctx;
};

static uint32_t mix(uint64_t value)
{
    value *= 0x9e3779b97f4a7c15ull;
    return (uint32_t)(value >> 32);
}

static uint32_t key_hash(const struct block_key *key)
{
    return mix(key->phys ^ key->linear << 20 ^ (uint64_t)key->mode << 44 ^ key->cs_base << 7) >>
           (32 - HASH_BITS);
}

static uint32_t page_hash(physaddr_t gpa)
{
    return mix(gpa >> PAGE_SHIFT) >> (32 - PAGE_HASH_BITS);
}

static void patch(uint8_t *field, uint32_t value)
{
    __builtin_memcpy(field, &value, sizeof(value));
}

static uint64_t executable(const struct cache *cache, const uint8_t *writable)
{
    return (uint64_t)(cache->rx + (writable - cache->rw));
}

/* ---- memory ---- */

static bool cache_map(struct cache *cache)
{
    const int fd = memfd_create("ringer-code", MFD_CLOEXEC);

    if (fd < 0)
        return false;
    if (ftruncate(fd, (off_t)cache->bytes) == 0) {
        cache->rw = mmap(NULL, cache->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        cache->rx = mmap(NULL, cache->bytes, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    }
    close(fd);
    return cache->rw != MAP_FAILED && cache->rx != MAP_FAILED && cache->rw && cache->rx;
}

struct cache *cache_create(struct physmem *mem, uint64_t bytes)
{
    struct cache *cache = calloc(1, sizeof(*cache));

    if (cache == NULL)
        return NULL;
    cache->mem = mem;
    cache->bytes = bytes < 4 * REGION_LEAST ? 4 * REGION_LEAST : (bytes + 4095) & ~4095ull;
    if (cache->bytes > 1u << 30)
        cache->bytes = 1u << 30; /* rel32 reaches everywhere */
    cache->next_id = FIRST_ID;
    if (!cache_map(cache)) {
        cache_destroy(cache);
        return NULL;
    }
    return cache;
}

void cache_destroy(struct cache *cache)
{
    if (cache == NULL)
        return;
    for (unsigned i = 0; i < cache->region_count; i++)
        free(cache->regions[i].blocks);
    if (cache->rw != NULL && cache->rw != MAP_FAILED)
        munmap(cache->rw, cache->bytes);
    if (cache->rx != NULL && cache->rx != MAP_FAILED)
        munmap(cache->rx, cache->bytes);
    free(cache);
}

struct cache_counters *cache_counters(struct cache *cache)
{
    return &cache->counters;
}

void cache_reserve(struct cache *cache, struct emit *e)
{
    *e = (struct emit){.at = cache->rw, .end = cache->rw + 4096, .rx_delta = cache->rx - cache->rw};
}

void cache_reserve_end(struct cache *cache, const struct emit *e)
{
    uint64_t size;

    cache->reserved = ((uint32_t)(e->at - cache->rw) + 63) & ~63u;
    size = (cache->bytes - cache->reserved) / REGIONS & ~63ull;
    cache->region_count = REGIONS;
    for (unsigned i = 0; i < REGIONS; i++) {
        struct region *r = &cache->regions[i];

        r->start = cache->reserved + (uint32_t)(size * i);
        r->end = r->start + (uint32_t)size;
        r->used = r->start;
        r->block_limit = (uint32_t)(size / BYTES_PER_BLOCK);
        r->blocks = calloc(r->block_limit, sizeof(struct block));
    }
}

/* ---- lists ---- */

static void node_insert(struct block_node **list, struct block_node *node, struct block *block)
{
    *node = (struct block_node){.block = block, .next = *list, .link = list};
    if (node->next != NULL)
        node->next->link = &node->next;
    *list = node;
}

static void node_remove(struct block_node *node)
{
    *node->link = node->next;
    if (node->next != NULL)
        node->next->link = node->link;
}

/* ---- links ---- */

static void unlink_exit(struct cache *cache, struct block_exit *exit)
{
    if (exit->to == NULL)
        return;
    *exit->link = exit->next;
    if (exit->next != NULL)
        exit->next->link = exit->link;
    exit->to = NULL;
    patch(exit->jump, (uint32_t)(exit->stub - (executable(cache, exit->jump) + 4)));
    cache->counters.unchains++;
}

void cache_link(struct cache *cache, struct block_exit *exit, struct block *to)
{
    if (exit->jump == NULL || exit->from->dead || to->dead)
        return;
    unlink_exit(cache, exit);
    patch(exit->jump, (uint32_t)((exit->checked ? to->checked_host : to->host) -
                                 (executable(cache, exit->jump) + 4)));
    exit->to = to;
    exit->next = to->incoming;
    exit->link = &to->incoming;
    if (exit->next != NULL)
        exit->next->link = &exit->next;
    to->incoming = exit;
    cache->counters.chains++;
}

/* ---- invalidation ---- */

void cache_invalidate(struct cache *cache, struct block *block)
{
    if (block->dead)
        return;
    block->dead = true;
    cache->counters.invalidated++;
    node_remove(&block->by_key);
    node_remove(&block->by_page);
    while (block->incoming != NULL)
        unlink_exit(cache, block->incoming);
    for (unsigned i = 0; i < BLOCK_EXITS; i++)
        unlink_exit(cache, &block->exits[i]);
    physmem_code_release(cache->mem, block->key.phys, block->guest_bytes);
    if (block->next_bytes != 0) {
        node_remove(&block->by_next_page);
        physmem_code_release(cache->mem, block->next_phys, block->next_bytes);
    }
    if (cache->drop != NULL)
        cache->drop(cache->drop_ctx, block);
}

void cache_invalidate_range(struct cache *cache, physaddr_t gpa, uint64_t size)
{
    const physaddr_t end = gpa + size;

    for (physaddr_t page = gpa & PAGE_MASK; page < end; page += PAGE_SIZE) {
        struct block_node *next;

        for (struct block_node *n = cache->pages[page_hash(page)]; n != NULL; n = next) {
            struct block *b = n->block;

            next = n->next;
            if (b->key.phys < end && b->key.phys + b->guest_bytes > gpa)
                cache_invalidate(cache, b);
        }
        for (struct block_node *n = cache->next_pages[page_hash(page)]; n != NULL; n = next) {
            struct block *b = n->block;

            next = n->next;
            if (b->next_phys < end && b->next_phys + b->next_bytes > gpa)
                cache_invalidate(cache, b);
        }
    }
}

static void region_evict(struct cache *cache, struct region *r)
{
    for (uint32_t i = 0; i < r->block_count; i++) {
        if (!r->blocks[i].dead) {
            cache_invalidate(cache, &r->blocks[i]);
            cache->counters.evicted_blocks++;
        }
    }
    r->block_count = 0;
    r->used = r->start;
    cache->counters.evictions++;
}

void cache_flush(struct cache *cache)
{
    for (unsigned i = 0; i < cache->region_count; i++) {
        for (uint32_t k = 0; k < cache->regions[i].block_count; k++)
            cache_invalidate(cache, &cache->regions[i].blocks[k]);
    }
}

void cache_invalidate_linear(struct cache *cache, linaddr_t linear)
{
    for (unsigned i = 0; i < cache->region_count; i++) {
        for (uint32_t k = 0; k < cache->regions[i].block_count; k++) {
            struct block *b = &cache->regions[i].blocks[k];

            if (linear - b->key.linear < b->guest_bytes)
                cache_invalidate(cache, b);
        }
    }
}

void cache_on_drop(struct cache *cache, void (*drop)(void *ctx, const struct block *block),
                   void *ctx)
{
    cache->drop = drop;
    cache->drop_ctx = ctx;
}

/* ---- blocks ---- */

struct block *cache_begin(struct cache *cache, struct emit *e)
{
    struct region *r = &cache->regions[cache->current];
    struct block *block;

    if (r->blocks == NULL)
        return NULL; /* no host memory for this region's blocks */
    if (r->end - r->used < BLOCK_ROOM || r->block_count == r->block_limit) {
        cache->current = (cache->current + 1) % cache->region_count;
        r = &cache->regions[cache->current];
        if (r->blocks == NULL)
            return NULL;
        if (r->block_count != 0)
            region_evict(cache, r);
    }
    block = &r->blocks[r->block_count];
    *block = (struct block){0};
    for (unsigned i = 0; i < BLOCK_EXITS; i++)
        block->exits[i].from = block;
    *e = (struct emit){
        .at = cache->rw + r->used,
        .end = cache->rw + r->end,
        .rx_delta = cache->rx - cache->rw,
    };
    block->checked_host = block->host = emit_here(e);
    return block;
}

void cache_commit(struct cache *cache, struct block *block, const struct emit *e)
{
    struct region *r = &cache->regions[cache->current];
    const uint32_t hash = key_hash(&block->key), page = page_hash(block->key.phys);

    r->used = ((uint32_t)(e->at - cache->rw) + 15) & ~15u;
    r->block_count++;
    node_insert(&cache->hash[hash], &block->by_key, block);
    node_insert(&cache->pages[page], &block->by_page, block);
    physmem_code_mark(cache->mem, block->key.phys, block->guest_bytes);
    if (block->next_bytes != 0) {
        node_insert(&cache->next_pages[page_hash(block->next_phys)], &block->by_next_page, block);
        physmem_code_mark(cache->mem, block->next_phys, block->next_bytes);
    }
    cache->counters.translations++;
    cache->counters.guest_insns += block->insn_count;
    cache->counters.guest_bytes += block->guest_bytes;
    cache->counters.host_bytes += block->host_bytes;
}

struct block *cache_find(struct cache *cache, const struct block_key *key)
{
    cache->counters.lookups++;
    for (struct block_node *n = cache->hash[key_hash(key)]; n != NULL; n = n->next) {
        struct block *b = n->block;

        if (b->key.phys == key->phys && b->key.linear == key->linear &&
            b->key.cs_base == key->cs_base && b->key.mode == key->mode) {
            cache->counters.lookup_hits++;
            return b;
        }
    }
    return NULL;
}

bool cache_contains(const struct cache *cache, uint64_t host)
{
    return host - (uint64_t)cache->rx < cache->bytes;
}

struct block *cache_block_at(struct cache *cache, uint64_t host)
{
    uint32_t offset, low, high;
    struct region *r = NULL;

    if (!cache_contains(cache, host))
        return NULL;
    offset = (uint32_t)(host - (uint64_t)cache->rx);
    for (unsigned i = 0; i < cache->region_count; i++) {
        if (offset >= cache->regions[i].start && offset < cache->regions[i].end)
            r = &cache->regions[i];
    }
    if (r == NULL || r->block_count == 0)
        return NULL;
    /* Blocks of a region are in the order of their addresses: the last that starts at or before. */
    low = 0;
    high = r->block_count;
    while (high - low > 1) {
        const uint32_t middle = low + (high - low) / 2;

        if (r->blocks[middle].checked_host <= host)
            low = middle;
        else
            high = middle;
    }
    return host - r->blocks[low].checked_host < r->blocks[low].host_bytes ? &r->blocks[low] : NULL;
}

/* ---- code page ids ---- */

static void ids_reset(struct cache *cache)
{
    /* Links hold ids too: they all go. */
    cache_flush(cache);
    for (uint32_t i = 0; i < 1u << ID_HASH_BITS; i++)
        cache->ids[i] = (struct page_id){0};
    cache->next_id = FIRST_ID;
    cache->counters.id_resets++;
    if (cache->drop != NULL)
        cache->drop(cache->drop_ctx, NULL);
}

uint32_t cache_page_id(struct cache *cache, linaddr_t linear, physaddr_t phys, uint32_t mode)
{
    const uint64_t linear_page = linear >> PAGE_SHIFT, phys_page = phys >> PAGE_SHIFT;
    uint32_t i;

    if (cache->next_id == ID_LIMIT)
        ids_reset(cache);
    i = mix(linear_page ^ phys_page << 21 ^ (uint64_t)mode << 43) >> (32 - ID_HASH_BITS);
    for (;; i = (i + 1) & ((1u << ID_HASH_BITS) - 1)) {
        struct page_id *slot = &cache->ids[i];

        if (slot->id == 0) {
            *slot = (struct page_id){linear_page, phys_page, mode, cache->next_id++};
            return slot->id;
        }
        if (slot->linear_page == linear_page && slot->phys_page == phys_page && slot->mode == mode)
            return slot->id;
    }
}
