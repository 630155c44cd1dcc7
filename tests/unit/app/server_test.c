/* server_test.c - a server from start to end inside of the test: being stopped, and what it plans.
 */
#include "unit.h"
#include "app/server.h"
#include "io/engine.h"
#include <pthread.h>
#include <unistd.h>
#include <weft/weft.h>

static weft_rc hello(weft_req *rq)
{
    return weft_text(rq, 200, WEFT_S("hello"));
}

static weft_app *make_app(void)
{
    weft_app *app = weft_app_new();
    assert_non_null(app);
    weft_get(app, "/", hello);
    weft_app_port(app, 0);
    weft_app_set(app, "admin.port", "auto");
    weft_app_set(app, "workers", "2");
    return app;
}

/* Stops as soon as there is something to stop, and again and again, as handlers and signals may,
 * until the last moment: who has looked is waited for. */
static void *stop_often(void *arg)
{
    weft_app *app = arg;
    while (atomic_load(&app->server) == NULL)
        usleep(1000);
    while (atomic_load(&app->server) != NULL)
        weft_app_stop(app);
    return NULL;
}

static void stopping_more_than_once_is_stopping(void **state)
{
    (void)state;
    weft_app *app = make_app();
    pthread_t stoppers[2];
    alarm(20); /* it used to spin */
    for (size_t i = 0; i < WEFT_COUNT_OF(stoppers); i++)
        assert_int_equal(pthread_create(&stoppers[i], NULL, stop_often, app), 0);
    assert_int_equal(weft_run(app), 0);
    for (size_t i = 0; i < WEFT_COUNT_OF(stoppers); i++)
        pthread_join(stoppers[i], NULL);
    assert_int_equal(atomic_load(&app->stopping), 0);
    alarm(0);
    weft_app_free(app);
}

static struct weft_machine machine_of(uint32_t cpu_count)
{
    return (struct weft_machine){.memory_bytes = (size_t)4 << 30,
                                 .cgroup_limit_bytes = WEFT_MACHINE_NO_LIMIT,
                                 .nofile_soft = 1024,
                                 .nofile_hard = 1024,
                                 .cpu_count = cpu_count};
}

/* Its loop hears signals and waits for the workers, with or without somebody to answer. */
static void the_admin_loop_is_always_in_the_plan(void **state)
{
    (void)state;
    weft_app *app = make_app();
    struct weft_machine machine = machine_of(1);
    struct weft_config_errors errors = {0};
    struct weft_plan_app needs;
    struct weft_plan with, without;
    weft_config_defaults(&app->config);
    assert_int_equal(weft_server_describe(app, &needs), 0);
    assert_int_equal(weft_plan_make(&with, &app->config, &machine, &needs, &errors), 0);
    app->config.admin_enabled = false;
    assert_int_equal(weft_plan_make(&without, &app->config, &machine, &needs, &errors), 0);
    assert_int_equal(without.total, with.total);
    weft_app_free(app);
}

struct pearl {
    uint32_t size;
};

static void nothing(void *object)
{
    (void)object;
}

WEFT_OBJECTS(pearls, struct pearl, 10);
WEFT_OBJECTS(none, struct pearl, 0);
WEFT_OBJECTS(no_reset, struct pearl, 10, .init = nothing);

static void mistake_of(void (*make)(weft_app *app), const char *text_z)
{
    weft_app *app = weft_app_new();
    make(app);
    assert_non_null(weft_app_error(app));
    assert_non_null(strstr(weft_app_error(app), text_z));
    weft_app_free(app);
}

static void twice(weft_app *app)
{
    weft_app_objects(app, pearls);
    weft_app_objects(app, pearls);
}

static void empty(weft_app *app)
{
    weft_app_objects(app, none);
}

static void unclean(weft_app *app)
{
    weft_app_objects(app, no_reset);
}

static void too_many(weft_app *app)
{
    static weft_objects pools[WEFT_APP_OBJECTS_MAX + 1];
    for (size_t i = 0; i < WEFT_COUNT_OF(pools); i++) {
        pools[i] = pearls;
        weft_app_add_objects(app, &pools[i]);
        assert_int_equal(weft_app_error(app) != NULL, i == WEFT_APP_OBJECTS_MAX);
    }
}

struct boulder {
    char bytes[((size_t)1 << 20) + 1];
};
WEFT_OBJECTS(boulders, struct boulder, 1);
WEFT_OBJECTS(sand, struct pearl, (1u << 24) + 1);

static void too_large(weft_app *app)
{
    weft_app_objects(app, boulders);
}

static void too_many_of_one(weft_app *app)
{
    weft_app_objects(app, sand);
}

/* The one that is one too many is told, those before it are not. */
#define ONE_TOO_MANY(app, max, add)                                                                \
    for (int i = 0; i <= (max); i++) {                                                             \
        add;                                                                                       \
        assert_int_equal(weft_app_error(app) != NULL, i == (max));                                 \
    }

static void too_many_channels(weft_app *app)
{
    static weft_channel channels[WEFT_APP_CHANNELS_MAX + 1];
    WEFT_CHANNEL(news);
    ONE_TOO_MANY(app, WEFT_APP_CHANNELS_MAX, {
        channels[i] = news;
        weft_app_channel(app, &channels[i]);
    })
}

static void too_many_caches(weft_app *app)
{
    static weft_cache caches[WEFT_APP_CACHES_MAX + 1];
    WEFT_CACHE(pages, .bytes_max = 65536);
    ONE_TOO_MANY(app, WEFT_APP_CACHES_MAX, {
        caches[i] = pages;
        weft_app_cache(app, caches[i]);
    })
}

