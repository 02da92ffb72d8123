/*
 * translator/rules.c -- the table of rules, and the rules that copy instructions.
 *
 *   native   integer form on registers, memory and immediates: the guest's own instruction
 *   simd x87 the same with vector or x87 registers, which are the host's own
 *   lea      address arithmetic
 *   nop fence
 *   call     everything else: the block calls the interpreter's handler
 *
 * The others are in rules_flow.c, rules_system.c, rules_string.c and rules_kernel.c.
 */
#include "translator/rules.h"

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

enum access rules_memory_access(const struct insn *in)
{
    const uint32_t traits = insn_row(in)->traits;

    if (in->ops[0].kind == OPERAND_MEM && !(traits & READ0))
        return ACCESS_WRITE;
    if (in->ops[1].kind == OPERAND_MEM && (traits & WRITE1))
        return ACCESS_WRITE;
    return ACCESS_READ;
}

unsigned rules_memory_size(const struct insn *in)
{
    for (unsigned i = 0; i < INSN_OPERANDS; i++) {
        if (in->ops[i].kind == OPERAND_MEM)
            return in->ops[i].size;
    }
    return 0;
}

static bool is_gpr(const struct operand *op)
{
    return op->kind == OPERAND_GPR || op->kind == OPERAND_GPR8H;
}

static uint16_t gpr_bit(const struct operand *op)
{
    return is_gpr(op) ? (uint16_t)(1u << op->reg) : 0;
}

uint16_t rules_written(const struct insn *in)
{
    enum { RAX_TO_RBX = 0xf }; /* PCMPxSTRI: the index goes to ECX */
    const uint32_t traits = insn_row(in)->traits;
    const unsigned implicit = traits & RAX_RDX ? 1u << RAX | 1u << RDX : RAX_TO_RBX;

    return (uint16_t)((traits & IMPLICIT ? implicit : 0) |
                      (traits & READ0 ? 0 : gpr_bit(&in->ops[0])) |
                      (traits & WRITE1 ? gpr_bit(&in->ops[1]) : 0));
}

bool rules_writes_gpr(const struct insn *in, unsigned reg)
{
    return reg < 16 && rules_written(in) >> reg & 1;
}

static bool is_named(const struct insn *in, const char *name)
{
    const char *mnemonic = insn_row(in)->mnemonic;

    while (*name != '\0' && *name == *mnemonic)
        name++, mnemonic++;
    return *name == *mnemonic;
}

int64_t rules_step(const struct insn *in, unsigned reg)
{
    const struct operand *ops = in->ops;

    if (ops[0].kind != OPERAND_GPR || ops[0].reg != reg || ops[0].size != 8)
        return 0;
    if (rule_table[in->row] == rule_lea)
        return in->base == reg && in->index == NO_REG && in->addr_size == 8 && !in->rip_relative
                   ? (int64_t)in->disp
                   : 0;
    if (rule_table[in->row] != rule_native)
        return 0;
    if (is_named(in, "inc") || is_named(in, "dec"))
        return is_named(in, "inc") ? 1 : -1;
    if (ops[1].kind != OPERAND_IMM || !(is_named(in, "add") || is_named(in, "sub")))
        return 0;
    return is_named(in, "add") ? (int64_t)in->imm : -(int64_t)in->imm;
}

/* How one instruction is copied. */
struct copy_plan {
    struct recode_map map;
    uint8_t borrowed[4]; /* guest registers that live in memory, each in the scratch register ... */
    uint8_t scratch[4];
    unsigned borrowed_count;
    bool lend_rcx;       /* RCX has the guest's value for the one instruction */
    bool address_in_rcx; /* the memory operand is [RCX] */
    uint8_t code[RECODE_ROOM];
    size_t length;
};

/* Give every register that the contract keeps in memory a scratch register. */
static bool plan_borrow(const struct build *b, const struct insn *in, const struct place *place,
                        struct copy_plan *plan)
{
    static const uint8_t scratch[] = {T1, T0, TC, T2}; /* T1 last: recent.c */
    uint8_t pool[4];
    unsigned left = 0;

    for (unsigned i = 0; i < sizeof(scratch); i++) {
        if (in->has_mem &&
            (place->operand.base == scratch[i] || place->operand.index == scratch[i]))
            continue;
        if (scratch[i] == TC && (plan->lend_rcx || plan->address_in_rcx))
            continue;
        if ((scratch[i] == HOST_STACK && b->keeps_stack) || b->lent >> scratch[i] & 1)
            continue;
        pool[left++] = scratch[i];
    }
    plan->borrowed_count = 0;
    for (unsigned i = 0; i < INSN_OPERANDS; i++) {
        const struct operand *op = &in->ops[i];

        if (!is_gpr(op) || plan->map.gpr[op->reg] != NO_REG)
            continue;
        if (left == 0)
            return false;
        plan->map.gpr[op->reg] = plan->scratch[plan->borrowed_count] = pool[--left];
        plan->borrowed[plan->borrowed_count++] = op->reg;
    }
    return true;
}

