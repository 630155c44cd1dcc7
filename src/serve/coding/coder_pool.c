/* coder_pool.c - see coder_pool.h. A few dozen slots at most: they are looked through. */
#include "serve/coding/coder_pool.h"
#include "base/rehearsal.h"
#include <sys/mman.h>

static size_t slot_bytes(size_t coder_bytes)
{
    return WEFT_CODER_STAGE_BYTES + coder_bytes;
}

size_t weft_coder_pool_bytes(uint32_t codings, enum weft_effort effort, uint32_t count)
{
    return count * slot_bytes(weft_coder_bytes(codings, effort));
}

/* ---- pages ---- */

/* What it has touched by now: the stage, and the coder's memory from its beginning. */
static void book(struct weft_coder_pool *pool, struct weft_coder_slot *slot)
{
    size_t touched = WEFT_CODER_STAGE_BYTES + WEFT_ALIGN_UP(slot->coder->high, WEFT_PAGE_BYTES);
    if (touched <= slot->committed)
        return;
    weft_account_commit(pool->account, (ptrdiff_t)(touched - slot->committed));
    slot->committed = touched;
}

static void hand_back(struct weft_coder_pool *pool, struct weft_coder_slot *slot)
{
    if (madvise(slot->stage, slot_bytes(pool->coder_bytes), MADV_DONTNEED) != 0)
        return; /* the pages stay: the next tick tries again */
    weft_account_commit(pool->account, -(ptrdiff_t)slot->committed);
    slot->committed = 0;
}

static void wait_for_window(struct weft_coder_pool *pool)
{
    if (pool->window_ms > 0 && !weft_timer_armed(&pool->tick))
        weft_timer_arm(&pool->loop->wheel, &pool->tick, pool->loop->now_ms + pool->window_ms);
}

static void window_over(struct weft_timer *timer)
{
    struct weft_coder_pool *pool = WEFT_CONTAINER_OF(timer, struct weft_coder_pool, tick);
    bool relief = weft_limits_relief(pool->loop->limits) >= WEFT_RELIEF_TRIM, left = false;
    for (uint32_t i = 0; i < pool->count; i++) {
        struct weft_coder_slot *slot = &pool->slots[i];
        if (slot->taken || slot->committed == 0)
            continue;
        if (relief || pool->loop->now_ms - slot->idle_ms >= pool->window_ms)
            hand_back(pool, slot);
        left |= slot->committed > 0;
    }
    if (left)
        wait_for_window(pool);
}

/* ---- life ---- */

weft_rc weft_coder_pool_init(struct weft_coder_pool *pool, struct weft_loop *loop,
                             struct weft_account *account, uint32_t codings,
                             enum weft_effort effort, uint32_t count, uint32_t window_ms)
{
    weft_assert(count > 0 && count <= WEFT_CODERS_MAX);
    void *memory = NULL;
    WEFT_TRY(weft_account_map(account, weft_coder_pool_bytes(codings, effort, count), &memory));
    *pool = (struct weft_coder_pool){.loop = loop,
                                     .account = account,
                                     .memory = memory,
                                     .coder_bytes = weft_coder_bytes(codings, effort),
                                     .effort = effort,
                                     .count = count,
                                     .window_ms = window_ms,
                                     .tick = {.fire = window_over}};
    for (uint32_t i = 0; i < count; i++) {
        struct weft_coder_slot *slot = &pool->slots[i];
        slot->stage = pool->memory + i * slot_bytes(pool->coder_bytes);
        slot->coder = (struct weft_coder *)(void *)(slot->stage + WEFT_CODER_STAGE_BYTES);
    }
    return 0;
}

weft_rc weft_coder_pool_prefault(struct weft_coder_pool *pool)
{
    size_t bytes = pool->count * slot_bytes(pool->coder_bytes);
    WEFT_TRY(weft_map_touch(pool->memory, bytes));
    pool->window_ms = 0;
    for (uint32_t i = 0; i < pool->count; i++)
        pool->slots[i].committed = slot_bytes(pool->coder_bytes);
    weft_account_commit(pool->account, (ptrdiff_t)bytes);
    return 0;
}

