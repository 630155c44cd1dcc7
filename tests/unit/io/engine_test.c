/* engine_test.c - bytes in and out, and the end of a connection: the same on both engines. */
#include "echo.h"

static char large[300000], got[300000]; /* many times what a small send buffer holds */

static int open_narrow_rig(void **state)
{
    (void)state;
    rig_open((struct rig_options){.send_bytes = 8192});
    return 0;
}

static void fill(char *to, size_t len)
{
    for (size_t i = 0; i < len; i++)
        to[i] = (char)('a' + (i * 7 + i / 251) % 26);
}

/* ---- receiving ---- */

static void what_comes_is_sent_back(void **state)
{
    (void)state;
    int fd = client_open();
    for (int i = 0; i < 100; i++) {
        client_say(fd, "ping");
        assert_true(client_hears(fd, "ping"));
    }
    assert_int_equal(counted(WEFT_COUNTER_ACCEPTED), 1);
    assert_int_equal(counted(WEFT_COUNTER_BYTES_IN), 400);
    UNTIL(counted(WEFT_COUNTER_BYTES_OUT) == 400);
    UNTIL(weft_pool_used(&rig.loop.conns) == 0); /* between requests it is 16 bytes */
    assert_int_equal(rig.loop.slots.table[0].state, WEFT_SLOT_IDLE);
    assert_string_equal(rig.loop.engine.ops->name_z, rig_engine->name_z);
    close(fd);
}

static void many_clients_at_once(void **state)
{
    (void)state;
    int fds[50];
    char text[16];
    for (int i = 0; i < 50; i++)
        fds[i] = client_open();
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 50; i++) {
            (void)snprintf(text, sizeof(text), "%d.%d", i, round);
            client_say(fds[i], text);
        }
        for (int i = 0; i < 50; i++) {
            (void)snprintf(text, sizeof(text), "%d.%d", i, round);
            assert_true(client_hears(fds[i], text));
        }
    }
    for (int i = 0; i < 50; i++)
        close(fds[i]);
    UNTIL(rig.loop.slots.used == 0);
}

static void more_events_than_a_turn_takes(void **state)
{
    (void)state;
    enum { CLIENTS = 260 }; /* a turn takes 256 on epoll, 32 on io_uring */
    rig_close();
    rig_open((struct rig_options){
        .connections = CLIENTS, .share = CLIENTS, .active = CLIENTS, .buffers = 64, .spares = 8});
    int fds[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = client_open();
        if (i % 50 == 49)
            turn_for(3); /* the backlog has an end */
    }
    UNTIL(rig.loop.slots.used == CLIENTS);
    turn_for(3);
    uint64_t before = counted(WEFT_COUNTER_TURNS_FULL);
    for (int i = 0; i < CLIENTS; i++)
        client_say(fds[i], "ping");
    for (int i = 0; i < CLIENTS; i++)
        assert_true(client_hears(fds[i], "ping"));
    assert_true(counted(WEFT_COUNTER_TURNS_FULL) > before);
    for (int i = 0; i < CLIENTS; i++)
        close(fds[i]);
    UNTIL(rig.loop.slots.used == 0);
}

static void a_stream_arrives_whole_and_in_order(void **state)
{
    (void)state;
    int fd = client_open();
    size_t sent = 0, len = ECHO_BYTES; /* many buffers long */
    fill(large, len);
    echo_does = DOES_COUNT;
    echo_mode = WEFT_RECV_STREAM;
    while (sent < len) {
        ssize_t n = send(fd, large + sent, len - sent, MSG_NOSIGNAL);
        if (n > 0)
            sent += (size_t)n;
        turn();
    }
    UNTIL(echo_told.bytes == len);
    assert_int_equal(echo_told.starts, 1);
    assert_memory_equal(echo_last->data, large, len);
    close(fd);
    UNTIL(echo_told.ends == 1);
}

