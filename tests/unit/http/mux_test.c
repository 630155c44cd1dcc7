/* mux_test.c - several requests at once on one connection, over the handlers and the service that
 * HTTP/1 uses: nothing above the seam knows which of the two it is called by. */
#include "demo_routes.h"
#include "mux_client.h"
#include <stdlib.h>

WEFT_SLOT(visits, uint64_t);

static weft_rc count_visit(weft_req *rq)
{
    (*weft_slot(rq, visits))++;
    return WEFT_NEXT;
}

static weft_rc say_visits(weft_req *rq)
{
    weft_str text = weft_format(rq, "%llu", (unsigned long long)*weft_slot(rq, visits));
    return weft_text(rq, 200, text);
}

static void add_header(weft_req *rq)
{
    weft_ignore(weft_set_header(rq, WEFT_S("X-After"), WEFT_S("yes"))); /* the test looks for it */
}

static weft_rc say_request(weft_req *rq)
{
    weft_str query = weft_query(rq), id = weft_header(rq, "x-id"), path = weft_path(rq);
    weft_str peer = weft_peer(rq);
    weft_str text = weft_format(rq, "%.*s|%.*s|%.*s|%.*s", (int)path.len, path.ptr, (int)query.len,
                                query.ptr, (int)id.len, id.ptr, (int)peer.len, peer.ptr);
    return weft_text(rq, 200, text);
}

static const struct seam_route routes[] = {
    DEMO_ROUTES,
    {"GET", "/visits", say_visits, 0, 0, {count_visit, count_visit}, {add_header}},
    {"GET", "/say/{what}", say_request},
};

static int open_mux(void **state)
{
    (void)state;
    open_demo(&mux_protocol, routes, WEFT_COUNT_OF(routes), MUX_STREAMS);
    return 0;
}

/* ---- what it shows ---- */

static void the_same_handlers_answer(void **state)
{
    (void)state;
    get(1, "/");
    get(2, "/user/7");
    get(3, "/nowhere");
    get(4, "/say/it%21?a=b&c");
    get(5, "/silent");
    get(6, "/file");
    send_frame(7, 'H', "DELETE /\n");
    send_frame(8, 'H', "HEAD /large\n");
    sleep_it_out();
    collect();
    assert_true(body_is(1, "Hello, World!"));
    assert_string_equal(answers[1].head, "200\ntext/plain\n");
    assert_true(body_is(2, "{\"id\":7}"));
    assert_int_equal(answers[3].status, 404);
    assert_true(body_is(4, "/say/it!|a=b&c|4|memory"));
    assert_int_equal(answers[5].status, 500);
    assert_int_equal(answers[6].len, 4999);
    assert_int_equal(answers[7].status, 405);
    assert_non_null(strstr(answers[7].head, "Allow: GET, HEAD, OPTIONS\n"));
    assert_true(body_is(8, ""));
    assert_false(seam.wire.closed);
    assert_nothing_is_held();
}

static void middleware_runs_and_its_slots_are_the_requests_own(void **state) /* shows MW-02 */
{
    (void)state;
    for (int round = 0; round < 3; round++) {
        wire_open();
        for (uint8_t id = 1; id <= MUX_STREAMS; id++)
            get(id, "/visits");
        collect();
        for (uint8_t id = 1; id <= MUX_STREAMS; id++) {
            assert_true(body_is(id, "2"));
            assert_non_null(strstr(answers[id].head, "X-After: yes\n"));
        }
        assert_nothing_is_held();
    }
}

static void a_quick_one_overtakes_a_sleeping_one(void **state)
{
    (void)state;
    get(1, "/nap");
    get(2, "/");
    collect();
    assert_int_equal(answers[1].status, 0);
    assert_true(body_is(2, "Hello, World!"));
    pass_ms(10);
    collect();
    assert_true(body_is(1, "slept"));
    assert_nothing_is_held();
}

static void large_answers_interleave(void **state)
{
    (void)state;
    seam.wire.sends = WIRE_STUCK;
    for (uint8_t id = 1; id <= 4; id++)
        get(id, "/large");
    seam.wire.sends = WIRE_LATER;
    sleep_it_out();
    collect();
    for (uint8_t id = 1; id <= 4; id++) {
        assert_true(answers[id].ended);
        assert_int_equal(answers[id].len, sizeof(large_body));
    }
    assert_true(turns > 20); /* and not one behind the other */
    assert_nothing_is_held();
}

