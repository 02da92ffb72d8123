/*
 * translator/emit.c -- encoding of the host instructions that glue is made of, see emit.h.
 *
 * An instruction asks for room once, for the longest there is, and is then written without further
 * questions: a translation is mostly this.  What it leaves unused of that room the next one fills.
 */
#include "translator/emit.h"

enum {
    OP_0F = 0x0f00, /* two-byte opcodes are written 0x0fXX */
    LONGEST = 16,   /* bytes of an instruction, and some that are written but not kept */
};

void emit_note(struct emit *e, uint8_t *field, enum emit_fixup_kind kind)
{
    if (e->fixups == NULL || e->overflow)
        return;
    if (e->fixup_count == e->fixup_limit) {
        e->overflow = true;
        return;
    }
    e->fixups[e->fixup_count++] = (struct emit_fixup){field, (uint8_t)kind};
}

void emit_bytes(struct emit *e, const void *bytes, size_t count)
{
    if ((size_t)(e->end - e->at) < count) {
        e->overflow = true;
        return;
    }
    if (count < 8) {
        const uint8_t *from = bytes;

        for (size_t i = 0; i < count; i++)
            e->at[i] = from[i];
    } else if (count <= 16) { /* the longest instruction: two pieces that overlap */
        __builtin_memcpy(e->at, bytes, 8);
        __builtin_memcpy(e->at + count - 8, (const uint8_t *)bytes + count - 8, 8);
    } else {
        __builtin_memcpy(e->at, bytes, count);
    }
    e->at += count;
}

void emit_u8(struct emit *e, uint8_t value)
{
    if (e->at == e->end)
        e->overflow = true;
    else
        *e->at++ = value;
}

static uint8_t *put_u32(uint8_t *p, uint32_t value)
{
    __builtin_memcpy(p, &value, sizeof(value));
    return p + sizeof(value);
}

void emit_u32(struct emit *e, uint32_t value)
{
    if (e->end - e->at < (ptrdiff_t)sizeof(value))
        e->overflow = true;
    else
        e->at = put_u32(e->at, value);
}

void emit_u64(struct emit *e, uint64_t value)
{
    emit_bytes(e, &value, sizeof(value));
}

/* Where the next instruction goes; NULL: there is no room for it. */
static inline uint8_t *begin(struct emit *e)
{
    if (e->end - e->at >= LONGEST)
        return e->at;
    e->overflow = true;
    return NULL;
}

static inline uint8_t *put_opcode(uint8_t *p, unsigned op)
{
    *p = 0x0f;
    p += op > 0xff;
    *p = (uint8_t)op;
    return p + 1;
}

/* Operand-size prefix and REX for a register `reg` and the extension bits of base and index; NO_REG
 * for one that is not there.  byte_reg: reg is an 8-bit register whose REX form is meant (SPL,
 * SIL...). */
static inline uint8_t *put_prefixes(uint8_t *p, enum width w, uint8_t reg, uint8_t index,
                                    uint8_t base, bool byte_reg)
{
    unsigned rex = w == W64 ? 8 : 0;

    *p = 0x66;
    p += w == W16;
    rex |= (reg & 8u) >> 1;
    if (index != NO_REG)
        rex |= (index & 8u) >> 2;
    if (base != NO_REG)
        rex |= (base & 8u) >> 3;
    *p = (uint8_t)(0x40 | rex);
    return p + (rex != 0 || (byte_reg && reg >= 4));
}

static inline uint8_t sib(struct mem m, unsigned base)
{
    return (uint8_t)(__builtin_ctz(m.scale) << 6 | (m.index == NO_REG ? RSP : m.index & 7) << 3 |
                     (int)base);
}

/* ModRM, SIB and displacement. */
static inline uint8_t *put_mem(uint8_t *p, uint8_t reg, struct mem m)
{
    unsigned mod;

    reg = (uint8_t)((reg & 7) << 3);
    if (m.base == NO_REG) { /* [index * scale + disp32] */
        *p++ = reg | 4;
        *p++ = sib(m, 5);
        return put_u32(p, (uint32_t)m.disp);
    }
    if (m.disp == 0 && (m.base & 7) != RBP)
        mod = 0;
    else if (m.disp >= -128 && m.disp <= 127)
        mod = 1;
    else
        mod = 2;
    if (m.index != NO_REG || (m.base & 7) == RSP) {
        *p++ = (uint8_t)(mod << 6 | reg | 4);
        *p++ = sib(m, m.base & 7);
    } else {
        *p++ = (uint8_t)(mod << 6 | reg | (m.base & 7));
    }
    (void)put_u32(p, (uint32_t)m.disp);
    return p + (mod == 1 ? 1 : mod == 2 ? 4 : 0);
}

