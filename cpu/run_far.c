/*
 * cpu/run_far.c -- handlers: far transfers, software interrupts, fast system calls.
 *
 * Source: operation sections of CALL, JMP, RET, IRET, INT n, BOUND, SYSENTER, SYSEXIT, SYSCALL,
 * SYSRET in [SDM 2]; [SDM 3A 20.3.3] for INT n in v8086 mode; [APM 2 6.1] for SYSCALL outside
 * 64-bit mode.
 */
#include "cpu/cpuid.h"
#include "cpu/descriptor.h"
#include "cpu/exception.h"
#include "cpu/run.h"

/* ---- far JMP, CALL, RET, IRET ---- */

/* The target of 9A and EA (in the instruction) or FF /3 and /5 (in memory). */
static bool far_target(struct cpu *cpu, const struct insn *in, uint16_t *selector, uint64_t *offset)
{
    uint64_t at, value;

    if (in->ops[0].kind == OPERAND_FAR) {
        *selector = in->imm2;
        *offset = in->imm;
        return true;
    }
    at = operand_offset(cpu, in);
    if (!access_read(cpu, in->seg, at, in->width, offset) ||
        !access_read(cpu, in->seg, (at + in->width) & width_mask(in->addr_size), 2, &value))
        return false;
    *selector = (uint16_t)value;
    return true;
}

bool run_call_far(struct cpu *cpu, const struct insn *in)
{
    uint16_t selector;
    uint64_t offset;

    return far_target(cpu, in, &selector, &offset) &&
           far_transfer(cpu, FAR_CALL, selector, offset, in->width);
}

bool run_jmp_far(struct cpu *cpu, const struct insn *in)
{
    uint16_t selector;
    uint64_t offset;

    return far_target(cpu, in, &selector, &offset) &&
           far_transfer(cpu, FAR_JMP, selector, offset, in->width);
}

bool run_ret_far(struct cpu *cpu, const struct insn *in)
{
    return far_return(cpu, in->width, in->opcode == 0xca ? (uint16_t)in->imm : 0);
}

bool run_iret(struct cpu *cpu, const struct insn *in)
{
    return far_iret(cpu, in->width);
}

/* ---- software interrupts ---- */

enum { TSS_IO_BASE = 0x66, REDIRECTION_BYTES = 32 };

/* VME: does the redirection bitmap below the I/O bitmap leave this vector to the 8086 program? */
static bool int_is_redirected(struct cpu *cpu, uint8_t vector, bool *redirected)
{
    const struct segment *tr = &cpu->tr;
    uint64_t base, bits;
    uint32_t at;

    if (!(tr->attr & SEG_P) || !(tr->attr & 8) || tr->limit < TSS_IO_BASE + 1)
        return fault_gp(cpu, 0);
    if (!access_linear_read(cpu, linear_wrap(cpu, tr->base + TSS_IO_BASE), 2, VIEW_SUPERVISOR,
                            &base))
        return false;
    at = (uint32_t)base - REDIRECTION_BYTES + vector / 8u; /* below 32: huge, beyond the limit */
    if (at > tr->limit)
        return fault_gp(cpu, 0);
    if (!access_linear_read(cpu, linear_wrap(cpu, tr->base + at), 1, VIEW_SUPERVISOR, &bits))
        return false;
    *redirected = !(bits >> (vector & 7) & 1);
    return true;
}

/* INT n as an 8086 does it, through the table at linear 0; with IOPL < 3 the program sees VIF as
 * its IF and IOPL 3. [SDM 3A table 20-2, methods 5 and 6] */
static bool int_redirect(struct cpu *cpu, uint8_t vector)
{
    const bool virtual_if = cpu_iopl(cpu) < 3;
    uint64_t frame[] = {cpu->rflags, cpu->seg[CS].selector, cpu->rip};
    struct stack st;
    uint64_t target;

    if (!access_linear_read(cpu, vector * 4u, 4, mmu_view(cpu), &target))
        return false;
    if (virtual_if)
        frame[0] =
            (frame[0] & ~(uint64_t)FLAG_IF) | FLAG_IOPL | (cpu->rflags & FLAG_VIF ? FLAG_IF : 0);
    stack_current(cpu, 0, &st);
    if (!stack_write(cpu, &st, 2, frame, 3))
        return false;
    stack_set_pointer(cpu, &st);
    cpu->rflags &= ~(uint64_t)(FLAG_TF | (virtual_if ? FLAG_VIF : FLAG_IF));
    segment_load_real(cpu, CS, (uint16_t)(target >> 16));
    cpu->rip = target & 0xffff;
    cpu_update_mode(cpu);
    return true;
}

