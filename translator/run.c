/*
 * translator/run.c -- the run loop, and what generated code asks of C.
 *
 * Generated code calls the runtime_*() functions through glue that has stored the guest's registers
 * in struct cpu.  Each answers with the host address to go on at: a block, the middle of one, or
 * glue.leave, which returns to translator_run().
 *
 * All of this is compiled without vector registers: x87 and SSE state stays in the host's registers
 * (cpu->fpu_live) unless a device or other foreign code is called.
 */
#include "cpu/debugger.h"
#include "cpu/fpu.h"
#include "cpu/interp.h"
#include "cpu/mmu.h"
#include "cpu/physmem.h"
#include "translator/build.h"
#include "translator/find.h"
#include "translator/returns.h"
#include "translator/runtime.h"
#include "translator/superblocks.h"
#include "translator/windows.h"

enum {
    SLOW_TICK = 512, /* side exits that are a sign of a busy supervisor */
    COLD_RUN = 32,   /* instructions interpreted at the most on a cold visit */
};

static struct translator *translator_of(struct cpu *cpu)
{
    return cpu->translator_state;
}

/* ---- flags between struct cpu and the host's form ---- */

static void flags_collect(struct cpu *cpu)
{
    const uint32_t ax = rt_of(cpu)->flag_ax;

    cpu->rflags = (cpu->rflags & ~(uint64_t)FLAGS_OSZAPC) | (ax >> 8 & FLAGS_OSZAPC & 0xff) |
                  (ax & 1 ? FLAG_OF : 0);
}

static void flags_offer(struct cpu *cpu)
{
    struct windows *windows = translator_of(cpu)->windows;

    if (windows != NULL && (cpu->mode & MODE_WINDOW))
        rt_of(cpu)->stack = windows_select(windows, cpu->mode, cpu->gpr[RSP]);
    returns_select(translator_of(cpu)->returns, cpu);
    rt_of(cpu)->flag_ax = (uint32_t)((cpu->rflags & 0xff) << 8) | (cpu->rflags & FLAG_OF ? 1 : 0);
    rt_of(cpu)->down = cpu->rflags & FLAG_DF;
    cpu->rflags &= ~(uint64_t)FLAGS_OSZAPC; /* so that PUSHF can add */
}

/* ---- may generated code go on? ---- */

/* Single steps, breakpoints and alignment checks are the interpreter's. */
static bool must_interpret(const struct cpu *cpu)
{
    return (cpu->rflags & (FLAG_TF | FLAG_RF)) || (cpu->dr[7] & 0xff) || cpu->align_check ||
           cpu->shadow != 0;
}

static bool must_return(const struct cpu *cpu)
{
    return __atomic_load_n(&cpu->exit_request, __ATOMIC_RELAXED) != 0 || cpu->halted ||
           cpu->shutdown || cpu->waiting_sipi;
}

/* ---- going on ---- */

static uint64_t leave(const struct translator *tr)
{
    return tr->glue[0].leave; /* the same code whatever the contract */
}

/* Go on at a host address, under the contract of the current mode. */
static uint64_t resume(struct translator *tr, struct cpu *cpu, uint64_t host)
{
    if (!cpu->fpu_live)
        fpu_load(cpu);
    flags_offer(cpu);
    rt_of(cpu)->resume = host;
    return glue_of(tr, cpu->mode)->reload;
}

/* Where generated code goes on, all state being in struct cpu. */
static uint64_t go_on(struct translator *tr, struct cpu *cpu)
{
    struct block *block;

    if (tr->options.counted || must_return(cpu) || must_interpret(cpu) || cpu_has_event(cpu))
        return leave(tr);
    block = find_block(tr, cpu, 0);
    return block != NULL ? resume(tr, cpu, cache_host(tr->cache, block)) : leave(tr);
}

/* The jump cache's entry for CS:rip, which may hold another address; NULL: this mode has none. */
static struct jump_entry *jump_entry(const struct translator *tr, struct cpu *cpu)
{
    if (tr->options.no_chain || !(cpu->mode & MODE_CS_FLAT))
        return NULL;
    return &rt_of(cpu)->jumps[rt_jump_index(mmu_view(cpu), cpu->rip)];
}

static uint64_t jump_negated(const struct cpu *cpu)
{
    return -(cpu->rip + rt_jump_bias(cpu_is_code64(cpu)));
}

/* The same after an indirect jump: remember where it led.  heat: find_heat_flag() if a loop or a
 * function may begin there, else 0: behind a call begins none, and what does keeps out of its
 * caller's. */
