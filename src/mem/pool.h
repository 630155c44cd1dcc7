/* pool.h - fixed-size slots for one worker, addressed by index or by handle.
 *
 * A handle is an index and the generation of its slot, so that one kept too long is told from the
 * slot's next user. Inside Weft an index does: who takes also puts.
 *
 * Lifetime: worker. init reserves address space for every slot; a page is committed when a slot on
 *           it is first taken, and handed back by trim. The pool never grows past slot_count.
 * Threads:  the owner worker only; the account may be read from anywhere.
 * Memory:   weft_pool_bytes(slot_bytes, slot_count) at worst, reserved from the account at init:
 *           the slots, and 8 bytes and a bit beside each.
 */
#ifndef WEFT_MEM_POOL_H
#define WEFT_MEM_POOL_H

#include "base/base.h"
#include "base/rehearsal.h"
#include "mem/budget.h"
#include "mem/lifo.h"

#define WEFT_POOL_MAGIC 0x706f6f6cu
#define WEFT_POOL_NONE  WEFT_LIFO_NONE /* "no slot": the pool is full */

/* Bits of a slot's tag; the generation is what is above them. */
#define WEFT_POOL_OUT   1u /* taken */
#define WEFT_POOL_WARM  2u /* all of its pages are committed */
#define WEFT_POOL_COUNT 4u /* one generation */

struct weft_handle {
    uint32_t index;
    uint32_t generation;
};

