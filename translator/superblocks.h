/*
 * translator/superblocks.h -- when superblocks are made.
 */
#ifndef RINGER_TRANSLATOR_SUPERBLOCKS_H
#define RINGER_TRANSLATOR_SUPERBLOCKS_H

#include "translator/build.h"

/* Are they made of what is found running? */
bool superblocks_sample(const struct translator *tr);

/*
 * Generated code was stopped before the last instruction of `from`, a jump backward, and all state
 * is in struct cpu: a loop was found running.  After a few samples of the same loop a superblock
 * takes the place of the block that it begins with.  May interpret what comes next
 * (translator/path.h).
 */
void superblocks_note_loop(struct translator *tr, struct cpu *cpu, const struct block *from);

/* With -x eager-path: CS:rip, which `to` begins at, was just jumped to backward.  The same at once.
 */
void superblocks_make_at_once(struct translator *tr, struct cpu *cpu, struct block *to);

/* In the place of `block`; path: from there, or NULL. */
void superblocks_make(struct translator *tr, struct cpu *cpu, struct block *block,
                      struct path *path);

#endif