static uint64_t go_on_indirect(struct translator *tr, struct cpu *cpu, unsigned heat)
{
    struct jump_entry *entry = jump_entry(tr, cpu);
    struct block *block;
    bool settled;

    if (tr->options.counted || must_return(cpu) || must_interpret(cpu) || cpu_has_event(cpu))
        return leave(tr);
    block = find_head(tr, cpu, BUILD_ENTRY | heat, &settled);
    if (block == NULL)
        return leave(tr);
    if (entry != NULL && settled)
        flow_make_entry(tr, block);
    if (entry != NULL && settled && cache_checked_host(tr->cache, block) != 0)
        *entry = (struct jump_entry){jump_negated(cpu), cache_checked_host(tr->cache, block)};
    return resume(tr, cpu, cache_host(tr->cache, block));
}

/* Back from the guest's handler of a page fault at what the user had no page: one signal is enough
 * to find that out, and the next one is spared. */
static void fill_awaited(struct translator *tr, const struct cpu *cpu)
{
    if (tr->awaited.host == 0 || tr->awaited.rip != cpu->rip || !(cpu->mode & MODE_USER))
        return;
    if (windows_fill_again(tr->windows, tr->awaited.host))
        tr->counters.window_awaited++;
    tr->awaited.host = 0;
}

/*
 * The same after a system instruction has jumped (SYSCALL, IRET): by the jump cache where that
 * knows the way, as generated code would.  The mode may be a new one, and the code ids that checked
 * entries look at those of another.
 */
static uint64_t go_on_system(struct translator *tr, struct cpu *cpu)
{
    const struct jump_entry *entry = jump_entry(tr, cpu);

    fill_awaited(tr, cpu);
    if (entry == NULL || entry->negated != jump_negated(cpu) || tr->options.counted ||
        !tables_know_mode(cpu) || must_return(cpu) || must_interpret(cpu) || cpu_has_event(cpu))
        return go_on_indirect(tr, cpu, find_heat_flag(tr));
    return resume(tr, cpu, entry->host);
}

/* ---- asked by generated code ---- */

static struct block *record_block(const struct translator *tr, const uint8_t *record,
                                  unsigned *number)
{
    uint32_t value;

    _Static_assert(sizeof(value) == GLUE_RECORD_BYTES, "what flow.c emits");
    __builtin_memcpy(&value, record, sizeof(value));
    *number = value >> BLOCK_NUMBER_BITS;
    return cache_block(tr->cache, value & ((1u << BLOCK_NUMBER_BITS) - 1));
}

static uint64_t block_rip(const struct translator *tr, const struct block *block, unsigned index)
{
    const uint64_t rip =
        block->key.linear - block->key.cs_base + cache_site(tr->cache, block, index).guest;

    return mode_is_code64(block->key.mode) ? rip : (uint32_t)rip;
}

static physaddr_t site_phys(const struct translator *tr, const struct block *block, unsigned index)
{
    return cache_phys(tr->cache, block, cache_site(tr->cache, block, index).guest);
}

/* Where the code of instruction `index` executes. */
static uint64_t site_host(const struct translator *tr, const struct block *block, unsigned index)
{
    return cache_host(tr->cache, block) + cache_site(tr->cache, block, index).host;
}

/* Fetch and interpret what is at CS:rip, whatever it is. */
static uint64_t step_one(struct translator *tr, struct cpu *cpu)
{
    tr->counters.steps++;
    (void)interp_step(cpu);
    cpu->code_written = false;
    return go_on(tr, cpu);
}

/* Remember which code page is mapped behind a block that crosses into it. */
static void note_next_page(struct translator *tr, struct cpu *cpu, const struct block *block)
{
    const linaddr_t next = (block->key.linear | ~PAGE_MASK) + 1;
    physaddr_t phys;

    if (block->crosses && find_fetch(cpu, next, &phys))
        tables_fill_code(cpu, next, cache_page_id(tr->cache, next, phys, block->key.mode));
}

/*
 * Interpret instruction `index` of the block, then resume behind it if all is as it was.  call: the
 * instruction as the block keeps it, or NULL.  The block's bytes and mode are still those it was
 * made for: it is left as soon as either changes.
 */
