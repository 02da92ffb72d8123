/*
 * translator/region.c -- operands of 64-bit code in a region that is known beforehand.
 *
 * To look an address's region up takes a shift and a load, and the access has to wait for both. But
 * an instruction hardly ever goes from one region to another.  So a block takes its operands to be
 * in one that it was seen to use: HOST_GROUP gets that region's distance, which depends on nothing
 * that the guest computes, and the access is made with it.  What the block took for granted is
 * checked beside, by a load that faults if it was wrong, and that nothing waits for:
 *
 *     mov   r10, [r15 + slots + 8 * 255]  once a block: the distance of region 255
 *     sarx  rcx, rbx, r10                 counts by 27, see WINDOW_BIAS
 *     movzx ecx, byte gs:[rcx - 255*4096] the one page that is there, if RBX is in region 255
 *     mov   rax, [rbx + r10 + disp - 27]
 *
 * A register that was checked stays so until it is written, except by copies and small constants,
 * and so does the last sum of a base and an index: what is loaded is often stored to next.
 * A wrong guess costs some ten microseconds, so guesses are made in superblocks only, and operands
 * of other blocks look their regions up (share.c). An instruction that is found in another region
 * is made again for that one; one that keeps changing looks its regions up (runtime_region(),
 * translator/run.c).
 *
 * HOST_GROUP is no part of the contract at boundaries: where an instruction relies on what others
 * before it have left there, none of those between can be resumed at (b->region.live).
 */
#include "translator/rules.h"
#include "translator/windows.h"

enum { NO_SLOT = REGION_UNKNOWN };

static void forget_small(struct build *b)
{
    for (unsigned i = 0; i < 4; i++)
        b->region.small[i] = 0;
}

void region_begin(struct build *b)
{
    b->region.slot = NO_SLOT;
    b->region.known = b->region.written = b->region.wide = 0;
    b->region.sum.known = false;
    b->region.hosts = 0;
    forget_small(b);
    b->region.drift = 0;
    b->region.live = 0;
}

/* -256 to 255 for canonical addresses. */
static int64_t slot_of(linaddr_t linear)
{
    return (int64_t)linear >> WINDOW_REGION_SHIFT;
}

/* Is there an entry of the slot table for it? */
static bool may_have(const struct build *b, int64_t slot)
{
    return slot < WINDOW_SLOTS / 2 && slot >= (b->view == VIEW_USER ? 0 : -WINDOW_SLOTS / 2);
}

/* Does the register hold what it held when the block was begun, which was just now? */
static bool is_unwritten(const struct build *b, uint8_t reg)
{
    return reg == NO_REG || !(b->region.written >> reg & 1);
}

static bool uses(uint16_t registers, uint8_t reg)
{
    return reg != NO_REG && (registers >> reg & 1);
}

static struct region_note *note_of(const struct build *b)
{
    return runtime_region(b->tr, build_phys(b), b->rip);
}

/* Do the registers say where the operand will be, or was? */
static bool is_seen(const struct build *b, const struct insn *in)
{
    return b->path != NULL || (is_unwritten(b, in->base) && is_unwritten(b, in->index));
}

/* The region that was seen last in this view, other than the stack's. */
static int16_t *usual_slot(const struct build *b)
{
    return &b->tr->usual_slot[b->view == VIEW_USER];
}

/* Where the operand was when the path was taken; or would be if the instruction were the next to
 * run; or where the block has been, or another one was lately. */
static int64_t guess(const struct build *b, const struct insn *in)
{
    const uint64_t *gpr = b->path != NULL ? b->path->gpr[b->path_steps[b->index]] : b->cpu->gpr;
    linaddr_t linear = build_constant_address(b, in);

    if (!is_seen(b, in))
        return b->region.slot != NO_SLOT ? b->region.slot : *usual_slot(b);
    if (in->base != NO_REG)
        linear += gpr[in->base];
    if (in->index != NO_REG)
        linear += gpr[in->index] * (in->scale ? in->scale : 1);
    return slot_of(linear);
}

bool region_takes(struct build *b, const struct insn *in)
{
    const unsigned size = rules_memory_size(in);
    const struct region_note *note;
    int64_t slot;

    if (b->no_groups || !b->guesses || !in->has_mem || in->vsib || in->addr_size != 8 ||
        size == 0 || size > 64 || !build_flat(b, in->seg) || rule_table[in->row] == rule_lea ||
        rule_table[in->row] == rule_nop || (build_is_base_only(in) && in->base == RSP) ||
        build_is_stack_array(b, in) || in->disp < INT32_MIN + WINDOW_BIAS || build_wants_probe(b))
        return false;
    note = note_of(b);
    if (note->changes >= REGION_CHANGES)
        return false;
    slot = build_is_constant(in)          ? slot_of(build_constant_address(b, in))
           : note->slot != REGION_UNKNOWN ? note->slot
                                          : guess(b, in);
    if (!may_have(b, slot))
        return false;
    b->region.wanted = (int16_t)slot;
    return true;
}

