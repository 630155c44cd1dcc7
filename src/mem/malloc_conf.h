/* malloc_conf.h - jemalloc's configuration string, read before jemalloc does.
 *
 *     background_thread:true,dirty_decay_ms:500,abort_conf:true
 *
 * jemalloc reads it before main(), says what it does not like on stderr and, with abort_conf:true,
 * aborts: no file, no line, a core. So we look at it while the settings are read. The keys are
 * those of jemalloc 5.3 as Debian builds it; bounds of single numbers are left to jemalloc, but for
 * those that a profile sets.
 *
 * Lifetime: slices of the caller's text.
 * Threads:  any: pure functions.
 * Memory:   none.
 */
#ifndef WEFT_MEM_MALLOC_CONF_H
#define WEFT_MEM_MALLOC_CONF_H

#include "base/str.h"

struct weft_malloc_conf_pair {
    weft_str key;        /* borrowed, like value, from the text; empty where there is none */
    weft_str value;      /* up to the comma */
    const char *wrong_z; /* what is wrong with it, to stand behind the key; NULL: nothing. Static */
};

/** The next pair of a string.
 *  rest     in: what is left of it; out: what is left behind this pair. After text that is no pair
 *           nothing is left: jemalloc stops there too
 *  returns  false: there was nothing left */
bool weft_malloc_conf_next(weft_str *rest, struct weft_malloc_conf_pair *out);

/** Does the string say abort_conf:true in the end? Later pairs win; jemalloc's default is false. */
bool weft_malloc_conf_aborts(weft_str conf);

#endif
