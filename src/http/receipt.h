/* receipt.h - what one request took: for the access log, and for the client who may see it.
 *
 * Lifetime: read while the request lives; figures so far.
 * Threads:  the request's worker.
 * Memory:   none.
 */
#ifndef WEFT_HTTP_RECEIPT_H
#define WEFT_HTTP_RECEIPT_H

#include "http/message.h"

struct weft_receipt {
    size_t asked;        /* arena bytes that were asked for */
    size_t held;         /* bytes of chunks held now */
    size_t peak;         /* and at most */
    size_t copied;       /* bytes that Weft copied: into the arena, into the block that is sent */
    uint32_t pool_slots; /* object, chunks, blocks; stack and receive buffer when it waited */
};

/** The answer's body counts as copied where it will go behind its head. */
void weft_receipt_read(const weft_req *rq, struct weft_receipt *out);

#define WEFT_RECEIPT_LINE_BYTES 192

/** The header line `Server-Timing: mem;desc="arena=... "` (W3C Server-Timing: a metric's name, and
 * a description as a quoted string), its end included. to       room for WEFT_RECEIPT_LINE_BYTES
 *  returns  bytes written */
size_t weft_receipt_line(const weft_req *rq, char *to);

#endif
