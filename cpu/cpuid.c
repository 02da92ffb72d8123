/*
 * cpu/cpuid.c -- CPU models, their command-line names, and the CPUID instruction's answers.
 * Source: [SDM 2A "CPUID"]; leaves 0x8000001D and up are not used; the AMD vendor's bits are
 * [AMD64 APM 3 appendix E].
 *
 * A model shows what is in its column of ringer_supports[], and of that only what Ringer can do
 * and, for instructions that user code runs natively, what the host has.
 *
 * Speculation: code that Ringer makes is as open to the host's side channels as the host's own is,
 * and nothing that a guest kernel does about it (page-table isolation, retpolines, buffer clears)
 * would help: the guest's two privilege levels are one to the host.  So `max` says that
 * it needs none of it, which spares the guest their price.  (bhi-ctrl is for kernels that do not
 * believe BHI_NO: a bit that they set once replaces a loop that they run in each system call.)
 */
#include "cpu/cpuid.h"

#include <cpuid.h>
#include <stdio.h>
#include <string.h>

#include "cpu/cpu.h"
#include "cpu/fpu.h"
#include "cpu/msr.h"

/* ---- the features ---- */

enum { M_486 = 1, M_P3 = 2, M_Q32 = 4, M_Q64 = 8, M_MAX = 16 };
#define P3_UP  (M_P3 | M_Q32 | M_Q64 | M_MAX)
#define Q32_UP (M_Q32 | M_Q64 | M_MAX)
#define Q64_UP (M_Q64 | M_MAX)
#define ALL    (M_486 | P3_UP)

/* Who must have it for a model to show it. */
enum need {
    SOFT,  /* Ringer alone: system instructions and modes are never run natively */
    HOST,  /* the host too: user code runs the instruction itself */
    LATER, /* known by name, not done by Ringer yet: no model shows it */
};

/* One feature.  `builds_on` is the name of a row above. */
struct feature {
    const char *name;
    uint8_t word; /* enum cpuid_word */
    uint8_t bit;
    uint8_t need; /* enum need */
    uint8_t models;
    uint8_t insn; /* enum insn_feature, or NO_INSN */
    const char *builds_on;
};

enum { NO_INSN = 0xff };
_Static_assert((int)INSN_FEATURE_COUNT < (int)NO_INSN, "fits a byte");

