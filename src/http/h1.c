/* h1.c - HTTP/1.1 on a connection.
 *
 * All that a batch of bytes holds is served in one burst: on one task's stack, request after request,
 * answers gathered in one block, sent once. A burst that never waits costs no stack. What comes before
 * and after it (a head in pieces, a send under way, the end) is drive()'s, a small state machine on
 * the worker's own stack that asks again and again: what is next?
 *
 * An answer that points into its request's memory (a body not copied, a deferred call) ends the burst:
 * the request stays until its last byte has left, then the burst goes on behind it.
 */
#include "http/h1.h"
#include <errno.h>

#define BLOCK_ROOM_MIN   1024 /* with less, what is in the block leaves before the next request */
#define INLINE_BODY_MAX  2048 /* smaller bodies are copied behind their head: one send, no iovec */
#define HEAD_BYTES_FIXED 320  /* prefix, length, connection: everything of ours in a head */
#define CHUNK_LINE_BYTES 6    /* "0ffc\r\n" */
#define CHUNK_OVERHEAD   (CHUNK_LINE_BYTES + 2)
#define QUEUE_PAUSE      4 /* buffers queued after which the kernel is told to stop */

static const char hex_digits[] = "0123456789abcdef";

static struct weft_h1 *h1_of(struct weft_conn *conn)
{
    return WEFT_CONTAINER_OF(conn, struct weft_h1, conn);
}

static struct weft_service *service_of(const struct weft_h1 *h)
{
    return h->conn.loop->owner;
}

static const struct weft_service_limits *limits_of(const struct weft_h1 *h)
{
    return &service_of(h)->site->limits;
}

static struct weft_bufs *bufs_of(struct weft_h1 *h)
{
    return &h->conn.loop->bufs;
}

static void set_deadline(struct weft_h1 *h, enum weft_h1_deadline kind, uint64_t at_ms)
{
    h->deadline = (uint8_t)kind;
    weft_timer_arm(&h->conn.loop->wheel, &h->conn.timer, at_ms);
}

static void clear_deadline(struct weft_h1 *h)
{
    if (h->deadline == WEFT_H1_NO_DEADLINE)
        return;
    h->deadline = WEFT_H1_NO_DEADLINE;
    weft_timer_disarm(&h->conn.loop->wheel, &h->conn.timer);
}

/* ---- input ---- */

static void set_in(struct weft_h1 *h, struct weft_input input)
{
    if (input.buf != WEFT_BUF_NONE)
        weft_bufs_ref(bufs_of(h), input.buf);
    h->in = input;
}

/* What `in` lies in goes back, or stays for the request whose head is in it. */
static void drop_in(struct weft_h1 *h)
{
    uint16_t buf = h->in.buf;
    h->in = (struct weft_input){.buf = WEFT_BUF_NONE};
    if (buf == WEFT_BUF_NONE)
        return;
    if (h->requesting && h->head_buf == WEFT_BUF_NONE && h->carry == NULL)
        h->head_buf = buf; /* the reference goes with it */
    else
        weft_bufs_unref(bufs_of(h), buf);
}

static void enqueue(struct weft_h1 *h, struct weft_input input)
{
    struct weft_bufs *bufs = bufs_of(h);
    weft_bufs_ref(bufs, input.buf);
    struct weft_buf_info *info = &bufs->infos[input.buf];
    info->next = WEFT_BUF_NONE;
    info->off = (uint16_t)(input.ptr - weft_bufs_at(bufs, input.buf));
    info->len = (uint16_t)input.len;
    if (h->queue_first == WEFT_BUF_NONE)
        h->queue_first = input.buf;
    else
        bufs->infos[h->queue_last].next = input.buf;
    h->queue_last = input.buf;
    h->queue_count++;
    if (h->queue_count == QUEUE_PAUSE)
        weft_conn_recv(&h->conn, WEFT_RECV_OFF);
}

/* Puts what is left of an input back to the front. Its reference is kept. */
static void requeue_front(struct weft_h1 *h, struct weft_input input)
{
    struct weft_bufs *bufs = bufs_of(h);
    struct weft_buf_info *info = &bufs->infos[input.buf];
    info->next = h->queue_first;
    info->off = (uint16_t)(input.ptr - weft_bufs_at(bufs, input.buf));
    info->len = (uint16_t)input.len;
    if (h->queue_first == WEFT_BUF_NONE)
        h->queue_last = input.buf;
    h->queue_first = input.buf;
    h->queue_count++;
}

static bool dequeue(struct weft_h1 *h, struct weft_input *out)
{
    uint16_t buf = h->queue_first;
    if (buf == WEFT_BUF_NONE)
        return false;
    struct weft_bufs *bufs = bufs_of(h);
    const struct weft_buf_info *info = &bufs->infos[buf];
    h->queue_first = info->next;
    h->queue_count--;
    *out = (struct weft_input){weft_bufs_at(bufs, buf) + info->off, info->len, buf};
    return true;
}

