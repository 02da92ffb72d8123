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

/* ---- AVX ---- */

static uint64_t read_element(const uint8_t *vector, unsigned at, unsigned size)
{
    uint64_t value = 0;

    native_copy(&value, vector + at, size);
    return value;
}
static bool is_selected(const uint8_t *mask, unsigned at, unsigned size)
{
    return mask[at + size - 1] & 0x80;
}

/*
 * VMASKMOVPS/PD, VPMASKMOVD/Q: elements whose mask has its top bit set are loaded (others become
 * zero) or stored (others stay).  Unselected elements cannot fault.  [SDM 2C "VMASKMOV"]
 */
bool run_vmaskmov(struct cpu *cpu, const struct insn *in)
{
    const bool store = in->ops[0].kind == OPERAND_MEM;
    const unsigned size = in->vex_l ? 32 : 16;
    const bool pd = in->opcode == 0x2d || in->opcode == 0x2f;
    const unsigned step = pd || (in->opcode & 0x80 && in->rex & 8) ? 8 : 4;
    const uint64_t offset = operand_offset(cpu, in), wrap = width_mask(in->addr_size);
    uint8_t mask[32], data[32] = {0};
    uint64_t value;

    fpu_leave(cpu);
    fpu_read_vector(cpu, in->ops[1].reg, 32, mask);
    if (store)
        fpu_read_vector(cpu, in->ops[2].reg, 32, data);
    for (unsigned at = 0; at < size; at += step) {
        if (!is_selected(mask, at, step))
            continue;
        if (store) {
            if (!access_probe_write(cpu, in->seg, (offset + at) & wrap, step))
                return false;
        } else {
            if (!access_read(cpu, in->seg, (offset + at) & wrap, step, &value))
                return false;
            native_copy(data + at, &value, step);
        }
    }
    if (!store) {
        fpu_write_vector(cpu, in->ops[0].reg, size, data);
        fpu_settle_high(cpu);
        return true;
    }
    for (unsigned at = 0; at < size; at += step)
        if (is_selected(mask, at, step) &&
            !access_write(cpu, in->seg, (offset + at) & wrap, step, read_element(data, at, step)))
            return false;
    return true;
}

/*
 * VGATHERxxx, VPGATHERxxx: op0[i] = mem[base + index[i] * scale + disp] where the mask op2 has the
 * element's top bit set; the mask is cleared.  [SDM 2C "VPGATHERDD"]  A fault leaves both registers
 * as they were, which the manual allows: the instruction starts over.
 */
bool run_gather(struct cpu *cpu, const struct insn *in)
{
    const unsigned size = in->vex_l ? 32 : 16;
    const unsigned step = in->rex & 8 ? 8 : 4, index_step = in->vsib;
    /* As many elements as fit of the wider kind. */
    const unsigned count = size / (step > index_step ? step : index_step);
    const uint64_t wrap = width_mask(in->addr_size);
    const uint64_t base = (in->base != NO_REG ? cpu->gpr[in->base] : 0) + (uint64_t)in->disp;
    uint8_t data[32], mask[32], index[32];

    fpu_leave(cpu);
    fpu_read_vector(cpu, in->ops[0].reg, 32, data);
    fpu_read_vector(cpu, in->ops[2].reg, 32, mask);
    fpu_read_vector(cpu, in->index, 32, index);
    for (unsigned i = 0; i < count; i++) {
        uint64_t element = read_element(index, i * index_step, index_step), value;

        if (!is_selected(mask, i * step, step))
            continue;
        if (index_step == 4)
            element = (uint64_t)(int64_t)(int32_t)element;
        if (!access_read(cpu, in->seg, (base + element * in->scale) & wrap, step, &value))
            return false;
        native_copy(data + i * step, &value, step);
    }
    native_zero(mask, sizeof mask);
    native_zero(data + count * step, sizeof data - count * step);
    fpu_write_vector(cpu, in->ops[0].reg, sizeof data, data);
    fpu_write_vector(cpu, in->ops[2].reg, size, mask);
    fpu_settle_high(cpu);
    return true;
}
