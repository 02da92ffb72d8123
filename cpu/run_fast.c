/*
 * cpu/run_fast.c -- specialised handlers for the most frequent instruction forms.
 *
 * The handlers of the other run_*.c files are the reference; those here do the same for one
 * choice of operand kinds, size and addressing, known when the instruction is decoded.  Memory
 * forms exist for flat segments only (32-bit with MODE_FLAT, 64-bit without FS and GS), where an
 * effective address is a linear address, and handle only what is in the TLB: for anything else
 * they call the reference handler, which starts the instruction again.
 */
#include "cpu/run_fast.h"

#include "cpu/flags.h"
#include "cpu/run.h"

#define INLINE static inline __attribute__((always_inline))

/* How the effective address is made. */
enum fast_address {
    ADDRESS_BASE32, /* base + disp, 32-bit */
    ADDRESS_ANY32,  /* anything, 32-bit */
    ADDRESS_ANY64,  /* anything, 64-bit */
    ADDRESS_KINDS,
    ADDRESS_NONE = ADDRESS_KINDS, /* not for the fast handlers */
};

INLINE linaddr_t fast_linear(const struct cpu *cpu, const struct insn *in, enum fast_address kind)
{
    uint64_t linear = (uint64_t)in->disp;

    if (kind == ADDRESS_BASE32)
        return (uint32_t)(linear + cpu->gpr[in->base]);
    if (in->base != NO_REG)
        linear += cpu->gpr[in->base];
    if (in->index != NO_REG)
        linear += cpu->gpr[in->index] * in->scale;
    if (kind == ADDRESS_ANY32)
        return (uint32_t)linear;
    return in->rip_relative ? linear + cpu->rip : linear;
}

/* Host address for a load or a store (and load) of `size` bytes, NULL when the TLB does not say. */
INLINE const uint8_t *fast_load(struct cpu *cpu, linaddr_t linear, unsigned size)
{
    const struct tlb_entry *const entry = access_tlb_entry(cpu, mmu_view(cpu), linear);

    if (__builtin_expect(entry->tag_read != access_tlb_tag(linear, size), 0))
        return NULL;
    return (const uint8_t *)(linear + entry->addend);
}
INLINE uint8_t *fast_store(struct cpu *cpu, linaddr_t linear, unsigned size)
{
    const struct tlb_entry *const entry = access_tlb_entry(cpu, mmu_view(cpu), linear);

    if (__builtin_expect(entry->tag_write != access_tlb_tag(linear, size), 0))
        return NULL;
    return (uint8_t *)(linear + entry->addend);
}

typedef uint64_t (*binary_fn)(unsigned size, uint64_t dst, uint64_t src, uint32_t *host);

/* Second operand of a binary form. */
enum fast_source { SOURCE_REG, SOURCE_IMM };

INLINE uint64_t fast_source(const struct cpu *cpu, const struct insn *in, enum fast_source source)
{
    return source == SOURCE_IMM ? in->imm : cpu->gpr[in->ops[1].reg];
}

/* reg <op>= reg or imm. */
INLINE bool fast_alu_reg(struct cpu *cpu, const struct insn *in, unsigned size,
                         enum fast_source source, bool writes, binary_fn op)
{
    const unsigned reg = in->ops[0].reg;
    uint32_t host;
    const uint64_t result = op(size, cpu->gpr[reg], fast_source(cpu, in, source), &host);

    if (writes)
        gpr_write(cpu, reg, size, result);
    flags_commit_all(cpu, host);
    return true;
}
/* reg <op>= memory. */
INLINE bool fast_alu_load(struct cpu *cpu, const struct insn *in, unsigned size,
                          enum fast_address address, bool writes, binary_fn op,
                          insn_run_fn reference)
{
    const unsigned reg = in->ops[0].reg;
    const uint8_t *const memory = fast_load(cpu, fast_linear(cpu, in, address), size);
    uint64_t result;
    uint32_t host;

    if (memory == NULL)
        return reference(cpu, in);
    result = op(size, cpu->gpr[reg], access_host_load(memory, size), &host);
    if (writes)
        gpr_write(cpu, reg, size, result);
    flags_commit_all(cpu, host);
    return true;
}
/* memory <op>= reg or imm. */
INLINE bool fast_alu_store(struct cpu *cpu, const struct insn *in, unsigned size,
                           enum fast_address address, enum fast_source source, bool writes,
                           binary_fn op, insn_run_fn reference)
{
    const linaddr_t linear = fast_linear(cpu, in, address);
    uint8_t *const memory =
        writes ? fast_store(cpu, linear, size) : (uint8_t *)fast_load(cpu, linear, size);
    uint64_t result;
    uint32_t host;

    if (memory == NULL)
        return reference(cpu, in);
    result = op(size, access_host_load(memory, size), fast_source(cpu, in, source), &host);
    if (writes)
        access_host_store(memory, size, result);
    flags_commit_all(cpu, host);
    return true;
}

