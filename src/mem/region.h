/* region.h - blocks of any size within one mapping, and never a byte more.
 *
 * For what outlives requests and differs in size: the entries of a cache. A two-level free list
 * (TLSF: Masmano, Ripoll 2004) finds a block that fits in constant time; neighbours that are free
 * are one block again at once. What a block costs is known beforehand, weft_region_cost(), so
 * "full" is a number and no matter of luck but for fragments.
 *
 * Lifetime: from init to fini; the memory is the caller's and outlives it.
 * Threads:  the owner's: one at a time.
 * Memory:   weft_region_bytes(): the bytes themselves and 1 bit per page. Pages are touched as
 *           blocks are taken, and given back by trim.
 */
#ifndef WEFT_MEM_REGION_H
#define WEFT_MEM_REGION_H

#include "mem/budget.h"

#define WEFT_REGION_GRAIN     ((size_t)16)
#define WEFT_REGION_BYTES_MIN ((size_t)4096)
#define WEFT_REGION_BYTES_MAX ((size_t)16 << 30)
#define WEFT_REGION_STEPS     8  /* size classes between two powers of two */
#define WEFT_REGION_POWERS    32 /* of grains */

struct weft_region {
    char *base;        /* borrowed: `bytes` of it */
    uint64_t *touched; /* borrowed: a bit per page */
    uint32_t grains;   /* of WEFT_REGION_GRAIN bytes */
    uint32_t powers;   /* bit per power that has a free block */
    uint8_t steps[WEFT_REGION_POWERS];
    uint32_t heads[WEFT_REGION_POWERS][WEFT_REGION_STEPS]; /* free blocks by size; place + 1 */
    size_t used;                                           /* bytes of blocks that are out */
    bool freed;                   /* since the last trim that looked at everything */
    struct weft_account *account; /* borrowed: books use and pages */
};

/** Bytes of address space for a region of so many bytes; what is used of it is at most `bytes`,
 *  rounded down to grains. */
size_t weft_region_bytes(size_t bytes);

/** What a block of so many bytes takes, exactly. */
static inline size_t weft_region_cost(size_t bytes)
{
    return WEFT_ALIGN_UP(bytes + 8, WEFT_REGION_GRAIN);
}

/** memory   zeroed pages of weft_region_bytes(bytes), reserved by the caller: what is touched and
 *           what is in use is booked here
 *  bytes    WEFT_REGION_BYTES_MIN..WEFT_REGION_BYTES_MAX */
void weft_region_init(struct weft_region *region, struct weft_account *account, void *memory,
                      size_t bytes);

/** Have all of its pages in memory from now on; they are not to be trimmed.
 *  returns  0; WEFT_ENOMEM: there are not so many */
WEFT_CHECK weft_rc weft_region_prefault(struct weft_region *region);

/** All blocks are gone, and out of the books. */
void weft_region_fini(struct weft_region *region);

/** Take a block.
 *  bytes    > 0
 *  returns  8-byte aligned, undefined contents, until weft_region_put(); NULL: no free piece is as
 *           long (though smaller ones together may be) */
void *weft_region_take(struct weft_region *region, size_t bytes);
void weft_region_put(struct weft_region *region, void *block);

/** Where a block is, in grains from the start: names it in 32 bits. */
static inline uint32_t weft_region_place(const struct weft_region *region, const void *block)
{
    return (uint32_t)((size_t)((const char *)block - region->base) / WEFT_REGION_GRAIN);
}

static inline void *weft_region_at(const struct weft_region *region, uint32_t place)
{
    weft_debug_assert(place < region->grains);
    return region->base + place * WEFT_REGION_GRAIN + 8;
}

/** What the block takes: weft_region_cost() of what was asked for. */
size_t weft_region_size(const void *block);

/** Hand back whole pages inside free blocks, of the largest first, about bytes_max.
 *  returns  bytes handed back; less than bytes_max: that was all */
size_t weft_region_trim(struct weft_region *region, size_t bytes_max);

#endif