bool run_int(struct cpu *cpu, const struct insn *in)
{
    const uint8_t vector = (uint8_t)in->imm;
    bool redirected = false;

    if (cpu_is_v86(cpu)) {
        if (cpu->cr4 & CR4_VME && !int_is_redirected(cpu, vector, &redirected))
            return false;
        if (redirected)
            return int_redirect(cpu, vector);
        if (cpu_iopl(cpu) < 3)
            return fault_gp(cpu, 0);
    }
    return exception_interrupt(cpu, vector, EVENT_SOFTWARE);
}

bool run_int3(struct cpu *cpu, const struct insn *in)
{
    (void)in;
    return exception_interrupt(cpu, VEC_BP, EVENT_SOFTWARE);
}

bool run_int1(struct cpu *cpu, const struct insn *in)
{
    (void)in;
    return exception_interrupt(cpu, VEC_DB, EVENT_ICEBP);
}

bool run_into(struct cpu *cpu, const struct insn *in)
{
    (void)in;
    if (!(cpu->rflags & FLAG_OF))
        return true;
    return exception_interrupt(cpu, VEC_OF, EVENT_SOFTWARE);
}

bool run_bound(struct cpu *cpu, const struct insn *in)
{
    const uint64_t at = operand_offset(cpu, in);
    uint64_t index, lower, upper;

    if (!operand_read(cpu, in, 0, &index) || !access_read(cpu, in->seg, at, in->width, &lower) ||
        !access_read(cpu, in->seg, (at + in->width) & width_mask(in->addr_size), in->width, &upper))
        return false;
    if ((int64_t)sign_extend(index, in->width) < (int64_t)sign_extend(lower, in->width) ||
        (int64_t)sign_extend(index, in->width) > (int64_t)sign_extend(upper, in->width))
        return fault_set(cpu, VEC_BR, false, 0);
    return true;
}

/* ---- fast system calls ---- */

/* AMD's processors differ from Intel's in where these instructions exist. */
static bool is_amd(const struct cpu *cpu)
{
    static const char amd[] = "AuthenticAMD";

    for (unsigned i = 0; i < sizeof(amd) - 1; i++)
        if (cpu->model == NULL || cpu->model->vendor[i] != amd[i])
            return false;
    return true;
}

/* Enter level 0 with flat segments CS = selector, SS = the next one. */
static void syscall_enter(struct cpu *cpu, uint16_t selector, uint64_t rip)
{
    const bool code64 = cpu_is_long(cpu);

    cpu->cpl = 0;
    segment_set_flat(cpu, CS, selector, 0, code64, !code64);
    segment_set_flat(cpu, SS, (uint16_t)((selector & ~3u) + 8), 0, false, true);
    cpu->rip = rip;
    cpu_update_mode(cpu);
}

/* Leave to level 3. */
static void syscall_leave(struct cpu *cpu, uint16_t cs, uint16_t ss, bool code64, uint64_t rip)
{
    cpu->cpl = 3;
    segment_set_flat(cpu, CS, cs, 3, code64, !code64);
    segment_set_flat(cpu, SS, ss, 3, false, true);
    cpu->rip = rip;
    cpu_update_mode(cpu);
}

bool run_sysenter(struct cpu *cpu, const struct insn *in)
{
    const bool is_long = cpu_is_long(cpu);

    (void)in;
    if (is_long && is_amd(cpu))
        return fault_ud(cpu);
    if (!(cpu->cr0 & CR0_PE) || selector_is_null((uint16_t)cpu->sysenter_cs))
        return fault_gp(cpu, 0);
    cpu->rflags &= ~(uint64_t)(FLAG_VM | FLAG_IF);
    cpu->gpr[RSP] = is_long ? cpu->sysenter_esp : (uint32_t)cpu->sysenter_esp;
    syscall_enter(cpu, (uint16_t)cpu->sysenter_cs,
                  is_long ? cpu->sysenter_eip : (uint32_t)cpu->sysenter_eip);
    return true;
}

