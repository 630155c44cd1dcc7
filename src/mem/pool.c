/* pool.c - a stack of free indexes beside the slots, and a line between used and never used.
 *
 * A stack, because the slot given back last is the one still in cache. Beside the slots and not
 * threaded through them, so that a free slot's page need not stay in memory. No growth, because
 * growth is where memory stops being predictable: a full pool becomes a 503, upstairs.
 */
#include "mem/pool.h"
#include <sys/mman.h>

#define WEFT_POOL_MAGIC 0x706f6f6cu

static size_t slots_bytes(size_t slot_bytes, size_t slot_count)
{
    size_t slot = WEFT_ALIGN_UP(slot_bytes, (size_t)16);
    size_t bytes = 0;
    if (__builtin_mul_overflow(slot, slot_count, &bytes) || bytes > SIZE_MAX / 2)
        return 0;
    return WEFT_ALIGN_UP(bytes, WEFT_PAGE_BYTES);
}

size_t weft_pool_bytes(size_t slot_bytes, size_t slot_count)
{
    size_t slots = slots_bytes(slot_bytes, slot_count);
    if (slots == 0)
        return 0;
    return slots + WEFT_ALIGN_UP(slot_count * sizeof(uint32_t), WEFT_PAGE_BYTES);
}

weft_rc weft_pool_init_within(struct weft_pool *pool, struct weft_account *account,
                              size_t slot_bytes, size_t slot_count)
{
    weft_assert(slot_bytes > 0);
    weft_assert(slot_count > 0);
    weft_assert(slot_count < WEFT_POOL_NONE);
    size_t bytes = weft_pool_bytes(slot_bytes, slot_count);
    if (bytes == 0)
        return WEFT_EBUDGET;
    char *slots = weft_map(bytes);
    if (slots == NULL)
        return WEFT_ENOMEM;
    *pool = (struct weft_pool){.magic = WEFT_POOL_MAGIC, .slots = slots, .account = account};
    pool->slot_bytes = (uint32_t)WEFT_ALIGN_UP(slot_bytes, (size_t)16);
    pool->slot_count = (uint32_t)slot_count;
    account->unit_bytes = pool->slot_bytes;
    pool->free_list = (uint32_t *)(void *)(slots + slots_bytes(slot_bytes, slot_count));
    return 0;
}

weft_rc weft_pool_init(struct weft_pool *pool, struct weft_account *account, size_t slot_bytes,
                       size_t slot_count)
{
    size_t bytes = weft_pool_bytes(slot_bytes, slot_count);
    WEFT_TRY(weft_account_reserve(account, bytes));
    weft_rc rc = weft_pool_init_within(pool, account, slot_bytes, slot_count);
    if (rc == 0)
        pool->reserved = bytes;
    else
        weft_account_release(account, bytes);
    return rc;
}

/* Pages in use or free with their pages. Clean slots are whole pages: release() sees to that. */
static size_t touched(const struct weft_pool *pool)
{
    return WEFT_ALIGN_UP((size_t)(pool->fresh - pool->clean) * pool->slot_bytes, WEFT_PAGE_BYTES);
}

void weft_pool_fini(struct weft_pool *pool)
{
    if (pool->magic == 0)
        return;
    weft_assert(pool->magic == WEFT_POOL_MAGIC);
    weft_assert(pool->used == 0);
    weft_account_commit(pool->account, -(ptrdiff_t)touched(pool));
    munmap(pool->slots, weft_pool_bytes(pool->slot_bytes, pool->slot_count));
    weft_account_release(pool->account, pool->reserved);
    *pool = (struct weft_pool){0};
}

/* Commits are whole pages, booked when the line moves: rare once a peak was seen. */
static uint32_t take_fresh(struct weft_pool *pool)
{
    size_t before = touched(pool);
    uint32_t index = pool->fresh++;
    weft_account_commit(pool->account, (ptrdiff_t)(touched(pool) - before));
    return index;
}

/* The newest free slot; when all that are left are clean, its pages come back with it. */
static uint32_t take_free(struct weft_pool *pool)
{
    uint32_t index = pool->free_list[--pool->free_count];
    if (WEFT_UNLIKELY(pool->free_count < pool->clean)) {
        pool->clean = pool->free_count;
        weft_account_commit(pool->account, (ptrdiff_t)pool->slot_bytes);
    }
    return index;
}

uint32_t weft_pool_take(struct weft_pool *pool)
{
    weft_assert(pool->magic == WEFT_POOL_MAGIC);
    uint32_t index;
    if (WEFT_LIKELY(pool->free_count > 0)) {
        index = take_free(pool);
    } else if (pool->fresh < pool->slot_count) {
        index = take_fresh(pool);
    } else {
        weft_account_refuse(pool->account);
        return WEFT_POOL_NONE;
    }
    pool->used++;
    weft_account_use(pool->account, pool->slot_bytes);
    return index;
}

void weft_pool_put(struct weft_pool *pool, uint32_t index)
{
    weft_assert(pool->magic == WEFT_POOL_MAGIC);
    weft_assert(index < pool->fresh);
    weft_assert(pool->free_count < pool->fresh); /* more puts than takes */
#ifdef WEFT_CHECKED
    memset(weft_pool_at(pool, index), 0xdb, pool->slot_bytes);
#endif
    pool->free_list[pool->free_count++] = index;
    pool->used--;
    weft_account_unuse(pool->account, pool->slot_bytes);
}

size_t weft_pool_release(struct weft_pool *pool)
{
    weft_assert(pool->slot_bytes % WEFT_PAGE_BYTES == 0);
    if (!weft_pool_has_dirty(pool))
        return 0;
    void *slot = weft_pool_at(pool, pool->free_list[pool->clean]);
    if (madvise(slot, pool->slot_bytes, MADV_DONTNEED) != 0)
        return 0;
    pool->clean++;
    weft_account_commit(pool->account, -(ptrdiff_t)pool->slot_bytes);
    return pool->slot_bytes;
}

size_t weft_pool_trim(struct weft_pool *pool)
{
    weft_assert(pool->magic == WEFT_POOL_MAGIC);
    if (pool->used > 0 || pool->fresh == 0)
        return 0;
    size_t bytes = weft_pool_bytes(pool->slot_bytes, pool->slot_count);
    if (madvise(pool->slots, bytes, MADV_DONTNEED) != 0)
        return 0; /* the pages stay ours: no harm, and the next trim tries again */
    size_t released = (size_t)pool->fresh * pool->slot_bytes;
    weft_account_commit(pool->account, -(ptrdiff_t)touched(pool));
    pool->fresh = pool->free_count = pool->clean = 0;
    return released;
}
