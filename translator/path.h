/*
 * translator/path.h -- the way that code was seen to take.
 */
#ifndef RINGER_TRANSLATOR_PATH_H
#define RINGER_TRANSLATOR_PATH_H

#include "translator/block.h"

/*
 * Instructions that ran one after the other, those of called functions left out.  All are in the
 * page of the first or the next one, none at a lower address than the first.
 *
 * A way that closes is a loop: once around, or so many times that what follows is the same again,
 * as a loop may go one way and another by turns, and a byte code interpreter goes many before it
 * comes to where its program's loop begins.  If there is room it is there twice, so that the second
 * copy may rely on what the first has found out.
 */
enum { PATH_SEEN_MOST = 2 * SUPERBLOCK_MAX_INSNS };

struct path {
    uint16_t offset[PATH_SEEN_MOST];        /* from the first; behind the last what else was seen */
    uint64_t gpr[SUPERBLOCK_MAX_INSNS][16]; /* registers before each */
    unsigned count;
    unsigned second; /* where the second copy begins; 0: there is none */
    bool closed;     /* the first came next again */
    bool repeats;    /* and all of them did */
};

/*
 * CS:rip is at the block, or at a jump that is about to go there.  Interpret the jump, and then
 * what comes, as long as it is part of a path; it may take a few thousand instructions; an
 * event or a kick ends it.  False: it did not go there; or nothing can be made of it, as the block
 * is dead now, the CPU in another mode, or a kick came too early.
 */
bool path_record(struct cpu *cpu, const struct block *head, struct path *path);

#endif
