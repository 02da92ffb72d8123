/*
 * translator/cache_regions.h -- regions: parts of the cache that are filled from their start and
 * emptied as a whole; and the policies made of them.
 */
#ifndef RINGER_TRANSLATOR_CACHE_REGIONS_H
#define RINGER_TRANSLATOR_CACHE_REGIONS_H

#include "translator/cache_policy.h"

/*
 *     start        used          cut           cold_used     end
 *     | hot, hot   |             | cold, cold  |             |
 *
 * Where hot and cold parts are together (cut == end) there is only the left half.
 */
struct region {
    uint32_t start, cut, end; /* offsets */
    uint32_t used, cold_used; /* next free ones */
};

/* Regions that are used in turn. */
enum { REGIONS_MOST = 16 };
struct regions {
    unsigned count, current;
    struct region region[REGIONS_MOST];
};

/* Cut [start, start + bytes) into at most `most` regions of at least `least` bytes each, or one. */
void regions_cut(struct regions *regions, uint32_t start, uint64_t bytes, unsigned most,
                 uint32_t least);
/* Leave the current region and empty the next.  keep: true for a living block that it has moved. */
void regions_advance(struct cache *cache, struct regions *regions,
                     bool (*keep)(struct cache *cache, struct block *block));

static inline struct region *regions_current(struct regions *regions)
{
    return &regions->region[regions->current];
}

static inline uint32_t region_room(const struct region *region)
{
    return region->cut - region->used;
}

static inline uint32_t region_cold_room(const struct region *region)
{
    return region->end - region->cold_used;
}

extern const struct cache_policy cache_fifo, cache_flush_all, cache_generational;

#endif
