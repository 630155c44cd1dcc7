/* chain_test.c - middleware: what runs before and after a handler, and what it leaves in slots;
 * over HTTP/1 in memory. */
#include "demo_routes.h"
#include "http/h1.h"
#include "http/middleware.h"
#include <stdio.h>

WEFT_SLOT(user_id, uint64_t);
WEFT_SLOT(flag, uint8_t);

static char trace[64]; /* what ran, in order */

static void note(char what)
{
    size_t len = strlen(trace);
    assert_true(len + 1 < sizeof(trace));
    trace[len] = what;
}

#define NOTE(name, letter, verdict)                                                                \
    static weft_rc name(weft_req *rq)                                                              \
    {                                                                                              \
        (void)rq;                                                                                  \
        note(letter);                                                                              \
        return verdict;                                                                            \
    }
NOTE(before_a, 'a', WEFT_NEXT)
NOTE(before_b, 'b', WEFT_NEXT)
NOTE(before_refuses, 'r', WEFT_ENOTFOUND)

static weft_rc before_answers(weft_req *rq)
{
    note('w');
    return weft_text(rq, 403, WEFT_S("no"));
}

static void after_a(weft_req *rq)
{
    note('A');
    assert_int_not_equal(weft_answered(rq), 0); /* also when the handler failed */
}

static void after_b(weft_req *rq)
{
    note('B');
    assert_int_equal(weft_set_header(rq, WEFT_S("X-B"), WEFT_S("1")), 0);
}

static weft_rc handler_h(weft_req *rq)
{
    note('h');
    return weft_text(rq, 200, WEFT_S("h"));
}

static weft_rc handler_fails(weft_req *rq)
{
    (void)rq;
    note('f');
    return WEFT_ENOMEM;
}

static weft_rc set_user(weft_req *rq)
{
    assert_int_equal(*weft_slot(rq, user_id), 0); /* nothing of an earlier request */
    assert_int_equal(*weft_slot(rq, flag), 0);
    weft_str id = weft_header(rq, "X-User");
    if (id.len > 0 && weft_str_to_u64(id, weft_slot(rq, user_id)) == 0)
        *weft_slot(rq, flag) = 1;
    return WEFT_NEXT;
}

static weft_rc say_user(weft_req *rq)
{
    weft_str text = weft_format(rq, "user %llu flag %d",
                                (unsigned long long)*weft_slot(rq, user_id), *weft_slot(rq, flag));
    return weft_text(rq, 200, text);
}

static const struct seam_route routes[] = {
    DEMO_ROUTES,
    {"GET", "/order", handler_h, 0, 0, {before_a, before_b}, {after_a, after_b}},
    {"GET", "/fails", handler_fails, 0, 0, {before_a, before_b}, {after_a, after_b}},
    {"GET",
     "/early",
     handler_h,
     0,
     0,
     {before_a, before_answers, before_b},
     {after_a, NULL, after_b}},
    {"GET", "/refused", handler_h, 0, 0, {before_refuses, before_b}, {after_a, after_b}},
    {"GET", "/who", say_user, 0, 0, {set_user}},
    {"GET", "/named", handler_h, 0, 0, {weft_request_id_before}},
    {"GET", "/r/{x:(a+)+b}", handler_h},
};

static int open_chain(void **state)
{
    (void)state;
    seam_open(&weft_h1, routes, WEFT_COUNT_OF(routes), 8);
    return 0;
}

static int close_chain(void **state)
{
    (void)state;
    assert_nothing_is_held();
    seam_close();
    return 0;
}

static void ask(const char *request)
{
    wire_open();
    memset(trace, 0, sizeof(trace));
    feed_text(request);
    sleep_it_out();
}

static void before_in_order_and_after_in_reverse(void **state) /* shows MW-01 */
{
    (void)state;
    ask(GET("/order"));
    assert_string_equal(trace, "abhBA");
    assert_true(output_has("X-B: 1\r\n"));
    ask(GET("/fails"));
    assert_string_equal(trace, "abfBA");
    assert_true(output_begins("HTTP/1.1 503 "));
}

