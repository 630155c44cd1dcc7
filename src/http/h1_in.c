/* h1_in.c - the receiving half of HTTP/1.1: input where it lies, its queue, heads that come in
 * pieces, and bodies.
 *
 * Nothing is copied but the beginning of a head that is not all there: a head has to lie in one
 * piece for its spans, a body is handed on as it came.
 */
#include "http/h1.h"
#include "http/h1_priv.h"
#include <errno.h>

#define QUEUE_PAUSE 4 /* buffers queued after which the kernel is told to stop */

void weft_h1_set_in(struct weft_h1 *h, struct weft_input input)
{
    if (input.buf != WEFT_BUF_NONE)
        weft_bufs_ref(weft_h1_bufs_of(h), input.buf);
    h->in = input;
}

/* What `in` lies in goes back, or stays for the request whose head is in it. */
void weft_h1_drop_in(struct weft_h1 *h)
{
    uint16_t buf = h->in.buf;
    h->in = (struct weft_input){.buf = WEFT_BUF_NONE};
    if (buf == WEFT_BUF_NONE)
        return;
    if (h->requesting && h->head_buf == WEFT_BUF_NONE && h->carry == NULL)
        h->head_buf = buf; /* the reference goes with it */
    else
        weft_bufs_unref(weft_h1_bufs_of(h), buf);
}

/* Copies an input behind the last one in the queue, if there is room: a buffer of 8 KiB for each
 * byte of a client that dribbles would let it take all of them. */
static bool append_to_last(struct weft_h1 *h, struct weft_input input)
{
    struct weft_bufs *bufs = weft_h1_bufs_of(h);
    if (h->queue_first == WEFT_BUF_NONE)
        return false;
    struct weft_buf_info *last = &bufs->infos[h->queue_last];
    size_t used = (size_t)last->off + last->len;
    if (input.len > bufs->buffer_bytes - used)
        return false;
    memcpy(weft_bufs_at(bufs, h->queue_last) + used, input.ptr, input.len);
    last->len = (uint16_t)(last->len + input.len);
    h->rq.copied += input.len;
    return true;
}

/* The last buffers are for those who have nothing yet. */
static bool few_left(const struct weft_bufs *bufs)
{
    return weft_bufs_free(bufs) <= bufs->pool.free.limit / 8;
}

void weft_h1_enqueue(struct weft_h1 *h, struct weft_input input)
{
    struct weft_bufs *bufs = weft_h1_bufs_of(h);
    if (append_to_last(h, input))
        return;
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
    if (h->queue_count == QUEUE_PAUSE || few_left(bufs))
        weft_conn_recv(&h->conn, WEFT_RECV_OFF);
}

/* Puts what is left of an input back to the front. Its reference is kept. */
static void requeue_front(struct weft_h1 *h, struct weft_input input)
{
    struct weft_bufs *bufs = weft_h1_bufs_of(h);
    struct weft_buf_info *info = &bufs->infos[input.buf];
    info->next = h->queue_first;
    info->off = (uint16_t)(input.ptr - weft_bufs_at(bufs, input.buf));
    info->len = (uint16_t)input.len;
    if (h->queue_first == WEFT_BUF_NONE)
        h->queue_last = input.buf;
    h->queue_first = input.buf;
    h->queue_count++;
}

bool weft_h1_dequeue(struct weft_h1 *h, struct weft_input *out)
{
    uint16_t buf = h->queue_first;
    if (buf == WEFT_BUF_NONE)
        return false;
    struct weft_bufs *bufs = weft_h1_bufs_of(h);
    const struct weft_buf_info *info = &bufs->infos[buf];
    h->queue_first = info->next;
    h->queue_count--;
    *out = (struct weft_input){weft_bufs_at(bufs, buf) + info->off, info->len, buf};
    return true;
}

static size_t carry_room(const struct weft_h1 *h)
{
    return h->carry_buf == WEFT_BUF_NONE ? WEFT_BLOCK_BYTES : h->conn.loop->bufs.buffer_bytes;
}

void weft_h1_carry_free(struct weft_h1 *h)
{
    if (h->carry == NULL)
        return;
    if (h->carry_buf == WEFT_BUF_NONE)
        weft_block_put(h->conn.loop, h->carry);
    else
        weft_bufs_unref(weft_h1_bufs_of(h), h->carry_buf);
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
    uint16_t buf = weft_bufs_take(weft_h1_bufs_of(h));
    if (buf == WEFT_BUF_NONE)
        return false;
    char *larger = weft_bufs_at(weft_h1_bufs_of(h), buf);
    memcpy(larger, h->carry, h->carry_len);
    weft_block_put(h->conn.loop, h->carry);
    h->carry = larger;
    h->carry_buf = buf;
    return true;
}

/* Appends as much of `in` as fits; what does not is queued again. */
weft_rc weft_h1_carry_append(struct weft_h1 *h)
{
    struct weft_input in = h->in;
    if (h->carry_len + in.len > carry_room(h) && h->carry_len + in.len > WEFT_BLOCK_BYTES &&
        h->carry_buf == WEFT_BUF_NONE && !carry_grow(h) && h->carry_len == carry_room(h))
        return WEFT_EFULL;
    size_t n = WEFT_MIN((size_t)in.len, carry_room(h) - h->carry_len);
    memcpy(h->carry + h->carry_len, in.ptr, n);
    h->carry_len += (uint32_t)n;
    weft_h1_consume(h, n);
    in = h->in;
    h->in = (struct weft_input){.buf = WEFT_BUF_NONE};
    if (in.len > 0)
        requeue_front(h, in);
    else
        weft_bufs_unref(weft_h1_bufs_of(h), in.buf);
    return 0;
}

