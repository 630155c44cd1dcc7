/* closing_test.c - a descriptor is closed once, by a thread where there is a place for it, else at
 * once. */
#include "unit.h"
#include "serve/input/closing.h"
#include <fcntl.h>
#include <semaphore.h>
#include <unistd.h>

static sem_t entered, leave;

/* Keeps the pool's one thread busy until `leave`. */
static void stand(struct weft_offload_job *job)
{
    (void)job;
    sem_post(&entered);
    sem_wait(&leave);
}

static void nothing(struct weft_offload_job *job)
{
    (void)job;
}

static struct weft_offload_job blocker = {.run = stand, .done = nothing};

static struct weft_offload *busy_pool(uint32_t queue_max)
{
    struct weft_offload *pool = NULL;
    sem_init(&entered, 0, 0);
    sem_init(&leave, 0, 0);
    assert_int_equal(weft_offload_create(1, queue_max, &pool), 0);
    assert_int_equal(weft_offload_submit(pool, &blocker), 0);
    sem_wait(&entered);
    return pool;
}

static void let_go(struct weft_offload *pool)
{
    sem_post(&leave);
    weft_offload_destroy(pool); /* runs what is queued */
}

static int descriptor(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static void without_a_pool(void **state)
{
    (void)state;
    int fd = descriptor();
    assert_false(weft_close_by_thread(NULL, fd));
    assert_false(is_open(fd));
}

static void a_full_queue(void **state)
{
    (void)state;
    struct weft_offload *pool = busy_pool(1);
    int queued = descriptor();
    assert_true(weft_close_by_thread(pool, queued));
    for (int i = 0; i < 2 * WEFT_CLOSINGS_MAX; i++) { /* a place taken in vain is given back */
        int fd = descriptor();
        assert_false(weft_close_by_thread(pool, fd));
        assert_false(is_open(fd));
    }
    assert_true(is_open(queued));
    let_go(pool);
    assert_false(is_open(queued));
}

static void as_many_under_way_as_may(void **state)
{
    (void)state;
    for (int round = 0; round < 2; round++) { /* the places are free again */
        struct weft_offload *pool = busy_pool(4 * WEFT_CLOSINGS_MAX);
        int queued[WEFT_CLOSINGS_MAX];
        for (int i = 0; i < WEFT_CLOSINGS_MAX; i++) {
            queued[i] = descriptor();
            assert_true(weft_close_by_thread(pool, queued[i]));
        }
        int one_more = descriptor();
        assert_false(weft_close_by_thread(pool, one_more));
        assert_false(is_open(one_more));
        for (int i = 0; i < WEFT_CLOSINGS_MAX; i++)
            assert_true(is_open(queued[i]));
        let_go(pool);
        for (int i = 0; i < WEFT_CLOSINGS_MAX; i++)
            assert_false(is_open(queued[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_pool),
        cmocka_unit_test(a_full_queue),
        cmocka_unit_test(as_many_under_way_as_may),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
