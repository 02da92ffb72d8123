/*
 * cpu/interp.c -- the reference interpreter: choice of handlers, fetch, step, run loop.
 *
 * Ordinary code runs from decoded blocks (cpu/icache.h); one instruction at a time, uncached, runs
 * what needs a look at every boundary: TF, RF, breakpoints, the interrupt shadow, instructions
 * across a page or near the CS limit, and code outside RAM.
 */
#include "cpu/interp.h"

#include "cpu/access.h"
#include "cpu/cpuid.h"
#include "cpu/debug.h"
#include "cpu/debugger.h"
#include "cpu/exception.h"
#include "cpu/fpu.h"
#include "cpu/icache.h"
#include "cpu/physmem.h"
#include "cpu/run.h"

#define INSN(map, op, pp, ext, mnem, op0, op1, op2, op3, reads, writes, traits, feature, run, \
             rewrite)                                                                         \
    run_##run,
const insn_run_fn insn_run_table[] = {
#include "cpu/insn.def"
};
#undef INSN

/* ---- handlers that raise what the mode demands ---- */

static bool raise_gp(struct cpu *cpu, const struct insn *in)
{
    (void)in;
    return fault_gp(cpu, 0);
}
static bool raise_nm(struct cpu *cpu, const struct insn *in)
{
    (void)in;
    return fault_nm(cpu);
}
/* MMX: #UD by CR0.EM before #NM by CR0.TS. [SDM 3A 12.1] */
static bool raise_mmx(struct cpu *cpu, const struct insn *in)
{
    (void)in;
    return cpu->cr0 & CR0_EM ? fault_ud(cpu) : fault_nm(cpu);
}
/* SSE: #UD by CR0.EM or no CR4.OSFXSR before #NM by CR0.TS. [SDM 3A 13.1.3] */
static bool raise_sse(struct cpu *cpu, const struct insn *in)
{
    (void)in;
    if (cpu->cr0 & CR0_EM || !(cpu->cr4 & CR4_OSFXSR))
        return fault_ud(cpu);
    return fault_nm(cpu);
}
/* AVX: #UD unless CR4.OSXSAVE and XCR0 enable SSE and AVX state; then #NM by CR0.TS.
 * [SDM 2A 2.4] */
static bool raise_avx(struct cpu *cpu, const struct insn *in)
{
    (void)in;
    if (!(cpu->cr4 & CR4_OSXSAVE) || (cpu->xcr0 & 6) != 6)
        return fault_ud(cpu);
    return fault_nm(cpu);
}

/* EVEX and opmask instructions want all of XCR0's components 1, 2, 5, 6, 7. [SDM 2A 2.7.11] */
static bool raise_avx512(struct cpu *cpu, const struct insn *in)
{
    (void)in;
    if (!(cpu->cr4 & CR4_OSXSAVE) || (~cpu->xcr0 & (XCR0_AVX512 | XCR0_SSE | XCR0_AVX)))
        return fault_ud(cpu);
    return fault_nm(cpu);
}

/* What a form does on a processor without its feature: some are older instructions behind a prefix
 * that those ignore, and guests count on it; PREFETCHW does nothing on all that have 64-bit mode.
 * [SDM 2B "TZCNT", "PREFETCHW", 2A "LZCNT"] */
static insn_run_fn older_handler(const struct cpu *cpu, const struct insn *in)
{
    const insn_run_fn run = insn_run_table[in->row];

    if (run == run_prefetch && cpu->model->long_mode)
        return run;
    return run == run_tzcnt ? run_bsf : run == run_lzcnt ? run_bsr : run_ud;
}

