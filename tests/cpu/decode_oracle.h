/*
 * tests/cpu/decode_oracle.h -- decode() against capstone: length, validity, mnemonic, operands.
 *
 * oracle_compare() decodes the same bytes with both and returns NULL when they agree.  Otherwise
 * it says where they differ, unless the difference is one of oracle_known[], which names its reason
 * (tests/cpu/decode_known.h).
 */
#ifndef RINGER_TESTS_DECODE_ORACLE_H
#define RINGER_TESTS_DECODE_ORACLE_H

#include <capstone/capstone.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "cpu/insn.h"

/* An operand in common terms. */
struct oracle_operand {
    uint8_t type; /* X86_OP_* */
    uint16_t size;
    unsigned reg; /* x86_reg */
    unsigned seg, base, index, scale;
    int64_t disp;
    uint64_t imm;
};

struct oracle_view {
    bool valid;
    unsigned length;
    const char *mnemonic;
    unsigned count;
    struct oracle_operand ops[8];
};

struct oracle {
    csh handle[3]; /* 16, 32, 64 bits */
    cs_insn *insn;
};

static inline bool oracle_open(struct oracle *o)
{
    static const cs_mode modes[3] = {CS_MODE_16, CS_MODE_32, CS_MODE_64};

    for (unsigned i = 0; i < 3; i++)
        if (cs_open(CS_ARCH_X86, modes[i], &o->handle[i]) != CS_ERR_OK ||
            cs_option(o->handle[i], CS_OPT_DETAIL, CS_OPT_ON) != CS_ERR_OK)
            return false;
    o->insn = cs_malloc(o->handle[0]);
    return o->insn;
}

static inline void oracle_close(struct oracle *o)
{
    cs_free(o->insn, 1);
    for (unsigned i = 0; i < 3; i++)
        cs_close(&o->handle[i]);
}

/* ---- struct insn in common terms ---- */

static inline unsigned oracle_gpr(unsigned reg, unsigned size)
{
    /* clang-format off */
    static const uint16_t names[4][16] = {
        {X86_REG_AL, X86_REG_CL, X86_REG_DL, X86_REG_BL,
         X86_REG_SPL, X86_REG_BPL, X86_REG_SIL, X86_REG_DIL,
         X86_REG_R8B, X86_REG_R9B, X86_REG_R10B, X86_REG_R11B,
         X86_REG_R12B, X86_REG_R13B, X86_REG_R14B, X86_REG_R15B},
        {X86_REG_AX, X86_REG_CX, X86_REG_DX, X86_REG_BX,
         X86_REG_SP, X86_REG_BP, X86_REG_SI, X86_REG_DI,
         X86_REG_R8W, X86_REG_R9W, X86_REG_R10W, X86_REG_R11W,
         X86_REG_R12W, X86_REG_R13W, X86_REG_R14W, X86_REG_R15W},
        {X86_REG_EAX, X86_REG_ECX, X86_REG_EDX, X86_REG_EBX,
         X86_REG_ESP, X86_REG_EBP, X86_REG_ESI, X86_REG_EDI,
         X86_REG_R8D, X86_REG_R9D, X86_REG_R10D, X86_REG_R11D,
         X86_REG_R12D, X86_REG_R13D, X86_REG_R14D, X86_REG_R15D},
        {X86_REG_RAX, X86_REG_RCX, X86_REG_RDX, X86_REG_RBX,
         X86_REG_RSP, X86_REG_RBP, X86_REG_RSI, X86_REG_RDI,
         X86_REG_R8, X86_REG_R9, X86_REG_R10, X86_REG_R11,
         X86_REG_R12, X86_REG_R13, X86_REG_R14, X86_REG_R15},
    };
    /* clang-format on */
    if (reg == NO_REG)
        return X86_REG_INVALID;
    return names[size == 1 ? 0 : size == 2 ? 1 : size == 4 ? 2 : 3][reg];
}

static inline unsigned oracle_segment(unsigned seg)
{
    static const uint16_t names[SEG_COUNT] = {X86_REG_ES, X86_REG_CS, X86_REG_SS,
                                              X86_REG_DS, X86_REG_FS, X86_REG_GS};

    return names[seg];
}

