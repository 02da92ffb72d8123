/*
 * The page walk, the TLB, and guest accesses through them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/access.h"
#include "cpu/cpuid.h"
#include "cpu/physmem.h"
#include "cpu/segment.h"

enum {
    RAM = 16 << 20,
    /* Where the tests put their tables and pages. */
    ROOT = 0x10000,
    TABLE1 = 0x11000,
    TABLE2 = 0x12000,
    TABLE3 = 0x13000,
    PAGE = 0x20000,
    P = 1,
    RW = 2,
    US = 4,
    A = 0x20,
    D = 0x40,
    PS = 0x80,
    G = 0x100,
};
#define NX (1ull << 63)

struct machine {
    struct physmem *mem;
    struct cpu_model model;
    struct cpu *cpu;
    unsigned mmio_reads;
    physaddr_t stored;
};

static uint64_t tsc(void *ctx)
{
    (void)ctx;
    return 0;
}

static const struct cpu_ops ops = {.tsc = tsc};

static uint64_t mmio_read(void *ctx, uint64_t offset, unsigned size)
{
    struct machine *m = ctx;

    (void)size;
    m->mmio_reads++;
    return 0x1000 + offset;
}

static void mmio_write(void *ctx, uint64_t offset, unsigned size, uint64_t value)
{
    (void)ctx, (void)offset, (void)size, (void)value;
}

static const struct mmio_ops mmio = {mmio_read, mmio_write};

static int setup(void **state)
{
    struct machine *m = calloc(1, sizeof *m);
    char message[2000];

    if (m == NULL || !cpu_model_parse("max", 1000000000, &m->model, message, sizeof message))
        return 1;
    m->model.pse36 = m->model.page1gb = true;
    m->mem = physmem_create(RAM + 0x1000, 40);
    m->cpu = cpu_create(m->mem, &m->model, &ops, m);
    if (m->cpu == NULL || physmem_map(m->mem, 0, RAM, 0, true) != 0 ||
        physmem_map(m->mem, 0xffff0000, 0x1000, RAM, false) != 0 ||
        physmem_map_mmio(m->mem, 0xfee00000, 0x1000, &mmio, m) != 0)
        return 1;
    *state = m;
    return 0;
}

static int teardown(void **state)
{
    struct machine *m = *state;

    cpu_destroy(m->cpu);
    physmem_destroy(m->mem);
    free(m);
    return 0;
}

static void put32(struct machine *m, physaddr_t at, uint32_t value)
{
    physmem_write(m->mem, at, 4, value);
}
static void put64(struct machine *m, physaddr_t at, uint64_t value)
{
    physmem_write(m->mem, at, 8, value);
}
static uint64_t get32(struct machine *m, physaddr_t at)
{
    return physmem_read(m->mem, at, 4);
}
static uint64_t get64(struct machine *m, physaddr_t at)
{
    return physmem_read(m->mem, at, 8);
}

static void flat(struct cpu *cpu, unsigned cpl)
{
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        cpu->seg[i] = (struct segment){
            .limit = 0xffffffff,
            .attr = (uint16_t)(SEG_G | SEG_DB | SEG_P | SEG_S | SEG_WRITE | cpl << 5 |
                               (i == CS ? SEG_CODE : 0)),
        };
        segment_update_cache(&cpu->seg[i]);
    }
    cpu->cpl = (uint8_t)cpl;
    cpu_update_mode(cpu);
}

static void paging(struct machine *m, uint32_t cr4, uint64_t efer)
{
    struct cpu *cpu = m->cpu;

    cpu->cr0 = CR0_PE | CR0_PG | CR0_ET;
    cpu->cr3 = ROOT;
    cpu->cr4 = cr4;
    cpu->efer = efer;
    flat(cpu, 0);
    mmu_flush_all(cpu);
}

/* The #PF error code, or -1 when the translation succeeds (to `phys`, if given). */
static int error_of(struct machine *m, linaddr_t linear, enum access access, enum tlb_view view,
                    physaddr_t expected)
{
    physaddr_t phys;

    if (mmu_translate(m->cpu, linear, access, view, &phys)) {
        assert_int_equal(phys, expected);
        return -1;
    }
    assert_int_equal(m->cpu->fault.vector, VEC_PF);
    assert_int_equal(m->cpu->fault.address, linear);
    return (int)m->cpu->fault.error;
}

