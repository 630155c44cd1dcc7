/* clock_test.c - the cached now, and dates against libc's from 1970 to 2100. */
#include "unit.h"
#include "base/clock.h"
#include "base/str.h"
#include <stdio.h>
#include <time.h>

#define NOW_S 1795233995u /* Sat, 21 Nov 2026 04:06:35 GMT */

static void same_as_libc(uint64_t wall_s)
{
    time_t t = (time_t)wall_s;
    struct tm tm;
    gmtime_r(&t, &tm);
    char theirs[64];
    strftime(theirs, sizeof(theirs), "%a, %d %b %Y %H:%M:%S GMT", &tm);
    char ours[WEFT_HTTP_DATE_BYTES + 1] = {0};
    weft_http_date(ours, wall_s);
    assert_string_equal(ours, theirs);

    uint64_t back = 1;
    assert_int_equal(weft_http_date_parse(weft_str_z(ours), NOW_S, &back), 0);
    assert_true(back == wall_s);
    strftime(theirs, sizeof(theirs), "%a %b %e %H:%M:%S %Y", &tm);
    assert_int_equal(weft_http_date_parse(weft_str_z(theirs), NOW_S, &back), 0);
    assert_true(back == wall_s);
    if (wall_s < NOW_S + 50u * 365 * 86400 && tm.tm_year >= 77) {
        strftime(theirs, sizeof(theirs), "%A, %d-%b-%y %H:%M:%S GMT", &tm);
        assert_int_equal(weft_http_date_parse(weft_str_z(theirs), NOW_S, &back), 0);
        assert_true(back == wall_s);
    }
}

static void dates_as_libc_from_1970_to_2100(void **state)
{
    (void)state;
    const uint64_t end = 4133980800u; /* 2101-01-01 */
    uint64_t in_day = 0;
    for (uint64_t day = 0; day < end; day += 86400) {
        in_day = (in_day + 12345) % 86400; /* every day, at changing times */
        same_as_libc(day + in_day);
    }
    same_as_libc(0);
    same_as_libc(951782399); /* around the leap day of 2000 */
    same_as_libc(951782400);
    same_as_libc(4107542400u); /* 2100-03-01: 2100 is no leap year */
    same_as_libc(4107542399u);
    same_as_libc(WEFT_HTTP_DATE_MAX_S);
}

static void a_date_too_late_is_the_last_one(void **state)
{
    (void)state;
    char text[WEFT_HTTP_DATE_BYTES];
    weft_http_date(text, UINT64_MAX);
    assert_memory_equal(text, "Fri, 31 Dec 9999 23:59:59 GMT", WEFT_HTTP_DATE_BYTES);
}

static void the_three_forms_of_rfc_9110(void **state)
{
    (void)state;
    const char *forms[] = {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
                           "Sun Nov  6 08:49:37 1994"};
    for (size_t i = 0; i < WEFT_COUNT_OF(forms); i++) {
        uint64_t s = 0;
        assert_int_equal(weft_http_date_parse(weft_str_z(forms[i]), NOW_S, &s), 0);
        assert_true(s == 784111777);
    }
}

static void two_digit_years_lie_at_most_50_years_ahead(void **state)
{
    (void)state;
    const struct {
        const char *text;
        uint64_t s;
    } rows[] = {
        {"Saturday, 21-Nov-76 04:06:35 GMT", 3373157195u}, /* 2076: 50 years to the second */
        {"Saturday, 21-Nov-76 04:06:36 GMT", 217397196u},  /* 1976 */
        {"Thursday, 01-Jan-26 00:00:00 GMT", 1767225600u},
        {"Friday, 01-Jan-00 00:00:00 GMT", 946684800u},
        {"Thursday, 31-Dec-99 23:59:59 GMT", 946684799u},
        {"Tuesday, 29-Feb-00 00:00:00 GMT", 951782400u},
    };
    for (size_t i = 0; i < WEFT_COUNT_OF(rows); i++) {
        uint64_t s = 0;
        assert_int_equal(weft_http_date_parse(weft_str_z(rows[i].text), NOW_S, &s), 0);
        assert_true(s == rows[i].s);
    }
}

