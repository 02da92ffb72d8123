/*
 * translator/rules_div.c -- DIV and IDIV.
 *
 * If the instruction were only copied, the host CPU would find a division by zero, and its signal
 * costs as much as thousands of instructions.  So the divisor is looked at first:
 *
 *     guest   div dword [ebx]         ; the probe, translator/memory.c
 *                                     mov   ecx, [host address]
 *                                     jrcxz zero
 *                                     jmp   on
 *                             zero:   jmp   side exit
 *                             on:     div   ecx
 *
 * The divisor is read once, into the register that JRCXZ asks, and divided by from there.  A
 * quotient that does not fit is still found by the host.  [SDM 2A "DIV", "IDIV"]
 */
#include "translator/rules.h"

/* TC = the register's value, zero-extended.  Flags stay. */
static void load_register(struct build *b, const struct operand *op)
{
    struct emit *e = &b->e;

    if (op->kind == OPERAND_GPR8H) {
        /* movzx ecx, ah..bh: the host's own; CH once RCX has the guest's */
        const uint8_t movzx[] = {0x0f, 0xb6, (uint8_t)(0xcc + op->reg)};

        if (op->reg == RCX)
            emit_mov_rr(e, W32, TC, HOST_RCX);
        emit_bytes(e, movzx, sizeof(movzx));
    } else {
        const uint8_t from = build_gpr_read(b, op->reg, TC);

        if (op->size == 8)
            emit_mov_rr(e, W64, TC, from);
        else
            emit_movzx_rr(e, TC, (enum width)op->size, from);
    }
}

/* TC = the memory operand, zero-extended.  Clobbers all scratch; flags stay. */
static void load_memory(struct build *b, const struct insn *in)
{
    if (group_takes(b, in))
        group_operand(b, in);
    else
        build_memory(b, in, in->width, ACCESS_READ);
    emit_movzx_rm(&b->e, TC, (enum width)in->width, BUILD_OPERAND);
}

/* DIV or IDIV by RCX.  Changes RAX, RDX, flags. */
static void divide(struct emit *e, const struct insn *in)
{
    enum { MODRM_RCX = 0xc0 | RCX, MODRM_REG = 7 << 3 };

    if (in->width == 2)
        emit_u8(e, 0x66);
    if (in->width == 8)
        emit_u8(e, 0x48);
    emit_u8(e, in->opcode);
    emit_u8(e, (uint8_t)(MODRM_RCX | (in->modrm & MODRM_REG)));
}

bool rule_div(struct build *b, const struct insn *in)
{
    struct emit *e = &b->e;
    struct label zero, on;

    b->keeps_stack = true;
    if (in->has_mem)
        load_memory(b, in);
    else
        load_register(b, &in->ops[0]);
    zero = emit_jrcxz(e);
    on = emit_jmp_short(e);
    emit_bind(e, zero);
    if (!in->has_mem)
        build_keep(b); /* no probe has missed: it does not count against the block's groups */
    build_side_exit(b, emit_jmp(e));
    emit_bind(e, on);
    divide(e, in);
    return true;
}
