/* closing.c - see closing.h. */
#include "serve/input/closing.h"
#include <stdatomic.h>
#include <unistd.h>

struct closing {
    struct weft_offload_job job;
    int fd;
    atomic_bool taken;
};

static struct closing closings[WEFT_CLOSINGS_MAX]; /* they outlive the request, and its worker */

static void run(struct weft_offload_job *job)
{
    close(WEFT_CONTAINER_OF(job, struct closing, job)->fd);
}

static void done(struct weft_offload_job *job)
{
    struct closing *closing = WEFT_CONTAINER_OF(job, struct closing, job);
    atomic_store_explicit(&closing->taken, false, memory_order_release);
}

static struct closing *take(void)
{
    for (size_t i = 0; i < WEFT_COUNT_OF(closings); i++)
        if (!atomic_exchange_explicit(&closings[i].taken, true, memory_order_acquire))
            return &closings[i];
    return NULL;
}

static bool hand_over(struct weft_offload *pool, int fd)
{
    struct closing *closing = pool != NULL ? take() : NULL;
    if (closing == NULL)
        return false;
    closing->fd = fd;
    closing->job = (struct weft_offload_job){.run = run, .done = done};
    if (weft_offload_submit(pool, &closing->job) == 0)
        return true;
    done(&closing->job);
    return false;
}

bool weft_close_by_thread(struct weft_offload *pool, int fd)
{
    bool handed = hand_over(pool, fd);
    if (!handed)
        close(fd);
    return handed;
}
