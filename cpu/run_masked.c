/*
 * cpu/run_masked.c -- handlers of moves whose mask decides which bytes of memory are touched, and
 * so which can fault: they cannot run natively on a copy of the memory operand.
 *
 * Registers are read and written in cpu->fpu.
 */
#include "cpu/fpu.h"
#include "cpu/native.h"
#include "cpu/operand.h"
#include "cpu/run.h"

/* What every MMX instruction does to x87: all registers in use, TOP = 0. [SDM 1 9.6.2] The order
 * of the image follows TOP. */
static void enter_mmx(struct cpu *cpu)
{
    uint16_t *fsw = (uint16_t *)(void *)(cpu->fpu + FPU_FSW);
    const unsigned top = *fsw >> FSW_TOP_SHIFT & 7;
    uint8_t old[8 * 16];

    native_copy(old, cpu->fpu + FPU_ST, sizeof old);
    for (unsigned reg = 0; reg < 8; reg++)
        native_copy(cpu->fpu + FPU_ST + 16 * reg, old + 16 * ((reg - top) & 7), 16);
    *fsw &= (uint16_t)~FSW_TOP;
    cpu->fpu[FPU_FTW] = 0xff;
}

/*
 * MASKMOVQ, MASKMOVDQU: bytes of operand 0 whose mask byte in operand 1 has its top bit set go to
 * seg:[rDI].  [SDM 2B "MASKMOVQ"]  Bytes that are not selected are not touched and do not fault.
 */
bool run_maskmov(struct cpu *cpu, const struct insn *in)
{
    const bool mmx = in->ops[0].kind == OPERAND_MMX;
    const unsigned size = mmx ? 8 : 16;
    const uint64_t mask = width_mask(in->addr_size);
    uint16_t *fsw = (uint16_t *)(void *)(cpu->fpu + FPU_FSW);
    const uint8_t *data, *select;

    if (mmx && fpu_status_word(cpu) & FSW_ES)
        return fpu_pending_error(cpu, in);
    fpu_leave(cpu);
    if (mmx) {
        const unsigned top = *fsw >> FSW_TOP_SHIFT & 7;

        data = cpu->fpu + FPU_ST + 16 * ((in->ops[0].reg - top) & 7);
        select = cpu->fpu + FPU_ST + 16 * ((in->ops[1].reg - top) & 7);
    } else {
        data = cpu->fpu + FPU_XMM + 16 * (in->ops[0].reg & 15);
        select = cpu->fpu + FPU_XMM + 16 * (in->ops[1].reg & 15);
    }
    for (unsigned i = 0; i < size; i++)
        if (select[i] & 0x80 && !access_probe_write(cpu, in->seg, (cpu->gpr[RDI] + i) & mask, 1))
            return false;
    for (unsigned i = 0; i < size; i++)
        if (select[i] & 0x80 && !access_write(cpu, in->seg, (cpu->gpr[RDI] + i) & mask, 1, data[i]))
            return false;
    if (mmx)
        enter_mmx(cpu);
    return true;
}
