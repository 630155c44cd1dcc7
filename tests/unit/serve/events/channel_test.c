/* channel_test.c - channels and their subscribers over an engine in memory: who gets what, in which
 * order, whatever sockets take, and that nothing is sent from a place that was written anew. */
#include "unit.h"
#include "base/fmt.h"
#include "http/h1.h"
#include "serve/events/channel.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define LINES_MAX 700
#define OUT_BYTES 16384

/* A connection, and what its client has got. */
struct line {
    size_t room;      /* bytes that its socket takes until it is read; SIZE_MAX: all */
    weft_str sending; /* given to the engine and not yet looked at: read when it is submitted */
    bool pending;     /* told with the next turn */
    ssize_t result;
    bool wants_write, detached, open;
    size_t out_len;
    char out[OUT_BYTES];
};

static struct {
    struct weft_ledger ledger;
    struct weft_loop loop;
    struct weft_conn_share share;
    struct weft_clock_fake clock;
    struct weft_router *router;
    struct weft_site site;
    struct weft_service service;
    bool forgets; /* what clients have got, when there is no room for more */
    bool later;   /* sends are told with the next turn, as by io_uring; else at once */
    struct line lines[LINES_MAX];
} rig;

static weft_channel channel;

static uint64_t counted(enum weft_counter id)
{
    return weft_counter_read(rig.loop.counters, id);
}

/* ---- the engine ---- */

static ssize_t take(struct line *line, weft_str bytes)
{
    size_t n = WEFT_MIN(line->room, bytes.len);
    if (n == 0)
        return -EAGAIN;
    if (rig.forgets && n > OUT_BYTES - line->out_len)
        line->out_len = 0;
    assert_true(n <= OUT_BYTES - line->out_len);
    memcpy(line->out + line->out_len, bytes.ptr, n);
    line->out_len += n;
    line->room -= line->room == SIZE_MAX ? 0 : n;
    return (ssize_t)n;
}

static size_t no_bytes(const struct weft_engine_size *size)
{
    (void)size;
    return 0;
}

static void no_close(struct weft_engine *engine)
{
    (void)engine;
}

static weft_rc do_attach(struct weft_engine *engine, uint32_t slot)
{
    (void)engine;
    struct line *line = &rig.lines[slot];
    memset(line, 0, offsetof(struct line, out));
    line->open = true;
    line->room = SIZE_MAX;
    return 0;
}

static void do_detach(struct weft_engine *engine, uint32_t slot)
{
    (void)engine;
    rig.lines[slot].detached = true;
}

static void do_recv(struct weft_engine *engine, uint32_t slot, enum weft_recv_mode mode)
{
    (void)engine, (void)slot, (void)mode;
}

static ssize_t do_send(struct weft_engine *engine, uint32_t slot, struct msghdr *m, int flags)
{
    (void)engine, (void)flags;
    struct line *line = &rig.lines[slot];
    size_t room = line->room;
    line->room = SIZE_MAX; /* heads are not what is tried here */
    ssize_t n = take(line, weft_str_make(m->msg_iov->iov_base, m->msg_iov->iov_len));
    line->room = room;
    return n;
}

static void do_want_write(struct weft_engine *engine, uint32_t slot, bool soon)
{
    (void)engine, (void)soon;
    rig.lines[slot].wants_write = true;
}

static ssize_t do_try_send(struct weft_engine *engine, uint32_t slot, weft_str bytes)
{
    (void)engine;
    struct line *line = &rig.lines[slot];
    assert_false(line->pending || line->wants_write || line->detached);
    if (!rig.later)
        return take(line, bytes);
    line->sending = bytes;
    line->pending = true;
    return -EINPROGRESS;
}

static void do_submit(struct weft_engine *engine)
{
    (void)engine;
    for (size_t i = 0; i < LINES_MAX; i++) {
        struct line *line = &rig.lines[i];
        if (line->sending.len > 0)
            line->result = take(line, line->sending);
        line->sending.len = 0;
    }
}

static weft_rc do_watch(struct weft_engine *engine, int fd, uint32_t events, uint64_t token,
                        enum weft_io_class class)
{
    (void)engine, (void)fd, (void)events, (void)token, (void)class;
    return 0;
}

