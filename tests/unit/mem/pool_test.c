/* pool_test.c - a pool of fixed capacity: LIFO, bounded, booked to the page; handles that go stale;
 * pages that go back while it is in use. shows MC-05, MC-06 */
#include "unit.h"
#include "death.h"
#include "mem/pool.h"
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

static struct weft_ledger ledger;
static struct weft_account *account;

static int open_ledger(void **state)
{
    (void)state;
    return weft_ledger_init(&ledger, 0) || weft_account_open(&ledger, "pool", 0, &account);
}

static int close_ledger(void **state)
{
    (void)state;
    bool balanced =
        ledger.reserved == 0 && weft_account_used(account) == 0 && account->committed == 0;
    weft_ledger_fini(&ledger);
    return balanced ? 0 : -1;
}

/* Heap in use; 0 under a sanitizer that has its own. */
static size_t heap_bytes(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static void capacity_succeeds_and_one_more_is_refused(void **state) /* shows MC-05 */
{
    (void)state;
    enum { COUNT = 1000 };
    struct weft_pool pool;
    assert_int_equal(weft_pool_init(&pool, account, 40, COUNT), 0);
    size_t before = heap_bytes();
    for (uint32_t i = 0; i < COUNT; i++) {
        uint32_t index = weft_pool_take(&pool);
        assert_int_equal(index, i);
        memset(weft_pool_at(&pool, index), (int)i, 40);
    }
    assert_int_equal(weft_pool_take(&pool), WEFT_POOL_NONE);
    assert_int_equal(weft_pool_take(&pool), WEFT_POOL_NONE);
    assert_int_equal(heap_bytes(), before);
    assert_int_equal(account->refused, 2);
    assert_int_equal(weft_account_used(account), COUNT * 48); /* 40 rounded up to 16 */
    for (uint32_t i = 0; i < COUNT; i++) {                    /* nobody wrote over a neighbour */
        unsigned char *slot = weft_pool_at(&pool, i);
        assert_int_equal(slot[0], i & 0xff);
        assert_int_equal(slot[39], i & 0xff);
        weft_pool_put(&pool, i);
    }
    assert_int_equal(weft_account_used(account), 0);
    assert_int_equal(account->peak, COUNT * 48);
    weft_pool_fini(&pool);
}

static void a_freed_index_is_reused_next(void **state) /* shows MC-05 */
{
    (void)state;
    struct weft_pool pool;
    assert_int_equal(weft_pool_init(&pool, account, 64, 8), 0);
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(weft_pool_take(&pool), i);
    weft_pool_put(&pool, 1);
    weft_pool_put(&pool, 3);
    assert_int_equal(weft_pool_take(&pool), 3);
    assert_int_equal(weft_pool_take(&pool), 1);
    assert_int_equal(weft_pool_take(&pool), 5);
    for (uint32_t i = 0; i < 6; i++)
        weft_pool_put(&pool, i);
    weft_pool_fini(&pool);
}

static void slots_are_aligned(void **state)
{
    (void)state;
    const size_t sizes[] = {1, 16, 17, 64, 100, 4096, 5000};
    for (size_t s = 0; s < WEFT_COUNT_OF(sizes); s++) {
        struct weft_pool pool;
        size_t power = sizes[s] % 64 == 0 ? 64 : 16;
        assert_int_equal(weft_pool_init(&pool, account, sizes[s], 5), 0);
        assert_true(pool.slot_bytes >= sizes[s]);
        for (uint32_t i = 0; i < 5; i++) {
            uint32_t index = weft_pool_take(&pool);
            void *slot = weft_pool_at(&pool, index);
            assert_int_equal((uintptr_t)slot % power, 0);
            assert_int_equal(weft_pool_index(&pool, slot), index);
        }
        for (uint32_t i = 0; i < 5; i++)
            weft_pool_put(&pool, i);
        weft_pool_fini(&pool);
    }
}

/* Bytes of the mapping that `address` begins, by /proc/self/maps; neighbours may be merged into it
 * by the kernel, so that it is an upper bound only. */
static size_t mapped_from(const void *address)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    size_t bytes = 0;
    char line[512];
    assert_non_null(maps);
    while (bytes == 0 && fgets(line, sizeof(line), maps) != NULL) {
        char *rest = NULL;
        uintptr_t first = strtoull(line, &rest, 16);
        uintptr_t end = strtoull(rest + 1, NULL, 16);
        if (first <= (uintptr_t)address && (uintptr_t)address < end)
            bytes = end - (uintptr_t)address;
    }
    (void)fclose(maps);
    return bytes;
}

