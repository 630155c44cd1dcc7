/* cache_rig.h - a worker with caches over the seam, and routes that do with them what handlers do:
 * for the tests of caches alone, and of what is behind them. */
#ifndef WEFT_TESTS_CACHE_RIG_H
#define WEFT_TESTS_CACHE_RIG_H
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

/* behind  what they are to have behind them; NULL: nothing */
static void open_cache_rig(struct weft_cache_backend *behind)
{
    fills = 0;
    fill_rc = 0;
    fill_bytes = 0;
    fill_ms = MS_OF_FILL;
    ttl_says_ms = 1;
    seam_open(&mux_protocol, routes, WEFT_COUNT_OF(routes), MUX_STREAMS);
    for (size_t i = 0; i < WEFT_COUNT_OF(caches); i++) {
        struct weft_cache_options options = {.ledger = &seam.ledger, .workers = 2};
        if (behind != NULL)
            options.backends[options.backend_count++] = behind;
        assert_int_equal(weft_cache_open(caches[i], &options), 0);
        assert_int_equal(weft_cache_open(caches[i], &options), WEFT_ESTATE);
    }
}

static int close_cache_rig(void **state)
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
#endif
