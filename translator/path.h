/*
 * translator/path.h -- the way that code was seen to take.
 */
#ifndef RINGER_TRANSLATOR_PATH_H
#define RINGER_TRANSLATOR_PATH_H

#include "translator/block.h"

/* Instructions that ran one after the other, those of called functions left out.  All are in the
 * page of the first, each at a higher address than the one before; but the way through a loop is
 * there twice if there is room, so that the second copy may rely on what the first has found out.
 */
struct path {
    uint16_t offset[SUPERBLOCK_MAX_INSNS];  /* from the first */
    uint64_t gpr[SUPERBLOCK_MAX_INSNS][16]; /* registers before each */
    unsigned count;
    unsigned second; /* where the second copy begins; 0: there is none */
    bool closed;     /* the first came next again */
};

/*
 * CS:rip is at the block, or at a jump that is about to go there.  Interpret the jump, and then
 * what comes, as long as it is part of a path; it may take a thousand instructions; an
 * event or a kick ends it.  False: it did not go there; or nothing can be made of it, as the block
 * is dead now, the CPU in another mode, or a kick came too early.
 */
bool path_record(struct cpu *cpu, const struct block *head, struct path *path);

#endif
