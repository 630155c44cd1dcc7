/* h1_test.c - what HTTP/1.1 says on the wire: framing of answers, bodies and their limits,
 * middleware, each over a transport in memory. How requests are cut and broken off is
 * seam_test.c's. */
#include "demo_routes.h"
#include "base/log.h"
#include "http/h1.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- handlers of this file ---- */

static weft_rc large_head_stream(weft_req *rq)
{
    static char value[300];
    memset(value, 'v', sizeof(value));
    for (int i = 0; i < 20; i++)
        WEFT_TRY(weft_set_header(rq, WEFT_S("X-Large"), weft_str_make(value, sizeof(value))));
    WEFT_TRY(weft_begin(rq, 200, WEFT_S("text/plain")));
    WEFT_TRY(weft_printf(rq, "behind its head"));
    return weft_end(rq);
}

static weft_rc split_head(weft_req *rq)
{
    assert_int_equal(weft_set_header(rq, WEFT_S("X"), WEFT_S("a\r\nSet-Cookie: b")), WEFT_EINVAL);
    assert_int_equal(weft_set_header(rq, WEFT_S("X: y"), WEFT_S("a")), WEFT_EINVAL);
    assert_int_equal(weft_set_header(rq, WEFT_S(""), WEFT_S("a")), WEFT_EINVAL);
    assert_int_equal(weft_set_header(rq, WEFT_S("X"), ((weft_str){"a\0b", 3})), WEFT_EINVAL);
    int count = 0;
    while (weft_set_header(rq, WEFT_S("X-N"), WEFT_S("n")) == 0)
        count++;
    assert_int_equal(count, 32);
    return weft_text(rq, 200, WEFT_S("ok"));
}

static weft_rc five_trailers(weft_req *rq)
{
    WEFT_TRY(weft_begin(rq, 200, WEFT_S("text/plain")));
    for (int i = 0; i < 4; i++)
        WEFT_TRY(weft_trailer(rq, WEFT_S("X-T"), WEFT_S("t")));
    assert_int_equal(weft_trailer(rq, WEFT_S("X-T"), WEFT_S("t")), WEFT_EFULL);
    return weft_end(rq);
}

static weft_rc broken_disk(weft_req *rq)
{
    (void)rq;
    return (weft_rc)-EIO;
}

static weft_rc header_last(weft_req *rq)
{
    weft_str value = weft_header(rq, "x-request-id");
    return weft_text(rq, 200, value.len > 0 ? value : WEFT_S("unknown"));
}

static weft_rc twice(weft_req *rq)
{
    WEFT_TRY(weft_text(rq, 200, WEFT_S("first")));
    assert_int_equal(weft_text(rq, 200, WEFT_S("second")), WEFT_ESTATE);
    assert_int_equal(weft_begin(rq, 200, WEFT_S("text/plain")), WEFT_ESTATE);
    return 0;
}

static weft_rc five_headers_and_five_more(weft_req *rq)
{
    for (int i = 0; i < 5; i++)
        WEFT_TRY(weft_set_header(rq, WEFT_S("X-Old"), WEFT_S("old")));
    WEFT_TRY(weft_fail(rq, 400, WEFT_S("bad")));
    for (int i = 0; i < 5; i++)
        WEFT_TRY(weft_set_header(rq, WEFT_S("X-New"), WEFT_S("new")));
    return 0;
}

static weft_rc waited; /* what a deferred call was told that wanted to */

static void nothing(void *arg)
{
    (void)arg;
}

static void wants_to_wait(void *arg)
{
    waited = weft_offload(arg, nothing, NULL);
}

static weft_rc waits_when_over(weft_req *rq)
{
    WEFT_TRY(weft_defer(rq, wants_to_wait, rq));
    return weft_text(rq, 200, WEFT_S("ok"));
}

static weft_rc not_modified(weft_req *rq)
{
    return weft_status(rq, 304);
}

