/* mux.h - a protocol that multiplexes: several requests at once on one connection, each on a task
 * of its own, their answers interleaved frame by frame. It is HTTP/2's shape without HTTP/2's
 * details, and shares with HTTP/1 what lies above the seam: service, routes, middleware, handlers.
 *
 * A frame: stream (1..8), kind, length (two bytes, little-endian), payload.
 *   in   H  "METHOD target\n" and "name: value\n" lines    D  a piece of the body    E  its end
 *        R  the client gives up this stream
 *   out  h  "status\n", "type\n", "name: value\n" lines    d  a piece of the body
 *        e  the end, with trailer lines                    r  broken off
 */
#ifndef WEFT_TESTS_MUX_H
#define WEFT_TESTS_MUX_H
#include "seam.h"
#include <stdio.h>

#define MUX_STREAMS     8
#define MUX_FRAME_BYTES 256  /* payload of an outgoing piece, at most */
#define MUX_OUT_BYTES   2048 /* outgoing frames that queue up: beyond it, streams wait for room */
#define MUX_BODY_BYTES  4096
#define MUX_HEAD_BYTES  512

struct mux_stream {
    weft_req rq;
    struct mux *mux;
    uint8_t id;
    bool live;     /* from its H frame until its answer is queued */
    bool over;     /* its task has returned */
    bool gone;     /* the client gave it up */
    bool body_end; /* E came */
    size_t head_len, body_len, body_at, piece_len;
    char head[MUX_HEAD_BYTES];
    char body[MUX_BODY_BYTES];
    char piece[MUX_FRAME_BYTES]; /* streamed bytes that are not a frame yet */
};

struct mux {
    struct weft_conn conn; /* first */
    size_t in_len, out_len, flight_len;
    bool closing;
    bool in_event; /* mux_next() follows anyway */
    size_t served; /* the stream that was woken first, last time: the next one is now */
    char in[MUX_HEAD_BYTES + MUX_BODY_BYTES];
    char out[MUX_OUT_BYTES];
    char flight[MUX_OUT_BYTES]; /* what is being sent */
    struct mux_stream streams[MUX_STREAMS];
};

static struct mux_stream *mux_stream_of(const weft_req *rq)
{
    return rq->stream;
}

/* ---- out ---- */

static bool mux_fits(const struct mux *m, size_t payload)
{
    return m->out_len + 4 + payload <= MUX_OUT_BYTES;
}

static void mux_frame(struct mux_stream *s, char kind, const char *payload, size_t len)
{
    struct mux *m = s->mux;
    assert_true(mux_fits(m, len));
    char *to = m->out + m->out_len;
    to[0] = (char)s->id;
    to[1] = kind;
    to[2] = (char)(len & 0xff);
    to[3] = (char)(len >> 8);
    if (len > 0)
        memcpy(to + 4, payload, len);
    m->out_len += 4 + len;
}

/* On a task: returns when a frame of that size fits. */
static weft_rc mux_room(struct mux_stream *s, size_t payload)
{
    while (!mux_fits(s->mux, payload))
        WEFT_TRY(weft_req_wait(&s->rq, WEFT_WAIT_SEND));
    return s->gone ? WEFT_ECANCELED : 0; /* an answer may tell of a deadline that has passed */
}

static weft_rc mux_queue(struct mux_stream *s, char kind, const char *payload, size_t len)
{
    WEFT_TRY(mux_room(s, len));
    mux_frame(s, kind, payload, len);
    return 0;
}

static size_t mux_fields(char *to, size_t room, const struct weft_out_field *fields, size_t count)
{
    size_t len = 0;
    for (size_t i = 0; i < count; i++)
        len += (size_t)snprintf(to + len, room - len, "%.*s: %.*s\n", (int)fields[i].name.len,
                                fields[i].name.ptr, (int)fields[i].value.len, fields[i].value.ptr);
    return len;
}

static weft_rc mux_head(struct mux_stream *s)
{
    char text[1024];
    const weft_req *rq = &s->rq;
    size_t len = (size_t)snprintf(text, sizeof(text), "%d\n%.*s\n", rq->status, (int)rq->type.len,
                                  rq->type.len > 0 ? rq->type.ptr : "");
    len += mux_fields(text + len, sizeof(text) - len, rq->out_fields, rq->out_count);
    return mux_queue(s, 'h', text, len);
}

