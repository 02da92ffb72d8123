/*
 * cpu/msr.c -- model-specific registers.
 * Source: [SDM 4 2.1 "Architectural MSRs"]; the AMD ones: [AMD64 APM 2 appendix A].
 *
 * The board is asked first for those that belong to its local APIC.  A register that the model
 * does not show through CPUID does not exist: #GP(0), as for any unknown number.
 */
#include "cpu/msr.h"

#include "cpu/cpuid.h"
#include "cpu/fpu.h"
#include "cpu/mmu.h"

/* Memory types in PAT and MTRRs. [SDM 3A 11.3, 11.11, 11.12] */
enum { TYPE_UC = 0, TYPE_WC = 1, TYPE_WT = 4, TYPE_WP = 5, TYPE_WB = 6, TYPE_UC_MINUS = 7 };

enum {
    MTRR_RANGES = 8,
    MTRRCAP_FIX = 1 << 8,
    MTRRCAP_WC = 1 << 10,
    MTRR_MASK_VALID = 1 << 11,
    FEATURE_CONTROL_LOCK = 1,
    MISC_ENABLE_FAST_STRINGS = 1 << 0,
    MISC_ENABLE_BTS_UNAVAILABLE = 1 << 11,
    MISC_ENABLE_PEBS_UNAVAILABLE = 1 << 12,
    DEBUGCTL_LBR = 1 << 0,
    APIC_BASE_X2APIC = 1 << 10,
};
#define PAT_RESET        0x0007040600070406ull
#define APIC_BASE_RESET  0xfee00000ull
#define BIOS_SIGN_ANSWER (1ull << 32) /* microcode revision 1 */
#define SPEC_CTRL_ALL    7ull         /* IBRS, STIBP, SSBD */
#define SPEC_CTRL_BHI    (1ull << 10) /* BHI_DIS_S */
/* RDCL_NO, IBRS_ALL, SKIP_L1DFL_VMENTRY, SSB_NO, MDS_NO, IF_PSCHANGE_MC_NO, TAA_NO, SBDR_SSDP_NO,
 * FBSDP_NO, PSDP_NO, BHI_NO, PBRSB_NO, GDS_NO, RFDS_NO, ITS_NO: cpuid.c says why. */
#define ARCH_CAPABILITIES                                                                       \
    (1ull << 0 | 1ull << 1 | 1ull << 3 | 1ull << 4 | 1ull << 5 | 1ull << 6 | 1ull << 8 |        \
     1ull << 13 | 1ull << 14 | 1ull << 15 | 1ull << 20 | 1ull << 24 | 1ull << 26 | 1ull << 27 | \
     1ull << 62)

void msr_reset(struct cpu *cpu)
{
    cpu->star = cpu->lstar = cpu->cstar = cpu->fmask = cpu->kernel_gs_base = 0;
    cpu->sysenter_cs = cpu->sysenter_esp = cpu->sysenter_eip = 0;
    cpu->apic_base = APIC_BASE_RESET | APIC_BASE_BSP | (cpu->model->apic ? APIC_BASE_ENABLE : 0);
    cpu->pat = PAT_RESET;
    cpu->tsc_offset = cpu->tsc_aux = 0;
    cpu->misc_enable =
        MISC_ENABLE_FAST_STRINGS | MISC_ENABLE_BTS_UNAVAILABLE | MISC_ENABLE_PEBS_UNAVAILABLE;
    cpu->mtrr_def_type = 0;
    cpu->debugctl = 0;
    cpu->spec_ctrl = 0;
    cpu->xss = 0;
    for (unsigned i = 0; i < 11; i++)
        cpu->mtrr_fixed[i] = 0;
    for (unsigned i = 0; i < 16; i++)
        cpu->mtrr_var[i] = 0;
}

static bool is_amd(const struct cpu *cpu)
{
    return cpu->model->vendor[0] == 'A';
}

static bool has_efer(const struct cpu *cpu)
{
    return cpu->model->nx || cpu->model->long_mode || cpu->model->has[SYSCALL_];
}

