/* lease.h - a request has a connection to another server for a while: it waits for its turn in the
 * pool's queue, until a deadline, and what it holds meanwhile is in the pool's figure of bytes that
 * wait on that server.
 *
 * Lifetime: request, from take to give; on the handler's stack.
 * Threads:  the request's worker. The pool is everybody's.
 * Memory:   none but the struct.
 */
#ifndef WEFT_SERVE_CACHE_LEASE_H
#define WEFT_SERVE_CACHE_LEASE_H

#include <weft/request.h>
#include "io/upstream.h"

struct weft_lease {
    struct weft_upstream *upstream; /* borrowed: outlives the request */
    size_t held_bytes;              /* booked as waiting */
    uint32_t conn;
    bool waited; /* it came out of the queue */
};

/** Have a connection; on the request's task. Its bytes are booked from here on.
 *  wait_ms  for the connection, at most; 0: not at all
 *  returns  0: give it back. WEFT_EFULL: none is free, and the queue is full (or the request may
 * not wait now: no stack, no buffer). -ETIMEDOUT: none came free in time. WEFT_ESTATE: the pool is
 * not open. Why the request is canceled, when it is */
WEFT_CHECK weft_rc weft_lease_take(weft_req *rq, struct weft_upstream *upstream, uint64_t wait_ms,
                                   struct weft_lease *out);

/** Give it back, also of a request that is canceled. */
void weft_lease_give(struct weft_lease *lease);

#endif
