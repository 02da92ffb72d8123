/*
 * translator/copy.h -- blocks that are copies of others: the same code at another linear address
 * (translator/cache_copy.c).
 */
#ifndef RINGER_TRANSLATOR_COPY_H
#define RINGER_TRANSLATOR_COPY_H

#include "translator/build.h"

/* Has the code at `key` been translated at another linear address?  Then it has been worth it. */
bool copy_exists(const struct translator *tr, const struct cpu *cpu, const struct block_key *key);
/* The block at `key` as a copy of what has been translated elsewhere; flags: enum build_flag. NULL:
 * it cannot be one. */
struct block *copy_block(struct translator *tr, struct cpu *cpu, const struct block_key *key,
                         unsigned flags);

#endif
