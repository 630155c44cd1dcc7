/* demo_cache.c - an answer that is made once: /cache/{key}, X-Cache: MISS and then HIT; /cache
 * shows what the cache holds. When 1,000 are there, further ones are made for each request.
 *
 * ?ms=200 makes it as if that took so long: who asks for the key meanwhile waits for the same
 * value. ?pad=4096 makes it so much longer. */
#include "demo.h"
#include <string.h>

#define MS_MAX  1000
#define PAD_MAX 16384

WEFT_CACHE(answers, .entries_max = 1000, .bytes_max = 256 << 10, .policy = WEFT_CACHE_NO_INSERT);

static uint64_t number(weft_req *rq, weft_str name, uint64_t max)
{
    uint64_t value = weft_query_u64(rq, name, 0);
    return value < max ? value : max;
}

/* White space behind the value is JSON still. */
static weft_rc pad(weft_req *rq, weft_str text, size_t bytes, weft_str *out)
{
    char *padded = weft_alloc(rq, text.len + bytes);
    if (padded == NULL)
        return WEFT_ENOMEM;
    memcpy(padded, text.ptr, text.len);
    memset(padded + text.len, ' ', bytes);
    *out = (weft_str){padded, text.len + bytes};
    return WEFT_OK;
}

static weft_rc compute(weft_req *rq, weft_str key, void *arg, weft_cache_value *out)
{
    (void)arg;
    uint64_t ms = number(rq, WEFT_S("ms"), MS_MAX);
    if (ms > 0)
        WEFT_TRY(weft_sleep_ms(rq, ms));
    weft_json json;
    WEFT_TRY(weft_json_begin(rq, &json, 40 + 6 * key.len)); /* an escaped byte takes six at most */
    weft_json_object(&json);
    weft_json_key(&json, WEFT_S("key"));
    weft_json_str(&json, key);
    weft_json_key(&json, WEFT_S("computed"));
    weft_json_bool(&json, true);
    weft_json_end_object(&json);
    out->type = WEFT_S("application/json");
    WEFT_TRY(weft_json_text(&json, &out->body));
    size_t more = (size_t)number(rq, WEFT_S("pad"), PAD_MAX);
    return more == 0 ? WEFT_OK : pad(rq, out->body, more, &out->body);
}

static weft_rc cached(weft_req *rq)
{
    weft_str key = weft_param(rq, "key");
    if (key.len == 0 || key.len > WEFT_CACHE_KEY_BYTES_MAX)
        return weft_fail(rq, 414, WEFT_S("key: 1 to 1024 bytes\n"));
    return weft_cache_reply(rq, &answers, key, compute, NULL);
}

static weft_rc figures(weft_req *rq)
{
    weft_cache_stats stats = weft_cache_stats_of(&answers);
    weft_str text =
        weft_format(rq,
                    "{\"entries\":%llu,\"bytes\":%llu,\"hits\":%llu,\"misses\":%llu,"
                    "\"evicted\":%llu,\"refused\":%llu,\"joined\":%llu}\n",
                    (unsigned long long)stats.entries, (unsigned long long)stats.bytes,
                    (unsigned long long)stats.hits, (unsigned long long)stats.misses,
                    (unsigned long long)stats.evicted, (unsigned long long)stats.refused,
                    (unsigned long long)stats.joined);
    return text.ptr == NULL ? WEFT_ENOMEM : weft_reply(rq, 200, WEFT_S("application/json"), text);
}

void weft_demo_cache(weft_app *app)
{
    weft_app_cache(app, answers);
    weft_get(app, "/cache", figures);
    weft_get(app, "/cache/{key}", cached);
}
