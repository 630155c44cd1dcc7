/* seam.h - a worker without a kernel: a real loop, service and router over a clock that stands, an
 * engine that is never opened, and a transport that moves bytes in memory.
 *
 * What a test feeds waits in `inbound` as in a socket, and is handed over as the protocol asks for
 * it. What the protocol sends is read when the send completes, not before: memory that went away
 * meanwhile is a finding for the address sanitizer. One connection at a time.
 */
#ifndef WEFT_TESTS_SEAM_H
#define WEFT_TESTS_SEAM_H
#include "unit.h"
#include "http/service.h"
#include <errno.h>
#include <unistd.h>

#define WIRE_BYTES ((size_t)256 << 10)

enum wire_sends {
    WIRE_NOW,   /* a send is over when it returns */
    WIRE_LATER, /* it is pending, and over at the next step */
    WIRE_STUCK, /* it is pending until aborted */
};

struct wire {
    struct weft_conn *conn; /* NULL: at rest, or closed */
    enum wire_sends sends;
    int fail_send;      /* the send of that number, from 1, fails; 0: none */
    int send_count;     /* sends so far */
    int input_count;    /* pieces handed over so far */
    size_t piece_bytes; /* at most so many at once */
    bool has_now;       /* recv_now gives what is there */
    bool opened, closed, aborted, ended_told;
    enum weft_close how;
    enum weft_recv_mode mode;
    weft_rc end; /* how the peer ends behind what it sent: 1: not at all, 0: FIN, < 0: gone */
    size_t in_len, in_at, out_len;
    char in[WIRE_BYTES];
    char out[WIRE_BYTES];
};

struct seam {
    struct weft_ledger ledger;
    struct weft_loop loop;
    struct weft_conn_share share;
    struct weft_clock_fake clock;
    struct weft_router *router;
    struct weft_site site;
    struct weft_service service;
    struct wire wire;
};

static struct seam seam;

static inline uint64_t counted(enum weft_counter id)
{
    return weft_counter_read(seam.loop.counters, id);
}

/* ---- the transport ---- */

static void wire_take(const void *from, size_t bytes)
{
    assert_true(bytes <= WIRE_BYTES - seam.wire.out_len);
    memcpy(seam.wire.out + seam.wire.out_len, from, bytes);
    seam.wire.out_len += bytes;
}

static weft_rc wire_move(struct weft_conn *conn)
{
    char piece[4096];
    if (seam.wire.fail_send == seam.wire.send_count)
        return (weft_rc)-EPIPE;
    for (size_t i = 0; i < conn->message.msg_iovlen; i++)
        wire_take(conn->message.msg_iov[i].iov_base, conn->message.msg_iov[i].iov_len);
    while (conn->file_left > 0) {
        size_t want = (size_t)WEFT_MIN(conn->file_left, (uint64_t)sizeof(piece));
        ssize_t n = pread(conn->file, piece, want, (off_t)conn->file_offset);
        if (n <= 0)
            return (weft_rc)-EIO;
        wire_take(piece, (size_t)n);
        conn->file_offset += (uint64_t)n;
        conn->file_left -= (uint64_t)n;
    }
    return 0;
}

static weft_rc wire_send(struct weft_conn *conn)
{
    assert_false(conn->sending);
    assert_true(conn->message.msg_iovlen <= WEFT_OUT_IOV_MAX);
    seam.wire.send_count++;
    conn->progress_ms = seam.loop.now_ms;
    if (seam.wire.aborted)
        return (weft_rc)-EPIPE;
    if (seam.wire.sends == WIRE_NOW)
        return wire_move(conn);
    conn->sending = true;
    return WEFT_PENDING;
}

static void wire_recv(struct weft_conn *conn, enum weft_recv_mode mode)
{
    assert_ptr_equal(conn, seam.wire.conn);
    seam.wire.mode = mode;
}