/* Has the instruction's index never failed its check? */
static bool may_check_index(const struct build *b)
{
    return !note_of(b)->no_index;
}

struct place region_place(const struct build *b, const struct insn *in)
{
    uint8_t base = T0;

    if (hosted_is_live(b, in, may_check_index(b)))
        return (struct place){PLACE_GROUP, hosted_operand(b, in)};
    if (build_is_near(b, in))
        return (struct place){
            PLACE_GROUP, BASE(HOST_GROUP, (int64_t)build_constant_address(b, in) - WINDOW_BIAS)};
    if (!build_is_base_only(in))
        return (struct place){PLACE_GROUP, INDEX(T0, HOST_GROUP, 1, -WINDOW_BIAS)};
    if (b->contract->host[in->base] != NO_REG)
        base = b->contract->host[in->base];
    return (struct place){PLACE_GROUP, INDEX(base, HOST_GROUP, 1, (int32_t)in->disp - WINDOW_BIAS)};
}

/* HOST_GROUP = distance of the region that is wanted. */
static void go_to(struct build *b)
{
    struct region *r = &b->region;

    if (r->slot == r->wanted) {
        b->records.no_resume |= r->live;
        r->live = 0;
        return;
    }
    build_load_slot(b, HOST_GROUP, r->wanted);
    r->slot = r->wanted;
    r->known = 0;
    forget_small(b);
    r->sum.known = false;
    r->drift = 0;
    r->live = 0;
}

/* Faults if the address in `reg` is elsewhere. */
static void check(struct build *b, uint8_t reg)
{
    emit_sarx(&b->e, W64, TC, reg, HOST_GROUP);
    emit_check(&b->e, -b->region.slot * (int32_t)PAGE_SIZE);
}

static void check_register(struct build *b, uint8_t guest, uint8_t temp)
{
    if (b->region.known >> guest & 1)
        return;
    check(b, build_gpr_read(b, guest, temp));
    b->region.known |= (uint16_t)(1u << guest);
    b->region.wide &= (uint16_t) ~(1u << guest);
}

/* The address is in T0. */
static void check_sum(struct build *b, const struct insn *in)
{
    struct region *r = &b->region;
    const int64_t disp = (int64_t)in->disp;
    const int64_t moved = (int64_t)((uint64_t)disp - (uint64_t)r->sum.disp);

    if (r->sum.known && in->base == r->sum.base && in->index == r->sum.index &&
        in->scale == r->sum.scale && moved <= WINDOW_DRIFT_MAX && moved >= -WINDOW_DRIFT_MAX)
        return;
    check(b, T0);
    r->sum.known = true;
    r->sum.base = in->base;
    r->sum.index = in->index;
    r->sum.scale = in->scale;
    r->sum.disp = disp;
}

void region_operand(struct build *b, const struct insn *in)
{
    const uint8_t anchor = narrow_anchor(b, in);
    struct region_note *note = note_of(b);
    uint8_t base, other;

    b->operand = region_place(b, in).operand;
    if (note->slot == REGION_UNKNOWN)
        note->changes = is_seen(b, in);
    note->slot = b->region.wanted;
    if (is_seen(b, in) && b->region.wanted != slot_of(b->cpu->gpr[RSP]))
        *usual_slot(b) = b->region.wanted;
    if (hosted_is_live(b, in, !note->no_index)) {
        hosted_go(b, in);
        return;
    }
    go_to(b);
    if (build_is_constant(in)) {
        if (!build_is_near(b, in))
            build_mov_constant(b, in);
    } else if (build_is_base_only(in)) {
        if (uses(b->region.known, in->base))
            (void)build_gpr_read(b, in->base, T0);
        else
            check_register(b, in->base, T0);
    } else {
        base = hosted_anchor(b, in, &other);
        if (anchor != NO_REG) {
            check_register(b, anchor, T0);
        } else if (base != NO_REG && !note->no_index) {
            check_register(b, base, T0);
            hosted_check_index(b, other, other == in->index ? in->scale : 1);
        }
        build_address(b, in);
        if (anchor == NO_REG && (base == NO_REG || note->no_index))
            check_sum(b, in);
    }
}

/*
 * Does `in` make a register of a known one and a narrow one?  `wide` is what it is then: in the
 * region or no further from it than the guards reach, whatever narrow is added to it once more.
 *
 *     add rax, rbx        lea rax, [rbx + rcx*4 + disp]
 */
