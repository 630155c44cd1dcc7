/* builder_test.c - text that is built in an arena, or in the caller's bytes. shows MC-07 (the
 * buffer on the stack takes nothing from the arena), MC-31 (one allocation where the guess was
 * good) */
#include "unit.h"
#include <weft/mem.h>
#include "http/service.h"
#include "http/message.h"
#include <stdio.h>

#define KIB ((size_t)1024)

static struct weft_ledger ledger;
static struct weft_account *account;
static struct weft_counters counters;
static struct weft_loop loop;
static weft_req rq;
static struct weft_service service;

static int open_request(void **state)
{
    (void)state;
    loop.counters = &counters;
    assert_int_equal(weft_usage_init(&service.usage, 0), 0);
    rq = (weft_req){.loop = &loop, .service = &service, .usage = service.usage.routes};
    if (weft_ledger_init(&ledger, 0) || weft_account_open(&ledger, "arenas", 0, &account) ||
        weft_chunks_init(&loop.chunks, account, 8 * KIB * KIB))
        return -1;
    weft_arena_init(&rq.arena, &loop.chunks, 4 * KIB * KIB);
    return 0;
}

static int close_request(void **state)
{
    (void)state;
    weft_arena_reset(&rq.arena);
    weft_usage_fini(&service.usage);
    weft_chunks_fini(&loop.chunks);
    weft_ledger_fini(&ledger);
    return 0;
}

static void assert_built(const weft_builder *builder, const char *expected_z)
{
    weft_str text = {0};
    assert_int_equal(weft_builder_text(builder, &text), 0);
    assert_int_equal(text.len, strlen(expected_z));
    assert_memory_equal(text.ptr, expected_z, text.len);
}

static void text_numbers_and_formats_follow_each_other(void **state)
{
    (void)state;
    weft_builder builder;
    assert_int_equal(weft_builder_begin(&rq, &builder, 4), 0);
    weft_builder_add(&builder, WEFT_S("a"));
    weft_builder_add(&builder, (weft_str){0});
    weft_builder_u64(&builder, UINT64_MAX);
    weft_builder_i64(&builder, INT64_MIN);
    weft_builder_i64(&builder, 7);
    weft_builder_format(&builder, "<%s %03d>", "b", 5);
    assert_built(&builder, "a18446744073709551615-92233720368547758087<b 005>");
}

static void a_good_guess_is_one_allocation(void **state) /* shows MC-31 */
{
    (void)state;
    weft_builder builder;
    assert_int_equal(weft_builder_begin(&rq, &builder, 1000), 0);
    for (int i = 0; i < 100; i++)
        weft_builder_add(&builder, WEFT_S("0123456789"));
    assert_int_equal(rq.arena.asked, 1000);
    assert_int_equal(rq.arena.held, 4 * KIB);
    assert_int_equal(builder.at - builder.start, 1000);
}

static void it_grows_in_place_while_nothing_lies_behind_it(void **state)
{
    (void)state;
    weft_builder builder;
    assert_int_equal(weft_builder_begin(&rq, &builder, 10), 0);
    const char *start = builder.start;
    for (int i = 0; i < 300; i++)
        weft_builder_add(&builder, WEFT_S("0123456789"));
    assert_ptr_equal(builder.start, start);
    assert_int_equal(rq.arena.held, 4 * KIB);
}

/* Every length, with others allocating in between: the same bytes. */
static void growing_keeps_what_was_built(void **state)
{
    (void)state;
    static char expected[200000];
    weft_builder builder;
    assert_int_equal(weft_builder_begin(&rq, &builder, 1), 0);
    size_t len = 0;
    for (int i = 0; len < sizeof(expected) - 20; i++) {
        if (i % 7 == 0)
            assert_non_null(weft_alloc(&rq, 1));
        int n = snprintf(expected + len, 20, "%d,", i);
        weft_builder_format(&builder, "%d,", i);
        len += (size_t)n;
    }
    weft_str text = {0};
    assert_int_equal(weft_builder_text(&builder, &text), 0);
    assert_int_equal(text.len, len);
    assert_memory_equal(text.ptr, expected, len);
    assert_true(rq.arena.held <= 16 * sizeof(expected));
}

static void past_the_cap_it_says_so_once(void **state)
{
    (void)state;
    weft_builder builder;
    weft_str text = WEFT_S("untouched");
    rq.arena.cap = 64 * KIB;
    assert_int_equal(weft_builder_begin(&rq, &builder, 100), 0);
    for (int i = 0; i < 10000; i++)
        weft_builder_add(&builder, WEFT_S("0123456789"));
    assert_int_equal(weft_builder_text(&builder, &text), WEFT_ENOMEM);
    weft_builder_u64(&builder, 1); /* nothing more happens */
    weft_builder_format(&builder, "%s", "x");
    assert_int_equal(weft_builder_text(&builder, &text), WEFT_ENOMEM);
    assert_true(weft_equal(text, WEFT_S("untouched")));
    assert_true(rq.arena.held <= 64 * KIB);
    assert_int_equal(weft_counter_read(&counters, WEFT_COUNTER_ARENA_REFUSED), 1);
    rq.arena.cap = 0;
    weft_arena_reset(&rq.arena);
    assert_int_equal(weft_builder_begin(&rq, &builder, 1), WEFT_ENOMEM);
    weft_builder_add(&builder, WEFT_S("x"));
    assert_int_equal(weft_builder_text(&builder, &text), WEFT_ENOMEM);
}

static void bytes_on_the_stack_need_no_arena(void **state) /* shows MC-07 */
{
    (void)state;
    char bytes[1024];
    weft_builder builder;
    weft_str text = {0};
    weft_builder_over(&builder, bytes, sizeof(bytes));
    for (int i = 0; i < 1024; i++)
        weft_builder_add(&builder, WEFT_S("x"));
    assert_int_equal(weft_builder_text(&builder, &text), 0);
    assert_int_equal(text.len, 1024);
    assert_ptr_equal(text.ptr, bytes);
    weft_builder_add(&builder, WEFT_S("x"));
    assert_int_equal(weft_builder_text(&builder, &text), WEFT_ELIMIT);
    assert_int_equal(rq.arena.held, 0);
    assert_int_equal(rq.arena.asked, 0);
}

#define BUILDER_TEST(name) cmocka_unit_test_setup_teardown(name, open_request, close_request)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BUILDER_TEST(text_numbers_and_formats_follow_each_other),
        BUILDER_TEST(a_good_guess_is_one_allocation),
        BUILDER_TEST(it_grows_in_place_while_nothing_lies_behind_it),
        BUILDER_TEST(growing_keeps_what_was_built),
        BUILDER_TEST(past_the_cap_it_says_so_once),
        BUILDER_TEST(bytes_on_the_stack_need_no_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
