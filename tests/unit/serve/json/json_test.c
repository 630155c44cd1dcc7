/* json_test.c - what the writer writes, and that all it writes is JSON: a validator of its own
 * (RFC 8259's grammar, RFC 3629's UTF-8) reads random documents back. */
#include "unit.h"
#include "random.h"
#include "serve/json/json.h"
#include "base/str.h"
#include <math.h>

/* ---- the validator: recursive descent, NULL = not JSON ---- */

static const char *value(const char *at, const char *end);

static const char *literal(const char *at, const char *end, char c)
{
    return at != NULL && at < end && *at == c ? at + 1 : NULL;
}

/* A code point's bytes, decoded the plain way: value first, then its range. */
static const char *code_point(const char *at, const char *end)
{
    unsigned char first = (unsigned char)*at;
    size_t len = first < 0x80       ? 1
                 : first >> 5 == 6  ? 2
                 : first >> 4 == 14 ? 3
                 : first >> 3 == 30 ? 4
                                    : 0;
    if (len == 0 || (size_t)(end - at) < len)
        return NULL;
    const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t point = len == 1 ? first : first & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if (((unsigned char)at[i] & 0xc0) != 0x80)
            return NULL;
        point = point << 6 | ((unsigned char)at[i] & 0x3f);
    }
    bool surrogate = point >= 0xd800 && point <= 0xdfff;
    return point < least[len] || point > 0x10ffff || surrogate ? NULL : at + len;
}

static const char *string(const char *at, const char *end)
{
    at = literal(at, end, '"');
    while (at != NULL && at < end && *at != '"') {
        if ((unsigned char)*at < 0x20)
            return NULL;
        if (*at != '\\') {
            at = code_point(at, end);
            continue;
        }
        if (++at == end || strchr("\"\\/bfnrtu", *at) == NULL)
            return NULL;
        if (*at == 'u') {
            for (int i = 1; i <= 4; i++)
                if (end - at <= i || strchr("0123456789abcdefABCDEF", at[i]) == NULL)
                    return NULL;
            at += 4;
        }
        at++;
    }
    return literal(at, end, '"');
}

static const char *digits(const char *at, const char *end)
{
    const char *start = at;
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return at > start ? at : NULL;
}

static const char *number(const char *at, const char *end)
{
    if (at < end && *at == '-')
        at++;
    at = at < end && *at == '0' ? at + 1 : digits(at, end);
    if (at != NULL && at < end && *at == '.')
        at = digits(at + 1, end);
    if (at != NULL && at < end && (*at | 0x20) == 'e') {
        at++;
        if (at < end && (*at == '+' || *at == '-'))
            at++;
        at = digits(at, end);
    }
    return at;
}

static const char *container(const char *at, const char *end, bool object)
{
    char close = object ? '}' : ']';
    at++;
    if (literal(at, end, close) != NULL)
        return at + 1;
    while (at != NULL) {
        if (object)
            at = literal(string(at, end), end, ':');
        at = at == NULL ? NULL : value(at, end);
        if (literal(at, end, close) != NULL)
            return at + 1;
        at = literal(at, end, ',');
    }
    return NULL;
}

static const char *value(const char *at, const char *end)
{
    if (at == end)
        return NULL;
    if (*at == '{' || *at == '[')
        return container(at, end, *at == '{');
    if (*at == '"')
        return string(at, end);
    const char *words[] = {"true", "false", "null"};
    for (size_t i = 0; i < WEFT_COUNT_OF(words); i++) {
        size_t len = strlen(words[i]);
        if ((size_t)(end - at) >= len && memcmp(at, words[i], len) == 0)
            return at + len;
    }
    return number(at, end);
}

static bool is_json(weft_str text)
{
    return value(text.ptr, text.ptr + text.len) == text.ptr + text.len;
}

