/*
 * tests/guests/fuzz_tlb.c -- what a guest sees while it edits page tables of several address spaces
 * at random and invalidates as the manual requires, or less: every access must see what is there
 * now, or something older that the manual lets a processor still have cached.
 *
 *   fuzz_tlb [-s seed] [-n scripts] [-e engine] IMAGE
 *
 * IMAGE is scripted/tlb_script.asm assembled: a loop at CPL 0 of 64-bit mode that executes a list
 * of records.  A script edits leaf entries (4 KiB, 2 MiB, global or not) of four sets of tables,
 * loads CR3 with and without the no-flush bit, uses INVLPG, all types of INVPCID, CR4 and CR0, and
 * reads, writes and executes at both levels.  Afterwards the model below, which knows all
 * translations that could be cached at each moment, judges the results, the A and D bits and the
 * pages written to.
 *
 * Source: [SDM 3A 4.10 "Caching Translation Information"].  Where that leaves a choice, the model
 * allows all; but a large page's translation goes as a whole (operating systems count on it).
 *
 * Linear: 3 regions of 2 MiB at PML4[1], all with the same low bits of page numbers, 4 pages of
 * each in use.  Physical: 10000 script, 20000 records, 100000 tables, 800000 data pages, each with
 * its number in its first KiB and code that returns it; the other 3 KiB are for what is written.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cpu/segment.h"
#include "tests/translator/machine.h"

/* ---- the guest's side ---- */

enum op {
    OP_END,
    OP_STORE,
    OP_LOAD,
    OP_CR3,
    OP_INVLPG,
    OP_INVPCID,
    OP_CR4,
    OP_CR0,
    OP_READ,
    OP_WRITE,
    OP_ADD,
    OP_EXECUTE,
    OP_USER_READ,
    OP_USER_WRITE,
    OP_USER_EXECUTE,
};

/* As tlb_script.asm reads it. */
struct record {
    uint64_t op, a, b, c, result;
};

enum {
    MEMORY = 16 << 20,
    GDT = 0x1000,
    IDT = 0x2000,
    TSS = 0x3000,
    CODE = 0x10000,
    PAGE_FAULT = 0x10010,
    FROM_USER = 0x10040,
    STACK_AT = 0x1f000,
    RECORDS = 0x20000,
    RECORDS_MAX = 700,
    TABLES_AT = 0x110000, /* 64 KiB for each set: PML4, PDPT, PD, PD, PT... */
    DATA_AT = 0x800000,
    DATA_PAGES = 2048,
    SLOTS_AT = 0x400, /* in a data page: a record's own dword */

    REGIONS = 3,
    PAGES = 4, /* of a region that are used */
    SETS = 4,
    PCIDS = 4,
};
#define FAULTED  (1ull << 63)
#define NO_FLUSH (1ull << 63)
#define NX       (1ull << 63)
#define AD       0x60ull
#define SPACE    (1ull << 39)

enum { P = 1, W = 2, U = 4, A = 0x20, D = 0x40, PS = 0x80, G = 0x100 };

static const uint16_t pcid_numbers[PCIDS] = {0, 1, 0x123, 0xfff};
static const uint64_t region_at[REGIONS] = {SPACE, SPACE + 0x200000, SPACE + 0x40000000};
/* Code is executed on the last two only, so that most pages take stores the fast way. */
static const uint16_t page_numbers[PAGES] = {1, 5, 8, 511};

static uint64_t linear_of(unsigned region, unsigned page)
{
    return region_at[region] + page_numbers[page] * 0x1000ull;
}
static uint64_t set_at(unsigned set)
{
    return TABLES_AT + set * 0x10000ull;
}
static uint64_t pde_at(unsigned set, unsigned region)
{
    return set_at(set) + (region == 2 ? 0x3000 : 0x2000 + region * 8ull);
}
static uint64_t pt_at(unsigned set, unsigned region)
{
    return set_at(set) + 0x4000 + region * 0x1000ull;
}
static uint64_t pte_at(unsigned set, unsigned region, unsigned page)
{
    return pt_at(set, region) + page_numbers[page] * 8ull;
}

/* ---- random numbers ---- */

static uint64_t random_state;

static uint32_t random32(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) * 2u ^ (uint32_t)(random_state >> 20);
}
static unsigned below(unsigned limit)
{
    return random32() % limit;
}
static bool chance(unsigned percent)
{
    return below(100) < percent;
}

/* ---- state that scripts change, known exactly ---- */

/* A leaf entry; its A and D bits may be unknown. */
struct leaf {
    uint64_t value;
    uint32_t generation; /* of edits */
    bool a_known, d_known;
};

