/* governor_test.c - when a pass starts and how much of it is done at once, under a fake clock.
 * shows MC-40, MC-41, MC-42 */
#include "unit.h"
#include "base/clock.h"
#include "mem/governor.h"

#define MIB ((size_t)1 << 20)
#define MS  ((uint64_t)WEFT_NS_PER_MS)
#define S   ((uint64_t)WEFT_NS_PER_S)

static struct weft_clock_fake fake;
static struct weft_clock clock_now;
static struct weft_governor governor;
static struct weft_governor_sample seen;

/* What happens in one second of a synthetic load. */
struct load {
    uint64_t promoted_bytes, io_wait_ns, busy_ns, requests;
    int64_t used_bytes; /* by how much use grows */
};

/* Everything as usual: every weighted input is 1, the two others are 0, and the CPU has room. */
static const struct load usual = {
    .promoted_bytes = 100 * MIB, .io_wait_ns = S / 2, .busy_ns = S / 5, .requests = 1000};

static uint64_t now(void)
{
    weft_clock_update(&clock_now);
    return clock_now.now_ns;
}

/* 3,000 MiB of which 1,000 are used; 9.5 MiB could be given back, which at the prior cost takes
 * 5 us + 0.1 ns a byte: within a hundredth of the target of 1 ms. */
static void start(void)
{
    weft_clock_fake_init(&fake, 1000 * S, 0);
    weft_clock_init(&clock_now, &fake.source);
    weft_governor_init(&governor, NULL, now());
    seen = (struct weft_governor_sample){.used_bytes = 1000 * MIB,
                                         .committed_bytes = 1000 * MIB + 9949999,
                                         .elastic_bytes = 3000 * MIB};
    weft_governor_sample(&governor, now(), &seen);
}

static void run(const struct load *load, uint64_t seconds)
{
    for (uint64_t i = 0; i < seconds * 10; i++) {
        weft_clock_fake_advance(&fake, S / 10);
        seen.promoted_bytes_total += load->promoted_bytes / 10;
        seen.io_wait_ns_total += load->io_wait_ns / 10;
        seen.busy_ns_total += load->busy_ns / 10;
        seen.wall_ns_total += S / 10;
        seen.requests_total += load->requests / 10;
        seen.used_bytes += (size_t)(load->used_bytes / 10);
        seen.committed_bytes += (size_t)(load->used_bytes / 10);
        weft_governor_sample(&governor, now(), &seen);
    }
}

static void assert_near(double value, double expected, double by)
{
    if (value < expected - by || value > expected + by)
        fail_msg("%f is not %f", value, expected);
}

/* Does a pass start at this free share? The question is undone. */
static bool starts_at(double free_share)
{
    struct weft_governor before = governor;
    bool due = weft_governor_due(&governor, now(), free_share);
    governor = before;
    return due;
}

static double figure(enum weft_governor_figure which)
{
    return weft_governor_figure(&governor, which);
}

/* By hand: base 0.45; pause ratio less one within -1..0.5, times 0.2; load above 0.8, times 0.3. */
static void the_formula(void **state)
{
    (void)state;
    static const struct {
        double ratio, load, expected;
    } points[] = {
        {1.0, 0.0, 0.45},     /* as long as wanted */
        {0.0, 0.5, 0.36},     /* nothing to fear: 0.45 * 0.8 */
        {0.5, 0.8, 0.405},    /* 0.45 * 0.9 */
        {1.25, 0.8, 0.4725},  /* 0.45 * 1.05 */
        {1.5, 0.3, 0.495},    /* 0.45 * 1.1 */
        {10.0, 0.3, 0.495},   /* not more than half a target counts */
        {1.0, 0.9, 0.4365},   /* 0.45 * 0.97 */
        {1.0, 1.0, 0.423},    /* 0.45 * 0.94 */
        {2.0, 1.0, 0.4653},   /* 0.45 * 1.1 * 0.94 */
        {0.0, 1.0, 0.3384},   /* 0.45 * 0.8 * 0.94 */
        {1.2, 0.85, 0.46098}, /* 0.45 * 1.04 * 0.985 */
    };
    for (size_t i = 0; i < WEFT_COUNT_OF(points); i++)
        assert_near(weft_governor_formula(&weft_governor_defaults, points[i].ratio, points[i].load),
                    points[i].expected, 1e-9);
}

