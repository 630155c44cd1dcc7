/* redis_cache.c - see redis_cache.h. Whatever keeps Redis from doing what was asked, the cache goes
 * on with its own memory; only the end of the request itself is passed on as such. */
#include "serve/cache/redis_cache.h"
#include <errno.h>
#include "http/message.h"
#include "serve/cache/redis.h"

static char *arena_room(void *arg, size_t len)
{
    weft_req *rq = arg;
    return weft_req_try_alloc(rq, len, WEFT_ALLOC_SITE());
}

/* wanted   the type that answers this command; nil is good where a key is asked for
 * returns  as cache_backend.h has it */
static weft_rc ask(struct weft_cache_backend *backend, weft_req *rq,
                   struct weft_redis_command *command, enum weft_redis_type wanted,
                   struct weft_redis_reply *reply)
{
    *reply = (struct weft_redis_reply){.make_room = arena_room, .arg = rq};
    weft_rc rc = weft_redis_call(rq, weft_redis_of(backend), command, reply);
    if (rc == 0 && reply->type == WEFT_REDIS_ERROR) {
        weft_loop_count(rq->loop, WEFT_COUNTER_REDIS_ERRORS);
        rc = (weft_rc)-EREMOTEIO;
    } else if (rc == 0 && reply->type == WEFT_REDIS_NIL && wanted == WEFT_REDIS_VALUE) {
        return WEFT_ENOTFOUND;
    } else if (rc == 0 && reply->type != wanted) {
        weft_loop_count(rq->loop, WEFT_COUNTER_REDIS_GARBAGE);
        rc = WEFT_ESYNTAX;
    } else if (rc == 0 && reply->no_room) {
        weft_loop_count(rq->loop, WEFT_COUNTER_REDIS_TOO_LARGE);
        rc = WEFT_ELIMIT;
    }
    if (rc != 0 && rq->canceled == 0)
        weft_loop_count(rq->loop, WEFT_COUNTER_REDIS_FALLBACKS);
    return rq->canceled != 0 ? rq->canceled : rc;
}

static weft_rc get(struct weft_cache_backend *backend, weft_req *rq, weft_str space, weft_str key,
                   weft_str *out)
{
    struct weft_redis_command command;
    struct weft_redis_reply reply;
    weft_redis_get(&command, space, key);
    WEFT_TRY(ask(backend, rq, &command, WEFT_REDIS_VALUE, &reply));
    *out = reply.text;
    return 0;
}

static weft_rc put(struct weft_cache_backend *backend, weft_req *rq, weft_str space, weft_str key,
                   weft_str value, uint64_t ttl_ms)
{
    struct weft_redis_command command;
    struct weft_redis_reply reply;
    if (value.len > weft_redis_value_bytes_max(weft_redis_of(backend))) {
        weft_loop_count(rq->loop, WEFT_COUNTER_REDIS_TOO_LARGE);
        weft_loop_count(rq->loop, WEFT_COUNTER_REDIS_FALLBACKS);
        return WEFT_ELIMIT;
    }
    weft_redis_set(&command, space, key, value, ttl_ms);
    return ask(backend, rq, &command, WEFT_REDIS_OK, &reply);
}

static weft_rc forget(struct weft_cache_backend *backend, weft_req *rq, weft_str space,
                      weft_str key)
{
    struct weft_redis_command command;
    struct weft_redis_reply reply;
    weft_redis_del(&command, space, key);
    return ask(backend, rq, &command, WEFT_REDIS_INTEGER, &reply);
}

const struct weft_cache_backend_ops weft_redis_cache_ops = {"redis", get, put, forget};
