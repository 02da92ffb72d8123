/*
 * loader/gdb_target.c -- registers as gdb knows them, and their XML description.
 * Source: the gdb manual, appendix "Target Descriptions", "i386 Features".
 *
 * One table gives numbers, names, sizes and types; the features' names are gdb's own but for the
 * control registers, which gdb shows under ours.
 */
#define _GNU_SOURCE
#include "loader/gdb_internal.h"

#include <stdio.h>
#include <string.h>

#include "cpu/cpuid.h"
#include "cpu/fpu.h"
#include "cpu/mmu.h"

enum feature { CORE, SSE_FEATURE, SEGMENTS, AVX_FEATURE, CONTROL, FEATURES };

enum kind {
    KIND_GPR,
    KIND_RIP,
    KIND_RFLAGS,
    KIND_SELECTOR,
    KIND_ST,
    KIND_FPU,
    KIND_XMM,
    KIND_MXCSR,
    KIND_BASE,
    KIND_YMM,
    KIND_CONTROL,
};

enum { K_GS_BASE = 100 }; /* index of KIND_BASE besides the segments */
enum fpu_word { FCTRL, FSTAT, FTAG, FISEG, FIOFF, FOSEG, FOOFF, FOP };
enum control { C_CR0, C_CR2, C_CR3, C_CR4, C_CR8, C_EFER };

struct row {
    const char *name, *name32; /* NULL: not in that architecture */
    enum feature feature;
    enum kind kind;
    uint8_t index;
    uint8_t bits; /* 0: 64 or 32 by the architecture */
    const char *type, *group;
};