static void as_usual_the_threshold_is_the_base(void **state)
{
    (void)state;
    start();
    assert_near(weft_governor_threshold(&governor), 0.45, 0.002);
    run(&usual, 70);
    assert_near(weft_governor_threshold(&governor), 0.45, 0.002);
    assert_near(figure(WEFT_GOVERNOR_weight_ratio), 1, 0.01);
    assert_near(figure(WEFT_GOVERNOR_predicted_seconds), 0.001, 2e-6);
    assert_true(starts_at(0.44));
    assert_false(starts_at(0.46));
}

/* ---- each of the five inputs alone; figures are 0.45 times the factor that is in the comment ----
 */

static void pauses_alone(void **state)
{
    (void)state;
    for (int slow = 0; slow <= 1; slow++) {
        start();
        run(&usual, 61);
        double before = weft_governor_threshold(&governor);
        weft_window_add(&governor.pauses, now(), (int64_t)(slow ? 2 * MS : MS / 2));
        run(&usual, 1);
        /* the weight is 1 +- 0.45 and +- 0.225: the ratio moves by that */
        assert_near(weft_governor_threshold(&governor) - before, slow ? 0.0405 : -0.02025, 0.002);
        assert_int_equal(starts_at(0.46), slow);
        assert_int_equal(starts_at(0.44), slow);
        assert_near(figure(WEFT_GOVERNOR_pause_60s_seconds), slow ? 0.002 : 0.0005, 1e-9);
        run(&usual, 57); /* its window is 60 s */
        assert_int_equal(starts_at(0.46), slow);
        run(&usual, 5);
        assert_near(weft_governor_threshold(&governor), before, 0.002);
    }
}

static void promotion_alone(void **state)
{
    (void)state;
    struct load more = usual, less = usual;
    more.promoted_bytes = 300 * MIB;
    less.promoted_bytes = 0;
    start();
    run(&usual, 61);
    run(&more, 31); /* weight 1.3, ratio 1.3: 0.45 * 1.06 */
    assert_near(weft_governor_threshold(&governor), 0.477, 0.002);
    assert_near(figure(WEFT_GOVERNOR_promotion_30s_bytes_per_second), 300.0 * MIB, 6.0 * MIB);
    assert_true(starts_at(0.47));
    run(&less, 15); /* half of its window of 30 s */
    assert_near(figure(WEFT_GOVERNOR_promotion_30s_bytes_per_second), 155.0 * MIB, 10.0 * MIB);
    run(&less, 17); /* 0.7: 0.45 * 0.94 */
    assert_near(weft_governor_threshold(&governor), 0.423, 0.002);
    assert_false(starts_at(0.43));
}

static void io_wait_alone(void **state)
{
    (void)state;
    struct load more = usual, less = usual;
    more.io_wait_ns = S;
    less.io_wait_ns = 0;
    start();
    run(&usual, 61);
    run(&more, 11); /* weight 1.25: 0.45 * 1.05 */
    assert_near(weft_governor_threshold(&governor), 0.4725, 0.002);
    assert_near(figure(WEFT_GOVERNOR_io_wait_10s_ratio), 1, 0);
    assert_true(starts_at(0.47));
    run(&less, 5); /* its window is 10 s */
    assert_near(figure(WEFT_GOVERNOR_io_wait_10s_ratio), 0.5, 0.05);
    run(&less, 6); /* 0.75: 0.45 * 0.95 */
    assert_near(weft_governor_threshold(&governor), 0.4275, 0.002);
    assert_false(starts_at(0.43));
}

