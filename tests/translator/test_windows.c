/*
 * tests/translator/test_windows.c -- the bookkeeping of windows (translator/windows.h), without
 * code: the tests play the run loop, and look at the host's memory.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "cpu/mmu.h"
#include "cpu/msr.h"
#include "cpu/segment.h"
#include "tests/translator/machine.h"
#include "translator/build.h"
#include "translator/runtime.h"
#include "translator/window.h"

enum {
    MEMORY = 64 << 20,
    TABLES = 1 << 20,      /* page tables from here on, ... */
    TABLES_END = 16 << 20, /* ... RAM for everything else from here on */
    P = 1,
    W = 2,
    U = 4,
    A = 0x20,
    D = 0x40,
    ALL = P | W | U | A | D,
};
#define LINEAR UINT64_C(0x8000000000)
#define HOLE   UINT64_C(0x40000000)

/* ---- a host that refuses mappings of guest memory while the test says so ---- */

static bool refuses;

void *mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset)
{
    if (refuses && fd >= 0) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return (void *)syscall(SYS_mmap, at, bytes, prot, flags, fd, offset);
}

/* ---- guest page tables ---- */

static physaddr_t free_table;

static physaddr_t table_new(struct machine *m)
{
    const physaddr_t at = free_table;

    free_table += PAGE_SIZE;
    assert_true(free_table <= TABLES_END);
    memset(physmem_backing(m->mem, at), 0, PAGE_SIZE);
    return at;
}

/* Guest-physical address of the entry for a linear address in the table of the level below `shift`;
 * tables in between are made. */
static physaddr_t entry_of(struct machine *m, physaddr_t root, linaddr_t linear, unsigned shift)
{
    physaddr_t table = root;

    for (unsigned level = 39; level > shift; level -= 9) {
        const physaddr_t at = table + (linear >> level & 511) * 8;

        if (physmem_read(m->mem, at, 8) == 0)
            physmem_write(m->mem, at, 8, table_new(m) | ALL);
        table = physmem_read(m->mem, at, 8) & ~(uint64_t)0xfff;
    }
    return table + (linear >> shift & 511) * 8;
}

static void map_page(struct machine *m, physaddr_t root, linaddr_t linear, uint64_t entry)
{
    physmem_write(m->mem, entry_of(m, root, linear, PAGE_SHIFT), 8, entry);
}

/* As MOV CR3 does it without PCIDs. */
static void load_cr3(struct machine *m, physaddr_t root)
{
    m->cpu->cr3 = root;
    mmu_flush_nonglobal(m->cpu);
}

/* In 64-bit mode at CPL 3 under `root`, found running. */
static bool run_in(struct machine *m, physaddr_t root)
{
    load_cr3(m, root);
    cpu_update_mode(m->cpu);
    return (m->cpu->mode & MODE_WINDOW) || windows_tick(m->tr->windows);
}

static void open_long(struct machine *m)
{
    static const struct translator_options options = {.cache_bytes = 1 << 20, .eager_window = true};

    machine_open(m, MEMORY, &options);
    if (m->tr->windows == NULL) {
        machine_close(m);
        skip(); /* no FSGSBASE or no BMI2 */
    }
    free_table = TABLES;
    m->cpu->cr0 |= CR0_PE | CR0_PG | CR0_WP;
    m->cpu->cr4 |= CR4_PAE;
    m->cpu->efer |= EFER_LME | EFER_LMA;
    m->cpu->cpl = 3;
    m->cpu->seg[CS].attr |= SEG_L;
}

/* ---- the host's side ---- */

static uint8_t *host_of(struct machine *m, linaddr_t linear)
{
    return (uint8_t *)(linear + windows_select(m->tr->windows, m->cpu->mode | MODE_USER, linear) -
                       WINDOW_BIAS);
}

static bool fill(struct machine *m, linaddr_t linear)
{
    return windows_fill(m->tr->windows, true, (uint64_t)host_of(m, linear));
}

/* Asked of the host's kernel, which answers EFAULT. */
static bool readable(const uint8_t *at)
{
    int ends[2];
    bool result;

    assert_int_equal(pipe(ends), 0);
    result = syscall(SYS_write, ends[1], at, 1) == 1;
    close(ends[0]);
    close(ends[1]);
    return result;
}

