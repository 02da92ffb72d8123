/*
 * translator/block.h -- a translated block and the cache that owns it.
 *
 * A block is the translation of the guest instructions from one address to the first control
 * transfer, page end or BLOCK_MAX_INSNS; a superblock goes on behind it (translator/trace.h).  It
 * is keyed by where the bytes are (physical), where the guest thinks they are (linear, CS base) and
 * the mode bits.  An instruction that crosses a page is a block of its own, all others stay inside
 * one.
 */
#ifndef RINGER_TRANSLATOR_BLOCK_H
#define RINGER_TRANSLATOR_BLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "cpu/cpu.h"
#include "translator/emit.h"

enum { BLOCK_MAX_INSNS = 64, SUPERBLOCK_MAX_INSNS = 240, BLOCK_EXITS = 62, BLOCK_RESUMES = 64 };

static inline enum code_size code_size_of(uint32_t mode)
{
    switch (mode & MODE_CODE_MASK) {
    case MODE_CODE16:
        return CODE16;
    case MODE_CODE32:
        return CODE32;
    default:
        return CODE64;
    }
}

/* CS base: nothing but 64-bit code has more than 32 bits of addresses, and there it is 0. */
struct block_key {
    physaddr_t phys;
    linaddr_t linear;
    uint32_t cs_base;
    uint32_t mode;
};

/*
 * What a block costs.  A guest that starts a compiler once has a quarter of a million of blocks
 * made, of 4.5 instructions each.  Most run a few times, so what is dear about them is memory: each
 * page of it is a page fault of the host's when it is touched first, and stays.  A block of 17
 * guest bytes has some 70 bytes of hot code and
 *
 *     64  struct block, one cache line (aligned: the array begins at a page)
 *     24  stubs and other code of its cold part
 *     28  exits, 16 bytes for each
 *     11  sites, two bytes for each instruction
 *     15  for where late checked entries are, rounding up, what is rare
 *     18  its share of the tables that find it (translator/cache_index.c, cache->starts)
 *
 * So blocks are named by number, places by their distance from something, what is rare is in struct
 * block_extra, and what follows from other things is not kept.  Functions below say it in full.
 */

/*
 * A direct jump out of a block.  Unlinked it goes to its stub, which asks the dispatcher.
 */
struct block_exit {
    uint32_t next;    /* reference of another exit that is linked to the same target */
    uint32_t link;    /* reference of what points here, an exit or the target; 0: not linked */
    int32_t target;   /* offset in CS, from the block's start; is_far: number of the far target */
    uint16_t jump;    /* rel32 field to patch: offset from the first byte of the part it is in */
    bool is_cold : 1; /* that is the cold one */
    bool checked : 1; /* to another page: enters the target where it checks its page */
    bool head : 1;    /* backward, or by CALL: the target may be worth a superblock */
    bool is_far : 1;
};
_Static_assert(sizeof(struct block_exit) == 16, "there are many");

/* References of exits: (number of the block + 1) << BLOCK_REF_SHIFT | number of the exit; 0: of
 * none.  With BLOCK_REF_INCOMING in place of the exit's number: of the block's `incoming`. */
enum { BLOCK_REF_SHIFT = 6, BLOCK_REF_INCOMING = (1 << BLOCK_REF_SHIFT) - 1 };
_Static_assert((int)BLOCK_EXITS <= (int)BLOCK_REF_INCOMING, "an exit's number has these bits");

/* Where each guest instruction is.  Kept as two bytes where neither is above 255. */
struct block_site {
    uint16_t guest; /* offset from the block's first byte */
    uint16_t host;  /* offset from where the block executes */
};

/* An instruction that the block leaves to its handler, decoded once. */
struct block_call {
    insn_run_fn run;
    struct insn in;
};
enum { BLOCK_NO_CALL = 0xff };

/* Guest bytes that the block reads when it runs, so that they are no code (translator/live.c). */
struct block_hole {
    uint16_t at, bytes; /* from the block's first byte */
};

/* What few blocks have. */
struct block_extra {
    uint64_t no_resume; /* bit i: instruction i cannot be entered from outside (0 always can); none
                           from BLOCK_RESUMES on can */
    physaddr_t next_phys; /* where the next page is, when next_bytes is not 0 */
    uint16_t next_bytes;  /* of the block, in the next page */
    uint8_t far_count, call_count, hole_count;
    bool owes; /* an int8_t for each instruction: cache_owed_sp() */
};

