/* offload.c - one lock, one list, one condition: jobs here take milliseconds, a lock 20 ns. */
#include "io/offload.h"
#include "base/rehearsal.h"
#include "mem/threads.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#if defined(WEFT_ASAN) || defined(WEFT_TSAN)
#define STACK_SCALE 4
#else
#define STACK_SCALE 1
#endif

struct weft_offload {
    pthread_mutex_t lock;
    pthread_cond_t work; /* a job came, or stopping */
    struct weft_offload_job *first;
    struct weft_offload_job **last; /* where the next one is linked */
    uint32_t threads_max;
    uint32_t queue_max;
    uint32_t idle; /* threads that wait for work, those just woken included */
    bool stopping;
    bool have_cpus;
    cpu_set_t cpus; /* of the creator */
    pthread_attr_t attributes;

    /* Written under the lock, read by anyone. */
    _Atomic uint32_t started;
    _Atomic uint32_t queued;
    _Atomic uint32_t running;
    _Atomic uint64_t refused;
    pthread_t threads[]; /* [started] */
};

/* 64 KiB for the job beside what libc itself wants of a thread's stack (thread-local data). */
static size_t stack_bytes(void)
{
    long libc = sysconf(_SC_THREAD_STACK_MIN);
    size_t bytes = WEFT_OFFLOAD_STACK_BYTES * STACK_SCALE + (libc > 0 ? (size_t)libc : 0);
    return WEFT_ALIGN_UP(bytes, WEFT_PAGE_BYTES);
}

static size_t struct_bytes(uint32_t threads)
{
    return sizeof(struct weft_offload) + threads * sizeof(pthread_t);
}

size_t weft_offload_bytes(uint32_t threads)
{
    return struct_bytes(threads) + threads * stack_bytes();
}

static void add(_Atomic uint32_t *counter, int n)
{
    atomic_fetch_add_explicit(counter, (uint32_t)n, memory_order_relaxed);
}

weft_rc weft_offload_create(uint32_t threads, uint32_t queue_max, struct weft_offload **out)
{
    weft_assert(threads > 0);
    weft_assert(queue_max > 0);
    struct weft_offload *pool = calloc(1, struct_bytes(threads));
    if (pool == NULL)
        return WEFT_ENOMEM;
    if (pthread_attr_init(&pool->attributes) != 0) {
        free(pool);
        return WEFT_ENOMEM;
    }
    (void)pthread_attr_setstacksize(&pool->attributes, stack_bytes()); /* else libc's default */
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    pool->last = &pool->first;
    pool->threads_max = threads;
    pool->queue_max = queue_max;
    pool->have_cpus = pthread_getaffinity_np(pthread_self(), sizeof(pool->cpus), &pool->cpus) == 0;
    *out = pool;
    return 0;
}

/* The next job, waiting for one; NULL when there is none and will be none. The lock is held. */
static struct weft_offload_job *take_job(struct weft_offload *pool)
{
    while (pool->first == NULL && !pool->stopping) {
        pool->idle++;
        pthread_cond_wait(&pool->work, &pool->lock);
        pool->idle--;
    }
    struct weft_offload_job *job = pool->first;
    if (job == NULL)
        return NULL;
    pool->first = job->next;
    if (pool->first == NULL)
        pool->last = &pool->first;
    add(&pool->queued, -1);
    return job;
}

static void *work(void *argument)
{
    struct weft_offload *pool = argument;
    (void)pthread_setname_np(pthread_self(), "weft-offload"); /* for ps; no harm without */
    if (pool->have_cpus) /* a CPU may have gone meanwhile: then where we are */
        (void)pthread_setaffinity_np(pthread_self(), sizeof(pool->cpus), &pool->cpus);
    weft_thread_enter(stack_bytes());

    pthread_mutex_lock(&pool->lock);
    for (;;) {
        struct weft_offload_job *job = take_job(pool);
        if (job == NULL)
            break;
        add(&pool->running, 1);
        pthread_mutex_unlock(&pool->lock);
        job->run(job);
        add(&pool->running, -1);
        job->done(job); /* the job may be gone from here on */
        pthread_mutex_lock(&pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
    weft_thread_leave();
    return NULL;
}

/* One more thread, with every signal blocked from its first instruction. The lock is held. */
static bool start_thread(struct weft_offload *pool)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    uint32_t index = atomic_load_explicit(&pool->started, memory_order_relaxed);
    int err = pthread_create(&pool->threads[index], &pool->attributes, work, pool);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (err != 0)
        return false;
    add(&pool->started, 1);
    return true;
}

/* Whether the job may enter, with a thread to run it one day. The lock is held. */
static weft_rc admit(struct weft_offload *pool)
{
    uint32_t queued = atomic_load_explicit(&pool->queued, memory_order_relaxed);
    uint32_t started = atomic_load_explicit(&pool->started, memory_order_relaxed);
    if (pool->stopping)
        return WEFT_ECANCELED;
    if (queued >= pool->queue_max || weft_fail_point("offload"))
        return WEFT_EFULL;
    if (queued >= pool->idle && started < pool->threads_max && !start_thread(pool) && started == 0)
        return WEFT_ENOMEM; /* with one running, the job has only to wait */
    return 0;
}

weft_rc weft_offload_submit(struct weft_offload *pool, struct weft_offload_job *job)
{
    pthread_mutex_lock(&pool->lock);
    weft_rc rc = admit(pool);
    if (rc == 0) {
        job->next = NULL;
        *pool->last = job;
        pool->last = &job->next;
        add(&pool->queued, 1);
        pthread_cond_signal(&pool->work);
    } else if (rc != WEFT_ECANCELED) {
        atomic_fetch_add_explicit(&pool->refused, 1, memory_order_relaxed);
    }
    pthread_mutex_unlock(&pool->lock);
    return rc;
}

void weft_offload_destroy(struct weft_offload *pool)
{
    if (pool == NULL)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    uint32_t started = atomic_load_explicit(&pool->started, memory_order_relaxed);
    for (uint32_t i = 0; i < started; i++)
        pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->lock);
    pthread_attr_destroy(&pool->attributes);
    free(pool);
}

void weft_offload_read(const struct weft_offload *pool, struct weft_offload_figures *out)
{
    out->started = atomic_load_explicit(&pool->started, memory_order_relaxed);
    out->queued = atomic_load_explicit(&pool->queued, memory_order_relaxed);
    out->running = atomic_load_explicit(&pool->running, memory_order_relaxed);
    out->refused = atomic_load_explicit(&pool->refused, memory_order_relaxed);
}
