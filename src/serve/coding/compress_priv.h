/* compress_priv.h - what the parts of compression share: compress.c (which answers, and their
 * heads), compress_body.c (bytes that are written), compress_source.c (bytes that are pulled).
 *
 * Lifetime: as struct weft_compress.
 * Threads:  the owner worker only.
 * Memory:   none of its own.
 */
#ifndef WEFT_SERVE_CODING_COMPRESS_PRIV_H
#define WEFT_SERVE_CODING_COMPRESS_PRIV_H

#include "http/service.h"
#include "serve/coding/compress.h"

static inline struct weft_compress *weft_compress_of(const weft_req *rq)
{
    return WEFT_CONTAINER_OF(rq->service->filter, struct weft_compress, filter);
}

/** Of a request that has a coder. */
static inline struct weft_coder_slot *weft_compress_slot(const weft_req *rq)
{
    return &weft_compress_of(rq)->pool.slots[rq->coder - 1];
}

/* ---- compress_body.c ---- */

/** What a stream's bytes go through when its request has a coder. */
extern const struct weft_exchange_ops weft_compress_sink;

/** The coder back, if there is one. */
void weft_compress_drop(weft_req *rq);

/** weft_coder_run(), counted. */
WEFT_CHECK weft_rc weft_compress_run(weft_req *rq, enum weft_coder_op op, struct weft_coder_io *io);

/** Bytes, or those of a file, into the stream; with pauses for others. On the task. */
WEFT_CHECK weft_rc weft_compress_write(weft_req *rq, weft_str bytes);
WEFT_CHECK weft_rc weft_compress_write_file(weft_req *rq, int fd, uint64_t offset, uint64_t len);

/* ---- compress_source.c ---- */

/** The request's source is pulled through its coder from now on.
 *  returns  0; WEFT_ENOMEM: nothing has changed */
WEFT_CHECK weft_rc weft_compress_wrap(weft_req *rq);

#endif
