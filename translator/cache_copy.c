/*
 * translator/cache_copy.c -- the same code at another linear address, without translating it again.
 *
 * A shared library, or a program that may be anywhere, has the same pages in each process that runs
 * it, but the kernel puts it somewhere else each time.  What a block's code has of its linear
 * address is little, and the emitter notes it (struct emit_fixup): return addresses, operands
 * relative to RIP and the slots of their regions.  Blocks that have nothing else are *portable*.
 * When there is to be a block where a portable one has the same physical address and mode, that is
 * copied.
 *
 * Behind all else in the cold part of a portable block are its *places*, 16 bits each, and how many
 * there are:
 *
 *     15   12 11                                  0
 *     | kind |  offset of the field in its part   |
 *
 * A block and its copy are a whole number of pages apart, and both are where all their addresses,
 * 2 GiB more or less, are positive, above 2^40, canonical, and in the same region of 2^39 bytes.
 * So numbers of both have encodings of one length, jumps stay in or leave the same page, and
 * whatever else was decided by addresses is decided alike.
 *
 * Once the process is gone that ran the code where it was, nobody needs that any more.  Then no
 * copy is made, but all blocks of the page are *adopted*: the places are changed in them, and the
 * links between them stay.  A process that starts finds much of its libraries' code ready and
 * linked, and takes no memory for it.
 */
#include "translator/cache_internal.h"
#include "translator/contract.h"
#include "translator/windows.h"

enum place_kind {
    HOT_OUT,     /* rel32 in the hot part, to the glue */
    COLD_OUT,    /* the same in the cold part */
    HOT_TO_COLD, /* rel32 in the hot part, to the cold one */
    COLD_TO_HOT,
    HOT_LINEAR, /* 64 bits */
    HOT_MINUS,
    HOT_SLOT,   /* disp32 */
    HOT_RECORD, /* the number of the block */
    COLD_RECORD,
    HOT_PAGE,
    HOT_ID,
    HOT_ENTRY,
    STAYS, /* as it is */
    NOT_PORTABLE,
};

enum {
    PLACE_SHIFT = 12,
    PLACE_REACH = 1 << PLACE_SHIFT,
    LEAST_SHIFT = 40, /* of an address */
    LAST_SHIFT = 47,
};
#define ADDRESS_REACH (UINT64_C(1) << 31) /* of what is relative to RIP */

static uint64_t region_of(uint64_t linear)
{
    return linear >> WINDOW_REGION_SHIFT;
}

/* Entry of the tables that it is in. */
static uint32_t page_of(uint64_t linear)
{
    return (uint32_t)(linear >> PAGE_SHIFT) & (RT_ENTRIES - 1);
}

static bool is_portable_at(uint64_t linear)
{
    return linear >= UINT64_C(1) << LEAST_SHIFT &&
           linear + 2 * ADDRESS_REACH < UINT64_C(1) << LAST_SHIFT &&
           region_of(linear - 2 * ADDRESS_REACH) == region_of(linear + 2 * ADDRESS_REACH);
}

bool cache_is_portable(const struct block_key *key)
{
    return key->mode & MODE_USER && mode_is_code64(key->mode) && is_portable_at(key->linear);
}

/* Where the page is compared: is its number one that needs a 32-bit displacement? */
static bool has_portable_id(const struct block *block, uint32_t page_id)
{
    return !block->entry_is_hot || page_id > 2 * INT8_MAX;
}

static uint32_t read_32(const uint8_t *field)
{
    uint32_t value;

    __builtin_memcpy(&value, field, sizeof(value));
    return value;
}

static void add_32(uint8_t *field, uint32_t more)
{
    const uint32_t value = read_32(field) + more;

    __builtin_memcpy(field, &value, sizeof(value));
}

static void add_64(uint8_t *field, uint64_t more)
{
    uint64_t value;

    __builtin_memcpy(&value, field, sizeof(value));
    value += more;
    __builtin_memcpy(field, &value, sizeof(value));
}

