/*
 * tests/oracle/generate.c -- random encodings, and random states in which they do something: memory
 * operands aim at the data region (now and then at its edge or beyond), pointers that the
 * instruction implies point there too, selectors and jump targets mostly exist.
 */
#include <stdlib.h>
#include <string.h>

#include "cpu/fpu.h"
#include "cpu/operand.h"
#include "cpu/run.h"
#include "tests/insn_gen.h"
#include "tests/oracle/oracle.h"

enum { POOL_SIZE = 16384, TRIES = 4000 };

static uint64_t random_state;
static uint8_t pool[POOL_SIZE]; /* memory contents */

static uint64_t rnd(void)
{
    return insn_gen_random(&random_state) ^ insn_gen_random(&random_state) >> 32;
}
static unsigned below(unsigned n)
{
    return (unsigned)((insn_gen_random(&random_state) >> 24) % n);
}
static bool one_in(unsigned n)
{
    return below(n) == 0;
}

/* ---- values ---- */

static uint64_t interesting_integer(void)
{
    static const uint64_t values[] = {
        0,
        1,
        2,
        3,
        7,
        8,
        0x0f,
        0x10,
        0x1f,
        0x20,
        0x3f,
        0x40,
        0x7f,
        0x80,
        0xff,
        0x100,
        0x7fff,
        0x8000,
        0xffff,
        0x10000,
        0x7fffffff,
        0x80000000,
        0xffffffff,
        0x100000000,
        0x7fffffffffffffff,
        0x8000000000000000,
        0xffffffffffffffff,
        0xfffffffffffffffe,
        0x0123456789abcdef,
        0x8080808080808080,
        0x00ff00ff00ff00ff,
        0xffffffff00000000,
    };

    switch (below(6)) {
    case 0:
    case 1:
        return values[below(sizeof values / sizeof values[0])];
    case 2:
        return below(256);
    case 3:
        return -(uint64_t)below(256);
    default:
        return rnd();
    }
}

static uint32_t interesting_float(void)
{
    static const uint32_t values[] = {
        0x00000000, 0x80000000, 0x3f800000, 0xbf800000, 0x40000000, 0x3f000000,
        0x7f800000, 0xff800000, 0x7fc00000, 0xffc00000, 0x7fa00000, 0xffa00001,
        0x00000001, 0x807fffff, 0x00800000, 0x7f7fffff, 0xff7fffff, 0x4b000000,
        0x4f000000, 0xcf000000, 0x5f000000, 0x3eaaaaab, 0x33800000, 0x4effffff,
    };

    if (one_in(4))
        return (uint32_t)rnd();
    if (one_in(3)) /* ordinary sizes */
        return (uint32_t)(rnd() & 0x80ffffff) | (uint32_t)(0x3b + below(10)) << 24;
    return values[below(sizeof values / sizeof values[0])];
}
static uint64_t interesting_double(void)
{
    static const uint64_t values[] = {
        0x0000000000000000, 0x8000000000000000, 0x3ff0000000000000, 0xbff0000000000000,
        0x4000000000000000, 0x3fe0000000000000, 0x7ff0000000000000, 0xfff0000000000000,
        0x7ff8000000000000, 0xfff8000000000000, 0x7ff4000000000000, 0xfff0000000000001,
        0x0000000000000001, 0x800fffffffffffff, 0x0010000000000000, 0x7fefffffffffffff,
        0x41dfffffffc00000, 0x41e0000000000000, 0x43e0000000000000, 0xc3e0000000000000,
        0x36a0000000000000, 0x47efffffe0000000, 0x47effffff0000000, 0x380fffffffffffff,
    };

    if (one_in(4))
        return rnd();
    if (one_in(3))
        return (rnd() & 0x800fffffffffffff) | (uint64_t)(0x3f0 + below(0x20)) << 52;
    return values[below(sizeof values / sizeof values[0])];
}
static void interesting_extended(uint8_t out[10])
{
    static const struct {
        uint16_t exponent;
        uint64_t mantissa;
    } values[] = {
        {0, 0},
        {0x8000, 0},
        {0x3fff, 1ull << 63},
        {0xbfff, 1ull << 63},
        {0x4000, 1ull << 63},
        {0x7fff, 1ull << 63},
        {0xffff, 1ull << 63},
        {0x7fff, 3ull << 62},
        {0xffff, 3ull << 62},
        {0x7fff, 0xa000000000000000},
        {0, 1},
        {0x8000, 0x7fffffffffffffff}, /* denormals */
        {0, 1ull << 63},
        {0x8000, 0xffffffffffffffff}, /* pseudo-denormals */
        {0x3fff, 0},
        {0x7fff, 0},
        {0x7fff, 0x4000000000000000},
        {0x4000, 1}, /* unsupported */
        {0x7ffe, 0xffffffffffffffff},
        {1, 1ull << 63},
        {0x4000, 0xc90fdaa22168c235},
        {0x401e, 0x8000000000000000},
        {0xc03e, 0x8000000000000000},
        {0x403d, 0xffffffffffffffff},
        {0x407e, 0xffffffffffffffff},
        {0x3f80, 0x8000000000000001},
        {0x3ffe, 0x8000000000000000},
        {0x3ffd, 0xaaaaaaaaaaaaaaab},
        {0x43fe, 0xfffffffffffffc00},
        {0xfffe, 0xffffffffffffffff},
    };
    uint16_t exponent;
    uint64_t mantissa;

    if (one_in(3)) {
        exponent = (uint16_t)((rnd() & 0x8000) + 0x3fc0 + below(0x80));
        mantissa = rnd() | 1ull << 63;
    } else if (one_in(6)) {
        exponent = (uint16_t)rnd();
        mantissa = rnd();
    } else {
        const unsigned i = below(sizeof values / sizeof values[0]);

        exponent = values[i].exponent;
        mantissa = values[i].mantissa;
    }
    memcpy(out, &mantissa, 8);
    memcpy(out + 8, &exponent, 2);
}

