/* status.h - what was answered, counted: by class, and each status that says no by itself.
 *
 * Lifetime: none.
 * Threads:  the loop's worker.
 * Memory:   none.
 */
#ifndef WEFT_HTTP_STATUS_H
#define WEFT_HTTP_STATUS_H

#include "io/loop.h"

/** An answer with this status (200..999) is on its way. */
void weft_status_count(struct weft_loop *loop, int status);

#endif
