/* seam_test.c - HTTP/1 over a transport in memory: the same requests, cut at every place, delayed,
 * broken off and left alone at every step, give the same answers and leave nothing behind.
 */
#include "stream_routes.h"
#include "base/fmt.h"
#include "http/h1.h"
#include <stdlib.h>

/* The seam's routes may hold 64 KiB, 32 of it by malloc. */
static weft_rc charge(weft_req *rq)
{
    const size_t heap = 32 << 10, piece = 12 << 10; /* a chunk of 16 KiB each */
    assert_int_equal(weft_charge(rq, heap + 1), WEFT_ENOMEM);
    WEFT_TRY(weft_charge(rq, heap));
    assert_int_equal(weft_charge(rq, 1), WEFT_ENOMEM);
    assert_int_equal(seam.loop.chunks.heap, heap);
    assert_non_null(weft_alloc(rq, piece)); /* the arena has the other half */
    assert_non_null(weft_alloc(rq, piece));
    assert_null(weft_alloc(rq, piece));
    weft_refund(rq, heap - 1000);
    assert_non_null(weft_alloc(rq, piece));
    assert_int_equal(weft_charge(rq, heap - 1000), WEFT_ENOMEM);
    return weft_text(rq, 200, WEFT_S("charged"));
}

static weft_rc headers(weft_req *rq)
{
    static const weft_str names[WEFT_OUT_FIELDS_INLINE] = {WEFT_S("A"), WEFT_S("B"), WEFT_S("C"),
                                                           WEFT_S("D")};
    for (size_t i = 0; i < WEFT_COUNT_OF(names); i++)
        WEFT_TRY(weft_set_header(rq, names[i], WEFT_S("1")));
    while (weft_alloc(rq, 512) != NULL)
        ;
    return WEFT_ENOMEM;
}

static const struct seam_route routes[] = {DEMO_ROUTES,
                                           STREAM_ROUTES,
                                           {"GET", "/hurry-large", large, 0, 5},
                                           {"GET", "/charge", charge},
                                           {"GET", "/headers", headers}};

static int open_seam(void **state)
{
    (void)state;
    open_demo(&weft_h1, routes, WEFT_COUNT_OF(routes), 8);
    return 0;
}

/* What clients send: alone, pipelined, good and bad. */
static const char *const scripts[] = {
    GET("/"),
    GET("/") GET("/") GET("/user/7"),
    GET("/user/123456789") GET("/"), /* a longer one before a shorter one */
    GET("/nap") GET("/") GET("/nap"),
    "\r\n" GET("/"),
    "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" GET("/"),
    "GET / HTTP/1.0\r\n\r\n",
    "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" GET("/"),
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" GET("/user/9"),
    POST("/body") "Content-Length: 5\r\n\r\nhello" GET("/"),
    POST("/body") "Content-Length: 0\r\n\r\n" GET("/"),
    POST("/body") "\r\n" GET("/"),
    POST("/body") "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;a=b\r\n!\r\n0\r\nX: "
                  "y\r\n\r\n" GET("/"),
    POST("/echo") "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" GET("/"),
    POST("/echo") "Content-Length: 12\r\n\r\nhello, world" GET("/nap"),
    POST("/ignore") "Content-Length: 5\r\n\r\nhello" GET("/"),
    POST("/ignore") "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" GET("/"),
    POST("/nap") "Content-Length: 5\r\n\r\nhello" GET("/"),
    GET("/stream") GET("/"),
    "GET /stream HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n" GET("/"),
    "GET /stream HTTP/1.0\r\n\r\n",
    "HEAD /stream HTTP/1.1\r\nHost: a\r\n\r\n" GET("/"),
    GET("/large") GET("/"),
    GET("/large-write") GET("/"),
    "GET /large-write HTTP/1.0\r\n\r\n",
    GET("/large-head") GET("/"),
    GET("/") GET("/large-head"),
    GET("/give") GET("/give-twice") GET("/"),
    GET("/defer") GET("/defer-error") GET("/defer-nap") GET("/defer-stream"),
    GET("/file") GET("/"),
    "HEAD /file HTTP/1.1\r\nHost: a\r\n\r\n" GET("/"),
    GET("/pieces") GET("/"),
    GET("/") GET("/pieces-chunked") GET("/"),
    "HEAD /pieces HTTP/1.1\r\nHost: a\r\n\r\n" GET("/"),
    "GET /pieces HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" GET("/"),
    "GET /pieces-chunked HTTP/1.0\r\n\r\n",
    GET("/too-short") GET("/"),
    GET("/") GET("/source") GET("/"),
    GET("/source-sized") GET("/"),
    "HEAD /source HTTP/1.1\r\nHost: a\r\n\r\n" GET("/source-twice") GET("/"),
    "GET /source HTTP/1.0\r\n\r\n",
    "GET /source-sized HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" GET("/"),
    GET("/source-short") GET("/"),
    GET("/source-fails") GET("/"),
    GET("/raw") GET("/"),
    GET("/silent") GET("/oom") GET("/empty") GET("/hurry"),
    GET("/nowhere") GET("/user/x") "DELETE / HTTP/1.1\r\nHost: a\r\n\r\n",
    "OPTIONS / HTTP/1.1\r\nHost: a\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET http://b/user/%37 HTTP/1.1\r\nHost: a\r\n\r\n",
    POST("/small") "Content-Length: 10\r\n\r\n0123456789" GET("/"),
    POST("/small") "Content-Length: 11\r\n\r\n01234567890" GET("/"),
    POST("/small") "Transfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n" GET("/"),
    POST("/body") "Transfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n",
    POST("/body") "Transfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n",
    POST("/body") "Transfer-Encoding: gzip\r\n\r\n",
    POST("/body") "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello",
    "GET / HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
    "GET / HTTP/1.1\nHost: a\n\n",
    "GET / HTTP/1.1\rHost: a\r\n\r\n",
    "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
    GET("/") "G@T / HTTP/1.1\r\nHost: a\r\n\r\n" GET("/"),
    "GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n",
};

