/* usage_test.c - who holds what, by route and by place: rows, ids, and their limits. */
#include "unit.h"
#include "http/usage.h"
#include <pthread.h>
#include <stdio.h>

static void rows_by_route(void **state)
{
    (void)state;
    struct weft_usage usage;
    assert_int_equal(weft_usage_init(&usage, 3), 0);
    struct weft_route_usage *none = usage.routes;
    struct weft_route_usage *other = &usage.routes[usage.route_count - 1];
    for (uint32_t i = 0; i < 3; i++)
        assert_ptr_equal(weft_usage_of(&usage, i), none + 1 + i);
    assert_ptr_equal(weft_usage_of(&usage, 3), other);
    assert_ptr_equal(weft_usage_of(&usage, 1000000), other);
    weft_usage_fini(&usage);
    weft_usage_fini(&usage);
}

/* shows OB-11: the first 256 routes by name, the rest together */
static void the_rest_is_other(void **state)
{
    (void)state;
    struct weft_usage usage;
    assert_int_equal(weft_usage_init(&usage, 1000), 0);
    assert_int_equal(usage.route_count, WEFT_USAGE_ROUTES_MAX + 2);
    assert_ptr_not_equal(weft_usage_of(&usage, 254), weft_usage_of(&usage, 255));
    assert_ptr_not_equal(weft_usage_of(&usage, 255), weft_usage_of(&usage, 256));
    assert_ptr_equal(weft_usage_of(&usage, 256), weft_usage_of(&usage, 999));
    assert_true(weft_usage_bytes(1000) == weft_usage_bytes(256));
    weft_usage_fini(&usage);
}

static void held_and_peak(void **state)
{
    (void)state;
    struct weft_usage_held held = {0};
    weft_usage_hold(&held, 100);
    weft_usage_hold(&held, 50);
    weft_usage_drop(&held, 120);
    weft_usage_hold(&held, 10);
    assert_int_equal(held.now, 40);
    assert_int_equal(held.peak, 150);
}

static void live_by_place(void **state)
{
    (void)state;
    struct weft_usage usage;
    assert_int_equal(weft_usage_init(&usage, 0), 0);
    uint64_t entry = weft_usage_live_entry(256), large = (uint64_t)1 << 47;
    assert_int_equal(weft_usage_live_id(entry), 256);
    entry += 1000;
    weft_usage_live(&usage, entry, 1000);
    entry += large;
    weft_usage_live(&usage, entry, large);
    assert_int_equal(weft_usage_live_id(entry), 256);
    assert_true(usage.sites[256].live == large + 1000);
    weft_usage_unlive(&usage, entry);
    assert_int_equal(usage.sites[256].live, 0);
    weft_usage_fini(&usage);
}

static struct weft_alloc_site shared = {"shared.c", "f", 7, 0};

static void *ask(void *arg)
{
    *(uint32_t *)arg = weft_usage_site_id(&shared);
    return NULL;
}

/* Last: it gives all ids. */
static void places(void **state)
{
    (void)state;
    static struct weft_alloc_site sites[300];
    pthread_t threads[4];
    uint32_t ids[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask, &ids[i]), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 4; i++)
        assert_int_equal(ids[i], 1); /* one place, one id, whoever is first */
    assert_ptr_equal(weft_usage_site(1), &shared);
    assert_null(weft_usage_site(2));
    for (uint32_t i = 0; i < 300; i++) {
        uint32_t id = weft_usage_site_id(&sites[i]);
        assert_int_equal(id, i + 2 <= WEFT_USAGE_SITES_MAX ? i + 2 : 0);
        assert_int_equal(weft_usage_site_id(&sites[i]), id);
    }
    assert_null(weft_usage_site(0));
    assert_null(weft_usage_site(257));
    assert_null(weft_usage_site(UINT32_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_by_route), cmocka_unit_test(the_rest_is_other),
        cmocka_unit_test(held_and_peak), cmocka_unit_test(live_by_place),
        cmocka_unit_test(places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
