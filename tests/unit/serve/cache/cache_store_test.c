/* cache_store_test.c - entries and bytes that are never passed, who goes first, time, borrowers.
 * shows CA-02, CA-04 */
#include "unit.h"
#include "base/fmt.h"
#include "base/hash.h"
#include "serve/cache/cache_store.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define FOREVER WEFT_CACHE_NEVER

static struct weft_ledger ledger;
static struct weft_account *account;
static struct weft_cache_store store;
static void *memory;
static size_t memory_bytes;
static const struct weft_hash_key hash_key = {1, 2};

static void open_store(enum weft_cache_policy policy, uint32_t entries_max, size_t bytes_max)
{
    struct weft_cache_limits limits = {entries_max, bytes_max, bytes_max, policy};
    memory_bytes = weft_cache_store_bytes(&limits);
    assert_true(memory_bytes > 0);
    assert_int_equal(weft_ledger_init(&ledger, 0), 0);
    assert_int_equal(weft_account_open(&ledger, "cache", 0, &account), 0);
    memory = weft_map(memory_bytes);
    assert_non_null(memory);
    weft_cache_store_init(&store, account, memory, &limits);
}

static void close_store(void)
{
    weft_cache_store_fini(&store);
    assert_int_equal(weft_account_used(account), 0);
    assert_int_equal(account->committed, 0);
    munmap(memory, memory_bytes);
    weft_ledger_fini(&ledger);
}

static weft_str key_of(uint64_t number)
{
    static char text[24];
    return (weft_str){text, weft_fmt(text, sizeof(text), "key-%llu", (unsigned long long)number)};
}

static weft_rc put(uint64_t number, size_t bytes, uint64_t ttl_ms, uint64_t now_ms)
{
    weft_str key = key_of(number);
    struct weft_cache_entry *entry = NULL;
    weft_rc rc =
        weft_cache_store_reserve(&store, weft_hash(&hash_key, key), key, bytes, now_ms, &entry);
    if (rc != 0)
        return rc;
    memset(weft_cache_entry_value(entry), (int)number, bytes);
    rc = weft_cache_store_publish(&store, entry, ttl_ms, now_ms);
    weft_cache_store_unref(&store, entry);
    return rc;
}

static struct weft_cache_entry *find(uint64_t number, uint64_t now_ms)
{
    weft_str key = key_of(number);
    return weft_cache_store_find(&store, weft_hash(&hash_key, key), key, now_ms);
}

static bool has(uint64_t number, uint64_t now_ms)
{
    struct weft_cache_entry *entry = find(number, now_ms);
    if (entry == NULL)
        return false;
    const char *value = weft_cache_entry_value(entry);
    for (uint32_t i = 0; i < entry->value_bytes; i++)
        assert_int_equal(value[i], (char)number);
    weft_cache_store_unref(&store, entry);
    return true;
}

static void no_insert_keeps_the_first(void **state)
{
    (void)state;
    open_store(WEFT_CACHE_NO_INSERT, 1000, 1 << 20);
    for (uint64_t i = 0; i < 1500; i++)
        assert_int_equal(put(i, 40, FOREVER, 0), i < 1000 ? 0 : WEFT_EFULL);
    assert_int_equal(store.count, 1000);
    for (uint64_t i = 0; i < 1500; i++)
        assert_int_equal(has(i, 0), i < 1000);
    assert_int_equal(put(7, 50, FOREVER, 0), 0); /* who is there may be replaced */
    assert_int_equal(store.count, 1000);
    assert_int_equal(store.refused, 500);
    assert_int_equal(store.evicted, 0);
    close_store();
}

static void no_insert_goes_on_when_time_has_passed(void **state)
{
    (void)state;
    open_store(WEFT_CACHE_NO_INSERT, 10, 1 << 16);
    for (uint64_t i = 0; i < 10; i++)
        assert_int_equal(put(i, 40, i < 5 ? 100 : FOREVER, 0), 0);
    assert_int_equal(put(20, 40, FOREVER, 99), WEFT_EFULL);
    assert_int_equal(put(20, 40, FOREVER, 100), 0);
    assert_true(store.count <= 10);
    assert_true(has(20, 100));
    assert_false(has(0, 100));
    assert_true(has(9, 100));
    close_store();
}

