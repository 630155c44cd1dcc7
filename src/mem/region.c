/* region.c - see region.h. A block is a head of 8 bytes and what it holds; a free one has its links
 * there. The smallest is one grain, so what is left of a free piece always is a block again, and no
 * block is longer than its cost.
 */
#include "mem/region.h"
#include <sys/mman.h>

#define FREE       ((uint32_t)1 << 31)
#define NOWHERE    UINT32_MAX
#define STEP_BITS  3    /* log2 of WEFT_REGION_STEPS */
#define TRIES_MAX  16   /* blocks of a size's own class that are looked at */
#define LOOKS_MAX  4096 /* free blocks that a trim looks at */
#define PAGE_GRAIN ((uint32_t)(WEFT_PAGE_BYTES / WEFT_REGION_GRAIN))

struct block {
    uint32_t size;   /* grains; FREE */
    uint32_t before; /* grains of the one before; 0: this is the first */
    uint32_t next;   /* of a free one: place + 1 */
    uint32_t prev;
};

struct class
{
    uint32_t power, step;
};

static struct block *at(const struct weft_region *region, uint32_t place)
{
    return (struct block *)(void *)(region->base + place * WEFT_REGION_GRAIN);
}

static uint32_t size_of(const struct block *block)
{
    return block->size & ~FREE;
}

static struct class class_of(uint32_t grains)
{
    if (grains < WEFT_REGION_STEPS)
        return (struct class){0, grains};
    uint32_t log = 31 - (uint32_t)__builtin_clz(grains);
    uint32_t step = grains >> (log - STEP_BITS) & (WEFT_REGION_STEPS - 1);
    return (struct class){log - STEP_BITS + 1, step};
}

/* ---- pages ---- */

static size_t mark_bytes(size_t bytes)
{
    size_t pages = (bytes + WEFT_PAGE_BYTES - 1) / WEFT_PAGE_BYTES;
    return WEFT_ALIGN_UP((pages + 7) / 8, WEFT_PAGE_BYTES);
}

size_t weft_region_bytes(size_t bytes)
{
    return WEFT_ALIGN_UP(bytes, WEFT_PAGE_BYTES) + mark_bytes(bytes);
}

/* Pages of grains [from, to) will be written. */
static void touch(struct weft_region *region, uint32_t from, uint32_t to)
{
    ptrdiff_t pages = 0;
    for (uint32_t page = from / PAGE_GRAIN; page <= (to - 1) / PAGE_GRAIN; page++) {
        uint64_t bit = (uint64_t)1 << page % 64;
        pages += (region->touched[page / 64] & bit) == 0;
        region->touched[page / 64] |= bit;
    }
    if (pages > 0)
        weft_account_commit(region->account, pages * (ptrdiff_t)WEFT_PAGE_BYTES);
}

/* ---- lists of free blocks ---- */

static void list_add(struct weft_region *region, uint32_t place)
{
    struct block *block = at(region, place);
    struct class class = class_of(block->size);
    uint32_t *head = &region->heads[class.power][class.step];
    block->size |= FREE;
    block->next = *head;
    block->prev = 0;
    if (*head != 0)
        at(region, *head - 1)->prev = place + 1;
    *head = place + 1;
    region->steps[class.power] |= (uint8_t)(1u << class.step);
    region->powers |= 1u << class.power;
}

static void list_drop(struct weft_region *region, uint32_t place)
{
    struct block *block = at(region, place);
    block->size &= ~FREE;
    struct class class = class_of(block->size);
    uint32_t *head = &region->heads[class.power][class.step];
    if (block->next != 0)
        at(region, block->next - 1)->prev = block->prev;
    if (block->prev != 0)
        at(region, block->prev - 1)->next = block->next;
    else
        *head = block->next;
    if (*head != 0)
        return;
    region->steps[class.power] &= (uint8_t) ~(1u << class.step);
    if (region->steps[class.power] == 0)
        region->powers &= ~(1u << class.power);
}

/* Of the smallest class whose blocks all are as long, the first; NOWHERE. */
static uint32_t find_roomy(const struct weft_region *region, uint32_t grains)
{
    uint32_t up = grains;
    if (grains >= WEFT_REGION_STEPS) /* to where the next class begins */
        up += (1u << (31 - (uint32_t)__builtin_clz(grains) - STEP_BITS)) - 1;
    struct class class = class_of(up);
    uint32_t steps = region->steps[class.power] & (0xffu << class.step);
    if (steps == 0) {
        uint32_t powers = region->powers & ~((2u << class.power) - 1);
        if (powers == 0)
            return NOWHERE;
        class.power = (uint32_t)__builtin_ctz(powers);
        steps = region->steps[class.power];
    }
    return region->heads[class.power][__builtin_ctz(steps)] - 1;
}

/* One of the own class, whose blocks may be too short. */
static uint32_t find_close(const struct weft_region *region, uint32_t grains)
{
    struct class class = class_of(grains);
    uint32_t place = region->heads[class.power][class.step] - 1;
    for (int i = 0; i < TRIES_MAX && place != NOWHERE; i++) {
        if (size_of(at(region, place)) >= grains)
            return place;
        place = at(region, place)->next - 1;
    }
    return NOWHERE;
}

/* ---- blocks ---- */

static void tell_next(struct weft_region *region, uint32_t place)
{
    uint32_t next = place + size_of(at(region, place));
    if (next < region->grains)
        at(region, next)->before = size_of(at(region, place));
}

