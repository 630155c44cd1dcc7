/* demo_cache.c - an answer that is made once: /cache/{key}, X-Cache: MISS and then HIT; /cache
 * shows what the cache holds. When 1,000 are there, further ones are made for each request. */
#include "demo.h"

WEFT_CACHE(answers, .entries_max = 1000, .bytes_max = 256 << 10, .policy = WEFT_CACHE_NO_INSERT);

static weft_rc compute(weft_req *rq, weft_str key, void *arg, weft_cache_value *out)
{
    (void)arg;
    weft_json json;
    WEFT_TRY(weft_json_begin(rq, &json, 40 + 6 * key.len)); /* an escaped byte takes six at most */
    weft_json_object(&json);
    weft_json_key(&json, WEFT_S("key"));
    weft_json_str(&json, key);
    weft_json_key(&json, WEFT_S("computed"));
    weft_json_bool(&json, true);
    weft_json_end_object(&json);
    out->type = WEFT_S("application/json");
    return weft_json_text(&json, &out->body);
}

static weft_rc cached(weft_req *rq)
{
    return weft_cache_reply(rq, &answers, weft_param(rq, "key"), compute, NULL);
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
