/*
 * Guest-physical memory: the map, MMIO splitting, code marks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "cpu/physmem.h"
#include "cpu/tlb.h"

enum { BACKING = 1 << 20 };

static int setup(void **state)
{
    *state = physmem_create(BACKING, 40);
    return *state == NULL;
}

static int teardown(void **state)
{
    physmem_destroy(*state);
    return 0;
}

/* A device that logs its accesses and answers with the offset of each byte. */
struct device {
    unsigned count;
    uint64_t offset[16], value[16];
    unsigned size[16];
};

static uint64_t device_read(void *ctx, uint64_t offset, unsigned size)
{
    struct device *dev = ctx;
    uint64_t value = 0;

    dev->offset[dev->count % 16] = offset;
    dev->size[dev->count++ % 16] = size;
    for (unsigned i = 0; i < size; i++)
        value |= ((offset + i) & 0xff) << i * 8;
    return value;
}

static void device_write(void *ctx, uint64_t offset, unsigned size, uint64_t value)
{
    struct device *dev = ctx;

    dev->offset[dev->count % 16] = offset;
    dev->value[dev->count % 16] = value;
    dev->size[dev->count++ % 16] = size;
}

static const struct mmio_ops device_ops = {device_read, device_write};

static void ram_rom_and_holes(void **state)
{
    struct physmem *pm = *state;

    assert_int_equal(physmem_map(pm, 0, 0x10000, 0, true), 0);
    assert_int_equal(physmem_map(pm, 0xfffff000, 0x1000, 0x10000, false), 0);
    physmem_write(pm, 0x1234, 4, 0xdeadbeef);
    assert_int_equal(physmem_read(pm, 0x1234, 4), 0xdeadbeef);
    assert_int_equal(physmem_read(pm, 0x1236, 2), 0xdead);
    assert_int_equal(*physmem_backing(pm, 0x1234), 0xef);

    *physmem_backing(pm, 0x10ff0) = 0xea;
    physmem_write(pm, 0xfffffff0, 1, 0);
    assert_int_equal(physmem_read(pm, 0xfffffff0, 1), 0xea);
    assert_int_equal(physmem_page(pm, 0xfffff000)->flags, PHYS_RAM);

    assert_int_equal(physmem_read(pm, 0x10000, 8), ~0ull);
    assert_null(physmem_page(pm, 0x10000)->host);
    assert_null(physmem_page(pm, ~0ull)->host);
    physmem_write(pm, 0x10000, 8, 0);
    physmem_write(pm, ~0ull, 8, 0);
    /* Beyond the end of the address space begins its start again. */
    assert_int_equal(physmem_read(pm, ~0ull - 3, 4), 0xffffffff);
}

static void accesses_cross_pages(void **state)
{
    struct physmem *pm = *state;

    /* Two guest pages that are not neighbours in the backing. */
    assert_int_equal(physmem_map(pm, 0x1000, 0x1000, 0x5000, true), 0);
    assert_int_equal(physmem_map(pm, 0x2000, 0x1000, 0x3000, true), 0);
    physmem_write(pm, 0x1ffd, 8, 0x8877665544332211);
    assert_int_equal(physmem_read(pm, 0x1ffd, 8), 0x8877665544332211);
    assert_int_equal(*physmem_backing(pm, 0x5fff), 0x33);
    assert_int_equal(*physmem_backing(pm, 0x3000), 0x44);

    /* The second page is a hole: its half reads as ones. */
    assert_int_equal(physmem_read(pm, 0x2ffe, 4) >> 16, 0xffff);

    uint8_t bytes[0x1800];
    memset(bytes, 0x5a, sizeof bytes);
    physmem_write_bytes(pm, 0x1400, bytes, sizeof bytes);
    memset(bytes, 0, sizeof bytes);
    physmem_read_bytes(pm, 0x1400, bytes, sizeof bytes);
    assert_int_equal(bytes[0], 0x5a);
    assert_int_equal(bytes[0x1800 - 1], 0x5a);
    physmem_read_bytes(pm, 0x2fff, bytes, 2);
    assert_int_equal(bytes[1], 0xff);
}