static void the_validator_can_fail(void **state)
{
    (void)state;
    const char *bad[] = {"",
                         "{",
                         "[1,]",
                         "{\"a\"}",
                         "{\"a\":1,}",
                         "01",
                         "1.",
                         "+1",
                         "nul",
                         "\"\n\"",
                         "\"\\x\"",
                         "\"\x80\"",
                         "\"\xc0\x80\"",
                         "[1 2]",
                         "1e",
                         "\"\xed\xa0\x80\"",
                         "\"\\u00g0\"",
                         "1 1"};
    for (size_t i = 0; i < WEFT_COUNT_OF(bad); i++)
        assert_false(is_json(weft_str_z(bad[i])));
    assert_true(is_json(WEFT_S("{\"a\":[1,-0.5e+3,\"\\u00e4\xc3\xa4\",true,null,{}]}")));
}

/* ---- the writer ---- */

static char room[4096];
static struct weft_json json;

static int fresh(void **state)
{
    (void)state;
    memset(room, '#', sizeof(room));
    weft_json_init(&json, room, sizeof(room));
    return 0;
}

static void expect(const char *text)
{
    weft_str out = {0};
    assert_int_equal(weft_json_finish(&json, &out), 0);
    assert_ptr_equal(out.ptr, room);
    assert_int_equal(out.len, strlen(text));
    assert_memory_equal(out.ptr, text, out.len);
    assert_true(is_json(out));
    assert_int_equal(room[out.len], '#');
}

/* shows HC-17: keys, order and escaping of the demo's answer */
static void the_demos_answer(void **state)
{
    (void)state;
    weft_json_object(&json);
    weft_json_key(&json, WEFT_S("request_id"));
    weft_json_str(&json, WEFT_S("a\"b"));
    weft_json_key(&json, WEFT_S("timestamp"));
    weft_json_u64(&json, 1795233995);
    weft_json_key(&json, WEFT_S("status"));
    weft_json_str(&json, WEFT_S("ok"));
    weft_json_end_object(&json);
    expect("{\"request_id\":\"a\\\"b\",\"timestamp\":1795233995,\"status\":\"ok\"}");
}

static void every_kind_of_value(void **state)
{
    (void)state;
    weft_json_array(&json);
    weft_json_null(&json);
    weft_json_bool(&json, true);
    weft_json_bool(&json, false);
    weft_json_u64(&json, UINT64_MAX);
    weft_json_i64(&json, INT64_MIN);
    weft_json_i64(&json, 7);
    weft_json_f64(&json, 0.1);
    weft_json_f64(&json, 1e300);
    weft_json_f64(&json, -0.0);
    weft_json_f64(&json, NAN);
    weft_json_f64(&json, -INFINITY);
    weft_json_raw(&json, WEFT_S("{\"x\":1}"));
    weft_json_str(&json, WEFT_S(""));
    weft_json_array(&json);
    weft_json_end_array(&json);
    weft_json_object(&json);
    weft_json_end_object(&json);
    weft_json_u64(&json, 0);
    weft_json_end_array(&json);
    expect("[null,true,false,18446744073709551615,-9223372036854775808,7,0.1,1e+300,-0,null,null,"
           "{\"x\":1},\"\",[],{},0]");
}

static void levels_and_commas(void **state)
{
    (void)state;
    weft_json_object(&json);
    weft_json_key(&json, WEFT_S("a"));
    weft_json_array(&json);
    weft_json_u64(&json, 1);
    weft_json_object(&json);
    weft_json_key(&json, WEFT_S("b"));
    weft_json_u64(&json, 2);
    weft_json_end_object(&json);
    weft_json_u64(&json, 3);
    weft_json_end_array(&json);
    weft_json_key(&json, WEFT_S("c\n"));
    weft_json_object(&json);
    weft_json_end_object(&json);
    weft_json_end_object(&json);
    expect("{\"a\":[1,{\"b\":2},3],\"c\\n\":{}}");
}

static void strings_are_escaped(void **state)
{
    (void)state;
    const struct {
        weft_str in;
        const char *text;
    } rows[] = {
        {WEFT_S("a\"b\\c/d"), "\"a\\\"b\\\\c/d\""},
        {WEFT_S("\0\x01\x1f\x7f"), "\"\\u0000\\u0001\\u001f\x7f\""},
        {WEFT_S("\b\f\n\r\t"), "\"\\u0008\\u000c\\n\\r\\t\""},
        {WEFT_S("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"),
         "\"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80\""},
        {WEFT_S("\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf"), /* the edges of what is allowed */
         "\"\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf\""},
        {WEFT_S("12345678901234567\"tail of some length"),
         "\"12345678901234567\\\"tail of some length\""},
    };
    for (size_t i = 0; i < WEFT_COUNT_OF(rows); i++) {
        fresh(NULL);
        weft_json_str(&json, rows[i].in);
        expect(rows[i].text);
    }
}

