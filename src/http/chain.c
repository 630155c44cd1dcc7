/* chain.c - see chain.h. */
#include "http/chain.h"

weft_rc weft_chain_add(struct weft_chain *chain, weft_handler_fn before, weft_after_fn after)
{
    if (chain->count == WEFT_CHAIN_MAX)
        return WEFT_EFULL;
    chain->links[chain->count++] = (struct weft_link){before, after};
    return 0;
}

weft_rc weft_chain_run_links(const struct weft_chain *chain, weft_req *rq, weft_handler_fn handler,
                             void (*failed)(weft_req *rq, weft_rc rc))
{
    weft_rc rc = WEFT_NEXT;
    uint32_t entered = 0;
    while (entered < chain->count && rc == WEFT_NEXT) {
        weft_handler_fn before = chain->links[entered++].before;
        rc = before != NULL ? before(rq) : WEFT_NEXT;
    }
    if (rc == WEFT_NEXT)
        rc = handler(rq);
    if (rc < 0)
        failed(rq, rc);
    while (entered > 0) {
        weft_after_fn after = chain->links[--entered].after;
        if (after != NULL)
            after(rq);
    }
    return rc;
}
