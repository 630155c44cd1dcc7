/* history_test.c - what routes needed, quantiles of it, and what is made of them.
 * shows MC-15, GB-04 */
#include "unit.h"
#include "random.h"
#include "mem/history.h"

#include <math.h>
#include <stdlib.h>

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

static struct weft_ledger ledger;
static struct weft_account *account;
static struct weft_histories histories;
static struct weft_history_sum sum;
static uint64_t seed;

static int start(void **state)
{
    (void)state;
    seed = 88172645463325252u;
    return weft_ledger_init(&ledger, 0) || weft_account_open(&ledger, "history", 0, &account) ||
           weft_histories_init(&histories, account, 3);
}

static int stop(void **state)
{
    (void)state;
    weft_histories_fini(&histories);
    bool balanced = ledger.reserved == 0 && account->committed == 0 && account->used == 0;
    weft_ledger_fini(&ledger);
    return balanced ? 0 : -1;
}

static double uniform(void)
{
    return ((double)(next_random(&seed) >> 11) + 0.5) / 9007199254740992.0;
}

/* A log-normal number of bytes, the usual shape of such things. */
static size_t lognormal(double median, double sigma)
{
    double normal = sqrt(-2 * log(uniform())) * cos(2 * 3.14159265358979 * uniform());
    return (size_t)(median * exp(sigma * normal));
}

/* A history that knows nothing again, nor costs anything. */
static void forget(uint32_t route)
{
    struct weft_history *history = &histories.of[route];
    if (history->until_predict > 0) {
        weft_account_commit(account, -(ptrdiff_t)sizeof(*history));
        weft_account_unuse(account, sizeof(*history));
        histories.touched -= sizeof(*history);
    }
    memset(history, 0, sizeof(*history));
}

static void take_sum(uint32_t route)
{
    sum = (struct weft_history_sum){0};
    weft_history_sum_add(&sum, &histories.of[route]);
}

