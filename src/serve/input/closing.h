/* closing.h - closes descriptors on a thread of the offload pool.
 *
 * The last close of a file that has no name frees its pages and its blocks: 70 ms for a GiB, and
 * longer where the disk is writing it just then. Nobody waits for that.
 *
 * Lifetime: process.
 * Threads:  any.
 * Memory:   40 bytes for each of WEFT_CLOSINGS_MAX, static.
 */
#ifndef WEFT_SERVE_INPUT_CLOSING_H
#define WEFT_SERVE_INPUT_CLOSING_H

#include "io/offload.h"

#define WEFT_CLOSINGS_MAX 64 /* under way at once */

/** Close fd, soon; here and now where the pool has no place for it, or WEFT_CLOSINGS_MAX are under
 *  way. pool NULL is good.
 *  returns  whether a thread does it */
bool weft_close_by_thread(struct weft_offload *pool, int fd);

#endif
