/* json_suite_test.c - what is JSON and what is not, one row per rule of RFC 8259 and RFC 3629: the
 * ground that the y_ and n_ cases of the usual test suites cover, written anew from the rules. Each
 * row is also a list's item, an object's member and an unknown field, and is cut at every place.
 */
#include "unit.h"
#include "base/str.h"
#include "serve/json/json_read.h"
#include <stdlib.h>

#define T(text)                                                                                    \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }

struct text {
    const char *ptr;
    size_t len;
};

static const struct text good[] = {
    /* 3: values; white space around them, of four kinds */
    T("null"),
    T("true"),
    T("false"),
    T("0"),
    T("\"\""),
    T("[]"),
    T("{}"),
    T(" 1"),
    T("1 "),
    T(" \t\r\n[ \t\r\n] \t\r\n"),
    T("{ \"a\" \n:\t1\r, \"b\":2 }"),
    T("[ ]"),
    T("{ }"),
    /* 4: objects; any name, the empty one, the same twice */
    T("{\"\":0}"),
    T("{\"a\":1,\"a\":1}"),
    T("{\"a\":1,\"a\":2}"),
    T("{\"a\\u0000b\":1}"),
    T("{\"a\":[]}"),
    T("{\"min\":-1.0e+28,\"max\":1.0e+28}"),
    T("{\"a\":{\"b\":{\"c\":[{}]}}}"),
    T("{\"\\u0041\":null}"),
    T("{\"x\":[{\"id\":\""
      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}]}"),
    /* 5: lists of unlike values */
    T("[1]"),
    T("[\"\"]"),
    T("[null,1,\"1\",{}]"),
    T("[1,null,null,null,2]"),
    T("[[]   ]"),
    T("[[[[[]]]]]"),
    T("[false]"),
    T("[ 1 , 2 ]"),
    T("[\"a\"]\n"),
    /* 6: numbers */
    T("-0"),
    T("-1"),
    T("123"),
    T("1.5"),
    T("0.5"),
    T("-0.5"),
    T("1e1"),
    T("1E1"),
    T("1e+1"),
    T("1e-1"),
    T("1E+2"),
    T("1E-2"),
    T("0e1"),
    T("0e+1"),
    T("0E1"),
    T("20e1"),
    T("123.456e78"),
    T("123.456e-789"),
    T("-0.000000000000000000000000000000000000000000000000000000000000000001"),
    T("100000000000000000000000000000000000000000000000000000000000000000000000000000000000000"),
    T("1.7976931348623157e309"),
    T("1e-400"),
    T("-237462374673276894279832749832423479823246327846"),
    T("10"),
    T("0.0"),
    T("1e00005"),
    /* 7: strings; all escapes, all that needs none, pairs of surrogates */
    T("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""),
    T("\"\\u0000\""),
    T("\"\\u001f\""),
    T("\"\\u0022\""),
    T("\"\\u005C\""),
    T("\"\\u002c\""),
    T("\"\\uaBcD\""),
    T("\"\\u0012\""),
    T("\"\\uFFFF\""),
    T("\"\\uD801\\uDC37\""),
    T("\"\\ud83d\\ude39\\ud83d\\udc8d\""),
    T("\"\\uDBFF\\uDFFF\""),
    T("\"\\uD834\\uDd1e\""),
    T("\"\\uFDD0\""),
    T("\"\\uFFFE\""),
    T("\"\\u200B\""),
    T("\"\\u2064\""),
    T("\"\x7f\""),
    T("\" \""),
    T("\"a/*b*/c/*d//e\""),
    T("\"\\\\a\""),
    T("\"\\\\n\""),
    T("\"http:\\/\\/x\""),
    T("\"'\""),
    T("\"\\\\u0000\""),
    T("\"asd \""),
    T("\"[,]{:}\""),
    T("\"0123456789abcdef0123456789abcdef\\n0123456789abcdef\""),
    /* 8.1: UTF-8, the first and last of each length, and what no character is assigned to */
    T("\"\xc2\x80\""),
    T("\"\xdf\xbf\""),
    T("\"\xe0\xa0\x80\""),
    T("\"\xed\x9f\xbf\""),
    T("\"\xee\x80\x80\""),
    T("\"\xef\xbf\xbf\""),
    T("\"\xf0\x90\x80\x80\""),
    T("\"\xf4\x8f\xbf\xbf\""),
    T("\"\xf0\x9b\xbf\xbf\""),
    T("\"\xe2\x80\xa8\xe2\x80\xa9\""),
    T("\"\xe2\x82\xac\xf0\x9d\x84\x9e\""),
    T("\"\xef\xbb\xbf\""),
    T("{\"\xcf\x80\":\"\xcf\x80\"}"),
    T("\"a\xc3\xa4\\u00e4z\""),
};

