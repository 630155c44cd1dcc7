/* arena_test.c - bump memory: caps, classes of chunks, marks, and what goes back. */
#include "unit.h"
#include "mem/arena.h"

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

static struct weft_ledger ledger;
static struct weft_account *account;
static struct weft_chunks chunks;
static struct weft_arena arena;

static int open_store(void **state)
{
    (void)state;
    return weft_ledger_init(&ledger, 0) || weft_account_open(&ledger, "arenas", 0, &account) ||
           weft_chunks_init(&chunks, account, 8 * MIB);
}

static int close_store(void **state)
{
    (void)state;
    bool all_back = weft_account_used(account) == 0;
    weft_chunks_fini(&chunks);
    bool balanced = ledger.reserved == 0 && account->committed == 0;
    weft_ledger_fini(&ledger);
    return all_back && balanced ? 0 : -1;
}

static uint32_t out(size_t class)
{
    return weft_pool_used(&chunks.pools[class]);
}

static uint32_t chunks_out(void)
{
    uint32_t count = 0;
    for (size_t class = 0; class < WEFT_CHUNK_CLASSES; class ++)
        count += out(class);
    return count;
}

static void nothing_is_held_before_the_first_allocation(void **state)
{
    (void)state;
    weft_arena_init(&arena, &chunks, 64 * KIB);
    assert_int_equal(arena.held, 0);
    assert_int_equal(weft_account_used(account), 0);
    weft_arena_reset(&arena);
    assert_int_equal(weft_account_used(account), 0);
}

static void every_allocation_is_aligned_and_apart(void **state)
{
    (void)state;
    weft_arena_init(&arena, &chunks, MIB);
    unsigned char *pieces[200];
    for (size_t i = 0; i < 200; i++) {
        pieces[i] = weft_arena_alloc(&arena, i);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % 16, 0);
        memset(pieces[i], (int)i, i);
    }
    for (size_t i = 0; i < 200; i++)
        for (size_t k = 0; k < i; k++)
            assert_int_equal(pieces[i][k], i);
    assert_int_equal(arena.asked, 199 * 200 / 2);
    weft_arena_reset(&arena);
}

/* "" is a text too: a copy of it is not "out of memory". */
static void zero_bytes_are_an_allocation(void **state)
{
    (void)state;
    weft_arena_init(&arena, &chunks, 4 * KIB);
    assert_non_null(weft_arena_alloc(&arena, 0));
    assert_int_equal(account->refused, 0);
    weft_arena_reset(&arena);
}

static void little_takes_4_kib_and_much_moves_up(void **state)
{
    (void)state;
    weft_arena_init(&arena, &chunks, 4 * MIB);
    assert_non_null(weft_arena_alloc(&arena, 100));
    assert_int_equal(arena.held, 4 * KIB);
    assert_non_null(weft_arena_alloc(&arena, 5 * KIB));
    assert_int_equal(arena.held, 20 * KIB);
    assert_non_null(weft_arena_alloc(&arena, 20 * KIB));
    assert_int_equal(arena.held, 84 * KIB);
    assert_non_null(weft_arena_alloc(&arena, 100 * KIB));
    assert_int_equal(arena.held, 340 * KIB);
    assert_non_null(weft_arena_alloc(&arena, 300 * KIB));
    assert_int_equal(arena.held, 340 * KIB + MIB);
    for (size_t class = 0; class < WEFT_CHUNK_CLASSES; class ++)
        assert_int_equal(out(class), 1);
    weft_arena_reset(&arena);

    /* many small ones: a few of a size, then the next */
    for (size_t i = 0; i < 3 * KIB; i++)
        assert_non_null(weft_arena_alloc(&arena, KIB));
    for (size_t class = 0; class < WEFT_CHUNK_CLASSES; class ++)
        assert_in_range(out(class), 1, 5);
    weft_arena_reset(&arena);
    assert_int_equal(chunks_out(), 0);
    assert_int_equal(arena.held, 0);
    assert_int_equal(arena.asked, 0);
}

