/* save.h - bytes of a request to a file, without holding up the worker.
 *
 * Where the file system can tell whether a write would wait (RWF_NOWAIT), bytes go from where they
 * lie. Where it cannot (ext4), a thread of the offload pool writes, and bytes are gathered before
 * that: a hop to a thread and back costs more than the write of one receive buffer.
 *
 * Lifetime: a saver: the request.
 * Threads:  the request's worker.
 * Memory:   up to WEFT_SAVE_BYTES of the arena, once it gathers; less where the cap leaves less.
 */
#ifndef WEFT_SERVE_INPUT_SAVE_H
#define WEFT_SERVE_INPUT_SAVE_H

#include <weft/form.h>
#include "base/base.h"

#define WEFT_SAVE_BYTES ((size_t)60 << 10) /* a chunk of 64 KiB, less what else is in it */

struct weft_saver {
    weft_req *rq;
    int fd;
    bool gathers;
    char *buffer; /* in the arena; NULL: none yet, or none to be had */
    size_t room, len;
};

/** Begin with another file; the buffer stays. */
void weft_saver_begin(struct weft_saver *saver, weft_req *rq, int fd);

/** Write bytes at the file's offset, sooner or later; borrowed for the call.
 *  returns  0; -errno of write(2); WEFT_EFULL, WEFT_ECANCELED, WEFT_EDEADLINE: some may be written
 */
WEFT_CHECK weft_rc weft_saver_add(struct weft_saver *saver, weft_str bytes);

/** All of it is written when this returns. returns  as weft_saver_add() */
WEFT_CHECK weft_rc weft_saver_end(struct weft_saver *saver);

#endif
