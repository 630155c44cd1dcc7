/* cache_store.c - see cache_store.h.
 *
 * Open addressing with linear probing, at most half full; a gap is closed at once, as in
 * mem/pmem.c. Ghosts are a table of one place per tag: a later one takes the place of an earlier,
 * and who is older than as many ghosts as entries may be there is none any more.
 */
#include "serve/cache/cache_store.h"
#include "base/rehearsal.h"

#define ASKED_MAX    3   /* as in the paper */
#define ASKED_MOVES  2   /* asked for so often in the small queue: to the main one */
#define SMALL_PARTS  10  /* the small queue has a tenth of the bytes */
#define EXPIRED_LOOK 256 /* places looked at for what has expired, where nothing else may go */

enum { QUEUE_NONE, QUEUE_SMALL, QUEUE_MAIN };

struct weft_cache_slot {
    uint32_t tag; /* the upper half of the hash; the lower one says where it belongs */
    uint32_t at;  /* place + 1; 0: empty */
};

struct weft_cache_ghost {
    uint32_t tag;
    uint32_t time; /* ghost_time when it became one; 0: never */
};

/* ---- sizes ---- */

static uint32_t power_for(uint32_t count)
{
    uint32_t power = 512; /* a page */
    while (power < count)
        power *= 2;
    return power;
}

static uint32_t slots_for(const struct weft_cache_limits *limits)
{
    return power_for(2 * limits->entries_max);
}

static uint32_t ghosts_for(const struct weft_cache_limits *limits)
{
    return limits->policy == WEFT_CACHE_S3_FIFO ? power_for(limits->entries_max) : 0;
}

size_t weft_cache_store_bytes(const struct weft_cache_limits *limits)
{
    if (limits->entries_max == 0 || limits->entries_max > WEFT_CACHE_ENTRIES_LIMIT)
        return 0;
    if (limits->bytes_max < WEFT_REGION_BYTES_MIN || limits->bytes_max > WEFT_REGION_BYTES_MAX)
        return 0;
    return slots_for(limits) * sizeof(struct weft_cache_slot) +
           ghosts_for(limits) * sizeof(struct weft_cache_ghost) +
           weft_region_bytes(limits->bytes_max);
}

void weft_cache_store_init(struct weft_cache_store *store, struct weft_account *account,
                           void *memory, const struct weft_cache_limits *limits)
{
    size_t slots = slots_for(limits) * sizeof(struct weft_cache_slot);
    size_t ghosts = ghosts_for(limits) * sizeof(struct weft_cache_ghost);
    char *at = memory;
    *store = (struct weft_cache_store){.limits = *limits, .account = account};
    store->slots = (struct weft_cache_slot *)(void *)at;
    store->ghosts = (struct weft_cache_ghost *)(void *)(at + slots);
    store->slot_mask = slots_for(limits) - 1;
    store->ghost_mask = ghosts_for(limits) - 1; /* unused where there are none */
    store->table_bytes = slots + ghosts;
    weft_account_commit(account, (ptrdiff_t)store->table_bytes); /* hashing touches all of it */
    weft_region_init(&store->region, account, at + slots + ghosts, limits->bytes_max);
}

void weft_cache_store_fini(struct weft_cache_store *store)
{
    weft_region_fini(&store->region);
    weft_account_commit(store->account, -(ptrdiff_t)store->table_bytes);
    *store = (struct weft_cache_store){0};
}

/* ---- places ---- */

static struct weft_cache_entry *entry_at(const struct weft_cache_store *store, uint32_t at)
{
    return weft_region_at(&store->region, at - 1);
}

static uint32_t at_of(const struct weft_cache_store *store, const struct weft_cache_entry *entry)
{
    return weft_region_place(&store->region, entry) + 1;
}

static uint32_t tag_of(uint64_t hash)
{
    return (uint32_t)(hash >> 32);
}

static uint32_t home_of(const struct weft_cache_store *store, uint64_t hash)
{
    return (uint32_t)hash & store->slot_mask;
}

static struct weft_cache_slot *slot_of(const struct weft_cache_store *store, uint64_t hash,
                                       weft_str key)
{
    uint32_t at = home_of(store, hash);
    for (; store->slots[at].at != 0; at = (at + 1) & store->slot_mask) {
        if (store->slots[at].tag != tag_of(hash))
            continue;
        const struct weft_cache_entry *entry = entry_at(store, store->slots[at].at);
        if (entry->key_bytes == key.len && memcmp(entry->bytes, key.ptr, key.len) == 0)
            return &store->slots[at];
    }
    return NULL;
}

