/* task.h - straight-line code that may wait: small pooled stacks and a switch between them.
 *
 * run() calls a function on a stack from the pool. When it returns without having waited, the stack
 * goes back at once: so stacks in use = tasks that wait. wait() leaves the stack to the loop,
 * resume() returns to it. One stack is kept back for tasks that never wait: a server full of
 * waiting tasks still answers quick requests.
 *
 * Lifetime: pool: worker. A task: from run() until its function returns.
 * Threads:  the owner worker only.
 * Memory:   weft_tasks_bytes(): count stacks (guards are address space only). A waiting task
 * touches the pages that its frames reach: one, mostly.
 */
#ifndef WEFT_IO_TASK_H
#define WEFT_IO_TASK_H

#include "mem/budget.h"
#include "mem/pagemap.h"
#include "mem/lifo.h"

#define WEFT_TASK_GUARD_BYTES ((size_t)64 << 10)

typedef void weft_task_fn(void *arg);

/* Sits at the top of its stack. */
struct weft_task {
    uint32_t magic;
    uint32_t index; /* in the pool */
    uint32_t pages; /* of its stack that are booked; 0 when they were given back */
    void *sp;       /* saved stack pointer while it waits */
    weft_task_fn *fn;
    void *arg;       /* borrowed until fn returns */
    weft_rc resumed; /* what wait() returns */
    bool done;
    bool waiting;
#if defined(WEFT_ASAN) || defined(WEFT_TSAN)
    void *fiber;
#endif
};

struct weft_tasks {
    char *stacks;              /* owned: one reservation, guard below each stack */
    size_t stack_bytes;        /* usable bytes of each, whole pages */
    struct weft_lifo free;     /* owned: its list is a mapping; one stack more than may wait */
    _Atomic uint32_t fresh;    /* free.fresh, for reports from other threads */
    _Atomic uint64_t takes;    /* since init */
    uint32_t waiting;          /* tasks that wait now */
    struct weft_task *current; /* running now, NULL on the worker's own stack */
    void *worker_sp;           /* the worker's own stack while a task runs */
    struct weft_account *account;
#if defined(WEFT_ASAN)
    const void *worker_bottom; /* of the worker's stack, for the sanitizer */
    size_t worker_bytes;
#endif
#if defined(WEFT_TSAN)
    void *worker_fiber;
#endif
};

size_t weft_tasks_bytes(size_t stack_bytes, size_t waiting_max);

/** Reserve stacks for waiting_max tasks that wait at once, and one more.
 *  stack_bytes  rounded up to pages; sanitizer builds take four times as much
 *  returns  0, WEFT_EBUDGET, WEFT_ENOMEM */
WEFT_CHECK weft_rc weft_tasks_init(struct weft_tasks *tasks, struct weft_account *account,
                                   size_t stack_bytes, size_t waiting_max);
/** Have every stack in memory from now on. Before the first task.
 *  returns  0; WEFT_ENOMEM */
WEFT_CHECK weft_rc weft_tasks_prefault(struct weft_tasks *tasks);
void weft_tasks_fini(struct weft_tasks *tasks);

/** Call fn(arg) on a stack of its own; returns when it has returned or waits for the first time.
 *  returns  0; WEFT_EFULL: no stack is left, fn was not called */
WEFT_CHECK weft_rc weft_task_run(struct weft_tasks *tasks, weft_task_fn *fn, void *arg);

/** From a task: leave its stack until weft_task_resume().
 *  returns  what resume was given; WEFT_EFULL at once, when the last stack is its own: it may not
 *           wait, because quick requests need one */
WEFT_CHECK weft_rc weft_task_wait(struct weft_tasks *tasks);

/** Would weft_task_wait() be refused now? */
static inline bool weft_tasks_full(const struct weft_tasks *tasks)
{
    return tasks->free.count == 0 && tasks->free.fresh == tasks->free.limit;
}

/** From the worker's stack: go on with a task that waits; returns when it waits again or is done.
 */
void weft_task_resume(struct weft_tasks *tasks, struct weft_task *task, weft_rc rc);

/** Call fn(arg) on the worker's own, large stack from a task (or plainly when already there): for
 *  libraries that need more stack than a task has. fn may not wait. */
void weft_task_on_worker(struct weft_tasks *tasks, void (*fn)(void *), void *arg);

/** A window ends: stacks that were free all through it may be trimmed (mem/lifo.h). */
static inline void weft_tasks_age(struct weft_tasks *tasks)
{
    weft_lifo_age(&tasks->free);
}

static inline bool weft_tasks_still(const struct weft_tasks *tasks)
{
    return weft_lifo_still_count(&tasks->free) > 0;
}

/** Hand back the pages of stacks that lay still, about bytes_max of them; returns bytes. */
size_t weft_tasks_trim(struct weft_tasks *tasks, size_t bytes_max);

void weft_tasks_ranges(const struct weft_tasks *tasks, weft_range_fn *tell, void *arg);

/** Deepest use of any stack so far, in bytes, by the pages it touched (a scan: for reports). */
size_t weft_tasks_high_water(const struct weft_tasks *tasks);

#endif
