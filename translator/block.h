/*
 * translator/block.h -- a translated block and the cache that owns it.
 *
 * A block is the translation of the guest instructions from one address to the first control
 * transfer, page end or BLOCK_MAX_INSNS.  It is keyed by where the bytes are (physical), where the
 * guest thinks they are (linear, CS base) and the mode bits.  An instruction that crosses a page is
 * a block of its own, all others stay inside one.
 */
#ifndef RINGER_TRANSLATOR_BLOCK_H
#define RINGER_TRANSLATOR_BLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "cpu/cpu.h"
#include "translator/emit.h"

enum { BLOCK_MAX_INSNS = 64, BLOCK_EXITS = 2 };

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
    struct block *from;
    struct block *to;         /* linked target, or NULL */
    struct block_exit *next;  /* other exits linked to the same target */
    struct block_exit **link; /* what points here */
    uint8_t *jump;            /* rel32 field to patch, writable alias; NULL: exit not used */
    bool checked;             /* to another page: enters the target where it checks its page */
    uint64_t stub;            /* host address for the unlinked state */
    linaddr_t target;         /* offset in CS */
};

/* Membership in a list that can be left without a walk. */
struct block_node {
    struct block *block;
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

struct block {
    struct block_key key;
    struct block_node by_key, by_page; /* in the cache's tables */
    struct block_exit *incoming;
    struct block_exit exits[BLOCK_EXITS];
    const struct block_site *sites; /* insn_count + 1; the last is the end */
    const struct block_call *calls; /* by the number in a record of glue.slow */
    uint64_t host;                  /* where it executes */
    uint64_t checked_host;          /* entry that first checks that the page is still mapped here */
    uint32_t host_bytes;            /* from checked_host */
    uint32_t page_id;
    uint16_t guest_bytes; /* in the page of key.phys */
    uint16_t next_bytes;  /* of its one instruction, in the next page */
    physaddr_t next_phys; /* where that page is, when next_bytes is not 0 */
    struct block_node by_next_page;
    uint8_t insn_count;
    bool grouped;       /* some of its accesses share a probe */
    uint8_t misses;     /* of the inline TLB, in a grouped block */
    uint64_t no_resume; /* bit i: instruction i cannot be entered from outside; bit
                           insn_count % 64: neither can the end (0 always can) */
    bool dead;          /* invalidated: unreachable, but may still be running */
};

/* ---- the cache: memory, look-up, links, eviction (translator/cache.c) ---- */

struct cache_counters {
    uint64_t translations, guest_insns, guest_bytes, host_bytes;
    uint64_t lookups, lookup_hits, chains, unchains;
    uint64_t invalidated, evicted_blocks, evictions, id_resets;
};

struct cache;

/* bytes: capacity. NULL when the host refuses the mappings (two views of one memfd: W^X). */
struct cache *cache_create(struct physmem *mem, uint64_t bytes);
void cache_destroy(struct cache *cache);
struct cache_counters *cache_counters(struct cache *cache);

/* Room for one block: an emitter over the current region, and the struct block to fill.  Evicts the
 * oldest region when the current one is full (on_evict tells which blocks go). */
struct block *cache_begin(struct cache *cache, struct emit *e);
/* Keep what was emitted: key, sites, exits, host... are set; marks the guest bytes as code. */
void cache_commit(struct cache *cache, struct block *block, const struct emit *e);
struct block *cache_find(struct cache *cache, const struct block_key *key);
/* Permanent code before any block (glue); only before the first cache_begin(). */
void cache_reserve(struct cache *cache, struct emit *e);
void cache_reserve_end(struct cache *cache, const struct emit *e);

/* The block that owns a host address, or NULL. Async-signal-safe. */
struct block *cache_block_at(struct cache *cache, uint64_t host);
bool cache_contains(const struct cache *cache, uint64_t host);

void cache_link(struct cache *cache, struct block_exit *exit, struct block *to);
void cache_invalidate(struct cache *cache, struct block *block);
void cache_invalidate_range(struct cache *cache, physaddr_t gpa, uint64_t size);
void cache_flush(struct cache *cache);
/* Drop every block that has code at the linear address, wherever that is mapped. */
void cache_invalidate_linear(struct cache *cache, linaddr_t linear);

/* Number that stands for "this physical page, at this linear page, in this mode"; never 0. */
uint32_t cache_page_id(struct cache *cache, linaddr_t linear, physaddr_t phys, uint32_t mode);
/* Called when ids are renumbered or a block dies: drop references in the per-CPU tables. block
 * NULL: all of them. */
void cache_on_drop(struct cache *cache, void (*drop)(void *ctx, const struct block *block),
                   void *ctx);

#endif
