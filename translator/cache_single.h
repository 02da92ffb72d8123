/*
 * translator/cache_single.h -- the policy that evicts single blocks.
 */
#ifndef RINGER_TRANSLATOR_CACHE_SINGLE_H
#define RINGER_TRANSLATOR_CACHE_SINGLE_H

#include "translator/cache_policy.h"

extern const struct cache_policy cache_single;

#endif
