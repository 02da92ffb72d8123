/*
 * cpu/fpu.c -- see cpu/fpu.h.
 *
 * cpu->fpu is in the standard XSAVE format.  With AVX enabled in the guest's XCR0 the host's XSAVE
 * moves it, else the shorter FXSAVE; in both cases the header says that all components are in
 * use, which is always allowed ([SDM 1 13.6]).  None of these instructions waits for pending x87
 * exceptions, so a guest's unmasked error stays where it is.
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

void fpu_save(struct cpu *cpu)
{
    const uint32_t host_mxcsr = MXCSR_DEFAULT;

    if (uses_xsave(cpu)) {
        __asm__ volatile("xsave64 (%0)" ::"r"(cpu->fpu), "a"(XCR0_SUPPORTED), "d"(0) : "memory");
        __asm__ volatile("vzeroupper");
        *fpu_u64(cpu, FPU_XSTATE_BV) = XCR0_SUPPORTED;
    } else {
        __asm__ volatile("fxsave64 (%0)" ::"r"(cpu->fpu) : "memory");
    }
    *fpu_u16(cpu, FPU_FOP) = 0;
    *fpu_u64(cpu, FPU_FIP) = 0;
    *fpu_u64(cpu, FPU_FDP) = 0;
    *fpu_u32(cpu, FPU_MXCSR_MASK) = MXCSR_WRITABLE; /* not the host's extra bits */
    __asm__ volatile("fninit\n\tldmxcsr %0" ::"m"(host_mxcsr));
    cpu->fpu_live = false;
}

void fpu_load(struct cpu *cpu)
{
    *fpu_u32(cpu, FPU_MXCSR) &= MXCSR_WRITABLE; /* the host would fault on others */
    if (uses_xsave(cpu)) {
        *fpu_u64(cpu, FPU_XSTATE_BV) = XCR0_SUPPORTED;
        *fpu_u64(cpu, FPU_XCOMP_BV) = 0;
        __asm__ volatile("xrstor64 (%0)" ::"r"(cpu->fpu), "a"(XCR0_SUPPORTED), "d"(0) : "memory");
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
    *fpu_u64(cpu, FPU_XSTATE_BV) = XCR0_SUPPORTED;
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
