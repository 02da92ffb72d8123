/*
 * translator/cache_regions.h -- policies that cut the cache into regions and empty these as a whole.
 */
#ifndef RINGER_TRANSLATOR_CACHE_REGIONS_H
#define RINGER_TRANSLATOR_CACHE_REGIONS_H

#include "translator/cache_policy.h"

extern const struct cache_policy cache_fifo;
extern const struct cache_policy cache_flush_all;

#endif
