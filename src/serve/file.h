/* file.h - files below a root, from the page cache to the socket.
 *
 * Lifetime: a root: process. A file: the request that sends it.
 * Threads:  a root is immutable: any. Sending: the request's worker.
 * Memory:   nothing beyond the request; the bytes never pass through user memory.
 */
#ifndef WEFT_SERVE_FILE_H
#define WEFT_SERVE_FILE_H

#include <weft/response.h>
#include "base/base.h"

/** Answer with the file at path below the directory root_fd. A path that leaves the root by any
 * spelling (dot segments, links, absolute), a directory, a FIFO or a device is "not there". path
 * decoded; leading slashes are dropped returns  0: answered, 200 or 404 "File not found" or 403;
 * WEFT_EFULL, WEFT_ECANCELED (a cold name is looked up by the offload pool) */
WEFT_CHECK weft_rc weft_file_send(weft_req *rq, int root_fd, weft_str path);

/** The media type by the name's ending; application/octet-stream when it is unknown. Static. */
weft_str weft_file_type(weft_str path);

#endif
