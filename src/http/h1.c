/* h1.c - HTTP/1.1 on a connection.
 *
 * All that a batch of bytes holds is served in one burst: on one task's stack, request after
 * request, answers gathered in one block, sent once. A burst that never waits costs no stack. What
 * comes before and after it (a head in pieces, a send under way, the end) is drive()'s, a small
 * state machine on the worker's own stack that asks again and again: what is next?
 *
 * An answer that points into its request's memory (a body not copied, a deferred call) ends the
 * burst: the request stays until its last byte has left, then the burst goes on behind it.
 */
#include "http/h1.h"
#include "http/h1_priv.h"

#define DRAIN_HEAD_MS  1000 /* what a head half read has left when the server drains */
#define BLOCK_ROOM_MIN 1024 /* with less, what is in the block leaves before the next request */

/* ---- the exchange: what a request asks of its protocol ---- */

/* Before a wait: what is queued leaves, and the block with it; what the head lies in is kept. */
static weft_rc h1_pause(weft_req *rq)
{
    struct weft_h1 *h = weft_h1_of_req(rq);
    WEFT_TRY(weft_h1_keep_head(h));
    WEFT_TRY(weft_h1_flush(rq));
    if (h->block != NULL) {
        weft_block_put(h->conn.loop, h->block);
        h->block = NULL;
    }
    return 0;
}

static void h1_interrupt(weft_req *rq)
{
    struct weft_h1 *h = weft_h1_of_req(rq);
    if (rq->wait == WEFT_WAIT_RECV)
        weft_req_resume(rq, rq->canceled);
    else
        h->conn.transport->abort(&h->conn); /* the send comes back, then the task goes on */
}

static bool h1_gone(const weft_req *rq)
{
    return weft_h1_of_req(rq)->broken != 0;
}

static size_t h1_peer(weft_req *rq, char *text, size_t room)
{
    struct weft_conn *conn = &weft_h1_of_req(rq)->conn;
    return conn->transport->peer(conn, text, room);
}

static void drive(struct weft_h1 *h);

static void h1_settle(weft_req *rq)
{
    drive(weft_h1_of_req(rq));
}

static const struct weft_exchange_ops h1_exchange = {
    .name_z = "http/1.1",
    .raw = true,
    .pulls = true,
    .holds = true,
    .read = weft_h1_read,
    .begin = weft_h1_begin,
    .room = weft_h1_room,
    .commit = weft_h1_commit,
    .write = weft_h1_write,
    .write_file = weft_h1_write_file,
    .flush = weft_h1_flush,
    .end = weft_h1_end,
    .pause = h1_pause,
    .settle = h1_settle,
    .interrupt = h1_interrupt,
    .gone = h1_gone,
    .peer = h1_peer,
};

/* ---- a request, from its head to its answer ---- */

static void finish_request(struct weft_h1 *h)
{
    h->rq.body_copied += h->conn.copied;
    h->conn.copied = 0;
    weft_req_finish(&h->rq);
    h->requesting = h->answered = h->keeping = false;
    if (h->head_buf != WEFT_BUF_NONE) {
        weft_bufs_unref(weft_h1_bufs_of(h), h->head_buf);
        h->head_buf = WEFT_BUF_NONE;
    }
    if (h->carry != NULL && h->in.len == 0 && h->in.buf == WEFT_BUF_NONE)
        weft_h1_carry_free(h);
    else if (h->carry != NULL && h->in.buf != WEFT_BUF_NONE)
        weft_h1_carry_free(h); /* the body came in other buffers since */
}

/* Does the connection go on behind this answer? RFC 9112 9.3 */
static bool last_request(const struct weft_h1 *h)
{
    uint16_t flags = h->rq.head.flags;
    if ((flags & WEFT_HEAD_CLOSE) || h->conn.loop->draining)
        return true;
    return h->rq.head.version_minor == 0 && !(flags & WEFT_HEAD_KEEP_ALIVE);
}

