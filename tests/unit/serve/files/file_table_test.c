/* file_table_test.c - entries, who goes first, what is in use stays, and pages for copies. */
#include "unit.h"
#include "base/str.h"
#include "serve/files/file_table.h"
#include <stdio.h>
#include <time.h>

static struct weft_ledger ledger;
static struct weft_account *account;
static struct weft_file_table table;
static int dropped, unwatched;

static void count_drop(struct weft_file_table *t, struct weft_file_entry *entry)
{
    assert_ptr_equal(t, &table);
    assert_false(entry->listed);
    dropped++;
    if (entry->watch != WEFT_FILE_UNWATCHED)
        unwatched += weft_file_table_unwatch(t, entry);
}

static const struct weft_file_options options = {
    .entries = 4, .hot_bytes = 8 * WEFT_PAGE_BYTES, .hot_file_bytes = 4 * WEFT_PAGE_BYTES};

static int make(void **state)
{
    (void)state;
    dropped = unwatched = 0;
    assert_int_equal(weft_ledger_init(&ledger, 0), 0);
    assert_int_equal(weft_account_open(&ledger, "open files", 0, &account), 0);
    assert_int_equal(weft_file_table_init(&table, &options, account, count_drop), 0);
    assert_int_equal(account->reserved, weft_file_table_bytes(&options));
    return 0;
}

static int unmake(void **state)
{
    (void)state;
    weft_file_table_fini(&table);
    assert_int_equal(account->reserved, 0);
    assert_int_equal(account->committed, 0);
    assert_int_equal(weft_account_used(account), 0);
    weft_ledger_fini(&ledger);
    return 0;
}

static struct weft_file_entry *add(const char *path_z, uint64_t size)
{
    struct weft_file_entry *entry = weft_file_table_add(&table, 3, weft_str_z(path_z), 1);
    if (entry != NULL)
        entry->file.size = size;
    return entry;
}

static struct weft_file_entry *find(const char *path_z)
{
    return weft_file_table_find(&table, 3, weft_str_z(path_z), 2);
}

static void found_by_root_and_path(void **state)
{
    (void)state;
    struct weft_file_entry *a = add("a", 1), *b = add("sub/b", 1);
    assert_ptr_equal(find("a"), a);
    assert_ptr_equal(find("sub/b"), b);
    assert_null(find("sub"));
    assert_null(find("sub/bb"));
    assert_null(weft_file_table_find(&table, 4, WEFT_S("a"), 2)); /* another root */
    assert_int_equal(a->hits, 1);
    assert_string_equal(b->key, "sub/b");
    weft_file_table_drop(&table, a);
    assert_null(find("a"));
    assert_int_equal(dropped, 1);
}

static void the_least_recently_used_goes(void **state)
{
    (void)state;
    char name[2] = "a";
    for (; name[0] <= 'd'; name[0]++)
        assert_non_null(add(name, 1));
    assert_non_null(find("a"));
    assert_non_null(add("e", 1));
    assert_int_equal(dropped, 1);
    assert_null(find("b"));
    assert_non_null(find("a"));
    assert_non_null(find("e"));
}

static void what_is_in_use_stays(void **state)
{
    (void)state;
    struct weft_file_entry *held[4];
    char name[2] = "a";
    for (int i = 0; i < 4; i++, name[0]++) {
        held[i] = add(name, 1);
        weft_file_table_ref(held[i]);
    }
    assert_null(add("e", 1));
    assert_int_equal(account->refused, 1);
    weft_file_table_drop(&table, held[0]);
    weft_file_table_drop(&table, held[0]); /* twice is once */
    assert_null(find("a"));
    assert_int_equal(dropped, 0);
    assert_null(add("e", 1));
    weft_file_table_unref(&table, held[0]);
    assert_int_equal(dropped, 1);
    assert_non_null(add("e", 1));
    for (int i = 1; i < 4; i++)
        weft_file_table_unref(&table, held[i]);
    assert_int_equal(dropped, 1);
}