static bool writable(uint8_t *at)
{
    int ends[2];
    bool result;
    const uint8_t *old = at;
    uint8_t byte;

    if (!readable(at))
        return false;
    assert_int_equal(pipe(ends), 0);
    byte = *(const volatile uint8_t *)old;
    assert_int_equal(write(ends[1], &byte, 1), 1);
    result = syscall(SYS_read, ends[0], at, 1) == 1;
    close(ends[0]);
    close(ends[1]);
    return result;
}

static uint8_t byte_at(const uint8_t *at)
{
    return *(const volatile uint8_t *)at;
}

static physaddr_t page_with(struct machine *m, unsigned number)
{
    const physaddr_t page = TABLES_END + (physaddr_t)number * PAGE_SIZE;

    *physmem_backing(m->mem, page) = (uint8_t)number;
    return page;
}

static uint64_t reserved_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long long pages = 0;

    assert_non_null(file);
    assert_int_equal(fscanf(file, "%llu", &pages), 1);
    fclose(file);
    return pages * PAGE_SIZE;
}

/* ---- tests ---- */

static void a_page_is_mapped_as_its_entry_says(void **state)
{
    struct machine m;
    physaddr_t root;

    (void)state;
    open_long(&m);
    root = table_new(&m);
    map_page(&m, root, LINEAR, page_with(&m, 1) | ALL);
    map_page(&m, root, LINEAR + 0x1000, page_with(&m, 2) | (ALL & ~W));
    map_page(&m, root, LINEAR + 0x2000, page_with(&m, 3) | (ALL & ~D));
    map_page(&m, root, LINEAR + 0x3000, page_with(&m, 4) | (ALL & ~A));
    map_page(&m, root, LINEAR + 0x4000, page_with(&m, 5) | (ALL & ~U));
    map_page(&m, root, LINEAR + 0x5000, page_with(&m, 6) | (ALL & ~P));
    map_page(&m, root, LINEAR + 0x6000, HOLE | ALL);
    assert_true(run_in(&m, root));
    for (unsigned i = 0; i < 8; i++) {
        uint8_t *at = host_of(&m, LINEAR + i * 0x1000);

        (void)fill(&m, LINEAR + i * 0x1000);
        assert_int_equal(readable(at), i < 3);
        assert_int_equal(writable(at), i < 1);
        if (i < 3)
            assert_int_equal(byte_at(at), i + 1);
    }
    assert_false(readable(host_of(&m, LINEAR - 1)));
    assert_false(readable(host_of(&m, LINEAR + WINDOW_REGION_BYTES)));
    machine_close(&m);
}

/* More stores' mappings than a count of a byte can tell. */
static void code_ends_all_writable_mappings_of_its_page(void **state)
{
    enum { COUNT = 300, APART = 3 };
    struct machine m;
    physaddr_t root, page;

    (void)state;
    open_long(&m);
    root = table_new(&m);
    page = page_with(&m, 7);
    for (unsigned i = 0; i < COUNT; i++)
        map_page(&m, root, LINEAR + i * APART * 0x1000, page | ALL);
    assert_true(run_in(&m, root));
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < COUNT; i++) {
            (void)fill(&m, LINEAR + i * APART * 0x1000);
            assert_true(writable(host_of(&m, LINEAR + i * APART * 0x1000)));
        }
        physmem_code_mark(m.mem, page + 8, 8);
        for (unsigned i = 0; i < COUNT; i++)
            assert_false(writable(host_of(&m, LINEAR + i * APART * 0x1000)));
        for (unsigned i = 0; i < COUNT; i++) {
            (void)fill(&m, LINEAR + i * APART * 0x1000);
            assert_true(readable(host_of(&m, LINEAR + i * APART * 0x1000)));
            assert_false(writable(host_of(&m, LINEAR + i * APART * 0x1000)));
        }
        physmem_code_release(m.mem, page + 8, 8);
    }
    machine_close(&m);
}

/* Every second page of a large mapping goes: the host needs two more mappings for each, and has
 * only so many. It once ended the process. */
