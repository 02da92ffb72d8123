/*
 * translator/rules_flow.c -- the stack and near control transfers.
 *
 *   push pop leave
 *   jcc jmp call_near ret loop
 *
 * Nothing here touches the flags.  A push or pop changes ESP only after its memory was found good.
 */
#include "translator/build.h"

/* ---- stack ---- */

static void push_begin(struct build *b, unsigned width)
{
    build_stack(b, HOST_SP, -(int32_t)width, width, ACCESS_WRITE);
}

void build_push_saved(struct build *b, unsigned width)
{
    uint8_t temp;

    push_begin(b, width);
    temp = build_stack_temp(b);
    emit_mov_rm(&b->e, W64, temp, BASE(HOST_CPU, AT_RT(value)));
    emit_mov_mr(&b->e, width, BUILD_OPERAND, temp);
    build_move_sp(b, -(int32_t)width);
}

static void push_number(struct build *b, unsigned width, uint64_t value)
{
    struct emit *e = &b->e;

    push_begin(b, width);
    if (width == 8 && (int64_t)value != (int32_t)value) {
        emit_mov_ri(e, build_stack_temp(b), value);
        emit_mov_mr(e, W64, BUILD_OPERAND, build_stack_temp(b));
    } else {
        emit_mov_mi(e, width, BUILD_OPERAND, (int32_t)value);
    }
    build_owe_sp(b, -(int32_t)width);
}

bool rule_push(struct build *b, const struct insn *in)
{
    struct emit *e = &b->e;
    const unsigned width = in->width;

    b->keeps_stack = true;
    switch (in->ops[0].kind) {
    case OPERAND_GPR:
        push_begin(b, width);
        emit_mov_mr(e, width, BUILD_OPERAND,
                    build_gpr_read(b, in->ops[0].reg, build_stack_temp(b)));
        build_owe_sp(b, -(int32_t)width);
        return true;
    case OPERAND_IMM:
        if (live_wanted(b, in)) {
            live_take(b, in);
            live_load(b, in, width, T0);
            emit_mov_mr(e, W64, BASE(HOST_CPU, AT_RT(value)), T0);
            build_push_saved(b, width);
            return true;
        }
        push_number(b, width, in->imm);
        return true;
    case OPERAND_MEM:
        build_memory(b, in, width, ACCESS_READ);
        emit_movzx_rm(e, T0, width, BUILD_OPERAND);
        emit_mov_mr(e, W64, BASE(HOST_CPU, AT_RT(value)), T0);
        build_push_saved(b, width);
        return true;
    default:
        return false;
    }
}

bool rule_pop(struct build *b, const struct insn *in)
{
    struct emit *e = &b->e;
    const unsigned width = in->width;

    if (in->ops[0].kind != OPERAND_GPR)
        return false;
    b->keeps_stack = true;
    build_stack(b, HOST_SP, 0, width, ACCESS_READ);
    if (in->ops[0].reg != RSP && width >= 4 && b->contract->host[in->ops[0].reg] != NO_REG) {
        emit_mov_rm(e, width, b->contract->host[in->ops[0].reg], BUILD_OPERAND);
        build_owe_sp(b, (int32_t)width);
        return true;
    }
    emit_mov_rm(e, width, T0, BUILD_OPERAND);
    if (in->ops[0].reg == RSP)
        build_move_sp(b, (int32_t)width);
    else
        build_owe_sp(b, (int32_t)width);
    build_gpr_write(b, in->ops[0].reg, width, T0); /* POP ESP: the value wins */
    if (in->ops[0].reg == RSP)
        b->stack_lost = true;
    return true;
}

bool rule_leave(struct build *b, const struct insn *in)
{
    struct emit *e = &b->e;
    const unsigned width = in->width;

    if (b->code64 ? width != 8 : width != 4 || !(b->mode & MODE_STACK32))
        return false;
    b->keeps_stack = true;
    build_stack(b, RBP, 0, width, ACCESS_READ);
    emit_mov_rm(e, width, TC, BUILD_OPERAND);
    if (b->window && b->code64) { /* RBP's region is RSP's now, as it has just been read there */
        emit_mov_rr(e, W64, HOST_STACK, T1);
        b->stack_lost = false;
        b->stack_drift = 0;
    }
    emit_lea(e, width, HOST_SP, BASE(RBP, width));
    emit_mov_rr(e, width, RBP, TC);
    return true;
}

/* ---- control flow ---- */

