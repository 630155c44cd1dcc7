/* h1_out.c - the sending half of HTTP/1.1: heads, bodies and chunks into one block, and the block
 * (with what lies beside it) to the transport.
 *
 * One send for a whole burst of answers: small bodies are copied behind their heads for that. The
 * body of an answer alone goes from where it lies, and so do larger ones.
 */
#include "http/h1.h"
#include "http/h1_priv.h"
#include "http/receipt.h"
#include "http/status.h"

#define HEAD_BYTES_FIXED 320 /* prefix, length, connection: everything of ours in a head */
#define CHUNK_LINE_BYTES 6   /* "0ffc\r\n" */
#define CHUNK_OVERHEAD   (CHUNK_LINE_BYTES + 2)

static const char hex_digits[] = "0123456789abcdef";

bool weft_h1_block_take(struct weft_h1 *h)
{
    h->block = weft_block_take(h->conn.loop);
    h->block_len = 0;
    h->rq.pool_slots++;
    return h->block != NULL;
}

/* Everything queued has left. */
void weft_h1_output_done(struct weft_h1 *h)
{
    h->block_len = 0;
    h->extra_count = 0;
    h->chunk_at = 0;
    h->head_at = 0;
}

/* Starts sending everything queued. 0, WEFT_PENDING or an error. The peer's time to take it runs
 * from when its socket is full. */
weft_rc weft_h1_flush_start(struct weft_h1 *h)
{
    unsigned count = 0;
    if (h->block_len > 0)
        h->conn.iov[count++] = (struct iovec){h->block, h->block_len};
    for (unsigned i = 0; i < h->extra_count; i++)
        h->conn.iov[count++] = h->extra[i];
    weft_rc rc = weft_conn_send(&h->conn, count);
    if (rc == WEFT_SOON) {
        weft_h1_clear_deadline(h);
        return WEFT_PENDING;
    }
    if (rc == WEFT_PENDING)
        weft_h1_await_write(h);
    else
        weft_h1_output_done(h);
    return rc;
}

/* Completes the open chunk: its size, in four digits, goes where its line was left open. */
void weft_h1_close_chunk(struct weft_h1 *h)
{
    if (h->chunk_at == 0)
        return;
    char *line = h->block + h->chunk_at - 1;
    size_t size = (size_t)(weft_h1_block_at(h) - line) - CHUNK_LINE_BYTES;
    h->chunk_at = 0;
    if (size == 0) {
        h->block_len -= CHUNK_LINE_BYTES;
        return;
    }
    for (int i = 3; i >= 0; i--, size >>= 4)
        line[i] = hex_digits[size & 15];
    line[4] = '\r';
    line[5] = '\n';
    weft_h1_put(h, WEFT_S("\r\n"));
}

/* On a task: returns when everything queued has left. */
weft_rc weft_h1_flush_wait(struct weft_h1 *h)
{
    weft_req *rq = &h->rq;
    if (rq->canceled != 0)
        return rq->canceled;
    weft_h1_close_chunk(h);
    if (!weft_h1_queued(h))
        return 0;
    if (weft_tasks_full(&h->conn.loop->tasks)) {
        weft_loop_count(h->conn.loop, WEFT_COUNTER_SHED_STACKS);
        return WEFT_EFULL; /* before anything is in the kernel that points into our memory */
    }
    weft_rc rc = weft_h1_flush_start(h);
    if (rc == WEFT_PENDING) {
        rc = weft_req_wait(rq, WEFT_WAIT_SEND);
        weft_h1_clear_deadline(h);
        weft_h1_output_done(h);
    }
    if (rc < 0)
        h->broken = rc;
    return rc < 0 ? WEFT_ECANCELED : rq->canceled;
}

static bool bodiless(const weft_req *rq)
{
    return rq->head.method == WEFT_HEAD || rq->status == 204 || rq->status == 304;
}

static size_t head_bytes(const weft_req *rq)
{
    size_t bytes = HEAD_BYTES_FIXED + rq->type.len + (rq->receipt ? WEFT_RECEIPT_LINE_BYTES : 0);
    for (size_t i = 0; i < rq->out_count; i++)
        bytes += rq->out_fields[i].name.len + rq->out_fields[i].value.len + 4;
    return bytes;
}

static char *copy(char *to, weft_str text)
{
    memcpy(to, text.ptr, text.len);
    return to + text.len;
}

static WEFT_COLD char *status_line(char *to, int status)
{
    to = copy(to, WEFT_S("HTTP/1.1 "));
    to += weft_u64_to_text(to, (uint64_t)status);
    *to++ = ' ';
    to = copy(to, weft_status_reason(status));
    return copy(to, WEFT_S("\r\n"));
}

