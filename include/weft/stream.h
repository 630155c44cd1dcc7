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

/* ---- bodies that are pulled ---- */

#define WEFT_UNSIZED                                                                               \
    UINT64_MAX /* the length is not known: chunked, or up to the connection's end */

/** Where a body comes from that is asked for, WEFT_SOURCE(.pull = next): a table of your own,
 * static. Both are called on the worker's own stack, and may neither wait nor block (rule 8). */
typedef struct weft_source_ops {
    size_t size; /* filled by the macro */
    /** Put the next bytes at `to`.
     *  room     of which it may put 1..room, 1,024 at least unless the body's length leaves less
     *  out_len  how many they are; 0 (as it is before): the end
     *  returns  0; WEFT_EAGAIN: there are none yet, ask again later; another < 0: the body and its
     *           connection break off */
    weft_rc (*pull)(void *arg, char *to, size_t room, size_t *out_len);
    /** Called once, when the request ends: all has left, or never will. May be NULL. */
    void (*close)(void *arg);
    uint32_t again_ms; /* how much later is later (10) */
} weft_source_ops;
#define WEFT_SOURCE(...)                                                                           \
    {                                                                                              \
        .size = sizeof(weft_source_ops), __VA_ARGS__                                               \
    }

/** Answer with a body that is pulled whenever the client has taken what there was: at its pace, for
 *  as long as it likes, without a stack (rule 7). When this handler has returned, nothing of the
 *  request may be looked at any more, but for what came from weft_alloc(): where its head was is
 *  given back.
 *  status   200..999
 *  type     static or borrowed until the request ends (rule 2); empty: no Content-Type
 *  len      bytes of the body; more are not asked for, less breaks it off. Or WEFT_UNSIZED
 *  source   static
 *  arg      handed to both; borrowed until close(), which is called on errors too, at once then
 *  returns  0; WEFT_ESTATE (answered already), WEFT_EINVAL, WEFT_ENOTSUP (another protocol than
 *           HTTP/1)
 *  cost     the connection's object, 1.4 KB, and a block of 4 KiB while something is in it */
WEFT_CHECK weft_rc weft_source(weft_req *rq, int status, weft_str type, uint64_t len,
                               const weft_source_ops *source, void *arg);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
