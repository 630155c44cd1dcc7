/* warden.h - watches the process's memory: relief while it is short, and the promise of
 * memory.return_ms; and the cgroup's limit, which may be changed while we run.
 *
 * A timer on the admin loop, every WEFT_WARDEN_MS while a connection is open or something is not as
 * it should be, else once a second. What it decides others do: workers read base/limits.h and are
 * told by a post.
 *
 * Lifetime: the server's.
 * Threads:  the main thread; weft_warden figures are atomics, read from anywhere.
 * Memory:   sizeof(struct weft_warden), about 4 KB.
 */
#ifndef WEFT_APP_WARDEN_H
#define WEFT_APP_WARDEN_H

#include "app/caches.h"
#include "app/worker.h"
#include "mem/objects.h"
#include "ops/pressure.h"
#include "ops/relief.h"
#include "ops/settle.h"

#define WEFT_WARDEN_MS 100

struct weft_warden {
    struct weft_timer timer;
    struct weft_loop *loop;      /* borrowed: the admin's */
    struct weft_worker *workers; /* borrowed: the server's */
    uint32_t worker_count;
    size_t limit; /* the plan's */
    size_t plan;  /* its worst case, at most the limit */
    struct weft_pressure pressure;
    struct weft_relief_state relief;
    struct weft_settle settle;
    struct weft_limits limits;    /* what the workers read */
    weft_objects *const *objects; /* borrowed: the application's shared pools go back from here */
    uint32_t objects_count;
    struct weft_caches *caches; /* borrowed: likewise; NULL: not open yet */
    uint32_t window_ms;         /* of theirs; 0: nothing goes back */
    uint64_t window_start_ms;
};

/** Everything but the loops, which may not be there yet: `limits` is handed to them.
 *  root_z   directory that /proc and /sys lie in, without a '/' at its end; borrowed
 *  limit    what the plan was made for
 *  plan     its worst case: a cgroup's limit that falls below it while we run is told, and obeyed
 * as far as arenas go: they are promised so much less, and the server is not ready */
void weft_warden_init(struct weft_warden *warden, const char *root_z, size_t limit, size_t plan,
                      uint32_t return_ms);

/** Begin to watch. */
void weft_warden_start(struct weft_warden *warden, struct weft_loop *loop,
                       struct weft_worker *workers, uint32_t worker_count);
void weft_warden_stop(struct weft_warden *warden);

/** Are new requests welcome? */
static inline bool weft_warden_ready(const struct weft_warden *warden)
{
    return weft_limits_relief(&warden->limits) < WEFT_RELIEF_SHED &&
           atomic_load(&warden->limits.withheld) == 0;
}

#endif
