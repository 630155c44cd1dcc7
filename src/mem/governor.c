/* governor.c - see governor.h.
 *
 * Where the formula leaves something open: ratio - 1 has no lower bound in it, but a ratio is never
 * negative, so -1 is one by itself; it is written down as a clamp. That is what "predicted below
 * target: delay" means: with nothing to fear the threshold falls to 0.8 of its base. An input of
 * which nothing is known yet counts as usual (1), not as none (0): a server that has just started
 * behaves by the plain formula.
 */
#include "mem/governor.h"
#include "base/clock.h"

#define STEP_SHARE    0.8 /* of the target: room for what a prediction misses */
#define COST_KEEP     0.8 /* weight of a step against the next one: about five steps are seen */
#define THRESHOLD_MIN 0.05
#define THRESHOLD_MAX 0.9
#define SECONDS(n)    ((uint64_t)(n)*WEFT_NS_PER_S)
#define NS            ((double)WEFT_NS_PER_S)
#define MIB           ((size_t)1 << 20)

const struct weft_governor_options weft_governor_defaults = {
    .base = 0.45,
    .target_ns = WEFT_NS_PER_MS,
    .pause_factor = 0.2,
    .pause_excess = 0.5,
    .load_factor = 0.3,
    .load_free = 0.8,
    .pause_weight = 0.45,
    .promotion_weight = 0.30,
    .io_weight = 0.25,
    .promotion_usual = 1.0 / 30,
    .io_usual = 0.5,
    .fill_horizon_s = 2,
    .fill_bound = 0.2,
    .decay_factor = 0.2,
    .decay_requests_min = 100,
    .hysteresis = 0.05,
    .gap_ns = 350 * (uint64_t)WEFT_NS_PER_MS,
    .step_bytes_min = WEFT_PAGE_BYTES,
    .step_bytes_max = MIB, /* page by page, 2 us each, that is half of the target */
    .prior_fixed_ns = 5000,
    .prior_byte_ns = 0.1, /* 400 ns a page; measured here: 2 us and 0.07 to 0.1 */
};

const struct weft_governor_figure_info weft_governor_figures[WEFT_GOVERNOR_FIGURES] = {
#define gauge               false
#define counter             true
#define X(name, kind, help) {#name, help, kind},
#include "mem/governor.def"
#undef X
#undef gauge
#undef counter
};

static double clamp(double value, double least, double most)
{
    return WEFT_MIN(WEFT_MAX(value, least), most);
}

static void publish(struct weft_governor *governor, enum weft_governor_figure figure, double value)
{
    atomic_store_explicit(&governor->figures[figure], value, memory_order_relaxed);
}

static void count(struct weft_governor *governor, enum weft_governor_figure figure, uint64_t more)
{
    publish(governor, figure, weft_governor_figure(governor, figure) + (double)more);
}

/* ---- what a step costs ---- */

/* A line through the last steps. Steps of one size say nothing about the fixed part: it stays, and
 * the slope takes the rest. A step much slower than predicted is believed at once, so that one late
 * step is the only one; that things got faster is believed slowly. */
static void learn_cost(struct weft_cost *cost, double bytes, double ns)
{
    double keep = ns > 2 * (cost->fixed_ns + cost->byte_ns * bytes) ? 0 : COST_KEEP;
    cost->n = cost->n * keep + 1;
    cost->x = cost->x * keep + bytes;
    cost->y = cost->y * keep + ns;
    cost->xx = cost->xx * keep + bytes * bytes;
    cost->xy = cost->xy * keep + bytes * ns;
    double mean_x = cost->x / cost->n, mean_y = cost->y / cost->n;
    double variance = cost->xx / cost->n - mean_x * mean_x;
    if (variance > 0.04 * mean_x * mean_x) {
        double slope = (cost->xy / cost->n - mean_x * mean_y) / variance;
        cost->fixed_ns = clamp(mean_y - slope * mean_x, 0, mean_y);
    }
    cost->fixed_ns = WEFT_MIN(cost->fixed_ns, mean_y / 2);
    cost->byte_ns = (mean_y - cost->fixed_ns) / mean_x;
}

static double predict(const struct weft_governor *governor, size_t bytes)
{
    if (bytes == 0)
        return 0;
    return governor->cost.fixed_ns + governor->cost.byte_ns * (double)bytes;
}

uint64_t weft_governor_predict_ns(const struct weft_governor *governor, size_t bytes)
{
    return (uint64_t)clamp(predict(governor, bytes), 0, 9e18);
}