/* An instruction without what follows ModRM and displacement; NULL: no room. */
static inline uint8_t *put_rm(struct emit *e, enum width w, unsigned op, uint8_t reg, struct mem m,
                              bool byte_reg)
{
    uint8_t *p = begin(e);

    if (p == NULL)
        return NULL;
    if (m.window) {
        *p++ = 0x65;
        *p++ = 0x67;
    }
    p = put_prefixes(p, w, reg, m.index, m.base, byte_reg);
    return put_mem(put_opcode(p, op), reg, m);
}

static inline uint8_t *put_rr(struct emit *e, enum width w, unsigned op, uint8_t reg, uint8_t rm,
                              bool byte_rm)
{
    uint8_t *p = begin(e);
    const unsigned rex = (w == W64 ? 8 : 0) | (reg & 8u) >> 1 | (rm & 8u) >> 3;

    if (p == NULL)
        return NULL;
    *p = 0x66;
    p += w == W16;
    *p = (uint8_t)(0x40 | rex);
    p += rex != 0 || (byte_rm && rm >= 4);
    p = put_opcode(p, op);
    *p = (uint8_t)(0xc0 | (reg & 7) << 3 | (rm & 7));
    return p + 1;
}

/* The instruction ends before `p`; NULL: it had no room. */
static inline void finish(struct emit *e, uint8_t *p)
{
    if (p != NULL)
        e->at = p;
}

static inline void op_rm(struct emit *e, enum width w, unsigned op, uint8_t reg, struct mem m,
                         bool byte_reg)
{
    finish(e, put_rm(e, w, op, reg, m, byte_reg));
}

static inline void op_rr(struct emit *e, enum width w, unsigned op, uint8_t reg, uint8_t rm,
                         bool byte_rm)
{
    finish(e, put_rr(e, w, op, reg, rm, byte_rm));
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
    uint8_t *p = begin(e);

    if (p == NULL)
        return;
    if (value <= UINT32_MAX) {
        *p = 0x41;
        p += dst >> 3 & 1;
        *p++ = (uint8_t)(0xb8 | (dst & 7));
        p = put_u32(p, (uint32_t)value);
    } else if ((int64_t)value == (int32_t)value) {
        p = put_rr(e, W64, 0xc7, 0, dst, false);
        p = put_u32(p, (uint32_t)value);
    } else {
        *p++ = (uint8_t)(0x48 | dst >> 3);
        *p++ = (uint8_t)(0xb8 | (dst & 7));
        __builtin_memcpy(p, &value, sizeof(value));
        p += sizeof(value);
    }
    e->at = p;
}

void emit_mov_linear(struct emit *e, uint8_t dst, uint64_t value, bool is_minus)
{
    enum { LONG_BYTES = 10 }; /* of the form with all 64 bits, which addresses that move need */
    const uint8_t *const start = e->at;

    emit_mov_ri(e, dst, value);
    if (e->at - start == LONG_BYTES)
        emit_note(e, e->at - sizeof(value), is_minus ? EMIT_MINUS : EMIT_LINEAR);
}