static void consume(struct weft_h1 *h, size_t bytes)
{
    h->in.ptr += bytes;
    h->in.len -= (uint32_t)bytes;
}

/* ---- the carry: a head that comes in pieces ---- */

static size_t carry_room(const struct weft_h1 *h)
{
    return h->carry_buf == WEFT_BUF_NONE ? WEFT_BLOCK_BYTES : h->conn.loop->bufs.buffer_bytes;
}

static void carry_free(struct weft_h1 *h)
{
    if (h->carry == NULL)
        return;
    if (h->carry_buf == WEFT_BUF_NONE)
        weft_block_put(h->conn.loop, h->carry);
    else
        weft_bufs_unref(bufs_of(h), h->carry_buf);
    h->carry = NULL;
    h->carry_buf = WEFT_BUF_NONE;
    h->carry_len = 0;
    h->scanned = 0;
}

/* From a block to a receive buffer, which holds the longest head allowed. */
static bool carry_grow(struct weft_h1 *h)
{
    if (h->carry_buf != WEFT_BUF_NONE)
        return false;
    uint16_t buf = weft_bufs_take(bufs_of(h));
    if (buf == WEFT_BUF_NONE)
        return false;
    char *larger = weft_bufs_at(bufs_of(h), buf);
    memcpy(larger, h->carry, h->carry_len);
    weft_block_put(h->conn.loop, h->carry);
    h->carry = larger;
    h->carry_buf = buf;
    return true;
}

/* Appends as much of `in` as fits; what does not is queued again. */
static weft_rc carry_append(struct weft_h1 *h)
{
    struct weft_input in = h->in;
    if (h->carry_len + in.len > carry_room(h) && h->carry_len + in.len > WEFT_BLOCK_BYTES &&
        h->carry_buf == WEFT_BUF_NONE && !carry_grow(h) && h->carry_len == carry_room(h))
        return WEFT_EFULL;
    size_t n = WEFT_MIN((size_t)in.len, carry_room(h) - h->carry_len);
    memcpy(h->carry + h->carry_len, in.ptr, n);
    h->carry_len += (uint32_t)n;
    consume(h, n);
    in = h->in;
    h->in = (struct weft_input){.buf = WEFT_BUF_NONE};
    if (in.len > 0)
        requeue_front(h, in);
    else
        weft_bufs_unref(bufs_of(h), in.buf);
    return 0;
}

/* `in` is the beginning of a head: into the carry with it. */
static weft_rc carry_start(struct weft_h1 *h)
{
    h->partial = false;
    if (h->carry != NULL) { /* it lies in the carry already, behind a head that was served */
        memmove(h->carry, h->in.ptr, h->in.len);
        h->carry_len = h->in.len;
        h->scanned = 0;
        h->in = (struct weft_input){.buf = WEFT_BUF_NONE};
        return 0;
    }
    weft_loop_count(h->conn.loop, WEFT_COUNTER_HEAD_CARRIED);
    h->carry = weft_block_take(h->conn.loop);
    if (h->carry == NULL)
        return WEFT_EFULL;
    h->carry_len = 0;
    h->scanned = 0;
    return carry_append(h);
}

/* Is there a whole head in the carry, or so much that parsing must refuse it? Then it is the input. */
static bool carry_complete(struct weft_h1 *h)
{
    if (!weft_parse_head_complete(h->carry, h->carry_len, &h->scanned) &&
        h->carry_len < limits_of(h)->head.head_bytes_max)
        return false;
    h->in = (struct weft_input){h->carry, h->carry_len, WEFT_BUF_NONE};
    return true;
}

/* ---- output ---- */

static char *block_at(struct weft_h1 *h)
{
    return h->block + h->block_len;
}

static size_t block_room(const struct weft_h1 *h)
{
    return WEFT_BLOCK_BYTES - h->block_len;
}

static bool block_ready(struct weft_h1 *h)
{
    if (h->block == NULL) {
        h->block = weft_block_take(h->conn.loop);
        h->block_len = 0;
    }
    return h->block != NULL;
}

static void put(struct weft_h1 *h, weft_str text)
{
    memcpy(block_at(h), text.ptr, text.len);
    h->block_len += (uint32_t)text.len;
}

static bool queued(const struct weft_h1 *h)
{
    return h->block_len > 0 || h->extra_count > 0 || h->conn.file_left > 0;
}

/* Everything queued has left. */
static void output_done(struct weft_h1 *h)
{
    h->block_len = 0;
    h->extra_count = 0;
    h->chunk_at = 0;
    h->head_at = 0;
}