static weft_rc mux_pieces(struct mux_stream *s, weft_str bytes)
{
    if (s->rq.head.method == WEFT_HEAD)
        return 0;
    while (bytes.len > 0) {
        size_t n = WEFT_MIN(bytes.len, (size_t)MUX_FRAME_BYTES);
        WEFT_TRY(mux_queue(s, 'd', bytes.ptr, n));
        bytes.ptr += n;
        bytes.len -= n;
    }
    return 0;
}

static weft_rc mux_file(struct mux_stream *s)
{
    char piece[MUX_FRAME_BYTES];
    uint64_t at = s->rq.file_offset, end = at + s->rq.body.len;
    while (at < end) {
        ssize_t n = pread(s->rq.file, piece, (size_t)WEFT_MIN(end - at, sizeof(piece)), (off_t)at);
        if (n <= 0)
            return (weft_rc)-EIO;
        WEFT_TRY(mux_pieces(s, weft_str_make(piece, (size_t)n)));
        at += (uint64_t)n;
    }
    return 0;
}

/* ---- the exchange ---- */

static weft_rc mux_read(weft_req *rq, weft_str *out)
{
    struct mux_stream *s = mux_stream_of(rq);
    *out = (weft_str){0};
    while (s->body_at == s->body_len && !s->body_end) {
        s->body_at = s->body_len = 0;
        WEFT_TRY(rq->exchange->flush(rq));
        WEFT_TRY(weft_req_wait(rq, WEFT_WAIT_RECV));
    }
    *out = weft_str_make(s->body + s->body_at, s->body_len - s->body_at);
    s->body_at = s->body_len;
    rq->body_read += out->len;
    return rq->body_read > rq->body_max ? WEFT_ELIMIT : 0;
}

static weft_rc mux_flush(weft_req *rq)
{
    struct mux_stream *s = mux_stream_of(rq);
    if (s->piece_len == 0)
        return rq->canceled;
    weft_rc rc = mux_pieces(s, weft_str_make(s->piece, s->piece_len));
    s->piece_len = 0;
    return rc;
}

static weft_rc mux_begin(weft_req *rq)
{
    return mux_head(mux_stream_of(rq));
}

static weft_rc mux_give_room(weft_req *rq, size_t min, char **out, size_t *out_room)
{
    struct mux_stream *s = mux_stream_of(rq);
    if (min > sizeof(s->piece))
        return WEFT_ELIMIT;
    if (sizeof(s->piece) - s->piece_len < min)
        WEFT_TRY(mux_flush(rq));
    *out = s->piece + s->piece_len;
    *out_room = sizeof(s->piece) - s->piece_len;
    return 0;
}

static void mux_commit(weft_req *rq, size_t bytes)
{
    mux_stream_of(rq)->piece_len += bytes;
}

static weft_rc mux_write(weft_req *rq, weft_str bytes)
{
    WEFT_TRY(mux_flush(rq));
    return mux_pieces(mux_stream_of(rq), bytes);
}

static weft_rc mux_end(weft_req *rq)
{
    char text[512];
    WEFT_TRY(mux_flush(rq));
    size_t len = mux_fields(text, sizeof(text), rq->trailers, rq->trailer_count);
    return mux_queue(mux_stream_of(rq), 'e', text, len);
}

static bool mux_gone(const weft_req *rq)
{
    return mux_stream_of(rq)->gone;
}

static size_t mux_peer(weft_req *rq, char *text, size_t room)
{
    struct weft_conn *conn = &mux_stream_of(rq)->mux->conn;
    return conn->transport->peer(conn, text, room);
}

static void mux_next(struct mux *m);

static void mux_settle(weft_req *rq)
{
    struct mux *m = mux_stream_of(rq)->mux;
    if (!m->in_event) /* a timer woke it, nothing of ours */
        mux_next(m);
}

static void mux_interrupt(weft_req *rq)
{
    if (rq->task != NULL)
        weft_req_resume(rq, rq->canceled);
}

static const struct weft_exchange_ops mux_exchange = {
    .name_z = "mux",
    .read = mux_read,
    .begin = mux_begin,
    .room = mux_give_room,
    .commit = mux_commit,
    .write = mux_write,
    .flush = mux_flush,
    .end = mux_end,
    .pause = mux_flush,
    .settle = mux_settle,
    .interrupt = mux_interrupt,
    .gone = mux_gone,
    .peer = mux_peer,
};

