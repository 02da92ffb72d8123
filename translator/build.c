/*
 * translator/build.c -- one block: decode, rules, side exits.
 */
#include "translator/copy.h"
#include "translator/rules.h"

#include "cpu/debugger.h"
#include "cpu/interp.h"
#include "cpu/physmem.h"
#include "translator/windows.h"

/* Before a control transfer, but not one that reads or writes at RSP itself. */
static void settle_before(struct build *b, const struct insn *in)
{
    const rule_fn rule = rule_table[in->row];

    if ((insn_row(in)->traits & ENDS) && rule != rule_call_near && rule != rule_ret)
        build_settle_stack(b);
}

/* A jump with HOST_STACK clobbered, which only rules make that are not for CPL 3; or a call, from
 * which a trace may go on behind it: its callee takes HOST_STACK for right as well. */
static bool loses_stack(const struct build *b, const struct insn *in)
{
    return build_has_regions(b) && !b->keeps_stack &&
           (b->ended || rule_table[in->row] == rule_call_near);
}

/* After the instruction: is HOST_STACK still right? */
static void note_stack(struct build *b, const struct insn *in)
{
    if (!b->keeps_stack)
        b->stack_lost = true;
    if (rules_writes_gpr(in, RSP)) {
        const int64_t step = rules_step(in, RSP);

        if (step == 0 || step > WINDOW_DRIFT_MAX || step < -WINDOW_DRIFT_MAX)
            b->stack_lost = true;
        else
            b->stack_drift += (int32_t)(step < 0 ? -step : step);
        if (b->stack_drift > WINDOW_DRIFT_MAX)
            b->stack_lost = true;
    }
    if (b->stack_lost)
        b->stack_drift = 0;
}

static void translate_insn(struct build *b, const struct insn *in, bool call)
{
    const struct emit start = b->e;
    const int32_t owed_sp = b->owed_sp;
    const unsigned jumps = b->jump_count;
    const bool lost = b->stack_lost;
    const int32_t drift = b->stack_drift;
    const unsigned holes = b->records.hole_count, leaves = b->leave_count;
    const unsigned exits = b->records.exit_count, far_polls = b->far_poll_count;
    const unsigned guards = b->guard_count, forks = b->fork_count;

    build_pay_sp_before(b, in, call);
    settle_before(b, in);
    b->keeps_stack = false;
    if (!call && rule_table[in->row](b, in) && !loses_stack(b, in)) {
        note_stack(b, in);
        group_after(b, in, false);
        return;
    }
    b->e = start;
    b->jump_count = jumps;
    b->stack_lost = lost;
    b->stack_drift = drift;
    b->owed_sp = owed_sp;
    b->records.owed_sp[b->index] = 0;
    b->records.hole_count = holes;
    b->poll_count = 0;
    b->ended = b->returns = false;
    b->records.exit_count = exits;
    b->far_poll_count = far_polls;
    b->guard_count = guards;
    b->fork_count = forks;
    b->leave_count = leaves;
    b->unfit |= b->swap_count != 0; /* the handler wants the contract */
    build_pay_sp(b);
    build_keep(b);
    build_call_slow(b);
    b->stack_lost = false; /* the way back sets it */
    b->stack_drift = 0;
    group_after(b, in, true);
}

/* The kept instructions and their handlers. */
static void record_kept(struct build *b, const struct trace *d)
{
    b->records.call_count = b->kept_count;
    for (unsigned i = 0; i < b->kept_count; i++) {
        const struct insn *in = &d->insn[b->kept[i]];

        b->records.calls[i] = (struct block_call){interp_handler(b->cpu, in), *in};
    }
}

/* Ids of the block's page and of the one behind it, both from after the last renumbering. */
static void find_page_ids(struct translator *tr, const struct block_key *key, const struct trace *d,
                          uint32_t *page_id, uint32_t *next_id)
{
    uint64_t resets;

    do {
        resets = cache_counters(tr->cache)->id_resets;
        *page_id = cache_page_id(tr->cache, key->linear, key->phys, key->mode);
        *next_id = d->next_bytes == 0 ? 0
                                      : cache_page_id(tr->cache, (key->linear | ~PAGE_MASK) + 1,
                                                      d->next_phys, key->mode);
    } while (cache_counters(tr->cache)->id_resets != resets);
}

