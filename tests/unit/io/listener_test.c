/* listener_test.c - who is let in, who is told that there is no room, and who has been here too
 * long: the same on both engines. */
#include "echo.h"
#include <sys/resource.h>
#include <sys/wait.h>

/* ---- addresses ---- */

static void addresses_are_numbers(void **state)
{
    (void)state;
    static const char *const good[] = {"127.0.0.1", "localhost", "0.0.0.0", "::1"};
    static const char *const bad[] = {"",      "example.org", "127.0.0.1.1",
                                      "127.1", ":::",         "300.0.0.1"};
    struct weft_listener listener;
    char error[200] = "";
    for (size_t i = 0; i < WEFT_COUNT_OF(good); i++) {
        struct weft_listen_options o = {.host_z = good[i], .backlog = 4, .linger_s = -1};
        weft_rc rc = weft_listener_open(&listener, &o, error, sizeof(error));
        if (i == 3 && rc != 0)
            continue; /* no IPv6 here */
        assert_int_equal(rc, 0);
        assert_int_not_equal(listener.port, 0);
        weft_listener_close(&listener);
        weft_listener_close(&listener); /* twice is good */
    }
    for (size_t i = 0; i < WEFT_COUNT_OF(bad); i++) {
        struct weft_listen_options o = {.host_z = bad[i], .backlog = 4, .linger_s = -1};
        assert_int_equal(weft_listener_open(&listener, &o, error, sizeof(error)), WEFT_EINVAL);
        assert_non_null(strstr(error, bad[i]));
        weft_listener_close(&listener); /* half-made ones too */
    }
}

static void a_port_in_use_is_named(void **state)
{
    (void)state;
    struct weft_listener listener;
    char error[200] = "", port[16];
    struct weft_listen_options o = {
        .host_z = "127.0.0.1", .port = rig.loop.listeners[0].port, .backlog = 4, .linger_s = -1};
    assert_int_equal(weft_listener_open(&listener, &o, error, sizeof(error)), -EADDRINUSE);
    (void)snprintf(port, sizeof(port), "port %u", o.port);
    assert_non_null(strstr(error, port));
}

/* ---- no room ---- */

static void beyond_the_share_a_client_is_told(void **state)
{
    (void)state;
    rig_close();
    rig_open((struct rig_options){.share = 2});
    int in[2] = {client_open(), client_open()};
    UNTIL(rig.share.used == 2);
    int out = client_open();
    assert_true(client_hears(out, REFUSAL));
    assert_int_equal(client_end(out), 0); /* and no reset */
    assert_int_equal(counted(WEFT_COUNTER_REFUSED_CONNS), 1);
    close(out);
    UNTIL(rig.share.used == 2);
    client_say(in[0], "ping"); /* the others never notice */
    assert_true(client_hears(in[0], "ping"));
    close(in[1]);
    UNTIL(rig.share.used == 1);
    in[1] = client_open(); /* there is room again */
    client_say(in[1], "ping");
    assert_true(client_hears(in[1], "ping"));
    close(in[0]);
    close(in[1]);
    UNTIL(rig.loop.slots.used == 0);
}

/* The slots beyond the share are for those who are refused; beyond them it is a word and the end.
 */
static void a_crowd_beyond_the_share(void **state)
{
    (void)state;
    enum { CROWD = 100 };
    rig_close();
    rig_open((struct rig_options){.share = 1, .connections = 1});
    int in = client_open(), crowd[CROWD];
    UNTIL(rig.share.used == 1);
    for (int i = 0; i < CROWD; i++)
        crowd[i] = client_open();
    for (int i = 0; i < CROWD; i++)
        assert_true(client_hears(crowd[i], REFUSAL));
    assert_int_equal(counted(WEFT_COUNTER_REFUSED_CONNS), CROWD);
    assert_true(rig.loop.slots.used <= 1 + WEFT_REFUSAL_SLOTS);
    client_say(in, "ping");
    assert_true(client_hears(in, "ping"));
    for (int i = 0; i < CROWD; i++)
        close(crowd[i]);
    close(in);
    UNTIL(rig.loop.slots.used == 0);
}

/* More at once than the table has room for: told so all the same. Where connections are entries of
 * a ring's table the kernel drops the one that finds it full, and it is counted. */