/* Whatever is put, in whatever sizes: neither figure is passed, and every value is whole. */
static void caps_hold(void **state)
{
    (void)state;
    static const enum weft_cache_policy policies[] = {WEFT_CACHE_S3_FIFO, WEFT_CACHE_LRU,
                                                      WEFT_CACHE_NO_INSERT};
    for (size_t p = 0; p < WEFT_COUNT_OF(policies); p++) {
        enum { BYTES = 100000 };
        open_store(policies[p], 200, BYTES);
        srand(11);
        for (int turn = 0; turn < 20000; turn++) {
            uint64_t number = (uint64_t)(rand() % 600), now_ms = (uint64_t)turn;
            if (has(number, now_ms))
                continue;
            size_t bytes = (size_t)rand() % (turn % 50 == 0 ? 20000 : 1000);
            weft_rc rc = put(number, bytes, rand() % 3 == 0 ? 500 : FOREVER, now_ms);
            assert_true(rc == 0 || (policies[p] == WEFT_CACHE_NO_INSERT && rc == WEFT_EFULL));
            if (turn % 100 == 0)
                weft_cache_store_sweep(&store, now_ms, 64);
            if (turn % 1000 == 0)
                (void)weft_region_trim(&store.region, SIZE_MAX);
            assert_true(store.count <= 200);
            assert_true(weft_account_used(account) <= BYTES);
            assert_int_equal(weft_account_used(account), store.small.bytes + store.main.bytes);
        }
        assert_true(account->peak > BYTES / 10 * 9);
        close_store();
    }
}

/* The byte cap is exact: entries that fill it to the last byte are all there, one more is not. */
static void the_byte_cap_is_exact(void **state)
{
    (void)state;
    enum { COUNT = 64, EACH = 1024 };
    open_store(WEFT_CACHE_NO_INSERT, 1000, (size_t)COUNT * EACH);
    for (uint64_t i = 10; i < 10 + COUNT; i++) /* keys of 6 bytes */
        assert_int_equal(put(i, EACH - 8 - WEFT_CACHE_ENTRY_HEAD_BYTES - 6, FOREVER, 0), 0);
    assert_int_equal(weft_account_used(account), COUNT * EACH);
    assert_int_equal(put(90, 1, FOREVER, 0), WEFT_EFULL);
    for (uint64_t i = 10; i < 10 + COUNT; i++)
        assert_true(has(i, 0));
    close_store();
}

static void lru_drops_what_was_not_asked_for(void **state)
{
    (void)state;
    open_store(WEFT_CACHE_LRU, 4, 1 << 16);
    for (uint64_t i = 0; i < 4; i++)
        assert_int_equal(put(i, 10, FOREVER, 0), 0);
    assert_true(has(0, 0));
    assert_int_equal(put(4, 10, FOREVER, 0), 0);
    assert_false(has(1, 0));
    assert_true(has(0, 0) && has(2, 0) && has(3, 0) && has(4, 0));
    close_store();
}

/* A scan of keys that come once does not push out what is asked for again and again. */
static void s3_fifo_lets_a_scan_pass(void **state)
{
    (void)state;
    open_store(WEFT_CACHE_S3_FIFO, 100, 1 << 20);
    for (int round = 0; round < 4; round++)
        for (uint64_t i = 0; i < 50; i++)
            if (!has(i, 0))
                assert_int_equal(put(i, 10, FOREVER, 0), 0);
    for (uint64_t i = 1000; i < 3000; i++)
        assert_int_equal(put(i, 10, FOREVER, 0), 0);
    for (uint64_t i = 0; i < 50; i++)
        assert_true(has(i, 0));
    assert_int_equal(store.count, 100);
    close_store();
}

static void a_ghost_comes_back_to_the_main_queue(void **state)
{
    (void)state;
    open_store(WEFT_CACHE_S3_FIFO, 20, 1 << 20);
    for (uint64_t i = 0; i < 25; i++)
        assert_int_equal(put(i, 10, FOREVER, 0), 0);
    assert_false(has(0, 0));
    assert_int_equal(put(0, 10, FOREVER, 0), 0);
    assert_int_equal(store.main.count, 1);
    close_store();
}

