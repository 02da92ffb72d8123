/*
 * CPU models, CPUID, reset values, MSRs, and what control registers accept.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/cpuid.h"
#include "cpu/fault.h"
#include "cpu/mmu.h"
#include "cpu/msr.h"
#include "cpu/physmem.h"
#include "cpu/segment.h"

/* cpu/run.h declares them all, but cmocka has a macro of the same name as run_test(). */
bool run_mov_to_cr(struct cpu *cpu, const struct insn *in);
bool run_xsetbv(struct cpu *cpu, const struct insn *in);
bool run_mov_to_dr(struct cpu *cpu, const struct insn *in);
bool run_mov_from_dr(struct cpu *cpu, const struct insn *in);
bool run_lmsw(struct cpu *cpu, const struct insn *in);
bool run_lgdt(struct cpu *cpu, const struct insn *in);
bool run_lidt(struct cpu *cpu, const struct insn *in);
bool run_sidt(struct cpu *cpu, const struct insn *in);

struct machine {
    struct physmem *mem;
    struct cpu_model model;
    struct cpu *cpu;
    uint64_t now;
    unsigned kicks;
    int vector;
};

static uint64_t tsc(void *ctx)
{
    return ((struct machine *)ctx)->now;
}
static int acknowledge(void *ctx)
{
    return ((struct machine *)ctx)->vector;
}
static bool board_msr_read(void *ctx, uint32_t msr, uint64_t *value)
{
    (void)ctx, (void)msr, (void)value;
    return false;
}
static bool board_msr_write(void *ctx, uint32_t msr, uint64_t value)
{
    (void)ctx, (void)value;
    return msr == IA32_APIC_BASE;
}

static const struct cpu_ops ops = {
    .tsc = tsc,
    .interrupt_acknowledge = acknowledge,
    .msr_read = board_msr_read,
    .msr_write = board_msr_write,
};

static void make(struct machine *m, const char *model)
{
    char message[2000];

    assert_true(cpu_model_parse(model, 2500000000, &m->model, message, sizeof message));
    m->mem = physmem_create(1 << 20, 40);
    assert_non_null(m->mem);
    assert_int_equal(physmem_map(m->mem, 0, 1 << 20, 0, true), 0);
    m->cpu = cpu_create(m->mem, &m->model, &ops, m);
    assert_non_null(m->cpu);
}

static void drop(struct machine *m)
{
    cpu_destroy(m->cpu);
    physmem_destroy(m->mem);
}

static int setup(void **state)
{
    struct machine *m = calloc(1, sizeof *m);

    make(m, "max");
    *state = m;
    return 0;
}

static int teardown(void **state)
{
    drop(*state);
    free(*state);
    return 0;
}

/* ---- models ---- */

static void every_model_is_consistent(void **state)
{
    static const char *const names[] = {"max", "qemu64", "qemu32", "pentium3", "486"};

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        struct machine m = {0};
        struct cpuid_leaf leaf;

        make(&m, names[i]);
        leaf = cpuid_query(m.cpu, 0, 0);
        assert_int_equal(leaf.eax, m.model.max_leaf);
        assert_memory_equal(&leaf.ebx, m.model.vendor, 4);
        leaf = cpuid_query(m.cpu, 1, 0);
        assert_int_equal(leaf.eax, m.model.signature);
        assert_int_equal(leaf.edx & 1, m.model.has[FPU_]);
        assert_int_equal(leaf.edx >> 15 & 1, m.model.has[CMOV]);
        assert_int_equal(leaf.edx >> 26 & 1, m.model.has[SSE2]);
        assert_int_equal(leaf.ecx >> 23 & 1, m.model.has[POPCNT]);
        assert_int_equal(leaf.ecx >> 27 & 1, 0); /* OSXSAVE */
        leaf = cpuid_query(m.cpu, 0x80000001, 0);
        assert_int_equal(leaf.edx >> 29 & 1, m.model.long_mode);
        assert_int_equal(m.model.long_mode, i < 2);
        /* Intel shows SYSCALL in 64-bit mode only. */
        assert_int_equal(leaf.edx >> 11 & 1, m.model.vendor[0] == 'A');
        m.cpu->mode = (m.cpu->mode & ~(uint32_t)MODE_CODE_MASK) | MODE_CODE64;
        assert_int_equal(cpuid_query(m.cpu, 0x80000001, 0).edx >> 11 & 1, m.model.has[SYSCALL_]);
        cpu_update_mode(m.cpu);
        assert_int_equal(leaf.edx >> 20 & 1, m.model.nx);
        leaf = cpuid_query(m.cpu, 0xffffffff, 7);
        assert_int_equal(leaf.eax | leaf.ebx | leaf.ecx | leaf.edx, 0);
        drop(&m);
    }
}

