/* multipart_test.c - multipart bodies: what comes out is the same however the bytes come in, and
 * what is malformed is refused. */
#include "told.h"
#include "serve/input/multipart.h"
#include <stdio.h>
#include <stdlib.h>

#define TYPE "multipart/form-data; boundary=XyZ"

static void tell_part(const weft_form_part *part)
{
    tell(WEFT_S("["));
    tell(part->name);
    if (part->filename.ptr != NULL) {
        tell(WEFT_S("|"));
        tell(part->filename);
    }
    tell(WEFT_S("|"));
    tell(part->type);
    tell(WEFT_S("]"));
}

/* "[name|filename|type]data." of each part, "$" at the end; "!" and the code's letter where it was
 * refused. In pieces of so many bytes, each in memory of its own, so that nobody looks behind it.
 */
static const char *read_in(const char *body, size_t len, size_t piece_bytes)
{
    struct weft_multipart_parser parser;
    told_len = 0;
    told[0] = 0;
    assert_int_equal(weft_multipart_init(&parser, WEFT_S(TYPE)), 0);
    for (size_t at = 0; at < len; at += piece_bytes) {
        size_t n = WEFT_MIN(piece_bytes, len - at), looked = 0;
        char *piece = malloc(n);
        memcpy(piece, body + at, n);
        for (;;) {
            size_t used = 0;
            weft_str data = {0};
            int event = weft_multipart_next(&parser, piece + looked, n - looked, &used, &data);
            looked += used;
            assert_true(looked <= n);
            if (event == WEFT_MULTIPART_MORE)
                break;
            if (event == WEFT_MULTIPART_PART)
                tell_part(&parser.part);
            else if (event == WEFT_MULTIPART_DATA)
                assert_true(data.len > 0);
            if (event == WEFT_MULTIPART_DATA)
                tell(data);
            else if (event == WEFT_MULTIPART_END)
                tell(WEFT_S("."));
            if (event == WEFT_MULTIPART_DONE || event < 0) {
                tell(event == WEFT_MULTIPART_DONE ? WEFT_S("$")
                     : event == (int)WEFT_ESYNTAX ? WEFT_S("!S")
                                                  : WEFT_S("!L"));
                free(piece);
                return told;
            }
        }
        assert_int_equal(looked, n);
        free(piece);
    }
    return told;
}

static void expect(const char *body, size_t len, const char *wanted)
{
    assert_string_equal(read_in(body, len, len > 0 ? len : 1), wanted);
    for (size_t piece = 1; piece <= 7; piece++)
        assert_string_equal(read_in(body, len, piece), wanted);
    for (size_t piece = 8; piece < len && len < 1000; piece++)
        assert_string_equal(read_in(body, len, piece), wanted);
}

#define EXPECT(body, wanted) expect("" body, sizeof(body) - 1, wanted)
#define PART(name)           "Content-Disposition: form-data; name=\"" name "\"\r\n\r\n"
#define FIRST                "--XyZ\r\n"
#define NEXT                 "\r\n--XyZ\r\n"
#define LAST                 "\r\n--XyZ--"

static void parts(void **state)
{
    (void)state;
    EXPECT(FIRST PART("a") "1" NEXT PART("b") "22" LAST "\r\n",
           "[a|text/plain]1.[b|text/plain]22.$");
    EXPECT(FIRST PART("a") LAST, "[a|text/plain].$");
    EXPECT(FIRST "Content-Disposition: form-data; name=a\r\n\r\n--XyZ--",
           "[a|text/plain].$"); /* a part without data may lack its CR LF */
    EXPECT("--XyZ--", "$");
    EXPECT("\r\n--XyZ--", "$");
    EXPECT("preamble\r\n--XyZ\r\n" PART("a") "1" LAST "epilogue\r\n--XyZ\r\n", "[a|text/plain]1.$");
    EXPECT("--XyZ \t \r\n" PART("a") "1\r\n--XyZ\t\r\n" PART("b") "2" LAST,
           "[a|text/plain]1.[b|text/plain]2.$");
    EXPECT(FIRST "X-Other: y\r\ncontent-DISPOSITION:form-data;name=\"a\";filename=\"f\"\r\n"
                 "content-type: image/png; x=y\r\nContent-Transfer-Encoding: binary\r\n\r\n1" LAST,
           "[a|f|image/png; x=y]1.$");
}

