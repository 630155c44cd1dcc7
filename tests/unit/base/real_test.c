/* real_test.c - doubles to text: known texts, and random bits that must read back. */
#include "unit.h"
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
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_texts),
        cmocka_unit_test(random_bits_read_back),
        cmocka_unit_test(powers_of_two_and_their_neighbours_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