static void dropping_every_second_page_does_not_exhaust_the_host(void **state)
{
    enum { PAGES = 80000, FRAMES = (MEMORY - TABLES_END) / PAGE_SIZE };
    struct machine m;
    physaddr_t root;

    (void)state;
    for (unsigned odd = 0; odd < 2; odd++) {
        uint8_t *other;

        open_long(&m);
        root = table_new(&m);
        for (unsigned i = 0; i < PAGES; i++)
            map_page(&m, root, LINEAR + i * UINT64_C(0x1000),
                     (TABLES_END + (physaddr_t)(i % FRAMES) * PAGE_SIZE) | ALL);
        assert_true(run_in(&m, root));
        for (unsigned i = 0; i < PAGES; i += 16)
            (void)fill(&m, LINEAR + i * UINT64_C(0x1000));
        assert_true(readable(host_of(&m, LINEAR + (PAGES - 1) * UINT64_C(0x1000))));
        /* One mapping more of the process's own: the limit is met with either parity. */
        other = mmap(NULL, PAGE_SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert_ptr_not_equal(other, MAP_FAILED);
        if (odd == 0)
            munmap(other, PAGE_SIZE);
        for (unsigned i = 0; i < PAGES; i += 2)
            map_page(&m, root, LINEAR + i * UINT64_C(0x1000), 0);
        load_cr3(&m, root);
        for (unsigned i = 0; i < PAGES; i += 2)
            if (i % 1000 == 0)
                assert_false(readable(host_of(&m, LINEAR + i * UINT64_C(0x1000))));
        assert_true(run_in(&m, root));
        (void)fill(&m, LINEAR + 0x1000);
        assert_true(readable(host_of(&m, LINEAR + 0x1000)));
        if (odd == 1)
            munmap(other, PAGE_SIZE);
        machine_close(&m);
    }
}

/* What cannot be mapped anew must not stay as it was, which nothing would drop any more. */
static void a_page_that_the_host_refuses_to_map_is_not_there(void **state)
{
    struct machine m;
    physaddr_t root;

    (void)state;
    open_long(&m);
    root = table_new(&m);
    map_page(&m, root, LINEAR, page_with(&m, 1) | ALL);
    map_page(&m, root, LINEAR + 0x1000, page_with(&m, 2) | ALL);
    assert_true(run_in(&m, root));
    (void)fill(&m, LINEAR);
    assert_int_equal(byte_at(host_of(&m, LINEAR)), 1);
    map_page(&m, root, LINEAR, page_with(&m, 3) | ALL); /* not flushed: either may be seen */
    refuses = true;
    (void)fill(&m, LINEAR + 0x2000);
    (void)fill(&m, LINEAR);
    refuses = false;
    map_page(&m, root, LINEAR, 0);
    load_cr3(&m, root);
    assert_false(readable(host_of(&m, LINEAR)));
    machine_close(&m);
}

/* More address spaces than windows: each sees its own pages, evicted or not. */
static void address_spaces_that_were_evicted_see_their_own_pages(void **state)
{
    enum { SPACES = 40 };
    struct machine m;
    physaddr_t roots[SPACES];

    (void)state;
    open_long(&m);
    for (unsigned i = 0; i < SPACES; i++) {
        roots[i] = table_new(&m);
        map_page(&m, roots[i], LINEAR, page_with(&m, i) | ALL);
        if (i % 3 == 0)
            map_page(&m, roots[i], LINEAR + 0x1000, page_with(&m, i) | ALL);
    }
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned n = 0; n < SPACES; n++) {
            const unsigned i = n * 7 % SPACES;

            assert_true(run_in(&m, roots[i]));
            (void)fill(&m, LINEAR);
            (void)fill(&m, LINEAR + 0x1000);
            assert_true(readable(host_of(&m, LINEAR)));
            assert_int_equal(byte_at(host_of(&m, LINEAR)), i);
            assert_int_equal(readable(host_of(&m, LINEAR + 0x1000)), i % 3 == 0);
        }
    }
    assert_true(windows_counters(m.tr->windows)->evictions >= SPACES - 24);
    machine_close(&m);
}

/* A page fault's handler may come back in another address space than it was called from. */
static void what_a_handler_has_mapped_is_filled_in_its_own_window_only(void **state)
{
    struct machine m;
    physaddr_t here, there;
    uint8_t *at;

    (void)state;
    open_long(&m);
    here = table_new(&m);
    there = table_new(&m);
    map_page(&m, there, LINEAR, page_with(&m, 2) | ALL);
    map_page(&m, here, LINEAR + 0x1000, page_with(&m, 3) | ALL);
    assert_true(run_in(&m, here));
    (void)fill(&m, LINEAR + 0x1000);
    at = host_of(&m, LINEAR);
    assert_false(fill(&m, LINEAR)); /* the guest is told of a fault */
    assert_true(run_in(&m, there));
    assert_false(windows_fill_again(m.tr->windows, (uint64_t)at));
    assert_false(readable(at));
    map_page(&m, here, LINEAR, page_with(&m, 1) | ALL);
    assert_true(run_in(&m, here));
    assert_true(windows_fill_again(m.tr->windows, (uint64_t)at));
    assert_int_equal(byte_at(at), 1);
    machine_close(&m);
}

