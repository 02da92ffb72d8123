/*
 * cpu/run_system.c -- handlers of the system instructions: control, debug and model-specific
 * registers, descriptor-table registers, TLB and cache control, identification, time, HLT.
 * Sources: [SDM 2A, 2B, 2C], the instructions' own pages; [SDM 3A 2.5 "Control Registers"];
 * [SDM 3A 4.10.4 "Invalidation of TLBs"]; [SDM 3A 9.8.5 "Initializing IA-32e Mode"].
 */
#include "cpu/access.h"
#include "cpu/cpu.h"
#include "cpu/cpuid.h"
#include "cpu/debug.h"
#include "cpu/fpu.h"
#include "cpu/mmu.h"
#include "cpu/msr.h"
#include "cpu/run.h"
#include "cpu/segment.h"

#define CR0_DEFINED                                                                            \
    (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | \
     CR0_PG)
#define CR3_NO_FLUSH (1ull << 63)
#define DR6_FIXED_1  0xffff0ff0u
#define DR6_WRITABLE (0xfu | DR6_BD | DR6_BS | DR6_BT)
#define DR7_FIXED_1  0x400u
#define DR7_WRITABLE 0xffff23ffu
#define DR7_GD       (1u << 13)

/* ---- control registers ---- */

static bool is_pae_paging(const struct cpu *cpu, uint64_t cr0, uint64_t cr4)
{
    return (cr0 & CR0_PG) && (cr4 & CR4_PAE) && !(cpu->efer & EFER_LME);
}

/* Legality of turning paging on or off, long mode included. */
static bool check_paging_switch(struct cpu *cpu, uint64_t cr0)
{
    const unsigned tss_type = cpu->tr.attr & SEG_TYPE;

    if (cr0 & CR0_PG) {
        /* Paging comes on; with LME set it is long mode that comes on. */
        if ((cpu->efer & EFER_LME) && (!(cpu->cr4 & CR4_PAE) || (cpu->seg[CS].attr & SEG_L) ||
                                       tss_type == 1 || tss_type == 3))
            return fault_gp(cpu, 0);
    } else if (cpu_is_code64(cpu) || (cpu->cr4 & CR4_PCIDE)) {
        return fault_gp(cpu, 0);
    }
    return true;
}

static bool write_cr0(struct cpu *cpu, uint64_t value)
{
    const uint64_t changed = (value ^ cpu->cr0) & CR0_DEFINED;

    if (value >> 32 != 0 || ((value & CR0_PG) && !(value & CR0_PE)) ||
        ((value & CR0_NW) && !(value & CR0_CD)))
        return fault_gp(cpu, 0);
    if ((changed & CR0_PG) && !check_paging_switch(cpu, value))
        return false;
    if ((changed & (CR0_PG | CR0_CD | CR0_NW)) && is_pae_paging(cpu, value, cpu->cr4) &&
        !mmu_load_pdptes(cpu, cpu->cr3))
        return false;

    cpu->cr0 = (value & CR0_DEFINED) | CR0_ET;
    if (changed & CR0_PG) {
        if ((value & CR0_PG) && (cpu->efer & EFER_LME))
            cpu->efer |= EFER_LMA;
        else
            cpu->efer &= ~(uint64_t)EFER_LMA;
    }
    if (changed & (CR0_PG | CR0_PE | CR0_WP))
        mmu_flush_all(cpu);
    cpu_update_mode(cpu);
    return true;
}

static bool write_cr3(struct cpu *cpu, uint64_t value)
{
    const bool keep = value & CR3_NO_FLUSH;

    if (cpu_is_long(cpu)) {
        uint64_t reserved = ~((1ull << cpu->model->phys_bits) - 1);

        if (cpu->cr4 & CR4_PCIDE)
            reserved &= ~CR3_NO_FLUSH;
        if (value & reserved)
            return fault_gp(cpu, 0);
        value &= ~CR3_NO_FLUSH;
    } else if (is_pae_paging(cpu, cpu->cr0, cpu->cr4) && !mmu_load_pdptes(cpu, value)) {
        return false;
    }
    cpu->cr3 = value;
    if (cpu->cr4 & CR4_PCIDE)
        mmu_switch_pcid(cpu, mmu_pcid(cpu), keep);
    else
        mmu_flush_nonglobal(cpu);
    return true;
}