/* Answers with their chunking undone: how a stream is cut into chunks follows how its bytes came.
 */
static size_t unchunk(char *to)
{
    const char *from = seam.wire.out;
    size_t len = 0, at = 0, from_len = seam.wire.out_len;
    const char *mark = "Transfer-Encoding: chunked\r\n";
    while (at < from_len) {
        const char *head_end = memmem(from + at, from_len - at, "\r\n\r\n", 4);
        size_t head = head_end == NULL ? from_len - at : (size_t)(head_end + 4 - from) - at;
        bool chunked = memmem(from + at, head, mark, strlen(mark)) != NULL;
        memcpy(to + len, from + at, head);
        len += head, at += head;
        size_t size = 1;
        while (chunked && at < from_len && size > 0 && from[at] != 'H') {
            char *line_end = NULL;
            size = strtoul(from + at, &line_end, 16);
            at = (size_t)(line_end + 2 - from);
            if (size > from_len - at)
                break;
            memcpy(to + len, from + at, size);
            len += size;
            at += size > 0 ? size + 2 : 0;
        }
    }
    return len;
}

struct outcome {
    bool closed;
    size_t len;
    char text[WIRE_BYTES];
};

static void finish(struct outcome *out)
{
    sleep_it_out();
    out->closed = seam.wire.closed;
    out->len = unchunk(out->text);
    if (seam.wire.conn != NULL) { /* a head that stays half: it is closed like that */
        hang_up((weft_rc)-ECONNRESET);
        sleep_it_out();
    }
    assert_nothing_is_held();
    assert_int_equal(deferred + released, given);
}

static void serve_whole(const char *script, struct outcome *out)
{
    wire_open();
    feed_text(script);
    finish(out);
}

static void assert_same(const char *script, size_t at, const struct outcome *a,
                        const struct outcome *b)
{
    if (a->len == b->len && memcmp(a->text, b->text, a->len) == 0 && a->closed == b->closed)
        return;
    print_error("cut at %zu of:\n%s\n--- whole (%s):\n%.*s\n--- cut (%s):\n%.*s\n", at, script,
                a->closed ? "closed" : "open", (int)WEFT_MIN(a->len, 2000), a->text,
                b->closed ? "closed" : "open", (int)WEFT_MIN(b->len, 2000), b->text);
    fail();
}

static struct outcome whole, cut;