/* clang-format off */
static const struct row rows[] = {
    {"rax", "eax", CORE, KIND_GPR, RAX, 0, "int", NULL},
    {NULL,  "ecx", CORE, KIND_GPR, RCX, 0, "int", NULL},
    {NULL,  "edx", CORE, KIND_GPR, RDX, 0, "int", NULL},
    {"rbx", "ebx", CORE, KIND_GPR, RBX, 0, "int", NULL},
    {"rcx", NULL,  CORE, KIND_GPR, RCX, 0, "int", NULL},
    {"rdx", NULL,  CORE, KIND_GPR, RDX, 0, "int", NULL},
    {NULL,  "esp", CORE, KIND_GPR, RSP, 0, "data_ptr", NULL},
    {NULL,  "ebp", CORE, KIND_GPR, RBP, 0, "data_ptr", NULL},
    {"rsi", "esi", CORE, KIND_GPR, RSI, 0, "int", NULL},
    {"rdi", "edi", CORE, KIND_GPR, RDI, 0, "int", NULL},
    {"rbp", NULL,  CORE, KIND_GPR, RBP, 0, "data_ptr", NULL},
    {"rsp", NULL,  CORE, KIND_GPR, RSP, 0, "data_ptr", NULL},
    {"r8",  NULL,  CORE, KIND_GPR, R8,  0, "int", NULL},
    {"r9",  NULL,  CORE, KIND_GPR, R9,  0, "int", NULL},
    {"r10", NULL,  CORE, KIND_GPR, R10, 0, "int", NULL},
    {"r11", NULL,  CORE, KIND_GPR, R11, 0, "int", NULL},
    {"r12", NULL,  CORE, KIND_GPR, R12, 0, "int", NULL},
    {"r13", NULL,  CORE, KIND_GPR, R13, 0, "int", NULL},
    {"r14", NULL,  CORE, KIND_GPR, R14, 0, "int", NULL},
    {"r15", NULL,  CORE, KIND_GPR, R15, 0, "int", NULL},
    {"rip", "eip", CORE, KIND_RIP, 0, 0, "code_ptr", NULL},
    {"eflags", "eflags", CORE, KIND_RFLAGS, 0, 32, "i386_eflags", NULL},
    {"cs", "cs", CORE, KIND_SELECTOR, CS, 32, "int32", NULL},
    {"ss", "ss", CORE, KIND_SELECTOR, SS, 32, "int32", NULL},
    {"ds", "ds", CORE, KIND_SELECTOR, DS, 32, "int32", NULL},
    {"es", "es", CORE, KIND_SELECTOR, ES, 32, "int32", NULL},
    {"fs", "fs", CORE, KIND_SELECTOR, FS, 32, "int32", NULL},
    {"gs", "gs", CORE, KIND_SELECTOR, GS, 32, "int32", NULL},
    {"st0", "st0", CORE, KIND_ST, 0, 80, "i387_ext", NULL},
    {"st1", "st1", CORE, KIND_ST, 1, 80, "i387_ext", NULL},
    {"st2", "st2", CORE, KIND_ST, 2, 80, "i387_ext", NULL},
    {"st3", "st3", CORE, KIND_ST, 3, 80, "i387_ext", NULL},
    {"st4", "st4", CORE, KIND_ST, 4, 80, "i387_ext", NULL},
    {"st5", "st5", CORE, KIND_ST, 5, 80, "i387_ext", NULL},
    {"st6", "st6", CORE, KIND_ST, 6, 80, "i387_ext", NULL},
    {"st7", "st7", CORE, KIND_ST, 7, 80, "i387_ext", NULL},
    {"fctrl", "fctrl", CORE, KIND_FPU, FCTRL, 32, "int", "float"},
    {"fstat", "fstat", CORE, KIND_FPU, FSTAT, 32, "int", "float"},
    {"ftag",  "ftag",  CORE, KIND_FPU, FTAG,  32, "int", "float"},
    {"fiseg", "fiseg", CORE, KIND_FPU, FISEG, 32, "int", "float"},
    {"fioff", "fioff", CORE, KIND_FPU, FIOFF, 32, "int", "float"},
    {"foseg", "foseg", CORE, KIND_FPU, FOSEG, 32, "int", "float"},
    {"fooff", "fooff", CORE, KIND_FPU, FOOFF, 32, "int", "float"},
    {"fop",   "fop",   CORE, KIND_FPU, FOP,   32, "int", "float"},
    {"xmm0",  "xmm0",  SSE_FEATURE, KIND_XMM, 0,  128, "vec128", NULL},
    {"xmm1",  "xmm1",  SSE_FEATURE, KIND_XMM, 1,  128, "vec128", NULL},
    {"xmm2",  "xmm2",  SSE_FEATURE, KIND_XMM, 2,  128, "vec128", NULL},
    {"xmm3",  "xmm3",  SSE_FEATURE, KIND_XMM, 3,  128, "vec128", NULL},
    {"xmm4",  "xmm4",  SSE_FEATURE, KIND_XMM, 4,  128, "vec128", NULL},
    {"xmm5",  "xmm5",  SSE_FEATURE, KIND_XMM, 5,  128, "vec128", NULL},
    {"xmm6",  "xmm6",  SSE_FEATURE, KIND_XMM, 6,  128, "vec128", NULL},
    {"xmm7",  "xmm7",  SSE_FEATURE, KIND_XMM, 7,  128, "vec128", NULL},
    {"xmm8",  NULL,    SSE_FEATURE, KIND_XMM, 8,  128, "vec128", NULL},
    {"xmm9",  NULL,    SSE_FEATURE, KIND_XMM, 9,  128, "vec128", NULL},
    {"xmm10", NULL,    SSE_FEATURE, KIND_XMM, 10, 128, "vec128", NULL},
    {"xmm11", NULL,    SSE_FEATURE, KIND_XMM, 11, 128, "vec128", NULL},
    {"xmm12", NULL,    SSE_FEATURE, KIND_XMM, 12, 128, "vec128", NULL},
    {"xmm13", NULL,    SSE_FEATURE, KIND_XMM, 13, 128, "vec128", NULL},
    {"xmm14", NULL,    SSE_FEATURE, KIND_XMM, 14, 128, "vec128", NULL},
    {"xmm15", NULL,    SSE_FEATURE, KIND_XMM, 15, 128, "vec128", NULL},
    {"mxcsr", "mxcsr", SSE_FEATURE, KIND_MXCSR, 0, 32, "i386_mxcsr", "vector"},
    {"fs_base", NULL, SEGMENTS, KIND_BASE, FS, 64, "int", NULL},
    {"gs_base", NULL, SEGMENTS, KIND_BASE, GS, 64, "int", NULL},
    {"ymm0h",  "ymm0h", AVX_FEATURE, KIND_YMM, 0,  128, "uint128", NULL},
    {"ymm1h",  "ymm1h", AVX_FEATURE, KIND_YMM, 1,  128, "uint128", NULL},
    {"ymm2h",  "ymm2h", AVX_FEATURE, KIND_YMM, 2,  128, "uint128", NULL},
    {"ymm3h",  "ymm3h", AVX_FEATURE, KIND_YMM, 3,  128, "uint128", NULL},
    {"ymm4h",  "ymm4h", AVX_FEATURE, KIND_YMM, 4,  128, "uint128", NULL},
    {"ymm5h",  "ymm5h", AVX_FEATURE, KIND_YMM, 5,  128, "uint128", NULL},
    {"ymm6h",  "ymm6h", AVX_FEATURE, KIND_YMM, 6,  128, "uint128", NULL},
    {"ymm7h",  "ymm7h", AVX_FEATURE, KIND_YMM, 7,  128, "uint128", NULL},
    {"ymm8h",  NULL,    AVX_FEATURE, KIND_YMM, 8,  128, "uint128", NULL},
    {"ymm9h",  NULL,    AVX_FEATURE, KIND_YMM, 9,  128, "uint128", NULL},
    {"ymm10h", NULL,    AVX_FEATURE, KIND_YMM, 10, 128, "uint128", NULL},
    {"ymm11h", NULL,    AVX_FEATURE, KIND_YMM, 11, 128, "uint128", NULL},
    {"ymm12h", NULL,    AVX_FEATURE, KIND_YMM, 12, 128, "uint128", NULL},
    {"ymm13h", NULL,    AVX_FEATURE, KIND_YMM, 13, 128, "uint128", NULL},
    {"ymm14h", NULL,    AVX_FEATURE, KIND_YMM, 14, 128, "uint128", NULL},
    {"ymm15h", NULL,    AVX_FEATURE, KIND_YMM, 15, 128, "uint128", NULL},
    {"k_gs_base", NULL,  CONTROL, KIND_BASE, K_GS_BASE, 64, "int", "system"},
    {NULL, "fs_base",    CONTROL, KIND_BASE, FS, 0, "int", "system"},
    {NULL, "gs_base",    CONTROL, KIND_BASE, GS, 0, "int", "system"},
    {"cr0",  "cr0",  CONTROL, KIND_CONTROL, C_CR0, 0, "i386_cr0", "system"},
    {"cr2",  "cr2",  CONTROL, KIND_CONTROL, C_CR2, 0, "int", "system"},
    {"cr3",  "cr3",  CONTROL, KIND_CONTROL, C_CR3, 0, "int", "system"},
    {"cr4",  "cr4",  CONTROL, KIND_CONTROL, C_CR4, 0, "i386_cr4", "system"},
    {"cr8",  NULL,   CONTROL, KIND_CONTROL, C_CR8, 0, "int", "system"},
    {"efer", "efer", CONTROL, KIND_CONTROL, C_EFER, 0, "i386_efer", "system"},
};

