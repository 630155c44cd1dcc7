/* window_test.c - sums over the last so many seconds. */
#include "unit.h"
#include "base/clock.h"
#include "base/window.h"

#define S ((uint64_t)WEFT_NS_PER_S)

static struct weft_window window;

static void what_is_in_the_window_counts(void **state)
{
    (void)state;
    weft_window_init(&window, 31 * S, 100 * S);
    assert_true(weft_window_mean(&window, 7.0) == 7.0);
    for (uint64_t t = 0; t < 10; t++)
        weft_window_add(&window, (100 + t) * S, 4);
    weft_window_add(&window, 109 * S, -18);
    assert_int_equal(window.sum, 22);
    assert_int_equal(window.count, 11);
    assert_true(weft_window_mean(&window, 0) == 2.0);
}

static void what_is_older_goes_a_bucket_at_a_time(void **state)
{
    (void)state;
    weft_window_init(&window, 31 * S, 0);
    for (uint64_t t = 0; t < 100; t++) {
        weft_window_add(&window, t * S, 1);
        assert_int_equal(window.sum, WEFT_MIN(t + 1, (uint64_t)32));
    }
    weft_window_advance(&window, 99 * S + 10 * S);
    assert_int_equal(window.sum, 22);
    weft_window_advance(&window, 99 * S + 31 * S);
    assert_int_equal(window.sum, 1);
    weft_window_advance(&window, 99 * S + 32 * S);
    assert_int_equal(window.sum, 0);
    assert_int_equal(window.count, 0);
}

static void a_long_silence_empties_it(void **state)
{
    (void)state;
    weft_window_init(&window, 10 * S, 5);
    weft_window_add(&window, 6, 1000);
    weft_window_advance(&window, UINT64_MAX / 2);
    assert_int_equal(window.sum, 0);
    weft_window_add(&window, UINT64_MAX / 2, 3);
    assert_int_equal(window.sum, 3);
}

static void time_does_not_go_back(void **state)
{
    (void)state;
    weft_window_init(&window, 31 * S, 50 * S);
    weft_window_add(&window, 60 * S, 1);
    weft_window_add(&window, 40 * S, 2); /* counts as of 60 s */
    assert_int_equal(window.sum, 3);
    weft_window_advance(&window, 91 * S);
    assert_int_equal(window.sum, 3);
    weft_window_advance(&window, 92 * S);
    assert_int_equal(window.sum, 0);
    assert_true(weft_window_rate(&window, 10 * S) == 0);
}

static void a_rate_is_per_second_of_what_is_covered(void **state)
{
    (void)state;
    weft_window_init(&window, 31 * S, 0);
    for (uint64_t t = 0; t < 400; t++)
        weft_window_add(&window, t * S / 4, 25);
    double rate = weft_window_rate(&window, 100 * S - 1);
    assert_true(rate > 99.9 && rate < 100.1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_in_the_window_counts),
        cmocka_unit_test(what_is_older_goes_a_bucket_at_a_time),
        cmocka_unit_test(a_long_silence_empties_it),
        cmocka_unit_test(time_does_not_go_back),
        cmocka_unit_test(a_rate_is_per_second_of_what_is_covered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
