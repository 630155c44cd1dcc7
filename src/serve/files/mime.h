/* mime.h - the media type of a file, by its name's ending.
 *
 * The system's mime.types first, so that what its owner says holds; for what it does not know, or
 * where there is none, a table of the web's own types. Endings are compared without case.
 *
 * Lifetime: a table: process. Types that it gives live as long.
 * Threads:  read-only once it is made.
 * Memory:   weft_mime_bytes() of the heap, at most WEFT_MIME_BYTES_MAX, while the server starts.
 */
#ifndef WEFT_SERVE_FILES_MIME_H
#define WEFT_SERVE_FILES_MIME_H

#include "base/base.h"

#define WEFT_MIME_FILE_BYTES_MAX                                                                   \
    ((size_t)256 << 10)            /* of a mime.types; what is beyond is unread                    \
                                    */
#define WEFT_MIME_ENDINGS_MAX 4096 /* beyond: not taken */
#define WEFT_MIME_ENDING_MAX  15   /* bytes of one, without its dot */
#define WEFT_MIME_TYPE_MAX    127  /* bytes of a type */
#define WEFT_MIME_CHARSET_MAX 32
#define WEFT_MIME_BYTES_MAX   ((size_t)512 << 10)

struct weft_mime;

/** Take the pairs of a mime.types apart: "type ending ending", # begins a comment.
 *  text     any bytes; lines and words that are no such thing are skipped
 *  take     called for each pair, both borrowed from text; false ends it
 *  source   mime.types(5); RFC 6838 4.2 (names) */
void weft_mime_read(weft_str text, bool (*take)(void *arg, weft_str ending, weft_str type),
                    void *arg);

/** Make a table of a file's text and the built-in types.
 *  text     of a mime.types, borrowed for the call; empty: the built-in types alone
 *  charset  said of text types: "text/html; charset=utf-8"; empty: none is
 *  out      owned: weft_mime_destroy()
 *  returns  0; WEFT_ENOMEM */
WEFT_CHECK weft_rc weft_mime_create(weft_str text, weft_str charset, struct weft_mime **out);
void weft_mime_destroy(struct weft_mime *mime);

/** Bytes that it holds. */
size_t weft_mime_bytes(const struct weft_mime *mime);

/** The type for a path, by what follows the last dot of its last segment; a name that begins with
 *  its only dot has no ending. application/octet-stream where nothing is known.
 *  mime     NULL: the built-in types, without a charset
 *  returns  until the table is destroyed; static without one */
weft_str weft_mime_type(const struct weft_mime *mime, weft_str path);

/** Is it of no use to compress such bodies: pictures, films, archives ...?
 *  type     parameters behind it do not matter */
bool weft_mime_is_compressed(weft_str type);

#endif
