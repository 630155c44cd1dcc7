/* beneath.h - names below a root directory: looked at, and opened if they are files.
 *
 * openat2(RESOLVE_BENEATH) is what keeps requests inside the root: the kernel refuses whatever
 * leaves it, however it is spelled, also through links made while we look. A name is looked at
 * before it is opened: opening a FIFO wakes its writer, opening a device may do anything.
 *
 * Lifetime: plain values; the descriptor is the caller's.
 * Threads:  any.
 * Memory:   none.
 */
#ifndef WEFT_SERVE_FILES_BENEATH_H
#define WEFT_SERVE_FILES_BENEATH_H

#include <sys/stat.h>
#include "base/base.h"

struct weft_beneath {
    int root_fd;
    const char *path_z; /* borrowed */
    bool cached;        /* only if the kernel has the name in its cache: else -EAGAIN */
    int fd;             /* from weft_beneath_open(); or -errno */
    struct stat info;
};

/** What is there? info is filled in unless the name cannot be found.
 *  returns  0: a regular file; -EISDIR; -ENOENT: nothing, or neither of both; -EAGAIN; another
 *           -errno */
WEFT_CHECK int weft_beneath_look(struct weft_beneath *name);

/** Open a regular file for reading: fd, and info of what was opened; or fd is the -errno that a
 *  look gives. */
void weft_beneath_open(struct weft_beneath *name);

/** What the kernel says, in the few words that callers tell apart.
 *  returns  -ENOENT (nothing there, or nothing that is a file), -EISDIR, -EACCES (forbidden, or it
 *           leaves the root), WEFT_EFULL (another time, maybe); others as they are: whether the
 * file is there cannot be told */
weft_rc weft_beneath_meaning(int error);

#endif
