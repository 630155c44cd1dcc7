/* json_read.c - see json_read.h. Members mostly come in the order that the descriptor has them:
 * each name is compared with the field behind the last one before all are looked through. */
#include "serve/json/json_read.h"
#include "base/fmt.h"
#include "base/real.h"
#include "base/str.h"
#include "serve/json/json_scan.h"

#define LIST_FIRST 4 /* items that have room before a list is looked through */

/* What WEFT_LIST(type) is, whatever the type. */
struct list {
    void *at;
    size_t count;
};

/* An object or a list that was opened and not closed yet. */
struct level {
    const weft_json_field *field; /* of an object the one that is read, NULL: none; the list */
    char *out;                    /* the struct; the list's items */
    uint64_t seen;                /* of an object a bit per field, of a list the items begun */
    union {
        const weft_json_desc *desc; /* of the object */
        struct list *list;          /* where its place and count go when it ends */
    };
    union {
        uint32_t next; /* the field that is expected next */
        uint32_t room; /* of the list, in items */
    };
    uint32_t start; /* of the list, in the text */
    bool is_list;
    bool begun; /* behind the first member */
};

struct reader {
    struct weft_json_scan scan;
    const struct weft_json_memory *memory;
    weft_json_error *error;
    weft_str unknown; /* a member that no field names */
    uint32_t depth;
    struct level levels[WEFT_JSON_DEPTH_MAX];
};

/* ---- what was wrong ---- */

static size_t put_path(const struct reader *r, char *to, size_t room)
{
    size_t len = 0;
    for (uint32_t i = 0; i < r->depth && len < room; i++) {
        const struct level *level = &r->levels[i];
        const weft_json_field *field = level->field;
        if (level->is_list && level->seen > 0)
            len += weft_fmt(to + len, room - len, "[%llu]", (unsigned long long)level->seen - 1);
        else if (!level->is_list && field != NULL)
            len += weft_fmt(to + len, room - len, "%s%.*s", len > 0 ? "." : "",
                            (int)field->name_len, field->name_z);
    }
    if (r->unknown.ptr != NULL && len < room)
        len += weft_fmt(to + len, room - len, "%s%.*s", len > 0 ? "." : "",
                        (int)WEFT_MIN(r->unknown.len, room), r->unknown.ptr);
    return len;
}

static void tell(weft_json_error *error, weft_rc rc, const struct weft_json_scan *scan,
                 const char *text_z)
{
    size_t room = sizeof(error->text_z) - 1;
    error->rc = rc;
    error->offset = (size_t)(scan->at - scan->start);
    error->text_z[WEFT_MIN(weft_fmt(error->text_z, room, "%s", text_z), room)] = 0;
    error->path_z[0] = 0;
}

WEFT_COLD static bool fail(struct reader *r, weft_rc rc, const char *text_z)
{
    weft_json_error *error = r->error;
    size_t room = sizeof(error->path_z) - 1;
    tell(error, rc, &r->scan, text_z);
    size_t len = put_path(r, error->path_z, room);
    if (len > room) {
        memcpy(error->path_z + room - 3, "...", 3);
        len = room;
    }
    error->path_z[len] = 0;
    return false;
}

/* What the scanner found. */
WEFT_COLD static bool scan_failed(struct reader *r)
{
    return fail(r, r->scan.rc, r->scan.error_z);
}

WEFT_COLD static bool syntax(struct reader *r, const char *text_z)
{
    return fail(r, WEFT_ESYNTAX, r->scan.at < r->scan.end ? text_z : "the text ends early");
}

WEFT_COLD static bool wrong_kind(struct reader *r, const char *text_z)
{
    if (r->scan.at == r->scan.end)
        return syntax(r, text_z);
    return fail(r, WEFT_ERANGE, text_z);
}