/*
 * Registers and memory operand renamed by the contract.  Where the instruction insists on the real
 * RCX (shift counts, CH), RCX is lent; where it insists on no REX prefix (AH..BH with memory), the
 * host address goes to RCX, the only scratch without.
 */
static bool plan_copy(const struct build *b, const struct insn *in, const struct place *place,
                      struct copy_plan *plan)
{
    const struct mem *operand = &place->operand;

    for (unsigned attempt = 0; attempt < 3; attempt++) {
        plan->lend_rcx = attempt == 1;
        plan->address_in_rcx = attempt == 2;
        if (plan->address_in_rcx && !in->has_mem)
            return false;
        for (unsigned i = 0; i < 16; i++)
            plan->map.gpr[i] = b->contract->host[i];
        if (plan->lend_rcx)
            plan->map.gpr[RCX] = RCX;
        if (b->live != NULL)
            plan->map.gpr[b->live_reg] = NO_REG;
        plan->map.mem =
            (struct recode_mem){.base = operand->base,
                                .index = operand->index,
                                .scale = operand->scale,
                                .seg = operand->window ? RECODE_SEG_GS : RECODE_SEG_NONE,
                                .addr32 = operand->window,
                                .disp = operand->disp};
        if (plan->address_in_rcx) {
            plan->map.mem.base = TC;
            plan->map.mem.index = NO_REG;
            plan->map.mem.disp = 0;
        }
        if (!plan_borrow(b, in, place, plan))
            continue;
        plan->length = recode(in, &plan->map, plan->code);
        if (plan->length != 0)
            return true;
    }
    return false;
}

static bool is_home(const struct build *b, const struct operand *op)
{
    return op->kind == OPERAND_GPR && b->contract->host[op->reg] == NO_REG;
}

/* MOV, ADD ... CMP of two registers exist both ways: Ev, Gv and Gv, Ev. */
static bool has_twin(const struct insn *in)
{
    return insn_row(in)->map == M0 && ((in->opcode & 0xc4) == 0 || (in->opcode & 0xfc) == 0x88) &&
           in->has_modrm;
}

/* BT, BTS, BTR, BTC with the number in a register: in memory they reach beyond the operand. */
static bool is_bit_string(const struct insn *in)
{
    return insn_row(in)->map == M1 && (in->opcode & 0xe7) == 0xa3;
}

/* XOR or SUB of a register with itself: a zero, whatever was in it. */
static bool is_zeroing(const struct insn *in)
{
    return (is_named(in, "xor") || is_named(in, "sub")) && is_gpr(&in->ops[0]) &&
           is_gpr(&in->ops[1]) && in->ops[0].reg == in->ops[1].reg && in->ops[0].size >= 4;
}

/*
 * A register that the contract keeps in memory is as good an operand there, if the encoding has a
 * memory form and that does the same: 4 bytes that are written to a register clear the upper half.
 * alt: the instruction with its operand in memory.
 */
static bool use_home(const struct build *b, const struct insn *in, struct insn *alt,
                     struct place *place)
{
    int rm = recode_rm_operand(in);

    if (rm < 0 || in->has_mem || rule_table[in->row] != rule_native ||
        (insn_row(in)->traits & (WRITE1 | IMPLICIT)) || is_bit_string(in) || is_zeroing(in))
        return false;
    *alt = *in;
    if (has_twin(in) && is_home(b, &in->ops[1 - rm]) &&
        (!is_home(b, &in->ops[rm]) || in->ops[0].size != 8)) {
        alt->opcode ^= 2;
        alt->row = (uint16_t)(in->opcode & 2 ? in->row - 2 : in->row + 2);
        rm = 1 - rm;
    }
    if (!is_home(b, &alt->ops[rm]) ||
        (rm == 0 && alt->ops[0].size == 4 && !(insn_row(in)->traits & READ0)))
        return false;
    place->kind = PLACE_HOME;
    place->operand = BASE(HOST_CPU, AT_CPU(gpr) + 8 * alt->ops[rm].reg);
    alt->ops[rm].kind = OPERAND_MEM;
    alt->has_mem = true;
    return true;
}