static void begin(struct build *b, struct translator *tr, struct cpu *cpu,
                  const struct block_key *key, const struct trace *d, unsigned flags)
{
    b->tr = tr;
    b->cpu = cpu;
    b->block->key = *key;
    b->view = mmu_mode_view(key->mode);
    b->mode = key->mode;
    b->ended = b->returns = false;
    b->jump_count = b->poll_count = b->far_poll_count = b->kept_count = b->leave_count = 0;
    b->guard_count = b->fork_count = b->inner_count = 0;
    b->records.exit_count = b->records.hole_count = 0;
    b->records.no_resume = 0;
    b->records.next_phys = d->next_phys;
    b->records.next_bytes = d->next_bytes;
    b->code64 = mode_is_code64(key->mode);
    b->contract = contract_of(key->mode);
    b->glue = glue_of(tr, key->mode);
    b->insns = d->insn;
    b->insn_calls = d->call;
    b->insn_goes = d->go;
    b->insn_offsets = d->offset;
    b->insn_from = d->branches ? d->from : NULL;
    b->insn_inner = d->inner;
    b->path_steps = d->seen;
    b->path_visits = d->visits;
    b->insn_count = d->count;
    b->no_groups = tr->options.no_group || runtime_no_group(tr, key->phys);
    b->window = key->mode & MODE_WINDOW;
    b->stack_lost = false;
    b->stack_drift = 0;
    b->owed_sp = 0;
    b->records.owes = false;
    b->entry_is_hot = flags & BUILD_ENTRY;
    b->has_heat = (flags & BUILD_HEAT) && d->next_bytes == 0 && !d->step;
    group_begin(b);
}

/* May a jump to the block's start stay in it?  Where blocks are linked it may, as they are. */
static bool may_loop(const struct build *b)
{
    const struct translator_options *options = &b->tr->options;

    return (b->block->super || options->eager_superblock) && (b->mode & MODE_CS_FLAT) &&
           !options->counted && !options->no_chain;
}

/*
 * Measured on Zen 5: a loop of which only the last few bytes, the jump backward, are in the next
 * line of the instruction cache takes up to 1.7 times as long.  So it begins LOOP_PAD bytes later.
 */
enum { LINE_BYTES = 64, TAIL_BYTES = 16, LOOP_PAD = 16, LOOP_BYTES_MOST = 4 * LINE_BYTES };

static bool has_short_tail(const struct build *b)
{
    const uint64_t begin = build_round_begin(b), end = b->round_end;

    return end > begin && end - begin <= LOOP_BYTES_MOST &&
           begin / LINE_BYTES != (end - 1) / LINE_BYTES && end % LINE_BYTES != 0 &&
           end % LINE_BYTES < TAIL_BYTES;
}

/* Twice NOP of eight bytes: once for all rounds. */
static void pad_loop(struct build *b)
{
    static const uint8_t nop[] = {0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0};

    _Static_assert(LOOP_PAD == 2 * sizeof(nop), "both of them");
    if (!b->pads)
        return;
    emit_bytes(&b->e, nop, sizeof(nop));
    emit_bytes(&b->e, nop, sizeof(nop));
}

/* A loop may go on here for all times but the first. */
static void loop_again(struct build *b)
{
    if (b->loop == 0 || !build_has_regions(b) || b->stack_lost || b->stack_drift != 0)
        return;
    pad_loop(b);
    b->round_end = 0;
    region_again(b, &b->again);
    hosted_begin(b);
    b->again.hosts = b->region.hosts;
    share_begin(b);
    recent_begin(b);
    b->again.polls = b->insn_from != NULL;
    b->again.host = b->again.polls ? build_poll_here(b) : emit_here(&b->e);
    /* Who came from C would bring no HOST_GROUP to where the loop begins again. */
    for (unsigned i = b->index + 1u; i < b->insn_count; i++)
        build_forbid(b, i);
}

/* Was the current instruction, where a loop inside begins, come to by jumps backward more often
 * than from before it? */
static bool mostly_goes_round(const struct build *b)
{
    const uint8_t from = b->insn_from[b->index];
    const unsigned before = from == PATH_NEXT ? b->index - 1u : from;

    return b->path_visits[b->index] > 2u * b->path_visits[before];
}

/* A jump backward leads here as well: what is not written any more stays known.  Who goes round is
 * stopped here if few come by another way, else before that jump. */
static void begin_inner(struct build *b)
{
    struct inner *inner = &b->inners[b->inner_count];

    if (b->inner_count == BUILD_INNERS || b->stack_lost || b->stack_drift != 0)
        return;
    build_pay_sp(b);
    b->inner_count++;
    region_again(b, &inner->known);
    share_begin(b);
    recent_begin(b);
    b->group.base = NO_REG;
    inner->rip = b->rip;
    inner->known.polls = mostly_goes_round(b);
    inner->known.host = inner->known.polls ? build_poll_here(b) : emit_here(&b->e);
}

