/* upstream_test.c - four states, and what goes out in each; threads that take, give and close.
 *
 * shows FD-09, FD-10 */
#include "io/upstream.h"
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <time.h>
#include "unit.h"

static struct weft_upstream pool;

static void state_is(enum weft_upstream_state state)
{
    assert_int_equal(weft_upstream_state(&pool), state);
}

static uint32_t taken(void)
{
    uint32_t conn = WEFT_UPSTREAM_NONE;
    assert_int_equal(weft_upstream_acquire(&pool, NULL, &conn), 0);
    return conn;
}

static void refused(weft_rc rc)
{
    uint32_t conn = 77;
    assert_int_equal(weft_upstream_acquire(&pool, NULL, &conn), rc);
    assert_int_equal(conn, 77); /* untouched */
}

/* ---- states ---- */

static void one_after_the_other(void **state)
{
    (void)state;
    weft_upstream_init(&pool, "test", 2, 0);
    state_is(WEFT_UPSTREAM_INITIALIZED);
    refused(WEFT_ESTATE); /* acquire before open */
    assert_int_equal(weft_upstream_open(&pool), 0);
    state_is(WEFT_UPSTREAM_ACTIVE);
    assert_int_equal(weft_upstream_open(&pool), WEFT_ESTATE);
    uint32_t a = taken(), b = taken();
    assert_int_not_equal(a, b);
    refused(WEFT_EFULL);
    assert_int_equal(atomic_load(&pool.refused), 1);
    assert_int_equal(weft_upstream_close(&pool, 20), WEFT_EDEADLINE);
    state_is(WEFT_UPSTREAM_CLOSING);
    refused(WEFT_ESTATE);
    weft_upstream_release(&pool, a);
    state_is(WEFT_UPSTREAM_CLOSING);
    refused(WEFT_ESTATE); /* one is in, and stays in */
    weft_upstream_release(&pool, b);
    state_is(WEFT_UPSTREAM_TERMINATED);
    assert_int_equal(weft_upstream_close(&pool, 0), 0);
    assert_int_equal(weft_upstream_open(&pool), WEFT_ESTATE);
    refused(WEFT_ESTATE);
    weft_upstream_fini(&pool);
}

static void closed_without_use(void **state)
{
    (void)state;
    weft_upstream_init(&pool, "test", 1, 0);
    assert_int_equal(weft_upstream_close(&pool, 0), 0); /* never opened */
    state_is(WEFT_UPSTREAM_TERMINATED);
    weft_upstream_fini(&pool);
    weft_upstream_init(&pool, "test", 1, 0);
    assert_int_equal(weft_upstream_open(&pool), 0);
    assert_int_equal(weft_upstream_close(&pool, 0), 0);
    state_is(WEFT_UPSTREAM_TERMINATED);
    weft_upstream_fini(&pool);
    weft_upstream_fini(&pool); /* of zeros: nothing */
}

static void the_newest_goes_out_first(void **state)
{
    (void)state;
    weft_upstream_init(&pool, "test", 3, 0);
    assert_int_equal(weft_upstream_open(&pool), 0);
    uint32_t a = taken(), b = taken();
    weft_upstream_release(&pool, a);
    weft_upstream_release(&pool, b);
    assert_int_equal(taken(), b);
    assert_int_equal(taken(), a);
    weft_upstream_release(&pool, a);
    weft_upstream_release(&pool, b);
    assert_int_equal(weft_upstream_close(&pool, 0), 0);
    weft_upstream_fini(&pool);
}

/* ---- the queue ---- */

struct place {
    struct weft_upstream_waiter waiter;
    int told;
};

static void told(struct weft_upstream_waiter *waiter)
{
    WEFT_CONTAINER_OF(waiter, struct place, waiter)->told++;
}

static void queue(struct place *place, weft_rc rc)
{
    uint32_t conn = 0;
    *place = (struct place){.waiter = {.told = told}};
    assert_int_equal(weft_upstream_acquire(&pool, &place->waiter, &conn), rc);
}

static void who_waits_is_served_in_turn(void **state)
{
    (void)state;
    struct place places[4];
    weft_upstream_init(&pool, "test", 1, 3);
    assert_int_equal(weft_upstream_open(&pool), 0);
    uint32_t conn = taken();
    for (int i = 0; i < 3; i++)
        queue(&places[i], WEFT_NEXT);
    queue(&places[3], WEFT_EFULL); /* the queue has its limit */
    assert_int_equal(atomic_load(&pool.queued), 3);
    assert_true(weft_upstream_forget(&pool, &places[1].waiter));
    weft_upstream_release(&pool, conn);
    assert_int_equal(places[0].told, 1);
    assert_int_equal(places[0].waiter.conn, conn);
    assert_false(weft_upstream_forget(&pool, &places[0].waiter)); /* it has been told */
    assert_int_equal(atomic_load(&pool.out), 1);                  /* handed over: it never was in */
    weft_upstream_release(&pool, conn);
    assert_int_equal(places[1].told, 0);
    assert_int_equal(places[2].told, 1);
    weft_upstream_release(&pool, conn);
    assert_int_equal(atomic_load(&pool.out), 0);
    assert_int_equal(weft_upstream_close(&pool, 0), 0);
    weft_upstream_fini(&pool);
}

