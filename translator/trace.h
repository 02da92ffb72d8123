/*
 * translator/trace.h -- which guest instructions a block is made of.
 *
 * An ordinary block runs to the first control transfer.  A *superblock* goes on behind it: it is made
 * once the loop that it begins has been found running (note_loop() in run.c), from the blocks that
 * were there, along exits that were taken.
 *
 *     jcc    the way that was taken, leaving by an exit on the other; if both were, behind it
 *     call   behind it, if it has ever returned
 *     jmp    at its target
 *
 * All of a superblock lies in one page, each instruction at a higher address than the one before.
 */
#ifndef RINGER_TRANSLATOR_TRACE_H
#define RINGER_TRANSLATOR_TRACE_H

#include "translator/block.h"
#include "translator/runtime.h"

/* Where a trace goes on after a control transfer. */
enum trace_go {
    TRACE_ENDS,
    TRACE_BEHIND,
    TRACE_AT_TARGET,
};

struct trace {
    struct insn insn[BLOCK_MAX_INSNS];
    uint16_t offset[BLOCK_MAX_INSNS + 1]; /* from the block's first byte; the last: its end */
    bool call[BLOCK_MAX_INSNS];           /* the mode wants another handler than the row's */
    uint8_t go[BLOCK_MAX_INSNS];          /* of all but the last instruction, if it is a control
                                             transfer: enum trace_go */
    unsigned count;
    bool step;                         /* the one instruction is fetched anew each time */
    uint8_t crossing[INSN_MAX_LENGTH]; /* bytes of the one instruction when it crosses the page */
    unsigned next_bytes;               /* how many of them are in the next page */
    physaddr_t next_phys;
};

/*
 * The instructions of a block at `key`, of which `page` holds the bytes.  head: the block that is
 * there now, to be made a superblock; NULL: an ordinary one, or with -x eager-superblock one that
 * goes wherever it can.  There is always at least one.  Returns the block's bytes.
 */
const uint8_t *trace_decode(const struct translator *tr, struct cpu *cpu,
                            const struct block_key *key, const uint8_t *page,
                            const struct block *head, struct trace *trace);

#endif
