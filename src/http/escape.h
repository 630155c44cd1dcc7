/* escape.h - a checked build finds slices of a request that outlive it (API rule 2).
 *
 * When a request ends, what lives longer is searched for words that point into its memory: its
 * arena and the bytes of its head. Searched are the program's own data (its writable segments) and
 * the objects of its pools. What is found is told once per place, with the route, and counted; the
 * memory itself is overwritten as it goes back (mem/pool), so that using it shows as well. A heap
 * block or a stack that keeps a slice is not found by this, but by the address sanitizer.
 *
 * Lifetime: none.
 * Threads:  any worker; places that were told are shared by all.
 * Memory:   a table of WEFT_ESCAPES_MAX places, static, in checked builds only.
 */
#ifndef WEFT_HTTP_ESCAPE_H
#define WEFT_HTTP_ESCAPE_H

#include "http/message.h"

#define WEFT_ESCAPES_MAX 64 /* places that are told; later ones are counted only */

#ifdef WEFT_CHECKED
/** Before a request's memory goes back.
 *  cost  some 10 us for each 100 KB of program data: checked builds only */
void weft_escape_look(weft_req *rq);
#else
static inline void weft_escape_look(weft_req *rq)
{
    (void)rq;
}
#endif

#endif