/* Another way of the tree begins, with what was known where it branched off. */
static void begin_way(struct build *b)
{
    const struct fork *fork = b->forks;

    while (fork < b->forks + b->fork_count && fork->to != b->index)
        fork++;
    if (fork == b->forks + b->fork_count || !b->ended) { /* the jump was left to its handler */
        b->e.overflow = true;
        return;
    }
    emit_bind(&b->e, fork->jump);
    b->ended = false;
    b->group.base = NO_REG; /* its range is that of what follows the jump */
    b->share = fork->facts.share;
    recent_begin(b);
    b->region = fork->facts.region;
    b->narrow = fork->facts.narrow;
    b->stack_lost = fork->facts.stack_lost;
    b->stack_drift = fork->facts.stack_drift;
}

/* The trace as a block.  NULL: no room, or not enough of it the first time that one is tried; or it
 * cannot be had with this renaming: *unfit; or its loop should be padded: *pads, which is false
 * from then on. */
static struct block *try(struct translator *tr, struct cpu *cpu, const struct block_key *key,
                         unsigned flags, const struct trace *trace, const uint8_t *bytes,
                         const struct path *path, bool super, enum renaming renaming, bool *pads,
                         bool *unfit)
{
    struct build b;
    uint8_t *start;
    uint64_t cold_bytes;
    uint32_t page_id, next_id;
    bool split;

    *unfit = false;
    find_page_ids(tr, key, trace, &page_id, &next_id);

    b.block = cache_begin(tr->cache, &b.e, &b.cold);
    if (b.block == NULL)
        return NULL;
    begin(&b, tr, cpu, key, trace, flags);
    b.block->page_id = (uint16_t)page_id;
    b.block->super = super;
    b.block->cut = trace->cut;
    b.block->counts = flags & BUILD_HEAT;
    b.guesses = (super || tr->options.eager_window) && !tr->options.no_guess;
    b.block->late &= !b.entry_is_hot;
    b.crossing = trace->next_bytes != 0;
    b.live = NULL;
    b.path = path;
    b.second = trace->second;
    b.portable = !super && b.code64 && b.view == VIEW_USER && !b.crossing && !b.guesses &&
                 !b.has_heat && !trace->step && !tr->options.counted;
    rename_begin(&b, renaming);
    if (trace->branches) { /* what is known where is in no order that struct block knows */
        b.records.no_resume = UINT64_MAX;
        b.block->no_end = true;
    }
    /* Else it would be where cache_fault_host() is. */
    b.entry_is_hot |= b.swap_count != 0 && !b.block->late;
    b.block->entry_is_hot = b.entry_is_hot;
    build_entry(&b);
    if (b.crossing)
        build_check_next_page(&b, next_id);
    rename_enter(&b);
    b.again.host = b.round_end = 0;
    b.pads = *pads;
    if (trace->second == 0 || !build_has_regions(&b))
        pad_loop(&b);
    b.loop = may_loop(&b) ? emit_here(&b.e) : 0;
    start = b.e.at - (emit_here(&b.e) - cache_host(tr->cache, b.block));

    build_count_all(&b);
    for (unsigned i = 0; i < trace->count; i++) {
        b.records.sites[i] = (struct block_site){trace->offset[i], (uint16_t)(b.e.at - start)};
        b.index = (uint8_t)i;
        b.last = i + 1 == trace->count;
        b.go = b.last ? TRACE_ENDS : (enum trace_go)trace->go[i];
        b.kept_as[i] = BLOCK_NO_CALL;
        b.bytes = bytes + trace->offset[i];
        b.rip = key->linear - key->cs_base + trace->offset[i];
        b.next_rip = b.rip + trace->insn[i].length;
        if (i != 0 && i == trace->second) {
            build_pay_sp(&b);
            loop_again(&b);
        }
        if (trace->branches && i != 0 && trace->from[i] != PATH_NEXT)
            begin_way(&b);
        if (trace->branches && trace->inner[i])
            begin_inner(&b);
        if (trace->step)
            build_step(&b);
        else
            translate_insn(&b, &trace->insn[i], trace->call[i]);
        if (b.group.base != NO_REG && i + 1 < trace->count)
            build_forbid(&b, i + 1);
    }
    if (!b.ended)
        build_pay_sp(&b); /* in the last instruction, as C may go on at the end */
    b.records.sites[trace->count] =
        (struct block_site){trace->offset[trace->count], (uint16_t)(b.e.at - start)};
    b.block->guest_bytes = (uint16_t)(trace->end - trace->next_bytes);
    b.block->insn_count = (uint8_t)trace->count;
    if (!b.ended) {
        build_settle_stack(&b);
        b.block->settled = (uint8_t)(b.e.at - start - b.records.sites[trace->count].host);
        build_exit(&b, b.code64 ? b.next_rip : (uint32_t)b.next_rip);
        /* What ends a block may have changed what is mapped here. */
        if (!b.e.overflow && (insn_row(&trace->insn[trace->count - 1])->traits & ENDS))
            b.records.exits[b.records.exit_count - 1].checked = true;
    } else { /* a RET to the next instruction finds no code behind the block's end */
        b.block->no_end = true;
    }
    build_finish(&b);
    cold_bytes = emit_here(&b.e) - cache_cold_host(tr->cache, b.block);
    b.block->cold_bytes = (uint16_t)cold_bytes;
    record_kept(&b, trace);
    cache_emit_records(tr->cache, b.block, &b.e, &b.records);
    split = b.cold.at != NULL;
    if (b.portable && split && b.records.hole_count == 0)
        cache_keep_places(tr->cache, b.block, &b.e);
    *unfit = b.unfit;
    if (b.records.hole_count != 0 && (trace->second != 0 || trace->winds || trace->branches))
        return NULL; /* the same bytes, twice; or not in the order of their addresses */
    if (b.unfit || b.hot.overflow || b.e.overflow || cold_bytes > UINT16_MAX)
        return NULL;
    *pads = !b.pads && has_short_tail(&b);
    if (*pads)
        return NULL;
    if (!cache_commit(tr->cache, b.block, split ? &b.hot : &b.e, split ? &b.e : &b.cold))
        return NULL;
    if (tr->options.log_in_asm || tr->options.log_out_asm)
        dump_block(tr, b.block, bytes);
    return b.block;
}