static size_t resident_pages(void *address, size_t bytes)
{
    static unsigned char pages[4096];
    size_t count = 0;
    assert_true(bytes / WEFT_PAGE_BYTES <= sizeof(pages));
    assert_int_equal(mincore(address, bytes, pages), 0);
    for (size_t i = 0; i < bytes / WEFT_PAGE_BYTES; i++)
        count += pages[i] & 1;
    return count;
}

static void the_formula_is_what_is_mapped_and_no_more_can_be_touched(void **state)
{
    (void)state;
    const struct {
        size_t slot_bytes, slot_count, bytes;
    } rows[] = {
        {16, 1, 2 * 4096},
        {16, 256, 2 * 4096},
        {16, 257, 3 * 4096},
        {4096, 1024, 4096 * 1024 + 3 * 4096},
        {4096, 504, 4096 * 504 + 4096},
        {100, 41, 2 * 4096 + 4096},     /* 112 * 41 = 4592 */
        {4096, 500, 500 * 4096 + 4096}, /* 64 bytes of bits, 2,000 of list, 2,000 of tags */
    };
    for (size_t r = 0; r < WEFT_COUNT_OF(rows); r++) {
        struct weft_pool pool;
        size_t bytes = weft_pool_bytes(rows[r].slot_bytes, rows[r].slot_count);
        assert_int_equal(bytes, rows[r].bytes);
        assert_int_equal(weft_pool_init(&pool, account, rows[r].slot_bytes, rows[r].slot_count), 0);
        assert_int_equal(account->reserved, bytes);
        assert_true(mapped_from(pool.slots) >= bytes);
        assert_int_equal(resident_pages(pool.slots, bytes), 0);
        for (uint32_t i = 0; i < rows[r].slot_count; i++)
            memset(weft_pool_at(&pool, weft_pool_take(&pool)), 1, rows[r].slot_bytes);
        assert_true(account->committed <= bytes);
        for (uint32_t i = 0; i < rows[r].slot_count; i++)
            weft_pool_put(&pool, i);
        /* every page was written to: the last one is the end of the formula */
        assert_int_equal(resident_pages(pool.slots, bytes), bytes / WEFT_PAGE_BYTES);
        weft_pool_fini(&pool);
    }
}

static void too_large_for_an_address_space(void **state)
{
    (void)state;
    struct weft_pool pool = {.magic = 7};
    assert_int_equal(weft_pool_bytes(SIZE_MAX / 2, 3), 0);
    assert_int_equal(weft_pool_bytes(SIZE_MAX / 4, 4), 0);
    assert_int_equal(weft_pool_init(&pool, account, SIZE_MAX / 4, 4), WEFT_EBUDGET);
    assert_int_equal(weft_pool_init(&pool, account, (size_t)1 << 50, 8), WEFT_ENOMEM);
    assert_int_equal(pool.magic, 7); /* untouched on error */
    assert_int_equal(account->reserved, 0);
}

static void past_the_limit_nothing_is_reserved(void **state)
{
    (void)state;
    struct weft_ledger small;
    struct weft_account *owner = NULL;
    struct weft_pool pool = {.magic = 7};
    assert_int_equal(weft_ledger_init(&small, 4 * 4096 - 1), 0);
    assert_int_equal(weft_account_open(&small, "small", 0, &owner), 0);
    assert_int_equal(weft_pool_init(&pool, owner, 4096, 3), WEFT_EBUDGET);
    assert_int_equal(pool.magic, 7);
    assert_int_equal(owner->reserved, 0);
    assert_int_equal(owner->refused, 1);
    weft_ledger_fini(&small);
}