static void without_paging_only_a20_matters(void **state)
{
    struct machine *m = *state;

    assert_int_equal(error_of(m, 0x10ffef, ACCESS_WRITE, VIEW_USER, 0x10ffef), -1);
    cpu_set_a20(m->cpu, false);
    assert_int_equal(error_of(m, 0x10ffef, ACCESS_WRITE, VIEW_USER, 0x00ffef), -1);
    cpu_set_a20(m->cpu, true);
    assert_int_equal(error_of(m, 0x10ffef, ACCESS_READ, VIEW_SUPERVISOR, 0x10ffef), -1);
}

static void rights_and_error_codes_32bit(void **state)
{
    struct machine *m = *state;

    put32(m, ROOT + 4, TABLE1 | P | RW | US);
    put32(m, TABLE1 + 0, (PAGE + 0x0000) | P);           /* supervisor, read-only */
    put32(m, TABLE1 + 4, (PAGE + 0x1000) | P | US);      /* user, read-only */
    put32(m, TABLE1 + 8, (PAGE + 0x2000) | P | RW | US); /* user, writable */
    paging(m, 0, 0);

    assert_int_equal(error_of(m, 0x800000, ACCESS_READ, VIEW_SUPERVISOR, 0), 0);
    assert_int_equal(error_of(m, 0x403000, ACCESS_WRITE, VIEW_USER, 0), PF_W | PF_U);
    assert_int_equal(error_of(m, 0x400000, ACCESS_READ, VIEW_USER, 0), PF_P | PF_U);
    assert_int_equal(error_of(m, 0x400000, ACCESS_EXEC, VIEW_USER, 0), PF_P | PF_U);
    assert_int_equal(error_of(m, 0x401000, ACCESS_WRITE, VIEW_USER, 0), PF_P | PF_U | PF_W);
    assert_int_equal(get32(m, ROOT + 4) & A, 0); /* refused accesses leave no trace */
    assert_int_equal(get32(m, TABLE1 + 4) & (A | D), 0);

    assert_int_equal(error_of(m, 0x401abc, ACCESS_READ, VIEW_USER, PAGE + 0x1abc), -1);
    assert_int_equal(get32(m, ROOT + 4) & (A | D), A);
    assert_int_equal(get32(m, TABLE1 + 4) & (A | D), A);
    assert_int_equal(error_of(m, 0x402abc, ACCESS_WRITE, VIEW_USER, PAGE + 0x2abc), -1);
    assert_int_equal(get32(m, TABLE1 + 8) & (A | D), A | D);

    /* CR0.WP decides about supervisors. */
    assert_int_equal(error_of(m, 0x401000, ACCESS_WRITE, VIEW_SUPERVISOR, PAGE + 0x1000), -1);
    m->cpu->cr0 |= CR0_WP;
    assert_int_equal(error_of(m, 0x401000, ACCESS_WRITE, VIEW_SUPERVISOR, 0), PF_P | PF_W);

    /* The directory entry restricts as well. */
    put32(m, ROOT + 4, TABLE1 | P);
    assert_int_equal(error_of(m, 0x402000, ACCESS_READ, VIEW_USER, 0), PF_P | PF_U);

    /* A20 applies to the tables, too. */
    put32(m, ROOT + 4, (TABLE1 | 0x100000) | P | RW | US);
    cpu_set_a20(m->cpu, false);
    assert_int_equal(error_of(m, 0x402000, ACCESS_READ, VIEW_USER, PAGE + 0x2000), -1);
}

static void large_pages_32bit(void **state)
{
    struct machine *m = *state;

    put32(m, ROOT + 4, 0x00800000 | P | RW | PS);
    put32(m, ROOT + 8, 0x00800000 | P | RW | PS | 0x3 << 13); /* PSE-36: address bits 33:32 */
    put32(m, ROOT + 12, 0x00800000 | P | RW | PS | 1 << 21);  /* reserved */
    paging(m, CR4_PSE, 0);
    assert_int_equal(error_of(m, 0x712345, ACCESS_WRITE, VIEW_SUPERVISOR, 0xb12345), -1);
    assert_int_equal(get32(m, ROOT + 4) & (A | D), A | D);
    assert_int_equal(error_of(m, 0x800000, ACCESS_READ, VIEW_SUPERVISOR, 0x300800000), -1);
    assert_int_equal(error_of(m, 0xc00000, ACCESS_READ, VIEW_SUPERVISOR, 0), PF_P | PF_RSVD);
    m->model.pse36 = false;
    assert_int_equal(error_of(m, 0x800000, ACCESS_READ, VIEW_SUPERVISOR, 0), PF_P | PF_RSVD);

    /* Without CR4.PSE the same entry is a table's address. */
    paging(m, 0, 0);
    put32(m, 0x800000, PAGE | P);
    assert_int_equal(error_of(m, 0x400010, ACCESS_READ, VIEW_SUPERVISOR, PAGE + 0x10), -1);
}

