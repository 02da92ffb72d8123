/*
 * tests/cpu/test_fpu.c -- x87, SSE and AVX in the interpreter: faults, memory images, state in and
 * out of the host's registers.  Results of ordinary instructions are the host oracle's business.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cpu/cpu.h"
#include "cpu/cpuid.h"
#include "cpu/fpu.h"
#include "cpu/interp.h"
#include "cpu/physmem.h"
#include "cpu/segment.h"
#include "cpu/thunk.h"

enum { RAM_SIZE = 1 << 20, CODE_AT = 0x1000, DATA_AT = 0x8000, FILL = 0xcc };

struct rig {
    struct physmem *mem;
    struct cpu_model model;
    struct cpu *cpu;
    uint8_t *ram;
    unsigned ferr_count;
};

static void on_ferr(void *ctx)
{
    struct rig *rig = ctx;

    rig->ferr_count++;
}
static const struct cpu_ops ops = {.ferr = on_ferr};

static int setup(void **state)
{
    static struct rig rig;
    char message[256];
    const struct segment code = {.limit = 0xffffffff,
                                 .selector = 8,
                                 .attr = SEG_P | SEG_S | SEG_CODE | SEG_WRITE | SEG_ACCESSED |
                                         SEG_DB | SEG_G};
    struct segment data = code;

    memset(&rig, 0, sizeof rig);
    rig.mem = physmem_create(RAM_SIZE, 36);
    assert_non_null(rig.mem);
    assert_int_equal(physmem_map(rig.mem, 0, RAM_SIZE, 0, true), 0);
    rig.ram = physmem_backing(rig.mem, 0);
    assert_true(cpu_model_parse("max", 1000000000, &rig.model, message, sizeof message));
    rig.model.has[XSAVE_] = rig.model.has[AVX_] = rig.model.has[XSAVEC_] = true;
    rig.cpu = cpu_create(rig.mem, &rig.model, &ops, &rig);
    assert_non_null(rig.cpu);

    data.attr &= (uint16_t)~SEG_CODE;
    data.selector = 16;
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        rig.cpu->seg[i] = i == CS ? code : data;
        segment_update_cache(&rig.cpu->seg[i]);
    }
    rig.cpu->cr0 = CR0_PE | CR0_NE | CR0_ET | CR0_MP;
    rig.cpu->cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT;
    cpu_update_mode(rig.cpu);
    *state = &rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;

    cpu_destroy(rig->cpu);
    physmem_destroy(rig->mem);
    return 0;
}

/* Run one instruction at CODE_AT by its handler.  True: done; false: cpu->fault says why. */
static bool run_bytes(struct rig *rig, const char *bytes, size_t length)
{
    struct cpu *cpu = rig->cpu;
    struct insn in;

    assert_int_equal(decode((const uint8_t *)bytes, length, CODE32, &in), DECODE_OK);
    assert_int_equal(in.length, length);
    cpu->rip = CODE_AT + length;
    return interp_handler(cpu, &in)(cpu, &in);
}
#define RUN(rig, bytes) assert_true(run_bytes(rig, bytes, sizeof(bytes) - 1))
#define FAULTS(rig, bytes, vec)                                 \
    do {                                                        \
        assert_false(run_bytes(rig, bytes, sizeof(bytes) - 1)); \
        assert_int_equal((rig)->cpu->fault.vector, vec);        \
    } while (0)

static uint32_t get32(const struct rig *rig, unsigned at)
{
    uint32_t value;

    memcpy(&value, rig->ram + at, 4);
    return value;
}
static uint16_t get16(const struct rig *rig, unsigned at)
{
    return (uint16_t)get32(rig, at);
}
static void put32(struct rig *rig, unsigned at, uint32_t value)
{
    memcpy(rig->ram + at, &value, 4);
}

static void reset_state_is_the_manuals(void **state)
{
    const struct rig *rig = *state;
    uint16_t fcw;
    uint32_t mxcsr;

    memcpy(&fcw, rig->cpu->fpu + FPU_FCW, 2);
    memcpy(&mxcsr, rig->cpu->fpu + FPU_MXCSR, 4);
    assert_int_equal(fcw, 0x40);
    assert_int_equal(rig->cpu->fpu[FPU_FTW], 0xff);
    assert_int_equal(mxcsr, 0x1f80);
    assert_false(rig->cpu->fpu_live);
}

