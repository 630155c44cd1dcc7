/* leash_test.c - a library that allocates at any time, and a ledger whose row is right after each
 * call. */
#include "mem/leash.h"
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include "death.h"
#include "unit.h"

#define HEAD WEFT_LEASH_HEAD_BYTES

struct fixture {
    struct weft_ledger ledger;
    struct weft_leash leash;
};

static void set_up(struct fixture *f, size_t budget)
{
    assert_int_equal(weft_ledger_init(&f->ledger, 1 << 20), 0);
    weft_leash_init(&f->leash, "double", NULL, 0);
    assert_int_equal(weft_leash_attach(&f->leash, &f->ledger, budget), 0);
}

/* All is back: the row is 0, and what was promised to the ledger is free again. */
static void tear_down(struct fixture *f)
{
    assert_int_equal(atomic_load(&f->ledger.accounts[0].used), 0);
    weft_leash_fini(&f->leash);
    assert_int_equal(atomic_load(&f->ledger.reserved), 0);
    weft_ledger_fini(&f->ledger);
}

static void row_is(const struct fixture *f, size_t used, size_t peak, uint64_t refused)
{
    const struct weft_account *row = &f->ledger.accounts[0];
    assert_string_equal(row->name_z, "double");
    assert_int_equal(atomic_load(&row->used), used);
    assert_int_equal(atomic_load(&row->peak), peak);
    assert_int_equal(atomic_load(&row->refused), refused);
    assert_int_equal(atomic_load(&row->committed), 0);
}

static void each_step_is_exact(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, 1000);
    assert_int_equal(atomic_load(&f.ledger.reserved), 1000);
    row_is(&f, 0, 0, 0);
    char *a = weft_leash_take(&f.leash, 100);
    assert_non_null(a);
    assert_int_equal((uintptr_t)a % 16, 0);
    row_is(&f, 100 + HEAD, 100 + HEAD, 0);
    char *b = weft_leash_take(&f.leash, 0); /* as malloc(0): a pointer of its own */
    assert_non_null(b);
    row_is(&f, 100 + 2 * HEAD, 100 + 2 * HEAD, 0);
    memset(a, 'x', 100);
    a = weft_leash_resize(&f.leash, a, 300);
    assert_int_equal(a[99], 'x');
    row_is(&f, 300 + 2 * HEAD, 300 + 2 * HEAD, 0);
    a = weft_leash_resize(&f.leash, a, 50);
    assert_int_equal(a[49], 'x');
    row_is(&f, 50 + 2 * HEAD, 300 + 2 * HEAD, 0);
    assert_null(weft_leash_resize(&f.leash, a, 0));
    row_is(&f, HEAD, 300 + 2 * HEAD, 0);
    weft_leash_put(&f.leash, b);
    weft_leash_put(&f.leash, NULL);
    row_is(&f, 0, 300 + 2 * HEAD, 0);
    assert_int_equal(atomic_load(&f.leash.calls), 4);
    tear_down(&f);
}

static void the_budget_is_never_passed(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, 1000);
    char *a = weft_leash_take(&f.leash, 1000 - HEAD); /* exactly all of it */
    assert_non_null(a);
    assert_null(weft_leash_take(&f.leash, 0));
    row_is(&f, 1000, 1000, 1);
    memset(a, 'x', 1000 - HEAD);
    assert_null(weft_leash_resize(&f.leash, a, 1001 - HEAD));
    assert_int_equal(a[999 - HEAD], 'x'); /* the old block is as it was */
    row_is(&f, 1000, 1000, 2);
    weft_leash_put(&f.leash, a);
    assert_null(weft_leash_take(&f.leash, SIZE_MAX));
    assert_null(weft_leash_take(&f.leash, SIZE_MAX - HEAD));
    assert_null(weft_leash_hook_zalloc(&f.leash, 1001, 1));
    row_is(&f, 0, 1000, 5);
    tear_down(&f);
}

