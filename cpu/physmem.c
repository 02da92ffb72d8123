/*
 * cpu/physmem.c -- the guest-physical address space: one memfd, page descriptors, MMIO regions,
 * code marks.
 *
 *   gpa:  | top index | page in leaf (14 bits) | offset (12) |
 *               |               |
 *          pm->top[] ------> leaf: page descriptors and, for pages with code, their marks
 *
 * Invariants:
 *   - leaves are made when something is first mapped or marked there and stay until the end
 *   - a page has PHYS_MMIO if and only if some region overlaps it, and then it has no host pointer
 *   - a page has PHYS_CODE if and only if it has marks, whatever is mapped there; marks that are
 * all clear stay for a while where a store has taken the last
 *   - code is marked by guest-physical address: writable backing that code may run from is mapped
 *     at one address only
 */
#define _GNU_SOURCE
#include "cpu/physmem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cpu/tlb.h"

enum {
    LEAF_SHIFT = 14,
    LEAF_PAGES = 1 << LEAF_SHIFT,
    GRAIN_SHIFT = 6,
    GRAINS = PAGE_SIZE >> GRAIN_SHIFT,
    PHYS_BITS_MIN = 32,
    PHYS_BITS_MAX = 48,
    IDLE_MAX = 16,         /* stores after which a page that lost its code is as any other */
    BYTE_MAPS_MOST = 2048, /* 4 KiB each */
    BYTE_MANY = UINT8_MAX,
};
_Static_assert(GRAINS == 64, "a page's marks are one 64-bit mask");

/*
 * How many blocks of how many caches use each grain of a page; mask has the nonzero ones.
 *
 * bytes, once asked for: the same for each byte, so that stores beside code can be told from stores
 * to it.  A count that has reached 255 stays there until its grain has no code.
 */
struct code_marks {
    uint64_t mask;
    uint32_t count[GRAINS];
    uint8_t *bytes;
    uint8_t idle; /* stores since a store took the page's last code */
};

struct leaf {
    struct phys_page pages[LEAF_PAGES];
    struct code_marks *marks[LEAF_PAGES];
};

/* [first, last] of guest-physical space belongs to a device; origin is where its offset 0 is,
 * which is below first when a later mapping cut off the beginning. */
struct region {
    physaddr_t first, last, origin;
    const struct mmio_ops *ops;
    void *ctx;
};

struct code_listener {
    physmem_store_fn on_store;
    physmem_page_fn on_mark, on_forget;
    void *ctx;
};

struct map_listener {
    physmem_changed_fn fn;
    void *ctx;
};

struct physmem {
    int fd;
    uint8_t *base;
    uint64_t size;
    unsigned phys_bits;
    struct leaf **top;
    struct region *regions; /* disjoint, in no order */
    size_t region_count, region_room;
    struct code_listener *code_listeners;
    size_t code_listener_count;
    bool storing; /* listeners are being told of a store */
    uint64_t code_page_stores;
    physaddr_t code_page_stored; /* where the last of them was */
    unsigned byte_maps;
    struct map_listener *map_listeners;
    size_t map_listener_count;
};

static const struct phys_page hole;

/* Stands in for marks that the host had no memory for: the page counts as all code from then on. */
static const struct code_marks marks_everywhere = {.mask = ~0ull};

/* ---- making and finding ---- */

struct physmem *physmem_create(uint64_t backing_bytes, unsigned phys_bits)
{
    struct physmem *pm;

    if (phys_bits < PHYS_BITS_MIN)
        phys_bits = PHYS_BITS_MIN;
    if (phys_bits > PHYS_BITS_MAX)
        phys_bits = PHYS_BITS_MAX;
    if (backing_bytes == 0 || backing_bytes > 1ull << PHYS_BITS_MAX)
        return NULL;
    backing_bytes = (backing_bytes + PAGE_SIZE - 1) & PAGE_MASK;