/* Once what was on its way has been told, nothing more comes until it is asked for. */
static void once_is_one_piece(void **state)
{
    (void)state;
    int fd = client_open();
    echo_does = DOES_COUNT;
    echo_mode = WEFT_RECV_OFF;
    client_say(fd, "first");
    UNTIL(echo_told.inputs == 1);
    turn_for(5); /* the multishot's cancellation */
    client_say(fd, "second");
    turn_for(10);
    assert_int_equal(echo_told.inputs, 1);

    struct echo *e = echo_last;
    weft_conn_recv(&e->conn, WEFT_RECV_ONCE); /* asked for after it came */
    UNTIL(echo_told.inputs == 2);
    assert_int_equal(echo_told.bytes, 11);
    client_say(fd, "third");
    turn_for(10);
    assert_int_equal(echo_told.inputs, 2);

    weft_conn_recv(&e->conn, WEFT_RECV_ONCE);
    UNTIL(echo_told.inputs == 3);
    weft_conn_recv(&e->conn, WEFT_RECV_ONCE); /* asked for before it comes */
    turn_for(3);
    client_say(fd, "fourth");
    UNTIL(echo_told.inputs == 4);
    assert_memory_equal(e->data, "firstsecondthirdfourth", 22);

    echo_mode = WEFT_RECV_STREAM; /* and back */
    weft_conn_recv(&e->conn, WEFT_RECV_STREAM);
    client_say(fd, "fifth");
    UNTIL(echo_told.bytes == 27);
    client_say(fd, "sixth");
    UNTIL(echo_told.bytes == 32);
    assert_int_equal(echo_told.starts, 1);
    close(fd);
    UNTIL(echo_told.ends == 1);
}

static void off_and_on_in_the_same_turn(void **state)
{
    (void)state;
    int fd = client_open();
    echo_does = DOES_COUNT;
    echo_mode = WEFT_RECV_STREAM;
    client_say(fd, "a");
    UNTIL(echo_told.bytes == 1);
    for (size_t i = 2; i < 50; i++) {
        weft_conn_recv(&echo_last->conn, WEFT_RECV_OFF);
        if (i % 3 == 0)
            turn();
        weft_conn_recv(&echo_last->conn, i % 2 ? WEFT_RECV_ONCE : WEFT_RECV_STREAM);
        client_say(fd, "b");
        UNTIL(echo_told.bytes == i);
    }
    close(fd);
}

static void bytes_that_are_there_already(void **state)
{
    (void)state;
    struct weft_input input = {.buf = WEFT_BUF_NONE};
    int fd = client_open();
    echo_does = DOES_COUNT;
    echo_mode = WEFT_RECV_OFF;
    client_say(fd, "first");
    UNTIL(echo_told.inputs == 1);
    turn_for(5);
    assert_int_equal(weft_conn_recv_now(&echo_last->conn, &input), -EAGAIN);
    client_say(fd, "second");
    turn_for(5);
    weft_rc rc = weft_conn_recv_now(&echo_last->conn, &input);
    if (rc == 0) {
        assert_int_equal(input.len, 6);
        assert_memory_equal(input.ptr, "second", 6);
        weft_bufs_unref(&rig.loop.bufs, input.buf);
    } else {
        assert_int_equal(rc, -EAGAIN); /* an engine that only completes */
        weft_conn_recv(&echo_last->conn, WEFT_RECV_ONCE);
        UNTIL(echo_told.bytes == 11);
    }
    close(fd);
}

/* A client that sends faster than its bytes are looked at does not hold the worker for itself. */
static void what_is_there_now_has_an_end(void **state)
{
    (void)state;
    struct weft_input input = {0};
    size_t now = 0;
    int fd = client_open();
    echo_does = DOES_COUNT;
    echo_mode = WEFT_RECV_OFF;
    client_say(fd, "first");
    UNTIL(echo_told.inputs == 1);
    weft_ignore(send(fd, large, sizeof(large) / 3, MSG_DONTWAIT)); /* there is always some more */
    turn_for(5);
    while (weft_conn_recv_now(&echo_last->conn, &input) == 0) {
        weft_bufs_unref(&rig.loop.bufs, input.buf);
        now += input.len;
        weft_ignore(send(fd, large, input.len, MSG_DONTWAIT));
    }
    assert_in_range(now, 0, 68 << 10);
    weft_conn_recv(&echo_last->conn, WEFT_RECV_ONCE); /* the others had their turn */
    UNTIL(echo_told.inputs == 2);
    close(fd);
}

/* ---- sending ---- */

