/*
 * cpu/run_move.c -- data movement, the stack, and single flags.
 * Source: [SDM 2A, 2B], the instructions' own pages.
 */
#include "cpu/flags.h"
#include "cpu/run.h"

bool run_mov(struct cpu *cpu, const struct insn *in)
{
    uint64_t value;

    return run_source(cpu, in, 1, in->ops[0].size, &value) && operand_write(cpu, in, 0, value);
}
bool run_movzx(struct cpu *cpu, const struct insn *in)
{
    uint64_t value;

    return operand_read(cpu, in, 1, &value) && operand_write(cpu, in, 0, value);
}
bool run_movsx(struct cpu *cpu, const struct insn *in)
{
    uint64_t value;

    return operand_read(cpu, in, 1, &value) &&
           operand_write(cpu, in, 0, sign_extend(value, in->ops[1].size));
}

/* MOVBE: op0 = op1 with its bytes reversed. */
bool run_movbe(struct cpu *cpu, const struct insn *in)
{
    const unsigned size = in->ops[0].size;
    uint64_t value;

    if (!operand_read(cpu, in, 1, &value))
        return false;
    return operand_write(cpu, in, 0, __builtin_bswap64(value) >> (64 - size * 8));
}

/* BSWAP: undefined on 16-bit registers; processors clear them. */
bool run_bswap(struct cpu *cpu, const struct insn *in)
{
    const unsigned size = in->ops[0].size;
    const uint64_t value = cpu->gpr[in->ops[0].reg];

    gpr_write(cpu, in->ops[0].reg, size,
              size == 2 ? 0 : __builtin_bswap64(value) >> (64 - size * 8));
    return true;
}

bool run_lea(struct cpu *cpu, const struct insn *in)
{
    gpr_write(cpu, in->ops[0].reg, in->ops[0].size, operand_offset(cpu, in));
    return true;
}

/* XCHG: memory, which may fault, is written before the register. */
bool run_xchg(struct cpu *cpu, const struct insn *in)
{
    const unsigned memory = in->ops[1].kind == OPERAND_MEM ? 1 : 0;
    uint64_t first, second;

    if (!operand_read_rmw(cpu, in, memory, &first) || !operand_read(cpu, in, !memory, &second))
        return false;
    return operand_write(cpu, in, memory, second) && operand_write(cpu, in, !memory, first);
}

/* XLAT: AL = seg:[rBX + AL]. */
bool run_xlat(struct cpu *cpu, const struct insn *in)
{
    const uint64_t offset = (cpu->gpr[RBX] + (uint8_t)cpu->gpr[RAX]) & width_mask(in->addr_size);
    uint64_t value;

    if (!access_read(cpu, in->seg, offset, 1, &value))
        return false;
    gpr_write(cpu, RAX, 1, value);
    return true;
}

/* CMOVcc: the source is read, and faults, whatever the condition; a 32-bit destination is
 * zero-extended even when it is not replaced. */
bool run_cmovcc(struct cpu *cpu, const struct insn *in)
{
    uint64_t value;

    if (!operand_read(cpu, in, 1, &value))
        return false;
    if (!flags_condition(cpu->rflags, in->opcode & 15))
        value = cpu->gpr[in->ops[0].reg];
    gpr_write(cpu, in->ops[0].reg, in->ops[0].size, value);
    return true;
}
bool run_setcc(struct cpu *cpu, const struct insn *in)
{
    return operand_write(cpu, in, 0, flags_condition(cpu->rflags, in->opcode & 15));
}

bool run_push(struct cpu *cpu, const struct insn *in)
{
    uint64_t value;

    return run_source(cpu, in, 0, in->width, &value) && stack_push(cpu, in->width, value);
}

/* POP: the address of a memory destination is computed with the incremented RSP, and popping
 * RSP itself leaves the value that was read.  [SDM 2B "POP"] */
bool run_pop(struct cpu *cpu, const struct insn *in)
{
    const uint64_t rsp = cpu->gpr[RSP];
    uint64_t value;

    if (!stack_peek(cpu, in->width, 0, &value))
        return false;
    stack_drop(cpu, in->width);
    if (!operand_write(cpu, in, 0, value)) {
        cpu->gpr[RSP] = rsp;
        return false;
    }
    return true;
}

/* PUSHA: AX CX DX BX SP BP SI DI, the original SP.  All eight places are probed first. */
bool run_pusha(struct cpu *cpu, const struct insn *in)
{
    const unsigned width = in->width;
    const uint64_t mask = width_mask(stack_addr_size(cpu)), rsp = cpu->gpr[RSP];

    for (unsigned reg = RAX; reg <= RDI; reg++)
        if (!access_probe_write(cpu, SS, (rsp - (reg + 1) * width) & mask, width))
            return false;
    for (unsigned reg = RAX; reg <= RDI; reg++)
        if (!access_write(cpu, SS, (rsp - (reg + 1) * width) & mask, width, cpu->gpr[reg]))
            return false;
    gpr_write(cpu, RSP, stack_addr_size(cpu), rsp - 8 * width);
    return true;
}

