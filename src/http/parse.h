/* parse.h - HTTP/1 request heads: bytes in, spans out (RFC 9112, RFC 9110).
 *
 * Strict: what could be read in two ways is refused, each rule with a code of its own from
 * parse_errors.def, which knows its status, its counter and its words. The answer does not depend
 * on how the bytes arrived: a prefix of a head gives WEFT_PARSE_MORE or the answer of the whole.
 *
 * Lifetime: spans are offsets into the caller's bytes and stay good as long as those, even moved.
 * Threads:  any: pure functions.
 * Memory:   none; the caller brings head and fields (8 bytes per header line).
 */
#ifndef WEFT_HTTP_PARSE_H
#define WEFT_HTTP_PARSE_H

#include "base/counter.h"
#include "http/method.h"

#define WEFT_PARSE_HEAD_BYTES_MAX   65535 /* spans are 16 bits wide: no limit goes beyond */
#define WEFT_PARSE_METHOD_BYTES_MAX 32    /* longer methods are answered 501, RFC 9112 3 */

/** Results of parsing that are no errors. Negative, so that > 0 is an enum weft_parse_error. */
enum {
    WEFT_PARSE_MORE = -1,   /* incomplete: call again with more bytes */
    WEFT_PARSE_FIELDS = -2, /* complete and good, but the array of fields is too small */
};

/** Why bytes were refused: always > 0. After one of these the connection is closed. */
enum weft_parse_error {
    WEFT_PARSE_GOOD = 0,
#define WEFT_PARSE_ERROR(id, status, counter, text) WEFT_PARSE_BAD_##id,
#include "http/parse_errors.def"
#undef WEFT_PARSE_ERROR
    WEFT_PARSE_ERROR_COUNT
};

/** The three columns of parse_errors.def; `error` is an enum weft_parse_error > 0. */
int weft_parse_error_status(int error);
const char *weft_parse_error_text(int error); /* static, zero-terminated */
enum weft_counter weft_parse_error_counter(int error);

/** Bytes within the head's buffer. */
struct weft_span {
    uint16_t off;
    uint16_t len;
};

/** One header line; the value is trimmed of spaces and tabs and may be empty. */
struct weft_field {
    struct weft_span name;
    struct weft_span value;
};

enum {
    WEFT_HEAD_HAS_LENGTH = 1,     /* content_length was sent */
    WEFT_HEAD_CHUNKED = 2,        /* Transfer-Encoding: chunked, and no length */
    WEFT_HEAD_CLOSE = 4,          /* Connection: close */
    WEFT_HEAD_KEEP_ALIVE = 8,     /* Connection: keep-alive */
    WEFT_HEAD_EXPECT_100 = 16,    /* Expect: 100-continue; never set for HTTP/1.0 */
    WEFT_HEAD_EXPECT_OTHER = 32,  /* an expectation that nobody knows: 417 */
    WEFT_HEAD_HOST = 64,          /* a Host line, maybe empty */
    WEFT_HEAD_UPGRADE = 128,      /* Upgrade, named by Connection; never set for HTTP/1.0 */
    WEFT_HEAD_PATH_ESCAPED = 256, /* a '%' in the path: weft_path_decode() it */
    WEFT_HEAD_ABSOLUTE = 512,     /* the target was in absolute-form */
    WEFT_HEAD_ASTERISK = 1024,    /* OPTIONS *, RFC 9112 3.2.4 */
    WEFT_HEAD_TE_TRAILERS = 2048, /* TE: trailers */
};

struct weft_head {
    uint8_t method;        /* enum weft_method; never WEFT_CONNECT, which is refused */
    uint8_t version_minor; /* 0 or 1; HTTP/1.2 to 1.9 are served as 1.1, RFC 9110 2.5 */
    uint16_t flags;        /* WEFT_HEAD_* */
    uint16_t field_count;  /* header lines, also those beyond field_room */
    uint16_t bytes;        /* of the head, from the buffer's start to behind the last CRLF */
    struct weft_span method_name;
    struct weft_span target;
    struct weft_span path;      /* begins with '/' in every form but '*', where it is the '*' */
    struct weft_span query;     /* behind the '?'; off 0 where there is no '?' */
    struct weft_span authority; /* host[:port] of an absolute target, else of Host; may be empty */
    uint64_t content_length;    /* 0 without WEFT_HEAD_HAS_LENGTH */
};

struct weft_parse_limits {
    uint32_t head_bytes_max;   /* WEFT_PARSE_HEAD_BYTES_MAX at most counts; beyond: 431 */
    uint32_t target_bytes_max; /* beyond: 414 */
    uint16_t field_count_max;  /* beyond: 431 */
};

/** Parse one request head at the start of buf; an empty line before it is skipped and counted.
 *  buf         what was received so far; bytes behind the head are not looked at
 *  out, fields the caller's; good after 0 only (after WEFT_PARSE_FIELDS just out->field_count)
 *  field_room  entries of fields
 *  returns     0; WEFT_PARSE_MORE; WEFT_PARSE_FIELDS: call again with room for out->field_count;
 *              else an enum weft_parse_error. At len >= head_bytes_max it is never MORE.
 *  cost        one pass, about 10 to 20 ns and 0.2 ns per byte (bench/parse.c); each call starts
 *              over, so call it first on what arrived, then when weft_parse_head_complete() says
 *              so or len reaches head_bytes_max */
WEFT_CHECK
int weft_parse_head(const char *buf, size_t len, const struct weft_parse_limits *limits,
                    struct weft_head *out, struct weft_field *fields, uint16_t field_room);

/** The same without vector instructions: what other machines run; the tests compare the two. */
WEFT_CHECK
int weft_parse_head_scalar(const char *buf, size_t len, const struct weft_parse_limits *limits,
                           struct weft_head *out, struct weft_field *fields, uint16_t field_room);

/** Does buf hold a whole head, or something that is refused before its end? Then parse it.
 *  scanned  in and out: bytes looked at by earlier calls on the same (grown) buffer, at first 0.
 *           Every byte is looked at once, so a head that comes byte by byte costs O(n). */
bool weft_parse_head_complete(const char *buf, size_t len, size_t *scanned);

/** Percent-decode a path once (RFC 3986 2.1); '+' stays, an encoded '/' becomes one.
 *  to       room for path.len bytes; may be path.ptr itself
 *  returns  0; WEFT_PARSE_BAD_PATH_ESCAPE or WEFT_PARSE_BAD_PATH_NUL (escaped or not): *out_len is
 *           untouched, `to` holds anything */
WEFT_CHECK
int weft_path_decode(char *to, weft_str path, size_t *out_len);

/** A span as a slice of its buffer; borrowed as long as buf. */
static inline weft_str weft_span_str(const char *buf, struct weft_span span)
{
    return (weft_str){buf + span.off, span.len};
}

#endif
