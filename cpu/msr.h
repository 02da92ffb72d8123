/*
 * cpu/msr.h -- model-specific registers. Source: [SDM 4 2 "Model-Specific Registers"].
 */
#ifndef RINGER_CPU_MSR_H
#define RINGER_CPU_MSR_H

#include "cpu/cpu.h"
#include "cpu/fault.h"

enum msr {
    IA32_P5_MC_ADDR = 0x0,
    IA32_P5_MC_TYPE = 0x1,
    IA32_TIME_STAMP_COUNTER = 0x10,
    IA32_PLATFORM_ID = 0x17,
    IA32_APIC_BASE = 0x1b,
    MSR_EBL_CR_POWERON = 0x2a,
    IA32_FEATURE_CONTROL = 0x3a,
    IA32_TSC_ADJUST = 0x3b,
    IA32_SPEC_CTRL = 0x48,
    IA32_PRED_CMD = 0x49,
    IA32_BIOS_UPDT_TRIG = 0x79,
    IA32_BIOS_SIGN_ID = 0x8b,
    MSR_PLATFORM_INFO = 0xce,
    IA32_MTRRCAP = 0xfe,
    IA32_ARCH_CAPABILITIES = 0x10a,
    IA32_SYSENTER_CS = 0x174,
    IA32_SYSENTER_ESP = 0x175,
    IA32_SYSENTER_EIP = 0x176,
    IA32_MCG_CAP = 0x179,
    IA32_MCG_STATUS = 0x17a,
    IA32_PERF_STATUS = 0x198,
    IA32_MISC_ENABLE = 0x1a0,
    IA32_DEBUGCTL = 0x1d9,
    IA32_MTRR_PHYSBASE0 = 0x200, /* PHYSBASE and PHYSMASK of eight ranges */
    IA32_MTRR_PHYSMASK7 = 0x20f,
    IA32_MTRR_FIX64K_00000 = 0x250,
    IA32_MTRR_FIX16K_80000 = 0x258,
    IA32_MTRR_FIX16K_A0000 = 0x259,
    IA32_MTRR_FIX4K_C0000 = 0x268,
    IA32_MTRR_FIX4K_F8000 = 0x26f,
    IA32_PAT = 0x277,
    IA32_MTRR_DEF_TYPE = 0x2ff,
    IA32_TSC_DEADLINE = 0x6e0,
    IA32_X2APIC_FIRST = 0x800,
    IA32_X2APIC_LAST = 0x8ff,
    IA32_XSS = 0xda0,
};
/* Above INT_MAX, so not enumeration constants. */
#define IA32_EFER           0xc0000080u
#define IA32_STAR           0xc0000081u
#define IA32_LSTAR          0xc0000082u
#define IA32_CSTAR          0xc0000083u
#define IA32_FMASK          0xc0000084u
#define IA32_FS_BASE        0xc0000100u
#define IA32_GS_BASE        0xc0000101u
#define IA32_KERNEL_GS_BASE 0xc0000102u
#define IA32_TSC_AUX        0xc0000103u
#define AMD_SYSCFG          0xc0010010u
#define AMD_HWCR            0xc0010015u
#define AMD_NB_CFG          0xc001001fu
#define AMD_INT_PENDING     0xc0010055u
#define AMD_LS_CFG          0xc0011020u
#define AMD_DE_CFG          0xc0011029u

#define APIC_BASE_BSP    (1u << 8)
#define APIC_BASE_ENABLE (1u << 11)

/* Power-on values. */
void msr_reset(struct cpu *cpu);
/* RDMSR and WRMSR without the CPL check: #GP(0) for what the model does not have or allow. */
FAULT_CHECK bool msr_read(struct cpu *cpu, uint32_t msr, uint64_t *value);
FAULT_CHECK bool msr_write(struct cpu *cpu, uint32_t msr, uint64_t value);

#endif
