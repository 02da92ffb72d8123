/*
 * cpu/decode.c -- from bytes to struct insn.  Source: [SDM 2A 2 "Instruction Format"].
 *
 *   prefixes  REX  opcode (0F, 0F38, 0F3A escapes)  ModRM  SIB  displacement  immediate
 *   VEX (C4 or C5)  opcode                          ModRM  SIB  displacement  immediate
 *   EVEX (62)       opcode                          ModRM  SIB  displacement  immediate
 *
 * The opcode (with map) picks the root of a decision tree, whose leaf names a row of cpu/insn.def
 * and the form of its operands; the tables are made when Ringer is built (cpu/decode_gen.c), so
 * there is nothing to initialise.
 *
 * Which byte is looked at next, and when decoding ends, depends on earlier bytes only: decoding n
 * bytes gives either the final answer or DECODE_TRUNCATED, never an answer that more bytes change.
 *
 * C4, C5 and 62 are LES, LDS and BOUND outside 64-bit mode unless the next byte's top two bits are
 * set.  The
 * decoder does not know real mode from 16-bit protected mode; there the VEX rows' trait PROTECTED
 * gives #UD, which LES, LDS and BOUND with a register operand give too.
 */
#include "cpu/decode_form.h"
#include "cpu/insn.h"

#include "cpu/decode_tables.inc"

enum prefix_class {
    CLASS_NONE,
    CLASS_REX,
    CLASS_SEG,
    CLASS_66,
    CLASS_67,
    CLASS_LOCK,
    CLASS_REP,
    CLASS_REPNE,
};

static const uint8_t prefix_class[256] = {
    [0x26] = CLASS_SEG,  [0x2e] = CLASS_SEG,   [0x36] = CLASS_SEG, [0x3e] = CLASS_SEG,
    [0x64] = CLASS_SEG,  [0x65] = CLASS_SEG,   [0x66] = CLASS_66,  [0x67] = CLASS_67,
    [0xf0] = CLASS_LOCK, [0xf2] = CLASS_REPNE, [0xf3] = CLASS_REP, [0x40 ... 0x4f] = CLASS_REX,
};

enum { REX_W = 8, REX_R = 4, REX_X = 2, REX_B = 1, NO_SEG = 0xff };
enum { PP_NONE, PP_66, PP_F3, PP_F2 };

/* Base and index of the 16-bit addressing forms. [SDM 2A table 2-1] */
static const struct {
    uint8_t base, index, seg;
} address16[8] = {
    {RBX, RSI, DS},    {RBX, RDI, DS},    {RBP, RSI, SS},    {RBP, RDI, SS},
    {RSI, NO_REG, DS}, {RDI, NO_REG, DS}, {RBP, NO_REG, SS}, {RBX, NO_REG, DS},
};

/* What decoding carries along besides the result. */
struct cursor {
    const uint8_t *start, *p, *end;
    size_t avail;
    uint8_t pp;     /* PP_* of the legacy prefixes or VEX */
    uint8_t seg;    /* override, or NO_SEG */
    uint8_t rex;    /* W R X B bits, from REX or VEX */
    uint8_t vvvv;   /* all four bits (EVEX: V'vvvv): 0 (inverted) unless an operand uses it */
    uint8_t high;   /* EVEX: what R' adds to ModRM.reg, 0 or 16 */
    uint8_t length; /* EVEX.L'L */
    bool code64;
    uint8_t map;
    uint16_t context; /* CONTEXT_*: column of decode_sizes[][] */
    uint8_t reg, rm;  /* ModRM.reg and rm, with REX.R and REX.B */
};

static enum decode_status stop(const struct cursor *c, struct insn *in, enum decode_status status)
{
    in->length = (uint8_t)(c->p - c->start);
    return status;
}