/* clang-format off */
static const struct feature ringer_supports[] = {
    /* name            word            bit need  models insn     builds on */
    {"fpu",            CPUID_1_EDX,        0,  HOST,  ALL,    FPU_,     NULL},
    {"vme",            CPUID_1_EDX,        1,  SOFT,  ALL,    NO_INSN,  NULL},
    {"de",             CPUID_1_EDX,        2,  SOFT,  P3_UP,  NO_INSN,  NULL},
    {"pse",            CPUID_1_EDX,        3,  SOFT,  P3_UP,  NO_INSN,  NULL},
    {"tsc",            CPUID_1_EDX,        4,  SOFT,  P3_UP,  TSC_,     NULL},
    {"msr",            CPUID_1_EDX,        5,  SOFT,  P3_UP,  MSR_,     NULL},
    {"pae",            CPUID_1_EDX,        6,  SOFT,  P3_UP,  NO_INSN,  NULL},
    {"mce",            CPUID_1_EDX,        7,  SOFT,  P3_UP,  NO_INSN,  "msr"},
    {"cx8",            CPUID_1_EDX,        8,  HOST,  P3_UP,  CX8,      NULL},
    {"apic",           CPUID_1_EDX,        9,  SOFT,  P3_UP,  NO_INSN,  "msr"},
    {"sep",            CPUID_1_EDX,        11, SOFT,  P3_UP,  SEP,      "msr"},
    {"mtrr",           CPUID_1_EDX,        12, SOFT,  P3_UP,  NO_INSN,  "msr"},
    {"pge",            CPUID_1_EDX,        13, SOFT,  P3_UP,  NO_INSN,  NULL},
    {"mca",            CPUID_1_EDX,        14, SOFT,  P3_UP,  NO_INSN,  "mce"},
    {"cmov",           CPUID_1_EDX,        15, HOST,  P3_UP,  CMOV,     NULL},
    {"pat",            CPUID_1_EDX,        16, SOFT,  P3_UP,  NO_INSN,  "msr"},
    {"pse36",          CPUID_1_EDX,        17, SOFT,  P3_UP,  NO_INSN,  "pse"},
    {"clflush",        CPUID_1_EDX,        19, SOFT,  Q32_UP, CLFSH,    NULL},
    {"mmx",            CPUID_1_EDX,        23, HOST,  P3_UP,  MMX_,     "fpu"},
    {"fxsr",           CPUID_1_EDX,        24, HOST,  P3_UP,  FXSR_,    "fpu"},
    {"sse",            CPUID_1_EDX,        25, HOST,  P3_UP,  SSE_,     "fxsr"},
    {"sse2",           CPUID_1_EDX,        26, HOST,  Q32_UP, SSE2,     "sse"},
    {"sse3",           CPUID_1_ECX,        0,  HOST,  Q32_UP, SSE3,     "sse2"},
    {"pclmulqdq",      CPUID_1_ECX,        1,  HOST,  M_MAX,  PCLMUL,   "sse2"},
    {"monitor",        CPUID_1_ECX,        3,  LATER, 0,      MONITOR,  NULL},
    {"ssse3",          CPUID_1_ECX,        9,  HOST,  M_MAX,  SSSE3,    "sse3"},
    {"cx16",           CPUID_1_ECX,        13, HOST,  Q64_UP, CX16,     NULL},
    {"sse4.1",         CPUID_1_ECX,        19, HOST,  M_MAX,  SSE41,    "ssse3"},
    {"sse4.2",         CPUID_1_ECX,        20, HOST,  M_MAX,  SSE42,    "sse4.1"},
    {"x2apic",         CPUID_1_ECX,        21, SOFT,  M_MAX,  NO_INSN,  "apic"},
    {"movbe",          CPUID_1_ECX,        22, HOST,  M_MAX,  MOVBE,    NULL},
    {"popcnt",         CPUID_1_ECX,        23, HOST,  M_MAX,  POPCNT,   NULL},
    {"tsc-deadline",   CPUID_1_ECX,        24, SOFT,  M_MAX,  NO_INSN,  "apic"},
    {"aes",            CPUID_1_ECX,        25, HOST,  M_MAX,  AES,      "sse2"},
    {"xsave",          CPUID_1_ECX,        26, SOFT,  M_MAX,  XSAVE_,   "fxsr"},
    {"avx",            CPUID_1_ECX,        28, HOST,  M_MAX,  AVX_,     "xsave"},
    {"f16c",           CPUID_1_ECX,        29, HOST,  M_MAX,  F16C,     "avx"},
    {"fma",            CPUID_1_ECX,        12, HOST,  M_MAX,  FMA,      "avx"},
    {"rdrand",         CPUID_1_ECX,        30, HOST,  M_MAX,  RDRAND,   NULL},
    {"hypervisor",     CPUID_1_ECX,        31, SOFT,  Q32_UP, NO_INSN,  NULL},
    {"tsc-adjust",     CPUID_7_EBX,        1,  SOFT,  M_MAX,  NO_INSN,  "tsc"},
    {"bmi1",           CPUID_7_EBX,        3,  HOST,  M_MAX,  BMI1,     NULL},
    {"avx2",           CPUID_7_EBX,        5,  HOST,  M_MAX,  AVX2_,    "avx"},
    {"smep",           CPUID_7_EBX,        7,  SOFT,  M_MAX,  NO_INSN,  NULL},
    {"bmi2",           CPUID_7_EBX,        8,  HOST,  M_MAX,  BMI2,     NULL},
    {"erms",           CPUID_7_EBX,        9,  HOST,  M_MAX,  NO_INSN,  NULL},
    {"rdseed",         CPUID_7_EBX,        18, HOST,  M_MAX,  RDSEED,   NULL},
    {"adx",            CPUID_7_EBX,        19, HOST,  M_MAX,  ADX,      NULL},
    {"smap",           CPUID_7_EBX,        20, SOFT,  M_MAX,  SMAP,     NULL},
    {"clflushopt",     CPUID_7_EBX,        23, SOFT,  M_MAX,  CLFLUSHOPT, "clflush"},
    {"clwb",           CPUID_7_EBX,        24, SOFT,  M_MAX,  CLWB,     "clflush"},
    {"sha-ni",         CPUID_7_EBX,        29, HOST,  M_MAX,  SHA,      "sse2"},
    {"umip",           CPUID_7_ECX,        2,  SOFT,  M_MAX,  NO_INSN,  NULL},
    {"rdpid",          CPUID_7_ECX,        22, SOFT,  M_MAX,  RDPID_,   "msr"},
    {"gfni",           CPUID_7_ECX,        8,  HOST,  M_MAX,  GFNI,     "sse2"},
    {"vaes",           CPUID_7_ECX,        9,  HOST,  M_MAX,  VAES,     "avx"},
    {"vpclmulqdq",     CPUID_7_ECX,        10, HOST,  M_MAX,  VPCLMUL,  "avx"},
    {"avx512f",        CPUID_7_EBX,        16, HOST,  M_MAX,  AVX512F,  "avx2"},
    {"avx512dq",       CPUID_7_EBX,        17, HOST,  M_MAX,  AVX512DQ, "avx512f"},
    {"avx512ifma",     CPUID_7_EBX,        21, HOST,  M_MAX,  AVX512IFMA, "avx512f"},
    {"avx512cd",       CPUID_7_EBX,        28, HOST,  M_MAX,  AVX512CD, "avx512f"},
    {"avx512bw",       CPUID_7_EBX,        30, HOST,  M_MAX,  AVX512BW, "avx512f"},
    {"avx512vl",       CPUID_7_EBX,        31, HOST,  M_MAX,  AVX512VL, "avx512f"},
    {"avx512vbmi",     CPUID_7_ECX,        1,  HOST,  M_MAX,  AVX512VBMI, "avx512bw"},
    {"avx512vbmi2",    CPUID_7_ECX,        6,  HOST,  M_MAX,  AVX512VBMI2, "avx512bw"},
    {"avx512vnni",     CPUID_7_ECX,        11, HOST,  M_MAX,  AVX512VNNI, "avx512f"},
    {"avx512bitalg",   CPUID_7_ECX,        12, HOST,  M_MAX,  AVX512BITALG, "avx512bw"},
    {"avx512-vpopcntdq", CPUID_7_ECX,      14, HOST,  M_MAX,  AVX512POPCNT, "avx512f"},
    {"avx512-bf16",    CPUID_71_EAX,       5,  HOST,  M_MAX,  AVX512BF16, "avx512bw"},
    {"movdiri",        CPUID_7_ECX,        27, LATER, 0,      MOVDIRI,  NULL},
    {"fsrm",           CPUID_7_EDX,        4,  HOST,  M_MAX,  NO_INSN,  "erms"},
    {"serialize",      CPUID_7_EDX,        14, LATER, 0,      SERIALIZE, NULL},
    {"spec-ctrl",      CPUID_7_EDX,        26, SOFT,  M_MAX,  NO_INSN,  "msr"},
    {"arch-capabilities", CPUID_7_EDX,     29, SOFT,  M_MAX,  NO_INSN,  "msr"},
    {"bhi-ctrl",       CPUID_72_EDX,       4,  SOFT,  M_MAX,  NO_INSN,  "spec-ctrl"},
    {"xsaveopt",       CPUID_D1_EAX,       0,  SOFT,  M_MAX,  XSAVEOPT_, "xsave"},
    {"xsavec",         CPUID_D1_EAX,       1,  SOFT,  M_MAX,  XSAVEC_,  "xsave"},
    {"xgetbv1",        CPUID_D1_EAX,       2,  SOFT,  M_MAX,  NO_INSN,  "xsave"},
    {"xsaves",         CPUID_D1_EAX,       3,  SOFT,  M_MAX,  XSAVES_,  "xsavec"},
    {"syscall",        CPUID_80000001_EDX, 11, SOFT,  Q64_UP, SYSCALL_, "msr"},
    {"nx",             CPUID_80000001_EDX, 20, SOFT,  Q64_UP, NO_INSN,  "pae"},
    {"rdtscp",         CPUID_80000001_EDX, 27, SOFT,  M_MAX,  RDTSCP,   "tsc"},
    {"lm",             CPUID_80000001_EDX, 29, SOFT,  Q64_UP, LM,       "pae"},
    {"pdpe1gb",        CPUID_80000001_EDX, 26, SOFT,  M_MAX,  NO_INSN,  "lm"},
    {"pcid",           CPUID_1_ECX,        17, SOFT,  M_MAX,  NO_INSN,  "lm"},
    {"invpcid",        CPUID_7_EBX,        10, SOFT,  M_MAX,  INVPCID,  "pcid"},
    {"fsgsbase",       CPUID_7_EBX,        0,  SOFT,  M_MAX,  FSGSBASE, "lm"},
    {"lahf-lm",        CPUID_80000001_ECX, 0,  HOST,  Q64_UP, LAHF64,   "lm"},
    {"abm",            CPUID_80000001_ECX, 5,  HOST,  M_MAX,  LZCNT,    NULL},
    {"3dnowprefetch",  CPUID_80000001_ECX, 8,  SOFT,  M_MAX,  PREFETCHW, NULL},
    {"invtsc",         CPUID_80000007_EDX, 8,  SOFT,  M_MAX,  NO_INSN,  "tsc"},
};
/* clang-format on */
enum { FEATURES = sizeof ringer_supports / sizeof ringer_supports[0] };

