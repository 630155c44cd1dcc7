/* worker.c - see worker.h. */
#include "app/worker.h"
#include "base/log.h"
#include "base/rehearsal.h"
#include "mem/numa.h"
#include "mem/objects.h"
#include "mem/threads.h"
#include <sched.h>
#include <stdio.h>

#define CUT_TURNS_MAX 200 /* turns of CUT_WAIT_MS that broken connections have to unwind */
#define CUT_WAIT_MS   10

static void drain(struct weft_post *post)
{
    struct weft_worker *worker = WEFT_CONTAINER_OF(post, struct weft_worker, drain);
    for (uint32_t i = 0; i < worker->loop.listener_count; i++)
        weft_listener_close(&worker->loop.listeners[i]);
    weft_conns_drain(&worker->loop);
    worker->stopping = true;
}

static void cut_off(struct weft_post *post)
{
    struct weft_worker *worker = WEFT_CONTAINER_OF(post, struct weft_worker, cut_off);
    atomic_store(&worker->cut, weft_conns_abort(&worker->loop));
    worker->cutting = true;
}

/* Left with a handler that does not come back, or with who was accepted just behind the cut: the
 * process ends all the same, and says that some were cut. */
static void leave_behind(struct weft_worker *worker)
{
    if (atomic_load(&worker->cut) == 0)
        atomic_store(&worker->cut, worker->loop.slots.used);
}

static void relieve(struct weft_post *post)
{
    struct weft_worker *worker = WEFT_CONTAINER_OF(post, struct weft_worker, relieve);
    atomic_store(&worker->relieving, false);
    uint32_t level = weft_limits_relief(worker->loop.limits);
    weft_chunks_withhold(&worker->loop.chunks, weft_limits_withheld(worker->loop.limits));
    if (level >= WEFT_RELIEF_TRIM)
        weft_reclaim_all(&worker->loop);
    if (level >= WEFT_RELIEF_TRIM)
        weft_files_shrink(&worker->files);
    if (level >= WEFT_RELIEF_CLOSE)
        weft_conns_close_oldest(&worker->loop);
}

void weft_worker_relieve(struct weft_worker *worker)
{
    if (!atomic_exchange(&worker->relieving, true)) /* a post is in the list once */
        weft_loop_post(&worker->loop, &worker->relieve);
}

static void tidy(struct weft_post *post)
{
    struct weft_worker *worker = WEFT_CONTAINER_OF(post, struct weft_worker, tidy);
    atomic_store(&worker->tidying, false);
    bool over = atomic_exchange(&worker->window_over, false), more = false;
    for (uint32_t i = 0; i < worker->objects_count; i++)
        if (worker->objects[i]->per_worker)
            more |= weft_objects_reclaim(worker->objects[i], over, WEFT_OBJECTS_STEP_BYTES);
    atomic_store(&worker->untidy, more);
}

void weft_worker_tidy(struct weft_worker *worker, bool window_over)
{
    if (window_over)
        atomic_store(&worker->window_over, true);
    if (!atomic_exchange(&worker->tidying, true))
        weft_loop_post(&worker->loop, &worker->tidy);
}

weft_rc weft_worker_open(struct weft_worker *worker)
{
    struct weft_loop *loop = &worker->loop;
    WEFT_TRY(weft_loop_open(loop));
    for (uint32_t i = 0; i < loop->listener_count; i++)
        WEFT_TRY(weft_listener_start(&loop->listeners[i], loop, i));
    return 0;
}

void weft_worker_turn(struct weft_worker *worker)
{
    struct weft_loop *loop = &worker->loop;
    uint32_t after_cut = 0;
    bool last = false; /* one more turn takes in what had been accepted by then */
    while (!worker->stopping || loop->slots.used > 0 || !last) {
        last = worker->stopping && loop->slots.used == 0;
        if (worker->cutting && ++after_cut > CUT_TURNS_MAX) {
            leave_behind(worker);
            break;
        }
        weft_rc rc = weft_loop_turn(loop, last ? 0 : worker->cutting ? CUT_WAIT_MS : -1);
        if (rc < 0) {
            weft_log_error("worker %u: the %s engine failed: %s", worker->index,
                           loop->engine.ops->name_z, weft_rc_text(rc));
            worker->failed = rc;
            return;
        }
    }
}

static void run(struct weft_worker *worker)
{
    weft_rehearsal_enter();
    weft_objects_enter(worker->index);
    if (worker->numa != NULL)
        weft_numa_enter(worker->numa, worker->index);
    worker->failed = weft_worker_open(worker);
    if (worker->failed == 0) {
        atomic_store(&worker->state, WEFT_WORKER_RUNNING);
        weft_worker_turn(worker);
    } else {
        weft_log_error("worker %u cannot start: %s", worker->index, weft_rc_text(worker->failed));
    }
    weft_access_log_flush(&worker->service.access_log);
    atomic_store(&worker->state, worker->failed == 0 ? WEFT_WORKER_DONE : WEFT_WORKER_FAILED);
    if (worker->boss != NULL)
        weft_loop_post(worker->boss, &worker->done);
}

static void *thread_main(void *arg)
{
    struct weft_worker *worker = arg;
    char name[16];
    snprintf(name, sizeof(name), "weft-%u", worker->index);
    pthread_setname_np(pthread_self(), name);
    weft_thread_enter(WEFT_WORKER_STACK_BYTES);
    run(worker);
    weft_thread_leave();
    return NULL;
}

static void pin(pthread_attr_t *attr, int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    (void)pthread_attr_setaffinity_np(attr, sizeof(set),
                                      &set); /* unpinned it serves just as well */
}

weft_rc weft_worker_start(struct weft_worker *worker)
{
    worker->drain.run = drain;
    worker->cut_off.run = cut_off;
    worker->relieve.run = relieve;
    worker->tidy.run = tidy;
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    (void)pthread_attr_setstacksize(&attr, WEFT_WORKER_STACK_BYTES); /* else the default: larger */
    if (worker->cpu >= 0)
        pin(&attr, worker->cpu);
    int rc = pthread_create(&worker->thread, &attr, thread_main, worker);
    pthread_attr_destroy(&attr);
    worker->joinable = rc == 0;
    return (weft_rc)-rc;
}

void weft_worker_drain(struct weft_worker *worker)
{
    weft_loop_post(&worker->loop, &worker->drain);
}

void weft_worker_cut(struct weft_worker *worker)
{
    weft_loop_post(&worker->loop, &worker->cut_off);
}