/* `at` goes back to the value that is too small or too large. */
WEFT_COLD static bool out_of_bounds(struct reader *r, const weft_json_field *field, const char *at)
{
    char text[80];
    size_t len = 0;
    r->scan.at = at;
    switch ((enum weft_json_kind)field->kind) {
    case WEFT_JSON_I64:
        len = weft_fmt(text, sizeof(text) - 1, "must be %lld to %lld", (long long)field->min.i64,
                       (long long)field->max.i64);
        break;
    case WEFT_JSON_F64:
        len = weft_fmt(text, sizeof(text) - 1, "must be %g to %g", field->min.f64, field->max.f64);
        break;
    default:
        len = weft_fmt(text, sizeof(text) - 1, "must %s %llu to %llu%s",
                       field->kind == WEFT_JSON_LIST ? "have" : "be",
                       (unsigned long long)field->min.u64, (unsigned long long)field->max.u64,
                       field->kind == WEFT_JSON_U64    ? ""
                       : field->kind == WEFT_JSON_LIST ? " items"
                                                       : " bytes");
        break;
    }
    text[WEFT_MIN(len, sizeof(text) - 1)] = 0;
    return fail(r, WEFT_ERANGE, text);
}

/* ---- values ---- */

/* Word by word: as one copy of 16 bytes it would wait for the two stores that made it. */
static void store_str(char *to, weft_str text)
{
    weft_str *out = (weft_str *)(void *)to;
    out->ptr = text.ptr;
    out->len = text.len;
}

static bool read_str(struct reader *r, const weft_json_field *field, char *to)
{
    const char *start = r->scan.at;
    weft_str text;
    if (*start != '"')
        return wrong_kind(r, "must be a string");
    if (!weft_json_scan_string(&r->scan, &text))
        return scan_failed(r);
    if (text.len < field->min.u64 || text.len > field->max.u64)
        return out_of_bounds(r, field, start);
    store_str(to, text);
    return true;
}

/* A number that is no integer, or no number, or one beyond 64 bits. */
WEFT_COLD static bool no_integer(struct reader *r, const weft_json_field *field)
{
    const char *start = r->scan.at;
    bool whole = false;
    weft_str text;
    if (*start != '-' && (*start < '0' || *start > '9'))
        return wrong_kind(r, "must be an integer");
    if (!weft_json_scan_number(&r->scan, &text, &whole))
        return scan_failed(r);
    if (whole)
        return out_of_bounds(r, field, start);
    r->scan.at = start;
    return fail(r, WEFT_ERANGE, "must be an integer");
}

/* Digits, as far as 64 bits go: 19 of them always fit.
 *  returns  behind the last one; NULL: no integer, or one too long */
static inline const char *take_digits(const char *at, const char *end, uint64_t *out)
{
    const char *first = at;
    const char *sure = end - at > 19 ? at + 19 : end;
    uint64_t value = 0;
    unsigned digit = 0;
    while (at < sure && (digit = (unsigned)(unsigned char)*at - '0') <= 9) {
        value = value * 10 + digit;
        at++;
    }
    if (WEFT_UNLIKELY(at == sure && at < end &&
                      (digit = (unsigned)(unsigned char)*at - '0') <= 9)) {
        if (value > UINT64_MAX / 10 || value * 10 > UINT64_MAX - digit)
            return NULL;
        value = value * 10 + digit;
        at++;
        if (at < end && (unsigned)(unsigned char)*at - '0' <= 9)
            return NULL;
    }
    bool zeros = *first == '0' && at - first > 1;
    bool real = at < end && (*at == '.' || (*at | 0x20) == 'e');
    *out = value;
    return at == first || zeros || real ? NULL : at;
}

static void store(char *to, uint8_t bytes, uint64_t value)
{
    switch (bytes) {
    case 1:
        *(uint8_t *)to = (uint8_t)value;
        break;
    case 2: {
        uint16_t narrow = (uint16_t)value;
        memcpy(to, &narrow, sizeof(narrow));
        break;
    }
    case 4: {
        uint32_t narrow = (uint32_t)value;
        memcpy(to, &narrow, sizeof(narrow));
        break;
    }
    default:
        memcpy(to, &value, sizeof(value));
        break;
    }
}

