/*
 * cpu/decode_gen.c -- makes the decoder's tables from cpu/insn.def; a program of the build.
 *
 * Prints decode_tables.inc (layout: cpu/decode_form.h): decision trees, operand forms, sizes.
 * It also checks the table: two rows that want the same bytes, or rows of one opcode that
 * disagree about ModRM, end the build with a message.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/decode_form.h"
#include "cpu/insn.h"

/* ---- operand codes ---- */

enum mod_rule { MOD_ANY, MOD_MEM, MOD_REG };

struct code {
    uint8_t place, size, arg, size_mem, mod, broadcast;
};

/* clang-format off */
#define CODE(name, ...) static const struct code OC_##name = {__VA_ARGS__, SIZE_0}
#define CODE_OR_ELEMENT(name, ...) static const struct code OC_##name = {__VA_ARGS__}

CODE(__,   PLACE_NONE, SIZE_0, 0, SIZE_0, MOD_ANY);

CODE(Eb,   PLACE_E, SIZE_B, 0, SIZE_B, MOD_ANY);
CODE(Ew,   PLACE_E, SIZE_W, 0, SIZE_W, MOD_ANY);
CODE(Ed,   PLACE_E, SIZE_D, 0, SIZE_D, MOD_ANY);
CODE(Ev,   PLACE_E, SIZE_V, 0, SIZE_V, MOD_ANY);
CODE(Ez,   PLACE_E, SIZE_Z, 0, SIZE_Z, MOD_ANY);
CODE(Ey,   PLACE_E, SIZE_Y, 0, SIZE_Y, MOD_ANY);
CODE(RvMw, PLACE_E, SIZE_V, 0, SIZE_W, MOD_ANY);
CODE(RdMw, PLACE_E, SIZE_D, 0, SIZE_W, MOD_ANY);
CODE(RdMb, PLACE_E, SIZE_D, 0, SIZE_B, MOD_ANY);
CODE(Rm,   PLACE_R, SIZE_M, 0, SIZE_0, MOD_ANY);
CODE(Rv,   PLACE_R, SIZE_V, 0, SIZE_0, MOD_REG);
CODE(Ry,   PLACE_R, SIZE_Y, 0, SIZE_0, MOD_REG);

CODE(M,    PLACE_M, SIZE_0,    0, SIZE_0,    MOD_MEM);
CODE(Mb,   PLACE_M, SIZE_B,    0, SIZE_B,    MOD_MEM);
CODE(Mw,   PLACE_M, SIZE_W,    0, SIZE_W,    MOD_MEM);
CODE(Md,   PLACE_M, SIZE_D,    0, SIZE_D,    MOD_MEM);
CODE(Mq,   PLACE_M, SIZE_Q,    0, SIZE_Q,    MOD_MEM);
CODE(Mt,   PLACE_M, SIZE_T,    0, SIZE_T,    MOD_MEM);
CODE(Mdq,  PLACE_M, SIZE_DQ,   0, SIZE_DQ,   MOD_MEM);
CODE(Mqq,  PLACE_M, SIZE_QQ,   0, SIZE_QQ,   MOD_MEM);
CODE(Mx,   PLACE_M, SIZE_X,    0, SIZE_X,    MOD_MEM);
CODE(Mv,   PLACE_M, SIZE_V,    0, SIZE_V,    MOD_MEM);
CODE(My,   PLACE_M, SIZE_Y,    0, SIZE_Y,    MOD_MEM);
CODE(Mp,   PLACE_M, SIZE_P,    0, SIZE_P,    MOD_MEM);
CODE(Ma,   PLACE_M, SIZE_A,    0, SIZE_A,    MOD_MEM);
CODE(Ms,   PLACE_M, SIZE_S,    0, SIZE_S,    MOD_MEM);
CODE(Menv, PLACE_M, SIZE_ENV,  0, SIZE_ENV,  MOD_MEM);
CODE(Msave, PLACE_M, SIZE_SAVE, 0, SIZE_SAVE, MOD_MEM);
CODE(M512, PLACE_M, SIZE_512,  0, SIZE_512,  MOD_MEM);
CODE(VMdd, PLACE_VM, SIZE_D, 4, SIZE_D, MOD_MEM);
CODE(VMdq, PLACE_VM, SIZE_Q, 4, SIZE_Q, MOD_MEM);
CODE(VMqd, PLACE_VM, SIZE_D, 8, SIZE_D, MOD_MEM);
CODE(VMqq, PLACE_VM, SIZE_Q, 8, SIZE_Q, MOD_MEM);

