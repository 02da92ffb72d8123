/*
 * cpu/run_eflags.c -- handlers: PUSHF, POPF, CLI, STI, with IOPL, VME and PVI.
 *
 * Source: their operation sections in [SDM 2]; [SDM 3A 20.3, 20.4] for the virtual interrupt flag.
 */
#include "cpu/run.h"

/* v8086 mode below IOPL 3: flags instructions fault or, with CR4.VME, work on VIF. */
static bool v86_restricted(const struct cpu *cpu)
{
    return cpu_is_v86(cpu) && cpu_iopl(cpu) < 3;
}

bool run_pushf(struct cpu *cpu, const struct insn *in)
{
    uint64_t image = cpu->rflags & ~(uint64_t)(FLAG_VM | FLAG_RF);

    if (v86_restricted(cpu)) {
        if (in->width != 2 || !(cpu->cr4 & CR4_VME))
            return fault_gp(cpu, 0);
        image = (image & ~(uint64_t)FLAG_IF) | FLAG_IOPL | (image & FLAG_VIF ? FLAG_IF : 0);
    }
    return stack_push(cpu, in->width, image);
}

/* POPF in v8086 mode with VME and IOPL < 3: IF goes to VIF. */
static bool popf_virtual(struct cpu *cpu, const struct insn *in)
{
    const uint64_t mask = FLAGS_OSZAPC | FLAG_TF | FLAG_DF | FLAG_NT | FLAG_VIF | FLAG_RF;
    uint64_t image;

    if (in->width != 2 || !(cpu->cr4 & CR4_VME))
        return fault_gp(cpu, 0);
    if (!stack_peek(cpu, 2, 0, &image))
        return false;
    if (image & FLAG_TF || (image & FLAG_IF && cpu->rflags & FLAG_VIP))
        return fault_gp(cpu, 0);
    stack_drop(cpu, 2);
    if (image & FLAG_IF)
        image |= FLAG_VIF;
    cpu->rflags = (cpu->rflags & ~mask) | (image & mask);
    return true;
}

bool run_popf(struct cpu *cpu, const struct insn *in)
{
    uint64_t mask = FLAGS_OSZAPC | FLAG_TF | FLAG_DF | FLAG_NT;
    const uint64_t before = cpu->rflags;
    uint64_t image;

    if (v86_restricted(cpu))
        return popf_virtual(cpu, in);
    if (in->width > 2)
        mask |= FLAG_AC | FLAG_ID;
    if (cpu->cpl <= cpu_iopl(cpu))
        mask |= FLAG_IF;
    if (cpu->cpl == 0)
        mask |= FLAG_IOPL;
    if (!stack_peek(cpu, in->width, 0, &image))
        return false;
    stack_drop(cpu, in->width);
    cpu->rflags = (before & ~(mask | FLAG_RF)) | (image & mask);
    if ((before ^ cpu->rflags) & (FLAG_AC | FLAG_IOPL))
        cpu_update_mode(cpu);
    return true;
}

/* Which flag CLI and STI work on: IF, VIF, or none (0): #GP(0). */
static uint64_t interrupt_flag(const struct cpu *cpu)
{
    if (cpu->cpl <= cpu_iopl(cpu))
        return FLAG_IF;
    if (cpu_is_v86(cpu))
        return cpu->cr4 & CR4_VME ? FLAG_VIF : 0;
    return cpu->cpl == 3 && cpu->cr4 & CR4_PVI ? FLAG_VIF : 0;
}

bool run_cli(struct cpu *cpu, const struct insn *in)
{
    const uint64_t flag = interrupt_flag(cpu);

    (void)in;
    if (flag == 0)
        return fault_gp(cpu, 0);
    cpu->rflags &= ~flag;
    return true;
}

bool run_sti(struct cpu *cpu, const struct insn *in)
{
    const uint64_t flag = interrupt_flag(cpu);

    (void)in;
    if (flag == 0 || (flag == FLAG_VIF && cpu->rflags & FLAG_VIP))
        return fault_gp(cpu, 0);
    if (flag == FLAG_IF && !(cpu->rflags & FLAG_IF))
        cpu->shadow |= SHADOW_STI;
    cpu->rflags |= flag;
    return true;
}
