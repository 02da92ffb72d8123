/*
 * translator/emit.c -- encoding of the host instructions that glue is made of, see emit.h.
 */
#include "translator/emit.h"

#include <assert.h>

enum { OP_0F = 0x0f00 }; /* two-byte opcodes are written 0x0fXX */

void emit_bytes(struct emit *e, const void *bytes, size_t count)
{
    const uint8_t *from = bytes;

    if ((size_t)(e->end - e->at) < count) {
        e->overflow = true;
        return;
    }
    for (size_t i = 0; i < count; i++)
        *e->at++ = from[i];
}

void emit_u8(struct emit *e, uint8_t value)
{
    emit_bytes(e, &value, 1);
}

void emit_u32(struct emit *e, uint32_t value)
{
    emit_bytes(e, &value, 4);
}

void emit_u64(struct emit *e, uint64_t value)
{
    emit_bytes(e, &value, 8);
}

static void opcode(struct emit *e, unsigned op)
{
    if (op > 0xff)
        emit_u8(e, 0x0f);
    emit_u8(e, (uint8_t)op);
}

/* Prefixes and REX for a register `reg` and the extension bits of base and index. byte_reg: reg is
 * an 8-bit register whose REX form is meant (SPL, SIL...). */
static void prefixes(struct emit *e, enum width w, uint8_t reg, uint8_t index, uint8_t base,
                     bool byte_reg)
{
    uint8_t rex = 0;

    if (w == W16)
        emit_u8(e, 0x66);
    if (w == W64)
        rex |= 0x48;
    if (reg & 8)
        rex |= 0x44;
    if (index != NO_REG && (index & 8))
        rex |= 0x42;
    if (base != NO_REG && (base & 8))
        rex |= 0x41;
    if (byte_reg && reg >= 4)
        rex |= 0x40;
    if (rex)
        emit_u8(e, rex);
}

static uint8_t sib_scale(uint8_t scale)
{
    return (uint8_t)__builtin_ctz(scale);
}

/* ModRM, SIB and displacement. */
static void modrm_mem(struct emit *e, uint8_t reg, struct mem m)
{
    if (m.base == NO_REG) { /* [index * scale + disp32] */
        emit_u8(e, (uint8_t)((reg & 7) << 3 | 4));
        emit_u8(e, (uint8_t)(sib_scale(m.scale) << 6 |
                             (m.index == NO_REG ? RSP : m.index & 7) << 3 | 5));
        emit_u32(e, (uint32_t)m.disp);
        return;
    }

    const bool sib = m.index != NO_REG || (m.base & 7) == RSP;
    uint8_t mod;

    if (m.disp == 0 && (m.base & 7) != RBP)
        mod = 0;
    else if (m.disp >= -128 && m.disp <= 127)
        mod = 1;
    else
        mod = 2;
    emit_u8(e, (uint8_t)(mod << 6 | (reg & 7) << 3 | (sib ? 4 : (m.base & 7))));
    if (sib) {
        const uint8_t index = m.index == NO_REG ? RSP : m.index & 7;

        emit_u8(e, (uint8_t)(sib_scale(m.scale) << 6 | index << 3 | (m.base & 7)));
    }
    if (mod == 1)
        emit_u8(e, (uint8_t)m.disp);
    else if (mod == 2)
        emit_u32(e, (uint32_t)m.disp);
}

static void op_rm(struct emit *e, enum width w, unsigned op, uint8_t reg, struct mem m,
                  bool byte_reg)
{
    prefixes(e, w, reg, m.index, m.base, byte_reg);
    opcode(e, op);
    modrm_mem(e, reg, m);
}

static void op_rr(struct emit *e, enum width w, unsigned op, uint8_t reg, uint8_t rm, bool byte_rm)
{
    uint8_t rex = 0;

    if (w == W16)
        emit_u8(e, 0x66);
    if (w == W64)
        rex |= 0x48;
    if (reg & 8)
        rex |= 0x44;
    if (rm & 8)
        rex |= 0x41;
    if (byte_rm && rm >= 4)
        rex |= 0x40;
    if (rex)
        emit_u8(e, rex);
    opcode(e, op);
    emit_u8(e, (uint8_t)(0xc0 | (reg & 7) << 3 | (rm & 7)));
}

void emit_mov_rr(struct emit *e, enum width w, uint8_t dst, uint8_t src)
{
    op_rr(e, w, 0x89, src, dst, false);
}

void emit_mov_rm(struct emit *e, enum width w, uint8_t dst, struct mem src)
{
    op_rm(e, w, w == W8 ? 0x8a : 0x8b, dst, src, w == W8);
}

void emit_mov_mr(struct emit *e, enum width w, struct mem dst, uint8_t src)
{
    op_rm(e, w, w == W8 ? 0x88 : 0x89, src, dst, w == W8);
}

