/*
 * translator/hosted.c -- the bases of a loop's arrays, as host addresses.
 *
 * An operand [base + index*scale + disp] of 64-bit code takes a sum, a check of it, and an access.
 * In a loop the base often stays.  Then the sum of the base and its region's distance is made once,
 * in front of the loop's second copy, and kept in a host register of its own, which rename.c has
 * found for it:
 *
 *     movups xmm0, [rsi + rax]       lea   rbp, [rsi + r10]         in front of the second copy
 *                                    ...
 *                                    sarx  rcx, rax, r10            how large is the index?
 *                                    movzx ecx, byte gs:[rcx*8 + 2048]
 *                                    movups xmm0, [rbp + rax - 27]
 *     movups xmm1, [rdx + rax]       movups xmm1, [rbx + rax - 27]  as large as before
 *
 * What is added has to keep within the guards of the base's region: a narrow index does
 * (narrow.c), another one is checked.  Shifted by 27 it is from -256 to 255 if index times scale is
 * within 32 GiB, and then the load is within the one page that can be read; otherwise it faults.
 * The product is taken modulo 2^64 for the check as well as for the access.  An instruction whose
 * index fails has the sum checked from then on (region_note.no_index).
 */
#include "translator/rules.h"
#include "translator/windows.h"

enum { INDEX_SHIFT = 35 }; /* see hosted_check_index() */

/* Of an operand that may be a hosted base's, as far as the instruction itself shows. */
static bool is_candidate(const struct build *b, const struct insn *in)
{
    const rule_fn rule = rule_table[in->row];
    const unsigned size = rules_memory_size(in);

    return (rule == rule_native || rule == rule_simd || rule == rule_x87 || rule == rule_div) &&
           in->has_mem && !in->vsib && in->addr_size == 8 && !in->rip_relative &&
           in->base != NO_REG && size != 0 && size <= 64 && build_flat(b, in->seg) &&
           in->disp >= INT32_MIN + WINDOW_BIAS;
}

/* Do jumps within the block lead to this offset from its start? */
static bool is_entered(const struct build *b, int64_t offset)
{
    if (offset == 0)
        return true;
    for (unsigned i = 0; b->insn_from != NULL && i < b->insn_count; i++)
        if (b->insn_inner[i] && b->insn_offsets[i] == offset)
            return true;
    return false;
}

/* Does the instruction jump to the loop's start or to where one inside begins, either way? */
static bool goes_back(const struct build *b, unsigned i)
{
    const struct insn *in = &b->insns[i];
    const int64_t end = b->insn_offsets[i] + in->length;
    const bool falls = i + 1 < b->insn_count && b->insn_offsets[i + 1] == end &&
                       (b->insn_from == NULL || b->insn_from[i + 1] == PATH_NEXT);

    if (!(insn_row(in)->traits & ENDS))
        return false;
    return (in->ops[0].kind == OPERAND_REL && is_entered(b, end + (int64_t)in->imm)) ||
           (!falls && is_entered(b, end));
}

/* Can what follows the instruction go back?  reach[i]: so it is of instruction i. */
static bool comes_back(const struct build *b, unsigned i, const bool *reach)
{
    if (goes_back(b, i))
        return true;
    if (i + 1 < b->insn_count && reach[i + 1] &&
        (b->insn_from == NULL || b->insn_from[i + 1] == PATH_NEXT))
        return true;
    for (unsigned way = i + 1; b->insn_from != NULL && way < b->insn_count; way++)
        if (b->insn_from[way] == i && reach[way])
            return true;
    return false;
}

uint16_t hosted_written(const struct build *b, unsigned from)
{
    bool reach[SUPERBLOCK_MAX_INSNS];
    uint16_t written = 0;

    for (unsigned i = b->insn_count; i-- > from;) {
        reach[i] = comes_back(b, i, reach);
        if (reach[i])
            written |=
                rule_table[b->insns[i].row] == rule_pop ? UINT16_MAX : rules_written(&b->insns[i]);
    }
    return written;
}

/* Was what is added to the register small when the path was taken? */
static bool was_base(const struct build *b, unsigned i, uint8_t base, uint8_t other, uint8_t scale)
{
    const uint64_t *gpr = b->path->gpr[b->path_steps[i]];
    const uint64_t added = gpr[other] * (scale != 0 ? scale : 1);
    const uint64_t sum = gpr[base] + added + (uint64_t)b->insns[i].disp;

    return added + (UINT64_C(1) << INDEX_SHIFT) < UINT64_C(2) << INDEX_SHIFT &&
           gpr[base] >> WINDOW_REGION_SHIFT == sum >> WINDOW_REGION_SHIFT;
}

/* The register among the operand's two that stays, and is what the other is added to. */
static uint8_t base_of(const struct build *b, unsigned i, uint16_t written)
{
    const struct insn *in = &b->insns[i];

    if (!is_candidate(b, in) || in->index == NO_REG)
        return NO_REG;
    if (!(written >> in->base & 1) && was_base(b, i, in->base, in->index, in->scale))
        return in->base;
    if (in->scale <= 1 && !(written >> in->index & 1) && was_base(b, i, in->index, in->base, 1))
        return in->index;
    return NO_REG;
}

