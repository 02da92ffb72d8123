/*
 * tests/fuzz/program.c -- random programs: rows of cpu/insn.def with operands that mostly make
 * sense, and short sequences of what kernels do.
 */
#include "tests/fuzz/program.h"

#include <string.h>

#include "tests/insn_gen.h"

enum { CODE_START = 0x4e00, CODE_LIMIT = 0x6fc0 };

struct gen {
    struct program *p;
    uint64_t random;
    unsigned at;
    enum code_size size;
    struct fix {
        uint16_t item;
        uint8_t offset, bytes; /* of the field */
        uint8_t kind;
        int16_t distance; /* in items */
    } fixes[PROGRAM_ITEMS];
    unsigned fix_count;
    uint16_t routines[16]; /* items where subroutines begin */
    unsigned routine_count;
    bool loops;  /* may have loops of its own; others are as they were before there were any */
    bool arrays; /* and loops through arrays; the same */
};
enum { FIX_RELATIVE, FIX_ABSOLUTE };

static uint64_t rnd(struct gen *g, uint64_t n)
{
    return (insn_gen_random(&g->random) >> 16) % n;
}
static bool chance(struct gen *g, unsigned percent)
{
    return rnd(g, 100) < percent;
}

static bool is_user(const struct program *p)
{
    return p->mode == WORLD_PAGED_3 || p->mode == WORLD_PAE_3 || p->mode == WORLD_COMPAT_3 ||
           p->mode == WORLD_LONG_3 || p->mode == WORLD_V86;
}

enum code_size program_code_size(const struct program *p)
{
    switch (p->mode) {
    case WORLD_REAL:
    case WORLD_V86:
    case WORLD_16:
        return CODE16;
    case WORLD_LONG_0:
    case WORLD_LONG_3:
        return CODE64;
    default:
        return CODE32;
    }
}

static uint32_t pick_address(struct gen *g)
{
    static const uint8_t pages[] = {8,    8,    8,    8,   8,   8,   9,   9,   9,    9,
                                    0xa,  0xb,  0xc,  0xd, 0xe, 0xf, 0xf, 0x7, 0x10, 0x10,
                                    0x11, 0x12, 0x13, 5,   5,   4,   8,   9,   8,    9};
    static const uint8_t rare[] = {1, 2, 3, 0x20, 0x23, 0x28, 0x29, 0x2e, 0x15, 0x14, 6};
    uint32_t page = pages[rnd(g, sizeof(pages))], offset = (uint32_t)rnd(g, 0x1000);

    if (chance(g, 4))
        page = rare[rnd(g, sizeof(rare))];
    if (chance(g, 15))
        offset = 0xff0 + offset % 16;
    else if (chance(g, 60))
        offset &= ~15u;
    return page << 12 | offset;
}

/* ---- emitting ---- */

static bool room(const struct gen *g, unsigned items)
{
    return g->p->count + items <= PROGRAM_ITEMS && g->at + items * 16 < CODE_LIMIT;
}

static void add(struct gen *g, const uint8_t *bytes, unsigned length)
{
    struct item *item = &g->p->items[g->p->count++];

    memcpy(item->bytes, bytes, length);
    item->length = (uint8_t)length;
    item->at = (uint16_t)g->at;
    g->at += length;
}
#define ADD(g, ...)                           \
    do {                                      \
        const uint8_t add_[] = {__VA_ARGS__}; \
        add(g, add_, sizeof(add_));           \
    } while (0)

static void fix(struct gen *g, unsigned offset, unsigned bytes, unsigned kind, int distance)
{
    if (g->fix_count < PROGRAM_ITEMS)
        g->fixes[g->fix_count++] = (struct fix){(uint16_t)(g->p->count - 1), (uint8_t)offset,
                                                (uint8_t)bytes, (uint8_t)kind, (int16_t)distance};
}

static void put_value(uint8_t *at, uint64_t value, unsigned bytes)
{
    memcpy(at, &value, bytes);
}

/* mov reg, imm of the code's size */
static void add_load(struct gen *g, unsigned reg, uint64_t value)
{
    uint8_t bytes[16] = {0};
    unsigned n = 0;

    if (g->size == CODE16) {
        if (value > 0xffff)
            bytes[n++] = 0x66;
        bytes[n++] = (uint8_t)(0xb8 | reg);
        put_value(bytes + n, value, value > 0xffff ? 4 : 2);
        n += value > 0xffff ? 4 : 2;
    } else if (g->size == CODE64 && value > UINT32_MAX) {
        bytes[n++] = 0x48;
        bytes[n++] = (uint8_t)(0xb8 | reg);
        put_value(bytes + n, value, 8);
        n += 8;
    } else {
        bytes[n++] = (uint8_t)(0xb8 | reg);
        put_value(bytes + n, value, 4);
        n += 4;
    }
    add(g, bytes, n);
}

static int pick_distance(struct gen *g)
{
    return chance(g, 88) ? 1 + (int)rnd(g, 7) : -(int)rnd(g, 12);
}

/* ---- rows ---- */

/* Another ModRM, SIB and displacement for the memory operand. */
static unsigned place_memory(struct gen *g, const struct insn *in, const uint8_t *bytes,
                             uint8_t out[32])
{
    static const uint8_t bases16[] = {4, 5, 7, 6}, bases[] = {3, 5, 6, 7};
    const uint8_t reg = in->modrm & 0x38;
    const unsigned tail = in->length - in->imm_at;
    const uint32_t address = pick_address(g);
    unsigned n = in->modrm_at;

    memcpy(out, bytes, n);
    if (in->addr_size == 2) {
        if (chance(g, 60)) {
            out[n++] = reg | 6;
            put_value(out + n, address, 2);
            n += 2;
        } else {
            out[n++] = 0x40 | reg | bases16[rnd(g, 4)];
            out[n++] = (uint8_t)rnd(g, 256);
        }
    } else if (chance(g, 55)) {
        const bool relative = g->size == CODE64 && chance(g, 60);

        out[n++] = (uint8_t)(reg | (g->size == CODE64 && !relative ? 4 : 5));
        if (g->size == CODE64 && !relative)
            out[n++] = 0x25;
        put_value(out + n, relative ? address - (g->at + n + 4 + tail) : address, 4);
        n += 4;
    } else if (chance(g, 70)) {
        out[n++] = 0x40 | reg | bases[rnd(g, 4)];
        out[n++] = (uint8_t)rnd(g, 256);
    } else {
        out[n++] = 0x40 | reg | 4;
        out[n++] = (uint8_t)rnd(g, 256);
        out[n++] = (uint8_t)rnd(g, 256);
    }
    memcpy(out + n, bytes + in->imm_at, tail);
    return n + tail;
}

