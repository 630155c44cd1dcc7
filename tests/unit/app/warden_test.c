/* warden_test.c - a cgroup's limit that is changed while the server runs. shows GB-15 */
#include "unit.h"
#include "fixture.h"
#include "app/warden.h"

#define MIB ((size_t)1 << 20)

static struct weft_warden warden;
static struct weft_loop loop;

static void look(const char *memory_max_z)
{
    put("/sys/fs/cgroup/web/memory.max", memory_max_z);
    loop.now_ms += WEFT_WARDEN_MS;
    warden.timer.fire(&warden.timer);
}

static void is_lowered(size_t withheld, uint64_t times)
{
    assert_int_equal(warden.limits.withheld, withheld);
    assert_int_equal(warden.limits.lowered, times);
    assert_int_equal(weft_warden_ready(&warden), withheld == 0);
}

static void a_limit_below_the_plan_is_told_and_obeyed(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/web\n");
    put("/sys/fs/cgroup/web/memory.current", "5000000\n");
    loop = (struct weft_loop){.now_ms = 1000};
    weft_wheel_init(&loop.wheel, loop.now_ms, 1);
    weft_warden_init(&warden, root, 64 * MIB, 60 * MIB, 1000);
    weft_warden_start(&warden, &loop, NULL, 0);
    look("max\n");
    is_lowered(0, 0);
    look("62914560\n"); /* the plan's, to the byte */
    is_lowered(0, 0);
    look("41943040\n");
    is_lowered(20 * MIB + 1, 1);
    look("31457280\n"); /* and further: the same fall */
    is_lowered(30 * MIB + 1, 1);
    look("max\n");
    is_lowered(0, 1);
    look("31457280\n");
    is_lowered(30 * MIB + 1, 2);
    weft_warden_stop(&warden);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_limit_below_the_plan_is_told_and_obeyed, fixture_make,
                                        fixture_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
