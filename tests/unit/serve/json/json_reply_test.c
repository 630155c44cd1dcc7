/* json_reply_test.c - JSON in a handler: what it takes of the request's memory, writers that grow
 * and writers that are sent, however slow the client is. */
#include "answer.h"
#include "death.h"
#include "http/h1.h"
#include "serve/json/json.h"
#include <stdio.h>

#define ITEMS 3000

struct person {
    weft_str name;
    int32_t age;
    WEFT_LIST(uint64_t) numbers;
};
WEFT_JSON(person_json, struct person, WEFT_F_STR(name, 0, 40000), WEFT_F_INT(age, 0, 150),
          WEFT_F_OPT(WEFT_F_LIST(numbers, WEFT_E_UINT(0, 999999), 0, 100000)));

static size_t copied, held;
static uint64_t counted_items;
static weft_rc last;

/* What is read borrows the body, also while the handler waits and until its answer has left. */
static weft_rc read_and_reply(weft_req *rq)
{
    struct person person;
    last = weft_json_read(rq, &person_json, &person);
    copied = rq->copied;
    held = rq->arena.held;
    WEFT_TRY(last);
    WEFT_TRY(weft_sleep_ms(rq, 5));
    return weft_json_reply(rq, 200, &person_json, &person);
}

static weft_rc borrow(weft_req *rq)
{
    struct person person;
    WEFT_TRY(weft_json_read(rq, &person_json, &person));
    return weft_reply(rq, 200, WEFT_S("text/plain"), person.name);
}

static weft_rc list(weft_req *rq, weft_json *json)
{
    weft_json_array(json);
    for (uint64_t i = 0; i < ITEMS; i++) {
        weft_json_u64(json, i);
        WEFT_TRY(weft_json_error_of(json));
    }
    weft_json_end_array(json);
    (void)rq;
    return 0;
}

static weft_rc stream(weft_req *rq)
{
    weft_json json;
    WEFT_TRY(weft_json_stream(rq, &json, 201, WEFT_JSON_STREAM_ROOM_MIN));
    assert_int_equal(weft_json_send(rq, 200, &json), WEFT_ESTATE);
    json.rc = 0;
    last = list(rq, &json);
    WEFT_TRY(last);
    held = rq->arena.held;
    return weft_json_end(&json);
}

static weft_rc flushed(weft_req *rq)
{
    weft_json json;
    WEFT_TRY(weft_json_stream(rq, &json, 200, 1000));
    weft_json_array(&json);
    weft_json_str(&json, WEFT_S("now"));
    WEFT_TRY(weft_json_flush(&json));
    assert_true(output_has("[\"now\""));
    static char text[5000]; /* more than the room: through it in parts */
    memset(text, '"', sizeof(text));
    weft_json_str(&json, (weft_str){text, sizeof(text)});
    weft_json_end_array(&json);
    return weft_json_end(&json);
}

static weft_rc broken(weft_req *rq)
{
    weft_json json;
    WEFT_TRY(weft_json_stream(rq, &json, 200, 64));
    weft_json_array(&json);
    weft_json_u64(&json, 1);
    WEFT_TRY(weft_json_flush(&json));
    return weft_json_end(&json); /* the array is open */
}

static weft_rc grow(weft_req *rq)
{
    weft_json json;
    WEFT_TRY(weft_json_begin_growing(rq, &json, 16));
    last = list(rq, &json);
    held = rq->arena.held;
    return weft_json_send(rq, 200, &json);
}

static weft_rc grow_too_far(weft_req *rq)
{
    weft_json json;
    static char text[70000];
    memset(text, 'x', sizeof(text));
    WEFT_TRY(weft_json_begin_growing(rq, &json, 16));
    weft_json_str(&json, (weft_str){text, sizeof(text)});
    assert_int_equal(weft_json_error_of(&json), WEFT_ENOMEM);
    assert_int_equal(weft_json_flush(&json), WEFT_ENOMEM);
    return weft_json_send(rq, 200, &json);
}