static const struct weft_engine_ops engine_ops = {
    .name_z = "memory",
    .bytes = no_bytes,
    .close = no_close,
    .attach = do_attach,
    .detach = do_detach,
    .recv = do_recv,
    .send = do_send,
    .want_write = do_want_write,
    .try_send = do_try_send,
    .submit = do_submit,
    .watch = do_watch,
};

/* ---- a turn ---- */

static void tell(uint32_t slot)
{
    struct line *line = &rig.lines[slot];
    if (line->pending) {
        line->pending = false;
        weft_conn_events.sent(&rig.loop, slot, line->result);
    }
    if (line->wants_write && line->room > 0 && !line->detached) {
        line->wants_write = false;
        weft_conn_events.sent(&rig.loop, slot, 0);
    }
    if (line->detached && !line->pending) {
        line->open = line->detached = line->wants_write = false;
        weft_conn_events.detached(&rig.loop, slot);
    }
}

static void turn(void)
{
    rig.loop.waker.ready(&rig.loop.waker, 0);
    do_submit(&rig.loop.engine);
    for (uint32_t i = 0; i < LINES_MAX; i++)
        if (rig.lines[i].open)
            tell(i);
    (void)weft_wheel_advance(&rig.loop.wheel, rig.loop.now_ms, 10000);
}

static void turns(int count)
{
    for (int i = 0; i < count; i++)
        turn();
}

static void pass_ms(uint64_t ms)
{
    rig.clock.now_ns += ms * WEFT_NS_PER_MS;
    weft_clock_update(&rig.loop.clock);
    rig.loop.now_ms = weft_clock_ms(&rig.loop.clock);
    turns(4);
}

/* ---- clients ---- */

/* Asks for the events; returns the connection's slot. */
static uint32_t come(const char *version_z, const char *field_z)
{
    char text[256];
    uint32_t before = rig.loop.slots.used;
    weft_conn_open(&rig.loop, 1000);
    assert_int_equal(rig.loop.slots.used, before + 1);
    uint16_t buf = weft_bufs_take(&rig.loop.bufs);
    size_t len = weft_fmt(text, sizeof(text), "GET /events HTTP/%s\r\nHost: a\r\n%s\r\n", version_z,
                          field_z);
    uint32_t slot = 0;
    for (uint32_t i = 0; i < rig.loop.slots.count; i++)
        if (rig.loop.slots.table[i].state == WEFT_SLOT_FRESH)
            slot = i;
    memcpy(weft_bufs_at(&rig.loop.bufs, buf), text, len);
    weft_conn_events.received(&rig.loop, slot, (int)len, buf);
    weft_bufs_unref(&rig.loop.bufs, buf);
    turns(2);
    return slot;
}

static uint32_t subscribe(void)
{
    uint32_t slot = come("1.1", "");
    assert_int_equal(rig.loop.slots.table[slot].state, WEFT_SLOT_HELD);
    return slot;
}

static bool got(uint32_t slot, const char *text)
{
    const struct line *line = &rig.lines[slot];
    return memmem(line->out, line->out_len, text, strlen(text)) != NULL;
}

static bool ends_with(uint32_t slot, const char *text)
{
    return weft_str_ends(weft_str_make(rig.lines[slot].out, rig.lines[slot].out_len),
                         weft_str_z(text));
}

static weft_rc publish(const char *id, const char *data)
{
    return weft_publish(&channel, WEFT_EVENT(.data = weft_str_z(data), .id = weft_str_z(id)));
}

/* Event number n is twenty bytes and more of its own. */
static weft_rc publish_number(unsigned n)
{
    char id[16], data[64];
    id[weft_fmt(id, sizeof(id), "%u", n)] = 0;
    data[weft_fmt(data, sizeof(data), "event %u %u %u", n, n, n)] = 0;
    return publish(id, data);
}

