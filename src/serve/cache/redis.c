/* redis.c - see redis.h. A command is one walk down: a connection, hello if it is new, send, read.
 * On the first thing that goes wrong the connection is closed; one that lay idle and turns out to
 * be dead is replaced once, because a server that was restarted has closed them all.
 */
#include "serve/cache/redis.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>
#include "base/fmt.h"
#include "base/log.h"
#include "http/message.h"
#include "serve/cache/lease.h"
#include "serve/cache/redis_address.h"
#include "serve/cache/redis_cache.h"
#include "serve/cache/redis_names.h"

#define RECV_BYTES       ((size_t)16 << 10) /* at once, on the worker's own stack */
#define READER_KEPT      ((size_t)16 << 10) /* a reader that took more is made anew */
#define REPLY_MORE_BYTES ((size_t)4096)     /* a reply's head, its end, or the words of an error */

struct conn {
    struct weft_redis_reader *reader; /* NULL: not connected */
    int fd;
};

struct weft_redis {
    struct weft_cache_backend backend;
    struct weft_upstream upstream;
    struct weft_account *account;
    struct weft_redis_address address;
    struct weft_redis_names names; /* where that is a name */
    char address_z[256];           /* as it was given: for the log */
    uint32_t timeout_ms, retry_ms;
    size_t value_bytes_max;
    _Atomic uint64_t down_until_ms;     /* 0: it answers */
    weft_str hellos[WEFT_REDIS_HELLOS]; /* into hello_text */
    char hello_text[WEFT_REDIS_HELLO_BYTES];
    uint32_t conn_count;
    struct conn conns[]; /* each its holder's, by the pool's lock */
};

/* One call, on the task's stack. */
struct call {
    weft_req *rq;
    struct weft_redis *redis;
    struct conn *conn;
    uint64_t until_ms;
};

static void count(const struct call *call, enum weft_counter id)
{
    weft_loop_count(call->rq->loop, id);
}

/* ---- does it answer? ---- */

/* After a failure one call in retry_ms goes to see. */
static bool may_ask(struct weft_redis *redis, uint64_t now_ms)
{
    uint64_t until = atomic_load_explicit(&redis->down_until_ms, memory_order_relaxed);
    if (WEFT_LIKELY(until == 0))
        return true;
    return now_ms >= until &&
           atomic_compare_exchange_strong(&redis->down_until_ms, &until, now_ms + redis->retry_ms);
}

static void answered(struct weft_redis *redis)
{
    if (WEFT_LIKELY(atomic_load_explicit(&redis->down_until_ms, memory_order_relaxed) == 0))
        return;
    if (atomic_exchange(&redis->down_until_ms, 0) != 0)
        weft_log_info("redis %s answers again", redis->address_z);
}

static void failed(struct call *call, weft_rc rc)
{
    struct weft_redis *redis = call->redis;
    uint64_t until = call->rq->loop->now_ms + redis->retry_ms;
    count(call,
          rc == (weft_rc)-ETIMEDOUT ? WEFT_COUNTER_REDIS_TIMEOUTS : WEFT_COUNTER_REDIS_FAILURES);
    if (atomic_exchange(&redis->down_until_ms, until) == 0)
        weft_log_warn("redis %s does not answer: %s; it is asked again every %u ms",
                      redis->address_z, weft_rc_text(rc), redis->retry_ms);
}

/* ---- one connection ---- */

static void disconnect(struct conn *conn)
{
    if (conn->reader == NULL)
        return;
    close(conn->fd);
    weft_redis_reader_destroy(conn->reader);
    *conn = (struct conn){.fd = -1};
}

/* Our own deadline is not the request's. */
static weft_rc wait_for(const struct call *call, int fd, uint32_t events)
{
    uint32_t revents = 0;
    uint64_t now_ms = call->rq->loop->now_ms;
    if (now_ms >= call->until_ms)
        return (weft_rc)-ETIMEDOUT;
    weft_rc rc = weft_wait_fd(call->rq, fd, events, call->until_ms - now_ms, &revents);
    return rc == WEFT_EDEADLINE && call->rq->canceled == 0 ? (weft_rc)-ETIMEDOUT : rc;
}