/* The bytes ran out: at the architectural limit, or at the caller's. */
static enum decode_status run_out(const struct cursor *c, struct insn *in)
{
    return stop(c, in, c->avail >= INSN_MAX_LENGTH ? DECODE_TOO_LONG : DECODE_TRUNCATED);
}

static inline bool has(const struct cursor *c, size_t bytes)
{
    return (size_t)(c->end - c->p) >= bytes;
}

/* size bytes (1, 2, 4, 8), zero-extended; has() has been asked. */
static inline uint64_t take(struct cursor *c, unsigned size)
{
    uint64_t value = 0;

    __builtin_memcpy(&value, c->p, 1);
    if (size == 4)
        __builtin_memcpy(&value, c->p, 4);
    else if (size == 2)
        __builtin_memcpy(&value, c->p, 2);
    else if (size == 8)
        __builtin_memcpy(&value, c->p, 8);
    c->p += size;
    return value;
}

static inline uint64_t sign_extend(uint64_t value, unsigned size)
{
    const unsigned unused = 64 - 8 * size;

    return (uint64_t)((int64_t)(value << unused) >> unused);
}

/* Legacy prefixes and REX.  A REX that another prefix follows is ignored.  [SDM 2A 2.1.1, 2.2.1] */
static enum decode_status take_prefixes(struct cursor *c, struct insn *in)
{
    uint8_t rep = 0;

    for (;; c->p++) {
        if (!has(c, 1))
            return run_out(c, in);

        const uint8_t byte = *c->p;
        const uint8_t class = prefix_class[byte];

        if (class == CLASS_NONE)
            break;
        if (class == CLASS_REX) {
            if (!c->code64)
                break;
            c->rex = byte;
            continue;
        }
        c->rex = 0;
        switch (class) {
        case CLASS_SEG:
            /* In 64-bit mode ES, CS, SS, DS overrides are null prefixes. */
            if (byte >= 0x64)
                c->seg = (uint8_t)(byte - 0x64 + FS);
            else if (!c->code64)
                c->seg = byte >> 3 & 3;
            break;
        case CLASS_66:
            in->prefixes |= PREFIX_66;
            break;
        case CLASS_67:
            in->prefixes |= PREFIX_67;
            break;
        case CLASS_LOCK:
            in->prefixes |= PREFIX_LOCK;
            break;
        default:
            rep = class == CLASS_REP ? PREFIX_REP : PREFIX_REPNE;
            break;
        }
    }
    in->prefixes |= rep | (c->seg != NO_SEG ? PREFIX_SEG : 0) | (c->rex ? PREFIX_REX : 0);
    if (!(in->prefixes & (uint8_t)~PREFIX_REX))
        return DECODE_OK; /* nearly always */
    c->pp = rep == PREFIX_REP          ? PP_F3
            : rep == PREFIX_REPNE      ? PP_F2
            : in->prefixes & PREFIX_66 ? PP_66
                                       : PP_NONE;
    return DECODE_OK;
}

/*
 * The rest of a VEX prefix, after C4 or C5.  [SDM 2A 2.3.5]
 *   C5  R vvvv L pp         C4  R X B mmmmm   W vvvv L pp       (R, X, B, vvvv inverted)
 */
static enum decode_status take_vex(struct cursor *c, struct insn *in, bool three)
{
    uint8_t first, last;

    if (!has(c, three ? 2 : 1))
        return run_out(c, in);
    first = *c->p++;
    last = three ? *c->p++ : first;
    if (in->prefixes & (PREFIX_66 | PREFIX_LOCK | PREFIX_REP | PREFIX_REPNE | PREFIX_REX))
        return stop(c, in, DECODE_INVALID);
    c->rex = (uint8_t)(first & 0x80 ? 0x40 : 0x40 | REX_R);
    c->map = V1;
    if (three) {
        const uint8_t map = first & 31;

        if (map < 1 || map > 3)
            return stop(c, in, DECODE_INVALID);
        c->map = (uint8_t)(V1 + map - 1);
        c->rex |= (uint8_t)((first & 0x40 ? 0 : REX_X) | (first & 0x20 ? 0 : REX_B) |
                            (last & 0x80 ? REX_W : 0));
    }
    c->vvvv = ~last >> 3 & 15;
    if (!c->code64) /* eight registers: B means nothing, nor does the top bit of a used vvvv */
        c->rex &= 0x40 | REX_W;
    c->pp = last & 3;
    in->vex_l = last >> 2 & 1;
    in->vex_v = c->vvvv & (c->code64 ? 15 : 7);
    in->prefixes |= PREFIX_VEX;
    return DECODE_OK;
}

