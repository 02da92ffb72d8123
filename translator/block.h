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

enum { BLOCK_MAX_INSNS = 64, BLOCK_EXITS = 12 };

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

struct block_key {
    physaddr_t phys;
    linaddr_t linear;
    uint64_t cs_base;
    uint32_t mode;
};

/* A direct jump out of a block.  Unlinked it goes to its stub, which asks the dispatcher. */
struct block_exit {
    struct block *to;         /* linked target, or NULL */
    struct block_exit *next;  /* other exits linked to the same target */
    struct block_exit **link; /* what points here */
    uint8_t *jump;            /* rel32 field to patch, writable alias; NULL: exit not used */
    linaddr_t target;         /* offset in CS */
    int32_t stub;             /* what the field holds in the unlinked state */
    bool checked;             /* to another page: enters the target where it checks its page */
    bool head;                /* backward, or by CALL: the target may be worth a superblock */
};

/* Membership in a list that can be left without a walk. */
struct block_node {
    struct block_node *next, **link; /* link: what points here */
};

/* Where each guest instruction is. */
struct block_site {
    uint16_t guest; /* offset from the block's first byte */
    uint16_t host;  /* offset from the block's first host byte */
};

/* An instruction that the block leaves to its handler, decoded once. */
struct block_call {
    insn_run_fn run;
    struct insn in;
};
enum { BLOCK_NO_CALL = 0xffff };

/* Guest bytes that the block reads when it runs, so that they are no code (translator/live.c). */
struct block_hole {
    uint16_t at, bytes; /* from the block's first byte */
};

/* There are as many as there are blocks, and each is fresh memory when a guest starts: small. */
struct block {
    struct block_key key;
    struct block_node by_page; /* blocks that start in the same page */
    struct block_exit *incoming;
    struct block_exit *exits;
    const struct block_site *sites; /* insn_count + 1; the last is the end */
    const struct block_call *calls; /* by the number in a record of glue.slow */
    const struct block_hole *holes; /* ascending; may lead anywhere if there are none */
    uint64_t host;                  /* where it executes */
    uint64_t checked_host;          /* entry that first checks that the page is still mapped here */
    uint64_t no_resume;             /* bit i: instruction i cannot be entered from outside; bit
                                       insn_count % 64: neither can the end (0 always can) */
    physaddr_t next_phys;           /* where the next page is, when next_bytes is not 0 */
    uint32_t host_bytes;            /* of the hot part */
    uint32_t hot;                   /* offset in the cache of the hot part */
    uint32_t cold, cold_bytes; /* offset in the cache, and size, of the code of the cold part */
    uint32_t page_id;
    uint32_t room;        /* bytes of cache memory, from hot */
    uint32_t cold_room;   /* the same elsewhere, from cold; 0: the cold part follows the hot one */
    uint16_t guest_bytes; /* in the page of key.phys */
    uint16_t next_bytes;  /* of its one instruction, in the next page */
    uint16_t fixup_count; /* of cache policies that move blocks */
    uint16_t settled;     /* end of what follows the last instruction's code in 64-bit windows */
    uint8_t insn_count;
    uint8_t hole_count;
    uint8_t exit_count;
    uint8_t misses;        /* of the inline TLB, in a grouped block */
    uint8_t head_visits;   /* samples of the loop that begins here; visits, before they are counted */
    bool super : 1;        /* a superblock */
    bool counts : 1;       /* its visits, if that can lead to anything */
    bool entry_is_hot : 1; /* its checked entry is in its hot part */
    bool grouped : 1;      /* some of its accesses share a probe */
    bool dead : 1;         /* invalidated: unreachable, but may still be running */
    bool used : 1;         /* cache_find() has found it since cache_watch() */
};

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
    uint64_t live_bytes; /* memory of blocks that can be reached */
    uint64_t dead_bytes; /* of those that cannot, but still have theirs */
    uint64_t hole_bytes; /* passed over: too small, or the end of a region */
};

struct cache;
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
/* Keep what was emitted: key, sites, exits, host... are set; marks the guest bytes as code.  The
 * block may then be elsewhere.  False: it cannot be kept. */
bool cache_commit(struct cache *cache, struct block *block, const struct emit *hot,
                  const struct emit *cold);
/* The cold part begins where the emitter is. */
void cache_set_cold(const struct cache *cache, struct block *block, const struct emit *e);
/* Where the code of the block's parts executes. */
uint64_t cache_hot_host(const struct cache *cache, const struct block *block);
uint64_t cache_cold_host(const struct cache *cache, const struct block *block);
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

/* Let the exit, one of from's, jump to `to`. */
void cache_link(struct cache *cache, struct block *from, struct block_exit *exit, struct block *to);
void cache_invalidate(struct cache *cache, struct block *block);
void cache_invalidate_range(struct cache *cache, physaddr_t gpa, uint64_t size);
/* The same after a store that has changed these bytes, except for blocks that cache_on_store() spares. */
void cache_stored(struct cache *cache, physaddr_t gpa, uint64_t size);
void cache_flush(struct cache *cache);
/* Drop every block that has code at the linear address, wherever that is mapped. */
void cache_invalidate_linear(struct cache *cache, linaddr_t linear);

/* Number that stands for "this physical page, at this linear page, in this mode"; never 0. */
uint32_t cache_page_id(struct cache *cache, linaddr_t linear, physaddr_t phys, uint32_t mode);
/* Called when ids are renumbered or a block dies: drop references in the per-CPU tables. block
 * NULL: all of them. */
/* Is the block, which has bytes in [from, to), right nevertheless? */
void cache_on_store(struct cache *cache,
                    bool (*spares)(void *ctx, const struct block *block, physaddr_t from,
                                   physaddr_t to),
                    void *ctx);
void cache_on_drop(struct cache *cache, void (*drop)(void *ctx, const struct block *block),
                   void *ctx);

#endif
