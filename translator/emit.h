/*
 * translator/emit.h -- encoding of the host instructions that glue is made of.
 *
 * Only forms that leave RFLAGS alone are offered, save the few whose comment says otherwise: glue
 * between guest instructions must not disturb guest flags, which live in the host's.
 * Source: [SDM 2A 2], [SDM 2].
 */
#ifndef RINGER_TRANSLATOR_EMIT_H
#define RINGER_TRANSLATOR_EMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cpu/insn.h" /* register numbers */

enum width { W8 = 1, W16 = 2, W32 = 4, W64 = 8 };

/* [base + index * scale + disp] or GS:[that]; NO_REG for no base or no index. scale is 1, 2, 4
 * or 8. */
struct mem {
    uint8_t base, index, scale;
    int32_t disp;
    bool window; /* GS:, 32-bit address */
};
#define BASE(base_, disp_) ((struct mem){(base_), NO_REG, 1, (int32_t)(disp_), false})
#define INDEX(base_, index_, scale_, disp_) \
    ((struct mem){(base_), (index_), (scale_), (int32_t)(disp_), false})

/*
 * Where code goes.  `at` is the writable alias; the same byte executes at at + rx_delta.  Writing
 * stops at `end` and sets overflow: the caller drops the block and makes room.
 */
/* What is in code that would be another at another place: kinds of struct emit_fixup. */
enum emit_fixup_kind {
    EMIT_JUMP,   /* rel32 */
    EMIT_LINEAR, /* 64 bits: a linear address of the block, or near it */
    EMIT_MINUS,  /* the same, negated */
    EMIT_SLOT,   /* disp32 of the slot of such an address */
    EMIT_RECORD, /* 32 bits with the block's number */
    EMIT_PAGE,   /* disp32 of what is mapped where the block is */
    EMIT_ID,     /* disp32 of the number of the block's page, negated */
    EMIT_ENTRY,  /* disp32 of an entry of the inline TLB, of a page near the block */
};

struct emit_fixup {
    uint8_t *field;
    uint8_t kind;
};

struct emit {
    uint8_t *at, *end;
    int64_t rx_delta;
    bool overflow;
    struct emit_fixup *fixups; /* where they are noted; NULL: nowhere */
    unsigned fixup_count, fixup_limit;
};

/* A forward jump whose displacement is not known yet: address of its rel8/rel32 field. */
struct label {
    uint8_t *field;
    uint8_t bytes; /* 1 or 4 */
};

/* Code that has been emitted is a fixup. */
void emit_note(struct emit *e, uint8_t *field, enum emit_fixup_kind kind);
void emit_bytes(struct emit *e, const void *bytes, size_t count);
void emit_u8(struct emit *e, uint8_t value);
void emit_u32(struct emit *e, uint32_t value);
void emit_u64(struct emit *e, uint64_t value);
/* Host address at which the next byte will execute. */
static inline uint64_t emit_here(const struct emit *e)
{
    return (uint64_t)(e->at + e->rx_delta);
}

void emit_mov_rr(struct emit *e, enum width w, uint8_t dst, uint8_t src);
void emit_mov_rm(struct emit *e, enum width w, uint8_t dst,
                 struct mem src); /* W32, W64, W16/W8 merge */
void emit_mov_mr(struct emit *e, enum width w, struct mem dst, uint8_t src);
void emit_mov_ri(struct emit *e, uint8_t dst, uint64_t value); /* shortest form, 64-bit result */
/* The same of a linear address that moves with the block, or if is_minus of its negation. */
void emit_mov_linear(struct emit *e, uint8_t dst, uint64_t value, bool is_minus);
void emit_mov_mi(struct emit *e, enum width w, struct mem dst, int32_t value); /* sign-extended */
void emit_movzx_rr(struct emit *e, uint8_t dst, enum width src_width, uint8_t src);
void emit_movzx_rm(struct emit *e, uint8_t dst, enum width src_width, struct mem src);
void emit_movsx_rm(struct emit *e, enum width w, uint8_t dst, enum width src_width, struct mem src);
void emit_movsxd_rr(struct emit *e, uint8_t dst, uint8_t src);
void emit_lea(struct emit *e, enum width w, uint8_t dst, struct mem src);
void emit_not(struct emit *e, enum width w, uint8_t reg);
/* movzx ecx, byte gs:[rcx + disp] */
void emit_check(struct emit *e, int32_t disp);
/* movzx ecx, byte gs:[rcx*8 + 2048], of which the fourth byte is no other check's */
enum { EMIT_CHECK_AT = 3, EMIT_CHECK_INDEX_MODRM = 0x0c };
void emit_check_index(struct emit *e);
/* BMI2 */
void emit_sarx(struct emit *e, enum width w, uint8_t dst, uint8_t src, uint8_t count);
void emit_shrx(struct emit *e, enum width w, uint8_t dst, uint8_t src, uint8_t count);
void emit_rorx(struct emit *e, enum width w, uint8_t dst, uint8_t src, uint8_t count);