/*
 * The rest of an EVEX prefix, after 62.  [SDM 2A 2.7.1]
 *   R X B R' 0 mmm     W vvvv 1 pp     z L'L b V' aaa      (R, X, B, R', V', vvvv inverted)
 */
static enum decode_status take_evex(struct cursor *c, struct insn *in)
{
    enum { P0_FIXED = 8, P1_FIXED = 4 };
    uint8_t p0, p1, p2;

    if (!has(c, 3))
        return run_out(c, in);
    p0 = *c->p++;
    p1 = *c->p++;
    p2 = *c->p++;
    if (in->prefixes & (PREFIX_66 | PREFIX_LOCK | PREFIX_REP | PREFIX_REPNE | PREFIX_REX) ||
        p0 & P0_FIXED || !(p1 & P1_FIXED) || (p0 & 7) < 1 || (p0 & 7) > 3)
        return stop(c, in, DECODE_INVALID);
    c->map = (uint8_t)(E1 + (p0 & 7) - 1);
    c->rex = (uint8_t)(0x40 | (p1 & 0x80 ? REX_W : 0) | (p0 & 0x80 ? 0 : REX_R) |
                       (p0 & 0x40 ? 0 : REX_X) | (p0 & 0x20 ? 0 : REX_B));
    c->high = p0 & 0x10 ? 0 : 16;
    c->vvvv = (uint8_t)((~p1 >> 3 & 15) | (p2 & 8 ? 0 : 16));
    c->length = in->vex_l = p2 >> 5 & 3;
    if (!c->code64) { /* eight registers; V' is not ignored as the others are */
        if (c->vvvv & 16)
            return stop(c, in, DECODE_INVALID);
        c->rex &= 0x40 | REX_W;
        c->high = 0;
    }
    c->pp = p1 & 3;
    in->vex_v = c->vvvv & (c->code64 ? 31 : 7);
    in->prefixes |= PREFIX_VEX;
    in->evex =
        (uint8_t)(EVEX_PREFIX | (p2 & 0x80 ? EVEX_ZEROING : 0) | (p2 & 0x10 ? EVEX_BROADCAST : 0));
    in->mask = p2 & 7;
    return DECODE_OK;
}

/* Escapes, VEX and the opcode byte; leaves c->map. */
static enum decode_status take_opcode(struct cursor *c, struct insn *in)
{
    uint8_t byte = *c->p++; /* take_prefixes() has seen it */

    in->opcode_at = (uint8_t)(c->p - c->start - 1);
    if (byte == 0x0f) {
        if (!has(c, 1))
            return run_out(c, in);
        byte = *c->p++;
        c->map = M1;
        if (byte == 0x38 || byte == 0x3a) {
            if (!has(c, 1))
                return run_out(c, in);
            c->map = byte == 0x38 ? M2 : M3;
            byte = *c->p++;
        }
    } else if (byte == 0xc4 || byte == 0xc5) {
        if (!has(c, 1))
            return run_out(c, in);
        if (c->code64 || *c->p >= 0xc0) {
            const enum decode_status status = take_vex(c, in, byte == 0xc4);

            if (status != DECODE_OK)
                return status;
            if (!has(c, 1))
                return run_out(c, in);
            byte = *c->p++;
        }
    } else if (byte == 0x62) {
        if (!has(c, 1))
            return run_out(c, in);
        if (c->code64 || *c->p >= 0xc0) {
            const enum decode_status status = take_evex(c, in);

            if (status != DECODE_OK)
                return status;
            if (!has(c, 1))
                return run_out(c, in);
            byte = *c->p++;
        }
    }
    in->opcode = byte;
    in->rex = c->rex;
    return DECODE_OK;
}