/*
 * Look-up needs the key and `used`; links need a few of the others.
 *
 * cache memory:
 *     hot                        entry                                 host_bytes
 *     | (checked entry, if hot)  | instructions                        |
 *     cold                       cold_bytes
 *     | stubs of exits, others   | (late), exits, sites, extra and what goes with it |
 *
 * and, where policies move blocks, fixups behind all that.  A block's checked entry is in its hot
 * part if it was first reached that way.  Of the others one in sixteen is ever reached so: where
 * the policy can have more cold memory (late) they get it then.
 */
struct block {
    struct block_key key;
    uint32_t page_next, page_prev; /* blocks that start in the same page: number + 1; 0: none */
    uint32_t incoming;             /* reference of the first exit that is linked to the block */
    uint32_t hot, cold;            /* offsets in the cache of both parts */
    uint16_t host_bytes;           /* of code in the hot part */
    uint16_t cold_bytes;           /* the same of the cold part */
    uint16_t page_id;
    uint16_t room;      /* of cache memory, from hot, in units */
    uint16_t cold_room; /* the same elsewhere, from cold, in bytes; 0: the cold part follows the
                           hot one */
    uint16_t
        guest_bytes; /* in the page of key.phys; from there a block may go on in the next one */
    uint8_t entry;   /* where it executes, from hot */
    uint8_t insn_count;
    uint8_t exit_count : 6;
    bool crosses : 1;    /* into the next page: its one instruction, or a superblock */
    uint8_t settled;     /* bytes that follow the last instruction's code in 64-bit windows */
    uint8_t misses;      /* of the inline TLB, in a grouped block */
    uint8_t head_visits; /* samples of the loop that begins here; visits, before they are counted */
    bool super : 1;      /* a superblock */
    bool cut : 1;        /* one that ends at a computed jump, as where that leads varies */
    bool renamed : 1;    /* behind its stubs is what restores the contract after a fault */
    bool counts : 1;     /* its visits, if that can lead to anything */
    bool entry_is_hot : 1; /* its checked entry is in its hot part */
    bool grouped : 1;      /* some of its accesses share a probe */
    bool dead : 1;         /* invalidated: unreachable, but may still be running */
    bool used : 1;         /* cache_find() has found it since cache_watch() */
    bool late : 1;         /* its checked entry is elsewhere, if there is one yet */
    bool wide : 1;         /* sites are kept as struct block_site */
    bool has_extra : 1;
    bool portable : 1; /* can be copied to another linear address, see cache_copy.c */
    bool no_end : 1;   /* cannot be entered behind the last instruction */
};
_Static_assert(sizeof(struct block) == 64, "a cache line");

enum {
    BLOCK_ROOM_UNIT = 16,
    BLOCK_NUMBER_BITS = 24,
    BLOCK_MOST = (1 << BLOCK_NUMBER_BITS) - 1, /* a number + 1 has that many bits, too */
    BLOCK_STUB_BYTES = 9,                      /* of an exit: CALL and record (translator/flow.c) */
    BLOCK_ENTRY_BYTES = 32,                    /* of a late checked entry, at the most */
    BLOCK_RECHECK_BYTES = 5,                   /* in front of a hot one (translator/flow.c) */
};

static inline uint32_t block_room(const struct block *block)
{
    return (uint32_t)block->room * BLOCK_ROOM_UNIT;
}

/* ---- what is kept in the cold part, translator/cache_records.c ---- */

/* What the block's maker knows, to be packed. */
struct block_records {
    unsigned exit_count;
    struct {
        uint64_t target; /* offset in CS */
        uint8_t *jump;   /* rel32 field to patch, writable alias */
        bool is_cold, checked, head;
    } exits[BLOCK_EXITS];
    struct block_site sites[SUPERBLOCK_MAX_INSNS + 1]; /* the last is the end */
    unsigned call_count, hole_count;
    struct block_call calls[SUPERBLOCK_MAX_INSNS]; /* by the number in a record of glue.slow */
    struct block_hole holes[SUPERBLOCK_MAX_INSNS]; /* ascending */
    uint64_t no_resume;                            /* struct block_extra */
    int8_t owed_sp[SUPERBLOCK_MAX_INSNS];          /* cache_owed_sp() */
    bool owes;                                     /* one of them is not 0 */
    physaddr_t next_phys;                          /* struct block_extra */
    unsigned next_bytes;
};