static void bad_ranges_are_refused(void **state)
{
    struct physmem *pm = *state;
    struct device dev = {0};

    assert_int_equal(physmem_map(pm, 0x800, 0x1000, 0, true), -EINVAL);
    assert_int_equal(physmem_map(pm, 0, 0x1000, 0x800, true), -EINVAL);
    assert_int_equal(physmem_map(pm, 0, 0, 0, true), -EINVAL);
    assert_int_equal(physmem_map(pm, 0, 0x1000, BACKING, true), -EINVAL);
    assert_int_equal(physmem_map(pm, 0, BACKING + 0x1000, 0, true), -EINVAL);
    assert_int_equal(physmem_map(pm, (1ull << 40) - 0x1000, 0x2000, 0, true), -EINVAL);
    assert_int_equal(physmem_map(pm, ~0xfffull, 0x1000, 0, true), -EINVAL);
    assert_int_equal(physmem_map_mmio(pm, 0, 0, &device_ops, &dev), -EINVAL);
    assert_int_equal(physmem_map_mmio(pm, 1ull << 40, 4, &device_ops, &dev), -EINVAL);
    assert_int_equal(physmem_unmap(pm, 0, ~0ull), -EINVAL);
    assert_null(physmem_backing(pm, BACKING));
}

static void mmio_is_split_naturally(void **state)
{
    struct physmem *pm = *state;
    struct device dev = {0};

    assert_int_equal(physmem_map_mmio(pm, 0xfee00000, 0x1000, &device_ops, &dev), 0);
    assert_int_equal(physmem_page(pm, 0xfee00000)->flags, PHYS_MMIO);
    assert_int_equal(physmem_read(pm, 0xfee00020, 4), 0x23222120);
    assert_int_equal(dev.count, 1);
    assert_int_equal(dev.size[0], 4);

    dev.count = 0;
    physmem_write(pm, 0xfee00001, 4, 0x44332211); /* 1 + 2 + 1 */
    assert_int_equal(dev.count, 3);
    assert_int_equal(dev.offset[1], 2);
    assert_int_equal(dev.size[1], 2);
    assert_int_equal(dev.value[1], 0x3322);
    assert_int_equal(dev.value[2], 0x44);
    assert_int_equal(physmem_read(pm, 0xfee00003, 8), 0x0a09080706050403);

    /* The last bytes of the region, and the hole behind it. */
    assert_int_equal(physmem_read(pm, 0xfee00ffe, 4), 0xfffffffe | 0xff00);
}

static void mmio_regions_overlap_and_end_anywhere(void **state)
{
    struct physmem *pm = *state;
    struct device a = {0}, b = {0};

    assert_int_equal(physmem_map(pm, 0x0, 0x4000, 0, true), 0);
    assert_int_equal(physmem_map_mmio(pm, 0x1000, 0x2000, &device_ops, &a), 0);
    assert_int_equal(physmem_map_mmio(pm, 0x1800, 0x10, &device_ops, &b), 0);
    physmem_read(pm, 0x1804, 4);
    assert_int_equal(b.count, 1);
    assert_int_equal(b.offset[0], 4);
    physmem_read(pm, 0x1810, 4); /* behind the newcomer: the old device, at its own offset */
    assert_int_equal(a.count, 1);
    assert_int_equal(a.offset[0], 0x810);
    physmem_read(pm, 0x180c, 8); /* half and half: each device sees its own part */
    assert_int_equal(a.count, 2);
    assert_int_equal(b.count, 2);

    assert_int_equal(physmem_unmap(pm, 0x1800, 0x10), 0);
    assert_int_equal(physmem_read(pm, 0x1804, 4), 0xffffffff);
    assert_int_equal(physmem_page(pm, 0x1000)->flags, PHYS_MMIO);

    /* RAM back over the middle: both ends of the region stay. */
    assert_int_equal(physmem_map(pm, 0x2000, 0x1000, 0x2000, true), 0);
    physmem_write(pm, 0x2000, 1, 7);
    assert_int_equal(physmem_read(pm, 0x2000, 1), 7);
    assert_int_equal(physmem_unmap(pm, 0, 0x4000), 0);
    assert_int_equal(physmem_page(pm, 0x1000)->flags, 0);
}

struct listener {
    unsigned stores, marks;
    physaddr_t gpa;
    size_t size;
    physaddr_t page;
};

static void on_store(void *ctx, physaddr_t gpa, size_t size)
{
    struct listener *l = ctx;

    l->stores++;
    l->gpa = gpa;
    l->size = size;
}

