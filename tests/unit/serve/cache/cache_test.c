/* cache_test.c - what requests do with a cache: one makes, others wait; times by a function; what
 * is borrowed; what is behind; and that nothing is mapped before the first use. shows CA-01, CA-04,
 * CA-05, CA-06, ZC-03 */
#include "http/mux_client.h"
#include "serve/cache/cache.h"
#include "serve/cache/cache_priv.h"
#include <unistd.h>

#define MS_OF_FILL 100

static uint64_t double_it(const weft_cache_about *about);

WEFT_CACHE(plain, .entries_max = 100, .bytes_max = 1 << 16);
WEFT_CACHE(timed, .entries_max = 100, .bytes_max = 1 << 16, .ttl = double_it);
WEFT_CACHE(tiny, .entries_max = 2, .bytes_max = 1 << 16, .policy = WEFT_CACHE_NO_INSERT);
WEFT_CACHE(shards, .entries_max = 100, .bytes_max = 1 << 16, .per_worker = true);
static weft_cache *const caches[] = {&plain, &timed, &tiny, &shards};

/* ---- something behind it ---- */

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

/* ---- handlers ---- */

static int fills;            /* times that a value was made */
static weft_rc fill_rc;      /* and what came of it */
static size_t fill_bytes;    /* longer than the key: filled up with dots */
static uint64_t fill_ms;     /* how long it takes */
static uint64_t last_ttl_ms; /* what the ttl function was told */
static uint64_t ttl_says_ms; /* and what it says; 1: what CA-05 wants */

static weft_rc fill(weft_req *rq, weft_str key, void *arg, weft_cache_value *out)
{
    assert_ptr_equal(arg, &fills);
    fills++;
    if (fill_ms > 0)
        WEFT_TRY(weft_sleep_ms(rq, fill_ms));
    WEFT_TRY(fill_rc);
    weft_str text = weft_format(rq, "%.*s #%d", (int)key.len, key.ptr, fills);
    if (fill_bytes > text.len) {
        char *longer = weft_alloc(rq, fill_bytes);
        memset(longer, '.', fill_bytes);
        text = weft_str_make(longer, fill_bytes);
    }
    *out = (weft_cache_value){.type = WEFT_S("text/x-made"), .body = text, .status = 203};
    return 0;
}

/* 5 s at first, twice as long each time that the value is made again: CA-05 */
static uint64_t double_it(const weft_cache_about *about)
{
    assert_int_equal(about->value->status, 203);
    assert_true(about->now_s > 1000000);
    last_ttl_ms = about->last_ttl_ms;
    if (ttl_says_ms != 1)
        return ttl_says_ms;
    return about->last_ttl_ms == 0 ? 5000 : 2 * about->last_ttl_ms;
}

static weft_cache *cache_of(const weft_req *rq)
{
    weft_str name = weft_param(rq, "cache");
    for (size_t i = 0; i < WEFT_COUNT_OF(caches); i++)
        if (weft_equal(name, weft_str_z(caches[i]->name_z)))
            return caches[i];
    fail();
    return NULL;
}

static weft_rc reply(weft_req *rq)
{
    return weft_cache_reply(rq, cache_of(rq), weft_param(rq, "key"), fill, &fills);
}

static weft_rc look(weft_req *rq)
{
    weft_cache_value value;
    WEFT_TRY(weft_cache_get(rq, cache_of(rq), weft_param(rq, "key"), &value));
    return weft_reply(rq, value.status, value.type, value.body);
}

static weft_rc set(weft_req *rq)
{
    weft_cache_value value = {.body = weft_query(rq)};
    WEFT_TRY(weft_cache_put(rq, cache_of(rq), weft_param(rq, "key"), &value));
    return weft_text(rq, 200, WEFT_S("set"));
}

static weft_rc forget(weft_req *rq)
{
    WEFT_TRY(weft_cache_delete(rq, cache_of(rq), weft_param(rq, "key")));
    return weft_text(rq, 200, WEFT_S("forgotten"));
}

