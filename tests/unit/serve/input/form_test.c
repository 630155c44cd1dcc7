/* form_test.c - forms and CSV in a handler: what is read, which status what is wrong gets, and what
 * is counted. */
#include "answer.h"
#include <weft/csv.h>
#include <weft/form.h>
#include <weft/mem.h>
#include "base/str.h"
#include "http/h1.h"
#include "serve/input/form.h"
#include <stdio.h>

static weft_str to_text(weft_req *rq, weft_builder *text)
{
    weft_str out = {0};
    (void)rq;
    assert_int_equal(weft_builder_text(text, &out), 0);
    return out;
}

static weft_rc form(weft_req *rq)
{
    weft_form form;
    weft_builder text;
    WEFT_TRY(weft_form_read(rq, &form));
    WEFT_TRY(weft_builder_begin(rq, &text, 1024));
    for (size_t i = 0; i < form.count; i++) {
        weft_builder_add(&text, form.fields[i].name);
        weft_builder_add(&text, WEFT_S("="));
        weft_builder_add(&text, form.fields[i].value);
        weft_builder_add(&text, WEFT_S("|"));
    }
    weft_str a = weft_form_value(&form, WEFT_S("a"));
    weft_builder_add(&text, a.ptr == NULL ? WEFT_S("-") : a);
    return weft_text(rq, 200, to_text(rq, &text));
}

/* What is asked of a part: nothing, one piece, all of it, or its text. */
static weft_rc parts(weft_req *rq)
{
    weft_multipart *form = NULL;
    weft_form_part part;
    weft_builder text;
    WEFT_TRY(weft_multipart_begin(rq, &form));
    WEFT_TRY(weft_builder_begin(rq, &text, 1024));
    for (;;) {
        weft_str piece = {0};
        WEFT_TRY(weft_part_next(form, &part));
        if (part.name.ptr == NULL)
            break;
        weft_builder_add(&text, part.name);
        weft_builder_add(&text, WEFT_S("="));
        if (weft_str_eq(part.name, WEFT_S("text")))
            WEFT_TRY(weft_part_text(form, 1000, &piece));
        else if (weft_str_eq(part.name, WEFT_S("all")))
            do {
                WEFT_TRY(weft_part_read(form, &piece));
                weft_builder_add(&text, piece);
            } while (piece.len > 0);
        else if (weft_str_eq(part.name, WEFT_S("one")))
            WEFT_TRY(weft_part_read(form, &piece));
        weft_builder_add(&text, piece);
        weft_builder_add(&text, WEFT_S("|"));
    }
    weft_str after = {"x", 1};
    assert_int_equal(weft_part_read(form, &after), 0); /* there is no part */
    assert_int_equal(after.len, 0);
    assert_int_equal(weft_part_next(form, &part), 0); /* and the end stays the end */
    assert_null(part.name.ptr);
    return weft_text(rq, 200, to_text(rq, &text));
}

static weft_rc early(weft_req *rq)
{
    weft_multipart *form = NULL;
    weft_str piece;
    WEFT_TRY(weft_multipart_begin(rq, &form));
    return weft_part_read(form, &piece);
}

struct table {
    weft_builder text;
    uint64_t stop_at;
};

static weft_rc row(weft_req *rq, const weft_csv_row *row, void *arg)
{
    (void)rq;
    struct table *table = arg;
    weft_builder_u64(&table->text, row->number);
    weft_builder_add(&table->text, WEFT_S("@"));
    weft_builder_u64(&table->text, row->line);
    for (uint32_t i = 0; i < row->count; i++) {
        weft_builder_add(&table->text, WEFT_S(","));
        weft_builder_add(&table->text, row->fields[i]);
    }
    weft_builder_add(&table->text, WEFT_S(";"));
    return row->number == table->stop_at ? WEFT_ENOTFOUND : 0;
}

static weft_rc csv(weft_req *rq)
{
    struct table table = {.stop_at = weft_query_u64(rq, WEFT_S("stop"), 0)};
    WEFT_TRY(weft_builder_begin(rq, &table.text, 1024));
    WEFT_TRY(weft_csv_body(
        rq, WEFT_CSV_OPTS(.separator = ';', .row_bytes_max = 100, .fields_max = 3), row, &table));
    return weft_text(rq, 200, to_text(rq, &table.text));
}

static weft_rc csv_in_a_stream(weft_req *rq)
{
    struct table table = {0};
    WEFT_TRY(weft_builder_begin(rq, &table.text, 1024));
    WEFT_TRY(weft_begin(rq, 200, WEFT_S("text/plain")));
    WEFT_TRY(weft_write(rq, WEFT_S("begun")));
    return weft_csv_body(rq, NULL, row, &table);
}

