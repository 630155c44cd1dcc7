/* status.h - what was answered, counted: by class, and each status that says no by itself.
 *
 * Lifetime: none.
 * Threads:  the loop's worker.
 * Memory:   none.
 */
#ifndef WEFT_HTTP_STATUS_H
#define WEFT_HTTP_STATUS_H

#include "io/loop.h"

void weft_status_count_other(struct weft_loop *loop, int status);

/** An answer with this status (200..999) is on its way. */
static inline void weft_status_count(struct weft_loop *loop, int status)
{
    if (WEFT_LIKELY(status < 300))
        weft_loop_count(loop, WEFT_COUNTER_RESPONSES_2XX);
    else
        weft_status_count_other(loop, status);
}

#endif
