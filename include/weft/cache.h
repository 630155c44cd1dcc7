/* cache.h - what was made once and is asked for again: bounded in entries and in bytes.
 *
 *   WEFT_CACHE(pages, .entries_max = 1000, .bytes_max = 1 << 20);      at file level
 *   weft_app_cache(app, pages);                                        while setting up
 *
 *   static weft_rc page(weft_req *rq)                                  X-Cache: MISS, then HIT
 *   {
 *       return weft_cache_reply(rq, &pages, weft_param(rq, "name"), make_page, NULL);
 *   }
 *
 * Of requests that ask for one key at once, one makes the value and the others wait for it. What is
 * found is not copied: it stays where it is until the request that borrowed it has ended.
 *
 * Lifetime: a cache: while the application runs; its memory is taken at the first use.
 * Threads:  a cache is all workers', behind a lock (readers beside each other), or has a part for
 *           each worker.
 * Memory:   its term of the plan, weft_cache_bytes(). Entries, with what they take beside key and
 *           value (68 to 83 bytes), never pass bytes_max.
 */
#ifndef WEFT_CACHE_H
#define WEFT_CACHE_H

#include <weft/app.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

#define WEFT_CACHE_KEY_BYTES_MAX  1024
#define WEFT_CACHE_TYPE_BYTES_MAX 255
#define WEFT_CACHE_TTL_FOREVER    UINT64_MAX

/** What happens when it is full. */
enum weft_cache_policy {
    WEFT_CACHE_S3_FIFO,   /* goes: what came once and was not asked for again, then the coldest */
    WEFT_CACHE_LRU,       /* goes: what was not asked for for the longest time */
    WEFT_CACHE_NO_INSERT, /* nothing goes: what is new is not kept, until something has expired */
};

/** A value: bytes, and how an answer with them begins. */
typedef struct weft_cache_value {
    weft_str type; /* Content-Type, 0..255 bytes */
    weft_str body;
    int status; /* 200..999; 0 counts as 200 */
} weft_cache_value;

/** What a .ttl function may look at; all borrowed for the call. */
typedef struct weft_cache_about {
    weft_str key;
    const weft_cache_value *value;
    uint64_t now_s;       /* since 1970 */
    uint64_t last_ttl_ms; /* what this key got the last time, if it is known still; else 0 */
} weft_cache_about;

/** A cache, as declared by WEFT_CACHE. What may be given there, by name; settings that are not
 *  "auto" (cache.policy, cache.entries_max, cache.bytes_max, cache.shared) replace it. */
typedef struct weft_cache {
    size_t size;            /* filled by the macro, as the next one */
    const char *name_z;     /* static: its name in the plan, in /memory and behind it */
    uint32_t entries_max;   /* 0: 1,000. All workers together, as all of these */
    size_t bytes_max;       /* 0: 1 MiB */
    size_t value_bytes_max; /* 0: an eighth of bytes_max, of a worker's part where it has parts */
    enum weft_cache_policy policy;
    bool per_worker; /* each worker has a part of its own, and finds what it put there itself */
    uint64_t ttl_ms; /* 0: for ever */
    /* Instead of ttl_ms: how long a value is good from now on, ms; 0: it is not kept. Nor is it for
     * what would be negative if it were signed, but WEFT_CACHE_TTL_FOREVER: so a difference of
     * times may be returned as it is. Called before each insertion, without a lock; may not wait.
     */
    uint64_t (*ttl)(const weft_cache_about *about);
    struct weft_cache_parts
        *parts; /* Weft's own: set while the application runs, as the next one */
    const struct weft_cache_settings *settings;
} weft_cache;