INLINE bool fast_mov_load(struct cpu *cpu, const struct insn *in, unsigned from, unsigned to,
                          bool sign, enum fast_address address, insn_run_fn reference)
{
    const uint8_t *const memory = fast_load(cpu, fast_linear(cpu, in, address), from);
    uint64_t value;

    if (memory == NULL)
        return reference(cpu, in);
    value = access_host_load(memory, from);
    gpr_write(cpu, in->ops[0].reg, to, sign ? sign_extend(value, from) : value);
    return true;
}
INLINE bool fast_mov_store(struct cpu *cpu, const struct insn *in, unsigned size,
                           enum fast_address address, enum fast_source source,
                           insn_run_fn reference)
{
    uint8_t *const memory = fast_store(cpu, fast_linear(cpu, in, address), size);

    if (memory == NULL)
        return reference(cpu, in);
    access_host_store(memory, size, fast_source(cpu, in, source));
    return true;
}
INLINE bool fast_mov_reg(struct cpu *cpu, const struct insn *in, unsigned size,
                         enum fast_source source)
{
    gpr_write(cpu, in->ops[0].reg, size, fast_source(cpu, in, source));
    return true;
}
INLINE bool fast_extend_reg(struct cpu *cpu, const struct insn *in, unsigned from, bool sign)
{
    const uint64_t value = cpu->gpr[in->ops[1].reg] & width_mask(from);

    gpr_write(cpu, in->ops[0].reg, 4, sign ? sign_extend(value, from) : value);
    return true;
}

/* clang-format off */

/* ---- the families: one function per size (1, 2, 4, 8) and addressing ---- */

#define FAST_FN(name) static bool name(struct cpu *cpu, const struct insn *in)