/* POPA: the reverse; the value for SP is read and dropped. */
bool run_popa(struct cpu *cpu, const struct insn *in)
{
    uint64_t value[8];

    for (unsigned i = 0; i < 8; i++)
        if (!stack_peek(cpu, in->width, i * in->width, &value[i]))
            return false;
    for (unsigned i = 0; i < 8; i++)
        if (RDI - i != RSP)
            gpr_write(cpu, RDI - i, in->width, value[i]);
    stack_drop(cpu, 8 * in->width);
    return true;
}

/*
 * ENTER size, level.  [SDM 2A "ENTER"]
 * Pushes rBP, copies level - 1 frame pointers from the outer frame, pushes the new frame pointer,
 * makes room.  The stack is probed for everything that will be pushed, and at its final place.
 */
bool run_enter(struct cpu *cpu, const struct insn *in)
{
    const unsigned width = in->width, addr = stack_addr_size(cpu), level = in->imm2 & 31;
    const uint64_t mask = width_mask(addr), rsp = cpu->gpr[RSP], rbp = cpu->gpr[RBP];
    const uint64_t frame = (rsp - width) & mask;
    /* The new frame pointer has the operand's width, its upper bits are RSP's. */
    const uint64_t pointer = (rsp & ~mask) | frame;
    const uint64_t last = (rsp - (level + 1) * width - (in->imm & 0xffff)) & mask;
    uint64_t copied;

    for (unsigned i = 0; i <= level; i++)
        if (!access_probe_write(cpu, SS, (rsp - (i + 1) * width) & mask, width))
            return false;
    for (unsigned i = 1; i < level; i++)
        if (!access_read(cpu, SS, (rbp - i * width) & mask, width, &copied))
            return false;
    if (!access_probe_write(cpu, SS, last, width))
        return false;

    if (!access_write(cpu, SS, frame, width, rbp & width_mask(width)))
        return false;
    /* Read again: the outer frame's pointers may be among what has been pushed just now. */
    for (unsigned i = 1; i < level; i++)
        if (!access_read(cpu, SS, (rbp - i * width) & mask, width, &copied) ||
            !access_write(cpu, SS, (frame - i * width) & mask, width, copied))
            return false;
    if (level > 0 &&
        !access_write(cpu, SS, (frame - level * width) & mask, width, pointer & width_mask(width)))
        return false;
    gpr_write(cpu, RBP, width, pointer);
    gpr_write(cpu, RSP, addr, last);
    return true;
}

/* LEAVE: RSP = RBP, then pop RBP. */
bool run_leave(struct cpu *cpu, const struct insn *in)
{
    const unsigned addr = stack_addr_size(cpu);
    const uint64_t rbp = cpu->gpr[RBP];
    uint64_t value;

    if (!access_read(cpu, SS, rbp & width_mask(addr), in->width, &value))
        return false;
    gpr_write(cpu, RSP, addr, rbp + in->width);
    gpr_write(cpu, RBP, in->width, value);
    return true;
}

bool run_nop(struct cpu *cpu, const struct insn *in)
{
    (void)cpu;
    (void)in;
    return true;
}
bool run_clc(struct cpu *cpu, const struct insn *in)
{
    (void)in;
    cpu->rflags &= ~(uint64_t)FLAG_CF;
    return true;
}
bool run_stc(struct cpu *cpu, const struct insn *in)
{
    (void)in;
    cpu->rflags |= FLAG_CF;
    return true;
}
bool run_cmc(struct cpu *cpu, const struct insn *in)
{
    (void)in;
    cpu->rflags ^= FLAG_CF;
    return true;
}
bool run_cld(struct cpu *cpu, const struct insn *in)
{
    (void)in;
    cpu->rflags &= ~(uint64_t)FLAG_DF;
    return true;
}
bool run_std(struct cpu *cpu, const struct insn *in)
{
    (void)in;
    cpu->rflags |= FLAG_DF;
    return true;
}
/* LAHF: SF ZF 0 AF 0 PF 1 CF into AH; SAHF back. */
bool run_lahf(struct cpu *cpu, const struct insn *in)
{
    (void)in;
    gpr_write_high8(cpu, RAX, (uint8_t)((cpu->rflags & 0xd5) | 2));
    return true;
}
bool run_sahf(struct cpu *cpu, const struct insn *in)
{
    (void)in;
    cpu->rflags = (cpu->rflags & ~0xd5ull) | (cpu->gpr[RAX] >> 8 & 0xd5);
    return true;
}
/* SALC: AL = CF ? FF : 0.  Undocumented, on every processor. */
bool run_salc(struct cpu *cpu, const struct insn *in)
{
    (void)in;
    gpr_write(cpu, RAX, 1, cpu->rflags & FLAG_CF ? 0xff : 0);
    return true;
}