static WEFT_COLD char *out_fields(char *to, const weft_req *rq)
{
    for (size_t i = 0; i < rq->out_count; i++) {
        to = copy(to, rq->out_fields[i].name);
        to = copy(to, WEFT_S(": "));
        to = copy(to, rq->out_fields[i].value);
        to = copy(to, WEFT_S("\r\n"));
    }
    return to;
}

/* The head of rq's answer at `to`, which has room for head_bytes(). Returns its end. */
static char *write_head(struct weft_h1 *h, const weft_req *rq, char *to)
{
    weft_str prefix = weft_service_prefix(weft_h1_service_of(h));
    if (WEFT_LIKELY(rq->status == 200)) {
        memcpy(to, prefix.ptr, WEFT_PREFIX_BYTES); /* more than its length: a copy without a call */
        to += prefix.len;
    } else {
        size_t skip = weft_h1_service_of(h)->prefix_status_len;
        to = status_line(to, rq->status);
        to = copy(to, weft_str_make(prefix.ptr + skip, prefix.len - skip));
    }
    if (rq->type.len > 0) {
        to = copy(to, WEFT_S("Content-Type: "));
        to = copy(to, rq->type);
        to = copy(to, WEFT_S("\r\n"));
    }
    bool pieces = rq->body_kind == WEFT_BODY_STREAM || rq->body_kind == WEFT_BODY_SOURCE;
    bool endless = rq->body_kind == WEFT_BODY_HELD;
    if (endless || (pieces && rq->body.len == WEFT_LENGTH_UNKNOWN)) {
        if (h->chunked_out)
            to = copy(to, WEFT_S("Transfer-Encoding: chunked\r\n"));
    } else if (rq->status != 204 && (rq->status != 304 || rq->body.len > 0)) {
        to = copy(to, WEFT_S("Content-Length: "));
        to += weft_u64_to_text(to, rq->body.len);
        to = copy(to, WEFT_S("\r\n"));
    }
    if (WEFT_UNLIKELY(rq->out_count > 0))
        to = out_fields(to, rq);
    if (WEFT_UNLIKELY(rq->receipt))
        to += weft_receipt_line(rq, to);
    if (WEFT_UNLIKELY(h->closing))
        to = copy(to, WEFT_S("Connection: close\r\n"));
    else if (WEFT_UNLIKELY(rq->head.version_minor == 0))
        to = copy(to, WEFT_S("Connection: keep-alive\r\n"));
    return copy(to, WEFT_S("\r\n"));
}

/* Queues the head: in the block, or in the arena when it is larger than one. */
static weft_rc queue_head(struct weft_h1 *h)
{
    weft_req *rq = &h->rq;
    size_t bytes = head_bytes(rq);
    if (bytes > weft_h1_block_room(h) && h->block_len > 0)
        WEFT_TRY(weft_h1_flush_wait(h));
    if (!weft_h1_block_ready(h))
        return WEFT_EFULL;
    if (WEFT_LIKELY(bytes <= weft_h1_block_room(h))) {
        h->head_at = h->block_len + 1;
        char *end = write_head(h, rq, weft_h1_block_at(h));
        h->block_len = (uint32_t)(end - h->block);
        return 0;
    }
    char *large = weft_alloc(rq, bytes);
    if (large == NULL)
        return WEFT_ENOMEM;
    char *end = write_head(h, rq, large);
    h->extra[h->extra_count++] = (struct iovec){large, (size_t)(end - large)};
    rq->borrowed = true;
    return 0;
}

/* Not even a block to say it in: said from static memory. */
static void refuse_full(struct weft_h1 *h)
{
    weft_str text = h->conn.protocol->refusal;
    h->extra[0] = (struct iovec){(void *)(uintptr_t)text.ptr, text.len};
    h->extra_count = 1;
    weft_loop_count(h->conn.loop, WEFT_COUNTER_REQUESTS);
    weft_status_count(h->conn.loop, 503);
    weft_loop_count(h->conn.loop, WEFT_COUNTER_SHED_ACTIVE);
}

