/* slots_test.c - the connection table: lowest page first, pages given back, generations that go on.
 * shows MC-01 */
#include "unit.h"
#include "io/slots.h"
#include "mem/pool.h"
#include <sys/mman.h>

enum { COUNT = 1000, PAGE = 256, PAGES = 4 };

static struct weft_ledger ledger;
static struct weft_account *account;
static struct weft_slots slots;

static int open_table(void **state)
{
    (void)state;
    assert_int_equal(weft_ledger_init(&ledger, 0), 0);
    assert_int_equal(weft_account_open(&ledger, "connections", 0, &account), 0);
    assert_int_equal(weft_slots_init(&slots, account, COUNT), 0);
    assert_int_equal(WEFT_SLOTS_PER_PAGE, PAGE);
    return 0;
}

static int close_table(void **state)
{
    (void)state;
    weft_slots_fini(&slots);
    assert_int_equal(account->committed, 0);
    assert_int_equal(account->reserved, 0);
    weft_ledger_fini(&ledger);
    return 0;
}

static uint32_t take(void)
{
    uint32_t index = weft_slots_take(&slots);
    if (index != WEFT_POOL_NONE)
        slots.table[index].state = WEFT_SLOT_IDLE;
    return index;
}

static void take_all(void)
{
    while (take() != WEFT_POOL_NONE)
        ;
}

static void put_range(uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++)
        weft_slots_put(&slots, i);
}

static size_t trim_all(void)
{
    size_t bytes = 0;
    while (weft_slots_still(&slots))
        bytes += weft_slots_trim(&slots, SIZE_MAX);
    return bytes;
}

static size_t pages_here(void)
{
    unsigned char here[PAGES];
    size_t count = 0;
    assert_int_equal(mincore(slots.table, PAGES * WEFT_PAGE_BYTES, here), 0);
    for (size_t i = 0; i < PAGES; i++)
        count += here[i] & 1;
    return count;
}

static void every_slot_once(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < COUNT; i++)
        assert_int_equal(take(), i);
    assert_int_equal(take(), WEFT_POOL_NONE);
    assert_int_equal(slots.used, COUNT);
    assert_int_equal(weft_account_used(account), COUNT * 16);
    put_range(0, COUNT);
    assert_int_equal(slots.used, 0);
    assert_int_equal(weft_account_used(account), 0);
    assert_int_equal(slots.empty, PAGES);
}

static void the_lowest_page_first(void **state)
{
    (void)state;
    take_all();
    weft_slots_put(&slots, 700);
    weft_slots_put(&slots, 3);
    weft_slots_put(&slots, 300);
    assert_int_equal(take(), 3);
    assert_int_equal(take(), 300);
    assert_int_equal(take(), 700);
    assert_int_equal(take(), WEFT_POOL_NONE);
    put_range(0, COUNT);
}

static void walking_passes_over_what_is_free(void **state)
{
    (void)state;
    assert_int_equal(weft_slots_next(&slots, 0), WEFT_POOL_NONE);
    take_all();
    put_range(1, 600);
    put_range(601, COUNT);
    assert_int_equal(weft_slots_next(&slots, 0), 0);
    assert_int_equal(weft_slots_next(&slots, 1), 600);
    assert_int_equal(weft_slots_next(&slots, 601), WEFT_POOL_NONE);
    weft_slots_put(&slots, 0);
    weft_slots_put(&slots, 600);
}

static void empty_pages_go_after_a_window(void **state)
{
    (void)state;
    take_all();
    size_t peak = account->committed;
    assert_int_equal(pages_here(), PAGES);
    put_range(PAGE, COUNT);
    assert_int_equal(trim_all(), 0); /* a moment ago they were needed */
    weft_slots_age(&slots);
    assert_int_equal(trim_all(), 0);
    weft_slots_age(&slots);
    assert_int_equal(trim_all(), (PAGES - 1) * WEFT_PAGE_BYTES);
    assert_int_equal(pages_here(), 1);
    assert_int_equal(account->committed, peak - (PAGES - 1) * WEFT_PAGE_BYTES);
    assert_int_equal(slots.top, PAGE);
    put_range(0, PAGE);
    weft_slots_age(&slots);
    weft_slots_age(&slots);
    assert_int_equal(trim_all(), WEFT_PAGE_BYTES);
    assert_int_equal(slots.top, 0);
    assert_int_equal(slots.empty, 0);
    assert_false(weft_slots_still(&slots));
    take_all(); /* and all of it is there again */
    assert_int_equal(slots.used, COUNT);
    assert_int_equal(account->committed, peak);
    put_range(0, COUNT);
}

static void a_page_in_use_stays(void **state)
{
    (void)state;
    take_all();
    put_range(0, 2 * PAGE - 1);
    put_range(2 * PAGE, COUNT);
    weft_slots_age(&slots);
    weft_slots_age(&slots);
    assert_int_equal(weft_slots_trim(&slots, 1), WEFT_PAGE_BYTES); /* a page at least */
    assert_true(weft_slots_still(&slots));
    assert_int_equal(trim_all(), 2 * WEFT_PAGE_BYTES);
    assert_int_equal(slots.table[2 * PAGE - 1].state, WEFT_SLOT_IDLE);
    assert_int_equal(weft_slots_next(&slots, 0), 2 * PAGE - 1);
    weft_slots_put(&slots, 2 * PAGE - 1);
}

/* Who was given slot 5 before the page went must not be taken for who has it after. */
static void generations_go_on(void **state)
{
    (void)state;
    enum { ROUNDS = 500 };
    bool seen[1 << 16] = {false};
    for (int round = 0; round < ROUNDS; round++) {
        uint32_t index = WEFT_POOL_NONE;
        for (int i = 0; i < 6; i++)
            index = take();
        assert_int_equal(index, 5);
        uint16_t generation = slots.table[5].generation;
        assert_false(seen[generation]);
        seen[generation] = true;
        for (int reuse = 0; reuse < 3;
             reuse++) { /* slot 4 is used more often than its neighbours */
            weft_slots_put(&slots, 4);
            assert_int_equal(take(), 4);
        }
        put_range(0, 6);
        weft_slots_age(&slots);
        weft_slots_age(&slots);
        assert_int_equal(trim_all(), WEFT_PAGE_BYTES);
    }
}

int main(void)
{
#define TABLE_TEST(name) cmocka_unit_test_setup_teardown(name, open_table, close_table)
    const struct CMUnitTest tests[] = {
        TABLE_TEST(every_slot_once),
        TABLE_TEST(the_lowest_page_first),
        TABLE_TEST(walking_passes_over_what_is_free),
        TABLE_TEST(empty_pages_go_after_a_window),
        TABLE_TEST(a_page_in_use_stays),
        TABLE_TEST(generations_go_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
