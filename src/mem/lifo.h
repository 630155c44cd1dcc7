/* lifo.h - which slots are free: a stack of indexes that knows how long its bottom has lain still.
 *
 * What was given back last is taken first, so a load that needs n slots at a time moves the top n
 * entries and leaves the rest alone. What lay still for a whole window was not needed in it: that
 * is what may be handed back to the system, and no clock or mark per slot is needed to find it.
 *
 * Lifetime: its owner's (a pool, the stacks of tasks).
 * Threads:  the owner worker only; `fresh` and `count` may be read from anywhere.
 * Memory:   4 bytes per slot, the owner's.
 */
#ifndef WEFT_MEM_LIFO_H
#define WEFT_MEM_LIFO_H

#include "base/base.h"

#define WEFT_LIFO_NONE UINT32_MAX

struct weft_lifo {
    uint32_t *list;         /* borrowed from the owner: room for `limit` indexes, newest last */
    uint32_t limit;         /* slots */
    _Atomic uint32_t fresh; /* slots [fresh, limit) were never taken */
    _Atomic uint32_t count; /* free ones in the list */
    uint32_t quiet;  /* lowest count since the last age(): list[0..quiet) did not move since */
    uint32_t aged;   /* what quiet was at the last age(): a whole window without a move */
    uint32_t looked; /* list[0..looked) has been through still() since it was put; <= quiet */
};

static inline uint32_t weft_lifo_fresh(const struct weft_lifo *lifo)
{
    return atomic_load_explicit(&lifo->fresh, memory_order_relaxed);
}

static inline uint32_t weft_lifo_count(const struct weft_lifo *lifo)
{
    return atomic_load_explicit(&lifo->count, memory_order_relaxed);
}

static inline void weft_lifo_set_fresh(struct weft_lifo *lifo, uint32_t fresh)
{
    atomic_store_explicit(&lifo->fresh, fresh, memory_order_relaxed);
}

static inline void weft_lifo_set_count(struct weft_lifo *lifo, uint32_t count)
{
    atomic_store_explicit(&lifo->count, count, memory_order_relaxed);
}

/** Slots that are out now; from another thread a little off. */
static inline uint32_t weft_lifo_out(const struct weft_lifo *lifo)
{
    uint32_t count = weft_lifo_count(lifo), fresh = weft_lifo_fresh(lifo);
    return fresh > count ? fresh - count : 0;
}

/** Would a take from `count` free ones lower the lowest count, or find none? As many are out then
 * as never before, or not since the last age(). */
static inline bool weft_lifo_digs(const struct weft_lifo *lifo, uint32_t count)
{
    return count <= lifo->quiet;
}

static inline uint32_t weft_lifo_take(struct weft_lifo *lifo)
{
    uint32_t count = weft_lifo_count(lifo), fresh = weft_lifo_fresh(lifo);
    if (WEFT_UNLIKELY(count == 0)) {
        if (fresh == lifo->limit)
            return WEFT_LIFO_NONE;
        weft_lifo_set_fresh(lifo, fresh + 1);
        return fresh;
    }
    if (WEFT_UNLIKELY(count <= lifo->quiet)) {
        lifo->quiet = count - 1;
        lifo->looked = WEFT_MIN(lifo->looked, lifo->quiet);
    }
    weft_lifo_set_count(lifo, count - 1);
    return lifo->list[count - 1];
}

static inline void weft_lifo_put(struct weft_lifo *lifo, uint32_t index)
{
    uint32_t count = weft_lifo_count(lifo);
    weft_debug_assert(count < weft_lifo_fresh(lifo)); /* more puts than takes */
    lifo->list[count] = index;
    weft_lifo_set_count(lifo, count + 1);
}

/** A window ends and the next begins. Twice in a row: all that is free now counts as still. */
static inline void weft_lifo_age(struct weft_lifo *lifo)
{
    lifo->aged = lifo->quiet;
    lifo->quiet = lifo->count;
}

/** How many entries still() has yet to tell. */
static inline uint32_t weft_lifo_still_count(const struct weft_lifo *lifo)
{
    uint32_t limit = WEFT_MIN(lifo->aged, lifo->quiet);
    return limit > lifo->looked ? limit - lifo->looked : 0;
}

/** The next free slot that lay still for a whole window, each told once until it is taken again;
 *  WEFT_LIFO_NONE: no more. It stays free. */
static inline uint32_t weft_lifo_still(struct weft_lifo *lifo)
{
    return weft_lifo_still_count(lifo) > 0 ? lifo->list[lifo->looked++] : WEFT_LIFO_NONE;
}

/** The same, however short it has been free. */
static inline uint32_t weft_lifo_oldest(struct weft_lifo *lifo)
{
    if (lifo->looked == lifo->count)
        return WEFT_LIFO_NONE;
    lifo->quiet = WEFT_MAX(lifo->quiet, lifo->looked + 1);
    return lifo->list[lifo->looked++];
}

#endif
