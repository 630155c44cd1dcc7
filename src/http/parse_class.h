/* parse_class.h - what a byte may be in HTTP/1, as one table; private to parse.c and chunked.c.
 *
 * Lifetime: process.
 * Threads:  any: constant.
 * Memory:   256 bytes, constant.
 */
#ifndef WEFT_HTTP_PARSE_CLASS_H
#define WEFT_HTTP_PARSE_CLASS_H

#include "base/base.h"

enum {
    WEFT_CLASS_TOKEN = 1,     /* tchar, RFC 9110 5.6.2 */
    WEFT_CLASS_CONTROL = 2,   /* 0x00-0x1f but HTAB, and DEL: in no header value */
    WEFT_CLASS_PATH_STOP = 4, /* ends a run of plain path bytes: SP, '?', '%', '#', refused bytes */
    WEFT_CLASS_QUERY_STOP = 8, /* the same for a query: SP, '#', refused bytes */
    WEFT_CLASS_HEX = 16,
    WEFT_CLASS_HOST = 32,   /* reg-name but for '%', RFC 3986 3.2.2 */
    WEFT_CLASS_QUOTED = 64, /* qdtext, RFC 9110 5.6.4 */
};

extern const uint8_t weft_parse_class[256];

static inline bool weft_byte_is(char c, unsigned class_bits)
{
    return (weft_parse_class[(uint8_t)c] & class_bits) != 0;
}

/** The value of a byte of WEFT_CLASS_HEX, 0..15. */
static inline unsigned weft_hex_value(char c)
{
    unsigned u = (uint8_t)c;
    return (u & 15) + (u >> 6) * 9; /* letters have bit 6, and 'A' & 15 is 1 */
}

#endif
