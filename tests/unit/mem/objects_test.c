/* objects_test.c - pools of objects that a program declares: fixed, typed, by handle.
 * shows MC-05, MC-06, MC-32, MC-33 */
#include "unit.h"
#include "death.h"
#include "base/log.h"
#include "mem/objects.h"
#include <malloc.h>
#include <pthread.h>

struct thing {
    uint64_t number;
    char name[50];
};

static int inits, resets, finis;

static void init(void *object)
{
    struct thing *thing = object;
    assert_int_equal(thing->number, 0);
    memcpy(thing->name, "made", 5);
    inits++;
}

static void reset(void *object)
{
    ((struct thing *)object)->number = 0;
    resets++;
}

static void fini(void *object)
{
    assert_string_equal(((struct thing *)object)->name, "made");
    finis++;
}

static void set_number(void *object)
{
    ((struct thing *)object)->number = 5;
}

WEFT_OBJECTS(things, struct thing, 100);
WEFT_OBJECTS(hooked, struct thing, 4, .init = init, .reset = reset, .fini = fini);
WEFT_OBJECTS(careless, struct thing, 4, .reset = set_number);
WEFT_OBJECTS(many, struct thing, 2000);
WEFT_OBJECTS(own, struct thing, 10, .per_worker = true);

static struct weft_ledger ledger;

static int open_pools(void **state)
{
    (void)state;
    inits = resets = finis = 0;
    weft_objects_enter(0);
    return weft_ledger_init(&ledger, 0) || weft_objects_open(&things, &ledger, 2) ||
           weft_objects_open(&hooked, &ledger, 2) || weft_objects_open(&careless, &ledger, 2) ||
           weft_objects_open(&many, &ledger, 2) || weft_objects_open(&own, &ledger, 2);
}

static int close_pools(void **state)
{
    (void)state;
    weft_objects_close(&things);
    weft_objects_close(&hooked);
    weft_objects_close(&careless);
    weft_objects_close(&many);
    weft_objects_close(&own);
    bool balanced = ledger.reserved == 0;
    for (uint32_t i = 0; i < ledger.account_count; i++)
        balanced &=
            weft_account_used(&ledger.accounts[i]) == 0 && ledger.accounts[i].committed == 0;
    weft_ledger_fini(&ledger);
    return balanced ? 0 : -1;
}

static const struct weft_account *account_of(const char *name_z, uint32_t worker)
{
    for (uint32_t i = 0; i < ledger.account_count; i++)
        if (strcmp(ledger.accounts[i].name_z, name_z) == 0 && ledger.accounts[i].worker == worker)
            return &ledger.accounts[i];
    return NULL;
}

/* Stale puts trap there: death.h shows it. */
static bool is_checked(void)
{
#ifdef WEFT_CHECKED
    return true;
#else
    return false;
#endif
}

static void capacity_succeeds_and_one_more_is_refused(void **state) /* shows MC-05 */
{
    (void)state;
    weft_handle handles[100], none = 77;
    struct mallinfo2 before = mallinfo2();
    for (uint32_t i = 0; i < 100; i++) {
        struct thing *thing = weft_object_take(things, &handles[i]);
        assert_non_null(thing);
        assert_int_equal(weft_handle_index(handles[i]), i);
        thing->number = i;
    }
    assert_null(weft_object_take(things, &none));
    assert_int_equal(none, 77);
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(weft_object_get(things, handles[i])->number, i);
    assert_int_equal(weft_object_put(things, handles[40]), 0);
    assert_int_equal(weft_object_put(things, handles[17]), 0);
    weft_handle again;
    assert_non_null(weft_object_take(things, &again));
    assert_int_equal(weft_handle_index(again), 17); /* the last one given back */
    struct mallinfo2 after = mallinfo2();
    assert_int_equal(after.uordblks, before.uordblks);
    weft_objects_stats stats = weft_objects_stats_of(&things);
    assert_int_equal(stats.capacity, 100);
    assert_int_equal(stats.used, 99);
    assert_int_equal(stats.made, 100);
    assert_int_equal(stats.taken, 101);
    assert_int_equal(stats.refused, 1);
}

