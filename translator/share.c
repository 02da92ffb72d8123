/*
 * translator/share.c -- one look-up for several accesses off the same base, in 64-bit code with
 * windows.
 *
 * Where nothing is guessed (region.c), an access needs the distance of its region looked up, which
 * takes a shift and a load. Those that follow off the same register do without: HOST_GROUP keeps
 * what the first one has found.
 *
 *     mov rax, [rdx+0x10]      shrx r10, rdx, r15
 *                              mov  r10, [r15 + r10*8 + slots]
 *                              mov  rax, [rdx + r10 + 0x10-27]
 *     mov [rdx+8], rsi         mov  [rdx + r10 + 8-27], rsi
 *
 * A register that is in struct cpu would have to be fetched each time.  Then HOST_GROUP keeps the
 * host address, biased like a distance:
 *
 *     mov rax, [r13+0x10]      mov  r13, [r15 + cpu.r13]
 *                              shrx r10, r13, r15
 *                              mov  r10, [r15 + r10*8 + slots]
 *                              lea  r10, [r13 + r10]
 *                              mov  rax, [r10 + 0x10-27]
 *     mov [r13+8], rsi         mov  [r10 + 8-27], rsi
 *
 * And operands without registers, RIP-relative ones for instance, share their region's distance.
 *
 * It ends where the base is written (a distance: by more than small constants) or where C may run,
 * because HOST_GROUP is no part of the contract at boundaries: where an instruction relies on it,
 * none since the look-up can be resumed at.
 */
#include "translator/rules.h"
#include "translator/windows.h"

enum {
    NOBODY = NO_REG,
    CONSTANTS = NO_REG - 1, /* whatever is in one region without registers */
    MEMBERS_LEAST = 2
};

void share_begin(struct build *b)
{
    b->share = (struct share){.base = NOBODY};
}

static bool is_candidate(const struct build *b, const struct insn *in)
{
    const unsigned size = rules_memory_size(in);

    return in->has_mem && rule_table[in->row] != rule_lea && rule_table[in->row] != rule_nop &&
           !in->vsib && in->addr_size == 8 && size != 0 && size <= 64 && build_flat(b, in->seg) &&
           in->disp >= INT32_MIN + WINDOW_BIAS;
}

/* Whose region the operand is in: a guest register or CONSTANTS.  NOBODY: that of the sum; or
 * HOST_STACK has it already. */
static uint8_t anchor_of(const struct build *b, const struct insn *in, int16_t *slot)
{
    if (build_is_fixed(b, in, slot))
        return CONSTANTS;
    *slot = 0;
    if (build_is_constant(in))
        return NOBODY;
    if (build_is_base_only(in))
        return in->base == RSP ? NOBODY : in->base;
    return build_is_stack_array(b, in) ? NOBODY : narrow_anchor(b, in);
}

static bool in_memory(const struct build *b, uint8_t guest)
{
    return b->contract->host[guest] == NO_REG;
}

/* Is the operand one that counts for a look-up, knowing no more than the instruction itself? */
static bool counts(const struct build *b, const struct insn *in, uint8_t anchor, int16_t slot)
{
    int16_t own;

    if (!is_candidate(b, in))
        return false;
    if (build_is_constant(in))
        return anchor == CONSTANTS && build_is_fixed(b, in, &own) && own == slot;
    return build_is_base_only(in) && in->base == anchor;
}

/* The base after the instruction: how far it has moved.  False: anywhere. */
static bool stays(const struct build *b, const struct insn *in, uint8_t anchor, int32_t *drift)
{
    int64_t step;

    if (anchor == CONSTANTS || !rules_writes_gpr(in, anchor))
        return true;
    step = rules_step(in, anchor);
    if (in_memory(b, anchor) || step == 0 || step > WINDOW_DRIFT_MAX || step < -WINDOW_DRIFT_MAX)
        return false;
    *drift += (int32_t)(step < 0 ? -step : step);
    return *drift <= WINDOW_DRIFT_MAX;
}

/* Nothing of it runs in C unless it misses, and it leaves HOST_GROUP alone. */
static bool passes(const struct build *b, unsigned index)
{
    const rule_fn rule = rule_table[b->insns[index].row];

    return group_passes(b, index) || rule == rule_push || rule == rule_pop;
}

/* How many accesses there are from the current one on.  (What is relative to RIP is taken to be so
 * to the current one's: at the end of a region that miscounts.) */