void emit_mov_ri(struct emit *e, uint8_t dst, uint64_t value)
{
    if (value <= UINT32_MAX) {
        if (dst & 8)
            emit_u8(e, 0x41);
        emit_u8(e, (uint8_t)(0xb8 | (dst & 7)));
        emit_u32(e, (uint32_t)value);
    } else if ((int64_t)value == (int32_t)value) {
        prefixes(e, W64, 0, NO_REG, dst, false);
        emit_u8(e, 0xc7);
        emit_u8(e, (uint8_t)(0xc0 | (dst & 7)));
        emit_u32(e, (uint32_t)value);
    } else {
        prefixes(e, W64, 0, NO_REG, dst, false);
        emit_u8(e, (uint8_t)(0xb8 | (dst & 7)));
        emit_u64(e, value);
    }
}

void emit_mov_mi(struct emit *e, enum width w, struct mem dst, int32_t value)
{
    op_rm(e, w, w == W8 ? 0xc6 : 0xc7, 0, dst, false);
    if (w == W8)
        emit_u8(e, (uint8_t)value);
    else if (w == W16)
        emit_bytes(e, &value, 2);
    else
        emit_u32(e, (uint32_t)value);
}

void emit_movzx_rr(struct emit *e, uint8_t dst, enum width src_width, uint8_t src)
{
    if (src_width == W32)
        emit_mov_rr(e, W32, dst, src);
    else
        op_rr(e, W32, src_width == W8 ? OP_0F | 0xb6 : OP_0F | 0xb7, dst, src, src_width == W8);
}

void emit_movzx_rm(struct emit *e, uint8_t dst, enum width src_width, struct mem src)
{
    if (src_width == W32 || src_width == W64)
        emit_mov_rm(e, src_width, dst, src);
    else
        op_rm(e, W32, src_width == W8 ? OP_0F | 0xb6 : OP_0F | 0xb7, dst, src, false);
}

void emit_movsx_rm(struct emit *e, enum width w, uint8_t dst, enum width src_width, struct mem src)
{
    if (src_width == w)
        emit_mov_rm(e, w, dst, src);
    else if (src_width == W32)
        op_rm(e, w, 0x63, dst, src, false);
    else
        op_rm(e, w, src_width == W8 ? OP_0F | 0xbe : OP_0F | 0xbf, dst, src, false);
}

void emit_movsxd_rr(struct emit *e, uint8_t dst, uint8_t src)
{
    op_rr(e, W64, 0x63, dst, src, false);
}

void emit_lea(struct emit *e, enum width w, uint8_t dst, struct mem src)
{
    op_rm(e, w, 0x8d, dst, src, false);
}

void emit_not(struct emit *e, enum width w, uint8_t reg)
{
    op_rr(e, w, 0xf7, 2, reg, false);
}

/* VEX.LZ.pp.0F38/0F3A with three bytes; reg, rm are ModRM's, v is vvvv. */
static void vex3(struct emit *e, enum width w, uint8_t map, uint8_t pp, uint8_t op, uint8_t reg,
                 uint8_t v, uint8_t rm)
{
    emit_u8(e, 0xc4);
    emit_u8(e, (uint8_t)((reg & 8 ? 0 : 0x80) | 0x40 | (rm & 8 ? 0 : 0x20) | map));
    emit_u8(e, (uint8_t)((w == W64 ? 0x80 : 0) | (~v & 15) << 3 | pp));
    emit_u8(e, op);
    emit_u8(e, (uint8_t)(0xc0 | (reg & 7) << 3 | (rm & 7)));
}

void emit_sarx(struct emit *e, enum width w, uint8_t dst, uint8_t src, uint8_t count)
{
    vex3(e, w, 2, 2, 0xf7, dst, count, src);
}

void emit_shrx(struct emit *e, enum width w, uint8_t dst, uint8_t src, uint8_t count)
{
    vex3(e, w, 2, 3, 0xf7, dst, count, src);
}

void emit_rorx(struct emit *e, enum width w, uint8_t dst, uint8_t src, uint8_t count)
{
    vex3(e, w, 3, 3, 0xf0, dst, 0, src);
    emit_u8(e, count);
}

void emit_shr_ri(struct emit *e, enum width w, uint8_t reg, uint8_t count)
{
    op_rr(e, w, 0xc1, 5, reg, false);
    emit_u8(e, count);
}

void emit_shl_ri(struct emit *e, enum width w, uint8_t reg, uint8_t count)
{
    op_rr(e, w, 0xc1, 4, reg, false);
    emit_u8(e, count);
}

void emit_and_ri(struct emit *e, enum width w, uint8_t reg, uint32_t value)
{
    op_rr(e, w, 0x81, 4, reg, false);
    emit_u32(e, value);
}

