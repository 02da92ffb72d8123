/*
 * translator/flow.h -- what the two files share that say how a block is left: flow.c, its hot part,
 * and cold.c.
 */
#ifndef RINGER_TRANSLATOR_FLOW_H
#define RINGER_TRANSLATOR_FLOW_H

#include "translator/build.h"

/* Which instruction, or exit, of which block: what C finds behind a call of it. */
void flow_emit_record(struct emit *e, const struct cache *cache, const struct block *block,
                      unsigned number);
void flow_record(struct build *b, unsigned number);
/* TC = one_more if the block's page is mapped where it was, in the same mode; else another number.
 */
void flow_compare_page(struct emit *e, const struct block *block, int32_t one_more);
/* Counted time: `count` more instructions, or fewer.  Clobbers TC. */
void flow_count(struct build *b, int count);
/* Instructions of the block behind the current one: counted, and left when an exit is taken here.
 */
int flow_rest(const struct build *b);

#endif
