/* objects.h - the pools of objects that a program declares (weft/mem.h), as the server opens them.
 *
 * Lifetime: opened while the server is built, closed when its workers have ended.
 * Threads:  opening and closing: the main thread. A worker says once who it is.
 * Memory:   weft_objects_bytes(), on accounts of their own; the store itself is heap at start.
 */
#ifndef WEFT_MEM_OBJECTS_H
#define WEFT_MEM_OBJECTS_H

#include <weft/mem.h>
#include "mem/budget.h"

#define WEFT_OBJECT_BYTES_MAX ((size_t)1 << 20)
#define WEFT_OBJECTS_MAX      ((uint32_t)1 << 24) /* of one worker: indexes of 256 fit */

/** Map a pool for so many workers and book it.
 *  returns  0; WEFT_ESTATE (open already), WEFT_EBUDGET, WEFT_ENOMEM, WEFT_EFULL (accounts, or more
 *           objects than a handle can tell apart) */
WEFT_CHECK weft_rc weft_objects_open(weft_objects *objects, struct weft_ledger *ledger,
                                     uint32_t workers);

/** Have all of its pages in memory from now on; before the first take.
 *  returns  0; WEFT_ENOMEM: there are not so many */
WEFT_CHECK weft_rc weft_objects_prefault(weft_objects *objects);

/** Objects that are still out go with it. A pool that is not open is accepted. */
void weft_objects_close(weft_objects *objects);

#ifdef WEFT_CHECKED
/** Every object that is out, of every pool that is open: for the look at what outlives requests.
 *  It reads what other workers may be writing. */
void weft_objects_each(void (*look)(void *arg, const weft_objects *objects, const void *object),
                       void *arg);
#endif

/** Hand back pages whose objects were not out for a whole window, at most about bytes_max of them
 *  at once. Those that an init() made stay: they hold something. Any thread; of a pool that is
 *  per_worker the calling worker's part.
 *  window_over  a window ends here, the next one begins
 *  returns      is something free that a later call may hand back? */
bool weft_objects_reclaim(weft_objects *objects, bool window_over, size_t bytes_max);

/** Takes and puts of a worker's part so far; 0 for a pool that is not per_worker, or whose pages
 * stay. Any thread: has it been used since? */
uint64_t weft_objects_activity(const weft_objects *objects, uint32_t worker);

/** The calling thread is this worker from now on. */
void weft_objects_enter(uint32_t worker);

#endif