static void models_grow(void **state)
{
    struct cpu_model model;
    char message[2000];

    (void)state;
    assert_true(cpu_model_parse("486", 1, &model, message, sizeof message));
    assert_false(model.has[CMOV] || model.has[TSC_] || model.pae || model.apic);
    assert_true(model.has[CPUID_] && model.has[I486]);
    assert_true(cpu_model_parse("pentium3", 1, &model, message, sizeof message));
    assert_true(model.has[CMOV] && model.has[SSE_] && model.has[SEP] && model.pae && model.pat);
    assert_false(model.has[SSE2] || model.nx);
    assert_true(cpu_model_parse("qemu64", 1, &model, message, sizeof message));
    assert_true(model.has[SSE2] && model.nx && model.has[LM] && model.has[SYSCALL_]);
    assert_false(model.has[XSAVE_] || model.pcid || model.smap);
    assert_int_equal(model.vendor[0], 'A');
    assert_true(cpu_model_parse("max", 1, &model, message, sizeof message));
    assert_true(model.nx && model.smep && model.umip && model.has[RDTSCP]);
    assert_true(model.long_mode && model.page1gb && model.pcid && model.smap && model.x2apic);
    assert_true(model.has[XSAVE_] && model.has[XSAVES_] && model.has[SYSCALL_] && model.has[LM]);
    assert_int_equal(model.has[AVX_], __builtin_cpu_supports("avx") != 0);
    assert_int_equal(model.has[AVX2_], __builtin_cpu_supports("avx2") != 0);
    assert_int_equal(model.has[FMA], __builtin_cpu_supports("fma") != 0);
}

static void features_can_be_taken_and_given(void **state)
{
    struct cpu_model model;
    char message[2000];

    (void)state;
    assert_true(cpu_model_parse("max,-sse", 1, &model, message, sizeof message));
    assert_true(model.has[FXSR_] && model.has[MMX_]);
    assert_false(model.has[SSE_] || model.has[SSE2] || model.has[SSE42] || model.has[AES]);
    assert_true(cpu_model_parse("486,+tsc,+cmov", 1, &model, message, sizeof message));
    assert_true(model.has[TSC_] && model.tsc && model.has[CMOV]);
    assert_true(cpu_model_parse("pentium3,nx=on,pge=off", 1, &model, message, sizeof message));
    assert_true(model.nx);
    assert_false(model.pge);
    assert_true(cpu_model_parse("max,+smap,-sse4_2", 1, &model, message, sizeof message));
    assert_true(model.smap && model.has[SMAP] && model.has[SSE41]);
    assert_false(model.has[SSE42]);
    assert_true(cpu_model_parse("max,-lm", 1, &model, message, sizeof message));
    assert_false(model.long_mode || model.pcid || model.page1gb || model.has[INVPCID]);
    assert_false(model.has[FSGSBASE] || model.has[LAHF64]);
    assert_true(cpu_model_parse("max,-xsave", 1, &model, message, sizeof message));
    assert_false(model.has[AVX_] || model.has[AVX2_] || model.has[FMA] || model.has[F16C] ||
                 model.has[XSAVES_] || model.xgetbv1);
    assert_true(cpu_model_parse("max,-hypervisor", 1, &model, message, sizeof message));
    assert_false(model.hypervisor);
}

static bool host_has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512cd");
}