static void every_split_gives_the_same_answers(void **state)
{
    (void)state;
    for (size_t s = 0; s < WEFT_COUNT_OF(scripts); s++) {
        size_t len = strlen(scripts[s]);
        serve_whole(scripts[s], &whole);
        if (whole.len == 0)
            fail_msg("no answer to:\n%s", scripts[s]);
        for (size_t at = 1; at < len; at++) {
            wire_open();
            feed(scripts[s], at);
            feed(scripts[s] + at, len - at);
            finish(&cut);
            assert_same(scripts[s], at, &whole, &cut);
        }
    }
}

#if defined(WEFT_CHECKED) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CLOSE_LOOK true
#else
#define CLOSE_LOOK false
#endif

/* A head in pieces behind a head in pieces: what is kept of the first must not show in the second.
 */
static void two_cuts_give_the_same_answers(void **state)
{
    (void)state;
    for (size_t s = 0; s < WEFT_COUNT_OF(scripts); s++) {
        size_t len = strlen(scripts[s]);
        serve_whole(scripts[s], &whole);
        /* Long answers take long, and differ no more; so do all in a build that looks closely. */
        size_t step = whole.len > 1000 ? 13 : CLOSE_LOOK ? 7 : 1;
        for (size_t a = 1; a + 1 < len && len < 100; a++) {
            for (size_t b = a + 1; b < len; b += step) {
                wire_open();
                feed(scripts[s], a);
                feed(scripts[s] + a, b - a);
                feed(scripts[s] + b, len - b);
                finish(&cut);
                assert_same(scripts[s], a, &whole, &cut);
            }
        }
    }
}

static void byte_by_byte_gives_the_same_answers(void **state)
{
    (void)state;
    for (size_t s = 0; s < WEFT_COUNT_OF(scripts); s++) {
        serve_whole(scripts[s], &whole);
        for (int now = 0; now < 2;
             now++) { /* with and without a transport that has bytes at once */
            wire_open();
            seam.wire.has_now = now;
            seam.wire.piece_bytes = 1;
            feed_text(scripts[s]);
            finish(&cut);
            assert_same(scripts[s], 1, &whole, &cut);
        }
    }
}

static void sends_that_are_over_later_give_the_same_answers(void **state)
{
    (void)state;
    for (size_t s = 0; s < WEFT_COUNT_OF(scripts); s++) {
        serve_whole(scripts[s], &whole);
        for (size_t piece = 1; piece < 8192; piece = piece * 7 + 3) {
            wire_open();
            seam.wire.sends = WIRE_LATER;
            seam.wire.piece_bytes = piece;
            feed_text(scripts[s]);
            finish(&cut);
            assert_same(scripts[s], piece, &whole, &cut);
        }
    }
}

/* shows FD-12: finish() holds the deferred calls against the ones handed over */
static void a_send_that_fails_leaves_nothing_behind(void **state)
{
    (void)state;
    for (size_t s = 0; s < WEFT_COUNT_OF(scripts); s++) {
        for (int sends = WIRE_NOW; sends <= WIRE_LATER; sends++) {
            int sends_max = 1;
            for (int fail = 0; fail <= sends_max; fail++) { /* 0: none, to count them */
                wire_open();
                seam.wire.sends = (enum wire_sends)sends;
                seam.wire.fail_send = fail;
                feed_text(scripts[s]);
                finish(&cut);
                if (fail == 0)
                    sends_max = seam.wire.send_count;
                assert_int_equal(seam.wire.send_count, fail == 0 ? sends_max : fail);
                assert_true(fail == 0 || cut.closed);
            }
        }
    }
}

static void a_client_that_goes_at_any_byte_leaves_nothing_behind(void **state)
{
    (void)state;
    const weft_rc ends[] = {0, (weft_rc)-ECONNRESET};
    for (size_t s = 0; s < WEFT_COUNT_OF(scripts); s++) {
        size_t len = strlen(scripts[s]);
        for (size_t k = 0; k <= len; k++) {
            for (int how = 0; how < 6; how++) {
                wire_open();
                seam.wire.sends = (enum wire_sends)(how / 2);
                feed(scripts[s], k);
                hang_up(ends[how % 2]);
                if (seam.wire.sends == WIRE_STUCK)
                    pass_ms(seam_limits.write_ms + 1);
                sleep_it_out();
                if (seam.wire.sends == WIRE_STUCK)
                    pass_ms(seam_limits.write_ms + 1);
                assert_true(seam.wire.closed);
                assert_nothing_is_held();
                assert_int_equal(deferred + released, given);
            }
        }
    }
}

