/*
 * cpu/run_simd.c -- handlers of MMX, SSE and AVX instructions: run natively, see cpu/thunk.h.
 */
#include "cpu/fpu.h"
#include "cpu/native.h"
#include "cpu/operand.h"
#include "cpu/run.h"
#include "cpu/thunk.h"

/* By words, which is what alignment checks are about. */
static bool probe_words(struct cpu *cpu, enum seg seg, uint64_t offset, unsigned size_bytes,
                        bool check_only)
{
    unsigned at = 0;

    while (at < size_bytes) {
        unsigned step = 8;

        while (step > size_bytes - at)
            step /= 2;
        if (check_only ? !access_check_write(cpu, seg, offset + at, step)
                       : !access_probe_write(cpu, seg, offset + at, step))
            return false;
        at += step;
    }
    return true;
}

/* Are both pages that the bytes may lie on in the TLB, for stores?  Then no check can fail. */
static bool probe_hits(struct cpu *cpu, enum seg seg, uint64_t offset, unsigned size_bytes)
{
    const enum tlb_view view = mmu_view(cpu);
    linaddr_t first, last;

    if (!access_segment_quick(cpu, seg, offset, size_bytes, cpu->seg[seg].write_end, &first))
        return false;
    last = first + size_bytes - 1;
    return size_bytes <= PAGE_SIZE &&
           access_tlb_entry(cpu, view, first)->tag_write == (first & PAGE_MASK) &&
           access_tlb_entry(cpu, view, last)->tag_write == (last & PAGE_MASK);
}

bool native_probe_write(struct cpu *cpu, enum seg seg, uint64_t offset, unsigned size_bytes)
{
    /* Wherever the segment begins, it may cross a page. */
    const uint64_t first = cpu->seg[seg].base + offset, last = first + size_bytes - 1;
    const bool crosses = ((first ^ last) | (offset ^ (offset + size_bytes - 1))) & PAGE_MASK;

    return probe_hits(cpu, seg, offset, size_bytes) ||
           ((!crosses || probe_words(cpu, seg, offset, size_bytes, true)) &&
            probe_words(cpu, seg, offset, size_bytes, false));
}

/* Index of the memory operand that has contents, or -1. */
static int memory_operand(const struct insn *in)
{
    for (int i = 0; in->has_mem && i < INSN_OPERANDS; i++)
        if (in->ops[i].kind == OPERAND_MEM)
            return in->ops[i].size ? i : -1;
    return -1;
}

static bool is_read(const struct insn *in, int i)
{
    return i > 0 || !(insn_row(in)->traits & WRITE0);
}
static bool is_written(const struct insn *in, int i)
{
    const uint32_t traits = insn_row(in)->traits;

    return i == 0 ? !(traits & READ0) : i == 1 && traits & WRITE1;
}

linaddr_t native_linear(const struct cpu *cpu, const struct insn *in, uint64_t offset)
{
    const bool has_base = !cpu_is_code64(cpu) || in->seg == FS || in->seg == GS;

    return offset + (has_base ? cpu->seg[in->seg].base : 0);
}

bool native_run(struct cpu *cpu, const struct insn *in)
{
    const int i = memory_operand(in);
    uint64_t offset;
    linaddr_t linear;
    unsigned size;
    uint8_t *scratch;
    bool write;

    if (i < 0)
        return thunk_run(cpu, in);
    offset = operand_offset(cpu, in);
    size = in->ops[i].size;
    write = is_written(in, i);
    if (in->lane_bytes)
        return native_run_masked(cpu, in, (unsigned)i, write);
    linear = native_linear(cpu, in, offset);
    scratch = thunk_scratch(cpu, linear);
    if (!scratch || size > THUNK_SCRATCH_SIZE)
        return fault_ud(cpu);
    /* Legacy SSE operands of 16 bytes, whatever CR0.AM says; before any other fault of the
     * access. [SDM 3A 6.15 "#GP"] */
    if (insn_row(in)->traits & ALIGNED && linear & (size - 1))
        return fault_gp(cpu, 0);
    if (write && !native_probe_write(cpu, in->seg, offset, size))
        return false;
    /* An x87 store with an unmasked exception leaves memory as it is, and one under a mask leaves
     * some of it: then so must the copy. */
    if ((is_read(in, i) || insn_row(in)->traits & X87 || in->mask) &&
        !access_read_block(cpu, in->seg, offset, size, scratch))
        return false;
    if (!thunk_run(cpu, in))
        return false;
    return !write || access_write_block(cpu, in->seg, offset, size, scratch);
}

/* CVTPI2PS from memory may not be an x87 instruction at all: the host decides. */
static bool checks_x87_errors(const struct insn *in)
{
    if (!(insn_row(in)->traits & MMX))
        return false;
    return !(in->has_mem && insn_row(in)->map == M1 && in->opcode == 0x2a);
}

bool run_simd(struct cpu *cpu, const struct insn *in)
{
    if (checks_x87_errors(in) && fpu_status_word(cpu) & FSW_ES)
        return fpu_pending_error(cpu, in);
    return native_run(cpu, in);
}

/* VZEROUPPER, VZEROALL: outside 64-bit mode there are eight registers. [SDM 2C "VZEROALL"] */
bool run_vzero(struct cpu *cpu, const struct insn *in)
{
    const unsigned bytes = cpu_is_code64(cpu) ? 256 : 128;

    fpu_leave(cpu);
    native_zero(cpu->fpu + FPU_YMM, bytes);
    native_zero(cpu->fpu + FPU_ZMM_HIGH, 2 * bytes);
    fpu_settle_high(cpu);
    if (in->vex_l)
        native_zero(cpu->fpu + FPU_XMM, bytes);
    return true;
}

/* LDMXCSR, VLDMXCSR */
bool run_ldmxcsr(struct cpu *cpu, const struct insn *in)
{
    uint64_t value;

    if (!operand_read(cpu, in, 0, &value))
        return false;
    if (value & ~(uint64_t)MXCSR_WRITABLE)
        return fault_gp(cpu, 0);
    fpu_set_mxcsr(cpu, (uint32_t)value);
    return true;
}

bool run_stmxcsr(struct cpu *cpu, const struct insn *in)
{
    return operand_write(cpu, in, 0, fpu_mxcsr(cpu));
}
