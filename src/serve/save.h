/* save.h - bytes of a request to a file, without holding up the worker.
 *
 * Lifetime: none.
 * Threads:  the request's worker.
 * Memory:   none; a thread of the offload pool writes from where the bytes lie.
 */
#ifndef WEFT_SERVE_SAVE_H
#define WEFT_SERVE_SAVE_H

#include <weft/form.h>
#include "base/base.h"

/** Write all bytes at the file's offset; borrowed for the call. First as far as the page cache
 * takes them at once (RWF_NOWAIT), the rest by the offload pool: most file systems cannot tell
 *  beforehand whether a write waits.
 *  returns  0; -errno of write(2); WEFT_EFULL, WEFT_ECANCELED, WEFT_EDEADLINE: some may be written
 */
WEFT_CHECK weft_rc weft_save(weft_req *rq, int fd, weft_str bytes);

#endif
