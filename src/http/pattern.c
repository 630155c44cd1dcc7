/* pattern.c - see pattern.h. One pass from left to right, a function for each way a part begins. */
#include "http/pattern.h"
#include <stdarg.h>
#include <stdio.h>

struct cursor {
    weft_str text;
    size_t at;
    struct weft_parts *parts;
    uint32_t param_count;
    char *error;
    size_t error_bytes;
};

WEFT_PRINTF(3, 4)
WEFT_COLD static weft_rc wrong(struct cursor *c, size_t at, const char *fmt, ...)
{
    int len =
        snprintf(c->error, c->error_bytes,
                 "route '%.*s', byte %zu: ", (int)WEFT_MIN(c->text.len, 200u), c->text.ptr, at + 1);
    if (len > 0 && (size_t)len < c->error_bytes) {
        va_list args;
        va_start(args, fmt);
        (void)vsnprintf(c->error + len, c->error_bytes - (size_t)len, fmt, args); /* cut is fine */
        va_end(args);
    }
    return WEFT_ESYNTAX;
}

static bool is_name_byte(char b)
{
    return (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || (b >= '0' && b <= '9') || b == '_' ||
           b == '-';
}

static size_t name_end(weft_str text, size_t at)
{
    while (at < text.len && is_name_byte(text.ptr[at]))
        at++;
    return at;
}

static weft_str cut(const struct cursor *c, size_t from, size_t to)
{
    return weft_str_make(c->text.ptr + from, to - from);
}

static weft_rc add_param(struct cursor *c, size_t at, enum weft_part_kind kind, weft_str name,
                         weft_str text)
{
    if (name.len == 0)
        return wrong(c, at, "a parameter needs a name (letters, digits, '_' and '-')");
    if (c->param_count == WEFT_PARAMS_MAX)
        return wrong(c, at, "more than %d parameters", WEFT_PARAMS_MAX);
    for (uint32_t i = 0; i < c->parts->count; i++)
        if (weft_str_eq(c->parts->at[i].name, name))
            return wrong(c, at, "the name '%.*s' is used twice", (int)name.len, name.ptr);
    c->param_count++;
    c->parts->at[c->parts->count++] = (struct weft_part){.kind = kind, .text = text, .name = name};
    return 0;
}

/* From the '[' of a class to its ']': a ']' that comes first is itself, as in "[]a]" and "[^]a]".
 */
static size_t class_end(weft_str text, size_t open)
{
    size_t i = open + 1;
    if (i < text.len && text.ptr[i] == '^')
        i++;
    for (size_t first = i; i < text.len; i++) {
        if (text.ptr[i] == '\\')
            i++;
        else if (text.ptr[i] == ']' && i > first)
            break;
    }
    return i;
}

/* Where the '}' is that closes the '{' at `open`: regular expressions hold braces of their own,
 * escaped, in classes or as counts. Returns text.len when there is none. */
static size_t closing_brace(weft_str text, size_t open)
{
    uint32_t depth = 0;
    for (size_t i = open; i < text.len; i++) {
        char b = text.ptr[i];
        if (b == '\\')
            i++;
        else if (b == '[')
            i = class_end(text, i);
        else if (b == '{')
            depth++;
        else if (b == '}' && --depth == 0)
            return i;
    }
    return text.len;
}

static bool is_one_of(weft_str s, const weft_str *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (weft_str_eq(s, list[i]))
            return true;
    return false;
}

/* What stands behind the colon of {name:type}; `last` when it ends the pattern. */
static weft_rc kind_of(struct cursor *c, size_t at, weft_str type, bool last,
                       enum weft_part_kind *out)
{
    const weft_str rest[] = {WEFT_S(".*"), WEFT_S("^.*"), WEFT_S(".*$"), WEFT_S("^.*$")};
    const weft_str some[] = {WEFT_S(".+"), WEFT_S("^.+"), WEFT_S(".+$"), WEFT_S("^.+$")};
    if (type.len == 0)
        return wrong(c, at, "a type or a regular expression belongs behind ':'");
    if (weft_str_eq(type, WEFT_S("u64")))
        *out = WEFT_PART_U64;
    else if (weft_str_eq(type, WEFT_S("i64")))
        *out = WEFT_PART_I64;
    else if (name_end(type, 0) == type.len)
        return wrong(c, at,
                     "unknown type '%.*s' (known: u64, i64; a regular expression that is one "
                     "plain word goes in parentheses)",
                     (int)type.len, type.ptr);
    else if (last && is_one_of(type, rest, WEFT_COUNT_OF(rest)))
        *out = WEFT_PART_REST;
    else if (last && is_one_of(type, some, WEFT_COUNT_OF(some)))
        *out = WEFT_PART_REST_SOME;
    else
        *out = last ? WEFT_PART_REGEX_END : WEFT_PART_REGEX;
    return 0;
}

/* A parameter that does not end its segment would have to guess where it stops. */
static weft_rc check_end(struct cursor *c)
{
    if (c->at < c->text.len && c->text.ptr[c->at] != '/')
        return wrong(c, c->at, "a parameter ends its segment: '/' or nothing may follow");
    return 0;
}

static weft_rc parse_braces(struct cursor *c)
{
    size_t open = c->at;
    size_t close = closing_brace(c->text, open);
    if (close == c->text.len)
        return wrong(c, open, "this '{' is never closed");
    size_t colon = name_end(c->text, open + 1);
    weft_str name = cut(c, open + 1, colon);
    enum weft_part_kind kind = WEFT_PART_SEGMENT;
    weft_str type = WEFT_S("");
    if (colon != close) {
        if (c->text.ptr[colon] != ':')
            return wrong(c, colon, "not allowed in the name of a parameter");
        type = cut(c, colon + 1, close);
        WEFT_TRY(kind_of(c, colon + 1, type, close + 1 == c->text.len, &kind));
    }
    WEFT_TRY(add_param(c, open + 1, kind, name, type));
    c->at = close + 1;
    return check_end(c);
}

static weft_rc parse_colon(struct cursor *c)
{
    size_t end = name_end(c->text, c->at + 1);
    WEFT_TRY(add_param(c, c->at + 1, WEFT_PART_SEGMENT, cut(c, c->at + 1, end), WEFT_S("")));
    c->at = end;
    return check_end(c);
}

static weft_rc parse_star(struct cursor *c, bool segment_starts)
{
    size_t end = segment_starts ? name_end(c->text, c->at + 1) : c->at + 1;
    if (end != c->text.len)
        return wrong(c, c->at, "'*' takes the rest of the path: nothing may follow it");
    weft_str name = end > c->at + 1 ? cut(c, c->at + 1, end) : WEFT_S("*");
    WEFT_TRY(add_param(c, c->at, WEFT_PART_WILDCARD, name, WEFT_S("")));
    c->at = end;
    return 0;
}

static weft_rc parse_text(struct cursor *c)
{
    size_t from = c->at;
    for (; c->at < c->text.len; c->at++) {
        char b = c->text.ptr[c->at];
        if (b == '{' || b == '*')
            break;
        if (b == ':' && c->at > 0 && c->text.ptr[c->at - 1] == '/')
            break; /* elsewhere in a segment a colon is a colon */
        if (b == '}')
            return wrong(c, c->at, "this '}' was never opened");
        if ((unsigned char)b < 0x20 || b == 0x7f)
            return wrong(c, c->at, "control byte 0x%02x", (unsigned)b);
    }
    if (c->at > from)
        c->parts->at[c->parts->count++] =
            (struct weft_part){.kind = WEFT_PART_TEXT, .text = cut(c, from, c->at)};
    return 0;
}

weft_rc weft_pattern_parse(weft_str text, struct weft_parts *out, char *error, size_t error_bytes)
{
    if (weft_str_eq(text, WEFT_S("*")))
        text = WEFT_S("/*");
    struct cursor c = {.text = text, .parts = out, .error = error, .error_bytes = error_bytes};
    out->count = 0;
    if (text.len == 0 || text.ptr[0] != '/')
        return wrong(&c, 0, "a route starts with '/' (or is \"*\")");
    if (text.len > WEFT_PATTERN_BYTES_MAX)
        return wrong(&c, WEFT_PATTERN_BYTES_MAX, "longer than %d bytes", WEFT_PATTERN_BYTES_MAX);
    while (c.at < text.len) {
        char b = text.ptr[c.at];
        bool segment_starts = c.at > 0 && text.ptr[c.at - 1] == '/';
        if (b == '{')
            WEFT_TRY(parse_braces(&c));
        else if (b == '*')
            WEFT_TRY(parse_star(&c, segment_starts));
        else if (b == ':' && segment_starts)
            WEFT_TRY(parse_colon(&c));
        else
            WEFT_TRY(parse_text(&c));
    }
    return 0;
}

void weft_pattern_init(struct weft_pattern *pattern, weft_str text, struct weft_parts *out)
{
    char *copy = (char *)(pattern + 1);
    memcpy(copy, text.ptr, text.len);
    *pattern = (struct weft_pattern){.text = weft_str_make(copy, text.len)};
    char error[1];
    weft_rc rc = weft_pattern_parse(pattern->text, out, error, sizeof(error));
    weft_assert(rc == 0);
    for (uint32_t i = 0; i < out->count; i++)
        if (out->at[i].kind != WEFT_PART_TEXT)
            pattern->names[pattern->param_count++] = out->at[i].name;
}

int weft_pattern_param(const struct weft_pattern *pattern, weft_str name)
{
    for (int i = 0; i < pattern->param_count; i++)
        if (weft_str_eq(pattern->names[i], name))
            return i;
    return -1;
}