static bool read_u64(struct reader *r, const weft_json_field *field, char *to)
{
    uint64_t value = 0;
    const char *at = r->scan.at, *end = r->scan.end;
    bool negative = *at == '-' && end - at > 1;
    const char *behind = take_digits(at + negative, end, &value);
    if (behind == NULL)
        return no_integer(r, field);
    r->scan.at = behind;
    if ((negative && value > 0) || value < field->min.u64 || value > field->max.u64)
        return out_of_bounds(r, field, at);
    store(to, field->bytes, value);
    return true;
}

static bool read_i64(struct reader *r, const weft_json_field *field, char *to)
{
    uint64_t size = 0;
    const char *at = r->scan.at, *end = r->scan.end;
    bool negative = *at == '-' && end - at > 1;
    const char *behind = take_digits(at + negative, end, &size);
    if (behind == NULL)
        return no_integer(r, field);
    r->scan.at = behind;
    bool fits = size <= (uint64_t)INT64_MAX + negative;
    int64_t value = (int64_t)(negative ? 0 - size : size);
    if (!fits || value < field->min.i64 || value > field->max.i64)
        return out_of_bounds(r, field, at);
    store(to, field->bytes, (uint64_t)value);
    return true;
}

/* Digits, a point and digits, without an exponent, few enough to be exact: in one go.
 *  returns  behind the last digit; NULL: another number, or none */
static const char *take_short_real(const char *at, const char *end, double *out)
{
    bool negative = *at == '-';
    const char *first = at + negative, *point = NULL;
    uint64_t digits = 0;
    at = first;
    if (end - at > 18)
        end = at +
              18; /* what comes so far cannot overflow; if it goes on there, it is no short one */
    for (; at < end; at++) {
        unsigned digit = (unsigned)(unsigned char)*at - '0';
        if (digit <= 9)
            digits = digits * 10 + digit;
        else if (*at == '.' && point == NULL)
            point = at;
        else
            break;
    }
    bool grammar = at > first && first != point && at - 1 != point &&
                   (*first != '0' || at - first == 1 || first + 1 == point);
    if (at == end || (*at | 0x20) == 'e' || *at == '.' || !grammar)
        return NULL;
    if (!weft_f64_from_digits(digits, point == NULL ? 0 : -(at - 1 - point), out))
        return NULL;
    *out = negative ? -*out : *out;
    return at;
}

/* Any number, at its own pace. */
static bool take_real(struct reader *r, const weft_json_field *field, double *out)
{
    const char *start = r->scan.at;
    bool whole;
    weft_str text;
    if (*start != '-' && (*start < '0' || *start > '9'))
        return wrong_kind(r, "must be a number");
    if (!weft_json_scan_number(&r->scan, &text, &whole))
        return scan_failed(r);
    return weft_f64_from_text(text, out) == 0 || out_of_bounds(r, field, start);
}

static bool read_f64(struct reader *r, const weft_json_field *field, char *to)
{
    const char *start = r->scan.at;
    double value = 0;
    const char *behind = take_short_real(start, r->scan.end, &value);
    if (WEFT_LIKELY(behind != NULL))
        r->scan.at = behind;
    else if (!take_real(r, field, &value))
        return false;
    if (value < field->min.f64 || value > field->max.f64)
        return out_of_bounds(r, field, start);
    memcpy(to, &value, sizeof(value));
    return true;
}

static bool read_bool(struct reader *r, char *to)
{
    char c = *r->scan.at;
    if (c != 't' && c != 'f')
        return wrong_kind(r, "must be true or false");
    if (!weft_json_scan_word(&r->scan, c == 't' ? WEFT_S("true") : WEFT_S("false")))
        return scan_failed(r);
    *(bool *)to = c == 't';
    return true;
}

static bool read_raw(struct reader *r, const weft_json_field *field, char *to)
{
    const char *start = r->scan.at;
    if (!weft_json_skip(&r->scan, WEFT_JSON_DEPTH_MAX - r->depth))
        return scan_failed(r);
    weft_str text = weft_str_make(start, (size_t)(r->scan.at - start));
    if (text.len > field->max.u64)
        return out_of_bounds(r, field, start);
    store_str(to, text);
    return true;
}

