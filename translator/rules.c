/*
 * translator/rules.c -- the table of rules, and the rules that copy instructions.
 *
 *   native   integer form on registers, memory and immediates: the guest's own instruction
 *   simd x87 the same with vector or x87 registers, which are the host's own
 *   lea      address arithmetic
 *   nop fence
 *   call     everything else: the block calls the interpreter's handler
 */
#include "translator/build.h"

#define INSN(map, op, pp, ext, mnem, o0, o1, o2, o3, reads, writes, traits, feature, run, rewrite) \
    bool rule_##rewrite(struct build *b, const struct insn *in);
#include "cpu/insn.def"
#undef INSN

const rule_fn rule_table[] = {
#define INSN(map, op, pp, ext, mnem, o0, o1, o2, o3, reads, writes, traits, feature, run, rewrite) \
    rule_##rewrite,
#include "cpu/insn.def"
#undef INSN
};

const char *const rule_names[] = {
#define INSN(map, op, pp, ext, mnem, o0, o1, o2, o3, reads, writes, traits, feature, run, rewrite) \
#rewrite,
#include "cpu/insn.def"
#undef INSN
};

/* Which access the instruction makes to its memory operand. */
static enum access memory_access(const struct insn *in)
{
    const uint32_t traits = insn_row(in)->traits;

    if (in->ops[0].kind == OPERAND_MEM && !(traits & READ0))
        return ACCESS_WRITE;
    if (in->ops[1].kind == OPERAND_MEM && (traits & WRITE1))
        return ACCESS_WRITE;
    return ACCESS_READ;
}

static unsigned memory_size(const struct insn *in)
{
    for (unsigned i = 0; i < INSN_OPERANDS; i++) {
        if (in->ops[i].kind == OPERAND_MEM)
            return in->ops[i].size;
    }
    return 0;
}

static struct recode_map contract_map(void)
{
    struct recode_map map = {.mem = {.base = T0, .index = T1, .scale = 1}};

    for (unsigned i = 0; i < 16; i++)
        map.gpr[i] = i < 8 ? host_gpr(i) : NO_REG;
    return map;
}

static bool writes_rcx(const struct insn *in)
{
    const uint32_t traits = insn_row(in)->traits;
    const struct operand *ops = in->ops;

    if (traits & IMPLICIT) /* PCMPxSTRI: the index goes to ECX */
        return true;
    return (!(traits & READ0) && (ops[0].kind == OPERAND_GPR || ops[0].kind == OPERAND_GPR8H) &&
            ops[0].reg == RCX) ||
           ((traits & WRITE1) && (ops[1].kind == OPERAND_GPR || ops[1].kind == OPERAND_GPR8H) &&
            ops[1].reg == RCX);
}

/*
 * Copy the instruction with its registers and memory operand renamed.  Where it insists on the real
 * RCX (shift counts, CH), RCX is lent the guest's value for the one instruction; where it insists
 * on no REX prefix (AH..BH with memory), the host address goes to RCX, the only scratch without.
 */
static bool copy(struct build *b, const struct insn *in)
{
    struct emit *e = &b->e;
    struct recode_map map = contract_map();
    uint8_t code[RECODE_ROOM];
    bool lend = false, address_in_rcx = false;
    size_t length = recode(in, &map, code);

    if (length == 0) {
        map.gpr[RCX] = RCX;
        length = recode(in, &map, code);
        lend = length != 0;
    }
    if (length == 0 && in->has_mem) {
        map = contract_map();
        map.mem = (struct recode_mem){.base = TC, .index = NO_REG};
        length = recode(in, &map, code);
        address_in_rcx = length != 0;
    }
    if (length == 0)
        return false;
    if (in->has_mem)
        build_memory(b, in, memory_size(in), memory_access(in));
    if (address_in_rcx)
        emit_lea(e, W64, TC, BUILD_OPERAND);
    if (lend)
        emit_mov_rr(e, W32, RCX, HOST_ECX);
    emit_bytes(e, code, length);
    if (lend && writes_rcx(in))
        emit_mov_rr(e, W32, HOST_ECX, RCX);
    return true;
}

bool rule_native(struct build *b, const struct insn *in)
{
    if (in->has_mem && (memory_size(in) == 0 || memory_size(in) > 64))
        return false;
    return copy(b, in);
}

bool rule_simd(struct build *b, const struct insn *in)
{
    return rule_native(b, in);
}

bool rule_x87(struct build *b, const struct insn *in)
{
    return rule_native(b, in);
}

