/*
 * translator/cache.c -- the translation cache: memory, blocks, links, invalidation.
 *
 * Memory is one memfd mapped twice: a writable view that is never executable and an executable view
 * that is never writable (W^X).  Where in it a block goes, and what goes when there is no room, is
 * the policy's to say (translator/cache_policy.h).
 *
 * A block killed by a store is only unlinked: its code may be running.  Its memory is taken back by
 * the policy when room is made for another block, which never happens while a block runs: whoever
 * asks for a block has come out of generated code, with all of the guest's state in struct cpu.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "translator/cache_internal.h"

static uint64_t key_mix(const struct block_key *key)
{
    return key->phys ^ key->linear << 20 ^ (uint64_t)key->mode << 44 ^ (uint64_t)key->cs_base << 7;
}

static uint32_t key_hash(const struct block_key *key)
{
    return cache_mix(key_mix(key));
}

static uint32_t page_hash(physaddr_t gpa)
{
    return cache_mix(gpa >> PAGE_SHIFT);
}

static uint32_t block_hash(const struct cache *cache, uint32_t number)
{
    return key_hash(&cache->blocks[number].key);
}

static uint32_t next_page_hash(const struct cache *cache, uint32_t number)
{
    return page_hash(cache_extra(cache, &cache->blocks[number])->next_phys);
}

static uint32_t rounded(uint64_t bytes)
{
    return (uint32_t)((bytes + CACHE_ALIGN - 1) & ~(CACHE_ALIGN - 1u));
}

static void patch(uint8_t *field, uint32_t value)
{
    __builtin_memcpy(field, &value, sizeof(value));
}

static uint64_t executable(const struct cache *cache, const uint8_t *writable)
{
    return (uint64_t)(cache->rx + (writable - cache->rw));
}

uint32_t cache_number(const struct cache *cache, const struct block *block)
{
    return (uint32_t)(block - cache->blocks);
}

struct block *cache_block(const struct cache *cache, uint32_t number)
{
    return &cache->blocks[number];
}

uint64_t cache_epoch(const struct cache *cache)
{
    return cache->epoch;
}

/* ---- memory ---- */