void emit_mov_mi(struct emit *e, enum width w, struct mem dst, int32_t value)
{
    uint8_t *p = put_rm(e, w, w == W8 ? 0xc6 : 0xc7, 0, dst, false);

    if (p == NULL)
        return;
    (void)put_u32(p, (uint32_t)value);
    e->at = p + (w == W8 ? 1 : w == W16 ? 2 : 4);
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
static inline uint8_t *put_vex3(struct emit *e, enum width w, uint8_t map, uint8_t pp, uint8_t op,
                                uint8_t reg, uint8_t v, uint8_t rm)
{
    uint8_t *p = begin(e);

    if (p == NULL)
        return NULL;
    *p++ = 0xc4;
    *p++ = (uint8_t)((reg & 8 ? 0 : 0x80) | 0x40 | (rm & 8 ? 0 : 0x20) | map);
    *p++ = (uint8_t)((w == W64 ? 0x80 : 0) | (~v & 15) << 3 | pp);
    *p++ = op;
    *p++ = (uint8_t)(0xc0 | (reg & 7) << 3 | (rm & 7));
    return p;
}

void emit_sarx(struct emit *e, enum width w, uint8_t dst, uint8_t src, uint8_t count)
{
    finish(e, put_vex3(e, w, 2, 2, 0xf7, dst, count, src));
}

void emit_shrx(struct emit *e, enum width w, uint8_t dst, uint8_t src, uint8_t count)
{
    finish(e, put_vex3(e, w, 2, 3, 0xf7, dst, count, src));
}

void emit_rorx(struct emit *e, enum width w, uint8_t dst, uint8_t src, uint8_t count)
{
    uint8_t *p = put_vex3(e, w, 3, 3, 0xf0, dst, 0, src);

    if (p == NULL)
        return;
    *p = count;
    e->at = p + 1;
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

void emit_check(struct emit *e, int32_t disp)
{
    static const uint8_t movzx_ecx_gs_rcx[] = {0x65, 0x0f, 0xb6, 0x89};

    emit_bytes(e, movzx_ecx_gs_rcx, sizeof(movzx_ecx_gs_rcx));
    emit_u32(e, (uint32_t)disp);
}

void emit_check_index(struct emit *e)
{
    static const uint8_t movzx_ecx_gs_rcx8_2048[] = {
        0x65, 0x0f, 0xb6, EMIT_CHECK_INDEX_MODRM, 0xcd, 0x00, 0x08, 0x00, 0x00};

    emit_bytes(e, movzx_ecx_gs_rcx8_2048, sizeof(movzx_ecx_gs_rcx8_2048));
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

/* A jump whose displacement of `bytes` bytes starts at p. */
static inline struct label label_at(struct emit *e, uint8_t *p, uint8_t bytes)
{
    (void)put_u32(p, 0);
    e->at = p + bytes;
    return (struct label){p, bytes};
}

/* What overflows is dropped: its labels are not looked at. */
static struct label no_label(const struct emit *e, uint8_t bytes)
{
    return (struct label){e->at, bytes};
}

static struct label jump(struct emit *e, uint8_t op, uint8_t bytes)
{
    uint8_t *p = begin(e);

    if (p == NULL)
        return no_label(e, bytes);
    *p = op;
    return label_at(e, p + 1, bytes);
}

/* To an address, of the jump that has just been emitted. */
static void bind_short(struct emit *e, struct label label, uint64_t host)
{
    const int64_t distance = (int64_t)(host - emit_here(e));

    if (distance < -128 || distance > 127)
        e->overflow = true;
    if (!e->overflow)
        *label.field = (uint8_t)distance;
}

struct label emit_jrcxz(struct emit *e)
{
    return jump(e, 0xe3, 1);
}

struct label emit_loop(struct emit *e)
{
    return jump(e, 0xe2, 1);
}

void emit_loop_to(struct emit *e, uint64_t host)
{
    bind_short(e, emit_loop(e), host);
}

void emit_jrcxz_to(struct emit *e, uint64_t host)
{
    bind_short(e, emit_jrcxz(e), host);
}

void emit_jmp_short_to(struct emit *e, uint64_t host)
{
    bind_short(e, emit_jmp_short(e), host);
}

struct label emit_jmp_short(struct emit *e)
{
    return jump(e, 0xeb, 1);
}

struct label emit_jmp(struct emit *e)
{
    return jump(e, 0xe9, 4);
}

struct label emit_call(struct emit *e)
{
    return jump(e, 0xe8, 4);
}

struct label emit_lea_label(struct emit *e, uint8_t dst)
{
    uint8_t *p = begin(e);

    if (p == NULL)
        return no_label(e, 4);
    *p++ = dst & 8 ? 0x4c : 0x48; /* REX.WR, REX.W */
    *p++ = 0x8d;
    *p++ = (uint8_t)((dst & 7) << 3 | 5); /* [RIP + disp32] */
    return label_at(e, p, 4);
}

struct label emit_jcc(struct emit *e, uint8_t condition)
{
    uint8_t *p = begin(e);

    if (p == NULL)
        return no_label(e, 4);
    return label_at(e, put_opcode(p, OP_0F | 0x80 | condition), 4);
}

void emit_jcc_to(struct emit *e, uint8_t condition, uint64_t host)
{
    const struct label label = emit_jcc(e, condition);

    if (e->overflow)
        return;
    (void)put_u32(label.field, (uint32_t)(host - emit_here(e)));
    emit_note(e, label.field, EMIT_JUMP);
}

static void jump_to(struct emit *e, uint8_t op, uint64_t host)
{
    uint8_t *p = begin(e);

    if (p == NULL)
        return;
    *p = op;
    e->at = put_u32(p + 1, (uint32_t)(host - (emit_here(e) + 5)));
    emit_note(e, p + 1, EMIT_JUMP);
}

void emit_jmp_to(struct emit *e, uint64_t host)
{
    jump_to(e, 0xe9, host);
}

void emit_call_to(struct emit *e, uint64_t host)
{
    jump_to(e, 0xe8, host);
}

void emit_jmp_m(struct emit *e, struct mem target)
{
    op_rm(e, W32, 0xff, 4, target, false);
}

void emit_jmp_r(struct emit *e, uint8_t reg)
{
    op_rr(e, W32, 0xff, 4, reg, false);
}

void emit_call_m(struct emit *e, struct mem target)
{
    op_rm(e, W32, 0xff, 2, target, false);
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
        (void)put_u32(label.field, (uint32_t)distance);
        emit_note(e, label.field, EMIT_JUMP);
    }
}
