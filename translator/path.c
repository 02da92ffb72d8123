/*
 * translator/path.c -- see translator/path.h.
 *
 * What is found running is what runs often, so the very next way through a loop is a good guess at
 * the usual one.  [Duesterwald and Bala 2000 "Software Profiling for Hot Path Prediction: Less is
 * More": next executing tail]
 */
#include "translator/path.h"

#include "cpu/interp.h"
#include "translator/trace.h"

enum { CALLEES_MOST = 1000 }; /* instructions of called functions, before a call ends the path */

/* What is seen on the way, before it is known how much of it is the path.  (No C library here: the
 * vector registers are the guest's.) */
struct sight {
    const struct block *head;
    struct path *path;
    uint16_t *offset; /* the path's */
    unsigned count;
    unsigned left; /* of CALLEES_MOST */
};

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

static bool is_among(const uint16_t *offsets, unsigned count, uint64_t offset)
{
    for (unsigned i = 0; i < count; i++)
        if (offsets[i] == offset)
            return true;
    return false;
}

static void note(struct sight *sight, const struct cpu *cpu, uint64_t offset)
{
    if (sight->count < SUPERBLOCK_MAX_INSNS)
        for (unsigned i = 0; i < 16; i++)
            sight->path->gpr[sight->count][i] = cpu->gpr[i];
    sight->offset[sight->count++] = (uint16_t)offset;
}

/* From the head on, to where it comes again or the path ends.  True: it has come.  An instruction
 * that comes again before it is part of a loop inside, which goes round who knows how often. */
static bool go_around(struct cpu *cpu, struct sight *sight)
{
    const struct block_key *key = &sight->head->key;
    const uint64_t start = key->linear - key->cs_base;
    const unsigned reach = trace_reach(key), first = sight->count;

    while (sight->count < PATH_SEEN_MOST) {
        const uint64_t before = cpu->rip, at = before - start, sp = cpu->gpr[RSP];

        if (at >= reach || (at == 0 && sight->count != first) ||
            is_among(&sight->offset[first], sight->count - first, at))
            break;
        note(sight, cpu, at);
        if (!step(cpu, key->mode))
            break;
        if (cpu->gpr[RSP] < sp && cpu->rip - before > INSN_MAX_LENGTH &&
            !pass_callee(cpu, key->mode, before, sp, &sight->left))
            break;
    }
    return sight->count != first && cpu->rip == start && cpu->mode == key->mode &&
           !sight->head->dead;
}

/* Is the second half of what was seen the first one again? */
static bool is_twice(const struct sight *sight)
{
    const unsigned half = sight->count / 2;

    for (unsigned i = 0; i < half; i++)
        if (sight->offset[i] != sight->offset[half + i])
            return false;
    return sight->count % 2 == 0;
}

/* Of a way that never closed, what goes forward. */
static unsigned forward(const struct sight *sight)
{
    unsigned count = sight->count != 0;

    while (count < sight->count && count < SUPERBLOCK_MAX_INSNS &&
           sight->offset[count] > sight->offset[count - 1])
        count++;
    return count;
}

/* Around until what was seen is twice the same, or once. */
static void go_round_and_round(struct cpu *cpu, struct sight *sight)
{
    struct path *path = sight->path;

    path->closed = go_around(cpu, sight);
    path->count =
        path->closed && sight->count <= SUPERBLOCK_MAX_INSNS ? sight->count : forward(sight);
    path->closed &= path->count == sight->count;
    while (path->closed && !path->repeats && go_around(cpu, sight))
        path->repeats = is_twice(sight);
    if (path->repeats) {
        path->count = sight->count / 2;
        path->second = sight->count <= SUPERBLOCK_MAX_INSNS ? path->count : 0;
        path->count += path->second;
    }
}

bool path_record(struct cpu *cpu, const struct block *head, struct path *path)
{
    const uint64_t start = head->key.linear - head->key.cs_base;
    struct sight sight;

    sight.head = head;
    sight.path = path;
    sight.offset = path->offset;
    sight.count = 0;
    sight.left = CALLEES_MOST;
    path->count = path->second = 0;
    path->closed = path->repeats = false;
    if (cpu->rip != start && (!step(cpu, head->key.mode) || cpu->rip != start))
        return false;
    go_round_and_round(cpu, &sight);
    return !head->dead && cpu->mode == head->key.mode && (path->closed || !is_kicked(cpu));
}
