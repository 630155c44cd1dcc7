/* json_read_test.c - JSON into structs: what goes where, what is refused and with which path, and
 * that nothing is copied. */
#include "unit.h"
#include "base/str.h"
#include "serve/json/json_read.h"
#include <stdio.h>
#include <stdlib.h>

struct address {
    weft_str city;
    uint16_t zip;
};
WEFT_JSON_CLOSED(address_json, struct address, WEFT_F_STR(city, 1, 20), WEFT_F_UINT(zip, 1, 65535));

struct user {
    weft_str name;
    int32_t age;
    double height;
    bool active;
    bool has_home;
    struct address home;
    weft_str nick;
    weft_str extra;
    uint64_t id;
    int8_t tiny;
    WEFT_LIST(weft_str) tags;
    WEFT_LIST(struct address) old;
    WEFT_LIST(struct {
        int16_t *at;
        size_t count;
    })
    rows;
};
WEFT_JSON(user_json, struct user, WEFT_F_STR(name, 1, 16), WEFT_F_INT(age, 0, 150),
          WEFT_F_OPT(WEFT_F_REAL(height, -1, 3)), WEFT_F_OPT(WEFT_F_BOOL(active)),
          WEFT_F_MAYBE(has_home, WEFT_F_NAMED("home-address", WEFT_F_OBJECT(home, address_json))),
          WEFT_F_OPT(WEFT_F_STR(nick, 0, 8)), WEFT_F_OPT(WEFT_F_RAW(extra, 30)),
          WEFT_F_OPT(WEFT_F_UINT(id, 0, UINT64_MAX)), WEFT_F_OPT(WEFT_F_INT(tiny, -128, 127)),
          WEFT_F_OPT(WEFT_F_LIST(tags, WEFT_E_STR(1, 8), 0, 3)),
          WEFT_F_OPT(WEFT_F_LIST(old, WEFT_E_OBJECT(address_json), 1, 4)),
          WEFT_F_OPT(WEFT_F_LIST(rows, WEFT_E_LIST(WEFT_E_INT(-9, 999), 1, 3), 0, 5)));

struct tree {
    WEFT_LIST(struct tree) kids;
};
static const weft_json_desc tree_json;
WEFT_JSON(tree_json, struct tree, WEFT_F_OPT(WEFT_F_LIST(kids, WEFT_E_OBJECT(tree_json), 0, 9)));

/* ---- memory that counts ---- */

static _Alignas(16) char arena[65536];
static size_t arena_used, arena_room = sizeof(arena);

static void *take(void *arg, size_t bytes)
{
    (void)arg;
    bytes = WEFT_ALIGN_UP(bytes, (size_t)16);
    if (bytes > arena_room - arena_used)
        return NULL;
    arena_used += bytes;
    return arena + arena_used - bytes;
}

static const struct weft_json_memory memory = {take, NULL};
static struct user user;
static weft_json_error error;
static char *text; /* what was read last: of just its size */
static size_t text_len;

static int fresh(void **state)
{
    (void)state;
    arena_used = 0;
    arena_room = sizeof(arena);
    return 0;
}

static int over(void **state)
{
    (void)state;
    free(text);
    text = NULL;
    return 0;
}

static weft_rc read_as(const weft_json_desc *desc, void *out, const char *json_z)
{
    free(text);
    text_len = strlen(json_z);
    text = malloc(text_len + 1);
    assert_non_null(text);
    memcpy(text, json_z, text_len);
    char *exact = realloc(text, text_len > 0 ? text_len : 1);
    text = exact != NULL ? exact : text;
    memset(&error, '#', sizeof(error));
    return weft_json_parse(text, text_len, desc, out, &memory, &error);
}

static weft_rc read_user(const char *json_z)
{
    memset(&user, '#', sizeof(user));
    return read_as(&user_json, &user, json_z);
}

static void expect_str(weft_str found, const char *wanted_z)
{
    assert_int_equal(found.len, strlen(wanted_z));
    assert_memory_equal(found.ptr, wanted_z, found.len);
}

static bool lies_in_text(weft_str part)
{
    return part.ptr >= text && part.ptr + part.len <= text + text_len;
}

/* ---- what goes where ---- */

/* shows ZC-05: slices of the input, and not one byte of memory */
static void strings_borrow_the_text(void **state)
{
    (void)state;
    assert_int_equal(read_user("{\"name\":\"Ada\",\"age\":36}"), 0);
    expect_str(user.name, "Ada");
    assert_true(lies_in_text(user.name));
    assert_int_equal(user.age, 36);
    assert_int_equal(arena_used, 0);
}

