/* echo.h - a real loop over loopback sockets under a protocol that does what a test tells it: for
 * the tests of engines, connections and listeners. Clients live on the same thread and never block,
 * so the test turns the loop until what it waits for has happened. */
#ifndef WEFT_TESTS_ECHO_H
#define WEFT_TESTS_ECHO_H
#include "unit.h"
#include "base/str.h"
#include "io/loop.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define ECHO_BYTES ((size_t)64 << 10)
#define REFUSAL    "full up\n"

enum echo_does {
    DOES_ECHO,  /* sends back what came */
    DOES_COUNT, /* receives in `echo_mode`, sends nothing, stays active */
    DOES_LARGE, /* answers with `echo_body` */
    DOES_FILE,  /* answers with "file" and `echo_file` */
    DOES_CLOSE, /* answers "bye" and closes in `echo_close` */
    DOES_KEEP,  /* keeps the buffers that bytes come in, stays active */
};

struct echo {
    struct weft_conn conn; /* first */
    size_t len, flight, sent;
    uint16_t kept[64];
    size_t kept_count;
    bool eof, done;
    char data[ECHO_BYTES];
};

static enum echo_does echo_does;
static enum weft_recv_mode echo_mode;
static enum weft_close echo_close;
static weft_str echo_body;
static int echo_file = -1;
static uint64_t echo_file_bytes;
static struct echo *echo_last; /* the object that was told something last */
static struct {
    size_t starts, inputs, bytes, ends, errors, sents, stalls, expired, drains;
} echo_told;

static struct echo *echo_of(struct weft_conn *conn)
{
    echo_last = WEFT_CONTAINER_OF(conn, struct echo, conn);
    return echo_last;
}

static void echo_unkeep(struct echo *e)
{
    while (e->kept_count > 0)
        weft_bufs_unref(&e->conn.loop->bufs, e->kept[--e->kept_count]);
}

static void echo_drop(struct echo *e, enum weft_close how)
{
    echo_unkeep(e);
    weft_conn_close(&e->conn, how);
}

static void echo_over(struct echo *e)
{
    if (e->done || e->eof)
        echo_drop(e, e->done ? echo_close : WEFT_CLOSE_CLEAN);
    else
        weft_conn_release(&e->conn);
}

static void echo_send(struct echo *e, unsigned iov_count)
{
    weft_rc rc = weft_conn_send(&e->conn, iov_count);
    if (rc == 0)
        echo_over(e);
    else if (rc != WEFT_PENDING && rc != WEFT_SOON)
        echo_drop(e, WEFT_CLOSE_ABORT);
}

static void echo_back(struct echo *e)
{
    e->flight = e->len;
    e->conn.iov[0] = (struct iovec){e->data + e->sent, e->len - e->sent};
    echo_send(e, 1);
}

static void echo_answer(struct echo *e)
{
    switch (echo_does) {
    case DOES_ECHO:
        echo_back(e);
        break;
    case DOES_LARGE: /* in two pieces, as a head and a body are */
        e->conn.iov[0] = (struct iovec){(void *)(uintptr_t)echo_body.ptr, 10};
        e->conn.iov[1] =
            (struct iovec){(void *)(uintptr_t)(echo_body.ptr + 10), echo_body.len - 10};
        echo_send(e, 2);
        break;
    case DOES_FILE:
        e->conn.iov[0] = (struct iovec){(void *)(uintptr_t) "file", 4};
        e->conn.file = echo_file;
        e->conn.file_offset = 1;
        e->conn.file_left = echo_file_bytes - 1;
        echo_send(e, 1);
        break;
    case DOES_CLOSE:
        e->done = true;
        e->conn.iov[0] = (struct iovec){(void *)(uintptr_t) "bye", 3};
        echo_send(e, 1);
        break;
    case DOES_COUNT:
    case DOES_KEEP:
        weft_conn_recv(&e->conn, echo_mode);
        break;
    }
}

static void echo_start(struct weft_conn *conn)
{
    struct echo *e = echo_of(conn);
    e->len = e->flight = e->sent = e->kept_count = 0;
    e->eof = e->done = false;
    echo_told.starts++;
}

static void echo_bytes(struct weft_conn *conn, struct weft_input input)
{
    struct echo *e = echo_of(conn);
    echo_told.inputs++;
    echo_told.bytes += input.len;
    size_t n = WEFT_MIN((size_t)input.len, ECHO_BYTES - e->len);
    memcpy(e->data + e->len, input.ptr, n);
    e->len += n;
    if (echo_does == DOES_KEEP) {
        assert_true(e->kept_count < WEFT_COUNT_OF(e->kept));
        weft_bufs_ref(&conn->loop->bufs, input.buf);
        e->kept[e->kept_count++] = input.buf;
    }
    if (!conn->sending)
        echo_answer(e);
}

