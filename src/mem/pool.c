/* pool.c - a stack of free indexes beside the slots, and a tag for each.
 *
 * A stack, because the slot given back last is the one still in cache. Beside the slots and not
 * threaded through them, so that a free slot's page need not stay in memory. No growth, because
 * growth is where memory stops being predictable: a full pool becomes a 503, upstairs.
 *
 * The books are by page: a take looks at one bit of its tag, and only where that says so at the
 * pages. Small slots share pages, and one may lie on two.
 */
#include "mem/pool.h"
#include <sys/mman.h>

#define LOOKS_PER_TRIM                                                                             \
    4096 /* free slots that one trim looks at: bounds it where none has pages                      \
          */

/* ---- where things lie: slots, then a bit per page of them, the free list, the tags ---- */

struct layout {
    size_t slots; /* bytes, whole pages */
    size_t list;  /* offset behind the slots */
    size_t tags;
    size_t total;
};

static bool layout_of(size_t slot_bytes, size_t slot_count, struct layout *out)
{
    size_t slot = WEFT_ALIGN_UP(slot_bytes, (size_t)16);
    size_t bytes = 0;
    if (__builtin_mul_overflow(slot, slot_count, &bytes) || bytes > SIZE_MAX / 2)
        return false;
    out->slots = WEFT_ALIGN_UP(bytes, WEFT_PAGE_BYTES);
    out->list = WEFT_ALIGN_UP(out->slots / WEFT_PAGE_BYTES, (size_t)64) / 8;
    out->tags = out->list + slot_count * sizeof(uint32_t);
    size_t beside = out->tags + slot_count * sizeof(uint32_t);
    out->total = out->slots + WEFT_ALIGN_UP(beside, WEFT_PAGE_BYTES);
    return true;
}

size_t weft_pool_bytes(size_t slot_bytes, size_t slot_count)
{
    struct layout at;
    return layout_of(slot_bytes, slot_count, &at) ? at.total : 0;
}

weft_rc weft_pool_init_within(struct weft_pool *pool, struct weft_account *account,
                              size_t slot_bytes, size_t slot_count)
{
    weft_assert(slot_bytes > 0);
    weft_assert(slot_count > 0);
    weft_assert(slot_count < WEFT_POOL_NONE);
    struct layout at;
    if (!layout_of(slot_bytes, slot_count, &at))
        return WEFT_EBUDGET;
    char *slots = weft_map(at.total);
    if (slots == NULL)
        return WEFT_ENOMEM;
    weft_account_place(account, slots, at.total);
    char *beside = slots + at.slots;
    *pool = (struct weft_pool){
        .magic = WEFT_POOL_MAGIC,
        .slot_bytes = (uint32_t)WEFT_ALIGN_UP(slot_bytes, (size_t)16),
        .free = {.list = (uint32_t *)(void *)(beside + at.list), .limit = (uint32_t)slot_count},
        .tags = (uint32_t *)(void *)(beside + at.tags),
        .touched = (uint64_t *)(void *)beside,
        .slots = slots,
        .account = account,
    };
    account->unit_bytes = pool->slot_bytes;
    return 0;
}

weft_rc weft_pool_init(struct weft_pool *pool, struct weft_account *account, size_t slot_bytes,
                       size_t slot_count)
{
    size_t bytes = weft_pool_bytes(slot_bytes, slot_count);
    if (bytes == 0)
        return WEFT_EBUDGET;
    WEFT_TRY(weft_account_reserve(account, bytes));
    weft_rc rc = weft_pool_init_within(pool, account, slot_bytes, slot_count);
    if (rc != 0) {
        weft_account_release(account, bytes);
        return rc;
    }
    pool->reserved = bytes;
    weft_account_tell(account, pool->slots, bytes);
    weft_account_read_off(account, &pool->free, &pool->takes);
    return 0;
}

/* ---- pages ---- */

struct pages {
    size_t first, end;
};

static struct pages pages_of(const struct weft_pool *pool, uint32_t index)
{
    size_t from = (size_t)index * pool->slot_bytes;
    return (struct pages){from / WEFT_PAGE_BYTES,
                          (from + pool->slot_bytes - 1) / WEFT_PAGE_BYTES + 1};
}

static bool whole_pages(const struct weft_pool *pool)
{
    return pool->slot_bytes % WEFT_PAGE_BYTES == 0;
}

static bool is_touched(const struct weft_pool *pool, size_t page)
{
    return (pool->touched[page / 64] >> (page % 64) & 1) != 0;
}