static void pae(void **state)
{
    struct machine *m = *state;

    put64(m, ROOT + 0, TABLE1 | P);
    put64(m, ROOT + 24, 0);
    put64(m, TABLE1 + 0, TABLE2 | P | RW | US);
    put64(m, TABLE1 + 8, 0x200000 | P | RW | US | PS);
    put64(m, TABLE1 + 16, 0x202000 | P | RW | US | PS); /* bit 13 is reserved */
    put64(m, TABLE2 + 0, PAGE | P | RW | US | NX);
    put64(m, TABLE2 + 8, PAGE | P | RW | US | 1ull << 40); /* beyond phys_bits */
    paging(m, CR4_PAE, EFER_NXE);
    assert_true(mmu_load_pdptes(m->cpu, ROOT));

    assert_int_equal(error_of(m, 0x123, ACCESS_READ, VIEW_USER, PAGE + 0x123), -1);
    assert_int_equal(error_of(m, 0, ACCESS_EXEC, VIEW_USER, 0), PF_P | PF_U | PF_I);
    assert_int_equal(error_of(m, 0x1000, ACCESS_WRITE, VIEW_SUPERVISOR, 0), PF_P | PF_W | PF_RSVD);
    assert_int_equal(error_of(m, 0x234567, ACCESS_EXEC, VIEW_USER, 0x234567), -1);
    assert_int_equal(error_of(m, 0x400000, ACCESS_READ, VIEW_USER, 0), PF_P | PF_U | PF_RSVD);
    assert_int_equal(error_of(m, 0xc0000000, ACCESS_EXEC, VIEW_SUPERVISOR, 0), PF_I);

    /* Without NXE the bit is reserved, and fetches are not told apart. */
    m->cpu->efer = 0;
    assert_int_equal(error_of(m, 0, ACCESS_READ, VIEW_USER, 0), PF_P | PF_U | PF_RSVD);
    assert_int_equal(error_of(m, 0xc0000000, ACCESS_EXEC, VIEW_SUPERVISOR, 0), 0);

    /* The pointers are registers: memory counts again at the next load. */
    put64(m, ROOT + 0, TABLE1 | P | RW); /* bit 1 is reserved */
    m->cpu->efer = EFER_NXE;
    assert_int_equal(error_of(m, 0, ACCESS_READ, VIEW_USER, PAGE), -1);
    assert_false(mmu_load_pdptes(m->cpu, ROOT));
    assert_int_equal(m->cpu->fault.vector, VEC_GP);
    assert_int_equal(m->cpu->fault.error, 0);
    assert_int_equal(error_of(m, 0, ACCESS_READ, VIEW_USER, PAGE), -1);
}

static void four_levels(void **state)
{
    struct machine *m = *state;
    const linaddr_t high = 0xffff800000000000;

    m->model.long_mode = true;
    put64(m, ROOT + 256 * 8, TABLE1 | P | RW | US);
    put64(m, TABLE1 + 0, TABLE2 | P | RW | US);
    put64(m, TABLE1 + 8, 0x40000000 | P | RW | US | PS);
    put64(m, TABLE1 + 16, 0x40002000 | P | RW | US | PS); /* reserved bit 13 */
    put64(m, TABLE2 + 0, TABLE3 | P | RW | US);
    put64(m, TABLE2 + 8, 0x200000 | P | RW | US | PS | NX);
    put64(m, TABLE3 + 0, PAGE | P | RW);
    put64(m, ROOT + 257 * 8, TABLE1 | P | RW | PS); /* PS is reserved at the top */
    paging(m, CR4_PAE, EFER_LME | EFER_LMA | EFER_NXE);

    assert_int_equal(error_of(m, high + 0x10, ACCESS_WRITE, VIEW_SUPERVISOR, PAGE + 0x10), -1);
    assert_int_equal(get64(m, TABLE3) & (A | D), A | D);
    assert_int_equal(get64(m, TABLE2) & (A | D), A);
    assert_int_equal(error_of(m, high + 0x10, ACCESS_READ, VIEW_USER, 0), PF_P | PF_U);
    assert_int_equal(error_of(m, high + 0x2abcde, ACCESS_READ, VIEW_USER, 0x2abcde), -1);
    assert_int_equal(error_of(m, high + 0x2abcde, ACCESS_EXEC, VIEW_USER, 0), PF_P | PF_U | PF_I);
    assert_int_equal(error_of(m, high + 0x40123456, ACCESS_READ, VIEW_USER, 0x40123456), -1);
    assert_int_equal(error_of(m, high + 0x80000000, ACCESS_READ, VIEW_USER, 0),
                     PF_P | PF_U | PF_RSVD);
    assert_int_equal(error_of(m, high + (1ull << 39), ACCESS_READ, VIEW_SUPERVISOR, 0),
                     PF_P | PF_RSVD);
    m->model.page1gb = false;
    assert_int_equal(error_of(m, high + 0x40123456, ACCESS_READ, VIEW_USER, 0),
                     PF_P | PF_U | PF_RSVD);
}

