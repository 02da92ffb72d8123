/*
 * tests/translator/test_cache.c -- the translation cache under each policy.
 *
 * Blocks are made by hand and run: each calls permanent code (which has to be found again after a
 * move), and goes on through its one exit, whose stub answers with the block's name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpu/physmem.h"
#include "translator/block.h"
#include "translator/cache_policy.h"

enum {
    MEMORY = 1 << 20,
    NAMES = 1 << 14, /* keys that are used; key n is at guest address n * KEY_BYTES */
    KEY_BYTES = 48,  /* blocks overlap grains of 64 bytes, and pages */
    GUEST_BYTES = 31,
    ROOM = 1 << 20, /* bytes of cache, the least there is */
};

struct world {
    struct physmem *mem;
    struct cache *cache;
    uint64_t ret; /* host address of permanent code */
    unsigned drops;
};

static uint32_t random_state;

static uint32_t random_below(uint32_t limit)
{
    random_state = random_state * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)random_state * limit >> 32);
}

static void on_drop(void *ctx, const struct block *block)
{
    struct world *w = ctx;

    w->drops += block != NULL;
}

static void world_open(struct world *w, const struct cache_policy *policy, uint64_t bytes)
{
    struct emit e;

    *w = (struct world){0};
    random_state = 1;
    w->mem = physmem_create(MEMORY, 36);
    assert_non_null(w->mem);
    assert_int_equal(physmem_map(w->mem, 0, MEMORY, 0, true), 0);
    w->cache = cache_create(w->mem, bytes, policy);
    assert_non_null(w->cache);
    cache_reserve(w->cache, &e);
    w->ret = emit_here(&e);
    emit_ret(&e);
    assert_true(cache_reserve_end(w->cache, &e));
    cache_on_drop(w->cache, on_drop, w);
}

static void world_close(struct world *w)
{
    cache_destroy(w->cache);
    physmem_destroy(w->mem);
}

static struct block_key key_of(uint32_t name)
{
    const physaddr_t at = (physaddr_t)name * KEY_BYTES;

    return (struct block_key){.phys = at, .linear = at + 0x400000, .mode = MODE_CODE64 | MODE_USER};
}

static struct block *find(struct world *w, uint32_t name)
{
    const struct block_key key = key_of(name);

    return cache_find(w->cache, &key);
}

/* The exits of the blocks lead to addresses that say whose they are, near ones and far ones. */
static uint64_t target_of(uint32_t name)
{
    return name % 2 == 0 ? name : UINT64_C(0x123456789abc0000) + name;
}

static uint32_t name_of(const struct world *w, const struct block *b)
{
    const uint32_t name = cache_exit_target(w->cache, b, 0) & 0xffff;

    assert_int_equal(cache_exit_target(w->cache, b, 0), target_of(name));
    return name;
}

/* A block of about `bytes` host bytes that answers `name`; NULL: it was not kept. */
static struct block *make(struct world *w, uint32_t name, unsigned bytes)
{
    const physaddr_t at = (physaddr_t)name * KEY_BYTES;
    const unsigned in_page = PAGE_SIZE - (at & (PAGE_SIZE - 1));
    struct emit e, cold;
    struct block *b = cache_begin(w->cache, &e, &cold);
    uint8_t *start = e.at;
    struct block_records records = {.exit_count = 1};
    uint8_t *field, *first;
    struct emit *stub;
    struct label skip;

    assert_non_null(b);
    b->key = key_of(name);
    b->guest_bytes = (uint16_t)(in_page < GUEST_BYTES ? in_page : GUEST_BYTES);
    records.next_bytes = (GUEST_BYTES - b->guest_bytes) & 15;
    records.next_phys = (at | (PAGE_SIZE - 1)) + 1;
    b->insn_count = 1;
    b->page_id = cache_page_id(w->cache, b->key.linear, b->key.phys, b->key.mode);
    skip = emit_jmp(&e);
    while ((unsigned)(e.at - start) < bytes / 2 && !e.overflow)
        emit_u8(&e, 0xcc);
    emit_bind(&e, skip);
    emit_call_to(&e, w->ret);
    field = emit_jmp(&e).field;
    while ((unsigned)(e.at - start) < bytes && !e.overflow)
        emit_u8(&e, 0xcc);
    b->host_bytes = (uint16_t)(emit_here(&e) - cache_hot_host(w->cache, b));
    stub = cold.at != NULL ? &cold : &e;
    cache_set_cold(w->cache, b, stub);
    if (!e.overflow) {
        const int32_t to_stub = (int32_t)(stub->at - (field + 4));

        memcpy(field, &to_stub, sizeof(to_stub));
    }
    first = stub->at;
    emit_mov_ri(stub, RAX, name);
    emit_call_to(stub, w->ret);
    emit_ret(stub);
    b->cold_bytes = (uint16_t)(stub->at - first);
    records.exits[0].target = target_of(name);
    records.exits[0].jump = field;
    cache_emit_records(w->cache, b, stub, &records);
    return e.overflow || cold.overflow || !cache_commit(w->cache, b, &e, &cold) ? NULL : b;
}