struct cache;

/* Emit them; the code of both parts is complete, its sizes, key and insn_count are set. */
void cache_emit_records(const struct cache *cache, struct block *block, struct emit *e,
                        const struct block_records *records);
/* Async-signal-safe, all of them. */
struct block_site cache_site(const struct cache *cache, const struct block *block, unsigned index);
const struct block_extra *cache_extra(const struct cache *cache, const struct block *block);
/* From the block's first byte to behind its last, in both pages. */
unsigned cache_bytes(const struct cache *cache, const struct block *block);
/* Where the byte at this offset of the block is. */
physaddr_t cache_phys(const struct cache *cache, const struct block *block, unsigned offset);
const struct block_call *cache_call(const struct cache *cache, const struct block *block,
                                    unsigned number);
/* *count: how many there are. */
const struct block_hole *cache_holes(const struct cache *cache, const struct block *block,
                                     unsigned *count);
struct block_exit *cache_exit(const struct cache *cache, const struct block *block,
                              unsigned number);
/* Offset in CS. */
uint64_t cache_exit_target(const struct cache *cache, const struct block *block, unsigned number);
/* The block that the exit is linked to, or NULL. */
struct block *cache_exit_to(const struct cache *cache, const struct block *block, unsigned number);
/* What RSP's host register lacks in instruction `index` (translator/stack.c). */
int cache_owed_sp(const struct cache *cache, const struct block *block, unsigned index);
/* Can the block be entered at instruction `index`?  insn_count: behind the last. */
bool cache_resumes(const struct cache *cache, const struct block *block, unsigned index);

/* ---- the cache: memory, look-up, links, eviction (translator/cache*.c) ---- */

struct cache_counters {
    uint64_t translations, guest_insns, guest_bytes, host_bytes;
    uint64_t hot_bytes; /* of host_bytes, those in hot parts */
    uint64_t lookups, lookup_hits, chains, unchains;
    uint64_t invalidated, id_resets;
    uint64_t evictions;      /* times that room was made */
    uint64_t evicted_blocks; /* live ones that went then */
    uint64_t
        retranslations;  /* translations of what had been evicted, as far as that is remembered */
    uint64_t promotions; /* blocks that were moved instead */
    uint64_t late_entries;
    uint64_t live_bytes; /* memory of blocks that can be reached */
    uint64_t dead_bytes; /* of those that cannot, but still have theirs */
    uint64_t hole_bytes; /* passed over: too small, or the end of a region */
};

/* Bytes of the tables beside the cache's memory that have been touched for blocks. */
uint64_t cache_table_bytes(const struct cache *cache);

struct cache_policy;

/* bytes: capacity; policy: NULL for the default.  NULL when the host refuses the mappings (two
 * views of one memfd: W^X). */
struct cache *cache_create(struct physmem *mem, uint64_t bytes, const struct cache_policy *policy);
void cache_destroy(struct cache *cache);
struct cache_counters *cache_counters(struct cache *cache);

/* Permanent code before any block (glue); only before the first cache_begin().  False: no memory.
 */
void cache_reserve(struct cache *cache, struct emit *e);
bool cache_reserve_end(struct cache *cache, const struct emit *e);

/*
 * A block has two parts.  Hot: what runs when all is well.  Cold: side exits, stubs, and what C
 * wants to know: exits, sites, calls, fixups.  Policies may keep them apart, so that hot code
 * shares cache lines and pages with hot code.
 *
 * Room for one block: an emitter for each part, and the struct block to fill.  cold->at is NULL:
 * the cold part goes where the hot one ends.  Evicts what the policy says; only while no block
 * runs, but those that C was called from may go (see cache_epoch()).  May call the C library. NULL:
 * no memory.  A block that is not committed has never been.
 */
struct block *cache_begin(struct cache *cache, struct emit *hot, struct emit *cold);
/*
 * Keep what of the block's code depends on where it is, behind all else in its cold part, whose
 * emitter this is; and so make it portable.  If it can be: code of CPL 3 in 64-bit mode, high
 * enough for its addresses to have all one form.
 */
void cache_keep_places(const struct cache *cache, struct block *block, struct emit *cold);
/* Can code there be, as far as the address and the mode go? */
bool cache_is_portable(const struct block_key *key);
/* A block of the same code at another linear address; NULL: none is known. */
struct block *cache_donor(const struct cache *cache, const struct block_key *key);
/* All that could be, one after the other; after: NULL, or the one before. */
const struct block *cache_other_donor(const struct cache *cache, const struct block_key *key,
                                      const struct block *after);