/* shows ZC-05: it stays at nothing, however long the input is */
static void a_long_input_takes_no_more(void **state)
{
    (void)state;
    const size_t sizes[] = {100, 10000, 1000000};
    for (size_t i = 0; i < WEFT_COUNT_OF(sizes); i++) {
        char *json = malloc(sizes[i] + 100);
        assert_non_null(json);
        int head = sprintf(json, "{\"padding\":[\"");
        memset(json + head, 'x', sizes[i]);
        strcpy(json + (size_t)head + sizes[i], "\"],\"name\":\"Ada\",\"age\":36}");
        assert_int_equal(read_user(json), 0);
        assert_true(lies_in_text(user.name));
        assert_int_equal(arena_used, 0);
        free(json);
    }
}

static void what_is_absent_is_zero(void **state)
{
    (void)state;
    assert_int_equal(read_user("{\"age\":1,\"name\":\"x\",\"nick\":null,\"home-address\":null}"),
                     0);
    assert_null(user.nick.ptr);
    assert_null(user.extra.ptr);
    assert_false(user.has_home);
    assert_null(user.home.city.ptr);
    assert_null(user.tags.at);
    assert_int_equal(user.tags.count, 0);
    assert_true(user.height == 0);
    assert_int_equal(read_user("{\"age\":1,\"name\":\"x\",\"nick\":\"\",\"tags\":[]}"), 0);
    assert_non_null(user.nick.ptr); /* there, and empty */
    assert_non_null(user.tags.at);
    assert_int_equal(user.tags.count, 0);
}

static void every_kind_of_field(void **state)
{
    (void)state;
    assert_int_equal(
        read_user(
            " { \"rows\" : [ [1,-2] , [ 999 ], [0,0,7] ] , \"tags\":[\"a\",\"\\u00e4\"],\n"
            "\"old\":[{\"zip\":65535,\"city\":\"B\"},{\"city\":\"C\",\"zip\":1}],"
            "\"home-address\":{\"city\":\"Z\\u00fcrich\",\"zip\":8000},\"active\":true,"
            "\"height\":1.75e0,\"extra\":{\"x\":[1, \"]\"]},\"id\":18446744073709551615,"
            "\"tiny\":-128,\"nick\":\"\\ud83d\\ude00\\n\",\"name\":\"A\\\\B\",\"age\":-0}\r\n"),
        0);
    expect_str(user.name, "A\\B");
    expect_str(user.nick, "\xf0\x9f\x98\x80\n");
    expect_str(user.extra, "{\"x\":[1, \"]\"]}");
    expect_str(user.home.city, "Z\xc3\xbcrich");
    assert_true(user.has_home);
    assert_true(user.active);
    assert_true(user.height == 1.75);
    assert_int_equal(user.home.zip, 8000);
    assert_int_equal(user.age, 0);
    assert_int_equal(user.tiny, -128);
    assert_true(user.id == UINT64_MAX);
    assert_int_equal(user.tags.count, 2);
    expect_str(user.tags.at[0], "a");
    expect_str(user.tags.at[1], "\xc3\xa4");
    assert_int_equal(user.old.count, 2);
    assert_int_equal(user.old.at[0].zip, 65535);
    expect_str(user.old.at[1].city, "C");
    assert_int_equal(user.rows.count, 3);
    assert_int_equal(user.rows.at[0].count, 2);
    assert_int_equal(user.rows.at[0].at[1], -2);
    assert_int_equal(user.rows.at[1].at[0], 999);
    assert_int_equal(user.rows.at[2].at[2], 7);
    /* lists and nothing else, with room for four items or as many as there may be */
    assert_int_equal(arena_used, 3 * 16 + 4 * 24 + 4 * 16 + 3 * 16);
}

static void escapes_are_decoded_where_they_lie(void **state)
{
    (void)state;
    const struct {
        const char *json, *value;
        size_t len;
    } rows[] = {
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t", 8},
        {"\"\\u0041\\u0000z\"", "A\0z", 3},
        {"\"x\\u00e4\\u20ac\"", "x\xc3\xa4\xe2\x82\xac", 6},
        {"\"\\uD83D\\uDE00!\"", "\xf0\x9f\x98\x80!", 5},
        {"\"\xe2\x82\xac\\u20AC\xe2\x82\xac\"", "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac", 9},
        {"\"0123456789\\n012\"", "0123456789\n012", 14},
    };
    for (size_t i = 0; i < WEFT_COUNT_OF(rows); i++) {
        char json[100];
        sprintf(json, "{\"age\":1,\"n\\u0061me\":%s}", rows[i].json);
        assert_int_equal(read_user(json), 0);
        assert_int_equal(user.name.len, rows[i].len);
        assert_memory_equal(user.name.ptr, rows[i].value, rows[i].len);
        assert_true(lies_in_text(user.name));
    }
    assert_int_equal(arena_used, 0);
}