static int by_size(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

static void assert_within(double value, double truth, double below, double above)
{
    if (value < truth * (1 - below) || value > truth * (1 + above))
        fail_msg("%f is not near %f", value, truth);
}

static void nothing_is_known_at_first(void **state)
{
    (void)state;
    struct weft_history_prediction prediction;
    take_sum(0);
    weft_history_predict(&sum, &prediction);
    assert_int_equal(prediction.strategy, WEFT_HISTORY_UNKNOWN);
    assert_int_equal(prediction.first_class, 0);
    assert_int_equal(weft_history_propose(&sum), 0);
    assert_int_equal(weft_histories_first_class(&histories, 0), 0);
    assert_int_equal(account->used, 0);
    for (uint32_t i = 0; i < WEFT_HISTORY_SEEN_MIN - 1; i++)
        weft_histories_add(&histories, 0, 200 * KIB);
    assert_int_equal(weft_histories_first_class(&histories, 0), 0);
}

/* The bound that the table promises, for every size: never below, at most 3.2 % above. */
static void every_size_is_told_to_a_32nd(void **state)
{
    (void)state;
    for (size_t bytes = 1; bytes < 64 * MIB; bytes += 1 + bytes / 97) {
        const size_t two[] = {bytes, 100 * MIB}; /* so that the peak does not tell it */
        sum = (struct weft_history_sum){0};
        forget(0);
        weft_histories_add(&histories, 0, two[0]);
        weft_histories_add(&histories, 0, two[1]);
        take_sum(0);
        uint64_t half = weft_history_quantile(&sum, 0.5);
        assert_true(half >= bytes);
        assert_true(bytes <= 64 ? half == 64 : (double)half <= (double)bytes * 1.032);
        assert_int_equal(weft_history_quantile(&sum, 1), 100 * MIB);
    }
}

static void chunk_sizes_are_ends_of_buckets(void **state)
{
    (void)state;
    for (uint32_t class = 0; class < WEFT_CHUNK_CLASSES; class ++) {
        forget(1);
        for (int i = 0; i < 100; i++)
            weft_histories_add(&histories, 1, weft_chunk_bytes(class));
        struct weft_history_prediction prediction;
        take_sum(1);
        weft_history_predict(&sum, &prediction);
        assert_int_equal(prediction.p50, weft_chunk_bytes(class));
        assert_int_equal(prediction.first_class, class);
        assert_int_equal(prediction.strategy, WEFT_HISTORY_POOL);
    }
}

/* shows MC-15: predictions against the sorted truth. */
static void quantiles_are_within_ten_percent(void **state)
{
    (void)state;
    static size_t truth[16000];
    static const struct {
        double median, sigma;
    } shapes[] = {{700, 0.3}, {3000, 0.5}, {9000, 0.8}, {40000, 1.0}, {300000, 0.4}};
    for (size_t s = 0; s < WEFT_COUNT_OF(shapes); s++) {
        const size_t count = WEFT_COUNT_OF(truth);
        for (size_t i = 0; i < count; i++)
            weft_histories_add(&histories, 2, lognormal(shapes[s].median, shapes[s].sigma));
        for (size_t i = 0; i < count; i++) /* what comes afterwards */
            truth[i] = lognormal(shapes[s].median, shapes[s].sigma);
        qsort(truth, count, sizeof(truth[0]), by_size);
        take_sum(2);
        double p50 = (double)weft_history_quantile(&sum, 0.5);
        double p99 = (double)weft_history_quantile(&sum, 0.99);
        assert_within(p50, (double)truth[count / 2], 0.05, 0.08);
        assert_within(p99, (double)truth[count * 99 / 100], 0.1, 0.1);
        assert_true(weft_history_quantile(&sum, 0.999) > (uint64_t)p99);
    }
}

/* A load that shifts, up and down: after two windows nothing of the old one is left. */
static void a_shift_is_followed(void **state)
{
    (void)state;
    for (int i = 0; i < 20000; i++)
        weft_histories_add(&histories, 0, 3 * KIB);
    assert_int_equal(weft_histories_first_class(&histories, 0), 0);
    for (uint32_t i = 0; i < WEFT_HISTORY_WINDOW; i++)
        weft_histories_add(&histories, 0, 200 * KIB);
    assert_in_range(weft_histories_first_class(&histories, 0), 2, 3); /* up: soon */
    for (uint32_t i = 0; i < 2 * WEFT_HISTORY_WINDOW; i++)
        weft_histories_add(&histories, 0, 10 * KIB);
    take_sum(0);
    assert_int_equal(weft_history_quantile(&sum, 0.999), 10 * KIB);
    for (uint32_t i = 0; i < 1024; i++)
        weft_histories_add(&histories, 0, 10 * KIB);
    assert_int_equal(weft_histories_first_class(&histories, 0), 1);
    take_sum(0);
    assert_int_equal(sum.peak, 200 * KIB); /* the most ever is kept */
    assert_int_equal(sum.seen, 20000 + 3 * WEFT_HISTORY_WINDOW + 1024);
    assert_in_range(sum.total, WEFT_HISTORY_WINDOW, 2 * WEFT_HISTORY_WINDOW);
}

static struct weft_history_prediction learn(size_t much, size_t little, int much_percent)
{
    struct weft_history_prediction prediction;
    forget(0);
    for (int i = 0; i < 10000; i++)
        weft_histories_add(&histories, 0, i % 100 < much_percent ? much : little);
    take_sum(0);
    weft_history_predict(&sum, &prediction);
    return prediction;
}

static void each_use_has_its_strategy(void **state)
{
    (void)state;
    assert_int_equal(learn(0, 0, 0).strategy, WEFT_HISTORY_STACK);
    assert_int_equal(learn(900, 100, 50).strategy, WEFT_HISTORY_STACK);
    assert_int_equal(learn(3000, 100, 50).strategy, WEFT_HISTORY_POOL);
    struct weft_history_prediction prediction = learn(50 * KIB, 30 * KIB, 50);
    assert_int_equal(prediction.strategy, WEFT_HISTORY_POOL);
    assert_int_equal(prediction.first_class, 2);
    /* 3 of 100 need much: the others are not made to hold it */
    prediction = learn(200 * KIB, 3000, 3);
    assert_int_equal(prediction.strategy, WEFT_HISTORY_ARENA);
    assert_int_equal(prediction.first_class, 0);
    assert_in_range(prediction.p99, 200 * KIB, 207 * KIB);
    prediction = learn(3 * MIB, 2 * MIB, 50);
    assert_int_equal(prediction.strategy, WEFT_HISTORY_MAPPING);
    assert_int_equal(prediction.first_class, 4);
}

/* shows GB-04: a contract that the P99.9 and a quarter more keep, in whole chunks. */
static void a_contract_is_proposed(void **state)
{
    (void)state;
    (void)learn(50 * KIB, 30 * KIB, 50); /* 62.5 KiB: one of 64 */
    assert_int_equal(weft_history_propose(&sum), 64 * KIB);
    forget(0);
    for (int i = 0; i < 10000; i++)
        weft_histories_add(&histories, 0, 60 * KIB); /* 75 KiB: a second one */
    take_sum(0);
    assert_int_equal(weft_history_propose(&sum), 128 * KIB);
    forget(0);
    for (int i = 0; i < 10000; i++)
        weft_histories_add(&histories, 0, 0);
    take_sum(0);
    assert_int_equal(weft_history_propose(&sum), 4 * KIB);
}

static void text_brings_it_back(void **state)
{
    (void)state;
    static char text[WEFT_HISTORY_LINE_BYTES], again[WEFT_HISTORY_LINE_BYTES];
    for (int i = 0; i < 30000; i++)
        weft_histories_add(&histories, 1, i % 20 == 0 ? 0 : lognormal(20000, 2));
    take_sum(1);
    size_t len = weft_history_format(&sum, text, sizeof(text));
    assert_in_range(len, 100, sizeof(text));
    struct weft_history_sum read;
    const char *why_z = "";
    assert_int_equal(weft_history_parse(&read, weft_str_make(text, len), &why_z), 0);
    assert_memory_equal(&read, &sum, sizeof(sum));
    assert_int_equal(weft_history_format(&sum, again, 50), 0); /* no room */
    /* a line of every bucket fits */
    for (size_t i = 0; i < WEFT_HISTORY_BUCKETS; i++)
        sum.counts[i] = UINT32_MAX;
    sum.seen = sum.peak = UINT64_MAX;
    assert_in_range(weft_history_format(&sum, again, sizeof(again)), 5000, sizeof(again));
}

static void what_is_no_history_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "x 5 64:1",
                                      "5 x 64:1",
                                      "5 64",
                                      "5 64 64",
                                      "5 64 64:",
                                      "5 64 65:1",
                                      "5 64 64:0",
                                      "5 64 64:1,64:1",
                                      "5 64 64:6",
                                      "5 64 64:-1",
                                      "5 64 64:1;",
                                      "5 64 64:1 9",
                                      "5 64 64:99999999999"};
    struct weft_history_sum read;
    for (size_t i = 0; i < WEFT_COUNT_OF(bad); i++) {
        const char *why_z = NULL;
        weft_rc rc = weft_history_parse(&read, weft_str_z(bad[i]), &why_z);
        if (i == 3) { /* no buckets: seen long ago */
            assert_int_equal(rc, 0);
            continue;
        }
        assert_int_equal(rc, WEFT_ESYNTAX);
        assert_non_null(why_z);
    }
}

