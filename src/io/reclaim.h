/* reclaim.h - a worker hands back to the system what it no longer needs.
 *
 * Once per window the free slots of every pool are looked at: what lay still for a whole window was
 * not needed in it, and its pages go back. So a peak is gone two windows after its last request,
 * with no further traffic, and a load that goes on keeps what it uses. Where little of the worker's
 * elastic memory is left, the governor (mem/governor.h) starts a pass at once, and under pressure
 * (base/limits.h) so does relief: then all that is free goes. A pass is cut into steps whose
 * predicted length is below a millisecond, one per turn, so that requests go on in between. A
 * worker with nothing to hand back sets no timer.
 *
 * Lifetime: worker, part of its loop.
 * Threads:  the owner worker; the figures may be read from anywhere.
 * Memory:   sizeof(struct weft_reclaim), none else.
 */
#ifndef WEFT_IO_RECLAIM_H
#define WEFT_IO_RECLAIM_H

#include "io/timer.h"
#include "mem/governor.h"

struct weft_loop;

/* Steps by their length: bucket i counts those of at most 2^i * WEFT_PAUSE_UNIT_NS, the last one
 * the rest. 1 ms is the end of bucket 6. */
#define WEFT_PAUSE_UNIT_NS 15625u
#define WEFT_PAUSE_BUCKETS 9

struct weft_reclaim {
    struct weft_timer tick;
    struct weft_governor governor;
    uint32_t window_ms; /* 0: nothing is ever handed back */
    uint32_t part;      /* where the pass under way is */
    bool running;       /* a pass is under way */
    uint64_t seen;      /* takes of connection objects at the last tick */

    _Atomic uint64_t passes;
    _Atomic uint64_t bytes;    /* handed back */
    _Atomic uint64_t pause_ns; /* of all steps together */
    _Atomic uint64_t pause_ns_max;
    _Atomic uint64_t pauses[WEFT_PAUSE_BUCKETS];
};

/** window_ms  0: off (every page was asked for at start) */
void weft_reclaim_init(struct weft_reclaim *reclaim, uint32_t window_ms, uint64_t now_ns);

/** Once per turn, behind its events: a step of the pass under way, or the timer of the next one.
 *  While a pass is `running`, turns may not wait. */
void weft_reclaim_turn(struct weft_loop *loop);

/** Begin a pass that takes all that is free: somebody is short of memory. */
void weft_reclaim_all(struct weft_loop *loop);

#endif