    pm = calloc(1, sizeof *pm);
    if (pm == NULL)
        return NULL;
    pm->size = backing_bytes;
    pm->phys_bits = phys_bits;
    pm->base = MAP_FAILED;
    pm->top = calloc((size_t)1 << (phys_bits - PAGE_SHIFT - LEAF_SHIFT), sizeof *pm->top);
    pm->fd = memfd_create("guest-memory", MFD_CLOEXEC);
    if (pm->fd >= 0 && ftruncate(pm->fd, (off_t)backing_bytes) == 0)
        pm->base = mmap(NULL, backing_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
                        pm->fd, 0);
    if (pm->top == NULL || pm->base == MAP_FAILED) {
        physmem_destroy(pm);
        return NULL;
    }
    return pm;
}

void physmem_destroy(struct physmem *pm)
{
    if (pm == NULL)
        return;
    if (pm->top != NULL) {
        const size_t leaves = (size_t)1 << (pm->phys_bits - PAGE_SHIFT - LEAF_SHIFT);

        for (size_t i = 0; i < leaves; i++) {
            if (pm->top[i] == NULL)
                continue;
            for (size_t j = 0; j < LEAF_PAGES; j++)
                if (pm->top[i]->marks[j] != NULL && pm->top[i]->marks[j] != &marks_everywhere) {
                    free(pm->top[i]->marks[j]->bytes);
                    free(pm->top[i]->marks[j]);
                }
            free(pm->top[i]);
        }
    }
    if (pm->base != MAP_FAILED)
        munmap(pm->base, pm->size);
    if (pm->fd >= 0)
        close(pm->fd);
    free(pm->top);
    free(pm->regions);
    free(pm->code_listeners);
    free(pm->map_listeners);
    free(pm);
}

uint8_t *physmem_backing(struct physmem *pm, uint64_t offset)
{
    return offset < pm->size ? pm->base + offset : NULL;
}

uint64_t physmem_backing_size(const struct physmem *pm)
{
    return pm->size;
}

int physmem_fd(const struct physmem *pm)
{
    return pm->fd;
}

/* NULL when nothing was ever mapped or marked near gpa, or when it is beyond phys_bits. */
static struct leaf *leaf_find(const struct physmem *pm, physaddr_t gpa)
{
    if (gpa >> pm->phys_bits)
        return NULL;
    return pm->top[gpa >> (PAGE_SHIFT + LEAF_SHIFT)];
}

static struct leaf *leaf_make(struct physmem *pm, physaddr_t gpa)
{
    struct leaf **slot;

    if (gpa >> pm->phys_bits)
        return NULL;
    slot = &pm->top[gpa >> (PAGE_SHIFT + LEAF_SHIFT)];
    if (*slot == NULL)
        *slot = calloc(1, sizeof **slot);
    return *slot;
}

static size_t leaf_index(physaddr_t gpa)
{
    return gpa >> PAGE_SHIFT & (LEAF_PAGES - 1);
}

const struct phys_page *physmem_page(const struct physmem *pm, physaddr_t gpa)
{
    const struct leaf *leaf = leaf_find(pm, gpa);

    return leaf != NULL ? &leaf->pages[leaf_index(gpa)] : &hole;
}

/* ---- the map ---- */

static bool range_valid(const struct physmem *pm, physaddr_t gpa, uint64_t size)
{
    const uint64_t end = 1ull << pm->phys_bits;

    return size != 0 && gpa < end && size <= end - gpa;
}

static const struct region *region_find(const struct physmem *pm, physaddr_t gpa)
{
    for (size_t i = 0; i < pm->region_count; i++)
        if (gpa >= pm->regions[i].first && gpa <= pm->regions[i].last)
            return &pm->regions[i];
    return NULL;
}

static int region_reserve(struct physmem *pm, size_t room)
{
    struct region *grown;

    if (room <= pm->region_room)
        return 0;
    grown = realloc(pm->regions, 2 * room * sizeof *grown);
    if (grown == NULL)
        return -ENOMEM;
    pm->regions = grown;
    pm->region_room = 2 * room;
    return 0;
}

/* Cut [first, last] out of all regions.  At most one region is split in two, and there is room
 * for it. */
