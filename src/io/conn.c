/* conn.c - the connection table, what the engine's events mean to it, and the TCP transport.
 *
 * Idle connections have no timers: their slots hold the tenth of a second they last did something
 * in, and a sweep walks the table, 16 bytes a connection, a few times per time-out.
 */
#include "io/conn.h"
#include "io/loop.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <unistd.h>

#define FILE_TURN_BYTES    ((size_t)2 << 20) /* per visit: then the others get their turn */
#define CORK_BYTES_MIN     ((size_t)96 << 10)
#define SWEEP_MS_MIN       100
#define REFUSED_LINGER_MAX 16 /* connections beyond the limit that are closed with patience */
#define SWEEP_MS_MAX       5000

static uint32_t now_ds(const struct weft_loop *loop)
{
    return (uint32_t)(loop->now_ms / 100);
}

static struct weft_conn *conn_of(struct weft_loop *loop, const struct weft_slot *slot)
{
    return weft_pool_at(&loop->conns, slot->active);
}

static void expired(struct weft_timer *timer)
{
    struct weft_conn *conn = WEFT_CONTAINER_OF(timer, struct weft_conn, timer);
    conn->protocol->expired(conn);
}

struct weft_conn *weft_conn_wake(struct weft_loop *loop, const struct weft_transport *transport,
                                 const struct weft_protocol *protocol, uint32_t slot)
{
    uint32_t index = weft_pool_take(&loop->conns);
    if (index == WEFT_POOL_NONE)
        return NULL;
    struct weft_conn *conn = weft_pool_at(&loop->conns, index);
    conn->transport = transport;
    conn->protocol = protocol;
    conn->loop = loop;
    conn->slot = slot;
    conn->index = index;
    conn->timer = (struct weft_timer){.fire = expired};
    conn->message = (struct msghdr){0};
    conn->file = conn->socket = -1;
    conn->file_left = conn->copied = 0;
    conn->installs = false;
    conn->sent_bytes = 0;
    conn->sending = conn->corked = false;
    protocol->start(conn);
    return conn;
}

void weft_conn_drop(struct weft_conn *conn)
{
    weft_assert(!conn->sending);
    weft_timer_disarm(&conn->loop->wheel, &conn->timer);
    weft_pool_put(&conn->loop->conns, conn->index);
}

/* ---- opening and closing ---- */

static void detach(struct weft_loop *loop, uint32_t index)
{
    loop->slots.table[index].state = WEFT_SLOT_CLOSING;
    loop->slots.table[index].active = WEFT_POOL_NONE;
    loop->engine.ops->detach(&loop->engine, index);
}

/* Says that we are done and goes on dropping what the peer still sends: closing with unread bytes
 * would reset the connection, and the reset may overtake our answer (RFC 9112 9.6). */
static void linger(struct weft_loop *loop, uint32_t index)
{
    struct weft_slot *slot = &loop->slots.table[index];
    if (weft_engine_shutdown(&loop->engine, index, SHUT_WR) != 0) {
        detach(loop, index);
        return;
    }
    slot->state = WEFT_SLOT_LINGERING;
    slot->active = WEFT_POOL_NONE;
    slot->last_ds = now_ds(loop);
    weft_engine_recv(&loop->engine, index, WEFT_RECV_STREAM);
}

/* Is the process, or this worker, that many connections beyond its limit? */
static bool beyond(const struct weft_slots *slots, uint32_t by)
{
    const struct weft_conn_share *share = slots->share;
    return atomic_load_explicit(&share->used, memory_order_relaxed) > share->max + by ||
           slots->used > slots->count - WEFT_REFUSAL_SLOTS + by;
}

/* No object can be had for what this peer wants: it is told so from static memory. Only some linger
 * then: what is left of the descriptors is meant for others. */
static void refuse(struct weft_loop *loop, uint32_t index)
{
    weft_engine_say(&loop->engine, index, loop->protocol->refusal);
    weft_loop_count(loop, WEFT_COUNTER_REFUSED_CONNS);
    if (beyond(&loop->slots, REFUSED_LINGER_MAX))
        detach(loop, index);
    else
        linger(loop, index);
}

static void arm_sweep(struct weft_loop *loop)
{
    weft_timer_arm(&loop->wheel, &loop->slots.sweep, loop->now_ms + loop->slots.sweep_ms);
}

/* A table of direct descriptors drops who does not fit. So when it is full but for the refusals'
 * part, connections come with a descriptor, which the process has enough of, until there is room.
 */
