/* json.c - see json.h. Strings are copied in runs, up to the next byte that needs care. */
#include "serve/json/json.h"
#include "base/real.h"
#include "base/str.h"
#include "serve/json/json_text.h"

#define REPLACEMENT WEFT_S("\xef\xbf\xbd") /* U+FFFD */

void weft_json_init(struct weft_json *json, char *to, size_t room)
{
    *json = (struct weft_json){.start = to, .at = to, .end = room > 0 ? to + room : to};
}

/* The first mistake is the one that is told. */
WEFT_COLD static void fail(struct weft_json *json, weft_rc rc)
{
    if (json->rc == 0)
        json->rc = rc;
}

/* Room for `bytes`, or for some of them: what more() cannot do is a mistake, and the end. */
WEFT_COLD static bool make_room(struct weft_json *json, size_t bytes)
{
    if (json->rc == 0 && json->more != NULL && json->more(json, bytes))
        return true;
    json->end = json->at; /* nothing more, not even what would fit */
    fail(json, WEFT_ELIMIT);
    return false;
}

/* What does not fit is put in parts, as room is made. */
WEFT_COLD static void put_in_parts(struct weft_json *json, const char *text, size_t len)
{
    while (len > 0) {
        if ((size_t)(json->end - json->at) < len && !make_room(json, len))
            return;
        size_t part = WEFT_MIN((size_t)(json->end - json->at), len);
        memcpy(json->at, text, part);
        json->at += part;
        text += part;
        len -= part;
    }
}

/* A loop in here would keep the compiler from making a store of a byte's copy. */
static inline void put(struct weft_json *json, const char *text, size_t len)
{
    if (WEFT_UNLIKELY((size_t)(json->end - json->at) < len)) {
        put_in_parts(json, text, len);
        return;
    }
    if (len > 0) /* text may be NULL */
        memcpy(json->at, text, len);
    json->at += len;
}

static bool in_array(const struct weft_json *json)
{
    return json->depth > 0 && (json->arrays >> (json->depth - 1) & 1);
}

/* Whether a value may stand here; the comma before it, if any. */
static bool begin_value(struct weft_json *json)
{
    if (json->rc != 0)
        return false;
    bool in_object = json->depth > 0 && !in_array(json);
    bool second_at_top = json->depth == 0 && json->need_comma;
    if (second_at_top || (in_object && !json->have_key)) {
        fail(json, WEFT_ESTATE);
        return false;
    }
    if (!in_object && json->need_comma)
        put(json, ",", 1);
    json->have_key = false;
    json->need_comma = true;
    return true;
}

static void put_value(struct weft_json *json, weft_str text)
{
    if (begin_value(json))
        put(json, text.ptr, text.len);
}

static void open_level(struct weft_json *json, bool array)
{
    if (!begin_value(json))
        return;
    if (json->depth == WEFT_JSON_DEPTH_MAX) {
        fail(json, WEFT_ESTATE);
        return;
    }
    uint64_t bit = UINT64_C(1) << json->depth;
    json->arrays = array ? json->arrays | bit : json->arrays & ~bit;
    json->depth++;
    json->need_comma = false;
    put(json, array ? "[" : "{", 1);
}

static void close_level(struct weft_json *json, bool array)
{
    if (json->rc != 0)
        return;
    if (json->depth == 0 || in_array(json) != array || json->have_key) {
        fail(json, WEFT_ESTATE);
        return;
    }
    json->depth--;
    json->need_comma = true;
    put(json, array ? "]" : "}", 1);
}

void weft_json_object(struct weft_json *json)
{
    open_level(json, false);
}

void weft_json_end_object(struct weft_json *json)
{
    close_level(json, false);
}

void weft_json_array(struct weft_json *json)
{
    open_level(json, true);
}

void weft_json_end_array(struct weft_json *json)
{
    close_level(json, true);
}

static void put_escape(struct weft_json *json, unsigned char c)
{
    switch (c) {
    case '"':
        put(json, "\\\"", 2);
        return;
    case '\\':
        put(json, "\\\\", 2);
        return;
    case '\n':
        put(json, "\\n", 2);
        return;
    case '\r':
        put(json, "\\r", 2);
        return;
    case '\t':
        put(json, "\\t", 2);
        return;
    default: {
        char text[6] = {'\\', 'u', '0', '0', (char)('0' + (c >> 4)), "0123456789abcdef"[c & 15]};
        put(json, text, sizeof(text));
        return;
    }
    }
}

static void put_string(struct weft_json *json, weft_str s)
{
    put(json, "\"", 1);
    while (s.len > 0 && json->rc == 0) {
        size_t run = weft_json_plain(s.ptr, s.len);
        put(json, s.ptr, run);
        s = weft_str_make(s.ptr + run, s.len - run);
        if (s.len == 0)
            break;
        size_t step = 1;
        if ((unsigned char)s.ptr[0] < 0x80) {
            put_escape(json, (unsigned char)s.ptr[0]);
        } else {
            bool good;
            step = weft_utf8_sequence(s.ptr, s.len, &good);
            weft_str text = good ? weft_str_make(s.ptr, step) : REPLACEMENT;
            put(json, text.ptr, text.len);
        }
        s = weft_str_make(s.ptr + step, s.len - step);
    }
    put(json, "\"", 1);
}

void weft_json_key(struct weft_json *json, weft_str name)
{
    if (json->rc != 0)
        return;
    if (json->depth == 0 || in_array(json) || json->have_key) {
        fail(json, WEFT_ESTATE);
        return;
    }
    if (json->need_comma)
        put(json, ",", 1);
    put_string(json, name);
    put(json, ":", 1);
    json->have_key = true;
}

void weft_json_str(struct weft_json *json, weft_str value)
{
    if (begin_value(json))
        put_string(json, value);
}

void weft_json_u64(struct weft_json *json, uint64_t value)
{
    char text[WEFT_U64_TEXT_BYTES];
    put_value(json, weft_str_make(text, weft_u64_to_text(text, value)));
}

void weft_json_i64(struct weft_json *json, int64_t value)
{
    char text[1 + WEFT_U64_TEXT_BYTES] = "-";
    uint64_t size = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    size_t len = weft_u64_to_text(text + 1, size);
    put_value(json, value < 0 ? weft_str_make(text, len + 1) : weft_str_make(text + 1, len));
}

void weft_json_f64(struct weft_json *json, double value)
{
    char text[WEFT_F64_TEXT_BYTES];
    if (__builtin_isfinite(value))
        put_value(json, weft_str_make(text, weft_f64_to_text(text, value)));
    else
        weft_json_null(json);
}

void weft_json_bool(struct weft_json *json, bool value)
{
    put_value(json, value ? WEFT_S("true") : WEFT_S("false"));
}

void weft_json_null(struct weft_json *json)
{
    put_value(json, WEFT_S("null"));
}

void weft_json_raw(struct weft_json *json, weft_str text)
{
    if (text.len == 0)
        fail(json, WEFT_ESTATE); /* no value */
    else
        put_value(json, text);
}

weft_rc weft_json_finish(struct weft_json *json, weft_str *out)
{
    bool complete = json->depth == 0 && json->need_comma;
    if (!complete)
        fail(json, WEFT_ESTATE); /* ELIMIT came first if both */
    if (json->rc != 0)
        return json->rc;
    *out = weft_str_make(json->start, (size_t)(json->at - json->start));
    return 0;
}
