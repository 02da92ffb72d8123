/*
 * translator/stack.c -- RSP, moved once for several PUSHes and POPs.
 *
 * Each of them would add to HOST_SP and wait for the one before. But the next one's operand is only
 * a displacement away, so HOST_SP can stay as it is, while the block knows what is *owed*:
 *
 *     push rbp                 mov  [r8 + r11 - 8-27], rbp
 *     push rbx                 mov  [r8 + r11 - 16-27], rbx
 *     mov  ebx, edi            mov  ebx, edi
 *     sub  rsp, 24             lea  r8, [r8 - 16]
 *                              sub  r8, 24
 *
 * It is paid before anything else that has to do with RSP, and before whatever leaves the block;
 * CALL and RET pay with what they add themselves. Nobody enters at an instruction that begins with
 * a debt. Who leaves at one because it misses, pays: side exits in their cold part (flow.c), a host
 * fault in the handler of the signal (hostsignal.c), which asks cache_owed_sp().
 */
#include "translator/rules.h"

enum { OWED_MOST = 96 }; /* an int8_t */

void build_move_sp(struct build *b, int32_t delta)
{
    struct emit *e = &b->e;

    delta += b->owed_sp;
    b->owed_sp = 0;
    if (b->code64) {
        emit_lea(e, W64, HOST_SP, BASE(HOST_SP, delta));
    } else if (b->mode & MODE_STACK32) {
        emit_lea(e, W32, HOST_SP, BASE(HOST_SP, delta));
    } else {
        emit_lea(e, W32, TC, BASE(HOST_SP, delta));
        emit_mov_rr(e, W16, HOST_SP, TC);
    }
}

void build_pay_sp(struct build *b)
{
    if (b->owed_sp != 0)
        build_move_sp(b, 0);
}

/* Through a window the operand is HOST_SP and a displacement.  A superblock with registers of its
 * own may have HOST_SP elsewhere. */
static bool may_owe(const struct build *b)
{
    return b->window && b->swap_count == 0 && build_flat(b, SS) &&
           (b->code64 || (b->mode & MODE_STACK32)) && !build_wants_probe(b) && !b->no_groups;
}

void build_owe_sp(struct build *b, int32_t delta)
{
    const int32_t owed = b->owed_sp + delta;

    if (!may_owe(b) || owed > OWED_MOST || owed < -OWED_MOST)
        build_move_sp(b, delta);
    else
        b->owed_sp = owed;
}

static bool names_sp(const struct insn *in)
{
    for (unsigned i = 0; i < INSN_OPERANDS; i++)
        if (build_gpr(&in->ops[i]) == RSP)
            return true;
    return in->has_mem && (in->base == RSP || in->index == RSP);
}

/* A call without a poll that ends the block. */
static bool is_plain_call(const struct build *b, const struct insn *in)
{
    const uint64_t target = b->next_rip + in->imm;

    return in->ops[0].kind == OPERAND_REL && b->go == TRACE_ENDS && in->width != 2 &&
           !build_needs_poll(b, b->code64 ? target : (uint32_t)target);
}

/* Can the instruction be made while something is owed? */
static bool bears(const struct build *b, const struct insn *in)
{
    const rule_fn rule = rule_table[in->row];

    if (names_sp(in))
        return false;
    if (rule == rule_push)
        return in->ops[0].kind == OPERAND_GPR || in->ops[0].kind == OPERAND_IMM;
    if (rule == rule_pop)
        return in->ops[0].kind == OPERAND_GPR;
    if (rule == rule_call_near)
        return is_plain_call(b, in);
    return rule == rule_ret || rule == rule_native || rule == rule_simd || rule == rule_x87 ||
           rule == rule_lea || rule == rule_nop;
}

void build_pay_sp_before(struct build *b, const struct insn *in, bool called)
{
    if (b->owed_sp != 0) {
        build_forbid(b, b->index);
        if (called || !may_owe(b) || !bears(b, in))
            build_pay_sp(b);
    }
    b->records.owed_sp[b->index] = (int8_t)b->owed_sp;
    b->records.owes |= b->owed_sp != 0;
}