static void what_is_no_date_is_refused(void **state)
{
    (void)state;
    const char *texts[] = {
        "",
        "Sun",
        "Sun,",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        " Sun, 06 Nov 1994 08:49:37 GMT",
        "sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Sun, 29 Feb 1900 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov +994 08:49:37 GMT",
        "Sun, 06-Nov-94 08:49:37 GMT",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sun Nov 06 08:49:37 94",
        "Sun Nov  6 08:49:37 1994 GMT",
        "784111777",
        "0",
    };
    for (size_t i = 0; i < WEFT_COUNT_OF(texts); i++) {
        uint64_t s = 7;
        if (weft_http_date_parse(weft_str_z(texts[i]), NOW_S, &s) != WEFT_ESYNTAX || s != 7)
            fail_msg("taken for a date: \"%s\"", texts[i]);
    }
}

static void before_1970_is_0_and_a_leap_second_is_taken(void **state)
{
    (void)state;
    uint64_t s = 1;
    assert_int_equal(weft_http_date_parse(WEFT_S("Wed, 31 Dec 1969 23:59:59 GMT"), NOW_S, &s), 0);
    assert_true(s == 0);
    s = 1;
    assert_int_equal(weft_http_date_parse(WEFT_S("Sat, 01 Jan 0000 00:00:00 GMT"), NOW_S, &s), 0);
    assert_true(s == 0);
    assert_int_equal(weft_http_date_parse(WEFT_S("Sat, 31 Dec 2016 23:59:60 GMT"), NOW_S, &s), 0);
    assert_true(s == 1483228800);
}

static void the_date_changes_with_the_second_only(void **state)
{
    (void)state;
    struct weft_clock_fake fake;
    struct weft_clock clock;
    weft_clock_fake_init(&fake, 5 * (uint64_t)WEFT_NS_PER_S, NOW_S);
    weft_clock_init(&clock, &fake.source);
    assert_string_equal(clock.date, "Sat, 21 Nov 2026 04:06:35 GMT");
    assert_false(weft_clock_update(&clock));
    weft_clock_fake_advance(&fake, WEFT_NS_PER_S - 1);
    assert_false(weft_clock_update(&clock));
    assert_true(weft_clock_ms(&clock) == 5999);
    assert_string_equal(clock.date, "Sat, 21 Nov 2026 04:06:35 GMT");
    weft_clock_fake_advance(&fake, 1);
    assert_true(weft_clock_update(&clock));
    assert_string_equal(clock.date, "Sat, 21 Nov 2026 04:06:36 GMT");
    fake.wall_s -=
        3600; /* an operator sets the wall clock back: the date follows, now_ns does not */
    assert_true(weft_clock_update(&clock));
    assert_string_equal(clock.date, "Sat, 21 Nov 2026 03:06:36 GMT");
    assert_true(clock.now_ns == 6 * (uint64_t)WEFT_NS_PER_S);
}

static void the_system_clock_goes_on(void **state)
{
    (void)state;
    struct weft_clock clock;
    weft_clock_init(&clock, &weft_clock_system);
    uint64_t before_ns = clock.now_ns;
    time_t wall = time(NULL);
    (void)weft_clock_update(&clock); /* whether the second has changed is not known */
    assert_true(clock.now_ns > before_ns);
    assert_true(clock.wall_s + 2 >= (uint64_t)wall && clock.wall_s <= (uint64_t)wall + 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates_as_libc_from_1970_to_2100),
        cmocka_unit_test(a_date_too_late_is_the_last_one),
        cmocka_unit_test(the_three_forms_of_rfc_9110),
        cmocka_unit_test(two_digit_years_lie_at_most_50_years_ahead),
        cmocka_unit_test(what_is_no_date_is_refused),
        cmocka_unit_test(before_1970_is_0_and_a_leap_second_is_taken),
        cmocka_unit_test(the_date_changes_with_the_second_only),
        cmocka_unit_test(the_system_clock_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