/* Did it get these, each once, in order, and whole? */
static void assert_got_numbers(uint32_t slot, unsigned first, unsigned end)
{
    struct line *line = &rig.lines[slot];
    const char *at = memmem(line->out, line->out_len, "id: ", 4),
               *out_end = line->out + line->out_len;
    for (unsigned n = first; n < end; n++) {
        char expected[128];
        size_t len =
            weft_fmt(expected, sizeof(expected), "id: %u\ndata: event %u %u %u\n\n", n, n, n, n);
        assert_non_null(at);
        if ((size_t)(out_end - at) < len || memcmp(at, expected, len) != 0)
            fail_msg("line %u, event %u: %.*s", slot, n, (int)(out_end - at), at);
        at = memmem(at + len, (size_t)(out_end - at) - len, "id: ", 4);
    }
    assert_null(at);
}

/* ---- opening and closing ---- */

static weft_rc events(weft_req *rq)
{
    return weft_subscribe(rq, &channel);
}

static struct weft_route route = {.handler = events, .memory_bytes = 8192};

static void open_service(void)
{
    char error[200];
    assert_int_equal(weft_router_create(&rig.router), 0);
    route.pattern = WEFT_S("/events");
    assert_int_equal(weft_router_add(rig.router, WEFT_GET, (weft_str){0}, route.pattern, &route,
                                     error, sizeof(error)),
                     0);
    assert_int_equal(weft_router_compile(rig.router), 0);
    rig.site = (struct weft_site){.router = rig.router,
                                  .limits = {.head = {.head_bytes_max = 8192,
                                                      .target_bytes_max = 2048,
                                                      .field_count_max = 64},
                                             .header_ms = 5000,
                                             .write_ms = 1000},
                                  .fallback = {.memory_bytes = 8192},
                                  .root_fd = -1};
    assert_int_equal(weft_service_init(&rig.service, &rig.site, &rig.loop), 0);
    rig.loop.owner = &rig.service;
}

static void open_rig(weft_channel how, size_t held)
{
    const char *part = NULL;
    memset(rig.lines, 0, sizeof(rig.lines));
    weft_clock_fake_init(&rig.clock, 1000 * (uint64_t)WEFT_NS_PER_S, 1795233995);
    rig.share.max = LINES_MAX;
    struct weft_loop_options options = {.engine = &engine_ops,
                                        .connections = LINES_MAX - WEFT_REFUSAL_SLOTS,
                                        .share = &rig.share,
                                        .holder = &weft_subscribers_holder,
                                        .held = held,
                                        .active = 8,
                                        .waiting = 2,
                                        .stack_bytes = 16 << 10,
                                        .buffer_bytes = 8192,
                                        .buffers = 8,
                                        .spare_buffers = 8,
                                        .elastic_bytes = 1 << 20,
                                        .timer_precision_ms = 1,
                                        .protocol = &weft_h1,
                                        .clock = &rig.clock.source};
    assert_int_equal(weft_ledger_init(&rig.ledger, 0), 0);
    assert_int_equal(weft_loop_init(&rig.loop, &rig.ledger, &options, &part), 0);
    open_service();
    channel.size = sizeof(channel);
    channel.events = how.events;
    channel.event_bytes = how.event_bytes;
    channel.heartbeat_ms = how.heartbeat_ms;
    channel.retry_ms = how.retry_ms;
    channel.slow = how.slow;
    channel.name_z = "channel";
    assert_null(weft_channel_wrong(&channel));
    assert_int_equal(weft_channel_open(&channel, &rig.ledger, 1), 0);
}

static void close_rig(void)
{
    weft_conns_drain(&rig.loop);
    turns(4);
    (void)weft_conns_abort(&rig.loop);
    turns(4);
    assert_int_equal(rig.loop.slots.used, 0);
    assert_int_equal(weft_pool_used(&rig.loop.held), 0);
    assert_int_equal(weft_subscribers(&channel), 0);
    weft_timer_disarm(&rig.loop.wheel, &rig.loop.slots.sweep);
    assert_int_equal(rig.loop.wheel.armed, 0);
    weft_channel_close(&channel);
    weft_channel_close(&channel);
    weft_service_fini(&rig.service);
    weft_router_destroy(rig.router);
    weft_loop_fini(&rig.loop);
    weft_ledger_fini(&rig.ledger);
}

/* Each of them with an engine that tells at once, and one that tells with the next turn. */
#define BOTH_WAYS for (int way = 0; rig.later = way == 1, way < 2; way++)

