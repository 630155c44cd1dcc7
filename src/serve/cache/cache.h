/* cache.h - the caches that a program declares (weft/cache.h), as the server opens them.
 *
 * A cache has one part that all workers share, or one for each. A part is a lock, a store
 * (cache_store.h), whose memory is mapped at the first use, and the keys whose values are under way
 * (cache_flight.h). Behind all parts may be others (cache_backend.h).
 *
 * Lifetime: opened while the server is built, closed when its workers have ended.
 * Threads:  opening and closing: the main thread. Everything else: any.
 * Memory:   weft_cache_bytes(), on accounts of their own; the parts' heads are heap at start.
 */
#ifndef WEFT_SERVE_CACHE_CACHE_H
#define WEFT_SERVE_CACHE_CACHE_H

#include <weft/cache.h>
#include "mem/budget.h"
#include "serve/cache/cache_backend.h"

#define WEFT_CACHE_AS_DECLARED (-1)

/* What settings say of every cache. */
struct weft_cache_settings {
    uint32_t entries_max; /* 0: as declared */
    size_t bytes_max;     /* 0: as declared */
    int policy;           /* enum weft_cache_policy, WEFT_CACHE_AS_DECLARED */
    int shared;           /* 0, 1, WEFT_CACHE_AS_DECLARED */
};

struct weft_cache_options {
    struct weft_ledger *ledger; /* borrowed: outlives the cache */
    uint32_t workers;
    bool prefault;                                                /* map and touch all of it now */
    struct weft_cache_backend *backends[WEFT_CACHE_BACKENDS_MAX]; /* borrowed: outlive the cache */
    uint32_t backend_count;
};

/** What is wrong with a declaration, settings included; static. NULL: nothing. */
const char *weft_cache_wrong(const weft_cache *cache);

/** Parts that it has with so many workers. */
uint32_t weft_cache_part_count(const weft_cache *cache, uint32_t workers);

/** Open accounts and reserve its bytes; nothing is mapped yet.
 *  returns  0; WEFT_ESTATE (open already), WEFT_EBUDGET, WEFT_ENOMEM, WEFT_EFULL (accounts),
 *           WEFT_ECONFIG (out of range) */
WEFT_CHECK weft_rc weft_cache_open(weft_cache *cache, const struct weft_cache_options *options);

/** Nothing is borrowed any more. One that is not open is accepted. */
void weft_cache_close(weft_cache *cache);

/** Drop what has expired for long, and hand back pages that are free, about bytes_max of them.
 *  shrink   entries that each part drops besides, because memory is short
 *  returns  is there something left that a later call may hand back? */
bool weft_cache_reclaim(weft_cache *cache, uint64_t now_ms, size_t bytes_max, uint32_t shrink);

#endif