/* ---- the models ---- */

struct model_row {
    const char *name;
    uint8_t column; /* M_* */
    const char *vendor;
    const char *brand;  /* NULL: the model is older than brand strings */
    uint32_t signature; /* family, model, stepping as in leaf 1 EAX */
    uint32_t max_leaf, max_extended_leaf;
    uint8_t phys_bits;
};

static const struct model_row models[] = {
    {"max", M_MAX, "GenuineIntel", "Ringer virtual CPU, model max", 0x806f8, 0x16, 0x80000008, 40},
    {"qemu64", M_Q64, "AuthenticAMD", "Ringer virtual CPU, model qemu64", 0x60fb1, 0xd, 0x80000008,
     40},
    {"qemu32", M_Q32, "GenuineIntel", "Ringer virtual CPU, model qemu32", 0x663, 4, 0x80000004, 36},
    {"pentium3", M_P3, "GenuineIntel", NULL, 0x683, 2, 0, 36},
    {"486", M_486, "GenuineIntel", NULL, 0x480, 1, 0, 32},
};
enum { MODELS = sizeof models / sizeof models[0] };

/* ---- building a model ---- */

/* Which state the host's operating system keeps for its programs.  [SDM 1 14.3] */
static uint32_t host_xcr0(void)
{
    enum { OSXSAVE = 1 << 27 };
    uint32_t a, b, c, d, low, high;

    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & OSXSAVE))
        return 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

