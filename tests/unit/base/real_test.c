/* real_test.c - doubles to text: known texts, and random bits that must read back. */
#include "unit.h"
#include "random.h"
#include "base/real.h"
#include "base/str.h"
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static size_t text_of(char *to, double value)
{
    char text[WEFT_F64_TEXT_BYTES + 1];
    memset(text, '#', sizeof(text));
    size_t len = weft_f64_to_text(text, value);
    assert_true(len > 0 && len <= WEFT_F64_TEXT_BYTES);
    assert_int_equal(text[len], '#'); /* nothing behind the text is touched */
    memcpy(to, text, len);
    to[len] = 0;
    return len;
}

static void known_texts(void **state)
{
    (void)state;
    const struct {
        double value;
        const char *text;
    } rows[] = {
        {0, "0"},
        {-0.0, "-0"},
        {1, "1"},
        {100, "100"},
        {-1.5, "-1.5"},
        {0.1, "0.1"},
        {0.3, "0.3"},
        {0.1 + 0.2, "0.30000000000000004"},
        {1e-6, "0.000001"},
        {1e-7, "1e-7"},
        {123456789012345680.0, "123456789012345680"},
        {1e20, "100000000000000000000"},
        {1e21, "1e+21"},
        {1.5e300, "1.5e+300"},
        {5e-324, "5e-324"},
        {DBL_MAX, "1.7976931348623157e+308"},
        {DBL_MIN, "2.2250738585072014e-308"},
        {-1.2345678901234567e-6, "-0.0000012345678901234567"},
        {9007199254740993.0, "9007199254740992"},
        {9.5367431640625e-7, "9.5367431640625e-7"},
        {1e23, "9.999999999999999e+22"}, /* 1e+23 lies exactly on the edge: too close to call */
        {299792.458, "299792.458"},
    };
    for (size_t i = 0; i < WEFT_COUNT_OF(rows); i++) {
        char text[WEFT_F64_TEXT_BYTES + 1];
        text_of(text, rows[i].value);
        assert_string_equal(text, rows[i].text);
    }
}

static size_t digits_of(const char *text)
{
    size_t count = 0;
    size_t zeros = 0;
    for (; *text != 0 && *text != 'e'; text++) {
        if (*text < '0' || *text > '9')
            continue;
        if (*text == '0') {
            zeros += count > 0;
            continue;
        }
        count += zeros + 1;
        zeros = 0;
    }
    return count;
}

/* Reads back exactly, and is no longer than the shortest of %.15g, %.16g and %.17g that does. */
static size_t check(double value)
{
    char text[WEFT_F64_TEXT_BYTES + 1];
    text_of(text, value);
    double back = strtod(text, NULL);
    assert_memory_equal(&back, &value, sizeof(value));
    int precision = 15;
    char theirs[400];
    do
        snprintf(theirs, sizeof(theirs), "%.*g", precision++, value);
    while (strtod(theirs, NULL) != value);
    return digits_of(text) > digits_of(theirs);
}

static void random_bits_read_back(void **state)
{
    (void)state;
    uint64_t seed = 0x9e3779b97f4a7c15u;
    size_t longer = 0;
    for (int i = 0; i < 60000; i++) {
        (void)next_random(&seed);
        double value;
        memcpy(&value, &seed, sizeof(value));
        if (isfinite(value))
            longer += check(value);
        longer += check((double)(seed >> 40) / 1000);
        longer += check((double)(seed >> 44) * 1e-9);
    }
    assert_true(longer <= 20); /* of 180,000: exact ties, nearly all between 2^53 and 2^57 */
}

