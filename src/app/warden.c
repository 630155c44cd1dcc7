/* warden.c - see warden.h. */
#include "app/warden.h"
#include "base/log.h"
#include "mem/profile.h"
#include "ops/metrics.h"

#define SLEEPY_MS 1000 /* between looks while nothing is connected */

/* What all workers together are doing, by their accounts and counters. */
struct work {
    uint64_t connections, active, requests;
    size_t arenas; /* bytes of chunks that are touched */
};

static uint64_t slots_out(const struct weft_account *account)
{
    return weft_account_used(account) / account->unit_bytes;
}

static struct work work_of(const struct weft_warden *warden)
{
    struct work w = {0};
    for (uint32_t i = 0; i < warden->worker_count; i++) {
        const struct weft_loop *loop = &warden->workers[i].loop;
        w.connections += slots_out(loop->slots.account);
        w.active += slots_out(loop->conns.account);
        w.requests += weft_counter_read(loop->counters, WEFT_COUNTER_REQUESTS);
        w.arenas += atomic_load_explicit(&loop->chunks.account->committed, memory_order_relaxed);
    }
    return w;
}

/* ---- relief ---- */

static const char *const level_texts[] = {
    [WEFT_RELIEF_NONE] = "memory is no longer short",
    [WEFT_RELIEF_TRIM] = "memory gets short: free pages go back at once",
    [WEFT_RELIEF_SHED] = "memory is short: new requests are refused with 503",
    [WEFT_RELIEF_CLOSE] = "memory is very short: idle connections are closed, oldest first",
};

/* The plan stays, since what is mapped is mapped; but what it lacks is not promised to arenas. */
static void obey(struct weft_warden *warden, size_t cgroup_limit)
{
    struct weft_limits *limits = &warden->limits;
    bool lower = cgroup_limit != 0 && cgroup_limit < warden->plan;
    size_t lacks = lower ? warden->plan - cgroup_limit : 0;
    size_t each = lacks / WEFT_MAX(warden->worker_count, 1u) + lower;
    size_t before = atomic_load(&limits->withheld);
    if (each == before)
        return;
    atomic_store(&limits->withheld, each);
    if (before == 0)
        atomic_fetch_add(&limits->lowered, 1);
    if (lower)
        weft_log_warn("the cgroup's limit is %zu bytes now, less than the plan's %zu: %zu bytes of "
                      "arenas are not promised any more, and this server is not ready",
                      cgroup_limit, warden->plan, lacks);
    else
        weft_log_info("the cgroup's limit is above the plan again");
    for (uint32_t i = 0; i < warden->worker_count; i++)
        weft_worker_relieve(&warden->workers[i]);
}

static void relieve(struct weft_warden *warden, const struct work *work)
{
    struct weft_pressure_figures figures;
    weft_pressure_read(&warden->pressure, &figures);
    obey(warden, figures.cgroup_limit);
    atomic_store_explicit(&warden->limits.io_wait_ns, figures.io_stall_us * 1000,
                          memory_order_relaxed);
    const struct weft_relief_sample sample = {
        .now_ms = warden->loop->now_ms,
        .resident = figures.resident,
        .limit = warden->limit,
        .working_set = figures.working_set,
        .cgroup_limit = figures.cgroup_limit,
        .stall_us_total = figures.stall_us,
        .busy = work->active > 0,
    };
    enum weft_relief before = warden->relief.level;
    enum weft_relief level = weft_relief_step(&warden->relief, &sample);
    atomic_store_explicit(&warden->limits.relief, level, memory_order_relaxed);
    if (level != before)
        weft_log_warn("%s (%u.%u %% of the limit, %zu of %zu bytes resident)", level_texts[level],
                      warden->relief.fill_permille / 10, warden->relief.fill_permille % 10,
                      figures.resident, warden->limit);
    for (uint32_t i = 0; level != WEFT_RELIEF_NONE && i < warden->worker_count; i++)
        weft_worker_relieve(&warden->workers[i]);
}

/* ---- the promise ---- */

