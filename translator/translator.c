/*
 * translator/translator.c -- a translator from its creation to its end, and what it hears of:
 * stores to code, changes of the physical map, flushes, kicks.
 */
#include <errno.h>
#include <stdlib.h>

#include "cpu/physmem.h"
#include "translator/build.h"
#include "translator/cache_policy.h"
#include "translator/returns.h"
#include "translator/windows.h"

enum {
    DEFAULT_CACHE_BYTES = 128 << 20,
    MAP_CHANGE_SMALL = 256 << 20, /* bytes, looked through page by page */
};

static void on_store(void *ctx, physaddr_t gpa, size_t size)
{
    struct translator *tr = ctx;
    const uint64_t before = cache_counters(tr->cache)->invalidated;

    cache_stored(tr->cache, gpa, size);
    if (cache_counters(tr->cache)->invalidated != before)
        tr->counters.code_stores++;
}

static void on_mark(void *ctx, physaddr_t page)
{
    struct translator *tr = ctx;

    if (tr->cpu != NULL)
        tables_drop_writes(tr->cpu, physmem_page(tr->mem, page)->host);
    if (tr->windows != NULL)
        windows_drop_writes(tr->windows, physmem_page(tr->mem, page)->host);
}

/* Blocks are keyed by physical address: those elsewhere are as good as before.  A guest that looks
 * for the sizes of its BARs changes the map dozens of times. */
static void on_map_changed(void *ctx, physaddr_t gpa, uint64_t size)
{
    struct translator *tr = ctx;

    if (size <= MAP_CHANGE_SMALL)
        cache_invalidate_range(tr->cache, gpa, size);
    else
        cache_flush(tr->cache);
    if (tr->cpu != NULL) {
        tables_flush(tr->cpu, 0, TLB_FLUSH_ALL);
        returns_forget(tr->returns);
    }
    beside_flush(tr);
    if (tr->windows != NULL)
        windows_drop_all(tr->windows);
}

static void on_flush(void *ctx, uint64_t argument, enum tlb_flush what)
{
    struct translator *tr = ctx;

    tables_flush(tr->cpu, argument, what);
    returns_forget(tr->returns);
    beside_flush(tr);
    if (tr->windows != NULL)
        windows_flush(tr->windows, argument, what);
}

static void on_drop(void *ctx, const struct block *block)
{
    struct translator *tr = ctx;

    if (tr->cpu == NULL)
        return;
    if (block != NULL)
        tables_drop_block(tr->cpu, &block->key, cache_checked_host(tr->cache, block),
                          tr->glue[0].indirect);
    else
        tables_drop_block(tr->cpu, NULL, 0, tr->glue[0].indirect);
    returns_forget(tr->returns);
}

static bool on_spares(void *ctx, const struct block *block, physaddr_t from, physaddr_t to)
{
    return live_spares(ctx, block, from, to);
}

static void on_forget(void *ctx, physaddr_t page)
{
    (void)page;
    beside_flush(ctx);
}

static void on_kick(struct cpu *cpu)
{
    /* In this order, and the other way round where they are taken back: else both could stay set,
     * and no landing would match until the next kick. */
    __atomic_store_n(&cpu->poll_stop, POLL_STOP, __ATOMIC_SEQ_CST);
    __atomic_store_n(&cpu->poll_go, 0, __ATOMIC_SEQ_CST);
}

struct translator *translator_create(struct physmem *mem, const struct translator_options *options)
{
    struct translator *tr = calloc(1, sizeof(*tr));
    struct emit e;

    if (tr == NULL)
        return NULL;
    tr->mem = mem;
    if (options != NULL)
        tr->options = *options;
    if (tr->options.log == NULL)
        tr->options.log = stderr;
    tr->interpreted = calloc(insn_row_count, sizeof(uint64_t));
    if (tr->interpreted == NULL)
        goto fail;
    stats_begin(tr);
    /* One operation since Zen, 7 to 11 with other makers. [Fog: Instruction tables] */
    tr->quick_loop = __builtin_cpu_is("amd") && !tr->options.no_loop;
    tr->bmi2 = __builtin_cpu_supports("bmi2") && !tr->options.no_bmi2;
    tr->cache =
        cache_create(mem, tr->options.cache_bytes ? tr->options.cache_bytes : DEFAULT_CACHE_BYTES,
                     cache_policies[tr->options.cache_policy]);
    if (tr->cache == NULL)
        goto fail;
    cache_reserve(tr->cache, &e);
    if (!glue_emit(&tr->glue[0], &contract32, tr->quick_loop, &e) ||
        !glue_emit(&tr->glue[1], &contract64, tr->quick_loop, &e))
        goto fail;
    if (!cache_reserve_end(tr->cache, &e))
        goto fail;
    cache_on_drop(tr->cache, on_drop, tr);
    cache_on_store(tr->cache, on_spares, tr);
    if (physmem_add_code_listener(mem, on_store, on_mark, tr) != 0 ||
        physmem_add_map_listener(mem, on_map_changed, tr) != 0)
        goto fail;
    physmem_on_code_forgotten(mem, on_forget, tr);
    return tr;
fail:
    translator_destroy(tr);
    return NULL;
}

const char *translator_cache_policy(unsigned number, const char **summary)
{
    const struct cache_policy *policy = cache_policies[number];

    if (policy == NULL)
        return NULL;
    *summary = policy->summary;
    return policy->name;
}

void translator_add_breakpoint(struct translator *tr, linaddr_t linear)
{
    cache_invalidate_linear(tr->cache, linear);
}

void translator_set_log(struct translator *tr, bool in_asm, bool out_asm)
{
    tr->options.log_in_asm = in_asm;
    tr->options.log_out_asm = out_asm;
}

void translator_destroy(struct translator *tr)
{
    if (tr == NULL)
        return;
    if (tr->cpu != NULL)
        translator_detach(tr, tr->cpu);
    physmem_remove_code_listener(tr->mem, tr);
    physmem_remove_map_listener(tr->mem, tr);
    cache_destroy(tr->cache);
    free(tr->interpreted);
    free(tr);
}

int translator_attach(struct translator *tr, struct cpu *cpu)
{
    if (tr->cpu != NULL)
        return -EBUSY;
    tr->tables = tables_create(cpu);
    if (tr->tables == NULL)
        return -ENOMEM;
    tr->returns = returns_create(cpu, tr->glue);
    if (tr->returns == NULL) {
        tables_destroy(tr->tables);
        tr->tables = NULL;
        return -ENOMEM;
    }
    tr->cpu = cpu;
    if (tr->bmi2 && !tr->options.no_window)
        tr->windows = windows_create(cpu, tr->options.eager_window);
    cpu->translator_state = tr;
    beside_init(cpu);
    tables_drop_block(cpu, NULL, 0, tr->glue[0].indirect);
    cpu->kick = on_kick;
    cpu->tlb.on_flush = on_flush;
    cpu->tlb.on_flush_ctx = tr;
    return 0;
}

void translator_detach(struct translator *tr, struct cpu *cpu)
{
    if (tr->cpu != cpu)
        return;
    tables_drop_block(cpu, NULL, 0, tr->glue[0].indirect);
    beside_flush(tr);
    windows_destroy(tr->windows);
    tr->windows = NULL;
    sampler_stop(&tr->sampler);
    returns_destroy(tr->returns);
    tr->returns = NULL;
    tables_destroy(tr->tables);
    tr->tables = NULL;
    tr->cpu = NULL;
    cpu->translator_state = NULL;
    cpu->kick = NULL;
    cpu->tlb.on_flush = NULL;
}
