/* timer_test.c - the wheel against a plain list, under a fake time. */
#include "unit.h"
#include "random.h"
#include "io/timer.h"

#define DAY_MS    UINT64_C(86400000)
#define TIMERS    300
#define ALL_STEPS UINT32_MAX

static uint64_t seed = 0x853c49e6748fea9bu;

/* A timer and what the model knows of it. */
struct probe {
    struct weft_timer timer;
    bool armed;
    uint64_t due_tick; /* it has fired when this tick is done with, and never before at_ms */
    uint32_t fires;
};

static struct weft_wheel wheel;
static struct probe probes[TIMERS];
static uint64_t now_ms;
static uint64_t last_fired_ms;
static bool callbacks_act;

static uint64_t tick_of(uint64_t at_ms)
{
    uint64_t passed = at_ms > wheel.base_ms ? at_ms - wheel.base_ms : 0;
    return passed / wheel.precision_ms + (passed % wheel.precision_ms != 0);
}

static void arm(struct probe *probe, uint64_t at_ms, uint64_t floor_tick)
{
    uint64_t due_tick = WEFT_MAX(tick_of(at_ms), WEFT_MAX(floor_tick, wheel.now_tick));
    if (probe->armed && at_ms >= probe->timer.at_ms)
        due_tick = WEFT_MAX(due_tick, probe->due_tick); /* put off: it keeps its place */
    probe->armed = true;
    probe->due_tick = due_tick;
    weft_timer_arm(&wheel, &probe->timer, at_ms);
}

/* Mostly near, sometimes past, sometimes on an edge between levels, sometimes a month away. */
static uint64_t random_time(void)
{
    switch (next_random(&seed) % 8) {
    case 0:
        return now_ms - WEFT_MIN(now_ms, next_random(&seed) % 100);
    case 1:
        return now_ms + next_random(&seed) % (30 * DAY_MS);
    case 2: {
        uint64_t edge = UINT64_C(1) << (6 * (1 + next_random(&seed) % 5));
        return (now_ms | (edge - 1)) + next_random(&seed) % 3;
    }
    case 3:
        return now_ms;
    default:
        return now_ms + next_random(&seed) % (UINT64_C(1) << next_random(&seed) % 20);
    }
}

static void on_fire(struct weft_timer *timer)
{
    struct probe *probe = WEFT_CONTAINER_OF(timer, struct probe, timer);
    assert_true(probe->armed);
    assert_false(weft_timer_armed(timer));
    assert_true(now_ms >= timer->at_ms); /* never early */
    assert_true(tick_of(timer->at_ms) <= wheel.now_tick);
    last_fired_ms = timer->at_ms;
    probe->armed = false;
    probe->fires++;
    if (!callbacks_act)
        return;
    uint64_t next_tick = (now_ms - wheel.base_ms) / wheel.precision_ms + 1;
    struct probe *other = &probes[next_random(&seed) % TIMERS];
    switch (next_random(&seed) % 4) {
    case 0:
        arm(probe, random_time(), next_tick);
        break;
    case 1:
        arm(other, random_time(), next_tick);
        break;
    case 2:
        weft_timer_disarm(&wheel, &other->timer);
        other->armed = false;
        break;
    default:
        break;
    }
}

static void start(uint64_t start_ms, uint32_t precision_ms)
{
    now_ms = start_ms;
    weft_wheel_init(&wheel, now_ms, precision_ms);
    memset(probes, 0, sizeof(probes));
    for (size_t i = 0; i < TIMERS; i++)
        probes[i].timer.fire = on_fire;
    callbacks_act = false;
}

/* Nothing due is left, and the wheel knows when to wake. */
static void check_model(bool complete)
{
    uint64_t now_tick = (now_ms - wheel.base_ms) / wheel.precision_ms;
    uint64_t first = UINT64_MAX;
    uint32_t armed = 0;
    for (size_t i = 0; i < TIMERS; i++) {
        assert_int_equal(probes[i].armed, weft_timer_armed(&probes[i].timer));
        if (!probes[i].armed)
            continue;
        armed++;
        first = WEFT_MIN(first, probes[i].due_tick);
        if (complete)
            assert_true(probes[i].due_tick > now_tick);
    }
    assert_int_equal(wheel.armed, armed);
    uint64_t next_ms = weft_wheel_next_ms(&wheel);
    if (armed == 0)
        assert_true(next_ms == UINT64_MAX);
    else
        assert_true(next_ms <= wheel.base_ms + first * wheel.precision_ms);
    if (complete && armed > 0)
        assert_true(next_ms > now_ms); /* else the loop would spin */
}