static const char *const feature_names[FEATURES] = {
    [CORE] = "org.gnu.gdb.i386.core",         [SSE_FEATURE] = "org.gnu.gdb.i386.sse",
    [SEGMENTS] = "org.gnu.gdb.i386.segments", [AVX_FEATURE] = "org.gnu.gdb.i386.avx",
    [CONTROL] = "org.ringer.x86.control",
};

struct bit_name { const char *name; uint8_t bit; };
static const struct bit_name eflags_bits[] = {
    {"CF", 0}, {"", 1}, {"PF", 2}, {"AF", 4}, {"ZF", 6}, {"SF", 7}, {"TF", 8}, {"IF", 9}, {"DF", 10},
    {"OF", 11}, {"NT", 14}, {"RF", 16}, {"VM", 17}, {"AC", 18}, {"VIF", 19}, {"VIP", 20}, {"ID", 21}};
static const struct bit_name mxcsr_bits[] = {
    {"IE", 0}, {"DE", 1}, {"ZE", 2}, {"OE", 3}, {"UE", 4}, {"PE", 5}, {"DAZ", 6}, {"IM", 7},
    {"DM", 8}, {"ZM", 9}, {"OM", 10}, {"UM", 11}, {"PM", 12}, {"FZ", 15}};
static const struct bit_name cr0_bits[] = {
    {"PE", 0}, {"MP", 1}, {"EM", 2}, {"TS", 3}, {"ET", 4}, {"NE", 5}, {"WP", 16}, {"AM", 18},
    {"NW", 29}, {"CD", 30}, {"PG", 31}};
static const struct bit_name cr4_bits[] = {
    {"VME", 0}, {"PVI", 1}, {"TSD", 2}, {"DE", 3}, {"PSE", 4}, {"PAE", 5}, {"MCE", 6}, {"PGE", 7},
    {"PCE", 8}, {"OSFXSR", 9}, {"OSXMMEXCPT", 10}, {"UMIP", 11}, {"LA57", 12}, {"FSGSBASE", 16},
    {"PCIDE", 17}, {"OSXSAVE", 18}, {"SMEP", 20}, {"SMAP", 21}};