/* A guest that mentions all of its address space in each of many roots: what the host reserves for
 * it stays below its own address space. */
static void regions_are_bounded(void **state)
{
    enum { SPACES = 30, ROOTS = 256 };
    const uint64_t most = UINT64_C(80) << 40;
    struct machine m;
    uint64_t before;
    physaddr_t roots[SPACES];

    (void)state;
    open_long(&m);
    before = reserved_bytes();
    for (unsigned i = 0; i < SPACES; i++) {
        roots[i] = table_new(&m);
        for (uint64_t slot = 0; slot < ROOTS; slot++) {
            const physaddr_t below = slot == 0 ? 0 : physmem_read(m.mem, roots[i], 8);

            if (slot == 0)
                map_page(&m, roots[i], 0, page_with(&m, i) | ALL);
            else
                physmem_write(m.mem, roots[i] + slot * 8, 8, below);
        }
    }
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < SPACES; i++) {
            assert_true(run_in(&m, roots[i]));
            for (uint64_t slot = 0; slot < ROOTS; slot++) {
                const linaddr_t linear = slot << WINDOW_REGION_SHIFT;
                const bool filled = fill(&m, linear);

                assert_int_equal(readable(host_of(&m, linear)), filled);
                assert_int_equal(filled, slot < WINDOW_REGIONS_MAX);
                if (filled)
                    assert_int_equal(byte_at(host_of(&m, linear)), i);
            }
            assert_true(reserved_bytes() - before < most);
        }
    }
    machine_close(&m);
}

/* Bit 63 of an entry is reserved once EFER.NXE is clear. */
static void a_change_of_nxe_empties_windows(void **state)
{
    const uint64_t nx = UINT64_C(1) << 63;
    struct machine m;
    physaddr_t root;

    (void)state;
    open_long(&m);
    m.cpu->efer |= EFER_NXE;
    root = table_new(&m);
    map_page(&m, root, LINEAR, page_with(&m, 1) | ALL | nx);
    assert_true(run_in(&m, root));
    assert_true(fill(&m, LINEAR));
    assert_true(readable(host_of(&m, LINEAR)));
    assert_true(msr_write(m.cpu, IA32_EFER, m.cpu->efer & ~(uint64_t)(EFER_NXE | EFER_LMA)));
    assert_false(readable(host_of(&m, LINEAR)));
    assert_false(fill(&m, LINEAR));
    machine_close(&m);
}

static uint64_t device_read(void *ctx, uint64_t offset, unsigned size)
{
    (void)ctx;
    (void)offset;
    (void)size;
    return 0;
}

static void device_write(void *ctx, uint64_t offset, unsigned size, uint64_t value)
{
    (void)ctx;
    (void)offset;
    (void)size;
    (void)value;
}

/* RAM that becomes ROM, a device's, a hole, other RAM. */
static void a_change_of_the_physical_map_empties_windows(void **state)
{
    static const struct mmio_ops device = {.read = device_read, .write = device_write};
    struct machine m;
    physaddr_t root, page;

    (void)state;
    open_long(&m);
    root = table_new(&m);
    page = page_with(&m, 1);
    map_page(&m, root, LINEAR, page | ALL);
    assert_true(run_in(&m, root));
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(fill(&m, LINEAR), i != 2 && i != 3);
        assert_int_equal(readable(host_of(&m, LINEAR)), i != 2 && i != 3);
        assert_int_equal(writable(host_of(&m, LINEAR)), i == 0 || i == 4);
        if (i == 0)
            assert_int_equal(physmem_map(m.mem, page, PAGE_SIZE, page, false), 0);
        else if (i == 1)
            assert_int_equal(physmem_map_mmio(m.mem, page, PAGE_SIZE, &device, NULL), 0);
        else if (i == 2)
            assert_int_equal(physmem_unmap(m.mem, page, PAGE_SIZE), 0);
        else if (i == 3)
            assert_int_equal(physmem_map(m.mem, page, PAGE_SIZE, page_with(&m, 9), true), 0);
        assert_int_equal(readable(host_of(&m, LINEAR)), i == 4);
    }
    assert_int_equal(byte_at(host_of(&m, LINEAR)), 9);
    machine_close(&m);
}