bool run_sysexit(struct cpu *cpu, const struct insn *in)
{
    const uint16_t base = (uint16_t)(cpu->sysenter_cs & ~3ull);
    const bool to64 = in->width == 8;
    uint64_t rip = cpu->gpr[RDX], rsp = cpu->gpr[RCX];

    if (cpu_is_long(cpu) && is_amd(cpu))
        return fault_ud(cpu);
    if (cpu->cpl != 0 || !(cpu->cr0 & CR0_PE) || base == 0)
        return fault_gp(cpu, 0);
    if (to64) {
        if (!linear_is_canonical(cpu, rip) || !linear_is_canonical(cpu, rsp))
            return fault_gp(cpu, 0);
    } else {
        rip = (uint32_t)rip;
        rsp = (uint32_t)rsp;
    }
    cpu->gpr[RSP] = rsp;
    syscall_leave(cpu, (uint16_t)(base + (to64 ? 32 : 16)), (uint16_t)(base + (to64 ? 40 : 24)),
                  to64, rip);
    return true;
}

/* SYSCALL outside IA-32e mode, on AMD's processors. */
static void syscall_legacy(struct cpu *cpu)
{
    cpu->gpr[RCX] = cpu->rip;
    cpu->rflags &= ~(uint64_t)(FLAG_VM | FLAG_IF | FLAG_RF);
    syscall_enter(cpu, (uint16_t)(cpu->star >> 32), (uint32_t)cpu->star);
}

/*
 * SYSCALL and SYSRET trap as the TF that they leave says: a kernel that masks TF is not stepped
 * into by a program, and a program that is stepped stops right behind its SYSCALL, where SYSRET
 * leads. [Xen security advisory 204]; the manuals do not say.
 */
static void syscall_step(struct cpu *cpu)
{
    if (!(cpu->rflags & FLAG_TF))
        return;
    (void)!fault_db(cpu, DR6_BS);
    exception_deliver(cpu);
}

bool run_syscall(struct cpu *cpu, const struct insn *in)
{
    const bool code64 = cpu_is_code64(cpu);

    (void)in;
    if (!(cpu->efer & EFER_SCE) || (!code64 && !is_amd(cpu)) || !(cpu->cr0 & CR0_PE))
        return fault_ud(cpu);
    if (!cpu_is_long(cpu)) {
        syscall_legacy(cpu);
        syscall_step(cpu);
        return true;
    }
    cpu->gpr[RCX] = cpu->rip;
    cpu->gpr[R11] = cpu->rflags & ~(uint64_t)FLAG_RF;
    cpu->rflags = (cpu->rflags & ~(cpu->fmask | FLAG_RF)) | 2;
    syscall_enter(cpu, (uint16_t)(cpu->star >> 32), code64 ? cpu->lstar : cpu->cstar);
    syscall_step(cpu);
    return true;
}

/* What SYSRET takes from R11: everything but RF, VM and reserved bits. */
#define SYSRET_FLAGS 0x3c7fd7u

bool run_sysret(struct cpu *cpu, const struct insn *in)
{
    const uint16_t base = (uint16_t)(cpu->star >> 48);
    const bool to64 = in->width == 8;

    if (!(cpu->efer & EFER_SCE) || (!cpu_is_code64(cpu) && !is_amd(cpu)) || !(cpu->cr0 & CR0_PE))
        return fault_ud(cpu);
    /* AMD's processors go to an address that is not canonical, and fault there at level 3. */
    if (cpu->cpl != 0 || (to64 && !is_amd(cpu) && !linear_is_canonical(cpu, cpu->gpr[RCX])))
        return fault_gp(cpu, 0);
    if (cpu_is_long(cpu))
        cpu->rflags = (cpu->gpr[R11] & SYSRET_FLAGS) | 2;
    else
        cpu->rflags |= FLAG_IF;
    syscall_leave(cpu, (uint16_t)(base + (to64 ? 16 : 0)), (uint16_t)(base + 8), to64,
                  to64 ? cpu->gpr[RCX] : (uint32_t)cpu->gpr[RCX]);
    syscall_step(cpu);
    return true;
}
