/*
 * cpu/run_segment.c -- handlers: segment registers, LDTR and TR, descriptor queries, SWAPGS.
 *
 * Source: operation sections of MOV, PUSH, POP, LDS/LES/LFS/LGS/LSS, LAR, LSL, VERR/VERW, ARPL,
 * LLDT, LTR, SLDT, STR, SWAPGS in [SDM 2].
 */
#include "cpu/descriptor.h"
#include "cpu/run.h"

static void set_zf(struct cpu *cpu, bool value)
{
    cpu->rflags = (cpu->rflags & ~(uint64_t)FLAG_ZF) | (value ? FLAG_ZF : 0);
}

/* ---- loads and stores ---- */

bool run_mov_from_seg(struct cpu *cpu, const struct insn *in)
{
    return operand_write(cpu, in, 0, cpu->seg[in->ops[1].reg].selector);
}

bool run_mov_to_seg(struct cpu *cpu, const struct insn *in)
{
    const enum seg seg = in->ops[0].reg;
    uint64_t selector;

    if (!operand_read(cpu, in, 1, &selector) || !segment_load(cpu, seg, (uint16_t)selector))
        return false;
    if (seg == SS)
        cpu->shadow |= SHADOW_SS;
    return true;
}

bool run_push_seg(struct cpu *cpu, const struct insn *in)
{
    return stack_push(cpu, in->width, cpu->seg[in->ops[0].reg].selector);
}

/* The stack pointer moves as the old SS says, after the load, which may fault. */
bool run_pop_seg(struct cpu *cpu, const struct insn *in)
{
    const enum seg seg = in->ops[0].reg;
    const unsigned addr_size = stack_addr_size(cpu);
    uint64_t selector;

    if (!stack_peek(cpu, in->width, 0, &selector) || !segment_load(cpu, seg, (uint16_t)selector))
        return false;
    gpr_write(cpu, RSP, addr_size, cpu->gpr[RSP] + in->width);
    if (seg == SS)
        cpu->shadow |= SHADOW_SS;
    return true;
}

static enum seg lxs_segment(uint8_t opcode)
{
    switch (opcode) {
    case 0xc4:
        return ES;
    case 0xc5:
        return DS;
    case 0xb2:
        return SS;
    case 0xb4:
        return FS;
    default:
        return GS;
    }
}

bool run_lxs(struct cpu *cpu, const struct insn *in)
{
    const uint64_t at = operand_offset(cpu, in);
    const uint64_t selector_at = (at + in->width) & width_mask(in->addr_size);
    uint64_t offset, selector;

    if (!access_read(cpu, in->seg, at, in->width, &offset) ||
        !access_read(cpu, in->seg, selector_at, 2, &selector) ||
        !segment_load(cpu, lxs_segment(in->opcode), (uint16_t)selector))
        return false;
    gpr_write(cpu, in->ops[0].reg, in->width, offset);
    return true;
}

bool run_swapgs(struct cpu *cpu, const struct insn *in)
{
    const uint64_t base = cpu->seg[GS].base;

    (void)in;
    cpu->seg[GS].base = cpu->kernel_gs_base;
    cpu->kernel_gs_base = base;
    return true;
}

/* ---- queries ---- */

/* Types that LAR and LSL know, a bit each: [SDM 2A "LAR", "LSL"].  IA-32e mode knows fewer. */
#define LAR_TYPES                                                                         \
    (1u << DESC_TSS16 | 1u << DESC_LDT | 1u << DESC_TSS16_BUSY | 1u << DESC_CALL_GATE16 | \
     1u << DESC_TASK_GATE | 1u << DESC_TSS32 | 1u << DESC_TSS32_BUSY | 1u << DESC_CALL_GATE32)
#define LAR_TYPES_LONG \
    (1u << DESC_LDT | 1u << DESC_TSS32 | 1u << DESC_TSS32_BUSY | 1u << DESC_CALL_GATE32)
#define LSL_TYPES                                                                   \
    (1u << DESC_TSS16 | 1u << DESC_LDT | 1u << DESC_TSS16_BUSY | 1u << DESC_TSS32 | \
     1u << DESC_TSS32_BUSY)
#define LSL_TYPES_LONG (1u << DESC_LDT | 1u << DESC_TSS32 | 1u << DESC_TSS32_BUSY)

/*
 * Look a selector up for LAR, LSL, VERR, VERW: *visible tells whether the descriptor exists and the
 * privilege rules let the program see it.  Only page faults fail.
 */
static bool query_descriptor(struct cpu *cpu, uint16_t selector, struct descriptor *d,
                             bool *visible)
{
    *visible = false;
    *d = (struct descriptor){.selector = selector};
    if (selector_is_null(selector) || !descriptor_locate(cpu, selector, 8, &d->at))
        return true;
    if (!access_linear_read(cpu, d->at, 8, VIEW_SUPERVISOR, &d->raw))
        return false;
    *visible = (descriptor_is_code(d) && descriptor_is_conforming(d)) ||
               (cpu->cpl <= descriptor_dpl(d) && (selector & 3u) <= descriptor_dpl(d));
    return true;
}

static bool query_type_in(const struct descriptor *d, unsigned system_types)
{
    return descriptor_type(d) & SEG_S || system_types >> descriptor_type(d) & 1;
}

