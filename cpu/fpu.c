/*
 * cpu/fpu.c -- see cpu/fpu.h.
 *
 * cpu->fpu is in the standard XSAVE format.  With AVX enabled in the guest's XCR0 the host's XSAVE
 * moves it, else the shorter FXSAVE; in both cases the header says that all components are in
 * use, which is always allowed ([SDM 1 13.6]).  None of these instructions waits for pending x87
 * exceptions, so a guest's unmasked error stays where it is.
 *
 * AVX-512's state is kept apart and moved only if a component is in use: the host knows (XGETBV
 * with ECX = 1, [SDM 1 13.6 "Processor Tracking of XSAVE-Managed State"]), and what it calls in use
 * although it is zero is found out by looking.  So a guest that enables it and does not use it pays
 * for two XGETBV, and cpu->fpu does not depend on how the state came about.
 */
#include "cpu/fpu.h"

#include "cpu/native.h"
#include "cpu/operand.h"

static uint16_t *fpu_u16(struct cpu *cpu, unsigned offset)
{
    return (uint16_t *)(void *)(cpu->fpu + offset);
}
static uint32_t *fpu_u32(struct cpu *cpu, unsigned offset)
{
    return (uint32_t *)(void *)(cpu->fpu + offset);
}
static uint64_t *fpu_u64(struct cpu *cpu, unsigned offset)
{
    return (uint64_t *)(void *)(cpu->fpu + offset);
}

static bool uses_xsave(const struct cpu *cpu)
{
    return cpu->xcr0 & XCR0_AVX;
}

/* ---- AVX-512's components ---- */

static const struct {
    uint16_t bit, at, size;
} high_parts[] = {
    {XCR0_OPMASK, FPU_OPMASK, FPU_OPMASK_SIZE},
    {XCR0_ZMM_HIGH, FPU_ZMM_HIGH, FPU_ZMM_HIGH_SIZE},
    {XCR0_ZMM16, FPU_ZMM16, FPU_ZMM16_SIZE},
};
enum { HIGH_PARTS = sizeof high_parts / sizeof high_parts[0] };

/* Components of which the host's registers are not known to be zero. */
static uint64_t host_high_in_use(void)
{
    uint32_t low, high;

    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(1));
    return low & XCR0_AVX512;
}

static bool is_zero(const uint8_t *bytes, unsigned size)
{
    const uint64_t *p = (const uint64_t *)(const void *)bytes;

    for (unsigned i = 0; i < size / 8; i++)
        if (p[i])
            return false;
    return true;
}

/* Of the components `used`, those that are not zero. */
static void settle(struct cpu *cpu, uint64_t used)
{
    for (unsigned i = 0; i < HIGH_PARTS; i++)
        if (used & high_parts[i].bit && is_zero(cpu->fpu + high_parts[i].at, high_parts[i].size))
            used &= ~(uint64_t)high_parts[i].bit;
    *fpu_u64(cpu, FPU_HIGH + FPU_XSTATE_BV) = used;
}

void fpu_settle_high(struct cpu *cpu)
{
    settle(cpu, XCR0_AVX512);
}

static void save_high(struct cpu *cpu)
{
    const uint64_t before = fpu_high_used(cpu);
    uint64_t used = host_high_in_use();

    if (!(before | used))
        return;
    if (used) { /* writes what is in use, and which that is */
        __asm__ volatile("xsavec64 (%0)" ::"r"(cpu->fpu + FPU_HIGH), "a"(XCR0_AVX512), "d"(0)
                         : "memory");
        used = fpu_high_used(cpu);
    }
    for (unsigned i = 0; i < HIGH_PARTS; i++)
        if (before & ~used & high_parts[i].bit)
            native_zero(cpu->fpu + high_parts[i].at, high_parts[i].size);
    settle(cpu, used);
}

static void load_high(struct cpu *cpu)
{
    if (fpu_high_used(cpu) | host_high_in_use())
        __asm__ volatile("xrstor64 (%0)" ::"r"(cpu->fpu + FPU_HIGH), "a"(XCR0_AVX512), "d"(0)
                         : "memory");
}

