/*
 * cpu/run_io.c -- handlers: IN, OUT, INS, OUTS, and who may use which port.
 *
 * Source: their operation sections in [SDM 2]; [SDM 1 19.5 "Protected-Mode I/O"] for the I/O
 * permission bitmap.
 */
#include "cpu/fpu.h"
#include "cpu/run.h"

enum { TSS_IO_BASE = 0x66, TSS32_LIMIT = 0x67 };

/* Elements of a REP that one call handles, so that interrupts get their turn. */
enum { REP_CHUNK = 64 };

/*
 * The bitmap in the TSS: one bit a port, two bytes are read whatever the size, both must lie within
 * the limit.
 */
static bool io_check_bitmap(struct cpu *cpu, uint16_t port, unsigned size)
{
    const struct segment *tr = &cpu->tr;
    const bool wide_tss = (tr->attr & (SEG_P | SEG_S | 8)) == (SEG_P | 8);
    const uint64_t wrap = cpu_is_long(cpu) ? ~0ull : UINT32_MAX;
    uint64_t base, bits;

    if (!wide_tss || tr->limit < TSS32_LIMIT)
        return fault_gp(cpu, 0);
    if (!access_linear_read(cpu, (tr->base + TSS_IO_BASE) & wrap, 2, VIEW_SUPERVISOR, &base))
        return false;
    base += port / 8u;
    if (base + 1 > tr->limit)
        return fault_gp(cpu, 0);
    if (!access_linear_read(cpu, (tr->base + base) & wrap, 2, VIEW_SUPERVISOR, &bits))
        return false;
    if (bits >> (port & 7) & ((1u << size) - 1))
        return fault_gp(cpu, 0);
    return true;
}

static bool io_check(struct cpu *cpu, uint16_t port, unsigned size)
{
    if (!(cpu->cr0 & CR0_PE))
        return true;
    if (!cpu_is_v86(cpu) && cpu->cpl <= cpu_iopl(cpu))
        return true;
    return io_check_bitmap(cpu, port, size);
}

static uint32_t io_read(struct cpu *cpu, uint16_t port, unsigned size)
{
    debug_note_io(cpu, port, size);
    fpu_leave(cpu);
    return cpu->ops->io_read(cpu->ops_ctx, port, size) & (uint32_t)width_mask(size);
}

static void io_write(struct cpu *cpu, uint16_t port, unsigned size, uint64_t value)
{
    debug_note_io(cpu, port, size);
    fpu_leave(cpu);
    cpu->ops->io_write(cpu->ops_ctx, port, size, (uint32_t)(value & width_mask(size)));
}

/* Even opcodes are the byte forms; there is no 64-bit I/O. */
static unsigned io_size(const struct insn *in)
{
    return !(in->opcode & 1) ? 1 : in->width == 2 ? 2 : 4;
}

/* ---- IN, OUT: E4..E7 have the port in the instruction, EC..EF in DX ---- */

static uint16_t io_port(const struct cpu *cpu, const struct insn *in)
{
    return in->opcode & 8 ? (uint16_t)cpu->gpr[RDX] : (uint8_t)in->imm;
}

bool run_in(struct cpu *cpu, const struct insn *in)
{
    const uint16_t port = io_port(cpu, in);
    const unsigned size = io_size(in);

    if (!io_check(cpu, port, size))
        return false;
    gpr_write(cpu, RAX, size, io_read(cpu, port, size));
    return true;
}

bool run_out(struct cpu *cpu, const struct insn *in)
{
    const uint16_t port = io_port(cpu, in);
    const unsigned size = io_size(in);

    if (!io_check(cpu, port, size))
        return false;
    io_write(cpu, port, size, cpu->gpr[RAX]);
    return true;
}

/* ---- INS, OUTS ---- */

/* Move an index register by one element. */
static void io_advance(struct cpu *cpu, const struct insn *in, enum gpr reg, unsigned size)
{
    const uint64_t step = cpu->rflags & FLAG_DF ? -(uint64_t)size : size;

    gpr_write(cpu, reg, in->addr_size, cpu->gpr[reg] + step);
}

