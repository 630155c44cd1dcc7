/* slots.h - the connection table: 16 bytes per connection, and whole pages given back after a peak.
 *
 * A slot is taken from the lowest page that has a free one, so that after a peak the upper pages
 * empty; those that stay empty go back to the system. A page that was given back reads as zeros,
 * which is a free slot; its slots go on with generations that none of them had before, because
 * the page's book keeps the highest one.
 *
 * Lifetime: worker.
 * Threads:  the owner worker only; the share is the process's.
 * Memory:   weft_slots_bytes(count): 16 bytes per slot, and 12 per page of 256 for the books.
 */
#ifndef WEFT_IO_SLOTS_H
#define WEFT_IO_SLOTS_H

#include "io/engine.h"
#include "io/timer.h"
#include "mem/budget.h"

#define WEFT_SLOTS_PER_PAGE (WEFT_PAGE_BYTES / sizeof(struct weft_slot))

enum weft_slot_state {
    WEFT_SLOT_FREE = 0,
    WEFT_SLOT_FRESH,     /* accepted, not a byte yet */
    WEFT_SLOT_IDLE,      /* between requests */
    WEFT_SLOT_ACTIVE,    /* has an object */
    WEFT_SLOT_HELD,      /* has a small object of a holder */
    WEFT_SLOT_LINGERING, /* answered, told the peer that we are done, drops what still comes */
    WEFT_SLOT_CLOSING,   /* detached: the engine gives it up */
};

/* How long which state may last, in tenths of a second; 0 = for ever. */
struct weft_slot_limits {
    uint32_t fresh_ds, idle_ds, linger_ds;
};

/* How many connections the process may have: whichever worker they fall to. */
struct weft_conn_share {
    uint32_t max;
    _Atomic uint32_t used;
};

/* Slots beyond the limit, for those who are told that there is no room. */
#define WEFT_REFUSAL_SLOTS 64

/* The book of a page of slots. */
struct weft_slot_page {
    uint16_t used;
    uint16_t fresh;      /* slots from here on were not used since the page came; 0: it is away */
    uint16_t free;       /* 1 + the first free one before them, in the page; 0: none */
    uint16_t generation; /* that slots begin with */
    uint32_t emptied;    /* the window in which the last slot was put */
};
_Static_assert(sizeof(struct weft_slot_page) == 12, "slots.h says so");

struct weft_slots {
    struct weft_slot *table;      /* owned */
    struct weft_slot_page *pages; /* a book per page, behind the table */
    uint64_t *full;               /* a bit per page: no slot on it is free; behind the books */
    size_t count;                 /* capacity */
    uint32_t used;
    uint32_t top;                  /* slots from here on are free, and their pages away */
    uint32_t lowest;               /* word of `full` before which every page is full */
    uint32_t empty;                /* pages that are here and have no slot in use */
    uint32_t window;               /* of reclaim: counts weft_slots_age() */
    uint32_t cursor;               /* page that trimming looks at next */
    size_t booked;                 /* bytes of books that are touched */
    struct weft_conn_share *share; /* borrowed: the process's */
    struct weft_account *account;
    struct weft_slot_limits limits;
    struct weft_timer sweep;
    uint32_t sweep_ms;
    bool sweep_waited; /* it came late, and was put off: not a second time */
};

size_t weft_slots_bytes(size_t count);

/** returns  0, WEFT_EBUDGET, WEFT_ENOMEM */
WEFT_CHECK weft_rc weft_slots_init(struct weft_slots *slots, struct weft_account *account,
                                   size_t count);
void weft_slots_fini(struct weft_slots *slots);

/** Take the first free slot of the lowest page. WEFT_POOL_NONE when every one is out.
 *  Its generation is one that no handle to it carries; `active` is WEFT_POOL_NONE. */
WEFT_CHECK uint32_t weft_slots_take(struct weft_slots *slots);
void weft_slots_put(struct weft_slots *slots, uint32_t index);

/** The first slot in use from index on; WEFT_POOL_NONE: none. Whole empty pages are passed over. */
uint32_t weft_slots_next(const struct weft_slots *slots, uint32_t index);

/** A window of reclaim ends: pages that were empty for all of it may go, see io/reclaim.h. */
void weft_slots_age(struct weft_slots *slots);

/** Is there anything left to look at since weft_slots_age()? */
static inline bool weft_slots_still(const struct weft_slots *slots)
{
    return slots->empty > 0 && slots->cursor * WEFT_SLOTS_PER_PAGE < slots->top;
}

/** Give pages back that were empty for a whole window; a bounded number of others is looked at.
 *  bytes_max  no more than that, and a page at least
 *  returns    bytes given back. Call again while weft_slots_still() */
size_t weft_slots_trim(struct weft_slots *slots, size_t bytes_max);

#endif
