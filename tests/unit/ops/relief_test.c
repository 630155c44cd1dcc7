/* relief_test.c - levels of relief begin at their marks, end below them, and let go when refusing
 * frees nothing. shows GB-15 */
#include "unit.h"
#include "ops/relief.h"

#define MIB ((size_t)1 << 20)

static struct weft_relief_state state;
static struct weft_relief_sample now;

static int start(void **unused)
{
    (void)unused;
    state = (struct weft_relief_state){0};
    now = (struct weft_relief_sample){
        .now_ms = 1000, .limit = 100 * MIB, .resident = 10 * MIB, .busy = true};
    return 0;
}

static enum weft_relief look(void)
{
    now.now_ms += 100;
    return weft_relief_step(&state, &now);
}

static enum weft_relief at(size_t mib)
{
    now.resident = mib * MIB;
    return look();
}

static void levels_begin_at_their_marks_and_end_below_them(void **unused)
{
    (void)unused;
    assert_int_equal(at(84), WEFT_RELIEF_NONE);
    assert_int_equal(at(85), WEFT_RELIEF_TRIM);
    assert_int_equal(at(81), WEFT_RELIEF_TRIM); /* not yet 5 % below */
    assert_int_equal(at(79), WEFT_RELIEF_NONE);
    assert_int_equal(at(95), WEFT_RELIEF_SHED);
    assert_int_equal(at(91), WEFT_RELIEF_SHED);
    assert_int_equal(at(89), WEFT_RELIEF_TRIM); /* one level at a time */
    assert_int_equal(at(99), WEFT_RELIEF_CLOSE);
    assert_int_equal(at(10), WEFT_RELIEF_SHED);
    assert_int_equal(at(10), WEFT_RELIEF_TRIM);
    assert_int_equal(at(10), WEFT_RELIEF_NONE);
}

/* From the worst level to none in three looks: 0.3 s, when the load has gone and with it the
 * memory. */
static void it_lets_go_within_a_second_of_the_end(void **unused)
{
    (void)unused;
    assert_int_equal(at(100), WEFT_RELIEF_CLOSE);
    uint64_t end = now.now_ms;
    while (at(20) != WEFT_RELIEF_NONE)
        assert_true(now.now_ms - end < 1000);
}

/* What fills the cgroup may be somebody else's: refusing for ever would not help. */
static void it_lets_go_although_the_figures_stay(void **unused)
{
    (void)unused;
    assert_int_equal(at(99), WEFT_RELIEF_CLOSE);
    now.busy = false;
    assert_int_equal(at(99), WEFT_RELIEF_TRIM);
    assert_int_equal(at(99), WEFT_RELIEF_TRIM);
    now.busy = true; /* a request was let in, and while it runs others are refused */
    assert_int_equal(at(99), WEFT_RELIEF_CLOSE);
}

static void the_cgroup_counts_like_the_limit(void **unused)
{
    (void)unused;
    now.cgroup_limit = 64 * MIB;
    now.working_set = 50 * MIB;
    assert_int_equal(look(), WEFT_RELIEF_NONE);
    now.working_set = 55 * MIB; /* 85.9 % */
    assert_int_equal(look(), WEFT_RELIEF_TRIM);
    now.working_set = 61 * MIB; /* 95.3 % */
    assert_int_equal(look(), WEFT_RELIEF_SHED);
    assert_int_equal(state.fill_permille, 953);
}

static void tasks_that_stand_still_count(void **unused)
{
    (void)unused;
    assert_int_equal(look(), WEFT_RELIEF_NONE);
    now.stall_us_total += 9 * 1000; /* 9 % of 100 ms */
    assert_int_equal(look(), WEFT_RELIEF_NONE);
    now.stall_us_total += 15 * 1000;
    assert_int_equal(look(), WEFT_RELIEF_TRIM);
    now.stall_us_total += 40 * 1000;
    assert_int_equal(look(), WEFT_RELIEF_SHED);
    now.stall_us_total += 100 * 1000; /* never the idle connections' fault */
    assert_int_equal(look(), WEFT_RELIEF_SHED);
    assert_int_equal(look(), WEFT_RELIEF_TRIM);
    assert_int_equal(look(), WEFT_RELIEF_NONE);
}

static void without_limits_there_is_no_pressure(void **unused)
{
    (void)unused;
    now.limit = 0;
    assert_int_equal(at(100000), WEFT_RELIEF_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(levels_begin_at_their_marks_and_end_below_them, start),
        cmocka_unit_test_setup(it_lets_go_within_a_second_of_the_end, start),
        cmocka_unit_test_setup(it_lets_go_although_the_figures_stay, start),
        cmocka_unit_test_setup(the_cgroup_counts_like_the_limit, start),
        cmocka_unit_test_setup(tasks_that_stand_still_count, start),
        cmocka_unit_test_setup(without_limits_there_is_no_pressure, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
