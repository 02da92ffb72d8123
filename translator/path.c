/*
 * translator/path.c -- see translator/path.h.
 *
 * What is found running is what runs often, so the very next ways through a loop are a good guess
 * at the usual ones.  [Duesterwald and Bala 2000 "Software Profiling for Hot Path Prediction: Less
 * is More": next executing tail]
 */
#include "translator/path.h"

#include "cpu/interp.h"
#include "translator/trace.h"

enum {
    STEPS_ONCE = 2000,   /* instructions that are interpreted until the head comes again ... */
    STEPS_MOST = 6000,   /* and in all */
    ROUNDS_QUIET = 64,   /* times around with nothing new, once there are PATH_STEPS */
    CALLEES_MOST = 3000, /* instructions of called functions, before a call ends the path */
    NONE = SUPERBLOCK_MAX_INSNS,
};

/*
 * What is seen on the way, before it is known how much of it is the path.  The tree of all ways
 * grows in path itself, with the registers of its instructions in the upper half of path.gpr; those
 * of the first steps are in the lower one.  (No C library here: the vector registers are the
 * guest's.)
 */
struct sight {
    const struct block *head;
    struct path *path;
    unsigned steps, rounds;
    unsigned grown;  /* the round that brought something new last */
    unsigned begun;  /* rounds began: at which step the current one */
    unsigned trunk;  /* instructions of the way to closer */
    unsigned alike;  /* rounds that went just that way */
    unsigned pos;    /* of the tree, where the last step was */
    unsigned closer; /* from where the head came next again first, or NONE */
    bool full;       /* the tree */
    bool returned;   /* the function has, and was called again */
    bool anew;       /* the next step is the head's, but not because the loop went round */
    uint64_t sp;     /* the head's RSP */
    unsigned left;   /* of CALLEES_MOST */
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

/* The function has returned: until it is in the loop again.  False: it is not. */
static bool pass_callers(struct cpu *cpu, const struct block_key *key, uint64_t sp, unsigned *left)
{
    const uint64_t start = key->linear - key->cs_base;

    for (; *left > 0; --*left) {
        if (cpu->rip == start && cpu->gpr[RSP] == sp)
            return true;
        if (!step(cpu, key->mode))
            return false;
    }
    return false;
}

/* ---- the tree ---- */

/* One more instruction, behind number `pos`: its number. */
static unsigned add(struct path *path, uint16_t offset, unsigned seen, unsigned pos)
{
    const unsigned i = path->count++;

    path->offset[i] = offset;
    path->seen[i] = (uint16_t)seen;
    path->from[i] = i == 0 || pos == i - 1 ? PATH_NEXT : (uint8_t)pos;
    path->inner[i] = false;
    path->visits[i] = 1;
    return i;
}

/* The instruction at this offset that a way goes on with behind number `pos`. */
static unsigned next_of(const struct path *path, unsigned pos, uint16_t offset)
{
    for (unsigned i = pos + 1; i < path->count; i++)
        if (path->offset[i] == offset &&
            (path->from[i] == PATH_NEXT ? i == pos + 1 : path->from[i] == pos))
            return i;
    return NONE;
}

/* The instruction that comes before number i in the tree, which 0 has not. */
static unsigned before(const struct path *path, unsigned i)
{
    return path->from[i] == PATH_NEXT ? i - 1 : path->from[i];
}

/* The one at this offset that the way to number `pos` comes through. */
static unsigned ancestor_at(const struct path *path, unsigned pos, uint16_t offset)
{
    while (pos != 0 && path->offset[pos] != offset)
        pos = before(path, pos);
    return pos != 0 ? pos : NONE;
}

/* Instructions of the way to number `pos`. */
static unsigned length_to(const struct path *path, unsigned pos)
{
    unsigned length = 1;

    for (; pos != 0; pos = before(path, pos))
        length++;
    return length;
}

static void copy_registers(const struct cpu *cpu, uint64_t gpr[16])
{
    for (unsigned i = 0; i < 16; i++)
        gpr[i] = cpu->gpr[i];
}

/* The loop has come to its head again. */
static void close_round(struct sight *sight)
{
    if (sight->closer == NONE) {
        sight->closer = sight->pos;
        sight->trunk = length_to(sight->path, sight->pos);
    }
    sight->rounds++;
    /* note() has counted the step */
    sight->alike += sight->pos == sight->closer && sight->steps - 1 - sight->begun == sight->trunk;
}

/* The step to `offset` in the tree, which grows if that is new. */
static void grow(struct sight *sight, const struct cpu *cpu, uint16_t offset)
{
    struct path *path = sight->path;
    unsigned next;

    if (path->count != 0 && offset == 0) {
        if (!sight->anew)
            close_round(sight);
        sight->anew = false;
        sight->begun = sight->steps - 1;
        sight->pos = 0;
        path->visits[0]++;
        return;
    }
    next = path->count == 0 ? NONE : next_of(path, sight->pos, offset);
    if (next == NONE && path->count != 0 && offset <= path->offset[sight->pos]) {
        next = ancestor_at(path, sight->pos, offset);
        if (next != NONE)
            path->inner[next] = true;
    }
    if (next == NONE && path->count == SUPERBLOCK_MAX_INSNS) {
        sight->full = true;
        return;
    }
    if (next != NONE) {
        path->visits[next]++;
    } else {
        next = add(path, offset, SUPERBLOCK_MAX_INSNS + path->count, sight->pos);
        sight->grown = sight->rounds;
        copy_registers(cpu, path->gpr[path->seen[next]]);
    }
    sight->pos = next;
}

static void note(struct sight *sight, const struct cpu *cpu, uint16_t offset)
{
    if (sight->steps < SUPERBLOCK_MAX_INSNS)
        copy_registers(cpu, sight->path->gpr[sight->steps]);
    if (sight->steps < PATH_STEPS)
        sight->path->steps[sight->steps] = offset;
    sight->steps++;
    if (!sight->full)
        grow(sight, cpu, offset);
}

/* The first way is long; or all of the ways that there is room for have been seen, or there seem to
 * be no more. */
static bool is_enough(const struct sight *sight)
{
    if (sight->closer == NONE)
        return sight->steps >= STEPS_ONCE;
    return sight->steps >= STEPS_MOST ||
           (sight->steps >= PATH_STEPS &&
            (sight->full || sight->rounds >= sight->grown + ROUNDS_QUIET));
}

/* From the head on.  The last step noted is where the path ended, or would have gone on. */
static void look(struct cpu *cpu, struct sight *sight)
{
    const struct block_key *key = &sight->head->key;
    const uint64_t start = key->linear - key->cs_base;
    const unsigned reach = trace_reach(key);

    while (!is_enough(sight)) {
        const uint64_t before = cpu->rip, at = before - start, sp = cpu->gpr[RSP];

        if (at >= reach || sight->head->dead)
            break;
        note(sight, cpu, (uint16_t)at);
        if (!step(cpu, key->mode))
            break;
        if (cpu->gpr[RSP] < sp && cpu->rip - before > INSN_MAX_LENGTH &&
            !pass_callee(cpu, key->mode, before, sp, &sight->left))
            break;
        if (cpu->gpr[RSP] > sight->sp && cpu->rip - before > INSN_MAX_LENGTH) {
            if (sight->closer == NONE || !pass_callers(cpu, key, sight->sp, &sight->left))
                break;
            sight->anew = sight->returned = true;
        }
    }
    if (cpu->rip == start && cpu->mode == key->mode && sight->closer == NONE && !sight->full &&
        !sight->anew)
        sight->closer = sight->pos;
}

/* ---- what is made of it ---- */

/* Steps after which all that was seen is the same again, at least twice; 0: it is not. */
static unsigned period(const struct path *path, unsigned steps)
{
    for (unsigned length = 1; 2 * length <= steps && length <= SUPERBLOCK_MAX_INSNS; length++) {
        unsigned i = length;

        while (i < steps && path->steps[i] == path->steps[i - length])
            i++;
        if (i == steps && path->steps[length] == 0)
            return length;
    }
    return 0;
}

/* The first steps, one after the other. */
static void take_steps(struct path *path, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        (void)add(path, path->steps[i], i, path->count - 1);
}

/* Of a way that never closed, what goes forward. */
static void take_forward(struct path *path, unsigned steps)
{
    unsigned i = steps != 0;

    while (i < steps && i < SUPERBLOCK_MAX_INSNS && path->steps[i] > path->steps[i - 1])
        i++;
    path->count = 0;
    take_steps(path, i);
}

/* Put the way to `closer` in front of the tree, of which the last goes if there is no room. */
static void take_trunk(struct path *path, unsigned closer)
{
    uint16_t offset[SUPERBLOCK_MAX_INSNS], seen[SUPERBLOCK_MAX_INSNS];
    const unsigned length = length_to(path, closer);
    unsigned keep;

    for (unsigned i = length, of = closer; i-- > 0; of = i != 0 ? before(path, of) : 0) {
        offset[i] = path->offset[of];
        seen[i] = path->seen[of];
    }
    keep =
        path->count < SUPERBLOCK_MAX_INSNS - length ? path->count : SUPERBLOCK_MAX_INSNS - length;
    for (unsigned i = keep; i-- > 0;) {
        path->offset[length + i] = path->offset[i];
        path->seen[length + i] = path->seen[i];
        path->from[length + i] =
            path->from[i] == PATH_NEXT ? PATH_NEXT : (uint8_t)(path->from[i] + length);
        path->inner[length + i] = path->inner[i];
        path->visits[length + i] = path->visits[i];
    }
    for (unsigned i = 0; i < length; i++) {
        path->offset[i] = offset[i];
        path->seen[i] = seen[i];
        path->from[i] = PATH_NEXT;
        path->inner[i] = false;
        path->visits[i] = 1;
    }
    path->count = length + keep;
    path->trunk = path->second = length;
}

/* Nothing but the trunk, which is in front; twice, if there is room. */
static void keep_trunk(struct path *path)
{
    const unsigned length = path->trunk;

    path->count = length;
    path->second = 2 * length <= SUPERBLOCK_MAX_INSNS ? length : 0;
    for (unsigned i = 0; i < path->second; i++) {
        (void)add(path, path->offset[i], path->seen[i], path->count - 1);
        path->visits[path->count - 1] = path->visits[i];
    }
}

/* As it goes on as it has begun, or now this way and now that one.  has_regions: other ways are
 * worth being in the same superblock, as what is known there is known of them, too. */
static void make(struct sight *sight, bool branch, bool has_regions)
{
    struct path *path = sight->path;
    const unsigned steps = sight->steps < PATH_STEPS ? sight->steps : PATH_STEPS;
    const unsigned once = sight->returned ? 0 : period(path, steps);

    path->closed = true;
    if (once != 0) {
        path->repeats = true;
        path->count = 0;
        take_steps(path, once);
        path->second = once <= SUPERBLOCK_MAX_INSNS / 2 ? once : 0;
        if (path->second != 0)
            take_steps(path, once);
        return;
    }
    take_trunk(path, sight->closer);
    path->branches = branch && (has_regions || 8 * sight->alike < 7 * sight->rounds);
    if (!path->branches)
        keep_trunk(path);
}

bool path_jump(struct cpu *cpu, uint32_t mode)
{
    return step(cpu, mode);
}

bool path_record(struct cpu *cpu, const struct block *head, bool branch, struct path *path)
{
    const uint64_t start = head->key.linear - head->key.cs_base;
    const bool has_regions = head->key.mode & MODE_WINDOW && mode_is_code64(head->key.mode);
    struct sight sight;

    sight.head = head;
    sight.path = path;
    sight.steps = sight.rounds = sight.grown = sight.pos = 0;
    sight.begun = sight.trunk = sight.alike = 0;
    sight.closer = NONE;
    sight.full = sight.anew = sight.returned = false;
    sight.left = CALLEES_MOST;
    path->count = path->second = path->trunk = 0;
    path->closed = path->repeats = path->branches = false;
    if (cpu->rip != start && (!step(cpu, head->key.mode) || cpu->rip != start))
        return false;
    sight.sp = cpu->gpr[RSP];
    look(cpu, &sight);
    if (sight.closer != NONE)
        make(&sight, branch, has_regions);
    else
        take_forward(path, sight.steps < PATH_STEPS ? sight.steps : PATH_STEPS);
    return !head->dead && cpu->mode == head->key.mode && (path->closed || !is_kicked(cpu));
}
