/* response.h - answering: a whole response at once, or piece by piece.
 *
 * Bodies name their ownership (rule 3): static (or borrowed until the request ends), copy (into
 * the arena), give (pointer and free function), file. There is no other way in. Rules:
 * docs/api.md.
 *
 * status is 200..999 everywhere, anything else asserts. type is static or borrowed until the
 * request ends, without CR, LF or NUL; empty: no Content-Type. The first answer counts: a second
 * one is WEFT_ESTATE.
 *
 * Lifetime: what is borrowed must live until the request ends: when its last byte has left.
 * Threads:  the request's worker.
 * Memory:   heads are built in a 4 KiB block that pipelined answers share. A body is sent from
 *           where it lies; one of at most 2 KiB is copied behind its head where other answers
 *           leave with it, or where it was made in the request's arena.
 */
#ifndef WEFT_RESPONSE_H
#define WEFT_RESPONSE_H

#include <weft/request.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/** Answer with text/plain; body static or borrowed until the request ends (rule 3).
 *  returns  0; WEFT_ESTATE: answered already; WEFT_EINVAL: status not in 200..999. As all below */
WEFT_CHECK weft_rc weft_text(weft_req *rq, int status, weft_str body);

/** Answer with a body that is static or borrowed until the request ends (rule 3).
 *  returns  0; WEFT_ESTATE */
WEFT_CHECK weft_rc weft_reply(weft_req *rq, int status, weft_str type, weft_str body);

/** The same, body copied into the arena: it may be gone when this returns (rule 3).
 *  returns  0, WEFT_ESTATE, WEFT_ENOMEM (past the route's cap, rule 4) */
WEFT_CHECK weft_rc weft_reply_copy(weft_req *rq, int status, weft_str type, weft_str body);

WEFT_CHECK weft_rc weft_reply_copy_at(weft_req *rq, int status, weft_str type, weft_str body,
                                      struct weft_alloc_site *site);
#define weft_reply_copy(rq, status, type, ...)                                                     \
    weft_reply_copy_at((rq), (status), (type), (__VA_ARGS__), WEFT_ALLOC_SITE())

/** The same, body handed over (rule 3): release(arg) is called once, when the request ends, or at
 *  once on WEFT_ENOMEM; in every case.
 *  returns  0, WEFT_ESTATE, WEFT_ENOMEM */
WEFT_CHECK weft_rc weft_reply_give(weft_req *rq, int status, weft_str type, weft_str body,
                                   void (*release)(void *arg), void *arg);

/** Answer with bytes of a file, which go from the page cache to the socket without passing through
 *  here (rule 3). The descriptor is closed when the request ends, or at once on WEFT_ENOMEM; in
 *  every case.
 *  fd       a regular file; its offset is not used
 *  len      bytes from offset on that are there: a file that is cut meanwhile breaks the
 *           connection
 *  returns  0, WEFT_ESTATE, WEFT_ENOMEM */
WEFT_CHECK weft_rc weft_reply_file(weft_req *rq, int status, weft_str type, int fd, uint64_t offset,
                                   uint64_t len);

/** Answer with the file at path below the setting `root`, its type by its ending: 200,
 *  or what conditions and ranges of a GET or HEAD ask for (docs/files.md); 404 "File
 *  not found" for what is not there, is no regular file, or when there is no root; 403 for what
 *  may not be read or would leave the root by any spelling.
 *  path     decoded; leading slashes are dropped; below 4 KiB. Borrowed for the call
 *  returns  0: answered; WEFT_EFULL, WEFT_ECANCELED, WEFT_EDEADLINE (a name that the kernel has
 *           not cached is looked up by the offload pool: a wait, rule 7); WEFT_ENOMEM,
 *           WEFT_ESTATE; -errno (500, counted): it could not be opened, as with a broken disk */
WEFT_CHECK weft_rc weft_file(weft_req *rq, weft_str path);

/** Answer with a status alone, body empty.
 *  returns  0; WEFT_ESTATE */
WEFT_CHECK weft_rc weft_status(weft_req *rq, int status);

/** Answer an error: status and a line of text/plain, static or borrowed until the request ends
 *  (rule 3). Headers set so far stay: a request id, what CORS allows.
 *  returns  0; WEFT_ESTATE: answered already; WEFT_EINVAL: status not in 200..999 */
WEFT_CHECK weft_rc weft_fail(weft_req *rq, int status, weft_str text);

/** Add a response header, also in an "after"; name and value static or borrowed until the request
 *  ends (rule 2).
 *  returns  0; WEFT_EINVAL (one that Weft writes itself: Content-Type, Content-Length,
 *           Transfer-Encoding, Connection, Keep-Alive, Upgrade, Date, Server; name is no token; CR,
 *           LF, NUL or another control byte in the value: nothing is split into two responses),
 *           WEFT_EFULL (more than 32), WEFT_ENOMEM (more
 *           than 4 take 1 KiB of the arena), WEFT_ESTATE (a stream's head has been written) */
WEFT_CHECK weft_rc weft_set_header(weft_req *rq, weft_str name, weft_str value);

/** The status answered so far; 0 before. For a middleware's "after". */
int weft_answered(const weft_req *rq);

/** Bytes of the response's body without framing (so far, for streams); for HEAD what GET had. */
uint64_t weft_answered_bytes(const weft_req *rq);

/** Send this answer as it is, whatever the settings compress.* say: for what mixes a secret with
 * what the client chose (its length would tell, as in BREACH). Before weft_begin(), or before the
 * handler returns. */
void weft_uncoded(weft_req *rq);

/** HTTP/1 only: these very bytes are the response, head and all; the connection closes behind
 *  them.
 *  bytes    static or borrowed until the request ends (rule 3); nothing is checked; counted as 200
 *  returns  0, WEFT_ESTATE, WEFT_ENOTSUP (another protocol) */
WEFT_CHECK weft_rc weft_raw(weft_req *rq, weft_str bytes);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
