/* tests/loader/test_library.c -- libraries that are loaded when somebody asks for what they do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

#include "loader/library.h"

struct some {
    LIBRARY_POINTER(strlen)
    LIBRARY_POINTER(ffs)
};

static const char *const names[] = {LIBRARY_NAME(strlen) LIBRARY_NAME(ffs)};

static void test_symbols_in_their_order(void **state)
{
    struct error error = {""};
    struct some lib;

    (void)state;
    assert_true(library_load("-what", "libc.so.6", names, &lib, 2, &error));
    assert_int_equal(lib.strlen("four"), 4);
    assert_int_equal(lib.ffs(4), 3);
}

static void test_what_is_missing_is_said(void **state)
{
    const char *const wrong[] = {"strlen", "there_is_no_such_function"};
    struct error error = {""};
    struct some lib;

    (void)state;
    assert_false(library_load("-what", "libthere-is-none.so.77", names, &lib, 2, &error));
    assert_memory_equal(error.text, "-what: libthere-is-none.so.77:", 30);
    assert_false(library_load("-what", "libc.so.6", wrong, &lib, 2, &error));
    assert_string_equal(error.text, "-what: libc.so.6 has no there_is_no_such_function");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_symbols_in_their_order),
        cmocka_unit_test(test_what_is_missing_is_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