/* Starts sending everything queued. 0, WEFT_PENDING or an error. */
static weft_rc flush_start(struct weft_h1 *h)
{
    unsigned count = 0;
    if (h->block_len > 0)
        h->conn.iov[count++] = (struct iovec){h->block, h->block_len};
    for (unsigned i = 0; i < h->extra_count; i++)
        h->conn.iov[count++] = h->extra[i];
    weft_rc rc = weft_conn_send(&h->conn, count);
    if (rc == WEFT_PENDING)
        set_deadline(h, WEFT_H1_WRITE_DEADLINE, h->conn.loop->now_ms + limits_of(h)->write_ms);
    else
        output_done(h);
    return rc;
}

/* Completes the open chunk: its size, in four digits, goes where its line was left open. */
static void close_chunk(struct weft_h1 *h)
{
    if (h->chunk_at == 0)
        return;
    char *line = h->block + h->chunk_at - 1;
    size_t size = (size_t)(block_at(h) - line) - CHUNK_LINE_BYTES;
    h->chunk_at = 0;
    if (size == 0) {
        h->block_len -= CHUNK_LINE_BYTES;
        return;
    }
    for (int i = 3; i >= 0; i--, size >>= 4)
        line[i] = hex_digits[size & 15];
    line[4] = '\r';
    line[5] = '\n';
    put(h, WEFT_S("\r\n"));
}

/* On a task: returns when everything queued has left. */
static weft_rc flush_wait(struct weft_h1 *h)
{
    weft_req *rq = &h->rq;
    if (rq->canceled != 0)
        return rq->canceled;
    close_chunk(h);
    if (!queued(h))
        return 0;
    if (weft_tasks_full(&h->conn.loop->tasks)) {
        weft_loop_count(h->conn.loop, WEFT_COUNTER_SHED_STACKS);
        return WEFT_EFULL; /* before anything is in the kernel that points into our memory */
    }
    weft_rc rc = flush_start(h);
    if (rc == WEFT_PENDING) {
        rc = weft_req_wait(rq, WEFT_WAIT_SEND);
        clear_deadline(h);
        output_done(h);
    }
    if (rc < 0)
        h->broken = rc;
    return rc < 0 ? WEFT_ECANCELED : rq->canceled;
}

/* ---- heads ---- */

static bool bodiless(const weft_req *rq)
{
    return rq->head.method == WEFT_HEAD || rq->status == 204 || rq->status == 304;
}

