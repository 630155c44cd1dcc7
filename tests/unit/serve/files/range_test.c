/* range_test.c - what a Range header asks for, and what is refused. */
#include "unit.h"
#include "base/fmt.h"
#include "base/str.h"
#include "serve/files/range.h"

/* The verdict as text: "first+len ..." for parts. */
static const char *read(const char *value_z, uint64_t size)
{
    static char text[1024];
    struct weft_ranges ranges = {0};
    switch (weft_ranges_read(weft_str_z(value_z), size, &ranges)) {
    case WEFT_RANGES_WHOLE:
        return "whole";
    case WEFT_RANGES_NONE:
        return "none";
    case WEFT_RANGES_REFUSED:
        return "refused";
    case WEFT_RANGES_PARTS:
        break;
    }
    size_t at = 0;
    for (uint32_t i = 0; i < ranges.count; i++)
        at +=
            weft_fmt(text + at, sizeof(text) - at, "%s%llu+%llu", i > 0 ? " " : "",
                     (unsigned long long)ranges.at[i].first, (unsigned long long)ranges.at[i].len);
    text[at] = 0;
    return text;
}

struct row {
    const char *value_z;
    uint64_t size;
    const char *verdict_z;
};

static void check(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *got_z = read(rows[i].value_z, rows[i].size);
        if (strcmp(got_z, rows[i].verdict_z) != 0)
            fail_msg("%s of %llu: %s, not %s", rows[i].value_z, (unsigned long long)rows[i].size,
                     got_z, rows[i].verdict_z);
    }
}

static void test_single(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"bytes=0-0", 10, "0+1"},
        {"bytes=0-", 10, "0+10"},
        {"bytes=3-5", 10, "3+3"},
        {"Bytes=3-5", 10, "3+3"},
        {"bytes= 3-5 ", 10, "3+3"},
        {"bytes=,3-5,,", 10, "3+3"},
        {"bytes=9-9", 10, "9+1"},
        {"bytes=5-99", 10, "5+5"},
        {"bytes=-3", 10, "7+3"},
        {"bytes=-99", 10, "0+10"},
        {"bytes=5-99999999999999999999999", 10, "5+5"},
        {"bytes=-99999999999999999999999", 10, "0+10"},
        {"bytes=0-18446744073709551615", UINT64_MAX, "0+18446744073709551615"},
    };
    check(rows, WEFT_COUNT_OF(rows));
}

static void test_behind_the_end(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"bytes=10-", 10, "none"},
        {"bytes=10-12", 10, "none"},
        {"bytes=-0", 10, "none"},
        {"bytes=0-", 0, "none"},
        {"bytes=-0", 0, "none"},
        {"bytes=-1", 0, "whole"},
        {"bytes=99999999999999999999999-", 10, "none"},
        {"bytes=10-12,20-", 10, "none"},
        {"bytes=10-12,0-3,20-", 10, "0+4"},
    };
    check(rows, WEFT_COUNT_OF(rows));
}

static void test_ignored(void **state)
{
    (void)state;
    static const char *const values[] = {
        "",           "bytes",     "bytes=",      "bytes=,",    "bytes=5-3",   "bytes=a-b",
        "bytes=-",    "bytes=--3", "bytes=3",     "bytes=3-5x", "bytes=3 -5",  "bytes=0x3-5",
        "bytes=+3-5", "lines=1-2", "none",        "bytes =1-2", "bytes=1-2;3", "bytes=1-2,x",
        "bytes=1_0-", "bytes:0-1", "bytes=0-1,3", " bytes=0-1", "bytes=1-2-3", "bytes=\t,\t",
    };
    for (size_t i = 0; i < WEFT_COUNT_OF(values); i++)
        if (strcmp(read(values[i], 100), "whole") != 0)
            fail_msg("%s: %s", values[i], read(values[i], 100));
}

static void test_several(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"bytes=0-99,200-299", 1000, "0+100 200+100"},
        {"bytes=200-299, 0-99", 1000, "200+100 0+100"},
        {"bytes=0-99,100-199", 1000, "0+100 100+100"},
        {"bytes=0-99,50-149", 1000, "0+150"},
        {"bytes=50-149,0-99,-100", 1000, "0+150 900+100"},
        {"bytes=0-,-1", 1000, "0+1000"},
        {"bytes=0-0,-1", 1000, "0+1 999+1"},
        {"bytes=0-0,2-2,4-4,6-6", 1000, "0+1 2+1 4+1 6+1"},
    };
    check(rows, WEFT_COUNT_OF(rows));
}

/* RFC 9110 17.15: more work than the asking took. */
static void test_abuse(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"bytes=0-99,50-149,120-300", 1000, "refused"},
        {"bytes=0-,0-,0-", 1000, "refused"},
        {"bytes=0-99,200-299,50-250", 1000, "refused"},
        {"bytes=0-0,2-2,4-4,6-6,8-8", 1000, "refused"},
    };
    check(rows, WEFT_COUNT_OF(rows));
    char many[1024] = "bytes=";
    size_t at = strlen(many);
    for (unsigned i = 0; i < WEFT_RANGES_MAX; i++)
        at += weft_fmt(many + at, sizeof(many) - at, "%u-%u,", i * 200, i * 200 + 99);
    many[at] = 0;
    assert_string_not_equal(read(many, 100000), "refused");
    memcpy(many + at, "9000-9099", sizeof("9000-9099"));
    assert_string_equal(read(many, 100000), "refused");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_single),  cmocka_unit_test(test_behind_the_end),
        cmocka_unit_test(test_ignored), cmocka_unit_test(test_several),
        cmocka_unit_test(test_abuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
