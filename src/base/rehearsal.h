/* rehearsal.h - what happens when memory runs out, tried on purpose: points at which a build with
 * -Drehearsal=true can be told to fail.
 *
 * A point is an allocation, a charge or a mapping of our own code: weft_fail_point() where a pool,
 * an arena, an account, a cache, a coder or a promise says no by itself, and by the linker's --wrap
 * every call of malloc, calloc, realloc, aligned_alloc, strdup, asprintf, fopen, mmap, mprotect and
 * pthread_create that is linked into the program. What libraries allocate by themselves is not ours
 * to fail; where they allocate through hooks (mem/leash.h) it is.
 *
 * Which of them fails, and which threads count, stands in struct weft_rehearsal: in a file that
 * REHEARSAL_FILE names and a test writes to while the process runs, or from the environment:
 * REHEARSAL_AT=N fails the Nth point, and the number of points is printed at exit.
 *
 * In every other build a point is the constant false.
 *
 * Lifetime: process.
 * Threads:  any.
 * Memory:   none; in the rehearsal build a page of a file.
 */
#ifndef WEFT_BASE_REHEARSAL_H
#define WEFT_BASE_REHEARSAL_H

#include "base/base.h"

#define WEFT_FAIL_SITE_BYTES 24

enum weft_fail_threads {
    WEFT_FAIL_WORKERS = 1, /* threads that said weft_rehearsal_enter() */
    WEFT_FAIL_OTHERS = 2,
};

/* The file's layout; tests/mem/rehearsal_test.py writes it. */
struct weft_rehearsal {
    _Atomic uint64_t at;             /* the point that fails, counted by `passed`; 0: none */
    _Atomic uint64_t count;          /* so many in a row fail; 0 as 1 */
    _Atomic uint64_t passed;         /* points that were counted */
    _Atomic uint64_t failed;         /* of them failed */
    _Atomic uint64_t threads;        /* whose points count: enum weft_fail_threads */
    char only[WEFT_FAIL_SITE_BYTES]; /* zero-terminated: points of that name only; "": all */
    char last[WEFT_FAIL_SITE_BYTES]; /* the name of the point that failed last */
};

#ifdef WEFT_REHEARSAL

/** Does this point fail, now? site_z  its name, static, shorter than WEFT_FAIL_SITE_BYTES */
bool weft_fail_point(const char *site_z);

/** This thread is a worker's. */
void weft_rehearsal_enter(void);

#else

static inline bool weft_fail_point(const char *site_z)
{
    (void)site_z;
    return false;
}

static inline void weft_rehearsal_enter(void)
{
}

#endif
#endif
