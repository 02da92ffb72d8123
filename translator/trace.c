/*
 * translator/trace.c -- see translator/trace.h.
 */
#include "translator/trace.h"

#include <limits.h>

#include "cpu/debugger.h"
#include "cpu/interp.h"
#include "cpu/mmu.h"
#include "translator/rules.h"

enum {
    EXITS_AT_END = 2, /* of a superblock: are left for its end */
    /* A block goes on behind so many conditional jumps, from so few instructions: what is longer is
     * translated more often than it is worth, as jumps lead into the middle of it. */
    BEHIND_JUMPS = 3,
    BEHIND_INSNS = 24,
};

/* One more instruction, `at` bytes behind the start, of which `room` are there.  False: none. */
static bool take(const struct cpu *cpu, uint32_t mode, const uint8_t *bytes, unsigned at,
                 unsigned room, struct trace *t)
{
    struct insn *in = &t->insn[t->count];

    if (t->count == SUPERBLOCK_MAX_INSNS || at >= room ||
        decode(bytes + at, room - at, code_size_of(mode), in) != DECODE_OK)
        return false;
    t->offset[t->count] = (uint16_t)at;
    t->offset[t->count + 1] = (uint16_t)(at + in->length);
    t->call[t->count] = interp_handler(cpu, in) != insn_run_table[in->row];
    t->go[t->count] = TRACE_ENDS;
    t->count++;
    return true;
}

static bool ends(const struct insn *in)
{
    return (insn_row(in)->traits & ENDS) && rule_table[in->row] != rule_sti;
}

/* The instructions from offset `at` to the first control transfer, at most `most`.  False: there
 * was none, so nothing can follow. */
static bool take_run(const struct cpu *cpu, uint32_t mode, const uint8_t *bytes, unsigned at,
                     unsigned room, unsigned most, struct trace *t)
{
    for (unsigned i = 0; i < most && take(cpu, mode, bytes, at, room, t); i++) {
        if (ends(&t->insn[t->count - 1]))
            return true;
        at = t->offset[t->count];
    }
    return false;
}

/* ---- going on ---- */

/* Offset from the block's start that the last instruction's target has. */
static int64_t target_offset(const struct trace *t)
{
    return (int64_t)t->offset[t->count] + (int64_t)t->insn[t->count - 1].imm;
}

/* Ways out that going on at this instruction needs; 0: it cannot be gone on at. */
static unsigned exits_for(const struct translator *tr, const struct trace *t, enum trace_go go)
{
    const struct insn *in = &t->insn[t->count - 1];
    const rule_fn rule = rule_table[in->row];

    if (t->call[t->count - 1] || in->width == 2)
        return 0;
    if (rule == rule_jcc)
        return 1;
    if (rule == rule_jmp && in->ops[0].kind == OPERAND_REL && go == TRACE_AT_TARGET)
        return 1; /* in fact none, but so a trace of nothing but jumps ends */
    if (rule == rule_call_near && go == TRACE_BEHIND && target_offset(t) != t->offset[t->count] &&
        !tr->options.no_retcache && !tr->options.no_chain)
        return 1;
    return 0;
}

/* The block that `from`, whose instructions were the last, has been found to go on to if that is at
 * `offset`; or NULL. */
static const struct block *went_to(const struct cache *cache, const struct block *start,
                                   const struct block *from, int64_t offset)
{
    for (unsigned i = 0; i < from->exit_count; i++) {
        const struct block *to = cache_exit_to(cache, from, i);

        if (to != NULL && to->key.linear - start->key.linear == (uint64_t)offset &&
            to->key.phys - start->key.phys == (uint64_t)offset && to->key.mode == start->key.mode &&
            to->key.cs_base == start->key.cs_base && !to->crosses && !to->super)
            return to;
    }
    return NULL;
}

/* The block that comes next in the trace, and how; NULL: it ends. */
static const struct block *next_of(const struct cache *cache, const struct block *start,
                                   const struct block *from, const struct trace *t,
                                   enum trace_go *go)
{
    const int64_t end = t->offset[t->count];
    const struct block *to = went_to(cache, start, from, end);

    *go = TRACE_BEHIND;
    if (to != NULL || t->insn[t->count - 1].ops[0].kind != OPERAND_REL)
        return to;
    *go = TRACE_AT_TARGET;
    return target_offset(t) > end ? went_to(cache, start, from, target_offset(t)) : NULL;
}