static void slot_add(struct weft_cache_store *store, const struct weft_cache_entry *entry)
{
    uint32_t at = home_of(store, entry->hash);
    while (store->slots[at].at != 0)
        at = (at + 1) & store->slot_mask;
    store->slots[at] = (struct weft_cache_slot){tag_of(entry->hash), at_of(store, entry)};
}

/* Whoever could not be where it belongs, because of others before it, moves up. */
static void slot_drop(struct weft_cache_store *store, struct weft_cache_slot *slot)
{
    uint32_t mask = store->slot_mask, gap = (uint32_t)(slot - store->slots);
    for (uint32_t at = (gap + 1) & mask; store->slots[at].at != 0; at = (at + 1) & mask) {
        uint32_t home = home_of(store, entry_at(store, store->slots[at].at)->hash);
        if (((at - home) & mask) < ((at - gap) & mask))
            continue;
        store->slots[gap] = store->slots[at];
        gap = at;
    }
    store->slots[gap] = (struct weft_cache_slot){0};
}

/* ---- queues ---- */

static struct weft_cache_queue *queue_of(struct weft_cache_store *store,
                                         const struct weft_cache_entry *entry)
{
    return entry->queue == QUEUE_SMALL ? &store->small : &store->main;
}

static void queue_add(struct weft_cache_store *store, struct weft_cache_entry *entry, uint8_t which)
{
    entry->queue = which;
    struct weft_cache_queue *queue = queue_of(store, entry);
    uint32_t at = at_of(store, entry);
    entry->next = 0;
    entry->prev = queue->newest;
    if (queue->newest != 0)
        entry_at(store, queue->newest)->next = at;
    else
        queue->oldest = at;
    queue->newest = at;
    queue->count++;
    queue->bytes += weft_region_size(entry);
}

static void queue_drop(struct weft_cache_store *store, struct weft_cache_entry *entry)
{
    struct weft_cache_queue *queue = queue_of(store, entry);
    if (entry->next != 0)
        entry_at(store, entry->next)->prev = entry->prev;
    else
        queue->newest = entry->prev;
    if (entry->prev != 0)
        entry_at(store, entry->prev)->next = entry->next;
    else
        queue->oldest = entry->next;
    queue->count--;
    queue->bytes -= weft_region_size(entry);
    entry->queue = QUEUE_NONE;
}

static void move_up(struct weft_cache_store *store, struct weft_cache_entry *entry, uint8_t which)
{
    queue_drop(store, entry);
    queue_add(store, entry, which);
}

/* ---- ghosts ---- */

static void ghost_add(struct weft_cache_store *store, uint64_t hash)
{
    if (++store->ghost_time == 0)
        store->ghost_time = 1;
    store->ghosts[(uint32_t)hash & store->ghost_mask] =
        (struct weft_cache_ghost){tag_of(hash), store->ghost_time};
}

static bool is_ghost(const struct weft_cache_store *store, uint64_t hash)
{
    if (store->limits.policy != WEFT_CACHE_S3_FIFO)
        return false;
    const struct weft_cache_ghost *ghost = &store->ghosts[(uint32_t)hash & store->ghost_mask];
    return ghost->time != 0 && ghost->tag == tag_of(hash) &&
           store->ghost_time - ghost->time < store->limits.entries_max;
}

/* ---- out of the table ---- */

void weft_cache_store_free(struct weft_cache_store *store, struct weft_cache_entry *entry)
{
    weft_assert(entry->queue == QUEUE_NONE);
    weft_region_put(&store->region, entry);
}

static void unlink_slot(struct weft_cache_store *store, struct weft_cache_slot *slot)
{
    struct weft_cache_entry *entry = entry_at(store, slot->at);
    slot_drop(store, slot);
    queue_drop(store, entry);
    store->count--;
    weft_cache_store_unref(store, entry);
}

static weft_str key_of(const struct weft_cache_entry *entry)
{
    return (weft_str){entry->bytes, entry->key_bytes};
}

static void unlink_entry(struct weft_cache_store *store, const struct weft_cache_entry *entry)
{
    struct weft_cache_slot *slot = slot_of(store, entry->hash, key_of(entry));
    weft_assert(slot != NULL);
    unlink_slot(store, slot);
}

static bool is_expired(const struct weft_cache_entry *entry, uint64_t now_ms)
{
    return entry->expires_ms <= now_ms;
}