static void fill_slope_alone(void **state)
{
    (void)state;
    struct load fills = usual, drains = usual;
    fills.used_bytes = 60 * MIB; /* 2 % a second, two seconds ahead: 0.45 * 1.04 */
    drains.used_bytes = -60 * (int64_t)MIB;
    start();
    run(&usual, 61);
    run(&fills, 11);
    assert_near(weft_governor_threshold(&governor), 0.468, 0.002);
    assert_near(figure(WEFT_GOVERNOR_fill_10s_ratio_per_second), 0.02, 5e-4);
    assert_true(starts_at(0.46));
    run(&drains, 5);
    assert_near(figure(WEFT_GOVERNOR_fill_10s_ratio_per_second), 0, 0.003); /* its window is 10 s */
    run(&drains, 6);                                                        /* 0.45 * 0.96 */
    assert_near(weft_governor_threshold(&governor), 0.432, 0.002);
    assert_false(starts_at(0.44));
}

static void throughput_decay_alone(void **state)
{
    (void)state;
    struct load half = usual;
    half.requests = 500;
    start();
    run(&usual, 70);
    assert_near(figure(WEFT_GOVERNOR_throughput_decay_60s_ratio), 0, 1e-6);
    run(&half, 11); /* 500 against (11 * 500 + 49 * 1000) / 60: 0.45 short, 0.45 * 1.09 */
    assert_near(figure(WEFT_GOVERNOR_throughput_decay_60s_ratio), 0.45, 0.01);
    assert_near(weft_governor_threshold(&governor), 0.4905, 0.003);
    assert_true(starts_at(0.48));
    run(&half, 61); /* then it is what is usual */
    assert_near(weft_governor_threshold(&governor), 0.45, 0.002);
}

static void a_few_requests_are_no_throughput(void **state)
{
    (void)state;
    struct load few = usual, none = usual;
    few.requests = 10;
    none.requests = 0;
    start();
    run(&few, 5);
    run(&none, 20);
    assert_near(figure(WEFT_GOVERNOR_throughput_decay_60s_ratio), 0, 1e-6);
}

static void a_load_above_0_8_loosens(void **state)
{
    (void)state;
    struct load busy = usual, full = usual;
    busy.busy_ns = S / 5 * 4;
    full.busy_ns = S;
    start();
    run(&usual, 61);
    run(&busy, 11);
    assert_near(weft_governor_threshold(&governor), 0.45, 0.002);
    assert_true(starts_at(0.44));
    run(&full, 11); /* 0.45 * 0.94 */
    assert_near(weft_governor_threshold(&governor), 0.423, 0.002);
    assert_near(figure(WEFT_GOVERNOR_load_10s_ratio), 1, 1e-6);
    assert_false(starts_at(0.44));
}

/* ---- passes and steps ---- */

/* A machine on which giving back costs so much: what the governor is told, and how much was free
 * when it first wanted a pass; drives that pass to its end. */
static double drive(double fixed_ns, double byte_ns, uint64_t *out_longest_ns, unsigned *out_steps)
{
    const size_t elastic = 3000 * MIB;
    seen.used_bytes = 500 * MIB;
    seen.committed_bytes = 1200 * MIB;
    double started = -1;
    *out_longest_ns = 0;
    *out_steps = 0;
    for (int turn = 0; turn < 200000; turn++) {
        weft_clock_fake_advance(&fake, MS);
        if (started < 0 && turn % 10 == 0) { /* memory is touched and let go, a share in 10 ms */
            seen.committed_bytes += elastic / 2000;
            weft_governor_sample(&governor, now(), &seen);
        }
        double free_share = 1 - (double)seen.committed_bytes / (double)elastic;
        if (!weft_governor_due(&governor, now(), free_share)) {
            if (started >= 0)
                break;
            continue;
        }
        if (started < 0)
            started = free_share;
        size_t bytes =
            WEFT_MIN(weft_governor_step_bytes(&governor), seen.committed_bytes - seen.used_bytes);
        assert_true(weft_governor_predict_ns(&governor, bytes) <= governor.options.target_ns);
        uint64_t pause_ns = (uint64_t)(fixed_ns + byte_ns * (double)bytes);
        *out_longest_ns = WEFT_MAX(*out_longest_ns, pause_ns);
        ++*out_steps;
        seen.committed_bytes -= bytes;
        weft_governor_step(&governor, now(), pause_ns, bytes);
    }
    return started;
}