CODE(Gb,   PLACE_G, SIZE_B, 0, SIZE_0, MOD_ANY);
CODE(Gw,   PLACE_G, SIZE_W, 0, SIZE_0, MOD_ANY);
CODE(Gd,   PLACE_G, SIZE_D, 0, SIZE_0, MOD_ANY);
CODE(Gv,   PLACE_G, SIZE_V, 0, SIZE_0, MOD_ANY);
CODE(Gy,   PLACE_G, SIZE_Y, 0, SIZE_0, MOD_ANY);
CODE(Gm,   PLACE_G, SIZE_M, 0, SIZE_0, MOD_ANY);
CODE(Zb,   PLACE_Z, SIZE_B, 0, SIZE_0, MOD_ANY);
CODE(Zv,   PLACE_Z, SIZE_V, 0, SIZE_0, MOD_ANY);
CODE(By,   PLACE_B, SIZE_Y, 0, SIZE_0, MOD_ANY);

CODE(Pq,   PLACE_MMX_REG, SIZE_Q, 0, SIZE_0, MOD_ANY);
CODE(Qd,   PLACE_MMX_RM,  SIZE_Q, 0, SIZE_D, MOD_ANY);
CODE(Qq,   PLACE_MMX_RM,  SIZE_Q, 0, SIZE_Q, MOD_ANY);
CODE(Nq,   PLACE_MMX_RM,  SIZE_Q, 0, SIZE_0, MOD_REG);

CODE(Vd,   PLACE_VEC_REG, SIZE_D,  0, SIZE_0, MOD_ANY);
CODE(Vq,   PLACE_VEC_REG, SIZE_Q,  0, SIZE_0, MOD_ANY);
CODE(Vdq,  PLACE_VEC_REG, SIZE_DQ, 0, SIZE_0, MOD_ANY);
CODE(Vqq,  PLACE_VEC_REG, SIZE_QQ, 0, SIZE_0, MOD_ANY);
CODE(Vx,   PLACE_VEC_REG, SIZE_X,  0, SIZE_0, MOD_ANY);
CODE(Vhx,  PLACE_VEC_REG, SIZE_HX, 0, SIZE_0, MOD_ANY);
CODE(Wb,   PLACE_VEC_RM, SIZE_B,   0, SIZE_B,   MOD_ANY);
CODE(Ww,   PLACE_VEC_RM, SIZE_W,   0, SIZE_W,   MOD_ANY);
CODE(Wd,   PLACE_VEC_RM, SIZE_D,   0, SIZE_D,   MOD_ANY);
CODE(Wq,   PLACE_VEC_RM, SIZE_Q,   0, SIZE_Q,   MOD_ANY);
CODE(Wdq,  PLACE_VEC_RM, SIZE_DQ,  0, SIZE_DQ,  MOD_ANY);
CODE(Wqq,  PLACE_VEC_RM, SIZE_QQ,  0, SIZE_QQ,  MOD_ANY);
CODE(Wx,   PLACE_VEC_RM, SIZE_X,   0, SIZE_X,   MOD_ANY);
CODE(Whx,  PLACE_VEC_RM, SIZE_HX,  0, SIZE_HX,  MOD_ANY);
CODE(Wfx,  PLACE_VEC_RM, SIZE_FX,  0, SIZE_FX,  MOD_ANY);
CODE(Wex,  PLACE_VEC_RM, SIZE_EX,  0, SIZE_EX,  MOD_ANY);
CODE(Wdup, PLACE_VEC_RM, SIZE_DUP, 0, SIZE_DUP, MOD_ANY);
CODE_OR_ELEMENT(Wx1d, PLACE_VEC_RM, SIZE_X,   0, SIZE_X,   MOD_ANY, SIZE_D);
CODE_OR_ELEMENT(Wx1q, PLACE_VEC_RM, SIZE_X,   0, SIZE_X,   MOD_ANY, SIZE_Q);
CODE_OR_ELEMENT(Whx1d, PLACE_VEC_RM, SIZE_HX, 0, SIZE_HX,  MOD_ANY, SIZE_D);
CODE(Ud,   PLACE_VEC_RM, SIZE_D,   0, SIZE_0,   MOD_REG);
CODE(Uq,   PLACE_VEC_RM, SIZE_Q,   0, SIZE_0,   MOD_REG);
CODE(Udq,  PLACE_VEC_RM, SIZE_DQ,  0, SIZE_0,   MOD_REG);
CODE(Ux,   PLACE_VEC_RM, SIZE_X,   0, SIZE_0,   MOD_REG);
CODE(Hdq,  PLACE_VEC_VVVV, SIZE_DQ, 0, SIZE_0, MOD_ANY);
CODE(Hqq,  PLACE_VEC_VVVV, SIZE_QQ, 0, SIZE_0, MOD_ANY);
CODE(Hx,   PLACE_VEC_VVVV, SIZE_X,  0, SIZE_0, MOD_ANY);
CODE(Lx,   PLACE_VEC_IS4,  SIZE_X,  0, SIZE_0, MOD_ANY);

