/*
 * translator/group.c -- one probe for several accesses off the same base register.
 *
 * Stack frames and structures are visited by many instructions in a row with the same base register
 * and small displacements.  The first of such a group probes the whole range that the group spans
 * and leaves the host address of the base in HOST_GROUP; the others are then single instructions:
 *
 *     mov eax, [ebp-0x10]      probe [ebp-0x28, ebp-0x0c); lea r10, [host address of ebp]
 *                              mov eax, [r10-0x10]
 *     mov [ebp-0x28], edx      mov [r10-0x28], edx
 *
 * The group ends where its base register is written or where C may run in between, because
 * HOST_GROUP is no part of the contract at boundaries: a side exit inside a group is resumed by a
 * new block that starts there (build.c marks the sites).  A range that crosses a page, or of which
 * a part may not be stored to, misses as a whole; blocks in which that goes on are made again
 * without groups (run.c).
 *
 * 64-bit code with windows has regions instead (region.c, share.c), 32-bit code needs none of this
 * there.
 */
#include "translator/rules.h"

enum {
    SPAN_MAX = 512,   /* bytes; the wider, the more often it crosses a page */
    MEMBERS_LEAST = 2 /* otherwise an ordinary probe is as good */
};

/* Rules that copy: nothing of theirs runs in C unless it misses. */
static bool is_copied(const struct insn *in)
{
    const rule_fn rule = rule_table[in->row];

    return rule == rule_native || rule == rule_simd || rule == rule_x87 || rule == rule_lea ||
           rule == rule_nop || rule == rule_div;
}

/* The memory operand is base + displacement in a flat segment, at the contract's address size. */
static bool is_candidate(const struct build *b, const struct insn *in)
{
    const unsigned size = rules_memory_size(in);

    return in->has_mem && rule_table[in->row] != rule_lea && rule_table[in->row] != rule_nop &&
           in->base != NO_REG && in->index == NO_REG && !in->rip_relative &&
           in->addr_size == (b->code64 ? 8 : 4) && size != 0 && size <= 64 &&
           build_flat(b, in->seg) && (b->code64 || in->seg != CS);
}

/* A jump that a superblock goes on behind: HOST_GROUP stays. */
static bool is_passed(const struct build *b, unsigned index)
{
    const rule_fn rule = rule_table[b->insns[index].row];

    return (rule == rule_jcc || rule == rule_jmp) && index + 1 < b->insn_count &&
           b->insn_goes[index] != TRACE_ENDS;
}

bool group_passes(const struct build *b, unsigned index)
{
    return is_copied(&b->insns[index]) || is_passed(b, index);
}

void group_begin(struct build *b)
{
    narrow_begin(b);
    region_begin(b);
    share_begin(b);
    recent_begin(b);
    b->group = (struct group){.base = NO_REG};
}

/* What the instructions from b->index on have in common with the current one. */
static struct group look_ahead(const struct build *b, const struct insn *in)
{
    struct group group = {.base = in->base, .low = INT64_MAX, .high = INT64_MIN};

    for (unsigned i = b->index; i < b->insn_count; i++) {
        const struct insn *next = &b->insns[i];

        if (b->insn_calls[i] || !group_passes(b, i))
            break;
        if (is_candidate(b, next) && next->base == group.base) {
            const int64_t low = next->disp < group.low ? next->disp : group.low;
            const int64_t end = next->disp + (int64_t)rules_memory_size(next);
            const int64_t high = end > group.high ? end : group.high;

            if (high - low > SPAN_MAX)
                break;
            group.low = low;
            group.high = high;
            group.writes |= rules_memory_access(next) == ACCESS_WRITE;
            group.left++;
        }
        if (rules_writes_gpr(next, group.base))
            break;
    }
    return group;
}

/* Probe the range, HOST_GROUP = host address of the base register. */
static void lead(struct build *b)
{
    struct emit *e = &b->e;
    const struct group *group = &b->group;
    const uint8_t base = build_gpr_read(b, group->base, T0);

    build_range(b, base, (int32_t)group->low, (unsigned)(group->high - group->low),
                group->writes ? ACCESS_WRITE : ACCESS_READ);
    emit_lea(e, W64, HOST_GROUP, INDEX(T0, T1, 1, -(int32_t)group->low));
    b->block->grouped = true;
}

bool group_takes(struct build *b, const struct insn *in)
{
    struct group *group = &b->group;

    if (build_has_regions(b))
        return b->guesses ? region_takes(b, in) : share_takes(b, in);
    if (b->no_groups || !is_candidate(b, in) || b->window)
        return false;
    if (group->base == in->base)
        return true; /* look_ahead() has counted it in */
    if (group->base != NO_REG && group->left > 0)
        return false; /* the one register is in use */
    *group = look_ahead(b, in);
    if (group->left < MEMBERS_LEAST) {
        group->base = NO_REG;
        return false;
    }
    group->fresh = true;
    return true;
}

struct place group_place(const struct build *b, const struct insn *in)
{
    if (build_has_regions(b))
        return b->guesses ? region_place(b, in) : share_place(b, in);
    return (struct place){PLACE_GROUP, BASE(HOST_GROUP, in->disp)};
}

void group_operand(struct build *b, const struct insn *in)
{
    if (build_has_regions(b)) {
        if (b->guesses)
            region_operand(b, in);
        else
            share_operand(b, in);
        return;
    }
    if (b->group.fresh)
        lead(b);
    b->operand = group_place(b, in).operand;
    b->group.fresh = false;
    b->group.left--;
}

void group_after(struct build *b, const struct insn *in, bool called)
{
    if (build_has_regions(b)) {
        region_after(b, in, called, is_passed(b, b->index));
        share_after(b, in, called);
        recent_after(b, in, called);
    }
    narrow_after(b, in, called, is_passed(b, b->index));
    if (b->group.base == NO_REG)
        return;
    if (called || !group_passes(b, b->index) || b->group.left == 0 ||
        rules_writes_gpr(in, b->group.base))
        b->group.base = NO_REG;
}
