/*
 * Which registers are known to hold numbers of 32 bits, and so which register names an operand's
 * region.  A register that is taken for narrow and is not would lead an access out of its window.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cpu/insn.h"
#include "translator/build.h"

enum { ALL = 0xffff };

static struct build b;

static struct insn decoded(const char *bytes)
{
    uint8_t padded[INSN_MAX_LENGTH + 1] = {0};
    struct insn in;

    for (unsigned i = 0; i < INSN_MAX_LENGTH; i++)
        padded[i] = (uint8_t)bytes[i];
    assert_int_equal(decode(padded, sizeof(padded), CODE64, &in), DECODE_OK);
    return in;
}

/* What is narrow after the instruction, from what was before. */
static unsigned narrow_from(unsigned before, const char *bytes)
{
    const struct insn in = decoded(bytes);

    b.narrow = (uint16_t)before;
    narrow_after(&b, &in, false, false);
    return b.narrow;
}

#define BYTES(text_) text_ "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"

static void what_extends_32_bits_is_narrow(void **state)
{
    static const struct {
        const char *bytes;
        unsigned reg;
    } cases[] = {
        {BYTES("\x89\xd0"), RAX},             /* mov eax, edx */
        {BYTES("\x8b\x02"), RAX},             /* mov eax, [rdx] */
        {BYTES("\xb9\xff\xff\xff\xff"), RCX}, /* mov ecx, -1 */
        {BYTES("\x41\xc7\xc1\1\0\0\0"), R9},  /* mov r9d, 1 */
        {BYTES("\x0f\xb6\xc0"), RAX},         /* movzx eax, al */
        {BYTES("\x48\x0f\xbf\xd0"), RDX},     /* movsx rdx, ax */
        {BYTES("\x48\x63\xc8"), RCX},         /* movsxd rcx, eax */
        {BYTES("\x01\xd0"), RAX},             /* add eax, edx */
        {BYTES("\x83\xe1\x0f"), RCX},         /* and ecx, 15 */
        {BYTES("\x31\xff"), RDI},             /* xor edi, edi */
        {BYTES("\x8d\x04\x0a"), RAX},         /* lea eax, [rdx + rcx] */
        {BYTES("\xc1\xe8\x05"), RAX},         /* shr eax, 5 */
        {BYTES("\x0f\xaf\xc2"), RAX},         /* imul eax, edx */
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(narrow_from(0, cases[i].bytes), 1u << cases[i].reg);
        assert_int_equal(narrow_from(ALL, cases[i].bytes) | 15u, ALL); /* others stay */
    }
}

static void what_else_writes_is_wide(void **state)
{
    static const struct {
        const char *bytes;
        unsigned wide; /* a bit each */
    } cases[] = {
        {BYTES("\x48\x89\xd0"), 1 << RAX},                /* mov rax, rdx */
        {BYTES("\x48\x8b\x02"), 1 << RAX},                /* mov rax, [rdx] */
        {BYTES("\x48\x01\xd0"), 1 << RAX},                /* add rax, rdx */
        {BYTES("\x48\xff\xc1"), 1 << RCX},                /* inc rcx */
        {BYTES("\x48\x8d\x04\x0a"), 1 << RAX},            /* lea rax, [rdx + rcx] */
        {BYTES("\x48\xb9\1\2\3\4\5\6\7\10"), 1 << RCX},   /* mov rcx, imm64 */
        {BYTES("\x48\xc1\xe0\x05"), 1 << RAX},            /* shl rax, 5 */
        {BYTES("\xc1\xe0\x20"), 1 << RAX},                /* shl eax, 32: of nothing */
        {BYTES("\xd3\xe0"), 1 << RAX},                    /* shl eax, cl */
        {BYTES("\x0f\xbc\xc2"), 1 << RAX},                /* bsf eax, edx */
        {BYTES("\x48\x87\xca"), 1 << RCX | 1 << RDX},     /* xchg rdx, rcx */
        {BYTES("\x48\x0f\xc1\xca"), 1 << RCX | 1 << RDX}, /* xadd rdx, rcx */
        {BYTES("\x48\x0f\xb1\x0a"), 1 << RAX},            /* cmpxchg [rdx], rcx */
        {BYTES("\x48\x0f\x44\xc2"), 1 << RAX},            /* cmovz rax, rdx */
        {BYTES("\x66\x48\x0f\x7e\xc0"), 1 << RAX},        /* movq rax, xmm0 */
        {BYTES("\xf7\xe2"), 1 << RAX | 1 << RDX},         /* mul edx */
        {BYTES("\x48\x98"), 1 << RAX},                    /* cdqe */
        {BYTES("\xf7\xf1"), 1 << RAX | 1 << RDX},         /* div ecx */
        {BYTES("\xf3\x48\x0f\x2c\xc0"), 1 << RAX},        /* cvttss2si rax, xmm0 */
        {BYTES("\xf2\x0f\x2c\xd0"), 1 << RDX},            /* cvttsd2si edx, xmm0 */
        {BYTES("\xdf\xe0"), 1 << RAX},                    /* fnstsw ax */
        {BYTES("\x66\x0f\x3a\x61\xc1\0"), 1 << RCX},      /* pcmpestri xmm0, xmm1, 0 */
        {BYTES("\x50"), 1 << RSP},                        /* push rax */
        {BYTES("\x0f\xa2"), 1 << RAX | 1 << RBX},         /* cpuid */
        {BYTES("\x74\x10"), ALL},                         /* jz, that ends the block */
        {BYTES("\x58"), 1 << RAX | 1 << RSP},             /* pop rax */
        {BYTES("\xa4"), 1 << RSI | 1 << RDI},             /* movsb */
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(narrow_from(ALL, cases[i].bytes) & cases[i].wide, 0);
    /* Neither is anything after an instruction that the interpreter did. */
    const struct insn in = decoded(BYTES("\x89\xd0"));

    b.narrow = ALL;
    narrow_after(&b, &in, true, false);
    assert_int_equal(b.narrow, 0);
    b.narrow = ALL;
    narrow_begin(&b);
    assert_int_equal(b.narrow, 0);
}

static void comparing_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(narrow_from(ALL, BYTES("\x39\xd0")), ALL); /* cmp eax, edx */
    assert_int_equal(narrow_from(0, BYTES("\x39\xd0")), 0);
    assert_int_equal(narrow_from(0, BYTES("\x83\xf8\x01")), 0); /* cmp eax, 1 */
    assert_int_equal(narrow_from(0, BYTES("\x89\x02")), 0);     /* mov [rdx], eax */
}