CODE(Kr,   PLACE_MASK_REG,  SIZE_Q, 0, SIZE_0, MOD_ANY);
CODE(Kv,   PLACE_MASK_VVVV, SIZE_Q, 0, SIZE_0, MOD_ANY);
CODE(Ku,   PLACE_MASK_RM,   SIZE_Q, 0, SIZE_0, MOD_REG);
CODE(Kb,   PLACE_MASK_RM,   SIZE_Q, 0, SIZE_B, MOD_ANY);
CODE(Kw,   PLACE_MASK_RM,   SIZE_Q, 0, SIZE_W, MOD_ANY);
CODE(Kd,   PLACE_MASK_RM,   SIZE_Q, 0, SIZE_D, MOD_ANY);
CODE(Kq,   PLACE_MASK_RM,   SIZE_Q, 0, SIZE_Q, MOD_ANY);

CODE(Sw,   PLACE_SEG_REG, SIZE_W, 0, SIZE_0, MOD_ANY);
CODE(Cd,   PLACE_CR_REG,  SIZE_M, 0, SIZE_0, MOD_ANY);
CODE(Dd,   PLACE_DR_REG,  SIZE_M, 0, SIZE_0, MOD_ANY);

CODE(Ib,   PLACE_IMM, SIZE_B, 0, SIZE_0, MOD_ANY);
CODE(Iw,   PLACE_IMM, SIZE_W, 0, SIZE_0, MOD_ANY);
CODE(Iv,   PLACE_IMM, SIZE_V, 0, SIZE_0, MOD_ANY);
CODE(sIb,  PLACE_IMM_SIGNED, SIZE_V, SIZE_B, SIZE_0, MOD_ANY);
CODE(Iz,   PLACE_IMM_SIGNED, SIZE_V, SIZE_Z, SIZE_0, MOD_ANY);
CODE(Ib2,  PLACE_IMM2, SIZE_B, 0, SIZE_0, MOD_ANY);
CODE(one,  PLACE_ONE,  SIZE_B, 0, SIZE_0, MOD_ANY);
CODE(Jb,   PLACE_REL,  SIZE_V, SIZE_B, SIZE_0, MOD_ANY);
CODE(Jz,   PLACE_REL,  SIZE_V, SIZE_Z, SIZE_0, MOD_ANY);
CODE(Ap,   PLACE_FAR,  SIZE_P, 0, SIZE_0, MOD_ANY);
CODE(Ob,   PLACE_OFFSET, SIZE_B, 0, SIZE_0, MOD_ANY);
CODE(Ov,   PLACE_OFFSET, SIZE_V, 0, SIZE_0, MOD_ANY);
CODE(Xb,   PLACE_SRC, SIZE_B, 0, SIZE_0, MOD_ANY);
CODE(Xv,   PLACE_SRC, SIZE_V, 0, SIZE_0, MOD_ANY);
CODE(Xz,   PLACE_SRC, SIZE_Z, 0, SIZE_0, MOD_ANY);
CODE(Yb,   PLACE_DST, SIZE_B, 0, SIZE_0, MOD_ANY);
CODE(Yv,   PLACE_DST, SIZE_V, 0, SIZE_0, MOD_ANY);
CODE(Yz,   PLACE_DST, SIZE_Z, 0, SIZE_0, MOD_ANY);

