/* compress_body.c - bytes of a body through a coder into the protocol: written, staged, flushed,
 * read from a file. */
#include "http/service.h"
#include "serve/coding/compress_priv.h"
#include <errno.h>
#include <sys/uio.h>

#define ROOM_MIN       16                 /* less is not worth a call: zlib would repeat itself */
#define YIELD_BYTES    ((size_t)64 << 10) /* a few milliseconds of work, then it is others' turn */
#define READ_TRIES_MAX 1000

void weft_compress_drop(weft_req *rq)
{
    if (rq->coder == 0)
        return;
    weft_coder_pool_put(&weft_compress_of(rq)->pool, rq->coder - 1u);
    rq->coder = 0;
}

/* ---- through the coder ---- */

weft_rc weft_compress_run(weft_req *rq, enum weft_coder_op op, struct weft_coder_io *io)
{
    struct weft_coder_io before = *io;
    weft_rc rc = weft_coder_pool_run(&weft_compress_of(rq)->pool, rq->coder - 1u, op, io);
    weft_count_add(rq->loop->counters, WEFT_COUNTER_COMPRESS_IN, before.in_len - io->in_len);
    weft_count_add(rq->loop->counters, WEFT_COUNTER_COMPRESS_OUT, before.out_room - io->out_room);
    if (rc < 0)
        weft_loop_count(rq->loop, WEFT_COUNTER_COMPRESS_FAILED);
    return rc;
}

/* Bytes through the coder, into the protocol's room. */
static weft_rc push(weft_req *rq, enum weft_coder_op op, weft_str bytes)
{
    struct weft_coder_io io = {.in = bytes.ptr, .in_len = bytes.len};
    weft_rc rc = WEFT_NEXT;
    while (rc == WEFT_NEXT) {
        size_t room = 0;
        WEFT_TRY(rq->exchange->room(rq, ROOM_MIN, &io.out, &room));
        io.out_room = room;
        rc = weft_compress_run(rq, op, &io);
        rq->exchange->commit(rq, room - io.out_room);
    }
    return rc;
}

/* What waits in the stage, and more behind it. */
static weft_rc push_staged(weft_req *rq, enum weft_coder_op op, weft_str more)
{
    struct weft_coder_slot *slot = weft_compress_slot(rq);
    weft_str staged = weft_str_make(slot->stage, slot->staged);
    slot->dirty = op == WEFT_CODER_MORE && (slot->dirty || staged.len + more.len > 0);
    slot->staged = 0;
    if (more.len > 0 && staged.len > 0)
        WEFT_TRY(push(rq, WEFT_CODER_MORE, staged));
    return push(rq, op, more.len > 0 ? more : staged);
}

static weft_rc sink_room(weft_req *rq, size_t min, char **out, size_t *out_room)
{
    struct weft_coder_slot *slot = weft_compress_slot(rq);
    if (min > WEFT_CODER_STAGE_BYTES)
        return WEFT_ELIMIT;
    if (WEFT_CODER_STAGE_BYTES - slot->staged < min)
        WEFT_TRY(push_staged(rq, WEFT_CODER_MORE, (weft_str){0}));
    *out = slot->stage + slot->staged;
    *out_room = WEFT_CODER_STAGE_BYTES - slot->staged;
    return 0;
}

static void sink_commit(weft_req *rq, size_t bytes)
{
    weft_compress_slot(rq)->staged += (uint32_t)bytes;
}

/* All that was written can be read by the client when it gets what is queued then. */
static weft_rc bring_out(weft_req *rq)
{
    const struct weft_coder_slot *slot = weft_compress_slot(rq);
    if (slot->staged == 0 && !slot->dirty)
        return 0;
    return push_staged(rq, WEFT_CODER_FLUSH, (weft_str){0});
}

static weft_rc sink_flush(weft_req *rq)
{
    WEFT_TRY(bring_out(rq));
    return rq->exchange->flush(rq);
}