bool rule_lea(struct build *b, const struct insn *in)
{
    struct emit *e = &b->e;
    const uint8_t base = in->base == NO_REG ? NO_REG : host_gpr(in->base);
    const uint8_t index = in->index == NO_REG ? NO_REG : host_gpr(in->index);
    const uint8_t dst = host_gpr(in->ops[0].reg);
    const struct mem m = {base, index, in->scale ? in->scale : 1, (int32_t)in->disp};
    const enum width w = in->ops[0].size;

    if (in->addr_size == 2) {
        emit_lea(e, W32, T0, m);
        if (w == W16)
            emit_mov_rr(e, W16, dst, T0);
        else
            emit_movzx_rr(e, dst, W16, T0);
    } else {
        emit_lea(e, w, dst, m);
    }
    return true;
}

bool rule_nop(struct build *b, const struct insn *in)
{
    (void)b;
    (void)in;
    return true; /* hint NOPs do not touch their operand either */
}

bool rule_fence(struct build *b, const struct insn *in)
{
    emit_bytes(&b->e, b->bytes, in->length);
    return true;
}

/* ---- stack ---- */

void build_move_esp(struct build *b, int32_t delta)
{
    struct emit *e = &b->e;

    if (b->mode & MODE_STACK32) {
        emit_lea(e, W32, HOST_ESP, BASE(HOST_ESP, delta));
    } else {
        emit_lea(e, W32, TC, BASE(HOST_ESP, delta));
        emit_mov_rr(e, W16, HOST_ESP, TC);
    }
}

void build_push(struct build *b, unsigned width, uint8_t value_reg, uint32_t value)
{
    struct emit *e = &b->e;

    build_stack_linear(b, HOST_ESP, -(int32_t)width, width, ACCESS_WRITE);
    build_probe(b, width, ACCESS_WRITE);
    if (value_reg == NO_REG)
        emit_mov_mi(e, width, BUILD_OPERAND, (int32_t)value);
    else
        emit_mov_mr(e, width, BUILD_OPERAND, value_reg);
    build_move_esp(b, -(int32_t)width);
}

bool rule_push(struct build *b, const struct insn *in)
{
    struct emit *e = &b->e;
    const unsigned width = in->width;

    if (width == 8)
        return false;
    switch (in->ops[0].kind) {
    case OPERAND_GPR:
        build_push(b, width, host_gpr(in->ops[0].reg), 0);
        return true;
    case OPERAND_IMM:
        build_push(b, width, NO_REG, (uint32_t)in->imm);
        return true;
    case OPERAND_MEM:
        build_memory(b, in, width, ACCESS_READ);
        emit_movzx_rm(e, T3, width, BUILD_OPERAND);
        build_push(b, width, T3, 0);
        return true;
    default:
        return false;
    }
}

bool rule_pop(struct build *b, const struct insn *in)
{
    struct emit *e = &b->e;
    const unsigned width = in->width;

    if (width == 8 || in->ops[0].kind != OPERAND_GPR)
        return false;
    build_stack_linear(b, HOST_ESP, 0, width, ACCESS_READ);
    build_probe(b, width, ACCESS_READ);
    emit_mov_rm(e, width, T3, BUILD_OPERAND);
    build_move_esp(b, (int32_t)width);
    emit_mov_rr(e, width, host_gpr(in->ops[0].reg), T3); /* POP ESP: the value wins */
    return true;
}

bool rule_leave(struct build *b, const struct insn *in)
{
    struct emit *e = &b->e;

    if (in->width != 4 || !(b->mode & MODE_STACK32))
        return false;
    build_stack_linear(b, RBP, 0, 4, ACCESS_READ);
    build_probe(b, 4, ACCESS_READ);
    emit_lea(e, W32, HOST_ESP, BASE(RBP, 4));
    emit_mov_rm(e, W32, RBP, BUILD_OPERAND);
    return true;
}

/* ---- control flow ---- */

/* Width of EIP in this instruction: 16-bit operand size truncates. */
static uint64_t truncate_rip(const struct insn *in, uint64_t rip)
{
    return in->width == 2 ? rip & 0xffff : rip & 0xffffffff;
}

bool rule_jcc(struct build *b, const struct insn *in)
{
    build_branch(b, in->opcode & 15, truncate_rip(in, b->next_rip + in->imm), b->next_rip);
    return true;
}

