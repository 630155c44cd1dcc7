/* cache_priv.h - what cache.c (parts) and cache_req.c (what requests do) share.
 *
 * Lifetime: as cache.h.
 * Threads:  as cache.h; a part's calls take its lock by themselves.
 * Memory:   as cache.h.
 */
#ifndef WEFT_SERVE_CACHE_CACHE_PRIV_H
#define WEFT_SERVE_CACHE_CACHE_PRIV_H

#include <pthread.h>
#include "base/hash.h"
#include "serve/cache/cache.h"
#include "serve/cache/cache_flight.h"
#include "serve/cache/cache_store.h"
#include "serve/cache/cache_writes.h"

struct weft_cache_part {
    _Alignas(64) pthread_rwlock_t lock;
    void *memory; /* owned: memory_bytes, from the first use on */
    size_t memory_bytes;
    struct weft_cache_store store;
    struct weft_cache_limits limits;
    struct weft_cache_flights flights;
    uint64_t changes; /* keys that were set or deleted so far */
    struct weft_account *account;
    _Alignas(64) _Atomic uint64_t hits; /* without the lock, as the next ones */
    _Atomic uint64_t misses;
    _Atomic uint64_t joined;
};

struct weft_cache_parts {
    struct weft_hash_key key;
    weft_cache *cache; /* borrowed */
    struct weft_cache_backend *backends[WEFT_CACHE_BACKENDS_MAX];
    uint32_t backend_count;
    struct weft_cache_writes writes; /* under way to there */
    bool prefault;                   /* its pages stay */
    uint32_t count;
    struct weft_cache_part parts[];
};

/** Map its memory, if it is not; the lock is held for writing. returns  false: there is none */
bool weft_cache_part_make(struct weft_cache_part *part);

void weft_cache_part_read(struct weft_cache_part *part);
void weft_cache_part_write(struct weft_cache_part *part);
void weft_cache_part_unlock(struct weft_cache_part *part);

/** As weft_cache_store_find(). */
struct weft_cache_entry *weft_cache_part_find(struct weft_cache_part *part, uint64_t hash,
                                              weft_str key, uint64_t now_ms);
void weft_cache_part_give_back(struct weft_cache_part *part, struct weft_cache_entry *entry);

/** As weft_cache_store_reserve(); also WEFT_EFULL where there is no memory to be mapped.
 *  out_evicted  entries that went for it; written always */
WEFT_CHECK weft_rc weft_cache_part_reserve(struct weft_cache_part *part, uint64_t hash,
                                           weft_str key, size_t value_bytes, uint64_t now_ms,
                                           uint64_t *out_evicted, struct weft_cache_entry **out);

#endif