static void arithmetic_goes_through_memory(void **state)
{
    struct rig *rig = *state;

    rig->cpu->gpr[RBX] = DATA_AT;
    put32(rig, DATA_AT, 0x40490fdb); /* pi */
    put32(rig, DATA_AT + 4, 0x3f800000);
    RUN(rig, "\xdb\xe3");     /* fninit */
    RUN(rig, "\xd9\x03");     /* fld dword [ebx] */
    RUN(rig, "\xd8\x43\x04"); /* fadd dword [ebx+4] */
    RUN(rig, "\xd9\x5b\x08"); /* fstp dword [ebx+8] */
    assert_int_equal(get32(rig, DATA_AT + 8), 0x408487ee);
    RUN(rig, "\xf3\x0f\x10\x0b");     /* movss xmm1, [ebx] */
    RUN(rig, "\xf3\x0f\x58\x4b\x04"); /* addss xmm1, [ebx+4] */
    RUN(rig, "\xf3\x0f\x2d\xf1");     /* cvtss2si esi, xmm1 */
    assert_int_equal(rig->cpu->gpr[RSI], 4);
    RUN(rig, "\x0f\x2e\xc9"); /* ucomiss xmm1, xmm1 */
    assert_int_equal(rig->cpu->rflags & FLAGS_OSZAPC, FLAG_ZF);
}

static void pointers_never_show_host_addresses(void **state)
{
    struct rig *rig = *state;

    rig->cpu->gpr[RBX] = DATA_AT;
    RUN(rig, "\xdb\xe3");
    RUN(rig, "\xd9\x03"); /* an instruction with a data pointer */
    memset(rig->ram + DATA_AT, FILL, 1024);
    RUN(rig, "\xd9\x33"); /* fnstenv [ebx] */
    assert_int_equal(get16(rig, DATA_AT), 0x037f);
    for (unsigned i = 12; i < 26; i++)
        assert_int_equal(rig->ram[DATA_AT + i], 0);
    assert_int_equal(rig->ram[DATA_AT + 28], FILL);
    RUN(rig, "\x66\xd9\x33"); /* the 14-byte format */
    for (unsigned i = 6; i < 14; i++)
        assert_int_equal(rig->ram[DATA_AT + i], 0);
    assert_int_equal(rig->ram[DATA_AT + 14], 0);
    assert_int_equal(rig->ram[DATA_AT + 26], 0xff); /* left from before */
    RUN(rig, "\x0f\xae\x03");                       /* fxsave [ebx] */
    for (unsigned i = FPU_FOP; i < FPU_MXCSR; i++)
        assert_int_equal(rig->ram[DATA_AT + i], 0);

    /* Loading them has no effect either. */
    memset(rig->ram + DATA_AT + FPU_FOP, 0x11, FPU_MXCSR - FPU_FOP);
    RUN(rig, "\x0f\xae\x0b"); /* fxrstor [ebx] */
    RUN(rig, "\x0f\xae\x03");
    for (unsigned i = FPU_FOP; i < FPU_MXCSR; i++)
        assert_int_equal(rig->ram[DATA_AT + i], 0);
}

static void environment_round_trip(void **state)
{
    struct rig *rig = *state;

    rig->cpu->gpr[RBX] = DATA_AT;
    RUN(rig, "\xdb\xe3");
    RUN(rig, "\xd9\xe8"); /* fld1 */
    RUN(rig, "\xd9\xeb"); /* fldpi */
    RUN(rig, "\xdd\x33"); /* fnsave [ebx] */
    assert_int_equal(get16(rig, DATA_AT + 4) >> 11 & 7, 6);
    assert_int_equal(get16(rig, DATA_AT + 8), 0x0fff); /* R7, R6 valid */
    assert_int_equal(rig->cpu->fpu[FPU_FTW], 0);       /* as after FNINIT */
    RUN(rig, "\xdd\x23");                              /* frstor [ebx] */
    RUN(rig, "\x66\xdd\x33");                          /* fnsave, 94 bytes */
    assert_int_equal(get16(rig, DATA_AT + 2) >> 11 & 7, 6);
    assert_int_equal(get16(rig, DATA_AT + 14 + 8), 0x4000); /* exponent of pi */
    assert_int_equal(get16(rig, DATA_AT + 14 + 18), 0x3fff);
    RUN(rig, "\x66\xdd\x23");
    assert_int_equal(rig->cpu->fpu[FPU_FTW], 0xc0);
}