static void an_early_verdict_ends_it_there(void **state) /* shows MW-01 */
{
    (void)state;
    ask(GET("/early"));
    assert_string_equal(trace, "awA"); /* not b, not h; the afters of who had run */
    assert_true(output_begins("HTTP/1.1 403 "));
    ask(GET("/refused"));
    assert_string_equal(trace, "rA");
    assert_true(output_begins("HTTP/1.1 404 "));
}

static void slots_are_zero_for_every_request(void **state) /* shows MW-02 MW-03 */
{
    (void)state;
    ask("GET /who HTTP/1.1\r\nHost: a\r\nX-User: 123\r\n\r\n" GET(
        "/who") "GET /who HTTP/1.1\r\nHost: a\r\nX-User: 7\r\n\r\n" GET("/who"));
    assert_int_equal(output_count("user 123 flag 1"), 1);
    assert_int_equal(output_count("user 7 flag 1"), 1);
    assert_int_equal(output_count("user 0 flag 0"), 2);
    assert_true(weft_slots_registered() >= 9);
}

static void middleware_takes_no_memory(void **state) /* shows MW-01 */
{
    (void)state;
    ask(GET("/order") GET("/order") GET("/order"));
    for (size_t i = 0; i < WEFT_CHUNK_CLASSES; i++)
        assert_int_equal(seam.loop.chunks.pools[i].free.fresh,
                         0); /* not one chunk was ever taken */
}

/* Two to the power of 40 ways to fail: it gives up, and is counted. */
static void an_expression_that_takes_too_long(void **state)
{
    (void)state;
    ask(GET("/r/aab"));
    assert_true(output_begins("HTTP/1.1 200 "));
    assert_int_equal(counted(WEFT_COUNTER_ROUTER_REGEX_LIMIT), 0);
    ask(GET("/r/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaabc"));
    assert_true(output_begins("HTTP/1.1 404 "));
    assert_int_equal(counted(WEFT_COUNTER_ROUTER_REGEX_LIMIT), 1);
}

/* Bytes that come although receiving was switched off: what a kernel had on its way. */
static void input_behind_a_waiting_request_has_an_end(void **state)
{
    (void)state;
    wire_open();
    feed_text(GET("/nap"));
    uint32_t queued = 0;
    for (; queued < 120 && counted(WEFT_COUNTER_INPUT_QUEUE_FULL) == 0; queued++) {
        seam.wire.in_at = 0; /* a whole buffer each time: small ones are joined */
        seam.wire.in_len = 8192;
        wire_deliver();
    }
    assert_int_equal(counted(WEFT_COUNTER_INPUT_QUEUE_FULL), 1);
    assert_in_range(queued, WEFT_H1_QUEUE_MAX, WEFT_H1_QUEUE_MAX + 2);
    sleep_it_out();
    assert_true(seam.wire.closed);
}

/* The client's own name for its request, where that is not too long; else a new one. */
static void a_request_id_has_an_end(void **state)
{
    (void)state;
    enum { MOST = 128 };
    char id[MOST + 2], request[300], line[200];
    for (size_t len = MOST; len <= MOST + 1; len++) {
        memset(id, 'i', len);
        id[len] = 0;
        snprintf(request, sizeof(request),
                 "GET /named HTTP/1.1\r\nHost: a\r\nX-Request-ID: %s\r\n\r\n", id);
        snprintf(line, sizeof(line), "\r\nX-Request-ID: %s\r\n", id);
        ask(request);
        assert_int_equal(output_has(line), len <= MOST);
        assert_true(output_has("\r\nX-Request-ID: "));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CHAIN_TEST(name) cmocka_unit_test_setup_teardown(name, open_chain, close_chain)
        CHAIN_TEST(before_in_order_and_after_in_reverse),
        CHAIN_TEST(an_early_verdict_ends_it_there),
        CHAIN_TEST(slots_are_zero_for_every_request),
        CHAIN_TEST(middleware_takes_no_memory),
        CHAIN_TEST(an_expression_that_takes_too_long),
        CHAIN_TEST(a_request_id_has_an_end),
        CHAIN_TEST(input_behind_a_waiting_request_has_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
