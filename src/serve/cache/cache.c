/* cache.c - see weft/cache.h and serve/cache/cache.h: opening, parts and their locks, and what
 * others may do to a part without a request. What requests do: cache_req.c.
 */
#include "serve/cache/cache.h"
#include "serve/cache/cache_priv.h"
#include <stdlib.h>
#include <sys/mman.h>

#define ENTRIES_DEFAULT 1000
#define BYTES_DEFAULT   ((size_t)1 << 20)
#define VALUE_PART      8    /* of a part's bytes: a longer value would push out too many */
#define SWEEP_LOOK      4096 /* places looked at each time */

/* ---- what was declared, and what settings make of it ---- */

static uint32_t entries_of(const weft_cache *cache)
{
    if (cache->settings != NULL && cache->settings->entries_max != 0)
        return cache->settings->entries_max;
    return cache->entries_max != 0 ? cache->entries_max : ENTRIES_DEFAULT;
}

static size_t bytes_of(const weft_cache *cache)
{
    if (cache->settings != NULL && cache->settings->bytes_max != 0)
        return cache->settings->bytes_max;
    return cache->bytes_max != 0 ? cache->bytes_max : BYTES_DEFAULT;
}

static enum weft_cache_policy policy_of(const weft_cache *cache)
{
    if (cache->settings != NULL && cache->settings->policy != WEFT_CACHE_AS_DECLARED)
        return (enum weft_cache_policy)cache->settings->policy;
    return cache->policy;
}

static bool is_shared(const weft_cache *cache)
{
    if (cache->settings != NULL && cache->settings->shared != WEFT_CACHE_AS_DECLARED)
        return cache->settings->shared != 0;
    return !cache->per_worker;
}

const char *weft_cache_wrong(const weft_cache *cache)
{
    if (cache->size != sizeof(*cache))
        return "is of another version of weft (use WEFT_CACHE)";
    if (entries_of(cache) > WEFT_CACHE_ENTRIES_LIMIT)
        return "has too many entries";
    if (bytes_of(cache) < WEFT_REGION_BYTES_MIN || bytes_of(cache) > WEFT_REGION_BYTES_MAX)
        return "has a bytes_max outside 4 KiB to 16 GiB";
    if (cache->ttl != NULL && cache->ttl_ms != 0)
        return "has both ttl and ttl_ms";
    return NULL;
}

/* Not so many that one would have no entry, or hardly a byte. */
uint32_t weft_cache_part_count(const weft_cache *cache, uint32_t workers)
{
    if (is_shared(cache))
        return 1;
    size_t by_bytes = bytes_of(cache) / WEFT_REGION_BYTES_MIN;
    return (uint32_t)WEFT_MIN((size_t)WEFT_MIN(workers, entries_of(cache)), by_bytes);
}

/* The sum over all parts is what was declared. */
static struct weft_cache_limits limits_of(const weft_cache *cache, uint32_t part, uint32_t count)
{
    struct weft_cache_limits limits = {.policy = policy_of(cache)};
    limits.entries_max =
        entries_of(cache) / count + (part < entries_of(cache) % count); /* the rest is dealt out */
    limits.bytes_max = bytes_of(cache) / count & ~(WEFT_REGION_GRAIN - 1);
    limits.value_bytes_max =
        cache->value_bytes_max != 0 ? cache->value_bytes_max : limits.bytes_max / VALUE_PART;
    return limits;
}

size_t weft_cache_bytes(const weft_cache *cache, uint32_t workers)
{
    uint32_t count = weft_cache_part_count(cache, workers);
    size_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct weft_cache_limits limits = limits_of(cache, i, count);
        bytes += weft_cache_store_bytes(&limits);
    }
    return bytes;
}

/* ---- opening and closing ---- */

static weft_rc open_lock(pthread_rwlock_t *lock)
{
    pthread_rwlockattr_t attr;
    if (pthread_rwlockattr_init(&attr) != 0)
        return WEFT_ENOMEM;
    /* Else readers that follow each other keep a writer out for ever. */
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    int failed = pthread_rwlock_init(lock, &attr);
    pthread_rwlockattr_destroy(&attr);
    return failed ? WEFT_ENOMEM : 0;
}