static void a_slow_reader_gets_it_all(void **state)
{
    (void)state;
    rig_close();
    rig_open((struct rig_options){.send_bytes = 4096});
    int fd = client_open();
    fill(large, sizeof(large));
    echo_does = DOES_LARGE;
    echo_body = weft_str_make(large, sizeof(large));
    client_say(fd, "go");
    UNTIL(echo_last != NULL && echo_told.starts == 1 && echo_last->conn.sending);
    turn_for(20); /* it reads nothing yet */
    assert_int_equal(echo_told.sents, 0);
    /* What epoll has put off is told to be pending, now that the socket is full; io_uring's is at
     * once. */
    assert_int_equal(echo_told.stalls > 0, rig_engine == &weft_epoll_ops);
    assert_int_equal(client_read(fd, got, sizeof(got)), sizeof(got));
    assert_memory_equal(got, large, sizeof(got));
    UNTIL(weft_pool_used(&rig.loop.conns) == 0);
    assert_int_equal(echo_told.sents, 1);

    echo_does = DOES_ECHO; /* and the connection goes on */
    client_say(fd, "ping");
    assert_true(client_hears(fd, "ping"));
    close(fd);
}

static void a_file_behind_a_head(void **state)
{
    (void)state;
    rig_close();
    rig_open((struct rig_options){.send_bytes = 4096});
    echo_file = memfd_create("engine", MFD_CLOEXEC);
    echo_file_bytes = sizeof(large);
    fill(large, sizeof(large));
    assert_int_equal(write(echo_file, large, sizeof(large)), sizeof(large));
    int fd = client_open();
    for (int round = 0; round < 2; round++) {
        echo_does = DOES_FILE;
        client_say(fd, "go");
        assert_true(client_hears(fd, "file"));
        assert_int_equal(client_read(fd, got, sizeof(large) - 1), sizeof(large) - 1);
        assert_memory_equal(got, large + 1, sizeof(large) - 1);
        echo_does = DOES_ECHO; /* the socket is as it was before */
        client_say(fd, "ping");
        assert_true(client_hears(fd, "ping"));
    }
    close(fd);
    close(echo_file);
}

static void a_file_that_is_cut_short_breaks_the_connection(void **state)
{
    (void)state;
    echo_file = memfd_create("engine", MFD_CLOEXEC);
    echo_file_bytes = 5000;
    assert_int_equal(write(echo_file, large, 100), 100);
    int fd = client_open();
    echo_does = DOES_FILE;
    client_say(fd, "go");
    assert_true(client_hears(fd, "file"));
    assert_true(client_end(fd) != -EAGAIN);
    UNTIL(rig.loop.slots.used == 0);
    close(fd);
    close(echo_file);
}

/* ---- the end ---- */

static void a_client_that_goes(void **state)
{
    (void)state;
    int fresh = client_open(), idle = client_open(), active = client_open();
    client_say(idle, "ping");
    assert_true(client_hears(idle, "ping"));
    echo_does = DOES_COUNT;
    echo_mode = WEFT_RECV_STREAM;
    client_say(active, "hold");
    UNTIL(echo_told.starts == 2);
    assert_int_equal(rig.loop.slots.used, 3);
    close(fresh);
    close(idle);
    UNTIL(rig.loop.slots.used == 1);
    assert_int_equal(echo_told.ends, 0); /* no protocol was bothered */
    close(active);
    UNTIL(rig.loop.slots.used == 0);
    assert_int_equal(echo_told.ends, 1);
}

static void a_client_that_resets(void **state)
{
    (void)state;
    for (int mode = WEFT_RECV_OFF; mode <= WEFT_RECV_STREAM; mode++) {
        int fresh = client_open(), active = client_open();
        echo_does = DOES_COUNT;
        echo_mode = (enum weft_recv_mode)mode;
        size_t before = echo_told.starts, errors = echo_told.errors;
        client_say(active, "hold");
        UNTIL(echo_told.starts == before + 1);
        turn_for(5);
        client_reset(fresh);
        UNTIL(rig.loop.slots.used == 1);
        client_reset(active);
        UNTIL(rig.loop.slots.used == 0);
        assert_int_equal(echo_told.errors, errors + 1);
    }
}

