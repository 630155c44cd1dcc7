/* arena.c - see arena.h.
 *
 * Chunk sizes step by 4, from 4 KiB to 1 MiB: a request that outgrows a size takes the next one
 * rather than many of the same, so a chain stays short; and a step is small enough that an arena
 * which holds 4 KiB of its 64 still gets 16 KiB in one piece. Every class reserves address space
 * for the whole share, because any mix of sizes may fill it; the share itself bounds what is
 * touched.
 */
#include "mem/arena.h"

static const size_t chunk_bytes[WEFT_CHUNK_CLASSES] = {4u << 10, 16u << 10, 64u << 10, 256u << 10,
                                                       1u << 20};

struct weft_arena_chunk {
    struct weft_arena_chunk *older;
    uint32_t index; /* in its pool */
    uint32_t class;
};

/* Of the share: what malloc may keep unused without being asked for it. */
#define CROWDED_MUL 3
#define CROWDED_DIV 4

#define HEADER_BYTES WEFT_ALIGN_UP(sizeof(struct weft_arena_chunk), (size_t)16)

static size_t class_count(size_t elastic, size_t class)
{
    return WEFT_MAX(elastic / chunk_bytes[class], (size_t)1);
}

size_t weft_chunks_bytes(size_t elastic)
{
    size_t bytes = elastic;
    for (size_t i = 0; i < WEFT_CHUNK_CLASSES;
         i++) { /* what lies beside the chunks of each class */
        size_t count = class_count(elastic, i);
        bytes += weft_pool_bytes(chunk_bytes[i], count) - count * chunk_bytes[i];
    }
    return bytes;
}

/* The classes overlap: each maps the whole share, together they may touch it once. */
weft_rc weft_chunks_init(struct weft_chunks *chunks, struct weft_account *account, size_t elastic)
{
    WEFT_TRY(weft_account_reserve(account, weft_chunks_bytes(elastic)));
    *chunks = (struct weft_chunks){.elastic = elastic, .account = account};
    weft_rc rc = 0;
    for (size_t i = 0; i < WEFT_CHUNK_CLASSES && rc == 0; i++)
        rc = weft_pool_init_within(&chunks->pools[i], account, chunk_bytes[i],
                                   class_count(elastic, i));
    account->unit_bytes = 0; /* slots of several sizes */
    if (rc != 0)
        weft_chunks_fini(chunks);
    return rc;
}

void weft_chunks_fini(struct weft_chunks *chunks)
{
    for (size_t i = 0; i < WEFT_CHUNK_CLASSES; i++)
        weft_pool_fini(&chunks->pools[i]);
    if (chunks->account != NULL)
        weft_account_release(chunks->account, weft_chunks_bytes(chunks->elastic));
    *chunks = (struct weft_chunks){0};
}

size_t weft_chunks_committed(const struct weft_chunks *chunks)
{
    size_t bytes = 0;
    for (size_t i = 0; i < WEFT_CHUNK_CLASSES; i++)
        bytes += chunks->pools[i].committed;
    return bytes;
}

/* The smallest class that holds `bytes`, and no smaller than what the arena has grown to. */
static size_t grown_class(size_t class, size_t held, size_t bytes)
{
    while (class + 1 < WEFT_CHUNK_CLASSES &&
           (chunk_bytes[class] < bytes || held >= 4 * chunk_bytes[class]))
        class ++;
    return class;
}

static size_t pick_class(const struct weft_arena *arena, size_t bytes)
{
    size_t class = grown_class(arena->held == 0 ? arena->first_class : 0, arena->held, bytes);
    while (class > 0 && chunk_bytes[class - 1] >= bytes &&
           arena->held + chunk_bytes[class] > arena->cap)
        class --; /* near the cap, a smaller one may still fit */
    return class;
}

/* The sizes share one promise, so together they may touch it once: before new pages are touched,
 * free chunks of other sizes give theirs back. Chunks that are held never pass the promise, so this
 * always finds enough; it happens only when a load that filled the share changes its mix of sizes.
 */
static bool is_tight(const struct weft_chunks *chunks, size_t bytes)
{
    return weft_chunks_committed(chunks) + chunks->heap_kept + bytes > chunks->elastic;
}