/* Walk the opcode's tree; takes the ModRM byte if there is one.  On success *entry is a leaf. */
static enum decode_status find_row(struct cursor *c, struct insn *in, uint32_t *entry)
{
    uint32_t e = decode_roots[c->map][in->opcode];

    if (e & ENTRY_MODRM) {
        if (!has(c, 1))
            return run_out(c, in);
        in->has_modrm = 1;
        in->modrm_at = (uint8_t)(c->p - c->start);
        in->modrm = *c->p++;
    }
    if ((e & KIND_MASK) == KIND_BRANCH) {
        const uint32_t sel = (uint32_t)c->pp << SEL_PP | (uint32_t)(c->rex >> 3 & 1) << SEL_W |
                             (uint32_t)in->vex_l << SEL_L | (uint32_t)c->code64 << SEL_M64 |
                             (uint32_t)(c->rex & REX_B) << SEL_B | (uint32_t)(in->modrm & 63) |
                             (uint32_t)(in->modrm >= 0xc0)
                                 << SEL_MOD3; /* modrm is 0 if there is none */

        do
            e = decode_nodes[(e >> BRANCH_BASE_SHIFT) +
                             (sel >> (e >> BRANCH_SHIFT_SHIFT & BRANCH_SHIFT_MASK) &
                              (e >> BRANCH_MASK_SHIFT & BRANCH_MASK_MASK))];
        while ((e & KIND_MASK) == KIND_BRANCH);
    }
    *entry = e;
    return (e & KIND_MASK) == KIND_LEAF ? DECODE_OK : stop(c, in, DECODE_INVALID);
}

/* Operand and address size.  [SDM 2A 2.2.1.2, 2.2.1.7] */
static void set_sizes(struct cursor *c, struct insn *in, const struct form *form)
{
    const bool small = in->prefixes & PREFIX_66;
    const bool other = in->prefixes & PREFIX_67;
    unsigned opsize;

    if (c->code64) {
        in->addr_size = other ? 4 : 8;
        opsize = c->rex & REX_W || form->flags & FORM_F64 ? 2
                 : small                                  ? 0
                 : form->flags & FORM_D64                 ? 2
                                                          : 1;
    } else {
        const bool code32 = in->code_size == CODE32;

        in->addr_size = code32 != other ? 4 : 2;
        opsize = code32 != small ? 1 : 0;
    }
    in->width = form->flags & FORM_BYTE ? 1
                : form->flags & FORM_Y  ? (c->code64 && c->rex & REX_W ? 8 : 4)
                                        : (uint8_t)(2u << opsize);
    c->context = (uint16_t)(opsize | (c->code64 ? CONTEXT_CODE64 : 0) |
                            (c->rex & REX_W ? CONTEXT_W : 0) | in->vex_l << CONTEXT_L_SHIFT);
}

/* Displacement of 0, 1, 2 or 4 bytes, sign-extended. */
static bool take_disp(struct cursor *c, struct insn *in, unsigned size)
{
    if (!has(c, size))
        return false;
    if (size)
        in->disp = (int64_t)sign_extend(take(c, size), size);
    return true;
}

static bool take_address16(struct cursor *c, struct insn *in)
{
    const unsigned mod = in->modrm >> 6, rm = in->modrm & 7;

    if (mod == 0 && rm == 6)
        return take_disp(c, in, 2);
    in->base = address16[rm].base;
    in->index = address16[rm].index;
    in->seg = address16[rm].seg;
    return take_disp(c, in, mod);
}