struct weft_pool {
    uint32_t magic;         /* WEFT_POOL_MAGIC while alive, 0 after fini */
    uint32_t slot_bytes;    /* rounded up to 16, so that a small slot does not pay a cache line */
    struct weft_lifo free;  /* its list lies behind the slots */
    uint32_t *tags;         /* per slot: generation, WARM, OUT */
    uint64_t *touched;      /* a bit per page of slots: committed */
    char *slots;            /* owned: one mapping of slots, bits, list and tags */
    _Atomic uint64_t takes; /* since init */
    uint32_t misused;       /* puts of what was not out, since init */
    size_t committed;       /* bytes of pages of slots that are touched */
    size_t reserved;        /* bytes that it reserved itself: 0 where the caller did */
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

/** The same for a caller that has reserved what may be touched, and that books what is in use:
 *  neither is done here. For pools that share one reservation because they share one limit (the
 *  arena's chunk sizes).
 *  returns  0, WEFT_EBUDGET (too large for a size_t), WEFT_ENOMEM */
WEFT_CHECK
weft_rc weft_pool_init_within(struct weft_pool *pool, struct weft_account *account,
                              size_t slot_bytes, size_t slot_count);

/** Have the pages of its first `count` slots, and what lies beside them, in memory from now on.
 *  Before the first take.
 *  returns  0; WEFT_ENOMEM: there are not so many */
WEFT_CHECK weft_rc weft_pool_prefault(struct weft_pool *pool, size_t count);

/** Give everything back. Every slot has been put: one still out is a bug, and asserts. A zeroed
 *  pool is accepted. */
void weft_pool_fini(struct weft_pool *pool);

/** The slot behind an index; borrowed until weft_pool_put(). 16-byte aligned; 64-byte aligned where
 *  slot_bytes is a multiple of 64. */
static inline void *weft_pool_at(const struct weft_pool *pool, uint32_t index)
{
    weft_debug_assert(index < weft_lifo_fresh(&pool->free));
    return pool->slots + (size_t)index * pool->slot_bytes;
}

static inline uint32_t weft_pool_index(const struct weft_pool *pool, const void *slot)
{
    return (uint32_t)((size_t)((const char *)slot - pool->slots) / pool->slot_bytes);
}

/** Slots out now. */
static inline uint32_t weft_pool_used(const struct weft_pool *pool)
{
    return weft_lifo_out(&pool->free);
}

/** Is there a slot of that index, and is it out? */
static inline bool weft_pool_is_out(const struct weft_pool *pool, uint32_t index)
{
    return index < weft_lifo_fresh(&pool->free) && (pool->tags[index] & WEFT_POOL_OUT) != 0;
}

/* What is not just taking the newest free slot, which has its pages. */
uint32_t weft_pool_take_seldom(struct weft_pool *pool);
void weft_pool_misuse(struct weft_pool *pool);

/** Take a slot; O(1), no system call.
 *  returns  an index until weft_pool_put(), contents undefined; WEFT_POOL_NONE when full: the
 *           caller sheds load, it does not wait or fall back to malloc */
WEFT_CHECK static inline uint32_t weft_pool_take(struct weft_pool *pool)
{
    weft_debug_assert(pool->magic == WEFT_POOL_MAGIC);
    struct weft_lifo *lifo = &pool->free;
    if (weft_fail_point("pool")) {
        weft_account_refuse(pool->account);
        return WEFT_POOL_NONE;
    }
    uint32_t count = weft_lifo_count(lifo);
    if (WEFT_UNLIKELY(weft_lifo_digs(lifo, count)))
        return weft_pool_take_seldom(pool);
    uint32_t index = lifo->list[count - 1];
    uint32_t *tag = &pool->tags[index];
    if (WEFT_UNLIKELY(!(*tag & WEFT_POOL_WARM)))
        return weft_pool_take_seldom(pool);
    *tag |= WEFT_POOL_OUT;
    weft_lifo_set_count(lifo, count - 1);
    weft_account_tick(&pool->takes);
    return index;
}

/** Give a slot back. What is not out (a second put, an index that never was) is left alone and
 *  counted in `misused`; a checked build traps. */
static inline void weft_pool_put(struct weft_pool *pool, uint32_t index)
{
    weft_debug_assert(pool->magic == WEFT_POOL_MAGIC);
    uint32_t *tag = &pool->tags[index];
    if (WEFT_UNLIKELY(index >= weft_lifo_fresh(&pool->free) || !(*tag & WEFT_POOL_OUT))) {
        weft_pool_misuse(pool);
        return;
    }
#ifdef WEFT_CHECKED
    memset(weft_pool_at(pool, index), 0xdb, pool->slot_bytes);
#endif
    *tag += WEFT_POOL_COUNT - WEFT_POOL_OUT;
    weft_lifo_put(&pool->free, index);
}

/* ---- by handle ---- */

/** The handle of a slot that is out. */
static inline struct weft_handle weft_pool_handle(const struct weft_pool *pool, uint32_t index)
{
    weft_assert(weft_pool_is_out(pool, index));
    return (struct weft_handle){index, pool->tags[index] / WEFT_POOL_COUNT};
}

/** The slot behind a handle; NULL when it was put since, or never was. A generation comes again
 *  after 2^30 uses of one slot. */
static inline void *weft_pool_get(const struct weft_pool *pool, struct weft_handle handle)
{
    bool ours = weft_pool_is_out(pool, handle.index) &&
                pool->tags[handle.index] / WEFT_POOL_COUNT == handle.generation;
    return ours ? weft_pool_at(pool, handle.index) : NULL;
}

/** Give back by handle.
 *  returns  0; WEFT_ESTALE: it was put before (nothing happens, counted in `misused`); a checked
 *           build traps */
WEFT_CHECK weft_rc weft_pool_return(struct weft_pool *pool, struct weft_handle handle);

/* ---- back to the system ---- */

/** A window of the owner's choosing ends: what was free all through it may be trimmed. Twice in a
 *  row makes that all that is free now. */
static inline void weft_pool_age(struct weft_pool *pool)
{
    weft_lifo_age(&pool->free);
}

/** Hand back pages on which no slot is out, as far as a free slot on them lay still for a whole
 *  window; the others stay with the pool. Slots keep their generation.
 *  bytes_max  stop when about so many have gone back
 *  returns    bytes handed back. Call again while weft_pool_still() says so */
size_t weft_pool_trim(struct weft_pool *pool, size_t bytes_max);

/** Has trim() something left to look at? */
static inline bool weft_pool_still(const struct weft_pool *pool)
{
    return weft_lifo_still_count(&pool->free) > 0;
}

/** Hand the pages of one free slot back to the system: the one that was free longest. Only for
 *  pools whose slots are whole pages.
 *  returns  bytes handed back; 0: no free slot has pages */
size_t weft_pool_release(struct weft_pool *pool);

/** Is the slot that would be taken next a free one that has its pages still? For pools whose slots
 *  are whole pages. */
static inline bool weft_pool_has_warm(const struct weft_pool *pool)
{
    return weft_lifo_count(&pool->free) > pool->free.looked;
}

#endif
