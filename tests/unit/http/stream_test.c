/* stream_test.c - answers in pieces and from a source: their framing, what they hold while they
 * wait, and what becomes of them when they end early or fail. */
#include "stream_routes.h"
#include "http/h1.h"

static const struct seam_route routes[] = {DEMO_ROUTES, STREAM_ROUTES};

static int open_seam(void **state)
{
    (void)state;
    open_demo(&weft_h1, routes, WEFT_COUNT_OF(routes), 8);
    return 0;
}

static void a_file_is_a_piece_of_a_stream(void **state)
{
    (void)state;
    feed_text(GET("/pieces-chunked"));
    assert_true(output_has("Transfer-Encoding: chunked\r\n"));
    assert_true(output_has("0007\r\nbefore \r\n7d0\r\nPPP"));
    assert_true(output_has("PPP\r\n0009\r\n between \r\n1\r\nP\r\n0\r\n\r\n"));
    assert_nothing_is_held();
}

/* shows SF-10: while its client takes nothing it is not asked; and then holds one block. */
static void a_source_holds_no_stack_and_no_buffer(void **state)
{
    (void)state;
    seam.wire.sends = WIRE_STUCK;
    feed_text(GET("/source?pauses"));
    assert_non_null(seam.wire.conn);
    seam.wire.sends = WIRE_LATER;
    assert_true(wire_complete()); /* the head */
    assert_int_equal(seam.loop.tasks.waiting, 0);
    assert_int_equal(weft_pool_used(&seam.loop.blocks), 1);
    assert_int_equal(weft_pool_used(&seam.loop.bufs.pool), 0);
    size_t before = seam.wire.out_len;
    assert_true(wire_complete());
    assert_int_equal(seam.wire.out_len - before, 199 * LINE_BYTES + CHUNK_FRAME_BYTES);
    assert_int_equal(weft_pool_used(&seam.loop.blocks), 0); /* there is nothing to send */
    hang_up((weft_rc)-ECONNRESET);
    assert_int_equal(released, 1);
    assert_nothing_is_held();
}

static void a_source_is_asked_again_later(void **state)
{
    (void)state;
    feed_text(GET("/source?pauses"));
    assert_true(output_has("Line 0198\n"));
    assert_false(output_has("Line 0199\n"));
    assert_int_equal(weft_pool_used(&seam.loop.blocks), 0);
    assert_int_equal(weft_pool_used(&seam.loop.bufs.pool), 0);
    pass_ms(9);
    assert_false(output_has("Line 0199\n"));
    pass_ms(1);
    assert_true(output_has("Line 0398\n"));
    feed_text(GET("/")); /* it may be sent, and waits */
    for (int i = 0; i < 30; i++)
        pass_ms(10);
    assert_true(output_has("Line 5999\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n"));
    assert_true(output_has("Hello, World!"));
    assert_int_equal(released, 1);
    assert_nothing_is_held();
}

/* Its client has closed, which alone says only that it will send no more. */
static void a_silent_source_does_not_wait_for_nobody(void **state)
{
    (void)state;
    uint64_t write_ms = seam.site.limits.write_ms;
    feed_text(GET("/source-silent"));
    for (uint64_t ms = 0; ms < 2 * write_ms; ms += 1000)
        pass_ms(1000);
    assert_non_null(seam.wire.conn); /* it is there, and waits */
    hang_up(0);
    pass_ms(10);
    assert_int_equal(released, 1);
    assert_true(seam.wire.closed);
    wire_open();
    feed_text(GET("/source-silent"));
    hang_up(0);
    pass_ms(write_ms - 1);
    assert_non_null(seam.wire.conn); /* something may still come, and be read */
    pass_ms(10);
    assert_int_equal(released, 2);
    assert_nothing_is_held();
}

static void a_source_that_fails_is_broken_off(void **state)
{
    (void)state;
    feed_text(GET("/source-fails"));
    assert_true(output_has("Line 0200\n"));
    assert_false(output_has("\r\n0\r\n"));
    assert_true(seam.wire.closed);
    wire_open();
    feed_text(GET("/source-short"));
    assert_true(output_has("Content-Length: 3010\r\n"));
    assert_true(seam.wire.closed);
    assert_int_equal(counted(WEFT_COUNTER_STREAMS_BROKEN), 2);
    assert_int_equal(released, 2);
    assert_nothing_is_held();
}

static void a_stream_may_have_a_length(void **state)
{
    (void)state;
    feed_text("GET /pieces HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_true(output_has("Content-Length: 2017\r\n"));
    assert_true(output_has("\r\n\r\nbefore PPP"));
    assert_true(output_has("PPP between P"));
    assert_false(output_has("chunked"));
    assert_false(seam.wire.closed);
    assert_nothing_is_held();
}

/* The client counts on what was announced: it must be able to tell. */
static void a_stream_that_ends_early_is_broken_off(void **state)
{
    (void)state;
    feed_text(GET("/too-short") GET("/"));
    assert_true(output_has("Content-Length: 2018\r\n"));
    assert_true(seam.wire.closed);
    assert_int_equal(output_count("HTTP/1.1 "), 1);
    assert_int_equal(counted(WEFT_COUNTER_STREAMS_BROKEN), 1);
    assert_nothing_is_held();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define STREAM_TEST(name) cmocka_unit_test_setup_teardown(name, open_seam, seam_end)
        STREAM_TEST(a_file_is_a_piece_of_a_stream),
        STREAM_TEST(a_source_holds_no_stack_and_no_buffer),
        STREAM_TEST(a_source_is_asked_again_later),
        STREAM_TEST(a_silent_source_does_not_wait_for_nobody),
        STREAM_TEST(a_source_that_fails_is_broken_off),
        STREAM_TEST(a_stream_may_have_a_length),
        STREAM_TEST(a_stream_that_ends_early_is_broken_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
