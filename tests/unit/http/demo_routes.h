/* demo_routes.h - handlers that do what handlers do, each in a few lines; for the seam tests. None
 * of them knows which protocol it is called by. */
#ifndef WEFT_TESTS_DEMO_ROUTES_H
#define WEFT_TESTS_DEMO_ROUTES_H
#include "seam.h"
#include <sys/mman.h>

static int deferred, released; /* calls of what was handed over */
static int given;              /* things handed over */

static void count_call(void *arg)
{
    (*(int *)arg)++;
}

static weft_rc hello(weft_req *rq)
{
    return weft_text(rq, 200, WEFT_S("Hello, World!"));
}

static weft_rc user(weft_req *rq)
{
    return weft_reply_copy(
        rq, 200, WEFT_S("application/json"),
        weft_format(rq, "{\"id\":%llu}", (unsigned long long)weft_param_u64(rq, "id")));
}

static weft_rc body_length(weft_req *rq)
{
    weft_str body = {0};
    WEFT_TRY(weft_body(rq, &body));
    weft_str text = weft_format(rq, "%zu:%.*s", body.len, (int)body.len, body.ptr);
    return text.ptr == NULL ? WEFT_ENOMEM : weft_text(rq, 200, text);
}

static weft_rc echo(weft_req *rq)
{
    weft_str piece = {0};
    WEFT_TRY(weft_begin(rq, 200, WEFT_S("text/plain")));
    for (;;) {
        WEFT_TRY(weft_read_body(rq, &piece));
        if (piece.len == 0)
            return 0;
        WEFT_TRY(weft_write(rq, piece));
    }
}

static weft_rc nap(weft_req *rq)
{
    WEFT_TRY(weft_sleep_ms(rq, 10));
    return weft_text(rq, 200, WEFT_S("slept"));
}

static weft_rc stream(weft_req *rq)
{
    WEFT_TRY(weft_begin(rq, 200, WEFT_S("text/plain")));
    for (int i = 0; i < 600; i++) {
        WEFT_TRY(weft_printf(rq, "Chunk %d\n", i));
        if (i % 200 == 199)
            WEFT_TRY(weft_sleep_ms(rq, 1));
    }
    WEFT_TRY(weft_trailer(rq, WEFT_S("X-Lines"), WEFT_S("600")));
    return weft_end(rq);
}

static char large_body[20000];

static weft_rc large(weft_req *rq)
{
    memset(large_body, 'L', sizeof(large_body));
    return weft_reply(rq, 200, WEFT_S("text/plain"), weft_str_make(large_body, sizeof(large_body)));
}

/* One piece that is larger than any block: sent from where it lies. */
static weft_rc large_write(weft_req *rq)
{
    memset(large_body, 'W', sizeof(large_body));
    WEFT_TRY(weft_begin(rq, 200, WEFT_S("text/plain")));
    return weft_write(rq, weft_str_make(large_body, sizeof(large_body)));
}

static weft_rc large_head(weft_req *rq)
{
    static char value[300];
    memset(value, 'v', sizeof(value));
    for (int i = 0; i < 20; i++)
        WEFT_TRY(weft_set_header(rq, WEFT_S("X-Large"), weft_str_make(value, sizeof(value))));
    return weft_text(rq, 200, WEFT_S("headed"));
}

static weft_rc give(weft_req *rq)
{
    given++;
    return weft_reply_give(rq, 200, WEFT_S("text/plain"), WEFT_S("given"), count_call, &released);
}

static weft_rc give_twice(weft_req *rq)
{
    WEFT_TRY(weft_text(rq, 200, WEFT_S("first")));
    given++;
    weft_rc rc =
        weft_reply_give(rq, 200, WEFT_S("text/plain"), WEFT_S("second"), count_call, &released);
    assert_int_equal(rc, WEFT_ESTATE);
    return 0;
}

static weft_rc defer_good(weft_req *rq)
{
    given++;
    WEFT_TRY(weft_defer(rq, count_call, &deferred));
    return weft_text(rq, 200, WEFT_S("deferred"));
}

static weft_rc defer_error(weft_req *rq)
{
    given++;
    WEFT_TRY(weft_defer(rq, count_call, &deferred));
    return WEFT_ENOTFOUND;
}

static weft_rc defer_nap(weft_req *rq)
{
    given++;
    WEFT_TRY(weft_defer(rq, count_call, &deferred));
    WEFT_TRY(weft_charge(rq, 3000)); /* given back whatever becomes of the request */
    WEFT_TRY(weft_sleep_ms(rq, 10));
    return weft_text(rq, 200, WEFT_S("deferred"));
}

static weft_rc defer_stream(weft_req *rq)
{
    given++;
    WEFT_TRY(weft_defer(rq, count_call, &deferred));
    WEFT_TRY(stream(rq));
    return 0;
}

static weft_rc file(weft_req *rq)
{
    char text[5000];
    memset(text, 'F', sizeof(text));
    int fd = memfd_create("seam", MFD_CLOEXEC);
    assert_int_equal(write(fd, text, sizeof(text)), sizeof(text));
    return weft_reply_file(rq, 200, WEFT_S("text/plain"), fd, 1, sizeof(text) - 1);
}

static weft_rc raw(weft_req *rq)
{
    return weft_raw(rq, WEFT_S("HTTP/1.1 200 OK\r\n\r\nHello"));
}

static weft_rc silent(weft_req *rq)
{
    (void)rq;
    return 0;
}

static weft_rc out_of_memory(weft_req *rq)
{
    return weft_alloc(rq, 1 << 20) == NULL ? WEFT_ENOMEM : 0;
}

static weft_rc empty(weft_req *rq)
{
    return weft_status(rq, 204);
}

/* Opens the seam for routes of which these are some. */
static inline void open_demo(const struct weft_protocol *protocol, const struct seam_route *routes,
                             size_t count, size_t waiting)
{
    deferred = released = given = 0;
    seam_open(protocol, routes, count, waiting);
}

#define DEMO_ROUTES                                                                                \
    {"GET", "/", hello}, {"GET", "/user/{id:u64}", user}, {"POST", "/body", body_length},          \
        {"POST", "/echo", echo, UINT64_MAX}, {"GET", "/nap", nap}, {"GET", "/stream", stream},     \
        {"GET", "/large", large}, {"GET", "/large-write", large_write},                            \
        {"GET", "/large-head", large_head}, {"GET", "/give", give},                                \
        {"GET", "/give-twice", give_twice}, {"GET", "/defer", defer_good},                         \
        {"GET", "/defer-error", defer_error}, {"GET", "/defer-nap", defer_nap},                    \
        {"GET", "/defer-stream", defer_stream}, {"GET", "/file", file}, {"GET", "/raw", raw},      \
        {"GET", "/silent", silent}, {"GET", "/oom", out_of_memory}, {"GET", "/empty", empty},      \
        {"POST", "/ignore", hello}, {"POST", "/small", body_length, 10},                           \
        {"GET", "/hurry", nap, 0, 5}, {"POST", "/nap", nap},                                       \
    {                                                                                              \
        "POST", "/give", give                                                                      \
    }
#endif
