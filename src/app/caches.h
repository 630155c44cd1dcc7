/* caches.h - the caches of an application with what settings put behind them.
 *
 * Lifetime: the server's: opened before the workers, closed after them.
 * Threads:  the main thread.
 * Memory:   each cache's own, and what is behind it: terms of the plan.
 */
#ifndef WEFT_APP_CACHES_H
#define WEFT_APP_CACHES_H

#include "app/app.h"
#include "serve/cache/cache_pmem.h"

struct weft_caches {
    const weft_app *app;             /* borrowed */
    struct weft_cache_backend *last; /* borrowed: behind all of them; NULL: nothing is */
    struct weft_cache_pmem pmem[WEFT_APP_CACHES_MAX];
};

/** Open what is behind the caches, then the caches themselves; says what is wrong.
 *  last     what they share, behind whatever else there is; outlives them. NULL: nothing
 *  returns  0; else nothing is lost by weft_caches_close() */
WEFT_CHECK weft_rc weft_caches_open(struct weft_caches *caches, const weft_app *app,
                                    struct weft_ledger *ledger, uint32_t workers,
                                    struct weft_cache_backend *last);

/** Half-made and zeroed ones are accepted. */
void weft_caches_close(struct weft_caches *caches);

/** Drop what has expired, hand back what is free; where memory is short, entries go too, so many at
 *  a time. returns  is more left? */
bool weft_caches_reclaim(struct weft_caches *caches, uint64_t now_ms, bool is_short);

#endif
