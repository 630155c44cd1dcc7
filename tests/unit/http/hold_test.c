/* hold_test.c - a handler that keeps its worker for too long between two waits is told of, in a
 * checked build. */
#include "seam.h"
#include "http/h1.h"
#include "http/hold.h"

static void work_ms(uint64_t ms)
{
    seam.clock.now_ns += ms * WEFT_NS_PER_MS;
}

static weft_rc quick(weft_req *rq)
{
    work_ms(WEFT_HOLD_MS_MAX);
    return weft_text(rq, 200, WEFT_S("quick"));
}

static weft_rc slow(weft_req *rq)
{
    work_ms(WEFT_HOLD_MS_MAX + 1);
    return weft_text(rq, 200, WEFT_S("slow"));
}

/* Twice as much as one may, but everybody else had his turn in between. */
static weft_rc fair(weft_req *rq)
{
    work_ms(WEFT_HOLD_MS_MAX);
    WEFT_TRY(weft_sleep_ms(rq, 100));
    return quick(rq);
}

static weft_rc slow_behind_its_wait(weft_req *rq)
{
    WEFT_TRY(weft_sleep_ms(rq, 100));
    return slow(rq);
}

static const struct seam_route routes[] = {
    {"GET", "/quick", quick},
    {"GET", "/slow", slow},
    {"GET", "/fair", fair},
    {"GET", "/behind", slow_behind_its_wait},
};

static int open_seam(void **state)
{
    (void)state;
    seam_open(&weft_h1, routes, WEFT_COUNT_OF(routes), 8);
    return 0;
}

#ifdef WEFT_CHECKED
#define TOLD 1
#else
#define TOLD 0
#endif

static void one_that_holds_the_loop_is_told_of(void **state)
{
    (void)state;
    feed_text(GET("/quick"));
    assert_int_equal(counted(WEFT_COUNTER_HOLDS), 0);
    feed_text(GET("/slow"));
    assert_int_equal(counted(WEFT_COUNTER_HOLDS), TOLD);
}

static void a_wait_begins_it_anew(void **state)
{
    (void)state;
    feed_text(GET("/fair"));
    sleep_it_out();
    assert_int_equal(counted(WEFT_COUNTER_HOLDS), 0);
    feed_text(GET("/behind"));
    sleep_it_out();
    assert_int_equal(counted(WEFT_COUNTER_HOLDS), TOLD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_that_holds_the_loop_is_told_of, open_seam, seam_end),
        cmocka_unit_test_setup_teardown(a_wait_begins_it_anew, open_seam, seam_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