static size_t head_bytes(const weft_req *rq)
{
    size_t bytes = HEAD_BYTES_FIXED + rq->type.len;
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
    weft_str prefix = weft_service_prefix(service_of(h));
    if (WEFT_LIKELY(rq->status == 200)) {
        to = copy(to, prefix);
    } else {
        size_t skip = service_of(h)->prefix_status_len;
        to = status_line(to, rq->status);
        to = copy(to, weft_str_make(prefix.ptr + skip, prefix.len - skip));
    }
    if (rq->type.len > 0) {
        to = copy(to, WEFT_S("Content-Type: "));
        to = copy(to, rq->type);
        to = copy(to, WEFT_S("\r\n"));
    }
    if (rq->body_kind == WEFT_BODY_STREAM) {
        if (h->chunked_out)
            to = copy(to, WEFT_S("Transfer-Encoding: chunked\r\n"));
    } else if (rq->status != 204) {
        to = copy(to, WEFT_S("Content-Length: "));
        to += weft_u64_to_text(to, rq->body.len);
        to = copy(to, WEFT_S("\r\n"));
    }
    if (WEFT_UNLIKELY(rq->out_count > 0))
        to = out_fields(to, rq);
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
    if (bytes > block_room(h) && h->block_len > 0)
        WEFT_TRY(flush_wait(h));
    if (!block_ready(h))
        return WEFT_EFULL;
    if (WEFT_LIKELY(bytes <= block_room(h))) {
        h->head_at = h->block_len + 1;
        char *end = write_head(h, rq, block_at(h));
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

/* An answer of our own, when there is no request to speak of: then the connection closes. */
static void refuse(struct weft_h1 *h, int status, weft_str text)
{
    weft_req *rq = &h->rq;
    h->closing = true;
    h->close_how = WEFT_CLOSE_LINGER;
    h->in.len = 0; /* framing is in doubt: nothing behind it is looked at */
    if (!block_ready(h)) {
        h->broken = WEFT_EFULL;
        return;
    }
    rq->head = (struct weft_head){.version_minor = 1};
    rq->status = status;
    rq->type = WEFT_S("text/plain");
    rq->body = text;
    rq->body_kind = WEFT_BODY_MEMORY;
    rq->out_count = 0;
    struct weft_out_field retry = {WEFT_S("Retry-After"), WEFT_S("1")};
    rq->out_fields = rq->out_inline;
    if (status == 503)
        rq->out_inline[rq->out_count++] = retry;
    weft_loop_count(h->conn.loop, WEFT_COUNTER_REQUESTS);
    weft_loop_count(h->conn.loop,
                    status < 500 ? WEFT_COUNTER_RESPONSES_4XX : WEFT_COUNTER_RESPONSES_5XX);
    if (block_room(h) < HEAD_BYTES_FIXED + 256)
        return; /* a full block of earlier answers leaves; the refusal is just the close */
    char *end = write_head(h, rq, block_at(h));
    end = copy(end, text);
    h->block_len = (uint32_t)(end - h->block);
}

/* ---- the exchange: what a request asks of its protocol ---- */

static struct weft_h1 *h1_of_req(const weft_req *rq)
{
    return rq->stream;
}

/* A pause in input: the deadline grows with what has come, so a slow but steady client is served. */
static uint64_t body_deadline_ms(const struct weft_h1 *h)
{
    const struct weft_service_limits *limits = limits_of(h);
    uint64_t earned =
        limits->body_rate_min == 0 ? 0 : h->rq.body_read * 1000 / limits->body_rate_min;
    uint64_t since = limits->body_rate_min == 0 ? h->conn.loop->now_ms : h->body_since_ms;
    return since + limits->body_grace_ms + earned;
}

static weft_rc await_input(struct weft_h1 *h)
{
    weft_req *rq = &h->rq;
    close_chunk(h);
    WEFT_TRY(flush_wait(h)); /* or the client may wait for us while we wait for it */
    if (dequeue(h, &h->in))
        return 0; /* it came while we were sending */
    if (h->eof)
        return WEFT_EEOF;
    if (h->broken != 0)
        return WEFT_ECANCELED;
    weft_rc rc = weft_conn_recv_now(&h->conn, &h->in);
    if (rc == 0 && h->in.len > 0)
        return 0;
    if (rc == 0) {
        h->in.buf = WEFT_BUF_NONE;
        h->eof = true;
        return WEFT_EEOF;
    }
    if (rc != (weft_rc)-EAGAIN && rc != (weft_rc)-ENOBUFS)
        return rc;
    weft_conn_recv(&h->conn, WEFT_RECV_ONCE);
    set_deadline(h, WEFT_H1_BODY_DEADLINE, body_deadline_ms(h));
    rc = weft_req_wait(rq, WEFT_WAIT_RECV);
    clear_deadline(h);
    return rc;
}

static weft_rc send_continue(struct weft_h1 *h)
{
    h->continue_due = false;
    if (!block_ready(h))
        return WEFT_EFULL;
    if (block_room(h) < 32)
        WEFT_TRY(flush_wait(h));
    put(h, WEFT_S("HTTP/1.1 100 Continue\r\n\r\n"));
    weft_loop_count(h->conn.loop, WEFT_COUNTER_RESPONSES_1XX);
    return 0;
}

/* Bytes of the body are in `in`, or an error. */
static weft_rc more_input(struct weft_h1 *h)
{
    if (h->in.len > 0)
        return 0;
    drop_in(h);
    if (dequeue(h, &h->in))
        return 0;
    if (h->continue_due)
        WEFT_TRY(send_continue(h));
    if (h->head_buf != WEFT_BUF_NONE && !weft_bufs_spare(bufs_of(h))) {
        weft_loop_count(h->conn.loop, WEFT_COUNTER_SHED_BUFFERS);
        return WEFT_EFULL;
    }
    return await_input(h);
}

static weft_rc read_length(struct weft_h1 *h, weft_str *out)
{
    WEFT_TRY(more_input(h));
    size_t n = (size_t)WEFT_MIN(h->body_left, (uint64_t)h->in.len);
    *out = weft_str_make(h->in.ptr, n);
    consume(h, n);
    h->body_left -= n;
    if (h->body_left == 0)
        h->body = WEFT_H1_BODY_DONE;
    return 0;
}

static weft_rc read_chunked(struct weft_h1 *h, weft_str *out)
{
    for (;;) {
        WEFT_TRY(more_input(h));
        size_t used = 0;
        int rc = weft_chunked_next(&h->chunked, &limits_of(h)->chunked, h->in.ptr, h->in.len, &used,
                                   out);
        consume(h, used);
        if (rc == WEFT_CHUNKED_DATA)
            return 0;
        if (rc == WEFT_CHUNKED_DONE) {
            h->body = WEFT_H1_BODY_DONE;
            *out = (weft_str){0};
            return 0;
        }
        if (rc > 0) {
            weft_loop_count(h->conn.loop, weft_parse_error_counter(rc));
            return weft_parse_error_status(rc) == 431 ? WEFT_EFIELDS : WEFT_ESYNTAX;
        }
    }
}

/* After an error the framing is in doubt: the connection closes behind the answer. */
static weft_rc body_failed(struct weft_h1 *h, weft_rc rc)
{
    if (rc == WEFT_EEOF)
        weft_loop_count(h->conn.loop, WEFT_COUNTER_BODY_CUT);
    if (rc == WEFT_ELIMIT)
        weft_loop_count(h->conn.loop, WEFT_COUNTER_BODY_TOO_LARGE);
    h->closing = true;
    h->close_how = WEFT_CLOSE_LINGER;
    return rc;
}

static weft_rc h1_read(weft_req *rq, weft_str *out)
{
    struct weft_h1 *h = h1_of_req(rq);
    *out = (weft_str){0};
    if (h->body == WEFT_H1_BODY_DONE)
        return 0;
    if (rq->canceled != 0)
        return rq->canceled;
    weft_rc rc = h->body == WEFT_H1_BODY_LENGTH ? read_length(h, out) : read_chunked(h, out);
    rq->body_read += out->len;
    if (rc == 0 && rq->body_read > rq->body_max)
        rc = WEFT_ELIMIT;
    if (rc < 0) {
        *out = (weft_str){0};
        return body_failed(h, rc);
    }
    return 0;
}

static weft_rc h1_begin(weft_req *rq)
{
    struct weft_h1 *h = h1_of_req(rq);
    h->bodiless = bodiless(rq);
    h->chunked_out = rq->head.version_minor > 0 && !(rq->status == 204 || rq->status == 304);
    if (rq->head.version_minor == 0)
        h->closing = true; /* the end of the body is the end of the connection */
    /* A handler that answers while it reads: the client must hear "go on" before it hears the answer,
     * RFC 9110 10.1.1. */
    if (h->continue_due && rq->status < 300)
        WEFT_TRY(send_continue(h));
    return queue_head(h);
}

static weft_rc h1_flush(weft_req *rq)
{
    return flush_wait(h1_of_req(rq));
}

static size_t stream_room(const struct weft_h1 *h)
{
    size_t room = block_room(h);
    size_t overhead = !h->chunked_out ? 0 : h->chunk_at != 0 ? 2 : CHUNK_OVERHEAD;
    return room > overhead ? room - overhead : 0;
}

static weft_rc h1_room(weft_req *rq, size_t min, char **out, size_t *out_room)
{
    struct weft_h1 *h = h1_of_req(rq);
    if (min > WEFT_BLOCK_BYTES - CHUNK_OVERHEAD)
        return WEFT_ELIMIT;
    if (!block_ready(h))
        return WEFT_EFULL;
    if (stream_room(h) < min) {
        WEFT_TRY(h1_flush(rq));
        if (!block_ready(h))
            return WEFT_EFULL;
    }
    if (h->chunked_out && h->chunk_at == 0) {
        h->chunk_at = h->block_len + 1;
        h->block_len += CHUNK_LINE_BYTES;
    }
    *out = block_at(h);
    *out_room = stream_room(h);
    return 0;
}

static void h1_commit(weft_req *rq, size_t bytes)
{
    struct weft_h1 *h = h1_of_req(rq);
    if (!h->bodiless)
        h->block_len += (uint32_t)bytes;
}

static weft_rc h1_write(weft_req *rq, weft_str bytes)
{
    struct weft_h1 *h = h1_of_req(rq);
    if (h->bodiless)
        return 0;
    close_chunk(h);
    if (!block_ready(h))
        return WEFT_EFULL;
    if (block_room(h) < WEFT_CHUNK_HEAD_BYTES_MAX || h->extra_count > 0)
        WEFT_TRY(flush_wait(h));
    if (h->chunked_out)
        h->block_len += (uint32_t)weft_chunk_head(block_at(h), bytes.len);
    h->extra[h->extra_count++] = (struct iovec){(void *)(uintptr_t)bytes.ptr, bytes.len};
    if (h->chunked_out)
        h->extra[h->extra_count++] = (struct iovec){(void *)(uintptr_t) "\r\n", 2};
    return flush_wait(h);
}

/* Room for `bytes` more in the block, made by sending what is in it. */
static weft_rc make_room(struct weft_h1 *h, size_t bytes)
{
    if (!block_ready(h))
        return WEFT_EFULL;
    if (bytes > WEFT_BLOCK_BYTES)
        return WEFT_ELIMIT;
    if (block_room(h) < bytes || h->extra_count > 0)
        WEFT_TRY(flush_wait(h));
    return block_ready(h) ? 0 : WEFT_EFULL;
}

static weft_rc put_trailers(struct weft_h1 *h, const weft_req *rq)
{
    for (size_t i = 0; i < rq->trailer_count; i++) {
        const struct weft_out_field *field = &rq->trailers[i];
        WEFT_TRY(make_room(h, field->name.len + field->value.len + 4));
        put(h, field->name);
        put(h, WEFT_S(": "));
        put(h, field->value);
        put(h, WEFT_S("\r\n"));
    }
    return 0;
}

static weft_rc h1_end(weft_req *rq)
{
    struct weft_h1 *h = h1_of_req(rq);
    close_chunk(h);
    if (!h->chunked_out || h->bodiless)
        return 0;
    WEFT_TRY(make_room(h, 5));
    put(h, WEFT_S("0\r\n"));
    if (rq->head.flags & WEFT_HEAD_TE_TRAILERS)
        WEFT_TRY(put_trailers(h, rq));
    WEFT_TRY(make_room(h, 2));
    put(h, WEFT_S("\r\n"));
    return 0;
}

/* Before a wait: what is queued leaves, and the block with it; what the head lies in is kept. */
static weft_rc h1_pause(weft_req *rq)
{
    struct weft_h1 *h = h1_of_req(rq);
    if (!weft_bufs_spare(bufs_of(h))) {
        weft_loop_count(h->conn.loop, WEFT_COUNTER_SHED_BUFFERS);
        return WEFT_EFULL;
    }
    WEFT_TRY(h1_flush(rq));
    if (h->block != NULL) {
        weft_block_put(h->conn.loop, h->block);
        h->block = NULL;
    }
    return 0;
}

static void h1_interrupt(weft_req *rq)
{
    struct weft_h1 *h = h1_of_req(rq);
    if (rq->wait == WEFT_WAIT_RECV)
        weft_req_resume(rq, rq->canceled);
    else
        h->conn.transport->abort(&h->conn); /* the send comes back, then the task goes on */
}

static bool h1_gone(const weft_req *rq)
{
    return h1_of_req(rq)->broken != 0;
}

static size_t h1_peer(weft_req *rq, char *text, size_t room)
{
    struct weft_conn *conn = &h1_of_req(rq)->conn;
    return conn->transport->peer(conn, text, room);
}

static void drive(struct weft_h1 *h);

static void h1_settle(weft_req *rq)
{
    drive(h1_of_req(rq));
}

static const struct weft_exchange_ops h1_exchange = {
    .name_z = "http/1.1",
    .read = h1_read,
    .begin = h1_begin,
    .room = h1_room,
    .commit = h1_commit,
    .write = h1_write,
    .flush = h1_flush,
    .end = h1_end,
    .pause = h1_pause,
    .settle = h1_settle,
    .interrupt = h1_interrupt,
    .gone = h1_gone,
    .peer = h1_peer,
};

/* ---- a request, from its head to its answer ---- */

static void count_answer(struct weft_loop *loop, int status)
{
    enum weft_counter id = status < 300   ? WEFT_COUNTER_RESPONSES_2XX
                           : status < 400 ? WEFT_COUNTER_RESPONSES_3XX
                           : status < 500 ? WEFT_COUNTER_RESPONSES_4XX
                                          : WEFT_COUNTER_RESPONSES_5XX;
    weft_loop_count(loop, WEFT_COUNTER_REQUESTS);
    weft_loop_count(loop, id);
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
    } else if (rq->body.len <= WEFT_MIN(block_room(h), (size_t)INLINE_BODY_MAX) &&
               h->extra_count == 0) {
        if (rq->body.len > 0)
            put(h, rq->body);
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

/* The answer's bytes into the block (or beside it). */
static void respond(struct weft_h1 *h)
{
    weft_req *rq = &h->rq;
    weft_rc rc = 0;
    count_answer(h->conn.loop, rq->status);
    if (rq->body_kind == WEFT_BODY_RAW)
        rc = queue_raw(h);
    else if (rq->body_kind != WEFT_BODY_STREAM)
        rc = queue_head(h);
    if (rc == 0 && (rq->body_kind == WEFT_BODY_MEMORY || rq->body_kind == WEFT_BODY_FILE))
        rc = queue_body(h);
    if (rc < 0)
        h->broken = rc;
}

/* A body that the handler did not read: a little of it is read and dropped, so that the connection can
 * stay; more than that is not worth it. */
static void discard_body(struct weft_h1 *h)
{
    uint64_t max = limits_of(h)->discard_bytes_max;
    bool hopeless = h->continue_due || (h->body == WEFT_H1_BODY_LENGTH && h->body_left > max);
    h->rq.body_max = h->rq.body_read + max;
    while (!hopeless && !h->closing && h->body != WEFT_H1_BODY_DONE) {
        weft_str piece = {0};
        hopeless = h1_read(&h->rq, &piece) < 0;
    }
    if (h->body == WEFT_H1_BODY_DONE)
        return;
    if (hopeless)
        weft_loop_count(h->conn.loop, WEFT_COUNTER_BODY_UNREAD);
    h->closing = true;
    h->close_how = WEFT_CLOSE_LINGER;
}

static void finish_request(struct weft_h1 *h)
{
    weft_req_finish(&h->rq);
    h->requesting = h->answered = false;
    if (h->head_buf != WEFT_BUF_NONE) {
        weft_bufs_unref(bufs_of(h), h->head_buf);
        h->head_buf = WEFT_BUF_NONE;
    }
    if (h->carry != NULL && h->in.len == 0 && h->in.buf == WEFT_BUF_NONE)
        carry_free(h);
    else if (h->carry != NULL && h->in.buf != WEFT_BUF_NONE)
        carry_free(h); /* the body came in other buffers since */
}

static void setup_body(struct weft_h1 *h)
{
    const struct weft_head *head = &h->rq.head;
    h->body = WEFT_H1_BODY_DONE;
    h->continue_due = false;
    if (WEFT_LIKELY(!(head->flags & (WEFT_HEAD_CHUNKED | WEFT_HEAD_HAS_LENGTH))))
        return;
    if (head->flags & WEFT_HEAD_CHUNKED) {
        weft_chunked_init(&h->chunked);
        h->body = WEFT_H1_BODY_CHUNKED;
    } else if (head->content_length > 0) {
        h->body_left = head->content_length;
        h->body = WEFT_H1_BODY_LENGTH;
    }
    h->body_since_ms = h->conn.loop->now_ms;
    h->continue_due = (head->flags & WEFT_HEAD_EXPECT_100) && h->body != WEFT_H1_BODY_DONE;
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
    size_t promise = WEFT_MAX(bytes + 64, service_of(h)->site->fallback.memory_bytes);
    if (weft_chunks_reserve(&h->conn.loop->chunks, promise) != 0)
        return WEFT_PARSE_FIELDS;
    rq->promised = promise;
    rq->arena.cap = promise;
    rq->fields = weft_alloc(rq, bytes);
    if (rq->fields == NULL)
        return WEFT_PARSE_FIELDS;
    return weft_parse_head(h->in.ptr, h->in.len, &limits_of(h)->head, &rq->head, rq->fields, count);
}

static int parse(struct weft_h1 *h)
{
    weft_req *rq = &h->rq;
    int rc = weft_parse_head(h->in.ptr, h->in.len, &limits_of(h)->head, &rq->head,
                             rq->fields_inline, WEFT_FIELDS_IN_PLACE);
    if (rc == WEFT_PARSE_MORE)
        return rc;
    weft_req_init(rq, &h1_exchange, service_of(h), h);
    h->requesting = true;
    rq->fields = rq->fields_inline;
    if (WEFT_UNLIKELY(rc == WEFT_PARSE_FIELDS))
        rc = parse_many(h);
    rq->base = h->in.ptr;
    return rc;
}

/* A stream ended in an error. While none of it has left, an answer that says so takes its place; what
 * was queued before it stays. */
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
        refuse(h, rc > 0 ? weft_parse_error_status(rc) : 503,
               rc > 0 ? weft_str_z(weft_parse_error_text(rc)) : WEFT_S("Service Unavailable"));
        finish_request(h);
        return true;
    }
    consume(h, rq->head.bytes);
    setup_body(h);
    h->closing = last_request(h);
    if (WEFT_UNLIKELY(rq->head.flags & WEFT_HEAD_EXPECT_OTHER)) {
        weft_loop_count(h->conn.loop, WEFT_COUNTER_EXPECT_FAILED);
        weft_ignore(weft_fail(rq, 417, WEFT_S("Expectation Failed"))); /* nothing was answered yet */
    } else {
        weft_rc handled = weft_service_handle(rq);
        if (WEFT_UNLIKELY(handled < 0))
            break_stream(h, handled);
    }
    bool unread = h->body != WEFT_H1_BODY_DONE;
    if (WEFT_UNLIKELY(unread && !h->closing && (h->continue_due || (h->body == WEFT_H1_BODY_LENGTH &&
                                          h->body_left > limits_of(h)->discard_bytes_max))))
        discard_body(h); /* only says that the connection closes: the head must say so too */
    if (h->broken == 0)
        respond(h);
    if (WEFT_UNLIKELY(h->body != WEFT_H1_BODY_DONE))
        discard_body(h);
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
             h->extra_count == 0 && (h->block == NULL || block_room(h) >= BLOCK_ROOM_MIN));
    h->in_task = false;
}