static void malloc_says_no(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, 0);
#if !defined(WEFT_ASAN) && !defined(WEFT_TSAN) /* they end the process */
    volatile size_t huge = PTRDIFF_MAX;        /* volatile: the compiler would warn of it */
    assert_null(weft_leash_take(&f.leash, huge));
    row_is(&f, 0, 0, 1);
    char *a = weft_leash_take(&f.leash, 10);
    assert_null(weft_leash_resize(&f.leash, a, huge));
    row_is(&f, 10 + HEAD, 10 + HEAD, 2);
    weft_leash_put(&f.leash, a);
#endif
    tear_down(&f);
}

static void objects_below_a_library(void **state)
{
    (void)state;
    struct fixture f;
    struct weft_leash one, two;
    set_up(&f, 1000);
    weft_leash_init(&one, "one", &f.leash, 0);
    weft_leash_init(&two, "two", &f.leash, 200);
    char *a = weft_leash_take(&one, 500);
    char *b = weft_leash_take(&two, 100);
    assert_int_equal(weft_leash_used(&one), 500 + HEAD);
    assert_int_equal(weft_leash_used(&two), 100 + HEAD);
    row_is(&f, 600 + 2 * HEAD, 600 + 2 * HEAD, 0);
    assert_null(weft_leash_take(&two, 100)); /* its own budget */
    assert_null(weft_leash_take(&one, 500)); /* the library's */
    assert_int_equal(weft_leash_used(&one), 500 + HEAD);
    assert_int_equal(atomic_load(&one.account->peak), 500 + HEAD);
    assert_int_equal(atomic_load(&two.account->refused), 1);
    row_is(&f, 600 + 2 * HEAD, 600 + 2 * HEAD, 2);
    weft_leash_put(&one, a);
    weft_leash_put(&two, b);
    weft_leash_fini(&one);
    weft_leash_fini(&two);
    row_is(&f, 0, 600 + 2 * HEAD, 2);
    tear_down(&f);
}

/* Libraries are there before the ledger and after it. */
static void before_and_after_the_ledger(void **state)
{
    (void)state;
    struct weft_leash leash;
    weft_leash_init(&leash, "double", NULL, 0);
    char *a = weft_leash_take(&leash, 1000);
    struct fixture f;
    assert_int_equal(weft_ledger_init(&f.ledger, 2000), 0);
    assert_int_equal(weft_leash_attach(&leash, &f.ledger, 3000), WEFT_EBUDGET);
    assert_int_equal(weft_leash_used(&leash), 1000 + HEAD);
    weft_ledger_fini(&f.ledger);
    assert_int_equal(weft_ledger_init(&f.ledger, 2000), 0);
    assert_int_equal(weft_leash_attach(&leash, &f.ledger, 0), 0);
    assert_int_equal(weft_leash_attach(&leash, &f.ledger, 0), WEFT_ESTATE);
    assert_int_equal(atomic_load(&f.ledger.reserved), 1000 + HEAD);
    row_is(&f, 1000 + HEAD, 1000 + HEAD, 0);
    char *b = weft_leash_take(&leash, 100);
    row_is(&f, 1100 + 2 * HEAD, 1100 + 2 * HEAD, 0);
    weft_leash_detach(&leash);
    assert_int_equal(atomic_load(&f.ledger.accounts[0].used), 0);
    weft_ledger_fini(&f.ledger);
    weft_leash_put(&leash, a);
    weft_leash_put(&leash, b);
    assert_int_equal(weft_leash_used(&leash), 0);
    weft_leash_fini(&leash);
    weft_leash_fini(&(struct weft_leash){0});
}

/* ---- the double: a library with every kind of hook that there is ---- */

