/* byteranges.h - several ranges of a file in one answer: multipart/byteranges (RFC 9110 14.6).
 *
 * A stream whose length is known: heads of parts are copied into its block, the file's bytes are
 * not.
 *
 * Lifetime: the request.
 * Threads:  the request's worker; it waits for the client, on its task.
 * Memory:   a boundary and a type in the request's arena; a stream's block while it is sent.
 */
#ifndef WEFT_SERVE_FILES_BYTERANGES_H
#define WEFT_SERVE_FILES_BYTERANGES_H

#include <weft/response.h>
#include "base/base.h"
#include "serve/files/open_files.h"
#include "serve/files/range.h"

/** Answer 206 with those ranges, two or more, of a file.
 *  type     of the file; static or borrowed until the request ends
 *  returns  0; as weft_begin() and weft_write() */
WEFT_CHECK weft_rc weft_byteranges_reply(weft_req *rq, weft_str type,
                                         const struct weft_open_file *file,
                                         const struct weft_ranges *ranges);

#endif
