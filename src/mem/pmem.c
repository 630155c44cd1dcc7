/* pmem.c - a log of records in segments; see pmem.h.
 *
 *     page 0    header, written once, before the file has its name
 *     then      16 segments of equal size, each a row of records from its start
 *     record    commit | dead | sequence | expiry | lengths | key | value, padded to 8
 *
 * What a crash may do: every aligned word that was stored since its line was last flushed and
 * fenced may be there or not, each by itself. Four rules make that harmless:
 *
 *  1. A row ends at the first commit word that is zero. A record is written where such a word
 *     stands, together with the zero word behind it, and all that is flushed and fenced before its
 *     commit word is set: one aligned word, which makes the record appear whole. The commit word is
 *     the checksum of the record, so damage is seen too; what a row's end hides is never looked at.
 *  2. A record goes by its `dead` word, which no checksum covers, set in place. So there are no
 *     tombstones to keep and no old value to come back: a put that replaces one marks it dead, and
 *     has that flushed, before it returns. A crash in between leaves two records of a key: the one
 *     with the higher sequence counts, and opening marks the other.
 *  3. A segment is emptied by copying what is live in it to a free one as a batch: all is written
 *     and flushed, then the first copy's commit word makes the whole batch appear. Then the
 *     emptied segment's first word is set to zero: it is free. A crash in between leaves each
 *     record twice with one sequence; the copy in the lower segment stays, so one of the two
 *     segments has nothing live and is freed.
 *  4. One segment is always free for that. Live bytes are limited to (16 - 2) * (S - R) with S a
 *     segment's and R the largest record's bytes: when the other 15 are full, the one with the
 *     fewest live bytes has at most 14/15 * (S - R) of them, so emptying it makes room for any
 *     record. No put cleans more than once.
 */
#include "mem/pmem.h"
#include "mem/pmem_priv.h"
#include "base/str.h"

#define RECORD_ALIGN ((size_t)8)

struct record {
    uint64_t commit; /* checksum of all but itself and dead, never 0; 0: the row ends here */
    uint64_t dead;   /* not 0: deleted or replaced */
    uint64_t sequence;
    uint64_t expiry;
    uint32_t key_bytes;
    uint32_t value_bytes;
    char bytes[]; /* the key and right behind it the value */
};
_Static_assert(sizeof(struct record) == WEFT_PMEM_RECORD_HEAD_BYTES, "the file's format");

/* ---- sums and sizes ---- */

uint64_t weft_pmem_sum_bytes(uint64_t state, const char *bytes, size_t len)
{
    uint64_t word = 0;
    for (; len >= sizeof(word); bytes += sizeof(word), len -= sizeof(word)) {
        memcpy(&word, bytes, sizeof(word));
        state = weft_pmem_mix(state, word);
    }
    word = 0;
    memcpy(&word, bytes, len);
    return weft_pmem_mix(state, word);
}

static uint64_t sum_record(const struct record *record, const char *key, const char *value)
{
    uint64_t state =
        weft_pmem_mix(weft_pmem_mix(WEFT_PMEM_MAGIC, record->sequence), record->expiry);
    state = weft_pmem_mix(state, ((uint64_t)record->key_bytes << 32) | record->value_bytes);
    state = weft_pmem_sum_bytes(state, key, record->key_bytes);
    state = weft_pmem_sum_bytes(state, value, record->value_bytes);
    return state == 0 ? 1 : state;
}

static size_t record_size(size_t key_bytes, size_t value_bytes)
{
    return WEFT_ALIGN_UP(sizeof(struct record) + key_bytes + value_bytes, RECORD_ALIGN);
}

static size_t size_of(const struct record *record)
{
    return record_size(record->key_bytes, record->value_bytes);
}

/* ---- places ---- */

static struct record *record_at(const struct weft_pmem *store, uint32_t at)
{
    return (struct record *)(void *)(store->base + (size_t)at * RECORD_ALIGN);
}

static uint32_t place_of(const struct weft_pmem *store, const struct record *record)
{
    return (uint32_t)((size_t)((const char *)record - store->base) / RECORD_ALIGN);
}