static double from_bits(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static void powers_of_two_and_their_neighbours_read_back(void **state)
{
    (void)state;
    for (uint64_t e = 0; e < 2046; e++) { /* the biased exponents of finite doubles */
        uint64_t bits = (e + 1) << 52;
        (void)check(from_bits(bits)); /* the asymmetric interval may cost it a digit */
        (void)check(from_bits(bits - 1));
        (void)check(from_bits(bits + 1));
        (void)check(from_bits((uint64_t)1 << (e % 52))); /* subnormal */
    }
}

/* ---- text to doubles: as strtod() in the C locale ---- */

static void expect_as_strtod(const char *text)
{
    double ours = -1;
    double theirs = strtod(text, NULL);
    weft_rc rc = weft_f64_from_text(weft_str_z(text), &ours);
    if (isinf(theirs)) {
        assert_int_equal(rc, WEFT_ERANGE);
        return;
    }
    assert_int_equal(rc, 0);
    if (memcmp(&ours, &theirs, sizeof(ours)) != 0)
        fail_msg("%s: %.17g, not %.17g", text, ours, theirs);
}

static void texts_read_as_strtod_does(void **state)
{
    (void)state;
    const char *rows[] = {
        "0",
        "-0",
        "0.0",
        "-0e9",
        "1",
        "-1.5",
        "0.1",
        "1e22",
        "1e23",
        "9007199254740993",
        "9007199254740992.9999999999999999999999",
        "9007199254740993.00000000000000000001",
        "1.7976931348623157e308",
        "1.7976931348623158e308",
        "1.7976931348623159e308",
        "1e309",
        "179769313486231580793728971405301e276",
        "4.9e-324",
        "2.4703282292062327e-324",
        "2.4703282292062328e-324",
        "1e-324",
        "1e-400",
        "1e-99999999999999999999",
        "1e99999999999999999999",
        "0e99999999999999999999",
        "2.2250738585072011e-308",
        "2.2250738585072012e-308",
        "2.2250738585072014e-308",
        "6631236871469758276785396630275967",
        "123456789012345678901234567890",
        "0.000000000000000000000000000000000012345678901234567890",
        "8.5e-16",
        "7.2057594037927933e16",
        "1.00000000000000011102230246251565404",
        "1.00000000000000011102230246251565404236316680908203125",
        "1.00000000000000011102230246251565404236316680908203124",
        "1.000000000000000111022302462515654042363166809082031250000000000000000000001",
    };
    for (size_t i = 0; i < WEFT_COUNT_OF(rows); i++)
        expect_as_strtod(rows[i]);
}

/* The exact decimal halfway between two doubles, and a hair to both sides: as long as they come. */
static void halfway_texts_read_as_strtod_does(void **state)
{
    (void)state;
    uint64_t seed = 88172645463325252u;
    static char text[2048];
    for (int i = 0; i < 500; i++) {
        (void)next_random(&seed);
        uint64_t bits = i % 4 == 0 ? seed & 0xfffffffffffffu : seed & 0x7fffffffffffffffu;
        double low = from_bits(bits);
        if (!isfinite(low) || !isfinite(from_bits(bits + 1)))
            continue;
        long double half = ((long double)low + (long double)from_bits(bits + 1)) / 2;
        int len = snprintf(text, sizeof(text), "%.1100Lg", half); /* every digit it has */
        if (strchr(text, 'f') != NULL)
            continue;
        expect_as_strtod(text);
        char *last = strchr(text, 'e') == NULL ? text + len - 1 : strchr(text, 'e') - 1;
        *last = (char)(*last == '0' ? '1' : *last - 1);
        expect_as_strtod(text);
    }
}

static void random_texts_read_as_strtod_does(void **state)
{
    (void)state;
    uint64_t seed = 0x2545f4914f6cdd1du;
    for (int i = 0; i < 60000; i++) {
        char text[80];
        (void)next_random(&seed);
        int digits = 1 + (int)(seed % 25);
        int e = (int)(seed >> 32) % (i % 2 ? 30 : 340);
        snprintf(text, sizeof(text), "%.*e", digits, from_bits(seed & 0x7fefffffffffffffu));
        expect_as_strtod(text);
        snprintf(text, sizeof(text), "%llu.%llue%d", (unsigned long long)(seed >> (seed % 60)),
                 (unsigned long long)(seed >> 20), seed & 1 ? e : -e);
        expect_as_strtod(text);
    }
}

static void long_texts_are_read_to_their_end(void **state)
{
    (void)state;
    static char text[4000];
    memset(text, '0', sizeof(text));
    text[0] = '1';
    memcpy(text + 3000, "e-3000", 7); /* ten times too small without all the zeros */
    expect_as_strtod(text);
    memset(text, '0', sizeof(text));
    memcpy(text, "9007199254740993.", 17);
    text[3500] = '1'; /* what decides lies beyond the digits that are kept */
    text[3501] = 0;
    expect_as_strtod(text);
    text[3500] = '0';
    expect_as_strtod(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_texts),
        cmocka_unit_test(random_bits_read_back),
        cmocka_unit_test(powers_of_two_and_their_neighbours_read_back),
        cmocka_unit_test(texts_read_as_strtod_does),
        cmocka_unit_test(halfway_texts_read_as_strtod_does),
        cmocka_unit_test(random_texts_read_as_strtod_does),
        cmocka_unit_test(long_texts_are_read_to_their_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