static weft_rc open_part(struct weft_cache_parts *parts, uint32_t index, uint32_t count,
                         const struct weft_cache_options *options)
{
    struct weft_cache_part *part = &parts->parts[index];
    part->limits = limits_of(parts->cache, index, count);
    part->memory_bytes = weft_cache_store_bytes(&part->limits);
    if (part->memory_bytes == 0)
        return WEFT_ECONFIG;
    WEFT_TRY(weft_account_open(options->ledger, parts->cache->name_z,
                               count > 1 ? index : WEFT_ACCOUNT_PROCESS, &part->account));
    WEFT_TRY(weft_account_reserve(part->account, part->memory_bytes));
    weft_rc rc = open_lock(&part->lock);
    if (rc != 0)
        weft_account_release(part->account, part->memory_bytes);
    return rc;
}

static weft_rc prefault(struct weft_cache_parts *parts)
{
    parts->prefault = true;
    for (uint32_t i = 0; i < parts->count; i++) {
        struct weft_cache_part *part = &parts->parts[i];
        if (!weft_cache_part_make(part))
            return WEFT_ENOMEM;
        WEFT_TRY(weft_map_touch(part->memory, part->store.table_bytes));
        WEFT_TRY(weft_region_prefault(&part->store.region));
    }
    return 0;
}

weft_rc weft_cache_open(weft_cache *cache, const struct weft_cache_options *options)
{
    weft_assert(options->backend_count <= WEFT_CACHE_BACKENDS_MAX);
    if (cache->parts != NULL)
        return WEFT_ESTATE;
    if (weft_cache_wrong(cache) != NULL)
        return WEFT_ECONFIG;
    uint32_t count = weft_cache_part_count(cache, options->workers);
    struct weft_cache_parts *parts = aligned_alloc(
        _Alignof(struct weft_cache_parts), sizeof(*parts) + count * sizeof(parts->parts[0]));
    if (parts == NULL)
        return WEFT_ENOMEM;
    memset(parts, 0, sizeof(*parts) + count * sizeof(parts->parts[0]));
    parts->cache = cache;
    weft_hash_key_make(&parts->key);
    memcpy(parts->backends, options->backends, sizeof(parts->backends));
    parts->backend_count = options->backend_count;
    weft_cache_writes_init(&parts->writes);
    cache->parts = parts;
    weft_rc rc = 0;
    for (uint32_t i = 0; i < count && rc == 0; i++) {
        rc = open_part(parts, i, count, options);
        parts->count += rc == 0;
    }
    if (rc == 0 && options->prefault)
        rc = prefault(parts);
    if (rc != 0)
        weft_cache_close(cache);
    return rc;
}

static void close_part(struct weft_cache_part *part)
{
    weft_assert(part->flights.end == 0);
    if (part->memory != NULL) {
        weft_cache_store_fini(&part->store);
        weft_account_untell(part->account, part->memory);
        munmap(part->memory, part->memory_bytes);
    }
    weft_account_release(part->account, part->memory_bytes);
    pthread_rwlock_destroy(&part->lock);
}

void weft_cache_close(weft_cache *cache)
{
    struct weft_cache_parts *parts = cache->parts;
    if (parts == NULL)
        return;
    cache->parts = NULL;
    for (uint32_t i = 0; i < parts->count; i++)
        close_part(&parts->parts[i]);
    weft_cache_writes_fini(&parts->writes);
    free(parts);
}

/* ---- a part ---- */

/* The lock is held, or nobody else is there yet. */
bool weft_cache_part_make(struct weft_cache_part *part)
{
    if (part->memory != NULL)
        return true;
    void *memory = weft_map(part->memory_bytes);
    if (memory == NULL)
        return false; /* nothing is kept: the next insertion tries again */
    weft_account_place(part->account, memory, part->memory_bytes);
    weft_account_tell(part->account, memory, part->memory_bytes);
    weft_cache_store_init(&part->store, part->account, memory, &part->limits);
    part->memory = memory;
    return true;
}

