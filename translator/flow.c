/*
 * translator/flow.c -- how a block is left: side exits, polls, direct exits, the jump cache.
 *
 * Nothing here touches the flags, which are the guest's.
 */
#include <stddef.h>

#include "translator/build.h"

/* Offset, from HOST_CPU, of the code page id of `linear`'s page (the high half of the entry). */
static int32_t code_id_at(const struct build *b, linaddr_t linear)
{
    const uint64_t index = (linear >> PAGE_SHIFT) & (RT_ENTRIES - 1);

    return AT_RT(code_id) + (int32_t)((b->view * RT_ENTRIES + index) * sizeof(uint64_t)) + 4;
}

void build_side_exit(struct build *b, struct label label)
{
    if (b->jump_count == BUILD_MAX_JUMPS) {
        b->e.overflow = true;
        return;
    }
    b->jumps[b->jump_count++] = (struct side_jump){label, b->index};
}

/*
 *     mov   ecx, [rt.run]
 *     jrcxz stop              ; near: bound by build_finish() right behind the block
 */
void build_poll(struct build *b)
{
    if (b->poll_count == sizeof(b->polls) / sizeof(b->polls[0])) {
        b->e.overflow = true;
        return;
    }
    emit_mov_rm(&b->e, W32, TC, BASE(HOST_CPU, AT_RT(run)));
    b->polls[b->poll_count++] = emit_jrcxz(&b->e);
}

/* Linear address of an offset in CS. */
static linaddr_t target_linear(const struct build *b, uint64_t target)
{
    return (uint32_t)(b->block->key.cs_base + target);
}

bool build_needs_poll(const struct build *b, uint64_t target)
{
    return target <= b->rip;
}

/*
 * Inside the page:     jmp rel32 -> stub, later the target
 * To another page:     mov ecx, [code id of that page]
 *                      lea ecx, [rcx - id]          ; same physical page, same mode?
 *                      jrcxz 1f
 *                      jmp stub
 *                   1: jmp rel32 -> stub, later the target
 */
void build_exit(struct build *b, unsigned exit, uint64_t target)
{
    struct emit *e = &b->e;
    struct block_exit *out = &b->block->exits[exit];
    const linaddr_t linear = target_linear(b, target);

    out->target = target;
    if ((linear & PAGE_MASK) != (b->block->key.linear & PAGE_MASK)) {
        struct label ok;

        emit_mov_rm(e, W32, TC, BASE(HOST_CPU, code_id_at(b, linear)));
        emit_lea(e, W32, TC, BASE(TC, INT32_MAX)); /* patched with -id */
        out->id = e->at - 4;
        ok = emit_jrcxz(e);
        b->exit_jumps[exit] = emit_jmp(e);
        b->exit_checked[exit] = true;
        emit_bind(e, ok);
    }
    out->jump = emit_jmp(e).field;
}

/* Jcc to exit 0 inside the page; the caller has polled. */
static void exit_on_condition(struct build *b, uint8_t condition, uint64_t target)
{
    b->block->exits[0].target = target;
    b->block->exits[0].jump = emit_jcc(&b->e, condition).field;
}

/* if (condition) goto taken; else goto not_taken. */
void build_branch(struct build *b, uint8_t condition, uint64_t taken, uint64_t not_taken)
{
    if (build_needs_poll(b, taken))
        build_poll(b);
    if ((target_linear(b, taken) & PAGE_MASK) == (b->block->key.linear & PAGE_MASK)) {
        exit_on_condition(b, condition, taken);
        build_exit(b, 1, not_taken);
    } else {
        const struct label to_taken = emit_jcc(&b->e, condition);

        build_exit(b, 1, not_taken);
        emit_bind(&b->e, to_taken);
        build_exit(b, 0, taken);
    }
    b->ended = true;
}

