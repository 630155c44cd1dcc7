/* range.h - the Range header: which bytes of a file are asked for (RFC 9110 14). Pure.
 *
 * A range that makes no sense is ignored, as the RFC wants it; one that asks for work without end
 * is refused: too many pieces, crumbs, pieces that lie on top of each other (14.2, 17.15).
 *
 * Lifetime: results are values.
 * Threads:  any.
 * Memory:   sizeof(struct weft_ranges), 264 bytes on the caller's stack.
 */
#ifndef WEFT_SERVE_FILES_RANGE_H
#define WEFT_SERVE_FILES_RANGE_H

#include "base/base.h"

#define WEFT_RANGES_MAX       16 /* pieces of one request */
#define WEFT_RANGE_CRUMB      64 /* bytes: a piece below it costs more to name than to send */
#define WEFT_RANGE_CRUMBS_MAX 4

struct weft_range {
    uint64_t first; /* offset of its first byte */
    uint64_t len;   /* > 0; inside the file */
};

struct weft_ranges {
    uint32_t count;
    struct weft_range at[WEFT_RANGES_MAX]; /* in the order asked, none on top of another */
};

enum weft_ranges_verdict {
    WEFT_RANGES_WHOLE,   /* no range of bytes, or not one that reads: the whole file, 200 */
    WEFT_RANGES_PARTS,   /* 1 or more: 206 */
    WEFT_RANGES_NONE,    /* it lies behind the end: 416 */
    WEFT_RANGES_REFUSED, /* beyond the limits above, or more than two on top of each other: 416 */
};

/** Read a Range header's value for a file of `size` bytes. Pieces behind the end are dropped, a
 * last byte behind it is the file's last; two that overlap become one. value    without spaces
 * around it; any bytes out      written on WEFT_RANGES_PARTS only */
enum weft_ranges_verdict weft_ranges_read(weft_str value, uint64_t size, struct weft_ranges *out);

#endif