/* Copy of the donor at the key's address, not yet committed; its page has this number.  NULL: there
 * was no room, or it took the donor's.  May call the C library. */
struct block *cache_copy(struct cache *cache, const struct block *donor,
                         const struct block_key *key, uint32_t page_id, struct emit *hot,
                         struct emit *cold);
/* From now on the donor, and whatever can be copied of its page's blocks, is at the linear address
 * of the key and around it, and nowhere else; their page has this number.  How many they are; 0:
 * that cannot be.  Changes cache_epoch(), as pointers to blocks are not to what they were to. */
unsigned cache_adopt(struct cache *cache, const struct block *donor, const struct block_key *key,
                     uint32_t page_id);
/* Keep what was emitted: key, counts, records... are set; marks the guest bytes as code.  The
 * block may then be elsewhere.  False: it cannot be kept. */
bool cache_commit(struct cache *cache, struct block *block, const struct emit *hot,
                  const struct emit *cold);
/* The cold part begins where the emitter is. */
void cache_set_cold(const struct cache *cache, struct block *block, const struct emit *e);
/* Where the block executes; and where it first checks that the page is still mapped here, 0: that
 * entry has not been made. */
uint64_t cache_host(const struct cache *cache, const struct block *block);
uint64_t cache_checked_host(const struct cache *cache, const struct block *block);
/* Make it: room for BLOCK_ENTRY_BYTES.  False: there is none now. */
bool cache_entry_begin(struct cache *cache, const struct block *block, struct emit *e);
void cache_entry_end(struct cache *cache, struct block *block, uint64_t host);
/* Where the code of the block's parts begins. */
uint64_t cache_hot_host(const struct cache *cache, const struct block *block);
uint64_t cache_cold_host(const struct cache *cache, const struct block *block);
/* Where a fault in a block that is `renamed` goes: behind the stubs of its exits. */
uint64_t cache_fault_host(const struct cache *cache, const struct block *block);
struct block *cache_find(struct cache *cache, const struct block_key *key);

/* Short name of a block for generated code, and back.  Good as long as the block is. */
uint32_t cache_number(const struct cache *cache, const struct block *block);
struct block *cache_block(const struct cache *cache, uint32_t number);
/* Changes when the memory of blocks, dead or alive, is taken back: pointers may have become stale.
 */
uint64_t cache_epoch(const struct cache *cache);

/* The block that owns a host address, or NULL. Async-signal-safe. */
struct block *cache_block_at(const struct cache *cache, uint64_t host);
bool cache_contains(const struct cache *cache, uint64_t host);

/* Let one of from's exits jump to `to`, unless that lacks the entry which is needed. */
void cache_link(struct cache *cache, struct block *from, unsigned exit, struct block *to);
void cache_invalidate(struct cache *cache, struct block *block);
void cache_invalidate_range(struct cache *cache, physaddr_t gpa, uint64_t size);
/* The same after a store that has changed these bytes, except for blocks that cache_on_store()
 * spares. */
void cache_stored(struct cache *cache, physaddr_t gpa, uint64_t size);
void cache_flush(struct cache *cache);
/* Drop every block that has code at the linear address, wherever that is mapped. */
void cache_invalidate_linear(struct cache *cache, linaddr_t linear);

/* Number that stands for "this physical page, at this linear page, in this mode"; never 0. */
uint32_t cache_page_id(struct cache *cache, linaddr_t linear, physaddr_t phys, uint32_t mode);
/* The root of the page tables by which that page was last entered; 0: it is not known. */
void cache_note_space(struct cache *cache, uint32_t page_id, uint64_t root);
uint64_t cache_space(const struct cache *cache, uint32_t page_id);
/* Is the block, which has bytes in [from, to), right nevertheless? */
void cache_on_store(struct cache *cache,
                    bool (*spares)(void *ctx, const struct block *block, physaddr_t from,
                                   physaddr_t to),
                    void *ctx);
/* Called when ids are renumbered or a block dies: drop references in the per-CPU tables. block
 * NULL: all of them. */
void cache_on_drop(struct cache *cache, void (*drop)(void *ctx, const struct block *block),
                   void *ctx);

#endif