static inline uint64_t oracle_mask(unsigned size)
{
    return size >= 8 ? ~0ull : (1ull << size * 8) - 1;
}

static inline struct oracle_operand oracle_memory(const struct insn *in)
{
    struct oracle_operand out = {.type = X86_OP_MEM};

    out.seg = in->prefixes & PREFIX_SEG ? oracle_segment(in->seg) : X86_REG_INVALID;
    out.base = oracle_gpr(in->base, in->addr_size);
    if (in->rip_relative)
        out.base = in->addr_size == 4 ? X86_REG_EIP : X86_REG_RIP;
    /* a vector index is one of 32 with EVEX */
    out.index =
        in->vsib ? (unsigned)X86_REG_XMM0 + in->index : oracle_gpr(in->index, in->addr_size);
    out.scale = in->scale;
    out.disp = in->disp;
    return out;
}

static inline struct oracle_operand oracle_operand(const struct insn *in, const struct operand *op)
{
    struct oracle_operand out = {.type = X86_OP_REG};

    switch (op->kind) {
    case OPERAND_GPR:
        out.reg = oracle_gpr(op->reg, op->size);
        break;
    case OPERAND_GPR8H: {
        static const uint16_t high[4] = {X86_REG_AH, X86_REG_CH, X86_REG_DH, X86_REG_BH};

        out.reg = high[op->reg];
        break;
    }
    case OPERAND_MEM:
        out = oracle_memory(in);
        break;
    case OPERAND_IMM:
        out = (struct oracle_operand){.type = X86_OP_IMM, .imm = in->imm};
        break;
    case OPERAND_IMM2:
        out = (struct oracle_operand){.type = X86_OP_IMM, .imm = in->imm2};
        break;
    case OPERAND_REL:
        out = (struct oracle_operand){.type = X86_OP_IMM, .imm = in->imm + in->length};
        break;
    case OPERAND_SEG:
        out.reg = oracle_segment(op->reg);
        break;
    case OPERAND_CR:
        out.reg = X86_REG_CR0 + op->reg;
        break;
    case OPERAND_DR:
        out.reg = X86_REG_DR0 + op->reg;
        break;
    case OPERAND_ST:
        out.reg = X86_REG_ST0 + op->reg;
        break;
    case OPERAND_MMX:
        out.reg = X86_REG_MM0 + op->reg;
        break;
    case OPERAND_VEC:
        out.reg = (op->size == 64   ? X86_REG_ZMM0
                   : op->size == 32 ? X86_REG_YMM0
                                    : X86_REG_XMM0) +
                  op->reg;
        break;
    case OPERAND_MASK:
        out.reg = X86_REG_K0 + op->reg;
        break;
    case OPERAND_SRC:
        out = oracle_memory(in);
        out.base = oracle_gpr(RSI, in->addr_size);
        break;
    case OPERAND_DST:
        out = oracle_memory(in);
        out.seg = in->code_size == CODE64 ? X86_REG_INVALID : X86_REG_ES;
        out.base = oracle_gpr(RDI, in->addr_size);
        break;
    default:
        break;
    }
    out.size = op->size;
    return out;
}

static inline void oracle_view_ours(const struct insn *in, enum decode_status status,
                                    struct oracle_view *view)
{
    *view = (struct oracle_view){.valid = status == DECODE_OK, .length = in->length};
    if (!view->valid)
        return;
    view->mnemonic = insn_row(in)->mnemonic;
    for (unsigned i = 0; i < INSN_OPERANDS && in->ops[i].kind != OPERAND_NONE; i++) {
        if (in->ops[i].kind == OPERAND_ST && in->ops[i].reg == 0)
            continue; /* shown or not, as the mnemonic likes it */
        if (in->ops[i].kind == OPERAND_FAR) {
            view->ops[view->count++] =
                (struct oracle_operand){.type = X86_OP_IMM, .size = 2, .imm = in->imm2};
            view->ops[view->count++] = (struct oracle_operand){
                .type = X86_OP_IMM, .size = in->ops[i].size - 2u, .imm = in->imm};
            continue;
        }
        view->ops[view->count++] = oracle_operand(in, &in->ops[i]);
        if (i == 0 && in->mask) /* zmm1 {k2}: an operand of its own */
            view->ops[view->count++] = (struct oracle_operand){
                .type = X86_OP_REG, .size = 8, .reg = X86_REG_K0 + in->mask};
    }
}

