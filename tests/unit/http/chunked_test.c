/* chunked_test.c - chunked bodies: every rule, at every split of the bytes. */
#include "unit.h"
#include "base/str.h"
#include "http/chunked.h"
#include <stdlib.h>

static const struct weft_chunked_limits limits = {.line_bytes_max = 40,
                                                  .ext_total_bytes_max = 64,
                                                  .trailer_bytes_max = 80,
                                                  .trailer_count_max = 3};

static const struct row {
    const char *bytes;
    size_t len;
    int expected;
    const char *body_z; /* what was handed out until then */
} rows[] = {
#define GOOD(text, body)                                                                           \
    {                                                                                              \
        text, sizeof(text) - 1, WEFT_CHUNKED_DONE, body                                            \
    }
#define MORE(text, body)                                                                           \
    {                                                                                              \
        text, sizeof(text) - 1, WEFT_CHUNKED_MORE, body                                            \
    }
#define BAD(text, id, body)                                                                        \
    {                                                                                              \
        text, sizeof(text) - 1, WEFT_PARSE_BAD_##id, body                                          \
    }
#define EXT(text)     "1;" text "\r\nx\r\n0\r\n\r\n"
#define TRAILER(text) "0\r\n" text "\r\n"
    GOOD("0\r\n\r\n", ""),
    GOOD("5\r\nhello\r\n0\r\n\r\n", "hello"),
    GOOD("5\r\nhello\r\n1\r\n \r\n05\r\nworld\r\n000\r\n\r\n", "hello world"),
    GOOD("1A\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n", "abcdefghijklmnopqrstuvwxyz"),
    MORE("5\r\nhel", "hel"),
    MORE("ffffffffffffffff\r\nhel", "hel"),
    MORE("0\r\n", ""),
    /* size */
    BAD("\r\n", CHUNK_SIZE, ""),
    BAD("g\r\n", CHUNK_SIZE, ""),
    BAD("0x5\r\nhello\r\n", CHUNK_SIZE, ""),
    BAD("-5\r\n", CHUNK_SIZE, ""),
    BAD("+5\r\n", CHUNK_SIZE, ""),
    BAD(" 5\r\n", CHUNK_SIZE, ""),
    BAD("5 \r\n", CHUNK_SIZE, ""),
    BAD("5\t\r\n", CHUNK_SIZE, ""),
    BAD("5 ;a\r\n", CHUNK_SIZE, ""),
    BAD("5\0\r\n", CHUNK_SIZE, ""),
    BAD("5,\r\n", CHUNK_SIZE, ""),
    BAD("10000000000000000\r\n", CHUNK_RANGE, ""),
    BAD("00000000000000005\r\n", CHUNK_RANGE, ""),
    BAD("5\nhello\r\n", BARE_LF, ""),
    BAD("5\rhello\r\n", BARE_CR, ""),
    /* the end of data */
    BAD("5\r\nhello6\r\n", CHUNK_END, "hello"),
    BAD("5\r\nhello\n0\r\n\r\n", CHUNK_END, "hello"),
    BAD("5\r\nhello\rX", CHUNK_END, "hello"),
    /* extensions */
    GOOD(EXT("a"), "x"),
    GOOD(EXT("a=b"), "x"),
    GOOD(EXT("a=b;c;d=\"\""), "x"),
    GOOD(EXT(" a = b ;\tc ; d"), "x"),
    GOOD(EXT("a=\"q;\\\"\t\xe4\\\\\" ;b"), "x"),
    BAD(EXT(""), CHUNK_EXT, ""),
    BAD(EXT(" "), CHUNK_EXT, ""),
    BAD(EXT("a;"), CHUNK_EXT, ""),
    BAD(EXT(";a"), CHUNK_EXT, ""),
    BAD(EXT("=b"), CHUNK_EXT, ""),
    BAD(EXT("a="), CHUNK_EXT, ""),
    BAD(EXT("a=b=c"), CHUNK_EXT, ""),
    BAD(EXT("a b"), CHUNK_EXT, ""),
    BAD(EXT("a "), CHUNK_EXT, ""),
    BAD(EXT("a=b "), CHUNK_EXT, ""),
    BAD(EXT("a=b c"), CHUNK_EXT, ""),
    BAD(EXT("a@b"), CHUNK_EXT, ""),
    BAD(EXT("\"a\""), CHUNK_EXT, ""),
    BAD(EXT("a=\"b"), CHUNK_EXT, ""),
    BAD(EXT("a=\"b\"c"), CHUNK_EXT, ""),
    BAD(EXT("a=\"\\\0\""), CHUNK_EXT, ""),
    BAD("1;a\nx", BARE_LF, ""),
    BAD("1;a\rx", BARE_CR, ""),
    BAD("1;a=\"\n", BARE_LF, ""),
    BAD(EXT("a=bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"), CHUNK_LINE, ""),
    BAD("1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n1;"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n",
        CHUNK_EXT_LONG, "x"),
    /* trailers */
    GOOD(TRAILER("A: b\r\nEmpty:\r\nTab: \t\xe4\r\n"), ""),
    GOOD(TRAILER("Hosts: b\r\nContent-Lengt: 5\r\nT: 1\r\n"), ""),
    BAD(TRAILER("A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n"), TRAILER_COUNT, ""),
    BAD(TRAILER(
            "A: "
            "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
            "\r\n"),
        TRAILER_LONG, ""),
    BAD(TRAILER("Content-Length: 5\r\n"), TRAILER_NAME, ""),
    BAD(TRAILER("A: b\r\ntransfer-ENCODING: chunked\r\n"), TRAILER_NAME, ""),
    BAD(TRAILER("hOST: x\r\n"), TRAILER_NAME, ""),
    BAD(TRAILER("TE: x\r\n"), TRAILER_NAME, ""),
    BAD(TRAILER(" folded\r\n"), FIELD_FOLDED, ""),
    BAD(TRAILER("A: b\r\n folded\r\n"), FIELD_FOLDED, ""),
    BAD(TRAILER("A : b\r\n"), NAME_SPACE, ""),
    BAD(TRAILER(": b\r\n"), NAME_EMPTY, ""),
    BAD(TRAILER("A@: b\r\n"), NAME_BYTE, ""),
    BAD(TRAILER("nocolon\r\n"), FIELD_COLON, ""),
    BAD(TRAILER("A: \0\r\n"), VALUE_BYTE, ""),
    BAD("0\r\nA: b\n", BARE_LF, ""),
    BAD("0\r\nA: b\rc", BARE_CR, ""),
    BAD("0\r\n\n", BARE_LF, ""),
    BAD("0\r\n\rx", BARE_CR, ""),
};

