/*
 * tests/cpu/test_decode.c -- struct insn in detail, and decode() against capstone on a sample of
 * all opcode maps and of random bytes (more of both: tests/fuzz/fuzz_decode.c).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/cpu/decode_inputs.h"

enum { SAMPLE_RANDOM = 400000, SAMPLE_STEP = 23 };

/* Decode bytes that must be valid and used up. */
#define INSN_OK(mode, ...) \
    decode_ok((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), mode)
/* The status of bytes that are followed by what makes any instruction long enough. */
#define STATUS(mode, ...) \
    decode_status_of((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), mode)

static struct insn decode_ok(const uint8_t *bytes, size_t size, enum code_size mode)
{
    struct insn in;

    assert_int_equal(decode(bytes, size, mode, &in), DECODE_OK);
    assert_int_equal(in.length, size);
    assert_int_equal(in.code_size, mode);
    return in;
}

static enum decode_status decode_status_of(const uint8_t *bytes, size_t size, enum code_size mode)
{
    uint8_t padded[32] = {0};
    struct insn in;

    memcpy(padded, bytes, size);
    return decode(padded, sizeof padded, mode, &in);
}

static void assert_row(const struct insn *in, const char *mnemonic)
{
    assert_string_equal(insn_row(in)->mnemonic, mnemonic);
}

static void assert_operand(const struct insn *in, unsigned i, enum operand_kind kind, unsigned reg,
                           unsigned size)
{
    assert_int_equal(in->ops[i].kind, kind);
    if (kind != OPERAND_MEM && kind != OPERAND_IMM && kind != OPERAND_REL)
        assert_int_equal(in->ops[i].reg, reg);
    assert_int_equal(in->ops[i].size, size);
}

static void assert_memory(const struct insn *in, enum seg seg, unsigned base, unsigned index,
                          unsigned scale, int64_t disp)
{
    assert_true(in->has_mem);
    assert_int_equal(in->seg, seg);
    assert_int_equal(in->base, base);
    assert_int_equal(in->index, index);
    assert_int_equal(in->scale, scale);
    assert_int_equal(in->disp, disp);
}

static void test_operand_sizes(void **state)
{
    struct insn in;

    (void)state;
    in = INSN_OK(CODE32, 0x01, 0xd8); /* add eax, ebx */
    assert_row(&in, "add");
    assert_int_equal(in.width, 4);
    assert_operand(&in, 0, OPERAND_GPR, RAX, 4);
    assert_operand(&in, 1, OPERAND_GPR, RBX, 4);
    assert_operand(&in, 2, OPERAND_NONE, 0, 0);
    in = INSN_OK(CODE16, 0x01, 0xd8);
    assert_int_equal(in.width, 2);
    in = INSN_OK(CODE16, 0x66, 0x01, 0xd8);
    assert_int_equal(in.width, 4);
    assert_true(in.prefixes & PREFIX_66);
    in = INSN_OK(CODE64, 0x66, 0x48, 0x01, 0xd8); /* REX.W beats 66 */
    assert_int_equal(in.width, 8);
    in = INSN_OK(CODE64, 0x48, 0x66, 0x01, 0xd8); /* a REX before another prefix is ignored */
    assert_int_equal(in.width, 2);
    assert_int_equal(in.rex, 0);
    assert_false(in.prefixes & PREFIX_REX);
    in = INSN_OK(CODE32, 0x0f, 0xb6, 0xc4); /* movzx eax, ah */
    assert_int_equal(in.width, 4);
    assert_operand(&in, 1, OPERAND_GPR8H, 0, 1);
    in = INSN_OK(CODE32, 0x88, 0x27); /* mov [edi], ah */
    assert_int_equal(in.width, 1);
    assert_operand(&in, 0, OPERAND_MEM, 0, 1);
    in = INSN_OK(CODE64, 0x40, 0x88, 0xe0); /* mov al, spl */
    assert_operand(&in, 1, OPERAND_GPR, RSP, 1);
    in = INSN_OK(CODE64, 0x45, 0x8a, 0xf7); /* mov r14b, r15b */
    assert_operand(&in, 0, OPERAND_GPR, R14, 1);
    assert_operand(&in, 1, OPERAND_GPR, R15, 1);
    in = INSN_OK(CODE64, 0x50); /* push rax */
    assert_int_equal(in.width, 8);
    assert_operand(&in, 0, OPERAND_GPR, RAX, 8);
    in = INSN_OK(CODE64, 0x66, 0x41, 0x57); /* push r15w */
    assert_operand(&in, 0, OPERAND_GPR, R15, 2);
    in = INSN_OK(CODE64, 0x98); /* cwde */
    assert_int_equal(in.width, 4);
    in = INSN_OK(CODE16, 0x66, 0x0f, 0x38, 0xf6, 0xc1); /* adcx eax, ecx: 66 is not a size */
    assert_row(&in, "adcx");
    assert_int_equal(in.width, 4);
    in = INSN_OK(CODE32, 0x66, 0xf2, 0x0f, 0x38, 0xf1, 0xc1); /* crc32 eax, cx */
    assert_operand(&in, 0, OPERAND_GPR, RAX, 4);
    assert_operand(&in, 1, OPERAND_GPR, RCX, 2);
    in = INSN_OK(CODE32, 0x8c, 0xd8); /* mov eax, ds */
    assert_operand(&in, 0, OPERAND_GPR, RAX, 4);
    assert_operand(&in, 1, OPERAND_SEG, DS, 2);
    in = INSN_OK(CODE32, 0x8c, 0x18); /* mov [eax], ds */
    assert_operand(&in, 0, OPERAND_MEM, 0, 2);
}