static void what_shows_all_that_it_writes_changes_nothing_else(void **state)
{
    const struct insn jump = decoded(BYTES("\x74\x10"));

    (void)state;
    assert_int_equal(narrow_from(ALL, BYTES("\x0f\x28\xc1")), ALL); /* movaps xmm0, xmm1 */
    assert_int_equal(narrow_from(ALL, BYTES("\xf3\x0f\x2c\xd0")),
                     ALL & ~(1 << RDX));                                  /* cvttss2si */
    assert_int_equal(narrow_from(ALL, BYTES("\xd8\xc1")), ALL);           /* fadd */
    assert_int_equal(narrow_from(ALL, BYTES("\x90")), ALL);               /* nop */
    assert_int_equal(narrow_from(ALL, BYTES("\x57")), ALL & ~(1 << RSP)); /* push rdi */
    assert_int_equal(narrow_from(ALL, BYTES("\xf7\xf1")), ALL & ~(1 << RAX | 1 << RDX));
    b.narrow = ALL;
    narrow_after(&b, &jump, false, true);
    assert_int_equal(b.narrow, ALL);
}

static uint8_t anchor(unsigned narrow, const char *bytes)
{
    const struct insn in = decoded(bytes);

    b.narrow = (uint16_t)narrow;
    return narrow_anchor(&b, &in);
}

static void the_other_register_names_the_region(void **state)
{
    (void)state;
    assert_int_equal(anchor(1 << RCX, BYTES("\x8b\x04\xca")), RDX);    /* [rdx + rcx*8] */
    assert_int_equal(anchor(1 << RCX, BYTES("\x8b\x04\x11")), RDX);    /* [rcx + rdx] */
    assert_int_equal(anchor(1 << RCX, BYTES("\x8b\x04\x51")), NO_REG); /* [rcx + rdx*2] */
    assert_int_equal(anchor(1 << RAX, BYTES("\x8b\x04\xca")), NO_REG);
    assert_int_equal(anchor(ALL, BYTES("\x8b\x02")), NO_REG);             /* [rdx] */
    assert_int_equal(anchor(ALL, BYTES("\x67\x8b\x04\xca")), NO_REG);     /* [edx + ecx*8] */
    assert_int_equal(anchor(ALL, BYTES("\x8b\x04\xcd\0\0\0\0")), NO_REG); /* [rcx*8 + 0] */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_extends_32_bits_is_narrow),
        cmocka_unit_test(what_else_writes_is_wide),
        cmocka_unit_test(comparing_changes_nothing),
        cmocka_unit_test(what_shows_all_that_it_writes_changes_nothing_else),
        cmocka_unit_test(the_other_register_names_the_region),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
