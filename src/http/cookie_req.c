/* cookie_req.c - cookies of a request, and of its answer. */
#include "http/cookie.h"
#include "http/cookie_keys.h"
#include "http/service.h"

#define SIGNED_TRIED_MAX 8 /* of one name: more is somebody who wants us to work */
#define SIGNED_BYTES     (1 + WEFT_U64_TEXT_BYTES + 1 + WEFT_COOKIE_MAC_BYTES)

/* A walk over all pairs of all Cookie lines: HTTP/1.1 sends one, HTTP/2 may send more. */
struct walk {
    const weft_req *rq;
    size_t line; /* the next one */
    weft_str rest;
};

static bool walk_next(struct walk *walk, weft_str name, weft_str *out_value)
{
    for (;;) {
        weft_str found = {0};
        while (weft_cookie_next(&walk->rest, &found, out_value))
            if (weft_str_eq(found, name))
                return true;
        do {
            if (walk->line == weft_header_count(walk->rq))
                return false;
            weft_header_at(walk->rq, walk->line++, &found, &walk->rest);
        } while (!weft_str_ieq(found, WEFT_S("cookie")));
    }
}

weft_str weft_cookie(const weft_req *rq, weft_str name)
{
    struct walk walk = {.rq = rq};
    weft_str value = {0};
    return walk_next(&walk, name, &value) ? value : (weft_str){0};
}

weft_str weft_signed_cookie(weft_req *rq, weft_str name)
{
    const struct weft_cookie_keys *keys = rq->service->site->cookie_keys;
    struct walk walk = {.rq = rq};
    weft_str sent = {0}, value = {0};
    if (keys == NULL)
        return (weft_str){0};
    for (int tried = 0; tried < SIGNED_TRIED_MAX && walk_next(&walk, name, &sent); tried++) {
        if (weft_cookie_keys_open(keys, name, sent, weft_now_s(rq), &value) == 0)
            return value;
        weft_loop_count(rq->loop, WEFT_COUNTER_COOKIE_BAD);
    }
    return (weft_str){0};
}

static char *put(char *to, weft_str text)
{
    if (text.len > 0)
        memcpy(to, text.ptr, text.len);
    return to + text.len;
}

/* ".until.signature" behind a value. */
static char *put_signature(char *to, const weft_req *rq, weft_str name, weft_str value,
                           uint32_t max_age_s)
{
    char digits[WEFT_U64_TEXT_BYTES];
    uint64_t until_s = max_age_s > 0 ? weft_now_s(rq) + max_age_s : 0;
    weft_str until = weft_str_make(digits, weft_u64_to_text(digits, until_s));
    to = put(put(put(to, WEFT_S(".")), until), WEFT_S("."));
    weft_cookie_keys_sign(rq->service->site->cookie_keys, name, value, until, to);
    return to + WEFT_COOKIE_MAC_BYTES;
}

static weft_rc set(weft_req *rq, weft_str name, weft_str value, const weft_cookie_opts *opts,
                   bool drop)
{
    static const weft_cookie_opts none = {.size = sizeof(none)};
    opts = opts != NULL ? opts : &none;
    bool sign = opts->sign && !drop;
    size_t pair_bytes = name.len + value.len + (sign ? SIGNED_BYTES : 0);
    WEFT_TRY(weft_cookie_check(name, value, pair_bytes, opts));
    if (sign && rq->service->site->cookie_keys == NULL)
        return WEFT_ECONFIG;
    char *text = weft_alloc(rq, 1 + pair_bytes + weft_cookie_attribute_bytes(opts));
    if (text == NULL)
        return WEFT_ENOMEM;
    char *at = put(put(put(text, name), WEFT_S("=")), value);
    if (sign)
        at = put_signature(at, rq, name, value, opts->max_age_s);
    at += weft_cookie_attributes(at, opts, drop);
    return weft_set_header(rq, WEFT_S("Set-Cookie"), weft_str_make(text, (size_t)(at - text)));
}

weft_rc weft_set_cookie(weft_req *rq, weft_str name, weft_str value, const weft_cookie_opts *opts)
{
    return set(rq, name, value, opts, false);
}

weft_rc weft_drop_cookie(weft_req *rq, weft_str name, const weft_cookie_opts *opts)
{
    return set(rq, name, (weft_str){0}, opts, true);
}