static void test_addresses(void **state)
{
    struct insn in;

    (void)state;
    in = INSN_OK(CODE16, 0x8b, 0x42, 0xfe); /* mov ax, [bp+si-2] */
    assert_int_equal(in.addr_size, 2);
    assert_memory(&in, SS, RBP, RSI, 1, -2);
    in = INSN_OK(CODE16, 0x8b, 0x47, 0x10); /* [bx+0x10] */
    assert_memory(&in, DS, RBX, NO_REG, 1, 0x10);
    in = INSN_OK(CODE16, 0x8b, 0x06, 0x34, 0xf2); /* [0xf234] */
    assert_memory(&in, DS, NO_REG, NO_REG, 1, (int16_t)0xf234);
    in = INSN_OK(CODE16, 0x67, 0x8b, 0x44, 0x8d, 0x7f); /* [ebp+ecx*4+0x7f] */
    assert_int_equal(in.addr_size, 4);
    assert_memory(&in, SS, RBP, RCX, 4, 0x7f);
    in = INSN_OK(CODE32, 0x8b, 0x04, 0x24); /* [esp] */
    assert_memory(&in, SS, RSP, NO_REG, 1, 0);
    in = INSN_OK(CODE32, 0x8b, 0x04, 0x2d, 4, 3, 2, 1); /* [ebp*1 + 0x01020304]: DS */
    assert_memory(&in, DS, NO_REG, RBP, 1, 0x01020304);
    in = INSN_OK(CODE32, 0x36, 0x8b, 0x00); /* ss:[eax] */
    assert_memory(&in, SS, RAX, NO_REG, 1, 0);
    assert_true(in.prefixes & PREFIX_SEG);
    in = INSN_OK(CODE32, 0x26, 0x65, 0x8b, 0x00); /* the last override counts */
    assert_memory(&in, GS, RAX, NO_REG, 1, 0);
    in = INSN_OK(CODE32, 0x8b, 0x05, 4, 3, 2, 0x81);
    assert_memory(&in, DS, NO_REG, NO_REG, 1, (int32_t)0x81020304);
    assert_false(in.rip_relative);
    in = INSN_OK(CODE64, 0x8b, 0x05, 0xf0, 0xff, 0xff, 0xff); /* [rip-16] */
    assert_memory(&in, DS, NO_REG, NO_REG, 1, -16);
    assert_true(in.rip_relative);
    in = INSN_OK(CODE64, 0x8b, 0x04, 0x25, 4, 3, 2, 1); /* absolute */
    assert_false(in.rip_relative);
    assert_memory(&in, DS, NO_REG, NO_REG, 1, 0x01020304);
    in = INSN_OK(CODE64, 0x43, 0x8b, 0x04, 0x65, 0, 0, 0, 0); /* [r12*2]: X extends 100b */
    assert_memory(&in, DS, NO_REG, R12, 2, 0);
    in = INSN_OK(CODE64, 0x41, 0x8b, 0x45, 0x00); /* [r13]: DS */
    assert_memory(&in, DS, R13, NO_REG, 1, 0);
    in = INSN_OK(CODE64, 0x67, 0x8b, 0x00);
    assert_int_equal(in.addr_size, 4);
    in = INSN_OK(CODE64, 0x64, 0x2e, 0x8b, 0x00); /* null prefixes do not cancel FS */
    assert_memory(&in, FS, RAX, NO_REG, 1, 0);
    in = INSN_OK(CODE64, 0x2e, 0x8b, 0x45, 0x00); /* nor do they override */
    assert_memory(&in, SS, RBP, NO_REG, 1, 0);
    assert_false(in.prefixes & PREFIX_SEG);
    in = INSN_OK(CODE64, 0xa0, 8, 7, 6, 5, 4, 3, 2, 0x81); /* mov al, [moffs64] */
    assert_memory(&in, DS, NO_REG, NO_REG, 1, (int64_t)0x8102030405060708);
    in = INSN_OK(CODE16, 0x2e, 0xa3, 0x34, 0xf2); /* mov cs:[0xf234], ax */
    assert_memory(&in, CS, NO_REG, NO_REG, 1, 0xf234);
    in = INSN_OK(CODE32, 0x64, 0xd7); /* xlat: fs:[ebx + al] */
    assert_int_equal(in.seg, FS);
    in = INSN_OK(CODE32, 0x65, 0xa5); /* movsd es:[edi], gs:[esi] */
    assert_operand(&in, 0, OPERAND_DST, RDI, 4);
    assert_operand(&in, 1, OPERAND_SRC, RSI, 4);
    assert_int_equal(in.seg, GS);
    assert_false(in.has_mem);
}