static void a_seed_is_shared_out(void **state)
{
    (void)state;
    for (int i = 0; i < 12345; i++)
        weft_histories_add(&histories, 0, i % 3 == 0 ? 10 * KIB : 50 * KIB);
    take_sum(0);
    struct weft_history_sum before = sum;
    struct weft_histories other;
    struct weft_history_sum after = {0};
    for (uint32_t part = 0; part < 3; part++) {
        assert_int_equal(weft_histories_init(&other, account, 1), 0);
        weft_histories_seed(&other, 0, &before, part, 3);
        assert_int_equal(weft_histories_first_class(&other, 0), 2); /* before any request */
        weft_history_sum_add(&after, &other.of[0]);
        weft_histories_fini(&other);
    }
    assert_int_equal(after.seen, before.seen);
    assert_int_equal(after.total, before.total);
    assert_int_equal(after.peak, before.peak);
    for (int q = 1; q < 100; q++)
        assert_int_equal(weft_history_quantile(&after, q / 100.0),
                         weft_history_quantile(&before, q / 100.0));
    /* what is older than two windows is gone, seeded or not */
    assert_int_equal(weft_histories_init(&other, account, 1), 0);
    weft_histories_seed(&other, 0, &before, 0, 1);
    for (uint32_t i = 0; i < 2 * WEFT_HISTORY_WINDOW; i++)
        weft_histories_add(&other, 0, 0);
    sum = (struct weft_history_sum){0};
    weft_history_sum_add(&sum, &other.of[0]);
    assert_int_equal(weft_history_quantile(&sum, 1), 0);
    weft_histories_fini(&other);
}

