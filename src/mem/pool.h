/* pool.h - fixed-size slots for one worker, addressed by index.
 *
 * Lifetime: worker. init reserves address space for every slot; a page is committed when a slot on
 *           it is first taken, and handed back by trim. The pool never grows past slot_count.
 * Threads:  the owner worker only; the account may be read from anywhere.
 * Memory:   weft_pool_bytes(slot_bytes, slot_count) at worst, reserved from the account at init.
 */
#ifndef WEFT_MEM_POOL_H
#define WEFT_MEM_POOL_H

#include "base/base.h"
#include "mem/budget.h"

#define WEFT_POOL_NONE UINT32_MAX /* "no slot": the pool is full */

struct weft_pool {
    uint32_t magic;      /* WEFT_POOL_MAGIC while alive, 0 after fini */
    uint32_t slot_bytes; /* rounded up to 16, so that a small slot does not pay a cache line */
    uint32_t slot_count; /* fixed at init */
    uint32_t fresh;      /* slots [fresh, slot_count) were never taken since init or trim */
    uint32_t free_count; /* entries in free_list */
    uint32_t clean;      /* the oldest of those whose pages were given back to the system */
    uint32_t used;       /* slots out now */
    char *slots;         /* owned: one mapping, slots first, free_list behind them */
    uint32_t *free_list; /* indexes given back, newest last */
    size_t reserved;     /* bytes that it reserved itself: 0 where the caller did */
    struct weft_account *account; /* borrowed: outlives the pool */
};

/** Bytes that such a pool costs at worst, exactly (whole pages); 0 if that does not fit a size_t.
 */
size_t weft_pool_bytes(size_t slot_bytes, size_t slot_count);

/** Reserve slot_count (> 0) slots of at least slot_bytes (> 0) each. No page is touched.
 *  returns  0, WEFT_EBUDGET (would pass the limit) or WEFT_ENOMEM (the kernel said no); on error
 *           nothing is reserved and *pool is untouched */
WEFT_CHECK
weft_rc weft_pool_init(struct weft_pool *pool, struct weft_account *account, size_t slot_bytes,
                       size_t slot_count);

/** The same for a caller that has reserved what may be touched: nothing is reserved here. For pools
 *  that share one reservation because they share one limit (the arena's chunk sizes).
 *  returns  0, WEFT_EBUDGET (too large for a size_t), WEFT_ENOMEM */
WEFT_CHECK
weft_rc weft_pool_init_within(struct weft_pool *pool, struct weft_account *account,
                              size_t slot_bytes, size_t slot_count);

/** Give everything back. Every slot has been put: one still out is a bug, and asserts. A zeroed
 *  pool is accepted. */
void weft_pool_fini(struct weft_pool *pool);

/** The slot behind an index; borrowed until weft_pool_put(). 16-byte aligned; 64-byte aligned where
 *  slot_bytes is a multiple of 64. */
static inline void *weft_pool_at(const struct weft_pool *pool, uint32_t index)
{
    weft_debug_assert(index < pool->fresh);
    return pool->slots + (size_t)index * pool->slot_bytes;
}

static inline uint32_t weft_pool_index(const struct weft_pool *pool, const void *slot)
{
    return (uint32_t)((size_t)((const char *)slot - pool->slots) / pool->slot_bytes);
}

/** Take a slot; O(1), no system call.
 *  returns  an index until weft_pool_put(), contents undefined; WEFT_POOL_NONE when full: the
 *           caller sheds load, it does not wait or fall back to malloc */
WEFT_CHECK
uint32_t weft_pool_take(struct weft_pool *pool);
void weft_pool_put(struct weft_pool *pool, uint32_t index);

/** Hand the pages of one free slot back to the system: the one that was free longest. Only for
 * pools whose slots are whole pages. returns  bytes handed back; 0: no free slot has pages, or the
 * kernel said no */
size_t weft_pool_release(struct weft_pool *pool);

/** Does a take touch new pages, or is a slot free that has its pages still? */
static inline bool weft_pool_has_dirty(const struct weft_pool *pool)
{
    return pool->free_count > pool->clean;
}

/** Hand the pages of an empty pool back to the system; a pool in use is left alone.
 *  returns  bytes of slots handed back (0 when nothing was) */
size_t weft_pool_trim(struct weft_pool *pool);

#endif
