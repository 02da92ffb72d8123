/*
 * translator/cache_index.c -- finding blocks: the index by key.
 *
 * An entry is a block's number and eight bits of the hash beside it, so a look-up that fails rarely
 * touches a block.  The rest of the hash comes from the block when entries have to go elsewhere. It
 * starts small: a guest that runs little code gets by with little memory.  Removal moves later
 * entries up, so there are no tombstones.
 */
#include <stdlib.h>

#include "translator/cache_internal.h"

enum { BITS_FIRST = 14, BITS_LAST = BLOCK_NUMBER_BITS + 1 };

bool index_open(struct index *index,
                uint32_t (*hash_of)(const struct cache *cache, uint32_t number))
{
    *index = (struct index){.bits = BITS_FIRST, .hash_of = hash_of};
    index->slots = calloc(1u << BITS_FIRST, sizeof(index->slots[0]));
    return index->slots != NULL;
}

void index_close(struct index *index)
{
    free(index->slots);
}

static void put(struct index *index, uint32_t hash, uint32_t number)
{
    uint32_t i = index_first(index, hash);

    while (index->slots[i] != 0)
        i = index_next(index, i);
    index->slots[i] = index_slot(hash, number);
}

static uint32_t hash_of(const struct cache *cache, const struct index *index, uint32_t at)
{
    return index->hash_of(cache, index_number(index->slots[at]));
}

bool index_grow(const struct cache *cache, struct index *index)
{
    struct index larger = *index;

    if (index->count < 3u << (index->bits - 2))
        return true;
    larger.bits++;
    if (larger.bits > BITS_LAST)
        return false;
    larger.slots = calloc(1u << larger.bits, sizeof(larger.slots[0]));
    if (larger.slots == NULL)
        return false;
    for (uint32_t i = 0; i < 1u << index->bits; i++)
        if (index->slots[i] != 0)
            put(&larger, hash_of(cache, index, i), index_number(index->slots[i]));
    free(index->slots);
    *index = larger;
    return true;
}

void index_insert(struct index *index, uint32_t hash, uint32_t number)
{
    put(index, hash, number);
    index->count++;
}

void index_remove(const struct cache *cache, struct index *index, uint32_t hash, uint32_t number)
{
    const uint32_t entry = index_slot(hash, number), mask = (1u << index->bits) - 1;
    uint32_t hole = index_first(index, hash);

    while (index->slots[hole] != entry)
        hole = index_next(index, hole);
    /* An entry behind the hole moves into it unless its own first place lies behind the hole. */
    for (uint32_t i = index_next(index, hole); index->slots[i] != 0; i = index_next(index, i)) {
        const uint32_t first = index_first(index, hash_of(cache, index, i));

        if (((i - first) & mask) >= ((i - hole) & mask)) {
            index->slots[hole] = index->slots[i];
            hole = i;
        }
    }
    index->slots[hole] = 0;
    index->count--;
}
