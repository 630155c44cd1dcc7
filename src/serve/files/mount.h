/* mount.h - a directory under a URL: index files, redirects, listings, and the files themselves.
 *
 * Lifetime: process: rules are read-only once workers run.
 * Threads:  any.
 * Memory:   sizeof(struct weft_mount) and its texts, the application's heap at the start; a request
 *           of one that lists takes up to WEFT_LISTING_MEMORY_BYTES of its arena.
 */
#ifndef WEFT_SERVE_FILES_MOUNT_H
#define WEFT_SERVE_FILES_MOUNT_H

#include "serve/files/file.h"

struct weft_mount {
    weft_str url;       /* decoded, begins and ends with '/' */
    weft_str directory; /* empty: the setting `root` */
    weft_str index;     /* files that stand for a directory, the first that is there; empty: none */
    struct weft_file_rules rules;
    bool listing; /* where there is no index */
    bool hidden;  /* names that begin with a dot are served too */
    int root_fd;  /* owned by who opened it; -1: nothing is there */
};

/** The handler of "<url>*": its route's context is the mount. */
WEFT_CHECK weft_rc weft_mount_serve(weft_req *rq);

/** The handler of "<url>" without its last slash: 301. */
WEFT_CHECK weft_rc weft_mount_redirect(weft_req *rq);

#endif
