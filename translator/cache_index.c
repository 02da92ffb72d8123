/*
 * translator/cache_index.c -- finding blocks: the index by key.
 *
 * An entry has all 32 bits of the hash beside the block's number, so a look-up that fails rarely
 * touches a block, and growing touches none.  It starts small: a guest that runs little code gets
 * by with little memory.  Removal moves later entries up, so there are no tombstones.
 */
#include <stdlib.h>

#include "translator/cache_internal.h"

enum { BITS_FIRST = 14, BITS_LAST = 26 };

bool index_open(struct index *index)
{
    *index = (struct index){.bits = BITS_FIRST};
    index->slots = calloc(1u << BITS_FIRST, sizeof(index->slots[0]));
    return index->slots != NULL;
}

void index_close(struct index *index)
{
    free(index->slots);
}

static void put(struct index *index, uint64_t entry)
{
    uint32_t i = index_first(index, (uint32_t)(entry >> 32));

    while (index->slots[i] != 0)
        i = index_next(index, i);
    index->slots[i] = entry;
}

bool index_grow(struct index *index)
{
    struct index larger = {.bits = index->bits + 1, .count = index->count};

    if (index->count < 3u << (index->bits - 2))
        return true;
    if (larger.bits > BITS_LAST)
        return false;
    larger.slots = calloc(1u << larger.bits, sizeof(larger.slots[0]));
    if (larger.slots == NULL)
        return false;
    for (uint32_t i = 0; i < 1u << index->bits; i++)
        if (index->slots[i] != 0)
            put(&larger, index->slots[i]);
    free(index->slots);
    *index = larger;
    return true;
}

void index_insert(struct index *index, uint32_t hash, uint32_t number)
{
    put(index, (uint64_t)hash << 32 | (number + 1));
    index->count++;
}

void index_remove(struct index *index, uint32_t hash, uint32_t number)
{
    const uint64_t entry = (uint64_t)hash << 32 | (number + 1);
    uint32_t hole = index_first(index, hash);

    while (index->slots[hole] != entry)
        hole = index_next(index, hole);
    /* An entry behind the hole moves into it unless its own first place lies behind the hole. */
    for (uint32_t i = index_next(index, hole); index->slots[i] != 0; i = index_next(index, i)) {
        const uint32_t mask = (1u << index->bits) - 1;
        const uint32_t first = index_first(index, (uint32_t)(index->slots[i] >> 32));

        if (((i - first) & mask) >= ((i - hole) & mask)) {
            index->slots[hole] = index->slots[i];
            hole = i;
        }
    }
    index->slots[hole] = 0;
    index->count--;
}
