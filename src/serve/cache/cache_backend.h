/* cache_backend.h - what a cache may have behind its memory: another store of key and value, which
 * is slower, and lives longer or is shared with other machines.
 *
 * The memory in front is asked first and filled from here; who is behind it knows nothing of
 * content types, policies or borrowed bytes: a value is one opaque run of bytes, which the cache
 * makes and checks when it comes back. A failing backend costs hits and nothing else: the cache
 * goes on with its memory and counts.
 *
 * Lifetime: made before the workers start, closed after they have ended.
 * Threads:  the calls come on a request's task, from every worker; they may wait (weft_wait_fd,
 *           weft_offload, weft_sleep_ms), and hold no lock while they do.
 * Memory:   the implementation's own term of the plan.
 */
#ifndef WEFT_SERVE_CACHE_CACHE_BACKEND_H
#define WEFT_SERVE_CACHE_CACHE_BACKEND_H

#include <weft/cache.h>

#define WEFT_CACHE_BACKENDS_MAX 2 /* behind one cache; asked in order */

struct weft_cache_backend;

struct weft_cache_backend_ops {
    const char *name_z; /* static: "pmem", "redis" */

    /* Look a key up.
     *  space    the cache's name: the same key of another cache is another key. Static
     *  key      1..WEFT_CACHE_KEY_BYTES_MAX of any bytes; borrowed for the call
     *  out      the value as it was put; until the request ends (in its arena, for instance).
     *           Written on 0 only
     *  returns  0; WEFT_ENOTFOUND: it is not there; anything else: it could not be asked (down, no
     *           connection free, too late, garbage, value longer than the arena takes): counted by
     *           the cache, and a miss. WEFT_ECANCELED and WEFT_EDEADLINE only when the request is:
     *           they end it; a deadline of the backend's own is another code (-ETIMEDOUT) */
    weft_rc (*get)(struct weft_cache_backend *backend, weft_req *rq, weft_str space, weft_str key,
                   weft_str *out);

    /* Set a key to a value; an old one goes.
     *  value    1 byte or more; borrowed for the call
     *  ttl_ms   from now on, > 0; WEFT_CACHE_TTL_FOREVER. It may be forgotten earlier. (The cache
     *           checks by itself that what comes back is not too old.)
     *  returns  0; as get() otherwise: it may or may not be there then */
    weft_rc (*put)(struct weft_cache_backend *backend, weft_req *rq, weft_str space, weft_str key,
                   weft_str value, uint64_t ttl_ms);

    /* Forget a key.
     *  returns  0, also where it was not there; as get() otherwise */
    weft_rc (*remove)(struct weft_cache_backend *backend, weft_req *rq, weft_str space,
                      weft_str key);
};

/* Embedded in the implementation's own struct, which WEFT_CONTAINER_OF finds. */
struct weft_cache_backend {
    const struct weft_cache_backend_ops *ops; /* borrowed: static */
};

#endif
