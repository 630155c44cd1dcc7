/* urlencoded.c - see urlencoded.h. */
#include "http/urlencoded.h"
#include "base/str.h"
#include "http/parse_class.h"

static weft_str cut(weft_str *rest, char at, bool *out_found)
{
    const char *end = rest->len > 0 ? memchr(rest->ptr, at, rest->len) : NULL;
    weft_str part = weft_str_make(rest->ptr, end != NULL ? (size_t)(end - rest->ptr) : rest->len);
    *out_found = end != NULL;
    rest->ptr += part.len + *out_found;
    rest->len -= part.len + *out_found;
    return part;
}

bool weft_urlencoded_next(weft_str *rest, weft_str *out_name, weft_str *out_value)
{
    bool found = false;
    weft_str pair = {0};
    while (pair.len == 0) {
        if (rest->len == 0)
            return false;
        pair = cut(rest, '&', &found);
    }
    *out_name = cut(&pair, '=', &found);
    *out_value = found ? pair : (weft_str){0};
    return true;
}

bool weft_urlencoded_plain(weft_str text)
{
    return text.len == 0 ||
           (memchr(text.ptr, '%', text.len) == NULL && memchr(text.ptr, '+', text.len) == NULL);
}

weft_rc weft_urlencoded_decode(char *to, weft_str text, size_t *out_len)
{
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i] == '+' ? ' ' : text.ptr[i];
        if (c == '%') {
            if (text.len - i < 3 || !weft_byte_is(text.ptr[i + 1], WEFT_CLASS_HEX) ||
                !weft_byte_is(text.ptr[i + 2], WEFT_CLASS_HEX))
                return WEFT_ESYNTAX;
            c = (char)(weft_hex_value(text.ptr[i + 1]) << 4 | weft_hex_value(text.ptr[i + 2]));
            i += 2;
        }
        to[len++] = c;
    }
    *out_len = len;
    return 0;
}