#define WEFT_CACHE(name, ...)                                                                      \
    static weft_cache name = {.size = sizeof(weft_cache), .name_z = #name, __VA_ARGS__}

/** Give the cache to an application: its bytes become a term of the plan. One application at a
 *  time; 16 caches at most (rule 6). */
#define weft_app_cache(app, name) weft_app_add_cache((app), &(name))

/** Makes the value of a key that is not there.
 *  out      static, or until the request ends (rule 3)
 *  returns  0: *out is the value. Anything else: none; it is what the caller gets, and those who
 *           waited, except WEFT_ECANCELED and WEFT_EDEADLINE, which are this request's own */
typedef weft_rc (*weft_cache_fill_fn)(weft_req *rq, weft_str key, void *arg, weft_cache_value *out);

/** Answer with the value of a key, made by fill(rq, key, arg) where it is not there, with
 *  "X-Cache: HIT" or "MISS" (rule 3: nothing is copied). Waits (rule 7).
 *  key      1..1,024 bytes; borrowed until this returns
 *  returns  0: answered; WEFT_EINVAL: no such key; what fill returned; WEFT_ESTATE; WEFT_ENOMEM;
 *           WEFT_ECANCELED, WEFT_EDEADLINE, WEFT_EFULL (no stack to wait on) */
WEFT_CHECK weft_rc weft_cache_reply(weft_req *rq, weft_cache *cache, weft_str key,
                                    weft_cache_fill_fn fill, void *arg);

/** The same without answering.
 *  out      borrowed: until the request ends (rule 2)
 *  out_hit  did it come from the cache (or from who made it meanwhile)? NULL: nobody asks
 *  returns  as weft_cache_reply() */
WEFT_CHECK weft_rc weft_cache_fetch(weft_req *rq, weft_cache *cache, weft_str key,
                                    weft_cache_fill_fn fill, void *arg, weft_cache_value *out,
                                    bool *out_hit);

/** The value of a key. Waits where something is behind the cache (rule 7).
 *  out      borrowed: until the request ends (rule 2)
 *  returns  0; WEFT_ENOTFOUND: not there, or too old; WEFT_EINVAL, WEFT_ENOMEM, WEFT_ECANCELED,
 *           WEFT_EDEADLINE */
WEFT_CHECK weft_rc weft_cache_get(weft_req *rq, weft_cache *cache, weft_str key,
                                  weft_cache_value *out);

/** Set a key to a value, which is copied. Waits where something is behind the cache (rule 7). Where
 *  each worker has a part, the others' are without it from now on.
 *  returns  0: it is there; WEFT_EFULL: it is not, because nothing could make room (or .ttl says
 *           0); WEFT_ELIMIT: longer than value_bytes_max; WEFT_EINVAL: key, type or status out of
 *           range; WEFT_ENOMEM, WEFT_ECANCELED, WEFT_EDEADLINE */
WEFT_CHECK weft_rc weft_cache_put(weft_req *rq, weft_cache *cache, weft_str key,
                                  const weft_cache_value *value);

/** Forget a key, in all parts and behind the cache; who borrowed its value keeps it. Waits where
 *  something is behind it (rule 7): also for a value of this key that is on its way there, so that
 *  it does not come back. Where it could not be asked the key may come back from there
 *  (weft_cache_backend_errors_total).
 *  returns  0, also where it was not there; WEFT_EINVAL, WEFT_ECANCELED, WEFT_EDEADLINE */
WEFT_CHECK weft_rc weft_cache_delete(weft_req *rq, weft_cache *cache, weft_str key);

typedef struct weft_cache_stats {
    uint64_t entries, entries_max;
    uint64_t bytes, bytes_max; /* of entries: all that they take */
    uint64_t hits, misses;
    uint64_t inserted, evicted, expired; /* evicted: to make room */
    uint64_t refused;                    /* not kept: full, too long, or all of it borrowed */
    uint64_t joined;                     /* waited for who was making the value */
} weft_cache_stats;

/** Its figures, of all workers; a little old. Entries and bytes are 0 before the first use. */
weft_cache_stats weft_cache_stats_of(const weft_cache *cache);

/** Bytes at worst, exactly: the term of the plan. */
size_t weft_cache_bytes(const weft_cache *cache, uint32_t workers);

/* What the macro calls. */
void weft_app_add_cache(weft_app *app, weft_cache *cache);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