/* ---- capstone's answer in common terms ---- */

static inline void oracle_view_capstone(const cs_insn *insn, bool valid, bool code64,
                                        struct oracle_view *view)
{
    *view = (struct oracle_view){.valid = valid};
    if (!valid)
        return;
    view->length = insn->size;
    view->mnemonic = insn->mnemonic;
    for (unsigned i = 0; i < insn->detail->x86.op_count; i++) {
        const cs_x86_op *op = &insn->detail->x86.operands[i];
        struct oracle_operand *out = &view->ops[view->count];

        if (op->type == X86_OP_REG && op->reg == X86_REG_ST0)
            continue;
        out->type = (uint8_t)op->type;
        out->size = op->size;
        if (op->type == X86_OP_REG)
            out->reg = op->reg;
        else if (op->type == X86_OP_IMM)
            out->imm = (uint64_t)op->imm;
        else {
            /* capstone shows the null prefixes of 64-bit mode */
            out->seg = code64 && op->mem.segment != X86_REG_FS && op->mem.segment != X86_REG_GS
                           ? X86_REG_INVALID
                           : op->mem.segment;
            out->base = op->mem.base;
            out->index = op->mem.index;
            out->scale = (unsigned)op->mem.scale;
            out->disp = op->mem.disp;
        }
        view->count++;
    }
}

#include "tests/cpu/decode_known.h"

static inline bool oracle_same_memory(const struct insn *in, const struct oracle_operand *a,
                                      const struct oracle_operand *b)
{
    const unsigned b_index =
        b->index >= X86_REG_YMM0 && b->index <= X86_REG_YMM31
            ? b->index - X86_REG_YMM0 + X86_REG_XMM0
        : b->index >= X86_REG_ZMM0 && b->index <= X86_REG_ZMM31
            ? b->index - X86_REG_ZMM0 + X86_REG_XMM0
            : (b->index == X86_REG_EIZ || b->index == X86_REG_RIZ ? X86_REG_INVALID : b->index);

    return a->seg == b->seg && a->base == b->base && a->index == b_index &&
           (a->index == X86_REG_INVALID || a->scale == b->scale) &&
           !((uint64_t)(a->disp ^ b->disp) & oracle_mask(in->addr_size));
}

/* What differs, or NULL. */
static inline const char *oracle_difference(const struct insn *in, const struct oracle_view *a,
                                            const struct oracle_view *b)
{
    if (a->valid != b->valid)
        return a->valid ? "valid here only" : "valid for capstone only";
    if (!a->valid)
        return NULL;
    if (a->length != b->length)
        return "length";
    if (!oracle_same_mnemonic(a->mnemonic, b->mnemonic))
        return "mnemonic";

    unsigned count = a->count;

    if (count == b->count + 1 && oracle_is_predicate(a->mnemonic, oracle_plain_name(b->mnemonic)))
        count--;
    if (count != b->count)
        return "operand count";
    for (unsigned i = 0; i < count; i++) {
        const struct oracle_operand *x = &a->ops[i], *y = &b->ops[i];

        if (x->type != y->type)
            return "operand type";
        if (x->type == X86_OP_REG && x->reg != y->reg)
            return "register";
        if (x->type == X86_OP_IMM && (x->imm ^ y->imm) & oracle_mask(x->size))
            return "immediate";
        if (x->type == X86_OP_MEM && !oracle_same_memory(in, x, y))
            return "address";
        if (x->type == X86_OP_MEM && x->size != y->size)
            return "memory size";
    }
    return NULL;
}

struct oracle_result {
    const char *difference; /* NULL: they agree */
    const char *known;      /* the reason, if the difference is in the table */
    struct insn in;
    struct oracle_view ours, theirs;
};

/* Decode with both and compare, the table aside. */
static inline void oracle_compare_plain(struct oracle *o, const uint8_t *bytes, size_t avail,
                                        enum code_size code_size, struct oracle_result *r)
{
    const csh handle = o->handle[code_size == CODE16 ? 0 : code_size == CODE32 ? 1 : 2];
    const enum decode_status status = decode(bytes, avail, code_size, &r->in);
    const uint8_t *p = bytes;
    size_t size = avail < INSN_MAX_LENGTH ? avail : INSN_MAX_LENGTH;
    uint64_t address = 0;

