/* query.c - parameters of the query, by the rules of HTML forms
 * (application/x-www-form-urlencoded). */
#include "http/message.h"
#include "http/urlencoded.h"

/* The raw value of the first parameter of that name. */
static bool find(weft_str query, weft_str name, weft_str *out)
{
    weft_str key = {0}, value = {0};
    while (weft_urlencoded_next(&query, &key, &value)) {
        if (!weft_str_eq(key, name))
            continue;
        *out = value.ptr != NULL ? value : WEFT_S("");
        return true;
    }
    return false;
}

weft_str weft_query_param(weft_req *rq, weft_str name)
{
    weft_str raw = {0};
    if (!find(weft_query(rq), name, &raw) || weft_urlencoded_plain(raw))
        return raw;
    char *text = weft_alloc(rq, raw.len);
    size_t len = 0;
    if (text == NULL || weft_urlencoded_decode(text, raw, &len) != 0)
        return WEFT_S("");
    return weft_str_make(text, len);
}

uint64_t weft_query_u64(weft_req *rq, weft_str name, uint64_t otherwise)
{
    uint64_t value = otherwise;
    weft_ignore(weft_str_to_u64(weft_query_param(rq, name), &value)); /* else it stays */
    return value;
}