static void keep_heap(struct weft_chunks *chunks, size_t bytes)
{
    weft_account_commit(chunks->heap_account, (ptrdiff_t)(bytes - chunks->heap_kept));
    chunks->heap_kept = bytes;
}

static void make_way(struct weft_chunks *chunks, size_t bytes)
{
    for (size_t i = WEFT_CHUNK_CLASSES; i-- > 0;)
        while (is_tight(chunks, bytes) && weft_pool_release(&chunks->pools[i]) > 0)
            ;
}

/* ---- what malloc keeps ----
 *
 * An allocator keeps what was freed until it is told to give it back, so the highest charge takes
 * room until then. Giving back gigabytes takes tenths of a second: another thread does it (purge.h)
 * when somebody was refused for it, and refusals end with it; or when a window ends and arenas
 * would find little room, so that most are never refused. What was freed before it began is gone
 * when it has ended, so what counts then is the most that was charged since it was asked.
 */

static void look(struct weft_chunks *chunks)
{
    if (chunks->ticket == 0 || !weft_purge_ended(chunks->purge, chunks->ticket))
        return;
    chunks->ticket = 0;
    keep_heap(chunks, chunks->heap_peak);
}

/* Somebody wants room that malloc keeps. Where all of that is in use, there is nothing to ask for.
 */
static void want_room(struct weft_chunks *chunks)
{
    if (chunks->purge == NULL || chunks->heap_kept == chunks->heap)
        return;
    if (chunks->ticket == 0) {
        chunks->ticket = weft_purge_ticket(chunks->purge);
        chunks->heap_peak = chunks->heap;
    }
    weft_purge_ask(chunks->purge, chunks->ticket);
}

void weft_chunks_window(struct weft_chunks *chunks)
{
    look(chunks);
    if (WEFT_UNLIKELY(chunks->heap_kept > chunks->elastic / CROWDED_DIV * CROWDED_MUL) &&
        chunks->heap < chunks->heap_kept / 2)
        want_room(chunks);
}

bool weft_chunks_retry(struct weft_chunks *chunks, size_t cap, size_t heap)
{
    look(chunks);
    if (weft_chunks_fits(chunks, cap, heap))
        return true;
    if (cap <= chunks->elastic - chunks->promised)
        want_room(chunks);
    return false;
}

/* Bytes that an arena which holds so many has of malloc's part. */
static size_t beyond_firm(const struct weft_arena *arena, size_t held)
{
    return held - WEFT_MIN(held, arena->firm);
}

void weft_chunks_withhold(struct weft_chunks *chunks, size_t bytes)
{
    chunks->withheld = WEFT_MIN(bytes, chunks->elastic - chunks->elastic / 8);
}

static bool is_lent(const struct weft_chunks *chunks, size_t bytes)
{
    size_t arenas = chunks->promised - chunks->heap_promised;
    return chunks->heap_kept + chunks->borrowed + bytes <= chunks->elastic - arenas;
}

/* Where its firm part ends, an arena has of malloc's what malloc does not keep. */
static WEFT_COLD bool borrow(struct weft_chunks *chunks, size_t bytes)
{
    if (!is_lent(chunks, bytes)) {
        look(chunks);
        if (!is_lent(chunks, bytes)) {
            want_room(chunks);
            return false;
        }
    }
    chunks->borrowed += bytes;
    return true;
}

void weft_chunks_charge(struct weft_chunks *chunks, size_t bytes)
{
    chunks->heap += bytes;
    chunks->heap_peak = WEFT_MAX(chunks->heap_peak, chunks->heap);
    weft_account_use(chunks->heap_account, bytes);
    if (chunks->heap > chunks->heap_kept) {
        keep_heap(chunks, chunks->heap);
        make_way(chunks, 0);
    }
}

void weft_chunks_refund(struct weft_chunks *chunks, size_t bytes)
{
    weft_assert(chunks->heap >= bytes);
    chunks->heap -= bytes;
    weft_account_unuse(chunks->heap_account, bytes);
}

