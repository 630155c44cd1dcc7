/* subscribers.c - connections that a channel's events go to: 40 bytes each, no stack, no buffer.
 *
 * A worker passes on one event at a time: to all of its subscribers in turn, a batch per turn of
 * its loop, each by a send that takes what the socket has room for and never waits in the kernel.
 * Who does not take all of it is behind from then on, goes on at its own pace when its socket is
 * writable, and is in step again when it has caught up; the others do not wait for it.
 */
#include "serve/events/channel.h"
#include "base/mutex.h"
#include "http/message.h"
#include "http/service.h"
#include <errno.h>

#define BATCH 256 /* subscribers looked at per turn of the loop */
#define FLYING_MAX                                                                                 \
    128 /* of a pass's sends under way: more completions than a turn takes would queue up */
#define CATCH_UP   32 /* events sent to one that is behind, per visit */
#define END        WEFT_S("0\r\n\r\n")
#define EVENT_TYPE WEFT_S("text/event-stream")

enum {
    CHUNKED = 1,  /* its body is framed */
    SENDING = 2,  /* the engine will tell what became of a send */
    BLOCKED = 4,  /* its socket takes nothing: the engine will tell when it does */
    FLYING = 8,   /* what is being sent is what its pass sends: counted there */
    ENDING = 16,  /* the server drains */
    LEAVING = 32, /* it is gone; its object goes when the send is over */
};

/* What it is being sent, or next. */
enum what {
    HELLO = WEFT_CHANNEL_HELLO,
    BEAT = WEFT_CHANNEL_BEAT,
    EVENT = WEFT_CHANNEL_TEXTS,
    LAST, /* the end of the body */
};

struct weft_subscriber {
    struct weft_channel_part *part;
    uint64_t at;   /* number of the next event */
    uint32_t slot; /* its connection */
    uint32_t next; /* neighbours in its part's list; WEFT_POOL_NONE: none */
    uint32_t prev;
    uint16_t bytes;    /* of what is being sent */
    uint16_t offset;   /* of them have left */
    uint32_t since_ds; /* when its socket last took something, in tenths of a second */
    uint8_t what;      /* enum what */
    uint8_t flags;
};
_Static_assert(sizeof(struct weft_subscriber) == 40, "weft/channel.h and the plan count on it");
_Static_assert(WEFT_CHANNEL_BYTES_MAX + 8 <= UINT16_MAX, "bytes and offset hold it");

static struct weft_subscriber *sub_at(struct weft_loop *loop, uint32_t index)
{
    return weft_pool_at(&loop->held, index);
}

static uint64_t turn_of(const struct weft_channel_part *part)
{
    return atomic_load_explicit(&part->turn, memory_order_relaxed); /* written by this thread */
}

static uint32_t now_ds(const struct weft_loop *loop)
{
    return (uint32_t)(loop->now_ms / 100);
}

/* ---- coming and going ---- */

static void link_first(struct weft_loop *loop, struct weft_subscriber *s, uint32_t index)
{
    struct weft_channel_part *part = s->part;
    s->prev = WEFT_POOL_NONE;
    s->next = part->first;
    if (part->first != WEFT_POOL_NONE)
        sub_at(loop, part->first)->prev = index;
    part->first = index;
}

static void unlink_from(struct weft_loop *loop, struct weft_subscriber *s)
{
    struct weft_channel_part *part = s->part;
    if (s->next != WEFT_POOL_NONE)
        sub_at(loop, s->next)->prev = s->prev;
    if (s->prev != WEFT_POOL_NONE)
        sub_at(loop, s->prev)->next = s->next;
    else
        part->first = s->next;
}

/* Closes its connection. Nothing of it may be in flight. */
static void leave(struct weft_loop *loop, struct weft_subscriber *s)
{
    struct weft_channel_part *part = s->part;
    uint32_t slot = s->slot, index = weft_pool_index(&loop->held, s);
    weft_assert(!(s->flags & SENDING));
    if (part->cursor == index)
        part->cursor = s->next;
    unlink_from(loop, s);
    weft_mutex_lock(&part->store->lock);
    uint32_t left = atomic_fetch_sub_explicit(&part->count, 1, memory_order_relaxed) - 1;
    weft_mutex_unlock(&part->store->lock);
    if (left == 0)
        weft_timer_disarm(&loop->wheel, &part->beat);
    weft_pool_put(&loop->held, index);
    weft_conn_close_held(loop, slot);
}

