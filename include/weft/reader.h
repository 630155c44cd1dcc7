/* reader.h - a file, piece by piece: for handlers that make something else of it. (A file as it is
 * is weft_file(), which reads nothing.)
 *
 * Lifetime: a reader: until the request ends. Pieces: until the next call.
 * Threads:  the request's worker; what the page cache does not have is read by the offload pool.
 * Memory:   the buffer: yours, or in the arena (rule 4).
 */
#ifndef WEFT_READER_H
#define WEFT_READER_H

#include <weft/request.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

typedef struct weft_reader weft_reader; /* opaque; in the arena */

/** Open the regular file at path below the setting `root`. Waits where its name is not cached (rule
 *  7).
 *  path          decoded; leading slashes are dropped; below 4 KiB. Borrowed for the call
 *  buffer        yours, for as long as the reader is used; NULL: in the arena
 *  buffer_bytes  longest piece, > 0; in the arena 3, 15 or 60 KiB fill a chunk
 *  returns       0; WEFT_ENOTFOUND (404): nothing there, no regular file, or no root;
 *                -EACCES: may not be read, or leaves the root (answer 403);
 *                WEFT_EFULL, WEFT_ENOMEM, WEFT_ECANCELED, WEFT_EDEADLINE */
WEFT_CHECK weft_rc weft_reader_open(weft_req *rq, weft_str path, char *buffer, size_t buffer_bytes,
                                    weft_reader **out);

/** Bytes that it had when it was opened: what is read in the end. */
uint64_t weft_reader_size(const weft_reader *reader);

/** The next piece: yours to change, until the next call. Waits (rule 7).
 *  out      1 or more bytes, NULL at the end
 *  out_len  0 at the end
 *  returns  0; -EIO: it cannot be read, or was cut meanwhile; WEFT_EFULL, WEFT_ECANCELED,
 *           WEFT_EDEADLINE */
WEFT_CHECK weft_rc weft_reader_next(weft_reader *reader, char **out, size_t *out_len);

/** The same in whole lines: a piece ends behind an LF, at the end, or where a line is longer than
 *  the buffer. */
WEFT_CHECK weft_rc weft_reader_lines(weft_reader *reader, char **out, size_t *out_len);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
