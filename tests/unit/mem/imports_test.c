/* imports_test.c - the calls of one library go elsewhere, those of the others do not. */
#include "mem/imports.h"
#include "mem/leash.h"
#include <dlfcn.h>
#include <malloc.h>
#include <stdlib.h>
#include "unit.h"

/* Any library that allocates through imported functions; every build has this one. */
#define LIBRARY "libpcre2-8.so.0"

static struct weft_leash leash;

static void *take(size_t bytes)
{
    return weft_leash_bare_take(&leash, bytes, false);
}

static void put(void *ptr)
{
    weft_leash_bare_put(&leash, ptr);
}

static const struct weft_import imports[] = {
    {"malloc", (void (*)(void))take},
    {"free", (void (*)(void))put},
    {"no_library_has_this", (void (*)(void))put},
};

static void its_calls_are_counted(void **state)
{
    (void)state;
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    assert_non_null(library);
    void *(*create)(void *, void *, void *) = NULL;
    void (*destroy)(void *) = NULL;
    *(void **)&create = dlsym(library, "pcre2_general_context_create_8");
    *(void **)&destroy = dlsym(library, "pcre2_general_context_free_8");
    weft_leash_init(&leash, "pcre2", NULL, 0);
    void *before = create(NULL, NULL, NULL); /* by plain malloc */
    assert_int_equal(weft_imports_redirect(library, imports, WEFT_COUNT_OF(imports)), 2);
    void *made = create(NULL, NULL, NULL);
    assert_non_null(made);
    assert_int_equal(weft_leash_used(&leash), malloc_usable_size(made));
    assert_int_equal(atomic_load(&leash.account->takes), 1);
    free(malloc(100)); /* ours */
    assert_int_equal(atomic_load(&leash.account->takes), 1);
    destroy(made);
    destroy(before); /* what it got elsewhere it may give back */
    assert_int_equal(weft_leash_used(&leash), 0);
    assert_int_equal(atomic_load(&leash.account->puts), 2);
    weft_leash_fini(&leash);
}

static void none_there(void **state)
{
    (void)state;
    static const struct weft_import other[] = {{"no_library_has_this", (void (*)(void))put}};
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    assert_int_equal(weft_imports_redirect(library, other, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_calls_are_counted),
        cmocka_unit_test(none_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
