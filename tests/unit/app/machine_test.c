/* machine_test.c - cgroup limits, read from fixture trees as containers and hosts show them. */
#include "unit.h"
#include "fixture.h"
#include "app/machine.h"
#include <stdio.h>
#include <sched.h>
#include <sys/resource.h>

static struct weft_machine machine;

static int make_root(void **state)
{
    if (fixture_make(state) != 0)
        return -1;
    put("/proc/meminfo", "MemTotal:       1048576 kB\nMemFree:         1000 kB\n");
    return 0;
}

/* The limit found, and the end of the name of the file that says so. */
static void limit_is(size_t bytes, const char *source_z)
{
    weft_machine_read(&machine, root);
    assert_true(machine.cgroup_limit_bytes == bytes);
    size_t len = strlen(machine.cgroup_source);
    assert_true(len >= strlen(source_z));
    assert_string_equal(machine.cgroup_source + len - strlen(source_z), source_z);
    if (!source_z[0])
        assert_int_equal(len, 0);
}

static void nothing_there(void **state)
{
    (void)state;
    limit_is(WEFT_MACHINE_NO_LIMIT, "");
    assert_true(machine.memory_bytes == (size_t)1 << 30);
    assert_true(weft_machine_memory_limit(&machine) == (size_t)1 << 29);
    weft_machine_read(&machine, "/no/such/dir");
    assert_int_equal(machine.memory_bytes, 0);
    assert_true(weft_machine_memory_limit(&machine) == WEFT_MACHINE_NO_LIMIT);
}

static void v2_lowest_on_the_way_up(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/system.slice/weft.service\n");
    put("/sys/fs/cgroup/system.slice/weft.service/memory.max", "max\n");
    put("/sys/fs/cgroup/system.slice/memory.max", "268435456\n");
    limit_is(256 << 20, "/sys/fs/cgroup/system.slice/memory.max");
    assert_true(weft_machine_memory_limit(&machine) == 256 << 20);
    put("/sys/fs/cgroup/system.slice/weft.service/memory.max", "134217728\n");
    limit_is(128 << 20, "/system.slice/weft.service/memory.max");
    put("/sys/fs/cgroup/system.slice/weft.service/memory.high", "67108864\n");
    limit_is(64 << 20, "/system.slice/weft.service/memory.high");
}

static void v2_in_a_container_with_its_own_namespace(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/\n");
    put("/sys/fs/cgroup/memory.max", "33554432\n");
    limit_is(32 << 20, "/sys/fs/cgroup/memory.max");
}

static void v2_group_outside_the_namespace(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/../../other\n");
    put("/sys/fs/cgroup/memory.max", "33554432\n");
    put("/sys/other/memory.max", "1\n");
    put("/sys/fs/other/memory.max", "1\n");
    limit_is(32 << 20, "/sys/fs/cgroup/memory.max");
}

static void v1_and_its_huge_number(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "5:cpu,cpuacct:/a\n4:hugetlb,memory:/a/b\n1:name=systemd:/memory\n");
    put("/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "9223372036854771712\n");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    limit_is(WEFT_MACHINE_NO_LIMIT, "");
    put("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "104857600\n");
    limit_is(100 << 20, "/memory/a/memory.limit_in_bytes");
    put("/sys/fs/cgroup/memory/a/b/memory.stat",
        "cache 0\nhierarchical_memory_limit 52428800\nhierarchical_memsw_limit 1\n");
    limit_is(50 << 20, "/memory/a/b/memory.stat");
}

/* Docker without a cgroup namespace: the path is the host's, the mount shows the container only. */
static void v1_container_sees_its_part_as_the_top(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "4:memory:/docker/0123/inner\n");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "104857600\n");
    limit_is(100 << 20, "/memory/memory.limit_in_bytes");
    put("/proc/self/mountinfo",
        "22 1 0:20 / / rw - ext4 /dev/root rw\n"
        "35 31 0:32 /docker/0123 /sys/fs/cgroup/memory ro shared:1 - cgroup cgroup rw,memory\n");
    put("/sys/fs/cgroup/memory/inner/memory.limit_in_bytes", "52428800\n");
    limit_is(50 << 20, "/memory/inner/memory.limit_in_bytes");
}