static void sse_exception_is_xm_or_ud(void **state)
{
    struct rig *rig = *state;
    uint8_t before[256];

    rig->cpu->gpr[RBX] = DATA_AT;
    put32(rig, DATA_AT, 0x1f80 & ~0x200u); /* unmask divide by zero */
    put32(rig, DATA_AT + 4, 0);
    RUN(rig, "\x0f\xae\x13");     /* ldmxcsr [ebx] */
    RUN(rig, "\xf3\x0f\x10\x03"); /* movss xmm0, [ebx] */
    memcpy(before, rig->cpu->fpu + FPU_XMM, sizeof before);
    FAULTS(rig, "\xf3\x0f\x5e\x43\x04", VEC_XM); /* divss xmm0, [ebx+4] */
    assert_memory_equal(before, rig->cpu->fpu + FPU_XMM, sizeof before);
    assert_true(fpu_mxcsr(rig->cpu) & 4);
    rig->cpu->cr4 &= ~(uint64_t)CR4_OSXMMEXCPT;
    FAULTS(rig, "\xf3\x0f\x5e\x43\x04", VEC_UD);
}

static void x87_error_waits_for_the_next_instruction(void **state)
{
    struct rig *rig = *state;

    rig->cpu->gpr[RBX] = DATA_AT;
    put32(rig, DATA_AT, 0x037b); /* divide by zero unmasked */
    RUN(rig, "\xdb\xe3");
    RUN(rig, "\xd9\x2b"); /* fldcw [ebx] */
    RUN(rig, "\xd9\xe8");
    RUN(rig, "\xd9\xee");
    RUN(rig, "\xde\xf9"); /* fdivp: raises, does not fault yet */
    FAULTS(rig, "\xd9\xe8", VEC_MF);
    FAULTS(rig, "\x9b", VEC_MF);
    FAULTS(rig, "\x0f\x6f\xc1", VEC_MF); /* movq mm0, mm1 */
    RUN(rig, "\xdf\xe0");                /* fnstsw ax does not wait */
    assert_true(rig->cpu->gpr[RAX] & FSW_ES);

    /* Without CR0.NE: FERR#, and the instruction stays to be run again. */
    rig->cpu->cr0 &= ~(uint64_t)CR0_NE;
    RUN(rig, "\xd9\xe8");
    assert_int_equal(rig->ferr_count, 1);
    assert_int_equal(rig->cpu->rip, CODE_AT);
    RUN(rig, "\xdb\xe2"); /* fnclex */
    RUN(rig, "\xd9\xe8");
    assert_int_equal(rig->cpu->rip, CODE_AT + 2);
    assert_int_equal(rig->ferr_count, 1);
}

static void suppressed_store_leaves_memory(void **state)
{
    struct rig *rig = *state;

    rig->cpu->gpr[RBX] = DATA_AT;
    put32(rig, DATA_AT, 0x037e); /* invalid unmasked */
    put32(rig, DATA_AT + 4, 0x7f800000);
    put32(rig, DATA_AT + 8, 0x12345678);
    RUN(rig, "\xdb\xe3");
    RUN(rig, "\xd9\x2b");
    RUN(rig, "\xd9\x43\x04"); /* fld infinity */
    RUN(rig, "\xdb\x5b\x08"); /* fistp dword [ebx+8] */
    assert_int_equal(get32(rig, DATA_AT + 8), 0x12345678);
    assert_true(fpu_status_word(rig->cpu) & FSW_ES);
}

static void aligned_operands_are_checked(void **state)
{
    struct rig *rig = *state;

    rig->cpu->gpr[RBX] = DATA_AT + 8;
    FAULTS(rig, "\x0f\x28\x03", VEC_GP); /* movaps xmm0, [ebx] */
    assert_int_equal(rig->cpu->fault.error, 0);
    RUN(rig, "\x0f\x10\x03");            /* movups */
    FAULTS(rig, "\x0f\x58\x03", VEC_GP); /* addps */
    FAULTS(rig, "\x0f\xae\x03", VEC_GP); /* fxsave */
    RUN(rig, "\xf3\x0f\x58\x03");        /* addss */
}

static void store_fault_leaves_the_fpu(void **state)
{
    struct rig *rig = *state;

    RUN(rig, "\xdb\xe3");
    RUN(rig, "\xd9\xe8");
    rig->cpu->seg[DS].limit = DATA_AT + 5;
    rig->cpu->seg[DS].attr &= (uint16_t)~SEG_G;
    segment_update_cache(&rig->cpu->seg[DS]);
    rig->cpu->gpr[RBX] = DATA_AT;
    FAULTS(rig, "\xdb\x3b", VEC_GP); /* fstp tbyte [ebx] */
    FAULTS(rig, "\xdd\x33", VEC_GP); /* fnsave [ebx] */
    FAULTS(rig, "\xd9\x33", VEC_GP); /* fnstenv [ebx] */
    assert_int_equal(rig->cpu->fpu[FPU_FTW], 0x80);
}