/* ---- what is kept ---- */

static enum place_kind kind_of_jump(bool in_hot, bool to_hot, bool to_cold)
{
    if (in_hot)
        return to_hot ? STAYS : to_cold ? HOT_TO_COLD : HOT_OUT;
    return to_cold ? STAYS : to_hot ? COLD_TO_HOT : COLD_OUT;
}

static enum place_kind kind_of(const struct cache *cache, const struct block *block,
                               const struct emit_fixup *fixup)
{
    static const enum place_kind in_hot_part[] = {
        [EMIT_LINEAR] = HOT_LINEAR, [EMIT_MINUS] = HOT_MINUS, [EMIT_SLOT] = HOT_SLOT,
        [EMIT_RECORD] = HOT_RECORD, [EMIT_PAGE] = HOT_PAGE,   [EMIT_ID] = HOT_ID,
        [EMIT_ENTRY] = HOT_ENTRY,
    };
    const uint8_t *hot = cache->rw + block->hot, *cold = cache->rw + block->cold;
    const bool in_hot = (uint64_t)(fixup->field - hot) < block->host_bytes;

    if (fixup->kind == EMIT_JUMP) {
        const uint8_t *target = fixup->field + 4 + (int32_t)read_32(fixup->field);

        return kind_of_jump(in_hot, (uint64_t)(target - hot) <= block->host_bytes,
                            (uint64_t)(target - cold) <= block->cold_bytes);
    }
    if (in_hot)
        return in_hot_part[fixup->kind];
    return fixup->kind == EMIT_RECORD ? COLD_RECORD : NOT_PORTABLE;
}

static bool is_in_cold(enum place_kind kind)
{
    return kind == COLD_OUT || kind == COLD_TO_HOT || kind == COLD_RECORD;
}

void cache_keep_places(const struct cache *cache, struct block *block, struct emit *e)
{
    const struct block_extra *extra = cache_extra(cache, block);
    uint16_t places[CACHE_FIXUPS];
    unsigned count = 0;

    if (e->overflow || !has_portable_id(block, block->page_id) ||
        !is_portable_at(block->key.linear) || (extra != NULL && extra->far_count != 0))
        return;
    for (unsigned i = 0; i < e->fixup_count; i++) {
        const enum place_kind kind = kind_of(cache, block, &e->fixups[i]);
        const uint64_t offset = (uint64_t)(e->fixups[i].field - cache->rw) -
                                (is_in_cold(kind) ? block->cold : block->hot);

        if (kind == STAYS)
            continue;
        if (kind == NOT_PORTABLE || offset >= PLACE_REACH)
            return;
        places[count++] = (uint16_t)(kind << PLACE_SHIFT | offset);
    }
    while ((uintptr_t)(e->at + (count + 1) * sizeof(places[0])) & (CACHE_COLD_ALIGN - 1))
        emit_u8(e, 0xcc);
    emit_bytes(e, places, count * sizeof(places[0]));
    places[0] = (uint16_t)count;
    emit_bytes(e, places, sizeof(places[0]));
    block->portable = !e->overflow;
}

/* ---- the copy ---- */

static bool is_donor(const struct block *block, const struct block_key *key)
{
    return !block->dead && block->portable && block->key.phys == key->phys &&
           block->key.mode == key->mode && block->key.cs_base == key->cs_base;
}

struct block *cache_donor(const struct cache *cache, const struct block_key *key)
{
    const uint32_t number = *cache_donor_place(cache, key);
    struct block *donor;

    if (number == 0 || !is_portable_at(key->linear))
        return NULL;
    donor = &cache->blocks[number - 1];
    return is_donor(donor, key) ? donor : NULL;
}

const struct block *cache_other_donor(const struct cache *cache, const struct block_key *key,
                                      const struct block *after)
{
    const struct block *block =
        after == NULL ? cache_page_first(cache, key->phys) : cache_page_next(cache, after);

    while (block != NULL && !is_donor(block, key))
        block = cache_page_next(cache, block);
    return block;
}