static char *segment_base(const struct weft_pmem *store, uint32_t segment)
{
    return store->base + WEFT_PAGE_BYTES + segment * store->segment_bytes;
}

static uint32_t segment_of(const struct weft_pmem *store, const struct record *record)
{
    size_t offset = (size_t)((const char *)record - store->base) - WEFT_PAGE_BYTES;
    return (uint32_t)(offset / store->segment_bytes);
}

/* The record at an offset of a segment; NULL: the row ends there. */
static struct record *row_at(const struct weft_pmem *store, uint32_t segment, size_t offset)
{
    if (store->segment_bytes - offset < sizeof(struct record))
        return NULL;
    struct record *record = (struct record *)(void *)(segment_base(store, segment) + offset);
    return record->commit == 0 ? NULL : record;
}

static bool is_whole(const struct weft_pmem *store, const struct record *record, size_t room)
{
    uint64_t bytes = (uint64_t)record->key_bytes + record->value_bytes;
    if (record->key_bytes == 0 || bytes > store->record_bytes_max)
        return false;
    if (size_of(record) > room || size_of(record) > store->record_bytes_max)
        return false;
    return sum_record(record, record->bytes, record->bytes + record->key_bytes) == record->commit;
}

static bool is_free(const struct weft_pmem_segment *segment)
{
    return segment->used == 0 && !segment->damaged;
}

static uint32_t free_segments(const struct weft_pmem *store)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < WEFT_PMEM_SEGMENTS; i++)
        count += is_free(&store->segments[i]);
    return count;
}

/* A free segment; one must be there. */
static uint32_t pick_free(const struct weft_pmem *store)
{
    uint32_t segment = 0;
    while (segment < WEFT_PMEM_SEGMENTS && !is_free(&store->segments[segment]))
        segment++;
    weft_assert(segment < WEFT_PMEM_SEGMENTS);
    return segment;
}

/* ---- the index ---- */

static uint32_t tag_of(const struct weft_pmem *store, const char *key, size_t len)
{
    return (uint32_t)(weft_hash(&store->hash_key, weft_str_make(key, len)) >> 32);
}

static uint32_t next_slot(const struct weft_pmem *store, uint32_t slot)
{
    return (slot + 1) & (store->slot_count - 1);
}

static struct weft_pmem_slot *find(const struct weft_pmem *store, const char *key, size_t len)
{
    uint32_t tag = tag_of(store, key, len);
    uint32_t slot = tag & (store->slot_count - 1);
    for (; store->slots[slot].at != 0; slot = next_slot(store, slot)) {
        const struct record *record = record_at(store, store->slots[slot].at);
        if (store->slots[slot].tag == tag && record->key_bytes == len &&
            memcmp(record->bytes, key, len) == 0)
            return &store->slots[slot];
    }
    return NULL;
}

static void book(struct weft_pmem *store, const struct record *record, int sign)
{
    size_t size = size_of(record) * (size_t)sign;
    struct weft_pmem_segment *segment = &store->segments[segment_of(store, record)];
    segment->live += size;
    segment->records += (uint32_t)sign;
    store->live += size;
}

static void index_add(struct weft_pmem *store, const struct record *record)
{
    uint32_t tag = tag_of(store, record->bytes, record->key_bytes);
    uint32_t slot = tag & (store->slot_count - 1);
    while (store->slots[slot].at != 0)
        slot = next_slot(store, slot);
    store->slots[slot] = (struct weft_pmem_slot){tag, place_of(store, record)};
    store->record_count++;
    weft_account_use(store->account, sizeof(struct weft_pmem_slot));
    book(store, record, 1);
}

/* Close the gap: whoever could not be where it belongs, because of others before it, moves up. */
static void close_gap(struct weft_pmem *store, uint32_t gap)
{
    uint32_t mask = store->slot_count - 1;
    for (uint32_t slot = next_slot(store, gap); store->slots[slot].at != 0;
         slot = next_slot(store, slot)) {
        uint32_t home = store->slots[slot].tag & mask;
        if (((slot - home) & mask) < ((slot - gap) & mask))
            continue;
        store->slots[gap] = store->slots[slot];
        gap = slot;
    }
    store->slots[gap] = (struct weft_pmem_slot){0};
}

