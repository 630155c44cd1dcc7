/* hold.h - a checked build tells of handlers that hold their worker's loop (API rule 8).
 *
 * While a handler runs, everybody else on its worker waits. Measured is each stretch between two
 * waits, from the call or the return of a wait to the next wait or the end; one longer than
 * WEFT_HOLD_MS_MAX is told with its route, and counted.
 *
 * Lifetime: worker.
 * Threads:  the owner worker only.
 * Memory:   8 bytes for each worker, in checked builds only.
 */
#ifndef WEFT_HTTP_HOLD_H
#define WEFT_HTTP_HOLD_H

#include "http/message.h"

#define WEFT_HOLD_MS_MAX 5

#ifdef WEFT_CHECKED
/** From now on the handler of rq has the loop. */
void weft_hold_begin(weft_req *rq);
/** It waits, or is done: tell of it when that took too long. */
void weft_hold_end(weft_req *rq);
#else
static inline void weft_hold_begin(weft_req *rq)
{
    (void)rq;
}
static inline void weft_hold_end(weft_req *rq)
{
    (void)rq;
}
#endif

#endif