/* Along the exits that were taken. */
static void follow_exits(const struct translator *tr, const struct cpu *cpu,
                         const struct block *head, const uint8_t *bytes, unsigned room,
                         struct trace *t)
{
    const struct block *block = head;
    unsigned exits = 0, at = 0;
    enum trace_go go;

    while (take_run(cpu, head->key.mode, bytes, at, room, block->insn_count, t)) {
        block = next_of(tr->cache, head, block, t, &go);
        if (block == NULL || t->count == SUPERBLOCK_MAX_INSNS)
            break;
        exits += exits_for(tr, t, go);
        if (exits_for(tr, t, go) == 0 || exits > BLOCK_EXITS - EXITS_AT_END)
            break;
        t->go[t->count - 1] = (uint8_t)go;
        at = (unsigned)(block->key.phys - head->key.phys);
    }
}

/* Can the way go on behind this jump because it leads to where the path goes on?  If it is one to
 * a target that is computed, only where it was seen to lead there twice. */
static bool leads_to(const struct translator *tr, const struct trace *t, const struct path *path,
                     unsigned offset)
{
    const struct insn *in = &t->insn[t->count - 1];

    if (in->ops[0].kind == OPERAND_REL)
        return target_offset(t) == offset;
    return path->repeats && rule_table[in->row] == rule_jmp && !t->call[t->count - 1] &&
           in->width != 2 && !tr->options.no_chain && !tr->options.counted && !tr->options.no_guard;
}

static bool is_computed(const struct insn *in)
{
    return rule_table[in->row] == rule_jmp && in->ops[0].kind != OPERAND_REL;
}

static unsigned last_end(const struct trace *t)
{
    return t->offset[t->count - 1] + t->insn[t->count - 1].length;
}

/* Can the trace go on at `offset` behind its last instruction?  It has room for so many exits, of
 * which it may take one.  (The bytes may have changed since the path was taken.) */
static bool goes_on(const struct translator *tr, struct trace *t, const struct path *path,
                    unsigned offset, unsigned *exits)
{
    struct insn *in = &t->insn[t->count - 1];
    const enum trace_go go = offset == last_end(t) ? TRACE_BEHIND : TRACE_AT_TARGET;

    if (!ends(in))
        return go == TRACE_BEHIND;
    if (is_computed(in) || go == TRACE_AT_TARGET) {
        if (!leads_to(tr, t, path, offset)) {
            t->cut |= is_computed(in);
            return false;
        }
    }
    if (is_computed(in)) {
        if (t->guards == TRACE_GUARDS)
            return false;
        t->guards++;
    } else {
        const unsigned more = exits_for(tr, t, go);

        if (more == 0 || *exits < more + EXITS_AT_END)
            return false;
        *exits -= rule_table[in->row] != rule_jmp ? more : 0;
    }
    t->go[t->count - 1] = is_computed(in) ? TRACE_AT_TARGET : (uint8_t)go;
    return true;
}

/* A jump that a tree's ways may end at: it leads here or there, and that is all. */
static bool is_plain_jump(const struct trace *t, unsigned i)
{
    const rule_fn rule = rule_table[t->insn[i].row];

    return !t->call[i] && t->insn[i].width != 2 &&
           (rule == rule_jcc || (rule == rule_jmp && t->insn[i].ops[0].kind == OPERAND_REL));
}

/* The way from instruction `first` on ends at its last jump. */
static void trim(struct trace *t, unsigned first)
{
    while (t->count > first && !is_plain_jump(t, t->count - 1))
        t->count--;
    if (t->count != 0) {
        t->go[t->count - 1] = TRACE_ENDS;
        t->offset[t->count] = (uint16_t)last_end(t);
    }
}

/* Along a path that was taken, one instruction after the other. */
static void follow_path(const struct translator *tr, const struct cpu *cpu, uint32_t mode,
                        const uint8_t *bytes, unsigned room, const struct path *path,
                        unsigned count, struct trace *t)
{
    unsigned exits = BLOCK_EXITS;

    t->count = t->guards = 0;
    for (unsigned i = 0; i < count; i++) {
        if ((i != 0 && !goes_on(tr, t, path, path->offset[i], &exits)) ||
            !take(cpu, mode, bytes, path->offset[i], room, t))
            break;
        t->seen[i] = path->seen[i];
        t->visits[i] = path->visits[i];
    }
}

