/* stream.h - a response made piece by piece, in constant memory: writing waits for a slow client.
 *
 * Lifetime: from weft_begin() to weft_end() (called for you when the handler returns 0).
 * Threads:  the request's worker.
 * Memory:   one 4 KiB block while it lasts.
 */
#ifndef WEFT_STREAM_H
#define WEFT_STREAM_H

#include <weft/response.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/** Start: the head is queued, it leaves with the first full block or weft_flush().
 *  returns  0; WEFT_ESTATE (answered already), WEFT_EFULL (no block, or as many tasks wait as may)
 */
WEFT_CHECK weft_rc weft_begin(weft_req *rq, int status, weft_str type);

/** Write bytes; waits while the client is slow. Borrowed for the call.
 *  returns  0; WEFT_ECANCELED (the client has gone), WEFT_EDEADLINE, WEFT_ESTATE (no weft_begin) */
WEFT_CHECK weft_rc weft_write(weft_req *rq, weft_str bytes);

/** printf's subset: d i u x X o c s p f % with flags, width, precision and h hh l ll z j t. */
WEFT_CHECK weft_rc weft_printf(weft_req *rq, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/** Send what is buffered now. weft_sleep_ms() and the other waits do so by themselves. */
WEFT_CHECK weft_rc weft_flush(weft_req *rq);

/** A trailer field, sent after the last chunk (HTTP/1.1 to clients that said "TE: trailers";
 * dropped for others). Borrowed until the request ends. returns  0, WEFT_EINVAL, WEFT_EFULL (more
 * than 4) */
WEFT_CHECK weft_rc weft_trailer(weft_req *rq, weft_str name, weft_str value);

/** Finish the body. */
WEFT_CHECK weft_rc weft_end(weft_req *rq);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