static weft_rc bad_keys(weft_req *rq)
{
    static const char long_key[WEFT_CACHE_KEY_BYTES_MAX + 1] = "x";
    weft_cache_value value = {.status = 1000};
    assert_int_equal(weft_cache_get(rq, &plain, (weft_str){0}, &value), WEFT_EINVAL);
    assert_int_equal(weft_cache_get(rq, &plain, weft_str_make(long_key, sizeof(long_key)), &value),
                     WEFT_EINVAL);
    assert_int_equal(weft_cache_put(rq, &plain, WEFT_S("k"), &value), WEFT_EINVAL);
    value = (weft_cache_value){.type = weft_str_make(long_key, 256)};
    assert_int_equal(weft_cache_put(rq, &plain, WEFT_S("k"), &value), WEFT_EINVAL);
    assert_int_equal(
        weft_cache_get(rq, &plain, weft_str_make(long_key, sizeof(long_key) - 1), &value),
        WEFT_ENOTFOUND);
    return weft_text(rq, 200, WEFT_S("refused"));
}

static weft_rc fill_twice(weft_req *rq, weft_str key, void *arg, weft_cache_value *out)
{
    return weft_cache_fetch(rq, &plain, key, fill, arg, out, NULL);
}

static weft_rc ask_oneself(weft_req *rq)
{
    return weft_cache_reply(rq, &plain, WEFT_S("self"), fill_twice, &fills);
}

static const struct seam_route routes[] = {
    {"GET", "/self", ask_oneself},
    {"GET", "/reply/{cache}/{key}", reply},
    {"GET", "/look/{cache}/{key}", look},
    {"GET", "/set/{cache}/{key}", set},
    {"GET", "/forget/{cache}/{key}", forget},
    {"GET", "/bad-keys", bad_keys},
};

/* ---- a worker with caches ---- */

static void open_caches(bool with_behind)
{
    for (size_t i = 0; i < WEFT_COUNT_OF(caches); i++) {
        struct weft_cache_options options = {.ledger = &seam.ledger, .workers = 2};
        if (with_behind)
            options.backends[options.backend_count++] = &behind.backend;
        assert_int_equal(weft_cache_open(caches[i], &options), 0);
        assert_int_equal(weft_cache_open(caches[i], &options), WEFT_ESTATE);
    }
}

static int open_all(void **state)
{
    memset(&behind, 0, sizeof(behind));
    behind.backend.ops = &behind_ops;
    fills = 0;
    fill_rc = 0;
    fill_bytes = 0;
    fill_ms = MS_OF_FILL;
    ttl_says_ms = 1;
    seam_open(&mux_protocol, routes, WEFT_COUNT_OF(routes), MUX_STREAMS);
    open_caches(*state != NULL);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    assert_int_equal(seam.loop.tasks.waiting, 0);
    for (size_t i = 0; i < WEFT_COUNT_OF(caches); i++)
        weft_cache_close(caches[i]); /* asserts that no value is under way or borrowed */
    assert_nothing_is_held();
    seam_close();
    return 0;
}