static void smep_and_smap(void **state)
{
    struct machine *m = *state;
    uint64_t value, misses;
    uint8_t *host;
    physaddr_t phys;

    put32(m, ROOT + 0, TABLE1 | P | RW | US);
    put32(m, TABLE1 + 0, PAGE | P | RW | US);
    paging(m, CR4_SMEP | CR4_SMAP, 0);
    assert_int_equal(error_of(m, 0, ACCESS_EXEC, VIEW_SUPERVISOR, 0), PF_P | PF_I);
    assert_int_equal(error_of(m, 0, ACCESS_READ, VIEW_SUPERVISOR, 0), PF_P);
    assert_int_equal(error_of(m, 0, ACCESS_WRITE, VIEW_SUPERVISOR, 0), PF_P | PF_W);
    assert_int_equal(error_of(m, 0, ACCESS_WRITE, VIEW_USER, PAGE), -1);
    m->cpu->rflags |= FLAG_AC;
    cpu_update_mode(m->cpu);
    assert_true(m->cpu->mode & MODE_SMAP_AC);
    assert_int_equal(mmu_view(m->cpu), VIEW_SUPERVISOR_AC);
    assert_true(mmu_fill(m->cpu, 0, ACCESS_WRITE, mmu_view(m->cpu), &host, &phys));
    assert_non_null(host);
    assert_true(access_linear_read(m->cpu, 0, 4, mmu_view(m->cpu), &value));
    /* Execution is SMEP's, whatever AC says; what the CPU does by itself never is allowed. */
    assert_int_equal(error_of(m, 0, ACCESS_EXEC, mmu_view(m->cpu), 0), PF_P | PF_I);
    assert_int_equal(error_of(m, 0, ACCESS_READ, VIEW_SUPERVISOR, 0), PF_P);
    /* Without a fault on the page, the permission comes back with the flag: no flush, no walk. */
    assert_true(access_linear_write(m->cpu, 0, 4, mmu_view(m->cpu), value));
    misses = m->cpu->tlb.miss_count;
    m->cpu->rflags &= ~(uint64_t)FLAG_AC;
    cpu_update_mode(m->cpu);
    m->cpu->rflags |= FLAG_AC;
    cpu_update_mode(m->cpu);
    assert_true(access_linear_write(m->cpu, 0, 4, mmu_view(m->cpu), value));
    assert_int_equal(m->cpu->tlb.miss_count, misses);
    /* The permission does not outlive the flag. */
    m->cpu->rflags &= ~(uint64_t)FLAG_AC;
    cpu_update_mode(m->cpu);
    assert_false(access_linear_read(m->cpu, 0, 4, mmu_view(m->cpu), &value));
    /* What the CPU does by itself at CPL 3 is refused even with AC. */
    m->cpu->rflags |= FLAG_AC;
    flat(m->cpu, 3);
    assert_int_equal(error_of(m, 0, ACCESS_READ, VIEW_SUPERVISOR, 0), PF_P);
}

static const struct tlb_entry *entry_of(struct machine *m, linaddr_t linear, enum tlb_view view)
{
    return access_tlb_entry(m->cpu, view, linear);
}

static void write_tag_needs_a_dirty_page(void **state)
{
    struct machine *m = *state;
    uint64_t value;

    put32(m, ROOT, TABLE1 | P | RW | US);
    put32(m, TABLE1 + 4, PAGE | P | RW | US);
    put32(m, PAGE + 0x10, 0x11223344);
    paging(m, 0, 0);
    assert_true(access_read(m->cpu, DS, 0x1010, 4, &value));
    assert_int_equal(value, 0x11223344);
    assert_int_equal(entry_of(m, 0x1010, VIEW_SUPERVISOR)->tag_read, 0x1000);
    assert_int_equal(entry_of(m, 0x1010, VIEW_SUPERVISOR)->tag_write, TLB_INVALID);
    assert_true(access_write(m->cpu, DS, 0x1010, 2, 0xabcd));
    assert_int_equal(get32(m, PAGE + 0x10), 0x1122abcd);
    assert_int_equal(get32(m, TABLE1 + 4) & D, D);
    assert_int_equal(entry_of(m, 0x1010, VIEW_SUPERVISOR)->tag_write, 0x1000);
    /* A dirty page is writable from its first load on. */
    mmu_flush_all(m->cpu);
    assert_true(access_read(m->cpu, DS, 0x1010, 1, &value));
    assert_int_equal(entry_of(m, 0x1010, VIEW_SUPERVISOR)->tag_write, 0x1000);
    /* The other view knows nothing of it. */
    assert_int_not_equal(entry_of(m, 0x1010, VIEW_USER)->tag_read, 0x1000);
}