static void a_burst_beyond_the_table(void **state)
{
    (void)state;
    enum { ROOM = 8, BURST = ROOM + WEFT_REFUSAL_SLOTS + 28 };
    const size_t len = strlen(REFUSAL);
    int clients[BURST], held = 0, told = 0, dropped = 0;
    char text[64];
    rig_close();
    rig_open((struct rig_options){.connections = ROOM, .share = BURST});
    for (int i = 0; i < BURST; i++)
        clients[i] = client_open();
    UNTIL(counted(WEFT_COUNTER_REFUSED_CONNS) + counted(WEFT_COUNTER_ACCEPT_ERRORS) ==
          BURST - ROOM);
    turn_for(3); /* what the last ones are told leaves */
    for (int i = 0; i < BURST; i++) {
        ssize_t n = recv(clients[i], text, sizeof(text), 0);
        held += n < 0;
        told += n == (ssize_t)len && memcmp(text, REFUSAL, len) == 0;
        dropped += n == 0;
        close(clients[i]);
    }
    assert_int_equal(held, ROOM);
    assert_int_equal(dropped, counted(WEFT_COUNTER_ACCEPT_ERRORS));
    assert_int_equal(told, BURST - ROOM - dropped);
    assert_true(dropped <= (rig_direct ? 1 : 0));
    UNTIL(rig.loop.slots.used == 0);
}

static void without_an_object_a_request_is_told(void **state)
{
    (void)state;
    rig_close();
    rig_open((struct rig_options){.active = 1});
    int busy = client_open(), second = client_open();
    echo_does = DOES_COUNT;
    echo_mode = WEFT_RECV_STREAM;
    client_say(busy, "hold");
    UNTIL(echo_told.starts == 1);
    client_say(second, "too many");
    assert_true(client_hears(second, REFUSAL));
    assert_int_equal(client_end(second), 0);
    close(busy);
    close(second);
    UNTIL(rig.loop.slots.used == 0);
}

/* ---- no descriptors: in a child, whose limit it is ---- */

static void must(bool good, int line)
{
    if (good)
        return;
    (void)fprintf(stderr, "listener_test.c:%d does not hold in the child\n", line);
    _exit(1);
}
#define MUST(condition) must(condition, __LINE__)

