/* upstream.c - see upstream.h. */
#include "io/upstream.h"
#include "base/mutex.h"
#include <errno.h>
#include <time.h>

/* Figures that change under the lock only; read without it. */
static void count_to(_Atomic uint32_t *figure, uint32_t value)
{
    atomic_store_explicit(figure, value, memory_order_relaxed);
}

static uint32_t count_of(const _Atomic uint32_t *figure)
{
    return atomic_load_explicit(figure, memory_order_relaxed);
}

void weft_upstream_init(struct weft_upstream *upstream, const char *name_z, uint32_t conn_count,
                        uint32_t queue_max)
{
    weft_assert(conn_count > 0);
    weft_assert(conn_count <= WEFT_UPSTREAM_CONNS_MAX);
    *upstream = (struct weft_upstream){.name_z = name_z,
                                       .conn_count = conn_count,
                                       .queue_max = queue_max,
                                       .free_count = conn_count};
    for (uint32_t i = 0; i < conn_count; i++)
        upstream->free[i] = (uint16_t)(conn_count - 1 - i);
    pthread_condattr_t attr;
    pthread_mutex_init(&upstream->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&upstream->ended, &attr);
    pthread_condattr_destroy(&attr);
}

void weft_upstream_fini(struct weft_upstream *upstream)
{
    if (upstream->conn_count == 0)
        return;
    weft_assert(count_of(&upstream->out) == 0);
    weft_assert(upstream->first == NULL);
    pthread_cond_destroy(&upstream->ended);
    pthread_mutex_destroy(&upstream->lock);
    *upstream = (struct weft_upstream){0};
}

static bool state_is(const struct weft_upstream *upstream, enum weft_upstream_state state)
{
    return weft_upstream_state(upstream) == state;
}

static void become(struct weft_upstream *upstream, enum weft_upstream_state state)
{
    atomic_store_explicit(&upstream->state, (int)state, memory_order_relaxed);
}

weft_rc weft_upstream_open(struct weft_upstream *upstream)
{
    weft_mutex_lock(&upstream->lock);
    bool first = state_is(upstream, WEFT_UPSTREAM_INITIALIZED);
    if (first)
        become(upstream, WEFT_UPSTREAM_ACTIVE);
    weft_mutex_unlock(&upstream->lock);
    return first ? 0 : WEFT_ESTATE;
}

/* ---- the queue ---- */

static void enqueue(struct weft_upstream *upstream, struct weft_upstream_waiter *waiter)
{
    waiter->next = NULL;
    waiter->prev = upstream->last;
    waiter->conn = WEFT_UPSTREAM_NONE;
    waiter->queued = true;
    if (upstream->last != NULL)
        upstream->last->next = waiter;
    else
        upstream->first = waiter;
    upstream->last = waiter;
    count_to(&upstream->queued, count_of(&upstream->queued) + 1);
}

static void dequeue(struct weft_upstream *upstream, struct weft_upstream_waiter *waiter)
{
    if (waiter->prev != NULL)
        waiter->prev->next = waiter->next;
    else
        upstream->first = waiter->next;
    if (waiter->next != NULL)
        waiter->next->prev = waiter->prev;
    else
        upstream->last = waiter->prev;
    waiter->queued = false;
    count_to(&upstream->queued, count_of(&upstream->queued) - 1);
}

bool weft_upstream_forget(struct weft_upstream *upstream, struct weft_upstream_waiter *waiter)
{
    weft_mutex_lock(&upstream->lock);
    bool queued = waiter->queued;
    if (queued)
        dequeue(upstream, waiter);
    weft_mutex_unlock(&upstream->lock);
    return queued;
}

/* ---- out and in ---- */

static weft_rc acquire(struct weft_upstream *upstream, struct weft_upstream_waiter *waiter,
                       uint32_t *out_conn)
{
    if (!state_is(upstream, WEFT_UPSTREAM_ACTIVE))
        return WEFT_ESTATE;
    if (upstream->free_count > 0) {
        *out_conn = upstream->free[--upstream->free_count];
        count_to(&upstream->out, count_of(&upstream->out) + 1);
        return 0;
    }
    if (waiter == NULL || count_of(&upstream->queued) == upstream->queue_max) {
        atomic_fetch_add_explicit(&upstream->refused, 1, memory_order_relaxed);
        return WEFT_EFULL;
    }
    enqueue(upstream, waiter);
    return WEFT_NEXT;
}