static void commit(struct weft_pool *pool, ptrdiff_t bytes)
{
    pool->committed += (size_t)bytes;
    weft_account_commit(pool->account, bytes);
}

/* A slot is about to be used whose pages may not be there. */
static WEFT_COLD void warm(struct weft_pool *pool, uint32_t index)
{
    struct pages p = pages_of(pool, index);
    for (size_t page = p.first; page < p.end; page++)
        if (!is_touched(pool, page)) {
            pool->touched[page / 64] |= (uint64_t)1 << (page % 64);
            commit(pool, (ptrdiff_t)WEFT_PAGE_BYTES);
        }
    pool->tags[index] |= WEFT_POOL_WARM;
}

/* Pages of [from, from + bytes) that no earlier range has counted. */
static size_t new_pages(size_t from, size_t bytes, size_t *next)
{
    size_t first = WEFT_MAX(from / WEFT_PAGE_BYTES, *next);
    size_t end = bytes == 0 ? first : (from + bytes - 1) / WEFT_PAGE_BYTES + 1;
    *next = WEFT_MAX(*next, end);
    return end > first ? end - first : 0;
}

/* Pages beside the slots that `fresh` of them have touched; they stay until fini. */
static size_t beside_bytes(const struct weft_pool *pool, uint32_t fresh)
{
    const char *beside = (const char *)pool->touched;
    size_t list = (size_t)((const char *)pool->free.list - beside);
    size_t tags = (size_t)((const char *)pool->tags - beside);
    size_t bits = fresh == 0 ? 0 : (pages_of(pool, fresh - 1).end + 7) / 8;
    size_t next = 0;
    size_t pages = new_pages(0, bits, &next);
    pages += new_pages(list, fresh * sizeof(uint32_t), &next);
    pages += new_pages(tags, fresh * sizeof(uint32_t), &next);
    return pages * WEFT_PAGE_BYTES;
}

void weft_pool_fini(struct weft_pool *pool)
{
    if (pool->magic == 0)
        return;
    weft_assert(pool->magic == WEFT_POOL_MAGIC);
    weft_assert(weft_pool_used(pool) == 0);
    weft_account_leave(pool->account, &pool->free);
    size_t beside = beside_bytes(pool, weft_lifo_fresh(&pool->free));
    weft_account_commit(pool->account, -(ptrdiff_t)(pool->committed + beside));
    if (pool->reserved > 0)
        weft_account_untell(pool->account, pool->slots);
    munmap(pool->slots, weft_pool_bytes(pool->slot_bytes, pool->free.limit));
    weft_account_release(pool->account, pool->reserved);
    *pool = (struct weft_pool){0};
}

/* ---- take and put ---- */

static WEFT_COLD void first_use(struct weft_pool *pool, uint32_t index)
{
    size_t before = beside_bytes(pool, index);
    weft_account_commit(pool->account, (ptrdiff_t)(beside_bytes(pool, index + 1) - before));
    warm(pool, index);
}

/* All of them free, the lowest on top of the list. */
weft_rc weft_pool_prefault(struct weft_pool *pool, size_t count)
{
    weft_assert(weft_lifo_fresh(&pool->free) == 0);
    size_t first = WEFT_MIN(count, (size_t)pool->free.limit);
    size_t beside = weft_pool_bytes(pool->slot_bytes, pool->free.limit) -
                    (size_t)((char *)pool->touched - pool->slots);
    WEFT_TRY(weft_map_touch(pool->slots, first * pool->slot_bytes));
    WEFT_TRY(weft_map_touch(pool->touched, beside));
    for (uint32_t i = 0; i < first; i++) {
        first_use(pool, i);
        pool->free.list[first - 1 - i] = i;
        weft_lifo_set_fresh(&pool->free, i + 1);
        weft_lifo_set_count(&pool->free, i + 1);
    }
    pool->free.quiet = (uint32_t)first; /* none was ever out */
    return 0;
}

uint32_t weft_pool_take_seldom(struct weft_pool *pool)
{
    weft_assert(pool->magic == WEFT_POOL_MAGIC);
    uint32_t fresh = weft_lifo_fresh(&pool->free);
    uint32_t index = weft_lifo_take(&pool->free);
    if (WEFT_UNLIKELY(index == WEFT_POOL_NONE)) {
        weft_account_refuse(pool->account);
        return WEFT_POOL_NONE;
    }
    if (WEFT_UNLIKELY(!(pool->tags[index] & WEFT_POOL_WARM))) {
        if (index == fresh)
            first_use(pool, index);
        else
            warm(pool, index);
    }
    pool->tags[index] |= WEFT_POOL_OUT;
    weft_account_tick(&pool->takes);
    if (pool->account->free == &pool->free)
        weft_account_reach(pool->account, weft_pool_used(pool) * (size_t)pool->slot_bytes);
    return index;
}