void weft_cache_part_read(struct weft_cache_part *part)
{
    int failed = part->limits.policy == WEFT_CACHE_LRU ? pthread_rwlock_wrlock(&part->lock)
                                                       : pthread_rwlock_rdlock(&part->lock);
    weft_assert(failed == 0);
}

void weft_cache_part_write(struct weft_cache_part *part)
{
    int failed = pthread_rwlock_wrlock(&part->lock);
    weft_assert(failed == 0);
}

void weft_cache_part_unlock(struct weft_cache_part *part)
{
    pthread_rwlock_unlock(&part->lock);
}

struct weft_cache_entry *weft_cache_part_find(struct weft_cache_part *part, uint64_t hash,
                                              weft_str key, uint64_t now_ms)
{
    struct weft_cache_entry *entry = NULL;
    weft_cache_part_read(part);
    if (part->memory != NULL)
        entry = weft_cache_store_find(&part->store, hash, key, now_ms);
    weft_cache_part_unlock(part);
    return entry;
}

void weft_cache_part_give_back(struct weft_cache_part *part, struct weft_cache_entry *entry)
{
    if (weft_cache_entry_unref(entry))
        return;
    weft_cache_part_write(part);
    weft_cache_store_free(&part->store, entry);
    weft_cache_part_unlock(part);
}

weft_rc weft_cache_part_reserve(struct weft_cache_part *part, uint64_t hash, weft_str key,
                                size_t value_bytes, uint64_t now_ms, uint64_t *out_evicted,
                                struct weft_cache_entry **out)
{
    weft_cache_part_write(part);
    weft_rc rc = WEFT_EFULL;
    uint64_t before = part->store.evicted;
    if (weft_cache_part_make(part))
        rc = weft_cache_store_reserve(&part->store, hash, key, value_bytes, now_ms, out);
    *out_evicted = part->store.evicted - before;
    weft_cache_part_unlock(part);
    return rc;
}

/* ---- from outside of requests ---- */

bool weft_cache_reclaim(weft_cache *cache, uint64_t now_ms, size_t bytes_max, uint32_t shrink)
{
    struct weft_cache_parts *parts = cache->parts;
    bool more = false;
    for (uint32_t i = 0; parts != NULL && i < parts->count; i++) {
        struct weft_cache_part *part = &parts->parts[i];
        weft_cache_part_write(part);
        if (part->memory != NULL) {
            (void)weft_cache_store_sweep(&part->store, now_ms, SWEEP_LOOK);
            (void)weft_cache_store_shrink(&part->store, now_ms, shrink);
            if (!parts->prefault)
                more |= weft_region_trim(&part->store.region, bytes_max) >= bytes_max;
        }
        weft_cache_part_unlock(part);
    }
    return more;
}

static void add_part(weft_cache_stats *stats, struct weft_cache_part *part)
{
    stats->entries_max += part->limits.entries_max;
    stats->bytes_max += part->limits.bytes_max;
    stats->hits += atomic_load_explicit(&part->hits, memory_order_relaxed);
    stats->misses += atomic_load_explicit(&part->misses, memory_order_relaxed);
    stats->joined += atomic_load_explicit(&part->joined, memory_order_relaxed);
    pthread_rwlock_rdlock(&part->lock);
    stats->entries += part->store.count;
    stats->bytes += part->store.region.used;
    stats->inserted += part->store.inserted;
    stats->evicted += part->store.evicted;
    stats->expired += part->store.expired;
    stats->refused += part->store.refused;
    weft_cache_part_unlock(part);
}

weft_cache_stats weft_cache_stats_of(const weft_cache *cache)
{
    weft_cache_stats stats = {0};
    struct weft_cache_parts *parts = cache->parts;
    for (uint32_t i = 0; parts != NULL && i < parts->count; i++)
        add_part(&stats, &parts->parts[i]);
    return stats;
}