static bool map_code(struct cache *cache)
{
    const int fd = memfd_create("ringer-code", MFD_CLOEXEC);

    if (fd < 0)
        return false;
    if (ftruncate(fd, (off_t)cache->bytes) == 0) {
        cache->rw = mmap(NULL, cache->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        cache->rx = mmap(NULL, cache->bytes, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    }
    close(fd);
    return cache->rw != MAP_FAILED && cache->rx != MAP_FAILED && cache->rw && cache->rx;
}

/* New code is about to go there, and on from there.  The host is asked for the memory of a whole
 * chunk, and for both views, as asking for each page when it is written to, and when it is run,
 * takes twice the time. */
static void touch_ahead(struct cache *cache, uint32_t offset)
{
    const uint32_t chunk = offset >> CACHE_CHUNK_SHIFT;
    const uint64_t at = (uint64_t)chunk << CACHE_CHUNK_SHIFT;
    uint64_t bytes = UINT64_C(1) << CACHE_CHUNK_SHIFT;

    if (cache->touched[chunk])
        return;
    cache->touched[chunk] = true;
    if (bytes > cache->bytes - at)
        bytes = cache->bytes - at;
    (void)madvise(cache->rw + at, bytes, MADV_POPULATE_WRITE);
    (void)madvise(cache->rx + at, bytes, MADV_POPULATE_READ);
}

/* Memory that costs nothing until it is touched; NULL: there is none. */
static void *map_table(uint64_t bytes)
{
    void *table = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return table != MAP_FAILED ? table : NULL;
}

static void unmap(void *at, uint64_t bytes)
{
    if (at != NULL && at != MAP_FAILED)
        munmap(at, bytes);
}

static uint64_t starts_bytes(const struct cache *cache)
{
    return (cache->bytes >> CACHE_GRAIN_SHIFT) * sizeof(cache->starts[0]);
}

static uint64_t blocks_bytes(const struct cache *cache)
{
    return (uint64_t)cache->block_limit * sizeof(cache->blocks[0]);
}

static const uint64_t ghosts_bytes = sizeof(uint32_t) << CACHE_GHOST_BITS;
static const uint64_t donors_bytes = sizeof(uint32_t) << CACHE_DONOR_BITS;

struct cache *cache_create(struct physmem *mem, uint64_t bytes, const struct cache_policy *policy)
{
    struct cache *cache = calloc(1, sizeof(*cache));

    if (cache == NULL)
        return NULL;
    cache->mem = mem;
    cache->policy = policy != NULL ? policy : cache_policies[0];
    cache->bytes = bytes < CACHE_LEAST ? CACHE_LEAST : (bytes + 4095) & ~4095ull;
    if (cache->bytes > CACHE_MOST)
        cache->bytes = CACHE_MOST;
    cache->block_limit = (uint32_t)(cache->bytes / CACHE_BLOCK_LEAST);
    if (cache->block_limit > BLOCK_MOST)
        cache->block_limit = BLOCK_MOST;
    cache->starts = map_table(starts_bytes(cache));
    cache->blocks = map_table(blocks_bytes(cache));
    cache->ghosts = map_table(ghosts_bytes);
    cache->donors = map_table(donors_bytes);
    if (!index_open(&cache->by_key, block_hash) ||
        !index_open(&cache->by_next_page, next_page_hash) || !page_ids_open(&cache->ids) ||
        !map_code(cache) || cache->starts == NULL || cache->blocks == NULL ||
        cache->ghosts == NULL || cache->donors == NULL) {
        cache_destroy(cache);
        return NULL;
    }
    return cache;
}

void cache_destroy(struct cache *cache)
{
    if (cache == NULL)
        return;
    unmap(cache->rw, cache->bytes);
    unmap(cache->rx, cache->bytes);
    unmap(cache->starts, starts_bytes(cache));
    unmap(cache->blocks, blocks_bytes(cache));
    unmap(cache->ghosts, ghosts_bytes);
    unmap(cache->donors, donors_bytes);
    index_close(&cache->by_key);
    index_close(&cache->by_next_page);
    page_ids_close(&cache->ids);
    free(cache->state);
    free(cache);
}

struct cache_counters *cache_counters(struct cache *cache)
{
    return &cache->counters;
}

void cache_reserve(struct cache *cache, struct emit *e)
{
    *e = (struct emit){
        .at = cache->rw, .end = cache->rw + CACHE_GLUE, .rx_delta = cache->rx - cache->rw};
}

bool cache_reserve_end(struct cache *cache, const struct emit *e)
{
    cache->reserved = ((uint32_t)(e->at - cache->rw) + CACHE_GRAIN - 1) & ~(CACHE_GRAIN - 1u);
    return cache->policy->open(cache);
}

uint64_t cache_table_bytes(const struct cache *cache)
{
    uint64_t room = 0;

    for (uint32_t i = 0; i < cache->block_high; i++)
        room += block_room(&cache->blocks[i]);
    return (uint64_t)cache->block_high * sizeof(cache->blocks[0]) + index_bytes(&cache->by_key) +
           index_bytes(&cache->by_next_page) +
           (room >> CACHE_GRAIN_SHIFT) * sizeof(cache->starts[0]);
}

/* ---- the list of the blocks that start in a page ---- */

static uint32_t page_place(physaddr_t gpa)
{
    return page_hash(gpa) >> (32 - CACHE_PAGE_HASH_BITS);
}

static uint32_t *page_list(struct cache *cache, physaddr_t gpa)
{
    return &cache->pages[page_place(gpa)];
}

/* Of a list; NULL for 0, its end. */
static struct block *listed(const struct cache *cache, uint32_t name)
{
    return name != 0 ? &cache->blocks[name - 1] : NULL;
}

static void page_insert(struct cache *cache, struct block *block)
{
    uint32_t *const list = page_list(cache, block->key.phys);
    struct block *const next = listed(cache, *list);

    block->page_next = *list;
    block->page_prev = 0;
    *list = cache_number(cache, block) + 1;
    if (next != NULL)
        next->page_prev = *list;
}

static void page_remove(struct cache *cache, const struct block *block)
{
    struct block *const next = listed(cache, block->page_next);
    struct block *const prev = listed(cache, block->page_prev);

    if (next != NULL)
        next->page_prev = block->page_prev;
    if (prev != NULL)
        prev->page_next = block->page_next;
    else
        *page_list(cache, block->key.phys) = block->page_next;
}

struct block *cache_page_first(const struct cache *cache, physaddr_t gpa)
{
    return listed(cache, cache->pages[page_place(gpa)]);
}

struct block *cache_page_next(const struct cache *cache, const struct block *block)
{
    return listed(cache, block->page_next);
}

/* ---- links ---- */

static uint32_t exit_ref(const struct cache *cache, const struct block *block, unsigned exit)
{
    return (cache_number(cache, block) + 1) << BLOCK_REF_SHIFT | exit;
}

static uint32_t incoming_ref(const struct cache *cache, const struct block *block)
{
    return exit_ref(cache, block, BLOCK_REF_INCOMING);
}

/* Offset in the cache of the field to patch. */
static uint32_t exit_field(const struct block *block, const struct block_exit *exit)
{
    return (exit->is_cold ? block->cold : block->hot) + exit->jump;
}

void cache_aim_at_stub(const struct cache *cache, const struct block *block, unsigned number)
{
    const uint32_t field = exit_field(block, cache_exit(cache, block, number));
    const uint32_t stub = block->cold + number * BLOCK_STUB_BYTES;

    patch(cache->rw + field, stub - (field + 4));
}

void cache_unlink_exit(struct cache *cache, struct block *from, unsigned number)
{
    struct block_exit *const exit = cache_exit(cache, from, number);

    if (exit->link == 0)
        return;
    if ((exit->link & BLOCK_REF_INCOMING) == BLOCK_REF_INCOMING)
        cache_ref_block(cache, exit->link)->incoming = exit->next;
    else
        cache_ref_exit(cache, exit->link)->next = exit->next;
    if (exit->next != 0)
        cache_ref_exit(cache, exit->next)->link = exit->link;
    exit->link = 0;
    cache_aim_at_stub(cache, from, number);
    cache->counters.unchains++;
}

static void unlink_exits(struct cache *cache, struct block *block)
{
    for (unsigned i = 0; i < block->exit_count; i++)
        cache_unlink_exit(cache, block, i);
}

void cache_link(struct cache *cache, struct block *from, unsigned number, struct block *to)
{
    struct block_exit *const exit = cache_exit(cache, from, number);
    uint8_t *const field = cache->rw + exit_field(from, exit);
    const uint64_t host = exit->checked ? cache_checked_host(cache, to) : cache_host(cache, to);

    if (from->dead || to->dead || host == 0)
        return;
    cache_unlink_exit(cache, from, number);
    patch(field, (uint32_t)(host - (executable(cache, field) + 4)));
    exit->next = to->incoming;
    exit->link = incoming_ref(cache, to);
    to->incoming = exit_ref(cache, from, number);
    if (exit->next != 0)
        cache_ref_exit(cache, exit->next)->link = to->incoming;
    cache->counters.chains++;
}

/* No way leads to the block but cache_find(). */
static void isolate(struct cache *cache, struct block *block)
{
    while (block->incoming != 0)
        cache_unlink_exit(cache, cache_ref_block(cache, block->incoming),
                          block->incoming & BLOCK_REF_INCOMING);
    if (cache->drop != NULL)
        cache->drop(cache->drop_ctx, block);
}

void cache_watch(struct cache *cache, struct block *block)
{
    isolate(cache, block);
    block->used = false;
}

void cache_rekey(struct cache *cache, struct block *block, linaddr_t linear)
{
    const uint32_t number = cache_number(cache, block);

    if (cache->drop != NULL)
        cache->drop(cache->drop_ctx, block);
    index_remove(cache, &cache->by_key, key_hash(&block->key), number);
    block->key.linear = linear;
    index_insert(&cache->by_key, key_hash(&block->key), number);
}

/* ---- moving ---- */

/* The fixups of a block are the last thing in its memory: offsets in it, and how many there are. */
static uint16_t *fixups_end(const struct cache *cache, const struct block *block)
{
    return (uint16_t *)(cache->rw + block->hot + block_room(block)) - 1;
}

/* Keep those of the emitter's fixups whose jumps leave the block: the others move with it.  The
 * block ends at e->at. */
static void keep_fixups(struct cache *cache, struct block *block, const struct emit *e)
{
    uint8_t *const start = cache->rw + block->hot;
    unsigned count = 0;
    uint16_t *to;

    for (unsigned i = 0; i < e->fixup_count; i++) {
        const uint8_t *field = e->fixups[i].field;
        int32_t rel;

        if (e->fixups[i].kind != EMIT_JUMP)
            continue;
        __builtin_memcpy(&rel, field, sizeof(rel));
        if (field + sizeof(rel) + rel < start || field + sizeof(rel) + rel >= e->at)
            cache->fixups[count++] = e->fixups[i];
    }
    block->room += (uint16_t)(rounded((count + 1) * sizeof(uint16_t)) / CACHE_ALIGN);
    to = fixups_end(cache, block);
    if ((uint8_t *)(to + 1) > e->end)
        return; /* cache_commit() gives up */
    *to = (uint16_t)count;
    for (unsigned i = 0; i < count; i++)
        *--to = (uint16_t)(cache->fixups[i].field - start);
}

void cache_move(struct cache *cache, struct block *block, uint32_t to)
{
    const uint32_t from = block->hot, distance = to - from;
    const uint16_t *fixups;

    if (distance == 0)
        return;
    if (!block->dead) {
        isolate(cache, block);
        unlink_exits(cache, block);
        cache->starts[from >> CACHE_GRAIN_SHIFT] = CACHE_NO_START;
        cache->starts[to >> CACHE_GRAIN_SHIFT] = cache_number(cache, block) + 1;
    }
    __builtin_memmove(cache->rw + to, cache->rw + from, block_room(block));
    block->hot += distance;
    block->cold += distance;
    fixups = fixups_end(cache, block);
    for (unsigned i = *fixups; i > 0; i--) {
        uint8_t *const field = cache->rw + to + fixups[-(int)i];
        uint32_t rel;

        __builtin_memcpy(&rel, field, sizeof(rel));
        patch(field, rel - distance);
    }
}

/* ---- invalidation ---- */

/* Bytes of the cache's memory. */
static uint32_t memory_of(const struct block *block)
{
    return block_room(block) + block->cold_room;
}

/* Mark the block's bytes in physmem, or release them; not its holes. */
static void track_bytes(struct cache *cache, const struct block *block,
                        void (*track)(struct physmem *mem, physaddr_t gpa, size_t size))
{
    unsigned at = 0, holes;
    const struct block_hole *hole = cache_holes(cache, block, &holes);

    for (; holes > 0; holes--, hole++) {
        track(cache->mem, block->key.phys + at, hole->at - at);
        at = hole->at + hole->bytes;
    }
    track(cache->mem, block->key.phys + at, block->guest_bytes - at);
    if (block->crosses)
        track(cache->mem, cache_extra(cache, block)->next_phys,
              cache_extra(cache, block)->next_bytes);
}

void cache_invalidate(struct cache *cache, struct block *block)
{
    const uint32_t number = cache_number(cache, block);

    if (block->dead)
        return;
    block->dead = true;
    cache->counters.invalidated++;
    cache->counters.live_bytes -= memory_of(block);
    cache->counters.dead_bytes += memory_of(block);
    index_remove(cache, &cache->by_key, key_hash(&block->key), number);
    page_remove(cache, block);
    unlink_exits(cache, block);
    track_bytes(cache, block, physmem_code_drop);
    if (block->crosses)
        index_remove(cache, &cache->by_next_page, next_page_hash(cache, number), number);
    isolate(cache, block);
}

/* One of the blocks that end in [gpa, end), which is in one page; NULL: there is none. */
static struct block *find_crossing(const struct cache *cache, physaddr_t gpa, physaddr_t end)
{
    const struct index *index = &cache->by_next_page;
    const uint32_t hash = page_hash(gpa);

    for (uint32_t i = index_first(index, hash); index->slots[i] != 0; i = index_next(index, i)) {
        const struct block_extra *extra;
        struct block *b;

        if (!index_matches(index->slots[i], hash))
            continue;
        b = &cache->blocks[index_number(index->slots[i])];
        extra = cache_extra(cache, b);
        if (extra->next_phys < end && extra->next_phys + extra->next_bytes > gpa)
            return b;
    }
    return NULL;
}

/* stored: it was by a store, which blocks may be spared. */
static void invalidate_range(struct cache *cache, physaddr_t gpa, uint64_t size, bool stored)
{
    const physaddr_t end = gpa + size;

    for (physaddr_t page = gpa & PAGE_MASK; page < end; page += PAGE_SIZE) {
        const physaddr_t from = page < gpa ? gpa : page;
        const physaddr_t to = end - page < PAGE_SIZE ? end : page + PAGE_SIZE;
        struct block *b, *next;

        for (b = cache_page_first(cache, page); b != NULL; b = next) {
            next = cache_page_next(cache, b);
            if (b->key.phys < to && b->key.phys + b->guest_bytes > from &&
                !(stored && cache->spares != NULL && cache->spares(cache->spares_ctx, b, from, to)))
                cache_invalidate(cache, b);
        }
        while ((b = find_crossing(cache, from, to)) != NULL)
            cache_invalidate(cache, b);
    }
}

void cache_invalidate_range(struct cache *cache, physaddr_t gpa, uint64_t size)
{
    invalidate_range(cache, gpa, size, false);
}

void cache_stored(struct cache *cache, physaddr_t gpa, uint64_t size)
{
    invalidate_range(cache, gpa, size, true);
}

void cache_flush(struct cache *cache)
{
    for (uint32_t i = 0; i < cache->block_high; i++)
        cache_invalidate(cache, &cache->blocks[i]);
}

void cache_invalidate_linear(struct cache *cache, linaddr_t linear)
{
    for (uint32_t i = 0; i < cache->block_high; i++) {
        struct block *b = &cache->blocks[i];

        if (!b->dead && linear - b->key.linear < cache_bytes(cache, b))
            cache_invalidate(cache, b);
    }
}

void cache_on_store(struct cache *cache,
                    bool (*spares)(void *ctx, const struct block *block, physaddr_t from,
                                   physaddr_t to),
                    void *ctx)
{
    cache->spares = spares;
    cache->spares_ctx = ctx;
}

void cache_on_drop(struct cache *cache, void (*drop)(void *ctx, const struct block *block),
                   void *ctx)
{
    cache->drop = drop;
    cache->drop_ctx = ctx;
}

/* ---- for policies ---- */

static uint32_t *ghost_of(const struct cache *cache, const struct block_key *key, uint32_t *tag)
{
    const uint64_t mixed = key_mix(key);

    *tag = cache_mix(mixed ^ mixed >> 29 ^ 0x5bd1e995) | 1;
    return &cache->ghosts[cache_mix(mixed) >> (32 - CACHE_GHOST_BITS)];
}

struct block *cache_start(const struct cache *cache, uint32_t offset)
{
    const uint32_t start = cache->starts[offset >> CACHE_GRAIN_SHIFT];
    struct block *block;

    if (start == CACHE_NO_START || start >= CACHE_FREE)
        return NULL;
    block = &cache->blocks[start - 1];
    return block->hot == offset ? block : NULL;
}

void cache_evict(struct cache *cache, struct block *block)
{
    if (!block->dead) {
        uint32_t tag, *ghost = ghost_of(cache, &block->key, &tag);

        *ghost = tag;
        cache_invalidate(cache, block);
        cache->counters.invalidated--;
        cache->counters.evicted_blocks++;
    }
    cache->counters.dead_bytes -= memory_of(block);
    cache->starts[block->hot >> CACHE_GRAIN_SHIFT] = CACHE_NO_START;
    block->page_next = cache->free_blocks;
    cache->free_blocks = cache_number(cache, block) + 1;
    cache->epoch++;
}

/* ---- blocks ---- */

static struct block *take_block(struct cache *cache)
{
    struct block *block = listed(cache, cache->free_blocks);

    if (block == NULL)
        return &cache->blocks[cache->block_high++];
    cache->free_blocks = block->page_next;
    return block;
}

static struct emit emit_into(const struct cache *cache, const struct extent *extent)
{
    return (struct emit){.at = cache->rw + extent->start,
                         .end = cache->rw + extent->end,
                         .rx_delta = cache->rx - cache->rw};
}

struct block *cache_begin(struct cache *cache, struct emit *hot, struct emit *cold)
{
    struct block *block;
    struct extent hot_room, cold_room;

    cache->retry = cache->pending != NULL;
    page_ids_grow(&cache->ids);
    if (!index_grow(cache, &cache->by_key) || !index_grow(cache, &cache->by_next_page) ||
        !cache->policy->begin(cache, &hot_room, &cold_room))
        return NULL;
    if (cache->pending == NULL)
        cache->pending = take_block(cache);
    block = cache->pending;
    *block = (struct block){.dead = true, /* until it is committed */
                            .late = cache->policy->more != NULL};
    *hot = emit_into(cache, &hot_room);
    if (cold_room.end != 0)
        *cold = emit_into(cache, &cold_room);
    else
        *cold = (struct emit){0};
    touch_ahead(cache, hot_room.start);
    if (cold_room.end != 0)
        touch_ahead(cache, cold_room.start);
    hot->fixups = cache->fixups;
    hot->fixup_limit = CACHE_FIXUPS;
    block->hot = hot_room.start;
    return block;
}

void cache_set_cold(const struct cache *cache, struct block *block, const struct emit *e)
{
    block->cold = (uint32_t)(e->at - cache->rw);
}

uint64_t cache_host(const struct cache *cache, const struct block *block)
{
    return (uint64_t)(cache->rx + block->hot + block->entry);
}

/* Behind the stubs of the exits: the checked entry if it is neither hot nor late, or what
 * cache_fault_host() is asked for. */
static uint32_t behind_stubs(const struct block *block)
{
    return block->cold + block->exit_count * (uint32_t)BLOCK_STUB_BYTES;
}

uint64_t cache_checked_host(const struct cache *cache, const struct block *block)
{
    uint32_t offset = block->hot + BLOCK_RECHECK_BYTES;

    if (block->late)
        offset = *cache_late_entry(cache, block);
    else if (!block->entry_is_hot)
        offset = behind_stubs(block);
    return offset != 0 ? (uint64_t)(cache->rx + offset) : 0;
}

bool cache_entry_begin(struct cache *cache, const struct block *block, struct emit *e)
{
    struct extent extent;

    if (block->dead || !cache->policy->more(cache, BLOCK_ENTRY_BYTES, &extent))
        return false;
    *e = emit_into(cache, &extent);
    return true;
}

void cache_entry_end(struct cache *cache, struct block *block, uint64_t host)
{
    *cache_late_entry(cache, block) = (uint32_t)(host - (uint64_t)cache->rx);
    cache->counters.late_entries++;
}

uint64_t cache_hot_host(const struct cache *cache, const struct block *block)
{
    return (uint64_t)(cache->rx + block->hot);
}

uint64_t cache_cold_host(const struct cache *cache, const struct block *block)
{
    return (uint64_t)(cache->rx + block->cold);
}

uint64_t cache_fault_host(const struct cache *cache, const struct block *block)
{
    return (uint64_t)(cache->rx + behind_stubs(block));
}

/* The memory that has been emitted into is the block's.  False: that is too much. */
static bool take_room(struct cache *cache, struct block *block, const struct emit *hot,
                      const struct emit *cold)
{
    uint64_t room = (uint64_t)(hot->at - cache->rw) - block->hot;
    uint64_t cold_room = 0;

    if (room < CACHE_GRAIN)
        room = CACHE_GRAIN;
    if (cold->at != NULL)
        cold_room = ((uint64_t)(cold->at - cache->rw) - block->cold + CACHE_COLD_ALIGN - 1) &
                    ~(CACHE_COLD_ALIGN - 1ull);
    /* Fixups are added to it. */
    if (room > CACHE_BLOCK_ROOM || cold_room > UINT16_MAX)
        return false;
    block->room = (uint16_t)(rounded(room) / CACHE_ALIGN);
    block->cold_room = (uint16_t)cold_room;
    if (cold->at != NULL && cache->rw + block->cold + cold_room > cold->end)
        return false;
    if (cache->policy->moves)
        keep_fixups(cache, block, hot);
    return cache->rw + block->hot + block_room(block) <= hot->end;
}

bool cache_commit(struct cache *cache, struct block *block, const struct emit *hot,
                  const struct emit *cold)
{
    const uint32_t number = cache_number(cache, block);
    struct cache_counters *counters = &cache->counters;

    if (!take_room(cache, block, hot, cold))
        return false;
    cache->policy->commit(cache, block);
    cache->starts[block->hot >> CACHE_GRAIN_SHIFT] = number + 1;
    cache->pending = NULL;
    block->dead = false;
    index_insert(&cache->by_key, key_hash(&block->key), number);
    page_insert(cache, block);
    track_bytes(cache, block, physmem_code_mark);
    if (block->crosses)
        index_insert(&cache->by_next_page, next_page_hash(cache, number), number);
    if (block->portable)
        *cache_donor_place(cache, &block->key) = number + 1;
    if (counters->evicted_blocks != 0) {
        uint32_t tag, *ghost = ghost_of(cache, &block->key, &tag);

        if (*ghost == tag) {
            *ghost = 0;
            counters->retranslations++;
        }
    }
    counters->translations++;
    counters->guest_insns += block->insn_count;
    counters->guest_bytes += block->guest_bytes;
    counters->hot_bytes += block->host_bytes;
    counters->host_bytes += block->host_bytes + block->cold_bytes;
    counters->live_bytes += memory_of(block);
    return true;
}

struct block *cache_find(struct cache *cache, const struct block_key *key)
{
    const struct index *index = &cache->by_key;
    const uint32_t hash = key_hash(key);

    cache->counters.lookups++;
    for (uint32_t i = index_first(index, hash); index->slots[i] != 0; i = index_next(index, i)) {
        struct block *b;

        if (!index_matches(index->slots[i], hash))
            continue;
        b = &cache->blocks[index_number(index->slots[i])];
        if (b->key.phys == key->phys && b->key.linear == key->linear &&
            b->key.cs_base == key->cs_base && b->key.mode == key->mode) {
            cache->counters.lookup_hits++;
            b->used = true;
            return b;
        }
    }
    return NULL;
}

bool cache_contains(const struct cache *cache, uint64_t host)
{
    return host - (uint64_t)cache->rx < cache->bytes;
}

struct block *cache_block_at(const struct cache *cache, uint64_t host)
{
    uint32_t grain;

    if (!cache_contains(cache, host))
        return NULL;
    grain = (uint32_t)(host - (uint64_t)cache->rx) >> CACHE_GRAIN_SHIFT;
    /* The last that starts at or before: in this grain, or in the nearest before where one does. */
    for (unsigned i = 0; i <= CACHE_BLOCK_ROOM >> CACHE_GRAIN_SHIFT && i <= grain; i++) {
        const uint32_t start = cache->starts[grain - i];
        struct block *block;

        if (start == CACHE_NO_START || start >= CACHE_FREE)
            continue;
        block = &cache->blocks[start - 1];
        if (host >= (uint64_t)(cache->rx + block->hot))
            return host - (uint64_t)(cache->rx + block->hot) < block->host_bytes ? block : NULL;
    }
    return NULL;
}
