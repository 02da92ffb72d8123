/*
 * translator/rename.c -- registers of a superblock's own.
 *
 * The contract of 64-bit code keeps seven guest registers in struct cpu, the same ones everywhere.
 * A loop may use just those most.  So a superblock of 64-bit code may have a contract of its own:
 * the registers that it names most often are in host registers, and those that it hardly names, or
 * not at all, are in struct cpu.
 *
 *     guest   1: movzx edx, [r9]           mov   [cpu.rbx], rbx       not named in the loop
 *             add  r9, 1                   mov   rbx, [cpu.r9]
 *             add  r10, rdx                mov   [cpu.rbp], rbp
 *             cmp  r9, r11                 mov   rbp, [cpu.r10]
 *             jne  1b                  1:  movzx edx, [host address by RBX]
 *                                          add   rbx, 1
 *                                          add   rbp, rdx
 *                                          cmp   rbx, r8              RSP is not named either
 *                                          ...                        poll
 *                                          jne   1b
 *
 * As each time that such a superblock is entered and left costs some ten instructions, it has to be
 * a loop: others were slower (gcc and python took 1.1 times as long).
 *
 * The contract holds again wherever the superblock is left: at its exits, at side exits, where it
 * is stopped, and when an instruction faults (translator/hostsignal.c goes to the code at the start
 * of the block's cold part).  Nobody can enter it but at its start.
 *
 * Two scratch registers may be lent as well: T1, as accesses whose region is known do without it,
 * and HOST_STACK, should RSP not be named.  Only instructions whose rules ask the contract for
 * every register are fit for this.  Should one of them need what is lent after all, the superblock
 * is made once more without (b->unfit).
 */
#include "translator/rules.h"

enum { WORTH = 2 }; /* uses more than what goes out has */

/* Rules that name registers by the contract only, but for RAX, RDX, and what pinned() knows. */
static bool is_fit(const struct insn *in, enum trace_go go)
{
    const rule_fn rule = rule_table[in->row];

    if (rule == rule_jcc || rule == rule_push || rule == rule_pop)
        return true;
    if (rule == rule_jmp)
        return in->ops[0].kind == OPERAND_REL || go != TRACE_ENDS;
    return rule == rule_native || rule == rule_simd || rule == rule_x87 || rule == rule_lea ||
           rule == rule_nop || rule == rule_div;
}

/* Uses of each guest register, as often as they were seen; pinned: those that stay where they are.
 */
struct uses {
    unsigned count[16];
    unsigned hosted[16]; /* of a base, by its host address */
    uint16_t pinned;
};

static void note_use(struct uses *uses, uint8_t reg, unsigned visits)
{
    if (reg != NO_REG)
        uses->count[reg] += visits;
}

static bool count_uses(const struct build *b, struct uses *uses)
{
    *uses = (struct uses){.pinned = 1u << RAX | 1u << RDX};
    for (unsigned i = 0; i < b->insn_count; i++) {
        const struct insn *in = &b->insns[i];
        const rule_fn rule = rule_table[in->row];
        const unsigned visits = b->path != NULL ? b->path_visits[i] : 1;

        if (b->insn_calls[i] || !is_fit(in, b->insn_goes[i]))
            return false;
        for (unsigned j = 0; j < INSN_OPERANDS; j++) {
            const struct operand *op = &in->ops[j];

            if (op->kind == OPERAND_GPR8H)
                uses->pinned |= (uint16_t)(1u << op->reg);
            if (op->kind == OPERAND_GPR || op->kind == OPERAND_GPR8H)
                note_use(uses, op->reg, visits);
        }
        if (in->has_mem) {
            note_use(uses, in->base, visits);
            if (!in->vsib)
                note_use(uses, in->index, visits);
        }
        if ((insn_row(in)->traits & (IMPLICIT | RAX_RDX)) == IMPLICIT && rule != rule_x87)
            uses->pinned |= 1u << RCX | 1u << RBX;
        if (rule == rule_push || rule == rule_pop)
            note_use(uses, RSP, visits);
    }
    /* Rules and shift counts know these two by where they are. */
    if (uses->count[RCX] != 0)
        uses->pinned |= 1u << RCX;
    if (uses->count[RSP] != 0)
        uses->pinned |= 1u << RSP;
    return true;
}

/* The guest register with the most uses that is in struct cpu, or the base that has no host
 * register for its address; NO_REG: none is used.  *count: how often. */
static uint8_t most_used(const struct build *b, const struct uses *uses, bool *hosted,
                         unsigned *count)
{
    uint8_t best = NO_REG;

    *count = 0;
    for (uint8_t reg = 0; reg < 16; reg++) {
        if (b->own.host[reg] == NO_REG && uses->count[reg] > *count) {
            best = reg;
            *hosted = false;
            *count = uses->count[reg];
        }
        if (b->hosted[reg] == NO_REG && uses->hosted[reg] > *count) {
            best = reg;
            *hosted = true;
            *count = uses->hosted[reg];
        }
    }
    return best;
}