static void test_immediates(void **state)
{
    struct insn in;

    (void)state;
    in = INSN_OK(CODE32, 0x83, 0xc0, 0xff); /* add eax, -1 */
    assert_int_equal(in.imm, UINT64_MAX);
    assert_operand(&in, 1, OPERAND_IMM, 0, 4);
    assert_int_equal(in.imm_at, 2);
    in = INSN_OK(CODE32, 0x04, 0xff); /* add al, 0xff */
    assert_int_equal(in.imm, 0xff);
    in = INSN_OK(CODE64, 0x48, 0x05, 0, 0, 0, 0x80);
    assert_int_equal(in.imm, 0xffffffff80000000);
    assert_operand(&in, 1, OPERAND_IMM, 0, 8);
    in = INSN_OK(CODE64, 0x49, 0xb9, 8, 7, 6, 5, 4, 3, 2, 1); /* mov r9, imm64 */
    assert_operand(&in, 0, OPERAND_GPR, R9, 8);
    assert_int_equal(in.imm, 0x0102030405060708);
    in = INSN_OK(CODE64, 0x68, 0, 0, 0, 0x80); /* push */
    assert_int_equal(in.imm, 0xffffffff80000000);
    assert_int_equal(in.width, 8);
    in = INSN_OK(CODE32, 0xc8, 0x34, 0x12, 0x07); /* enter 0x1234, 7 */
    assert_int_equal(in.imm, 0x1234);
    assert_int_equal(in.imm2, 7);
    assert_int_equal(in.width, 4); /* the nesting level is not the operand */
    assert_int_equal(in.ops[1].kind, OPERAND_IMM2);
    in = INSN_OK(CODE32, 0xea, 4, 3, 2, 1, 8, 0); /* jmp far */
    assert_int_equal(in.ops[0].kind, OPERAND_FAR);
    assert_int_equal(in.imm, 0x01020304);
    assert_int_equal(in.imm2, 8);
    in = INSN_OK(CODE16, 0x9a, 4, 0xf3, 8, 0);
    assert_int_equal(in.imm, 0xf304);
    assert_int_equal(in.width, 2);
    in = INSN_OK(CODE32, 0x75, 0xfe); /* jne . */
    assert_int_equal(in.imm, UINT64_MAX - 1);
    assert_int_equal(in.ops[0].kind, OPERAND_REL);
    assert_int_equal(insn_row(&in)->flags_read, FLAG_ZF);
    in = INSN_OK(CODE32, 0x66, 0xe8, 0x00, 0x80);
    assert_int_equal(in.width, 2);
    assert_int_equal((int64_t)in.imm, -0x8000);
    in = INSN_OK(CODE64, 0x66, 0xe8, 0, 0, 0, 0x80); /* 66 is ignored [SDM 2A "CALL"] */
    assert_int_equal(in.width, 8);
    in = INSN_OK(CODE32, 0xd1, 0xe0); /* shl eax, 1 */
    assert_operand(&in, 1, OPERAND_IMM, 0, 1);
    assert_int_equal(in.imm, 1);
    in = INSN_OK(CODE32, 0xf7, 0x05, 1, 0, 0, 0, 2, 0, 0, 0); /* test [1], 2 */
    assert_int_equal(in.disp, 1);
    assert_int_equal(in.imm, 2);
    assert_int_equal(in.imm_at, 6);
    assert_int_equal(in.modrm_at, 1);
}

