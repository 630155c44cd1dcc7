/* redis_cache.h - the operations of a cache's backend, as commands to Redis.
 *
 * Lifetime: static.
 * Threads:  any worker, on a request's task.
 * Memory:   a value lies in the request's arena.
 */
#ifndef WEFT_SERVE_CACHE_REDIS_CACHE_H
#define WEFT_SERVE_CACHE_REDIS_CACHE_H

#include "serve/cache/cache_backend.h"

extern const struct weft_cache_backend_ops weft_redis_cache_ops;

#endif
