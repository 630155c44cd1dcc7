/* stream.c - see weft/stream.h: answers made piece by piece, pulled, or handed over. */
#include "base/fmt.h"
#include "http/filter.h"
#include "http/message.h"
#include "http/service.h"

static weft_rc begin(weft_req *rq, int status, weft_str type, size_t len)
{
    if (weft_req_answered(rq))
        return WEFT_ESTATE;
    WEFT_TRY(weft_req_may_wait(
        rq)); /* it will have to, sooner or later: better told now than in the middle */
    WEFT_TRY(weft_req_answer(rq, status, type, WEFT_BODY_STREAM));
    rq->body = weft_str_make(NULL, len);
    if (WEFT_UNLIKELY(rq->service->filter != NULL))
        WEFT_TRY(rq->service->filter->begin(rq));
    weft_rc rc = rq->exchange->begin(rq);
    if (rc < 0)
        weft_req_unanswer(rq); /* its head was not queued: an error can still be answered */
    return rc;
}

weft_rc weft_begin(weft_req *rq, int status, weft_str type)
{
    return begin(rq, status, type, WEFT_LENGTH_UNKNOWN);
}

weft_rc weft_begin_sized(weft_req *rq, int status, weft_str type, uint64_t len)
{
    return len < WEFT_LENGTH_UNKNOWN ? begin(rq, status, type, (size_t)len) : WEFT_EINVAL;
}

static weft_rc stream_open(const weft_req *rq)
{
    if (rq->body_kind != WEFT_BODY_STREAM || rq->ended)
        return WEFT_ESTATE;
    return rq->canceled;
}

/* How many bytes does the announced length leave? */
static uint64_t stream_left(const weft_req *rq)
{
    return rq->body.len == WEFT_LENGTH_UNKNOWN ? UINT64_MAX : rq->body.len - rq->answered_bytes;
}

weft_rc weft_write(weft_req *rq, weft_str bytes)
{
    WEFT_TRY(stream_open(rq));
    if (bytes.len > stream_left(rq))
        return WEFT_ELIMIT;
    rq->answered_bytes += bytes.len;
    if (bytes.len > WEFT_BLOCK_BYTES)
        return weft_req_sink(rq)->write(rq, bytes);
    while (bytes.len > 0) {
        char *to = NULL;
        size_t room = 0;
        WEFT_TRY(weft_req_sink(rq)->room(rq, 1, &to, &room));
        size_t n = WEFT_MIN(room, bytes.len);
        memcpy(to, bytes.ptr, n);
        rq->copied += n;
        rq->body_copied += n;
        weft_req_sink(rq)->commit(rq, n);
        bytes.ptr += n;
        bytes.len -= n;
    }
    return 0;
}

weft_rc weft_write_file(weft_req *rq, int fd, uint64_t offset, uint64_t len)
{
    WEFT_TRY(stream_open(rq));
    if (weft_req_sink(rq)->write_file == NULL)
        return WEFT_ENOTSUP;
    if (len > stream_left(rq))
        return WEFT_ELIMIT;
    rq->answered_bytes += len;
    return len > 0 ? weft_req_sink(rq)->write_file(rq, fd, offset, len) : 0;
}

/* Straight into the block; what does not fit the rest of it is formatted once more into the next.
 */
static weft_rc print(weft_req *rq, const char *format, va_list args)
{
    char *to = NULL;
    size_t room = 0;
    va_list again;
    va_copy(again, args);
    weft_rc rc = weft_req_sink(rq)->room(rq, 1, &to, &room);
    size_t len = rc == 0 ? weft_vfmt(to, room, format, args) : 0;
    if (rc == 0 && len > room) {
        rc = weft_req_sink(rq)->room(rq, len, &to, &room);
        if (rc == 0)
            (void)weft_vfmt(to, room, format, again); /* measured above */
    }
    va_end(again);
    if (rc != 0)
        return rc;
    if (len > stream_left(rq))
        return WEFT_ELIMIT;
    weft_req_sink(rq)->commit(rq, len);
    rq->answered_bytes += len;
    return 0;
}

weft_rc weft_printf(weft_req *rq, const char *format, ...)
{
    WEFT_TRY(stream_open(rq));
    va_list args;
    va_start(args, format);
    weft_rc rc = print(rq, format, args);
    va_end(args);
    return rc;
}

weft_rc weft_flush(weft_req *rq)
{
    WEFT_TRY(stream_open(rq));
    return weft_req_sink(rq)->flush(rq);
}

weft_rc weft_trailer(weft_req *rq, weft_str name, weft_str value)
{
    WEFT_TRY(stream_open(rq));
    WEFT_TRY(weft_req_check_field(name, value));
    if (rq->trailers == NULL)
        rq->trailers = weft_alloc(rq, WEFT_TRAILERS_MAX * sizeof(*rq->trailers));
    if (rq->trailers == NULL)
        return WEFT_ENOMEM;
    if (rq->trailer_count == WEFT_TRAILERS_MAX) {
        weft_loop_count(rq->loop, WEFT_COUNTER_TRAILERS_FULL);
        return WEFT_EFULL;
    }
    rq->trailers[rq->trailer_count++] = (struct weft_out_field){name, value};
    return 0;
}

weft_rc weft_end(weft_req *rq)
{
    WEFT_TRY(stream_open(rq));
    bool bodiless = rq->head.method == WEFT_HEAD || rq->status == 304;
    if (rq->body.len != WEFT_LENGTH_UNKNOWN && stream_left(rq) > 0 && !bodiless)
        return WEFT_ESTATE; /* less than was announced: the client must be able to tell */
    rq->ended = true;
    return weft_req_sink(rq)->end(rq);
}

/* ---- what goes on without the request ---- */

weft_rc weft_source(weft_req *rq, int status, weft_str type, uint64_t len,
                    const weft_source_ops *source, void *arg)
{
    weft_rc rc = source->size == sizeof(*source) && len <= WEFT_UNSIZED ? 0 : WEFT_EINVAL;
    if (rc == 0 && !rq->exchange->pulls)
        rc = WEFT_ENOTSUP;
    if (rc == 0)
        rc = weft_req_answer(rq, status, type, WEFT_BODY_SOURCE);
    if (rc != 0) {
        weft_source_close(source, arg);
        return rc;
    }
    rq->body = weft_str_make(NULL, (size_t)len);
    rq->due = WEFT_DUE_SOURCE;
    rq->source = source;
    rq->source_arg = arg;
    rq->borrowed = true;
    return 0;
}

weft_rc weft_req_hold(weft_req *rq, int status, weft_str type, uint32_t held)
{
    weft_rc rc =
        rq->exchange->holds ? weft_req_answer(rq, status, type, WEFT_BODY_HELD) : WEFT_ENOTSUP;
    if (rc != 0) {
        rq->loop->holder->cancel(rq->loop, held);
        return rc;
    }
    rq->due = WEFT_DUE_HELD;
    rq->held = held;
    rq->borrowed = true; /* nothing else is answered on this connection */
    return 0;
}