static void pages_come_as_objects_do(void **state) /* shows MC-05: lazily */
{
    (void)state;
    const struct weft_account *account = account_of("things", WEFT_ACCOUNT_PROCESS);
    assert_non_null(account);
    assert_int_equal(account->reserved, weft_objects_bytes(&things, 2));
    assert_int_equal(account->committed, 0);
    weft_handle handle;
    assert_non_null(weft_object_take(things, &handle));
    assert_int_equal(weft_account_used(account), 64);
    assert_true(account->committed <= 2 * WEFT_PAGE_BYTES);
}

static void put_it(void *arg)
{
    weft_ignore(weft_object_put(things, *(const weft_handle *)arg)); /* it is to die of it */
}

static void a_stale_handle_finds_nothing(void **state) /* shows MC-06 */
{
    (void)state;
    weft_handle first, second;
    assert_null(weft_object_get(things, 0));
    struct thing *thing = weft_object_take(things, &first);
    assert_true(first != 0);
    assert_int_equal(weft_object_put(things, first), 0);
    assert_null(weft_object_get(things, first));
    assert_ptr_equal(weft_object_take(things, &second), thing);
    assert_int_equal(weft_handle_index(first), weft_handle_index(second));
    assert_null(weft_object_get(things, first));
    assert_ptr_equal(weft_object_get(things, second), thing);
    const weft_handle wrong[] = {0, first, second + 1, second + 100, (uint32_t)second, UINT64_MAX};
    for (size_t i = 0; i < WEFT_COUNT_OF(wrong); i++) {
        assert_null(weft_object_get(things, wrong[i]));
        if (is_checked())
            assert_true(death_of(put_it, (void *)&wrong[i]) != 0);
        else
            assert_int_equal(weft_object_put(things, wrong[i]), WEFT_ESTALE);
    }
    assert_int_equal(weft_objects_stats_of(&things).used, 1);
    if (!is_checked())
        assert_int_equal(weft_objects_stats_of(&things).stale, WEFT_COUNT_OF(wrong));
}

static void without_hooks_objects_come_zeroed(void **state) /* shows MC-32: no pollution */
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        weft_handle handle;
        struct thing *thing = weft_object_take(things, &handle), zero = {0};
        assert_memory_equal(thing, &zero, sizeof(zero));
        memset(thing, 'x', sizeof(*thing));
        assert_int_equal(weft_object_put(things, handle), 0);
    }
}

static void what_init_made_stays_and_reset_cleans(void **state) /* shows MC-32, MC-33 */
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        weft_handle handle;
        struct thing *thing = weft_object_take(hooked, &handle);
        assert_int_equal(thing->number, 0);
        assert_string_equal(thing->name, "made");
        thing->number = 9;
        assert_int_equal(weft_object_put(hooked, handle), 0);
    }
    assert_int_equal(inits, is_checked() ? 3 : 1);
    assert_int_equal(resets, 2);
    weft_handle out;
    assert_non_null(weft_object_take(hooked, &out));
    weft_objects_close(&hooked); /* with one still out */
    assert_int_equal(finis, inits);
    assert_null(weft_object_get(hooked, out));
    assert_int_equal(weft_objects_open(&hooked, &ledger, 2), 0);
}

/* shows MC-32: a reset that forgets something shows the poison in the checked build */
static void a_careless_reset_is_found_out(void **state)
{
    (void)state;
    weft_handle handle;
    struct thing *thing = weft_object_take(careless, &handle);
    memcpy(thing->name, "secret", 7);
    assert_int_equal(weft_object_put(careless, handle), 0);
    thing = weft_object_take(careless, &handle);
    assert_int_equal(thing->number, 5);
    if (is_checked())
        assert_int_equal((unsigned char)thing->name[0], 0xdb);
    else
        assert_string_equal(thing->name, "secret");
}

static void those_that_are_out_are_told_in_order(void **state)
{
    (void)state;
    weft_handle handles[5], at = 0;
    assert_null(weft_object_next(things, &at));
    for (int i = 0; i < 5; i++)
        assert_non_null(weft_object_take(things, &handles[i]));
    assert_int_equal(weft_object_put(things, handles[0]), 0);
    assert_int_equal(weft_object_put(things, handles[3]), 0);
    weft_object_lock(things);
    for (int i = 1; i < 5; i++) {
        if (i == 3)
            continue;
        assert_ptr_equal(weft_object_next(things, &at), weft_object_get(things, handles[i]));
        assert_true(at == handles[i]);
    }
    assert_null(weft_object_next(things, &at));
    weft_object_unlock(things);
}