/* All that is free now, at once. */
static size_t trim_all(struct weft_pool *pool)
{
    size_t bytes = 0;
    weft_pool_age(pool);
    weft_pool_age(pool);
    while (weft_pool_still(pool))
        bytes += weft_pool_trim(pool, SIZE_MAX);
    return bytes;
}

static void fill(struct weft_pool *pool, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        memset(weft_pool_at(pool, weft_pool_take(pool)), 1, pool->slot_bytes);
}

static void trim_hands_back_the_pages_that_nobody_uses(void **state)
{
    (void)state;
    enum { COUNT = 64 };
    struct weft_pool pool;
    assert_int_equal(weft_pool_init(&pool, account, 4096, COUNT), 0);
    assert_int_equal(trim_all(&pool), 0); /* nothing was taken yet */
    fill(&pool, COUNT);
    size_t beside = account->committed - pool.committed;
    assert_int_equal(beside, 4096);
    for (uint32_t i = 1; i < COUNT; i++)
        weft_pool_put(&pool, i);
    assert_int_equal(trim_all(&pool), (COUNT - 1) * 4096); /* slot 0 is in use */
    assert_int_equal(account->committed, 4096 + beside);
    assert_int_equal(resident_pages(pool.slots, COUNT * 4096), 1);
    assert_int_equal(*(char *)weft_pool_at(&pool, 0), 1);
    assert_int_equal(trim_all(&pool), 0); /* not twice */
    weft_pool_put(&pool, 0);
    assert_int_equal(trim_all(&pool), 4096);
    assert_int_equal(pool.committed, 0);
    assert_int_equal(weft_pool_take(&pool), 0); /* and usable again, booked again */
    assert_int_equal(pool.committed, 4096);
    weft_pool_put(&pool, 0);
    weft_pool_fini(&pool);
}

/* Small slots share pages, 1,280 bytes lie on two: a page goes when all on it are free. */
static void a_shared_page_stays_while_a_neighbour_is_out(void **state)
{
    (void)state;
    enum { COUNT = 160, BYTES = 1280 }; /* 50 pages */
    struct weft_pool pool;
    assert_int_equal(weft_pool_init(&pool, account, BYTES, COUNT), 0);
    fill(&pool, COUNT);
    assert_int_equal(pool.committed, 50 * 4096);
    for (uint32_t i = 0; i < COUNT; i++)
        if (i % 16 != 3) /* slot 3 of every 5 pages lies on the first and the second of them */
            weft_pool_put(&pool, i);
    assert_int_equal(trim_all(&pool), (50 - 10 - 10) * 4096);
    assert_int_equal(resident_pages(pool.slots, 50 * 4096), 20);
    for (uint32_t i = 3; i < COUNT; i += 16) {
        const unsigned char *slot = weft_pool_at(&pool, i);
        assert_int_equal(slot[0], 1);
        assert_int_equal(slot[BYTES - 1], 1);
        weft_pool_put(&pool, i);
    }
    fill(&pool, COUNT); /* every page is booked again, once */
    assert_int_equal(pool.committed, 50 * 4096);
    for (uint32_t i = 0; i < COUNT; i++)
        weft_pool_put(&pool, i);
    assert_int_equal(trim_all(&pool), 50 * 4096);
    weft_pool_fini(&pool);
}

