/*
 * cpu/cpuid.h -- CPU models: what CPUID tells the guest.  A model is a subset of what the host has
 * and Ringer can do, so that every user-mode instruction can run natively.
 */
#ifndef RINGER_CPU_CPUID_H
#define RINGER_CPU_CPUID_H

#include <stdbool.h>
#include <stdint.h>

#include "cpu/insn.h"

struct cpu;

struct cpuid_leaf {
    uint32_t eax, ebx, ecx, edx;
};

/* The feature words that models differ in: which leaf, which register. */
enum cpuid_word {
    CPUID_1_EDX, CPUID_1_ECX, CPUID_7_EBX, CPUID_7_ECX, CPUID_7_EDX, CPUID_71_EAX, CPUID_72_EDX,
    CPUID_D1_EAX, CPUID_80000001_EDX, CPUID_80000001_ECX, CPUID_80000007_EDX, CPUID_WORD_COUNT
};

/* Input clock of the local APIC's timer, before its divider.  Leaves 0x15 and 0x40000010 tell the
 * guest, so that it need not measure; the board's APIC counts at this rate. */
enum { CPU_APIC_BUS_HZ = 1000000000 };

struct cpu_model {
    const char *name;
    bool has[INSN_FEATURE_COUNT]; /* instruction features that decode; others #UD */
    bool long_mode, nx, pae, pse, pse36, pge, vme, pcid, page1gb, apic, mtrr, pat, tsc;
    bool de, mce, mca, smep, smap, umip, tsc_adjust, spec_ctrl, arch_capabilities, x2apic;
    bool hypervisor, tsc_deadline, xgetbv1, bhi_ctrl;
    uint32_t words[CPUID_WORD_COUNT]; /* as CPUID shows them, state-dependent bits aside */
    uint32_t max_leaf, max_extended_leaf; /* 0 when there are no extended leaves */
    /* Standard offsets of XSAVE components 5, 6, 7, which are the host's; 0 without AVX-512. */
    uint16_t xsave_at[3];
    unsigned phys_bits;
    /* family/model/stepping, brand and vendor strings are the model's own; see cpuid.c */
    uint32_t signature;
    char vendor[13];
    char brand[49];
    uint64_t tsc_hz;
};

/* "max", "qemu64", "qemu32", "pentium3", "486"; flags after commas: "+feature", "-feature"
 * ("feature=on", "feature=off" mean the same).  Taking a feature away takes what builds on it.
 * Fills *model from name and the host's CPUID.  On failure returns false and writes one line that
 * lists the known names into message. */
bool cpu_model_parse(const char *text, uint64_t tsc_hz, struct cpu_model *model, char *message,
                     unsigned message_size);
/* The names that cpu_model_parse() knows, by number; NULL behind the last. */
const char *cpu_model_name(unsigned number);
const char *cpu_feature_name(unsigned number);
struct cpuid_leaf cpuid_query(const struct cpu *cpu, uint32_t leaf, uint32_t subleaf);

#endif