/* ---- time ---- */

static void a_slow_head_is_answered_408(void **state)
{
    (void)state;
    feed_text("GET / HTTP/1.1\r\nHo");
    pass_ms(seam_limits.header_ms - 100);
    feed_text("st: a\r\n"); /* a byte now and then puts nothing off */
    assert_int_equal(seam.wire.out_len, 0);
    pass_ms(100);
    assert_true(output_begins("HTTP/1.1 408 "));
    assert_true(output_has("Connection: close\r\n"));
    assert_true(seam.wire.closed);
    assert_int_equal(counted(WEFT_COUNTER_TIMEOUTS_HEADER), 1);
    assert_nothing_is_held();
}

static void a_slow_head_behind_a_good_one(void **state)
{
    (void)state;
    feed_text(GET("/") "GET / HTTP/1.1\r\n");
    assert_true(output_begins("HTTP/1.1 200 "));
    pass_ms(seam_limits.header_ms);
    assert_int_equal(output_count("HTTP/1.1 408 "), 1);
    assert_true(seam.wire.closed);
    assert_nothing_is_held();
}

static void a_slow_body_is_answered_408(void **state)
{
    (void)state;
    feed_text(POST("/body") "Content-Length: 1000\r\n\r\n0123456789");
    pass_ms(seam_limits.body_grace_ms - 1);
    assert_int_equal(seam.wire.out_len, 0);
    pass_ms(200); /* ten bytes at 100 a second have earned 100 ms */
    assert_true(output_begins("HTTP/1.1 408 "));
    assert_true(seam.wire.closed);
    assert_int_equal(counted(WEFT_COUNTER_TIMEOUTS_BODY), 1);
    assert_nothing_is_held();
}

static void a_steady_body_is_served(void **state)
{
    (void)state;
    feed_text(POST("/body") "Content-Length: 1000\r\n\r\n");
    for (int i = 0; i < 100; i++) {
        pass_ms(95);
        feed_text("0123456789");
    }
    assert_true(output_begins("HTTP/1.1 200 "));
    assert_false(seam.wire.closed);
    assert_nothing_is_held();
}

static void an_answer_that_is_not_taken_ends_the_connection(void **state)
{
    (void)state;
    const char *const requests[] = {GET("/"),     GET("/large"),          GET("/stream"),
                                    GET("/file"), GET("/defer") GET("/"), GET("/") GET("/nap")};
    for (size_t i = 0; i < WEFT_COUNT_OF(requests); i++) {
        wire_open();
        seam.wire.sends = WIRE_STUCK;
        feed_text(requests[i]);
        pass_ms(seam_limits.write_ms - 1);
        assert_false(seam.wire.closed);
        pass_ms(2);
        assert_true(seam.wire.closed);
        assert_int_equal(counted(WEFT_COUNTER_TIMEOUTS_WRITE), i + 1);
        assert_nothing_is_held();
    }
    assert_int_equal(deferred, given);
}

static void a_route_has_a_deadline(void **state)
{
    (void)state;
    feed_text(GET("/hurry") GET("/"));
    pass_ms(4);
    assert_int_equal(seam.wire.out_len, 0);
    pass_ms(1);
    assert_true(output_begins("HTTP/1.1 503 "));
    assert_int_equal(output_count("HTTP/1.1 200 "), 1); /* the connection goes on */
    assert_int_equal(counted(WEFT_COUNTER_TIMEOUTS_REQUEST), 1);
    assert_nothing_is_held();
}

static void a_deadline_holds_for_the_answer_too(void **state)
{
    (void)state;
    seam.wire.sends = WIRE_STUCK;
    feed_text(GET("/hurry-large"));
    pass_ms(4);
    assert_false(seam.wire.closed);
    pass_ms(1); /* long before write_ms */
    assert_true(seam.wire.closed);
    assert_int_equal(counted(WEFT_COUNTER_TIMEOUTS_REQUEST), 1);
    assert_nothing_is_held();
}

/* ---- what leaves together ---- */

