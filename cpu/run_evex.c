/*
 * cpu/run_evex.c -- AVX-512 memory operands under a mask: elements that are not selected are not
 * accessed and cannot fault.  [SDM 2A 2.7.8 "Exceptions", fault suppression]
 *
 * The instruction itself runs natively on a copy of the operand (cpu/thunk.h), in which what was
 * not selected is zero; the host does not look at it either.  Gathers and scatters, whose elements
 * are anywhere, are done here on cpu->fpu.
 */
#include "cpu/fpu.h"
#include "cpu/native.h"
#include "cpu/operand.h"
#include "cpu/run.h"
#include "cpu/thunk.h"

/* Bits of the instruction's mask, of its first `lanes` elements. */
static uint64_t selected(const struct cpu *cpu, const struct insn *in, unsigned lanes)
{
    const uint64_t all = lanes >= 64 ? ~0ull : (1ull << lanes) - 1;

    return in->mask ? fpu_opmask(cpu, in->mask) & all : all;
}

/* Which elements of the memory operand are accessed: those of which any copy is selected. */
static uint64_t accessed(const struct cpu *cpu, const struct insn *in, unsigned size)
{
    uint64_t mask = selected(cpu, in, in->lanes);

    for (unsigned lanes = in->lanes; lanes * in->lane_bytes > size;) {
        lanes /= 2;
        mask = (mask | mask >> lanes) & ((1ull << lanes) - 1);
    }
    return mask;
}

/* See cpu/native.h.  Even with nothing selected the host's instruction runs, for what it does to
 * registers. */
bool native_run_masked(struct cpu *cpu, const struct insn *in, unsigned i, bool store)
{
    const uint64_t offset = operand_offset(cpu, in);
    const unsigned size = in->ops[i].size, step = in->lane_bytes;
    const linaddr_t linear = native_linear(cpu, in, offset);
    const uint64_t mask = accessed(cpu, in, size);
    uint8_t *scratch = thunk_scratch(cpu, linear);
    uint64_t value;

    if (!scratch || size > THUNK_SCRATCH_SIZE)
        return fault_ud(cpu);
    /* Where nothing is selected, whether alignment matters is the host's decision: the scratch
     * buffer is aligned as the operand is. */
    if (mask && insn_row(in)->traits & ALIGNED && linear & (size - 1))
        return fault_gp(cpu, 0);
    native_zero(scratch, size);
    for (unsigned at = 0, lane = 0; at < size; at += step, lane++) {
        if (!(mask >> lane & 1))
            continue;
        if (store) {
            if (!access_probe_write(cpu, in->seg, offset + at, step))
                return false;
        } else {
            if (!access_read(cpu, in->seg, offset + at, step, &value))
                return false;
            access_host_store(scratch + at, step, value);
        }
    }
    if (!thunk_run(cpu, in))
        return false;
    for (unsigned at = 0, lane = 0; store && at < size; at += step, lane++)
        if (mask >> lane & 1 &&
            !access_write(cpu, in->seg, offset + at, step, access_host_load(scratch + at, step)))
            return false;
    return true;
}

/* ---- compress, expand: as many elements in a row as the mask has bits ---- */

static unsigned packed_bytes(const struct cpu *cpu, const struct insn *in, unsigned element)
{
    uint64_t mask = selected(cpu, in, (16u << in->vex_l) / element);
    unsigned count = 0;

    for (; mask; mask &= mask - 1)
        count++;
    return count * element;
}

/* VCOMPRESSPS/PD, VPCOMPRESSB/W/D/Q to memory. [SDM 2C "VCOMPRESSPD"] */
bool run_compress(struct cpu *cpu, const struct insn *in)
{
    const uint64_t offset = operand_offset(cpu, in);
    const unsigned size = packed_bytes(cpu, in, in->ops[0].size);
    uint8_t *scratch = thunk_scratch(cpu, native_linear(cpu, in, offset));

    if (!scratch)
        return fault_ud(cpu);
    if (size && !native_probe_write(cpu, in->seg, offset, size))
        return false;
    if (!thunk_run(cpu, in))
        return false;
    return !size || access_write_block(cpu, in->seg, offset, size, scratch);
}

