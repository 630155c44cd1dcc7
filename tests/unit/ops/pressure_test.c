/* pressure_test.c - the kernel's figures, from trees like its own. shows GB-15 */
#include "unit.h"
#include "fixture.h"
#include "ops/pressure.h"

static struct weft_pressure pressure;
static struct weft_pressure_figures figures;

static void read_all(void)
{
    weft_pressure_init(&pressure, root);
    weft_pressure_read(&pressure, &figures);
}

static void a_version_2_group_has_a_pressure_of_its_own(void **state)
{
    (void)state;
    put("/proc/self/statm", "1000 345 200 10 0 80 0\n");
    put("/proc/self/cgroup", "0::/web\n");
    put("/proc/pressure/memory", "some avg10=0.00 avg60=0.00 avg300=0.00 total=999\n");
    put("/proc/pressure/io", "some avg10=1.00 avg60=0.00 avg300=0.00 total=777\nfull total=5\n");
    put("/sys/fs/cgroup/web/memory.current", "5000000\n");
    put("/sys/fs/cgroup/web/memory.stat", "inactive_file 1000000\n");
    put("/sys/fs/cgroup/web/memory.pressure",
        "some avg10=0.12 avg60=0.00 avg300=0.00 total=4242\nfull avg10=0.00 total=17\n");
    read_all();
    assert_int_equal(figures.resident, 345 * 4096);
    assert_int_equal(figures.working_set, 4000000);
    assert_int_equal(figures.stall_us, 4242);
    assert_int_equal(figures.io_stall_us, 777);
}

/* A container's limit may be changed while it runs. */
static void the_limit_is_read_each_time(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/web\n");
    put("/sys/fs/cgroup/web/memory.current", "5000000\n");
    put("/sys/fs/cgroup/web/memory.max", "max\n");
    read_all();
    assert_int_equal(figures.cgroup_limit, 0);
    put("/sys/fs/cgroup/web/memory.max", "33554432\n");
    weft_pressure_read(&pressure, &figures);
    assert_int_equal(figures.cgroup_limit, 32 << 20);
    put("/sys/fs/cgroup/memory.high", "16777216\n");
    weft_pressure_read(&pressure, &figures);
    assert_int_equal(figures.cgroup_limit, 16 << 20);
    put("/sys/fs/cgroup/memory.high", "max\n");
    weft_pressure_read(&pressure, &figures);
    assert_int_equal(figures.cgroup_limit, 32 << 20);
}

static void version_1_has_the_machines(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "4:memory:/web\n0::/\n");
    put("/sys/fs/cgroup/memory/web/memory.usage_in_bytes", "5000000\n");
    put("/sys/fs/cgroup/memory/web/memory.stat", "total_inactive_file 1\n");
    put("/proc/pressure/memory", "some avg10=0.00 avg60=0.00 avg300=0.00 total=999\n");
    read_all();
    assert_int_equal(figures.working_set, 4999999);
    assert_int_equal(figures.cgroup_limit, 0);
    put("/sys/fs/cgroup/memory/web/memory.limit_in_bytes", "20000000\n");
    weft_pressure_read(&pressure, &figures);
    assert_int_equal(figures.cgroup_limit, 20000000);
    assert_int_equal(figures.stall_us, 999);
}

static void what_is_not_there_is_zero(void **state)
{
    (void)state;
    put("/proc/pressure/memory", "some total=many\n");
    read_all();
    assert_int_equal(figures.resident, 0);
    assert_int_equal(figures.working_set, 0);
    assert_int_equal(figures.stall_us, 0);
    assert_int_equal(figures.io_stall_us, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define PRESSURE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_make, fixture_remove)
        PRESSURE_TEST(a_version_2_group_has_a_pressure_of_its_own),
        PRESSURE_TEST(the_limit_is_read_each_time),
        PRESSURE_TEST(version_1_has_the_machines),
        PRESSURE_TEST(what_is_not_there_is_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