static void pipelined_answers_leave_in_one_send(void **state)
{
    (void)state;
    char requests[16 * 64] = "";
    for (int i = 0; i < 16; i++)
        (void)strcat(requests, GET("/"));
    feed_text(requests);
    assert_int_equal(output_count("HTTP/1.1 200 OK"), 16);
    assert_int_equal(seam.wire.send_count, 1);
    assert_nothing_is_held();
}

static void answers_keep_the_order_of_their_requests(void **state)
{
    (void)state;
    feed_text(GET("/nap") GET("/user/1") GET("/nap") GET("/user/2"));
    sleep_it_out();
    const char *first = memmem(seam.wire.out, seam.wire.out_len, "{\"id\":1}", 8);
    const char *second = memmem(seam.wire.out, seam.wire.out_len, "{\"id\":2}", 8);
    const char *slept = memmem(seam.wire.out, seam.wire.out_len, "slept", 5);
    assert_true(slept != NULL && first != NULL && second != NULL);
    assert_true(slept < first);
    assert_true(first < second);
    assert_nothing_is_held();
}

/* What is queued leaves before a handler waits: nobody's answer stands behind somebody's sleep. */
static void an_answer_does_not_wait_for_the_next_handler(void **state)
{
    (void)state;
    feed_text(GET("/") GET("/nap"));
    assert_int_equal(output_count("HTTP/1.1 200 OK"), 1);
    sleep_it_out();
    assert_int_equal(output_count("HTTP/1.1 200 OK"), 2);
    assert_nothing_is_held();
}

/* ---- resources that run out ---- */

static void with_one_stack_nobody_may_wait(void **state)
{
    (void)state;
    seam_close();
    seam_open(&weft_h1, routes, WEFT_COUNT_OF(routes), 0);
    for (size_t s = 0; s < WEFT_COUNT_OF(scripts); s++) {
        for (int sends = WIRE_NOW; sends <= WIRE_LATER; sends++) {
            wire_open();
            seam.wire.sends = (enum wire_sends)sends;
            feed_text(scripts[s]);
            finish(&cut);
        }
    }
    wire_open();
    feed_text(GET("/nap") GET("/"));
    assert_true(output_begins("HTTP/1.1 503 "));
    assert_true(output_has("Retry-After: 1\r\n"));
    assert_int_equal(output_count("HTTP/1.1 200 OK"), 1); /* quick ones are served */
    assert_nothing_is_held();
}

/* What a request may have of memory is used up, and its head has no room for one more field. */
static void a_503_says_when_to_come_again_whatever_was_set(void **state)
{
    (void)state;
    feed_text(GET("/headers"));
    assert_true(output_begins("HTTP/1.1 503 "));
    assert_true(output_has("\r\nA: 1\r\n"));
    assert_true(output_has("\r\nRetry-After: 1\r\n"));
    assert_nothing_is_held();
}

static void with_the_memory_promised_away_requests_get_503(void **state)
{
    (void)state;
    size_t all = seam.loop.chunks.elastic;
    assert_int_equal(weft_chunks_reserve(&seam.loop.chunks, all, 0), 0);
    feed_text(GET("/") GET("/user/1"));
    assert_int_equal(output_count("HTTP/1.1 503 "), 2);
    assert_int_equal(counted(WEFT_COUNTER_SHED_MEMORY), 2);
    weft_chunks_unreserve(&seam.loop.chunks, all, 0);
    feed_text(GET("/"));
    assert_int_equal(output_count("HTTP/1.1 200 OK"), 1);
    assert_nothing_is_held();
}

static void what_a_handler_mallocs_comes_out_of_its_cap(void **state)
{
    (void)state;
    feed_text(GET("/charge") GET("/charge"));
    assert_int_equal(output_count("HTTP/1.1 200 OK"), 2);
    assert_int_equal(seam.loop.chunks.heap, 0);
    assert_int_equal(counted(WEFT_COUNTER_ARENA_REFUSED), 8);
    assert_nothing_is_held();
}

static void have_one_begin(struct weft_purge *purge)
{
    (void)purge;
}

/* What malloc keeps of the share stands in an arena's way, until it has given back; while it does,
 * nobody is to wait for its lock. shows MC-02 */