static void crowded(struct weft_loop *loop)
{
    const struct weft_slots *slots = &loop->slots;
    size_t full = slots->count - WEFT_REFUSAL_SLOTS;
    bool plain = loop->engine.accept_plain;
    bool crowd = slots->used >= (plain ? full - full / 16 : full);
    if (!loop->engine.size.direct || crowd == plain)
        return;
    for (uint32_t i = 0; i < loop->listener_count; i++)
        weft_listener_stop(&loop->listeners[i]);
    loop->engine.accept_plain = !plain;
    for (uint32_t i = 0; i < loop->listener_count; i++)
        weft_listener_resume(&loop->listeners[i]);
}

void weft_conn_open(struct weft_loop *loop, int fd)
{
    struct weft_slots *slots = &loop->slots;
    weft_loop_count(loop, WEFT_COUNTER_ACCEPTED);
    uint32_t index = weft_slots_take(slots);
    if (index == WEFT_POOL_NONE) {
        weft_loop_count(loop, WEFT_COUNTER_REFUSED_CONNS);
        weft_loop_count(loop, WEFT_COUNTER_CLOSED);
        weft_str text = loop->protocol->refusal;
        if (!weft_fd_direct(fd)) /* best effort: no slot */
            (void)!send(fd, text.ptr, text.len, MSG_DONTWAIT | MSG_NOSIGNAL);
        weft_engine_close_fd(&loop->engine, fd);
        return;
    }
    struct weft_slot *slot = &slots->table[index];
    slot->fd = fd;
    slot->state = WEFT_SLOT_FRESH;
    slot->last_ds = now_ds(loop);
    if (slots->used == 1)
        arm_sweep(loop);
    uint32_t before = atomic_fetch_add_explicit(&slots->share->used, 1, memory_order_relaxed);
    if (loop->engine.ops->attach(&loop->engine, index) != 0) {
        detach(loop, index);
        return;
    }
    crowded(loop);
    if (before >= slots->share->max || slots->used > slots->count - WEFT_REFUSAL_SLOTS)
        refuse(loop, index);
    else
        weft_engine_recv(&loop->engine, index, WEFT_RECV_STREAM);
}

static void on_detached(void *ctx, uint32_t index)
{
    struct weft_loop *loop = ctx;
    weft_slots_put(&loop->slots, index);
    atomic_fetch_sub_explicit(&loop->slots.share->used, 1, memory_order_relaxed);
    weft_loop_count(loop, WEFT_COUNTER_CLOSED);
    crowded(loop);
    for (uint32_t i = 0; i < loop->listener_count; i++)
        if (loop->listeners[i].paused)
            weft_listener_resume(&loop->listeners[i]);
}

/* ---- time ---- */

static uint32_t limit_of(const struct weft_slots *slots, const struct weft_slot *slot)
{
    switch ((enum weft_slot_state)slot->state) {
    case WEFT_SLOT_FRESH:
        return slots->limits.fresh_ds;
    case WEFT_SLOT_IDLE:
        return slots->limits.idle_ds;
    case WEFT_SLOT_LINGERING:
        return slots->limits.linger_ds;
    default:
        return 0;
    }
}

/* The loop was held up for longer than a sweep's pace, by a handler or by the machine: what came
 * meanwhile lies unread in the sockets, and is not the peer's fault. It is read first. */
static bool put_off(struct weft_loop *loop, const struct weft_timer *timer)
{
    struct weft_slots *slots = &loop->slots;
    bool late = loop->now_ms - timer->at_ms > slots->sweep_ms;
    slots->sweep_waited = late && !slots->sweep_waited;
    if (slots->sweep_waited)
        weft_timer_arm(&loop->wheel, &slots->sweep, loop->now_ms + SWEEP_MS_MIN);
    return slots->sweep_waited;
}

static void sweep(struct weft_timer *timer)
{
    struct weft_slots *slots = WEFT_CONTAINER_OF(timer, struct weft_slots, sweep);
    struct weft_loop *loop = WEFT_CONTAINER_OF(slots, struct weft_loop, slots);
    uint32_t now = now_ds(loop);
    if (put_off(loop, timer))
        return;
    for (uint32_t i = 0; (i = weft_slots_next(slots, i)) != WEFT_POOL_NONE; i++) {
        struct weft_slot *slot = &slots->table[i];
        uint32_t limit = limit_of(slots, slot);
        if (limit == 0 || now - slot->last_ds < limit)
            continue;
        if (slot->state == WEFT_SLOT_IDLE)
            weft_loop_count(loop, WEFT_COUNTER_TIMEOUTS_IDLE);
        else if (slot->state == WEFT_SLOT_FRESH)
            weft_loop_count(loop, WEFT_COUNTER_TIMEOUTS_HEADER);
        else
            weft_loop_count(loop, WEFT_COUNTER_TIMEOUTS_LINGER);
        detach(loop, i);
    }
    if (slots->used > 0)
        arm_sweep(loop);
}

