/* cache_test.c - what requests do with a cache: one makes, others wait; times by a function; what
 * is borrowed; and that nothing is mapped before the first use. shows CA-01, CA-04, CA-05, CA-06,
 * ZC-03 */
#include "cache_rig.h"

static int open_alone(void **state)
{
    (void)state;
    open_cache_rig(NULL);
    return 0;
}

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

#define CASE(test) cmocka_unit_test_setup_teardown(test, open_alone, close_cache_rig)

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
        CASE(parts_for_workers),
        CASE(memory_that_is_short_comes_back),
        CASE(all_of_it_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