/* ---- one subscriber ---- */

static weft_str unframed(weft_str text, bool chunked)
{
    if (chunked)
        return text;
    return weft_str_make(text.ptr + WEFT_CHANNEL_LEAD, text.len - WEFT_CHANNEL_LEAD - 2);
}

static ssize_t send_bytes(struct weft_loop *loop, struct weft_subscriber *s, weft_str bytes)
{
    s->bytes = (uint16_t)bytes.len;
    if (bytes.len == 0)
        return 0;
    bytes = weft_str_make(bytes.ptr + s->offset, bytes.len - s->offset);
    return weft_engine_try_send(&loop->engine, s->slot, bytes);
}

static ssize_t counted(struct weft_subscriber *s, ssize_t n)
{
    if (n == -EINPROGRESS) {
        s->flags |= FLYING;
        s->part->flying++;
    }
    return n;
}

static ssize_t send_text(struct weft_loop *loop, struct weft_subscriber *s)
{
    const struct weft_channel_store *store = s->part->store;
    bool chunked = (s->flags & CHUNKED) != 0;
    if (s->what == LAST)
        return send_bytes(loop, s, chunked ? END : WEFT_S(""));
    weft_str text = weft_str_make(store->texts[s->what].text, store->texts[s->what].bytes);
    return counted(s, send_bytes(loop, s, unframed(text, chunked)));
}

/* The event that is passed on stays where it is while somebody is being sent it. */
static ssize_t send_present(struct weft_loop *loop, struct weft_subscriber *s)
{
    bool chunked = (s->flags & CHUNKED) != 0;
    return counted(s, send_bytes(loop, s, weft_channel_bytes_of(s->part->store, s->at, chunked)));
}

/* An older one may be written over as soon as nobody holds the lock: its bytes are read before. */
static ssize_t send_past(struct weft_loop *loop, struct weft_subscriber *s)
{
    struct weft_channel_store *store = s->part->store;
    bool chunked = (s->flags & CHUNKED) != 0;
    ssize_t n = -ESTALE;
    weft_mutex_lock(&store->lock);
    if (s->at >= store->first) {
        n = send_bytes(loop, s, weft_channel_bytes_of(store, s->at, chunked));
        weft_engine_submit(&loop->engine);
    }
    weft_mutex_unlock(&store->lock);
    return n;
}

/* What it should get next is gone. */
static bool overtaken(struct weft_loop *loop, struct weft_subscriber *s)
{
    struct weft_channel_store *store = s->part->store;
    weft_loop_count(loop, WEFT_COUNTER_SUBSCRIBERS_SLOW);
    if (s->offset > 0 || store->channel->slow == WEFT_SLOW_CLOSE) {
        leave(loop, s);
        return false;
    }
    weft_mutex_lock(&store->lock);
    s->at = store->first;
    weft_mutex_unlock(&store->lock);
    return true;
}

static void block(struct weft_loop *loop, struct weft_subscriber *s, bool soon)
{
    s->flags |= BLOCKED;
    weft_engine_want_write(&loop->engine, s->slot, soon);
}

static bool took_all(struct weft_loop *loop, struct weft_subscriber *s)
{
    s->offset = 0;
    if (s->what == LAST) {
        leave(loop, s);
        return false;
    }
    if (s->what == EVENT) {
        s->at++;
        weft_loop_count(loop, WEFT_COUNTER_EVENTS_SENT);
    }
    s->what = EVENT;
    return true;
}

/* What became of a send: bytes, or -errno. false: the subscriber is no more. */
static bool took(struct weft_loop *loop, struct weft_subscriber *s, ssize_t n)
{
    if (n == -ESTALE)
        return overtaken(loop, s);
    if (n < 0 && (n != -EAGAIN || (s->flags & ENDING))) {
        leave(loop, s);
        return false;
    }
    if (n == -EAGAIN) {
        block(loop, s, false);
        return true;
    }
    weft_count_add(loop->counters, WEFT_COUNTER_BYTES_OUT, (uint64_t)n);
    s->since_ds = now_ds(loop);
    s->offset = (uint16_t)(s->offset + n);
    return s->offset < s->bytes || took_all(loop, s);
}

