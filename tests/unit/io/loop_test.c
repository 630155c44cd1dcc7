/* loop_test.c - watches, posts, classes and deadlines, and a poller of one's own: the same on both
 * engines. */
#include "echo.h"
#include <pthread.h>

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
    char got;
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
    assert_int_equal(read(ends[0], &got, 1), 1);
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
    struct told t[18];
    int ends[18][2];
    for (int i = 0; i < 18; i++) {
        t[i] = (struct told){.watch = {.ready = on_ready}};
        assert_int_equal(pipe2(ends[i], O_CLOEXEC | O_NONBLOCK), 0);
        weft_rc rc = weft_loop_watch(&rig.loop, &t[i].watch, ends[i][0], POLLIN);
        assert_int_equal(
            rc, i < 17 ? 0 : WEFT_EFULL); /* as many as tasks may wait, and that of open files */
    }
    for (int i = 0; i < 18; i++) {
        if (i < 17)
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

static uint32_t fired;

static void count_it(struct weft_timer *timer)
{
    (void)timer;
    fired++;
}

static void more_timers_than_a_turn_fires(void **state)
{
    (void)state;
    enum { TURN = 1024, ALL = 2 * TURN + 1 };
    static struct weft_timer timers[ALL];
    fired = 0;
    for (int i = 0; i < ALL; i++) {
        timers[i] = (struct weft_timer){.fire = count_it};
        weft_timer_arm(&rig.loop.wheel, &timers[i], rig.loop.now_ms);
    }
    UNTIL(fired > 0);
    assert_int_equal(fired, TURN);
    assert_int_equal(counted(WEFT_COUNTER_TIMERS_FULL), 1);
    assert_int_equal(weft_loop_wait_ms(&rig.loop), 0); /* the next one does not wait */
    turn();
    assert_int_equal(fired, 2 * TURN);
    turn();
    assert_int_equal(fired, ALL);
    assert_int_equal(counted(WEFT_COUNTER_TIMERS_FULL), 2);
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
        RIG_TEST(a_watch_is_told_once),
        RIG_TEST(a_watch_taken_back_is_never_told),
        RIG_TEST(a_stale_token_reaches_nobody),
        RIG_TEST(watches_run_out),
        RIG_TEST(posts_from_other_threads_wake_the_loop),
        RIG_TEST(management_is_told_before_data),
        RIG_TEST(a_deadline_ends_a_turn),
        RIG_TEST(more_timers_than_a_turn_fires),
        RIG_TEST(a_program_brings_its_own_poller),
    };
    int failed = 0;
    RUN_ON_ENGINES(tests, failed);
    return failed;
}