static void on_mark(void *ctx, physaddr_t page)
{
    struct listener *l = ctx;

    l->marks++;
    l->page = page;
}

static void code_marks_count_and_report(void **state)
{
    struct physmem *pm = *state;
    struct listener l = {0};
    uint8_t bytes[64] = {0};

    assert_int_equal(physmem_map(pm, 0, 0x10000, 0, true), 0);
    assert_int_equal(physmem_add_code_listener(pm, on_store, on_mark, &l), 0);
    physmem_code_mark(pm, 0x1fd0, 0x40); /* ends of two pages, with two grains on each side */
    assert_int_equal(l.marks, 2);
    assert_int_equal(l.page, 0x2000);
    assert_int_equal(physmem_page(pm, 0x1000)->flags, PHYS_RAM | PHYS_WRITE | PHYS_CODE);
    assert_true(physmem_code_overlaps(pm, 0x2000, 1));
    assert_false(physmem_code_overlaps(pm, 0x2040, 1));

    physmem_write(pm, 0x1000, 4, 1); /* same page, other grain */
    assert_int_equal(l.stores, 0);
    physmem_write(pm, 0x1fbd, 4, 1); /* the first marked grain keeps its byte */
    assert_int_equal(l.stores, 0);
    physmem_write(pm, 0x1fbd, 4, 0x1000002); /* touches it with its last byte */
    assert_int_equal(l.stores, 1);
    assert_int_equal(l.gpa, 0x1fbd);
    bytes[0] = bytes[63] = 0x90;
    physmem_write_bytes(pm, 0x2000, bytes, sizeof bytes);
    assert_int_equal(l.stores, 2);
    assert_int_equal(l.size, sizeof bytes);
    physmem_write_bytes(pm, 0x2000, bytes,
                        sizeof bytes); /* the same again: the code is still right */
    physmem_write(pm, 0x2000, 1, 0x90);
    assert_int_equal(l.stores, 2);

    physmem_code_mark(pm, 0x2000, 1);
    assert_int_equal(l.marks, 2);
    physmem_code_release(pm, 0x1fd0, 0x40);
    assert_false(physmem_code_overlaps(pm, 0x1fd0, 0x30));
    assert_true(physmem_code_overlaps(pm, 0x2000, 1)); /* the second user is still there */
    assert_int_equal(physmem_page(pm, 0x1000)->flags, PHYS_RAM | PHYS_WRITE);
    physmem_code_release(pm, 0x2000, 1);
    physmem_code_release(pm, 0x2000, 1); /* one too many does no harm */
    assert_int_equal(physmem_page(pm, 0x2000)->flags, PHYS_RAM | PHYS_WRITE);

    physmem_remove_code_listener(pm, &l);
    physmem_code_mark(pm, 0x3000, 1);
    physmem_write(pm, 0x3000, 1, 0);
    assert_int_equal(l.marks, 2);
    assert_int_equal(l.stores, 2);
}

/* Drops its code when told, as a cache does. */
struct code_user {
    struct physmem *pm;
    physaddr_t gpa;
    size_t size;
    unsigned drops, forgotten;
};

static void user_on_store(void *ctx, physaddr_t gpa, size_t size)
{
    struct code_user *user = ctx;

    if (user->size == 0 || gpa >= user->gpa + user->size || gpa + size <= user->gpa)
        return;
    physmem_code_drop(user->pm, user->gpa, user->size);
    user->size = 0;
    user->drops++;
}

static void user_on_forget(void *ctx, physaddr_t page)
{
    struct code_user *user = ctx;

    assert_int_equal(page, 0x1000);
    user->forgotten++;
}

static void user_mark(struct code_user *user, physaddr_t gpa, size_t size)
{
    user->gpa = gpa;
    user->size = size;
    physmem_code_mark(user->pm, gpa, size);
}