/* An answer of our own, when there is no request to speak of: then the connection closes. */
void weft_h1_refuse(struct weft_h1 *h, int status, weft_str text)
{
    weft_req *rq = &h->rq;
    h->closing = true;
    h->close_how = WEFT_CLOSE_LINGER;
    h->in.len = 0; /* framing is in doubt: nothing behind it is looked at */
    if (!weft_h1_block_ready(h)) {
        refuse_full(h);
        return;
    }
    rq->head = (struct weft_head){.version_minor = 1};
    rq->status = status;
    rq->type = WEFT_S("text/plain");
    rq->body = text;
    rq->body_kind = WEFT_BODY_MEMORY;
    rq->out_count = 0;
    rq->receipt = false; /* nobody's */
    struct weft_out_field retry = {WEFT_S("Retry-After"), WEFT_S("1")};
    rq->out_fields = rq->out_inline;
    if (status == 503)
        rq->out_inline[rq->out_count++] = retry;
    weft_loop_count(h->conn.loop, WEFT_COUNTER_REQUESTS);
    weft_status_count(h->conn.loop, status);
    if (weft_h1_block_room(h) < HEAD_BYTES_FIXED + 256)
        return; /* a full block of earlier answers leaves; the refusal is just the close */
    char *end = write_head(h, rq, weft_h1_block_at(h));
    end = copy(end, text);
    h->block_len = (uint32_t)(end - h->block);
}

weft_rc weft_h1_begin(weft_req *rq)
{
    struct weft_h1 *h = weft_h1_of_req(rq);
    h->bodiless = bodiless(rq);
    bool sized = rq->body.len != WEFT_LENGTH_UNKNOWN;
    h->chunked_out =
        rq->head.version_minor > 0 && !sized && !(rq->status == 204 || rq->status == 304);
    if (rq->head.version_minor == 0 && !sized)
        h->closing = true; /* the end of the body is the end of the connection */
    /* A handler that answers while it reads: the client must hear "go on" before it hears the
     * answer, RFC 9110 10.1.1. */
    if (h->continue_due && rq->status < 300)
        WEFT_TRY(weft_h1_send_continue(h));
    return queue_head(h);
}

weft_rc weft_h1_flush(weft_req *rq)
{
    return weft_h1_flush_wait(weft_h1_of_req(rq));
}

static size_t stream_room(const struct weft_h1 *h)
{
    size_t room = weft_h1_block_room(h);
    size_t overhead = !h->chunked_out ? 0 : h->chunk_at != 0 ? 2 : CHUNK_OVERHEAD;
    return room > overhead ? room - overhead : 0;
}

weft_rc weft_h1_room(weft_req *rq, size_t min, char **out, size_t *out_room)
{
    struct weft_h1 *h = weft_h1_of_req(rq);
    if (min > WEFT_BLOCK_BYTES - CHUNK_OVERHEAD)
        return WEFT_ELIMIT;
    if (!weft_h1_block_ready(h))
        return WEFT_EFULL;
    /* A head larger than a block lies beside it: it leaves before there is a body behind it. */
    if (stream_room(h) < min || h->extra_count > 0) {
        WEFT_TRY(weft_h1_flush(rq));
        if (!weft_h1_block_ready(h))
            return WEFT_EFULL;
    }
    if (h->chunked_out && h->chunk_at == 0) {
        h->chunk_at = h->block_len + 1;
        h->block_len += CHUNK_LINE_BYTES;
    }
    *out = weft_h1_block_at(h);
    *out_room = stream_room(h);
    return 0;
}

void weft_h1_commit(weft_req *rq, size_t bytes)
{
    struct weft_h1 *h = weft_h1_of_req(rq);
    if (!h->bodiless)
        h->block_len += (uint32_t)bytes;
}

weft_rc weft_h1_write(weft_req *rq, weft_str bytes)
{
    struct weft_h1 *h = weft_h1_of_req(rq);
    if (h->bodiless)
        return 0;
    weft_h1_close_chunk(h);
    if (!weft_h1_block_ready(h))
        return WEFT_EFULL;
    if (weft_h1_block_room(h) < WEFT_CHUNK_HEAD_BYTES_MAX || h->extra_count > 0)
        WEFT_TRY(weft_h1_flush_wait(h));
    if (h->chunked_out)
        h->block_len += (uint32_t)weft_chunk_head(weft_h1_block_at(h), bytes.len);
    h->extra[h->extra_count++] = (struct iovec){(void *)(uintptr_t)bytes.ptr, bytes.len};
    if (h->chunked_out)
        h->extra[h->extra_count++] = (struct iovec){(void *)(uintptr_t) "\r\n", 2};
    return weft_h1_flush_wait(h);
}

/* Room for `bytes` more in the block, made by sending what is in it. */
static weft_rc make_room(struct weft_h1 *h, size_t bytes)
{
    if (!weft_h1_block_ready(h))
        return WEFT_EFULL;
    if (bytes > WEFT_BLOCK_BYTES)
        return WEFT_ELIMIT;
    if (weft_h1_block_room(h) < bytes || h->extra_count > 0)
        WEFT_TRY(weft_h1_flush_wait(h));
    return weft_h1_block_ready(h) ? 0 : WEFT_EFULL;
}

