/* lease.c - see lease.h. Whoever gives a connection back may be another worker: it posts to the
 * loop of who waits, and what it posts lies on the waiting task's stack. So a wait that ends
 * otherwise (late, canceled) first asks the pool whether the post is on its way. */
#include "serve/cache/lease.h"
#include "http/message.h"
#include <errno.h>

/* A place in the queue, on the task's own stack. */
struct turn {
    struct weft_upstream_waiter waiter;
    struct weft_post post;
    struct weft_timer timer;
    weft_req *rq;
};

/* On any thread. */
static void turn_came(struct weft_upstream_waiter *waiter)
{
    struct turn *turn = WEFT_CONTAINER_OF(waiter, struct turn, waiter);
    weft_loop_post(turn->rq->loop, &turn->post);
}

static void turn_told(struct weft_post *post)
{
    struct turn *turn = WEFT_CONTAINER_OF(post, struct turn, post);
    weft_req_resume(turn->rq, 0);
}

static void turn_late(struct weft_timer *timer)
{
    weft_req_resume(WEFT_CONTAINER_OF(timer, struct turn, timer)->rq, (weft_rc)-ETIMEDOUT);
}

/* The wait is over; `rc` says how. Is there a connection in spite of it, it goes back. */
static weft_rc leave_queue(struct turn *turn, struct weft_upstream *upstream, weft_rc rc)
{
    if (rc == 0) /* the post has run */
        return turn->waiter.conn == WEFT_UPSTREAM_NONE ? WEFT_ESTATE : 0;
    if (weft_upstream_forget(upstream, &turn->waiter))
        return rc;
    weft_ignore(
        weft_req_wait(turn->rq, WEFT_WAIT_JOB)); /* for the post; it may wait: it just did */
    if (turn->waiter.conn != WEFT_UPSTREAM_NONE)
        weft_upstream_release(upstream, turn->waiter.conn);
    return rc;
}

/* Who uses a connection will wait on it anyway: whether it may is asked first. */
static weft_rc take(weft_req *rq, struct weft_upstream *upstream, uint64_t wait_ms,
                    struct weft_lease *lease)
{
    struct turn turn = {.rq = rq,
                        .waiter = {.told = turn_came},
                        .post = {.run = turn_told},
                        .timer = {.fire = turn_late}};
    WEFT_TRY(weft_req_may_wait(rq));
    weft_rc rc = weft_upstream_acquire(upstream, wait_ms > 0 ? &turn.waiter : NULL, &lease->conn);
    if (rc != WEFT_NEXT)
        return rc;
    weft_timer_arm(&rq->loop->wheel, &turn.timer, rq->loop->now_ms + wait_ms);
    rc = weft_req_wait(rq, WEFT_WAIT_TIME);
    weft_timer_disarm(&rq->loop->wheel, &turn.timer);
    WEFT_TRY(leave_queue(&turn, upstream, rc));
    lease->conn = turn.waiter.conn;
    lease->waited = true;
    return 0;
}

weft_rc weft_lease_take(weft_req *rq, struct weft_upstream *upstream, uint64_t wait_ms,
                        struct weft_lease *out)
{
    struct weft_lease lease = {.upstream = upstream, .held_bytes = weft_req_held_bytes(rq)};
    weft_upstream_hold(upstream, lease.held_bytes);
    weft_rc rc = take(rq, upstream, wait_ms, &lease);
    if (rc == 0)
        *out = lease;
    else
        weft_upstream_drop(upstream, lease.held_bytes);
    return rc;
}

void weft_lease_give(struct weft_lease *lease)
{
    weft_upstream_drop(lease->upstream, lease->held_bytes);
    weft_upstream_release(lease->upstream, lease->conn);
}
