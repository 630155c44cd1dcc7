/* preload_test.c - this test starts itself once more. The second one, known by what
 * weft_preload_settle() says, looks around and ends with 0 when all is as promised. */
#include "mem/preload.h"
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include "unit.h"

/* A library that this program does not need, and that every glibc brings. A sanitizer's runtime
 * insists on being first: nothing is loaded before it. */
#if defined(WEFT_ASAN) || defined(WEFT_TSAN)
#define SANITIZED 1
#define LIBRARY   NULL
#else
#define SANITIZED 0
#define LIBRARY   "libanl.so.1"
#endif

static int saw_library(struct dl_phdr_info *info, size_t bytes, void *arg)
{
    (void)bytes;
    *(bool *)arg |= LIBRARY != NULL && strstr(info->dlpi_name, "libanl") != NULL;
    return 0;
}

static bool env_is(const char *name_z, const char *value_z)
{
    const char *now_z = getenv(name_z);
    return now_z != NULL && value_z != NULL ? strcmp(now_z, value_z) == 0 : now_z == value_z;
}

/* In the second process: the number of what is not as it should be. */
static int second(void)
{
    bool loaded = LIBRARY == NULL;
    char comm[32] = "";
    (void)dl_iterate_phdr(saw_library, &loaded);
    if (!loaded)
        return 1;
    if (!env_is("LD_PRELOAD", NULL) || !env_is("PRELOAD_TEST_NEW", NULL))
        return 2;
    if (!env_is("_WEFT_PRELOADED", NULL) || !env_is("PRELOAD_TEST_OTHER", "other"))
        return 3;
    int fd = open("/proc/self/comm", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, comm, sizeof(comm) - 1) <= 0 || strncmp(comm, "mem_preload", 11) != 0)
        return 4;
    (void)close(fd);
    return weft_preload_settle() ? 0 : 5; /* asked again it says the same */
}

static void starts_once_more(void **state)
{
    (void)state;
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        (void)setenv("PRELOAD_TEST_OTHER", "other", 1);
        alarm(10);
        weft_ignore(weft_preload_exec(LIBRARY, "PRELOAD_TEST_NEW", "new")); /* comes back: failed */
        _exit(100);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* The state that an exec leaves behind, made by hand: what the user had set comes back. */
static void the_environment_is_put_back(void **state)
{
    (void)state;
    assert_false(weft_preload_settle());
    (void)setenv("LD_PRELOAD", "lib.so:users.so", 1);
    (void)setenv("_WEFT_OLD_LD_PRELOAD", "users.so", 1);
    (void)setenv("MALLOC_CONF", "ours", 1);
    (void)setenv("_WEFT_OLD_VALUE", "users", 1);
    (void)setenv("_WEFT_PRELOADED", "MALLOC_CONF", 1);
    assert_true(weft_preload_settle());
    assert_true(env_is("LD_PRELOAD", "users.so"));
    assert_true(env_is("MALLOC_CONF", "users"));
    assert_true(env_is("_WEFT_OLD_LD_PRELOAD", NULL));
    assert_true(env_is("_WEFT_OLD_VALUE", NULL));
    assert_true(env_is("_WEFT_PRELOADED", NULL));
    (void)unsetenv("LD_PRELOAD");
    (void)unsetenv("MALLOC_CONF");
}

static void looks_before_it_leaps(void **state)
{
    (void)state;
    char why[256] = "";
    if (SANITIZED) {
        assert_int_equal(weft_preload_probe("libanl.so.1", why, sizeof(why)), WEFT_ENOTSUP);
        skip();
    }
    assert_int_equal(weft_preload_probe("libanl.so.1", why, sizeof(why)), 0);
    assert_int_equal(weft_preload_probe("libweft-none.so.9", why, sizeof(why)), WEFT_ENOTFOUND);
    assert_non_null(strstr(why, "libweft-none.so.9"));
}

int main(void)
{
    if (weft_preload_settle())
        return second();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_once_more), cmocka_unit_test(looks_before_it_leaps),
        cmocka_unit_test(the_environment_is_put_back), /* last: it leaves "started" behind */
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