static uint64_t cr4_supported(const struct cpu_model *model)
{
    uint64_t bits = 0;

    if (model->vme)
        bits |= CR4_VME | CR4_PVI;
    if (model->tsc)
        bits |= CR4_TSD;
    if (model->de)
        bits |= CR4_DE;
    if (model->pse)
        bits |= CR4_PSE;
    if (model->pae)
        bits |= CR4_PAE;
    if (model->mce)
        bits |= CR4_MCE;
    if (model->pge)
        bits |= CR4_PGE;
    if (model->has[MMX_]) /* the processors that have RDPMC */
        bits |= CR4_PCE;
    if (model->has[FXSR_])
        bits |= CR4_OSFXSR;
    if (model->has[SSE_])
        bits |= CR4_OSXMMEXCPT;
    if (model->umip)
        bits |= CR4_UMIP;
    if (model->has[FSGSBASE])
        bits |= CR4_FSGSBASE;
    if (model->pcid)
        bits |= CR4_PCIDE;
    if (model->has[XSAVE_])
        bits |= CR4_OSXSAVE;
    if (model->smep)
        bits |= CR4_SMEP;
    if (model->smap)
        bits |= CR4_SMAP;
    return bits;
}

static bool write_cr4(struct cpu *cpu, uint64_t value)
{
    const uint64_t changed = value ^ cpu->cr4;

    if ((value & ~cr4_supported(cpu->model)) != 0)
        return fault_gp(cpu, 0);
    if (cpu_is_long(cpu) && !(value & CR4_PAE))
        return fault_gp(cpu, 0);
    if ((changed & value & CR4_PCIDE) && (!cpu_is_long(cpu) || (cpu->cr3 & 0xfff) != 0))
        return fault_gp(cpu, 0);
    if ((changed & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP)) &&
        is_pae_paging(cpu, cpu->cr0, value) && !mmu_load_pdptes(cpu, cpu->cr3))
        return false;
    cpu->cr4 = value;
    if (changed & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_PCIDE | CR4_SMEP | CR4_SMAP))
        mmu_flush_all(cpu);
    cpu_update_mode(cpu);
    return true;
}

bool run_mov_from_cr(struct cpu *cpu, const struct insn *in)
{
    uint64_t value;

    switch (in->ops[1].reg) {
    case 0:
        value = cpu->cr0;
        break;
    case 2:
        value = cpu->cr2;
        break;
    case 3:
        value = cpu->cr3;
        break;
    case 4:
        value = cpu->cr4;
        break;
    case 8:
        fpu_leave(cpu);
        value = cpu->ops->tpr_read(cpu->ops_ctx) & 15;
        break;
    default:
        return fault_ud(cpu);
    }
    gpr_write(cpu, in->ops[0].reg, in->ops[0].size, value);
    return true;
}

bool run_mov_to_cr(struct cpu *cpu, const struct insn *in)
{
    const uint64_t value = cpu->gpr[in->ops[1].reg] & width_mask(in->ops[1].size);

    switch (in->ops[0].reg) {
    case 0:
        return write_cr0(cpu, value);
    case 2:
        cpu->cr2 = value;
        return true;
    case 3:
        return write_cr3(cpu, value);
    case 4:
        return write_cr4(cpu, value);
    case 8:
        if (value > 15)
            return fault_gp(cpu, 0);
        fpu_leave(cpu);
        cpu->ops->tpr_write(cpu->ops_ctx, (uint8_t)value);
        return true;
    default:
        return fault_ud(cpu);
    }
}

/* #GP(0) where CR4.UMIP keeps user code from seeing system state. */
static bool check_umip(struct cpu *cpu)
{
    return !(cpu->cr4 & CR4_UMIP) || cpu->cpl == 0 || fault_gp(cpu, 0);
}

bool run_smsw(struct cpu *cpu, const struct insn *in)
{
    return check_umip(cpu) && operand_write(cpu, in, 0, cpu->cr0 & width_mask(in->ops[0].size));
}

/* LMSW changes PE, MP, EM and TS only, and cannot clear PE. */
bool run_lmsw(struct cpu *cpu, const struct insn *in)
{
    enum { REACHED = CR0_PE | CR0_MP | CR0_EM | CR0_TS };
    uint64_t value;

    if (!operand_read(cpu, in, 0, &value))
        return false;
    return write_cr0(cpu,
                     (cpu->cr0 & ~(uint64_t)REACHED) | (value & REACHED) | (cpu->cr0 & CR0_PE));
}

bool run_clts(struct cpu *cpu, const struct insn *in)
{
    (void)in;
    cpu->cr0 &= ~(uint64_t)CR0_TS;
    cpu_update_mode(cpu);
    return true;
}

/* ---- debug registers ---- */

