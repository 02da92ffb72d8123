/*
 * translator/cold.c -- the cold part of a block: what its exits, polls, guards and side exits lead
 * to.
 *
 * The hot part (flow.c, the rules) has noted where it jumps to; here the jumps are bound.
 */
#include "translator/flow.h"

/* A checked entry that is not in the hot part:
 *
 *     (comparison of the page)
 *     loop  recheck
 *     jmp   host
 *   recheck:
 *     call  glue.recheck
 *
 * On hosts that are slow at LOOP the two are the other way round.
 */
static void distant_entry(struct emit *e, const struct translator *tr, const struct block *block)
{
    struct label label;

    flow_compare_page(e, block, tr->quick_loop);
    label = tr->quick_loop ? emit_loop(e) : emit_jrcxz(e);
    if (tr->quick_loop) {
        emit_jmp_to(e, cache_host(tr->cache, block));
        emit_bind(e, label);
    }
    emit_call_to(e, glue_of(tr, block->key.mode)->recheck);
    flow_emit_record(e, tr->cache, block, 0);
    if (!tr->quick_loop) {
        emit_bind(e, label);
        emit_jmp_to(e, cache_host(tr->cache, block));
    }
}

/* In the cold part: how the checked entry goes on when it fails; the entry itself if it is seldom
 * used. */
static void finish_entry(struct build *b)
{
    struct emit *e = &b->e;

    if (b->entry_is_hot) {
        emit_bind(e, b->recheck);
        emit_call_to(e, b->glue->recheck);
        flow_record(b, 0);
    } else if (!b->block->late) {
        distant_entry(e, b->tr, b->block);
    }
}

void flow_make_entry(struct translator *tr, struct block *block)
{
    struct emit e;
    uint64_t host;

    if (cache_checked_host(tr->cache, block) != 0 || !cache_entry_begin(tr->cache, block, &e))
        return;
    host = emit_here(&e);
    distant_entry(&e, tr, block);
    if (!e.overflow)
        cache_entry_end(tr->cache, block, host);
}

static void patch_rel32(uint8_t *field, int32_t value)
{
    __builtin_memcpy(field, &value, sizeof(value));
}

/* From here on the cold part is emitted, wherever that is. */
static void go_cold(struct build *b)
{
    const uint64_t bytes = emit_here(&b->e) - cache_hot_host(b->tr->cache, b->block);

    b->block->host_bytes = (uint16_t)bytes;
    b->e.overflow |= bytes > UINT16_MAX;
    b->hot = b->e;
    if (b->cold.at != NULL) {
        b->e.at = b->cold.at; /* what is noted goes on; what had no room has none here either */
        b->e.end = b->cold.end;
    }
    cache_set_cold(b->tr->cache, b->block, &b->e);
}

/* The stubs of the exits: the first thing in the cold part, and all of one size, so that no exit
 * has to say where its own is. */
static void finish_exits(struct build *b)
{
    struct emit *e = &b->e;

    for (unsigned i = 0; i < b->records.exit_count && !e->overflow; i++) {
        uint8_t *const field = b->records.exits[i].jump, *const stub = e->at;

        if (field != NULL) /* else finish_leave() */
            patch_rel32(field, (int32_t)(stub - (field + 4)));
        emit_call_to(e, b->glue->resolve);
        flow_record(b, i);
    }
}

/* Kicked: stop before the instruction. */
static void build_stop(struct build *b, unsigned insn)
{
    rename_leave(b);
    emit_call_to(&b->e, b->glue->stop);
    flow_record(b, insn);
}

/*
 *     mov   rcx, [cpu.poll_stop]      ; if owed
 *     jrcxz go
 *     (stop)
 *   go:
 *     (the contract of all blocks)
 *     jmp   rel32                     ; the exit, or back to the loop
 */