static weft_rc wire_recv_now(struct weft_conn *conn, struct weft_input *out)
{
    struct wire *w = &seam.wire;
    size_t n = WEFT_MIN(w->in_len - w->in_at, w->piece_bytes);
    if (!w->has_now || n == 0)
        return (weft_rc)-EAGAIN;
    uint16_t buf = weft_bufs_take(&conn->loop->bufs);
    if (buf == WEFT_BUF_NONE)
        return (weft_rc)-ENOBUFS;
    *out = (struct weft_input){weft_bufs_at(&conn->loop->bufs, buf), (uint32_t)n, buf};
    memcpy(out->ptr, w->in + w->in_at, n);
    w->in_at += n;
    return 0;
}

static void wire_release(struct weft_conn *conn)
{
    weft_conn_drop(conn);
    seam.wire.conn = NULL;
    seam.wire.mode = WEFT_RECV_STREAM;
}

static void wire_close(struct weft_conn *conn, enum weft_close how)
{
    weft_conn_drop(conn);
    seam.wire.conn = NULL;
    seam.wire.closed = true;
    seam.wire.how = how;
}

static void wire_abort(struct weft_conn *conn)
{
    assert_ptr_equal(conn, seam.wire.conn);
    seam.wire.aborted = true;
}

static size_t wire_peer(struct weft_conn *conn, char *text, size_t room)
{
    (void)conn;
    size_t n = WEFT_MIN(room, sizeof("memory") - 1);
    memcpy(text, "memory", n);
    return n;
}

static const struct weft_transport wire_transport = {
    .name_z = "memory",
    .send = wire_send,
    .recv = wire_recv,
    .recv_now = wire_recv_now,
    .release = wire_release,
    .close = wire_close,
    .abort = wire_abort,
    .peer = wire_peer,
};

/* ---- what happens next ---- */

static void wire_deliver(void)
{
    struct wire *w = &seam.wire;
    struct weft_bufs *bufs = &seam.loop.bufs;
    size_t n = WEFT_MIN(w->in_len - w->in_at, w->piece_bytes);
    uint16_t buf = weft_bufs_take(bufs);
    assert_int_not_equal(buf, WEFT_BUF_NONE);
    struct weft_input input = {weft_bufs_at(bufs, buf), (uint32_t)n, buf};
    memcpy(input.ptr, w->in + w->in_at, n);
    w->in_at += n;
    w->input_count++;
    if (w->mode == WEFT_RECV_ONCE)
        w->mode = WEFT_RECV_OFF;
    if (w->conn == NULL)
        w->conn = weft_conn_wake(&seam.loop, &wire_transport, seam.loop.protocol, 0);
    assert_non_null(w->conn);
    w->conn->protocol->bytes(w->conn, input);
    weft_bufs_unref(bufs, buf);
}

/* The peer's end: told as the TCP transport does, also to who is not receiving if it is a reset. */
static bool wire_tell_end(void)
{
    struct wire *w = &seam.wire;
    if (w->end > 0 || w->ended_told || (w->end == 0 && w->mode == WEFT_RECV_OFF))
        return false;
    w->ended_told = true;
    w->mode = WEFT_RECV_OFF;
    if (w->conn != NULL)
        w->conn->protocol->ended(w->conn, w->end);
    else
        w->closed = true;
    return true;
}

static bool wire_complete(void)
{
    struct wire *w = &seam.wire;
    if (w->conn == NULL || !w->conn->sending || (w->sends == WIRE_STUCK && !w->aborted))
        return false;
    bool gone = w->aborted || w->end < 0;
    weft_rc rc = gone ? (weft_rc)-EPIPE : wire_move(w->conn);
    w->conn->sending = false;
    w->conn->protocol->sent(w->conn, rc);
    return true;
}

/* One thing happens; false: nothing is left to happen before time goes on. */
static bool step(void)
{
    struct wire *w = &seam.wire;
    if (w->closed)
        return false;
    if (wire_complete())
        return true;
    if (w->in_at < w->in_len && w->mode != WEFT_RECV_OFF) {
        wire_deliver();
        return true;
    }
    if (w->aborted && !w->ended_told) {
        w->end = (weft_rc)-ECONNRESET;
        return wire_tell_end();
    }
    return w->in_at == w->in_len && wire_tell_end();
}

static void settle(void)
{
    for (int i = 0; step(); i++)
        assert_true(i < 1000000);
}