static uint64_t interpret_one(struct translator *tr, struct cpu *cpu, struct block *block,
                              unsigned index, const struct block_call *call)
{
    const unsigned count = block->insn_count;
    const linaddr_t missed = rt_of(cpu)->t0;
    struct block_call decoded;
    /* Nothing has been, where SYSCALL and the like are. */
    const bool probed = call == NULL || !(insn_row(&call->in)->traits & ENDS);
    bool ends;

    flags_collect(cpu);
    cpu->rip = block_rip(tr, block, index);
    if (tr->options.counted)
        cpu->icount -= count - index;
    if (call == NULL) {
        const physaddr_t phys = site_phys(tr, block, index);
        const struct phys_page *page = physmem_page(tr->mem, phys);
        const unsigned at = phys & (PAGE_SIZE - 1);

        if (page->host == NULL || decode(page->host + at, PAGE_SIZE - at, code_size_of(cpu->mode),
                                         &decoded.in) != DECODE_OK)
            return step_one(tr, cpu);
        decoded.run = interp_handler(cpu, &decoded.in);
        call = &decoded;
    }
    tr->interpreted[call->in.row]++;
    if (!interp_execute(cpu, &call->in, call->run))
        return go_on(tr, cpu);
    cpu->code_written = false; /* the listener has dropped the blocks */
    ends = insn_row(&call->in)->traits & ENDS;
    /* Before the next fetch, whose page may have the same entry in the interpreter's TLB. */
    if (probed)
        tables_fill(cpu, missed);
    if (block->dead || cpu->mode != block->key.mode ||
        !cache_resumes(tr->cache, block, index + 1) ||
        cpu->rip != block_rip(tr, block, index + 1) || must_return(cpu) || must_interpret(cpu))
        return ends ? go_on_system(tr, cpu) : go_on(tr, cpu);
    /* Those that end a block may have moved CS to where it has a limit, or let interrupts in. */
    if (ends && (!(cpu->mode & MODE_CS_FLAT) || cpu_has_event(cpu)))
        return go_on_system(tr, cpu);
    if (tr->options.counted)
        cpu->icount += count - index - 1;
    return resume(tr, cpu, site_host(tr, block, index + 1));
}

/*
 * Generated code was to go on at rt.resume, but C has run since, and blocks have been dropped.  A
 * dead block must not be entered again: its bytes are no code any more, so it would not be told of
 * a store to them.
 */
static uint64_t avoid_dead(struct translator *tr, struct cpu *cpu, uint64_t host)
{
    const uint64_t at = rt_of(cpu)->resume;
    const struct block *block = host != leave(tr) ? cache_block_at(tr->cache, at) : NULL;

    if (block != NULL && block->dead) {
        flags_collect(cpu);
        for (unsigned i = 1; i <= block->insn_count && tr->options.counted; i++)
            if (site_host(tr, block, i) == at && block_rip(tr, block, i) == cpu->rip)
                cpu->icount -= block->insn_count - i;
        return go_on(tr, cpu);
    }
    if (host != leave(tr) && !cpu->fpu_live)
        fpu_load(cpu);
    return host;
}

/* The same when an access was refused: stores to pages with code are counted. */
static uint64_t interpret_access(struct translator *tr, struct cpu *cpu, struct block *block,
                                 unsigned index)
{
    const physaddr_t phys = site_phys(tr, block, index);
    const linaddr_t missed = rt_of(cpu)->t0;
    physaddr_t stored;
    const uint64_t stores = physmem_code_page_stores(tr->mem, &stored);
    uint64_t host = interpret_one(tr, cpu, block, index, NULL);

    if (physmem_code_page_stores(tr->mem, &stored) != stores) {
        beside_note(tr, cpu, phys, missed, stored);
        host = avoid_dead(tr, cpu, host);
    }
    return host;
}

/* A group that misses again and again (its range crosses a page, or holds one that may not be
 * stored to) is worse than none. */
static void ungroup(struct translator *tr, struct cpu *cpu, struct block *block)
{
    enum { MISSES_MAX = 100 };

    if (!block->grouped || block->dead || ++block->misses < MISSES_MAX)
        return;
    fpu_leave(cpu); /* releasing code marks may free memory */
    runtime_set_no_group(tr, block->key.phys);
    tr->counters.ungrouped++;
    cache_invalidate(tr->cache, block);
}