/*
 * AVX-512 as every server processor has it: with CD, BW, DQ, VL (not so on Xeon Phi), and what
 * moving its state needs (cpu/fpu.c).
 */
static bool host_has_avx512(const uint32_t words[CPUID_WORD_COUNT])
{
    enum { F_DQ_CD_BW_VL = (int)(1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31) };
    enum { XSAVEC_AND_XGETBV1 = 6 };
    const uint32_t state = XCR0_SSE | XCR0_AVX | XCR0_AVX512;

    return (words[CPUID_7_EBX] & (uint32_t)F_DQ_CD_BW_VL) == (uint32_t)F_DQ_CD_BW_VL &&
           (words[CPUID_D1_EAX] & XSAVEC_AND_XGETBV1) == XSAVEC_AND_XGETBV1 &&
           (host_xcr0() & state) == state;
}

static void host_words(uint32_t words[CPUID_WORD_COUNT])
{
    uint32_t a, b, c, d;

    memset(words, 0, CPUID_WORD_COUNT * sizeof *words);
    if (__get_cpuid(1, &a, &b, &c, &d)) {
        words[CPUID_1_EDX] = d;
        words[CPUID_1_ECX] = (host_xcr0() & 6) == 6 ? c : c & ~(1u << 28);
    }
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
        words[CPUID_7_EBX] = b;
        words[CPUID_7_ECX] = c;
        words[CPUID_7_EDX] = d;
        if (a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d))
            words[CPUID_71_EAX] = a;
    }
    if (__get_cpuid_count(13, 1, &a, &b, &c, &d))
        words[CPUID_D1_EAX] = a;
    if (__get_cpuid(0x80000001, &a, &b, &c, &d)) {
        words[CPUID_80000001_EDX] = d;
        words[CPUID_80000001_ECX] = c;
    }
    if (!host_has_avx512(words))
        words[CPUID_7_EBX] &= ~(1u << 16); /* AVX512F, on which the others build */
}

/* Where the host's XSAVE puts opmask, ZMM_Hi256, Hi16_ZMM. */
static void host_xsave_layout(uint16_t at[3])
{
    uint32_t a, b, c, d;

    for (unsigned i = 0; i < 3; i++)
        if (__get_cpuid_count(13, 5 + i, &a, &b, &c, &d))
            at[i] = (uint16_t)b;
}

static bool is_available(const struct feature *f, const uint32_t host[CPUID_WORD_COUNT])
{
    return f->need == SOFT || (f->need == HOST && (host[f->word] >> f->bit & 1));
}

static bool is_shown(const struct cpu_model *model, const struct feature *f)
{
    return model->words[f->word] >> f->bit & 1;
}

static const struct feature *feature_find(const char *name, size_t length)
{
    for (unsigned i = 0; i < FEATURES; i++)
        if (strlen(ringer_supports[i].name) == length &&
            memcmp(ringer_supports[i].name, name, length) == 0)
            return &ringer_supports[i];
    return NULL;
}

/* Hide what builds on a hidden feature.  A row builds on one above it, so one pass is enough. */
static void close_features(struct cpu_model *model)
{
    for (unsigned i = 0; i < FEATURES; i++) {
        const struct feature *f = &ringer_supports[i];

        if (f->builds_on != NULL &&
            !is_shown(model, feature_find(f->builds_on, strlen(f->builds_on))))
            model->words[f->word] &= ~(1u << f->bit);
    }
}

/* Show a feature and what it builds on.  False: Ringer or the host cannot. */
static bool feature_show(struct cpu_model *model, const struct feature *f,
                         const uint32_t host[CPUID_WORD_COUNT])
{
    while (f != NULL) {
        if (!is_available(f, host))
            return false;
        model->words[f->word] |= 1u << f->bit;
        f = f->builds_on != NULL ? feature_find(f->builds_on, strlen(f->builds_on)) : NULL;
    }
    return true;
}

static bool shown(const struct cpu_model *model, const char *name)
{
    return is_shown(model, feature_find(name, strlen(name)));
}