/* These change the flags. */
void emit_shr_ri(struct emit *e, enum width w, uint8_t reg, uint8_t count);
void emit_add_ri(struct emit *e, enum width w, uint8_t reg, int32_t value);

void emit_shl_ri(struct emit *e, enum width w, uint8_t reg, uint8_t count);
void emit_and_ri(struct emit *e, enum width w, uint8_t reg, uint32_t value);
void emit_and_rr(struct emit *e, enum width w, uint8_t dst, uint8_t src);
void emit_or_rr(struct emit *e, enum width w, uint8_t dst, uint8_t src);
void emit_xor_rr(struct emit *e, enum width w, uint8_t dst, uint8_t src);
void emit_cmp_rm(struct emit *e, enum width w, uint8_t reg, struct mem m);

/* CF = bit `bit` of dst or m, which is then set, cleared or toggled, or not.  In memory the bit
 * number should be below the width, and lock asks for an atomic one. */
enum bit_op { BIT_TEST = 4, BIT_SET = 5, BIT_RESET = 6, BIT_COMPLEMENT = 7 };
void emit_bit_rr(struct emit *e, enum bit_op op, enum width w, uint8_t dst, uint8_t bit);
void emit_bit_mr(struct emit *e, enum bit_op op, bool lock, enum width w, struct mem m,
                 uint8_t bit);
/* CMPXCHG8B (W32) or CMPXCHG16B (W64): changes ZF only. */
void emit_cmpxchg_pair(struct emit *e, bool lock, enum width w, struct mem m);

void emit_lahf(struct emit *e);
void emit_sahf(struct emit *e);
void emit_setcc(struct emit *e, uint8_t condition, uint8_t reg);
void emit_push(struct emit *e, uint8_t reg);
void emit_pop(struct emit *e, uint8_t reg);

struct label emit_jrcxz(struct emit *e);                  /* rel8 */
struct label emit_loop(struct emit *e);                   /* rel8; RCX loses 1 */
void emit_jrcxz_to(struct emit *e, uint64_t host);        /* rel8 to an address just before */
struct label emit_jmp_short(struct emit *e);              /* rel8 */
void emit_loop_to(struct emit *e, uint64_t host);         /* rel8 */
void emit_jmp_short_to(struct emit *e, uint64_t host);    /* rel8 */
struct label emit_jmp(struct emit *e);                    /* rel32 */
struct label emit_call(struct emit *e);                   /* rel32 */
struct label emit_lea_label(struct emit *e, uint8_t dst); /* dst = where the label is bound */
struct label emit_jcc(struct emit *e, uint8_t condition); /* rel32 */
void emit_jcc_to(struct emit *e, uint8_t condition, uint64_t host); /* in the same block */
void emit_jmp_to(struct emit *e, uint64_t host);                    /* rel32 to a known address */
void emit_call_to(struct emit *e, uint64_t host);                   /* rel32 */
void emit_jmp_m(struct emit *e, struct mem target);                 /* indirect */
void emit_jmp_r(struct emit *e, uint8_t reg);
void emit_call_m(struct emit *e, struct mem target);
void emit_call_r(struct emit *e, uint8_t reg);
void emit_ret(struct emit *e);
/* Let the jump arrive at the current position.  A rel8 that does not reach sets overflow. */
void emit_bind(struct emit *e, struct label label);

#endif
