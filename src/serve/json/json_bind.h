/* json_bind.h - JSON bodies of requests: what they have to be, and what is answered when they are
 * not.
 *
 * Lifetime: call.
 * Threads:  the request's worker.
 * Memory:   the request's arena: lists, and what is answered.
 */
#ifndef WEFT_SERVE_JSON_JSON_BIND_H
#define WEFT_SERVE_JSON_JSON_BIND_H

#include "serve/json/json.h"

/** Does Content-Type say that it is JSON? returns  0; WEFT_EMEDIA (counted) */
WEFT_CHECK weft_rc weft_json_expect(weft_req *rq);

/** Count what was wrong, and answer it: 413 for WEFT_ELIMIT, else 400.
 *  returns  error->rc; or why not even that could be answered */
WEFT_CHECK weft_rc weft_json_refuse(weft_req *rq, const weft_json_error *error);

/** weft_json_parse() with lists in the request's arena; nothing is counted. */
WEFT_CHECK weft_rc weft_json_parse_in(weft_req *rq, char *text, size_t len,
                                      const weft_json_desc *desc, void *out, weft_json_error *error,
                                      struct weft_alloc_site *site);

#endif
