/* purge.h - malloc is asked to give back what it keeps, by a thread that may take its time.
 *
 * Who wants the room takes a ticket: the number of the first purge that begins from now on. When
 * that one has ended, what was freed before the ticket is the system's again.
 *
 * Lifetime: process.
 * Threads:  any.
 * Memory:   sizeof(struct weft_purge).
 */
#ifndef WEFT_MEM_PURGE_H
#define WEFT_MEM_PURGE_H

#include "base/base.h"

struct weft_purge {
    /** Have one begin soon; returns at once. Whoever is told while one is under way has another one
     *  begin behind it. May fail: it is called again while the ticket is waited for. */
    void (*ask)(struct weft_purge *purge);
    _Atomic uint64_t begun; /* purges so far; one at a time */
    _Atomic uint64_t ended;
};

/** > 0 */
static inline uint64_t weft_purge_ticket(const struct weft_purge *purge)
{
    return atomic_load(&purge->begun) + 1;
}

static inline bool weft_purge_ended(const struct weft_purge *purge, uint64_t ticket)
{
    return atomic_load(&purge->ended) >= ticket;
}

/** Does one run now? glibc holds an arena's lock while it gives that arena's pages back: who
 * mallocs meanwhile may wait for it. */
static inline bool weft_purge_running(const struct weft_purge *purge)
{
    return atomic_load(&purge->begun) != atomic_load(&purge->ended);
}

/** See to it that the ticket's purge begins, as often as it is waited for. */
static inline void weft_purge_ask(struct weft_purge *purge, uint64_t ticket)
{
    if (atomic_load(&purge->begun) < ticket)
        purge->ask(purge);
}

#endif