/* The same, padded if need be. */
static struct block *make(struct translator *tr, struct cpu *cpu, const struct block_key *key,
                          unsigned flags, const struct trace *trace, const uint8_t *bytes,
                          const struct path *path, bool super, enum renaming renaming, bool *unfit)
{
    bool pads = false;
    struct block *block =
        try(tr, cpu, key, flags, trace, bytes, path, super, renaming, &pads, unfit);

    if (pads)
        block = try(tr, cpu, key, flags, trace, bytes, path, super, renaming, &pads, unfit);
    return block;
}

/* The same with as much renaming as it can be had with. */
static struct block *make_somehow(struct translator *tr, struct cpu *cpu,
                                  const struct block_key *key, unsigned flags,
                                  const struct trace *trace, const uint8_t *bytes,
                                  const struct path *path, bool super)
{
    enum renaming renaming = super || tr->options.eager_superblock ? RENAMING_LENDS : RENAMING_NONE;
    struct block *block;
    bool unfit;

    do {
        block = make(tr, cpu, key, flags, trace, bytes, path, super, renaming, &unfit);
        if (block == NULL && !unfit && super) /* once more, with more room */
            block = make(tr, cpu, key, flags, trace, bytes, path, true, renaming, &unfit);
    } while (unfit && renaming-- != RENAMING_NONE);
    return block;
}

static struct block *build(struct translator *tr, struct cpu *cpu, const struct block_key *key,
                           unsigned flags, struct block *head, struct path *path)
{
    const struct phys_page *page = physmem_page(tr->mem, key->phys);
    struct block *block;
    struct trace trace;
    const uint8_t *bytes;

    if (page->host == NULL)
        return NULL;
    bytes = trace_decode(tr, cpu, key, page->host, head, path, &trace);
    block = make_somehow(tr, cpu, key, flags, &trace, bytes, path, head != NULL);
    if (block == NULL && (trace.second != 0 || trace.branches)) { /* simpler */
        path->count = trace.branches ? path->trunk : path->second;
        path->second = 0;
        path->branches = false;
        bytes = trace_decode(tr, cpu, key, page->host, head, path, &trace);
        block = make_somehow(tr, cpu, key, flags, &trace, bytes, path, true);
    }
    /* Not before: with a page's last code goes what is known of its bytes, and stores beside code
     * would begin anew.  If it was evicted, the new one may be in its place. */
    if (block != NULL && head != NULL && head != block)
        cache_invalidate(tr->cache, head);
    return block;
}

struct block *build_anew(struct translator *tr, struct cpu *cpu, const struct block_key *key,
                         unsigned flags)
{
    return build(tr, cpu, key, flags, NULL, NULL);
}

struct block *build_block(struct translator *tr, struct cpu *cpu, const struct block_key *key,
                          unsigned flags)
{
    struct block *const copied = copy_block(tr, cpu, key, flags);

    return copied != NULL ? copied : build_anew(tr, cpu, key, flags);
}

struct block *build_superblock(struct translator *tr, struct cpu *cpu, struct block *block,
                               struct path *path)
{
    const struct block_key key = block->key;

    return build(tr, cpu, &key, block->entry_is_hot ? BUILD_ENTRY : 0, block, path);
}