struct world {
    struct leaf pte[SETS][REGIONS][PAGES], pde[SETS][REGIONS];
    uint32_t generation;
    unsigned set, pcid; /* CR3 */
    uint64_t cr0, cr4;
};

static bool is_table(const struct leaf *pde)
{
    return (pde->value & (P | PS)) == P;
}

/* ---- the model: what may be cached ---- */

struct translation {
    bool global;
    uint8_t pcid;
    uint16_t data_page;
    bool writable, user, no_execute;
    bool large;
    uint8_t set; /* the leaf it was made from, and which edit of it */
    uint32_t generation;
};

enum { CACHED_MAX = 256 };

struct model {
    struct world world;
    struct cached {
        unsigned count;
        struct translation entries[CACHED_MAX];
    } cached[REGIONS][PAGES];
    /* Sets of tables (a bit each) whose upper levels, whose PDE of a page table may be cached. */
    uint8_t roots[PCIDS][REGIONS], tables[PCIDS][REGIONS];
    unsigned checks, exact;
};

static bool translation_equal(const struct translation *a, const struct translation *b)
{
    return a->global == b->global && (a->global || a->pcid == b->pcid) &&
           a->data_page == b->data_page && a->writable == b->writable && a->user == b->user &&
           a->no_execute == b->no_execute && a->large == b->large && a->set == b->set &&
           a->generation == b->generation;
}

static void model_add(struct model *m, unsigned region, unsigned page, const struct leaf *leaf,
                      unsigned set, bool large)
{
    struct cached *cached = &m->cached[region][page];
    const uint64_t phys =
        large ? (leaf->value & 0xe00000) + page_numbers[page] * 0x1000ull : leaf->value & 0xfff000;
    const struct translation t = {
        .global = (leaf->value & G) && (m->world.cr4 & CR4_PGE),
        .pcid = (uint8_t)m->world.pcid,
        .data_page = (uint16_t)((phys - DATA_AT) >> 12),
        .writable = leaf->value & W,
        .user = leaf->value & U,
        .no_execute = leaf->value & NX,
        .large = large,
        .set = (uint8_t)set,
        .generation = leaf->generation,
    };

    if (!(leaf->value & P))
        return;
    for (unsigned i = 0; i < cached->count; i++)
        if (translation_equal(&cached->entries[i], &t))
            return;
    if (cached->count == CACHED_MAX) {
        fprintf(stderr, "too many stale translations in a script\n");
        exit(2);
    }
    cached->entries[cached->count++] = t;
}

/* What the current address space offers may be cached at any time. */
static void model_speculate(struct model *m)
{
    const unsigned pcid = m->world.pcid;

    for (unsigned region = 0; region < REGIONS; region++) {
        m->roots[pcid][region] |= 1u << m->world.set;
        for (unsigned set = 0; set < SETS; set++) {
            const struct leaf *pde = &m->world.pde[set][region];

            if (m->roots[pcid][region] >> set & 1) {
                if (is_table(pde))
                    m->tables[pcid][region] |= 1u << set;
                else
                    for (unsigned page = 0; page < PAGES; page++)
                        model_add(m, region, page, pde, set, true);
            }
            if (m->tables[pcid][region] >> set & 1)
                for (unsigned page = 0; page < PAGES; page++)
                    model_add(m, region, page, &m->world.pte[set][region][page], set, false);
        }
    }
}

enum { ANY_PCID = PCIDS };

/* Forget translations: of one page or (page == PAGES) a region's or (region == REGIONS) all; global
 * ones too or not.  Of a large page all parts go. */
static void model_forget(struct model *m, unsigned pcid, unsigned region, unsigned page,
                         bool global_too)
{
    for (unsigned r = 0; r < REGIONS; r++) {
        if (region != REGIONS && r != region)
            continue;
        for (unsigned p = 0; p < PAGES; p++) {
            struct cached *cached = &m->cached[r][p];
            unsigned kept = 0;

            for (unsigned i = 0; i < cached->count; i++) {
                const struct translation *t = &cached->entries[i];
                const bool here = page == PAGES || p == page || t->large;
                const bool mine = t->global ? global_too : pcid == ANY_PCID || t->pcid == pcid;

                if (!(here && mine))
                    cached->entries[kept++] = *t;
            }
            cached->count = kept;
        }
    }
}

/* What a page fault forgets; of a large page other parts may be cached by themselves. */
static void model_forget_one(struct model *m, unsigned region, unsigned page)
{
    struct cached *cached = &m->cached[region][page];
    unsigned kept = 0;

    for (unsigned i = 0; i < cached->count; i++)
        if (cached->entries[i].global || cached->entries[i].pcid != m->world.pcid)
            cached->entries[kept++] = cached->entries[i];
    cached->count = kept;
}

