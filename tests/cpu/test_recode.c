/*
 * tests/cpu/test_recode.c -- recode() against the decoder and capstone: every row, all three code
 * sizes, several register maps and memory forms.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <capstone/capstone.h>
#include <cmocka.h>

#include "cpu/recode.h"
#include "tests/insn_gen.h"

enum { STATES = 60, TRIES = 3000 };

static const enum code_size modes[] = {CODE16, CODE32, CODE64};

static struct recode_map identity_map(void)
{
    struct recode_map map = {.mem = {.base = RDI, .index = NO_REG}};

    for (unsigned i = 0; i < 16; i++)
        map.gpr[i] = (uint8_t)i;
    return map;
}

/* A random permutation and a random memory form. */
static struct recode_map random_map(uint64_t *random)
{
    struct recode_map map = identity_map();
    const uint64_t r = insn_gen_random(random);

    if (r & 1) {
        for (unsigned i = 15; i > 0; i--) {
            const unsigned j = (insn_gen_random(random) >> 20) % (i + 1);
            const uint8_t swap = map.gpr[i];

            map.gpr[i] = map.gpr[j];
            map.gpr[j] = swap;
        }
    }
    map.mem.base = r >> 1 & 7 ? r >> 4 & 15 : NO_REG;
    map.mem.index = r >> 8 & 3 ? NO_REG : r >> 10 & 15;
    if (map.mem.index == RSP)
        map.mem.index = NO_REG;
    map.mem.scale = (uint8_t)(1u << (r >> 14 & 3));
    map.mem.seg = r >> 16 & 7 ? RECODE_SEG_NONE : RECODE_SEG_GS;
    map.mem.addr32 = (r >> 19 & 7) == 0;
    map.mem.disp = r >> 22 & 1 ? 0 : r >> 23 & 1 ? (int8_t)(r >> 24) : (int32_t)(r >> 32);
    return map;
}

/* The row that a rewritten short form decodes to is another one: same mnemonic will do. */
static bool same_operation(const struct insn *guest, const struct insn *host)
{
    if (guest->row == host->row)
        return true;
    return strcmp(insn_row(guest)->mnemonic, insn_row(host)->mnemonic) == 0 &&
           insn_row(guest)->map == insn_row(host)->map;
}

static void show(const uint8_t *guest, const struct insn *in, const uint8_t *host, size_t length)
{
    print_message("%s, %u-bit code:", insn_row(in)->mnemonic, in->code_size * 8);
    for (unsigned i = 0; i < in->length; i++)
        print_message(" %02x", guest[i]);
    print_message(" ->");
    for (unsigned i = 0; i < length; i++)
        print_message(" %02x", host[i]);
    print_message("\n");
}

static bool same_operand(const struct operand *guest, const struct operand *host,
                         const struct recode_map *map)
{
    if (guest->kind != host->kind || guest->size != host->size)
        return false;
    switch (guest->kind) {
    case OPERAND_GPR:
    case OPERAND_GPR8H:
        return host->reg == map->gpr[guest->reg];
    case OPERAND_ST:
    case OPERAND_MMX:
    case OPERAND_VEC:
    case OPERAND_MASK:
        return host->reg == guest->reg;
    default:
        return true;
    }
}

static bool same_memory(const struct insn *host, const struct recode_mem *mem)
{
    const uint8_t index = mem->index;

    if (host->base != mem->base || host->index != index || host->disp != mem->disp)
        return false;
    if (index != NO_REG && host->scale != mem->scale)
        return false;
    return host->addr_size == (mem->addr32 ? 4 : 8) && (!mem->seg || host->seg == GS);
}