/** Feeds one piece from an allocation of its exact size; appends what comes out to body. */
static int feed(struct weft_chunked *chunked, const char *bytes, size_t len, char *body,
                size_t *body_len, size_t *used)
{
    char *copy = malloc(len > 0 ? len : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, len);
    size_t at = 0;
    int result;
    do {
        size_t consumed = 99999;
        weft_str data = {NULL, 0};
        result = weft_chunked_next(chunked, &limits, copy + at, len - at, &consumed, &data);
        assert_true(consumed <= len - at);
        at += consumed;
        if (result == WEFT_CHUNKED_DATA) {
            assert_true(data.len > 0 && data.ptr + data.len == copy + at);
            memcpy(body + *body_len, data.ptr, data.len);
            *body_len += data.len;
        }
    } while (result == WEFT_CHUNKED_DATA);
    if (result == WEFT_CHUNKED_MORE)
        assert_int_equal(at, len);
    free(copy);
    *used += at;
    return result;
}

/** Feeds a row in three pieces. returns the result; *used the bytes consumed */
static int feed_split(const struct row *row, size_t first, size_t second, size_t *used)
{
    struct weft_chunked chunked;
    char body[256];
    size_t body_len = 0;
    *used = 0;
    weft_chunked_init(&chunked);
    int result = feed(&chunked, row->bytes, first, body, &body_len, used);
    if (result == WEFT_CHUNKED_MORE)
        result = feed(&chunked, row->bytes + first, second - first, body, &body_len, used);
    if (result == WEFT_CHUNKED_MORE)
        result = feed(&chunked, row->bytes + second, row->len - second, body, &body_len, used);
    if (!weft_str_eq(weft_str_make(body, body_len), weft_str_z(row->body_z)))
        fail_msg("row %zu: body '%.*s'", (size_t)(row - rows), (int)body_len, body);
    return result;
}