static void echo_ended(struct weft_conn *conn, weft_rc rc)
{
    struct echo *e = echo_of(conn);
    e->eof = true;
    if (rc == 0)
        echo_told.ends++;
    else
        echo_told.errors++;
    if (conn->sending && rc != 0)
        conn->transport->abort(conn);
    else if (!conn->sending)
        echo_drop(e, rc == 0 ? WEFT_CLOSE_CLEAN : WEFT_CLOSE_ABORT);
}

static void echo_sent(struct weft_conn *conn, weft_rc rc)
{
    struct echo *e = echo_of(conn);
    echo_told.sents++;
    e->sent = e->flight;
    if (rc < 0)
        echo_drop(e, WEFT_CLOSE_ABORT);
    else if (echo_does == DOES_ECHO && e->sent < e->len)
        echo_back(e);
    else
        echo_over(e);
}

static void echo_expired(struct weft_conn *conn)
{
    (void)echo_of(conn);
    echo_told.expired++;
}

static void echo_stalled(struct weft_conn *conn)
{
    (void)conn;
    echo_told.stalls++;
}

static void echo_drain(struct weft_conn *conn)
{
    (void)conn;
    echo_told.drains++;
}

static const struct weft_protocol echo_protocol = {
    .conn_bytes = sizeof(struct echo),
    .refusal = {REFUSAL, sizeof(REFUSAL) - 1},
    .start = echo_start,
    .bytes = echo_bytes,
    .ended = echo_ended,
    .sent = echo_sent,
    .stalled = echo_stalled,
    .expired = echo_expired,
    .drain = echo_drain,
};

/* ---- the loop ---- */

struct rig_options {
    size_t connections, share, active, buffers, spares, installs;
    struct weft_slot_limits limits;
    int send_bytes; /* SO_SNDBUF of the server's sockets; 0: the kernel's choice */
    bool fake_clock;
    uint32_t reclaim_window_ms;
    const struct weft_limits *process_limits;
};

static struct rig {
    struct weft_ledger ledger;
    struct weft_loop loop;
    struct weft_conn_share share;
    struct weft_clock_fake clock;
    uint64_t turns;
} rig;

static const struct weft_engine_ops *rig_engine; /* the one that is tested */
static bool rig_direct;                          /* with connections without descriptors */

static inline uint64_t counted(enum weft_counter id)
{
    return weft_counter_read(rig.loop.counters, id);
}

static void rig_listen(int send_bytes)
{
    char error[200];
    struct weft_listener *listener = &rig.loop.listeners[0];
    const struct weft_listen_options options = {
        .host_z = "127.0.0.1", .backlog = 256, .nodelay = true, .linger_s = -1};
    assert_int_equal(weft_listener_open(listener, &options, error, sizeof(error)), 0);
    if (send_bytes > 0)
        assert_int_equal(
            setsockopt(listener->fd, SOL_SOCKET, SO_SNDBUF, &send_bytes, sizeof(send_bytes)), 0);
    rig.loop.listener_count = 1;
    assert_int_equal(weft_listener_start(listener, &rig.loop, 0), 0);
}

static void rig_open(struct rig_options o)
{
    const char *part = NULL;
    memset(&echo_told, 0, sizeof(echo_told));
    echo_does = DOES_ECHO;
    rig.turns = 0;
    rig.share = (struct weft_conn_share){.max = (uint32_t)(o.share > 0 ? o.share : 64)};
    weft_clock_fake_init(&rig.clock, 1000 * (uint64_t)WEFT_NS_PER_S, 1795233995);
    const struct weft_loop_options options = {
        .engine = rig_engine,
        .connections = o.connections > 0 ? o.connections : 64,
        .share = &rig.share,
        .direct = rig_direct,
        .installs = o.installs > 0 ? o.installs : 8,
        .queue = rig_direct ? 64 : 0,
        .active = o.active > 0 ? o.active : 64,
        .waiting = 16,
        .stack_bytes = 16 << 10,
        .buffer_bytes = 4096,
        .buffers = o.buffers > 0 ? o.buffers : 32,
        .spare_buffers = o.buffers > 0 ? o.spares : 32,
        .elastic_bytes = 1 << 20,
        .timer_precision_ms = 1,
        .slot_limits = o.limits,
        .protocol = &echo_protocol,
        .reclaim_window_ms = o.reclaim_window_ms,
        .limits = o.process_limits,
        .clock = o.fake_clock ? &rig.clock.source : &weft_clock_system,
    };
    assert_int_equal(weft_ledger_init(&rig.ledger, 0), 0);
    assert_int_equal(weft_loop_init(&rig.loop, &rig.ledger, &options, &part), 0);
    assert_int_equal(weft_loop_open(&rig.loop), 0);
    rig_listen(o.send_bytes);
}