/* Everything that follows from the words. */
static void derive(struct cpu_model *model)
{
    memset(model->has, 0, sizeof model->has);
    model->has[BASE] = model->has[I486] = model->has[CPUID_] = true;
    model->has[NOPL] = (model->signature >> 8 & 15) >= 6;
    for (unsigned i = 0; i < FEATURES; i++)
        if (ringer_supports[i].insn != NO_INSN)
            model->has[ringer_supports[i].insn] = is_shown(model, &ringer_supports[i]);
    model->long_mode = shown(model, "lm");
    model->nx = shown(model, "nx");
    model->pae = shown(model, "pae");
    model->pse = shown(model, "pse");
    model->pse36 = shown(model, "pse36");
    model->pge = shown(model, "pge");
    model->vme = shown(model, "vme");
    model->pcid = shown(model, "pcid");
    model->page1gb = shown(model, "pdpe1gb");
    model->apic = shown(model, "apic");
    model->mtrr = shown(model, "mtrr");
    model->pat = shown(model, "pat");
    model->tsc = shown(model, "tsc");
    model->de = shown(model, "de");
    model->mce = shown(model, "mce");
    model->mca = shown(model, "mca");
    model->smep = shown(model, "smep");
    model->smap = shown(model, "smap");
    model->umip = shown(model, "umip");
    model->tsc_adjust = shown(model, "tsc-adjust");
    model->spec_ctrl = shown(model, "spec-ctrl");
    model->arch_capabilities = shown(model, "arch-capabilities");
    model->x2apic = shown(model, "x2apic");
    model->tsc_deadline = shown(model, "tsc-deadline");
    model->bhi_ctrl = shown(model, "bhi-ctrl");
    model->xgetbv1 = shown(model, "xgetbv1");
    model->hypervisor = shown(model, "hypervisor");
    if (model->has[AVX512F])
        host_xsave_layout(model->xsave_at);
    /* AMD repeats most of leaf 1's EDX in 0x80000001. [AMD64 APM 3 E.4.2] */
    if (model->vendor[0] == 'A')
        model->words[CPUID_80000001_EDX] |= model->words[CPUID_1_EDX] & 0x0183f3ff;
}

/* ---- the command line ---- */

const char *cpu_model_name(unsigned number)
{
    return number < MODELS ? models[number].name : NULL;
}

const char *cpu_feature_name(unsigned number)
{
    return number < FEATURES ? ringer_supports[number].name : NULL;
}

static void list_models(char *message, unsigned size, const char *name, int length)
{
    int used = snprintf(message, size, "unknown CPU model '%.*s'; known:", length, name);

    for (unsigned i = 0; i < MODELS && used >= 0 && (unsigned)used < size; i++)
        used += snprintf(message + used, size - (unsigned)used, " %s", models[i].name);
}

static void list_features(char *message, unsigned size, const char *name, int length)
{
    int used = snprintf(message, size, "unknown CPU feature '%.*s'; known:", length, name);

    for (unsigned i = 0; i < FEATURES && used >= 0 && (unsigned)used < size; i++)
        used += snprintf(message + used, size - (unsigned)used, " %s", ringer_supports[i].name);
}

/* People spell features with '_' too, and some by an older name. */
static const struct feature *feature_named(const char *name, size_t length)
{
    static const struct {
        const char *other, *name;
    } aliases[] = {
        {"sse4_1", "sse4.1"}, {"sse4_2", "sse4.2"}, {"pni", "sse3"},   {"lzcnt", "abm"},
        {"clfsh", "clflush"}, {"xd", "nx"},         {"sha", "sha-ni"},
    };
    char plain[32];

    if (length == 0 || length >= sizeof plain)
        return NULL;
    for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++)
        if (strlen(aliases[i].other) == length && memcmp(aliases[i].other, name, length) == 0)
            return feature_find(aliases[i].name, strlen(aliases[i].name));
    for (size_t i = 0; i < length; i++)
        plain[i] = name[i] == '_' ? '-' : name[i];
    return feature_find(plain, length);
}

/* One "+feature", "-feature", "feature=on|off" or "feature". */
static bool parse_feature(struct cpu_model *model, const uint32_t host[CPUID_WORD_COUNT],
                          const char *text, size_t length, char *message, unsigned message_size)
{
    const char *name = text;
    const struct feature *f;
    bool on = true;

    if (length > 0 && (text[0] == '+' || text[0] == '-')) {
        on = text[0] == '+';
        name++;
        length--;
    } else if (length > 3 && memcmp(text + length - 3, "=on", 3) == 0) {
        length -= 3;
    } else if (length > 4 && memcmp(text + length - 4, "=off", 4) == 0) {
        on = false;
        length -= 4;
    }
    f = feature_named(name, length);
    if (f == NULL) {
        list_features(message, message_size, name, (int)length);
        return false;
    }
    if (!on) {
        model->words[f->word] &= ~(1u << f->bit);
        close_features(model);
        return true;
    }
    if (feature_show(model, f, host))
        return true;
    snprintf(message, message_size, "CPU feature '%s' is not available: %s", f->name,
             f->need == LATER ? "Ringer does not have it" : "the host has no such instructions");
    return false;
}