bool weft_cache_store_remove(struct weft_cache_store *store, uint64_t hash, weft_str key)
{
    struct weft_cache_slot *slot = slot_of(store, hash, key);
    if (slot != NULL)
        unlink_slot(store, slot);
    return slot != NULL;
}

/* for_good: only what has been too old for as long as it was good. */
static uint32_t sweep(struct weft_cache_store *store, uint64_t now_ms, uint32_t look, bool for_good)
{
    uint32_t dropped = 0;
    for (uint32_t i = 0; i < look && i <= store->slot_mask; i++) {
        struct weft_cache_slot *slot = &store->slots[store->sweep_at & store->slot_mask];
        const struct weft_cache_entry *entry = slot->at != 0 ? entry_at(store, slot->at) : NULL;
        if (entry != NULL && is_expired(entry, now_ms) &&
            (!for_good || now_ms - entry->expires_ms >= entry->ttl_ms)) {
            unlink_slot(store, slot); /* another may have moved here: look again */
            dropped++;
        } else {
            store->sweep_at++;
        }
    }
    store->expired += dropped;
    return dropped;
}

uint32_t weft_cache_store_sweep(struct weft_cache_store *store, uint64_t now_ms, uint32_t look)
{
    return sweep(store, now_ms, look, true);
}

/* ---- who goes ---- */

static bool is_borrowed(const struct weft_cache_entry *entry)
{
    return atomic_load_explicit(&entry->refs, memory_order_relaxed) > 1;
}

static void evict(struct weft_cache_store *store, struct weft_cache_entry *entry, uint64_t now_ms)
{
    if (is_expired(entry, now_ms))
        store->expired++;
    else
        store->evicted++;
    unlink_entry(store, entry);
}

static void step_small(struct weft_cache_store *store, uint64_t now_ms)
{
    struct weft_cache_entry *entry = entry_at(store, store->small.oldest);
    bool stays = is_borrowed(entry) ||
                 atomic_load_explicit(&entry->asked, memory_order_relaxed) >= ASKED_MOVES;
    if (stays && !is_expired(entry, now_ms)) {
        atomic_store_explicit(&entry->asked, 0, memory_order_relaxed);
        move_up(store, entry, QUEUE_MAIN);
        return;
    }
    ghost_add(store, entry->hash);
    evict(store, entry, now_ms);
}

static void step_main(struct weft_cache_store *store, uint64_t now_ms)
{
    struct weft_cache_entry *entry = entry_at(store, store->main.oldest);
    uint8_t asked = atomic_load_explicit(&entry->asked, memory_order_relaxed);
    bool stays = is_borrowed(entry) || asked > 0;
    if (!stays || is_expired(entry, now_ms)) {
        evict(store, entry, now_ms);
        return;
    }
    if (asked > 0)
        atomic_store_explicit(&entry->asked, (uint8_t)(asked - 1), memory_order_relaxed);
    move_up(store, entry, QUEUE_MAIN);
}

static void step(struct weft_cache_store *store, uint64_t now_ms)
{
    size_t bytes = store->small.bytes + store->main.bytes;
    bool small = store->small.count > 0 &&
                 (store->main.count == 0 || store->small.bytes > bytes / SMALL_PARTS);
    if (small)
        step_small(store, now_ms);
    else
        step_main(store, now_ms);
}

uint32_t weft_cache_store_shrink(struct weft_cache_store *store, uint64_t now_ms, uint32_t count)
{
    uint32_t before = store->count;
    for (uint32_t i = 0; i < count && store->count > 0; i++)
        step(store, now_ms);
    return before - store->count;
}

/* One step towards more room: an entry goes, or gets another round. returns  false: nobody may go
 */
static bool make_room(struct weft_cache_store *store, uint64_t now_ms)
{
    if (store->count == 0)
        return false;
    if (store->limits.policy == WEFT_CACHE_NO_INSERT)
        return sweep(store, now_ms, EXPIRED_LOOK, false) > 0;
    step(store, now_ms);
    return true;
}

/* ---- looking up and adding ---- */

/* Readers beside each other: what they write may be lost, and that is all. */
static void note_hit(struct weft_cache_store *store, struct weft_cache_entry *entry)
{
    if (store->limits.policy == WEFT_CACHE_LRU) {
        if (entry->next != 0)
            move_up(store, entry, QUEUE_MAIN);
        return;
    }
    uint8_t asked = atomic_load_explicit(&entry->asked, memory_order_relaxed);
    if (asked < ASKED_MAX)
        atomic_store_explicit(&entry->asked, (uint8_t)(asked + 1), memory_order_relaxed);
}