static void slow_reclaim_starts_earlier_and_is_split(void **state)
{
    (void)state;
    uint64_t longest = 0;
    unsigned fast_steps = 0, first_steps = 0, slow_steps = 0;
    start();
    (void)drive(200, 0.0002, &longest, &fast_steps); /* 256 pages in 0.4 us: a cheap machine */
    weft_clock_fake_advance(&fake, 5 * S);
    double fast = drive(200, 0.0002, &longest, &fast_steps);
    assert_true(longest < MS);
    assert_int_equal(figure(WEFT_GOVERNOR_late_steps_total), 0);

    weft_clock_fake_advance(&fake, 5 * S);
    double first = drive(2000, 10.0, &longest, &first_steps); /* not known yet when it starts */
    assert_near(first, fast, 0.02);
    assert_int_equal(figure(WEFT_GOVERNOR_late_steps_total), 1);

    weft_clock_fake_advance(&fake, 5 * S);
    double slow = drive(2000, 10.0, &longest, &slow_steps);
    assert_true(slow > fast + 0.05);          /* more is free still when it starts */
    assert_true(slow_steps > 4 * fast_steps); /* and it is done in pieces */
    assert_true(longest < MS);                /* none of which holds the loop too long */
    assert_int_equal(figure(WEFT_GOVERNOR_late_steps_total), 1);
    assert_true(figure(WEFT_GOVERNOR_predicted_seconds) > 0.001);
    assert_int_equal(figure(WEFT_GOVERNOR_passes_total), 4);
}

/* Whatever giving back costs: after a few steps of any size none takes longer than the target. */
static void steps_find_their_size(void **state)
{
    (void)state;
    static const double costs[] = {0.001, 0.02, 0.1, 0.5, 3.0, 20.0};
    for (size_t i = 0; i < WEFT_COUNT_OF(costs); i++) {
        start();
        for (int step = 0; step < 20; step++) {
            size_t bytes = weft_governor_step_bytes(&governor);
            uint64_t pause_ns = (uint64_t)(3000 + costs[i] * (double)bytes);
            assert_true(weft_governor_predict_ns(&governor, bytes) <= MS);
            if (step >= 6)
                assert_true(pause_ns <= MS);
            weft_governor_step(&governor, now(), pause_ns, bytes);
        }
        if (costs[i] >= 0.5) /* nor so small that nothing gets done */
            assert_in_range(3000 + costs[i] * (double)weft_governor_step_bytes(&governor), MS / 3,
                            MS);
    }
}

static void a_page_is_the_least(void **state)
{
    (void)state;
    start();
    for (int i = 0; i < 10; i++)
        weft_governor_step(&governor, now(), 50 * MS, WEFT_PAGE_BYTES);
    assert_int_equal(weft_governor_step_bytes(&governor), WEFT_PAGE_BYTES);
    assert_int_equal(figure(WEFT_GOVERNOR_late_steps_total), 10);
    assert_near(figure(WEFT_GOVERNOR_pause_max_seconds), 0.05, 1e-9);
    assert_true(weft_governor_threshold(&governor) <= 0.9);
}

/* A step that only looked says nothing about what giving back costs. */
static void looking_is_not_giving_back(void **state)
{
    (void)state;
    start();
    size_t before = weft_governor_step_bytes(&governor);
    for (int i = 0; i < 50; i++)
        weft_governor_step(&governor, now(), 20000, 1);
    assert_int_equal(weft_governor_step_bytes(&governor), before);
    assert_near(figure(WEFT_GOVERNOR_pause_60s_seconds), 20e-6, 1e-9);
}