static void a_struct_within_itself(void **state)
{
    (void)state;
    struct tree tree;
    assert_int_equal(read_as(&tree_json, &tree, "{\"kids\":[{},{\"kids\":[{},{},{}]}]}"), 0);
    assert_int_equal(tree.kids.count, 2);
    assert_int_equal(tree.kids.at[0].kids.count, 0);
    assert_int_equal(tree.kids.at[1].kids.count, 3);
}

/* ---- what is refused ---- */

static void expect_error(weft_rc rc, const char *path_z, const char *text_z)
{
    assert_string_equal(error.text_z, text_z);
    assert_string_equal(error.path_z, path_z);
    assert_int_equal(error.rc, rc);
    assert_true(error.offset <= text_len);
}

/* shows DM-14: each kind of mistake, with the path of its field */
static void mistakes_are_told_with_their_path(void **state)
{
    (void)state;
#define GOOD "\"name\":\"x\",\"age\":1,"
    const struct {
        const char *json, *path, *text;
        weft_rc rc;
    } rows[] = {
        {"{\"name\":5,\"age\":1}", "name", "must be a string", WEFT_ERANGE},
        {"{\"name\":null,\"age\":1}", "name", "must be a string", WEFT_ERANGE},
        {"{\"name\":\"\",\"age\":1}", "name", "must be 1 to 16 bytes", WEFT_ERANGE},
        {"{\"name\":\"0123456789abcdefg\"}", "name", "must be 1 to 16 bytes", WEFT_ERANGE},
        {"{\"age\":\"1\"}", "age", "must be an integer", WEFT_ERANGE},
        {"{\"age\":1.0}", "age", "must be an integer", WEFT_ERANGE},
        {"{\"age\":1e1}", "age", "must be an integer", WEFT_ERANGE},
        {"{\"age\":true}", "age", "must be an integer", WEFT_ERANGE},
        {"{\"age\":-1}", "age", "must be 0 to 150", WEFT_ERANGE},
        {"{\"age\":151}", "age", "must be 0 to 150", WEFT_ERANGE},
        {"{\"age\":4294967296}", "age", "must be 0 to 150", WEFT_ERANGE},
        {"{\"age\":99999999999999999999999999}", "age", "must be 0 to 150", WEFT_ERANGE},
        {"{\"age\":-9223372036854775809}", "age", "must be 0 to 150", WEFT_ERANGE},
        {"{\"id\":-1}", "id", "must be 0 to 18446744073709551615", WEFT_ERANGE},
        {"{\"id\":18446744073709551616}", "id", "must be 0 to 18446744073709551615", WEFT_ERANGE},
        {"{\"tiny\":128}", "tiny", "must be -128 to 127", WEFT_ERANGE},
        {"{\"height\":\"1\"}", "height", "must be a number", WEFT_ERANGE},
        {"{\"height\":3.01}", "height", "must be -1 to 3", WEFT_ERANGE},
        {"{\"height\":1e999}", "height", "must be -1 to 3", WEFT_ERANGE},
        {"{\"active\":1}", "active", "must be true or false", WEFT_ERANGE},
        {"{\"active\":null,\"tags\":1}", "tags", "must be a list", WEFT_ERANGE},
        {"{\"tags\":[1]}", "tags[0]", "must be a string", WEFT_ERANGE},
        {"{\"tags\":[\"a\",\"b\",null]}", "tags[2]", "must be a string", WEFT_ERANGE},
        {"{\"tags\":[\"a\",\"b\",\"c\",\"d\"]}", "tags", "must have 0 to 3 items", WEFT_ERANGE},
        {"{\"old\":[]}", "old", "must have 1 to 4 items", WEFT_ERANGE},
        {"{\"old\":[{\"city\":\"x\",\"zip\":1},{\"city\":7}]}", "old[1].city", "must be a string",
         WEFT_ERANGE},
        {"{\"old\":[{\"city\":\"x\"}]}", "old[0].zip", "is missing", WEFT_ERANGE},
        {"{\"home-address\":[]}", "home-address", "must be an object", WEFT_ERANGE},
        {"{\"home-address\":{\"zip\":0}}", "home-address.zip", "must be 1 to 65535", WEFT_ERANGE},
        {"{\"home-address\":{\"street\":0}}", "home-address.street", "is not a field", WEFT_ERANGE},
        {"{\"rows\":[[1],[1,2,x]]}", "rows[1][2]", "must be an integer", WEFT_ERANGE},
        {"{\"rows\":[[1],[]]}", "rows[1]", "must have 1 to 3 items", WEFT_ERANGE},
        {"{\"extra\":\"0123456789012345678901234567890123\"}", "extra", "must be 0 to 30 bytes",
         WEFT_ERANGE},
        {"{" GOOD "\"age\":1}", "age", "is given twice", WEFT_ERANGE},
        {"{" GOOD "\"nick\":null,\"nick\":\"\"}", "nick", "is given twice", WEFT_ERANGE},
        {"{\"name\":\"x\"}", "age", "is missing", WEFT_ERANGE},
        {"{}", "name", "is missing", WEFT_ERANGE},
        {"[]", "", "must be an object", WEFT_ERANGE},
        {"5", "", "must be an object", WEFT_ERANGE},
        {"", "", "the text ends early", WEFT_ESYNTAX},
        {"{", "", "the text ends early", WEFT_ESYNTAX},
        {"{\"name\"", "", "the text ends early", WEFT_ESYNTAX},
        {"{\"name\":", "name", "the text ends early", WEFT_ESYNTAX},
        {"{\"name\":\"x", "name", "the text ends early", WEFT_ESYNTAX},
        {"{\"name\":\"\\x\"}", "name", "an unknown escape", WEFT_ESYNTAX},
        {"{\"name\":\"\\ud800\"}", "name", "half of a surrogate pair", WEFT_ESYNTAX},
        {"{\"name\":\"\xff\"}", "name", "invalid UTF-8", WEFT_ESYNTAX},
        {"{\"name\":\"\n\"}", "name", "a control byte in a string", WEFT_ESYNTAX},
        {"{\"age\":01}", "age", "a number with a zero before it", WEFT_ESYNTAX},
        {"{\"age\":-}", "age", "a digit is expected", WEFT_ESYNTAX},
        {"{\"active\":trap}", "active", "a value is expected", WEFT_ESYNTAX},
        {"{\"name\":\"x\" \"age\":1}", "", "a comma or } is expected", WEFT_ESYNTAX},
        {"{\"name\" \"x\"}", "", "a colon is expected", WEFT_ESYNTAX},
        {"{\"name\":\"x\",}", "", "a name in quotes is expected", WEFT_ESYNTAX},
        {"{\"tags\":[\"a\" \"b\"]}", "tags[0]", "a comma or ] is expected", WEFT_ESYNTAX},
        {"{" GOOD "\"nick\":\"\"}}", "", "something behind the value", WEFT_ESYNTAX},
        {"{\"unknown\":[1,{\"x\":}]}", "", "a value is expected", WEFT_ESYNTAX},
    };
    for (size_t i = 0; i < WEFT_COUNT_OF(rows); i++) {
        weft_rc rc = read_user(rows[i].json);
        if (rc != rows[i].rc || strcmp(error.path_z, rows[i].path) != 0)
            print_message("row %zu: %s\n", i, rows[i].json);
        assert_int_equal(rc, rows[i].rc);
        expect_error(rows[i].rc, rows[i].path, rows[i].text);
    }
}

