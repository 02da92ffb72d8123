/*
 * translator/spaces.h -- address spaces: mappings of struct cpu that differ in the tables of user
 * memory, one for each PCID in use, so that MOV CR3 need not empty them.
 */
#ifndef RINGER_TRANSLATOR_SPACES_H
#define RINGER_TRANSLATOR_SPACES_H

#include "translator/contract.h"

/* An operating system that tags by process uses few tags at a time. */
enum { SPACES_MAX = 8 };

/* The views that each space has for itself; they follow each other in struct rt. */
enum { SPACE_VIEW_FIRST = VIEW_USER, SPACE_VIEWS = 2 };
_Static_assert(VIEW_USER + 1 == VIEW_SUPERVISOR_AC, "mapped as one piece");

/*
 * Map struct cpu once more, with empty tables of its own.  number: 1 .. SPACES_MAX - 1, each once.
 * NULL when the host refuses.
 */
struct cpu *spaces_map(struct cpu *cpu, unsigned number);
void spaces_unmap(struct cpu *mapped);

#endif