static bool is_one_of(const char *name, const char *const *list)
{
    for (; *list != NULL; list++)
        if (strcmp(name, *list) == 0)
            return true;
    return false;
}

static const uint16_t selectors[] = {0,    0x08, 0x10, 0x1b, 0x23, 0x2b, 0x30,   0x38, 0x50, 0x58,
                                     0x63, 0x6b, 0x73, 0x7b, 0x83, 0x88, 0x90,   0x98, 0xa8, 0x23,
                                     0x10, 0x23, 0x10, 0x23, 0x13, 0x20, 0xfff0, 0x43, 0xb4};

static void add_row(struct gen *g)
{
    /* Not reproducible, or made by the sequences below with operands that do not end the run. */
    static const char *const avoid[] = {"rdrand", "rdseed", "mov_to_cr", "wrmsr", "xsetbv",
                                        "lgdt",   "lidt",   "mov_to_dr", "hlt",   "invd",
                                        "wbinvd", "rdtsc",  "rdtscp",    "cpuid", NULL};
    static const char *const rare[] = {
        "iret",     "ret_far", "sysret", "sysexit", "lmsw",  "call_far", "jmp_far", "ltr", "lldt",
        "sysenter", "int",     "ret",    "into",    "bound", "enter",    "leave",   "ud",  NULL};
    const unsigned want = chance(g, 55) ? M0 : chance(g, 65) ? M1 : INSN_MAP_COUNT;
    uint8_t bytes[32], out[32];
    struct insn in, again;
    unsigned length;

    for (unsigned tries = 0; tries < 40; tries++) {
        const unsigned row = (unsigned)rnd(g, insn_row_count);
        const char *run = insn_gen_rows[row].run;

        if (want != INSN_MAP_COUNT && insn_rows[row].map != want)
            continue;
        if (is_one_of(run, avoid) || (is_one_of(run, rare) && !chance(g, 8)))
            continue;
        if (!insn_gen(&g->random, row, g->size, true, "\x26\x2e\x36\x3e\x64\x65", 5, bytes, &in))
            continue;
        /* Programs that lose their stack at once are dull. */
        if (in.has_modrm && (in.modrm & 0xc7) == 0xc4 && in.ops[0].kind == OPERAND_GPR &&
            !(in.rex & 1) && in.ops[0].reg == RSP && !chance(g, 5))
            continue;
        length = in.length;
        memcpy(out, bytes, 32);
        if (in.has_mem && in.has_modrm && !in.vsib && !chance(g, 4)) {
            length = place_memory(g, &in, bytes, out);
            if (length > 15 || decode(out, 15, g->size, &again) != DECODE_OK || again.row != row)
                continue;
            in = again;
        } else if (in.has_mem && !in.has_modrm) {
            put_value(out + in.imm_at, pick_address(g), in.addr_size);
        }
        if (insn_rows[row].traits & STRING && chance(g, 85)) {
            if (!room(g, 4))
                return;
            add_load(g, RSI, pick_address(g));
            add_load(g, RDI, pick_address(g));
            add_load(g, RCX, rnd(g, chance(g, 90) ? 20 : 3000));
        } else if (insn_rows[row].traits & READS_RCX && chance(g, 90)) {
            add_load(g, RCX, rnd(g, 4));
        }
        if (in.ops[0].kind == OPERAND_FAR) {
            put_value(out + in.length - 2, selectors[rnd(g, sizeof(selectors) / 2)], 2);
            add(g, out, length);
            fix(g, in.imm_at, length - 2u - in.imm_at, FIX_ABSOLUTE, pick_distance(g));
            return;
        }
        add(g, out, length);
        if (in.ops[0].kind == OPERAND_REL)
            fix(g, in.imm_at, length - in.imm_at, FIX_RELATIVE, pick_distance(g));
        return;
    }
    ADD(g, 0x90);
}

/* ---- sequences ---- */

/* push imm of the code's default size; the value is where the item `distance` on starts. */
static void add_push_target(struct gen *g, int distance)
{
    const unsigned bytes = g->size == CODE16 ? 2 : 4;
    uint8_t code[5] = {0x68};

    add(g, code, 1 + bytes);
    fix(g, 1, bytes, FIX_ABSOLUTE, distance);
}

static void add_push_imm(struct gen *g, uint32_t value)
{
    const unsigned bytes = g->size == CODE16 ? 2 : 4;
    uint8_t code[5] = {0x68};

    put_value(code + 1, value, bytes);
    add(g, code, 1 + bytes);
}

static void add_flags(struct gen *g)
{
    static const uint32_t flags[] = {FLAG_TF, FLAG_DF, FLAG_IOPL, FLAG_NT, FLAG_AC,
                                     FLAG_ID, FLAG_IF, FLAG_VM,   FLAG_RF, FLAG_CF};

    if (chance(g, 30)) {
        ADD(g, 0x9c); /* pushf; pop rax */
        ADD(g, 0x58);
        return;
    }
    add_push_imm(g, (uint32_t)(rnd(g, 0x100) << 0 & 0xd5) | (chance(g, 40) ? FLAG_IF : 0) |
                        (chance(g, 40) ? flags[rnd(g, 10)] : 0));
    ADD(g, 0x9d);
}

