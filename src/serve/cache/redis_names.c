/* redis_names.c - see redis_names.h. Looking every few ms, and not a post to each who waits: names
 * are asked for when a connection is made, which is rare. */
#include "serve/cache/redis_names.h"
#include "base/mutex.h"
#include <errno.h>
#include <time.h>
#include "base/clock.h"
#include "http/message.h"
#include "http/service.h"

#define LOOK_MS 2

static struct weft_redis_names *names_of(struct weft_offload_job *job)
{
    return WEFT_CONTAINER_OF(job, struct weft_redis_names, job);
}

static void look_up(struct weft_offload_job *job)
{
    struct weft_redis_names *names = names_of(job);
    struct timespec now = {0};
    struct weft_redis_address address = names->address; /* nobody else writes it */
    weft_rc rc = names->resolve(&address);
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* there is always one; the loops' clock, too */
    weft_mutex_lock(&names->lock);
    names->address = address;
    names->rc = rc;
    names->until_ms =
        (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / WEFT_NS_PER_MS + 1 + names->fresh_ms;
    weft_mutex_unlock(&names->lock);
}

static void looked_up(struct weft_offload_job *job)
{
    atomic_store(&names_of(job)->asking, false);
}

void weft_redis_names_init(struct weft_redis_names *names, const struct weft_redis_address *address,
                           uint32_t fresh_ms)
{
    *names = (struct weft_redis_names){.job = {.run = look_up, .done = looked_up},
                                       .address = *address,
                                       .fresh_ms = fresh_ms,
                                       .resolve = weft_redis_address_resolve};
    pthread_mutex_init(&names->lock, NULL);
}

void weft_redis_names_fini(struct weft_redis_names *names)
{
    weft_assert(!atomic_load(&names->asking));
    pthread_mutex_destroy(&names->lock);
}

/* WEFT_NEXT: what is known is too old. */
static weft_rc known(struct weft_redis_names *names, uint64_t now_ms,
                     struct weft_redis_address *out)
{
    weft_rc rc = WEFT_NEXT;
    weft_mutex_lock(&names->lock);
    if (now_ms < names->until_ms)
        rc = names->rc;
    if (rc == 0)
        *out = names->address;
    weft_mutex_unlock(&names->lock);
    return rc;
}

static weft_rc set_out(struct weft_redis_names *names, weft_req *rq)
{
    if (atomic_exchange(&names->asking, true))
        return 0;
    weft_rc rc = weft_offload_submit(rq->service->site->offload, &names->job);
    if (rc != 0)
        atomic_store(&names->asking, false);
    return rc;
}

weft_rc weft_redis_names_ask(struct weft_redis_names *names, weft_req *rq, uint64_t until_ms,
                             struct weft_redis_address *out)
{
    for (;;) {
        weft_rc rc = known(names, rq->loop->now_ms, out);
        if (rc != WEFT_NEXT)
            return rc;
        if (rq->loop->now_ms >= until_ms)
            return (weft_rc)-ETIMEDOUT;
        WEFT_TRY(set_out(names, rq));
        WEFT_TRY(weft_sleep_ms(rq, LOOK_MS));
    }
}
