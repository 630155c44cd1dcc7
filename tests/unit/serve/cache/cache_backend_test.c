/* cache_backend_test.c - what is behind a cache: when it is asked and told, in which order the
 * writes of a key arrive there, and that nothing stops when it fails. */
#include "cache_rig.h"

#define BEHIND_MAX 8

static struct {
    struct weft_cache_backend backend;
    weft_rc rc; /* what every call answers; 0: it works */
    int gets, puts, removes;
    uint64_t remove_ms; /* how long a removal takes */
    uint64_t put_ms;    /* and a put; 0: 10 ms */
    uint64_t ttl_ms;    /* of the last put */
    char keys[BEHIND_MAX][64];
    char values[BEHIND_MAX][512];
    size_t bytes[BEHIND_MAX];
} behind;

static int behind_find(weft_str space, weft_str key, bool add)
{
    char name[64];
    (void)snprintf(name, sizeof(name), "%.*s/%.*s", (int)space.len, space.ptr, (int)key.len,
                   key.ptr);
    for (int i = 0; i < BEHIND_MAX; i++)
        if (strcmp(behind.keys[i], name) == 0)
            return i;
    for (int i = 0; add && i < BEHIND_MAX; i++) {
        if (behind.keys[i][0] != 0)
            continue;
        memcpy(behind.keys[i], name, sizeof(name));
        return i;
    }
    return -1;
}

static weft_rc behind_get(struct weft_cache_backend *backend, weft_req *rq, weft_str space,
                          weft_str key, weft_str *out)
{
    assert_ptr_equal(backend, &behind.backend);
    behind.gets++;
    WEFT_TRY(behind.rc);
    WEFT_TRY(weft_sleep_ms(rq, 10)); /* it may wait */
    int at = behind_find(space, key, false);
    if (at < 0)
        return WEFT_ENOTFOUND;
    *out = weft_dup(rq, weft_str_make(behind.values[at], behind.bytes[at]));
    return 0;
}

static weft_rc behind_put(struct weft_cache_backend *backend, weft_req *rq, weft_str space,
                          weft_str key, weft_str value, uint64_t ttl_ms)
{
    assert_ptr_equal(backend, &behind.backend);
    behind.puts++;
    behind.ttl_ms = ttl_ms;
    WEFT_TRY(behind.rc);
    WEFT_TRY(weft_sleep_ms(rq, behind.put_ms != 0 ? behind.put_ms : 10));
    int at = behind_find(space, key, true);
    assert_true(at >= 0 && value.len <= sizeof(behind.values[0]));
    memcpy(behind.values[at], value.ptr, value.len);
    behind.bytes[at] = value.len;
    return 0;
}

static weft_rc behind_remove(struct weft_cache_backend *backend, weft_req *rq, weft_str space,
                             weft_str key)
{
    (void)backend;
    behind.removes++;
    WEFT_TRY(behind.rc);
    if (behind.remove_ms > 0)
        WEFT_TRY(weft_sleep_ms(rq, behind.remove_ms));
    int at = behind_find(space, key, false);
    if (at >= 0)
        behind.keys[at][0] = 0;
    return 0;
}

static const struct weft_cache_backend_ops behind_ops = {"test", behind_get, behind_put,
                                                         behind_remove};

static int open_with_behind(void **state)
{
    (void)state;
    memset(&behind, 0, sizeof(behind));
    behind.backend.ops = &behind_ops;
    open_cache_rig(&behind.backend);
    return 0;
}

/* As sleep_it_out(), of those that also wait for each other. */
static void finish(void)
{
    for (int i = 0; seam.loop.tasks.waiting > 0 && i < 1000; i++) {
        run_posts();
        uint64_t next = weft_wheel_next_ms(&seam.loop.wheel);
        if (next != UINT64_MAX)
            pass_ms(next > seam.loop.now_ms ? next - seam.loop.now_ms : 0);
    }
    assert_int_equal(seam.loop.tasks.waiting, 0);
}

static void what_is_behind_is_asked_and_told(void **state)
{
    (void)state;
    (void)ask("/reply/timed/a");
    assert_int_equal(behind.gets, 1);
    assert_int_equal(behind.puts, 1);
    assert_int_equal(behind.ttl_ms, 5000);
    (void)ask("/reply/timed/a");
    assert_int_equal(behind.gets, 1); /* in memory: it is not asked */
    weft_cache_close(&timed);         /* another process */
    struct weft_cache_options options = {
        .ledger = &seam.ledger, .workers = 2, .backends = {&behind.backend}, .backend_count = 1};
    assert_int_equal(weft_cache_open(&timed, &options), 0);
    (void)ask("/reply/timed/a");
    assert_true(was(1, "a #1", "X-Cache: HIT"));
    assert_non_null(strstr(answers[1].head, "203\ntext/x-made\n"));
    assert_int_equal(fills, 1);
    (void)ask("/look/timed/a");
    assert_int_equal(behind.gets, 2); /* it was kept in memory */
    (void)ask("/forget/timed/a");
    assert_int_equal(behind.removes, 1);
    assert_int_equal(ask("/look/timed/a")->status, 404);
}

