/* parse_test.c - every rule of the request head, by bytes and expected answer. shows HC-01 RT-10 */
#include "unit.h"
#include "http/parse.h"
#include <stdio.h>
#include <stdlib.h>

#define FIELD_ROOM 32
#define H          "Host: x\r\n"
#define G          "GET / HTTP/1.1\r\n"
#define GET(lines) G H lines "\r\n"
#define LINE(line) line "\r\n" H "\r\n"
#define BYTES(s)   s, sizeof(s) - 1

static const struct weft_parse_limits limits = {
    .head_bytes_max = 512, .target_bytes_max = 64, .field_count_max = 8};

struct row {
    const char *bytes;
    size_t len;
    int expected; /* WEFT_PARSE_BAD_ without the prefix */
};
#define BAD(text, id)                                                                              \
    {                                                                                              \
        BYTES(text), WEFT_PARSE_BAD_##id                                                           \
    }
#define GOOD(text)                                                                                 \
    {                                                                                              \
        BYTES(text), 0                                                                             \
    }
#define TEN     "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

static const struct row rows[] = {
    /* one empty line before the request line is skipped, RFC 9112 2.2 */
    GOOD("\r\n" GET("")),
    BAD("\r\n\r\n" GET(""), BLANK_LINES),
    BAD("\r\n\r\n\r\n", BLANK_LINES),
    BAD("\n" GET(""), BARE_LF),
    BAD("\rGET / HTTP/1.1\r\n", BARE_CR),
    /* line ends */
    BAD("GET / HTTP/1.1\n" H "\r\n", BARE_LF),
    BAD("GET / HTTP/1.1\rHost: x\r\n\r\n", BARE_CR),
    BAD("GET /\r HTTP/1.1\r\n" H "\r\n", BARE_CR),
    BAD(G "Host: x\n\r\n", BARE_LF),
    BAD(G "Host: x\r\r\n\r\n", BARE_CR),
    BAD(GET("A: b\rc\r\n"), BARE_CR),
    BAD(G H "\n", BARE_LF),
    BAD(G H "\rX", BARE_CR),
    /* method */
    GOOD(LINE("PATCH /a HTTP/1.1")),
    GOOD(LINE("M-SEARCH /a HTTP/1.1")),
    GOOD(LINE("get / HTTP/1.1")), /* another method than GET: names are case-sensitive */
    BAD(LINE(" GET / HTTP/1.1"), METHOD),
    BAD(LINE("G@T / HTTP/1.1"), METHOD),
    BAD(LINE("GET\t/ HTTP/1.1"), METHOD),
    BAD(LINE("G\0T / HTTP/1.1"), METHOD),
    BAD(LINE("\x16\x03\x01 hello tls"), METHOD),
    BAD(LINE("ABCDEFGHIJABCDEFGHIJABCDEFGHIJABC / HTTP/1.1"), METHOD_LONG),
    BAD(LINE("CONNECT example.com:443 HTTP/1.1"), CONNECT),
    /* the request line's parts */
    BAD(LINE("GET  / HTTP/1.1"), SPACES),
    BAD(LINE("GET /  HTTP/1.1"), SPACES),
    BAD(LINE("GET / HTTP/1.1 "), SPACES),
    BAD(LINE("GET /a b HTTP/1.1"), SPACES),
    BAD(LINE("GET /a?b c HTTP/1.1"), SPACES),
    BAD(LINE("POST  / HTTP/1.1"), SPACES),
    BAD(LINE("GET  HTTP/1.1"), SPACES),
    BAD(LINE("GET"), TARGET_EMPTY),
    BAD(LINE("GET "), TARGET_EMPTY),
    BAD(LINE("GET /"), VERSION_MISSING),
    BAD(LINE("GET / "), VERSION_MISSING),
    BAD(LINE("GET HTTP/1.1"), VERSION_MISSING),
    /* version */
    GOOD("GET / HTTP/1.0\r\n\r\n"),
    GOOD(LINE("GET / HTTP/1.2")),
    BAD(LINE("GET / HTTP/2.0"), VERSION_MAJOR),
    BAD(LINE("GET / HTTP/0.9"), VERSION_MAJOR),
    BAD(LINE("GET / HTTP/1.10"), VERSION),
    BAD(LINE("GET / HTTP/11"), VERSION),
    BAD(LINE("GET / HTTP/1."), VERSION),
    BAD(LINE("GET / http/1.1"), VERSION),
    BAD(LINE("GET / HTTP/1.x"), VERSION),
    BAD(LINE("GET / HTTPS/1.1"), VERSION),
    BAD(LINE("GET /a\x01"
             "b HTTP/1.1"),
        TARGET_BYTE),
    /* target */
    GOOD(LINE("GET /a?b?c/d%zz HTTP/1.1")), /* a query is its reader's business */
    GOOD(LINE("GET /%41%7e HTTP/1.1")),
    BAD(LINE("GET /\0 HTTP/1.1"), TARGET_BYTE),
    BAD(LINE("GET /\x7f HTTP/1.1"), TARGET_BYTE),
    BAD(LINE("GET /\tb HTTP/1.1"), TARGET_BYTE),
    BAD(LINE("GET /\xc3\xa4 HTTP/1.1"), TARGET_BYTE),
    BAD(LINE("GET /?\xc3\xa4 HTTP/1.1"), TARGET_BYTE),
    BAD(LINE("GET /a#b HTTP/1.1"), TARGET_FRAGMENT),
    BAD(LINE("GET /a?b#c HTTP/1.1"), TARGET_FRAGMENT),
    BAD(LINE("GET /a% HTTP/1.1"), PATH_ESCAPE),
    BAD(LINE("GET /a%4 HTTP/1.1"), PATH_ESCAPE),
    BAD(LINE("GET /a%4g HTTP/1.1"), PATH_ESCAPE),
    BAD(LINE("GET /a%00 HTTP/1.1"), PATH_NUL),
    BAD(LINE("GET a HTTP/1.1"), TARGET_FORM),
    BAD(LINE("GET example.com:80 HTTP/1.1"), TARGET_FORM),
    BAD(LINE("GET ftp://a/ HTTP/1.1"), TARGET_FORM),
    BAD(LINE("GET http:/a HTTP/1.1"), TARGET_FORM),
    BAD(LINE("OPTIONS ** HTTP/1.1"), TARGET_FORM),
    GOOD(LINE("OPTIONS * HTTP/1.1")),
    BAD(LINE("GET * HTTP/1.1"), TARGET_ASTERISK),
    GOOD(LINE("GET http://a.b/c?d HTTP/1.1")),
    GOOD(LINE("GET HTTPS://a.b:8/ HTTP/1.1")),
    GOOD(LINE("GET http://[::1]:80/ HTTP/1.1")),
    BAD(LINE("GET http:/// HTTP/1.1"), TARGET_AUTHORITY),
    BAD(LINE("GET http://:80/ HTTP/1.1"), TARGET_AUTHORITY),
    BAD(LINE("GET http://a:b/ HTTP/1.1"), TARGET_AUTHORITY),
    BAD(LINE("GET http://u@a/ HTTP/1.1"), TARGET_USERINFO),
    BAD(LINE("GET http://u:p@a/ HTTP/1.1"), TARGET_USERINFO),
    BAD(LINE("GET http://a/%0 HTTP/1.1"), PATH_ESCAPE),
    BAD(LINE("GET http://a/\xff HTTP/1.1"), TARGET_BYTE),
    GOOD(LINE("GET /234567890" TEN TEN TEN TEN TEN "1234 HTTP/1.1")),
    BAD(LINE("GET /234567890" TEN TEN TEN TEN TEN "12345 HTTP/1.1"), TARGET_LONG),
    BAD("GET /" HUNDRED, TARGET_LONG), /* known before the line ends */
    /* header lines */
    GOOD(GET("Empty:\r\nSpaces: \t \r\nTab: a\tb\r\nLatin: \xe4\r\n")),
    BAD(GET("A: b\r\n folded\r\n"), FIELD_FOLDED),
    BAD(GET("A: b\r\n\tfolded\r\n"), FIELD_FOLDED),
    BAD(G " " H "\r\n", FIELD_FOLDED),
    BAD(GET("A : b\r\n"), NAME_SPACE),
    BAD(GET("A\t: b\r\n"), NAME_SPACE),
    BAD(GET("A b: c\r\n"), NAME_BYTE),
    BAD(GET("A(b): c\r\n"), NAME_BYTE),
    BAD(GET("\xe4: c\r\n"), NAME_BYTE),
    BAD(GET("A\0: c\r\n"), NAME_BYTE),
    BAD(GET(": c\r\n"), NAME_EMPTY),
    BAD(GET("no colon\r\n"), NAME_BYTE),
    BAD(GET("nocolon\r\n"), FIELD_COLON),
    BAD(GET("A: \0\r\n"), VALUE_BYTE),
    BAD(GET("A: b\x1f\r\n"), VALUE_BYTE),
    BAD(GET("A: b\x7f\r\n"), VALUE_BYTE),
    /* limits */
    GOOD(GET("A:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\n")),
    BAD(GET("A:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\n"), FIELD_COUNT),
    BAD(GET("A: " HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED "\r\n"), HEAD_LONG),
    BAD("GET / HTTP/1.1" HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED, TARGET_LONG),
    /* Host */
    GOOD(G "Host:\r\n\r\n"),
    GOOD(G "hOsT: a-b.example:8080\r\n\r\n"),
    GOOD(G "Host: [fe80::1]\r\n\r\n"),
    GOOD(G "Host: a%2db\r\n\r\n"),
    BAD(G "\r\n", HOST_MISSING),
    BAD(G "Hosts: x\r\n\r\n", HOST_MISSING),
    BAD(GET(H), HOST_TWICE),
    BAD(G "Host: a b\r\n\r\n", HOST),
    BAD(G "Host: a/b\r\n\r\n", HOST),
    BAD(G "Host: u@a\r\n\r\n", HOST),
    BAD(G "Host: a:80x\r\n\r\n", HOST),
    BAD(G "Host: :80\r\n\r\n", HOST),
    BAD(G "Host: a%2\r\n\r\n", HOST),
    BAD(G "Host: [::1\r\n\r\n", HOST),
    BAD(G "Host: []\r\n\r\n", HOST),
    BAD(G "Host: [::1]a\r\n\r\n", HOST),
    BAD(G "Host: \xe4\r\n\r\n", HOST),
    /* Content-Length */
    GOOD(GET("Content-Length: 0\r\n")),
    GOOD(GET("content-LENGTH: 18446744073709551615 \r\n")),
    BAD(GET("Content-Length:\r\n"), LENGTH),
    BAD(GET("Content-Length: +1\r\n"), LENGTH),
    BAD(GET("Content-Length: -1\r\n"), LENGTH),
    BAD(GET("Content-Length: 0x1\r\n"), LENGTH),
    BAD(GET("Content-Length: 1 2\r\n"), LENGTH),
    BAD(GET("Content-Length: 5, 5\r\n"), LENGTH),
    BAD(GET("Content-Length: 18446744073709551616\r\n"), LENGTH_RANGE),
    BAD(GET("Content-Length: 5\r\nContent-Length: 5\r\n"), LENGTH_TWICE),
    /* Transfer-Encoding */
    GOOD(GET("Transfer-Encoding: chunked\r\n")),
    GOOD(GET("transfer-encoding:\tCHUNKED \r\n")),
    BAD(GET("Transfer-Encoding:\r\n"), CODING),
    BAD(GET("Transfer-Encoding: chunked,\r\n"), CODING),
    BAD(GET("Transfer-Encoding: chunked, chunked\r\n"), CODING),
    BAD(GET("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), CODING),
    BAD(GET("Transfer-Encoding: chunked, gzip\r\n"), CODING),
    BAD(GET("Transfer-Encoding: chunked;a=b\r\n"), CODING),
    BAD(GET("Transfer-Encoding: \"chunked\"\r\n"), CODING),
    BAD(GET("Transfer-Encoding: gzip\r\n"), CODING_UNKNOWN),
    BAD(GET("Transfer-Encoding: gzip;q=1, chunked\r\n"), CODING_UNKNOWN),
    BAD(GET("Transfer-Encoding: xchunked\r\n"), CODING_UNKNOWN),
    BAD(GET("Transfer-Encoding: identity\r\n"), CODING_UNKNOWN),
    BAD(GET("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n"), CODING_LENGTH),
    BAD(GET("Content-Length: 1\r\nTransfer-Encoding: gzip\r\n"), CODING_LENGTH),
    BAD("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", CODING_VERSION),
};

/** Parses a copy of the exact size, both ways; they must agree. */
static int parse(const char *bytes, size_t len, struct weft_head *out, struct weft_field *fields,
                 uint16_t room)
{
    char *copy = malloc(len > 0 ? len : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, len);
    struct weft_head other;
    struct weft_field other_fields[FIELD_ROOM];
    memset(&other, 0, sizeof(other)); /* the padding is compared too */
    memset(out, 0, sizeof(*out));
    int scalar = weft_parse_head_scalar(copy, len, &limits, &other, other_fields, room);
    int result = weft_parse_head(copy, len, &limits, out, fields, room);
    assert_int_equal(result, scalar);
    if (result == 0) {
        assert_memory_equal(out, &other, sizeof(other));
        assert_memory_equal(fields, other_fields, sizeof(fields[0]) * out->field_count);
    }
    free(copy);
    return result;
}

static void each_rule_has_its_answer(void **state)
{
    (void)state;
    struct weft_head head;
    struct weft_field fields[FIELD_ROOM];
    for (size_t i = 0; i < WEFT_COUNT_OF(rows); i++) {
        int result = parse(rows[i].bytes, rows[i].len, &head, fields, FIELD_ROOM);
        if (result != rows[i].expected)
            fail_msg("row %zu: %d instead of %d: %.80s", i, result, rows[i].expected,
                     rows[i].bytes);
    }
}

static void each_rule_of_heads_has_a_row(void **state)
{
    (void)state;
    for (int error = 1; error < WEFT_PARSE_BAD_CHUNK_SIZE; error++) {
        bool found = false;
        for (size_t i = 0; i < WEFT_COUNT_OF(rows); i++)
            found |= rows[i].expected == error;
        if (!found)
            fail_msg("no row for: %s", weft_parse_error_text(error));
    }
}

/** However bytes arrive: a prefix of a head gives MORE or what the whole gives. */
static void prefixes_never_mislead(void **state)
{
    (void)state;
    struct weft_head head;
    struct weft_field fields[FIELD_ROOM];
    for (size_t i = 0; i < WEFT_COUNT_OF(rows); i++) {
        size_t scanned = 0;
        for (size_t len = 0; len < rows[i].len; len++) {
            int result = parse(rows[i].bytes, len, &head, fields, FIELD_ROOM);
            bool complete = weft_parse_head_complete(rows[i].bytes, len, &scanned);
            if (result != WEFT_PARSE_MORE && (result != rows[i].expected || result == 0))
                fail_msg("row %zu, %zu bytes: %d", i, len, result);
            if (complete && result == WEFT_PARSE_MORE)
                fail_msg("row %zu, %zu bytes: complete, but MORE", i, len);
        }
        if (rows[i].expected == 0)
            assert_true(weft_parse_head_complete(rows[i].bytes, rows[i].len, &scanned));
    }
}

static void assert_span(const char *buf, struct weft_span span, const char *expected_z)
{
    weft_str s = weft_span_str(buf, span);
    if (!weft_str_eq(s, weft_str_z(expected_z)))
        fail_msg("'%.*s' instead of '%s'", (int)s.len, s.ptr, expected_z);
}

static void spans_name_the_parts(void **state)
{
    (void)state;
    static const char buf[] = "POST /a/%41?q=1&r HTTP/1.1\r\nHost: h:1\r\n"
                              "Content-Length:\t 42 \t\r\nX_y: \r\n\r\nbody\r\n\r\n";
    struct weft_head head;
    struct weft_field fields[FIELD_ROOM];
    assert_int_equal(parse(buf, sizeof(buf) - 1, &head, fields, FIELD_ROOM), 0);
    assert_int_equal(head.method, WEFT_POST);
    assert_int_equal(head.version_minor, 1);
    assert_int_equal(head.bytes, sizeof(buf) - 1 - strlen("body\r\n\r\n"));
    assert_int_equal(head.flags, WEFT_HEAD_HOST | WEFT_HEAD_HAS_LENGTH | WEFT_HEAD_PATH_ESCAPED);
    assert_true(head.content_length == 42);
    assert_span(buf, head.method_name, "POST");
    assert_span(buf, head.target, "/a/%41?q=1&r");
    assert_span(buf, head.path, "/a/%41");
    assert_span(buf, head.query, "q=1&r");
    assert_span(buf, head.authority, "h:1");
    assert_int_equal(head.field_count, 3);
    assert_span(buf, fields[1].name, "Content-Length");
    assert_span(buf, fields[1].value, "42");
    assert_span(buf, fields[2].name, "X_y");
    assert_span(buf, fields[2].value, "");
}

static void targets_in_their_forms(void **state)
{
    (void)state;
    static const struct {
        const char *head_z, *path_z, *query_z, *authority_z;
        int flags;
    } forms[] = {
        {LINE("GET /? HTTP/1.1"), "/", "", "x", 0},
        {LINE("GET http://a:8/b?c HTTP/1.1"), "/b", "c", "a:8", WEFT_HEAD_ABSOLUTE},
        {LINE("GET http://a HTTP/1.1"), "/", "", "a", WEFT_HEAD_ABSOLUTE},
        {LINE("GET http://a?c HTTP/1.1"), "/", "c", "a", WEFT_HEAD_ABSOLUTE},
        {LINE("OPTIONS * HTTP/1.1"), "*", "", "x", WEFT_HEAD_ASTERISK},
        {LINE("OPTIONS http://a HTTP/1.1"), "/", "", "a", WEFT_HEAD_ABSOLUTE | WEFT_HEAD_ASTERISK},
        {LINE("OPTIONS http://a/ HTTP/1.1"), "/", "", "a", WEFT_HEAD_ABSOLUTE},
    };
    for (size_t i = 0; i < WEFT_COUNT_OF(forms); i++) {
        struct weft_head head;
        struct weft_field fields[FIELD_ROOM];
        const char *buf = forms[i].head_z;
        assert_int_equal(parse(buf, strlen(buf), &head, fields, FIELD_ROOM), 0);
        assert_span(buf, head.path, forms[i].path_z);
        assert_span(buf, head.query, forms[i].query_z);
        assert_span(buf, head.authority, forms[i].authority_z);
        assert_int_equal(head.flags, WEFT_HEAD_HOST | forms[i].flags);
        assert_true((head.query.off != 0) == (strchr(buf, '?') != NULL));
    }
}

static void flags_of_known_headers(void **state)
{
    (void)state;
    static const struct {
        const char *head_z;
        int flags; /* besides WEFT_HEAD_HOST */
    } heads[] = {
        {GET("Connection: close\r\n"), WEFT_HEAD_CLOSE},
        {GET("connection: foo, , CLOSE\r\n"), WEFT_HEAD_CLOSE},
        {GET("Connection: closed\r\n"), 0},
        {GET("Connection: Keep-Alive\r\nConnection: close\r\n"),
         WEFT_HEAD_KEEP_ALIVE | WEFT_HEAD_CLOSE},
        {GET("Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"),
         WEFT_HEAD_KEEP_ALIVE | WEFT_HEAD_UPGRADE},
        {GET("Upgrade: websocket\r\n"), 0}, /* RFC 9110 7.8: Connection has to name it */
        {GET("Connection: upgrade\r\n"), 0},
        {GET("Expect: 100-Continue\r\n"), WEFT_HEAD_EXPECT_100},
        {GET("Expect: a pony\r\n"), WEFT_HEAD_EXPECT_OTHER},
        {GET("TE: gzip, trailers\r\n"), WEFT_HEAD_TE_TRAILERS},
        {GET("Transfer-Encoding: Chunked\r\n"), WEFT_HEAD_CHUNKED},
        {"GET / HTTP/1.0\r\n" H "Expect: 100-continue\r\nConnection: upgrade\r\nUpgrade: a\r\n\r\n",
         0},
    };
    for (size_t i = 0; i < WEFT_COUNT_OF(heads); i++) {
        struct weft_head head;
        struct weft_field fields[FIELD_ROOM];
        const char *buf = heads[i].head_z;
        assert_int_equal(parse(buf, strlen(buf), &head, fields, FIELD_ROOM), 0);
        if (head.flags != (WEFT_HEAD_HOST | heads[i].flags))
            fail_msg("%s: flags %x", buf, head.flags);
    }
}

static void small_arrays_are_asked_for_again(void **state)
{
    (void)state;
    static const char buf[] = GET("A: 1\r\nB: 2\r\nC: 3\r\n");
    struct weft_head head;
    struct weft_field fields[5] = {0};
    fields[2].name.len = 77;
    assert_int_equal(parse(buf, sizeof(buf) - 1, &head, fields, 2), WEFT_PARSE_FIELDS);
    assert_int_equal(head.field_count, 4);
    assert_int_equal(fields[2].name.len, 77); /* nothing behind the room is written */
    assert_int_equal(parse(buf, sizeof(buf) - 1, &head, fields, head.field_count), 0);
}

static void full_heads_are_never_more(void **state)
{
    (void)state;
    static const char buf[] = G H "A: " HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED;
    struct weft_head head;
    struct weft_field fields[FIELD_ROOM];
    assert_int_equal(parse(buf, limits.head_bytes_max - 1, &head, fields, FIELD_ROOM),
                     WEFT_PARSE_MORE);
    assert_int_equal(parse(buf, limits.head_bytes_max, &head, fields, FIELD_ROOM),
                     WEFT_PARSE_BAD_HEAD_LONG);
}

static void paths_decode_once(void **state)
{
    (void)state;
    char out[32];
    size_t len = 0;
    assert_int_equal(weft_path_decode(out, WEFT_S("/a%20b%2F%2525+c"), &len), 0);
    assert_true(weft_str_eq(weft_str_make(out, len), WEFT_S("/a b/%25+c")));
    len = 7;
    assert_int_equal(weft_path_decode(out, WEFT_S("/%"), &len), WEFT_PARSE_BAD_PATH_ESCAPE);
    assert_int_equal(weft_path_decode(out, WEFT_S("/%4"), &len), WEFT_PARSE_BAD_PATH_ESCAPE);
    assert_int_equal(weft_path_decode(out, WEFT_S("/%x4"), &len), WEFT_PARSE_BAD_PATH_ESCAPE);
    assert_int_equal(weft_path_decode(out, WEFT_S("/%00"), &len), WEFT_PARSE_BAD_PATH_NUL);
    assert_int_equal(weft_path_decode(out, WEFT_S("/\0"), &len), WEFT_PARSE_BAD_PATH_NUL);
    assert_int_equal(len, 7);
    char in_place[] = "/%7e%7E";
    assert_int_equal(weft_path_decode(in_place, weft_str_z(in_place), &len), 0);
    assert_true(weft_str_eq(weft_str_make(in_place, len), WEFT_S("/~~")));
}

static void errors_have_a_status(void **state)
{
    (void)state;
    for (int error = 1; error < WEFT_PARSE_ERROR_COUNT; error++) {
        int status = weft_parse_error_status(error);
        assert_true(status == 400 || status == 414 || status == 431 || status == 501 ||
                    status == 505);
        assert_true(strlen(weft_parse_error_text(error)) > 0);
        assert_true(weft_parse_error_counter(error) >= WEFT_COUNTER_HTTP_BAD_BLANK_LINES);
    }
    assert_int_equal(weft_parse_error_status(WEFT_PARSE_BAD_TARGET_LONG), 414);
    assert_int_equal(weft_parse_error_status(WEFT_PARSE_BAD_VERSION_MAJOR), 505);
    assert_int_equal(weft_parse_error_status(WEFT_PARSE_BAD_CODING_UNKNOWN), 501);
    assert_int_equal(weft_parse_error_counter(WEFT_PARSE_BAD_HOST), WEFT_COUNTER_HTTP_BAD_HOST);
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void mutations_keep_the_spans_inside(void **state)
{
    (void)state;
    static const char spice[] = "\r\n\0 \t:%/?#*@,;[]\x7f\x80\xffgG0";
    uint32_t seed = 20261121;
    struct weft_head head;
    struct weft_field fields[FIELD_ROOM];
    int good = 0;
    for (int round = 0; round < 20000; round++) {
        const struct row *row = &rows[next_random(&seed) % WEFT_COUNT_OF(rows)];
        char buf[1024];
        size_t len = row->len;
        memcpy(buf, row->bytes, len);
        for (uint32_t n = next_random(&seed) % 4; n > 0; n--)
            buf[next_random(&seed) % len] = spice[next_random(&seed) % (sizeof(spice) - 1)];
        if (parse(buf, len, &head, fields, FIELD_ROOM) != 0)
            continue;
        good++;
        const struct weft_span spans[] = {head.method_name, head.target, head.path, head.query,
                                          head.authority};
        assert_true(head.bytes <= len);
        for (size_t i = 0; i < WEFT_COUNT_OF(spans); i++)
            assert_true(spans[i].off + spans[i].len <= head.bytes);
        for (size_t i = 0; i < head.field_count; i++)
            assert_true(fields[i].name.len > 0 &&
                        fields[i].name.off + fields[i].name.len < fields[i].value.off + 1 &&
                        fields[i].value.off + fields[i].value.len <= head.bytes - 4);
    }
    assert_true(good > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rule_has_its_answer),
        cmocka_unit_test(each_rule_of_heads_has_a_row),
        cmocka_unit_test(prefixes_never_mislead),
        cmocka_unit_test(spans_name_the_parts),
        cmocka_unit_test(targets_in_their_forms),
        cmocka_unit_test(flags_of_known_headers),
        cmocka_unit_test(small_arrays_are_asked_for_again),
        cmocka_unit_test(full_heads_are_never_more),
        cmocka_unit_test(paths_decode_once),
        cmocka_unit_test(errors_have_a_status),
        cmocka_unit_test(mutations_keep_the_spans_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
