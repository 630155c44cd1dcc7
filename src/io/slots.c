/* slots.c - see slots.h. */
#include "io/slots.h"
#include "base/rehearsal.h"
#include "mem/pool.h"
#include <sys/mman.h>

#define LOOKS_MAX 1024u /* pages per call of trim: some microseconds */

static size_t pages_of(size_t count)
{
    return (count + WEFT_SLOTS_PER_PAGE - 1) / WEFT_SLOTS_PER_PAGE;
}

static size_t words_of(size_t count)
{
    return (pages_of(count) + 63) / 64;
}

static size_t table_bytes(size_t count)
{
    return pages_of(count) * WEFT_PAGE_BYTES;
}

/* Full bits before the books: words are aligned so. */
static size_t books_bytes(size_t count)
{
    return WEFT_ALIGN_UP(words_of(count) * sizeof(uint64_t) +
                             pages_of(count) * sizeof(struct weft_slot_page),
                         WEFT_PAGE_BYTES);
}

size_t weft_slots_bytes(size_t count)
{
    return table_bytes(count) + books_bytes(count);
}

weft_rc weft_slots_init(struct weft_slots *slots, struct weft_account *account, size_t count)
{
    void *memory = NULL;
    WEFT_TRY(weft_account_map(account, weft_slots_bytes(count), &memory));
    *slots = (struct weft_slots){.table = memory, .count = count, .account = account};
    slots->full = (uint64_t *)(void *)((char *)memory + table_bytes(count));
    slots->pages = (struct weft_slot_page *)(void *)(slots->full + words_of(count));
    account->unit_bytes = sizeof(struct weft_slot);
    return 0;
}

void weft_slots_fini(struct weft_slots *slots)
{
    if (slots->table != NULL) {
        for (uint32_t i = 0; i * WEFT_SLOTS_PER_PAGE < slots->top; i++)
            if (slots->pages[i].fresh > 0)
                weft_account_commit(slots->account, -(ptrdiff_t)WEFT_PAGE_BYTES);
        weft_account_commit(slots->account, -(ptrdiff_t)slots->booked);
        weft_account_unmap(slots->account, slots->table, weft_slots_bytes(slots->count));
    }
    *slots = (struct weft_slots){0};
}

static uint32_t capacity(const struct weft_slots *slots, uint32_t page)
{
    size_t left = slots->count - page * WEFT_SLOTS_PER_PAGE;
    return (uint32_t)WEFT_MIN(left, WEFT_SLOTS_PER_PAGE);
}

/* The lowest page with a free slot; pages_of(count) or more: none. */
static uint32_t roomy_page(struct weft_slots *slots)
{
    uint32_t words = (uint32_t)words_of(slots->count);
    while (slots->lowest < words && slots->full[slots->lowest] == UINT64_MAX)
        slots->lowest++;
    if (slots->lowest == words)
        return UINT32_MAX;
    return slots->lowest * 64 + (uint32_t)__builtin_ctzll(~slots->full[slots->lowest]);
}

/* A page comes (back): it and its book are touched from here on. */
static void page_in(struct weft_slots *slots, uint32_t page)
{
    size_t end = (size_t)((char *)&slots->pages[page + 1] - (char *)slots->full);
    size_t booked = WEFT_MAX(slots->booked, WEFT_ALIGN_UP(end, WEFT_PAGE_BYTES));
    weft_account_commit(slots->account, (ptrdiff_t)(WEFT_PAGE_BYTES + booked - slots->booked));
    slots->booked = booked;
    slots->empty++;
}

uint32_t weft_slots_take(struct weft_slots *slots)
{
    uint32_t page = roomy_page(slots);
    if (page >= pages_of(slots->count) || weft_fail_point("slot"))
        return WEFT_POOL_NONE;
    struct weft_slot_page *book = &slots->pages[page];
    uint32_t first = page * (uint32_t)WEFT_SLOTS_PER_PAGE, index;
    if (book->free > 0) {
        index = first + book->free - 1;
        book->free = (uint16_t)slots->table[index].active;
    } else {
        if (book->fresh == 0)
            page_in(slots, page);
        index = first + book->fresh++;
        slots->table[index].generation = book->generation;
        slots->top = WEFT_MAX(slots->top, index + 1);
    }
    slots->empty -= book->used == 0;
    if (++book->used == capacity(slots, page))
        slots->full[page / 64] |= 1ull << page % 64;
    slots->used++;
    slots->table[index].active = WEFT_POOL_NONE;
    weft_account_use(slots->account, sizeof(struct weft_slot));
    return index;
}