/* More header lines than have room in the request: once more, into the arena. */
static WEFT_COLD int parse_many(struct weft_h1 *h)
{
    weft_req *rq = &h->rq;
    weft_loop_count(h->conn.loop, WEFT_COUNTER_HEADER_SLOW_PATH);
    uint16_t count = rq->head.field_count;
    size_t bytes = count * sizeof(struct weft_field);
    size_t promise = WEFT_MAX(bytes + 64, weft_h1_service_of(h)->site->fallback.memory_bytes);
    if (weft_chunks_reserve(&h->conn.loop->chunks, promise, 0) != 0)
        return WEFT_PARSE_FIELDS;
    weft_req_promised(rq, promise, 0);
    rq->fields = weft_alloc(rq, bytes);
    if (rq->fields == NULL)
        return WEFT_PARSE_FIELDS;
    return weft_parse_head(h->in.ptr, h->in.len, &weft_h1_limits_of(h)->head, &rq->head, rq->fields,
                           count);
}

static int parse(struct weft_h1 *h)
{
    weft_req *rq = &h->rq;
    int rc = weft_parse_head(h->in.ptr, h->in.len, &weft_h1_limits_of(h)->head, &rq->head,
                             rq->fields_inline, WEFT_FIELDS_IN_PLACE);
    if (rc == WEFT_PARSE_MORE)
        return rc;
    weft_req_init(rq, &h1_exchange, weft_h1_service_of(h), h);
    h->requesting = true;
    if (WEFT_UNLIKELY(h->carry != NULL)) { /* its head came in pieces */
        rq->copied = rq->head.bytes;
        rq->pool_slots++;
    }
    rq->fields = rq->fields_inline;
    if (WEFT_UNLIKELY(rc == WEFT_PARSE_FIELDS))
        rc = parse_many(h);
    rq->base = h->in.ptr;
    return rc;
}

/* A stream ended in an error. While none of it has left, an answer that says so takes its place;
 * what was queued before it stays. */
static void break_stream(struct weft_h1 *h, weft_rc rc)
{
    weft_req *rq = &h->rq;
    if (h->broken == 0 && rc != WEFT_ECANCELED && h->head_at != 0 && h->extra_count == 0) {
        h->block_len = h->head_at - 1;
        h->chunk_at = 0;
        weft_req_unanswer(rq);
        weft_req_fail(rq, rc);
        return;
    }
    weft_loop_count(h->conn.loop, WEFT_COUNTER_STREAMS_BROKEN);
    h->broken = WEFT_ECANCELED;
}

/* Serves the request at the start of `in`. false: it is not all there. */
static bool one_request(struct weft_h1 *h)
{
    weft_req *rq = &h->rq;
    int rc = parse(h);
    if (rc == WEFT_PARSE_MORE)
        return false;
    if (WEFT_UNLIKELY(rc != 0)) {
        if (rc > 0)
            weft_loop_count(h->conn.loop, weft_parse_error_counter(rc));
        weft_h1_refuse(h, rc > 0 ? weft_parse_error_status(rc) : 503,
                       rc > 0 ? weft_str_z(weft_parse_error_text(rc))
                              : WEFT_S("Service Unavailable"));
        finish_request(h);
        return true;
    }
    if (WEFT_UNLIKELY(!weft_h1_block_ready(h))) { /* nothing has run yet: the time to say no */
        weft_h1_refuse(h, 503, WEFT_S("Service Unavailable"));
        finish_request(h);
        return true;
    }
    weft_h1_consume(h, rq->head.bytes);
    rq->alone = h->in.len == 0 && h->queue_count == 0 && h->block_len == 0;
    weft_h1_setup_body(h);
    h->closing = last_request(h);
    if (WEFT_UNLIKELY(rq->head.flags & WEFT_HEAD_EXPECT_OTHER)) {
        weft_loop_count(h->conn.loop, WEFT_COUNTER_EXPECT_FAILED);
        weft_ignore(
            weft_fail(rq, 417, WEFT_S("Expectation Failed"))); /* nothing was answered yet */
    } else {
        weft_rc handled = weft_service_handle(rq);
        if (WEFT_UNLIKELY(handled < 0))
            break_stream(h, handled);
    }
    bool unread = h->body != WEFT_H1_BODY_DONE;
    if (WEFT_UNLIKELY(
            unread && !h->closing &&
            (h->continue_due || (h->body == WEFT_H1_BODY_LENGTH &&
                                 h->body_left > weft_h1_limits_of(h)->discard_bytes_max))))
        weft_h1_discard_body(
            h); /* only says that the connection closes: the head must say so too */
    if (h->broken == 0)
        weft_h1_respond(h);
    if (WEFT_UNLIKELY(h->body != WEFT_H1_BODY_DONE))
        weft_h1_discard_body(h);
    if (weft_req_held(rq))
        h->answered = true;
    else
        finish_request(h);
    return true;
}