/* VEXPANDPS/PD, VPEXPANDB/W/D/Q from memory. [SDM 2C "VEXPANDPD"] */
bool run_expand(struct cpu *cpu, const struct insn *in)
{
    const uint64_t offset = operand_offset(cpu, in);
    const unsigned size = packed_bytes(cpu, in, in->ops[1].size);
    uint8_t *scratch = thunk_scratch(cpu, native_linear(cpu, in, offset));

    if (!scratch)
        return fault_ud(cpu);
    if (size && !access_read_block(cpu, in->seg, offset, size, scratch))
        return false;
    return thunk_run(cpu, in);
}

/* ---- gather, scatter ---- */

/* The operands of both. */
struct vsib {
    unsigned step, count; /* bytes of an element, number of elements */
    uint64_t base, wrap;
    uint8_t index[64];
};

static void vsib_begin(struct cpu *cpu, const struct insn *in, struct vsib *v)
{
    const unsigned size = 16u << in->vex_l;

    fpu_leave(cpu);
    v->step = in->rex & 8 ? 8 : 4;
    v->count = size / (v->step > in->vsib ? v->step : in->vsib); /* of the wider kind */
    v->wrap = width_mask(in->addr_size);
    v->base = (in->base != NO_REG ? cpu->gpr[in->base] : 0) + (uint64_t)in->disp;
    fpu_read_vector(cpu, in->index, size, v->index);
}

static uint64_t vsib_offset(const struct insn *in, const struct vsib *v, unsigned i)
{
    uint64_t index = 0;

    native_copy(&index, v->index + i * in->vsib, in->vsib);
    if (in->vsib == 4)
        index = (uint64_t)(int64_t)(int32_t)index;
    return (v->base + index * in->scale) & v->wrap;
}

static uint64_t *opmask_at(struct cpu *cpu, unsigned reg)
{
    return (uint64_t *)(void *)(cpu->fpu + FPU_OPMASK + 8 * reg);
}

/*
 * VGATHERxxx, VPGATHERxxx with a mask: element i is loaded if its bit is set, which is then
 * cleared. [SDM 2C "VPGATHERDD"]  A fault leaves the elements before it done and their bits
 * cleared, so that the instruction goes on where it was when it is run again.
 */
bool run_vgather(struct cpu *cpu, const struct insn *in)
{
    uint8_t data[64];
    struct vsib v;
    bool ok = true;

    vsib_begin(cpu, in, &v);
    fpu_read_vector(cpu, in->ops[0].reg, sizeof data, data);
    for (unsigned i = 0; i < v.count && ok; i++) {
        uint64_t value;

        if (!(*opmask_at(cpu, in->mask) >> i & 1))
            continue;
        ok = access_read(cpu, in->seg, vsib_offset(in, &v, i), v.step, &value);
        fpu_leave(cpu);
        if (ok) {
            native_copy(data + i * v.step, &value, v.step);
            *opmask_at(cpu, in->mask) &= ~(1ull << i);
        }
    }
    if (ok) { /* the rest of the vector and of the mask is cleared in the end */
        *opmask_at(cpu, in->mask) = 0;
        native_zero(data + v.count * v.step, sizeof data - v.count * v.step);
    }
    fpu_write_vector(cpu, in->ops[0].reg, sizeof data, data);
    fpu_settle_high(cpu);
    return ok;
}

/* VSCATTERxxx, VPSCATTERxxx: the same, stored in order. [SDM 2C "VPSCATTERDD"] */
bool run_scatter(struct cpu *cpu, const struct insn *in)
{
    uint8_t data[64];
    struct vsib v;
    bool ok = true;

    vsib_begin(cpu, in, &v);
    fpu_read_vector(cpu, in->ops[1].reg, sizeof data, data);
    for (unsigned i = 0; i < v.count && ok; i++) {
        uint64_t value = 0;

        if (!(*opmask_at(cpu, in->mask) >> i & 1))
            continue;
        native_copy(&value, data + i * v.step, v.step);
        ok = access_write(cpu, in->seg, vsib_offset(in, &v, i), v.step, value);
        if (ok)
            *opmask_at(cpu, in->mask) &= ~(1ull << i);
    }
    if (ok)
        *opmask_at(cpu, in->mask) = 0;
    fpu_settle_high(cpu);
    return ok;
}