static void data_that_looks_like_a_delimiter(void **state)
{
    (void)state;
    EXPECT(FIRST PART("a") "\r\n" LAST, "[a|text/plain]\r\n.$");
    EXPECT(FIRST PART("a") "\r" LAST, "[a|text/plain]\r.$");
    EXPECT(FIRST PART("a") "\r\r\n\r\n-\r\n--\r\n--X\r\n--Xy\r\n--Xyz" LAST,
           "[a|text/plain]\r\r\n\r\n-\r\n--\r\n--X\r\n--Xy\r\n--Xyz.$");
    EXPECT(FIRST PART("a") "-" LAST, "[a|text/plain]-.$");
    EXPECT(FIRST PART("a") "--Xy\r\n--Xy" LAST, "[a|text/plain]--Xy\r\n--Xy.$");
    EXPECT(FIRST PART("a") "x--XyZ--" LAST, "[a|text/plain]x--XyZ--.$");
    EXPECT(FIRST PART("a") "x\n--XyZ--" LAST, "[a|text/plain]x\n--XyZ--.$");
}

static void names(void **state)
{
    (void)state;
    EXPECT(FIRST PART("a\\\"b%22c%0D%0Ad%41") LAST, "[a\"b\"c\r\nd%41|text/plain].$");
    EXPECT(FIRST PART("gr\xc3\xb6\xc3\x9f"
                      "e") LAST,
           "[gr\xc3\xb6\xc3\x9f"
           "e|text/plain].$");
    EXPECT(FIRST PART("") LAST, "[|text/plain].$");
#define FILE_NAMED(name)                                                                           \
    FIRST "Content-Disposition: form-data; name=f; filename=\"" name "\"\r\n\r\n" LAST
    EXPECT(FILE_NAMED("photo.jpg"), "[f|photo.jpg|text/plain].$");
    EXPECT(FILE_NAMED(""), "[f||text/plain].$");
    EXPECT(FILE_NAMED("C:\\dir\\photo.jpg"), "[f|photo.jpg|text/plain].$");
    EXPECT(FILE_NAMED("../../etc/passwd"), "[f|passwd|text/plain].$");
    EXPECT(FILE_NAMED(".."), "[f||text/plain].$");
    EXPECT(FILE_NAMED("/."), "[f||text/plain].$");
    EXPECT(FILE_NAMED("dir/"), "[f||text/plain].$");
}

static void what_is_refused(void **state)
{
    (void)state;
    static const char *const heads[] = {
        "\r\n",                             /* no name */
        "Content-Type: text/plain\r\n\r\n", /* none either */
        "Content-Disposition: attachment; name=a\r\n\r\n",
        "Content-Disposition: form-data\r\n\r\n",
        "Content-Disposition: form-data; filename=a\r\n\r\n",
        "Content-Disposition: form-data; name=a; name=b\r\n\r\n",
        "Content-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=b\r\n\r\n",
        "Content-Disposition: form-data; name=\"a\r\n\r\n",
        "Content-Disposition: form-data; name=a b\r\n\r\n",
        "Content-Disposition: form-data;\r\n name=a\r\n\r\n",   /* folded */
        "Content-Disposition: form-data; name=a\nX: y\r\n\r\n", /* a bare LF */
        "Content-Disposition: form-data; name=a\rX: y\r\n\r\n", /* a bare CR */
        "Content-Disposition: form-data; name=a\r\n: y\r\n\r\n",
        "Content-Disposition: form-data; name=a\r\nnonsense\r\n\r\n",
        "Content-Disposition: form-data; name=a\r\nX: \x01\r\n\r\n",
        "Content-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: base64\r\n\r\n",
        "Content-Disposition: form-data; name=a\r\nContent-Type: a/b\r\nContent-Type: c/d\r\n\r\n",
    };
    for (size_t i = 0; i < WEFT_COUNT_OF(heads); i++) {
        char body[512];
        int len = snprintf(body, sizeof(body), FIRST "%s" LAST, heads[i]);
        expect(body, (size_t)len, "!S");
    }
    EXPECT(FIRST PART("a") "1\r\n--XyZmore" LAST, "[a|text/plain]1.!S");
    EXPECT(FIRST PART("a") "1\r\n--XyZ-" LAST, "[a|text/plain]1.!S");
    EXPECT(FIRST PART("a") "1\r\n--XyZ\n" LAST, "[a|text/plain]1.!S");
    EXPECT(FIRST PART("a") "1\r\n--XyZ\rx" LAST, "[a|text/plain]1.!S");
    EXPECT(FIRST PART("a") "1\r\n--XyZ\rx" PART("b") "2" LAST, "[a|text/plain]1.!S");
    EXPECT(FIRST PART("a") "1\r\n--XyZ --" LAST, "[a|text/plain]1.!S");
}

