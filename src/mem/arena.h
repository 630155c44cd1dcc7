/* arena.h - bump memory with one lifetime: a request's.
 *
 * Chunks come from a worker's chunk store in five sizes; a request that needs little holds 4 KiB,
 * one that needs much moves up. Nothing is freed one by one: reset gives all chunks back at once.
 *
 * Lifetime: the store is the worker's, an arena the request's.
 * Threads:  the owner worker only.
 * Memory:   store: weft_chunks_bytes(elastic). Arena: 0 until the first allocation, then at most
 *           `cap` bytes of chunks, which the owner reserved with weft_chunks_reserve() beforehand.
 */
#ifndef WEFT_MEM_ARENA_H
#define WEFT_MEM_ARENA_H

#include "base/rehearsal.h"
#include "mem/pool.h"
#include "mem/purge.h"

#define WEFT_CHUNK_CLASSES 5

/* The worker's share of the elastic term: promises made to requests, and the chunks behind them.
 * What malloc keeps of what was freed takes room as well. So the share is as large as the promises
 * to arenas and the larger of two: what is promised to malloc; what it keeps, with the chunks that
 * arenas borrowed of its part. */
struct weft_chunks {
    size_t elastic;                             /* bytes that promises together may reach */
    size_t promised;                            /* sum of the caps of the requests that run now */
    size_t heap_promised;                       /* of it, what their routes may malloc (.heap) */
    size_t borrowed;                            /* of that, what arenas hold instead */
    size_t withheld;                            /* of the share, what is not to be promised now */
    struct weft_pool pools[WEFT_CHUNK_CLASSES]; /* 4, 16, 64, 256, 1024 KiB */
    struct weft_account *account;
    struct weft_account *heap_account; /* what requests charged for malloc: within the promises */
    size_t heap;                       /* charged now */
    size_t heap_kept; /* at most since the allocator last gave back: it may hold so much still */
    size_t heap_peak; /* at most since `purge` was asked */
    uint64_t ticket;  /* of the purge that is waited for; 0: none is */
    struct weft_purge *purge; /* borrowed: has malloc give back; NULL: nobody can */
};

struct weft_arena_chunk;

struct weft_arena {
    char *at, *end;                 /* free part of the newest chunk */
    struct weft_arena_chunk *chunk; /* owned: newest first */
    struct weft_chunks *source;     /* borrowed: the worker's */
    size_t held;                    /* bytes of chunks held */
    size_t cap;                     /* bytes of chunks it may hold */
    size_t firm;                    /* of them, what is its own in any case; the rest is malloc's
                                       part, borrowed while malloc does not keep it */
    size_t asked;                   /* bytes handed out, for the receipt */
    size_t peak;                    /* most that was needed before a rewind: weft_arena_peak() */
    uint32_t first_class;           /* of its first chunk, where the cap allows it */
};

struct weft_arena_mark {
    struct weft_arena_chunk *chunk;
    char *at;
};

/** The store's worst case: what it promises, never more (chunk tables included). */
size_t weft_chunks_bytes(size_t elastic);

/** returns  0, WEFT_EBUDGET, WEFT_ENOMEM */
WEFT_CHECK
weft_rc weft_chunks_init(struct weft_chunks *chunks, struct weft_account *account, size_t elastic);
void weft_chunks_fini(struct weft_chunks *chunks);

/* Is there room for a promise, and for what malloc keeps beyond what is promised to it? */
static inline bool weft_chunks_fits(const struct weft_chunks *chunks, size_t cap, size_t heap)
{
    size_t kept = chunks->heap_kept + chunks->borrowed, its = chunks->heap_promised + heap;
    size_t room = chunks->elastic - chunks->promised;
    room -= WEFT_MIN(room, chunks->withheld);
    return cap <= room && (WEFT_LIKELY(kept <= its) || kept - its <= room - cap);
}

/* It does not fit. Perhaps malloc has given back meanwhile; else it is asked to, elsewhere. */
bool weft_chunks_retry(struct weft_chunks *chunks, size_t cap, size_t heap);