/* ModRM.rm (and SIB) as memory, 32- and 64-bit addressing; false: the bytes ran out. */
static bool take_address(struct cursor *c, struct insn *in, bool vector_index)
{
    const unsigned mod = in->modrm >> 6;
    unsigned base = in->modrm & 7;

    if (base == 4) {
        if (!has(c, 1))
            return false;

        const uint8_t sib = *c->p++;
        const unsigned index = (sib >> 3 & 7) | (c->rex & REX_X ? 8 : 0);

        if (index != RSP || vector_index) {
            in->index = (uint8_t)index;
            in->scale = (uint8_t)(1u << (sib >> 6));
        }
        base = sib & 7;
        if (mod == 0 && base == 5)
            return take_disp(c, in, 4);
    } else if (mod == 0 && base == 5) {
        in->rip_relative = c->code64;
        return take_disp(c, in, 4);
    }
    in->base = (uint8_t)(base | (c->rex & REX_B ? 8 : 0));
    if (in->base == RSP || in->base == RBP)
        in->seg = SS;
    return take_disp(c, in, mod == 2 ? 4 : mod);
}

/* A gather's three vector registers must differ; with EVEX there are two, and a scatter's may be
 * the same. [SDM 2C "VPGATHERDD"] */
static bool gather_valid(const struct cursor *c, const struct insn *in, const struct form *form)
{
    const unsigned dst = (in->modrm >> 3 & 7) | (c->rex & REX_R ? 8 : 0) | c->high;

    if (in->evex)
        return form->ops[0].place == PLACE_VM || dst != in->index;
    return in->index != NO_REG && dst != in->index && dst != in->vex_v && in->index != in->vex_v;
}

static inline void put(struct operand *op, enum operand_kind kind, unsigned reg, unsigned size)
{
    op->kind = (uint8_t)kind;
    op->reg = (uint8_t)reg;
    op->size = (uint16_t)size;
}

static inline void put_gpr(const struct insn *in, struct operand *op, unsigned reg, unsigned size)
{
    if (size == 1 && (reg & 12) == 4 && !(in->prefixes & PREFIX_REX))
        put(op, OPERAND_GPR8H, reg - 4, 1);
    else
        put(op, OPERAND_GPR, reg, size);
}

/* Bytes of the memory alternative of an operand. */
static inline unsigned memory_size(const struct cursor *c, const struct insn *in,
                                   const struct form_operand *fo)
{
    return decode_sizes[in->evex & EVEX_BROADCAST ? fo->broadcast : fo->size_mem][c->context];
}

static bool control_register_valid(unsigned reg)
{
    return reg == 0 || (reg >= 2 && reg <= 4) || reg == 8;
}

