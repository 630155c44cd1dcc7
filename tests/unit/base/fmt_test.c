/* fmt_test.c - our printf against libc's, over every flag, width, precision, length and letter. */
#include "unit.h"
#include "random.h"
#include "base/fmt.h"
#include <float.h>
#include <math.h>
#include <stdio.h>

/* The formats are made at run time: the compiler cannot check them. */
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
#pragma GCC diagnostic ignored "-Wformat"
#pragma GCC diagnostic ignored "-Wformat-extra-args"
#pragma GCC diagnostic ignored "-Wformat-truncation"
#pragma GCC diagnostic ignored "-Wformat-overflow"

#define ROOM 512

static uint64_t seed = 0x2545f4914f6cdd1du;

/* Same text and same length as libc, and in a smaller room the same beginning and nothing behind.
 */
#define SAME(format, ...)                                                                          \
    do {                                                                                           \
        char theirs_[ROOM], ours_[ROOM];                                                           \
        int len_ = snprintf(theirs_, ROOM, format, __VA_ARGS__);                                   \
        size_t got_ = weft_fmt(ours_, ROOM - 1, format, __VA_ARGS__);                              \
        ours_[WEFT_MIN(got_, (size_t)ROOM - 1)] = 0;                                               \
        if (got_ != (size_t)len_ || strcmp(ours_, theirs_) != 0)                                   \
            fail_msg("%s: \"%s\" for \"%s\"", format, ours_, theirs_);                             \
        size_t room_ = next_random(&seed) % 8;                                                     \
        memset(ours_, '#', sizeof(ours_));                                                         \
        assert_int_equal(weft_fmt(ours_, room_, format, __VA_ARGS__), len_);                       \
        assert_memory_equal(ours_, theirs_, WEFT_MIN(room_, (size_t)len_));                        \
        assert_int_equal(ours_[WEFT_MIN(room_, (size_t)len_)], '#');                               \
    } while (0)

/* A directive with random flags, width and precision. */
static void random_spec(char *format, const char *lengths_and_letter)
{
    size_t at = 0;
    format[at++] = '<';
    format[at++] = '%';
    uint64_t bits = next_random(&seed);
    for (size_t i = 0; i < 5; i++)
        if (bits >> i & 1)
            format[at++] = "-0+ #"[i];
    if (bits & 64)
        at += (size_t)snprintf(format + at, 8, "%u", (unsigned)(bits >> 8) % 32);
    if (bits & 128)
        at += (size_t)snprintf(format + at, 8, ".%u", (unsigned)(bits >> 16) % 10);
    snprintf(format + at, 8, "%s>", lengths_and_letter);
}

static uint64_t random_value(void)
{
    return next_random(&seed) >> (next_random(&seed) % 64);
}

static void integers_as_libc(void **state)
{
    (void)state;
    const char *kinds[] = {"d",  "i",  "u",  "x",   "X",   "o",   "hhd", "hd",  "ld",  "lld",
                           "zu", "jd", "td", "hhu", "hu",  "lx",  "llX", "jo",  "zx",  "lo",
                           "ju", "tx", "hx", "hhx", "llu", "lli", "zd",  "hho", "hhX", "ho"};
    for (int i = 0; i < 30000; i++) {
        char format[40];
        const char *kind = kinds[(size_t)i % WEFT_COUNT_OF(kinds)];
        random_spec(format, kind);
        uint64_t value = i % 7 == 0 ? 0 : random_value();
        if (i & 1)
            value = 0 - value;
        if (strlen(kind) == 1 || kind[0] == 'h')
            SAME(format, (unsigned)value);
        else
            SAME(format, value);
    }
}

