/* json_struct_test.c - structs as JSON: every kind of field, what is left out, some fields only,
 * and that what was written reads back. */
#include "unit.h"
#include "base/str.h"
#include "serve/json/json_read.h"

struct point {
    int32_t x, y;
};
WEFT_JSON(point_json, struct point, WEFT_F_INT(x, INT32_MIN, INT32_MAX),
          WEFT_F_INT(y, INT32_MIN, INT32_MAX));

struct all {
    weft_str text;
    int8_t i8;
    int16_t i16;
    int64_t i64;
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    double real;
    bool yes;
    weft_str raw;
    struct point point;
    WEFT_LIST(struct point) points;
    WEFT_LIST(weft_str) words;
    WEFT_LIST(struct {
        double *at;
        size_t count;
    })
    rows;
    bool has_extra;
    uint32_t extra;
    weft_str maybe;
};
WEFT_JSON(all_json, struct all, WEFT_F_STR(text, 0, 100), WEFT_F_INT(i8, -128, 127),
          WEFT_F_INT(i16, -32768, 32767), WEFT_F_INT(i64, INT64_MIN, INT64_MAX),
          WEFT_F_UINT(u8, 0, 255), WEFT_F_UINT(u16, 0, 65535), WEFT_F_UINT(u32, 0, UINT32_MAX),
          WEFT_F_UINT(u64, 0, UINT64_MAX), WEFT_F_REAL(real, -1e300, 1e300), WEFT_F_BOOL(yes),
          WEFT_F_RAW(raw, 100), WEFT_F_NAMED("the \"point\"", WEFT_F_OBJECT(point, point_json)),
          WEFT_F_LIST(points, WEFT_E_OBJECT(point_json), 0, 9),
          WEFT_F_LIST(words, WEFT_E_STR(0, 9), 0, 9),
          WEFT_F_LIST(rows, WEFT_E_LIST(WEFT_E_REAL(-9, 9), 0, 9), 0, 9),
          WEFT_F_MAYBE(has_extra, WEFT_F_UINT(extra, 0, 9)), WEFT_F_OPT(WEFT_F_STR(maybe, 0, 9)));

struct tree {
    WEFT_LIST(struct tree) kids;
};
static const weft_json_desc tree_json;
WEFT_JSON(tree_json, struct tree, WEFT_F_OPT(WEFT_F_LIST(kids, WEFT_E_OBJECT(tree_json), 0, 9)));

static char room[4096];
static struct weft_json json;

static weft_str written(const weft_json_desc *desc, const void *object, weft_json_fields fields)
{
    weft_str out = {0};
    weft_json_init(&json, room, sizeof(room));
    weft_json_put_fields(&json, desc, object, fields);
    assert_int_equal(weft_json_finish(&json, &out), 0);
    return out;
}

static void expect(weft_str found, const char *wanted_z)
{
    assert_int_equal(found.len, strlen(wanted_z));
    assert_memory_equal(found.ptr, wanted_z, found.len);
}

static struct point points[] = {{1, -1}, {INT32_MAX, INT32_MIN}};
static weft_str words[] = {{"a", 1}, {"", 0}};
static double numbers[] = {0.5, -2};
static struct all full(void)
{
    struct all all = {.text = WEFT_S("t\xc3\xa4\n"),
                      .i8 = -128,
                      .i16 = -32768,
                      .i64 = INT64_MIN,
                      .u8 = 255,
                      .u16 = 65535,
                      .u32 = UINT32_MAX,
                      .u64 = UINT64_MAX,
                      .real = 1e300,
                      .yes = true,
                      .raw = WEFT_S("[1]"),
                      .point = {3, 4},
                      .has_extra = true,
                      .extra = 7,
                      .maybe = WEFT_S("")};
    static WEFT_LIST(double) rows[] = {{numbers, 2}, {NULL, 0}};
    all.points.at = points;
    all.points.count = WEFT_COUNT_OF(points);
    all.words.at = words;
    all.words.count = WEFT_COUNT_OF(words);
    all.rows.at = (void *)rows;
    all.rows.count = WEFT_COUNT_OF(rows);
    return all;
}