/* One operand; immediates are taken from the code. */
static enum decode_status take_operand(struct cursor *c, struct insn *in,
                                       const struct form_operand *fo, struct operand *op)
{
    const unsigned size = decode_sizes[fo->size][c->context];
    const unsigned reg = c->reg, rm = c->rm;
    unsigned bytes;

    switch ((enum place)fo->place) {
    case PLACE_NONE:
        break;
    case PLACE_E:
        if (in->has_mem)
            put(op, OPERAND_MEM, 0, decode_sizes[fo->size_mem][c->context]);
        else
            put_gpr(in, op, rm, size);
        break;
    case PLACE_R:
        put(op, OPERAND_GPR, rm, size);
        break;
    case PLACE_VM:
        in->vsib = fo->arg;
        put(op, OPERAND_MEM, 0, size);
        break;
    case PLACE_M:
        put(op, OPERAND_MEM, 0, size);
        break;
    case PLACE_G:
        if (c->high) /* there are 16 general registers */
            return stop(c, in, DECODE_INVALID);
        put_gpr(in, op, reg, size);
        break;
    case PLACE_Z:
        put_gpr(in, op, (in->opcode & 7) | (c->rex & REX_B ? 8 : 0), size);
        break;
    case PLACE_B:
        put(op, OPERAND_GPR, in->vex_v, size);
        break;
    case PLACE_MMX_REG:
        put(op, OPERAND_MMX, reg & 7, size);
        break;
    case PLACE_MMX_RM:
        if (in->has_mem)
            put(op, OPERAND_MEM, 0, decode_sizes[fo->size_mem][c->context]);
        else
            put(op, OPERAND_MMX, rm & 7, size);
        break;
    case PLACE_VEC_REG:
        put(op, OPERAND_VEC, reg | c->high, size);
        break;
    case PLACE_VEC_RM:
        if (in->has_mem)
            put(op, OPERAND_MEM, 0, memory_size(c, in, fo));
        else
            put(op, OPERAND_VEC, rm | (in->evex && c->rex & REX_X ? 16 : 0), size);
        break;
    case PLACE_MASK_REG: /* 8 registers; 64-bit mode does not ignore bits for more */
        if (reg > 7 || c->high)
            return stop(c, in, DECODE_INVALID);
        put(op, OPERAND_MASK, reg, size);
        break;
    case PLACE_MASK_RM:
        if (in->has_mem)
            put(op, OPERAND_MEM, 0, decode_sizes[fo->size_mem][c->context]);
        else
            put(op, OPERAND_MASK, rm & 7, size);
        break;
    case PLACE_MASK_VVVV:
        if (in->vex_v > 7)
            return stop(c, in, DECODE_INVALID);
        put(op, OPERAND_MASK, in->vex_v, size);
        break;
    case PLACE_VEC_VVVV:
        put(op, OPERAND_VEC, in->vex_v, size);
        break;
    case PLACE_VEC_IS4:
        if (!has(c, 1))
            return run_out(c, in);
        in->imm = take(c, 1);
        put(op, OPERAND_VEC, in->imm >> 4 & (c->code64 ? 15 : 7), size);
        break;
    case PLACE_SEG_REG:
        if ((reg & 7) > GS)
            return stop(c, in, DECODE_INVALID);
        put(op, OPERAND_SEG, reg & 7, 2);
        break;
    case PLACE_CR_REG:
        if (!control_register_valid(reg))
            return stop(c, in, DECODE_INVALID);
        put(op, OPERAND_CR, reg, size);
        break;
    case PLACE_DR_REG:
        if (reg > 7)
            return stop(c, in, DECODE_INVALID);
        put(op, OPERAND_DR, reg, size);
        break;
    case PLACE_IMM:
        if (!has(c, size))
            return run_out(c, in);
        in->imm = take(c, size);
        put(op, OPERAND_IMM, 0, size);
        break;
    case PLACE_IMM_SIGNED:
    case PLACE_REL:
        bytes = decode_sizes[fo->arg][c->context];
        if (!has(c, bytes))
            return run_out(c, in);
        in->imm = sign_extend(take(c, bytes), bytes);
        put(op, fo->place == PLACE_REL ? OPERAND_REL : OPERAND_IMM, 0, size);
        break;
    case PLACE_IMM2:
        if (!has(c, 1))
            return run_out(c, in);
        in->imm2 = (uint16_t)take(c, 1);
        put(op, OPERAND_IMM2, 0, 1);
        break;
    case PLACE_ONE:
        in->imm = 1;
        put(op, OPERAND_IMM, 0, 1);
        break;
    case PLACE_FAR:
        if (!has(c, size))
            return run_out(c, in);
        in->imm = take(c, size - 2);
        in->imm2 = (uint16_t)take(c, 2);
        put(op, OPERAND_FAR, 0, size);
        break;
    case PLACE_OFFSET:
        if (!has(c, in->addr_size))
            return run_out(c, in);
        in->disp = (int64_t)take(c, in->addr_size);
        in->has_mem = 1;
        put(op, OPERAND_MEM, 0, size);
        break;
    case PLACE_SRC:
        put(op, OPERAND_SRC, RSI, size);
        break;
    case PLACE_DST:
        put(op, OPERAND_DST, RDI, size);
        break;
    case PLACE_GPR:
        put(op, OPERAND_GPR, fo->arg, size);
        break;
    case PLACE_SEG:
        put(op, OPERAND_SEG, fo->arg, size);
        break;
    case PLACE_ST:
        put(op, OPERAND_ST, fo->arg, size);
        break;
    case PLACE_ST_RM:
        put(op, OPERAND_ST, rm & 7, size);
        break;
    }
    return DECODE_OK;
}

