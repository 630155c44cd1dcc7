/* redis_names.h - the addresses behind a Redis' name, looked up without holding anybody longer than
 * he likes to wait.
 *
 * libc's resolver may block for as long as it takes, ten seconds where nobody answers it. So one
 * thread of the offload pool is in it at most, on behalf of all; a request looks every few ms
 * whether it is back, until its own deadline. What comes later is for who asks next.
 *
 * Lifetime: the Redis'; not before the offload pool has ended.
 * Threads:  any worker, on a request's task.
 * Memory:   the struct; looking up is libc's, which allocates.
 */
#ifndef WEFT_SERVE_CACHE_REDIS_NAMES_H
#define WEFT_SERVE_CACHE_REDIS_NAMES_H

#include <pthread.h>
#include <weft/request.h>
#include "io/offload.h"
#include "serve/cache/redis_address.h"

struct weft_redis_names {
    struct weft_offload_job job;
    _Atomic bool asking;               /* the job is queued, or runs */
    pthread_mutex_t lock;              /* of the rest */
    struct weft_redis_address address; /* what was found the last time */
    weft_rc rc;
    uint64_t until_ms; /* so long that is good; 0: nothing was asked yet */
    uint32_t fresh_ms;
    weft_rc (*resolve)(struct weft_redis_address *address);
};

/** address   the name; copied
 *  fresh_ms  how long an answer is good, a bad one too */
void weft_redis_names_init(struct weft_redis_names *names, const struct weft_redis_address *address,
                           uint32_t fresh_ms);
void weft_redis_names_fini(struct weft_redis_names *names);

/** The addresses behind the name.
 *  until_ms  of the loop's clock
 *  out       with its `sockets`; written on 0 only
 *  returns   0; -ETIMEDOUT: not known by then; as weft_redis_address_resolve(), weft_offload() and
 *            weft_sleep_ms() */
WEFT_CHECK weft_rc weft_redis_names_ask(struct weft_redis_names *names, weft_req *rq,
                                        uint64_t until_ms, struct weft_redis_address *out);

#endif