static void what_does_not_end(void **state)
{
    (void)state;
    EXPECT("", "");
    EXPECT("--Xy", "");
    EXPECT("nothing of the kind", "");
    EXPECT(FIRST PART("a") "1\r\n--XyZ", "[a|text/plain]1.");
    EXPECT(FIRST PART("a") "1\r\n--Xy", "[a|text/plain]1");
}

static size_t put(char *to, size_t at, const char *text_z)
{
    size_t len = strlen(text_z);
    memcpy(to + at, text_z, len + 1);
    return at + len;
}

static void limits(void **state)
{
    (void)state;
    static char body[200000];
    size_t len = put(body, 0, FIRST);
    size_t head = put(body + len, 0, "Content-Disposition: form-data; name=\"");
    size_t fits = WEFT_MULTIPART_HEAD_BYTES_MAX - head - 5;
    memset(body + len + head, 'n', fits + 1);
    strcpy(body + len + head + fits, "\"\r\n\r\n" LAST);
    assert_int_equal(strlen(read_in(body, strlen(body), 8192)), fits + strlen("[|text/plain].$"));
    strcpy(body + len + head + fits + 1, "\"\r\n\r\n" LAST);
    body[len + head + fits] = 'n';
    assert_string_equal(read_in(body, strlen(body), 8192), "!L");
    assert_string_equal(read_in(body, strlen(body), 1), "!L");

    memset(body, 'p', WEFT_MULTIPART_PREAMBLE_BYTES_MAX);
    strcpy(body + WEFT_MULTIPART_PREAMBLE_BYTES_MAX, LAST);
    assert_string_equal(read_in(body, strlen(body), 100), "$");
    memset(body, 'p', WEFT_MULTIPART_PREAMBLE_BYTES_MAX + 1);
    strcpy(body + WEFT_MULTIPART_PREAMBLE_BYTES_MAX + 1, LAST);
    assert_string_equal(read_in(body, strlen(body), 100), "!L");

    for (int count = WEFT_MULTIPART_PARTS_MAX; count <= WEFT_MULTIPART_PARTS_MAX + 1; count++) {
        len = 0;
        for (int i = 0; i < count; i++)
            len = put(body, len, NEXT PART("a"));
        len = put(body, len, LAST);
        const char *end = read_in(body, len, 8192) + told_len;
        assert_string_equal(end - (count > WEFT_MULTIPART_PARTS_MAX ? 2 : 1),
                            count > WEFT_MULTIPART_PARTS_MAX ? "!L" : "$");
    }
}

static weft_rc init(const char *type_z)
{
    struct weft_multipart_parser parser;
    return weft_multipart_init(&parser, weft_str_z(type_z));
}

static void boundaries(void **state)
{
    (void)state;
    char type[200] = "multipart/form-data; boundary=";
    assert_int_equal(init("multipart/form-data; boundary=a"), 0);
    assert_int_equal(init("Multipart/Form-Data;charset=utf-8; BOUNDARY=\"a b'()+_,-./:=?\""), 0);
    static const char *const others[] = {"", "text/plain", "multipart/mixed; boundary=a",
                                         "application/x-www-form-urlencoded"};
    for (size_t i = 0; i < WEFT_COUNT_OF(others); i++)
        assert_int_equal(init(others[i]), WEFT_EMEDIA);
    static const char *const bad[] = {"multipart/form-data",
                                      "multipart/form-data; boundary=",
                                      "multipart/form-data; boundary=\"\"",
                                      "multipart/form-data; boundary=\"a \"",
                                      "multipart/form-data; boundary=\"a\\\"b\"",
                                      "multipart/form-data; boundary=a&b",
                                      "multipart/form-data; boundary=a; boundary=b",
                                      "multipart/form-data; boundary=\"a"};
    for (size_t i = 0; i < WEFT_COUNT_OF(bad); i++)
        assert_int_equal(init(bad[i]), WEFT_ESYNTAX);
    size_t len = strlen(type);
    memset(type + len, 'b', 71);
    assert_int_equal(init(type), WEFT_ESYNTAX);
    type[len + 70] = 0;
    assert_int_equal(init(type), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts),
        cmocka_unit_test(data_that_looks_like_a_delimiter),
        cmocka_unit_test(names),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(what_does_not_end),
        cmocka_unit_test(limits),
        cmocka_unit_test(boundaries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