/* ---- the tests ---- */

static void events_go_to_all_who_listen(void **state)
{
    (void)state;
    BOTH_WAYS
    {
        open_rig((weft_channel){.retry_ms = 700}, 8);
        uint32_t first = subscribe(), old = come("1.0", ""), none = subscribe();
        assert_true(got(first, "Content-Type: text/event-stream\r\n"));
        assert_true(got(first, "Transfer-Encoding: chunked\r\n"));
        assert_true(got(first, "Cache-Control: no-cache\r\n"));
        assert_true(ends_with(first, "\r\n\r\n000c\r\nretry: 700\n\n\r\n"));
        assert_true(got(old, "Connection: close\r\n"));
        assert_false(got(old, "chunked"));
        assert_true(ends_with(old, "\r\n\r\nretry: 700\n\n"));
        weft_conn_events.received(&rig.loop, none, 0, WEFT_BUF_NONE); /* it goes */
        turns(2);
        assert_false(rig.lines[none].open);
        assert_int_equal(weft_subscribers(&channel), 2);
        assert_int_equal(
            weft_publish(&channel, WEFT_EVENT(.data = WEFT_S("a\nb"), .id = WEFT_S("x"),
                                              .event = WEFT_S("hi"))),
            0);
        turns(2);
        assert_true(ends_with(first, "0021\r\nid: x\nevent: hi\ndata: a\ndata: b\n\n\r\n"));
        assert_true(ends_with(old, "\n\nid: x\nevent: hi\ndata: a\ndata: b\n\n"));
        assert_int_equal(counted(WEFT_COUNTER_SUBSCRIBED), 3);
        assert_int_equal(counted(WEFT_COUNTER_EVENTS_SENT), 2);
        weft_conns_drain(&rig.loop);
        turns(3);
        assert_true(ends_with(first, "\n\n\r\n0\r\n\r\n"));
        assert_true(ends_with(old, "data: b\n\n"));
        assert_false(rig.lines[first].open || rig.lines[old].open);
        close_rig();
    }
}

/* The request is over when its head has left: what is left of it is the subscriber. shows SF-11 */
static void a_subscriber_is_all_that_is_held(void **state)
{
    (void)state;
    open_rig((weft_channel){0}, 8);
    for (int i = 0; i < 8; i++)
        (void)subscribe();
    assert_int_equal(weft_pool_used(&rig.loop.conns), 0);
    assert_int_equal(weft_pool_used(&rig.loop.blocks), 0);
    assert_int_equal(weft_pool_used(&rig.loop.bufs.pool), 0);
    assert_int_equal(rig.loop.tasks.waiting, 0);
    assert_int_equal(rig.loop.chunks.promised, 0);
    assert_int_equal(weft_pool_used(&rig.loop.held), 8);
    size_t each = weft_pool_bytes(weft_subscribers_holder.bytes, 35000) / 35000;
    assert_true(each + sizeof(struct weft_slot) <= 80); /* 128 were asked for */
    uint32_t refused = come("1.1", "");
    assert_true(got(refused, "HTTP/1.1 503 "));
    assert_int_equal(counted(WEFT_COUNTER_SUBSCRIBERS_REFUSED), 1);
    close_rig();
}

static void who_comes_back_gets_what_it_missed(void **state)
{
    (void)state;
    BOTH_WAYS
    {
        open_rig((weft_channel){.events = 8}, 8);
        for (unsigned n = 0; n < 20; n++)
            assert_int_equal(publish_number(n), 0);
        uint32_t fresh = subscribe(), behind = come("1.1", "Last-Event-ID: 15\r\n");
        uint32_t newest = come("1.1", "last-event-id: 19\r\n");
        uint32_t late = come("1.1", "Last-Event-ID: 3\r\n"),
                 odd = come("1.1", "Last-Event-ID: ?\r\n");
        turns(20);
        assert_int_equal(publish_number(20), 0);
        turns(4);
        assert_got_numbers(fresh, 20, 21);
        assert_got_numbers(newest, 20, 21);
        assert_got_numbers(behind, 16, 21);
        assert_got_numbers(late, 12, 21);
        assert_got_numbers(odd, 12, 21);
        close_rig();
    }
}