/* DR4 and DR5 are other names of DR6 and DR7 unless CR4.DE makes them invalid; DR7.GD guards them
 * all. [SDM 3B 18.2.2, 18.2.4] */
static bool debug_register(struct cpu *cpu, unsigned reg, unsigned *actual)
{
    if (reg > 7)
        return fault_ud(cpu);
    if (reg == 4 || reg == 5) {
        if (cpu->cr4 & CR4_DE)
            return fault_ud(cpu);
        reg += 2;
    }
    if (cpu->dr[7] & DR7_GD)
        return fault_db(cpu, DR6_BD);
    *actual = reg;
    return true;
}

bool run_mov_from_dr(struct cpu *cpu, const struct insn *in)
{
    unsigned reg;

    if (!debug_register(cpu, in->ops[1].reg, &reg))
        return false;
    gpr_write(cpu, in->ops[0].reg, in->ops[0].size, cpu->dr[reg]);
    return true;
}

bool run_mov_to_dr(struct cpu *cpu, const struct insn *in)
{
    const uint64_t value = cpu->gpr[in->ops[1].reg] & width_mask(in->ops[1].size);
    unsigned reg;

    if (!debug_register(cpu, in->ops[0].reg, &reg))
        return false;
    if (reg >= 6 && value >> 32 != 0)
        return fault_gp(cpu, 0);
    if (reg == 6)
        cpu->dr[6] = (value & DR6_WRITABLE) | DR6_FIXED_1;
    else if (reg == 7)
        cpu->dr[7] = (value & DR7_WRITABLE) | DR7_FIXED_1;
    else
        cpu->dr[reg] = value;
    cpu_update_breakpoints(cpu);
    return true;
}

/* ---- descriptor-table registers ---- */

static bool load_table(struct cpu *cpu, const struct insn *in, struct dtable *table)
{
    const unsigned base_bytes = cpu_is_code64(cpu) ? 8 : 4;
    struct dtable loaded = {0};
    uint8_t image[10];

    if (!access_read_block(cpu, in->seg, operand_offset(cpu, in), 2 + base_bytes, image))
        return false;
    loaded.limit = (uint16_t)(image[0] | image[1] << 8);
    for (unsigned i = 0; i < base_bytes; i++)
        loaded.base |= (uint64_t)image[2 + i] << i * 8;
    if (base_bytes == 4 && in->width == 2)
        loaded.base &= 0xffffff;
    if (base_bytes == 8 && !run_is_canonical(cpu, loaded.base))
        return fault_gp(cpu, 0);
    *table = loaded;
    return true;
}

/* The whole base is stored whatever the operand size. [SDM 2B "SGDT", Operation] */
static bool store_table(struct cpu *cpu, const struct insn *in, const struct dtable *table)
{
    const unsigned base_bytes = cpu_is_code64(cpu) ? 8 : 4;
    uint8_t image[10];

    if (!check_umip(cpu))
        return false;
    image[0] = (uint8_t)table->limit;
    image[1] = (uint8_t)(table->limit >> 8);
    for (unsigned i = 0; i < base_bytes; i++)
        image[2 + i] = (uint8_t)(table->base >> i * 8);
    return access_write_block(cpu, in->seg, operand_offset(cpu, in), 2 + base_bytes, image);
}

bool run_lgdt(struct cpu *cpu, const struct insn *in)
{
    segment_forget(cpu);
    return load_table(cpu, in, &cpu->gdtr);
}

bool run_lidt(struct cpu *cpu, const struct insn *in)
{
    return load_table(cpu, in, &cpu->idtr);
}

bool run_sgdt(struct cpu *cpu, const struct insn *in)
{
    return store_table(cpu, in, &cpu->gdtr);
}

bool run_sidt(struct cpu *cpu, const struct insn *in)
{
    return store_table(cpu, in, &cpu->idtr);
}

/* ---- TLB and caches ---- */

/* The operand is an address; neither its segment's limit nor its page is checked. */
bool run_invlpg(struct cpu *cpu, const struct insn *in)
{
    const uint64_t offset = operand_offset(cpu, in);

    if (cpu_is_code64(cpu))
        mmu_flush_page(cpu, offset + (in->seg >= FS ? cpu->seg[in->seg].base : 0));
    else
        mmu_flush_page(cpu, (uint32_t)(cpu->seg[in->seg].base + offset));
    return true;
}