CODE(AL,   PLACE_GPR, SIZE_B, RAX, SIZE_0, MOD_ANY);
CODE(AX,   PLACE_GPR, SIZE_W, RAX, SIZE_0, MOD_ANY);
CODE(rAX,  PLACE_GPR, SIZE_V, RAX, SIZE_0, MOD_ANY);
CODE(eAX,  PLACE_GPR, SIZE_Z, RAX, SIZE_0, MOD_ANY);
CODE(CL,   PLACE_GPR, SIZE_B, RCX, SIZE_0, MOD_ANY);
CODE(DX,   PLACE_GPR, SIZE_W, RDX, SIZE_0, MOD_ANY);
CODE(ES,   PLACE_SEG, SIZE_W, ES, SIZE_0, MOD_ANY);
CODE(CS,   PLACE_SEG, SIZE_W, CS, SIZE_0, MOD_ANY);
CODE(SS,   PLACE_SEG, SIZE_W, SS, SIZE_0, MOD_ANY);
CODE(DS,   PLACE_SEG, SIZE_W, DS, SIZE_0, MOD_ANY);
CODE(FS,   PLACE_SEG, SIZE_W, FS, SIZE_0, MOD_ANY);
CODE(GS,   PLACE_SEG, SIZE_W, GS, SIZE_0, MOD_ANY);
CODE(ST0,  PLACE_ST, SIZE_T, 0, SIZE_0, MOD_ANY);
CODE(STi,  PLACE_ST_RM, SIZE_T, 0, SIZE_0, MOD_ANY);
/* clang-format on */

/* ---- the ext column: the value of a constraint, and which dimension it constrains ---- */

enum dim { DIM_M64, DIM_PP, DIM_MOD3, DIM_REG, DIM_RM, DIM_W, DIM_L, DIM_B, DIM_COUNT };

static const struct {
    unsigned shift, values;
} dims[DIM_COUNT] = {
    [DIM_M64] = {SEL_M64, 2}, [DIM_PP] = {SEL_PP, 4}, [DIM_MOD3] = {SEL_MOD3, 2},
    [DIM_REG] = {SEL_REG, 8}, [DIM_RM] = {SEL_RM, 8}, [DIM_W] = {SEL_W, 2},
    [DIM_L] = {SEL_L, 4},     [DIM_B] = {SEL_B, 2},
};

/* Bits 0..7: which dimensions; then 4 bits for each one's value; from bit 40 what an EVEX prefix
 * may say, which selects nothing. */
#define WANT(dim, value) (1ull << (dim) | (uint64_t)(value) << (8 + 4 * (dim)))
#define __               0
#define R(n)             WANT(DIM_REG, n)
#define MEMONLY          WANT(DIM_MOD3, 0)
#define REGONLY          WANT(DIM_MOD3, 1)
#define MEM(n)           (MEMONLY | R(n))
#define REG(n)           (REGONLY | R(n))
#define BYTE(b)          (REG((b) >> 3 & 7) | WANT(DIM_RM, (b)&7))
#define WX0              WANT(DIM_W, 0)
#define WX1              WANT(DIM_W, 1)
#define REXB0            WANT(DIM_B, 0)
#define L2               WANT(DIM_L, 2)
#define KB               (1ull << 40)
#define KW               (3ull << 40)
#define KD               (5ull << 40)
#define KQ               (7ull << 40)
#define KS               (9ull << 40)
#define NF               (1ull << 44)
#define RC               (1ull << 45)
#define SAE              RC
#define LIG              (1ull << 46)
#define L12              (1ull << 47)
#define MASKED(ext)      ((ext) >> 40 & 1)
#define LANE_LOG2(ext)   ((ext) >> 41 & 7) /* KS: 4, the whole of an XMM register */

static const struct row {
    uint8_t map, opcode, pp;
    uint64_t ext;
    const char *mnemonic;
    const struct code *ops[INSN_OPERANDS];
    uint32_t traits;
} rows[] = {
#define INSN(map, op, pp, ext, mnem, op0, op1, op2, op3, reads, writes, traits, feature, run, \
             rewrite)                                                                         \
    {map, op, pp, ext, #mnem, {&OC_##op0, &OC_##op1, &OC_##op2, &OC_##op3}, (traits)},
#include "cpu/insn.def"
#undef INSN
};

enum { ROW_COUNT = sizeof rows / sizeof rows[0], NODE_MAX = 1 << 16, FORM_MAX = 1 << 12 };