static void avx512_goes_with_its_state(void **state)
{
    struct machine m = {0};
    struct cpu_model model;
    char message[2000];
    struct cpuid_leaf leaf;
    uint32_t end = 0;

    (void)state;
    assert_true(cpu_model_parse("max", 1, &model, message, sizeof message));
    assert_int_equal(model.has[AVX512F], host_has_avx512());
    assert_int_equal(model.has[AVX512VBMI],
                     host_has_avx512() && __builtin_cpu_supports("avx512vbmi"));
    for (unsigned i = 0; i < 2; i++) {
        assert_true(
            cpu_model_parse(i ? "max,-avx512f" : "max,-avx", 1, &model, message, sizeof message));
        for (unsigned f = AVX512F; f <= AVX512BF16; f++)
            assert_false(model.has[f]);
    }
    assert_int_equal(model.has[AVX2_], __builtin_cpu_supports("avx2") != 0);
    assert_true(cpu_model_parse("qemu64", 1, &model, message, sizeof message));
    assert_false(model.has[AVX512F] || model.has[GFNI]);
    if (!host_has_avx512())
        skip();

    assert_true(cpu_model_parse("max,-avx512bw", 1, &model, message, sizeof message));
    assert_true(model.has[AVX512F] && model.has[AVX512VL]);
    assert_false(model.has[AVX512BW] || model.has[AVX512VBMI] || model.has[AVX512BITALG]);

    /* Leaf 0xD: all components, each behind the one before, and XSETBV takes all or none. */
    make(&m, "max");
    leaf = cpuid_query(m.cpu, 0xd, 0);
    assert_int_equal(leaf.eax, 0xe7);
    assert_int_equal(leaf.ebx, 576);
    for (unsigned i = 2; i < 8; i++) {
        const struct cpuid_leaf part = cpuid_query(m.cpu, 0xd, i);

        assert_true(!part.eax || part.ebx >= (end ? end : 576));
        end = part.eax ? part.eax + part.ebx : end;
    }
    assert_int_equal(leaf.ecx, end);
    m.cpu->cr4 |= CR4_OSXSAVE;
    m.cpu->gpr[RCX] = m.cpu->gpr[RDX] = 0;
    for (unsigned xcr0 = 0; xcr0 < 256; xcr0++) {
        const bool valid = xcr0 == 1 || xcr0 == 3 || xcr0 == 7 || xcr0 == 0xe7;

        m.cpu->gpr[RAX] = xcr0;
        assert_int_equal(run_xsetbv(m.cpu, &(struct insn){0}), valid);
    }
    assert_int_equal(cpuid_query(m.cpu, 0xd, 0).ebx, end);
    assert_int_equal(cpuid_query(m.cpu, 0xd, 1).ebx, 576 + 256 + 64 + 512 + 1024);
    drop(&m);
}

static void errors_name_the_problem(void **state)
{
    struct cpu_model model;
    char message[2000], tiny[8];

    (void)state;
    assert_false(cpu_model_parse("pentium9", 1, &model, message, sizeof message));
    assert_non_null(strstr(message, "'pentium9'"));
    assert_non_null(strstr(message, "max qemu64 qemu32 pentium3 486"));
    assert_false(cpu_model_parse("max,+warp", 1, &model, message, sizeof message));
    assert_non_null(strstr(message, "'warp'"));
    assert_non_null(strstr(message, " sse4.2"));
    assert_false(cpu_model_parse("max,+monitor", 1, &model, message, sizeof message));
    assert_non_null(strstr(message, "'monitor' is not available"));
    assert_false(cpu_model_parse("max,", 1, &model, message, sizeof message));
    assert_false(cpu_model_parse("", 1, &model, message, sizeof message));
    assert_false(cpu_model_parse("none", 1, &model, tiny, sizeof tiny));
    assert_int_equal(strlen(tiny), sizeof tiny - 1);
    assert_null(strchr(message, '\n'));
}