static void burst(void *arg)
{
    struct weft_h1 *h = arg;
    do {
        if (!one_request(h)) {
            h->partial = true;
            break;
        }
    } while (h->in.len > 0 && !h->closing && !h->answered && h->broken == 0 &&
             h->extra_count == 0 && (h->block == NULL || weft_h1_block_room(h) >= BLOCK_ROOM_MIN));
    h->in_task = false;
}

/* ---- what is next? ---- */

static void free_all(struct weft_h1 *h)
{
    struct weft_input next;
    if (h->requesting)
        finish_request(h);
    if (h->in.buf != WEFT_BUF_NONE)
        weft_bufs_unref(weft_h1_bufs_of(h), h->in.buf);
    while (weft_h1_dequeue(h, &next))
        weft_bufs_unref(weft_h1_bufs_of(h), next.buf);
    weft_h1_carry_free(h);
    if (h->block != NULL)
        weft_block_put(h->conn.loop, h->block);
}

static void close_conn(struct weft_h1 *h, enum weft_close how)
{
    free_all(h);
    weft_conn_close(&h->conn, how);
}

static void idle(struct weft_h1 *h)
{
    if (h->block != NULL)
        weft_block_put(h->conn.loop, h->block);
    weft_conn_release(&h->conn);
}

/* Not all of a head is there: it has until the deadline, counted from its first byte. */
static void await_head(struct weft_h1 *h)
{
    if (h->block != NULL) {
        weft_block_put(h->conn.loop, h->block);
        h->block = NULL;
    }
    if (h->deadline != WEFT_H1_HEAD_DEADLINE)
        weft_h1_set_deadline(h, WEFT_H1_HEAD_DEADLINE,
                             h->conn.loop->now_ms + weft_h1_limits_of(h)->header_ms);
    weft_conn_recv(&h->conn, WEFT_RECV_STREAM);
}

/* Makes a whole head, or as much as can be judged, the input. false: more is needed. */
static bool gather(struct weft_h1 *h)
{
    weft_rc rc = 0;
    if (h->partial)
        rc = weft_h1_carry_start(h);
    else if (h->carry != NULL && h->in.buf != WEFT_BUF_NONE)
        rc = weft_h1_carry_append(h);
    else
        return true;
    if (rc != 0)
        weft_h1_refuse(h, 503, WEFT_S("Service Unavailable"));
    return rc == 0 && weft_h1_carry_complete(h);
}

static void run_burst(struct weft_h1 *h)
{
    if (h->deadline == WEFT_H1_HEAD_DEADLINE)
        weft_h1_clear_deadline(h);
    h->in_task = true;
    if (weft_task_run(&h->conn.loop->tasks, burst, h) == 0)
        return;
    h->in_task = false;
    weft_loop_count(h->conn.loop, WEFT_COUNTER_SHED_STACKS);
    weft_h1_refuse(h, 503, WEFT_S("Service Unavailable"));
}

/* Input for the next step. false: there is none, and what that means was done. */
static bool have_input(struct weft_h1 *h)
{
    if (h->in.len > 0)
        return true;
    weft_h1_drop_in(h);
    if (h->queue_count > 0 && weft_h1_dequeue(h, &h->in))
        return true;
    if (h->eof)
        close_conn(h, WEFT_CLOSE_CLEAN);
    else if (h->carry != NULL)
        await_head(h);
    else
        idle(h);
    return false;
}