static const char full_text[] =
    "{\"text\":\"t\xc3\xa4\\n\",\"i8\":-128,\"i16\":-32768,\"i64\":-9223372036854775808,\"u8\":255,"
    "\"u16\":65535,\"u32\":4294967295,\"u64\":18446744073709551615,\"real\":1e+300,\"yes\":true,"
    "\"raw\":[1],\"the \\\"point\\\"\":{\"x\":3,\"y\":4},\"points\":[{\"x\":1,\"y\":-1},"
    "{\"x\":2147483647,\"y\":-2147483648}],\"words\":[\"a\",\"\"],\"rows\":[[0.5,-2],[]],"
    "\"extra\":7,\"maybe\":\"\"}";

static void every_kind_is_written(void **state)
{
    (void)state;
    struct all all = full();
    expect(written(&all_json, &all, WEFT_JSON_ALL), full_text);
}

static void what_is_not_there_is_left_out(void **state)
{
    (void)state;
    struct all all = {.raw = WEFT_S("null")};
    expect(written(&all_json, &all, WEFT_JSON_ALL),
           "{\"text\":\"\",\"i8\":0,\"i16\":0,\"i64\":0,\"u8\":0,\"u16\":0,\"u32\":0,\"u64\":0,"
           "\"real\":0,\"yes\":false,\"raw\":null,\"the \\\"point\\\"\":{\"x\":0,\"y\":0},"
           "\"points\":[],\"words\":[],\"rows\":[]}");
}

static void some_fields_only(void **state)
{
    (void)state;
    struct all all = full();
    expect(written(&all_json, &all, 1u << 1 | 1u << 11), "{\"i8\":-128,\"the \\\"point\\\"\":"
                                                         "{\"x\":3,\"y\":4}}");
    expect(written(&all_json, &all, 0), "{}");
}

static void *take(void *arg, size_t bytes)
{
    static _Alignas(16) char memory[4096];
    size_t *used = arg;
    *used += WEFT_ALIGN_UP(bytes, (size_t)16);
    return *used <= sizeof(memory) ? memory + *used - WEFT_ALIGN_UP(bytes, (size_t)16) : NULL;
}

static void what_was_written_reads_back(void **state)
{
    (void)state;
    char text[sizeof(full_text)];
    size_t used = 0;
    const struct weft_json_memory memory = {take, &used};
    struct all all;
    weft_json_error error;
    memcpy(text, full_text, sizeof(text));
    assert_int_equal(weft_json_parse(text, sizeof(text) - 1, &all_json, &all, &memory, &error), 0);
    expect(written(&all_json, &all, WEFT_JSON_ALL), full_text);
}

static void levels_have_a_limit(void **state)
{
    (void)state;
    struct tree trees[20] = {0};
    for (size_t depth = 15; depth < 18; depth++) { /* two levels each */
        for (size_t i = 0; i < depth; i++) {
            trees[i].kids.at = &trees[i + 1];
            trees[i].kids.count = 1;
        }
        trees[depth] = (struct tree){0};
        weft_str out = {0};
        weft_json_init(&json, room, sizeof(room));
        weft_json_put(&json, &tree_json, trees);
        bool fits = 2 * depth + 1 <= WEFT_JSON_DEPTH_MAX;
        assert_int_equal(weft_json_finish(&json, &out), fits ? 0 : WEFT_ESTATE);
    }
}

static void a_small_room_is_a_limit(void **state)
{
    (void)state;
    struct all all = full();
    for (size_t bytes = 0; bytes < sizeof(full_text) - 1; bytes++) {
        weft_str out = {0};
        room[bytes] = '#';
        weft_json_init(&json, room, bytes);
        weft_json_put(&json, &all_json, &all);
        assert_int_equal(weft_json_finish(&json, &out), WEFT_ELIMIT);
        assert_int_equal(room[bytes], '#');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_is_written), cmocka_unit_test(what_is_not_there_is_left_out),
        cmocka_unit_test(some_fields_only),      cmocka_unit_test(what_was_written_reads_back),
        cmocka_unit_test(levels_have_a_limit),   cmocka_unit_test(a_small_room_is_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