#define BAD "\xef\xbf\xbd"

static void broken_utf8_is_replaced(void **state)
{
    (void)state;
    const struct {
        weft_str in;
        const char *text;
    } rows[] = {
        {WEFT_S("a\x80z"), "\"a" BAD "z\""},
        {WEFT_S("\xff\xfe"), "\"" BAD BAD "\""},
        {WEFT_S("\xc0\x80"), "\"" BAD BAD "\""}, /* an overlong NUL */
        {WEFT_S("\xc1\xbf"), "\"" BAD BAD "\""},
        {WEFT_S("\xe0\x9f\xbf"), "\"" BAD BAD BAD "\""},         /* overlong */
        {WEFT_S("\xed\xa0\x80"), "\"" BAD BAD BAD "\""},         /* a surrogate */
        {WEFT_S("\xf4\x90\x80\x80"), "\"" BAD BAD BAD BAD "\""}, /* past U+10FFFF */
        {WEFT_S("\xf0\x8f\xbf\xbf"), "\"" BAD BAD BAD BAD "\""},
        {WEFT_S("\xf5\x80"), "\"" BAD BAD "\""},
        {WEFT_S("\xe2\x82"), "\"" BAD "\""}, /* cut at the end */
        {WEFT_S("\xf0\x9f\x98"), "\"" BAD "\""},
        {WEFT_S("\xe2\x82\"x"), "\"" BAD "\\\"x\""}, /* the quote is not swallowed */
        {WEFT_S("\xc3"), "\"" BAD "\""},
        {WEFT_S("\xc3\xc3\xa4"), "\"" BAD "\xc3\xa4\""},
    };
    for (size_t i = 0; i < WEFT_COUNT_OF(rows); i++) {
        fresh(NULL);
        weft_json_str(&json, rows[i].in);
        expect(rows[i].text);
    }
}

/* Each byte value at each place of a word, among plain ones: the run's end is found exactly. */
static void every_byte_at_every_place(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        for (size_t place = 0; place < 20; place++) {
            char in[20];
            memset(in, 'x', sizeof(in));
            in[place] = (char)byte;
            fresh(NULL);
            weft_json_str(&json, weft_str_make(in, sizeof(in)));
            weft_str out = {0};
            assert_int_equal(weft_json_finish(&json, &out), 0);
            assert_true(is_json(out));
            bool plain = byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
            assert_true(plain == (out.len == sizeof(in) + 2));
            if (plain)
                assert_memory_equal(out.ptr + 1, in, sizeof(in));
        }
    }
}

static weft_rc finished(void)
{
    weft_str out = {"untouched", 9};
    weft_rc rc = weft_json_finish(&json, &out);
    if (rc != 0)
        assert_int_equal(out.len, 9);
    return rc;
}

static void misuse_is_told_at_the_end(void **state)
{
    const char *scripts[] = {
        "",             /* nothing */
        "11",           /* two values */
        "{",            /* left open */
        "[",     "{1}", /* a value without its key */
        "{k}",          /* a key without its value */
        "{kk1}", "k1",  /* a key outside of an object */
        "[k1]",  "{]",  "[}", "]", "}", "{}}", "{}1", "r", "[{]}", "{k[k1]}", "{k1 k}",
    };
    for (size_t i = 0; i < WEFT_COUNT_OF(scripts); i++) {
        fresh(state);
        for (const char *step = scripts[i]; *step != 0; step++) {
            switch (*step) {
            case '{':
                weft_json_object(&json);
                break;
            case '}':
                weft_json_end_object(&json);
                break;
            case '[':
                weft_json_array(&json);
                break;
            case ']':
                weft_json_end_array(&json);
                break;
            case 'k':
                weft_json_key(&json, WEFT_S("k"));
                break;
            case 'r':
                weft_json_raw(&json, WEFT_S(""));
                break;
            case '1':
                weft_json_u64(&json, 1);
                break;
            default:
                break;
            }
        }
        if (finished() != WEFT_ESTATE)
            fail_msg("not found: %s", scripts[i]);
    }
}