static void index_drop(struct weft_pmem *store, struct weft_pmem_slot *slot)
{
    book(store, record_at(store, slot->at), -1);
    close_gap(store, (uint32_t)(slot - store->slots));
    store->record_count--;
    weft_account_unuse(store->account, sizeof(struct weft_pmem_slot));
}

/* Another record takes the place of the one that a slot names. */
static void index_move(struct weft_pmem *store, struct weft_pmem_slot *slot,
                       const struct record *record)
{
    book(store, record_at(store, slot->at), -1);
    slot->at = place_of(store, record);
    book(store, record, 1);
}

/* ---- writing ---- */

/* After a write that failed nobody knows what is durable and what is not: stop there. */
static weft_rc failed(struct weft_pmem *store, weft_rc rc)
{
    if (rc < 0)
        store->failed = rc;
    return rc;
}

static weft_rc flush(struct weft_pmem *store, const void *at, size_t bytes)
{
    return failed(store, store->ops->flush(store->ops_context, at, bytes));
}

static weft_rc fence(struct weft_pmem *store)
{
    return failed(store, store->ops->fence(store->ops_context));
}

static weft_rc set_word(struct weft_pmem *store, uint64_t *word, uint64_t value)
{
    store->ops->store_word(store->ops_context, word, value);
    return flush(store, word, sizeof(*word));
}

static weft_rc set_word_durably(struct weft_pmem *store, uint64_t *word, uint64_t value)
{
    WEFT_TRY(set_word(store, word, value));
    return fence(store);
}

/* Free the segments without a live record. What made their records dead is durable. */
static weft_rc free_empty(struct weft_pmem *store)
{
    for (uint32_t i = 0; i < WEFT_PMEM_SEGMENTS; i++) {
        struct weft_pmem_segment *segment = &store->segments[i];
        if (is_free(segment) || segment->records != 0 || i == store->active)
            continue;
        WEFT_TRY(set_word_durably(store, (uint64_t *)(void *)segment_base(store, i), 0));
        *segment = (struct weft_pmem_segment){0};
    }
    return 0;
}

/* The zero word that ends a row, where it does not reach the segment's end. Returns the bytes that
 * are written so far. */
static size_t end_row(struct weft_pmem *store, uint32_t segment, size_t offset)
{
    const uint64_t zero = 0;
    if (store->segment_bytes - offset < sizeof(zero))
        return offset;
    store->ops->store(store->ops_context, segment_base(store, segment) + offset, &zero,
                      sizeof(zero));
    return offset + sizeof(zero);
}

/* Rule 1. *head has everything but the commit word. */
static weft_rc append(struct weft_pmem *store, struct record *head, weft_str key, weft_str value,
                      struct record **out)
{
    const struct weft_pmem_ops *ops = store->ops;
    struct weft_pmem_segment *segment = &store->segments[store->active];
    size_t offset = segment->used, size = size_of(head);
    char *to = segment_base(store, store->active) + offset;
    struct record *record = (struct record *)(void *)to;

    ops->store(store->ops_context, to, head, sizeof(*head));
    ops->store(store->ops_context, record->bytes, key.ptr, key.len);
    if (value.len > 0)
        ops->store(store->ops_context, record->bytes + key.len, value.ptr, value.len);
    size_t end = end_row(store, store->active, offset + size);
    WEFT_TRY(flush(store, to, end - offset));
    WEFT_TRY(fence(store));
    WEFT_TRY(set_word_durably(store, &record->commit, sum_record(head, key.ptr, value.ptr)));
    segment->used += size;
    *out = record;
    return 0;
}

/* ---- making room ---- */

static weft_rc mark_dead(struct weft_pmem *store, struct record *record)
{
    return set_word(store, &record->dead, 1);
}

static bool has_expired(const struct record *record, uint64_t now)
{
    return record->expiry != 0 && record->expiry <= now;
}

/* The next record of a row that is not dead, from *at on, which moves behind it; NULL: no more. */
static struct record *next_live(const struct weft_pmem *store, uint32_t segment, size_t *at)
{
    while (*at < store->segments[segment].used) {
        struct record *record = row_at(store, segment, *at);
        weft_assert(record != NULL); /* the row was walked when it was opened, or written by us */
        *at += size_of(record);
        if (record->dead == 0)
            return record;
    }
    return NULL;
}