struct weft_cache_entry *weft_cache_store_find(struct weft_cache_store *store, uint64_t hash,
                                               weft_str key, uint64_t now_ms)
{
    const struct weft_cache_slot *slot = slot_of(store, hash, key);
    if (slot == NULL)
        return NULL;
    struct weft_cache_entry *entry = entry_at(store, slot->at);
    if (is_expired(entry, now_ms))
        return NULL;
    note_hit(store, entry);
    atomic_fetch_add_explicit(&entry->refs, 1, memory_order_relaxed);
    return entry;
}

uint64_t weft_cache_store_last_ttl(const struct weft_cache_store *store, uint64_t hash,
                                   weft_str key)
{
    const struct weft_cache_slot *slot = slot_of(store, hash, key);
    return slot == NULL ? 0 : entry_at(store, slot->at)->ttl_ms;
}

/* An entry more may only be where there is room for one; who replaces takes nobody's. */
static bool has_place(struct weft_cache_store *store, uint64_t hash, weft_str key, uint64_t now_ms)
{
    if (store->count < store->limits.entries_max)
        return true;
    if (slot_of(store, hash, key) != NULL)
        return true;
    for (int i = 0; i < WEFT_CACHE_EVICTIONS_MAX && make_room(store, now_ms); i++)
        if (store->count < store->limits.entries_max)
            return true;
    return false;
}

static struct weft_cache_entry *take(struct weft_cache_store *store, size_t bytes, uint64_t now_ms)
{
    if (weft_fail_point("cache"))
        return NULL;
    struct weft_cache_entry *entry = weft_region_take(&store->region, bytes);
    for (int i = 0; entry == NULL && i < WEFT_CACHE_EVICTIONS_MAX; i++) {
        if (!make_room(store, now_ms))
            return NULL;
        entry = weft_region_take(&store->region, bytes);
    }
    return entry;
}

weft_rc weft_cache_store_reserve(struct weft_cache_store *store, uint64_t hash, weft_str key,
                                 size_t value_bytes, uint64_t now_ms, struct weft_cache_entry **out)
{
    weft_assert(key.len > 0);
    weft_assert(key.len <= WEFT_CACHE_KEY_BYTES_MAX);
    bool fits = value_bytes <= store->limits.value_bytes_max && value_bytes <= UINT32_MAX;
    size_t bytes = WEFT_CACHE_ENTRY_HEAD_BYTES + key.len + value_bytes;
    struct weft_cache_entry *entry = NULL;
    if (fits && has_place(store, hash, key, now_ms))
        entry = take(store, bytes, now_ms);
    if (entry == NULL && weft_cache_store_remove(store, hash, key) && fits)
        entry = take(store, bytes, now_ms);
    if (entry == NULL) {
        store->refused++;
        return fits ? WEFT_EFULL : WEFT_ELIMIT;
    }
    entry->hash = hash;
    atomic_init(&entry->refs, 1);
    atomic_init(&entry->asked, 0);
    entry->queue = QUEUE_NONE;
    entry->key_bytes = (uint16_t)key.len;
    entry->value_bytes = (uint32_t)value_bytes;
    memcpy(entry->bytes, key.ptr, key.len);
    *out = entry;
    return 0;
}

weft_rc weft_cache_store_publish(struct weft_cache_store *store, struct weft_cache_entry *entry,
                                 uint64_t ttl_ms, uint64_t now_ms)
{
    weft_str key = key_of(entry);
    if (!has_place(store, entry->hash, key, now_ms)) {
        store->refused++;
        return WEFT_EFULL;
    }
    struct weft_cache_slot *old = slot_of(store, entry->hash, key);
    bool known = is_ghost(store, entry->hash);
    if (old != NULL) {
        known |= entry_at(store, old->at)->queue == QUEUE_MAIN;
        unlink_slot(store, old);
    }
    entry->ttl_ms = ttl_ms;
    entry->expires_ms = ttl_ms >= WEFT_CACHE_NEVER - now_ms ? WEFT_CACHE_NEVER : now_ms + ttl_ms;
    bool small = store->limits.policy == WEFT_CACHE_S3_FIFO && !known;
    queue_add(store, entry, small ? QUEUE_SMALL : QUEUE_MAIN);
    slot_add(store, entry);
    store->count++;
    store->inserted++;
    atomic_fetch_add_explicit(&entry->refs, 1, memory_order_relaxed);
    return 0;
}