static void frequencies_are_told(void **state)
{
    struct machine *m = *state;
    struct cpuid_leaf leaf = cpuid_query(m->cpu, 0x15, 0);

    assert_int_equal((uint64_t)leaf.ecx * leaf.ebx / leaf.eax, 2500000000);
    assert_true((uint64_t)(leaf.ecx / 1000) * leaf.ebx <= UINT32_MAX);
    leaf = cpuid_query(m->cpu, 0x40000000, 0);
    assert_memory_equal(&leaf.ebx, "Ring", 4);
    assert_memory_equal(&leaf.ecx, "erRi", 4);
    assert_memory_equal(&leaf.edx, "nger", 4);
    leaf = cpuid_query(m->cpu, leaf.eax, 0);
    assert_int_equal(leaf.eax, 2500000);
    assert_int_equal(leaf.ebx, CPU_APIC_BUS_HZ / 1000);
    leaf = cpuid_query(m->cpu, 0x80000007, 0);
    assert_int_equal(leaf.edx, 1 << 8);

    /* Crooked frequencies are told when a ratio comes close, else left for the guest to measure. */
    m->model.tsc_hz = 2596135791;
    leaf = cpuid_query(m->cpu, 0x15, 0);
    assert_in_range((uint64_t)leaf.ecx * leaf.ebx / leaf.eax, 2596135791 - 2596, 2596135791 + 2596);
    assert_true((uint64_t)(leaf.ecx / 1000) * leaf.ebx <= UINT32_MAX);
    m->model.tsc_hz = 2000333333;
    leaf = cpuid_query(m->cpu, 0x15, 0);
    assert_int_equal(leaf.eax | leaf.ebx | leaf.ecx, 0);
    m->model.tsc_hz = 1;
    leaf = cpuid_query(m->cpu, 0x15, 0);
    assert_int_equal(leaf.eax | leaf.ebx | leaf.ecx, 0);
    m->model.tsc_hz = UINT64_MAX;
    leaf = cpuid_query(m->cpu, 0x15, 0);
    assert_int_equal(leaf.eax | leaf.ebx | leaf.ecx, 0);

    char brand[49] = {0};
    for (unsigned i = 0; i < 3; i++) {
        leaf = cpuid_query(m->cpu, 0x80000002 + i, 0);
        memcpy(brand + i * 16, &leaf, 16);
    }
    assert_string_equal(brand, m->model.brand);
}

/* ---- reset ---- */

static void reset_values(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;

    cpu->cr0 = CR0_PE | CR0_PG;
    cpu->gpr[RBX] = 5;
    cpu->cpl = 3;
    cpu_reset(cpu);
    assert_int_equal(cpu->cr0, 0x60000010);
    assert_int_equal(cpu->rip, 0xfff0);
    assert_int_equal(cpu->rflags, 2);
    assert_int_equal(cpu->seg[CS].selector, 0xf000);
    assert_int_equal(cpu->seg[CS].base, 0xffff0000);
    assert_int_equal(cpu->seg[DS].limit, 0xffff);
    assert_int_equal(cpu->seg[DS].write_end, 0x10000);
    assert_int_equal(cpu->gpr[RDX], m->model.signature);
    assert_int_equal(cpu->gpr[RBX], 0);
    assert_int_equal(cpu->dr[6], 0xffff0ff0);
    assert_int_equal(cpu->dr[7], 0x400);
    assert_int_equal(cpu->pat, 0x0007040600070406);
    assert_int_equal(cpu->apic_base, 0xfee00900);
    assert_int_equal(cpu->mode & MODE_CODE_MASK, MODE_CODE16);
    assert_int_equal(cpu->mode & (MODE_PROTECTED | MODE_USER | MODE_PAGING), 0);
    assert_true(cpu->mode & MODE_CPL0);

    /* INIT comes at an instruction boundary and keeps what RESET does not. */
    cpu->pat = 0;
    cpu->cr0 = CR0_PE | CR0_ET;
    cpu_init_pin(cpu);
    assert_true(cpu_has_event(cpu));
    assert_int_equal(cpu->cr0, CR0_PE | CR0_ET);
    assert_int_equal(cpu->exit_request, 1);
    cpu_service_event(cpu);
    assert_int_equal(cpu->cr0, CR0_ET);
    assert_int_equal(cpu->pat, 0);
    assert_false(cpu_has_event(cpu) || cpu->waiting_sipi);
}

static void kick(struct cpu *cpu)
{
    ((struct machine *)cpu->ops_ctx)->kicks++;
}

