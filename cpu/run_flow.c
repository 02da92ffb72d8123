/*
 * cpu/run_flow.c -- near control transfers.  Source: [SDM 2A, 2B], the instructions' own pages.
 *
 * The target is checked before anything is committed: a jump beyond the CS limit faults as the
 * jump itself.
 */
#include "cpu/flags.h"
#include "cpu/run.h"

/* The target of a direct or indirect near transfer, not yet truncated. */
FAULT_CHECK static bool flow_target(struct cpu *cpu, const struct insn *in, uint64_t *target)
{
    if (in->ops[0].kind == OPERAND_REL) {
        *target = cpu->rip + in->imm;
        return true;
    }
    return operand_read(cpu, in, 0, target);
}

bool run_jmp(struct cpu *cpu, const struct insn *in)
{
    uint64_t target;

    return flow_target(cpu, in, &target) && run_branch(cpu, in->width, target);
}

bool run_jcc(struct cpu *cpu, const struct insn *in)
{
    if (!flags_condition(cpu->rflags, in->opcode & 15))
        return true;
    return run_branch(cpu, in->width, cpu->rip + in->imm);
}

bool run_call(struct cpu *cpu, const struct insn *in)
{
    uint64_t target;

    if (!flow_target(cpu, in, &target) || !run_check_target(cpu, in->width, &target) ||
        !stack_push(cpu, in->width, cpu->rip))
        return false;
    cpu->rip = target;
    return true;
}

/* RET, RET imm16. */
bool run_ret(struct cpu *cpu, const struct insn *in)
{
    const uint64_t extra = in->ops[0].kind == OPERAND_IMM ? in->imm & 0xffff : 0;
    uint64_t target;

    if (!stack_peek(cpu, in->width, 0, &target) || !run_branch(cpu, in->width, target))
        return false;
    stack_drop(cpu, in->width + extra);
    return true;
}

/* LOOP, LOOPE, LOOPNE: rCX has the address size; flags stay. */
static bool flow_loop(struct cpu *cpu, const struct insn *in, bool condition)
{
    const uint64_t count = (cpu->gpr[RCX] - 1) & width_mask(in->addr_size);

    if (count != 0 && condition && !run_branch(cpu, in->width, cpu->rip + in->imm))
        return false;
    gpr_write(cpu, RCX, in->addr_size, count);
    return true;
}
bool run_loop(struct cpu *cpu, const struct insn *in)
{
    return flow_loop(cpu, in, true);
}
bool run_loope(struct cpu *cpu, const struct insn *in)
{
    return flow_loop(cpu, in, cpu->rflags & FLAG_ZF);
}
bool run_loopne(struct cpu *cpu, const struct insn *in)
{
    return flow_loop(cpu, in, !(cpu->rflags & FLAG_ZF));
}
bool run_jcxz(struct cpu *cpu, const struct insn *in)
{
    if (cpu->gpr[RCX] & width_mask(in->addr_size))
        return true;
    return run_branch(cpu, in->width, cpu->rip + in->imm);
}

/* UD0, UD1, UD2. */
bool run_ud(struct cpu *cpu, const struct insn *in)
{
    (void)in;
    return fault_ud(cpu);
}