/* Does the jump lead there the way that the trace does not go on? */
static bool forks(const struct trace *t, unsigned jump, unsigned offset)
{
    const struct insn *in = &t->insn[jump];
    const unsigned end = t->offset[jump] + in->length;
    const int64_t target = (int64_t)end + (int64_t)in->imm;

    if (rule_table[in->row] != rule_jcc)
        return false;
    return (offset == end && t->go[jump] != TRACE_BEHIND) ||
           (offset == target && target != end && t->go[jump] != TRACE_AT_TARGET);
}

/* Does the tree go on where jump number i leads to? */
static bool stays(const struct trace *t, unsigned i, unsigned offset)
{
    if (offset == 0)
        return true;
    for (unsigned j = 0; j < t->count; j++)
        if (t->offset[j] == offset && (j > i ? t->from[j] == i : t->inner[j]))
            return true;
    return false;
}

/* Where a tree is left to. */
struct leavings {
    unsigned count;
    int64_t targets[BLOCK_EXITS + 1];
};

/* is_shared: what is left for the same place needs one exit. */
static void add_leaving(struct leavings *all, int64_t offset, bool is_shared)
{
    for (unsigned i = 0; is_shared && i < all->count; i++)
        if (all->targets[i] == offset)
            return;
    if (all->count <= BLOCK_EXITS)
        all->targets[all->count++] = offset;
}

/* Are there exits enough for what the tree leads to? */
static bool has_exits(const struct trace *t, bool is_shared)
{
    struct leavings all = {0};

    for (unsigned i = 0; i < t->count; i++) {
        const unsigned end = t->offset[i] + t->insn[i].length;
        const int64_t target = (int64_t)end + (int64_t)t->insn[i].imm;

        if (!ends(&t->insn[i]))
            continue;
        if (rule_table[t->insn[i].row] == rule_call_near)
            add_leaving(&all, target, false);
        else if (t->go[i] != TRACE_AT_TARGET && !stays(t, i, (unsigned)target))
            add_leaving(&all, target, is_shared);
        if (rule_table[t->insn[i].row] == rule_jcc && t->go[i] != TRACE_BEHIND && !stays(t, i, end))
            add_leaving(&all, end, is_shared);
    }
    return all.count <= BLOCK_EXITS - EXITS_AT_END;
}

/* Along the ways of a tree that were come to so often, from instruction `start` of the path.  Each
 * has to end at a plain jump, and what cannot be had of one is left away, and what branches off
 * there. */
static void follow_ways(const struct translator *tr, const struct cpu *cpu, uint32_t mode,
                        const uint8_t *bytes, unsigned room, const struct path *path,
                        unsigned start, unsigned visits, struct trace *t)
{
    enum { NONE = SUPERBLOCK_MAX_INSNS };
    uint8_t place[SUPERBLOCK_MAX_INSNS]; /* where each is in the trace */
    unsigned exits = UINT_MAX, first = 0, from;
    bool open = true;

    t->count = t->guards = 0;
    for (unsigned i = start; i < path->count; i++) {
        from = PATH_NEXT;
        place[i] = NONE;
        if (path->from[i] != PATH_NEXT) {
            trim(t, first);
            for (unsigned j = start; j < i; j++)
                if (place[j] != NONE && place[j] >= t->count)
                    place[j] = NONE;
            from = place[path->from[i]];
            open = from != NONE && path->visits[i] >= visits && is_plain_jump(t, from) &&
                   forks(t, from, path->offset[i]);
            first = t->count;
        } else if (i != start) {
            open = open && goes_on(tr, t, path, path->offset[i], &exits);
        }
        open = open && take(cpu, mode, bytes, path->offset[i], room, t);
        if (!open)
            continue;
        place[i] = (uint8_t)(t->count - 1);
        t->from[place[i]] = (uint8_t)from;
        t->inner[place[i]] = path->inner[i];
        t->seen[place[i]] = path->seen[i];
        t->visits[place[i]] = path->visits[i];
    }
    trim(t, first);
}

/* Along as many ways of a tree as there are exits for; what is seldom come to goes first. */
static void follow_tree(const struct translator *tr, const struct cpu *cpu, uint32_t mode,
                        const uint8_t *bytes, unsigned room, const struct path *path,
                        unsigned start, struct trace *t)
{
    const bool is_shared = mode_is_code64(mode) && !tr->options.no_rename && !tr->options.counted;
    unsigned visits = 1;

    do {
        follow_ways(tr, cpu, mode, bytes, room, path, start, visits, t);
        visits *= 2;
    } while (!has_exits(t, is_shared) && visits < 65536);
}

