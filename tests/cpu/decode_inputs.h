/*
 * tests/cpu/decode_inputs.h -- inputs for the decoder's comparison with capstone, and the check of
 * one input; shared by tests/cpu/test_decode.c and tests/fuzz/fuzz_decode.c.
 */
#ifndef RINGER_TESTS_DECODE_INPUTS_H
#define RINGER_TESTS_DECODE_INPUTS_H

#include "tests/cpu/decode_oracle.h"

typedef void (*decode_input_fn)(void *ctx, const uint8_t *bytes, size_t size,
                                enum code_size code_size);

enum { DECODE_INPUT_SIZE = 24 };

static const enum code_size decode_modes[3] = {CODE16, CODE32, CODE64};

/* xorshift64: the same everywhere. */
static inline uint64_t decode_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Random bytes behind up to two prefixes and an escape, a VEX prefix, or nothing. */
static inline unsigned long decode_inputs_random(unsigned long count, uint64_t seed,
                                                 decode_input_fn fn, void *ctx)
{
    static const uint8_t prefixes[] = {0x66, 0x67, 0xf2, 0xf3, 0x2e, 0x64,
                                       0xf0, 0x48, 0x41, 0x44, 0x4f, 0x36};
    uint64_t state = seed * 0x9e3779b97f4a7c15u + 88172645463325252u;

    for (unsigned long i = 0; i < count; i++) {
        uint8_t b[DECODE_INPUT_SIZE];
        unsigned k = 0;
        const uint64_t r = decode_random(&state);

        for (unsigned j = 0; j < sizeof b; j += 8) {
            const uint64_t v = decode_random(&state);

            memcpy(b + j, &v, 8);
        }
        for (unsigned j = 0; j < (r & 3) % 3; j++)
            b[k++] = prefixes[(r >> (8 + 8 * j) & 255) % sizeof prefixes];
        switch (r >> 4 & 7) {
        case 2:
            b[k++] = 0x0f;
            b[k++] = r & 0x80 ? 0x38 : 0x3a;
            break;
        case 0:
        case 1:
            b[k++] = 0x0f;
            break;
        case 3:
            b[k++] = 0xc5;
            b[k] |= 0xc0;
            break;
        case 4:
            b[k++] = 0xc4;
            b[k] = (uint8_t)((b[k] & 0x20) | 0xc0 | (1 + (r >> 40) % 3));
            break;
        case 5: /* fields that most forms do not have are rarer than chance would make them */
            b[k++] = 0x62;
            b[k] = (uint8_t)((b[k] & 0x30) | 0xc0 | (1 + (r >> 40) % 3));
            b[k + 1] |= r & 0x100 ? 0x7c : 4;
            if (r & 0x600)
                b[k + 2] &= 0x6f; /* z, b */
            if (r & 0x100)
                b[k + 2] |= 8;
            if (r & 0x1800)
                b[k + 2] &= 0xf8;
            break;
        default:
            break;
        }
        fn(ctx, b, sizeof b, decode_modes[(r >> 50) % 3]);
    }
    return count;
}