/* Its handler is done, its answer may take hours: what its head lies in goes back, unless more
 * requests lie behind it. */
static void release_head(struct weft_h1 *h)
{
    weft_req *rq = &h->rq;
    if (h->in.len > 0 || rq->base == NULL)
        return;
    weft_h1_drop_in(h);
    if (h->head_buf != WEFT_BUF_NONE)
        weft_bufs_unref(weft_h1_bufs_of(h), h->head_buf);
    h->head_buf = WEFT_BUF_NONE;
    weft_h1_carry_free(h);
    rq->head = (struct weft_head){.method = rq->head.method,
                                  .version_minor = rq->head.version_minor,
                                  .flags = rq->head.flags};
    rq->base = NULL;
    rq->path = (weft_str){0};
}

/* The head has left. What is behind the request is not looked at: there is no end to its answer. */
static void hand_over(struct weft_h1 *h)
{
    uint32_t held = h->rq.held;
    if (h->eof || h->conn.transport->hold == NULL) {
        close_conn(h, WEFT_CLOSE_CLEAN);
        return;
    }
    h->rq.due = WEFT_DUE_NOTHING;
    free_all(h);
    weft_conn_hold(&h->conn, held, h->chunked_out);
}

static void drive(struct weft_h1 *h)
{
    while (!h->in_task && !h->conn.sending) {
        if (WEFT_UNLIKELY(h->broken != 0)) {
            close_conn(h, WEFT_CLOSE_ABORT);
            return;
        }
        if (weft_h1_queued(h)) {
            weft_rc rc = weft_h1_flush_start(h);
            if (rc < 0 && rc != WEFT_PENDING)
                h->broken = rc;
            continue;
        }
        if (WEFT_UNLIKELY(h->answered && h->rq.body_kind == WEFT_BODY_SOURCE && !h->rq.ended)) {
            release_head(h);
            if (!weft_h1_pull(h))
                return;
            continue;
        }
        if (WEFT_UNLIKELY(h->answered && h->rq.body_kind == WEFT_BODY_HELD)) {
            hand_over(h);
            return;
        }
        if (h->answered)
            finish_request(h);
        if (WEFT_UNLIKELY(h->closing)) {
            bool more = h->queue_count > 0 || h->in.len > 0;
            close_conn(h, more ? WEFT_CLOSE_LINGER : (enum weft_close)h->close_how);
            return;
        }
        if (!have_input(h))
            return;
        if (gather(h))
            run_burst(h);
    }
}

/* ---- what the transport tells ---- */

static void h1_start(struct weft_conn *conn)
{
    struct weft_h1 *h = weft_h1_of(conn);
    h->in = (struct weft_input){.buf = WEFT_BUF_NONE};
    h->queue_first = h->head_buf = h->carry_buf = WEFT_BUF_NONE;
    h->queue_count = 0;
    memset(&h->carry, 0, offsetof(struct weft_h1, extra) - offsetof(struct weft_h1, carry));
    h->close_how = WEFT_CLOSE_CLEAN;
    h->rq.task = NULL;
}

static void h1_bytes(struct weft_conn *conn, struct weft_input input)
{
    struct weft_h1 *h = weft_h1_of(conn);
    if (h->in_task && h->rq.task != NULL && h->rq.wait == WEFT_WAIT_RECV) {
        weft_h1_set_in(h, input);
        weft_req_resume(&h->rq, 0);
    } else if (h->closing && !weft_h1_reading(h)) {
        h->close_how = WEFT_CLOSE_LINGER; /* nothing behind the last answer is looked at */
    } else if (h->in_task || conn->sending || h->in.len > 0) {
        if (weft_h1_queue_has_room(h)) {
            weft_h1_enqueue(h, input);
            return;
        }
        weft_loop_count(conn->loop, WEFT_COUNTER_INPUT_QUEUE_FULL);
        conn->protocol->ended(conn, WEFT_EFULL);
    } else {
        weft_h1_set_in(h, input);
        drive(h);
    }
}