static weft_rc sink_pause(weft_req *rq)
{
    WEFT_TRY(bring_out(rq));
    return rq->exchange->pause(rq);
}

static weft_rc sink_end(weft_req *rq)
{
    WEFT_TRY(push_staged(rq, WEFT_CODER_FINISH, (weft_str){0}));
    weft_compress_drop(rq);
    return rq->exchange->end(rq);
}

/* ---- files ---- */

struct reading {
    int fd;
    uint64_t offset;
    char *to;
    size_t len;
    int flags;
    ssize_t got; /* or -errno */
};

static void read_piece(void *arg)
{
    struct reading *r = arg;
    struct iovec to = {r->to, r->len};
    r->got = preadv2(r->fd, &to, 1, (off_t)r->offset, r->flags);
    if (r->got < 0)
        r->got = -errno;
}

/* What the page cache does not have is read by the offload pool. When that is full there is no
 * going back, part of the answer has left: it is asked again. */
static weft_rc read_cold(weft_req *rq, struct reading *r)
{
    weft_rc rc = WEFT_EFULL;
    r->flags = 0;
    for (int i = 0; rc == WEFT_EFULL && i < READ_TRIES_MAX; i++) {
        rc = weft_offload(rq, read_piece, r);
        if (rc == WEFT_EFULL)
            WEFT_TRY(weft_sleep_ms(rq, 1));
    }
    return rc;
}

static weft_rc read_some(weft_req *rq, struct reading *r)
{
    r->flags = RWF_NOWAIT;
    read_piece(r);
    if (r->got == -EAGAIN || r->got == -EOPNOTSUPP || r->got == -EINTR)
        WEFT_TRY(read_cold(rq, r));
    if (r->got < 0)
        return (weft_rc)r->got;
    return r->got == 0 ? WEFT_EEOF : 0; /* it was cut: the client must be able to tell */
}

/* After so many bytes the others have their turn; with no stack to wait on it just goes on. */
static weft_rc yield(weft_req *rq, size_t *worked, size_t bytes)
{
    *worked += bytes;
    if (*worked < YIELD_BYTES)
        return 0;
    *worked = 0;
    weft_rc rc = weft_sleep_ms(rq, 0);
    return rc == WEFT_EFULL ? 0 : rc;
}

weft_rc weft_compress_write_file(weft_req *rq, int fd, uint64_t offset, uint64_t len)
{
    struct weft_coder_slot *slot = weft_compress_slot(rq);
    size_t worked = 0;
    while (len > 0) {
        struct reading reading = {.fd = fd, .offset = offset};
        WEFT_TRY(sink_room(rq, 1, &reading.to, &reading.len));
        reading.len = (size_t)WEFT_MIN(len, (uint64_t)reading.len);
        WEFT_TRY(read_some(rq, &reading));
        size_t got = (size_t)reading.got;
        /* A wait has brought out what was staged before it. */
        if (reading.to != slot->stage + slot->staged)
            memmove(slot->stage + slot->staged, reading.to, got);
        sink_commit(rq, got);
        rq->copied += got;
        offset += got;
        len -= got;
        WEFT_TRY(yield(rq, &worked, got));
    }
    return 0;
}

weft_rc weft_compress_write(weft_req *rq, weft_str bytes)
{
    size_t worked = 0;
    while (bytes.len > 0) {
        size_t n = WEFT_MIN(bytes.len, WEFT_CODER_STAGE_BYTES);
        WEFT_TRY(push_staged(rq, WEFT_CODER_MORE, weft_str_make(bytes.ptr, n)));
        bytes = weft_str_make(bytes.ptr + n, bytes.len - n);
        WEFT_TRY(yield(rq, &worked, n));
    }
    return 0;
}

const struct weft_exchange_ops weft_compress_sink = {
    .name_z = "coder",
    .room = sink_room,
    .commit = sink_commit,
    .write = weft_compress_write,
    .write_file = weft_compress_write_file,
    .flush = sink_flush,
    .end = sink_end,
    .pause = sink_pause,
};
