/* limits.h - what is allowed right now: written by ops/, read everywhere.
 *
 * Lifetime: process.
 * Threads:  one writer (the admin thread); anybody reads. A level changes a few times a second at
 *           most, so that its cache line stays shared.
 * Memory:   sizeof(struct weft_limits), one.
 */
#ifndef WEFT_BASE_LIMITS_H
#define WEFT_BASE_LIMITS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* Relief, one step after the other: each includes those before it. */
enum weft_relief {
    WEFT_RELIEF_NONE,
    WEFT_RELIEF_TRIM,  /* caches shrink, free chunks go back at once */
    WEFT_RELIEF_SHED,  /* new requests are refused (503), but those of vital routes */
    WEFT_RELIEF_CLOSE, /* idle connections are closed, oldest first */
};

struct weft_limits {
    _Atomic uint32_t relief;     /* enum weft_relief */
    _Atomic uint64_t io_wait_ns; /* time that tasks of this machine waited for disks, in all */
    _Atomic size_t withheld;     /* bytes of each worker's arenas that are not to be promised: what
                                    may be used is less than planned */
    _Atomic uint64_t lowered;    /* times that it became so */
};

static inline uint32_t weft_limits_relief(const struct weft_limits *limits)
{
    return limits == NULL ? WEFT_RELIEF_NONE
                          : atomic_load_explicit(&limits->relief, memory_order_relaxed);
}

static inline size_t weft_limits_withheld(const struct weft_limits *limits)
{
    return limits == NULL ? 0 : atomic_load_explicit(&limits->withheld, memory_order_relaxed);
}

#endif