/* want[row]: dimensions constrained; value[row][dim]. */
static uint8_t want[ROW_COUNT], value[ROW_COUNT][DIM_COUNT];
static uint16_t form_of[ROW_COUNT];
static struct form forms[FORM_MAX];
static unsigned form_count, node_count;
static uint32_t nodes[NODE_MAX];

static void fail(const struct row *row, const char *message)
{
    fprintf(stderr, "cpu/insn.def: map %u opcode %02x %s: %s\n", row->map, row->opcode,
            row->mnemonic, message);
    exit(1);
}

static void constrain(unsigned row, enum dim dim, unsigned v)
{
    if (want[row] & 1u << dim && value[row][dim] != v)
        fail(&rows[row], "contradicting constraints");
    want[row] |= (uint8_t)(1u << dim);
    value[row][dim] = (uint8_t)v;
}

static bool uses_place(const struct row *row, uint8_t place)
{
    for (unsigned i = 0; i < INSN_OPERANDS; i++)
        if (row->ops[i]->place == place)
            return true;
    return false;
}

static bool has_modrm(unsigned row)
{
    static const uint8_t places[] = {
        PLACE_E,       PLACE_R,      PLACE_M,       PLACE_VM,       PLACE_G,
        PLACE_MMX_REG, PLACE_MMX_RM, PLACE_VEC_REG, PLACE_VEC_RM,   PLACE_SEG_REG,
        PLACE_CR_REG,  PLACE_DR_REG, PLACE_ST_RM,   PLACE_MASK_REG, PLACE_MASK_RM,
    };

    if (want[row] & (1u << DIM_REG | 1u << DIM_RM | 1u << DIM_MOD3))
        return true;
    for (unsigned i = 0; i < sizeof places; i++)
        if (uses_place(&rows[row], places[i]))
            return true;
    return false;
}

static void gather_constraints(unsigned r)
{
    const struct row *row = &rows[r];

    for (unsigned d = 0; d < DIM_COUNT; d++)
        if (row->ext & 1ull << d)
            constrain(r, d, row->ext >> (8 + 4 * d) & 15);
    for (unsigned i = 0; i < INSN_OPERANDS; i++)
        if (row->ops[i]->mod != MOD_ANY)
            constrain(r, DIM_MOD3, row->ops[i]->mod == MOD_REG);
    if (row->pp != PANY)
        constrain(r, DIM_PP, row->pp - PNP);
    if (row->traits & (NO64 | ONLY64))
        constrain(r, DIM_M64, row->traits & ONLY64 ? 1 : 0);
    if (row->traits & (VEX_L0 | VEX_L1))
        constrain(r, DIM_L, row->traits & VEX_L1 ? 1 : 0);
}

/* ---- forms ---- */

/* The width of a row is 1 if its first sized operand is a byte. */
static bool is_byte_form(const struct row *row)
{
    for (unsigned i = 0; i < INSN_OPERANDS; i++) {
        const struct code *op = row->ops[i];

        if (op == &OC_DX || op->place == PLACE_IMM || op->place == PLACE_IMM2 ||
            op->place == PLACE_NONE)
            continue;
        return op->size == SIZE_B && op->place != PLACE_REL;
    }
    return false;
}

/* The operand size is 4 or 8 by W alone. */
static bool is_y_form(const struct row *row)
{
    bool y = false;

    for (unsigned i = 0; i < INSN_OPERANDS; i++) {
        if (row->ops[i]->size == SIZE_V)
            return false;
        y |= row->ops[i]->size == SIZE_Y;
    }
    return y;
}

static uint16_t evex_flags(const struct row *row)
{
    unsigned flags = 0;

    if (MASKED(row->ext))
        flags |= FORM_MASKED;
    if (row->ext & NF)
        flags |= FORM_WHOLE;
    if (row->ext & RC)
        flags |= FORM_ROUNDING;
    if (row->ext & LIG)
        flags |= FORM_SCALAR;
    if (row->ext & L12)
        flags |= FORM_NOT_128;
    if (!(row->ext & LIG) && !(row->traits & VEX_L0))
        flags |= FORM_LENGTHS;
    return (uint16_t)flags;
}

