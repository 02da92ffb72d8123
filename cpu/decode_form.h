/*
 * cpu/decode_form.h -- the tables between cpu/decode_gen.c, which makes them from cpu/insn.def when
 * Ringer is built, and cpu/decode.c, which reads them.  Nobody else includes this.
 *
 * Per map and opcode there is a decision tree.  Its entries are 32-bit words:
 *
 *   31          16 15     13 12        8 7    3   2     1:0
 *   base of the    mask      shift              MODRM   KIND_BRANCH: take entry base + (sel >>
 * shift next entries                                        & mask) of decode_nodes[] form row
 * (15:3)                   MODRM   KIND_LEAF
 *
 * MODRM is set at the root only: the opcode has a ModRM byte.  0 is an invalid encoding.
 * sel holds everything that may select a row, see SEL_*.
 */
#ifndef RINGER_CPU_DECODE_FORM_H
#define RINGER_CPU_DECODE_FORM_H

#include <stdint.h>

enum {
    KIND_INVALID = 0,
    KIND_LEAF = 1,
    KIND_BRANCH = 2,
    KIND_MASK = 3,
    ENTRY_MODRM = 1 << 2,
    LEAF_ROW_SHIFT = 3,
    LEAF_ROW_MASK = 0x1fff,
    LEAF_FORM_SHIFT = 16,
    BRANCH_SHIFT_SHIFT = 8,
    BRANCH_SHIFT_MASK = 31,
    BRANCH_MASK_SHIFT = 13,
    BRANCH_MASK_MASK = 7,
    BRANCH_BASE_SHIFT = 16,
};

/* What selects a row: bit position in sel. */
enum {
    SEL_RM = 0,   /* ModRM.rm */
    SEL_REG = 3,  /* ModRM.reg */
    SEL_MOD3 = 6, /* ModRM.mod = 3 */
    SEL_PP = 7,   /* 0 none, 1 66, 2 F3, 3 F2, as VEX.pp */
    SEL_W = 9,    /* REX.W, VEX.W */
    SEL_L = 10,   /* VEX.L, EVEX.L'L */
    SEL_M64 = 12, /* 64-bit mode */
    SEL_B = 13,   /* REX.B */
};

/* Where an operand is. */
enum place {
    PLACE_NONE,
    PLACE_E,       /* ModRM.rm: general register, or memory */
    PLACE_R,       /* ModRM.rm: general register */
    PLACE_M,       /* memory */
    PLACE_VM,      /* memory with a vector index; arg: bytes of an index element */
    PLACE_G,       /* ModRM.reg */
    PLACE_Z,       /* low 3 bits of the opcode */
    PLACE_B,       /* VEX.vvvv, general register */
    PLACE_MMX_REG, /* MMX: ModRM.reg */
    PLACE_MMX_RM,  /* MMX: ModRM.rm, or memory */
    PLACE_VEC_REG,
    PLACE_VEC_RM,
    PLACE_VEC_VVVV,
    PLACE_VEC_IS4, /* bits 7:4 of an immediate byte */
    PLACE_MASK_REG, /* opmask: ModRM.reg */
    PLACE_MASK_RM,  /* ModRM.rm, or memory */
    PLACE_MASK_VVVV,
    PLACE_SEG_REG,
    PLACE_CR_REG,
    PLACE_DR_REG,
    PLACE_IMM,        /* zero-extended */
    PLACE_IMM_SIGNED, /* sign-extended; arg: SIZE_* of the bytes in the code */
    PLACE_IMM2,       /* ENTER's second immediate, one byte */
    PLACE_ONE,        /* the constant 1 */
    PLACE_REL,        /* arg: SIZE_* of the bytes in the code */
    PLACE_FAR,
    PLACE_OFFSET, /* memory at an absolute offset of the address size */
    PLACE_SRC,
    PLACE_DST,
    PLACE_GPR,   /* arg: the register */
    PLACE_SEG,   /* arg: the segment register */
    PLACE_ST,    /* arg: the register */
    PLACE_ST_RM, /* ST(ModRM.rm) */
};

/* How large it is: a row of decode_sizes[][], whose column is the size context. */
enum size_rule {
    SIZE_0,
    SIZE_B,
    SIZE_W,
    SIZE_D,
    SIZE_Q,
    SIZE_T,
    SIZE_DQ,
    SIZE_QQ,
    SIZE_V,
    SIZE_Z,
    SIZE_Y,
    SIZE_X,
    SIZE_HX,
    SIZE_FX,
    SIZE_EX,
    SIZE_DUP,
    SIZE_P,
    SIZE_A,
    SIZE_S,
    SIZE_M, /* 4, or 8 in 64-bit mode */
    SIZE_ENV,
    SIZE_SAVE,
    SIZE_512,
    SIZE_RULE_COUNT,
};

/* Size context: operand size 2, 4, 8 as 0, 1, 2, and what else decides. */
enum {
    CONTEXT_OPSIZE_MASK = 3,
    CONTEXT_CODE64 = 1 << 2,
    CONTEXT_W = 1 << 3,
    CONTEXT_L_SHIFT = 4, /* 0, 1, 2 */
    CONTEXT_COUNT = 1 << 6,
};

enum form_flag {
    FORM_MOD_IGNORED = 1 << 0, /* ModRM.rm is a register whatever mod says */
    FORM_LOCKABLE = 1 << 1,
    FORM_D64 = 1 << 2,
    FORM_F64 = 1 << 3,
    FORM_BYTE = 1 << 4,     /* insn.width is 1 */
    FORM_VVVV = 1 << 5,     /* VEX.vvvv is an operand; else it must be 1111b */
    FORM_REP_USED = 1 << 6, /* F2 or F3 is part of the opcode */
    FORM_GATHER = 1 << 7,
    FORM_Y = 1 << 8, /* insn.width is 4 or 8 whatever the operand-size prefix says */
    /* EVEX */
    FORM_MASKED = 1 << 9,      /* EVEX.aaa may be other than 0 */
    FORM_ROUNDING = 1 << 10,   /* EVEX.b with registers: {er} or {sae} */
    FORM_SCALAR = 1 << 11,     /* EVEX.L'L is ignored */
    FORM_NOT_128 = 1 << 12,    /* EVEX.L'L = 0 is invalid */
    FORM_LENGTHS = 1 << 13,    /* there are several lengths: the short ones are AVX512VL's */
    FORM_WHOLE = 1 << 14,      /* the memory operand is accessed whatever the mask says */
    FORM_MASK_EXTENDS = 1 << 15, /* ModRM.reg is an opmask register */
};

struct form_operand {
    uint8_t place, size, arg, size_mem; /* size_mem: of the memory alternative */
    uint8_t broadcast; /* SIZE_* of the element that EVEX.b broadcasts; SIZE_0: none */
};

/* What decode.c needs to know of a row; rows with equal forms share one. */
struct form {
    struct form_operand ops[4];
    uint16_t flags;
    uint8_t lane; /* EVEX: log2 of the bytes of a vector that one bit of the mask is for */
};

#endif