/* 16-bit operand size truncates EIP, 32-bit code wraps at 4 GiB. */
static uint64_t truncate_rip(const struct insn *in, uint64_t rip)
{
    return in->width == 2 ? rip & 0xffff : in->code_size == CODE64 ? rip : (uint32_t)rip;
}

/* Before a jump, in 64-bit code with windows: HOST_STACK is looked up again if a probe has
 * clobbered it.  That may fault, so nothing may have changed yet.  Clobbers nothing else. */
static void restore_stack(struct build *b)
{
    if (!build_has_regions(b) || b->keeps_stack)
        return;
    build_distance(b, HOST_STACK, HOST_SP);
    b->keeps_stack = true;
    b->stack_lost = false;
    b->stack_drift = 0;
}

/* What a CALL pushes. */
static void push_return(struct build *b, unsigned width, uint64_t value)
{
    struct emit *e = &b->e;

    push_begin(b, width);
    restore_stack(b);
    if (width == 8 && (int64_t)value != (int32_t)value) {
        emit_mov_linear(e, TC, value, false);
        emit_mov_mr(e, W64, BUILD_OPERAND, TC);
    } else {
        emit_mov_mi(e, width, BUILD_OPERAND, (int32_t)value);
    }
    build_move_sp(b, -(int32_t)width);
}

bool rule_jcc(struct build *b, const struct insn *in)
{
    const uint64_t target = truncate_rip(in, b->next_rip + in->imm);

    if (!linaddr_is_canonical(target))
        return false;
    b->keeps_stack = true;
    build_branch(b, in->opcode & 15, target, b->next_rip);
    return true;
}

/* T0 = the near target that operand 0 names, from a register or memory. */
static void load_target(struct build *b, const struct insn *in)
{
    struct emit *e = &b->e;
    uint8_t from;

    if (in->ops[0].kind == OPERAND_MEM) {
        build_memory(b, in, in->width, ACCESS_READ);
        emit_movzx_rm(e, T0, in->width, BUILD_OPERAND);
        return;
    }
    from = build_gpr_read(b, in->ops[0].reg, T0);
    if (in->width == 8)
        emit_mov_rr(e, W64, T0, from);
    else
        emit_movzx_rr(e, T0, in->width, from);
}

/* A target beyond the CS limit, or in 64-bit code a non-canonical one, faults before anything has
 * changed.  Without the jump cache, which knows good targets only, 64-bit ones are interpreted. */
static bool may_go_indirect(const struct build *b)
{
    return (b->mode & MODE_CS_FLAT) && !(b->code64 && b->tr->options.no_chain);
}

bool rule_jmp(struct build *b, const struct insn *in)
{
    b->keeps_stack = true;
    if (in->ops[0].kind == OPERAND_REL) {
        const uint64_t target = truncate_rip(in, b->next_rip + in->imm);

        if (!linaddr_is_canonical(target))
            return false;
        if (b->go == TRACE_AT_TARGET) /* it is next */
            return true;
        build_poll_jump(b, target);
        build_exit(b, target);
        b->ended = true;
        return true;
    }
    if (!may_go_indirect(b))
        return false;
    load_target(b, in);
    if (b->go == TRACE_AT_TARGET) {
        restore_stack(b);
        build_guard(b);
    } else if (b->code64) {
        restore_stack(b);
        build_lookup_and_go(b, 0);
    } else {
        build_indirect(b);
    }
    return true;
}

static bool predicts_returns(const struct build *b)
{
    return !b->tr->options.no_retcache && !b->tr->options.no_chain;
}

/* Does the CALL get a landing?  Not if what it pushes is not canonical: the RET has to see that. */
static bool has_landing(const struct build *b)
{
    return predicts_returns(b) && linaddr_is_canonical(b->next_rip);
}

static bool call_direct(struct build *b, const struct insn *in)
{
    const uint64_t target = truncate_rip(in, b->next_rip + in->imm);

    if (!linaddr_is_canonical(target))
        return false;
    if (build_needs_poll(b, target)) {
        if (b->tr->bmi2 && build_flat(b, SS) && b->go == TRACE_ENDS)
            build_poll(b);
        else
            build_poll_far(b);
    }
    push_return(b, in->width, b->next_rip);
    /* A call of the next instruction only asks where it is: nobody returns from there, and what it
     * left on the return stack would be in the way of all returns that follow. */
    if (has_landing(b) && target != b->next_rip) {
        build_call_begin(b);
        build_call_exit(b, target);
        build_landing(b, truncate_rip(in, b->next_rip));
    } else {
        build_exit(b, target);
        b->ended = true;
    }
    return true;
}

