/* region_test.c - blocks of any size in one mapping: exact, whole, booked, and pages that go back.
 */
#include "unit.h"
#include "mem/region.h"
#include <stdlib.h>
#include <sys/mman.h>

#define BYTES ((size_t)1 << 20)

static struct weft_ledger ledger;
static struct weft_account *account;
static struct weft_region region;
static char *memory;

static int open_region(void **state)
{
    (void)state;
    if (weft_ledger_init(&ledger, 0) != 0 || weft_account_open(&ledger, "region", 0, &account) != 0)
        return -1;
    memory = weft_map(weft_region_bytes(BYTES));
    if (memory == NULL)
        return -1;
    weft_region_init(&region, account, memory, BYTES);
    return 0;
}

static int close_region(void **state)
{
    (void)state;
    weft_region_fini(&region);
    munmap(memory, weft_region_bytes(BYTES));
    bool balanced = weft_account_used(account) == 0 && account->committed == 0;
    weft_ledger_fini(&ledger);
    return balanced ? 0 : -1;
}

static void it_is_full_to_the_byte(void **state)
{
    (void)state;
    enum { COUNT = BYTES / 128 };
    static void *blocks[COUNT];
    assert_int_equal(weft_region_cost(120), 128);
    assert_int_equal(weft_region_cost(121), 144);
    for (size_t i = 0; i < COUNT; i++) {
        blocks[i] = weft_region_take(&region, 120);
        assert_non_null(blocks[i]);
        assert_int_equal((uintptr_t)blocks[i] % 8, 0);
        assert_int_equal(weft_region_size(blocks[i]), 128);
        assert_ptr_equal(weft_region_at(&region, weft_region_place(&region, blocks[i])), blocks[i]);
        memset(blocks[i], (int)i, 120);
    }
    assert_int_equal(region.used, BYTES);
    assert_null(weft_region_take(&region, 1));
    for (size_t i = 0; i < COUNT; i++) { /* nobody wrote over a neighbour */
        assert_int_equal(((unsigned char *)blocks[i])[0], i & 0xff);
        assert_int_equal(((unsigned char *)blocks[i])[119], i & 0xff);
        weft_region_put(&region, blocks[i]);
    }
    void *all = weft_region_take(&region, BYTES - 8); /* one piece again */
    assert_non_null(all);
    assert_null(weft_region_take(&region, 1));
    weft_region_put(&region, all);
    assert_null(weft_region_take(&region, BYTES));
    assert_null(weft_region_take(&region, SIZE_MAX - 64));
    assert_int_equal(account->peak, BYTES);
}

/* Sizes that are no class's first: what is free is found although its class has shorter ones. */
static void an_exact_hole_is_found(void **state)
{
    (void)state;
    void *hole = weft_region_take(&region, 1000);
    void *wall = weft_region_take(&region, 100);
    void *rest = weft_region_take(&region, BYTES - 1008 - 112 - 8);
    assert_non_null(rest);
    weft_region_put(&region, hole);
    assert_ptr_equal(weft_region_take(&region, 1000), hole);
    weft_region_put(&region, hole);
    weft_region_put(&region, wall);
    weft_region_put(&region, rest);
}

#define SLOTS 300

struct piece {
    unsigned char *block;
    size_t bytes;
    unsigned char mark;
};

static size_t some_bytes(void)
{
    size_t kind = (size_t)rand() % 10;
    return 1 + (size_t)rand() % (kind < 7 ? 200 : kind < 9 ? 5000 : 60000);
}

static void drop(struct piece *piece)
{
    for (size_t i = 0; i < piece->bytes; i++)
        assert_int_equal(piece->block[i], piece->mark);
    weft_region_put(&region, piece->block);
    piece->block = NULL;
}

static void any_order_of_any_size(void **state)
{
    (void)state;
    static struct piece pieces[SLOTS];
    size_t used = 0;
    srand(7);
    for (int turn = 0; turn < 60000; turn++) {
        struct piece *piece = &pieces[rand() % SLOTS];
        if (piece->block != NULL) {
            used -= weft_region_cost(piece->bytes);
            drop(piece);
        } else {
            size_t bytes = some_bytes();
            piece->block = weft_region_take(&region, bytes);
            if (piece->block == NULL)
                continue;
            piece->bytes = bytes;
            piece->mark = (unsigned char)turn;
            memset(piece->block, piece->mark, bytes);
            used += weft_region_cost(bytes);
        }
        assert_int_equal(region.used, used);
        assert_int_equal(weft_account_used(account), used);
        if (turn % 1000 == 0)
            weft_region_trim(&region, turn % 3000 == 0 ? 4096 : SIZE_MAX);
    }
    for (size_t i = 0; i < SLOTS; i++)
        if (pieces[i].block != NULL)
            drop(&pieces[i]);
    assert_int_equal(region.used, 0);
    void *all = weft_region_take(&region, BYTES - 8);
    assert_non_null(all);
    weft_region_put(&region, all);
}

static size_t pages_present(void)
{
    static unsigned char seen[BYTES / 4096];
    size_t pages = 0;
    assert_int_equal(mincore(memory, BYTES, seen), 0);
    for (size_t i = 0; i < sizeof(seen); i++)
        pages += seen[i] & 1;
    return pages;
}

static void pages_go_back(void **state)
{
    (void)state;
    size_t before = account->committed;
    char *low = weft_region_take(&region, 300000), *high = weft_region_take(&region, 300000);
    memset(low, 1, 300000);
    memset(high, 2, 300000);
    assert_true(pages_present() >= 146);
    assert_true(account->committed - before >= 146 * 4096);
    weft_region_put(&region, low);
    assert_in_range(weft_region_trim(&region, SIZE_MAX), 70 * 4096, 74 * 4096);
    assert_int_equal(weft_region_trim(&region, SIZE_MAX), 0);
    assert_in_range(pages_present(), 74, 78);
    assert_int_equal(high[0], 2);
    assert_int_equal(high[299999], 2);
    weft_region_put(&region, high);
    (void)weft_region_trim(&region, SIZE_MAX);
    assert_int_equal(pages_present(), 1); /* the head of the one free block */
    assert_int_equal(account->committed, before);
}

static void all_pages_at_once(void **state)
{
    (void)state;
    size_t before = account->committed;
    assert_int_equal(weft_region_prefault(&region), 0);
    assert_int_equal(pages_present(), BYTES / 4096);
    assert_int_equal(account->committed - before, BYTES - 4096);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_is_full_to_the_byte, open_region, close_region),
        cmocka_unit_test_setup_teardown(an_exact_hole_is_found, open_region, close_region),
        cmocka_unit_test_setup_teardown(any_order_of_any_size, open_region, close_region),
        cmocka_unit_test_setup_teardown(pages_go_back, open_region, close_region),
        cmocka_unit_test_setup_teardown(all_pages_at_once, open_region, close_region),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
