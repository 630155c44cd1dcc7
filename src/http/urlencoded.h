/* urlencoded.h - names and values as queries and HTML forms have them: a=b&c=d%20e+f
 * (application/x-www-form-urlencoded, WHATWG URL 5.1).
 *
 * Lifetime: slices of what was given.
 * Threads:  any: pure functions.
 * Memory:   none.
 */
#ifndef WEFT_HTTP_URLENCODED_H
#define WEFT_HTTP_URLENCODED_H

#include "base/base.h"

/** The next pair, not decoded; what is empty between two '&' is passed over.
 *  rest       what has not been looked at
 *  out_value  ptr is NULL where there is no '='
 *  returns    false: no more */
bool weft_urlencoded_next(weft_str *rest, weft_str *out_name, weft_str *out_value);

/** Is nothing in it to decode? */
bool weft_urlencoded_plain(weft_str text);

/** Percent-decode; '+' is a space. Stricter than browsers: a '%' that no two hex digits follow is
 *  refused, where they would leave it as it is.
 *  to       room for text.len bytes; may be text.ptr itself
 *  returns  0; WEFT_ESYNTAX: *out_len is untouched, `to` holds anything */
WEFT_CHECK weft_rc weft_urlencoded_decode(char *to, weft_str text, size_t *out_len);

#endif