bool cpu_model_parse(const char *text, uint64_t tsc_hz, struct cpu_model *model, char *message,
                     unsigned message_size)
{
    const struct model_row *row = NULL;
    size_t length = strcspn(text, ",");
    uint32_t host[CPUID_WORD_COUNT];

    for (unsigned i = 0; i < MODELS && row == NULL; i++)
        if (strlen(models[i].name) == length && memcmp(models[i].name, text, length) == 0)
            row = &models[i];
    if (row == NULL) {
        list_models(message, message_size, text, (int)(length < 64 ? length : 64));
        return false;
    }
    *model = (struct cpu_model){
        .name = row->name,
        .phys_bits = row->phys_bits,
        .signature = row->signature,
        .max_leaf = row->max_leaf,
        .max_extended_leaf = row->max_extended_leaf,
        .tsc_hz = tsc_hz,
    };
    snprintf(model->vendor, sizeof model->vendor, "%s", row->vendor);
    snprintf(model->brand, sizeof model->brand, "%s", row->brand != NULL ? row->brand : "");

    host_words(host);
    for (unsigned i = 0; i < FEATURES; i++) {
        const struct feature *f = &ringer_supports[i];

        if ((f->models & row->column) && is_available(f, host))
            model->words[f->word] |= 1u << f->bit;
    }
    close_features(model);
    for (text += length; *text == ','; text += length) {
        text++;
        length = strcspn(text, ",");
        if (!parse_feature(model, host, text, length, message, message_size))
            return false;
    }
    derive(model);
    return true;
}

/* ---- the answers ---- */

/* Up to four characters from `text`, zero-padded, as a register holds them. */
static uint32_t pack4(const char *text)
{
    uint32_t value = 0;

    for (unsigned i = 0; i < 4 && text[i] != '\0'; i++)
        value |= (uint32_t)(uint8_t)text[i] << i * 8;
    return value;
}

static struct cpuid_leaf leaf_vendor(const struct cpu_model *model, uint32_t max)
{
    return (struct cpuid_leaf){
        .eax = max,
        .ebx = pack4(model->vendor),
        .edx = pack4(model->vendor + 4),
        .ecx = pack4(model->vendor + 8),
    };
}

static struct cpuid_leaf leaf_features(const struct cpu *cpu)
{
    const struct cpu_model *model = cpu->model;
    struct cpuid_leaf leaf = {
        .eax = model->signature,
        .ebx = 1u << 16, /* one logical processor, APIC ID 0 */
        .ecx = model->words[CPUID_1_ECX],
        .edx = model->words[CPUID_1_EDX],
    };

    if (model->has[CLFSH])
        leaf.ebx |= 8u << 8; /* 64-byte lines in units of 8 */
    if (cpu->cr4 & CR4_OSXSAVE)
        leaf.ecx |= 1u << 27;
    if (!(cpu->apic_base & APIC_BASE_ENABLE))
        leaf.edx &= ~(1u << 9);
    return leaf;
}

/* Deterministic cache parameters: 32 KiB + 32 KiB, 1 MiB, 16 MiB, lines of 64 bytes. */
static struct cpuid_leaf leaf_caches(uint32_t subleaf)
{
    static const struct {
        uint8_t type, level; /* type 1 data, 2 instruction, 3 unified */
        uint16_t ways, sets;
    } caches[] = {{1, 1, 8, 64}, {2, 1, 8, 64}, {3, 2, 16, 1024}, {3, 3, 16, 16384}};
    enum { SELF_INITIALIZING = 1 << 8, LINE = 64 };

    if (subleaf >= sizeof caches / sizeof caches[0])
        return (struct cpuid_leaf){0};
    return (struct cpuid_leaf){
        .eax = caches[subleaf].type | (uint32_t)caches[subleaf].level << 5 | SELF_INITIALIZING,
        .ebx = (LINE - 1) | (caches[subleaf].ways - 1u) << 22,
        .ecx = caches[subleaf].sets - 1u,
    };
}

/* XSAVE's components behind the header: subleaf = bit. [SDM 1 13.2] */
enum { XSAVE_LEGACY_AND_HEADER = 576 };

static struct cpuid_leaf leaf_xsave_component(const struct cpu_model *model, uint32_t bit)
{
    switch (bit) {
    case 2:
        return model->has[AVX_] ? (struct cpuid_leaf){.eax = FPU_YMM_SIZE, .ebx = FPU_YMM}
                                : (struct cpuid_leaf){0};
    case 5:
    case 6:
    case 7: {
        static const uint16_t sizes[] = {FPU_OPMASK_SIZE, FPU_ZMM_HIGH_SIZE, FPU_ZMM16_SIZE};

        if (!model->has[AVX512F])
            return (struct cpuid_leaf){0};
        return (struct cpuid_leaf){.eax = sizes[bit - 5], .ebx = model->xsave_at[bit - 5]};
    }
    default:
        return (struct cpuid_leaf){0};
    }
}