static void a_page_that_loses_its_code_to_a_store_is_watched_for_a_while(void **state)
{
    struct physmem *pm = *state;
    struct code_user user = {.pm = pm};

    assert_int_equal(physmem_map(pm, 0, 0x10000, 0, true), 0);
    assert_int_equal(physmem_add_code_listener(pm, user_on_store, NULL, &user), 0);
    user_mark(&user, 0x1010, 8);
    physmem_write(pm, 0x1010, 1, 1);
    assert_int_equal(user.drops, 1);
    assert_true(physmem_page(pm, 0x1000)->flags & PHYS_CODE);
    for (unsigned i = 0; i < 100; i++)
        physmem_write(pm, 0x1800, 1, i);
    assert_false(physmem_page(pm, 0x1000)->flags & PHYS_CODE);

    user_mark(&user, 0x1010, 8);
    physmem_code_drop(pm, 0x1010, 8); /* not by a store: at once */
    assert_false(physmem_page(pm, 0x1000)->flags & PHYS_CODE);
    physmem_remove_code_listener(pm, &user);
}

static void the_bytes_of_a_page_are_counted_from_when_that_is_asked_for(void **state)
{
    struct physmem *pm = *state;
    struct code_user user = {.pm = pm};
    const uint8_t *bytes;

    assert_int_equal(physmem_map(pm, 0, 0x10000, 0, true), 0);
    assert_int_equal(physmem_add_code_listener(pm, user_on_store, NULL, &user), 0);
    physmem_on_code_forgotten(pm, user_on_forget, &user);
    assert_null(physmem_code_bytes(pm, 0x1000, true)); /* no code, no map */
    user_mark(&user, 0x1010, 8);
    assert_null(physmem_code_bytes(pm, 0x1123, false));
    bytes = physmem_code_bytes(pm, 0x1123, true);
    assert_non_null(bytes);
    assert_int_equal(user.drops, 1);
    assert_int_equal(bytes[0x10], 0);

    user_mark(&user, 0x1010, 8);
    physmem_code_mark(pm, 0x1017, 1);
    assert_int_equal(bytes[0xf], 0);
    assert_int_equal(bytes[0x10], 1);
    assert_int_equal(bytes[0x17], 2);
    assert_int_equal(bytes[0x18], 0);
    assert_false(physmem_code_overlaps(pm, 0x1018, 8)); /* the same grain */
    physmem_write(pm, 0x1018, 4, 1);
    assert_int_equal(user.drops, 1);
    physmem_write(pm, 0x100d, 4, 0x1000000);
    assert_int_equal(user.drops, 2);
    assert_int_equal(bytes[0x10], 0);
    assert_int_equal(bytes[0x17], 1);

    for (unsigned i = 0; i < 300; i++) /* more than a byte counts */
        physmem_code_mark(pm, 0x1020, 1);
    for (unsigned i = 0; i < 299; i++)
        physmem_code_release(pm, 0x1020, 1);
    assert_true(bytes[0x20] != 0);
    physmem_code_release(pm, 0x1020, 1);
    assert_int_equal(user.forgotten, 0);
    physmem_code_release(pm, 0x1017, 1);
    assert_int_equal(user.forgotten, 1);
    assert_null(physmem_code_bytes(pm, 0x1000, false));
    physmem_remove_code_listener(pm, &user);
}

static void on_map(void *ctx, physaddr_t gpa, uint64_t size)
{
    on_store(ctx, gpa, size);
}

static void map_changes_are_told(void **state)
{
    struct physmem *pm = *state;
    struct listener l = {0};
    struct device dev = {0};

    assert_int_equal(physmem_add_map_listener(pm, on_map, &l), 0);
    physmem_map(pm, 0, 0x10000, 0, true);
    physmem_map_mmio(pm, 0x4010, 0x10, &device_ops, &dev);
    physmem_unmap(pm, 0x8000, 0x1000);
    assert_int_equal(l.stores, 3);
    assert_int_equal(l.gpa, 0x8000);
    physmem_remove_map_listener(pm, &l);
    physmem_unmap(pm, 0x8000, 0x1000);
    assert_int_equal(l.stores, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(ram_rom_and_holes, setup, teardown),
        cmocka_unit_test_setup_teardown(accesses_cross_pages, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_ranges_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(mmio_is_split_naturally, setup, teardown),
        cmocka_unit_test_setup_teardown(mmio_regions_overlap_and_end_anywhere, setup, teardown),
        cmocka_unit_test_setup_teardown(code_marks_count_and_report, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_page_that_loses_its_code_to_a_store_is_watched_for_a_while, setup, teardown),
        cmocka_unit_test_setup_teardown(the_bytes_of_a_page_are_counted_from_when_that_is_asked_for,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(map_changes_are_told, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