/* The window would be read through a GS that is the host's. */
static void without_its_translator_a_cpu_has_no_window_mode(void **state)
{
    struct machine m;
    physaddr_t root;

    (void)state;
    open_long(&m);
    root = table_new(&m);
    map_page(&m, root, LINEAR, page_with(&m, 1) | ALL);
    assert_true(run_in(&m, root));
    assert_true(m.cpu->mode & MODE_WINDOW);
    translator_detach(m.tr, m.cpu);
    assert_false(m.cpu->mode & MODE_WINDOW);
    translator_destroy(m.tr);
    m.tr = NULL;
    machine_close(&m);
}

/* A page behind the first 4 GiB: 32-bit code that runs over the end must not find it. */
static void no_window_has_the_page_at_4_gib(void **state)
{
    const linaddr_t end = UINT64_C(1) << 32;
    struct machine m;
    physaddr_t root;

    (void)state;
    open_long(&m);
    root = table_new(&m);
    for (int i = -2; i < 3; i++)
        map_page(&m, root, end + (linaddr_t)(i * (int64_t)PAGE_SIZE),
                 page_with(&m, (unsigned)(i + 3)) | ALL);
    assert_true(run_in(&m, root));
    for (int i = -2; i < 3; i++)
        (void)fill(&m, end + (linaddr_t)(i * (int64_t)PAGE_SIZE));
    for (int i = -2; i < 3; i++)
        assert_int_equal(readable(host_of(&m, end + (linaddr_t)(i * (int64_t)PAGE_SIZE))), i != 0);
    machine_close(&m);
}

/* How often the block made of this code has the instruction in `wanted`. */
static unsigned count_in_block(struct machine *m, unsigned number, const uint8_t *code,
                               size_t bytes, const uint8_t *wanted, size_t wanted_bytes)
{
    const physaddr_t page = page_with(m, number);
    const struct block_key key = {
        .phys = page, .linear = LINEAR + number * UINT64_C(0x1000), .mode = m->cpu->mode};
    const struct block *block;
    const uint8_t *at, *end;
    unsigned count = 0;

    memcpy(physmem_backing(m->mem, page), code, bytes);
    block = build_block(m->tr, m->cpu, &key, BUILD_ENTRY);
    assert_non_null(block);
    at = (const uint8_t *)cache_hot_host(m->tr->cache, block);
    end = at + block->host_bytes;
    while ((at = memmem(at, (size_t)(end - at), wanted, wanted_bytes)) != NULL) {
        count++;
        at++;
    }
    return count;
}

/* Does the block made of this code look up the stack's region? */
static bool looks_up_stack(struct machine *m, unsigned number, const uint8_t *code, size_t bytes)
{
    uint8_t wanted[16];
    struct emit e = {.at = wanted, .end = wanted + sizeof(wanted)};

    emit_shrx(&e, W64, HOST_STACK, HOST_SP, HOST_CPU);
    assert_false(e.overflow);
    return count_in_block(m, number, code, bytes, wanted, (size_t)(e.at - wanted)) != 0;
}

/* R11 may stay as it is while RSP moves, if each block proves by an access that RSP has not left
 * the region.  A shift by CL may be by nothing, and then no manual promises an access. */
static void only_accesses_that_must_happen_prove_where_rsp_is(void **state)
{
    /* sub rsp, 65536; mov [rsp], eax; jmp there */
    static const uint8_t store[] = {0x48, 0x81, 0xec, 0, 0, 1, 0, 0x89, 0x04, 0x24, 0xeb, 0x10};
    /* sub rsp, 65536; shl dword [rsp], cl; jmp there */
    static const uint8_t shift[] = {0x48, 0x81, 0xec, 0, 0, 1, 0, 0xd3, 0x24, 0x24, 0xeb, 0x10};
    struct machine m;
    physaddr_t root;

    (void)state;
    open_long(&m);
    root = table_new(&m);
    map_page(&m, root, LINEAR, page_with(&m, 0) | ALL);
    assert_true(run_in(&m, root));
    assert_false(looks_up_stack(&m, 1, store, sizeof(store)));
    assert_true(looks_up_stack(&m, 2, shift, sizeof(shift)));
    machine_close(&m);
}