static void fxsave_in_32_bit_mode_stops_at_xmm7(void **state)
{
    struct rig *rig = *state;

    rig->cpu->gpr[RBX] = DATA_AT;
    memset(rig->ram + DATA_AT, FILL, 512);
    memset(rig->cpu->fpu + FPU_XMM, 0x77, 256);
    RUN(rig, "\x0f\xae\x03");
    assert_int_equal(rig->ram[DATA_AT + FPU_XMM + 127], 0x77);
    assert_int_equal(rig->ram[DATA_AT + FPU_XMM + 128], FILL);
    assert_int_equal(get32(rig, DATA_AT + FPU_MXCSR_MASK), 0xffff);

    /* Without CR4.OSFXSR neither XMM nor MXCSR is loaded, so nothing of them can fault. */
    memset(rig->ram + DATA_AT + FPU_XMM, 0x55, 256);
    put32(rig, DATA_AT + FPU_MXCSR, 0x10000);
    FAULTS(rig, "\x0f\xae\x0b", VEC_GP);
    rig->cpu->cr4 &= ~(uint64_t)CR4_OSFXSR;
    cpu_update_mode(rig->cpu);
    RUN(rig, "\x0f\xae\x0b");
    assert_int_equal(rig->cpu->fpu[FPU_XMM], 0x77);
    rig->cpu->cr0 |= CR0_TS;
    cpu_update_mode(rig->cpu);
    FAULTS(rig, "\x0f\xae\x0b", VEC_NM);
    FAULTS(rig, "\x9b", VEC_NM);
    rig->cpu->cr0 &= ~(uint64_t)CR0_MP;
    RUN(rig, "\x9b");
}

static void mxcsr_reserved_bits_fault(void **state)
{
    struct rig *rig = *state;

    rig->cpu->gpr[RBX] = DATA_AT;
    put32(rig, DATA_AT, 0x20000);
    FAULTS(rig, "\x0f\xae\x13", VEC_GP);
    RUN(rig, "\x0f\xae\x1b"); /* stmxcsr */
    assert_int_equal(get32(rig, DATA_AT), 0x1f80);
}

static void masked_store_touches_selected_bytes_only(void **state)
{
    struct rig *rig = *state;
    static const uint8_t mask[8] = {0x80, 0, 0xff, 0, 0, 0x7f, 0x81, 0};

    rig->cpu->gpr[RBX] = DATA_AT;
    rig->cpu->gpr[RDI] = DATA_AT + 64;
    memset(rig->ram + DATA_AT, 0x99, 8);
    memcpy(rig->ram + DATA_AT + 8, mask, 8);
    memset(rig->ram + DATA_AT + 64, FILL, 16);
    RUN(rig, "\xdb\xe3");
    RUN(rig, "\xd9\xe8");
    RUN(rig, "\x0f\x6f\x03");     /* movq mm0, [ebx] */
    RUN(rig, "\x0f\x6f\x4b\x08"); /* movq mm1, [ebx+8] */
    RUN(rig, "\x0f\x77");         /* emms */
    RUN(rig, "\xd9\xf6");         /* fdecstp: TOP = 7 */
    RUN(rig, "\x0f\xf7\xc1");     /* maskmovq mm0, mm1 */
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(rig->ram[DATA_AT + 64 + i], mask[i] & 0x80 ? 0x99 : FILL);
    /* It is an MMX instruction: registers in use, TOP = 0, contents in place. */
    assert_int_equal(rig->cpu->fpu[FPU_FTW], 0xff);
    assert_int_equal(fpu_status_word(rig->cpu) & FSW_TOP, 0);
    assert_int_equal(rig->cpu->fpu[FPU_ST], 0x99);
}

/* Between fpu_load and fpu_save nothing may use vector registers. */
__attribute__((target("general-regs-only"))) static bool run_live(struct cpu *cpu,
                                                                  const struct insn *in)
{
    bool ok, live;

    fpu_load(cpu);
    ok = interp_handler(cpu, in)(cpu, in);
    live = cpu->fpu_live;
    fpu_save(cpu);
    return ok && live;
}

static void live_state_stays_in_the_registers(void **state)
{
    struct rig *rig = *state;
    struct insn in;

#ifdef RINGER_SANITIZED
    skip(); /* sanitizers call functions that use vector registers */
#endif
    RUN(rig, "\xdb\xe3");
    memset(rig->cpu->fpu + FPU_XMM, 0x21, 256);
    assert_int_equal(decode((const uint8_t *)"\x66\x0f\xef\xc0", 4, CODE32, &in), DECODE_OK);
    assert_true(run_live(rig->cpu, &in)); /* pxor xmm0, xmm0 */
    assert_int_equal(rig->cpu->fpu[FPU_XMM], 0);
    assert_int_equal(rig->cpu->fpu[FPU_XMM + 16], 0x21);
    assert_int_equal(decode((const uint8_t *)"\xd9\xeb", 2, CODE32, &in), DECODE_OK);
    assert_true(run_live(rig->cpu, &in)); /* fldpi */
    assert_int_equal(rig->cpu->fpu[FPU_FTW], 0x80);
}

