/*
 * translator/flow.c -- how a block is entered and left: polls, direct exits, the jump cache, calls
 * and returns; what they jump to in the cold part is in cold.c.
 *
 * Nothing here touches the flags, which are the guest's.
 */
#include <stddef.h>

#include "translator/flow.h"

/* Offset, from HOST_CPU, of the id of the code page that is mapped at `linear`. */
static int32_t code_id_at(enum tlb_view view, linaddr_t linear)
{
    const uint64_t index = (linear >> PAGE_SHIFT) & (RT_ENTRIES - 1);

    return AT_VIEW(view, code_id) + (int32_t)(index * sizeof(uint32_t));
}

void flow_emit_record(struct emit *e, const struct cache *cache, const struct block *block,
                      unsigned number)
{
    emit_u32(e, cache_number(cache, block) | number << BLOCK_NUMBER_BITS);
    emit_note(e, e->at - sizeof(uint32_t), EMIT_RECORD);
}

void flow_record(struct build *b, unsigned number)
{
    flow_emit_record(&b->e, b->tr->cache, b->block, number);
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
 *     mov   ecx, [cpu.poll_go]
 *     jrcxz stop              ; near: bound by build_finish() right behind the block
 */
void build_poll(struct build *b)
{
    if (b->poll_count == sizeof(b->polls) / sizeof(b->polls[0])) {
        b->e.overflow = true;
        return;
    }
    emit_mov_rm(&b->e, W32, TC, BASE(HOST_CPU, AT_CPU(poll_go)));
    b->polls[b->poll_count++] = emit_jrcxz(&b->e);
}

/*
 *     mov   rcx, [cpu.poll_stop]
 *     jrcxz on
 *     jmp   stop                      ; in the cold part
 *   on:
 */
void build_poll_far(struct build *b)
{
    struct emit *e = &b->e;
    struct label on;

    emit_mov_rm(e, W64, TC, BASE(HOST_CPU, AT_CPU(poll_stop)));
    on = emit_jrcxz(e);
    if (b->far_poll_count == sizeof(b->far_polls) / sizeof(b->far_polls[0]))
        e->overflow = true;
    else
        b->far_polls[b->far_poll_count++] = (struct side_jump){emit_jmp(e), b->index};
    emit_bind(e, on);
}

uint64_t build_poll_here(struct build *b)
{
    struct emit *e = &b->e;
    const struct label over = emit_jmp_short(e);
    const uint64_t stop = emit_here(e);
    uint64_t place;

    if (b->far_poll_count == sizeof(b->far_polls) / sizeof(b->far_polls[0]))
        e->overflow = true;
    else
        b->far_polls[b->far_poll_count++] = (struct side_jump){emit_jmp(e), b->index};
    emit_bind(e, over);
    place = emit_here(e);
    emit_mov_rm(e, W32, TC, BASE(HOST_CPU, AT_CPU(poll_go)));
    emit_jrcxz_to(e, stop);
    return place;
}

void build_poll_at_end(struct build *b)
{
    if (b->last)
        build_poll(b);
    else
        build_poll_far(b);
}

/* Linear address of an offset in CS. */
static linaddr_t target_linear(const struct build *b, uint64_t target)
{
    return b->code64 ? target : (uint32_t)(b->block->key.cs_base + target);
}

bool build_needs_poll(const struct build *b, uint64_t target)
{
    return target <= b->rip;
}

static bool same_page(const struct build *b, uint64_t target)
{
    return (target_linear(b, target) & PAGE_MASK) == (b->block->key.linear & PAGE_MASK);
}

/*
 *     mov   ecx, [code id of the page at this linear address]
 *     lea   ecx, [rcx - id]           ; the same physical page, in the same mode?
 *     jrcxz host                      ; LOOP elsewhere: one more, as LOOP takes it away
 */
void flow_compare_page(struct emit *e, const struct block *block, int32_t one_more)
{
    const enum tlb_view view = mmu_mode_view(block->key.mode);

    emit_mov_rm(e, W32, TC, BASE(HOST_CPU, code_id_at(view, block->key.linear)));
    emit_note(e, e->at - sizeof(int32_t), EMIT_PAGE);
    emit_lea(e, W32, TC, BASE(TC, one_more - (int32_t)block->page_id));
    emit_note(e, e->at - sizeof(int32_t), EMIT_ID);
}

/*
 *   recheck:
 *     jmp   ...                       ; BLOCK_RECHECK_BYTES; in the cold part it goes on
 *     (comparison of the page)
 *     loop  recheck                   ; or jrcxz host; jmp recheck
 *   hot:
 *     jmp   glue.hot                  ; by way of the cold part
 *   host:
 *     mov   ecx, [rt.heat + this block's]
 *     lea   ecx, [rcx - 1]
 *     mov   [rt.heat + this block's], ecx
 *     jrcxz hot
 */
static void count_visit(struct build *b, uint64_t hot)
{
    const unsigned place = rt_heat_place(cache_number(b->tr->cache, b->block));
    const struct mem heat = BASE(HOST_CPU, AT_RT(heat) + (int32_t)(place * sizeof(uint32_t)));

    rt_of(b->cpu)->heat[place] = RT_HEAT_VISITS;
    emit_mov_rm(&b->e, W32, TC, heat);
    emit_lea(&b->e, W32, TC, BASE(TC, -1));
    emit_mov_mr(&b->e, W32, heat, TC);
    emit_jrcxz_to(&b->e, hot);
}

void build_entry(struct build *b)
{
    const bool through = b->tr->quick_loop && !b->has_heat;
    struct emit *e = &b->e;
    struct label ok = {0};
    uint64_t hot = 0;

    if (b->entry_is_hot) {
        const uint64_t recheck = emit_here(e);

        b->recheck = emit_jmp(e);
        flow_compare_page(e, b->block, through);
        if (through) {
            emit_loop_to(e, recheck);
        } else {
            ok = emit_jrcxz(e);
            emit_jmp_short_to(e, recheck);
        }
    }
    if (b->has_heat) {
        hot = emit_here(e);
        b->hot_jump = emit_jmp(e);
    }
    if (b->entry_is_hot && !through)
        emit_bind(e, ok);
    b->block->entry = (uint8_t)(emit_here(e) - cache_hot_host(b->tr->cache, b->block));
    if (b->has_heat)
        count_visit(b, hot);
}

void build_check_next_page(struct build *b, uint32_t id)
{
    struct emit *e = &b->e;
    struct label ok;

    emit_mov_rm(e, W32, TC,
                BASE(HOST_CPU, code_id_at(b->view, (b->block->key.linear | ~PAGE_MASK) + 1)));
    emit_lea(e, W32, TC, BASE(TC, -(int32_t)id));
    ok = emit_jrcxz(e);
    emit_call_to(e, b->glue->step);
    flow_record(b, 0);
    emit_bind(e, ok);
}

/* What a place in the block takes for granted is so here. */
static bool holds(const struct build *b, const struct known *known)
{
    return !build_has_regions(b) || region_knows(b, known);
}

/* Where a jump to the target goes on in the block.  host is 0: nowhere. */
static struct known loop_at(const struct build *b, uint64_t target)
{
    if (b->loop == 0)
        return (struct known){0};
    if (target == b->block->key.linear - b->block->key.cs_base)
        return b->again.host != 0 && region_knows(b, &b->again) ? b->again
                                                                : (struct known){.host = b->loop};
    for (unsigned i = b->inner_count; i-- > 0;)
        if (b->inners[i].rip == target && holds(b, &b->inners[i].known))
            return b->inners[i].known;
    return (struct known){0};
}

/* The way of the tree that the current jump leads to there; 0: there is none. */
static unsigned way_at(const struct build *b, uint64_t target)
{
    const uint64_t start = b->block->key.linear - b->block->key.cs_base;

    for (unsigned i = b->index + 1u; b->insn_from != NULL && i < b->insn_count; i++)
        if (b->insn_from[i] == b->index && start + b->insn_offsets[i] == target)
            return i;
    return 0;
}

static void add_fork(struct build *b, unsigned to, struct label jump)
{
    if (b->fork_count == BUILD_FORKS) {
        b->e.overflow = true;
        return;
    }
    b->forks[b->fork_count++] = (struct fork){
        jump, (uint8_t)to, {b->share, b->region, b->narrow, b->stack_lost, b->stack_drift}};
}

static void add_exit(struct build *b, uint64_t target, struct label jump, bool call)
{
    struct block_records *const records = &b->records;
    const unsigned i = records->exit_count;

    if (i == BLOCK_EXITS) {
        b->e.overflow = true;
        return;
    }
    records->exits[i].target = target;
    records->exits[i].checked = !same_page(b, target);
    records->exits[i].head = call || target <= b->rip;
    records->exits[i].jump = jump.field;
    records->exits[i].is_cold = false;
    records->exit_count++;
}

void flow_count(struct build *b, int count)
{
    const struct mem icount = BASE(HOST_CPU, AT_CPU(icount));

    if (!b->tr->options.counted || count == 0)
        return;
    emit_mov_rm(&b->e, W64, TC, icount);
    emit_lea(&b->e, W64, TC, BASE(TC, count));
    emit_mov_mr(&b->e, W64, icount, TC);
}

void build_count_all(struct build *b)
{
    flow_count(b, (int)b->insn_count);
}

int flow_rest(const struct build *b)
{
    return (int)b->insn_count - b->index - 1;
}

/* An earlier one that does the same, whose exit is as good; or the next.  (What is counted on the
 * way is not the same.) */
static unsigned same_leave(const struct build *b, uint64_t target)
{
    unsigned i = 0;

    while (i < b->leave_count &&
           (b->leaves[i].poll || b->leaves[i].loop != 0 || b->tr->options.counted ||
            b->records.exits[b->leaves[i].exit].target != target))
        i++;
    return i;
}

/* The same by way of the cold part, where what is to be done first has room. */
static void add_leave(struct build *b, uint64_t target, struct label jump, bool poll)
{
    const uint64_t loop = loop_at(b, target).host;
    const unsigned same = loop != 0 || poll ? b->leave_count : same_leave(b, target);
    const bool is_new = same == b->leave_count;

    if (b->leave_count == sizeof(b->leaves) / sizeof(b->leaves[0])) {
        b->e.overflow = true;
        return;
    }
    b->leaves[b->leave_count++] = (struct leave){
        .jump = jump,
        .insn = b->index,
        .exit = is_new ? (uint8_t)b->records.exit_count : b->leaves[same].exit,
        .loop = loop,
        .poll = poll,
        .again = !is_new,
    };
    if (loop == 0 && is_new)
        add_exit(b, target, (struct label){0}, false);
    else if (!is_new)
        b->records.exits[b->leaves[same].exit].head |= target <= b->rip;
}

/* A jump to where the loop goes on was emitted. */
static void note_round(struct build *b, uint64_t loop)
{
    if (b->round_end == 0 && loop == build_round_begin(b))
        b->round_end = emit_here(&b->e);
}

static void jump_round_if(struct build *b, uint8_t condition, uint64_t loop)
{
    emit_jcc_to(&b->e, condition, loop);
    note_round(b, loop);
}

/* jmp rel32 -> stub, later the target: its body inside the page, else its checked entry. */
void build_exit(struct build *b, uint64_t target)
{
    const uint64_t loop = loop_at(b, target).host;
    const unsigned way = way_at(b, target);

    if (way != 0) {
        add_fork(b, way, emit_jmp(&b->e));
    } else if (loop != 0) {
        emit_jmp_to(&b->e, loop);
        note_round(b, loop);
    } else if (b->swap_count != 0) {
        add_leave(b, target, emit_jmp(&b->e), false);
    } else {
        flow_count(b, -flow_rest(b));
        add_exit(b, target, emit_jmp(&b->e), false);
    }
}

void build_call_exit(struct build *b, uint64_t target)
{
    add_exit(b, target, emit_call(&b->e), true);
}

void build_call_begin(struct build *b)
{
    flow_count(b, -flow_rest(b));
}

void build_poll_jump(struct build *b, uint64_t target)
{
    if (build_needs_poll(b, target) && !loop_at(b, target).polls)
        build_poll_at_end(b);
}

/* if (condition) goto target; else go on.  poll: owed on the way. */
static void exit_if(struct build *b, uint8_t condition, uint64_t target, bool poll)
{
    const uint64_t loop = loop_at(b, target).host;
    const unsigned way = way_at(b, target);

    if (way != 0)
        add_fork(b, way, emit_jcc(&b->e, condition));
    else if (loop != 0 && !poll)
        jump_round_if(b, condition, loop);
    else if (poll || b->swap_count != 0 || (b->tr->options.counted && flow_rest(b) != 0))
        add_leave(b, target, emit_jcc(&b->e, condition), poll);
    else
        add_exit(b, target, emit_jcc(&b->e, condition), false);
}

/* Has the jump to be stopped before it is made?  What goes on behind need not, but if this is the
 * end of a loop inside.  *polls: where it leads to does. */
static bool goes_round(const struct build *b, uint64_t taken, bool *polls)
{
    const struct known known = loop_at(b, taken);
    const bool stays = known.host != 0 && way_at(b, taken) == 0;

    *polls = stays && known.polls;
    return b->go == TRACE_ENDS || (b->insn_from != NULL && stays);
}

void build_branch(struct build *b, uint8_t condition, uint64_t taken, uint64_t not_taken)
{
    bool poll = build_needs_poll(b, taken), polls;

    if (b->go == TRACE_AT_TARGET) {
        exit_if(b, condition ^ 1, not_taken, false);
        return;
    }
    if (poll && goes_round(b, taken, &polls)) {
        if (!polls)
            build_poll_at_end(b);
        poll = false;
    }
    exit_if(b, condition, taken, poll);
    if (b->go == TRACE_BEHIND)
        return;
    build_exit(b, not_taken);
    b->ended = true;
}

/*
 *     mov   ecx, [cpu.poll_go]
 *     jrcxz miss
 *     movzx index, r13w
 *     lea   index, [index + index]               ; 16-byte entries
 *     mov   rcx, [r15 + index*8 + jumps.negated]   ; of this view
 *     lea   rcx, [r13 + rcx + 1]
 *     jrcxz hit
 *   miss:
 */
static struct label look_up(struct emit *e, enum tlb_view view, int32_t added, uint8_t index)
{
    struct label stop;

    emit_mov_rm(e, W32, TC, BASE(HOST_CPU, AT_CPU(poll_go)));
    stop = emit_jrcxz(e);
    emit_movzx_rr(e, index, W16, T0);
    emit_lea(e, W32, index, INDEX(index, index, 1, 0));
    emit_mov_rm(e, W64, TC, INDEX(HOST_CPU, index, 8, AT_JUMP(view, negated)));
    emit_lea(e, W64, TC, INDEX(T0, TC, 1, added));
    return stop;
}

struct label flow_lookup(struct emit *e, enum tlb_view view, bool code64, uint8_t index)
{
    const struct label stop = look_up(e, view, (int32_t)rt_jump_bias(code64), index);
    const struct label hit = emit_jrcxz(e);

    emit_bind(e, stop);
    return hit;
}

struct flow_missed flow_lookup_through(struct emit *e, enum tlb_view view, bool code64,
                                       uint8_t index)
{
    const struct label stop = look_up(e, view, (int32_t)rt_jump_bias(code64) + 1, index);

    return (struct flow_missed){{stop, emit_loop(e)}};
}

void flow_bind_missed(struct emit *e, const struct flow_missed *missed)
{
    emit_bind(e, missed->jumps[0]);
    emit_bind(e, missed->jumps[1]);
}

void build_lookup(struct build *b)
{
    const struct label hit = flow_lookup(&b->e, b->view, b->code64, T1);

    build_side_exit(b, emit_jmp(&b->e));
    emit_bind(&b->e, hit);
}

void build_go(struct build *b)
{
    emit_jmp_m(&b->e, FLOW_FOUND(b->view, T1));
    b->ended = true;
}

void build_lookup_and_go(struct build *b, int32_t move_sp)
{
    struct flow_missed missed;

    if (!b->tr->quick_loop) {
        build_lookup(b);
    } else {
        missed = flow_lookup_through(&b->e, b->view, b->code64, T1);
    }
    if (move_sp != 0)
        build_move_sp(b, move_sp);
    build_go(b);
    if (b->tr->quick_loop) {
        flow_bind_missed(&b->e, &missed);
        build_side_exit(b, emit_jmp(&b->e));
    }
}

/*
 *     lea   rcx, [r13 - expected]
 *     jrcxz on
 *     jmp   elsewhere                 ; in the cold part
 *   on:
 */
void build_guard(struct build *b)
{
    struct emit *e = &b->e;
    const uint64_t expected =
        b->block->key.linear - b->block->key.cs_base + b->insn_offsets[b->index + 1];
    const uint64_t negated = -expected;
    struct label on;

    if (b->guard_count == TRACE_GUARDS) {
        e->overflow = true;
        return;
    }
    if (!b->code64) {
        emit_lea(e, W32, TC, BASE(T0, (int32_t)negated));
    } else if ((int64_t)negated == (int32_t)negated) {
        emit_lea(e, W64, TC, BASE(T0, (int32_t)negated));
    } else {
        emit_mov_ri(e, TC, negated);
        emit_lea(e, W64, TC, INDEX(T0, TC, 1, 0));
    }
    on = emit_jrcxz(e);
    b->guards[b->guard_count++] = (struct side_jump){emit_jmp(e), b->index};
    emit_bind(e, on);
}

void build_indirect(struct build *b)
{
    struct emit *e = &b->e;

    if ((b->mode & MODE_CS_FLAT) && !b->tr->options.no_chain) {
        if (b->tr->quick_loop) {
            const struct flow_missed missed = flow_lookup_through(e, b->view, b->code64, T1);

            build_go(b);
            flow_bind_missed(e, &missed);
            emit_jmp_to(e, b->glue->indirect);
        } else {
            const struct label hit = flow_lookup(e, b->view, b->code64, T1);

            emit_jmp_to(e, b->glue->indirect);
            emit_bind(e, hit);
            build_go(b);
        }
    } else {
        emit_jmp_to(e, b->glue->indirect);
    }
    b->ended = true;
}

/*
 *     mov   rcx, [cpu.poll_stop]
 *     lea   rcx, [rcx + r13 - next]
 *     jrcxz back
 *     jmp   glue.return_miss
 *   back:
 *     jmp   the block at next         ; unless that is part of this one
 *
 * Where LOOP is quick, and the block ends here, it jumps to the last but one instead.
 *
 * 32-bit addresses are sign-extended, and all of RCX is looked at: poll_stop is beyond any
 * difference.
 */
void build_landing(struct build *b, uint64_t next)
{
    struct emit *e = &b->e;
    const int64_t expected = b->code64 ? (int64_t)next : (int32_t)next;
    const uint64_t negated = -(uint64_t)expected;
    const bool near = (int64_t)negated == (int32_t)negated && (int64_t)negated != INT32_MAX;
    const bool through = b->tr->quick_loop && b->go != TRACE_BEHIND;
    struct label jump;

    emit_mov_rm(e, W64, TC, BASE(HOST_CPU, AT_CPU(poll_stop)));
    if (!near) {
        emit_mov_linear(e, HOST_GROUP, negated, true);
        emit_lea(e, W64, TC, INDEX(TC, HOST_GROUP, 1, 0));
    }
    emit_lea(e, W64, TC, INDEX(T0, TC, 1, (near ? (int32_t)negated : 0) + through));
    if (through) {
        jump = emit_loop(e);
        build_exit(b, next);
        emit_bind(e, jump);
        emit_jmp_to(e, b->glue->return_miss[b->view]);
        b->ended = true;
        return;
    }
    jump = emit_jrcxz(e);
    emit_jmp_to(e, b->glue->return_miss[b->view]);
    emit_bind(e, jump);
    if (b->go == TRACE_BEHIND) {
        flow_count(b, flow_rest(b));
        b->stack_lost = false;
        b->stack_drift = 0;
        return;
    }
    build_exit(b, next);
    b->ended = true;
}

void build_return(struct build *b, unsigned pop)
{
    if (b->code64) { /* where this RET is, should the target turn out to be non-canonical */
        b->return_record = emit_lea_label(&b->e, T1);
        b->return_pop = (uint16_t)pop;
        b->returns = true;
    }
    emit_ret(&b->e);
    b->ended = true;
}

void build_keep(struct build *b)
{
    if (b->kept_as[b->index] != BLOCK_NO_CALL)
        return;
    b->kept[b->kept_count] = b->index;
    b->kept_as[b->index] = b->kept_count++;
}

void build_call_slow(struct build *b)
{
    emit_call_to(&b->e, b->glue->slow);
    flow_record(b, b->index);
    emit_u8(&b->e, b->kept_as[b->index]);
}

void build_step(struct build *b)
{
    emit_call_to(&b->e, b->glue->step);
    flow_record(b, b->index);
    b->ended = true;
}