static void routes_beyond_the_table_have_none(void **state)
{
    (void)state;
    weft_histories_add(&histories, 3, 5 * KIB);
    weft_histories_add(&histories, UINT32_MAX, 5 * KIB);
    assert_int_equal(weft_histories_first_class(&histories, UINT32_MAX), 0);
    assert_int_equal(account->used, 0);
    assert_int_equal(weft_histories_bytes(WEFT_HISTORY_ROUTES_MAX), weft_histories_bytes(1000000));
    struct weft_histories none;
    assert_int_equal(weft_histories_init(&none, account, 0), 0);
    weft_histories_add(&none, 0, 1);
    assert_int_equal(weft_histories_first_class(&none, 0), 0);
    weft_histories_fini(&none);
}

static void what_is_touched_is_booked(void **state)
{
    (void)state;
    const size_t one = sizeof(struct weft_history), sum_bytes = sizeof(struct weft_history_sum);
    weft_histories_add(&histories, 0, 100);
    assert_int_equal(account->committed, one + sum_bytes);
    weft_histories_add(&histories, 0, 100);
    weft_histories_add(&histories, 2, 100);
    assert_int_equal(account->committed, 2 * one + sum_bytes);
    struct weft_histories early;
    assert_int_equal(weft_histories_init(&early, account, 100), 0);
    weft_histories_prefault(&early);
    size_t all = account->committed;
    assert_int_equal(all, 2 * one + sum_bytes + weft_histories_bytes(100));
    for (uint32_t i = 0; i < 100; i++)
        weft_histories_add(&early, i, 100);
    assert_int_equal(account->committed, all);
    weft_histories_fini(&early);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define HISTORY_TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
        HISTORY_TEST(nothing_is_known_at_first),
        HISTORY_TEST(every_size_is_told_to_a_32nd),
        HISTORY_TEST(chunk_sizes_are_ends_of_buckets),
        HISTORY_TEST(quantiles_are_within_ten_percent),
        HISTORY_TEST(a_shift_is_followed),
        HISTORY_TEST(each_use_has_its_strategy),
        HISTORY_TEST(a_contract_is_proposed),
        HISTORY_TEST(text_brings_it_back),
        HISTORY_TEST(what_is_no_history_is_refused),
        HISTORY_TEST(a_seed_is_shared_out),
        HISTORY_TEST(routes_beyond_the_table_have_none),
        HISTORY_TEST(what_is_touched_is_booked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