/* Do all eight bytes hold a memory type? */
static bool types_valid(uint64_t value, bool pat)
{
    for (unsigned i = 0; i < 8; i++) {
        const unsigned type = value >> i * 8 & 0xff;

        if (type > TYPE_UC_MINUS || type == 2 || type == 3 || (type == TYPE_UC_MINUS && !pat))
            return false;
    }
    return true;
}

/* Index into mtrr_fixed, or -1. */
static int mtrr_fixed_index(uint32_t msr)
{
    if (msr == IA32_MTRR_FIX64K_00000)
        return 0;
    if (msr == IA32_MTRR_FIX16K_80000 || msr == IA32_MTRR_FIX16K_A0000)
        return 1 + (int)(msr - IA32_MTRR_FIX16K_80000);
    if (msr >= IA32_MTRR_FIX4K_C0000 && msr <= IA32_MTRR_FIX4K_F8000)
        return 3 + (int)(msr - IA32_MTRR_FIX4K_C0000);
    return -1;
}

static bool is_mtrr(uint32_t msr)
{
    return msr == IA32_MTRRCAP || msr == IA32_MTRR_DEF_TYPE || mtrr_fixed_index(msr) >= 0 ||
           (msr >= IA32_MTRR_PHYSBASE0 && msr <= IA32_MTRR_PHYSMASK7);
}

static bool mtrr_read(struct cpu *cpu, uint32_t msr, uint64_t *value)
{
    if (!cpu->model->mtrr)
        return fault_gp(cpu, 0);
    if (msr == IA32_MTRRCAP)
        *value = MTRR_RANGES | MTRRCAP_FIX | MTRRCAP_WC;
    else if (msr == IA32_MTRR_DEF_TYPE)
        *value = cpu->mtrr_def_type;
    else if (mtrr_fixed_index(msr) >= 0)
        *value = cpu->mtrr_fixed[mtrr_fixed_index(msr)];
    else
        *value = cpu->mtrr_var[msr - IA32_MTRR_PHYSBASE0];
    return true;
}

/* MTRRs are kept for the guest to read back; nothing is cached here that types could matter to. */
static bool mtrr_write(struct cpu *cpu, uint32_t msr, uint64_t value)
{
    const uint64_t address = ((1ull << cpu->model->phys_bits) - 1) & ~0xfffull;

    if (!cpu->model->mtrr || msr == IA32_MTRRCAP)
        return fault_gp(cpu, 0);
    if (msr == IA32_MTRR_DEF_TYPE) {
        if ((value & ~0xcffull) != 0 || !types_valid(value & 0xff, false))
            return fault_gp(cpu, 0);
        cpu->mtrr_def_type = value;
    } else if (mtrr_fixed_index(msr) >= 0) {
        if (!types_valid(value, false))
            return fault_gp(cpu, 0);
        cpu->mtrr_fixed[mtrr_fixed_index(msr)] = value;
    } else {
        const bool mask = msr & 1;

        if ((value & ~(address | (mask ? MTRR_MASK_VALID : 0xff))) != 0 ||
            (!mask && !types_valid(value & 0xff, false)))
            return fault_gp(cpu, 0);
        cpu->mtrr_var[msr - IA32_MTRR_PHYSBASE0] = value;
    }
    return true;
}

static bool is_board(const struct cpu *cpu, uint32_t msr)
{
    if (msr == IA32_TSC_DEADLINE)
        return cpu->model->tsc_deadline;
    return cpu->model->x2apic && msr >= IA32_X2APIC_FIRST && msr <= IA32_X2APIC_LAST;
}

