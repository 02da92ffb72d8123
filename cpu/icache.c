/*
 * cpu/icache.c -- decoded guest code for the interpreter.  See cpu/icache.h.
 *
 * Memory is bounded: blocks and instructions come from two arrays, used from the front; when one
 * is full everything is forgotten.
 */
#include "cpu/icache.h"

#include <stdlib.h>

#include "cpu/interp.h"
#include "cpu/physmem.h"
#include "cpu/run.h"
#include "cpu/run_fast.h"

enum {
    ICACHE_OPS = 1 << 18, /* 20 MiB when all of it is used */
    ICACHE_BLOCKS = ICACHE_OPS / 4,
    ICACHE_PAGES = 1 << 12,
};

static struct icache_block **page_head(struct icache *cache, physaddr_t phys)
{
    return &cache->pages[phys >> PAGE_SHIFT & (ICACHE_PAGES - 1)];
}

struct icache_block *icache_find_chained(struct icache *cache, physaddr_t phys, uint32_t mode)
{
    struct icache_block **head = &cache->hash[icache_hash(phys, mode)];

    for (struct icache_block **link = head; *link != NULL; link = &(*link)->next_in_hash) {
        struct icache_block *const block = *link;

        if (block->phys != phys || block->mode != mode)
            continue;
        *link = block->next_in_hash; /* to the front: it will be asked for again */
        block->next_in_hash = *head;
        *head = block;
        return block;
    }
    return NULL;
}

/* Make a block unfindable.  `page_link` points at it in its page's list. */
static void block_drop(struct icache *cache, struct icache_block **page_link)
{
    struct icache_block *const block = *page_link;
    struct icache_block **link = &cache->hash[icache_hash(block->phys, block->mode)];

    *page_link = block->next_in_page;
    while (*link != block)
        link = &(*link)->next_in_hash;
    *link = block->next_in_hash;
    block->live = false;
    cache->dropped++;
    physmem_code_release(cache->cpu->mem, block->phys, block->bytes);
}

void icache_flush(struct icache *cache)
{
    for (uint32_t i = 0; i < cache->block_count; i++) {
        struct icache_block *const block = &cache->blocks[i];

        if (!block->live)
            continue;
        block->live = false;
        physmem_code_release(cache->cpu->mem, block->phys, block->bytes);
    }
    for (unsigned i = 0; i < 1u << ICACHE_HASH_BITS; i++)
        cache->hash[i] = NULL;
    for (unsigned i = 0; i < ICACHE_PAGES; i++)
        cache->pages[i] = NULL;
    cache->block_count = 0;
    cache->op_count = 0;
    cache->flushed++;
}

/* physmem: bytes that some code came from were stored to. */
static void icache_on_store(void *ctx, physaddr_t gpa, size_t size)
{
    struct icache *const cache = ctx;
    const physaddr_t end = gpa + size;

    for (physaddr_t page = gpa & PAGE_MASK; page < end; page += PAGE_SIZE) {
        struct icache_block **link = page_head(cache, page);

        while (*link != NULL) {
            const struct icache_block *const block = *link;

            if (block->phys < end && gpa < block->phys + block->bytes) {
                block_drop(cache, link);
                cache->cpu->code_written = true;
            } else {
                link = &(*link)->next_in_page;
            }
        }
    }
}

/* physmem: a page got its first mark.  The CPU's own listener drops the TLB's write tags. */
static void icache_on_mark(void *ctx, physaddr_t page)
{
    (void)ctx;
    (void)page;
}

/* physmem: other memory answers at these addresses now. */
static void icache_on_map(void *ctx, physaddr_t gpa, uint64_t size)
{
    struct icache *const cache = ctx;

    (void)gpa;
    (void)size;
    icache_flush(cache);
    cache->cpu->code_written = true;
}

struct icache *icache_create(struct cpu *cpu)
{
    struct icache *const cache = calloc(1, sizeof(*cache));

    if (cache == NULL)
        return NULL;
    cache->cpu = cpu;
    cache->pages = calloc(ICACHE_PAGES, sizeof(struct icache_block *));
    cache->blocks = calloc(ICACHE_BLOCKS, sizeof(*cache->blocks));
    cache->ops = calloc(ICACHE_OPS, sizeof(*cache->ops));
    if (cache->pages == NULL || cache->blocks == NULL || cache->ops == NULL ||
        physmem_add_code_listener(cpu->mem, icache_on_store, icache_on_mark, cache) != 0)
        goto fail;
    if (physmem_add_map_listener(cpu->mem, icache_on_map, cache) != 0) {
        physmem_remove_code_listener(cpu->mem, cache);
        goto fail;
    }
    return cache;
fail:
    free(cache->pages);
    free(cache->blocks);
    free(cache->ops);
    free(cache);
    return NULL;
}

void icache_destroy(struct icache *cache)
{
    if (cache == NULL)
        return;
    icache_flush(cache);
    physmem_remove_code_listener(cache->cpu->mem, cache);
    physmem_remove_map_listener(cache->cpu->mem, cache);
    free(cache->pages);
    free(cache->blocks);
    free(cache->ops);
    free(cache);
}

/* Must the run loop look around after this instruction?  A REP may have to be resumed. */
static bool ends_block(const struct insn *in)
{
    const uint32_t traits = insn_row(in)->traits;

    return traits & ENDS || (traits & STRING && in->prefixes & (PREFIX_REP | PREFIX_REPNE));
}

struct icache_block *icache_build(struct icache *cache, physaddr_t phys, const uint8_t *host)
{
    static const enum code_size code_sizes[4] = {CODE16, CODE32, CODE64, CODE64};
    const struct cpu *const cpu = cache->cpu;
    const enum code_size code_size = code_sizes[cpu->mode & MODE_CODE_MASK];
    const unsigned room = PAGE_SIZE - (unsigned)(phys & ~PAGE_MASK);
    struct icache_block *block, **head;
    unsigned at = 0;

    if (cache->block_count == ICACHE_BLOCKS || cache->op_count > ICACHE_OPS - ICACHE_BLOCK_INSNS)
        icache_flush(cache);
    block = &cache->blocks[cache->block_count];
    *block =
        (struct icache_block){.phys = phys, .mode = cpu->mode, .ops = &cache->ops[cache->op_count]};
    while (block->count < ICACHE_BLOCK_INSNS) {
        struct icache_op *const op = &block->ops[block->count];

        if (decode(host + at, room - at, code_size, &op->in) != DECODE_OK)
            break;
        op->run = run_fast_pick(cpu->mode, &op->in, interp_handler(cpu, &op->in));
        at += op->in.length;
        op->next = at;
        block->count++;
        if (ends_block(&op->in))
            break;
    }
    if (block->count == 0)
        return NULL;
    block->bytes = (uint16_t)at;
    block->live = true;
    cache->block_count++;
    cache->op_count += block->count;
    cache->built++;

    head = &cache->hash[icache_hash(phys, cpu->mode)];
    block->next_in_hash = *head;
    *head = block;
    head = page_head(cache, phys);
    block->next_in_page = *head;
    *head = block;
    physmem_code_mark(cache->cpu->mem, phys, at);
    return block;
}