static void add_control(struct gen *g)
{
    const uint64_t cr0 = CR0_PE | CR0_ET | CR0_NE | (g->p->mode >= WORLD_PAGED_0 ? CR0_PG : 0);
    static const uint32_t cr0_bits[] = {CR0_TS, CR0_TS, CR0_MP, CR0_EM, CR0_WP, CR0_WP,
                                        CR0_AM, CR0_NE, CR0_CD, CR0_PG, CR0_PE};
    static const uint32_t cr4_bits[] = {CR4_PGE,        CR4_PSE,      CR4_OSFXSR, CR4_TSD,
                                        CR4_OSXSAVE,    CR4_SMEP,     CR4_SMAP,   CR4_DE,
                                        CR4_OSXMMEXCPT, CR4_FSGSBASE, CR4_UMIP,   CR4_PCIDE,
                                        CR4_PAE,        CR4_PVI,      CR4_VME};
    static const uint32_t tables[] = {0,       0,       0,       0,       0x28000, 0x28000,
                                      0x2c000, 0x2c000, 0x20000, 0x20000, 0x20000};
    static const uint32_t second[] = {0,       0,       0,       0,       0x2a000, 0x2a000,
                                      0x30000, 0x30000, 0x24000, 0x24000, 0x24000};
    const enum world_mode mode = g->p->mode;
    const uint64_t cr4 =
        CR4_OSFXSR | CR4_OSXSAVE | CR4_OSXMMEXCPT | CR4_PGE | (mode >= WORLD_PAE_0 ? CR4_PAE : 0);

    switch (rnd(g, 5)) {
    case 0:
        if (mode == WORLD_REAL)
            return;
        add_load(g, RAX,
                 (mode == WORLD_V86 ? cr0 | CR0_PG : cr0) | CR0_WP * rnd(g, 2) |
                     CR0_MP * rnd(g, 2) | CR0_TS * rnd(g, 2));
        ADD(g, 0x0f, 0x22, 0xc0);
        break;
    case 1: /* toggle one */
        ADD(g, 0x0f, 0x20, 0xc0);
        {
            uint8_t code[8] = {0x66, 0x35};
            const unsigned prefix = g->size == CODE16;

            put_value(code + 2, cr0_bits[rnd(g, chance(g, 90) ? 9 : 11)], 4);
            add(g, code + !prefix, 5 + prefix);
        }
        ADD(g, 0x0f, 0x22, 0xc0);
        break;
    case 2:
        add_load(g, RAX, program_has_globals(g->p) || chance(g, 50) ? tables[mode] : second[mode]);
        ADD(g, 0x0f, 0x22, 0xd8);
        break;
    case 3:
        add_load(g, RAX, cr4 ^ (chance(g, 70) ? cr4_bits[rnd(g, chance(g, 90) ? 11 : 15)] : 0));
        ADD(g, 0x0f, 0x22, 0xe0);
        break;
    default:
        ADD(g, 0x0f, 0x06); /* clts */
        break;
    }
}

static void add_msr(struct gen *g)
{
    static const uint32_t msrs[] = {0x174,      0x175,      0x176,      0xc0000080,
                                    0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084,
                                    0xc0000100, 0xc0000101, 0xc0000102, 0x277,
                                    0x10,       0xc0000103, 0x1d9,      0x3b};
    const uint32_t msr = msrs[rnd(g, sizeof(msrs) / 4)];
    uint64_t low = chance(g, 70) ? pick_address(g) : insn_gen_random(&g->random) & 0xffffffff;

    if (msr == 0xc0000080)
        low = EFER_SCE | (g->p->mode >= WORLD_COMPAT_3 ? EFER_LME : 0) |
              (chance(g, 80) ? EFER_NXE : 0);
    add_load(g, RCX, msr);
    add_load(g, RAX, low);
    add_load(g, RDX, chance(g, 80) ? 0 : insn_gen_random(&g->random) & 0xffffffff);
    ADD(g, 0x0f, 0x30);
}

/* A store of one byte into the program, or of a copy of a byte. */
static void add_self_modification(struct gen *g)
{
    const struct item *near = &g->p->items[rnd(g, g->p->count + 1)];
    const uint32_t target =
        near->length == 0 ? g->at + 8 : near->at + (uint32_t)rnd(g, near->length);
    const uint32_t alias = chance(g, 30) && target >> 12 == 5 ? target + 0x8000 : target;
    uint8_t code[16];
    unsigned n = 0;

    code[n++] = 0xc6;
    code[n++] = g->size == CODE16 ? 6 : g->size == CODE64 ? 4 : 5;
    if (g->size == CODE64)
        code[n++] = 0x25;
    put_value(code + n, alias, g->size == CODE16 ? 2 : 4);
    n += g->size == CODE16 ? 2 : 4;
    code[n++] = chance(g, 50) || near->length == 0 ? 0x90 : (uint8_t)rnd(g, 256);
    add(g, code, n);
}

static void add_iret(struct gen *g)
{
    const bool wide = g->size == CODE64;
    const uint16_t cs[] = {0, 0, 0x50, 0x08, 0x08, 0x1b, 0x08, 0x1b, 0x1b, 0x30, 0x2b};
    const uint16_t ss = is_user(g->p) ? 0x23 : wide ? 0x38 : 0x10;

    if (wide) {
        add_push_imm(g, ss);
        ADD(g, 0x54); /* push rsp: 8 below where it was */
    }
    add_push_imm(g, 2 | (chance(g, 30) ? FLAG_IF : 0) | (chance(g, 10) ? FLAG_TF : 0) |
                        (chance(g, 5) ? FLAG_AC : 0));
    add_push_imm(g, chance(g, 90) ? cs[g->p->mode] : selectors[rnd(g, sizeof(selectors) / 2)]);
    add_push_target(g, 2);
    if (wide)
        ADD(g, 0x48, 0xcf);
    else
        ADD(g, 0xcf);
}

