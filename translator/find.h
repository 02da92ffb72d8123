/*
 * translator/find.h -- the block at CS:rip.
 */
#ifndef RINGER_TRANSLATOR_FIND_H
#define RINGER_TRANSLATOR_FIND_H

#include "cpu/cpu.h"

struct block;
struct translator;

/* Physical address of the next instruction; false when fetching it faults (nothing is recorded for
 * good: the interpreter fetches again and takes the fault). */
bool find_fetch(struct cpu *cpu, linaddr_t linear, physaddr_t *phys);
/* BUILD_HEAT if superblocks are found by counting: they begin where loops and functions do. */
unsigned find_heat_flag(const struct translator *tr);
/* The block at CS:rip, translated if it is hot, with these enum build_flag; NULL: interpret. */
struct block *find_block(struct translator *tr, struct cpu *cpu, unsigned flags);
/*
 * The same for an exit, or a jump, that may lead to where a loop or a function begins.  Who came
 * there first may have come another way, so that the block does not count its visits: it is made
 * again when it has been asked for a few times.  *settled: the way there can be remembered.
 */
struct block *find_head(struct translator *tr, struct cpu *cpu, unsigned flags, bool *settled);

#endif