/* In quarters of the time that the oldest has been idle: called again while memory is short, it
 * comes to the younger ones. */
void weft_conns_close_oldest(struct weft_loop *loop)
{
    const struct weft_slots *slots = &loop->slots;
    uint32_t now = now_ds(loop), oldest = 0;
    for (uint32_t i = 0; (i = weft_slots_next(slots, i)) != WEFT_POOL_NONE; i++)
        if (slots->table[i].state == WEFT_SLOT_IDLE)
            oldest = WEFT_MAX(oldest, now - slots->table[i].last_ds);
    for (uint32_t i = 0; (i = weft_slots_next(slots, i)) != WEFT_POOL_NONE; i++) {
        const struct weft_slot *slot = &slots->table[i];
        if (slot->state != WEFT_SLOT_IDLE || now - slot->last_ds < oldest - oldest / 4)
            continue;
        weft_loop_count(loop, WEFT_COUNTER_RELIEF_CLOSED);
        detach(loop, i);
    }
}

void weft_slots_limit(struct weft_slots *slots, struct weft_slot_limits limits)
{
    uint32_t shortest = UINT32_MAX;
    const uint32_t each[] = {limits.fresh_ds, limits.idle_ds, limits.linger_ds};
    for (size_t i = 0; i < WEFT_COUNT_OF(each); i++)
        if (each[i] != 0)
            shortest = WEFT_MIN(shortest, each[i]);
    slots->limits = limits;
    slots->sweep.fire = sweep;
    slots->sweep_ms = shortest > SWEEP_MS_MAX * 8 / 100 ? SWEEP_MS_MAX : shortest * 100 / 8;
    slots->sweep_ms = WEFT_MAX(slots->sweep_ms, (uint32_t)SWEEP_MS_MIN);
}

/* ---- events ---- */

static void on_awake(void *ctx)
{
    struct weft_loop *loop = ctx;
    weft_clock_update(&loop->clock);
    loop->now_ms = weft_clock_ms(&loop->clock);
}

static void on_accepted(void *ctx, uint32_t listener, int fd)
{
    struct weft_loop *loop = ctx;
    weft_listener_accepted(&loop->listeners[listener], fd);
}

static void first_bytes(struct weft_loop *loop, uint32_t index, struct weft_input input)
{
    struct weft_slot *slot = &loop->slots.table[index];
    struct weft_conn *conn = weft_conn_wake(loop, &weft_tcp, loop->protocol, index);
    if (conn == NULL) {
        refuse(loop, index);
        return;
    }
    slot->state = WEFT_SLOT_ACTIVE;
    slot->active = conn->index;
    conn->protocol->bytes(conn, input);
}

static void on_received(void *ctx, uint32_t index, int bytes, uint16_t buf)
{
    struct weft_loop *loop = ctx;
    struct weft_slot *slot = &loop->slots.table[index];
    struct weft_input input = {.buf = buf, .len = bytes > 0 ? (uint32_t)bytes : 0};
    if (bytes > 0)
        input.ptr = weft_bufs_at(&loop->bufs, buf);
    switch ((enum weft_slot_state)slot->state) {
    case WEFT_SLOT_FRESH:
    case WEFT_SLOT_IDLE:
        if (bytes > 0)
            first_bytes(loop, index, input);
        else
            detach(loop, index);
        break;
    case WEFT_SLOT_ACTIVE: {
        struct weft_conn *conn = conn_of(loop, slot);
        if (bytes > 0)
            conn->protocol->bytes(conn, input);
        else
            conn->protocol->ended(conn, (weft_rc)bytes);
        break;
    }
    case WEFT_SLOT_HELD: /* what it says is not listened to */
        if (bytes <= 0)
            loop->holder->ended(loop, slot->active, (weft_rc)bytes);
        break;
    case WEFT_SLOT_LINGERING:
        if (bytes <= 0)
            detach(loop, index);
        break;
    case WEFT_SLOT_FREE:
    case WEFT_SLOT_CLOSING:
        break;
    }
}