/* What the loop does when it is woken. */
static void run_posts(void)
{
    struct weft_post *post = atomic_exchange(&seam.loop.posts, NULL);
    while (post != NULL) {
        struct weft_post *next = post->next;
        post->run(post);
        post = next;
    }
    settle();
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

static void forget_output(void)
{
    seam.wire.out_len = 0;
}

static bool was(uint8_t id, const char *body, const char *x_cache)
{
    return body_is(id, body) && strstr(answers[id].head, x_cache) != NULL;
}

/* One request, to its end. */
static const struct answer *ask(const char *path)
{
    forget_output();
    get(1, path);
    sleep_it_out();
    collect();
    assert_true(answers[1].ended);
    return &answers[1];
}

/* ---- what it shows ---- */

static void nothing_is_mapped_before_the_first_use(void **state) /* shows CA-06 */
{
    (void)state;
    struct weft_account *account = plain.parts->parts[0].account;
    assert_int_equal(account->committed, 0);
    assert_int_equal(account->reserved, weft_cache_bytes(&plain, 2));
    assert_int_equal(ask("/look/plain/a")->status, 404);
    assert_null(plain.parts->parts[0].memory);
    assert_int_equal(weft_cache_stats_of(&plain).bytes, 0);
    (void)ask("/reply/plain/a");
    assert_true(account->committed > 0);
    assert_true(weft_account_used(account) > 0);
    assert_true(account->committed <= account->reserved);
    assert_null(timed.parts->parts[0].memory);
}

static void miss_then_hit(void **state) /* shows CA-01 */
{
    (void)state;
    (void)ask("/reply/plain/a");
    assert_true(was(1, "a #1", "X-Cache: MISS"));
    assert_non_null(strstr(answers[1].head, "203\ntext/x-made\n"));
    (void)ask("/reply/plain/a");
    assert_true(was(1, "a #1", "X-Cache: HIT"));
    assert_non_null(strstr(answers[1].head, "203\ntext/x-made\n"));
    assert_int_equal(fills, 1);
    weft_cache_stats stats = weft_cache_stats_of(&plain);
    assert_int_equal(stats.hits, 1);
    assert_int_equal(stats.misses, 1);
    assert_int_equal(stats.entries, 1);
    assert_int_equal(counted(WEFT_COUNTER_CACHE_HITS), 1);
    assert_int_equal(counted(WEFT_COUNTER_CACHE_MISSES), 1);
}

static void one_makes_it_and_the_others_wait(void **state)
{
    (void)state;
    for (uint8_t id = 1; id <= 6; id++)
        get(id, "/reply/plain/same");
    get(7, "/reply/plain/other"); /* another key is another matter */
    pass_ms(MS_OF_FILL);
    run_posts();
    collect();
    assert_int_equal(fills, 2);
    for (uint8_t id = 2; id <= 6; id++)
        assert_true(was(id, answers[1].body, "X-Cache: HIT"));
    assert_non_null(strstr(answers[1].head, "X-Cache: MISS"));
    assert_non_null(strstr(answers[7].head, "X-Cache: MISS"));
    assert_int_equal(counted(WEFT_COUNTER_CACHE_JOINED), 5);
    assert_int_equal(weft_cache_stats_of(&plain).joined, 5);
}

static void an_error_is_everybodys(void **state)
{
    (void)state;
    fill_rc = WEFT_ENOTFOUND;
    for (uint8_t id = 1; id <= 3; id++)
        get(id, "/reply/plain/same");
    pass_ms(MS_OF_FILL);
    run_posts();
    collect();
    for (uint8_t id = 1; id <= 3; id++)
        assert_int_equal(answers[id].status, 404);
    assert_int_equal(fills, 1);
    assert_int_equal(weft_cache_stats_of(&plain).entries, 0);
}

static void a_client_that_leaves_hands_over(void **state)
{
    (void)state;
    for (uint8_t id = 1; id <= 3; id++)
        get(id, "/reply/plain/same");
    send_frame(1, 'R', ""); /* who makes it goes */
    run_posts();
    assert_int_equal(fills, 2);
    pass_ms(MS_OF_FILL);
    run_posts();
    collect();
    assert_true(answers[1].broken || answers[1].ended);
    assert_true(body_is(2, "same #2") && body_is(3, "same #2"));
}

static void who_waits_may_leave(void **state)
{
    (void)state;
    for (uint8_t id = 1; id <= 4; id++)
        get(id, "/reply/plain/same");
    send_frame(3, 'R', "");
    assert_int_equal(seam.loop.tasks.waiting, 3);
    seam.clock.now_ns += MS_OF_FILL * WEFT_NS_PER_MS;
    pass_ms(0); /* told, but the post has not arrived yet */
    send_frame(2, 'R', "");
    run_posts();
    collect();
    assert_true(body_is(1, "same #1") && body_is(4, "same #1"));
    assert_int_equal(fills, 1);
}

static void time_by_a_function(void **state) /* shows CA-05 */
{
    (void)state;
    static const uint64_t ttls_ms[] = {5000, 10000, 20000, 40000};
    fill_ms = 0;
    for (size_t i = 0; i < WEFT_COUNT_OF(ttls_ms); i++) {
        (void)ask("/reply/timed/cert");
        assert_non_null(strstr(answers[1].head, "X-Cache: MISS"));
        assert_int_equal(last_ttl_ms, i == 0 ? 0 : ttls_ms[i - 1]);
        pass_ms(ttls_ms[i] - 1);
        (void)ask("/reply/timed/cert");
        assert_non_null(strstr(answers[1].head, "X-Cache: HIT"));
        pass_ms(1);
        (void)weft_cache_reclaim(&timed, seam.loop.now_ms, SIZE_MAX, 0); /* its ttl stays known */
    }
    pass_ms(80000);
    (void)weft_cache_reclaim(&timed, seam.loop.now_ms, SIZE_MAX,
                             0); /* until it is of no interest */
    assert_int_equal(weft_cache_stats_of(&timed).entries, 0);
    (void)ask("/reply/timed/cert");
    assert_int_equal(last_ttl_ms, 0);
}

/* Nothing, and what an unsigned difference is where its time is over. */
static void no_time_is_not_kept(void **state)
{
    (void)state;
    static const uint64_t says_ms[] = {0, (uint64_t)-5000, (uint64_t)INT64_MIN};
    fill_ms = 0;
    for (size_t i = 0; i < WEFT_COUNT_OF(says_ms); i++) {
        ttl_says_ms = says_ms[i];
        (void)ask("/reply/timed/a");
        assert_non_null(strstr(answers[1].head, "X-Cache: MISS"));
        assert_int_equal(weft_cache_stats_of(&timed).entries, 0);
    }
    ttl_says_ms = WEFT_CACHE_TTL_FOREVER;
    (void)ask("/reply/timed/a");
    pass_ms((uint64_t)1 << 40);
    (void)ask("/reply/timed/a");
    assert_non_null(strstr(answers[1].head, "X-Cache: HIT"));
}

static void what_has_no_place_is_made_each_time(void **state)
{
    (void)state;
    fill_ms = 0;
    (void)ask("/reply/tiny/a");
    (void)ask("/reply/tiny/b");
    for (int i = 3; i < 6; i++) {
        (void)ask("/reply/tiny/c");
        assert_non_null(strstr(answers[1].head, "X-Cache: MISS"));
        assert_int_equal(fills, i);
    }
    assert_true(was(1, "c #5", "MISS"));
    (void)ask("/reply/tiny/a");
    assert_true(was(1, "a #1", "HIT"));
    assert_int_equal(counted(WEFT_COUNTER_CACHE_REFUSED), 3);
    fill_ms = MS_OF_FILL; /* who waited for such a value makes his own, beside the others */
    for (uint8_t id = 1; id <= 3; id++)
        get(id, "/reply/tiny/d");
    pass_ms(MS_OF_FILL);
    run_posts();
    assert_int_equal(fills, 8);
    pass_ms(MS_OF_FILL);
    run_posts();
    assert_int_equal(counted(WEFT_COUNTER_CACHE_ALONE), 2);
}

static void so_many_are_made_under_everybodys_eyes(void **state)
{
    (void)state;
    static const char names[WEFT_CACHE_FLIGHTS_MAX][1];
    struct weft_cache_flights *flights = &plain.parts->parts[0].flights;
    struct weft_cache_flight *all[WEFT_CACHE_FLIGHTS_MAX];
    for (uint64_t i = 0; i < WEFT_CACHE_FLIGHTS_MAX; i++) {
        all[i] = weft_cache_flight_begin(flights, i, weft_str_make(names[i], 1), NULL);
        assert_non_null(all[i]);
    }
    assert_null(weft_cache_flight_begin(flights, 0, WEFT_S("one more"), NULL));
    get(1, "/reply/plain/a");
    get(2, "/reply/plain/a");
    sleep_it_out();
    collect();
    assert_int_equal(fills, 2); /* each for itself */
    assert_true(answers[1].ended && answers[2].ended);
    assert_int_equal(counted(WEFT_COUNTER_CACHE_ALONE), 2);
    for (uint64_t i = 0; i < WEFT_CACHE_FLIGHTS_MAX; i++)
        assert_null(weft_cache_flight_land(flights, all[i], 0));
    (void)ask("/reply/plain/b");
    assert_int_equal(counted(WEFT_COUNTER_CACHE_ALONE), 2);
}

static void nobody_waits_for_himself(void **state)
{
    (void)state;
    (void)ask("/self");
    assert_int_equal(fills, 1);
    assert_true(was(1, "self #1", "X-Cache: MISS"));
}

static void a_value_is_set_seen_and_forgotten(void **state)
{
    (void)state;
    assert_true(strcmp(ask("/set/plain/a?first")->body, "set") == 0);
    assert_true(strcmp(ask("/look/plain/a")->body, "first") == 0);
    assert_int_equal(answers[1].status, 200);
    (void)ask("/set/plain/a?second");
    assert_true(strcmp(ask("/look/plain/a")->body, "second") == 0);
    (void)ask("/forget/plain/a");
    assert_int_equal(ask("/look/plain/a")->status, 404);
    assert_int_equal(ask("/forget/plain/a")->status, 200);
    assert_int_equal(ask("/bad-keys")->status, 200);
}

/* What was made from before a change is not kept behind it. */
static void a_change_overtakes_who_makes_it(void **state)
{
    (void)state;
    get(1, "/reply/plain/a");
    get(2, "/forget/plain/a");
    sleep_it_out();
    assert_int_equal(ask("/look/plain/a")->status, 404);
    get(2, "/reply/plain/b");
    get(3, "/set/plain/b?new");
    sleep_it_out();
    assert_true(strcmp(ask("/look/plain/b")->body, "new") == 0);
}

/* Also where nobody could know that it is being made. */
static void a_change_overtakes_who_is_alone(void **state)
{
    (void)state;
    static const char names[WEFT_CACHE_FLIGHTS_MAX][1];
    struct weft_cache_flights *flights = &plain.parts->parts[0].flights;
    struct weft_cache_flight *all[WEFT_CACHE_FLIGHTS_MAX];
    for (uint64_t i = 0; i < WEFT_CACHE_FLIGHTS_MAX; i++)
        all[i] = weft_cache_flight_begin(flights, i, weft_str_make(names[i], 1), NULL);
    get(1, "/reply/plain/a");
    get(2, "/forget/plain/a");
    sleep_it_out();
    assert_int_equal(counted(WEFT_COUNTER_CACHE_ALONE), 1);
    for (uint64_t i = 0; i < WEFT_CACHE_FLIGHTS_MAX; i++)
        assert_null(weft_cache_flight_land(flights, all[i], 0));
    assert_int_equal(ask("/look/plain/a")->status, 404);
}

/* Another worker's part. */
static void a_change_is_everybodys(void **state)
{
    (void)state;
    struct weft_cache_part *other = &shards.parts->parts[1];
    uint64_t hash = weft_hash(&shards.parts->key, WEFT_S("a")), evicted;
    for (int i = 0; i < 2; i++) {
        struct weft_cache_entry *entry = NULL;
        assert_int_equal(
            weft_cache_part_reserve(other, hash, WEFT_S("a"), 100, 0, &evicted, &entry), 0);
        assert_int_equal(weft_cache_store_publish(&other->store, entry, WEFT_CACHE_TTL_FOREVER, 0),
                         0);
        weft_cache_part_give_back(other, entry);
        struct weft_cache_flight *flight =
            weft_cache_flight_begin(&other->flights, hash, WEFT_S("a"), NULL);
        assert_int_equal(weft_cache_stats_of(&shards).entries, 1);
        (void)ask(i == 0 ? "/forget/shards/a" : "/set/shards/a?new");
        assert_int_equal(other->store.count, 0);
        assert_true(flight->stale);
        assert_null(weft_cache_flight_land(&other->flights, flight, 0));
    }
    assert_true(strcmp(ask("/look/shards/a")->body, "new") == 0);
}

/* A value goes out from where it lies, and stays there until its last byte has left, even when it
 * has been replaced meanwhile. */
static void values_are_borrowed_until_the_end(void **state) /* shows ZC-03 */
{
    (void)state;
    fill_ms = 0;
    fill_bytes = 6000; /* more than the queue of this protocol */
    (void)ask("/reply/plain/large");
    struct weft_account *account = plain.parts->parts[0].account;
    size_t one = weft_account_used(account);
    forget_output();
    seam.wire.sends = WIRE_STUCK;
    get(1, "/reply/plain/large"); /* waits for its client */
    assert_int_equal(seam.loop.tasks.waiting, 1);
    get(2, "/forget/plain/large");
    assert_int_equal(weft_account_used(account), one);
    assert_int_equal(weft_cache_stats_of(&plain).entries, 0);
    seam.wire.sends = WIRE_NOW;
    settle();
    sleep_it_out();
    collect();
    assert_int_equal(answers[1].len, 6000);
    for (size_t i = 0; i < 6000; i++)
        assert_int_equal(answers[1].body[i], '.');
    assert_int_equal(weft_account_used(account), 0);
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

static void memory_that_is_short_comes_back(void **state)
{
    (void)state;
    char path[64];
    fill_ms = 0;
    fill_bytes = 4000;
    struct weft_account *account = plain.parts->parts[0].account;
    for (int i = 0; i < 15; i++) {
        (void)snprintf(path, sizeof(path), "/reply/plain/%d", i);
        (void)ask(path);
    }
    size_t before = account->committed;
    assert_false(weft_cache_reclaim(&plain, seam.loop.now_ms, SIZE_MAX, 0)); /* all is in use */
    assert_int_equal(account->committed, before);
    (void)weft_cache_reclaim(&plain, seam.loop.now_ms, SIZE_MAX, 1000);
    assert_int_equal(weft_cache_stats_of(&plain).entries, 0);
    assert_true(account->committed <= before - 15 * 4000 + 8192);
    (void)ask("/reply/plain/0");
    assert_non_null(strstr(answers[1].head, "X-Cache: MISS"));
}

static void all_of_it_at_once(void **state)
{
    (void)state;
    WEFT_CACHE(whole, .entries_max = 100, .bytes_max = 1 << 16);
    struct weft_cache_options options = {.ledger = &seam.ledger, .workers = 1, .prefault = true};
    assert_int_equal(weft_cache_open(&whole, &options), 0);
    const struct weft_account *account = whole.parts->parts[0].account;
    assert_int_equal(account->committed, account->reserved);
    (void)weft_cache_reclaim(&whole, 0, SIZE_MAX, 0);
    assert_int_equal(account->committed, account->reserved); /* and it stays */
    weft_cache_close(&whole);
    assert_int_equal(account->committed, 0);
    assert_int_equal(account->reserved, 0);
}

static void parts_for_workers(void **state)
{
    (void)state;
    WEFT_CACHE(split, .entries_max = 10, .bytes_max = 50000, .per_worker = true);
    assert_int_equal(weft_cache_part_count(&split, 3), 3);
    assert_int_equal(weft_cache_part_count(&split, 64), 10);
    struct weft_cache_options options = {.ledger = &seam.ledger, .workers = 3};
    assert_int_equal(weft_cache_open(&split, &options), 0);
    weft_cache_stats stats = weft_cache_stats_of(&split);
    assert_int_equal(stats.entries_max, 10);
    assert_in_range(stats.bytes_max, 50000 - 3 * 16, 50000);
    weft_cache_close(&split);
    struct weft_cache_settings settings = {
        .entries_max = 7, .bytes_max = 8192, .policy = WEFT_CACHE_LRU, .shared = 1};
    split.settings = &settings;
    assert_int_equal(weft_cache_open(&split, &options), 0);
    stats = weft_cache_stats_of(&split);
    assert_int_equal(split.parts->count, 1);
    assert_int_equal(stats.entries_max, 7);
    assert_int_equal(stats.bytes_max, 8192);
    assert_int_equal(split.parts->parts[0].limits.policy, WEFT_CACHE_LRU);
    weft_cache_close(&split);
    weft_cache_close(&split);
    settings.bytes_max = 100;
    assert_non_null(weft_cache_wrong(&split));
    assert_int_equal(weft_cache_open(&split, &options), WEFT_ECONFIG);
    split.size = 8;
    assert_non_null(weft_cache_wrong(&split));
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, open_all, close_all)
#define CASE_BEHIND(test)                                                                          \
    {                                                                                              \
#test, test, open_all, close_all, &behind                                                  \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(nothing_is_mapped_before_the_first_use),
        CASE(miss_then_hit),
        CASE(one_makes_it_and_the_others_wait),
        CASE(an_error_is_everybodys),
        CASE(a_client_that_leaves_hands_over),
        CASE(who_waits_may_leave),
        CASE(time_by_a_function),
        CASE(no_time_is_not_kept),
        CASE(what_has_no_place_is_made_each_time),
        CASE(so_many_are_made_under_everybodys_eyes),
        CASE(nobody_waits_for_himself),
        CASE(a_value_is_set_seen_and_forgotten),
        CASE(a_change_overtakes_who_makes_it),
        CASE(a_change_overtakes_who_is_alone),
        CASE(a_change_is_everybodys),
        CASE(values_are_borrowed_until_the_end),
        CASE_BEHIND(what_is_behind_is_asked_and_told),
        CASE_BEHIND(what_is_being_forgotten_does_not_come_back),
        CASE_BEHIND(what_is_on_its_way_arrives_first),
        CASE_BEHIND(who_is_to_write_may_leave),
        CASE_BEHIND(what_is_behind_may_be_old_or_no_value),
        CASE_BEHIND(it_goes_on_when_what_is_behind_fails),
        CASE(parts_for_workers),
        CASE(memory_that_is_short_comes_back),
        CASE(all_of_it_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
