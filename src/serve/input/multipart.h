/* multipart.h - the syntax of multipart/form-data (RFC 7578, RFC 2046 5.1): bytes in, parts and
 * pieces of them out.
 *
 * Strict where it could be read in two ways: lines end in CRLF, a line that begins with the
 * delimiter is one. What comes out does not depend on how the bytes came in, but for where pieces
 * end. Bytes that may be the beginning of a delimiter are held back without a buffer: should they
 * be none after all, the delimiter itself has them.
 *
 * Lifetime: a parser: from init to DONE or an error. Slices: as each says.
 * Threads:  one at a time.
 * Memory:   sizeof(struct weft_multipart_parser), about 2.2 KiB.
 */
#ifndef WEFT_SERVE_INPUT_MULTIPART_H
#define WEFT_SERVE_INPUT_MULTIPART_H

#include <weft/form.h>
#include "base/base.h"

#define WEFT_MULTIPART_BOUNDARY_BYTES_MAX 70   /* RFC 2046 5.1.1 */
#define WEFT_MULTIPART_PREAMBLE_BYTES_MAX 4096 /* before the first part: there is no use for it */

/** What weft_multipart_next() found; an error is negative: WEFT_ESYNTAX or WEFT_ELIMIT. */
enum weft_multipart_event {
    WEFT_MULTIPART_MORE, /* all bytes are used: call again with more */
    WEFT_MULTIPART_PART, /* a part begins: parser->part tells its name */
    WEFT_MULTIPART_DATA, /* a piece of it */
    WEFT_MULTIPART_END,  /* it ends */
    WEFT_MULTIPART_DONE, /* there are no more; what follows means nothing */
};

struct weft_multipart_parser {
    weft_form_part part;   /* slices of `head`, until the next PART */
    uint8_t state;         /* enum state, private */
    uint8_t delimiter_len; /* of CR LF "--" boundary */
    uint8_t matched;       /* bytes of it seen, and held back */
    bool implied;          /* its first two were the CR LF before the data, and are none of it */
    uint16_t head_len;
    uint16_t part_count;
    uint32_t preamble_bytes;
    char delimiter[4 + WEFT_MULTIPART_BOUNDARY_BYTES_MAX];
    char head[WEFT_MULTIPART_HEAD_BYTES_MAX];
};

/** content_type  the header's value: multipart/form-data; boundary=...
 *  returns       0; WEFT_EMEDIA: another type; WEFT_ESYNTAX: no boundary, or not a good one */
WEFT_CHECK weft_rc weft_multipart_init(struct weft_multipart_parser *parser, weft_str content_type);

/** Look at bytes until something is found.
 *  out_used  bytes that are done with
 *  out_data  of DATA: 1 or more bytes, of `bytes` or of the parser; until the next call
 *  returns   an enum weft_multipart_event, or an error, after which it is not called again */
WEFT_CHECK int weft_multipart_next(struct weft_multipart_parser *parser, const char *bytes,
                                   size_t len, size_t *out_used, weft_str *out_data);

#endif