static void model_forget_tables(struct model *m, unsigned pcid, unsigned region)
{
    for (unsigned i = 0; i < PCIDS; i++)
        for (unsigned r = 0; r < REGIONS; r++)
            if ((pcid == ANY_PCID || i == pcid) && (region == REGIONS || r == region))
                m->roots[i][r] = m->tables[i][r] = 0;
}

static unsigned pcid_index(uint64_t number)
{
    unsigned i = 0;

    while (pcid_numbers[i] != number)
        i++;
    return i;
}

/* Which page is it?  False: not one of the test's. */
static bool page_of(uint64_t linear, unsigned *region, unsigned *page)
{
    for (*region = 0; *region < REGIONS; ++*region)
        for (*page = 0; *page < PAGES; ++*page)
            if ((linear & ~0xfffull) == linear_of(*region, *page))
                return true;
    return false;
}

/* The leaf entry at a physical address. */
static struct leaf *leaf_at(struct world *w, uint64_t gpa)
{
    for (unsigned set = 0; set < SETS; set++)
        for (unsigned region = 0; region < REGIONS; region++) {
            if (gpa == pde_at(set, region))
                return &w->pde[set][region];
            for (unsigned page = 0; page < PAGES; page++)
                if (gpa == pte_at(set, region, page))
                    return &w->pte[set][region][page];
        }
    abort();
}

/* A record that is no access to a test page. */
static void world_apply(struct world *w, const struct record *r)
{
    struct leaf *leaf;

    switch (r->op) {
    case OP_STORE:
        leaf = leaf_at(w, r->a);
        *leaf = (struct leaf){r->b, ++w->generation, true, true};
        break;
    case OP_CR3:
        w->set = (unsigned)((r->a & 0xfff000) - TABLES_AT) >> 16;
        w->pcid = pcid_index(r->a & 0xfff);
        break;
    case OP_CR4:
        w->cr4 = r->a;
        break;
    case OP_CR0:
        w->cr0 = r->a;
        break;
    default:
        break;
    }
}

/* [SDM 3A 4.10.4.1 "Operations that Invalidate TLBs and Paging-Structure Caches"] */
static void model_invalidate(struct model *m, const struct record *r)
{
    const unsigned now = m->world.pcid;
    const uint64_t changed = r->a ^ m->world.cr4;
    unsigned region, page;

    switch (r->op) {
    case OP_CR3:
        if (r->a & NO_FLUSH)
            break;
        model_forget(m, pcid_index(r->a & 0xfff), REGIONS, PAGES, false);
        model_forget_tables(m, pcid_index(r->a & 0xfff), REGIONS);
        break;
    case OP_CR4:
        if ((changed & CR4_PGE) || (changed & ~r->a & CR4_PCIDE)) {
            model_forget(m, ANY_PCID, REGIONS, PAGES, true);
            model_forget_tables(m, ANY_PCID, REGIONS);
        } else if (changed & r->a & CR4_SMEP) {
            model_forget(m, now, REGIONS, PAGES, false);
            model_forget_tables(m, now, REGIONS);
        }
        break;
    case OP_INVLPG:
        if (page_of(r->a, &region, &page))
            model_forget(m, now, region, page, true);
        model_forget_tables(m, now, REGIONS);
        break;
    case OP_INVPCID:
        if (r->a == 0 && page_of(r->c, &region, &page)) {
            model_forget(m, pcid_index(r->b), region, page, false);
            model_forget_tables(m, pcid_index(r->b), region);
        } else if (r->a == 1) {
            model_forget(m, pcid_index(r->b), REGIONS, PAGES, false);
            model_forget_tables(m, pcid_index(r->b), REGIONS);
        } else if (r->a >= 2) {
            model_forget(m, ANY_PCID, REGIONS, PAGES, r->a == 2);
            model_forget_tables(m, ANY_PCID, REGIONS);
        }
        break;
    default:
        break;
    }
}

/* ---- judging an access ---- */

static bool is_user(uint64_t op)
{
    return op >= OP_USER_READ;
}
static bool is_write(uint64_t op)
{
    return op == OP_WRITE || op == OP_ADD || op == OP_USER_WRITE;
}
static bool is_execute(uint64_t op)
{
    return op == OP_EXECUTE || op == OP_USER_EXECUTE;
}

/* #PF bits W, U, I of an access. */
static uint64_t error_of(uint64_t op)
{
    return FAULTED | (is_write(op) ? 2 : 0) | (is_user(op) ? 4 : 0) | (is_execute(op) ? 16 : 0);
}