/* A chunk of its own (or just the bytes), behind what is in the block. */
weft_rc weft_h1_write_file(weft_req *rq, int fd, uint64_t offset, uint64_t len)
{
    struct weft_h1 *h = weft_h1_of_req(rq);
    if (h->bodiless)
        return 0;
    weft_h1_close_chunk(h);
    WEFT_TRY(make_room(h, WEFT_CHUNK_HEAD_BYTES_MAX));
    if (weft_tasks_full(&h->conn.loop->tasks))
        return WEFT_EFULL;
    WEFT_TRY(weft_conn_reserve_file(&h->conn));
    if (h->chunked_out)
        h->block_len += (uint32_t)weft_chunk_head(weft_h1_block_at(h), (size_t)len);
    h->conn.file = fd;
    h->conn.file_offset = offset;
    h->conn.file_left = len;
    weft_rc rc = weft_h1_flush_wait(h);
    h->conn.file_left = 0; /* canceled before it began: an error may take its place */
    if (rc == 0 && h->chunked_out)
        weft_h1_put(h, WEFT_S("\r\n"));
    return rc;
}

static weft_rc put_trailers(struct weft_h1 *h, const weft_req *rq)
{
    for (size_t i = 0; i < rq->trailer_count; i++) {
        const struct weft_out_field *field = &rq->trailers[i];
        WEFT_TRY(make_room(h, field->name.len + field->value.len + 4));
        weft_h1_put(h, field->name);
        weft_h1_put(h, WEFT_S(": "));
        weft_h1_put(h, field->value);
        weft_h1_put(h, WEFT_S("\r\n"));
    }
    return 0;
}

weft_rc weft_h1_end(weft_req *rq)
{
    struct weft_h1 *h = weft_h1_of_req(rq);
    weft_h1_close_chunk(h);
    if (!h->chunked_out || h->bodiless)
        return 0;
    WEFT_TRY(make_room(h, 5));
    weft_h1_put(h, WEFT_S("0\r\n"));
    if (rq->head.flags & WEFT_HEAD_TE_TRAILERS)
        WEFT_TRY(put_trailers(h, rq));
    WEFT_TRY(make_room(h, 2));
    weft_h1_put(h, WEFT_S("\r\n"));
    return 0;
}

static void count_answer(struct weft_loop *loop, int status)
{
    weft_loop_count(loop, WEFT_COUNTER_REQUESTS);
    weft_status_count(loop, status);
}

static weft_rc queue_body(struct weft_h1 *h)
{
    weft_req *rq = &h->rq;
    if (bodiless(rq))
        return 0;
    if (rq->body_kind == WEFT_BODY_FILE) {
        h->conn.file = rq->file;
        h->conn.file_offset = rq->file_offset;
        h->conn.file_left = rq->body.len;
        rq->borrowed = true;
    } else if (h->extra_count == 0 &&
               weft_req_body_moves(
                   rq, WEFT_MIN(weft_h1_block_room(h), weft_h1_limits_of(h)->inline_body_bytes))) {
        if (rq->body.len > 0)
            weft_h1_put(h, rq->body);
        rq->body_copied += rq->body.len;
    } else {
        h->extra[h->extra_count++] = (struct iovec){(void *)(uintptr_t)rq->body.ptr, rq->body.len};
        rq->borrowed = true;
    }
    return 0;
}

static weft_rc queue_raw(struct weft_h1 *h)
{
    weft_req *rq = &h->rq;
    h->closing = true;
    h->extra[h->extra_count++] = (struct iovec){(void *)(uintptr_t)rq->body.ptr, rq->body.len};
    rq->borrowed = true;
    return 0;
}

/* A head alone: what comes behind it is somebody else's, or pulled later. */
static weft_rc queue_pieces(struct weft_h1 *h)
{
    weft_req *rq = &h->rq;
    bool sized = rq->body_kind == WEFT_BODY_SOURCE && rq->body.len != WEFT_LENGTH_UNKNOWN;
    bool bodied = !bodiless(rq);
    rq->ended = !bodied || (sized && rq->body.len == 0);
    h->chunked_out = rq->head.version_minor > 0 && !sized && rq->status != 204 && rq->status != 304;
    h->closing |= bodied && !sized && !h->chunked_out;
    return queue_head(h);
}

