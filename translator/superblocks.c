/*
 * translator/superblocks.c -- see translator/superblocks.h.
 */
#include "translator/superblocks.h"

#include "cpu/fpu.h"

enum {
    PATH_SAMPLES = 4,  /* of one whose path never closed */
    SAMPLES_MOST = 20, /* of one that cannot be had: enough */
};

bool superblocks_sample(const struct translator *tr)
{
    return !tr->options.no_superblock && !tr->options.eager_superblock &&
           !tr->options.count_heads && !tr->options.counted;
}

void superblocks_make(struct translator *tr, struct cpu *cpu, struct block *block,
                      struct path *path)
{
    fpu_leave(cpu);
    tr->counters.superblocks++;
    (void)build_superblock(tr, cpu, block, path);
}

static bool may_branch(const struct translator *tr)
{
    return !tr->options.no_tree && !tr->options.counted && !tr->options.no_chain;
}

/* May the block that the exit leads to become a superblock? */
static struct block *candidate(struct translator *tr, const struct block *from, unsigned exit)
{
    struct block *to = cache_exit_to(tr->cache, from, exit);

    if (!cache_exit(tr->cache, from, exit)->head || to == NULL || (to->super && !to->cut) ||
        to->crosses || to->key.mode != from->key.mode || to->head_visits >= SAMPLES_MOST)
        return NULL;
    return to;
}

/* The one that CS:rip is at. */
static struct block *candidate_at(struct translator *tr, const struct block *from, uint64_t rip)
{
    for (unsigned i = 0; i < from->exit_count; i++) {
        struct block *to = candidate(tr, from, i);

        if (to != NULL && to->key.linear - to->key.cs_base == rip)
            return to;
    }
    return NULL;
}

/* The block that the jump backward at CS:rip, one of from's, goes to, if it may become a
 * superblock; the jump is made. */
static struct block *sampled_head(struct translator *tr, struct cpu *cpu, const struct block *from)
{
    unsigned i = 0;

    while (i < from->exit_count && candidate(tr, from, i) == NULL)
        i++;
    if (i == from->exit_count || !path_jump(cpu, from->key.mode))
        return NULL;
    return candidate_at(tr, from, cpu->rip);
}

/* Once more if it did not come back: this may have been the last time.  What never does is worth it
 * if it is longer than the block that is there. */
static bool is_worth_it(const struct block *head, const struct path *path)
{
    if (head->super)
        return path->repeats;
    return path->closed || (head->head_visits >= PATH_SAMPLES && path->count > head->insn_count);
}

void superblocks_note_loop(struct translator *tr, struct cpu *cpu, const struct block *from)
{
    struct block *head;
    struct path path;

    /* Who was kicked cannot look where the loop goes. */
    if (!superblocks_sample(tr) || __atomic_load_n(&cpu->exit_request, __ATOMIC_RELAXED) != 0)
        return;
    head = sampled_head(tr, cpu, from);
    if (head == NULL)
        return;
    head->head_visits++;
    if (cpu->debugger != NULL) { /* may want to stop on the way */
        if (!head->super)
            superblocks_make(tr, cpu, head, NULL);
    } else if (path_record(cpu, head, may_branch(tr), &path) && is_worth_it(head, &path)) {
        superblocks_make(tr, cpu, head, &path);
    }
}

void superblocks_make_at_once(struct translator *tr, struct cpu *cpu, struct block *to)
{
    struct path path;

    if (!to->crosses && cpu->debugger == NULL && path_record(cpu, to, may_branch(tr), &path))
        superblocks_make(tr, cpu, to, &path);
}