/* [SDM 3A 4.6.1]; EFLAGS.AC is clear. */
static bool translation_allows(const struct world *w, const struct translation *t, uint64_t op)
{
    if (is_user(op) && !t->user)
        return false;
    if (!is_user(op) && t->user && (w->cr4 & (is_execute(op) ? CR4_SMEP : CR4_SMAP)))
        return false;
    if (is_write(op) && !t->writable && (is_user(op) || (w->cr0 & CR0_WP)))
        return false;
    return !is_execute(op) || !t->no_execute;
}

/* Could a walk find no page? */
static bool may_be_absent(const struct model *m, unsigned region, unsigned page)
{
    const struct world *w = &m->world;

    for (unsigned set = 0; set < SETS; set++) {
        if ((m->roots[w->pcid][region] >> set & 1) && !(w->pde[set][region].value & P))
            return true;
        if ((m->tables[w->pcid][region] >> set & 1) && !(w->pte[set][region][page].value & P))
            return true;
    }
    return false;
}

static struct leaf *translation_leaf(struct world *w, const struct translation *t, unsigned region,
                                     unsigned page)
{
    return t->large ? &w->pde[t->set][region] : &w->pte[t->set][region][page];
}

/* The leaf that served the access has A, for a write D, set if nothing but its present value can
 * have served; else it may have. */
static void note_used(struct model *m, unsigned region, unsigned page, const struct record *r,
                      uint64_t data_page)
{
    const struct cached *cached = &m->cached[region][page];
    struct leaf *only = NULL;
    bool certain = true;

    for (unsigned i = 0; i < cached->count; i++) {
        const struct translation *t = &cached->entries[i];
        struct leaf *leaf = translation_leaf(&m->world, t, region, page);

        if (!(t->global || t->pcid == m->world.pcid))
            continue;
        if (t->generation != leaf->generation || (only != NULL && only != leaf))
            certain = false;
        only = leaf;
        if (t->generation == leaf->generation && t->data_page == data_page) {
            leaf->a_known &= (leaf->value & A) != 0;
            if (is_write(r->op))
                leaf->d_known &= (leaf->value & D) != 0;
        }
    }
    /* Any present walk may be the one whose D is set, when a clean translation is used to write. */
    if (is_write(r->op) && !certain)
        for (unsigned set = 0; set < SETS; set++) {
            m->world.pde[set][region].d_known &= (m->world.pde[set][region].value & D) != 0;
            m->world.pte[set][region][page].d_known &=
                (m->world.pte[set][region][page].value & D) != 0;
        }
    if (only == NULL || !certain)
        return;
    only->value |= A | (is_write(r->op) ? D : 0);
    only->a_known = true;
    only->d_known |= is_write(r->op);
}

/* Is the result one that something cached or the tables give?  Sets the data page, if any. */
static bool access_possible(struct model *m, unsigned region, unsigned page, const struct record *r,
                            unsigned *kinds)
{
    const struct cached *cached = &m->cached[region][page];
    bool possible = false;
    uint64_t first = 0;

    *kinds = 0;
    if (may_be_absent(m, region, page)) {
        possible |= r->result == error_of(r->op);
        first = error_of(r->op);
        ++*kinds;
    }
    for (unsigned i = 0; i < cached->count; i++) {
        const struct translation *t = &cached->entries[i];
        uint64_t gives;

        if (!(t->global || t->pcid == m->world.pcid))
            continue;
        gives = translation_allows(&m->world, t, r->op) ? t->data_page : error_of(r->op) | 1;
        possible |= r->result == gives;
        if (*kinds == 0 || gives != first)
            ++*kinds;
        first = gives;
    }
    return possible;
}

/* ---- scripts ---- */

struct script {
    unsigned count;
    struct record records[RECORDS_MAX];
    struct world world; /* while it is made */
};

static void emit(struct script *s, uint64_t op, uint64_t a, uint64_t b, uint64_t c)
{
    struct record *r = &s->records[s->count++];

    *r = (struct record){op, a, b, c, 0};
    world_apply(&s->world, r);
}

static uint64_t random_rights(void)
{
    return (chance(88) ? P : 0) | (chance(75) ? W : 0) | (chance(50) ? U : 0) |
           (chance(30) ? G : 0) | (chance(50) ? A : 0) | (chance(30) ? D : 0) |
           (chance(25) ? NX : 0);
}

static uint64_t random_pte(unsigned page)
{
    const bool code = page >= 2;
    unsigned number;

    do
        number = below(DATA_PAGES);
    while (code != (number % 512 == 8 || number % 512 == 511));
    return (DATA_AT + number * 0x1000ull) | random_rights();
}

static uint64_t random_pde(unsigned set, unsigned region)
{
    if (chance(70))
        return pt_at(set, region) | P | W | U | (chance(50) ? A : 0);
    return (DATA_AT + below(4) * 0x200000ull) | PS | random_rights();
}