static void too_many_entries(weft_app *app)
{
    WEFT_CACHE(crumbs, .entries_max = (1u << 26) + 1);
    weft_app_cache(app, crumbs);
}

static void too_many_bytes(weft_app *app)
{
    WEFT_CACHE(lake, .bytes_max = ((size_t)16 << 30) + 1);
    weft_app_cache(app, lake);
}

static void too_many_groups(weft_app *app)
{
    ONE_TOO_MANY(app, WEFT_APP_GROUPS_MAX, (void)weft_app_group(app, "/g"))
}

static void too_many_settings(weft_app *app)
{
    ONE_TOO_MANY(app, WEFT_APP_SETTINGS_MAX, weft_app_set(app, "workers", "1"))
}

static void too_many_middlewares(weft_app *app)
{
    ONE_TOO_MANY(app, WEFT_CHAIN_MAX, weft_use(app, hello, NULL))
}

static void heap_beyond_memory(weft_app *app)
{
    weft_route(app, "GET", "/", hello, WEFT_ROUTE_OPTS(.memory = 4096, .heap = 4097));
}

static void mistakes_with_memory_are_told(void **state)
{
    (void)state;
    mistake_of(twice, "'pearls' is there already");
    mistake_of(empty, "'none' has no objects");
    mistake_of(unclean, "'no_reset' has an init, but no reset");
    mistake_of(too_many, "'pearls' is one too many");
    mistake_of(too_large, "'boulders' has objects of no bytes, or of more than 1 MiB");
    mistake_of(too_many_of_one, "'sand' has no objects, or too many");
    mistake_of(heap_beyond_memory, "route /: .heap");
}

static void what_a_program_has_too_many_of_is_told(void **state)
{
    (void)state;
    mistake_of(too_many_channels, "'news' is one too many");
    mistake_of(too_many_caches, "'pages' is one too many");
    mistake_of(too_many_entries, "'crumbs' has too many entries");
    mistake_of(too_many_bytes, "'lake' has a bytes_max outside 4 KiB to 16 GiB");
    mistake_of(too_many_groups, "more than 64 route groups, at /g");
    mistake_of(too_many_settings, "more than 32 settings");
    mistake_of(too_many_middlewares, "more than 16 middlewares on one route");
}

static weft_rc never(weft_req *rq)
{
    return weft_text(rq, 500, WEFT_S("never"));
}

/* weft_app_new() had no memory: a program that does not look is told so by weft_main(). */
static void without_an_application_nothing_happens(void **state)
{
    (void)state;
    char *argv[] = {(char[]){"program"}, NULL};
    weft_get(NULL, "/", never);
    weft_post(NULL, "/", never);
    weft_put(NULL, "/", never);
    weft_delete(NULL, "/", never);
    weft_patch(NULL, "/", never);
    weft_route(NULL, "GET", "/x", never, NULL);
    weft_use(NULL, never, NULL);
    weft_use_request_id(NULL);
    weft_use_recover(NULL);
    weft_group *group = weft_app_group(NULL, "/api");
    assert_null(group);
    weft_group_use(group, never, NULL);
    weft_group_route(group, "GET", "/y", never, NULL);
    weft_app_set(NULL, "port", "auto");
    weft_app_host(NULL, "::1");
    weft_app_port(NULL, 0);
    weft_app_user(NULL, &argv);
    weft_app_add_objects(NULL, NULL);
    weft_app_add_cache(NULL, NULL);
    weft_app_channel(NULL, NULL);
    weft_static(NULL, "/files/", ".", NULL);
    assert_null(weft_app_dup(NULL, WEFT_S("text")).ptr);
    weft_app_stop(NULL);
    assert_string_equal(weft_app_error(NULL), "out of memory");
    assert_int_equal(weft_run(NULL), 1);
    assert_int_equal(weft_main(NULL, 1, argv), 1);
    weft_app_free(NULL);
}

/* The least that is asked for is what each worker needs for the largest route, tables and all. */
static void the_least_limit_serves_the_largest_route(void **state)
{
    (void)state;
    weft_app *app = make_app();
    struct weft_machine machine = machine_of(3);
    struct weft_plan_app needs;
    struct weft_plan plan;
    weft_config_defaults(&app->config);
    weft_route(app, "GET", "/large", never, WEFT_ROUTE_OPTS(.memory = 16 << 20));
    assert_int_equal(weft_server_describe(app, &needs), 0);
    struct weft_config_errors small = {0}, good = {0}, short_of = {0};
    app->config.memory_limit_bytes = 1 << 20;
    assert_int_equal(weft_plan_make(&plan, &app->config, &machine, &needs, &small), WEFT_EBUDGET);
    assert_non_null(strstr(small.errors[0], "3 workers, each with a request of /large"));
    assert_true(plan.total > plan.limit);
    size_t least = plan.total;
    app->config.memory_limit_bytes = least;
    assert_int_equal(weft_plan_make(&plan, &app->config, &machine, &needs, &good), 0);
    assert_true(plan.worker.elastic_bytes >= needs.route_memory_max);
    assert_true(plan.total <= least);
    app->config.memory_limit_bytes = least - 1;
    assert_int_equal(weft_plan_make(&plan, &app->config, &machine, &needs, &short_of),
                     WEFT_EBUDGET);
    weft_app_free(app);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_an_application_nothing_happens),
        cmocka_unit_test(stopping_more_than_once_is_stopping),
        cmocka_unit_test(the_admin_loop_is_always_in_the_plan),
        cmocka_unit_test(the_least_limit_serves_the_largest_route),
        cmocka_unit_test(mistakes_with_memory_are_told),
        cmocka_unit_test(what_a_program_has_too_many_of_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
