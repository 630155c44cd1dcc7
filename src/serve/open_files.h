/* open_files.h - files that stay open from one request to the next, and small ones in memory.
 *
 * A file is asked for by a root directory and a path below it, by whom wants to answer with it.
 * What is learned once (descriptor, size, times, validator, and of small files the bytes
 * themselves: a copy of our own, never a mapping that a truncation could pull away) serves the
 * requests that follow, until the file or its name changes.
 *
 * Lifetime: a file: borrowed by a request until it ends, whatever becomes of the name meanwhile.
 * Threads:  the request's worker.
 * Memory:   a file of a request's own: its arena.
 */
#ifndef WEFT_SERVE_OPEN_FILES_H
#define WEFT_SERVE_OPEN_FILES_H

#include <weft/response.h>
#include "base/base.h"

#define WEFT_FILE_PATH_BYTES_MAX 4096 /* with the zero: longer paths are "not there" */
#define WEFT_FILE_ETAG_BYTES     64

struct weft_open_file {
    int fd; /* to send from; -1: all of it is in `body` */
    uint64_t size;
    int64_t mtime_s; /* since 1970 */
    uint32_t mtime_ns;
    uint64_t device, inode;
    weft_str etag; /* strong, quotes included: size and time of change (RFC 9110 8.8.3) */
    weft_str body; /* the whole file in memory; ptr NULL: it is not */
};

/** The regular file at path below root_fd; the kernel refuses what leaves the root, however it is
 *  spelled (openat2 RESOLVE_BENEATH). FIFOs, sockets and devices are not opened, not even to look.
 *  path     decoded, relative, not zero-terminated; leading slashes are dropped. Borrowed for the
 *           call
 *  out      borrowed until the request ends
 *  returns  0; -ENOENT: nothing there, or no file; -EISDIR: a directory; -EACCES: may not be read,
 *           or leaves the root; WEFT_EFULL (descriptors, offload queue), WEFT_ENOMEM,
 * WEFT_ECANCELED, WEFT_EDEADLINE: a name that the kernel has not cached is looked up by the offload
 * pool */
WEFT_CHECK weft_rc weft_open_file(weft_req *rq, int root_fd, weft_str path,
                                  const struct weft_open_file **out);

/** Answer with bytes [offset, offset + len) of it, which lie within its size: from memory where it
 *  is there, else from the page cache, by whatever way the setting files.send says. They are not
 *  copied.
 *  type     static or borrowed until the request ends
 *  returns  0, WEFT_ESTATE, WEFT_EINVAL: as weft_reply() */
WEFT_CHECK weft_rc weft_open_file_reply(weft_req *rq, int status, weft_str type,
                                        const struct weft_open_file *file, uint64_t offset,
                                        uint64_t len);

#endif