/* Every opcode of every map, with every step-th ModRM byte and some prefixes, in each mode. */
static inline unsigned long decode_inputs_maps(unsigned step, decode_input_fn fn, void *ctx)
{
    static const uint8_t escapes[4][2] = {{0}, {0x0f}, {0x0f, 0x38}, {0x0f, 0x3a}};
    static const uint8_t prefixes[][3] = {{0},          {0x66},       {0xf2},       {0xf3},
                                          {0x67},       {0x64},       {0x66, 0xf2}, {0xf3, 0x66},
                                          {0x66, 0x48}, {0xf0},       {0x48},       {0x45},
                                          {0x66, 0x4f}, {0xf2, 0x48}, {0x67, 0x66}};
    enum { PREFIX_SETS = sizeof prefixes / sizeof prefixes[0], VEX_SETS = 16 };
    static const uint8_t tail[] = {0x25, 0x12, 0x34, 0x56, 0x78, 0x9a,
                                   0xbc, 0xde, 0xf0, 0x11, 0x22, 0x33};
    unsigned long count = 0;
    unsigned phase = 0;

    for (unsigned map = 0; map < 7; map++)
        for (unsigned opcode = 0; opcode < 256; opcode++)
            for (unsigned set = 0; set < (map < 4 ? (unsigned)PREFIX_SETS : (unsigned)VEX_SETS);
                 set++)
                for (unsigned modrm = phase++ % step; modrm < 256; modrm += step)
                    for (unsigned mode = 0; mode < 3; mode++, count++) {
                        uint8_t b[DECODE_INPUT_SIZE];
                        unsigned k = 0;

                        if (map < 4) {
                            for (unsigned i = 0; i < 3 && prefixes[set][i]; i++)
                                b[k++] = prefixes[set][i];
                            for (unsigned i = 0; i < 2 && escapes[map][i]; i++)
                                b[k++] = escapes[map][i];
                        } else { /* set: W L pp; vvvv = 1111b or 0110b by turns */
                            b[k++] = 0xc4;
                            b[k++] = (uint8_t)(0xe0 | (map - 3));
                            b[k++] =
                                (uint8_t)((set & 8) << 4 | (modrm & 64 ? 0x78 : 0x30) | (set & 7));
                        }
                        b[k++] = (uint8_t)opcode;
                        b[k++] = (uint8_t)modrm;
                        for (unsigned i = 0; k < sizeof b; i++)
                            b[k++] = tail[i % sizeof tail];
                        fn(ctx, b, sizeof b, decode_modes[mode]);
                    }
    return count;
}

/* decode() with fewer bytes gives the same answer or asks for more; NULL when it does. */
static inline const char *decode_check_truncation(const uint8_t *bytes, size_t size,
                                                  enum code_size code_size)
{
    struct insn whole, part;
    const enum decode_status status = decode(bytes, size, code_size, &whole);

    if (status == DECODE_TRUNCATED && size >= INSN_MAX_LENGTH)
        return "asks for more than 15 bytes";
    if (whole.length > INSN_MAX_LENGTH || whole.length > size)
        return "length past the bytes";
    for (size_t n = 0; n < whole.length; n++)
        if (decode(bytes, n, code_size, &part) != DECODE_TRUNCATED)
            return "fewer bytes than the length are not truncated";
    if (status != DECODE_TRUNCATED && status != DECODE_TOO_LONG &&
        (decode(bytes, whole.length, code_size, &part) != status ||
         memcmp(&whole, &part, sizeof whole)))
        return "the answer depends on bytes past the length";
    return NULL;
}

/* All checks on one input; NULL, or a description of what is wrong.  capstone gets at least as many
 * bytes as any instruction has: where it stops too early or late is a difference in length. */
static inline const char *decode_check(struct oracle *o, const uint8_t *bytes, size_t size,
                                       enum code_size code_size)
{
    static char message[400];
    uint8_t padded[DECODE_INPUT_SIZE] = {0};
    struct oracle_result r;
    const char *error = decode_check_truncation(bytes, size, code_size);
    int n;

    if (size < sizeof padded) {
        memcpy(padded, bytes, size);
        bytes = padded;
        size = sizeof padded;
    }
    if (!error) {
        oracle_compare(o, bytes, size, code_size, &r);
        if (!r.difference || r.known)
            return NULL;
        error = r.difference;
        oracle_compare_plain(o, bytes, size, code_size, &r); /* names for the message */
    } else {
        r = (struct oracle_result){.difference = error};
    }
    n = snprintf(message, sizeof message, "%u-bit ", (unsigned)code_size * 8);
    for (size_t i = 0; i < size && i < INSN_MAX_LENGTH; i++)
        n += snprintf(message + n, sizeof message - (size_t)n, "%02x", bytes[i]);
    snprintf(message + n, sizeof message - (size_t)n, ": %s; here %s, %u bytes; capstone %s %s, %u",
             error, r.ours.valid ? r.ours.mnemonic : "invalid", r.ours.length,
             r.theirs.valid ? r.theirs.mnemonic : "invalid", r.theirs.valid ? o->insn->op_str : "",
             r.theirs.length);
    return message;
}

#endif
