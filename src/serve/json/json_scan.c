/* json_scan.c - see json_scan.h. */
#include "serve/json/json_scan.h"
#include "base/str.h"
#include "serve/json/json_text.h"

bool weft_json_wrong(struct weft_json_scan *scan, weft_rc rc, const char *error_z)
{
    if (scan->error_z == NULL) {
        scan->error_z = error_z;
        scan->rc = rc;
    }
    return false;
}

/* Not JSON: what is expected here, unless the text simply ends. */
WEFT_COLD static bool bad(struct weft_json_scan *scan, const char *error_z)
{
    return weft_json_wrong(scan, WEFT_ESYNTAX,
                           scan->at < scan->end ? error_z : "the text ends early");
}

/* ---- strings ---- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* The four digits behind \u, or -1. */
static int32_t hex4(const char *at, const char *end)
{
    if (end - at < 4)
        return -1;
    int32_t value = 0;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(at[i]);
        if (digit < 0)
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

static size_t put_utf8(char *to, uint32_t point)
{
    if (point < 0x80) {
        to[0] = (char)point;
        return 1;
    }
    if (point < 0x800) {
        to[0] = (char)(0xc0 | point >> 6);
        to[1] = (char)(0x80 | (point & 0x3f));
        return 2;
    }
    if (point < 0x10000) {
        to[0] = (char)(0xe0 | point >> 12);
        to[1] = (char)(0x80 | (point >> 6 & 0x3f));
        to[2] = (char)(0x80 | (point & 0x3f));
        return 3;
    }
    to[0] = (char)(0xf0 | point >> 18);
    to[1] = (char)(0x80 | (point >> 12 & 0x3f));
    to[2] = (char)(0x80 | (point >> 6 & 0x3f));
    to[3] = (char)(0x80 | (point & 0x3f));
    return 4;
}

/* The code point of \uXXXX, of two of them for one beyond 16 bits; `at` stands behind the u. */
static bool code_point(struct weft_json_scan *scan, uint32_t *out)
{
    int32_t high = hex4(scan->at, scan->end);
    if (high < 0)
        return bad(scan, "\\u needs four hex digits");
    scan->at += 4;
    *out = (uint32_t)high;
    if (high < 0xd800 || high > 0xdfff)
        return true;
    bool pair =
        high < 0xdc00 && scan->end - scan->at >= 6 && scan->at[0] == '\\' && scan->at[1] == 'u';
    int32_t low = pair ? hex4(scan->at + 2, scan->end) : -1;
    if (low < 0xdc00 || low > 0xdfff)
        return bad(scan, "half of a surrogate pair");
    scan->at += 6;
    *out = 0x10000 + ((uint32_t)(high - 0xd800) << 10) + (uint32_t)(low - 0xdc00);
    return true;
}

/* One escape; `at` stands on the backslash. At most 4 bytes go to `to`. */
static bool escape(struct weft_json_scan *scan, char *to, size_t *out_bytes)
{
    static const char meant[256] = {['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
                                    ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t'};
    if (++scan->at == scan->end)
        return bad(scan, "");
    char c = *scan->at;
    if (c == 'u') {
        uint32_t point = 0;
        scan->at++;
        if (!code_point(scan, &point))
            return false;
        *out_bytes = put_utf8(to, point);
        return true;
    }
    if (meant[(unsigned char)c] == 0)
        return bad(scan, "an unknown escape");
    scan->at++;
    *to = meant[(unsigned char)c];
    *out_bytes = 1;
    return true;
}

/* From the first byte that needs care to the closing quote.
 *  to       where decoded bytes go, at most where they are read; NULL: nothing is changed */
static bool string_rest(struct weft_json_scan *scan, char *to, size_t *out_bytes)
{
    char *start = to;
    weft_assert(scan->at != NULL);
    for (;;) {
        size_t run = weft_json_plain(scan->at, (size_t)(scan->end - scan->at));
        if (to != NULL && to != scan->at && run > 0)
            memmove(to, scan->at, run);
        to = to == NULL ? NULL : to + run;
        scan->at += run;
        if (scan->at == scan->end)
            return bad(scan, "");
        unsigned char c = (unsigned char)*scan->at;
        char bytes[4];
        size_t step = 0;
        if (c == '"')
            break;
        if (c == '\\') {
            if (!escape(scan, bytes, &step))
                return false;
        } else {
            bool good = false;
            if (c < 0x20)
                return bad(scan, "a control byte in a string");
            step = weft_utf8_sequence(scan->at, (size_t)(scan->end - scan->at), &good);
            if (!good)
                return bad(scan, "invalid UTF-8");
            memcpy(bytes, scan->at, step);
            scan->at += step;
        }
        if (to != NULL) {
            memcpy(to, bytes, step);
            to += step;
        }
    }
    scan->at++;
    *out_bytes = to == NULL ? 0 : (size_t)(to - start);
    return true;
}

bool weft_json_scan_string_rest(struct weft_json_scan *scan, const char *start, weft_str *out)
{
    size_t run = (size_t)(scan->at - start), more = 0;
    if (!string_rest(scan, (char *)(uintptr_t)scan->at, &more))
        return false;
    *out = weft_str_make(start, run + more);
    return true;
}

static bool skip_string(struct weft_json_scan *scan)
{
    size_t none = 0;
    scan->at++;
    return string_rest(scan, NULL, &none);
}

/* ---- numbers and words ---- */

static bool is_digit(const struct weft_json_scan *scan)
{
    return scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9';
}

static bool digits(struct weft_json_scan *scan)
{
    if (!is_digit(scan))
        return bad(scan, "a digit is expected");
    while (is_digit(scan))
        scan->at++;
    return true;
}

bool weft_json_scan_number(struct weft_json_scan *scan, weft_str *out, bool *out_whole)
{
    const char *start = scan->at;
    if (*scan->at == '-')
        scan->at++;
    const char *first = scan->at;
    if (!digits(scan))
        return false;
    if (*first == '0' && scan->at - first > 1) {
        scan->at = first;
        return bad(scan, "a number with a zero before it");
    }
    *out_whole = true;
    if (scan->at < scan->end && *scan->at == '.') {
        *out_whole = false;
        scan->at++;
        if (!digits(scan))
            return false;
    }
    if (scan->at < scan->end && (*scan->at | 0x20) == 'e') {
        *out_whole = false;
        scan->at++;
        if (scan->at < scan->end && (*scan->at == '+' || *scan->at == '-'))
            scan->at++;
        if (!digits(scan))
            return false;
    }
    *out = weft_str_make(start, (size_t)(scan->at - start));
    return true;
}

bool weft_json_scan_word(struct weft_json_scan *scan, weft_str word)
{
    size_t left = (size_t)(scan->end - scan->at);
    if (left < word.len || memcmp(scan->at, word.ptr, word.len) != 0)
        return weft_json_wrong(scan, WEFT_ESYNTAX, "a value is expected");
    scan->at += word.len;
    return true;
}

/* ---- values that nobody asked for ---- */

static bool skip_scalar(struct weft_json_scan *scan, char first)
{
    weft_str text;
    bool whole;
    switch (first) {
    case '"':
        return skip_string(scan);
    case 't':
        return weft_json_scan_word(scan, WEFT_S("true"));
    case 'f':
        return weft_json_scan_word(scan, WEFT_S("false"));
    case 'n':
        return weft_json_scan_word(scan, WEFT_S("null"));
    default:
        if (first != '-' && (first < '0' || first > '9'))
            return bad(scan, "a value is expected");
        return weft_json_scan_number(scan, &text, &whole);
    }
}

/* Behind a bracket or a comma: the name that a value in an object has. */
static bool skip_name(struct weft_json_scan *scan)
{
    if (weft_json_peek(scan) != '"')
        return bad(scan, "a name in quotes is expected");
    if (!skip_string(scan))
        return false;
    if (weft_json_peek(scan) != ':')
        return bad(scan, "a colon is expected");
    scan->at++;
    return true;
}

/* Behind a value: closes what ends here. `lists` has a bit for each level that is a list.
 *  returns  false after a mistake; *out_more: a comma, so another value follows */
static bool skip_ends(struct weft_json_scan *scan, uint64_t *lists, uint32_t *depth, bool *out_more)
{
    *out_more = false;
    while (*depth > 0) {
        bool list = *lists & 1;
        char c = weft_json_peek(scan);
        if (c != ',' && c != (list ? ']' : '}'))
            return bad(scan, list ? "a comma or ] is expected" : "a comma or } is expected");
        scan->at++;
        if (c == ',') {
            *out_more = true;
            return list || skip_name(scan);
        }
        *lists >>= 1;
        (*depth)--;
    }
    return true;
}

bool weft_json_skip(struct weft_json_scan *scan, uint32_t levels)
{
    uint64_t lists = 0;
    uint32_t depth = 0;
    bool more = true;
    while (more) {
        char c = weft_json_peek(scan);
        if (c == '{' || c == '[') {
            bool list = c == '[';
            if (depth == levels)
                return weft_json_wrong(scan, WEFT_ELIMIT, "too many levels");
            scan->at++;
            depth++;
            lists = lists << 1 | list;
            if (weft_json_peek(scan) != (list ? ']' : '}')) {
                if (!list && !skip_name(scan))
                    return false;
                continue;
            }
            scan->at++;
            lists >>= 1;
            depth--;
        } else if (!skip_scalar(scan, c)) {
            return false;
        }
        if (!skip_ends(scan, &lists, &depth, &more))
            return false;
    }
    return true;
}

/* From a quote to the closing one, or to the last byte of a text that has none. */
static void pass_string(struct weft_json_scan *look)
{
    while (look->end - look->at > 1) {
        look->at++;
        look->at += weft_json_plain(look->at, (size_t)(look->end - look->at - 1));
        if (*look->at == '"')
            return;
        look->at += *look->at == '\\' && look->end - look->at > 1;
    }
}

/* Commas on the first level, outside of strings; brackets of either kind are levels. */
uint64_t weft_json_count(const struct weft_json_scan *scan, uint64_t most)
{
    struct weft_json_scan look = {.at = scan->at, .end = scan->end};
    uint64_t count = 1;
    size_t depth = 1;
    for (; look.at < look.end && depth > 0 && count <= most; look.at++) {
        char c = *look.at;
        if (c == ',') {
            count += depth == 1;
        } else if (c == '[' || c == '{') {
            depth++;
        } else if (c == ']' || c == '}') {
            depth--;
        } else if (c == '"') {
            pass_string(&look);
        }
    }
    return count;
}