/* Registers of 64-bit mode and of SYSCALL.  False in *known: not one of them. */
static bool long_read(struct cpu *cpu, uint32_t msr, uint64_t *value, bool *known)
{
    const bool has_syscall = cpu->model->long_mode || cpu->model->has[SYSCALL_];
    bool exists = cpu->model->long_mode;

    *known = true;
    switch (msr) {
    case IA32_EFER:
        exists = has_efer(cpu);
        *value = cpu->efer;
        break;
    case IA32_STAR:
        exists = has_syscall;
        *value = cpu->star;
        break;
    case IA32_LSTAR:
        *value = cpu->lstar;
        break;
    case IA32_CSTAR:
        *value = cpu->cstar;
        break;
    case IA32_FMASK:
        exists = has_syscall;
        *value = cpu->fmask;
        break;
    case IA32_FS_BASE:
        *value = cpu->seg[FS].base;
        break;
    case IA32_GS_BASE:
        *value = cpu->seg[GS].base;
        break;
    case IA32_KERNEL_GS_BASE:
        *value = cpu->kernel_gs_base;
        break;
    case IA32_TSC_AUX:
        exists = cpu->model->has[RDTSCP] || cpu->model->has[RDPID_];
        *value = cpu->tsc_aux;
        break;
    default:
        *known = false;
        return true;
    }
    return exists || fault_gp(cpu, 0);
}

/* Answers that do not depend on state.  False: no such register. */
static bool constant_read(const struct cpu *cpu, uint32_t msr, uint64_t *value)
{
    switch (msr) {
    case IA32_P5_MC_ADDR:
    case IA32_P5_MC_TYPE:
    case IA32_PLATFORM_ID:
    case MSR_EBL_CR_POWERON:
    case IA32_PERF_STATUS:
        *value = 0;
        return !is_amd(cpu);
    case IA32_MCG_CAP: /* no banks */
    case IA32_MCG_STATUS:
        *value = 0;
        return cpu->model->mca;
    case IA32_FEATURE_CONTROL:
        *value = FEATURE_CONTROL_LOCK;
        return !is_amd(cpu);
    case IA32_BIOS_SIGN_ID:
        *value = BIOS_SIGN_ANSWER;
        return true;
    case MSR_PLATFORM_INFO: /* bits 15:8: the ratio of the TSC to 100 MHz */
        *value = (cpu->model->tsc_hz / 100000000 & 0xff) << 8;
        return !is_amd(cpu);
    case IA32_ARCH_CAPABILITIES:
        *value = ARCH_CAPABILITIES;
        return cpu->model->arch_capabilities;
    case AMD_SYSCFG:
    case AMD_HWCR:
    case AMD_NB_CFG:
    case AMD_INT_PENDING:
    case AMD_LS_CFG:
    case AMD_DE_CFG:
        *value = 0;
        return is_amd(cpu);
    default:
        return false;
    }
}

bool msr_read(struct cpu *cpu, uint32_t msr, uint64_t *value)
{
    bool known, exists = true;

    *value = 0;
    if (is_mtrr(msr))
        return mtrr_read(cpu, msr, value);
    if (is_board(cpu, msr)) {
        fpu_leave(cpu);
        return cpu->ops->msr_read(cpu->ops_ctx, msr, value) || fault_gp(cpu, 0);
    }
    if (!long_read(cpu, msr, value, &known))
        return false;
    if (known)
        return true;
    switch (msr) {
    case IA32_TIME_STAMP_COUNTER:
        exists = cpu->model->tsc;
        *value = cpu_tsc(cpu);
        break;
    case IA32_TSC_ADJUST:
        exists = cpu->model->tsc_adjust;
        *value = cpu->tsc_offset;
        break;
    case IA32_APIC_BASE:
        exists = cpu->model->apic;
        *value = cpu->apic_base;
        break;
    case IA32_SPEC_CTRL:
        exists = cpu->model->spec_ctrl;
        *value = cpu->spec_ctrl;
        break;
    case IA32_SYSENTER_CS:
    case IA32_SYSENTER_ESP:
    case IA32_SYSENTER_EIP:
        exists = cpu->model->has[SEP];
        *value = msr == IA32_SYSENTER_CS    ? cpu->sysenter_cs
                 : msr == IA32_SYSENTER_ESP ? cpu->sysenter_esp
                                            : cpu->sysenter_eip;
        break;
    case IA32_MISC_ENABLE:
        exists = !is_amd(cpu);
        *value = cpu->misc_enable;
        break;
    case IA32_DEBUGCTL:
        *value = cpu->debugctl;
        break;
    case IA32_PAT:
        exists = cpu->model->pat;
        *value = cpu->pat;
        break;
    case IA32_XSS:
        exists = cpu->model->has[XSAVES_];
        *value = cpu->xss;
        break;
    default:
        exists = constant_read(cpu, msr, value);
        break;
    }
    return exists || fault_gp(cpu, 0);
}