/* Along a path.  If it branches: all ways, as long as its trunk is a loop.  A second copy pays
 * where the first finds something out (translator/region.c). */
static void follow(const struct translator *tr, const struct cpu *cpu, uint32_t mode,
                   const uint8_t *bytes, unsigned room, const struct path *path, struct trace *t)
{
    const bool twice = mode & MODE_WINDOW && mode_is_code64(mode);

    if (!path->branches) {
        follow_path(tr, cpu, mode, bytes, room, path, path->count, t);
        if (path->second != 0 && t->count == path->count)
            t->second = path->second;
        else if (path->second != 0)
            follow_path(tr, cpu, mode, bytes, room, path, path->second, t);
        return;
    }
    follow_path(tr, cpu, mode, bytes, room, path, path->trunk, t);
    if (t->count != path->trunk || !is_plain_jump(t, t->count - 1))
        return;
    follow_tree(tr, cpu, mode, bytes, room, path, twice ? 0 : path->second, t);
    t->branches = true;
    t->second = twice && path->second < t->count ? path->second : 0;
}

/* Wherever that is possible, without having seen anything run: for tests. */
static void follow_eagerly(const struct translator *tr, const struct cpu *cpu,
                           const struct block_key *key, const uint8_t *bytes, unsigned room,
                           struct trace *t)
{
    unsigned exits = 0, at = 0;

    while (take_run(cpu, key->mode, bytes, at, room, SUPERBLOCK_MAX_INSNS, t)) {
        const bool jump = rule_table[t->insn[t->count - 1].row] == rule_jmp;
        const enum trace_go go = jump ? TRACE_AT_TARGET : TRACE_BEHIND;
        const int64_t next = jump ? target_offset(t) : t->offset[t->count];

        exits += exits_for(tr, t, go);
        if (exits_for(tr, t, go) == 0 || exits > BLOCK_EXITS - EXITS_AT_END ||
            t->count == SUPERBLOCK_MAX_INSNS || next < t->offset[t->count])
            break;
        t->go[t->count - 1] = (uint8_t)go;
        at = next < room ? (unsigned)next : room;
    }
}

/* Does an ordinary block go on?  Where superblocks follow exits from block to block
 * (follow_exits()), each has to end at its first. */
static bool extends(const struct translator *tr)
{
    return !tr->options.no_extend && !tr->options.no_superblock && !tr->options.count_heads;
}

/* An ordinary block: on behind a few conditional jumps. What follows most often is what they do not
 * lead to, and then it is there without a jump. */
static void follow_jumps(const struct translator *tr, const struct cpu *cpu,
                         const struct block_key *key, const uint8_t *bytes, unsigned room,
                         struct trace *t)
{
    unsigned jumps = 0;

    while (
        take_run(cpu, key->mode, bytes, t->offset[t->count], room, BLOCK_MAX_INSNS - t->count, t)) {
        if (!extends(tr) || ++jumps > BEHIND_JUMPS || t->count >= BEHIND_INSNS ||
            t->offset[t->count] >= room || rule_table[t->insn[t->count - 1].row] != rule_jcc ||
            exits_for(tr, t, TRACE_BEHIND) == 0)
            break;
        t->go[t->count - 1] = TRACE_BEHIND;
    }
}

/* ---- what is cut short ---- */

/* A debugger's breakpoint is nowhere but at the start of a block (and that one is interpreted). */
static void cut_at_breakpoint(const struct debugger *debugger, const struct block_key *key,
                              struct trace *t)
{
    for (unsigned i = 1; i < t->count; i++) {
        linaddr_t linear = key->linear + t->offset[i];

        if (!mode_is_code64(key->mode))
            linear = (uint32_t)linear;
        if (debugger_breaks_in(debugger, linear, 1)) {
            t->count = i;
            t->offset[i] = (uint16_t)(t->offset[i - 1] + t->insn[i - 1].length);
        }
    }
}

/* The `room` bytes that are left of the first page, and `most` of those that the next linear one
 * has now, to t->joined.  False when there are none to be had. */