void emit_and_rr(struct emit *e, enum width w, uint8_t dst, uint8_t src)
{
    op_rr(e, w, 0x21, src, dst, false);
}

void emit_or_rr(struct emit *e, enum width w, uint8_t dst, uint8_t src)
{
    op_rr(e, w, 0x09, src, dst, false);
}

void emit_xor_rr(struct emit *e, enum width w, uint8_t dst, uint8_t src)
{
    op_rr(e, w, 0x31, src, dst, false);
}

void emit_add_ri(struct emit *e, enum width w, uint8_t reg, int32_t value)
{
    if (w == W8) {
        op_rr(e, w, 0x80, 0, reg, true);
        emit_u8(e, (uint8_t)value);
    } else {
        op_rr(e, w, 0x81, 0, reg, false);
        emit_u32(e, (uint32_t)value);
    }
}

void emit_cmp_rm(struct emit *e, enum width w, uint8_t reg, struct mem m)
{
    op_rm(e, w, w == W8 ? 0x3a : 0x3b, reg, m, w == W8);
}

void emit_bit_rr(struct emit *e, enum bit_op op, enum width w, uint8_t dst, uint8_t bit)
{
    op_rr(e, w, OP_0F | 0x83 | (unsigned)op << 3, bit, dst, false);
}

void emit_bit_mr(struct emit *e, enum bit_op op, bool lock, enum width w, struct mem m, uint8_t bit)
{
    if (lock)
        emit_u8(e, 0xf0);
    op_rm(e, w, OP_0F | 0x83 | (unsigned)op << 3, bit, m, false);
}

void emit_cmpxchg_pair(struct emit *e, bool lock, enum width w, struct mem m)
{
    if (lock)
        emit_u8(e, 0xf0);
    op_rm(e, w, OP_0F | 0xc7, 1, m, false);
}

void emit_lahf(struct emit *e)
{
    emit_u8(e, 0x9f);
}

void emit_sahf(struct emit *e)
{
    emit_u8(e, 0x9e);
}

void emit_setcc(struct emit *e, uint8_t condition, uint8_t reg)
{
    op_rr(e, W8, OP_0F | 0x90 | condition, 0, reg, true);
}

void emit_push(struct emit *e, uint8_t reg)
{
    if (reg & 8)
        emit_u8(e, 0x41);
    emit_u8(e, (uint8_t)(0x50 | (reg & 7)));
}

void emit_pop(struct emit *e, uint8_t reg)
{
    if (reg & 8)
        emit_u8(e, 0x41);
    emit_u8(e, (uint8_t)(0x58 | (reg & 7)));
}

static struct label label_here(struct emit *e, uint8_t bytes)
{
    const struct label label = {e->at, bytes};

    if (bytes == 1)
        emit_u8(e, 0);
    else
        emit_u32(e, 0);
    return label;
}

struct label emit_jrcxz(struct emit *e)
{
    emit_u8(e, 0xe3);
    return label_here(e, 1);
}

struct label emit_jmp_short(struct emit *e)
{
    emit_u8(e, 0xeb);
    return label_here(e, 1);
}

struct label emit_jmp(struct emit *e)
{
    emit_u8(e, 0xe9);
    return label_here(e, 4);
}

struct label emit_jcc(struct emit *e, uint8_t condition)
{
    opcode(e, OP_0F | 0x80 | condition);
    return label_here(e, 4);
}

void emit_jmp_to(struct emit *e, uint64_t host)
{
    emit_u8(e, 0xe9);
    emit_u32(e, (uint32_t)(host - (emit_here(e) + 4)));
}

void emit_call_to(struct emit *e, uint64_t host)
{
    emit_u8(e, 0xe8);
    emit_u32(e, (uint32_t)(host - (emit_here(e) + 4)));
}

void emit_jmp_m(struct emit *e, struct mem target)
{
    op_rm(e, W32, 0xff, 4, target, false);
}

void emit_jmp_r(struct emit *e, uint8_t reg)
{
    op_rr(e, W32, 0xff, 4, reg, false);
}

void emit_call_r(struct emit *e, uint8_t reg)
{
    op_rr(e, W32, 0xff, 2, reg, false);
}

void emit_ret(struct emit *e)
{
    emit_u8(e, 0xc3);
}

void emit_bind(struct emit *e, struct label label)
{
    const int64_t distance = e->at - (label.field + label.bytes);

    if (e->overflow)
        return;
    if (label.bytes == 1) {
        if (distance < -128 || distance > 127) {
            e->overflow = true;
            return;
        }
        *label.field = (uint8_t)distance;
    } else {
        const uint32_t rel = (uint32_t)distance;

        for (unsigned i = 0; i < 4; i++)
            label.field[i] = (uint8_t)(rel >> i * 8);
    }
}