static void the_offset_is_where_it_was_noticed(void **state)
{
    (void)state;
    assert_int_equal(read_user("{\"name\":\"x\",\"age\":151}"), WEFT_ERANGE);
    assert_int_equal(error.offset, 18);
    assert_int_equal(read_user("{\"name\":\"x\" x"), WEFT_ESYNTAX);
    assert_int_equal(error.offset, 12);
}

static void long_paths_are_cut(void **state)
{
    (void)state;
    char json[1000] = "{\"home-address\":{\"";
    memset(json + strlen(json), 'n', 400);
    strcat(json, "\":1}}");
    assert_int_equal(read_user(json), WEFT_ERANGE);
    assert_int_equal(strlen(error.path_z), sizeof(error.path_z) - 1);
    assert_string_equal(error.path_z + strlen(error.path_z) - 4, "n...");
}

static void a_list_beyond_its_memory_is_too_long(void **state)
{
    (void)state;
    arena_room = 48;
    assert_int_equal(read_user("{\"tags\":[\"a\",\"b\"],\"name\":\"x\",\"age\":1}"), 0);
    arena_used = 0;
    assert_int_equal(read_user("{\"rows\":[[1]]}"), WEFT_ELIMIT);
    expect_error(WEFT_ELIMIT, "rows", "is too long for the memory of its route");
}