static void test_prefixes(void **state)
{
    struct insn in;

    (void)state;
    in = INSN_OK(CODE32, 0xf0, 0x01, 0x00); /* lock add [eax], eax */
    assert_true(in.prefixes & PREFIX_LOCK);
    assert_int_equal(STATUS(CODE32, 0xf0, 0x01, 0xc0), DECODE_INVALID); /* register */
    assert_int_equal(STATUS(CODE32, 0xf0, 0x03, 0x00), DECODE_INVALID); /* memory is the source */
    assert_int_equal(STATUS(CODE32, 0xf0, 0x38, 0x00), DECODE_INVALID); /* cmp */
    assert_int_equal(STATUS(CODE32, 0xf0, 0x89, 0x00), DECODE_INVALID); /* mov */
    assert_int_equal(STATUS(CODE32, 0xf0, 0x90), DECODE_INVALID);
    INSN_OK(CODE32, 0xf0, 0x87, 0x00);       /* xchg */
    INSN_OK(CODE32, 0xf0, 0x0f, 0xc7, 0x08); /* cmpxchg8b */

    in = INSN_OK(CODE32, 0xf3, 0xa4);
    assert_true(in.prefixes & PREFIX_REP);
    in = INSN_OK(CODE32, 0xf3, 0xf2, 0xae); /* the last one counts */
    assert_int_equal(in.prefixes & (PREFIX_REP | PREFIX_REPNE), PREFIX_REPNE);
    in = INSN_OK(CODE32, 0xf3, 0x0f, 0x58, 0xc1); /* addss: F3 is opcode */
    assert_row(&in, "addss");
    assert_false(in.prefixes & PREFIX_REP);
    in = INSN_OK(CODE32, 0xf2, 0x66, 0x0f, 0x58, 0xc1); /* F2 beats 66 */
    assert_row(&in, "addsd");
    in = INSN_OK(CODE32, 0xf3, 0xf2, 0x0f, 0x58, 0xc1);
    assert_row(&in, "addsd");
    assert_int_equal(STATUS(CODE32, 0xf3, 0x0f, 0x54, 0xc1), DECODE_INVALID); /* andps */
    in = INSN_OK(CODE32, 0xf3, 0x01, 0xc0); /* meaningless, harmless */
    assert_row(&in, "add");
    in = INSN_OK(CODE32, 0x3e, 0x66, 0x67, 0x8b, 0x07);
    assert_int_equal(in.opcode_at, 3);
    assert_int_equal(in.width, 2);
    assert_int_equal(in.addr_size, 2);
}