static unsigned look_ahead(const struct build *b, uint8_t anchor, int16_t slot)
{
    unsigned count = 0;
    int32_t drift = 0;

    for (unsigned i = b->index; i < b->insn_count; i++) {
        const struct insn *next = &b->insns[i];

        if (b->insn_calls[i])
            break;
        count += counts(b, next, anchor, slot);
        if (!passes(b, i) || !stays(b, next, anchor, &drift))
            break;
    }
    return count;
}

bool share_takes(struct build *b, const struct insn *in)
{
    struct share *s = &b->share;
    struct share fresh = {.fresh = true};

    if (b->no_groups || !is_candidate(b, in) || build_wants_probe(b))
        return false;
    fresh.base = anchor_of(b, in, &fresh.slot);
    if (fresh.base == NOBODY)
        return false;
    if (fresh.base != CONSTANTS)
        fresh.is_address = in_memory(b, fresh.base);
    if (s->base == fresh.base && s->slot == fresh.slot)
        return true;
    if (s->base != NOBODY && s->left != 0)
        return false; /* the one register is in use */
    fresh.left = look_ahead(b, fresh.base, fresh.slot);
    if (fresh.left < MEMBERS_LEAST)
        return false;
    *s = fresh;
    return true;
}

/* [HOST_GROUP + what is added to the base]; T0 plays a register that is in struct cpu. */
static struct mem beside_address(const struct build *b, const struct insn *in)
{
    const uint8_t other = in->base == b->share.base ? in->index : in->base;
    const uint8_t scale = other == in->index && in->scale != 0 ? in->scale : 1;
    const int32_t disp = (int32_t)(in->disp - WINDOW_BIAS);

    if (other == NO_REG)
        return BASE(HOST_GROUP, disp);
    return INDEX(HOST_GROUP, in_memory(b, other) ? T0 : b->contract->host[other], scale, disp);
}

struct place share_place(const struct build *b, const struct insn *in)
{
    struct mem operand = INDEX(T0, HOST_GROUP, 1, -WINDOW_BIAS);

    if (b->share.base == CONSTANTS)
        operand = build_fixed_operand(b, in, HOST_GROUP);
    else if (b->share.is_address)
        operand = beside_address(b, in);
    else if (build_is_base_only(in))
        operand =
            INDEX(b->contract->host[in->base], HOST_GROUP, 1, (int32_t)(in->disp - WINDOW_BIAS));
    return (struct place){PLACE_GROUP, operand};
}

/* HOST_GROUP for the first time. */
static void look_up(struct build *b)
{
    const struct share *s = &b->share;
    uint8_t base;

    if (s->base == CONSTANTS) {
        build_load_slot(b, HOST_GROUP, s->slot);
        return;
    }
    base = build_gpr_read(b, s->base, T0);
    if (recent_has_register(b, s->base)) {
        if (s->is_address)
            emit_lea(&b->e, W64, HOST_GROUP, INDEX(base, T1, 1, 0));
        else
            emit_mov_rr(&b->e, W64, HOST_GROUP, T1);
        return;
    }
    build_distance(b, HOST_GROUP, base);
    if (s->is_address)
        emit_lea(&b->e, W64, HOST_GROUP, INDEX(base, HOST_GROUP, 1, 0));
}

void share_operand(struct build *b, const struct insn *in)
{
    struct share *s = &b->share;
    const uint8_t other = in->base == s->base ? in->index : in->base;

    if (s->fresh)
        look_up(b);
    else
        b->records.no_resume |= s->live;
    s->fresh = false;
    s->live = 0;
    s->left -= s->left != 0 && counts(b, in, s->base, s->slot);
    b->operand = share_place(b, in).operand;
    if (b->operand.base != T0 && b->operand.index != T0)
        return;
    if (s->base == CONSTANTS)
        build_fixed_rest(b, in);
    else if (s->is_address)
        (void)build_gpr_read(b, other, T0);
    else
        build_address(b, in);
}

void share_after(struct build *b, const struct insn *in, bool called)
{
    struct share *s = &b->share;

    if (s->base == NOBODY)
        return;
    if (called || !passes(b, b->index) || !stays(b, in, s->base, &s->drift)) {
        share_begin(b);
        return;
    }
    if (b->index + 1u < b->insn_count && b->index + 1u < BLOCK_RESUMES)
        s->live |= UINT64_C(1) << (b->index + 1);
}