insn_run_fn interp_handler(const struct cpu *cpu, const struct insn *in)
{
    const struct insn_row *const row = insn_row(in);
    const uint32_t mode = cpu->mode;

    if (row->feature != BASE && !cpu->model->has[row->feature])
        return older_handler(cpu, in);
    if (row->traits & (NO64 | ONLY64)) {
        const bool code64 = mode_is_code64(mode);

        if (row->traits & (code64 ? NO64 : ONLY64))
            return run_ud;
    }
    if ((row->traits & PROTECTED || in->prefixes & PREFIX_VEX) && !(mode & MODE_PROTECTED))
        return run_ud;
    if (row->traits & CPL0 && !(mode & MODE_CPL0))
        return raise_gp;
    if (row->traits & AVX512) {
        if (in->evex & EVEX_SHORT && !cpu->model->has[AVX512VL])
            return run_ud;
        if (mode & MODE_NO_AVX512)
            return raise_avx512;
    } else if (row->traits & AVX) {
        if (mode & MODE_NO_AVX)
            return raise_avx;
    } else if (row->traits & SSE) {
        if (mode & MODE_NO_SSE)
            return raise_sse;
    } else if (row->traits & MMX) {
        if (mode & MODE_NO_FPU)
            return raise_mmx;
    } else if (row->traits & X87) {
        if (mode & MODE_NO_FPU)
            return raise_nm;
    }
    return insn_run_table[in->row];
}

/* ---- fetch ---- */

static enum code_size interp_code_size(const struct cpu *cpu)
{
    static const enum code_size sizes[4] = {CODE16, CODE32, CODE64, CODE64};

    return sizes[cpu->mode & MODE_CODE_MASK];
}

static linaddr_t interp_linear(const struct cpu *cpu, uint64_t offset)
{
    return cpu_is_code64(cpu) ? offset : (uint32_t)(cpu->seg[CS].base + offset);
}

/* Append code bytes from `linear`, at most to the end of its page and to `want` in all. */
FAULT_CHECK static bool fetch_bytes(struct cpu *cpu, linaddr_t linear, uint8_t *bytes,
                                    unsigned *have, unsigned want)
{
    const unsigned room = PAGE_SIZE - (unsigned)(linear & ~PAGE_MASK);
    const unsigned count = want - *have < room ? want - *have : room;
    physaddr_t phys;
    uint8_t *host;

    if (cpu_is_code64(cpu) && !run_is_canonical(cpu, linear))
        return fault_gp(cpu, 0);
    if (!mmu_fill(cpu, linear, ACCESS_EXEC, mmu_view(cpu), &host, &phys))
        return false;
    if (host == NULL)
        fpu_leave(cpu);
    for (unsigned i = 0; i < count; i++)
        bytes[(*have)++] = host ? host[i] : (uint8_t)physmem_read(cpu->mem, phys + i, 1);
    return true;
}

/* Where the bytes at CS:rip are in host memory: INSN_MAX_LENGTH of them, in the segment and in one
 * page that has been fetched from.  NULL: look closer. */
static const uint8_t *fetch_host(const struct cpu *cpu)
{
    const linaddr_t linear = interp_linear(cpu, cpu->rip);
    const unsigned index = linear >> PAGE_SHIFT & (TLB_SIZE - 1);
    const struct tlb_entry *const entry = &cpu->tlb.entries[mmu_view(cpu)][index];

    if (entry->tag_exec != (linear & PAGE_MASK) ||
        (linear & ~PAGE_MASK) > PAGE_SIZE - INSN_MAX_LENGTH)
        return NULL;
    if (!cpu_is_code64(cpu) && cpu->rip + (INSN_MAX_LENGTH - 1) > cpu->seg[CS].limit)
        return NULL;
    return (const uint8_t *)(linear + entry->addend);
}

FAULT_CHECK static bool fetched(struct cpu *cpu, enum decode_status status)
{
    switch (status) {
    case DECODE_OK:
        return true;
    case DECODE_INVALID:
        return fault_ud(cpu);
    default: /* beyond the CS limit, or more than 15 bytes */
        return fault_gp(cpu, 0);
    }
}