/* The wall's clock stands all the while: answers of two runs have the same Date. */
static void pass_ms(uint64_t ms)
{
    seam.clock.now_ns += ms * WEFT_NS_PER_MS;
    weft_clock_update(&seam.loop.clock);
    seam.loop.now_ms = weft_clock_ms(&seam.loop.clock);
    assert_false(weft_wheel_advance(&seam.loop.wheel, seam.loop.now_ms, 10000));
    settle();
}

/* Everything that happens while somebody sleeps, as long as it takes. */
static inline void sleep_it_out(void)
{
    settle();
    for (int i = 0; seam.loop.tasks.waiting > 0 && i < 10000; i++) {
        uint64_t next = weft_wheel_next_ms(&seam.loop.wheel);
        assert_true(next != UINT64_MAX); /* who waits for nothing waits for ever */
        pass_ms(next > seam.loop.now_ms ? next - seam.loop.now_ms : 0);
    }
    assert_int_equal(seam.loop.tasks.waiting, 0);
}

/* ---- a connection and its end ---- */

static void wire_open(void)
{
    struct wire *w = &seam.wire;
    assert_null(w->conn);
    memset(w, 0, offsetof(struct wire, in));
    w->mode = WEFT_RECV_STREAM;
    w->piece_bytes = seam.loop.bufs.buffer_bytes;
    w->end = WEFT_NEXT;
    w->opened = true;
}

static void feed(const char *bytes, size_t len)
{
    struct wire *w = &seam.wire;
    assert_true(len <= WIRE_BYTES - w->in_len);
    memcpy(w->in + w->in_len, bytes, len);
    w->in_len += len;
    settle();
}

/* Heads for feed_text(): a whole one, and the beginning of one. */
#define GET(path)  "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST(path) "POST " path " HTTP/1.1\r\nHost: a\r\n"

static inline void feed_text(const char *text)
{
    feed(text, strlen(text));
}

static inline void hang_up(weft_rc end)
{
    seam.wire.end = end;
    settle();
}

/* Nobody holds anything: every pool is full again, every promise taken back, no timer armed. */
static inline void assert_nothing_is_held(void)
{
    struct weft_loop *loop = &seam.loop;
    assert_null(seam.wire.conn);
    assert_int_equal(weft_pool_used(&loop->conns), 0);
    assert_int_equal(weft_pool_used(&loop->blocks), 0);
    assert_int_equal(weft_pool_used(&loop->bufs.pool), 0);
    assert_int_equal(weft_pool_used(&loop->watches), 1); /* the waker's */
    assert_int_equal(loop->tasks.waiting, 0);
    assert_int_equal(loop->chunks.promised, 0);
    assert_int_equal(loop->wheel.armed, 0);
    for (size_t i = 0; i < WEFT_CHUNK_CLASSES; i++)
        assert_int_equal(weft_pool_used(&loop->chunks.pools[i]), 0);
    for (uint32_t i = 0; i < seam.ledger.account_count; i++) {
        const struct weft_account *account = &seam.ledger.accounts[i];
        bool always = strcmp(account->name_z, "counters") == 0 || /* one */
                      strcmp(account->name_z, "watches") == 0;    /* the waker's */
        if (!always)
            assert_int_equal(weft_account_used(account), 0);
    }
}

static inline bool output_has(const char *text)
{
    return memmem(seam.wire.out, seam.wire.out_len, text, strlen(text)) != NULL;
}

static inline size_t output_count(const char *text)
{
    size_t count = 0;
    const char *at = seam.wire.out, *end = at + seam.wire.out_len;
    while ((at = memmem(at, (size_t)(end - at), text, strlen(text))) != NULL) {
        count++;
        at += strlen(text);
    }
    return count;
}

static inline bool output_begins(const char *text)
{
    size_t len = strlen(text);
    return seam.wire.out_len >= len && memcmp(seam.wire.out, text, len) == 0;
}

/* ---- the worker ---- */