/* The one with the most dead bytes. */
static uint32_t pick_victim(const struct weft_pmem *store)
{
    uint32_t victim = WEFT_PMEM_SEGMENTS;
    for (uint32_t i = 0; i < WEFT_PMEM_SEGMENTS; i++) {
        if (is_free(&store->segments[i]))
            continue;
        if (victim == WEFT_PMEM_SEGMENTS || store->segments[i].live < store->segments[victim].live)
            victim = i;
    }
    weft_assert(victim < WEFT_PMEM_SEGMENTS);
    return victim;
}

/* Marked, and not only left behind: else a crash before the segment is free finds them live. */
static weft_rc drop_expired(struct weft_pmem *store, uint32_t segment, uint64_t now)
{
    struct record *record;
    for (size_t at = 0; (record = next_live(store, segment, &at)) != NULL;) {
        if (!has_expired(record, now))
            continue;
        struct weft_pmem_slot *slot = find(store, record->bytes, record->key_bytes);
        weft_assert(slot != NULL);
        WEFT_TRY(mark_dead(store, record));
        index_drop(store, slot);
    }
    return fence(store);
}

/* Copies what is live to the start of a free segment; its first commit word stays zero. */
static weft_rc copy_live(struct weft_pmem *store, uint32_t from, uint32_t to, size_t *out_bytes,
                         uint64_t *out_commit)
{
    size_t end = 0;
    const struct record *record;
    for (size_t at = 0; (record = next_live(store, from, &at)) != NULL;) {
        size_t size = size_of(record);
        size_t left_out = end == 0 ? sizeof(record->commit) : 0;
        if (end == 0)
            *out_commit = record->commit;
        store->ops->store(store->ops_context, segment_base(store, to) + end + left_out,
                          (const char *)record + left_out, size - left_out);
        end += size;
    }
    *out_bytes = end;
    if (end == 0)
        return 0;
    WEFT_TRY(flush(store, segment_base(store, to), end_row(store, to, end)));
    return fence(store);
}

/* The copies are durable: the index follows them. */
static void index_follow(struct weft_pmem *store, uint32_t from, uint32_t to)
{
    size_t end = 0;
    const struct record *record;
    for (size_t at = 0; (record = next_live(store, from, &at)) != NULL;) {
        struct weft_pmem_slot *slot = find(store, record->bytes, record->key_bytes);
        weft_assert(slot != NULL);
        index_move(store, slot, (struct record *)(void *)(segment_base(store, to) + end));
        end += size_of(record);
    }
}

/* Rule 3: afterwards the segment with the fewest live bytes is free, and its records are where
 * records are appended to. */
static weft_rc clean(struct weft_pmem *store, uint64_t now)
{
    uint32_t from = pick_victim(store), to = pick_free(store);
    size_t bytes = 0;
    uint64_t commit = 0;
    WEFT_TRY(drop_expired(store, from, now));
    WEFT_TRY(copy_live(store, from, to, &bytes, &commit));
    if (bytes > 0)
        WEFT_TRY(set_word_durably(store, (uint64_t *)(void *)segment_base(store, to), commit));
    store->segments[to].used = bytes;
    index_follow(store, from, to);
    store->active = to;
    store->cleaned++;
    store->moved_bytes += bytes;
    return free_empty(store);
}

static bool has_room(const struct weft_pmem *store, size_t bytes)
{
    return store->active < WEFT_PMEM_SEGMENTS && !store->segments[store->active].damaged &&
           store->segment_bytes - store->segments[store->active].used >= bytes;
}

static weft_rc make_room(struct weft_pmem *store, size_t bytes, uint64_t now)
{
    if (has_room(store, bytes))
        return 0;
    uint32_t full = store->active;
    store->active = WEFT_PMEM_SEGMENTS;
    if (full < WEFT_PMEM_SEGMENTS && store->segments[full].records == 0)
        WEFT_TRY(free_empty(store));
    uint32_t free = free_segments(store);
    if (free == 0)
        return WEFT_EFULL; /* only after damage: deletes free a segment again */
    if (free > 1)
        store->active = pick_free(store);
    else
        WEFT_TRY(clean(store, now));
    return has_room(store, bytes) ? 0 : WEFT_EFULL;
}

