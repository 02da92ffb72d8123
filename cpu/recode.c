/*
 * cpu/recode.c -- see cpu/recode.h.
 *
 * The table says which field of the encoding each operand comes from (the operand code's first
 * letter, [SDM 2D A.2.1]); the rest of the work is to rebuild, in the order the host wants them:
 *
 *   F0  66  F2/F3  seg  67  REX  opcode map  opcode  ModRM  SIB  disp  imm
 *   F0         -   -    seg  67  VEX ------  opcode  ModRM  SIB  disp  imm
 *              -   -    seg  67  EVEX -----  opcode  ModRM  SIB  disp  imm
 *
 * Invariant: the host encoding decodes, in 64-bit mode, to the same row with the same operand
 * sizes (INC/DEC, MOV with a direct offset and accumulator forms: to the general row of the same
 * operation).  tests/cpu/test_recode.c checks it for every row.
 */
#include "cpu/recode.h"

/* Where an operand is encoded. */
enum field {
    FIELD_NONE,
    FIELD_REG,    /* ModRM.reg */
    FIELD_RM,     /* ModRM.rm and mod */
    FIELD_VVVV,   /* VEX.vvvv */
    FIELD_OPCODE, /* low three bits of the opcode */
    FIELD_IMM,    /* immediate: copied */
    FIELD_IS4,    /* register in the immediate's high half */
    FIELD_MOFFS,  /* direct offset, no ModRM */
    FIELD_FIXED,  /* implied by the opcode */
    FIELD_REFUSE, /* control registers, far pointers, string operands, vector indices, ... */
    FIELD_MASK = 15,
    FIELD_V = 16, /* size by operand-size prefix */
    FIELD_Y = 32, /* 4 bytes, or 8 with REX.W in 64-bit mode: W means nothing elsewhere */
};

