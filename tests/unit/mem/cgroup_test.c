/* cgroup_test.c - what a cgroup says that it uses, by version; small files of the kernel. */
#include "unit.h"
#include "fixture.h"
#include "mem/cgroup.h"

static struct weft_cgroup_usage usage;

/* shows OB-14: the working set is the charge without inactive file pages */
static void version_2(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/a/b\n");
    put("/sys/fs/cgroup/a/b/memory.current", "10485760\n");
    put("/sys/fs/cgroup/a/b/memory.stat", "anon 5\ninactive_file 4194304\nactive_file 7\n");
    assert_true(weft_cgroup_usage(root, &usage));
    assert_int_equal(usage.version, 2);
    assert_int_equal(usage.current, 10485760);
    assert_int_equal(usage.inactive_file, 4194304);
    assert_int_equal(usage.working_set, 6291456);
}

static void version_1(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "4:cpu:/x\n3:memory:/a\n0::/\n");
    put("/sys/fs/cgroup/memory/a/memory.usage_in_bytes", "1000000\n");
    put("/sys/fs/cgroup/memory/a/memory.stat", "inactive_file 1\ntotal_inactive_file 250000\n");
    assert_true(weft_cgroup_usage(root, &usage));
    assert_int_equal(usage.version, 1);
    assert_int_equal(usage.working_set, 750000);
}

/* Read one after the other, so the part may be larger than the whole. */
static void never_below_zero(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/\n");
    put("/sys/fs/cgroup/memory.current", "10\n");
    put("/sys/fs/cgroup/memory.stat", "inactive_file 20\n");
    assert_true(weft_cgroup_usage(root, &usage));
    assert_int_equal(usage.working_set, 0);
}

static void nothing_there(void **state)
{
    (void)state;
    assert_false(weft_cgroup_usage(root, &usage));
    assert_int_equal(usage.current, 0);
    put("/proc/self/cgroup", "0::/\n");
    put("/sys/fs/cgroup/memory.current", "many\n");
    assert_false(weft_cgroup_usage(root, &usage));
}

static void parents(void **state)
{
    (void)state;
    struct weft_cgroup group;
    char text[16];
    put("/proc/self/cgroup", "0::/a/b\n");
    put("/sys/fs/cgroup/a/x", "1");
    assert_true(weft_cgroup_find(&group, root, 2));
    assert_int_equal(weft_cgroup_read(&group, "x", text, sizeof(text)).len, 0);
    assert_true(weft_cgroup_parent(&group));
    assert_int_equal(weft_cgroup_read(&group, "x", text, sizeof(text)).len, 1);
    assert_true(weft_cgroup_parent(&group));
    assert_false(weft_cgroup_parent(&group));
}

static void numbers(void **state)
{
    (void)state;
    weft_str text = WEFT_S("Name:\tweft\nRss:        2416 kB\nRssAnon: 3 kB\nlast 7");
    uint64_t value = 9;
    assert_true(weft_textfile_number(text, WEFT_S("Rss:"), &value));
    assert_int_equal(value, 2416);
    assert_true(weft_textfile_number(text, WEFT_S("last"), &value));
    assert_int_equal(value, 7);
    assert_false(weft_textfile_number(text, WEFT_S("Name:"), &value));
    assert_false(weft_textfile_number(text, WEFT_S("none"), &value));
    assert_int_equal(value, 7);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_make, fixture_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(version_2),     TEST(version_1), TEST(never_below_zero),
        TEST(nothing_there), TEST(parents),   TEST(numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
