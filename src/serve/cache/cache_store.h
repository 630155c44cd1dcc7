/* cache_store.h - entries by key within a byte cap, and which of them goes when it is full.
 *
 * A table of places, entries in a region (mem/region.h), two queues. S3-FIFO (Yang et al., SOSP
 * 2023): what is new waits in a small queue, a tenth of the bytes; who is asked for again there, or
 * comes again soon after he went (the ghosts: tags alone), moves to the main one, which gives
 * another round to who was asked for meanwhile. A hit writes one byte, so readers need no lock of
 * their own; LRU moves entries at each hit and does. LRU and no-insert use the main queue alone.
 *
 * An entry is counted by references: the table has one, so has each who borrows it. Who leaves the
 * table while it is borrowed keeps its place and its bytes until it is given back.
 *
 * Lifetime: from init to fini, when nothing is borrowed any more.
 * Threads:  one at a time; find() of many beside each other, where the policy is not LRU. `refs`
 * and what lies behind it may be touched by borrowers at any time. Memory:
 * weft_cache_store_bytes(): one mapping, the caller's. Booked: pages, and bytes of entries.
 */
#ifndef WEFT_SERVE_CACHE_CACHE_STORE_H
#define WEFT_SERVE_CACHE_CACHE_STORE_H

#include <weft/cache.h>
#include "mem/region.h"

#define WEFT_CACHE_EVICTIONS_MAX 1024                /* for one insertion */
#define WEFT_CACHE_ENTRIES_LIMIT ((uint32_t)1 << 26) /* that entries_max may be */
#define WEFT_CACHE_NEVER         UINT64_MAX          /* no time: it does not expire */

struct weft_cache_limits {
    uint32_t entries_max;   /* 1..WEFT_CACHE_ENTRIES_LIMIT */
    size_t bytes_max;       /* WEFT_REGION_BYTES_MIN..WEFT_REGION_BYTES_MAX */
    size_t value_bytes_max; /* 1.. */
    enum weft_cache_policy policy;
};

struct weft_cache_entry {
    uint64_t expires_ms; /* in the caller's time; WEFT_CACHE_NEVER */
    uint64_t ttl_ms;     /* what it was given */
    uint64_t hash;       /* of its key */
    _Atomic uint32_t refs;
    uint32_t next, prev; /* in its queue: place + 1; next is the newer one */
    uint32_t value_bytes;
    uint16_t key_bytes;
    uint8_t queue;         /* 0: in none */
    _Atomic uint8_t asked; /* times since it was last looked at, 0..3 */
    char bytes[];          /* the key and right behind it the value */
};

#define WEFT_CACHE_ENTRY_HEAD_BYTES offsetof(struct weft_cache_entry, bytes)
_Static_assert(WEFT_CACHE_ENTRY_HEAD_BYTES == 44, "docs/cache.md says so");

struct weft_cache_queue {
    uint32_t newest, oldest; /* place + 1; 0: empty */
    uint32_t count;
    size_t bytes;
};

struct weft_cache_slot;
struct weft_cache_ghost;

struct weft_cache_store {
    struct weft_cache_limits limits;
    struct weft_region region;
    struct weft_cache_slot *slots; /* borrowed: of the mapping, as the next one */
    struct weft_cache_ghost *ghosts;
    uint32_t slot_mask, ghost_mask;
    uint32_t ghost_time; /* entries that became ghosts so far */
    uint32_t count;
    struct weft_cache_queue small, main;
    uint32_t sweep_at;
    uint64_t inserted, evicted, expired, refused;
    struct weft_account *account; /* borrowed */
    size_t table_bytes;
};

/** Bytes of address space; 0: limits are out of range. */
size_t weft_cache_store_bytes(const struct weft_cache_limits *limits);

/** memory   zeroed pages of weft_cache_store_bytes(), reserved by the caller */
void weft_cache_store_init(struct weft_cache_store *store, struct weft_account *account,
                           void *memory, const struct weft_cache_limits *limits);
void weft_cache_store_fini(struct weft_cache_store *store);

/** The entry of a key that has not expired.
 *  hash     of the key, with a key of its own (base/hash.h): as in all calls
 *  returns  borrowed: weft_cache_store_unref() gives it back; NULL: not there */
struct weft_cache_entry *weft_cache_store_find(struct weft_cache_store *store, uint64_t hash,
                                               weft_str key, uint64_t now_ms);

/** What a key that may have expired was given; 0: it is not known. */
uint64_t weft_cache_store_last_ttl(const struct weft_cache_store *store, uint64_t hash,
                                   weft_str key);

/** Room for an entry, in no queue and not found by anybody: fill in its value, then publish or
 *  unref it. Makes room by the policy. Where it cannot, the key's old entry goes all the same.
 *  out      borrowed: likewise
 *  returns  0; WEFT_ELIMIT: longer than value_bytes_max; WEFT_EFULL: there is no room, and none
 *           could be made */
WEFT_CHECK weft_rc weft_cache_store_reserve(struct weft_cache_store *store, uint64_t hash,
                                            weft_str key, size_t value_bytes, uint64_t now_ms,
                                            struct weft_cache_entry **out);

/** Have it found from now on, instead of an older one. Still borrowed by the caller.
 *  returns  0; WEFT_EFULL: entries_max are there and none may go */
WEFT_CHECK weft_rc weft_cache_store_publish(struct weft_cache_store *store,
                                            struct weft_cache_entry *entry, uint64_t ttl_ms,
                                            uint64_t now_ms);

/** Take the key out of the table. returns  was it there? */
bool weft_cache_store_remove(struct weft_cache_store *store, uint64_t hash, weft_str key);

/** One reference less. returns  false: it was the last one, and weft_cache_store_free() is due,
 *  which needs the store to itself */
static inline bool weft_cache_entry_unref(struct weft_cache_entry *entry)
{
    return atomic_fetch_sub_explicit(&entry->refs, 1, memory_order_acq_rel) != 1;
}

void weft_cache_store_free(struct weft_cache_store *store, struct weft_cache_entry *entry);

static inline void weft_cache_store_unref(struct weft_cache_store *store,
                                          struct weft_cache_entry *entry)
{
    if (!weft_cache_entry_unref(entry))
        weft_cache_store_free(store, entry);
}

/** Drop what has expired, so long ago that nobody asks for weft_cache_store_last_ttl(): as long as
 *  it was good. Looks at so many places of the table; the next call goes on from there.
 *  returns  entries dropped */
uint32_t weft_cache_store_sweep(struct weft_cache_store *store, uint64_t now_ms, uint32_t look);

/** Drop entries, by the policy or, where that drops none, the oldest; `count` steps.
 *  returns  entries dropped */
uint32_t weft_cache_store_shrink(struct weft_cache_store *store, uint64_t now_ms, uint32_t count);

static inline char *weft_cache_entry_value(struct weft_cache_entry *entry)
{
    return entry->bytes + entry->key_bytes;
}

#endif
