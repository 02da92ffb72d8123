/*
 * cpu/cpu.c -- a virtual CPU's life: creation, RESET and INIT, its mode word, its pins, and the
 * events that it services between instructions.
 * Sources: [SDM 3A 9.1 "Initialization Overview"], [SDM 3A 6.9 "Prioritization of Concurrent
 * Events"].
 */
#define _GNU_SOURCE
#include "cpu/cpu.h"

#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cpu/cpuid.h"
#include "cpu/debugger.h"
#include "cpu/exception.h"
#include "cpu/fpu.h"
#include "cpu/icache.h"
#include "cpu/mmu.h"
#include "cpu/msr.h"
#include "cpu/physmem.h"
#include "cpu/segment.h"
#include "cpu/thunk.h"

enum {
    DATA_RW_ACCESSED = SEG_P | SEG_S | SEG_WRITE | SEG_ACCESSED,
    SYSTEM_LDT = SEG_P | 2,
    SYSTEM_TSS32_BUSY = SEG_P | 11,
    RESET_LIMIT = 0xffff,
};
#define DR6_RESET 0xffff0ff0u
#define DR7_RESET 0x400u

/* ---- life ---- */

static void on_code_mark(void *ctx, physaddr_t page)
{
    struct tlb *tlb = ctx;

    mmu_drop_write_tags((struct cpu *)((char *)tlb - offsetof(struct cpu, tlb)), page);
}

static void on_map_change(void *ctx, physaddr_t gpa, uint64_t size)
{
    struct tlb *tlb = ctx;

    (void)gpa;
    (void)size;
    mmu_flush_all((struct cpu *)((char *)tlb - offsetof(struct cpu, tlb)));
}

