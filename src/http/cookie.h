/* cookie.h - the syntax of cookies: Cookie's value to pairs, and a Set-Cookie from its parts (RFC
 * 6265bis 4).
 *
 * Lifetime: slices of what was given.
 * Threads:  any: pure functions.
 * Memory:   the caller's.
 */
#ifndef WEFT_HTTP_COOKIE_H
#define WEFT_HTTP_COOKIE_H

#include <weft/cookie.h>
#include "base/base.h"

#define WEFT_COOKIE_PAIR_BYTES_MAX      ((size_t)4096) /* 6265bis 5.6: more is ignored */
#define WEFT_COOKIE_ATTRIBUTE_BYTES_MAX ((size_t)1024)

/** The next pair of a Cookie header's value. What has no '=' or no name is passed over: a name is
 *  what one asks for.
 *  rest     what has not been looked at
 *  returns  false: no more */
bool weft_cookie_next(weft_str *rest, weft_str *out_name, weft_str *out_value);

/** May these be set so? pair_bytes: of name and value as they are sent.
 *  returns  0, WEFT_EINVAL, WEFT_ELIMIT: as weft_set_cookie() */
WEFT_CHECK weft_rc weft_cookie_check(weft_str name, weft_str value, size_t pair_bytes,
                                     const weft_cookie_opts *opts);

/** Bytes that the attributes take at most. */
size_t weft_cookie_attribute_bytes(const weft_cookie_opts *opts);

/** "; Path=/; HttpOnly; ..." of checked options, at `to`.
 *  drop     an age that is over, instead of opts->max_age_s
 *  returns  bytes written */
size_t weft_cookie_attributes(char *to, const weft_cookie_opts *opts, bool drop);

#endif
