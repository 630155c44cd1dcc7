/* pattern.h - the text of a route, cut into parts.
 *
 *   /static/text        the bytes themselves
 *   {name} or :name     one segment, not empty
 *   {id:u64} {n:i64}    one segment that is such a number
 *   {x:[a-z]+}          a regular expression that matches from end to end: one segment where text
 *                       follows, all that is left of the path where it stands last
 *   {file:^.*$}         all that is left, slashes included; no regular expression runs (also .*
 * and, not empty, .+)
 *   * or *name          last: all that is left, maybe nothing; its name is "*" or what is given
 *
 * A parameter ends its segment; text may stand before it ("/v{major:u64}/x"), not behind it.
 *
 * Lifetime: a pattern lives as long as the router that it was added to; parts borrow its text.
 * Threads:  any: immutable once made.
 * Memory:   weft_pattern_bytes() from the heap, while the server starts.
 */
#ifndef WEFT_HTTP_PATTERN_H
#define WEFT_HTTP_PATTERN_H

#include "base/str.h"

#define WEFT_PARAMS_MAX        8                         /* parameters of one pattern */
#define WEFT_PARTS_MAX         (2 * WEFT_PARAMS_MAX + 1) /* text between and around them */
#define WEFT_PATTERN_BYTES_MAX 1024

/** What a part takes; in the order in which a router tries them. */
enum weft_part_kind {
    WEFT_PART_TEXT,
    WEFT_PART_U64,
    WEFT_PART_I64,
    WEFT_PART_SEGMENT,   /* up to the next '/', not empty */
    WEFT_PART_REGEX,     /* one segment */
    WEFT_PART_REGEX_END, /* the rest, through a regular expression */
    WEFT_PART_REST_SOME, /* the rest, not empty */
    WEFT_PART_REST,      /* the rest */
    WEFT_PART_WILDCARD,  /* the rest, after everything else */
};

struct weft_part {
    enum weft_part_kind kind;
    weft_str text;  /* borrowed from the pattern: static bytes, or the regular expression */
    weft_str name;  /* borrowed from the pattern: of a parameter; empty for static bytes */
    uint32_t regex; /* 0; the router numbers its regular expressions here, from 1 */
};

struct weft_parts {
    uint32_t count;
    struct weft_part at[WEFT_PARTS_MAX];
};

struct weft_pattern {
    weft_str text;                   /* owned: lies behind this struct */
    uint8_t param_count;             /* 0..WEFT_PARAMS_MAX */
    weft_str names[WEFT_PARAMS_MAX]; /* borrowed from text, but for the static "*" */
};

/** Cut text into parts.
 *  text     starts with '/' or is "*" (short for the pattern that matches every path); at most
 *           WEFT_PATTERN_BYTES_MAX bytes, percent-decoded, no control bytes
 *  error    room for error_bytes; on an error a zero-terminated line that says what is wrong, and
 *           at which byte
 *  returns  0; WEFT_ESYNTAX: *out is then undefined */
WEFT_CHECK
weft_rc weft_pattern_parse(weft_str text, struct weft_parts *out, char *error, size_t error_bytes);

/** Bytes of a pattern over that text. */
static inline size_t weft_pattern_bytes(weft_str text)
{
    return sizeof(struct weft_pattern) + text.len;
}

/** Make a pattern in memory of weft_pattern_bytes(text), copy the text, and cut the copy into
 *  *out: its slices live as long as the pattern. text has passed weft_pattern_parse(). */
void weft_pattern_init(struct weft_pattern *pattern, weft_str text, struct weft_parts *out);

/** Where a parameter of that name stands, 0..7; -1 when there is none. */
int weft_pattern_param(const struct weft_pattern *pattern, weft_str name);

#endif