/* A fetch left a tag for stores, but none for loads: ADD to memory passed its check by the old
 * entry, and then failed to load by the new one, with the error code of a load. */
static void after_a_fetch_a_page_can_be_loaded_from_as_well_as_stored_to(void **state)
{
    struct machine *m = *state;
    uint64_t value;
    physaddr_t phys;
    uint8_t *host;

    put32(m, ROOT, TABLE1 | P | RW | US);
    put32(m, TABLE1 + 4, PAGE | P | RW | A | D);
    put32(m, PAGE + 0x10, 0x11223344);
    paging(m, CR4_SMAP, 0);
    assert_true(mmu_fill(m->cpu, 0x1000, ACCESS_EXEC, VIEW_SUPERVISOR, &host, &phys));
    put32(m, TABLE1 + 4, 0); /* not flushed: the entry is still good, for both */
    assert_true(access_probe_write(m->cpu, DS, 0x1010, 4));
    assert_true(access_read(m->cpu, DS, 0x1010, 4, &value));
    assert_int_equal(value, 0x11223344);
}

static void flushes_spare_what_they_may(void **state)
{
    struct machine *m = *state;
    uint64_t value;

    put32(m, ROOT, TABLE1 | P | RW);
    put32(m, ROOT + 8, 0x800000 | P | RW | PS);
    put32(m, TABLE1 + 4, PAGE | P | G);
    put32(m, TABLE1 + 8, PAGE | P);
    paging(m, CR4_PGE | CR4_PSE, 0);
    assert_true(access_read(m->cpu, DS, 0x1000, 4, &value));
    assert_true(access_read(m->cpu, DS, 0x2000, 4, &value));
    mmu_flush_nonglobal(m->cpu);
    assert_int_equal(entry_of(m, 0x1000, VIEW_SUPERVISOR)->tag_read, 0x1000);
    assert_int_equal(entry_of(m, 0x2000, VIEW_SUPERVISOR)->tag_read, TLB_INVALID);
    mmu_flush_page(m->cpu, 0x1fff);
    assert_int_equal(entry_of(m, 0x1000, VIEW_SUPERVISOR)->tag_read, TLB_INVALID);

    /* INVLPG of a large page drops all of it. */
    assert_true(access_read(m->cpu, DS, 0x801000, 4, &value));
    assert_true(access_read(m->cpu, DS, 0x903000, 4, &value));
    mmu_flush_page(m->cpu, 0xa00000);
    assert_int_equal(entry_of(m, 0x801000, VIEW_SUPERVISOR)->tag_read, TLB_INVALID);
    assert_int_equal(entry_of(m, 0x903000, VIEW_SUPERVISOR)->tag_read, TLB_INVALID);

    assert_true(access_read(m->cpu, DS, 0x1000, 4, &value));
    mmu_flush_all(m->cpu);
    assert_int_equal(entry_of(m, 0x1000, VIEW_SUPERVISOR)->tag_read, TLB_INVALID);
}

static void on_store(void *ctx, physaddr_t gpa, size_t size)
{
    struct machine *m = ctx;

    (void)size;
    m->stored = gpa;
}

static void stores_to_code_are_seen(void **state)
{
    struct machine *m = *state;

    paging(m, 0, 0);
    m->cpu->cr0 = CR0_PE;
    flat(m->cpu, 0);
    physmem_add_code_listener(m->mem, on_store, NULL, m);
    assert_true(access_write(m->cpu, DS, PAGE, 4, 1));
    assert_int_equal(entry_of(m, PAGE, VIEW_SUPERVISOR)->tag_write, PAGE);
    physmem_code_mark(m->mem, PAGE + 0x100, 4);
    m->cpu->code_written = false; /* the map's making set it */
    assert_int_equal(entry_of(m, PAGE, VIEW_SUPERVISOR)->tag_write, TLB_INVALID);
    assert_true(access_write(m->cpu, DS, PAGE, 4, 1)); /* the page, but not the grain */
    assert_false(m->cpu->code_written);
    assert_int_equal(m->stored, 0);
    assert_true(access_write(m->cpu, DS, PAGE + 0xfe, 4, 0x12345678));
    assert_true(m->cpu->code_written);
    assert_int_equal(m->stored, PAGE + 0xfe);
    assert_int_equal(get32(m, PAGE + 0xfe), 0x12345678);
    /* Released: stores are plain again. */
    physmem_code_release(m->mem, PAGE + 0x100, 4);
    assert_true(access_write(m->cpu, DS, PAGE, 4, 1));
    assert_int_equal(entry_of(m, PAGE, VIEW_SUPERVISOR)->tag_write, PAGE);
    physmem_remove_code_listener(m->mem, m);
}