static void the_cap_holds_and_is_counted(void **state)
{
    (void)state;
    weft_arena_init(&arena, &chunks, 16 * KIB);
    size_t got = 0;
    while (weft_arena_alloc(&arena, KIB) != NULL)
        got++;
    assert_in_range(got, 10, 16); /* headers take a little */
    assert_true(arena.held <= 16 * KIB);
    assert_int_equal(account->refused, 1);
    assert_null(weft_arena_alloc(&arena, 16 * KIB));
    weft_arena_reset(&arena);
    assert_non_null(weft_arena_alloc(&arena, KIB)); /* the cap is the arena's, reset or not */
    weft_arena_reset(&arena);
}

/* The default cap of a route, with a little taken by middleware: there is room for more than pages.
 */
static void little_does_not_stand_in_the_way_of_more(void **state)
{
    (void)state;
    weft_arena_init(&arena, &chunks, 64 * KIB);
    assert_non_null(weft_arena_alloc(&arena, 1));
    assert_non_null(weft_arena_alloc(&arena, 15 * KIB));
    assert_non_null(weft_arena_alloc(&arena, 15 * KIB));
    weft_arena_reset(&arena);
}

static void a_cap_of_zero_gives_nothing(void **state)
{
    (void)state;
    weft_arena_init(&arena, &chunks, 0);
    assert_null(weft_arena_alloc(&arena, 1));
    assert_int_equal(account->refused, 1);
    weft_arena_reset(&arena);
}

static void no_chunk_is_as_large_as_that(void **state)
{
    (void)state;
    weft_arena_init(&arena, &chunks, 8 * MIB);
    assert_null(weft_arena_alloc(&arena, MIB)); /* its header does not fit besides */
    assert_null(weft_arena_alloc(&arena, SIZE_MAX));
    assert_null(weft_arena_alloc(&arena, SIZE_MAX / 2 - 7));
    assert_non_null(weft_arena_alloc(&arena, MIB - 64));
    weft_arena_reset(&arena);
}

static void near_the_cap_a_smaller_chunk_still_fits(void **state)
{
    (void)state;
    weft_arena_init(&arena, &chunks, 28 * KIB); /* 16 and then less than another one of that size */
    for (size_t i = 0; i < 7; i++)
        assert_non_null(weft_arena_alloc(&arena, 4 * KIB - 32));
    assert_int_equal(arena.held, 28 * KIB);
    weft_arena_reset(&arena);
}

static void rewind_forgets_what_came_after_the_mark(void **state)
{
    (void)state;
    weft_arena_init(&arena, &chunks, 4 * MIB);
    struct weft_arena_mark empty = weft_arena_mark(&arena);
    char *kept = weft_arena_alloc(&arena, 100);
    memset(kept, 'k', 100);
    struct weft_arena_mark mark = weft_arena_mark(&arena);
    char *next = weft_arena_alloc(&arena, 100);
    for (int round = 0; round < 1000; round++) {
        weft_arena_rewind(&arena, mark);
        assert_int_equal(arena.held, 4 * KIB);
        assert_ptr_equal(weft_arena_alloc(&arena, 100), next); /* the same place again */
        assert_non_null(weft_arena_alloc(&arena, 50 * KIB));
        assert_non_null(weft_arena_alloc(&arena, 500 * KIB));
    }
    assert_int_equal(kept[0], 'k');
    assert_int_equal(kept[99], 'k');
    weft_arena_rewind(&arena, empty);
    assert_int_equal(arena.held, 0);
    assert_int_equal(weft_account_used(account), 0);
    assert_non_null(weft_arena_alloc(&arena, 1)); /* usable afterwards */
    weft_arena_reset(&arena);
}