/* What the row does not tolerate: LOCK, a VEX.vvvv that names nothing. */
static bool prefixes_valid(const struct cursor *c, const struct insn *in, const struct form *form)
{
    if (in->prefixes & PREFIX_LOCK &&
        !(form->flags & FORM_LOCKABLE && in->has_modrm && in->modrm < 0xc0))
        return false;
    if (form->flags & FORM_GATHER && in->evex) /* V' belongs to the index */
        return (c->vvvv & 15) == 0;
    return c->vvvv == 0 || form->flags & FORM_VVVV;
}

static bool has_broadcast(const struct form *form)
{
    return form->ops[0].broadcast | form->ops[1].broadcast | form->ops[2].broadcast |
           form->ops[3].broadcast;
}

/*
 * What the row lets z, L'L, b and aaa be; the vector's length follows.  False: #UD.
 * [SDM 2A tables 2-41, 2-42 "#UD conditions"]
 */
static bool evex_valid(const struct cursor *c, struct insn *in, const struct form *form)
{
    const bool memory = in->has_modrm && in->modrm < 0xc0;
    const uint8_t place = form->ops[0].place;

    if (in->mask ? !(form->flags & FORM_MASKED) : form->flags & FORM_GATHER)
        return false;
    if (in->evex & EVEX_ZEROING &&
        (!in->mask || place == PLACE_MASK_REG || form->flags & FORM_GATHER ||
         (memory && (place == PLACE_VEC_RM || place == PLACE_M))))
        return false;
    if (in->evex & EVEX_BROADCAST && !memory) {
        if (!(form->flags & FORM_ROUNDING))
            return false;
        in->evex ^= EVEX_BROADCAST | EVEX_ROUNDING;
        in->rounding = c->length;
        in->vex_l = 2;
    } else if (c->length == 3 || (in->evex & EVEX_BROADCAST && !has_broadcast(form))) {
        return false;
    }
    if (form->flags & FORM_SCALAR)
        in->vex_l = 0;
    if (form->flags & FORM_NOT_128 && in->vex_l == 0)
        return false;
    if (form->flags & FORM_LENGTHS && in->vex_l < 2)
        in->evex |= EVEX_SHORT;
    return true;
}

static bool depends_on_length(uint8_t size)
{
    return size == SIZE_X || size == SIZE_HX || size == SIZE_FX || size == SIZE_EX ||
           size == SIZE_DUP;
}

/* The memory operand of an EVEX instruction: its disp8 counts in operands [SDM 2A 2.7.5], and the
 * mask may govern it. */
static void set_evex_memory(const struct cursor *c, struct insn *in, const struct form *form)
{
    unsigned i = 0, size;

    while (i < INSN_OPERANDS - 1 && form->ops[i].place != PLACE_E &&
           form->ops[i].place != PLACE_M && form->ops[i].place != PLACE_VM &&
           form->ops[i].place != PLACE_VEC_RM)
        i++;
    size = memory_size(c, in, &form->ops[i]);
    if (in->modrm >> 6 == 1)
        in->disp *= (int64_t)size;
    if (!in->mask || form->flags & FORM_WHOLE)
        return;
    in->lanes = (uint8_t)(16u << in->vex_l >> form->lane);
    if (in->evex & EVEX_BROADCAST || form->flags & FORM_SCALAR)
        in->lane_bytes = (uint8_t)size;
    else if (depends_on_length(form->ops[i].size_mem))
        in->lane_bytes = (uint8_t)(size / in->lanes);
    else
        in->lane_bytes = (uint8_t)(1u << form->lane);
}

