/* offload.h - a bounded pool of threads for what must block: getaddrinfo, fsync, a cold file.
 *
 * Jobs are the caller's structs, so queueing one costs no memory; a full queue refuses. Threads
 * start when there is work for them and then stay. They have every signal blocked and run on the
 * CPUs that the creator of the pool was allowed, not on the one that a pinned worker is.
 *
 * Lifetime: process. A job: its owner's, from submit until its done() was called.
 * Threads:  submit from any; run and done are called on a thread of the pool.
 * Memory:   weft_offload_bytes(), when all threads have started. Starting one (in submit) maps its
 *           stack and takes what libc keeps per thread; after that submit allocates nothing.
 */
#ifndef WEFT_IO_OFFLOAD_H
#define WEFT_IO_OFFLOAD_H

#include "base/base.h"

/** What a job may use; four times that in sanitizer builds. */
#define WEFT_OFFLOAD_STACK_BYTES ((size_t)64 << 10)

struct weft_offload; /* the pool */

/** Embedded in the caller's struct; run and done are set before submit. */
struct weft_offload_job {
    struct weft_offload_job *next; /* the pool's while it is queued */

    /** What blocks. It is not interrupted: who cancels waits for it. */
    void (*run)(struct weft_offload_job *job);

    /** Called after run, on the same thread: tells the owner, by a post to its loop. The pool does
     *  not touch the job from here on. */
    void (*done)(struct weft_offload_job *job);
};

/** Read while they change: each is true by itself. */
struct weft_offload_figures {
    uint32_t started; /* threads */
    uint32_t queued;  /* jobs that no thread has taken yet */
    uint32_t running; /* jobs between the start of run and its end */
    uint64_t refused; /* submits answered with WEFT_EFULL or WEFT_ENOMEM */
};

/** Bytes of such a pool at worst. The queue has none: its jobs are the callers'. */
size_t weft_offload_bytes(uint32_t threads);

/** A pool with no thread yet.
 *  threads    most that run at once, > 0
 *  queue_max  jobs that may wait for one, > 0
 *  returns    0 or WEFT_ENOMEM */
WEFT_CHECK weft_rc weft_offload_create(uint32_t threads, uint32_t queue_max,
                                       struct weft_offload **out);

/** Run what is queued to its end, then stop. Nobody submits any more: a job that does so in its run
 *  is told WEFT_ECANCELED. Waits; NULL is good. */
void weft_offload_destroy(struct weft_offload *pool);

/** Queue a job; done() will be called once if and only if this returns 0.
 *  returns  0; WEFT_EFULL (queue_max wait already); WEFT_ENOMEM (not one thread could be started);
 *           WEFT_ECANCELED (the pool is stopping) */
WEFT_CHECK weft_rc weft_offload_submit(struct weft_offload *pool, struct weft_offload_job *job);

void weft_offload_read(const struct weft_offload *pool, struct weft_offload_figures *out);

#endif