static void time_ends_them(void **state)
{
    (void)state;
    open_store(WEFT_CACHE_LRU, 10, 1 << 16);
    weft_str key = key_of(1);
    uint64_t hash = weft_hash(&hash_key, key);
    assert_int_equal(put(1, 10, 1000, 50), 0);
    assert_true(has(1, 1049));
    assert_false(has(1, 1050));
    assert_int_equal(weft_cache_store_last_ttl(&store, hash, key_of(1)), 1000);
    assert_int_equal(weft_cache_store_sweep(&store, 2049, UINT32_MAX), 0); /* its ttl is known */
    assert_int_equal(weft_cache_store_sweep(&store, 2050, UINT32_MAX), 1);
    assert_int_equal(weft_cache_store_last_ttl(&store, hash, key_of(1)), 0);
    assert_int_equal(store.count, 0);
    assert_int_equal(put(2, 10, FOREVER - 1, 50), 0); /* no overflow */
    assert_true(has(2, FOREVER - 1));
    close_store();
}

static void borrowers_keep_what_they_have(void **state)
{
    (void)state;
    open_store(WEFT_CACHE_LRU, 2, 8192);
    assert_int_equal(put(1, 3000, FOREVER, 0), 0);
    struct weft_cache_entry *entry = find(1, 0);
    assert_int_equal(put(1, 3000, FOREVER, 0), 0); /* replaced: both are there */
    assert_true(weft_account_used(account) > 6000);
    assert_int_equal(weft_cache_entry_value(entry)[2999], 1);
    weft_str key = key_of(1);
    assert_true(weft_cache_store_remove(&store, weft_hash(&hash_key, key), key));
    assert_false(has(1, 0));
    assert_int_equal(put(2, 6000, FOREVER, 0), WEFT_EFULL); /* its bytes count still */
    weft_cache_store_unref(&store, entry);
    assert_int_equal(put(2, 6000, FOREVER, 0), 0);
    entry = find(2, 0);
    assert_int_equal(put(3, 6000, FOREVER, 0),
                     WEFT_EFULL); /* nobody may go: it ends all the same */
    weft_cache_store_unref(&store, entry);
    close_store();
}

static void an_old_value_does_not_outlive_a_new_one(void **state)
{
    (void)state;
    open_store(WEFT_CACHE_NO_INSERT, 10, 8192);
    assert_int_equal(put(1, 5000, FOREVER, 0), 0);
    assert_int_equal(put(1, 6000, FOREVER, 0), 0); /* only without the old one */
    assert_int_equal(store.count, 1);
    assert_int_equal(put(1, 8193, FOREVER, 0), WEFT_ELIMIT);
    assert_false(has(1, 0));
    close_store();
}

/* One insertion drops so many, however long it is; the next goes on. */
static void evictions_have_a_limit(void **state)
{
    (void)state;
    open_store(WEFT_CACHE_LRU, 4000, 2000 * 64);
    for (uint64_t i = 1000; i < 3000; i++)
        assert_int_equal(put(i, 1, FOREVER, 0), 0);
    assert_int_equal(store.count, 2000);
    assert_int_equal(put(1, 100000, FOREVER, 0), WEFT_EFULL);
    assert_int_equal(store.count, 2000 - WEFT_CACHE_EVICTIONS_MAX);
    assert_int_equal(put(1, 100000, FOREVER, 0), 0);
    assert_true(has(1, 0));
    close_store();
}

static void limits_out_of_range(void **state)
{
    (void)state;
    struct weft_cache_limits limits = {0, 8192, 100, WEFT_CACHE_LRU};
    assert_int_equal(weft_cache_store_bytes(&limits), 0);
    limits.entries_max = 10;
    limits.bytes_max = 100;
    assert_int_equal(weft_cache_store_bytes(&limits), 0);
    limits.bytes_max = 8192;
    assert_int_equal(weft_cache_store_bytes(&limits), 512 * 8 + 8192 + 4096);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_insert_keeps_the_first),
        cmocka_unit_test(no_insert_goes_on_when_time_has_passed),
        cmocka_unit_test(caps_hold),
        cmocka_unit_test(the_byte_cap_is_exact),
        cmocka_unit_test(lru_drops_what_was_not_asked_for),
        cmocka_unit_test(s3_fifo_lets_a_scan_pass),
        cmocka_unit_test(a_ghost_comes_back_to_the_main_queue),
        cmocka_unit_test(time_ends_them),
        cmocka_unit_test(borrowers_keep_what_they_have),
        cmocka_unit_test(an_old_value_does_not_outlive_a_new_one),
        cmocka_unit_test(evictions_have_a_limit),
        cmocka_unit_test(limits_out_of_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