/* ---- the TCP transport ---- */

/* What system calls name the connection by: -1 where it has no descriptor, not even a lent one. */
static int fd_of(const struct weft_conn *conn)
{
    int fd = conn->loop->slots.table[conn->slot].fd;
    return weft_fd_direct(fd) ? conn->socket : fd;
}

/* Eats n bytes from the front of the iovec. */
static void advance(struct weft_conn *conn, size_t n)
{
    conn->sent_bytes += n;
    conn->progress_ms = conn->loop->now_ms;
    weft_count_add(conn->loop->counters, WEFT_COUNTER_BYTES_OUT, n);
    struct msghdr *m = &conn->message;
    while (m->msg_iovlen > 0 && n >= m->msg_iov->iov_len) {
        n -= m->msg_iov->iov_len;
        m->msg_iov++;
        m->msg_iovlen--;
    }
    if (n > 0) {
        m->msg_iov->iov_base = (char *)m->msg_iov->iov_base + n;
        m->msg_iov->iov_len -= n;
    }
}

/* The file has left, or will not: its descriptor is for others. */
static void uninstall(struct weft_conn *conn)
{
    if (conn->socket >= 0)
        close(conn->socket);
    conn->socket = -1;
    conn->loop->installs -= conn->installs;
    conn->installs = false;
}

/* sendfile() pushes what it has whenever 64 KB are done, and a push costs as much as a packet: a
 * large file is cheaper to send when told to fill them (nginx: 0.6 of the time). Not worth two
 * calls for less. */
static void cork(struct weft_conn *conn, bool on)
{
    int value = on;
    (void)setsockopt(fd_of(conn), IPPROTO_TCP, TCP_CORK, &value, sizeof(value)); /* else slower */
    conn->corked = on;
}

weft_rc weft_conn_reserve_file(struct weft_conn *conn)
{
    struct weft_loop *loop = conn->loop;
    if (conn->installs || !weft_fd_direct(loop->slots.table[conn->slot].fd))
        return 0;
    if (loop->installs == loop->installs_max) {
        weft_loop_count(loop, WEFT_COUNTER_SHED_INSTALLS);
        return WEFT_EFULL;
    }
    loop->installs++;
    conn->installs = true;
    return 0;
}

static ssize_t send_some(struct weft_conn *conn)
{
    int more = conn->file_left > 0 ? MSG_MORE : 0;
    return weft_engine_send(&conn->loop->engine, conn->slot, &conn->message, more);
}

/* One step: what is known to be in memory, or the wait for it. */
static ssize_t send_part(struct weft_conn *conn)
{
    WEFT_TRY(weft_cold_ask(conn));
    struct weft_loop *loop = conn->loop;
    uint64_t left = WEFT_MIN(conn->file_left, conn->file_warm - conn->file_offset);
    ssize_t n = weft_file_send_step(&loop->sender, fd_of(conn), conn->file, conn->file_offset, left,
                                    &conn->copied);
    if (n == -EIO)
        weft_loop_count(loop, WEFT_COUNTER_FILES_CUT);
    if (n != -EAGAIN)
        return n;
    conn->file_warm = 0; /* until the client has taken something it may get cold */
    weft_engine_want_write(&loop->engine, conn->slot, false);
    return -EINPROGRESS;
}

static ssize_t send_file(struct weft_conn *conn)
{
    size_t turn = 0;
    while (conn->file_left > 0 && turn < FILE_TURN_BYTES) {
        ssize_t n = send_part(conn);
        if (n < 0)
            return n;
        conn->file_offset += (uint64_t)n;
        conn->file_left -= (uint64_t)n;
        turn += (size_t)n;
        advance(conn, (size_t)n);
    }
    if (conn->file_left == 0)
        return 0;
    weft_engine_want_write(&conn->loop->engine, conn->slot, true);
    return -EINPROGRESS;
}

static weft_rc tcp_continue(struct weft_conn *conn)
{
    while (conn->message.msg_iovlen > 0) {
        ssize_t n = send_some(conn);
        if (n < 0)
            return (weft_rc)n;
        advance(conn, (size_t)n);
    }
    if (conn->file_left == 0)
        return 0;
    weft_rc rc = (weft_rc)send_file(conn);
    if (rc == 0 && conn->corked)
        cork(conn, false); /* the rest leaves */
    if (rc == 0 && conn->installs)
        uninstall(conn);
    return rc;
}

static void file_begins(struct weft_conn *conn)
{
    conn->file_warm = 0;
    if (conn->file_left >= CORK_BYTES_MIN && !conn->corked)
        cork(conn, true);
}