/* As the translator does: once more where it did not fit. */
static struct block *make_surely(struct world *w, uint32_t name, unsigned bytes)
{
    struct block *b = make(w, name, bytes);

    if (b == NULL)
        b = make(w, name, bytes);
    assert_non_null(b);
    return b;
}

static struct block *find_or_make(struct world *w, uint32_t name, unsigned bytes)
{
    struct block *b = find(w, name);

    return b != NULL ? b : make_surely(w, name, bytes);
}

static uint32_t run(const struct world *w, const struct block *b)
{
    return ((uint32_t(*)(void))cache_host(w->cache, b))();
}

/* Where the block's links lead to. */
static uint32_t end_of(const struct world *w, const struct block *b)
{
    for (unsigned i = 0; i < 1000; i++) {
        assert_false(b->dead);
        if (cache_exit_to(w->cache, b, 0) == NULL)
            return name_of(w, b);
        b = cache_exit_to(w->cache, b, 0);
    }
    return UINT32_MAX; /* a circle: not to be run */
}

/* What holds at any time. */
static void check(struct world *w)
{
    static bool marked[MEMORY / 64 + 1];
    static uint64_t at[NAMES], until[NAMES];
    unsigned count = 0;
    uint64_t bytes = 0;

    memset(marked, 0, sizeof(marked));
    for (uint32_t name = 0; name < NAMES; name++) {
        struct block *b = find(w, name);

        if (b == NULL)
            continue;
        assert_ptr_equal(cache_block(w->cache, cache_number(w->cache, b)), b);
        assert_ptr_equal(cache_block_at(w->cache, cache_hot_host(w->cache, b)), b);
        assert_ptr_equal(cache_block_at(w->cache, cache_hot_host(w->cache, b) + b->host_bytes - 1),
                         b);
        assert_ptr_not_equal(cache_block_at(w->cache, cache_hot_host(w->cache, b) + block_room(b)),
                             b);
        if (end_of(w, b) != UINT32_MAX)
            assert_int_equal(run(w, b), end_of(w, b));
        for (uint64_t p = b->key.phys; p < b->key.phys + GUEST_BYTES; p++)
            marked[p / 64] = true;
        at[count] = cache_hot_host(w->cache, b);
        until[count++] = cache_hot_host(w->cache, b) + block_room(b);
        bytes += block_room(b) + b->cold_room;
    }
    assert_int_equal(cache_counters(w->cache)->live_bytes, bytes);
    for (unsigned i = 0; i < MEMORY / 64; i++)
        assert_int_equal(physmem_code_overlaps(w->mem, i * 64, 64), marked[i]);
    for (unsigned i = 0; i < count; i++)
        for (unsigned k = i + 1; k < count; k++)
            assert_true(until[i] <= at[k] || until[k] <= at[i]);
}

/* ---- the tests; *state is the policy ---- */

static void test_random_life(void **state)
{
    struct world w;
    const struct cache_counters *c;
    uint64_t gone;

    world_open(&w, *state, ROOM);
    c = cache_counters(w.cache);
    for (unsigned i = 0; i < 40000; i++) {
        const unsigned what = random_below(100);
        /* Some names are asked for much more often. */
        const uint32_t name = random_below(3) ? random_below(NAMES / 64) : random_below(NAMES);
        struct block *b = find_or_make(&w, name, 40 + random_below(random_below(30) ? 400 : 9000));

        assert_int_equal(name_of(&w, b), name);
        if (end_of(&w, b) != UINT32_MAX)
            assert_int_equal(run(&w, b), end_of(&w, b));
        if (what < 40) {
            struct block *to = find(&w, random_below(NAMES / 64));

            if (to != NULL)
                cache_link(w.cache, b, 0, to);
        } else if (what < 44) {
            cache_invalidate(w.cache, b);
            assert_null(find(&w, name));
        } else if (what < 46) {
            const uint32_t size = random_below(100) + 1;
            const physaddr_t from = random_below(NAMES * KEY_BYTES);

            cache_invalidate_range(w.cache, from, size);
            for (uint32_t k = from < GUEST_BYTES ? 0 : (uint32_t)(from - GUEST_BYTES) / KEY_BYTES;
                 k < NAMES && k * KEY_BYTES < from + size; k++)
                assert_true(k * KEY_BYTES + GUEST_BYTES <= from || find(&w, k) == NULL);
        }
        if (i % 8000 == 7999)
            check(&w);
    }
    assert_true(c->evictions > 0 && c->evicted_blocks > 1000 && c->retranslations > 1000);
    assert_true(c->live_bytes + c->dead_bytes + c->hole_bytes <= ROOM);
    gone = c->invalidated + c->evicted_blocks;
    assert_true(w.drops >= gone);
    cache_flush(w.cache);
    check(&w);
    assert_int_equal(c->live_bytes, 0);
    assert_int_equal(c->translations, c->invalidated + c->evicted_blocks);
    world_close(&w);
}