/* Without an id of their own events have numbers, which work the same. */
static void ids_are_numbers(void **state)
{
    (void)state;
    open_rig((weft_channel){.events = 4}, 8);
    uint32_t first = subscribe();
    for (int i = 0; i < 3; i++)
        assert_int_equal(publish("", i == 0 ? "zero" : i == 1 ? "one" : "two"), 0);
    turns(4);
    const char *at = memmem(rig.lines[first].out, rig.lines[first].out_len, "id: ", 4);
    char field[64];
    field[weft_fmt(field, sizeof(field), "Last-Event-ID: %.*s\r\n", 16, at + 4)] = 0;
    uint32_t second = come("1.1", field);
    turns(4);
    assert_false(got(second, "zero"));
    assert_true(got(second, "one") && got(second, "two"));
    assert_int_equal(publish("", "three"), 0);
    assert_int_equal(publish("", "four"), 0);
    turns(4);
    assert_true(got(second, "four"));
    close_rig();
}

/* However fast: what the workers have not passed on is not written over. */
static void publishing_is_bounded(void **state)
{
    (void)state;
    BOTH_WAYS
    {
        open_rig((weft_channel){.events = 4}, 8);
        uint32_t first = subscribe(), second = subscribe();
        unsigned n = 0, refused = 0;
        while (n < 100) {
            weft_rc rc = publish_number(n);
            assert_true(rc == 0 || rc == WEFT_EFULL);
            n += rc == 0;
            refused += rc != 0;
            if (rc != 0)
                turn();
        }
        turns(20);
        assert_true(refused > 10);
        assert_int_equal(channel.store->account->refused, refused);
        assert_int_equal(counted(WEFT_COUNTER_SUBSCRIBERS_SLOW), 0);
        assert_got_numbers(first, 0, 100);
        assert_got_numbers(second, 0, 100);
        close_rig();
    }
}

/* Takes 30 bytes now and then: the others do not wait, and what it gets is right. shows SF-10 */
static void a_slow_one_is_behind_for_itself(void **state)
{
    (void)state;
    BOTH_WAYS
    {
        open_rig((weft_channel){.events = 8}, 8);
        uint32_t slow = subscribe(), quick = subscribe();
        rig.lines[slow].room = 0;
        for (unsigned n = 0; n < 6; n++) {
            assert_int_equal(publish_number(n), 0);
            rig.lines[slow].room += 30;
            turns(3);
        }
        assert_got_numbers(quick, 0, 6);
        assert_true(rig.lines[slow].out_len < rig.lines[quick].out_len);
        rig.lines[slow].room = SIZE_MAX;
        turns(20);
        assert_got_numbers(slow, 0, 6);
        assert_int_equal(publish_number(6), 0); /* in step again */
        turns(2);
        assert_got_numbers(slow, 0, 7);
        assert_int_equal(counted(WEFT_COUNTER_SUBSCRIBERS_SLOW), 0);
        close_rig();
    }
}

static uint32_t overtaken(enum weft_slow policy, size_t partial)
{
    open_rig((weft_channel){.events = 4, .slow = policy}, 8);
    uint32_t slow = subscribe(), quick = subscribe();
    rig.lines[slow].room = partial;
    for (unsigned n = 0; n < 20; n++) {
        assert_int_equal(publish_number(n), 0);
        turns(3);
    }
    assert_got_numbers(quick, 0, 20);
    rig.lines[slow].room = SIZE_MAX;
    turns(8);
    assert_int_equal(counted(WEFT_COUNTER_SUBSCRIBERS_SLOW), 1);
    return slow;
}

static void who_is_overtaken_is_closed_or_skips(void **state)
{
    (void)state;
    BOTH_WAYS
    {
        uint32_t slow = overtaken(WEFT_SLOW_CLOSE, 0);
        assert_false(rig.lines[slow].open);
        close_rig();
        slow = overtaken(WEFT_SLOW_SKIP, 0);
        assert_true(rig.lines[slow].open);
        assert_got_numbers(slow, 16, 20);
        close_rig();
        slow = overtaken(WEFT_SLOW_SKIP, 30); /* half an event cannot be taken back */
        assert_false(rig.lines[slow].open);
        close_rig();
    }
}