/* ---- what is next? ---- */

static void free_all(struct weft_h1 *h)
{
    struct weft_input next;
    if (h->requesting)
        finish_request(h);
    if (h->in.buf != WEFT_BUF_NONE)
        weft_bufs_unref(bufs_of(h), h->in.buf);
    while (dequeue(h, &next))
        weft_bufs_unref(bufs_of(h), next.buf);
    carry_free(h);
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
        set_deadline(h, WEFT_H1_HEAD_DEADLINE, h->conn.loop->now_ms + limits_of(h)->header_ms);
    weft_conn_recv(&h->conn, WEFT_RECV_STREAM);
}

/* Makes a whole head, or as much as can be judged, the input. false: more is needed. */
static bool gather(struct weft_h1 *h)
{
    weft_rc rc = 0;
    if (h->partial)
        rc = carry_start(h);
    else if (h->carry != NULL && h->in.buf != WEFT_BUF_NONE)
        rc = carry_append(h);
    else
        return true;
    if (rc != 0)
        h->broken = rc;
    return rc == 0 && carry_complete(h);
}

static void run_burst(struct weft_h1 *h)
{
    if (h->deadline == WEFT_H1_HEAD_DEADLINE)
        clear_deadline(h);
    h->in_task = true;
    if (weft_task_run(&h->conn.loop->tasks, burst, h) == 0)
        return;
    h->in_task = false;
    weft_loop_count(h->conn.loop, WEFT_COUNTER_SHED_STACKS);
    refuse(h, 503, WEFT_S("Service Unavailable"));
}