uint64_t runtime_slow(struct cpu *cpu, const uint8_t *record)
{
    struct translator *tr = translator_of(cpu);
    unsigned index;
    struct block *block = record_block(tr, record, &index);
    const unsigned kept = record[GLUE_RECORD_BYTES];

    tr->counters.slow++;
    /* The supervisor may run without being interrupted for long: what it misses shows that it does.
     */
    if (tr->windows != NULL && tr->counters.slow % SLOW_TICK == 0 &&
        !(cpu->mode & (MODE_WINDOW | MODE_USER)))
        (void)windows_tick(tr->windows);
    if (kept != BLOCK_NO_CALL)
        return interpret_one(tr, cpu, block, index, cache_call(tr->cache, block, kept));
    ungroup(tr, cpu, block);
    return interpret_access(tr, cpu, block, index);
}

uint64_t runtime_step(struct cpu *cpu, const uint8_t *record)
{
    struct translator *tr = translator_of(cpu);
    unsigned index;
    struct block *block = record_block(tr, record, &index);

    flags_collect(cpu);
    cpu->rip = block_rip(tr, block, index);
    if (tr->options.counted && !block->crosses)
        cpu->icount--; /* the block has counted it, and so will the interpreter */
    note_next_page(tr, cpu, block);
    return step_one(tr, cpu);
}

/* An instruction that faults again and again is better off with a probe.  raised: it was the
 * guest's fault, too, and next time the page may be there. */
static void note_window_miss(struct translator *tr, struct cpu *cpu, physaddr_t phys, uint64_t rip,
                             bool filled, bool raised)
{
    uint16_t *cost = runtime_window_cost(tr, phys, rip);
    const bool fine = *cost < WINDOW_COST_MAX;

    tr->counters.window_misses++;
    if (fine)
        *cost += filled || raised        ? WINDOW_FILL_COST
                 : cpu->mode & MODE_USER ? WINDOW_MISS_COST
                                         : WINDOW_SUPERVISOR_MISS_COST;
    if (fine && *cost >= WINDOW_COST_MAX) {
        tr->counters.unwindowed++;
        runtime_give_up_window(tr, phys, rip);
        fpu_leave(cpu);
        cache_invalidate_range(tr->cache, phys, 1);
    }
}

/* An operand was not in the region that it was taken to be in: make the instruction again for the
 * one that it was in.  A non-canonical address is in none. */
static void note_region(struct translator *tr, struct cpu *cpu, const struct block *block,
                        unsigned index, int64_t slot)
{
    const physaddr_t phys = site_phys(tr, block, index);
    const uint64_t rip = block_rip(tr, block, index);
    struct region_note *note = runtime_region(tr, phys, rip);

    tr->counters.region_changes++;
    if (slot == RT_FAULT_INDEX) {
        note->no_index = true;
        fpu_leave(cpu);
        cache_invalidate_range(tr->cache, phys, 1);
        return;
    }
    if (slot < -WINDOW_SLOTS / 2 || slot >= WINDOW_SLOTS / 2) {
        note_window_miss(tr, cpu, phys, rip, false, false);
        return;
    }
    note->slot = (int16_t)slot;
    if (note->changes < REGION_CHANGES)
        note->changes++;
    fpu_leave(cpu);
    cache_invalidate_range(tr->cache, phys, 1);
}

uint64_t runtime_fault(struct cpu *cpu, const uint8_t *unused)
{
    struct translator *tr = translator_of(cpu);
    struct block *block = rt_of(cpu)->fault_block;
    const unsigned index = rt_of(cpu)->fault_insn;
    const uint64_t address = rt_of(cpu)->fault_address;
    const int64_t slot = rt_of(cpu)->fault_slot;
    const enum tlb_view view = mmu_mode_view(block->key.mode);
    physaddr_t phys;
    uint64_t host;
    uint64_t rip, next;
    bool filled, raised;

    (void)unused;
    tr->counters.host_faults++;
    if (index == block->insn_count) { /* between blocks: HOST_STACK could not be had */
        flags_collect(cpu);
        cpu->rip = block_rip(tr, block, index);
        return go_on(tr, cpu);
    }
    phys = site_phys(tr, block, index);
    rip = block_rip(tr, block, index);
    next = block_rip(tr, block, index + 1);
    host = interpret_access(tr, cpu, block, index);
    raised = cpu->rip != next;
    if (address == 0)
        return host;
    if (windows_check(tr->windows, address)) {
        note_region(tr, cpu, block, index, slot);
        return avoid_dead(tr, cpu, host);
    }
    filled = windows_fill(tr->windows, view == VIEW_USER, address);
    note_window_miss(tr, cpu, phys, rip, filled, raised);
    tr->awaited.host = raised && !filled && view == VIEW_USER ? address : 0;
    tr->awaited.rip = rip;
    host = avoid_dead(tr, cpu, host);
    if (host != leave(tr)) /* there may be a new region */
        rt_of(cpu)->stack = windows_select(tr->windows, cpu->mode, cpu->gpr[RSP]);
    return host;
}