static void region_cut(struct physmem *pm, physaddr_t first, physaddr_t last)
{
    for (size_t i = 0; i < pm->region_count;) {
        struct region *region = &pm->regions[i];

        if (region->last < first || region->first > last) {
            i++;
        } else if (region->first >= first && region->last <= last) {
            *region = pm->regions[--pm->region_count];
        } else if (region->first < first && region->last > last) {
            pm->regions[pm->region_count] = *region;
            pm->regions[pm->region_count++].first = last + 1;
            region->last = first - 1;
            i++;
        } else {
            if (region->first < first)
                region->last = first - 1;
            else
                region->first = last + 1;
            i++;
        }
    }
}

static bool region_overlaps_page(const struct physmem *pm, physaddr_t page)
{
    for (size_t i = 0; i < pm->region_count; i++)
        if (pm->regions[i].first <= page + (PAGE_SIZE - 1) && pm->regions[i].last >= page)
            return true;
    return false;
}

/* Make every leaf that [gpa, gpa + size) needs, so that the change itself cannot fail half way. */
static int leaves_prepare(struct physmem *pm, physaddr_t gpa, uint64_t size)
{
    const uint64_t leaf_bytes = (uint64_t)LEAF_PAGES << PAGE_SHIFT;

    for (physaddr_t at = gpa & ~(leaf_bytes - 1); at < gpa + size; at += leaf_bytes)
        if (leaf_make(pm, at) == NULL)
            return -ENOMEM;
    return 0;
}

static void page_set(struct physmem *pm, physaddr_t gpa, uint8_t *host, uint8_t flags)
{
    struct leaf *leaf = leaf_find(pm, gpa);
    struct phys_page *page;

    if (leaf == NULL)
        return;
    page = &leaf->pages[leaf_index(gpa)];
    page->host = host;
    page->flags = flags | (page->flags & PHYS_CODE);
}

static void map_changed(struct physmem *pm, physaddr_t gpa, uint64_t size)
{
    for (size_t i = 0; i < pm->map_listener_count; i++)
        pm->map_listeners[i].fn(pm->map_listeners[i].ctx, gpa, size);
}

int physmem_map(struct physmem *pm, physaddr_t gpa, uint64_t size, uint64_t offset, bool writable)
{
    const uint8_t flags = PHYS_RAM | (writable ? PHYS_WRITE : 0);
    int err;

    if (!range_valid(pm, gpa, size) || ((gpa | size | offset) & ~PAGE_MASK) != 0 ||
        offset >= pm->size || size > pm->size - offset)
        return -EINVAL;
    err = leaves_prepare(pm, gpa, size);
    if (err == 0)
        err = region_reserve(pm, pm->region_count + 1);
    if (err != 0)
        return err;
    region_cut(pm, gpa, gpa + size - 1);
    for (uint64_t at = 0; at < size; at += PAGE_SIZE)
        page_set(pm, gpa + at, pm->base + offset + at, flags);
    map_changed(pm, gpa, size);
    return 0;
}

int physmem_map_mmio(struct physmem *pm, physaddr_t gpa, uint64_t size, const struct mmio_ops *ops,
                     void *ctx)
{
    int err;

    if (!range_valid(pm, gpa, size))
        return -EINVAL;
    err = leaves_prepare(pm, gpa, size);
    if (err == 0)
        err = region_reserve(pm, pm->region_count + 2);
    if (err != 0)
        return err;
    region_cut(pm, gpa, gpa + size - 1);
    pm->regions[pm->region_count++] = (struct region){
        .first = gpa, .last = gpa + size - 1, .origin = gpa, .ops = ops, .ctx = ctx};
    for (physaddr_t at = gpa & PAGE_MASK; at < gpa + size; at += PAGE_SIZE)
        page_set(pm, at, NULL, PHYS_MMIO);
    map_changed(pm, gpa, size);
    return 0;
}

int physmem_unmap(struct physmem *pm, physaddr_t gpa, uint64_t size)
{
    int err;

    if (!range_valid(pm, gpa, size))
        return -EINVAL;
    err = region_reserve(pm, pm->region_count + 1);
    if (err != 0)
        return err;
    region_cut(pm, gpa, gpa + size - 1);
    for (physaddr_t at = gpa & PAGE_MASK; at < gpa + size; at += PAGE_SIZE)
        page_set(pm, at, NULL, region_overlaps_page(pm, at) ? PHYS_MMIO : 0);
    map_changed(pm, gpa, size);
    return 0;
}