static const struct bit_name efer_bits[] = {{"SCE", 0}, {"LME", 8}, {"LMA", 10}, {"NXE", 11}};
/* clang-format on */

struct gdb_target gdb_target_of(const struct cpu_model *model)
{
    enum { EDX_SSE = 25, ECX_AVX = 28 }; /* [SDM 2A "CPUID", leaf 1] */

    return (struct gdb_target){
        .wide = model->long_mode,
        .sse = model->words[CPUID_1_EDX] >> EDX_SSE & 1,
        .avx = model->words[CPUID_1_ECX] >> ECX_AVX & 1,
    };
}

static const char *row_name(const struct gdb_target *target, const struct row *row)
{
    if ((row->feature == SSE_FEATURE && !target->sse) ||
        (row->feature == AVX_FEATURE && !target->avx))
        return NULL;
    return target->wide ? row->name : row->name32;
}

static unsigned row_bits(const struct gdb_target *target, const struct row *row)
{
    return row->bits != 0 ? row->bits : target->wide ? 64 : 32;
}

/* The row of a register number, or NULL. */
static const struct row *find_row(const struct gdb_target *target, unsigned number)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (row_name(target, &rows[i]) != NULL && number-- == 0)
            return &rows[i];
    return NULL;
}

unsigned gdb_register_count(const struct gdb_target *target)
{
    unsigned count = 0;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        count += row_name(target, &rows[i]) != NULL;
    return count;
}

size_t gdb_register_size(const struct gdb_target *target, unsigned number)
{
    const struct row *row = find_row(target, number);

    return row != NULL ? row_bits(target, row) / 8 : 0;
}

/* ---- description ---- */

static void write_flags(FILE *out, const char *id, unsigned size, const struct bit_name *bits,
                        size_t count)
{
    fprintf(out, "<flags id=\"%s\" size=\"%u\">", id, size);
    for (size_t i = 0; i < count; i++)
        fprintf(out, "<field name=\"%s\" start=\"%u\" end=\"%u\"/>", bits[i].name, bits[i].bit,
                bits[i].bit);
    fprintf(out, "</flags>\n");
}
#define FLAGS_TYPE(out, id, size, bits) \
    write_flags(out, id, size, bits, sizeof(bits) / sizeof((bits)[0]))

static void write_types(const struct gdb_target *target, enum feature feature, FILE *out)
{
    const unsigned word = target->wide ? 8 : 4;

    switch (feature) {
    case CORE:
        FLAGS_TYPE(out, "i386_eflags", 4, eflags_bits);
        break;
    case SSE_FEATURE:
        fprintf(out, "<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>\n"
                     "<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>\n"
                     "<vector id=\"v16i8\" type=\"int8\" count=\"16\"/>\n"
                     "<vector id=\"v8i16\" type=\"int16\" count=\"8\"/>\n"
                     "<vector id=\"v4i32\" type=\"int32\" count=\"4\"/>\n"
                     "<vector id=\"v2i64\" type=\"int64\" count=\"2\"/>\n"
                     "<union id=\"vec128\">"
                     "<field name=\"v4_float\" type=\"v4f\"/>"
                     "<field name=\"v2_double\" type=\"v2d\"/>"
                     "<field name=\"v16_int8\" type=\"v16i8\"/>"
                     "<field name=\"v8_int16\" type=\"v8i16\"/>"
                     "<field name=\"v4_int32\" type=\"v4i32\"/>"
                     "<field name=\"v2_int64\" type=\"v2i64\"/>"
                     "<field name=\"uint128\" type=\"uint128\"/></union>\n");
        FLAGS_TYPE(out, "i386_mxcsr", 4, mxcsr_bits);
        break;
    case CONTROL:
        FLAGS_TYPE(out, "i386_cr0", word, cr0_bits);
        FLAGS_TYPE(out, "i386_cr4", word, cr4_bits);
        FLAGS_TYPE(out, "i386_efer", word, efer_bits);
        break;
    default:
        break;
    }
}