/* Is there something that it should be sent? An end of the server comes before more events. */
static bool is_due(struct weft_subscriber *s)
{
    const struct weft_channel_part *part = s->part;
    if ((s->flags & ENDING) && s->offset == 0)
        s->what = LAST;
    return s->what != EVENT || s->at < turn_of(part) + (part->pass == WEFT_CHANNEL_PASSING);
}

/* Sends what is due, as far as its socket takes it. May be the end of it. */
static void go_on(struct weft_loop *loop, struct weft_subscriber *s)
{
    for (int i = 0; is_due(s); i++) {
        if (i == CATCH_UP) {
            block(loop, s, true);
            return;
        }
        ssize_t n = s->what != EVENT           ? send_text(loop, s)
                    : s->at < turn_of(s->part) ? send_past(loop, s)
                                               : send_present(loop, s);
        if (n == -EINPROGRESS) {
            s->flags |= SENDING;
            return;
        }
        if (!took(loop, s, n) || (s->flags & BLOCKED))
            return;
    }
}

/* ---- all of them in turn ---- */

/* In turn, where both are due: a flood of events must not hide who has gone, nor the other way. */
static bool begin_pass(struct weft_channel_part *part)
{
    bool event = turn_of(part) < atomic_load_explicit(&part->store->next, memory_order_acquire);
    if (!event && !part->beat_due)
        return false;
    bool beats = part->beat_due && !(event && part->has_beaten);
    part->pass = beats ? WEFT_CHANNEL_BEATING : WEFT_CHANNEL_PASSING;
    part->has_beaten = beats;
    part->cursor = part->first;
    return true;
}

static void finish_pass(struct weft_channel_part *part)
{
    if (part->pass == WEFT_CHANNEL_PASSING)
        atomic_store_explicit(&part->turn, turn_of(part) + 1, memory_order_release);
    else
        part->beat_due = false;
    part->pass = WEFT_CHANNEL_AT_REST;
}

/* Its socket took nothing for so long: nobody is there, or nobody reads. */
static bool too_slow(const struct weft_loop *loop, const struct weft_subscriber *s)
{
    const struct weft_service *service = loop->owner;
    uint32_t write_ms = service->site->limits.write_ms;
    return (s->flags & BLOCKED) && write_ms != 0 && now_ds(loop) - s->since_ds > write_ms / 100;
}

static void visit(struct weft_loop *loop, struct weft_subscriber *s)
{
    const struct weft_channel_part *part = s->part;
    bool beating = part->pass == WEFT_CHANNEL_BEATING;
    if (beating && too_slow(loop, s)) {
        weft_loop_count(loop, WEFT_COUNTER_TIMEOUTS_WRITE);
        leave(loop, s);
        return;
    }
    if ((s->flags & (SENDING | BLOCKED)) || s->what != EVENT)
        return;
    if (beating)
        s->what = BEAT;
    go_on(loop, s);
}

static void run_passes(struct weft_channel_part *part)
{
    int left = BATCH;
    while (part->pass != WEFT_CHANNEL_AT_REST || begin_pass(part)) {
        for (; part->cursor != WEFT_POOL_NONE && part->flying < FLYING_MAX && left > 0; left--) {
            struct weft_subscriber *s = sub_at(part->loop, part->cursor);
            part->cursor = s->next;
            visit(part->loop, s);
        }
        if (part->flying >= FLYING_MAX || (part->cursor == WEFT_POOL_NONE && part->flying > 0))
            return; /* completions go on */
        if (part->cursor != WEFT_POOL_NONE || left <= 0) {
            weft_channel_wake(part); /* others have their turn */
            return;
        }
        finish_pass(part);
        left--;
    }
}

void weft_subscribers_post(struct weft_post *post)
{
    struct weft_channel_part *part = WEFT_CONTAINER_OF(post, struct weft_channel_part, post);
    atomic_store(&part->posted, false);
    run_passes(part);
}

static void beat(struct weft_timer *timer)
{
    struct weft_channel_part *part = WEFT_CONTAINER_OF(timer, struct weft_channel_part, beat);
    part->beat_due = true;
    weft_timer_arm(&part->loop->wheel, timer, part->loop->now_ms + part->store->heartbeat_ms);
    weft_channel_wake(part);
}

/* ---- what the connection tells ---- */

