/* h1_priv.h - what the parts of HTTP/1.1 share: h1.c (what is next?), h1_in.c (bytes to requests
 * and bodies), h1_out.c (answers to bytes). For these three files only.
 *
 * Lifetime: as struct weft_h1.
 * Threads:  the owner worker only.
 * Memory:   none of its own.
 */
#ifndef WEFT_HTTP_H1_PRIV_H
#define WEFT_HTTP_H1_PRIV_H

#include "http/h1.h"

/* ---- h1.c's own, needed by both ---- */

static inline struct weft_h1 *weft_h1_of(struct weft_conn *conn)
{
    return WEFT_CONTAINER_OF(conn, struct weft_h1, conn);
}

static inline struct weft_service *weft_h1_service_of(const struct weft_h1 *h)
{
    return h->conn.loop->owner;
}

static inline const struct weft_service_limits *weft_h1_limits_of(const struct weft_h1 *h)
{
    return &weft_h1_service_of(h)->site->limits;
}

static inline struct weft_bufs *weft_h1_bufs_of(struct weft_h1 *h)
{
    return &h->conn.loop->bufs;
}

static inline void weft_h1_set_deadline(struct weft_h1 *h, enum weft_h1_deadline kind,
                                        uint64_t at_ms)
{
    h->deadline = (uint8_t)kind;
    weft_timer_arm(&h->conn.loop->wheel, &h->conn.timer, at_ms);
}

static inline void weft_h1_clear_deadline(struct weft_h1 *h)
{
    if (h->deadline == WEFT_H1_NO_DEADLINE)
        return;
    h->deadline = WEFT_H1_NO_DEADLINE;
    weft_timer_disarm(&h->conn.loop->wheel, &h->conn.timer);
}

static inline void weft_h1_await_write(struct weft_h1 *h)
{
    weft_h1_set_deadline(h, WEFT_H1_WRITE_DEADLINE,
                         h->conn.loop->now_ms + weft_h1_limits_of(h)->write_ms);
}

static inline struct weft_h1 *weft_h1_of_req(const weft_req *rq)
{
    return rq->stream;
}

/* Is what arrives the body of a request that its handler may yet read? */
static inline bool weft_h1_reading(const struct weft_h1 *h)
{
    return h->in_task && h->requesting && h->body != WEFT_H1_BODY_DONE;
}

static inline void weft_h1_consume(struct weft_h1 *h, size_t bytes)
{
    h->in.ptr += bytes;
    h->in.len -= (uint32_t)bytes;
}

static inline char *weft_h1_block_at(struct weft_h1 *h)
{
    return h->block + h->block_len;
}

static inline size_t weft_h1_block_room(const struct weft_h1 *h)
{
    return WEFT_BLOCK_BYTES - h->block_len;
}

static inline bool weft_h1_queued(const struct weft_h1 *h)
{
    return h->block_len > 0 || h->extra_count > 0 || h->conn.file_left > 0;
}

static inline void weft_h1_put(struct weft_h1 *h, weft_str text)
{
    memcpy(weft_h1_block_at(h), text.ptr, text.len);
    h->block_len += (uint32_t)text.len;
}

/* ---- h1_in.c ---- */

void weft_h1_set_in(struct weft_h1 *h, struct weft_input input);
/* What `in` lies in goes back, or stays for the request whose head is in it. */
void weft_h1_drop_in(struct weft_h1 *h);
/* The request is about to wait and keeps what its head lies in: asked for once, then it may wait as
 * often as it likes. WEFT_EFULL: no spare buffer. */
WEFT_CHECK weft_rc weft_h1_keep_head(struct weft_h1 *h);
void weft_h1_enqueue(struct weft_h1 *h, struct weft_input input);
bool weft_h1_dequeue(struct weft_h1 *h, struct weft_input *out);
void weft_h1_carry_free(struct weft_h1 *h);
/* Appends as much of `in` as fits; what does not is queued again. */
WEFT_CHECK weft_rc weft_h1_carry_append(struct weft_h1 *h);
/* `in` is the beginning of a head: into the carry with it. */
WEFT_CHECK weft_rc weft_h1_carry_start(struct weft_h1 *h);
/* Is there a whole head in the carry, or so much that parsing refuses it? Then it is the input. */
bool weft_h1_carry_complete(struct weft_h1 *h);
WEFT_CHECK weft_rc weft_h1_send_continue(struct weft_h1 *h);
WEFT_CHECK weft_rc weft_h1_read(weft_req *rq, weft_str *out);
void weft_h1_setup_body(struct weft_h1 *h);
/* A body that the handler did not read: a little of it is read and dropped, so that the connection
 * can stay; more than that is not worth it. */
void weft_h1_discard_body(struct weft_h1 *h);
/* A client may send faster than the kernel can be told to stop: no fault of its, but no reason
 * either to let it have the buffers of all others. */
bool weft_h1_queue_has_room(struct weft_h1 *h);

/* ---- h1_out.c ---- */

bool weft_h1_block_take(struct weft_h1 *h);

/* A block to write in; false: the pool is empty. */
static inline bool weft_h1_block_ready(struct weft_h1 *h)
{
    return h->block != NULL || weft_h1_block_take(h);
}

/* Everything queued has left. */
void weft_h1_output_done(struct weft_h1 *h);
/* Starts sending everything queued. 0, WEFT_PENDING or an error. */
WEFT_CHECK weft_rc weft_h1_flush_start(struct weft_h1 *h);
/* Completes the open chunk: its size, in four digits, goes where its line was left open. */
void weft_h1_close_chunk(struct weft_h1 *h);
/* On a task: returns when everything queued has left. */
WEFT_CHECK weft_rc weft_h1_flush_wait(struct weft_h1 *h);
/* An answer of our own, when there is no request to speak of: then the connection closes. */
void weft_h1_refuse(struct weft_h1 *h, int status, weft_str text);
WEFT_CHECK weft_rc weft_h1_begin(weft_req *rq);
WEFT_CHECK weft_rc weft_h1_flush(weft_req *rq);
WEFT_CHECK weft_rc weft_h1_room(weft_req *rq, size_t min, char **out, size_t *out_room);
void weft_h1_commit(weft_req *rq, size_t bytes);
WEFT_CHECK weft_rc weft_h1_write(weft_req *rq, weft_str bytes);
WEFT_CHECK weft_rc weft_h1_write_file(weft_req *rq, int fd, uint64_t offset, uint64_t len);
WEFT_CHECK weft_rc weft_h1_end(weft_req *rq);
/* The source's next bytes into the (empty) block. false: there are none yet, it is asked again
 * later.
 */
bool weft_h1_pull(struct weft_h1 *h);
/* The answer's bytes into the block (or beside it). */
void weft_h1_respond(struct weft_h1 *h);

#endif