void weft_region_init(struct weft_region *region, struct weft_account *account, void *memory,
                      size_t bytes)
{
    weft_assert(bytes >= WEFT_REGION_BYTES_MIN);
    weft_assert(bytes <= WEFT_REGION_BYTES_MAX);
    *region = (struct weft_region){.base = memory, .account = account};
    region->touched = (uint64_t *)(void *)(region->base + WEFT_ALIGN_UP(bytes, WEFT_PAGE_BYTES));
    region->grains = (uint32_t)(bytes / WEFT_REGION_GRAIN);
    weft_account_commit(account, (ptrdiff_t)mark_bytes(bytes));
    touch(region, 0, 1);
    *at(region, 0) = (struct block){.size = region->grains};
    list_add(region, 0);
}

weft_rc weft_region_prefault(struct weft_region *region)
{
    size_t bytes = region->grains * WEFT_REGION_GRAIN;
    WEFT_TRY(weft_map_touch(region->base, WEFT_ALIGN_UP(bytes, WEFT_PAGE_BYTES)));
    touch(region, 0, region->grains);
    return 0;
}

void weft_region_fini(struct weft_region *region)
{
    size_t pages = mark_bytes(region->grains * WEFT_REGION_GRAIN) / WEFT_PAGE_BYTES;
    for (size_t page = 0; page <= (region->grains - 1) / PAGE_GRAIN; page++)
        pages += region->touched[page / 64] >> page % 64 & 1;
    weft_account_commit(region->account, -(ptrdiff_t)(pages * WEFT_PAGE_BYTES));
    if (region->used > 0)
        weft_account_unuse(region->account, region->used);
    *region = (struct weft_region){0};
}

void *weft_region_take(struct weft_region *region, size_t bytes)
{
    size_t cost = weft_region_cost(bytes);
    if (bytes > WEFT_REGION_BYTES_MAX || cost / WEFT_REGION_GRAIN > region->grains)
        return NULL;
    uint32_t grains = (uint32_t)(cost / WEFT_REGION_GRAIN);
    uint32_t place = find_roomy(region, grains);
    if (place == NOWHERE)
        place = find_close(region, grains);
    if (place == NOWHERE)
        return NULL;
    list_drop(region, place);
    struct block *block = at(region, place);
    uint32_t rest = block->size - grains;
    touch(region, place, place + grains + (rest > 0));
    if (rest > 0) {
        *at(region, place + grains) = (struct block){.size = rest, .before = grains};
        block->size = grains;
        tell_next(region, place + grains);
        list_add(region, place + grains);
    }
    region->used += cost;
    weft_account_use(region->account, cost);
    return (char *)block + 8;
}

size_t weft_region_size(const void *block)
{
    const struct block *head = (const struct block *)(const void *)((const char *)block - 8);
    return head->size * WEFT_REGION_GRAIN;
}

void weft_region_put(struct weft_region *region, void *payload)
{
    uint32_t place = weft_region_place(region, payload);
    struct block *block = at(region, place);
    weft_assert((block->size & FREE) == 0);
    region->used -= block->size * WEFT_REGION_GRAIN;
    weft_account_unuse(region->account, block->size * WEFT_REGION_GRAIN);
    uint32_t next = place + block->size;
    if (next < region->grains && (at(region, next)->size & FREE) != 0) {
        list_drop(region, next);
        block->size += at(region, next)->size;
    }
    uint32_t before = place - block->before;
    if (block->before > 0 && (at(region, before)->size & FREE) != 0) {
        list_drop(region, before);
        at(region, before)->size += block->size;
        place = before;
    }
    tell_next(region, place);
    list_add(region, place);
    region->freed = true;
}

/* ---- back to the system ---- */

/* Whole pages behind the block's own head and links that are touched, in one run at a time. */
static size_t untouch(struct weft_region *region, uint32_t place)
{
    uint32_t first = (place + PAGE_GRAIN) / PAGE_GRAIN;
    uint32_t end = (place + size_of(at(region, place))) / PAGE_GRAIN;
    size_t pages = 0;
    for (uint32_t page = first; page < end; page++) {
        uint64_t bit = (uint64_t)1 << page % 64;
        pages += (region->touched[page / 64] & bit) != 0;
        region->touched[page / 64] &= ~bit;
    }
    if (pages == 0)
        return 0;
    (void)madvise(region->base + first * WEFT_PAGE_BYTES, (end - first) * WEFT_PAGE_BYTES,
                  MADV_DONTNEED); /* where it fails they stay: no harm but to the books */
    weft_account_commit(region->account, -(ptrdiff_t)(pages * WEFT_PAGE_BYTES));
    return pages * WEFT_PAGE_BYTES;
}

static size_t trim_list(struct weft_region *region, uint32_t place, size_t bytes_max, int *looks)
{
    size_t bytes = 0;
    for (; place != NOWHERE && bytes<bytes_max && * looks> 0; --*looks) {
        bytes += untouch(region, place);
        place = at(region, place)->next - 1;
    }
    return bytes;
}

size_t weft_region_trim(struct weft_region *region, size_t bytes_max)
{
    if (!region->freed)
        return 0;
    size_t bytes = 0;
    int looks = LOOKS_MAX;
    struct class least = class_of(PAGE_GRAIN);
    for (uint32_t power = WEFT_REGION_POWERS; power-- > least.power && bytes < bytes_max;)
        for (uint32_t step = WEFT_REGION_STEPS; step-- > 0 && bytes < bytes_max;)
            bytes += trim_list(region, region->heads[power][step] - 1, bytes_max - bytes, &looks);
    region->freed = bytes >= bytes_max;
    return bytes;
}