static void tell(const struct weft_warden *warden, enum weft_settle_verdict verdict, size_t bytes,
                 const struct work *work)
{
    size_t baseline = atomic_load(&warden->settle.baseline);
    if (verdict == WEFT_SETTLE_MISSED) {
        struct weft_profile_stats heap;
        weft_profile_stats(&heap);
        weft_log_warn("memory.return_ms: %u ms after the last request %zu bytes are resident, %zu "
                      "more than the baseline: arenas hold %zu, malloc (%s) keeps %zu of which %zu "
                      "are in use",
                      warden->settle.return_ms, bytes, bytes - baseline, work->arenas,
                      heap.allocator_z, heap.resident, heap.allocated);
    } else if (verdict == WEFT_SETTLE_LATE) {
        weft_log_info("memory.return_ms: back to %zu bytes after %llu ms", bytes,
                      (unsigned long long)atomic_load(&warden->settle.took_ms));
    }
}

static void settle(struct weft_warden *warden, const struct work *work)
{
    if (!weft_settle_step(&warden->settle, warden->loop->now_ms, work->active, work->requests))
        return;
    struct weft_process_memory process;
    weft_process_memory_read(&process);
    size_t bytes = process.rss - WEFT_MIN(process.rss, process.lazy_free);
    enum weft_settle_verdict verdict =
        weft_settle_judge(&warden->settle, warden->loop->now_ms, bytes);
    tell(warden, verdict, bytes, work);
}

/* ---- pools of objects: what the workers share, from here; the rest by them ---- */

/* A worker that has touched its own part since, or has something left, is told. Is it so? */
static bool tidy_worker(struct weft_warden *warden, struct weft_worker *worker, bool over)
{
    uint64_t activity = 0;
    for (uint32_t i = 0; i < warden->objects_count; i++)
        activity += weft_objects_activity(warden->objects[i], worker->index);
    bool used = activity != worker->objects_seen, untidy = atomic_load(&worker->untidy);
    if (untidy || (used && over))
        weft_worker_tidy(worker, over);
    if (over)
        worker->objects_seen = activity;
    return used || untidy;
}

/* Is something left that may go back later? */
static bool reclaim_objects(struct weft_warden *warden)
{
    uint64_t now_ms = warden->loop->now_ms;
    bool over = now_ms - warden->window_start_ms >= warden->window_ms, more = false;
    if (over)
        warden->window_start_ms = now_ms;
    for (uint32_t i = 0; warden->window_ms != 0 && i < warden->objects_count; i++)
        more |= weft_objects_reclaim(warden->objects[i], over, WEFT_OBJECTS_STEP_BYTES);
    for (uint32_t i = 0; warden->window_ms != 0 && i < warden->worker_count; i++)
        more |= tidy_worker(warden, &warden->workers[i], over);
    return more;
}

/* ---- the timer ---- */

static void look(struct weft_timer *timer)
{
    struct weft_warden *warden = WEFT_CONTAINER_OF(timer, struct weft_warden, timer);
    struct work work = work_of(warden);
    relieve(warden, &work);
    settle(warden, &work);
    bool more = reclaim_objects(warden);
    if (warden->caches != NULL)
        more |= weft_caches_reclaim(warden->caches, warden->loop->now_ms,
                                    warden->relief.level >= WEFT_RELIEF_TRIM);
    bool sleepy = !more && work.connections == 0 && warden->relief.level == WEFT_RELIEF_NONE &&
                  !weft_settle_pending(&warden->settle);
    weft_timer_arm(&warden->loop->wheel, &warden->timer,
                   warden->loop->now_ms + (sleepy ? SLEEPY_MS : WEFT_WARDEN_MS));
}

void weft_warden_init(struct weft_warden *warden, const char *root_z, size_t limit, size_t plan,
                      uint32_t return_ms)
{
    *warden = (struct weft_warden){
        .timer = {.fire = look}, .limit = limit, .plan = plan, .settle = {.return_ms = return_ms}};
    weft_pressure_init(&warden->pressure, root_z);
}

void weft_warden_start(struct weft_warden *warden, struct weft_loop *loop,
                       struct weft_worker *workers, uint32_t worker_count)
{
    warden->loop = loop;
    warden->workers = workers;
    warden->worker_count = worker_count;
    weft_timer_arm(&loop->wheel, &warden->timer, loop->now_ms + WEFT_WARDEN_MS);
}

void weft_warden_stop(struct weft_warden *warden)
{
    if (warden->loop != NULL)
        weft_timer_disarm(&warden->loop->wheel, &warden->timer);
}