uint64_t runtime_stop(struct cpu *cpu, const uint8_t *record)
{
    struct translator *tr = translator_of(cpu);
    unsigned index;
    struct block *block = record_block(tr, record, &index);

    tr->counters.stops++;
    tr->busy = __atomic_load_n(&cpu->exit_request, __ATOMIC_RELAXED) != 0;
    flags_collect(cpu);
    cpu->rip = block_rip(tr, block, index);
    if (tr->options.counted)
        cpu->icount -= block->insn_count - index;
    else if (!block->dead)
        superblocks_note_loop(tr, cpu, block);
    return leave(tr);
}

uint64_t runtime_resolve(struct cpu *cpu, const uint8_t *record)
{
    struct translator *tr = translator_of(cpu);
    unsigned number;
    struct block *from = record_block(tr, record, &number), *to;
    const struct block_exit exit = *cache_exit(tr->cache, from, number);
    const uint64_t epoch = cache_epoch(tr->cache);
    bool settled;

    tr->counters.resolves++;
    flags_collect(cpu);
    cpu->rip = cache_exit_target(tr->cache, from, number);
    if (tr->options.counted || must_return(cpu) || cpu_has_event(cpu))
        return leave(tr);
    to = find_head(tr, cpu, (exit.checked ? BUILD_ENTRY : 0) | (exit.head ? find_heat_flag(tr) : 0),
                   &settled);
    if (to == NULL)
        return leave(tr);
    if (tr->options.eager_path && exit.head && !to->super && !must_interpret(cpu)) {
        superblocks_make_at_once(tr, cpu, to);
        return leave(tr);
    }
    /* Making room for `to` may have reused the memory of `from`.  What runs over the end of the
     * address space to 0 goes backward without a poll, so that is not linked. */
    if (settled && !tr->options.no_chain && (cpu->mode & MODE_CS_FLAT) &&
        cache_epoch(tr->cache) == epoch && cpu->rip != 0) {
        if (exit.checked)
            flow_make_entry(tr, to);
        cache_link(tr->cache, from, number, to);
    }
    return resume(tr, cpu, cache_host(tr->cache, to));
}

uint64_t runtime_recheck(struct cpu *cpu, const uint8_t *record)
{
    struct translator *tr = translator_of(cpu);
    unsigned index;
    const struct block *block = record_block(tr, record, &index);

    tr->counters.rechecks++;
    flags_collect(cpu);
    cpu->rip = block_rip(tr, block, 0);
    /* The jump cache may have led here: correct it. */
    return go_on_indirect(tr, cpu, find_heat_flag(tr));
}

uint64_t runtime_indirect(struct cpu *cpu, const uint8_t *unused)
{
    struct translator *tr = translator_of(cpu);

    (void)unused;
    tr->counters.indirect_misses++;
    flags_collect(cpu);
    cpu->rip = rt_of(cpu)->t0;
    return go_on_indirect(tr, cpu, find_heat_flag(tr));
}

/* A block has been come to often enough: a superblock takes its place. */
uint64_t runtime_hot(struct cpu *cpu, const uint8_t *record)
{
    struct translator *tr = translator_of(cpu);
    unsigned index;
    struct block *block = record_block(tr, record, &index);

    flags_collect(cpu);
    cpu->rip = block_rip(tr, block, 0);
    rt_of(cpu)->heat[rt_heat_place(cache_number(tr->cache, block))] = RT_HEAT_VISITS;
    if (!block->dead)
        superblocks_make(tr, cpu, block, NULL);
    return go_on(tr, cpu);
}

/* The computed jumps of a superblock went elsewhere than it was made for, time and again.  If the
 * loop is still worth one, it will be found again, along the way that it takes now. */
uint64_t runtime_stale(struct cpu *cpu, const uint8_t *record)
{
    struct translator *tr = translator_of(cpu);
    unsigned index;
    struct block *block = record_block(tr, record, &index);

    tr->counters.stale++;
    flags_collect(cpu);
    cpu->rip = block_rip(tr, block, index);
    rt_of(cpu)->heat[rt_heat_place(cache_number(tr->cache, block))] = RT_GUARD_MISSES;
    fpu_leave(cpu);
    if (!block->dead)
        cache_invalidate(tr->cache, block);
    return go_on(tr, cpu);
}