/* An address that two registers make is known to be in its region until one of them is written. */
static void a_sum_is_checked_until_it_is_another(void **state)
{
    static const struct {
        uint8_t code[20];
        unsigned bytes, checks;
    } cases[] = {
        /* mov eax, [rsi + rdi]; mov [rsi + rdi + 4], eax; jmp */
        {{0x8b, 0x04, 0x3e, 0x89, 0x44, 0x3e, 4, 0xeb, 0x10}, 9, 1},
        /* ...; mov [rsi + rdi + 2 MiB], eax; jmp */
        {{0x8b, 0x04, 0x3e, 0x89, 0x84, 0x3e, 0, 0, 0x20, 0, 0xeb, 0x10}, 12, 2},
        /* ...; mov [rsi + rdi * 2], eax; jmp */
        {{0x8b, 0x04, 0x3e, 0x89, 0x04, 0x7e, 0xeb, 0x10}, 8, 2},
        /* ...; cmovz rdi, r8; mov [rsi + rdi], eax; jmp */
        {{0x8b, 0x04, 0x3e, 0x49, 0x0f, 0x44, 0xf8, 0x89, 0x04, 0x3e, 0xeb, 0x10}, 12, 2},
        /* ...; cmovz rsi, r8; mov [rsi + rdi], eax; jmp */
        {{0x8b, 0x04, 0x3e, 0x49, 0x0f, 0x44, 0xf0, 0x89, 0x04, 0x3e, 0xeb, 0x10}, 12, 2},
        /* mov rdi, [rsi + rdi]; mov [rsi + rdi], eax; jmp */
        {{0x48, 0x8b, 0x3c, 0x3e, 0x89, 0x04, 0x3e, 0xeb, 0x10}, 9, 2},
        /* mov eax, [rsi + rdi]; pop rdi; mov [rsi + rdi], eax; jmp */
        {{0x8b, 0x04, 0x3e, 0x5f, 0x89, 0x04, 0x3e, 0xeb, 0x10}, 9, 2},
        /* mov eax, [rsp + rdi]; push rax; mov [rsp + rdi], eax; jmp */
        {{0x8b, 0x04, 0x3c, 0x50, 0x89, 0x04, 0x3c, 0xeb, 0x10}, 9, 2},
    };
    uint8_t wanted[16];
    struct emit e = {.at = wanted, .end = wanted + sizeof(wanted)};
    struct machine m;
    physaddr_t root;

    (void)state;
    emit_sarx(&e, W64, TC, T0, HOST_GROUP);
    assert_false(e.overflow);
    open_long(&m);
    root = table_new(&m);
    map_page(&m, root, LINEAR, page_with(&m, 0) | ALL);
    assert_true(run_in(&m, root));
    m.cpu->gpr[RSI] = m.cpu->gpr[RSP] = LINEAR;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(count_in_block(&m, i + 1, cases[i].code, cases[i].bytes, wanted,
                                        (size_t)(e.at - wanted)),
                         cases[i].checks);
    machine_close(&m);
}

/* The push of a call inside a superblock has a probe: that clobbers the register in which its
 * callee expects the stack's distance.  What the callee accessed then was the host's own memory. */
static void a_call_inside_a_superblock_leaves_its_callee_the_stack(void **state)
{
    enum { CODE = 32 << 20, STACK = 33 << 20, CALL = 5 };
    static const uint8_t code[] = {
        0xb9, 0xe8, 0x03, 0,    0,    /* mov ecx, 1000 */
        0xe8, 5,    0,    0,    0,    /* call f */
        0xff, 0xc9, 0x75, 0xf7, 0xf4, /* dec ecx; jnz; hlt */
        0x48, 0x8b, 0x04, 0x24, 0xc3, /* f: mov rax, [rsp]; ret */
    };
    struct machine m;
    physaddr_t root;

    (void)state;
    open_long(&m);
    m.tr->options.eager_superblock = true;
    root = table_new(&m);
    map_page(&m, root, LINEAR, CODE | ALL);
    map_page(&m, root, LINEAR + 0x1000, STACK | ALL);
    physmem_write_bytes(m.mem, CODE, code, sizeof(code));
    runtime_give_up_window(m.tr, CODE + CALL, LINEAR + CALL);
    assert_true(run_in(&m, root));
    m.cpu->rip = LINEAR;
    m.cpu->gpr[RSP] = LINEAR + 0x1800;
    m.cpu->rflags = 2;
    assert_int_equal(translator_run(m.tr, m.cpu, UINT64_MAX),
                     RUN_SHUTDOWN); /* #GP without an IDT */
    assert_int_equal(m.cpu->gpr[RAX], LINEAR + 10);
    assert_int_equal(m.tr->counters.host_faults, m.tr->counters.window_misses);
    machine_close(&m);
}

