/*
 * translator/build.c -- one block: decode, rules, side exits.
 */
#include "translator/rules.h"

#include "cpu/debugger.h"
#include "cpu/interp.h"
#include "cpu/physmem.h"
#include "translator/windows.h"

struct decoded {
    struct insn insn[BLOCK_MAX_INSNS];
    uint16_t offset[BLOCK_MAX_INSNS + 1]; /* from the block's first byte */
    bool call[BLOCK_MAX_INSNS];           /* the mode wants another handler than the row's */
    unsigned count;
    bool step;                         /* the one instruction is fetched anew each time */
    uint8_t crossing[INSN_MAX_LENGTH]; /* bytes of the one instruction when it crosses the page */
    unsigned next_bytes;               /* how many of them are in the next page */
    physaddr_t next_phys;
};

/* The instructions from `bytes` to the first that ends a block, at most `room` bytes. */
static void decode_block(const struct cpu *cpu, const uint8_t *bytes, unsigned room, uint32_t mode,
                         struct decoded *d)
{
    const enum code_size size = code_size_of(mode);
    unsigned at = 0;

    d->count = 0;
    d->step = false;
    d->next_bytes = 0;
    while (d->count < BLOCK_MAX_INSNS && at < room) {
        struct insn *in = &d->insn[d->count];

        if (decode(bytes + at, room - at, size, in) != DECODE_OK)
            break;
        d->offset[d->count] = (uint16_t)at;
        d->call[d->count] = interp_handler(cpu, in) != insn_run_table[in->row];
        at += in->length;
        d->count++;
        if ((insn_row(in)->traits & ENDS) && rule_table[in->row] != rule_sti)
            break;
    }
    d->offset[d->count] = (uint16_t)at;
}

/* A debugger's breakpoint is nowhere but at the start of a block (and that one is interpreted). */
static void cut_at_breakpoint(const struct debugger *debugger, const struct block_key *key,
                              struct decoded *d)
{
    for (unsigned i = 1; i < d->count; i++) {
        linaddr_t linear = key->linear + d->offset[i];

        if ((key->mode & MODE_CODE_MASK) != MODE_CODE64)
            linear = (uint32_t)linear;
        if (debugger_breaks_in(debugger, linear, 1))
            d->count = i;
    }
}

/* The first instruction begins in the last `room` bytes of its page: take it with the bytes that
 * the next linear page has now.  False when there are none to be had. */
static bool decode_crossing(struct cpu *cpu, const struct block_key *key, const uint8_t *bytes,
                            unsigned room, struct decoded *d)
{
    linaddr_t next = (key->linear | ~PAGE_MASK) + 1;
    uint8_t *host;

    if (room >= INSN_MAX_LENGTH || !(key->mode & MODE_CS_FLAT))
        return false;
    if ((key->mode & MODE_CODE_MASK) != MODE_CODE64)
        next = (uint32_t)next;
    if (!mmu_fill(cpu, next, ACCESS_EXEC, mmu_view(cpu), &host, &d->next_phys) || host == NULL)
        return false;
    for (unsigned i = 0; i < INSN_MAX_LENGTH; i++)
        d->crossing[i] = i < room ? bytes[i] : host[i - room];
    if (decode(d->crossing, INSN_MAX_LENGTH, code_size_of(key->mode), &d->insn[0]) != DECODE_OK ||
        d->insn[0].length <= room)
        return false;
    d->next_bytes = d->insn[0].length - room;
    d->offset[0] = 0;
    d->offset[1] = d->insn[0].length;
    d->call[0] = interp_handler(cpu, &d->insn[0]) != insn_run_table[d->insn[0].row];
    d->count = 1;
    return true;
}

/* One instruction that cannot be had whole, or that is none. */
static void describe_step(struct decoded *d, unsigned room)
{
    const unsigned bytes = room < INSN_MAX_LENGTH ? room : INSN_MAX_LENGTH;

    d->insn[0] = (struct insn){.length = (uint8_t)bytes};
    d->offset[0] = 0;
    d->offset[1] = (uint16_t)bytes;
    d->call[0] = d->step = true;
    d->count = 1;
}