bool interp_fetch(struct cpu *cpu, struct insn *in)
{
    const enum code_size code_size = interp_code_size(cpu);
    const uint8_t *const host = fetch_host(cpu);
    uint8_t bytes[INSN_MAX_LENGTH];
    unsigned have = 0, want = INSN_MAX_LENGTH;
    enum decode_status status;

    if (host != NULL)
        return fetched(cpu, decode(host, INSN_MAX_LENGTH, code_size, in));
    if (code_size != CODE64) {
        const uint64_t limit = cpu->seg[CS].limit;

        if (cpu->rip > limit)
            return fault_gp(cpu, 0);
        if (limit - cpu->rip < want)
            want = (unsigned)(limit - cpu->rip) + 1;
    }
    if (!fetch_bytes(cpu, interp_linear(cpu, cpu->rip), bytes, &have, want))
        return false;
    status = decode(bytes, have, code_size, in);
    if (status == DECODE_TRUNCATED && have < want) {
        if (!fetch_bytes(cpu, interp_linear(cpu, cpu->rip + have), bytes, &have, want))
            return false;
        status = decode(bytes, have, code_size, in);
    }
    return fetched(cpu, status);
}

/* ---- one instruction ---- */

/* INT n, INT3, INTO, INT1 that went through the IDT: TF was cleared on the way, no single step
 * is left. [SDM 3B 18.3.1.4]  SYSCALL and SYSRET take their own, if any. */
static bool interp_has_stepped(const struct cpu *cpu, const struct insn *in, uint64_t start)
{
    const insn_run_fn run = insn_run_table[in->row];

    if (run == run_syscall || run == run_sysret)
        return true;
    return (run == run_int || run == run_int3 || run == run_int1 || run == run_into) &&
           cpu->rip != start + in->length;
}

bool interp_execute(struct cpu *cpu, const struct insn *in, insn_run_fn run)
{
    const uint64_t start = cpu->rip;
    const bool stepping = cpu->rflags & FLAG_TF;

    cpu->rip = start + in->length;
    if (in->code_size != CODE64)
        cpu->rip = (uint32_t)cpu->rip;
    cpu->shadow = 0;
    cpu->rflags &= ~(uint64_t)FLAG_RF;
    if (!run(cpu, in)) {
        cpu->rip = start;
        cpu->dr6_pending = 0;
        exception_deliver(cpu);
        return false;
    }
    cpu->icount++;
    if (__builtin_expect(stepping || cpu->dr6_pending, 0)) {
        if (!debug_check_retired(cpu, stepping && !interp_has_stepped(cpu, in, start))) {
            exception_deliver(cpu);
            return false;
        }
    }
    return true;
}

bool interp_step(struct cpu *cpu)
{
    struct insn in;

    if ((debug_breakpoints(cpu) && !debug_check_fetch(cpu)) || !interp_fetch(cpu, &in)) {
        cpu->shadow = 0;
        exception_deliver(cpu);
        return false;
    }
    return interp_execute(cpu, &in, interp_handler(cpu, &in));
}

/* ---- the run loop ---- */

/* The block at CS:rip, decoded if need be.  NULL: step instead. */
static inline struct icache_block *interp_block(struct cpu *cpu)
{
    const linaddr_t linear = interp_linear(cpu, cpu->rip);
    const enum tlb_view view = mmu_view(cpu);
    const unsigned index = linear >> PAGE_SHIFT & (TLB_SIZE - 1);
    const struct tlb_entry *const entry = &cpu->tlb.entries[view][index];
    struct icache_block *block;
    physaddr_t phys;

    if (entry->tag_exec != (linear & PAGE_MASK))
        return NULL; /* the step fills the TLB or faults */
    phys = cpu->tlb.phys[view][index] | (linear & ~PAGE_MASK);
    block = icache_find(cpu->icache, phys, cpu->mode);
    if (block == NULL) {
        fpu_leave(cpu); /* it may allocate memory */
        block = icache_build(cpu->icache, phys, (const uint8_t *)(linear + entry->addend));
        if (block == NULL)
            return NULL;
    }
    /* The last instruction must end inside the segment, and before rip would wrap. */
    if (!cpu_is_code64(cpu) &&
        (cpu->rip + block->bytes - 1 > cpu->seg[CS].limit || cpu->rip + block->bytes > UINT32_MAX))
        return NULL;
    return block;
}