static void a_reset_in_the_middle_of_a_send(void **state)
{
    (void)state;
    rig_close();
    rig_open((struct rig_options){.send_bytes = 4096});
    for (int file = 0; file < 2; file++) {
        echo_file = memfd_create("engine", MFD_CLOEXEC);
        echo_file_bytes = sizeof(large);
        assert_int_equal(write(echo_file, large, sizeof(large)), sizeof(large));
        echo_does = file ? DOES_FILE : DOES_LARGE;
        echo_body = weft_str_make(large, sizeof(large));
        size_t before = echo_told.starts;
        int fd = client_open();
        client_say(fd, "go");
        UNTIL(echo_told.starts == before + 1 && echo_last->conn.sending);
        assert_true(client_read(fd, got, 1000) == 1000);
        client_reset(fd);
        UNTIL(rig.loop.slots.used == 0);
        assert_int_equal(weft_pool_used(&rig.loop.conns), 0);
        close(echo_file);
    }
}

static void close_clean_and_abort(void **state)
{
    (void)state;
    const enum weft_close how[] = {WEFT_CLOSE_CLEAN, WEFT_CLOSE_LINGER, WEFT_CLOSE_ABORT};
    echo_does = DOES_CLOSE;
    for (size_t i = 0; i < WEFT_COUNT_OF(how); i++) {
        echo_close = how[i];
        int fd = client_open();
        client_say(fd, "go");
        assert_true(client_hears(fd, "bye"));
        assert_int_equal(client_end(fd), 0);
        close(fd);
        UNTIL(rig.loop.slots.used == 0);
    }
}

/* A client in the middle of sending gets the answer, not a reset in front of it (RFC 9112 9.6). */
static void linger_lets_the_answer_arrive(void **state)
{
    (void)state;
    echo_does = DOES_CLOSE;
    echo_close = WEFT_CLOSE_LINGER;
    int fd = client_open();
    size_t sent = 0;
    for (int i = 0; i < 200; i++) {
        ssize_t n = send(fd, large, 4096, MSG_NOSIGNAL);
        assert_true(n > 0 || errno == EAGAIN); /* no EPIPE, no reset */
        sent += n > 0 ? (size_t)n : 0;
        turn();
    }
    assert_true(sent > 100000);
    assert_true(client_hears(fd, "bye"));
    assert_int_equal(client_end(fd), 0);
    assert_int_equal(echo_told.starts, 1);
    close(fd);
    UNTIL(rig.loop.slots.used == 0);
}

static void slots_are_used_again_with_another_generation(void **state)
{
    (void)state;
    uint16_t generation = 0;
    for (int i = 0; i < 20; i++) {
        int fd = client_open();
        client_say(fd, "ping");
        assert_true(client_hears(fd, "ping"));
        assert_int_equal(rig.loop.slots.top, 1); /* always the same slot */
        if (i > 0)
            assert_int_not_equal(rig.loop.slots.table[0].generation, generation);
        generation = rig.loop.slots.table[0].generation;
        close(fd);
        UNTIL(rig.loop.slots.used == 0);
    }
}

/* ---- buffers run out ---- */

static void requests_that_keep_buffers_stop_the_others_not_the_loop(void **state)
{
    (void)state;
    rig_close();
    rig_open((struct rig_options){.buffers = 4, .spares = 2});
    int keepers[6], fd = client_open();
    echo_does = DOES_KEEP;
    echo_mode = WEFT_RECV_STREAM;
    struct echo *holding[6];
    for (int i = 0; i < 6; i++) {
        keepers[i] = client_open();
        client_say(keepers[i], "keep");
        size_t before = echo_told.inputs;
        turn_for(3);
        holding[i] = echo_told.inputs > before ? echo_last : NULL;
    }
    echo_does = DOES_ECHO;
    client_say(fd, "ping");
    for (int i = 0; i < 200 && counted(WEFT_COUNTER_RECV_NOBUFS) == 0; i++)
        turn();
    assert_true(counted(WEFT_COUNTER_RECV_NOBUFS) > 0);
    for (int i = 0; i < 6; i++)
        if (holding[i] != NULL)
            echo_unkeep(holding[i]);
    assert_true(client_hears(fd, "ping"));
    for (int i = 0; i < 6; i++)
        close(keepers[i]);
    close(fd);
    UNTIL(rig.loop.slots.used == 0);
}

