/* malloc_conf_test.c - what jemalloc would refuse is refused here, by name. Shows MC-22 to MC-24.
 */
#include "mem/malloc_conf.h"
#include "mem/profile.h"
#include "unit.h"

/* The first mistake of a string as "key: what"; "" when there is none. */
static const char *mistake(const char *conf_z)
{
    static char text[256];
    struct weft_malloc_conf_pair pair;
    weft_str rest = weft_str_z(conf_z);
    while (weft_malloc_conf_next(&rest, &pair)) {
        if (pair.wrong_z == NULL)
            continue;
        size_t len = pair.key.len;
        memcpy(text, pair.key.ptr, len);
        text[len++] = ' ';
        memcpy(text + len, pair.wrong_z, strlen(pair.wrong_z) + 1);
        return text;
    }
    return "";
}

static void pairs_are_read_in_order(void **state)
{
    (void)state;
    struct weft_malloc_conf_pair pair;
    weft_str rest = WEFT_S("tcache:false,narenas:4");
    assert_true(weft_malloc_conf_next(&rest, &pair));
    assert_true(weft_str_eq(pair.key, WEFT_S("tcache")) &&
                weft_str_eq(pair.value, WEFT_S("false")));
    assert_true(weft_malloc_conf_next(&rest, &pair));
    assert_true(weft_str_eq(pair.key, WEFT_S("narenas")) && weft_str_eq(pair.value, WEFT_S("4")));
    assert_false(weft_malloc_conf_next(&rest, &pair));
    assert_false(weft_malloc_conf_next(&rest, &pair));
}

/* shows MC-22, MC-23 */
static void profiles_are_good(void **state)
{
    (void)state;
    for (int i = 0; i < WEFT_PROFILE_COUNT; i++)
        assert_string_equal(mistake(weft_profile_conf((enum weft_profile)i)), "");
}

static void good_values(void **state)
{
    (void)state;
    static const char *const good[] = {
        "",
        "dirty_decay_ms:-1",
        "muzzy_decay_ms:0",
        "narenas:default",
        "narenas:0x10",
        "narenas_ratio:0.5",
        "hpa_dirty_mult:-1",
        "percpu_arena:phycpu",
        "thp:never",
        "junk:alloc",
        "bin_shards:1-160:16|129-512:8",
        "lg_tcache_max:16",
        "stats_print_opts:mda",
    };
    for (size_t i = 0; i < WEFT_COUNT_OF(good); i++)
        assert_string_equal(mistake(good[i]), "");
}

/* shows MC-24: the key is named */
static void mistakes_are_named(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"background_thread:true,dirtydecay:1", "dirtydecay is no key of jemalloc 5.3"},
        {"tcache:yes", "tcache is neither true nor false"},
        {"tcache: true", "tcache is neither true nor false"},
        {"dirty_decay_ms:-2", "dirty_decay_ms is not a number of ms from -1 (never)"},
        {"dirty_decay_ms:500ms", "dirty_decay_ms is not a number of ms from -1 (never)"},
        {"dirty_decay_ms:", "dirty_decay_ms is not a number of ms from -1 (never)"},
        {"dirty_decay_ms:99999999999999999999",
         "dirty_decay_ms is not a number of ms from -1 (never)"},
        {"narenas:0", "narenas is neither a number from 1 nor default"},
        {"narenas:4K", "narenas is neither a number from 1 nor default"},
        {"tcache_max: 1", "tcache_max is not a number"},
        {"hpa_dirty_mult:1.2.3", "hpa_dirty_mult is not a number"},
        {"hpa_dirty_mult:.", "hpa_dirty_mult is not a number"},
        {"thp:sometimes", "thp is none of the words that it takes"},
        {"thp:alway", "thp is none of the words that it takes"},
        {"prof_prefix:", "prof_prefix is empty"},
        {"TCACHE:true", "TCACHE is no key of jemalloc 5.3"},
        {"tcache", "tcache no key:value pair starts here"},
        {"dirty-decay:1", "dirty-decay:1 no key:value pair starts here"},
        {"tcache:true,,thp:never", ",thp:never no key:value pair starts here"},
        {":1", ":1 no key:value pair starts here"},
        {"tcache:true,", "tcache:true, ends with a comma"},
    };
    for (size_t i = 0; i < WEFT_COUNT_OF(bad); i++)
        assert_string_equal(mistake(bad[i][0]), bad[i][1]);
}

/* shows MC-24: the last word counts */
static void abort_conf(void **state)
{
    (void)state;
    assert_false(weft_malloc_conf_aborts(WEFT_S("")));
    assert_false(weft_malloc_conf_aborts(WEFT_S("tcache:true")));
    assert_true(weft_malloc_conf_aborts(WEFT_S("abort_conf:true,dirtydecay:1")));
    assert_false(weft_malloc_conf_aborts(WEFT_S("abort_conf:true,dirtydecay:1,abort_conf:false")));
    assert_true(weft_malloc_conf_aborts(WEFT_S("abort_conf:false,abort_conf:true,abort_conf:yes")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_are_read_in_order),
        cmocka_unit_test(profiles_are_good),
        cmocka_unit_test(good_values),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(abort_conf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