static void add_segment_load(struct gen *g)
{
    static const uint8_t segs[] = {ES, DS, DS, ES, FS, GS, SS};
    const unsigned seg = segs[rnd(g, chance(g, 80) ? 6 : 7)];

    add_load(g, RAX, selectors[rnd(g, sizeof(selectors) / 2)]);
    ADD(g, 0x8e, (uint8_t)(0xc0 | seg << 3));
}

/* CALL, JMP or Jcc (0x0f prefix) to another item. */
static void add_jump(struct gen *g, uint8_t opcode, int distance)
{
    const unsigned bytes = g->size == CODE16 ? 2 : 4, prefix = (opcode & 0xf0) == 0x80;
    const uint8_t code[6] = {prefix ? 0x0f : opcode, opcode};

    add(g, code, 1 + prefix + bytes);
    fix(g, 1 + prefix, bytes, FIX_RELATIVE, distance);
}

static void add_routine_call(struct gen *g)
{
    const int to = g->routine_count == 0 ? 0 : g->routines[rnd(g, g->routine_count)];

    if (g->routine_count == 0)
        return;
    if (chance(g, 80)) {
        add_jump(g, chance(g, 90) ? 0xe8 : 0xe9, to - (int)g->p->count);
        return;
    }
    add_load(g, RBX, 0); /* by a register */
    fix(g, g->p->items[g->p->count - 1].length - (g->size == CODE16 ? 2u : 4u),
        g->size == CODE16 ? 2 : 4, FIX_ABSOLUTE, to - (int)g->p->count + 1);
    ADD(g, 0xff, 0xd3);
    add_load(g, RBX, pick_address(g));
}

/* op byte [address], or a word of the code's size: an operand with this field `reg`, and an
 * immediate byte if that is not negative */
static void add_memory_op(struct gen *g, uint8_t opcode, unsigned reg, uint16_t address,
                          int immediate)
{
    const unsigned rm = g->size == CODE16 ? 6 : g->size == CODE64 ? 4 : 5;
    uint8_t code[9] = {opcode, (uint8_t)(reg << 3 | rm)};
    unsigned n = 2;

    if (g->size == CODE64)
        code[n++] = 0x25;
    put_value(code + n, address, g->size == CODE16 ? 2 : 4);
    n += g->size == CODE16 ? 2 : 4;
    if (immediate >= 0)
        code[n++] = (uint8_t)immediate;
    add(g, code, n);
}

/* op byte [COUNTER]: two bits of it stop a recursion now and then. */
static void add_counter(struct gen *g, uint8_t opcode, unsigned reg, int immediate)
{
    enum { COUNTER = 0x8fe0 };

    add_memory_op(g, opcode, reg, COUNTER, immediate);
}

static void add_recursion(struct gen *g, unsigned entry)
{
    add_counter(g, 0xfe, 1, -1);              /* dec */
    add_counter(g, 0xf6, 0, (int)rnd(g, 32)); /* test */
    add_jump(g, 0x84, 2);                     /* jz */
    add_jump(g, 0xe8, (int)entry - (int)g->p->count);
    ADD(g, 0x90);
}

/* What a callee does to its caller's expectations. */
static void add_mischief(struct gen *g)
{
    const bool wide = g->size == CODE64;

    switch (rnd(g, 12)) {
    case 0: /* returns to its caller's caller */
        ADD(g, 0x59);
        break;
    case 1: /* somewhere else */
        ADD(g, 0x59);
        add_push_target(g, pick_distance(g));
        break;
    case 2: /* a byte further on, or before */
        if (wide)
            ADD(g, 0x48, 0xff, (uint8_t)(rnd(g, 2) << 3 | 4), 0x24);
        else if (g->size == CODE32)
            ADD(g, 0xff, (uint8_t)(rnd(g, 2) << 3 | 4), 0x24);
        break;
    case 3: /* where nothing is: beyond limits, not canonical */
        add_load(g, RCX, wide ? 1ull << (47 + rnd(g, 17)) : (uint32_t)insn_gen_random(&g->random));
        ADD(g, 0x51);
        break;
    case 4:
    case 5:
        ADD(g, 0x0f, 0x01, (uint8_t)(0xca + rnd(g, 2))); /* clac, stac */
        break;
    case 6:
        add_control(g);
        break;
    case 7:
        add_self_modification(g);
        break;
    case 8:
        add_flags(g);
        break;
    case 9:
        ADD(g, 0x66, 0xc3);
        break;
    case 10:
        ADD(g, 0xcd, (uint8_t)(0x30 + rnd(g, 8)));
        break;
    default:
        add_load(g, RSP, is_user(g->p) ? 0xfe00 : 0x7e00);
        break;
    }
}

/* jmp over; routine: ...; ret; over: call routine, a few times */
static void add_routine(struct gen *g)
{
    const unsigned jump = g->fix_count;
    unsigned entry;

    if (!room(g, 50) || g->fix_count + 24 > PROGRAM_ITEMS ||
        g->routine_count == sizeof(g->routines) / sizeof(g->routines[0]))
        return;
    add_jump(g, 0xe9, 1);
    entry = g->p->count;
    for (unsigned i = (unsigned)rnd(g, 3); i > 0; i--)
        add_row(g);
    if (chance(g, 30))
        add_recursion(g, entry);
    if (chance(g, 40))
        add_routine_call(g);
    if (chance(g, 25))
        add_mischief(g);
    if (chance(g, 75))
        ADD(g, 0xc3);
    else
        ADD(g, 0xc2, (uint8_t)(rnd(g, 5) * 4), (uint8_t)(chance(g, 5) ? rnd(g, 256) : 0));
    g->fixes[jump].distance = (int16_t)(g->p->count - g->fixes[jump].item);
    g->routines[g->routine_count++] = (uint16_t)entry;
    for (unsigned i = 1 + (unsigned)rnd(g, 3); i > 0; i--)
        add_routine_call(g);
    if (chance(g, 30))
        add_load(g, RSP, is_user(g->p) ? 0xfe00 : 0x7e00);
}