/* `in` is the beginning of a head: into the carry with it. */
weft_rc weft_h1_carry_start(struct weft_h1 *h)
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
    return weft_h1_carry_append(h);
}

/* Is there a whole head in the carry, or so much that parsing must refuse it? Then it is the input.
 */
bool weft_h1_carry_complete(struct weft_h1 *h)
{
    if (!weft_parse_head_complete(h->carry, h->carry_len, &h->scanned) &&
        h->carry_len < weft_h1_limits_of(h)->head.head_bytes_max)
        return false;
    h->in = (struct weft_input){h->carry, h->carry_len, WEFT_BUF_NONE};
    return true;
}

/* A pause in input: the deadline grows with what has come, so a slow but steady client is served.
 */
static uint64_t body_deadline_ms(const struct weft_h1 *h)
{
    const struct weft_service_limits *limits = weft_h1_limits_of(h);
    uint64_t earned =
        limits->body_rate_min == 0 ? 0 : h->rq.body_read * 1000 / limits->body_rate_min;
    uint64_t since = limits->body_rate_min == 0 ? h->conn.loop->now_ms : h->body_since_ms;
    return since + limits->body_grace_ms + earned;
}

static weft_rc await_input(struct weft_h1 *h)
{
    weft_req *rq = &h->rq;
    weft_h1_close_chunk(h);
    WEFT_TRY(weft_h1_flush_wait(h)); /* or the client may wait for us while we wait for it */
    if (weft_h1_dequeue(h, &h->in))
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
    weft_h1_set_deadline(h, WEFT_H1_BODY_DEADLINE, body_deadline_ms(h));
    rc = weft_req_wait(rq, WEFT_WAIT_RECV);
    weft_h1_clear_deadline(h);
    return rc;
}

weft_rc weft_h1_send_continue(struct weft_h1 *h)
{
    h->continue_due = false;
    if (!weft_h1_block_ready(h))
        return WEFT_EFULL;
    if (weft_h1_block_room(h) < 32)
        WEFT_TRY(weft_h1_flush_wait(h));
    weft_h1_put(h, WEFT_S("HTTP/1.1 100 Continue\r\n\r\n"));
    weft_loop_count(h->conn.loop, WEFT_COUNTER_RESPONSES_1XX);
    return 0;
}

weft_rc weft_h1_keep_head(struct weft_h1 *h)
{
    if (h->keeping)
        return 0;
    if (!weft_bufs_spare(weft_h1_bufs_of(h))) {
        weft_loop_count(h->conn.loop, WEFT_COUNTER_SHED_BUFFERS);
        return WEFT_EFULL;
    }
    h->keeping = true;
    return 0;
}

/* Bytes of the body are in `in`, or an error. */
static weft_rc more_input(struct weft_h1 *h)
{
    if (h->in.len > 0)
        return 0;
    weft_h1_drop_in(h);
    if (weft_h1_dequeue(h, &h->in))
        return 0;
    if (h->continue_due)
        WEFT_TRY(weft_h1_send_continue(h));
    if (h->head_buf != WEFT_BUF_NONE)
        WEFT_TRY(weft_h1_keep_head(h));
    return await_input(h);
}

static weft_rc read_length(struct weft_h1 *h, weft_str *out)
{
    WEFT_TRY(more_input(h));
    size_t n = (size_t)WEFT_MIN(h->body_left, (uint64_t)h->in.len);
    *out = weft_str_make(h->in.ptr, n);
    weft_h1_consume(h, n);
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
        int rc = weft_chunked_next(&h->chunked, &weft_h1_limits_of(h)->chunked, h->in.ptr,
                                   h->in.len, &used, out);
        weft_h1_consume(h, used);
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

weft_rc weft_h1_read(weft_req *rq, weft_str *out)
{
    struct weft_h1 *h = weft_h1_of_req(rq);
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

void weft_h1_setup_body(struct weft_h1 *h)
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

/* A body that the handler did not read: a little of it is read and dropped, so that the connection
 * can stay; more than that is not worth it. */
void weft_h1_discard_body(struct weft_h1 *h)
{
    uint64_t max = weft_h1_limits_of(h)->discard_bytes_max;
    bool closing = h->closing; /* for another reason, or this was said already */
    bool hopeless = h->continue_due || (h->body == WEFT_H1_BODY_LENGTH && h->body_left > max);
    h->rq.body_max = h->rq.body_read + max;
    while (!hopeless && !h->closing && h->body != WEFT_H1_BODY_DONE) {
        weft_str piece = {0};
        hopeless = weft_h1_read(&h->rq, &piece) < 0;
    }
    if (h->body == WEFT_H1_BODY_DONE)
        return;
    if (hopeless && !closing)
        weft_loop_count(h->conn.loop, WEFT_COUNTER_BODY_UNREAD);
    h->closing = true;
    h->close_how = WEFT_CLOSE_LINGER;
}

/* A client may send faster than the kernel can be told to stop: no fault of its, but no reason
 * either to let it have the buffers of all others. */
bool weft_h1_queue_has_room(struct weft_h1 *h)
{
    const struct weft_bufs *bufs = weft_h1_bufs_of(h);
    uint32_t left = weft_bufs_free(bufs), all = bufs->pool.free.limit;
    if (!weft_h1_reading(h) && few_left(bufs))
        return h->queue_count == 0 && left > 0;
    return h->queue_count < WEFT_H1_QUEUE_MAX || left > all / 2;
}