/* clang-format off */
/* Every operand code of cpu/insn.def. */
enum {
    CODE___ = FIELD_NONE,
    CODE_Gb = FIELD_REG, CODE_Gd = FIELD_REG, CODE_Gw = FIELD_REG, CODE_Pq = FIELD_REG,
    CODE_Vd = FIELD_REG, CODE_Vdq = FIELD_REG, CODE_Vq = FIELD_REG, CODE_Vqq = FIELD_REG,
    CODE_Vx = FIELD_REG, CODE_Vhx = FIELD_REG, CODE_Kr = FIELD_REG,
    CODE_Gv = FIELD_REG | FIELD_V,
    CODE_Gy = FIELD_REG | FIELD_Y,
    CODE_Eb = FIELD_RM, CODE_Ed = FIELD_RM, CODE_Ew = FIELD_RM, CODE_M = FIELD_RM,
    CODE_M512 = FIELD_RM, CODE_Mb = FIELD_RM, CODE_Md = FIELD_RM,
    CODE_Mdq = FIELD_RM, CODE_Menv = FIELD_RM, CODE_Mq = FIELD_RM,
    CODE_Msave = FIELD_RM, CODE_Mt = FIELD_RM, CODE_Mw = FIELD_RM,
    CODE_Mx = FIELD_RM, CODE_Nq = FIELD_RM, CODE_Qd = FIELD_RM, CODE_Qq = FIELD_RM,
    CODE_RdMb = FIELD_RM, CODE_RdMw = FIELD_RM, CODE_STi = FIELD_RM, CODE_Ud = FIELD_RM,
    CODE_Udq = FIELD_RM, CODE_Uq = FIELD_RM, CODE_Ux = FIELD_RM, CODE_Wb = FIELD_RM,
    CODE_Wd = FIELD_RM, CODE_Wdq = FIELD_RM, CODE_Wdup = FIELD_RM, CODE_Wex = FIELD_RM,
    CODE_Wfx = FIELD_RM, CODE_Whx = FIELD_RM, CODE_Wq = FIELD_RM, CODE_Wqq = FIELD_RM,
    CODE_Ww = FIELD_RM, CODE_Wx = FIELD_RM, CODE_Wx1d = FIELD_RM, CODE_Wx1q = FIELD_RM,
    CODE_Whx1d = FIELD_RM, CODE_Mqq = FIELD_RM, CODE_Ku = FIELD_RM, CODE_Kb = FIELD_RM,
    CODE_Kw = FIELD_RM, CODE_Kd = FIELD_RM, CODE_Kq = FIELD_RM,
    CODE_Ev = FIELD_RM | FIELD_V, CODE_Ez = FIELD_RM | FIELD_V, CODE_Mv = FIELD_RM | FIELD_V,
    CODE_Rv = FIELD_RM | FIELD_V, CODE_RvMw = FIELD_RM | FIELD_V,
    CODE_Ey = FIELD_RM | FIELD_Y, CODE_My = FIELD_RM | FIELD_Y, CODE_Ry = FIELD_RM | FIELD_Y,
    CODE_Hdq = FIELD_VVVV, CODE_Hqq = FIELD_VVVV, CODE_Hx = FIELD_VVVV, CODE_Kv = FIELD_VVVV,
    CODE_By = FIELD_VVVV | FIELD_Y,
    CODE_Zb = FIELD_OPCODE,
    CODE_Zv = FIELD_OPCODE | FIELD_V,
    CODE_Ib = FIELD_IMM, CODE_Ib2 = FIELD_IMM, CODE_Iv = FIELD_IMM, CODE_Iw = FIELD_IMM,
    CODE_Iz = FIELD_IMM, CODE_sIb = FIELD_IMM,
    CODE_Lx = FIELD_IS4,
    CODE_Ob = FIELD_MOFFS, CODE_Ov = FIELD_MOFFS,
    CODE_AL = FIELD_FIXED, CODE_AX = FIELD_FIXED, CODE_CL = FIELD_FIXED, CODE_DX = FIELD_FIXED,
    CODE_ST0 = FIELD_FIXED, CODE_eAX = FIELD_FIXED, CODE_one = FIELD_FIXED, CODE_rAX = FIELD_FIXED,
    CODE_Ap = FIELD_REFUSE, CODE_Ma = FIELD_REFUSE, CODE_Mp = FIELD_REFUSE,
    CODE_Ms = FIELD_REFUSE, CODE_CS = FIELD_REFUSE, CODE_Cd = FIELD_REFUSE, CODE_DS = FIELD_REFUSE,
    CODE_Dd = FIELD_REFUSE, CODE_ES = FIELD_REFUSE, CODE_FS = FIELD_REFUSE, CODE_GS = FIELD_REFUSE,
    CODE_Gm = FIELD_REFUSE, CODE_Jb = FIELD_REFUSE, CODE_Jz = FIELD_REFUSE, CODE_Rm = FIELD_REFUSE,
    CODE_SS = FIELD_REFUSE, CODE_Sw = FIELD_REFUSE, CODE_VMdd = FIELD_REFUSE,
    CODE_VMdq = FIELD_REFUSE, CODE_VMqd = FIELD_REFUSE, CODE_VMqq = FIELD_REFUSE,
    CODE_Xb = FIELD_REFUSE, CODE_Xv = FIELD_REFUSE, CODE_Xz = FIELD_REFUSE, CODE_Yb = FIELD_REFUSE,
    CODE_Yv = FIELD_REFUSE, CODE_Yz = FIELD_REFUSE,
};
/* clang-format on */

struct row_fields {
    uint8_t pp; /* enum insn_pp */
    uint8_t op[INSN_OPERANDS];
};