static void sub_start(struct weft_loop *loop, uint32_t held, uint32_t slot, bool chunked)
{
    struct weft_subscriber *s = sub_at(loop, held);
    struct weft_channel_part *part = s->part;
    struct weft_channel_store *store = part->store;
    s->slot = slot;
    s->since_ds = now_ds(loop);
    s->flags = chunked ? CHUNKED : 0;
    link_first(loop, s, held);
    weft_mutex_lock(&store->lock);
    part->loop = loop;
    s->at = WEFT_MAX(s->at, store->first);
    if (atomic_fetch_add_explicit(&part->count, 1, memory_order_relaxed) == 0) {
        part->pass = WEFT_CHANNEL_AT_REST; /* nobody was listening: it begins where this one does */
        atomic_store_explicit(&part->turn, s->at, memory_order_release);
    }
    weft_mutex_unlock(&store->lock);
    if (!weft_timer_armed(&part->beat)) {
        part->beat = (struct weft_timer){.fire = beat};
        weft_timer_arm(&loop->wheel, &part->beat, loop->now_ms + store->heartbeat_ms);
    }
    weft_loop_count(loop, WEFT_COUNTER_SUBSCRIBED);
    go_on(loop, s);
    if (turn_of(part) < atomic_load_explicit(&store->next, memory_order_relaxed))
        weft_channel_wake(part); /* nobody was woken for what there is already */
}

static void sub_cancel(struct weft_loop *loop, uint32_t held)
{
    weft_pool_put(&loop->held, held);
}

/* A send of a pass is over: it may have been one too many, or the last one. */
static void pass_goes_on(struct weft_channel_part *part)
{
    uint32_t most = part->cursor == WEFT_POOL_NONE ? 0 : FLYING_MAX / 2;
    if (part->pass != WEFT_CHANNEL_AT_REST && part->flying <= most)
        run_passes(part);
}

static void sub_sent(struct weft_loop *loop, uint32_t held, ssize_t n)
{
    struct weft_subscriber *s = sub_at(loop, held);
    struct weft_channel_part *part = s->part;
    uint8_t flags = s->flags;
    s->flags &= (uint8_t) ~(SENDING | FLYING | BLOCKED);
    part->flying -= (flags & FLYING) != 0;
    if (flags & LEAVING)
        leave(loop, s);
    else if ((flags & BLOCKED) && n < 0)
        leave(loop, s);
    else if ((flags & BLOCKED) || (took(loop, s, n) && !(s->flags & BLOCKED)))
        go_on(loop, s);
    pass_goes_on(part);
}

static void sub_ended(struct weft_loop *loop, uint32_t held, weft_rc rc)
{
    (void)rc; /* also when it only says that it will send no more: there is no end to wait for */
    struct weft_subscriber *s = sub_at(loop, held);
    if (s->flags & SENDING)
        s->flags |= LEAVING;
    else
        leave(loop, s);
}

static void sub_drain(struct weft_loop *loop, uint32_t held)
{
    struct weft_subscriber *s = sub_at(loop, held);
    s->flags |= ENDING;
    if (s->flags & BLOCKED)
        leave(loop, s);
    else if (!(s->flags & SENDING))
        go_on(loop, s);
}

const struct weft_holder weft_subscribers_holder = {
    .bytes = sizeof(struct weft_subscriber),
    .start = sub_start,
    .cancel = sub_cancel,
    .sent = sub_sent,
    .ended = sub_ended,
    .drain = sub_drain,
};

/* ---- subscribing ---- */

weft_rc weft_subscribe(weft_req *rq, weft_channel *channel)
{
    struct weft_channel_store *store = channel->store;
    struct weft_loop *loop = rq->loop;
    if (store == NULL || weft_req_answered(rq))
        return WEFT_ESTATE;
    if (loop->holder != &weft_subscribers_holder || loop->worker >= store->part_count)
        return WEFT_ENOTSUP;
    WEFT_TRY(weft_set_header(rq, WEFT_S("Cache-Control"), WEFT_S("no-cache")));
    if (rq->head.method == WEFT_HEAD)
        return weft_begin(rq, 200, EVENT_TYPE);
    uint32_t held = weft_pool_take(&loop->held);
    if (held == WEFT_POOL_NONE) {
        weft_loop_count(loop, WEFT_COUNTER_SUBSCRIBERS_REFUSED);
        return WEFT_EFULL;
    }
    *sub_at(loop, held) = (struct weft_subscriber){
        .part = &store->parts[loop->worker],
        .at = weft_channel_find(store, weft_header(rq, "last-event-id")),
        .what = HELLO,
    };
    return weft_req_hold(rq, 200, EVENT_TYPE, held);
}
