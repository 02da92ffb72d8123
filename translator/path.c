/*
 * translator/path.c -- see translator/path.h.
 *
 * What is found running is what runs often, so the very next way through a loop is a good guess at
 * the usual one.  [Duesterwald and Bala 2000 "Software Profiling for Hot Path Prediction: Less is
 * More": next executing tail]
 */
#include "translator/path.h"

#include "cpu/interp.h"

enum { CALLEES_MOST = 1000 }; /* instructions of called functions, before a call ends the path */

static bool is_kicked(const struct cpu *cpu)
{
    return __atomic_load_n(&cpu->exit_request, __ATOMIC_RELAXED) != 0;
}

/* False: the path ends here.  A kick must not wait for it: what kicked may be a guest that has just
 * read a time, and must have its timer's interrupt before it draws conclusions. */
static bool step(struct cpu *cpu, uint32_t mode)
{
    const bool done = interp_step(cpu);

    cpu->code_written = false; /* the listener has dropped the blocks */
    return done && cpu->mode == mode && !cpu->halted && !cpu->shutdown && cpu->shadow == 0 &&
           !(cpu->rflags & (FLAG_TF | FLAG_RF)) && !cpu_has_event(cpu) && !is_kicked(cpu);
}

/* A call from `before`: until it has returned.  False: it has not.  *left: of CALLEES_MOST. */
static bool pass_callee(struct cpu *cpu, uint32_t mode, uint64_t before, uint64_t sp,
                        unsigned *left)
{
    for (; *left > 0; --*left) {
        if (!step(cpu, mode))
            return false;
        if (cpu->gpr[RSP] == sp)
            return cpu->rip - before <= INSN_MAX_LENGTH;
    }
    return false;
}

/* From the head on, to where it comes again or the path ends.  True: it has come. */
static bool go_around(struct cpu *cpu, const struct block *head, struct path *path, unsigned *left)
{
    const uint64_t start = head->key.linear - head->key.cs_base;
    const unsigned room = PAGE_SIZE - (head->key.phys & (PAGE_SIZE - 1)), first = path->count;
    const uint32_t mode = head->key.mode;

    while (path->count < SUPERBLOCK_MAX_INSNS) {
        const uint64_t before = cpu->rip, at = before - start, sp = cpu->gpr[RSP];

        if (at >= room || (path->count != first && at <= path->offset[path->count - 1]))
            break;
        path->offset[path->count] = (uint16_t)at;
        for (unsigned i = 0; i < 16; i++)
            path->gpr[path->count][i] = cpu->gpr[i];
        path->count++;
        if (!step(cpu, mode))
            break;
        if (cpu->gpr[RSP] < sp && cpu->rip - before > INSN_MAX_LENGTH &&
            !pass_callee(cpu, mode, before, sp, left))
            break;
    }
    return path->count != first && cpu->rip == start && cpu->mode == mode && !head->dead;
}

/* The second way through must be the first: what a block covers ends behind its last instruction.
 */
static bool is_twice(const struct path *path, unsigned once)
{
    for (unsigned i = 0; i < once; i++)
        if (path->count != 2 * once || path->offset[once + i] != path->offset[i])
            return false;
    return true;
}

bool path_record(struct cpu *cpu, const struct block *head, struct path *path)
{
    const uint64_t start = head->key.linear - head->key.cs_base;
    unsigned left = CALLEES_MOST, once;

    path->count = path->second = 0;
    path->closed = false;
    if (cpu->rip != start && (!step(cpu, head->key.mode) || cpu->rip != start))
        return false;
    path->closed = go_around(cpu, head, path, &left);
    once = path->count;
    if (path->closed && once <= SUPERBLOCK_MAX_INSNS / 2) {
        if (go_around(cpu, head, path, &left) && is_twice(path, once))
            path->second = once;
        else
            path->count = once;
    }
    return !head->dead && cpu->mode == head->key.mode && (path->closed || !is_kicked(cpu));
}
