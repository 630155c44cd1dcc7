/* reclaim.c - see reclaim.h. */
#include "io/reclaim.h"
#include "io/loop.h"
#include <time.h>

/* What is looked through, in this order: large things first. */
enum part {
    PART_CHUNKS, /* WEFT_CHUNK_CLASSES of them */
    PART_BLOCKS = PART_CHUNKS + WEFT_CHUNK_CLASSES,
    PART_BUFFERS,
    PART_ACTIVE,
    PART_HELD,
    PART_WATCHES,
    PART_STACKS,
    PART_SLOTS,
    PART_ENGINE,
    PARTS,
};

static struct weft_pool *pool_of(struct weft_loop *loop, uint32_t part)
{
    switch (part) {
    case PART_BLOCKS:
        return &loop->blocks;
    case PART_BUFFERS:
        return &loop->bufs.pool;
    case PART_ACTIVE:
        return &loop->conns;
    case PART_HELD:
        return &loop->held;
    case PART_WATCHES:
        return &loop->watches;
    case PART_STACKS:
    case PART_SLOTS:
    case PART_ENGINE:
        return NULL;
    default:
        return &loop->chunks.pools[WEFT_CHUNK_CLASSES - 1 - (part - PART_CHUNKS)];
    }
}

static void age(struct weft_loop *loop)
{
    if (loop->engine.ops->window != NULL)
        loop->engine.ops->window(&loop->engine);
    for (uint32_t part = 0; part < PARTS; part++) {
        struct weft_pool *pool = pool_of(loop, part);
        if (pool != NULL)
            weft_pool_age(pool);
    }
    weft_tasks_age(&loop->tasks);
    weft_slots_age(&loop->slots);
}

static bool still(struct weft_loop *loop, uint32_t part)
{
    switch (part) {
    case PART_STACKS:
        return weft_tasks_still(&loop->tasks);
    case PART_SLOTS:
        return weft_slots_still(&loop->slots);
    case PART_ENGINE:
        return weft_engine_still(&loop->engine);
    default:
        return weft_pool_still(pool_of(loop, part));
    }
}

static size_t trim(struct weft_loop *loop, uint32_t part, size_t bytes_max)
{
    switch (part) {
    case PART_STACKS:
        return weft_tasks_trim(&loop->tasks, bytes_max);
    case PART_SLOTS:
        return weft_slots_trim(&loop->slots, bytes_max);
    case PART_ENGINE:
        return weft_engine_trim(&loop->engine);
    default:
        return weft_pool_trim(pool_of(loop, part), bytes_max);
    }
}

/* Slots that are free and have not been looked at since: what a later pass may find. */
static bool anything_free(struct weft_loop *loop)
{
    if (loop->slots.empty > 0)
        return true;
    for (uint32_t part = 0; part < PARTS; part++) {
        const struct weft_pool *pool = pool_of(loop, part);
        if (pool != NULL && pool->free.count > pool->free.looked)
            return true;
    }
    return loop->tasks.free.count > loop->tasks.free.looked;
}

/* ---- what the governor is told ---- */

static uint64_t ns_of(const struct weft_loop *loop)
{
    uint64_t now_ns, wall_s;
    loop->clock.source->read(loop->clock.source, &now_ns, &wall_s);
    return now_ns;
}

static uint64_t busy_ns(void)
{
    struct timespec t;
    return clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) != 0
               ? 0
               : (uint64_t)t.tv_sec * WEFT_NS_PER_S + (uint64_t)t.tv_nsec;
}

static void sample(struct weft_loop *loop)
{
    const struct weft_limits *limits = loop->limits;
    struct weft_governor_sample s = {
        .busy_ns_total = busy_ns(),
        .wall_ns_total = loop->clock.now_ns,
        .requests_total = weft_counter_read(loop->counters, WEFT_COUNTER_REQUESTS),
        .used_bytes = weft_account_used(loop->chunks.account),
        .committed_bytes = weft_chunks_committed(&loop->chunks),
        .elastic_bytes = loop->chunks.elastic,
    };
    if (limits != NULL)
        s.io_wait_ns_total = atomic_load_explicit(&limits->io_wait_ns, memory_order_relaxed);
    for (size_t class = 1; class < WEFT_CHUNK_CLASSES; class ++)
        s.promoted_bytes_total +=
            loop->chunks.pools[class].takes * loop->chunks.pools[class].slot_bytes;
    weft_governor_sample(&loop->reclaim.governor, loop->clock.now_ns, &s);
}