/* A block killed by a store may be running: it must be whole until control has left it, which is so
 * when another block is begun. */
static void test_dead_block_keeps_its_code(void **state)
{
    struct world w;
    struct block *b;
    uint64_t epoch;

    world_open(&w, *state, ROOM);
    b = make_surely(&w, 5, 300);
    epoch = cache_epoch(w.cache);
    cache_invalidate_range(w.cache, key_of(5).phys + 3, 1);
    assert_true(b->dead);
    assert_int_equal(run(&w, b), 5);
    assert_int_equal(cache_epoch(w.cache), epoch);
    assert_ptr_equal(cache_block_at(w.cache, cache_host(w.cache, b)), b);
    /* And until its memory is used again, the epoch says so. */
    for (unsigned i = 0; cache_epoch(w.cache) == epoch; i++) {
        assert_int_equal(run(&w, b), 5);
        make_surely(&w, 100 + i % 1000, 300);
        assert_true(i < 20000);
    }
    world_close(&w);
}

static void test_link_goes_with_its_target(void **state)
{
    struct world w;
    struct block *from, *to;

    world_open(&w, *state, ROOM);
    from = make_surely(&w, 1, 100);
    to = make_surely(&w, 2, 100);
    cache_link(w.cache, from, 0, to);
    assert_int_equal(run(&w, from), 2);
    cache_invalidate(w.cache, to);
    assert_int_equal(run(&w, from), 1);
    to = make_surely(&w, 2, 200);
    cache_link(w.cache, from, 0, to);
    assert_int_equal(run(&w, from), 2);
    cache_invalidate(w.cache, from);
    assert_int_equal(to->incoming, 0);
    cache_link(w.cache, from, 0, to); /* the dead are not linked */
    assert_int_equal(run(&w, from), 1);
    world_close(&w);
}

/* Make the block's checked entry, should it be one that is made late. */
static bool make_entry(struct world *w, struct block *b)
{
    struct emit e;
    uint64_t host;

    if (!b->late || cache_checked_host(w->cache, b) != 0)
        return false;
    if (!cache_entry_begin(w->cache, b, &e))
        return false;
    host = emit_here(&e);
    emit_jmp_to(&e, cache_host(w->cache, b));
    assert_false(e.overflow);
    assert_in_range(emit_here(&e) - host, 1, BLOCK_ENTRY_BYTES);
    cache_entry_end(w->cache, b, host);
    assert_int_equal(cache_checked_host(w->cache, b), host);
    return true;
}

/* It is wherever there was room when it was needed, and is as good as its block for as long. */
static void test_late_entries_stay_with_their_blocks(void **state)
{
    struct world w;
    unsigned entries = 0;

    world_open(&w, *state, ROOM);
    for (unsigned i = 0; i < 30000; i++) {
        const uint32_t name = random_below(3) ? random_below(NAMES / 64) : random_below(NAMES);
        struct block *b = find_or_make(&w, name, 40 + random_below(400));
        struct block *to = find(&w, random_below(NAMES / 64));

        if (to != NULL)
            entries += make_entry(&w, to);
        cache_exit(w.cache, b, 0)->checked = true;
        if (to != NULL && to->late)
            cache_link(w.cache, b, 0, to); /* those without are refused */
        if (end_of(&w, b) != UINT32_MAX)
            assert_int_equal(run(&w, b), end_of(&w, b));
        if (i % 8000 == 7999)
            check(&w);
    }
    assert_int_equal(cache_counters(w.cache)->late_entries, entries);
    if (((const struct cache_policy *)*state)->more != NULL)
        assert_true(entries > 200);
    world_close(&w);
}

/* What is too large for the end of a region fits at the second try. */
static void test_large_blocks(void **state)
{
    struct world w;

    world_open(&w, *state, ROOM);
    for (unsigned i = 0; i < 500; i++)
        assert_int_equal(run(&w, make_surely(&w, i % 37, 60000)), i % 37);
    cache_flush(w.cache);
    world_close(&w);
}

static void test_is_never_writable_and_executable(void **state)
{
    struct world w;
    FILE *maps;
    char line[512];
    unsigned found = 0;

    world_open(&w, *state, ROOM);
    make_surely(&w, 1, 100);
    maps = fopen("/proc/self/maps", "r");
    assert_non_null(maps);
    while (fgets(line, sizeof(line), maps)) {
        if (strstr(line, "ringer-code") == NULL)
            continue;
        found++;
        assert_true(strstr(line, " rw-s ") != NULL || strstr(line, " r-xs ") != NULL);
    }
    fclose(maps);
    assert_int_equal(found, 2);
    world_close(&w);
}