/* ---- loops of their own, to be run a few times each time that they are come to ---- */

enum { ROUNDS = 0x8fd0, DISPATCH_TABLE = 0x8f80, DISPATCH_MOST = 4 };

/* A jump whose distance is known later: its fix. */
static unsigned add_jump_on(struct gen *g, uint8_t opcode)
{
    add_jump(g, opcode, 1);
    return g->fix_count - 1;
}

static void land(struct gen *g, unsigned jump)
{
    g->fixes[jump].distance = (int16_t)(g->p->count - g->fixes[jump].item);
}

static void add_jump_to(struct gen *g, uint8_t opcode, unsigned item)
{
    add_jump(g, opcode, (int)item - (int)g->p->count);
}

/* What seldom faults, so that loops go round: op reg, reg; or op between a register and memory. */
static void add_plain(struct gen *g)
{
    static const uint8_t ops[] = {0x01, 0x03, 0x11, 0x13, 0x19, 0x21, 0x29,
                                  0x31, 0x39, 0x3b, 0x85, 0x89, 0x8b, 0x33};
    static const uint8_t regs[] = {RAX, RCX, RDX, RBX, RBP, RSI, RDI};
    const uint8_t op = ops[rnd(g, sizeof(ops))], reg = regs[rnd(g, 7)], rm = regs[rnd(g, 7)];

    if (chance(g, 25)) {
        add_memory_op(g, op, reg, (uint16_t)(0x8000 + rnd(g, 0x1e00)), -1);
    } else if (chance(g, 10)) {
        ADD(g, (uint8_t)(0x50 | reg)); /* push, pop */
        ADD(g, (uint8_t)(0x58 | rm));
    } else if (g->size == CODE64) {
        ADD(g, (uint8_t)(0x40 | rnd(g, 16)), op, (uint8_t)(0xc0 | reg << 3 | rm));
    } else {
        ADD(g, op, (uint8_t)(0xc0 | reg << 3 | rm));
    }
}

static void add_body(struct gen *g)
{
    for (unsigned i = (unsigned)rnd(g, 4); i > 0; i--)
        add_plain(g);
    if (chance(g, 12))
        add_row(g);
    if (chance(g, 4))
        add_self_modification(g);
    if (chance(g, 5))
        add_routine_call(g);
}

/* test byte [ROUNDS], bits; jz or jnz: taken by turns */
static unsigned add_by_turns(struct gen *g)
{
    add_memory_op(g, 0xf6, 0, ROUNDS, 1 + (int)rnd(g, 7));
    return add_jump_on(g, (uint8_t)(0x84 | rnd(g, 2)));
}

static void add_rounds(struct gen *g)
{
    add_memory_op(g, 0xc6, 0, ROUNDS, 2 + (int)rnd(g, 12));
}

static void add_next_round(struct gen *g, unsigned head)
{
    add_memory_op(g, 0xfe, 1, ROUNDS, -1);
    add_jump_to(g, 0x85, head);
}

/* Part of it is jumped over in some rounds. */
static void add_turning_loop(struct gen *g)
{
    unsigned head, over;

    add_rounds(g);
    head = g->p->count;
    for (unsigned i = 1 + (unsigned)rnd(g, 2); i > 0; i--) {
        add_body(g);
        over = add_by_turns(g);
        add_body(g);
        land(g, over);
    }
    add_body(g);
    add_next_round(g, head);
}

/* jmp head; back: ...; jmp end; head: ...; jmp back; end: */
static void add_winding_loop(struct gen *g)
{
    unsigned back, to_head, to_end, over = 0;
    const bool turns = chance(g, 40);
    unsigned head;

    add_rounds(g);
    to_head = add_jump_on(g, 0xe9);
    back = g->p->count;
    add_body(g);
    to_end = add_jump_on(g, 0xe9);
    land(g, to_head);
    head = g->p->count;
    add_body(g);
    if (turns)
        over = add_by_turns(g);
    add_jump_to(g, 0xe9, back);
    if (turns)
        land(g, over);
    land(g, to_end);
    add_body(g);
    add_next_round(g, head);
}

/* mov [entry i of the table], where an item is: to be known later */
static unsigned add_entry(struct gen *g, unsigned i)
{
    const bool wide = g->size == CODE64;
    uint8_t code[12] = {0x48, 0xc7, wide ? 4 : 5, 0x25};
    const unsigned n = wide ? 4 : 3;

    put_value(code + n, DISPATCH_TABLE + i * (wide ? 8 : 4), 4);
    add(g, code + !wide, n + 8 - !wide);
    fix(g, n + 4 - !wide, 4, FIX_ABSOLUTE, 1);
    return g->fix_count - 1;
}

/* movzx eax, byte [ROUNDS]; and eax, mask; jmp [table + eax*4 or 8], in one or two steps */
static void add_dispatch(struct gen *g, uint8_t mask)
{
    const bool wide = g->size == CODE64, direct = chance(g, 60);
    uint8_t code[10] = {0x0f, 0xb6, wide ? 4 : 5, 0x25};
    unsigned n = wide ? 4 : 3;

    put_value(code + n, ROUNDS, 4);
    add(g, code, n + 4);
    ADD(g, 0x83, 0xe0, mask);
    n = 0;
    if (wide && !direct)
        code[n++] = 0x48;
    code[n++] = direct ? 0xff : 0x8b;
    code[n++] = direct ? 0x24 : 0x0c;
    code[n++] = wide ? 0xc5 : 0x85;
    put_value(code + n, DISPATCH_TABLE, 4);
    add(g, code, n + 4);
    if (!direct)
        ADD(g, 0xff, 0xe1);
}