    oracle_view_ours(&r->in, status, &r->ours);
    oracle_view_capstone(o->insn, cs_disasm_iter(handle, &p, &size, &address, o->insn),
                         code_size == CODE64, &r->theirs);
    r->difference = oracle_difference(&r->in, &r->ours, &r->theirs);
    r->known = NULL;
    if (r->difference) {
        const struct oracle_case c = {r->difference, &r->in, bytes, o->insn, &r->ours, &r->theirs};

        r->known = oracle_known_reason(&c);
    }
}

/* ---- reductions ---- */

/* The bytes of an instruction, prefixes apart. */
struct oracle_parts {
    bool lock, size, addr; /* F0, 66, 67 present */
    uint8_t rep;           /* the last of F2 and F3, or 0 */
    uint8_t rex;
    size_t opcode_at;
    enum code_size code_size;
};

static inline struct oracle_parts oracle_split(const uint8_t *bytes, size_t avail,
                                               enum code_size code_size)
{
    struct oracle_parts parts = {.code_size = code_size};
    size_t i;

    for (i = 0; i < avail && i < INSN_MAX_LENGTH; i++) {
        const uint8_t b = bytes[i];

        if (code_size == CODE64 && b >> 4 == 4) {
            parts.rex = b;
            continue;
        }
        if (b == 0xf0)
            parts.lock = true;
        else if (b == 0xf2 || b == 0xf3)
            parts.rep = b;
        else if (b == 0x66)
            parts.size = true;
        else if (b == 0x67)
            parts.addr = true;
        else if (b != 0x26 && b != 0x2e && b != 0x36 && b != 0x3e && b != 0x64 && b != 0x65)
            break;
        parts.rex = 0;
    }
    parts.opcode_at = i;
    return parts;
}

static inline size_t oracle_join(const struct oracle_parts *parts, const uint8_t *bytes,
                                 size_t avail, uint8_t *out)
{
    size_t n = 0;

    if (parts->lock)
        out[n++] = 0xf0;
    if (parts->addr)
        out[n++] = 0x67;
    if (parts->size)
        out[n++] = 0x66;
    if (parts->rep)
        out[n++] = parts->rep;
    if (parts->rex)
        out[n++] = parts->rex;
    for (size_t i = parts->opcode_at; i < avail && n < 24; i++)
        out[n++] = bytes[i];
    return n;
}

/* Same row, and the same registers and sizes; memory_too: the same address and immediates. */
static inline bool oracle_same_insn(const struct insn *a, const struct insn *b, bool memory_too)
{
    if (a->row != b->row || memcmp(a->ops, b->ops, sizeof a->ops))
        return false;
    return !memory_too || (a->width == b->width && a->addr_size == b->addr_size &&
                           a->base == b->base && a->index == b->index && a->scale == b->scale &&
                           a->disp == b->disp && a->imm == b->imm && a->imm2 == b->imm2);
}

/* Do both agree on the reduced bytes, and does decode() see the same instruction in them? */
static inline bool oracle_reduced(struct oracle *o, const struct oracle_parts *parts,
                                  const uint8_t *bytes, size_t avail, const struct insn *original,
                                  bool memory_too)
{
    uint8_t reduced[32];
    const size_t n = oracle_join(parts, bytes, avail, reduced);
    struct oracle_result r;

    oracle_compare_plain(o, reduced, n, parts->code_size, &r);
    return (!r.difference || r.known) && r.ours.valid &&
           (!original || oracle_same_insn(original, &r.in, memory_too));
}

/* Valid here: capstone stumbles over prefixes. */
static inline const char *oracle_reduce_prefixes(struct oracle *o, const struct oracle_result *r,
                                                 const uint8_t *bytes, size_t avail,
                                                 enum code_size code_size)
{
    struct oracle_parts parts = oracle_split(bytes, avail, code_size);

