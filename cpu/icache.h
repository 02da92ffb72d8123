/*
 * cpu/icache.h -- decoded guest code for the interpreter.
 *
 * A block is a run of decoded instructions on one physical page: it ends at an instruction with
 * the trait ENDS, at the end of the page, or after ICACHE_BLOCK_INSNS.  It is keyed by the
 * physical address of its first byte and by cpu->mode, since handlers are chosen under the mode.
 * An instruction that crosses a page is in no block.
 *
 * The guest bytes of every block are marked in physmem; a store to them drops the block and sets
 * cpu->code_written.  A dropped block's memory stays as it is until the whole cache is emptied,
 * and nothing is built while a block runs: the run loop may finish the instruction it is in.
 */
#ifndef RINGER_CPU_ICACHE_H
#define RINGER_CPU_ICACHE_H

#include "cpu/cpu.h"

enum {
    ICACHE_BLOCK_INSNS = 32,
    ICACHE_HASH_BITS = 14,
};

struct icache_op {
    insn_run_fn run;
    uint32_t next; /* offset of the following instruction from the block's start */
    struct insn in;
};

struct icache_block {
    physaddr_t phys;
    uint32_t mode;
    uint16_t count; /* instructions, at least 1 */
    uint16_t bytes; /* guest bytes */
    bool live;      /* still findable */
    struct icache_op *ops;
    struct icache_block *next_in_hash, *next_in_page;
};

struct icache {
    struct icache_block *hash[1 << ICACHE_HASH_BITS];
    struct cpu *cpu;
    struct icache_block **pages; /* hashed by page number */
    struct icache_block *blocks;
    struct icache_op *ops;
    uint32_t block_count, op_count;
    uint64_t built, dropped, flushed; /* statistics */
};

/* NULL when out of host memory: the interpreter then runs uncached. */
struct icache *icache_create(struct cpu *cpu);
void icache_destroy(struct icache *cache);
/* Forget everything. */
void icache_flush(struct icache *cache);

/* Decode a block whose first byte is at `phys`; host: the same byte in host memory.  NULL when the
 * first instruction crosses the page or is invalid.  Not while a block runs. */
struct icache_block *icache_build(struct icache *cache, physaddr_t phys, const uint8_t *host);
struct icache_block *icache_find_chained(struct icache *cache, physaddr_t phys, uint32_t mode);

static inline unsigned icache_hash(physaddr_t phys, uint32_t mode)
{
    return (unsigned)(phys ^ phys >> ICACHE_HASH_BITS ^ mode * 0x9e5u) &
           ((1u << ICACHE_HASH_BITS) - 1);
}
/* The block at `phys` under `mode`, or NULL. */
static inline struct icache_block *icache_find(struct icache *cache, physaddr_t phys, uint32_t mode)
{
    struct icache_block *block = cache->hash[icache_hash(phys, mode)];

    if (__builtin_expect(block != NULL && block->phys == phys && block->mode == mode, 1))
        return block;
    return icache_find_chained(cache, phys, mode);
}

#endif