static weft_rc fails_in_stream(weft_req *rq)
{
    WEFT_TRY(weft_begin(rq, 200, WEFT_S("text/plain")));
    WEFT_TRY(weft_printf(rq, "some"));
    WEFT_TRY(weft_flush(rq));
    return WEFT_ENOMEM;
}

static weft_rc set_80_kib(weft_req *rq)
{
    static char value[9000];
    memset(value, 'v', sizeof(value));
    for (int i = 0; i < 9; i++)
        WEFT_TRY(weft_set_header(rq, WEFT_S("X-Large"), weft_str_make(value, sizeof(value))));
    return 0;
}

static weft_rc head_beyond_the_cap(weft_req *rq)
{
    WEFT_TRY(set_80_kib(rq));
    return weft_text(rq, 200, WEFT_S("never"));
}

static weft_rc stream_head_beyond_the_cap(weft_req *rq)
{
    WEFT_TRY(set_80_kib(rq));
    return weft_begin(rq, 200, WEFT_S("text/plain"));
}

static weft_rc sets_ours(weft_req *rq)
{
    assert_int_equal(weft_set_header(rq, WEFT_S("Content-Length"), WEFT_S("3")), WEFT_EINVAL);
    assert_int_equal(weft_set_header(rq, WEFT_S("transfer-encoding"), WEFT_S("gzip")), WEFT_EINVAL);
    assert_int_equal(weft_reply(rq, 200, WEFT_S("a\r\nX: y"), WEFT_S("split")), WEFT_EINVAL);
    assert_int_equal(weft_text(rq, 99, WEFT_S("no status")), WEFT_EINVAL);
    assert_int_equal(weft_text(rq, 1000, WEFT_S("no status")), WEFT_EINVAL);
    return weft_text(rq, 200, WEFT_S("good"));
}

static const struct seam_route routes[] = {
    DEMO_ROUTES,
    {"GET", "/large-head-stream", large_head_stream},
    {"GET", "/split-head", split_head},
    {"GET", "/five-trailers", five_trailers},
    {"GET", "/broken-disk", broken_disk},
    {"GET", "/last", header_last},
    {"GET", "/twice", twice},
    {"GET", "/five-and-five", five_headers_and_five_more},
    {"GET", "/waits-when-over", waits_when_over},
    {"GET", "/not-modified", not_modified},
    {"GET", "/sets-ours", sets_ours},
    {"GET", "/fails-in-stream", fails_in_stream},
    {"GET", "/head-beyond", head_beyond_the_cap},
    {"GET", "/stream-head-beyond", stream_head_beyond_the_cap},
};

static int open_h1(void **state)
{
    (void)state;
    open_demo(&weft_h1, routes, WEFT_COUNT_OF(routes), 8);
    return 0;
}

static int close_h1(void **state)
{
    (void)state;
    if (seam.wire.conn != NULL)
        hang_up((weft_rc)-ECONNRESET);
    assert_nothing_is_held();
    seam_close();
    return 0;
}

static void ask(const char *request)
{
    wire_open();
    feed_text(request);
    sleep_it_out();
}

static bool ends_with(const char *text)
{
    size_t len = strlen(text);
    return seam.wire.out_len >= len &&
           memcmp(seam.wire.out + seam.wire.out_len - len, text, len) == 0;
}

/* ---- how answers are framed ---- */

static void a_plain_answer_to_the_byte(void **state)
{
    (void)state;
    const char *wanted =
        "HTTP/1.1 200 OK\r\nServer: weft\r\nDate: Sat, 21 Nov 2026 04:06:35 GMT\r\n"
        "Content-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, World!";
    ask(GET("/"));
    assert_int_equal(seam.wire.out_len, strlen(wanted));
    assert_memory_equal(seam.wire.out, wanted, strlen(wanted));
    assert_false(seam.wire.closed);
}

static void the_date_follows_the_clock(void **state)
{
    (void)state;
    ask(GET("/") GET("/"));
    assert_int_equal(output_count("Date: Sat, 21 Nov 2026 04:06:35 GMT\r\n"), 2);
    weft_clock_fake_advance(&seam.clock, WEFT_NS_PER_S);
    pass_ms(0);
    ask(GET("/"));
    assert_int_equal(output_count("Date: Sat, 21 Nov 2026 04:06:36 GMT\r\n"), 1);
}