static void enable_xsave(struct rig *rig)
{
    rig->cpu->cr4 |= CR4_OSXSAVE;
    rig->cpu->xcr0 = XCR0_UP_TO_AVX;
    rig->cpu->gpr[RAX] = rig->cpu->gpr[RDX] = 0xffffffff;
    cpu_update_mode(rig->cpu);
}

static void xsave_round_trip(void **state)
{
    struct rig *rig = *state;

    rig->cpu->gpr[RBX] = DATA_AT;
    FAULTS(rig, "\x0f\xae\x23", VEC_UD); /* xsave without CR4.OSXSAVE */
    if (!__builtin_cpu_supports("avx"))
        skip();
    enable_xsave(rig);
    memset(rig->ram + DATA_AT, 0, 1024);
    memset(rig->cpu->fpu + FPU_XMM, 0x31, 256);
    memset(rig->cpu->fpu + FPU_YMM, 0x32, 256);
    RUN(rig, "\x0f\xae\x23"); /* xsave [ebx] */
    assert_int_equal(get32(rig, DATA_AT + FPU_XSTATE_BV), 7);
    assert_int_equal(rig->ram[DATA_AT + FPU_XMM], 0x31);
    assert_int_equal(rig->ram[DATA_AT + FPU_YMM + 127], 0x32);
    assert_int_equal(rig->ram[DATA_AT + FPU_YMM + 128], 0);
    RUN(rig, "\xc5\xfc\x77"); /* vzeroall */
    assert_int_equal(rig->cpu->fpu[FPU_YMM], 0);
    RUN(rig, "\x0f\xae\x2b"); /* xrstor [ebx] */
    assert_int_equal(rig->cpu->fpu[FPU_YMM], 0x32);
    put32(rig, DATA_AT + FPU_XSTATE_BV, 2); /* AVX in its initial state */
    RUN(rig, "\x0f\xae\x2b");
    assert_int_equal(rig->cpu->fpu[FPU_YMM], 0);
    assert_int_equal(rig->cpu->fpu[FPU_XMM], 0x31);
    put32(rig, DATA_AT + FPU_XSTATE_BV, 8); /* not in XCR0 */
    FAULTS(rig, "\x0f\xae\x2b", VEC_GP);
    RUN(rig, "\x0f\xc7\x23"); /* xsavec [ebx] */
    assert_int_equal(get32(rig, DATA_AT + FPU_XCOMP_BV + 4), 0x80000000);
    RUN(rig, "\x0f\xae\x2b");
    put32(rig, DATA_AT + FPU_XCOMP_BV + 8, 1);
    FAULTS(rig, "\x0f\xae\x2b", VEC_GP);
}

static void gather_and_masked_loads_skip_unselected_elements(void **state)
{
    struct rig *rig = *state;
    static const uint32_t index[4] = {0, 0x40000000, 2, 0x40000000};
    static const uint32_t mask[4] = {0x80000000, 0, 0xffffffff, 0x7fffffff};

    if (!__builtin_cpu_supports("avx2"))
        skip();
    enable_xsave(rig);
    rig->model.has[AVX2_] = true;
    rig->cpu->gpr[RBX] = DATA_AT;
    put32(rig, DATA_AT, 0x1111);
    put32(rig, DATA_AT + 8, 0x3333);
    memcpy(rig->cpu->fpu + FPU_XMM + 16, index, 16);
    memcpy(rig->cpu->fpu + FPU_XMM + 32, mask, 16);
    memset(rig->cpu->fpu + FPU_XMM, 0x44, 16);
    RUN(rig, "\xc4\xe2\x69\x90\x04\x8b"); /* vpgatherdd xmm0, [ebx+xmm1*4], xmm2 */
    assert_memory_equal(rig->cpu->fpu + FPU_XMM,
                        "\x11\x11\0\0\x44\x44\x44\x44\x33\x33\0\0\x44\x44\x44\x44", 16);
    assert_int_equal(rig->cpu->fpu[FPU_XMM + 35], 0);
    memcpy(rig->cpu->fpu + FPU_XMM + 32, mask, 16);
    RUN(rig, "\xc4\xe2\x69\x2c\x03"); /* vmaskmovps xmm0, xmm2, [ebx] */
    assert_memory_equal(rig->cpu->fpu + FPU_XMM, "\x11\x11\0\0\0\0\0\0\x33\x33\0\0\0\0\0\0", 16);
}