/* A few handlers that a table leads to, each back to the loop's end or to the next dispatch. */
static void add_dispatch_loop(struct gen *g)
{
    unsigned entries[DISPATCH_MOST], to_end[DISPATCH_MOST], head, dispatch;
    const unsigned handlers = 1 + (unsigned)rnd(g, DISPATCH_MOST);
    const uint8_t mask = chance(g, 30) ? 1 : DISPATCH_MOST - 1;

    if (g->size == CODE16)
        return;
    for (unsigned i = 0; i < DISPATCH_MOST; i++)
        entries[i] = add_entry(g, i);
    add_rounds(g);
    head = g->p->count;
    add_body(g);
    dispatch = g->p->count;
    add_dispatch(g, mask);
    for (unsigned i = 0; i < handlers; i++) {
        for (unsigned j = 0; j < DISPATCH_MOST; j++)
            if (j % handlers == i)
                land(g, entries[j]);
        add_body(g);
        if (chance(g, 25)) { /* one more in the same round */
            add_memory_op(g, 0xfe, 1, ROUNDS, -1);
            add_jump_to(g, 0x85, dispatch);
        }
        if (chance(g, 8)) /* another handler from now on */
            entries[i] = add_entry(g, i);
        to_end[i] = add_jump_on(g, 0xe9);
    }
    for (unsigned i = 0; i < handlers; i++)
        land(g, to_end[i]);
    add_body(g);
    add_next_round(g, head);
}

/* ---- loops through arrays, in 64-bit code: [base + index*scale] ---- */

enum { ARRAYS_MOST = 3 };

struct arrays {
    uint8_t base[ARRAYS_MOST], index, data; /* registers */
    unsigned count, log2;                   /* of arrays, of the scale */
    bool swapped;                           /* bases are where indices are */
};

/* Any register but RSP, mostly none that add_plain() writes, and none of those in `taken`. */
static uint8_t pick_register(struct gen *g, uint16_t *taken)
{
    uint8_t reg;

    do
        reg = (uint8_t)(chance(g, 70) ? R8 + rnd(g, 8) : rnd(g, 16));
    while (reg == RSP || *taken >> reg & 1);
    *taken |= (uint16_t)(1u << reg);
    return reg;
}

/* mov reg, imm64 */
static void add_wide_load(struct gen *g, unsigned reg, uint64_t value)
{
    uint8_t code[10] = {(uint8_t)(0x48 | reg >> 3), (uint8_t)(0xb8 | (reg & 7))};

    put_value(code + 2, value, 8);
    add(g, code, sizeof(code));
}

/* What the index begins with: mostly small, or so once it is multiplied, or just anything. */
static uint64_t pick_index(struct gen *g, const struct arrays *a)
{
    const uint64_t small = rnd(g, 32) - (chance(g, 30) ? 16 : 0);

    if (chance(g, 70))
        return small;
    if (a->log2 != 0 && chance(g, 60))
        return small + (rnd(g, 8) << (64 - a->log2));
    if (chance(g, 50))
        return small + (UINT64_C(1) << (20 + rnd(g, 30))) - (UINT64_C(1) << (20 + rnd(g, 30)));
    return insn_gen_random(&g->random);
}

/* An instruction with a memory operand in one of the arrays. */
static void add_element(struct gen *g, const struct arrays *a)
{
    static const uint8_t ops[] = {0x01, 0x03, 0x13, 0x19, 0x29, 0x31, 0x33, 0x39, 0x3b,
                                  0x63, 0x85, 0x87, 0x88, 0x89, 0x89, 0x8a, 0x8b, 0x8b,
                                  0x8b, 0x10, 0x11, 0xaf, 0xb6, 0xc1, 0xef, 0xf7};
    const unsigned pick = (unsigned)rnd(g, sizeof(ops));
    const bool far_map = pick >= sizeof(ops) - 7 && ops[pick] != 0xf7, alone = chance(g, 10);
    const uint8_t base = a->base[rnd(g, a->count)];
    const uint8_t in_base = a->swapped ? a->index : base, in_index = a->swapped ? base : a->index;
    const uint8_t data = ops[pick] == 0xf7 ? (uint8_t)(2 + rnd(g, 6)) : a->data;
    uint8_t code[16];
    unsigned n = 0;

    if (chance(g, 8))
        code[n++] = 0x66;
    code[n++] = (uint8_t)(0x40 | (chance(g, 50) ? 8 : 0) | (data >> 3) << 2 |
                          (alone ? 0 : in_index >> 3 << 1) | (alone ? base : in_base) >> 3);
    if (far_map)
        code[n++] = 0x0f;
    code[n++] = ops[pick];
    code[n++] = (uint8_t)(0x84 | (data & 7) << 3);
    code[n++] =
        (uint8_t)(alone ? 0x20 | (base & 7) : a->log2 << 6 | (in_index & 7) << 3 | (in_base & 7));
    put_value(code + n, rnd(g, 64) - (chance(g, 90) ? 16 : 0x800), 4);
    add(g, code, n + 4);
}

/* add reg, small; or lea; or of 32 bits; or by more */
static void add_step(struct gen *g, uint8_t reg)
{
    static const int8_t steps[] = {1, 1, 1, 1, -1, -1, -1, 2, 4, -8};
    const uint8_t step = (uint8_t)steps[rnd(g, sizeof(steps))], low = reg & 7;
    const uint8_t high = reg >> 3;

    if (chance(g, 10))
        ADD(g, (uint8_t)(0x48 | high << 2 | high), 0x8d, (uint8_t)(0x44 | low << 3),
            (uint8_t)(0x20 | low), step);
    else if (chance(g, 10))
        ADD(g, (uint8_t)(0x40 | high), 0x83, (uint8_t)(0xc0 | low), step); /* 32 bits of it */
    else if (chance(g, 10))
        ADD(g, (uint8_t)(0x48 | high), 0x81, (uint8_t)(0xc0 | low), step, 0, (uint8_t)rnd(g, 64),
            0);
    else
        ADD(g, (uint8_t)(0x48 | high), 0x83, (uint8_t)(0xc0 | low), step);
}

