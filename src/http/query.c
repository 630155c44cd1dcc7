/* query.c - parameters of the query, by the rules of HTML forms
 * (application/x-www-form-urlencoded). */
#include "http/message.h"

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Decodes in to `to` (room text.len); false: a bad escape. */
static bool decode(weft_str text, char *to, size_t *out_len)
{
    size_t at = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i] == '+' ? ' ' : text.ptr[i];
        if (c == '%') {
            int high = text.len - i > 2 ? hex_value(text.ptr[i + 1]) : -1;
            int low = text.len - i > 2 ? hex_value(text.ptr[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (char)(high << 4 | low);
            i += 2;
        }
        to[at++] = c;
    }
    *out_len = at;
    return true;
}

static bool is_plain(weft_str text)
{
    return text.len == 0 ||
           (memchr(text.ptr, '%', text.len) == NULL && memchr(text.ptr, '+', text.len) == NULL);
}

/* The raw value of the first parameter of that name. */
static bool find(weft_str query, weft_str name, weft_str *out)
{
    while (query.len > 0) {
        const char *amp = memchr(query.ptr, '&', query.len);
        weft_str pair = weft_str_make(query.ptr, amp ? (size_t)(amp - query.ptr) : query.len);
        const char *equals = pair.len > 0 ? memchr(pair.ptr, '=', pair.len) : NULL;
        weft_str key = weft_str_make(pair.ptr, equals ? (size_t)(equals - pair.ptr) : pair.len);
        if (weft_str_eq(key, name)) {
            *out = equals ? weft_str_make(equals + 1, pair.len - key.len - 1) : WEFT_S("");
            return true;
        }
        size_t step = pair.len + (amp != NULL);
        query = weft_str_make(query.ptr + step, query.len - step);
    }
    return false;
}

weft_str weft_query_param(weft_req *rq, weft_str name)
{
    weft_str raw = {0};
    if (!find(weft_query(rq), name, &raw) || is_plain(raw))
        return raw;
    char *text = weft_alloc(rq, raw.len);
    size_t len = 0;
    if (text == NULL || !decode(raw, text, &len))
        return WEFT_S("");
    return weft_str_make(text, len);
}

uint64_t weft_query_u64(weft_req *rq, weft_str name, uint64_t otherwise)
{
    uint64_t value = otherwise;
    weft_ignore(weft_str_to_u64(weft_query_param(rq, name), &value)); /* else it stays */
    return value;
}
