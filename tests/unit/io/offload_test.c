/* offload_test.c - jobs run once, a full queue refuses, a stop drains. */
#include "unit.h"
#include "io/offload.h"
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <time.h>

#define JOBS 400

struct work {
    struct weft_offload_job job;
    _Atomic uint32_t runs;
    _Atomic uint32_t dones;
    sem_t *entered; /* posted by run, when not NULL */
    sem_t *leave;   /* waited for by run, when not NULL */
};

static void run(struct weft_offload_job *job)
{
    struct work *work = WEFT_CONTAINER_OF(job, struct work, job);
    if (work->entered != NULL)
        sem_post(work->entered);
    if (work->leave != NULL)
        sem_wait(work->leave);
    work->runs++;
}

static void done(struct weft_offload_job *job)
{
    struct work *work = WEFT_CONTAINER_OF(job, struct work, job);
    assert_int_equal(work->runs, work->dones + 1);
    work->dones++;
}

static struct work fresh(void)
{
    return (struct work){.job = {.run = run, .done = done}};
}

static void each_job_runs_once_and_a_stop_drains(void **state)
{
    (void)state;
    static struct work works[JOBS];
    struct weft_offload *pool = NULL;
    assert_int_equal(weft_offload_create(3, JOBS, &pool), 0);
    struct weft_offload_figures figures;
    weft_offload_read(pool, &figures);
    assert_int_equal(figures.started, 0); /* lazily */
    for (size_t i = 0; i < JOBS; i++) {
        works[i] = fresh();
        assert_int_equal(weft_offload_submit(pool, &works[i].job), 0);
    }
    weft_offload_read(pool, &figures);
    assert_in_range(figures.started, 1, 3);
    assert_int_equal(figures.refused, 0);
    weft_offload_destroy(pool);
    for (size_t i = 0; i < JOBS; i++) {
        assert_int_equal(works[i].runs, 1);
        assert_int_equal(works[i].dones, 1);
    }
}

static void a_full_queue_refuses_and_recovers(void **state)
{
    (void)state;
    struct weft_offload *pool = NULL;
    struct weft_offload_figures figures;
    sem_t entered;
    sem_t leave;
    sem_init(&entered, 0, 0);
    sem_init(&leave, 0, 0);
    struct work works[6];
    assert_int_equal(weft_offload_create(2, 3, &pool), 0);
    for (size_t i = 0; i < 6; i++) {
        works[i] = fresh();
        works[i].entered = &entered;
        works[i].leave = &leave;
    }
    for (size_t i = 0; i < 2; i++) { /* both threads are held */
        assert_int_equal(weft_offload_submit(pool, &works[i].job), 0);
        sem_wait(&entered);
    }
    for (size_t i = 2; i < 5; i++)
        assert_int_equal(weft_offload_submit(pool, &works[i].job), 0);
    assert_int_equal(weft_offload_submit(pool, &works[5].job), WEFT_EFULL);
    weft_offload_read(pool, &figures);
    assert_int_equal(figures.started, 2);
    assert_int_equal(figures.running, 2);
    assert_int_equal(figures.queued, 3);
    assert_int_equal(figures.refused, 1);

    sem_post(&leave); /* one leaves, one of the queue takes its place */
    sem_wait(&entered);
    assert_int_equal(weft_offload_submit(pool, &works[5].job), 0);
    for (int i = 0; i < 5; i++)
        sem_post(&leave);
    weft_offload_destroy(pool);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(works[i].dones, 1);
    sem_destroy(&entered);
    sem_destroy(&leave);
}

static void an_idle_thread_is_used_before_a_new_one(void **state)
{
    (void)state;
    struct weft_offload *pool = NULL;
    struct weft_offload_figures figures;
    assert_int_equal(weft_offload_create(8, 8, &pool), 0);
    for (int i = 0; i < 5; i++) {
        struct work work = fresh();
        assert_int_equal(weft_offload_submit(pool, &work.job), 0);
        while (work.dones == 0)
            sched_yield();
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL); /* until it waits again */
    }
    weft_offload_read(pool, &figures);
    assert_in_range(figures.started, 1, 3); /* 1, but for a very slow machine */
    weft_offload_destroy(pool);
}

static sigset_t thread_mask;
static cpu_set_t thread_cpus;
static char thread_name[16];

static void look_around(struct weft_offload_job *job)
{
    (void)job;
    pthread_sigmask(SIG_SETMASK, NULL, &thread_mask);
    pthread_getaffinity_np(pthread_self(), sizeof(thread_cpus), &thread_cpus);
    pthread_getname_np(pthread_self(), thread_name, sizeof(thread_name));
    volatile char stack[40 << 10]; /* there is room for getaddrinfo and more */
    stack[0] = 1;
    stack[sizeof(stack) - 1] = stack[0];
}