weft_rc weft_upstream_acquire(struct weft_upstream *upstream, struct weft_upstream_waiter *waiter,
                              uint32_t *out_conn)
{
    weft_mutex_lock(&upstream->lock);
    weft_rc rc = acquire(upstream, waiter, out_conn);
    weft_mutex_unlock(&upstream->lock);
    return rc;
}

static void end_if_empty(struct weft_upstream *upstream)
{
    if (!state_is(upstream, WEFT_UPSTREAM_CLOSING) || count_of(&upstream->out) > 0)
        return;
    become(upstream, WEFT_UPSTREAM_TERMINATED);
    pthread_cond_broadcast(&upstream->ended);
}

/* While it closes, what comes back stays: who is queued is about to be told. */
static struct weft_upstream_waiter *take_back(struct weft_upstream *upstream, uint32_t conn)
{
    weft_assert(conn < upstream->conn_count);
    weft_assert(count_of(&upstream->out) > 0); /* more releases than acquires */
    struct weft_upstream_waiter *waiter = upstream->first;
    if (waiter != NULL && state_is(upstream, WEFT_UPSTREAM_ACTIVE)) {
        dequeue(upstream, waiter);
        waiter->conn = conn;
        return waiter;
    }
    upstream->free[upstream->free_count++] = (uint16_t)conn;
    count_to(&upstream->out, count_of(&upstream->out) - 1);
    end_if_empty(upstream);
    return NULL;
}

void weft_upstream_release(struct weft_upstream *upstream, uint32_t conn)
{
    weft_mutex_lock(&upstream->lock);
    struct weft_upstream_waiter *waiter = take_back(upstream, conn);
    weft_mutex_unlock(&upstream->lock);
    if (waiter != NULL)
        waiter->told(waiter);
}

/* ---- the end ---- */

/* One at a time and each without the lock: what told() does is not ours to know. */
static void tell_all(struct weft_upstream *upstream)
{
    for (;;) {
        weft_mutex_lock(&upstream->lock);
        struct weft_upstream_waiter *waiter = upstream->first;
        if (waiter != NULL)
            dequeue(upstream, waiter);
        weft_mutex_unlock(&upstream->lock);
        if (waiter == NULL)
            return;
        waiter->told(waiter);
    }
}

static struct timespec in_ms(uint32_t ms)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += ms / 1000;
    at.tv_nsec += (long)(ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

weft_rc weft_upstream_close(struct weft_upstream *upstream, uint32_t wait_ms)
{
    struct timespec until = in_ms(wait_ms);
    weft_mutex_lock(&upstream->lock);
    if (!state_is(upstream, WEFT_UPSTREAM_TERMINATED))
        become(upstream, WEFT_UPSTREAM_CLOSING);
    weft_mutex_unlock(&upstream->lock);
    tell_all(upstream);
    weft_mutex_lock(&upstream->lock);
    end_if_empty(upstream);
    int late = 0;
    while (!state_is(upstream, WEFT_UPSTREAM_TERMINATED) && late == 0)
        late = pthread_cond_timedwait(&upstream->ended, &upstream->lock, &until);
    bool ended = state_is(upstream, WEFT_UPSTREAM_TERMINATED);
    weft_mutex_unlock(&upstream->lock);
    return ended ? 0 : WEFT_EDEADLINE;
}

/* ---- what waits ---- */

void weft_upstream_hold(struct weft_upstream *upstream, size_t bytes)
{
    atomic_fetch_add_explicit(&upstream->requests_waiting, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&upstream->bytes_waiting, bytes, memory_order_relaxed);
}

void weft_upstream_drop(struct weft_upstream *upstream, size_t bytes)
{
    atomic_fetch_sub_explicit(&upstream->requests_waiting, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&upstream->bytes_waiting, bytes, memory_order_relaxed);
}