/* A load that goes on keeps what it needs: only what lay still for a whole window goes. */
static void what_was_used_in_the_window_stays(void **state)
{
    (void)state;
    enum { COUNT = 100, NEEDED = 10 };
    struct weft_pool pool;
    assert_int_equal(weft_pool_init(&pool, account, 4096, COUNT), 0);
    fill(&pool, COUNT);
    for (uint32_t i = 0; i < COUNT; i++)
        weft_pool_put(&pool, i);
    weft_pool_age(&pool); /* the window of the peak: it was all in use */
    assert_false(weft_pool_still(&pool));
    for (int round = 0; round < 3; round++) { /* a window in which ten are used at a time */
        uint32_t out[NEEDED];
        for (int i = 0; i < NEEDED; i++)
            out[i] = weft_pool_take(&pool);
        for (int i = 0; i < NEEDED; i++)
            weft_pool_put(&pool, out[i]);
    }
    weft_pool_age(&pool);
    assert_int_equal(weft_pool_trim(&pool, SIZE_MAX), (COUNT - NEEDED) * 4096);
    assert_int_equal(pool.committed, NEEDED * 4096);
    weft_pool_fini(&pool);
}

static void a_step_stops_where_it_was_told(void **state)
{
    (void)state;
    enum { COUNT = 100 };
    struct weft_pool pool;
    assert_int_equal(weft_pool_init(&pool, account, 4096, COUNT), 0);
    fill(&pool, COUNT);
    for (uint32_t i = 0; i < COUNT; i++)
        weft_pool_put(&pool, i);
    weft_pool_age(&pool);
    weft_pool_age(&pool);
    assert_int_equal(weft_pool_trim(&pool, 10 * 4096), 10 * 4096);
    assert_int_equal(weft_pool_take(&pool), COUNT - 1); /* a step later the load is back */
    assert_int_equal(pool.committed, 90 * 4096);        /* it took one that was there */
    size_t rest = 0;
    while (weft_pool_still(&pool))
        rest += weft_pool_trim(&pool, 10 * 4096);
    assert_int_equal(rest, 89 * 4096);
    weft_pool_put(&pool, COUNT - 1);
    weft_pool_fini(&pool);
}

static void prefaulted_slots_are_there_and_booked(void **state)
{
    (void)state;
    enum { COUNT = 300 };
    struct weft_pool pool;
    size_t bytes = weft_pool_bytes(1280, COUNT);
    assert_int_equal(weft_pool_init(&pool, account, 1280, COUNT), 0);
    assert_int_equal(weft_pool_prefault(&pool, SIZE_MAX), 0);
    assert_int_equal(resident_pages(pool.slots, bytes), bytes / WEFT_PAGE_BYTES);
    assert_int_equal(account->committed, bytes);
    assert_int_equal(weft_account_used(account), 0);
    for (uint32_t i = 0; i < COUNT; i++)
        assert_int_equal(weft_pool_take(&pool), i);
    assert_int_equal(weft_pool_take(&pool), WEFT_POOL_NONE);
    assert_int_equal(account->committed, bytes); /* nothing new */
    for (uint32_t i = 0; i < COUNT; i++)
        weft_pool_put(&pool, i);
    weft_pool_fini(&pool);
}

static void a_handle_is_stale_once_its_slot_was_put(void **state) /* shows MC-06 */
{
    (void)state;
    struct weft_pool pool;
    assert_int_equal(weft_pool_init(&pool, account, 32, 4), 0);
    struct weft_handle first = weft_pool_handle(&pool, weft_pool_take(&pool));
    assert_ptr_equal(weft_pool_get(&pool, first), weft_pool_at(&pool, 0));
    assert_int_equal(weft_pool_return(&pool, first), 0);
    assert_null(weft_pool_get(&pool, first));
    struct weft_handle second = weft_pool_handle(&pool, weft_pool_take(&pool));
    assert_int_equal(second.index, first.index); /* the same slot, its next user */
    assert_null(weft_pool_get(&pool, first));
    assert_non_null(weft_pool_get(&pool, second));
    assert_null(weft_pool_get(&pool, (struct weft_handle){3, 0})); /* never taken */
    assert_null(weft_pool_get(&pool, (struct weft_handle){99, 0}));
    weft_pool_put(&pool, second.index);
    (void)trim_all(&pool); /* a trimmed slot keeps its generation */
    assert_null(weft_pool_get(&pool, second));
    struct weft_handle third = weft_pool_handle(&pool, weft_pool_take(&pool));
    assert_true(third.generation != second.generation);
    weft_pool_put(&pool, third.index);
    weft_pool_fini(&pool);
}