static void reset_puts_each_chunk_once(void **state)
{
    (void)state;
    weft_arena_init(&arena, &chunks, 4 * MIB);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 3000; i++)
            assert_non_null(weft_arena_alloc(&arena, 500));
        /* O(chunks), not O(allocations): that there are few of them is the point */
        assert_in_range(chunks_out(), 1, 20);
        weft_arena_reset(&arena);
        assert_int_equal(chunks_out(), 0);
    }
    assert_in_range(chunks.pools[3].free.fresh, 1, 5); /* later rounds took the same chunks again */
}

/* shows MC-43: 16 KiB blocks, cache-aligned, given back exactly when their owner ends. */
static void blocks_of_16_kib_are_aligned_and_go_with_their_owner(void **state)
{
    (void)state;
    struct weft_pool *blocks = &chunks.pools[1];
    weft_arena_init(&arena, &chunks, 4 * MIB);
    for (int i = 0; i < 4; i++) {
        char *piece = weft_arena_alloc(&arena, 15 * KIB);
        const char *block = piece - (piece - (char *)blocks->slots) % (ptrdiff_t)(16 * KIB);
        assert_int_equal((uintptr_t)block % 64, 0);
        assert_int_equal(weft_pool_used(blocks), i + 1);
    }
    uint64_t puts = weft_account_puts(account);
    weft_arena_reset(&arena);
    assert_int_equal(weft_pool_used(blocks), 0);
    assert_int_equal(weft_account_puts(account), puts + 4);
    assert_int_equal(weft_account_takes(account), weft_account_puts(account));
}

static void promises_never_pass_the_share(void **state)
{
    (void)state;
    assert_int_equal(weft_chunks_reserve(&chunks, 8 * MIB - 1, 0), 0);
    assert_int_equal(weft_chunks_reserve(&chunks, 2, 0), WEFT_EBUDGET);
    assert_int_equal(weft_chunks_reserve(&chunks, SIZE_MAX, 0), WEFT_EBUDGET);
    assert_int_equal(account->refused, 2);
    assert_int_equal(weft_chunks_reserve(&chunks, 1, 0), 0);
    assert_int_equal(weft_chunks_reserve(&chunks, 1, 0), WEFT_EBUDGET);
    weft_chunks_unreserve(&chunks, 8 * MIB, 0);
    assert_int_equal(chunks.promised, 0);
}

/* Less may be used than was planned: what was promised stays, new ones fit into the rest. */
static void what_is_withheld_is_not_promised(void **state)
{
    (void)state;
    assert_int_equal(weft_chunks_reserve(&chunks, 5 * MIB, 0), 0);
    weft_chunks_withhold(&chunks, 4 * MIB);
    assert_int_equal(weft_chunks_reserve(&chunks, 1, 0), WEFT_EBUDGET);
    weft_chunks_unreserve(&chunks, 5 * MIB, 0);
    assert_int_equal(weft_chunks_reserve(&chunks, 4 * MIB + 1, 0), WEFT_EBUDGET);
    assert_int_equal(weft_chunks_reserve(&chunks, 4 * MIB, 0), 0);
    weft_chunks_unreserve(&chunks, 4 * MIB, 0);
    weft_chunks_withhold(&chunks, SIZE_MAX);
    assert_int_equal(weft_chunks_reserve(&chunks, MIB + 1, 0), WEFT_EBUDGET);
    assert_int_equal(weft_chunks_reserve(&chunks, MIB, 0), 0); /* for vital routes */
    weft_chunks_unreserve(&chunks, MIB, 0);
    weft_chunks_withhold(&chunks, 0);
    assert_int_equal(weft_chunks_reserve(&chunks, 8 * MIB, 0), 0);
    weft_chunks_unreserve(&chunks, 8 * MIB, 0);
}

