/* method.h - request methods: a number for those of RFC 9110 9 and RFC 5789, a name for the rest.
 *
 * Lifetime: none; names are static.
 * Threads:  any: pure functions.
 * Memory:   none.
 */
#ifndef WEFT_HTTP_METHOD_H
#define WEFT_HTTP_METHOD_H

#include "base/str.h"

enum weft_method {
    WEFT_GET,
    WEFT_HEAD,
    WEFT_POST,
    WEFT_PUT,
    WEFT_DELETE,
    WEFT_PATCH,
    WEFT_OPTIONS,
    WEFT_CONNECT,
    WEFT_TRACE,
    WEFT_METHOD_OTHER, /* any other token: its name tells which */
};

/** The name on the wire; empty for WEFT_METHOD_OTHER. Static. */
static inline weft_str weft_method_name(enum weft_method method)
{
    static const weft_str names[] = {
        WEFT_S("GET"),   WEFT_S("HEAD"),    WEFT_S("POST"),    WEFT_S("PUT"),   WEFT_S("DELETE"),
        WEFT_S("PATCH"), WEFT_S("OPTIONS"), WEFT_S("CONNECT"), WEFT_S("TRACE"), WEFT_S(""),
    };
    return names[method <= WEFT_METHOD_OTHER ? method : WEFT_METHOD_OTHER];
}

/** The number of a name; names are case-sensitive (RFC 9110 9.1), so "get" is WEFT_METHOD_OTHER. */
static inline enum weft_method weft_method_from(weft_str name)
{
    if (name.len == 3 && memcmp(name.ptr, "GET", 3) == 0) /* most requests */
        return WEFT_GET;
    for (enum weft_method method = WEFT_HEAD; method < WEFT_METHOD_OTHER; method++)
        if (weft_str_eq(name, weft_method_name(method)))
            return method;
    return WEFT_METHOD_OTHER;
}

#endif
