/* lease_test.c - requests that take turns at another server: in order, late, canceled in the queue
 * and on the very way out of it; and what they hold meanwhile is a figure. shows OB-05, FD-13 */
#include "http/mux_client.h"
#include "serve/cache/lease.h"
#include <poll.h>

#define WAIT_MS 100

static struct weft_upstream upstream;
static char order[64]; /* ids of requests, as they had the connection */

/* Has the connection for 10 ms. */
static weft_rc use(weft_req *rq)
{
    struct weft_lease lease;
    WEFT_TRY(weft_lease_take(rq, &upstream, WAIT_MS, &lease));
    strncat(order, weft_header(rq, "x-id").ptr, 1);
    weft_rc rc = weft_sleep_ms(rq, 10);
    weft_lease_give(&lease);
    WEFT_TRY(rc);
    return lease.waited ? weft_text(rq, 200, WEFT_S("waited")) : weft_text(rq, 200, WEFT_S("went"));
}

static weft_rc at_once(weft_req *rq)
{
    struct weft_lease lease;
    WEFT_TRY(weft_lease_take(rq, &upstream, 0, &lease));
    weft_lease_give(&lease);
    return weft_text(rq, 200, WEFT_S("went"));
}

static const struct seam_route routes[] = {{"GET", "/use", use}, {"GET", "/at-once", at_once}};

static int open_all(void **state)
{
    (void)state;
    seam_open(&mux_protocol, routes, WEFT_COUNT_OF(routes), MUX_STREAMS);
    assert_int_equal(weft_loop_open(&seam.loop), 0); /* for what is posted */
    weft_upstream_init(&upstream, "test", 1, 4);
    assert_int_equal(weft_upstream_open(&upstream), 0);
    order[0] = 0;
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    assert_int_equal(atomic_load(&upstream.bytes_waiting), 0);
    assert_int_equal(atomic_load(&upstream.requests_waiting), 0);
    assert_int_equal(weft_upstream_close(&upstream, 0), 0);
    weft_upstream_fini(&upstream);
    seam_close();
    return 0;
}

static void run_posts(void)
{
    seam.loop.waker.ready(&seam.loop.waker, POLLIN);
    settle();
}

/* Somebody else, of another worker say, has the only connection. */
static uint32_t take_it(void)
{
    uint32_t conn = WEFT_UPSTREAM_NONE;
    assert_int_equal(weft_upstream_acquire(&upstream, NULL, &conn), 0);
    return conn;
}

static void in_turn(void **state)
{
    (void)state;
    for (uint8_t id = 1; id <= 5; id++)
        get(id, "/use");
    assert_int_equal(atomic_load(&upstream.queued), 4);
    assert_int_equal(atomic_load(&upstream.requests_waiting), 5);
    assert_true(atomic_load(&upstream.bytes_waiting) >= 5 * WEFT_PAGE_BYTES);
    for (int i = 0; i < 5; i++) {
        pass_ms(10);
        run_posts();
    }
    collect();
    assert_string_equal(order, "12345");
    assert_true(body_is(1, "went"));
    assert_true(body_is(5, "waited"));
}

static void beyond_the_queue(void **state)
{
    (void)state;
    uint32_t conn = take_it();
    for (uint8_t id = 1; id <= 5; id++)
        get(id, "/use");
    get(6, "/at-once");
    collect();
    assert_int_equal(answers[4].status, 0);
    assert_int_equal(answers[5].status, 503);
    assert_int_equal(answers[6].status, 503);
    pass_ms(WAIT_MS); /* nobody comes: they are late */
    collect();
    for (uint8_t id = 1; id <= 4; id++)
        assert_int_equal(answers[id].status, weft_rc_status((weft_rc)-ETIMEDOUT));
    assert_int_equal(atomic_load(&upstream.queued), 0);
    weft_upstream_release(&upstream, conn);
    get(7, "/at-once");
    collect();
    assert_true(body_is(7, "went"));
}

static void canceled_in_the_queue(void **state)
{
    (void)state;
    uint32_t conn = take_it();
    get(1, "/use");
    get(2, "/use");
    send_frame(1, 'R', "");
    assert_int_equal(atomic_load(&upstream.queued), 1);
    weft_upstream_release(&upstream, conn);
    run_posts();
    pass_ms(10);
    collect();
    assert_true(body_is(2, "waited"));
    assert_string_equal(order, "2");
}

/* The connection is handed over, the post under way, and then the client leaves, or its time is up:
 * what comes goes back, and the next one has it. */
static void canceled_on_the_way(void **state)
{
    (void)state;
    uint32_t conn = take_it();
    get(1, "/use");
    get(2, "/use");
    weft_upstream_release(&upstream, conn); /* to 1, by a post that has not run */
    send_frame(1, 'R', "");
    assert_int_equal(atomic_load(&upstream.out), 1);
    run_posts(); /* 1 gives it back: to 2, by a post */
    run_posts();
    pass_ms(10);
    collect();
    assert_true(body_is(2, "waited"));
    assert_string_equal(order, "2");
    assert_int_equal(atomic_load(&upstream.out), 0);
}

static void late_on_the_way(void **state)
{
    (void)state;
    uint32_t conn = take_it();
    get(1, "/use");
    weft_upstream_release(&upstream, conn);
    pass_ms(WAIT_MS);
    collect();
    assert_int_equal(answers[1].status, 0); /* it waits for the post */
    run_posts();
    collect();
    assert_int_equal(answers[1].status, weft_rc_status((weft_rc)-ETIMEDOUT));
    assert_int_equal(atomic_load(&upstream.out), 0);
}

static void told_of_the_end(void **state)
{
    (void)state;
    uint32_t conn = take_it();
    get(1, "/use");
    assert_int_equal(weft_upstream_close(&upstream, 0), WEFT_EDEADLINE);
    run_posts();
    get(2, "/use");
    collect();
    assert_int_equal(answers[1].status, 500);
    assert_int_equal(answers[2].status, 500);
    weft_upstream_release(&upstream, conn);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(in_turn, open_all, close_all),
        cmocka_unit_test_setup_teardown(beyond_the_queue, open_all, close_all),
        cmocka_unit_test_setup_teardown(canceled_in_the_queue, open_all, close_all),
        cmocka_unit_test_setup_teardown(canceled_on_the_way, open_all, close_all),
        cmocka_unit_test_setup_teardown(late_on_the_way, open_all, close_all),
        cmocka_unit_test_setup_teardown(told_of_the_end, open_all, close_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
