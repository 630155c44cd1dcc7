/* redis_names_test.c - a resolver that takes its time holds nobody beyond his deadline, and is
 * asked once for all; what it says late is for who comes next. */
#include "http/mux_client.h"
#include "serve/cache/redis_names.h"
#include <errno.h>
#include <semaphore.h>
#include <time.h>

#define WAIT_MS  50
#define FRESH_MS 1000

static struct weft_redis_names names;
static struct weft_offload *pool;
static sem_t go_on;
static _Atomic int asked;
static _Atomic int resolver_rc;

static weft_rc resolve(struct weft_redis_address *address)
{
    atomic_fetch_add(&asked, 1);
    while (sem_wait(&go_on) != 0)
        continue;
    address->socket_count = 2;
    return (weft_rc)atomic_load(&resolver_rc);
}

static weft_rc ask(weft_req *rq)
{
    struct weft_redis_address address = {.socket_count = 0};
    weft_rc rc = weft_redis_names_ask(&names, rq, rq->loop->now_ms + WAIT_MS, &address);
    if (rc == 0)
        return weft_text(rq, address.socket_count == 2 ? 200 : 500, WEFT_S("known"));
    assert_int_equal(address.socket_count, 0);
    return weft_text(rq, rc == (weft_rc)-ETIMEDOUT ? 504 : 502, WEFT_S("not"));
}

static const struct seam_route routes[] = {{"GET", "/ask", ask}};

static int open_all(void **state)
{
    (void)state;
    struct timespec now;
    struct weft_redis_address address;
    seam_open(&mux_protocol, routes, WEFT_COUNT_OF(routes), MUX_STREAMS);
    assert_int_equal(weft_offload_create(1, 1, &pool), 0);
    seam.site.offload = pool;
    clock_gettime(CLOCK_MONOTONIC, &now); /* the resolver's thread looks at it */
    seam.clock.now_ns = (uint64_t)now.tv_sec * 1000 * WEFT_NS_PER_MS + (uint64_t)now.tv_nsec;
    assert_int_equal(weft_redis_address_read(weft_str_z("cache.example"), &address), 0);
    weft_redis_names_init(&names, &address, FRESH_MS);
    names.resolve = resolve;
    sem_init(&go_on, 0, 0);
    atomic_store(&asked, 0);
    atomic_store(&resolver_rc, 0);
    pass_ms(0);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++)
        sem_post(&go_on); /* also where a test has failed */
    weft_offload_destroy(pool);
    weft_redis_names_fini(&names);
    sem_destroy(&go_on);
    assert_nothing_is_held();
    seam_close();
    return 0;
}

static void let_it_answer(void)
{
    sem_post(&go_on);
    while (atomic_load(&names.asking))
        sched_yield();
}

static int status_of(uint8_t id)
{
    collect();
    return answers[id].status;
}

static void it_takes_its_time(void **state)
{
    (void)state;
    get(1, "/ask");
    get(2, "/ask");
    assert_int_equal(seam.loop.tasks.waiting, 2);
    sleep_it_out();
    assert_int_equal(status_of(1), 504);
    assert_int_equal(status_of(2), 504);
    get(3, "/ask"); /* it is in there still */
    sleep_it_out();
    assert_int_equal(status_of(3), 504);
    let_it_answer();
    assert_int_equal(atomic_load(&asked), 1);
    get(4, "/ask");
    assert_int_equal(seam.loop.tasks.waiting, 0); /* at once */
    assert_int_equal(status_of(4), 200);
}

static void an_answer_is_good_for_a_while(void **state)
{
    (void)state;
    get(1, "/ask");
    let_it_answer();
    sleep_it_out();
    assert_int_equal(status_of(1), 200);
    get(2, "/ask");
    assert_int_equal(status_of(2), 200);
    assert_int_equal(atomic_load(&asked), 1);
    names.until_ms = seam.loop.now_ms; /* its time is the resolver's thread's, not the test's */
    atomic_store(&resolver_rc, -EHOSTUNREACH);
    get(3, "/ask");
    let_it_answer();
    sleep_it_out();
    assert_int_equal(status_of(3), 502);
    assert_int_equal(atomic_load(&asked), 2);
}

static void a_client_that_leaves(void **state)
{
    (void)state;
    get(1, "/ask");
    send_frame(1, 'R', "");
    assert_int_equal(seam.loop.tasks.waiting, 0);
    let_it_answer();
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, open_all, close_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(it_takes_its_time),
        CASE(an_answer_is_good_for_a_while),
        CASE(a_client_that_leaves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