static void h1_ended(struct weft_conn *conn, weft_rc rc)
{
    struct weft_h1 *h = weft_h1_of(conn);
    if (rc == 0)
        h->eof = true;
    else
        h->broken = rc;
    bool waits = h->in_task && h->rq.task != NULL;
    if (waits && rc == 0 && h->rq.wait == WEFT_WAIT_RECV)
        weft_req_resume(&h->rq, WEFT_EEOF);
    else if (waits && rc != 0)
        weft_req_cancel(&h->rq, WEFT_ECANCELED);
    else if (conn->sending && rc != 0)
        conn->transport->abort(conn);
    else
        drive(h);
}

static void h1_sent(struct weft_conn *conn, weft_rc rc)
{
    struct weft_h1 *h = weft_h1_of(conn);
    if (h->in_task && h->rq.task != NULL && h->rq.wait == WEFT_WAIT_SEND) {
        weft_req_resume(&h->rq, rc);
        return;
    }
    weft_h1_clear_deadline(h);
    weft_h1_output_done(h);
    if (rc < 0 && h->broken == 0)
        h->broken = rc;
    drive(h);
}

static void h1_stalled(struct weft_conn *conn)
{
    weft_h1_await_write(weft_h1_of(conn));
}

static void head_late(struct weft_h1 *h)
{
    weft_loop_count(h->conn.loop, WEFT_COUNTER_TIMEOUTS_HEADER);
    weft_h1_carry_free(h);
    weft_h1_refuse(h, 408, WEFT_S("Request Timeout"));
    drive(h);
}

static void write_late(struct weft_h1 *h)
{
    uint64_t due = h->conn.progress_ms + weft_h1_limits_of(h)->write_ms;
    if (due > h->conn.loop->now_ms) { /* slow, but it takes what it is given */
        weft_h1_set_deadline(h, WEFT_H1_WRITE_DEADLINE, due);
        return;
    }
    weft_loop_count(h->conn.loop, WEFT_COUNTER_TIMEOUTS_WRITE);
    h->conn.transport->abort(&h->conn);
}

static void h1_expired(struct weft_conn *conn)
{
    struct weft_h1 *h = weft_h1_of(conn);
    enum weft_h1_deadline kind = (enum weft_h1_deadline)h->deadline;
    h->deadline = WEFT_H1_NO_DEADLINE;
    switch (kind) {
    case WEFT_H1_HEAD_DEADLINE:
        head_late(h);
        break;
    case WEFT_H1_BODY_DEADLINE:
        weft_loop_count(conn->loop, WEFT_COUNTER_TIMEOUTS_BODY);
        if (h->rq.task != NULL && h->rq.wait == WEFT_WAIT_RECV)
            weft_req_resume(&h->rq, WEFT_ESLOW);
        break;
    case WEFT_H1_WRITE_DEADLINE:
        write_late(h);
        break;
    case WEFT_H1_SOURCE_AGAIN:
        drive(h);
        break;
    case WEFT_H1_NO_DEADLINE:
        break;
    }
}

/* A request under way ends as usual, its answer says close. A head half read has a moment left: a
 * client that dribbles must not hold up the end. */
static void h1_drain(struct weft_conn *conn)
{
    struct weft_h1 *h = weft_h1_of(conn);
    uint64_t soon = conn->loop->now_ms + DRAIN_HEAD_MS;
    if (h->deadline == WEFT_H1_HEAD_DEADLINE && conn->timer.at_ms > soon)
        weft_h1_set_deadline(h, WEFT_H1_HEAD_DEADLINE, soon);
}

const struct weft_protocol weft_h1 = {
    .conn_bytes = sizeof(struct weft_h1),
    .refusal = {"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n"
                "Connection: close\r\n\r\n",
                sizeof("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n"
                       "Connection: close\r\n\r\n") -
                    1},
    .start = h1_start,
    .bytes = h1_bytes,
    .ended = h1_ended,
    .sent = h1_sent,
    .stalled = h1_stalled,
    .expired = h1_expired,
    .drain = h1_drain,
};