/*
 *     mov   ecx, [rt.run]
 *     jrcxz miss
 *     shrx  r14d, r13d, r12d
 *     movzx r14d, r14w
 *     mov   rcx, [r15 + r14*8 + code_id]
 *     lea   rcx, [rcx + r13]                  ; key
 *     movzx r14d, r13w
 *     lea   r14d, [r14 + r14]                 ; 16-byte entries
 *     mov   r11, [r15 + r14*8 + jumps.negated_key]
 *     lea   rcx, [rcx + r11 + 1]
 *     jrcxz hit
 *   miss:
 *     jmp   glue.indirect
 *   hit:
 *     jmp   [r15 + r14*8 + jumps.host]
 */
void build_indirect(struct build *b)
{
    struct emit *e = &b->e;
    const int32_t ids = AT_RT(code_id) + (int32_t)(b->view * RT_ENTRIES * sizeof(uint64_t));
    const int32_t jumps = AT_RT(jumps);

    b->ended = true;
    if ((b->mode & MODE_CS_FLAT) && b->tr->bmi2 && !b->tr->options.no_chain) {
        struct label stop, hit;

        emit_mov_rm(e, W32, TC, BASE(HOST_CPU, AT_RT(run)));
        stop = emit_jrcxz(e);
        emit_shrx(e, W32, T1, T0, HOST_SHIFT);
        emit_movzx_rr(e, T1, W16, T1);
        emit_mov_rm(e, W64, TC, INDEX(HOST_CPU, T1, 8, ids));
        emit_lea(e, W64, TC, INDEX(TC, T0, 1, 0));
        emit_movzx_rr(e, T1, W16, T0);
        emit_lea(e, W32, T1, INDEX(T1, T1, 1, 0));
        emit_mov_rm(
            e, W64, T2,
            INDEX(HOST_CPU, T1, 8, jumps + (int32_t)offsetof(struct jump_entry, negated_key)));
        emit_lea(e, W64, TC, INDEX(TC, T2, 1, 1));
        hit = emit_jrcxz(e);
        emit_bind(e, stop);
        emit_jmp_to(e, b->tr->glue.indirect);
        emit_bind(e, hit);
        emit_jmp_m(e, INDEX(HOST_CPU, T1, 8, jumps + (int32_t)offsetof(struct jump_entry, host)));
    } else {
        emit_jmp_to(e, b->tr->glue.indirect);
    }
}

static void record(struct build *b, unsigned number)
{
    const uint16_t index = (uint16_t)number;

    emit_u64(&b->e, (uint64_t)b->block);
    emit_bytes(&b->e, &index, sizeof(index));
}

void build_call_slow(struct build *b)
{
    emit_call_to(&b->e, b->tr->glue.slow);
    record(b, b->index);
}

void build_step(struct build *b)
{
    emit_call_to(&b->e, b->tr->glue.step);
    record(b, b->index);
    b->ended = true;
}

static void patch_rel32(uint8_t *field, int64_t value)
{
    const int32_t rel = (int32_t)value;

    __builtin_memcpy(field, &rel, sizeof(rel));
}

void build_finish(struct build *b)
{
    struct emit *e = &b->e;

    if (b->poll_count != 0) {
        for (unsigned i = 0; i < b->poll_count; i++)
            emit_bind(e, b->polls[i]);
        emit_call_to(e, b->tr->glue.stop);
        record(b, b->index);
    }
    for (unsigned i = 0; i < BLOCK_EXITS; i++) {
        struct block_exit *out = &b->block->exits[i];

        if (out->jump == NULL || e->overflow)
            continue;
        out->stub = emit_here(e);
        patch_rel32(out->jump, e->at - (out->jump + 4));
        if (b->exit_checked[i])
            emit_bind(e, b->exit_jumps[i]);
        emit_call_to(e, b->tr->glue.resolve);
        record(b, i);
    }
    for (unsigned i = 0; i < b->jump_count;) {
        b->index = b->jumps[i].insn;
        for (; i < b->jump_count && b->jumps[i].insn == b->index; i++)
            emit_bind(e, b->jumps[i].label);
        build_call_slow(b);
    }
}
