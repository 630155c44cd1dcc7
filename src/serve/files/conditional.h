/* conditional.h - If-Match and its like: is the client's copy still the one that is here (RFC 9110
 * 13)? Pure.
 *
 * Lifetime: everything is borrowed for the call.
 * Threads:  any.
 * Memory:   none.
 */
#ifndef WEFT_SERVE_FILES_CONDITIONAL_H
#define WEFT_SERVE_FILES_CONDITIONAL_H

#include "base/base.h"

/* Values of the request's headers; {NULL, 0}: not sent. A list that came on several lines is joined
 * with commas. */
struct weft_conditions {
    weft_str if_match;
    weft_str if_none_match;
    weft_str if_modified_since;
    weft_str if_unmodified_since;
    weft_str if_range;
};

/* What is here now. */
struct weft_validators {
    weft_str etag; /* with its quotes, a W/ before it where it is weak */
    uint64_t modified_s;
    uint64_t now_s; /* the present, for dates */
};

enum weft_condition {
    WEFT_CONDITION_GO,    /* answer as if nothing had been asked */
    WEFT_CONDITION_SAME,  /* 304: what the client has is good */
    WEFT_CONDITION_WRONG, /* 412 */
};

/** Judge all but If-Range, in the order of RFC 9110 13.2.2, for GET and HEAD. A date that does not
 *  read counts as not sent; a list that does not read matches nothing. */
enum weft_condition weft_conditions_judge(const struct weft_conditions *asked,
                                          const struct weft_validators *here);

/** If-Range: is what the client has a part of the very thing that is here? True where it was not
 *  sent. A weak tag never is; a date only when it is Last-Modified's and lies before this second
 *  (13.1.5, 8.8.2.2). */
bool weft_if_range_holds(const struct weft_conditions *asked, const struct weft_validators *here);

/** Is the tag in a list of them, or the list "*"?
 *  list     any bytes
 *  weak     compare weakly: W/ does not matter (8.8.3.2); else a weak tag on either side differs */
bool weft_etag_listed(weft_str list, weft_str etag, bool weak);

#endif