static bool makes_wide(const struct build *b, const struct insn *in)
{
    const uint16_t exact = b->region.known & (uint16_t)~b->region.wide;
    const uint8_t op = in->opcode;
    uint8_t to, with;

    if (in->ops[0].kind != OPERAND_GPR || in->ops[0].size != 8)
        return false;
    if (rule_table[in->row] == rule_lea) {
        const uint8_t anchor = narrow_anchor(b, in);

        return anchor != NO_REG && uses(exact, anchor) && in->scale <= 4;
    }
    if (insn_row(in)->map != M0 || (op != 0x01 && op != 0x03) || in->ops[1].kind != OPERAND_GPR)
        return false;
    to = in->ops[0].reg;
    with = in->ops[1].reg;
    return (uses(exact, to) && uses(b->narrow, with)) || (uses(b->narrow, to) && uses(exact, with));
}

/* The 64-bit register whose region `in` gives to the one that it writes; NO_REG: none. */
static uint8_t copied_from(const struct insn *in)
{
    const uint8_t op = in->opcode;

    if (rule_table[in->row] == rule_lea)
        return build_is_base_only(in) && in->ops[0].size == 8 && in->disp <= WINDOW_DRIFT_MAX &&
                       in->disp >= -WINDOW_DRIFT_MAX
                   ? in->base
                   : NO_REG;
    if (insn_row(in)->map == M0 && (op == 0x89 || op == 0x8b) && in->ops[0].kind == OPERAND_GPR &&
        in->ops[1].kind == OPERAND_GPR && in->ops[0].size == 8)
        return in->ops[1].reg;
    return NO_REG;
}

/* What is still known of registers after the instruction. */
static void keep_known(struct build *b, const struct insn *in)
{
    struct region *r = &b->region;
    const uint8_t from = copied_from(in);
    const bool copied = from != NO_REG && (r->known >> from & 1);
    const bool copied_wide = copied && uses(r->wide, from), made_wide = makes_wide(b, in);
    const uint16_t written = rules_written(in);

    for (unsigned left = written & r->known; left != 0; left &= left - 1) {
        const unsigned reg = (unsigned)__builtin_ctz(left);
        const int64_t step = rules_step(in, reg);

        if (step == 0 || step > WINDOW_DRIFT_MAX || step < -WINDOW_DRIFT_MAX)
            r->known &= (uint16_t) ~(1u << reg);
        else
            r->drift += (int32_t)(step < 0 ? -step : step);
    }
    hosted_after(b, in);
    r->written |= written;
    if (r->sum.known && (uses(written, r->sum.base) || uses(written, r->sum.index) ||
                         ((insn_row(in)->traits & STACK) && r->sum.base == RSP)))
        r->sum.known = false;
    r->wide &= r->known;
    if (copied || made_wide) {
        r->known |= (uint16_t)(1u << in->ops[0].reg);
        if (made_wide || copied_wide)
            r->wide |= (uint16_t)(1u << in->ops[0].reg);
        else
            r->wide &= (uint16_t) ~(1u << in->ops[0].reg);
    }
    if (copied) {
        if (rule_table[in->row] == rule_lea)
            r->drift += (int32_t)(in->disp < 0 ? -in->disp : in->disp);
    }
    if (r->drift > WINDOW_DRIFT_MAX) {
        r->known = 0;
        forget_small(b);
        r->drift = 0;
    }
}

void region_again(struct build *b, struct known *known)
{
    struct region *r = &b->region;

    r->known &= (uint16_t)~hosted_written(b, b->index);
    r->drift = 0; /* of what is left, none moves */
    r->sum.known = false;
    forget_small(b);
    known->slot = r->slot;
    known->regions = r->known;
    known->wide = r->wide &= r->known;
    known->hosts = r->hosts;
    known->narrow = b->narrow;
}

bool region_knows(const struct build *b, const struct known *known)
{
    return (known->slot == NO_SLOT || known->slot == b->region.slot) &&
           (b->region.known & known->regions) == known->regions &&
           (b->region.wide & known->regions & ~known->wide) == 0 &&
           (b->region.hosts & known->hosts) == known->hosts &&
           (b->narrow & known->narrow) == known->narrow;
}

void region_after(struct build *b, const struct insn *in, bool called, bool passed)
{
    struct region *r = &b->region;
    const rule_fn rule = rule_table[in->row];

    if (called || rule == rule_call_near) {
        region_begin(b);
        r->written = UINT16_MAX;
        return;
    }
    if (rule == rule_native || rule == rule_simd || rule == rule_x87 || rule == rule_lea ||
        rule == rule_nop || rule == rule_div || rule == rule_push || passed) {
        keep_known(b, in);
    } else {
        r->known = r->hosts = 0;
        r->sum.known = false;
        forget_small(b);
        r->drift = 0;
        r->written = UINT16_MAX;
    }
    if (r->slot != NO_SLOT && b->index + 1u < b->insn_count && b->index + 1u < BLOCK_RESUMES)
        r->live |= UINT64_C(1) << (b->index + 1);
}
