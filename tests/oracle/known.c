/*
 * tests/oracle/known.c -- what the host oracle does not compare, and why.
 */
#include <cpuid.h>
#include <string.h>

#include "cpu/fpu.h"
#include "cpu/run.h"
#include "tests/oracle/oracle.h"

static const struct {
    insn_run_fn run;
    const char *reason;
} skipped[] = {
    {run_cpuid, "the model answers, not the host"},
    {run_rdtsc, "time"},
    {run_rdtscp, "time"},
    {run_rdpmc, "CR4.PCE is the host kernel's choice"},
    {run_rdpid, "the value is the host kernel's"},
    {run_rdrand, "random"},
    {run_rdseed, "random"},
    {run_int, "enters the host's kernel"},
    {run_int3, "the harness's own end mark"},
    {run_into, "a trap whose handler is the host's kernel"},
    {run_int1, "a trap whose handler is the host's kernel"},
    {run_syscall, "enters the host's kernel"},
    {run_sysenter, "enters the host's kernel"},
    {run_sldt, "the host's kernel emulates it under UMIP"},
    {run_str, "the host's kernel emulates it under UMIP"},
    {run_sgdt, "the host's kernel emulates it under UMIP"},
    {run_sidt, "the host's kernel emulates it under UMIP"},
    {run_smsw, "the host's kernel emulates it under UMIP"},
    {run_rdfsbase, "FS is this process's thread pointer"},
    {run_wrfsbase, "FS is this process's thread pointer"},
    {run_rdgsbase, "the host kernel decides whether it may be used"},
    {run_wrgsbase, "the host kernel decides whether it may be used"},
};

/* Would load FS or GS, and with it this process's thread pointer. */
static bool loads_fs_gs(unsigned row)
{
    const struct insn_row *r = &insn_rows[row];
    const insn_run_fn run = insn_run_table[row];

    if (run == run_pop_seg)
        return r->map == M1;
    return run == run_lxs && r->map == M1 && strcmp(r->mnemonic, "lss") != 0;
}

const char *known_skip(unsigned row)
{
    for (unsigned i = 0; i < sizeof skipped / sizeof skipped[0]; i++)
        if (insn_run_table[row] == skipped[i].run)
            return skipped[i].reason;
    if (loads_fs_gs(row))
        return "FS is this process's thread pointer";
    return NULL;
}

/* AMD and Intel differ in 64-bit mode: AMD honours 66 on near branches and has no REX.W form of
 * far pointers in memory [AMD64 APM 3 "Near Branches in 64-Bit Mode", "JMP (Far)"].  The decoder
 * is Intel's. */
static bool vendors_differ(const struct test_case *t)
{
    const insn_run_fn run = insn_run_table[t->row];

    if (!__builtin_cpu_is("amd"))
        return false;
    /* SYSRET in legacy and compatibility mode: AMD's processors have it, Intel's do not. */
    if (t->mode != CODE64)
        return run == run_sysret;
    if (insn_row(&t->in)->traits & F64 && t->in.prefixes & PREFIX_66)
        return true;
    /* MOVSXD r16: AMD reads 32 bits, Intel 16. */
    if (!strcmp(insn_row(&t->in)->mnemonic, "movsxd") && t->in.prefixes & PREFIX_66)
        return true;
    return (run == run_jmp_far || run == run_call_far || run == run_lxs) && t->in.rex & 8;
}

/* MASKMOV in a read-only segment with nothing selected: processors differ. */
static bool stores_to_code(const struct test_case *t)
{
    return insn_run_table[t->row] == run_maskmov && t->in.seg == CS && t->mode != CODE64;
}

/* Elements that the mask does not select, beyond the segment's limit: AMD's family 1Ah checks the
 * limit for the whole operand, other processors for what is selected, which is what the manual
 * promises for all faults.  [SDM 2C "VMASKMOV"] */
static bool limits_whole_operand(const struct test_case *t)
{
    uint32_t eax, ebx, ecx, edx;

    if (insn_run_table[t->row] != run_vmaskmov || !t->based || !__builtin_cpu_is("amd") ||
        !__get_cpuid(1, &eax, &ebx, &ecx, &edx))
        return false;
    return (eax >> 8 & 15) + (eax >> 20 & 0xff) == 0x1a;
}