struct library {
    void *(*take)(size_t bytes,
                  void *opaque); /* the first three: opaque last, first, in zlib's way */
    void (*put)(void *ptr, void *opaque);
    void *(*take_first)(void *opaque, size_t bytes);
    void *(*take_items)(void *opaque, unsigned items, unsigned bytes);
    void (*put_first)(void *opaque, void *ptr);
    void *(*plain_take)(size_t bytes, const char *file, int line);
    void *(*plain_resize)(void *ptr, size_t bytes, const char *file, int line);
    void (*plain_put)(void *ptr, const char *file, int line);
    void *opaque;
    void (*progress)(struct library *library); /* the user's, called in the middle of work */
    unsigned depth;
    void *last_error; /* kept by the library, freed at the next call */
};

static const struct library hooks = {
    .take = weft_leash_hook_malloc_last,
    .put = weft_leash_hook_free_last,
    .take_first = weft_leash_hook_malloc,
    .take_items = weft_leash_hook_zalloc,
    .put_first = weft_leash_hook_free,
    .plain_take = weft_leash_hook_plain_malloc,
    .plain_resize = weft_leash_hook_plain_realloc,
    .plain_put = weft_leash_hook_plain_free,
};

/* Work: state, tables and a growing buffer, the user's callback between them; returns false when it
 * got no memory, and then holds nothing but its last error. */
static bool library_work(struct library *library, size_t bytes)
{
    library->put_first(library->opaque, library->last_error);
    library->last_error = library->take(24, library->opaque);
    void *state = library->take(bytes, library->opaque);
    void *table = state ? library->take_items(library->opaque, 16, (unsigned)bytes) : NULL;
    if (table != NULL && library->progress != NULL)
        library->progress(library);
    void *output = table ? library->take_first(library->opaque, 2 * bytes) : NULL;
    void *plain = output ? library->plain_take(bytes, __FILE__, __LINE__) : NULL;
    void *larger = plain ? library->plain_resize(plain, 3 * bytes, __FILE__, __LINE__) : NULL;
    library->plain_put(larger != NULL ? larger : plain, __FILE__, __LINE__);
    library->put_first(library->opaque, output);
    library->put_first(library->opaque, table);
    library->put(state, library->opaque);
    return larger != NULL;
}

static void callback(struct library *library)
{
    if (library->depth++ < 3)
        assert_true(library_work(library, 100));
}

static void from_callbacks(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, 0);
    struct library library = hooks;
    library.opaque = &f.leash;
    library.progress = callback;
    assert_true(library_work(&library, 100));
    /* four deep: state, table; the innermost its output too; and one error */
    size_t each = (100 + HEAD) + (1600 + HEAD);
    row_is(&f, 24 + HEAD, 4 * each + (200 + HEAD) + (24 + HEAD), 0);
    library.put_first(library.opaque, library.last_error);
    assert_int_equal(weft_leash_used(weft_leash_plain()), 0);
    assert_int_equal(atomic_load(&weft_leash_plain()->account->peak), 300 + HEAD);
    tear_down(&f);
}

/* Refused at every place in turn, and nothing is left behind. */
static void beyond_its_budget(void **state)
{
    (void)state;
    struct library library = hooks;
    bool worked = false;
    for (size_t budget = 1; budget < 4000 && !worked; budget += 100) {
        struct fixture f;
        set_up(&f, budget);
        library.opaque = &f.leash;
        library.last_error = NULL;
        worked = library_work(&library, 100);
        const struct weft_account *row = &f.ledger.accounts[0];
        assert_true(atomic_load(&row->peak) <= budget);
        assert_int_equal(atomic_load(&row->refused) == 0, worked);
        library.put_first(library.opaque, library.last_error);
        tear_down(&f);
    }
    assert_true(worked);
}

#define THREADS 4

struct thread {
    struct fixture *f;
    unsigned failed;
};

static void *work_thread(void *arg)
{
    struct thread *thread = arg;
    struct library library = hooks;
    library.opaque = &thread->f->leash;
    for (size_t i = 0; i < 3000; i++) {
        library.depth = 0;
        library.progress = i % 8 == 0 ? callback : NULL;
        if (library.progress != NULL)
            library.depth = 2; /* one deep: the assert in callback() holds only when it fits */
        thread->failed += !library_work(&library, 1 + i % 100);
    }
    library.put_first(library.opaque, library.last_error);
    return NULL;
}

