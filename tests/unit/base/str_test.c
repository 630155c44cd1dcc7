/* str_test.c - slices and numbers, at their edges. */
#include "unit.h"
#include "base/str.h"

static void u64_round_trips(void **state)
{
    (void)state;
    const uint64_t values[] = {0, 9, 10, 99, 100, 101, 12345, UINT32_MAX, UINT64_MAX};
    for (size_t i = 0; i < WEFT_COUNT_OF(values); i++) {
        char text[WEFT_U64_TEXT_BYTES];
        uint64_t back = 1;
        size_t len = weft_u64_to_text(text, values[i]);
        assert_int_equal(weft_str_to_u64(weft_str_make(text, len), &back), 0);
        assert_true(back == values[i]);
    }
}

static void u64_refuses_what_is_no_number(void **state)
{
    (void)state;
    uint64_t out = 7;
    assert_int_equal(weft_str_to_u64(WEFT_S(""), &out), WEFT_ESYNTAX);
    assert_int_equal(weft_str_to_u64(WEFT_S("+1"), &out), WEFT_ESYNTAX);
    assert_int_equal(weft_str_to_u64(WEFT_S("1 "), &out), WEFT_ESYNTAX);
    assert_int_equal(weft_str_to_u64(WEFT_S("18446744073709551616"), &out), WEFT_ERANGE);
    assert_int_equal(weft_str_to_u64(WEFT_S("99999999999999999999999"), &out), WEFT_ERANGE);
    assert_true(out == 7); /* untouched on error */
}

static void i64_edges(void **state)
{
    (void)state;
    int64_t out = 0;
    assert_int_equal(weft_str_to_i64(WEFT_S("-9223372036854775808"), &out), 0);
    assert_true(out == INT64_MIN);
    assert_int_equal(weft_str_to_i64(WEFT_S("9223372036854775808"), &out), WEFT_ERANGE);
    assert_int_equal(weft_str_to_i64(WEFT_S("-"), &out), WEFT_ESYNTAX);
}

static void sizes_and_times_have_units(void **state)
{
    (void)state;
    uint64_t out = 0;
    assert_int_equal(weft_str_to_bytes(WEFT_S("64M"), &out), 0);
    assert_true(out == (64u << 20));
    assert_int_equal(weft_str_to_bytes(WEFT_S("64X"), &out), WEFT_ESYNTAX);
    assert_int_equal(weft_str_to_bytes(WEFT_S("99999999999G"), &out), WEFT_ERANGE);
    assert_int_equal(weft_str_to_ms(WEFT_S("500ms"), &out), 0);
    assert_true(out == 500);
    assert_int_equal(weft_str_to_ms(WEFT_S("5m"), &out), 0);
    assert_true(out == 300000);
}

static void comparisons(void **state)
{
    (void)state;
    assert_true(weft_str_ieq(WEFT_S("Content-Length"), WEFT_S("content-LENGTH")));
    assert_false(weft_str_ieq(WEFT_S("a"), WEFT_S("ab")));
    assert_false(weft_str_ieq(WEFT_S("@"), WEFT_S("`"))); /* differ by the case bit only */
    assert_true(weft_str_eq(weft_str_trim(WEFT_S(" \t x y\t ")), WEFT_S("x y")));
    assert_true(weft_str_ends(WEFT_S("page.html"), WEFT_S(".html")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(u64_round_trips), cmocka_unit_test(u64_refuses_what_is_no_number),
        cmocka_unit_test(i64_edges),       cmocka_unit_test(sizes_and_times_have_units),
        cmocka_unit_test(comparisons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
