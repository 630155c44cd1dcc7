/* settle.h - is memory back where it was, in time, after the last request of a peak?
 *
 * The guarantee that memory.return_ms names, watched while the server runs. The baseline is what
 * the process holds once it has settled after its first load (WEFT_SETTLE_WARM_REQUESTS); later,
 * return_ms after the last request, it may hold WEFT_SETTLE_SLACK_BYTES more. What it held too much
 * is looked at again until it has gone, so that a miss also says how long it took.
 *
 * A pure state machine: the owner says whether anything is at work, and measures when asked.
 *
 * Lifetime: process.
 * Threads:  one caller (the admin thread); the figures may be read from anywhere.
 * Memory:   sizeof(struct weft_settle).
 */
#ifndef WEFT_OPS_SETTLE_H
#define WEFT_OPS_SETTLE_H

#include "base/base.h"

#define WEFT_SETTLE_WARM_REQUESTS 100
#define WEFT_SETTLE_SLACK_BYTES   ((size_t)2 << 20)

enum weft_settle_verdict {
    WEFT_SETTLE_FIRST,  /* this is the baseline now */
    WEFT_SETTLE_BACK,   /* back in time */
    WEFT_SETTLE_MISSED, /* not back when return_ms had passed */
    WEFT_SETTLE_STILL,  /* still not */
    WEFT_SETTLE_LATE,   /* back at last */
};

struct weft_settle {
    uint32_t return_ms; /* 0: nothing is promised, nothing is watched */
    uint64_t requests;  /* at the last look */
    uint64_t quiet_ms;  /* since when nothing is at work */
    bool quiet;
    bool judged; /* this quiet spell has had its verdict, and no more is to come */
    bool missed; /* its verdict was a miss */

    _Atomic size_t baseline; /* bytes; 0: not known yet */
    _Atomic size_t figure;   /* last measured */
    _Atomic uint64_t checks; /* spells that were judged */
    _Atomic uint64_t misses;
    _Atomic uint64_t took_ms; /* from the last request until it was found back, of the last spell;
                                 never below return_ms, when the first look is */
};

/** Look: a few times a second.
 *  active    connections with something going on
 *  requests  served so far
 *  returns   true: measure now (RSS minus LazyFree), and tell weft_settle_judge() */
bool weft_settle_step(struct weft_settle *settle, uint64_t now_ms, uint64_t active,
                      uint64_t requests);

/** Is a verdict to come, once it has been quiet for long enough? */
static inline bool weft_settle_pending(const struct weft_settle *settle)
{
    return settle->return_ms > 0 && !settle->judged &&
           settle->requests >= WEFT_SETTLE_WARM_REQUESTS;
}

enum weft_settle_verdict weft_settle_judge(struct weft_settle *settle, uint64_t now_ms,
                                           size_t bytes);

#endif