static double free_share(const struct weft_loop *loop)
{
    double elastic = (double)loop->chunks.elastic;
    return elastic == 0 ? 1.0 : 1.0 - (double)weft_chunks_committed(&loop->chunks) / elastic;
}

/* ---- passes ---- */

/* One writer: the worker. */
static void add(_Atomic uint64_t *figure, uint64_t more)
{
    atomic_store_explicit(figure, atomic_load_explicit(figure, memory_order_relaxed) + more,
                          memory_order_relaxed);
}

static void begin(struct weft_loop *loop)
{
    struct weft_reclaim *r = &loop->reclaim;
    if (!r->running)
        add(&r->passes, 1);
    r->running = true;
    r->part = 0;
}

void weft_reclaim_all(struct weft_loop *loop)
{
    if (loop->reclaim.window_ms == 0)
        return;
    age(loop);
    age(loop);
    begin(loop);
}

static void count_pause(struct weft_reclaim *r, uint64_t ns, size_t bytes)
{
    size_t bucket = 0;
    while (bucket + 1 < WEFT_PAUSE_BUCKETS && ns > (uint64_t)WEFT_PAUSE_UNIT_NS << bucket)
        bucket++;
    add(&r->pauses[bucket], 1);
    add(&r->pause_ns, ns);
    add(&r->bytes, bytes);
    if (ns > atomic_load_explicit(&r->pause_ns_max, memory_order_relaxed))
        atomic_store_explicit(&r->pause_ns_max, ns, memory_order_relaxed);
}

/* Parts in turn until a step's worth has gone back. A part that only looked, and found pages that
 * are shared with slots in use, ends the step as well: looking takes time too. The governor learns
 * from the time that this thread worked, so that a step which was preempted does not look dear; the
 * figures tell the time that went by. */
static void step(struct weft_loop *loop)
{
    struct weft_reclaim *r = &loop->reclaim;
    size_t most = weft_governor_step_bytes(&r->governor), done = 0;
    uint64_t before = ns_of(loop), work = busy_ns();
    while (r->part < PARTS && done < most) {
        if (!still(loop, r->part)) {
            r->part++;
            continue;
        }
        size_t bytes = trim(loop, r->part, most - done);
        done += bytes;
        if (bytes == 0)
            break;
    }
    uint64_t after = ns_of(loop);
    r->running = r->part < PARTS;
    count_pause(r, after - before, done);
    if (done > 0)
        weft_governor_step(&r->governor, after, busy_ns() - work, done);
    if (!r->running)
        weft_governor_step(&r->governor, after, 0, 0); /* the pass is over */
}

/* A window ends. With connections at work, or pages that a later pass may hand back, there is a
 * next one. */
static void tick(struct weft_timer *timer)
{
    struct weft_reclaim *r = WEFT_CONTAINER_OF(timer, struct weft_reclaim, tick);
    struct weft_loop *loop = WEFT_CONTAINER_OF(r, struct weft_loop, reclaim);
    weft_chunks_window(&loop->chunks);
    sample(loop);
    bool short_of = weft_governor_due(&r->governor, loop->clock.now_ns, free_share(loop)) ||
                    weft_limits_relief(loop->limits) >= WEFT_RELIEF_TRIM;
    if (short_of) {
        weft_reclaim_all(loop);
    } else {
        age(loop);
        begin(loop);
    }
    r->seen = loop->conns.takes;
    if (weft_pool_used(&loop->conns) > 0 || anything_free(loop))
        weft_timer_arm(&loop->wheel, &r->tick, loop->now_ms + r->window_ms);
}

void weft_reclaim_init(struct weft_reclaim *reclaim, uint32_t window_ms, uint64_t now_ns)
{
    *reclaim = (struct weft_reclaim){.tick = {.fire = tick}, .window_ms = window_ms};
    weft_governor_init(&reclaim->governor, NULL, now_ns);
}

void weft_reclaim_turn(struct weft_loop *loop)
{
    struct weft_reclaim *r = &loop->reclaim;
    if (WEFT_UNLIKELY(r->running)) {
        step(loop);
    } else if (WEFT_UNLIKELY(loop->conns.takes != r->seen || loop->slots.empty > 0) &&
               r->window_ms != 0 && !weft_timer_armed(&r->tick)) {
        r->seen = loop->conns.takes;
        weft_timer_arm(&loop->wheel, &r->tick, loop->now_ms + r->window_ms);
    }
}