/* The kernel uses what it is lent in turn: lent little, little is in memory. What it was not lent
 * is kept for it. */
static void no_more_buffers_are_in_memory_than_are_needed(void **state)
{
    (void)state;
    rig_close();
    rig_open((struct rig_options){
        .buffers = 128, .spares = 8, .fake_clock = true, .reclaim_window_ms = 100});
    int fds[60], fd = client_open();
    bool lends = rig.loop.engine.ops->window != NULL;
    for (int i = 0; i < 300; i++) {
        client_say(fd, "ping");
        assert_true(client_hears(fd, "ping"));
    }
    assert_in_range(rig.loop.bufs.pool.free.fresh, 1, 40);
    assert_in_range(weft_bufs_free(&rig.loop.bufs), 8, 136);
    echo_does = DOES_COUNT;
    echo_mode = WEFT_RECV_STREAM;
    for (int i = 0; i < 60; i++)
        fds[i] = client_open();
    UNTIL(rig.loop.slots.used == 61);
    for (int i = 0; i < 60; i++)
        client_say(fds[i], "all at once");
    UNTIL(echo_told.bytes == 1200 + 660);
    assert_int_equal(counted(WEFT_COUNTER_RECV_NOBUFS), 0);
    if (lends)
        assert_in_range(weft_pool_used(&rig.loop.bufs.pool), 33, 128);
    for (int i = 0; i < 5; i++) { /* windows go by */
        weft_clock_fake_advance(&rig.clock, 100 * (uint64_t)WEFT_NS_PER_MS);
        turn_for(3);
    }
    assert_int_equal(weft_pool_used(&rig.loop.bufs.pool), lends ? 32 : 0);
    assert_int_equal(weft_bufs_free(&rig.loop.bufs), lends ? 8 : 136);
    echo_does = DOES_ECHO; /* and what is lent still works, all of it in turn */
    for (int i = 0; i < 100; i++) {
        client_say(fd, "ping");
        assert_true(client_hears(fd, "ping"));
    }
    for (int i = 0; i < 60; i++)
        close(fds[i]);
    close(fd);
    UNTIL(rig.loop.slots.used == 0);
}

/* ---- connections that are held ---- */

static struct {
    uint32_t slot;
    int starts, ends, drains, told, writable, blocked;
    ssize_t result; /* of the last send that was told later */
    bool pending;
} held;

static void held_start(struct weft_loop *loop, uint32_t index, uint32_t slot, bool chunked)
{
    (void)loop;
    assert_int_equal(index, 77);
    assert_true(chunked);
    held.slot = slot;
    held.starts++;
}

static void held_cancel(struct weft_loop *loop, uint32_t index)
{
    (void)loop, (void)index;
    fail();
}

static void held_sent(struct weft_loop *loop, uint32_t index, ssize_t n)
{
    (void)loop;
    assert_int_equal(index, 77);
    held.told++;
    held.writable += n == 0;
    held.result = n;
    held.pending = false;
}

static void held_ended(struct weft_loop *loop, uint32_t index, weft_rc rc)
{
    (void)index, (void)rc;
    held.ends++;
    weft_conn_close_held(loop, held.slot);
}

static void held_drain(struct weft_loop *loop, uint32_t index)
{
    held.drains++;
    held_ended(loop, index, 0);
}

static const struct weft_holder test_holder = {.bytes = 16,
                                               .start = held_start,
                                               .cancel = held_cancel,
                                               .sent = held_sent,
                                               .ended = held_ended,
                                               .drain = held_drain};

static int hold_one(void)
{
    int fd = client_open();
    memset(&held, 0, sizeof(held));
    rig.loop.holder = &test_holder;
    echo_does = DOES_COUNT;
    echo_mode = WEFT_RECV_STREAM;
    size_t before = echo_told.bytes;
    client_say(fd, "hold me");
    UNTIL(echo_told.bytes == before + 7);
    weft_conn_hold(&echo_last->conn, 77, true);
    assert_int_equal(held.starts, 1);
    assert_int_equal(weft_pool_used(&rig.loop.conns), 0);
    assert_int_equal(rig.loop.slots.table[held.slot].state, WEFT_SLOT_HELD);
    return fd;
}