static void emit_cr3(struct script *s, unsigned set, unsigned pcid, bool no_flush)
{
    emit(s, OP_CR3, set_at(set) | pcid_numbers[pcid] | (no_flush ? NO_FLUSH : 0), 0, 0);
}

static void emit_random_cr3(struct script *s)
{
    const bool tagged = s->world.cr4 & CR4_PCIDE;
    const unsigned set = below(SETS);
    const unsigned pcid = tagged ? chance(92) ? set : below(PCIDS) : 0;

    emit_cr3(s, set, pcid, tagged && chance(60));
}

static void emit_random_cr4(struct script *s)
{
    uint64_t cr4 = s->world.cr4;

    if (chance(40))
        cr4 ^= CR4_SMEP;
    if (chance(40))
        cr4 ^= CR4_SMAP;
    if (chance(30))
        cr4 ^= CR4_PGE;
    if (s->world.pcid == 0 && chance(50))
        cr4 ^= CR4_PCIDE;
    emit(s, OP_CR4, cr4, 0, 0);
}

/* Something that makes the processor forget, and covers the page in the set of tables or not. */
static void emit_invalidate(struct script *s, unsigned set, unsigned region, unsigned page)
{
    const bool tagged = s->world.cr4 & CR4_PCIDE;
    const unsigned pcid = tagged ? chance(90) ? set : below(PCIDS) : 0;
    const uint64_t linear = linear_of(region, page) + (chance(50) ? below(4096) : 0);

    switch (below(13)) {
    default:
        emit(s, OP_INVLPG, linear, 0, 0);
        break;
    case 3:
    case 4:
    case 5:
    case 6:
        emit(s, OP_INVPCID, 0, pcid_numbers[pcid], linear);
        break;
    case 7:
        emit(s, OP_INVPCID, 1, pcid_numbers[pcid], linear);
        break;
    case 8:
    case 9:
        emit(s, OP_INVPCID, 2 + below(2), 0, 0);
        break;
    case 10:
        emit_cr3(s, s->world.set, s->world.pcid, false);
        break;
    case 11:
        emit_random_cr3(s);
        break;
    case 12:
        emit(s, OP_CR4, s->world.cr4 ^ CR4_PGE, 0, 0);
        break;
    }
}

static void emit_op(struct script *s, uint64_t op, unsigned region, unsigned page)
{
    const uint64_t linear = linear_of(region, page);

    if (is_execute(op))
        emit(s, op, linear, 0, 0);
    else if (is_write(op))
        emit(s, op, linear + SLOTS_AT + s->count * 4ull, 0x5a000000u + s->count, 0);
    else
        emit(s, op, linear + 8 + below(200) * 4ull, 0, 0);
}

static uint64_t random_op(unsigned page)
{
    static const uint8_t ops[] = {OP_READ,      OP_READ,        OP_WRITE,      OP_ADD,
                                  OP_USER_READ, OP_USER_READ,   OP_USER_WRITE, OP_EXECUTE,
                                  OP_EXECUTE,   OP_USER_EXECUTE};

    return ops[below(page >= 2 ? sizeof(ops) : sizeof(ops) - 3)];
}

static void emit_access(struct script *s, unsigned region, unsigned page)
{
    emit_op(s, random_op(page), region, page);
}

/* Something else changes between two accesses of a kind to a page. */
static void emit_mode_change(struct script *s)
{
    const unsigned region = below(REGIONS);
    const unsigned page = below(PAGES);
    const uint64_t op = random_op(page);

    emit_op(s, op, region, page);
    if (chance(60))
        emit_random_cr4(s);
    else
        emit(s, OP_CR0, s->world.cr0 ^ CR0_WP, 0, 0);
    emit_op(s, op, region, page);
}

static void emit_edit(struct script *s)
{
    const unsigned set = chance(60) ? s->world.set : below(SETS);
    const unsigned region = below(REGIONS);
    const unsigned page = below(PAGES);
    const struct leaf *pde = &s->world.pde[set][region];
    const struct leaf *pte = &s->world.pte[set][region][page];
    const bool high = chance(15) || (!is_table(pde) && chance(50));

    if (chance(70))
        emit_access(s, region, page);
    if (high)
        emit(s, OP_STORE, pde_at(set, region), random_pde(set, region), 0);
    else if (chance(50))
        emit(s, OP_STORE, pte_at(set, region, page), random_pte(page), 0);
    else /* a change of one right */
        emit(s, OP_STORE, pte_at(set, region, page),
             pte->value ^ (const uint64_t[]){P, W, U, NX, D, A | D}[below(6)], 0);
    if (chance(80))
        emit_invalidate(s, set, region, page);
    if (chance(70)) {
        if (set != s->world.set && chance(80))
            emit_cr3(s, set, s->world.cr4 & CR4_PCIDE ? set : 0,
                     (s->world.cr4 & CR4_PCIDE) && chance(80));
        emit_access(s, region, page);
        if (chance(40))
            emit_op(s, OP_USER_WRITE - below(2) * (OP_USER_WRITE - OP_WRITE), region, page);
    }
    if (chance(40))
        emit(s, OP_LOAD, high ? pde_at(set, region) : pte_at(set, region, page), 0, 0);
}