static bool grow(struct weft_arena *arena, size_t bytes)
{
    size_t class = pick_class(arena, bytes + HEADER_BYTES);
    size_t size = chunk_bytes[class];
    if (size < bytes + HEADER_BYTES || size > arena->cap - arena->held)
        return false;
    size_t lent = beyond_firm(arena, arena->held + size) - beyond_firm(arena, arena->held);
    if (WEFT_UNLIKELY(lent > 0) && !borrow(arena->source, lent))
        return false;
    struct weft_pool *pool = &arena->source->pools[class];
    if (!weft_pool_has_warm(pool))
        make_way(arena->source, size);
    uint32_t index = weft_pool_take(pool);
    if (index == WEFT_POOL_NONE) {
        arena->source->borrowed -= lent;
        return false;
    }
    weft_account_use(arena->source->account, size);
    struct weft_arena_chunk *chunk = weft_pool_at(pool, index);
    *chunk = (struct weft_arena_chunk){arena->chunk, index, (uint32_t) class};
    arena->chunk = chunk;
    arena->held += size;
    arena->at = (char *)chunk + HEADER_BYTES;
    arena->end = (char *)chunk + size;
    return true;
}

void *weft_arena_alloc(struct weft_arena *arena, size_t bytes)
{
    if (bytes > SIZE_MAX / 2)
        return NULL;
    size_t size = WEFT_ALIGN_UP(bytes, (size_t)16);
    /* An empty arena has no place to point at, not even for zero bytes. */
    bool fits = arena->at != NULL && size <= (size_t)(arena->end - arena->at);
    if ((!fits && !grow(arena, size)) || weft_fail_point("arena")) {
        weft_account_refuse(arena->source->account);
        return NULL;
    }
    void *memory = arena->at;
    arena->at += size;
    arena->asked += bytes;
    return memory;
}

bool weft_arena_extend(struct weft_arena *arena, const void *memory, size_t old_bytes,
                       size_t new_bytes)
{
    size_t old_size = WEFT_ALIGN_UP(old_bytes, (size_t)16);
    if (arena->at == NULL || (const char *)memory + old_size != arena->at)
        return false;
    if (new_bytes < old_bytes || new_bytes > old_size + (size_t)(arena->end - arena->at))
        return false;
    arena->at += WEFT_ALIGN_UP(new_bytes, (size_t)16) - old_size;
    arena->asked += new_bytes - old_bytes;
    return true;
}

bool weft_arena_holds(const struct weft_arena *arena, const void *p)
{
    for (const struct weft_arena_chunk *chunk = arena->chunk; chunk != NULL; chunk = chunk->older) {
        const char *from = (const char *)chunk;
        if ((const char *)p >= from + HEADER_BYTES &&
            (const char *)p < from + chunk_bytes[chunk->class])
            return true;
    }
    return false;
}

static void drop_newest(struct weft_arena *arena)
{
    struct weft_arena_chunk *chunk = arena->chunk;
    size_t beyond = beyond_firm(arena, arena->held);
    arena->chunk = chunk->older;
    arena->held -= chunk_bytes[chunk->class];
    arena->source->borrowed -= beyond - beyond_firm(arena, arena->held);
    weft_account_unuse(arena->source->account, chunk_bytes[chunk->class]);
    weft_pool_put(&arena->source->pools[chunk->class], chunk->index);
}

size_t weft_chunk_bytes(uint32_t class)
{
    weft_assert(class < WEFT_CHUNK_CLASSES);
    return chunk_bytes[class];
}

uint32_t weft_arena_next_class(uint32_t first_class, size_t held)
{
    return (uint32_t)grown_class(held == 0 ? first_class : 0, held, 0);
}

void weft_arena_reset(struct weft_arena *arena)
{
    while (arena->chunk != NULL)
        drop_newest(arena);
    arena->at = arena->end = NULL;
    arena->asked = arena->peak = 0;
}

struct weft_arena_mark weft_arena_mark(const struct weft_arena *arena)
{
    return (struct weft_arena_mark){arena->chunk, arena->at};
}

void weft_arena_rewind(struct weft_arena *arena, struct weft_arena_mark mark)
{
    arena->peak = weft_arena_peak(arena);
    while (arena->chunk != mark.chunk)
        drop_newest(arena);
    arena->at = mark.at;
    arena->end = mark.chunk == NULL ? NULL : (char *)mark.chunk + chunk_bytes[mark.chunk->class];
}