#define FAST_ALU_SIZE(op, fn, writes, size)                                                        \
    FAST_FN(op##_rr_##size) { return fast_alu_reg(cpu, in, size, SOURCE_REG, writes, fn); }        \
    FAST_FN(op##_ri_##size) { return fast_alu_reg(cpu, in, size, SOURCE_IMM, writes, fn); }
#define FAST_ALU_ADDRESS(op, fn, writes, size, address)                                            \
    FAST_FN(op##_rm_##size##_##address)                                                            \
    { return fast_alu_load(cpu, in, size, address, writes, fn, run_##op); }                        \
    FAST_FN(op##_mr_##size##_##address)                                                            \
    { return fast_alu_store(cpu, in, size, address, SOURCE_REG, writes, fn, run_##op); }           \
    FAST_FN(op##_mi_##size##_##address)                                                            \
    { return fast_alu_store(cpu, in, size, address, SOURCE_IMM, writes, fn, run_##op); }

/* Fast forms of one mnemonic; NULL where there is none.  The index of a size is its log2. */
struct fast_family {
    insn_run_fn run;
    insn_run_fn rr[4], ri[4];
    insn_run_fn rm[4][ADDRESS_KINDS], mr[4][ADDRESS_KINDS], mi[4][ADDRESS_KINDS];
};

#define FAST_ALU(op, fn, writes)                                                                   \
    FAST_ALU_SIZE(op, fn, writes, 1)                                                               \
    FAST_ALU_SIZE(op, fn, writes, 2)                                                               \
    FAST_ALU_SIZE(op, fn, writes, 4)                                                               \
    FAST_ALU_SIZE(op, fn, writes, 8)                                                               \
    FAST_ALU_ADDRESS(op, fn, writes, 1, ADDRESS_BASE32)                                            \
    FAST_ALU_ADDRESS(op, fn, writes, 1, ADDRESS_ANY32)                                             \
    FAST_ALU_ADDRESS(op, fn, writes, 1, ADDRESS_ANY64)                                             \
    FAST_ALU_ADDRESS(op, fn, writes, 4, ADDRESS_BASE32)                                            \
    FAST_ALU_ADDRESS(op, fn, writes, 4, ADDRESS_ANY32)                                             \
    FAST_ALU_ADDRESS(op, fn, writes, 4, ADDRESS_ANY64)                                             \
    FAST_ALU_ADDRESS(op, fn, writes, 8, ADDRESS_ANY64)                                             \
    static const struct fast_family family_##op = {                                                \
        .run = run_##op,                                                                           \
        .rr = {op##_rr_1, op##_rr_2, op##_rr_4, op##_rr_8},                                        \
        .ri = {op##_ri_1, op##_ri_2, op##_ri_4, op##_ri_8},                                        \
        .rm = {{op##_rm_1_ADDRESS_BASE32, op##_rm_1_ADDRESS_ANY32, op##_rm_1_ADDRESS_ANY64}, {0},  \
               {op##_rm_4_ADDRESS_BASE32, op##_rm_4_ADDRESS_ANY32, op##_rm_4_ADDRESS_ANY64},       \
               {0, 0, op##_rm_8_ADDRESS_ANY64}},                                                   \
        .mr = {{op##_mr_1_ADDRESS_BASE32, op##_mr_1_ADDRESS_ANY32, op##_mr_1_ADDRESS_ANY64}, {0},  \
               {op##_mr_4_ADDRESS_BASE32, op##_mr_4_ADDRESS_ANY32, op##_mr_4_ADDRESS_ANY64},       \
               {0, 0, op##_mr_8_ADDRESS_ANY64}},                                                   \
        .mi = {{op##_mi_1_ADDRESS_BASE32, op##_mi_1_ADDRESS_ANY32, op##_mi_1_ADDRESS_ANY64}, {0},  \
               {op##_mi_4_ADDRESS_BASE32, op##_mi_4_ADDRESS_ANY32, op##_mi_4_ADDRESS_ANY64},       \
               {0, 0, op##_mi_8_ADDRESS_ANY64}},                                                   \
    };
FAST_ALU(add, flags_add, true)
FAST_ALU(sub, flags_sub, true)
FAST_ALU(and, flags_and, true)
FAST_ALU(or, flags_or, true)
FAST_ALU(xor, flags_xor, true)
FAST_ALU(cmp, flags_sub, false)
FAST_ALU(test, flags_and, false)

#define FAST_MOV_SIZE(size)                                                                        \
    FAST_FN(mov_rr_##size) { return fast_mov_reg(cpu, in, size, SOURCE_REG); }                     \
    FAST_FN(mov_ri_##size) { return fast_mov_reg(cpu, in, size, SOURCE_IMM); }
#define FAST_MOV_ADDRESS(size, address)                                                            \
    FAST_FN(mov_rm_##size##_##address)                                                             \
    { return fast_mov_load(cpu, in, size, size, false, address, run_mov); }                        \
    FAST_FN(mov_mr_##size##_##address)                                                             \
    { return fast_mov_store(cpu, in, size, address, SOURCE_REG, run_mov); }                        \
    FAST_FN(mov_mi_##size##_##address)                                                             \
    { return fast_mov_store(cpu, in, size, address, SOURCE_IMM, run_mov); }
#define FAST_MOV_ADDRESSES(size)                                                                   \
    FAST_MOV_ADDRESS(size, ADDRESS_BASE32)                                                         \
    FAST_MOV_ADDRESS(size, ADDRESS_ANY32)                                                          \
    FAST_MOV_ADDRESS(size, ADDRESS_ANY64)
FAST_MOV_SIZE(1)
FAST_MOV_SIZE(2)
FAST_MOV_SIZE(4)
FAST_MOV_SIZE(8)
FAST_MOV_ADDRESSES(1)
FAST_MOV_ADDRESSES(2)
FAST_MOV_ADDRESSES(4)
FAST_MOV_ADDRESS(8, ADDRESS_ANY64)
#define FAST_MOV_ROW(form, size)                                                                   \
    {mov_##form##_##size##_ADDRESS_BASE32, mov_##form##_##size##_ADDRESS_ANY32,                    \
     mov_##form##_##size##_ADDRESS_ANY64}
static const struct fast_family family_mov = {
    .run = run_mov,
    .rr = {mov_rr_1, mov_rr_2, mov_rr_4, mov_rr_8},
    .ri = {mov_ri_1, mov_ri_2, mov_ri_4, mov_ri_8},
    .rm = {FAST_MOV_ROW(rm, 1), FAST_MOV_ROW(rm, 2), FAST_MOV_ROW(rm, 4),
           {0, 0, mov_rm_8_ADDRESS_ANY64}},
    .mr = {FAST_MOV_ROW(mr, 1), FAST_MOV_ROW(mr, 2), FAST_MOV_ROW(mr, 4),
           {0, 0, mov_mr_8_ADDRESS_ANY64}},
    .mi = {FAST_MOV_ROW(mi, 1), FAST_MOV_ROW(mi, 2), FAST_MOV_ROW(mi, 4),
           {0, 0, mov_mi_8_ADDRESS_ANY64}},
};

/* MOVZX, MOVSX to a 32-bit register; the index is the source's size - 1. */
#define FAST_EXTEND(op, sign, from)                                                                \
    FAST_FN(op##_rr_##from) { return fast_extend_reg(cpu, in, from, sign); }                       \
    FAST_FN(op##_rm_##from##_ADDRESS_BASE32)                                                       \
    { return fast_mov_load(cpu, in, from, 4, sign, ADDRESS_BASE32, run_##op); }                    \
    FAST_FN(op##_rm_##from##_ADDRESS_ANY32)                                                        \
    { return fast_mov_load(cpu, in, from, 4, sign, ADDRESS_ANY32, run_##op); }                     \
    FAST_FN(op##_rm_##from##_ADDRESS_ANY64)                                                        \
    { return fast_mov_load(cpu, in, from, 4, sign, ADDRESS_ANY64, run_##op); }
FAST_EXTEND(movzx, false, 1)
FAST_EXTEND(movzx, false, 2)
FAST_EXTEND(movsx, true, 1)
FAST_EXTEND(movsx, true, 2)
struct fast_extend {
    insn_run_fn rr, rm[ADDRESS_KINDS];
};
#define FAST_EXTEND_ROW(op, from)                                                                  \
    {op##_rr_##from, {op##_rm_##from##_ADDRESS_BASE32, op##_rm_##from##_ADDRESS_ANY32,             \
                      op##_rm_##from##_ADDRESS_ANY64}}
static const struct fast_extend extend_movzx[2] = {
    FAST_EXTEND_ROW(movzx, 1), FAST_EXTEND_ROW(movzx, 2)};
static const struct fast_extend extend_movsx[2] = {
    FAST_EXTEND_ROW(movsx, 1), FAST_EXTEND_ROW(movsx, 2)};

/* ---- 32-bit flat code: conditional jumps, one handler a condition ---- */

#define FAST_JCC(cc)                                                                               \
    FAST_FN(jcc_##cc)                                                                              \
    {                                                                                              \
        if (flags_condition(cpu->rflags, cc))                                                      \
            cpu->rip = (uint32_t)(cpu->rip + in->imm);                                             \
        return true;                                                                               \
    }
FAST_JCC(0) FAST_JCC(1) FAST_JCC(2) FAST_JCC(3) FAST_JCC(4) FAST_JCC(5) FAST_JCC(6) FAST_JCC(7)
FAST_JCC(8) FAST_JCC(9) FAST_JCC(10) FAST_JCC(11) FAST_JCC(12) FAST_JCC(13) FAST_JCC(14)
FAST_JCC(15)
static const insn_run_fn fast_jcc[16] = {
    jcc_0, jcc_1, jcc_2, jcc_3, jcc_4, jcc_5, jcc_6, jcc_7,
    jcc_8, jcc_9, jcc_10, jcc_11, jcc_12, jcc_13, jcc_14, jcc_15,
};
/* clang-format on */

/* ---- 32-bit flat code and stack ---- */

static bool jmp_rel(struct cpu *cpu, const struct insn *in)
{
    cpu->rip = (uint32_t)(cpu->rip + in->imm);
    return true;
}

INLINE bool fast_push(struct cpu *cpu, uint32_t value, const struct insn *in, insn_run_fn reference)
{
    const uint32_t esp = (uint32_t)cpu->gpr[RSP] - 4;
    uint8_t *const memory = fast_store(cpu, esp, 4);

    if (memory == NULL)
        return reference(cpu, in);
    access_host_store(memory, 4, value);
    cpu->gpr[RSP] = esp;
    return true;
}
static bool push_reg(struct cpu *cpu, const struct insn *in)
{
    return fast_push(cpu, (uint32_t)cpu->gpr[in->ops[0].reg], in, run_push);
}
static bool push_imm(struct cpu *cpu, const struct insn *in)
{
    return fast_push(cpu, (uint32_t)in->imm, in, run_push);
}
static bool pop_reg(struct cpu *cpu, const struct insn *in)
{
    const uint32_t esp = (uint32_t)cpu->gpr[RSP];
    const uint8_t *const memory = fast_load(cpu, esp, 4);

    if (memory == NULL)
        return run_pop(cpu, in);
    cpu->gpr[RSP] = (uint32_t)(esp + 4);
    cpu->gpr[in->ops[0].reg] = access_host_load(memory, 4);
    return true;
}
static bool call_rel(struct cpu *cpu, const struct insn *in)
{
    const uint32_t esp = (uint32_t)cpu->gpr[RSP] - 4;
    uint8_t *const memory = fast_store(cpu, esp, 4);

    if (memory == NULL)
        return run_call(cpu, in);
    access_host_store(memory, 4, cpu->rip);
    cpu->gpr[RSP] = esp;
    cpu->rip = (uint32_t)(cpu->rip + in->imm);
    return true;
}
static bool ret_plain(struct cpu *cpu, const struct insn *in)
{
    const uint32_t esp = (uint32_t)cpu->gpr[RSP];
    const uint8_t *const memory = fast_load(cpu, esp, 4);

    if (memory == NULL)
        return run_ret(cpu, in);
    cpu->gpr[RSP] = (uint32_t)(esp + 4);
    cpu->rip = access_host_load(memory, 4);
    return true;
}

/* ---- any code size: 32-bit register forms ---- */

static bool inc_reg32(struct cpu *cpu, const struct insn *in)
{
    uint64_t *const reg = &cpu->gpr[in->ops[0].reg];
    uint32_t host;

    *reg = flags_add(4, *reg, 1, &host); /* INC is ADD 1 that leaves CF */
    flags_commit(cpu, FLAGS_OSZAPC & ~FLAG_CF, host);
    return true;
}
static bool dec_reg32(struct cpu *cpu, const struct insn *in)
{
    uint64_t *const reg = &cpu->gpr[in->ops[0].reg];
    uint32_t host;

    *reg = flags_sub(4, *reg, 1, &host);
    flags_commit(cpu, FLAGS_OSZAPC & ~FLAG_CF, host);
    return true;
}

typedef uint64_t (*shift_fn)(unsigned size, uint64_t dst, unsigned count, uint32_t *host);

INLINE bool fast_shift32(struct cpu *cpu, const struct insn *in, shift_fn op)
{
    uint64_t *const reg = &cpu->gpr[in->ops[0].reg];
    uint32_t host = flags_to_host(cpu->rflags);

    *reg = op(4, *reg, (uint8_t)in->imm, &host);
    flags_commit_all(cpu, host);
    return true;
}
static bool shl_imm32(struct cpu *cpu, const struct insn *in)
{
    return fast_shift32(cpu, in, flags_shl);
}
static bool shr_imm32(struct cpu *cpu, const struct insn *in)
{
    return fast_shift32(cpu, in, flags_shr);
}
static bool sar_imm32(struct cpu *cpu, const struct insn *in)
{
    return fast_shift32(cpu, in, flags_sar);
}

static bool lea_base32(struct cpu *cpu, const struct insn *in)
{
    cpu->gpr[in->ops[0].reg] = fast_linear(cpu, in, ADDRESS_BASE32);
    return true;
}
static bool lea_any32(struct cpu *cpu, const struct insn *in)
{
    cpu->gpr[in->ops[0].reg] = fast_linear(cpu, in, ADDRESS_ANY32);
    return true;
}
static bool lea_any64(struct cpu *cpu, const struct insn *in)
{
    cpu->gpr[in->ops[0].reg] = fast_linear(cpu, in, ADDRESS_ANY64);
    return true;
}

/* ---- choice ---- */

/* How `in`'s effective address is made, whatever its segment. */
static enum fast_address address_kind(const struct insn *in)
{
    if (in->addr_size == 8)
        return ADDRESS_ANY64;
    if (in->addr_size != 4 || in->rip_relative)
        return ADDRESS_NONE;
    return in->base != NO_REG && in->index == NO_REG ? ADDRESS_BASE32 : ADDRESS_ANY32;
}

/* ... for an access: only through segments that are flat under `mode`. */
static enum fast_address access_kind(uint32_t mode, const struct insn *in)
{
    const bool code64 = mode_is_code64(mode);

    if (in->seg >= FS || in->seg == CS || (!code64 && !(mode & MODE_FLAT)))
        return ADDRESS_NONE;
    if (code64 && in->addr_size != 8)
        return ADDRESS_NONE;
    return address_kind(in);
}

static insn_run_fn family_pick(const struct fast_family *family, enum fast_address address,
                               const struct insn *in)
{
    const struct operand *const dst = &in->ops[0], *const src = &in->ops[1];
    const unsigned size = dst->size == 1 ? 0 : dst->size == 2 ? 1 : dst->size == 4 ? 2 : 3;
    insn_run_fn fast = NULL;

    if (dst->kind == OPERAND_GPR) {
        if (src->kind == OPERAND_GPR)
            fast = family->rr[size];
        else if (src->kind == OPERAND_IMM)
            fast = family->ri[size];
        else if (src->kind == OPERAND_MEM && address != ADDRESS_NONE)
            fast = family->rm[size][address];
    } else if (dst->kind == OPERAND_MEM && address != ADDRESS_NONE) {
        if (src->kind == OPERAND_GPR)
            fast = family->mr[size][address];
        else if (src->kind == OPERAND_IMM)
            fast = family->mi[size][address];
    }
    return fast ? fast : family->run;
}

static insn_run_fn extend_pick(const struct fast_extend *extend, enum fast_address address,
                               const struct insn *in, insn_run_fn run)
{
    const struct operand *const src = &in->ops[1];

    if (in->ops[0].size != 4 || src->size > 2)
        return run;
    extend += src->size - 1;
    if (src->kind == OPERAND_GPR)
        return extend->rr;
    return src->kind == OPERAND_MEM && address != ADDRESS_NONE ? extend->rm[address] : run;
}

static insn_run_fn lea_pick(const struct insn *in, insn_run_fn run)
{
    static const insn_run_fn lea[ADDRESS_KINDS] = {lea_base32, lea_any32, lea_any64};
    const enum fast_address address = address_kind(in);

    if (address == ADDRESS_NONE || in->ops[0].size != (address == ADDRESS_ANY64 ? 8 : 4))
        return run;
    return lea[address];
}

/* Flat 32-bit code and stack: jumps need no limit check, the stack no wrap. */
static insn_run_fn flow_pick(const struct insn *in, insn_run_fn run)
{
    const unsigned kind = in->ops[0].kind;

    if (in->width != 4)
        return run;
    if (run == run_jcc)
        return fast_jcc[in->opcode & 15];
    if (run == run_jmp)
        return kind == OPERAND_REL ? jmp_rel : run;
    if (run == run_call)
        return kind == OPERAND_REL ? call_rel : run;
    if (run == run_ret)
        return kind == OPERAND_NONE ? ret_plain : run;
    if (run == run_push)
        return kind == OPERAND_GPR ? push_reg : kind == OPERAND_IMM ? push_imm : run;
    if (run == run_pop)
        return kind == OPERAND_GPR ? pop_reg : run;
    return run;
}

static insn_run_fn reg32_pick(const struct insn *in, insn_run_fn run)
{
    if (in->ops[0].kind != OPERAND_GPR || in->ops[0].size != 4)
        return run;
    if (run == run_inc)
        return inc_reg32;
    if (run == run_dec)
        return dec_reg32;
    if (in->ops[1].kind != OPERAND_IMM)
        return run;
    return run == run_shl   ? shl_imm32
           : run == run_shr ? shr_imm32
           : run == run_sar ? sar_imm32
                            : run;
}

insn_run_fn run_fast_pick(uint32_t mode, const struct insn *in, insn_run_fn run)
{
    static const struct fast_family *const families[] = {
        &family_mov, &family_add, &family_sub,  &family_and,
        &family_or,  &family_xor, &family_test, &family_cmp,
    };
    const uint32_t flat32 = MODE_FLAT | MODE_STACK32 | MODE_CODE32;
    const enum fast_address address = access_kind(mode, in);

    for (unsigned i = 0; i < sizeof(families) / sizeof(families[0]); i++)
        if (run == families[i]->run)
            return family_pick(families[i], address, in);
    if (run == run_movzx)
        return extend_pick(extend_movzx, address, in, run);
    if (run == run_movsx)
        return extend_pick(extend_movsx, address, in, run);
    if (run == run_lea)
        return lea_pick(in, run);
    if ((mode & (flat32 | MODE_CODE_MASK)) == flat32)
        run = flow_pick(in, run);
    return reg32_pick(in, run);
}