static const struct weft_service_limits seam_limits = {
    .head = {.head_bytes_max = 8192, .target_bytes_max = 2048, .field_count_max = 64},
    .chunked = {.line_bytes_max = 256,
                .ext_total_bytes_max = 1024,
                .trailer_bytes_max = 1024,
                .trailer_count_max = 8},
    .body_bytes_max = 64 << 10,
    .inline_body_bytes = 2048,
    .discard_bytes_max = 4096,
    .header_ms = 5000,
    .body_grace_ms = 2000,
    .body_rate_min = 100,
    .write_ms = 3000,
};

/* Routes in a table: what a test serves. */
struct seam_route {
    const char *method_z, *pattern_z;
    weft_handler_fn handler;
    uint64_t body_bytes_max;
    uint32_t deadline_ms;
    weft_handler_fn before[3];
    weft_after_fn after[3];
};

#define SEAM_ROUTES_MAX 64
static struct weft_route seam_routes[SEAM_ROUTES_MAX];

static void add_route(const struct seam_route *from, struct weft_route *to)
{
    char error[200];
    *to = (struct weft_route){.handler = from->handler,
                              .memory_bytes = 64 << 10,
                              .heap_bytes = 32 << 10,
                              .deadline_ms = from->deadline_ms,
                              .pattern = weft_str_z(from->pattern_z)};
    to->body_bytes_max =
        from->body_bytes_max != 0 ? from->body_bytes_max : seam_limits.body_bytes_max;
    for (size_t i = 0; i < WEFT_COUNT_OF(from->before); i++)
        if (from->before[i] != NULL || from->after[i] != NULL)
            assert_int_equal(weft_chain_add(&to->chain, from->before[i], from->after[i]), 0);
    weft_str method = weft_str_z(from->method_z);
    assert_int_equal(weft_router_add(seam.router, weft_method_from(method), (weft_str){0},
                                     to->pattern, to, error, sizeof(error)),
                     0);
}

/* With a connection, as wire_open() makes it. */
static void seam_open(const struct weft_protocol *protocol, const struct seam_route *routes,
                      size_t count, size_t waiting)
{
    const char *part = NULL;
    weft_clock_fake_init(&seam.clock, 1000 * (uint64_t)WEFT_NS_PER_S, 1795233995);
    seam.share.max = 100;
    struct weft_loop_options options = {
        .engine = &weft_epoll_ops, /* never opened: nothing here reaches a kernel */
        .connections = 4,
        .share = &seam.share,
        .active = 8,
        .waiting = waiting,
        .stack_bytes = 16 << 10,
        .buffer_bytes = 8192,
        .buffers = 64,
        .spare_buffers = 64,
        .elastic_bytes = 4 << 20,
        .timer_precision_ms = 1,
        .protocol = protocol,
        .clock = &seam.clock.source,
    };
    assert_int_equal(weft_ledger_init(&seam.ledger, 0), 0);
    assert_int_equal(weft_loop_init(&seam.loop, &seam.ledger, &options, &part), 0);
    assert_int_equal(weft_router_create(&seam.router), 0);
    assert_true(count <= SEAM_ROUTES_MAX);
    for (size_t i = 0; i < count; i++)
        add_route(&routes[i], &seam_routes[i]);
    assert_int_equal(weft_router_compile(seam.router), 0);
    seam.site = (struct weft_site){.router = seam.router,
                                   .limits = seam_limits,
                                   .fallback = {.memory_bytes = 16 << 10,
                                                .body_bytes_max = seam_limits.body_bytes_max,
                                                .index = UINT32_MAX},
                                   .server = WEFT_S("weft"),
                                   .root_fd = -1,
                                   .upload_fd = -1};
    assert_int_equal(weft_service_init(&seam.service, &seam.site, &seam.loop), 0);
    seam.loop.owner = &seam.service;
    wire_open();
}

static void seam_close(void)
{
    weft_service_fini(&seam.service);
    weft_router_destroy(seam.router);
    weft_loop_fini(&seam.loop);
    assert_int_equal(seam.ledger.reserved, 0);
    weft_ledger_fini(&seam.ledger);
}

/* The teardown of a test that has nothing else to give back. */
static inline int seam_end(void **state)
{
    (void)state;
    seam_close();
    return 0;
}
#endif
