/* file.h - an answer with a file: which representation, whether the client has it already, and
 * which bytes of it.
 *
 * Opening, keeping and sending is open_files.h; here is what HTTP makes of it (RFC 9110): types,
 * validators, conditions, ranges, codings that lie beside a file. Answers to requests for several
 * ranges are byteranges.h's.
 *
 * Lifetime: the request that asks for the file.
 * Threads:  rules are immutable: any. Answering: the request's worker.
 * Memory:   headers in the request's arena, less than 1 KiB; the bytes never pass through it.
 */
#ifndef WEFT_SERVE_FILES_FILE_H
#define WEFT_SERVE_FILES_FILE_H

#include <weft/response.h>
#include "base/base.h"
#include "serve/files/open_files.h"

/* How files are answered with; all of it may be empty. */
struct weft_file_rules {
    weft_str cache_control; /* value of Cache-Control; empty: none. Static or the application's */
    bool precompressed;     /* file.zst, file.br and file.gz beside a file are it, compressed */
};

/** Answer with the file at path below root_fd: 200, 206, 304; 412 and 416 as the headers of a GET
 * or HEAD ask, those of other methods are not looked at; 403 for what may not be read or leaves the
 *  root by any spelling.
 *  path     decoded; leading slashes are dropped; borrowed for the call
 *  returns  0: answered. Nothing was: -ENOENT, there is no such file; -EISDIR, it is a directory;
 *           and as weft_open_file() */
WEFT_CHECK weft_rc weft_file_send(weft_req *rq, int root_fd, weft_str path,
                                  const struct weft_file_rules *rules);

/** 404 "File not found". */
WEFT_CHECK weft_rc weft_file_missing(weft_req *rq);

#endif
