/* hold.c - see hold.h. */
#include "http/hold.h"

#ifdef WEFT_CHECKED
#include "base/log.h"
#include "http/service.h"

static uint64_t now_ns(const weft_req *rq)
{
    const struct weft_clock_source *source = rq->loop->clock.source;
    uint64_t now = 0, wall = 0;
    source->read(source, &now, &wall);
    return now;
}

void weft_hold_begin(weft_req *rq)
{
    rq->service->held_since_ns = now_ns(rq);
}

void weft_hold_end(weft_req *rq)
{
    uint64_t now = now_ns(rq), ms = (now - rq->service->held_since_ns) / WEFT_NS_PER_MS;
    rq->service->held_since_ns = now; /* what comes behind the handler is not told again */
    if (ms <= WEFT_HOLD_MS_MAX)
        return;
    weft_loop_count(rq->loop, WEFT_COUNTER_HOLDS);
    weft_log_error("route %.*s held its worker for %llu ms: everybody else on it waited; let "
                   "weft_offload() do what blocks",
                   (int)rq->route->pattern.len, rq->route->pattern.ptr, (unsigned long long)ms);
}
#endif