static void make_form(unsigned r)
{
    const struct row *row = &rows[r];
    struct form form = {.flags = 0};

    for (unsigned i = 0; i < INSN_OPERANDS; i++) {
        const struct code *op = row->ops[i];

        form.ops[i] =
            (struct form_operand){op->place, op->size, op->arg, op->size_mem, op->broadcast};
        if (op == &OC_Rm && !(want[r] & 1u << DIM_MOD3))
            form.flags |= FORM_MOD_IGNORED;
        if (op->place == PLACE_VM)
            form.flags |= FORM_GATHER;
        if (op->place == PLACE_VEC_VVVV || op->place == PLACE_B || op->place == PLACE_MASK_VVVV)
            form.flags |= FORM_VVVV;
        if (op->place == PLACE_MASK_REG)
            form.flags |= FORM_MASK_EXTENDS;
    }
    if (row->traits & LOCKABLE)
        form.flags |= FORM_LOCKABLE;
    if (row->traits & D64)
        form.flags |= FORM_D64;
    if (row->traits & F64)
        form.flags |= FORM_F64;
    if (row->pp == PF3 || row->pp == PF2)
        form.flags |= FORM_REP_USED;
    if (row->map >= E1)
        form.flags |= evex_flags(row);
    if (MASKED(row->ext))
        form.lane = LANE_LOG2(row->ext);
    if (is_byte_form(row))
        form.flags |= FORM_BYTE;
    else if (is_y_form(row))
        form.flags |= FORM_Y;

    for (form_of[r] = 0; form_of[r] < form_count; form_of[r]++)
        if (memcmp(&forms[form_of[r]], &form, sizeof form) == 0)
            return;
    if (form_count == FORM_MAX)
        fail(row, "too many forms");
    forms[form_count++] = form;
}

/* ---- trees ---- */

/* The tree's entry for the candidate rows, of which the dimensions in `fixed` are decided. */
static uint32_t build(const unsigned *cand, unsigned count, unsigned fixed)
{
    unsigned best = 0, ties = 0;
    unsigned d;

    if (count == 0)
        return KIND_INVALID;
    for (d = 0; d < DIM_COUNT; d++) {
        bool constrained = false;

        for (unsigned i = 0; i < count; i++)
            constrained |= (want[cand[i]] & ~fixed) >> d & 1;
        if (constrained)
            break;
    }
    if (d == DIM_COUNT) { /* every one of them matches: the narrowest wins */
        for (unsigned i = 1; i < count; i++) {
            const int diff =
                __builtin_popcount(want[cand[i]]) - __builtin_popcount(want[cand[best]]);

            ties = diff > 0 ? 0 : ties + (diff == 0);
            best = diff > 0 ? i : best;
        }
        if (ties)
            fail(&rows[cand[best]], "another row has the same encoding");
        return KIND_LEAF | cand[best] << LEAF_ROW_SHIFT |
               (uint32_t)form_of[cand[best]] << LEAF_FORM_SHIFT;
    }

    uint32_t children[8] = {0};
    bool same = true;
    const unsigned values = dims[d].values;

    for (unsigned v = 0; v < values; v++) {
        unsigned sub[ROW_COUNT], n = 0;

        for (unsigned i = 0; i < count; i++)
            if (!(want[cand[i]] >> d & 1) || value[cand[i]][d] == v)
                sub[n++] = cand[i];
        children[v] = build(sub, n, fixed | 1u << d);
        same &= children[v] == children[0];
    }
    if (same)
        return children[0];

    unsigned base = 0;

    while (base + values <= node_count && memcmp(&nodes[base], children, values * sizeof *children))
        base++;
    if (base + values > node_count) {
        base = node_count;
        if (base + values > NODE_MAX)
            fail(&rows[cand[0]], "too many nodes");
        memcpy(&nodes[base], children, values * sizeof *children);
        node_count += values;
    }
    return KIND_BRANCH | dims[d].shift << BRANCH_SHIFT_SHIFT | (values - 1) << BRANCH_MASK_SHIFT |
           base << BRANCH_BASE_SHIFT;
}

static uint32_t build_root(unsigned map, unsigned opcode)
{
    unsigned cand[ROW_COUNT], count = 0;
    uint32_t entry;

    for (unsigned r = 0; r < ROW_COUNT; r++) {
        const bool eight = uses_place(&rows[r], PLACE_Z);

        if (rows[r].map == map &&
            (eight ? rows[r].opcode >> 3 == opcode >> 3 : rows[r].opcode == opcode))
            cand[count++] = r;
    }
    if (count == 0)
        return KIND_INVALID;
    for (unsigned i = 1; i < count; i++)
        if (has_modrm(cand[i]) != has_modrm(cand[0]))
            fail(&rows[cand[i]], "rows of one opcode disagree about ModRM");
    entry = build(cand, count, 0);
    return entry | (has_modrm(cand[0]) ? ENTRY_MODRM : 0);
}