static bool join(struct cpu *cpu, const struct block_key *key, const uint8_t *bytes, unsigned room,
                 unsigned most, struct trace *t)
{
    linaddr_t next = (key->linear | ~PAGE_MASK) + 1;
    uint8_t *host;

    if (!(key->mode & MODE_CS_FLAT))
        return false;
    if (!mode_is_code64(key->mode))
        next = (uint32_t)next;
    if (!mmu_fill(cpu, next, ACCESS_EXEC, mmu_view(cpu), &host, &t->next_phys) || host == NULL)
        return false;
    __builtin_memcpy(t->joined, bytes, room);
    __builtin_memcpy(t->joined + room, host, most);
    return true;
}

/* The first instruction begins in the last `room` bytes of its page: take it with the bytes that
 * the next linear page has now.  False when there are none to be had. */
static bool decode_crossing(struct cpu *cpu, const struct block_key *key, const uint8_t *bytes,
                            unsigned room, struct trace *t)
{
    if (room >= INSN_MAX_LENGTH ||
        !join(cpu, key, bytes, room, (unsigned)INSN_MAX_LENGTH - room, t) ||
        !take(cpu, key->mode, t->joined, 0, INSN_MAX_LENGTH, t))
        return false;
    if (t->insn[0].length <= room) {
        t->count = 0;
        return false;
    }
    return true;
}

unsigned trace_reach(const struct block_key *key)
{
    const unsigned room = PAGE_SIZE - (key->phys & (PAGE_SIZE - 1));
    /* What runs over the end of the address space to 0 is a jump backward. */
    const bool is_last = !mode_is_code64(key->mode) &&
                         (uint32_t)key->linear >> PAGE_SHIFT == UINT32_MAX >> PAGE_SHIFT;

    return key->mode & MODE_CS_FLAT && !is_last ? room + PAGE_SIZE : room;
}

/* Does the path leave the first page, of which `room` bytes are left? */
static bool path_crosses(const struct path *path, unsigned room)
{
    for (unsigned i = 0; i < path->count; i++)
        if (path->offset[i] >= room)
            return true;
    return false;
}

/* One instruction that cannot be had whole, or that is none. */
static void describe_step(struct trace *t, unsigned room)
{
    const unsigned bytes = room < INSN_MAX_LENGTH ? room : INSN_MAX_LENGTH;

    t->insn[0] = (struct insn){.length = (uint8_t)bytes};
    t->offset[0] = 0;
    t->offset[1] = (uint16_t)bytes;
    t->call[0] = t->step = true;
    t->go[0] = TRACE_ENDS;
    t->count = 1;
}

static void measure(struct trace *t)
{
    t->end = 0;
    t->winds = false;
    for (unsigned i = 0; i < t->count; i++) {
        const unsigned end =
            i + 1 < t->count ? t->offset[i] + t->insn[i].length : t->offset[t->count];

        t->end = end > t->end ? end : t->end;
        t->winds |= i != 0 && i != t->second && t->offset[i] <= t->offset[i - 1];
    }
}

const uint8_t *trace_decode(const struct translator *tr, struct cpu *cpu,
                            const struct block_key *key, const uint8_t *page,
                            const struct block *head, const struct path *path, struct trace *t)
{
    const unsigned in_page = key->phys & (PAGE_SIZE - 1), left = PAGE_SIZE - in_page;
    const uint8_t *bytes = page + in_page;
    unsigned room = left;

    t->count = 0;
    t->offset[0] = 0;
    t->step = false;
    t->second = 0;
    t->cut = t->branches = false;
    if (path != NULL) {
        if (path->closed && path_crosses(path, left) && trace_reach(key) > left &&
            join(cpu, key, bytes, left, PAGE_SIZE, t)) {
            bytes = t->joined;
            room = left + PAGE_SIZE;
        }
        follow(tr, cpu, key->mode, bytes, room, path, t);
    } else if (head != NULL)
        follow_exits(tr, cpu, head, bytes, room, t);
    else if (tr->options.eager_superblock)
        follow_eagerly(tr, cpu, key, bytes, room, t);
    else
        follow_jumps(tr, cpu, key, bytes, room, t);
    if (t->count == 0) {
        if (decode_crossing(cpu, key, page + in_page, left, t))
            bytes = t->joined;
        else
            describe_step(t, left);
    }
    if (cpu->debugger != NULL)
        cut_at_breakpoint(cpu->debugger, key, t);
    if (t->count != 0)
        t->go[t->count - 1] = TRACE_ENDS; /* what was to follow may not be there */
    measure(t);
    t->next_bytes = t->end > left ? t->end - left : 0;
    return t->next_bytes != 0 ? bytes : page + in_page;
}