static weft_rc no_room(weft_req *rq)
{
    weft_json json;
    assert_int_equal(weft_json_stream(rq, &json, 200, WEFT_JSON_STREAM_ROOM_MIN - 1), WEFT_EINVAL);
    assert_int_equal(weft_json_stream(rq, &json, 200, 70000), WEFT_ENOMEM);
    WEFT_TRY(weft_json_begin(rq, &json, 64));
    assert_int_equal(weft_json_flush(&json), WEFT_ESTATE);
    assert_int_equal(weft_json_end(&json), WEFT_ESTATE);
    weft_json_null(&json);
    return weft_json_send(rq, 200, &json);
}

/* ---- a body of many ---- */

static weft_rc add_person(weft_req *rq, uint64_t index, void *item, void *arg)
{
    const struct person *person = item;
    weft_json *json = arg;
    assert_int_equal(index, counted_items++);
    weft_json_str(json, person->name);
    weft_json_i64(json, person->age);
    for (size_t i = 0; i < person->numbers.count; i++)
        weft_json_u64(json, person->numbers.at[i]);
    held = rq->arena.held;
    if (person->age == 98) {
        weft_str text = weft_format(rq, "nobody is %d", person->age);
        WEFT_TRY(weft_fail(rq, 422, text));
        return WEFT_ERANGE;
    }
    return person->age == 99 ? WEFT_ENOTFOUND : 0;
}

static weft_rc persons(weft_req *rq)
{
    struct person person;
    weft_json json;
    counted_items = 0;
    WEFT_TRY(weft_json_begin(rq, &json, 8000));
    weft_json_array(&json);
    last = weft_json_each(rq, &person_json, &person, 60, add_person, &json);
    if (last != 0)
        memset(weft_alloc(rq, 64), '?', 64); /* not where an answer lies */
    WEFT_TRY(last);
    weft_json_end_array(&json);
    return weft_json_send(rq, 200, &json);
}

static void forget(void *arg)
{
    (void)arg;
}

static weft_rc defer_one(weft_req *rq, uint64_t index, void *item, void *arg)
{
    (void)index, (void)item;
    return weft_defer(rq, forget, arg);
}

/* What is deferred would lie where the next object's memory comes from. */
static weft_rc deferring(weft_req *rq)
{
    struct person person;
    return weft_json_each(rq, &person_json, &person, 60, defer_one, NULL);
}

static const struct seam_route routes[] = {
    {.method_z = "POST", .pattern_z = "/person", .handler = read_and_reply},
    {.method_z = "POST", .pattern_z = "/borrow", .handler = borrow},
    {.method_z = "POST", .pattern_z = "/persons", .handler = persons, .body_bytes_max = 1 << 20},
    {.method_z = "POST", .pattern_z = "/deferring", .handler = deferring},
    {.method_z = "GET", .pattern_z = "/stream", .handler = stream},
    {.method_z = "GET", .pattern_z = "/flushed", .handler = flushed},
    {.method_z = "GET", .pattern_z = "/broken", .handler = broken},
    {.method_z = "GET", .pattern_z = "/grow", .handler = grow},
    {.method_z = "GET", .pattern_z = "/too-far", .handler = grow_too_far},
    {.method_z = "GET", .pattern_z = "/no-room", .handler = no_room},
};

static int open_worker(void **state)
{
    (void)state;
    seam_open(&weft_h1, routes, WEFT_COUNT_OF(routes), 4);
    return 0;
}

/* Answers beyond the bodies compared here end in the room of the wire. */
static void ask(const char *head_z, const char *body_z, size_t piece_bytes, enum wire_sends sends)
{
    static char text[WIRE_BYTES];
    int len = snprintf(text, sizeof(text), "%s HTTP/1.1\r\nHost: x\r\n", head_z);
    if (body_z != NULL)
        len +=
            snprintf(text + len, sizeof(text) - (size_t)len,
                     "Content-Type: application/json\r\nContent-Length: %zu\r\n", strlen(body_z));
    len += snprintf(text + len, sizeof(text) - (size_t)len, "\r\n%s", body_z ? body_z : "");
    assert_true((size_t)len < sizeof(text));
    wire_open();
    seam.wire.piece_bytes = piece_bytes;
    seam.wire.sends = sends;
    copied = held = 0;
    feed(text, (size_t)len);
    sleep_it_out();
    hang_up(0);
    seam.wire.out[seam.wire.out_len] = 0;
}

