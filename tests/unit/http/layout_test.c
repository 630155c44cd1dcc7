/* layout_test.c - what the plan counts is packed as it says: hot fields first, cold ones last, no
 * holes where there are many of a thing. shows MC-09 */
#include "unit.h"
#include "http/h1_priv.h"

static void an_idle_connection_is_sixteen_bytes(void **state)
{
    (void)state;
    assert_int_equal(sizeof(struct weft_slot), 16);
    assert_int_equal(offsetof(struct weft_slot, io), 15);            /* without a hole */
    assert_int_equal(WEFT_CACHE_LINE % sizeof(struct weft_slot), 0); /* none on two lines */
}

static void small_things_that_are_many(void **state)
{
    (void)state;
    assert_int_equal(sizeof(struct weft_buf_info), 8);
    assert_int_equal(sizeof(struct weft_timer), 32);
    assert_int_equal(sizeof(struct weft_field), 8);
    assert_int_equal(sizeof(struct weft_handle), 8);
    assert_int_equal(sizeof(struct weft_str), 16);
    assert_int_equal(sizeof(struct weft_out_field), 32);
}

/* What every request reads lies before the places for header lines and slots. */
static void a_request_has_its_cold_fields_last(void **state)
{
    (void)state;
    size_t hot[] = {offsetof(struct weft_req, exchange), offsetof(struct weft_req, service),
                    offsetof(struct weft_req, route),    offsetof(struct weft_req, head),
                    offsetof(struct weft_req, path),     offsetof(struct weft_req, arena),
                    offsetof(struct weft_req, status),   offsetof(struct weft_req, body)};
    for (size_t i = 0; i < WEFT_COUNT_OF(hot); i++)
        assert_true(hot[i] < offsetof(struct weft_req, fields_inline));
    assert_true(offsetof(struct weft_req, slots) > offsetof(struct weft_req, fields_inline));
    assert_true(offsetof(struct weft_req, exchange) < WEFT_CACHE_LINE);
    assert_true(offsetof(struct weft_req, route) < WEFT_CACHE_LINE);
    assert_true(sizeof(struct weft_h1) <= 1408); /* docs/memory.md and ARCHITECTURE.md say so */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_connection_is_sixteen_bytes),
        cmocka_unit_test(small_things_that_are_many),
        cmocka_unit_test(a_request_has_its_cold_fields_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
