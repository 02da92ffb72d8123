/*
 * translator/stats.c -- what was counted, for -d stats.
 */
#include "cpu/hosttime.h"
#include "cpu/insn.h"
#include "translator/build.h"
#include "translator/windows.h"

void stats_begin(struct translator *tr)
{
    tr->created_ticks = __builtin_ia32_rdtsc();
    tr->created_ns = hosttime_ns();
}

/* TSC ticks as nanoseconds, by what both clocks say since the translator was created. */
static uint64_t ticks_ns(const struct translator *tr, uint64_t ticks)
{
    const uint64_t since = __builtin_ia32_rdtsc() - tr->created_ticks;

    return (uint64_t)((unsigned __int128)ticks * (hosttime_ns() - tr->created_ns) / (since | 1));
}

/* The forms that generated code left to the interpreter most often. */
static void print_interpreted(const struct translator *tr, FILE *out)
{
    enum { TOP = 20 };
    uint64_t below = UINT64_MAX;

    for (unsigned rank = 0; rank < TOP; rank++) {
        uint64_t best = 0;

        for (size_t row = 0; row < insn_row_count; row++) {
            if (tr->interpreted[row] > best && tr->interpreted[row] < below)
                best = tr->interpreted[row];
        }
        if (best == 0)
            break;
        for (size_t row = 0; row < insn_row_count; row++) {
            if (tr->interpreted[row] == best)
                fprintf(out, "interpreted: %-12s rule %-9s %llu\n", insn_rows[row].mnemonic,
                        rule_names[row], (unsigned long long)best);
        }
        below = best;
    }
}

void translator_print_stats(const struct translator *tr, FILE *out)
{
    const struct cache_counters *c = cache_counters(tr->cache);
    const struct run_counters *r = &tr->counters;
    const struct windows_counters none = {0};
    const struct windows_counters w = tr->windows != NULL ? *windows_counters(tr->windows) : none;
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {
        {"translations", c->translations},
        {"nanoseconds spent translating", ticks_ns(tr, r->building_ticks)},
        {"blocks taken to other addresses", r->adopted},
        {"copies of blocks at other addresses", r->copies},
        {"copies that differ (-x check-copy)", r->bad_copies},
        {"guest instructions translated", c->guest_insns},
        {"guest bytes translated", c->guest_bytes},
        {"host bytes emitted", c->host_bytes},
        {"host bytes in hot parts", c->hot_bytes},
        {"block lookups", c->lookups},
        {"block lookup hits", c->lookup_hits},
        {"chains made", c->chains},
        {"checked entries made late", c->late_entries},
        {"chains undone", c->unchains},
        {"entries from the run loop", r->enters},
        {"exits: direct jump to resolve", r->resolves},
        {"exits: jump cache miss", r->indirect_misses},
        {"exits: return not predicted", r->return_misses},
        {"exits: instruction to interpret", r->slow},
        {"exits: page mapped elsewhere", r->rechecks},
        {"exits: host fault", r->host_faults},
        {"exits: kicked at a poll", r->stops},
        {"cold visits interpreted", r->cold},
        {"superblocks made", r->superblocks},
        {"superblocks whose guards failed", r->stale},
        {"blocks made again without groups", r->ungrouped},
        {"windows made", w.created},
        {"windows evicted", w.evictions},
        {"windows looked through", w.revalidations},
        {"window faults", r->window_misses},
        {"window fills", w.fills},
        {"window fills after a page fault", r->window_awaited},
        {"window pages mapped", w.pages},
        {"window pages dropped", w.drops},
        {"windows given up for a probe", r->unwindowed},
        {"operands found in another region", r->region_changes},
        {"single steps", r->steps},
        {"untranslatable starts", r->untranslatable},
        {"blocks invalidated", c->invalidated},
        {"stores that hit code", r->code_stores},
        {"immediates translated as data", tr->smc.counters.live_imms},
        {"blocks spared by a store", tr->smc.counters.spared},
        {"stores that look beside code", tr->smc.counters.beside},
        {"pages entered for them", tr->smc.counters.beside_pages},
        {"evictions", c->evictions},
        {"blocks evicted", c->evicted_blocks},
        {"blocks promoted", c->promotions},
        {"translations of evicted code", c->retranslations},
        {"cache bytes of live blocks", c->live_bytes},
        {"cache bytes of dead blocks", c->dead_bytes},
        {"cache bytes passed over", c->hole_bytes},
        {"bytes of tables for blocks", cache_table_bytes(tr->cache)},
        {"code page id resets", c->id_resets},
    };

    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        fprintf(out, "%-34s %llu\n", rows[i].name, (unsigned long long)rows[i].value);
    print_interpreted(tr, out);
}