/* ---- levels ---- */

static struct level *open_level(struct reader *r)
{
    if (r->depth == WEFT_JSON_DEPTH_MAX) {
        (void)fail(r, WEFT_ELIMIT, "too many levels"); /* false, always */
        return NULL;
    }
    r->scan.at++; /* the bracket */
    return &r->levels[r->depth++];
}

static bool open_object(struct reader *r, const weft_json_desc *desc, char *to)
{
    if (*r->scan.at != '{')
        return wrong_kind(r, "must be an object");
    struct level *level = open_level(r);
    if (level == NULL)
        return false;
    memset(to, 0, desc->object_bytes);
    level->is_list = false;
    level->desc = desc;
    level->field = NULL;
    level->out = to;
    level->seen = 0;
    level->next = 0;
    level->begun = false;
    return true;
}

static bool open_list(struct reader *r, const weft_json_field *field, char *to)
{
    if (*r->scan.at != '[')
        return wrong_kind(r, "must be a list");
    struct level *level = open_level(r);
    if (level == NULL)
        return false;
    level->is_list = true;
    level->field = field;
    level->out = to; /* of an empty one: anything but NULL */
    level->list = (struct list *)(void *)to;
    level->start = (uint32_t)(r->scan.at - r->scan.start - 1);
    level->seen = 0;
    level->room = 0;
    return true;
}

/* Too few items, or one too many. */
WEFT_COLD static bool list_out_of_bounds(struct reader *r, struct level *level)
{
    level->seen = 0; /* the path is that of the list */
    return out_of_bounds(r, level->field, r->scan.start + level->start);
}

WEFT_COLD static bool list_too_long(struct reader *r, struct level *level)
{
    level->seen = 0;
    r->scan.at = r->scan.start + level->start;
    return fail(r, WEFT_ELIMIT, "is too long for the memory of its route");
}

/* Room for a few items without looking ahead; when they are used up, the others are counted, so
 * that memory is asked for once more and no further. `at` stands on an item. */
static bool more_items(struct reader *r, struct level *level)
{
    const weft_json_field *field = level->field;
    uint64_t room = WEFT_MIN(field->max.u64, (uint64_t)LIST_FIRST);
    if (level->seen == field->max.u64)
        return list_out_of_bounds(r, level);
    if (level->seen > 0) {
        uint64_t left = field->max.u64 - level->seen;
        uint64_t more = weft_json_count(&r->scan, left);
        if (more > left)
            return list_out_of_bounds(r, level);
        room = level->seen + more;
    }
    char *items = r->memory->alloc(r->memory->arg, (size_t)room * field->item_bytes);
    if (items == NULL)
        return list_too_long(r, level);
    if (level->seen > 0)
        memcpy(items, level->out, (size_t)level->seen * field->item_bytes);
    level->out = items;
    level->room = (uint32_t)room; /* no more than the text has bytes */
    return true;
}

/* A value; an object or a list is only opened. `at` stands on its first byte, or at the end. */
static bool read_value(struct reader *r, const weft_json_field *field, char *to)
{
    if (WEFT_UNLIKELY(r->scan.at == r->scan.end))
        return syntax(r, "");
    switch ((enum weft_json_kind)field->kind) {
    case WEFT_JSON_STR:
        return read_str(r, field, to);
    case WEFT_JSON_I64:
        return read_i64(r, field, to);
    case WEFT_JSON_U64:
        return read_u64(r, field, to);
    case WEFT_JSON_F64:
        return read_f64(r, field, to);
    case WEFT_JSON_BOOL:
        return read_bool(r, to);
    case WEFT_JSON_RAW:
        return read_raw(r, field, to);
    case WEFT_JSON_OBJECT:
        weft_assert(field->item_bytes == field->object->object_bytes); /* the right descriptor */
        return open_object(r, field->object, to);
    case WEFT_JSON_LIST:
        return open_list(r, field, to);
    }
    return fail(r, WEFT_ESTATE, "no such kind of field");
}