/* How often 100 hot blocks, each used through the look-up now and then, had to be made while 20000
 * others came and went. */
static unsigned hot_makes(const struct cache_policy *policy, bool linked)
{
    struct world w;
    unsigned makes = 0;

    world_open(&w, policy, ROOM);
    for (unsigned i = 0; i < 20000; i++) {
        const uint32_t hot = i % 100;
        struct block *b = find(&w, hot);

        if (b == NULL) {
            b = make_surely(&w, hot, 250);
            makes++;
        }
        assert_int_equal(run(&w, b), end_of(&w, b));
        /* Used through a link only: seen once the link has been cut. */
        if (linked) {
            struct block *next = find(&w, hot + 1);

            if (next != NULL && cache_exit_to(w.cache, b, 0) == NULL && hot % 2 == 0)
                cache_link(w.cache, b, 0, next);
        }
        make_surely(&w, 200 + i % (NAMES - 200), 250);
    }
    assert_int_equal(cache_counters(w.cache)->translations, 20000 + makes);
    world_close(&w);
    return makes;
}

static void test_hot_blocks_stay(void **state)
{
    const struct cache_policy *policy = *state;
    const unsigned direct = hot_makes(policy, false), linked = hot_makes(policy, true);

    if (policy->moves) { /* those that look at use */
        assert_in_range(direct, 100, 250);
        assert_in_range(linked, 100, 250);
    } else {
        assert_true(direct > 400 && linked > 400);
    }
}

/* Everything is used: room must be made all the same. */
static void test_all_hot(void **state)
{
    struct world w;

    world_open(&w, *state, ROOM);
    for (unsigned i = 0; i < 300; i++)
        for (unsigned k = 0; k < 30; k++) {
            const struct block *b = find_or_make(&w, (i * 7 + k * 331) % NAMES, 2000);

            assert_int_equal(run(&w, b), (i * 7 + k * 331) % NAMES);
        }
    check(&w);
    world_close(&w);
}

static void test_more_page_ids_than_there_are(void **state)
{
    struct world w;
    struct cache_counters *c;
    uint32_t first, again;

    world_open(&w, *state, ROOM);
    c = cache_counters(w.cache);
    first = cache_page_id(w.cache, 0x1000, 0x2000, 3);
    assert_int_equal(cache_page_id(w.cache, 0x1fff, 0x2004, 3), first);
    assert_int_not_equal(cache_page_id(w.cache, 0x1000, 0x2000, 4), first);
    assert_int_not_equal(cache_page_id(w.cache, 0x2000, 0x2000, 3), first);
    assert_int_not_equal(cache_page_id(w.cache, 0x1000, 0x3000, 3), first);
    for (unsigned i = 0; c->id_resets == 0; i++) {
        make_surely(&w, i % NAMES, 60);
        again = cache_page_id(w.cache, 0x10000 + i * 0x1000ull, 0, 3);
        if (c->id_resets == 0)
            assert_int_not_equal(again, first);
        assert_true(i < 100000);
    }
    assert_int_equal(c->live_bytes, 0); /* blocks hold ids, so they went */
    world_close(&w);
}

int main(void)
{
    static const struct {
        const char *name;
        CMUnitTestFunction run;
    } tests[] = {
        {"random life", test_random_life},
        {"a dead block keeps its code", test_dead_block_keeps_its_code},
        {"a link goes with its target", test_link_goes_with_its_target},
        {"late entries stay with their blocks", test_late_entries_stay_with_their_blocks},
        {"large blocks", test_large_blocks},
        {"never writable and executable", test_is_never_writable_and_executable},
        {"hot blocks stay", test_hot_blocks_stay},
        {"all are hot", test_all_hot},
        {"more page ids than there are", test_more_page_ids_than_there_are},
    };
    enum { TESTS = sizeof(tests) / sizeof(tests[0]) };
    int failed = 0;

    for (unsigned p = 0; cache_policies[p] != NULL; p++) {
        struct CMUnitTest list[TESTS];
        char names[TESTS][80];

        for (unsigned i = 0; i < TESTS; i++) {
            (void)snprintf(names[i], sizeof(names[i]), "%s: %s", cache_policies[p]->name,
                           tests[i].name);
            list[i] = (struct CMUnitTest){.name = names[i],
                                          .test_func = tests[i].run,
                                          .initial_state = (void *)(uintptr_t)cache_policies[p]};
        }
        failed += cmocka_run_group_tests_name(cache_policies[p]->name, list, NULL, NULL);
    }
    return failed;
}