static void interrupts_wait_for_their_moment(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;

    cpu->kick = kick;
    cpu_set_intr(cpu, true);
    cpu_set_intr(cpu, true);
    assert_int_equal(m->kicks, 1);
    assert_false(cpu_has_event(cpu));
    cpu->rflags |= FLAG_IF;
    assert_true(cpu_has_event(cpu));
    cpu->shadow = SHADOW_STI;
    assert_false(cpu_has_event(cpu));
    cpu_set_nmi(cpu);
    assert_true(cpu_has_event(cpu)); /* STI does not hold off NMI, MOV SS does */
    cpu->shadow = SHADOW_SS;
    assert_false(cpu_has_event(cpu));
    cpu->shadow = 0;

    /* Real-mode vectors 2 and 0x21, in this order. */
    physmem_write(m->mem, 2 * 4, 4, 0x10000100);
    physmem_write(m->mem, 0x21 * 4, 4, 0x10000200);
    cpu->gpr[RSP] = 0x1000;
    cpu->halted = true;
    m->vector = 0x21;
    cpu_service_event(cpu);
    assert_int_equal(cpu->rip, 0x100);
    assert_false(cpu->halted);
    assert_true(cpu->nmi_blocked);
    cpu_set_nmi(cpu);
    assert_false(cpu_has_event(cpu)); /* IF was cleared, and NMI waits for IRET */
    cpu->rflags |= FLAG_IF;
    cpu_service_event(cpu);
    assert_int_equal(cpu->rip, 0x200);

    /* A request that goes away wakes nobody. */
    cpu->rflags |= FLAG_IF;
    cpu->halted = true;
    m->vector = -1;
    cpu_service_event(cpu);
    assert_true(cpu->halted);
}

/* ---- MSRs ---- */

#define ACCEPTED(msr, value) assert_true(msr_write(m->cpu, msr, value))
#define REFUSED(msr, value)                             \
    do {                                                \
        m->cpu->fault.vector = 0;                       \
        assert_false(msr_write(m->cpu, msr, value));    \
        assert_int_equal(m->cpu->fault.vector, VEC_GP); \
    } while (0)

static uint64_t msr(struct machine *m, uint32_t number)
{
    uint64_t value;

    assert_true(msr_read(m->cpu, number, &value));
    return value;
}

static void msrs(void **state)
{
    struct machine *m = *state;
    uint64_t value;

    m->now = 1000;
    assert_int_equal(msr(m, IA32_TIME_STAMP_COUNTER), 1000);
    ACCEPTED(IA32_TIME_STAMP_COUNTER, 50);
    m->now = 1010;
    assert_int_equal(msr(m, IA32_TIME_STAMP_COUNTER), 60);
    assert_int_equal(msr(m, IA32_TSC_ADJUST), (uint64_t)-950);

    ACCEPTED(IA32_EFER, EFER_NXE);
    assert_int_equal(msr(m, IA32_EFER), EFER_NXE);
    ACCEPTED(IA32_EFER, EFER_LME | EFER_LMA | EFER_SCE);
    assert_int_equal(msr(m, IA32_EFER), EFER_LME | EFER_SCE); /* LMA is not the guest's to set */
    REFUSED(IA32_EFER, EFER_LME | 1 << 9);
    ACCEPTED(IA32_LSTAR, 0xffff800000000000);
    assert_int_equal(msr(m, IA32_LSTAR), 0xffff800000000000);
    REFUSED(IA32_LSTAR, 0x800000000000);
    REFUSED(IA32_KERNEL_GS_BASE, 0x800000000000);
    REFUSED(IA32_SYSENTER_EIP, 0x800000000000);
    REFUSED(IA32_FMASK, 1ull << 32);
    REFUSED(IA32_XSS, 1);
    REFUSED(0x12345678, 0);
    assert_false(msr_read(m->cpu, 0x12345678, &value));

    ACCEPTED(IA32_PAT, 0x0001040506070007);
    REFUSED(IA32_PAT, 2);
    ACCEPTED(IA32_MTRR_DEF_TYPE, 0xc06);
    REFUSED(IA32_MTRR_DEF_TYPE, 2);
    REFUSED(IA32_MTRRCAP, 0);
    ACCEPTED(IA32_MTRR_FIX4K_F8000, 0x0606060606060606);
    assert_int_equal(msr(m, IA32_MTRR_FIX4K_F8000), 0x0606060606060606);
    REFUSED(IA32_MTRR_FIX64K_00000, 7);
    ACCEPTED(IA32_MTRR_PHYSBASE0, 0xe0000001);
    REFUSED(IA32_MTRR_PHYSBASE0, 1ull << 40);
    ACCEPTED(IA32_MTRR_PHYSMASK7, 0xff80000800);
    assert_int_equal(msr(m, IA32_MTRRCAP) & 0xff, 8);
    ACCEPTED(IA32_SYSENTER_CS, 0x60);
    assert_int_equal(msr(m, IA32_SYSENTER_CS), 0x60);
    ACCEPTED(IA32_APIC_BASE, 0xfee00100); /* off */
    assert_int_equal(cpuid_query(m->cpu, 1, 0).edx & 1 << 9, 0);
    m->model.x2apic = false;
    REFUSED(IA32_APIC_BASE, 0xfee00d00);
    REFUSED(IA32_TSC_DEADLINE, 1);
    ACCEPTED(IA32_BIOS_SIGN_ID, 0);
    assert_int_not_equal(msr(m, IA32_BIOS_SIGN_ID), 0);
    ACCEPTED(IA32_SPEC_CTRL, 1);
    REFUSED(IA32_SPEC_CTRL, 1ull << 40);
    REFUSED(IA32_DEBUGCTL, 2);
}

