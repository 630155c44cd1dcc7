/* json_struct.c - structs as JSON, as their descriptors say. The levels within each other are kept
 * in a table: a struct may hold structs like itself, and tables have a limit where stacks have an
 * end.
 */
#include "base/str.h"
#include "http/message.h"
#include "serve/json/json.h"

/* What WEFT_LIST(type) is, whatever the type. */
struct list {
    const char *at;
    size_t count;
};

struct level {
    const weft_json_desc *desc;  /* NULL: a list */
    const weft_json_field *item; /* of the list */
    const char *from;            /* the struct; the list's items */
    size_t at, count;            /* fields or items passed; all */
    uint32_t item_bytes;
    weft_json_fields fields;
};

struct levels {
    uint32_t depth;
    struct level at[WEFT_JSON_DEPTH_MAX];
};

static uint64_t load_u64(const char *from, uint8_t bytes)
{
    uint64_t value = 0;
    switch (bytes) {
    case 1:
        return *(const uint8_t *)from;
    case 2: {
        uint16_t narrow;
        memcpy(&narrow, from, sizeof(narrow));
        return narrow;
    }
    case 4: {
        uint32_t narrow;
        memcpy(&narrow, from, sizeof(narrow));
        return narrow;
    }
    default:
        memcpy(&value, from, sizeof(value));
        return value;
    }
}

static int64_t load_i64(const char *from, uint8_t bytes)
{
    unsigned unused = 64 - 8 * (unsigned)bytes; /* the sign is moved to the top, and back */
    return (int64_t)(load_u64(from, bytes) << unused) >> unused;
}

static weft_str load_str(const char *from)
{
    weft_str text;
    memcpy(&text, from, sizeof(text));
    return text;
}

static void open_object(weft_json *json, struct levels *levels, const weft_json_desc *desc,
                        const char *from, weft_json_fields fields)
{
    weft_json_object(json);
    if (json->rc != 0)
        return; /* too deep, perhaps */
    levels->at[levels->depth++] =
        (struct level){.desc = desc, .from = from, .count = desc->field_count, .fields = fields};
}

static void open_list(weft_json *json, struct levels *levels, const weft_json_field *field,
                      const char *from)
{
    struct list list;
    memcpy(&list, from, sizeof(list));
    weft_json_array(json);
    if (json->rc != 0)
        return;
    levels->at[levels->depth++] = (struct level){
        .item = field->item, .from = list.at, .count = list.count, .item_bytes = field->item_bytes};
}

static void put_value(weft_json *json, struct levels *levels, const weft_json_field *field,
                      const char *from)
{
    double real;
    switch ((enum weft_json_kind)field->kind) {
    case WEFT_JSON_STR:
        weft_json_str(json, load_str(from));
        break;
    case WEFT_JSON_I64:
        weft_json_i64(json, load_i64(from, field->bytes));
        break;
    case WEFT_JSON_U64:
        weft_json_u64(json, load_u64(from, field->bytes));
        break;
    case WEFT_JSON_F64:
        memcpy(&real, from, sizeof(real));
        weft_json_f64(json, real);
        break;
    case WEFT_JSON_BOOL:
        weft_json_bool(json, *(const bool *)from);
        break;
    case WEFT_JSON_RAW:
        weft_json_raw(json, load_str(from));
        break;
    case WEFT_JSON_OBJECT:
        open_object(json, levels, field->object, from, WEFT_JSON_ALL);
        break;
    case WEFT_JSON_LIST:
        open_list(json, levels, field, from);
        break;
    }
}

/* Is there something to write? An optional text or list without a place was not there. */
static bool is_there(const weft_json_field *field, const char *object)
{
    if (WEFT_LIKELY(!field->optional))
        return true;
    if (field->has > 0)
        return *(const bool *)(object + field->has - 1);
    bool pointer = field->kind == WEFT_JSON_STR || field->kind == WEFT_JSON_RAW ||
                   field->kind == WEFT_JSON_LIST;
    return !pointer || load_str(object + field->offset).ptr != NULL;
}

/* Until the level ends, or one within it begins. */
static void put_members(weft_json *json, struct levels *levels, struct level *level)
{
    uint32_t depth = levels->depth;
    while (levels->depth == depth && level->at < level->count) {
        const weft_json_field *field = &level->desc->fields[level->at];
        bool wanted = level->fields >> level->at & 1;
        level->at++;
        if (!wanted || !is_there(field, level->from))
            continue;
        weft_json_key(json, weft_str_make(field->name_z, field->name_len));
        put_value(json, levels, field, level->from + field->offset);
    }
    if (levels->depth != depth)
        return;
    levels->depth--;
    weft_json_end_object(json);
}

static void put_items(weft_json *json, struct levels *levels, struct level *level)
{
    uint32_t depth = levels->depth;
    while (levels->depth == depth && level->at < level->count)
        put_value(json, levels, level->item, level->from + level->at++ * level->item_bytes);
    if (levels->depth != depth)
        return;
    levels->depth--;
    weft_json_end_array(json);
}

void weft_json_put_fields(weft_json *json, const weft_json_desc *desc, const void *object,
                          weft_json_fields fields)
{
    struct levels levels;
    levels.depth = 0;
    open_object(json, &levels, desc, object, fields);
    while (levels.depth > 0 && json->rc == 0) {
        struct level *level = &levels.at[levels.depth - 1];
        if (level->desc != NULL)
            put_members(json, &levels, level);
        else
            put_items(json, &levels, level);
    }
}

void weft_json_put(weft_json *json, const weft_json_desc *desc, const void *object)
{
    weft_json_put_fields(json, desc, object, WEFT_JSON_ALL);
}

/* ---- as an answer ---- */

/* What the struct's own members take if nothing has to be escaped, and a little for what is within.
 */
static size_t guess(const weft_json_desc *desc, const char *object)
{
    size_t bytes = 16;
    for (uint32_t i = 0; i < desc->field_count; i++) {
        const weft_json_field *field = &desc->fields[i];
        bytes += field->name_len + 16;
        if (field->kind == WEFT_JSON_STR || field->kind == WEFT_JSON_RAW)
            bytes += load_str(object + field->offset).len;
        else if (field->kind == WEFT_JSON_OBJECT || field->kind == WEFT_JSON_LIST)
            bytes += 128;
    }
    return bytes;
}

weft_rc(weft_json_reply)(weft_req *rq, int status, const weft_json_desc *desc, const void *object)
{
    return weft_json_reply(rq, status, desc, object);
}

weft_rc weft_json_reply_at(weft_req *rq, int status, const weft_json_desc *desc, const void *object,
                           struct weft_alloc_site *site)
{
    weft_json json;
    WEFT_TRY(weft_json_begin_growing_at(rq, &json, guess(desc, object), site));
    weft_json_put(&json, desc, object);
    return weft_json_send(rq, status, &json);
}
