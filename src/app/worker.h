/* worker.h - one core: a pinned thread around a loop, its listener and its service.
 *
 * Lifetime: process.
 * Threads:  built and joined by the main thread; the loop is the worker thread's alone, told things
 * by posts. Memory:   weft_loop_terms(), the router's scratch, and a thread's stack.
 */
#ifndef WEFT_APP_WORKER_H
#define WEFT_APP_WORKER_H

#include <pthread.h>
#include "http/middleware.h"
#include "http/service.h"
#include "io/loop.h"
#include "mem/objects.h"
#include "serve/coding/compress.h"
#include "serve/files/open_files.h"

#define WEFT_WORKER_STACK_BYTES ((size_t)256 << 10)

/* Of a pool of objects and look: the share of a step, of a millisecond or less. */
#define WEFT_OBJECTS_STEP_BYTES ((size_t)1 << 20)

enum weft_worker_state {
    WEFT_WORKER_STARTING,
    WEFT_WORKER_RUNNING,
    WEFT_WORKER_DONE,
    WEFT_WORKER_FAILED,
};

struct weft_worker {
    struct weft_loop loop;
    struct weft_service service;
    struct weft_files files;
    struct weft_compress compress;
    uint32_t index;
    int cpu;                /* pinned to; -1: not pinned */
    struct weft_numa *numa; /* borrowed: the process's; NULL: the admin thread's memory */
    pthread_t thread;
    bool joinable;
    bool stopping;        /* the worker's own: leave when no connection is left */
    bool cutting;         /* likewise: the drain is over, leave soon in any case */
    _Atomic int state;    /* enum weft_worker_state */
    weft_rc failed;       /* why, when state says so */
    _Atomic uint32_t cut; /* connections that the end of the drain cut off */
    struct weft_post drain, cut_off, relieve;
    _Atomic bool relieving; /* `relieve` was posted and has not run */
    struct weft_post tidy;
    _Atomic bool tidying;         /* likewise */
    _Atomic bool window_over;     /* a window ended since it ran */
    _Atomic bool untidy;          /* some of its objects may go back later */
    weft_objects *const *objects; /* borrowed: the application's pools */
    uint32_t objects_count;
    uint64_t objects_seen;  /* the warden's: their activity when a window last ended */
    struct weft_loop *boss; /* borrowed: told when it is done */
    struct weft_post done;
};

/** Start the thread: it opens its engine, starts its listeners, and runs until told to drain and
 *  nothing is left.
 *  returns  0 or -errno */
WEFT_CHECK weft_rc weft_worker_start(struct weft_worker *worker);

/** From any thread, once each: close listeners and idle connections, let the others finish; then
 * cut what is left. */
void weft_worker_drain(struct weft_worker *worker);
void weft_worker_cut(struct weft_worker *worker);

/** From any thread: memory is short; do what the present level of relief asks of a worker. */
void weft_worker_relieve(struct weft_worker *worker);

/** From any thread: hand back pages of the worker's own part of pools of objects.
 *  window_over  a window ends here */
void weft_worker_tidy(struct weft_worker *worker, bool window_over);

/** The two halves of what the thread does, for the admin loop, which is the main thread's. */
WEFT_CHECK weft_rc weft_worker_open(struct weft_worker *worker);
void weft_worker_turn(struct weft_worker *worker);

#endif
