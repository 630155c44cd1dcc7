/* redis.h - Redis or Valkey behind a cache: commands on a request's task, over connections that all
 * workers share, without blocking one.
 *
 * A command waits for a connection, is sent, and its answer read, all within one deadline. What
 * goes wrong with a connection closes it. A server that cannot be reached, or does not answer in
 * time, is left alone for retry_ms: meanwhile calls return at once, and then one of them tries.
 *
 * Lifetime: process: made before the workers start, closed after they have ended.
 * Threads:  calls: any worker, on a request's task.
 * Memory:   weft_redis_bytes(): this struct, its connections, and hiredis' heap, which is a row of
 *           the ledger, exact after each call. Nothing is taken before the first connection.
 */
#ifndef WEFT_SERVE_CACHE_REDIS_H
#define WEFT_SERVE_CACHE_REDIS_H

#include "io/upstream.h"
#include "serve/cache/cache_backend.h"
#include "serve/cache/redis_command.h"
#include "serve/cache/redis_reader.h"

struct weft_redis; /* the server, as we know it */

struct weft_redis_options {
    const char *address_z;  /* "host:port", "host", "[::1]:6379", "unix:/path" */
    const char *password_z; /* "": none */
    uint32_t database;
    uint32_t connections;   /* at once, of all workers: 1..WEFT_UPSTREAM_CONNS_MAX */
    uint32_t queue;         /* requests that wait for one */
    uint32_t timeout_ms;    /* of one command, waiting and connecting included */
    uint32_t retry_ms;      /* so long it is left alone after it failed */
    size_t value_bytes_max; /* longer ones are neither stored nor taken */
};

/** What it costs at worst; and of it, a connection. */
size_t weft_redis_bytes(const struct weft_redis_options *options);
size_t weft_redis_conn_bytes(const struct weft_redis_options *options);

/** Load hiredis and make everything ready; nobody is connected to yet.
 *  ledger   borrowed: two rows, "redis" and "hiredis"
 *  out_why  at most why_bytes, zero-terminated: what is wrong
 *  returns  0; WEFT_ECONFIG: the address cannot be read; WEFT_ENOTSUP: no hiredis; WEFT_EBUDGET,
 *           WEFT_EFULL, WEFT_ENOMEM */
WEFT_CHECK weft_rc weft_redis_create(const struct weft_redis_options *options,
                                     struct weft_ledger *ledger, struct weft_redis **out,
                                     char *out_why, size_t why_bytes);

/** Close every connection, after at most wait_ms for those in use. NULL is good.
 *  returns  0; WEFT_EDEADLINE: one is in use still, and everything stays where it is, but the
 *           ledger's row of the heap: that goes back in either case */
WEFT_CHECK weft_rc weft_redis_destroy(struct weft_redis *redis, uint32_t wait_ms);

/** The pool: its state, and what waits on the server. Borrowed as long as the redis. */
struct weft_upstream *weft_redis_upstream(struct weft_redis *redis);

/** As what stands behind a cache; borrowed as long as the redis. */
struct weft_cache_backend *weft_redis_backend(struct weft_redis *redis);
struct weft_redis *weft_redis_of(struct weft_cache_backend *backend);

/** The longest value that it takes or gives. */
size_t weft_redis_value_bytes_max(const struct weft_redis *redis);

/** Send a command and read its answer; on the request's task.
 *  reply    with make_room and arg set: called on the worker's stack
 *  returns  0. WEFT_ECLOSED: it is left alone for a while. WEFT_EFULL: no connection came free, or
 *           the request may not wait now. -ETIMEDOUT: not in time. WEFT_ESYNTAX: garbage.
 *           WEFT_ELIMIT: longer than allowed. WEFT_ENOMEM. -errno: the connection broke, or there
 *           was none to be had. Why the request is canceled, when it is */
WEFT_CHECK weft_rc weft_redis_call(weft_req *rq, struct weft_redis *redis,
                                   struct weft_redis_command *command,
                                   struct weft_redis_reply *reply);

#endif