static void random_walk(uint64_t start_ms, uint32_t precision_ms, uint32_t steps_max)
{
    start(start_ms, precision_ms);
    callbacks_act = true;
    for (int turn = 0; turn < 4000; turn++) {
        for (uint64_t i = next_random(&seed) % 4; i > 0; i--) {
            struct probe *probe = &probes[next_random(&seed) % TIMERS];
            if (next_random(&seed) % 3 == 0) {
                weft_timer_disarm(&wheel, &probe->timer);
                weft_timer_disarm(&wheel, &probe->timer); /* twice is once */
                probe->armed = false;
            } else {
                arm(probe, random_time(), 0);
            }
        }
        check_model(false);
        uint64_t next_ms = weft_wheel_next_ms(&wheel);
        if (next_random(&seed) % 4 == 0 && next_ms != UINT64_MAX)
            now_ms = WEFT_MAX(now_ms, next_ms); /* as the loop sleeps */
        else
            now_ms += next_random(&seed) % (UINT64_C(1) << next_random(&seed) % 24);
        uint32_t calls = 0;
        while (weft_wheel_advance(&wheel, now_ms, steps_max))
            assert_true(++calls < 20 * TIMERS);
        check_model(true);
    }
}

/* shows HC-12: both precisions */
static void as_a_plain_list_1_ms(void **state)
{
    (void)state;
    random_walk(0, 1, ALL_STEPS);
    random_walk(123456789, 1, 1);
}

static void as_a_plain_list_10_ms(void **state)
{
    (void)state;
    random_walk(7, 10, ALL_STEPS);
    random_walk(987654321987, 10, 3);
}

/* shows HC-12: the first tick at or after its time, at most one precision late */
static void each_distance_to_the_millisecond(void **state)
{
    (void)state;
    const uint32_t precisions[] = {1, 10, 16};
    for (size_t p = 0; p < WEFT_COUNT_OF(precisions); p++) {
        for (uint64_t distance = 0; distance < 9000; distance += distance < 300 ? 1 : 13) {
            start(1000003, precisions[p]);
            arm(&probes[0], now_ms + distance, 0);
            uint64_t at_ms = now_ms + distance;
            while (probes[0].fires == 0) {
                now_ms = WEFT_MAX(now_ms, weft_wheel_next_ms(&wheel));
                if (now_ms > 1000003 && probes[0].armed) { /* a moment before: nothing */
                    (void)weft_wheel_advance(&wheel, now_ms - 1, ALL_STEPS);
                    assert_true(probes[0].fires == 0 || now_ms - 1 >= at_ms);
                }
                assert_false(weft_wheel_advance(&wheel, now_ms, ALL_STEPS));
            }
            assert_true(now_ms >= at_ms && now_ms < at_ms + precisions[p]);
        }
    }
}

static void edges_between_levels(void **state)
{
    (void)state;
    for (unsigned bits = 6; bits <= 30; bits += 6) {
        for (uint64_t i = 0; i < 5; i++) {
            start(0, 1);
            uint64_t at_ms = (UINT64_C(1) << bits) - 2 + i;
            now_ms = at_ms - 3;
            assert_false(weft_wheel_advance(&wheel, now_ms, ALL_STEPS));
            arm(&probes[0], at_ms, 0);
            now_ms = at_ms - 1;
            assert_false(weft_wheel_advance(&wheel, now_ms, ALL_STEPS));
            assert_int_equal(probes[0].fires, 0);
            assert_true(weft_wheel_next_ms(&wheel) == at_ms);
            now_ms = at_ms;
            assert_false(weft_wheel_advance(&wheel, now_ms, ALL_STEPS));
            assert_int_equal(probes[0].fires, 1);
        }
    }
}

static void thirty_days_take_few_wake_ups(void **state)
{
    (void)state;
    start(12345, 1);
    arm(&probes[0], now_ms + 30 * DAY_MS, 0);
    uint64_t at_ms = probes[0].timer.at_ms;
    int wake_ups = 0;
    while (probes[0].fires == 0) {
        now_ms = weft_wheel_next_ms(&wheel);
        assert_false(weft_wheel_advance(&wheel, now_ms, ALL_STEPS));
        wake_ups++;
    }
    assert_true(now_ms == at_ms);
    assert_true(wake_ups <= WEFT_WHEEL_LEVELS);
    assert_true(weft_wheel_next_ms(&wheel) == UINT64_MAX);
}