static void each_rule_at_each_split(void **state)
{
    (void)state;
    for (size_t i = 0; i < WEFT_COUNT_OF(rows); i++) {
        size_t used_whole = 0, used = 0;
        (void)feed_split(&rows[i], rows[i].len, rows[i].len, &used_whole); /* compared below */
        for (size_t first = 0; first <= rows[i].len; first++)
            for (size_t second = first; second <= rows[i].len; second += 1 + second % 3) {
                int result = feed_split(&rows[i], first, second, &used);
                if (result != rows[i].expected || used != used_whole)
                    fail_msg("row %zu at %zu, %zu: %d instead of %d, %zu bytes used", i, first,
                             second, result, rows[i].expected, used);
            }
    }
}

static void each_rule_of_bodies_has_a_row(void **state)
{
    (void)state;
    for (int error = WEFT_PARSE_BAD_CHUNK_SIZE; error < WEFT_PARSE_ERROR_COUNT; error++) {
        bool found = false;
        for (size_t i = 0; i < WEFT_COUNT_OF(rows); i++)
            found |= rows[i].expected == error;
        if (!found)
            fail_msg("no row for: %s", weft_parse_error_text(error));
    }
}

static void what_follows_the_body_is_left(void **state)
{
    (void)state;
    static const char bytes[] = "1\r\nx\r\n0\r\nA: b\r\n\r\nGET / HTTP/1.1\r\n";
    struct weft_chunked chunked;
    char body[8];
    size_t body_len = 0, used = 0;
    weft_chunked_init(&chunked);
    assert_int_equal(feed(&chunked, bytes, sizeof(bytes) - 1, body, &body_len, &used),
                     WEFT_CHUNKED_DONE);
    assert_string_equal(bytes + used, "GET / HTTP/1.1\r\n");
    assert_int_equal(feed(&chunked, "5", 1, body, &body_len, &used), WEFT_CHUNKED_DONE);
}

static void errors_stay(void **state)
{
    (void)state;
    struct weft_chunked chunked;
    char body[8];
    size_t body_len = 0, used = 0;
    weft_chunked_init(&chunked);
    for (int i = 0; i < 2; i++)
        assert_int_equal(
            feed(&chunked, i == 0 ? "x" : "0\r\n\r\n", i == 0 ? 1 : 5, body, &body_len, &used),
            WEFT_PARSE_BAD_CHUNK_SIZE);
}

static void heads_round_trip(void **state)
{
    (void)state;
    const size_t sizes[] = {0, 1, 15, 16, 255, 4096, 65535, SIZE_MAX};
    for (size_t i = 0; i < WEFT_COUNT_OF(sizes); i++) {
        char head[WEFT_CHUNK_HEAD_BYTES_MAX + 1];
        size_t len = weft_chunk_head(head, sizes[i]), consumed = 0;
        assert_true(len <= WEFT_CHUNK_HEAD_BYTES_MAX);
        head[len] = 'x';
        struct weft_chunked chunked;
        weft_str data = {NULL, 0};
        weft_chunked_init(&chunked);
        int result =
            weft_chunked_next(&chunked, &limits, head, len + (sizes[i] > 0), &consumed, &data);
        assert_int_equal(result, sizes[i] > 0 ? WEFT_CHUNKED_DATA : WEFT_CHUNKED_MORE);
        if (sizes[i] > 0)
            assert_true(chunked.left == sizes[i] - 1);
    }
    char head[WEFT_CHUNK_HEAD_BYTES_MAX];
    assert_int_equal(weft_chunk_head(head, 0xabc), 5);
    assert_memory_equal(head, "abc\r\n", 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rule_at_each_split),
        cmocka_unit_test(each_rule_of_bodies_has_a_row),
        cmocka_unit_test(what_follows_the_body_is_left),
        cmocka_unit_test(errors_stay),
        cmocka_unit_test(heads_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