/* ---- objects ---- */

/* The same bytes; inline, because names are short. */
static bool is_name(const weft_json_field *field, weft_str name)
{
    if (field->name_len != name.len)
        return false;
    const char *a = field->name_z, *b = name.ptr;
    size_t len = name.len;
    if (len < 4) {
        for (size_t i = 0; i < len; i++)
            if (a[i] != b[i])
                return false;
        return true;
    }
    if (len < 8) { /* two words of four that overlap */
        uint32_t first_a, first_b, last_a, last_b;
        memcpy(&first_a, a, 4);
        memcpy(&first_b, b, 4);
        memcpy(&last_a, a + len - 4, 4);
        memcpy(&last_b, b + len - 4, 4);
        return first_a == first_b && last_a == last_b;
    }
    uint64_t x, y;
    for (size_t i = 0; i + 8 <= len; i += 8) {
        memcpy(&x, a + i, 8);
        memcpy(&y, b + i, 8);
        if (x != y)
            return false;
    }
    memcpy(&x, a + len - 8, 8);
    memcpy(&y, b + len - 8, 8);
    return x == y;
}

/* returns  the field's index; field_count: there is none */
static uint32_t find_field(const struct level *level, weft_str name)
{
    const weft_json_desc *desc = level->desc;
    if (level->next < desc->field_count && is_name(&desc->fields[level->next], name))
        return level->next;
    uint32_t i = 0;
    while (i < desc->field_count && !is_name(&desc->fields[i], name))
        i++;
    return i;
}

static bool skip_unknown(struct reader *r, const struct level *level, weft_str name)
{
    if (level->desc->closed) {
        r->unknown = name;
        r->scan.at = name.ptr - 1;
        return fail(r, WEFT_ERANGE, "is not a field");
    }
    (void)weft_json_peek(&r->scan); /* to the value */
    return weft_json_skip(&r->scan, WEFT_JSON_DEPTH_MAX - r->depth) || scan_failed(r);
}

/* Behind its name and colon. */
static bool read_field(struct reader *r, struct level *level, uint32_t index)
{
    const weft_json_field *field = &level->desc->fields[index];
    uint64_t bit = UINT64_C(1) << index;
    level->field = field;
    level->next = index + 1;
    if (level->seen & bit)
        return fail(r, WEFT_ERANGE, "is given twice");
    level->seen |= bit;
    char c = weft_json_peek(&r->scan);
    if (c == 'n' && field->optional)
        return weft_json_scan_word(&r->scan, WEFT_S("null")) || scan_failed(r);
    if (field->has > 0)
        *(bool *)(level->out + field->has - 1) = true;
    return read_value(r, field, level->out + field->offset);
}

/* `at` stands on a name. Is it, without escapes or spaces behind it, the field that is expected?
 * Then it is passed by, colon included. */
static bool pass_expected(struct reader *r, const struct level *level)
{
    if (level->next >= level->desc->field_count)
        return false;
    const weft_json_field *field = &level->desc->fields[level->next];
    const char *name = r->scan.at + 1;
    size_t len = field->name_len;
    if (field->named || (size_t)(r->scan.end - name) < len + 2)
        return false; /* a given name may hold what has to be escaped */
    if (name[len] != '"' || name[len + 1] != ':' || !is_name(field, weft_str_make(name, len)))
        return false;
    r->scan.at = name + len + 2;
    return true;
}

static bool read_member(struct reader *r, struct level *level)
{
    weft_str name;
    if (r->scan.at == r->scan.end || *r->scan.at != '"')
        return syntax(r, "a name in quotes is expected");
    if (WEFT_LIKELY(pass_expected(r, level)))
        return read_field(r, level, level->next);
    if (!weft_json_scan_string(&r->scan, &name))
        return scan_failed(r);
    if (weft_json_peek(&r->scan) != ':')
        return syntax(r, "a colon is expected");
    r->scan.at++;
    uint32_t index = find_field(level, name);
    if (WEFT_UNLIKELY(index == level->desc->field_count))
        return skip_unknown(r, level, name);
    return read_field(r, level, index);
}

