/* cookie.c - see cookie.h. */
#include "http/cookie.h"
#include "base/str.h"
#include "http/parse_class.h"

/* What no attribute's value and name is longer than: "; Partitioned" and the like, all of them. */
#define ATTRIBUTE_NAMES_BYTES ((size_t)200)

bool weft_cookie_next(weft_str *rest, weft_str *out_name, weft_str *out_value)
{
    while (rest->len > 0) {
        const char *end = memchr(rest->ptr, ';', rest->len);
        weft_str pair =
            weft_str_make(rest->ptr, end != NULL ? (size_t)(end - rest->ptr) : rest->len);
        size_t step = pair.len + (end != NULL);
        *rest = weft_str_make(rest->ptr + step, rest->len - step);
        const char *equals = pair.len > 0 ? memchr(pair.ptr, '=', pair.len) : NULL;
        if (equals == NULL)
            continue;
        size_t name_len = (size_t)(equals - pair.ptr);
        weft_str name = weft_str_trim(weft_str_make(pair.ptr, name_len));
        if (name.len == 0)
            continue;
        *out_name = name;
        *out_value = weft_str_trim(weft_str_make(equals + 1, pair.len - name_len - 1));
        return true;
    }
    return false;
}

/* cookie-octet: no CTL, space, quote, comma, semicolon, backslash, nothing beyond ASCII. */
static bool is_value(weft_str value)
{
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];
        if (c < 0x21 || c > 0x7e || c == '"' || c == ',' || c == ';' || c == '\\')
            return false;
    }
    return true;
}

static bool is_token(weft_str name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!weft_byte_is(name.ptr[i], WEFT_CLASS_TOKEN))
            return false;
    return name.len > 0;
}

static weft_rc check_attribute(weft_str value)
{
    for (size_t i = 0; i < value.len; i++)
        if (value.ptr[i] < 0x20 || value.ptr[i] > 0x7e || value.ptr[i] == ';')
            return WEFT_EINVAL;
    return value.len > WEFT_COOKIE_ATTRIBUTE_BYTES_MAX ? WEFT_ELIMIT : 0;
}

static bool begins_with(weft_str name, weft_str prefix)
{
    return name.len >= prefix.len && weft_str_ieq(weft_str_make(name.ptr, prefix.len), prefix);
}

/* 6265bis 4.1.3: browsers drop what breaks its name's promise; here it is a mistake. */
static bool keeps_promise(weft_str name, const weft_cookie_opts *opts)
{
    if (begins_with(name, WEFT_S("__Host-")))
        return opts->secure && opts->domain.len == 0 &&
               (opts->path.len == 0 || weft_str_eq(opts->path, WEFT_S("/")));
    return !begins_with(name, WEFT_S("__Secure-")) || opts->secure;
}

weft_rc weft_cookie_check(weft_str name, weft_str value, size_t pair_bytes,
                          const weft_cookie_opts *opts)
{
    if (opts->size != sizeof(*opts) || !is_token(name) || !is_value(value))
        return WEFT_EINVAL;
    if ((unsigned)opts->same_site > WEFT_SAME_SITE_NONE)
        return WEFT_EINVAL;
    if (opts->path.len > 0 && opts->path.ptr[0] != '/')
        return WEFT_EINVAL;
    if ((opts->same_site == WEFT_SAME_SITE_NONE || opts->partitioned) && !opts->secure)
        return WEFT_EINVAL;
    if (!keeps_promise(name, opts))
        return WEFT_EINVAL;
    WEFT_TRY(check_attribute(opts->path));
    WEFT_TRY(check_attribute(opts->domain));
    return pair_bytes > WEFT_COOKIE_PAIR_BYTES_MAX ? WEFT_ELIMIT : 0;
}

size_t weft_cookie_attribute_bytes(const weft_cookie_opts *opts)
{
    return ATTRIBUTE_NAMES_BYTES + opts->path.len + opts->domain.len;
}

static char *put(char *to, weft_str text)
{
    if (text.len > 0)
        memcpy(to, text.ptr, text.len);
    return to + text.len;
}

static char *put_age(char *to, uint32_t max_age_s, bool drop)
{
    if (drop)
        return put(to, WEFT_S("; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"));
    if (max_age_s == 0)
        return to;
    to = put(to, WEFT_S("; Max-Age="));
    return to + weft_u64_to_text(to, max_age_s);
}

size_t weft_cookie_attributes(char *to, const weft_cookie_opts *opts, bool drop)
{
    static const weft_str same_site[] = {[WEFT_SAME_SITE_LAX] = WEFT_S("; SameSite=Lax"),
                                         [WEFT_SAME_SITE_STRICT] = WEFT_S("; SameSite=Strict"),
                                         [WEFT_SAME_SITE_NONE] = WEFT_S("; SameSite=None")};
    char *at = put(to, WEFT_S("; Path="));
    at = put(at, opts->path.len > 0 ? opts->path : WEFT_S("/"));
    if (opts->domain.len > 0)
        at = put(put(at, WEFT_S("; Domain=")), opts->domain);
    at = put_age(at, opts->max_age_s, drop);
    if (opts->secure)
        at = put(at, WEFT_S("; Secure"));
    if (!opts->for_scripts)
        at = put(at, WEFT_S("; HttpOnly"));
    at = put(at, same_site[opts->same_site]);
    if (opts->partitioned)
        at = put(at, WEFT_S("; Partitioned"));
    return (size_t)(at - to);
}