static void finish_leave(struct build *b, const struct leave *leave)
{
    struct emit *e = &b->e;
    struct label go = {0};
    uint64_t stub;

    emit_bind(e, leave->jump);
    for (const struct leave *other = leave + 1;
         leave->loop == 0 && !leave->poll && other < b->leaves + b->leave_count; other++)
        if (other->again && other->exit == leave->exit)
            emit_bind(e, other->jump);
    b->index = leave->insn;
    if (leave->poll) {
        emit_mov_rm(e, W64, TC, BASE(HOST_CPU, AT_CPU(poll_stop)));
        go = emit_jrcxz(e);
        build_stop(b, leave->insn);
        emit_bind(e, go);
    }
    if (leave->loop != 0) {
        emit_jmp_to(e, leave->loop);
        return;
    }
    flow_count(b, -flow_rest(b));
    rename_leave(b);
    go = emit_jmp(e);
    stub = cache_cold_host(b->tr->cache, b->block) + leave->exit * (uint64_t)BLOCK_STUB_BYTES;
    if (!e->overflow)
        patch_rel32(go.field, (int32_t)(stub - emit_here(e)));
    b->records.exits[leave->exit].jump = go.field;
    b->records.exits[leave->exit].is_cold = true;
}

/*
 * What a guard leads to.
 *
 *     (the contract of all blocks)
 *     mov   ecx, [rt.heat + this block's]
 *     lea   ecx, [rcx - 1]
 *     mov   [rt.heat + this block's], ecx
 *     jrcxz stale
 *     (look-up of R13)
 *     jmp   [entry]
 *   miss:
 *     (the jump is interpreted)       ; 32-bit code: jmp glue.indirect
 *   stale:
 *     call  glue.stale
 */
static void finish_guard(struct build *b, const struct side_jump *guard)
{
    const unsigned place = rt_heat_place(cache_number(b->tr->cache, b->block));
    const struct mem heat = BASE(HOST_CPU, AT_RT(heat) + (int32_t)(place * sizeof(uint32_t)));
    struct emit *e = &b->e;
    struct label stale, hit;

    emit_bind(e, guard->label);
    b->index = guard->insn;
    rename_leave(b);
    rt_of(b->cpu)->heat[place] = RT_GUARD_MISSES;
    emit_mov_rm(e, W32, TC, heat);
    emit_lea(e, W32, TC, BASE(TC, -1));
    emit_mov_mr(e, W32, heat, TC);
    stale = emit_jrcxz(e);
    hit = flow_lookup(e, b->view, b->code64, T1);
    if (b->code64)
        build_call_slow(b);
    else
        emit_jmp_to(e, b->glue->indirect);
    emit_bind(e, hit);
    emit_jmp_m(e, FLOW_FOUND(b->view, T1));
    emit_bind(e, stale);
    emit_call_to(e, b->glue->stale);
    flow_record(b, b->index);
}

void build_finish(struct build *b)
{
    struct emit *e = &b->e;
    struct label stop = {0};

    if (b->poll_count != 0) {
        for (unsigned i = 0; i < b->poll_count; i++)
            emit_bind(e, b->polls[i]);
        stop = emit_jmp(e);
    }
    go_cold(b);
    finish_exits(b);
    if (b->swap_count != 0) { /* here: cache_fault_host() */
        rename_leave(b);
        emit_jmp_to(e, b->glue->fault);
    }
    finish_entry(b);
    if (b->has_heat) {
        emit_bind(e, b->hot_jump);
        emit_call_to(e, b->glue->hot);
        flow_record(b, 0);
    }
    if (b->poll_count != 0) {
        emit_bind(e, stop);
        build_stop(b, b->index);
    }
    if (b->returns) {
        emit_bind(e, b->return_record);
        flow_record(b, b->index);
        emit_bytes(e, &b->return_pop, sizeof(b->return_pop));
    }
    for (unsigned i = 0; i < b->far_poll_count; i++) {
        emit_bind(e, b->far_polls[i].label);
        build_stop(b, b->far_polls[i].insn);
    }
    for (unsigned i = 0; i < b->leave_count; i++)
        if (!b->leaves[i].again)
            finish_leave(b, &b->leaves[i]);
    for (unsigned i = 0; i < b->guard_count; i++)
        finish_guard(b, &b->guards[i]);
    for (unsigned i = 0; i < b->jump_count;) {
        b->index = b->jumps[i].insn;
        for (; i < b->jump_count && b->jumps[i].insn == b->index; i++)
            emit_bind(e, b->jumps[i].label);
        rename_leave(b);
        b->owed_sp = b->records.owed_sp[b->index];
        build_pay_sp(b);
        build_call_slow(b);
    }
}