static void comments_find_out_who_is_there(void **state)
{
    (void)state;
    BOTH_WAYS
    {
        open_rig((weft_channel){.heartbeat_ms = 500}, 8);
        uint32_t there = subscribe(), stuck = subscribe(), gone = subscribe();
        rig.lines[stuck].room = rig.lines[gone].room = 0;
        pass_ms(500);
        assert_true(ends_with(there, "0003\r\n:\n\n\r\n"));
        rig.lines[stuck].room = 5; /* of eleven */
        pass_ms(600);
        rig.lines[stuck].room = SIZE_MAX;
        pass_ms(400);
        pass_ms(400);
        assert_true(ends_with(stuck, "0003\r\n:\n\n\r\n0003\r\n:\n\n\r\n"));
        pass_ms(500);
        assert_true(rig.lines[stuck].open);
        assert_false(rig.lines[gone].open); /* took nothing for longer than timeouts.write_ms */
        assert_int_equal(counted(WEFT_COUNTER_TIMEOUTS_WRITE), 1);
        close_rig();
    }
}

/* At any moment: while a send is told, while its socket is full, in the middle of the list. */
/* More is published than can be passed on, all the time: comments are due all the same. */
static void who_is_there_is_found_out_in_a_flood(void **state)
{
    (void)state;
    open_rig((weft_channel){.events = 4096, .event_bytes = 64, .heartbeat_ms = 500}, 8);
    rig.forgets = true;
    uint32_t reader = subscribe(), gone = subscribe();
    rig.lines[gone].room = 0;
    for (int i = 0; i < 6; i++) {
        while (publish("", "x") == 0)
            ;
        pass_ms(500);
        assert_int_equal(channel.store->parts[0].pass, WEFT_CHANNEL_PASSING);
    }
    assert_false(rig.lines[gone].open);
    assert_true(rig.lines[reader].open);
    assert_int_equal(counted(WEFT_COUNTER_TIMEOUTS_WRITE), 1);
    rig.forgets = false;
    close_rig();
}

static void who_goes_leaves_nothing(void **state)
{
    (void)state;
    BOTH_WAYS
    {
        open_rig((weft_channel){.events = 8}, 8);
        uint32_t lines[8];
        for (int i = 0; i < 8; i++)
            lines[i] = subscribe();
        rig.lines[lines[3]].room = 10;
        assert_int_equal(publish_number(0), 0);
        rig.loop.waker.ready(&rig.loop.waker, 0);
        weft_conn_events.received(&rig.loop, lines[7], -ECONNRESET, WEFT_BUF_NONE);
        weft_conn_events.received(&rig.loop, lines[0], 0, WEFT_BUF_NONE);
        weft_conn_events.received(&rig.loop, lines[3], 0, WEFT_BUF_NONE);
        turns(4);
        assert_int_equal(publish_number(1), 0);
        turns(4);
        assert_int_equal(weft_subscribers(&channel), 5);
        for (int i = 1; i < 7; i++)
            if (i != 3)
                assert_got_numbers(lines[i], 0, 2);
        close_rig();
    }
}

static void many_take_several_turns(void **state)
{
    (void)state;
    BOTH_WAYS
    {
        const uint32_t count = 620;
        open_rig((weft_channel){.events = 4}, count);
        for (uint32_t i = 0; i < count; i++)
            (void)subscribe();
        assert_int_equal(weft_subscribers(&channel), count);
        for (unsigned n = 0; n < 9; n++) {
            while (publish_number(n) == WEFT_EFULL)
                turn();
        }
        turns(40);
        for (uint32_t i = 0; i < count; i++)
            assert_got_numbers(i, 0, 9);
        close_rig();
    }
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    open_rig((weft_channel){.event_bytes = 64}, 8);
    char data[65];
    memset(data, 'd', sizeof(data));
    size_t most = 64 - strlen("id: 1\ndata: \n\n");
    weft_event event = {.size = sizeof(event), .id = WEFT_S("1")};
    event.data = weft_str_make(data, most);
    assert_int_equal(weft_publish(&channel, &event), 0);
    event.data = weft_str_make(data, most + 1);
    assert_int_equal(weft_publish(&channel, &event), WEFT_ELIMIT);
    event.event = WEFT_S("a\nb");
    assert_int_equal(weft_publish(&channel, &event), WEFT_EINVAL);
    close_rig();
    assert_int_equal(weft_publish(&channel, &event), WEFT_ESTATE);
    weft_channel wrong[] = {{.size = 1},
                            {.size = sizeof(channel), .events = 1},
                            {.size = sizeof(channel), .events = 4097},
                            {.size = sizeof(channel), .event_bytes = 63},
                            {.size = sizeof(channel), .event_bytes = 60001},
                            {.size = sizeof(channel), .heartbeat_ms = 9}};
    for (size_t i = 0; i < WEFT_COUNT_OF(wrong); i++)
        assert_non_null(weft_channel_wrong(&wrong[i]));
}

