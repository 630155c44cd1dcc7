/* chain.h - middleware: what runs before and after a handler, a flat array per route.
 *
 * before(rq) in order: WEFT_NEXT goes on, anything else ends it there. after(rq) in reverse, for
 * those whose before had run (or that have none).
 *
 * Lifetime: process: resolved when a route is added.
 * Threads:  immutable once workers run.
 * Memory:   sizeof(struct weft_chain) per route; nothing per request.
 */
#ifndef WEFT_HTTP_CHAIN_H
#define WEFT_HTTP_CHAIN_H

#include <weft/request.h>
#include "base/base.h"

#define WEFT_CHAIN_MAX 16

struct weft_link {
    weft_handler_fn before; /* NULL: none */
    weft_after_fn after;    /* NULL: none */
};

struct weft_chain {
    uint32_t count;
    struct weft_link links[WEFT_CHAIN_MAX];
};

/** returns  0; WEFT_EFULL: WEFT_CHAIN_MAX are in it */
WEFT_CHECK weft_rc weft_chain_add(struct weft_chain *chain, weft_handler_fn before,
                                  weft_after_fn after);

/* The links of a chain, around the handler. */
WEFT_CHECK weft_rc weft_chain_run_links(const struct weft_chain *chain, weft_req *rq,
                                        weft_handler_fn handler,
                                        void (*failed)(weft_req *rq, weft_rc rc));

/** All befores, the handler, all afters. `failed` turns a negative result into an answer before the
 *  afters see it. */
WEFT_CHECK static inline weft_rc weft_chain_run(const struct weft_chain *chain, weft_req *rq,
                                                weft_handler_fn handler,
                                                void (*failed)(weft_req *rq, weft_rc rc))
{
    if (chain->count > 0)
        return weft_chain_run_links(chain, rq, handler, failed);
    weft_rc rc = handler(rq);
    if (rc < 0)
        failed(rq, rc);
    return rc;
}

#endif