/* Need the register's old value be there? */
static bool reads_gpr(const struct insn *in, unsigned reg)
{
    const uint32_t traits = insn_row(in)->traits;
    const unsigned written = !(traits & WRITE0) ? 0 : traits & WRITE1 ? 2 : 1; /* MULX: two */
    bool only_written = false;

    if (is_zeroing(in))
        return false;
    for (unsigned i = 0; i < INSN_OPERANDS; i++) {
        if (!is_gpr(&in->ops[i]) || in->ops[i].reg != reg)
            continue;
        if (i >= written || in->ops[i].size < 4)
            return true;
        only_written = true;
    }
    return !only_written;
}

bool rules_copy(struct build *b, const struct insn *in)
{
    struct emit *e = &b->e;
    struct copy_plan plan;
    struct place place = {0};
    struct insn homed;
    const bool grouped = group_takes(b, in);

    b->keeps_stack = true;
    if (use_home(b, in, &homed, &place) && plan_copy(b, &homed, &place, &plan))
        in = &homed;
    else
        place.kind = PLACE_TLB;
    while (place.kind != PLACE_HOME) {
        if (grouped)
            place = group_place(b, in);
        else if (in->has_mem)
            place = build_place(b, in, rules_memory_access(in));
        if (plan_copy(b, in, &place, &plan))
            break;
        if (!b->keeps_stack)
            return false;
        b->keeps_stack = false; /* with one more scratch register */
    }
    if (grouped)
        group_operand(b, in);
    else if (in->has_mem && place.kind != PLACE_HOME)
        build_go_to_place(b, in, &place, rules_memory_size(in), rules_memory_access(in));
    if (plan.address_in_rcx) {
        struct mem address = place.operand;

        address.window = false;
        emit_lea(e, place.operand.window ? W32 : W64, TC, address);
    }
    if (plan.lend_rcx)
        emit_mov_rr(e, W64, RCX, HOST_RCX);
    for (unsigned i = 0; i < plan.borrowed_count; i++) {
        build_needs(b, plan.scratch[i]);
        if (b->live != NULL && plan.borrowed[i] == b->live_reg)
            live_load(b, b->live, b->live->width, plan.scratch[i]);
        else if (reads_gpr(in, plan.borrowed[i]))
            (void)build_gpr_read(b, plan.borrowed[i], plan.scratch[i]);
    }
    emit_bytes(e, plan.code, plan.length);
    for (unsigned i = 0; i < plan.borrowed_count; i++) {
        if (rules_writes_gpr(in, plan.borrowed[i]))
            build_gpr_write(b, plan.borrowed[i], 8, plan.scratch[i]);
    }
    if (plan.lend_rcx && rules_writes_gpr(in, RCX))
        emit_mov_rr(e, W64, HOST_RCX, RCX);
    return true;
}

bool rule_native(struct build *b, const struct insn *in)
{
    if (in->has_mem && (rules_memory_size(in) == 0 || rules_memory_size(in) > 64))
        return false;
    if (live_wanted(b, in)) {
        b->unfit |= b->lent != 0;
        if (live_native(b, in))
            return true;
    }
    return rules_copy(b, in);
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
    const unsigned size = in->ops[0].size;
    const uint8_t dst = b->contract->host[in->ops[0].reg];
    const uint8_t base = in->base == NO_REG ? NO_REG : b->contract->host[in->base];
    const uint8_t index = in->index == NO_REG ? NO_REG : b->contract->host[in->index];

    b->keeps_stack = true;
    /* Straight into the destination where nothing has to be cut or fetched. */
    if (dst != NO_REG && in->addr_size >= 4 && size >= 4 && size <= in->addr_size &&
        !in->rip_relative && (in->base != NO_REG || in->index != NO_REG) &&
        (in->base == NO_REG) == (base == NO_REG) && (in->index == NO_REG) == (index == NO_REG)) {
        emit_lea(&b->e, size, dst,
                 ((struct mem){base, index, in->scale ? in->scale : 1, (int32_t)in->disp, false}));
        return true;
    }
    build_address(b, in);
    build_gpr_write(b, in->ops[0].reg, size, T0);
    return true;
}

bool rule_nop(struct build *b, const struct insn *in)
{
    b->keeps_stack = true;
    (void)in;
    return true; /* hint NOPs do not touch their operand either */
}

/* 16 registers on the host, where 16- and 32-bit guests have 8. */
bool rule_vzero(struct build *b, const struct insn *in)
{
    return b->code64 && rule_simd(b, in);
}

bool rule_fence(struct build *b, const struct insn *in)
{
    emit_bytes(&b->e, b->bytes, in->length);
    return true;
}

bool rule_call(struct build *b, const struct insn *in)
{
    (void)in;
    build_keep(b);
    build_call_slow(b);
    return true;
}
