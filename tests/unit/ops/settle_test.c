/* settle_test.c - the watch over memory.return_ms: when it looks, and what it says. shows GB-05 */
#include "unit.h"
#include "ops/settle.h"

#define MIB ((size_t)1 << 20)

static struct weft_settle settle;
static uint64_t now, requests;

static int start(void **unused)
{
    (void)unused;
    settle = (struct weft_settle){.return_ms = 1000};
    now = 50000;
    requests = 0;
    return 0;
}

static bool look(uint64_t active)
{
    now += 100;
    return weft_settle_step(&settle, now, active, requests);
}

/* A load, then quiet until it wants to measure; returns how long that took. */
static uint64_t load_and_wait(uint64_t count)
{
    requests += count;
    assert_false(look(3));
    assert_false(look(0));
    uint64_t end = now;
    while (!look(0))
        assert_true(now - end < 5000);
    return now - end;
}

static void measures_once_return_ms_after_the_last_request(void **unused)
{
    (void)unused;
    assert_int_equal(load_and_wait(1000), 1000);
    assert_int_equal(weft_settle_judge(&settle, now, 5 * MIB), WEFT_SETTLE_FIRST);
    assert_int_equal(settle.baseline, 5 * MIB);
    for (int i = 0; i < 100; i++)
        assert_false(look(0)); /* it has its verdict */
    assert_int_equal(load_and_wait(1), 1000);
    assert_int_equal(weft_settle_judge(&settle, now, 7 * MIB), WEFT_SETTLE_BACK);
    assert_int_equal(settle.misses, 0);
    assert_int_equal(settle.checks, 2);
}

static void a_miss_is_counted_once_and_followed_to_its_end(void **unused)
{
    (void)unused;
    (void)load_and_wait(1000);
    assert_int_equal(weft_settle_judge(&settle, now, 5 * MIB), WEFT_SETTLE_FIRST);
    (void)load_and_wait(10);
    assert_int_equal(weft_settle_judge(&settle, now, 7 * MIB + 1), WEFT_SETTLE_MISSED);
    for (int i = 0; i < 3; i++) {
        assert_true(look(0));
        assert_int_equal(weft_settle_judge(&settle, now, 20 * MIB), WEFT_SETTLE_STILL);
    }
    assert_true(look(0));
    assert_int_equal(weft_settle_judge(&settle, now, 6 * MIB), WEFT_SETTLE_LATE);
    assert_false(look(0));
    assert_int_equal(settle.misses, 1);
    assert_int_equal(settle.checks, 2);
    assert_int_equal(settle.took_ms, 1400);
}

static void a_request_starts_the_wait_anew(void **unused)
{
    (void)unused;
    (void)load_and_wait(1000);
    assert_int_equal(weft_settle_judge(&settle, now, 5 * MIB), WEFT_SETTLE_FIRST);
    requests++; /* came and went between two looks */
    assert_false(look(0));
    for (int i = 0; i < 10; i++)
        assert_false(look(0));
    assert_true(look(0));
}

static void a_single_request_is_no_warm_up(void **unused)
{
    (void)unused;
    requests = WEFT_SETTLE_WARM_REQUESTS - 1;
    for (int i = 0; i < 50; i++)
        assert_false(look(0));
    assert_int_equal(load_and_wait(1), 1000);
}

static void nothing_is_watched_where_nothing_is_promised(void **unused)
{
    (void)unused;
    settle.return_ms = 0;
    requests = 100000;
    for (int i = 0; i < 50; i++)
        assert_false(look(0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(measures_once_return_ms_after_the_last_request, start),
        cmocka_unit_test_setup(a_miss_is_counted_once_and_followed_to_its_end, start),
        cmocka_unit_test_setup(a_request_starts_the_wait_anew, start),
        cmocka_unit_test_setup(a_single_request_is_no_warm_up, start),
        cmocka_unit_test_setup(nothing_is_watched_where_nothing_is_promised, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
