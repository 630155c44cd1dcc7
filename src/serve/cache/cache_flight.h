/* cache_flight.h - one makes the value of a key, those who ask meanwhile wait for it.
 *
 * A flight is a key whose value is under way. Its leader and those who wait may be on different
 * workers: who waits lies on his own stack and is told by a post to his loop. One who is canceled
 * leaves by himself; when he was told already he waits for that post, which points at him.
 *
 * Lifetime: the table: its part's. A waiter: the call it lies in the stack of.
 * Threads:  everything under the part's lock, but weft_cache_flight_tell(), behind it.
 * Memory:   sizeof(struct weft_cache_flights), 3 KiB of a part; no more flights than that.
 */
#ifndef WEFT_SERVE_CACHE_CACHE_FLIGHT_H
#define WEFT_SERVE_CACHE_CACHE_FLIGHT_H

#include "http/message.h"

#define WEFT_CACHE_FLIGHTS_MAX 64 /* of one part at once; beyond, each makes its own value */

struct weft_cache_flight;

struct weft_cache_waiter {
    struct weft_cache_waiter *next;
    struct weft_post post;
    weft_req *rq;
    struct weft_cache_flight *flight; /* NULL: told */
    weft_rc rc;                       /* what it was told */
    bool arrived;                     /* the post has run; its own worker's */
};

struct weft_cache_flight {
    uint64_t hash;
    weft_str key;           /* borrowed: of the leader's request; ptr NULL: free */
    const weft_req *leader; /* who would wait for himself makes it a second time */
    struct weft_cache_waiter *waiters;
    bool stale; /* the key was set or deleted meanwhile: what is made is not kept */
};

struct weft_cache_flights {
    struct weft_cache_flight all[WEFT_CACHE_FLIGHTS_MAX];
    uint32_t end; /* those behind it are free */
};

struct weft_cache_flight *weft_cache_flight_find(struct weft_cache_flights *flights, uint64_t hash,
                                                 weft_str key);

/** returns  NULL: as many are under way as may */
struct weft_cache_flight *weft_cache_flight_begin(struct weft_cache_flights *flights, uint64_t hash,
                                                  weft_str key, const weft_req *leader);

void weft_cache_flight_join(struct weft_cache_flight *flight, struct weft_cache_waiter *waiter,
                            weft_req *rq);

/** Leave before having been told. returns  false: it was told, the post is on its way */
bool weft_cache_flight_leave(struct weft_cache_waiter *waiter);

/** The value is there, or is not: the flight is over.
 *  rc       what those who wait are to hear
 *  returns  them, for weft_cache_flight_tell() */
struct weft_cache_waiter *weft_cache_flight_land(struct weft_cache_flights *flights,
                                                 struct weft_cache_flight *flight, weft_rc rc);

/** Post it to each. They are gone afterwards. */
void weft_cache_flight_tell(struct weft_cache_waiter *waiters);

#endif