size_t weft_governor_step_bytes(const struct weft_governor *governor)
{
    const struct weft_governor_options *options = &governor->options;
    double left = STEP_SHARE * (double)options->target_ns - governor->cost.fixed_ns;
    double most = (double)options->step_bytes_max, least = (double)options->step_bytes_min;
    double byte_ns = governor->cost.byte_ns;
    double bytes = left <= 0 ? 0 : byte_ns * most <= left ? most : left / byte_ns;
    return (size_t)clamp(bytes, least, most) & ~(WEFT_PAGE_BYTES - 1);
}

/* ---- the threshold ---- */

double weft_governor_formula(const struct weft_governor_options *options, double ratio, double load)
{
    double excess = clamp(ratio - 1, -1, options->pause_excess);
    return options->base * (1 + options->pause_factor * excess) *
           (1 - options->load_factor * WEFT_MAX(0.0, load - options->load_free));
}

static double share_of(const struct weft_window *part, const struct weft_window *whole)
{
    return whole->sum <= 0 ? 0 : clamp((double)part->sum / (double)whole->sum, 0, 1);
}

/* How far the last 10 s fall short of the last 60. */
static double decay_of(const struct weft_governor *governor, uint64_t now_ns)
{
    double usual = weft_window_rate(&governor->requests_long, now_ns);
    if (governor->requests_long.sum < (int64_t)governor->options.decay_requests_min || usual <= 0)
        return 0;
    return clamp(1 - weft_window_rate(&governor->requests_short, now_ns) / usual, 0, 1);
}

/* The three inputs with weights: 1 where all is as usual. */
static double weigh(struct weft_governor *governor, uint64_t now_ns)
{
    const struct weft_governor_options *options = &governor->options;
    double elastic = (double)governor->last.elastic_bytes;
    double pause = weft_window_mean(&governor->pauses, (double)options->target_ns);
    double promotion = weft_window_rate(&governor->promotion, now_ns);
    double io_wait = share_of(&governor->io_wait, &governor->wall);
    publish(governor, WEFT_GOVERNOR_pause_60s_seconds, governor->pauses.count > 0 ? pause / NS : 0);
    publish(governor, WEFT_GOVERNOR_promotion_30s_bytes_per_second, promotion);
    publish(governor, WEFT_GOVERNOR_io_wait_10s_ratio, io_wait);
    bool known = governor->wall.sum > 0 && elastic > 0;
    double pause_level = pause / (double)options->target_ns;
    double promotion_level = known ? promotion / elastic / options->promotion_usual : 1;
    double io_level = known ? io_wait / options->io_usual : 1;
    return options->pause_weight * clamp(pause_level, 0, 2) +
           options->promotion_weight * clamp(promotion_level, 0, 2) +
           options->io_weight * clamp(io_level, 0, 2);
}

static void advance(struct weft_governor *governor, uint64_t now_ns)
{
    struct weft_window *const all[] = {
        &governor->pauses,         &governor->promotion,     &governor->io_wait, &governor->fill,
        &governor->requests_short, &governor->requests_long, &governor->busy,    &governor->wall};
    for (size_t i = 0; i < WEFT_COUNT_OF(all); i++)
        weft_window_advance(all[i], now_ns);
}

static void work_out(struct weft_governor *governor, uint64_t now_ns)
{
    const struct weft_governor_options *options = &governor->options;
    const struct weft_governor_sample *last = &governor->last;
    advance(governor, now_ns);
    size_t idle = last->committed_bytes - WEFT_MIN(last->committed_bytes, last->used_bytes);
    double predicted = predict(governor, idle);
    double weight = weigh(governor, now_ns);
    double load = share_of(&governor->busy, &governor->wall);
    double decay = decay_of(governor, now_ns);
    double fill = last->elastic_bytes == 0
                      ? 0
                      : weft_window_rate(&governor->fill, now_ns) / (double)last->elastic_bytes;
    double threshold =
        weft_governor_formula(options, predicted / (double)options->target_ns * weight, load);
    threshold *=
        1 + clamp(fill * options->fill_horizon_s, -options->fill_bound, options->fill_bound);
    threshold *= 1 + options->decay_factor * decay;
    governor->threshold = clamp(threshold, THRESHOLD_MIN, THRESHOLD_MAX);
    publish(governor, WEFT_GOVERNOR_threshold_ratio, governor->threshold);
    publish(governor, WEFT_GOVERNOR_fill_10s_ratio_per_second, fill);
    publish(governor, WEFT_GOVERNOR_throughput_decay_60s_ratio, decay);
    publish(governor, WEFT_GOVERNOR_load_10s_ratio, load);
    publish(governor, WEFT_GOVERNOR_weight_ratio, weight);
    publish(governor, WEFT_GOVERNOR_predicted_seconds, predicted / NS);
    publish(governor, WEFT_GOVERNOR_step_bytes, (double)weft_governor_step_bytes(governor));
    publish(governor, WEFT_GOVERNOR_cost_seconds_per_byte,
            predict(governor, MIB) / (double)MIB / NS);
}