static const struct text bad[] = {
    /* nothing, or not one value */
    T(""),
    T(" "),
    T("1 1"),
    T("[] []"),
    T("{}{}"),
    T("[1],"),
    T("[1]x"),
    T("{\"a\":0}#"),
    T("{}\x00"),
    T("1\x00"),
    T("[][]"),
    T("\"\"x"),
    T("[\"a\",\n4\n,1,"),
    T(","),
    T(":"),
    /* 2, 3: words, white space, comments */
    T("nul"),
    T("tru"),
    T("fals"),
    T("True"),
    T("NULL"),
    T("nulll"),
    T("truefalse"),
    T("undefined"),
    T("\x0c[]"),
    T("[\x0c]"),
    T("[\x0b]"),
    T("\xc2\xa0[]"),
    T("\xe2\x80\xa8[]"),
    T("\xe2\x81\xa0"),
    T("/**/1"),
    T("{\"a\":/*c*/1}"),
    T("{\"a\":1}//c"),
    T("[1] # c"),
    T("\xef\xbb\xbf{}"),
    T("\xff\xfe\x5b\x00"),
    T("*"),
    T("<null>"),
    T("&"),
    T("\\"),
    T("a"),
    T("'a'"),
    T("[a]"),
    /* 4: objects */
    T("{"),
    T("{\"a\""),
    T("{\"a\":"),
    T("{\"a\":1"),
    T("{\"a\":1,"),
    T("{\"a\":1,}"),
    T("{,}"),
    T("{\"a\" 1}"),
    T("{\"a\"::1}"),
    T("{\"a\",1}"),
    T("{\"a\"}"),
    T("{:1}"),
    T("{a:1}"),
    T("{1:1}"),
    T("{'a':1}"),
    T("{\"a\":}"),
    T("{\"a\":1,,\"b\":2}"),
    T("{\"a\":1 \"b\":2}"),
    T("{null:1}"),
    T("{\"a\":1]"),
    T("{[]:1}"),
    T("{\"a\":1,\"b\"}"),
    T("{\"a\":1;\"b\":2}"),
    T("}"),
    T("{\"a\":\"a"),
    T("{\"\\uD800\":1}"),
    T("{\"a\x01\":1}"),
    T("{\"a\":1,1}"),
    T("{\"x\", null}"),
    /* 5: lists */
    T("["),
    T("[1"),
    T("[1,"),
    T("[1,]"),
    T("[,]"),
    T("[,1]"),
    T("[1,,2]"),
    T("[1 2]"),
    T("[1;2]"),
    T("[\"\",]"),
    T("[1}"),
    T("[1]]"),
    T("]"),
    T("[[1]"),
    T("[3[4]]"),
    T("[\"a\":1]"),
    T("[:1]"),
    T("[\"a\" \"b\"]"),
    T("[1,\n1\n,1"),
    T("[[]"),
    T("[{}"),
    T("[{"),
    T("[\"a"),
    T("[1,,]"),
    /* 6: numbers */
    T("+1"),
    T("-"),
    T("--1"),
    T("01"),
    T("-01"),
    T("00"),
    T("012"),
    T("1."),
    T("-1."),
    T("1.e1"),
    T(".1"),
    T("-.1"),
    T("1e"),
    T("1e+"),
    T("1e-"),
    T("1E"),
    T("1eE2"),
    T("1.5e"),
    T("0e"),
    T("0e+"),
    T("1e1.5"),
    T("1.2.3"),
    T("0x1"),
    T("0x42"),
    T("1_000"),
    T("1,000"),
    T("1 000"),
    T("NaN"),
    T("nan"),
    T("Infinity"),
    T("-Infinity"),
    T("inf"),
    T("-foo"),
    T("1+2"),
    T("1a"),
    T("0.3e"),
    T("9.e+"),
    T("2.e3"),
    T("2.e-3"),
    T("-2."),
    T("0.e1"),
    T("\xef\xbc\x91"),
    T("-1x"),
    T("1ea"),
    T("1e1e1"),
    T("- 1"),
    T("-NaN"),
    T("1\xe5"),
    T("1e1\xe5"),
    T("0\xe5"),
    T("-1\xc3\xa4"),
    /* 7: strings */
    T("\""),
    T("\"a"),
    T("\"\\\""),
    T("\"\\\\\\\""),
    T("\"\\"),
    T("\"\\a\""),
    T("\"\\x00\""),
    T("\"\\v\""),
    T("\"\\'\""),
    T("\"\\0\""),
    T("\"\\U0041\""),
    T("\"\\u\""),
    T("\"\\u0\""),
    T("\"\\u00\""),
    T("\"\\u004\""),
    T("\"\\u004g\""),
    T("\"\\u+041\""),
    T("\"\\u 041\""),
    T("\"\\u00A"),
    T("\"\\ \""),
    T("\"\\\t\""),
    T("\"\\\x00\""),
    T("\"\\\xe5\""),
    T("\"\\u\xe5\""),
    T("\"\x00\""),
    T("\"a\x00z\""),
    T("\"\n\""),
    T("\"\t\""),
    T("\"\r\""),
    T("\"\x1f\""),
    T("\"\x01\""),
    T("\"0123456789abcdef\x1f\""),
    T("\"\\\xf0\x9f\x8c\x80\""),
    T("\\u0020\"a\""),
    T("\"\\uD800\""),
    T("\"\\uDC00\""),
    T("\"\\uD800\\u\""),
    T("\"\\uD800\\u1\""),
    T("\"\\uD800\\u1x\""),
    T("\"\\uD800\\\""),
    T("\"\\uD800\\n\""),
    T("\"\\uD800x\""),
    T("\"\\uD800\\uD800\""),
    T("\"\\uDC00\\uD800\""),
    T("\"\\uD800\\u0041\""),
    T("\"\\uDADA"),
    T("\"\\uD888\\u1234\""),
    T("\"\\ud800abc\""),
    T("\"\\uDd1e\\uD834\""),
    /* 8.1: bytes that are no UTF-8 */
    T("\"\x80\""),
    T("\"\xbf\""),
    T("\"\xc0\x80\""),
    T("\"\xc0\xaf\""),
    T("\"\xc1\xbf\""),
    T("\"\xc2\""),
    T("\"\xc2 \""),
    T("\"\xe0\x80\x80\""),
    T("\"\xe0\x9f\xbf\""),
    T("\"\xe0\xff\""),
    T("\"\xed\xa0\x80\""),
    T("\"\xed\xbf\xbf\""),
    T("\"\xe2\x82\""),
    T("\"\xf0\x80\x80\x80\""),
    T("\"\xf0\x8f\xbf\xbf\""),
    T("\"\xf4\x90\x80\x80\""),
    T("\"\xf4\xbf\xbf\xbf\""),
    T("\"\xf5\x80\x80\x80\""),
    T("\"\xf8\x88\x80\x80\x80\""),
    T("\"\xfc\x83\xbf\xbf\xbf\xbf\""),
    T("\"\xfe\""),
    T("\"\xff\""),
    T("\"\xf0\x9f\x98\""),
    T("\"\xe6\x97\xa5\xd1\x88\xfa\""),
    T("[\xff]"),
    T("\xe5"),
    T("{\"\xb9\":\"0\",}"),
    T("{\"\xff\":1}"),
    T("\"\xed\xa0\x81\xed\xb0\x80\""),
};

