/* open_files.h - files that stay open from one request to the next, and small ones in memory.
 *
 * A file is asked for by a root directory and a path below it, by whom wants to answer with it.
 * What is learned once (descriptor, size, times, validator, and of small files the bytes
 * themselves: a copy of our own, never a mapping that a truncation could pull away) serves the
 * requests that follow, until the file or its name changes.
 *
 * A change is heard of (inotify) before the next request is served. Where there is nothing to hear,
 * as when a directory above is renamed, a link points elsewhere or a mapping is written to, a look
 * at the name (stat) finds out: at most `valid_ms` later.
 *
 * Lifetime: struct weft_files: worker. A file: borrowed by a request until it ends, whatever
 * becomes of its name meanwhile. Threads:  the owner worker only. Memory: weft_file_table_bytes(),
 * an account of its own; a file that the table has no room for: the request's arena.
 */
#ifndef WEFT_SERVE_FILES_OPEN_FILES_H
#define WEFT_SERVE_FILES_OPEN_FILES_H

#include <weft/response.h>
#include "base/base.h"
#include "io/loop.h"
#include "serve/files/file_table.h"

#define WEFT_FILE_PATH_BYTES_MAX 4096 /* with the zero: longer paths are "not there" */

/* A worker's open files. */
struct weft_files {
    struct weft_file_table table;
    struct weft_loop *loop;  /* borrowed */
    int inotify;             /* -1: none, a look at each file instead */
    struct weft_watch ready; /* armed while `inotify` is there */
    struct weft_timer tick;  /* armed while anything is in the table */
};

/** returns  0, WEFT_EBUDGET, WEFT_ENOMEM */
WEFT_CHECK weft_rc weft_files_init(struct weft_files *files,
                                   const struct weft_file_options *options,
                                   struct weft_account *account, struct weft_loop *loop);
/** Behind the last request; the loop is not turned any more. One that was never made is good. */
void weft_files_fini(struct weft_files *files);

/** Memory is short: what no request uses is closed, and its pages handed back. */
void weft_files_shrink(struct weft_files *files);

/** The regular file at path below root_fd; the kernel refuses what leaves the root, however it is
 *  spelled (openat2 RESOLVE_BENEATH). FIFOs, sockets and devices are not opened, not even to look.
 *  path     decoded, relative, not zero-terminated; leading slashes are dropped. Borrowed for the
 *           call
 *  out      borrowed until the request ends
 *  returns  0; -ENOENT: nothing there, or no file; -EISDIR: a directory; -EACCES: may not be read,
 *           or leaves the root; WEFT_EFULL (descriptors, offload queue), WEFT_ENOMEM,
 *           WEFT_ECANCELED, WEFT_EDEADLINE: a name that the kernel has not cached is looked up by
 *           the offload pool; another -errno (500, counted): a broken disk and the like */
WEFT_CHECK weft_rc weft_open_file(weft_req *rq, int root_fd, weft_str path,
                                  const struct weft_open_file **out);

/** What it means that the kernel would not open a name; counted where that is nobody's wish.
 *  error    -errno
 *  returns  as weft_open_file() */
weft_rc weft_open_failed(const weft_req *rq, int error);

/** A file beside this one, number `which` (0..7) as the caller counts them, is not there: for
 *  files.valid_ms it need not be looked for again. */
void weft_open_file_lacks(weft_req *rq, const struct weft_open_file *file, uint32_t which);
bool weft_open_file_known_to_lack(const weft_req *rq, const struct weft_open_file *file,
                                  uint32_t which);

/** Answer with bytes [offset, offset + len) of it, which lie within its size: from memory where it
 *  is there, else from the page cache, by whatever way the setting files.send says. They are not
 *  copied.
 *  type     static or borrowed until the request ends
 *  returns  0, WEFT_ESTATE, WEFT_EINVAL: as weft_reply() */
WEFT_CHECK weft_rc weft_open_file_reply(weft_req *rq, int status, weft_str type,
                                        const struct weft_open_file *file, uint64_t offset,
                                        uint64_t len);

#endif