void hosted_count(const struct build *b, unsigned own[16], unsigned hosted[16])
{
    const uint16_t written = hosted_written(b, b->second) | 1u << RSP;

    for (unsigned reg = 0; reg < 16; reg++)
        hosted[reg] = 0;
    if (b->second == 0 || b->path == NULL || !b->guesses || !build_has_regions(b) || b->no_groups ||
        b->tr->options.no_hosted)
        return;
    for (unsigned i = b->second; i < b->insn_count; i++) {
        const uint8_t base = base_of(b, i, written);

        if (base != NO_REG)
            hosted[base] += b->path_visits[i];
    }
    /* What is beside needs the base itself no longer. */
    for (unsigned i = b->second; i < b->insn_count; i++) {
        const struct insn *in = &b->insns[i];

        if (is_candidate(b, in) && in->index == NO_REG && hosted[in->base] != 0)
            hosted[in->base] += b->path_visits[i];
    }
    for (unsigned reg = 0; reg < 16; reg++)
        own[reg] -= hosted[reg] < own[reg] ? hosted[reg] : own[reg];
}

/* Which of the operand's registers has a host address; *other: what is added to it. */
static uint8_t base_among(const struct build *b, const struct insn *in, uint8_t *other)
{
    if (!b->has_hosted || !is_candidate(b, in))
        return NO_REG;
    *other = in->index;
    if (b->hosted[in->base] != NO_REG)
        return in->base;
    *other = in->base;
    return in->index != NO_REG && in->scale <= 1 && b->hosted[in->index] != NO_REG ? in->index
                                                                                   : NO_REG;
}

bool hosted_is_live(const struct build *b, const struct insn *in, bool may_check)
{
    uint8_t other = NO_REG;
    const uint8_t base = base_among(b, in, &other);

    return base != NO_REG && (b->region.hosts >> base & 1) &&
           (other == NO_REG || b->narrow >> other & 1 || may_check);
}

uint8_t hosted_anchor(const struct build *b, const struct insn *in, uint8_t *other)
{
    const uint8_t base = base_among(b, in, other);

    return base != NO_REG && *other != NO_REG ? base : NO_REG;
}

static unsigned log2_of(uint8_t scale)
{
    return scale <= 1 ? 0 : scale == 2 ? 1 : scale == 4 ? 2 : 3;
}

/*
 *     lea   rcx, [index * scale]       ; unless that is 1
 *     sarx  rcx, rcx, r10
 *     movzx ecx, byte gs:[rcx*8 + 2048]
 */
void hosted_check_index(struct build *b, uint8_t index, uint8_t scale)
{
    uint16_t *const small = &b->region.small[log2_of(scale)];
    uint8_t reg;

    if (b->narrow >> index & 1 || *small >> index & 1)
        return;
    reg = build_gpr_read(b, index, TC);
    if (scale > 1) {
        emit_lea(&b->e, W64, TC, INDEX(NO_REG, reg, scale, 0));
        reg = TC;
    }
    emit_sarx(&b->e, W64, TC, reg, HOST_GROUP);
    emit_check_index(&b->e);
    *small |= (uint16_t)(1u << index);
}

struct mem hosted_operand(const struct build *b, const struct insn *in)
{
    const int32_t disp = (int32_t)in->disp - WINDOW_BIAS;
    uint8_t other = NO_REG;
    const uint8_t base = base_among(b, in, &other), host = base < 16 ? b->hosted[base] : NO_REG;
    uint8_t index;

    if (other >= 16)
        return BASE(host, disp);
    index = b->contract->host[other];
    return INDEX(host, index == NO_REG ? T0 : index,
                 other == in->index && in->scale != 0 ? in->scale : 1, disp);
}

void hosted_go(struct build *b, const struct insn *in)
{
    uint8_t other = NO_REG;

    (void)base_among(b, in, &other);
    if (other >= 16)
        return;
    hosted_check_index(b, other, other == in->index ? in->scale : 1);
    (void)build_gpr_read(b, other, T0);
}

void hosted_begin(struct build *b)
{
    const uint16_t exact = b->region.known & (uint16_t)~b->region.wide;

    for (uint8_t reg = 0; reg < 16; reg++) {
        if (b->hosted[reg] == NO_REG || !(exact >> reg & 1))
            continue;
        emit_lea(&b->e, W64, b->hosted[reg], INDEX(build_gpr_read(b, reg, T0), HOST_GROUP, 1, 0));
        b->region.hosts |= (uint16_t)(1u << reg);
    }
}

void hosted_after(struct build *b, const struct insn *in)
{
    struct region *r = &b->region;
    const uint16_t written = rules_written(in);

    r->hosts &= (uint16_t)~written;
    for (unsigned log2 = 0; log2 < 4; log2++) {
        for (unsigned left = written & r->small[log2]; left != 0; left &= left - 1) {
            const unsigned reg = (unsigned)__builtin_ctz(left);
            const int64_t step = rules_step(in, reg);

            if (step == 0 || step > WINDOW_DRIFT_MAX || step < -WINDOW_DRIFT_MAX)
                r->small[log2] &= (uint16_t) ~(1u << reg);
            else
                r->drift += (int32_t)(step < 0 ? -step : step);
        }
    }
}