/* ---- as they are, and within others ---- */

struct anything {
    weft_str value;
    WEFT_LIST(weft_str) values;
};
WEFT_JSON(anything_json, struct anything, WEFT_F_OPT(WEFT_F_RAW(value, 100000)),
          WEFT_F_OPT(WEFT_F_LIST(values, WEFT_E_RAW(100000), 0, 1000)));

static void *list_alloc(void *arg, size_t bytes)
{
    static _Alignas(16) char room[1000 * sizeof(weft_str)];
    (void)arg;
    return bytes <= sizeof(room) ? room : NULL;
}
static const struct weft_json_memory memory = {list_alloc, NULL};

/* In memory of just its size: what is read behind it is a finding for the address sanitizer. */
static weft_rc check_bytes(const char *text, size_t len)
{
    char *exact = malloc(len > 0 ? len : 1);
    assert_non_null(exact);
    if (len > 0)
        memcpy(exact, text, len);
    weft_json_error error;
    weft_rc rc = weft_json_check(weft_str_make(exact, len), &error);
    assert_true(rc == 0 || (error.rc == rc && error.offset <= len && error.text_z[0] != 0));
    free(exact);
    return rc;
}

static weft_rc read_bytes(const char *text, size_t len)
{
    char *exact = malloc(len);
    assert_non_null(exact);
    memcpy(exact, text, len);
    weft_json_error error;
    struct anything out;
    weft_rc rc = weft_json_parse(exact, len, &anything_json, &out, &memory, &error);
    free(exact);
    return rc;
}