char *gdb_target_xml(const struct gdb_target *target)
{
    enum feature open = FEATURES;
    unsigned number = 0;
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (out == NULL)
        return NULL;
    fprintf(out,
            "<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n<target>\n"
            "<architecture>%s</architecture>\n",
            target->wide ? "i386:x86-64" : "i386");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *row = &rows[i];
        const char *name = row_name(target, row);
        const unsigned bits = row_bits(target, row);

        if (name == NULL)
            continue;
        if (row->feature != open) {
            fprintf(out, "%s<feature name=\"%s\">\n", open != FEATURES ? "</feature>\n" : "",
                    feature_names[row->feature]);
            open = row->feature;
            write_types(target, open, out);
        }
        fprintf(out, "<reg name=\"%s\" bitsize=\"%u\" regnum=\"%u\" type=\"%s%s\"", name, bits,
                number++, row->type,
                strcmp(row->type, "int") != 0 ? ""
                : bits == 64                  ? "64"
                                              : "32");
        if (row->group != NULL)
            fprintf(out, " group=\"%s\"", row->group);
        fprintf(out, "/>\n");
    }
    fprintf(out, "</feature>\n</target>\n");
    if (fclose(out) != 0)
        return NULL;
    return text;
}

/* ---- x87 ---- */

/* The 16-bit tag word, which FXSAVE abridges: 0 valid, 1 zero, 2 special, 3 empty; two bits for
 * each physical register. [SDM 1 8.1.7, 10.5.1.1] */
static uint16_t full_tags(const uint8_t *fpu)
{
    uint16_t status, tags = 0;
    unsigned top;

    memcpy(&status, fpu + FPU_FSW, sizeof(status));
    top = (status & FSW_TOP) >> FSW_TOP_SHIFT;
    for (unsigned i = 0; i < 8; i++) {
        const uint8_t *st = fpu + FPU_ST + 16 * ((i - top) & 7);
        uint64_t significand;
        uint16_t exponent;
        unsigned tag = 3;

        memcpy(&significand, st, sizeof(significand));
        memcpy(&exponent, st + 8, sizeof(exponent));
        exponent &= 0x7fff;
        if (fpu[FPU_FTW] >> i & 1)
            tag = exponent == 0 && significand == 0            ? 1
                  : exponent == 0x7fff || !(significand >> 63) ? 2
                                                               : 0;
        tags |= (uint16_t)(tag << (2 * i));
    }
    return tags;
}

static uint32_t fpu_word_read(const uint8_t *fpu, enum fpu_word word)
{
    uint16_t value = 0;

    if (word == FTAG)
        return full_tags(fpu);
    if (word == FCTRL || word == FSTAT)
        memcpy(&value, fpu + (word == FCTRL ? FPU_FCW : FPU_FSW), sizeof(value));
    return value; /* the instruction and data pointers read as zero, see cpu/fpu.h */
}

static bool fpu_word_write(uint8_t *fpu, enum fpu_word word, uint32_t value)
{
    const uint16_t half = (uint16_t)value;
    uint8_t tags = 0;

    if (value > 0xffff)
        return false;
    switch (word) {
    case FCTRL:
        memcpy(fpu + FPU_FCW, &half, sizeof(half));
        return true;
    case FSTAT:
        memcpy(fpu + FPU_FSW, &half, sizeof(half));
        return true;
    case FTAG:
        for (unsigned i = 0; i < 8; i++)
            tags |= (uint8_t)(((value >> (2 * i) & 3) != 3) << i);
        fpu[FPU_FTW] = tags;
        return true;
    default:
        return value == 0;
    }
}

/* ---- reading ---- */

static uint64_t control_read(const struct cpu *cpu, enum control which)
{
    switch (which) {
    case C_CR0:
        return cpu->cr0;
    case C_CR2:
        return cpu->cr2;
    case C_CR3:
        return cpu->cr3;
    case C_CR4:
        return cpu->cr4;
    case C_CR8:
        return cpu->ops->tpr_read != NULL ? cpu->ops->tpr_read(cpu->ops_ctx) : 0;
    default:
        return cpu->efer;
    }
}