static void test_aliases(void **state)
{
    struct insn in;

    (void)state;
    in = INSN_OK(CODE64, 0x90);
    assert_row(&in, "nop");
    in = INSN_OK(CODE64, 0x48, 0x90);
    assert_row(&in, "nop");
    in = INSN_OK(CODE64, 0x41, 0x90);
    assert_row(&in, "xchg");
    assert_operand(&in, 0, OPERAND_GPR, R8, 4);
    in = INSN_OK(CODE32, 0xf3, 0x90);
    assert_row(&in, "pause");
    in = INSN_OK(CODE64, 0x48, 0x63, 0xc1);
    assert_row(&in, "movsxd");
    in = INSN_OK(CODE32, 0x63, 0xc1);
    assert_row(&in, "arpl");
    in = INSN_OK(CODE32, 0x40);
    assert_row(&in, "inc");
    in = INSN_OK(CODE32, 0x82, 0xc0, 0xff);
    assert_row(&in, "add");
    assert_int_equal(STATUS(CODE64, 0x82, 0xc0, 0xff), DECODE_INVALID);
    in = INSN_OK(CODE32, 0xf6, 0xc8, 0x01);
    assert_row(&in, "test");
    in = INSN_OK(CODE32, 0xd0, 0xf0);
    assert_row(&in, "shl");
    in = INSN_OK(CODE32, 0xd6);
    assert_row(&in, "salc");
    in = INSN_OK(CODE32, 0xf1);
    assert_row(&in, "int1");
    in = INSN_OK(CODE32, 0xf3, 0x0f, 0xbc, 0xc1);
    assert_row(&in, "tzcnt");
    in = INSN_OK(CODE32, 0xf2, 0x0f, 0xbc, 0xc1);
    assert_row(&in, "bsf");
    in = INSN_OK(CODE32, 0x0f, 0x1f, 0x44, 0x00, 0x00);
    assert_row(&in, "nop");
    in = INSN_OK(CODE64, 0xf3, 0x0f, 0x1e, 0xfa); /* endbr64 */
    assert_row(&in, "nop");
    in = INSN_OK(CODE32, 0xdf, 0xc3);
    assert_row(&in, "ffreep");
    assert_operand(&in, 0, OPERAND_ST, 3, 10);
    in = INSN_OK(CODE64, 0x48, 0x0f, 0xc7, 0x08);
    assert_row(&in, "cmpxchg16b");
    assert_operand(&in, 0, OPERAND_MEM, 0, 16);
    in = INSN_OK(CODE32, 0x0f, 0x20, 0x00); /* mov eax, cr0: mod is ignored */
    assert_operand(&in, 0, OPERAND_GPR, RAX, 4);
    assert_operand(&in, 1, OPERAND_CR, 0, 4);
    assert_false(in.has_mem);
    in = INSN_OK(CODE64, 0x44, 0x0f, 0x22, 0xc7); /* mov cr8, rdi */
    assert_operand(&in, 0, OPERAND_CR, 8, 8);
    assert_int_equal(STATUS(CODE32, 0x0f, 0x20, 0xc8), DECODE_INVALID); /* cr1 */
    assert_int_equal(STATUS(CODE32, 0x8e, 0xc8), DECODE_INVALID);       /* mov cs, ax */
    assert_int_equal(STATUS(CODE32, 0x8c, 0xf0), DECODE_INVALID);       /* segment register 6 */
    assert_int_equal(STATUS(CODE32, 0x0f, 0xff, 0xc0), DECODE_OK);      /* ud0 */
    assert_int_equal(STATUS(CODE64, 0x06), DECODE_INVALID);
    assert_int_equal(STATUS(CODE32, 0xff, 0xf8), DECODE_INVALID);
    assert_int_equal(STATUS(CODE32, 0xff, 0xd8), DECODE_INVALID); /* call far eax */
    assert_int_equal(STATUS(CODE32, 0x8d, 0xc0), DECODE_INVALID); /* lea eax, eax */
}

static void test_vex(void **state)
{
    struct insn in;

    (void)state;
    in = INSN_OK(CODE64, 0xc5, 0xec, 0x58, 0xcb); /* vaddps ymm1, ymm2, ymm3 */
    assert_row(&in, "vaddps");
    assert_true(in.prefixes & PREFIX_VEX);
    assert_int_equal(in.vex_l, 1);
    assert_operand(&in, 0, OPERAND_VEC, 1, 32);
    assert_operand(&in, 1, OPERAND_VEC, 2, 32);
    assert_operand(&in, 2, OPERAND_VEC, 3, 32);
    in = INSN_OK(CODE64, 0xc4, 0x42, 0xb0, 0xf2, 0xd3); /* andn r10, r9, r11 */
    assert_row(&in, "andn");
    assert_int_equal(in.rex, 0x40 | 8 | 4 | 1);
    assert_operand(&in, 0, OPERAND_GPR, R10, 8);
    assert_operand(&in, 1, OPERAND_GPR, R9, 8);
    assert_operand(&in, 2, OPERAND_GPR, R11, 8);
    in = INSN_OK(CODE32, 0xc4, 0xc2, 0xf0, 0xf2, 0xd3); /* 32-bit: B, W mean nothing */
    assert_operand(&in, 0, OPERAND_GPR, RDX, 4);
    assert_operand(&in, 2, OPERAND_GPR, RBX, 4);
    in = INSN_OK(CODE32, 0xc4, 0xe1, 0x38, 0x58, 0xc1); /* nor does the top of a used vvvv */
    assert_operand(&in, 1, OPERAND_VEC, 0, 16);
    assert_int_equal(STATUS(CODE32, 0xc4, 0xe1, 0x38, 0x10, 0xc1), DECODE_INVALID); /* unused */
    in = INSN_OK(CODE64, 0xc4, 0xe3, 0x69, 0x4a, 0xcb, 0x90); /* vblendvps, xmm9 in the immediate */
    assert_operand(&in, 3, OPERAND_VEC, 9, 16);
    in = INSN_OK(CODE64, 0xc4, 0xe2, 0x69, 0x92, 0x0c,
                 0xa0); /* vgatherdps xmm1, [rax+xmm4*4], xmm2 */
    assert_int_equal(in.vsib, 4);
    assert_memory(&in, DS, RAX, 4, 4, 0);
    assert_operand(&in, 1, OPERAND_MEM, 0, 4);
    assert_int_equal(STATUS(CODE64, 0xc4, 0xe2, 0x69, 0x92, 0x0c, 0x90), DECODE_INVALID);
    assert_int_equal(STATUS(CODE64, 0xc4, 0xe2, 0x69, 0x92, 0x08), DECODE_INVALID); /* no SIB */
    in = INSN_OK(CODE32, 0xc5, 0x00); /* lds eax, [eax] */
    assert_row(&in, "lds");
    assert_operand(&in, 1, OPERAND_MEM, 0, 6);
    in = INSN_OK(CODE16, 0xc4, 0x07);
    assert_row(&in, "les");
    assert_operand(&in, 1, OPERAND_MEM, 0, 4);
    in = INSN_OK(CODE16, 0xc5, 0xf8, 0x77); /* bytes are the same in real mode; #UD comes later */
    assert_row(&in, "vzeroupper");
    assert_true(insn_row(&in)->traits & PROTECTED);
    assert_int_equal(STATUS(CODE64, 0x66, 0xc5, 0xf8, 0x77), DECODE_INVALID);
    assert_int_equal(STATUS(CODE64, 0x48, 0xc5, 0xf8, 0x77), DECODE_INVALID);
    assert_int_equal(STATUS(CODE64, 0xc5, 0xe8, 0x77), DECODE_INVALID);       /* vvvv */
    assert_int_equal(STATUS(CODE64, 0xc5, 0xfd, 0x6e, 0xc0), DECODE_INVALID); /* vmovd, L = 1 */
    assert_int_equal(STATUS(CODE64, 0xc4, 0xe4, 0x78, 0x10, 0xc0), DECODE_INVALID); /* map 4 */
    assert_int_equal(STATUS(CODE32, 0x62, 0xc0), DECODE_INVALID); /* bound needs memory */
}