void weft_pool_misuse(struct weft_pool *pool)
{
    pool->misused++;
#ifdef WEFT_CHECKED
    __builtin_trap();
#endif
}

weft_rc weft_pool_return(struct weft_pool *pool, struct weft_handle handle)
{
    if (weft_pool_get(pool, handle) == NULL) {
        weft_pool_misuse(pool);
        return WEFT_ESTALE;
    }
    weft_pool_put(pool, handle.index);
    return 0;
}

/* ---- back to the system ---- */

/* Slots that lie on a page, wholly or in part. */
static void slots_on(const struct weft_pool *pool, size_t page, uint32_t *out_first,
                     uint32_t *out_end)
{
    size_t end = (page + 1) * WEFT_PAGE_BYTES - 1;
    *out_first = (uint32_t)(page * WEFT_PAGE_BYTES / pool->slot_bytes);
    *out_end = (uint32_t)WEFT_MIN(end / pool->slot_bytes + 1, (size_t)weft_lifo_fresh(&pool->free));
}

static bool anyone_on(const struct weft_pool *pool, size_t page)
{
    uint32_t first, end;
    slots_on(pool, page, &first, &end);
    for (uint32_t i = first; i < end; i++)
        if (pool->tags[i] & WEFT_POOL_OUT)
            return true;
    return false;
}

/* The books of a page that goes; the page itself goes with its neighbours. */
static void let_go(struct weft_pool *pool, size_t page)
{
    uint32_t first, end;
    slots_on(pool, page, &first, &end);
    for (uint32_t i = first; i < end; i++)
        pool->tags[i] &= ~WEFT_POOL_WARM;
    pool->touched[page / 64] &= ~((uint64_t)1 << (page % 64));
    commit(pool, -(ptrdiff_t)WEFT_PAGE_BYTES);
}

/* One call for a run of pages. Where the kernel says no (they are locked) they stay ours. */
static size_t hand_back(struct weft_pool *pool, struct pages run)
{
    size_t bytes = (run.end - run.first) * WEFT_PAGE_BYTES;
    if (bytes == 0 || madvise(pool->slots + run.first * WEFT_PAGE_BYTES, bytes, MADV_DONTNEED) == 0)
        return bytes;
    for (size_t page = run.first; page < run.end; page++)
        pool->touched[page / 64] |= (uint64_t)1 << (page % 64);
    commit(pool, (ptrdiff_t)bytes);
    return 0;
}

/* Does a page extend the run, at either end? */
static bool joins(struct pages *run, size_t page)
{
    if (run->first == run->end)
        *run = (struct pages){page, page + 1};
    else if (page == run->end)
        run->end++;
    else if (page + 1 == run->first)
        run->first--;
    else
        return false;
    return true;
}

/* The pages of a free slot, into the run; returns what went back because it did not join. */
static size_t release_slot(struct weft_pool *pool, uint32_t index, struct pages *run)
{
    size_t released = 0;
    struct pages p = pages_of(pool, index);
    for (size_t page = p.first; page < p.end; page++) {
        if (!is_touched(pool, page) || (!whole_pages(pool) && anyone_on(pool, page)))
            continue;
        let_go(pool, page);
        if (joins(run, page))
            continue;
        released += hand_back(pool, *run);
        *run = (struct pages){page, page + 1};
    }
    return released;
}

size_t weft_pool_trim(struct weft_pool *pool, size_t bytes_max)
{
    weft_assert(pool->magic == WEFT_POOL_MAGIC);
    size_t released = 0;
    struct pages run = {0, 0};
    for (int i = 0; i < LOOKS_PER_TRIM; i++) {
        if (released + (run.end - run.first) * WEFT_PAGE_BYTES >= bytes_max)
            break;
        uint32_t index = weft_lifo_still(&pool->free);
        if (index == WEFT_POOL_NONE)
            break;
        released += release_slot(pool, index, &run);
    }
    return released + hand_back(pool, run);
}

size_t weft_pool_release(struct weft_pool *pool)
{
    weft_assert(whole_pages(pool));
    uint32_t index = weft_lifo_oldest(&pool->free);
    if (index == WEFT_POOL_NONE)
        return 0;
    struct pages run = {0, 0};
    size_t released = release_slot(pool, index, &run);
    return released + hand_back(pool, run);
}
