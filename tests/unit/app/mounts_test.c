/* mounts_test.c - weft_static(): what it takes, what it refuses, and whose word holds. */
#include "unit.h"
#include "app/mounts.h"
#include "base/fmt.h"
#include "serve/files/listing.h"
#include <weft/weft.h>

static weft_app *app;

static int make_app(void **state)
{
    (void)state;
    app = weft_app_new();
    assert_non_null(app);
    return 0;
}

static int free_app(void **state)
{
    (void)state;
    weft_app_free(app);
    return 0;
}

static bool same(weft_str text, const char *text_z)
{
    return weft_str_eq(text, weft_str_z(text_z));
}

static void test_rules(void **state)
{
    (void)state;
    weft_static(app, "/a", "/tmp", NULL);
    weft_static(app, "/b/", "",
                WEFT_STATIC_OPTS(.index_z = "", .cache_control_z = "no-store", .listing = true,
                                 .hidden = true));
    weft_static(app, "/", "/tmp", WEFT_STATIC_OPTS(.index_z = "x.htm", .precompressed = true));
    assert_null(weft_app_error(app));
    assert_int_equal(app->mount_count, 3);
    assert_int_equal(app->route_count, 5); /* "/" has no form without its slash */
    const struct weft_mount *a = &app->mounts[0].mount, *b = &app->mounts[1].mount;
    assert_true(same(a->url, "/a/") && same(a->directory, "/tmp") && same(a->index, "index.html"));
    assert_true(!a->listing && !a->hidden && !a->rules.precompressed);
    assert_true(same(b->url, "/b/") && same(b->directory, "") && same(b->index, ""));
    assert_true(b->listing && b->hidden && same(b->rules.cache_control, "no-store"));
    assert_int_equal(app->mounts[0].route->memory_bytes, 0);
    assert_int_equal(app->mounts[1].route->memory_bytes, WEFT_LISTING_MEMORY_BYTES);
    assert_true(app->memory_max >= WEFT_LISTING_MEMORY_BYTES);
    assert_true(same(app->mounts[2].mount.url, "/"));
}

static void test_the_settings_hold(void **state)
{
    (void)state;
    struct weft_config_errors errors = {0};
    char *argv[] = {"weft", "--static=/a=/usr", "--static=/c/=/var", NULL};
    weft_static(app, "/a/", "/tmp", WEFT_STATIC_OPTS(.index_z = "own.html"));
    assert_int_equal(weft_config_load_flags(&app->config, 3, argv, &errors), 0);
    weft_mounts_apply(app);
    weft_mounts_apply(app); /* as a second start would */
    assert_null(weft_app_error(app));
    assert_int_equal(app->mount_count, 2);
    assert_true(same(app->mounts[0].mount.directory, "/usr"));
    assert_true(same(app->mounts[0].mount.index, "index.html"));
    assert_true(same(app->mounts[1].mount.directory, "/var"));
    assert_true(weft_mounts_mime_bytes(app) > 0);
}

static void test_no_files_no_types(void **state)
{
    (void)state;
    weft_static(app, "/a/", "", NULL); /* the setting `root`, which is not set */
    weft_mounts_apply(app);
    assert_int_equal(weft_mounts_mime_bytes(app), 0);
}

static void refused(const char *words_z)
{
    const char *error_z = weft_app_error(app);
    assert_non_null(error_z);
    if (strstr(error_z, words_z) == NULL)
        fail_msg("%s", error_z);
    app->error[0] = 0;
}

static void test_mistakes(void **state)
{
    (void)state;
    static const char *const urls[] = {"", "a/", "/{x}/", "/:x/", "/*", "http://x/"};
    for (size_t i = 0; i < WEFT_COUNT_OF(urls); i++) {
        weft_static(app, urls[i], "/tmp", NULL);
        refused("a path without parameters is due");
    }
    weft_static(app, "/a/", "/tmp", WEFT_STATIC_OPTS(.cache_control_z = "a\r\nX: y"));
    refused("control bytes");
    weft_static(app, "/a/", "/tmp", &(weft_static_opts){.size = 3});
    refused("another version");
    char url[WEFT_PATTERN_BYTES_MAX + 8];
    memset(url, '/', sizeof(url));
    url[sizeof(url) - 1] = 0;
    weft_static(app, url, "/tmp", NULL);
    refused("a path without parameters is due");
    weft_get(app, "/same/*", weft_mount_serve);
    weft_static(app, "/same/", "/tmp", NULL);
    refused("/same/*");
}

static void test_too_many(void **state)
{
    (void)state;
    for (unsigned i = 0; i <= WEFT_APP_MOUNTS_MAX; i++) {
        char url[16] = {0};
        assert_null(weft_app_error(app));
        (void)weft_fmt(url, sizeof(url) - 1, "/m%u", i);
        weft_static(app, url, "/tmp", NULL);
    }
    refused("more than 32 mounts");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rules, make_app, free_app),
        cmocka_unit_test_setup_teardown(test_the_settings_hold, make_app, free_app),
        cmocka_unit_test_setup_teardown(test_no_files_no_types, make_app, free_app),
        cmocka_unit_test_setup_teardown(test_mistakes, make_app, free_app),
        cmocka_unit_test_setup_teardown(test_too_many, make_app, free_app),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