static void a_first_chunk_may_be_larger(void **state)
{
    (void)state;
    for (uint32_t class = 0; class < WEFT_CHUNK_CLASSES; class ++) {
        weft_arena_init(&arena, &chunks, 4 * MIB);
        weft_arena_expect(&arena, class);
        assert_non_null(weft_arena_alloc(&arena, 10));
        assert_int_equal(arena.held, weft_chunk_bytes(class));
        assert_int_equal(out(class), 1);
        weft_arena_reset(&arena);
    }
    weft_arena_init(&arena, &chunks, 20 * KIB); /* the cap holds all the same */
    weft_arena_expect(&arena, 3);
    assert_non_null(weft_arena_alloc(&arena, 10));
    assert_int_equal(arena.held, 16 * KIB);
    weft_arena_reset(&arena);
    weft_arena_init(&arena, &chunks, MIB); /* and what is larger than expected gets its size */
    weft_arena_expect(&arena, 1);
    assert_non_null(weft_arena_alloc(&arena, 50 * KIB));
    assert_int_equal(arena.held, 64 * KIB);
    weft_arena_reset(&arena);
}

/* What a request needed does not depend on the chunk that it was given, so that sizing by it does
 * not follow its own tail. */
static void the_peak_is_what_was_needed(void **state)
{
    (void)state;
    size_t peaks[2];
    for (uint32_t round = 0; round < 2; round++) {
        weft_arena_init(&arena, &chunks, 4 * MIB);
        weft_arena_expect(&arena, 1 + round * 2);
        assert_int_equal(weft_arena_peak(&arena), 0);
        for (int i = 0; i < 100; i++)
            assert_non_null(weft_arena_alloc(&arena, 100));
        struct weft_arena_mark mark = weft_arena_mark(&arena);
        assert_non_null(weft_arena_alloc(&arena, 3000));
        peaks[round] = weft_arena_peak(&arena);
        weft_arena_rewind(&arena, mark);
        assert_int_equal(weft_arena_peak(&arena), peaks[round]);
        weft_arena_reset(&arena);
        assert_int_equal(weft_arena_peak(&arena), 0);
    }
    assert_int_equal(peaks[0], peaks[1]);
    assert_in_range(peaks[0], 100 * 112 + 3000, 100 * 112 + 3000 + 64);
}

static void a_chain_is_foreseen(void **state)
{
    (void)state;
    for (uint32_t class = 0; class < WEFT_CHUNK_CLASSES; class ++) {
        size_t held = 0;
        weft_arena_init(&arena, &chunks, 8 * MIB);
        weft_arena_expect(&arena, class);
        while (held < 3 * MIB) {
            held += weft_chunk_bytes(weft_arena_next_class(class, held));
            do
                assert_non_null(weft_arena_alloc(&arena, 16));
            while (weft_arena_peak(&arena) < held);
            assert_int_equal(arena.held, held);
        }
        weft_arena_reset(&arena);
    }
}

/* Whatever mix of sizes fills the share: what was promised is there. */
static void a_promise_is_kept_in_any_mix(void **state)
{
    (void)state;
    const size_t pieces[] = {4 * KIB - 32, 16 * KIB - 32, 64 * KIB - 32, 256 * KIB - 32, MIB - 32};
    for (size_t p = 0; p < WEFT_COUNT_OF(pieces); p++) {
        size_t got = 0;
        weft_arena_init(&arena, &chunks, 8 * MIB);
        assert_int_equal(weft_chunks_reserve(&chunks, 8 * MIB, 0), 0);
        while (weft_arena_alloc(&arena, pieces[p]) != NULL)
            got += pieces[p];
        assert_true(got >= 7 * MIB);
        assert_true(arena.held <= 8 * MIB);
        assert_true(weft_account_used(account) <= account->reserved);
        weft_arena_reset(&arena);
        weft_chunks_unreserve(&chunks, 8 * MIB, 0);
    }
}

/* Fill the whole share with one size, give it back, fill it with another: never more than the share
 * is touched, or the plan's term would be no bound. */
