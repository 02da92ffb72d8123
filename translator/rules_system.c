/*
 * translator/rules_system.c -- system instructions that kernels run all the time, without a trip
 * through the interpreter: PUSHF, POPF, CLI, STI.
 *
 * cpu->rflags in memory has the system flags while generated code runs, and zeros for the
 * arithmetic ones, which are in the host's RFLAGS (run.c, flags_offer()).
 */
#include <stddef.h>

#include "translator/build.h"

/* rt.value = the guest's EFLAGS as PUSHF shows them (RF and VM read as zero: neither can be set
 * here).  Flags stay.  Clobbers TC. */
static void load_eflags(struct emit *e)
{
    static const uint8_t movzx_ecx_ah[] = {0x0f, 0xb6, 0xcc};

    emit_mov_mr(e, W64, BASE(HOST_CPU, AT_RT(scratch)), RAX);
    emit_lahf(e);
    emit_setcc(e, 0 /* O */, RAX);
    emit_bytes(e, movzx_ecx_ah, sizeof(movzx_ecx_ah)); /* SF ZF 0 AF 0 PF 1 CF */
    emit_movzx_rr(e, RAX, W8, RAX);
    emit_rorx(e, W32, RAX, RAX, 32 - 11);        /* OF to bit 11 */
    emit_lea(e, W32, TC, INDEX(TC, RAX, 1, -2)); /* bit 1 is in both */
    emit_mov_rm(e, W32, RAX, BASE(HOST_CPU, AT_CPU(rflags)));
    emit_lea(e, W32, TC, INDEX(TC, RAX, 1, 0));
    emit_mov_mr(e, W64, BASE(HOST_CPU, AT_RT(value)), TC);
    emit_mov_rm(e, W64, RAX, BASE(HOST_CPU, AT_RT(scratch)));
}

bool rule_pushf(struct build *b, const struct insn *in)
{
    if (!(b->mode & MODE_PROTECTED) || !b->tr->bmi2)
        return false;
    b->keeps_stack = true;
    load_eflags(&b->e);
    build_push_saved(b, in->width);
    return true;
}

/*
 * At CPL 0.  Anything but arithmetic flags and IF that would change goes to the interpreter; so
 * does setting IF while an interrupt waits.
 */
bool rule_popf(struct build *b, const struct insn *in)
{
    static const uint8_t mov_ah_cl[] = {0x88, 0xcc};
    enum { RARE = FLAG_TF | FLAG_DF | FLAG_IOPL | FLAG_NT | FLAG_AC | FLAG_ID };
    struct emit *e = &b->e;

    if (in->width == 2 || !(b->mode & MODE_PROTECTED) || !(b->mode & MODE_CPL0))
        return false;
    b->keeps_stack = true;
    build_stack(b, HOST_SP, 0, in->width, ACCESS_READ);
    emit_mov_rm(e, W32, T0, BUILD_OPERAND);
    /* The interpreter would only load the same flags again: from here on they may be lost. */
    emit_mov_rm(e, W32, T1, BASE(HOST_CPU, AT_CPU(rflags)));
    emit_mov_rr(e, W32, TC, T0);
    emit_xor_rr(e, W32, TC, T1);
    emit_and_ri(e, W32, TC, RARE);
    build_side_exit(b, emit_jcc(e, 5 /* NZ */));
    emit_movzx_rm(e, TC, W8, BASE(HOST_CPU, AT_CPU(intr)));
    emit_shl_ri(e, W32, TC, 9);
    emit_and_rr(e, W32, TC, T0); /* IF, if an interrupt waits for it */
    build_side_exit(b, emit_jcc(e, 5 /* NZ */));
    emit_and_ri(e, W32, T1, ~(uint32_t)FLAG_IF);
    emit_mov_rr(e, W32, TC, T0);
    emit_and_ri(e, W32, TC, FLAG_IF);
    emit_or_rr(e, W32, T1, TC);
    emit_mov_mr(e, W32, BASE(HOST_CPU, AT_CPU(rflags)), T1);
    emit_mov_rr(e, W64, T1, RAX);
    emit_mov_rr(e, W32, RAX, T0);
    emit_mov_rr(e, W32, TC, T0);
    emit_shr_ri(e, W32, RAX, 11);
    emit_and_ri(e, W32, RAX, 1);
    emit_bytes(e, mov_ah_cl, sizeof(mov_ah_cl));
    emit_add_ri(e, W8, RAX, 0x7f);
    emit_sahf(e);
    emit_mov_rr(e, W64, RAX, T1);
    build_move_sp(b, (int32_t)in->width);
    build_exit(b, b->next_rip);
    b->ended = true;
    return true;
}

/*
 * IF is bit 9: rotated right by 10 it is bit 63, which doubling drops; the new bit 0 is the new IF,
 * and the second rotation brings it back to 9.  None of this touches the flags.
 */
static void write_if(struct emit *e, bool value)
{
    const struct mem rflags = BASE(HOST_CPU, AT_CPU(rflags));

    emit_mov_rm(e, W64, TC, rflags);
    emit_rorx(e, W64, TC, TC, 10);
    emit_lea(e, W64, TC, INDEX(TC, TC, 1, value));
    emit_rorx(e, W64, TC, TC, 64 - 9);
    emit_mov_mr(e, W64, rflags, TC);
}

static bool may_write_if(const struct build *b)
{
    return (b->mode & MODE_IOPL_OK) && !(b->mode & MODE_V86) && b->tr->bmi2;
}

bool rule_cli(struct build *b, const struct insn *in)
{
    (void)in;
    if (!may_write_if(b))
        return false;
    write_if(&b->e, false);
    return true;
}

/*
 * With an interrupt waiting, the interpreter does it.  Without, the shadow over the next
 * instruction is kept by having that instruction in the same block: interrupts are looked for
 * between blocks. (STI; HLT must not be torn apart: the wake-up would be lost.)
 */
bool rule_sti(struct build *b, const struct insn *in)
{
    struct emit *e = &b->e;
    struct label none;

    (void)in;
    if (!may_write_if(b) || b->last)
        return false;
    emit_movzx_rm(e, TC, W8, BASE(HOST_CPU, AT_CPU(intr)));
    none = emit_jrcxz(e);
    build_side_exit(b, emit_jmp(e));
    emit_bind(e, none);
    write_if(e, true);
    return true;
}
