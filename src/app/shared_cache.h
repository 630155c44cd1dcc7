/* shared_cache.h - the Redis that settings name: what it costs, and how it is opened.
 *
 * Lifetime: the options: the caller's. What is opened: process.
 * Threads:  the main thread.
 * Memory:   weft_redis_bytes() of the options.
 */
#ifndef WEFT_APP_SHARED_CACHE_H
#define WEFT_APP_SHARED_CACHE_H

#include "app/config.h"
#include "serve/cache/redis.h"

/** Pages of the library, beside what weft_redis_bytes() says. */
#define WEFT_HIREDIS_BYTES ((size_t)128 << 10)

/** Is there to be one? */
static inline bool weft_shared_cache_wanted(const struct weft_config *config)
{
    return config->cache_redis[0] != 0;
}

/** As the settings have it, without the password; borrows the config. */
struct weft_redis_options weft_shared_cache_options(const struct weft_config *config);

/** Nothing where none is wanted. What is wrong is logged.
 *  returns  0; what keeps the server from starting */
WEFT_CHECK weft_rc weft_shared_cache_open(const struct weft_config *config,
                                          struct weft_ledger *ledger, struct weft_redis **out);

#endif
