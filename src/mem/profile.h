/* profile.h - the malloc below the libraries and below users' handlers: which one, its figures, and
 * how soon it gives pages back.
 *
 * Our own memory is mapped and never passes through malloc; what does is libraries and users' own
 * calls. A profile says which malloc that is: the system's, untouched, or jemalloc with one of
 * three settings. jemalloc is never linked: it is there when the process was started with it
 * preloaded (preload.h does that), and is found by its symbols.
 *
 * Lifetime: process.
 * Threads:  any. jemalloc answers under a mutex of its own, for microseconds; glibc walks its free
 *           lists under the locks of its arenas: for the admin thread, not for a request's path.
 * Memory:   none.
 */
#ifndef WEFT_MEM_PROFILE_H
#define WEFT_MEM_PROFILE_H

#include "base/base.h"
#include <sys/types.h>

enum weft_profile {
    WEFT_PROFILE_SYSTEM,     /* the system's malloc, or what the user preloaded: untouched */
    WEFT_PROFILE_THROUGHPUT, /* jemalloc as it comes: pages go back over ten seconds */
    WEFT_PROFILE_BALANCED,   /* within a second, by a thread of its own */
    WEFT_PROFILE_AGGRESSIVE, /* at once, and no caches per thread: costs throughput */
    WEFT_PROFILE_COUNT
};

/** What jemalloc is told (its malloc_conf syntax); "" for the system's malloc. Static. */
const char *weft_profile_conf(enum weft_profile profile);

struct weft_profile_stats {
    const char *allocator_z; /* "jemalloc", "glibc" or "other" (no figures then); static */
    size_t allocated;        /* bytes that callers hold, rounded up to size classes; glibc counts
                                the few KB in its threads' caches as held */
    size_t active;           /* bytes of pages that hold some of those */
    size_t resident;         /* bytes that may be in memory for it: active, freed and not yet given
                                back, metadata. glibc: what it took from the kernel, less or more */
    size_t dirty;            /* pages freed and not yet given back (jemalloc) */
    size_t muzzy;         /* pages given back lazily, as far as the kernel left them (jemalloc) */
    size_t tables;        /* its own, as they grew since weft_profile_start() (jemalloc) */
    size_t retained;      /* address space it keeps with nothing behind it (jemalloc) */
    size_t thread_caches; /* of active: freed, kept by threads for themselves (jemalloc) */
    uint32_t arenas;      /* glibc: 0, it does not say */
};

/** Once, before there is a second thread: how large jemalloc's own tables are when nothing has
 * grown. They are laid out generously then, two megabytes and more, and hardly touched; what they
 * grow by is touched. */
void weft_profile_start(void);

/** The figures of the malloc in force. */
void weft_profile_stats(struct weft_profile_stats *out);

/** Is jemalloc this process's malloc, however it came there? */
bool weft_profile_is_jemalloc(void);

/** How long jemalloc keeps pages that are free, ms; -1: for ever, 0: not at all. Dirty ones are in
 *  memory; muzzy ones are given back lazily (MADV_FREE), the kernel takes them when it wants. */
struct weft_profile_decay {
    ssize_t dirty_ms;
    ssize_t muzzy_ms;
};

/** The decay of arenas to come, which is also that of those that are unless they were set singly.
 *  returns  0; WEFT_ENOTSUP: not jemalloc */
WEFT_CHECK weft_rc weft_profile_decay_get(struct weft_profile_decay *out);

/** Set it for every arena, those to come included. Free pages of now begin to age anew.
 *  decay    each >= -1
 *  returns  0; WEFT_ENOTSUP: not jemalloc; WEFT_ERANGE: jemalloc refuses the number */
WEFT_CHECK weft_rc weft_profile_decay_set(struct weft_profile_decay decay);

/** Give all free pages back now: jemalloc's arenas, or malloc_trim().
 *  returns  0; WEFT_ENOTSUP: an allocator that we cannot ask */
WEFT_CHECK weft_rc weft_profile_purge(void);

#endif