/* ---- accesses ---- */

/* Bytes of the next device access: a power of two, naturally aligned, at most `left`. */
static unsigned mmio_piece(physaddr_t gpa, unsigned left)
{
    unsigned piece = 8;

    while (piece > left || (gpa & (piece - 1)) != 0)
        piece /= 2;
    return piece;
}

/* size: 1..8 bytes within one page that has no host pointer. */
static uint64_t mmio_read(struct physmem *pm, physaddr_t gpa, unsigned size)
{
    uint64_t value = 0;

    for (unsigned done = 0; done < size;) {
        unsigned piece = mmio_piece(gpa + done, size - done);
        const struct region *region = region_find(pm, gpa + done);
        uint64_t part = ~0ull;

        if (region == NULL || region->last - (gpa + done) < piece - 1)
            piece = 1;
        if (region != NULL)
            part = region->ops->read(region->ctx, gpa + done - region->origin, piece);
        if (piece < 8)
            part &= (1ull << piece * 8) - 1;
        value |= part << done * 8;
        done += piece;
    }
    return value;
}

static void mmio_write(struct physmem *pm, physaddr_t gpa, unsigned size, uint64_t value)
{
    for (unsigned done = 0; done < size;) {
        unsigned piece = mmio_piece(gpa + done, size - done);
        const struct region *region = region_find(pm, gpa + done);
        uint64_t part = value >> done * 8;

        if (region == NULL || region->last - (gpa + done) < piece - 1)
            piece = 1;
        if (piece < 8)
            part &= (1ull << piece * 8) - 1;
        if (region != NULL)
            region->ops->write(region->ctx, gpa + done - region->origin, piece, part);
        done += piece;
    }
}

/* Bytes from gpa to the end of its page, at most size. */
static size_t page_room(physaddr_t gpa, size_t size)
{
    const size_t room = PAGE_SIZE - (gpa & ~PAGE_MASK);

    return size < room ? size : room;
}

static uint64_t read_in_page(struct physmem *pm, physaddr_t gpa, unsigned size)
{
    const struct phys_page *page = physmem_page(pm, gpa);
    uint64_t value = 0;

    if (page->host == NULL)
        return mmio_read(pm, gpa, size);
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)page->host[(gpa & ~PAGE_MASK) + i] << i * 8;
    return value;
}

/* The bytes that a store would change, from the first to the last of them: code made from the
 * others is still right.  Returns their number. */
static size_t changed_bytes(const uint8_t *host, const uint8_t *from, size_t size, size_t *first)
{
    size_t begin = 0;

    while (begin < size && host[begin] == from[begin])
        begin++;
    while (size > begin && host[size - 1] == from[size - 1])
        size--;
    *first = begin;
    return size - begin;
}

static void note_code_page_store(struct physmem *pm, physaddr_t gpa);
static void forget_if_idle(struct physmem *pm, physaddr_t gpa);

static void write_in_page(struct physmem *pm, physaddr_t gpa, unsigned size, uint64_t value)
{
    const struct phys_page *page = physmem_page(pm, gpa);

    if (page->host == NULL) {
        mmio_write(pm, gpa, size, value);
    } else if (page->flags & PHYS_WRITE) {
        uint8_t *host = page->host + (gpa & ~PAGE_MASK);
        const bool code = page->flags & PHYS_CODE;
        size_t first = 0, changed = 0;

        if (code) {
            changed = changed_bytes(host, (const uint8_t *)&value, size, &first);
            note_code_page_store(pm, gpa);
            if (changed == 0)
                return;
        }
        /* One store where the size allows: other CPUs must not see halves. */
        switch (size) {
        case 8:
            __builtin_memcpy(host, &value, 8);
            break;
        case 4:
            __builtin_memcpy(host, &value, 4);
            break;
        case 2:
            __builtin_memcpy(host, &value, 2);
            break;
        default:
            for (unsigned i = 0; i < size; i++)
                host[i] = (uint8_t)(value >> i * 8);
            break;
        }
        if (code)
            physmem_code_stored(pm, gpa + first, changed);
    }
}