bool run_invpcid(struct cpu *cpu, const struct insn *in)
{
    enum { ADDRESS, CONTEXT, ALL_WITH_GLOBAL, ALL_BUT_GLOBAL };
    const uint64_t type = cpu->gpr[in->ops[0].reg] & width_mask(in->ops[0].size);
    uint64_t descriptor[2];

    if (!access_read_block(cpu, in->seg, operand_offset(cpu, in), sizeof descriptor, descriptor))
        return false;
    if (type > ALL_BUT_GLOBAL || descriptor[0] >> 12 != 0 ||
        (type <= CONTEXT && descriptor[0] != 0 && !(cpu->cr4 & CR4_PCIDE)) ||
        (type == ADDRESS && !run_is_canonical(cpu, descriptor[1])))
        return fault_gp(cpu, 0);
    if (type == ADDRESS && descriptor[0] == mmu_pcid(cpu))
        mmu_flush_page(cpu, descriptor[1]);
    else if (type == ADDRESS || type == CONTEXT)
        mmu_flush_pcid(cpu, (unsigned)descriptor[0]);
    else if (type == ALL_WITH_GLOBAL)
        mmu_flush_all(cpu);
    else
        mmu_flush_pcids(cpu);
    return true;
}

/* The host's caches are coherent with everything that the guest can see. */
bool run_invd(struct cpu *cpu, const struct insn *in)
{
    (void)cpu;
    (void)in;
    return true;
}

bool run_wbinvd(struct cpu *cpu, const struct insn *in)
{
    return run_invd(cpu, in);
}

bool run_prefetch(struct cpu *cpu, const struct insn *in)
{
    return run_invd(cpu, in);
}

/* CLFLUSH and its kin do nothing here but fault as a load of a byte does. */
bool run_clflush(struct cpu *cpu, const struct insn *in)
{
    uint64_t offset = operand_offset(cpu, in);
    linaddr_t linear;

    /* An execute-only segment is fine: only the limit counts. [SDM 2A "CLFLUSH"] */
    return access_segment(cpu, in->seg, offset, 1, ACCESS_EXEC, &linear) &&
           access_linear_probe(cpu, linear, 1, ACCESS_READ, mmu_view(cpu));
}

bool run_fence(struct cpu *cpu, const struct insn *in)
{
    (void)cpu;
    (void)in;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return true;
}

/* ---- identification and time ---- */

static void write_edx_eax(struct cpu *cpu, uint64_t value)
{
    cpu->gpr[RAX] = (uint32_t)value;
    cpu->gpr[RDX] = value >> 32;
}

static uint64_t read_edx_eax(const struct cpu *cpu)
{
    return (uint32_t)cpu->gpr[RAX] | cpu->gpr[RDX] << 32;
}

bool run_cpuid(struct cpu *cpu, const struct insn *in)
{
    const struct cpuid_leaf leaf =
        cpuid_query(cpu, (uint32_t)cpu->gpr[RAX], (uint32_t)cpu->gpr[RCX]);

    (void)in;
    cpu->gpr[RAX] = leaf.eax;
    cpu->gpr[RBX] = leaf.ebx;
    cpu->gpr[RCX] = leaf.ecx;
    cpu->gpr[RDX] = leaf.edx;
    return true;
}

bool run_rdtsc(struct cpu *cpu, const struct insn *in)
{
    (void)in;
    if ((cpu->cr4 & CR4_TSD) && cpu->cpl != 0)
        return fault_gp(cpu, 0);
    write_edx_eax(cpu, cpu_tsc(cpu));
    return true;
}

bool run_rdtscp(struct cpu *cpu, const struct insn *in)
{
    if (!run_rdtsc(cpu, in))
        return false;
    cpu->gpr[RCX] = (uint32_t)cpu->tsc_aux;
    return true;
}

bool run_rdpid(struct cpu *cpu, const struct insn *in)
{
    gpr_write(cpu, in->ops[0].reg, in->ops[0].size, (uint32_t)cpu->tsc_aux);
    return true;
}

/* CPUID shows no performance counters, so every index is invalid at any privilege. */
bool run_rdpmc(struct cpu *cpu, const struct insn *in)
{
    (void)in;
    return fault_gp(cpu, 0);
}

/* ---- model-specific and extended control registers ---- */

bool run_rdmsr(struct cpu *cpu, const struct insn *in)
{
    uint64_t value;

    (void)in;
    if (!msr_read(cpu, (uint32_t)cpu->gpr[RCX], &value))
        return false;
    write_edx_eax(cpu, value);
    return true;
}

bool run_wrmsr(struct cpu *cpu, const struct insn *in)
{
    (void)in;
    return msr_write(cpu, (uint32_t)cpu->gpr[RCX], read_edx_eax(cpu));
}