static void a_worker_has_its_own_part(void **state)
{
    (void)state;
    weft_handle first[10], second;
    for (int i = 0; i < 10; i++)
        assert_non_null(weft_object_take(own, &first[i]));
    assert_null(weft_object_take(own, &second));
    weft_objects_enter(1);
    assert_null(weft_object_get(own, first[3])); /* the other's */
    assert_non_null(weft_object_take(own, &second));
    assert_non_null(weft_object_get(own, second));
    assert_int_equal(weft_account_used(account_of("own", 0)), 640);
    assert_int_equal(weft_account_used(account_of("own", 1)), 64);
    assert_int_equal(weft_objects_bytes(&own, 2), 2 * weft_objects_bytes(&own, 1));
    assert_int_equal(weft_objects_stats_of(&own).used, 11);
    assert_int_equal(weft_objects_stats_of(&own).capacity, 20);
    weft_objects_enter(UINT32_MAX); /* no worker */
    assert_null(weft_object_take(own, &second));
    assert_null(weft_object_get(own, second));
    weft_objects_enter(0);
    assert_non_null(weft_object_get(own, first[3]));
}

static size_t fill_and_empty(weft_objects *objects)
{
    weft_handle handles[2000];
    uint32_t count = objects->capacity;
    for (uint32_t i = 0; i < count; i++)
        assert_non_null(weft_objects_take(objects, &handles[i]));
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(weft_objects_put(objects, handles[i]), 0);
    return account_of(objects->name_z, WEFT_ACCOUNT_PROCESS)->committed;
}

static void what_lay_free_for_a_window_goes_back(void **state)
{
    (void)state;
    const struct weft_account *account = account_of("many", WEFT_ACCOUNT_PROCESS);
    size_t peak = fill_and_empty(&many);
    assert_true(peak >= sizeof(struct thing) * many.capacity);
    assert_true(weft_objects_reclaim(&many, true, SIZE_MAX)); /* it was out in this window */
    assert_int_equal(account->committed, peak);
    assert_true(weft_objects_reclaim(&many, true, WEFT_PAGE_BYTES)); /* a step */
    assert_int_equal(account->committed, peak - WEFT_PAGE_BYTES);
    for (int i = 0; weft_objects_reclaim(&many, false, SIZE_MAX); i++)
        assert_true(i < 10);
    assert_true(account->committed <= 8 * WEFT_PAGE_BYTES);      /* lists and tags */
    assert_int_equal(fill_and_empty(&many), peak);               /* and comes again, zeroed */
    assert_false(weft_objects_reclaim(&hooked, true, SIZE_MAX)); /* what init() made stays */
}

/* The same of a worker's own part, by that worker only. */
static void a_workers_part_goes_back_by_itself(void **state)
{
    (void)state;
    weft_handle handle;
    const struct weft_account *account = account_of("own", 1);
    weft_objects_enter(1);
    uint64_t before = weft_objects_activity(&own, 1);
    assert_non_null(weft_object_take(own, &handle));
    assert_int_equal(weft_objects_activity(&own, 1), before + 1);
    assert_int_equal(weft_object_put(own, handle), 0);
    assert_int_equal(weft_objects_activity(&own, 1), before + 2);
    assert_int_equal(weft_objects_activity(&own, 2), 0);
    assert_int_equal(weft_objects_activity(&many, 0), 0);
    size_t peak = account->committed;
    weft_objects_enter(UINT32_MAX);
    assert_false(weft_objects_reclaim(&own, true, SIZE_MAX)); /* nobody's */
    weft_objects_enter(1);
    assert_true(weft_objects_reclaim(&own, true, SIZE_MAX)); /* it was out in this window */
    assert_false(weft_objects_reclaim(&own, true, SIZE_MAX));
    assert_int_equal(account->committed, peak - WEFT_PAGE_BYTES);
    assert_non_null(weft_object_take(own, &handle)); /* and comes again */
    assert_int_equal(weft_object_put(own, handle), 0);
    assert_int_equal(account->committed, peak);
    weft_objects_enter(0);
}