    if (r->in.prefixes & (PREFIX_REP | PREFIX_REPNE))
        parts.rep = 0; /* not part of the opcode */
    if (oracle_reduced(o, &parts, bytes, avail, &r->in, true))
        return "capstone loses 66, F2 or F3 beside other prefixes; agrees without them";
    if (insn_row(&r->in)->map == M0)
        return NULL;
    parts.addr = false;
    if (code_size == CODE16) {
        parts.code_size = CODE32;
        if (oracle_reduced(o, &parts, bytes, avail, &r->in, false))
            return "capstone loses mandatory prefixes in 16-bit code; agrees in 32-bit code";
        parts.size = !parts.size;
    }
    if (oracle_reduced(o, &parts, bytes, avail, &r->in, false))
        return "capstone loses mandatory prefixes beside 67; agrees without 67";
    if (parts.rep) {
        parts.size = false;
        if (oracle_reduced(o, &parts, bytes, avail, &r->in, false))
            return "capstone prefers 66 to F2 and F3; agrees without 66";
    }
    parts.rex &= (uint8_t)~8;
    return oracle_reduced(o, &parts, bytes, avail, &r->in, false)
               ? "capstone loses mandatory prefixes beside REX.W; agrees without it"
               : NULL;
}

/* Invalid here: what makes it so? */
static inline const char *oracle_reduce_invalid(struct oracle *o, const struct oracle_result *r,
                                                const uint8_t *bytes, size_t avail,
                                                enum code_size code_size)
{
    struct oracle_parts parts = oracle_split(bytes, avail, code_size);
    const bool vex = (bytes[parts.opcode_at] & 0xfe) == 0xc4 &&
                     (code_size == CODE64 || bytes[parts.opcode_at + 1] >= 0xc0);

    (void)r;
    if (parts.lock) {
        parts.lock = false;
        if (oracle_reduced(o, &parts, bytes, avail, NULL, false))
            return "LOCK on what cannot be locked: #UD, which capstone does not check";
    }
    if (vex) {
        const unsigned last = bytes[parts.opcode_at] == 0xc5 ? 1 : 2;

        if (parts.size || parts.rep || parts.lock || parts.rex)
            return "66, F2, F3, LOCK or REX before VEX: #UD [SDM 2A 2.3.2]";
        for (unsigned field = 0; field < 16; field++) { /* L, W, vvvv = 1111b or not */
            uint8_t other[32];
            const size_t size = avail < sizeof other ? avail : sizeof other;

            memcpy(other, bytes, size);
            other[parts.opcode_at + last] ^= (uint8_t)((field & 1) << 2 | (field & 2) << 6);
            if (field & 4)
                other[parts.opcode_at + last] |= 0x78;
            if (field & 8)
                other[parts.opcode_at + last] ^= 0x38;
            if (field && oracle_reduced(o, &parts, other, size, NULL, false))
                return "VEX.L, VEX.W or VEX.vvvv reserved for the form (gathers: equal "
                       "registers): #UD, which capstone does not check";
        }
        return NULL;
    }
    if (parts.addr && parts.rex & 8) { /* both must find it invalid without 67 */
        struct oracle_result without;
        uint8_t reduced[32];

        parts.addr = false;
        oracle_compare_plain(o, reduced, oracle_join(&parts, bytes, avail, reduced), code_size,
                             &without);
        if (!without.difference)
            return "capstone takes 67 for 66 beside REX.W";
    }
    if (parts.rep || parts.size) {
        const struct oracle_parts all = parts;

        for (unsigned keep = 0; keep < 3; keep++) {
            parts.rep = keep == 1 ? all.rep : 0;
            parts.size = keep == 2 ? all.size : false;
            if (oracle_reduced(o, &parts, bytes, avail, NULL, false))
                return "66, F2 or F3 where the manual has no such form: #UD";
        }
    }
    return NULL;
}

static inline void oracle_compare(struct oracle *o, const uint8_t *bytes, size_t avail,
                                  enum code_size code_size, struct oracle_result *r)
{
    oracle_compare_plain(o, bytes, avail, code_size, r);
    if (!r->difference || r->known)
        return;
    r->known = r->ours.valid ? oracle_reduce_prefixes(o, r, bytes, avail, code_size)
                             : oracle_reduce_invalid(o, r, bytes, avail, code_size);
}

#endif
