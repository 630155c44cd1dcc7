/* objects.c - see weft/mem.h. Pools by handle, with a lock where several workers share one.
 *
 * The lock is held for a few dozen instructions, so a waiter spins a little before it sleeps. It
 * nests, so that what holds a pool still may use it. Handles that leave the process start at
 * generation 1: a zero, forgotten somewhere, names nothing.
 */
#include "mem/objects.h"
#include "base/log.h"
#include "base/mutex.h"
#include "mem/pool.h"
#include <pthread.h>
#include <stdlib.h>

#define NO_WORKER UINT32_MAX

struct part {
    struct weft_pool pool;
    /* written by who may take; read from anywhere */
    _Atomic uint32_t made; /* slots [0, made) hold an object, out or not */
    _Atomic uint64_t taken;
    _Atomic uint64_t stale;
};

struct weft_object_store {
    pthread_mutex_t lock;
    const void *_Atomic owner; /* of the lock: a thread's `self` */
    uint32_t depth;            /* of the owner's locking */
    uint32_t part_count;       /* 1, or one per worker */
    struct part parts[];
};

static _Thread_local uint32_t self = NO_WORKER; /* its address also tells threads apart */

void weft_objects_enter(uint32_t worker)
{
    self = worker;
}

static uint32_t parts_of(const weft_objects *objects, uint32_t workers)
{
    return objects->per_worker ? workers : 1;
}

size_t weft_objects_bytes(const weft_objects *objects, uint32_t workers)
{
    return parts_of(objects, workers) * weft_pool_bytes(objects->object_bytes, objects->capacity);
}

/* ---- which are open, for a checked build ---- */

#ifdef WEFT_CHECKED
#define OPEN_MAX 64 /* more are not looked at */
static weft_objects *_Atomic open_ones[OPEN_MAX];

static void swap_open(weft_objects *from, weft_objects *to)
{
    for (size_t i = 0; i < OPEN_MAX; i++) {
        weft_objects *expected = from;
        if (atomic_compare_exchange_strong(&open_ones[i], &expected, to))
            return;
    }
}

static void each_of(const weft_objects *objects, const struct weft_pool *pool,
                    void (*look)(void *arg, const weft_objects *objects, const void *object),
                    void *arg)
{
    for (uint32_t i = 0; i < pool->free.fresh; i++)
        if (weft_pool_is_out(pool, i))
            look(arg, objects, weft_pool_at(pool, i));
}

void weft_objects_each(void (*look)(void *arg, const weft_objects *objects, const void *object),
                       void *arg)
{
    for (size_t i = 0; i < OPEN_MAX; i++) {
        const weft_objects *objects = atomic_load(&open_ones[i]);
        for (uint32_t p = 0; objects != NULL && p < objects->store->part_count; p++)
            each_of(objects, &objects->store->parts[p].pool, look, arg);
    }
}
#else
static void swap_open(weft_objects *from, weft_objects *to)
{
    (void)from, (void)to;
}
#endif

/* ---- opening and closing ---- */

static void close_part(weft_objects *objects, struct part *part)
{
    struct weft_pool *pool = &part->pool;
    for (uint32_t i = 0; i < atomic_load(&part->made); i++) {
        bool out = weft_pool_is_out(pool, i);
#ifdef WEFT_CHECKED
        bool alive = out; /* the others went when they were put */
#else
        bool alive = true;
#endif
        if (alive && objects->fini != NULL)
            objects->fini(weft_pool_at(pool, i));
        if (out)
            weft_pool_put(pool, i);
    }
    weft_pool_fini(pool);
}

void weft_objects_close(weft_objects *objects)
{
    struct weft_object_store *store = objects->store;
    if (store == NULL)
        return;
    swap_open(objects, NULL);
    objects->store = NULL;
    for (uint32_t i = 0; i < store->part_count; i++)
        close_part(objects, &store->parts[i]);
    pthread_mutex_destroy(&store->lock);
    free(store);
}

static weft_rc open_lock(struct weft_object_store *store)
{
    pthread_mutexattr_t attr;
    if (pthread_mutexattr_init(&attr) != 0)
        return WEFT_ENOMEM;
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
    int failed = pthread_mutex_init(&store->lock, &attr);
    pthread_mutexattr_destroy(&attr);
    return failed ? WEFT_ENOMEM : 0;
}