static void what_is_being_forgotten_does_not_come_back(void **state)
{
    (void)state;
    (void)ask("/reply/plain/a");
    behind.remove_ms = 50;
    get(1, "/forget/plain/a");
    get(2, "/look/plain/a"); /* it is still there behind, when it asks */
    sleep_it_out();
    assert_int_equal(ask("/look/plain/a")->status, 404);
}

static bool is_behind(const char *key, const char *end)
{
    int at = behind_find(WEFT_S("plain"), weft_str_z(key), false);
    size_t len = strlen(end);
    return at >= 0 && behind.bytes[at] >= len &&
           memcmp(behind.values[at] + behind.bytes[at] - len, end, len) == 0;
}

/* Writes of a key arrive there one after another, whoever takes how long. */
static void what_is_on_its_way_arrives_first(void **state)
{
    (void)state;
    fill_ms = 0;
    behind.put_ms = 50;
    get(1, "/reply/plain/a"); /* made, and on its way */
    pass_ms(10);              /* it was asked for there */
    assert_int_equal(behind.puts, 1);
    get(2, "/forget/plain/a");
    get(3, "/forget/plain/other"); /* another key does not wait */
    assert_int_equal(behind.removes, 1);
    finish();
    assert_int_equal(behind.removes, 2);
    assert_true(!is_behind("a", ""));
    assert_int_equal(ask("/look/plain/a")->status, 404);
    assert_int_equal(counted(WEFT_COUNTER_CACHE_WRITE_WAITS), 1);

    get(1, "/set/plain/b?first");
    behind.put_ms = 10;
    get(2, "/set/plain/b?second");
    get(3, "/set/plain/b?third");
    finish();
    assert_true(is_behind("b", "third"));
    assert_int_equal(counted(WEFT_COUNTER_CACHE_WRITE_WAITS), 3);
    assert_true(strcmp(ask("/look/plain/b")->body, "third") == 0);
}

/* Who waits for his turn may leave, also when it has just come. */
static void who_is_to_write_may_leave(void **state)
{
    (void)state;
    behind.put_ms = 50;
    get(1, "/set/plain/a?first");
    get(2, "/set/plain/a?second");
    get(3, "/set/plain/a?third");
    get(4, "/set/plain/a?fourth");
    send_frame(2, 'R', ""); /* in the queue */
    assert_int_equal(seam.loop.tasks.waiting, 3);
    pass_ms(50); /* the third is told, and the post has not arrived yet */
    send_frame(3, 'R', "");
    finish();
    assert_true(is_behind("a", "fourth"));
    assert_int_equal(behind.puts, 2);
}

static void what_is_behind_may_be_old_or_no_value(void **state)
{
    (void)state;
    fill_ms = 0;
    (void)ask("/reply/timed/a");
    (void)ask("/forget/plain/x");
    int at = behind_find(WEFT_S("timed"), WEFT_S("a"), false);
    assert_true(at >= 0);
    assert_true(weft_cache_store_remove(&timed.parts->parts[0].store,
                                        weft_hash(&timed.parts->key, WEFT_S("a")), WEFT_S("a")));
    weft_clock_fake_advance(&seam.clock, (uint64_t)6000 * WEFT_NS_PER_MS); /* the wall's, too */
    pass_ms(0);
    (void)ask("/reply/timed/a");
    assert_true(was(1, "a #2", "X-Cache: MISS")); /* nobody told it that the time was over */
    assert_int_equal(counted(WEFT_COUNTER_CACHE_BACKEND_ERRORS), 0);
    for (size_t cut = 0; cut < 20; cut += 5) { /* cut short, or another program's */
        at = behind_find(WEFT_S("plain"), WEFT_S("b"), true);
        memset(behind.values[at], 'x', sizeof(behind.values[at]));
        behind.bytes[at] = cut;
        assert_int_equal(ask("/look/plain/b")->status, 404);
    }
    assert_int_equal(counted(WEFT_COUNTER_CACHE_BACKEND_ERRORS), 4);
}

static void it_goes_on_when_what_is_behind_fails(void **state)
{
    (void)state;
    behind.rc = (weft_rc)-ECONNREFUSED;
    (void)ask("/reply/plain/a");
    assert_true(was(1, "a #1", "X-Cache: MISS"));
    (void)ask("/reply/plain/a");
    assert_true(was(1, "a #1", "X-Cache: HIT"));
    (void)ask("/forget/plain/a");
    assert_int_equal(answers[1].status, 200);
    assert_int_equal(counted(WEFT_COUNTER_CACHE_BACKEND_ERRORS), 3);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, open_with_behind, close_cache_rig)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_is_behind_is_asked_and_told),
        CASE(what_is_being_forgotten_does_not_come_back),
        CASE(what_is_on_its_way_arrives_first),
        CASE(who_is_to_write_may_leave),
        CASE(what_is_behind_may_be_old_or_no_value),
        CASE(it_goes_on_when_what_is_behind_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