/* ---- AVX-512 ---- */

static bool has_avx512(const struct rig *rig)
{
    return rig->model.has[AVX512F];
}

static void enable_avx512(struct rig *rig)
{
    if (!has_avx512(rig))
        skip();
    enable_xsave(rig);
    rig->cpu->xcr0 = XCR0_SUPPORTED;
    cpu_update_mode(rig->cpu);
    rig->cpu->gpr[RBX] = DATA_AT;
}

static void set_mask(struct rig *rig, unsigned reg, uint64_t value)
{
    memcpy(rig->cpu->fpu + FPU_OPMASK + 8 * reg, &value, 8);
    fpu_settle_high(rig->cpu);
}
static uint64_t get_mask(const struct rig *rig, unsigned reg)
{
    return fpu_opmask(rig->cpu, reg);
}
/* Dword `i` of a vector register. */
static void set_lane(struct rig *rig, unsigned reg, unsigned i, uint32_t value)
{
    uint8_t all[64];

    fpu_read_vector(rig->cpu, reg, 64, all);
    memcpy(all + 4 * i, &value, 4);
    fpu_write_vector(rig->cpu, reg, 64, all);
    fpu_settle_high(rig->cpu);
}
static uint32_t get_lane(const struct rig *rig, unsigned reg, unsigned i)
{
    uint8_t all[64];
    uint32_t value;

    fpu_read_vector(rig->cpu, reg, 64, all);
    memcpy(&value, all + 4 * i, 4);
    return value;
}
/* Nothing of DS beyond `bytes` bytes of the data. */
static void limit_data(struct rig *rig, unsigned bytes)
{
    rig->cpu->seg[DS].limit = DATA_AT + bytes - 1;
    rig->cpu->seg[DS].attr &= (uint16_t)~SEG_G;
    segment_update_cache(&rig->cpu->seg[DS]);
}

static void evex_wants_all_of_its_state(void **state)
{
    struct rig *rig = *state;

    enable_avx512(rig);
    RUN(rig, "\x62\xf1\x75\x48\xfe\xc2"); /* vpaddd zmm0, zmm1, zmm2 */
    rig->cpu->cr0 |= CR0_TS;
    cpu_update_mode(rig->cpu);
    FAULTS(rig, "\x62\xf1\x75\x48\xfe\xc2", VEC_NM);
    rig->cpu->xcr0 = XCR0_UP_TO_AVX;
    cpu_update_mode(rig->cpu);
    FAULTS(rig, "\x62\xf1\x75\x48\xfe\xc2", VEC_UD);
    FAULTS(rig, "\xc5\xec\x41\xcb", VEC_UD); /* kandw */
    rig->cpu->xcr0 = XCR0_SUPPORTED;
    rig->cpu->cr0 &= ~(uint64_t)CR0_TS;
    cpu_update_mode(rig->cpu);
    rig->model.has[AVX512VL] = false;
    RUN(rig, "\x62\xf1\x75\x48\xfe\xc2");
    FAULTS(rig, "\x62\xf1\x75\x28\xfe\xc2", VEC_UD); /* ymm */
    RUN(rig, "\x62\xf1\x76\x08\x58\xc2");            /* vaddss has one length */
    RUN(rig, "\x62\xf1\x74\x38\x58\xc2");            /* vaddps {rd-sae} is 512 bits */
}