/* ---- what callers see ---- */

/* The record is committed: it takes the key, and the one before it goes. */
static weft_rc take_over(struct weft_pmem *store, const struct record *record)
{
    struct weft_pmem_slot *slot = find(store, record->bytes, record->key_bytes);
    if (slot == NULL) {
        index_add(store, record);
        return 0;
    }
    struct record *older = record_at(store, slot->at);
    index_move(store, slot, record);
    WEFT_TRY(mark_dead(store, older));
    WEFT_TRY(fence(store));
    return free_empty(store);
}

static weft_rc admit(struct weft_pmem *store, weft_str key, size_t size)
{
    const struct weft_pmem_slot *slot = find(store, key.ptr, key.len);
    size_t replaced = slot == NULL ? 0 : size_of(record_at(store, slot->at));
    if (store->live - replaced + size <= store->live_max &&
        (slot != NULL || store->record_count < store->record_count_max))
        return 0;
    weft_account_refuse(store->account);
    return WEFT_EFULL;
}

weft_rc weft_pmem_put(struct weft_pmem *store, weft_str key, weft_str value, uint64_t expiry,
                      uint64_t now)
{
    weft_assert(key.len > 0);
    WEFT_TRY(store->failed);
    if (key.len > store->record_bytes_max || value.len > store->record_bytes_max)
        return WEFT_ELIMIT;
    struct record head = {.expiry = expiry,
                          .sequence = store->sequence_next,
                          .key_bytes = (uint32_t)key.len,
                          .value_bytes = (uint32_t)value.len};
    size_t size = size_of(&head);
    if (size > store->record_bytes_max)
        return WEFT_ELIMIT;
    WEFT_TRY(admit(store, key, size));
    WEFT_TRY(make_room(store, size, now));
    struct record *record = NULL;
    WEFT_TRY(append(store, &head, key, value, &record));
    store->sequence_next++;
    return take_over(store, record);
}

static void describe(const struct record *record, struct weft_pmem_record *out)
{
    out->key = weft_str_make(record->bytes, record->key_bytes);
    out->value = weft_str_make(record->bytes + record->key_bytes, record->value_bytes);
    out->expiry = record->expiry;
    out->sequence = record->sequence;
}

bool weft_pmem_get(const struct weft_pmem *store, weft_str key, uint64_t now,
                   struct weft_pmem_record *out)
{
    const struct weft_pmem_slot *slot = find(store, key.ptr, key.len);
    if (slot == NULL || has_expired(record_at(store, slot->at), now))
        return false;
    describe(record_at(store, slot->at), out);
    return true;
}

weft_rc weft_pmem_delete(struct weft_pmem *store, weft_str key)
{
    WEFT_TRY(store->failed);
    struct weft_pmem_slot *slot = find(store, key.ptr, key.len);
    if (slot == NULL)
        return WEFT_ENOTFOUND;
    WEFT_TRY(mark_dead(store, record_at(store, slot->at)));
    WEFT_TRY(fence(store));
    index_drop(store, slot);
    return free_empty(store);
}

weft_rc weft_pmem_sweep(struct weft_pmem *store, uint64_t now, uint32_t look, uint32_t *out_removed)
{
    WEFT_TRY(store->failed);
    uint32_t removed = 0;
    for (uint32_t i = 0; i < look; i++) {
        struct weft_pmem_slot *slot = &store->slots[store->sweep_at];
        if (slot->at == 0 || !has_expired(record_at(store, slot->at), now)) {
            store->sweep_at = next_slot(store, store->sweep_at);
            continue;
        }
        WEFT_TRY(mark_dead(store, record_at(store, slot->at)));
        index_drop(store, slot); /* another may have moved to this place: look again */
        removed++;
    }
    if (removed > 0) {
        WEFT_TRY(fence(store));
        WEFT_TRY(free_empty(store));
    }
    *out_removed = removed;
    return 0;
}