size_t gdb_register_read(const struct gdb_target *target, struct cpu *cpu, unsigned number,
                         uint8_t *value)
{
    const struct row *row = find_row(target, number);
    uint64_t small = 0;

    if (row == NULL)
        return 0;
    memset(value, 0, GDB_REGISTER_BYTES);
    switch (row->kind) {
    case KIND_GPR:
        small = cpu->gpr[row->index];
        break;
    case KIND_RIP:
        small = cpu->rip;
        break;
    case KIND_RFLAGS:
        small = cpu->rflags;
        break;
    case KIND_SELECTOR:
        small = cpu->seg[row->index].selector;
        break;
    case KIND_FPU:
        small = fpu_word_read(cpu->fpu, row->index);
        break;
    case KIND_MXCSR:
        small = *(const uint32_t *)(const void *)(cpu->fpu + FPU_MXCSR);
        break;
    case KIND_BASE:
        small = row->index == K_GS_BASE ? cpu->kernel_gs_base : cpu->seg[row->index].base;
        break;
    case KIND_CONTROL:
        small = control_read(cpu, row->index);
        break;
    case KIND_ST:
        memcpy(value, cpu->fpu + FPU_ST + 16 * row->index, 10);
        return 10;
    case KIND_XMM:
        memcpy(value, cpu->fpu + FPU_XMM + 16 * row->index, 16);
        return 16;
    case KIND_YMM:
        memcpy(value, cpu->fpu + FPU_YMM + 16 * row->index, 16);
        return 16;
    }
    memcpy(value, &small, sizeof(small));
    return row_bits(target, row) / 8;
}

/* ---- writing ---- */

static bool write_rip(struct cpu *cpu, uint64_t value)
{
    if (cpu_is_code64(cpu) ? !linaddr_is_canonical(value) : value > UINT32_MAX)
        return false;
    if (value != cpu->rip) { /* elsewhere neither HLT nor the interrupt shadow counts */
        cpu->halted = false;
        cpu->shadow = 0;
    }
    cpu->rip = value;
    return true;
}

static bool write_rflags(struct cpu *cpu, uint64_t value)
{
    const uint64_t writable = FLAGS_OSZAPC | FLAG_TF | FLAG_IF | FLAG_DF | FLAG_IOPL | FLAG_NT |
                              FLAG_RF | FLAG_AC | FLAG_ID;

    /* VM changes what the segments mean; VIF, VIP are the kernel's. */
    cpu->rflags = (cpu->rflags & ~writable) | (value & writable);
    cpu_update_mode(cpu);
    return true;
}

/* Outside protected mode a selector is a base; in it, only the guest can load a descriptor. */
static bool write_selector(struct cpu *cpu, enum seg seg, uint64_t value)
{
    if (cpu->seg[seg].selector == value)
        return true;
    if (cpu_is_protected(cpu) || value > 0xffff)
        return false;
    cpu->seg[seg].selector = (uint16_t)value;
    cpu->seg[seg].base = value << 4;
    cpu_update_mode(cpu);
    return true;
}

static bool write_base(struct cpu *cpu, unsigned index, uint64_t value)
{
    uint64_t *base = index == K_GS_BASE ? &cpu->kernel_gs_base : &cpu->seg[index].base;

    if (*base == value)
        return true;
    if (!cpu_is_long(cpu) || !linaddr_is_canonical(value))
        return false;
    *base = value;
    cpu_update_mode(cpu);
    return true;
}

bool gdb_register_write(const struct gdb_target *target, struct cpu *cpu, unsigned number,
                        const uint8_t *value)
{
    const struct row *row = find_row(target, number);
    uint64_t small = 0;
    uint32_t mxcsr;

    if (row == NULL)
        return false;
    memcpy(&small, value, row_bits(target, row) / 8 < 8 ? row_bits(target, row) / 8 : 8);
    switch (row->kind) {
    case KIND_GPR:
        cpu->gpr[row->index] = cpu_is_long(cpu) ? small : (uint32_t)small;
        return true;
    case KIND_RIP:
        return write_rip(cpu, small);
    case KIND_RFLAGS:
        return write_rflags(cpu, small);
    case KIND_SELECTOR:
        return write_selector(cpu, row->index, small);
    case KIND_FPU:
        return fpu_word_write(cpu->fpu, row->index, (uint32_t)small);
    case KIND_MXCSR:
        mxcsr = (uint32_t)small & MXCSR_WRITABLE;
        memcpy(cpu->fpu + FPU_MXCSR, &mxcsr, sizeof(mxcsr));
        return mxcsr == small;
    case KIND_BASE:
        return write_base(cpu, row->index, small);
    case KIND_CONTROL:
        if (row->index == C_CR2)
            cpu->cr2 = small;
        return small == control_read(cpu, row->index); /* the others have consequences */
    case KIND_ST:
        memcpy(cpu->fpu + FPU_ST + 16 * row->index, value, 10);
        return true;
    case KIND_XMM:
        memcpy(cpu->fpu + FPU_XMM + 16 * row->index, value, 16);
        return true;
    case KIND_YMM:
        memcpy(cpu->fpu + FPU_YMM + 16 * row->index, value, 16);
        return true;
    }
    return false;
}