/* ---- control and debug registers ---- */

static bool mov_to_cr(struct machine *m, unsigned cr, uint64_t value)
{
    const struct insn in = {.ops = {{OPERAND_CR, (uint8_t)cr, 4}, {OPERAND_GPR, RAX, 4}}};

    m->cpu->gpr[RAX] = value;
    m->cpu->fault.vector = 0;
    return run_mov_to_cr(m->cpu, &in);
}

static void control_registers(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;

    assert_false(mov_to_cr(m, 0, CR0_PG));
    assert_int_equal(cpu->fault.vector, VEC_GP);
    assert_false(mov_to_cr(m, 0, CR0_NW));
    assert_false(mov_to_cr(m, 1, 0));
    assert_int_equal(cpu->fault.vector, VEC_UD);
    assert_true(mov_to_cr(m, 0, CR0_PE | 1u << 10));
    assert_int_equal(cpu->cr0, CR0_PE | CR0_ET);
    assert_true(cpu->mode & MODE_PROTECTED);
    assert_true(mov_to_cr(m, 3, 0x2000));
    assert_true(mov_to_cr(m, 0, CR0_PE | CR0_PG));
    assert_true(cpu->mode & MODE_PAGING);
    assert_true(mov_to_cr(m, 0, CR0_PE));

    assert_false(mov_to_cr(m, 4, CR4_LA57)); /* not shown by CPUID */
    assert_false(mov_to_cr(m, 4, CR4_PCIDE));
    assert_false(mov_to_cr(m, 4, 1u << 31));
    assert_true(mov_to_cr(m, 4, CR4_PAE | CR4_PGE | CR4_OSFXSR));
    assert_int_equal(cpu->mode & MODE_NO_SSE, 0);

    /* PAE: paging comes on only with good pointers. */
    physmem_write(m->mem, 0x2000, 8, 0x3000 | 1 | 2);
    assert_false(mov_to_cr(m, 0, CR0_PE | CR0_PG));
    assert_int_equal(cpu->fault.vector, VEC_GP);
    assert_int_equal(cpu->cr0 & CR0_PG, 0);
    physmem_write(m->mem, 0x2000, 8, 0x3000 | 1);
    assert_true(mov_to_cr(m, 0, CR0_PE | CR0_PG));
    assert_int_equal(cpu->pdpte[0], 0x3001);
    physmem_write(m->mem, 0x4000, 8, 1ull << 50 | 1);
    assert_false(mov_to_cr(m, 3, 0x4000));
    assert_int_equal(cpu->cr3, 0x2000);

    /* LMSW cannot leave protected mode. */
    const struct insn lmsw = {.ops = {{OPERAND_GPR, RAX, 2}}};
    cpu->gpr[RAX] = CR0_TS;
    assert_true(run_lmsw(cpu, &lmsw));
    assert_int_equal(cpu->cr0, CR0_PE | CR0_PG | CR0_TS | CR0_ET);
    assert_true(cpu->mode & MODE_NO_FPU);
}