bool run_lar(struct cpu *cpu, const struct insn *in)
{
    struct descriptor d;
    uint64_t selector;
    bool ok;

    if (!operand_read(cpu, in, 1, &selector) || !query_descriptor(cpu, (uint16_t)selector, &d, &ok))
        return false;
    ok = ok && query_type_in(&d, cpu_is_long(cpu) ? LAR_TYPES_LONG : LAR_TYPES);
    if (ok)
        gpr_write(cpu, in->ops[0].reg, in->ops[0].size,
                  d.raw >> 32 & (in->ops[0].size == 2 ? 0xff00 : 0xffff00));
    set_zf(cpu, ok);
    return true;
}

bool run_lsl(struct cpu *cpu, const struct insn *in)
{
    struct descriptor d;
    uint64_t selector;
    bool ok;

    if (!operand_read(cpu, in, 1, &selector) || !query_descriptor(cpu, (uint16_t)selector, &d, &ok))
        return false;
    ok = ok && query_type_in(&d, cpu_is_long(cpu) ? LSL_TYPES_LONG : LSL_TYPES);
    if (ok)
        gpr_write(cpu, in->ops[0].reg, in->ops[0].size, descriptor_limit(&d));
    set_zf(cpu, ok);
    return true;
}

bool run_verr(struct cpu *cpu, const struct insn *in)
{
    struct descriptor d;
    uint64_t selector;
    bool ok;

    if (!operand_read(cpu, in, 0, &selector) || !query_descriptor(cpu, (uint16_t)selector, &d, &ok))
        return false;
    set_zf(cpu, ok && descriptor_is_readable(&d));
    return true;
}

bool run_verw(struct cpu *cpu, const struct insn *in)
{
    struct descriptor d;
    uint64_t selector;
    bool ok;

    if (!operand_read(cpu, in, 0, &selector) || !query_descriptor(cpu, (uint16_t)selector, &d, &ok))
        return false;
    set_zf(cpu, ok && descriptor_is_writable_data(&d));
    return true;
}

bool run_arpl(struct cpu *cpu, const struct insn *in)
{
    uint64_t dst, src;

    if (!operand_read(cpu, in, 0, &dst) || !operand_read(cpu, in, 1, &src))
        return false;
    if ((dst & 3) >= (src & 3)) {
        set_zf(cpu, false);
        return true;
    }
    if (!operand_write(cpu, in, 0, (dst & ~3ull) | (src & 3)))
        return false;
    set_zf(cpu, true);
    return true;
}

/* ---- LDTR and TR ---- */

/* LLDT and LTR look at the GDT only, and at a present descriptor of their type. */
static bool system_descriptor(struct cpu *cpu, uint16_t selector, unsigned types,
                              struct descriptor *d)
{
    const uint32_t error = selector_error(selector, 0);

    if (selector & 4)
        return fault_gp(cpu, error);
    if (!descriptor_read(cpu, selector, VEC_GP, 0, d))
        return false;
    if (descriptor_type(d) & SEG_S || !(types >> descriptor_type(d) & 1))
        return fault_gp(cpu, error);
    if (!descriptor_present(d))
        return fault_np(cpu, error);
    if (cpu_is_long(cpu) && !linear_is_canonical(cpu, descriptor_base(d)))
        return fault_gp(cpu, error);
    return true;
}

bool run_lldt(struct cpu *cpu, const struct insn *in)
{
    struct descriptor d;
    uint64_t selector;

    if (!operand_read(cpu, in, 0, &selector))
        return false;
    if (selector_is_null((uint16_t)selector)) {
        cpu->ldtr = (struct segment){.selector = (uint16_t)selector};
        return true;
    }
    if (!system_descriptor(cpu, (uint16_t)selector, 1u << DESC_LDT, &d))
        return false;
    segment_unpack(d.raw, (uint16_t)selector, &cpu->ldtr);
    cpu->ldtr.base = descriptor_base(&d);
    return true;
}

bool run_ltr(struct cpu *cpu, const struct insn *in)
{
    const unsigned types =
        cpu_is_long(cpu) ? 1u << DESC_TSS32 : 1u << DESC_TSS32 | 1u << DESC_TSS16;
    struct descriptor d;
    uint64_t selector;

    if (!operand_read(cpu, in, 0, &selector))
        return false;
    if (selector_is_null((uint16_t)selector))
        return fault_gp(cpu, 0);
    if (!system_descriptor(cpu, (uint16_t)selector, types, &d) ||
        !descriptor_set_busy(cpu, &d, true))
        return false;
    segment_unpack(d.raw, (uint16_t)selector, &cpu->tr);
    cpu->tr.base = descriptor_base(&d);
    return true;
}

/* SLDT and STR; UMIP keeps them from user programs. [SDM 3A 2.5] */
static bool store_selector(struct cpu *cpu, const struct insn *in, uint16_t selector)
{
    if (cpu->cr4 & CR4_UMIP && cpu->cpl > 0)
        return fault_gp(cpu, 0);
    return operand_write(cpu, in, 0, selector);
}

bool run_sldt(struct cpu *cpu, const struct insn *in)
{
    return store_selector(cpu, in, cpu->ldtr.selector);
}

bool run_str(struct cpu *cpu, const struct insn *in)
{
    return store_selector(cpu, in, cpu->tr.selector);
}
