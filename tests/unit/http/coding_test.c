/* coding_test.c - Accept-Encoding: weights, "*", what is malformed, and the choice. */
#include "http/coding.h"
#include "unit.h"

#define ALL                                                                                        \
    (WEFT_CODING_BIT(WEFT_CODING_IDENTITY) | WEFT_CODING_BIT(WEFT_CODING_GZIP) |                   \
     WEFT_CODING_BIT(WEFT_CODING_BR) | WEFT_CODING_BIT(WEFT_CODING_ZSTD))
#define PLAIN_GZIP (WEFT_CODING_BIT(WEFT_CODING_IDENTITY) | WEFT_CODING_BIT(WEFT_CODING_GZIP))

static struct weft_codings parse(const char *value_z)
{
    struct weft_codings codings;
    weft_codings_init(&codings);
    weft_codings_add(&codings, weft_str_z(value_z));
    return codings;
}

static enum weft_coding choose(const char *value_z, uint32_t there)
{
    struct weft_codings codings = parse(value_z);
    return weft_codings_choose(&codings, there);
}

static void the_best_one_is_chosen(void **state)
{
    (void)state;
    static const struct {
        const char *value_z;
        uint32_t there;
        enum weft_coding coding;
    } rows[] = {
        {"", ALL, WEFT_CODING_IDENTITY},
        {"gzip", ALL, WEFT_CODING_GZIP},
        {"gzip, deflate, br, zstd", ALL, WEFT_CODING_ZSTD}, /* a browser */
        {"gzip, deflate, br", ALL, WEFT_CODING_BR},
        {"gzip, deflate, br, zstd", PLAIN_GZIP, WEFT_CODING_GZIP},
        {"gzip;q=1.0, br;q=0.8", ALL, WEFT_CODING_GZIP},
        {"br;q=0.8,zstd;q=0.801,gzip;q=0.8", ALL, WEFT_CODING_ZSTD},
        {"X-GZIP ; Q=0.5", ALL, WEFT_CODING_GZIP},
        {"identity, gzip;q=0.5", ALL, WEFT_CODING_IDENTITY},
        {"identity;q=0.5, gzip;q=0.5", ALL, WEFT_CODING_GZIP},
        {"gzip;q=0.001", ALL, WEFT_CODING_GZIP}, /* identity unnamed: behind all others */
        {"gzip;q=0", ALL, WEFT_CODING_IDENTITY},
        {"compress, deflate", ALL, WEFT_CODING_IDENTITY},
        {"*", ALL, WEFT_CODING_IDENTITY}, /* can it decode? It does not say */
        {"*;q=0.5, gzip", ALL, WEFT_CODING_GZIP},
        {"*, identity;q=0", ALL, WEFT_CODING_ZSTD},
        {"gzip;q=0.5, *;q=0", ALL, WEFT_CODING_GZIP},
        {"*, gzip;q=0, identity;q=0", PLAIN_GZIP, WEFT_CODING_NONE},
        {"identity;q=0", ALL, WEFT_CODING_NONE},
        {"*;q=0", ALL, WEFT_CODING_NONE},
        {"identity;q=0, br", PLAIN_GZIP, WEFT_CODING_NONE},
        {"gzip, gzip;q=0", ALL, WEFT_CODING_IDENTITY}, /* the lower of two */
        {",, gzip ,,", ALL, WEFT_CODING_GZIP},
    };
    for (size_t i = 0; i < WEFT_COUNT_OF(rows); i++)
        if (choose(rows[i].value_z, rows[i].there) != rows[i].coding)
            fail_msg("'%s': %d", rows[i].value_z, choose(rows[i].value_z, rows[i].there));
}

static void malformed_parts_are_left_out(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "gzip;q=2", "gzip;q=1.001", "gzip;q=0.1234",  "gzip;q=.5", "gzip;q=",   "gzip;q",
        "gzip;",    "gzip;level=9", "gzip;q=0.5;x=1", "gzip q=1",  "gzip;q=-1", "gz ip",
        ";q=1",     "gzip;q =1",    "gzip;q=0x1",     "\"gzip\"",  "gzip;;q=1",
    };
    for (size_t i = 0; i < WEFT_COUNT_OF(bad); i++) {
        if (choose(bad[i], ALL) != WEFT_CODING_IDENTITY)
            fail_msg("'%s'", bad[i]);
    }
    assert_int_equal(choose("gzip;q=9, br;q=0.3", ALL), WEFT_CODING_BR);
    assert_int_equal(choose("gzip;q=1.", ALL), WEFT_CODING_GZIP); /* the grammar has it */
    assert_int_equal(choose("gzip;q=0.", ALL), WEFT_CODING_IDENTITY);
}

static void weights_are_thousandths(void **state)
{
    (void)state;
    struct weft_codings codings = parse("gzip;q=0.05, br;q=0.999, *;q=0.25");
    assert_int_equal(weft_codings_weight(&codings, WEFT_CODING_GZIP), 50);
    assert_int_equal(weft_codings_weight(&codings, WEFT_CODING_BR), 999);
    assert_int_equal(weft_codings_weight(&codings, WEFT_CODING_ZSTD), 250);
    assert_int_equal(weft_codings_weight(&codings, WEFT_CODING_IDENTITY), 250);
}

static void lines_add_up(void **state)
{
    (void)state;
    struct weft_codings codings = parse("gzip;q=0.5");
    weft_codings_add(&codings, WEFT_S("identity;q=0"));
    assert_int_equal(weft_codings_choose(&codings, ALL), WEFT_CODING_GZIP);
    assert_int_equal(weft_codings_weight(&codings, WEFT_CODING_IDENTITY), 0);
}

static void names(void **state)
{
    (void)state;
    for (enum weft_coding coding = WEFT_CODING_IDENTITY; coding < WEFT_CODING_COUNT; coding++)
        assert_int_equal(weft_coding_from(weft_coding_name(coding)), coding);
    assert_int_equal(weft_coding_from(WEFT_S("deflate")), WEFT_CODING_NONE);
    assert_true(weft_str_eq(weft_coding_ending(WEFT_CODING_ZSTD), WEFT_S(".zst")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_one_is_chosen),
        cmocka_unit_test(malformed_parts_are_left_out),
        cmocka_unit_test(weights_are_thousandths),
        cmocka_unit_test(lines_add_up),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