uint64_t physmem_read(struct physmem *pm, physaddr_t gpa, unsigned size)
{
    const unsigned first = (unsigned)page_room(gpa, size);
    uint64_t value = read_in_page(pm, gpa, first);

    if (first < size)
        value |= read_in_page(pm, gpa + first, size - first) << first * 8;
    return value;
}

void physmem_write(struct physmem *pm, physaddr_t gpa, unsigned size, uint64_t value)
{
    const unsigned first = (unsigned)page_room(gpa, size);

    write_in_page(pm, gpa, first, value);
    if (first < size)
        write_in_page(pm, gpa + first, size - first, value >> first * 8);
}

void physmem_read_bytes(struct physmem *pm, physaddr_t gpa, void *buffer, size_t size)
{
    uint8_t *to = buffer;

    while (size > 0) {
        const size_t room = page_room(gpa, size);
        const struct phys_page *page = physmem_page(pm, gpa);

        if (page->host != NULL)
            memcpy(to, page->host + (gpa & ~PAGE_MASK), room);
        else
            memset(to, 0xff, room);
        gpa += room;
        to += room;
        size -= room;
    }
}

void physmem_write_bytes(struct physmem *pm, physaddr_t gpa, const void *buffer, size_t size)
{
    const uint8_t *from = buffer;

    while (size > 0) {
        const size_t room = page_room(gpa, size);
        const struct phys_page *page = physmem_page(pm, gpa);

        if (page->flags & PHYS_WRITE) {
            uint8_t *to = page->host + (gpa & ~PAGE_MASK);
            const bool code = page->flags & PHYS_CODE;
            size_t first = 0, changed = 0;

            if (code)
                changed = changed_bytes(to, from, room, &first);
            memcpy(to, from, room);
            if (changed != 0)
                physmem_code_stored(pm, gpa + first, changed);
            if (code && room == PAGE_SIZE)
                forget_if_idle(pm, gpa);
        }
        gpa += room;
        from += room;
        size -= room;
    }
}

/* ---- code marks ---- */

/* Mask of the grains that [gpa, gpa + size) touches; the range lies in one page, size > 0. */
static uint64_t grain_mask(physaddr_t gpa, size_t size)
{
    const unsigned first = (unsigned)((gpa & ~PAGE_MASK) >> GRAIN_SHIFT);
    const unsigned last = (unsigned)(((gpa & ~PAGE_MASK) + size - 1) >> GRAIN_SHIFT);

    return (~0ull >> (63 - last)) & (~0ull << first);
}

static void count_bytes(uint8_t *bytes, size_t size, int step)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != BYTE_MANY && (step > 0 || bytes[i] != 0))
            bytes[i] = (uint8_t)(bytes[i] + step);
}

static void report_store(struct physmem *pm, physaddr_t gpa, size_t size)
{
    const bool storing = pm->storing;

    pm->storing = true;
    for (size_t i = 0; i < pm->code_listener_count; i++)
        if (pm->code_listeners[i].on_store != NULL)
            pm->code_listeners[i].on_store(pm->code_listeners[i].ctx, gpa, size);
    pm->storing = storing;
}

static void mark_in_page(struct physmem *pm, physaddr_t gpa, size_t size)
{
    struct leaf *leaf = leaf_make(pm, gpa);
    struct code_marks **slot;

    if (leaf == NULL)
        return; /* beyond phys_bits, or no memory for a leaf: then nothing can be stored there */
    slot = &leaf->marks[leaf_index(gpa)];
    if (*slot == NULL) {
        *slot = calloc(1, sizeof **slot);
        if (*slot == NULL)
            *slot = (struct code_marks *)&marks_everywhere; /* never written: checked below */
        leaf->pages[leaf_index(gpa)].flags |= PHYS_CODE;
        for (size_t i = 0; i < pm->code_listener_count; i++)
            if (pm->code_listeners[i].on_mark != NULL)
                pm->code_listeners[i].on_mark(pm->code_listeners[i].ctx, gpa & PAGE_MASK);
    }
    if (*slot == &marks_everywhere)
        return;
    for (uint64_t left = grain_mask(gpa, size); left != 0; left &= left - 1)
        (*slot)->count[__builtin_ctzll(left)]++;
    (*slot)->mask |= grain_mask(gpa, size);
    (*slot)->idle = 0;
    if ((*slot)->bytes != NULL)
        count_bytes((*slot)->bytes + (gpa & ~PAGE_MASK), size, 1);
}

