/*
 * tests/cpu/test_debugger.c -- the lists of breakpoints and watchpoints, their limits, and the
 * edges of the address space.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "tests/translator/machine.h"

#include "cpu/debugger.h"

static void test_breakpoint_list(void **state)
{
    static struct debugger d;
    struct machine m;

    (void)state;
    machine_open(&m, 1 << 20, NULL);
    assert_null(m.cpu->debugger);
    for (unsigned i = 0; i < DEBUGGER_BREAKPOINTS_MAX; i++) /* in no order */
        assert_int_equal(debugger_add_breakpoint(m.cpu, &d, (uint64_t)(i * 7919 % 65536) << 4), 0);
    assert_ptr_equal(m.cpu->debugger, &d);
    assert_int_equal(debugger_add_breakpoint(m.cpu, &d, 1), -ENOSPC);
    assert_int_equal(debugger_add_breakpoint(m.cpu, &d, 7919 << 4), 0); /* is there already */
    for (unsigned i = 1; i < d.breakpoint_count; i++)
        assert_true(d.breakpoints[i - 1] < d.breakpoints[i]);
    for (unsigned i = 0; i < DEBUGGER_BREAKPOINTS_MAX; i++) {
        const uint64_t at = (uint64_t)(i * 7919 % 65536) << 4;

        assert_true(debugger_breaks_in(&d, at, 1));
        assert_true(at == 0 || debugger_breaks_in(&d, at - 3, 4));
        assert_false(debugger_breaks_in(&d, at + 1, 1));
    }
    assert_int_equal(debugger_remove_breakpoint(m.cpu, &d, 1), -ENOENT);
    for (unsigned i = 0; i < DEBUGGER_BREAKPOINTS_MAX; i++)
        assert_int_equal(debugger_remove_breakpoint(m.cpu, &d, (uint64_t)(i * 7919 % 65536) << 4),
                         0);
    assert_null(m.cpu->debugger);
    assert_int_equal(d.breakpoint_pages, 0);
    machine_close(&m);
}

static void test_edges(void **state)
{
    static struct debugger d;
    struct machine m;

    (void)state;
    machine_open(&m, 1 << 20, NULL);
    assert_int_equal(debugger_add_breakpoint(m.cpu, &d, UINT64_MAX), 0);
    assert_int_equal(debugger_add_breakpoint(m.cpu, &d, 0), 0);
    assert_true(debugger_breaks_in(&d, UINT64_MAX, 1));
    assert_true(debugger_breaks_in(&d, UINT64_MAX - 5, 6));
    assert_false(debugger_breaks_in(&d, UINT64_MAX - 5, 5));
    assert_true(debugger_breaks_in(&d, 0, 15));
    /* a watchpoint that would wrap ends with the address space */
    assert_int_equal(debugger_add_watch(m.cpu, &d, UINT64_MAX - 1, 100, DEBUGGER_WRITE), 0);
    assert_true(debugger_watches_page(&d, UINT64_MAX));
    assert_false(debugger_watches_page(&d, 0));
    assert_int_equal(debugger_add_watch(m.cpu, &d, 0x1ffc, 8, DEBUGGER_ACCESS), 0);
    assert_true(debugger_watches_page(&d, 0x1000));
    assert_true(debugger_watches_page(&d, 0x2fff));
    assert_false(debugger_watches_page(&d, 0x3000));
    assert_int_equal(debugger_add_watch(m.cpu, &d, 0, 0, DEBUGGER_READ), -ENOSPC);
    for (unsigned i = 2; i < DEBUGGER_WATCHPOINTS_MAX; i++)
        assert_int_equal(debugger_add_watch(m.cpu, &d, i, 1, DEBUGGER_READ), 0);
    assert_int_equal(debugger_add_watch(m.cpu, &d, 0, 1, DEBUGGER_READ), -ENOSPC);
    assert_int_equal(debugger_remove_watch(m.cpu, &d, 0x1ffc, 8, DEBUGGER_READ), -ENOENT);
    assert_int_equal(debugger_remove_watch(m.cpu, &d, 0x1ffc, 8, DEBUGGER_ACCESS), 0);
    debugger_clear(m.cpu, &d);
    assert_null(m.cpu->debugger);
    assert_int_equal(m.cpu->data_breakpoints, 0);
    machine_close(&m);
}

/* An access that only touches the end of a watched range, across a page, reads and writes both. */
static void test_hits(void **state)
{
    static struct debugger d;
    struct machine m;

    (void)state;
    machine_open(&m, 1 << 20, NULL);
    assert_int_equal(debugger_add_watch(m.cpu, &d, 0x1ffc, 8, DEBUGGER_WRITE), 0);
    debugger_note_access(m.cpu, 0x2003, 4, ACCESS_READ);
    debugger_note_access(m.cpu, 0x1ff8, 4, ACCESS_WRITE);
    debugger_note_access(m.cpu, 0x2004, 4, ACCESS_WRITE);
    assert_int_equal(d.hit.what, DEBUGGER_NO_HIT);
    assert_int_equal(m.cpu->exit_request, 0);
    debugger_note_access(m.cpu, 0x1ff8, 5, ACCESS_WRITE);
    assert_int_equal(d.hit.what, DEBUGGER_HIT_WATCHPOINT);
    assert_int_equal(d.hit.address, 0x1ffc);
    assert_int_equal(m.cpu->exit_request, 1);
    debugger_clear(m.cpu, &d);
    /* read, then written by one instruction: the write is what is told */
    assert_int_equal(debugger_add_watch(m.cpu, &d, 0x10, 1, DEBUGGER_READ), 0);
    assert_int_equal(debugger_add_watch(m.cpu, &d, 0x10, 1, DEBUGGER_WRITE), 0);
    debugger_note_access(m.cpu, 0x10, 1, ACCESS_READ);
    assert_int_equal(d.hit.kind, DEBUGGER_READ);
    debugger_note_access(m.cpu, 0x10, 1, ACCESS_WRITE);
    assert_int_equal(d.hit.kind, DEBUGGER_WRITE);
    debugger_note_access(m.cpu, 0x10, 1, ACCESS_READ);
    assert_int_equal(d.hit.kind, DEBUGGER_WRITE);
    debugger_clear(m.cpu, &d);
    machine_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_breakpoint_list),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_hits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