/* True when `host` says what `guest` said, under `map`. */
static bool agrees(const struct insn *guest, const struct insn *host, const struct recode_map *map)
{
    if (!same_operation(guest, host) || host->vex_l != guest->vex_l || host->evex != guest->evex ||
        host->mask != guest->mask || host->rounding != guest->rounding ||
        host->lanes != guest->lanes || host->lane_bytes != guest->lane_bytes ||
        host->has_mem != guest->has_mem)
        return false;
    /* With a mandatory prefix there are operands, or nothing that has a width. */
    if (insn_gen_rows[guest->row].pp == PANY && host->width != guest->width)
        return false;
    if ((guest->prefixes ^ host->prefixes) & (PREFIX_LOCK | PREFIX_VEX))
        return false;
    for (unsigned i = 0; i < INSN_OPERANDS; i++)
        if (!same_operand(&guest->ops[i], &host->ops[i], map))
            return false;
    if (guest->length > guest->imm_at && guest->ops[3].kind != OPERAND_VEC &&
        guest->imm != host->imm)
        return false;
    return !guest->has_mem || same_memory(host, &map->mem);
}

/* Rows that must recode, under the identity map, whatever their operands. */
static bool must_recode(unsigned row)
{
    const char *rule = insn_gen_rows[row].rewrite;

    return (!strcmp(rule, "native") || !strcmp(rule, "simd") || !strcmp(rule, "x87")) &&
           strncmp(insn_gen_rows[row].mnemonic, "vpgather", 8) &&
           strncmp(insn_gen_rows[row].mnemonic, "vgather", 7);
}

/* AH with REX is the one thing that the identity cannot promise. */
static bool has_high_byte(const struct insn *in)
{
    return in->ops[0].kind == OPERAND_GPR8H || in->ops[1].kind == OPERAND_GPR8H;
}

static void every_row_means_the_same_on_the_host(void **state)
{
    uint64_t random = 1;
    unsigned failures = 0, recoded = 0, unreached = 0;

    (void)state;
    for (unsigned row = 0; row < insn_row_count; row++) {
        bool reached = false, shown = false;

        for (unsigned m = 0; m < 3; m++) {
            for (unsigned i = 0; i < STATES; i++) {
                const struct recode_map map = i < 20 ? identity_map() : random_map(&random);
                uint8_t guest[32], host[RECODE_ROOM];
                struct insn in, out;
                size_t length;

                if (!insn_gen(&random, row, modes[m], true, "\x26\x2e\x36\x3e\x64\x65", TRIES,
                              guest, &in))
                    break;
                reached = true;
                length = recode(&in, &map, host);
                if (!length) {
                    if (i < 20 && must_recode(row) && !has_high_byte(&in)) {
                        failures++;
                        if (!shown)
                            show(guest, &in, host, 0);
                        shown = true;
                    }
                    continue;
                }
                recoded++;
                if (decode(host, length, CODE64, &out) != DECODE_OK || out.length != length ||
                    !agrees(&in, &out, &map)) {
                    failures++;
                    if (!shown)
                        show(guest, &in, host, length);
                    shown = true;
                }
            }
        }
        if (!reached && unreached++ < 20)
            print_message("row %u (%s) was not reached\n", row, insn_rows[row].mnemonic);
    }
    print_message("%u recoded\n", recoded);
    assert_int_equal(failures, 0);
    assert_int_equal(unreached, 0);
}

static void capstone_reads_the_same_length(void **state)
{
    uint64_t random = 2;
    unsigned failures = 0;
    csh cs;

    (void)state;
    assert_int_equal(cs_open(CS_ARCH_X86, CS_MODE_64, &cs), CS_ERR_OK);
    for (unsigned row = 0; row < insn_row_count; row++) {
        for (unsigned i = 0; i < 10; i++) {
            const struct recode_map map = random_map(&random);
            uint8_t guest[32], host[RECODE_ROOM];
            struct insn in;
            cs_insn *insn;
            size_t length;

            if (!insn_gen(&random, row, CODE32, false, NULL, TRIES, guest, &in))
                break;
            length = recode(&in, &map, host);
            if (!length)
                continue;
            if (in.evex & EVEX_ROUNDING || (in.evex && map.mem.addr32))
                continue; /* capstone 4 is wrong about these: tests/cpu/decode_known.h */
            if (cs_disasm(cs, host, length, 0, 1, &insn) != 1)
                continue; /* capstone 4 does not know everything; the decoder's own test lists it */
            if (insn->size != length && failures++ < 20)
                show(guest, &in, host, length);
            cs_free(insn, 1);
        }
    }
    cs_close(&cs);
    assert_int_equal(failures, 0);
}

