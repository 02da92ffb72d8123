/*
 * tests/oracle/validity.c -- which EVEX encodings exist: random prefixes in front of the table's
 * opcodes (and of others) raise #UD on the host exactly when decode() refuses them.
 *
 * Two leniencies of AMD's processors are Intel's #UD, and so decode()'s: {z} without a mask, and
 * EVEX.b with registers where the form has no {er} or {sae}.
 */
#include <stdio.h>
#include <string.h>

#include "cpu/cpuid.h"
#include "tests/insn_gen.h"
#include "tests/oracle/oracle.h"

enum { OPCODE_NOP = 0x90, POINTER = DATA_BASE + REGION_SIZE / 2 };

/* Registers that point into the data, and vectors of zeros. */
static void plain_state(struct state *s)
{
    const uint16_t fcw = FCW_FNINIT;
    const uint32_t mxcsr = MXCSR_DEFAULT;
    const uint64_t present = XCR0_UP_TO_AVX;

    memset(s, 0, sizeof *s);
    for (unsigned i = 0; i < 16; i++)
        s->gpr[i] = POINTER;
    s->rip = CODE_BASE + CODE_AT;
    s->rflags = 0x202;
    s->cs = SEL_CODE64;
    s->ds = s->es = s->ss = SEL_DATA;
    memcpy(s->fpu + FPU_FCW, &fcw, 2);
    memcpy(s->fpu + FPU_MXCSR, &mxcsr, 4);
    memcpy(s->fpu + FPU_XSTATE_BV, &present, 8);
}

/* An EVEX prefix whose fields are mostly sensible, an opcode, and an operand: a register, [reg +
 * disp8] or [reg + vector * 1 + disp8].  Returns the length, with a NOP or immediate in the end. */
static unsigned random_encoding(uint64_t *random, uint8_t *bytes)
{
    unsigned row;
    uint64_t r, q;
    uint8_t *p = bytes;

    do
        row = (unsigned)(insn_gen_random(random) >> 20) % (unsigned)insn_row_count;
    while (insn_rows[row].map < E1);
    r = insn_gen_random(random);
    q = insn_gen_random(random);
    *p++ = 0x62;
    *p++ = (uint8_t)((r & 0xf0) | (insn_rows[row].map - E1 + 1));
    *p++ = (uint8_t)((r >> 8 & 0x83) | (r >> 16 & 1 ? 0x78 : r >> 17 & 0x78) | 4);
    *p++ = (uint8_t)((r >> 24 & 7 ? 0 : 0x80) | (r >> 27 & 0x60) | (r >> 34 & 3 ? 0 : 0x10) |
                     (r >> 36 & 3 ? 8 : 0) | (r >> 38 & 1 ? r >> 39 & 3 : 0));
    *p++ = r >> 42 & 15 ? insn_rows[row].opcode : (uint8_t)(r >> 46);
    switch (q & 3) {
    case 0: /* not RSP, which a vector index would need */
        *p++ = (uint8_t)(0x40 | (q >> 8 & 0x38) | (q >> 16 & 3));
        *p++ = 0;
        break;
    case 1:
        *p++ = (uint8_t)(0x44 | (q >> 8 & 0x38));
        *p++ = (uint8_t)((q >> 16 & 3) | (q >> 18 & 3) << 3 | 0x20);
        *p++ = 0;
        break;
    default:
        *p++ = (uint8_t)(0xc0 | (q >> 8 & 0x3f));
        break;
    }
    *p++ = OPCODE_NOP;
    return (unsigned)(p - bytes);
}

static bool is_lenient(const uint8_t *bytes)
{
    const bool zeroing = bytes[3] & 0x80, b = bytes[3] & 0x10, mask = bytes[3] & 7;

    return __builtin_cpu_is("amd") && ((zeroing && !mask) || (b && bytes[5] >= 0xc0));
}

unsigned validity_run(uint64_t seed, unsigned count)
{
    struct test_case t = {.mode = CODE64};
    uint64_t random = seed * 0x9e3779b97f4a7c15ull + 7;
    unsigned failures = 0, valid = 0;

    if (!guest_has_avx512())
        return 0;
    plain_state(&t.state);
    for (unsigned i = 0; i < count; i++) {
        struct outcome host;
        struct insn in;
        bool ours;

        memset(t.bytes, OPCODE_NOP, sizeof t.bytes);
        t.in.length = (uint8_t)random_encoding(&random, t.bytes);
        ours = decode(t.bytes, sizeof t.bytes, CODE64, &in) == DECODE_OK &&
               guest_cpu()->model->has[insn_row(&in)->feature];
        valid += ours;
        host_load_code(&t);
        host_run(&t, &host);
        if (ours == (host.vector != VEC_UD) || (!ours && is_lenient(t.bytes)))
            continue;
        if (failures++ < 10) {
            printf("FAIL EVEX, valid %s:", ours ? "here only" : "on the host only");
            for (unsigned k = 0; k < t.in.length; k++)
                printf(" %02x", t.bytes[k]);
            printf("\n");
        }
    }
    printf("oracle: %u EVEX encodings, %u of them valid, %u differ\n", count, valid, failures);
    return failures;
}