/* Calls, returns and jumps whose stack or target is found by a probe: each was interpreted. */
static void a_probe_for_the_stack_is_no_reason_to_interpret_a_call(void **state)
{
    enum { CODE = 32 << 20, STACK = 33 << 20, CALL = 7, RET = 22, INDIRECT = 12, JUMP = 19 };
    static const uint8_t code[] = {
        0xb9, 0xe8, 0x03, 0,    0,    /* mov ecx, 1000 */
        0x50, 0x58,                   /* push rax; pop rax */
        0xe8, 7,    0,    0,    0,    /* call g */
        0xff, 0x13,                   /* call [rbx] */
        0xff, 0xc9, 0x75, 0xf3, 0xf4, /* dec ecx; jnz; hlt */
        0xff, 0x23, 0x90,             /* g: jmp [rbx]; nop */
        0xc3,                         /* f: ret */
    };
    struct machine m;
    physaddr_t root;

    (void)state;
    open_long(&m);
    root = table_new(&m);
    map_page(&m, root, LINEAR, CODE | ALL);
    map_page(&m, root, LINEAR + 0x1000, STACK | ALL);
    physmem_write_bytes(m.mem, CODE, code, sizeof(code));
    physmem_write(m.mem, STACK, 8, LINEAR + RET);
    runtime_give_up_window(m.tr, CODE + CALL, LINEAR + CALL);
    runtime_give_up_window(m.tr, CODE + INDIRECT, LINEAR + INDIRECT);
    runtime_give_up_window(m.tr, CODE + JUMP, LINEAR + JUMP);
    runtime_give_up_window(m.tr, CODE + RET, LINEAR + RET);
    assert_true(run_in(&m, root));
    m.cpu->rip = LINEAR;
    m.cpu->gpr[RSP] = LINEAR + 0x1800;
    m.cpu->gpr[RBX] = LINEAR + 0x1000;
    m.cpu->rflags = 2;
    m.tr->counters.slow = 0;
    assert_int_equal(translator_run(m.tr, m.cpu, UINT64_MAX),
                     RUN_SHUTDOWN); /* #GP without an IDT */
    assert_int_equal(m.cpu->gpr[RCX], 0);
    assert_int_equal(m.cpu->gpr[RSP], LINEAR + 0x1800);
    assert_true(m.tr->counters.slow < 50);
    machine_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_is_mapped_as_its_entry_says),
        cmocka_unit_test(code_ends_all_writable_mappings_of_its_page),
        cmocka_unit_test(dropping_every_second_page_does_not_exhaust_the_host),
        cmocka_unit_test(a_page_that_the_host_refuses_to_map_is_not_there),
        cmocka_unit_test(address_spaces_that_were_evicted_see_their_own_pages),
        cmocka_unit_test(what_a_handler_has_mapped_is_filled_in_its_own_window_only),
        cmocka_unit_test(regions_are_bounded),
        cmocka_unit_test(a_change_of_nxe_empties_windows),
        cmocka_unit_test(a_change_of_the_physical_map_empties_windows),
        cmocka_unit_test(without_its_translator_a_cpu_has_no_window_mode),
        cmocka_unit_test(no_window_has_the_page_at_4_gib),
        cmocka_unit_test(only_accesses_that_must_happen_prove_where_rsp_is),
        cmocka_unit_test(a_sum_is_checked_until_it_is_another),
        cmocka_unit_test(a_call_inside_a_superblock_leaves_its_callee_the_stack),
        cmocka_unit_test(a_probe_for_the_stack_is_no_reason_to_interpret_a_call),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