/* The bases, so that the index that they are added to leads to pages that are there. */
static void add_bases(struct gen *g, const struct arrays *a, uint64_t index)
{
    for (unsigned i = 0; i < a->count; i++) {
        const uint32_t page = chance(g, 70) ? 0x9000 : 0x8000;
        const uint32_t at =
            chance(g, 95) ? (uint32_t)(page + 0x200 + rnd(g, 0xa00)) : pick_address(g);

        add_wide_load(g, a->base[i], at - (chance(g, 90) ? index << a->log2 : 0));
    }
}

static void add_array_loop(struct gen *g)
{
    uint16_t taken = 1u << RSP;
    struct arrays a;
    unsigned head;
    uint64_t index;
    uint8_t moves;

    if (!room(g, 40) || g->fix_count + 10 > PROGRAM_ITEMS)
        return;
    a.count = 1 + (unsigned)rnd(g, ARRAYS_MOST);
    a.swapped = chance(g, 25);
    a.log2 = a.swapped || chance(g, 30) ? 0 : (unsigned)rnd(g, 4);
    for (unsigned i = 0; i < a.count; i++)
        a.base[i] = pick_register(g, &taken);
    a.index = pick_register(g, &taken);
    a.data = chance(g, 95) ? pick_register(g, &taken) : a.base[0];
    moves = chance(g, 85) ? a.index : a.base[0];
    index = pick_index(g, &a);
    add_wide_load(g, a.index, index);
    add_bases(g, &a, index);
    /* More than are looked at for a superblock, or the way out is part of it. */
    add_memory_op(g, 0xc6, 0, ROUNDS, (chance(g, 70) ? 50 : 4) + (int)rnd(g, 30));
    head = g->p->count;
    for (unsigned i = 1 + (unsigned)rnd(g, 4); i > 0; i--) {
        add_element(g, &a);
        if (chance(g, 20))
            add_plain(g);
        if (chance(g, 10))
            add_step(g, moves);
    }
    if (chance(g, 20)) { /* elsewhere in some rounds */
        const unsigned over = add_by_turns(g);

        index = pick_index(g, &a);
        add_wide_load(g, a.index, index);
        if (chance(g, 70))
            add_bases(g, &a, index);
        land(g, over);
    }
    if (chance(g, 8))
        add_body(g);
    add_step(g, moves);
    add_next_round(g, head);
    if (chance(g, 40)) /* what it has spoilt */
        add_load(g, RBX, pick_address(g));
}

static void add_loop(struct gen *g)
{
    if (!room(g, 80) || g->fix_count + 40 > PROGRAM_ITEMS)
        return;
    switch (rnd(g, 3)) {
    case 0:
        add_turning_loop(g);
        break;
    case 1:
        add_winding_loop(g);
        break;
    default:
        add_dispatch_loop(g);
        break;
    }
}

static void add_sequence(struct gen *g)
{
    switch (rnd(g, g->arrays ? 40 : g->loops ? 32 : 28)) {
    case 0:
    case 1:
        add_flags(g);
        break;
    case 2:
        ADD(g, chance(g, 50) ? 0xfa : 0xfb);
        break;
    case 3:
    case 4:
        add_control(g);
        break;
    case 5:
        add_msr(g);
        break;
    case 6:
    case 7:
        add_self_modification(g);
        break;
    case 8:
        add_iret(g);
        break;
    case 9:
    case 10:
        add_segment_load(g);
        break;
    case 11: /* push target; ret */
        add_push_target(g, 1 + (int)rnd(g, 4));
        ADD(g, 0xc3);
        break;
    case 12: { /* call near, relative */
        const uint8_t code[5] = {0xe8};
        const unsigned bytes = g->size == CODE16 ? 2 : 4;

        add(g, code, 1 + bytes);
        fix(g, 1, bytes, FIX_RELATIVE, 1 + (int)rnd(g, 5));
        break;
    }
    case 13: /* indirect */
        add_load(g, RBX, 0);
        g->fix_count -= g->fix_count == PROGRAM_ITEMS;
        fix(g, g->p->items[g->p->count - 1].length - (g->size == CODE16 ? 2u : 4u),
            g->size == CODE16 ? 2 : 4, FIX_ABSOLUTE, 2 + (int)rnd(g, 4));
        ADD(g, 0xff, (uint8_t)(0xd3 + 16 * rnd(g, 2))); /* call or jmp ebx */
        add_load(g, RBX, pick_address(g));
        break;
    case 14:
        ADD(g, 0xcd, (uint8_t)(0x30 + rnd(g, 8)));
        break;
    case 15: /* invlpg */
        add_load(g, RBX, pick_address(g));
        if (g->size == CODE16)
            ADD(g, 0x0f, 0x01, 0x3f);
        else
            ADD(g, 0x0f, 0x01, 0x3b);
        break;
    case 16:
        add_load(g, RAX, rnd(g, 2));
        ADD(g, 0xe6, PORT_REMAP);
        break;
    case 17:
        add_load(g, RSI, pick_address(g));
        add_load(g, RDI, pick_address(g));
        break;
    case 18:
        add_load(g, RBP, pick_address(g));
        add_load(g, RBX, pick_address(g));
        break;
    case 19: /* a stack elsewhere: odd, near a page's end */
        add_load(g, RSP, chance(g, 50) ? pick_address(g) : is_user(g->p) ? 0xfe00 : 0x7e00);
        break;
    case 20: /* mov cr/dr: breakpoints */
        if (chance(g, 70))
            break;
        add_load(g, RAX, pick_address(g));
        ADD(g, 0x0f, 0x23, 0xc0);
        add_load(g, RAX, 0x400 | (chance(g, 60) ? 3 : 0) | rnd(g, 4) << 16 | rnd(g, 4) << 18);
        ADD(g, 0x0f, 0x23, 0xf8);
        break;
    case 21:
    case 22:
    case 23:
    case 24:
        add_routine(g);
        break;
    case 25:
    case 26:
        add_routine_call(g);
        break;
    case 28:
    case 29:
    case 30:
    case 31:
        add_loop(g);
        break;
    case 32:
    case 33:
    case 34:
    case 35:
    case 36:
    case 37:
    case 38:
    case 39:
        add_array_loop(g);
        break;
    default:
        ADD(g, 0x0f, 0xa2); /* cpuid */
        break;
    }
}