static void while_malloc_gives_back_who_needs_the_room_gets_503(void **state)
{
    (void)state;
    struct weft_chunks *chunks = &seam.loop.chunks;
    struct weft_purge purge = {.ask = have_one_begin};
    size_t all = chunks->elastic;
    chunks->purge = &purge;
    assert_int_equal(weft_chunks_reserve(chunks, all, all), 0);
    weft_chunks_charge(chunks, all);
    weft_chunks_refund(chunks, all);
    weft_chunks_unreserve(chunks, all, all);
    feed_text(GET("/user/1"));
    assert_int_equal(output_count("HTTP/1.1 503 "), 1);
    assert_int_equal(output_count("Retry-After: 1\r\n"), 1);
    assert_int_equal(counted(WEFT_COUNTER_SHED_MEMORY), 1);
    purge.begun++;
    feed_text(GET("/charge"));
    assert_int_equal(output_count("HTTP/1.1 503 "), 2);
    purge.ended++;
    feed_text(GET("/user/1") GET("/charge"));
    assert_int_equal(output_count("HTTP/1.1 200 OK"), 2);
    assert_int_equal(chunks->heap_promised, 0);
    assert_int_equal(chunks->borrowed, 0);
    assert_nothing_is_held();
}

static void with_no_block_left_the_connection_ends(void **state)
{
    (void)state;
    uint32_t taken[64], all = seam.loop.blocks.free.limit;
    assert_true(all <= WEFT_COUNT_OF(taken));
    for (size_t s = 0; s < WEFT_COUNT_OF(scripts); s++) {
        for (size_t left = 0; left < 2; left++) {
            for (size_t i = left; i < all; i++)
                taken[i] = weft_pool_take(&seam.loop.blocks);
            wire_open();
            seam.wire.sends = WIRE_LATER;
            seam.wire.piece_bytes = 20;
            feed_text(scripts[s]);
            sleep_it_out();
            hang_up((weft_rc)-ECONNRESET);
            sleep_it_out();
            for (size_t i = left; i < all; i++)
                weft_pool_put(&seam.loop.blocks, taken[i]);
            assert_nothing_is_held();
            assert_int_equal(deferred + released, given);
        }
    }
}

static void draining_says_close(void **state)
{
    (void)state;
    feed_text(GET("/nap"));
    seam.loop.draining = true;
    seam.wire.conn->protocol->drain(seam.wire.conn);
    sleep_it_out();
    assert_true(output_begins("HTTP/1.1 200 "));
    wire_open();
    feed_text(GET("/"));
    assert_true(output_has("Connection: close\r\n"));
    assert_true(seam.wire.closed);
    assert_nothing_is_held();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define SEAM_TEST(name) cmocka_unit_test_setup_teardown(name, open_seam, seam_end)
        SEAM_TEST(every_split_gives_the_same_answers),
        SEAM_TEST(two_cuts_give_the_same_answers),
        SEAM_TEST(byte_by_byte_gives_the_same_answers),
        SEAM_TEST(sends_that_are_over_later_give_the_same_answers),
        SEAM_TEST(a_send_that_fails_leaves_nothing_behind),
        SEAM_TEST(a_client_that_goes_at_any_byte_leaves_nothing_behind),
        SEAM_TEST(a_slow_head_is_answered_408),
        SEAM_TEST(a_slow_head_behind_a_good_one),
        SEAM_TEST(a_slow_body_is_answered_408),
        SEAM_TEST(a_steady_body_is_served),
        SEAM_TEST(an_answer_that_is_not_taken_ends_the_connection),
        SEAM_TEST(a_route_has_a_deadline),
        SEAM_TEST(a_deadline_holds_for_the_answer_too),
        SEAM_TEST(pipelined_answers_leave_in_one_send),
        SEAM_TEST(answers_keep_the_order_of_their_requests),
        SEAM_TEST(an_answer_does_not_wait_for_the_next_handler),
        SEAM_TEST(with_one_stack_nobody_may_wait),
        SEAM_TEST(a_503_says_when_to_come_again_whatever_was_set),
        SEAM_TEST(with_the_memory_promised_away_requests_get_503),
        SEAM_TEST(while_malloc_gives_back_who_needs_the_room_gets_503),
        SEAM_TEST(what_a_handler_mallocs_comes_out_of_its_cap),
        SEAM_TEST(with_no_block_left_the_connection_ends),
        SEAM_TEST(draining_says_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