struct example {
    enum code_size mode;
    const char *guest, *host; /* host NULL: refused */
    unsigned guest_length, host_length;
};
#define EXAMPLE(mode, guest, host)                             \
    {                                                          \
        mode, guest, host, sizeof(guest) - 1, sizeof(host) - 1 \
    }

/* Registers stay, except AX -> R8 and SP -> R9; memory is [r12+0x10]. */
static const struct example examples[] = {
    EXAMPLE(CODE32, "\x41", "\xff\xc1"),                             /* inc ecx */
    EXAMPLE(CODE32, "\x66\x4b", "\x66\xff\xcb"),                     /* dec bx */
    EXAMPLE(CODE16, "\x41", "\x66\xff\xc1"),                         /* inc cx */
    EXAMPLE(CODE32, "\x03\x4b\x04", "\x41\x03\x4c\x24\x10"),         /* add ecx, [ebx+4] */
    EXAMPLE(CODE32, "\xa1\x78\x56\x34\x12", "\x45\x8b\x44\x24\x10"), /* mov eax, [12345678] */
    EXAMPLE(CODE32, "\x04\x07", "\x41\x80\xc0\x07"),                 /* add al, 7 */
    EXAMPLE(CODE32, "\x05\x01\x02\x03\x04", "\x41\x81\xc0\x01\x02\x03\x04"),
    EXAMPLE(CODE32, "\x91", "\x44\x87\xc1"),                     /* xchg ecx, eax */
    EXAMPLE(CODE32, "\x88\xe9", "\x88\xe9"),                     /* mov cl, ch */
    EXAMPLE(CODE32, "\xf0\x0f\xb1\x0b", ""),                     /* cmpxchg: eax is implicit */
    EXAMPLE(CODE32, "\x88\x2b", ""),                             /* mov [ebx], ch: needs REX */
    EXAMPLE(CODE32, "\x60", ""),                                 /* pusha */
    EXAMPLE(CODE32, "\x27", ""),                                 /* daa */
    EXAMPLE(CODE32, "\xd7", ""),                                 /* xlat */
    EXAMPLE(CODE32, "\x66\x0f\x6e\xcc", "\x66\x41\x0f\x6e\xc9"), /* movd xmm1, esp */
    EXAMPLE(CODE32, "\xd9\x03", "\x41\xd9\x44\x24\x10"),         /* fld dword [ebx] */
    EXAMPLE(CODE64, "\x48\x8d\x05\x00\x00\x00\x00", "\x4d\x8d\x44\x24\x10"), /* lea rax, [rip] */
    EXAMPLE(CODE32, "\xc4\xe2\xf0\xf2\xd3", "\xc4\xe2\x70\xf2\xd3"), /* andn: W means nothing */
};

static void examples_are_as_written(void **state)
{
    struct recode_map map = identity_map();

    (void)state;
    map.gpr[RAX] = R8;
    map.gpr[RSP] = R9;
    map.mem.base = R12;
    map.mem.disp = 0x10;
    for (unsigned i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        const struct example *ex = &examples[i];
        uint8_t host[RECODE_ROOM] = {0};
        struct insn in;
        size_t length;

        assert_int_equal(decode((const uint8_t *)ex->guest, ex->guest_length, ex->mode, &in),
                         DECODE_OK);
        length = recode(&in, &map, host);
        if (length != ex->host_length || memcmp(host, ex->host, length) != 0)
            show((const uint8_t *)ex->guest, &in, host, length);
        assert_int_equal(length, ex->host_length);
        assert_memory_equal(host, ex->host, length);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples_are_as_written),
        cmocka_unit_test(every_row_means_the_same_on_the_host),
        cmocka_unit_test(capstone_reads_the_same_length),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