static void a_copy_has_pages_of_its_own(void **state)
{
    (void)state;
    struct weft_file_entry *a = add("a", 5000), *b = add("b", 4096);
    size_t books = account->committed;
    char *to_a = weft_file_table_room(&table, a), *to_b = weft_file_table_room(&table, b);
    assert_non_null(to_a);
    assert_true(to_b >= to_a + 2 * WEFT_PAGE_BYTES);
    assert_null(a->file.body.ptr); /* not before it is there */
    memset(to_a, 'a', 5000);
    weft_file_table_copied(&table, a);
    assert_int_equal(a->file.body.len, 5000);
    assert_int_equal(account->committed, books + 3 * WEFT_PAGE_BYTES);
    weft_file_table_unroom(&table, b);
    assert_int_equal(table.pages_used, 2);
    weft_file_table_drop(&table, a);
    assert_int_equal(table.pages_used, 0);
    assert_false(weft_file_table_age(&table, UINT64_MAX));
    assert_int_equal(account->committed, books);
}

static void copies_make_room_for_a_copy(void **state)
{
    (void)state;
    struct weft_file_entry *a = add("a", 4 * WEFT_PAGE_BYTES), *b = add("b", 4 * WEFT_PAGE_BYTES);
    assert_non_null(weft_file_table_room(&table, a));
    assert_non_null(weft_file_table_room(&table, b));
    struct weft_file_entry *c = add("c", 1);
    weft_file_table_ref(c);
    weft_file_table_ref(a); /* in use: not it */
    assert_non_null(weft_file_table_room(&table, c));
    assert_null(find("b"));
    assert_non_null(find("a"));
    struct weft_file_entry *d =
        add("d", 4 * WEFT_PAGE_BYTES); /* the four pages are there, but for c */
    weft_file_table_ref(d);
    assert_null(weft_file_table_room(&table, d));
    d->file.size = 9 * WEFT_PAGE_BYTES;
    assert_null(weft_file_table_room(&table, d)); /* more than there ever is */
    weft_file_table_unref(&table, d);
    weft_file_table_unref(&table, c);
    weft_file_table_unref(&table, a);
}

static void refill(const struct weft_file_options *instead)
{
    weft_file_table_fini(&table);
    assert_int_equal(weft_file_table_init(&table, instead, account, count_drop), 0);
}

static struct weft_file_entry *add_numbered(uint32_t number)
{
    char name[8];
    snprintf(name, sizeof(name), "%u", number);
    return add(name, WEFT_PAGE_BYTES);
}

/* In search of an entry to drop 64 in use are passed over; the 65th is not asked. */
static void the_search_for_a_victim_has_an_end(void **state)
{
    (void)state;
    enum { LOOKS = 64, ALL = LOOKS + 1 };
    const struct weft_file_options some = {.entries = ALL};
    struct weft_file_entry *held[LOOKS];
    refill(&some);
    for (uint32_t i = 0; i < ALL; i++) {
        struct weft_file_entry *entry = add_numbered(i);
        if (i < LOOKS)
            weft_file_table_ref(held[i] = entry);
    }
    assert_null(add("more", 1));
    weft_file_table_unref(&table, held[LOOKS - 1]);
    assert_non_null(add("more", 1));
    assert_int_equal(dropped, 1);
    for (uint32_t i = 0; i + 1 < LOOKS; i++)
        weft_file_table_unref(&table, held[i]);
}

static void a_copy_costs_so_many_and_no_more(void **state)
{
    (void)state;
    enum { COST = 64, PAGES = 2 * COST };
    const struct weft_file_options many = {.entries = PAGES + 2,
                                           .hot_bytes = PAGES * WEFT_PAGE_BYTES,
                                           .hot_file_bytes = PAGES * WEFT_PAGE_BYTES};
    refill(&many);
    for (uint32_t i = 0; i < PAGES; i++)
        assert_non_null(weft_file_table_room(&table, add_numbered(i)));
    struct weft_file_entry *large = add("large", (COST + 1) * WEFT_PAGE_BYTES);
    weft_file_table_ref(large);
    uint64_t refused = account->refused;
    assert_null(weft_file_table_room(&table, large));
    assert_int_equal(dropped, COST);
    assert_int_equal(account->refused, refused + 1);
    large->file.size = COST * WEFT_PAGE_BYTES;
    assert_non_null(weft_file_table_room(&table, large));
    assert_int_equal(dropped, COST);
    weft_file_table_unref(&table, large);
}

static void what_nobody_asked_for_goes(void **state)
{
    (void)state;
    add("a", 1);
    add("b", 1);
    assert_non_null(find("b")); /* at 2 */
    assert_true(weft_file_table_age(&table, 2));
    assert_null(find("a"));
    assert_non_null(find("b"));
    assert_false(weft_file_table_age(&table, 3));
    assert_int_equal(dropped, 2);
}

