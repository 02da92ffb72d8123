/*
 * cpu/run_x87.c -- handlers of x87 instructions: run natively, see cpu/thunk.h; here are the errors
 * that wait for the next instruction, and the images in guest memory.
 *
 * The environment, 14 bytes with a 16-bit and 28 with a 32-bit operand size [SDM 1 figures 8-9 to
 * 8-12]; the state of FNSAVE is that and eight registers of 10 bytes:
 *
 *   28 bytes  0 FCW  4 FSW  8 FTW  12 FIP  16 FCS, FOP  20 FDP  24 FDS     (upper halves: ones)
 *   14 bytes  0 FCW  2 FSW  4 FTW   6 FIP   8 FCS        10 FDP  12 FDS
 *
 * The formats of real mode differ only in how they pack the pointers, which are zero here (the
 * deviation in cpu/fpu.h), so the host's own protected-mode formats serve all modes.
 */
#include "cpu/fpu.h"
#include "cpu/native.h"
#include "cpu/operand.h"
#include "cpu/run.h"
#include "cpu/thunk.h"

static bool error_is_pending(const struct cpu *cpu, const struct insn *in)
{
    return !(insn_row(in)->traits & X87_NOWAIT) && fpu_status_word(cpu) & FSW_ES;
}

bool run_x87(struct cpu *cpu, const struct insn *in)
{
    if (error_is_pending(cpu, in))
        return fpu_pending_error(cpu, in);
    return native_run(cpu, in);
}

/* WAIT; CR0.MP decides whether it obeys CR0.TS. [SDM 3A 2.5 "CR0.MP"] */
bool run_wait(struct cpu *cpu, const struct insn *in)
{
    if ((cpu->cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS))
        return fault_nm(cpu);
    if (fpu_status_word(cpu) & FSW_ES)
        return fpu_pending_error(cpu, in);
    return true;
}

/* Zero the pointers of an environment; what the format fills with ones stays. */
static void clear_pointers(uint8_t *env, unsigned width)
{
    const unsigned begin = width == 2 ? 6 : 12, end = width == 2 ? 14 : 26;

    native_zero(env + begin, end - begin);
}

/* FNSTENV, FNSAVE: memory is checked first, because the instruction also changes the FPU. */
static bool store_image(struct cpu *cpu, const struct insn *in)
{
    const uint64_t offset = operand_offset(cpu, in);
    const unsigned size = in->ops[0].size;
    uint8_t *scratch = thunk_scratch(cpu, 0);

    if (!scratch || size > THUNK_SCRATCH_SIZE)
        return fault_ud(cpu);
    if (!native_probe_write(cpu, in->seg, offset, size) || !thunk_run(cpu, in))
        return false;
    clear_pointers(scratch, in->width);
    return access_write_block(cpu, in->seg, offset, size, scratch);
}

/* FLDENV, FRSTOR */
static bool load_image(struct cpu *cpu, const struct insn *in)
{
    const unsigned size = in->ops[0].size;
    uint8_t *scratch = thunk_scratch(cpu, 0);

    if (error_is_pending(cpu, in))
        return fpu_pending_error(cpu, in);
    if (!scratch || size > THUNK_SCRATCH_SIZE)
        return fault_ud(cpu);
    if (!access_read_block(cpu, in->seg, operand_offset(cpu, in), size, scratch))
        return false;
    clear_pointers(scratch, in->width);
    return thunk_run(cpu, in);
}

bool run_fnstenv(struct cpu *cpu, const struct insn *in)
{
    return store_image(cpu, in);
}
bool run_fnsave(struct cpu *cpu, const struct insn *in)
{
    return store_image(cpu, in);
}
bool run_fldenv(struct cpu *cpu, const struct insn *in)
{
    return load_image(cpu, in);
}
bool run_frstor(struct cpu *cpu, const struct insn *in)
{
    return load_image(cpu, in);
}