static void long_mode_comes_on_with_paging(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;

    m->model.long_mode = true;
    cpu->cr0 = CR0_PE | CR0_ET;
    cpu->cr4 = 0;
    ACCEPTED(IA32_EFER, EFER_LME);
    assert_false(mov_to_cr(m, 0, CR0_PE | CR0_PG)); /* without PAE */
    assert_true(mov_to_cr(m, 4, CR4_PAE));
    assert_true(mov_to_cr(m, 0, CR0_PE | CR0_PG));
    assert_int_equal(msr(m, IA32_EFER), EFER_LME | EFER_LMA);
    REFUSED(IA32_EFER, 0);
    assert_false(mov_to_cr(m, 4, 0)); /* PAE stays on */
    assert_false(cpu_is_code64(cpu));
    cpu->seg[CS].attr |= SEG_L | SEG_CODE;
    cpu_update_mode(cpu);
    assert_true(cpu_is_code64(cpu));
    assert_false(mov_to_cr(m, 0, CR0_PE)); /* not from 64-bit code */
    cpu->seg[CS].attr &= (uint16_t)~SEG_L;
    cpu_update_mode(cpu);
    assert_true(mov_to_cr(m, 0, CR0_PE));
    assert_int_equal(msr(m, IA32_EFER), EFER_LME);
}

static void debug_registers(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;
    struct insn to = {.ops = {{OPERAND_DR, 7, 4}, {OPERAND_GPR, RAX, 4}}};
    struct insn from = {.ops = {{OPERAND_GPR, RBX, 4}, {OPERAND_DR, 5, 4}}};

    cpu->gpr[RAX] = 0xffffdfff & ~0x2000ull;
    assert_true(run_mov_to_dr(cpu, &to));
    assert_int_equal(cpu->dr[7], 0xffff07ff & ~0x2000ull);
    assert_true(run_mov_from_dr(cpu, &from)); /* DR5 is DR7 */
    assert_int_equal(cpu->gpr[RBX], cpu->dr[7]);
    cpu->cr4 |= CR4_DE;
    assert_false(run_mov_from_dr(cpu, &from));
    assert_int_equal(cpu->fault.vector, VEC_UD);

    cpu->gpr[RAX] = 0;
    to.ops[0].reg = 6;
    assert_true(run_mov_to_dr(cpu, &to));
    assert_int_equal(cpu->dr[6], 0xffff0ff0);

    cpu->dr[7] |= 1u << 13; /* GD */
    to.ops[0].reg = 0;
    assert_false(run_mov_to_dr(cpu, &to));
    assert_int_equal(cpu->fault.vector, VEC_DB);
    assert_int_equal(cpu->fault.dr6, 1u << 13);
}

static void descriptor_table_registers(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;
    struct insn in = {
        .width = 2, .addr_size = 2, .seg = DS, .base = NO_REG, .index = NO_REG, .disp = 0x100};

    physmem_write(m->mem, 0x100, 8, 0x9876543210ff);
    assert_true(run_lgdt(cpu, &in));
    assert_int_equal(cpu->gdtr.limit, 0x10ff);
    assert_int_equal(cpu->gdtr.base, 0x765432);
    in.width = 4;
    assert_true(run_lidt(cpu, &in));
    assert_int_equal(cpu->idtr.base, 0x98765432);
    in.disp = 0x200;
    physmem_write(m->mem, 0x206, 1, 0x77);
    assert_true(run_sidt(cpu, &in));
    assert_int_equal(physmem_read(m->mem, 0x200, 8), 0x779876543210ff);
    cpu->cr4 |= CR4_UMIP;
    cpu->cpl = 3;
    assert_false(run_sidt(cpu, &in));
    assert_int_equal(cpu->fault.vector, VEC_GP);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_model_is_consistent),
        cmocka_unit_test(models_grow),
        cmocka_unit_test(features_can_be_taken_and_given),
        cmocka_unit_test(avx512_goes_with_its_state),
        cmocka_unit_test(errors_name_the_problem),
        TEST(frequencies_are_told),
        TEST(reset_values),
        TEST(interrupts_wait_for_their_moment),
        TEST(msrs),
        TEST(control_registers),
        TEST(long_mode_comes_on_with_paging),
        TEST(debug_registers),
        TEST(descriptor_table_registers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