weft_rc weft_objects_open(weft_objects *objects, struct weft_ledger *ledger, uint32_t workers)
{
    if (objects->store != NULL)
        return WEFT_ESTATE;
    uint32_t parts = parts_of(objects, workers);
    if ((uint64_t)parts * objects->capacity > UINT32_MAX)
        return WEFT_EFULL; /* an index would not fit into its handle */
    struct weft_object_store *store = calloc(1, sizeof(*store) + parts * sizeof(store->parts[0]));
    if (store == NULL)
        return WEFT_ENOMEM;
    if (open_lock(store) != 0) {
        free(store);
        return WEFT_ENOMEM;
    }
    objects->store = store;
    weft_rc rc = 0;
    for (uint32_t i = 0; i < parts && rc == 0; i++) {
        struct weft_account *account = NULL;
        rc = weft_account_open(ledger, objects->name_z,
                               objects->per_worker ? i : WEFT_ACCOUNT_PROCESS, &account);
        if (rc == 0)
            rc = weft_pool_init(&store->parts[i].pool, account, objects->object_bytes,
                                objects->capacity);
        store->part_count += rc == 0;
    }
    if (rc != 0)
        weft_objects_close(objects);
    else
        swap_open(NULL, objects);
    return rc;
}

weft_rc weft_objects_prefault(weft_objects *objects)
{
    struct weft_object_store *store = objects->store;
    for (uint32_t i = 0; store != NULL && i < store->part_count; i++)
        WEFT_TRY(weft_pool_prefault(&store->parts[i].pool, objects->capacity));
    return 0;
}

/* ---- the lock ---- */

static void lock(weft_objects *objects, struct weft_object_store *store)
{
    if (objects->per_worker)
        return;
    if (atomic_load_explicit(&store->owner, memory_order_relaxed) != &self) {
        weft_mutex_lock(&store->lock);
        atomic_store_explicit(&store->owner, &self, memory_order_relaxed);
    }
    store->depth++;
}

static void unlock(weft_objects *objects, struct weft_object_store *store)
{
    if (objects->per_worker)
        return;
    weft_assert(atomic_load_explicit(&store->owner, memory_order_relaxed) == &self);
    if (--store->depth > 0)
        return;
    atomic_store_explicit(&store->owner, NULL, memory_order_relaxed);
    weft_mutex_unlock(&store->lock);
}

void weft_objects_lock(weft_objects *objects)
{
    if (objects->store != NULL)
        lock(objects, objects->store);
}

void weft_objects_unlock(weft_objects *objects)
{
    if (objects->store != NULL)
        unlock(objects, objects->store);
}

/* ---- handles ---- */

/* The part that the calling thread may use; NULL: none. */
static struct part *own_part(const weft_objects *objects, uint32_t *out_first)
{
    struct weft_object_store *store = objects->store;
    uint32_t i = objects->per_worker ? self : 0;
    if (store == NULL || i >= store->part_count)
        return NULL;
    *out_first = i * objects->capacity; /* indexes of workers follow each other */
    return &store->parts[i];
}

static weft_handle handle_at(const struct part *part, uint32_t first, uint32_t index)
{
    struct weft_handle inner = weft_pool_handle(&part->pool, index);
    return (uint64_t)(inner.generation + 1) << 32 | (first + index);
}

/* Another worker's handle has an index out of range. */
static struct weft_handle inner_of(uint32_t first, weft_handle handle)
{
    return (struct weft_handle){(uint32_t)handle - first, (uint32_t)(handle >> 32) - 1};
}

/* ---- take, get, put ---- */

static uint32_t made_of(const struct part *part)
{
    return atomic_load_explicit(&part->made, memory_order_relaxed);
}

static void count(_Atomic uint64_t *counter)
{
    uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, now + 1, memory_order_relaxed);
}

/* A checked build overwrote what was put, so what init() had made is made again. */
static void make(const weft_objects *objects, void *object, bool fresh)
{
#ifdef WEFT_CHECKED
    if (!fresh)
        memset(object, 0, objects->object_bytes);
    fresh = true;
#endif
    if (fresh)
        objects->init(object);
}

static void make_ready(const weft_objects *objects, struct part *part, uint32_t index)
{
    void *object = weft_pool_at(&part->pool, index);
    bool fresh = index == made_of(part);
    if (fresh)
        atomic_store_explicit(&part->made, index + 1, memory_order_relaxed);
    if (objects->init != NULL)
        make(objects, object, fresh);
    else if (objects->reset == NULL)
        memset(object, 0, objects->object_bytes);
    if (objects->reset != NULL && !(fresh && objects->init != NULL))
        objects->reset(object);
}