/* Input for the next step. false: there is none, and what that means was done. */
static bool have_input(struct weft_h1 *h)
{
    if (h->in.len > 0)
        return true;
    drop_in(h);
    if (dequeue(h, &h->in))
        return true;
    if (h->eof)
        close_conn(h, WEFT_CLOSE_CLEAN);
    else if (h->carry != NULL)
        await_head(h);
    else
        idle(h);
    return false;
}

static void drive(struct weft_h1 *h)
{
    while (!h->in_task && !h->conn.sending) {
        if (WEFT_UNLIKELY(h->broken != 0)) {
            close_conn(h, WEFT_CLOSE_ABORT);
            return;
        }
        if (queued(h)) {
            weft_rc rc = flush_start(h);
            if (rc < 0 && rc != WEFT_PENDING)
                h->broken = rc;
            continue;
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
    struct weft_h1 *h = h1_of(conn);
    memset((char *)h + sizeof(h->conn), 0, offsetof(struct weft_h1, rq) - sizeof(h->conn));
    h->in.buf = WEFT_BUF_NONE;
    h->queue_first = h->head_buf = h->carry_buf = WEFT_BUF_NONE;
    h->close_how = WEFT_CLOSE_CLEAN;
    h->rq.task = NULL;
}

/* A client may send faster than the kernel can be told to stop: no fault of its, but no reason either
 * to let it have the buffers of all others. */
static bool queue_has_room(struct weft_h1 *h)
{
    const struct weft_bufs *bufs = bufs_of(h);
    return h->queue_count < WEFT_H1_QUEUE_MAX || weft_bufs_free(bufs) > bufs->pool.slot_count / 2;
}

static void h1_bytes(struct weft_conn *conn, struct weft_input input)
{
    struct weft_h1 *h = h1_of(conn);
    if (h->in_task && h->rq.task != NULL && h->rq.wait == WEFT_WAIT_RECV) {
        set_in(h, input);
        weft_req_resume(&h->rq, 0);
    } else if (h->in_task || conn->sending || h->in.len > 0) {
        if (queue_has_room(h)) {
            enqueue(h, input);
            return;
        }
        weft_loop_count(conn->loop, WEFT_COUNTER_INPUT_QUEUE_FULL);
        conn->protocol->ended(conn, WEFT_EFULL);
    } else {
        set_in(h, input);
        drive(h);
    }
}

static void h1_ended(struct weft_conn *conn, weft_rc rc)
{
    struct weft_h1 *h = h1_of(conn);
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
    struct weft_h1 *h = h1_of(conn);
    if (h->in_task && h->rq.task != NULL && h->rq.wait == WEFT_WAIT_SEND) {
        weft_req_resume(&h->rq, rc);
        return;
    }
    clear_deadline(h);
    output_done(h);
    if (rc < 0 && h->broken == 0)
        h->broken = rc;
    drive(h);
}

static void head_late(struct weft_h1 *h)
{
    weft_loop_count(h->conn.loop, WEFT_COUNTER_TIMEOUTS_HEADER);
    carry_free(h);
    refuse(h, 408, WEFT_S("Request Timeout"));
    drive(h);
}

static void write_late(struct weft_h1 *h)
{
    uint64_t due = h->conn.progress_ms + limits_of(h)->write_ms;
    if (due > h->conn.loop->now_ms) { /* slow, but it takes what it is given */
        set_deadline(h, WEFT_H1_WRITE_DEADLINE, due);
        return;
    }
    weft_loop_count(h->conn.loop, WEFT_COUNTER_TIMEOUTS_WRITE);
    h->conn.transport->abort(&h->conn);
}

static void h1_expired(struct weft_conn *conn)
{
    struct weft_h1 *h = h1_of(conn);
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
    case WEFT_H1_NO_DEADLINE:
        break;
    }
}

/* A request under way ends as usual, its answer says close; a head half read has its deadline. */
static void h1_drain(struct weft_conn *conn)
{
    (void)conn;
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
    .expired = h1_expired,
    .drain = h1_drain,
};
