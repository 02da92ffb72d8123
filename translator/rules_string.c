/*
 * translator/rules_string.c -- LODS, STOS, MOVS, SCAS, CMPS and CLD.
 *
 * Single ones are ordinary loads, stores and compares through rSI and rDI.  REP MOVS and REP STOS
 * whose operands each lie in one page become the host's own; what is longer, and the conditional
 * REPs, are the handler's, which works in bulk too.  Counting down is rare and the handler's.
 *
 * rt.down is DF: an instruction that changes DF leaves generated code, and run.c sets it on the way
 * back.
 */
#include <stddef.h>

#include "translator/build.h"

static bool is_repeated(const struct insn *in)
{
    return in->prefixes & (PREFIX_REP | PREFIX_REPNE);
}

/* To the handler if DF is set.  Clobbers TC. */
static void check_up(struct build *b)
{
    struct emit *e = &b->e;
    struct label up;

    emit_mov_rm(e, W32, TC, BASE(HOST_CPU, AT_RT(down)));
    up = emit_jrcxz(e);
    build_side_exit(b, emit_jmp(e));
    emit_bind(e, up);
}

/* The string's element as a memory operand: seg:[reg]. */
static struct insn element_at(const struct insn *in, enum seg seg, enum gpr reg)
{
    struct insn at = *in;

    at.seg = (uint8_t)seg;
    at.base = (uint8_t)reg;
    at.index = NO_REG;
    at.scale = 1;
    at.disp = 0;
    at.rip_relative = false;
    return at;
}

/* Host memory of the element is BUILD_OPERAND. */
static void find_element(struct build *b, const struct insn *in, enum seg seg, enum gpr reg,
                         enum access access)
{
    const struct insn at = element_at(in, seg, reg);

    build_memory(b, &at, in->width, access);
}

/* rSI or rDI, as wide as addresses are: to the next element.  Clobbers TC for 16-bit ones. */
static void advance(struct build *b, const struct insn *in, uint8_t reg)
{
    if (in->addr_size == 2) {
        emit_lea(&b->e, W32, TC, BASE(reg, in->width));
        emit_mov_rr(&b->e, W16, reg, TC);
    } else {
        emit_lea(&b->e, in->addr_size, reg, BASE(reg, in->width));
    }
}

bool rule_lods(struct build *b, const struct insn *in)
{
    if (is_repeated(in))
        return false;
    build_keep(b);
    check_up(b);
    find_element(b, in, in->seg, RSI, ACCESS_READ);
    emit_mov_rm(&b->e, in->width, RAX, BUILD_OPERAND);
    advance(b, in, RSI);
    return true;
}

/* The element at seg:[rSI] to rt.value: the probe of the other one needs all scratch. */
static void load_source(struct build *b, const struct insn *in)
{
    find_element(b, in, in->seg, RSI, ACCESS_READ);
    emit_movzx_rm(&b->e, T0, in->width, BUILD_OPERAND);
    emit_mov_mr(&b->e, W64, BASE(HOST_CPU, AT_RT(value)), T0);
}

/* SCAS: AL, AX, EAX or RAX - ES:[rDI]. */
bool rule_scas(struct build *b, const struct insn *in)
{
    if (is_repeated(in))
        return false;
    build_keep(b);
    check_up(b);
    find_element(b, in, ES, RDI, ACCESS_READ);
    emit_cmp_rm(&b->e, in->width, RAX, BUILD_OPERAND);
    advance(b, in, RDI);
    return true;
}

/* CMPS: seg:[rSI] - ES:[rDI]. */
bool rule_cmps(struct build *b, const struct insn *in)
{
    if (is_repeated(in))
        return false;
    build_keep(b);
    check_up(b);
    load_source(b, in);
    find_element(b, in, ES, RDI, ACCESS_READ);
    emit_mov_rm(&b->e, W64, T2, BASE(HOST_CPU, AT_RT(value)));
    emit_cmp_rm(&b->e, in->width, T2, BUILD_OPERAND);
    advance(b, in, RSI);
    advance(b, in, RDI);
    return true;
}

/* ---- REP MOVS, REP STOS ---- */

/* Flat operands and full-size counts only; SHRX keeps the flags. */
static bool may_repeat(const struct build *b, const struct insn *in, bool source)
{
    return b->tr->bmi2 && in->addr_size == (b->code64 ? 8 : 4) && build_flat(b, ES) &&
           (!source || build_flat(b, in->seg));
}

static void side_exit_unless_zero(struct build *b)
{
    const struct label zero = emit_jrcxz(&b->e);

    build_side_exit(b, emit_jmp(&b->e));
    emit_bind(&b->e, zero);
}

/*
 * Jump to `none` when the count is 0, to the side exit when it is above 4096: a longer run crosses
 * a page, and its end must not come around to another page with the same TLB entry.
 *
 *     mov   ecx, r9d
 *     jrcxz none
 *     (rcx - 1) >> 12 is 0?
 */
static struct label check_count(struct build *b, const struct insn *in)
{
    struct emit *e = &b->e;
    struct label zero, some, none;

    emit_mov_rr(e, in->addr_size, TC, HOST_RCX);
    zero = emit_jrcxz(e);
    some = emit_jmp_short(e);
    emit_bind(e, zero);
    none = emit_jmp(e);
    emit_bind(e, some);
    emit_lea(e, W64, TC, BASE(TC, -1));
    emit_mov_ri(e, T2, PAGE_SHIFT);
    emit_shrx(e, W64, TC, TC, T2);
    side_exit_unless_zero(b);
    return none;
}

