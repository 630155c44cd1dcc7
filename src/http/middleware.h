/* middleware.h - the built-in ones: request id, CORS, uniform errors, access log.
 *
 * Lifetime: process: they are functions; what they need lies in site and service.
 * Threads:  the request's worker.
 * Memory:   none per request but arena bytes; the access log has WEFT_ACCESS_LOG_BYTES per worker.
 */
#ifndef WEFT_HTTP_MIDDLEWARE_H
#define WEFT_HTTP_MIDDLEWARE_H

#include "http/service.h"

/** X-Request-ID: the client's last one, if it is at most 128 visible characters, else a new one of
 * 16 hex digits; set on the answer. */
WEFT_CHECK weft_rc weft_request_id_before(weft_req *rq);

/** Cross-origin requests (Fetch standard): the configured origin may read answers, preflights are
 *  answered here. */
WEFT_CHECK weft_rc weft_cors_before(weft_req *rq);

/** Errors in one shape: the short texts that handlers and Weft itself answer become
 *  {"status":404,"error":"Not Found"}. */
void weft_recover_json_after(weft_req *rq);

/** A line per request, text (Common Log Format with time and bytes) or JSON, in the order answered.
 */
void weft_access_log_after(weft_req *rq);

/** Where lines wait to be written together; per worker. */
#define WEFT_ACCESS_LOG_BYTES    ((size_t)16 << 10)
#define WEFT_ACCESS_LOG_LINE_MAX 2048
#define WEFT_ACCESS_LOG_FLUSH_MS 200

/** returns  0, WEFT_EBUDGET, WEFT_ENOMEM */
WEFT_CHECK weft_rc weft_access_log_init(struct weft_access_log *log, struct weft_account *account,
                                        struct weft_loop *loop);
void weft_access_log_flush(struct weft_access_log *log);
void weft_access_log_fini(struct weft_access_log *log);

#endif