/* Sends `piece`, which is written over as soon as the engine says that it was read. */
static ssize_t try_piece(char *piece, size_t len)
{
    ssize_t n = weft_engine_try_send(&rig.loop.engine, held.slot, weft_str_make(piece, len));
    weft_engine_submit(&rig.loop.engine);
    memset(piece, '!', len);
    if (n != -EINPROGRESS)
        return n;
    held.pending = true;
    UNTIL(!held.pending);
    return held.result;
}

static size_t read_some(int fd, size_t have)
{
    ssize_t n = recv(fd, got + have, sizeof(got) - have, 0);
    return n > 0 ? have + (size_t)n : have;
}

/* What the socket takes, and what it does not take yet: told in turn, nothing is lost or wrong. */
static void what_is_sent_at_once_is_read_at_once(void **state)
{
    (void)state;
    int fd = hold_one();
    size_t sent = 0, have = 0;
    fill(large, sizeof(large));
    while (sent < sizeof(large)) {
        char piece[10000];
        size_t len = WEFT_MIN(sizeof(piece), sizeof(large) - sent);
        memcpy(piece, large + sent, len);
        ssize_t n = try_piece(piece, len);
        if (n > 0) {
            sent += (size_t)n;
            continue;
        }
        assert_int_equal(n, -EAGAIN);
        held.blocked++;
        held.writable = 0;
        weft_engine_want_write(&rig.loop.engine, held.slot, false);
        for (int i = 0; held.writable == 0 && i < 2000; i++) {
            have = read_some(fd, have);
            turn();
        }
        assert_int_equal(held.writable, 1);
    }
    while (have < sizeof(large)) {
        size_t before = have;
        have = read_some(fd, have);
        if (have == before)
            turn();
    }
    assert_memory_equal(got, large, sizeof(large));
    assert_true(held.blocked > 0);
    client_say(fd, "nobody listens");
    turn_for(3);
    close(fd);
    UNTIL(held.ends == 1 && rig.loop.slots.used == 0);
}

static void who_is_held_is_drained_and_cut(void **state)
{
    (void)state;
    int fd = hold_one();
    weft_conns_drain(&rig.loop);
    assert_int_equal(held.drains, 1);
    UNTIL(rig.loop.slots.used == 0);
    close(fd);
    rig.loop.draining = false;
    fd = hold_one();
    assert_int_equal(weft_conns_abort(&rig.loop), 1);
    assert_int_equal(held.ends, 1);
    UNTIL(rig.loop.slots.used == 0);
    close(fd);
    rig.loop.holder = NULL;
}

int main(void)
{
#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, open_rig, close_rig)
    const struct CMUnitTest tests[] = {
        RIG_TEST(what_comes_is_sent_back),
        RIG_TEST(many_clients_at_once),
        RIG_TEST(more_events_than_a_turn_takes),
        RIG_TEST(a_stream_arrives_whole_and_in_order),
        RIG_TEST(once_is_one_piece),
        RIG_TEST(off_and_on_in_the_same_turn),
        RIG_TEST(bytes_that_are_there_already),
        RIG_TEST(what_is_there_now_has_an_end),
        RIG_TEST(a_slow_reader_gets_it_all),
        RIG_TEST(a_file_behind_a_head),
        RIG_TEST(a_file_that_is_cut_short_breaks_the_connection),
        RIG_TEST(a_client_that_goes),
        RIG_TEST(a_client_that_resets),
        RIG_TEST(a_reset_in_the_middle_of_a_send),
        RIG_TEST(close_clean_and_abort),
        RIG_TEST(linger_lets_the_answer_arrive),
        RIG_TEST(slots_are_used_again_with_another_generation),
        RIG_TEST(requests_that_keep_buffers_stop_the_others_not_the_loop),
        RIG_TEST(no_more_buffers_are_in_memory_than_are_needed),
        cmocka_unit_test_setup_teardown(what_is_sent_at_once_is_read_at_once, open_narrow_rig,
                                        close_rig),
        RIG_TEST(who_is_held_is_drained_and_cut),
    };
    int failed = 0;
    RUN_ON_ENGINES(tests, failed);
    return failed;
}
