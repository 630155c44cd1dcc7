/* text_test.c - long answers in pieces: all of it, in order, and nothing after an error. */
#include "unit.h"
#include "ops/text.h"

static char all[20000];
static size_t all_len, pieces, pieces_max;

static weft_rc put(void *ctx, weft_str piece)
{
    (void)ctx;
    assert_true(piece.len > 0);
    assert_true(piece.len <= WEFT_TEXT_PIECE_BYTES);
    if (++pieces > pieces_max)
        return WEFT_ECANCELED;
    memcpy(all + all_len, piece.ptr, piece.len);
    all_len += piece.len;
    return 0;
}

static int reset(void **state)
{
    (void)state;
    all_len = pieces = 0;
    pieces_max = SIZE_MAX;
    return 0;
}

/* Every length up to a piece, so that each place of the border is come by. */
static void nothing_is_cut(void **state)
{
    (void)state;
    struct weft_text text;
    static char line[WEFT_TEXT_PIECE_BYTES + 1];
    weft_text_init(&text, put, NULL);
    size_t sum = 0;
    for (size_t len = 1; len <= WEFT_TEXT_PIECE_BYTES; len += 67) {
        memset(line, 'a' + (int)(len % 26), len);
        line[len] = 0;
        weft_text_add(&text, "%s", line);
        sum += len;
    }
    assert_int_equal(weft_text_end(&text), 0);
    assert_int_equal(all_len, sum);
    size_t at = 0;
    for (size_t len = 1; len <= WEFT_TEXT_PIECE_BYTES; at += len, len += 67) {
        assert_int_equal(all[at], 'a' + (int)(len % 26));
        assert_int_equal(all[at + len - 1], 'a' + (int)(len % 26));
    }
}

static void stops_at_an_error(void **state)
{
    (void)state;
    struct weft_text text;
    pieces_max = 1;
    weft_text_init(&text, put, NULL);
    for (int i = 0; i < 1000; i++)
        weft_text_add(&text, "0123456789");
    assert_int_equal(weft_text_end(&text), WEFT_ECANCELED);
    assert_int_equal(pieces, 2);
    assert_true(all_len <= WEFT_TEXT_PIECE_BYTES);
}

static void json_strings(void **state)
{
    (void)state;
    struct weft_text text;
    weft_text_init(&text, put, NULL);
    weft_text_json(&text, WEFT_S("/a/{x:^\"\\d+\n$}\xc3\xa4"));
    assert_int_equal(weft_text_end(&text), 0);
    static const char expected[] = "/a/{x:^\\\"\\\\d+\\u000a$}\\u00c3\\u00a4";
    assert_int_equal(all_len, sizeof(expected) - 1);
    assert_memory_equal(all, expected, all_len);
}

static void labels(void **state)
{
    (void)state;
    struct weft_text text;
    weft_text_init(&text, put, NULL);
    weft_text_label(&text, WEFT_S("/{x:^\"\\d\n$}"));
    assert_int_equal(weft_text_end(&text), 0);
    static const char expected[] = "/{x:^\\\"\\\\d\\n$}";
    assert_int_equal(all_len, sizeof(expected) - 1);
    assert_memory_equal(all, expected, all_len);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nothing_is_cut, reset),
        cmocka_unit_test_setup(stops_at_an_error, reset),
        cmocka_unit_test_setup(json_strings, reset),
        cmocka_unit_test_setup(labels, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