/* Is there a debugger's breakpoint behind the first byte of the block? */
static inline bool interp_breaks_inside(const struct cpu *cpu, const struct icache_block *block)
{
    return __builtin_expect(cpu->debugger != NULL, 0) && block->bytes > 1 &&
           debugger_breaks_in(cpu->debugger, debugger_pc(cpu) + 1, block->bytes - 1u);
}

/* Run a block, at most `budget` (> 0) instructions of it; up to a fault or a store to code. */
static inline void interp_run_block(struct cpu *cpu, const struct icache_block *block,
                                    uint64_t budget)
{
    const uint64_t start = cpu->rip;
    const struct icache_op *op = block->ops;
    const struct icache_op *const end = op + (block->count < budget ? block->count : budget);

    cpu->code_written = false;
    do {
        cpu->rip = start + op->next;
        if (__builtin_expect(!op->run(cpu, &op->in), 0)) {
            cpu->rip = start + op->next - op->in.length;
            exception_deliver(cpu);
            return;
        }
        cpu->icount++;
        op++;
    } while (op != end && !cpu->code_written);
}

/* Something is asserted; cpu_has_event() decides whether it may be taken now. */
static inline bool interp_may_have_event(const struct cpu *cpu)
{
    return cpu->intr | cpu->nmi_pending | cpu->init_pending | cpu->smi_pending;
}

/* Every boundary needs a look: see the file's head. */
static inline bool interp_must_step(const struct cpu *cpu)
{
    return (cpu->rflags & (FLAG_TF | FLAG_RF)) | (cpu->dr[7] & 0xff) | cpu->shadow |
           cpu->dr6_pending;
}

static enum run_exit interp_loop(struct cpu *cpu, uint64_t max_insns)
{
    const uint64_t start = cpu->icount;

    for (;;) {
        const uint64_t retired = cpu->icount - start;
        const struct icache_block *block;

        if (cpu->shutdown)
            return RUN_SHUTDOWN;
        if (__atomic_load_n(&cpu->exit_request, __ATOMIC_RELAXED))
            return RUN_EXIT;
        if (retired >= max_insns)
            return RUN_BUDGET;
        if (interp_may_have_event(cpu) && cpu_has_event(cpu)) {
            cpu_service_event(cpu);
            continue;
        }
        if (cpu->halted || cpu->waiting_sipi)
            return RUN_HALTED;
        if (__builtin_expect(cpu->debugger != NULL, 0) && debugger_stops(cpu))
            continue; /* kicked */
        if (interp_must_step(cpu) || cpu->icache == NULL || !(block = interp_block(cpu)) ||
            interp_breaks_inside(cpu, block))
            interp_step(cpu);
        else
            interp_run_block(cpu, block, max_insns - retired);
    }
}

/*
 * From the first x87 or SSE instruction on, that state stays in the host's registers, as under the
 * translator: exchanging it for each one cost a third of the time of programs that use it.
 */
enum run_exit interp_run(struct cpu *cpu, uint64_t max_insns)
{
    enum run_exit result;

    if (cpu->icache == NULL)
        cpu->icache = icache_create(cpu);
#ifndef RINGER_SANITIZED /* whose checks in C code may use vector registers */
    cpu->fpu_stays = true;
#endif
    result = interp_loop(cpu, max_insns);
    cpu->fpu_stays = false;
    fpu_leave(cpu);
    return result;
}