/* The tables with an entry for each page follow each other, and each begins again at its end. */
_Static_assert(offsetof(struct rt_view, neg_write) == sizeof(uint64_t) * RT_ENTRIES &&
                   offsetof(struct rt_view, addend) == 2 * sizeof(uint64_t) * RT_ENTRIES,
               "as move_entry() has it");
static void move_entry(uint8_t *field, uint64_t linear)
{
    const uint32_t first = (uint32_t)AT_VIEW(VIEW_USER, neg_read);
    const uint32_t bytes = RT_ENTRIES * sizeof(uint64_t), at = read_32(field) - first;
    const uint32_t more = (uint32_t)(linear >> PAGE_SHIFT) * (uint32_t)sizeof(uint64_t);
    const uint32_t value = first + (at & ~(bytes - 1)) + ((at + more) & (bytes - 1));

    __builtin_memcpy(field, &value, sizeof(value));
}

/* number: what those of the two blocks differ by. */
static void move_place(const struct cache *cache, const struct block *from, const struct block *to,
                       uint32_t number, uint16_t place)
{
    const uint32_t hot = to->hot - from->hot, cold = to->cold - from->cold;
    const uint64_t linear = to->key.linear - from->key.linear;
    const uint64_t regions = region_of(to->key.linear) - region_of(from->key.linear);
    const enum place_kind kind = (enum place_kind)(place >> PLACE_SHIFT);
    uint8_t *const field =
        cache->rw + (is_in_cold(kind) ? to->cold : to->hot) + (place & (PLACE_REACH - 1));

    switch (kind) {
    case HOT_OUT:
        add_32(field, -hot);
        break;
    case COLD_OUT:
        add_32(field, -cold);
        break;
    case HOT_TO_COLD:
        add_32(field, cold - hot);
        break;
    case COLD_TO_HOT:
        add_32(field, hot - cold);
        break;
    case HOT_LINEAR:
        add_64(field, linear);
        break;
    case HOT_MINUS:
        add_64(field, -linear);
        break;
    case HOT_SLOT:
        add_32(field, (uint32_t)regions * (uint32_t)sizeof(uint64_t));
        break;
    case HOT_RECORD:
    case COLD_RECORD:
        add_32(field, number);
        break;
    case HOT_PAGE:
        add_32(field,
               (page_of(to->key.linear) - page_of(from->key.linear)) * (uint32_t)sizeof(uint32_t));
        break;
    case HOT_ID:
        add_32(field, (uint32_t)from->page_id - to->page_id);
        break;
    case HOT_ENTRY:
        move_entry(field, linear);
        break;
    case STAYS:
    case NOT_PORTABLE:
        break;
    }
}

/* All places of `to`, which are behind all else in its cold part. */
static void move_places(const struct cache *cache, const struct block *from, const struct block *to,
                        uint32_t number)
{
    const uint8_t *end = cache->rw + to->cold + to->cold_room;

    for (unsigned i = 1; i <= *(const uint16_t *)(end - 2); i++) {
        uint16_t place;

        __builtin_memcpy(&place, end - 2 - 2 * i, sizeof(place));
        move_place(cache, from, to, number, place);
    }
}

/* Each exit leads to its stub again. */
static void reset_exits(const struct cache *cache, const struct block *block)
{
    for (unsigned i = 0; i < block->exit_count; i++) {
        struct block_exit *exit = cache_exit(cache, block, i);

        exit->next = exit->link = 0;
        cache_aim_at_stub(cache, block, i);
    }
}

struct block *cache_copy(struct cache *cache, const struct block *donor,
                         const struct block_key *key, uint32_t page_id, struct emit *hot,
                         struct emit *cold)
{
    const struct block from = *donor;
    const uint32_t number = cache_number(cache, donor);
    struct block *block = has_portable_id(donor, page_id) ? cache_begin(cache, hot, cold) : NULL;
    struct block to = from;