struct cpu *cpu_map(int fd)
{
    const size_t reserved = sizeof(struct cpu) + CPU_RESERVED_AREA;
    void *at = mmap(NULL, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (at == MAP_FAILED)
        return MAP_FAILED;
    if (mmap(at, sizeof(struct cpu), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | MAP_FIXED,
             fd, 0) == MAP_FAILED) {
        munmap(at, reserved);
        return MAP_FAILED;
    }
    return at;
}

void cpu_unmap(struct cpu *mapped)
{
    munmap(mapped, sizeof(struct cpu) + CPU_RESERVED_AREA);
}

struct cpu *cpu_create(struct physmem *mem, const struct cpu_model *model,
                       const struct cpu_ops *ops, void *ops_ctx)
{
    /* Page-aligned and zero; most of it (generated code's tables) is touched only when used. */
    const int fd = memfd_create("ringer-cpu", MFD_CLOEXEC);
    struct cpu *cpu = MAP_FAILED;

    if (fd >= 0 && ftruncate(fd, sizeof *cpu) == 0)
        cpu = cpu_map(fd);
    if (cpu == MAP_FAILED) {
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    cpu->backing_fd = fd;
    cpu->tsc_due = CPU_TSC_NEVER;
    cpu->mem = mem;
    cpu->model = model;
    cpu->ops = ops;
    cpu->ops_ctx = ops_ctx;
    for (unsigned view = 0; view < TLB_VIEWS; view++)
        for (unsigned i = 0; i < TLB_SIZE; i++)
            cpu->tlb.entries[view][i] =
                (struct tlb_entry){TLB_INVALID, TLB_INVALID, TLB_INVALID, 0};
    /* The TLB's address tells these listeners from others that a cache adds for the same CPU. */
    if (physmem_add_code_listener(mem, NULL, on_code_mark, &cpu->tlb) != 0 ||
        physmem_add_map_listener(mem, on_map_change, &cpu->tlb) != 0) {
        cpu_destroy(cpu);
        return NULL;
    }
    cpu_reset(cpu);
    cpu->icache = icache_create(cpu); /* NULL: the interpreter runs uncached */
    return cpu;
}

void cpu_destroy(struct cpu *cpu)
{
    if (cpu == NULL)
        return;
    if (cpu->icache != NULL)
        icache_destroy(cpu->icache);
    physmem_remove_code_listener(cpu->mem, &cpu->tlb);
    physmem_remove_map_listener(cpu->mem, &cpu->tlb);
    thunk_destroy(cpu->thunks);
    close(cpu->backing_fd);
    cpu_unmap(cpu);
}

/* What RESET and INIT have in common: [SDM 3A table 9-1], columns "RESET" and "INIT". */
static void reset_common(struct cpu *cpu)
{
    static const struct segment data = {.limit = RESET_LIMIT, .attr = DATA_RW_ACCESSED};

    for (unsigned i = 0; i < 16; i++)
        cpu->gpr[i] = 0;
    cpu->gpr[RDX] = cpu->model->signature;
    cpu->rip = 0xfff0;
    cpu->rflags = 2;
    for (unsigned i = 0; i < SEG_COUNT; i++)
        cpu->seg[i] = data;
    cpu->seg[CS].selector = 0xf000;
    cpu->seg[CS].base = 0xffff0000;
    for (unsigned i = 0; i < SEG_COUNT; i++)
        segment_update_cache(&cpu->seg[i]);
    cpu->ldtr = (struct segment){.limit = RESET_LIMIT, .attr = SYSTEM_LDT};
    cpu->tr = (struct segment){.limit = RESET_LIMIT, .attr = SYSTEM_TSS32_BUSY};
    cpu->gdtr = cpu->idtr = (struct dtable){.base = 0, .limit = RESET_LIMIT};
    segment_forget(cpu);
    cpu->cr2 = cpu->cr3 = cpu->cr4 = cpu->efer = 0;
    for (unsigned i = 0; i < 8; i++)
        cpu->dr[i] = 0;
    cpu->dr[6] = DR6_RESET;
    cpu->dr[7] = DR7_RESET;
    cpu->cpl = 0;
    cpu->shadow = 0;
    cpu->halted = false;
    cpu->nmi_pending = cpu->nmi_blocked = cpu->init_pending = cpu->smi_pending = false;
    cpu->double_faulting = cpu->shutdown = false;
    cpu->dr6_pending = 0;
    cpu->fault = (struct cpu_fault){0};
    for (unsigned i = 0; i < 4; i++)
        cpu->pdpte[i] = 0;
    cpu_update_breakpoints(cpu);
    mmu_flush_all(cpu);
}

void cpu_reset(struct cpu *cpu)
{
    fpu_leave(cpu);
    cpu->cr0 = CR0_CD | CR0_NW | CR0_ET;
    cpu->a20 = true;
    cpu->intr = false;
    cpu->waiting_sipi = false;
    cpu->xcr0 = 1;
    msr_reset(cpu);
    fpu_reset(cpu);
    reset_common(cpu);
    cpu_update_mode(cpu);
}

/* INIT keeps the x87/SSE state, MTRRs, MSRs and the TSC. [SDM 3A table 9-1 notes] */
static void service_init(struct cpu *cpu)
{
    cpu->cr0 = (cpu->cr0 & (CR0_CD | CR0_NW)) | CR0_ET;
    reset_common(cpu);
    /* A processor that is not the bootstrap one waits for a start-up message. [SDM 3A 8.4] */
    cpu->waiting_sipi = !(cpu->apic_base & APIC_BASE_BSP);
    cpu_update_mode(cpu);
}

/* ---- the mode word ---- */

static uint32_t mode_of_segments(const struct cpu *cpu)
{
    const struct segment *cs = &cpu->seg[CS];
    uint32_t mode = 0;

    if (cpu->efer & EFER_LMA && cs->attr & SEG_L)
        return MODE_CODE64 | MODE_STACK32 | MODE_CS_FLAT | MODE_FLAT;
    if (cs->attr & SEG_DB)
        mode |= MODE_CODE32;
    if (cpu->seg[SS].attr & SEG_DB)
        mode |= MODE_STACK32;
    if (cs->base == 0 && cs->limit == 0xffffffff && cs->attr & SEG_P) {
        mode |= MODE_CS_FLAT;
        /* CS itself need only be readable: nothing flat may depend on an execute-only one. */
        if (cs->read_end == 1ull << 32 && segment_is_flat_data(&cpu->seg[SS]) &&
            segment_is_flat_data(&cpu->seg[DS]) && segment_is_flat_data(&cpu->seg[ES]))
            mode |= MODE_FLAT;
    }
    return mode;
}

static uint32_t mode_of_fpu(const struct cpu *cpu)
{
    uint32_t mode = 0;

    if (cpu->cr0 & (CR0_EM | CR0_TS))
        mode |= MODE_NO_FPU | MODE_NO_SSE;
    if (!(cpu->cr4 & CR4_OSFXSR))
        mode |= MODE_NO_SSE;
    if (cpu->cr0 & CR0_TS || !(cpu->cr4 & CR4_OSXSAVE) || (cpu->xcr0 & 6) != 6)
        mode |= MODE_NO_AVX;
    if (mode & MODE_NO_AVX || ~cpu->xcr0 & XCR0_AVX512)
        mode |= MODE_NO_AVX512;
    return mode;
}

void cpu_update_mode(struct cpu *cpu)
{
    uint32_t mode = mode_of_segments(cpu) | mode_of_fpu(cpu);
    bool align_check = false;

    if (cpu->cr0 & CR0_PE) {
        if (cpu->rflags & FLAG_VM)
            mode = (mode & ~(uint32_t)MODE_CODE_MASK) | MODE_V86;
        else
            mode |= MODE_PROTECTED;
    }
    if (cpu->cr0 & CR0_PG)
        mode |= MODE_PAGING;
    if (cpu->cpl == 0)
        mode |= MODE_CPL0;
    if (cpu->cpl <= cpu_iopl(cpu))
        mode |= MODE_IOPL_OK;
    if (cpu->cpl == 3) {
        mode |= MODE_USER;
        align_check = cpu->cr0 & CR0_AM && cpu->rflags & FLAG_AC;
    } else if (cpu->cr4 & CR4_SMAP && cpu->rflags & FLAG_AC) {
        mode |= MODE_SMAP_AC;
    }
    /* 16-bit and segmented code of the supervisor's is too rare. */
    if (cpu->cpl == 3 ? cpu->windowed & WINDOWED_USER
                      : (cpu->windowed & WINDOWED_SUPERVISOR) && (mode & MODE_PROTECTED) &&
                            (mode & MODE_FLAT))
        mode |= MODE_WINDOW;
    cpu->mode = mode;
    if (align_check != cpu->align_check) {
        cpu->align_check = align_check;
        if (align_check)
            mmu_drop_user_view(cpu);
    }
}

void cpu_update_breakpoints(struct cpu *cpu)
{
    uint8_t data = 0;

    for (unsigned i = 0; i < 4; i++) {
        const unsigned enabled = cpu->dr[7] >> (2 * i) & 3;
        const unsigned type = cpu->dr[7] >> (16 + 4 * i) & 3; /* 0 execute, 2 I/O */

        if (enabled && (type & 1))
            data |= (uint8_t)(1u << i);
    }
    if (cpu->debugger != NULL && cpu->debugger->watch_count != 0)
        data |= DEBUGGER_WATCHES;
    const bool changes = data != 0 || cpu->data_breakpoints != 0;

    /* A page is looked at again when it is filled, so forget all that were filled before. */
    cpu->data_breakpoints = data;
    if (changes)
        mmu_flush_all(cpu);
}

/* ---- time ---- */

uint64_t cpu_tsc(struct cpu *cpu)
{
    if (cpu->tsc_is_host) {
        const uint64_t host = __builtin_ia32_rdtsc();

        if ((int64_t)host >= cpu->tsc_due)
            cpu_kick(cpu);
        return host - cpu->tsc_host_start + cpu->tsc_offset;
    }
    fpu_leave(cpu);
    return cpu->ops->tsc(cpu->ops_ctx) + cpu->tsc_offset;
}

/* ---- pins ---- */

void cpu_kick(struct cpu *cpu)
{
    __atomic_store_n(&cpu->exit_request, 1, __ATOMIC_SEQ_CST);
    /* An instruction that raises its own interrupt (OUT to a chip) is the last of its block, in
     * the interpreter as well: the interrupt comes behind it, not at the block's end. */
    __atomic_store_n(&cpu->code_written, true, __ATOMIC_RELAXED);
    if (cpu->kick != NULL)
        cpu->kick(cpu);
}

void cpu_set_intr(struct cpu *cpu, bool level)
{
    const bool rises = level && !cpu->intr;

    cpu->intr = level;
    if (rises)
        cpu_kick(cpu);
}

void cpu_set_nmi(struct cpu *cpu)
{
    cpu->nmi_pending = true;
    cpu_kick(cpu);
}

/* The pin may move in the middle of an instruction (an OUT to a reset port): INIT waits for its
 * end. */
void cpu_init_pin(struct cpu *cpu)
{
    cpu->init_pending = true;
    cpu_kick(cpu);
}

void cpu_set_a20(struct cpu *cpu, bool enabled)
{
    if (cpu->a20 == enabled)
        return;
    cpu->a20 = enabled;
    mmu_flush_all(cpu);
    cpu_kick(cpu);
}

/* ---- events ---- */

/* MOV SS holds off NMI as well as INTR, STI only INTR. [SDM 3A 6.8.3, 2B "STI"] */
static bool nmi_ready(const struct cpu *cpu)
{
    return cpu->nmi_pending && !cpu->nmi_blocked && !(cpu->shadow & SHADOW_SS);
}

static bool intr_ready(const struct cpu *cpu)
{
    return cpu->intr && cpu->rflags & FLAG_IF && cpu->shadow == 0;
}

bool cpu_has_event(const struct cpu *cpu)
{
    if (cpu->init_pending)
        return true;
    return !cpu->waiting_sipi && (nmi_ready(cpu) || intr_ready(cpu));
}

/* System management interrupts are not delivered: no SMRAM is provided, so nobody can handle
 * one. */
void cpu_service_event(struct cpu *cpu)
{
    cpu->smi_pending = false;
    if (cpu->init_pending) {
        service_init(cpu);
        return;
    }
    if (cpu->waiting_sipi)
        return;
    if (nmi_ready(cpu)) {
        cpu->nmi_pending = false;
        cpu->nmi_blocked = true;
        cpu->halted = cpu->shutdown = false;
        cpu->shadow = 0;
        exception_interrupt(cpu, VEC_NMI, EVENT_EXTERNAL);
    } else if (intr_ready(cpu)) {
        int vector;

        fpu_leave(cpu);
        vector = cpu->ops->interrupt_acknowledge(cpu->ops_ctx);
        if (vector < 0)
            return; /* the request went away */
        cpu->halted = false;
        exception_interrupt(cpu, (uint8_t)vector, EVENT_EXTERNAL);
    }
}
