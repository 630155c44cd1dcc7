/* h1.h - HTTP/1.1 on a connection (RFC 9112): the protocol that turns bytes into requests, and
 * answers into bytes.
 *
 * Lifetime: the object of a connection while something is going on (io/conn.h).
 * Threads:  the owner worker only.
 * Memory:   sizeof(struct weft_h1), from the loop's pool of active connections; at most two blocks,
 * or a block and a receive buffer, and the receive buffers that its request keeps.
 */
#ifndef WEFT_HTTP_H1_H
#define WEFT_HTTP_H1_H

#include "http/chunked.h"
#include "http/message.h"
#include "http/service.h"

/* Receive buffers that may queue up behind a request that is not reading: the kernel hands over
 * what it was lent before it hears that it should stop. More are kept while half of all buffers are
 * free. */
#define WEFT_H1_QUEUE_MAX 64

enum weft_h1_deadline {
    WEFT_H1_NO_DEADLINE,
    WEFT_H1_HEAD_DEADLINE,
    WEFT_H1_BODY_DEADLINE,
    WEFT_H1_WRITE_DEADLINE,
    WEFT_H1_SOURCE_AGAIN, /* no deadline: when its source is asked again */
};

enum weft_h1_body {
    WEFT_H1_BODY_DONE, /* read to its end, or there is none */
    WEFT_H1_BODY_LENGTH,
    WEFT_H1_BODY_CHUNKED,
};

struct weft_h1 {
    struct weft_conn conn; /* first: the transport's view */

    /* input */
    struct weft_input in; /* not yet read; referenced if in a receive buffer */
    uint16_t queue_first; /* receive buffers behind it, WEFT_BUF_NONE: none */
    uint16_t queue_last;
    uint16_t queue_count;
    uint16_t head_buf;  /* kept because the request's head lies in it; WEFT_BUF_NONE: not (yet) */
    uint16_t carry_buf; /* the carry is this receive buffer; WEFT_BUF_NONE: a block */

    /* From here on all is zero at first, as far as `extra`. */
    char *carry; /* a head that came in pieces; NULL: none */
    uint32_t carry_len;
    size_t scanned; /* how far the carry was searched for its end */

    /* output */
    char *block; /* NULL until something is to be said */
    uint32_t block_len;
    uint32_t chunk_at; /* of the open chunk's size line in the block + 1; 0: none is open */
    uint32_t head_at;  /* of the last answer's head in the block + 1; 0: it has left */
    uint8_t extra_count;
    uint8_t close_how; /* enum weft_close */

    /* state */
    uint8_t deadline;  /* enum weft_h1_deadline: what conn.timer is for */
    uint8_t body;      /* enum weft_h1_body */
    bool in_task;      /* the burst runs, or waits */
    bool requesting;   /* rq is alive */
    bool keeping;      /* rq may wait: a spare buffer stood in for the one its head lies in */
    bool answered;     /* rq waits for its last byte to leave */
    bool partial;      /* `in` is the beginning of a head */
    bool eof;          /* the client will send no more */
    bool closing;      /* close once everything queued has left */
    bool continue_due; /* 100 Continue was asked for and not sent */
    bool chunked_out;  /* the streamed answer is chunked */
    bool source_rests; /* it had nothing more: what it gave leaves, then it has a while */
    bool bodiless;     /* the answer may have no body (HEAD, 204, 304) */
    weft_rc broken;    /* the connection, or 0 */

    /* From here on it is set when there is use for it. */
    struct iovec extra[2]; /* extra_count of them, sent behind the block */
    uint64_t body_left;    /* WEFT_H1_BODY_LENGTH */
    uint64_t body_since_ms;
    struct weft_chunked chunked;
    weft_req rq;
};

extern const struct weft_protocol weft_h1;

#endif