/* `size` bytes (a multiple of 16) of one kind of thing. */
static void fill_values(uint8_t *out, unsigned size)
{
    for (unsigned at = 0; at < size; at += 16) {
        const unsigned kind = below(8);

        for (unsigned i = 0; i < 16; i += 8) {
            uint64_t value;

            if (kind < 3)
                value = interesting_float() | (uint64_t)interesting_float() << 32;
            else if (kind < 6)
                value = interesting_double();
            else
                value = interesting_integer();
            memcpy(out + at + i, &value, 8);
        }
        if (kind == 7)
            interesting_extended(out + at);
    }
}

void generate_init(uint64_t seed)
{
    random_state = seed * 0x9e3779b97f4a7c15ull + 1;
    for (unsigned i = 0; i < 8; i++)
        rnd();
    fill_values(pool, POOL_SIZE);
}

/* ---- encodings ---- */

/* Offset (in its segment) of the byte at `aim` of the data region. */
static uint64_t data_offset(const struct test_case *t, uint32_t aim)
{
    return t->based ? aim : (uint64_t)DATA_BASE + aim;
}

static void put_le(uint8_t *at, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

/* Where an address without registers points, and displacements that must stay small. */
static void patch_address(struct test_case *t)
{
    struct insn *in = &t->in;
    const unsigned disp_at = in->modrm_at + 1 + (in->addr_size != 2 && (in->modrm & 7) == 4);
    const uint32_t aim = WINDOW_BEFORE + below(REGION_SIZE - WINDOW_SIZE);
    const bool absolute = in->base == NO_REG && in->index == NO_REG;

    if (!in->has_mem)
        return;
    if (!in->has_modrm) { /* direct offset */
        put_le(t->bytes + in->opcode_at + 1, data_offset(t, aim), in->addr_size);
    } else if (in->rip_relative) {
        put_le(t->bytes + disp_at, DATA_BASE + aim - (CODE_BASE + CODE_AT + in->length), 4);
    } else if (absolute && in->vsib == 0) {
        put_le(t->bytes + disp_at, data_offset(t, aim), in->addr_size == 2 ? 2 : 4);
    } else if (in->addr_size != 2 && (in->modrm >> 6 == 2 || in->base == NO_REG) &&
               (insn_row(in)->traits & (STACK | STRING | IMPLICIT) || in->base == RSP || in->vsib ||
                one_in(2))) {
        put_le(t->bytes + disp_at, (uint64_t)below(4096) - 2048, 4);
    }
}

/* Immediates that would send the instruction too far away. */
static void patch_immediate(struct test_case *t)
{
    struct insn *in = &t->in;
    const insn_run_fn run = insn_run_table[in->row];
    uint8_t *imm = t->bytes + in->imm_at;
    const unsigned size = in->length - in->imm_at;

    if (in->ops[0].kind == OPERAND_REL) { /* not into the instruction itself */
        const int range = size > 1 ? 2000 : 128;
        int rel = (int)below(2 * (unsigned)range) - range;

        if (rel > -32 && rel < 16)
            rel = rel < 0 ? -64 : 64;
        put_le(imm, (uint64_t)(int64_t)rel, size);
    } else if (run == run_enter) {
        put_le(imm, below(64), 2);
        imm[2] = (uint8_t)(one_in(2) ? 0 : below(8));
    } else if (run == run_ret || run == run_ret_far) {
        if (size)
            put_le(imm, below(256), size);
    } else if (in->ops[0].kind == OPERAND_FAR) {
        static const uint16_t selectors[] = {SEL_CODE32, SEL_CODE16, SEL_DATA, 0, 3, SEL_DATA16};
        const uint16_t own = t->mode == CODE16 ? SEL_CODE16 : SEL_CODE32;
        const uint32_t base = t->mode == CODE16 ? 0 : CODE_BASE;

        put_le(imm, base + 0x4000 + below(0x8000), size - 2);
        put_le(imm + size - 2, one_in(2) ? own : selectors[below(6)], 2);
    }
}

static bool is_flow(const struct test_case *t)
{
    const insn_run_fn run = insn_run_table[t->row];

    return run == run_jmp || run == run_call || run == run_ret || run == run_jcc ||
           run == run_loop || run == run_loope || run == run_loopne || run == run_jcxz ||
           run == run_call_far || run == run_jmp_far || run == run_ret_far || run == run_iret;
}

bool generate_encoding(struct test_case *t)
{
    static const char *const segments[] = {[CODE16] = "\x26\x2e\x36\x3e",
                                           [CODE32] = "\x26\x2e\x36\x3e",
                                           [CODE64] = "\x26\x2e\x36\x3e\x65"};

    for (unsigned tries = 0; tries < 100; tries++) {
        struct insn again;

        if (!insn_gen(&random_state, t->row, t->mode, true, segments[t->mode], TRIES, t->bytes,
                      &t->in))
            return false;
        if (t->mode != CODE64)
            t->based = t->mode == CODE16 || t->in.addr_size == 2 || one_in(6);
        else
            t->based = false;
        patch_address(t);
        patch_immediate(t);
        if (decode(t->bytes, 15, t->mode, &again) != DECODE_OK || again.row != t->row)
            continue;
        t->in = again;
        t->flow = is_flow(t);
        return true;
    }
    return false;
}

/* ---- states ---- */

static void poke(struct test_case *t, uint64_t offset, uint64_t value, unsigned size)
{
    const uint64_t at = offset - (t->based ? 0 : DATA_BASE) - t->window;

    if (at + size <= WINDOW_SIZE)
        put_le(t->memory + at, value, size);
}

/* Write the part of a register that an address of `size` bytes sees. */
static void set_pointer(struct test_case *t, unsigned reg, unsigned size, uint64_t value)
{
    uint64_t *gpr = &t->state.gpr[reg];

    if (size == 2)
        *gpr = (*gpr & ~0xffffull) | (value & 0xffff);
    else if (size == 4)
        *gpr = t->mode == CODE64 && one_in(4) ? (*gpr & ~0xffffffffull) | (uint32_t)value
                                              : (uint32_t)value;
    else
        *gpr = value;
}

/* Choose registers so that the memory operand is at `offset` or just below. */
static void solve_address(struct test_case *t, uint64_t offset)
{
    const struct insn *in = &t->in;
    int64_t want = (int64_t)(offset - (uint64_t)in->disp);

    if (in->addr_size == 2)
        want = (int16_t)want;
    if (in->addr_size == 4)
        want = (int32_t)want;
    if (in->vsib) {
        if (in->base != NO_REG)
            set_pointer(t, in->base, in->addr_size, (uint64_t)want);
        return;
    }
    if (in->base == NO_REG && in->index == NO_REG)
        return;
    if (in->base == NO_REG)
        set_pointer(t, in->index, in->addr_size, (uint64_t)(want / in->scale));
    else if (in->base == in->index)
        set_pointer(t, in->base, in->addr_size, (uint64_t)(want / (1 + in->scale)));
    else {
        uint64_t index = 0;

        if (in->index != NO_REG) {
            if (in->base == RSP || one_in(2)) /* a wild index would make a wild stack */
                t->state.gpr[in->index] = below(64);
            index = t->state.gpr[in->index] * in->scale;
        }
        set_pointer(t, in->base, in->addr_size, (uint64_t)want - index);
    }
}

static void random_fpu(struct test_case *t)
{
    uint8_t *fpu = t->state.fpu;
    const bool masked = !one_in(4);
    const uint16_t fcw = (uint16_t)(0x40 | (rnd() & 0xf00) | (masked ? 0x3f : rnd() & 0x3f));
    uint16_t fsw = (uint16_t)(rnd() & (FSW_TOP | 0x4700));
    uint32_t mxcsr = (uint32_t)(rnd() & 0xe07f) | (one_in(4) ? (uint32_t)rnd() & 0x1f80 : 0x1f80);
    const uint64_t present = XCR0_UP_TO_AVX;

    if (one_in(4))
        mxcsr &= ~0x8040u;
    if (one_in(3)) {
        fsw |= rnd() & 0x7f;
        if (fsw & ~fcw & 0x3f) {
            if (one_in(4)) /* pending */
                fsw |= FSW_ES | FSW_B;
            else
                fsw &= (uint16_t) ~(~fcw & 0x3f);
        }
    }
    memset(fpu, 0, FPU_SIZE);
    memcpy(fpu + FPU_FCW, &fcw, 2);
    memcpy(fpu + FPU_FSW, &fsw, 2);
    fpu[FPU_FTW] = one_in(2) ? 0xff : one_in(4) ? 0 : (uint8_t)rnd();
    memcpy(fpu + FPU_MXCSR, &mxcsr, 4);
    for (unsigned i = 0; i < 8; i++)
        interesting_extended(fpu + FPU_ST + 16 * i);
    memcpy(fpu + FPU_XMM, pool + 16 * below(POOL_SIZE / 16 - 16), 256);
    if (__builtin_cpu_supports("avx")) {
        memcpy(fpu + FPU_YMM, pool + 16 * below(POOL_SIZE / 16 - 16), 256);
        memcpy(fpu + FPU_XSTATE_BV, &present, 8);
    }
    if (guest_has_avx512()) {
        for (unsigned i = 0; i < 8; i++) {
            const uint64_t mask = one_in(6)   ? 0
                                  : one_in(6) ? ~0ull
                                  : one_in(3) ? rnd() & rnd() & rnd()
                                              : rnd();

            memcpy(fpu + FPU_OPMASK + 8 * i, &mask, 8);
        }
        memcpy(fpu + FPU_ZMM_HIGH, pool + 16 * below((POOL_SIZE - 512) / 16), 512);
        memcpy(fpu + FPU_ZMM16, pool + 16 * below((POOL_SIZE - 1024) / 16), 1024);
    }
}

/* Bytes [at, at + size) of a vector register. */
static void set_vector(uint8_t *fpu, unsigned reg, unsigned at, uint64_t value, unsigned size)
{
    uint8_t *to = reg >= 16 ? fpu + FPU_ZMM16 + 64 * (reg - 16) + at
                  : at < 16 ? fpu + FPU_XMM + 16 * reg + at
                  : at < 32 ? fpu + FPU_YMM + 16 * reg + at - 16
                            : fpu + FPU_ZMM_HIGH + 32 * reg + at - 32;

    put_le(to, value, size);
}

static uint64_t jump_target(const struct test_case *t)
{
    const uint64_t base = t->mode == CODE16 ? 0 : CODE_BASE;

    if (one_in(10))
        return t->mode == CODE64 && one_in(2) ? 0x8000000000000000 : WILD_BASE + below(4096);
    return base + 0x3000 + below(0xc000);
}

static uint16_t data_selector(void)
{
    static const uint16_t selectors[] = {SEL_DATA,         0,          1,          3,
                                         SEL_CODE32,       SEL_CODE64, SEL_CODE16, SEL_DATA16,
                                         SEL_DATA32_BASED, 0x28,       0x2a,       0x1f};

    return selectors[below(sizeof selectors / sizeof selectors[0])];
}
/* For far transfers: the guest's legacy mode would take 64-bit code for 16-bit code. */
static uint16_t code_selector(const struct test_case *t)
{
    const uint16_t selector = one_in(2) ? t->state.cs : data_selector();

    return selector == SEL_CODE64 && t->mode != CODE64 ? SEL_DATA : selector;
}

/* Changing it now would send the memory operand anywhere. */
static bool is_address(const struct test_case *t, unsigned reg)
{
    return t->in.has_mem && (t->in.base == reg || (t->in.index == reg && !t->in.vsib));
}

/* A value for operand `i` where it is. */
static void set_operand(struct test_case *t, unsigned i, uint64_t memory_offset, uint64_t value)
{
    const struct operand *op = &t->in.ops[i];

    if (op->kind == OPERAND_GPR && is_address(t, op->reg))
        return;
    if (op->kind == OPERAND_MEM)
        poke(t, memory_offset, value, op->size ? op->size : 8);
    else if (op->kind == OPERAND_GPR && op->size == 2)
        t->state.gpr[op->reg] = (t->state.gpr[op->reg] & ~0xffffull) | (uint16_t)value;
    else if (op->kind == OPERAND_GPR && op->reg != RSP)
        t->state.gpr[op->reg] = value;
}

static void prepare_stack(struct test_case *t, uint32_t aim)
{
    const struct insn *in = &t->in;
    const insn_run_fn run = insn_run_table[in->row];
    const unsigned width = in->width < 2 ? 2 : in->width;
    const unsigned size = t->mode == CODE64 ? 8 : t->state.ss == SEL_DATA16 ? 2 : 4;
    const uint64_t sp = data_offset(t, aim);

    set_pointer(t, RSP, size, sp);
    if (run == run_leave || run == run_enter)
        set_pointer(t, RBP, size, data_offset(t, aim + 8 * below(16)));
    if (run == run_ret) {
        poke(t, sp, jump_target(t), width);
    } else if (run == run_ret_far || run == run_iret) {
        poke(t, sp, jump_target(t), width);
        poke(t, sp + width, code_selector(t), width);
        poke(t, sp + 2 * width, (rnd() & 0xcd5) | 0x202, width);
        poke(t, sp + 3 * width, data_offset(t, aim + 64), width);
        poke(t, sp + 4 * width, t->state.ss, width);
    } else if (run == run_popf) {
        poke(t, sp, rnd() & ~(uint64_t)(FLAG_TF | FLAG_AC), width);
    } else if (run == run_pop_seg) {
        poke(t, sp, data_selector(), width);
    }
}

static void prepare_strings(struct test_case *t, uint32_t aim)
{
    const unsigned size = t->in.addr_size;

    /* At most one of them at the end of the region: which of two faults comes first? */
    const bool source = one_in(2);
    const uint32_t other = aim < REGION_SIZE - 512 ? aim : aim - 512;

    set_pointer(t, RSI, size, data_offset(t, (source ? aim : other) + below(64)));
    set_pointer(t, RDI, size, data_offset(t, (source ? other : aim) + below(64)));
    set_pointer(t, RCX, size, one_in(3) ? below(3) : below(40));
}

/* Division: make quotients fit often enough. */
static void prepare_division(struct test_case *t, uint64_t memory_offset)
{
    const unsigned size = t->in.ops[0].size;

    if (one_in(3))
        return;
    set_operand(t, 0, memory_offset, one_in(2) ? rnd() : 1 + below(1000));
    if (is_address(t, RAX) || is_address(t, RDX))
        return;
    if (size == 1)
        t->state.gpr[RAX] = below(4096);
    else
        t->state.gpr[RDX] = one_in(2) ? below(4) : -(uint64_t)below(4);
}

static bool is_xsave(insn_run_fn run)
{
    return run == run_xsave || run == run_xsaveopt || run == run_xsavec || run == run_xrstor;
}

/* Components in their initial state, and images that have them or not, in both formats. */
static void prepare_xsave(struct test_case *t, uint64_t offset)
{
    static const struct {
        uint16_t at, size;
    } parts[] = {{FPU_OPMASK, FPU_OPMASK_SIZE},
                 {FPU_ZMM_HIGH, FPU_ZMM_HIGH_SIZE},
                 {FPU_ZMM16, FPU_ZMM16_SIZE}};
    const uint64_t all = guest_xcr0();
    uint64_t present = rnd() & all, format = 0;

    for (unsigned i = 0; i < 3; i++)
        if (one_in(3))
            memset(t->state.fpu + parts[i].at, 0, parts[i].size);
    if (!is_address(t, RAX))
        t->state.gpr[RAX] = one_in(3) ? all : rnd() & all;
    if (!is_address(t, RDX))
        t->state.gpr[RDX] = 0;
    if (insn_run_table[t->row] != run_xrstor)
        return;
    if (one_in(2)) {
        format = XCOMP_COMPACTED | (rnd() & all);
        present &= format | (one_in(16) ? ~0ull : 0);
    }
    poke(t, offset + FPU_MXCSR, rnd() & 0xffff, 4);
    poke(t, offset + FPU_XSTATE_BV, present, 8);
    for (unsigned i = FPU_XCOMP_BV; i < FPU_YMM && !one_in(64); i += 8)
        poke(t, offset + i, i == FPU_XCOMP_BV ? format : 0, 8);
}

static void prepare_specials(struct test_case *t, uint32_t aim, uint64_t offset)
{
    const struct insn *in = &t->in;
    const insn_run_fn run = insn_run_table[in->row];
    const unsigned size = in->addr_size;

    if (run == run_div || run == run_idiv)
        prepare_division(t, offset);
    if (run == run_xlat)
        set_pointer(t, RBX, size, data_offset(t, aim));
    if (run == run_maskmov)
        set_pointer(t, RDI, size, data_offset(t, aim + below(64)));
    if ((run == run_bt || run == run_bts || run == run_btr || run == run_btc) && in->has_mem &&
        in->ops[1].kind == OPERAND_GPR)
        set_operand(t, 1, 0, (uint64_t)below(4000) - 2000);
    if (run == run_jmp || run == run_call)
        set_operand(t, 0, offset, jump_target(t));
    if (run == run_jmp_far || run == run_call_far) {
        const unsigned width = in->width;

        poke(t, offset, jump_target(t), width);
        poke(t, offset + width, code_selector(t), 2);
    }
    if (run == run_lxs)
        poke(t, offset + in->width, data_selector(), 2);
    if (run == run_mov_to_seg || run == run_lar || run == run_lsl)
        set_operand(t, 1, offset, data_selector());
    if (run == run_verr || run == run_verw)
        set_operand(t, 0, offset, data_selector());
    if (in->vsib)
        for (unsigned i = 0; i < 64; i += in->vsib)
            set_vector(t->state.fpu, in->index, i, (uint64_t)below(64) - 32, in->vsib);
    if (run == run_fldenv || run == run_frstor) { /* control words that make sense */
        if (one_in(2))
            poke(t, offset, 0x37f, 2);
    }
    /* Bit 17, AMD's misaligned mode, is not offered to guests. */
    if (run == run_ldmxcsr)
        poke(t, offset, rnd() & (one_in(8) ? 0xfdffff : 0xffff), 4);
    if (run == run_fxrstor)
        poke(t, offset + FPU_MXCSR, rnd() & (one_in(8) ? 0xfdffff : 0xffff), 4);
    if (is_xsave(run))
        prepare_xsave(t, offset);
    if (run == run_xgetbv)
        set_pointer(t, RCX, 4, below(3));
}

/* The segments that the mode starts with. */
static void set_segments(struct test_case *t)
{
    struct state *s = &t->state;

    s->cs = t->mode == CODE16 ? SEL_CODE16 : t->mode == CODE32 ? SEL_CODE32 : SEL_CODE64;
    if (t->mode == CODE16)
        s->ds = s->es = s->ss = SEL_DATA16;
    else
        s->ds = s->es = s->ss = t->based ? SEL_DATA32_BASED : SEL_DATA;
    s->rip = CODE_AT + (t->mode == CODE16 ? 0 : CODE_BASE);
}

/* Instructions whose several accesses processors order differently (which of two faults, how much
 * is done before): not at the end of the region. */
static bool is_many_accesses(const struct test_case *t)
{
    const insn_run_fn run = insn_run_table[t->row];

    const unsigned size = t->in.ops[0].size;

    if (t->based && ((insn_row(&t->in)->traits & X87 && size > 8) || size > 32 || is_xsave(run)))
        return true; /* parts of it wrap around in the segment */
    return run == run_popa || run == run_pusha || run == run_enter || run == run_ret_far ||
           run == run_iret || run == run_call_far || run == run_maskmov;
}

void generate_state(struct test_case *t)
{
    const struct insn *in = &t->in;
    const uint32_t traits = insn_row(in)->traits;
    const unsigned alignment = traits & ALIGNED && !one_in(16) ? 32 : 1u << below(7);
    uint32_t aim = WINDOW_BEFORE + below(REGION_SIZE - WINDOW_SIZE);
    uint64_t offset;
    bool wild;

    for (unsigned i = 0; i < 16; i++) {
        t->state.gpr[i] = interesting_integer();
        if (t->mode != CODE64)
            t->state.gpr[i] = (uint32_t)t->state.gpr[i];
    }
    t->state.rflags = (rnd() & (FLAGS_OSZAPC | FLAG_DF)) | FLAG_IF | 2;
    /* CR0.AM is set on the host too.  Which vector operands and which parts of an image are
     * checked, and before what else, is the processor's choice. [SDM 3A 6.15 "#AC"] */
    if (one_in(32) && !(traits & (SSE | AVX | AVX512 | STRING)) && in->ops[0].size <= 10 &&
        !is_many_accesses(t))
        t->state.rflags |= FLAG_AC;
    set_segments(t);
    random_fpu(t);

    if (!is_many_accesses(t) && one_in(40)) /* the end of the region */
        aim = REGION_SIZE - below(32);
    wild = one_in(64) && !t->based;
    if (insn_run_table[in->row] == run_fxsave || insn_run_table[in->row] == run_fxrstor ||
        insn_row(in)->feature == XSAVE_ || insn_row(in)->feature == XSAVEC_ ||
        insn_row(in)->feature == XSAVEOPT_)
        aim &= one_in(16) ? ~3u : ~63u;
    aim &= ~(alignment - 1);
    t->window = aim < WINDOW_BEFORE                               ? 0
                : aim > REGION_SIZE - WINDOW_SIZE + WINDOW_BEFORE ? REGION_SIZE - WINDOW_SIZE
                                                                  : aim - WINDOW_BEFORE;
    memcpy(t->memory, pool + 8 * below((POOL_SIZE - WINDOW_SIZE) / 8), WINDOW_SIZE);

    if (traits & STACK)
        prepare_stack(t, (aim < REGION_SIZE ? aim : REGION_SIZE - 8) & ~(one_in(8) ? 0u : 7u));
    if (traits & STRING)
        prepare_strings(t, aim);
    offset = wild ? WILD_BASE + below(4096) : data_offset(t, aim);
    if (in->has_mem) {
        solve_address(t, offset);
        if (in->base == NO_REG && in->index == NO_REG) {
            /* The encoding says where: put the window there. */
            struct cpu *cpu = guest_cpu();
            uint32_t at;

            cpu->rip = t->state.rip + in->length;
            offset = operand_offset(cpu, in);
            at = (uint32_t)(offset - (t->based ? 0 : DATA_BASE));
            t->window = at - WINDOW_BEFORE < REGION_SIZE - WINDOW_SIZE ? at - WINDOW_BEFORE : 0;
            if (traits & STACK)
                prepare_stack(t, at);
        }
    }
    prepare_specials(t, aim, offset);
    if (t->mode != CODE64)
        for (unsigned i = 0; i < 16; i++)
            t->state.gpr[i] = (uint32_t)t->state.gpr[i];
}