static void from_other_threads(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, 1 << 20); /* enough for all */
    struct thread threads[THREADS];
    pthread_t ids[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        threads[i] = (struct thread){.f = &f};
        assert_int_equal(pthread_create(&ids[i], NULL, work_thread, &threads[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(ids[i], NULL);
        assert_int_equal(threads[i].failed, 0);
    }
    row_is(&f, 0, atomic_load(&f.ledger.accounts[0].peak), 0);
    assert_int_equal(weft_leash_used(weft_leash_plain()), 0);
    tear_down(&f);
}

static void *greedy_thread(void *arg)
{
    struct fixture *f = arg;
    size_t most = 0;
    for (size_t i = 0; i < 20000; i++) {
        weft_leash_put(&f->leash, weft_leash_take(&f->leash, 200));
        most = WEFT_MAX(most, weft_leash_used(&f->leash));
    }
    return most <= 500 ? f : NULL;
}

/* Room for two of four: some are refused, the budget holds at every moment. */
static void threads_beyond_the_budget(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, 500);
    pthread_t ids[THREADS];
    void *one = weft_leash_take(&f.leash, 200);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&ids[i], NULL, greedy_thread, &f), 0);
    for (size_t i = 0; i < THREADS; i++) {
        void *good = NULL;
        pthread_join(ids[i], &good);
        assert_non_null(good);
    }
    assert_true(atomic_load(&f.ledger.accounts[0].peak) <= 2 * (200 + HEAD));
    weft_leash_put(&f.leash, one);
    tear_down(&f);
}

static void put_elsewhere(void *arg)
{
    struct weft_leash *leashes = arg;
    weft_leash_put(&leashes[1], weft_leash_take(&leashes[0], 1));
}

static void end_too_early(void *arg)
{
    struct weft_leash *leash = arg;
    (void)!weft_leash_take(leash, 1);
    weft_leash_fini(leash);
}

static void our_own_mistakes(void **state)
{
    (void)state;
    struct weft_leash leashes[2];
    weft_leash_init(&leashes[0], "one", NULL, 0);
    weft_leash_init(&leashes[1], "other", NULL, 0);
    assert_int_equal(death_of(put_elsewhere, leashes), SIGABRT);
    assert_int_equal(death_of(end_too_early, leashes), SIGABRT);
}

static void blocks_without_a_header(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, 0);
    char *a = weft_leash_bare_take(&f.leash, 100, true);
    size_t size = malloc_usable_size(a);
    assert_int_equal(a[99], 0);
    row_is(&f, size, size, 0);
    a = weft_leash_bare_resize(&f.leash, a, 5000);
    size = malloc_usable_size(a);
    row_is(&f, size, size, 0);
    weft_leash_bare_put(&f.leash, malloc(70)); /* somebody else's */
    a = weft_leash_bare_resize(&f.leash, a, 10);
    char *b = weft_leash_bare_resize(&f.leash, NULL, 10);
    weft_leash_bare_put(&f.leash, NULL);
    weft_leash_bare_put(&f.leash, a);
    weft_leash_bare_put(&f.leash, b);
    row_is(&f, 0, size, 0);
    assert_int_equal(atomic_load(&f.ledger.accounts[0].takes), 4);
    assert_int_equal(atomic_load(&f.ledger.accounts[0].puts), 3);
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_without_a_header),
        cmocka_unit_test(each_step_is_exact),
        cmocka_unit_test(the_budget_is_never_passed),
        cmocka_unit_test(malloc_says_no),
        cmocka_unit_test(objects_below_a_library),
        cmocka_unit_test(before_and_after_the_ledger),
        cmocka_unit_test(from_callbacks),
        cmocka_unit_test(beyond_its_budget),
        cmocka_unit_test(from_other_threads),
        cmocka_unit_test(threads_beyond_the_budget),
        cmocka_unit_test(our_own_mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
