/* conditional_test.c - RFC 9110 13: which answer the client's copy calls for. */
#include "unit.h"
#include "base/str.h"
#include "serve/files/conditional.h"

#define AT     "Sat, 21 Nov 2026 10:00:00 GMT"
#define BEFORE "Sat, 21 Nov 2026 09:59:59 GMT"
#define AFTER  "Sat, 21 Nov 2026 10:00:01 GMT"

enum { AT_S = 1795255200 };

static const struct weft_validators here = {
    .etag = {"\"v1\"", 4}, .modified_s = AT_S, .now_s = AT_S + 100};

static weft_str sent(const char *value_z)
{
    return weft_str_z(value_z);
}

static void test_lists(void **state)
{
    (void)state;
    static const struct {
        const char *list_z;
        bool strong, weak;
    } rows[] = {
        {"\"v1\"", true, true},
        {"W/\"v1\"", false, true},
        {"\"v2\", \"v1\"", true, true},
        {"\"v2\",W/\"v1\"", false, true},
        {"\"a,b\", \"v1\"", true, true},
        {" , \"v1\" ,", true, true},
        {"*", true, true},
        {"\"v2\"", false, false},
        {"v1", false, false},
        {"\"v1", false, false},
        {"\"v1\"x", true, true},
        {"\"v2\"x\"v1\"", false, false},
        {"w/\"v1\"", false, false},
        {"W/", false, false},
        {"\"v 1\", \"v1\"", false, false},
        {"**", false, false},
        {"", false, false},
    };
    for (size_t i = 0; i < WEFT_COUNT_OF(rows); i++) {
        weft_str list = weft_str_z(rows[i].list_z);
        if (weft_etag_listed(list, here.etag, false) != rows[i].strong ||
            weft_etag_listed(list, here.etag, true) != rows[i].weak)
            fail_msg("%s", rows[i].list_z);
    }
    assert_false(weft_etag_listed(WEFT_S("\"\""), (weft_str){0}, true));
    assert_true(weft_etag_listed(WEFT_S("W/\"x\""), WEFT_S("W/\"x\""), true));
    assert_false(weft_etag_listed(WEFT_S("W/\"x\""), WEFT_S("W/\"x\""), false));
}

static void test_each(void **state)
{
    (void)state;
    static const struct {
        const char *match_z, *none_match_z, *modified_z, *unmodified_z;
        enum weft_condition verdict;
    } rows[] = {
        {NULL, NULL, NULL, NULL, WEFT_CONDITION_GO},
        {"\"v1\"", NULL, NULL, NULL, WEFT_CONDITION_GO},
        {"*", NULL, NULL, NULL, WEFT_CONDITION_GO},
        {"\"v2\"", NULL, NULL, NULL, WEFT_CONDITION_WRONG},
        {"W/\"v1\"", NULL, NULL, NULL, WEFT_CONDITION_WRONG},
        {"nonsense", NULL, NULL, NULL, WEFT_CONDITION_WRONG},
        {NULL, "\"v1\"", NULL, NULL, WEFT_CONDITION_SAME},
        {NULL, "W/\"v1\"", NULL, NULL, WEFT_CONDITION_SAME},
        {NULL, "*", NULL, NULL, WEFT_CONDITION_SAME},
        {NULL, "\"v2\"", NULL, NULL, WEFT_CONDITION_GO},
        {NULL, "nonsense", NULL, NULL, WEFT_CONDITION_GO},
        {NULL, NULL, AT, NULL, WEFT_CONDITION_SAME},
        {NULL, NULL, AFTER, NULL, WEFT_CONDITION_SAME},
        {NULL, NULL, BEFORE, NULL, WEFT_CONDITION_GO},
        {NULL, NULL, "yesterday", NULL, WEFT_CONDITION_GO},
        {NULL, NULL, NULL, AT, WEFT_CONDITION_GO},
        {NULL, NULL, NULL, BEFORE, WEFT_CONDITION_WRONG},
        {NULL, NULL, NULL, "yesterday", WEFT_CONDITION_GO},
        /* tags outweigh dates */
        {"\"v1\"", NULL, NULL, BEFORE, WEFT_CONDITION_GO},
        {"\"v2\"", NULL, NULL, AFTER, WEFT_CONDITION_WRONG},
        {NULL, "\"v2\"", AT, NULL, WEFT_CONDITION_GO},
        {NULL, "\"v1\"", BEFORE, NULL, WEFT_CONDITION_SAME},
        /* first what must hold, then what may be spared */
        {"\"v1\"", "\"v1\"", NULL, NULL, WEFT_CONDITION_SAME},
        {"\"v2\"", "\"v1\"", NULL, NULL, WEFT_CONDITION_WRONG},
        {NULL, NULL, AT, BEFORE, WEFT_CONDITION_WRONG},
    };
    for (size_t i = 0; i < WEFT_COUNT_OF(rows); i++) {
        struct weft_conditions asked = {.if_match = sent(rows[i].match_z),
                                        .if_none_match = sent(rows[i].none_match_z),
                                        .if_modified_since = sent(rows[i].modified_z),
                                        .if_unmodified_since = sent(rows[i].unmodified_z)};
        if (weft_conditions_judge(&asked, &here) != rows[i].verdict)
            fail_msg("row %zu", i);
    }
}

static void test_if_range(void **state)
{
    (void)state;
    static const struct {
        const char *value_z;
        bool holds;
    } rows[] = {
        {NULL, true},
        {"\"v1\"", true},
        {"\"v2\"", false},
        {"W/\"v1\"", false},
        {AT, true},
        {BEFORE, false},
        {AFTER, false},
        {"yesterday", false},
        {"\"v1\" ", false},
        {"*", false},
        {"\"v1\", \"v2\"", false},
    };
    for (size_t i = 0; i < WEFT_COUNT_OF(rows); i++) {
        struct weft_conditions asked = {.if_range = sent(rows[i].value_z)};
        if (weft_if_range_holds(&asked, &here) != rows[i].holds)
            fail_msg("%s", rows[i].value_z);
    }
    /* changed this very second: it may change once more without a new date */
    struct weft_validators fresh = here;
    fresh.now_s = fresh.modified_s;
    assert_false(weft_if_range_holds(&(struct weft_conditions){.if_range = sent(AT)}, &fresh));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lists), cmocka_unit_test(test_each),
                                       cmocka_unit_test(test_if_range)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
