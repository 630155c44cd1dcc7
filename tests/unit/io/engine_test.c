/* engine_test.c - bytes in and out, watches and wakes: the same on both engines. */
#include "echo.h"
#include <pthread.h>

static char large[300000], got[300000]; /* many times what a small send buffer holds */

static int open_rig(void **state)
{
    (void)state;
    rig_open((struct rig_options){0});
    return 0;
}

static int close_rig(void **state)
{
    (void)state;
    rig_close();
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
    UNTIL(rig.loop.conns.used == 0); /* between requests it is 16 bytes */
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
    assert_int_equal(client_read(fd, got, sizeof(got)), sizeof(got));
    assert_memory_equal(got, large, sizeof(got));
    UNTIL(rig.loop.conns.used == 0);
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
        if (mode == WEFT_RECV_OFF && rig_engine == &weft_uring_ops) {
            /* nothing of it is in the kernel: it is found out with the next receive or send */
            weft_conn_recv(&echo_last->conn, WEFT_RECV_ONCE);
        }
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
        assert_int_equal(rig.loop.conns.used, 0);
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
        assert_int_equal(rig.loop.slots.fresh, 1); /* always the same slot */
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

/* ---- watches and wakes ---- */

struct told {
    struct weft_watch watch;
    int count;
    uint32_t revents;
};

static void on_ready(struct weft_watch *watch, uint32_t revents)
{
    struct told *t = WEFT_CONTAINER_OF(watch, struct told, watch);
    t->count++;
    t->revents = revents;
}

static void a_watch_is_told_once(void **state)
{
    (void)state;
    int ends[2];
    struct told t = {.watch = {.ready = on_ready}};
    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    assert_int_equal(weft_loop_watch(&rig.loop, &t.watch, ends[0], POLLIN), 0);
    turn_for(3);
    assert_int_equal(t.count, 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    UNTIL(t.count == 1);
    assert_true(t.revents & POLLIN);
    turn_for(5);
    assert_int_equal(t.count, 1);
    assert_int_equal(weft_loop_watch(&rig.loop, &t.watch, ends[0], POLLIN), 0); /* still readable */
    UNTIL(t.count == 2);
    close(ends[1]);
    assert_int_equal(read(ends[0], got, 10), 1);
    assert_int_equal(weft_loop_watch(&rig.loop, &t.watch, ends[0], POLLIN), 0);
    UNTIL(t.count == 3);
    assert_true(t.revents & POLLHUP);
    close(ends[0]);
}

static void a_watch_taken_back_is_never_told(void **state)
{
    (void)state;
    int ends[2];
    struct told first = {.watch = {.ready = on_ready}}, second = {.watch = {.ready = on_ready}};
    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    assert_int_equal(weft_loop_watch(&rig.loop, &first.watch, ends[0], POLLIN), 0);
    turn();
    assert_int_equal(write(ends[1], "x", 1), 1); /* its readiness is on the way */
    weft_loop_unwatch(&rig.loop, &first.watch);
    turn_for(5);
    assert_int_equal(first.count, 0);

    /* the next watch has the same place in the table, and another generation */
    assert_int_equal(weft_loop_watch(&rig.loop, &second.watch, ends[0], POLLIN), 0);
    assert_int_equal(second.watch.index, first.watch.index);
    UNTIL(second.count == 1);
    assert_int_equal(first.count, 0);
    close(ends[0]);
    close(ends[1]);
}

struct pair {
    struct told own;
    struct pair *other;
    struct told *replacement; /* takes the other's place in the table */
    int idle_fd;
};

static void on_pair(struct weft_watch *watch, uint32_t revents)
{
    struct pair *p = WEFT_CONTAINER_OF(watch, struct pair, own.watch);
    on_ready(watch, revents);
    if (p->replacement->watch.ready != NULL)
        return;
    weft_loop_unwatch(&rig.loop, &p->other->own.watch);
    p->replacement->watch.ready = on_ready;
    assert_int_equal(weft_loop_watch(&rig.loop, &p->replacement->watch, p->idle_fd, POLLIN), 0);
    assert_int_equal(p->replacement->watch.index, p->other->own.watch.index);
}

/* Two are ready at once; the one that is told first takes the other back, and somebody else gets
 * its place while its readiness is on the way. */
static void a_stale_token_reaches_nobody(void **state)
{
    (void)state;
    int a[2], b[2], idle[2];
    struct told replacement = {0};
    struct pair first = {.own = {.watch = {.ready = on_pair}}, .replacement = &replacement};
    struct pair second = first;
    assert_int_equal(pipe2(a, O_CLOEXEC), 0);
    assert_int_equal(pipe2(b, O_CLOEXEC), 0);
    assert_int_equal(pipe2(idle, O_CLOEXEC), 0);
    first.other = &second, second.other = &first;
    first.idle_fd = second.idle_fd = idle[0];
    assert_int_equal(weft_loop_watch(&rig.loop, &first.own.watch, a[0], POLLIN), 0);
    assert_int_equal(weft_loop_watch(&rig.loop, &second.own.watch, b[0], POLLIN), 0);
    turn_for(2);
    assert_int_equal(write(a[1], "x", 1), 1);
    assert_int_equal(write(b[1], "x", 1), 1);
    turn_for(5);
    assert_int_equal(first.own.count + second.own.count, 1);
    assert_int_equal(replacement.count, 0);
    assert_int_equal(write(idle[1], "x", 1), 1);
    UNTIL(replacement.count == 1);
    for (int i = 0; i < 2; i++)
        close(a[i]), close(b[i]), close(idle[i]);
}

static void watches_run_out(void **state)
{
    (void)state;
    struct told t[17];
    int ends[17][2];
    for (int i = 0; i < 17; i++) {
        t[i] = (struct told){.watch = {.ready = on_ready}};
        assert_int_equal(pipe2(ends[i], O_CLOEXEC | O_NONBLOCK), 0);
        weft_rc rc = weft_loop_watch(&rig.loop, &t[i].watch, ends[i][0], POLLIN);
        assert_int_equal(rc, i < 16 ? 0 : WEFT_EFULL); /* as many as tasks may wait */
    }
    for (int i = 0; i < 17; i++) {
        if (i < 16)
            weft_loop_unwatch(&rig.loop, &t[i].watch);
        close(ends[i][0]);
        close(ends[i][1]);
    }
    turn_for(3);
}

#define POSTS 1000

struct numbered {
    struct weft_post post;
    int thread, number;
};

static struct numbered posts[2][POSTS];
static int next_number[2], posts_run;

static void run_numbered(struct weft_post *post)
{
    struct numbered *n = WEFT_CONTAINER_OF(post, struct numbered, post);
    assert_int_equal(n->number, next_number[n->thread]); /* each thread's in its order */
    next_number[n->thread]++;
    posts_run++;
}

static void *post_all(void *arg)
{
    struct numbered *mine = arg;
    for (int i = 0; i < POSTS; i++)
        weft_loop_post(&rig.loop, &mine[i].post);
    return NULL;
}

static void posts_from_other_threads_wake_the_loop(void **state)
{
    (void)state;
    pthread_t threads[2];
    posts_run = next_number[0] = next_number[1] = 0;
    for (int t = 0; t < 2; t++) {
        for (int i = 0; i < POSTS; i++)
            posts[t][i] = (struct numbered){{.run = run_numbered}, t, i};
        assert_int_equal(pthread_create(&threads[t], NULL, post_all, posts[t]), 0);
    }
    while (posts_run < 2 * POSTS) /* without a time-out: a lost wake would hang here */
        assert_int_equal(weft_loop_turn(&rig.loop, -1), 0);
    for (int t = 0; t < 2; t++)
        assert_int_equal(pthread_join(threads[t], NULL), 0);
}

static size_t inputs_when_posted;

static void note_inputs(struct weft_post *post)
{
    (void)post;
    inputs_when_posted = echo_told.inputs;
}

/* What is ready together is told by class: the loop's own channel first. shows HC-13 */
static void management_is_told_before_data(void **state)
{
    (void)state;
    int fds[40];
    for (int i = 0; i < 40; i++)
        fds[i] = client_open();
    UNTIL(rig.loop.slots.used == 40);
    turn_for(3);
    for (int round = 0; round < 3; round++) {
        struct weft_post post = {.run = note_inputs};
        size_t before = echo_told.inputs, at_turn = 0;
        inputs_when_posted = SIZE_MAX;
        for (int i = 0; i < 40; i++)
            client_say(fds[i], "data");
        weft_loop_post(&rig.loop, &post);
        do { /* a kernel may hand over what is ready in several batches: each has this order */
            at_turn = echo_told.inputs;
            turn();
        } while (inputs_when_posted == SIZE_MAX && echo_told.inputs < before + 40);
        assert_int_equal(inputs_when_posted, at_turn);
        UNTIL(echo_told.inputs == before + 40);
        for (int i = 0; i < 40; i++)
            assert_true(client_hears(fds[i], "data"));
    }
    for (int i = 0; i < 40; i++)
        close(fds[i]);
}

static void a_deadline_ends_a_turn(void **state)
{
    (void)state;
    int fd = client_open();
    echo_does = DOES_COUNT;
    echo_mode = WEFT_RECV_STREAM;
    client_say(fd, "x");
    UNTIL(echo_told.starts == 1);
    turn_for(3);
    weft_timer_arm(&rig.loop.wheel, &echo_last->conn.timer, rig.loop.now_ms + 20);
    uint64_t from = rig.loop.now_ms;
    while (echo_told.expired == 0)
        assert_int_equal(weft_loop_turn(&rig.loop, -1), 0);
    assert_true(rig.loop.now_ms >= from + 20);
    assert_true(rig.loop.now_ms < from + 5000);
    close(fd);
}

/* ---- another poller ---- shows HC-12 */

static struct {
    size_t turns, sends, attaches, dropped;
} wrapped;
static struct weft_engine_ops wrapper;
static const struct weft_engine_events *wrapped_events;

static weft_rc wrapped_turn(struct weft_engine *engine, int64_t wait_ms)
{
    wrapped.turns++;
    return rig_engine->turn(engine, wait_ms);
}

static ssize_t wrapped_send(struct weft_engine *engine, uint32_t slot, struct msghdr *message,
                            int flags)
{
    wrapped.sends++;
    return rig_engine->send(engine, slot, message, flags);
}

static weft_rc wrapped_attach(struct weft_engine *engine, uint32_t slot)
{
    wrapped.attaches++;
    return wrapped.attaches == 2 ? WEFT_ENOMEM : rig_engine->attach(engine, slot);
}

/* A filter between engine and loop: pieces that begin with '!' never get through. */
static void filtered_received(void *ctx, uint32_t slot, int bytes, uint16_t buf)
{
    const struct weft_loop *loop = ctx;
    if (bytes > 0 && weft_bufs_at(&loop->bufs, buf)[0] == '!')
        wrapped.dropped++;
    else
        wrapped_events->received(ctx, slot, bytes, buf);
}

static void a_program_brings_its_own_poller(void **state) /* shows HC-12 */
{
    (void)state;
    const struct weft_engine_ops *real = rig_engine;
    rig_close();
    memset(&wrapped, 0, sizeof(wrapped));
    wrapper = *real;
    wrapper.name_z = "wrapped";
    wrapper.turn = wrapped_turn;
    wrapper.send = wrapped_send;
    wrapper.attach = wrapped_attach;
    rig_engine = &wrapper;
    rig_open((struct rig_options){0});
    rig_engine = real;
    wrapped_events = rig.loop.engine.events;
    struct weft_engine_events filter = *wrapped_events;
    filter.received = filtered_received;
    rig.loop.engine.events = &filter;

    int fd = client_open();
    client_say(fd, "ping");
    assert_true(client_hears(fd, "ping"));
    assert_string_equal(rig.loop.engine.ops->name_z, "wrapped");
    assert_int_equal(wrapped.sends, 1);
    assert_true(wrapped.turns >= 2);
    client_say(fd, "!dropped");
    UNTIL(wrapped.dropped == 1);
    client_say(fd, "pong");
    assert_true(client_hears(fd, "pong"));
    int refused = client_open(); /* the second attach fails: that one alone is closed */
    assert_true(client_end(refused) != -EAGAIN);
    client_say(fd, "ping");
    assert_true(client_hears(fd, "ping"));
    close(refused);
    close(fd);
    UNTIL(rig.loop.slots.used == 0);
    rig.loop.engine.events = wrapped_events;
}

int main(void)
{
#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, open_rig, close_rig)
    const struct CMUnitTest tests[] = {
        RIG_TEST(what_comes_is_sent_back),
        RIG_TEST(many_clients_at_once),
        RIG_TEST(a_stream_arrives_whole_and_in_order),
        RIG_TEST(once_is_one_piece),
        RIG_TEST(off_and_on_in_the_same_turn),
        RIG_TEST(bytes_that_are_there_already),
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
        RIG_TEST(a_watch_is_told_once),
        RIG_TEST(a_watch_taken_back_is_never_told),
        RIG_TEST(a_stale_token_reaches_nobody),
        RIG_TEST(watches_run_out),
        RIG_TEST(posts_from_other_threads_wake_the_loop),
        RIG_TEST(management_is_told_before_data),
        RIG_TEST(a_deadline_ends_a_turn),
        RIG_TEST(a_program_brings_its_own_poller),
    };
    int failed = 0;
    RUN_ON_ENGINES(tests, failed);
    return failed;
}
