/* chunked.h - chunked bodies: an incremental decoder that hands out slices, RFC 9112 7.1.
 *
 * Strict: a line outside the grammar is refused, so is a bare LF, white space around the size, and
 * a trailer field that frames, routes or authenticates a message (RFC 9110 6.5.1).
 *
 * Lifetime: request; the decoder keeps no pointer, so bytes may be thrown away once consumed.
 * Threads:  any, one at a time.
 * Memory:   sizeof(struct weft_chunked), 40 bytes, per request that is reading a chunked body.
 */
#ifndef WEFT_HTTP_CHUNKED_H
#define WEFT_HTTP_CHUNKED_H

#include "http/parse.h"
#include <assert.h>

/** Longest output of weft_chunk_head(), in bytes. */
#define WEFT_CHUNK_HEAD_BYTES_MAX 18

/** Results of weft_chunked_next() that are no errors. */
enum {
    WEFT_CHUNKED_MORE =
        WEFT_PARSE_MORE,    /* all of buf is used up: call again with what comes next */
    WEFT_CHUNKED_DONE = 0,  /* the body's last CRLF is behind */
    WEFT_CHUNKED_DATA = -3, /* *out_data is the next piece of the body */
};

struct weft_chunked {
    uint64_t left;       /* in data: bytes of this chunk to come; in a size line: the size so far */
    uint32_t line_bytes; /* of the size line under way */
    uint32_t ext_bytes;  /* chunk extensions of the body so far */
    uint32_t trailer_bytes; /* trailer lines so far, CRLFs included */
    uint32_t trailer_count; /* trailer lines so far */
    uint32_t suspects;      /* one bit per forbidden trailer name that the name so far begins */
    uint16_t name_bytes;    /* of the trailer name under way; stops counting at 255 */
    uint8_t digit_count;    /* of the chunk size under way */
    uint8_t state;
    uint8_t error; /* the enum weft_parse_error that every later call repeats */
};
static_assert(sizeof(struct weft_chunked) == 40, "the plan counts it");

struct weft_chunked_limits {
    uint32_t line_bytes_max;      /* one size line with its extensions; beyond: 400 */
    uint32_t ext_total_bytes_max; /* all extensions of a body; beyond: 400 */
    uint32_t trailer_bytes_max;   /* the trailer section; beyond: 431 */
    uint32_t trailer_count_max;   /* its lines; beyond: 431 */
};

void weft_chunked_init(struct weft_chunked *chunked);

/** Decode the next piece of a body.
 *  buf           received bytes not yet consumed
 *  out_consumed  bytes of buf used up, written in every case; call again behind them
 *  out_data      written on WEFT_CHUNKED_DATA only: 1 or more bytes of buf; borrowed as long as buf
 *  returns       WEFT_CHUNKED_DATA, _MORE or _DONE; else an enum weft_parse_error > 0 for good.
 *                The pieces' sizes depend on how bytes arrive, their sum and the verdict do not. */
WEFT_CHECK int weft_chunked_next(struct weft_chunked *chunked,
                                 const struct weft_chunked_limits *limits, const char *buf,
                                 size_t len, size_t *out_consumed, weft_str *out_data);

/** Write the line before a chunk of size bytes: hex digits and CRLF. The caller adds the data and a
 *  CRLF; size 0 is the last chunk, behind which trailers and a CRLF follow.
 *  to       room for WEFT_CHUNK_HEAD_BYTES_MAX
 *  returns  bytes written, 3..18 */
size_t weft_chunk_head(char *to, size_t size);

#endif