/* The segment whose first record was put first; WEFT_PMEM_SEGMENTS: there is none. */
static uint32_t pick_oldest(const struct weft_pmem *store)
{
    uint32_t oldest = WEFT_PMEM_SEGMENTS;
    uint64_t sequence = UINT64_MAX;
    for (uint32_t i = 0; i < WEFT_PMEM_SEGMENTS; i++) {
        size_t at = 0;
        if (store->segments[i].records == 0)
            continue;
        const struct record *first = next_live(store, i, &at);
        if (first == NULL || first->sequence >= sequence)
            continue;
        oldest = i;
        sequence = first->sequence;
    }
    return oldest;
}

weft_rc weft_pmem_drop_oldest(struct weft_pmem *store, uint32_t count, uint32_t *out_removed)
{
    WEFT_TRY(store->failed);
    uint32_t removed = 0, segment = WEFT_PMEM_SEGMENTS;
    while (removed < count && (segment = pick_oldest(store)) < WEFT_PMEM_SEGMENTS) {
        struct record *record;
        for (size_t at = 0; removed < count && (record = next_live(store, segment, &at)) != NULL;
             removed++) {
            struct weft_pmem_slot *slot = find(store, record->bytes, record->key_bytes);
            weft_assert(slot != NULL);
            WEFT_TRY(mark_dead(store, record));
            index_drop(store, slot);
        }
    }
    *out_removed = removed;
    if (removed == 0)
        return 0;
    WEFT_TRY(fence(store));
    return free_empty(store);
}

void weft_pmem_each(const struct weft_pmem *store,
                    void (*fn)(void *context, const struct weft_pmem_record *record), void *context)
{
    for (uint32_t slot = 0; slot < store->slot_count; slot++) {
        if (store->slots[slot].at == 0)
            continue;
        struct weft_pmem_record record;
        describe(record_at(store, store->slots[slot].at), &record);
        fn(context, &record);
    }
}

/* ---- opening ---- */

/* A record that its row shows. Rules 2 and 3: of two with one key, one goes. */
static weft_rc recover_record(struct weft_pmem *store, struct record *record)
{
    store->sequence_next = WEFT_MAX(store->sequence_next, record->sequence + 1);
    if (record->dead != 0)
        return 0;
    struct weft_pmem_slot *slot = find(store, record->bytes, record->key_bytes);
    if (slot == NULL) {
        if (store->record_count == store->record_count_max)
            return WEFT_EFULL;
        index_add(store, record);
        return 0;
    }
    struct record *other = record_at(store, slot->at); /* in this segment or a lower one */
    if (record->sequence > other->sequence) {
        index_move(store, slot, record);
        return mark_dead(store, other);
    }
    return mark_dead(store, record);
}

static weft_rc recover_row(struct weft_pmem *store, uint32_t segment)
{
    size_t offset = 0;
    for (;;) {
        struct record *record = row_at(store, segment, offset);
        if (record == NULL)
            break;
        if (!is_whole(store, record, store->segment_bytes - offset)) {
            store->damaged++;
            store->segments[segment].damaged = true;
            break;
        }
        WEFT_TRY(recover_record(store, record));
        offset += size_of(record);
    }
    store->segments[segment].used = offset;
    return 0;
}

/* Go on where most room is left. */
static void pick_active(struct weft_pmem *store)
{
    store->active = WEFT_PMEM_SEGMENTS;
    for (uint32_t i = 0; i < WEFT_PMEM_SEGMENTS; i++) {
        const struct weft_pmem_segment *segment = &store->segments[i];
        if (segment->used == 0 || segment->damaged)
            continue;
        if (store->active == WEFT_PMEM_SEGMENTS ||
            segment->used < store->segments[store->active].used)
            store->active = i;
    }
}

weft_rc weft_pmem_recover(struct weft_pmem *store)
{
    store->active = WEFT_PMEM_SEGMENTS;
    store->sequence_next = 1;
    for (uint32_t i = 0; i < WEFT_PMEM_SEGMENTS; i++)
        WEFT_TRY(recover_row(store, i));
    WEFT_TRY(fence(store));
    WEFT_TRY(free_empty(store));
    pick_active(store);
    return 0;
}
