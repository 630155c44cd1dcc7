/* stream.h - a response made piece by piece, in constant memory: writing waits for a slow client
 * (rule 7).
 *
 * A handler that returns an error after weft_begin(): while nothing has left, the error is
 * answered instead; later the connection is cut, so that the client can tell. To HTTP/1.1 the
 * body is chunked, to HTTP/1.0 it ends with the connection; HEAD gets none. Rules: docs/api.md.
 *
 * Lifetime: from weft_begin() to weft_end(), which is called for you when the handler returns 0.
 * Threads:  the request's worker.
 * Memory:   one 4 KiB block while something is in it.
 */
#ifndef WEFT_STREAM_H
#define WEFT_STREAM_H

#include <weft/response.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/** Start: the head is queued, it leaves with the first full block, a wait or weft_flush().
 *  status   200..999
 *  type     static or borrowed until the request ends (rule 2); empty: no Content-Type
 *  returns  0; WEFT_ESTATE (answered already), WEFT_EFULL (no block, no spare buffer, or as many
 *           tasks wait as may), WEFT_ECANCELED, WEFT_EDEADLINE, WEFT_ENOMEM (a head beyond 4 KiB
 *           and the route's cap) */
WEFT_CHECK weft_rc weft_begin(weft_req *rq, int status, weft_str type);

/** The same with a length that is known: Content-Length instead of chunks, and HTTP/1.0 may keep
 * its connection. What is written must come to it exactly (but for HEAD): more is WEFT_ELIMIT, less
 *  breaks the stream off when it ends.
 *  len      bytes of the body
 *  returns  as weft_begin() */
WEFT_CHECK weft_rc weft_begin_sized(weft_req *rq, int status, weft_str type, uint64_t len);

/** Write bytes, borrowed for the call; waits while the client is slow. Up to 4 KiB are copied
 *  into the block; more are sent from where they lie, and have left when this returns.
 *  returns  0; WEFT_ECANCELED (the client has gone), WEFT_EDEADLINE, WEFT_EFULL (no stack to wait
 *           on, no block), WEFT_ESTATE (no weft_begin(), or ended), WEFT_ELIMIT (more than
 *           weft_begin_sized() said: nothing is written) */
WEFT_CHECK weft_rc weft_write(weft_req *rq, weft_str bytes);

/** Write bytes of a file, which go from the page cache to the socket without passing through here;
 *  they have left when this returns. In a chunked stream they are a chunk of their own.
 *  fd       a regular file, yours to close after the call (rule 3); its offset is not used
 *  len      bytes from offset on that are there: a file that is cut meanwhile breaks the connection
 *  returns  as weft_write(); WEFT_ENOTSUP: another protocol than HTTP/1 */
WEFT_CHECK weft_rc weft_write_file(weft_req *rq, int fd, uint64_t offset, uint64_t len);

/** printf's subset: d i u x X o c s p f % with flags, width, precision and h hh l ll z j t; e and
 *  g print the shortest text that reads back the same. No locale, no heap.
 *  returns  as weft_write(); WEFT_ELIMIT: more than 4,088 bytes at once, nothing is written */
WEFT_CHECK weft_rc weft_printf(weft_req *rq, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/** Send what is buffered now; returns when it has left. weft_sleep_ms() and the other waits do so
 *  by themselves.
 *  returns  as weft_write() */
WEFT_CHECK weft_rc weft_flush(weft_req *rq);

/** A trailer field, sent after the last chunk (HTTP/1.1 to clients that said "TE: trailers";
 *  dropped for others); between weft_begin() and weft_end(). Borrowed until the request ends
 *  (rule 2).
 *  returns  0, WEFT_EINVAL (as weft_set_header), WEFT_EFULL (more than 4), WEFT_ENOMEM,
 *           WEFT_ESTATE, WEFT_ECANCELED, WEFT_EDEADLINE */
WEFT_CHECK weft_rc weft_trailer(weft_req *rq, weft_str name, weft_str value);

/** Finish the body; it leaves soon, this need not wait for it.
 *  returns  as weft_write() */
WEFT_CHECK weft_rc weft_end(weft_req *rq);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