static void rom_and_mmio_have_no_short_way(void **state)
{
    struct machine *m = *state;
    uint64_t value;

    m->cpu->cr0 = CR0_PE;
    flat(m->cpu, 0);
    *physmem_backing(m->mem, RAM) = 0x5a;
    assert_true(access_read(m->cpu, DS, 0xffff0000, 1, &value));
    assert_int_equal(value, 0x5a);
    assert_true(access_write(m->cpu, DS, 0xffff0000, 1, 0));
    assert_int_equal(*physmem_backing(m->mem, RAM), 0x5a);
    assert_true(access_read(m->cpu, DS, 0xfee00008, 4, &value));
    assert_true(access_read(m->cpu, DS, 0xfee00008, 4, &value));
    assert_int_equal(value, 0x1008);
    assert_int_equal(m->mmio_reads, 2);
    /* A hole. */
    assert_true(access_read(m->cpu, DS, 0xe0000000, 2, &value));
    assert_int_equal(value, 0xffff);
    /* A mapping that changes is noticed. */
    assert_int_equal(physmem_map(m->mem, 0xffff0000, 0x1000, PAGE, true), 0);
    assert_true(access_read(m->cpu, DS, 0xffff0000, 1, &value));
    assert_int_equal(value, 0);
}

static void the_walk_to_a_device_is_remembered_until_a_flush(void **state)
{
    struct machine *m = *state;
    uint64_t value;

    put32(m, ROOT, TABLE1 | P | RW);
    put32(m, TABLE1 + 4, 0xfee00000 | P | RW);
    put32(m, PAGE + 8, 0x5555);
    paging(m, 0, 0);
    assert_true(access_read(m->cpu, DS, 0x1008, 4, &value));
    assert_int_equal(value, 0x1008);
    assert_int_equal(get32(m, TABLE1 + 4) & (A | D), A);
    put32(m, TABLE1 + 4, get32(m, TABLE1 + 4) & ~(uint64_t)A);
    assert_true(access_read(m->cpu, DS, 0x1008, 4, &value));
    assert_int_equal(get32(m, TABLE1 + 4) & (A | D), 0); /* not walked */
    assert_true(access_write(m->cpu, DS, 0x1008, 4, 1)); /* but the first store is */
    assert_int_equal(get32(m, TABLE1 + 4) & (A | D), A | D);
    assert_int_equal(m->mmio_reads, 2);
    /* Neither CPL 3 nor the page behind it gets anything of it. */
    assert_false(access_linear_read(m->cpu, 0x1008, 4, VIEW_USER, &value));
    assert_false(access_read(m->cpu, DS, 0x1ffe, 4, &value));
    put32(m, TABLE1 + 4, PAGE | P);
    mmu_flush_page(m->cpu, 0x1000);
    assert_true(access_read(m->cpu, DS, 0x1008, 4, &value));
    assert_int_equal(value, 0x5555);
    m->cpu->cr0 |= CR0_WP;
    mmu_flush_all(m->cpu);
    assert_false(access_write(m->cpu, DS, 0x1008, 4, 1));
    assert_int_equal(m->mmio_reads, 2);
}