static void turn(void)
{
    rig.turns++;
    assert_int_equal(weft_loop_turn(&rig.loop, 1), 0);
}

/* Turns the loop until the condition holds, for 2 s at most. */
#define UNTIL(condition)                                                                           \
    do {                                                                                           \
        for (int until_ = 0; !(condition) && until_ < 2000; until_++)                              \
            turn();                                                                                \
        assert_true(condition);                                                                    \
    } while (0)

static inline void turn_for(int turns)
{
    for (int i = 0; i < turns; i++)
        turn();
}

/* Clients are gone, or go now: everything must be given back. */
static void rig_close(void)
{
    if (rig.loop.listeners[0].fd >= 0)
        weft_listener_close(&rig.loop.listeners[0]);
    (void)weft_conns_abort(&rig.loop);
    UNTIL(rig.loop.slots.used == 0);
    assert_int_equal(rig.share.used, 0);
    assert_int_equal(weft_pool_used(&rig.loop.conns), 0);
    assert_int_equal(weft_pool_used(&rig.loop.watches), 1); /* the waker's */
    assert_int_equal(counted(WEFT_COUNTER_ACCEPTED), counted(WEFT_COUNTER_CLOSED));
    weft_loop_fini(&rig.loop);
    assert_int_equal(rig.ledger.reserved, 0);
    for (uint32_t i = 0; i < rig.ledger.account_count; i++)
        assert_int_equal(weft_account_used(&rig.ledger.accounts[i]), 0);
    weft_ledger_fini(&rig.ledger);
}

/* Each test's, where it wants nothing else. */
static inline int open_rig(void **state)
{
    (void)state;
    rig_open((struct rig_options){0});
    return 0;
}

static inline int close_rig(void **state)
{
    (void)state;
    rig_close();
    return 0;
}

/* ---- clients ---- */

static inline int client_open(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(rig.loop.listeners[0].port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0); /* the backlog takes it */
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static inline void client_say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Bytes until len of them are there or the connection ends; turns the loop meanwhile. */
static inline size_t client_read(int fd, char *to, size_t len)
{
    size_t got = 0;
    for (int i = 0; got < len && i < 5000; i++) {
        ssize_t n = recv(fd, to + got, len - got, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            break;
        if (n > 0)
            got += (size_t)n;
        else
            turn();
    }
    return got;
}

static inline bool client_hears(int fd, const char *text)
{
    char got[256];
    size_t len = strlen(text);
    return client_read(fd, got, len) == len && memcmp(got, text, len) == 0;
}

/* The end: 0, a reset: -ECONNRESET, neither within a second: -EAGAIN; bytes before it are dropped.
 */
static inline int client_end(int fd)
{
    char got[4096];
    for (int i = 0; i < 1000; i++) {
        ssize_t n = recv(fd, got, sizeof(got), 0);
        if (n == 0)
            return 0;
        if (n < 0 && errno != EAGAIN)
            return -errno;
        turn();
    }
    return -EAGAIN;
}

static inline void client_reset(int fd)
{
    const struct linger hard = {.l_onoff = 1, .l_linger = 0};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)), 0);
    close(fd);
}

/* Runs a group of tests on each engine that works here. */
#define RUN_ON_ENGINES(tests, failed)                                                              \
    do {                                                                                           \
        (void)signal(SIGPIPE, SIG_IGN); /* sendfile() to who is gone raises it; main() does so */  \
        const char *why_ = NULL;                                                                   \
        rig_engine = &weft_epoll_ops;                                                              \
        failed += cmocka_run_group_tests_name("epoll", tests, NULL, NULL);                         \
        if (weft_uring_usable(&why_)) {                                                            \
            rig_engine = &weft_uring_ops;                                                          \
            failed += cmocka_run_group_tests_name("uring", tests, NULL, NULL);                     \
        } else {                                                                                   \
            print_message("uring: skipped: %s\n", why_);                                           \
        }                                                                                          \
        rig_direct = weft_uring_direct_usable(&why_);                                              \
        if (rig_direct)                                                                            \
            failed += cmocka_run_group_tests_name("uring, direct", tests, NULL, NULL);             \
        else                                                                                       \
            print_message("direct descriptors: skipped: %s\n", why_);                              \
    } while (0)
#endif