/* Bytes of an image with these components. */
static uint32_t xsave_size(const struct cpu_model *model, uint64_t components, bool compacted)
{
    uint32_t size = XSAVE_LEGACY_AND_HEADER;

    for (uint32_t bit = 2; bit < 8; bit++) {
        const struct cpuid_leaf part = leaf_xsave_component(model, bit);

        if (!(components >> bit & 1))
            continue;
        if (compacted)
            size += part.eax;
        else if (part.ebx + part.eax > size)
            size = part.ebx + part.eax;
    }
    return size;
}

static struct cpuid_leaf leaf_xsave(const struct cpu *cpu, uint32_t subleaf)
{
    const struct cpu_model *model = cpu->model;
    const uint32_t all = XCR0_X87 | XCR0_SSE | (model->has[AVX_] ? XCR0_AVX : 0) |
                         (model->has[AVX512F] ? XCR0_AVX512 : 0);

    if (!model->has[XSAVE_])
        return (struct cpuid_leaf){0};
    switch (subleaf) {
    case 0:
        return (struct cpuid_leaf){
            .eax = all,
            .ebx = xsave_size(model, cpu->xcr0, false),
            .ecx = xsave_size(model, all, false),
        };
    case 1:
        return (struct cpuid_leaf){
            .eax = model->words[CPUID_D1_EAX],
            .ebx = model->has[XSAVEC_] ? xsave_size(model, cpu->xcr0, true) : 0,
        };
    default:
        return leaf_xsave_component(model, subleaf);
    }
}

/*
 * TSC frequency = crystal * EBX / EAX; the crystal also feeds the local APIC's timer.  Guests
 * multiply crystal kHz by EBX in 32 bits, which bounds EBX: the ratio is the last convergent of
 * the frequency's continued fraction below that.  When it is off by more than 20 parts in a
 * million, nothing is told and the guest measures.
 */
static struct cpuid_leaf leaf_tsc(const struct cpu_model *model)
{
    const uint64_t limit = UINT32_MAX / (CPU_APIC_BUS_HZ / 1000);
    uint64_t a = model->tsc_hz, b = CPU_APIC_BUS_HZ;
    uint64_t numerator = 1, denominator = 0, last_numerator = 0, last_denominator = 1;
    uint64_t told, exact;

    while (b != 0 && a / b <= limit) {
        const uint64_t n = a / b * numerator + last_numerator;
        const uint64_t d = a / b * denominator + last_denominator;
        const uint64_t rest = a % b;

        if (n > limit)
            break;
        last_numerator = numerator;
        last_denominator = denominator;
        numerator = n;
        denominator = d;
        a = b;
        b = rest;
    }
    if (denominator == 0 || numerator == 0)
        return (struct cpuid_leaf){0};
    told = numerator * CPU_APIC_BUS_HZ / denominator;
    exact = model->tsc_hz;
    if ((told > exact ? told - exact : exact - told) > exact / 50000)
        return (struct cpuid_leaf){0};
    return (struct cpuid_leaf){
        .eax = (uint32_t)denominator, .ebx = (uint32_t)numerator, .ecx = CPU_APIC_BUS_HZ};
}

/* Extended topology: one logical processor in one core.  ECX: number and type of the level (1
 * logical processors, 2 cores).  EDX: the x2APIC ID.  [SDM 2A "CPUID", leaf 0BH] */
static struct cpuid_leaf leaf_topology(const struct cpu_model *model, uint32_t subleaf)
{
    if (!model->x2apic)
        return (struct cpuid_leaf){0};
    if (subleaf > 1)
        return (struct cpuid_leaf){.ecx = subleaf & 0xff};
    return (struct cpuid_leaf){.ebx = 1, .ecx = (subleaf + 1) << 8 | subleaf};
}

static struct cpuid_leaf leaf_hypervisor(const struct cpu_model *model, uint32_t leaf)
{
    if (leaf == 0x40000000)
        return (struct cpuid_leaf){
            .eax = 0x40000010, .ebx = pack4("Ring"), .ecx = pack4("erRi"), .edx = pack4("nger")};
    if (leaf == 0x40000010)
        return (struct cpuid_leaf){.eax = (uint32_t)(model->tsc_hz / 1000),
                                   .ebx = CPU_APIC_BUS_HZ / 1000};
    return (struct cpuid_leaf){0};
}

static struct cpuid_leaf leaf_basic(const struct cpu *cpu, uint32_t leaf, uint32_t subleaf)
{
    const struct cpu_model *model = cpu->model;
    const bool amd = model->vendor[0] == 'A';

