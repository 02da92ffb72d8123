/*
 * translator/recent.c -- what T1 still holds of the last look-up, in 64-bit code with windows.
 *
 * Code often comes back at once to where it has just been: it loads and then stores, or looks at
 * the next field, while HOST_GROUP is busy with another base (share.c).  The distance that the last
 * look-up left in T1 is that of the next access, too, if both go by the same register, by the same
 * sum of registers, or to a region without registers:
 *
 *     mov rdi, [rax]       shrx r14, rax, r15
 *                          mov  r14, [r15 + r14*8 + slots]
 *                          mov  rdi, [rax + r14 - 27]
 *     mov [rax], rdx       mov  [rax + r14 - 27], rdx
 *
 * T1 is anybody's scratch register: whoever writes to it has said so by build_needs().  It is no
 * part of the contract at boundaries: none of the instructions between the look-up and one that
 * relies on it can be resumed at.
 */
#include "translator/rules.h"
#include "translator/windows.h"

enum { NOTHING, REGISTER, SUM, SLOT };

/* What the instruction relies on, none between here and the look-up can be entered at. */
static bool relied_on(struct build *b)
{
    b->records.no_resume |= b->recent.live;
    b->recent.live = 0;
    return true;
}

static bool same_sum(const struct recent *r, const struct insn *in)
{
    const int64_t moved = (int64_t)((uint64_t)in->disp - (uint64_t)r->disp);

    return r->kind == SUM && r->base == in->base && r->index == in->index &&
           r->scale == in->scale && moved <= WINDOW_DRIFT_MAX && moved >= -WINDOW_DRIFT_MAX;
}

bool recent_has_register(struct build *b, uint8_t guest)
{
    return b->recent.kind == REGISTER && b->recent.base == guest && relied_on(b);
}

bool recent_has_sum(struct build *b, const struct insn *in)
{
    return same_sum(&b->recent, in) && relied_on(b);
}

bool recent_has_slot(struct build *b, int16_t slot)
{
    return b->recent.kind == SLOT && b->recent.slot == slot && relied_on(b);
}

void recent_is_register(struct build *b, uint8_t guest)
{
    if (guest != RSP) /* which is moved by more than is written in instructions */
        b->recent = (struct recent){.kind = REGISTER, .base = guest};
}

void recent_is_sum(struct build *b, const struct insn *in)
{
    if (in->base != RSP)
        b->recent = (struct recent){.kind = SUM,
                                    .base = in->base,
                                    .index = in->index,
                                    .scale = in->scale,
                                    .disp = (int64_t)in->disp};
}

void recent_is_slot(struct build *b, int16_t slot)
{
    b->recent = (struct recent){.kind = SLOT, .slot = slot};
}

/* Does T1 outlive the instruction, if that has no use for it? */
static bool passes(const struct build *b, const struct insn *in)
{
    const rule_fn rule = rule_table[in->row];

    if (rule == rule_push || rule == rule_pop)
        return in->ops[0].kind == OPERAND_GPR;
    return rule != rule_div && group_passes(b, b->index);
}

/* Is the address where it was, but for small steps? */
static bool stays(struct recent *r, const struct insn *in)
{
    int64_t step;

    if (r->kind == SLOT)
        return true;
    if (r->kind == SUM)
        return !rules_writes_gpr(in, r->base) && !rules_writes_gpr(in, r->index);
    if (!rules_writes_gpr(in, r->base))
        return true;
    step = rules_step(in, r->base);
    if (step == 0 || step > WINDOW_DRIFT_MAX || step < -WINDOW_DRIFT_MAX)
        return false;
    r->drift += (int32_t)(step < 0 ? -step : step);
    return r->drift <= WINDOW_DRIFT_MAX;
}

void recent_after(struct build *b, const struct insn *in, bool called)
{
    struct recent *r = &b->recent;

    if (r->kind == NOTHING)
        return;
    if (called || !passes(b, in) || !stays(r, in) || b->index + 1u >= BLOCK_RESUMES) {
        recent_begin(b);
        return;
    }
    r->live |= UINT64_C(1) << (b->index + 1);
}