/* ModRM as memory. */
static enum decode_status take_memory(struct cursor *c, struct insn *in, const struct form *form)
{
    const bool gather = form->flags & FORM_GATHER;

    in->has_mem = 1;
    if (gather && (in->addr_size == 2 || (in->modrm & 7) != 4))
        return stop(c, in, DECODE_INVALID);
    if (!(in->addr_size == 2 ? take_address16(c, in) : take_address(c, in, gather)))
        return run_out(c, in);
    if (in->evex) {
        if (gather)
            in->index |= c->vvvv & 16;
        set_evex_memory(c, in, form);
    }
    if (gather && !gather_valid(c, in, form))
        return stop(c, in, DECODE_INVALID);
    return DECODE_OK;
}

/* An assignment of zeros is REP STOS for the compiler, as there are no vector registers, and took a
 * seventh of the time. */
static inline void clear(struct insn *in)
{
    uint64_t *words = (uint64_t *)(void *)in;

    _Static_assert(sizeof(*in) == 8 * sizeof(*words), "all of it");
    words[0] = words[1] = words[2] = words[3] = 0;
    words[4] = words[5] = words[6] = words[7] = 0;
}

enum decode_status decode(const uint8_t *bytes, size_t avail, enum code_size code_size,
                          struct insn *in)
{
    struct cursor c = {
        .start = bytes,
        .p = bytes,
        .end = bytes + (avail < INSN_MAX_LENGTH ? avail : INSN_MAX_LENGTH),
        .avail = avail,
        .seg = NO_SEG,
        .code64 = code_size == CODE64,
    };
    const struct form *form;
    enum decode_status status;
    uint32_t leaf;

    clear(in);
    in->code_size = (uint8_t)code_size;
    in->seg = DS;
    in->base = in->index = NO_REG;
    in->scale = 1;
    if ((status = take_prefixes(&c, in)) != DECODE_OK ||
        (status = take_opcode(&c, in)) != DECODE_OK ||
        (status = find_row(&c, in, &leaf)) != DECODE_OK)
        return status;

    in->row = leaf >> LEAF_ROW_SHIFT & LEAF_ROW_MASK;
    form = &decode_forms[leaf >> LEAF_FORM_SHIFT];
    if (in->prefixes & (PREFIX_LOCK | PREFIX_VEX) &&
        (!prefixes_valid(&c, in, form) || (in->evex && !evex_valid(&c, in, form))))
        return stop(&c, in, DECODE_INVALID);
    set_sizes(&c, in, form);
    if (in->has_modrm && in->modrm < 0xc0 && !(form->flags & FORM_MOD_IGNORED) &&
        (status = take_memory(&c, in, form)) != DECODE_OK)
        return status;
    if (c.seg != NO_SEG)
        in->seg = c.seg;
    if (form->flags & FORM_REP_USED)
        in->prefixes &= (uint8_t) ~(PREFIX_REP | PREFIX_REPNE);

    in->imm_at = (uint8_t)(c.p - c.start);
    c.reg = (uint8_t)((in->modrm >> 3 & 7) | (c.rex & REX_R) << 1);
    c.rm = (uint8_t)((in->modrm & 7) | (c.rex & REX_B) << 3);
    for (unsigned i = 0; i < INSN_OPERANDS && form->ops[i].place != PLACE_NONE; i++)
        if ((status = take_operand(&c, in, &form->ops[i], &in->ops[i])) != DECODE_OK)
            return status;
    return stop(&c, in, DECODE_OK);
}
