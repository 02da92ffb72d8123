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

static void note(struct sight *sight, const struct cpu *cpu, uint64_t offset)
{
    for (unsigned i = 0; i < 16; i++)
        sight->path->gpr[sight->count][i] = cpu->gpr[i];
    sight->path->step[sight->count++] = (uint16_t)offset;
}

/* From the head on, to where it comes again or the path ends.  True: it has come. */
static bool go_around(struct cpu *cpu, struct sight *sight)
{
    const struct block_key *key = &sight->head->key;
    const uint64_t start = key->linear - key->cs_base;
    const unsigned reach = trace_reach(key), first = sight->count;

    while (sight->count < PATH_SEEN_MOST) {
        const uint64_t before = cpu->rip, at = before - start, sp = cpu->gpr[RSP];

        if (at >= reach || (at == 0 && sight->count != first))
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
    const uint16_t *step = sight->path->step;

    for (unsigned i = 0; i < half; i++)
        if (step[i] != step[half + i])
            return false;
    return sight->count % 2 == 0;
}

/* ---- what is made of it ---- */

/* One more instruction, behind number `pos`: its number. */
static unsigned add(struct path *path, unsigned step, unsigned pos)
{
    const unsigned i = path->count++;

    path->offset[i] = path->step[step];
    path->seen[i] = (uint16_t)step;
    path->from[i] = i == 0 || pos == i - 1 ? PATH_NEXT : (uint8_t)pos;
    path->inner[i] = false;
    return i;
}

/* What was seen from step `first` on, one after the other. */
static void add_steps(struct path *path, unsigned first, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        (void)add(path, first + i, path->count - 1);
}

/* Of a way that never closed, what goes forward. */
static void add_forward(struct path *path, unsigned count)
{
    unsigned i = count != 0;

    while (i < count && i < SUPERBLOCK_MAX_INSNS && path->step[i] > path->step[i - 1])
        i++;
    add_steps(path, 0, i);
}

/* The instruction at this offset that a way goes on with behind number `pos`; count: none yet. */
static unsigned next_of(const struct path *path, unsigned pos, uint16_t offset)
{
    for (unsigned i = pos + 1; i < path->count; i++)
        if (path->offset[i] == offset &&
            (path->from[i] == PATH_NEXT ? i == pos + 1 : path->from[i] == pos))
            return i;
    return path->count;
}

/* The last one at this offset, from number `first` on; count: none. */
static unsigned last_at(const struct path *path, unsigned first, uint16_t offset)
{
    for (unsigned i = path->count; i-- > first;)
        if (path->offset[i] == offset)
            return i;
    return path->count;
}

/* All ways that were seen from step `step` on, where the head is. */
static void add_tree(struct path *path, unsigned step, unsigned seen)
{
    const unsigned root = path->count;
    unsigned pos = add(path, step, path->count - 1);

    while (++step < seen) {
        const uint16_t at = path->step[step];
        unsigned next = at == 0 ? root : next_of(path, pos, at);

        if (next == path->count && at <= path->offset[pos]) {
            next = last_at(path, root, at);
            if (next != path->count)
                path->inner[next] = true;
        }
        if (next == path->count && path->count == SUPERBLOCK_MAX_INSNS)
            break;
        pos = next != path->count ? next : add(path, step, pos);
    }
}

static bool is_among(const uint16_t *offsets, unsigned count, uint16_t offset)
{
    for (unsigned i = 0; i < count; i++)
        if (offsets[i] == offset)
            return true;
    return false;
}

/* The first time around in which nothing came twice: its first step, and how many in *count; 0:
 * there is none. */
static unsigned simple_round(const struct path *path, unsigned seen, unsigned *count)
{
    const uint16_t *step = path->step;
    unsigned first = 0;
    bool simple = true;

    for (unsigned i = 1; i < seen; i++) {
        if (step[i] == 0 && simple) {
            *count = i - first;
            return first;
        }
        simple = step[i] == 0 || (simple && !is_among(&step[first], i - first, step[i]));
        if (step[i] == 0)
            first = i;
    }
    *count = 0;
    return 0;
}

/* Instructions up to where the second way begins. */
static unsigned length_of_first(const struct path *path)
{
    unsigned count = 1;

    while (count < path->count && path->from[count] == PATH_NEXT)
        count++;
    return count;
}

/* Around until what was seen is twice the same; then what is made of it.  twice: two copies are
 * worth it. */
static void go_round_and_round(struct cpu *cpu, struct sight *sight, bool branch, bool twice)
{
    struct path *path = sight->path;
    unsigned once, round;

    path->closed = go_around(cpu, sight);
    once = sight->count;
    while (path->closed && !path->repeats && go_around(cpu, sight))
        path->repeats = is_twice(sight);
    round = simple_round(path, sight->count, &once);
    if (path->repeats) {
        add_steps(path, 0, sight->count / 2);
        path->second = sight->count <= SUPERBLOCK_MAX_INSNS ? path->count : 0;
        if (path->second != 0)
            add_steps(path, 0, path->second);
    } else if (path->closed && branch) {
        path->branches = true;
        if (twice && once <= SUPERBLOCK_MAX_INSNS / 3)
            add_steps(path, round, once);
        path->second = path->count;
        add_tree(path, round, sight->count);
        path->trunk = once != 0 ? once : length_of_first(path);
    } else if (path->closed && once != 0 && once <= SUPERBLOCK_MAX_INSNS) {
        add_steps(path, round, once);
    } else {
        path->closed = false;
        add_forward(path, sight->count);
    }
}

bool path_record(struct cpu *cpu, const struct block *head, bool branch, struct path *path)
{
    const uint64_t start = head->key.linear - head->key.cs_base;
    const bool has_regions = head->key.mode & MODE_WINDOW && mode_is_code64(head->key.mode);
    struct sight sight;

    sight.head = head;
    sight.path = path;
    sight.count = 0;
    sight.left = CALLEES_MOST;
    path->count = path->second = 0;
    path->closed = path->repeats = path->branches = false;
    if (cpu->rip != start && (!step(cpu, head->key.mode) || cpu->rip != start))
        return false;
    go_round_and_round(cpu, &sight, branch, has_regions);
    return !head->dead && cpu->mode == head->key.mode && (path->closed || !is_kicked(cpu));
}
