/* csv_test.c - CSV: rows are the same however the bytes come in, and what is wrong is told with its
 * line. */
#include "told.h"
#include "serve/input/csv.h"
#include <stdio.h>
#include <stdlib.h>

/* "3<a|b>" for each row and the line that it begins in. */
static void tell_row(const struct weft_csv_parser *parser)
{
    char line[24];
    int len = snprintf(line, sizeof(line), "%d<", (int)parser->row_line);
    tell(weft_str_make(line, (size_t)len));
    assert_true(parser->count > 0);
    for (uint32_t i = 0; i < parser->count; i++) {
        if (i > 0)
            tell(WEFT_S("|"));
        tell(parser->fields[i]);
    }
    tell(WEFT_S(">"));
}

static void tell_error(const struct weft_csv_parser *parser)
{
    char text[128];
    int len = snprintf(text, sizeof(text), "!%d: %s", (int)parser->line, parser->error_z);
    tell(weft_str_make(text, (size_t)len));
}

#define ROW_MAX    64
#define FIELDS_MAX 8

static const char *read_in(const char *text, size_t len, size_t piece_bytes, char separator)
{
    static char row[ROW_MAX];
    static weft_str fields[FIELDS_MAX];
    static struct weft_csv_mark marks[FIELDS_MAX];
    struct weft_csv_parser parser;
    weft_csv_init(&parser, row, sizeof(row), fields, marks, FIELDS_MAX, separator);
    told_len = 0;
    told[0] = 0;
    int event = WEFT_CSV_MORE;
    for (size_t at = 0; at < len && event >= 0; at += piece_bytes) {
        size_t n = WEFT_MIN(piece_bytes, len - at), looked = 0;
        char *piece = malloc(n); /* of its own, so that nobody looks behind it */
        memcpy(piece, text + at, n);
        while (looked < n && event >= 0) {
            size_t used = 0;
            event = weft_csv_next(&parser, piece + looked, n - looked, &used);
            looked += used;
            assert_true(looked <= n);
            assert_true(event < 0 || used > 0);
            if (event == WEFT_CSV_ROW)
                tell_row(&parser);
            else if (event == WEFT_CSV_MORE)
                assert_int_equal(looked, n);
        }
        free(piece);
    }
    if (event >= 0)
        event = weft_csv_finish(&parser);
    if (event == WEFT_CSV_ROW)
        tell_row(&parser);
    if (event < 0)
        tell_error(&parser);
    return told;
}

static void expect_with(char separator, const char *text, size_t len, const char *wanted)
{
    for (size_t piece = 1; piece <= len || piece == 1; piece++)
        assert_string_equal(read_in(text, len, piece, separator), wanted);
}

#define EXPECT(text, wanted) expect_with(',', "" text, sizeof(text) - 1, wanted)

static void rows(void **state)
{
    (void)state;
    EXPECT("", "");
    EXPECT("a,b\r\nc,d\r\n", "1<a|b>2<c|d>");
    EXPECT("a,b\nc,d", "1<a|b>2<c|d>");
    EXPECT("a", "1<a>");
    EXPECT(",", "1<|>");
    EXPECT("a,\n,b\n,\n", "1<a|>2<|b>3<|>");
    EXPECT("\n", "1<>");
    EXPECT("\r\n\r\n", "1<>2<>");
    EXPECT("a\n\nb", "1<a>2<>3<b>");
    EXPECT(" a , b ", "1< a | b >");
    EXPECT("gr\xc3\xbc\xc3\x9f\n", "1<gr\xc3\xbc\xc3\x9f>");
    expect_with(';', "a,b;c\n", 6, "1<a,b|c>");
    expect_with('\t', "a\t\"b\tc\"\n", 8, "1<a|b\tc>");
}

static void quotes(void **state)
{
    (void)state;
    EXPECT("\"a\",\"b\"\r\n", "1<a|b>");
    EXPECT("\"a,b\",c", "1<a,b|c>");
    EXPECT("\"\"", "1<>");
    EXPECT("\"\",\"\"\n", "1<|>");
    EXPECT("\"a\"\"b\"", "1<a\"b>");
    EXPECT("\"\"\"\"", "1<\">");
    EXPECT("\"\"\"\"\"\",\"x\"\"\"\n", "1<\"\"|x\">");
    EXPECT("\"a\r\nb\",c\r\nd\r\n", "1<a\r\nb|c>3<d>");
    EXPECT("\"\n\n\"\n\"x\"", "1<\n\n>4<x>");
    EXPECT("\"\r\"\n", "1<\r>");
}

static void a_mark_in_front(void **state)
{
    (void)state;
    EXPECT("\xef\xbb\xbf", "");
    EXPECT("\xef\xbb\xbf"
           "a,b\n",
           "1<a|b>");
    EXPECT("\xef\xbb\xbf\"a\"\n\xef\xbb\xbf"
           "b\n",
           "1<a>2<\xef\xbb\xbf"
           "b>");
    EXPECT("\xef\xbb,x\n", "1<\xef\xbb|x>");
    EXPECT("\xef", "1<\xef>");
    EXPECT("\xef\"\n", "!1: a quote in a field that is not quoted");
}

static void what_is_refused(void **state)
{
    (void)state;
    EXPECT("a\nb\"c\n", "1<a>!2: a quote in a field that is not quoted");
    EXPECT(" \"a\"\n", "!1: a quote in a field that is not quoted");
    EXPECT("a\n\"b\"c\n", "1<a>!2: text behind a closing quote");
    EXPECT("\"b\" \n", "!1: text behind a closing quote");
    EXPECT("a\rb\n", "!1: a CR that no LF follows");
    EXPECT("a\r", "!1: a CR that no LF follows");
    EXPECT("\"a\"\r\r\n", "!1: a CR that no LF follows");
    EXPECT("a\n\"b\n\nc\n", "1<a>!2: a quote that is not closed");
}

static void limits(void **state)
{
    (void)state;
    EXPECT("1,2,3,4,5,6,7,8\n", "1<1|2|3|4|5|6|7|8>");
    EXPECT("\n1,2,3,4,5,6,7,8,9\n", "1<>!2: the row has too many fields");
    EXPECT("1,2,3,4,5,6,7,8,", "!1: the row has too many fields");
    char text[2 * ROW_MAX + 8] = "x\n", wanted[2 * ROW_MAX + 8] = "1<x>2<";
    memset(text + 2, 'a', ROW_MAX);
    memset(wanted + 6, 'a', ROW_MAX);
    strcpy(wanted + 6 + ROW_MAX, ">");
    for (int end = 0; end < 3; end++) {
        static const char *const ends[] = {"", "\n", "\r\n"};
        strcpy(text + 2 + ROW_MAX, ends[end]);
        expect_with(',', text, strlen(text), wanted);
        memcpy(text + 2 + ROW_MAX, "a\r\n", 4);
        expect_with(',', text, strlen(text), "1<x>!2: the row is too long");
    }
    memset(text, ',', 10); /* a quoted one, with line ends in it: its first line is told */
    int len = snprintf(text, sizeof(text), "x\n\"\n\n%0*d\"\n", ROW_MAX, 1);
    expect_with(',', text, (size_t)len, "1<x>!2: the row is too long");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows),
        cmocka_unit_test(quotes),
        cmocka_unit_test(a_mark_in_front),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
