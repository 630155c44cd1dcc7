/* upstream.h - the connections to one other server, shared by all workers: at most so many, who
 * comes later waits in a queue of limited length, and what waiting costs in bytes is known.
 *
 * The pool deals in indexes 0 .. conn_count - 1; what lies behind one is its user's, who has it for
 * himself from acquire to release. The index given back last goes out first: so connections that
 * are open are used before new ones are made.
 *
 *   INITIALIZED --open--> ACTIVE --close--> CLOSING --last one is back--> TERMINATED
 *
 * Nothing goes out but in ACTIVE. A lock, because each step takes a few dozen ns and a step of the
 * other server takes thousands: nobody waits for it that would be seen.
 *
 * Lifetime: process.
 * Threads:  any; close waits, so it is for a thread that may.
 * Memory:   sizeof(struct weft_upstream); who waits brings his own place in the queue.
 */
#ifndef WEFT_IO_UPSTREAM_H
#define WEFT_IO_UPSTREAM_H

#include <pthread.h>
#include "base/base.h"

#define WEFT_UPSTREAM_CONNS_MAX 256
#define WEFT_UPSTREAM_NONE      UINT32_MAX

enum weft_upstream_state {
    WEFT_UPSTREAM_INITIALIZED,
    WEFT_UPSTREAM_ACTIVE,
    WEFT_UPSTREAM_CLOSING,
    WEFT_UPSTREAM_TERMINATED,
};

/* A place in the queue: the caller's, until told() is called or weft_upstream_forget() is true. */
struct weft_upstream_waiter {
    struct weft_upstream_waiter *next, *prev;
    bool queued;
    /** What is handed over; WEFT_UPSTREAM_NONE: nothing, the pool is closing. */
    uint32_t conn;
    /** Called once, on the thread that released or closed; without the lock. */
    void (*told)(struct weft_upstream_waiter *waiter);
};

struct weft_upstream {
    const char *name_z; /* borrowed: static; in reports */
    pthread_mutex_t lock;
    pthread_cond_t ended;                   /* the state became TERMINATED */
    _Atomic int state;                      /* enum weft_upstream_state */
    _Atomic uint32_t out;                   /* with their users */
    _Atomic uint32_t queued;                /* waiters */
    _Atomic uint32_t requests_waiting;      /* on this server: hold and drop */
    _Atomic size_t bytes_waiting;           /* what those hold meanwhile */
    _Atomic uint64_t refused;               /* acquires answered WEFT_EFULL, since init */
    uint32_t conn_count, queue_max;         /* limits, fixed at init */
    uint32_t free_count;                    /* entries of free, newest last */
    uint16_t free[WEFT_UPSTREAM_CONNS_MAX]; /* indexes that are in */
    struct weft_upstream_waiter *first, *last;
};

/** INITIALIZED: nothing goes out yet.
 *  name_z      static
 *  conn_count  1..WEFT_UPSTREAM_CONNS_MAX
 *  queue_max   waiters at once; 0: nobody waits */
void weft_upstream_init(struct weft_upstream *upstream, const char *name_z, uint32_t conn_count,
                        uint32_t queue_max);

/** returns  0; WEFT_ESTATE: it was opened, or closed, before */
WEFT_CHECK weft_rc weft_upstream_open(struct weft_upstream *upstream);

/** Take a connection.
 *  waiter   a place in the queue, with told() set, for when all are out; NULL: not to wait
 *  returns  0: *out_conn is the caller's until release. WEFT_NEXT: the waiter is queued.
 * WEFT_EFULL: all are out, and so is the queue. WEFT_ESTATE: not ACTIVE */
WEFT_CHECK weft_rc weft_upstream_acquire(struct weft_upstream *upstream,
                                         struct weft_upstream_waiter *waiter, uint32_t *out_conn);

/** Give back what acquire or told() gave: to who has waited longest, if anybody does. */
void weft_upstream_release(struct weft_upstream *upstream, uint32_t conn);

/** Not to wait any longer.
 *  returns  true: it is out of the queue. false: told() was called, or is about to be: wait for it,
 *           and release what it brings */
WEFT_CHECK bool weft_upstream_forget(struct weft_upstream *upstream,
                                     struct weft_upstream_waiter *waiter);

/** From now on nothing goes out, and who waits is told so; wait until everything is back.
 *  returns  0: TERMINATED. WEFT_EDEADLINE: something is still out after wait_ms; it stays CLOSING,
 *           and ends with the last release. Call again to wait again */
WEFT_CHECK weft_rc weft_upstream_close(struct weft_upstream *upstream, uint32_t wait_ms);

/** After everything is back; of a pool of zeros: nothing. */
void weft_upstream_fini(struct weft_upstream *upstream);

static inline enum weft_upstream_state weft_upstream_state(const struct weft_upstream *upstream)
{
    return (enum weft_upstream_state)atomic_load_explicit(&upstream->state, memory_order_relaxed);
}

/** A request waits on this server, in the queue or for its answer, and holds so many bytes; it does
 *  no longer. */
void weft_upstream_hold(struct weft_upstream *upstream, size_t bytes);
void weft_upstream_drop(struct weft_upstream *upstream, size_t bytes);

#endif