static bool close_object(struct reader *r, struct level *level)
{
    const weft_json_desc *desc = level->desc;
    uint64_t all = UINT64_MAX >> (64 - desc->field_count);
    for (uint64_t left = all & ~level->seen; left != 0; left &= left - 1) {
        const weft_json_field *field = &desc->fields[__builtin_ctzll(left)];
        if (field->optional)
            continue;
        level->field = field;
        return fail(r, WEFT_ERANGE, "is missing");
    }
    r->scan.at++;
    r->depth--;
    return true;
}

/* Until the object ends, or something in it was opened. */
static bool read_members(struct reader *r, struct level *level)
{
    uint32_t depth = r->depth;
    while (r->depth == depth) {
        level->field = NULL;
        char c = weft_json_peek(&r->scan);
        if (c == '}')
            return close_object(r, level);
        if (level->begun) {
            if (c != ',')
                return syntax(r, "a comma or } is expected");
            r->scan.at++;
            (void)weft_json_peek(&r->scan); /* to the name; anything else is not one */
        }
        level->begun = true;
        if (!read_member(r, level))
            return false;
    }
    return true;
}

/* ---- lists ---- */

static bool close_list(struct reader *r, struct level *level)
{
    if (level->seen < level->field->min.u64)
        return list_out_of_bounds(r, level);
    level->list->at = level->out;
    level->list->count = level->seen;
    r->scan.at++;
    r->depth--;
    return true;
}

/* Until the list ends, or an item was opened. */
static bool read_items(struct reader *r, struct level *level)
{
    const weft_json_field *list = level->field;
    uint32_t depth = r->depth;
    while (r->depth == depth) {
        char c = weft_json_peek(&r->scan);
        if (c == ']')
            return close_list(r, level);
        if (level->seen > 0) {
            if (c != ',')
                return syntax(r, "a comma or ] is expected");
            r->scan.at++;
            (void)weft_json_peek(&r->scan); /* to the value */
        }
        if (level->seen == level->room && !more_items(r, level))
            return false;
        char *to = level->out + level->seen++ * list->item_bytes;
        if (!read_value(r, list->item, to))
            return false;
    }
    return true;
}

weft_rc weft_json_parse(char *text, size_t len, const weft_json_desc *desc, void *out,
                        const struct weft_json_memory *memory, weft_json_error *error)
{
    weft_assert(desc->size == sizeof(*desc));
    weft_assert(len <= UINT32_MAX);
    struct reader r;
    r.scan = (struct weft_json_scan){.start = text, .at = text, .end = text + len};
    r.memory = memory;
    r.error = error;
    r.unknown = (weft_str){0};
    r.depth = 0;
    bool good = weft_json_peek(&r.scan) != 0 || r.scan.at < r.scan.end ? open_object(&r, desc, out)
                                                                       : syntax(&r, "");
    while (good && r.depth > 0) {
        struct level *level = &r.levels[r.depth - 1];
        good = level->is_list ? read_items(&r, level) : read_members(&r, level);
    }
    if (good && (weft_json_peek(&r.scan) != 0 || r.scan.at < r.scan.end))
        good = syntax(&r, "something behind the value");
    return good ? 0 : error->rc;
}

weft_rc weft_json_check(weft_str text, weft_json_error *error)
{
    struct weft_json_scan scan = {.start = text.ptr, .at = text.ptr, .end = text.ptr + text.len};
    (void)weft_json_peek(&scan); /* to the value */
    bool good = weft_json_skip(&scan, WEFT_JSON_DEPTH_MAX);
    (void)weft_json_peek(&scan); /* to the end */
    if (good && scan.at < scan.end)
        good = weft_json_wrong(&scan, WEFT_ESYNTAX, "something behind the value");
    if (good)
        return 0;
    tell(error, scan.rc, &scan, scan.error_z);
    return scan.rc;
}