/* Beyond the first items the rest is counted: two pieces of memory, whatever the length. */
static void long_lists_are_counted(void **state)
{
    (void)state;
    assert_int_equal(read_user("{\"rows\":[[1],[2],[3],[4],[5]],\"name\":\"x\",\"age\":1}"), 0);
    assert_int_equal(user.rows.count, 5);
    for (int i = 0; i < 5; i++)
        assert_int_equal(user.rows.at[i].at[0], i + 1);
    assert_int_equal(arena_used, 4 * 16 + 5 * 16 + 5 * 16);
    assert_int_equal(read_user("{\"rows\":[[1],[2],[3],[4],[5],[6]]}"), WEFT_ERANGE);
    expect_error(WEFT_ERANGE, "rows", "must have 0 to 5 items");
    assert_int_equal(error.offset, 8);
    assert_int_equal(read_user("{\"rows\":[[1],[2],[3],[4],[5],]"), WEFT_ERANGE);
    assert_int_equal(read_user("{\"rows\":[[1],[2],[3],[4],[\"],\\\",[\"]]"), WEFT_ERANGE);
    expect_error(WEFT_ERANGE, "rows[4][0]", "must be an integer");
}

static void levels_have_a_limit(void **state)
{
    (void)state;
    struct tree tree;
    char json[1000] = "";
    for (int i = 0; i < 16; i++)
        strcat(json, "{\"kids\":[");
    char *at = json + strlen(json);
    for (int i = 0; i < 16; i++)
        strcat(json, "]}");
    assert_int_equal(read_as(&tree_json, &tree, json), 0); /* 32 levels */
    memmove(at + 2, at, strlen(at) + 1);
    memcpy(at, "{}", 2);
    assert_int_equal(read_as(&tree_json, &tree, json), WEFT_ELIMIT);
    expect_error(WEFT_ELIMIT,
                 "kids[0].kids[0].kids[0].kids[0].kids[0].kids[0].kids[0].kids[0].kids[0].kids[0]."
                 "kids[0].kids[0].kids[0].kids[0].kids[0].kids[0]",
                 "too many levels");
    /* unknown members and raw ones count on from where they stand */
    for (int depth = 31; depth <= 32; depth++) {
        char raw[200] = "{\"x\":";
        for (int i = 0; i < depth; i++)
            strcat(raw, "[");
        for (int i = 0; i < depth; i++)
            strcat(raw, "]");
        strcat(raw, ",\"name\":\"x\",\"age\":1}");
        assert_int_equal(read_user(raw), depth == 31 ? 0 : WEFT_ELIMIT);
    }
}

/* Cut, changed in one byte, or with one byte more: refused or read, never past its memory. */
static void any_change_is_survived(void **state)
{
    (void)state;
    const char *whole =
        "{\"rows\":[[1,-2],[9],[3],[4],[5]],\"tags\":[\"a\",\"\\u00e4\"],\"old\":[{\"zip\":65,"
        "\"city\":\"B\"}],\"height\":1.75e0,\"extra\":{\"x\":[1,\"]\"]},"
        "\"name\":\"A\\\\B\",\"age\":3}";
    char json[400];
    for (size_t i = 0; i < strlen(whole); i++) {
        arena_used = 0;
        strcpy(json, whole);
        json[i] = 0;
        assert_int_not_equal(read_user(json), 0);
        for (int c = 1; c < 256; c++) {
            arena_used = 0;
            strcpy(json, whole);
            json[i] = (char)c;
            weft_rc rc = read_user(json);
            assert_true(rc == 0 || rc == WEFT_ESYNTAX || rc == WEFT_ERANGE);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(strings_borrow_the_text, fresh, over),
        cmocka_unit_test_setup_teardown(a_long_input_takes_no_more, fresh, over),
        cmocka_unit_test_setup_teardown(what_is_absent_is_zero, fresh, over),
        cmocka_unit_test_setup_teardown(every_kind_of_field, fresh, over),
        cmocka_unit_test_setup_teardown(escapes_are_decoded_where_they_lie, fresh, over),
        cmocka_unit_test_setup_teardown(a_struct_within_itself, fresh, over),
        cmocka_unit_test_setup_teardown(mistakes_are_told_with_their_path, fresh, over),
        cmocka_unit_test_setup_teardown(the_offset_is_where_it_was_noticed, fresh, over),
        cmocka_unit_test_setup_teardown(long_paths_are_cut, fresh, over),
        cmocka_unit_test_setup_teardown(a_list_beyond_its_memory_is_too_long, fresh, over),
        cmocka_unit_test_setup_teardown(long_lists_are_counted, fresh, over),
        cmocka_unit_test_setup_teardown(levels_have_a_limit, fresh, over),
        cmocka_unit_test_setup_teardown(any_change_is_survived, fresh, over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