/* Sizes that differ tell the fixed part of the cost from the rest. */
static void the_prediction_follows_a_line(void **state)
{
    (void)state;
    start();
    for (size_t i = 0; i < 40; i++) {
        size_t bytes = (i % 7 + 1) * 100 * WEFT_PAGE_BYTES;
        weft_governor_step(&governor, now(), 20000 + bytes / 8, bytes);
    }
    for (size_t pages = 50; pages <= 2000; pages *= 2) {
        double expected = 20000 + (double)(pages * WEFT_PAGE_BYTES) / 8;
        assert_near((double)weft_governor_predict_ns(&governor, pages * WEFT_PAGE_BYTES), expected,
                    expected * 0.02);
    }
    assert_int_equal(weft_governor_predict_ns(&governor, 0), 0);
}

static void passes_keep_a_distance(void **state)
{
    (void)state;
    start();
    unsigned passes = 0;
    for (int i = 0; i < 10000; i++) { /* 10 s in which a pass never finds anything */
        weft_clock_fake_advance(&fake, MS);
        if (weft_governor_due(&governor, now(), 0.1)) {
            passes++;
            weft_governor_step(&governor, now(), 100, 0);
        }
    }
    assert_in_range(passes, 25, 30); /* at most 3 a second: MC-38 */
    assert_int_equal(figure(WEFT_GOVERNOR_passes_total), passes);
    assert_int_equal(figure(WEFT_GOVERNOR_steps_total), 0);
}

static void a_pass_goes_on_until_enough_is_free(void **state)
{
    (void)state;
    start();
    double threshold = weft_governor_threshold(&governor);
    assert_false(weft_governor_due(&governor, now(), threshold + 0.001));
    assert_true(weft_governor_due(&governor, now(), threshold - 0.001));
    weft_governor_step(&governor, now(), 100, MIB);
    assert_true(weft_governor_due(&governor, now(), threshold + 0.049));
    assert_false(weft_governor_due(&governor, now(), threshold + 0.051));
    assert_false(weft_governor_due(&governor, now(), threshold + 0.049));
    assert_int_equal(figure(WEFT_GOVERNOR_passes_total), 1);
    assert_int_equal(figure(WEFT_GOVERNOR_returned_bytes_total), MIB);
}

static void every_figure_has_a_name_and_help(void **state)
{
    (void)state;
    for (size_t i = 0; i < WEFT_GOVERNOR_FIGURES; i++) {
        assert_true(strlen(weft_governor_figures[i].name_z) > 3);
        assert_true(strlen(weft_governor_figures[i].help_z) > 10);
    }
    assert_string_equal(weft_governor_figures[WEFT_GOVERNOR_step_bytes].name_z, "step_bytes");
    assert_true(weft_governor_figures[WEFT_GOVERNOR_passes_total].counter);
    assert_false(weft_governor_figures[WEFT_GOVERNOR_threshold_ratio].counter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_formula),
        cmocka_unit_test(as_usual_the_threshold_is_the_base),
        cmocka_unit_test(pauses_alone),
        cmocka_unit_test(promotion_alone),
        cmocka_unit_test(io_wait_alone),
        cmocka_unit_test(fill_slope_alone),
        cmocka_unit_test(throughput_decay_alone),
        cmocka_unit_test(a_few_requests_are_no_throughput),
        cmocka_unit_test(a_load_above_0_8_loosens),
        cmocka_unit_test(slow_reclaim_starts_earlier_and_is_split),
        cmocka_unit_test(steps_find_their_size),
        cmocka_unit_test(a_page_is_the_least),
        cmocka_unit_test(looking_is_not_giving_back),
        cmocka_unit_test(the_prediction_follows_a_line),
        cmocka_unit_test(passes_keep_a_distance),
        cmocka_unit_test(a_pass_goes_on_until_enough_is_free),
        cmocka_unit_test(every_figure_has_a_name_and_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