static void script_make(struct script *s, const struct world *world)
{
    s->count = 0;
    s->world = *world;
    while (s->count < RECORDS_MAX - 16) {
        const unsigned choice = below(100);

        if (choice < 50)
            emit_edit(s);
        else if (choice < 80)
            emit_access(s, below(REGIONS), below(PAGES));
        else if (choice < 90)
            emit_random_cr3(s);
        else if (choice < 96)
            emit_mode_change(s);
        else
            emit_invalidate(s, below(SETS), below(REGIONS), below(PAGES));
    }
    emit(s, OP_END, 0, 0, 0);
}

/* ---- the machine ---- */

static uint8_t image[4096];
static size_t image_size;

static void put64(struct machine *m, uint64_t gpa, uint64_t value)
{
    physmem_write_bytes(m->mem, gpa, &value, 8);
}

static void put_gate(struct machine *m, unsigned vector, uint64_t target, unsigned type)
{
    put64(m, IDT + vector * 16ull,
          (target & 0xffff) | 0x08 << 16 | (uint64_t)type << 40 | (target >> 16) << 48);
    put64(m, IDT + vector * 16ull + 8, 0);
}

static void world_start(struct machine *m, struct world *w)
{
    const uint64_t low = 0x101000, user = 0x103000;

    memset(w, 0, sizeof(*w));
    w->cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
    w->cr4 = CR4_PAE | CR4_PGE | CR4_PCIDE;
    /* All physical memory one to one for level 0; the script's page and a stack for level 3. */
    put64(m, low, 0x102000 | P | W);
    for (unsigned i = 0; i < 8; i++)
        put64(m, 0x102000 + i * 8, i * 0x200000ull | P | W | A | D | PS | G);
    put64(m, user, 0x104000 | P | W | U);
    put64(m, 0x104000, 0x105000 | P | W | U);
    put64(m, 0x105000, CODE | P | U | A);
    put64(m, 0x105008, (CODE + 0x1000) | P | W | U | A | D);
    for (unsigned set = 0; set < SETS; set++) {
        const uint64_t at = set_at(set);

        put64(m, at, low | P | W);
        put64(m, at + 8, (at + 0x1000) | P | W | U);
        put64(m, at + 16, user | P | W | U);
        put64(m, at + 0x1000, (at + 0x2000) | P | W | U);
        put64(m, at + 0x1008, (at + 0x3000) | P | W | U);
        for (unsigned region = 0; region < REGIONS; region++) {
            w->pde[set][region] = (struct leaf){pt_at(set, region) | P | W | U, 0, true, true};
            put64(m, pde_at(set, region), w->pde[set][region].value);
            for (unsigned page = 0; page < PAGES; page++) {
                w->pte[set][region][page] = (struct leaf){random_pte(page), 0, true, true};
                put64(m, pte_at(set, region, page), w->pte[set][region][page].value);
            }
        }
    }
}

static void data_start(struct machine *m)
{
    for (uint32_t number = 0; number < DATA_PAGES; number++) {
        uint32_t words[SLOTS_AT / 4];
        uint8_t code[8] = {0xb8, (uint8_t)number, (uint8_t)(number >> 8), 0, 0, 0xc3, 0, 0};

        for (unsigned i = 0; i < SLOTS_AT / 4; i++)
            words[i] = number;
        memcpy(words, code, sizeof(code));
        physmem_write_bytes(m->mem, DATA_AT + number * 0x1000ull, words, sizeof(words));
    }
}

static void machine_start(struct machine *m, const struct world *w)
{
    static const uint64_t gdt[] = {0,
                                   0x00af9b000000ffff, /* 08 code, 64-bit */
                                   0x00cf93000000ffff, /* 10 data */
                                   0,
                                   0x00cff3000000ffff, /* 23 data, level 3 */
                                   0x00affb000000ffff /* 2b code, level 3 */};
    struct cpu *cpu = m->cpu;

    physmem_write_bytes(m->mem, CODE, image, image_size);
    physmem_write_bytes(m->mem, GDT, gdt, sizeof(gdt));
    put_gate(m, 14, PAGE_FAULT, 0x8e);
    put_gate(m, 0x80, FROM_USER, 0xee);
    put64(m, TSS + 4, STACK_AT);
    cpu->gdtr = (struct dtable){.base = GDT, .limit = sizeof(gdt) - 1};
    cpu->idtr = (struct dtable){.base = IDT, .limit = 0x81 * 16 - 1};
    cpu->tr = (struct segment){.base = TSS, .limit = 0x67, .selector = 0x30, .attr = SEG_P | 11};
    cpu->cr0 = w->cr0;
    cpu->cr4 = w->cr4;
    cpu->cr3 = set_at(0);
    cpu->efer = EFER_LME | EFER_LMA | EFER_NXE;
    segment_unpack(gdt[1], 0x08, &cpu->seg[CS]);
    segment_unpack(gdt[2], 0x10, &cpu->seg[SS]);
    cpu_update_mode(cpu);
}