static weft_rc send_all(const struct call *call, struct iovec *pieces, uint32_t piece_count)
{
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = piece_count};
    while (message.msg_iovlen > 0) {
        ssize_t n = sendmsg(call->conn->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            return (weft_rc)-errno;
        for (size_t left = n < 0 ? 0 : (size_t)n; message.msg_iovlen > 0;) {
            struct iovec *piece = message.msg_iov;
            size_t sent = WEFT_MIN(left, piece->iov_len);
            piece->iov_base = (char *)piece->iov_base + sent;
            piece->iov_len -= sent;
            left -= sent;
            if (piece->iov_len > 0)
                break;
            message.msg_iov++;
            message.msg_iovlen--;
        }
        if (n < 0)
            WEFT_TRY(wait_for(call, call->conn->fd, POLLOUT));
    }
    return 0;
}

struct intake {
    struct conn *conn;
    struct weft_redis_reply *reply;
    weft_rc rc;
};

/* What has come, to the reader; on the worker's stack, which has room for it. */
static void take_in(void *arg)
{
    struct intake *intake = arg;
    char bytes[RECV_BYTES];
    do {
        ssize_t n = recv(intake->conn->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
        if (n > 0)
            intake->rc = weft_redis_reader_feed(intake->conn->reader,
                                                weft_str_make(bytes, (size_t)n), intake->reply);
        else if (n == 0)
            intake->rc = (weft_rc)-ECONNRESET;
        else if (errno != EINTR)
            intake->rc = (weft_rc)-errno;
    } while (intake->rc == WEFT_NEXT);
}

static weft_rc read_reply(const struct call *call, struct weft_redis_reply *reply)
{
    struct intake intake = {.conn = call->conn, .reply = reply};
    reply->bytes = 0;
    reply->bytes_max = call->redis->value_bytes_max + REPLY_MORE_BYTES;
    do {
        WEFT_TRY(wait_for(call, call->conn->fd, POLLIN));
        intake.rc = WEFT_NEXT;
        weft_task_on_worker(&call->rq->loop->tasks, take_in, &intake);
    } while (intake.rc == (weft_rc)-EAGAIN);
    return intake.rc;
}

/* ---- a new one ---- */

static weft_rc dial(const struct call *call, int fd, const struct weft_redis_socket *to)
{
    int one = 1, error = 0;
    socklen_t len = sizeof(error);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* not on a unix socket */
    if (connect(fd, (const struct sockaddr *)&to->to, to->bytes) == 0)
        return 0;
    if (errno != EINPROGRESS)
        return (weft_rc)-errno;
    WEFT_TRY(wait_for(call, fd, POLLOUT));
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        return (weft_rc)-errno;
    return (weft_rc)-error;
}

static weft_rc open_socket(const struct call *call, const struct weft_redis_socket *to, int *out_fd)
{
    int fd = socket(to->to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return (weft_rc)-errno;
    weft_rc rc = dial(call, fd, to);
    if (rc != 0)
        close(fd);
    else
        *out_fd = fd;
    return rc;
}

/* One after another; each has its share of the time, so that one that says nothing leaves some. */
static weft_rc open_any(const struct call *call, const struct weft_redis_address *address,
                        int *out_fd)
{
    weft_rc rc = (weft_rc)-EHOSTUNREACH;
    for (uint32_t i = 0; i < address->socket_count && rc != 0 && call->rq->canceled == 0; i++) {
        struct call part = *call;
        uint64_t now_ms = call->rq->loop->now_ms;
        if (now_ms < call->until_ms)
            part.until_ms = now_ms + (call->until_ms - now_ms) / (address->socket_count - i);
        rc = open_socket(&part, &address->sockets[i], out_fd);
    }
    return rc;
}

static char *no_room(void *arg, size_t len)
{
    (void)arg;
    (void)len;
    return NULL;
}

/* Password and database; each has an answer of its own. */
static weft_rc say_hello(const struct call *call)
{
    const struct weft_redis *redis = call->redis;
    for (size_t i = 0; i < WEFT_REDIS_HELLOS; i++) {
        struct iovec piece = {(void *)(uintptr_t)redis->hellos[i].ptr, redis->hellos[i].len};
        struct weft_redis_reply reply = {.make_room = no_room};
        if (piece.iov_len == 0)
            continue;
        WEFT_TRY(send_all(call, &piece, 1));
        WEFT_TRY(read_reply(call, &reply));
        if (reply.type != WEFT_REDIS_OK) {
            weft_log_warn("redis %s: %.*s", redis->address_z, (int)reply.text.len, reply.text.ptr);
            return (weft_rc)-EACCES;
        }
    }
    return 0;
}

static weft_rc connect_anew(const struct call *call)
{
    struct weft_redis_address address = call->redis->address;
    if (address.host_z[0] != 0)
        WEFT_TRY(weft_redis_names_ask(&call->redis->names, call->rq, call->until_ms, &address));
    int fd = -1;
    WEFT_TRY(open_any(call, &address, &fd));
    struct weft_redis_reader *reader = weft_redis_reader_create();
    if (reader == NULL) {
        close(fd);
        return WEFT_ENOMEM;
    }
    *call->conn = (struct conn){reader, fd};
    count(call, WEFT_COUNTER_REDIS_CONNECTS);
    return say_hello(call);
}

/* Nothing may come while nothing was asked. */
static bool is_alive(const struct call *call)
{
    char byte;
    ssize_t n = recv(call->conn->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n > 0)
        count(call, WEFT_COUNTER_REDIS_GARBAGE);
    return n < 0 && errno == EAGAIN;
}

/* ---- a command ---- */

static weft_rc exchange(const struct call *call, const struct weft_redis_command *command,
                        struct weft_redis_reply *reply)
{
    struct iovec pieces[WEFT_COUNT_OF(command->pieces)];
    memcpy(pieces, command->pieces, sizeof(pieces));
    if (call->conn->reader == NULL)
        WEFT_TRY(connect_anew(call));
    count(call, WEFT_COUNTER_REDIS_COMMANDS);
    WEFT_TRY(send_all(call, pieces, command->piece_count));
    return read_reply(call, reply);
}

/* A long reply's buffer goes back; so does what cannot be had again: then the next one connects. */
static void trim(struct conn *conn, const struct weft_redis_reply *reply)
{
    if (reply->bytes <= READER_KEPT)
        return;
    weft_redis_reader_destroy(conn->reader);
    conn->reader = weft_redis_reader_create();
    if (conn->reader == NULL) {
        close(conn->fd);
        conn->fd = -1;
    }
}

static bool broken(weft_rc rc)
{
    return rc == (weft_rc)-ECONNRESET || rc == (weft_rc)-EPIPE;
}

static bool is_our_want(weft_rc rc)
{
    return rc == WEFT_EFULL || rc == WEFT_ENOMEM || rc == (weft_rc)-EMFILE ||
           rc == (weft_rc)-ENFILE || rc == (weft_rc)-ENOBUFS;
}

/* What came of it, for those who count, and for who asks next. */
static void judge(struct call *call, weft_rc rc)
{
    if (rc == 0) {
        answered(call->redis);
        return;
    }
    disconnect(call->conn);
    if (call->rq->canceled != 0 || is_our_want(rc))
        return; /* says nothing about it */
    if (rc == WEFT_ESYNTAX || rc == WEFT_ELIMIT)
        count(call, rc == WEFT_ELIMIT ? WEFT_COUNTER_REDIS_TOO_LARGE : WEFT_COUNTER_REDIS_GARBAGE);
    else
        failed(call, rc);
}

static weft_rc run(struct call *call, const struct weft_redis_command *command,
                   struct weft_redis_reply *reply)
{
    if (call->conn->reader != NULL && !is_alive(call))
        disconnect(call->conn);
    bool idle = call->conn->reader != NULL;
    weft_rc rc = exchange(call, command, reply);
    if (idle && broken(rc) && reply->bytes == 0) {
        disconnect(call->conn);
        rc = exchange(call, command, reply);
    }
    judge(call, rc);
    if (rc == 0)
        trim(call->conn, reply);
    return rc;
}

weft_rc weft_redis_call(weft_req *rq, struct weft_redis *redis, struct weft_redis_command *command,
                        struct weft_redis_reply *reply)
{
    struct weft_lease lease;
    struct call call = {rq, redis, NULL, rq->loop->now_ms + redis->timeout_ms};
    reply->bytes = 0;
    if (!may_ask(redis, rq->loop->now_ms)) {
        count(&call, WEFT_COUNTER_REDIS_SKIPPED);
        return WEFT_ECLOSED;
    }
    weft_rc rc = weft_lease_take(rq, &redis->upstream, redis->timeout_ms, &lease);
    if (rc != 0) {
        if (rc == WEFT_EFULL || rc == (weft_rc)-ETIMEDOUT)
            count(&call, WEFT_COUNTER_REDIS_NO_CONN);
        return rc;
    }
    call.conn = &redis->conns[lease.conn];
    rc = run(&call, command, reply);
    weft_lease_give(&lease);
    return rc;
}

/* ---- from start to end ---- */

static size_t own_bytes(uint32_t connections)
{
    return WEFT_ALIGN_UP(sizeof(struct weft_redis) + connections * sizeof(struct conn),
                         WEFT_PAGE_BYTES);
}

size_t weft_redis_conn_bytes(const struct weft_redis_options *options)
{
    return weft_redis_reader_bytes(options->value_bytes_max + REPLY_MORE_BYTES);
}

static size_t heap_bytes(const struct weft_redis_options *options)
{
    return options->connections * weft_redis_conn_bytes(options);
}

size_t weft_redis_bytes(const struct weft_redis_options *options)
{
    return own_bytes(options->connections) + heap_bytes(options);
}

static void say_why(char *to, size_t room, const char *address_z, const char *why_z)
{
    size_t len = weft_fmt(to, room, "redis: %s: %s", address_z, why_z);
    to[WEFT_MIN(len, room - 1)] = 0;
}

static weft_rc map(const struct weft_redis_options *options, struct weft_ledger *ledger,
                   struct weft_redis **out)
{
    struct weft_account *account = NULL;
    void *memory = NULL;
    size_t bytes = own_bytes(options->connections);
    WEFT_TRY(weft_account_open(ledger, "redis", WEFT_ACCOUNT_PROCESS, &account));
    WEFT_TRY(weft_account_map(account, bytes, &memory));
    weft_account_use(account, bytes);
    weft_account_commit(account, (ptrdiff_t)bytes);
    *out = memory;
    (*out)->account = account;
    (*out)->conn_count = options->connections;
    return 0;
}

static void unmap(struct weft_redis *redis)
{
    size_t bytes = own_bytes(redis->conn_count);
    struct weft_account *account = redis->account;
    weft_account_unuse(account, bytes);
    weft_account_commit(account, -(ptrdiff_t)bytes);
    weft_account_unmap(account, redis, bytes);
}

static void fill_in(struct weft_redis *redis, const struct weft_redis_options *options)
{
    redis->timeout_ms = options->timeout_ms;
    redis->retry_ms = options->retry_ms;
    redis->value_bytes_max = options->value_bytes_max;
    weft_redis_hello(redis->hello_text, weft_str_z(options->password_z), options->database,
                     redis->hellos);
    size_t len = weft_fmt(redis->address_z, sizeof(redis->address_z), "%s", options->address_z);
    redis->address_z[WEFT_MIN(len, sizeof(redis->address_z) - 1)] = 0;
    for (uint32_t i = 0; i < options->connections; i++)
        redis->conns[i].fd = -1;
    redis->backend.ops = &weft_redis_cache_ops;
    weft_upstream_init(&redis->upstream, "redis", options->connections, options->queue);
    weft_rc rc = weft_upstream_open(&redis->upstream);
    weft_assert(rc == 0);
}

weft_rc weft_redis_create(const struct weft_redis_options *options, struct weft_ledger *ledger,
                          struct weft_redis **out, char *out_why, size_t why_bytes)
{
    struct weft_redis_address address;
    struct weft_redis *redis = NULL;
    const char *why_z = "expected host:port, [v6]:port or unix:/path";
    weft_rc rc = weft_redis_address_read(weft_str_z(options->address_z), &address);
    if (rc == 0)
        rc = weft_redis_load(&why_z);
    if (rc == 0) {
        rc = map(options, ledger, &redis);
        if (rc == 0)
            rc = weft_leash_attach(weft_redis_heap(), ledger, heap_bytes(options));
        why_z = weft_rc_text(rc);
    }
    if (rc != 0) {
        say_why(out_why, why_bytes, options->address_z, why_z);
        if (redis != NULL)
            unmap(redis);
        return rc;
    }
    redis->address = address;
    weft_redis_names_init(&redis->names, &address, options->retry_ms);
    fill_in(redis, options);
    *out = redis;
    return 0;
}

weft_rc weft_redis_destroy(struct weft_redis *redis, uint32_t wait_ms)
{
    if (redis == NULL)
        return 0;
    weft_rc rc = weft_upstream_close(&redis->upstream, wait_ms);
    weft_leash_detach(weft_redis_heap());
    if (rc != 0)
        return rc;
    for (uint32_t i = 0; i < redis->conn_count; i++)
        disconnect(&redis->conns[i]);
    weft_upstream_fini(&redis->upstream);
    weft_redis_names_fini(&redis->names);
    unmap(redis);
    return 0;
}

struct weft_cache_backend *weft_redis_backend(struct weft_redis *redis)
{
    return &redis->backend;
}

struct weft_redis *weft_redis_of(struct weft_cache_backend *backend)
{
    return WEFT_CONTAINER_OF(backend, struct weft_redis, backend);
}

struct weft_upstream *weft_redis_upstream(struct weft_redis *redis)
{
    return &redis->upstream;
}

size_t weft_redis_value_bytes_max(const struct weft_redis *redis)
{
    return redis->value_bytes_max;
}
