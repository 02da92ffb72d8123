/*
 * translator/cache_policy.c -- the policies there are.
 */
#include <string.h>

#include "translator/cache_internal.h"
#include "translator/cache_regions.h"
#include "translator/cache_single.h"

const struct cache_policy *const cache_policies[] = {&cache_fifo, &cache_flush_all,
                                                     &cache_generational, &cache_single, NULL};

const struct cache_policy *cache_policy_find(const char *name)
{
    for (unsigned i = 0; cache_policies[i] != NULL; i++)
        if (strcmp(cache_policies[i]->name, name) == 0)
            return cache_policies[i];
    return NULL;
}