static void script_run(struct machine *m, struct script *s)
{
    struct cpu *cpu = m->cpu;

    physmem_write_bytes(m->mem, RECORDS, s->records, s->count * sizeof(struct record));
    cpu->halted = false;
    cpu->rip = CODE;
    if (m->tr != NULL)
        assert_int_equal(translator_run(m->tr, cpu, UINT64_MAX), RUN_HALTED);
    else
        assert_int_equal(interp_run(cpu, UINT64_MAX), RUN_HALTED);
    physmem_read_bytes(m->mem, RECORDS, s->records, s->count * sizeof(struct record));
}

/* ---- the verdict ---- */

static uint64_t seed_now;

static void print_record(const struct script *s, unsigned i)
{
    static const char *const names[] = {"end",     "store",   "load",    "cr3",      "invlpg",
                                        "invpcid", "cr4",     "cr0",     "read",     "write",
                                        "add",     "execute", "u. read", "u. write", "u. execute"};
    const struct record *r = &s->records[i];

    fprintf(stderr, "  %3u %-10s %#18llx %#18llx %#14llx -> %#llx\n", i, names[r->op],
            (unsigned long long)r->a, (unsigned long long)r->b, (unsigned long long)r->c,
            (unsigned long long)r->result);
}

static void fail_record(const struct model *m, const struct script *s, unsigned at,
                        const char *what)
{
    const struct record *r = &s->records[at];
    unsigned region, page;

    fprintf(stderr, "seed %llu: record %u: %s; set %u, PCID %#x, CR4 %#llx, CR0 %#llx\n",
            (unsigned long long)seed_now, at, what, m->world.set, pcid_numbers[m->world.pcid],
            (unsigned long long)m->world.cr4, (unsigned long long)m->world.cr0);
    if (r->op >= OP_READ && page_of(r->a, &region, &page)) {
        const struct cached *cached = &m->cached[region][page];

        fprintf(stderr, "possible:%s\n", may_be_absent(m, region, page) ? " absent" : "");
        for (unsigned i = 0; i < cached->count; i++) {
            const struct translation *t = &cached->entries[i];

            if (t->global || t->pcid == m->world.pcid)
                fprintf(stderr, "  page %#x %s%s%s%s%s, set %u\n", t->data_page,
                        t->writable ? "W" : "", t->user ? "U" : "", t->no_execute ? " NX" : "",
                        t->global ? " G" : "", t->large ? " large" : "", t->set);
        }
    }
    for (unsigned i = at < 30 ? 0 : at - 30; i <= at; i++)
        print_record(s, i);
    fail_msg("seed %llu, record %u: %s", (unsigned long long)seed_now, at, what);
}

/* Where a record's store went: exactly one data page, whose number is returned; DATA_PAGES: none;
 * more than that: several.  Clears it. */
static unsigned written_page(struct machine *m, unsigned record, uint32_t value)
{
    unsigned found = DATA_PAGES, count = 0;

    for (unsigned number = 0; number < DATA_PAGES; number++) {
        uint32_t *slot =
            (uint32_t *)(void *)(physmem_backing(m->mem, DATA_AT + number * 0x1000ull) + SLOTS_AT +
                                 record * 4);

        if (*slot == 0)
            continue;
        if (*slot == value)
            found = number;
        count++;
        *slot = 0;
    }
    return count > 1 ? DATA_PAGES + 1 : found;
}

static void judge_access(struct machine *machine, struct model *m, struct script *s, unsigned at)
{
    struct record *r = &s->records[at];
    const bool faulted = r->result & FAULTED;
    unsigned region, page, kinds;

    if (!page_of(r->a, &region, &page))
        abort();
    if (is_write(r->op)) {
        const unsigned written = written_page(machine, at, (uint32_t)r->b);

        if (faulted != (written == DATA_PAGES))
            fail_record(m, s, at, faulted ? "faulted, and wrote" : "wrote nowhere");
        if (!faulted)
            r->result = written;
    }
    if (faulted && r->c != r->a)
        fail_record(m, s, at, "CR2");
    if (!access_possible(m, region, page, r, &kinds))
        fail_record(m, s, at, "not possible");
    m->checks++;
    m->exact += kinds == 1;
    if (!faulted) {
        note_used(m, region, page, r, r->result);
    } else {
        /* The fault drops what it used, so that it cannot come again. */
        model_forget_one(m, region, page);
        model_forget_tables(m, m->world.pcid, region);
    }
}