/* ECX = 1 reads which of the enabled components are in use: as XSAVEC sees it. */
bool run_xgetbv(struct cpu *cpu, const struct insn *in)
{
    const uint32_t index = (uint32_t)cpu->gpr[RCX];

    (void)in;
    if (!(cpu->cr4 & CR4_OSXSAVE))
        return fault_ud(cpu);
    if (index > 1 || (index == 1 && !cpu->model->xgetbv1))
        return fault_gp(cpu, 0);
    fpu_leave(cpu);
    write_edx_eax(cpu, index == 1 ? cpu->xcr0 & (XCR0_UP_TO_AVX | fpu_high_used(cpu)) : cpu->xcr0);
    return true;
}

bool run_xsetbv(struct cpu *cpu, const struct insn *in)
{
    const uint64_t value = read_edx_eax(cpu);
    const uint64_t supported = XCR0_X87 | XCR0_SSE | (cpu->model->has[AVX_] ? XCR0_AVX : 0) |
                               (cpu->model->has[AVX512F] ? XCR0_AVX512 : 0);

    (void)in;
    if (!(cpu->cr4 & CR4_OSXSAVE))
        return fault_ud(cpu);
    if ((uint32_t)cpu->gpr[RCX] != 0 || (value & ~supported) != 0 || !(value & XCR0_X87) ||
        ((value & XCR0_AVX) && !(value & XCR0_SSE)) ||
        ((value & XCR0_AVX512) && ((value & XCR0_AVX512) != XCR0_AVX512 || !(value & XCR0_AVX))))
        return fault_gp(cpu, 0);
    fpu_leave(cpu); /* XCR0 says how the host's registers are saved */
    cpu->xcr0 = value;
    cpu_update_mode(cpu);
    return true;
}

/* ---- waiting, and the rest ---- */

bool run_hlt(struct cpu *cpu, const struct insn *in)
{
    (void)in;
    cpu->halted = true;
    return true;
}

/* Nothing is watched: MWAIT then returns at once, as it may after any event. */
bool run_monitor(struct cpu *cpu, const struct insn *in)
{
    const uint64_t offset = cpu->gpr[RAX] & width_mask(in->addr_size);
    uint64_t value;

    if ((uint32_t)cpu->gpr[RCX] != 0)
        return fault_gp(cpu, 0);
    return access_read(cpu, in->prefixes & PREFIX_SEG ? in->seg : DS, offset, 1, &value);
}

bool run_mwait(struct cpu *cpu, const struct insn *in)
{
    (void)in;
    return (uint32_t)cpu->gpr[RCX] <= 1 || fault_gp(cpu, 0);
}

/* Outside system-management mode, which is never entered. [SDM 2B "RSM"] */
bool run_rsm(struct cpu *cpu, const struct insn *in)
{
    (void)in;
    return fault_ud(cpu);
}

bool run_stac(struct cpu *cpu, const struct insn *in)
{
    (void)in;
    if (cpu->cpl != 0)
        return fault_ud(cpu);
    cpu->rflags |= FLAG_AC;
    cpu_update_mode(cpu);
    return true;
}

bool run_clac(struct cpu *cpu, const struct insn *in)
{
    (void)in;
    if (cpu->cpl != 0)
        return fault_ud(cpu);
    cpu->rflags &= ~(uint64_t)FLAG_AC;
    cpu_update_mode(cpu);
    return true;
}

/* ---- FS and GS bases ---- */

static bool read_base(struct cpu *cpu, const struct insn *in, enum seg seg)
{
    if (!(cpu->cr4 & CR4_FSGSBASE))
        return fault_ud(cpu);
    gpr_write(cpu, in->ops[0].reg, in->ops[0].size, cpu->seg[seg].base);
    return true;
}

static bool write_base(struct cpu *cpu, const struct insn *in, enum seg seg)
{
    const uint64_t value = cpu->gpr[in->ops[0].reg] & width_mask(in->ops[0].size);

    if (!(cpu->cr4 & CR4_FSGSBASE))
        return fault_ud(cpu);
    if (!run_is_canonical(cpu, value))
        return fault_gp(cpu, 0);
    cpu->seg[seg].base = value;
    return true;
}

bool run_rdfsbase(struct cpu *cpu, const struct insn *in)
{
    return read_base(cpu, in, FS);
}

bool run_rdgsbase(struct cpu *cpu, const struct insn *in)
{
    return read_base(cpu, in, GS);
}

bool run_wrfsbase(struct cpu *cpu, const struct insn *in)
{
    return write_base(cpu, in, FS);
}

bool run_wrgsbase(struct cpu *cpu, const struct insn *in)
{
    return write_base(cpu, in, GS);
}