static void hybrid_host_lower_one_counts(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "4:memory:/a\n0::/b\n");
    put("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "104857600\n");
    put("/sys/fs/cgroup/unified/b/memory.max", "209715200\n");
    limit_is(100 << 20, "/memory/a/memory.limit_in_bytes");
    put("/sys/fs/cgroup/unified/b/memory.max", "52428800\n");
    limit_is(50 << 20, "/unified/b/memory.max");
}

static void mounted_elsewhere(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/a\n");
    put("/proc/self/mountinfo", "1 2 0:3 / /mnt/cg rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n");
    put("/mnt/cg/a/memory.max", "104857600\n");
    limit_is(100 << 20, "/mnt/cg/a/memory.max");
}

static void a_limit_above_the_memory_is_none(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/a\n");
    put("/sys/fs/cgroup/a/memory.max", "2147483648\n");
    limit_is((size_t)2 << 30, "memory.max");
    assert_true(weft_machine_memory_limit(&machine) == (size_t)1 << 29);
}

static void nonsense_is_no_limit(void **state)
{
    (void)state;
    const char *const texts[] = {"", "\n", "-1\n", "many\n", "99999999999999999999999\n", "1 2\n"};
    put("/proc/self/cgroup", "0::/a\nx\n::\n4:memory\n:memory:\n");
    put("/proc/self/mountinfo", "\n1\n1 2 3 4 5 6\n1 2 3 4 5 6 -\n");
    for (size_t i = 0; i < WEFT_COUNT_OF(texts); i++) {
        put("/sys/fs/cgroup/a/memory.max", texts[i]);
        limit_is(WEFT_MACHINE_NO_LIMIT, "");
    }
}

static void paths_that_are_too_long_are_left_alone(void **state)
{
    (void)state;
    char text[3000];
    size_t len = (size_t)snprintf(text, sizeof(text), "0::");
    memset(text + len, 'a', sizeof(text) - len - 1);
    for (size_t at = len; at < sizeof(text) - 1; at += 100)
        text[at] = '/';
    text[sizeof(text) - 1] = '\0';
    put("/proc/self/cgroup", text);
    put("/sys/fs/cgroup/memory.max", "104857600\n");
    limit_is(100 << 20,
             "/sys/fs/cgroup/memory.max"); /* its own group cannot be named, the top can */
}

static void cpus_are_the_affinity_mask(void **state)
{
    (void)state;
    cpu_set_t before;
    cpu_set_t one;
    assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
    weft_machine_read(&machine, "/");
    assert_int_equal(machine.cpu_count, CPU_COUNT(&before));
    for (uint32_t i = 0; i < machine.cpu_count; i++)
        assert_true(CPU_ISSET(machine.cpus[i], &before));
    uint16_t last = machine.cpus[machine.cpu_count - 1];
    CPU_ZERO(&one);
    CPU_SET(last, &one);
    assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
    weft_machine_read(&machine, "/");
    assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
    assert_int_equal(machine.cpu_count, 1);
    assert_int_equal(machine.cpus[0], last);
    assert_true(machine.memory_bytes > 0);
}

static void descriptors_go_to_the_hard_limit(void **state)
{
    (void)state;
    struct rlimit now;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &now), 0);
    struct rlimit low = {.rlim_cur = 256, .rlim_max = now.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    weft_machine_read(&machine, root);
    assert_int_equal(machine.nofile_soft, 256);
    assert_true(machine.nofile_hard == now.rlim_max);
    assert_true(weft_machine_raise_nofile() == now.rlim_max);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &low), 0);
    assert_true(low.rlim_cur == now.rlim_max);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_root, fixture_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_there),
        TEST(v2_lowest_on_the_way_up),
        TEST(v2_in_a_container_with_its_own_namespace),
        TEST(v2_group_outside_the_namespace),
        TEST(v1_and_its_huge_number),
        TEST(v1_container_sees_its_part_as_the_top),
        TEST(hybrid_host_lower_one_counts),
        TEST(mounted_elsewhere),
        TEST(a_limit_above_the_memory_is_none),
        TEST(nonsense_is_no_limit),
        TEST(paths_that_are_too_long_are_left_alone),
        TEST(cpus_are_the_affinity_mask),
        TEST(descriptors_go_to_the_hard_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
