/*
 * translator/narrow.c -- registers that hold numbers of 32 bits, as indices of arrays do.
 *
 * The region of [base + index] is looked up by the sum, and so the access waits for all of the
 * chain from the index through the look-up.  Where the index is known to be narrow, the base alone
 * names the region, as whatever is added keeps within its guards (translator/windows.h):
 *
 *     movzx eax, al                  movzx eax, al
 *     xor   ecx, [rdx + rax*4]       lea   r13, [rdx + rax*4]
 *                                    shrx  r14, rdx, r15           not by R13
 *                                    mov   r14, [r15 + r14*8 + slots]
 *                                    xor   r9d, [r13 + r14]
 *
 * If the sum leaves the base's region all the same, the access faults in a guard, and the
 * interpreter does it.
 *
 * A register is narrow from an instruction that zero-extends or sign-extends 32 bits or less into
 * it to the next that writes to it, or that may write to more than it shows.  Nothing is known at a
 * block's start. Blocks are entered in the middle only right behind an instruction of theirs that
 * was interpreted.
 */
#include "translator/rules.h"
#include "translator/windows.h"

/* Four times a narrow number and a displacement (makes_wide() in region.c); eight times one, a
 * displacement, what a base has moved, an operand. */
_Static_assert((UINT64_C(12) << 32) + (UINT64_C(2) << 31) + (2 + BUILD_INNERS) * WINDOW_DRIFT_MAX +
                       4096 <
                   UINT64_C(1) << WINDOW_GUARD_SHIFT,
               "within the guards");

void narrow_begin(struct build *b)
{
    b->narrow = 0;
}

/* Those that always write all of a 32-bit destination: MOV, the binary operations, LEA, IMUL,
 * shifts, and the extensions.  (BSF, for one, may leave it alone, upper half and all.) */
static bool extends(const struct insn *in)
{
    const uint8_t map = insn_row(in)->map, op = in->opcode;

    if (in->ops[0].kind != OPERAND_GPR)
        return false;
    if ((map == M0 && op == 0x63) || (map == M1 && (op & 0xf6) == 0xb6)) /* MOVSXD, MOVZX, MOVSX */
        return in->ops[0].size >= 4;
    if (in->ops[0].size != 4)
        return false;
    if (map == M1)
        return op == 0xaf;
    if (map == M0 && op == 0xc1)
        return (in->imm & 31) != 0;
    return map == M0 &&
           (op < 0x40 || op == 0x69 || op == 0x6b || op == 0x81 || op == 0x83 || op == 0x89 ||
            op == 0x8b || op == 0x8d || (op & 0xf8) == 0xb8 || op == 0xc7 || op == 0xd1);
}

/* Does the instruction write no registers but those that rules_written() says, and RSP? */
static bool is_plain(const struct insn *in)
{
    const rule_fn rule = rule_table[in->row];

    return rule == rule_native || rule == rule_simd || rule == rule_x87 || rule == rule_lea ||
           rule == rule_nop || rule == rule_div || rule == rule_push;
}

void narrow_after(struct build *b, const struct insn *in, bool called, bool passed)
{
    const uint16_t written = rules_written(in) | (insn_row(in)->traits & STACK ? 1u << RSP : 0u);

    if (called || !(passed || is_plain(in))) {
        b->narrow = 0;
        return;
    }
    b->narrow &= (uint16_t)~written;
    if (extends(in))
        b->narrow |= (uint16_t)(written & 1u << in->ops[0].reg);
}

static bool is_narrow(const struct build *b, uint8_t reg)
{
    return b->narrow >> reg & 1;
}

bool narrow_table(const struct build *b, const struct insn *in)
{
    return !in->vsib && in->addr_size == 8 && in->base == NO_REG && in->index != NO_REG &&
           is_narrow(b, in->index);
}

uint8_t narrow_anchor(const struct build *b, const struct insn *in)
{
    if (in->vsib || in->addr_size != 8 || in->rip_relative || in->base == NO_REG ||
        in->index == NO_REG)
        return NO_REG;
    if (is_narrow(b, in->index))
        return in->base;
    return is_narrow(b, in->base) && in->scale <= 1 ? in->index : NO_REG;
}