static void a_page_crossing_store_is_all_or_nothing(void **state)
{
    struct machine *m = *state;
    uint64_t value;

    put32(m, ROOT, TABLE1 | P | RW | US);
    put32(m, TABLE1 + 4, PAGE | P | RW | US);
    put32(m, TABLE1 + 8, 0);
    paging(m, 0, 0);
    assert_false(access_write(m->cpu, DS, 0x1ffe, 4, 0xffffffff));
    assert_int_equal(m->cpu->fault.address, 0x2000);
    assert_int_equal(m->cpu->fault.error, PF_W);
    assert_int_equal(physmem_read(m->mem, PAGE + 0xffe, 2), 0);
    put32(m, TABLE1 + 8, (PAGE + 0x4000) | P | RW | US);
    assert_true(access_write(m->cpu, DS, 0x1ffe, 4, 0x44332211));
    assert_int_equal(physmem_read(m->mem, PAGE + 0xffe, 2), 0x2211);
    assert_int_equal(physmem_read(m->mem, PAGE + 0x4000, 2), 0x4433);
    assert_true(access_read(m->cpu, DS, 0x1ffd, 8, &value));
    assert_int_equal(value, 0x44332211ull << 8);

    uint8_t block[512], back[512];
    for (unsigned i = 0; i < sizeof block; i++)
        block[i] = (uint8_t)i;
    assert_true(access_write_block(m->cpu, DS, 0x1f00, sizeof block, block));
    assert_true(access_read_block(m->cpu, DS, 0x1f00, sizeof back, back));
    assert_memory_equal(block, back, sizeof block);
    assert_int_equal(physmem_read(m->mem, PAGE + 0x4000, 1), 0);
    assert_int_equal(physmem_read(m->mem, PAGE + 0x40ff, 1), 0xff);
}

static void segment_limits_and_types(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;
    uint64_t value;

    cpu->cr0 = CR0_PE;
    flat(cpu, 0);
    cpu->seg[ES].base = 0x1000;
    cpu->seg[ES].limit = 0xff;
    cpu->seg[ES].attr = SEG_P | SEG_S | SEG_WRITE;
    segment_update_cache(&cpu->seg[ES]);
    assert_true(access_write(cpu, ES, 0xfc, 4, 1));
    assert_int_equal(get32(m, 0x10fc), 1);
    assert_false(access_write(cpu, ES, 0xfd, 4, 1));
    assert_int_equal(cpu->fault.vector, VEC_GP);
    assert_int_equal(cpu->fault.error, 0);

    cpu->seg[ES].attr = SEG_P | SEG_S; /* read-only */
    segment_update_cache(&cpu->seg[ES]);
    assert_true(access_read(cpu, ES, 0xfc, 4, &value));
    assert_false(access_write(cpu, ES, 0, 1, 0));

    cpu->seg[ES].attr = SEG_P | SEG_S | SEG_WRITE | SEG_EXPAND; /* offsets 0x100..0xffff */
    segment_update_cache(&cpu->seg[ES]);
    assert_false(access_read(cpu, ES, 0xff, 1, &value));
    assert_true(access_read(cpu, ES, 0x100, 1, &value));
    assert_true(access_read(cpu, ES, 0xfffc, 4, &value));
    assert_false(access_read(cpu, ES, 0xfffd, 4, &value));

    cpu->seg[ES].attr = SEG_P | SEG_S | SEG_CODE; /* execute-only */
    segment_update_cache(&cpu->seg[ES]);
    assert_false(access_read(cpu, ES, 0, 1, &value));

    cpu->seg[ES].attr = 0; /* null */
    segment_update_cache(&cpu->seg[ES]);
    assert_false(access_read(cpu, ES, 0, 1, &value));
    assert_int_equal(cpu->fault.vector, VEC_GP);

    cpu->seg[SS].limit = 0xffff;
    segment_update_cache(&cpu->seg[SS]);
    assert_false(access_write(cpu, SS, 0xffff, 2, 0));
    assert_int_equal(cpu->fault.vector, VEC_SS);
    assert_int_equal(cpu->fault.error, 0);

    /* Four gigabytes end at four gigabytes. */
    assert_false(access_read(cpu, DS, 0xfffffffe, 4, &value));
    assert_int_equal(cpu->fault.vector, VEC_GP);
}

static void addresses_in_64bit_mode(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;
    uint64_t value;

    m->model.long_mode = true;
    put64(m, ROOT, TABLE1 | P | RW);
    put64(m, TABLE1, 0 | P | RW | PS); /* the first gigabyte */
    paging(m, CR4_PAE, EFER_LME | EFER_LMA);
    cpu->seg[CS].attr = SEG_P | SEG_S | SEG_CODE | SEG_L;
    cpu->seg[DS].base = 0x1000000; /* ignored */
    cpu->seg[FS].base = 0x1000;
    cpu_update_mode(cpu);
    assert_true(cpu_is_code64(cpu));
    put32(m, 0x1008, 0x600d);
    assert_true(access_read(cpu, FS, 8, 4, &value));
    assert_int_equal(value, 0x600d);
    assert_true(access_read(cpu, DS, 0x1008, 4, &value));
    assert_int_equal(value, 0x600d);
    assert_false(access_read(cpu, DS, 0x0000800000000000, 1, &value));
    assert_int_equal(cpu->fault.vector, VEC_GP);
    assert_false(access_read(cpu, DS, 0x00007fffffffffff, 2, &value));
    assert_int_equal(cpu->fault.vector, VEC_GP);
    assert_false(access_write(cpu, SS, 0x0000800000000000, 8, 0));
    assert_int_equal(cpu->fault.vector, VEC_SS);
}