/* [SDM 3A 2.2.1 "Extended Feature Enable Register"] */
static bool efer_write(struct cpu *cpu, uint64_t value)
{
    uint64_t allowed = 0, changed;

    if (cpu->model->long_mode || cpu->model->has[SYSCALL_])
        allowed |= EFER_SCE;
    if (cpu->model->long_mode)
        allowed |= EFER_LME | EFER_LMA;
    if (cpu->model->nx)
        allowed |= EFER_NXE;
    if (!has_efer(cpu) || (value & ~allowed) != 0 ||
        (((value ^ cpu->efer) & EFER_LME) != 0 && (cpu->cr0 & CR0_PG)))
        return fault_gp(cpu, 0);
    value = (value & ~(uint64_t)EFER_LMA) | (cpu->efer & EFER_LMA); /* LMA is read-only */
    changed = value ^ cpu->efer;
    cpu->efer = value;
    if (changed & EFER_NXE) /* who listens looks at the new bits */
        mmu_flush_all(cpu);
    cpu_update_mode(cpu);
    return true;
}

/* The counterpart of long_read. */
static bool long_write(struct cpu *cpu, uint32_t msr, uint64_t value, bool *known)
{
    const bool has_syscall = cpu->model->long_mode || cpu->model->has[SYSCALL_];
    bool valid = cpu->model->long_mode && linaddr_is_canonical(value);

    *known = true;
    switch (msr) {
    case IA32_EFER:
        return efer_write(cpu, value);
    case IA32_STAR:
        valid = has_syscall;
        if (valid)
            cpu->star = value;
        break;
    case IA32_LSTAR:
        if (valid)
            cpu->lstar = value;
        break;
    case IA32_CSTAR:
        if (valid)
            cpu->cstar = value;
        break;
    case IA32_FMASK:
        valid = has_syscall && value >> 32 == 0;
        if (valid)
            cpu->fmask = value;
        break;
    case IA32_FS_BASE:
        if (valid)
            cpu->seg[FS].base = value;
        break;
    case IA32_GS_BASE:
        if (valid)
            cpu->seg[GS].base = value;
        break;
    case IA32_KERNEL_GS_BASE:
        if (valid)
            cpu->kernel_gs_base = value;
        break;
    case IA32_TSC_AUX:
        valid = (cpu->model->has[RDTSCP] || cpu->model->has[RDPID_]) && value >> 32 == 0;
        if (valid)
            cpu->tsc_aux = value;
        break;
    default:
        *known = false;
        return true;
    }
    return valid || fault_gp(cpu, 0);
}

/* [SDM 3A 10.4.3, 10.4.4]: the board moves, silences or refuses, and may correct the value that
 * reads back (the bootstrap bit is a strap). */
static bool apic_base_write(struct cpu *cpu, uint64_t value)
{
    const uint64_t address = ((1ull << cpu->model->phys_bits) - 1) & ~0xfffull;
    const uint64_t allowed =
        address | APIC_BASE_BSP | APIC_BASE_ENABLE | (cpu->model->x2apic ? APIC_BASE_X2APIC : 0);
    const uint64_t before = cpu->apic_base;

    if (!cpu->model->apic || (value & ~allowed) != 0)
        return fault_gp(cpu, 0);
    fpu_leave(cpu);
    cpu->apic_base = value;
    if (cpu->ops->msr_write(cpu->ops_ctx, IA32_APIC_BASE, value))
        return true;
    cpu->apic_base = before;
    return fault_gp(cpu, 0);
}

