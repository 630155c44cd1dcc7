/* cache_flight.c - see cache_flight.h. A short table that is searched from its start: a miss costs
 * a system call or two anyway. */
#include "serve/cache/cache_flight.h"
#include "base/str.h"

struct weft_cache_flight *weft_cache_flight_find(struct weft_cache_flights *flights, uint64_t hash,
                                                 weft_str key)
{
    for (uint32_t i = 0; i < flights->end; i++) {
        struct weft_cache_flight *flight = &flights->all[i];
        if (flight->key.ptr != NULL && flight->hash == hash && weft_str_eq(flight->key, key))
            return flight;
    }
    return NULL;
}

struct weft_cache_flight *weft_cache_flight_begin(struct weft_cache_flights *flights, uint64_t hash,
                                                  weft_str key, const weft_req *leader)
{
    uint32_t i = 0;
    while (i < flights->end && flights->all[i].key.ptr != NULL)
        i++;
    if (i == WEFT_CACHE_FLIGHTS_MAX)
        return NULL;
    flights->end = WEFT_MAX(flights->end, i + 1);
    flights->all[i] = (struct weft_cache_flight){.hash = hash, .key = key, .leader = leader};
    return &flights->all[i];
}

static void over(struct weft_post *post)
{
    struct weft_cache_waiter *waiter = WEFT_CONTAINER_OF(post, struct weft_cache_waiter, post);
    waiter->arrived = true;
    weft_req_resume(waiter->rq, 0);
}

void weft_cache_flight_join(struct weft_cache_flight *flight, struct weft_cache_waiter *waiter,
                            weft_req *rq)
{
    *waiter = (struct weft_cache_waiter){
        .next = flight->waiters, .post = {.run = over}, .rq = rq, .flight = flight};
    flight->waiters = waiter;
}

bool weft_cache_flight_leave(struct weft_cache_waiter *waiter)
{
    if (waiter->flight == NULL)
        return false;
    struct weft_cache_waiter **at = &waiter->flight->waiters;
    while (*at != waiter)
        at = &(*at)->next;
    *at = waiter->next;
    waiter->flight = NULL;
    return true;
}

struct weft_cache_waiter *weft_cache_flight_land(struct weft_cache_flights *flights,
                                                 struct weft_cache_flight *flight, weft_rc rc)
{
    struct weft_cache_waiter *waiters = flight->waiters;
    for (struct weft_cache_waiter *waiter = waiters; waiter != NULL; waiter = waiter->next) {
        waiter->rc = rc;
        waiter->flight = NULL;
    }
    *flight = (struct weft_cache_flight){0};
    while (flights->end > 0 && flights->all[flights->end - 1].key.ptr == NULL)
        flights->end--;
    return waiters;
}

void weft_cache_flight_tell(struct weft_cache_waiter *waiters)
{
    while (waiters != NULL) {
        struct weft_cache_waiter *waiter = waiters;
        waiters = waiter->next; /* it may be gone as soon as it is posted */
        weft_loop_post(waiter->rq->loop, &waiter->post);
    }
}