/* The place is checked before the port is read: reading a port changes the device. */
static bool ins_element(struct cpu *cpu, const struct insn *in, unsigned size)
{
    const uint64_t at = cpu->gpr[RDI] & width_mask(in->addr_size);

    if (!access_probe_write(cpu, ES, at, size) ||
        !access_write(cpu, ES, at, size, io_read(cpu, (uint16_t)cpu->gpr[RDX], size)))
        return false;
    io_advance(cpu, in, RDI, size);
    return true;
}

static bool outs_element(struct cpu *cpu, const struct insn *in, unsigned size)
{
    const uint64_t at = cpu->gpr[RSI] & width_mask(in->addr_size);
    uint64_t value;

    if (!access_read(cpu, in->seg, at, size, &value))
        return false;
    io_write(cpu, (uint16_t)cpu->gpr[RDX], size, value);
    io_advance(cpu, in, RSI, size);
    return true;
}

/*
 * Elements at once: ascending, in plain RAM, at a port that offers it.  *done is 0 where the next
 * one has to go the long way.
 */
static bool io_block(struct cpu *cpu, const struct insn *in, bool input, unsigned size,
                     uint64_t *done)
{
    const struct cpu_ops *ops = cpu->ops;
    const enum gpr reg = input ? RDI : RSI;
    const uint64_t at = cpu->gpr[reg] & width_mask(in->addr_size);
    const uint16_t port = (uint16_t)cpu->gpr[RDX];
    uint64_t count = cpu->gpr[RCX] & width_mask(in->addr_size);
    uint8_t *host;

    *done = 0;
    if (count < 2 || cpu->rflags & FLAG_DF || ops->io_read_block == NULL ||
        ops->io_write_block == NULL)
        return true;
    if (!run_string_window(cpu, in, input ? ES : in->seg, at, size,
                           input ? ACCESS_WRITE : ACCESS_READ, &count, &host))
        return false;
    if (host == NULL)
        return true;
    fpu_leave(cpu);
    *done = input ? ops->io_read_block(cpu->ops_ctx, port, size, host, (unsigned)count)
                  : ops->io_write_block(cpu->ops_ctx, port, size, host, (unsigned)count);
    gpr_write(cpu, reg, in->addr_size, cpu->gpr[reg] + *done * size);
    gpr_write(cpu, RCX, in->addr_size, cpu->gpr[RCX] - *done);
    return true;
}

/* One element, or with REP a bounded number of them, each committed before the next one starts. */
static bool io_string(struct cpu *cpu, const struct insn *in, bool input,
                      bool (*element)(struct cpu *, const struct insn *, unsigned))
{
    const unsigned size = io_size(in);
    const uint64_t mask = width_mask(in->addr_size);
    const bool single_step = cpu->rflags & FLAG_TF || cpu->dr[7] & 0xff;
    const unsigned chunk = single_step ? 1 : REP_CHUNK;

    if (!(in->prefixes & (PREFIX_REP | PREFIX_REPNE)))
        return io_check(cpu, (uint16_t)cpu->gpr[RDX], size) && element(cpu, in, size);
    if ((cpu->gpr[RCX] & mask) == 0)
        return true;
    if (!io_check(cpu, (uint16_t)cpu->gpr[RDX], size))
        return false;
    for (unsigned i = 0; i < chunk; i++) {
        uint64_t done = 0;

        if (!single_step && !io_block(cpu, in, input, size, &done))
            return false;
        if (done != 0)
            i += REP_CHUNK / 8; /* a page's worth is about so much work */
        else if (!element(cpu, in, size))
            return false;
        else
            gpr_write(cpu, RCX, in->addr_size, cpu->gpr[RCX] - 1);
        if ((cpu->gpr[RCX] & mask) == 0)
            return true;
        if (__atomic_load_n(&cpu->exit_request, __ATOMIC_RELAXED) != 0)
            break;
    }
    run_resume(cpu, in);
    return true;
}

bool run_ins(struct cpu *cpu, const struct insn *in)
{
    return io_string(cpu, in, true, ins_element);
}

bool run_outs(struct cpu *cpu, const struct insn *in)
{
    return io_string(cpu, in, false, outs_element);
}