/* Puts a text between two others.
 *  returns  bytes of all three */
static size_t within(char *to, const struct text around[2], const struct text *text)
{
    size_t len = 0;
    const struct text *all[] = {&around[0], text, &around[1]};
    for (size_t i = 0; i < WEFT_COUNT_OF(all); i++) {
        memcpy(to + len, all[i]->ptr, all[i]->len);
        len += all[i]->len;
    }
    return len;
}

/* Would it perhaps be JSON in the middle of another text? */
static bool may_fit_elsewhere(const struct text *text)
{
    bool fits = text->len == 0;
    for (size_t i = 0; i < text->len; i++)
        fits |= text->ptr[i] == ',' || text->ptr[i] == '}' || text->ptr[i] == ' ';
    return fits;
}

static void expect_all(const struct text *texts, size_t count, weft_rc wanted)
{
    static char room[4096];
    const struct text around[][2] = {
        {T("[0,"), T("]")}, {T("{\"a\":0,\"b\":"), T("}")}, {T("[["), T(",1]]")}};
    for (size_t i = 0; i < count; i++) {
        if (check_bytes(texts[i].ptr, texts[i].len) != wanted)
            fail_msg("row %zu: %.*s", i, (int)texts[i].len, texts[i].ptr);
        if (wanted != 0 && may_fit_elsewhere(&texts[i]))
            continue;
        for (size_t k = 0; k < WEFT_COUNT_OF(around); k++) {
            size_t len = within(room, around[k], &texts[i]);
            if (check_bytes(room, len) != wanted)
                fail_msg("row %zu within %zu: %.*s", i, k, (int)len, room);
        }
    }
}

static void what_is_json_is_taken(void **state)
{
    (void)state;
    expect_all(good, WEFT_COUNT_OF(good), 0);
}

static void what_is_none_is_refused(void **state)
{
    (void)state;
    expect_all(bad, WEFT_COUNT_OF(bad), WEFT_ESYNTAX);
}

/* A field that nobody knows, one that takes anything, the item of a list. */
static void fields_are_as_strict(void **state)
{
    (void)state;
    static char room[4096];
    const struct text around[][2] = {
        {T("{\"unknown\":"), T("}")}, {T("{\"value\":"), T("}")}, {T("{\"values\":["), T(",0]}")}};
    for (size_t i = 0; i < WEFT_COUNT_OF(good) + WEFT_COUNT_OF(bad); i++) {
        bool is_good = i < WEFT_COUNT_OF(good);
        const struct text *text = is_good ? &good[i] : &bad[i - WEFT_COUNT_OF(good)];
        if (!is_good && may_fit_elsewhere(text))
            continue;
        for (size_t k = 0; k < WEFT_COUNT_OF(around); k++) {
            size_t len = within(room, around[k], text);
            weft_rc rc = read_bytes(room, len);
            if (is_good ? rc != 0 : rc == 0)
                fail_msg("row %zu within %zu: %d: %.*s", i, k, (int)rc, (int)len, room);
        }
    }
}

/* No text is JSON any more when its end is missing, but for numbers and spaces at the end. */
static void cut_texts_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < WEFT_COUNT_OF(good); i++) {
        char first = good[i].ptr[0];
        char last = good[i].ptr[good[i].len - 1];
        if ((first != '[' && first != '{' && first != '"') || last == ' ' || last == '\n')
            continue;
        for (size_t len = 0; len < good[i].len; len++)
            if (check_bytes(good[i].ptr, len) != WEFT_ESYNTAX)
                fail_msg("row %zu cut to %zu", i, len);
    }
}

static void levels_have_a_limit(void **state)
{
    (void)state;
    static char room[200000];
    for (size_t depth = 31; depth <= 33; depth++) {
        memset(room, '[', depth);
        memset(room + depth, ']', depth);
        assert_int_equal(check_bytes(room, 2 * depth), depth > 32 ? WEFT_ELIMIT : 0);
    }
    memset(room, '[', sizeof(room)); /* no depth of it costs more than the first 33 */
    assert_int_equal(check_bytes(room, 100000), WEFT_ELIMIT);
    for (size_t i = 0; i + 5 <= sizeof(room); i += 5)
        memcpy(room + i, "[{\"\":", 5);
    assert_int_equal(check_bytes(room, sizeof(room)), WEFT_ELIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_json_is_taken), cmocka_unit_test(what_is_none_is_refused),
        cmocka_unit_test(fields_are_as_strict),  cmocka_unit_test(cut_texts_are_refused),
        cmocka_unit_test(levels_have_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
