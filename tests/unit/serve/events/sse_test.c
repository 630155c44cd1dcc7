/* sse_test.c - what an event looks like on the wire, and what is refused. */
#include "unit.h"
#include "serve/events/sse.h"
#include "sse_reader.h"

static char text[4096];

static weft_str written(const weft_event *event, weft_str id)
{
    size_t len = weft_sse_bytes(event, id);
    assert_true(len <= sizeof(text));
    assert_ptr_equal(weft_sse_write(event, id, text), text + len);
    return weft_str_make(text, len);
}

static void assert_written(const weft_event *event, const char *expected)
{
    weft_str found = written(event, WEFT_S("7"));
    assert_int_equal(found.len, strlen(expected));
    assert_memory_equal(found.ptr, expected, found.len);
}

static void an_event_is_lines(void **state)
{
    (void)state;
    assert_written(WEFT_EVENT(.data = WEFT_S("hello")), "id: 7\ndata: hello\n\n");
    assert_written(WEFT_EVENT(.data = WEFT_S("a"), .event = WEFT_S("x")),
                   "id: 7\nevent: x\ndata: a\n\n");
    assert_written(WEFT_EVENT(.data = WEFT_S("a\nb\r\nc\rd")),
                   "id: 7\ndata: a\ndata: b\ndata: c\ndata: d\n\n");
    assert_written(WEFT_EVENT(.data = WEFT_S("a\n")), "id: 7\ndata: a\ndata: \n\n");
    assert_written(WEFT_EVENT(.data = WEFT_S("")), "id: 7\ndata: \n\n");
    assert_written(WEFT_EVENT(.data = WEFT_S(" : \r")), "id: 7\ndata:  : \ndata: \n\n");
}

static void what_would_be_more_than_an_event_is_refused(void **state)
{
    (void)state;
    char id[65];
    memset(id, 'i', sizeof(id));
    const weft_event *bad[] = {
        WEFT_EVENT(.event = WEFT_S("a\nid: 9")), WEFT_EVENT(.event = WEFT_S("a\r")),
        WEFT_EVENT(.id = WEFT_S("\n")),          WEFT_EVENT(.id = WEFT_S("a\rb")),
        WEFT_EVENT(.id = WEFT_S("a\0b")),        WEFT_EVENT(.id = weft_str_make(id, sizeof(id))),
    };
    for (size_t i = 0; i < WEFT_COUNT_OF(bad); i++)
        assert_int_equal(weft_sse_check(bad[i]), WEFT_EINVAL);
    assert_int_equal(weft_sse_check(WEFT_EVENT(.id = weft_str_make(id, 64))), 0);
    assert_int_equal(weft_sse_check(WEFT_EVENT(.data = WEFT_S("a\nb\0"))), 0);
}

static void a_client_reads_it_back(void **state)
{
    (void)state;
    static struct sse_reader reader;
    weft_str data = WEFT_S("{\"a\": 1,\r\n \"b\": 2}\n\n");
    reader.text = written(WEFT_EVENT(.data = data, .event = WEFT_S(" x")), WEFT_S("id"));
    assert_true(sse_next(&reader));
    assert_int_equal(reader.data_len, data.len - 1);
    assert_memory_equal(reader.data, "{\"a\": 1,\n \"b\": 2}\n\n", reader.data_len);
    assert_int_equal(reader.type_len, 2);
    assert_int_equal(reader.id_len, 2);
    assert_false(sse_next(&reader));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_is_lines),
        cmocka_unit_test(what_would_be_more_than_an_event_is_refused),
        cmocka_unit_test(a_client_reads_it_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