/* Clients were connected before the limit fell: the server has descriptors for `room` of them. */
static void starve(int room, int clients[], int count)
{
    for (int i = 0; i < count; i++)
        clients[i] = client_open();
    int next = dup(0);
    close(next);
    const struct rlimit limit = {(rlim_t)(next + room), (rlim_t)(next + room)};
    MUST(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

static void hunger(void)
{
    enum { CLIENTS = 12, ROOM = 3 };
    int clients[CLIENTS];
    char text[64];
    starve(ROOM, clients, CLIENTS);
    for (int i = 0; i < 200 && counted(WEFT_COUNTER_ACCEPT_PAUSES) == 0; i++)
        turn();
    MUST(counted(WEFT_COUNTER_ACCEPT_PAUSES) >= 1);
    turn_for(5);
    MUST(rig.loop.slots.used == ROOM);

    int told = 0; /* the reserve descriptor lets the others be refused politely */
    for (int i = 0; i < CLIENTS; i++) {
        ssize_t n = recv(clients[i], text, sizeof(text), 0);
        told += n == (ssize_t)strlen(REFUSAL) && memcmp(text, REFUSAL, strlen(REFUSAL)) == 0;
    }
    MUST(told == CLIENTS - ROOM);
    MUST(counted(WEFT_COUNTER_REFUSED_CONNS) == CLIENTS - ROOM);

    uint64_t turns = counted(WEFT_COUNTER_LOOP_TURNS), from = rig.loop.now_ms;
    while (rig.loop.now_ms < from + 300)
        MUST(weft_loop_turn(&rig.loop, 300) == 0);
    MUST(counted(WEFT_COUNTER_LOOP_TURNS) - turns < 50); /* it does not spin */

    for (int i = 0; i < CLIENTS; i++)
        close(clients[i]);
    for (int i = 0; i < 1000 && rig.loop.slots.used > 0; i++)
        turn();
    MUST(rig.loop.slots.used == 0);
    int fd = client_open(); /* and lets people in again */
    client_say(fd, "ping");
    MUST(client_hears(fd, "ping"));
    close(fd);
}

static void without_descriptors_accepting_pauses(void **state)
{
    (void)state;
    if (rig_direct)
        return; /* connections take none there */
    rig_close();
    pid_t child = fork();
    if (child == 0) {
        alarm(20);
        rig_open((struct rig_options){0});
        hunger();
        _exit(0);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    rig_open((struct rig_options){0});
}

/* ---- time ---- */

static void open_with_clock(struct weft_slot_limits limits)
{
    rig_close();
    rig_open((struct rig_options){.limits = limits, .fake_clock = true});
}

static void pass_ms(uint64_t ms)
{
    for (uint64_t passed = 0; passed < ms; passed += 50) { /* sweeps come at their own pace */
        weft_clock_fake_advance(&rig.clock, 50 * (uint64_t)WEFT_NS_PER_MS);
        turn();
    }
    turn_for(3);
}

static void the_idle_and_the_silent_are_closed(void **state)
{
    (void)state;
    open_with_clock((struct weft_slot_limits){.fresh_ds = 10, .idle_ds = 30, .linger_ds = 10});
    int fresh = client_open(), idle = client_open(), busy = client_open();
    echo_does = DOES_COUNT;
    echo_mode = WEFT_RECV_STREAM;
    client_say(busy, "hold");
    UNTIL(echo_told.starts == 1);
    echo_does = DOES_ECHO;
    client_say(idle, "ping");
    assert_true(client_hears(idle, "ping"));
    UNTIL(rig.loop.slots.used == 3);

    pass_ms(900);
    assert_int_equal(rig.loop.slots.used, 3); /* not early */
    pass_ms(500);
    assert_int_equal(rig.loop.slots.used, 2);
    assert_int_equal(client_end(fresh), 0);
    assert_int_equal(counted(WEFT_COUNTER_TIMEOUTS_HEADER), 1);

    client_say(idle, "ping"); /* counts anew from here */
    assert_true(client_hears(idle, "ping"));
    pass_ms(2800);
    assert_int_equal(rig.loop.slots.used, 2);
    pass_ms(700);
    assert_int_equal(rig.loop.slots.used, 1);
    assert_int_equal(client_end(idle), 0);
    assert_int_equal(counted(WEFT_COUNTER_TIMEOUTS_IDLE), 1);

    pass_ms(10000);
    assert_int_equal(rig.loop.slots.used, 1); /* what goes on has deadlines of its own */
    close(fresh);
    close(idle);
    close(busy);
    UNTIL(rig.loop.slots.used == 0);
}

/* A stall of seconds, many have spoken meanwhile: more than a turn reads. */
static void who_has_spoken_during_a_stall_is_heard(void **state)
{
    (void)state;
    open_with_clock((struct weft_slot_limits){.fresh_ds = 10});
    int fds[60];
    for (int i = 0; i < 60; i++)
        fds[i] = client_open();
    UNTIL(rig.loop.slots.used == 60);
    for (int i = 0; i < 60; i++)
        client_say(fds[i], "ping");
    weft_clock_fake_advance(&rig.clock, 5 * (uint64_t)WEFT_NS_PER_S);
    for (int i = 0; i < 60; i++)
        assert_true(client_hears(fds[i], "ping"));
    assert_int_equal(counted(WEFT_COUNTER_TIMEOUTS_HEADER), 0);
    int silent = client_open();
    UNTIL(rig.loop.slots.used == 61);
    weft_clock_fake_advance(&rig.clock, 5 * (uint64_t)WEFT_NS_PER_S);
    turn_for(3);
    pass_ms(200); /* put off, but once */
    assert_int_equal(counted(WEFT_COUNTER_TIMEOUTS_HEADER), 1);
    for (int i = 0; i < 60; i++)
        close(fds[i]);
    close(silent);
    UNTIL(rig.loop.slots.used == 0);
}

static void lingering_ends(void **state)
{
    (void)state;
    open_with_clock((struct weft_slot_limits){.linger_ds = 10});
    echo_does = DOES_CLOSE;
    echo_close = WEFT_CLOSE_LINGER;
    int fd = client_open();
    client_say(fd, "go");
    assert_true(client_hears(fd, "bye"));
    turn_for(3);
    assert_int_equal(rig.loop.slots.table[0].state, WEFT_SLOT_LINGERING);
    pass_ms(1500); /* it neither closes nor sends */
    assert_int_equal(rig.loop.slots.used, 0);
    assert_int_equal(counted(WEFT_COUNTER_TIMEOUTS_LINGER), 1);
    assert_int_equal(counted(WEFT_COUNTER_TIMEOUTS_HEADER), 0);
    close(fd);
}

static void without_limits_nobody_is_closed(void **state)
{
    (void)state;
    open_with_clock((struct weft_slot_limits){0});
    int fresh = client_open(), idle = client_open();
    client_say(idle, "ping");
    assert_true(client_hears(idle, "ping"));
    UNTIL(rig.loop.slots.used == 2);
    pass_ms(5000);
    assert_int_equal(rig.loop.slots.used, 2);
    close(fresh);
    close(idle);
}

/* ---- the end ---- */

static void draining_closes_the_idle_and_lets_the_busy_finish(void **state)
{
    (void)state;
    int idle = client_open(), busy = client_open();
    client_say(idle, "ping");
    assert_true(client_hears(idle, "ping"));
    echo_does = DOES_COUNT;
    echo_mode = WEFT_RECV_STREAM;
    client_say(busy, "hold");
    UNTIL(echo_told.starts == 2);
    weft_listener_close(&rig.loop.listeners[0]);
    weft_conns_drain(&rig.loop);
    assert_int_equal(client_end(idle), 0);
    assert_int_equal(echo_told.drains, 1);
    UNTIL(rig.loop.slots.used == 1);

    echo_does = DOES_ECHO; /* its work ends: it is closed instead of resting */
    client_say(busy, "!");
    assert_true(client_hears(busy, "hold!"));
    assert_int_equal(client_end(busy), 0);
    UNTIL(rig.loop.slots.used == 0);
    close(idle);
    close(busy);
}

static void a_fresh_one_gets_a_moment_while_draining(void **state)
{
    (void)state;
    int fresh = client_open();
    UNTIL(rig.loop.slots.used == 1);
    weft_conns_drain(&rig.loop);
    turn_for(3);
    assert_int_equal(rig.loop.slots.used, 1);
    client_say(fresh, "ping"); /* was on its way */
    assert_true(client_hears(fresh, "ping"));
    assert_int_equal(client_end(fresh), 0);
    close(fresh);
}

static void aborting_counts_who_was_cut(void **state)
{
    (void)state;
    int idle = client_open(), fresh = client_open(), busy[2] = {client_open(), client_open()};
    client_say(idle, "ping");
    assert_true(client_hears(idle, "ping"));
    echo_does = DOES_COUNT;
    echo_mode = WEFT_RECV_STREAM;
    client_say(busy[0], "hold");
    client_say(busy[1], "hold");
    UNTIL(echo_told.starts == 3 && rig.loop.slots.used == 4);
    assert_int_equal(weft_conns_abort(&rig.loop), 2);
    UNTIL(rig.loop.slots.used == 0);
    assert_int_equal(weft_conns_abort(&rig.loop), 0);
    close(idle);
    close(fresh);
    close(busy[0]);
    close(busy[1]);
}

int main(void)
{
#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, open_rig, close_rig)
    const struct CMUnitTest tests[] = {
        RIG_TEST(addresses_are_numbers),
        RIG_TEST(a_port_in_use_is_named),
        RIG_TEST(beyond_the_share_a_client_is_told),
        RIG_TEST(a_crowd_beyond_the_share),
        RIG_TEST(a_burst_beyond_the_table),
        RIG_TEST(without_an_object_a_request_is_told),
        RIG_TEST(without_descriptors_accepting_pauses),
        RIG_TEST(the_idle_and_the_silent_are_closed),
        RIG_TEST(who_has_spoken_during_a_stall_is_heard),
        RIG_TEST(lingering_ends),
        RIG_TEST(without_limits_nobody_is_closed),
        RIG_TEST(draining_closes_the_idle_and_lets_the_busy_finish),
        RIG_TEST(a_fresh_one_gets_a_moment_while_draining),
        RIG_TEST(aborting_counts_who_was_cut),
    };
    int failed = 0;
    RUN_ON_ENGINES(tests, failed);
    return failed;
}