/* A hypervisor may hide what its processor has all the same, and does. */
static bool may_be_hidden(const struct test_case *t)
{
    uint32_t eax, ebx, ecx, edx;

    return insn_row(&t->in)->feature == MOVDIRI &&
           !(__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && ecx >> 27 & 1);
}

static bool is_xsave(insn_run_fn run)
{
    return run == run_xsave || run == run_xsaveopt || run == run_xsavec || run == run_xrstor;
}

/* The mask must name no component that the guest lacks, so it cannot be an address too. */
static bool mixes_mask_and_address(const struct test_case *t)
{
    const uint8_t base = t->in.base, index = t->in.index;

    return is_xsave(insn_run_table[t->row]) &&
           (base == RAX || base == RDX || index == RAX || index == RDX);
}

/* XGETBV tells the host's XCR0, which may have components (protection keys) that the guest lacks.
 */
static bool tells_host_xcr0(const struct test_case *t)
{
    uint32_t low, high;

    if (insn_run_table[t->row] != run_xgetbv)
        return false;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low != guest_xcr0() || high;
}

bool known_encoding_skipped(const struct test_case *t)
{
    return tells_host_xcr0(t) ||
           (insn_run_table[t->row] == run_mov_to_seg && t->in.ops[0].reg >= FS) ||
           vendors_differ(t) || stores_to_code(t) || mixes_mask_and_address(t) ||
           limits_whole_operand(t) || may_be_hidden(t);
}

/* A repeated INS or OUTS with a count of zero: AMD checks the I/O permission, Intel does not. */
bool known_state_skipped(const struct test_case *t)
{
    const insn_run_fn run = insn_run_table[t->row];

    return (run == run_ins || run == run_outs) &&
           !(t->state.gpr[RCX] & width_mask(t->in.addr_size));
}

struct known_differences known_differences(const struct test_case *t, const struct outcome *host)
{
    const insn_run_fn run = insn_run_table[t->row];
    const bool faulted = host->vector != NO_VECTOR;
    struct known_differences known = {0};

    if (!faulted)
        return known;
    /* The kernel does not tell whether its own pages are there. */
    if (host->cr2 >> 47)
        known.error |= 1;
    /* An operand of several accesses that crosses into a bad page: which of them reports? */
    if (run == run_maskmov || run == run_fxsave || run == run_fxrstor || is_xsave(run) ||
        run == run_fnstenv || run == run_fldenv || run == run_fnsave || run == run_frstor)
        known.cr2 = ~0ull;
    /* Flags of a faulting iteration: the manual promises neither. [SDM 2B "REP"] */
    if (insn_row(&t->in)->traits & REPCC && t->in.prefixes & (PREFIX_REP | PREFIX_REPNE))
        known.flags = FLAGS_OSZAPC;
    /* A far call may have pushed before it looks at the target. */
    known.memory = run == run_call_far;
    /* A gather that faults may have done part of its work; MASKMOVQ may have entered MMX mode. */
    known.fpu = run == run_gather || run == run_vgather || run == run_scatter || run == run_maskmov;
    known.memory |= run == run_scatter || is_xsave(run);
    return known;
}

/* Bytes of a stored image that differ by design: the x87 pointers (cpu/fpu.h) and MXCSR_MASK. */
void known_blank(const struct test_case *t, uint8_t *image, unsigned room)
{
    const insn_run_fn run = insn_run_table[t->row];
    unsigned begin, end;

    if (run == run_fnstenv || run == run_fnsave) {
        begin = t->in.width == 2 ? 6 : 12;
        end = t->in.width == 2 ? 14 : 26;
    } else if (run == run_fxsave || is_xsave(run)) {
        begin = FPU_FOP;
        end = FPU_MXCSR;
    } else {
        return;
    }
    if (end <= room)
        memset(image + begin, 0, end - begin);
    if ((run == run_fxsave || is_xsave(run)) && FPU_ST <= room)
        memset(image + FPU_MXCSR_MASK, 0, 4);
}