void *weft_objects_take(weft_objects *objects, weft_handle *out_handle)
{
    uint32_t first = 0;
    struct part *part = own_part(objects, &first);
    if (part == NULL) {
        if (objects->store == NULL) /* else it would look full */
            WEFT_LOG_LIMITED(1, WEFT_LOG_ERROR,
                             "objects %s: of no application that runs (weft_app_objects)",
                             objects->name_z);
        return NULL;
    }
    void *object = NULL;
    lock(objects, objects->store);
    uint32_t index = weft_pool_take(&part->pool);
    if (index != WEFT_POOL_NONE) {
        make_ready(objects, part, index);
        count(&part->taken);
        object = weft_pool_at(&part->pool, index);
        *out_handle = handle_at(part, first, index);
    }
    unlock(objects, objects->store);
    return object;
}

void *weft_objects_get(weft_objects *objects, weft_handle handle)
{
    uint32_t first = 0;
    struct part *part = own_part(objects, &first);
    if (part == NULL)
        return NULL;
    lock(objects, objects->store);
    void *object = weft_pool_get(&part->pool, inner_of(first, handle));
    unlock(objects, objects->store);
    return object;
}

weft_rc weft_objects_put(weft_objects *objects, weft_handle handle)
{
    uint32_t first = 0;
    struct part *part = own_part(objects, &first);
    if (part == NULL)
        return WEFT_ESTALE;
    lock(objects, objects->store);
    struct weft_handle inner = inner_of(first, handle);
#ifdef WEFT_CHECKED
    void *object = weft_pool_get(&part->pool, inner);
    if (object != NULL && objects->fini != NULL)
        objects->fini(object);
#endif
    weft_rc rc = weft_pool_return(&part->pool, inner);
    if (rc != 0)
        count(&part->stale);
    unlock(objects, objects->store);
    return rc;
}

void *weft_objects_next(weft_objects *objects, weft_handle *handle)
{
    uint32_t first = 0;
    struct part *part = own_part(objects, &first);
    if (part == NULL)
        return NULL;
    void *object = NULL;
    lock(objects, objects->store);
    uint32_t index = *handle == 0 ? 0 : inner_of(first, *handle).index + 1;
    uint32_t made = made_of(part);
    while (index < made && !weft_pool_is_out(&part->pool, index))
        index++;
    if (index < made) {
        object = weft_pool_at(&part->pool, index);
        *handle = handle_at(part, first, index);
    }
    unlock(objects, objects->store);
    return object;
}

bool weft_objects_reclaim(weft_objects *objects, bool window_over, size_t bytes_max)
{
    uint32_t first = 0;
    struct part *part = own_part(objects, &first);
    if (part == NULL || objects->init != NULL)
        return false;
    struct weft_pool *pool = &part->pool;
    lock(objects, objects->store);
    if (window_over)
        weft_pool_age(pool);
    (void)weft_pool_trim(pool, bytes_max);
    bool more = weft_lifo_count(&pool->free) > pool->free.looked;
    unlock(objects, objects->store);
    return more;
}

uint64_t weft_objects_activity(const weft_objects *objects, uint32_t worker)
{
    const struct weft_object_store *store = objects->store;
    if (store == NULL || !objects->per_worker || objects->init != NULL ||
        worker >= store->part_count)
        return 0;
    const struct part *part = &store->parts[worker];
    uint64_t taken = atomic_load_explicit(&part->taken, memory_order_relaxed);
    return 2 * taken - weft_pool_used(&part->pool); /* each take and each put adds one */
}

weft_objects_stats weft_objects_stats_of(const weft_objects *objects)
{
    weft_objects_stats stats = {0};
    const struct weft_object_store *store = objects->store;
    for (uint32_t i = 0; store != NULL && i < store->part_count; i++) {
        const struct part *part = &store->parts[i];
        const struct weft_account *account = part->pool.account;
        stats.capacity += objects->capacity;
        stats.used += weft_pool_used(&part->pool);
        stats.made += made_of(part);
        stats.taken += atomic_load_explicit(&part->taken, memory_order_relaxed);
        stats.stale += atomic_load_explicit(&part->stale, memory_order_relaxed);
        stats.refused += atomic_load_explicit(&account->refused, memory_order_relaxed);
    }
    return stats;
}