static void a_jump_fires_in_order(void **state)
{
    (void)state;
    start(50, 1);
    for (size_t i = 0; i < TIMERS; i++)
        arm(&probes[i], now_ms + next_random(&seed) % (30 * DAY_MS), 0);
    now_ms += 30 * DAY_MS;
    last_fired_ms = 0;
    uint64_t before_ms = 0;
    uint32_t fired = 0;
    for (bool more = true; more;) {
        more = weft_wheel_advance(&wheel, now_ms, 1);
        assert_true(last_fired_ms >= before_ms);
        before_ms = last_fired_ms;
    }
    for (size_t i = 0; i < TIMERS; i++)
        fired += probes[i].fires;
    assert_int_equal(fired, TIMERS);
}

static void a_call_is_bounded(void **state)
{
    (void)state;
    start(0, 1);
    for (size_t i = 0; i < TIMERS; i++)
        arm(&probes[i], 100, 0);
    now_ms = 100;
    int calls = 1;
    while (weft_wheel_advance(&wheel, now_ms, 10)) {
        assert_true(weft_wheel_next_ms(&wheel) <= now_ms); /* do not sleep */
        calls++;
    }
    /* Each is looked at twice: its slot of level 1 comes first. */
    assert_in_range(calls, 2 * TIMERS / 10, 2 * TIMERS / 10 + 1);
    check_model(true);
}

static uint32_t ticks;

static void again_at_once(struct weft_timer *timer)
{
    ticks++;
    weft_timer_arm(&wheel, timer, 0);
}

static void one_that_arms_itself_does_not_hold_the_loop(void **state)
{
    (void)state;
    start(0, 10);
    ticks = 0;
    struct weft_timer timer = {.fire = again_at_once};
    weft_timer_arm(&wheel, &timer, 0);
    for (uint32_t i = 1; i <= 200; i++) {
        assert_false(weft_wheel_advance(&wheel, now_ms, ALL_STEPS));
        assert_int_equal(ticks, i);
        now_ms = weft_wheel_next_ms(&wheel);
    }
    weft_timer_disarm(&wheel, &timer);
    assert_true(weft_wheel_next_ms(&wheel) == UINT64_MAX);
}

static void putting_off_moves_nothing_until_its_time(void **state)
{
    (void)state;
    start(0, 1);
    arm(&probes[0], 1000, 0);
    struct weft_timer **link = probes[0].timer.link;
    arm(&probes[0], 61000, 0);
    assert_ptr_equal(probes[0].timer.link, link);
    now_ms = 1000;
    assert_false(weft_wheel_advance(&wheel, now_ms, ALL_STEPS));
    check_model(true);
    assert_int_equal(probes[0].fires, 0);
    arm(&probes[0], 1001, 0); /* sooner again */
    now_ms = 1001;
    assert_false(weft_wheel_advance(&wheel, now_ms, ALL_STEPS));
    assert_int_equal(probes[0].fires, 1);
}

static void never_is_far_away(void **state)
{
    (void)state;
    start(5, 1);
    arm(&probes[0], UINT64_MAX, 0);
    probes[0].due_tick = UINT64_C(1) << 42;
    now_ms += 365 * DAY_MS;
    while (weft_wheel_advance(&wheel, now_ms, 1))
        continue;
    assert_int_equal(probes[0].fires, 0);
    assert_true(weft_timer_armed(&probes[0].timer));
    weft_timer_disarm(&wheel, &probes[0].timer);
    assert_true(weft_wheel_next_ms(&wheel) == UINT64_MAX);
}

static void a_clock_that_goes_back_fires_nothing_early(void **state)
{
    (void)state;
    start(1000, 1);
    now_ms = 2000;
    assert_false(weft_wheel_advance(&wheel, now_ms, ALL_STEPS));
    assert_false(weft_wheel_advance(&wheel, 500, ALL_STEPS));
    arm(&probes[0], 2001, 0);
    assert_false(weft_wheel_advance(&wheel, 1500, ALL_STEPS));
    assert_int_equal(probes[0].fires, 0);
    now_ms = 2001;
    assert_false(weft_wheel_advance(&wheel, now_ms, ALL_STEPS));
    assert_int_equal(probes[0].fires, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_a_plain_list_1_ms),
        cmocka_unit_test(as_a_plain_list_10_ms),
        cmocka_unit_test(each_distance_to_the_millisecond),
        cmocka_unit_test(edges_between_levels),
        cmocka_unit_test(thirty_days_take_few_wake_ups),
        cmocka_unit_test(a_jump_fires_in_order),
        cmocka_unit_test(a_call_is_bounded),
        cmocka_unit_test(one_that_arms_itself_does_not_hold_the_loop),
        cmocka_unit_test(putting_off_moves_nothing_until_its_time),
        cmocka_unit_test(never_is_far_away),
        cmocka_unit_test(a_clock_that_goes_back_fires_nothing_early),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
