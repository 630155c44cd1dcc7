/* params.c - see params.h. */
#include "http/params.h"
#include "base/str.h"
#include "http/parse_class.h"

static void skip(weft_str *rest, size_t bytes)
{
    rest->ptr += bytes;
    rest->len -= bytes;
}

static void skip_spaces(weft_str *rest)
{
    while (rest->len > 0 && (rest->ptr[0] == ' ' || rest->ptr[0] == '\t'))
        skip(rest, 1);
}

weft_str weft_params_first(weft_str *rest)
{
    const char *end = rest->len > 0 ? memchr(rest->ptr, ';', rest->len) : NULL;
    weft_str word = weft_str_make(rest->ptr, end ? (size_t)(end - rest->ptr) : rest->len);
    skip(rest, word.len);
    return weft_str_trim(word);
}

static weft_str take_token(weft_str *rest)
{
    size_t len = 0;
    while (len < rest->len && weft_byte_is(rest->ptr[len], WEFT_CLASS_TOKEN))
        len++;
    weft_str token = weft_str_make(rest->ptr, len);
    skip(rest, len);
    return token;
}

/* Behind the opening quote. */
static weft_rc take_quoted(weft_str *rest, weft_str *out)
{
    size_t len = 0;
    while (len < rest->len && rest->ptr[len] != '"') {
        bool escaped = rest->ptr[len] == '\\' && len + 1 < rest->len &&
                       (rest->ptr[len + 1] == '"' || rest->ptr[len + 1] == '\\');
        len += escaped ? 2 : 1;
    }
    if (len >= rest->len)
        return WEFT_ESYNTAX;
    *out = weft_str_make(rest->ptr, len);
    skip(rest, len + 1);
    return 0;
}

weft_rc weft_params_next(weft_str *rest, struct weft_param_pair *out)
{
    skip_spaces(rest);
    while (rest->len > 0 && rest->ptr[0] == ';') {
        skip(rest, 1);
        skip_spaces(rest);
    }
    if (rest->len == 0)
        return 0;
    struct weft_param_pair pair = {.name = take_token(rest)};
    if (pair.name.len == 0 || rest->len == 0 || rest->ptr[0] != '=')
        return WEFT_ESYNTAX;
    skip(rest, 1);
    pair.quoted = rest->len > 0 && rest->ptr[0] == '"';
    if (pair.quoted) {
        skip(rest, 1);
        WEFT_TRY(take_quoted(rest, &pair.value));
    } else {
        pair.value = take_token(rest);
        if (pair.value.len == 0)
            return WEFT_ESYNTAX;
    }
    skip_spaces(rest);
    if (rest->len > 0 && rest->ptr[0] != ';')
        return WEFT_ESYNTAX;
    *out = pair;
    return WEFT_NEXT;
}

size_t weft_params_unquote(char *to, weft_str value)
{
    size_t len = 0;
    for (size_t i = 0; i < value.len; i++) {
        bool escaped = value.ptr[i] == '\\' && i + 1 < value.len &&
                       (value.ptr[i + 1] == '"' || value.ptr[i + 1] == '\\');
        i += escaped;
        to[len++] = value.ptr[i];
    }
    return len;
}