static void threads_have_no_signals_and_the_creators_cpus(void **state)
{
    (void)state;
    struct weft_offload *pool = NULL;
    struct work work = fresh();
    work.job.run = look_around;
    work.runs = 1;
    cpu_set_t all;
    assert_int_equal(pthread_getaffinity_np(pthread_self(), sizeof(all), &all), 0);
    assert_int_equal(weft_offload_create(1, 1, &pool), 0);

    /* A pinned worker starts the thread: it must not inherit the pin. */
    cpu_set_t one;
    CPU_ZERO(&one);
    for (size_t cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; cpu++)
        if (CPU_ISSET(cpu, &all))
            CPU_SET(cpu, &one);
    pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
    sigset_t mask_before;
    sigset_t mask_after;
    pthread_sigmask(SIG_SETMASK, NULL, &mask_before);
    weft_rc rc = weft_offload_submit(pool, &work.job);
    pthread_sigmask(SIG_SETMASK, NULL, &mask_after);
    pthread_setaffinity_np(pthread_self(), sizeof(all), &all);
    assert_int_equal(rc, 0);
    weft_offload_destroy(pool);

    assert_true(CPU_EQUAL(&thread_cpus, &all));
    assert_true(sigismember(&thread_mask, SIGTERM));
    assert_true(sigismember(&thread_mask, SIGUSR1));
    assert_int_equal(sigismember(&mask_after, SIGTERM), sigismember(&mask_before, SIGTERM));
    assert_string_equal(thread_name, "weft-offload");
}

static struct weft_offload *shared;
static _Atomic uint32_t total;
static _Atomic uint32_t refusals;

static void count_done(struct weft_offload_job *job)
{
    (void)job;
    total++;
}

static void *submit_many(void *argument)
{
    struct work *works = argument;
    for (size_t i = 0; i < JOBS; i++) {
        works[i] = fresh();
        works[i].job.done = count_done;
        if (weft_offload_submit(shared, &works[i].job) == WEFT_EFULL)
            refusals++;
    }
    return NULL;
}

static void many_submitters(void **state)
{
    (void)state;
    static struct work works[4][JOBS];
    pthread_t threads[4];
    assert_int_equal(weft_offload_create(4, 64, &shared), 0);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, submit_many, works[i]), 0);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    struct weft_offload_figures figures;
    weft_offload_read(shared, &figures);
    weft_offload_destroy(shared);
    assert_int_equal(total + refusals, 4 * JOBS);
    assert_int_equal(figures.refused, refusals);
    assert_true(figures.started <= 4);
}

static weft_rc late_rc;
static struct work late;

static void submit_while_stopping(struct weft_offload_job *job)
{
    struct work *work = WEFT_CONTAINER_OF(job, struct work, job);
    sem_wait(work->leave);
    late = fresh();
    do /* destroy() may not have said so yet: the job then runs, and is drained */
        late_rc = weft_offload_submit(shared, &late.job);
    while (late_rc == WEFT_EFULL);
}

static void a_job_that_submits_does_not_hang_the_stop(void **state)
{
    (void)state;
    sem_t leave;
    sem_init(&leave, 0, 1);
    struct work work = fresh();
    work.job.run = submit_while_stopping;
    work.runs = 1;
    work.leave = &leave;
    assert_int_equal(weft_offload_create(1, 1, &shared), 0);
    assert_int_equal(weft_offload_submit(shared, &work.job), 0);
    weft_offload_destroy(shared);
    assert_true(late_rc == WEFT_ECANCELED || late.dones == 1);
    weft_offload_destroy(NULL);
    sem_destroy(&leave);
}

static void bytes_grow_by_a_stack_per_thread(void **state)
{
    (void)state;
    size_t step = weft_offload_bytes(5) - weft_offload_bytes(4);
    assert_true(step >= WEFT_OFFLOAD_STACK_BYTES);
    assert_true(weft_offload_bytes(4) > 4 * WEFT_OFFLOAD_STACK_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_job_runs_once_and_a_stop_drains),
        cmocka_unit_test(a_full_queue_refuses_and_recovers),
        cmocka_unit_test(an_idle_thread_is_used_before_a_new_one),
        cmocka_unit_test(threads_have_no_signals_and_the_creators_cpus),
        cmocka_unit_test(many_submitters),
        cmocka_unit_test(a_job_that_submits_does_not_hang_the_stop),
        cmocka_unit_test(bytes_grow_by_a_stack_per_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
