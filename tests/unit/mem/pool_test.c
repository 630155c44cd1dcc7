/* pool_test.c - a pool of fixed capacity: LIFO, bounded, and booked to the byte. shows MC-05 */
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
    bool balanced = ledger.reserved == 0 && account->used == 0 && account->committed == 0;
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
    assert_int_equal(account->used, COUNT * 48); /* 40 rounded up to 16 */
    for (uint32_t i = 0; i < COUNT; i++) {       /* nobody wrote over a neighbour */
        unsigned char *slot = weft_pool_at(&pool, i);
        assert_int_equal(slot[0], i & 0xff);
        assert_int_equal(slot[39], i & 0xff);
        weft_pool_put(&pool, i);
    }
    assert_int_equal(account->used, 0);
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
        {4096, 1024, 4096 * 1024 + 4096},
        {4096, 1025, 4096 * 1025 + 2 * 4096},
        {100, 41, 2 * 4096 + 4096}, /* 112 * 41 = 4592 */
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

static void trim_gives_the_pages_back_once_nobody_uses_them(void **state)
{
    (void)state;
    enum { COUNT = 64 };
    struct weft_pool pool;
    size_t bytes = weft_pool_bytes(4096, COUNT);
    assert_int_equal(weft_pool_init(&pool, account, 4096, COUNT), 0);
    assert_int_equal(weft_pool_trim(&pool), 0); /* nothing was taken yet */
    for (uint32_t i = 0; i < COUNT; i++)
        memset(weft_pool_at(&pool, weft_pool_take(&pool)), 1, 4096);
    for (uint32_t i = 1; i < COUNT; i++)
        weft_pool_put(&pool, i);
    assert_int_equal(weft_pool_trim(&pool), 0); /* slot 0 is in use */
    assert_int_equal(account->committed, COUNT * 4096);
    weft_pool_put(&pool, 0);
    assert_true(resident_pages(pool.slots, bytes) >= COUNT);
    assert_int_equal(weft_pool_trim(&pool), COUNT * 4096);
    assert_int_equal(resident_pages(pool.slots, bytes), 0);
    assert_int_equal(account->committed, 0);
    assert_int_equal(account->reserved, bytes); /* still ours to touch */
    assert_int_equal(weft_pool_take(&pool), 0); /* and as new */
    weft_pool_put(&pool, 0);
    weft_pool_fini(&pool);
}

static void commits_are_whole_pages(void **state)
{
    (void)state;
    struct weft_pool pool;
    assert_int_equal(weft_pool_init(&pool, account, 1024, 16), 0);
    for (uint32_t i = 0; i < 16; i++) {
        assert_int_equal(weft_pool_take(&pool), i);
        assert_int_equal(account->committed, WEFT_ALIGN_UP((i + 1) * 1024, WEFT_PAGE_BYTES));
    }
    for (uint32_t i = 0; i < 16; i++)
        weft_pool_put(&pool, i);
    assert_int_equal(account->committed, 4 * 4096); /* kept until trim */
    weft_pool_fini(&pool);
}

/* ---- our own mistakes ---- */

static struct weft_pool victim;

static void put_out_of_range(void *arg)
{
    weft_pool_put(&victim, *(uint32_t *)arg);
}

static void put_too_often(void *arg)
{
    (void)arg;
    weft_pool_put(&victim, 0);
    weft_pool_put(&victim, 1);
    weft_pool_put(&victim, 0);
}

static void fini_in_use(void *arg)
{
    (void)arg;
    weft_pool_fini(&victim);
}

static void mistakes_abort(void **state)
{
    (void)state;
    assert_int_equal(weft_pool_init(&victim, account, 64, 4), 0);
    assert_int_equal(weft_pool_take(&victim), 0);
    assert_int_equal(weft_pool_take(&victim), 1);
    uint32_t wrong[] = {2, 4, 1000000, WEFT_POOL_NONE};
    for (size_t i = 0; i < WEFT_COUNT_OF(wrong); i++)
        assert_int_equal(death_of(put_out_of_range, &wrong[i]), SIGABRT);
    assert_int_equal(death_of(put_too_often, NULL), SIGABRT);
    assert_int_equal(death_of(fini_in_use, NULL), SIGABRT);
    weft_pool_put(&victim, 1);
    weft_pool_put(&victim, 0);
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
        POOL_TEST(trim_gives_the_pages_back_once_nobody_uses_them),
        POOL_TEST(commits_are_whole_pages),
        POOL_TEST(mistakes_abort),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
