/* params.h - what stands behind the first word of a header's value: type/subtype; name=value;
 * name="quoted value" (RFC 9110 5.6.6), as in Content-Type and Content-Disposition.
 *
 * Lifetime: slices of what was given.
 * Threads:  any: pure functions.
 * Memory:   none.
 */
#ifndef WEFT_HTTP_PARAMS_H
#define WEFT_HTTP_PARAMS_H

#include "base/base.h"

/** Cut the first word off: up to the first ';', without the spaces around it.
 *  rest     in: the whole value; out: the parameters, for weft_params_next()
 *  returns  the word; may be empty */
weft_str weft_params_first(weft_str *rest);

struct weft_param_pair {
    weft_str name;
    weft_str value; /* what is between the quotes, as it was sent: weft_params_unquote() */
    bool quoted;
};

/** The next parameter; an empty one (";;") is passed over, as RFC 9110 5.6.6 has it.
 *  returns  WEFT_NEXT: *out is one; 0: no more; WEFT_ESYNTAX: no token before '=', no '=', spaces
 *           around it, a quote that is not closed, or something behind a value */
WEFT_CHECK weft_rc weft_params_next(weft_str *rest, struct weft_param_pair *out);

/** Take the backslash out of what was quoted: of \" and \\ only, since file names of Windows come
 *  with plain ones.
 *  to       room for value.len bytes; may be value.ptr itself
 *  returns  bytes written */
size_t weft_params_unquote(char *to, weft_str value);

#endif