/* Before a send that has a file behind it, or follows one that had. */
static weft_rc file_start(struct weft_conn *conn)
{
    if (conn->file_left > 0 && fd_of(conn) < 0) {
        WEFT_TRY(weft_conn_reserve_file(conn));
        weft_engine_install(&conn->loop->engine, conn->slot);
        return WEFT_PENDING;
    }
    file_begins(conn);
    return 0;
}

static bool under_way(weft_rc rc)
{
    return rc == WEFT_PENDING || rc == WEFT_SOON;
}

static weft_rc tcp_send(struct weft_conn *conn)
{
    weft_assert(!conn->sending);
    conn->progress_ms = conn->loop->now_ms;
    weft_rc rc = WEFT_UNLIKELY(conn->file_left > 0) ? file_start(conn) : 0;
    if (rc == 0)
        rc = tcp_continue(conn);
    conn->sending = under_way(rc);
    return rc;
}

static void on_installed(void *ctx, uint32_t index, int fd)
{
    struct weft_loop *loop = ctx;
    struct weft_slot *slot = &loop->slots.table[index];
    weft_assert(slot->state == WEFT_SLOT_ACTIVE);
    struct weft_conn *conn = conn_of(loop, slot);
    weft_rc rc = (weft_rc)WEFT_MIN(fd, 0);
    if (rc == 0) {
        conn->socket = fd;
        file_begins(conn);
        rc = tcp_continue(conn);
    }
    if (under_way(rc))
        return;
    conn->sending = false;
    conn->protocol->sent(conn, rc);
}

static void on_sent(void *ctx, uint32_t index, ssize_t bytes)
{
    struct weft_loop *loop = ctx;
    struct weft_slot *slot = &loop->slots.table[index];
    if (slot->state == WEFT_SLOT_HELD)
        loop->holder->sent(loop, slot->active, bytes);
    if (slot->state != WEFT_SLOT_ACTIVE)
        return;
    struct weft_conn *conn = conn_of(loop, slot);
    weft_rc rc = (weft_rc)WEFT_MIN(bytes, (ssize_t)0);
    if (bytes > 0)
        advance(conn, (size_t)bytes);
    bool over = conn->message.msg_iovlen == 0 && conn->file_left == 0; /* mostly, with one send */
    if (bytes >= 0 && !over)
        rc = tcp_continue(conn);
    if (under_way(rc))
        return;
    conn->sending = false;
    conn->protocol->sent(conn, rc);
}

static void on_stalled(void *ctx, uint32_t index)
{
    struct weft_loop *loop = ctx;
    const struct weft_slot *slot = &loop->slots.table[index];
    if (slot->state != WEFT_SLOT_ACTIVE)
        return;
    struct weft_conn *conn = conn_of(loop, slot);
    conn->protocol->stalled(conn);
}

static void tcp_recv(struct weft_conn *conn, enum weft_recv_mode mode)
{
    weft_engine_recv(&conn->loop->engine, conn->slot, mode);
}

static weft_rc tcp_recv_now(struct weft_conn *conn, struct weft_input *out)
{
    uint16_t buf = WEFT_BUF_NONE;
    ssize_t n = weft_engine_recv_now(&conn->loop->engine, conn->slot, &buf);
    if (n < 0)
        return (weft_rc)n;
    *out = (struct weft_input){.buf = buf, .len = (uint32_t)n};
    if (n > 0)
        out->ptr = weft_bufs_at(&conn->loop->bufs, buf);
    return 0;
}

static void tcp_release(struct weft_conn *conn)
{
    struct weft_loop *loop = conn->loop;
    struct weft_slot *slot = &loop->slots.table[conn->slot];
    uint32_t index = conn->slot;
    if (WEFT_UNLIKELY(conn->installs))
        uninstall(conn);
    weft_conn_drop(conn);
    slot->state = WEFT_SLOT_IDLE;
    slot->active = WEFT_POOL_NONE;
    slot->last_ds = now_ds(loop);
    if (WEFT_UNLIKELY(loop->draining))
        detach(loop, index);
    else
        weft_engine_recv(&loop->engine, index, WEFT_RECV_STREAM);
}