static weft_rc queue_answer(struct weft_h1 *h)
{
    uint8_t kind = h->rq.body_kind;
    if (kind == WEFT_BODY_RAW)
        return queue_raw(h);
    if (kind == WEFT_BODY_STREAM)
        return 0; /* was queued as it came */
    if (kind == WEFT_BODY_HELD || kind == WEFT_BODY_SOURCE)
        return queue_pieces(h);
    if (kind == WEFT_BODY_FILE && !bodiless(&h->rq) && h->rq.body.len > 0)
        WEFT_TRY(weft_conn_reserve_file(&h->conn));
    WEFT_TRY(queue_head(h));
    return queue_body(h);
}

/* ---- bodies that are pulled ---- */

#define PULL_ROOM_MIN 1024 /* with less, what is there leaves first */

static void source_breaks(struct weft_h1 *h)
{
    weft_loop_count(h->conn.loop, WEFT_COUNTER_STREAMS_BROKEN);
    h->broken = WEFT_ECANCELED;
}

static void source_ended(struct weft_h1 *h)
{
    weft_req *rq = &h->rq;
    rq->ended = true;
    if (rq->body.len != WEFT_LENGTH_UNKNOWN && rq->answered_bytes < rq->body.len)
        source_breaks(h);
    else if (h->chunked_out)
        weft_h1_put(h, WEFT_S("0\r\n\r\n"));
}

/* Piece by piece, until the block is full or there is no more (for now). */
static weft_rc pull_pieces(struct weft_h1 *h)
{
    weft_req *rq = &h->rq;
    for (;;) {
        uint64_t left = rq->body.len - rq->answered_bytes; /* endless, if it is not known */
        size_t room = weft_h1_block_room(h) - 2 - sizeof("0\r\n\r\n"), len = 0;
        room = (size_t)WEFT_MIN(left, (uint64_t)room);
        if (left > 0 && room < WEFT_MIN(left, (uint64_t)PULL_ROOM_MIN))
            return 0;
        if (left > 0)
            WEFT_TRY(rq->source->pull(rq->source_arg, weft_h1_block_at(h), room, &len));
        if (len > room)
            return WEFT_ELIMIT; /* and more than that is overwritten: it is told to the client */
        rq->answered_bytes += len;
        h->block_len += (uint32_t)len;
        rq->ended = len == 0;
        if (rq->ended)
            return 0;
    }
}

/* It has nothing now: the block is for others meanwhile. */
static void rest(struct weft_h1 *h)
{
    struct weft_loop *loop = h->conn.loop;
    uint32_t again_ms = h->rq.source->again_ms;
    weft_block_put(loop, h->block);
    h->block = NULL;
    h->source_rests = false;
    weft_h1_set_deadline(h, WEFT_H1_SOURCE_AGAIN, loop->now_ms + (again_ms > 0 ? again_ms : 10));
}

/* A client that says no more may be gone; while nothing is sent to it nobody would be told. */
static bool given_up(const struct weft_h1 *h)
{
    uint64_t write_ms = weft_h1_limits_of(h)->write_ms;
    return h->eof && write_ms != 0 && h->conn.loop->now_ms - h->conn.progress_ms >= write_ms;
}

bool weft_h1_pull(struct weft_h1 *h)
{
    weft_req *rq = &h->rq;
    if (h->source_rests && given_up(h)) {
        source_breaks(h);
        return true;
    }
    if (h->source_rests) {
        rest(h);
        return false;
    }
    weft_h1_clear_deadline(h);
    if (!weft_h1_block_ready(h)) {
        source_breaks(h);
        return true;
    }
    if (h->chunked_out) {
        h->chunk_at = h->block_len + 1;
        h->block_len += CHUNK_LINE_BYTES;
    }
    weft_rc rc = pull_pieces(h);
    weft_h1_close_chunk(h);
    if (rc == 0 && rq->ended)
        source_ended(h);
    else if (rc < 0 && rc != WEFT_EAGAIN)
        source_breaks(h);
    h->source_rests = rc == WEFT_EAGAIN;
    return true;
}

/* The answer's bytes into the block (or beside it). */
void weft_h1_respond(struct weft_h1 *h)
{
    weft_rc rc = queue_answer(h);
    /* Its head is beyond the route's memory, or no descriptor is left for its file: say so. */
    if (WEFT_UNLIKELY(rc == WEFT_ENOMEM || rc == WEFT_EFULL)) {
        weft_req_unanswer(&h->rq);
        weft_req_fail(&h->rq, rc);
        rc = queue_answer(h);
    }
    count_answer(h->conn.loop, h->rq.status);
    if (rc < 0)
        h->broken = rc;
}