/* The same to the jump cache's entry for T0. */
static void call_indirect(struct build *b, const struct insn *in)
{
    struct emit *e = &b->e;
    struct label hit, landing;

    build_call_begin(b);
    hit = flow_lookup(e, b->view, b->code64, T1);
    emit_call_to(e, b->glue->indirect);
    landing = emit_jmp_short(e);
    emit_bind(e, hit);
    emit_call_m(e, FLOW_FOUND(b->view, T1));
    emit_bind(e, landing);
    build_landing(b, truncate_rip(in, b->next_rip));
}

bool rule_call_near(struct build *b, const struct insn *in)
{
    const struct mem target = BASE(HOST_CPU, AT_RT(target)), value = BASE(HOST_CPU, AT_RT(value));
    struct emit *e = &b->e;

    if (!(b->mode & MODE_CS_FLAT))
        return false;
    b->keeps_stack = true;
    if (in->ops[0].kind == OPERAND_REL)
        return call_direct(b, in);
    if (!may_go_indirect(b))
        return false;
    load_target(b, in);
    if (b->code64) {
        build_lookup(b);
        emit_mov_rm(e, W64, T0, FLOW_FOUND(b->view, T1));
        emit_mov_mr(e, W64, target, T0);
        push_return(b, in->width, b->next_rip);
        if (has_landing(b)) {
            build_call_begin(b);
            emit_call_m(e, target);
            build_landing(b, b->next_rip);
        } else {
            emit_jmp_m(e, target);
            b->ended = true;
        }
    } else {
        emit_mov_mr(e, W64, value, T0);
        push_return(b, in->width, b->next_rip);
        emit_mov_rm(e, W64, T0, value);
        if (predicts_returns(b))
            call_indirect(b, in);
        else
            build_indirect(b);
    }
    return true;
}

bool rule_ret(struct build *b, const struct insn *in)
{
    const unsigned width = in->width;
    const int32_t pop = in->ops[0].kind == OPERAND_IMM ? (int32_t)(in->imm & 0xffff) : 0;

    if (!may_go_indirect(b))
        return false;
    b->keeps_stack = true;
    build_stack(b, HOST_SP, 0, width, ACCESS_READ);
    if (predicts_returns(b) && !b->code64 && width == 4)
        emit_movsx_rm(&b->e, W64, T0, W32, BUILD_OPERAND); /* as landings want it */
    else
        emit_movzx_rm(&b->e, T0, width, BUILD_OPERAND);
    restore_stack(b);
    if (predicts_returns(b)) {
        build_move_sp(b, (int32_t)width + pop);
        build_return(b, (unsigned)pop);
    } else if (b->code64) {
        build_lookup_and_go(b, (int32_t)width + pop);
    } else {
        build_move_sp(b, (int32_t)width + pop);
        build_indirect(b);
    }
    return true;
}

/*
 * JCXZ/JECXZ/JRCXZ and LOOP leave the flags alone, and so does the host's JRCXZ.  LOOPE and LOOPNE
 * ask ZF as well.
 */
bool rule_loop(struct build *b, const struct insn *in)
{
    enum { LOOPNE = 0xe0, LOOPE = 0xe1, JCXZ = 0xe3 };
    struct emit *e = &b->e;
    const uint64_t taken = truncate_rip(in, b->next_rip + in->imm);
    const bool conditional = in->opcode == LOOPE || in->opcode == LOOPNE;
    struct label zero, z_fails = {0};

    if (!linaddr_is_canonical(taken))
        return false;
    b->keeps_stack = true;
    if (build_needs_poll(b, taken))
        build_poll(b);
    if (in->opcode != JCXZ) {
        emit_lea(e, W64, TC, BASE(HOST_RCX, -1));
        emit_mov_rr(e, in->addr_size, HOST_RCX, TC);
    }
    if (in->addr_size == 8)
        emit_mov_rr(e, W64, TC, HOST_RCX);
    else
        emit_movzx_rr(e, TC, in->addr_size, HOST_RCX);
    zero = emit_jrcxz(e);
    if (in->opcode == JCXZ) {
        const struct label to_next = emit_jmp_short(e);

        emit_bind(e, zero);
        build_exit(b, taken);
        emit_bind(e, to_next);
        build_exit(b, b->next_rip);
    } else {
        if (conditional)
            z_fails = emit_jcc(e, in->opcode == LOOPE ? 5 /* NZ */ : 4 /* Z */);
        build_exit(b, taken);
        emit_bind(e, zero);
        if (conditional)
            emit_bind(e, z_fails);
        build_exit(b, b->next_rip);
    }
    b->ended = true;
    return true;
}
