/*
 * translator/cache_ids.c -- numbers for code pages.
 *
 * A block's checked entry compares the number of its page with what the per-CPU tables say is
 * mapped there now (translator/flow.c).  Numbers are never used for another page; when they run out
 * all blocks go and counting starts again.
 */
#include <stdlib.h>

#include "translator/cache_internal.h"

enum {
    BITS_FIRST = 10,
    BITS_LAST = 16,
    FIRST_ID = 2,                    /* after 0 and RT_NO_CODE */
    ID_LIMIT = 1 << (BITS_LAST - 1), /* half full at the most */
};

bool page_ids_open(struct page_ids *ids)
{
    *ids = (struct page_ids){.bits = BITS_FIRST, .next = FIRST_ID};
    ids->slots = calloc(1u << BITS_FIRST, sizeof(ids->slots[0]));
    ids->spaces = calloc(ID_LIMIT, sizeof(ids->spaces[0]));
    return ids->slots != NULL && ids->spaces != NULL;
}

void page_ids_close(struct page_ids *ids)
{
    free(ids->slots);
    free(ids->spaces);
}

_Static_assert(ID_LIMIT <= UINT16_MAX, "struct block keeps one");

/* The page's slot, or the empty one where it belongs. */
static struct page_id *find(const struct page_ids *ids, uint64_t linear_page, uint64_t phys_page,
                            uint32_t mode)
{
    uint32_t i =
        cache_mix(linear_page ^ phys_page << 21 ^ (uint64_t)mode << 43) >> (32 - ids->bits);

    for (;; i = (i + 1) & ((1u << ids->bits) - 1)) {
        struct page_id *slot = &ids->slots[i];

        if (slot->id == 0 || (slot->linear_page == linear_page && slot->phys_page == phys_page &&
                              slot->mode == mode))
            return slot;
    }
}

void page_ids_grow(struct page_ids *ids)
{
    struct page_ids larger = *ids;

    if (ids->next < 1u << (ids->bits - 1) || ids->bits == BITS_LAST)
        return;
    larger.bits++;
    larger.slots = calloc(1u << larger.bits, sizeof(larger.slots[0]));
    if (larger.slots == NULL)
        return; /* then numbers run out earlier */
    for (uint32_t i = 0; i < 1u << ids->bits; i++) {
        const struct page_id *old = &ids->slots[i];

        if (old->id != 0)
            *find(&larger, old->linear_page, old->phys_page, old->mode) = *old;
    }
    free(ids->slots);
    *ids = larger;
}

static void reset(struct cache *cache)
{
    struct page_ids *ids = &cache->ids;

    /* Blocks hold ids too: they all go. */
    cache_flush(cache);
    for (uint32_t i = 0; i < 1u << ids->bits; i++)
        ids->slots[i] = (struct page_id){0};
    for (uint32_t i = 0; i < ids->next; i++)
        ids->spaces[i] = 0;
    ids->next = FIRST_ID;
    ids->last.id = 0;
    cache->counters.id_resets++;
    if (cache->drop != NULL)
        cache->drop(cache->drop_ctx, NULL);
}

uint32_t cache_page_id(struct cache *cache, linaddr_t linear, physaddr_t phys, uint32_t mode)
{
    const uint64_t linear_page = linear >> PAGE_SHIFT, phys_page = phys >> PAGE_SHIFT;
    struct page_ids *ids = &cache->ids;
    struct page_id *slot;

    if (ids->last.id != 0 && ids->last.linear_page == linear_page &&
        ids->last.phys_page == phys_page && ids->last.mode == mode)
        return ids->last.id;
    slot = find(ids, linear_page, phys_page, mode);
    if (slot->id == 0) {
        if (ids->next == ID_LIMIT || ids->next == 3u << (ids->bits - 2))
            reset(cache);
        slot = find(ids, linear_page, phys_page, mode);
        *slot = (struct page_id){linear_page, phys_page, mode, ids->next++};
    }
    ids->last = *slot;
    return slot->id;
}

void cache_note_space(struct cache *cache, uint32_t page_id, uint64_t root)
{
    cache->ids.spaces[page_id] = root;
}

uint64_t cache_space(const struct cache *cache, uint32_t page_id)
{
    return cache->ids.spaces[page_id];
}
