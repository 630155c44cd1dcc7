/* quote.h - names of files in URLs and in HTML, where every byte may stand in a name.
 *
 * Lifetime: borrows for the call.
 * Threads:  any; those that write: the request's worker.
 * Memory:   none.
 */
#ifndef WEFT_SERVE_FILES_QUOTE_H
#define WEFT_SERVE_FILES_QUOTE_H

#include <weft/stream.h>
#include "base/base.h"

/** Percent-encode a path: all bytes but letters, digits, "-._~" and '/' (RFC 3986 2.3), so that no
 *  name can be read as a scheme, an authority or a query.
 *  to       3 * path.len bytes
 *  returns  bytes written */
size_t weft_quote_path(char *to, weft_str path);

/** Write it to a stream that was begun.
 *  returns  as weft_write() */
WEFT_CHECK weft_rc weft_quote_path_write(weft_req *rq, weft_str path);

/** Write text to a stream as HTML: & < > " ' become references.
 *  returns  as weft_write() */
WEFT_CHECK weft_rc weft_quote_html_write(weft_req *rq, weft_str text);

#endif
