/* cache_threads_test.c - threads at one part: every value found is whole, nothing is lost or
 * passed, under each policy. Run it under the thread sanitizer, too. shows CA-03 */
#include "unit.h"
#include "base/hash.h"
#include "serve/cache/cache.h"
#include "serve/cache/cache_priv.h"
#include <pthread.h>

#define THREADS 3
#define TURNS   20000
#define KEYS    400

WEFT_CACHE(shared, .entries_max = 200, .bytes_max = 64 << 10);

struct hammer {
    pthread_t thread;
    uint32_t seed;
    size_t hits, puts, removes;
    bool torn;
};

static uint32_t roll(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* The first byte says what all the others are. */
static bool is_whole(struct weft_cache_entry *entry)
{
    const char *value = weft_cache_entry_value(entry);
    for (uint32_t i = 0; i < entry->value_bytes; i++)
        if (value[i] != value[0])
            return false;
    return true;
}

static void put(struct weft_cache_part *part, struct hammer *hammer, uint64_t hash, weft_str key,
                uint64_t now_ms)
{
    struct weft_cache_entry *entry = NULL;
    uint64_t evicted;
    size_t bytes = 20 + roll(&hammer->seed) % 600;
    if (weft_cache_part_reserve(part, hash, key, bytes, now_ms, &evicted, &entry) != 0)
        return;
    memset(weft_cache_entry_value(entry), (int)roll(&hammer->seed), bytes); /* beside the others */
    weft_cache_part_write(part);
    weft_rc rc = weft_cache_store_publish(&part->store, entry, 50, now_ms);
    weft_cache_part_unlock(part);
    hammer->puts += rc == 0;
    weft_cache_part_give_back(part, entry);
}

static void turn_once(struct weft_cache_part *part, struct hammer *hammer, uint64_t now_ms)
{
    uint32_t number = roll(&hammer->seed) % KEYS * (roll(&hammer->seed) % 2);
    weft_str key = {(const char *)&number, sizeof(number)};
    uint64_t hash = weft_hash(&shared.parts->key, key);
    struct weft_cache_entry *entry = weft_cache_part_find(part, hash, key, now_ms);
    if (entry != NULL) {
        hammer->hits++;
        hammer->torn |= !is_whole(entry);
        weft_cache_part_give_back(part, entry);
    } else {
        put(part, hammer, hash, key, now_ms);
    }
    if (roll(&hammer->seed) % 16 == 0) {
        weft_cache_part_write(part);
        if (part->memory != NULL)
            hammer->removes += weft_cache_store_remove(&part->store, hash, key);
        weft_cache_part_unlock(part);
    }
}

static void *work(void *arg)
{
    struct hammer *hammer = arg;
    for (uint64_t turn = 0; turn < TURNS; turn++) {
        turn_once(&shared.parts->parts[0], hammer, turn / 10);
        if (turn % 256 == 0) {
            (void)weft_cache_reclaim(&shared, turn / 10, SIZE_MAX, 0);
            hammer->torn |= weft_cache_stats_of(&shared).entries > 200;
        }
    }
    return NULL;
}

static void hammer_with(enum weft_cache_policy policy)
{
    struct weft_ledger ledger;
    struct hammer hammers[THREADS] = {{0}};
    shared.policy = policy;
    assert_int_equal(weft_ledger_init(&ledger, 0), 0);
    struct weft_cache_options options = {.ledger = &ledger, .workers = THREADS};
    assert_int_equal(weft_cache_open(&shared, &options), 0);
    struct weft_account *account = shared.parts->parts[0].account;
    for (uint32_t i = 0; i < THREADS; i++) {
        hammers[i].seed = 7 * i + 1;
        assert_int_equal(pthread_create(&hammers[i].thread, NULL, work, &hammers[i]), 0);
    }
    size_t hits = 0;
    for (uint32_t i = 0; i < THREADS; i++) {
        pthread_join(hammers[i].thread, NULL);
        assert_false(hammers[i].torn);
        hits += hammers[i].hits;
        assert_true(hammers[i].puts > 0 && hammers[i].removes > 0);
    }
    assert_true(hits > 0);
    assert_true(account->peak <= 64 << 10);
    weft_cache_stats stats = weft_cache_stats_of(&shared);
    const struct weft_cache_store *store = &shared.parts->parts[0].store;
    assert_int_equal(stats.bytes, store->small.bytes + store->main.bytes); /* nothing is borrowed */
    assert_int_equal(stats.entries, store->small.count + store->main.count);
    weft_cache_close(&shared);
    assert_int_equal(account->committed, 0);
    assert_int_equal(account->reserved, 0);
    weft_ledger_fini(&ledger);
}

static void threads_at_s3_fifo(void **state)
{
    (void)state;
    hammer_with(WEFT_CACHE_S3_FIFO);
}

static void threads_at_lru(void **state)
{
    (void)state;
    hammer_with(WEFT_CACHE_LRU);
}

static void threads_at_no_insert(void **state)
{
    (void)state;
    hammer_with(WEFT_CACHE_NO_INSERT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_at_s3_fifo),
        cmocka_unit_test(threads_at_lru),
        cmocka_unit_test(threads_at_no_insert),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