/* A RET that no landing took: T0 is where to. */
uint64_t runtime_return(struct cpu *cpu, const uint8_t *unused)
{
    struct translator *tr = translator_of(cpu);
    const struct rt *rt = rt_of(cpu);
    const uint8_t *record = (const uint8_t *)rt->return_record;
    struct block *block;
    uint16_t pop;
    unsigned index;

    (void)unused;
    tr->counters.return_misses++;
    if (cpu_is_code64(cpu) && !linaddr_is_canonical(rt->t0)) {
        /* It should have faulted before it changed RSP. */
        __builtin_memcpy(&pop, record + GLUE_RECORD_BYTES, sizeof(pop));
        cpu->gpr[RSP] -= 8u + pop;
        block = record_block(tr, record, &index);
        return interpret_one(tr, cpu, block, index, NULL);
    }
    flags_collect(cpu);
    cpu->rip = rt->t0;
    return cpu->poll_go == 0 ? leave(tr) : go_on_indirect(tr, cpu, 0);
}

/* ---- the run loop ---- */

/* Interpret until a control transfer, at most COLD_RUN instructions and `budget`. */
static void run_cold(struct translator *tr, struct cpu *cpu, uint64_t budget)
{
    for (unsigned i = 0; i < COLD_RUN && i < budget; i++) {
        const uint64_t before = cpu->rip, sp = cpu->gpr[RSP];

        if (!interp_step(cpu))
            break;
        if (cpu->rip - before > INSN_MAX_LENGTH) {
            /* By a call, or backward but not by a return. */
            if (cpu->gpr[RSP] < sp || (cpu->gpr[RSP] == sp && cpu->rip < before))
                tr->arrived = find_heat_flag(tr);
            break;
        }
        if (must_return(cpu) || cpu_has_event(cpu))
            break;
        if (cpu->debugger != NULL && debugger_breaks_in(cpu->debugger, debugger_pc(cpu), 1))
            break;
    }
    cpu->code_written = false;
}

enum run_exit translator_run(struct translator *tr, struct cpu *cpu, uint64_t max_insns)
{
    const uint64_t end =
        max_insns > UINT64_MAX - cpu->icount ? UINT64_MAX : cpu->icount + max_insns;
    enum run_exit result;

    hostsignal_attach(tr);
    if (superblocks_sample(tr))
        sampler_start(&tr->sampler, cpu);
    if (tr->windows != NULL)
        windows_enter(tr->windows);
    for (;;) {
        const unsigned flags = tr->arrived;
        bool cold = tr->cold; /* the reason why generated code was left: do not count twice */
        struct block *block;

        tr->arrived = 0;
        tr->cold = false;
        /* Before exit_request is read: a kick is seen there, or undoes this. */
        __atomic_store_n(&cpu->poll_go, 1, __ATOMIC_RELAXED);
        __atomic_store_n(&cpu->poll_stop, 0, __ATOMIC_SEQ_CST);
        if (tr->windows != NULL && (tr->busy || tr->options.eager_window))
            (void)windows_tick(tr->windows);
        tr->busy = false;
        if (__atomic_load_n(&cpu->exit_request, __ATOMIC_SEQ_CST) != 0) {
            result = RUN_EXIT;
            break;
        }
        if (cpu->shutdown) {
            result = RUN_SHUTDOWN;
            break;
        }
        if (tr->options.counted && cpu->icount >= end) {
            result = RUN_BUDGET;
            break;
        }
        if (cpu_has_event(cpu)) {
            cpu_service_event(cpu);
            cold = false;
        }
        if (cpu->halted || cpu->waiting_sipi) {
            result = RUN_HALTED;
            break;
        }
        if (cpu->debugger != NULL && debugger_stops(cpu))
            continue; /* kicked */
        if (must_interpret(cpu)) {
            tr->counters.steps++;
            (void)interp_step(cpu);
            cpu->code_written = false;
            continue;
        }
        block = cold ? NULL : find_block(tr, cpu, flags);
        if (block == NULL) {
            tr->cold = false;
            run_cold(tr, cpu, end - cpu->icount);
            continue;
        }
        if (!cpu->fpu_live)
            fpu_load(cpu);
        flags_offer(cpu);
        tr->counters.enters++;
        glue_of(tr, cpu->mode)->enter(cpu, cache_host(tr->cache, block));
    }
    if (tr->windows != NULL)
        windows_leave(tr->windows);
    hostsignal_detach();
    fpu_leave(cpu);
    return result;
}