/* Counted time: icount += the block's instructions.  Not by ADD, even where the next instruction
 * writes all flags: those that the manual leaves undefined the host may leave as they were. */
static void count_insns(struct build *b, const struct decoded *d)
{
    const struct mem icount = BASE(HOST_CPU, AT_CPU(icount));

    if (!b->tr->options.counted)
        return;
    emit_mov_rm(&b->e, W64, T0, icount);
    emit_lea(&b->e, W64, T0, BASE(T0, d->count));
    emit_mov_mr(&b->e, W64, icount, T0);
}

/* Before a control transfer, but not one that reads or writes at RSP itself. */
static void settle_before(struct build *b, const struct insn *in)
{
    const rule_fn rule = rule_table[in->row];

    if ((insn_row(in)->traits & ENDS) && rule != rule_call_near && rule != rule_ret)
        build_settle_stack(b);
}

/* A jump with HOST_STACK clobbered, which only rules make that are not for CPL 3. */
static bool loses_stack(const struct build *b)
{
    return build_has_regions(b) && b->ended && !b->keeps_stack;
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
    const unsigned jumps = b->jump_count;
    const bool lost = b->stack_lost;
    const int32_t drift = b->stack_drift;
    const uint8_t holes = b->hole_count;

    settle_before(b, in);
    b->keeps_stack = false;
    if (!call && rule_table[in->row](b, in) && !loses_stack(b)) {
        note_stack(b, in);
        group_after(b, in, false);
        return;
    }
    b->e = start;
    b->jump_count = jumps;
    b->stack_lost = lost;
    b->stack_drift = drift;
    b->hole_count = holes;
    b->poll_count = 0;
    b->ended = b->returns = false;
    for (unsigned i = 0; i < BLOCK_EXITS; i++)
        b->block->exits[i] = (struct block_exit){0};
    build_keep(b);
    build_call_slow(b);
    b->stack_lost = false; /* the way back sets it */
    b->stack_drift = 0;
    group_after(b, in, true);
}

/* The kept instructions and their handlers, behind the block's code. */
static void emit_kept(struct build *b, const struct decoded *d)
{
    b->block->calls = (const struct block_call *)b->e.at;
    for (unsigned i = 0; i < b->kept_count; i++) {
        const struct insn *in = &d->insn[b->kept[i]];
        const struct block_call call = {interp_handler(b->cpu, in), *in};

        emit_bytes(&b->e, &call, sizeof(call));
    }
}

/* Ids of the block's page and of the one behind it, both from after the last renumbering. */
static void find_page_ids(struct translator *tr, const struct block_key *key,
                          const struct decoded *d, uint32_t *page_id, uint32_t *next_id)
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

