/*
 * cpu/operand.h -- reading and writing the operands of a decoded instruction; for run_*.c.
 */
#ifndef RINGER_CPU_OPERAND_H
#define RINGER_CPU_OPERAND_H

#include "cpu/access.h"
#include "cpu/cpu.h"
#include "cpu/insn.h"

static inline uint64_t width_mask(unsigned size_bytes)
{
    return size_bytes >= 8 ? ~0ull : (1ull << (size_bytes * 8)) - 1;
}

/* Effective address of the memory operand: offset in its segment, truncated to the address size. */
static inline uint64_t operand_offset(const struct cpu *cpu, const struct insn *in)
{
    uint64_t offset = (uint64_t)in->disp;

    if (in->rip_relative)
        offset += cpu->rip; /* already past the instruction */
    if (in->base != NO_REG)
        offset += cpu->gpr[in->base];
    if (in->index != NO_REG)
        offset += cpu->gpr[in->index] * in->scale;
    return offset & width_mask(in->addr_size);
}

/* Write a general register: 32-bit writes zero-extend, 8/16-bit ones merge. */
static inline void gpr_write(struct cpu *cpu, unsigned reg, unsigned size, uint64_t value)
{
    if (size == 8)
        cpu->gpr[reg] = value;
    else if (size == 4)
        cpu->gpr[reg] = (uint32_t)value;
    else if (size == 2)
        cpu->gpr[reg] = (cpu->gpr[reg] & ~0xffffull) | (uint16_t)value;
    else
        cpu->gpr[reg] = (cpu->gpr[reg] & ~0xffull) | (uint8_t)value;
}
static inline void gpr_write_high8(struct cpu *cpu, unsigned reg, uint8_t value)
{
    cpu->gpr[reg] = (cpu->gpr[reg] & ~0xff00ull) | (uint64_t)value << 8;
}

/* Integer operands (GPR, GPR8H, MEM up to 8 bytes, IMM, SEG).  Values are zero-extended from the
 * operand's size. */
FAULT_CHECK static inline bool operand_read(struct cpu *cpu, const struct insn *in, unsigned i,
                                            uint64_t *value)
{
    const struct operand *op = &in->ops[i];

    switch (op->kind) {
    case OPERAND_GPR:
        *value = cpu->gpr[op->reg] & width_mask(op->size);
        return true;
    case OPERAND_GPR8H:
        *value = cpu->gpr[op->reg] >> 8 & 0xff;
        return true;
    case OPERAND_MEM:
        return access_read(cpu, in->seg, operand_offset(cpu, in), op->size, value);
    case OPERAND_SEG:
        *value = cpu->seg[op->reg].selector;
        return true;
    default:
        *value = in->imm & width_mask(op->size);
        return true;
    }
}
/* As operand_read for an operand that will be written: faults as the write would. */
FAULT_CHECK static inline bool operand_read_rmw(struct cpu *cpu, const struct insn *in, unsigned i,
                                                uint64_t *value)
{
    if (in->ops[i].kind == OPERAND_MEM &&
        !access_probe_write(cpu, in->seg, operand_offset(cpu, in), in->ops[i].size))
        return false;
    return operand_read(cpu, in, i, value);
}
FAULT_CHECK static inline bool operand_write(struct cpu *cpu, const struct insn *in, unsigned i,
                                             uint64_t value)
{
    const struct operand *op = &in->ops[i];

    switch (op->kind) {
    case OPERAND_GPR:
        gpr_write(cpu, op->reg, op->size, value);
        return true;
    case OPERAND_GPR8H:
        gpr_write_high8(cpu, op->reg, (uint8_t)value);
        return true;
    case OPERAND_MEM:
        return access_write(cpu, in->seg, operand_offset(cpu, in), op->size, value);
    default:
        __builtin_unreachable();
    }
}

/* Stack: width 2, 4, 8; uses SS and the stack size.  stack_peek does not move RSP. */
static inline unsigned stack_addr_size(const struct cpu *cpu)
{
    return cpu_is_code64(cpu) ? 8 : cpu->mode & MODE_STACK32 ? 4 : 2;
}
FAULT_CHECK static inline bool stack_push(struct cpu *cpu, unsigned width, uint64_t value)
{
    const unsigned addr = stack_addr_size(cpu);
    const uint64_t rsp = (cpu->gpr[RSP] - width) & width_mask(addr);

    if (!access_write(cpu, SS, rsp, width, value))
        return false;
    gpr_write(cpu, RSP, addr, rsp);
    return true;
}
FAULT_CHECK static inline bool stack_peek(struct cpu *cpu, unsigned width, uint64_t depth_bytes,
                                          uint64_t *value)
{
    const uint64_t rsp = (cpu->gpr[RSP] + depth_bytes) & width_mask(stack_addr_size(cpu));

    return access_read(cpu, SS, rsp, width, value);
}
static inline void stack_drop(struct cpu *cpu, uint64_t bytes)
{
    gpr_write(cpu, RSP, stack_addr_size(cpu), cpu->gpr[RSP] + bytes);
}

#endif
