/* filter.h - what stands between an answer's body and the protocol: content codings, so far.
 *
 * The service has one or none. It is asked when a stream begins and when a handler has answered
 * whole; what it takes on goes through its sink, which hands on to the request's exchange.
 *
 * Lifetime: worker.
 * Threads:  the owner worker only, on the request's task.
 * Memory:   the filter's own; of a request: its field `coder`.
 */
#ifndef WEFT_HTTP_FILTER_H
#define WEFT_HTTP_FILTER_H

#include "http/message.h"

struct weft_filter {
    /* For requests whose `coder` is set: room, commit, write, write_file, flush, end and pause are
     * there, and do what those of the exchange do. */
    const struct weft_exchange_ops *sink;
    /* A stream is about to queue its head: may add fields, and set `coder`.
     * returns  0; else the request is answered otherwise already */
    weft_rc (*begin)(weft_req *rq);
    /* The chain has run; the body is whole, or nothing was answered that could be changed. May
     * wait. returns  0; < 0: a stream that was begun here broke off */
    weft_rc (*whole)(weft_req *rq);
    /* Take `coder` back, whatever state it is in; sets it to 0. */
    void (*drop)(weft_req *rq);
};

#endif