/* The one with the fewest that is not and may be; NO_REG: none. */
static uint8_t least_used(const struct build *b, const struct uses *uses)
{
    uint8_t best = NO_REG;

    for (uint8_t reg = 0; reg < 16; reg++)
        if (b->own.host[reg] == contract64.host[reg] && contract64.host[reg] != NO_REG &&
            !(uses->pinned >> reg & 1) && (best == NO_REG || uses->count[reg] < uses->count[best]))
            best = reg;
    return best;
}

static void swap_in(struct build *b, uint8_t guest, bool hosted, uint8_t out, uint8_t host)
{
    b->swaps[b->swap_count++] =
        (struct swap){.in = hosted ? NO_REG : guest, .out = out, .host = host};
    if (hosted)
        b->hosted[guest] = host;
    else
        b->own.host[guest] = host;
    b->has_hosted |= hosted;
    if (out != NO_REG)
        b->own.host[out] = NO_REG;
    if (host == T1 || host == HOST_STACK || host == HOST_SP)
        b->lent |= (uint16_t)(1u << host);
}

/* Does one of the instructions go to the first? */
static bool is_loop(const struct build *b)
{
    for (unsigned i = 0; i < b->insn_count; i++) {
        const struct insn *in = &b->insns[i];

        if (in->ops[0].kind == OPERAND_REL &&
            (int64_t)in->imm + in->length + b->insn_offsets[i] == 0)
            return true;
    }
    return false;
}

/* The registers that are written at all, a bit each.  Of others struct cpu has the value all the
 * time. */
static uint16_t all_written(const struct build *b)
{
    uint16_t written = 0;

    for (unsigned i = 0; i < b->insn_count; i++)
        written |=
            rule_table[b->insns[i].row] == rule_pop ? UINT16_MAX : rules_written(&b->insns[i]);
    return written;
}

void rename_begin(struct build *b, enum renaming renaming)
{
    struct uses uses;
    uint8_t spare[2];
    unsigned spares = 0;
    uint16_t written;

    for (unsigned reg = 0; reg < 16; reg++)
        b->hosted[reg] = NO_REG;
    b->has_hosted = false;
    b->swap_count = 0;
    b->lent = 0;
    b->unfit = false;
    b->block->renamed = false;
    if (renaming == RENAMING_NONE || !b->code64 ||
        !(is_loop(b) || b->tr->options.eager_superblock) || b->tr->options.no_rename ||
        !count_uses(b, &uses))
        return;
    b->own = contract64;
    hosted_count(b, uses.count, uses.hosted);
    if (renaming == RENAMING_LENDS && build_has_regions(b)) {
        spare[spares++] = T1;
        if (uses.count[RSP] == 0)
            spare[spares++] = HOST_STACK;
    } else if (build_has_regions(b)) {
        uses.pinned |= 1u << RSP; /* HOST_STACK may have to be looked up by it */
    }
    for (;;) {
        bool hosted;
        unsigned count;
        const uint8_t in = most_used(b, &uses, &hosted, &count), out = least_used(b, &uses);

        if (in == NO_REG)
            break;
        if (spares != 0)
            swap_in(b, in, hosted, NO_REG, spare[--spares]);
        else if (out != NO_REG && (uses.count[out] == 0 || count >= uses.count[out] + WORTH))
            swap_in(b, in, hosted, out, contract64.host[out]);
        else
            break;
    }
    if (b->swap_count == 0)
        return;
    written = all_written(b);
    for (unsigned i = 0; i < b->swap_count; i++)
        b->swaps[i].changed = b->swaps[i].in != NO_REG && (written >> b->swaps[i].in & 1);
    b->contract = &b->own;
    b->block->renamed = true;
    b->records.no_resume = UINT64_MAX;
    b->block->no_end = true;
}

/*
 *     mov   [cpu.gpr + out], host
 *     mov   host, [cpu.gpr + in]
 */
void rename_enter(struct build *b)
{
    struct emit *e = &b->e;

    for (unsigned i = 0; i < b->swap_count; i++) {
        const struct swap *s = &b->swaps[i];

        if (s->out != NO_REG)
            emit_mov_mr(e, W64, build_gpr_home(s->out), s->host);
        if (s->host == HOST_STACK)
            emit_mov_mr(e, W64, BASE(HOST_CPU, AT_RT(stack_kept)), HOST_STACK);
        if (s->in != NO_REG)
            emit_mov_rm(e, W64, s->host, build_gpr_home(s->in));
    }
}

void rename_leave(struct build *b)
{
    struct emit *e = &b->e;

    for (unsigned i = 0; i < b->swap_count; i++) {
        const struct swap *s = &b->swaps[i];

        if (s->changed)
            emit_mov_mr(e, W64, build_gpr_home(s->in), s->host);
        if (s->out != NO_REG)
            emit_mov_rm(e, W64, s->host, build_gpr_home(s->out));
        if (s->host == HOST_STACK)
            emit_mov_rm(e, W64, HOST_STACK, BASE(HOST_CPU, AT_RT(stack_kept)));
    }
}