static void test_evex(void **state)
{
    struct insn in;

    (void)state;
    in = INSN_OK(CODE64, 0x62, 0xa1, 0x74, 0x47, 0x58, 0xc2); /* vaddps zmm16{k7}, zmm17, zmm18 */
    assert_row(&in, "vaddps");
    assert_operand(&in, 0, OPERAND_VEC, 16, 64);
    assert_operand(&in, 1, OPERAND_VEC, 17, 64);
    assert_operand(&in, 2, OPERAND_VEC, 18, 64);
    assert_int_equal(in.evex, EVEX_PREFIX);
    assert_int_equal(in.mask, 7);
    in = INSN_OK(CODE64, 0x62, 0xf1, 0x74, 0xc9, 0x58, 0x50, 0x01); /* {k1}{z}, [rax+64] */
    assert_memory(&in, DS, RAX, NO_REG, 1, 64);
    assert_operand(&in, 2, OPERAND_MEM, 0, 64);
    assert_int_equal(in.evex, EVEX_PREFIX | EVEX_ZEROING);
    assert_int_equal(in.lanes, 16);
    assert_int_equal(in.lane_bytes, 4);
    in = INSN_OK(CODE64, 0x62, 0xf1, 0x74, 0x38, 0x58, 0x50, 0xff); /* ymm, [rax-4]{1to8} */
    assert_memory(&in, DS, RAX, NO_REG, 1, -4);
    assert_operand(&in, 2, OPERAND_MEM, 0, 4);
    assert_int_equal(in.evex, EVEX_PREFIX | EVEX_BROADCAST | EVEX_SHORT);
    in = INSN_OK(CODE64, 0x62, 0xf1, 0x74, 0x78, 0x58, 0xd3); /* {rz-sae} */
    assert_operand(&in, 0, OPERAND_VEC, 2, 64);
    assert_int_equal(in.evex, EVEX_PREFIX | EVEX_ROUNDING);
    assert_int_equal(in.rounding, 3);
    in = INSN_OK(CODE16, 0x62, 0xf2, 0x7e, 0x48, 0x31, 0x48, 0x01); /* vpmovdb [bx+si+16], zmm1 */
    assert_memory(&in, DS, RBX, RSI, 1, 16);
    in = INSN_OK(CODE64, 0x62, 0xf2, 0x7d, 0x48, 0x8a, 0x48, 0x01); /* vcompressps [rax+4], zmm1 */
    assert_memory(&in, DS, RAX, NO_REG, 1, 4);
    in = INSN_OK(CODE64, 0x62, 0xf2, 0x7d, 0x41, 0x90, 0x0c, 0xa0); /* zmm1{k1}, [rax+zmm20*4] */
    assert_row(&in, "vpgatherdd");
    assert_memory(&in, DS, RAX, 20, 4, 0);
    in = INSN_OK(CODE32, 0x62, 0xf1, 0x74, 0x48, 0x58, 0xc2);
    assert_row(&in, "vaddps");
    in = INSN_OK(CODE32, 0x62, 0x08); /* bound ecx, [eax] */
    assert_row(&in, "bound");
    in = INSN_OK(CODE64, 0xc5, 0xec, 0x41, 0xcb); /* kandw k1, k2, k3 */
    assert_row(&in, "kandw");
    assert_operand(&in, 1, OPERAND_MASK, 2, 8);

    assert_int_equal(STATUS(CODE64, 0x62, 0xf9, 0x74, 0x48, 0x58, 0xc2),
                     DECODE_INVALID); /* P0[3] */
    assert_int_equal(STATUS(CODE64, 0x62, 0xf1, 0x70, 0x48, 0x58, 0xc2),
                     DECODE_INVALID); /* P1[2] */
    assert_int_equal(STATUS(CODE64, 0x62, 0xf5, 0x74, 0x48, 0x58, 0xc2),
                     DECODE_INVALID); /* map 5 */
    assert_int_equal(STATUS(CODE64, 0x62, 0xf1, 0x74, 0x68, 0x58, 0xc2),
                     DECODE_INVALID); /* LL = 3 */
    assert_int_equal(STATUS(CODE64, 0x62, 0xf1, 0x74, 0xc8, 0x58, 0xc2),
                     DECODE_INVALID); /* {z} alone */
    assert_int_equal(STATUS(CODE64, 0x62, 0xf1, 0x7c, 0xc9, 0x11, 0x00),
                     DECODE_INVALID); /* {z} store */
    assert_int_equal(STATUS(CODE64, 0x62, 0xf1, 0x74, 0xc9, 0xc2, 0xc2, 0),
                     DECODE_INVALID); /* k{z} */
    assert_int_equal(STATUS(CODE64, 0x62, 0xf1, 0x7c, 0x58, 0x10, 0x00),
                     DECODE_INVALID); /* vmovups b */
    assert_int_equal(STATUS(CODE64, 0x62, 0xf1, 0x75, 0x58, 0xfe, 0xc2),
                     DECODE_INVALID); /* no {er} */
    assert_int_equal(STATUS(CODE64, 0x62, 0xf1, 0x74, 0x48, 0x10, 0xc2), DECODE_INVALID); /* vvvv */
    assert_int_equal(STATUS(CODE64, 0x62, 0xf1, 0x7c, 0x40, 0x10, 0xc2), DECODE_INVALID); /* V' */
    assert_int_equal(STATUS(CODE32, 0x62, 0xf1, 0x74, 0x40, 0x58, 0xc2), DECODE_INVALID); /* V' */
    assert_int_equal(STATUS(CODE64, 0x62, 0xf2, 0x7d, 0x48, 0x90, 0x0c, 0xa0),
                     DECODE_INVALID); /* k0 */
    assert_int_equal(STATUS(CODE64, 0x62, 0xf2, 0x7d, 0x41, 0x90, 0x0c, 0x80), DECODE_OK);
    assert_int_equal(STATUS(CODE64, 0x62, 0xf2, 0x7d, 0x49, 0x90, 0x0c, 0x88),
                     DECODE_INVALID); /* index = destination */
    assert_int_equal(STATUS(CODE64, 0x62, 0xf2, 0x75, 0x08, 0x36, 0xc2), DECODE_INVALID); /* xmm */
    assert_int_equal(STATUS(CODE64, 0x66, 0x62, 0xf1, 0x74, 0x48, 0x58, 0xc2), DECODE_INVALID);
    assert_int_equal(STATUS(CODE64, 0xc5, 0x6c, 0x41, 0xcb), DECODE_INVALID); /* k9 */
}