/* ---- a stream, from its head to its end ---- */

/* "METHOD target\n" and header lines, as spans: what every protocol brings its heads into. */
static void mux_parse(struct mux_stream *s)
{
    weft_req *rq = &s->rq;
    const char *text = s->head;
    size_t method = strcspn(text, " "), line = strcspn(text, "\n");
    size_t target = method + 1, query = target + strcspn(text + target, "?\n");
    rq->head = (struct weft_head){.version_minor = 1, .bytes = (uint16_t)s->head_len};
    rq->head.method = (uint8_t)weft_method_from(weft_str_make(text, method));
    rq->head.method_name = (struct weft_span){0, (uint16_t)method};
    rq->head.target = (struct weft_span){(uint16_t)target, (uint16_t)(line - target)};
    rq->head.path = (struct weft_span){(uint16_t)target, (uint16_t)(query - target)};
    if (query < line)
        rq->head.query = (struct weft_span){(uint16_t)(query + 1), (uint16_t)(line - query - 1)};
    if (memchr(text + target, '%', query - target) != NULL)
        rq->head.flags |= WEFT_HEAD_PATH_ESCAPED;
    rq->base = text;
    rq->fields = rq->fields_inline;
    for (size_t at = line + 1; at < s->head_len; at += strcspn(text + at, "\n") + 1) {
        size_t name = strcspn(text + at, ":"), end = strcspn(text + at, "\n");
        rq->fields[rq->head.field_count++] =
            (struct weft_field){{(uint16_t)at, (uint16_t)name},
                                {(uint16_t)(at + name + 2), (uint16_t)(end - name - 2)}};
    }
}

static weft_rc mux_answer(struct mux_stream *s)
{
    weft_req *rq = &s->rq;
    WEFT_TRY(mux_head(s));
    if (rq->body_kind == WEFT_BODY_FILE)
        WEFT_TRY(mux_file(s));
    else
        WEFT_TRY(mux_pieces(s, rq->body));
    return mux_queue(s, 'e', NULL, 0);
}

static void mux_serve(void *arg)
{
    struct mux_stream *s = arg;
    weft_rc rc = weft_service_handle(&s->rq);
    if (rc == 0 && s->rq.body_kind != WEFT_BODY_STREAM)
        rc = mux_answer(s);
    if (rc < 0 && mux_fits(s->mux, 0))
        mux_frame(s, 'r', NULL, 0);
    s->over = true;
}

static void mux_start_stream(struct mux *m, struct mux_stream *s, const char *head, size_t len)
{
    assert_false(s->live);
    assert_true(len < MUX_HEAD_BYTES);
    memcpy(s->head, head, len);
    s->head[len] = 0;
    s->head_len = len;
    s->mux = m;
    s->id = (uint8_t)(s - m->streams + 1);
    s->live = true;
    s->over = s->gone = s->body_end = false;
    s->body_len = s->body_at = s->piece_len = 0;
    weft_req_init(&s->rq, &mux_exchange, m->conn.loop->owner, s);
    mux_parse(s);
    if (weft_task_run(&m->conn.loop->tasks, mux_serve, s) != 0) {
        mux_frame(s, 'r', NULL, 0);
        s->over = true;
    }
}

static void mux_cancel(struct mux_stream *s)
{
    s->gone = true;
    if (s->live && !s->over)
        weft_req_cancel(&s->rq, WEFT_ECANCELED);
}

/* ---- in, and what follows ---- */

static void mux_input(struct mux *m, uint8_t id, char kind, const char *payload, size_t len)
{
    assert_in_range(id, 1, MUX_STREAMS);
    struct mux_stream *s = &m->streams[id - 1];
    if (kind == 'H') {
        mux_start_stream(m, s, payload, len);
        return;
    }
    if (!s->live || s->over)
        return; /* answered without its body */
    if (kind == 'R') {
        mux_cancel(s);
        return;
    }
    assert_true(s->body_len + len <= MUX_BODY_BYTES);
    if (len > 0)
        memcpy(s->body + s->body_len, payload, len);
    s->body_len += len;
    s->body_end |= kind == 'E';
    if (s->rq.task != NULL && s->rq.wait == WEFT_WAIT_RECV)
        weft_req_resume(&s->rq, 0);
}

