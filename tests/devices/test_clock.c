/* tests/devices/test_clock.c -- order, re-arming, cancelling, and the guard against endless work.
 */
#include "fake.h"

struct probe {
    struct fake *fake;
    struct clock_timer timer;
    struct probe *victim; /* cancelled when this fires */
    uint64_t again_ns;    /* re-arm that much after the deadline; UINT64_MAX: no */
    unsigned fired;
    unsigned *order, rank;
};

static void probe_fire(void *ctx, uint64_t now_ns)
{
    struct probe *probe = ctx;

    assert_true(now_ns >= probe->timer.deadline_ns);
    assert_false(probe->timer.armed);
    probe->fired++;
    if (probe->order != NULL)
        probe->rank = (*probe->order)++;
    if (probe->victim != NULL)
        clock_cancel(probe->fake->clock, &probe->victim->timer);
    if (probe->again_ns != UINT64_MAX)
        clock_arm(probe->fake->clock, &probe->timer, probe->timer.deadline_ns + probe->again_ns);
}

static void probe_init(struct probe *probe, struct fake *fake)
{
    memset(probe, 0, sizeof(*probe));
    probe->fake = fake;
    probe->timer.fire = probe_fire;
    probe->timer.ctx = probe;
    probe->again_ns = UINT64_MAX;
}

static void test_order(void **state)
{
    struct fake fake;
    struct probe probe[3];
    unsigned order = 0;

    (void)state;
    fake_open(&fake);
    for (unsigned i = 0; i < 3; i++) {
        probe_init(&probe[i], &fake);
        probe[i].order = &order;
    }
    clock_arm(fake.clock, &probe[0].timer, 300);
    clock_arm(fake.clock, &probe[1].timer, 100);
    clock_arm(fake.clock, &probe[2].timer, 100);
    assert_int_equal(clock_next_ns(fake.clock), 100);
    fake.now_ns = 99;
    clock_run(fake.clock);
    assert_int_equal(order, 0);
    fake.now_ns = 1000;
    clock_run(fake.clock);
    assert_int_equal(probe[1].rank, 0);
    assert_int_equal(probe[2].rank, 1);
    assert_int_equal(probe[0].rank, 2);
    assert_true(clock_next_ns(fake.clock) == UINT64_MAX);
    fake_close(&fake);
}

static void test_rearm_and_cancel(void **state)
{
    struct fake fake;
    struct probe probe[2];

    (void)state;
    fake_open(&fake);
    probe_init(&probe[0], &fake);
    probe_init(&probe[1], &fake);
    clock_arm(fake.clock, &probe[0].timer, 10);
    clock_arm(fake.clock, &probe[0].timer, 50); /* moves it */
    assert_int_equal(clock_next_ns(fake.clock), 50);
    clock_arm(fake.clock, &probe[1].timer, 50);
    probe[0].victim = &probe[1];
    fake.now_ns = 60;
    clock_run(fake.clock);
    assert_int_equal(probe[0].fired, 1);
    assert_int_equal(probe[1].fired, 0);
    clock_cancel(fake.clock, &probe[1].timer); /* not armed: no harm */
    fake_close(&fake);
}

/* A timer that is always due neither hangs the caller nor starves the others. */
static void test_endless_rearming(void **state)
{
    struct fake fake;
    struct probe greedy, other;

    (void)state;
    fake_open(&fake);
    probe_init(&greedy, &fake);
    probe_init(&other, &fake);
    greedy.again_ns = 0;
    clock_arm(fake.clock, &greedy.timer, 0);
    clock_arm(fake.clock, &other.timer, 500);
    fake.now_ns = 1000;
    clock_run(fake.clock);
    assert_in_range(greedy.fired, 2, 1000);
    assert_int_equal(other.fired, 1);
    clock_cancel(fake.clock, &greedy.timer);
    fake_close(&fake);
}

static void count_call(void *ctx)
{
    /* ctx is the fake, as for now */
    ((struct fake *)ctx)->fires++;
}

static void test_deadline_changed(void **state)
{
    struct fake fake;
    struct probe probe[2];
    struct clock *clock;

    (void)state;
    fake_open(&fake);
    probe_init(&probe[0], &fake);
    probe_init(&probe[1], &fake);
    clock = clock_create(fake_now, &fake, count_call);
    clock_arm(clock, &probe[0].timer, 100);
    assert_int_equal(fake.fires, 1);
    clock_arm(clock, &probe[1].timer, 200); /* later: nobody has to hurry */
    assert_int_equal(fake.fires, 1);
    clock_arm(clock, &probe[1].timer, 50);
    assert_int_equal(fake.fires, 2);
    clock_destroy(clock);
    fake_close(&fake);
}

static void test_scale(void **state)
{
    (void)state;
    assert_true(clock_scale(UINT64_MAX, 1000, 1000) == UINT64_MAX);
    assert_int_equal(clock_scale(1000000000, 1193182, 1000000000), 1193182);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_rearm_and_cancel),
        cmocka_unit_test(test_endless_rearming),
        cmocka_unit_test(test_deadline_changed),
        cmocka_unit_test(test_scale),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