static void prefault_has_all_pages_at_once(void **state)
{
    (void)state;
    const struct weft_account *account = account_of("many", WEFT_ACCOUNT_PROCESS);
    assert_int_equal(weft_objects_prefault(&many), 0);
    assert_true(account->committed >= sizeof(struct thing) * many.capacity);
    size_t committed = account->committed;
    assert_int_equal(fill_and_empty(&many), committed);
    assert_int_equal(weft_objects_stats_of(&many).made, many.capacity);
    assert_int_equal(account->peak, many.capacity * sizeof(struct thing));
    assert_int_equal(weft_objects_prefault(&hooked), 0);
    weft_handle a, b;
    assert_non_null(weft_object_take(hooked, &a));
    assert_non_null(weft_object_take(hooked, &b));
    assert_int_equal(inits, 2);
}

static char told[WEFT_LOG_LINE_BYTES];

static void hear(const struct weft_log_sink *sink, enum weft_log_level level, const char *line,
                 size_t len)
{
    (void)sink, (void)level;
    memcpy(told, line, len);
}

/* Somebody forgot weft_app_objects(): not to be taken for a pool that is full. */
static void a_pool_that_is_not_open_has_nothing(void **state)
{
    (void)state;
    static const struct weft_log_sink sink = {.write = hear};
    weft_objects_close(&things);
    weft_handle handle = 1;
    weft_log_set_sink(&sink);
    assert_null(weft_object_take(things, &handle));
    weft_log_set_sink(NULL);
    assert_non_null(strstr(told, "objects things: of no application that runs"));
    assert_null(weft_object_get(things, handle));
    assert_int_equal(weft_object_put(things, handle), WEFT_ESTALE);
    weft_object_lock(things);
    weft_object_unlock(things);
    assert_int_equal(weft_objects_stats_of(&things).capacity, 0);
    assert_int_equal(weft_objects_open(&things, &ledger, 2), 0);
    assert_int_equal(weft_objects_open(&things, &ledger, 2), WEFT_ESTATE);
}

/* ---- several workers ---- */

#define ROUNDS 20000

static void *take_and_put(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        weft_handle a, b;
        struct thing *one = weft_object_take(things, &a), *two = weft_object_take(things, &b);
        assert_true(one->number == 0 && two->number == 0);
        one->number = a;
        two->number = b;
        assert_true(one->number == a && weft_object_get(things, b)->number == b);
        assert_int_equal(weft_object_put(things, a), 0);
        assert_int_equal(weft_object_put(things, b), 0);
        weft_object_lock(things); /* nests */
        assert_true(weft_objects_stats_of(&things).used <= 8);
        assert_null(weft_object_get(things, a));
        weft_object_unlock(things);
    }
    return NULL;
}

static void workers_share_a_pool(void **state)
{
    (void)state;
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_and_put, NULL), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    weft_objects_stats stats = weft_objects_stats_of(&things);
    assert_int_equal(stats.used, 0);
    assert_int_equal(stats.taken, 4 * 2 * ROUNDS);
    assert_true(stats.made <= 8);
}

#define OBJECTS_TEST(name) cmocka_unit_test_setup_teardown(name, open_pools, close_pools)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OBJECTS_TEST(capacity_succeeds_and_one_more_is_refused),
        OBJECTS_TEST(pages_come_as_objects_do),
        OBJECTS_TEST(a_stale_handle_finds_nothing),
        OBJECTS_TEST(without_hooks_objects_come_zeroed),
        OBJECTS_TEST(what_init_made_stays_and_reset_cleans),
        OBJECTS_TEST(a_careless_reset_is_found_out),
        OBJECTS_TEST(those_that_are_out_are_told_in_order),
        OBJECTS_TEST(a_worker_has_its_own_part),
        OBJECTS_TEST(what_lay_free_for_a_window_goes_back),
        OBJECTS_TEST(a_workers_part_goes_back_by_itself),
        OBJECTS_TEST(prefault_has_all_pages_at_once),
        OBJECTS_TEST(a_pool_that_is_not_open_has_nothing),
        OBJECTS_TEST(workers_share_a_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