static void mux_take_frames(struct mux *m)
{
    size_t at = 0;
    while (m->in_len - at >= 4) {
        const unsigned char *frame = (const unsigned char *)m->in + at;
        size_t len = frame[2] | (size_t)frame[3] << 8;
        if (m->in_len - at < 4 + len)
            break;
        mux_input(m, frame[0], (char)frame[1], m->in + at + 4, len);
        at += 4 + len;
    }
    memmove(m->in, m->in + at, m->in_len - at);
    m->in_len -= at;
}

static bool mux_reap(struct mux *m)
{
    bool live = false;
    for (size_t i = 0; i < MUX_STREAMS; i++) {
        struct mux_stream *s = &m->streams[i];
        if (s->live && s->over) {
            weft_req_finish(&s->rq);
            s->live = false;
        }
        live |= s->live;
    }
    return live;
}

static void mux_wake_senders(struct mux *m)
{
    size_t first = ++m->served;
    for (size_t i = 0; i < MUX_STREAMS; i++) {
        struct mux_stream *s = &m->streams[(first + i) % MUX_STREAMS];
        if (s->live && s->rq.task != NULL && s->rq.wait == WEFT_WAIT_SEND && m->out_len == 0)
            weft_req_resume(&s->rq, 0);
    }
}

/* Sends what is queued; false: the connection is broken. */
static bool mux_send(struct mux *m)
{
    while (m->out_len > 0 && !m->conn.sending && !m->closing) {
        memcpy(m->flight, m->out, m->out_len);
        m->conn.iov[0] = (struct iovec){m->flight, m->out_len};
        m->out_len = 0;
        weft_rc rc = weft_conn_send(&m->conn, 1);
        if (rc < 0 && rc != WEFT_PENDING && rc != WEFT_SOON)
            return false;
        mux_wake_senders(m);
    }
    return true;
}

static void mux_give_up(struct mux *m)
{
    m->closing = true;
    m->out_len = 0;
    for (size_t i = 0; i < MUX_STREAMS; i++)
        mux_cancel(&m->streams[i]);
}

/* At the end of every event: send, free, rest or close. */
static void mux_next(struct mux *m)
{
    m->in_event = true;
    if (!mux_send(m))
        mux_give_up(m);
    m->in_event = false;
    if (mux_reap(m) || m->conn.sending)
        return;
    if (m->closing)
        weft_conn_close(&m->conn, WEFT_CLOSE_CLEAN);
    else if (m->in_len == 0)
        weft_conn_release(&m->conn);
}

static void mux_start(struct weft_conn *conn)
{
    struct mux *m = WEFT_CONTAINER_OF(conn, struct mux, conn);
    m->in_len = m->out_len = m->served = 0;
    m->closing = m->in_event = false;
    for (size_t i = 0; i < MUX_STREAMS; i++)
        m->streams[i].live = false;
}

static void mux_bytes(struct weft_conn *conn, struct weft_input input)
{
    struct mux *m = WEFT_CONTAINER_OF(conn, struct mux, conn);
    assert_true(m->in_len + input.len <= sizeof(m->in));
    memcpy(m->in + m->in_len, input.ptr, input.len);
    m->in_len += input.len;
    m->in_event = true;
    mux_take_frames(m);
    mux_next(m);
}

static void mux_ended(struct weft_conn *conn, weft_rc rc)
{
    struct mux *m = WEFT_CONTAINER_OF(conn, struct mux, conn);
    (void)rc;
    m->in_event = true;
    mux_give_up(m);
    mux_next(m);
}

static void mux_sent(struct weft_conn *conn, weft_rc rc)
{
    struct mux *m = WEFT_CONTAINER_OF(conn, struct mux, conn);
    m->in_event = true;
    if (rc < 0)
        mux_give_up(m);
    else if (m->out_len == 0)
        mux_wake_senders(m);
    mux_next(m);
}

static void mux_nothing(struct weft_conn *conn)
{
    (void)conn;
}

static const struct weft_protocol mux_protocol = {
    .conn_bytes = sizeof(struct mux),
    .refusal = {"", 0},
    .start = mux_start,
    .bytes = mux_bytes,
    .ended = mux_ended,
    .sent = mux_sent,
    .stalled = mux_nothing,
    .expired = mux_nothing,
    .drain = mux_nothing,
};
#endif