#define INSN(map, opcode, pp, ext, mnemonic, op0, op1, op2, op3, reads, writes, traits, feature, \
             run, rewrite)                                                                       \
    {pp, {CODE_##op0, CODE_##op1, CODE_##op2, CODE_##op3}},
static const struct row_fields row_fields[] = {
#include "cpu/insn.def"
};
#undef INSN

/* What goes between the prefixes and the immediate. */
struct encoding {
    uint8_t rex_w, rex_r, rex_x, rex_b; /* 0 or 1 */
    bool need_rex;                      /* SPL, BPL, SIL, DIL (or R8B...) */
    bool forbid_rex;                    /* AH, CH, DH, BH */
    uint8_t map;                        /* enum insn_map */
    uint8_t opcode;
    bool has_modrm, has_mem;
    uint8_t reg, rm; /* 3 bits; rm without has_mem */
    uint8_t vvvv;    /* 4 bits; EVEX: 5 */
    uint8_t high;    /* EVEX.R', not inverted */
    uint8_t disp8;   /* EVEX: what an 8-bit displacement counts in, bytes; else 1 */
};

enum {
    OPCODE_ESCAPE = 0x0f,
    OPCODE_ESCAPE_38 = 0x38,
    OPCODE_ESCAPE_3A = 0x3a,
    OPCODE_VEX2 = 0xc5,
    OPCODE_VEX3 = 0xc4,
    OPCODE_EVEX = 0x62,
    PREFIX_BYTE_LOCK = 0xf0,
    PREFIX_BYTE_OPSIZE = 0x66,
    PREFIX_BYTE_ADDRSIZE = 0x67,
    REX_BASE = 0x40,
};

/* Traits of rows that cannot run as a copy: what they use besides operands is not the host's. */
#define REFUSED_TRAITS (CPL0 | IOPL_SENS | ENDS | STRING | STACK | COND)

/* Four-bit host number of the general register in `op`, or NO_REG; notes what a byte register
 * demands of the REX prefix. */
static unsigned host_gpr(const struct operand *op, const struct recode_map *map, struct encoding *e)
{
    const unsigned host = map->gpr[op->reg & 15];

    if (host > 15)
        return NO_REG;
    if (op->kind == OPERAND_GPR8H) {
        if (host >= 4)
            return NO_REG;
        e->forbid_rex = true;
        return host + 4;
    }
    if (op->size == 1 && host >= 4)
        e->need_rex = true;
    return host;
}

static bool is_gpr(const struct operand *op)
{
    return op->kind == OPERAND_GPR || op->kind == OPERAND_GPR8H;
}

/* A register that the encoding does not name: usable only where it already is. */
static bool fixed_gpr_ok(const struct operand *op, const struct recode_map *map)
{
    return !is_gpr(op) || map->gpr[op->reg & 15] == op->reg;
}

/*
 * One operand into the encoding's fields.  False: not encodable.
 * Vector, MMX and x87 registers keep the numbers that are already in the fields.
 */
static bool encode_operand(const struct operand *op, unsigned field, const struct recode_map *map,
                           struct encoding *e)
{
    unsigned host = 0;

    switch (field & FIELD_MASK) {
    case FIELD_NONE:
    case FIELD_IMM:
    case FIELD_IS4:
        return true;
    case FIELD_FIXED:
        return fixed_gpr_ok(op, map);
    case FIELD_MOFFS:
        return op->kind == OPERAND_MEM;
    case FIELD_REFUSE:
        return false;
    default:
        break;
    }
    if (op->kind == OPERAND_VEC && e->map >= E1) { /* the fifth bit of a register's number */
        if ((field & FIELD_MASK) == FIELD_REG)
            e->high = op->reg >> 4;
        else if ((field & FIELD_MASK) == FIELD_RM)
            e->rex_x = op->reg >> 4;
    }
    if (!is_gpr(op))
        return true;
    host = host_gpr(op, map, e);
    if (host == NO_REG)
        return false;
    switch (field & FIELD_MASK) {
    case FIELD_REG:
        e->reg = host & 7;
        e->rex_r = host >> 3;
        break;
    case FIELD_RM:
        e->rm = host & 7;
        e->rex_b = host >> 3;
        break;
    case FIELD_OPCODE:
        e->opcode = (uint8_t)((e->opcode & ~7u) | (host & 7));
        e->rex_b = host >> 3;
        break;
    case FIELD_VVVV:
        e->vvvv = (uint8_t)host;
        break;
    default:
        return false;
    }
    return true;
}

/* Give an instruction without ModRM the general form opcode /reg with a register operand. */
static bool use_modrm(struct encoding *e, uint8_t opcode, unsigned reg, unsigned host_rm)
{
    if (host_rm > 15)
        return false;
    e->opcode = opcode;
    e->has_modrm = true;
    e->reg = reg & 7;
    e->rex_r = (reg >> 3) & 1;
    e->rm = host_rm & 7;
    e->rex_b = host_rm >> 3;
    return true;
}

/*
 * One-byte forms that 64-bit mode lacks, or that have registers or addresses that must be replaced.
 * Returns 1: rewritten, operands done; 0: nothing special; -1: not encodable.
 */
static int encode_short_form(const struct insn *in, const struct recode_map *map,
                             struct encoding *e)
{
    const uint8_t op = in->opcode;
    const unsigned acc = map->gpr[RAX];

    if (e->map != M0)
        return 0;
    if (op >= 0x40 && op <= 0x4f) /* INC/DEC Zv -> FF /0, /1 */
        return use_modrm(e, 0xff, op >> 3 & 1, map->gpr[in->ops[0].reg & 15]) ? 1 : -1;
    if (op == 0x82 && in->has_modrm) { /* alias of 80 */
        e->opcode = 0x80;
        return 0;
    }
    if (op >= 0xa0 && op <= 0xa3) { /* MOV with a direct offset -> 8A, 8B, 88, 89 */
        if (acc > 15)
            return -1;
        e->opcode = (uint8_t)(0x88 | (op & 1) | (op < 0xa2 ? 2 : 0));
        e->has_modrm = true;
        e->reg = acc & 7;
        e->rex_r = acc >> 3;
        e->need_rex = !(op & 1) && acc >= 4;
        return 1;
    }
    if (acc == RAX)
        return 0;
    /* The accumulator is elsewhere: the same operation with ModRM. */
    if ((op & 0xc6) == 0x04) { /* 04/05, 0C/0D, ... 3C/3D: ALU AL/eAX, imm */
        e->need_rex = !(op & 1) && acc >= 4;
        return use_modrm(e, 0x80 | (op & 1), op >> 3 & 7, acc) ? 1 : -1;
    }
    if (op == 0xa8 || op == 0xa9) { /* TEST AL/eAX, imm */
        e->need_rex = !(op & 1) && acc >= 4;
        return use_modrm(e, 0xf6 | (op & 1), 0, acc) ? 1 : -1;
    }
    if (op >= 0x90 && op <= 0x97 && is_gpr(&in->ops[0])) { /* XCHG Zv, rAX -> 87 /r */
        if (acc > 15)
            return -1;
        return use_modrm(e, 0x87, acc, map->gpr[in->ops[0].reg & 15]) ? 1 : -1;
    }
    return 0;
}

/* What REX/VEX.W shall be: outside 64-bit code W is not an operand size. */
static unsigned host_w(const struct insn *in, const struct row_fields *row)
{
    if (!(in->rex & 8))
        return 0;
    if (in->code_size == CODE64)
        return 1;
    if (insn_row(in)->traits & IMPLICIT) /* (V)PCMPESTRx: lengths in EAX, EDX */
        return 0;
    for (unsigned i = 0; i < INSN_OPERANDS; i++)
        if (row->op[i] & FIELD_Y || is_gpr(&in->ops[i]))
            return 0;
    return 1;
}

/* Does the host need 66 so that the operation keeps its size, or because 66 selects the row? */
static bool needs_66(const struct insn *in, const struct row_fields *row)
{
    for (unsigned i = 0; i < INSN_OPERANDS; i++)
        if (row->op[i] & FIELD_V)
            return in->width == 2;
    return row->pp == P66 || (row->pp == PANY && in->width == 2);
}

static bool encode_fields(const struct insn *in, const struct row_fields *row,
                          const struct recode_map *map, struct encoding *e)
{
    const unsigned rex = in->code_size == CODE64 ? in->rex : 0;
    int special;

    *e = (struct encoding){
        .rex_w = (uint8_t)host_w(in, row),
        .map = insn_row(in)->map,
        .opcode = in->opcode,
        .has_modrm = in->has_modrm,
        .has_mem = in->has_mem,
        .vvvv = in->vex_v,
        .disp8 = 1,
    };
    if (in->has_modrm) {
        e->reg = in->modrm >> 3 & 7;
        e->rex_r = rex >> 2 & 1;
        e->rm = in->modrm & 7;
        e->rex_b = rex & 1;
    }
    special = encode_short_form(in, map, e);
    if (special)
        return special > 0;
    for (unsigned i = 0; i < INSN_OPERANDS; i++) {
        if (!encode_operand(&in->ops[i], row->op[i], map, e))
            return false;
        if (in->evex && in->ops[i].kind == OPERAND_MEM)
            e->disp8 = (uint8_t)in->ops[i].size;
    }
    return true;
}

static uint8_t *put_disp32(uint8_t *p, int32_t disp)
{
    for (unsigned i = 0; i < 4; i++)
        *p++ = (uint8_t)((uint32_t)disp >> (8 * i));
    return p;
}

/*
 * ModRM, SIB and displacement of a memory operand.  [SDM 2A tables 2-2, 2-3]: rm = 4 means SIB,
 * so RSP and R12 need one; mod 0 with base 5 means no base, so RBP and R13 need a displacement.
 */
static uint8_t *put_mem(uint8_t *p, const struct encoding *e, const struct recode_mem *mem)
{
    static const uint8_t log2_scale[16] = {[1] = 0, [2] = 1, [4] = 2, [8] = 3};
    const int unit = e->disp8;
    const bool small = mem->disp % unit == 0 && mem->disp / unit >= -128 && mem->disp / unit <= 127;
    const unsigned base = mem->base & 7, reg = e->reg;
    unsigned mod;

    if (mem->base == NO_REG)
        mod = 0;
    else if (mem->disp == 0 && base != 5)
        mod = 0;
    else
        mod = small ? 1 : 2;
    if (mem->base == NO_REG || mem->index != NO_REG || base == 4) {
        const unsigned index = mem->index != NO_REG ? mem->index & 7 : 4;
        const unsigned scale = mem->index != NO_REG ? log2_scale[mem->scale & 15] : 0;

        *p++ = (uint8_t)(mod << 6 | reg << 3 | 4);
        *p++ = (uint8_t)(scale << 6 | index << 3 | (mem->base == NO_REG ? 5 : base));
    } else {
        *p++ = (uint8_t)(mod << 6 | reg << 3 | base);
    }
    if (mod == 1)
        *p++ = (uint8_t)(mem->disp / unit);
    else if (mod == 2 || mem->base == NO_REG)
        p = put_disp32(p, mem->disp);
    return p;
}

static const uint8_t pp_bits[] = {[PANY] = 0, [PNP] = 0, [P66] = 1, [PF3] = 2, [PF2] = 3};

static uint8_t *put_evex(uint8_t *p, const struct insn *in, const struct row_fields *row,
                         const struct encoding *e)
{
    const unsigned length = in->evex & EVEX_ROUNDING ? in->rounding : in->vex_l;
    const bool b = in->evex & (EVEX_BROADCAST | EVEX_ROUNDING);

    *p++ = OPCODE_EVEX;
    *p++ = (uint8_t)((e->rex_r ? 0 : 0x80) | (e->rex_x ? 0 : 0x40) | (e->rex_b ? 0 : 0x20) |
                     (e->high ? 0 : 0x10) | (e->map - E1 + 1));
    *p++ = (uint8_t)((e->rex_w ? 0x80 : 0) | (~(unsigned)e->vvvv & 15) << 3 | 4 | pp_bits[row->pp]);
    *p++ = (uint8_t)((in->evex & EVEX_ZEROING ? 0x80 : 0) | length << 5 | (b ? 0x10 : 0) |
                     (e->vvvv & 16 ? 0 : 8) | in->mask);
    return p;
}

static uint8_t *put_vex(uint8_t *p, const struct insn *in, const struct row_fields *row,
                        const struct encoding *e)
{
    const unsigned pp = pp_bits[row->pp];
    const unsigned tail = (~(unsigned)e->vvvv & 15) << 3 | (in->vex_l ? 4 : 0) | pp;
    const unsigned mmmmm = e->map - V1 + 1;

    if (mmmmm == 1 && !e->rex_w && !e->rex_x && !e->rex_b) {
        *p++ = OPCODE_VEX2;
        *p++ = (uint8_t)((e->rex_r ? 0 : 0x80) | tail);
    } else {
        *p++ = OPCODE_VEX3;
        *p++ = (uint8_t)((e->rex_r ? 0 : 0x80) | (e->rex_x ? 0 : 0x40) | (e->rex_b ? 0 : 0x20) |
                         mmmmm);
        *p++ = (uint8_t)((e->rex_w ? 0x80 : 0) | tail);
    }
    return p;
}

static uint8_t *put_rex_and_escape(uint8_t *p, const struct encoding *e)
{
    const unsigned rex =
        (unsigned)e->rex_w << 3 | (unsigned)e->rex_r << 2 | (unsigned)e->rex_x << 1 | e->rex_b;

    if (rex || e->need_rex)
        *p++ = (uint8_t)(REX_BASE | rex);
    if (e->map != M0)
        *p++ = OPCODE_ESCAPE;
    if (e->map == M2)
        *p++ = OPCODE_ESCAPE_38;
    else if (e->map == M3)
        *p++ = OPCODE_ESCAPE_3A;
    return p;
}

static uint8_t *put_prefixes(uint8_t *p, const struct insn *in, const struct row_fields *row,
                             const struct recode_map *map)
{
    if (in->prefixes & PREFIX_LOCK)
        *p++ = PREFIX_BYTE_LOCK;
    if (!(in->prefixes & PREFIX_VEX)) {
        if (needs_66(in, row))
            *p++ = PREFIX_BYTE_OPSIZE;
        if (row->pp == PF3)
            *p++ = 0xf3;
        else if (row->pp == PF2)
            *p++ = 0xf2;
    }
    if (in->has_mem) {
        if (map->mem.seg)
            *p++ = map->mem.seg;
        if (map->mem.addr32)
            *p++ = PREFIX_BYTE_ADDRSIZE;
    }
    return p;
}

static uint8_t *put_immediate(uint8_t *p, const struct insn *in, const struct row_fields *row)
{
    for (unsigned i = 0; i < INSN_OPERANDS; i++) {
        const unsigned field = row->op[i] & FIELD_MASK;

        if (field == FIELD_MOFFS)
            return p; /* what follows the opcode is the address */
        if (field == FIELD_IS4) {
            *p++ = (uint8_t)((in->ops[i].reg & 15) << 4);
            return p;
        }
    }
    for (unsigned i = 0; i < (unsigned)in->length - in->imm_at; i++)
        *p++ = (uint8_t)(in->imm >> (8 * i));
    return p;
}

/* Memory that no operand shows: XLAT, MASKMOVQ, (V)MASKMOVDQU. */
static bool has_hidden_memory(const struct insn *in)
{
    const uint8_t map = insn_row(in)->map;

    if (map == M0)
        return in->opcode == 0xd7;
    return (map == M1 || map == V1) && in->opcode == 0xf7;
}

static bool refuses(const struct insn *in, const struct recode_map *map)
{
    const struct insn_row *row = insn_row(in);
    const bool one_byte = row->map == M0;
    const bool rewritten =
        one_byte && ((in->opcode >= 0x40 && in->opcode <= 0x4f) || in->opcode == 0x82);
    /* SAHF and LAHF have two rows, one of them for 64-bit mode. */
    const bool in_both = one_byte && (in->opcode == 0x9e || in->opcode == 0x9f);

    if (row->traits & REFUSED_TRAITS || has_hidden_memory(in))
        return true;
    if (row->traits & NO64 && !rewritten && !in_both)
        return true;
    if (row->traits & PROTECTED && !(in->prefixes & PREFIX_VEX))
        return true; /* LAR, VERR, ...: about the host's descriptors */
    if (row->traits & IMPLICIT && !(row->traits & X87))
        for (unsigned reg = RAX; reg <= RBX; reg++)
            if (map->gpr[reg] != reg && !(row->traits & RAX_RDX && reg != RAX && reg != RDX))
                return true;
    return false;
}

size_t recode(const struct insn *in, const struct recode_map *map, uint8_t *out)
{
    const struct row_fields *row = &row_fields[in->row];
    const bool vex = in->prefixes & PREFIX_VEX;
    struct encoding e;
    uint8_t *p = out;

    if (refuses(in, map) || !encode_fields(in, row, map, &e))
        return 0;
    if (in->has_mem) {
        if (!e.has_modrm)
            return 0; /* an implicit memory operand */
        e.rex_b = map->mem.base != NO_REG && map->mem.base >= 8;
        e.rex_x = map->mem.index != NO_REG && map->mem.index >= 8;
    }
    if (e.forbid_rex && (e.need_rex || e.rex_w || e.rex_r || e.rex_x || e.rex_b))
        return 0;

    p = put_prefixes(p, in, row, map);
    p = in->evex ? put_evex(p, in, row, &e)
        : vex    ? put_vex(p, in, row, &e)
                 : put_rex_and_escape(p, &e);
    *p++ = e.opcode;
    if (e.has_modrm && in->has_mem)
        p = put_mem(p, &e, &map->mem);
    else if (e.has_modrm)
        *p++ = (uint8_t)(0xc0 | e.reg << 3 | e.rm);
    p = put_immediate(p, in, row);
    return (size_t)(p - out) <= RECODE_MAX ? (size_t)(p - out) : 0;
}

int recode_rm_operand(const struct insn *in)
{
    const struct row_fields *row = &row_fields[in->row];

    for (unsigned i = 0; i < INSN_OPERANDS; i++)
        if ((row->op[i] & FIELD_MASK) == FIELD_RM)
            return (int)i;
    return -1;
}
