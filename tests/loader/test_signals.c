/*
 * tests/loader/test_signals.c -- handlers of others get the alternate stack, and nothing else
 * changes.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <signal.h>

#include <cmocka.h>

#include "loader/signals.h"

static uint8_t stack[64 << 10];
static volatile uintptr_t handler_at;

static void on_signal(int number)
{
    volatile uint8_t here;

    (void)number;
    handler_at = (uintptr_t)&here;
}

static void set(int number, void (*handler)(int))
{
    const struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};

    assert_int_equal(sigaction(number, &action, NULL), 0);
}

static struct sigaction get(int number)
{
    struct sigaction action;

    assert_int_equal(sigaction(number, NULL, &action), 0);
    return action;
}

/* ncurses' handler of SIGWINCH ran on the return stack of translated code. */
static void test_a_library_s_handler_gets_the_alternate_stack(void **state)
{
    const stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack)};

    (void)state;
    assert_int_equal(sigaltstack(&alternate, NULL), 0);
    set(SIGWINCH, on_signal);
    set(SIGUSR1, SIG_IGN);
    signals_use_alternate_stack();
    assert_true(get(SIGWINCH).sa_flags & SA_ONSTACK);
    assert_true(get(SIGWINCH).sa_flags & SA_RESTART);
    assert_true(get(SIGUSR1).sa_handler == SIG_IGN);
    assert_true(get(SIGUSR2).sa_handler == SIG_DFL);
    raise(SIGWINCH);
    assert_in_range(handler_at, (uintptr_t)stack, (uintptr_t)stack + sizeof(stack));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_library_s_handler_gets_the_alternate_stack),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
