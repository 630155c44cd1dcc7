/* profile_test.c - the malloc that this test runs on, which is the system's;
 * tests/e2e/profile_test.py looks at jemalloc. */
#include "mem/profile.h"
#include <stdlib.h>
#include "unit.h"

#if defined(WEFT_ASAN) || defined(WEFT_TSAN)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

/* shows MC-22, MC-23: the keys are those of the source, and larger slabs */
static void confs(void **state)
{
    (void)state;
    assert_string_equal(weft_profile_conf(WEFT_PROFILE_SYSTEM), "");
    assert_string_equal(weft_profile_conf(WEFT_PROFILE_THROUGHPUT), "abort_conf:true");
    assert_string_equal(weft_profile_conf(WEFT_PROFILE_BALANCED),
                        "background_thread:true,dirty_decay_ms:500,muzzy_decay_ms:1000,"
                        "slab_sizes:64-1024:32,abort_conf:true");
    assert_string_equal(weft_profile_conf(WEFT_PROFILE_AGGRESSIVE),
                        "background_thread:true,tcache:false,dirty_decay_ms:0,muzzy_decay_ms:0,"
                        "slab_sizes:64-1024:32,abort_conf:true");
}

static void figures_follow_malloc(void **state)
{
    (void)state;
    struct weft_profile_stats before, during, after;
    weft_profile_stats(&before);
    if (SANITIZED) {
        assert_string_equal(before.allocator_z, "other");
        skip();
    }
    assert_string_equal(before.allocator_z, "glibc");
    /* Beyond glibc's thread caches: of an arena, and mapped singly. */
    for (size_t bytes = 10000; bytes < 200 << 20; bytes *= 100) {
        weft_profile_stats(&before);
        char *volatile held = malloc(bytes);
        weft_profile_stats(&during);
        free(held);
        weft_profile_stats(&after);
        assert_in_range(during.allocated - before.allocated, bytes, bytes + 8192);
        assert_true(during.resident >= during.allocated);
        assert_int_equal(after.allocated, before.allocated);
    }
}

static void nobody_to_ask(void **state)
{
    (void)state;
    struct weft_profile_decay decay = {.dirty_ms = 7, .muzzy_ms = 7};
    assert_false(weft_profile_is_jemalloc());
    assert_int_equal(weft_profile_decay_set(decay), WEFT_ENOTSUP);
    assert_int_equal(weft_profile_decay_get(&decay), WEFT_ENOTSUP);
    assert_int_equal(decay.dirty_ms, 7);
    assert_int_equal(weft_profile_purge(), SANITIZED ? WEFT_ENOTSUP : 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(confs),
        cmocka_unit_test(figures_follow_malloc),
        cmocka_unit_test(nobody_to_ask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
