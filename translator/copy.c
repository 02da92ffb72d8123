/*
 * translator/copy.c -- see translator/copy.h.
 */
#include "translator/copy.h"

#include <stdlib.h>
#include <string.h>

#include "cpu/mmu.h"

bool copy_exists(const struct translator *tr, const struct cpu *cpu, const struct block_key *key)
{
    return !tr->options.no_copy && !tr->options.eager_superblock && cpu->debugger == NULL &&
           cache_donor(tr->cache, key) != NULL;
}

/* The block that has just been made has to be what the copy would have been, if it is in the same
 * place.  (What is known of the operands of such code may have changed meanwhile.) */
static void compare_copy(struct translator *tr, const struct block *copy, const uint8_t *hot,
                         const uint8_t *cold, const struct block *block)
{
    if (copy->hot != block->hot || copy->cold != block->cold)
        return;
    tr->counters.copies++;
    if (copy->host_bytes != block->host_bytes || copy->cold_room != block->cold_room ||
        memcmp(hot, (const void *)cache_hot_host(tr->cache, block), block->host_bytes) != 0 ||
        memcmp(cold, (const void *)cache_cold_host(tr->cache, block), block->cold_bytes) != 0)
        tr->counters.bad_copies++;
}

/* -x check-copy: as if there were no copies, in the same places. */
static struct block *check_copy(struct translator *tr, struct cpu *cpu, const struct block_key *key,
                                const struct block *copy)
{
    const struct block expected = *copy;
    uint8_t *hot = malloc(copy->host_bytes), *cold = malloc(copy->cold_room);
    struct block *block;

    if (hot != NULL && cold != NULL) {
        memcpy(hot, (const void *)cache_hot_host(tr->cache, copy), copy->host_bytes);
        memcpy(cold, (const void *)cache_cold_host(tr->cache, copy), copy->cold_room);
    }
    block = build_anew(tr, cpu, key, expected.entry_is_hot ? BUILD_ENTRY : 0);
    if (hot != NULL && cold != NULL && block != NULL)
        compare_copy(tr, &expected, hot, cold, block);
    free(hot);
    free(cold);
    return block;
}

/* Is nobody left who runs the code where the donor is?  A guess, which may be wrong either way:
 * what goes wrong is that somebody else has to copy it once more. */
static bool is_orphan(const struct translator *tr, const struct cpu *cpu, const struct block *donor)
{
    const uint64_t root = cache_space(tr->cache, donor->page_id);

    return root != 0 && !mmu_root_maps(cpu, root, donor->key.linear, donor->key.phys) &&
           !mmu_root_maps(cpu, cpu->cr3, donor->key.linear, donor->key.phys);
}

/* One that nobody needs where it is; NULL: there is none.  Looking through a page's blocks takes as
 * long as some copies, so what is in vain is not done again for a while. */
static const struct block *find_orphan(struct translator *tr, const struct cpu *cpu,
                                       const struct block_key *key, const struct block *donor)
{
    const physaddr_t page = key->phys & PAGE_MASK;
    struct barren *barren = &tr->barren[(key->phys >> PAGE_SHIFT) % BARREN];
    const struct block *other = NULL;

    if (tr->options.no_adopt || tr->options.check_copy)
        return NULL;
    if (is_orphan(tr, cpu, donor))
        return donor;
    if (barren->page == page && barren->root == cpu->cr3)
        return NULL;
    while ((other = cache_other_donor(tr->cache, key, other)) != NULL)
        if (other->page_id != donor->page_id && is_orphan(tr, cpu, other))
            return other;
    *barren = (struct barren){page, cpu->cr3};
    return NULL;
}

static struct block *adopt(struct translator *tr, const struct block *donor,
                           const struct block_key *key, uint32_t page_id)
{
    const unsigned count = cache_adopt(tr->cache, donor, key, page_id);

    tr->counters.adopted += count;
    return count != 0 ? cache_find(tr->cache, key) : NULL;
}

struct block *copy_block(struct translator *tr, struct cpu *cpu, const struct block_key *key,
                         unsigned flags)
{
    const uint8_t *page = physmem_page(tr->mem, key->phys)->host;
    const struct block *donor, *orphan;
    struct emit hot, cold;
    struct block *block;
    uint32_t page_id;

    if (flags & BUILD_HEAT || page == NULL || !copy_exists(tr, cpu, key))
        return NULL;
    page_id = cache_page_id(tr->cache, key->linear, key->phys, key->mode);
    donor = cache_donor(tr->cache, key); /* if numbers had run out all blocks have gone */
    if (donor == NULL)
        return NULL;
    orphan = find_orphan(tr, cpu, key, donor);
    block = orphan != NULL ? adopt(tr, orphan, key, page_id) : NULL;
    if (block != NULL)
        return block;
    block = cache_copy(tr->cache, donor, key, page_id, &hot, &cold);
    if (block != NULL && tr->options.check_copy)
        return check_copy(tr, cpu, key, block);
    if (block == NULL || !cache_commit(tr->cache, block, &hot, &cold))
        return NULL;
    tr->counters.copies++;
    if (tr->options.log_in_asm || tr->options.log_out_asm)
        dump_block(tr, block, page + (key->phys & (PAGE_SIZE - 1)));
    return block;
}