static void commits_are_whole_pages(void **state)
{
    (void)state;
    struct weft_pool pool;
    assert_int_equal(weft_pool_init(&pool, account, 1024, 16), 0);
    for (uint32_t i = 0; i < 16; i++) {
        assert_int_equal(weft_pool_take(&pool), i);
        assert_int_equal(pool.committed, WEFT_ALIGN_UP((i + 1) * 1024, WEFT_PAGE_BYTES));
    }
    for (uint32_t i = 0; i < 16; i++)
        weft_pool_put(&pool, i);
    assert_int_equal(account->committed, 5 * 4096); /* kept until trim; one page beside them */
    assert_int_equal(weft_account_takes(account), 16);
    assert_int_equal(weft_account_puts(account), 16);
    weft_pool_fini(&pool);
}

/* ---- our own mistakes ---- */

static struct weft_pool victim;

static void put_wrongly(void *arg)
{
    weft_pool_put(&victim, *(uint32_t *)arg);
}

static void return_wrongly(void *arg)
{
    (void)!weft_pool_return(&victim, *(struct weft_handle *)arg);
}

static void fini_in_use(void *arg)
{
    (void)arg;
    weft_pool_fini(&victim);
}

/* An error in release, which leaves the pool whole; a trap in a checked build. shows MC-05, MC-06
 */
static void a_put_of_what_is_not_out_does_nothing(void **state)
{
    (void)state;
    assert_int_equal(weft_pool_init(&victim, account, 64, 4), 0);
    assert_int_equal(weft_pool_take(&victim), 0);
    assert_int_equal(weft_pool_take(&victim), 1);
    struct weft_handle stale = weft_pool_handle(&victim, 0);
    weft_pool_put(&victim, 0);
    uint32_t wrong[] = {0, 2, 4, 1000000, WEFT_POOL_NONE};
#ifdef WEFT_CHECKED
    for (size_t i = 0; i < WEFT_COUNT_OF(wrong); i++)
        assert_int_equal(death_of(put_wrongly, &wrong[i]), SIGILL);
    assert_int_equal(death_of(return_wrongly, &stale), SIGILL);
#else
    for (size_t i = 0; i < WEFT_COUNT_OF(wrong); i++)
        put_wrongly(&wrong[i]);
    return_wrongly(&stale);
    assert_int_equal(weft_pool_return(&victim, stale), WEFT_ESTALE);
    assert_int_equal(victim.misused, WEFT_COUNT_OF(wrong) + 2);
#endif
    assert_int_equal(weft_pool_used(&victim), 1);
    assert_int_equal(victim.free.count, 1);
    assert_int_equal(death_of(fini_in_use, NULL), SIGABRT);
    weft_pool_put(&victim, 1);
    weft_pool_fini(&victim);
    weft_pool_fini(&victim); /* a zeroed one is accepted */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define POOL_TEST(name) cmocka_unit_test_setup_teardown(name, open_ledger, close_ledger)
        POOL_TEST(capacity_succeeds_and_one_more_is_refused),
        POOL_TEST(a_freed_index_is_reused_next),
        POOL_TEST(slots_are_aligned),
        POOL_TEST(the_formula_is_what_is_mapped_and_no_more_can_be_touched),
        POOL_TEST(too_large_for_an_address_space),
        POOL_TEST(past_the_limit_nothing_is_reserved),
        POOL_TEST(trim_hands_back_the_pages_that_nobody_uses),
        POOL_TEST(a_shared_page_stays_while_a_neighbour_is_out),
        POOL_TEST(what_was_used_in_the_window_stays),
        POOL_TEST(a_step_stops_where_it_was_told),
        POOL_TEST(prefaulted_slots_are_there_and_booked),
        POOL_TEST(a_handle_is_stale_once_its_slot_was_put),
        POOL_TEST(commits_are_whole_pages),
        POOL_TEST(a_put_of_what_is_not_out_does_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