static void bodies_come_in_pieces_of_several_requests(void **state)
{
    (void)state;
    for (uint8_t id = 1; id <= 4; id++)
        send_frame(id, 'H', id % 2 ? "POST /echo\n" : "POST /body\n");
    for (int i = 0; i < 10; i++) {
        for (uint8_t id = 1; id <= 4; id++) {
            char text[2] = {(char)('a' + id), 0};
            send_frame(id, 'D', text);
        }
    }
    assert_int_equal(seam.loop.tasks.waiting, 4);
    for (uint8_t id = 4; id >= 1; id--)
        send_frame(id, 'E', "");
    collect();
    assert_true(body_is(1, "bbbbbbbbbb"));
    assert_true(body_is(2, "10:cccccccccc"));
    assert_true(body_is(3, "dddddddddd"));
    assert_true(body_is(4, "10:eeeeeeeeee"));
    assert_nothing_is_held();
}

static void streams_sleep_and_end_with_trailers(void **state)
{
    (void)state;
    seam.wire.sends = WIRE_LATER;
    for (uint8_t id = 1; id <= MUX_STREAMS; id++)
        get(id, "/stream");
    for (int i = 0; i < 10; i++) {
        pass_ms(1);
    }
    collect();
    for (uint8_t id = 1; id <= MUX_STREAMS; id++) {
        assert_true(answers[id].ended);
        assert_string_equal(answers[id].trailers, "X-Lines: 600\n");
        assert_memory_equal(answers[id].body, "Chunk 0\nChunk 1\n", 16);
        assert_memory_equal(answers[id].body + answers[id].len - 10, "Chunk 599\n", 10);
    }
    assert_nothing_is_held();
}

static void limits_and_deadlines_hold(void **state)
{
    (void)state;
    send_frame(1, 'H', "POST /small\n");
    send_frame(1, 'D', "01234567890");
    get(2, "/oom");
    get(3, "/hurry");
    pass_ms(5);
    collect();
    assert_int_equal(answers[1].status, 413);
    assert_int_equal(answers[2].status, 503);
    assert_non_null(strstr(answers[2].head, "Retry-After: 1\n"));
    assert_int_equal(answers[3].status, 503);
    assert_int_equal(counted(WEFT_COUNTER_TIMEOUTS_REQUEST), 1);
    assert_nothing_is_held();
}

/* HTTP/1's own: another protocol has no place for ready-made bytes. */
static void raw_bytes_are_not_for_this_protocol(void **state)
{
    (void)state;
    get(1, "/raw");
    collect();
    assert_int_equal(answers[1].status, 501);
    assert_nothing_is_held();
}

static void giving_up_one_leaves_the_others(void **state) /* shows FD-12 */
{
    (void)state;
    get(1, "/defer-nap");
    get(2, "/defer-nap");
    send_frame(3, 'H', "POST /body\n");
    assert_int_equal(seam.loop.tasks.waiting, 3);
    send_frame(1, 'R', "");
    send_frame(3, 'R', "");
    assert_int_equal(seam.loop.tasks.waiting, 1);
    assert_int_equal(deferred, 1);
    pass_ms(10);
    collect();
    assert_true(body_is(2, "deferred"));
    assert_int_equal(deferred, 2);
    assert_nothing_is_held();
}

static void a_lost_connection_cancels_them_all(void **state) /* shows FD-12 */
{
    (void)state;
    static const char *const paths[] = {"/defer-nap", "/defer-stream", "/large", "/give"};
    for (int k = 1; k <= 8; k++) {
        for (int sends = WIRE_NOW; sends <= WIRE_LATER; sends++) {
            wire_open();
            seam.wire.sends = (enum wire_sends)sends;
            for (uint8_t id = 1; id <= k; id++)
                get(id, paths[id % WEFT_COUNT_OF(paths)]);
            hang_up((weft_rc)-ECONNRESET);
            assert_true(seam.wire.closed);
            assert_nothing_is_held();
            assert_int_equal(deferred + released, given);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define MUX_TEST(name) cmocka_unit_test_setup_teardown(name, open_mux, seam_end)
        MUX_TEST(the_same_handlers_answer),
        MUX_TEST(middleware_runs_and_its_slots_are_the_requests_own),
        MUX_TEST(a_quick_one_overtakes_a_sleeping_one),
        MUX_TEST(large_answers_interleave),
        MUX_TEST(bodies_come_in_pieces_of_several_requests),
        MUX_TEST(streams_sleep_and_end_with_trailers),
        MUX_TEST(limits_and_deadlines_hold),
        MUX_TEST(raw_bytes_are_not_for_this_protocol),
        MUX_TEST(giving_up_one_leaves_the_others),
        MUX_TEST(a_lost_connection_cancels_them_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
