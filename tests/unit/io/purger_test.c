/* purger_test.c - malloc gives back on a thread of the offload pool: the worker that wants the room
 * refuses meanwhile and goes on with its turns. shows MC-02 */
#include "echo.h"
#include "io/purger.h"
#include <pthread.h>
#include <semaphore.h>

#define SHARE ((size_t)1 << 20)

static struct weft_offload *pool;
static struct weft_purger purger;
static sem_t entered, leave;
static _Atomic bool on_worker;
static pthread_t worker;

/* A purge as slow as the test wants. */
static weft_rc slow(void)
{
    atomic_store(&on_worker, pthread_equal(pthread_self(), worker) != 0);
    sem_post(&entered);
    sem_wait(&leave);
    return 0;
}

static int open_purging(void **state)
{
    (void)state;
    worker = pthread_self();
    sem_init(&entered, 0, 0);
    sem_init(&leave, 0, 0);
    rig_open((struct rig_options){.reclaim_window_ms = 50});
    assert_int_equal(weft_offload_create(1, 1, &pool), 0);
    weft_purger_init(&purger, pool, slow);
    rig.loop.chunks.purge = &purger.purge;
    return 0;
}

static int close_purging(void **state)
{
    (void)state;
    weft_offload_destroy(pool);
    rig_close();
    sem_destroy(&entered);
    sem_destroy(&leave);
    return 0;
}

/* A request that malloc'ed the whole share, and is over. */
static void malloc_and_free(void)
{
    struct weft_chunks *chunks = &rig.loop.chunks;
    assert_int_equal(weft_chunks_reserve(chunks, SHARE, SHARE), 0);
    weft_chunks_charge(chunks, SHARE);
    weft_chunks_refund(chunks, SHARE);
    weft_chunks_unreserve(chunks, SHARE, SHARE);
}

static bool arenas_get_room(void)
{
    if (weft_chunks_reserve(&rig.loop.chunks, SHARE, 0) != 0)
        return false;
    weft_chunks_unreserve(&rig.loop.chunks, SHARE, 0);
    return true;
}

static void no_step_is_held_while_malloc_gives_back(void **state)
{
    (void)state;
    int fd = client_open();
    malloc_and_free();
    assert_false(arenas_get_room());
    sem_wait(&entered); /* it runs, and runs */
    for (int i = 0; i < 50; i++) {
        assert_false(arenas_get_room());
        client_say(fd, "still there?");
        assert_true(client_hears(fd, "still there?"));
    }
    assert_false(on_worker);
    assert_int_equal(purger.purge.begun, 1); /* however often it was asked */
    sem_post(&leave);
    UNTIL(arenas_get_room());
    assert_int_equal(purger.purge.ended, 1);
    assert_int_equal(rig.loop.chunks.heap_kept, 0);
    close(fd);
}

/* What was asked for while one is under way may want what was freed behind it. */
static void asked_while_one_runs_another_follows(void **state)
{
    (void)state;
    malloc_and_free();
    assert_false(arenas_get_room());
    sem_wait(&entered);
    uint64_t ticket = weft_purge_ticket(&purger.purge);
    assert_int_equal(ticket, 2);
    for (int i = 0; i < 3; i++)
        weft_purge_ask(&purger.purge, ticket);
    sem_post(&leave);
    sem_wait(&entered);
    assert_false(weft_purge_ended(&purger.purge, ticket));
    sem_post(&leave);
    UNTIL(weft_purge_ended(&purger.purge, ticket));
    turn_for(5);
    assert_int_equal(purger.purge.begun, 2);
}

static sem_t free_pool;

static void stuck(struct weft_offload_job *job)
{
    (void)job;
    sem_wait(&free_pool);
}

static void ignore(struct weft_offload_job *job)
{
    (void)job;
}

/* All of the pool's places are taken: who is refused next asks again. */
static void a_full_pool_is_asked_again(void **state)
{
    (void)state;
    static struct weft_offload_job jobs[2];
    struct weft_offload_figures figures;
    sem_init(&free_pool, 0, 0);
    for (size_t i = 0; i < WEFT_COUNT_OF(jobs); i++) {
        jobs[i] = (struct weft_offload_job){.run = stuck, .done = ignore};
        assert_int_equal(weft_offload_submit(pool, &jobs[i]), 0);
        do
            weft_offload_read(pool, &figures);
        while (figures.running == 0);
    }
    malloc_and_free();
    assert_false(arenas_get_room());
    assert_int_equal(purger.purge.begun, 0);
    sem_post(&free_pool);
    sem_post(&free_pool);
    sem_post(&leave);
    UNTIL(arenas_get_room());
    sem_destroy(&free_pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define PURGER_TEST(name) cmocka_unit_test_setup_teardown(name, open_purging, close_purging)
        PURGER_TEST(no_step_is_held_while_malloc_gives_back),
        PURGER_TEST(asked_while_one_runs_another_follows),
        PURGER_TEST(a_full_pool_is_asked_again),
    };
    int failed = 0;
    RUN_ON_ENGINES(tests, failed);
    return failed;
}