static void alignment_check(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;
    uint64_t value;

    cpu->cr0 = CR0_PE | CR0_AM;
    flat(cpu, 3);
    assert_true(access_read(cpu, DS, PAGE + 1, 4, &value));
    cpu->rflags |= FLAG_AC;
    cpu_update_mode(cpu);
    assert_false(access_read(cpu, DS, PAGE + 1, 4, &value));
    assert_int_equal(cpu->fault.vector, VEC_AC);
    assert_true(cpu->fault.has_error);
    assert_false(access_write(cpu, DS, PAGE + 6, 8, 0));
    assert_true(access_read(cpu, DS, PAGE + 1, 1, &value));
    assert_true(access_read(cpu, DS, PAGE + 2, 2, &value));
    assert_true(access_linear_read(cpu, PAGE + 1, 4, VIEW_SUPERVISOR, &value));
    flat(cpu, 0);
    assert_true(access_read(cpu, DS, PAGE + 1, 4, &value));
}

static void data_breakpoints(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;
    uint64_t value;

    cpu->cr0 = CR0_PE;
    flat(cpu, 0);
    assert_true(access_write(cpu, DS, PAGE + 8, 4, 0));
    cpu->dr[0] = PAGE + 8;
    cpu->dr[1] = PAGE + 0x10;
    cpu->dr[7] = 0x400 | 1 | 4 | 1 << 16 | 3 << 18 | 3 << 20; /* write, 4 bytes; read/write, 1 */
    cpu_update_breakpoints(cpu);
    assert_int_equal(cpu->data_breakpoints, 3);
    assert_true(access_read(cpu, DS, PAGE + 8, 4, &value));
    assert_int_equal(cpu->dr6_pending, 0);
    assert_true(access_write(cpu, DS, PAGE + 5, 4, 0));
    assert_int_equal(cpu->dr6_pending, 1);
    cpu->dr6_pending = 0;
    assert_true(access_write(cpu, DS, PAGE + 4, 4, 0));
    assert_true(access_write(cpu, DS, PAGE + 12, 4, 0));
    assert_int_equal(cpu->dr6_pending, 0);
    assert_true(access_read(cpu, DS, PAGE + 0xf, 2, &value));
    assert_int_equal(cpu->dr6_pending, 2);
    cpu->dr6_pending = 0;
    cpu->dr[7] = 0x400;
    cpu_update_breakpoints(cpu);
    assert_true(access_write(cpu, DS, PAGE + 8, 4, 0));
    assert_int_equal(cpu->dr6_pending, 0);
    assert_int_equal(entry_of(m, PAGE, VIEW_SUPERVISOR)->tag_write, PAGE);
}

static void tables_in_holes_and_on_devices_fault_or_read_ones(void **state)
{
    struct machine *m = *state;

    put32(m, ROOT, 0xfee00000 | P | RW);
    paging(m, CR4_PSE, 0);
    assert_int_equal(error_of(m, 0x1000, ACCESS_READ, VIEW_SUPERVISOR, 0xfffff000), -1);
    assert_int_equal(m->mmio_reads, 0);
    m->cpu->cr3 = 0xe0000000;
    assert_int_equal(error_of(m, 0x1000, ACCESS_READ, VIEW_SUPERVISOR, 0), PF_P | PF_RSVD);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(without_paging_only_a20_matters),
        TEST(rights_and_error_codes_32bit),
        TEST(large_pages_32bit),
        TEST(pae),
        TEST(four_levels),
        TEST(smep_and_smap),
        TEST(write_tag_needs_a_dirty_page),
        TEST(after_a_fetch_a_page_can_be_loaded_from_as_well_as_stored_to),
        TEST(flushes_spare_what_they_may),
        TEST(stores_to_code_are_seen),
        TEST(rom_and_mmio_have_no_short_way),
        TEST(the_walk_to_a_device_is_remembered_until_a_flush),
        TEST(a_page_crossing_store_is_all_or_nothing),
        TEST(segment_limits_and_types),
        TEST(addresses_in_64bit_mode),
        TEST(alignment_check),
        TEST(data_breakpoints),
        TEST(tables_in_holes_and_on_devices_fault_or_read_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
