/*
 * tests/insn_gen.h -- random encodings of a given row of cpu/insn.def, for tests that must reach
 * every row.  Bytes that look like the row are made and given to decode() until it agrees.
 */
#ifndef RINGER_TESTS_INSN_GEN_H
#define RINGER_TESTS_INSN_GEN_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "cpu/insn.h"

/* What a row's encoding is made of, as far as struct insn_row does not say. */
struct insn_gen_row {
    uint8_t pp;           /* enum insn_pp */
    bool opcode_register; /* a Z operand: eight opcodes */
    const char *mnemonic, *run, *rewrite;
};

#define INSN(map, op, pp_, ext, mnem, op0, op1, op2, op3, reads, writes, traits, feature, run_, \
             rewrite_)                                                                          \
    {pp_, #op0[0] == 'Z', #mnem, #run_, #rewrite_},
static const struct insn_gen_row insn_gen_rows[] = {
#include "cpu/insn.def"
};
#undef INSN

/* xorshift64*: the same everywhere, so that a failure can be repeated from its seed. */
static inline uint64_t insn_gen_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 2685821657736338717ull;
}
static inline bool insn_gen_one_in(uint64_t *state, unsigned n)
{
    return (insn_gen_random(state) >> 20) % n == 0;
}

static inline uint8_t *insn_gen_vex(uint8_t *p, uint64_t *random, const struct insn_row *row,
                                    unsigned pp, enum code_size mode)
{
    const uint64_t r = insn_gen_random(random);
    const uint8_t vvvv = insn_gen_one_in(random, 3) ? 0x78 : r >> 8 & 0x78;
    const uint8_t tail = (uint8_t)(vvvv | (r >> 16 & 4) | pp);
    /* Outside 64-bit mode C4 and C5 are LES and LDS unless the next two bits are ones. */
    const uint8_t high = mode == CODE64 ? r & 0xe0 : (r & 0x20) | 0xc0;

    if (row->map == V1 && r & 1ull << 40) {
        *p++ = 0xc5;
        *p++ = (uint8_t)((mode == CODE64 ? r & 0x80 : 0x80 | (tail & 0x40)) | tail);
        if (mode != CODE64)
            p[-1] |= 0xc0;
    } else {
        *p++ = 0xc4;
        *p++ = (uint8_t)(high | (row->map - V1 + 1));
        *p++ = (uint8_t)((r >> 30 & 0x80) | tail);
    }
    return p;
}

/* Fields that a form does not allow are mostly left alone, so that one is found soon. */
static inline uint8_t *insn_gen_evex(uint8_t *p, uint64_t *random, const struct insn_row *row,
                                     unsigned pp, enum code_size mode)
{
    const uint64_t r = insn_gen_random(random);
    const uint8_t vvvv = insn_gen_one_in(random, 3) ? 0x78 : r >> 8 & 0x78;
    const uint8_t mask = insn_gen_one_in(random, 3) ? 0 : r >> 40 & 7;
    const bool zero = mask && insn_gen_one_in(random, 3), b = insn_gen_one_in(random, 3);

    *p++ = 0x62;
    *p++ = (uint8_t)((mode == CODE64 ? r & 0xf0 : (r & 0x30) | 0xc0) | (row->map - E1 + 1));
    *p++ = (uint8_t)((r >> 30 & 0x80) | vvvv | 4 | pp);
    *p++ = (uint8_t)((zero ? 0x80 : 0) | (r >> 50 & 0x60) | (b ? 0x10 : 0) |
                     (vvvv == 0x78 && !insn_gen_one_in(random, 4) ? 8 : r >> 60 & 8) | mask);
    return p;
}

static inline uint8_t *insn_gen_legacy(uint8_t *p, uint64_t *random, const struct insn_row *row,
                                       unsigned pp, enum code_size mode)
{
    if (row->traits & LOCKABLE && insn_gen_one_in(random, 6))
        *p++ = 0xf0;
    if (row->traits & STRING && insn_gen_one_in(random, 2))
        *p++ = insn_gen_one_in(random, 2) ? 0xf2 : 0xf3;
    if (pp == P66 || (insn_gen_one_in(random, 4) && row->map <= M3))
        *p++ = 0x66;
    if (pp == PF3)
        *p++ = 0xf3;
    if (pp == PF2)
        *p++ = 0xf2;
    if (mode == CODE64 && !insn_gen_one_in(random, 3))
        *p++ = (uint8_t)(0x40 | (insn_gen_random(random) >> 40 & 15));
    if (row->map != M0)
        *p++ = 0x0f;
    if (row->map == M2)
        *p++ = 0x38;
    if (row->map == M3)
        *p++ = 0x3a;
    return p;
}

/*
 * Make a random encoding of row `index` in a code segment of `mode`.
 *   address_prefix  allow 67
 *   segments        bytes of segment prefixes to choose from, NUL-terminated, or NULL
 * Returns true with *in decoded from bytes[0..14]; false when `tries` attempts did not hit the row
 * (it may not exist in this mode).
 */
static inline bool insn_gen(uint64_t *random, unsigned index, enum code_size mode,
                            bool address_prefix, const char *segments, unsigned tries,
                            uint8_t bytes[32], struct insn *in)
{
    static const uint8_t pp_bits[] = {[PANY] = 0, [PNP] = 0, [P66] = 1, [PF3] = 2, [PF2] = 3};
    const struct insn_row *row = &insn_rows[index];
    const struct insn_gen_row *gen = &insn_gen_rows[index];

    while (tries--) {
        uint8_t *p = bytes;

        if (address_prefix && insn_gen_one_in(random, 8))
            *p++ = 0x67;
        if (segments && *segments && insn_gen_one_in(random, 8))
            *p++ = (uint8_t)segments[(insn_gen_random(random) >> 20) % strlen(segments)];
        if (row->map >= E1)
            p = insn_gen_evex(p, random, row, pp_bits[gen->pp], mode);
        else if (row->map >= V1)
            p = insn_gen_vex(p, random, row, pp_bits[gen->pp], mode);
        else
            p = insn_gen_legacy(p, random, row, gen->pp, mode);
        *p++ =
            (uint8_t)(row->opcode | (gen->opcode_register ? insn_gen_random(random) >> 50 & 7 : 0));
        while (p < bytes + 32) {
            const uint64_t r = insn_gen_random(random);
            const unsigned n = bytes + 32 - p < 8 ? (unsigned)(bytes + 32 - p) : 8;

            memcpy(p, &r, n);
            p += n;
        }
        if (decode(bytes, 15, mode, in) == DECODE_OK && in->row == index)
            return true;
    }
    return false;
}

#endif
