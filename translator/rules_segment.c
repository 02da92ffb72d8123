/*
 * translator/rules_segment.c -- loads of data segment registers: MOV and POP to DS, ES, FS, GS.
 *
 * A 32-bit kernel loads the same few selectors at each entry and exit.  The interpreter remembers
 * for each register what it was last loaded with (struct segment_memo); the code here compares
 * selector and descriptor, and copies.  All else is the side exit's: another selector, a changed
 * descriptor.
 *
 * At CPL 0, as only there the checks have the same outcome.  Not with EFLAGS.AC set under SMAP: the
 * CPU's own read of a descriptor does not go through that view.  DS and ES are remembered only when
 * flat, and loaded here only where all segments are: so the mode stays as it is.
 *
 * No flag is touched.
 */
#include <stddef.h>

#include "translator/build.h"

static struct mem memo_field(enum seg seg, size_t field)
{
    return BASE(HOST_CPU, AT_CPU(memo) + (int32_t)(seg * sizeof(struct segment_memo) + field));
}
#define MEMO(seg_, field_) memo_field((seg_), offsetof(struct segment_memo, field_))

enum { PARTS = sizeof(struct segment) / 8 };
_Static_assert(PARTS * 8 == sizeof(struct segment), "copied by eight bytes");

static struct mem part_of_register(enum seg seg, unsigned part)
{
    return BASE(HOST_CPU, AT_CPU(seg) + (int32_t)(seg * sizeof(struct segment) + 8 * part));
}

static bool may_load(const struct build *b, enum seg seg)
{
    enum { NEEDED = MODE_PROTECTED | MODE_CPL0 };

    if (!b->tr->bmi2 || b->code64 || (b->mode & NEEDED) != NEEDED || (b->mode & MODE_SMAP_AC))
        return false;
    return seg == FS || seg == GS || ((seg == DS || seg == ES) && (b->mode & MODE_FLAT));
}

/* To the side exit unless TC + minus is 0.  Clobbers TC, T1. */
static void check_equal(struct build *b, struct mem minus)
{
    struct emit *e = &b->e;
    struct label equal;

    emit_mov_rm(e, W64, T1, minus);
    emit_lea(e, W64, TC, INDEX(TC, T1, 1, 0));
    equal = emit_jrcxz(e);
    build_side_exit(b, emit_jmp(e));
    emit_bind(e, equal);
}

/*
 * Load `seg` with the selector in TC, zero-extended.  Clobbers all scratch.
 *
 *     jrcxz null                      ; FS and GS, which programs leave empty
 *     ...                             ; selector and descriptor as remembered? else the side exit
 *     mov   rcx, [memo.loaded + i]    ; four times
 *     mov   [seg + i], rcx
 */
static void load(struct build *b, enum seg seg)
{
    struct emit *e = &b->e;
    struct label null, not_null, done;

    if (seg >= FS) {
        null = emit_jrcxz(e);
        not_null = emit_jmp_short(e);
        emit_bind(e, null);
        emit_mov_ri(e, TC, 0);
        for (unsigned i = 0; i < PARTS; i++)
            emit_mov_mr(e, W64, part_of_register(seg, i), TC);
        done = emit_jmp(e);
        emit_bind(e, not_null);
    }
    check_equal(b, MEMO(seg, minus_selector));
    emit_mov_rm(e, W64, T0, MEMO(seg, at));
    if (build_wants_probe(b)) {
        build_probe(b, 8, ACCESS_READ);
        emit_mov_rm(e, W64, TC, BUILD_OPERAND);
    } else {
        emit_mov_rm(e, W64, TC, ((struct mem){T0, NO_REG, 1, 0, true}));
    }
    check_equal(b, MEMO(seg, minus_raw));
    for (unsigned i = 0; i < PARTS; i++) {
        emit_mov_rm(e, W64, TC, memo_field(seg, offsetof(struct segment_memo, loaded) + 8 * i));
        emit_mov_mr(e, W64, part_of_register(seg, i), TC);
    }
    if (seg >= FS)
        emit_bind(e, done);
}

/* Rows of DS and ES end a block, as their mode may change elsewhere. */
static void go_on(struct build *b, enum seg seg)
{
    if (seg >= FS)
        return;
    build_exit(b, b->next_rip);
    b->ended = true;
}

bool rule_mov_to_seg(struct build *b, const struct insn *in)
{
    const enum seg seg = in->ops[0].reg;
    struct emit *e = &b->e;

    if (!may_load(b, seg))
        return false;
    if (in->ops[1].kind == OPERAND_MEM) {
        build_memory(b, in, 2, ACCESS_READ);
        emit_movzx_rm(e, TC, W16, BUILD_OPERAND);
    } else {
        emit_movzx_rr(e, TC, W16, build_gpr_read(b, in->ops[1].reg, TC));
    }
    load(b, seg);
    go_on(b, seg);
    return true;
}

bool rule_pop_seg(struct build *b, const struct insn *in)
{
    const enum seg seg = in->ops[0].reg;
    struct emit *e = &b->e;

    if (!may_load(b, seg))
        return false;
    build_stack(b, HOST_SP, 0, in->width, ACCESS_READ);
    emit_mov_rm(e, in->width, TC, BUILD_OPERAND); /* all of it has to be there */
    emit_movzx_rr(e, TC, W16, TC);
    load(b, seg);
    build_move_sp(b, (int32_t)in->width);
    go_on(b, seg);
    return true;
}