static void head_has_no_body(void **state)
{
    (void)state;
    ask("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(output_has("Content-Length: 13\r\n"));
    assert_true(ends_with("\r\n\r\n"));
    ask("HEAD /stream HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(output_has("Transfer-Encoding: chunked\r\n"));
    assert_true(ends_with("\r\n\r\n"));
    ask("HEAD /large HTTP/1.1\r\nHost: a\r\n\r\n" GET("/"));
    assert_true(output_has("Content-Length: 20000\r\n"));
    assert_int_equal(output_count("HTTP/1.1 200 OK"), 2);
}

static void no_content_has_no_length(void **state)
{
    (void)state;
    ask(GET("/empty"));
    assert_true(output_begins("HTTP/1.1 204 No Content\r\n"));
    assert_false(output_has("Content-Length"));
    assert_false(output_has("Content-Type"));
}

/* RFC 9110 8.6: a length there is the one that a 200 would have had, or a cache takes it for it. */
static void not_modified_has_no_length_of_its_own(void **state)
{
    (void)state;
    ask(GET("/not-modified"));
    assert_true(output_begins("HTTP/1.1 304 Not Modified\r\n"));
    assert_false(output_has("Content-Length"));
}

static void http_1_0_closes_unless_asked_not_to(void **state)
{
    (void)state;
    ask("GET / HTTP/1.0\r\n\r\n");
    assert_true(output_has("Connection: close\r\n"));
    assert_true(seam.wire.closed);
    ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_true(output_has("Connection: keep-alive\r\n"));
    assert_false(seam.wire.closed);
    ask("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"); /* ends with the connection */
    assert_false(output_has("chunked"));
    assert_true(ends_with("Chunk 599\n"));
    assert_true(seam.wire.closed);
}

static void close_is_said_and_done(void **state)
{
    (void)state;
    ask("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" GET("/"));
    assert_int_equal(output_count("HTTP/1.1 "), 1);
    assert_true(output_has("Connection: close\r\n"));
    assert_true(seam.wire.closed);
    assert_int_equal(seam.wire.how, WEFT_CLOSE_LINGER); /* the second one was left unread */
}

/* The chunks of a body, joined; asserts their grammar up to the end of the trailer section. */
static size_t join_chunks(char *to, const char **out_trailers)
{
    const char *at = memmem(seam.wire.out, seam.wire.out_len, "\r\n\r\n", 4);
    size_t len = 0;
    assert_non_null(at);
    at += 4;
    for (;;) {
        char *line_end = NULL;
        size_t size = strtoul(at, &line_end, 16);
        assert_true(line_end > at);
        assert_memory_equal(line_end, "\r\n", 2);
        at = line_end + 2;
        if (size == 0)
            break;
        memcpy(to + len, at, size);
        len += size;
        assert_memory_equal(at + size, "\r\n", 2);
        at += size + 2;
    }
    *out_trailers = at;
    return len;
}

static char joined[WIRE_BYTES], wanted_lines[WIRE_BYTES];

static void streams_are_chunked_with_trailers_for_those_who_want_them(void **state)
{
    (void)state;
    const char *trailers = NULL;
    size_t wanted = 0;
    for (int i = 0; i < 600; i++)
        wanted += (size_t)sprintf(wanted_lines + wanted, "Chunk %d\n", i);
    ask("GET /stream HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n");
    assert_int_equal(join_chunks(joined, &trailers), wanted);
    assert_memory_equal(joined, wanted_lines, wanted);
    assert_true(ends_with("\r\n0\r\nX-Lines: 600\r\n\r\n"));
    assert_memory_equal(trailers, "X-Lines: 600\r\n\r\n", 16);
    ask(GET("/stream"));
    assert_int_equal(join_chunks(joined, &trailers), wanted);
    assert_true(ends_with("\r\n0\r\n\r\n"));
    assert_false(output_has("X-Lines"));
}

static void trailers_have_a_limit(void **state)
{
    (void)state;
    ask("GET /five-trailers HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n");
    assert_int_equal(output_count("X-T: t\r\n"), 4);
    assert_int_equal(counted(WEFT_COUNTER_TRAILERS_FULL), 1);
}

static void one_write_beyond_a_block(void **state)
{
    (void)state;
    const char *trailers = NULL;
    ask(GET("/large-write"));
    assert_int_equal(join_chunks(joined, &trailers), sizeof(large_body));
    assert_memory_equal(joined, large_body, sizeof(large_body));
}

static void a_head_beyond_a_block(void **state)
{
    (void)state;
    ask(GET("/") GET("/large-head") GET("/"));
    assert_int_equal(output_count("HTTP/1.1 200 OK"), 3);
    assert_int_equal(output_count("X-Large: "), 20);
    assert_true(output_has("\r\n\r\nheadedHTTP/1.1 200 OK\r\n"));
}

static void a_stream_behind_a_head_beyond_a_block(void **state)
{
    (void)state;
    const char *trailers = NULL;
    for (int sends = WIRE_NOW; sends <= WIRE_LATER; sends++) {
        wire_open();
        seam.wire.sends = (enum wire_sends)sends;
        feed_text(GET("/large-head-stream"));
        sleep_it_out();
        assert_true(output_begins("HTTP/1.1 200 OK\r\n"));
        assert_int_equal(join_chunks(joined, &trailers), strlen("behind its head"));
        assert_memory_equal(joined, "behind its head", strlen("behind its head"));
        hang_up((weft_rc)-ECONNRESET);
    }
}

static void a_head_beyond_the_routes_memory_is_an_error(void **state)
{
    (void)state;
    ask(GET("/head-beyond") GET("/stream-head-beyond"));
    assert_true(output_begins("HTTP/1.1 503 "));
    assert_int_equal(output_count("HTTP/1.1 503 "), 2);
    assert_int_equal(counted(WEFT_COUNTER_RESPONSES_2XX), 0);
}

static void nothing_splits_a_response(void **state)
{
    (void)state;
    ask(GET("/split-head"));
    assert_int_equal(output_count("X-N: n\r\n"), 32);
    assert_int_equal(counted(WEFT_COUNTER_HEADERS_FULL), 1);
    assert_false(output_has("Set-Cookie"));
}

static void raw_bytes_go_as_they_are(void **state) /* shows HC-16 */
{
    (void)state;
    const char *wanted = "HTTP/1.1 200 OK\r\n\r\nHello";
    ask(GET("/raw") GET("/"));
    assert_int_equal(seam.wire.out_len, strlen(wanted));
    assert_memory_equal(seam.wire.out, wanted, strlen(wanted));
    assert_true(seam.wire.closed);
}

static void given_bodies_are_released_once(void **state)
{
    (void)state;
    ask(GET("/give") GET("/give-twice") GET("/give"));
    assert_int_equal(given, 3);
    assert_int_equal(released, 3);
    assert_int_equal(output_count("\r\n\r\ngiven"), 2);
    assert_int_equal(output_count("\r\n\r\nfirst"), 1);
}

static void a_deferred_call_cannot_wait(void **state)
{
    (void)state;
    waited = 0;
    ask(GET("/waits-when-over"));
    assert_int_equal(waited, WEFT_ESTATE);
}

static void only_the_first_answer_counts(void **state)
{
    (void)state;
    ask(GET("/twice"));
    assert_true(ends_with("first"));
    assert_int_equal(output_count("HTTP/1.1 "), 1);
}

static void a_failed_answer_keeps_its_headers(void **state)
{
    (void)state;
    ask(GET("/five-and-five"));
    assert_true(output_begins("HTTP/1.1 400 "));
    assert_int_equal(output_count("X-Old: "), 5); /* what middleware set: CORS, a request id */
    assert_int_equal(output_count("X-New: "), 5);
}

static void framing_is_not_a_handlers_to_write(void **state)
{
    (void)state;
    ask(GET("/sets-ours"));
    assert_int_equal(output_count("Content-Length: "), 1);
    assert_int_equal(output_count("Transfer-Encoding: "), 0);
    assert_true(ends_with("good"));
}

static void a_stream_that_fails_half_way_is_broken_off(void **state)
{
    (void)state;
    ask(GET("/fails-in-stream") GET("/"));
    assert_int_equal(output_count("HTTP/1.1 "), 1);
    assert_false(output_has("\r\n0\r\n"));
    assert_true(seam.wire.closed);
    assert_int_equal(seam.wire.how, WEFT_CLOSE_ABORT);
    assert_int_equal(counted(WEFT_COUNTER_STREAMS_BROKEN), 1);
}

/* ---- what is not there, and for whom ---- */

static void errors_have_a_status(void **state) /* shows HC-15 */
{
    (void)state;
    const struct {
        const char *request, *status;
    } rows[] = {
        {GET("/nowhere"), "HTTP/1.1 404 Not Found\r\n"},
        {GET("/user/x"), "HTTP/1.1 404 Not Found\r\n"},
        {GET("/silent"), "HTTP/1.1 500 Internal Server Error\r\n"},
        {GET("/oom"), "HTTP/1.1 503 Service Unavailable\r\n"},
        {GET("/%zz"), "HTTP/1.1 400 Bad Request\r\n"},
    };
    for (size_t i = 0; i < WEFT_COUNT_OF(rows); i++) {
        ask(rows[i].request);
        assert_true(output_begins(rows[i].status));
    }
    assert_int_equal(counted(WEFT_COUNTER_HANDLER_SILENT), 1);
    assert_int_equal(counted(WEFT_COUNTER_HANDLER_ERRORS), 1);
    assert_int_equal(counted(WEFT_COUNTER_ARENA_REFUSED), 1);
}

static char told[WEFT_LOG_LINE_BYTES];

static void hear(const struct weft_log_sink *sink, enum weft_log_level level, const char *line,
                 size_t len)
{
    (void)sink, (void)level;
    memcpy(told, line, len);
    told[len - 1] = '\0';
}

/* No answer says why it is a 500: the log does. What its handler means to answer is no news. */
static void the_reason_of_a_500_is_told(void **state)
{
    (void)state;
    static const struct weft_log_sink sink = {.write = hear};
    weft_log_set_sink(&sink);
    ask(GET("/oom"));
    assert_string_equal(told, "");
    ask(GET("/silent"));
    assert_non_null(strstr(told, "warn  route /silent: its handler answered nothing: 500"));
    ask(GET("/broken-disk"));
    assert_true(output_begins("HTTP/1.1 500 Internal Server Error\r\n"));
    assert_non_null(strstr(told, "warn  route /broken-disk: "));
    assert_non_null(strstr(told, "Input/output error"));
    weft_log_set_sink(NULL);
}

static void methods_that_a_path_has_not(void **state)
{
    (void)state;
    ask("DELETE /nap HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(output_begins("HTTP/1.1 405 "));
    assert_true(output_has("Allow: GET, HEAD, POST, OPTIONS\r\n"));
    ask("OPTIONS /user/1 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(output_begins("HTTP/1.1 204 "));
    assert_true(output_has("Allow: GET, HEAD, OPTIONS\r\n"));
    ask("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(output_begins("HTTP/1.1 204 "));
    assert_true(output_has("Allow: "));
    ask("BREW / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(output_begins("HTTP/1.1 405 "));
}

static void the_last_of_two_headers_counts(void **state) /* shows HC-08 */
{
    (void)state;
    ask("GET /last HTTP/1.1\r\nHost: a\r\nX-Request-ID: one\r\nx-request-id: two\r\n\r\n");
    assert_true(ends_with("\r\n\r\ntwo"));
    ask(GET("/last"));
    assert_true(ends_with("\r\n\r\nunknown"));
}

/* ---- limits of heads ---- */

static char request[32 << 10];

static void head_with(int lines, size_t value_bytes)
{
    size_t len = (size_t)sprintf(request, "GET /last HTTP/1.1\r\nHost: a\r\nX-Request-ID: id\r\n");
    for (int i = 0; i < lines; i++) {
        len += (size_t)sprintf(request + len, "X-%d: ", i);
        memset(request + len, 'v', value_bytes);
        len += value_bytes;
        len += (size_t)sprintf(request + len, "\r\n");
    }
    (void)strcpy(request + len, "\r\n");
}

static void more_header_lines_than_in_place(void **state)
{
    (void)state;
    head_with(14, 5); /* with the two others: 16 */
    ask(request);
    assert_true(ends_with("\r\n\r\nid"));
    assert_int_equal(counted(WEFT_COUNTER_HEADER_SLOW_PATH), 0);
    head_with(15, 5);
    ask(request);
    assert_true(ends_with("\r\n\r\nid"));
    assert_int_equal(counted(WEFT_COUNTER_HEADER_SLOW_PATH), 1);
    head_with(62, 5);
    ask(request);
    assert_true(ends_with("\r\n\r\nid"));
}

static void heads_beyond_the_limits(void **state)
{
    (void)state;
    head_with(63, 5);
    ask(request);
    assert_true(output_begins("HTTP/1.1 431 "));
    assert_true(seam.wire.closed);
    assert_int_equal(counted(WEFT_COUNTER_HTTP_BAD_FIELD_COUNT), 1);
    head_with(8, 1000);
    ask(request); /* fits a receive buffer */
    assert_true(output_begins("HTTP/1.1 200 "));
    head_with(9, 1000);
    ask(request);
    assert_true(output_begins("HTTP/1.1 431 "));
    assert_int_equal(counted(WEFT_COUNTER_HTTP_BAD_HEAD_LONG), 1);
    (void)sprintf(request, "GET /%02049d HTTP/1.1\r\nHost: a\r\n\r\n", 7);
    ask(request);
    assert_true(output_begins("HTTP/1.1 414 "));
    assert_int_equal(counted(WEFT_COUNTER_HTTP_BAD_TARGET_LONG), 1);
}

/* ---- bodies ---- */

static void bodies_beyond_the_limit(void **state)
{
    (void)state;
    ask(POST("/small") "Content-Length: 10\r\n\r\n0123456789");
    assert_true(ends_with("\r\n\r\n10:0123456789"));
    ask(POST("/small") "Content-Length: 11\r\n\r\n01234567890");
    assert_true(output_begins("HTTP/1.1 413 "));
    assert_int_equal(counted(WEFT_COUNTER_BODY_TOO_LARGE), 1);
    ask(POST("/small") "Transfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n");
    assert_true(output_begins("HTTP/1.1 413 "));
    assert_true(seam.wire.closed);
    assert_int_equal(counted(WEFT_COUNTER_BODY_TOO_LARGE), 2);
}

static void bodies_that_end_early(void **state)
{
    (void)state;
    ask(POST("/nap") "Content-Length: 100\r\n\r\nhalf");
    wire_open();
    feed_text(POST("/body") "Content-Length: 100\r\n\r\nhalf");
    hang_up(0);
    assert_true(output_begins("HTTP/1.1 400 "));
    assert_true(seam.wire.closed);
    assert_int_equal(counted(WEFT_COUNTER_BODY_CUT), 1);
}

static void unread_bodies(void **state)
{
    (void)state;
    feed_text(POST("/ignore") "Content-Length: 4096\r\n\r\n"); /* worth waiting for */
    assert_false(seam.wire.closed);
    memset(request, 'x', 4096);
    request[4096] = 0;
    feed_text(request);
    feed_text(GET("/"));
    assert_int_equal(output_count("HTTP/1.1 200 OK"), 2);
    assert_int_equal(counted(WEFT_COUNTER_BODY_UNREAD), 0);
    ask(POST("/ignore") "Content-Length: 4097\r\n\r\n"); /* not worth it, and the head says so */
    assert_true(output_has("Connection: close\r\n"));
    assert_true(seam.wire.closed);
    assert_int_equal(seam.wire.how, WEFT_CLOSE_LINGER);
    assert_int_equal(counted(WEFT_COUNTER_BODY_UNREAD), 1);
}

static void continue_is_said_to_those_who_wait(void **state)
{
    (void)state;
    wire_open();
    feed_text(POST("/body") "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_true(output_begins("HTTP/1.1 100 Continue\r\n\r\n"));
    assert_int_equal(seam.wire.out_len, 25);
    feed_text("hello");
    assert_true(ends_with("\r\n\r\n5:hello"));
    assert_int_equal(counted(WEFT_COUNTER_RESPONSES_1XX), 1);
    hang_up(0);

    ask(POST("/body") "Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello"); /* came with it */
    assert_false(output_has("100 Continue"));

    /* a refusal before the body: no 100, and the body is not waited for */
    ask(POST("/small") "Expect: 100-continue\r\nContent-Length: 50\r\n\r\n");
    assert_true(output_begins("HTTP/1.1 413 "));
    assert_true(output_has("Connection: close\r\n"));
    assert_true(seam.wire.closed);
    ask(POST("/ignore") "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_false(output_has("100 Continue"));
    assert_true(seam.wire.closed);

    ask("GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n");
    assert_true(output_begins("HTTP/1.1 417 "));
    assert_int_equal(counted(WEFT_COUNTER_EXPECT_FAILED), 1);
}

/* Of 5 s for its head it has one left. */
static void a_head_half_read_while_draining(void **state)
{
    (void)state;
    wire_open();
    feed_text("GET / HTTP/1.1\r\n");
    seam.wire.conn->protocol->drain(seam.wire.conn);
    pass_ms(900);
    assert_false(seam.wire.closed);
    pass_ms(200);
    assert_true(output_begins("HTTP/1.1 408 "));
    assert_true(seam.wire.closed);
    assert_int_equal(counted(WEFT_COUNTER_TIMEOUTS_HEADER), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define H1_TEST(name) cmocka_unit_test_setup_teardown(name, open_h1, close_h1)
        H1_TEST(a_plain_answer_to_the_byte),
        H1_TEST(the_date_follows_the_clock),
        H1_TEST(head_has_no_body),
        H1_TEST(no_content_has_no_length),
        H1_TEST(not_modified_has_no_length_of_its_own),
        H1_TEST(http_1_0_closes_unless_asked_not_to),
        H1_TEST(close_is_said_and_done),
        H1_TEST(streams_are_chunked_with_trailers_for_those_who_want_them),
        H1_TEST(trailers_have_a_limit),
        H1_TEST(one_write_beyond_a_block),
        H1_TEST(a_head_beyond_a_block),
        H1_TEST(a_stream_behind_a_head_beyond_a_block),
        H1_TEST(a_head_beyond_the_routes_memory_is_an_error),
        H1_TEST(nothing_splits_a_response),
        H1_TEST(raw_bytes_go_as_they_are),
        H1_TEST(given_bodies_are_released_once),
        H1_TEST(a_deferred_call_cannot_wait),
        H1_TEST(only_the_first_answer_counts),
        H1_TEST(a_failed_answer_keeps_its_headers),
        H1_TEST(framing_is_not_a_handlers_to_write),
        H1_TEST(a_stream_that_fails_half_way_is_broken_off),
        H1_TEST(errors_have_a_status),
        H1_TEST(the_reason_of_a_500_is_told),
        H1_TEST(methods_that_a_path_has_not),
        H1_TEST(the_last_of_two_headers_counts),
        H1_TEST(more_header_lines_than_in_place),
        H1_TEST(heads_beyond_the_limits),
        H1_TEST(bodies_beyond_the_limit),
        H1_TEST(bodies_that_end_early),
        H1_TEST(unread_bodies),
        H1_TEST(continue_is_said_to_those_who_wait),
        H1_TEST(a_head_half_read_while_draining),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