/* shows ZC-05: not one byte is copied or taken from the arena, whatever the body's length */
static void a_body_in_one_piece_costs_nothing(void **state)
{
    (void)state;
    ask("POST /person", "{\"name\":\"Ad\\u0061\",\"age\":36}", 8192, WIRE_LATER);
    expect("200", "{\"name\":\"Ada\",\"age\":36}");
    assert_int_equal(copied, 0);
    assert_int_equal(held, 0);
    static char body[9000];
    snprintf(body, sizeof(body), "{\"name\":\"Ada\",\"age\":36,\"pad\":\"%07000d\"}", 0);
    ask("POST /person", body, 8192, WIRE_LATER);
    expect("200", "{\"name\":\"Ada\",\"age\":36}");
    assert_int_equal(copied, 0);
    assert_int_equal(held, 0);
}

static void a_body_in_pieces_is_gathered(void **state)
{
    (void)state;
    const char *body = "{\"name\":\"A\\td\xc3\xa4\",\"age\":36,\"numbers\":[1,2,3,4,5,999999]}";
    for (size_t piece = 1; piece < 60; piece++) {
        ask("POST /person", body, piece, WIRE_LATER);
        expect("200", body);
        assert_true(copied >= strlen(body));
    }
    static char large[30000];
    snprintf(large, sizeof(large), "{\"name\":\"%020000d\",\"age\":36}", 0);
    ask("POST /borrow", large, 8192, WIRE_LATER);
    large[9 + 20000] = 0;
    expect("200", large + 9);
}

/* The answer points into the receive buffer, which stays until its last byte has left. */
static void an_answer_may_borrow_the_body(void **state)
{
    (void)state;
    static char body[9000];
    snprintf(body, sizeof(body), "{\"age\":1,\"name\":\"%06000d\"}", 0);
    ask("POST /borrow", body, 8192, WIRE_LATER);
    body[17 + 6000] = 0;
    expect("200", body + 17);
}

static void mistakes_are_answered(void **state)
{
    (void)state;
    ask("POST /person", "{\"name\":\"\\u0041\",\"age\":\"1\"}", 8192, WIRE_NOW);
    expect("400", "{\"title\":\"Bad Request\",\"status\":400,\"detail\":\"age must be an integer\","
                  "\"field\":\"age\",\"offset\":23}");
    assert_int_equal(last, WEFT_ERANGE);
    ask("POST /person", "{\"name\":\"\\u0041\",", 8192, WIRE_NOW);
    expect("400", "{\"title\":\"Bad Request\",\"status\":400,\"detail\":\"the text ends early\","
                  "\"field\":\"\",\"offset\":17}");
    assert_int_equal(last, WEFT_ESYNTAX);
    static char body[60000] = "{\"numbers\":[0";
    size_t len = strlen(body);
    for (; len < 40000; len += 2)
        memcpy(body + len, ",0", 3);
    memcpy(body + len, "]}", 3);
    ask("POST /person", body, 8192, WIRE_NOW); /* 20,000 numbers of 8 bytes in 64 KiB */
    assert_true(output_begins("HTTP/1.1 413 "));
    assert_true(output_has("\"detail\":\"numbers is too long for the memory of its route\""));
    assert_int_equal(counted(WEFT_COUNTER_JSON_FIELDS), 1);
    assert_int_equal(counted(WEFT_COUNTER_JSON_SYNTAX), 1);
    assert_int_equal(counted(WEFT_COUNTER_JSON_LIMIT), 1);
    ask("POST /person", NULL, 8192, WIRE_NOW);
    expect("415", "Unsupported Media Type");
}

