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

struct cpu_model {
    const char *name;
    bool has[INSN_FEATURE_COUNT]; /* instruction features that decode; others #UD */
    bool long_mode, nx, pae, pse, pse36, pge, vme, pcid, page1gb, apic, mtrr, pat, tsc;
    unsigned phys_bits;
    /* family/model/stepping, brand and vendor strings are the model's own; see cpuid.c */
    uint32_t signature;
    char vendor[13];
    char brand[49];
    uint64_t tsc_hz;
};

/* "max", "qemu64", "qemu32", "pentium3", "486"; flags after commas: "+feature", "-feature".
 * Fills *model from name and the host's CPUID.  On failure returns false and writes one line that
 * lists the known names into message. */
bool cpu_model_parse(const char *text, uint64_t tsc_hz, struct cpu_model *model, char *message,
                     unsigned message_size);
struct cpuid_leaf cpuid_query(const struct cpu *cpu, uint32_t leaf, uint32_t subleaf);

#endif
