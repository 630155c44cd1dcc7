/* escape_test.c - a slice of a request that is kept in what outlives it: found when the request
 * ends, in a checked build. shows MC-35 */
#include "seam.h"
#include "http/escape.h"
#include "http/h1.h"
#include "mem/objects.h"

struct note {
    uint64_t id;
    weft_str text;
};
WEFT_OBJECTS(notes, struct note, 4);

static weft_str kept; /* where a program keeps what it should not */
static weft_handle noted;

static weft_rc keep_header(weft_req *rq)
{
    kept = weft_header(rq, "x-name");
    return weft_text(rq, 200, WEFT_S("kept"));
}

static weft_rc keep_copy(weft_req *rq)
{
    kept = weft_dup(rq, weft_header(rq, "x-name"));
    return weft_text(rq, 200, WEFT_S("kept"));
}

static weft_rc keep_in_pool(weft_req *rq)
{
    struct note *note = weft_object_take(notes, &noted);
    assert_non_null(note);
    note->text = weft_dup(rq, weft_header(rq, "x-name"));
    return weft_text(rq, 200, WEFT_S("noted"));
}

static weft_rc use_it(weft_req *rq)
{
    weft_str copy = weft_dup(rq, weft_header(rq, "x-name"));
    return weft_text(rq, 200, copy);
}

static const struct seam_route routes[] = {{"GET", "/header", keep_header},
                                           {"GET", "/copy", keep_copy},
                                           {"GET", "/pool", keep_in_pool},
                                           {"GET", "/good", use_it}};

static int open_seam(void **state)
{
    (void)state;
    kept = (weft_str){0};
    seam_open(&weft_h1, routes, WEFT_COUNT_OF(routes), 8);
    assert_int_equal(weft_objects_open(&notes, &seam.ledger, 1), 0);
    return 0;
}

static int close_seam(void **state)
{
    (void)state;
    weft_objects_close(&notes);
    seam_close();
    return 0;
}

#define ASK(path) "GET " path " HTTP/1.1\r\nHost: a\r\nX-Name: somebody\r\n\r\n"

#ifdef WEFT_CHECKED
#define FOUND 1
#else
#define FOUND 0
#endif

static void a_slice_of_the_head(void **state)
{
    (void)state;
    feed_text(ASK("/header"));
    assert_int_equal(counted(WEFT_COUNTER_ESCAPES), FOUND);
    kept = (weft_str){0};
    feed_text(ASK("/header"));
    assert_int_equal(counted(WEFT_COUNTER_ESCAPES), 2 * FOUND); /* told once, counted each time */
}

static void a_slice_of_the_arena(void **state)
{
    (void)state;
    feed_text(ASK("/copy"));
    assert_int_equal(counted(WEFT_COUNTER_ESCAPES), FOUND);
#ifdef WEFT_CHECKED
    assert_memory_not_equal(kept.ptr, "somebody", 8); /* and it is overwritten */
#endif
}

static void a_slice_in_an_object_of_a_pool(void **state)
{
    (void)state;
    feed_text(ASK("/pool"));
    assert_int_equal(counted(WEFT_COUNTER_ESCAPES), FOUND);
    assert_int_equal(weft_object_put(notes, noted), 0);
}

static void what_stays_in_its_request_is_no_escape(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++)
        feed_text(ASK("/good"));
    assert_nothing_is_held();
    assert_int_equal(counted(WEFT_COUNTER_ESCAPES), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ESCAPE_TEST(name) cmocka_unit_test_setup_teardown(name, open_seam, close_seam)
        ESCAPE_TEST(a_slice_of_the_head),
        ESCAPE_TEST(a_slice_of_the_arena),
        ESCAPE_TEST(a_slice_in_an_object_of_a_pool),
        ESCAPE_TEST(what_stays_in_its_request_is_no_escape),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