    /* What made room may have taken the donor. */
    if (block == NULL || cache_donor(cache, &from.key) != donor || cold->at == NULL)
        return NULL;
    to.key = *key;
    to.page_id = (uint16_t)page_id;
    to.page_next = to.page_prev = to.incoming = 0;
    to.misses = to.head_visits = 0;
    to.used = false;
    to.dead = true; /* until it is committed */
    to.hot = block->hot;
    to.cold = (uint32_t)(cold->at - cache->rw);
    *block = to;
    emit_bytes(hot, cache->rw + from.hot, from.host_bytes);
    emit_bytes(cold, cache->rw + from.cold, from.cold_room);
    if (hot->overflow || cold->overflow)
        return NULL;
    move_places(cache, &from, block, cache_number(cache, block) - number);
    reset_exits(cache, block);
    if (block->late)
        *cache_late_entry(cache, block) = 0;
    return block;
}

/* ---- the page's blocks themselves ---- */

struct adoption {
    struct block leader; /* as it was */
    uint64_t distance;
    uint32_t page_id;
};

/* All blocks that go are of one page, in one mode. */
static bool goes(const struct adoption *adoption, const struct block *block)
{
    return block->portable && !block->dead && block->page_id == adoption->leader.page_id &&
           has_portable_id(block, adoption->page_id);
}

/* What is at the other address already is not needed twice. */
static void drop_doubles(struct cache *cache, const struct adoption *adoption)
{
    struct block *block, *next;

    for (block = cache_page_first(cache, adoption->leader.key.phys); block != NULL; block = next) {
        struct block_key key = block->key;

        next = cache_page_next(cache, block);
        key.linear += adoption->distance;
        if (goes(adoption, block) && cache_find(cache, &key) != NULL)
            cache_invalidate(cache, block);
    }
}

/* Links between blocks that go together stay. */
static void loosen(struct cache *cache, const struct adoption *adoption, struct block *block)
{
    uint32_t next;

    for (unsigned i = 0; i < block->exit_count; i++) {
        const struct block *to = cache_exit_to(cache, block, i);

        if (to != NULL && !goes(adoption, to))
            cache_unlink_exit(cache, block, i);
    }
    for (uint32_t ref = block->incoming; ref != 0; ref = next) {
        struct block *from = cache_ref_block(cache, ref);

        next = cache_ref_exit(cache, ref)->next;
        if (!goes(adoption, from))
            cache_unlink_exit(cache, from, ref & BLOCK_REF_INCOMING);
    }
}

static void readdress(struct cache *cache, const struct adoption *adoption, struct block *block)
{
    const struct block from = *block;

    cache_rekey(cache, block, from.key.linear + adoption->distance);
    block->page_id = (uint16_t)adoption->page_id;
    block->misses = block->head_visits = 0;
    move_places(cache, &from, block, 0);
    if (block->late)
        *cache_late_entry(cache, block) = 0; /* it compares another page; its few bytes are lost */
}

unsigned cache_adopt(struct cache *cache, const struct block *donor, const struct block_key *key,
                     uint32_t page_id)
{
    const struct adoption adoption = {*donor, key->linear - donor->key.linear, page_id};
    struct block *block, *next;
    unsigned count = 0;

    if (!has_portable_id(donor, page_id) || page_id == donor->page_id)
        return 0;
    drop_doubles(cache, &adoption);
    for (block = cache_page_first(cache, key->phys); block != NULL;
         block = cache_page_next(cache, block))
        if (goes(&adoption, block))
            loosen(cache, &adoption, block);
    for (block = cache_page_first(cache, key->phys); block != NULL; block = next) {
        next = cache_page_next(cache, block);
        if (goes(&adoption, block)) {
            readdress(cache, &adoption, block);
            count++;
        }
    }
    cache->epoch++;
    return count;
}