/** Promise `cap` bytes to a request before it starts.
 *  heap     of them, what it may malloc; the others are its arena's in any case
 *  returns  0; WEFT_EBUDGET: all of the elastic share is promised, or malloc keeps it and is asked
 *           to give back meanwhile: the request is refused (503) */
static inline weft_rc weft_chunks_reserve(struct weft_chunks *chunks, size_t cap, size_t heap)
{
    bool fits = weft_chunks_fits(chunks, cap, heap);
    if (WEFT_UNLIKELY(!fits && weft_chunks_retry(chunks, cap, heap)))
        fits = true;
    if (WEFT_UNLIKELY(!fits || weft_fail_point("promise"))) {
        weft_account_refuse(chunks->account);
        return WEFT_EBUDGET;
    }
    chunks->promised += cap;
    chunks->heap_promised += heap;
    weft_account_promise(chunks->account, chunks->promised);
    return 0;
}

static inline void weft_chunks_unreserve(struct weft_chunks *chunks, size_t cap, size_t heap)
{
    weft_debug_assert(chunks->promised >= cap);
    weft_debug_assert(chunks->heap_promised >= heap);
    chunks->promised -= cap;
    chunks->heap_promised -= heap;
    weft_account_promise(chunks->account, chunks->promised);
}

/** Bytes of chunks that are touched, held or free. */
size_t weft_chunks_committed(const struct weft_chunks *chunks);

/** From now on so much of the share is not promised; an eighth always may be. */
void weft_chunks_withhold(struct weft_chunks *chunks, size_t bytes);

/** A window ends: note what malloc has given back since it was asked, and ask before anybody is
 *  refused where it keeps most of the share and uses little of that. */
void weft_chunks_window(struct weft_chunks *chunks);

/** Book bytes that a request takes from malloc, out of its promise. Free chunks give their pages
 *  back where both together would pass the share. */
void weft_chunks_charge(struct weft_chunks *chunks, size_t bytes);
void weft_chunks_refund(struct weft_chunks *chunks, size_t bytes);

static inline void weft_arena_init(struct weft_arena *arena, struct weft_chunks *source, size_t cap)
{
    *arena = (struct weft_arena){.source = source, .cap = cap, .firm = cap};
}

/** Zero or more bytes, 16-byte aligned, uninitialised, until reset or rewind.
 *  returns  NULL when the cap or the store is exhausted, or when this would be of malloc's part of
 *           the promise, which malloc keeps and is asked to give back meanwhile */
void *weft_arena_alloc(struct weft_arena *arena, size_t bytes);

/** Make the newest allocation longer where it lies.
 *  returns  false: it is not the newest, or its chunk ends before */
bool weft_arena_extend(struct weft_arena *arena, const void *memory, size_t old_bytes,
                       size_t new_bytes);

/** Does an address lie in what it has handed out or may? O(chunks). */
bool weft_arena_holds(const struct weft_arena *arena, const void *p);

/** Give every chunk back, in O(chunks). */
void weft_arena_reset(struct weft_arena *arena);

/** The first chunk will be of this class, 0..WEFT_CHUNK_CLASSES - 1; for an arena without chunks.
 */
static inline void weft_arena_expect(struct weft_arena *arena, uint32_t class)
{
    weft_debug_assert(class < WEFT_CHUNK_CLASSES);
    arena->first_class = class;
}

/** Most bytes of chunks that were needed at once since init or reset: those held, without what is
 *  free in the newest. Two arenas that are used alike say the same, however large their chunks,
 *  as long as one chunk is enough. */
static inline size_t weft_arena_peak(const struct weft_arena *arena)
{
    return WEFT_MAX(arena->peak, arena->held - (size_t)(arena->end - arena->at));
}

/** Bytes of one chunk of a class. */
size_t weft_chunk_bytes(uint32_t class);

/** The class of the chunk that an arena takes next, for a small piece, when it holds so many bytes.
 *  first_class  of its first chunk */
uint32_t weft_arena_next_class(uint32_t first_class, size_t held);

struct weft_arena_mark weft_arena_mark(const struct weft_arena *arena);

/** Forget everything allocated since the mark; newer chunks go back. */
void weft_arena_rewind(struct weft_arena *arena, struct weft_arena_mark mark);

#endif