static void who_waits_is_told_of_the_end(void **state)
{
    (void)state;
    struct place a, b;
    weft_upstream_init(&pool, "test", 1, 3);
    assert_int_equal(weft_upstream_open(&pool), 0);
    uint32_t conn = taken();
    queue(&a, WEFT_NEXT);
    queue(&b, WEFT_NEXT);
    assert_int_equal(weft_upstream_close(&pool, 1), WEFT_EDEADLINE);
    assert_int_equal(a.told + b.told, 2);
    assert_int_equal(a.waiter.conn, WEFT_UPSTREAM_NONE);
    assert_int_equal(b.waiter.conn, WEFT_UPSTREAM_NONE);
    weft_upstream_release(&pool, conn);
    state_is(WEFT_UPSTREAM_TERMINATED);
    weft_upstream_fini(&pool);
}

/* ---- threads ---- */

#define THREADS 4
#define CONNS   3
#define ROUNDS  2000

struct client {
    pthread_t thread;
    struct weft_upstream_waiter waiter;
    sem_t woken;
    uint32_t rounds, waits;
};

static int users[CONNS]; /* plain: two at once is what the thread sanitizer would see */

static void wake(struct weft_upstream_waiter *waiter)
{
    sem_post(&WEFT_CONTAINER_OF(waiter, struct client, waiter)->woken);
}

/* A connection, after a wait if need be; WEFT_UPSTREAM_NONE: the pool is closing. */
static uint32_t take_or_wait(struct client *client)
{
    uint32_t conn = WEFT_UPSTREAM_NONE;
    weft_rc rc = weft_upstream_acquire(&pool, &client->waiter, &conn);
    if (rc == WEFT_ESTATE)
        return WEFT_UPSTREAM_NONE;
    if (rc == 0)
        return conn;
    assert_int_equal(rc, WEFT_NEXT);
    client->waits++;
    if (client->waits % 3 == 0 && weft_upstream_forget(&pool, &client->waiter))
        return take_or_wait(client);
    while (sem_wait(&client->woken) != 0)
        ;
    return client->waiter.conn;
}

static void *work(void *arg)
{
    struct client *client = arg;
    for (;;) {
        uint32_t conn = take_or_wait(client);
        if (conn == WEFT_UPSTREAM_NONE)
            return NULL;
        assert_int_equal(users[conn]++, 0);
        if (client->rounds % 16 == 0)
            sched_yield();
        users[conn]--;
        __atomic_store_n(&client->rounds, client->rounds + 1, __ATOMIC_RELAXED);
        weft_upstream_release(&pool, conn);
    }
}

static void one_user_at_a_time(void **state)
{
    (void)state;
    static struct client clients[THREADS];
    weft_upstream_init(&pool, "test", CONNS, THREADS);
    assert_int_equal(weft_upstream_open(&pool), 0);
    for (int i = 0; i < THREADS; i++) {
        clients[i].waiter.told = wake;
        sem_init(&clients[i].woken, 0, 0);
        assert_int_equal(pthread_create(&clients[i].thread, NULL, work, &clients[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        while (__atomic_load_n(&clients[i].rounds, __ATOMIC_RELAXED) < ROUNDS)
            sched_yield();
    assert_int_equal(weft_upstream_close(&pool, 60000), 0); /* in the midst of it */
    state_is(WEFT_UPSTREAM_TERMINATED);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(clients[i].thread, NULL);
        sem_destroy(&clients[i].woken);
    }
    assert_int_equal(atomic_load(&pool.out), 0);
    assert_int_equal(atomic_load(&pool.queued), 0);
    assert_int_equal(pool.free_count, CONNS);
    weft_upstream_fini(&pool);
}

/* ---- bytes ---- */

static void what_waits_is_a_figure(void **state)
{
    (void)state;
    weft_upstream_init(&pool, "test", 1, 0);
    weft_upstream_hold(&pool, 5000);
    weft_upstream_hold(&pool, 3000);
    assert_int_equal(atomic_load(&pool.bytes_waiting), 8000);
    assert_int_equal(atomic_load(&pool.requests_waiting), 2);
    weft_upstream_drop(&pool, 5000);
    weft_upstream_drop(&pool, 3000);
    assert_int_equal(atomic_load(&pool.bytes_waiting), 0);
    weft_upstream_fini(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_after_the_other),
        cmocka_unit_test(closed_without_use),
        cmocka_unit_test(the_newest_goes_out_first),
        cmocka_unit_test(who_waits_is_served_in_turn),
        cmocka_unit_test(who_waits_is_told_of_the_end),
        cmocka_unit_test(one_user_at_a_time),
        cmocka_unit_test(what_waits_is_a_figure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