    switch (leaf) {
    case 0:
        return leaf_vendor(model, model->max_leaf);
    case 1:
        return leaf_features(cpu);
    case 2:
        /* Pentium III: TLBs and 16 + 16 + 256 KiB; later ones refer to leaf 4 (0xff). */
        if (model->max_leaf < 4)
            return (struct cpuid_leaf){.eax = 0x03020101, .edx = 0x0c040882};
        return amd ? (struct cpuid_leaf){0} : (struct cpuid_leaf){.eax = 0x0000ff01};
    case 4:
        return amd ? (struct cpuid_leaf){0} : leaf_caches(subleaf);
    case 6:
        return (struct cpuid_leaf){.eax = 1u << 2}; /* ARAT: the APIC timer never stops */
    case 7:
        if (subleaf == 1)
            return (struct cpuid_leaf){.eax = model->words[CPUID_71_EAX]};
        if (subleaf == 2)
            return (struct cpuid_leaf){.edx = model->words[CPUID_72_EDX]};
        if (subleaf != 0)
            return (struct cpuid_leaf){0};
        return (struct cpuid_leaf){.eax = model->words[CPUID_72_EDX] != 0   ? 2
                                          : model->words[CPUID_71_EAX] != 0 ? 1
                                                                            : 0,
                                   .ebx = model->words[CPUID_7_EBX],
                                   .ecx = model->words[CPUID_7_ECX],
                                   .edx = model->words[CPUID_7_EDX]};
    case 0xb:
        return leaf_topology(model, subleaf);
    case 0xd:
        return leaf_xsave(cpu, subleaf);
    case 0x15:
        return leaf_tsc(model);
    case 0x16: /* base and maximum frequency, bus frequency, in MHz */
        return (struct cpuid_leaf){.eax = (uint32_t)(model->tsc_hz / 1000000 & 0xffff),
                                   .ebx = (uint32_t)(model->tsc_hz / 1000000 & 0xffff),
                                   .ecx = 100};
    default:
        return (struct cpuid_leaf){0};
    }
}

/* SYSCALL: Intel's processors have it, and show it, only in 64-bit mode. */
static uint32_t extended_edx(const struct cpu *cpu)
{
    const uint32_t word = cpu->model->words[CPUID_80000001_EDX];

    return cpu->model->vendor[0] == 'A' || cpu_is_code64(cpu) ? word : word & ~(1u << 11);
}

static struct cpuid_leaf leaf_extended(const struct cpu *cpu, uint32_t leaf)
{
    const struct cpu_model *model = cpu->model;
    const char *part; /* of the brand, which is padded with zeros to its 48 bytes */

    switch (leaf) {
    case 0x80000000:
        return model->vendor[0] == 'A' ? leaf_vendor(model, model->max_extended_leaf)
                                       : (struct cpuid_leaf){.eax = model->max_extended_leaf};
    case 0x80000001:
        return (struct cpuid_leaf){.eax = model->vendor[0] == 'A' ? model->signature : 0,
                                   .ecx = model->words[CPUID_80000001_ECX],
                                   .edx = extended_edx(cpu)};
    case 0x80000002:
    case 0x80000003:
    case 0x80000004:
        part = model->brand + (leaf - 0x80000002) * 16;
        return (struct cpuid_leaf){pack4(part), pack4(part + 4), pack4(part + 8), pack4(part + 12)};
    case 0x80000005: /* AMD: L1 data and instruction, KiB << 24 | ways << 16 | lines << 8 | line */
        if (model->vendor[0] != 'A')
            return (struct cpuid_leaf){0};
        return (struct cpuid_leaf){.ecx = 0x20080140, .edx = 0x20080140};
    case 0x80000006: /* L2: KiB << 16 | associativity code << 12 | line */
        return (struct cpuid_leaf){.ecx = 0x04008040};
    case 0x80000007:
        return (struct cpuid_leaf){.edx = model->words[CPUID_80000007_EDX]};
    case 0x80000008:
        return (struct cpuid_leaf){.eax = model->phys_bits | (model->long_mode ? 48u : 32u) << 8};
    default:
        return (struct cpuid_leaf){0};
    }
}

/* A leaf that the model does not have reads as zeros. */
struct cpuid_leaf cpuid_query(const struct cpu *cpu, uint32_t leaf, uint32_t subleaf)
{
    const struct cpu_model *model = cpu->model;

    if (leaf >> 16 == 0x4000 && model->hypervisor)
        return leaf_hypervisor(model, leaf);
    if (leaf >= 0x80000000)
        return leaf <= model->max_extended_leaf ? leaf_extended(cpu, leaf) : (struct cpuid_leaf){0};
    return leaf <= model->max_leaf ? leaf_basic(cpu, leaf, subleaf) : (struct cpuid_leaf){0};
}