static void masked_off_elements_do_not_fault(void **state)
{
    struct rig *rig = *state;

    enable_avx512(rig);
    for (unsigned i = 0; i < 16; i++)
        put32(rig, DATA_AT + 4 * i, 100 + i);
    limit_data(rig, 20); /* five elements */
    set_mask(rig, 1, 0x15);
    set_lane(rig, 0, 1, 7);
    RUN(rig, "\x62\xf1\x7e\x49\x6f\x03"); /* vmovdqu32 zmm0{k1}, [ebx] */
    assert_int_equal(get_lane(rig, 0, 0), 100);
    assert_int_equal(get_lane(rig, 0, 1), 7);
    assert_int_equal(get_lane(rig, 0, 4), 104);
    RUN(rig, "\x62\xf1\x7e\xc9\x6f\x03"); /* {z} */
    assert_int_equal(get_lane(rig, 0, 1), 0);
    set_mask(rig, 1, 0x35);
    FAULTS(rig, "\x62\xf1\x7e\x49\x6f\x03", VEC_GP);
    set_mask(rig, 1, 0);
    RUN(rig, "\x62\xf1\x75\x59\xfe\x43\x10"); /* vpaddd zmm0{k1}, zmm1, [ebx+64]{1to16} */

    /* Stores, too; nothing is stored when one of them faults. */
    set_mask(rig, 1, 0x12);
    set_lane(rig, 2, 1, 55);
    RUN(rig, "\x62\xf1\x7e\x49\x7f\x13"); /* vmovdqu32 [ebx]{k1}, zmm2 */
    assert_int_equal(get32(rig, DATA_AT), 100);
    assert_int_equal(get32(rig, DATA_AT + 4), 55);
    assert_int_equal(get32(rig, DATA_AT + 16), 0);
    set_mask(rig, 1, 0x801);
    FAULTS(rig, "\x62\xf1\x7e\x49\x7f\x13", VEC_GP);
    assert_int_equal(get32(rig, DATA_AT), 100);
    /* Without fault suppression the operand is accessed whole. */
    set_mask(rig, 1, 1);
    FAULTS(rig, "\x62\xf1\x75\x49\x62\x03", VEC_GP); /* vpunpckldq zmm0{k1}, zmm1, [ebx] */
}

static void compressed_elements_are_as_many_as_the_mask_has_bits(void **state)
{
    struct rig *rig = *state;

    enable_avx512(rig);
    memset(rig->ram + DATA_AT, FILL, 64);
    limit_data(rig, 12);
    for (unsigned i = 0; i < 16; i++)
        set_lane(rig, 3, i, 200 + i);
    set_mask(rig, 2, 0x8102);
    RUN(rig, "\x62\xf2\x7d\x4a\x8b\x1b"); /* vpcompressd [ebx]{k2}, zmm3 */
    assert_int_equal(get32(rig, DATA_AT), 201);
    assert_int_equal(get32(rig, DATA_AT + 4), 208);
    assert_int_equal(get32(rig, DATA_AT + 8), 215);
    assert_int_equal(rig->ram[DATA_AT + 12], FILL);
    RUN(rig, "\x62\xf2\x7d\xca\x89\x23"); /* vpexpandd zmm4{k2}{z}, [ebx] */
    assert_int_equal(get_lane(rig, 4, 0), 0);
    assert_int_equal(get_lane(rig, 4, 8), 208);
    assert_int_equal(get_lane(rig, 4, 15), 215);
    set_mask(rig, 2, 0x8103);
    FAULTS(rig, "\x62\xf2\x7d\x4a\x8b\x1b", VEC_GP);
    FAULTS(rig, "\x62\xf2\x7d\xca\x89\x23", VEC_GP);
    set_mask(rig, 2, 0);
    rig->cpu->gpr[RBX] = DATA_AT + 0x1000;
    RUN(rig, "\x62\xf2\x7d\x4a\x8b\x1b");
    RUN(rig, "\x62\xf2\x7d\xca\x89\x23");
}

static void gathers_and_scatters_go_on_where_they_faulted(void **state)
{
    struct rig *rig = *state;

    enable_avx512(rig);
    for (unsigned i = 0; i < 4; i++)
        put32(rig, DATA_AT + 4 * i, 300 + i);
    limit_data(rig, 16);
    for (unsigned i = 0; i < 16; i++) {
        set_lane(rig, 1, i, i == 5 ? 0x1000 : i % 4); /* indices */
        set_lane(rig, 0, i, 1);
    }
    set_mask(rig, 1, 0xf2a9);
    FAULTS(rig, "\x62\xf2\x7d\x49\x90\x04\x8b", VEC_GP); /* vpgatherdd zmm0{k1}, [ebx+zmm1*4] */
    assert_int_equal(get_mask(rig, 1), 0xf2a0);
    assert_int_equal(get_lane(rig, 0, 0), 300);
    assert_int_equal(get_lane(rig, 0, 3), 303);
    assert_int_equal(get_lane(rig, 0, 5), 1);
    set_lane(rig, 1, 5, 2);
    RUN(rig, "\x62\xf2\x7d\x49\x90\x04\x8b");
    assert_int_equal(get_mask(rig, 1), 0);
    assert_int_equal(get_lane(rig, 0, 5), 302);
    assert_int_equal(get_lane(rig, 0, 6), 1);
    assert_int_equal(get_lane(rig, 0, 15), 303);

    /* The last of several elements for one place wins; those before a fault are stored. */
    for (unsigned i = 0; i < 16; i++)
        set_lane(rig, 2, i, 400 + i);
    set_lane(rig, 1, 9, 0x1000);
    set_mask(rig, 1, 0xffff);
    FAULTS(rig, "\x62\xf2\x7d\x49\xa0\x14\x8b", VEC_GP); /* vpscatterdd [ebx+zmm1*4]{k1}, zmm2 */
    assert_int_equal(get_mask(rig, 1), 0xfe00);
    assert_int_equal(get32(rig, DATA_AT), 408);
    assert_int_equal(get32(rig, DATA_AT + 4), 401);
    set_lane(rig, 1, 9, 1);
    RUN(rig, "\x62\xf2\x7d\x49\xa0\x14\x8b");
    assert_int_equal(get_mask(rig, 1), 0);
    assert_int_equal(get32(rig, DATA_AT), 412);
}