/*
 * As build_probe(), for all the elements from `reg` on: T0 + T1 is their host address.
 *
 *     mov   r13, rsi
 *     lea   rcx, [rsi + r9 * width - 1]       ; the last byte, not wrapped
 *     ...                                     ; its page is that of the TLB entry of the first's
 */
_Static_assert(PAGE_SIZE * 8 < RT_ACCESS_MAX, "elements that check_count() lets through");
static void find_run(struct build *b, const struct insn *in, uint8_t reg, enum access access)
{
    struct emit *e = &b->e;
    const int32_t tags =
        access == ACCESS_WRITE ? AT_VIEW(b->view, neg_write) : AT_VIEW(b->view, neg_read);

    emit_mov_rr(e, in->addr_size, T0, reg);
    emit_lea(e, W64, TC, INDEX(T0, HOST_RCX, in->width, -1));
    emit_rorx(e, W64, T1, T0, PAGE_SHIFT);
    emit_movzx_rr(e, T1, W16, T1);
    emit_mov_rm(e, W64, T2, INDEX(HOST_CPU, T1, 8, tags));
    emit_lea(e, W64, TC, INDEX(TC, T2, 1, 0));
    emit_mov_ri(e, T2, PAGE_SHIFT);
    emit_shrx(e, W64, TC, TC, T2);
    side_exit_unless_zero(b);
    emit_mov_rm(e, W64, T1, INDEX(HOST_CPU, T1, 8, AT_VIEW(b->view, addend)));
    b->operand = INDEX(T0, T1, 1, 0);
}

/* REP and the instruction without its prefixes, which the contract's registers do not need. */
static void emit_rep(struct build *b, const struct insn *in, uint8_t opcode)
{
    struct emit *e = &b->e;

    if (in->width == 2)
        emit_u8(e, 0x66);
    emit_u8(e, 0xf3);
    if (in->width == 8)
        emit_u8(e, 0x48);
    emit_u8(e, opcode | (in->width == 1 ? 0 : 1));
}

/* reg += count * width, from its value in `saved`; the count is still in HOST_RCX. */
static void advance_run(struct build *b, const struct insn *in, uint8_t reg, uint8_t saved)
{
    emit_lea(&b->e, in->addr_size, reg, INDEX(saved, HOST_RCX, in->width, 0));
}

static bool repeat_movs(struct build *b, const struct insn *in)
{
    enum { MOVSB = 0xa4 };
    struct emit *e = &b->e;
    const struct mem source = BASE(HOST_CPU, AT_RT(value));
    struct label none;

    if (!may_repeat(b, in, true))
        return false;
    build_keep(b);
    check_up(b);
    none = check_count(b, in);
    find_run(b, in, RSI, ACCESS_READ);
    emit_lea(e, W64, T0, BUILD_OPERAND);
    emit_mov_mr(e, W64, source, T0);
    find_run(b, in, RDI, ACCESS_WRITE);
    emit_lea(e, W64, T0, BUILD_OPERAND);
    emit_mov_rr(e, W64, T1, RSI);
    emit_mov_rr(e, W64, T2, RDI);
    emit_mov_rm(e, W64, RSI, source);
    emit_mov_rr(e, W64, RDI, T0);
    emit_mov_rr(e, in->addr_size, RCX, HOST_RCX);
    emit_rep(b, in, MOVSB);
    advance_run(b, in, RSI, T1);
    advance_run(b, in, RDI, T2);
    emit_mov_ri(e, HOST_RCX, 0);
    emit_bind(e, none);
    return true;
}

static bool repeat_stos(struct build *b, const struct insn *in)
{
    enum { STOSB = 0xaa };
    struct emit *e = &b->e;
    struct label none;

    if (!may_repeat(b, in, false))
        return false;
    build_keep(b);
    check_up(b);
    none = check_count(b, in);
    find_run(b, in, RDI, ACCESS_WRITE);
    emit_mov_rr(e, W64, T2, RDI);
    emit_lea(e, W64, RDI, BUILD_OPERAND);
    emit_mov_rr(e, in->addr_size, RCX, HOST_RCX);
    emit_rep(b, in, STOSB);
    advance_run(b, in, RDI, T2);
    emit_mov_ri(e, HOST_RCX, 0);
    emit_bind(e, none);
    return true;
}

bool rule_movs(struct build *b, const struct insn *in)
{
    struct emit *e = &b->e;

    if (is_repeated(in))
        return repeat_movs(b, in);
    build_keep(b);
    check_up(b);
    load_source(b, in);
    find_element(b, in, ES, RDI, ACCESS_WRITE);
    emit_mov_rm(e, W64, T2, BASE(HOST_CPU, AT_RT(value)));
    emit_mov_mr(e, in->width, BUILD_OPERAND, T2);
    advance(b, in, RSI);
    advance(b, in, RDI);
    return true;
}

bool rule_stos(struct build *b, const struct insn *in)
{
    if (is_repeated(in))
        return repeat_stos(b, in);
    build_keep(b);
    check_up(b);
    find_element(b, in, ES, RDI, ACCESS_WRITE);
    emit_mov_mr(&b->e, in->width, BUILD_OPERAND, RAX);
    advance(b, in, RDI);
    return true;
}

/* Nearly always clear already. */
bool rule_cld(struct build *b, const struct insn *in)
{
    (void)in;
    build_keep(b);
    check_up(b);
    return true;
}