static void a_change_of_sizes_does_not_touch_the_share_twice(void **state)
{
    (void)state;
    const size_t asked[] = {2 * KIB, 900 * KIB, 10 * KIB, 200 * KIB, 2 * KIB};
    for (size_t i = 0; i < WEFT_COUNT_OF(asked); i++) {
        weft_arena_init(&arena, &chunks, 8 * MIB);
        while (weft_arena_alloc(&arena, asked[i]) != NULL)
            assert_true(weft_chunks_committed(&chunks) <= 8 * MIB);
        assert_true(account->committed <= weft_chunks_bytes(8 * MIB));
        assert_true(arena.held > 6 * MIB);
        weft_arena_reset(&arena);
    }
}

static void the_store_reserves_its_formula(void **state)
{
    (void)state;
    assert_int_equal(account->reserved, weft_chunks_bytes(8 * MIB));
    assert_in_range(weft_chunks_bytes(8 * MIB), 8 * MIB, 8 * MIB + 64 * KIB);
    struct weft_ledger small;
    struct weft_account *owner = NULL;
    struct weft_chunks none = {0};
    assert_int_equal(weft_ledger_init(&small, MIB), 0);
    assert_int_equal(weft_account_open(&small, "small", 0, &owner), 0);
    assert_int_equal(weft_chunks_init(&none, owner, MIB), WEFT_EBUDGET);
    assert_int_equal(owner->reserved, 0);
    weft_chunks_fini(&none); /* half-made ones too */
    weft_ledger_fini(&small);
}

/* ---- what malloc keeps ---- */

static struct weft_account *heap;
static uint32_t asked;

static void note_ask(struct weft_purge *purge)
{
    (void)purge;
    asked++;
}

static struct weft_purge purge;

/* A purge from its begin to its end. */
static void have_given_back(void)
{
    purge.begun++;
    purge.ended++;
}

static int open_heap(void **state)
{
    purge = (struct weft_purge){.ask = note_ask};
    asked = 0;
    if (open_store(state) != 0 || weft_account_open(&ledger, "heap", 0, &heap) != 0)
        return -1;
    chunks.heap_account = heap;
    chunks.purge = &purge;
    return 0;
}

static bool within_the_share(void)
{
    return weft_chunks_committed(&chunks) + heap->committed <= chunks.elastic;
}

/* A request that may malloc so much, did, and is over. */
static void malloc_and_free(size_t bytes)
{
    assert_int_equal(weft_chunks_reserve(&chunks, bytes, bytes), 0);
    weft_chunks_charge(&chunks, bytes);
    assert_int_equal(heap->used, bytes);
    assert_true(within_the_share());
    weft_chunks_refund(&chunks, bytes);
    weft_chunks_unreserve(&chunks, bytes, bytes);
    assert_int_equal(heap->used, 0);
    assert_int_equal(heap->committed, bytes); /* an allocator keeps what was freed */
}

/* Nothing is asked for while the room is there; then a promise is refused, and malloc asked once,
 * elsewhere; when it has given back, all is as before. */
static void what_malloc_keeps_is_asked_back_when_arenas_want_it(void **state)
{
    (void)state;
    assert_int_equal(weft_chunks_reserve(&chunks, 6 * MIB, 0), 0);
    weft_arena_init(&arena, &chunks, 6 * MIB);
    for (int i = 0; i < 6; i++)
        assert_non_null(weft_arena_alloc(&arena, MIB - 4 * KIB));
    weft_arena_reset(&arena);
    weft_chunks_unreserve(&chunks, 6 * MIB, 0);
    assert_true(weft_chunks_committed(&chunks) >= 6 * MIB);
    malloc_and_free(5 * MIB); /* free chunks made way */

    assert_int_equal(weft_chunks_reserve(&chunks, 3 * MIB, 0), 0);
    assert_int_equal(asked, 0);
    for (uint32_t i = 1; i < 4; i++) {
        assert_int_equal(weft_chunks_reserve(&chunks, MIB, 0), WEFT_EBUDGET);
        assert_int_equal(asked,
                         i); /* as often as it is refused: the first may not have been heard */
    }
    purge.begun++;
    assert_int_equal(weft_chunks_reserve(&chunks, MIB, 0), WEFT_EBUDGET);
    assert_int_equal(asked, 3); /* it is under way: no other one */
    assert_int_equal(heap->committed, 5 * MIB);
    purge.ended++;
    assert_int_equal(weft_chunks_reserve(&chunks, 5 * MIB, 0), 0);
    assert_int_equal(heap->committed, 0);
    weft_arena_init(&arena, &chunks, 8 * MIB);
    for (int i = 0; i < 8; i++)
        assert_non_null(weft_arena_alloc(&arena, MIB - 4 * KIB));
    assert_true(within_the_share());
    weft_arena_reset(&arena);
    weft_chunks_unreserve(&chunks, 8 * MIB, 0);
}