void weft_slots_put(struct weft_slots *slots, uint32_t index)
{
    uint32_t page = index / (uint32_t)WEFT_SLOTS_PER_PAGE;
    struct weft_slot_page *book = &slots->pages[page];
    struct weft_slot *slot = &slots->table[index];
    weft_assert(book->used > 0);
    slot->fd = -1;
    slot->generation++;
    slot->state = WEFT_SLOT_FREE;
    slot->active = book->free;
    book->free = (uint16_t)(index % WEFT_SLOTS_PER_PAGE + 1);
    slots->full[page / 64] &= ~(1ull << page % 64);
    slots->lowest = WEFT_MIN(slots->lowest, page / 64);
    if (--book->used == 0) {
        book->emptied = slots->window;
        slots->empty++;
    }
    slots->used--;
    weft_account_unuse(slots->account, sizeof(struct weft_slot));
}

uint32_t weft_slots_next(const struct weft_slots *slots, uint32_t index)
{
    while (index < slots->top) {
        if (slots->pages[index / WEFT_SLOTS_PER_PAGE].used == 0)
            index = (uint32_t)WEFT_ALIGN_UP(index + 1, WEFT_SLOTS_PER_PAGE);
        else if (slots->table[index].state == WEFT_SLOT_FREE)
            index++;
        else
            return index;
    }
    return WEFT_POOL_NONE;
}

/* ---- back to the system ---- */

void weft_slots_age(struct weft_slots *slots)
{
    slots->window++;
    slots->cursor = 0;
}

/* Empty since before the window that has just ended began. */
static bool may_go(const struct weft_slots *slots, uint32_t page)
{
    const struct weft_slot_page *book = &slots->pages[page];
    return book->fresh > 0 && book->used == 0 && slots->window - book->emptied >= 2;
}

/* The page is away from now on: the next slots on it begin where the farthest of these ended. */
static void page_out(struct weft_slots *slots, uint32_t page)
{
    struct weft_slot_page *book = &slots->pages[page];
    const struct weft_slot *first = &slots->table[page * WEFT_SLOTS_PER_PAGE];
    uint16_t farthest = 0;
    for (uint32_t i = 0; i < book->fresh; i++)
        farthest = WEFT_MAX(farthest, (uint16_t)(first[i].generation - book->generation));
    book->generation = (uint16_t)(book->generation + farthest);
    book->fresh = book->free = 0;
    slots->empty--;
    weft_account_commit(slots->account, -(ptrdiff_t)WEFT_PAGE_BYTES);
}

static void lower_top(struct weft_slots *slots)
{
    while (slots->top > 0) {
        uint32_t page = (slots->top - 1) / (uint32_t)WEFT_SLOTS_PER_PAGE;
        if (slots->pages[page].fresh > 0)
            break;
        slots->top = page * (uint32_t)WEFT_SLOTS_PER_PAGE;
    }
}

/* Neighbours go together: one system call for a run of pages. */
size_t weft_slots_trim(struct weft_slots *slots, size_t bytes_max)
{
    uint32_t end = (uint32_t)pages_of(slots->top);
    uint32_t first = slots->cursor, looks = 0;
    while (first < end && looks < LOOKS_MAX && !may_go(slots, first))
        first++, looks++;
    uint32_t last = first,
             most = WEFT_MAX((uint32_t)WEFT_MIN(bytes_max / WEFT_PAGE_BYTES, LOOKS_MAX), 1u);
    while (last < end && last - first < most && looks < LOOKS_MAX && may_go(slots, last))
        last++;
    slots->cursor = last;
    size_t bytes = (last - first) * WEFT_PAGE_BYTES;
    if (bytes == 0)
        return 0;
    for (uint32_t page = first; page < last; page++)
        page_out(slots, page);
    /* Not in use, and zeroed on return: what could fail is only that the kernel splits mappings. */
    if (madvise(&slots->table[first * WEFT_SLOTS_PER_PAGE], bytes, MADV_DONTNEED) != 0)
        memset(&slots->table[first * WEFT_SLOTS_PER_PAGE], 0, bytes);
    lower_top(slots);
    return bytes;
}