/* shows SF-08: any length in the room of 64 bytes, whether the client takes it at once or not */
static void a_stream_needs_its_room_only(void **state)
{
    (void)state;
    static char wanted[20000] = "[0";
    size_t len = 2;
    for (int i = 1; i < ITEMS; i++)
        len += (size_t)snprintf(wanted + len, sizeof(wanted) - len, ",%d", i);
    memcpy(wanted + len, "]", 2);
    for (enum wire_sends sends = WIRE_NOW; sends <= WIRE_LATER; sends++) {
        wire_open();
        seam.wire.sends = sends;
        feed_text("GET /stream HTTP/1.0\r\n\r\n");
        sleep_it_out();
        hang_up(0);
        seam.wire.out[seam.wire.out_len] = 0;
        expect("201", wanted);
        assert_true(output_has("Content-Type: application/json\r\n"));
        assert_int_equal(held, 4096); /* one chunk */
    }
}

static void a_client_that_leaves_ends_a_stream(void **state)
{
    (void)state;
    wire_open();
    seam.wire.sends = WIRE_STUCK;
    feed_text("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
    hang_up((weft_rc)-ECONNRESET);
    assert_true(last < 0);
    assert_false(output_has("2999]"));
}

static void a_stream_is_flushed(void **state)
{
    (void)state;
    ask("GET /flushed", NULL, 8192, WIRE_NOW);
    assert_int_equal(output_count("\\\""),
                     5000 - output_count("\\\r\n")); /* some are cut by chunks */
    ask("GET /broken", NULL, 8192, WIRE_NOW);
    assert_true(output_has("[1"));
    assert_false(output_has("\r\n0\r\n")); /* the client can tell */
}

static void writers_grow(void **state)
{
    (void)state;
    ask("GET /grow", NULL, 8192, WIRE_NOW);
    assert_true(output_begins("HTTP/1.1 200 "));
    assert_true(output_has(",2998,2999]"));
    assert_int_equal(last, 0);
    assert_in_range(held, 13890, 64 << 10);
    ask("GET /too-far", NULL, 8192, WIRE_NOW);
    expect("503", "Service Unavailable");
    assert_true(counted(WEFT_COUNTER_ARENA_REFUSED) > 0);
    ask("GET /no-room", NULL, 8192, WIRE_NOW);
    expect("200", "null");
}

/* shows SF-08: wherever the body is cut, each object is read once and in order */
static void an_array_is_read_object_by_object(void **state)
{
    (void)state;
    const char *body =
        " [ {\"name\":\"A\\\"},{\\\\\",\"age\":1} ,\n{\"numbers\":[1,2,3,4,5],\"name\":\"\\u00e4\","
        "\"age\":2},{\"x\":[{}, {\"y\":\"]\"}],\"age\":3,\"name\":\"\"}]\n";
    for (size_t piece = 1; piece <= 300; piece += piece < 150 ? 1 : 37) {
        ask("POST /persons", body, piece, WIRE_LATER);
        expect("200", "[\"A\\\"},{\\\\\",1,\"\xc3\xa4\",2,1,2,3,4,5,\"\",3]");
    }
    ask("POST /persons", " [ \n] ", 3, WIRE_NOW);
    expect("200", "[]");
}

static void an_array_takes_the_memory_of_one(void **state)
{
    (void)state;
    static char body[200000] = "[";
    size_t len = 1;
    for (int i = 0; i < 2000; i++)
        len += (size_t)snprintf(body + len, sizeof(body) - len,
                                "{\"name\":\"\",\"age\":%d,\"numbers\":[1,2,3]},", i % 60);
    memcpy(body + len - 1, "]", 2);
    ask("POST /persons", body, 997, WIRE_NOW);
    assert_int_equal(counted_items, 2000);
    assert_in_range(held, 1, 16 << 10); /* what the answer has room for; the lists are forgotten */
}

static void mistakes_in_an_array_have_an_index(void **state)
{
    (void)state;
#define ONE "{\"name\":\"\",\"age\":1}"
    const struct {
        const char *body, *status, *detail, *offset;
    } rows[] = {
        {"{}", "400", "\"must be a list\",\"field\":\"\"", ":0}"},
        {"", "400", "\"the text ends early\",\"field\":\"\"", ":0}"},
        {"[", "400", "\"the text ends early\",\"field\":\"\"", ":1}"},
        {"[" ONE, "400", "\"the text ends early\"", ":20}"},
        {"[" ONE ",", "400", "\"the text ends early\"", ":21}"},
        {"[" ONE ",]", "400", "\"[1] must be an object\",\"field\":\"[1]\"", ":21}"},
        {"[1]", "400", "\"[0] must be an object\"", ":1}"},
        {"[" ONE " " ONE "]", "400", "\"a comma or ] is expected\"", ":21}"},
        {"[" ONE "]]", "400", "\"something behind the value\"", ":21}"},
        {"[" ONE ", {\"name\":7}]", "400", "\"[1].name must be a string\",\"field\":\"[1].name\"",
         ":30}"},
        {"[" ONE ",{\"name\":\"\",\"age\":01}]", "400", "\"[1].age a number with", ":38}"},
        {"[" ONE ",{\"name\":\"\"", "400", "\"the text ends early\"", ":31}"},
        {"[" ONE ",{\"name\":\"\"]]", "400", "\"[1] a comma or } is expected\"", "}"},
        {"[{\"name\":\"01234567890123456789012345678901234567890123456789\",\"age\":1}]", "413",
         "\"[0] is too long\"", "}"},
        {"[" ONE ",{\"name\":\"\",\"age\":98}]", "422", "nobody is 98", ""},
        {"[{\"name\":\"\",\"age\":99}," ONE "]", "404", "Not Found", ""},
    };
    for (size_t i = 0; i < WEFT_COUNT_OF(rows); i++) {
        for (size_t piece = 5; piece <= 500; piece += 165) {
            ask("POST /persons", rows[i].body, piece, WIRE_NOW);
            char first[30];
            snprintf(first, sizeof(first), "HTTP/1.1 %s ", rows[i].status);
            if (!output_begins(first) || !output_has(rows[i].detail) || !output_has(rows[i].offset))
                fail_msg("row %zu in pieces of %zu: %s", i, piece, seam.wire.out);
        }
    }
}

static void defer_each(void *body)
{
    ask("POST /deferring", body, 500, WIRE_NOW);
}

static void a_call_deferred_for_one_object_is_a_mistake(void **state)
{
    (void)state;
    char none[] = "[]", one[] = "[" ONE "]";
    assert_int_equal(death_of(defer_each, none), 0);
    assert_int_equal(death_of(defer_each, one), SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_body_in_one_piece_costs_nothing, open_worker,
                                        close_worker),
        cmocka_unit_test_setup_teardown(a_body_in_pieces_is_gathered, open_worker, close_worker),
        cmocka_unit_test_setup_teardown(an_answer_may_borrow_the_body, open_worker, close_worker),
        cmocka_unit_test_setup_teardown(mistakes_are_answered, open_worker, close_worker),
        cmocka_unit_test_setup_teardown(a_stream_needs_its_room_only, open_worker, close_worker),
        cmocka_unit_test_setup_teardown(a_client_that_leaves_ends_a_stream, open_worker,
                                        close_worker),
        cmocka_unit_test_setup_teardown(a_stream_is_flushed, open_worker, close_worker),
        cmocka_unit_test_setup_teardown(writers_grow, open_worker, close_worker),
        cmocka_unit_test_setup_teardown(an_array_is_read_object_by_object, open_worker,
                                        close_worker),
        cmocka_unit_test_setup_teardown(an_array_takes_the_memory_of_one, open_worker,
                                        close_worker),
        cmocka_unit_test_setup_teardown(mistakes_in_an_array_have_an_index, open_worker,
                                        close_worker),
        cmocka_unit_test_setup_teardown(a_call_deferred_for_one_object_is_a_mistake, open_worker,
                                        close_worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