static void depth_has_a_limit(void **state)
{
    for (int depth = WEFT_JSON_DEPTH_MAX; depth <= WEFT_JSON_DEPTH_MAX + 1; depth++) {
        fresh(state);
        for (int i = 0; i < depth; i++)
            weft_json_array(&json);
        for (int i = 0; i < depth; i++)
            weft_json_end_array(&json);
        assert_int_equal(finished(), depth > WEFT_JSON_DEPTH_MAX ? WEFT_ESTATE : 0);
    }
}

static uint64_t seed = 0xda942042e4dd58b5u;

static weft_str random_text(char *to, size_t most)
{
    size_t len = next_random(&seed) % most;
    for (size_t i = 0; i < len; i++)
        to[i] = (char)(next_random(&seed) % 4 == 0 ? next_random(&seed)
                                                   : 'a' + next_random(&seed) % 26);
    return weft_str_make(to, len);
}

/* A valid sequence of calls, at random. */
static void random_document(void)
{
    char text[64];
    bool object[40];
    size_t depth = 0;
    size_t budget = next_random(&seed) % 60;
    do {
        if (depth > 0 && (budget == 0 || next_random(&seed) % 6 == 0)) {
            if (object[--depth])
                weft_json_end_object(&json);
            else
                weft_json_end_array(&json);
            continue;
        }
        budget -= budget > 0;
        if (depth > 0 && object[depth - 1])
            weft_json_key(&json, random_text(text, sizeof(text)));
        uint64_t bits = next_random(&seed);
        double real;
        memcpy(&real, &bits, sizeof(real));
        switch (next_random(&seed) % 8) {
        case 0:
        case 1:
            if (depth < WEFT_JSON_DEPTH_MAX) {
                object[depth] = bits & 1;
                if (object[depth++])
                    weft_json_object(&json);
                else
                    weft_json_array(&json);
                break;
            }
            weft_json_null(&json);
            break;
        case 2:
            weft_json_f64(&json, real);
            break;
        case 3:
            weft_json_i64(&json, (int64_t)bits);
            break;
        case 4:
            weft_json_bool(&json, bits & 1);
            break;
        default:
            weft_json_str(&json, random_text(text, sizeof(text)));
            break;
        }
    } while (depth > 0);
}

static void random_documents_are_json_in_any_room(void **state)
{
    (void)state;
    static char large[32768];
    static char small[32768];
    for (int i = 0; i < 2000; i++) {
        uint64_t seed_before = seed;
        weft_json_init(&json, large, sizeof(large));
        random_document();
        weft_str whole = {0};
        assert_int_equal(weft_json_finish(&json, &whole), 0);
        assert_true(is_json(whole));

        /* The same calls into less: a limit, and not a byte behind the room. */
        size_t less = next_random(&seed) % (whole.len + 3);
        uint64_t seed_after = seed;
        seed = seed_before;
        memset(small, '#', whole.len + 4);
        weft_json_init(&json, small, less);
        random_document();
        weft_str cut = {0};
        assert_int_equal(weft_json_finish(&json, &cut), less < whole.len ? WEFT_ELIMIT : 0);
        assert_int_equal(small[less], '#');
        assert_memory_equal(small, large, (size_t)(json.at - json.start));
        seed = seed_after;
    }
}

static void no_room_at_all(void **state)
{
    (void)state;
    weft_json_init(&json, NULL, 0);
    weft_json_str(&json, WEFT_S("x"));
    assert_int_equal(finished(), WEFT_ELIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_validator_can_fail),
        cmocka_unit_test_setup(the_demos_answer, fresh),
        cmocka_unit_test_setup(every_kind_of_value, fresh),
        cmocka_unit_test_setup(levels_and_commas, fresh),
        cmocka_unit_test(strings_are_escaped),
        cmocka_unit_test(broken_utf8_is_replaced),
        cmocka_unit_test(every_byte_at_every_place),
        cmocka_unit_test(misuse_is_told_at_the_end),
        cmocka_unit_test(depth_has_a_limit),
        cmocka_unit_test(random_documents_are_json_in_any_room),
        cmocka_unit_test(no_room_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
