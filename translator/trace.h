/*
 * translator/trace.h -- which guest instructions a block is made of.
 *
 * An ordinary block runs to the first control transfer, but goes on behind up to three conditional
 * jumps (-x no-extend: none).  A *superblock* goes on behind other ones, too: it is made once the
 * loop that it begins has been found running (translator/superblocks.h), along the way that the
 * loop was seen to take (translator/path.h).
 *
 *     jcc    the way that was taken, leaving by an exit on the other, or to another way of a tree
 *     call   behind it, if it has ever returned
 *     jmp    at its target; if that is computed, with a guard, as long as ways repeat
 *
 * Without a path it goes from block to block along exits that have been linked; where both have,
 * behind the jump.
 *
 * All of a superblock lies in one page or, along a path, in two that follow each other.  Along
 * exits each instruction is at a higher address than the one before; a path may go back, but not to
 * before the first.
 */
#ifndef RINGER_TRANSLATOR_TRACE_H
#define RINGER_TRANSLATOR_TRACE_H

#include "translator/block.h"
#include "translator/path.h"
#include "translator/runtime.h"

/* Where a trace goes on after a control transfer. */
enum trace_go {
    TRACE_ENDS,
    TRACE_BEHIND,
    TRACE_AT_TARGET,
};

enum { TRACE_GUARDS = 60 }; /* computed jumps that a trace goes on at, at the most */

struct trace {
    struct insn insn[SUPERBLOCK_MAX_INSNS];
    uint16_t offset[SUPERBLOCK_MAX_INSNS + 1]; /* from the block's first byte; the last: its end */
    bool call[SUPERBLOCK_MAX_INSNS];           /* the mode wants another handler than the row's */
    uint8_t go[SUPERBLOCK_MAX_INSNS]; /* of all but the last instruction, if it is a control
                                    transfer: enum trace_go */
    unsigned count;
    unsigned
        second;   /* the same instructions from here to the end as up to here: struct path; or 0 */
    bool step;    /* the one instruction is fetched anew each time */
    unsigned end; /* offset behind the last byte of all */
    unsigned guards;
    bool cut;                           /* see struct block */
    bool branches;                      /* it is a tree: struct path */
    uint8_t from[SUPERBLOCK_MAX_INSNS]; /* as there */
    bool inner[SUPERBLOCK_MAX_INSNS];
    uint16_t seen[SUPERBLOCK_MAX_INSNS];
    uint16_t visits[SUPERBLOCK_MAX_INSNS]; /* if there is a path */
    bool winds; /* an instruction is not behind the one before it, but for the second copy's */
    unsigned next_bytes; /* of the trace, in the next page */
    physaddr_t next_phys;
    uint8_t joined[2 * PAGE_SIZE]; /* the bytes of both, if there are any */
};

/* Offsets from the start of a block at `key` that its instructions can have. */
unsigned trace_reach(const struct block_key *key);

/*
 * The instructions of a block at `key`, of which `page` holds the bytes.  head: the block that is
 * there now, to be made a superblock; NULL: an ordinary one, or with -x eager-superblock one that
 * goes wherever it can.  path: from there, or NULL.  There is always at least one.  Returns the
 * block's bytes.
 */
const uint8_t *trace_decode(const struct translator *tr, struct cpu *cpu,
                            const struct block_key *key, const uint8_t *page,
                            const struct block *head, const struct path *path, struct trace *trace);

#endif