/* What decides about stores: operand 0 of each class of row. */
static void test_traits(void **state)
{
    struct insn in;

    (void)state;
    in = INSN_OK(CODE32, 0x39, 0x00);
    assert_int_equal(insn_row(&in)->traits & (READ0 | WRITE0), READ0);
    in = INSN_OK(CODE32, 0x89, 0x00);
    assert_int_equal(insn_row(&in)->traits & (READ0 | WRITE0), WRITE0);
    in = INSN_OK(CODE32, 0x01, 0x00);
    assert_int_equal(insn_row(&in)->traits & (READ0 | WRITE0), 0);
    in = INSN_OK(CODE32, 0x40);
    assert_int_equal(insn_row(&in)->flags_written, FLAGS_OSZAPC & ~FLAG_CF);
    in = INSN_OK(CODE32, 0xd3, 0xe0);
    assert_true(insn_row(&in)->traits & MAYBE);
    in = INSN_OK(CODE32, 0xfa);
    assert_false(insn_row(&in)->traits & ENDS);
    in = INSN_OK(CODE32, 0xfb);
    assert_true(insn_row(&in)->traits & ENDS);
    in = INSN_OK(CODE32, 0x0f, 0x22, 0xd8);
    assert_true(insn_row(&in)->traits & ENDS && insn_row(&in)->traits & CPL0);
    for (size_t row = 0; row < insn_row_count; row++) {
        const uint32_t traits = insn_rows[row].traits;

        assert_false(traits & READ0 && traits & WRITE0);
        assert_false(traits & LOCKABLE && traits & (READ0 | WRITE0));
        assert_false(traits & NO64 && traits & ONLY64);
        assert_true(!(traits & COND) || traits & ENDS);
        assert_true(insn_rows[row].map < V1 || traits & PROTECTED);
    }
}

