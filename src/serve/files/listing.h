/* listing.h - what lies in a directory, as a page.
 *
 * Read by the offload pool, which may have to wait for the disk; sorted; written as a stream.
 *
 * Lifetime: the request.
 * Threads:  the request's worker; it waits, on its task.
 * Memory:   WEFT_LISTING_BYTES of the request's arena, however large the directory is.
 */
#ifndef WEFT_SERVE_FILES_LISTING_H
#define WEFT_SERVE_FILES_LISTING_H

#include <weft/response.h>
#include "base/base.h"

#define WEFT_LISTING_ENTRIES_MAX  1000                /* beyond: left out, and the page says so */
#define WEFT_LISTING_NAMES_BYTES  32768               /* likewise */
#define WEFT_LISTING_MEMORY_BYTES ((size_t)128 << 10) /* what such a route promises */

/** Answer GET or HEAD with the entries of the directory at path below root_fd: directories and
 *  regular files, links by their name. 404 where it is not there any more, 403 where it may not be
 *  read.
 *  path     decoded, relative or empty; borrowed for the call
 *  hidden   names that begin with a dot too
 *  returns  0: answered; as weft_offload(), weft_begin() and weft_write(); WEFT_ENOMEM */
WEFT_CHECK weft_rc weft_listing_send(weft_req *rq, int root_fd, weft_str path, bool hidden);

#endif