static void fixed_point_as_libc(void **state)
{
    (void)state;
    const double edges[] = {0.5,         1.5,
                            2.5,         0.125,
                            0.375,       0.05,
                            0.999999999, 9.9999999999,
                            1e-9,        5e-10,
                            1e-20,       0,
                            5e-324,      123456789.5,
                            1e15,        1e17,
                            0.1,         -0.0,
                            -1.25,       0.25,
                            1e18 / 3,    4503599627370497.5};
    for (int i = 0; i < 20000; i++) {
        char format[40];
        random_spec(format, "f");
        double value = (double)random_value() / (double)(random_value() | 1);
        if (i < 1000)
            value = edges[(size_t)i % WEFT_COUNT_OF(edges)];
        if (i & 1)
            value = -value;
        if (fabs(value) < 1e18)
            SAME(format, value);
    }
    SAME("%f|%5f|%05f|%-6f|%F", INFINITY, -INFINITY, INFINITY, NAN, INFINITY);
    SAME("%.*f|%*.*f", 3, 2.0005, 12, 4, -3.14159);
}

static void text_and_pointers_as_libc(void **state)
{
    (void)state;
    const char *none = NULL;
    const char raw[3] = {'a', 'b', 'c'}; /* no zero: the precision is what bounds it */
    SAME("%s|%10s|%-10s|%.2s|%8.3s|%%|%c|%5c|%-5c|", "text", "right", "left", "cut", "both cut",
         'x', 'y', 'z');
    SAME("%.*s|%.3s|%*s|%-*s|%*s", 2, "abcdef", raw, 6, "w", 6, "w", -6, "neg");
    SAME("%.*s|%.*d|%s", -1, "all of it", -5, 42, "");
    SAME("%s|%.3s|%.6s|%10s", none, none, none, none);
    SAME("%p|%p|%20p|%-20p|", (const void *)raw, NULL, (void *)0x1234, (void *)0xffff800000000000u);
    SAME("plain%c%s", 'x', "");
    SAME("%d %s %u %lu %x", -42, "mixed", 7u, 8ul, 255u);
}

/* Not held against libc, which takes seconds to write these spaces to nowhere. */
static void wanted_bytes_are_counted_where_they_are_not_written(void **state)
{
    (void)state;
    char text[8] = "#######";
    assert_int_equal(weft_fmt(text, 6, "%2000000000d|%d", 1, 2), 2000000002);
    assert_string_equal(text, "      #");
    assert_int_equal(weft_fmt(NULL, 0, "%2000000000d|%d", 1, 2), 2000000002);
}

static void the_rest_of_an_unknown_directive_stands_as_it_is(void **state)
{
    (void)state;
    char text[64];
    size_t len = weft_fmt(text, sizeof(text), "%d %k %s", 1, 2, "three");
    assert_int_equal(len, 7);
    assert_memory_equal(text, "1 %k %s", 7);
    int written = 5;
    len = weft_fmt(text, sizeof(text), "ab%n", &written);
    assert_memory_equal(text, "ab%n", len);
    assert_int_equal(written, 5); /* %n writes nothing: it is how format strings are exploited */
    len = weft_fmt(text, sizeof(text), "end %", 1);
    assert_memory_equal(text, "end %", len);
}

static void large_and_general_doubles_are_shortest(void **state)
{
    (void)state;
    char text[64];
    size_t len = weft_fmt(text, sizeof(text), "%.2f %g %10.3e|", 1e300, 0.1, 2.5);
    assert_int_equal(len, 6 + 1 + 3 + 1 + 10 + 1);
    assert_memory_equal(text, "1e+300 0.1        2.5|", len);
}

static void no_room_at_all(void **state)
{
    (void)state;
    assert_int_equal(weft_fmt(NULL, 0, "%d %s", 12345, "abc"), 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_as_libc),
        cmocka_unit_test(fixed_point_as_libc),
        cmocka_unit_test(text_and_pointers_as_libc),
        cmocka_unit_test(wanted_bytes_are_counted_where_they_are_not_written),
        cmocka_unit_test(the_rest_of_an_unknown_directive_stands_as_it_is),
        cmocka_unit_test(large_and_general_doubles_are_shortest),
        cmocka_unit_test(no_room_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