static _Atomic bool trying;

static void *publish_always(void *arg)
{
    (void)arg;
    while (atomic_load(&trying)) {
        weft_rc rc = publish_number(weft_subscribers(&channel));
        assert_true(rc == 0 || rc == WEFT_EFULL || rc == WEFT_ESTATE);
    }
    return NULL;
}

/* A thread of the program's own does not know when the server ends. */
static void publishing_may_meet_the_end(void **state)
{
    (void)state;
    pthread_t thread;
    atomic_store(&trying, true);
    rig.forgets = true;
    assert_int_equal(pthread_create(&thread, NULL, publish_always, NULL), 0);
    for (int i = 0; i < 8; i++) {
        open_rig((weft_channel){.events = 16}, 8);
        (void)subscribe();
        close_rig();
    }
    rig.forgets = false;
    atomic_store(&trying, false);
    pthread_join(thread, NULL);
}

/* Four threads at once, and a worker that passes on: each thread's events come in its order. */
#define PUBLISHERS  4
#define EACH_EVENTS 40

static void *publish_some(void *arg)
{
    for (unsigned n = 0; n < EACH_EVENTS; n++)
        while (publish_number(*(unsigned *)arg + n) == WEFT_EFULL)
            sched_yield();
    return NULL;
}

static void any_thread_may_publish(void **state)
{
    (void)state;
    BOTH_WAYS
    {
        open_rig((weft_channel){.events = 16}, 8);
        uint32_t slot = subscribe();
        pthread_t threads[PUBLISHERS];
        unsigned firsts[PUBLISHERS];
        for (unsigned i = 0; i < PUBLISHERS; i++) {
            firsts[i] = 1000 * (i + 1);
            assert_int_equal(pthread_create(&threads[i], NULL, publish_some, &firsts[i]), 0);
        }
        while (counted(WEFT_COUNTER_EVENTS_SENT) < PUBLISHERS * EACH_EVENTS)
            turn();
        for (unsigned i = 0; i < PUBLISHERS; i++)
            pthread_join(threads[i], NULL);
        for (unsigned i = 0; i < PUBLISHERS; i++) {
            const char *at = rig.lines[slot].out, *end = at + rig.lines[slot].out_len;
            for (unsigned n = 0; n < EACH_EVENTS; n++) {
                char id[32];
                size_t len = weft_fmt(id, sizeof(id), "id: %u\n", firsts[i] + n);
                at = memmem(at, (size_t)(end - at), id, len);
                assert_non_null(at);
            }
        }
        close_rig();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_go_to_all_who_listen),
        cmocka_unit_test(a_subscriber_is_all_that_is_held),
        cmocka_unit_test(who_comes_back_gets_what_it_missed),
        cmocka_unit_test(ids_are_numbers),
        cmocka_unit_test(publishing_is_bounded),
        cmocka_unit_test(a_slow_one_is_behind_for_itself),
        cmocka_unit_test(who_is_overtaken_is_closed_or_skips),
        cmocka_unit_test(comments_find_out_who_is_there),
        cmocka_unit_test(who_is_there_is_found_out_in_a_flood),
        cmocka_unit_test(who_goes_leaves_nothing),
        cmocka_unit_test(many_take_several_turns),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(any_thread_may_publish),
        cmocka_unit_test(publishing_may_meet_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