static void judge_load(struct model *m, const struct script *s, unsigned at)
{
    const struct record *r = &s->records[at];
    struct leaf *leaf = leaf_at(&m->world, r->a);
    uint64_t known = ~AD;

    if (!is_table(leaf) || (r->a & 0xf000) >= 0x4000) {
        /* A may come by speculation, too. */
        known |= leaf->a_known && (leaf->value & A) ? A : 0;
        known |= leaf->d_known ? D : 0;
    }
    if ((r->result ^ leaf->value) & known)
        fail_record(m, s, at, "entry");
}

static void judge(struct machine *machine, struct model *m, struct script *s)
{
    for (unsigned at = 0; at + 1 < s->count; at++) {
        const struct record *r = &s->records[at];

        model_speculate(m);
        if (r->op >= OP_READ) {
            judge_access(machine, m, s, at);
        } else if (r->op == OP_LOAD) {
            judge_load(m, s, at);
        } else {
            if (r->result & FAULTED)
                fail_record(m, s, at, "page fault");
            model_invalidate(m, r);
            world_apply(&m->world, r);
        }
    }
}

/* ---- engines ---- */

struct engine {
    const char *name;
    bool translate;
    struct translator_options options;
};

static struct engine engines[] = {
    {"interpret", false, {0}},
    {"translate", true, {0}},
    {"translate, no chains", true, {.no_chain = true}},
    {"translate, no return prediction", true, {.no_retcache = true}},
    {"translate, no groups", true, {.no_group = true}},
    {"translate, all for rewritten code", true, {.eager_smc = true}},
    {"translate, windows", true, {.eager_window = true}},
    {"translate, windows, no guesses", true, {.eager_window = true, .no_guess = true}},
    {"translate, cache of 1 MiB", true, {.cache_bytes = 1 << 20}},
    {"translate, cache of 1 MiB, by blocks", true, {.cache_bytes = 1 << 20, .cache_policy = 3}},
    {"translate, counted", true, {.counted = true}},
};
enum { ENGINES = sizeof(engines) / sizeof(engines[0]) };

static uint64_t first_seed = 1;
static unsigned script_count = 60;

/* Scripts that follow each other in one machine, like a guest's life. */
static void run_engine(void **state)
{
    const struct engine *engine = *state;
    struct machine machine;
    struct model *model = calloc(1, sizeof(*model));
    struct script *script = calloc(1, sizeof(*script));

    assert_non_null(model);
    assert_non_null(script);
    random_state = first_seed;
    machine_open(&machine, MEMORY, engine->translate ? &engine->options : NULL);
    world_start(&machine, &model->world);
    data_start(&machine);
    machine_start(&machine, &model->world);
    for (unsigned i = 0; i < script_count; i++) {
        seed_now = random_state = first_seed + i;
        script_make(script, &model->world);
        script_run(&machine, script);
        judge(&machine, model, script);
    }
    print_message("%u accesses, %u with one possible result\n", model->checks, model->exact);
    /* A model that allows everything tests nothing. */
    assert_true(model->exact > model->checks / 2);
    machine_close(&machine);
    free(script);
    free(model);
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[ENGINES];
    unsigned count = 0;
    int option, only = -1;
    FILE *file;

    while ((option = getopt(argc, argv, "s:n:e:")) != -1) {
        if (option == 's')
            first_seed = strtoull(optarg, NULL, 0);
        else if (option == 'n')
            script_count = (unsigned)strtoul(optarg, NULL, 0);
        else if (option == 'e')
            only = atoi(optarg);
        else
            return 2;
    }
    if (optind != argc - 1 || (file = fopen(argv[optind], "rb")) == NULL) {
        fprintf(stderr, "usage: fuzz_tlb [-s seed] [-n scripts] [-e engine 0..%d] IMAGE\n",
                ENGINES - 1);
        return 2;
    }
    image_size = fread(image, 1, sizeof(image), file);
    fclose(file);
    for (int i = 0; i < ENGINES; i++)
        if (only < 0 || only == i)
            tests[count++] = (struct CMUnitTest){
                .name = engines[i].name, .test_func = run_engine, .initial_state = &engines[i]};
    return _cmocka_run_group_tests("tlb", tests, count, NULL, NULL);
}