uint64_t fpu_opmask(const struct cpu *cpu, unsigned reg)
{
    uint64_t value = 0;

    if (!cpu->fpu_live)
        return *(const uint64_t *)(const void *)(cpu->fpu + FPU_OPMASK + 8 * reg);
    switch (reg) {
#define OPMASK(n)                                              \
    case n:                                                    \
        __asm__ volatile("kmovq %%k" #n ", %0" : "=r"(value)); \
        break;
        OPMASK(1)
        OPMASK(2)
        OPMASK(3)
        OPMASK(4)
        OPMASK(5)
        OPMASK(6)
        OPMASK(7)
#undef OPMASK
    }
    return value;
}

void fpu_read_vector(const struct cpu *cpu, unsigned reg, unsigned size, uint8_t *value)
{
    if (reg >= 16) {
        native_copy(value, cpu->fpu + FPU_ZMM16 + 64 * (reg - 16), size);
        return;
    }
    native_copy(value, cpu->fpu + FPU_XMM + 16 * reg, 16);
    if (size > 16)
        native_copy(value + 16, cpu->fpu + FPU_YMM + 16 * reg, 16);
    if (size > 32)
        native_copy(value + 32, cpu->fpu + FPU_ZMM_HIGH + 32 * reg, 32);
}

void fpu_write_vector(struct cpu *cpu, unsigned reg, unsigned size, const uint8_t *value)
{
    uint8_t all[64];

    native_copy(all, value, size);
    native_zero(all + size, sizeof all - size);
    if (reg >= 16) {
        native_copy(cpu->fpu + FPU_ZMM16 + 64 * (reg - 16), all, 64);
        return;
    }
    native_copy(cpu->fpu + FPU_XMM + 16 * reg, all, 16);
    native_copy(cpu->fpu + FPU_YMM + 16 * reg, all + 16, 16);
    native_copy(cpu->fpu + FPU_ZMM_HIGH + 32 * reg, all + 32, 32);
}

/* ---- everything ---- */

/* The host's registers, which keep their values, to cpu->fpu. */
static void store_image(struct cpu *cpu)
{
    if (uses_xsave(cpu)) {
        __asm__ volatile("xsave64 (%0)" ::"r"(cpu->fpu), "a"(XCR0_UP_TO_AVX), "d"(0) : "memory");
        if (cpu->xcr0 & XCR0_AVX512)
            save_high(cpu);
        *fpu_u64(cpu, FPU_XSTATE_BV) = XCR0_UP_TO_AVX;
    } else {
        __asm__ volatile("fxsave64 (%0)" ::"r"(cpu->fpu) : "memory");
    }
    *fpu_u16(cpu, FPU_FOP) = 0;
    *fpu_u64(cpu, FPU_FIP) = 0;
    *fpu_u64(cpu, FPU_FDP) = 0;
    *fpu_u32(cpu, FPU_MXCSR_MASK) = MXCSR_WRITABLE; /* not the host's extra bits */
}

void fpu_save(struct cpu *cpu)
{
    const uint32_t host_mxcsr = MXCSR_DEFAULT;

    store_image(cpu);
    if (uses_xsave(cpu))
        __asm__ volatile("vzeroupper");
    __asm__ volatile("fninit\n\tldmxcsr %0" ::"m"(host_mxcsr));
    cpu->fpu_live = false;
}

void fpu_peek(struct cpu *cpu)
{
    if (cpu->fpu_live)
        store_image(cpu);
}

void fpu_load(struct cpu *cpu)
{
    *fpu_u32(cpu, FPU_MXCSR) &= MXCSR_WRITABLE; /* the host would fault on others */
    if (uses_xsave(cpu)) {
        *fpu_u64(cpu, FPU_XSTATE_BV) = XCR0_UP_TO_AVX;
        *fpu_u64(cpu, FPU_XCOMP_BV) = 0;
        if (cpu->xcr0 & XCR0_AVX512)
            load_high(cpu);
        __asm__ volatile("xrstor64 (%0)" ::"r"(cpu->fpu), "a"(XCR0_UP_TO_AVX), "d"(0) : "memory");
    } else {
        if (__builtin_cpu_supports("avx"))
            __asm__ volatile("vzeroupper");
        __asm__ volatile("fxrstor64 (%0)" ::"r"(cpu->fpu) : "memory");
    }
    cpu->fpu_live = true;
}

void fpu_reset(struct cpu *cpu)
{
    cpu->fpu_live = false;
    native_zero(cpu->fpu, FPU_AREA_SIZE);
    *fpu_u16(cpu, FPU_FCW) = FCW_RESET;
    cpu->fpu[FPU_FTW] = 0xff; /* tag word 5555h: eight zeros */
    *fpu_u32(cpu, FPU_MXCSR) = MXCSR_DEFAULT;
    *fpu_u32(cpu, FPU_MXCSR_MASK) = MXCSR_WRITABLE;
    *fpu_u64(cpu, FPU_XSTATE_BV) = XCR0_UP_TO_AVX;
    *fpu_u64(cpu, FPU_HIGH + FPU_XCOMP_BV) = XCOMP_COMPACTED | XCR0_AVX512;
}

uint16_t fpu_status_word(const struct cpu *cpu)
{
    uint16_t status;

    if (!cpu->fpu_live)
        return *(const uint16_t *)(const void *)(cpu->fpu + FPU_FSW);
    __asm__ volatile("fnstsw %0" : "=a"(status));
    return status;
}

uint32_t fpu_mxcsr(const struct cpu *cpu)
{
    uint32_t mxcsr;

    if (!cpu->fpu_live)
        return *(const uint32_t *)(const void *)(cpu->fpu + FPU_MXCSR);
    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
    return mxcsr;
}

void fpu_set_mxcsr(struct cpu *cpu, uint32_t mxcsr)
{
    if (cpu->fpu_live)
        __asm__ volatile("ldmxcsr %0" ::"m"(mxcsr));
    else
        *fpu_u32(cpu, FPU_MXCSR) = mxcsr;
}

bool fpu_pending_error(struct cpu *cpu, const struct insn *in)
{
    if (cpu->cr0 & CR0_NE)
        return fault_mf(cpu);
    fpu_leave(cpu);
    if (cpu->ops && cpu->ops->ferr)
        cpu->ops->ferr(cpu->ops_ctx);
    cpu->rip = (cpu->rip - in->length) & width_mask(in->code_size);
    cpu->code_written = true; /* run loops: do not go on with the next decoded instruction */
    return true;
}