static void a_watch_may_be_shared(void **state)
{
    (void)state;
    struct weft_file_entry *a = add("a", 1), *b = add("b", 1), *c = add("c", 1);
    weft_file_table_watch(&table, a, 7);
    weft_file_table_watch(&table, b, 7);
    weft_file_table_watch(&table, c, 7 + 8); /* in the same bucket */
    weft_file_table_drop(&table, a);
    assert_int_equal(unwatched, 0);
    assert_int_equal(weft_file_table_drop_watched(&table, 7), 1);
    assert_int_equal(unwatched, 1);
    assert_non_null(find("c"));
    assert_int_equal(weft_file_table_drop_watched(&table, 7), 0);
    assert_int_equal(weft_file_table_drop_watched(&table, WEFT_FILE_UNWATCHED), 1);
    assert_null(find("c"));
    assert_int_equal(unwatched, 2);
}

/* One that is in use and no longer found keeps its watch until it is given back. */
static void a_watch_ends_with_its_last_user(void **state)
{
    (void)state;
    struct weft_file_entry *a = add("a", 1);
    weft_file_table_watch(&table, a, 7);
    weft_file_table_ref(a);
    assert_int_equal(weft_file_table_drop_watched(&table, 7), 1);
    assert_int_equal(weft_file_table_drop_watched(&table, 7), 0);
    struct weft_file_entry *again = add("a", 1);
    weft_file_table_watch(&table, again, 7);
    weft_file_table_unref(&table, a);
    assert_int_equal(unwatched, 0); /* the other one needs it */
    weft_file_table_drop(&table, again);
    assert_int_equal(unwatched, 1);
}

/* As many as the setting allows, all watched and all idle: a turn, and not minutes. */
static void the_most_there_may_be_go_at_once(void **state)
{
    (void)state;
    const struct weft_file_options many = {.entries = 65536};
    refill(&many);
    for (uint32_t i = 0; i < many.entries; i++) {
        weft_file_table_watch(&table, add_numbered(i), (int)i + 1);
    }
    time_t before = time(NULL);
    assert_false(weft_file_table_age(&table, 2));
    assert_true(time(NULL) - before <= 5);
    assert_int_equal(unwatched, many.entries);
}

/* Whatever happens, pages belong to one copy each and the figures add up. */
static void any_order_adds_up(void **state)
{
    (void)state;
    uint32_t random = 1;
    for (int i = 0; i < 20000; i++) {
        random = random * 1664525 + 1013904223;
        char name[8];
        snprintf(name, sizeof(name), "f%u", random >> 28);
        struct weft_file_entry *entry = find(name);
        if (entry == NULL)
            entry = add(name, 1 + (random >> 8) % (4 * WEFT_PAGE_BYTES));
        assert_non_null(entry);
        weft_file_table_ref(entry);
        if (entry->pages == 0 && weft_file_table_room(&table, entry) != NULL)
            weft_file_table_copied(&table, entry);
        weft_file_table_unref(&table, entry);
        if ((random >> 20) % 16 == 0)
            weft_file_table_drop(&table, entry);
        uint32_t pages = 0;
        for (uint32_t e = 0; e < table.fresh; e++)
            pages += table.entries[e].listed ? table.entries[e].pages : 0;
        assert_int_equal(pages, table.pages_used);
        assert_true(table.used <= options.entries);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(found_by_root_and_path, make, unmake),
        cmocka_unit_test_setup_teardown(the_least_recently_used_goes, make, unmake),
        cmocka_unit_test_setup_teardown(what_is_in_use_stays, make, unmake),
        cmocka_unit_test_setup_teardown(a_copy_has_pages_of_its_own, make, unmake),
        cmocka_unit_test_setup_teardown(copies_make_room_for_a_copy, make, unmake),
        cmocka_unit_test_setup_teardown(the_search_for_a_victim_has_an_end, make, unmake),
        cmocka_unit_test_setup_teardown(a_copy_costs_so_many_and_no_more, make, unmake),
        cmocka_unit_test_setup_teardown(what_nobody_asked_for_goes, make, unmake),
        cmocka_unit_test_setup_teardown(a_watch_may_be_shared, make, unmake),
        cmocka_unit_test_setup_teardown(a_watch_ends_with_its_last_user, make, unmake),
        cmocka_unit_test_setup_teardown(the_most_there_may_be_go_at_once, make, unmake),
        cmocka_unit_test_setup_teardown(any_order_adds_up, make, unmake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