/* T0 = the near target that operand 0 names, from a register or memory. */
static void load_target(struct build *b, const struct insn *in, uint8_t to)
{
    struct emit *e = &b->e;

    if (in->ops[0].kind == OPERAND_MEM) {
        build_memory(b, in, in->width, ACCESS_READ);
        emit_movzx_rm(e, to, in->width, BUILD_OPERAND);
    } else {
        emit_movzx_rr(e, to, in->width, host_gpr(in->ops[0].reg));
    }
}

bool rule_jmp(struct build *b, const struct insn *in)
{
    if (in->width == 8)
        return false;
    if (in->ops[0].kind == OPERAND_REL) {
        const uint64_t target = truncate_rip(in, b->next_rip + in->imm);

        if (build_needs_poll(b, target))
            build_poll(b);
        build_exit(b, 0, target);
        b->ended = true;
        return true;
    }
    if (!(b->mode & MODE_CS_FLAT))
        return false; /* a target beyond the limit faults in the JMP itself */
    load_target(b, in, T0);
    build_indirect(b);
    return true;
}

bool rule_call_near(struct build *b, const struct insn *in)
{
    const unsigned width = in->width;

    if (width == 8 || !(b->mode & MODE_CS_FLAT))
        return false;
    if (in->ops[0].kind == OPERAND_REL) {
        const uint64_t target = truncate_rip(in, b->next_rip + in->imm);

        if (build_needs_poll(b, target))
            build_poll(b);
        build_push(b, width, NO_REG, (uint32_t)b->next_rip);
        build_exit(b, 0, target);
        b->ended = true;
        return true;
    }
    load_target(b, in, T3);
    build_push(b, width, NO_REG, (uint32_t)b->next_rip);
    emit_mov_rr(&b->e, W32, T0, T3);
    build_indirect(b);
    return true;
}

bool rule_ret(struct build *b, const struct insn *in)
{
    const unsigned width = in->width;
    const int32_t pop = in->ops[0].kind == OPERAND_IMM ? (int32_t)(in->imm & 0xffff) : 0;

    if (width == 8 || !(b->mode & MODE_CS_FLAT))
        return false;
    build_stack_linear(b, HOST_ESP, 0, width, ACCESS_READ);
    build_probe(b, width, ACCESS_READ);
    emit_movzx_rm(&b->e, T0, width, BUILD_OPERAND);
    build_move_esp(b, (int32_t)width + pop);
    build_indirect(b);
    return true;
}

/*
 * JCXZ/JECXZ and LOOP leave the flags alone, and so does the host's JRCXZ.  LOOPE and LOOPNE ask
 * ZF as well.
 */
bool rule_loop(struct build *b, const struct insn *in)
{
    enum { LOOPNE = 0xe0, LOOPE = 0xe1, LOOP = 0xe2, JCXZ = 0xe3 };
    struct emit *e = &b->e;
    const uint64_t taken = truncate_rip(in, b->next_rip + in->imm);
    struct label zero, z_fails = {0};
    bool conditional = in->opcode == LOOPE || in->opcode == LOOPNE;

    if (in->addr_size == 8)
        return false;
    if (build_needs_poll(b, taken))
        build_poll(b);
    if (in->opcode == JCXZ) {
        emit_movzx_rr(e, TC, in->addr_size, HOST_ECX);
    } else {
        emit_lea(e, W32, TC, BASE(HOST_ECX, -1));
        emit_mov_rr(e, in->addr_size, HOST_ECX, TC);
        emit_movzx_rr(e, TC, in->addr_size, HOST_ECX);
    }
    zero = emit_jrcxz(e);
    if (in->opcode == JCXZ) {
        struct label to_next = emit_jmp_short(e);

        emit_bind(e, zero);
        build_exit(b, 0, taken);
        emit_bind(e, to_next);
        build_exit(b, 1, b->next_rip);
    } else {
        if (conditional)
            z_fails = emit_jcc(e, in->opcode == LOOPE ? 5 /* NZ */ : 4 /* Z */);
        build_exit(b, 0, taken);
        emit_bind(e, zero);
        if (conditional)
            emit_bind(e, z_fails);
        build_exit(b, 1, b->next_rip);
    }
    b->ended = true;
    return true;
}

/* ---- the rest ---- */

bool rule_call(struct build *b, const struct insn *in)
{
    (void)in;
    build_call_slow(b);
    return true;
}

/* REP forms work in bulk in the interpreter's handler; so far single ones go there as well. */
bool rule_string(struct build *b, const struct insn *in)
{
    return rule_call(b, in);
}

bool rule_df(struct build *b, const struct insn *in)
{
    return rule_call(b, in);
}