void weft_coder_pool_fini(struct weft_coder_pool *pool)
{
    if (pool->memory == NULL)
        return;
    weft_timer_disarm(&pool->loop->wheel, &pool->tick);
    for (uint32_t i = 0; i < pool->count; i++) {
        weft_assert(!pool->slots[i].taken);
        weft_account_commit(pool->account, -(ptrdiff_t)pool->slots[i].committed);
    }
    weft_account_unmap(pool->account, pool->memory, pool->count * slot_bytes(pool->coder_bytes));
    *pool = (struct weft_coder_pool){0};
}

/* ---- one coder ---- */

/* Best one that is that coding already, then one that has pages, then the first of the others. */
static uint32_t find(const struct weft_coder_pool *pool, enum weft_coding coding)
{
    uint32_t best = WEFT_CODER_NONE, best_worth = 0;
    for (uint32_t i = 0; i < pool->count; i++) {
        const struct weft_coder_slot *slot = &pool->slots[i];
        if (slot->taken)
            continue;
        bool warm = slot->committed > 0;
        uint32_t worth = warm && slot->coder->coding == coding ? 3 : warm ? 2 : 1;
        if (worth > best_worth) {
            best = i;
            best_worth = worth;
        }
    }
    return best;
}

struct call {
    struct weft_coder_pool *pool;
    struct weft_coder *coder;
    enum weft_coding coding;
    uint64_t size;
    enum weft_coder_op op;
    struct weft_coder_io *io;
    weft_rc rc;
};

static void start(void *arg)
{
    struct call *call = arg;
    call->rc = weft_coder_start(call->coder, call->pool->coder_bytes, call->coding,
                                call->pool->effort, call->size);
}

static void run(void *arg)
{
    struct call *call = arg;
    call->rc = weft_coder_run(call->coder, call->op, call->io);
}

uint32_t weft_coder_pool_take(struct weft_coder_pool *pool, enum weft_coding coding, uint64_t size)
{
    uint32_t index = weft_fail_point("coder") ? WEFT_CODER_NONE : find(pool, coding);
    if (index == WEFT_CODER_NONE) {
        weft_account_refuse(pool->account);
        return WEFT_CODER_NONE;
    }
    struct weft_coder_slot *slot = &pool->slots[index];
    slot->taken = true;
    slot->dirty = false;
    slot->staged = 0;
    weft_account_use(pool->account, slot_bytes(pool->coder_bytes));
    struct call call = {.pool = pool, .coder = slot->coder, .coding = coding, .size = size};
    weft_task_on_worker(&pool->loop->tasks, start, &call);
    book(pool, slot);
    if (call.rc == 0)
        return index;
    weft_coder_pool_put(pool, index);
    return WEFT_CODER_NONE;
}

void weft_coder_pool_put(struct weft_coder_pool *pool, uint32_t index)
{
    struct weft_coder_slot *slot = &pool->slots[index];
    weft_assert(slot->taken);
    slot->taken = false;
    slot->idle_ms = pool->loop->now_ms;
    book(pool, slot);
    weft_account_unuse(pool->account, slot_bytes(pool->coder_bytes));
    wait_for_window(pool);
}

weft_rc weft_coder_pool_run(struct weft_coder_pool *pool, uint32_t index, enum weft_coder_op op,
                            struct weft_coder_io *io)
{
    struct weft_coder_slot *slot = &pool->slots[index];
    weft_assert(slot->taken);
    struct call call = {.pool = pool, .coder = slot->coder, .op = op, .io = io};
    weft_task_on_worker(&pool->loop->tasks, run, &call);
    book(pool, slot);
    return call.rc;
}