/* A load that mallocs, frees and mallocs again uses what malloc keeps: it is not in its way. */
static void what_malloc_keeps_is_there_for_the_next_that_mallocs(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        malloc_and_free(8 * MIB);
    assert_int_equal(weft_chunks_reserve(&chunks, 8 * MIB + 1, 8 * MIB), WEFT_EBUDGET);
    assert_int_equal(asked, 0); /* more than there is at all: no reason to ask */
    assert_int_equal(weft_chunks_reserve(&chunks, 4 * KIB, 0), WEFT_EBUDGET);
    assert_int_equal(asked, 1);
}

/* What is in use, or was charged after the purge began, is not taken for given back. */
static void a_purge_gives_back_what_was_free_before_it(void **state)
{
    (void)state;
    malloc_and_free(6 * MIB);
    assert_int_equal(weft_chunks_reserve(&chunks, 5 * MIB, 5 * MIB), 0);
    weft_chunks_charge(&chunks, 2 * MIB);
    assert_int_equal(weft_chunks_reserve(&chunks, 3 * MIB, 0), WEFT_EBUDGET);
    weft_chunks_charge(&chunks, MIB);
    weft_chunks_refund(&chunks, 2 * MIB);
    have_given_back();
    weft_chunks_window(&chunks);
    assert_int_equal(heap->committed, 3 * MIB);
    assert_int_equal(weft_chunks_reserve(&chunks, 3 * MIB, 0), 0); /* beside a promise of 5 */
    assert_int_equal(weft_chunks_reserve(&chunks, 1, 0), WEFT_EBUDGET);
    assert_int_equal(asked, 1); /* promised away is not kept */
    weft_chunks_refund(&chunks, MIB);
    weft_chunks_unreserve(&chunks, 8 * MIB, 5 * MIB);
}

/* Before anybody is refused: when malloc uses little of most of the share. */
static void a_window_asks_for_what_crowds_arenas_out(void **state)
{
    (void)state;
    malloc_and_free(6 * MIB);
    weft_chunks_window(&chunks);
    assert_int_equal(asked, 0);
    assert_int_equal(weft_chunks_reserve(&chunks, 7 * MIB, 7 * MIB), 0);
    weft_chunks_charge(&chunks, 7 * MIB);
    weft_chunks_window(&chunks);
    weft_chunks_refund(&chunks, 3 * MIB);
    weft_chunks_window(&chunks); /* it works with that */
    assert_int_equal(asked, 0);
    weft_chunks_refund(&chunks, MIB);
    weft_chunks_window(&chunks);
    assert_int_equal(asked, 1);
    have_given_back();
    weft_chunks_window(&chunks);
    assert_int_equal(heap->committed, 3 * MIB);
    weft_chunks_window(&chunks);
    assert_int_equal(asked, 1);
    weft_chunks_refund(&chunks, 3 * MIB);
    weft_chunks_unreserve(&chunks, 7 * MIB, 7 * MIB);
}

