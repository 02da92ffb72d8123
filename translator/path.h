/*
 * translator/path.h -- the ways that code was seen to take.
 */
#ifndef RINGER_TRANSLATOR_PATH_H
#define RINGER_TRANSLATOR_PATH_H

#include "translator/block.h"

enum {
    PATH_STEPS = 2 * SUPERBLOCK_MAX_INSNS, /* that are kept as they ran */
    PATH_NEXT = 0xff, /* in path.from: the instruction follows the one before it */
};

/*
 * Instructions that ran one after the other, those of called functions left out.  All are in the
 * page of the first or the next one, none at a lower address than the first.
 *
 * A way that comes to the first again is a loop.  Either it *repeats*: once around, or so many
 * times that what follows is the same again, as a byte code interpreter goes many ways before it
 * comes to where its program's loop begins.  Or it *branches*: it goes now this way and now that
 * one, and then the ways are a tree, each from the jump where it was first seen to leave another
 * one.  A way that goes back inside ends where it comes to what it has been at.
 *
 * If there is room a loop is there twice, so that the second copy may rely on what the first has
 * found out; of a tree the first copy is one way only.
 */
struct path {
    uint16_t offset[SUPERBLOCK_MAX_INSNS]; /* from the first */
    uint16_t seen[SUPERBLOCK_MAX_INSNS];   /* which registers of gpr there were before it */
    uint8_t from[SUPERBLOCK_MAX_INSNS];    /* the jump that leads here, or PATH_NEXT */
    bool inner[SUPERBLOCK_MAX_INSNS];      /* a jump backward leads here as well */
    uint16_t visits[SUPERBLOCK_MAX_INSNS]; /* how often it was come to */
    unsigned count;
    unsigned trunk;  /* of a tree: how many its first way, or its first copy, has */
    unsigned second; /* where the second copy begins; 0: there is none */
    bool closed;     /* the first came next again */
    bool repeats, branches;
    uint16_t steps[PATH_STEPS]; /* offsets, as all ran */
    uint64_t gpr[2 * SUPERBLOCK_MAX_INSNS][16];
};

/* Interpret one instruction, which may be the jump to a block of that mode.  False: go on without.
 */
bool path_jump(struct cpu *cpu, uint32_t mode);

/*
 * CS:rip is at the block, or at a jump that is about to go there.  Interpret the jump, and then
 * what comes, as long as it is part of a path; it may take a few thousand instructions; an
 * event or a kick ends it.  branch: it may.  False: it did not go there; or nothing can be made of
 * it, as the block is dead now, the CPU in another mode, or a kick came too early.
 */
bool path_record(struct cpu *cpu, const struct block *head, bool branch, struct path *path);

#endif