static void test_length_limit(void **state)
{
    uint8_t bytes[17];
    struct insn in;

    (void)state;
    memset(bytes, 0x66, sizeof bytes);
    bytes[14] = 0x90;
    assert_int_equal(decode(bytes, 15, CODE32, &in), DECODE_OK);
    assert_int_equal(in.length, 15);
    memset(bytes, 0x66, sizeof bytes);
    bytes[15] = 0x90;
    assert_int_equal(decode(bytes, 17, CODE32, &in), DECODE_TOO_LONG);
    assert_int_equal(decode(bytes, 15, CODE32, &in), DECODE_TOO_LONG);
    assert_int_equal(decode(bytes, 14, CODE32, &in), DECODE_TRUNCATED);
    assert_int_equal(decode(bytes, 0, CODE32, &in), DECODE_TRUNCATED);
    bytes[10] = 0xc7; /* 10 prefixes and mov [disp32], imm16 make 18 bytes */
    bytes[11] = 0x05;
    assert_int_equal(decode(bytes, 17, CODE32, &in), DECODE_TOO_LONG);
}

/* ---- against capstone ---- */

static void check_input(void *ctx, const uint8_t *bytes, size_t size, enum code_size code_size)
{
    const char *message = decode_check(ctx, bytes, size, code_size);

    if (message)
        fail_msg("%s", message);
}

static void test_capstone_maps(void **state)
{
    decode_inputs_maps(SAMPLE_STEP, check_input, *state);
}

static void test_capstone_random(void **state)
{
    decode_inputs_random(SAMPLE_RANDOM, 2, check_input, *state);
}

/* Inputs that fuzzing found something with, in the comparison or in decode(). */
static void test_capstone_found(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
        enum code_size code_size;
    } inputs[] = {
#define INPUT(bytes, code_size) {bytes, sizeof(bytes) - 1, code_size}
        /* a vector index past 15 */
        INPUT("\x62\xf2\x7d\x21\xa2\xa4", CODE64),
        INPUT("\x62\xf2\xfd\x23\xa1\x64\x64", CODE64),
        /* UD1, too long with its ModRM byte */
        INPUT("\x46\x46\x47\x46\x46\x46\x46\x46\x46\x67\x46\x0f\xb9\xb9\x80", CODE64),
        INPUT("eeeeeeeeeeeee\x0f\xb9", CODE64),
        /* prefixes before VEX, and more bytes than any instruction has */
        INPUT("dddddddddd\xc4\xe1\x3d\x2e\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", CODE32),
        INPUT("dddddddddd\xc4\xe1\x3d\x2e\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", CODE64),
#undef INPUT
    };

    for (size_t i = 0; i < sizeof inputs / sizeof inputs[0]; i++)
        check_input(*state, (const uint8_t *)inputs[i].bytes, inputs[i].size, inputs[i].code_size);
}

static int setup(void **state)
{
    static struct oracle oracle;

    *state = &oracle;
    return oracle_open(&oracle) ? 0 : -1;
}

static int teardown(void **state)
{
    oracle_close(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_operand_sizes),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_immediates),
        cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_aliases),
        cmocka_unit_test(test_vex),
        cmocka_unit_test(test_evex),
        cmocka_unit_test(test_traits),
        cmocka_unit_test(test_length_limit),
        cmocka_unit_test(test_capstone_maps),
        cmocka_unit_test(test_capstone_random),
        cmocka_unit_test(test_capstone_found),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