static void narrower_writes_clear_the_rest_of_the_register(void **state)
{
    struct rig *rig = *state;

    enable_avx512(rig);
    for (unsigned i = 0; i < 3; i++)
        set_lane(rig, i, 15, 9);
    assert_int_equal(fpu_high_used(rig->cpu), XCR0_ZMM_HIGH);
    RUN(rig, "\xc5\xf0\x58\xc2"); /* vaddps xmm0, xmm1, xmm2 */
    assert_int_equal(get_lane(rig, 0, 15), 0);
    assert_int_equal(get_lane(rig, 1, 15), 9);
    RUN(rig, "\x0f\x58\xca"); /* addps xmm1, xmm2 leaves it */
    assert_int_equal(get_lane(rig, 1, 15), 9);
    RUN(rig, "\xc5\xf8\x77"); /* vzeroupper */
    assert_int_equal(get_lane(rig, 1, 15), 0);
    assert_int_equal(fpu_high_used(rig->cpu), 0);
}

static void high_state_survives_host_code_that_uses_it(void **state)
{
    struct rig *rig = *state;
    uint8_t before[FPU_SIZE - FPU_OPMASK];

    enable_avx512(rig);
    for (unsigned i = 0; i < sizeof before; i++)
        rig->cpu->fpu[FPU_OPMASK + i] = (uint8_t)(i * 7 + 1);
    fpu_settle_high(rig->cpu);
    memcpy(before, rig->cpu->fpu + FPU_OPMASK, sizeof before);
    for (unsigned i = 0; i < 2; i++) {
        fpu_load(rig->cpu);
        fpu_save(rig->cpu);
        assert_memory_equal(rig->cpu->fpu + FPU_OPMASK, before, sizeof before);
        assert_int_equal(fpu_high_used(rig->cpu), XCR0_AVX512);
        /* As string functions of the host's library do. */
        __asm__ volatile(".byte 0x62, 0xb3, 0x5d, 0x40, 0x25, 0xe4, 0xff\n\t" /* zmm4, zmm20 = ~0 */
                         ".byte 0x62, 0xa3, 0x5d, 0x40, 0x25, 0xe4, 0xff\n\t"
                         ".byte 0xc4, 0xe1, 0xf4, 0x46, 0xc9\n\t" /* kxnorq k1, k1, k1 */
                         "vzeroupper" ::
                             : "memory");
    }
    /* Nothing of it is left for a guest that has not used it. */
    memset(rig->cpu->fpu + FPU_OPMASK, 0, sizeof before);
    fpu_settle_high(rig->cpu);
    fpu_load(rig->cpu);
    fpu_save(rig->cpu);
    assert_int_equal(fpu_high_used(rig->cpu), 0);
    assert_true(rig->cpu->fpu[FPU_OPMASK + 8] == 0 && rig->cpu->fpu[FPU_ZMM16 + 256] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(reset_state_is_the_manuals),
        TEST(arithmetic_goes_through_memory),
        TEST(pointers_never_show_host_addresses),
        TEST(environment_round_trip),
        TEST(sse_exception_is_xm_or_ud),
        TEST(x87_error_waits_for_the_next_instruction),
        TEST(suppressed_store_leaves_memory),
        TEST(aligned_operands_are_checked),
        TEST(store_fault_leaves_the_fpu),
        TEST(fxsave_in_32_bit_mode_stops_at_xmm7),
        TEST(mxcsr_reserved_bits_fault),
        TEST(masked_store_touches_selected_bytes_only),
        TEST(live_state_stays_in_the_registers),
        TEST(xsave_round_trip),
        TEST(gather_and_masked_loads_skip_unselected_elements),
        TEST(evex_wants_all_of_its_state),
        TEST(masked_off_elements_do_not_fault),
        TEST(compressed_elements_are_as_many_as_the_mask_has_bits),
        TEST(gathers_and_scatters_go_on_where_they_faulted),
        TEST(narrower_writes_clear_the_rest_of_the_register),
        TEST(high_state_survives_host_code_that_uses_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