/* ---- the whole ---- */

static void apply_fixes(struct gen *g)
{
    struct program *p = g->p;

    for (unsigned i = 0; i < g->fix_count; i++) {
        const struct fix *f = &g->fixes[i];
        struct item *item = &p->items[f->item];
        int to = f->item + f->distance;
        int64_t value;

        to = to < 0 ? 0 : to >= (int)p->count ? (int)p->count - 1 : to;
        value = p->items[to].at;
        if (f->kind == FIX_RELATIVE) {
            value -= item->at + item->length;
            if (f->bytes == 1 && (value < -128 || value > 127))
                value = 0;
        }
        put_value(item->bytes + f->offset, (uint64_t)value, f->bytes);
    }
}

/* dec byte [LOOPS]; jnz start; int HALT: hot code comes from running it again. */
static void add_end(struct gen *g)
{
    enum { LOOPS = 0x8ff0 };
    uint8_t code[8] = {0xfe, g->size == CODE16 ? 0x0e : g->size == CODE64 ? 0x0c : 0x0d};
    unsigned n = 2;

    if (g->size == CODE64)
        code[n++] = 0x25;
    put_value(code + n, LOOPS, g->size == CODE16 ? 2 : 4);
    add(g, code, n + (g->size == CODE16 ? 2 : 4));
    code[0] = 0x0f;
    code[1] = 0x85;
    n = g->size == CODE16 ? 2 : 4;
    put_value(code + 2, (uint64_t)(g->p->items[0].at - (g->at + 2 + n)), n);
    add(g, code, 2 + n);
    ADD(g, 0xcd, WORLD_HALT_VECTOR);
    ADD(g, 0xeb, 0xfc);
}

void program_make(struct program *p, uint64_t seed, bool garbage)
{
    struct gen g = {.p = p, .random = seed * 0x9e3779b97f4a7c15ull ^ 0x123456789abcdefull};
    unsigned count;

    memset(p, 0, sizeof(*p));
    if (g.random == 0)
        g.random = 1;
    for (unsigned i = 0; i < 8; i++)
        (void)insn_gen_random(&g.random);
    p->seed = seed;
    p->garbage = garbage;
    p->mode = (enum world_mode)rnd(&g, WORLD_MODES);
    p->random = insn_gen_random(&g.random);
    g.loops = p->random >> 32 & 1;
    g.size = program_code_size(p);
    g.arrays = g.size == CODE64 && (p->random >> 37 & 1);
    g.at = CODE_START + (unsigned)rnd(&g, 0x200);
    count = 5 + (unsigned)rnd(&g, chance(&g, 80) ? 60 : PROGRAM_ITEMS - 20);
    while (p->count < count && room(&g, 8)) {
        if (garbage && chance(&g, 80)) {
            uint8_t bytes[8];

            put_value(bytes, insn_gen_random(&g.random), 8);
            add(&g, bytes, 8);
        } else if (chance(&g, 70)) {
            add_row(&g);
        } else {
            add_sequence(&g);
        }
    }
    if (p->count == 0)
        ADD(&g, 0x90);
    add_end(&g);
    apply_fixes(&g);
}

/* mov byte [what follows + 1], 0xc7; imul reg, rm: 0F AF /r becomes 0F C7 /r. */
static void add_stored_group9(struct gen *g, uint8_t modrm)
{
    uint8_t store[7] = {0xc6, 0x05};

    put_value(store + 2, g->at + sizeof(store) + 1, 4);
    store[6] = 0xc7;
    add(g, store, sizeof(store));
    ADD(g, 0x0f, 0xaf, modrm);
}

void program_make_stored_random(struct program *p)
{
    struct gen g = {.p = p, .at = CODE_START};

    memset(p, 0, sizeof(*p));
    p->mode = WORLD_32;
    g.size = program_code_size(p);
    add_stored_group9(&g, 0xf2); /* rdrand edx */
    add_stored_group9(&g, 0xff); /* rdseed edi */
    add_end(&g);
}

static void add_call(struct gen *g, uint32_t to)
{
    uint8_t call[5] = {0xe8};

    put_value(call + 1, to - (g->at + sizeof(call)), 4);
    add(g, call, sizeof(call));
}

void program_make_rep_in_data(struct program *p)
{
    enum { REP = 0x8100 };
    struct gen g = {.p = p, .at = CODE_START};
    uint8_t store[10] = {0xc7, 0x05}; /* mov dword [REP], "rep stosd; ret" */

    memset(p, 0, sizeof(*p));
    p->mode = WORLD_32;
    g.size = program_code_size(p);
    put_value(store + 2, REP, 4);
    put_value(store + 6, 0xc3abf3, 4);
    add(&g, store, sizeof(store));
    add_load(&g, RDI, REP - 0x10);
    add_load(&g, RAX, (WORLD_HALT_VECTOR << 8 | 0xcd) * 0x10001u); /* int HALT, twice */
    add_load(&g, RCX, 0);
    add_call(&g, REP); /* from now on its page is known to have code */
    add_load(&g, RCX, 0x100);
    add_call(&g, REP);
}

void program_make_stack_of_faults(struct program *p)
{
    struct gen g = {.p = p, .at = CODE_START};
    uint8_t store[6] = {0xc7, 0x06}; /* mov word [WORLD_HANDLERS], ud2 */

    memset(p, 0, sizeof(*p));
    p->mode = WORLD_16;
    g.size = program_code_size(p);
    put_value(store + 2, WORLD_HANDLERS, 2);
    put_value(store + 4, 0x0b0f, 2);
    add(&g, store, sizeof(store));
    add_load(&g, RSP, 0xfffc);
    ADD(&g, 0x0f, 0x0b);
}