/* ---- what is told and asked ---- */

void weft_governor_init(struct weft_governor *governor, const struct weft_governor_options *options,
                        uint64_t now_ns)
{
    *governor =
        (struct weft_governor){.options = options != NULL ? *options : weft_governor_defaults};
    governor->cost.fixed_ns = governor->options.prior_fixed_ns;
    governor->cost.byte_ns = governor->options.prior_byte_ns;
    weft_window_init(&governor->pauses, SECONDS(60), now_ns);
    weft_window_init(&governor->promotion, SECONDS(30), now_ns);
    weft_window_init(&governor->io_wait, SECONDS(10), now_ns);
    weft_window_init(&governor->fill, SECONDS(10), now_ns);
    weft_window_init(&governor->requests_short, SECONDS(10), now_ns);
    weft_window_init(&governor->requests_long, SECONDS(60), now_ns);
    weft_window_init(&governor->busy, SECONDS(10), now_ns);
    weft_window_init(&governor->wall, SECONDS(10), now_ns);
    publish(governor, WEFT_GOVERNOR_target_seconds, (double)governor->options.target_ns / NS);
    work_out(governor, now_ns);
}

void weft_governor_sample(struct weft_governor *governor, uint64_t now_ns,
                          const struct weft_governor_sample *sample)
{
    const struct weft_governor_sample *last = &governor->last;
    if (governor->sampled) {
        int64_t requests = (int64_t)(sample->requests_total - last->requests_total);
        weft_window_add(&governor->promotion, now_ns,
                        (int64_t)(sample->promoted_bytes_total - last->promoted_bytes_total));
        weft_window_add(&governor->io_wait, now_ns,
                        (int64_t)(sample->io_wait_ns_total - last->io_wait_ns_total));
        weft_window_add(&governor->fill, now_ns, (int64_t)(sample->used_bytes - last->used_bytes));
        weft_window_add(&governor->requests_short, now_ns, requests);
        weft_window_add(&governor->requests_long, now_ns, requests);
        weft_window_add(&governor->busy, now_ns,
                        (int64_t)(sample->busy_ns_total - last->busy_ns_total));
        weft_window_add(&governor->wall, now_ns,
                        (int64_t)(sample->wall_ns_total - last->wall_ns_total));
    }
    governor->last = *sample;
    governor->sampled = true;
    work_out(governor, now_ns);
}

bool weft_governor_due(struct weft_governor *governor, uint64_t now_ns, double free_share)
{
    publish(governor, WEFT_GOVERNOR_free_ratio, free_share);
    if (governor->running) {
        governor->running = free_share < governor->enough;
        return governor->running;
    }
    if (free_share >= governor->threshold || now_ns < governor->pass_ns_next)
        return false;
    governor->running = true;
    governor->enough = governor->threshold + governor->options.hysteresis;
    governor->pass_ns_next = now_ns + governor->options.gap_ns;
    count(governor, WEFT_GOVERNOR_passes_total, 1);
    return true;
}

void weft_governor_step(struct weft_governor *governor, uint64_t now_ns, uint64_t pause_ns,
                        size_t bytes)
{
    if (bytes == 0) {
        governor->running = false;
        return;
    }
    size_t committed = governor->last.committed_bytes;
    governor->last.committed_bytes = committed - WEFT_MIN(committed, bytes);
    if (bytes >= WEFT_PAGE_BYTES) /* less was looked at, not given back */
        learn_cost(&governor->cost, (double)bytes, (double)pause_ns);
    weft_window_add(&governor->pauses, now_ns, (int64_t)pause_ns);
    count(governor, WEFT_GOVERNOR_steps_total, 1);
    count(governor, WEFT_GOVERNOR_returned_bytes_total, bytes);
    if (pause_ns > governor->options.target_ns)
        count(governor, WEFT_GOVERNOR_late_steps_total, 1);
    double pause_s = (double)pause_ns / NS;
    if (pause_s > weft_governor_figure(governor, WEFT_GOVERNOR_pause_max_seconds))
        publish(governor, WEFT_GOVERNOR_pause_max_seconds, pause_s);
    work_out(governor, now_ns);
}