/* The page has no marks any more: stores there are as any others. */
static void forget_page(struct physmem *pm, struct leaf *leaf, physaddr_t gpa)
{
    struct code_marks *marks = leaf->marks[leaf_index(gpa)];

    leaf->marks[leaf_index(gpa)] = NULL;
    leaf->pages[leaf_index(gpa)].flags &= (uint8_t)~PHYS_CODE;
    for (size_t i = 0; i < pm->code_listener_count; i++)
        if (marks->bytes != NULL && pm->code_listeners[i].on_forget != NULL)
            pm->code_listeners[i].on_forget(pm->code_listeners[i].ctx, gpa & PAGE_MASK);
    if (marks->bytes != NULL)
        pm->byte_maps--;
    free(marks->bytes);
    free(marks);
}

/* keep: marks that are all clear stay, until stores go on without. */
static void release_in_page(struct physmem *pm, physaddr_t gpa, size_t size, bool keep)
{
    struct leaf *leaf = leaf_find(pm, gpa);
    struct code_marks *marks;

    if (leaf == NULL)
        return;
    marks = leaf->marks[leaf_index(gpa)];
    if (marks == NULL || marks == &marks_everywhere)
        return;
    if (marks->bytes != NULL)
        count_bytes(marks->bytes + (gpa & ~PAGE_MASK), size, -1);
    for (uint64_t left = grain_mask(gpa, size) & marks->mask; left != 0; left &= left - 1) {
        const unsigned grain = (unsigned)__builtin_ctzll(left);

        if (--marks->count[grain] != 0)
            continue;
        marks->mask &= ~(1ull << grain);
        if (marks->bytes != NULL)
            __builtin_memset(marks->bytes + (grain << GRAIN_SHIFT), 0, 1 << GRAIN_SHIFT);
    }
    if (marks->mask == 0 && !keep)
        forget_page(pm, leaf, gpa);
}

static struct code_marks *marks_of(const struct physmem *pm, physaddr_t gpa)
{
    const struct leaf *leaf = leaf_find(pm, gpa);
    struct code_marks *marks = leaf != NULL ? leaf->marks[leaf_index(gpa)] : NULL;

    return marks != &marks_everywhere ? marks : NULL;
}

static void forget_if_idle(struct physmem *pm, physaddr_t gpa)
{
    const struct code_marks *marks = marks_of(pm, gpa);

    if (marks != NULL && marks->mask == 0)
        forget_page(pm, leaf_find(pm, gpa), gpa);
}

static void note_code_page_store(struct physmem *pm, physaddr_t gpa)
{
    struct code_marks *marks = marks_of(pm, gpa);

    pm->code_page_stores++;
    pm->code_page_stored = gpa;
    if (marks != NULL && marks->mask == 0 && ++marks->idle == IDLE_MAX)
        forget_page(pm, leaf_find(pm, gpa), gpa);
}

uint64_t physmem_code_page_stores(const struct physmem *pm, physaddr_t *last)
{
    *last = pm->code_page_stored;
    return pm->code_page_stores;
}

const uint8_t *physmem_code_bytes(struct physmem *pm, physaddr_t gpa, bool make)
{
    struct code_marks *marks = marks_of(pm, gpa);

    if (marks == NULL || marks->bytes != NULL || !make)
        return marks != NULL ? marks->bytes : NULL;
    if (pm->byte_maps == BYTE_MAPS_MOST)
        return NULL;
    /* What has marks already goes, and comes back counted. */
    report_store(pm, gpa & PAGE_MASK, PAGE_SIZE);
    marks = marks_of(pm, gpa);
    if (marks == NULL || marks->mask != 0)
        return NULL;
    marks->bytes = calloc(1, PAGE_SIZE);
    pm->byte_maps += marks->bytes != NULL;
    return marks->bytes;
}