/* ---- sizes ---- */

static unsigned size_of(enum size_rule rule, unsigned context)
{
    const unsigned v = 2u << (context & CONTEXT_OPSIZE_MASK);
    const unsigned x = 16u << (context >> CONTEXT_L_SHIFT & 3);
    const bool code64 = context & CONTEXT_CODE64;

    switch (rule) {
    case SIZE_0:
    case SIZE_RULE_COUNT:
        return 0;
    case SIZE_B:
        return 1;
    case SIZE_W:
        return 2;
    case SIZE_D:
        return 4;
    case SIZE_Q:
        return 8;
    case SIZE_T:
        return 10;
    case SIZE_DQ:
        return 16;
    case SIZE_QQ:
        return 32;
    case SIZE_V:
        return v;
    case SIZE_Z:
        return v == 2 ? 2 : 4;
    case SIZE_Y:
        return code64 && context & CONTEXT_W ? 8 : 4;
    case SIZE_X:
        return x;
    case SIZE_HX:
        return x / 2;
    case SIZE_FX:
        return x / 4;
    case SIZE_EX:
        return x / 8;
    case SIZE_DUP:
        return x == 16 ? 8 : x;
    case SIZE_P:
        return 2 + v;
    case SIZE_A:
        return 2 * v;
    case SIZE_S:
        return code64 ? 10 : 6;
    case SIZE_M:
        return code64 ? 8 : 4;
    case SIZE_ENV:
        return v == 2 ? 14 : 28;
    case SIZE_SAVE:
        return v == 2 ? 94 : 108;
    case SIZE_512:
        return 512;
    }
    return 0;
}

/* ---- output ---- */

static void print_forms(void)
{
    printf("static const struct form decode_forms[] = {\n");
    for (unsigned f = 0; f < form_count; f++) {
        printf("    {{");
        for (unsigned i = 0; i < INSN_OPERANDS; i++) {
            const struct form_operand *op = &forms[f].ops[i];

            printf("{%u, %u, %u, %u, %u}, ", op->place, op->size, op->arg, op->size_mem,
                   op->broadcast);
        }
        printf("}, %u, %u},\n", forms[f].flags, forms[f].lane);
    }
    printf("};\n");
}

static void print_sizes(void)
{
    printf("static const uint16_t decode_sizes[SIZE_RULE_COUNT][CONTEXT_COUNT] = {\n");
    for (unsigned rule = 0; rule < SIZE_RULE_COUNT; rule++) {
        printf("    {");
        for (unsigned context = 0; context < CONTEXT_COUNT; context++)
            printf("%u, ", size_of(rule, context));
        printf("},\n");
    }
    printf("};\n");
}

int main(void)
{
    static uint32_t roots[INSN_MAP_COUNT][256];

    for (unsigned r = 0; r < ROW_COUNT; r++) {
        gather_constraints(r);
        make_form(r);
    }
    for (unsigned map = 0; map < INSN_MAP_COUNT; map++)
        for (unsigned opcode = 0; opcode < 256; opcode++)
            roots[map][opcode] = build_root(map, opcode);

    printf("/* Made from cpu/insn.def by cpu/decode_gen.c. */\n");
    print_forms();
    print_sizes();
    printf("static const uint32_t decode_roots[%d][256] = {\n", INSN_MAP_COUNT);
    for (unsigned map = 0; map < INSN_MAP_COUNT; map++) {
        printf("    {");
        for (unsigned opcode = 0; opcode < 256; opcode++)
            printf("%s0x%x,", opcode % 8 ? " " : "\n     ", roots[map][opcode]);
        printf("\n    },\n");
    }
    printf("};\nstatic const uint32_t decode_nodes[] = {");
    for (unsigned i = 0; i < node_count; i++)
        printf("%s0x%x,", i % 8 ? " " : "\n    ", nodes[i]);
    printf("\n};\n");
    return fflush(stdout) || ferror(stdout);
}
