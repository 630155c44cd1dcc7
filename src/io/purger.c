/* purger.c - see purger.h. One job, which is queued when it was idle; who asks while it runs has it
 * queued again at its end. */
#include "io/purger.h"

enum state {
    IDLE,
    WANTED, /* queued, or to be queued when the one under way is done */
    RUNNING,
};

/* A full queue, or no thread: whoever is refused next asks again. */
static void submit(struct weft_purger *purger)
{
    if (weft_offload_submit(purger->offload, &purger->job) != 0)
        atomic_store(&purger->state, IDLE);
}

static void ask(struct weft_purge *purge)
{
    struct weft_purger *purger = WEFT_CONTAINER_OF(purge, struct weft_purger, purge);
    if (atomic_exchange(&purger->state, WANTED) == IDLE)
        submit(purger);
}

static void run(struct weft_offload_job *job)
{
    struct weft_purger *purger = WEFT_CONTAINER_OF(job, struct weft_purger, job);
    atomic_store(&purger->state, RUNNING);
    atomic_fetch_add(&purger->purge.begun, 1);
    weft_ignore(purger->run()); /* of all threads; what it finds is its own affair */
    atomic_fetch_add(&purger->purge.ended, 1);
}

static void done(struct weft_offload_job *job)
{
    struct weft_purger *purger = WEFT_CONTAINER_OF(job, struct weft_purger, job);
    uint32_t running = RUNNING;
    if (!atomic_compare_exchange_strong(&purger->state, &running, IDLE))
        submit(purger);
}

void weft_purger_init(struct weft_purger *purger, struct weft_offload *offload,
                      weft_rc (*run_now)(void))
{
    *purger = (struct weft_purger){.purge = {.ask = ask},
                                   .offload = offload,
                                   .job = {.run = run, .done = done},
                                   .run = run_now};
}
