/* reclaim_test.c - pages go back two windows after they were last needed, with no further traffic;
 * those of a load that goes on stay. shows MC-26, GB-05 */
#include "echo.h"

#define WINDOW_MS 300
#define KIB       ((size_t)1 << 10)

static struct weft_limits limits;

static int open_reclaiming(void **state)
{
    (void)state;
    atomic_store(&limits.relief, WEFT_RELIEF_NONE);
    rig_open((struct rig_options){
        .fake_clock = true, .reclaim_window_ms = WINDOW_MS, .process_limits = &limits});
    return 0;
}

/* A window goes by, and the pass that its end begins. */
static void window(void)
{
    weft_clock_fake_advance(&rig.clock, (uint64_t)(WINDOW_MS + 2) * WEFT_NS_PER_MS);
    turn();
    turn();
    for (int i = 0; rig.loop.reclaim.running && i < 10000; i++)
        turn();
    assert_false(rig.loop.reclaim.running);
}

/* What is touched of the pools that a request uses. */
static size_t touched(void)
{
    return weft_chunks_committed(&rig.loop.chunks) + rig.loop.blocks.committed +
           rig.loop.conns.committed + rig.loop.tasks.account->committed;
}

static void nothing(void *arg)
{
    (void)arg;
}

/* What a request of `bytes` does to its worker. */
static void request(size_t bytes)
{
    struct weft_arena arena;
    uint32_t conn = weft_pool_take(&rig.loop.conns);
    char *block = weft_block_take(&rig.loop);
    assert_non_null(block);
    weft_arena_init(&arena, &rig.loop.chunks, 1 << 20);
    for (size_t at = 0; at < bytes; at += KIB)
        memset(weft_arena_alloc(&arena, KIB), 1, KIB);
    assert_int_equal(weft_task_run(&rig.loop.tasks, nothing, NULL), 0);
    weft_arena_reset(&arena);
    weft_block_put(&rig.loop, block);
    weft_pool_put(&rig.loop.conns, conn);
}

static void a_peak_is_gone_two_windows_later(void **state)
{
    (void)state;
    turn();
    assert_false(weft_timer_armed(&rig.loop.reclaim.tick)); /* nothing has happened yet */
    request(700 * KIB);
    size_t peak = touched();
    assert_true(peak > 700 * KIB);
    turn(); /* it is noticed by the turn after it, and nothing wakes the worker any more */
    assert_true(weft_timer_armed(&rig.loop.reclaim.tick));
    window();
    window();
    assert_true(touched() <= 2 * WEFT_PAGE_BYTES); /* the list of the stacks */
    assert_int_equal(weft_chunks_committed(&rig.loop.chunks), 0);
    assert_true(atomic_load(&rig.loop.reclaim.bytes) >= peak - 2 * WEFT_PAGE_BYTES);
    window();
    assert_false(weft_timer_armed(&rig.loop.reclaim.tick)); /* an idle worker sleeps */
    request(4 * KIB);                                       /* and is as good as new */
    turn();
    assert_true(weft_timer_armed(&rig.loop.reclaim.tick));
}

static void what_a_load_uses_stays(void **state)
{
    (void)state;
    for (int i = 0; i < 8; i++) {
        request(i == 0 ? 700 * KIB : 8 * KIB);
        turn();
        window();
    }
    size_t warm = weft_chunks_committed(&rig.loop.chunks);
    assert_in_range(warm, 4 * KIB, 24 * KIB); /* of the peak nothing, of the load all */
    uint64_t before = atomic_load(&rig.loop.reclaim.bytes);
    for (int i = 0; i < 20; i++) {
        request(8 * KIB);
        turn();
        window();
    }
    assert_int_equal(weft_chunks_committed(&rig.loop.chunks), warm);
    assert_int_equal(atomic_load(&rig.loop.reclaim.bytes), before);
}

static void under_pressure_all_that_is_free_goes_at_once(void **state)
{
    (void)state;
    request(700 * KIB);
    turn();
    atomic_store(&limits.relief, WEFT_RELIEF_TRIM);
    window();
    assert_int_equal(weft_chunks_committed(&rig.loop.chunks), 0);
    atomic_store(&limits.relief, WEFT_RELIEF_NONE);

    request(700 * KIB); /* told between two windows: without waiting for one */
    weft_reclaim_all(&rig.loop);
    for (int i = 0; i < 100; i++)
        turn();
    assert_int_equal(weft_chunks_committed(&rig.loop.chunks), 0);
}

static void what_is_held_is_left_alone(void **state)
{
    (void)state;
    struct weft_arena arena;
    weft_arena_init(&arena, &rig.loop.chunks, 1 << 20);
    char *mine = weft_arena_alloc(&arena, 200 * KIB);
    memset(mine, 7, 200 * KIB);
    request(300 * KIB);
    turn();
    window();
    window();
    assert_int_equal(weft_chunks_committed(&rig.loop.chunks), arena.held);
    for (size_t i = 0; i < 200 * KIB; i++)
        assert_int_equal(mine[i], 7);
    weft_arena_reset(&arena);
}

static void every_step_is_counted_by_its_length(void **state)
{
    (void)state;
    request(700 * KIB);
    turn();
    window();
    window();
    const struct weft_reclaim *r = &rig.loop.reclaim;
    uint64_t steps = 0;
    for (size_t i = 0; i < WEFT_PAUSE_BUCKETS; i++)
        steps += atomic_load(&r->pauses[i]);
    assert_true(steps >= atomic_load(&r->passes));
    assert_true(atomic_load(&r->passes) >= 2);
    assert_true(atomic_load(&r->pause_ns) >= atomic_load(&r->pause_ns_max));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define RECLAIM_TEST(name) cmocka_unit_test_setup_teardown(name, open_reclaiming, close_rig)
        RECLAIM_TEST(a_peak_is_gone_two_windows_later),
        RECLAIM_TEST(what_a_load_uses_stays),
        RECLAIM_TEST(under_pressure_all_that_is_free_goes_at_once),
        RECLAIM_TEST(what_is_held_is_left_alone),
        RECLAIM_TEST(every_step_is_counted_by_its_length),
    };
    int failed = 0;
    RUN_ON_ENGINES(tests, failed);
    return failed;
}