struct block *build_block(struct translator *tr, struct cpu *cpu, const struct block_key *key,
                          bool entry_is_hot)
{
    const struct phys_page *page = physmem_page(tr->mem, key->phys);
    const unsigned in_page = key->phys & (PAGE_SIZE - 1);
    struct decoded d;
    struct build b;
    struct block_site sites[BLOCK_MAX_INSNS + 1];
    const uint8_t *bytes;
    uint8_t *start;
    uint32_t page_id, next_id;
    bool split;

    if (page->host == NULL)
        return NULL;
    bytes = page->host + in_page;
    decode_block(cpu, bytes, PAGE_SIZE - in_page, key->mode, &d);
    if (d.count == 0) {
        if (decode_crossing(cpu, key, bytes, PAGE_SIZE - in_page, &d))
            bytes = d.crossing;
        else
            describe_step(&d, PAGE_SIZE - in_page);
    }
    if (cpu->debugger != NULL)
        cut_at_breakpoint(cpu->debugger, key, &d);
    find_page_ids(tr, key, &d, &page_id, &next_id);

    b.tr = tr;
    b.cpu = cpu;
    b.block = cache_begin(tr->cache, &b.e, &b.cold);
    if (b.block == NULL)
        return NULL;
    b.block->key = *key;
    b.view = mmu_mode_view(key->mode);
    b.mode = key->mode;
    b.ended = false;
    b.jump_count = b.poll_count = b.kept_count = 0;
    b.code64 = (key->mode & MODE_CODE_MASK) == MODE_CODE64;
    b.contract = contract_of(key->mode);
    b.glue = glue_of(tr, key->mode);
    b.block->page_id = page_id;
    b.insns = d.insn;
    b.insn_calls = d.call;
    b.insn_count = d.count;
    b.no_groups = tr->options.no_group || runtime_no_group(tr, key->phys);
    b.window = key->mode & MODE_WINDOW;
    b.returns = false;
    b.stack_lost = false;
    b.stack_drift = 0;
    b.crossing = d.next_bytes != 0;
    b.live = NULL;
    b.hole_count = 0;
    group_begin(&b);
    b.entry_is_hot = entry_is_hot;
    build_entry(&b);
    start = b.e.at;

    if (d.next_bytes != 0)
        build_check_next_page(&b, next_id);
    count_insns(&b, &d);
    for (unsigned i = 0; i < d.count; i++) {
        sites[i] = (struct block_site){d.offset[i], (uint16_t)(b.e.at - start)};
        b.index = (uint8_t)i;
        b.last = i + 1 == d.count;
        b.kept_as[i] = BLOCK_NO_CALL;
        b.bytes = bytes + d.offset[i];
        b.rip = key->linear - key->cs_base + d.offset[i];
        b.next_rip = b.rip + d.insn[i].length;
        if (d.step)
            build_step(&b);
        else
            translate_insn(&b, &d.insn[i], d.call[i]);
        if (b.group.base != NO_REG && i + 1 < d.count)
            b.block->no_resume |= 1ull << (i + 1);
    }
    sites[d.count] = (struct block_site){d.offset[d.count], (uint16_t)(b.e.at - start)};
    b.block->guest_bytes = (uint16_t)(d.offset[d.count] - d.next_bytes);
    b.block->next_bytes = (uint16_t)d.next_bytes;
    b.block->next_phys = d.next_phys;
    b.block->insn_count = (uint8_t)d.count;
    if (!b.ended) {
        build_settle_stack(&b);
        b.block->settled = (uint16_t)(b.e.at - start);
        build_exit(&b, 0, b.code64 ? b.next_rip : (uint32_t)b.next_rip);
        /* What ends a block may have changed what is mapped here. */
        if (insn_row(&d.insn[d.count - 1])->traits & ENDS)
            b.block->exits[0].checked = true;
    } else { /* a RET to the next instruction finds no code behind the block's end */
        b.block->no_resume |= 1ull << d.count % 64;
    }
    build_finish(&b);
    b.block->cold_bytes = (uint32_t)(emit_here(&b.e) - cache_cold_host(tr->cache, b.block));
    while ((uintptr_t)b.e.at & 7)
        emit_u8(&b.e, 0xcc);
    b.block->sites = (const struct block_site *)b.e.at;
    emit_bytes(&b.e, sites, (d.count + 1u) * sizeof(sites[0]));
    while ((uintptr_t)b.e.at & 7)
        emit_u8(&b.e, 0xcc);
    emit_kept(&b, &d);
    b.block->holes = (const struct block_hole *)b.e.at;
    b.block->hole_count = b.hole_count;
    emit_bytes(&b.e, b.holes, b.hole_count * sizeof(b.holes[0]));
    split = b.cold.at != NULL;
    if (b.hot.overflow || b.e.overflow || b.hot.at - start > UINT16_MAX)
        return NULL;
    if (!cache_commit(tr->cache, b.block, split ? &b.hot : &b.e, split ? &b.e : &b.cold))
        return NULL;
    if (tr->options.log_in_asm || tr->options.log_out_asm)
        dump_block(tr, b.block, bytes);
    return b.block;
}