void physmem_code_mark(struct physmem *pm, physaddr_t gpa, size_t size)
{
    while (size > 0) {
        const size_t room = page_room(gpa, size);

        mark_in_page(pm, gpa, room);
        gpa += room;
        size -= room;
    }
}

static void release(struct physmem *pm, physaddr_t gpa, size_t size, bool keep)
{
    while (size > 0) {
        const size_t room = page_room(gpa, size);

        release_in_page(pm, gpa, room, keep);
        gpa += room;
        size -= room;
    }
}

void physmem_code_release(struct physmem *pm, physaddr_t gpa, size_t size)
{
    release(pm, gpa, size, false);
}

void physmem_code_drop(struct physmem *pm, physaddr_t gpa, size_t size)
{
    release(pm, gpa, size, pm->storing);
}

static bool overlaps_in_page(const struct physmem *pm, physaddr_t gpa, size_t size)
{
    const struct leaf *leaf = leaf_find(pm, gpa);
    const struct code_marks *marks = leaf != NULL ? leaf->marks[leaf_index(gpa)] : NULL;

    if (marks == NULL || (marks->mask & grain_mask(gpa, size)) == 0)
        return false;
    for (size_t i = 0; i < size && marks->bytes != NULL; i++)
        if (marks->bytes[(gpa & ~PAGE_MASK) + i] != 0)
            return true;
    return marks->bytes == NULL;
}

bool physmem_code_overlaps(const struct physmem *pm, physaddr_t gpa, size_t size)
{
    while (size > 0) {
        const size_t room = page_room(gpa, size);

        if (overlaps_in_page(pm, gpa, room))
            return true;
        gpa += room;
        size -= room;
    }
    return false;
}

void physmem_code_stored(struct physmem *pm, physaddr_t gpa, size_t size)
{
    while (size > 0) {
        const size_t room = page_room(gpa, size);

        if (overlaps_in_page(pm, gpa, room))
            report_store(pm, gpa, room);
        gpa += room;
        size -= room;
    }
}

/* ---- listeners ---- */

int physmem_add_code_listener(struct physmem *pm, physmem_store_fn on_store,
                              physmem_page_fn on_mark, void *ctx)
{
    struct code_listener *grown =
        realloc(pm->code_listeners, (pm->code_listener_count + 1) * sizeof *grown);

    if (grown == NULL)
        return -ENOMEM;
    pm->code_listeners = grown;
    grown[pm->code_listener_count++] =
        (struct code_listener){.on_store = on_store, .on_mark = on_mark, .ctx = ctx};
    return 0;
}

void physmem_on_code_forgotten(struct physmem *pm, physmem_page_fn on_forget, void *ctx)
{
    for (size_t i = 0; i < pm->code_listener_count; i++)
        if (pm->code_listeners[i].ctx == ctx)
            pm->code_listeners[i].on_forget = on_forget;
}

void physmem_remove_code_listener(struct physmem *pm, void *ctx)
{
    size_t kept = 0;

    for (size_t i = 0; i < pm->code_listener_count; i++)
        if (pm->code_listeners[i].ctx != ctx)
            pm->code_listeners[kept++] = pm->code_listeners[i];
    pm->code_listener_count = kept;
}

int physmem_add_map_listener(struct physmem *pm, physmem_changed_fn fn, void *ctx)
{
    struct map_listener *grown =
        realloc(pm->map_listeners, (pm->map_listener_count + 1) * sizeof *grown);

    if (grown == NULL)
        return -ENOMEM;
    pm->map_listeners = grown;
    grown[pm->map_listener_count++] = (struct map_listener){.fn = fn, .ctx = ctx};
    return 0;
}

void physmem_remove_map_listener(struct physmem *pm, void *ctx)
{
    size_t kept = 0;

    for (size_t i = 0; i < pm->map_listener_count; i++)
        if (pm->map_listeners[i].ctx != ctx)
            pm->map_listeners[kept++] = pm->map_listeners[i];
    pm->map_listener_count = kept;
}