/* A request whose route may malloc uses its arena instead: that part is there while malloc does not
 * keep it; and it never takes away what is firmly promised to another. */
static void arenas_borrow_of_mallocs_part(void **state)
{
    (void)state;
    struct weft_arena other;
    malloc_and_free(6 * MIB);
    assert_int_equal(weft_chunks_reserve(&chunks, 6 * MIB, 5 * MIB), 0);
    weft_arena_init(&arena, &chunks, 6 * MIB);
    arena.firm = MIB;
    assert_non_null(weft_arena_alloc(&arena, MIB - 4 * KIB));
    assert_int_equal(chunks.borrowed, 0);
    assert_non_null(weft_arena_alloc(&arena, MIB - 4 * KIB));
    assert_int_equal(chunks.borrowed, MIB);
    assert_null(weft_arena_alloc(&arena, MIB - 4 * KIB)); /* 1 firm, 1 borrowed, 6 kept */
    assert_int_equal(asked, 1);
    assert_int_equal(weft_chunks_reserve(&chunks, MIB, 0), WEFT_EBUDGET);
    have_given_back();
    assert_int_equal(weft_chunks_reserve(&chunks, 2 * MIB, 0), 0);
    for (int i = 0; i < 4; i++)
        assert_non_null(weft_arena_alloc(&arena, MIB - 4 * KIB));
    assert_null(weft_arena_alloc(&arena, 4 * KIB)); /* its cap */
    weft_arena_init(&other, &chunks, 2 * MIB);
    assert_non_null(weft_arena_alloc(&other, MIB - 4 * KIB));
    assert_non_null(weft_arena_alloc(&other, MIB - 4 * KIB));
    assert_true(within_the_share());
    weft_arena_reset(&arena);
    weft_arena_reset(&other);
    assert_int_equal(chunks.borrowed, 0);
    weft_chunks_unreserve(&chunks, 8 * MIB, 5 * MIB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ARENA_TEST(name) cmocka_unit_test_setup_teardown(name, open_store, close_store)
        ARENA_TEST(nothing_is_held_before_the_first_allocation),
        ARENA_TEST(every_allocation_is_aligned_and_apart),
        ARENA_TEST(zero_bytes_are_an_allocation),
        ARENA_TEST(little_takes_4_kib_and_much_moves_up),
        ARENA_TEST(the_cap_holds_and_is_counted),
        ARENA_TEST(little_does_not_stand_in_the_way_of_more),
        ARENA_TEST(a_cap_of_zero_gives_nothing),
        ARENA_TEST(no_chunk_is_as_large_as_that),
        ARENA_TEST(near_the_cap_a_smaller_chunk_still_fits),
        ARENA_TEST(rewind_forgets_what_came_after_the_mark),
        ARENA_TEST(reset_puts_each_chunk_once),
        ARENA_TEST(blocks_of_16_kib_are_aligned_and_go_with_their_owner),
        ARENA_TEST(promises_never_pass_the_share),
        ARENA_TEST(what_is_withheld_is_not_promised),
        ARENA_TEST(a_first_chunk_may_be_larger),
        ARENA_TEST(the_peak_is_what_was_needed),
        ARENA_TEST(a_chain_is_foreseen),
        ARENA_TEST(a_promise_is_kept_in_any_mix),
        ARENA_TEST(a_change_of_sizes_does_not_touch_the_share_twice),
#define HEAP_TEST(name) cmocka_unit_test_setup_teardown(name, open_heap, close_store)
        HEAP_TEST(what_malloc_keeps_is_asked_back_when_arenas_want_it),
        HEAP_TEST(what_malloc_keeps_is_there_for_the_next_that_mallocs),
        HEAP_TEST(a_purge_gives_back_what_was_free_before_it),
        HEAP_TEST(a_window_asks_for_what_crowds_arenas_out),
        HEAP_TEST(arenas_borrow_of_mallocs_part),
        ARENA_TEST(the_store_reserves_its_formula),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
