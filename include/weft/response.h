/* response.h - answering: a whole response at once, or piece by piece.
 *
 * Bodies name their ownership (rule 3): static (or borrowed until the request ends), copy (into the
 * arena), give (pointer and free function), file. There is no other way in.
 *
 * Lifetime: what is borrowed must live until the request ends: when its last byte has left.
 * Threads:  the request's worker.
 * Memory:   heads are built in a 4 KiB block that is shared by pipelined answers; bodies are not
 * copied, except small ones into that block.
 */
#ifndef WEFT_RESPONSE_H
#define WEFT_RESPONSE_H

#include <weft/request.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/** Answer with text/plain; body static or borrowed until the request ends.
 *  returns  0; WEFT_ESTATE: answered already */
WEFT_CHECK weft_rc weft_text(weft_req *rq, int status, weft_str body);

/** Answer with a body that is static or borrowed until the request ends. */
WEFT_CHECK weft_rc weft_reply(weft_req *rq, int status, weft_str type, weft_str body);

/** The same, body copied into the arena: it may be gone when this returns.
 *  returns  0, WEFT_ESTATE, WEFT_ENOMEM */
WEFT_CHECK weft_rc weft_reply_copy(weft_req *rq, int status, weft_str type, weft_str body);

/** The same, body handed over: release(arg) is called when the request ends, in every case. */
WEFT_CHECK weft_rc weft_reply_give(weft_req *rq, int status, weft_str type, weft_str body,
                                   void (*release)(void *arg), void *arg);

/** Answer with bytes of a file, which go from the page cache to the socket without passing through
 *  here. The descriptor is closed when the request ends, in every case. */
WEFT_CHECK weft_rc weft_reply_file(weft_req *rq, int status, weft_str type, int fd, uint64_t offset,
                                   uint64_t len);

/** Answer with the file at path (decoded; leading slashes are dropped) below the setting `root`:
 * 200, or 404 "File not found" for what is not there, is no regular file, or would leave the root
 * by any spelling, or 403. returns  0; WEFT_EFULL, WEFT_ECANCELED (a cold name is looked up by the
 * offload pool: a wait) */
WEFT_CHECK weft_rc weft_file(weft_req *rq, weft_str path);

/** Answer with a status alone, body empty. */
WEFT_CHECK weft_rc weft_status(weft_req *rq, int status);

/** Answer an error: status and a line of text/plain; discards headers set so far. */
WEFT_CHECK weft_rc weft_fail(weft_req *rq, int status, weft_str text);

/** Add a response header; name and value static or borrowed until the request ends.
 *  returns  0; WEFT_EINVAL (not a token, or CR, LF, NUL or another control byte in the value:
 * nothing is split into two responses), WEFT_EFULL (more than 32), WEFT_ESTATE (the head has left)
 */
WEFT_CHECK weft_rc weft_set_header(weft_req *rq, weft_str name, weft_str value);

/** The status answered so far; 0 before. For middleware's "after". */
int weft_answered(const weft_req *rq);

/** Bytes of the response's body (so far, for streams). */
uint64_t weft_answered_bytes(const weft_req *rq);

/** HTTP/1 only: these very bytes are the response, head and all; the connection closes behind them.
 *  returns  0, WEFT_ESTATE, WEFT_ENOTSUP (another protocol) */
WEFT_CHECK weft_rc weft_raw(weft_req *rq, weft_str bytes);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