static void tcp_hold(struct weft_conn *conn, uint32_t held, bool chunked)
{
    struct weft_loop *loop = conn->loop;
    uint32_t index = conn->slot;
    struct weft_slot *slot = &loop->slots.table[index];
    if (conn->installs)
        uninstall(conn);
    weft_conn_drop(conn);
    slot->state = WEFT_SLOT_HELD;
    slot->active = held;
    slot->last_ds = now_ds(loop);
    weft_engine_recv(&loop->engine, index, WEFT_RECV_STREAM); /* its end has to be heard */
    loop->holder->start(loop, held, index, chunked);
    if (loop->draining && slot->state == WEFT_SLOT_HELD)
        loop->holder->drain(loop, held);
}

void weft_conn_close_held(struct weft_loop *loop, uint32_t slot)
{
    detach(loop, slot);
}

static void tcp_close(struct weft_conn *conn, enum weft_close how)
{
    struct weft_loop *loop = conn->loop;
    uint32_t index = conn->slot;
    if (conn->installs)
        uninstall(conn);
    weft_conn_drop(conn);
    if (how == WEFT_CLOSE_LINGER)
        linger(loop, index);
    else
        detach(loop, index);
}

static void tcp_abort(struct weft_conn *conn)
{
    /* Fails only when the peer was faster. */
    weft_ignore(weft_engine_shutdown(&conn->loop->engine, conn->slot, SHUT_RDWR));
}

static size_t tcp_peer(struct weft_conn *conn, char *text, size_t room)
{
    struct sockaddr_storage address = {0};
    char host[INET6_ADDRSTRLEN] = "?";
    if (weft_engine_peer(&conn->loop->engine, conn->slot, &address) != 0)
        return 0;
    if (address.ss_family == AF_INET)
        inet_ntop(AF_INET, &((struct sockaddr_in *)&address)->sin_addr, host, sizeof(host));
    else if (address.ss_family == AF_INET6)
        inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&address)->sin6_addr, host, sizeof(host));
    size_t n = WEFT_MIN(strlen(host), room);
    memcpy(text, host, n);
    return n;
}

const struct weft_transport weft_tcp = {
    .name_z = "tcp",
    .send = tcp_send,
    .recv = tcp_recv,
    .recv_now = tcp_recv_now,
    .release = tcp_release,
    .hold = tcp_hold,
    .close = tcp_close,
    .abort = tcp_abort,
    .peer = tcp_peer,
};

static void on_watched(void *ctx, uint64_t token, uint32_t revents)
{
    weft_loop_watched(ctx, token, revents);
}

const struct weft_engine_events weft_conn_events = {
    .awake = on_awake,
    .accepted = on_accepted,
    .received = on_received,
    .sent = on_sent,
    .stalled = on_stalled,
    .detached = on_detached,
    .installed = on_installed,
    .watched = on_watched,
};

/* ---- draining ---- */

void weft_conns_drain(struct weft_loop *loop)
{
    loop->draining = true;
    /* Who was accepted a moment ago may have a request on its way: it gets its answer. */
    weft_slots_limit(&loop->slots,
                     (struct weft_slot_limits){.fresh_ds = 5, .idle_ds = 1, .linger_ds = 10});
    if (loop->slots.used > 0)
        arm_sweep(loop);
    for (uint32_t i = 0; (i = weft_slots_next(&loop->slots, i)) != WEFT_POOL_NONE; i++) {
        struct weft_slot *slot = &loop->slots.table[i];
        if (slot->state == WEFT_SLOT_IDLE) {
            detach(loop, i);
        } else if (slot->state == WEFT_SLOT_ACTIVE) {
            struct weft_conn *conn = conn_of(loop, slot);
            conn->protocol->drain(conn);
        } else if (slot->state == WEFT_SLOT_HELD) {
            loop->holder->drain(loop, slot->active);
        }
    }
}

uint32_t weft_conns_abort(struct weft_loop *loop)
{
    uint32_t cut = 0;
    for (uint32_t i = 0; (i = weft_slots_next(&loop->slots, i)) != WEFT_POOL_NONE; i++) {
        struct weft_slot *slot = &loop->slots.table[i];
        if (slot->state == WEFT_SLOT_ACTIVE) {
            struct weft_conn *conn = conn_of(loop, slot);
            cut++;
            conn->transport->abort(conn);
            conn->protocol->ended(conn, WEFT_ECANCELED);
        } else if (slot->state == WEFT_SLOT_HELD) {
            cut++;
            loop->holder->ended(loop, slot->active, WEFT_ECANCELED);
        } else if (slot->state != WEFT_SLOT_FREE && slot->state != WEFT_SLOT_CLOSING) {
            detach(loop, i);
        }
    }
    return cut;
}