static const struct seam_route routes[] = {
    {.method_z = "POST", .pattern_z = "/form", .handler = form},
    {.method_z = "POST", .pattern_z = "/parts", .handler = parts},
    {.method_z = "POST", .pattern_z = "/early", .handler = early},
    {.method_z = "POST", .pattern_z = "/csv", .handler = csv},
    {.method_z = "POST", .pattern_z = "/stream", .handler = csv_in_a_stream},
};

static int open_worker(void **state)
{
    (void)state;
    seam_open(&weft_h1, routes, WEFT_COUNT_OF(routes), 4);
    seam_routes[0].body_length = true;
    return 0;
}

static void post_with(const char *target_z, const char *fields_z, const char *body, size_t len)
{
    static char text[WIRE_BYTES];
    int head =
        snprintf(text, sizeof(text), "POST %s HTTP/1.1\r\nHost: x\r\n%s\r\n", target_z, fields_z);
    assert_true((size_t)head + len < sizeof(text));
    memcpy(text + head, body, len);
    wire_open();
    seam.wire.piece_bytes = 50;
    feed(text, (size_t)head + len);
    sleep_it_out();
    hang_up(0);
    seam.wire.out[seam.wire.out_len] = 0;
}

static void post(const char *target_z, const char *type_z, const char *body, size_t len)
{
    char fields[300];
    snprintf(fields, sizeof(fields), "Content-Type: %s\r\nContent-Length: %zu\r\n", type_z, len);
    post_with(target_z, fields, body, len);
}

#define FORM            "application/x-www-form-urlencoded"
#define POST_FORM(body) post("/form", FORM, "" body, sizeof(body) - 1)

static void fields_of_a_form(void **state)
{
    (void)state;
    POST_FORM("a=1&b=2+3&a=4");
    expect("200", "a=1|b=2 3|a=4|1");
    POST_FORM("b=%41%2b%26%3D&%61=x");
    expect("200", "b=A+&=|a=x|x");
    POST_FORM("a&&=&b=c=d&");
    expect("200", "a=|=|b=c=d|");
    POST_FORM("b=c");
    expect("200", "b=c|-");
    POST_FORM("");
    expect("200", "-");
    post("/form", "Application/X-WWW-Form-URLEncoded ; charset=utf-8", "a=1", 3);
    expect("200", "a=1|1");
}

static void bad_forms(void **state)
{
    (void)state;
    static char body[WEFT_FORM_FIELDS_MAX * 2 + 2];
    POST_FORM("a=%4");
    expect("400", "Bad Request");
    POST_FORM("a=1&%zz=1");
    expect("400", "Bad Request");
    assert_int_equal(counted(WEFT_COUNTER_FORM_BAD), 2);
    assert_int_equal(counted(WEFT_COUNTER_RESPONSES_400), 2);
    post("/form", "text/plain", "a=1", 3);
    expect("415", "Unsupported Media Type");
    assert_false(output_has("Accept-Encoding"));
    post_with("/form", "Content-Length: 3\r\n", "a=1", 3);
    expect("415", "Unsupported Media Type");
    post_with("/form", "Content-Type: " FORM "\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n",
              "a=1", 3);
    expect("415", "Unsupported Media Type");
    assert_true(output_has("\r\nAccept-Encoding: identity\r\n"));
    post_with("/form",
              "Content-Type: " FORM "\r\nContent-Encoding: gzip\r\nContent-Encoding: identity\r\n"
              "Content-Length: 3\r\n",
              "a=1", 3);
    expect("415", "Unsupported Media Type");
    assert_int_equal(counted(WEFT_COUNTER_MEDIA_TYPE), 4);
    assert_int_equal(counted(WEFT_COUNTER_RESPONSES_415), 4);
    for (size_t i = 0; i <= WEFT_FORM_FIELDS_MAX; i++)
        memcpy(body + 2 * i, "a&", 2);
    post("/form", FORM, body, 2 * WEFT_FORM_FIELDS_MAX - 1);
    assert_true(output_begins("HTTP/1.1 200 "));
    post("/form", FORM, body, 2 * WEFT_FORM_FIELDS_MAX + 1);
    expect("413", "Content Too Large");
    assert_int_equal(counted(WEFT_COUNTER_FORM_FIELDS), 1);
}

static void a_length_is_wanted(void **state)
{
    (void)state;
    post_with("/form", "Content-Type: " FORM "\r\nTransfer-Encoding: chunked\r\n",
              "3\r\na=1\r\n0\r\n\r\n", 13);
    expect("411", "Length Required");
    post_with("/form", "Content-Type: " FORM "\r\n", "", 0);
    expect("411", "Length Required");
    assert_int_equal(counted(WEFT_COUNTER_LENGTH_MISSING), 2);
    assert_int_equal(counted(WEFT_COUNTER_RESPONSES_411), 2);
}

#define MULTIPART        "multipart/form-data; boundary=b"
#define POST_PARTS(body) post("/parts", MULTIPART, "" body, sizeof(body) - 1)
#define PART(name)       "--b\r\nContent-Disposition: form-data; name=" name "\r\n\r\n"

