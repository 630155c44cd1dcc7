/* usage.h - what each route, and each place in the program that allocates, holds and has had.
 *
 * One set per worker, so every figure has one writer. The first 256 routes have a row of their own;
 * the rest, and likewise the rest of the places, share one: "other". Requests without a route have
 * the row "(none)".
 *
 * Lifetime: worker, part of its service. Places: process; they are static data of the program.
 * Threads:  the owner worker writes (relaxed load and store); anybody reads.
 * Memory:   weft_usage_bytes(): 128 bytes per route, 24 per place.
 */
#ifndef WEFT_HTTP_USAGE_H
#define WEFT_HTTP_USAGE_H

#include <weft/request.h>
#include "base/base.h"

#define WEFT_USAGE_ROUTES_MAX 256u
#define WEFT_USAGE_SITES_MAX  256u /* places; ids 1 .. 256, and 0 for "other" */

/* Bytes of one kind: held now, and the most at once on this worker. */
struct weft_usage_held {
    _Atomic size_t now, peak;
};

struct weft_route_usage {
    _Alignas(64) _Atomic uint64_t requests;
    _Atomic uint64_t allocs;       /* calls for arena memory that were answered */
    _Atomic uint64_t alloc_bytes;  /* that they asked for */
    _Atomic uint64_t body_bytes;   /* of request bodies that handlers read */
    _Atomic uint64_t answer_bytes; /* of bodies that they were answered with */
    _Atomic uint64_t copied_bytes; /* of those, moved from one place of user memory to another: a
                                      byte that was moved twice counts twice */
    _Atomic uint64_t waits;
    _Atomic uint64_t slots;       /* of pools, taken by its requests: objects, chunks, blocks .. */
    struct weft_usage_held arena; /* chunks */
    struct weft_usage_held stack; /* pages under handlers that wait */
    struct weft_usage_held body;  /* pieces of request bodies that handlers look at */
    struct weft_usage_held heap;  /* as charged: weft_charge() */
};

struct weft_site_usage {
    _Atomic uint64_t allocs, alloc_bytes;
    _Atomic size_t live; /* bytes asked for by requests that have not ended */
};

struct weft_usage {
    struct weft_route_usage *routes; /* owned: "(none)", then by index, "other" last */
    struct weft_site_usage *sites;   /* owned, same mapping: by id */
    uint32_t route_count;            /* rows of routes */
};

/** What a set for so many routes costs, whole pages. */
size_t weft_usage_bytes(size_t routes);

/** returns  0 or WEFT_ENOMEM */
WEFT_CHECK weft_rc weft_usage_init(struct weft_usage *usage, size_t routes);
void weft_usage_fini(struct weft_usage *usage);

/** The row of a route by its index in the site. */
static inline struct weft_route_usage *weft_usage_of(const struct weft_usage *usage, uint32_t index)
{
    return &usage->routes[WEFT_MIN(index + 1, usage->route_count - 1)];
}

/** The id of a place, given when it is first come by; 0 when all are given. Any thread. */
uint32_t weft_usage_site_new(struct weft_alloc_site *site);

static inline uint32_t weft_usage_site_id(struct weft_alloc_site *site)
{
    uint32_t id = __atomic_load_n(&site->id, __ATOMIC_RELAXED);
    if (WEFT_UNLIKELY(id == 0))
        id = weft_usage_site_new(site);
    return id & (WEFT_USAGE_SITES_MAX * 2 - 1);
}

/** The place of an id; NULL: none has it. */
const struct weft_alloc_site *weft_usage_site(uint32_t id);

/* What a request holds by place, one number each: the id above, bytes below. */
#define WEFT_USAGE_LIVE_BITS 48

static inline uint64_t weft_usage_live_entry(uint32_t id)
{
    return (uint64_t)id << WEFT_USAGE_LIVE_BITS;
}

static inline uint32_t weft_usage_live_id(uint64_t entry)
{
    return (uint32_t)(entry >> WEFT_USAGE_LIVE_BITS);
}

/** `bytes` more are alive at the entry's place. */
static inline void weft_usage_live(const struct weft_usage *usage, uint64_t entry, size_t bytes)
{
    _Atomic size_t *live = &usage->sites[weft_usage_live_id(entry)].live;
    atomic_store_explicit(live, atomic_load_explicit(live, memory_order_relaxed) + bytes,
                          memory_order_relaxed);
}

/** All of the entry's bytes are gone. */
static inline void weft_usage_unlive(const struct weft_usage *usage, uint64_t entry)
{
    size_t bytes = (size_t)(entry & (((uint64_t)1 << WEFT_USAGE_LIVE_BITS) - 1));
    weft_usage_live(usage, entry, (size_t)0 - bytes);
}

static inline void weft_usage_add(_Atomic uint64_t *figure, uint64_t n)
{
    atomic_store_explicit(figure, atomic_load_explicit(figure, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static inline void weft_usage_hold(struct weft_usage_held *held, size_t bytes)
{
    size_t now = atomic_load_explicit(&held->now, memory_order_relaxed) + bytes;
    atomic_store_explicit(&held->now, now, memory_order_relaxed);
    if (now > atomic_load_explicit(&held->peak, memory_order_relaxed))
        atomic_store_explicit(&held->peak, now, memory_order_relaxed);
}

static inline void weft_usage_drop(struct weft_usage_held *held, size_t bytes)
{
    size_t now = atomic_load_explicit(&held->now, memory_order_relaxed);
    weft_debug_assert(now >= bytes);
    atomic_store_explicit(&held->now, now - bytes, memory_order_relaxed);
}

#endif