/* Registers that accept a write and have nothing to do with it.  False: no such register, or
 * read-only. */
static bool ignored_write(const struct cpu *cpu, uint32_t msr, uint64_t value)
{
    switch (msr) {
    case IA32_P5_MC_ADDR:
    case IA32_P5_MC_TYPE:
    case MSR_EBL_CR_POWERON:
    case IA32_BIOS_UPDT_TRIG:
    case IA32_PERF_STATUS:
        return !is_amd(cpu);
    case IA32_MCG_STATUS:
        return cpu->model->mca && value == 0;
    case IA32_BIOS_SIGN_ID:
        return true;
    case IA32_PRED_CMD: /* prediction barrier */
        return cpu->model->spec_ctrl && (value & ~1ull) == 0;
    case AMD_SYSCFG:
    case AMD_HWCR:
    case AMD_NB_CFG:
    case AMD_INT_PENDING:
    case AMD_LS_CFG:
    case AMD_DE_CFG:
        return is_amd(cpu);
    default:
        return false;
    }
}

bool msr_write(struct cpu *cpu, uint32_t msr, uint64_t value)
{
    const bool address_valid = !cpu->model->long_mode || linaddr_is_canonical(value);
    bool known;

    if (is_mtrr(msr))
        return mtrr_write(cpu, msr, value);
    if (is_board(cpu, msr)) {
        fpu_leave(cpu);
        return cpu->ops->msr_write(cpu->ops_ctx, msr, value) || fault_gp(cpu, 0);
    }
    if (!long_write(cpu, msr, value, &known))
        return false;
    if (known)
        return true;
    switch (msr) {
    case IA32_TIME_STAMP_COUNTER:
        if (!cpu->model->tsc)
            return fault_gp(cpu, 0);
        cpu->tsc_offset += value - cpu_tsc(cpu);
        return true;
    case IA32_TSC_ADJUST: /* counts every adjustment since reset, so it is the offset itself */
        if (!cpu->model->tsc_adjust)
            return fault_gp(cpu, 0);
        cpu->tsc_offset = value;
        return true;
    case IA32_APIC_BASE:
        return apic_base_write(cpu, value);
    case IA32_SPEC_CTRL:
        if (!cpu->model->spec_ctrl ||
            (value & ~(SPEC_CTRL_ALL | (cpu->model->bhi_ctrl ? SPEC_CTRL_BHI : 0))) != 0)
            return fault_gp(cpu, 0);
        cpu->spec_ctrl = value;
        return true;
    case IA32_SYSENTER_CS:
    case IA32_SYSENTER_ESP:
    case IA32_SYSENTER_EIP:
        if (!cpu->model->has[SEP] || !address_valid)
            return fault_gp(cpu, 0);
        if (msr == IA32_SYSENTER_CS)
            cpu->sysenter_cs = value;
        else if (msr == IA32_SYSENTER_ESP)
            cpu->sysenter_esp = value;
        else
            cpu->sysenter_eip = value;
        return true;
    case IA32_MISC_ENABLE:
        if (is_amd(cpu))
            return fault_gp(cpu, 0);
        cpu->misc_enable = value | MISC_ENABLE_BTS_UNAVAILABLE | MISC_ENABLE_PEBS_UNAVAILABLE;
        return true;
    case IA32_DEBUGCTL: /* last-branch records are not kept; single-stepping on branches would
                           change what TF does, so it is refused rather than ignored */
        if ((value & ~(uint64_t)DEBUGCTL_LBR) != 0)
            return fault_gp(cpu, 0);
        cpu->debugctl = value;
        return true;
    case IA32_PAT:
        if (!cpu->model->pat || !types_valid(value, true))
            return fault_gp(cpu, 0);
        cpu->pat = value;
        return true;
    case IA32_XSS:
        if (!cpu->model->has[XSAVES_] || value != 0)
            return fault_gp(cpu, 0);
        cpu->xss = value;
        return true;
    default:
        return ignored_write(cpu, msr, value) || fault_gp(cpu, 0);
    }
}