static void parts_of_a_form(void **state)
{
    (void)state;
    POST_PARTS(PART("text") "hello\r\n" PART("all") "a\r\nb\r\n--\r\n" PART(
        "none") "dropped\r\n" PART("text") "\r\n--b--\r\n");
    expect("200", "text=hello|all=a\r\nb\r\n--|none=|text=|");
    POST_PARTS("--b--");
    expect("200", "");
    static char body[9000];
    size_t len = (size_t)sprintf(body, PART("one"));
    memset(body + len, 'x', 8000);
    len += 8000;
    len += (size_t)sprintf(body + len, "\r\n" PART("text") "the end\r\n--b--\r\n");
    post("/parts", MULTIPART, body, len);
    assert_true(output_begins("HTTP/1.1 200 "));
    assert_true(output_has("|text=the end|"));
}

static void bad_multipart(void **state)
{
    (void)state;
    static char body[3000];
    POST_PARTS(PART("text") "hello\r\n--b");
    expect("400", "Bad Request");
    POST_PARTS(PART("text") "hello\r\n--bad");
    expect("400", "Bad Request");
    POST_PARTS("--b\r\nX: y\r\n\r\n1\r\n--b--");
    expect("400", "Bad Request");
    post("/parts", "multipart/form-data", "--b--", 5);
    expect("400", "Bad Request");
    assert_int_equal(counted(WEFT_COUNTER_MULTIPART_BAD), 4);
    post("/parts", "multipart/mixed; boundary=b", "--b--", 5);
    expect("415", "Unsupported Media Type");
    memcpy(body, "--b\r\nX: ", 8);
    memset(body + 8, 'x', 2500);
    post("/parts", MULTIPART, body, 2508);
    expect("413", "Content Too Large");
    assert_int_equal(counted(WEFT_COUNTER_MULTIPART_LIMIT), 1);
    size_t len = (size_t)sprintf(body, PART("text"));
    memset(body + len, 'x', 1001);
    strcpy(body + len + 1001, "\r\n--b--");
    post("/parts", MULTIPART, body, strlen(body));
    expect("413", "Content Too Large"); /* the handler's own limit */
    assert_int_equal(counted(WEFT_COUNTER_RESPONSES_413), 2);
    post("/early", MULTIPART, "--b--", 5);
    assert_true(output_begins("HTTP/1.1 500 "));
}

#define POST_CSV(query, body)                                                                      \
    post("/csv" query, "text/csv; charset=utf-8", "" body, sizeof(body) - 1)

static void rows_of_a_body(void **state)
{
    (void)state;
    POST_CSV("", "a;b\r\n\"c\r\nd\";e\r\nf");
    expect("200", "1@1,a,b;2@2,c\r\nd,e;3@4,f;");
    POST_CSV("", "");
    expect("200", "");
    POST_CSV("?stop=2", "a\nb\nc\n");
    expect("404", "Not Found");
}

static void bad_csv(void **state)
{
    (void)state;
    POST_CSV("", "a\nb\"\n");
    expect("400", "line 2: a quote in a field that is not quoted\n");
    POST_CSV("", "a\n\"b\n");
    expect("400", "line 2: a quote that is not closed\n");
    assert_int_equal(counted(WEFT_COUNTER_CSV_BAD), 2);
    POST_CSV("", "a\nb;c;d;e\n");
    expect("413", "line 2: the row has too many fields\n");
    POST_CSV("", "a\n"
                 "0123456789012345678901234567890123456789012345678901234567890123456789"
                 "0123456789012345678901234567890123456789012345678901234567890123456789\n");
    expect("413", "line 2: the row is too long\n");
    assert_int_equal(counted(WEFT_COUNTER_CSV_LIMIT), 2);
    post("/csv", "text/plain", "a", 1);
    expect("415", "Unsupported Media Type");
}

/* The head has left: what is wrong can only be shown by breaking off. */
static void bad_csv_in_a_stream(void **state)
{
    (void)state;
    static char body[20000];
    memset(body, 'a', sizeof(body));
    post("/stream", "text/csv", body, sizeof(body));
    assert_int_equal(counted(WEFT_COUNTER_CSV_LIMIT), 1);
    assert_false(output_has("0\r\n\r\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(fields_of_a_form, open_worker, close_worker),
        cmocka_unit_test_setup_teardown(bad_forms, open_worker, close_worker),
        cmocka_unit_test_setup_teardown(a_length_is_wanted, open_worker, close_worker),
        cmocka_unit_test_setup_teardown(parts_of_a_form, open_worker, close_worker),
        cmocka_unit_test_setup_teardown(bad_multipart, open_worker, close_worker),
        cmocka_unit_test_setup_teardown(rows_of_a_body, open_worker, close_worker),
        cmocka_unit_test_setup_teardown(bad_csv, open_worker, close_worker),
        cmocka_unit_test_setup_teardown(bad_csv_in_a_stream, open_worker, close_worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
